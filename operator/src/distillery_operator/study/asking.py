"""Which suggestions come next: baselines, then a person's own, then the sampler's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from distillery_contract.parameters import Value
from distillery_operator.resource import space, suggestion_rules
from distillery_operator.resource.spec import Spec
from distillery_operator.search import own_points, warm_start
from distillery_operator.search.suggester import Suggester
from distillery_operator.study.contents import Contents
from distillery_operator.study.records import BY_HAND
from distillery_operator.study.rows import Row
from distillery_operator.trials.trial import Trial


@dataclass(frozen=True)
class Suggestion:
    """A point to try.

    Attributes:
        parameters: values of the hyperparameters that are searched, or of a baseline.
        given: names the baseline or the suggestion of a person that it is; empty if it is the
            sampler's.
        row: of the trial that was enqueued; None if none was.
    """

    parameters: Mapping[str, Value]
    given: Mapping[str, str] = field(default_factory=dict)
    row: Row | None = None


class Asking:
    """Finds the next suggestions of one study; it keeps the sampler between two calls."""

    def __init__(self) -> None:
        self._suggester = Suggester()

    def suggestions(
        self, spec: Spec, held: Contents, enqueued: Sequence[Row], count: int
    ) -> Iterator[Suggestion]:
        """Yield further suggestions; fewer if the sampler has no more.

        Args:
            spec: of the experiment.
            held: the study. Each suggestion must be among its trials before the next is asked for.
            enqueued: trials of a person. One that was yielded must be gone from them by then.
            count: of suggestions.
        """
        sources = warm_start.informing(spec, held.warm).values()
        others = [trial for source in sources for trial in source]
        baselines = own_points.baselines(spec, held.trials)
        wanted = own_points.suggestions(spec, held.trials)
        for _ in range(count):
            if baselines:
                first = baselines.pop(0)
                yield Suggestion(first.parameters, {"baseline": first.name})
            elif wanted:
                next_ = wanted.pop(0)
                point = self._completed(spec, next_.parameters, held, others)
                yield Suggestion(point, {BY_HAND: next_.name})
            elif enqueued:
                row = enqueued[0]
                name = row.attributes.get(BY_HAND)
                point = self._completed(spec, row.fixed or {}, held, others)
                yield Suggestion(point, {BY_HAND: name if isinstance(name, str) else ""}, row)
            elif (drawn := self._draw(spec, held, others)) is not None:
                yield Suggestion(drawn)

    def _draw(
        self, spec: Spec, held: Contents, others: Sequence[Trial]
    ) -> Mapping[str, Value] | None:
        return self._suggester.suggest(spec, held.trials, held.size, others)

    def _completed(
        self, spec: Spec, fixed: Mapping[str, Value], held: Contents, others: Sequence[Trial]
    ) -> dict[str, Value]:
        """Return a person's point with what it leaves open."""
        drawn = {} if space.whole(spec, fixed) else self._draw(spec, held, others)
        return suggestion_rules.completed(spec, fixed, drawn or {})
