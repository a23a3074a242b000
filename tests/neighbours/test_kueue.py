"""Kueue itself decides which trials of a real node run, and what it says is what the status says.

What Kueue says is asked for when something has waited for half a minute, and once a minute.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support import beside, ledgers
from support.beside import ALONE, good
from support.cluster import Node
from support.cluster.images import Image
from support.kueue import GPU, Kueue
from support.operators import Operator, patiently
from support.postgres import Postgres
from support.spaces import Object, Space, template

pytestmark = pytest.mark.needs("kueue", "openssl")

QUEUE = "gpus"
LABEL = {"kueue.x-k8s.io/queue-name": QUEUE}
WHOLE: Mapping[str, int | str] = {"cpu": 8, "memory": "16Gi"}


@pytest.fixture(scope="module")
def kueue(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kueue]:
    with Kueue(node.plane, tmp_path_factory.mktemp("kueue")) as kueue:
        yield kueue


@pytest.fixture(scope="module")
def operator(
    node: Node,
    kueue: Kueue,  # is there before the operator asks it
    postgresql: Postgres,
    quick_image: Image,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    with beside.working(node, folder, postgresql.url("kueue"), quick_image) as operator:
        yield operator


@pytest.fixture
def space(node: Node, kueue: Kueue, operator: Operator) -> Iterator[Space]:
    """A namespace, whose experiments and queues end with the test."""
    with beside.lent(node) as made:
        yield made
    made.kubectl("delete", "jobs", "--all", "--timeout=60s")
    kueue.remove_queue(made)


def queued(volume: Path, step_seconds: float, *, queue: str = QUEUE, **container: Any) -> Object:
    """Return the template of trials that wait in a queue."""
    made = template(volume, step_seconds, **container)
    return {**made, "metadata": {"labels": {**LABEL, "kueue.x-k8s.io/queue-name": queue}}}


def waits(space: Space, words: str) -> list[str]:
    """Return what is said of the trials that wait, where it has these words in it."""
    recent = space.status().get("recentTrials", [])
    return [t["message"] for t in recent if t["state"] == "Pending" and words in t["message"]]


def in_order(volume: Path, space: Space) -> list[list[int]]:
    known = sorted(ledgers.steps(volume, space).items())
    return [[step for _, step in steps] for _, steps in known]


def test_quota_decides_and_a_preempted_trial_resumes_as_if_nothing_had_happened(
    space: Space, node: Node, kueue: Kueue, volume: Path, quick_image: Image
) -> None:
    kueue.queue(space, QUEUE, {**WHOLE, GPU: 2})
    space.apply(
        template=queued(volume, 2.5),
        baselines=good(3, 4, 5),
        earlyStopping=ALONE,
        maxTrials=3,
        parallelism=3,
    )
    (said,) = patiently(lambda: waits(space, f"insufficient unused quota for {GPU}"))
    assert said.startswith("Kueue does not admit the Job: couldn't assign flavors to pod set main")
    progressing = space.condition("Progressing")["message"]
    assert f"2 processes run, 1 wait: {said}" in progressing
    node.plane.kubectl("create", "priorityclass", "urgent", "--value=1000")
    try:
        space.kubectl("create", "--filename=-", stdin=json.dumps(urgent(quick_image)))
        (said, *_) = patiently(lambda: waits(space, "Preempted to accommodate a workload"))
        assert "it was evicted: Preempted to accommodate a workload" in said
        assert "due to prioritization in the ClusterQueue" in said
        assert space.condition("Degraded")["status"] == "False"
        space.kubectl("delete", "job", "urgent")
        patiently(space.reached("Succeeded"))
    finally:
        node.plane.kubectl("delete", "priorityclass", "urgent")
    assert space.status()["trials"]["failed"] == 0
    assert in_order(volume, space) == 3 * [[*range(20)]]


def urgent(image: Image) -> Object:
    """Return a Job of somebody else, who needs both GPUs now."""
    container = {
        "name": "main",
        "image": image.name,
        "command": ["sleep", "3600"],
        "resources": {"limits": {GPU: 2, "cpu": 1, "memory": "1Gi"}},
    }
    spec = {
        "priorityClassName": "urgent",
        "terminationGracePeriodSeconds": 0,
        "restartPolicy": "Never",
        "containers": [container],
    }
    metadata = {"name": "urgent", "labels": LABEL}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"template": {"spec": spec}},
    }


def test_a_suspended_search_gives_its_quota_back_and_resumes(
    space: Space, kueue: Kueue, volume: Path
) -> None:
    kueue.queue(space, QUEUE, {**WHOLE, GPU: 1})
    space.apply(
        template=queued(volume, 0.5),
        baselines=good(3, 4),
        earlyStopping=ALONE,
        maxTrials=2,
        parallelism=2,
    )
    patiently(lambda: ledgers.steps(volume, space))
    assert kueue.reserved(space)[GPU] == "1"
    space.patch(suspend=True)
    patiently(lambda: space.state() == "Suspended" and kueue.reserved(space)[GPU] == "0")
    assert sum(map(len, in_order(volume, space))) < 20
    space.patch(suspend=False)
    patiently(space.reached("Succeeded"))
    assert in_order(volume, space) == 2 * [[*range(20)]]


def test_a_queue_of_gpus_alone_says_what_it_never_admits_and_holds_no_file(
    space: Space, kueue: Kueue, volume: Path
) -> None:
    kueue.queue(space, QUEUE, {GPU: 4})
    spec: Object = {"maxTrials": 4, "parallelism": 4, "earlyStopping": ALONE, "baselines": good(3)}
    asking = {"limits": {GPU: 1}, "requests": {"cpu": "100m"}}
    space.apply(template=queued(volume, 0.01, resources=asking), **spec)
    unavailable = (
        "couldn't assign flavors to pod set main: resource cpu unavailable in ClusterQueue"
    )
    patiently(lambda: unavailable in space.condition("Progressing").get("message", ""))
    assert not space.live()
    space.patch(template=queued(volume, 0.01, resources={"limits": {GPU: 1}}))
    patiently(space.reached("Succeeded"))
    front = {point["trial"] for point in space.status()["front"]}
    folder = volume / ledgers.results(space) / "trials"
    useless = [each for each in folder.iterdir() if int(each.name) not in {0, *front}]
    assert useless
    patiently(lambda: not any((each / "model").exists() for each in useless))
    patiently(lambda: not [job for job in space.objects("jobs") if job["spec"].get("suspend")])


def test_a_job_that_kueue_has_given_up_says_so_and_what_lets_it_try_again(
    space: Space, node: Node, kueue: Kueue, volume: Path
) -> None:
    kueue.stop()
    requeuing = {"backoffLimitCount": 1, "backoffBaseSeconds": 1}
    kueue.start(waitForPodsReady={"timeout": "10s", "requeuingStrategy": requeuing})
    kueue.queue(space, QUEUE, {**WHOLE, GPU: 4})
    nowhere = queued(volume, 0.05)
    nowhere["spec"]["nodeSelector"] = {"example.com/disk": "fast"}
    space.apply(template=nowhere, baselines=good(3), maxTrials=1, parallelism=1)
    patiently(lambda: space.condition("Degraded").get("reason") == "Deactivated")
    said = space.condition("Degraded")["message"]
    assert "Kueue has given the Job up" in said
    assert "exceeding the maximum number of re-queuing retries" in said
    kueue.stop()
    kueue.start()  # more patient: this machine may be busy
    node.plane.kubectl("label", "node", "node", "example.com/disk=fast")
    try:
        (command,) = re.findall("`kubectl (.*?)`", said)
        space.kubectl(*shlex.split(command))
        patiently(space.reached("Succeeded"))
    finally:
        node.plane.kubectl("label", "node", "node", "example.com/disk-")
