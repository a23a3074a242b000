"""Dashboards and rules, by themselves and on a Prometheus that has scraped a real run."""

import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import dist, isfinite
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from dashboards import boards, colours, picture
from dashboards.panels import BOARDS
from distillery_contract import metrics
from distillery_operator.telemetry import experiment_metrics, operator_metrics
from support import charts, discovery, observed, programs
from support.cluster import Node
from support.cluster.images import Image
from support.prometheus import Prometheus
from support.spaces import Object

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "charts/distillery/dashboards"
DOCUMENTS = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
PANELS = [
    pytest.param(panel, id=f"{name.removesuffix('.json')}: {panel['title']}")
    for name, document in DOCUMENTS.items()
    for panel in document["panels"]
    if panel["type"] != "row"
]
RULES = [
    rule
    for path in sorted((ROOT / "charts/distillery/rules").glob("*.yaml"))
    for group in YAML(typ="safe").load(path.read_text())["groups"]
    for rule in group["rules"]
]
QUERIES = [t["expr"] for p in PANELS for t in p.values[0]["targets"]]  # type: ignore[index]
ANNOTATIONS = [
    a["expr"] for document in DOCUMENTS.values() for a in document["annotations"]["list"]
]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
NAME = re.compile(r"\b(?:distillery|DCGM)_\w+")
SELECTOR = re.compile(r"(?:\bdistillery[_:]\w+|\bDCGM_\w+)(?:\{[^}]*\})?")

ELSEWHERE = {"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"}
"""Metrics of others: the DCGM exporter, which needs a GPU."""


def names(family: metrics.Family) -> set[str]:
    return {family.name + {"counter": "_total", "info": "_info"}.get(family.kind, "")}


def known() -> set[str]:
    """Return every name that trainers and operator expose."""
    found = set.union(*(names(family) for family in metrics.FAMILIES))
    found |= {f"distillery_experiment_{family.name}" for family in experiment_metrics.FAMILIES}
    for family in operator_metrics.REGISTRY.collect():
        suffixes = {"counter": ["_total"], "info": ["_info"], "histogram": ["_bucket"]}
        found |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    return found


def test_the_committed_dashboards_are_those_of_the_code() -> None:
    assert boards.documents() == DOCUMENTS
    assert {d["uid"]: d["title"] for d in DOCUMENTS.values()} == BOARDS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_dashboard_is_read_only_and_of_any_data_source(name: str) -> None:
    document = DOCUMENTS[name]
    assert document["editable"] is False
    first, *others = document["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert all(variable["datasource"] == SOURCE for variable in others)
    assert not re.search(r"\$\{?DS_", json.dumps(document))
    titles = [panel["title"] for panel in document["panels"]]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows(panel: Object) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == SOURCE
    assert panel["pluginVersion"]
    assert panel["targets"]
    assert all(target["datasource"] == SOURCE for target in panel["targets"])


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_fits_into_its_place(panel: Object) -> None:
    place = panel["gridPos"]
    assert place["w"] > 0
    assert place["x"] + place["w"] <= 24


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_something_also_where_there_is_nothing(panel: Object) -> None:
    assert panel["fieldConfig"]["defaults"]["noValue"]
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["calcs"] == ["lastNotNull", "max"]


COLOURED = {
    "Alerts",
    "State",
    "Database",
    "Longest wait now",
    "Errors of the database",
    "Feasible trials",
}
"""Numbers that say by their colour whether all is well."""


def test_what_is_wrong_is_seen_at_a_glance() -> None:
    panels = [panel for document in DOCUMENTS.values() for panel in document["panels"]]
    stats = [panel for panel in panels if panel["type"] == "stat"]
    found = {p["title"] for p in stats if p["options"]["colorMode"] == "background"}
    assert found == COLOURED
    for panel in (p for p in stats if p["title"] in COLOURED):
        assert colours.BAD in json.dumps(panel) or colours.ODD in json.dumps(panel)
    (table,) = [
        panel
        for panel in DOCUMENTS["distillery-overview.json"]["panels"]
        if panel["title"] == "Experiments"
    ]
    assert colours.BAD in json.dumps(table["fieldConfig"]["overrides"])


SEEN = {
    "by everybody": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "without red": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "without green": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "without blue": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""What people see of linear RGB: Machado, Oliveira and Fernandes 2009, severity 1."""


def linear(colour: str) -> list[float]:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def lab(colour: str, by: str) -> list[float]:
    """Return a colour in CIELAB, as some people see it."""
    seen = [min(1.0, max(0.0, sumprod(row, linear(colour)))) for row in SEEN[by]]
    weights = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175),
               (0.0193339, 0.119192, 0.9503041))  # fmt: skip
    white = (0.95047, 1.0, 1.08883)
    x, y, z = (
        t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116
        for t in (sumprod(row, seen) / w for row, w in zip(weights, white, strict=True))
    )
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


def sumprod(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("by", SEEN)
def test_states_are_told_apart_by_whoever_looks(by: str) -> None:
    for one, other in combinations(colours.COLOURS, 2):
        pair = (lab(colours.COLOURS[state], by) for state in (one, other))
        assert dist(*pair) > 25, (one, other)


def test_states_are_seen_on_a_dark_page() -> None:
    def light(colour: str) -> float:
        return sumprod((0.2126, 0.7152, 0.0722), linear(colour)) + 0.05

    for state, colour in colours.COLOURS.items():
        assert light(colour) / light("#181b1f") > 3.2, state


@pytest.mark.parametrize("expr", [*QUERIES, *ANNOTATIONS])
def test_every_series_is_of_the_chosen_cluster(expr: str) -> None:
    """But those of the DCGM exporter, which are joined to series that are."""
    for name, selector in re.findall(r"\b(distillery_\w+|ALERTS|process_\w+)(\{[^}]*\})?", expr):
        assert 'cluster=~"$cluster"' in selector, name
    for labels in re.findall(r"\bon \(([^)]*)\)", expr):
        assert "cluster" in labels, expr


def test_starts_ends_and_alerts_are_marked_in_time() -> None:
    for name, document in DOCUMENTS.items():
        titles = [a["name"] for a in document["annotations"]["list"]]
        assert titles[:2] == ["Starts of the operator", "Alerts"]
        of_one = name in ("distillery-experiment.json", "distillery-trial.json")
        assert titles[2:] == (["Beginning", "End"] if of_one else [])


@pytest.mark.needs("prometheus")
def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    (promtool,) = programs.locate("promtool")
    filled = [
        re.sub(r"\$(\w+)", lambda found: observed.VARIABLES.get(found[1], "x"), expr)
        for expr in (*QUERIES, *ANNOTATIONS)
    ]
    rules = [{"record": f"query:{n}", "expr": expr} for n, expr in enumerate(filled)]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=none", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("expr", [*QUERIES, *(rule["expr"] for rule in RULES)])
def test_rates_are_of_counters_and_over_what_grafana_chooses(expr: str) -> None:
    for metric in re.findall(r"\b(?:rate|increase)\((\w+)", expr):
        assert metric.endswith(("_total", "_bucket")), metric
    if expr in QUERIES:
        windows = set(re.findall(r"\[(.*?)\]", expr))
        assert windows <= {"$__rate_interval", "$__range"}
    for metric in NAME.findall(expr):
        if metric.endswith(("_total", "_bucket")):
            assert re.search(rf"\b(?:rate|increase)\({metric}", expr), metric


def test_every_metric_is_one_that_trainers_or_operator_expose() -> None:
    rules = [rule["expr"] for rule in RULES]
    variables = [v["query"] for d in DOCUMENTS.values() for v in d["templating"]["list"]]
    used = {name for text in (*QUERIES, *rules, str(variables)) for name in NAME.findall(text)}
    assert used - known() == ELSEWHERE


class Seen(NamedTuple):
    """A run, and how its Prometheus is asked."""

    run: observed.Run

    @property
    def prometheus(self) -> Prometheus:
        return self.run.prometheus

    @property
    def namespace(self) -> str:
        return self.run.namespace

    def filled(self, expr: str, namespace: str = "") -> str:
        """Return a query with Grafana's variables filled in."""
        values = {**observed.VARIABLES, "namespace": namespace or self.namespace}
        # $1 is no variable: it is a group of a regular expression.
        return re.sub(r"\$([A-Za-z_]\w*)", lambda found: values[found[1]], expr)

    def numbers(self, expr: str, over_time: bool = True) -> list[float]:
        """Return what a query finds, over the run or at its end."""
        asked: dict[str, Any] = {"query": expr, "time": f"{time.time():.3f}"}
        if over_time:
            asked |= {"start": f"{self.run.begun:.3f}", "end": asked.pop("time"), "step": "1"}
        path = "query_range" if over_time else "query"
        url = f"{self.prometheus.url}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(url) as answer:
                found = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expr}: {error.read().decode()}") from error
        pairs = [pair for one in found for pair in one.get("values", [one.get("value")])]
        return [float(value) for _, value in pairs if isfinite(float(value))]


@pytest.fixture(scope="module")
def run(
    node: Node,
    start_prometheus: type[Prometheus],
    quick_image: Image,
    volume: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Seen]:
    """An experiment on the node, to its end; it wants more trials at a time than there are GPUs."""
    folder = tmp_path_factory.mktemp("observed")
    with observed.searched(node, quick_image, volume, folder, maxTrials=6, parallelism=6) as found:
        yield Seen(found)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_picture_of_a_dashboard_shows_what_a_real_run_left(
    run: Seen, name: str, tmp_path: Path
) -> None:
    """That of a Prometheus without our series has other pixels."""
    values = {
        **observed.VARIABLES,
        "namespace": "distillery" if "operator" in name else run.namespace,
    }
    sources = {"full": run.run.begun, "empty": run.run.begun - 3600}
    for state, begun in sources.items():
        ended = time.time() if state == "full" else begun + 60
        source = picture.Source(run.prometheus.url, values, begun, ended)
        picture.draw(DOCUMENTS[name], source, tmp_path / f"{state}.png")
    drawn, empty = ((tmp_path / f"{state}.png").read_bytes() for state in sources)
    assert drawn.startswith(b"\x89PNG")
    assert drawn != empty


@pytest.mark.parametrize("panel", PANELS)
def test_every_query_of_a_panel_has_data_after_a_real_run(run: Seen, panel: Object) -> None:
    for target in panel["targets"]:
        expr = target["expr"]
        if ELSEWHERE & set(NAME.findall(expr)):
            continue
        operator = 'namespace="$namespace"' in expr and (
            "experiment" not in expr or "distillery_build_info" in expr
        )
        filled = run.filled(expr, "distillery" if operator else "")
        assert run.numbers(filled, over_time=bool(target.get("range"))), filled


def test_every_variable_has_choices_after_a_real_run(run: Seen) -> None:
    for document in DOCUMENTS.values():
        for variable in document["templating"]["list"][1:]:
            query = variable["query"]["query"]
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
            assert found, query
            selector = run.filled(found[1])
            assert run.numbers(f"count by ({found[2]}) ({selector})"), query


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_all_that_a_rule_looks_at_is_there_after_a_real_run(run: Seen, rule: Object) -> None:
    """But for what waits in a queue, for there is none; all namespaces are watched, and served."""
    absent = ELSEWHERE | {"distillery_namespace_watched"}
    for selector in SELECTOR.findall(rule["expr"]):
        nowhere = any(label in selector for label in ('reason="Queued"', 'code="403"'))
        if not nowhere and not absent & set(NAME.findall(selector)):
            assert run.numbers(selector), selector


def test_prometheus_evaluates_every_rule(run: Seen) -> None:
    with urllib.request.urlopen(f"{run.prometheus.url}/api/v1/rules") as answer:
        groups = json.load(answer)["data"]["groups"]
    found = {
        rule["name"]: (rule["health"], rule.get("lastError", ""))
        for g in groups
        for rule in g["rules"]
    }
    assert found == {rule.get("alert") or rule["record"]: ("ok", "") for rule in RULES}


def test_no_alert_fires_in_a_run_without_fault(run: Seen) -> None:
    fired = run.prometheus.query(
        'count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[15m]))'
    )
    assert [one["metric"]["alertname"] for one in fired] == []


def test_labels_of_trials_come_from_their_pods(run: Seen) -> None:
    found = run.prometheus.query("last_over_time(distillery_trial_final[15m])")
    own = [one["metric"] for one in found if one["metric"]["namespace"] == run.namespace]
    assert {(m["experiment"], m["stage"], m["trial"], m["attempt"]) for m in own} == {
        ("tiny", "train", str(number), "1") for number in range(6)
    }
    assert all(m["pod"].startswith("tiny-") and m["job"] == "distillery-trials" for m in own)


def test_an_experiments_series_keep_its_namespace(run: Seen) -> None:
    (found,) = run.prometheus.query("last_over_time(distillery_experiment_info[15m])")[-1:]
    assert found["metric"]["namespace"] == run.namespace
    assert found["metric"]["pod"] == "distillery-0"
    assert "exported_namespace" not in found["metric"]


@pytest.mark.needs("helm")
def test_the_charts_monitors_give_the_documented_labels(tmp_path: Path) -> None:
    """But for namespace and pod, which the Prometheus operator adds by itself."""
    options = ("--set=metrics.podMonitor.enabled=true", "--set=metrics.serviceMonitor.enabled=true")
    found = charts.render(*options)
    (trials,) = charts.one(found, "PodMonitor")["spec"]["podMetricsEndpoints"]
    (own,) = charts.one(found, "ServiceMonitor")["spec"]["endpoints"]
    operator, pods = discovery.configuration(tmp_path)["scrape_configs"]
    assert own["honorLabels"] is operator["honor_labels"] is True
    documented = {
        rule["target_label"]: (rule["source_labels"], rule.get("regex"))
        for rule in pods["relabel_configs"]
        if "target_label" in rule
    }
    assert {
        rule["targetLabel"]: (rule["sourceLabels"], rule.get("regex"))
        for rule in trials["relabelings"]
    } == {label: rule for label, rule in documented.items() if label not in ("namespace", "pod")}
    assert documented.keys() == {"namespace", "pod", "experiment", "stage", "trial", "attempt"}
