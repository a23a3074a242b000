"""Conformance suites of the ports: what every runner and every study must do, whatever it runs on.

A test module of an implementation inherits a suite and says how to make one.
"""

import asyncio
import re
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch, Tell
from distillery_operator.engine.ports import Runner
from distillery_operator.errors import DatabaseUnavailable, InUse, NotFound, StudyMismatch
from distillery_operator.measurements.reports import Measurements
from distillery_operator.resource import parsing, space
from distillery_operator.resource.experiment import Experiment
from distillery_operator.search import optuna_trials
from distillery_operator.search.suggester import Suggester
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.tables import Storage
from distillery_operator.study.workers import Workers
from distillery_operator.trials.attempt import Attempt, Report
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import Provenance, Trainer
from distillery_operator.trials.trial import Confirmation, FinalTest, Point, State, Trial
from support import worlds

EXPERIMENT = worlds.experiment()
DROPOUT = {"name": "dropout", "type": "Float", "low": 0, "high": 0.4, "step": 0.1}
SPACE = [
    *worlds.DOCUMENT["spec"]["parameters"],
    {**DROPOUT, "when": {"parameter": "n_layers", "minimum": 4}},
]
TIED = worlds.experiment(parameters=SPACE)
GRID = worlds.experiment(parameters=SPACE[1:], sampler={"type": "Grid"}, maxTrials=100)
WARM = parsing.parse(
    {
        **worlds.document(warmStartFrom=[{"experiment": "tiny"}], sampler={"startupTrials": 5}),
        "metadata": {"name": "later"},
    }
)
FIRST = Launch(Stage.TRAIN, 0, 1)
REPORT = Report(
    "Scrape", final=True, metrics={"exact": 70.0, "HasAns_exact": 60.0, "NoAns_exact": 80.0}
)

MakeRunner = Callable[[], Runner]
Ledger = Callable[[], list[int]]


def start(runner: Runner, launch: Launch = FIRST, rate: float = 0.2) -> None:
    request = requests.order(EXPERIMENT, launch, Trial(0, {"learning_rate": rate}))
    asyncio.run(runner.start(launch, request))


def listed(runner: Runner) -> list[Attempt]:
    return list(asyncio.run(runner.list()))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.02)


def ended(runner: Runner) -> Attempt:
    until(lambda: not listed(runner)[-1].live)
    return listed(runner)[-1]


def read(attempt: Attempt) -> Report | None:
    async def once() -> Report | None:
        reader = Measurements()
        try:
            (report,) = await reader.read([attempt])
            return report
        finally:
            await reader.close()

    return asyncio.run(once())


class RunnerSuite:
    """A runner of the quick trainer, whose training takes about a second."""

    @pytest.fixture
    def make(self) -> MakeRunner:
        """Return a function that makes runners of the same world, as successive processes do."""
        raise NotImplementedError

    @pytest.fixture
    def ledger(self) -> Ledger:
        """Return a function that reads which steps the trainings of trial 0 did."""
        raise NotImplementedError

    def test_an_attempt_runs_to_its_end_and_leaves_its_report(self, make: MakeRunner) -> None:
        runner = make()
        start(runner)
        attempt = ended(runner)
        report = read(attempt)
        assert (attempt.exit_code, attempt.stage, attempt.trial) == (0, Stage.TRAIN, 0)
        assert attempt.seconds > 0.5
        assert report is not None
        assert report.final
        assert report.metrics["exact"] > 80

    def test_metrics_are_read_while_it_runs(
        self, make: MakeRunner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QUICK_TRAINER_LINGER_SECONDS", "60")  # until it is stopped
        runner = make()
        start(runner)

        def measured() -> bool:
            # without its message, which would stand before a scrape that got no farther
            report = read(replace(listed(runner)[0], termination_message=None))
            return report is not None and report.source == "Scrape" and "exact" in report.metrics

        until(measured)
        asyncio.run(runner.stop(listed(runner)[0], "Suspended"))
        assert ended(runner).exit_code in (Exit.OK, Exit.INTERRUPTED)

    def test_starting_twice_starts_one_process(self, make: MakeRunner, ledger: Ledger) -> None:
        first, second = make(), make()
        start(first)
        start(second)
        start(first)
        assert ended(first) == ended(second)
        start(second)  # it has ended: it stays ended
        assert [a.live for a in listed(second)] == [False]
        assert ledger() == list(range(20))

    def test_another_runner_sees_a_live_attempt_and_its_end(self, make: MakeRunner) -> None:
        first, other = make(), make()
        start(first)
        assert [a.live for a in listed(other)] == [True]
        assert ended(other).exit_code == 0
        assert ended(first) == ended(other)

    def test_a_stopped_attempt_leaves_a_checkpoint_and_the_next_goes_on(
        self, make: MakeRunner, ledger: Ledger
    ) -> None:
        runner = make()
        start(runner)
        until(lambda: len(ledger()) > 0)
        asyncio.run(runner.stop(listed(runner)[0], "Suspended"))
        asyncio.run(runner.stop(listed(runner)[0], "Suspended"))
        assert ended(runner).exit_code == Exit.INTERRUPTED
        start(runner, replace(FIRST, number=2))
        until(lambda: len(listed(runner)) == 2)
        assert ended(runner).exit_code == 0
        assert ledger() == list(range(20))

    def test_an_attempt_tells_the_digest_of_its_request(self, make: MakeRunner) -> None:
        runner = make()
        start(runner)
        wanted = requests.order(EXPERIMENT, FIRST, Trial(0, {"learning_rate": 0.2}))
        assert listed(runner)[0].digest == requests.digest(wanted)
        assert ended(runner).digest == requests.digest(wanted)

    def test_an_attempt_made_again_is_another_one_of_the_same_number(
        self, make: MakeRunner
    ) -> None:
        runner, other = make(), make()
        start(runner)
        first = ended(runner)
        assert first.identity
        assert ended(other).identity == first.identity

        def gone() -> bool:
            for attempt in listed(runner):
                asyncio.run(runner.discard(attempt))
            return not listed(runner)

        until(gone)
        start(runner)
        assert ended(runner).key == first.key
        assert ended(runner).identity != first.identity

    def test_a_discarded_attempt_ends_and_is_gone_and_its_name_is_free(
        self, make: MakeRunner, ledger: Ledger
    ) -> None:
        runner = make()
        start(runner)
        until(lambda: len(ledger()) > 0)

        def gone() -> bool:
            for attempt in listed(runner):
                asyncio.run(runner.discard(attempt))
            return not listed(runner)

        until(gone)
        start(runner, rate=0.1)
        assert ended(runner).exit_code == 0
        assert ledger() == list(range(20))  # from its beginning: nothing of the other one is left

    def test_what_the_suggestion_caused_is_seen_in_exit_code_and_report(
        self, make: MakeRunner
    ) -> None:
        runner = make()
        start(runner, rate=0.8)
        attempt = ended(runner)
        report = read(attempt)
        assert attempt.exit_code == Exit.DIVERGED
        assert report is not None
        assert "the loss is beyond 1000" in report.message


Work = Callable[[Study], Awaitable[None]]
UID, OTHER_UID = "5b0c8a0e-7b1f-4c63-9d0e-0d4c1c9a51aa", "0e3f4c52-2f0b-4a51-8f9c-3d2b6a7c80bb"


def tell(number: int, state: State = State.COMPLETED, report: Report = REPORT) -> Tell:
    return Tell(number, state, "Reason", "message", 7.0, report)


@asynccontextmanager
async def opened(
    url: str,
    uid: str = UID,
    experiment: Experiment = EXPERIMENT,
    now: float = 1.0,
    begun: str | None = None,
    curves: bool = False,
) -> AsyncIterator[Study]:
    """Open a study as a process of its own does."""
    database = Database(url, 1)
    try:
        with Workers(1) as workers:
            place = database.storage(uid)
            kept = await Study.open(place, experiment, now, workers, begun=begun, curves=curves)
            try:
                yield kept
            finally:
                await kept.close()
    finally:
        database.close()


def trials(
    url: str, uid: str = UID, experiment: Experiment = EXPERIMENT, *, curves: bool = False
) -> tuple[Trial, ...]:
    async def load() -> tuple[Trial, ...]:
        async with opened(url, uid, experiment, 99.0, curves=curves) as kept:
            started, preparation, found = await kept.load()
        assert (started, preparation) == (1.0, worlds.PREPARATION)
        return found

    return asyncio.run(load())


async def ask_in_vain(direct: str, kept: Study) -> None:
    """Ask a study for a suggestion while another client, by its own URL, has locked its trials."""
    await kept.ask(EXPERIMENT.spec, 1, 2.0)
    with psycopg.connect(direct) as other:
        table = f"exp_{uuid.UUID(UID).hex}.trials"
        other.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            await kept.ask(EXPERIMENT.spec, 1, 2.0)


def work(
    url: str, do: Work, experiment: Experiment = EXPERIMENT, uid: str = UID
) -> tuple[Trial, ...]:
    """Do some work on a study and return its trials, as a process that opens it later sees them."""

    async def first() -> tuple[Trial, ...]:
        async with opened(url, uid, experiment) as kept:
            await kept.keep(worlds.PREPARATION)
            await do(kept)
            return (await kept.load())[2]

    written = asyncio.run(first())
    assert trials(url, uid, experiment) == written
    return written


SEARCHING = """
    import asyncio, sys
    sys.path.insert(0, {tests!r})
    from support import ports
    from distillery_operator.trials.trial import Point

    async def search() -> None:
        async with ports.opened({url!r}) as kept:
            await kept.keep(ports.worlds.PREPARATION)
            begun = len((await kept.load())[2])
            for number in range(begun, 1000):
                await kept.ask(ports.EXPERIMENT.spec, 1, 2.0)
                print("asked", number, flush=True)
                for step in range(3):
                    await kept.record(number, Point(step, {{"exact": 1.0}}))
                    print("recorded", number, flush=True)
                await kept.tell(ports.EXPERIMENT.spec, ports.tell(number), "model", 3.0)
                print("told", number, flush=True)

    asyncio.run(search())
"""


def search_until_killed(url: str, lines: int, seconds: float) -> list[str]:
    """Search in a process that is killed so long after so many lines; return what it said."""
    program = textwrap.dedent(SEARCHING).format(tests=str(Path(__file__).parents[1]), url=url)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(lines)]
        time.sleep(seconds)
        child.kill()
        said += child.stdout.readlines()
    return [line.decode() for line in said if line.endswith(b"\n")]


class StudySuite:
    """A study in a database that has none yet."""

    @pytest.fixture
    def url(self) -> str:
        """Return the URL of an empty database."""
        raise NotImplementedError

    @pytest.fixture
    def outside(self) -> Callable[[str], optuna.Study]:
        """Return a function that loads the study of a uid with Optuna alone."""
        raise NotImplementedError

    def test_baselines_come_first_and_the_sampler_after_them(self, url: str) -> None:
        deep = {"name": "deep", "parameters": {"n_layers": 6, "dropout": 0.3}}
        experiment = worlds.experiment(baselines=[deep])
        trials = work(url, lambda s: s.ask(experiment.spec, 3, 2.0), experiment)
        fixed = {"epochs": 1, "temperature": 2.0}
        assert [t.baseline for t in trials] == ["deep", None, None]
        assert trials[0].parameters == {**fixed, "n_layers": 6, "dropout": 0.3}
        searched = {"learning_rate", "n_layers", "layer_selection"}
        assert set(trials[1].parameters) == {*fixed, *searched}

    def test_the_parameter_count_is_known_before_a_trial_starts(self, url: str) -> None:
        trials = work(url, lambda s: s.ask(EXPERIMENT.spec, 4, 2.0))
        counts = {t.parameters["n_layers"]: t.parameter_count for t in trials}
        by_size = sorted(counts.items(), key=lambda item: item[1] or 0)
        assert all(count and count > 100_000 for count in counts.values())
        assert sorted(counts) == [layers for layers, _ in by_size]

    def test_a_trial_has_none_that_would_be_without_effect(self, url: str) -> None:
        experiment = worlds.experiment(
            parameters=[
                {
                    "name": "initialization",
                    "type": "Categorical",
                    "choices": ["Teacher", "Scratch"],
                }
            ],
            sampler={"type": "Grid"},
            training={"hidden_size": 48},
        )

        async def prepared(kept: Study) -> None:
            await kept.keep(worlds.PREPARATION)
            await kept.ask(experiment.spec, 2, 2.0)

        found = work(url, prepared, experiment)
        widths = {t.parameters["initialization"]: t.parameters.get("hidden_size") for t in found}
        assert widths == {"Teacher": None, "Scratch": 48}
        sizes = {t.parameters["initialization"]: t.parameter_count for t in found}
        assert (sizes["Teacher"] or 0) > (sizes["Scratch"] or 0) > 0
        request = requests.order(experiment, Launch(Stage.PREPARE, 0, 1))
        assert request.parameters == {}

    @pytest.mark.parametrize("experiment", [EXPERIMENT, TIED, GRID], ids=["space", "tied", "grid"])
    def test_a_restart_suggests_what_an_unbroken_run_suggests(
        self, url: str, experiment: Experiment
    ) -> None:
        async def step(kept: Study, number: int) -> None:
            await kept.ask(experiment.spec, 1, 2.0)
            await kept.tell(experiment.spec, tell(number), "m", 3.0)

        async def at_once(kept: Study) -> None:
            for number in range(14):
                await step(kept, number)

        whole = work(url, at_once, experiment)
        for number in range(14):
            parts = work(url, lambda kept, n=number: step(kept, n), experiment, OTHER_UID)  # type: ignore[misc]
        assert all(space.whole(experiment.spec, t.parameters) for t in whole)
        assert [t.parameters for t in parts] == [t.parameters for t in whole]

    def test_a_grid_ends_where_it_has_no_further_point(self, url: str) -> None:
        found = work(url, lambda s: s.ask(GRID.spec, 40, 2.0), GRID)
        points = {tuple(sorted(trial.parameters.items())) for trial in found}
        assert len(found) == len(points) == space.grid_size(GRID.spec)

    def test_trials_of_another_experiment_inform_the_sampler_once_for_all(self, url: str) -> None:
        """The other one goes on meanwhile and is gone at last, and a restart suggests the same."""

        async def finish(kept: Study, count: int) -> None:
            begun = len((await kept.load())[2])
            await kept.ask(EXPERIMENT.spec, count, 2.0)
            for number in range(begun, begun + count):
                await kept.tell(EXPERIMENT.spec, tell(number), "m", 3.0)

        async def step(kept: Study, places: list[Storage]) -> int:
            found = await kept.warm_up(WARM, lambda name: places[0] if places else None)
            await kept.ask(WARM.spec, 1, 2.0)
            return len(found["tiny"])

        database = Database(url, 1)
        try:
            work(url, lambda kept: finish(kept, 12))
            there = [database.storage(UID)]
            counts: list[int] = []

            async def taken(kept: Study, places: list[Storage]) -> None:
                counts.append(await step(kept, places))

            begun = work(url, lambda kept: taken(kept, there), WARM, OTHER_UID)
            work(url, lambda kept: finish(kept, 3))
            parts = work(url, lambda kept: taken(kept, []), WARM, OTHER_UID)
        finally:
            database.close()
        assert counts == [12, 12]
        assert parts[0] == begun[0]
        assert Suggester().suggest(WARM.spec, parts[:1], worlds.size) != space.reduced(
            WARM.spec, parts[1].parameters
        )

    def test_another_experiment_asks_which_pretrained_student_a_trial_started_from(
        self, url: str
    ) -> None:
        training = {"epochs": 1, "temperature": 2.0, "initialization": "Pretrained"}
        small, large = (
            worlds.experiment(training=training, student={"model": model})
            for model in ("small", "large")
        )

        async def finish(kept: Study, experiment: Experiment, number: int) -> None:
            await kept.ask(experiment.spec, 1, 2.0)
            await kept.tell(experiment.spec, tell(number), "m", 3.0)

        async def finish_as_an_earlier_release() -> None:
            """Leave out what results were made with: the student could be edited then."""
            async with opened(url, experiment=small) as kept:
                await kept.keep(worlds.PREPARATION)
                await finish(kept, small, 0)
                place = kept._storage
                await kept._workers.run(place.key, place.set_attribute, "meaning", None)

        asyncio.run(finish_as_an_earlier_release())
        work(url, lambda kept: finish(kept, large, 1), large)
        wanted = {"training": training, "student": {"model": "large"}}
        later = WARM.model_copy(
            update={
                "spec": worlds.experiment(**wanted, warmStartFrom=[{"experiment": "first"}]).spec
            }
        )
        database, found = Database(url, 1), list[int]()

        async def taken(kept: Study) -> None:
            informing = await kept.warm_up(later, lambda name: database.storage(UID))
            found.extend(trial.number for trial in informing["first"])

        try:
            work(url, taken, later, OTHER_UID)
        finally:
            database.close()
        assert found == [1]

    def test_an_experiment_to_start_from_must_be_there(self, url: str) -> None:
        database = Database(url, 1)

        async def missing(kept: Study) -> None:
            for found in (None, database.storage(OTHER_UID)):
                with pytest.raises(NotFound, match="there is no experiment tiny with trials"):
                    await kept.warm_up(WARM, lambda name, place=found: place)  # type: ignore[misc]

        try:
            work(url, missing, WARM)
        finally:
            database.close()

    def test_a_trial_is_told_once(self, url: str) -> None:
        async def twice(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 1, 2.0)
            await kept.tell(EXPERIMENT.spec, tell(0), "model", 3.0)
            await kept.tell(EXPERIMENT.spec, tell(0, State.FAILED), None, 4.0)

        (trial,) = work(url, twice)
        assert (trial.state, trial.ended, trial.model) == (State.COMPLETED, 3.0, "model")
        assert trial.metrics["parameter_count"] == trial.parameter_count

    def test_learning_curves_are_kept(self, url: str) -> None:
        async def curve(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 1, 2.0)
            for step in range(3):
                await kept.record(0, Point(step, {"exact": float(step)}, {"total": 1.0}))

        (trial,) = work(url, curve)
        assert [p.metrics["exact"] for p in trial.curve] == [0.0, 1.0, 2.0]

    def test_an_ending_has_the_last_evaluation_of_the_curve(self, url: str) -> None:
        report = replace(REPORT, metric_step=20, steps=20)

        async def end(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 1, 2.0)
            await kept.record(0, Point(10, {"exact": 41.0}, steps=20, at=3.0))
            await kept.tell(EXPERIMENT.spec, tell(0, report=report), "model", 4.0)
            await kept.tell(EXPERIMENT.spec, tell(0, report=report), "model", 5.0)

        (trial,) = work(url, end)
        assert [(point.step, point.at) for point in trial.curve] == [(10, 3.0), (20, 4.0)]
        assert trial.curve[-1].metrics == REPORT.metrics

    def test_attempts_are_remembered_each_once_as_they_were_told_last(self, url: str) -> None:
        made = Provenance(3, "digest", "key", "trainer:1@sha256:0", Trainer("1", "2", "5", "cpu"))
        begun = PastAttempt(1, "uid", started=2.0, gpus=0.5, provenance=made)
        over = replace(
            begun, over=True, exit_code=75, halted=True, reason="Evicted", message="lost", ended=9.0
        )
        second = PastAttempt(2, "other", started=10.0)
        failed = replace(over, exit_code=65, halted=False)

        async def remember(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 2, 2.0)
            for past in (second, begun, over, over):
                await kept.remember(Stage.TRAIN, 0, past)
            for past in (failed, replace(second, number=1, identity="")):
                await kept.remember(Stage.PREPARE, 0, past)
            await kept.tell(EXPERIMENT.spec, tell(1), "model", 3.0)
            await kept.remember(Stage.TRAIN, 1, begun)  # too late: it is told

        found = work(url, remember)
        assert [trial.attempts for trial in found] == [(over, second), ()]

        async def preparing() -> tuple[PastAttempt, ...]:
            async with opened(url) as kept:
                return await kept.preparing()

        assert set(asyncio.run(preparing())) == {failed, replace(second, number=1, identity="")}

    def test_a_person_may_ask_for_a_failed_preparation_again(self, url: str) -> None:
        made = Provenance(1, image="trainer:1")
        failed = PastAttempt(1, "uid", over=True, exit_code=65, provenance=made)

        async def ask() -> tuple[PastAttempt, ...]:
            async with opened(url) as kept:
                await kept.remember(Stage.PREPARE, 0, failed)
                await kept.try_again()
            async with opened(url) as kept:
                return await kept.preparing()

        assert asyncio.run(ask()) == (replace(failed, provenance=replace(made, generation=0)),)

    def test_a_test_is_stored_once_beside_the_result_and_its_attempts_before_it(
        self, url: str
    ) -> None:
        made = Provenance(3, "digest", "key", "trainer:1", Trainer("1", "2", "5", "cpu"))
        begun = PastAttempt(1, "uid", started=1.0, provenance=made)
        first = FinalTest({"exact": 41.0}, {"exact": 90.0}, 7.0, 0.5, made, 9.0)

        async def test(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 2, 2.0)
            for number in (0, 1):
                await kept.tell(EXPERIMENT.spec, tell(number), "model", 3.0)
                await kept.remember(Stage.TEST, number, begun)
            await kept.keep_test(0, first)
            await kept.keep_test(0, replace(first, metrics={"exact": 99.0}))
            await kept.remember(Stage.TEST, 0, replace(begun, over=True))  # too late
            await kept.try_again()

        tested, untested = work(url, test)
        assert tested.test == first
        assert tested.metrics["exact"] == tell(0).report.metrics["exact"]
        assert (tested.testing, tested.attempts) == ((begun,), ())
        again = replace(begun, provenance=replace(made, generation=0))
        assert (untested.test, untested.testing) == (None, (again,))

    def test_a_further_training_is_stored_once_and_its_files_are_gone_for_good(
        self, url: str
    ) -> None:
        made = Provenance(3, "digest", "key", "trainer:1", Trainer("1", "2", "5", "cpu"))
        begun = PastAttempt(1, "uid", started=1.0, provenance=made)
        first = Confirmation(
            43, State.COMPLETED, "Completed", "done", {"exact": 41.0}, 7.0, 0.5, 2, "there"
        )
        second = replace(first, seed=44, state=State.INFEASIBLE, metrics={}, attempt=3)

        async def confirm(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 1, 2.0)
            await kept.tell(EXPERIMENT.spec, tell(0), "model", 3.0)
            await kept.remember(Stage.CONFIRM, 0, begun)
            await kept.keep_confirmation(0, 0, replace(first, provenance=made))
            await kept.keep_confirmation(0, 0, second)  # another one was stored there
            await kept.remember(Stage.CONFIRM, 0, replace(begun, over=True))  # too late
            await kept.keep_confirmation(0, 1, second)
            await kept.collect([], [(0, 43)])

        (trial,) = work(url, confirm)
        gone = replace(first, provenance=made, model=None, collected=True)
        assert trial.confirmations == (gone, second)
        assert trial.confirming == (begun,)
        assert trial.model == "model"
        assert trial.metrics["exact"] == tell(0).report.metrics["exact"]
        assert trial.confirmed_up_to == 3

    def test_a_result_says_what_made_it(self, url: str) -> None:
        made = Provenance(3, "digest", "key", "trainer:1@sha256:0", Trainer("1", "2", "5", "cpu"))

        async def end(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 2, 2.0)
            await kept.tell(EXPERIMENT.spec, replace(tell(0), provenance=made), "model", 3.0)
            await kept.tell(EXPERIMENT.spec, tell(1), "model", 3.0)

        assert [trial.provenance for trial in work(url, end)] == [made, None]

    def test_a_stopped_trial_is_continued_by_one_other(
        self, url: str, outside: Callable[[str], optuna.Study]
    ) -> None:
        point = Point(5, {"exact": 41.0}, steps=20, at=3.0)

        async def promote(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 1, 2.0)
            await kept.record(0, point)
            reached = Report("Scrape", metrics=point.metrics)
            end = Tell(0, State.STOPPED, "CannotImprove", "it is beaten", 7.0, reached)
            await kept.tell(EXPERIMENT.spec, end, "model", 3.0)
            await kept.promote(EXPERIMENT.spec, 0, 4.0)
            await kept.promote(EXPERIMENT.spec, 0, 5.0)

        stopped, further = work(url, promote)
        assert (stopped.state, stopped.metrics["exact"]) == (State.STOPPED, 41.0)
        assert stopped.model is None
        assert further.continues == 0
        assert (further.state, further.parameters) == (State.RUNNING, stopped.parameters)
        assert further.curve == stopped.curve == (point,)
        assert further.parameter_count == stopped.parameter_count
        told, running = outside(UID).trials
        assert told.state is optuna.trial.TrialState.COMPLETE
        assert told.values[0] == 41.0
        assert told.constraints["ended_early"] > 0
        assert running.params == told.params

    def test_of_an_ended_trial_is_held_what_early_stopping_looks_at_and_stored_all(
        self, url: str
    ) -> None:
        assert EXPERIMENT.spec.early_stopping.rungs == [0.11, 0.33]
        steps = [10, 11, 15, 33, 50, 90]
        points = [Point(s, {"exact": s + 0.5}, {"total": 1.0}, 100, at=float(s)) for s in steps]
        held: list[tuple[Trial, ...]] = []

        async def search(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 1, 2.0)
            for point in points:
                await kept.record(0, point)
            held.append((await kept.load())[2])
            reached = Report("Scrape", metrics=points[-1].metrics)
            end = Tell(0, State.STOPPED, "CannotImprove", "it is beaten", 7.0, reached)
            await kept.tell(EXPERIMENT.spec, end, None, 3.0)
            held.append((await kept.load())[2])

        async def look(kept: Study) -> None:
            held.append((await kept.load())[2])
            await kept.promote(EXPERIMENT.spec, 0, 4.0)
            held.append((await kept.load())[2])

        work(url, search)
        work(url, look)
        whole, further = trials(url, curves=True)
        assert whole.curve == further.curve == tuple(points)
        running, told, again, promoted = (found[0].curve for found in held)
        assert running == tuple(points)
        assert [(p.step, p.losses) for p in told] == [(11, {}), (33, {}), (90, {})]
        assert told == again == promoted
        assert held[-1][1].curve == tuple(points)
        assert [p.metrics for p in told] == [points[n].metrics for n in (1, 3, 5)]

    def test_many_suggestions_of_one_keep_no_other_waiting(self, url: str) -> None:
        order: list[str] = []

        async def both() -> None:
            with closing(Database(url, 1)) as database, Workers(1) as workers:
                found = [database.storage(uid) for uid in (UID, OTHER_UID)]
                many, one = [await Study.open(p, EXPERIMENT, 1.0, workers) for p in found]

                async def ask(name: str, kept: Study, count: int) -> None:
                    await kept.ask(EXPERIMENT.spec, count, 2.0)
                    order.append(name)

                await asyncio.gather(ask("many", many, 5), ask("one", one, 1))
                assert len((await many.load())[2]) == 5
                await many.close()
                await one.close()

        asyncio.run(both())
        assert order == ["one", "many"]

    def test_a_collected_model_is_gone(self, url: str) -> None:
        async def collect(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 1, 2.0)
            await kept.tell(EXPERIMENT.spec, tell(0), "model", 3.0)
            await kept.collect([0])

        (trial,) = work(url, collect)
        assert trial.model is None

    def test_another_search_space_is_refused(self, url: str) -> None:
        work(url, lambda s: s.ask(EXPERIMENT.spec, 1, 2.0))
        other = worlds.experiment(parameters=worlds.DOCUMENT["spec"]["parameters"][:1])
        with pytest.raises(StudyMismatch, match="immutable"):
            trials(url, experiment=other)

    @pytest.mark.parametrize(
        ("part", "value", "said"),
        [
            ("data", {"nullThreshold": -1000}, "data.nullThreshold was 0.0, but is -1000"),
            ("data", {"maxLength": 128}, "data.maxLength was 64, but is 128"),
            ("teacher", {"model": "nowhere"}, "teacher.model was 'teacher', but is 'nowhere'"),
            ("teacher", {"floor": {"exact": 1}}, "teacher.floor was {}, but is {'exact': 1}"),
            ("training", {"epochs": 30}, "training.epochs was 1, but is 30"),
            ("training", {"dropout": 0.2}, "training.dropout was None, but is 0.2"),
        ],
    )
    def test_what_results_were_made_with_is_immutable(
        self, url: str, part: str, value: dict[str, Any], said: str
    ) -> None:
        work(url, lambda s: s.ask(EXPERIMENT.spec, 1, 2.0))
        edited = worlds.experiment(**{part: {**worlds.DOCUMENT["spec"][part], **value}})
        with pytest.raises(StudyMismatch, match=re.escape(said)):
            trials(url, experiment=edited)

        async def edit(kept: Study) -> None:
            await kept.follow(EXPERIMENT)
            with pytest.raises(StudyMismatch, match="give the experiment another name"):
                await kept.follow(edited)

        work(url, edit)

    def test_before_anything_is_prepared_all_but_the_space_may_change(self, url: str) -> None:
        async def opens(experiment: Experiment) -> None:
            async with opened(url, experiment=experiment):
                pass

        asyncio.run(opens(EXPERIMENT))
        asyncio.run(opens(worlds.experiment(teacher={"model": "another"})))

    def test_a_baseline_that_has_run_keeps_its_hyperparameters(self, url: str) -> None:
        def named(layers: int, *others: int) -> Experiment:
            return worlds.experiment(
                baselines=[
                    {"name": f"b{n}", "parameters": {"n_layers": value}}
                    for n, value in enumerate((layers, *others))
                ]
            )

        work(url, lambda s: s.ask(named(6).spec, 1, 2.0), named(6))
        assert len(trials(url, experiment=named(6, 2))) == 1  # a further one may come
        assert len(trials(url, experiment=EXPERIMENT)) == 1  # and one that has run may go
        with pytest.raises(StudyMismatch, match="the baseline b0 was"):
            trials(url, experiment=named(5))

    def test_a_space_stored_before_there_was_a_field_is_the_same(
        self, url: str, outside: Callable[[str], optuna.Study]
    ) -> None:
        work(url, lambda s: s.ask(EXPERIMENT.spec, 1, 2.0))
        stored = outside(UID)
        space = stored.user_attrs["space"]
        for parameter in space["parameters"]:
            del parameter["when"]
        stored.set_user_attr("space", space)
        assert len(trials(url)) == 1

    def test_two_experiments_do_not_see_each_other(self, url: str) -> None:
        work(url, lambda s: s.ask(EXPERIMENT.spec, 2, 2.0))
        assert len(work(url, lambda s: s.ask(EXPERIMENT.spec, 1, 2.0), uid=OTHER_UID)) == 1
        assert len(trials(url)) == 2

    def test_optuna_sees_whole_suggestions_and_infeasible_endings(
        self, url: str, outside: Callable[[str], optuna.Study]
    ) -> None:
        async def endings(kept: Study) -> None:
            await kept.ask(EXPERIMENT.spec, 4, 2.0)
            await kept.tell(EXPERIMENT.spec, tell(0), "model", 3.0)
            await kept.tell(EXPERIMENT.spec, tell(1, State.INFEASIBLE, Report("")), None, 3.0)
            await kept.tell(EXPERIMENT.spec, tell(2, State.FAILED, Report("")), None, 3.0)

        ours = work(url, endings)
        stored = outside(UID)
        good, early, failed, running = seen = stored.get_trials()
        assert [t.state.name for t in seen] == ["COMPLETE", "COMPLETE", "FAIL", "RUNNING"]
        for trial, own in zip(seen, ours, strict=True):
            made = optuna_trials.frozen(EXPERIMENT.spec, own)
            assert trial.params == made.params
            assert trial.distributions == made.distributions
            assert (trial.state, trial.values) == (made.state, made.values)
            assert trial.constraints == made.constraints
            assert trial.datetime_start == datetime.fromtimestamp(2)
        assert [t.datetime_complete for t in seen] == [datetime.fromtimestamp(3)] * 3 + [None]
        assert all(v <= 0 for v in good.constraints.values())
        assert early.constraints["ended_early"] > 0
        assert early.values[0] == 0.0  # the worst exact
        assert early.values[1] == early.user_attrs["suggestion"]["parameter_count"]
        assert not failed.constraints
        assert running.number == 3
        assert [d.name for d in stored.directions] == ["MAXIMIZE", "MINIMIZE"]
        assert [t.number for t in stored.best_trials] == [0]

    @pytest.mark.long
    def test_a_kill_loses_nothing_and_leaves_nothing_half_written(
        self, url: str, outside: Callable[[str], optuna.Study]
    ) -> None:
        said: list[str] = []
        for lines, seconds in ((1, 0.0), (3, 0.001), (5, 0.004), (7, 0.02)):
            said += search_until_killed(url, lines, seconds)
            for trial, seen in zip(trials(url), outside(UID).get_trials(), strict=True):
                assert seen.state.is_finished() == (trial.state is State.COMPLETED)
                assert set(trial.parameters) >= {"learning_rate", "n_layers", "layer_selection"}
        assert len(said) >= 16
        kept = trials(url, curves=True)
        for line in said:
            what, which = line.split()
            trial = kept[int(which)]
            assert what != "told" or trial.state is State.COMPLETED
            assert len(trial.curve) >= (what == "recorded")
        points = [len(trial.curve) for trial in kept]
        assert max(points) == 3
        assert [t.number for t in outside(UID).get_trials()] == list(range(len(kept)))

    def test_a_second_writer_is_noticed_and_nothing_is_told_twice(self, url: str) -> None:
        async def both() -> None:
            async with opened(url) as first, opened(url) as second:
                await first.keep(worlds.PREPARATION)
                await first.ask(EXPERIMENT.spec, 1, 2.0)
                with pytest.raises(InUse, match="another process"):
                    await second.ask(EXPERIMENT.spec, 1, 2.0)
                await second.ask(EXPERIMENT.spec, 1, 2.0)  # it has looked again
                await second.tell(EXPERIMENT.spec, tell(0), "model", 3.0)
                with pytest.raises(InUse, match="another process"):
                    await first.tell(EXPERIMENT.spec, tell(0, State.FAILED), None, 4.0)
                assert (await first.load())[2] == (await second.load())[2]

        asyncio.run(both())
        (told, running) = trials(url)
        assert (told.state, told.model, running.state) == (State.COMPLETED, "model", State.RUNNING)

    def test_writers_at_the_same_time_give_each_trial_its_own_number(
        self, url: str, outside: Callable[[str], optuna.Study]
    ) -> None:
        refused = []

        async def write(kept: Study) -> None:
            for _ in range(8):
                try:
                    await kept.ask(EXPERIMENT.spec, 1, 2.0)
                except InUse as error:
                    refused.append(error)

        async def both() -> None:
            async with opened(url) as first, opened(url) as second:
                await first.keep(worlds.PREPARATION)
                await asyncio.gather(write(first), write(second))

        asyncio.run(both())
        assert refused
        numbers = [trial.number for trial in outside(UID).get_trials()]
        assert numbers == list(range(16 - len(refused)))
