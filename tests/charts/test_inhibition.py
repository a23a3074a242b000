"""Which alerts silence which: the documented rules, in an Alertmanager that gets the alerts."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from support import documentation, programs
from support.operators import free_port, until

RULES = YAML(typ="safe").load(documentation.yaml("docs/observe.md", "inhibit_rules"))
ALERTS = {
    rule["alert"]
    for path in sorted((documentation.ROOT / "charts/distillery/rules").glob("*.yaml"))
    for group in YAML(typ="safe").load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
TINY = {"namespace": "science", "experiment": "tiny"}
OTHER = {"namespace": "science", "experiment": "other"}
OPERATOR = {"namespace": "distillery"}
OBSTRUCTED = "DistilleryExperimentObstructed"


def test_the_rules_speak_of_alerts_that_there_are() -> None:
    named = documentation.yaml("docs/observe.md", "inhibit_rules")
    words = set(named.replace(chr(34), " ").replace("|", " ").replace("]", " ").split())
    assert {word for word in words if word.startswith("Distillery")} <= ALERTS


class Alertmanager:
    """An Alertmanager with the documented rules."""

    def __init__(self, port: int) -> None:
        self._api = f"http://127.0.0.1:{port}/api/v2/alerts"

    @property
    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(self._api, timeout=2):
                return True
        except OSError:
            return False

    def silenced(self, *alerts: tuple[str, dict[str, str]], count: int = 0) -> set[str]:
        """Send alerts; return the names of those that another one of them silences.

        Alertmanager finds that out a moment after it has taken them: wait until so many are.
        """
        scene = {"scene": str(time.monotonic_ns())}
        body = [{"labels": {"alertname": n, **labels, **scene}} for n, labels in alerts]
        headers = {"Content-Type": "application/json"}
        sent = urllib.request.Request(self._api, json.dumps(body).encode(), headers)
        urllib.request.urlopen(sent).close()

        def silent() -> list[str]:
            with urllib.request.urlopen(f'{self._api}?filter=scene="{scene["scene"]}"') as answer:
                found: list[dict[str, Any]] = json.load(answer)
            assert len(found) == len(alerts)
            return [a["labels"]["alertname"] for a in found if a["status"]["inhibitedBy"]]

        until(lambda: len(silent()) >= count)
        return {*silent()}


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yml"
    # Each test is a scene of its own: alerts of another one silence nothing here.
    rules = [{**rule, "equal": [*rule["equal"], "scene"]} for rule in RULES["inhibit_rules"]]
    whole = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    path.write_text(json.dumps({**whole, "inhibit_rules": rules}))
    return path


@pytest.fixture(scope="module")
def alertmanager(configuration: Path) -> Iterator[Alertmanager]:
    (program,) = programs.locate("prometheus-alertmanager")
    port = free_port()
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.path={configuration.parent}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (configuration.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            made = Alertmanager(port)
            until(lambda: made.ready)
            yield made
        finally:
            process.kill()
            process.wait()


@pytest.mark.needs("alertmanager")
def test_amtool_finds_no_fault_in_the_rules(configuration: Path) -> None:
    (amtool,) = programs.locate("amtool")
    done = subprocess.run(
        [amtool, "check-config", configuration], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(RULES['inhibit_rules'])} inhibit rules" in done.stdout


@pytest.mark.needs("alertmanager")
def test_an_outage_of_the_database_sends_one_message(alertmanager: Alertmanager) -> None:
    waits = {"condition": "StorageReachable"}
    assert alertmanager.silenced(
        ("DistilleryDatabaseDown", OPERATOR),
        ("DistilleryReconcileErrors", OPERATOR),
        (OBSTRUCTED, {**TINY, **waits}),
        (OBSTRUCTED, {**OTHER, **waits}),
        count=3,
    ) == {"DistilleryReconcileErrors", OBSTRUCTED}


@pytest.mark.needs("alertmanager")
@pytest.mark.parametrize(
    "alert",
    [
        (OBSTRUCTED, {**TINY, "condition": "Accepted"}),
        (OBSTRUCTED, {**TINY, "condition": "StorageReachable", "cluster": "south"}),
        ("DistilleryReconcileErrors", {"namespace": "another"}),
        ("DistilleryExperimentFailed", TINY),
    ],
    ids=["another fault", "another cluster", "another operator", "an experiment that is over"],
)
def test_what_does_not_follow_from_an_outage_is_told(
    alertmanager: Alertmanager, alert: tuple[str, dict[str, str]]
) -> None:
    assert alertmanager.silenced(("DistilleryDatabaseDown", OPERATOR), alert) == set()


@pytest.mark.needs("alertmanager")
def test_what_says_more_silences_what_says_less_of_the_same_experiment(
    alertmanager: Alertmanager,
) -> None:
    degraded, none = "DistilleryExperimentDegraded", "DistilleryNoAcceptableTrial"
    assert alertmanager.silenced((degraded, TINY), (none, TINY), count=1) == {degraded}
    assert alertmanager.silenced((degraded, OTHER), (none, TINY)) == set()
    sided = ("DistilleryTrialsOneSided", TINY)
    assert alertmanager.silenced(sided, (none, TINY), count=1) == {none}
