"""PURE: why a Job waits, in Kueue's own words: those of its Workload's conditions.

The words are those of Kueue 0.17, apis/kueue/v1beta2/workload_types.go. Reasons of conditions come
and go between its releases, so that their messages are what is told.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from distillery_operator.cluster.kinds import Object
from distillery_operator.trials.attempt import DEACTIVATED, INADMISSIBLE, QUEUED

JOB_UID: Final = "kueue.x-k8s.io/job-uid"
"""Label of a Workload: the Job that it is of."""

UNMADE: Final = (QUEUED, "the Job is suspended, and Kueue has made no Workload of it yet")


def by_job(workloads: Iterable[Object]) -> Mapping[str, Object]:
    """Return the Workloads by the uid of their Job."""
    found = {}
    for workload in workloads:
        metadata = workload["metadata"]
        owners = [o["uid"] for o in metadata.get("ownerReferences") or [] if o.get("controller")]
        found[(metadata.get("labels") or {}).get(JOB_UID) or "".join(owners)] = workload
    return found


def waits(workload: Object) -> tuple[str, str]:
    """Return why a Job is not admitted: in one word, and in Kueue's own."""
    conditions = _conditions(workload)
    evicted, quota = conditions.get("Evicted", {}), conditions.get("QuotaReserved", {})
    if _given_up(workload, conditions):
        said = evicted.get("message", "")
        return DEACTIVATED, f"Kueue has given the Job up: {said}; {_again(workload)}"
    before = f"it was evicted: {evicted['message']}; " if _true(evicted) else ""
    if _true(quota):
        return QUEUED, f"Kueue has quota for the Job, and waits for checks: {_checks(workload)}"
    said = quota.get("message") or "Kueue has not looked at the Job yet"
    word = INADMISSIBLE if quota.get("reason") == INADMISSIBLE else QUEUED
    return word, f"Kueue does not admit the Job: {before}{said}"


def _given_up(workload: Object, conditions: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether Kueue lets a Job wait for good.

    To make its Workload active again helps only sometimes: Kueue 0.17 leaves one alone that has
    reached its limit of requeuing.
    """
    if (workload.get("spec") or {}).get("active") is False:
        return True
    evicted = conditions.get("Evicted", {})
    gone = _true(evicted) and str(evicted.get("reason", "")).startswith(DEACTIVATED)
    return gone and conditions.get("Requeued", {}).get("status") == "False"


def _again(workload: Object) -> str:
    """Say what lets a Job try again that Kueue has given up."""
    owners = workload["metadata"].get("ownerReferences") or []
    names = [owner["name"] for owner in owners if owner.get("controller")]
    return f"`kubectl delete job {' '.join(names)}` lets it try again, as a new Job"


def _conditions(workload: Object) -> Mapping[str, Mapping[str, Any]]:
    found = (workload.get("status") or {}).get("conditions") or []
    return {condition["type"]: condition for condition in found}


def _true(condition: Mapping[str, Any]) -> bool:
    return condition.get("status") == "True"


def _checks(workload: Object) -> str:
    states = (workload.get("status") or {}).get("admissionChecks") or []
    told = [
        f"{c['name']} is {c.get('state', 'Pending')}"
        + (f": {m}" if (m := c.get("message")) else "")
        for c in states
        if c.get("state") != "Ready"
    ]
    return ", ".join(told) or "none is named"
