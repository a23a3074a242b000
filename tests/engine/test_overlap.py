"""The promises with two operators on one study, with Jobs of strangers, and restored databases.

The world of :mod:`support.promises`, in which a second operator comes and goes: each decides by
what it has seen itself, however late, and acts on that later still. A study knows its last writer:
whoever wrote not last reads it again before it writes. The database may be restored as of an
earlier moment, while Jobs of forgotten trials live; and anybody may create Jobs with our labels.

Left out are two things that nothing here defends against. A Job that is deleted by hand is seen by
both operators before its name is used again. And whoever restores a database cuts off those who
are connected to it: what they had decided before is not done after.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from distillery_contract.request import Stage
from distillery_operator.engine.actions import Tell
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.trial import State, Trial
from support.promises import CHOICE, RESULT, STOPPING, Effect, Job, Key, Promises

WRITES = (
    *("tell", "ask", "promote", "change", "collect", "remember"),
    *("keep_test", "keep_confirmation", "collect_run"),
)
"""Effects on the study."""


@dataclass
class Operator:
    """What an operator has seen and decided."""

    seen_up_to: dict[Key, int] = field(default_factory=dict)
    plan: list[Effect] = field(default_factory=list)
    version: int = 0  # of the study, as it was read last


class Overlap(Promises):
    """Two operators, strangers, and a database that is restored."""

    alone = False

    def __init__(self) -> None:
        super().__init__()
        self.version = self.known = 0
        self.other: Operator | None = None
        self.dump: tuple[list[Trial], Preparation | None] | None = None
        self.strays = 0

    # Two operators

    @precondition(lambda self: self.other is None)
    @rule()
    def a_second_operator_starts(self) -> None:
        """Start another one; the port promises complete and fresh lists to it."""
        last = {key: len(states) - 1 for key, states in self.watch.items()}
        self.other = Operator(last, [], self.version)

    @precondition(lambda self: self.other is not None)
    @rule()
    def the_other_operator_has_its_turn(self) -> None:
        assert self.other is not None
        mine = Operator(self.seen_up_to, self.plan, self.known)
        self.seen_up_to, self.plan, self.known = vars(self.other).values()
        self.up_to_date = self.known == self.version
        self.other = mine

    @precondition(lambda self: self.other is not None)
    @rule(first=st.integers(1, 4), second=st.integers(1, 4))
    def both_decide_and_then_both_act(self, first: int, second: int) -> None:
        self.decide()
        self.the_other_operator_has_its_turn()
        self.decide()
        self.act(first)
        self.the_other_operator_has_its_turn()
        self.act(second)

    @precondition(lambda self: self.other is not None)
    @rule()
    def the_other_operator_is_killed(self) -> None:
        self.other = None

    def decide(self) -> None:
        self.known, self.up_to_date = self.version, True
        super().decide()

    def act(self, count: int, twice: bool = False) -> None:
        """Do the first effects of the plan; a write that comes too late ends the pass."""
        for _ in range(min(count, len(self.plan))):
            effect = self.plan.pop(0)
            writes = effect.func is setattr or effect.func.__name__ in WRITES
            if writes and self.known != self.version:
                self.plan.clear()
                return
            for _ in range(1 + (twice and effect.func != self.ask)):
                effect()
            if writes:
                self.version += 1
                self.known = self.version

    def tell(self, spec: Spec, ending: Tell) -> None:
        """Store an ending; by what was read last, a late one would be stored a second time."""
        late = self.known != self.version
        assert not late or self.trials[ending.trial].state is State.RUNNING, "told twice"
        super().tell(spec, ending)

    def ask(self, count: int) -> None:
        """Store suggestions; by what was read last, late ones would have numbers that are taken."""
        assert self.known == self.version, "numbered twice"
        super().ask(count)

    @precondition(lambda self: self.other is None)
    @rule(choice=CHOICE)
    def job_is_deleted_by_hand(self, choice: int) -> None:
        if job := self.pick(choice, lambda j: j.exists):
            self.delete(job)
            self.losses += job.ending is not None

    # Strangers

    @rule(trial=st.integers(0, 8), number=st.integers(1, 2), ended=st.booleans())
    def a_stranger_creates_a_job(self, trial: int, number: int, ended: bool) -> None:
        """Create a Job with our labels, of something that nobody has suggested here."""
        key = (Stage.TRAIN, trial, number)
        if self.existing(key) or any(job.live for job in self.jobs if job.key == key):
            return
        self.strays += 1
        made = (key, self.template, self.generation, f"stray {self.strays}")
        job = Job(*made, len(self.watch.get(key, [])))
        self.jobs.append(job)
        self.tell_watch(job)
        if ended:
            self.run(job)
            self.end(job, RESULT)

    # The database

    @rule()
    def the_database_is_dumped(self) -> None:
        self.dump = list(self.trials), self.preparation

    @precondition(lambda self: self.dump is not None)
    @rule()
    def the_database_is_restored(self) -> None:
        assert self.dump is not None
        self.trials, self.preparation = list(self.dump[0]), self.dump[1]
        self.shift += 1  # the sampler goes on from another point
        self.version += 1
        for job in self.jobs:
            job.forgotten |= job.released
        self.plan.clear()
        if self.other:
            self.other.plan.clear()

    # What must hold

    @invariant()
    def no_more_processes_live_than_were_ever_allowed(self) -> None:
        """One operator's late decision may start what the other one has just ended otherwise."""
        live = [job for job in self.jobs if job.live and not job.digest.startswith("stray")]
        assert len(live) <= 2 * self.most_parallel

    @invariant()
    def nothing_of_a_stranger_is_told(self) -> None:
        for trial in self.trials:
            if trial.state is State.COMPLETED and trial.reason == "Completed":
                exact = trial.metrics["exact"]
                own = [j for j in self.jobs if j.report and j.report.metrics.get("exact") == exact]
                assert any(not job.digest.startswith("stray") for job in own)

    def teardown(self) -> None:
        self.other = None
        super().teardown()
        assert not any(job.live for job in self.jobs)


TestOverlap = Overlap.TestCase
TestOverlap.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


def test_what_another_operator_has_begun_and_the_own_watch_not_shown_is_not_lost() -> None:
    world = Overlap()
    world.begin(parallelism=1, trials=4, prepared=True, strict=False, stopping=STOPPING[0])
    world.a_second_operator_starts()
    for _ in range(2):  # it asks, and it starts what it has got
        world.controller_passes([], 3)
    world.cluster_goes_on([0], [], 0)
    world.controller_passes([(0, 9)], 3)
    assert not world.trials[0].attempts[0].over
    world.the_other_operator_has_its_turn()
    world.controller_passes([], 3)
    assert [job.key for job in world.jobs] == [(Stage.TRAIN, 0, 1)]
