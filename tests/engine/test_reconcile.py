"""One pass: what is gathered, and what becomes of actions that are refused."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from distillery_contract.request import Request, Stage
from distillery_operator.engine import reconcile, requests, visit
from distillery_operator.engine.actions import Launch, Tell
from distillery_operator.engine.ports import Ports
from distillery_operator.engine.visit import Visitor
from distillery_operator.errors import Refused
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import Attempt, AttemptKey, Phase, Removal, Report
from distillery_operator.trials.observation import Others, Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import UNKNOWN
from distillery_operator.trials.trial import Confirmation, FinalTest, Point, Trial
from support import worlds

EXPERIMENT = worlds.experiment(parallelism=3, maxTrials=3)
TRIALS = (Trial(0, {"n_layers": 1}), Trial(1, {"n_layers": 2}), Trial(2, {"n_layers": 3}))
FINAL = Report(
    "Scrape",
    final=True,
    metrics={"exact": 70.0, "HasAns_exact": 60.0, "NoAns_exact": 80.0},
)


def own(trial: Trial, code: int | None = None) -> Attempt:
    launch = Launch(Stage.TRAIN, trial.number, 1)
    wanted = requests.order(EXPERIMENT, launch, trial, worlds.PREPARATION)
    phase = Phase.RUNNING if code is None else Phase.ENDED
    return Attempt(
        Stage.TRAIN, trial.number, 1, phase, code, started=1.0, digest=requests.digest(wanted)
    )


class World:
    """Trials and attempts in lists; the start of some trials is refused."""

    gpus = 0.0

    def __init__(
        self,
        attempts: Sequence[Attempt],
        refused: Sequence[int] = (),
        preparation: Preparation | None = worlds.PREPARATION,
    ) -> None:
        self.attempts, self.refused = list(attempts), refused
        self.preparation = preparation
        self.started: list[int] = []
        self.discarded: list[Attempt] = []
        self.told: list[int] = []
        self.remembered: list[int] = []
        self.released: list[Attempt] = []
        self.loads = 0

    upcoming = UNKNOWN

    async def preparing(self) -> tuple[PastAttempt, ...]:
        return ()

    async def remember(self, stage: Stage, trial: int, attempt: PastAttempt) -> None:
        self.remembered.append(trial)

    async def load(self) -> tuple[float, Preparation | None, tuple[Trial, ...]]:
        self.loads += 1
        return 0.0, self.preparation, TRIALS if self.preparation else ()

    async def others(self) -> Others:
        return Others()

    async def keep(self, preparation: Preparation) -> None:
        raise AssertionError(preparation)

    async def ask(self, spec: Spec, count: int, now: float) -> None:
        raise AssertionError(count)

    async def keep_confirmation(self, number: int, index: int, found: Confirmation) -> None:
        raise AssertionError(found)

    async def keep_test(self, number: int, test: FinalTest) -> None:
        raise AssertionError(number)

    async def promote(self, spec: Spec, number: int, now: float) -> None:
        raise AssertionError(number)

    async def record(self, number: int, point: Point) -> None:
        raise AssertionError(number)

    async def tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        self.told.append(ending.trial)

    async def look_for(self, begun: Mapping[str, AttemptKey]) -> None:
        pass

    async def list(self) -> Sequence[Attempt]:
        return self.attempts

    async def start(self, launch: Launch, request: Request) -> None:
        if launch.trial in self.refused:
            raise Refused("Forbidden", f"exceeded quota: trial {launch.trial}")
        self.started.append(launch.trial)

    async def stop(self, attempt: Attempt, reason: str) -> None:
        raise AssertionError(attempt)

    async def discard(self, attempt: Attempt) -> None:
        self.discarded.append(attempt)

    async def expire(self, attempt: Attempt) -> None:
        raise AssertionError(attempt)

    async def close(self, attempt: Attempt) -> None:
        raise AssertionError(attempt)

    async def release(self, attempt: Attempt) -> None:
        self.released.append(attempt)

    async def free(self, attempt: Attempt) -> None:
        raise AssertionError(attempt)

    async def removals(self) -> Sequence[Removal]:
        return ()

    async def collect(self, trials: Sequence[int], runs: Sequence[tuple[int, int]] = ()) -> None:
        raise AssertionError(trials)

    async def forget(self, removal: Removal) -> None:
        raise AssertionError(removal)

    async def read(self, attempts: Sequence[Attempt]) -> Sequence[Report | None]:
        return [FINAL for _ in attempts]

    def standing(self, attempt: Attempt) -> None:
        """Nothing stands still."""

    def drop(self, attempt: Attempt) -> None:
        raise AssertionError(attempt)


def passed(world: World) -> reconcile.Pass:
    return asyncio.run(reconcile.reconcile(EXPERIMENT, Ports(world, world, world), 100.0))


def test_a_pass_looks_at_the_study_once() -> None:
    async def nothing(_: Experiment) -> Mapping[str, Sequence[Trial]]:
        return {}

    world = World([])
    asyncio.run(Visitor(Ports(world, world, world), nothing).visit(EXPERIMENT))
    assert (world.started, world.loads) == ([0, 1, 2], 1)


@pytest.mark.parametrize(("long", "passes"), [(math.inf, visit.PASSES), (0.0, 1)])
def test_a_visit_that_takes_long_lets_others_go_first(
    long: float, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_: Experiment) -> Mapping[str, Sequence[Trial]]:
        return {}

    monkeypatch.setattr(visit, "LONG_SECONDS", long)
    world = World([own(TRIALS[0], code=0)])  # which is told again and again
    done = asyncio.run(Visitor(Ports(world, world, world), nothing).visit(EXPERIMENT))
    assert world.loads == passes
    assert visit.goes_on(done)  # so that the next visit comes at once


def test_an_action_that_is_refused_holds_up_no_other() -> None:
    world = World([own(TRIALS[0], code=0)], refused=[1])
    done = passed(world)
    assert world.told == [0]
    assert world.started == [2]
    assert done.refused == ("exceeded quota: trial 1",)


def test_what_is_refused_for_one_reason_is_said_once() -> None:
    world = World([own(TRIALS[0])], refused=[1, 2])
    world.start = _always_refused  # type: ignore[method-assign]
    assert passed(world).refused == ("no more Jobs",)


async def _always_refused(launch: Launch, request: Request) -> None:
    raise Refused("Forbidden", "no more Jobs")


def test_an_attempt_of_an_unknown_trial_is_foreign() -> None:
    stranger = replace(own(TRIALS[0]), trial=9)
    world = World([own(TRIALS[0]), stranger])
    assert passed(world).seen.foreign == (stranger,)
    assert world.discarded == [stranger]


def test_the_result_of_another_suggestion_of_the_same_number_is_not_told() -> None:
    other = replace(own(Trial(0, {"n_layers": 6}), code=0))
    world = World([other])
    done = passed(world)
    assert done.seen.foreign == (other,)
    assert (world.told, world.discarded) == ([], [other])
    assert 0 not in world.started  # the name of its Job is still taken


def test_an_attempt_without_a_digest_is_of_an_earlier_release_and_is_believed() -> None:
    world = World([replace(own(TRIALS[0], code=0), digest="")])
    assert passed(world).seen.foreign == ()
    assert world.told == [0]


def test_a_preparation_that_was_started_before_an_edit_of_the_data_is_foreign() -> None:
    data = {**worlds.DOCUMENT["spec"]["data"], "train": "edited.json"}
    launch = Launch(Stage.PREPARE, 0, 1)
    orders = [requests.order(of, launch) for of in (EXPERIMENT, worlds.experiment(data=data))]
    own, other = (
        Attempt(Stage.PREPARE, 0, 1, Phase.RUNNING, started=1.0, digest=requests.digest(order))
        for order in orders
    )
    assert passed(World([own], preparation=None)).seen.foreign == ()
    world = World([other], preparation=None)
    assert passed(world).seen.foreign == (other,)
    assert (world.discarded, world.started) == ([other], [])
    assert passed(World([other])).seen.foreign == ()  # of what is stored its Job tells
