"""The hyperparameters of a trial: those of its request over the defaults of the contract.

``train`` resolves them once; each is explained in :mod:`distillery_contract.parameters`.
"""

from dataclasses import replace

from distillery_contract.parameters import Hyperparameters, Initialization
from distillery_contract.request import Request, RequestError


def resolve(request: Request) -> Hyperparameters:
    """Return all hyperparameters of a trial.

    Without a teacher the labels alone teach: ``alpha_ce`` is 0, whatever its default.

    Raises:
        RequestError: the request names no model that its hyperparameters need.
    """
    found = Hyperparameters.of(request.parameters)
    if request.teacher is None and "alpha_ce" not in request.parameters:
        found = replace(found, alpha_ce=0.0)
    if faults := _faults(request, found):
        raise RequestError(faults)
    return found


def _faults(request: Request, hyper: Hyperparameters) -> list[str]:
    """Return what hyperparameters ask of models that the request does not name."""
    found = []
    initialization = hyper.initialization
    if initialization is Initialization.PRETRAINED and not request.student.model:
        found.append("initialization: Pretrained needs student.model, but the request names none")
    if request.teacher is None:
        weights = {"alpha_ce": hyper.alpha_ce, "alpha_relation": hyper.alpha_relation}
        found += [
            f"parameters.{name}: must be 0 without a teacher, but got {weight}"
            for name, weight in weights.items()
            if weight
        ]
        if initialization is Initialization.TEACHER:
            found.append("initialization: Teacher needs a teacher, but the request names none")
        elif not request.student.model:
            found.append(
                f"initialization: {initialization} needs a model, but the request names none"
            )
    return found
