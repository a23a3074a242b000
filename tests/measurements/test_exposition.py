import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_contract import metrics, wire
from distillery_operator.measurements import exposition
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.provenance import Trainer
from distillery_trainer.reporting import telemetry
from support import worlds
from support.expositions import shown, text

TEXT = text(shown())


def test_an_exposition_is_read_whole() -> None:
    report = exposition.parse(TEXT, "Scrape")
    assert report is not None
    assert report.metrics == {"exact": 71.25, "HasAns_exact": 60.5}
    assert (report.step, report.steps, report.metric_step, report.progress) == (50, 200, 40, 0.25)
    assert report.sources == worlds.SOURCES
    assert not report.final


def test_all_that_a_trainer_tells_is_read() -> None:
    told = telemetry.Telemetry()
    told.evaluation({"exact": 61.25, "parameter_count": 7.0}, 40)
    told.teacher({"exact": 97.0})
    told.progress(40, 80)
    told.losses({"total": 1.5, "hard": 2.0})
    told.seen(640, 33_000, 12.5)
    told.prepared("abc")
    told.windows("train", 2400)
    told.trainer("0.1.0", "2.15.0", "5.23.0", "NVIDIA H200")
    told.architecture("teacher", worlds.SOURCES["teacher"])
    told.final()
    told.outcome(wire.Reason.COMPLETED, 'a "sentence"\n')
    report = exposition.parse(told.exposition(), "TerminationMessage")
    assert report == Report(
        "TerminationMessage",
        final=True,
        reason="Completed",
        message='a "sentence"\n',
        step=40,
        steps=80,
        metric_step=40,
        metrics={"exact": 61.25, "parameter_count": 7.0},
        losses={"total": 1.5, "hard": 2.0},
        teacher={"exact": 97.0},
        sources=worlds.SOURCES,
        key="abc",
        windows={"train": 2400.0},
        trainer=Trainer("0.1.0", "2.15.0", "5.23.0", "NVIDIA H200"),
    )


def test_a_message_of_a_process_that_was_killed_has_no_outcome() -> None:
    report = exposition.parse(TEXT, "TerminationMessage")
    assert report is not None
    assert (report.final, report.reason, report.message) == (False, "", "")


@settings(deadline=None)
@given(st.data())
def test_a_truncated_exposition_is_no_report(data: st.DataObject) -> None:
    whole = exposition.parse(TEXT, "x")
    cut = data.draw(st.integers(0, len(TEXT) - 1))
    assert exposition.parse(TEXT[:cut], "x") in (None, whole)  # only the last newline may go


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_damage_to_an_exposition_is_more_than_no_report(data: st.DataObject) -> None:
    """Whatever a strange trainer serves, reading it raises nothing."""
    damaged = TEXT
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(damaged)))
        end = data.draw(st.integers(start, min(len(damaged), start + 40)))
        piece = data.draw(
            st.sampled_from(
                ["", '{metric="', "NaN", "+Inf", "1e999", "-1", "0", "\n", "info", "# "]
            )
            | st.text(max_size=5)
            | st.sampled_from(TEXT.splitlines(keepends=True))
        )
        damaged = damaged[:start] + piece + damaged[end:]
    report = exposition.parse(damaged, "x")
    assert report is None or report.metrics.keys() <= metrics.EVALUATIONS.keys()


def test_a_number_that_is_none_is_kept_for_decide_to_refuse() -> None:
    made = shown()
    made.set(metrics.METRIC, math.nan, metric="exact")
    made.set(metrics.STEP, math.inf)
    report = exposition.parse(text(made), "x")
    assert report is not None
    assert math.isnan(report.metrics["exact"])
    assert report.step is None


def test_a_metric_that_the_contract_does_not_name_is_left_out() -> None:
    made = shown()
    made.set(metrics.METRIC, 99.0, metric="accuracy")
    made.set(metrics.TEACHER_METRIC, 99.0, metric="accuracy")
    expected = exposition.parse(TEXT, "x")
    assert exposition.parse(text(made), "x") == expected


@pytest.mark.parametrize(
    ("dimension", "value"),
    [("n_heads", 0), ("vocab_size", -5), ("family", 3), ("n_layers", math.nan),
     ("n_layers", math.inf), ("depth", 7)],
)  # fmt: skip
def test_dimensions_of_no_model_are_left_out(dimension: str, value: float) -> None:
    made = shown()
    made.set(metrics.ARCHITECTURE, value, source="teacher", dimension=dimension)
    expected = exposition.parse(TEXT, "x")
    assert expected is not None
    assert exposition.parse(text(made), "x") == replace(expected, sources={})


def test_a_family_of_another_type_is_another_metric() -> None:
    lines = "# TYPE distillery_trial_metric info\ndistillery_trial_metric_info 1\n# EOF\n"
    report = exposition.parse(lines, "x")
    assert report is not None
    assert report.metrics == {}
