"""Real trainers, sockets that misbehave, and a real Prometheus, read as the operator reads them."""

import asyncio
import gzip
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import start_http_server

from distillery_contract import metrics, request, wire
from distillery_contract.request import Request, Stage
from distillery_contract.wire import Exit
from distillery_operator.measurements import client, exposition, scraping
from distillery_operator.measurements.reports import Measurements
from distillery_operator.measurements.scraping import Scraper
from distillery_operator.trials.attempt import Attempt, Phase, Report, Standing
from distillery_trainer.reporting.telemetry import Telemetry
from support import quick_trainer, worlds
from support.expositions import shown, text
from support.prometheus import Prometheus
from support.quick_trainer import Shown

QUICK_TRAINER = Path(quick_trainer.__file__)

Answer = Callable[[socket.socket], None]


def live(url: str | None, number: int = 1) -> Attempt:
    return Attempt(Stage.TRAIN, 0, number, Phase.RUNNING, pod="pod", metrics_url=url)


def ended(number: int = 1, **seen: Any) -> Attempt:
    given = {"exit_code": 0, "started": 1.0, "ended": 2.0, **seen}
    return Attempt(Stage.TRAIN, 0, number, Phase.ENDED, **given)


def final() -> Shown:
    made = shown()
    made.set(metrics.FINAL, 1)
    return made


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.05)


async def soon(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(until, condition)


class Endpoint(socketserver.ThreadingTCPServer):
    """A server on a socket that answers as a test says, and counts who asks."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.ended = answer, threading.Event()
        self.asked, self.busy, self.busiest = 0, 0, 0
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """Leave those in peace who hang up."""


class _Handler(socketserver.BaseRequestHandler):
    server: Endpoint

    def handle(self) -> None:
        while b"\r\n\r\n" not in self.request.recv(65536):
            pass
        with self.server.lock:
            self.server.asked += 1
            self.server.busy += 1
            self.server.busiest = max(self.server.busiest, self.server.busy)
        try:
            self.server.answer(self.request)
        finally:
            with self.server.lock:
                self.server.busy -= 1


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Endpoint]]:
    """Starts endpoints that end with the test."""
    started: list[Endpoint] = []

    def start(answer: Answer) -> Endpoint:
        started.append(Endpoint(answer))
        return started[-1]

    yield start
    for endpoint in started:
        endpoint.ended.set()
        endpoint.shutdown()
        endpoint.server_close()


Serve = Callable[[Answer], Endpoint]


def page(body: str | bytes, status: str = "200 OK", *headers: str) -> Answer:
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + content)


def late(seconds: float, body: str) -> Answer:
    def answer(connection: socket.socket) -> None:
        time.sleep(seconds)
        page(body)(connection)

    return answer


def silence(connection: socket.socket) -> None:
    """Answer nothing until the other side hangs up, and give up on that after a minute."""
    connection.settimeout(60)
    assert connection.recv(1) == b""


@dataclass
class Told:
    """What the callbacks were told."""

    wakes: int = 0
    failures: int = 0

    def wake(self) -> None:
        self.wakes += 1

    def fail(self) -> None:
        self.failures += 1


@asynccontextmanager
async def measuring(
    told: Told, interval: float = 60.0, prometheus: str = "", namespace: str = "ns"
) -> AsyncIterator[Measurements]:
    scraper = Scraper(prometheus, told.fail)
    made = Measurements(scraper, namespace, interval, told.wake)
    try:
        yield made
    finally:
        await made.close()
        await scraper.close()


async def one(reader: Measurements, attempt: Attempt) -> Report | None:
    (report,) = await reader.read([attempt])
    return report


def once(
    attempt: Attempt, prometheus: str = "", told: Told | None = None, namespace: str = "ns"
) -> Report | None:
    """Read an attempt by measurements that know nothing yet, as after a restart."""

    async def read() -> Report | None:
        async with measuring(told or Told(), 0.0, prometheus, namespace) as reader:
            return await one(reader, attempt)

    return asyncio.run(read())


# Trainers.


@dataclass
class Training:
    """A process of the quick trainer."""

    process: subprocess.Popen[bytes]
    folder: Path
    started: float = field(default_factory=time.time)

    @property
    def port(self) -> str:
        until((self.folder / "port").exists)
        until((self.folder / "port").read_text)
        return (self.folder / "port").read_text()

    @property
    def message(self) -> str:
        path = self.folder / "message"
        return path.read_text() if path.exists() else ""

    def attempt(self, number: int = 1) -> Attempt:
        if self.process.poll() is None:
            return live(f"http://127.0.0.1:{self.port}/metrics", number)
        code = self.process.returncode
        return ended(number, exit_code=code, termination_message=self.message)


Train = Callable[..., Training]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Train]:
    """Starts quick trainers, and ends those that are left."""
    started: list[Training] = []

    def start(stage: Stage = Stage.TRAIN, step: float = 0.01, linger: float = 0.0) -> Training:
        folder = tmp_path_factory.mktemp("training")
        (folder / "train.json").touch()
        data, teacher = request.Data(train="train.json"), request.Teacher("teacher")
        order = Request("test", stage, data, teacher, request.Student(), "cache", "trial")
        own = {
            wire.REQUEST: order.to_json(),
            wire.METRICS_PORT: "0",
            wire.METRICS_PORT_FILE: str(folder / "port"),
            wire.TERMINATION_MESSAGE: str(folder / "message"),
            "QUICK_TRAINER_STEP_SECONDS": str(step),
            "QUICK_TRAINER_LINGER_SECONDS": str(linger),
        }
        command = [sys.executable, str(QUICK_TRAINER)]
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **own})
        started.append(Training(process, folder))
        return started[-1]

    yield start
    for training in started:
        training.process.kill()
        training.process.wait()


def test_a_training_is_followed_from_its_start_to_its_result(train: Train) -> None:
    training, told, seen = train(step=0.1), Told(), list[Report]()

    async def follow() -> None:
        async with measuring(told, 0.2) as reader:
            while training.process.poll() is None:
                if report := await one(reader, training.attempt()):
                    seen.append(report)
                await asyncio.sleep(0.05)
            last = await one(reader, training.attempt())
            assert last is not None
            seen.append(last)

    asyncio.run(follow())
    *running, last = seen
    assert {report.source for report in running} == {"Scrape"}
    steps = [report.metric_step or 0 for report in running]
    assert steps == sorted(steps)
    assert len(set(steps)) > 2
    assert (last.source, last.final, last.metric_step) == ("TerminationMessage", True, 20)
    assert 1 < told.wakes <= len(set(steps)) + 1


def test_without_an_interval_every_reading_scrapes(train: Train) -> None:
    training = train(step=0.5)

    def step() -> int:
        report = once(training.attempt())
        assert report is None or report.source == "Scrape"
        return report.step or 0 if report else 0

    first = step()
    until(lambda: step() > first)
    second = step()
    until(lambda: step() > second)


def test_what_a_killed_training_left_is_what_it_reached_and_no_result(train: Train) -> None:
    training = train(step=0.2)
    until(lambda: "distillery_trial_metric{" in training.message)
    training.process.kill()
    training.process.wait()
    report = once(training.attempt())
    assert report is not None
    assert (report.source, report.final, report.reason) == ("TerminationMessage", False, "")
    assert report.metrics["exact"] > 0


# Order of the transports.


def test_the_termination_message_counts_before_a_scrape() -> None:
    server, _ = start_http_server(0, addr="127.0.0.1", registry=shown().registry)
    url = f"http://127.0.0.1:{server.server_address[1]}/metrics"
    left = ended(2, termination_message=text(shown()))
    torn = ended(3, termination_message=text(shown())[:500])

    async def read() -> list[str | None]:
        reader = Measurements()
        attempts = (live(url), left, torn, live("http://127.0.0.1:9/metrics", 4))
        found = await reader.read(attempts)
        await reader.close()
        return [report.source if report else None for report in found]

    assert asyncio.run(read()) == ["Scrape", "TerminationMessage", None, None]
    server.shutdown()
    server.server_close()


def sources(serve: Serve, scraped: Shown, *after: Attempt) -> list[tuple[str, bool] | None]:
    """Scrape an attempt once, then return what is read of it as things go on."""
    endpoint = serve(page(text(scraped)))

    async def read() -> list[tuple[str, bool] | None]:
        told = Told()
        async with measuring(told) as reader:
            assert await one(reader, live(endpoint.url)) is None
            await soon(lambda: told.wakes)
            steps = (live(endpoint.url), *after)
            found = [await one(reader, step) for step in steps]
            return [(report.source, report.final) if report else None for report in found]

    return asyncio.run(read())


def test_a_last_scrape_is_the_result_where_the_message_is_torn(serve: Serve) -> None:
    torn = text(final())[:500]
    found = sources(serve, final(), ended(), ended(termination_message=torn))
    assert found == [("Scrape", True)] * 3


def test_what_was_reached_is_told_where_nothing_is_a_result(serve: Serve) -> None:
    crashed, lost = ended(exit_code=1), ended(exit_code=None)
    assert sources(serve, shown(), ended(), crashed, lost) == [("Scrape", False)] * 4


def test_the_further_of_two_unfinished_reports_counts(serve: Serve) -> None:
    behind, ahead = shown(), shown()
    behind.set(metrics.METRIC_STEP, 30)
    ahead.set(metrics.METRIC_STEP, 50)
    left = [ended(exit_code=137, termination_message=text(m)) for m in (behind, ahead)]
    found = sources(serve, shown(), *left)
    assert found == [("Scrape", False), ("Scrape", False), ("TerminationMessage", False)]


def test_a_message_counts_on_when_its_pod_is_gone(serve: Serve) -> None:
    found = sources(serve, shown(), ended(termination_message=text(final())), ended())
    assert found == [("Scrape", False)] + [("TerminationMessage", True)] * 2


def test_a_message_with_an_outcome_counts_before_a_later_scrape(serve: Serve) -> None:
    diverged = Shown()
    diverged.registry.register(_Outcome())
    found = sources(serve, shown(), ended(exit_code=67, termination_message=text(diverged)))
    assert found[1] == ("TerminationMessage", False)


class _Outcome:
    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import InfoMetricFamily

        value = {"reason": "Diverged", "message": "the loss is NaN"}
        yield InfoMetricFamily(metrics.OUTCOME.name, metrics.OUTCOME.help, value)


# Scrapes in the background.


def test_reading_waits_for_nobody_and_asks_no_second_time_meanwhile(serve: Serve) -> None:
    endpoint = serve(silence)

    async def read() -> None:
        told = Told()
        async with measuring(told, 1e-6) as reader:
            for _ in range(20):
                assert await one(reader, live(endpoint.url)) is None
            await soon(lambda: endpoint.asked)
            for _ in range(20):
                assert await one(reader, live(endpoint.url)) is None
            assert (endpoint.asked, endpoint.busy) == (1, 1)  # the first is still being asked
            assert told.wakes == 0

    asyncio.run(read())


def test_an_attempt_is_scraped_once_in_an_interval(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is set forward: beside such an interval nothing counts that the machine takes."""
    endpoint, interval = serve(page(text(shown()))), 1e6

    async def read() -> list[int]:
        loop, asked = asyncio.get_running_loop(), []
        clock = loop.time
        async with measuring(Told(), interval) as reader:
            for intervals in (0.0, 0.9, 1.1, 1.9, 2.2):
                passed = intervals * interval
                monkeypatch.setattr(loop, "time", lambda passed=passed: clock() + passed)
                for _ in range(20):
                    await one(reader, live(endpoint.url))
                    await background()
                asked.append(endpoint.asked)
        monkeypatch.undo()
        return asked

    assert asyncio.run(read()) == [1, 1, 2, 2, 3]


async def background() -> None:
    """Wait for what runs in the background."""
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


def test_only_what_decisions_rest_on_wakes(serve: Serve) -> None:
    made, told = shown(), Told()
    endpoint = serve(page(text(made)))

    async def woken(reader: Measurements, step: int) -> int:
        """Have the next step scraped; return how often that woke."""
        before, deadline = told.wakes, time.monotonic() + 60
        made.set(metrics.STEP, step)
        endpoint.answer = page(text(made))
        while (report := await one(reader, live(endpoint.url))) is None or report.step != step:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        return told.wakes - before

    async def follow() -> list[int]:
        async with measuring(told, 0.1) as reader:
            wakes = [await woken(reader, step) for step in (50, 51, 52)]
            made.set(metrics.METRIC_STEP, 50)
            wakes.append(await woken(reader, 53))
            made.set(metrics.FINAL, 1)
            return [*wakes, await woken(reader, 54)]

    assert asyncio.run(follow()) == [1, 0, 0, 1, 1]


def test_a_training_stands_still_since_its_step_was_seen_to_change(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    made = shown()
    endpoint = serve(page(text(made)))

    async def follow() -> list[Standing | None]:
        reader, attempt = Measurements(), live(endpoint.url)
        found = [reader.standing(attempt)]
        for at, step in ((1000, 5), (1010, 5), (1020, 6), (1030, 6), (1035, 7)):
            clock[0] = at
            made.set(metrics.STEP, step)
            endpoint.answer = page(text(made))
            await one(reader, attempt)
            found.append(reader.standing(attempt))
        endpoint.answer = silence
        clock[0] = 1040
        await one(reader, attempt)
        found.append(reader.standing(attempt))
        await one(reader, live(endpoint.url, 2))
        found.append(reader.standing(live(endpoint.url, 2)))
        await reader.close()
        return found

    assert asyncio.run(follow()) == [
        None,
        *[Standing(1000)] * 2,
        *[Standing(1020, steady=True)] * 2,  # what came before was its start
        *[Standing(1035, 15, steady=True)] * 2,
        Standing(1040),
    ]


def test_a_bounded_number_of_scrapes_runs_for_all_experiments(serve: Serve) -> None:
    endpoint = serve(late(0.3, text(final())))

    async def read() -> None:
        scraper = Scraper()
        readers = [Measurements(scraper, "ns", 60.0) for _ in range(4)]
        for reader in readers:
            for number in range(30):
                assert await one(reader, live(endpoint.url, number)) is None
        await soon(lambda: endpoint.asked == 120 and not endpoint.busy)
        for reader in readers:
            await reader.close()
        await scraper.close()

    asyncio.run(read())
    assert endpoint.busiest == scraping.SCRAPES


def test_a_scrape_under_way_is_waited_for_before_an_ending_has_no_result(serve: Serve) -> None:
    endpoint = serve(late(0.5, text(final())))

    async def read() -> list[Report | None]:
        async with measuring(Told()) as reader:
            first = await one(reader, live(endpoint.url))
            await soon(lambda: endpoint.asked)
            return [first, await one(reader, ended(exit_code=1)), await one(reader, ended())]

    first, crashed, well = asyncio.run(read())
    assert first is crashed is None
    assert well is not None
    assert (well.source, well.final) == ("Scrape", True)


def test_an_attempt_of_a_number_that_comes_again_is_read_anew(serve: Serve) -> None:
    """The Job of the first was deleted, and the second one is called like it."""
    endpoint = serve(page(text(shown())))
    left = Shown()
    left.registry.register(_Outcome())

    async def read() -> list[Report | None]:
        async with measuring(Told(), 0.0) as reader:
            message = text(left)
            first = ended(exit_code=67, termination_message=message, identity="first")
            second = replace(live(endpoint.url), identity="second")
            return [await one(reader, each) for each in (first, second)]

    first, second = asyncio.run(read())
    assert first is not None
    assert first.reason == "Diverged"
    assert second is not None
    assert (second.source, second.reason, second.metric_step) == ("Scrape", "", 40)
    assert endpoint.asked == 1


def test_a_forgotten_attempt_leaves_nothing(serve: Serve) -> None:
    endpoint = serve(page(text(final())))

    async def read() -> list[Report | None]:
        told = Told()
        async with measuring(told) as reader:
            await one(reader, live(endpoint.url))
            await soon(lambda: told.wakes)
            known = await one(reader, ended())
            reader.drop(ended())
            reader.drop(ended())
            endpoint.answer = silence
            await one(reader, live(endpoint.url, 2))
            reader.drop(live(endpoint.url, 2))
            return [known, await one(reader, ended()), await one(reader, ended(2))]

    known, *forgotten = asyncio.run(read())
    assert known is not None
    assert forgotten == [None, None]


# Strange trainers.


def test_a_huge_answer_is_not_read_to_its_end(serve: Serve) -> None:
    sent = []

    def endless(connection: socket.socket) -> None:
        page(b"")(connection)
        for _ in range(2000):
            connection.sendall(b"# " + b"x" * 65534)
            sent.append(65536)

    endpoint = serve(endless)
    assert once(live(endpoint.url)) is None
    assert sum(sent) < 20 * client.LIMIT  # what the sockets' buffers took


def test_an_exposition_at_the_limit_is_read(serve: Serve) -> None:
    padding = "# HELP a " + "x" * (client.LIMIT - 20_000) + "\n"
    report = once(live(serve(page(padding + text(final()))).url))
    assert report is not None
    assert report.final


def test_a_slow_answer_ends_with_the_time_out(serve: Serve) -> None:
    whole, sent = text(final()).encode(), bytearray()

    def drip(connection: socket.socket) -> None:
        page(b"")(connection)
        for character in whole:
            connection.sendall(bytes([character]))
            sent.append(character)
            time.sleep(0.1)

    assert once(live(serve(drip).url)) is None
    assert 0 < len(sent) < len(whole)


@pytest.mark.parametrize(
    "answer",
    [
        page(text(final()), "500 Internal Server Error"),
        page(text(final())[:-6]),
        page(text(final()), "200 OK", f"Content-Length: {len(text(final())) + 1}"),
        page(gzip.compress(text(final()).encode()), "200 OK", "Content-Encoding: gzip"),
        page(b"\xff\xfe# EOF\n"),
        page("", "204 No Content"),
        page(text(final()), "999999 What"),
        lambda connection: connection.sendall(b"\x00" * 100),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000),
        lambda connection: None,
    ],
)
def test_an_answer_that_is_no_exposition_is_no_report(serve: Serve, answer: Answer) -> None:
    assert once(live(serve(answer).url)) is None


def test_a_trainer_sends_the_operator_nowhere(serve: Serve) -> None:
    elsewhere = serve(page(text(final())))
    endpoint = serve(page("", "302 Found", f"Location: {elsewhere.url}"))
    assert once(live(endpoint.url)) is None
    assert (endpoint.asked, elsewhere.asked) == (1, 0)


# A Prometheus server.

SCRAPE_CONFIG = """
global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
- job_name: trials
  file_sd_configs: [{files: [targets.json]}]
  relabel_configs:
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
"""


@dataclass(frozen=True)
class Scraped:
    """A server that has scraped pods that are gone; when they lived, and what they left."""

    server: Prometheus
    started: float
    ended: float
    left: dict[str, Report | None]

    def attempt(self, pod: str, stage: Stage = Stage.TRAIN, **changes: Any) -> Attempt:
        left = Attempt(stage, 0, 1, Phase.ENDED, 0, started=self.started, ended=self.ended, pod=pod)
        return replace(left, **changes)


@pytest.fixture(scope="module")
def scraped(
    train: Train, start_prometheus: type[Prometheus], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scraped]:
    """Prometheus after it scraped pods: ``trained``, ``prepared``, ``unfinished`` and others.

    Of ``twice`` it scraped an earlier state, too, as a second job with a longer interval would.
    ``changed`` had one more metric until its last evaluation.
    """
    folder, started = tmp_path_factory.mktemp("prometheus"), time.time()
    trained, prepared = train(linger=300), train(Stage.PREPARE, linger=300)
    unfinished, changed = train(step=300), Telemetry()
    changed.evaluation({"exact": 70.0, "f1": 75.0}, 40)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=changed.registry)
    targets = [
        ("ns", "trained", trained.port),
        ("other", "trained", unfinished.port),
        ("ns", "prepared", prepared.port),
        ("ns", "unfinished", unfinished.port),
        ("ns", "twice", trained.port),
        ("ns", "twice", unfinished.port),
        ("ns", "changed", server.server_address[1]),
    ]
    groups = [
        {
            "targets": [f"127.0.0.1:{port}"],
            "labels": {"__meta_kubernetes_namespace": namespace, "__meta_kubernetes_pod_name": pod},
        }
        for namespace, pod, port in targets
    ]
    with start_prometheus(folder, SCRAPE_CONFIG) as prometheus:
        (folder / "targets.json").write_text(json.dumps(groups))
        until(lambda: len(prometheus.query("up == 1")) == len(targets))
        until(lambda: prometheus.query('distillery_trial_final{pod="trained"} == 1'))
        until(lambda: prometheus.query('distillery_prepared_info{pod="prepared"}'))
        until(lambda: prometheus.query('distillery_trial_metric{pod="unfinished"}'))
        until(lambda: prometheus.query('distillery_trial_metric{pod="changed"}'))
        changed.evaluation({"exact": 80.0}, 80)
        changed.final()
        until(lambda: prometheus.query('distillery_trial_final{pod="changed"} == 1'))
        left = {}
        for pod, training in (("trained", trained), ("prepared", prepared)):
            training.process.terminate()
            assert training.process.wait() == Exit.OK
            left[pod] = exposition.parse(training.message, "Prometheus")
        unfinished.process.kill()
        server.shutdown()
        server.server_close()
        thread.join()
        until(lambda: len(prometheus.query("up == 0")) == len(targets))
        yield Scraped(prometheus, started, time.time(), left)


def test_a_pod_that_is_gone_is_recalled_by_prometheus(scraped: Scraped) -> None:
    assert not scraped.server.query("distillery_trial_final")  # marked as ended, as pods are
    report = once(scraped.attempt("trained"), scraped.server.url)
    assert report is not None
    assert (report.source, report.final) == ("Prometheus", True)
    assert report.metrics["exact"] > 80
    assert report == scraped.left["trained"]


def test_a_preparation_that_is_gone_is_recalled_by_prometheus(scraped: Scraped) -> None:
    report = once(scraped.attempt("prepared", Stage.PREPARE), scraped.server.url)
    assert report is not None
    assert (report.key, report.sources) == ("quadratic", worlds.SOURCES)
    assert report == scraped.left["prepared"]


def test_a_torn_message_is_replaced_by_what_prometheus_has(scraped: Scraped) -> None:
    torn = scraped.attempt("trained", termination_message=text(final())[:400])
    report = once(torn, scraped.server.url)
    assert report is not None
    assert (report.source, report.final) == ("Prometheus", True)


def test_samples_of_several_scrapes_of_a_pod_are_not_mixed(scraped: Scraped) -> None:
    assert once(scraped.attempt("twice"), scraped.server.url) == scraped.left["trained"]


def test_a_metric_that_the_last_scrape_had_no_more_does_not_come_back(scraped: Scraped) -> None:
    report = once(scraped.attempt("changed"), scraped.server.url)
    assert report is not None
    assert (report.final, report.metrics) == (True, {"exact": 80.0})


@pytest.mark.parametrize(
    ("namespace", "pod"),
    [("ns", "unfinished"), ("ns", "unknown"), ("other", "trained"), ("ns", 'a"} or up{pod!="')],
)
def test_prometheus_knows_no_result_of_others(scraped: Scraped, namespace: str, pod: str) -> None:
    told = Told()
    assert once(scraped.attempt(pod), scraped.server.url, told, namespace) is None
    assert told.failures == 0


def test_clocks_may_differ_by_minutes_and_attempts_by_more(scraped: Scraped) -> None:
    def found(shift: float) -> bool:
        start, end = scraped.started + shift, scraped.ended + shift
        attempt = scraped.attempt("trained", started=start, ended=end)
        return once(attempt, scraped.server.url) is not None

    assert [found(shift) for shift in (-3600, -200, 0, 200, 3600)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_pod_name_is_remembered_when_the_pod_is_gone(scraped: Scraped) -> None:
    async def read() -> Report | None:
        async with measuring(Told(), 60.0, scraped.server.url) as reader:
            running = Attempt(Stage.TRAIN, 0, 1, Phase.RUNNING, pod="trained")
            assert await one(reader, running) is None
            return await one(reader, scraped.attempt(""))

    assert asyncio.run(read()) == scraped.left["trained"]


def test_only_an_attempt_that_ended_well_without_a_result_is_asked_for(scraped: Scraped) -> None:
    for other in (
        scraped.attempt("trained", exit_code=1),
        scraped.attempt("trained", exit_code=None),
        scraped.attempt("trained", phase=Phase.RUNNING),
        scraped.attempt("", exit_code=0),
    ):
        assert once(other, scraped.server.url) is None
    left = scraped.attempt("trained", termination_message=text(final()))
    report = once(left, scraped.server.url)
    assert report is not None
    assert report.source == "TerminationMessage"


def test_a_server_that_was_killed_remembers_and_one_that_is_down_is_a_counted_failure(
    scraped: Scraped, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    scraped.server.stop()
    assert once(scraped.attempt("trained"), scraped.server.url, told) is None
    assert told.failures == 1
    assert "Prometheus must tell of pod ns/trained, but" in caplog.text
    scraped.server.start()
    assert once(scraped.attempt("trained"), scraped.server.url, told) == scraped.left["trained"]
    assert told.failures == 1


@pytest.mark.parametrize(
    "answer",
    [
        page("", "503 Service Unavailable"),
        page("<html>"),
        page("{}"),
        page('{"status": "success", "data": {"result": [{"metric": 3}]}}'),
        page('{"data": {"result": [{"metric": {}, "values": [["NaN", "x"]]}]}}'),
        page("", "302 Found", "Location: http://127.0.0.1:9/"),
    ],
)
def test_a_server_that_is_no_prometheus_is_a_counted_failure(serve: Serve, answer: Answer) -> None:
    told = Told()
    assert once(ended(pod="pod"), serve(answer).url, told) is None
    assert told.failures == 1


def test_a_server_that_never_answers_is_given_up_and_a_counted_failure(serve: Serve) -> None:
    told, hung_up = Told(), list[bool]()

    def answer(connection: socket.socket) -> None:
        silence(connection)
        hung_up.append(True)

    assert once(ended(pod="pod"), serve(answer).url, told) is None
    assert told.failures == 1
    until(lambda: hung_up)


def test_the_server_is_asked_once_for_an_attempt(serve: Serve) -> None:
    endpoint, told = serve(page('{"data": {"result": []}}')), Told()

    async def read() -> None:
        async with measuring(told, 60.0, endpoint.url) as reader:
            for _ in range(3):
                assert await one(reader, ended(pod="pod")) is None

    asyncio.run(read())
    assert (endpoint.asked, told.failures) == (1, 0)
