import asyncio
import re
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from distillery_contract.request import Stage
from distillery_operator.cluster.kinds import Key
from distillery_operator.engine import conditions, status
from distillery_operator.engine.statistics import Statistics
from distillery_operator.errors import DatabaseUnavailable, Unusable
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import ConditionType, Status
from distillery_operator.telemetry import experiment_metrics, operator_metrics
from distillery_operator.trials.attempt import Attempt, Phase
from distillery_operator.trials.trial import FinalTest
from support import certificates, programs, shapes, virtual_time, worlds
from support.operators import LOOPBACK

KEY = Key("science", "tiny")
OTHER = Key("science", "other")

FAMILIES = {
    # Of the operator.
    "leader": set(),
    "experiments_not_owned": set(),
    "reconcile_total": {"result"},
    "reconcile_duration_seconds": set(),
    "workqueue_depth": set(),
    "workqueue_oldest_age_seconds": set(),
    "watch_last_event_timestamp_seconds": {"resource"},
    "watch_missed_total": {"resource"},
    "api_requests_total": {"verb", "resource", "code"},
    "api_request_duration_seconds": {"verb", "resource"},
    "storage_operation_duration_seconds": {"operation"},
    "storage_errors_total": set(),
    "storage_up": set(),
    "suggest_duration_seconds": {"sampler"},
    "event_loop_lag_seconds": set(),
    "build_info": {"version"},
    # Of what trials did.
    "trials_ended_total": {"namespace", "experiment", "state", "reason"},
    "attempts_started_total": {"namespace", "experiment", "stage"},
    "attempts_interrupted_total": {"namespace", "experiment"},
    "trial_metrics_source_total": {"source"},
    "trial_metrics_missing_total": set(),
    "prometheus_errors_total": set(),
    "trial_duration_seconds": {"namespace", "experiment"},
    # Of experiments.
    "experiment_info": {"namespace", "experiment", "uid", "sampler", "objectives", "state"},
    "experiment_status_condition": {"namespace", "experiment", "condition", "status"},
    "experiment_trials": {"namespace", "experiment", "state"},
    "experiment_spec_max_trials": {"namespace", "experiment"},
    "experiment_spec_parallelism": {"namespace", "experiment"},
    "experiment_active": {"namespace", "experiment"},
    "experiment_pareto_front_size": {"namespace", "experiment"},
    "experiment_hypervolume": {"namespace", "experiment"},
    "experiment_best_value": {"namespace", "experiment", "objective"},
    "experiment_gpu_seconds": {"namespace", "experiment"},
    "experiment_cost": {"namespace", "experiment"},
    "experiment_budget_used_ratio": {"namespace", "experiment", "budget"},
    "experiment_observed_generation": {"namespace", "experiment"},
    "experiment_metadata_generation": {"namespace", "experiment"},
    "experiment_start_timestamp_seconds": {"namespace", "experiment"},
    "experiment_completion_timestamp_seconds": {"namespace", "experiment"},
    "experiment_ended_trials": {"namespace", "experiment", "state", "reason"},
    "experiment_one_sided_trials": {"namespace", "experiment", "half"},
    "experiment_spec_threshold": {"namespace", "experiment", "objective"},
    "experiment_pending_timestamp_seconds": {"namespace", "experiment", "reason"},
    "experiment_pareto_front_truncated": {"namespace", "experiment"},
    "experiment_pareto_front_value": {"namespace", "experiment", "trial", "objective"},
    "experiment_pareto_front_improved_timestamp_seconds": {"namespace", "experiment"},
    "experiment_unimproved_trials": {"namespace", "experiment"},
    "experiment_latest_value": {"namespace", "experiment", "metric"},
    "experiment_teacher_value": {"namespace", "experiment", "metric"},
    "experiment_baseline_info": {"namespace", "experiment", "baseline", "trial"},
    "experiment_baseline_value": {"namespace", "experiment", "baseline", "objective"},
    "experiment_pareto_front_test_value": {"namespace", "experiment", "trial", "objective"},
    "experiment_baseline_test_value": {"namespace", "experiment", "baseline", "objective"},
    "experiment_teacher_test_value": {"namespace", "experiment", "metric"},
    "experiment_median_trial_seconds": {"namespace", "experiment"},
    "experiment_progress_timestamp_seconds": {"namespace", "experiment"},
}
"""What dashboards and alerts may rely on: names without their prefix, and labels."""

PROCESS = {
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
}
"""Of every process, by their usual names."""


@pytest.fixture
def shown() -> Iterator[experiment_metrics.Experiments]:
    made = experiment_metrics.Experiments()
    yield made
    for key in (KEY, OTHER):
        made.forget(key)
    operator_metrics.REGISTRY.unregister(made)


def exposition() -> str:
    return generate_latest(operator_metrics.REGISTRY).decode()


def samples() -> dict[str, float]:
    """Samples as ``name{label="value",…}``, without the prefix, by the labels' names."""
    found = {}
    for family in text_string_to_metric_families(exposition()):
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('distillery_')}{{{labels}}}"] = sample.value
    return found


def ended() -> tuple[Experiment, Status, Statistics]:
    """An experiment with all of its trials ended, its status and its figures."""
    experiment = shapes.experiment(
        maxTrials=3,
        parallelism=1,
        maxCost=1,
        costPerGpuHour=12,
        maxGpuHours=0.05,
        data={**worlds.DOCUMENT["spec"]["data"], "test": "test.json"},
    )
    trials = (
        worlds.completed(
            0,
            90.0,
            6,
            baseline="deep",
            gpus=2.0,
            ended=100.0,
            model="model",
            test=FinalTest({"exact": 88.0, "f1": 89.0}, {"exact": 89.5}),
        ),
        worlds.completed(1, 80.0, 2, gpus=2.0, ended=200.0),
        worlds.completed(2, 40.0, 1, gpus=2.0, ended=300.0),
    )
    seen = worlds.observation(trials, now=1000.0)
    findings = [conditions.Finding(ConditionType.ACCEPTED, "True", "Valid", "it keeps every rule")]
    found = worlds.status(experiment, seen, None, findings)
    return experiment, found, worlds.statistics_of(experiment.spec, seen)


def young(attempt: Attempt) -> tuple[Experiment, Status, Statistics]:
    """An experiment of which nothing is known yet but one attempt."""
    experiment = shapes.experiment()
    seen = worlds.observation(attempts=(attempt,), preparation=None)
    return (
        experiment,
        worlds.status(experiment, seen, None),
        worlds.statistics_of(experiment.spec, seen),
    )


def use_everything(shown: experiment_metrics.Experiments) -> None:
    shown.show(KEY, *ended())
    waiting = Attempt(Stage.PREPARE, 0, 1, Phase.PENDING, created=900.0, reason="Unschedulable")
    shown.show(OTHER, *young(waiting))
    operator_metrics.RECONCILES.labels("done").inc()
    operator_metrics.WATCH_EVENT.labels("jobs").set(1.0)
    operator_metrics.WATCH_MISSED.labels("jobs").inc(0)
    operator_metrics.observe_request("create", "jobs", 201, 0.02)
    operator_metrics.STORAGE_SECONDS.labels("load").observe(0.01)
    operator_metrics.SUGGEST_SECONDS.labels("TPE").observe(0.1)
    operator_metrics.TRIALS_ENDED.labels(*KEY, "Completed", "Completed").inc()
    operator_metrics.ATTEMPTS_STARTED.labels(*KEY, "train").inc()
    operator_metrics.ATTEMPTS_INTERRUPTED.labels(*KEY).inc()
    operator_metrics.METRICS_SOURCE.labels("TerminationMessage").inc()
    operator_metrics.TRIAL_SECONDS.labels(*KEY).observe(600)


@pytest.mark.needs("prometheus")
def test_promtool_finds_no_fault_in_the_exposition(shown: experiment_metrics.Experiments) -> None:
    (promtool,) = programs.locate("promtool")
    use_everything(shown)
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=exposition(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_and_labels_are_those_that_dashboards_know(
    shown: experiment_metrics.Experiments,
) -> None:
    use_everything(shown)
    found: dict[str, set[str]] = {}
    for name in samples():
        family, labels = re.findall(r"^(\w+?)(?:_bucket|_count|_sum)?\{(.*)\}$", name)[0]
        found.setdefault(family, set()).update(re.findall(r'(\w+)="', labels))
    own = {name: labels - {"le"} for name, labels in found.items() if name not in PROCESS}
    assert own == FAMILIES
    assert found.keys() >= PROCESS


def test_an_experiment_that_was_never_sound_shows_what_its_status_says(
    shown: experiment_metrics.Experiments,
) -> None:
    metadata = {"uid": shapes.UID, "generation": 3}
    fault = conditions.Finding(ConditionType.ACCEPTED, "False", "InvalidExperiment", "a fault")
    shown.show_obstructed(KEY, metadata, status.obstructed(3, None, None, fault, 100.0))
    found = {k: v for k, v in samples().items() if 'experiment="tiny"' in k}
    of_tiny = 'experiment="tiny",namespace="science"'
    word = f'objectives="",sampler="",state="InvalidExperiment",uid="{shapes.UID}"'
    assert found[f'experiment_info{{experiment="tiny",namespace="science",{word}}}'] == 1
    accepted = f'experiment_status_condition{{condition="Accepted",{of_tiny},status="false"}}'
    assert found[accepted] == 1
    assert found[f"experiment_metadata_generation{{{of_tiny}}}"] == 3
    assert not [name for name in found if "spec_" in name]


def test_an_obstacle_leaves_what_was_known_of_an_experiment(
    shown: experiment_metrics.Experiments,
) -> None:
    experiment, found, figures = ended()
    shown.show(KEY, experiment, found, figures)
    fault = conditions.Finding(ConditionType.STORAGE_REACHABLE, "False", "Away", "it is away")
    metadata = {"uid": shapes.UID, "generation": 2}
    shown.show_obstructed(KEY, metadata, status.obstructed(2, 3, found, fault, 400.0))
    of_tiny = 'experiment="tiny",namespace="science"'
    assert samples()[f"experiment_spec_max_trials{{{of_tiny}}}"] == 3
    assert samples()[f"experiment_unimproved_trials{{{of_tiny}}}"] == 1
    assert samples()[f"experiment_metadata_generation{{{of_tiny}}}"] == 2
    shown.show_obstructed(KEY, {"uid": "another", "generation": 1}, found)
    assert f"experiment_spec_max_trials{{{of_tiny}}}" not in samples()


def test_it_shows_whether_the_database_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    answers = [True, False, False, True]

    async def answer() -> None:
        if not answers.pop(0):
            raise DatabaseUnavailable("it is away")

    async def work() -> list[float]:
        watch = asyncio.create_task(operator_metrics.watch_storage(answer))
        found = []
        for _ in range(4):
            await asyncio.sleep(0.25)
            found.append(samples()["storage_up{}"])
            if answers:
                await asyncio.sleep(operator_metrics.STORAGE_ASKED_SECONDS - 0.2)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        return found

    assert virtual_time.run(work) == [1, 0, 0, 1]
    assert caplog.messages == ["it is away", "the database answers again"]


def test_only_points_of_the_front_and_baselines_are_series_of_one_trial(
    shown: experiment_metrics.Experiments,
) -> None:
    use_everything(shown)
    labels = {label for name in samples() for label in re.findall(r'(\w+)="', name)}
    assert not labels & {"attempt", "pod", "job"}
    families = {name.split("{")[0] for name in samples() if 'trial="' in name}
    assert families == {
        "experiment_pareto_front_value",
        "experiment_pareto_front_test_value",
        "experiment_baseline_info",
    }


def test_an_experiment_is_described_by_its_status(shown: experiment_metrics.Experiments) -> None:
    shown.show(KEY, *ended())
    prefix, own = "experiment_", re.compile(r'(experiment="tiny"|namespace="science"),?')
    of_tiny = {name: value for name, value in samples().items() if name.startswith(prefix)}
    conditions = {n: v for n, v in of_tiny.items() if n.startswith("experiment_status_condition")}
    others = {
        own.sub("", name.removeprefix(prefix)).replace(",}", "}"): value
        for name, value in of_tiny.items()
        if name not in conditions
    }
    assert others.pop("hypervolume{}") > 0
    assert others == {
        f'info{{objectives="exact,parameter_count",sampler="EHVI",state="Succeeded",'
        f'uid="{shapes.UID}"}}': 1,
        'trials{state="Pending"}': 0,
        'trials{state="Running"}': 0,
        'trials{state="Completed"}': 2,
        'trials{state="Infeasible"}': 1,
        'trials{state="Stopped"}': 0,
        'trials{state="Failed"}': 0,
        "spec_max_trials{}": 3,
        "spec_parallelism{}": 1,
        "active{}": 0,
        "pareto_front_size{}": 2,
        'best_value{objective="exact"}': 90,
        'best_value{objective="parameter_count"}': 200_000,
        "gpu_seconds{}": pytest.approx(60, abs=2),  # three trials of 10 s on two GPUs
        "cost{}": 0.2,
        'budget_used_ratio{budget="maxGpuHours"}': pytest.approx(0.34),
        'budget_used_ratio{budget="maxCost"}': 0.2,
        "observed_generation{}": 1,
        "metadata_generation{}": 1,
        "start_timestamp_seconds{}": 0,
        "completion_timestamp_seconds{}": 300,
        'ended_trials{reason="Completed",state="Completed"}': 2,
        'ended_trials{reason="MetricsUnavailable",state="Failed"}': 0,
        'ended_trials{reason="ThresholdMissed",state="Infeasible"}': 1,
        'one_sided_trials{half="answerable"}': 0,
        'one_sided_trials{half="unanswerable"}': 0,
        'spec_threshold{objective="exact"}': 50,
        'budget_used_ratio{budget="maxTrials"}': 1,
        'budget_used_ratio{budget="maxFailedTrials"}': 0,
        "pareto_front_truncated{}": 0,
        'pareto_front_value{objective="exact",trial="0"}': 90,
        'pareto_front_value{objective="exact",trial="1"}': 80,
        'pareto_front_value{objective="parameter_count",trial="0"}': 600_000,
        'pareto_front_value{objective="parameter_count",trial="1"}': 200_000,
        "pareto_front_improved_timestamp_seconds{}": 200,
        "unimproved_trials{}": 1,
        'latest_value{metric="exact"}': 40,
        'latest_value{metric="HasAns_exact"}': 40,
        'latest_value{metric="NoAns_exact"}': 40,
        'latest_value{metric="parameter_count"}': 100_000,
        'teacher_value{metric="exact"}': 90,
        'teacher_value{metric="HasAns_exact"}': 88,
        'teacher_value{metric="NoAns_exact"}': 92,
        'baseline_info{baseline="deep",trial="0"}': 1,
        'baseline_value{baseline="deep",objective="exact"}': 90,
        'baseline_value{baseline="deep",objective="parameter_count"}': 600_000,
        'pareto_front_test_value{objective="exact",trial="0"}': 88,
        'baseline_test_value{baseline="deep",objective="exact"}': 88,
        'teacher_test_value{metric="exact"}': 89.5,
        "median_trial_seconds{}": 10,
        "progress_timestamp_seconds{}": 300,
    }
    truths = {
        re.findall(r'condition="(\w+)"', name)[0]: re.findall(r'status="(\w+)"', name)[0]
        for name, value in conditions.items()
        if value == 1
    }
    assert len(conditions) == 3 * len(truths)
    assert truths == {
        "Accepted": "true",
        "Prepared": "true",
        "Progressing": "false",
        "Succeeded": "true",
        "Tested": "true",
        "Degraded": "false",
    }


def test_what_is_not_known_has_no_series(shown: experiment_metrics.Experiments) -> None:
    shown.show(KEY, *young(Attempt(Stage.PREPARE, 0, 1, Phase.PENDING)))
    names = {name.split("{")[0].removeprefix("experiment_") for name in samples()}
    assert not names & {
        "completion_timestamp_seconds",
        "best_value",
        "latest_value",
        "teacher_value",
        "median_trial_seconds",
        "pareto_front_improved_timestamp_seconds",
        "pending_timestamp_seconds",
    }
    assert samples()['experiment_active{experiment="tiny",namespace="science"}'] == 1


def test_the_series_of_an_experiment_end_some_days_after_it() -> None:
    now = time.time()
    experiment, found, figures = ended()
    shown = experiment_metrics.Experiments(days=2)
    try:
        for key, hours in ((KEY, 47), (OTHER, 49)):
            moment = conditions.timestamp(now - 3600 * hours)
            shown.show(
                key, experiment, found.model_copy(update={"completion_time": moment}), figures
            )
        of_each = {
            re.findall(r'experiment="(\w+)"', name)[0]
            for name in samples()
            if "experiment_" in name
        }
        assert of_each == {"tiny"}
    finally:
        operator_metrics.REGISTRY.unregister(shown)


def test_the_newest_status_stands(shown: experiment_metrics.Experiments) -> None:
    experiment, found, figured = ended()
    shown.show(KEY, experiment, found, figured)
    shown.show(KEY, experiment, found.model_copy(update={"state": "Failed"}))
    infos = [name for name in samples() if name.startswith("experiment_info")]
    assert len(infos) == 1
    assert 'state="Failed"' in infos[0]
    known = samples()['experiment_unimproved_trials{experiment="tiny",namespace="science"}']
    assert known == 1  # the figures stand where only an obstacle was found


def test_an_experiments_series_vanish_with_it(shown: experiment_metrics.Experiments) -> None:
    before = {name for name in samples() if 'namespace="' in name}
    for key in (KEY, OTHER):
        shown.show(key, *ended())
        operator_metrics.TRIALS_ENDED.labels(*key, "Completed", "Completed").inc()
        operator_metrics.TRIALS_ENDED.labels(*key, "Failed", "Crashed").inc()
        operator_metrics.ATTEMPTS_STARTED.labels(*key, "train").inc()
        operator_metrics.ATTEMPTS_INTERRUPTED.labels(*key).inc()
        operator_metrics.TRIAL_SECONDS.labels(*key).observe(600)
    shown.forget(KEY)
    left = {name for name in samples() if 'namespace="' in name} - before
    assert not [name for name in left if 'experiment="tiny"' in name]
    assert {name.split("{")[0] for name in left if 'experiment="other"' in name} > {
        "experiment_info",
        "experiment_hypervolume",
        "trials_ended_total",
        "attempts_started_total",
        "attempts_interrupted_total",
        "trial_duration_seconds_bucket",
    }
    shown.forget(OTHER)
    assert {name for name in samples() if 'namespace="' in name} == before
    shown.forget(OTHER)  # that it was never known is no fault


def test_a_late_event_loop_shows() -> None:
    clock = virtual_time.Clock()

    async def work() -> float:
        watch = asyncio.create_task(operator_metrics.watch_lag())
        await asyncio.sleep(0.01)
        clock.now += 0.4  # as long as something keeps the loop
        await asyncio.sleep(0.01)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        return samples()["event_loop_lag_seconds{}"]

    late = virtual_time.run(work, clock)
    assert late == pytest.approx(0.41 - operator_metrics.LAG_SECONDS)


@pytest.mark.needs("openssl")
def test_metrics_are_served_over_tls_to_those_with_a_certificate(tmp_path: Path) -> None:
    certificates.make(tmp_path, "tls", "localhost", "-addext", "subjectAltName=DNS:localhost")
    shutil.copy(tmp_path / "tls.crt", tmp_path / "ca.crt")
    port = operator_metrics.serve(0, "127.0.0.1", tmp_path, clients=True)
    known = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    url = f"https://localhost:{port}/metrics"
    with pytest.raises(OSError, match=r"certificate required|EOF|reset|closed"):
        urllib.request.urlopen(url, context=known, timeout=10).read()
    known.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with urllib.request.urlopen(url, context=known, timeout=10) as answer:
        assert b"distillery_build_info{" in answer.read()


def test_certificates_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=f"the certificates in {tmp_path} cannot be read"):
        operator_metrics.serve(0, "127.0.0.1", tmp_path)


@pytest.mark.parametrize("host", LOOPBACK)
def test_metrics_are_served_over_http(shown: experiment_metrics.Experiments, host: str) -> None:
    use_everything(shown)
    port = operator_metrics.serve(0)
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert "distillery_build_info{" in text
    assert 'distillery_experiment_info{experiment="tiny"' in text
