"""Values as metric families, and as the text of the final exposition. ``telemetry`` calls it."""

from collections.abc import Iterable, Mapping
from typing import Final

import prometheus_client
from prometheus_client import core, registry
from prometheus_client.openmetrics import exposition as openmetrics

from distillery_contract import metrics

Samples = dict[tuple[str, ...], float]
"""Values by the values of a family's labels."""

Values = Mapping[metrics.Family, Samples]

LABEL_CHARACTERS: Final = 1000
"""Of a label's value on /metrics: a Prometheus with a limit drops the scrape of the whole pod."""


def final(values: Values, limit: int) -> str:
    """Return the final exposition: OpenMetrics text of the families with ``final``.

    The message of the outcome is shortened until the text has at most ``limit`` bytes; nothing else
    is.

    Raises:
        ValueError: the values alone exceed the limit.
    """
    kept = {family: samples for family, samples in values.items() if family.final}
    text = _text(kept)
    while (excess := len(text.encode()) - limit) > 0:
        ((reason, message),) = kept.get(metrics.OUTCOME, {("", ""): 1})
        if not message:
            raise ValueError(
                f"the final exposition must fit into {limit} bytes, but takes {limit + excess}"
            )
        # Three more characters than needed make room for the mark of what is missing.
        shorter = message[: max(0, len(message) - excess - 3)]
        kept[metrics.OUTCOME] = {(reason, f"{shorter}…" if shorter else ""): 1}
        text = _text(kept)
    return text


def scraped(values: Values) -> Values:
    """Return the values as /metrics shows them, where a long message has lost its end.

    The final exposition has all of the message that fits.
    """
    ((reason, message),) = values.get(metrics.OUTCOME, {("", ""): 1})
    if len(message) <= LABEL_CHARACTERS:
        return values
    return {**values, metrics.OUTCOME: {(reason, f"{message[: LABEL_CHARACTERS - 1]}…"): 1}}


def families(values: Values) -> list[core.Metric]:
    """Return the families that have a value, in the order of the contract."""
    return [_metric(family, values[family]) for family in metrics.FAMILIES if family in values]


def _metric(family: metrics.Family, samples: Samples) -> core.Metric:
    if family.kind == "info":
        info = core.InfoMetricFamily(family.name, family.help)
        for labels in samples:
            info.add_metric([], dict(zip(family.labels, labels, strict=True)))
        return info
    kind = core.CounterMetricFamily if family.kind == "counter" else core.GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in samples.items():
        metric.add_metric(labels, value)
    return metric


class _Fixed(registry.Collector):
    """A collector of values that no longer change."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def collect(self) -> Iterable[core.Metric]:
        return families(self._values)


def _text(values: Values) -> str:
    """Return OpenMetrics text without HELP lines, which are optional and a third of the limit."""
    once = prometheus_client.CollectorRegistry()
    once.register(_Fixed(values))
    # prometheus_client ships this one function without annotations.
    text: str = openmetrics.generate_latest(once).decode()  # type: ignore[no-untyped-call]
    return "".join(line for line in text.splitlines(True) if not line.startswith("# HELP "))
