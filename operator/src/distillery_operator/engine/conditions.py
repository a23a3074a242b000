"""PURE: the conditions of a status: what they say, and since when."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from distillery_contract import metrics
from distillery_contract.request import Stage
from distillery_operator.engine import trainers, usage
from distillery_operator.engine.budgets import Closing
from distillery_operator.engine.decide import Decision
from distillery_operator.engine.reasons import (
    CAPPED,
    CONFIRMATION_ENDED,
    FILES_REMAIN,
    LEFT_ALONE,
    OBSTRUCTED,
    PREPARATION_FAILED,
    SUSPENDED,
    TEST_FAILED,
    TOO_MANY_FAILURES,
    TRAINER_CHANGED,
)
from distillery_operator.errors import DistilleryError, Unfit
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.resource.status import Condition, ConditionType, Status
from distillery_operator.stopping import measuring, reasons
from distillery_operator.trials.attempt import NODE_LOST, STUCK, Attempt, Phase
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State, Trial, continued

Truth = Literal["True", "False", "Unknown"]

NOTED: Final = "; to know: "
"""Begins what a person should know of data and models, in the condition Prepared."""

MESSAGE_BYTES: Final = 4096
"""Limit of a condition's message; Kubernetes allows 32,768 characters."""

OBSTACLES: Final = (
    ConditionType.ACCEPTED,
    ConditionType.STORAGE_REACHABLE,
    ConditionType.TEMPLATE_VALID,
    ConditionType.WARM_STARTED,
    ConditionType.TRAINER_ACCEPTED,
    ConditionType.VISITED,
)
"""Conditions without which no trial starts."""

NO_FEASIBLE_AFTER: Final = 10
"""Ended trials without a feasible one after which a person should look, before a day is lost."""


FILES_SECONDS: Final = 60.0
"""Time that a removal of files may wait for a machine before the status speaks of it."""


@dataclass(frozen=True)
class Finding:
    """A condition, said by whoever knows: is it true, one word why, and a sentence."""

    type: ConditionType
    status: Truth
    reason: str
    message: str


def warm_started(
    spec: Spec, taken: Mapping[str, Sequence[Trial]], error: DistilleryError | None = None
) -> list[Finding]:
    """Return what is said of the experiments that this one starts from; nothing without any.

    Args:
        spec: names them.
        taken: their trials that inform the sampler.
        error: why those of one do not, if so.
    """
    kind, names = ConditionType.WARM_STARTED, [w.experiment for w in spec.warm_start_from]
    if not names:
        return []
    if error is not None:
        reason = "SourceUnfit" if isinstance(error, Unfit) else "SourceNotFound"
        return [Finding(kind, "False", reason, str(error))]
    if not set(names) <= taken.keys():
        return [Finding(kind, "Unknown", "Preparing", "data and teacher are not prepared yet")]
    shown = ", ".join(f"{len(taken[name])} trials of {name}" for name in names)
    return [Finding(kind, "True", "Taken", f"these inform the sampler: {shown}")]


def timestamp(seconds: float) -> str:
    """Write a time as Kubernetes does, in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamped(
    generation: int, findings: Iterable[Finding], before: Status | None, now: float
) -> list[Condition]:
    """Return findings as conditions; one that says the same as before keeps its time."""
    earlier = {c.type: c for c in before.conditions} if before else {}
    found = []
    for said in findings:
        same = said.type in earlier and earlier[said.type].status == said.status
        since = earlier[said.type].last_transition_time if same else timestamp(now)
        found.append(
            Condition(
                type=said.type,
                status=said.status,
                reason=said.reason,
                message=cut(said.message, MESSAGE_BYTES),
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return found


def cut(text: str, size: int) -> str:
    """Return as many characters as fit into some bytes."""
    return text.encode(errors="replace")[:size].decode(errors="ignore")


def word(findings: Iterable[Finding]) -> str:
    """Return the state of an experiment in one word."""
    said = {finding.type: finding for finding in findings}
    for kind in OBSTACLES:
        if kind in said and said[kind].status == "False":
            return said[kind].reason
    if said[ConditionType.SUCCEEDED].status != "Unknown":
        return "Succeeded" if said[ConditionType.SUCCEEDED].status == "True" else "Failed"
    if said[ConditionType.PREPARED].status != "True":
        return "Preparing" if said[ConditionType.PROGRESSING].status == "True" else "Suspended"
    return said[ConditionType.PROGRESSING].reason


def prepared(spec: Spec, seen: Observation, closing: Closing | None) -> Finding:
    """Say whether data and teacher are ready."""
    kind = ConditionType.PREPARED
    if closing and closing.reason == PREPARATION_FAILED:
        again = "it runs again after the next edit of the spec, or the next `distillery run`"
        return Finding(kind, "False", closing.reason, f"{closing.message}; {again}")
    if seen.preparation:
        teacher = seen.preparation.teacher
        floor = ", ".join(f"{k} {v:.2f}" for k, v in teacher.items() if k in metrics.COLLAPSE)
        message = f"data and teacher are checked and cached; the teacher has {floor}"
        usual, windows = space.described(spec, {}), seen.preparation.windows
        notes = [seen.preparation.notes, measuring.note(spec, usual, windows)]
        if told := "; ".join(filter(None, notes)):
            message += NOTED + told
        return Finding(kind, "True", "Prepared", message)
    message = "data and teacher are being read and checked"
    return Finding(kind, "Unknown", "Preparing", message)


def trainer_accepted(spec: Spec, seen: Observation, end: Closing | None) -> list[Finding]:
    """Say which trainers made the results, and whether another one may; nothing without any."""
    kind, known = ConditionType.TRAINER_ACCEPTED, trainers.makers_of(seen)
    if not known:
        return []
    if end is None and (refusal := trainers.refusal(spec, seen)):
        return [Finding(kind, "False", TRAINER_CHANGED, refusal)]
    if end is None and (changed := trainers.change(seen)):
        return [Finding(kind, "True", "ChangeAllowed", changed)]
    reason = "SameTrainer" if len(known) == 1 else "SeveralTrainers"
    return [Finding(kind, "True", reason, "; ".join(map(str, known)))]


def progressing(spec: Spec, seen: Observation, end: Closing | None) -> Finding:
    """Say whether the search goes on, and if not, why."""
    kind = ConditionType.PROGRESSING
    live = [attempt for attempt in seen.attempts if attempt.live]
    if end:
        return Finding(kind, "False", end.reason, f"{end.message}{_files(seen)}")
    if spec.suspend:
        message = f"nothing starts; {len(live)} processes still run to their next checkpoint"
        return Finding(kind, "False", SUSPENDED, message)
    asked = f"{seen.suggested} of {spec.max_trials} trials are suggested"
    if seen.obstacle:
        return Finding(kind, "False", OBSTRUCTED, f"nothing starts: {seen.obstacle}")
    if not live and (refusal := trainers.refusal(spec, seen)):
        return Finding(kind, "False", TRAINER_CHANGED, refusal)
    return Finding(kind, "True", "Running", f"{asked}, {_processes(live)}{_files(seen)}")


def _processes(live: Sequence[Attempt]) -> str:
    """Say how many processes run, and what the others wait for."""
    lost = [attempt for attempt in live if attempt.reason == NODE_LOST]
    others = [attempt for attempt in live if attempt not in lost]
    waiting = [attempt for attempt in others if attempt.phase is Phase.PENDING]
    message = f"{len(others) - len(waiting)} processes run"
    for some, how in ((waiting, "wait"), (lost, "cannot be reached")):
        if some:
            message += f", {len(some)} {how}: {some[0].message}"
    return message


def _files(seen: Observation) -> str:
    """Say what keeps files of trials from being removed; nothing while it goes well."""
    for removal in seen.removals:
        attempt = removal.attempt
        since = attempt.created if attempt.waiting_since is None else attempt.waiting_since
        late = since is None or seen.now - since > FILES_SECONDS
        if removal.failed or attempt.lost or (attempt.phase is Phase.PENDING and late):
            return f"; the files of {len(removal.whose)} trials stay: {removal.attempt.message}"
    return ""


def succeeded(points: Sequence[Trial], end: Closing | None) -> Finding:
    """Say whether the search has found a front."""
    kind = ConditionType.SUCCEEDED
    if end is None:
        message = f"the front has {len(points)} points so far"
        return Finding(kind, "Unknown", "Running", message)
    if not points:
        message = f"no trial satisfies all thresholds and constraints; {end.message}"
        return Finding(kind, "False", "NoFeasibleTrial", message)
    return Finding(kind, "True", end.reason, f"the front has {len(points)} points; {end.message}")


def tested(spec: Spec, seen: Observation, decision: Decision) -> list[Finding]:
    """Say how far the tests of what the search has chosen are; nothing without test questions."""
    kind, tests = ConditionType.TESTED, decision.tests
    if not spec.data.has_test:
        return []
    known = sum(trial.test is not None for trial in seen.trials)
    if decision.done is None:
        message = "what the search chooses is evaluated on the test questions once it is over"
        if known:
            message = (
                f"the search goes on although {known} trials are tested: whoever goes on because of"
                " these results has no independent test any more"
            )
        return [Finding(kind, "Unknown", "Searching", message)]
    if decision.confirmations.missing:
        message = (
            "the front is confirmed first; then its points are evaluated on the test questions"
        )
        return [Finding(kind, "Unknown", "Confirming", message)]
    if tests.missing:
        live = [a for a in seen.attempts if a.live and not a.stage.trains]
        message = f"{tests.done} of {len(tests.chosen)} models are tested, {_processes(live)}"
        if spec.suspend or seen.obstacle:
            message += f"; nothing starts: {seen.obstacle or 'spec.suspend is true'}"
        return [Finding(kind, "Unknown", "Testing", message)]
    if tests.failed:
        number, end = min(tests.failed.items())
        message = (
            f"{len(tests.failed)} of {len(tests.chosen)} models could not be tested; trial"
            f" {number}: {end.reason}: {end.message}; it is tried again after the next edit of the"
            " spec, or the next `distillery run`"
        )
        return [Finding(kind, "False", TEST_FAILED, message)]
    if not tests.chosen:
        message = "there is no model of the front or of a baseline to test"
        return [Finding(kind, "False", "NothingToTest", message)]
    message = f"{tests.done} models of the front and of baselines are tested, once each"
    return [Finding(kind, "True", "Tested", message)]


def confirmed(
    spec: Spec, seen: Observation, decision: Decision, points: Sequence[Trial]
) -> list[Finding]:
    """Say how far the confirmation of the front, given by its points, is; nothing unless wanted."""
    kind, known = ConditionType.CONFIRMED, decision.confirmations
    if spec.confirm is None:
        return []
    if decision.done is None:
        message = "points whose place is in doubt are trained again once the search is over"
        return [Finding(kind, "Unknown", "Searching", message)]
    sure = sum(known.confirmed(point) for point in points)
    message = f"{sure} of {len(points)} points of the front are confirmed"
    doubted = len(known.doubted)
    if known.missing:
        live = [a for a in seen.attempts if a.live and a.stage is not Stage.TEST]
        message += f", the place of {doubted} trials is in doubt, {_processes(live)}"
        obstacle = seen.obstacle or trainers.refusal(spec, seen)
        if spec.suspend or obstacle:
            message += f"; nothing starts: {obstacle or 'spec.suspend is true'}"
        return [Finding(kind, "Unknown", "Confirming", message)]
    if known.spent:
        message += f", but the place of {doubted} trials is in doubt: {known.spent}"
        return [Finding(kind, "False", CONFIRMATION_ENDED, message)]
    rest = len(points) - sure
    if rest:
        message += f"; {rest} are not, for more trainings would hardly change their place"
    if doubted:
        message = (
            f"{sure} of {len(points)} points of the front are confirmed; the place of {doubted}"
            f" trials is in doubt even after {spec.confirm.runs} further trainings of each"
        )
    return [Finding(kind, "True", "Confirmed", message)]


def held_back(spec: Spec, seen: Observation) -> list[Finding]:
    """Say what the caps of the namespace hold back; nothing where they do not."""
    caps = seen.caps
    wants = [
        ("parallelism", spec.parallelism, caps.parallelism),
        ("maxTrials", spec.max_trials, caps.trials),
    ]
    said = [
        f"{field} is {wanted}, but {cap.left:g} are left: the platform allows {cap}"
        for field, wanted, cap in wants
        if wanted > cap.left
    ]
    if usage.capped(seen):
        said.append(
            f"{usage.gpu_hours(seen):.4g} GPU-hours are used, but the platform allows"
            f" {caps.gpu_hours}, so nothing starts"
        )
    if not said:
        return []
    return [Finding(ConditionType.HELD_BACK, "True", CAPPED, "; ".join(said))]


def foreign(seen: Observation) -> list[Finding]:
    """Say what others have put into the study; nothing where there is nothing to say."""
    if not seen.others.notes:
        return []
    return [Finding(ConditionType.FOREIGN_TRIALS, "True", LEFT_ALONE, "; ".join(seen.others.notes))]


def forgotten(before: Status | None, seen: Observation) -> str:
    """Return what a study has forgotten of what was told of it; nothing if it has not.

    Suggestions and the seconds of ended trials only ever grow.
    """
    total = len(seen.trials) - len(continued(seen.trials))
    ended = [trial for trial in seen.trials if trial.state is not State.RUNNING]
    seconds = sum(trial.seconds for trial in ended)
    if before is None or (before.trials.total <= total and before.compute_seconds <= seconds + 1.0):
        return ""
    return (
        f"the study was restored: it has {total} trials and {seconds:.0f} s of trainings, but had"
        f" {before.trials.total} and {before.compute_seconds:.0f} s; what is forgotten runs again"
    )


def degraded(spec: Spec, seen: Observation, closing: Closing | None) -> Finding:
    """Say whether a person should look."""
    kind = ConditionType.DEGRADED
    counts = {
        ending: count
        for ending, count in seen.verdicts(spec).counts.items()
        if ending.reason not in reasons.RESUMABLE
    }
    ended, feasible = sum(counts.values()), int(seen.verdicts(spec).facts["feasible"].sum())
    if closing and closing.reason in (PREPARATION_FAILED, TOO_MANY_FAILURES):
        return Finding(kind, "True", closing.reason, closing.message)
    for attempt in seen.attempts:
        if attempt.lost:
            return Finding(kind, "True", NODE_LOST, attempt.message)
        if attempt.live and attempt.reason in STUCK:
            message = (
                f"{attempt.message}; mend spec.template or what it names: what waits starts anew"
            )
            return Finding(kind, "True", attempt.reason, message)
    for removal in seen.removals:
        if removal.failed or removal.attempt.reason in STUCK:
            shown = ", ".join(map(str, removal.whose[:20]))
            message = f"the files of trials {shown} could not be removed: {removal.attempt.message}"
            return Finding(kind, "True", FILES_REMAIN, message)
    if ended >= NO_FEASIBLE_AFTER and not feasible:
        said = Counter[str]()
        for ending, count in counts.items():
            said[ending.reason] += count
        ((most, _),) = said.most_common(1)
        message = (
            f"none of {ended} trials satisfies all thresholds and constraints; most often: {most}"
        )
        return Finding(kind, "True", "NoFeasibleTrial", message)
    message = f"{feasible} of {ended} ended trials are feasible"
    return Finding(kind, "False", "AsExpected", message)
