import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from distillery_operator.engine import conditions, status
from distillery_operator.report import correlations, page, payload, summary, units
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import ConditionType
from distillery_operator.search import expectation
from distillery_operator.search.importance import Importance
from distillery_operator.trials import hypervolume, pareto
from distillery_operator.trials.provenance import Provenance, Trainer
from distillery_operator.trials.trial import FinalTest, Point, State, Trial
from support import searches, worlds
from support.fixtures.servers import Chromium
from support.seeds import again

HOSTILE = """</script><script>window.broken = 1</script><img src=x onerror="window.broken = 2">\
'"&lt;b&gt;<b>bold</b> $\\alpha$ %{x} ${data} \u2028 \u202e ÄÖ 漢字 🙂"""

# ---------------------------------------------------------------- what the page is told


def test_the_page_is_told_every_trial_once_with_its_verdict() -> None:
    wanted, trials = searches.experiment(), searches.search(60)
    told = _payload(wanted, trials)
    assert [t["number"] for t in told["trials"]] == list(range(60))
    kinds = {t["number"]: t["kind"] for t in told["trials"]}
    front = {t.number for t in pareto.front(wanted.spec, trials)}
    assert {n for n, kind in kinds.items() if kind == "front"} == front == set(told["front"])
    assert set(kinds.values()) == {
        "front", "feasible", "infeasible", "collapsed", "stopped", "failed", "running",
    }  # fmt: skip


def test_a_cluster_is_told_with_what_only_it_has() -> None:
    local = searches.experiment()
    place = {"namespace": "team", "uid": "8f1c2f7e-0b5d-4a51-9c56-2d0d5a1f3b77"}
    wanted = local.model_copy(update={"metadata": local.metadata.model_copy(update=place)})
    trials = searches.search(12)
    here, there = _payload(local, trials), _payload(wanted, trials)
    assert (here["namespace"], there["namespace"]) == (None, "team")
    assert there["trials"][0]["export"] == (
        "distillery export --namespace team --experiment squad2-distilbert 0"
        " squad2-distilbert-trial-0"
    )
    assert "--namespace" not in here["trials"][0]["export"]
    assert there["trials"][0]["source"] == "Scrape"
    assert there["trials"][0]["ended"] - there["trials"][0]["started"] == 6000.0


def test_gpu_hours_are_part_of_the_effort() -> None:
    wanted, trials = searches.experiment(), searches.search(12)
    found = searches.observed(wanted, trials)
    for hours, said in ((0.0, False), (12.5, True)):
        used = found.model_copy(update={"gpu_hours": hours})
        tile = summary.tiles(wanted.spec, used, trials)[-1]
        assert ("12.5 GPU-hours" in tile.sentence) is said


def test_a_warm_start_is_said_first_among_the_findings() -> None:
    wanted = searches.experiment(warmStartFrom=[{"experiment": "src"}])
    trials = searches.search(12)
    seen = worlds.observation(tuple(trials))
    others = summary.findings(wanted.spec, worlds.status(wanted, seen, None), trials)
    warm = conditions.warm_started(wanted.spec, {"src": trials[:4]})
    found = summary.findings(wanted.spec, worlds.status(wanted, seen, None, warm), trials)
    assert found == [
        "This search was warm-started; these inform the sampler: 4 trials of src.", *others
    ]  # fmt: skip


MADE = Provenance(
    3, "0f0f", "abcdef0123456789", "registry.example/team/trainer:1@sha256:00",
    Trainer("1.0", "2.9", "5.0", "NVIDIA H200"),
)  # fmt: skip


def test_results_of_several_trainers_are_said_with_their_counts() -> None:
    wanted, trials = searches.experiment(), searches.search(12)
    results = [n for n, t in enumerate(trials) if t.state is State.COMPLETED]
    for number in results:
        trials[number] = replace(trials[number], provenance=MADE)
    status = searches.observed(wanted, trials)
    assert not any("trainer" in s for s in summary.findings(wanted.spec, status, trials))
    other = replace(MADE, trainer=Trainer("2.0", "2.9", "5.0"))
    trials[results[0]] = replace(trials[results[0]], provenance=other)
    (said,) = (s for s in summary.findings(wanted.spec, status, trials) if "trainer" in s)
    assert f"{len(results) - 1} results were made by trainer 1.0 (torch 2.9, trans" in said
    assert "1 result was made by trainer 2.0" in said


def test_each_trial_is_told_with_what_made_it() -> None:
    trials = searches.search(2)
    trials[1] = replace(trials[1], provenance=MADE)
    told = _payload(searches.experiment(), trials)["trials"]
    assert told[0]["provenance"] is None
    assert told[1]["provenance"]["trainer"] == asdict(MADE.trainer)
    assert told[1]["provenance"]["image"] == MADE.image


def test_what_was_found_in_the_data_is_among_the_findings() -> None:
    wanted, trials = searches.experiment(), searches.search(12)
    noted = replace(worlds.PREPARATION, notes="train: 4 of 90 are dropped")
    seen = worlds.observation(tuple(trials), preparation=noted)
    found = summary.findings(wanted.spec, worlds.status(wanted, seen), trials)
    assert "Of data and models: train: 4 of 90 are dropped." in found


def test_the_report_tells_what_was_optimised_from_what_no_decision_has_read() -> None:
    trials = searches.search(30, running=0)
    without = searches.experiment()
    (said,) = [f for f in _findings(without, trials) if "validation set" in f]
    assert "there is no test set (data.test, data.testShare)" in said
    assert "expect less of it on others" in said
    files = {"train": "t.json", "validation": "v.json", "test": "x.json"}
    wanted = searches.experiment(data=files)
    (said,) = [f for f in _findings(wanted, trials) if "validation set" in f]
    assert "Of the test set: " in said
    front = payload.payload(wanted, searches.observed(wanted, trials), trials, {})["front"]
    tested = [
        replace(t, test=FinalTest({"exact": 70.5}, {"exact": 71.0})) if t.number in front else t
        for t in trials
    ]
    (said,) = [f for f in _findings(wanted, tested) if "validation set" in f]
    assert "each model that was chosen was evaluated on it once" in said
    told = payload.payload(wanted, searches.observed(wanted, tested), tested, {})
    shown = {t["number"]: t["test"] for t in told["trials"] if t["test"]}
    assert shown == {number: {"exact": 70.5} for number in front}


def test_the_report_says_whose_values_it_has_and_what_other_seeds_came_to() -> None:
    trials = searches.search(60, running=0)
    assert not [f for f in _findings(searches.experiment(), trials) if "any seed" in f]
    own = payload.payload(
        searches.experiment(), searches.observed(searches.experiment(), trials), trials, {}
    )
    number = own["front"][0]
    trials[number] = again(trials[number], 61.5)
    checkpoint = searches.experiment(confirm={"report": "Checkpoint"})
    (said,) = [f for f in _findings(checkpoint, trials) if "the luck of its seed" in f]
    assert "Points whose place is in doubt are trained again once the search is over." in said
    told = _payload(checkpoint, trials)
    assert told["front"] == own["front"]
    (shown,) = told["trials"][number]["confirmations"]
    assert (shown["seed"], shown["metrics"]["exact"]) == (43, 61.5)
    assert (told["trials"][number]["seed"], told["trials"][number]["measured"]) == (42, {})
    expected = searches.experiment(confirm={})
    assert [f for f in _findings(expected, trials) if "any seed" in f]
    told = _payload(expected, trials)
    for place in told["front"]:
        one = told["trials"][place]
        assert one["measured"]["exact"] == pytest.approx(trials[place].metrics["exact"], rel=1e-5)
    assert own["expectations"]
    assert (told["expectations"], told["trials"][place]["expected"]) == ([], {}), "said already"


def _findings(wanted: Experiment, trials: Sequence[Trial]) -> list[str]:
    found: list[str] = payload.payload(wanted, searches.observed(wanted, trials), trials, {})[
        "findings"
    ]
    return found


@pytest.mark.parametrize(
    "kind",
    ["Accepted", "StorageReachable", "TemplateValid", "WarmStarted", "TrainerAccepted"],
)
def test_an_obstacle_goes_before_all_other_news(kind: str) -> None:
    wanted, trials = searches.experiment(), searches.search(12)
    before = searches.observed(wanted, trials)
    finding = conditions.Finding(ConditionType(kind), "False", "Why", "because")
    found = summary.state(status.obstructed(1, 12, before, finding, 0.0))
    assert (found.sentence, found.tone) == ("because", "bad")


def test_the_volume_after_all_trials_is_that_of_the_front() -> None:
    wanted, trials = searches.experiment(), searches.search(40)
    volumes = _payload(wanted, trials)["history"]["volumes"]
    assert volumes == sorted(volumes)
    reference = searches.observed(wanted, trials).hypervolume_reference
    corner = hypervolume.corner(wanted.spec, reference)
    whole = pareto.hypervolume(wanted.spec, trials, corner)
    assert volumes[-1] * 1e6 == pytest.approx(whole, rel=1e-5)


def test_numbers_that_json_cannot_hold_become_gaps() -> None:
    curve = (Point(1, {"exact": math.nan}, {"total": math.inf}), Point(2, {"exact": 3.0}, {}))
    trial = Trial(0, {}, State.INFEASIBLE, reason="Diverged", message="nan", curve=curve)
    told = _payload(searches.experiment(), [trial])
    assert told["trials"][0]["curve"]["metrics"]["exact"] == [None, 3.0]
    assert told["trials"][0]["curve"]["losses"]["total"] == [None, None]
    json.dumps(told, allow_nan=False)


def test_the_header_says_how_much_smaller_at_which_loss() -> None:
    teacher = {"exact": 74.0, "parameter_count": 100.0}
    student = {"exact": 72.5, "parameter_count": 60.0}
    said = summary.compare(student, teacher, "the teacher", "exact")
    assert said == "40.0 % smaller than the teacher at 1.50 points less exact"
    assert summary.compare(teacher, teacher, "it", "exact") == "as large as it at the same exact"
    assert (
        summary.compare({"exact": 75.0}, teacher, "it", "exact") == "1.00 points more exact than it"
    )
    assert summary.compare({}, teacher, "it", "exact") == ""


def test_a_smaller_trial_no_worse_than_the_best_baseline_is_named() -> None:
    wanted, trials = searches.experiment(), searches.search(60)
    tiles = summary.tiles(wanted.spec, searches.observed(wanted, trials), trials)
    tile = next(tile for tile in tiles if tile.title == "Smaller at no loss")
    found = next(trial for trial in trials if trial.number == tile.trial)
    assert found.metrics["exact"] >= trials[0].metrics["exact"]
    saved = 100 * (1 - found.metrics["parameter_count"] / trials[0].metrics["parameter_count"])
    assert tile.value == f"−{saved:.1f} %"


def test_values_are_shown_in_units_that_people_read() -> None:
    assert units.of("parameter_count").show(66_362_880) == "66.36 M"
    assert units.of("exact").show(70.554) == "70.55 %"
    assert units.of("inference_seconds").show(0.00321) == "3.21 ms"
    assert [units.duration(s) for s in (59, 600, 7200, 400_000)] == [
        "59 s", "10.0 min", "2.0 h", "4.6 days",
    ]  # fmt: skip


# Without and with ties; the values are those of scipy.stats.spearmanr 1.17.
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4, 5], [5, 6, 7, 8, 7], 0.8207826816681233),
        ([1, 2, 3, 4, 5], [9, 4, 2, 1, 0.5], -1.0),
        ([1, 1, 1, 1, 1], [1, 2, 3, 4, 5], None),
        ([1, 2, 3, 4], [1, 2, 3, 4], None),
    ],
)
def test_correlations_are_spearmans(
    first: list[float], second: list[float], expected: float | None
) -> None:
    found = correlations.spearman(first, second)
    assert found == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.integers(-5, 5), min_size=5, max_size=30), st.randoms())
def test_correlations_depend_on_order_only(values: list[int], dice: Any) -> None:
    other = dice.sample(range(1000), len(values))
    plain = correlations.spearman(values, other)
    bent = correlations.spearman([math.exp(v) for v in values], [3 * o - 7 for o in other])
    assert bent == (None if plain is None else pytest.approx(plain))
    assert plain is None or -1.0001 <= plain <= 1.0001


@given(st.text())
def test_no_text_leaves_the_data(text: str) -> None:
    embedded = page.embed({"text": text})
    assert not re.search("[<>&]", embedded)
    assert json.loads(embedded) == {"text": text}


class _Outline(HTMLParser):
    """Collects every address that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [given[k] or "" for k in ("src", "href") if k in given]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""


def test_the_page_needs_no_network_and_is_pure() -> None:
    wanted, trials = searches.experiment(), searches.search(20)
    text = _render(wanted, trials)
    assert text == _render(wanted, trials)
    outline = _Outline()
    outline.feed(text)
    assert outline.addresses == ["data:,", "#all"]
    assert "default-src 'none'" in outline.policy
    assert "'unsafe-inline'" not in outline.policy.split("style-src")[0]


# ---------------------------------------------------------------- what the browser shows


@pytest.fixture(scope="module")
def chrome(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def show(chrome: Chrome, tmp_path: Path) -> Iterator[Any]:
    """Open a report; at the end of the test its console must be free of errors."""

    def opened(
        wanted: Experiment, trials: list[Trial], shares: dict[str, Importance] | None = None
    ) -> Chrome:
        file = tmp_path / "report.html"
        file.write_text(_render(wanted, trials, shares), encoding="utf-8")
        chrome.get(file.as_uri())
        return chrome

    yield opened
    console = chrome.get_log("browser")  # type: ignore[no-untyped-call]  # selenium's gap
    assert [line for line in console if line["level"] == "SEVERE"] == []
    assert chrome.execute_script("return window.broken") is None


def test_the_header_tells_the_state_and_the_results(show: Any) -> None:
    driver = show(searches.experiment(), searches.search(60))
    assert driver.find_element(By.ID, "name").text == "squad2-distilbert"
    assert driver.find_element(By.ID, "state").text == "In progress"
    tiles = driver.find_element(By.ID, "tiles").text
    for heading in (
        "Best exact",
        "Smallest feasible model",
        "Smaller at no loss",
        "Knee",
        "Compute",
    ):
        assert heading in tiles
    assert "smaller than the teacher at" in tiles
    assert "collapsed" in driver.find_element(By.ID, "findings").text


def test_every_measured_trial_is_a_point_of_its_kind(show: Any) -> None:
    trials = searches.search(60)
    driver = show(searches.experiment(), trials)
    drawn = driver.execute_script(
        "return document.getElementById('tradeoff').data.filter((t) => t.customdata)"
        ".map((t) => [t.name, t.customdata])"
    )
    measured = {t.number for t in trials if "exact" in t.metrics and t.parameter_count}
    others = ("Selected", "Expected again")
    numbers = [n for name, found in drawn for n in found if name not in others]
    assert sorted(numbers) == sorted(measured)
    assert {name for name, _ in drawn} >= {"On the front", "Feasible", "Stopped early", "Collapsed"}


def test_a_click_on_a_point_shows_that_trials_training(show: Any) -> None:
    driver = show(searches.experiment(), searches.search(60))
    number = _click_point(driver, "tradeoff", "Feasible", 3)
    assert driver.find_element(By.ID, "trial-title").text.startswith(f"Trial {number}\n")
    trial = searches.suggest(number)
    curves = driver.execute_script(
        "return [...document.querySelectorAll('#trial .curve')].flatMap((n) => n.data)"
        ".map((t) => [t.name, t.x, t.y])"
    )
    named = {name: (steps, values) for name, steps, values in curves}
    steps, values = named["HasAns_exact"]
    assert steps == [point.step for point in trial.curve]
    assert values == pytest.approx([p.metrics["HasAns_exact"] for p in trial.curve], rel=1e-4)
    assert named["soft"][1] == pytest.approx([p.losses["soft"] for p in trial.curve], rel=1e-4)
    baseline = searches.suggest(0)
    expected = [p.metrics["exact"] for p in baseline.curve]
    assert named["exact of distilbert"][1] == pytest.approx(expected, rel=1e-4)
    assert driver.current_url.endswith(f"#trial-{number}")


def test_the_names_of_baselines_beside_each_other_do_not_cover_each_other(show: Any) -> None:
    named = {"four-layers-4-heads": (56, 40), "four-layers-5-heads": (83, 41)}
    named |= {"four-layers-8-heads": (84, 43), "five-layers": (90, 55), "all-layers": (94, 60)}
    trials = [
        worlds.completed(number, exact, size, baseline=name)
        for number, (name, (exact, size)) in enumerate(named.items())
    ]
    driver = show(worlds.experiment(), trials)
    boxes = driver.execute_script(
        "return [...document.querySelectorAll('#tradeoff .textpoint text')]"
        ".filter((text) => arguments[0].includes(text.textContent))"
        ".map((text) => text.getBoundingClientRect())"
        ".map(({ left, right, top, bottom }) => [left, right, top, bottom])",
        list(named),
    )
    assert len(boxes) == len(named)
    for (left, right, top, bottom), other in itertools.combinations(boxes, 2):
        assert right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top


def test_what_the_front_comes_to_again_stands_beside_what_was_measured(show: Any) -> None:
    wanted, trials = searches.experiment(), searches.search(60)
    front = pareto.front(wanted.spec, trials)
    (known,) = expectation.again(wanted.spec, trials, front)
    driver = show(wanted, trials)
    said = driver.find_element(By.ID, "again").text
    assert (
        f"by {known.trials} trials. On left-out trials this is wrong by {known.error:.2f}" in said
    )
    for trial in front:
        found = known.expected[trial.number]
        _row(driver, trial.number).click()
        panel = driver.find_element(By.ID, "trial").text
        assert f"trained again: {found.mean:.2f} ± {found.deviation:.2f} %\nteacher" in panel
    other = next(t for t in trials if t.state is State.STOPPED)
    _row(driver, other.number).click()
    assert "trained again" not in driver.find_element(By.ID, "trial").text


def test_no_bar_of_what_is_expected_goes_beyond_all_questions(show: Any) -> None:
    wanted, found = searches.experiment(), searches.search(30)
    better = [{k: v + 28 if k == "exact" else v for k, v in t.metrics.items()} for t in found]
    trials = [replace(t, metrics=end) for t, end in zip(found, better, strict=True)]
    (known,) = expectation.again(wanted.spec, trials, pareto.front(wanted.spec, trials))
    wide = [e for e in known.expected.values() if e.mean + e.deviation > 100 > e.mean]
    assert wide
    driver = show(wanted, trials)
    bars = driver.execute_script(
        "const bars = document.getElementById('tradeoff').data"
        ".find((t) => t.name === arguments[0]);"
        "const { array, arrayminus } = bars.error_y;"
        "return bars.y.map((middle, n) => [middle - arrayminus[n], middle + array[n]])",
        "Expected again",
    )
    assert len(bars) == len(known.expected)
    for (low, high), e in zip(bars, known.expected.values(), strict=True):
        assert low == pytest.approx(e.mean - e.deviation, rel=1e-4)
        assert high == pytest.approx(min(100, e.mean + e.deviation), rel=1e-4)


def test_a_row_opens_the_panel_over_the_table_until_it_is_closed(show: Any) -> None:
    driver = show(searches.experiment(), searches.search(60))
    opened = "return document.getElementById('trial').classList.contains('open')"
    assert not driver.execute_script(opened)
    _row(driver, 9).click()
    assert driver.execute_script(opened)
    box = driver.find_element(By.ID, "trial").rect
    assert box["height"] > 400
    driver.find_element(By.ID, "close").click()
    assert not driver.execute_script(opened)
    _row(driver, 5).click()
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert not driver.execute_script(opened)
    _row(driver, 5).click()
    _click_point(driver, "tradeoff", "Feasible", 3)  # beside its place it goes back there
    assert not driver.execute_script(opened)


def test_what_trials_do_not_tell_has_a_sentence_instead_of_bars(show: Any) -> None:
    known = searches.importances()
    doubtful = {**known, "exact": Importance(sentence="60 trials do not tell yet.")}
    driver = show(searches.experiment(), searches.search(60), doubtful)
    said = driver.find_element(By.ID, "importances-grounds").text
    assert said == "exact – 60 trials do not tell yet.\nsize – Of parameter_count."
    drawn = (
        "return document.getElementById('importances').data.map((t) => [t.name, t.error_x.visible])"
    )
    assert driver.execute_script(drawn) == [["size", False]]
    driver = show(searches.experiment(), searches.search(60), known)
    assert driver.execute_script(drawn) == [["exact", True], ["size", False]]


def test_the_panel_shows_what_made_a_trial(show: Any) -> None:
    trials = searches.search(12)
    trials[3] = replace(trials[3], provenance=MADE)
    driver = show(searches.experiment(), trials)
    _row(driver, 3).click()
    panel = driver.find_element(By.ID, "trial").text
    for words in (
        "trainer\n1.0\ntorch 2.9, transformers 5.0",
        "device\nNVIDIA H200",
        f"image\ntrainer:1\n{MADE.image}",
        "request\n0f0f\ngeneration 3 of the spec",
        "prepared data\nabcdef012345",
    ):
        assert words in panel
    _row(driver, 2).click()
    assert "transformers" not in driver.find_element(By.ID, "trial").text


def test_a_trial_without_curve_shows_why(show: Any) -> None:
    trials = searches.search(60)
    crashed = next(t for t in trials if t.state is State.FAILED)
    driver = show(searches.experiment(), trials)
    _row(driver, crashed.number).click()
    panel = driver.find_element(By.ID, "trial").text
    assert f"Crashed – {crashed.message}" in panel
    assert "No training curve was measured." in panel


def test_parameters_stand_beside_the_baselines_with_differences_marked(show: Any) -> None:
    trials = searches.search(30)
    trials[9] = replace(trials[9], parameters={**trials[0].parameters, "n_heads": 5})
    driver = show(searches.experiment(), trials)
    _row(driver, 9).click()
    marked = driver.find_elements(By.CSS_SELECTOR, "#trial tr.differs")
    assert [row.text for row in marked] == ["n_heads 5 ≠ 12"]


def test_the_export_command_of_a_kept_model_is_shown(show: Any) -> None:
    trials = searches.search(30)
    kept = next(t for t in trials if t.model)
    driver = show(searches.experiment(), trials)
    _row(driver, kept.number).click()
    command = driver.find_element(By.ID, "export").text
    assert command.startswith(f"distillery export --experiment squad2-distilbert {kept.number} ")
    assert str(kept.model) in driver.find_element(By.ID, "trial").text


def test_columns_sort_both_ways_with_gaps_last(show: Any) -> None:
    driver = show(searches.experiment(), searches.search(60))
    for direction in ("descending", "ascending"):
        _head(driver, "metric exact").find_element(By.TAG_NAME, "button").click()
        assert _head(driver, "metric exact").get_attribute("aria-sort") == direction
        shown = _column(driver, 3)
        numbers = [float(text) for text in shown if text != "–"]
        assert numbers == sorted(numbers, reverse=direction == "descending")
        assert set(shown[len(numbers) :]) == {"–"}


def test_a_stopped_trial_shows_its_curve_and_why_and_what_goes_on_from_it(show: Any) -> None:
    trials = searches.search(60)
    stopped = next(t for t in trials if t.state is State.STOPPED)
    further = replace(trials[-1], continues=stopped.number)
    driver = show(searches.experiment(), [*trials[:-1], further])
    _row(driver, stopped.number).click()
    panel = driver.find_element(By.ID, "trial").text
    assert "Stopped early" in panel
    assert "CannotImprove – exact of 55.1 ± 1.2 can be expected, but trial 3" in panel
    assert len(driver.find_elements(By.CSS_SELECTOR, "#trial .curve")) == 3
    _row(driver, further.number).click()
    assert (
        f"from the checkpoint of trial {stopped.number}" in driver.find_element(By.ID, "trial").text
    )


def test_filters_by_kind_and_text_combine(show: Any) -> None:
    trials = searches.search(60)
    driver = show(searches.experiment(), trials)
    driver.find_element(By.CSS_SELECTOR, "[data-kind=infeasible]").click()
    assert set(_column(driver, 2)) == {"Infeasible"}
    driver.find_element(By.ID, "search").send_keys("DIVERGED learning_rate")
    diverged = [str(t.number) for t in trials if t.reason == "Diverged"]
    assert _column(driver, 0) == diverged
    assert f"{len(diverged)} of 60 trials" in driver.find_element(By.ID, "shown").text
    driver.find_element(By.ID, "search").send_keys(" nowhere")
    assert _column(driver, 0) == []


def test_rows_are_chosen_by_keyboard(show: Any) -> None:
    driver = show(searches.experiment(), searches.search(20))
    driver.execute_script("document.querySelector('#table tbody tr').focus()")
    ActionChains(driver).send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER).perform()
    assert driver.find_element(By.ID, "trial-title").text.startswith("Trial 2\n")
    assert _row(driver, 2).get_attribute("aria-selected") == "true"


def test_a_brush_on_the_parallel_coordinates_filters_the_table(show: Any) -> None:
    trials = searches.search(60)
    driver = show(searches.experiment(), trials)
    card = driver.find_element(By.ID, "parallel-card")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
    axis = WebDriverWait(driver, 60).until(
        lambda d: d.find_element(By.CSS_SELECTOR, "#parallel .axis-brush")
    )
    mouse = ActionChains(driver).move_to_element_with_offset(axis, 0, -100).click_and_hold()
    mouse.move_by_offset(0, 30).move_by_offset(0, 40).release().perform()
    shown = driver.find_element(By.ID, "shown")
    WebDriverWait(driver, 60).until(lambda d: "within the brushes" in shown.text)
    brush = "return document.getElementById('parallel').data[0].dimensions[0].constraintrange"
    low, high = driver.execute_script(brush)
    within = [t for t in trials if low <= t.metrics.get("exact", -1.0) <= high]
    assert 0 < len(within) < 60
    assert _column(driver, 0) == [str(t.number) for t in within]


def test_where_a_parameter_was_not_searched_its_line_passes_below(show: Any) -> None:
    space: dict[str, dict[str, Any]] = {str(p["name"]): dict(p) for p in searches.PARAMETERS}
    weight, tied = space.pop("alpha_ce"), space.pop("learning_rate")
    tied["when"] = {"parameter": "alpha_ce", "minimum": 0.5}
    trials = searches.search(40)
    wanted = searches.experiment(parameters=[weight, tied, *space.values()])
    driver = show(wanted, trials)
    card = driver.find_element(By.ID, "parallel-card")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
    WebDriverWait(driver, 60).until(
        lambda d: d.find_element(By.CSS_SELECTOR, "#parallel .axis-brush")
    )
    axes = driver.execute_script("return document.getElementById('parallel').data[0].dimensions")
    (axis,) = [a for a in axes if a["label"] == "learning_rate"]
    drawn = [t for t in trials if "exact" in t.metrics]
    searched = [float(t.parameters["alpha_ce"]) >= 0.5 for t in drawn]
    below = axis["range"][0]
    assert [value > below for value in axis["values"]] == searched
    assert set(searched) == {True, False}
    assert (axis["tickvals"][0], axis["ticktext"][0]) == (below, "–")


def test_hostile_texts_stay_texts(show: Any) -> None:
    trials = searches.search(30)
    for number in (0, 5, 6):
        settings = {**trials[number].parameters, "initialization": HOSTILE}
        trials[number] = replace(trials[number], parameters=settings, message=HOSTILE)
    trials[0] = replace(trials[0], baseline=HOSTILE, model=HOSTILE)
    failed = {"state": State.FAILED, "reason": HOSTILE, "metrics": {}}
    trials[5] = replace(trials[5], **failed)  # type: ignore[arg-type]
    trials[6] = replace(trials[6], by_hand=HOSTILE)
    driver = show(searches.experiment(), trials)
    _row(driver, 6).click()
    assert f"suggested by hand: {HOSTILE[:9]}" in driver.find_element(By.ID, "trial-title").text
    _row(driver, 5).click()
    assert (
        HOSTILE.split(" \u2028")[0] in driver.find_element(By.CSS_SELECTOR, "#trial .reason").text
    )
    _row(driver, 0).click()
    panel = driver.find_element(By.ID, "trial")
    assert "<b>bold</b>" in panel.text
    assert panel.find_elements(By.CSS_SELECTOR, "script, img") == []
    label = driver.find_element(By.CSS_SELECTOR, "#tradeoff .textpoint text").text
    assert label == HOSTILE[:23] + "…"


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_any_number_of_objectives_is_drawn(show: Any, objectives: int) -> None:
    driver = show(searches.experiment(objectives), searches.search(40))
    heading = driver.find_element(By.ID, "tradeoff-title").text
    assert heading == ("exact over trials" if objectives == 1 else "exact against size")
    assert driver.find_element(By.ID, "history").is_displayed() is (objectives > 1)
    assert len(driver.find_elements(By.CSS_SELECTOR, "#axes select")) == (
        2 if objectives > 2 else 0
    )
    assert driver.find_elements(By.CSS_SELECTOR, "#tradeoff .scatterlayer .point")


def test_axes_of_three_objectives_can_be_chosen(show: Any) -> None:
    driver = show(searches.experiment(3), searches.search(40))
    option = "#axis-x option[value=inference_seconds]"
    driver.find_element(By.CSS_SELECTOR, option).click()
    assert driver.find_element(By.ID, "tradeoff-title").text == "exact against inference time"
    number = _click_point(driver, "tradeoff", "On the front", 0)
    assert driver.find_element(By.ID, "trial-title").text.startswith(f"Trial {number}\n")


def test_an_experiment_before_its_first_result_says_so(show: Any) -> None:
    driver = show(searches.experiment(), [], {})
    assert "Nothing has been measured yet." in driver.find_element(By.ID, "tradeoff").text
    assert "No trial yet" in driver.find_element(By.ID, "trial").text
    only = searches.search(1, running=1)
    driver = show(searches.experiment(), only, {})
    assert driver.find_element(By.ID, "trial-title").text.startswith("Trial 0\nRunning")


def test_an_experiment_without_baselines_or_unanswerable_questions_is_drawn(show: Any) -> None:
    hidden = {"HasAns_exact", "NoAns_exact"}
    trials = [
        replace(
            t,
            number=i,
            metrics={k: v for k, v in t.metrics.items() if k not in hidden},
            curve=tuple(Point(p.step, {"exact": p.metrics.get("exact", 0.0)}) for p in t.curve),
        )
        for i, t in enumerate(searches.search(30)[2:])
    ]
    data = {"name": "squad", "unanswerable": False}
    driver = show(searches.experiment(baselines=[], data=data), trials)
    assert not driver.find_element(By.ID, "answers-card").is_displayed()
    _click_point(driver, "tradeoff", "Feasible", 0)
    assert len(driver.find_elements(By.CSS_SELECTOR, "#trial .curve")) == 1


def test_thousands_of_trials_are_built_as_they_are_scrolled_to(show: Any) -> None:
    trials = [replace(searches.suggest(n % 40, evaluations=4), number=n) for n in range(2000)]
    driver = show(searches.experiment(maxTrials=2000), trials)
    assert len(_rows(driver)) == 100
    driver.execute_script("document.querySelector('.rows').scrollTop = 1e9")
    WebDriverWait(driver, 60).until(lambda d: len(_rows(d)) == 200)
    driver.find_element(By.ID, "search").send_keys("#1999")
    assert _column(driver, 0) == ["1999"]


def test_both_colour_schemes_and_a_phone_are_served(show: Any) -> None:
    driver = show(searches.experiment(), searches.search(30))
    inks = set()
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        WebDriverWait(driver, 60).until(
            lambda d: d.execute_script(
                "return document.getElementById('tradeoff').layout.font.color"
                " === getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
            )
        )
        inks.add(driver.execute_script("return getComputedStyle(document.body).color"))
    assert len(inks) == 2
    phone = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    driver.refresh()
    width = driver.execute_script("return document.documentElement.scrollWidth")
    reasons = driver.execute_script(
        "return [...document.querySelectorAll('#table td.message')]"
        ".map((cell) => cell.getBoundingClientRect()).map(({ left, right }) => [left, right])"
    )
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width == 400
    assert len(reasons) == 30
    assert all(0 < left < right < 400 for left, right in reasons)


# ---------------------------------------------------------------- shorthands


def test_what_a_person_suggested_is_named_so() -> None:
    trials = searches.search(30)
    trials[4] = replace(trials[4], by_hand="a-hunch")
    told = _payload(searches.experiment(), trials)["trials"]
    assert [t["number"] for t in told if t["byHand"] is not None] == [4]


def _payload(wanted: Experiment, trials: list[Trial]) -> dict[str, Any]:
    status = searches.observed(wanted, trials)
    return payload.payload(wanted, status, trials, searches.importances())


def _render(
    wanted: Experiment, trials: list[Trial], shares: dict[str, Importance] | None = None
) -> str:
    shares = searches.importances(len(wanted.spec.objectives)) if shares is None else shares
    return page.render(wanted, searches.observed(wanted, trials), trials, shares)


def _click_point(driver: Chrome, figure: str, trace: str, index: int) -> int:
    """Move the mouse to a drawn point, click, and return the trial that Plotly drew there."""
    box = driver.find_element(By.ID, figure)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", box)
    place = (
        "const node = arguments[0], trace = node._fullData.find((t) => t.name === arguments[1]);"
        "const [x, y] = [node._fullLayout.xaxis, node._fullLayout.yaxis], i = arguments[2];"
        "const box = node.getBoundingClientRect();"
        "return [box.left + x._offset + x.d2p(trace.x[i]), box.top + y._offset + y.d2p(trace.y[i]),"
        " trace.customdata[i]]"
    )
    left, top, number = driver.execute_script(place, box, trace, index)
    mouse = ActionChains(driver)
    pointer: Any = mouse.w3c_actions.pointer_action
    pointer.move_to_location(int(left), int(top))
    pointer.pause(0.2)  # the figure notices the mouse before the click
    pointer.click()
    mouse.perform()
    WebDriverWait(driver, 60).until(
        lambda d: (
            d.find_element(By.ID, "trial-title").text.startswith(f"Trial {number}\n")
            or d.find_element(By.ID, "trial-title").text.startswith(f"Trial {number} ")
        )
    )
    return int(number)


def _rows(driver: Chrome) -> list[WebElement]:
    return driver.find_elements(By.CSS_SELECTOR, "#table tbody tr")


def _row(driver: Chrome, number: int) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, f"#table tr[data-trial='{number}']")


def _head(driver: Chrome, key: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, f"#table th[data-key='{key}']")


def _column(driver: Chrome, index: int) -> list[str]:
    script = "return arguments[0].map((row) => row.cells[arguments[1]].textContent)"
    return list(driver.execute_script(script, _rows(driver), index))
