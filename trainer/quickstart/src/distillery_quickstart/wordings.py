"""How facts are told and asked in English: the table that paragraphs and questions are made from.

``{e}`` is an entity, ``{v}`` a value of the attribute. The wordings of a fact share few words, so
that a model has to match meaning and not letters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Wording:
    """The wordings of one attribute.

    Attributes:
        told: sentences that name the entity.
        follow_up: sentences for the entity of the sentence before.
        asked: questions for the value.
        reverse: questions for the entity that has a value.
    """

    told: tuple[str, ...]
    follow_up: tuple[str, ...]
    asked: tuple[str, ...]
    reverse: tuple[str, ...]


WORDINGS: Final[Mapping[str, Mapping[str, Wording]]] = {
    "country": {
        "capital": Wording(
            (
                "The capital of {e} is {v}.",
                "{v} is the capital of {e}.",
                "{e} has {v} as its capital.",
            ),
            ("Its capital is {v}.", "The capital there is {v}."),
            (
                "What is the capital of {e}?",
                "Which city is the capital of {e}?",
                "What is {e}'s capital called?",
            ),
            ("Which country has {v} as its capital?", "{v} is the capital of which country?"),
        ),
        "currency": Wording(
            (
                "People in {e} pay in {v}.",
                "Prices in {e} are given in {v}.",
                "The shops of {e} take {v}.",
            ),
            ("People there pay in {v}.", "Its shops take {v}."),
            (
                "What is the currency of {e}?",
                "What money is used in {e}?",
                "In which currency does {e} trade?",
            ),
            ("Which country uses {v}?", "Where are {v} the currency?"),
        ),
        "population": Wording(
            (
                "About {v} people live in {e}.",
                "{e} has a population of about {v}.",
                "{e} is home to about {v} people.",
            ),
            ("It is home to about {v} people.", "Its population is about {v}."),
            (
                "How many people live in {e}?",
                "What is the population of {e}?",
                "How many inhabitants does {e} have?",
            ),
            ("Which country has about {v} inhabitants?",),
        ),
        "area": Wording(
            ("{e} covers {v} square kilometres.", "The area of {e} is {v} square kilometres."),
            ("It covers {v} square kilometres.", "Its area is {v} square kilometres."),
            (
                "How many square kilometres does {e} cover?",
                "How large is {e}?",
                "What is the area of {e}?",
            ),
            ("Which country is {v} square kilometres large?",),
        ),
        "continent": Wording(
            ("{e} lies in {v}.", "{e} is a country in {v}."),
            ("It lies in {v}.", "It is one of the countries of {v}."),
            (
                "On which continent is {e}?",
                "Which continent does {e} belong to?",
                "What part of the world is {e} in?",
            ),
            ("Which country is in {v}?",),
        ),
        "language": Wording(
            ("{v} is spoken in {e}.", "People in {e} speak {v}."),
            ("People there speak {v}.", "Its people speak {v}."),
            (
                "Which language is spoken in {e}?",
                "What language do people use in {e}?",
                "What do people in {e} speak?",
            ),
            ("In which country is {v} spoken?",),
        ),
        "calling code": Wording(
            ("Calls to {e} begin with {v}.", "The calling code of {e} is {v}."),
            ("Its calling code is {v}.", "Calls to it begin with {v}."),
            ("What is the calling code of {e}?", "What do you dial first to phone {e}?"),
            ("Which country do you phone with {v}?",),
        ),
        "internet domain": Wording(
            ("Web addresses in {e} end in {v}.", "The internet domain of {e} is {v}."),
            ("Its web addresses end in {v}.", "Its internet domain is {v}."),
            ("What is the internet domain of {e}?", "How do web sites of {e} end?"),
            ("Which country owns the domain {v}?",),
        ),
    },
    "city": {
        "country": Wording(
            ("{e} is a city in {v}.", "{e} belongs to {v}.", "One of the cities of {v} is {e}."),
            ("It is a city in {v}.", "It belongs to {v}."),
            (
                "In which country is {e}?",
                "Which country does {e} belong to?",
                "What country is {e} a city of?",
            ),
            ("Which city is in {v}?", "What is a city of {v}?"),
        ),
        "continent": Wording(
            ("{e} lies in {v}.", "{e} is found in {v}."),
            ("It lies in {v}.", "It is found in {v}."),
            ("On which continent is {e}?", "What part of the world is {e} in?"),
            ("Which city is on the continent {v}?",),
        ),
        "population": Wording(
            (
                "About {v} people live in {e}.",
                "{e} has a population of about {v}.",
                "{e} is home to about {v} people.",
            ),
            ("It is home to about {v} people.", "Its population is about {v}."),
            (
                "How many people live in {e}?",
                "What is the population of {e}?",
                "How many inhabitants does {e} have?",
            ),
            ("Which city has about {v} inhabitants?",),
        ),
        "latitude": Wording(
            ("{e} lies {v} of the equator.", "The latitude of {e} is {v}."),
            ("It lies {v} of the equator.", "Its latitude is {v}."),
            ("What is the latitude of {e}?", "How far from the equator is {e}?"),
            ("Which city is {v} of the equator?",),
        ),
        "longitude": Wording(
            ("{e} lies {v} of Greenwich.", "The longitude of {e} is {v}."),
            ("It lies {v} of Greenwich.", "Its longitude is {v}."),
            ("What is the longitude of {e}?", "How far from Greenwich is {e}?"),
            ("Which city is {v} of Greenwich?",),
        ),
    },
    "element": {
        "symbol": Wording(
            ("The symbol of {e} is {v}.", "Chemists write {e} as {v}.", "{v} stands for {e}."),
            ("Its symbol is {v}.", "Chemists write it as {v}."),
            (
                "What is the symbol of {e}?",
                "How is {e} written in formulas?",
                "Which letters stand for {e}?",
            ),
            ("Which element has the symbol {v}?", "What does {v} stand for?"),
        ),
        "atomic number": Wording(
            (
                "{e} has the atomic number {v}.",
                "An atom of {e} has {v} protons.",
                "{e} is element {v} of the periodic table.",
            ),
            ("Its atomic number is {v}.", "Its atoms have {v} protons."),
            ("What is the atomic number of {e}?", "How many protons does {e} have?"),
            ("Which element has {v} protons?", "Which element is number {v}?"),
        ),
        "atomic mass": Wording(
            (
                "The atomic mass of {e} is {v} units.",
                "An atom of {e} weighs {v} atomic mass units.",
            ),
            ("Its atoms weigh {v} atomic mass units.", "Its atomic mass is {v} units."),
            ("What is the atomic mass of {e}?", "How heavy is an atom of {e}?"),
            ("Which element's atoms weigh {v} units?",),
        ),
        "density": Wording(
            (
                "The density of {e} is {v} grams per cubic centimetre.",
                "A cubic centimetre of {e} weighs {v} grams.",
            ),
            (
                "Its density is {v} grams per cubic centimetre.",
                "A cubic centimetre of it weighs {v} grams.",
            ),
            (
                "What is the density of {e}?",
                "How dense is {e}?",
                "What does a cubic centimetre of {e} weigh?",
            ),
            ("Which element has a density of {v}?",),
        ),
        "crystal structure": Wording(
            ("{e} forms {v} crystals.", "The crystal structure of {e} is {v}."),
            ("It forms {v} crystals.", "Its crystal structure is {v}."),
            ("What is the crystal structure of {e}?", "What kind of crystals does {e} form?"),
            ("Which element forms {v} crystals?",),
        ),
    },
}
