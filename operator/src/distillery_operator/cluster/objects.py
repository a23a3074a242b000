"""PURE: what Jobs and pods say of themselves, as the API server shows them."""

from collections.abc import Iterable
from datetime import datetime

from distillery_contract import wire
from distillery_operator.cluster.documents import TRAINER
from distillery_operator.cluster.kinds import Object
from distillery_operator.resource import label_names


def finished(job: Object) -> Object | None:
    """Return the condition that says that a Job has ended and that none of its pods lives."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            found: Object = condition
            return found
    return None


def terminated(pod: Object) -> Object:
    """Return how the container that trains has ended; nothing while it has not."""
    found: Object = (container(pod).get("state") or {}).get("terminated") or {}
    return found


def lingering(pod: Object) -> tuple[str, ...]:
    """Return the other containers of a pod that keep it alive although its trainer has ended.

    Those that begin before the trainer and stay beside it are ended by their kubelet.
    """
    if not terminated(pod) or terminal(pod):
        return ()
    others = containers(pod, "container")
    return tuple(c["name"] for c in others if "terminated" not in (c.get("state") or {}))


def terminal(pod: Object) -> bool:
    """Tell whether all processes of a pod have ended."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def held(pod: Object) -> bool:
    """Tell whether a pod is held until its metrics are stored."""
    return label_names.METRICS in (pod["metadata"].get("finalizers") or [])


def containers(pod: Object, kind: str) -> list[Object]:
    """Return the statuses of containers: of kind container or initContainer."""
    return pod["status"].get(f"{kind}Statuses") or []


def container(pod: Object) -> Object:
    """Return the status of the container that trains; nothing before a kubelet has taken it."""
    statuses = containers(pod, "container")
    return next((s for s in statuses if s["name"] == TRAINER), {})


def condition(pod: Object, kind: str) -> Object:
    """Return a condition of a pod; nothing where it has none of this type."""
    conditions = pod["status"].get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def started(pod: Object) -> float | None:
    """Return when the container that trains started, in seconds since the epoch."""
    state = container(pod).get("state") or {}
    return seconds((state.get("running") or state.get("terminated") or {}).get("startedAt"))


def metrics_url(pod: Object) -> str | None:
    """Return where the metrics of a pod are served; None before it has an address."""
    address = pod["status"].get("podIP")
    if not address:
        return None
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{wire.DEFAULT_METRICS_PORT}/metrics"


def youngest(pods: Iterable[Object]) -> Object | None:
    """Return the pod of a Job that counts: one that a queue suspended may have had others."""
    return max(pods, key=lambda p: str(p["metadata"]["creationTimestamp"]), default=None)


def unanswered(pod: Object) -> bool:
    """Tell whether the node of a pod does not answer, as far as its pod shows it.

    The controller of nodes then sets the condition Ready to False, and no other; a kubelet does so
    only where containers are not ready, or a gate of the template's own is not.
    """
    ready, inside = condition(pod, "Ready"), condition(pod, "ContainersReady")
    own = ready.get("reason", "") in ("", "NodeStatusUnknown", "NodeNotReady")
    silent = ready.get("status") == "False" and inside.get("status") == "True" and own
    return silent or pod["status"].get("phase") == "Unknown"


def due(pod: Object) -> float | None:
    """Return by when a pod that is being deleted must have ended, in seconds since the epoch."""
    return seconds(pod["metadata"].get("deletionTimestamp"))


def seconds(timestamp: str | None) -> float | None:
    """Return a time of Kubernetes in seconds since the epoch."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else None
