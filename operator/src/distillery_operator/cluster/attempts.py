"""PURE: a Job and its pod as an attempt: where it stands.

The Job says whether an attempt has ended, for only then no pod of it can live any more. One whose
trainer has ended beside containers that have not is read at once, and its pod is ended.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.cluster import objects, outcomes
from distillery_operator.cluster.kinds import Object
from distillery_operator.cluster.outcomes import DELETED, Outcome
from distillery_operator.engine.reasons import SILENT
from distillery_operator.resource import label_names
from distillery_operator.trials.attempt import (
    IMAGE_PULL_FAILED,
    NO_POD,
    POD_CONFIG_INVALID,
    QUEUED,
    STARTING,
    Attempt,
    Phase,
)

UNSCHEDULABLE: Final = "Unschedulable"

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

TAKEN_BACK: Final = "its Job was suspended while it ran, as a queue does that preempts it"

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
"""Of an image's content, in what each container runtime says of it."""

JOB_UID: Final = "batch.kubernetes.io/controller-uid"
"""Label of a Job's pods with the Job's uid."""


def attempt(job: Object, pods: Iterable[Object], digest: str) -> Attempt:
    """Return the attempt that a Job is.

    Args:
        job: as the API server has it.
        pods: of this Job; none where they are gone, or not made yet.
        digest: of today's pod template.
    """
    pod = objects.youngest(pods)
    annotations = job["metadata"].get("annotations") or {}
    found = replace(
        _named(job, pod),
        halted=label_names.HALTED in annotations,
        silent=annotations.get(label_names.HALTED) == SILENT,
        identity=job["metadata"].get("uid", ""),  # of one that was just created it is not known
    )
    ending = objects.finished(job)
    if ending is None and "activeDeadlineSeconds" in job["spec"]:
        found = replace(found, halted=True)
    if ending is None or (pod is not None and not objects.terminal(pod)):
        if pod is not None and objects.lingering(pod) and not job["spec"].get("suspend"):
            return _lingering(found, pod)
        outdated = annotations.get(label_names.TEMPLATE) != digest
        return _live(found, job, pod, outdated)
    return _ended(found, job, ending, pod)


def orphan(pod: Object) -> Attempt | None:
    """Return the attempt that a pod without a Job still is; None if it has ended unheld."""
    if objects.terminal(pod):
        return _last_words(pod) if objects.held(pod) else None
    message = "its Job was deleted; the pod still ends"
    found = replace(_orphaned(pod), reason=DELETED, message=message, halted=True)
    return replace(
        found, phase=Phase.RUNNING, pod=pod["metadata"]["name"], started=objects.started(pod)
    )


def _last_words(pod: Object) -> Attempt:
    """Return the attempt whose Job is gone, and whose pod is held for what it says."""
    terminated = objects.terminated(pod)
    lost = Outcome(None, DELETED, "its Job was deleted", True)
    return _told_by_pod(_orphaned(pod), pod, terminated, outcomes.by_pod(pod, terminated, lost))


def _orphaned(pod: Object) -> Attempt:
    """Return the attempt of a pod whose Job is gone."""
    return replace(_named(pod, pod), identity=pod["metadata"]["labels"].get(JOB_UID, ""))


def _image(name: str, pod: Object | None) -> str:
    """Return an image with the digest of its content, as far as a node has said that."""
    said = DIGEST.search(objects.container(pod).get("imageID", "")) if pod is not None else None
    return f"{name}@{said[0]}" if name and said and "@" not in name else name


def _named(made: Object, pod: Object | None) -> Attempt:
    """Return what a Job, or its pod alone, says of what it was made for."""
    labels, annotations = made["metadata"]["labels"], made["metadata"].get("annotations") or {}
    generation = annotations.get(label_names.GENERATION)
    return Attempt(
        stage=Stage(labels[label_names.STAGE]),
        trial=int(labels[label_names.TRIAL]),
        number=int(labels[label_names.ATTEMPT]),
        phase=Phase.PENDING,
        created=objects.seconds(made["metadata"].get("creationTimestamp")),
        digest=annotations.get(label_names.REQUEST, ""),
        generation=None if generation is None else int(generation),
        image=_image(annotations.get(label_names.IMAGE, ""), pod),
    )


def _live(found: Attempt, job: Object, pod: Object | None, outdated: bool) -> Attempt:
    if job["spec"].get("suspend"):
        return replace(found, reason=QUEUED, message=_suspended(job), outdated=outdated)
    since = objects.seconds(job.get("status", {}).get("startTime")) or found.created
    if pod is None:
        name = job["metadata"]["name"]
        message = f"the Job has no pod yet; `kubectl describe job {name}` says why"
        waits = replace(found, waiting_since=since, outdated=outdated)
        return replace(waits, reason=NO_POD, message=message)
    found = replace(found, pod=pod["metadata"]["name"])
    state = objects.container(pod).get("state") or {}
    if "running" in state or "terminated" in state:
        return replace(
            found,
            phase=Phase.RUNNING,
            started=objects.started(pod),
            metrics_url=objects.metrics_url(pod),
        )
    reason, message = _waiting(pod)
    waits = replace(found, waiting_since=since, outdated=outdated)
    return replace(waits, reason=reason, message=message)


def _suspended(job: Object) -> str:
    queue = job["metadata"]["labels"].get(label_names.QUEUE)
    if queue:
        return f"the Job is suspended: it waits for quota in the queue {queue}"
    return "the Job is suspended, and names no queue: it starts when its spec.suspend is false"


def waits_for(pod: Object) -> str:
    """Return in a sentence why a pod does not run yet; nothing once it runs."""
    state = objects.container(pod).get("state") or {}
    return "" if "running" in state or "terminated" in state else _waiting(pod)[1]


def _waiting(pod: Object) -> tuple[str, str]:
    """Return why a pod does not run yet; the trainer waits for the init containers too."""
    scheduled = objects.condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return UNSCHEDULABLE, f"no node takes the pod: {scheduled.get('message', '')}"
    for container in (
        *objects.containers(pod, "initContainer"),
        *objects.containers(pod, "container"),
    ):
        waiting = (container.get("state") or {}).get("waiting") or {}
        said, text = waiting.get("reason", ""), waiting.get("message", "")
        if said in IMAGE_REASONS:
            image = container.get("image", "")
            return IMAGE_PULL_FAILED, f"the image {image} cannot be pulled: {said}: {text}"
        if said in CONFIG_REASONS:
            name = container["name"]
            return POD_CONFIG_INVALID, f"the container {name} cannot be made: {said}: {text}"
    inits = objects.containers(pod, "initContainer")
    if runs := [c["name"] for c in inits if "running" in (c.get("state") or {})]:
        return STARTING, f"the pod starts: its init container {runs[-1]} runs"
    return STARTING, "the pod starts"


def _lingering(found: Attempt, pod: Object) -> Attempt:
    """Return the attempt whose trainer has ended, while other containers keep its pod alive."""
    terminated = objects.terminated(pod)
    ending = _asked(found, outcomes.by_pod(pod, terminated, Outcome(None)))
    made = _told_by_pod(found, pod, terminated, ending)
    closing = objects.due(pod) is not None
    return replace(made, lingers=objects.lingering(pod), closing=closing)


def _ended(found: Attempt, job: Object, condition: Object, pod: Object | None) -> Attempt:
    ending = outcomes.by_job(condition)
    terminated: Object = {}
    if pod is not None:
        terminated = objects.terminated(pod)
        ending = outcomes.by_pod(pod, terminated, ending)
    ending = _asked(found, _preempted(job, ending))
    over = objects.seconds(condition.get("lastTransitionTime"))
    if pod is not None:
        made = _told_by_pod(found, pod, terminated, ending)
        given_up = objects.due(pod) if made.started is not None else None
        return replace(made, ended=made.ended or _earlier(given_up, over))
    # Without a pod but with a code it has run, nobody knows since when: the Job's own time, which
    # has the wait for a node in it. Where nobody knows whether it has run, waiting must not be
    # taken for running.
    begun = job["status"].get("startTime") if ending.code is not None else None
    return replace(_as(found, ending), started=objects.seconds(begun), ended=over)


def _asked(found: Attempt, ending: Outcome) -> Outcome:
    """Return an outcome that takes whatever ends an attempt that was asked to end as its answer."""
    if found.halted and ending.code not in tuple(Exit):
        return replace(ending, code=int(Exit.INTERRUPTED))
    return ending


def _preempted(job: Object, ending: Outcome) -> Outcome:
    """Return an outcome that says why a trainer ended whose Job a queue has suspended.

    Such a Job stays suspended and is resumed, unless its pod was seen to fail before it had gone.
    """
    if job["spec"].get("suspend") and ending.code == Exit.INTERRUPTED and not ending.reason:
        return replace(ending, reason=outcomes.PREEMPTED, message=TAKEN_BACK, disrupted=True)
    return ending


def _told_by_pod(found: Attempt, pod: Object, terminated: Object, ending: Outcome) -> Attempt:
    return replace(
        _as(found, ending),
        pod=pod["metadata"]["name"],
        held=objects.held(pod),
        started=objects.started(
            pod
        ),  # of a container whose end nobody saw as well: its time counts
        ended=objects.seconds(terminated.get("finishedAt")),
        termination_message=terminated.get("message"),
    )


def _earlier(given_up: float | None, over: float | None) -> float | None:
    """Return when a process ended that nobody saw end: a silent node's time counts for nothing."""
    return min((t for t in (given_up, over) if t is not None), default=None)


def _as(found: Attempt, ending: Outcome) -> Attempt:
    return replace(
        found,
        phase=Phase.ENDED,
        exit_code=ending.code,
        disrupted=ending.disrupted,
        reason=ending.reason,
        message=ending.message,
    )
