"""A study whose operations are timed. The controller works with these."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from distillery_operator.resource.spec import Spec
from distillery_operator.study.study import Study
from distillery_operator.telemetry.operator_metrics import STORAGE_SECONDS, SUGGEST_SECONDS


@contextmanager
def timed(operation: str) -> Iterator[None]:
    """Time an operation of a study."""
    with STORAGE_SECONDS.labels(operation).time():
        yield


def observed(study: Study) -> Study:
    """Return a study that does the same, and times each operation by the name of its method."""
    return cast(Study, _Observed(study))


class _Observed:
    def __init__(self, study: Study) -> None:
        self._study = study

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._study, operation)

        async def call(*given: Any) -> Any:
            with timed(operation):
                return await method(*given)

        return call

    async def ask(self, spec: Spec, *given: Any) -> None:
        with timed("ask"), SUGGEST_SECONDS.labels(str(spec.sampler.type)).time():
            await self._study.ask(spec, *given)

    async def close(self) -> None:
        await self._study.close()
