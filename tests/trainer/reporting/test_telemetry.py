"""The registry, the server and the final exposition."""

import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser

from distillery_contract import metrics, size, wire
from distillery_trainer.reporting import telemetry
from distillery_trainer.reporting.server import Server
from support.operators import LOOPBACK

EVALUATION = {"exact": 61.25, "HasAns_exact": 50.5, "NoAns_exact": 72.0, "parameter_count": 1234567}


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in families
        for s in family.samples
    }


def test_an_empty_registry_exposes_nothing() -> None:
    assert telemetry.Telemetry().exposition() == "# EOF\n"
    assert list(telemetry.Telemetry().registry.collect()) == []


def test_a_family_appears_with_its_first_value_and_under_its_contract_name() -> None:
    told = telemetry.Telemetry()
    told.progress(3, 12)
    found = samples(told.exposition())
    assert found == {
        (metrics.STEP.name, ()): 3,
        (metrics.STEPS.name, ()): 12,
        (metrics.PROGRESS.name, ()): 0.25,
    }


def test_an_evaluation_replaces_the_one_before_as_a_whole() -> None:
    told = telemetry.Telemetry()
    told.evaluation({"exact": 1.0, "HasAns_exact": 2.0}, 10)
    told.evaluation({"exact": 3.0}, 20)
    assert samples(told.exposition()) == {
        (metrics.METRIC.name, (("metric", "exact"),)): 3,
        (metrics.METRIC_STEP.name, ()): 20,
    }


def test_a_metric_that_the_contract_does_not_name_is_refused() -> None:
    with pytest.raises(ValueError, match="accuracy"):
        telemetry.Telemetry().evaluation({"accuracy": 1.0}, 1)


def test_every_setter_lands_on_metrics_over_http(tmp_path: Path) -> None:
    told = telemetry.Telemetry()
    told.evaluation(EVALUATION, 40)
    told.teacher({"exact": 97.0})
    told.tested({"exact": 60.5}, {"exact": 96.0})
    told.progress(40, 80)
    told.losses({"total": 1.5, "hard": 2.0, "soft": 1.0})
    told.learning_rate(3e-5)
    told.seen(640, 33_000, 12.5)
    told.memory(device=2**30)
    told.checkpoint(40)
    told.training_seconds(12.25)
    told.questions("train", 10, 5)
    told.windows("train", 17)
    told.finding("train", "long_answers", 3)
    told.prepared("abc")
    told.architecture("teacher", size.Architecture(size.Family.DISTILBERT, 9, 8, 4, 16, 2, 2))
    told.trainer("0.1.0", "2.15.0", "5.23.0", "cpu")
    told.final()
    told.outcome(wire.Reason.COMPLETED, "done")
    server = Server(told, 0, str(tmp_path / "port"))
    try:
        assert int((tmp_path / "port").read_text()) == server.port
        for host in LOOPBACK:
            with urllib.request.urlopen(f"http://{host}:{server.port}/metrics") as answer:
                text = answer.read().decode()
    finally:
        server.close()
    exposed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    suffixes = {"counter": "_total", "info": "_info"}
    assert exposed == {f.name + suffixes.get(f.kind, "") for f in metrics.FAMILIES}
    assert 'distillery_trial_metric{metric="parameter_count"} 1.234567e+06' in text


def test_the_final_exposition_leaves_out_what_only_a_scrape_can_use() -> None:
    told = telemetry.Telemetry()
    told.learning_rate(1e-3)
    told.checkpoint(5)
    told.final()
    assert samples(told.exposition()) == {(metrics.FINAL.name, ()): 1}


@given(message=st.text(st.characters(codec="utf-8"), max_size=6000))
def test_any_message_is_cut_to_fit_and_the_values_stay_whole(message: str) -> None:
    told = telemetry.Telemetry()
    told.evaluation({**dict.fromkeys(metrics.EVALUATIONS, -1.2345678901234567e-300)}, 10**8)
    told.outcome(wire.Reason.CRASHED, message)
    text = told.exposition()
    assert len(text.encode()) <= wire.TERMINATION_MESSAGE_LIMIT
    assert text.endswith("# EOF\n")
    found = samples(text)
    assert len([name for name, _ in found if name == metrics.METRIC.name]) == len(
        metrics.EVALUATIONS
    )
    [labels] = [dict(labels) for name, labels in found if name == "distillery_trial_outcome_info"]
    assert labels["reason"] == "Crashed"
    assert labels["message"] == message or message.startswith(labels["message"].removesuffix("…"))


def test_a_scrape_has_no_label_that_a_careful_prometheus_refuses() -> None:
    told = telemetry.Telemetry()
    told.outcome(wire.Reason.CRASHED, "x" * 3000)
    (scraped,) = told.collect()
    (sample,) = scraped.samples
    assert sample.labels["message"] == "x" * 999 + "…"
    assert "x" * 3000 in told.exposition()


def test_values_that_exceed_the_limit_are_refused_and_never_cut() -> None:
    told = telemetry.Telemetry()
    told.evaluation(EVALUATION, 1)
    with pytest.raises(ValueError, match="must fit into 100 bytes"):
        told.exposition(100)


WIDEST = -1.2345678901234567e-300
"""No float is written with more characters."""

LEAST_MESSAGE = 256
"""Characters that a message may take even beside every metric at its widest."""


def introduce(told: telemetry.Telemetry) -> None:
    """Say the longest releases, and a device of a longer name than NVIDIA has given any."""
    told.trainer(
        "100.100.100.dev20261129+g0123456", "2.100.0.dev20261129+cu132", "5.100.0.dev0", "W" * 64
    )


def widest_train() -> telemetry.Telemetry:
    told = telemetry.Telemetry()
    told.teacher(dict.fromkeys(metrics.EVALUATIONS, WIDEST))
    told.evaluation(dict.fromkeys(metrics.EVALUATIONS, WIDEST), 10**9 - 1)
    told.progress(10**9 - 1, 10**9)
    told.losses(dict.fromkeys(metrics.Loss, WIDEST))
    told.seen(10**12, 10**15, WIDEST)
    told.memory(10**15 - 1)
    told.training_seconds(WIDEST)
    introduce(told)
    told.final()
    return told


def widest_prepare() -> telemetry.Telemetry:
    told = telemetry.Telemetry()
    told.teacher(dict.fromkeys(metrics.EVALUATIONS, WIDEST))
    told.memory(10**15 - 1)
    told.prepared("f" * 64)
    for split in ("train", "validation"):
        told.questions(split, 10**9, 10**9)
        told.windows(split, 10**9)
    for source in ("teacher", "student"):
        told.architecture(source, size.Architecture(size.Family.BERT, *[10**9] * 7))
    introduce(told)
    return told


def widest_test() -> telemetry.Telemetry:
    told = telemetry.Telemetry()
    told.tested(*[dict.fromkeys(metrics.EVALUATIONS, WIDEST)] * 2)
    told.memory(10**15 - 1)
    introduce(told)
    return told


WIDEST_OF_STAGES = (widest_train, widest_prepare, widest_test)


@pytest.mark.parametrize("widest", WIDEST_OF_STAGES)
def test_every_metric_of_a_stage_at_its_widest_leaves_room_for_a_message(
    widest: Callable[[], telemetry.Telemetry],
) -> None:
    told = widest()
    told.outcome(wire.Reason.OUT_OF_MEMORY, "")
    assert len(told.exposition().encode()) <= wire.TERMINATION_MESSAGE_LIMIT - LEAST_MESSAGE


def test_the_widest_expositions_have_every_family_that_is_final() -> None:
    """So that a new metric of the contract is sized before it cuts messages short."""
    filled = {family.name for widest in WIDEST_OF_STAGES for family in widest().registry.collect()}
    assert filled >= {f.name for f in metrics.FAMILIES if f.final} - {metrics.OUTCOME.name}


def test_the_termination_message_is_written_in_place(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    path.write_text("x" * 9000)
    inode = path.stat().st_ino
    told = telemetry.Telemetry(path)
    for step in (1, 1_000_000, 2):
        told.progress(step, 2_000_000)
        told.leave()
        assert path.read_text() == told.exposition()
    assert path.stat().st_ino == inode


@pytest.mark.parametrize("place", [".", "gone/message", "file/message"])
def test_a_message_that_cannot_be_written_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    (tmp_path / "file").touch()
    told = telemetry.Telemetry(tmp_path / place)
    told.final()
    told.leave()
    assert "could not be written" in caplog.text


def test_a_full_disk_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    telemetry.Telemetry("/dev/full").leave()
    assert "No space left" in caplog.text


def test_notes_are_logged_and_said_with_the_outcome(caplog: pytest.LogCaptureFixture) -> None:
    told = telemetry.Telemetry()
    told.note("one")
    told.note("two")
    told.outcome(wire.Reason.COMPLETED, "train is done")
    labels = ("message", "train is done; one; two"), ("reason", "Completed")
    assert samples(told.exposition()) == {("distillery_trial_outcome_info", labels): 1}
    assert caplog.messages == ["one", "two"]
