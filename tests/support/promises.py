"""The promises as a state machine: what must hold whatever happens, however late it is known.

A state machine plays a cluster, its users, and a controller that is killed between any two effects
and decides by lists that lag behind, each attempt by itself. The study is never late, for the
controller alone writes it. From the runner the decisions need what the methods below do where they
say *the port promises*; without any one of these a promise breaks.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from distillery_contract import metrics, size
from distillery_contract.request import Stage
from distillery_contract.wire import REASON_OF_EXIT, Exit
from distillery_operator.engine import decide, memory, reasons, requests
from distillery_operator.engine.actions import (
    Action,
    Ask,
    Collect,
    Collected,
    Discard,
    Forget,
    Free,
    Halt,
    Keep,
    KeepConfirmation,
    KeepTest,
    Launch,
    Promote,
    Record,
    Release,
    Remember,
    Tell,
)
from distillery_operator.engine.decide import Decision
from distillery_operator.resource.confirm import Confirm, FrontValues
from distillery_operator.resource.early_stopping import EarlyStopping
from distillery_operator.resource.spec import Constraint, Spec, Stagnation
from distillery_operator.search import own_points, reported
from distillery_operator.trials.attempt import Attempt, Phase, Removal, Report
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.trial import Confirmation, FinalTest, Point, State, Trial, lineage
from distillery_operator.trials.verdicts import Verdicts
from support import worlds

Key = tuple[Stage, int, int]
Effect = partial[None]


@dataclass(frozen=True)
class Ending:
    """How a process ended, and whether the report that it left is its final one, if it left one."""

    code: int | None
    disrupted: bool = False
    final: bool | None = None
    absurd: bool = False

    @property
    def observation(self) -> bool:
        """Whether it says something of the suggestion, for good."""
        final = (Exit.BAD_REQUEST, Exit.INFEASIBLE, Exit.DIVERGED, Exit.OUT_OF_MEMORY)
        return self.code in final or (self.code == Exit.OK and self.final is True)

    @property
    def interruption(self) -> bool:
        return self.disrupted or self.code in (None, Exit.INTERRUPTED)


RESULT: Final = Ending(Exit.OK, final=True)
INTERRUPTED: Final = Ending(Exit.INTERRUPTED)
UNSEEN: Final = Ending(None)
NO_DATA: Final = Ending(Exit.BAD_DATA)
ENDINGS: Final = st.sampled_from(
    (
        *(RESULT, RESULT, RESULT, INTERRUPTED, UNSEEN),
        Ending(None, disrupted=True),
        Ending(137, disrupted=True, final=False),
        Ending(None, disrupted=True, final=True),  # evicted after its last evaluation
        Ending(Exit.OK),  # its termination message is lost
        Ending(Exit.OK, final=False),
        Ending(Exit.OK, final=True, absurd=True),
        *(Ending(code) for code in (Exit.OUT_OF_MEMORY, Exit.DIVERGED, Exit.BAD_REQUEST, 1, 137)),
    )
)


@dataclass
class Job:
    """An attempt as it truly is. Its pod lives while ``started`` is set and ``ending`` is not."""

    key: Key
    template: int
    generation: int  # of the spec that it was started by
    digest: str
    created: int  # position in what the watch tells of this name
    without_data: bool = False
    held: bool = False  # a finalizer keeps its pod
    exists: bool = True
    released: bool = False
    forgotten: bool = False  # the study does not know that it was told
    queued: bool = False
    halted: bool = False  # the Job is marked
    stopping: bool = False  # the pod is being deleted
    started: float | None = None
    ended: float | None = None
    ending: Ending | None = None
    report: Report | None = None
    seconds: float = 0.0

    @property
    def live(self) -> bool:
        return self.ending is None and (self.exists or self.started is not None)

    @property
    def pending(self) -> bool:
        return self.exists and self.started is None and self.ending is None

    @property
    def runs(self) -> bool:
        return self.started is not None and self.ending is None

    @property
    def readable(self) -> bool:
        """Whether its ending can be read: from Job and pod, or from the pod that is held."""
        return self.ending is not None and (self.exists or self.held)

    @property
    def observation(self) -> bool:
        """Whether its ending says something of the suggestion and can be read."""
        return self.readable and self.outcome is not None

    @property
    def tested(self) -> bool:
        """Whether it is a test that ended well, whose result can be read.

        One that was evicted after its last word runs again; the trainer then says the same.
        """
        whole = self.readable and self.report is not None and bool(self.report.test)
        return whole and self.ending == RESULT

    @property
    def interrupted(self) -> bool:
        """Whether a study counts it as an interruption.

        One that was told is hidden: a study that has forgotten that takes it for lost. And one may
        have begun and been deleted before it could end, or before anybody had read its ending.
        """
        if self.released:
            return True
        if self.ending is None or not self.readable:
            return not self.exists and self.seconds > 0
        return self.ending.interruption and not self.stopping

    @property
    def outcome(self) -> tuple[State, str, Mapping[str, float]] | None:
        """Return what is to be told of its ending, if that says something of the suggestion."""
        if self.ending is None or self.ending.code is None or not self.ending.observation:
            return None
        code = Exit(self.ending.code)
        if self.ending.absurd and self.report:
            return State.FAILED, reasons.METRIC_OUT_OF_BOUNDS, self.report.metrics
        states = {Exit.OK: State.COMPLETED, Exit.BAD_REQUEST: State.FAILED}
        found = self.report.metrics if self.report else {}
        return states.get(code, State.INFEASIBLE), REASON_OF_EXIT[code], found

    def listed(self) -> Attempt | None:
        """Return what a fresh list says of it."""
        if self.released or not (self.exists or self.live or self.readable):
            return None
        if self.ending is None:
            phase = Phase.PENDING if self.started is None else Phase.RUNNING
            # A pod whose Job was deleted by hand is being deleted too.
            halted = self.stopping or not self.exists
            return replace(self.named, phase=phase, halted=halted, started=self.started)
        code = self.ending.code
        return replace(
            self.named,
            phase=Phase.ENDED,
            exit_code=Exit.INTERRUPTED if self.halted and code not in tuple(Exit) else code,
            disrupted=self.ending.disrupted,
            halted=self.halted,
            held=self.held,
            started=self.started,
            ended=self.ended,
        )

    @property
    def named(self) -> Attempt:
        """Return what tells it from other attempts; numbers come again."""
        known = Attempt(*self.key, Phase.PENDING, generation=self.generation, digest=self.digest)
        return replace(known, identity=f"uid-{id(self)}")


@dataclass(frozen=True)
class Shown:
    """One state of an attempt, as the watch tells it."""

    attempt: Attempt | None
    report: Report | None
    template: int


CHOICE: Final = st.integers(0, 99)
ENDS: Final = st.lists(st.tuples(CHOICE, ENDINGS), max_size=4)
SHOWN: Final = st.none() | st.lists(st.tuples(CHOICE, st.integers(1, 4)), max_size=4)
SMALL: Final = size.student_size(worlds.SOURCES, {"n_layers": 3})
STOPPING: Final = tuple(
    worlds.experiment(earlyStopping={"rungs": [0.25, 0.5], **wanted}).spec.early_stopping
    for wanted in (
        {"type": "None", "collapse": False},
        {"type": "FrontAware", "minTrials": 3},
        {"type": "ASHA"},
        {"type": "ASHA", "pause": True},
    )
)
OWN: Final = tuple(
    worlds.experiment(
        suggestions=[{"name": f"s{n}", "parameters": {"n_layers": n}} for n in layers]
    ).spec.suggestions
    for layers in ((), (2,), (5, 2), (5, 6, 1))
)
BASELINES: Final = tuple(
    worlds.experiment(
        baselines=[{"name": f"b{n}", "parameters": {"n_layers": n}} for n in layers]
    ).spec.baselines
    for layers in ((), (4,), (4, 3))
)
THRESHOLDS: Final = tuple(
    worlds.experiment(
        objectives=[
            {"metric": "exact", "direction": "Maximize", **threshold},
            {"metric": "parameter_count", "direction": "Minimize"},
        ]
    ).spec.objectives
    for threshold in ({}, {"threshold": 50}, {"threshold": 99})
)
CONFIRM: Final = (
    None,
    Confirm(share=0.5, runs=2, report=FrontValues.CHECKPOINT),
    Confirm(share=0.5, report=FrontValues.EXPECTATION),
    Confirm(share=0.01),
)
EDITS: Final = st.one_of(
    st.tuples(st.just("max_trials"), st.integers(1, 8)),
    st.tuples(st.just("parallelism"), st.integers(1, 4)),
    st.tuples(st.just("suspend"), st.booleans()),
    st.tuples(st.just("template"), st.integers(0, 9)),
    st.tuples(st.just("obstacle"), st.sampled_from(["", "the template is refused"])),
    st.tuples(st.just("max_interruptions"), st.integers(0, 4)),
    st.tuples(st.just("max_crashes"), st.integers(0, 2)),
    st.tuples(st.just("max_failed_trials"), st.sampled_from([0, 1, 99])),
    st.tuples(st.just("trial_timeout_seconds"), st.sampled_from([None, 5, 50])),
    st.tuples(st.just("max_duration_seconds"), st.sampled_from([None, 50, 500])),
    st.tuples(st.just("max_gpu_hours"), st.sampled_from([None, 0.01, 1])),
    st.tuples(st.just("stagnation"), st.sampled_from([None, Stagnation(trials=2)])),
    st.tuples(st.just("objectives"), st.sampled_from(THRESHOLDS)),
    st.tuples(st.just("suggestions"), st.sampled_from(OWN)),
    st.tuples(st.just("baselines"), st.sampled_from(BASELINES)),
    st.tuples(st.just("early_stopping"), st.sampled_from(STOPPING)),
    st.tuples(st.just("confirm"), st.sampled_from(CONFIRM)),
    st.tuples(
        st.just("constraints"),
        st.sampled_from([[], [Constraint(metric="parameter_count", maximum=SMALL)]]),
    ),
)


def digest(trial: Trial, stage: Stage = Stage.TRAIN, number: int = 1) -> str:
    """Return what tells suggestions apart, and their seeds, as the request of a Job does."""
    seed = f" {requests.seed_of(trial, number)}" if stage is Stage.CONFIRM else ""
    return f"{sorted(trial.parameters.items())} {trial.continues}{seed}"


def _other(confirmation: Confirmation) -> Confirmation:
    """Return a confirmation that has found something else, in the same time."""
    measured = {name: value / 2 for name, value in confirmation.metrics.items()}
    return replace(confirmation, metrics=measured)


def _leads(action: Action) -> Action | None:
    """Return an action that leads the search; None for one that removes files."""
    return None if isinstance(action, Collect) else action


FREE: Final = {
    "obstacle": "",
    "suspend": False,
    "max_failed_trials": 99,
    "max_duration_seconds": None,
    "trial_timeout_seconds": None,
    "max_gpu_hours": None,
    "stagnation": None,
}
"""Edits after which nothing keeps an experiment from its end."""


class Promises(RuleBasedStateMachine):
    """A cluster, a study, users, and a controller.

    Attributes:
        alone: whether nobody else may have started what this controller has not seen yet.
    """

    alone = True

    def __init__(self) -> None:
        super().__init__()
        self.spec = worlds.experiment(maxInterruptions=3).spec
        self.obstacle = ""
        self.now = 1000.0
        self.strict = False
        self.template = 0
        self.jobs: list[Job] = []
        self.watch: dict[Key, list[Shown]] = {}
        self.seen_up_to: dict[Key, int] = {}
        self.preparation: Preparation | None = None
        self.preparing: tuple[PastAttempt, ...] = ()
        self.generation = 1
        self.trials: list[Trial] = []
        self.plan: list[Effect] = []
        self.removals: list[Removal] = []
        self.losses = 0  # times that the prepared data were lost or could not be made again
        self.data_lie_there = False
        self.judged: Verdicts | None = None  # at the decision before
        self.shift = 0  # of the sampler's draws: another study draws others
        self.up_to_date = True  # whether nobody else has written to the study since this decision
        self.most_trials = self.most_parallel = 0

    @initialize(
        parallelism=st.integers(1, 4),
        trials=st.integers(4, 8),
        prepared=st.booleans(),
        strict=st.booleans(),
        stopping=st.sampled_from(STOPPING),
        tests=st.booleans(),
        confirm=st.sampled_from(CONFIRM),
    )
    def begin(
        self,
        parallelism: int,
        trials: int,
        prepared: bool,
        strict: bool,
        stopping: EarlyStopping,
        tests: bool = False,
        confirm: Confirm | None = None,
    ) -> None:
        self.strict = strict
        self.edit("confirm", confirm)
        test = "test.json" if tests else None
        self.spec = self.spec.model_copy(
            update={"data": self.spec.data.model_copy(update={"test": test})}
        )
        self.edit("early_stopping", stopping)
        self.edit("parallelism", parallelism)
        self.edit("max_trials", trials)
        if prepared:
            self.preparation, self.data_lie_there = worlds.PREPARATION, True

    # The controller

    @rule(shown=SHOWN, count=st.integers(0, 3))
    def controller_passes(self, shown: list[tuple[int, int]] | None, count: int) -> None:
        """Decide anew and begin to act. What the last pass left undone is dropped: it had failed.

        Before that the watch shows a little more, or the controller is killed and starts anew: then
        the port promises complete and fresh lists.
        """
        if shown is None:
            self.catch_up()
        else:
            self.show(shown)
        self.decide()
        self.act(count)

    def decide(self) -> None:
        spec, seen = self.spec, self.observe()
        actions = decide.decide(spec, seen).actions
        self.check(spec, seen, actions)
        self.plan = [effect for action in actions for effect in self.effects(spec, action)]

    @precondition(lambda self: self.plan)
    @rule(count=st.integers(1, 3), twice=st.booleans())
    def controller_goes_on(self, count: int, twice: bool) -> None:
        """Do more of the pass; each thing twice, as a client does that got no answer."""
        self.act(count, twice)

    def act(self, count: int, twice: bool = False) -> None:
        for effect in self.plan[:count]:
            effect()
            if twice and effect.func != self.ask:
                effect()
        del self.plan[:count]

    def observe(self) -> Observation:
        """Gather what the controller knows.

        The port promises a fresh look at what the study knows to have begun and no watch has shown.
        """
        shown = self.shown()
        known = {state.attempt.identity for state in shown if state.attempt}
        for identity, key in memory.begun(self.trials, self.preparing).items():
            if identity not in known:
                self.seen_up_to[key] = len(self.watch[key]) - 1
        shown = self.shown()
        listed = [(s.attempt, s) for s in shown if s.attempt is not None]
        return Observation(
            now=self.now,
            started=1000.0,
            preparation=self.preparation,
            trials=tuple(self.trials),
            attempts=tuple(
                replace(a, outdated=a.phase is Phase.PENDING and s.template != self.template)
                for a, s in listed
                if self.own(a)
            ),
            foreign=tuple(a for a, _ in listed if not self.own(a)),
            reports={(a.stage, a.trial, a.number): s.report for a, s in listed if s.report},
            obstacle=self.obstacle,
            removals=tuple(self.removals),
            preparing=self.preparing,
            generation=self.generation,
            before=self.judged,
        )

    def shown(self) -> list[Shown]:
        return [self.watch[key][position] for key, position in self.seen_up_to.items()]

    def own(self, attempt: Attempt) -> bool:
        """Tell whether an attempt is of a suggestion that the study knows."""
        if attempt.stage is Stage.PREPARE:
            return True
        if attempt.trial >= len(self.trials):
            return False
        trial = self.trials[attempt.trial]
        return attempt.digest in ("", digest(trial, attempt.stage, attempt.number))

    def effects(self, spec: Spec, action: Action) -> Iterator[Effect]:
        """Return the calls that an action is made of; a kill may fall between any two."""
        match action:
            case Launch(stage, trial, number):
                prepares = stage is Stage.PREPARE
                asked_for = "" if prepares else digest(self.trials[trial], stage, number)
                yield partial(self.start, action, asked_for)
            case Discard(attempt):
                yield partial(self.discard, attempt)
            case Halt(attempt) if attempt.started is None:
                yield partial(self.cancel, attempt)
            case Halt(attempt):
                yield partial(self.mark, attempt)
                yield partial(self.terminate, attempt)
            case Tell():
                yield partial(self.tell, spec, action)
            case Ask(count):
                yield partial(self.ask, count)
            case Promote(number):
                yield partial(self.promote, number)
            case Keep(preparation):
                yield partial(setattr, self, "preparation", preparation)
            case KeepTest(number, test):
                yield partial(self.keep_test, number, test)
            case KeepConfirmation(number, index, found):
                yield partial(self.keep_confirmation, number, index, found)
            case Record(number, point):
                yield partial(self.change, number, curve=(*self.trials[number].curve, point))
            case Remember(stage, number, past):
                yield partial(self.remember, stage, number, past)
            case Release(attempt):
                yield partial(self.release, attempt)
            case Free(attempt):
                yield partial(self.free, attempt)
            case Collect(numbers, runs):
                yield partial(self.remove, numbers, runs)
            case Collected(numbers, runs):
                for number in numbers:
                    yield partial(self.collect, number)
                for run in runs:
                    yield partial(self.collect_run, *run)
            case Forget(removal):
                yield partial(self.forget, removal)

    # The runner: effects on what truly is

    def start(self, launch: Launch, asked_for: str) -> None:
        """Create a Job, unless one of that name exists.

        The port promises that the next list has it, even if the watch has not shown it yet; and
        that one of another suggestion, or one that was told, is removed instead.
        """
        key = (launch.stage, launch.trial, launch.number)
        job = self.existing(key)
        if job and (job.released or job.digest != asked_for):
            self.delete(job)
            return
        if job is None:
            if launch.stage is Stage.TRAIN and self.up_to_date:
                assert self.trials[launch.trial].state is State.RUNNING
            elif launch.stage is Stage.PREPARE and self.preparation is None and self.up_to_date:
                assert not self.preparation_has_failed, "it runs again though nobody has acted"
            own = [j for j in self.jobs if j.key[:2] == key[:2] and j.digest == asked_for]
            own = [j for j in own if not j.released]  # to a study that has forgotten it
            assert not any(j.live for j in own), f"a second live process: {own}"
            assert not any(j.observation for j in own if j.key[0].trains), (
                f"a finished training starts again: {own}"
            )
            assert not any(j.tested for j in own), f"a model is tested twice: {own}"
            held = self.strict and launch.stage.trains
            if launch.stage is Stage.TRAIN:
                assert launch.trial not in self.removing(), "its files are being removed"
            if launch.stage is Stage.CONFIRM:
                seed = requests.seed_of(self.trials[launch.trial], launch.number)
                gone = {run for removal in self.removals for run in removal.runs}
                assert (launch.trial, seed) not in gone, "its files are being removed"
            made = (key, self.template, self.generation, asked_for)
            job = Job(*made, len(self.watch.get(key, [])), held=held)
            self.jobs.append(job)
            self.tell_watch(job)
        self.seen_up_to[key] = max(self.position(key), job.created)

    def cancel(self, attempt: Attempt) -> None:
        """Delete the Job of a pending attempt.

        The port promises that this fails where it is pending no more (a precondition on the
        resource version): what has run meanwhile must not lose its result.
        """
        job = self.existing((attempt.stage, attempt.trial, attempt.number))
        if job and job.pending:
            self.delete(job)

    def mark(self, attempt: Attempt) -> None:
        """Mark a Job as one that was asked to end, before it is.

        The port promises to show an attempt as halted only once its pod is being deleted too.
        """
        job = self.existing((attempt.stage, attempt.trial, attempt.number))
        if job:
            job.halted = True
            self.tell_watch(job)

    def terminate(self, attempt: Attempt) -> None:
        """Delete the pod of an attempt.

        The port promises that this fails where the pod has ended: its message must stay readable.
        """
        job = self.existing((attempt.stage, attempt.trial, attempt.number))
        if job and job.runs and job.started == attempt.started:
            job.stopping = True
            self.tell_watch(job)

    def release(self, attempt: Attempt) -> None:
        trial = self.trials[attempt.trial]
        if attempt.stage is Stage.CONFIRM:
            assert attempt.number <= trial.confirmed_up_to
        else:
            assert trial.test if attempt.stage is Stage.TEST else trial.state is not State.RUNNING
        self.free(attempt)
        job = self.existing((attempt.stage, attempt.trial, attempt.number))
        if job:
            assert not job.live
            job.released = True
            self.tell_watch(job)

    def free(self, attempt: Attempt) -> None:
        for job in self.jobs:
            if job.key == (attempt.stage, attempt.trial, attempt.number) and job.ending:
                job.held = False
                self.tell_watch(job)

    def discard(self, attempt: Attempt) -> None:
        """Delete the Job of an attempt of a suggestion that the study does not know.

        Its pod is held no longer. The port promises to delete no other Job of that name.
        """
        self.free(attempt)
        job = self.existing((attempt.stage, attempt.trial, attempt.number))
        if job and job.digest == attempt.digest:
            job.held = False
            self.delete(job)

    def delete(self, job: Job) -> None:
        job.exists = job.queued = False
        self.tell_watch(job)

    def existing(self, key: Key) -> Job | None:
        return next((j for j in self.jobs if j.key == key and j.exists), None)

    def tell_watch(self, job: Job) -> None:
        """Let the watch tell, some time, how a Job stands now.

        Where it is gone, the pod of another one of its name is seen, if that is still there.
        """
        self.now += 1
        listed = job.listed()
        if listed is None:
            job = next((j for j in self.jobs if j.key == job.key and j.listed()), job)
            listed = job.listed()
        report = job.report if job.readable or (job.exists and job.runs) else None
        self.watch.setdefault(job.key, []).append(Shown(listed, report, job.template))

    def position(self, key: Key) -> int:
        return self.seen_up_to.get(key, -1)

    def show(self, moves: list[tuple[int, int]]) -> None:
        behind = [k for k, states in self.watch.items() if self.position(k) < len(states) - 1]
        for choice, steps in moves[: len(behind)]:
            key = behind[choice % len(behind)]
            last = len(self.watch[key]) - 1
            self.seen_up_to[key] = min(self.position(key) + steps, last)

    def catch_up(self) -> None:
        self.seen_up_to = {key: len(states) - 1 for key, states in self.watch.items()}

    # The study

    def ask(self, count: int) -> None:
        for number in range(len(self.trials), len(self.trials) + count):
            self.trials.append(self.suggestion(number))

    def suggestion(self, number: int) -> Trial:
        """Return the next trial: a baseline, what a person suggests, or else the sampler's."""
        parameters: dict[str, Any] = {"n_layers": 1 + (number + self.shift) % 6}
        baseline = by_hand = None
        if waiting := own_points.baselines(self.spec, self.trials):
            baseline, parameters = waiting[0].name, waiting[0].parameters
        elif wanted := own_points.suggestions(self.spec, self.trials):
            by_hand, parameters = wanted[0].name, wanted[0].parameters
        count = size.student_size(worlds.SOURCES, parameters)
        return Trial(number, parameters, baseline=baseline, by_hand=by_hand, parameter_count=count)

    def promote(self, number: int) -> None:
        """Add a trial that continues one, unless there is one already."""
        before = self.trials[number]
        if any(trial.continues == number for trial in self.trials):
            return
        assert before.state is State.STOPPED
        assert not before.collected, "its checkpoint is gone"
        assert number not in self.removing(), "its checkpoint is being removed"
        self.trials.append(
            Trial(
                len(self.trials),
                before.parameters,
                continues=number,
                by_hand=before.by_hand,
                parameter_count=before.parameter_count,
                curve=before.curve,
            )
        )

    def tell(self, spec: Spec, ending: Tell) -> None:
        """Store an ending; it must be what happened, and all that can be read of it."""
        if self.trials[ending.trial].state is not State.RUNNING:
            return
        jobs = [j for j in self.jobs if j.key[:2] == (Stage.TRAIN, ending.trial)]
        ever = [j for j in jobs if j.digest == digest(self.trials[ending.trial])]
        jobs = [j for j in ever if not j.released]  # to a study that has forgotten it
        self.check_told(spec, ending, jobs, ever)
        self.change(
            ending.trial,
            curve=self.curve(ending),
            state=ending.state,
            reason=ending.reason,
            metrics=metrics.sound(ending.report.metrics),
            seconds=ending.seconds,
            model="model" if ending.state is State.COMPLETED else None,
        )

    def keep_test(self, number: int, test: FinalTest) -> None:
        """Store a test's result; it must be what a process has found, of this very suggestion."""
        trial = self.trials[number]
        if trial.test is None:
            assert trial.state is State.COMPLETED
            jobs = [j for j in self.jobs if j.key[:2] == (Stage.TEST, number)]
            own = [j for j in jobs if j.digest == digest(trial) and j.report]
            assert test.metrics in [j.report.test for j in own if j.report]
            self.change(number, test=test)

    def keep_confirmation(self, number: int, index: int, found: Confirmation) -> None:
        """Store how a further training ended; it must be what happened, and is stored once."""
        trial = self.trials[number]
        if len(trial.confirmations) != index:
            return
        assert trial.state is State.COMPLETED
        assert found.seed == 43 + index
        asked_for = digest(trial, Stage.CONFIRM, found.attempt)
        jobs = [j for j in self.jobs if j.key[:2] == (Stage.CONFIRM, number)]
        own = [j for j in jobs if j.digest == asked_for and not j.released]
        assert not any(j.live for j in own), f"stored while a process lives: {own}"
        told = [(o[0], o[1], {**o[2], "parameter_count": 0.0}) for j in own if (o := j.outcome)]
        measured = {**found.metrics, "parameter_count": 0.0}
        if found.state is State.COMPLETED:
            assert (found.state, found.reason, measured) in told
        model = "model" if found.state is State.COMPLETED else None
        self.change(number, confirmations=(*trial.confirmations, replace(found, model=model)))

    def collect_run(self, number: int, seed: int) -> None:
        assert any(r.done and (number, seed) in r.runs for r in self.removals)
        known = self.trials[number].confirmations
        assert seed in [confirmation.seed for confirmation in known]
        left = tuple(replace(c, model=None, collected=True) if c.seed == seed else c for c in known)
        self.change(number, confirmations=left)

    def remove(self, numbers: tuple[int, ...], runs: tuple[tuple[int, int], ...]) -> None:
        """Begin to remove files: from now on nobody knows what of them is left."""
        if any((removal.trials, removal.runs) == (numbers, runs) for removal in self.removals):
            return  # the port promises that the same is not begun twice
        assert not self.removing() & set(numbers)
        assert not {run for removal in self.removals for run in removal.runs} & set(runs)
        if self.up_to_date:
            tested = {j.key[1] for j in self.jobs if j.key[0] is Stage.TEST and j.runs}
            assert not tested & set(numbers), "a model is removed while it is tested"
        begun = Attempt(Stage.COLLECT, 0, 1, Phase.RUNNING)
        self.removals.append(Removal(numbers, begun, runs))

    def removing(self) -> set[int]:
        return {number for removal in self.removals for number in removal.trials}

    @precondition(lambda self: self.removals)
    @rule(index=CHOICE, code=st.sampled_from([Exit.OK, 1]))
    def a_removal_ends(self, index: int, code: int) -> None:
        """It has removed everything, or not; one that has failed is forgotten after a while."""
        index %= len(self.removals)
        removal = self.removals[index]
        if removal.failed:
            del self.removals[index]
        elif not removal.done:
            ended = replace(removal.attempt, phase=Phase.ENDED, exit_code=int(code))
            self.removals[index] = replace(removal, attempt=ended)

    def remember(self, stage: Stage, number: int, past: PastAttempt) -> None:
        kept = self.preparing
        if stage is not Stage.PREPARE:
            trial = self.trials[number]
            aside = {Stage.TEST: trial.testing, Stage.CONFIRM: trial.confirming}
            kept = aside.get(stage, trial.attempts)
        kept = (*(other for other in kept if other.identity != past.identity), past)
        if stage is Stage.PREPARE:
            self.preparing = kept
        elif stage is Stage.TEST:
            if trial.test is None:
                self.change(number, testing=kept)
        elif stage is Stage.CONFIRM:
            if past.number > trial.confirmed_up_to:
                self.change(number, confirming=kept)
        elif self.trials[number].state is State.RUNNING:
            self.change(number, attempts=kept)

    @property
    def preparation_has_failed(self) -> bool:
        """Whether the study knows that a preparation by the spec of today cannot succeed."""
        own = (p for p in self.preparing if p.provenance.generation == self.generation)
        return any(p.exit_code in (Exit.BAD_REQUEST, Exit.BAD_DATA) for p in own)

    def collect(self, number: int) -> None:
        assert any(r.done and number in r.trials for r in self.removals)
        assert self.trials[number].state is not State.RUNNING
        self.change(number, model=None, collected=True)

    def forget(self, removal: Removal) -> None:
        self.removals = [other for other in self.removals if other != removal]

    def change(self, number: int, **changes: Any) -> None:
        self.trials[number] = replace(self.trials[number], **changes)

    # The cluster

    @rule(starts=st.lists(CHOICE, max_size=4), ends=ENDS, seconds=st.sampled_from([0, 0, 10, 100]))
    def cluster_goes_on(
        self, starts: list[int], ends: list[tuple[int, Ending]], seconds: int
    ) -> None:
        self.now += seconds
        for choice in starts:
            if job := self.pick(choice, lambda j: j.pending and not j.queued):
                self.run(job)
        for choice, ending in ends:
            if job := self.pick(choice, lambda j: j.runs):
                self.end(job, ending)

    @rule(hindered=st.booleans(), ends=ENDS)
    def a_quiet_while_goes_by(self, hindered: bool, ends: list[tuple[int, Ending]]) -> None:
        """What may start starts, some of it ends, and the controller sees that at once."""
        if not hindered:
            self.user_lets_it_go_on()
        for one in [*ends, *ends[:1]]:
            self.catch_up()
            self.decide()
            self.act(len(self.plan))
            self.cluster_goes_on([0] * len(self.jobs), [one], 0)
        self.catch_up()

    @rule(choice=CHOICE)
    def queue_suspends_or_admits(self, choice: int) -> None:
        """Kueue gives quota, or takes it back: then the pod goes, and the Job stays and waits."""
        if job := self.pick(choice, lambda j: j.exists and j.live):
            if job.started is not None:
                job.seconds += self.now - job.started
            job.started, job.stopping, job.queued = None, False, not job.queued
            self.tell_watch(job)

    @rule(choice=CHOICE)
    def job_is_deleted_by_hand(self, choice: int) -> None:
        """Its pod, if it has one, lives on for a while; the port promises to list it so long."""
        if job := self.pick(choice, lambda j: j.exists):
            self.delete(job)
            self.losses += job.ending == NO_DATA  # nobody knows any more that they are lost

    @rule()
    def prepared_data_are_lost(self) -> None:
        self.losses += self.data_lie_there
        self.data_lie_there = False

    @rule(choice=CHOICE, exact=st.sampled_from([0.0, 40.0, 55.0, 80.0]))
    def process_measures(self, choice: int, exact: float) -> None:
        if job := self.pick(choice, lambda j: j.runs and j.key[0].trains):
            self.measure(job, exact)

    def measure(self, job: Job, exact: float) -> None:
        """Evaluate, a quarter of the steps after the evaluation before."""
        curve = self.curve_so_far(job)
        last = max(curve[-1].step if curve else 0, (job.report and job.report.metric_step) or 0)
        if last < 15:
            halves = {"HasAns_exact": exact, "NoAns_exact": exact or 100.0}
            measured = {"exact": exact, **halves, "parameter_count": 3e5}
            job.report = Report(
                "x", step=last + 5, steps=20, metric_step=last + 5, metrics=measured
            )
            self.tell_watch(job)

    def curve_so_far(self, job: Job) -> tuple[Point, ...]:
        """Return the stored curve of what a Job trains; none of a Job that is nobody's."""
        stage, number, _ = job.key
        known = stage is Stage.TRAIN and number < len(self.trials)
        ours = known and job.digest == digest(self.trials[number])
        return self.trials[number].curve if ours else ()

    def run(self, job: Job) -> None:
        job.started, job.without_data = self.now, not self.data_lie_there
        self.tell_watch(job)

    def end(self, job: Job, ending: Ending) -> None:
        """End a process; the port promises that its run time ends no later than the process."""
        assert job.started is not None
        if not (job.exists or job.held):
            ending = UNSEEN
        elif job.key[0] is not Stage.PREPARE and job.without_data and not ending.interruption:
            ending = NO_DATA
        job.seconds += self.now - job.started
        job.ended, job.ending = self.now, ending
        job.report = self.report(job, ending)
        if job.key[0] is Stage.PREPARE:
            self.data_lie_there |= ending.code == Exit.OK
            self.losses += not (ending.code == Exit.OK or ending.interruption)
        self.tell_watch(job)

    def report(self, job: Job, ending: Ending) -> Report | None:
        if ending.final is None:
            return None
        if job.key[0] is Stage.PREPARE:
            found = worlds.PREPARATION
            key = found.key if ending.final else None
            return Report("x", key=key, teacher=found.teacher, sources=found.sources)
        exact = 50 + self.now / 1000  # no two attempts measure the same
        if job.key[0] is Stage.TEST:
            shown = {"exact": 1e305 if ending.absurd else exact}
            return Report("x", test=shown if ending.final else {})
        measured = {"exact": exact, "HasAns_exact": 70.0, "NoAns_exact": 90.0}
        if ending.absurd:
            measured["exact"] = 1e305
        return Report("x", final=ending.final, metrics=measured, metric_step=20, steps=20)

    def pick(self, choice: int, condition: Callable[[Job], bool]) -> Job | None:
        candidates = [job for job in self.jobs if condition(job)]
        return candidates[choice % len(candidates)] if candidates else None

    # The users

    @rule(change=EDITS)
    def user_edits(self, change: tuple[str, Any]) -> None:
        self.edit(*change)

    def user_lets_it_go_on(self) -> None:
        for field, value in FREE.items():
            self.edit(field, value)

    def edit(self, field: str, value: Any) -> None:
        if field in ("template", "obstacle"):
            setattr(self, field, value)
            return
        self.generation += 1
        self.spec = self.spec.model_copy(update={field: value})
        if self.spec.parallelism > self.spec.max_trials:  # the API server would refuse that
            self.spec = self.spec.model_copy(update={"parallelism": self.spec.max_trials})
        self.most_trials = max(self.most_trials, self.spec.max_trials)
        self.most_parallel = max(self.most_parallel, self.spec.parallelism)

    def curve(self, ending: Tell) -> tuple[Point, ...]:
        """Return the learning curve that an ending leaves."""
        curve = self.trials[ending.trial].curve
        point = ending.report.continuing(curve, self.now)
        return (*curve, point) if point else curve

    # What must hold

    def check(self, spec: Spec, seen: Observation, actions: list[Action]) -> None:
        """Hold a decision against what it rests on."""
        launches = [a for a in actions if isinstance(a, Launch)]
        asked = sum(a.count for a in actions if isinstance(a, Ask))
        told = [a.trial for a in actions if isinstance(a, Tell)]
        live = sum(attempt.live for attempt in seen.attempts)
        decision = decide.decide(spec, seen)
        self.check_judged(spec, seen, decision)
        if spec.suspend or seen.obstacle:
            assert not launches
        if spec.suspend or seen.obstacle or decision.done:
            assert not asked
        self.check_tests(spec, seen, decision, launches)
        assert not launches or live + len(launches) <= spec.parallelism
        assert not asked or self.suggestions + asked <= spec.max_trials
        assert len(told) == len(set(told))
        assert not {a.trial for a in launches if a.stage is Stage.TRAIN} & set(told)
        assert all(self.trials[number].state is State.RUNNING for number in told)

    def check_judged(self, spec: Spec, seen: Observation, decision: Decision) -> None:
        """Hold the decision against one for which no trial was judged before."""
        anew = replace(seen, before=None)
        assert decide.decide(spec, anew) == decision
        known, wanted = seen.verdicts(spec), anew.verdicts(spec)
        assert (known.front, known.counts) == (wanted.front, wanted.counts)
        self.judged = known

    def check_tests(
        self, spec: Spec, seen: Observation, decision: Decision, launches: list[Launch]
    ) -> None:
        """Hold the tests against what was chosen: never earlier, never twice, never read."""
        tests = {launch.trial for launch in launches if launch.stage is Stage.TEST}
        again = {launch.trial for launch in launches if launch.stage is Stage.CONFIRM}
        chosen = {t.number: t for t in reported.front(spec, seen.trials)}
        chosen |= {t.number: t for t in seen.trials if t.baseline}
        assert not tests or (spec.data.test and decision.done and seen.prepared)
        assert tests <= {n for n, t in chosen.items() if t.model and not t.test}
        assert not again or (spec.confirm and decision.done and seen.prepared)
        assert not (tests and again)
        if decision.done:
            aside = decision.tests.missing or decision.confirmations.missing
            assert len(tests | again) == len(launches) or aside
            assert not any(launch.stage is Stage.TRAIN for launch in launches)
        known = [
            replace(t, test=t.test and replace(t.test, metrics={}, teacher={})) for t in seen.trials
        ]
        assert decide.decide(spec, replace(seen, trials=tuple(known))).actions == decision.actions
        if decision.done is None:
            known = [replace(t, confirmations=tuple(map(_other, t.confirmations))) for t in known]
            unread = decide.decide(spec, replace(seen, trials=tuple(known))).actions
            assert [*map(_leads, unread)] == [*map(_leads, decision.actions)]

    def check_told(self, spec: Spec, ending: Tell, jobs: list[Job], ever: list[Job]) -> None:
        """Hold what is told against what truly happened.

        Limits count all Jobs that there ever were of the trial: a study remembers their attempts.
        """
        assert not any(j.live for j in jobs), f"told while a process lives: {jobs}"
        if ending.reason != "Duplicate":
            self.check_seconds(ending, ever)
        said = (ending.state, ending.reason, ending.report.metrics)
        readable = [j for j in jobs if j.observation]
        _, *continued = lineage(self.trials, self.trials[ending.trial])  # their time counts as well
        limits = {
            reasons.TOO_MANY_INTERRUPTIONS: (
                sum(job.interrupted for job in ever),
                spec.max_interruptions,
            ),
            reasons.TIMED_OUT: (
                sum(j.seconds for j in ever) + sum(t.seconds for t in continued),
                spec.trial_timeout_seconds,
            ),
        }
        if ending.reason == "Oversize":  # its shape alone: no process of it is known
            assert ending.state is State.INFEASIBLE
            assert not (self.alone and any(j.exists or j.readable for j in jobs))
        elif readable:
            assert [said] == [j.outcome for j in readable]
        elif said in [j.outcome for j in ever]:
            pass  # read before its Job was deleted by hand, or hidden
        elif ending.state is State.STOPPED and ending.seconds:
            last = self.curve(ending)[-1]
            assert last.step >= 5  # it was measured at a rung
            assert ending.report.metrics == last.metrics
            assert ending.reason in ("CannotImprove", "Outranked", "Paused", "Collapsed")
        elif ending.reason == "Duplicate":
            layers = self.trials[ending.trial].parameters
            twins = [t for t in self.trials if t.parameters == layers and t.reason != "Duplicate"]
            assert (ending.state, ending.report.metrics) in [(t.state, t.metrics) for t in twins]
            assert not ending.seconds
        elif ending.reason in limits:
            count, limit = limits[ending.reason]
            assert limit is not None
            assert count > limit
            failed = ending.reason == reasons.TOO_MANY_INTERRUPTIONS
            assert ending.state is (State.FAILED if failed else State.INFEASIBLE)
        elif ending.state is State.FAILED:
            endings = [j.ending for j in ever if j.ending]
            crashes = [e for e in endings if not (e.observation or e.interruption)]
            assert len(crashes) > spec.max_crashes
            assert crashes.count(NO_DATA) <= self.losses
        else:
            raise AssertionError(f"nothing that happened explains this: {ending}")

    def check_seconds(self, ending: Tell, jobs: list[Job]) -> None:
        """Hold the run time that is told against the true one: nothing lost, nothing twice."""
        kept = self.trials[ending.trial].attempts
        ended = [(p.started, p.ended) for p in kept if p.over]
        assert ending.seconds >= sum(
            end - start for start, end in ended if start is not None and end is not None
        )
        lost = {p.identity for p in kept if not p.over}
        if all(j.readable for j in jobs if j.named.identity in lost):  # else nobody saw them end
            assert ending.seconds <= sum(j.seconds for j in jobs)

    @invariant()
    def no_trial_has_two_live_processes(self) -> None:
        live = [(*job.key[:2], job.digest) for job in self.jobs if job.live]
        assert len(live) == len(set(live))

    @invariant()
    def no_more_processes_live_than_were_ever_allowed(self) -> None:
        assert sum(job.live for job in self.jobs) <= self.most_parallel

    @invariant()
    def there_are_never_more_suggestions_than_were_ever_allowed(self) -> None:
        assert self.suggestions <= self.most_trials

    @property
    def suggestions(self) -> int:
        return sum(t.continues is None and t.reason != "Duplicate" for t in self.trials)

    @invariant()
    def a_stopped_trial_is_continued_at_most_once(self) -> None:
        continued = [t.continues for t in self.trials if t.continues is not None]
        assert len(continued) == len(set(continued))

    @invariant()
    def a_trial_without_an_ending_can_still_get_one(self) -> None:
        """An attempt that was not told is never hidden from the lists."""
        running = {trial.number for trial in self.trials if trial.state is State.RUNNING}
        hidden = [job for job in self.jobs if job.released and not job.forgotten]
        assert not any(job.key[1] in running for job in hidden)

    def teardown(self) -> None:
        """Left alone, it comes to rest; no longer held back, it is done and every trial is told."""
        self.settle()
        self.edit("obstacle", "")
        self.edit("suspend", False)
        assert decide.decide(self.spec, self.settle()).done is not None
        self.user_lets_it_go_on()
        if self.preparation is None:  # somebody mends the cause and edits the spec
            self.generation += 1
        last = decide.decide(self.spec, self.settle())
        done = last.done
        assert done is not None
        assert last.finished
        assert done.reason == "SpaceExhausted" or self.suggestions >= self.spec.max_trials
        assert all(trial.state is not State.RUNNING for trial in self.trials)
        assert not any(job.held and job.ending for job in self.jobs), "a pod is held for ever"

    def short(self, job: Job) -> bool:
        """Tell whether a training is at less than three quarters of its steps."""
        curve = self.curve_so_far(job)
        return not curve or curve[-1].step < 15

    def settle(self) -> Observation:
        """Let everything run to its end, seen at once, until there is nothing left to do."""
        for _ in range(300):
            self.catch_up()
            seen = self.observe()
            actions = decide.decide(self.spec, seen).actions
            if not actions and not any(job.live for job in self.jobs):
                return seen
            self.catch_up()
            self.decide()
            self.act(len(self.plan))
            for job in self.jobs:
                if job.runs and (job.stopping or not job.exists):
                    self.end(job, INTERRUPTED)
                elif job.runs and job.key[0] is Stage.TRAIN and self.short(job):
                    self.measure(job, 50.0 + job.key[1])
                elif job.runs:
                    self.end(job, RESULT)
                elif job.pending:
                    job.queued = False
                    self.run(job)
        raise AssertionError(f"it does not come to rest: {actions}")
