"""What a trainer is asked for, as the fields of a spec say it."""

import json
from typing import Any

from distillery_contract.request import FaultPolicy, Request, Stage
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from support import worlds


def ordered(**data: Any) -> Request:
    spec = worlds.DOCUMENT["spec"]["data"]
    return requests.order(worlds.experiment(data={**spec, **data}), Launch(Stage.PREPARE, 0, 1))


def test_every_field_of_the_data_reaches_the_trainer() -> None:
    wanted = ordered(
        test="test.json",
        faults="Drop",
        maxDroppedPercent=3,
        maxUnknownPercent=4,
        maxLongAnswerPercent=6,
        maxSharedPercent=7,
    )
    data = Request.from_json(wanted.to_json()).data
    assert (data.test, data.faults) == ("test.json", FaultPolicy.DROP)
    limits = (data.max_dropped_percent, data.max_unknown_percent)
    assert (*limits, data.max_long_answer_percent, data.max_shared_percent) == (3, 4, 6, 7)


def test_a_spec_without_later_fields_asks_what_earlier_releases_asked() -> None:
    """An earlier trainer reads it, and what tells requests apart is the same."""
    known = set(json.loads(ordered().to_json())["data"])
    defaults = {"faults": "Refuse", "maxUnknownPercent": 2, "maxSharedPercent": 1.0}
    assert not known & {"test", "faults", "max_unknown_percent", "max_shared_percent"}
    assert ordered(**defaults).to_json() == ordered().to_json()
