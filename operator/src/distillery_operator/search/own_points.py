"""PURE: the points that an experiment names itself and that have no trial yet, in their order.

Baselines run first, then suggestions; only then those that Optuna's tools enqueued, and the
sampler's. ``study`` adds them, ``engine`` counts them.
"""

from collections.abc import Sequence

from distillery_operator.resource.baseline import Baseline
from distillery_operator.resource.spec import Spec
from distillery_operator.resource.suggestion import Suggestion
from distillery_operator.trials.trial import Trial


def baselines(spec: Spec, trials: Sequence[Trial]) -> list[Baseline]:
    """Return the baselines without a trial."""
    known = {trial.baseline for trial in trials}
    return [baseline for baseline in spec.baselines if baseline.name not in known]


def suggestions(spec: Spec, trials: Sequence[Trial]) -> list[Suggestion]:
    """Return the suggestions of a person without a trial."""
    known = {trial.by_hand for trial in trials}
    return [suggestion for suggestion in spec.suggestions if suggestion.name not in known]
