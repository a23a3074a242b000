"""PURE: why an attempt ended: what its pod says, and what its Job says.

The words are those of Kubernetes 1.34. Of conditions DisruptionTarget: packages
scheduler/framework/preemption, registry/core/pod/storage (eviction), kubelet, controller/podgc,
controller/tainteviction and controller/devicetainteviction. Of Jobs: controller/job, functions
matchPodFailurePolicy and syncJob.
"""

import re
from dataclasses import dataclass
from typing import Final

from distillery_contract.wire import Exit
from distillery_operator.cluster import objects
from distillery_operator.cluster.kinds import Object
from distillery_operator.trials.attempt import NODE_LOST, PENDING_TIMEOUT

OOM_KILLED: Final = "OOMKilled"
EVICTED: Final = "Evicted"
PREEMPTED: Final = "Preempted"
DELETED: Final = "Deleted"
REJECTED: Final = "Rejected"
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
CRASHED: Final = "Crashed"

DISRUPTIONS: Final = {
    "PreemptionByScheduler": PREEMPTED,
    "EvictionByEvictionAPI": EVICTED,
    "TerminationByKubelet": EVICTED,
    "DeletionByTaintManager": NODE_LOST,
    "DeletionByPodGC": NODE_LOST,
    "DeletionByDeviceTaintManager": NODE_LOST,
}
"""Reasons of the condition DisruptionTarget, in one word each."""

POD_REASONS: Final = {
    "Evicted": EVICTED,
    "Preempting": PREEMPTED,
    "NodeLost": NODE_LOST,
    "NodeShutdown": NODE_LOST,
    "Terminated": NODE_LOST,
}
"""Reasons of a failed pod itself; with any other one a kubelet refuses to take it, for example
UnexpectedAdmissionError when a GPU has gone."""

LOST: Final = ("ContainerStatusUnknown", "Unknown")
"""Reasons of a container whose end nobody saw, in the kubelet's word and in containerd's."""

EXIT_CODE: Final = re.compile(r"failed with exit code (\d+)")
"""What the Job controller's message says where the failure policy has seen the trainer's code."""


UNREAD: Final = "the trainer ended well, but its pod is gone, and what it said with it"

NOT_TAKEN: Final = "no machine took the pod within spec.pendingTimeoutSeconds"


@dataclass(frozen=True)
class Outcome:
    """What pod or Job say of an end."""

    code: int | None
    reason: str = ""
    message: str = ""
    disrupted: bool = False


def by_job(condition: Object) -> Outcome:
    """Return what a finished Job says by itself."""
    if condition["type"] == "Complete":
        return Outcome(int(Exit.OK), message=UNREAD, disrupted=True)
    if condition.get("reason") == DEADLINE_EXCEEDED:  # a Job gets a deadline only to end its wait
        return Outcome(None, PENDING_TIMEOUT, NOT_TAKEN, True)
    message = condition.get("message", "")
    if "DisruptionTarget" in message:
        return Outcome(None, EVICTED, "the pod was evicted, preempted or lost its node", True)
    if code := EXIT_CODE.search(message):
        return Outcome(int(code[1]))
    return Outcome(None, DELETED, "the pod was deleted before it had ended", True)


def by_pod(pod: Object, terminated: Object, job: Outcome) -> Outcome:
    """Return what a pod says of its end, which is more than its Job knows."""
    status, code = pod["status"], terminated.get("exitCode")
    said = status.get("reason", "")
    if Exit.OK in (job.code, code):  # whatever else became of the pod
        return Outcome(int(Exit.OK))
    if job.reason == PENDING_TIMEOUT and not terminated:
        return job
    disruption = objects.condition(pod, "DisruptionTarget")
    if disruption.get("status") == "True":
        word = DISRUPTIONS.get(disruption.get("reason", ""), EVICTED)
        sentence = _sentence(disruption.get("message"), "disrupted")
        return Outcome(None, POD_REASONS.get(said, word), sentence, True)
    spoken = code in tuple(Exit)
    if said == DEADLINE_EXCEEDED:
        ended = code if spoken else int(Exit.INTERRUPTED)
        return Outcome(ended, said, status.get("message", "the pod's deadline was exceeded"))
    if said:
        reason = POD_REASONS.get(said, REJECTED)
        return Outcome(None, reason, _sentence(status.get("message"), said), True)
    if spoken:
        return Outcome(code)
    if _deleted(pod, terminated):
        return Outcome(None, DELETED, "the pod was deleted before it had ended", True)
    return _by_container(pod, terminated, job)


def _by_container(pod: Object, terminated: Object, job: Outcome) -> Outcome:
    """Return what is known of a container that ended by itself, with no word of the contract."""
    said, code = terminated.get("reason", ""), terminated.get("exitCode")
    if said in LOST:
        return Outcome(None, NODE_LOST, "the node lost the container", True)
    if said == OOM_KILLED:
        limit = "the container exceeded its memory limit (OOMKilled)"
        advice = "raise resources.limits.memory in spec.template if many trials end so"
        return Outcome(int(Exit.OUT_OF_MEMORY), OOM_KILLED, f"{limit}; {advice}")
    if code is not None:
        cause = f" ({said})" if said not in ("", "Error") else ""
        return Outcome(code, CRASHED, f"the trainer ended with exit code {code}{cause}")
    for container in objects.containers(pod, "initContainer"):
        stop = (container.get("state") or {}).get("terminated") or {}
        if stop.get("exitCode"):
            text = f"init container {container['name']} ended with exit code {stop['exitCode']}"
            return Outcome(stop["exitCode"], CRASHED, text)
    return job


def _deleted(pod: Object, terminated: Object) -> bool:
    """Tell whether a pod was asked to end before it had."""
    metadata = pod["metadata"]
    asked, ended = (
        objects.seconds(metadata.get("deletionTimestamp")),
        objects.seconds(terminated.get("finishedAt")),
    )
    if asked is None or ended is None:
        return asked is not None
    return asked - (metadata.get("deletionGracePeriodSeconds") or 0) <= ended


def _sentence(message: str | None, otherwise: str) -> str:
    return f"the pod was ended by the infrastructure: {message or otherwise}"
