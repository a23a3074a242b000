"""What a trainer exposes, made up by the quick trainer's registry."""

from prometheus_client.openmetrics import exposition as openmetrics

from distillery_contract import metrics
from support import worlds
from support.quick_trainer import Shown


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


def text(made: Shown) -> str:
    written: bytes = openmetrics.generate_latest(made.registry)  # type: ignore[no-untyped-call]
    return written.decode()
