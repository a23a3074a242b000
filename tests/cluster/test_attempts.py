from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.cluster import attempts, outcomes, pod_template
from distillery_operator.engine import decide, requests
from distillery_operator.engine.actions import Launch, Tell
from distillery_operator.trials.attempt import Attempt, Phase
from distillery_operator.trials.trial import State, Trial
from support import shapes, worlds
from support.shapes import (
    Object,
    at,
    complete,
    condition,
    container,
    disrupted,
    disruption,
    exceeded,
    expired,
    failed_with,
    job,
    pod,
    running,
    scheduled,
    seconds,
    terminated,
    waiting,
)

DIGEST = pod_template.digest(shapes.experiment(), shapes.DEFAULTS)
NAME = "tiny-8f1c2f7e-00000-1"
POD = f"{NAME}-x7k2p"
URL = "http://10.1.0.7:9090/metrics"

REQUEST = requests.digest(requests.order(shapes.experiment(), Launch(Stage.TRAIN, 0, 1)))

PENDING = Attempt(
    Stage.TRAIN,
    0,
    1,
    Phase.PENDING,
    created=seconds(0),
    digest=REQUEST,
    identity=f"job-{NAME}",
    generation=1,
    image=shapes.DEFAULTS.image,
)
WAITS = replace(PENDING, pod=POD, waiting_since=seconds(0))
RUNS = replace(PENDING, pod=POD, phase=Phase.RUNNING, started=seconds(5), metrics_url=URL)
ENDED = replace(PENDING, pod=POD, phase=Phase.ENDED, started=seconds(5), ended=seconds(65))
GONE = replace(PENDING, phase=Phase.ENDED, ended=seconds(66))
LOST = replace(GONE, pod=POD, disrupted=True)
"""Ended by the infrastructure without a trace of a start."""

BY_INFRASTRUCTURE = "the pod was ended by the infrastructure: "
BACK_OFF = 'Back-off pulling image "registry.example/trainer:1"'
NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
NO_SECRET = 'secret "hub" not found'
LOW_MEMORY = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi."
ALLOCATION = "Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate"
NOT_TAKEN = "no machine took the pod within spec.pendingTimeoutSeconds"
LIMIT = (
    "the container exceeded its memory limit (OOMKilled);"
    " raise resources.limits.memory in spec.template if many trials end so"
)


def attempt(found: Object, *pods: Object) -> Attempt:
    return attempts.attempt(found, pods, DIGEST)


def one(found: Object, *arguments: Any, **more: Any) -> tuple[Object, Object]:
    """A Job and its pod."""
    return found, pod(found, *arguments, **more)


SIDECAR_KILLED = container("shipper", terminated(137))

LIVE: dict[str, tuple[tuple[Object, ...], Attempt]] = {
    "queued by suspend": (
        (job(suspend=True),),
        replace(
            PENDING,
            reason="Queued",
            message="the Job is suspended, and names no queue:"
            " it starts when its spec.suspend is false",
        ),
    ),
    "queued in a queue": (
        (job(of=shapes.experiment(template=worlds.QUEUED), suspend=True),),
        replace(
            PENDING,
            reason="Queued",
            outdated=True,  # it has a template of its own
            message="the Job is suspended: it waits for quota in the queue gpus",
        ),
    ),
    "an init container takes its time": (
        one(
            job(),
            "Pending",
            waiting("PodInitializing"),
            init=(container("proxy", running()), container("fetch", running())),
        ),
        replace(
            WAITS,
            reason="Starting",
            message="the pod starts: its init container fetch runs",
        ),
    ),
    "no pod yet": (
        (job(),),
        replace(
            PENDING,
            reason="NoPod",
            waiting_since=seconds(0),
            message=f"the Job has no pod yet; `kubectl describe job {NAME}` says why",
        ),
    ),
    "unschedulable": (
        one(
            job(),
            "Pending",
            None,
            condition("PodScheduled", "False", "Unschedulable", NO_GPU),
            ip=None,
        ),
        replace(WAITS, reason="Unschedulable", message=f"no node takes the pod: {NO_GPU}"),
    ),
    "image cannot be pulled": (
        one(job(), "Pending", waiting("ImagePullBackOff", BACK_OFF)),
        replace(
            WAITS,
            reason="ImagePullFailed",
            message="the image registry.example/trainer:1 cannot be pulled:"
            f" ImagePullBackOff: {BACK_OFF}",
        ),
    ),
    "image of an init container cannot be pulled": (
        one(
            job(),
            "Pending",
            waiting("PodInitializing"),
            init=(container("fetch", waiting("ErrImagePull", "not found")),),
        ),
        replace(
            WAITS,
            reason="ImagePullFailed",
            message="the image registry.example/fetch:1 cannot be pulled: ErrImagePull: not found",
        ),
    ),
    "missing secret": (
        one(job(), "Pending", waiting("CreateContainerConfigError", NO_SECRET)),
        replace(
            WAITS,
            reason="PodConfigInvalid",
            message="the container trainer cannot be made:"
            f" CreateContainerConfigError: {NO_SECRET}",
        ),
    ),
    "starting": (
        one(job(), "Pending", waiting("ContainerCreating")),
        replace(WAITS, reason="Starting", message="the pod starts"),
    ),
    "scheduled, not seen by a kubelet": (
        one(job(), "Pending", None),
        replace(WAITS, reason="Starting", message="the pod starts"),
    ),
    "running": (one(job(), "Running", running()), RUNS),
    "running with an IPv6 address": (
        one(job(), "Running", running(), ip="fd00:10::7"),
        replace(RUNS, metrics_url="http://[fd00:10::7]:9090/metrics"),
    ),
    "running with a sidecar, which comes first": (
        one(
            job(),
            "Running",
            running(),
            others=(container("shipper", waiting("ContainerCreating")),),
        ),
        RUNS,
    ),
    "asked to end": (
        one(job(halted=True), "Running", running(), deleted=30),
        replace(RUNS, halted=True),
    ),
    "Job complete, but the pod's watch lags": (one(job(complete()), "Running", running()), RUNS),
    "Job failed, but the pod's watch lags": (one(job(failed_with(1)), "Running", running()), RUNS),
    "pod ended, but the Job does not know": (one(job(), "Failed", terminated(1)), RUNS),
    "the Job's end is decided, not carried out": (
        one(job({**complete(), "type": "SuccessCriteriaMet"}), "Succeeded", terminated(0)),
        RUNS,
    ),
}

ENDINGS: dict[str, tuple[tuple[Object, ...], Attempt]] = {
    "complete with message": (
        one(job(complete()), "Succeeded", terminated(0, message="# EOF\n")),
        replace(ENDED, exit_code=0, termination_message="# EOF\n"),
    ),
    "complete and the pod gone": (
        (job(complete()),),
        replace(GONE, exit_code=0, started=seconds(0), disrupted=True, message=outcomes.UNREAD),
    ),
    **{
        f"{code.name}": (
            one(job(failed_with(code)), "Failed", terminated(code, message="x")),
            replace(ENDED, exit_code=code, termination_message="x"),
        )
        for code in Exit
        if code is not Exit.OK
    },
    **{
        f"{code.name} and the pod gone": (
            (job(failed_with(code)),),
            replace(GONE, exit_code=code, started=seconds(0)),
        )
        for code in Exit
        if code is not Exit.OK
    },
    "crash": (
        one(job(failed_with(1)), "Failed", terminated(1)),
        replace(ENDED, exit_code=1, reason="Crashed", message="the trainer ended with exit code 1"),
    ),
    "no such command": (
        one(job(failed_with(128)), "Failed", terminated(128, "StartError")),
        replace(
            ENDED,
            exit_code=128,
            reason="Crashed",
            message="the trainer ended with exit code 128 (StartError)",
        ),
    ),
    "crash and the pod gone": (
        (job(failed_with(137)),),
        replace(GONE, exit_code=137, started=seconds(0)),
    ),
    "out of the container's memory": (
        one(job(failed_with(137)), "Failed", terminated(137, "OOMKilled")),
        replace(ENDED, exit_code=Exit.OUT_OF_MEMORY, reason="OOMKilled", message=LIMIT),
    ),
    "a child out of memory, and the trainer tells more": (
        one(job(failed_with(Exit.DIVERGED)), "Failed", terminated(Exit.DIVERGED, "OOMKilled")),
        replace(ENDED, exit_code=Exit.DIVERGED),
    ),
    "halted": (
        one(job(failed_with(75), halted=True), "Failed", terminated(75), deleted=64),
        replace(ENDED, exit_code=75, halted=True),
    ),
    "halted and killed": (
        one(job(failed_with(137), halted=True), "Failed", terminated(137), deleted=63),
        replace(
            ENDED,
            exit_code=75,
            halted=True,
            disrupted=True,
            reason="Deleted",
            message="the pod was deleted before it had ended",
        ),
    ),
    "halted and killed, and the pod gone": (
        (job(failed_with(137), halted=True),),
        replace(GONE, exit_code=75, halted=True, started=seconds(0)),
    ),
    "halted, but diverged before": (
        one(job(failed_with(67), halted=True), "Failed", terminated(67), deleted=64),
        replace(ENDED, exit_code=67, halted=True),
    ),
    "an init container failed": (
        one(
            job(exceeded()),
            "Failed",
            waiting("PodInitializing"),
            init=(container("check", terminated(0)), container("fetch", terminated(3))),
        ),
        replace(
            GONE,
            pod=POD,
            exit_code=3,
            reason="Crashed",
            message="init container fetch ended with exit code 3",
        ),
    ),
    "a sidecar failed after the trainer had ended well": (
        one(
            job(exceeded()),
            "Failed",
            terminated(0, message="# EOF\n"),
            others=(SIDECAR_KILLED,),
        ),
        replace(ENDED, exit_code=0, termination_message="# EOF\n"),
    ),
    "a sidecar was killed as usual": (
        one(job(complete()), "Succeeded", terminated(0), init=(SIDECAR_KILLED,)),
        replace(ENDED, exit_code=0),
    ),
}

SHIPPER = container("shipper", running())

LINGERING: dict[str, tuple[tuple[Object, ...], Attempt]] = {
    "the trainer ended well beside a sidecar that stays": (
        one(job(), "Running", terminated(0, message="# EOF\n"), others=(SHIPPER,)),
        replace(ENDED, exit_code=0, termination_message="# EOF\n", lingers=("shipper",)),
    ),
    "the trainer diverged beside sidecars that stay, or never came up": (
        one(
            job(),
            "Running",
            terminated(Exit.DIVERGED, message="x"),
            others=(SHIPPER, container("proxy", waiting("ImagePullBackOff", "not found"))),
        ),
        replace(
            ENDED,
            exit_code=Exit.DIVERGED,
            termination_message="x",
            lingers=("shipper", "proxy"),
        ),
    ),
    "the trainer crashed beside a sidecar, and the pod is being ended": (
        one(job(), "Running", terminated(1), others=(SHIPPER,), deleted=66),
        replace(
            ENDED,
            exit_code=1,
            reason="Crashed",
            message="the trainer ended with exit code 1",
            lingers=("shipper",),
            closing=True,
        ),
    ),
    "evicted, and the sidecar ends last": (
        one(
            job(),
            "Running",
            terminated(75, message="x"),
            scheduled(),
            disruption("EvictionByEvictionAPI", "Eviction API: evicting"),
            others=(SHIPPER,),
            deleted=64,
        ),
        replace(
            ENDED,
            disrupted=True,
            reason="Evicted",
            message="the pod was ended by the infrastructure: Eviction API: evicting",
            termination_message="x",
            lingers=("shipper",),
            closing=True,
        ),
    ),
    "asked to end, and the sidecar ends last": (
        one(job(halted=True), "Running", terminated(75), others=(SHIPPER,), deleted=64),
        replace(ENDED, exit_code=75, halted=True, lingers=("shipper",), closing=True),
    ),
}
"""Read although the pod lives: its trainer has ended, and never starts again."""

EVICTION = "Eviction API: evicting"
PREEMPTION = "default-scheduler: preempting to accommodate a higher priority pod"
TAINT = "Taint manager: deleting due to NoExecute taint"
SHUTDOWN = "Pod was terminated in response to imminent node shutdown."
NO_NODE = "PodGC: node no longer exists"
PREEMPTING = "Pod was preempted by Kubelet to accommodate a critical pod."

INFRASTRUCTURE: dict[str, tuple[tuple[Object, ...], Attempt]] = {
    "evicted by the API": (
        one(
            job(disrupted()),
            "Failed",
            terminated(75, message="x"),
            scheduled(),
            disruption("EvictionByEvictionAPI", EVICTION),
            deleted=64,
        ),
        replace(
            ENDED,
            disrupted=True,
            reason="Evicted",
            message=BY_INFRASTRUCTURE + EVICTION,
            termination_message="x",
        ),
    ),
    "suspended by its queue, and seen to end before the pod had gone": (
        one(job(failed_with(75), suspend=True), "Failed", terminated(75), deleted=64),
        replace(
            ENDED,
            exit_code=75,
            disrupted=True,
            reason="Preempted",
            message="its Job was suspended while it ran, as a queue does that preempts it",
        ),
    ),
    "evicted by the kubelet": (
        one(
            job(disrupted()),
            "Failed",
            terminated(137),
            disruption("TerminationByKubelet", LOW_MEMORY),
            reason="Evicted",
            message=LOW_MEMORY,
        ),
        replace(ENDED, disrupted=True, reason="Evicted", message=BY_INFRASTRUCTURE + LOW_MEMORY),
    ),
    "evicted by the kubelet, which forgot the condition": (
        one(
            job(failed_with(137)),
            "Failed",
            terminated(137),
            reason="Evicted",
            message=LOW_MEMORY,
        ),
        replace(ENDED, disrupted=True, reason="Evicted", message=BY_INFRASTRUCTURE + LOW_MEMORY),
    ),
    "the node shuts down": (
        one(
            job(disrupted()),
            "Failed",
            terminated(75),
            disruption("TerminationByKubelet", SHUTDOWN),
            reason="Terminated",
            message=SHUTDOWN,
        ),
        replace(ENDED, disrupted=True, reason="NodeLost", message=BY_INFRASTRUCTURE + SHUTDOWN),
    ),
    "preempted by the kubelet": (
        one(
            job(disrupted()),
            "Failed",
            terminated(137),
            disruption("TerminationByKubelet", PREEMPTING),
            reason="Preempting",
            message="Preempted in order to admit critical pod",
        ),
        replace(ENDED, disrupted=True, reason="Preempted", message=BY_INFRASTRUCTURE + PREEMPTING),
    ),
    "preempted by the scheduler": (
        one(
            job(disrupted()),
            "Failed",
            terminated(137),
            disruption("PreemptionByScheduler", PREEMPTION),
            deleted=63,
        ),
        replace(ENDED, disrupted=True, reason="Preempted", message=BY_INFRASTRUCTURE + PREEMPTION),
    ),
    "preempted before it ran": (
        one(
            job(disrupted()),
            "Failed",
            waiting("ContainerCreating"),
            disruption("PreemptionByScheduler", PREEMPTION),
            deleted=3,
        ),
        replace(LOST, reason="Preempted", message=BY_INFRASTRUCTURE + PREEMPTION),
    ),
    "driven off by a taint": (
        one(
            job(disrupted()),
            "Failed",
            terminated(75),
            disruption("DeletionByTaintManager", TAINT),
            deleted=64,
        ),
        replace(ENDED, disrupted=True, reason="NodeLost", message=BY_INFRASTRUCTURE + TAINT),
    ),
    "driven off by a taint of its GPU": (
        one(
            job(disrupted()),
            "Failed",
            terminated(75),
            disruption(
                "DeletionByDeviceTaintManager",
                "Device Taint manager: deleting due to NoExecute taint",
            ),
            deleted=64,
        ),
        replace(
            ENDED,
            disrupted=True,
            reason="NodeLost",
            message=BY_INFRASTRUCTURE + "Device Taint manager: deleting due to NoExecute taint",
        ),
    ),
    "the node was removed": (
        one(
            job(disrupted()),
            "Failed",
            running(),
            disruption("DeletionByPodGC", NO_NODE),
            deleted=64,
            grace=0,
        ),
        # It ran since then, so its GPU time counts although nobody saw its end.
        replace(
            LOST,
            started=seconds(5),
            ended=seconds(64),
            reason="NodeLost",
            message=BY_INFRASTRUCTURE + NO_NODE,
        ),
    ),
    "no machine took it in time": (
        one(
            job(expired()),
            "Failed",
            None,
            condition("PodScheduled", "False", "Unschedulable", NO_GPU),
            deleted=60,
        ),
        replace(LOST, reason="PendingTimeout", message=NOT_TAKEN),
    ),
    "no machine took it in time, and the pod gone": (
        (job(expired()),),
        replace(GONE, disrupted=True, reason="PendingTimeout", message=NOT_TAKEN),
    ),
    "it started just when its wait was over": (
        one(job(expired()), "Failed", terminated(75, message="x"), deleted=64),
        replace(ENDED, exit_code=75, termination_message="x"),
    ),
    "disrupted and the pod gone": (
        (job(disrupted()),),
        replace(
            GONE,
            disrupted=True,
            reason="Evicted",
            message="the pod was evicted, preempted or lost its node",
        ),
    ),
    "the node's end was not seen": (
        one(
            job(failed_with(137)),
            "Failed",
            terminated(
                137,
                "ContainerStatusUnknown",
                "The container could not be located when the pod was terminated",
                since=None,
            ),
        ),
        replace(
            LOST,
            reason="NodeLost",
            message="the node lost the container",
            termination_message="The container could not be located when the pod was terminated",
        ),
    ),
    "the node restarted": (
        one(job(failed_with(255)), "Failed", terminated(255, "Unknown")),
        replace(ENDED, disrupted=True, reason="NodeLost", message="the node lost the container"),
    ),
    "the node has no such GPU any more": (
        one(
            job(exceeded()),
            "Failed",
            None,
            reason="UnexpectedAdmissionError",
            message=ALLOCATION,
        ),
        replace(LOST, reason="Rejected", message=BY_INFRASTRUCTURE + ALLOCATION),
    ),
    "the node has been filled by others": (
        one(
            job(exceeded()),
            "Failed",
            None,
            reason="OutOfnvidia.com/gpu",
            message="Pod was rejected: Node didn't have enough resource: nvidia.com/gpu",
        ),
        replace(
            LOST,
            reason="Rejected",
            message=BY_INFRASTRUCTURE
            + "Pod was rejected: Node didn't have enough resource: nvidia.com/gpu",
        ),
    ),
    "rejected by a node that shuts down": (
        one(
            job(exceeded()),
            "Failed",
            None,
            reason="NodeShutdown",
            message="Pod was rejected as the node is shutting down.",
        ),
        replace(
            LOST,
            reason="NodeLost",
            message=BY_INFRASTRUCTURE + "Pod was rejected as the node is shutting down.",
        ),
    ),
    "deleted by hand, and ended in time": (
        one(job(failed_with(75)), "Failed", terminated(75), deleted=64),
        replace(ENDED, exit_code=75),
    ),
    "deleted by hand, and killed": (
        one(job(failed_with(137)), "Failed", terminated(137), deleted=63),
        replace(
            ENDED,
            disrupted=True,
            reason="Deleted",
            message="the pod was deleted before it had ended",
        ),
    ),
    "deleted by hand without grace": (
        one(job(failed_with(137)), "Failed", terminated(137), deleted=65, grace=0),
        replace(
            ENDED,
            disrupted=True,
            reason="Deleted",
            message="the pod was deleted before it had ended",
        ),
    ),
    "deleted by hand while its init containers ran": (
        one(
            job(exceeded()),
            "Failed",
            waiting("PodInitializing"),
            init=(container("fetch", terminated(143)),),
            deleted=64,
        ),
        replace(LOST, reason="Deleted", message="the pod was deleted before it had ended"),
    ),
    "deleted by hand before a node took it": (
        one(job(exceeded()), "Failed", None, deleted=30, grace=0, ip=None),
        replace(LOST, reason="Deleted", message="the pod was deleted before it had ended"),
    ),
    "deleted by hand, and no code left": (
        (job(exceeded()),),
        replace(
            GONE,
            disrupted=True,
            reason="Deleted",
            message="the pod was deleted before it had ended",
        ),
    ),
    "the pod's deadline": (
        one(
            job(failed_with(75)),
            "Failed",
            terminated(75),
            reason="DeadlineExceeded",
            message="Pod was active on the node longer than the specified deadline",
        ),
        replace(
            ENDED,
            exit_code=75,
            reason="DeadlineExceeded",
            message="Pod was active on the node longer than the specified deadline",
        ),
    ),
    "the pod's deadline, and killed": (
        one(
            job(failed_with(137)),
            "Failed",
            terminated(137),
            reason="DeadlineExceeded",
            message="Pod was active on the node longer than the specified deadline",
        ),
        replace(
            ENDED,
            exit_code=75,
            reason="DeadlineExceeded",
            message="Pod was active on the node longer than the specified deadline",
        ),
    ),
}

TABLE = LIVE | ENDINGS | LINGERING | INFRASTRUCTURE


@pytest.mark.parametrize("name", TABLE)
def test_a_job_and_its_pod_are_an_attempt(name: str) -> None:
    found, expected = TABLE[name]
    assert attempt(*found) == expected


@pytest.mark.parametrize("name", INFRASTRUCTURE)
@pytest.mark.parametrize("limit", [None, 120])
def test_what_the_infrastructure_ended_is_resumed_and_never_told(
    name: str, limit: int | None
) -> None:
    found, _ = INFRASTRUCTURE[name]
    spec = worlds.experiment(trialTimeoutSeconds=limit).spec
    ended = attempt(*found)
    overtime = limit is not None and ended.seconds > limit
    seen = worlds.observation((Trial(0, {"n_layers": 2}),), (ended,), now=seconds(70))
    actions = decide.decide(spec, seen).actions
    told = [action for action in actions if isinstance(action, Tell)]
    launches = [action for action in actions if isinstance(action, Launch)]
    if overtime:  # measured on its container, not on its Job
        assert [(tell.state, tell.reason) for tell in told] == [(State.INFEASIBLE, "TimedOut")]
    else:
        assert not told
        assert Launch(Stage.TRAIN, 0, 2) in launches


def test_a_queue_that_suspends_a_job_while_a_sidecar_lingers_may_start_it_again() -> None:
    suspended = one(job(suspend=True), "Running", terminated(75), others=(SHIPPER,), deleted=64)
    assert attempt(*suspended).live


def test_why_a_training_was_asked_to_end_is_known_where_that_matters() -> None:
    found = job(failed_with(137), halted=True)
    found["metadata"]["annotations"]["distillery.dev/halted"] = "Silent"
    assert attempt(found) == replace(
        GONE, exit_code=75, halted=True, silent=True, started=seconds(0)
    )


def test_a_job_that_is_to_end_its_wait_is_not_asked_again() -> None:
    found = job()
    found["spec"]["activeDeadlineSeconds"] = 1
    assert attempt(found) == replace(TABLE["no pod yet"][1], halted=True)


def test_waiting_for_a_node_is_not_run_time() -> None:
    never_ran = [found for found, expected in INFRASTRUCTURE.values() if expected.started is None]
    assert len(never_ran) > 5
    assert {attempt(*found).seconds for found in never_ran} == {0.0}


def test_only_what_waits_for_a_machine_is_outdated() -> None:
    for found, expected in LIVE.values():
        outdated = attempts.attempt(found[0], found[1:], "another digest").outdated
        assert outdated is (expected.phase is Phase.PENDING)
    for found, _ in ENDINGS.values():
        assert not attempts.attempt(found[0], found[1:], "another digest").outdated


def test_of_several_pods_the_youngest_speaks() -> None:
    found = job()
    old, new = pod(found, "Failed", terminated(75)), pod(found, "Running", running())
    new["metadata"] |= {"creationTimestamp": at(4), "name": "young"}
    assert attempt(found, new, old).pod == attempt(found, old, new).pod == "young"


def test_preparation_is_an_attempt_too() -> None:
    launch = Launch(Stage.PREPARE, 0, 3)
    found = attempt(job(launch=launch))
    assert (found.stage, found.trial, found.number) == (Stage.PREPARE, 0, 3)


def test_a_pod_whose_job_is_gone_occupies_its_trial_until_it_has_ended() -> None:
    message = "its Job was deleted; the pod still ends"
    lonely = replace(
        PENDING,
        pod=POD,
        phase=Phase.RUNNING,
        halted=True,
        reason="Deleted",
        message=message,
    )
    assert attempts.orphan(pod(job(), "Pending", None)) == lonely
    assert attempts.orphan(pod(job(), "Running", running(), deleted=30)) == replace(
        lonely, started=seconds(5)
    )
    for phase in ("Succeeded", "Failed"):
        assert attempts.orphan(pod(job(), phase, terminated(0), deleted=30)) is None


CONTENT = f"sha256:{'0f' * 32}"


@pytest.mark.parametrize(
    "said",
    [
        f"registry.example/trainer@{CONTENT}",  # containerd
        f"docker-pullable://mirror.example/trainer@{CONTENT}",  # dockershim, by a mirror
        CONTENT,  # an image that was loaded, not pulled
    ],
)
def test_the_image_of_an_attempt_is_named_with_the_digest_of_its_content(said: str) -> None:
    trainer = container("trainer", running(), imageID=said)
    runs = pod(job(), "Running", None, others=(trainer,))
    assert attempt(job(), runs).image == f"registry.example/trainer:1@{CONTENT}"
    pinned = job()
    pinned["metadata"]["annotations"]["distillery.dev/image"] = "mine@sha256:1"
    assert attempt(pinned, runs).image == "mine@sha256:1"


def test_a_job_of_an_earlier_release_tells_no_generation_and_no_image() -> None:
    old = job()
    for name in ("generation", "image"):
        del old["metadata"]["annotations"][f"distillery.dev/{name}"]
    found = attempt(old, pod(old, "Running", running()))
    assert (found.generation, found.image) == (None, "")


def test_a_job_that_is_made_again_is_another_attempt_of_the_same_number() -> None:
    again = job()
    again["metadata"]["uid"] = "another"
    first, second = attempt(job()), attempt(again)
    assert first.key == second.key
    assert (first.identity, second.identity) == (f"job-{NAME}", "another")
    assert attempts.orphan(pod(job(), "Pending", None)).identity == first.identity  # type: ignore[union-attr]


def test_a_held_pod_speaks_for_its_job_that_is_gone() -> None:
    strict = job(of=shapes.experiment(metricsDurability="Strict"))
    last_words = pod(strict, "Succeeded", terminated(0, message="exact 80\n# EOF\n"), deleted=30)
    last_words["metadata"]["finalizers"] = strict["spec"]["template"]["metadata"]["finalizers"]
    found = attempts.orphan(last_words)
    assert found is not None
    assert (found.phase, found.exit_code, found.held) == (Phase.ENDED, 0, True)
    assert found.termination_message == "exact 80\n# EOF\n"
    assert (found.started, found.ended) == (seconds(5), seconds(65))
    killed = pod(strict, "Failed", terminated(137), deleted=30)
    killed["metadata"]["finalizers"] = last_words["metadata"]["finalizers"]
    lost = attempts.orphan(killed)
    assert lost is not None
    assert (lost.exit_code, lost.disrupted, lost.reason) == (None, True, "Deleted")


STATES: st.SearchStrategy[Object | None] = st.one_of(
    st.none(),
    st.just({}),
    st.just(running()),
    st.sampled_from(["ContainerCreating", "ErrImagePull", "CreateContainerError"]).map(waiting),
    st.builds(
        terminated,
        st.integers(0, 255),
        st.sampled_from(
            ["", "OOMKilled", "Unknown", "ContainerStatusUnknown", "ContainerCannotRun"]
        ),
        since=st.sampled_from([None, 5]),
    ),
)
REASONS = ["PreemptionByScheduler", "DeletionByPodGC", "TerminationByKubelet", "OneOfTomorrow"]
CONDITIONS = st.sampled_from([complete(), disrupted(), exceeded()]) | st.integers(1, 255).map(
    failed_with
)


@settings(deadline=None, max_examples=500)
@given(
    conditions=st.lists(CONDITIONS, max_size=1),
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    trainer=STATES,
    disruptions=st.lists(st.builds(disruption, st.sampled_from(REASONS), st.just("x")), max_size=1),
    said=st.sampled_from(["", "Evicted", "NodeAffinity", "DeadlineExceeded"]),
    deleted=st.none() | st.integers(0, 100),
    halted=st.booleans(),
    lost=st.booleans(),
)
def test_whatever_is_seen_an_attempt_has_ended_if_and_only_if_nothing_of_it_can_run(
    conditions: list[Object],
    phase: str,
    trainer: Object | None,
    disruptions: list[Object],
    said: str,
    deleted: int | None,
    halted: bool,
    lost: bool,
) -> None:
    found = job(*conditions, halted=halted)
    whole = pod(found, phase, trainer, scheduled(), *disruptions, deleted=deleted, reason=said)
    pods = [] if lost else [whole]
    is_over = bool(conditions) and (lost or phase in ("Succeeded", "Failed"))
    got = attempt(found, *pods)
    assert got.live is not is_over
    assert got.halted is halted
    if is_over:
        assert got.exit_code is not None or got.disrupted
        assert got.ended is not None
        if conditions[0]["type"] == "Complete":
            assert got.exit_code == 0
            assert got.disrupted is lost  # its last words went with the pod
        elif halted:
            assert got.exit_code in tuple(Exit)
        elif disruptions and not lost and got.exit_code != 0:
            assert got.disrupted
    else:
        assert got.exit_code is None
        assert got.message or got.phase is Phase.RUNNING
