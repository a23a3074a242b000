"""A study whose operations are timed. The controller works with these."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from distillery_operator.engine.actions import Tell
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.study.study import Study
from distillery_operator.study.tables import Storage
from distillery_operator.telemetry import operator_metrics
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.trial import Point, Trial


@contextmanager
def timed(operation: str) -> Iterator[None]:
    """Time an operation of a study."""
    with operator_metrics.STORAGE_SECONDS.labels(operation).time():
        yield


class ObservedStudy:
    """A study whose operations are timed."""

    def __init__(self, study: Study) -> None:
        self._study = study

    async def load(self) -> tuple[float, Preparation | None, tuple[Trial, ...]]:
        """Return when the study began, what was prepared, and all trials in their order."""
        with timed("load"):
            return await self._study.load()

    async def keep(self, preparation: Preparation) -> None:
        """Store what the preparation found."""
        with timed("keep"):
            await self._study.keep(preparation)

    async def ask(self, spec: Spec, count: int, now: float) -> None:
        """Store further suggestions."""
        with timed("ask"), operator_metrics.SUGGEST_SECONDS.labels(str(spec.sampler.type)).time():
            await self._study.ask(spec, count, now)

    async def promote(self, spec: Spec, number: int, now: float) -> None:
        """Store a trial that continues a stopped one."""
        with timed("promote"):
            await self._study.promote(spec, number, now)

    async def warm_up(
        self, experiment: Experiment, find: Callable[[str], Storage | None]
    ) -> Mapping[str, Sequence[Trial]]:
        """Take the trials of other experiments; return all that inform the sampler."""
        with timed("warm_up"):
            return await self._study.warm_up(experiment, find)

    async def record(self, number: int, point: Point) -> None:
        """Add an evaluation to a learning curve."""
        with timed("record"):
            await self._study.record(number, point)

    async def tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        """Store how a trial ended."""
        with timed("tell"):
            await self._study.tell(spec, ending, model, now)

    async def collect(self, numbers: Sequence[int]) -> None:
        """Store that the files of trials are gone."""
        with timed("collect"):
            await self._study.collect(numbers)

    async def close(self) -> None:
        """Give back the connections of a study that has its own."""
        await self._study.close()
