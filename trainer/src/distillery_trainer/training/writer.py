"""Writes the checkpoints of a training, one after the other. ``train`` calls it.

A student of 66 million weights has a checkpoint of 800 MB, which takes a disk seconds. A GPU would
wait for it. So there the state is copied to the host, and a thread writes it while the training
continues. On a CPU the writing takes the time of the same cores, and a copy would take memory.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from distillery_trainer.training.checkpoint import Checkpoints, State


class Writer:
    """Writes one checkpoint at a time, beside the training or in between.

    A process ends only after a checkpoint that is being written. One that is killed leaves the
    checkpoint before: a new one appears as a whole.
    """

    def __init__(self, checkpoints: Checkpoints, written: Callable[[int], None], beside: bool):
        """Write nothing yet.

        Args:
            checkpoints: of the trial.
            written: gets the step of each checkpoint that is there; any thread may call it.
            beside: whether the training continues while a checkpoint is written.
        """
        self._checkpoints, self._written = checkpoints, written
        self._thread = ThreadPoolExecutor(1, "checkpoints") if beside else None
        self._running: Future[None] | None = None

    def save(self, state: State) -> None:
        """Write a checkpoint, once the one before is written.

        Raises:
            OSError: this one, or the one before, could not be written.
        """
        self.wait()
        if self._thread:
            self._running = self._thread.submit(self._write, state.apart())
        else:
            self._write(state)

    def wait(self) -> None:
        """Return once the latest checkpoint is there.

        Raises:
            OSError: it could not be written.
        """
        running, self._running = self._running, None
        if running:
            running.result()

    def _write(self, state: State) -> None:
        self._checkpoints.write(state)
        self._written(state.progress.step)


def beside(device: torch.device) -> bool:
    """Tell whether a training on a device continues while its checkpoints are written."""
    return device.type == "cuda"
