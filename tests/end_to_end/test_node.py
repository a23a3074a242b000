"""The operator on real pods of a real node: trainers' images, PostgreSQL and Prometheus.

The quick trainer's image serves where the trainings themselves do not matter.
"""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from distillery_contract import wire
from distillery_contract.wire import Exit
from distillery_operator.cluster import pod_template
from distillery_operator.resource import label_names
from support import beside, discovery, ledgers, operators
from support.beside import good
from support.cluster import Node, images
from support.cluster.images import Image
from support.ledgers import Step
from support.operators import Operator, until
from support.postgres import Postgres
from support.prometheus import Prometheus
from support.spaces import Object, Space, template


@pytest.fixture(scope="module")
def servers(
    node: Node,
    postgresql: Postgres,
    start_prometheus: type[Prometheus],
    quick_image: Image,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Operator, Prometheus]]:
    """An operator of the node's cluster and the Prometheus that it may ask."""
    folder = tmp_path_factory.mktemp("operator")
    with ExitStack() as stack:
        targets = folder / "targets.json"
        stack.enter_context(discovery.following(node, targets))
        config = json.dumps(discovery.configuration(targets))
        prometheus = stack.enter_context(start_prometheus(folder / "prometheus", config))
        options = [
            f"--prometheus-url={prometheus.url}",
            "--trials-service=distillery/distillery:trials",
        ]
        database = postgresql.url("node")
        working = beside.working(node, folder, database, quick_image, *options)
        operator = stack.enter_context(working)
        operators.expose(node.plane, operator.trials)
        yield operator, prometheus


@pytest.fixture
def space(node: Node, servers: tuple[Operator, Prometheus]) -> Iterator[Space]:
    """A namespace, whose experiments end with the test."""
    with beside.lent(node) as made:
        yield made


def trial_pods(space: Space) -> list[Object]:
    pods = space.objects("pods")
    return [p for p in pods if p["metadata"]["labels"].get(label_names.STAGE) == "train"]


def steps_done(volume: Path, space: Space) -> Sequence[Step]:
    """Return the steps of the first trial."""
    return ledgers.steps(volume, space).get(0, ())


def running(space: Space) -> list[Object]:
    return [p for p in trial_pods(space) if p["status"].get("phase") == "Running"]


def test_a_search_of_real_pods_reaches_its_front(space: Space, volume: Path) -> None:
    space.apply(template=template(volume), maxTrials=6, parallelism=6)
    pending = until(lambda: [t for t in space.status().get("recentTrials", [])
                             if t["reason"] == "Unschedulable"])  # fmt: skip
    assert "nvidia.com/gpu" in pending[0]["message"]
    until(space.reached("Succeeded"))
    status = space.status()
    assert status["gpuHours"] > 0
    assert (volume / status["front"][0]["model"]).is_dir()
    curves = [t for t in status["recentTrials"] if t["values"]]
    assert len(curves) == 6


def interruptions(servers: tuple[Operator, Prometheus], space: Space) -> float:
    """Return what the operator counts of them in a namespace."""
    of = f'{{experiment="tiny",namespace="{space.name}"}}'
    return servers[0].metrics()[f"distillery_attempts_interrupted_total{of}"]


def test_an_evicted_pod_is_resumed_from_its_checkpoint(
    space: Space, volume: Path, servers: tuple[Operator, Prometheus]
) -> None:
    space.apply(template=template(volume, 0.5), baselines=good(3), maxTrials=1, parallelism=1)
    (pod,) = until(lambda: running(space))
    name = pod["metadata"]["name"]
    until(lambda: len(steps_done(volume, space)) >= 2)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": space.name},
    }
    path = f"/api/v1/namespaces/{space.name}/pods/{name}/eviction"
    space.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))
    until(space.reached("Succeeded"))
    assert [step for _, step in steps_done(volume, space)] == list(range(20))  # none twice
    assert {attempt for attempt, _ in steps_done(volume, space)} == {1, 2}
    assert "Restarted" in space.events()
    assert interruptions(servers, space) == 1


def test_suspending_lets_trials_write_a_checkpoint(
    space: Space, volume: Path, servers: tuple[Operator, Prometheus]
) -> None:
    space.apply(template=template(volume, 0.5), baselines=good(3), maxTrials=1, parallelism=1)
    until(lambda: steps_done(volume, space))
    space.patch(suspend=True)
    until(lambda: space.state() == "Suspended" and not space.live())
    assert len(steps_done(volume, space)) < 20
    space.patch(suspend=False)
    until(space.reached("Succeeded"))
    assert [step for _, step in steps_done(volume, space)] == list(range(20))
    assert interruptions(servers, space) == 0  # it was asked to


def test_pods_pause_at_a_rung_and_the_best_go_on(space: Space, volume: Path) -> None:
    pause = {"type": "ASHA", "pause": True, "rungs": [0.25, 0.5], "reductionFactor": 2}
    space.apply(
        template=template(volume, 1.0),
        earlyStopping={**pause, "collapse": False},
        maxTrials=3,
        parallelism=2,
    )
    until(space.reached("Succeeded"), 400)
    status = space.status()
    assert status["progress"] == "3/3"
    counts = status["trials"]
    assert counts["completed"] >= 1
    assert counts["completed"] + counts["stopped"] == counts["total"] == 3
    assert {"Paused", "Promoted", "Completed"} <= space.events()
    stopped = [t for t in status["recentTrials"] if t["state"] == "Stopped"]
    assert len(stopped) >= 2
    assert all("waits to be one of the best" in t["message"] for t in stopped)
    known = sorted(ledgers.steps(volume, space).items())
    taken = [[step for _, step in steps] for _, steps in known]
    assert all(steps == list(range(steps[0], steps[0] + len(steps))) for steps in taken)
    begun = [steps[0] for steps in taken]
    assert len(begun) > 3  # what goes on is another trial, in a folder of its own
    assert begun[:3] == [0, 0, 0]
    assert all(first > 0 for first in begun[3:])


def test_progress_and_metrics_are_read_while_a_trial_runs(space: Space, volume: Path) -> None:
    space.apply(template=template(volume, 0.4), baselines=good(3), maxTrials=1, parallelism=1)
    seen = until(lambda: [t for t in space.status().get("recentTrials", []) if t.get("progress")])
    assert 0 < seen[0]["progress"] < 1
    assert "exact" in seen[0]["values"]


def test_an_image_that_cannot_be_pulled_is_said_and_mended(space: Space, volume: Path) -> None:
    broken = template(volume, image="localhost/no-such:1", imagePullPolicy="Never")
    space.apply(template=broken, maxTrials=1, parallelism=1)
    until(lambda: space.condition("Degraded").get("status") == "True")
    condition = space.condition("Degraded")
    assert condition["reason"] == "ImagePullFailed"
    assert "localhost/no-such:1" in condition["message"]
    assert "ImagePullFailed" in until(space.events)
    space.patch(template=template(volume))
    until(space.reached("Succeeded"))


def test_a_missing_secret_is_said_and_nothing_runs(space: Space, volume: Path) -> None:
    secret = {"secretKeyRef": {"name": "absent", "key": "token"}}
    broken = template(volume, env=[{"name": "TOKEN", "valueFrom": secret}])
    space.apply(template=broken, maxTrials=1, parallelism=1)
    until(lambda: space.condition("Degraded").get("reason") == "PodConfigInvalid")
    assert 'secret "absent" not found' in space.condition("Degraded")["message"]
    assert not running(space)


SCRIPT = """
import json, os, sys
sys.path.insert(0, "/opt")
import quick_trainer
trains = json.loads(os.environ["DISTILLERY_REQUEST"])["stage"] == "train"
"""

HOG = """
leave, held = quick_trainer.Shown.leave, []
def fill(shown):
    leave(shown)
    while trains:
        held.append(bytearray(2**24))
quick_trainer.Shown.leave = fill
sys.exit(quick_trainer.main())
"""

SPOIL = """
code = quick_trainer.main()
if trains:
    open("/dev/termination-log", "w").write("x" * 5000)
sys.exit(code)
"""


def test_a_trial_beyond_its_memory_is_infeasible_and_keeps_its_last_words(
    space: Space, volume: Path
) -> None:
    command, limits = ["python", "-c", SCRIPT + HOG], {"memory": "100Mi"}
    made = template(volume, command=command, resources={"limits": limits})
    space.apply(template=made, maxTrials=1, parallelism=1)
    until(space.reached("Failed"))
    (trial,) = space.status()["recentTrials"]
    assert (trial["state"], trial["reason"]) == ("Infeasible", "OutOfMemory")
    assert "OOMKilled" in trial["message"]
    assert trial["values"]["exact"] > 0  # written before, kept by the kubelet after the kill
    (pod,) = trial_pods(space)
    terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert terminated["reason"] == "OOMKilled"
    assert terminated["message"].endswith("# EOF\n")


def test_a_termination_message_is_written_in_place_by_a_non_root_read_only_pod(
    space: Space, volume: Path
) -> None:
    space.apply(template=template(volume, 0.01), baselines=good(3), maxTrials=1, parallelism=1)
    until(space.reached("Succeeded"))
    (pod,) = trial_pods(space)  # of a baseline: early stopping would take the pod away
    assert pod["spec"]["securityContext"]["runAsUser"] == pod_template.USER
    container = pod["spec"]["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert 0 < len(terminated["message"]) <= wire.TERMINATION_MESSAGE_LIMIT
    assert terminated["message"].endswith("# EOF\n")


def test_metrics_of_a_pod_that_is_gone_come_from_prometheus(
    space: Space, volume: Path, servers: tuple[Operator, Prometheus]
) -> None:
    """A message that something else has overwritten is no result; the server scraped the last."""
    operator, prometheus = servers
    made = template(volume, 0.01, command=["python", "-c", SCRIPT + SPOIL])
    linger = {"name": "QUICK_TRAINER_LINGER_SECONDS", "value": "15"}
    made["spec"]["containers"][0]["env"].append(linger)
    operator.stop()
    space.apply(template=made, maxTrials=1, parallelism=1)
    operator.start()
    until(lambda: running(space))
    until(lambda: prometheus.query("distillery_trial_final == 1"))
    operator.stop()  # so that its own scrapes see no end
    until(lambda: not running(space))
    operator.start()
    until(space.reached("Succeeded"))
    found = operator.metrics()
    assert found['distillery_trial_metrics_source_total{source="Prometheus"}'] == 1


def kept(space: Space) -> Object | None:
    """Return the newest pod of a training with its last words, None while it has none."""
    pods = sorted(trial_pods(space), key=lambda p: str(p["metadata"]["creationTimestamp"]))
    statuses = pods[-1]["status"].get("containerStatuses", []) if pods else []
    found: Object | None = next((s["state"].get("terminated") for s in statuses), None)
    return found


def test_a_held_pod_keeps_its_metrics_though_it_and_its_job_are_deleted(
    space: Space, volume: Path, servers: tuple[Operator, Prometheus]
) -> None:
    operator, _ = servers
    space.apply(
        template=template(volume, 0.05),
        baselines=good(3),
        maxTrials=1,
        parallelism=1,
        metricsDurability="Strict",
    )
    until(lambda: running(space))
    operator.stop()
    until(lambda: kept(space))
    space.kubectl("delete", "jobs", "--all", "--wait=false")
    space.kubectl("delete", "pods", "--all", "--wait=false")
    until(lambda: not space.objects("jobs"))
    (pod,) = trial_pods(space)  # deleted, and still there
    assert "deletionTimestamp" in pod["metadata"]
    operator.start()
    until(space.reached("Succeeded"))
    assert (
        operator.metrics()['distillery_trial_metrics_source_total{source="TerminationMessage"}']
        == 1
    )
    until(lambda: not trial_pods(space))
    assert {attempt for attempt, _ in steps_done(volume, space)} == {1}  # no second attempt


def test_what_a_trial_says_at_its_sigterm_is_kept(space: Space, volume: Path) -> None:
    space.apply(
        template=template(volume, 0.5),
        baselines=good(3),
        maxTrials=1,
        parallelism=1,
        metricsDurability="Strict",
    )
    until(lambda: steps_done(volume, space))
    space.patch(suspend=True)
    # Jobs count a pod as active no longer once it is asked to end, which takes it a while.
    until(lambda: space.state() == "Suspended" and not space.live() and kept(space))
    terminated = kept(space)
    assert terminated is not None
    assert terminated["exitCode"] == Exit.INTERRUPTED
    assert terminated["message"].endswith("# EOF\n")
    space.patch(suspend=False)
    until(lambda: running(space))
    until(lambda: len(trial_pods(space)) == 1)  # the first one is free to go
    until(space.reached("Succeeded"))


def test_held_pods_of_a_deleted_experiment_are_free_to_go(
    space: Space, volume: Path, servers: tuple[Operator, Prometheus]
) -> None:
    operator, _ = servers
    space.apply(
        template=template(volume, 0.5),
        baselines=good(3),
        maxTrials=1,
        parallelism=1,
        metricsDurability="Strict",
    )
    until(lambda: running(space))
    space.kubectl("delete", "dexp", "tiny", "--cascade=foreground", "--wait=false")
    until(lambda: not space.objects("pods") and not space.objects("dexp"))
    space.apply(
        "other",
        template=template(volume, 0.5),
        maxTrials=1,
        parallelism=1,
        metricsDurability="Strict",
    )
    until(lambda: running(space))
    operator.stop()
    space.kubectl("delete", "dexp", "other")
    until(lambda: kept(space))
    operator.start()
    until(lambda: not space.objects("pods"))


def test_a_model_is_exported_from_the_volume_by_a_pod_that_goes(
    space: Space, node: Node, volume: Path, tmp_path: Path
) -> None:
    space.apply(template=template(volume, 0.01), maxTrials=2, parallelism=2)
    until(space.reached("Succeeded"))
    point = space.status()["front"][0]
    command = [sys.executable, "-m", "distillery_operator", "export", "--experiment", "tiny"]
    command += [f"--kubeconfig={node.plane.kubeconfig}", f"--namespace={space.name}"]

    def export(trial: int, folder: str) -> subprocess.CompletedProcess[str]:
        words = [*command, str(trial), folder]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    weights = volume / point["model"] / "weights"  # the quick trainer has none
    weights.write_bytes(random.Random(1).randbytes(5_000_000))
    done = export(point["trial"], "there/model")
    assert done.returncode == 0, done.stderr
    exported = files(tmp_path / "there" / "model")
    assert f"# Trial {point['trial']} of tiny" in exported.pop("README.md").decode()  # its card
    assert exported == files(volume / point["model"]) != {}
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["model"]
    assert "must not exist yet" in export(point["trial"], "there/model").stderr
    shutil.rmtree(volume / point["model"])
    done = export(point["trial"], "gone")
    assert (done.returncode, "No such file or directory" in done.stderr) == (2, True)
    assert not (tmp_path / "gone").exists()
    assert "has no model; trials with one: [" in export(99, "none").stderr
    names = {pod["metadata"]["name"] for pod in space.objects("pods")}
    assert not [name for name in names if "reader" in name]


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.needs("images")
def test_a_real_training_runs_on_the_cluster_as_on_one_machine(
    space: Space,
    node: Node,
    volume: Path,
    tiny_squad_files: tuple[Path, Path],
    tiny_teacher: Path,
) -> None:
    image = images.trainer()
    node.load(image.archive)
    folder = volume / "real"
    folder.mkdir()
    for name, path in zip(("train", "validation"), tiny_squad_files, strict=True):
        shutil.copy(path, folder / f"{name}.json")
    shutil.copytree(tiny_teacher, folder / "teacher")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    made = template(volume, image=image.name)
    space.apply(
        template=made,
        data={
            "train": "real/train.json",
            "validation": "real/validation.json",
            "maxLength": 64,
            "stride": 16,
            "maxQueryLength": 16,
        },
        teacher={"model": "real/teacher"},
        parameters=[
            {"name": "n_layers", "type": "Int", "low": 1, "high": 3},
            {"name": "learning_rate", "type": "Float", "low": 1e-4, "high": 1e-3, "log": True},
        ],
        objectives=[
            {"metric": "exact", "direction": "Maximize"},
            {"metric": "parameter_count", "direction": "Minimize"},
        ],
        constraints=[
            {"metric": "HasAns_exact", "minimum": 0},
            {"metric": "NoAns_exact", "minimum": 0},
        ],
        training={"epochs": 2},
        maxTrials=4,
        parallelism=2,
    )
    until(space.reached("Succeeded"), 400)
    status = space.status()
    assert status["trials"]["completed"] == 4
    sizes = {point["values"]["parameter_count"] for point in status["front"]}
    assert len(sizes) == status["frontSize"]
    for point in status["front"]:
        assert (volume / point["model"] / "config.json").exists()
        assert (volume / point["model"] / "model.safetensors").exists()
