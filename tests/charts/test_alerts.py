"""Every alert, firing and not firing, by promtool: the rules themselves over made-up series."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from distillery_operator.engine.conditions import OBSTACLES
from distillery_operator.resource.status import ConditionType
from support import programs

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "charts/distillery/rules").glob("*.yaml"))
RULES = [
    rule
    for file in FILES
    for group in YAML(typ="safe").load(file.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}

BY_CHOICE = {"DistilleryOperatorDown"}
"""Alerts without a threshold: something is there or it is not."""


class Case(NamedTuple):
    """Series, a sample each minute, and the labels of what fires after so many minutes."""

    series: dict[str, str]
    minutes: int
    firing: list[dict[str, str]] = []  # noqa: RUF012 - nobody changes it


TINY = 'namespace="science",experiment="tiny"'
BY_TINY = {"namespace": "science", "experiment": "tiny"}
OPERATOR = 'namespace="distillery",pod="distillery-0"'
BY_OPERATOR = {"namespace": "distillery"}


def shown(name: str, labels: str = "") -> str:
    """Return a series of the experiment's, as the operator shows it."""
    return f"distillery_experiment_{name}{{{TINY},pod='distillery-0'{labels and ','}{labels}}}"


def condition(kind: str, status: str) -> str:
    return shown("status_condition", f'condition="{kind}",status="{status}"')


def ended(reason: str, state: str = "Infeasible") -> str:
    return shown("ended_trials", f'state="{state}",reason="{reason}"')


GOES_ON = {condition("Progressing", "true"): "1x900"}
IS_OVER = {condition("Progressing", "true"): "0x900"}
NONE_COMPLETED = {shown("trials", 'state="Completed"'): "0x900"}
ONE_COMPLETED = {shown("trials", 'state="Completed"'): "1x900"}


TRAINS = {shown("trials", 'state="Running"'): "2x900"}
NOTHING_TRAINS = {shown("trials", 'state="Running"'): "0x900"}
LONG = {"progress_timestamp_seconds": "0x900", "median_trial_seconds": "3600x900"}


def stalled(**series: str) -> dict[str, str]:
    own = {shown(k): v for k, v in series.items()}
    return {shown("info"): "1x900", **GOES_ON, **TRAINS, **own}


def elsewhere(series: dict[str, str], cluster: str = "south") -> dict[str, str]:
    """Return the same series from another cluster: same namespace, same names."""
    return {name.replace("{", f'{{cluster="{cluster}",'): values for name, values in series.items()}


def queued(since: str = "0x2000") -> dict[str, str]:
    """Every trial of an experiment waits for quota."""
    return {
        **stalled(**LONG),
        **NOTHING_TRAINS,
        shown("active"): "4x2000",
        shown("pending_timestamp_seconds", 'reason="Queued"'): since,
    }


DIED = {
    condition("Succeeded", "false"): "0x20 1x2000",
    shown("completion_timestamp_seconds"): "_x20 1200x2000",
    condition("Progressing", "true"): "1x20 0x2000",
}
"""An experiment that ended after twenty minutes, and has no front."""


def sided(half: str, count: int, total: int) -> dict[str, str]:
    return {
        shown("one_sided_trials", f'half="{half}"'): f"{count}x60",
        ended("ConstraintViolated"): f"{total}x60",
        **GOES_ON,
    }


def gpu(
    labels: str, busy: str, trains: bool = True, metric: str = "DCGM_FI_DEV_GPU_UTIL"
) -> dict[str, str]:
    trial = f'distillery_trial_step{{{TINY},trial="7",pod="tiny-7"}}'
    return {f"{metric}{{{labels}}}": busy, **({trial: "1+10x60"} if trains else {})}


SLICE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"


def volume(free: str, name: str = "workspace", pod: str = "tiny-7") -> dict[str, str]:
    claim = 'namespace="science",persistentvolumeclaim="distillery"'
    return {
        f"kubelet_volume_stats_available_bytes{{{claim}}}": free,
        f"kubelet_volume_stats_capacity_bytes{{{claim}}}": "100x60",
        "kube_pod_spec_volumes_persistentvolumeclaims_info"
        f'{{{claim},pod="{pod}",volume="{name}"}}': "1x60",
    }


BESIDE = {'distillery_build_info{namespace="science",pod="distillery-0"}': "1x60"}
"""An operator in the namespace of a volume."""


def memory(used: str, operator: bool = True) -> dict[str, str]:
    limits = f'{OPERATOR},container="operator",resource="memory"'
    return {
        f"process_resident_memory_bytes{{{OPERATOR}}}": used,
        f"kube_pod_container_resource_limits{{{limits}}}": "100x60",
        **({f"distillery_build_info{{{OPERATOR}}}": "1x60"} if operator else {}),
    }


def refused(verb: str, resource: str) -> str:
    labels = f'verb="{verb}",resource="{resource}",code="403"'
    return f"distillery_api_requests_total{{{OPERATOR},{labels}}}"


def interrupted(total: str) -> dict[str, str]:
    """Interruptions, and forty trials at a time."""
    return {
        f"distillery_attempts_interrupted_total{{{TINY},pod='distillery-0'}}": total,
        shown("trials", 'state="Running"'): "40x900",
    }


POD = 'namespace="science",pod="tiny-7",gpu="0"'
EXPORTED = 'namespace="gpus",pod="dcgm",exported_namespace="science",exported_pod="tiny-7",gpu="0"'
IDLE = {**BY_TINY, "pod": "tiny-7", "trial": "7"}

CASES: dict[str, dict[str, Case]] = {
    "DistilleryOperatorDown": {
        "it is gone": Case(
            {f"distillery_build_info{{{OPERATOR}}}": "1x10 stale"}, 30, [BY_OPERATOR]
        ),
        "there never was one": Case({}, 30, [{}]),
        "one of two is gone": Case(
            {
                f"distillery_build_info{{{OPERATOR}}}": "1x60",
                'distillery_build_info{namespace="other"}': "1x10 stale",
            },
            30,
            [{"namespace": "other"}],
        ),
        "it answers": Case({f"distillery_build_info{{{OPERATOR}}}": "1x60"}, 30),
        "it is gone in one of two clusters": Case(
            {
                f"distillery_build_info{{{OPERATOR}}}": "1x60",
                **elsewhere({f"distillery_build_info{{{OPERATOR}}}": "1x10 stale"}),
            },
            30,
            [{**BY_OPERATOR, "cluster": "south"}],
        ),
        "its pod was replaced": Case(
            {
                f"distillery_build_info{{{OPERATOR}}}": "1x10 stale",
                'distillery_build_info{namespace="distillery",pod="next"}': "_x12 1x60",
            },
            30,
        ),
    },
    "DistilleryReconcileErrors": {
        "every fifth pass fails": Case(
            {
                f'distillery_reconcile_total{{{OPERATOR},result="error"}}': "0+2x60",
                f'distillery_reconcile_total{{{OPERATOR},result="done"}}': "0+8x60",
            },
            40,
            [BY_OPERATOR],
        ),
        "one in twenty fails": Case(
            {
                f'distillery_reconcile_total{{{OPERATOR},result="error"}}': "0+1x60",
                f'distillery_reconcile_total{{{OPERATOR},result="done"}}': "0+19x60",
            },
            40,
        ),
        "one of many fails": Case(
            {
                f'distillery_reconcile_total{{{OPERATOR},result="error"}}': "0x20 1x60",
                f'distillery_reconcile_total{{{OPERATOR},result="done"}}': "0+1x60",
            },
            24,
        ),
        "nothing is done": Case(
            {f'distillery_reconcile_total{{{OPERATOR},result="done"}}': "7x60"}, 40
        ),
    },
    "DistilleryQueueStuck": {
        "an experiment waits": Case(
            {f"distillery_workqueue_oldest_age_seconds{{{OPERATOR}}}": "0+60x10"}, 6, [BY_OPERATOR]
        ),
        "it is looked at in time": Case(
            {f"distillery_workqueue_oldest_age_seconds{{{OPERATOR}}}": "290x60"}, 30
        ),
    },
    "DistilleryWatchStale": {
        "each list shows what the watch did not": Case(
            {f'distillery_watch_missed_total{{{OPERATOR},resource="jobs"}}': "0 0+0.2x60"},
            40,
            [{**BY_OPERATOR, "resource": "jobs"}],
        ),
        "a list was overtaken by the watch": Case(
            {f'distillery_watch_missed_total{{{OPERATOR},resource="jobs"}}': "0x20 1x60"}, 40
        ),
    },
    "DistilleryNamespaceRefused": {
        "it is gone": Case(
            {
                'distillery_namespace_watched{namespace="one"}': "1x60",
                'distillery_namespace_watched{namespace="two"}': "1x10 0x60",
            },
            30,
            [{"namespace": "two"}],
        ),
        "it was refused for a moment": Case(
            {'distillery_namespace_watched{namespace="two"}': "1x10 0x10 1x60"}, 24
        ),
    },
    "DistilleryRequestsRefused": {
        "a verb is missing in the role": Case(
            {refused("patch", "jobs"): "0+0.5x60", refused("list", "pods"): "0x60"},
            40,
            [{**BY_OPERATOR, "verb": "patch", "resource": "jobs"}],
        ),
        "a quota refuses Jobs": Case({refused("create", "jobs"): "0+1x60"}, 40),
        "it asked once at its start": Case({refused("get", "namespaces"): "0x10 1x60"}, 40),
        "a namespace refuses": Case(
            {
                refused("list", "jobs"): "0+4x60",
                'distillery_namespace_watched{namespace="two"}': "0x60",
            },
            40,
        ),
        "a namespace refuses in another cluster": Case(
            {
                refused("patch", "jobs"): "0+4x60",
                'distillery_namespace_watched{namespace="two",cluster="south"}': "0x60",
            },
            40,
            [{**BY_OPERATOR, "verb": "patch", "resource": "jobs"}],
        ),
    },
    "DistilleryEventLoopLate": {
        "it is late": Case(
            {f"distillery_event_loop_lag_seconds{{{OPERATOR}}}": "0.01x20 2x60"}, 40, [BY_OPERATOR]
        ),
        "a long list holds it up": Case(
            {f"distillery_event_loop_lag_seconds{{{OPERATOR}}}": "0.01x20 30x2 0.01x60"}, 24
        ),
        "it has just started": Case(
            {f"distillery_event_loop_lag_seconds{{{OPERATOR}}}": "2x3 0.01x60"}, 3
        ),
    },
    "DistilleryOperatorMemory": {
        "it grows": Case(memory("95x60"), 20, [BY_OPERATOR]),
        "it has enough": Case(memory("85x60"), 20),
        "for a moment": Case(memory("95x10 50x60"), 20),
        "another program grows": Case(memory("95x60", operator=False), 20),
        "its double in another cluster has enough": Case(
            {**memory("95x60"), **elsewhere(memory("20x60"))}, 20, [BY_OPERATOR]
        ),
    },
    "DistilleryDatabaseVolumeFull": {
        "of the bundled database": Case(
            {**volume("9x60", "data", "distillery-database-0"), **BESIDE},
            20,
            [{"namespace": "science", "persistentvolumeclaim": "distillery"}],
        ),
        "of SQLite": Case(
            {**volume("9x60", "database", "distillery-5d4-x7k"), **BESIDE},
            20,
            [{"namespace": "science", "persistentvolumeclaim": "distillery"}],
        ),
        "enough is left": Case({**volume("11x60", "data", "distillery-database-0"), **BESIDE}, 20),
        "of something else": Case({**volume("9x60", "data", "web-0"), **BESIDE}, 20),
        "of another team's database": Case(volume("9x60", "data", "other-database-0"), 20),
    },
    "DistilleryDatabaseDown": {
        "it is away": Case(
            {f"distillery_storage_up{{{OPERATOR}}}": "1x10 0x60"}, 20, [BY_OPERATOR]
        ),
        "one question failed": Case({f"distillery_storage_up{{{OPERATOR}}}": "1x10 0 1x60"}, 16),
        "it was away for a moment": Case(
            {f"distillery_storage_up{{{OPERATOR}}}": "1x10 0x3 1x60"}, 16
        ),
        "one operation failed": Case(
            {
                f"distillery_storage_up{{{OPERATOR}}}": "1x60",
                f"distillery_storage_errors_total{{{OPERATOR}}}": "0x10 1x60",
            },
            16,
        ),
        "of two clusters one": Case(
            {
                f"distillery_storage_up{{{OPERATOR}}}": "1x60",
                **elsewhere({f"distillery_storage_up{{{OPERATOR}}}": "0x60"}),
            },
            10,
            [{**BY_OPERATOR, "cluster": "south"}],
        ),
        "a new version starts": Case(
            {
                f"distillery_storage_up{{{OPERATOR}}}": "0x20 _x3 0x60",
            },
            22,
            [BY_OPERATOR],
        ),
    },
    "DistilleryPrometheusUnreachable": {
        "no question is answered": Case(
            {f"distillery_prometheus_errors_total{{{OPERATOR}}}": "0+1x60"}, 30, [BY_OPERATOR]
        ),
        "one is not": Case({f"distillery_prometheus_errors_total{{{OPERATOR}}}": "0x10 1x60"}, 30),
    },
    "DistilleryExperimentFailed": {
        "it died at night": Case(DIED, 700, [BY_TINY]),
        "it died the day before": Case(DIED, 1500),
        "it has a front": Case(
            {
                condition("Succeeded", "false"): "0x900",
                condition("Succeeded", "true"): "1x900",
                shown("completion_timestamp_seconds"): "60x900",
            },
            30,
        ),
        "it goes on": Case({condition("Succeeded", "false"): "0x60", **GOES_ON}, 30),
    },
    "DistilleryExperimentDegraded": {
        "an image cannot be pulled": Case(
            {condition("Degraded", "true"): "1x60", **GOES_ON}, 20, [BY_TINY]
        ),
        "it is mended soon": Case({condition("Degraded", "true"): "1x10 0x60", **GOES_ON}, 20),
        "it is over": Case({condition("Degraded", "true"): "1x60", **IS_OVER}, 20),
    },
    "DistilleryExperimentObstructed": {
        "the template is refused": Case(
            {condition("TemplateValid", "false"): "1x60"},
            20,
            [{**BY_TINY, "condition": "TemplateValid"}],
        ),
        "the program fails at one experiment beside a healthy one": Case(
            {
                condition("Visited", "false"): "1x60",
                condition("Accepted", "true").replace("tiny", "healthy"): "1x60",
                condition("Accepted", "false").replace("tiny", "healthy"): "0x60",
            },
            20,
            [{**BY_TINY, "condition": "Visited"}],
        ),
        "it is mended soon": Case({condition("TemplateValid", "false"): "1x10 0x60"}, 20),
        "the operator is replaced meanwhile": Case(
            {condition("TemplateValid", "false"): "1x20 _x3 1x60"},
            22,
            [{**BY_TINY, "condition": "TemplateValid"}],
        ),
        "all is well": Case({condition("StorageReachable", "false"): "0x60"}, 20),
        "no point yet": Case({condition("Succeeded", "false"): "1x60"}, 20),
    },
    "DistilleryExperimentStalled": {
        "three trials could have ended": Case(
            stalled(**LONG),
            200,
            [BY_TINY],
        ),
        "a trial may take so long": Case(stalled(**LONG), 170),
        "trials end": Case(
            stalled(progress_timestamp_seconds="0+60x900", median_trial_seconds="60x900"), 200
        ),
        "quick trials pause": Case(
            stalled(progress_timestamp_seconds="0x900", median_trial_seconds="10x900"), 50
        ),
        "not one trial ends": Case(stalled(progress_timestamp_seconds="0x900"), 740, [BY_TINY]),
        "the first trial takes long": Case(stalled(progress_timestamp_seconds="0x900"), 700),
        "it is over": Case(stalled(**LONG) | IS_OVER, 200),
        "the preparation does not end": Case(
            {
                **stalled(progress_timestamp_seconds="0x900"),
                **NOTHING_TRAINS,
                shown("active"): "1x900",
            },
            740,
            [BY_TINY],
        ),
        "all wait in a queue": Case(queued(), 240),
        "its double in another cluster goes on": Case(
            {
                **stalled(**LONG),
                **elsewhere(stalled(progress_timestamp_seconds="0+60x900"), "north"),
            },
            200,
            [BY_TINY],
        ),
    },
    "DistilleryNoAcceptableTrial": {
        "ten trials and none": Case(
            {
                ended("ThresholdMissed"): "0+1x6 6x60",
                ended("Collapsed"): "0+1x3 3x60",
                ended("Crashed", "Failed"): "0+1x1 1x60",
                **NONE_COMPLETED,
                **GOES_ON,
            },
            10,
            [BY_TINY],
        ),
        "nine trials": Case({ended("ThresholdMissed"): "9x60", **NONE_COMPLETED, **GOES_ON}, 10),
        "one of many is acceptable": Case(
            {ended("ThresholdMissed"): "90x60", **ONE_COMPLETED, **GOES_ON}, 10
        ),
        "its double in another cluster has one": Case(
            {
                ended("ThresholdMissed"): "90x60",
                **NONE_COMPLETED,
                **GOES_ON,
                **elsewhere({ended("ThresholdMissed"): "9x60", **ONE_COMPLETED, **GOES_ON}),
            },
            10,
            [BY_TINY],
        ),
        "suggestions were too large": Case(
            {ended("Oversize"): "90x60", **NONE_COMPLETED, **GOES_ON}, 10
        ),
        "it is over": Case({ended("ThresholdMissed"): "90x60", **NONE_COMPLETED, **IS_OVER}, 10),
    },
    "DistilleryNoAcceptableTrialForHours": {
        "a night and none": Case(
            {shown("start_timestamp_seconds"): "0x900", **NONE_COMPLETED, **GOES_ON},
            490,
            [BY_TINY],
        ),
        "it is still early": Case(
            {shown("start_timestamp_seconds"): "0x900", **NONE_COMPLETED, **GOES_ON}, 470
        ),
        "one is acceptable": Case(
            {shown("start_timestamp_seconds"): "0x900", **ONE_COMPLETED, **GOES_ON}, 490
        ),
        "it is over": Case(
            {shown("start_timestamp_seconds"): "0x900", **NONE_COMPLETED, **IS_OVER}, 490
        ),
    },
    "DistilleryTrialsOneSided": {
        "no unanswerable question is recognised": Case(
            sided("unanswerable", 5, 6), 10, [{**BY_TINY, "half": "unanswerable"}]
        ),
        "nothing is answered": Case(
            sided("answerable", 4, 7), 10, [{**BY_TINY, "half": "answerable"}]
        ),
        "half of them": Case(sided("answerable", 4, 8), 10),
        "too few to tell": Case(sided("answerable", 4, 4), 10),
        "it is over": Case(sided("answerable", 9, 9) | IS_OVER, 10),
    },
    "DistilleryTrialsFail": {
        "a third fails": Case(
            {
                ended("Crashed", "Failed"): "3x60",
                ended("Completed", "Completed"): "6x60",
                **GOES_ON,
            },
            10,
            [BY_TINY],
        ),
        "one in ten fails": Case(
            {
                ended("Crashed", "Failed"): "1x60",
                ended("Completed", "Completed"): "9x60",
                **GOES_ON,
            },
            10,
        ),
        "too few to tell": Case({ended("Crashed", "Failed"): "4x60", **GOES_ON}, 10),
    },
    "DistilleryTrialsInterrupted": {
        "spot nodes come and go": Case({**interrupted("0+1x900"), **GOES_ON}, 370, [BY_TINY]),
        "a drain interrupts all": Case({**interrupted("0x200 40x900"), **GOES_ON}, 370),
        "many trials, now and then one": Case({**interrupted("0+0.2x900"), **GOES_ON}, 370),
        "its double in another cluster suffers": Case(
            {
                **interrupted("0x900"),
                **GOES_ON,
                **elsewhere({**interrupted("0+1x900"), **GOES_ON}),
            },
            370,
            [{**BY_TINY, "cluster": "south"}],
        ),
        "it is over": Case({**interrupted("0+1x900"), **IS_OVER}, 370),
    },
    "DistilleryMetricsUnavailable": {
        "the first is lost": Case(
            {ended("MetricsUnavailable", "Failed"): "0x10 1x90"}, 30, [BY_TINY]
        ),
        "another is lost": Case(
            {ended("MetricsUnavailable", "Failed"): "3x10 4x90"}, 30, [BY_TINY]
        ),
        "one was lost long ago": Case({ended("MetricsUnavailable", "Failed"): "0x10 1x90"}, 80),
        "something else is wrong": Case({ended("Crashed", "Failed"): "0x10 1x90"}, 30),
    },
    "DistilleryTrialPendingTooLong": {
        "no node takes it": Case(
            {shown("pending_timestamp_seconds", 'reason="Unschedulable"'): "0x90"},
            70,
            [{**BY_TINY, "reason": "Unschedulable"}],
        ),
        "a node may come": Case(
            {shown("pending_timestamp_seconds", 'reason="Unschedulable"'): "0x90"}, 50
        ),
        "a queue has no quota": Case(queued(), 240),
    },
    "DistilleryTrialQueuedTooLong": {
        "for a day": Case(queued(), 1450, [BY_TINY]),
        "for a night": Case(queued(), 720),
        "others wait in turn": Case(queued("0+60x2000"), 1450),
        "no node takes it": Case(
            {shown("pending_timestamp_seconds", 'reason="Unschedulable"'): "0x2000"}, 1450
        ),
    },
    "DistilleryWorkspaceFull": {
        "little is left": Case(
            volume("9x60"), 20, [{"namespace": "science", "persistentvolumeclaim": "distillery"}]
        ),
        "enough is left": Case(volume("11x60"), 20),
        "a collection makes room": Case(volume("9x10 50x60"), 20),
        "it is the volume of something else": Case(volume("9x60", "data"), 20),
    },
    "DistilleryGPUIdle": {
        "a trial does not use it": Case(gpu(POD, "2x60"), 30, [IDLE]),
        "by an exporter that keeps its own labels": Case(gpu(EXPORTED, "2x60"), 30, [IDLE]),
        "a slice does nothing": Case(gpu(POD, "0.02x60", metric=SLICE), 30, [IDLE]),
        "a slice works though the whole GPU has no figure": Case(
            {**gpu(POD, "0x60"), **gpu(EXPORTED, "0.6x60", metric=SLICE)}, 30
        ),
        "it works": Case(gpu(POD, "60x60"), 30),
        "it works now and then": Case(gpu(POD, "0 0 0 0 90 0 0 0 0 90" + " 0 0 0 0 90" * 9), 30),
        "nothing trains in the pod": Case(gpu(POD, "0x60", trains=False), 30),
        "it was idle while it started": Case(gpu(POD, "0x8 95x60"), 30),
    },
    "DistilleryBudgetNearlyUsed": {
        "time runs out": Case(
            {shown("budget_used_ratio", 'budget="maxDurationSeconds"'): "0.8x60", **GOES_ON},
            10,
            [{**BY_TINY, "budget": "maxDurationSeconds"}],
        ),
        "there is time": Case(
            {shown("budget_used_ratio", 'budget="maxDurationSeconds"'): "0.79x60", **GOES_ON}, 10
        ),
        "it makes its last trials": Case(
            {shown("budget_used_ratio", 'budget="maxTrials"'): "0.99x60", **GOES_ON}, 10
        ),
        "it is over": Case(
            {shown("budget_used_ratio", 'budget="maxDurationSeconds"'): "1x60", **IS_OVER}, 10
        ),
    },
    "DistilleryFrontStagnates": {
        "many trials bring no point": Case(
            {shown("unimproved_trials"): "51x60", shown("pareto_front_size"): "4x60", **GOES_ON},
            10,
            [BY_TINY],
        ),
        "the front grows": Case(
            {shown("unimproved_trials"): "50x60", shown("pareto_front_size"): "4x60", **GOES_ON}, 10
        ),
        "there is no front": Case(
            {shown("unimproved_trials"): "99x60", shown("pareto_front_size"): "0x60", **GOES_ON}, 10
        ),
        "it is over": Case(
            {shown("unimproved_trials"): "99x60", shown("pareto_front_size"): "4x60", **IS_OVER}, 10
        ),
    },
    "DistilleryFrontTruncated": {
        "it has more points": Case({shown("pareto_front_truncated"): "1x60"}, 10, [BY_TINY]),
        "it is whole": Case({shown("pareto_front_truncated"): "0x60"}, 10),
    },
}


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """Run promtool; return its exit status and all that it says."""
    (program,) = programs.locate("promtool")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def run(folder: Path, *tests: dict[str, Any]) -> tuple[int, str]:
    """Run unit tests of the rules."""
    path = folder / "tests.yaml"
    document = {
        "rule_files": [str(file) for file in FILES],
        "evaluation_interval": "1m",
        "tests": tests,
    }
    path.write_text(json.dumps(document))
    return promtool("test", "rules", path)


def given(case: Case) -> dict[str, Any]:
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    return {"interval": "1m", "input_series": series}


@pytest.mark.needs("prometheus")
def test_promtool_finds_no_fault_in_the_rules() -> None:
    code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", *FILES)
    assert code == 0, said


def test_every_alert_is_tried_firing_and_not_firing() -> None:
    assert CASES.keys() == ALERTS.keys()
    for name, cases in CASES.items():
        outcomes = {bool(case.firing) for case in cases.values()}
        assert outcomes == {True, False}, name


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_only_then(name: str, tmp_path: Path) -> None:
    severity = ALERTS[name]["labels"]["severity"]
    tests = []
    for case_name, case in CASES[name].items():
        own = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
        fixed = {"__name__": "ALERTS", "alertname": name, "alertstate": "firing"}
        found = [
            ",".join(
                f"{k}={json.dumps(v)}" for k, v in {**fixed, "severity": severity, **f}.items()
            )
            for f in case.firing
        ]
        expected = [{"labels": f"{{{labels}}}", "value": 1} for labels in found]
        query = {"expr": own, "eval_time": f"{case.minutes}m", "exp_samples": expected}
        tests.append({"name": case_name, **given(case), "promql_expr_test": [query]})
    code, said = run(tmp_path, *tests)
    assert code == 0, said


@pytest.mark.needs("prometheus")
def test_no_alert_mixes_two_clusters_of_one_prometheus(tmp_path: Path) -> None:
    """What is wrong in one is not hidden by another one, where the same names are well."""
    tests = []
    for name, cases in CASES.items():
        wrong = next(c for c in cases.values() if c.series and c.firing)
        well = next(c for c in cases.values() if c.series and not c.firing)
        both = elsewhere(wrong.series, "north") | elsewhere(well.series)
        firing = f'ALERTS{{alertname="{name}",alertstate="firing",cluster="%s"}}'
        found = {"labels": "{}", "value": len(wrong.firing)}
        asked = [
            (f"count({firing % 'north'})", wrong.minutes, [found]),
            (f"count({firing % 'south'})", well.minutes, []),
        ]
        queries = [
            {"expr": expr, "eval_time": f"{minutes}m", "exp_samples": samples}
            for expr, minutes, samples in asked
        ]
        whole = given(Case(both, 0))
        tests.append({"name": name, **whole, "promql_expr_test": queries})
    code, said = run(tmp_path, *tests)
    assert code == 0, said


@pytest.mark.needs("prometheus")
def test_what_alerts_say_is_whole(tmp_path: Path) -> None:
    """promtool shows the texts that it did not expect, with their values filled in."""
    tests, firing = [], {}
    for name, cases in CASES.items():
        case = next(case for case in cases.values() if case.firing)
        asked = {"alertname": name, "eval_time": f"{case.minutes}m", "exp_alerts": []}
        tests.append({**given(case), "alert_rule_test": [asked]})
        firing[name] = case.firing[0].values()
    _, said = run(tmp_path, *tests)
    found = re.findall(r'alertname="(\w+)".*?description="(.*?)"', said.replace("\n", " "))
    told = dict(found)
    assert told.keys() == CASES.keys()
    for name, text in told.items():
        assert not re.search(r"no value|error|{{|NaN|%!|  ", text), text
        assert all(value in text for value in firing[name]), text


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_what_people_need(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    # A new version of the operator, whose series are gone for a minute, is no end of a fault.
    assert ("keep_firing_for" in rule) != (name in BY_CHOICE)
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert len(rule["annotations"]["summary"]) <= 80
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/runbooks.md"
    assert anchor == name.lower()


def test_every_obstacle_has_an_alert() -> None:
    said = re.search(r'condition=~"([\w|]+)"', ALERTS["DistilleryExperimentObstructed"]["expr"])
    assert said
    assert {*said[1].split("|")} == {*map(str, OBSTACLES), str(ConditionType.ACTIONS_ACCEPTED)}


@pytest.mark.needs("prometheus")
def test_an_experiment_that_dies_is_told_of_until_somebody_comes(tmp_path: Path) -> None:
    """While it fails by one alert, and from its end on by another: there is no minute without."""
    series = {**DIED, ended("Crashed", "Failed"): "9x2000"}
    tests = [
        {
            **given(Case(series, minutes)),
            "promql_expr_test": [
                {
                    "expr": 'count(ALERTS{alertstate="firing", experiment="tiny"}) > bool 0',
                    "eval_time": f"{minutes}m",
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }
            ],
        }
        for minutes in (15, 19, 20, 21, 22, 25, 26, 60, 700, 1400)
    ]
    code, said = run(tmp_path, *tests)
    assert code == 0, said


def test_a_threshold_stands_at_the_end_where_the_chart_can_replace_it() -> None:
    ending = re.compile(r"(==|>=|<=|>|<)\s*[0-9.]+\s*$")
    without = {name for name, rule in ALERTS.items() if not ending.search(rule["expr"])}
    assert without == BY_CHOICE


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    text = (ROOT / "docs/runbooks.md").read_text()
    assert sorted(re.findall(r"^## (Distillery\w+)$", text, re.MULTILINE)) == sorted(ALERTS)
    for chapter in text.split("\n## ")[1:]:
        parts = re.findall(r"^\*\*(\w+)\.\*\*", chapter, re.MULTILINE)
        assert parts == ["Meaning", "Impact", "Diagnosis", "Mitigation"], chapter.splitlines()[0]
        diagnosis = chapter.split("**Diagnosis.**")[1].split("**Mitigation.**")[0]
        assert "```sh" in diagnosis, (
            f"{chapter.splitlines()[0]} must name a command that shows more"
        )
