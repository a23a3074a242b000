from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from distillery_contract.request import Stage
from distillery_operator.cli import terminal
from distillery_operator.trials.attempt import Attempt, Phase, Report
from distillery_operator.trials.observation import Observation, Others
from distillery_operator.trials.trial import State, Trial
from support import worlds
from support.seeds import again

EXPERIMENT = worlds.experiment()
RUNNING = Trial(1, {"n_layers": 2, "epochs": 1, "learning_rate": 0.01}, parameter_count=332_546)
LIVE = Attempt(Stage.TRAIN, 1, 1, Phase.RUNNING, started=990.0)
REPORT = Report("Scrape", step=5, steps=20, metrics={"exact": 61.25})


def shown(seen: Observation, *, in_terminal: bool) -> str:
    file = StringIO()
    view = terminal.View(Console(file=file, force_terminal=in_terminal, width=120), EXPERIMENT)
    view.show(seen, worlds.status(EXPERIMENT, seen, None))
    view.close()
    return file.getvalue()


SEEN = worlds.observation(
    (worlds.completed(0, 80.0, 3, seconds=40.0), RUNNING), (LIVE,), {LIVE: REPORT}
)


def test_a_terminal_shows_what_runs_what_was_found_and_the_time_left() -> None:
    text = shown(SEEN, in_terminal=True)
    assert (
        "1 trials ended (1 feasible, 0 infeasible, 0 stopped, 0 failed), 1 running, front 1" in text
    )
    assert "about 2 min 15 s left" in text  # 7 trials of 40 s by 2, less the 10 s that one has run
    assert "trial 1 step 5/20 exact 61.25" in text
    assert "25 %" in text
    assert "Pareto front" in text


def test_a_pipe_gets_a_line_per_event() -> None:
    lines = shown(SEEN, in_terminal=False).splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "trial 0 ended after 40 s: exact 80.00, parameter_count 300,000",
        "trial 1 tries 332,546 parameters; n_layers 2, learning_rate 0.01",
        "Prepared=True Prepared: data and teacher are checked and cached; the teacher has"
        " HasAns_exact 88.00, NoAns_exact 92.00",
        "Progressing=True Running: 2 of 8 trials are suggested, 1 processes run",
    ]


def test_a_front_shows_what_other_seeds_came_to() -> None:
    trials = tuple(
        again(worlds.completed(n, 60.0 + n, 1 + n % 6, model="m"), *(59.0 + n, 58.0 + n) * (n > 8))
        for n in range(12)
    )
    wanted = worlds.experiment(maxTrials=12, confirm={"share": 0.5})
    found = worlds.status(wanted, worlds.observation(trials))
    table = terminal.front_table(wanted.spec, found.front, found.knee)
    columns = {str(column.header): list(column.cells) for column in table.columns}
    confirmed = [p.trial for p in found.front if p.confirmation and p.confirmation.confirmed]
    named = [str(cell).split()[0] for cell in columns["trial"] if "(confirmed)" in str(cell)]
    assert named == [str(number) for number in confirmed]
    assert any(columns["exact (any seed)"])
    again_told = [cell for cell in columns["exact (other seeds)"] if cell]
    assert all(str(cell).endswith("± 0.71 (2)") for cell in again_told)
    assert len(again_told) == sum(p.trial > 8 for p in found.front)


def test_what_continues_a_stopped_trial_says_so() -> None:
    further = replace(RUNNING, continues=0)
    seen = worlds.observation((replace(RUNNING, number=0, state=State.STOPPED), further), (LIVE,))
    text = shown(seen, in_terminal=False)
    assert "trial 1 goes on from the checkpoint of trial 0" in text
    assert "1 of 8 trials are suggested" in text


def test_an_event_is_told_once() -> None:
    file = StringIO()
    view = terminal.View(Console(file=file, width=120), EXPERIMENT)
    for _ in range(3):
        view.show(SEEN, worlds.status(EXPERIMENT, SEEN, None))
    assert len(file.getvalue().splitlines()) == 4


@pytest.mark.parametrize(
    ("trial", "text"),
    [
        (worlds.completed(0, 50.0, 1, has=0.0, no=100.0), "is Infeasible (Collapsed): the model"),
        (
            replace(worlds.completed(0, 80.0, 3), reason="Duplicate", message="as trial 3"),
            "is Completed (Duplicate): as trial 3; all thresholds and constraints hold; exact 80",
        ),
        (replace(RUNNING, state=State.FAILED, reason="Crashed", message="[bold]no"), "[bold]no"),
    ],
)
def test_an_ending_is_told_with_its_reason(trial: Trial, text: str) -> None:
    assert text in shown(worlds.observation((trial,)), in_terminal=False)


def test_no_time_is_estimated_before_a_trial_has_ended() -> None:
    assert terminal.remaining_seconds(EXPERIMENT.spec, worlds.observation((RUNNING,))) is None


def test_what_a_person_suggested_and_what_others_did_is_told() -> None:
    wanted = worlds.experiment(suggestions=[{"name": "mine"}])
    mine = replace(RUNNING, number=0, by_hand="typed")
    others = Others(notes=("trials of other tools: 2",))
    seen = replace(worlds.observation((mine,)), others=others)
    assert "trial 0 (suggested by hand: typed) tries 332,546" in shown(seen, in_terminal=False)
    assert "ForeignTrials=True LeftAlone: trials of other tools: 2" in shown(
        seen, in_terminal=False
    )
    file = StringIO()
    found = worlds.status(wanted, seen, None)
    terminal.show_status(Console(file=file, width=160), wanted, found)
    text = file.getvalue()
    assert "suggested by hand: mine is Waiting" in text
    assert "suggested by hand: typed is Running as trial 0" in text
    assert "ForeignTrials=True LeftAlone" in text
