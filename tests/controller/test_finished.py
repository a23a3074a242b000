"""When the study of a finished experiment need not be read, and what makes it to be read again."""

from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.controller import finished
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import label_names, parsing
from distillery_operator.resource.experiment import STUDY
from distillery_operator.resource.status import Status
from distillery_operator.results import trials_server
from support import shapes, worlds
from support.shapes import UID, Object

KEY = Key("science", "tiny")
SERVICE = "distillery/distillery:trials"
PATH = trials_server.path(SERVICE, KEY, None, "")
PREPARING = Launch(Stage.PREPARE, 0, 1)


def stays(
    status: Object | None = None,
    metadata: Object | None = None,
    spec: Object | None = None,
    cache: Cache | None = None,
    service: str = SERVICE,
) -> bool:
    """Ask of an experiment that is finished, but for what is given."""
    found = worlds.document(**(spec or {}))
    own = {"name": "tiny", "namespace": "science", "uid": UID, "generation": 3}
    found["metadata"] = {**own, "annotations": {STUDY: UID}, **(metadata or {})}
    known: dict[str, Any] = {
        "finished_generation": 3,
        "release": finished.RELEASE,
        "trials_path": PATH,
        **(status or {}),
    }
    written = Status(observed_generation=3, conditions=[], **known)
    experiment = parsing.parse(found)
    return finished.stays(KEY, found, experiment, written, cache=cache or Cache(), service=service)


def seeing(*objects: tuple[Kind, Object]) -> Cache:
    cache = Cache()
    for kind, found in objects:
        cache.put(kind, found)
    return cache


def test_a_finished_experiment_stays_as_it_is() -> None:
    assert stays()
    held = {"finalizers": [label_names.DELETION]}
    assert stays(metadata=held, spec={"deletionPolicy": "Delete"})


CHANGED: dict[str, Object] = {
    "never finished": {"status": {"finished_generation": None}},
    "edited": {"metadata": {"generation": 4}},
    "status of another release": {"status": {"release": "0.0.1"}},
    "status of a release that knew no release": {"status": {"release": None}},
    "study not named yet": {"metadata": {"annotations": {}}},
    "to be held": {"spec": {"deletionPolicy": "Delete"}},
    "held no more": {"metadata": {"finalizers": [label_names.DELETION]}},
    "trials are served elsewhere": {"service": "other/distillery:trials"},
    "trials are served no more": {"service": ""},
    "trials are served now": {"status": {"trials_path": None}},
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED.keys())
def test_what_changed_or_is_missing_is_looked_at(change: Object) -> None:
    assert not stays(**change)


def test_what_runs_or_is_not_stored_is_looked_at() -> None:
    ended = shapes.job(shapes.complete())
    assert not stays(cache=seeing((Kind.JOB, ended)))  # its result may not be told
    assert not stays(cache=seeing((Kind.JOB, shapes.job())))
    assert not stays(cache=seeing((Kind.JOB, shapes.job(launch=PREPARING))))
    assert not stays(cache=seeing((Kind.POD, shapes.pod(ended, "Running", shapes.running()))))
    held = shapes.pod(ended, "Succeeded", shapes.terminated(0))
    held["metadata"]["finalizers"] = [label_names.METRICS]
    assert not stays(cache=seeing((Kind.POD, held)))


def test_the_ended_preparation_and_the_jobs_of_others_are_no_work() -> None:
    ended = shapes.job(shapes.complete(), launch=PREPARING)
    pod = shapes.pod(ended, "Succeeded", shapes.terminated(0))
    assert stays(cache=seeing((Kind.JOB, ended), (Kind.POD, pod)))
    other = shapes.job(of=shapes.experiment(uid="0e3f4c52-2f0b-4a51-8f9c-3d2b6a7c80bb"))
    assert stays(cache=seeing((Kind.JOB, other)))
