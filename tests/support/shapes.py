"""Jobs and pods of attempts, as the API server of Kubernetes 1.34 shows them.

The words and their combinations are those of its sources, in packages below k8s.io/kubernetes/pkg:

* of Jobs: controller/job, functions syncJob, newSuccessCondition and matchPodFailurePolicy;
* of pods: kubelet (rejectPod, PreemptContainer, evictPod, node shutdown, active deadline),
  scheduler/framework/preemption, registry/core/pod/storage (addConditionAndDeletePod),
  controller/podgc, controller/tainteviction, controller/devicetainteviction;
* of containers: kubelet/images and kubelet/kuberuntime (errors), kubelet/container
  (ContainerReasonStatusUnknown), and containerd's CRI plugin: Completed, Error, OOMKilled, Unknown.
"""

import copy
from datetime import UTC, datetime
from typing import Any

from distillery_contract.request import Stage
from distillery_operator.cluster import jobs, pod_template
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import label_names, parsing
from distillery_operator.resource.experiment import Experiment
from support import worlds

Object = dict[str, Any]

UID = "8f1c2f7e-0b5d-4a51-9c56-2d0d5a1f3b77"
DEFAULTS = pod_template.Defaults("registry.example/trainer:1", claim="work")


def experiment(name: str = "tiny", uid: str = UID, **spec: Any) -> Experiment:
    """Return an experiment as a cluster has it."""
    document = worlds.document(**spec)
    document["metadata"] = {"name": name, "namespace": "science", "uid": uid, "generation": 1}
    return parsing.parse(document)


def at(minutes: float) -> str:
    """Return a time after ten o'clock as Kubernetes writes it."""
    return datetime.fromtimestamp(seconds(minutes), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(minutes: float) -> float:
    """Return the same in seconds since the epoch."""
    return datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp() + 60 * minutes


def job(
    *conditions: Object,
    of: Experiment | None = None,
    launch: Launch | None = None,
    suspend: bool = False,
    halted: bool = False,
) -> Object:
    """Return the Job of an attempt, created at ten."""
    of, launch = of or experiment(), launch or Launch(Stage.TRAIN, 0, 1)
    made = jobs.job(of, launch, requests.order(of, launch), DEFAULTS)
    made["metadata"] |= {
        "uid": f"job-{made['metadata']['name']}",
        "resourceVersion": "4711",
        "generation": 1,
        "creationTimestamp": at(0),
        "managedFields": [{"manager": "distillery-operator", "operation": "Update"}],
    }
    if halted:
        made["metadata"]["annotations"][label_names.HALTED] = "true"
    made["spec"] |= {"suspend": suspend, "completionMode": "NonIndexed", "manualSelector": False}
    made["status"] = {"conditions": list(conditions), "uncountedTerminatedPods": {}}
    if not suspend:
        made["status"]["startTime"] = at(0)
    return made


def pod(
    of: Object,
    phase: str,
    trainer: Object | None,
    *conditions: Object,
    init: tuple[Object, ...] = (),
    others: tuple[Object, ...] = (),
    ip: str | None = "10.1.0.7",
    deleted: float | None = None,
    grace: int = 120,
    **status: Any,
) -> Object:
    """Return the pod of a Job.

    Args:
        of: the Job.
        phase: of the pod.
        trainer: state of the trainer's container; None before a kubelet has taken the pod.
        conditions: besides PodScheduled.
        init: statuses of init containers.
        others: statuses of further containers.
        ip: of the pod.
        deleted: minute at which somebody asked for its deletion.
        grace: seconds that it then has.
        status: further fields of the status.
    """
    template = copy.deepcopy(of["spec"]["template"])
    name = of["metadata"]["name"]
    labels = {
        **template["metadata"]["labels"],
        "batch.kubernetes.io/controller-uid": of["metadata"]["uid"],
        "batch.kubernetes.io/job-name": name,
        "controller-uid": of["metadata"]["uid"],
        "job-name": name,
    }
    metadata = {
        "name": f"{name}-x7k2p",
        "generateName": f"{name}-",
        "namespace": of["metadata"]["namespace"],
        "uid": f"pod-{name}",
        "resourceVersion": "4712",
        "creationTimestamp": at(0),
        "labels": labels,
        "annotations": template["metadata"]["annotations"],
        "finalizers": ["batch.kubernetes.io/job-tracking"],
    }
    if deleted is not None:
        due = {"deletionTimestamp": at(deleted + grace / 60), "deletionGracePeriodSeconds": grace}
        metadata |= due
    statuses = [container("trainer", trainer)] if trainer is not None else []
    return {
        "metadata": metadata,
        "spec": template["spec"],
        "status": {
            "phase": phase,
            "qosClass": "BestEffort",
            **({"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {}),
            "conditions": [*(conditions or (scheduled(),))],
            **({"initContainerStatuses": list(init)} if init else {}),
            **({"containerStatuses": [*others, *statuses]} if others or statuses else {}),
            **status,
        },
    }


def container(name: str, state: Object, **more: Any) -> Object:
    """Return a container's status."""
    return {
        "name": name,
        "image": f"registry.example/{name}:1",
        "imageID": "",
        "state": state,
        "lastState": {},
        "ready": "running" in state,
        "restartCount": 0,
        "started": "running" in state,
        **more,
    }


def running(since: float = 5) -> Object:
    return {"running": {"startedAt": at(since)}}


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(
    code: int, reason: str = "", message: str = "", since: float | None = 5, until: float = 65
) -> Object:
    said = reason or ("Completed" if code == 0 else "Error")
    return {
        "terminated": {
            "exitCode": code,
            "reason": said,
            **({"message": message} if message else {}),
            "startedAt": at(since) if since is not None else None,
            "finishedAt": at(until) if since is not None else None,
            "containerID": "containerd://1",
        }
    }


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    """Return a condition of a pod."""
    said = {"reason": reason, "message": message} if reason else {}
    times = {"lastProbeTime": None, "lastTransitionTime": at(1)}
    return {"type": kind, "status": status, "observedGeneration": 1, **said, **times}


def scheduled() -> Object:
    return condition("PodScheduled", "True")


def disruption(reason: str, message: str) -> Object:
    return condition("DisruptionTarget", "True", reason, message)


def ended(kind: str, reason: str, message: str, minute: float = 66) -> Object:
    """Return the last condition of a Job."""
    times = {"lastProbeTime": at(minute), "lastTransitionTime": at(minute)}
    return {"type": kind, "status": "True", "reason": reason, "message": message, **times}


def complete() -> Object:
    return ended("Complete", "CompletionsReached", "Reached expected number of succeeded pods")


def failed_with(code: int) -> Object:
    where = "Container trainer for pod science/tiny-8f1c2f7e-00000-1-x7k2p"
    message = f"{where} failed with exit code {code} matching FailJob rule at index 1"
    return ended("Failed", "PodFailurePolicy", message)


def disrupted() -> Object:
    where = "Pod science/tiny-8f1c2f7e-00000-1-x7k2p"
    message = f"{where} has condition DisruptionTarget matching FailJob rule at index 0"
    return ended("Failed", "PodFailurePolicy", message)


def exceeded() -> Object:
    """Return what a Job says whose pod failed in a way that no rule names."""
    return ended("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")


def expired() -> Object:
    """Return what a Job says that has passed a deadline of its own."""
    return ended("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")


def warning(reason: str, message: str, minute: float, **more: Any) -> Object:
    """Return an event of type Warning."""
    said = {"type": "Warning", "reason": reason, "message": message}
    return {**said, "lastTimestamp": at(minute), "eventTime": None, **more}


def workload(job: Object, *conditions: Object, active: bool = True, **status: Any) -> Object:
    """Return the Workload that Kueue makes of a Job."""
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
    metadata = {
        "name": f"job-{name}-a1b2c",
        "labels": {"kueue.x-k8s.io/job-uid": uid},
        "ownerReferences": [owner],
    }
    spec = {"active": active, "queueName": "gpus", "podSets": [{"name": "main", "count": 1}]}
    return {
        "metadata": metadata,
        "spec": spec,
        "status": {"conditions": list(conditions), **status},
    }
