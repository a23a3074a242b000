"""The benchmark of searches: what is kept of it, what it goes on from, what it prints."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import search
from contest import comparison, contestants, store
from contest.clock import History
from contest.comparison import Difference
from contest.contestants import CONTESTANTS, OURS, Contestant
from contest.problems import Problem
from contest.score import Score
from contest.store import Search, Store

SEARCH = Path(__file__).parents[2] / "bench" / "search.py"
ONE = Search("synthetic", "random", 4, 12, 7, "of today")


def reaching(volume: float, after: float = 0.5) -> Score:
    """Return a search that reaches a volume at a time, overstated by half of it."""
    measured = round(1.5 * volume, store.DIGITS)
    return Score([after], [volume], [volume], [measured], 3.0, 2, 1, 5, 4, 3, 1)


def seeds(*volumes: float, after: float = 0.5) -> dict[int, Score]:
    return {seed: reaching(volume, after) for seed, volume in enumerate(volumes)}


def test_a_finished_search_is_kept_and_a_line_cut_short_is_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "searches.jsonl"
    Store(path).add(ONE, reaching(0.5))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"search": {"probl')
    again = Store(path)
    assert again.get(ONE) == reaching(0.5)
    again.add(replace(ONE, seed=8), reaching(0.6))
    last = Store(path)
    assert (last.get(ONE), last.get(replace(ONE, seed=8))) == (reaching(0.5), reaching(0.6))


@pytest.mark.parametrize(
    "other",
    [
        {"problem": "graph"},
        {"contestant": "TPE"},
        {"workers": 1},
        {"trainings": 300},
        {"seed": 8},
        {"version": "of tomorrow"},
    ],
)
def test_a_search_is_known_by_everything_that_it_depends_on(
    other: Mapping[str, str | int], tmp_path: Path
) -> None:
    Store(tmp_path / "s").add(ONE, reaching(0.5))
    assert Store(tmp_path / "s").get(replace(ONE, **other)) is None  # type: ignore[arg-type]


def test_a_search_that_was_made_anew_replaces_its_older_line(tmp_path: Path) -> None:
    path, anew = tmp_path / "s", replace(ONE, version="of tomorrow")
    for one, volume in ((ONE, 0.5), (replace(ONE, seed=8), 0.6), (anew, 0.7)):
        Store(path).add(one, reaching(volume))
    again = Store(path)
    assert again.get(anew) == reaching(0.7)
    assert len(path.read_text().splitlines()) == 2


def test_a_finished_search_is_the_same_in_the_run_that_made_it_and_in_the_next(
    tmp_path: Path,
) -> None:
    here = Store(tmp_path / "s")
    here.add(ONE, reaching(2 / 3, after=1 / 3))
    assert here.get(ONE) == Store(tmp_path / "s").get(ONE) == reaching(0.6667, after=0.3333)


def test_a_version_is_another_where_a_file_or_a_package_is(tmp_path: Path) -> None:
    module, data = tmp_path / "module.py", tmp_path / "data.yaml"
    module.write_text("a = 1")
    data.write_text("1")

    def version(*files: Path) -> str:
        store.version.cache_clear()
        return store.version(files, ("optuna",))

    found = [version(module), version(module, data)]
    module.write_text("a = 2")
    found.append(version(module, data))
    data.write_text("2")
    found.append(version(module, data))
    assert len({*found}) == len(found)
    assert version(module, data) == found[-1] != store.version((module, data), ())


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ('"""What."""\na = 1\n', True),
        ('a  =  1  # one\n"""Why."""\n', True),
        ('a = """What."""\n', False),
        ("a = 1\nb = 2\n", False),
    ],
)
def test_what_a_module_says_of_itself_is_no_part_of_its_version(source: str, same: bool) -> None:
    assert (store.code(source) == store.code("a = 1")) == same
    function = "def f() -> None:\n"
    assert store.code(f'{function}    """What."""\n') == store.code(
        f"{function}    # why\n    pass"
    )


def test_what_a_simulated_search_runs_of_the_operator_is_a_part_of_our_contestants_alone() -> None:
    names = {path.name for path in contestants.OPERATOR}
    assert {"suggester.py", "gaussian_process.py", "decide.py", "rungs.py"} <= names
    assert not {"main.py", "page.py", "jobs.py"} & names
    for name, one in CONTESTANTS.items():
        assert ({*contestants.OPERATOR} <= {*one.files}) == name.startswith(OURS)


def test_those_whose_suggestions_take_seconds_search_with_fewer_seeds(tmp_path: Path) -> None:
    words = ["--problems", "graph", "--workers", "4", "--first-seed", "20", "--seeds", "9"]
    asked = search.asked([*words, "--slow-seeds", "3"])

    def seeds(known: Store) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for one in search.wanted(asked, known):
            found.setdefault(one.contestant, []).append(one.seed)
        return found

    empty, slow = Store(tmp_path / "s"), ("Optuna's GP", "qLogNEHVI")
    found = seeds(empty)
    assert {*found} == {*CONTESTANTS}
    for name, many in found.items():
        assert many == [*range(20, 23 if name in slow else 29)]
    (first,) = (s for s in search.wanted(asked, empty) if (s.contestant, s.seed) == (slow[0], 20))
    nothing = Score([], [], [], [], *[0] * 7)
    empty.add(replace(first, seed=27), nothing)  # by somebody who asked for more
    assert seeds(Store(tmp_path / "s")) == {**found, slow[0]: [20, 21, 22, 27]}


def test_a_second_run_goes_on_where_the_first_one_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    again = False

    def run(problem: Problem, *, workers: int, gpu_seconds: float, seed: int) -> History:
        if len(ran) == 2 and not again:
            raise KeyboardInterrupt
        ran.append(seed)
        return History()

    random = replace(CONTESTANTS["random"], run=run)
    monkeypatch.setitem(cast(dict[str, Contestant], CONTESTANTS), "random", random)
    words = ["--problems", "graph", "--contestants", "random", "--workers", "4", "--seeds", "4"]
    searches = search.wanted(search.asked(words), Store(tmp_path / "s"))
    assert [one.seed for one in searches] == [0, 1, 2, 3]
    with pytest.raises(KeyboardInterrupt):
        [*search.run(searches, 1, Store(tmp_path / "s"))]
    assert ran == [0, 1]
    again = True
    found = [*search.run(searches, 1, Store(tmp_path / "s"))]
    assert ran == [0, 1, 2, 3]
    assert [one for one, _ in found] == searches


def test_seeds_are_compared_in_pairs() -> None:
    one, other = seeds(0.5, 0.7, 0.9), {**seeds(0.4, 0.6, 0.7), 9: reaching(1.0)}
    found = comparison.difference(one, other, "true")
    assert found.mean == pytest.approx((0.1 + 0.1 + 0.2) / 3)
    assert found.error == pytest.approx(np.std([0.1, 0.1, 0.2], ddof=1) / 3**0.5)
    assert found.seeds == 3


@pytest.mark.parametrize(
    ("mean", "error", "count", "verdict"),
    [
        (0.31, 0.1, 5, ""),
        (-0.31, 0.1, 5, ""),
        (0.29, 0.1, 5, "not three errors apart"),
        (0.0, 0.0, 5, "not three errors apart"),
        (0.5, 0.01, 4, "fewer than 5 seeds"),
    ],
)
def test_a_difference_is_clear_from_three_errors_on(
    mean: float, error: float, count: int, verdict: str
) -> None:
    found = Difference(mean, error, count)
    assert (found.clear, found.verdict) == (not verdict, verdict)


def test_a_line_that_is_not_three_errors_apart_says_so() -> None:
    scores = {
        OURS: seeds(0.80, 0.82, 0.84, 0.81, 0.83),
        "TPE": seeds(0.79, 0.83, 0.82, 0.82, 0.81),
        "random": seeds(0.5, 0.52, 0.53, 0.51, 0.5),
    }
    head, unclear, clear = comparison.differences(scores).splitlines()
    assert head.startswith("Distillery against")
    assert unclear.startswith("TPE ")
    assert unclear.endswith("not three errors apart")
    assert clear.startswith("random ")
    assert "apart" not in clear


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (seeds(0.8, 0.8, after=0.3), 0.6),
        (seeds(0.6, 0.6, after=0.4), 0.8),
        (seeds(0.8, 0.4, after=0.25), 0.5),  # the mean is what has to get there
        (seeds(0.5, 0.5), None),
    ],
)
def test_gpu_time_is_that_to_the_others_final_volume(
    own: dict[int, Score], expected: float | None
) -> None:
    found = comparison.time_ratio(own, seeds(0.6, 0.6))
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_best_rival_is_no_part_of_ours() -> None:
    scores = {
        "random": seeds(0.5, 0.6), "TPE": seeds(0.7, 0.6), OURS: seeds(0.8, 0.9),
        f"{OURS}, plain": seeds(1.0, 1.0),
    }  # fmt: skip
    assert comparison.best_rival(scores) == "TPE"
    assert comparison.best_rival({OURS: seeds(0.8, 0.9)}) is None


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ([0.5, 0.6], "ahead"),
        ([0.9, 0.95], "behind"),
        ([0.5, 0.95], "not shown"),
        ([0.5, 0.8], "not shown"),
    ],
)
def test_a_ranking_counts_where_both_interpolators_agree(
    others: Sequence[float], verdict: str
) -> None:
    scores = [{OURS: seeds(*[0.8] * 5), "TPE": seeds(*[volume] * 5)} for volume in others]
    assert comparison.agreed(scores) == {"TPE": verdict}


def test_what_is_finished_can_be_shown_without_a_further_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--problems", "graph", "--contestants", "random", "TPE", "--workers", "4"]
    kept = Store(tmp_path / "s")
    done = [one for one in search.wanted(search.asked(words), kept) if one.seed < 7]
    for one in done:
        kept.add(one, reaching(0.5))
    shown = [*words, "--show", "--store", str(tmp_path / "s"), "--quick"]
    monkeypatch.setattr(sys, "argv", ["search.py", *shown, "--seeds", "20", "--trainings", "150"])
    search.main()
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["graph, 4 workers"]
    assert {n: c["seeds"] for n, c in told["contestants"].items()} == {"random": 7, "TPE": 7}


@pytest.mark.long
def test_the_command_compares_all_contestants_and_goes_on(tmp_path: Path) -> None:
    plot, kept = tmp_path / "search.png", tmp_path / "searches.jsonl"
    fast = [name for name in CONTESTANTS if name not in ("Optuna's GP", "qLogNEHVI")]
    command: list[str | Path] = [
        sys.executable, SEARCH, "--quick", "--plot", plot, "--store", kept, "--jobs", "2",
        "--trainings", "8", "--problems", "recorded-trees-8", "recorded-gp-8", "graph",
        "--contestants", *fast,
    ]  # fmt: skip
    outputs = []
    for _ in range(2):
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
        assert ran.returncode == 0, ran.stderr
        outputs.append(ran.stdout.splitlines())
    assert len(kept.read_text().splitlines()) == 3 * len(fast) * 2
    told, again = (json.loads(lines[-1]) for lines in outputs)
    del told["decide_and_suggest_seconds"], again["decide_and_suggest_seconds"]
    assert told == again
    for problem in ("recorded-trees-8", "recorded-gp-8", "graph"):
        figures = told[f"{problem}, 4 workers"]
        assert [*figures["contestants"]] == fast
        assert {*figures["against"]} == {*fast} - {OURS}
        for name in fast:
            assert figures["contestants"][name]["seeds"] == 2
            assert 0 <= figures["contestants"][name]["true"] <= 1
    assert {*told["agreed"]} == {"recorded, evaluations at 8%, 4 workers"}
    assert plot.read_bytes().startswith(b"\x89PNG")
