"""How fast the operator is on a real control plane, whose pods a pretend kubelet runs.

    python bench/operator [--finished 500] [--parallelism 20] [--restart 2000] [--experiments 100]

Five parts, each with an operator and experiments of its own, studies in PostgreSQL, suggested by
the default sampler:

* the floor: the Job controller alone, from a Job's creation to its condition Complete;
* one search with many finished trials: from a freed slot to the next Job, and from the creation of
  further experiments to their first Job;
* an operator that is killed and started again beside a long search;
* many searches at once;
* one search of thousands of trials with long learning curves beside many of hundreds.

All times are those at which a watch of the bench's own shows the Jobs. The last line is a JSON
object.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "tests"), str(ROOT / "bench")]

import psycopg
import stored
import uvloop

from distillery_contract.request import Stage
from distillery_operator.cluster import jobs
from distillery_operator.cluster.runner import SELECTOR
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch, Tell
from distillery_operator.measurements import exposition
from distillery_operator.resource import parsing
from distillery_operator.resource.experiment import Experiment
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.workers import Workers
from distillery_operator.trials.trial import State
from measured import figures, objects, operators, setting, usage
from measured.operators import Probe
from measured.setting import Bench
from support import kubelet, parts, worlds

FLOOR_JOBS = 40
FIRST_JOBS = 20
POINTS = 200
"""Of the learning curves of a large search."""
EVALUATIONS = 9
"""Of those of the searches beside it."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="(default: all)")
    parser.add_argument("--finished", type=int, default=500, help="trials of the one search")
    parser.add_argument("--parallelism", type=int, default=20, help="of the one search")
    parser.add_argument("--turnarounds", type=int, default=150, help="freed slots to measure")
    parser.add_argument("--restart", type=int, default=2000, help="finished trials at a restart")
    parser.add_argument("--experiments", type=int, default=100, help="searches at once")
    parser.add_argument("--each", type=int, default=30, help="parallelism of each of them")
    parser.add_argument("--seconds", type=float, default=120, help="to watch them")
    parser.add_argument("--large", type=int, default=10_000, help="trials of the large search")
    parser.add_argument("--small", type=int, default=500, help="trials of each search beside it")
    parser.add_argument("--trial-seconds", type=float, default=100, help="run time of their trials")
    arguments = parser.parse_args()
    parts.require("control_plane", "postgres")
    uvloop.run(run(arguments))


async def run(arguments: argparse.Namespace) -> None:
    """Measure all parts."""
    found: dict[str, Any] = {}
    async with setting.running() as made:
        operators.install(made.plane)
        for name in arguments.parts or PARTS:
            part = await PARTS[name](made, arguments)
            print(json.dumps(part, indent=2), flush=True)
            found |= part
    print(json.dumps(found))


async def floor(made: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the Job controller alone: the same Jobs, one by one, pods that end at once."""
    experiment = parsing.parse(
        {**objects.document("floor", 1, 1), "metadata": {"name": "floor", "uid": "0"}}
    )
    made.kubelet.seconds = 0.0
    for number in range(FLOOR_JOBS):
        launch = Launch(Stage.TRAIN, number, 1)
        trial = worlds.completed(number, 50.0, 3)
        order = requests.order(experiment, launch, trial, worlds.PREPARATION)
        job = jobs.job(experiment, launch, order, objects.DEFAULTS)
        del job["metadata"]["ownerReferences"]
        await made.create(objects.JOBS, job)
        await asyncio.sleep(0.1)
    await setting.until(lambda: made.jobs.completed() == FLOOR_JOBS)
    spent = [s.complete - s.added for s in made.jobs.trials.values() if s.complete]
    await made.clear(objects.EXPERIMENTS, objects.JOBS)
    return {
        "job_controller_p50_s": figures.percentile(spent, 50),
        "job_controller_p95_s": figures.percentile(spent, 95),
    }


async def one_search(made: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a search with many finished trials, and experiments that are created beside it."""
    finished, parallelism = arguments.finished, arguments.parallelism
    await search(made, "long", finished, objects.MAX_TRIALS, parallelism)
    made.kubelet.seconds = 8.0
    with operators.operator(made) as operator:
        await setting.until(lambda: len(made.jobs.trials) >= parallelism)
        await setting.until(lambda: made.jobs.completed() >= parallelism // 2)
        begin, wanted = time.monotonic(), made.jobs.completed() + arguments.turnarounds
        with Probe(operator) as probe:
            await setting.until(lambda: made.jobs.completed() >= wanted)
        end = time.monotonic()
        spans = made.jobs.turnarounds(parallelism, begin, end)
        first = [await first_job(made, f"further-{n}") for n in range(FIRST_JOBS)]
    await made.clear(objects.EXPERIMENTS, objects.JOBS)
    operations, calls = "distillery_storage_operation", "distillery_api_request_duration_seconds"
    told = probe.added("distillery_trials_ended_total")
    parts = {
        "suggest": probe.added(f'{operations}_duration_seconds_sum{{operation="ask"}}') / told,
        "store": probe.added(f'{operations}_duration_seconds_sum{{operation="tell"}}') / told,
        "api": probe.added(f'{calls}_sum{{resource="jobs",verb="create"}}') / told,
    }
    mean = statistics.mean(spans)
    return {
        "turnaround_p50_s": figures.percentile(spans, 50),
        "turnaround_p95_s": figures.percentile(spans, 95),
        "turnaround_mean_s": round(mean, 3),
        "turnaround_count": len(spans),
        "turnaround_parts_s": {name: round(part, 3) for name, part in parts.items()},
        "first_job_p50_s": figures.percentile(first, 50),
        "first_job_p95_s": figures.percentile(first, 95),
        "one_search_lag_s": round(probe.lag_seconds, 3),
        "one_search_cpu_s_per_trial": round(probe.cpu_seconds / told, 3),
    }


async def first_job(made: Bench, name: str) -> float:
    """Return the time from the creation of an experiment to its preparation's Job."""
    known, begun = set(made.jobs.preparations), time.monotonic()
    await made.create(objects.EXPERIMENTS, objects.document(name, 1, 1))
    await setting.until(lambda: made.jobs.preparations.keys() - known)
    (job,) = made.jobs.preparations.keys() - known
    await asyncio.sleep(0.5)
    return made.jobs.preparations[job].added - begun


async def restart(made: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill an operator beside a long search, let a trial end, and start the operator again."""
    count, parallelism = arguments.restart, arguments.parallelism
    await search(made, "longer", count, objects.MAX_TRIALS, parallelism)
    made.kubelet.seconds = 40.0
    operator = operators.operator(made)
    with operator:
        await setting.until(lambda: len(made.jobs.trials) >= parallelism)
        await asyncio.sleep(3)
    ended = made.jobs.completed()
    await setting.until(lambda: made.jobs.completed() > ended)
    waiting = [seen for seen in made.jobs.trials.values() if seen.complete and not seen.told]
    begun = time.monotonic()
    with operator:
        await setting.until(lambda: all(seen.told for seen in waiting))
        await setting.until(lambda: len(made.jobs.trials) > parallelism)
        size = len(json.dumps(await status(made, "longer")))
    spent = time.monotonic() - begun
    await made.clear(objects.EXPERIMENTS, objects.JOBS)
    return {"restart_s": round(spent, 2), "restart_finished": count, "status_bytes": size}


async def many_searches(made: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run many searches at once."""
    experiments, each = arguments.experiments, arguments.each
    slots = experiments * each
    made.kubelet.seconds = arguments.trial_seconds
    with operators.operator(made) as operator:
        begun = time.monotonic()
        for number in range(experiments):
            await made.create(
                objects.EXPERIMENTS, objects.document(f"search-{number}", objects.MAX_TRIALS, each)
            )
        await setting.until(lambda: len(made.jobs.trials) >= slots)
        ramp = time.monotonic() - begun
        # The ramp began at once, and ends between half and one and a half of a run time later:
        # only then do trials end as steadily as they begin.
        await asyncio.sleep(2 * arguments.trial_seconds)
        with Probe(operator) as probe:
            start = time.monotonic()
            await asyncio.sleep(arguments.seconds)
            end = time.monotonic()
        await asyncio.sleep(5)
        spans = made.jobs.turnarounds(each, start, end)
        told = probe.added("distillery_trials_ended_total")
        calls = probe.each("distillery_api_requests_total")
        watched = await made.count(objects.JOBS, SELECTOR)
        pods = await made.count("/api/v1/pods", SELECTOR)
        memory = usage.peak_mib(operator.pid)
    return {
        "ramp_creations_per_s": round(slots / ramp, 1),
        "creations_per_s": round(made.jobs.created(start, end) / (end - start), 1),
        "completions_per_s": round(made.jobs.completed(start, end) / (end - start), 1),
        "many_turnaround_p50_s": figures.percentile(spans, 50),
        "many_turnaround_p95_s": figures.percentile(spans, 95),
        "memory_mib": round(memory),
        "api_calls_per_trial": round(sum(calls.values()) / told, 2),
        "api_calls": {name: round(value / told, 3) for name, value in calls.items()},
        "visits_per_trial": round(probe.added("distillery_reconcile_total") / told, 2),
        "lag_s": round(probe.lag_seconds, 3),
        "cpu_s_per_trial": round(probe.cpu_seconds / told, 4),
        "cpu_share": round(probe.cpu_seconds / probe.seconds, 2),
        "told": round(told),
        "jobs_by_selector": watched,
        "pods_by_selector": pods,
    }


async def large(made: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """Start an operator anew that has a large search and many smaller ones, and watch it."""
    parallelism, experiments = arguments.parallelism, arguments.experiments
    await store(made, "large", arguments.large, parallelism, POINTS)
    for number in range(experiments):
        await store(made, f"beside-{number}", arguments.small, 1, EVALUATIONS)
    made.kubelet.seconds = arguments.trial_seconds / 2
    operator = operators.operator(made)
    with operator:
        await setting.until(lambda: len(made.jobs.trials) >= experiments + parallelism, 900)
    ended = made.jobs.completed()
    await setting.until(lambda: made.jobs.completed() >= ended + parallelism)
    waiting = [seen for seen in made.jobs.trials.values() if seen.complete and not seen.told]
    begun = time.monotonic()
    with operator:
        await setting.until(lambda: operator.serving)
        with Probe(operator) as starting:
            await setting.until(lambda: all(seen.told for seen in waiting))
            await setting.until(
                lambda: len(made.jobs.trials) >= experiments + parallelism + len(waiting)
            )
            restart = time.monotonic() - begun
            # Until then, visits wait for those of all others: that is the restart, not a visit.
            await setting.until(lambda: not operator.metrics()["distillery_workqueue_depth{}"])
        with Probe(operator) as probe:
            await asyncio.sleep(arguments.seconds)
        memory = usage.peak_mib(operator.pid)
    await made.clear(objects.EXPERIMENTS, objects.JOBS)
    return {
        "large_memory_mib": round(memory),
        "large_lag_s": round(max(starting.lag_seconds, probe.lag_seconds), 3),
        "large_restart_s": round(restart, 2),
        "large_starting_visit_s": starting.slowest("distillery_reconcile_duration_seconds"),
        "large_visit_s": probe.slowest("distillery_reconcile_duration_seconds"),
        "large_visits": round(probe.added("distillery_reconcile_duration_seconds_count")),
        "large_told": round(probe.added("distillery_trials_ended_total")),
        "large_cpu_share": round(probe.cpu_seconds / probe.seconds, 2),
    }


async def store(made: Bench, name: str, count: int, parallelism: int, evaluations: int) -> None:
    """Create an experiment and, in bulk, a study with trials that have ended."""
    wanted = objects.document(name, 2 * objects.MAX_TRIALS, parallelism)
    wanted["spec"]["stagnation"] = {}
    experiment = parsing.parse(await made.create(objects.EXPERIMENTS, wanted))
    database = Database(made.server.url(), 1)
    place = database.storage(experiment.metadata.uid)
    with Workers(1) as workers:
        study = await Study.open(place, experiment, stored.BEGUN, workers)
        await study.keep(worlds.PREPARATION)
        await study.close()
    database.close()
    trials = stored.trials(experiment.spec, count, evaluations)
    with psycopg.connect(made.server.url(), autocommit=True) as server:
        stored.write(server, place.key, experiment.spec, trials)


async def search(made: Bench, name: str, finished: int, trials: int, parallelism: int) -> None:
    """Create an experiment whose study has finished trials already."""
    created = await made.create(objects.EXPERIMENTS, objects.document(name, trials, parallelism))
    experiment = parsing.parse(created)
    created["spec"]["sampler"] = {"type": "Random"}  # which takes no time to suggest
    quick = parsing.parse(created)
    database, now = Database(made.server.url(), 1), time.time() - 3600
    with Workers(1) as workers:
        place = database.storage(experiment.metadata.uid)
        study = await Study.open(place, experiment, now, workers)
        await study.keep(worlds.PREPARATION)
        for number in range(finished):
            await study.ask(quick.spec, 1, now)
            await study.tell(quick.spec, await ending(experiment, study, number), None, now)
        await study.close()
    database.close()


async def ending(experiment: Experiment, study: Study, number: int) -> Tell:
    """Return how the pretend kubelet would have ended a trial."""
    _, _, trials = await study.load()
    order = requests.order(experiment, Launch(Stage.TRAIN, number, 1), trials[number])
    report = exposition.parse(kubelet.last_words(order), exposition.TERMINATION_MESSAGE)
    assert report
    return Tell(number, State.COMPLETED, "Completed", "", 60.0, report)


async def status(made: Bench, name: str) -> dict[str, Any]:
    """Return the status of an experiment."""
    async with made.session.get(f"{objects.EXPERIMENTS}/{name}") as answer:
        found: dict[str, Any] = (await answer.json()).get("status", {})
        return found


PARTS = {
    "floor": floor,
    "search": one_search,
    "restart": restart,
    "many": many_searches,
    "large": large,
}


if __name__ == "__main__":
    main()
