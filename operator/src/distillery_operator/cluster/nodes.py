"""PURE: attempts whose node does not answer: nobody knows whether they still run.

Such a pod is not replaced by anybody, and rightly so: its process may live on. It ends when the
node answers again, when the Node object is removed, or when the node is marked as shut down.
To delete it by force does not help, for the Job controller's finalizer stays until the pod ends.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from distillery_operator.cluster import objects
from distillery_operator.cluster.kinds import Object
from distillery_operator.trials.attempt import NODE_LOST, Attempt

OVERDUE_SECONDS: Final = 60.0
"""Time after a pod's grace at which its node counts as lost: a kubelet kills what is still there
when the grace is over, and tells so within seconds."""


def noted(found: Attempt, pods: Iterable[Object], now: float) -> Attempt:
    """Return a live attempt with what is wrong with its node, if something is.

    Args:
        found: as its Job and its pods are.
        pods: of its Job.
        now: seconds since the epoch.
    """
    pod = objects.youngest(pods)
    if not found.live or pod is None:
        return found
    node, due = pod.get("spec", {}).get("nodeName"), objects.due(pod)
    if node and due is not None and now > due + OVERDUE_SECONDS and not objects.terminal(pod):
        ended = max(due, found.started or due)
        return replace(found, reason=NODE_LOST, message=_lost(node), lost=True, ended=ended)
    if node and objects.unanswered(pod):
        return replace(found, reason=NODE_LOST, message=_silent(node))
    return found


def _silent(node: str) -> str:
    return (
        f"the node {node} does not answer, so nobody knows whether the process still runs;"
        " Kubernetes gives the pod up after its tolerationSeconds, by default five minutes, as long"
        " as any other node answers"
    )


def _lost(node: str) -> str:
    return (
        f"the node {node} does not answer, and its pod cannot be replaced before it has ended for"
        " certain: when the node answers again, or once the machine is off and either"
        f" `kubectl delete node {node}` or `kubectl taint nodes {node}"
        " node.kubernetes.io/out-of-service=nodeshutdown:NoExecute` says so; to delete the pod by"
        " force does not help"
    )
