"""Runs the stage of a request and names how it ended. ``process`` calls it.

It imports torch, which takes seconds. So ``process`` imports it only after it has read the
request, and runs the stage ``collect`` without it.
"""

from importlib import metadata
from typing import Final

import torch
import transformers

from distillery_contract.request import Request, RequestError, Stage
from distillery_contract.wire import Exit
from distillery_trainer.data.faults import DataError
from distillery_trainer.preparation import prepare
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.stop import Stop
from distillery_trainer.students.building import InfeasibleError
from distillery_trainer.students.families import SourceError
from distillery_trainer.training import held_out, train
from distillery_trainer.training.checkpoint import MismatchError
from distillery_trainer.training.train import DivergedError

_EXITS: Final[dict[type[Exception], Exit]] = {
    RequestError: Exit.BAD_REQUEST,
    MismatchError: Exit.BAD_REQUEST,
    DataError: Exit.BAD_DATA,
    SourceError: Exit.BAD_DATA,
    InfeasibleError: Exit.INFEASIBLE,
    DivergedError: Exit.DIVERGED,
    MemoryError: Exit.OUT_OF_MEMORY,
    torch.OutOfMemoryError: Exit.OUT_OF_MEMORY,
}

_CPU_MEMORY: Final = "can't allocate memory"
"""torch raises a RuntimeError with these words where a CPU's memory does not suffice."""


def run(request: Request, telemetry: Telemetry, stop: Stop) -> tuple[Exit, str]:
    """Run a stage; return how it ended and a sentence.

    Raises:
        StoppedError: a signal came.
    """
    # Progress bars would fill the log of a pod. The library does not annotate the function.
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        match request.stage:
            case Stage.DESCRIBE:
                prepare.describe(request, telemetry)
            case Stage.PREPARE:
                _introduce(telemetry)
                prepare.prepare(request, telemetry)
            case Stage.TRAIN:
                _introduce(telemetry)
                train.train(request, telemetry, stop)
            case Stage.TEST:
                _introduce(telemetry)
                held_out.test(request, telemetry)
    except tuple(_EXITS) as error:
        known = next(kind for kind in _EXITS if isinstance(error, kind))
        return _EXITS[known], str(error) or known.__name__
    except RuntimeError as error:
        if _CPU_MEMORY not in str(error):
            raise
        return Exit.OUT_OF_MEMORY, str(error)
    return Exit.OK, f"{request.stage.value} is done"


def _introduce(telemetry: Telemetry) -> None:
    """Say what this trainer is: results are comparable that were made alike."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    telemetry.trainer(
        version=metadata.version("distillery-trainer"),
        torch=str(torch.__version__).partition("+")[0],  # the rest is the build for a device
        transformers=transformers.__version__,
        device=device,
    )
