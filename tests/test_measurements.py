import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import start_http_server
from prometheus_client.openmetrics import exposition as openmetrics

import worlds
from distillery_contract import metrics
from distillery_contract.request import Stage
from distillery_operator import measurements
from distillery_operator.measurements import Measurements
from distillery_operator.trials import Attempt, Phase
from quick_trainer import Shown


def shown() -> Shown:
    made = Shown()
    made.set(metrics.STEPS, 200)
    made.set(metrics.STEP, 50)
    made.set(metrics.METRIC_STEP, 40)
    made.set(metrics.METRIC, 71.25, metric="exact")
    made.set(metrics.METRIC, 60.5, metric="HasAns_exact")
    made.set(metrics.LOSS, 0.5, part="total")
    for dimension, value in worlds.SOURCES["teacher"].dimensions().items():
        made.set(metrics.ARCHITECTURE, value, source="teacher", dimension=dimension)
    return made


def exposition() -> str:
    text: bytes = openmetrics.generate_latest(shown().registry)  # type: ignore[no-untyped-call]
    return text.decode()


def test_an_exposition_is_read_whole() -> None:
    report = measurements.parse(exposition(), "Scrape")
    assert report is not None
    assert report.metrics == {"exact": 71.25, "HasAns_exact": 60.5}
    assert (report.step, report.steps, report.metric_step, report.progress) == (50, 200, 40, 0.25)
    assert report.sources == worlds.SOURCES
    assert not report.final


@settings(deadline=None)
@given(st.data())
def test_a_truncated_exposition_is_no_report(data: st.DataObject) -> None:
    text = exposition()
    whole = measurements.parse(text, "x")
    cut = data.draw(st.integers(0, len(text) - 1))
    assert measurements.parse(text[:cut], "x") in (None, whole)  # only the last newline may go


def test_the_termination_message_counts_before_a_scrape() -> None:
    server, _ = start_http_server(0, addr="127.0.0.1", registry=shown().registry)
    url = f"http://127.0.0.1:{server.server_address[1]}/metrics"
    live = Attempt(Stage.TRAIN, 0, 1, Phase.RUNNING, metrics_url=url)
    left = Attempt(Stage.TRAIN, 0, 1, Phase.ENDED, termination_message=exposition())
    torn = Attempt(Stage.TRAIN, 0, 1, Phase.ENDED, termination_message=exposition()[:500])
    gone = Attempt(Stage.TRAIN, 0, 1, Phase.RUNNING, metrics_url="http://127.0.0.1:9/metrics")

    async def read() -> list[str | None]:
        reader = Measurements()
        found = [await reader.read(attempt) for attempt in (live, left, torn, gone)]
        await reader.close()
        return [report.source if report else None for report in found]

    assert asyncio.run(read()) == ["Scrape", "TerminationMessage", None, None]
    server.shutdown()
    server.server_close()
