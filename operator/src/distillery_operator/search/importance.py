"""EDGE: which parameters matter for which objective. The report shows it."""

import warnings
from collections.abc import Sequence

import optuna

from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.search import optuna_trials
from distillery_operator.trials.trial import State, Trial


def importances(spec: Spec, trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
    """Return each parameter's share per objective, by PED-ANOVA; empty while trials are too few."""
    told = [t for t in trials if t.state in (State.COMPLETED, State.INFEASIBLE)]
    told = [t for t in told if space.whole(spec, space.reduced(spec, t.parameters))]
    if len(told) < max(4, len(spec.parameters)):
        return {}
    study, found = optuna_trials.in_memory(spec, told), {}
    for column, objective in enumerate(spec.objectives):
        sign = objective.direction.sign  # PED-ANOVA takes low for good

        def target(frozen: optuna.trial.FrozenTrial, c: int = column, s: int = sign) -> float:
            return s * float(frozen.values[c])

        if len({target(t) for t in study.get_trials(deepcopy=False)}) > 1:
            with warnings.catch_warnings():  # it warns of what the target above takes care of
                warnings.filterwarnings("ignore", message="PedAnova.*low `target`")
                shares = optuna.importance.get_param_importances(study, target=target)
            found[objective.metric] = shares
    return found
