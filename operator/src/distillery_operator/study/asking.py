"""Which suggestions come next: baselines, then a person's own, then the sampler's."""

from collections.abc import Mapping, Sequence
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
    """Finds the next suggestion of one study; it keeps the sampler between two calls."""

    def __init__(self) -> None:
        self._suggester = Suggester()

    def suggestion(self, spec: Spec, held: Contents, enqueued: Sequence[Row]) -> Suggestion | None:
        """Return the next suggestion; None if the sampler has no more.

        Args:
            spec: of the experiment.
            held: the study, with all suggestions before.
            enqueued: trials of a person that have not been taken.
        """
        sources = warm_start.informing(spec, held.warm).values()
        others = [trial for source in sources for trial in source]
        for baseline in own_points.baselines(spec, held.trials):
            return Suggestion(baseline.parameters, {"baseline": baseline.name})
        for wanted in own_points.suggestions(spec, held.trials):
            point = self._completed(spec, wanted.parameters, held, others)
            return Suggestion(point, {BY_HAND: wanted.name})
        for row in enqueued:
            name = row.attributes.get(BY_HAND)
            point = self._completed(spec, row.fixed or {}, held, others)
            return Suggestion(point, {BY_HAND: name if isinstance(name, str) else ""}, row)
        drawn = self._draw(spec, held, others)
        return None if drawn is None else Suggestion(drawn)

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
