"""Backups of database and resources, restored later, on a real control plane and PostgreSQL."""

import json
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from distillery_operator.resource import label_names
from distillery_operator.resource.experiment import STUDY
from support import ends, kubelet, postgres
from support.cluster.access import Cluster
from support.operators import Operator, until
from support.postgres import Postgres
from support.spaces import Space, install

Object = dict[str, Any]


@pytest.fixture(scope="module")
def player(control_plane: Cluster) -> Iterator[kubelet.Kubelet]:
    """A pretend kubelet, whose pods may be slowed down."""
    made = kubelet.Kubelet(control_plane.kubeconfig, 0.5, ends.Removed().ending)
    with kubelet.playing(made):
        yield made


@pytest.fixture(scope="module")
def kubeconfig(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(control_plane, tmp_path_factory.mktemp("restore"))


@pytest.fixture
def url(postgresql: Postgres, request: pytest.FixtureRequest) -> str:
    """A database of this test's own."""
    return postgresql.url(f"restore_{abs(hash(request.node.name)):x}")


@pytest.fixture
def space(control_plane: Cluster) -> Space:
    return Space(control_plane)


@pytest.fixture
def operator(
    kubeconfig: Path, player: kubelet.Kubelet, url: str, tmp_path: Path
) -> Iterator[Operator]:
    """An operator that runs, and may be killed."""
    player.seconds = 0.5
    running = Operator(kubeconfig, url, tmp_path / "log", "--workspace-claim=work")
    with running:
        yield running
    assert "fault of the program" not in running.log.read_text()


def ended(space: Space) -> int:
    return int(space.status().get("trials", {}).get("completed", 0))


def slow(space: Space, known: int) -> list[Object]:
    """Return the Jobs of trials that a backup does not know, which have run for a while."""
    late = time.time() - 5.0
    return [
        job
        for job in space.live()
        if int(job["metadata"]["labels"][label_names.TRIAL]) >= known
        and datetime.fromisoformat(job["metadata"]["creationTimestamp"]).timestamp() < late
    ]


def test_a_study_from_the_middle_of_a_search_goes_on_and_tells_nothing_twice(
    space: Space, operator: Operator, player: kubelet.Kubelet, url: str, postgresql: Postgres
) -> None:
    """Jobs live of trials that it has forgotten; others are told of trials that run again."""
    space.apply(maxTrials=100, parallelism=3, sampler={"type": "Random"})
    until(lambda: ended(space) >= 2)
    backup = postgresql.dump(url)
    known = space.status()["trials"]["total"]
    until(lambda: ended(space) >= known + 2)
    player.seconds = 600.0  # what starts from now on outlives the restart
    until(lambda: len(slow(space, known)) == 3)
    operator.stop(signal.SIGKILL)
    postgres.restore(url, backup)
    player.seconds = 0.5
    space.patch(maxTrials=known + 4)
    operator.start()
    until(space.reached("Succeeded"))
    count = space.status()["trials"]["total"]
    assert space.status()["trials"]["completed"] == count >= known + 4
    ends.check(space, url, count)
    said = space.condition("Restored")
    assert said["status"] == "True"
    assert "the study was restored: it has" in said["message"]
    assert {"ForeignAttempt"} <= space.events()


def test_a_database_that_is_restored_under_a_running_operator_is_read_anew(
    space: Space, operator: Operator, url: str, postgresql: Postgres
) -> None:
    space.apply(maxTrials=10, parallelism=2, sampler={"type": "Random"})
    until(lambda: ended(space) >= 2)
    backup = postgresql.dump(url)
    until(lambda: ended(space) >= 5)
    postgres.restore(url, backup)
    until(space.reached("Succeeded"))
    ends.check(space, url, 10)
    assert space.condition("Restored")["status"] == "True"


def test_an_experiment_that_comes_from_a_backup_finds_its_study_and_its_folder(
    space: Space, operator: Operator, url: str
) -> None:
    """It has another uid, no status, and an operator that saw the old one go."""
    space.apply(maxTrials=12, parallelism=3)
    until(lambda: ended(space) >= 3)
    backup = space.get()
    assert backup["metadata"]["annotations"][STUDY] == backup["metadata"]["uid"]
    space.kubectl("delete", "dexp", "tiny", "--timeout=60s")
    create(space, backup)
    until(space.reached("Succeeded"))
    assert space.get()["metadata"]["uid"] != backup["metadata"]["uid"]
    assert space.status()["results"] == backup["status"]["results"]
    assert space.status()["progress"] == "12/12"
    assert ends.schemas(url) == {ends.schema(space)}
    ends.check(space, url, 12)
    assert "created again, with another uid" in space.condition("Restored")["message"]


def create(space: Space, backup: Object, **metadata: Any) -> None:
    """Create an experiment as backups do: without uid and status."""
    kept = {"name": backup["metadata"]["name"], "annotations": backup["metadata"]["annotations"]}
    document = {**backup, "metadata": {**kept, **metadata}}
    document.pop("status")
    space.kubectl("create", "--filename=-", stdin=json.dumps(document))


def test_an_experiment_waits_for_its_study_to_be_restored_and_begins_no_other(
    space: Space, operator: Operator, url: str, postgresql: Postgres
) -> None:
    space.apply(maxTrials=4)
    until(space.reached("Succeeded"))
    backup, database = space.get(), postgresql.dump(url)
    space.kubectl("delete", "dexp", "tiny", "--timeout=60s")
    postgres.restore(url, "SELECT 1")
    create(space, backup)
    until(lambda: space.condition("StorageReachable").get("reason") == "StudyMissing")
    said = space.condition("StorageReachable")["message"]
    assert "restore the database, or remove the annotation" in said
    assert (ends.schemas(url), space.objects("jobs")) == (set(), [])
    postgres.restore(url, database)
    until(space.reached("Succeeded"))
    ends.check(space, url, 4)


def test_nobody_gets_at_the_study_of_another_by_naming_it(
    space: Space, control_plane: Cluster, operator: Operator
) -> None:
    space.apply(maxTrials=2)
    until(space.reached("Succeeded"))
    backup, stranger = space.get(), Space(control_plane)
    create(stranger, backup)
    until(lambda: stranger.condition("StorageReachable").get("reason") == "StudyMissing")
    create(space, backup, name="other")
    until(lambda: space.condition("StorageReachable", "other").get("reason") == "StudyMissing")
    assert stranger.objects("jobs") == []
    stranger.kubectl("annotate", "dexp", "tiny", f"{STUDY}-")
    until(stranger.reached("Succeeded"))  # as another search
    assert stranger.status()["results"] != backup["status"]["results"]


def test_an_annotation_that_names_no_study_is_refused_in_a_sentence(
    space: Space, operator: Operator
) -> None:
    space.apply(maxTrials=2, suspend=True)
    until(lambda: STUDY in space.get()["metadata"]["annotations"])
    backup = space.get()
    backup["metadata"]["annotations"] = {STUDY: "exp_1"}
    create(space, backup, name="other")
    until(lambda: space.condition("Accepted", "other").get("status") == "False")
    assert "must be the uid of the experiment" in space.condition("Accepted", "other")["message"]
