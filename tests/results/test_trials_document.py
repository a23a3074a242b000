"""The document of all trials: what a reader finds in it besides them."""

import json
from dataclasses import asdict

from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.results import trials_document
from support import worlds


def test_it_says_what_students_start_from_once_that_is_known() -> None:
    prepared = {"preparation": json.dumps(asdict(worlds.PREPARATION))}
    for attributes, sources in (({}, {}), (prepared, worlds.SOURCES)):
        text = trials_document.head("uid", Defaults("trainer:1", "claim"), attributes)
        document = trials_document.read((text + trials_document.tail()).encode())
        assert trials_document.sources(document) == sources
