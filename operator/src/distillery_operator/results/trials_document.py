"""PURE: all trials of an experiment as one JSON document, which the operator serves to its users.

Written by :mod:`distillery_operator.results.trials_server`, read by
:mod:`distillery_operator.results.cluster`. What is stored is passed on as it is stored, so that the
operator parses none of it, a line for each trial: thousands of trials are never in memory at once.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from distillery_contract.size import Architecture
from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.errors import Incompatible
from distillery_operator.study import records
from distillery_operator.trials.trial import Trial

VERSION: Final = 1
"""Version of the document; raised by a change that an older reader would misunderstand."""


def head(uid: str, defaults: Defaults, attributes: Mapping[str, str]) -> str:
    """Return the beginning of the document, up to its trials.

    Args:
        uid: of the experiment.
        defaults: what the operator adds to a pod template.
        attributes: of the study, as JSON by their names; empty before it has begun.
    """
    added = {"image": defaults.image, "claim": defaults.claim}
    return (
        f'{{"version": {VERSION}, "uid": {json.dumps(uid)}, "defaults": {json.dumps(added)},'
        f' "template": {json.dumps(defaults.template)},'
        f'\n"study": {_object(attributes)},\n"trials": ['
    )


def lines(trials: Sequence[Mapping[str, str]], first: bool) -> Iterator[str]:
    """Yield trials, given as attributes in JSON by their names; ``first``: none went before."""
    for attributes in trials:
        yield ("\n" if first else ",\n") + _object(attributes)
        first = False


def tail() -> str:
    """Return the end of the document."""
    return "\n]}\n"


def read(text: bytes) -> dict[str, Any]:
    """Parse a document.

    Raises:
        Incompatible: it is none, or one of another version.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        version = document["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise Incompatible(f"the operator must answer with trials, but {error!r}") from error
    if version != VERSION:
        raise Incompatible(
            f"the operator's document must be of version {VERSION}, but is of version {version}:"
            " use the release of distillery that the cluster uses"
        )
    return document


def trials(document: Mapping[str, Any]) -> tuple[Trial, ...]:
    """Return the trials of a document, in their order."""
    collected = frozenset(document["study"].get("collected", []))
    return tuple(
        records.restored(number, _without_gaps(attributes), collected)
        for number, attributes in enumerate(document["trials"])
    )


def sources(document: Mapping[str, Any]) -> Mapping[str, Architecture]:
    """Return what students start from; empty before it is prepared."""
    prepared = document["study"].get("preparation")
    return records.preparation_of(prepared).sources if prepared else {}


def defaults(document: Mapping[str, Any]) -> Defaults:
    """Return what the operator adds to a pod template."""
    return Defaults(**document["defaults"], template=document.get("template", {}))


def _object(attributes: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(k)}: {_plain(v)}" for k, v in attributes.items()) + "}"


def _plain(text: str) -> str:
    """Return JSON without the numbers that JSON does not have, which Python writes and reads."""
    if "NaN" not in text and "Infinity" not in text:
        return text
    return json.dumps(json.loads(text, parse_constant=lambda _: None))


def _without_gaps(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial without the values of its curve that were no numbers."""
    curve = [
        {**point, **{part: _numbers(point[part]) for part in ("metrics", "losses")}}
        for point in attributes.get("curve", [])
    ]
    return {**attributes, "curve": curve}


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
