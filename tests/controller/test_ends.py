"""How experiments end on a real control plane: deleted with what is theirs, finished, pruned."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery_operator.resource import label_names
from support import ends, kubelet, operators
from support.cluster.access import Cluster
from support.operators import Operator, until
from support.postgres import Postgres
from support.spaces import Space, install

REMOVED = ends.Removed()


@pytest.fixture(scope="module")
def kubeconfig(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The operator's way to a control plane with the CRD and a pretend kubelet."""
    with kubelet.playing(kubelet.Kubelet(control_plane.kubeconfig, 0.5, REMOVED.ending)):
        yield install(control_plane, tmp_path_factory.mktemp("ends"))


@pytest.fixture
def url(postgresql: Postgres, request: pytest.FixtureRequest) -> str:
    """A database of this test's own."""
    return postgresql.url(f"ends_{abs(hash(request.node.name)):x}")


def prune(
    kubeconfig: Path, url: str, *options: str, template: str = ""
) -> subprocess.CompletedProcess[str]:
    """Prune as in the operator's pod: with its rights, its database and its image."""
    own = {"KUBECONFIG": str(kubeconfig), "DISTILLERY_DATABASE_URL": url}
    own["DISTILLERY_TEMPLATE"] = template
    image = {"DISTILLERY_TRAINER_IMAGE": "localhost/trainer:none"}
    return subprocess.run(
        [*operators.COMMAND, "prune", "--cluster", *options],
        env={**os.environ, **own, **image, "DISTILLERY_WORKSPACE_CLAIM": "work"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def operator(kubeconfig: Path, url: str, tmp_path: Path) -> Iterator[Operator]:
    """An operator that runs."""
    running = Operator(kubeconfig, url, tmp_path / "log", "--workspace-claim=work")
    with running:
        yield running
    assert "fault of the program" not in running.log.read_text()


@pytest.fixture
def space(control_plane: Cluster) -> Space:
    return Space(control_plane)


def gone(space: Space) -> bool:
    return not space.objects("dexp")


def test_an_experiment_that_asks_for_it_takes_study_files_and_prepared_data_along(
    space: Space, operator: Operator, url: str
) -> None:
    space.apply(maxTrials=40, parallelism=4, deletionPolicy="Delete")
    until(lambda: len(space.live()) >= 3)
    found = space.get()
    assert found["metadata"]["finalizers"] == [label_names.DELETION]
    assert not [e for e in space.objects("events") if "has been modified" in e["message"]]
    results = space.status()["results"]
    assert ends.schema(space) in ends.schemas(url)
    space.kubectl("delete", "dexp", "tiny", "--timeout=120s")
    assert ends.schemas(url) == set()
    assert [results, "cache/quadratic"] == REMOVED.folders[-2:]
    until(lambda: not space.objects("jobs") and not space.objects("pods"))


def test_without_it_the_study_stays_and_nothing_holds_the_experiment(
    space: Space, operator: Operator, url: str
) -> None:
    space.apply(maxTrials=2, deletionPolicy="Delete")
    until(space.reached("Succeeded"))
    stays = ends.schema(space)
    space.patch(deletionPolicy="Retain")
    until(lambda: "finalizers" not in space.get()["metadata"])
    space.kubectl("delete", "dexp", "tiny", "--timeout=30s")
    assert ends.schemas(url) == {stays}


def test_a_deletion_says_what_it_waits_for_and_may_be_called_off(
    space: Space, operator: Operator, url: str
) -> None:
    space.apply(maxTrials=2, deletionPolicy="Delete")
    until(space.reached("Succeeded"))
    stays = ends.schema(space)
    space.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0")
    space.kubectl("delete", "dexp", "tiny", "--wait=false")
    until(lambda: "exceeded quota" in space.condition("Deleting").get("message", ""))
    assert space.state() == "Deleting"
    space.patch(deletionPolicy="Retain")
    until(lambda: gone(space))
    assert ends.schemas(url) == {stays}


def test_an_operator_that_was_killed_goes_on_with_a_deletion(
    space: Space, kubeconfig: Path, url: str, tmp_path: Path
) -> None:
    space.apply(maxTrials=40, parallelism=4, deletionPolicy="Delete")
    operator = Operator(kubeconfig, url, tmp_path / "log", "--workspace-claim=work")
    with operator:
        until(lambda: len(space.live()) >= 3)
    space.kubectl("delete", "dexp", "tiny", "--wait=false")
    for seconds in (1.5, 2.0, 2.5, 3.0, 4.0):
        with operator:
            time.sleep(seconds)
    with operator:
        until(lambda: gone(space))
        assert ends.schemas(url) == set()


def test_a_namespace_is_deleted_with_its_experiments(
    space: Space, operator: Operator, url: str
) -> None:
    space.apply(maxTrials=40, parallelism=4, deletionPolicy="Delete")
    until(lambda: len(space.live()) >= 3)
    space.cluster.kubectl("delete", "namespace", space.name, "--timeout=120s")
    until(lambda: not ends.schemas(url))


def connections(url: str) -> int:
    """Count the connections of operators, which keep those that they make."""
    text = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'distillery' AND datname = current_database()"
    )
    ((count,),) = ends.rows(url, text)
    return int(count)


def test_a_finished_experiment_is_not_read_again_until_it_changes(
    space: Space, kubeconfig: Path, url: str, tmp_path: Path
) -> None:
    space.apply(maxTrials=2)
    own = f"--namespace={space.name}"  # other tests' experiments have studies elsewhere
    options = (kubeconfig, url, tmp_path / "log", "--workspace-claim=work", own)
    with Operator(*options):
        until(lambda: space.status().get("finishedGeneration") == 1)
    until(lambda: connections(url) == 0)  # of the one that was killed
    with Operator(*options) as operator:
        until(lambda: operator.serving and ends.visited(operator) >= 1)
        # No study is read, for that would keep a connection. The question whether the server
        # answers makes one for a moment.
        until(lambda: connections(url) == 0)
        series = operator.metrics()
        assert not [
            name
            for name in series
            if name.startswith("distillery_storage_operation_duration_seconds_count")
        ]
        assert [n for n in series if n.startswith("distillery_experiment_info") and "tiny" in n]
        space.patch(maxTrials=3)
        until(lambda: space.status()["progress"] == "3/3")
        until(lambda: space.status().get("finishedGeneration") == 2)
        assert connections(url) > 0


def test_what_a_deleted_experiment_left_is_pruned_and_what_others_use_stays(
    space: Space, operator: Operator, kubeconfig: Path, url: str
) -> None:
    for name in ("gone", "stays"):
        space.apply(name, maxTrials=2)
    until(space.reached("Succeeded", "gone"))
    until(space.reached("Succeeded", "stays"))
    unknown = f"exp_{0:032x}"
    ends.rows(url, f"CREATE SCHEMA {unknown}")
    gone, stays = ends.schema(space, "gone"), ends.schema(space, "stays")
    folder = space.status("gone")["results"]
    assert prune(kubeconfig, url).stdout.count("goes only if it is named") == 1
    space.kubectl("delete", "dexp", "gone", "--timeout=30s")
    listed = prune(kubeconfig, url)
    assert f"{gone}: the experiment {space.name}/gone is gone; folder {folder}\n" in listed.stdout
    assert stays not in listed.stdout
    assert "cache/" not in listed.stdout  # the other one uses the same prepared data
    assert ends.schemas(url) == {gone, stays, unknown}
    odd = prune(kubeconfig, url, "--yes", template='{"spec": {"dnsPolicy": "Odd"}}')
    assert 'Unsupported value: "Odd"' in odd.stderr
    done = prune(kubeconfig, url, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{gone}: the study is removed, with {folder}\n"
    assert REMOVED.folders[-1] == folder
    assert ends.schemas(url) == {stays, unknown}
    assert prune(kubeconfig, url, "--yes", unknown).returncode == 0
    assert ends.schemas(url) == {stays}
    space.patch("stays", maxTrials=3)
    until(lambda: space.status("stays")["progress"] == "3/3")
    assert prune(kubeconfig, url, "--yes").stdout == ""


def test_an_experiment_that_names_a_study_that_is_pruned_does_not_begin(
    space: Space, operator: Operator, kubeconfig: Path, url: str
) -> None:
    """It comes from a backup: it does not get a new, empty study under the same name."""
    space.apply(maxTrials=2)
    until(space.reached("Succeeded"))
    backup = space.get()
    space.kubectl("delete", "dexp", "tiny", "--timeout=30s")
    assert prune(kubeconfig, url, "--yes").returncode == 0
    again = {k: backup["metadata"][k] for k in ("name", "annotations")}
    space.kubectl("create", "--filename=-", stdin=json.dumps({**backup, "metadata": again}))
    until(lambda: space.condition("StorageReachable").get("reason") == "StudyMissing")
    assert ends.schemas(url) == set()
