"""The command, as a person runs it: in a process of its own, interrupted and killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from distillery_operator.resource import yaml_files
from distillery_operator.resource.status import Status
from support import quick_trainer, worlds

pytestmark = pytest.mark.long

QUICK = f"{sys.executable} {quick_trainer.__file__}"
RESULTS = Path("experiments/tiny")


def write(workspace: Path, **spec: Any) -> Path:
    (workspace / "train.json").touch()
    file = workspace / "experiment.yaml"
    file.write_text(yaml_files.dump(worlds.document(**spec)))
    return file


def command(workspace: Path, *words: str, pace: float = 0.01) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "distillery_operator", "--trainer", QUICK, *words],
        cwd=workspace,
        env={**os.environ, "QUICK_TRAINER_STEP_SECONDS": str(pace)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = child.communicate(timeout=300)
    return child.returncode, out, err


def run(workspace: Path, *words: str) -> tuple[int, str, str]:
    return finish(command(workspace, *words))


def status(workspace: Path) -> Status:
    return yaml_files.read_status(workspace / RESULTS / "status.yaml")


def ledgers(workspace: Path) -> dict[int, list[int]]:
    """Return the steps that each trial's trainings did, in their order."""
    return {
        int(path.parent.name): [int(line.split()[2]) for line in path.read_text().splitlines()]
        for path in sorted((workspace / RESULTS).glob("trials/*/ledger"))
    }


def stored(workspace: Path) -> list[optuna.trial.FrozenTrial]:
    url = f"sqlite:///{workspace / RESULTS / 'study.db'}"
    return optuna.load_study(study_name="tiny", storage=url).get_trials()


def live_trainers(workspace: Path) -> int:
    """Count trainer processes whose working directory is this workspace."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            found += (
                b"quick_trainer" in words
                and b"sh\0" not in words
                and ((process / "cwd").resolve() == workspace.resolve())
                and b"--trainer" not in words
            )
        except OSError:
            continue
    return found


def test_a_run_ends_with_status_front_and_report(tmp_path: Path) -> None:
    file = write(tmp_path, baselines=[{"name": "deep", "parameters": {"learning_rate": 0.2}}])
    code, out, err = run(tmp_path, "run", str(file))
    assert code == 0, out + err
    assert "Pareto front" in out
    found = status(tmp_path)
    conditions = {c.type: c.status for c in found.conditions}
    assert conditions == {
        "TrainerAccepted": "True", "Prepared": "True", "Progressing": "False",
        "Succeeded": "True", "Degraded": "False",
    }  # fmt: skip
    ended = found.trials.completed + found.trials.infeasible + found.trials.stopped
    assert found.trials.total == ended == 8
    assert found.front_size == len(found.front) > 0
    assert found.baselines[0].name == "deep"
    assert "<html" in (tmp_path / RESULTS / "report.html").read_text()
    assert all(steps == list(range(len(steps))) for steps in ledgers(tmp_path).values())
    code, out, _ = run(tmp_path, "status")
    assert code == 0
    assert "Succeeded=True MaxTrialsReached" in out
    code, out, _ = run(tmp_path, "report", "-o", str(tmp_path / "page.html"))
    assert code == 0
    assert (tmp_path / "page.html").stat().st_size > 1_000_000


def test_running_a_finished_experiment_again_runs_nothing_again(tmp_path: Path) -> None:
    file = write(tmp_path, maxTrials=3)
    assert run(tmp_path, "run", str(file))[0] == 0
    before = (ledgers(tmp_path), status(tmp_path))
    assert run(tmp_path, "run", str(file))[0] == 0
    assert (ledgers(tmp_path), status(tmp_path)) == before


def test_raising_max_trials_goes_on(tmp_path: Path) -> None:
    run(tmp_path, "run", str(write(tmp_path, maxTrials=3)))
    before = ledgers(tmp_path)
    assert run(tmp_path, "run", str(write(tmp_path, maxTrials=5)))[0] == 0
    after = ledgers(tmp_path)
    assert len(stored(tmp_path)) == 5
    assert {n: after[n] for n in before} == before


def test_bad_data_ends_the_run_with_its_sentence_and_starts_nothing(tmp_path: Path) -> None:
    file = write(tmp_path)
    (tmp_path / "train.json").unlink()
    code, out, _ = run(tmp_path, "run", str(file))
    assert code == 1
    assert "there is no file train.json" in out
    assert stored(tmp_path) == []
    (tmp_path / "train.json").touch()
    assert run(tmp_path, "run", str(file))[0] == 0


def test_another_trainer_begins_no_trial_unless_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, "run", str(write(tmp_path, maxTrials=3)))[0] == 0
    code, out, _ = run(tmp_path, "status")
    assert "TrainerAccepted=True SameTrainer: 3 results were made by trainer 1.0" in out
    monkeypatch.setenv("QUICK_TRAINER_VERSION", "2.0")
    # A trainer of one's own is not known before it runs: the trials that start at once tell.
    child = command(tmp_path, "run", str(write(tmp_path, maxTrials=9)), pace=0.05)
    code, out, err = finish(child)
    assert code == 2, out + err
    assert "made by trainer 1.0" in err
    assert "the next one would be made by trainer 2.0" in err
    begun = len(ledgers(tmp_path))
    assert begun < 9
    found = {str(c.type): (c.status, c.reason) for c in status(tmp_path).conditions}
    assert found["TrainerAccepted"] == ("False", "TrainerChanged")
    assert run(tmp_path, "run", str(write(tmp_path, maxTrials=9)))[0] == 2
    assert len(ledgers(tmp_path)) == begun
    allowed = write(tmp_path, maxTrials=9, trainerChange="Allow")
    assert run(tmp_path, "run", str(allowed))[0] == 0
    assert status(tmp_path).trials.total == 9


def test_ctrl_c_stops_at_checkpoints_and_the_same_command_goes_on(tmp_path: Path) -> None:
    file = write(tmp_path, maxTrials=4)
    child = command(tmp_path, "run", str(file), pace=0.1)
    while not ledgers(tmp_path):
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    code, out, err = finish(child)
    assert code == 130, out + err
    assert "interrupted; the same command goes on" in out
    assert live_trainers(tmp_path) == 0
    assert run(tmp_path, "run", str(file))[0] == 0
    assert all(steps == list(range(len(steps))) for steps in ledgers(tmp_path).values())
    assert len(stored(tmp_path)) == 4


def test_paused_trials_go_on_from_their_checkpoints_whatever_is_killed(tmp_path: Path) -> None:
    """The suggestions come best first, so that others have to come for the second to go on.

    This trainer evaluates at every step: its pace leaves time to see the evaluation at a rung.
    """
    pause = {"type": "ASHA", "pause": True, "rungs": [0.25, 0.5], "reductionFactor": 2}
    rates = [0.2, 0.16, 0.13, 0.1, 0.08, 0.06, 0.05, 0.04]
    file = write(
        tmp_path,
        parameters=[{"name": "learning_rate", "type": "Categorical", "choices": rates}],
        sampler={"type": "Grid", "seed": 20981},  # whose shuffle leaves the choices in their order
        earlyStopping={**pause, "collapse": False},
    )
    for _ in range(3):
        child = command(tmp_path, "run", str(file), pace=0.2)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(1.5)
        child.kill()
        child.communicate()
    code, out, err = finish(command(tmp_path, "run", str(file), pace=0.2))
    assert code in (0, 1), out + err
    suggestions = [t.user_attrs["suggestion"] for t in stored(tmp_path)]
    before = {
        n: s["continues"] for n, s in enumerate(suggestions) if s.get("continues") is not None
    }
    fresh = [s for n, s in enumerate(suggestions) if n not in before]
    assert [s["parameters"]["learning_rate"] for s in fresh] == rates
    assert len(before) == len(set(before.values())) >= 2
    done = ledgers(tmp_path)
    for number, stopped in before.items():
        assert suggestions[number]["parameters"] == suggestions[stopped]["parameters"]
        course = [*done[stopped], *done[number]]
        assert course == list(range(course[0], course[0] + len(course)))
    found = status(tmp_path)
    assert found.trials.completed + found.trials.stopped == found.trials.total == len(rates)
    assert found.trials.completed + found.trials.infeasible >= 1


def test_kill_9_at_any_moment_loses_nothing_and_runs_nothing_twice(tmp_path: Path) -> None:
    file, moments = write(tmp_path, maxTrials=10), random.Random(7)
    kills = 0
    for _ in range(12):
        child = command(tmp_path, "run", str(file), pace=0.04)
        assert child.stdout is not None
        child.stdout.readline()  # the loop has begun
        time.sleep(moments.uniform(0.0, 0.8))
        if child.poll() is None:
            kills += 1
            child.kill()
        child.communicate()
        assert live_trainers(tmp_path) <= 2
    code, out, err = finish(command(tmp_path, "run", str(file), pace=0.04))
    assert code in (0, 1), out + err
    assert kills >= 5
    trials = stored(tmp_path)
    assert [t.number for t in trials] == list(range(10))
    assert {t.state.name for t in trials} <= {"COMPLETE"}
    for number, steps in ledgers(tmp_path).items():
        assert steps == list(range(len(steps))), f"trial {number} did steps twice: {steps}"
    found = status(tmp_path)
    assert found.trials.completed + found.trials.infeasible + found.trials.stopped == 10


def test_a_second_run_of_the_same_experiment_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, maxTrials=20)
    first = command(tmp_path, "run", str(file), pace=0.2)
    assert first.stdout is not None
    first.stdout.readline()
    code, _, err = run(tmp_path, "run", str(file))
    assert code == 2
    assert "another `distillery run` works on" in err
    first.send_signal(signal.SIGINT)
    finish(first)


def test_a_plan_shows_sizes_and_first_suggestions_and_runs_nothing(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "plan", str(write(tmp_path)))
    assert code == 0, err
    assert "students have 220,706 to 779,906 parameters" in out
    assert out.count("tries") == 5
    assert "set apart" not in out
    assert not (tmp_path / "experiments").exists()
    shared = write(tmp_path, data={"train": "train.json", "validation": "v", "testShare": 0.3})
    assert "at least 30% of the validation questions" in run(tmp_path, "plan", str(shared))[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "none.yaml"), "there is no experiment file none.yaml"),
        (("status",), "there is no experiment in"),
        (("status", "-e", "other"), "there is no experiment 'other'"),
        (("export", "3", "out"), "there is no experiment in"),
        # All that an operator has a default for may be left out; its database is in no option.
        (
            ("operator", "--trainer-image=x"),
            "the environment variable DISTILLERY_DATABASE_URL must",
        ),
        (
            ("operator", "--trainer-image=x", "--trials-service=here"),
            "must be NAMESPACE/NAME:PORT, but got 'here'",
        ),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    code, _, err = run(tmp_path, *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_without_an_extra_a_run_ends_well_and_what_needs_it_says_so(tmp_path: Path) -> None:
    program = """
        import sys
        sys.modules |= {"plotly": None, "optuna_dashboard": None}
        from distillery_operator.cli.main import main
        sys.exit(main())
    """

    def lacking(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), "--trainer", QUICK, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    advice = "it needs plotly, which pip install 'distillery-operator[report]' brings"
    code, out, err = lacking("run", str(write(tmp_path, maxTrials=2)))
    assert (code, err) == (0, "")
    assert f"report: {advice}" in out
    assert out.index(f"no report will be written: {advice}") < out.index("trial 0")
    assert status(tmp_path).front
    assert lacking("report") == (2, "", f"{advice}\n")
    code, _, err = lacking("dashboard")
    assert (code, "it needs optuna_dashboard" in err) == (2, True)


def test_a_broken_experiment_is_refused_with_all_faults(tmp_path: Path) -> None:
    file = write(tmp_path, parallelism=9, foo=1)
    code, _, err = run(tmp_path, "run", str(file))
    assert code == 2
    assert "breaks 2 rules" in err
    assert "spec.parallelism: parallelism <= maxTrials must hold, but got (9, 8)" in err
    assert not (tmp_path / "experiments").exists()


def test_an_experiment_without_a_feasible_trial_says_so(tmp_path: Path) -> None:
    file = write(tmp_path, constraints=[{"metric": "HasAns_exact", "minimum": 100}], maxTrials=2)
    code, out, _ = run(tmp_path, "run", str(file))
    assert code == 1
    assert "Succeeded=False NoFeasibleTrial" in out


def test_a_search_starts_from_results_that_are_linked_into_the_workspace(tmp_path: Path) -> None:
    document = worlds.document(maxTrials=2, warmStartFrom=[{"experiment": "tiny"}])
    document["metadata"]["name"] = "later"
    later = tmp_path / "later.yaml"
    later.write_text(yaml_files.dump(document))
    first = write(tmp_path, maxTrials=3, maxGpuHours=1)
    code, out, err = run(tmp_path, "run", str(later))
    assert (code, err) == (2, "there is no experiment tiny with trials to start from\n"), out + err
    code, out, err = run(tmp_path, "status")
    assert "WarmStarted=False SourceNotFound: there is no experiment tiny" in out, out + err
    assert "Progressing=False Obstructed: nothing starts: there is no experiment tiny" in out
    assert run(tmp_path, "run", str(first))[0] == 0
    results = tmp_path / "experiments" / "tiny"
    results.symlink_to(results.rename(tmp_path / "elsewhere"))
    code, out, err = run(tmp_path, "run", str(later))
    assert "WarmStarted=True Taken: these inform the sampler: 3 trials of tiny" in out, out + err
    found = yaml_files.read_status(tmp_path / "experiments" / "later" / "status.yaml")
    assert (found.trials.total, found.progress) == (2, "2/2")
    assert all(point.trial < 2 for point in found.front)


def test_a_search_starts_from_a_copy_of_results_under_another_name(tmp_path: Path) -> None:
    assert run(tmp_path, "run", str(write(tmp_path, maxTrials=3)))[0] == 0
    place = tmp_path / "experiments"
    shutil.copytree(place / "tiny", place / "tiny-2025")
    (place / "bare").mkdir()
    shutil.copy(place / "tiny" / "experiment.yaml", place / "bare")
    for name, expected in (("bare", 2), ("tiny-2025", 0)):
        document = worlds.document(maxTrials=2, warmStartFrom=[{"experiment": name}])
        document["metadata"]["name"] = "later"
        later = tmp_path / "later.yaml"
        later.write_text(yaml_files.dump(document))
        code, out, err = run(tmp_path, "run", str(later))
        assert code == expected, out + err
    assert "these inform the sampler: 3 trials of tiny-2025" in out
    assert [path.name for path in (place / "bare").iterdir()] == ["experiment.yaml"]


def test_the_status_says_why_a_search_could_not_start_from_another(tmp_path: Path) -> None:
    assert run(tmp_path, "run", str(write(tmp_path, maxTrials=2)))[0] == 0
    wanted = {"training": {"epochs": 2}, "warmStartFrom": [{"experiment": "tiny"}]}
    document = worlds.document(**wanted)
    document["metadata"]["name"] = "later"
    later = tmp_path / "later.yaml"
    later.write_text(yaml_files.dump(document))
    code, out, err = run(tmp_path, "run", str(later))
    assert (code, err[:21]) == (2, "none of the 2 trials "), out + err
    found = yaml_files.read_status(tmp_path / "experiments" / "later" / "status.yaml")
    conditions = {str(c.type): (c.status, c.reason) for c in found.conditions}
    assert found.state == "SourceUnfit"
    assert conditions["WarmStarted"] == ("False", "SourceUnfit")
    assert conditions["Prepared"] == ("True", "Prepared")
    assert conditions["Progressing"] == ("False", "Obstructed")


def test_a_raised_budget_continues_a_search_that_it_has_ended(tmp_path: Path) -> None:
    _, out, err = run(tmp_path, "run", str(write(tmp_path, maxGpuHours=1e-6, parallelism=1)))
    assert "MaxGpuHoursReached" in out, out + err
    spent = status(tmp_path)
    assert 0 < spent.trials.total < 8 or not spent.trials.total
    assert {b.name for b in spent.budgets} == {"maxTrials", "maxGpuHours"}
    assert run(tmp_path, "run", str(write(tmp_path, maxGpuHours=9, parallelism=1)))[0] == 0
    assert status(tmp_path).trials.total == 8
