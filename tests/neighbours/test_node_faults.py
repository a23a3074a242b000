"""What goes wrong around the pods of a real node: what the status says, and what follows."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support import beside, ledgers
from support.beside import ALONE, good
from support.cluster import Node
from support.cluster.images import Image
from support.half_open import HalfOpen
from support.operators import Operator, patiently
from support.postgres import Postgres
from support.sidecars import injected
from support.spaces import Object, Space, install, template
from support.witness import Witness

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture(scope="module")
def database(postgresql: Postgres) -> str:
    return postgresql.url("faults")


@pytest.fixture(scope="module")
def operator(
    node: Node, database: str, quick_image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    with beside.working(node, folder, database, quick_image) as operator:
        yield operator


@pytest.fixture
def space(node: Node, operator: Operator) -> Iterator[Space]:
    """A namespace, whose experiments end with the test."""
    with beside.lent(node) as made:
        yield made


def steps(volume: Path, space: Space, trial: int = 0) -> list[int]:
    return [step for _, step in ledgers.steps(volume, space).get(trial, ())]


def gracious(template: Object) -> Object:
    """Let pods have ten seconds to end: what does not listen takes them all."""
    template["spec"]["terminationGracePeriodSeconds"] = 10
    return template


def test_a_sidecar_in_every_pod_keeps_no_result_no_file_and_no_deletion(
    space: Space, node: Node, volume: Path, quick_image: Image, tmp_path: Path
) -> None:
    sleeper = {"name": "sleeper", "image": quick_image.name, "command": ["sleep", "3600"]}
    with injected(node.plane, space, tmp_path, sleeper):
        space.apply(
            template=gracious(template(volume, 0.01)),
            baselines=good(3),
            earlyStopping=ALONE,
            deletionPolicy="Delete",
            maxTrials=4,
            parallelism=4,
        )
        patiently(space.reached("Succeeded"))
        assert space.status()["trials"]["failed"] == 0
        (said, *_) = [e["message"] for e in space.objects("events") if e["reason"] == "Lingering"]
        assert "the trainer has ended, but containers of its pod still run: sleeper" in said
        folder = volume / ledgers.results(space)
        front = {point["trial"] for point in space.status()["front"]}
        useless = [e for e in (folder / "trials").iterdir() if int(e.name) not in {0, *front}]
        assert useless
        patiently(lambda: not any((each / "model").exists() for each in useless))
        space.kubectl("delete", "dexp", "tiny", "--timeout=180s")
        assert not folder.exists()


TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def impatient(volume: Path, step_seconds: float) -> Object:
    """Return a template whose pods are given up soon, when their node does not answer."""
    made = gracious(template(volume, step_seconds))
    made["spec"]["tolerations"] = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10}
        for key in TOLERATED
    ]
    return made


def trial(space: Space, number: int) -> Object:
    found = space.status().get("recentTrials", [])
    return next((each for each in found if each["trial"] == number), {})


def test_a_trial_on_a_node_that_falls_silent_holds_no_slot_and_trains_once(
    space: Space, node: Node, volume: Path, database: str
) -> None:
    space.apply(
        template=impatient(volume, 12),
        baselines=good(3),
        earlyStopping=ALONE,
        maxTrials=2,
        parallelism=1,
    )
    patiently(lambda: len(steps(volume, space)) >= 2)
    with Witness(space, database) as witness:
        with node.silent():
            patiently(lambda: trial(space, 0).get("reason") == "NodeLost")
            assert "the node node does not answer" in trial(space, 0)["message"]
            patiently(lambda: space.condition("Degraded").get("reason") == "NodeLost")
            said = space.condition("Degraded")["message"]
            for freed in ("kubectl delete node node", "kubectl taint nodes node"):
                assert freed in said
            assert "1 cannot be reached" in space.condition("Progressing")["message"]
            patiently(lambda: trial(space, 1).get("reason") == "Unschedulable")  # it has the slot
            space.patch(template=impatient(volume, 0.05))  # what begins now is done soon
        patiently(space.reached("Succeeded"))
        assert (witness.live_jobs, witness.live_pods) == (1, 1)
    assert steps(volume, space) == [*range(20)]  # none twice
    assert space.status()["trials"]["failed"] == 0


def reached(witness: Witness, told: int) -> bool:
    return witness.told >= told


def test_two_operators_and_kills_end_each_trial_once(
    space: Space,
    node: Node,
    operator: Operator,
    database: str,
    volume: Path,
    quick_image: Image,
    tmp_path: Path,
) -> None:
    trials = 16
    kubeconfig = install(node.plane, tmp_path)
    log = tmp_path / "log"
    second = Operator(kubeconfig, database, log, beside.SCRAPE, image=quick_image.name)
    with Witness(space, database) as witness, second:
        space.apply(
            template=template(volume, 0.1), earlyStopping=ALONE, maxTrials=trials, parallelism=4
        )
        for turn, killed in enumerate((second, operator, second, operator)):
            patiently(partial(reached, witness, 3 * (turn + 1)))
            killed.stop(signal.SIGKILL)
            killed.start()
        second.stop(signal.SIGKILL)
        patiently(space.reached("Succeeded"))
        patiently(lambda: witness.told == trials)
    assert witness.doubled(trials) == 0
    assert (witness.live_jobs, witness.live_pods) == (1, 1)
    assert ledgers.repeated(volume, space) == 0
    assert "fault of the program" not in log.read_text()


def test_a_deleted_namespace_takes_its_search_along_and_holds_up_no_other(
    space: Space, node: Node, volume: Path
) -> None:
    other = Space(node.plane)
    for each in (space, other):
        each.apply(
            template=template(volume, 0.5),
            baselines=good(3),
            earlyStopping=ALONE,
            deletionPolicy="Delete",
            metricsDurability="Strict",
            maxTrials=2,
            parallelism=2,
        )
    patiently(lambda: steps(volume, space) and steps(volume, other))
    node.plane.kubectl("delete", "namespace", other.name, "--timeout=180s")
    patiently(space.reached("Succeeded"))
    assert space.status()["trials"]["failed"] == 0


def test_a_quota_that_refuses_pods_is_told_in_its_words_and_the_search_continues(
    space: Space, volume: Path
) -> None:
    space.kubectl("create", "quota", "gpus", "--hard=requests.nvidia.com/gpu=1")
    space.apply(
        template=template(volume, 2.5),
        baselines=good(3),
        earlyStopping=ALONE,
        maxTrials=2,
        parallelism=2,
    )

    def refused() -> str:
        said: str = space.condition("Progressing").get("message", "")
        return said if "exceeded quota: gpus" in said else ""

    said = patiently(refused)
    assert "1 processes run, 1 wait: the Job has no pod yet: FailedCreate" in said
    assert "requested: requests.nvidia.com/gpu=1" in said
    patiently(space.reached("Succeeded"))
    assert space.status()["trials"]["failed"] == 0


def test_a_watch_that_falls_silent_holds_no_search_up(
    space: Space,
    node: Node,
    operator: Operator,
    database: str,
    volume: Path,
    quick_image: Image,
    tmp_path: Path,
) -> None:
    way = HalfOpen(install(node.plane, tmp_path), tmp_path)
    operator.stop()
    log = tmp_path / "log"
    try:
        with (
            way.serving(),
            Operator(
                way.kubeconfig, database, log, beside.SCRAPE, image=quick_image.name
            ) as watching,
        ):
            space.apply(
                template=template(volume, 0.2), earlyStopping=ALONE, maxTrials=12, parallelism=2
            )
            patiently(lambda: space.status().get("trials", {}).get("completed"))
            assert way.silence() >= 3  # experiments, Jobs, pods
            patiently(space.reached("Succeeded"))
            assert watching.exit_code is None
    finally:
        operator.start()
    assert ledgers.repeated(volume, space) == 0
