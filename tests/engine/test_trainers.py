"""Which trainer made the results, and what follows if another one would make the next."""

from dataclasses import replace
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import decide, trainers
from distillery_operator.engine.actions import Ask, Launch, Promote, Tell
from distillery_operator.resource.status import Status
from distillery_operator.trials.attempt import Attempt, Phase, Report
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import UNKNOWN, Provenance, Trainer
from distillery_operator.trials.trial import Point, State, Trial
from support import worlds

EXPERIMENT = worlds.experiment()
SPEC = EXPERIMENT.spec
ALLOWING = worlds.experiment(trainerChange="Allow")

OLD, NEW = Trainer("1.0", "2.9", "5.0", "H200"), Trainer("1.1", "2.9", "5.0", "H200")
NAME, OTHER = "registry.example/trainer:1", "mirror.example/trainer:1"
ONE, TWO = f"{NAME}@sha256:{'1' * 64}", f"{NAME}@sha256:{'2' * 64}"
BEFORE = Provenance(1, "digest", "key", ONE, OLD)


def results(*made: Provenance | None) -> tuple[Trial, ...]:
    return tuple(
        worlds.completed(n, 80.0 - n, 1 + n % 6, provenance=each, ended=100.0 * (n + 1))
        for n, each in enumerate(made)
    )


def seen(
    upcoming: Provenance, *made: Provenance | None, trials: tuple[Trial, ...] = (), **more: Any
) -> Observation:
    told = results(*made)
    fresh = tuple(replace(t, number=len(told) + n) for n, t in enumerate(trials))
    return replace(worlds.observation((*told, *fresh)), upcoming=upcoming, **more)


def named(name: str) -> Provenance:
    return Provenance(image=name)


def heard(trainer: Trainer, image: str, number: int, trial: int) -> tuple[Attempt, Report]:
    """Return a live attempt and what it says of itself."""
    attempt = Attempt(Stage.TRAIN, trial, number, Phase.RUNNING, started=950.0, image=image)
    return attempt, Report("Scrape", trainer=trainer)


def listening(now: Observation, attempt: Attempt, report: Report) -> Observation:
    return replace(now, attempts=(attempt,), reports={attempt.key: report})


RUNNING = Trial(0, {"learning_rate": 0.3, "n_layers": 2}, parameter_count=200_000)
BEGUN = replace(RUNNING, attempts=(PastAttempt(1, "uid", over=True, started=1.0, ended=2.0),))


@pytest.mark.parametrize(
    ("upcoming", "made", "changed"),
    [
        (named(NAME), (), False),  # no result yet
        (named(NAME), (None,), False),  # results of an earlier release, which did not say
        (named(NAME), (BEFORE,), False),
        (named(OTHER), (BEFORE,), True),  # nobody knows what it is
        (named(f"{OTHER}@{BEFORE.digest}"), (BEFORE,), False),  # the same content
        (named(TWO), (BEFORE,), True),
        (Provenance(trainer=OLD), (replace(BEFORE, image=""),), False),  # on one machine
        (Provenance(trainer=replace(OLD, device="")), (replace(BEFORE, image=""),), False),
        (Provenance(trainer=NEW), (replace(BEFORE, image=""),), True),
        (Provenance(trainer=replace(OLD, torch="2.10")), (replace(BEFORE, image=""),), True),
        (UNKNOWN, (Provenance(),), False),  # a silent trainer of one machine
        (named(NAME), (named(ONE),), False),  # a silent one of a cluster
        (named(OTHER), (named(ONE),), True),
    ],
)
def test_a_change_is_known_before_anything_starts(
    upcoming: Provenance, made: tuple[Provenance | None, ...], changed: bool
) -> None:
    now = seen(upcoming, *made)
    assert bool(trainers.change(now)) is changed
    asked = [a for a in decide.decide(SPEC, now).actions if isinstance(a, Ask)]
    assert bool(asked) is not changed
    assert trainers.refusal(ALLOWING.spec, now) == ""
    assert any(isinstance(a, Ask) for a in decide.decide(ALLOWING.spec, now).actions)


def test_the_refusal_names_both_and_says_what_to_do() -> None:
    now = seen(Provenance(trainer=NEW), *[replace(BEFORE, image="")] * 3)
    assert trainers.refusal(SPEC, now) == (
        "3 results were made by trainer 1.0 (torch 2.9, transformers 5.0), but the next one would"
        " be made by trainer 1.1 (torch 2.9, transformers 5.0). No trial begins, for results of two"
        " trainers are hard to compare: bring the earlier one back (on a cluster, name its image in"
        " spec.template), or set spec.trainerChange to Allow"
    )
    unknown = trainers.change(seen(named(OTHER), BEFORE))
    assert f"1 result was made by {OLD} in {ONE}, but" in unknown
    assert unknown.endswith(f"made by {OTHER}, which has not said what it is")


def test_what_an_attempt_says_counts_more_than_the_name_of_its_image() -> None:
    """An attempt that resumes by a new image is the first to tell what that is."""
    now = seen(named(OTHER), BEFORE, trials=(BEGUN,))
    assert [a for a in decide.decide(SPEC, now).actions if not isinstance(a, Tell)] == [
        Launch(Stage.TRAIN, 1, 2)
    ]
    same = listening(now, *heard(OLD, f"{OTHER}@sha256:{'3' * 64}", 2, 1))
    assert trainers.change(same) == ""
    assert any(isinstance(a, Ask) for a in decide.decide(SPEC, same).actions)
    other = listening(now, *heard(NEW, f"{OTHER}@sha256:{'3' * 64}", 2, 1))
    assert "made by trainer 1.1" in trainers.change(other)


def test_a_tag_that_was_moved_is_noticed_at_the_first_report() -> None:
    now = seen(named(NAME), BEFORE, trials=(RUNNING,))
    assert trainers.change(now) == ""
    assert trainers.change(listening(now, *heard(OLD, TWO, 1, 1))) == ""  # built again
    moved = listening(now, *heard(NEW, TWO, 1, 1))
    assert "made by trainer 1.1" in trainers.change(moved)
    starting, silent = heard(Trainer(), TWO, 1, 1)
    assert trainers.change(listening(now, starting, silent)) == ""  # it has not said anything yet


def test_the_newest_result_of_an_image_tells_what_it_is() -> None:
    moved = Provenance(image=TWO, trainer=NEW)
    assert "made by trainer 1.1" in trainers.change(seen(named(NAME), BEFORE, BEFORE, moved))
    back = named(f"{NAME}@{BEFORE.digest}")  # a person has named the earlier content
    assert trainers.change(seen(back, BEFORE, BEFORE, moved)) == ""


def test_what_most_results_were_made_by_is_the_measure() -> None:
    other = Provenance(image=OTHER, trainer=NEW)
    assert trainers.change(seen(named(OTHER), BEFORE, other, other)) == ""
    assert trainers.change(seen(named(NAME), BEFORE, other, other))


def test_trials_that_say_nothing_of_their_suggestion_do_not_count() -> None:
    failed = replace(results(Provenance(trainer=NEW))[0], state=State.FAILED)
    repeated = replace(results(Provenance(trainer=NEW))[0], reason="Duplicate")
    assert trainers.makers((failed, repeated)) == []
    (maker,) = trainers.makers((failed, repeated, *results(BEFORE)))
    assert maker == trainers.Maker(1, BEFORE)


def test_trials_that_have_begun_resume_and_no_other_begins() -> None:
    fresh = replace(RUNNING, parameters={"learning_rate": 0.4, "n_layers": 3})
    now = seen(named(OTHER), BEFORE, trials=(fresh, BEGUN))
    assert decide.decide(SPEC, now).actions == [Launch(Stage.TRAIN, 2, 2)]
    allowed = decide.decide(ALLOWING.spec, now).actions
    assert [a.trial for a in allowed if isinstance(a, Launch)] == [1, 2]


def test_a_stopped_trial_does_not_go_on_by_another_trainer() -> None:
    spec = worlds.experiment(
        earlyStopping={"type": "ASHA", "rungs": [0.25, 0.5], "pause": True}
    ).spec
    paused = tuple(
        replace(
            trial,
            state=State.STOPPED,
            reason="Paused",
            curve=(Point(5, trial.metrics, steps=20, at=10.0),),
        )
        for trial in results(*[BEFORE] * 6)
    )
    here = replace(worlds.observation(paused), upcoming=named(NAME))
    assert any(isinstance(a, Promote) for a in decide.decide(spec, here).actions)
    there = replace(here, upcoming=named(OTHER))
    assert decide.decide(spec, there).actions == []
    assert decide.decide(spec, there).done is None


def test_a_trial_is_told_with_what_made_it() -> None:
    ended = Attempt(
        Stage.TRAIN, 0, 1, Phase.ENDED, Exit.DIVERGED,
        started=1.0, ended=9.0, digest="digest", generation=3, image=ONE,
    )  # fmt: skip
    report = Report("TerminationMessage", trainer=OLD)
    now = worlds.observation((RUNNING,), (ended,), {ended: report})
    (told,) = (a for a in decide.decide(SPEC, now).actions if isinstance(a, Tell))
    assert told.provenance == Provenance(3, "digest", "key", ONE, OLD)


def test_a_duplicate_is_told_with_what_made_the_result_that_it_repeats() -> None:
    (first,) = results(BEFORE)
    twin = replace(RUNNING, parameters=first.parameters, number=1)
    now = replace(worlds.observation((first, twin)), upcoming=named(NAME))
    (told,) = (a for a in decide.decide(SPEC, now).actions if isinstance(a, Tell))
    assert (told.reason, told.provenance) == ("Duplicate", BEFORE)


def condition(found: Status, kind: str = "TrainerAccepted") -> tuple[str, str] | None:
    said = {c.type: (c.status, c.reason) for c in found.conditions}
    return said.get(kind)  # type: ignore[call-overload, no-any-return]


def test_the_status_says_which_trainer_made_the_results_and_what_holds_the_next() -> None:
    fresh = worlds.status(EXPERIMENT, seen(named(NAME)))
    assert condition(fresh) is None
    same = worlds.status(EXPERIMENT, seen(named(NAME), BEFORE))
    assert condition(same) == ("True", "SameTrainer")
    held = worlds.status(EXPERIMENT, seen(named(OTHER), BEFORE))
    assert condition(held) == ("False", "TrainerChanged")
    assert condition(held, "Progressing") == ("False", "TrainerChanged")
    assert held.state == "TrainerChanged"
    allowed = worlds.status(ALLOWING, seen(named(OTHER), BEFORE))
    assert condition(allowed) == ("True", "ChangeAllowed")
    assert condition(allowed, "Progressing") == ("True", "Running")
    mixed = worlds.status(ALLOWING, seen(named(NAME), BEFORE, BEFORE, Provenance(trainer=NEW)))
    assert condition(mixed) == ("True", "SeveralTrainers")
    (message,) = (c.message for c in mixed.conditions if c.type == "TrainerAccepted")
    assert message.startswith("2 results were made by trainer 1.0")
    assert "; 1 result was made by trainer 1.1" in message


def test_a_search_that_is_over_is_not_held_by_another_trainer() -> None:
    over = worlds.experiment(maxTrials=1, parallelism=1)
    found = worlds.status(over, seen(named(OTHER), BEFORE))
    assert condition(found) == ("True", "SameTrainer")
    assert found.state == "Succeeded"
