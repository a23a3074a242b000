"""The hyperparameters of a trial, complete and typed, as ``model`` and ``train`` consume them.

``train`` resolves them once from the request; the names are those of the contract's table.
"""

from dataclasses import dataclass
from typing import Any

from distillery_contract import parameters
from distillery_contract.parameters import Initialization, Kind
from distillery_contract.request import Request, RequestError


@dataclass(frozen=True)
class Settings:
    """One value per hyperparameter of ``distillery_contract.parameters``, where each is explained.

    ``n_layers``, ``n_heads`` and ``hidden_size`` are None where the student is as its source.
    """

    initialization: str
    n_layers: int | None
    layer_selection: str
    n_heads: int | None
    pruning_seed: int
    hidden_size: int | None
    initializer_range: float
    dropout: float
    attention_dropout: float
    qa_dropout: float
    alpha_ce: float
    temperature: float
    alpha_relation: float
    learning_rate: float
    warm_up_steps: int
    beta_1: float
    beta_2: float
    adam_epsilon: float
    weight_decay: float
    max_grad_norm: float
    epochs: float
    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    per_device_eval_batch_size: int
    evaluations: int
    seed: int
    compile: bool


def resolve(request: Request) -> Settings:
    """Return a trial's hyperparameters: those of the request over the defaults.

    Without a teacher the labels alone teach: ``alpha_ce`` is 0, whatever its default.

    Raises:
        RequestError: the request names no model that its hyperparameters need.
    """
    given: dict[str, Any] = parameters.resolve(request.parameters)
    if request.teacher is None:
        given |= {"alpha_ce": request.parameters.get("alpha_ce", 0.0)}
    if faults := _faults(request, given):
        raise RequestError(faults)
    return Settings(**{name: _typed(name, value) for name, value in given.items()})


def _typed(name: str, value: Any) -> Any:
    """Return a number as a float where one is due: the models' configs refuse an int there."""
    is_float = parameters.PARAMETERS[name].kind is Kind.FLOAT
    return float(value) if is_float and value is not None else value


def _faults(request: Request, given: dict[str, Any]) -> list[str]:
    """Return what hyperparameters ask of models that the request does not name."""
    found = []
    initialization = given["initialization"]
    if initialization == Initialization.PRETRAINED and not request.student.model:
        found.append("initialization: Pretrained needs student.model, but the request names none")
    if request.teacher is None:
        found += [
            f"parameters.{name}: must be 0 without a teacher, but got {given[name]}"
            for name in ("alpha_ce", "alpha_relation")
            if given[name]
        ]
        if initialization == Initialization.TEACHER:
            found.append("initialization: Teacher needs a teacher, but the request names none")
        elif not request.student.model:
            found.append(
                f"initialization: {initialization} needs a model, but the request names none"
            )
    return found
