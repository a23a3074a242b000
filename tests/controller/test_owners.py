"""Several operators on a real control plane: each experiment is one operator's, and can go over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery_operator.resource import label_names
from support import kubelet
from support.cluster.access import Cluster
from support.operators import Operator, until
from support.spaces import Space, install

FIRST, SECOND = "one/first", "two/second"


@pytest.fixture(scope="module")
def kubeconfig(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The control plane with the CRD and a pretend kubelet, as operators reach it."""
    made = install(control_plane, tmp_path_factory.mktemp("operators"))
    with kubelet.playing(kubelet.Kubelet(control_plane.kubeconfig, 0.5)):
        yield made


@pytest.fixture
def space(control_plane: Cluster, kubeconfig: Path) -> Space:
    return Space(control_plane)


def operator(space: Space, kubeconfig: Path, folder: Path, identity: str) -> Operator:
    """Return an operator of this namespace whose studies are in a folder."""
    folder.mkdir(exist_ok=True)
    return Operator(
        kubeconfig,
        f"sqlite:///{folder}",
        folder / f"{identity.replace('/', '-')}.log",
        f"--namespace={space.name}",
        f"--identity={identity}",
        "--workspace-claim=work",
    )


def hand_over(space: Space, identity: str) -> None:
    space.kubectl("annotate", "dexp/tiny", "--overwrite", f"{label_names.OWNER}={identity}")


def test_a_second_operator_leaves_an_experiment_alone_and_says_so(
    space: Space, kubeconfig: Path, tmp_path: Path
) -> None:
    first = operator(space, kubeconfig, tmp_path / "first", FIRST)
    second = operator(space, kubeconfig, tmp_path / "second", SECOND)
    with first:
        space.apply(maxTrials=6, parallelism=1)
        until(lambda: space.status().get("owner") == FIRST)
        with second:
            until(lambda: "NotOwned" in space.events())
            assert second.metrics()["distillery_experiments_not_owned{}"] == 1
            until(space.reached("Succeeded"))
            assert space.status()["owner"] == FIRST
            assert first.metrics()["distillery_experiments_not_owned{}"] == 0
    assert not list((tmp_path / "second").glob("*.db"))
    assert f"it is {FIRST}'s" in second.log.read_text()
    jobs = [job["metadata"]["labels"][label_names.TRIAL] for job in space.trials()]
    assert sorted(jobs) == [str(number) for number in range(6)]


def test_two_pods_of_one_release_are_one_owner(
    space: Space, kubeconfig: Path, tmp_path: Path
) -> None:
    one = operator(space, kubeconfig, tmp_path, FIRST)
    other = operator(space, kubeconfig, tmp_path, FIRST)
    with one, other:
        space.apply(maxTrials=8, parallelism=2)
        until(space.reached("Succeeded"))
    assert space.status()["trials"]["completed"] == 8
    assert "NotOwned" not in space.events()


def test_a_person_hands_an_experiment_over_and_no_study_begins_anew(
    space: Space, kubeconfig: Path, tmp_path: Path
) -> None:
    """The second operator has another database, and the third one the first one's."""
    first = operator(space, kubeconfig, tmp_path / "first", FIRST)
    second = operator(space, kubeconfig, tmp_path / "second", SECOND)
    with first, second:
        second.stop()  # whoever sees the experiment first claims it
        space.apply(maxTrials=1000, parallelism=2)  # it must not end meanwhile
        until(lambda: space.status().get("trials", {}).get("completed", 0) >= 2)
        assert space.status()["owner"] == FIRST
        second.start()
        hand_over(space, SECOND)
        until(lambda: space.status().get("owner") == SECOND)
        until(space.reached("StudyMissing"))
        said = space.condition("StorageReachable")
        assert said["reason"] == "StudyMissing"
        assert "but the database has none" in said["message"]
        before = space.status()["trials"]
        assert before["completed"] >= 2  # what was found stands
        hand_over(space, FIRST)
        until(lambda: space.status().get("owner") == FIRST)
        space.patch(maxTrials=before["total"] + 2)
        until(lambda: space.status()["trials"]["completed"] > before["completed"])
    assert not list((tmp_path / "second").glob("*.db"))
    third = operator(space, kubeconfig, tmp_path / "first", "three/third")
    with third:  # the first one is gone for good
        until(lambda: "NotOwned" in space.events())
        hand_over(space, "three/third")
        until(space.reached("Succeeded"), seconds=240)
    status = space.status()
    assert status["owner"] == "three/third"
    assert status["trials"]["completed"] == status["trials"]["total"]
