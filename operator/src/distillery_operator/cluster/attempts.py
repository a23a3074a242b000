"""PURE: a Job and its pod as an attempt: where it stands and, once ended, why.

The Job says whether an attempt has ended, for only then no pod of it can live any more. Why it
ended is taken from the pod that was seen last, and otherwise from the Job's own condition.

The words are those of Kubernetes 1.34. Of conditions DisruptionTarget: packages
scheduler/framework/preemption, registry/core/pod/storage (eviction), kubelet, controller/podgc,
controller/tainteviction and controller/devicetainteviction. Of Jobs: controller/job, functions
matchPodFailurePolicy and syncJob.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from distillery_contract import wire
from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.cluster import pod_template
from distillery_operator.resource import label_names
from distillery_operator.trials.attempt import STUCK, Attempt, Phase

Object = Mapping[str, Any]

UNSCHEDULABLE: Final = "Unschedulable"
IMAGE_PULL_FAILED, POD_CONFIG_INVALID = STUCK
QUEUED: Final = "Queued"
NO_POD: Final = "NoPod"
STARTING: Final = "Starting"
OOM_KILLED: Final = "OOMKilled"
EVICTED: Final = "Evicted"
NODE_LOST: Final = "NodeLost"
PREEMPTED: Final = "Preempted"
DELETED: Final = "Deleted"
REJECTED: Final = "Rejected"
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
CRASHED: Final = "Crashed"

IMAGE_REASONS: Final = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
CONFIG_REASONS: Final = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")

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


DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
"""Of an image's content, in what each container runtime says of it."""

JOB_UID: Final = "batch.kubernetes.io/controller-uid"
"""Label of a Job's pods with the Job's uid."""


@dataclass(frozen=True)
class _Ending:
    """What pod or Job say of an end."""

    code: int | None
    reason: str = ""
    message: str = ""
    disrupted: bool = False


def attempt(job: Object, pods: Iterable[Object], digest: str) -> Attempt:
    """Return the attempt that a Job is.

    Args:
        job: as the API server has it.
        pods: of this Job; none where they are gone, or not made yet.
        digest: of today's pod template.
    """
    pod = max(pods, key=lambda p: str(p["metadata"]["creationTimestamp"]), default=None)
    annotations = job["metadata"].get("annotations") or {}
    generation = annotations.get(label_names.GENERATION)
    found = replace(
        _named(job),
        halted=label_names.HALTED in annotations,
        digest=annotations.get(label_names.REQUEST, ""),
        identity=job["metadata"].get("uid", ""),  # of one that was just created it is not known
        generation=None if generation is None else int(generation),
        image=_image(annotations.get(label_names.IMAGE, ""), pod),
    )
    ending = finished(job)
    if ending is None or (pod is not None and not terminal(pod)):
        outdated = annotations.get(label_names.TEMPLATE) != digest
        return _live(found, job, pod, outdated)
    return _ended(found, job, ending, pod)


def orphan(pod: Object) -> Attempt | None:
    """Return the attempt that a pod without a Job still is; None if it has ended unheld."""
    if terminal(pod):
        return _last_words(pod) if held(pod) else None
    message = "its Job was deleted; the pod still ends"
    found = replace(_orphaned(pod), reason=DELETED, message=message, halted=True)
    return replace(found, phase=Phase.RUNNING, pod=pod["metadata"]["name"], started=_started(pod))


def held(pod: Object) -> bool:
    """Tell whether a pod is held until its metrics are stored."""
    return label_names.METRICS in (pod["metadata"].get("finalizers") or [])


def _last_words(pod: Object) -> Attempt:
    """Return the attempt whose Job is gone, and whose pod is held for what it says."""
    terminated = (_container(pod).get("state") or {}).get("terminated") or {}
    lost = _Ending(None, DELETED, "its Job was deleted", True)
    return _told_by_pod(_orphaned(pod), pod, terminated, _by_pod(pod, terminated, lost))


def _orphaned(pod: Object) -> Attempt:
    """Return the attempt of a pod whose Job is gone."""
    return replace(_named(pod), identity=pod["metadata"]["labels"].get(JOB_UID, ""))


def _named(labelled: Object) -> Attempt:
    labels = labelled["metadata"]["labels"]
    return Attempt(
        stage=Stage(labels[label_names.STAGE]),
        trial=int(labels[label_names.TRIAL]),
        number=int(labels[label_names.ATTEMPT]),
        phase=Phase.PENDING,
        created=_seconds(labelled["metadata"].get("creationTimestamp")),
    )


def _live(found: Attempt, job: Object, pod: Object | None, outdated: bool) -> Attempt:
    if job["spec"].get("suspend"):
        message = "the Job is suspended: it waits in its queue for quota"
        return replace(found, reason=QUEUED, message=message, outdated=outdated)
    if pod is None:
        name = job["metadata"]["name"]
        message = f"the Job has no pod yet; `kubectl describe job {name}` says why"
        return replace(found, reason=NO_POD, message=message, outdated=outdated)
    found = replace(found, pod=pod["metadata"]["name"])
    state = _container(pod).get("state") or {}
    if "running" in state or "terminated" in state:
        return replace(found, phase=Phase.RUNNING, started=_started(pod), metrics_url=_url(pod))
    reason, message = _waiting(pod)
    return replace(found, reason=reason, message=message, outdated=outdated)


def waits_for(pod: Object) -> str:
    """Return in a sentence why a pod does not run yet; nothing once it runs."""
    state = _container(pod).get("state") or {}
    return "" if "running" in state or "terminated" in state else _waiting(pod)[1]


def _waiting(pod: Object) -> tuple[str, str]:
    """Return why a pod does not run yet; the trainer waits for the init containers too."""
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return UNSCHEDULABLE, f"no node takes the pod: {scheduled.get('message', '')}"
    for container in (*_containers(pod, "initContainer"), *_containers(pod, "container")):
        waiting = (container.get("state") or {}).get("waiting") or {}
        said, text = waiting.get("reason", ""), waiting.get("message", "")
        if said in IMAGE_REASONS:
            image = container.get("image", "")
            return IMAGE_PULL_FAILED, f"the image {image} cannot be pulled: {said}: {text}"
        if said in CONFIG_REASONS:
            name = container["name"]
            return POD_CONFIG_INVALID, f"the container {name} cannot be made: {said}: {text}"
    return STARTING, "the pod starts"


def _ended(found: Attempt, job: Object, condition: Object, pod: Object | None) -> Attempt:
    ending = _by_job(condition)
    terminated: Object = {}
    if pod is not None:
        terminated = (_container(pod).get("state") or {}).get("terminated") or {}
        ending = _by_pod(pod, terminated, ending)
    if found.halted and ending.code not in tuple(Exit):
        ending = replace(ending, code=int(Exit.INTERRUPTED))
    over = _seconds(condition.get("lastTransitionTime"))
    if pod is not None:
        made = _told_by_pod(found, pod, terminated, ending)
        return replace(made, ended=made.ended or over)
    # Without a pod but with a code it has run, nobody knows since when: the Job's own time, which
    # has the wait for a node in it. Where nobody knows whether it has run, waiting must not be
    # taken for running.
    begun = job["status"].get("startTime") if ending.code is not None else None
    return replace(_as(found, ending), started=_seconds(begun), ended=over)


def _told_by_pod(found: Attempt, pod: Object, terminated: Object, ending: _Ending) -> Attempt:
    return replace(
        _as(found, ending),
        pod=pod["metadata"]["name"],
        held=held(pod),
        started=_started(pod),  # of a container whose end nobody saw as well: its time counts
        ended=_seconds(terminated.get("finishedAt")),
        termination_message=terminated.get("message"),
    )


def _as(found: Attempt, ending: _Ending) -> Attempt:
    return replace(
        found,
        phase=Phase.ENDED,
        exit_code=ending.code,
        disrupted=ending.disrupted,
        reason=ending.reason,
        message=ending.message,
    )


def _by_job(condition: Object) -> _Ending:
    """Return what a finished Job says by itself."""
    if condition["type"] == "Complete":
        return _Ending(int(Exit.OK))
    message = condition.get("message", "")
    if "DisruptionTarget" in message:
        return _Ending(None, EVICTED, "the pod was evicted, preempted or lost its node", True)
    if code := EXIT_CODE.search(message):
        return _Ending(int(code[1]))
    return _Ending(None, DELETED, "the pod was deleted before it had ended", True)


def _by_pod(pod: Object, terminated: Object, job: _Ending) -> _Ending:
    """Return what a pod says of its end, which is more than its Job knows."""
    status, code = pod["status"], terminated.get("exitCode")
    said = status.get("reason", "")
    if Exit.OK in (job.code, code):  # whatever else became of the pod
        return _Ending(int(Exit.OK))
    disruption = _condition(pod, "DisruptionTarget")
    if disruption.get("status") == "True":
        word = DISRUPTIONS.get(disruption.get("reason", ""), EVICTED)
        sentence = _sentence(disruption.get("message"), "disrupted")
        return _Ending(None, POD_REASONS.get(said, word), sentence, True)
    spoken = code in tuple(Exit)
    if said == DEADLINE_EXCEEDED:
        ended = code if spoken else int(Exit.INTERRUPTED)
        return _Ending(ended, said, status.get("message", "the pod's deadline was exceeded"))
    if said:
        reason = POD_REASONS.get(said, REJECTED)
        return _Ending(None, reason, _sentence(status.get("message"), said), True)
    if spoken:
        return _Ending(code)
    if _deleted(pod, terminated):
        return _Ending(None, DELETED, "the pod was deleted before it had ended", True)
    return _by_container(pod, terminated, job)


def _by_container(pod: Object, terminated: Object, job: _Ending) -> _Ending:
    """Return what is known of a container that ended by itself, with no word of the contract."""
    said, code = terminated.get("reason", ""), terminated.get("exitCode")
    if said in LOST:
        return _Ending(None, NODE_LOST, "the node lost the container", True)
    if said == OOM_KILLED:
        limit = "the container exceeded its memory limit (OOMKilled)"
        advice = "raise resources.limits.memory in spec.template if many trials end so"
        return _Ending(int(Exit.OUT_OF_MEMORY), OOM_KILLED, f"{limit}; {advice}")
    if code is not None:
        cause = f" ({said})" if said not in ("", "Error") else ""
        return _Ending(code, CRASHED, f"the trainer ended with exit code {code}{cause}")
    for container in _containers(pod, "initContainer"):
        stop = (container.get("state") or {}).get("terminated") or {}
        if stop.get("exitCode"):
            text = f"init container {container['name']} ended with exit code {stop['exitCode']}"
            return _Ending(stop["exitCode"], CRASHED, text)
    return job


def _deleted(pod: Object, terminated: Object) -> bool:
    """Tell whether a pod was asked to end before it had."""
    metadata = pod["metadata"]
    asked, ended = (
        _seconds(metadata.get("deletionTimestamp")),
        _seconds(terminated.get("finishedAt")),
    )
    if asked is None or ended is None:
        return asked is not None
    return asked - (metadata.get("deletionGracePeriodSeconds") or 0) <= ended


def _sentence(message: str | None, otherwise: str) -> str:
    return f"the pod was ended by the infrastructure: {message or otherwise}"


def finished(job: Object) -> Object | None:
    """Return the condition that says that a Job has ended and that none of its pods lives."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            found: Object = condition
            return found
    return None


def terminal(pod: Object) -> bool:
    """Tell whether all processes of a pod have ended."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def _containers(pod: Object, kind: str) -> list[Object]:
    return pod["status"].get(f"{kind}Statuses") or []


def _container(pod: Object) -> Object:
    statuses = _containers(pod, "container")
    return next((s for s in statuses if s["name"] == pod_template.TRAINER), {})


def _condition(pod: Object, kind: str) -> Object:
    conditions = pod["status"].get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def _image(name: str, pod: Object | None) -> str:
    """Return an image with the digest of its content, as far as a node has said that."""
    said = DIGEST.search(_container(pod).get("imageID", "")) if pod is not None else None
    return f"{name}@{said[0]}" if name and said and "@" not in name else name


def _started(pod: Object) -> float | None:
    state = _container(pod).get("state") or {}
    return _seconds((state.get("running") or state.get("terminated") or {}).get("startedAt"))


def _url(pod: Object) -> str | None:
    address = pod["status"].get("podIP")
    if not address:
        return None
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{wire.DEFAULT_METRICS_PORT}/metrics"


def _seconds(timestamp: str | None) -> float | None:
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else None
