"""Work that a GPU replays: recorded once for each shape of its inputs, as a CUDA graph.

A student's step is a thousand small kernels, and a graph of them is launched as one. With 6 layers
of BERT-base's width and 8 windows, an H200 computes them in 3.9 ms and its host took 22.5 ms to
launch them; replayed they take 4.3 ms, and give the same losses. ``step`` uses it.
"""

import gc
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]

WARM_UP: Final = 3
"""Runs before a recording: libraries choose their kernels in the first."""


class Replay:
    """Work on a model: from tensors to a tensor, and gradients that it adds to the parameters'.

    The gradients must stay where they are: an optimiser may zero, but not drop them. The work must
    not wait for the GPU.
    """

    def __init__(self, model: Any, work: Callable[[Tensors], Tensor]) -> None:
        """Record nothing yet; the model's parameters are on the GPU, and stay where they are."""
        self._parameters = list(model.parameters())
        self._device = self._parameters[0].device
        self._work = work
        self._pool = torch.cuda.graph_pool_handle()
        self._recorded: dict[Any, tuple[torch.cuda.CUDAGraph, Tensors, Tensor]] = {}

    def __call__(self, inputs: Tensors) -> Tensor:
        """Do the work on tensors of the host; what is returned holds until the next call."""
        graph, on_device, result = self.record(inputs)
        for name, values in inputs.items():
            on_device[name].copy_(values.pin_memory(), non_blocking=True)
        graph.replay()
        return result

    def record(self, inputs: Tensors) -> tuple[torch.cuda.CUDAGraph, Tensors, Tensor]:
        """Return the recording for inputs of these shapes: the graph, its inputs, its result.

        All share their memory, so the largest should be recorded first. To record leaves neither
        gradients nor a trace in the random numbers.
        """
        shapes = tuple(values.shape for values in inputs.values())
        if shapes not in self._recorded:
            gradients = [None if p.grad is None else p.grad.clone() for p in self._parameters]
            random = torch.cuda.get_rng_state(self._device)
            self._recorded[shapes] = self._record(inputs)
            torch.cuda.set_rng_state(random, self._device)
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                if parameter.grad is not None:
                    parameter.grad.zero_()
                    if gradient is not None:
                        parameter.grad.copy_(gradient)
        return self._recorded[shapes]

    def _record(self, inputs: Tensors) -> tuple[torch.cuda.CUDAGraph, Tensors, Tensor]:
        on_device = {name: values.to(self._device) for name, values in inputs.items()}
        here = torch.cuda.current_stream()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._work(on_device)
        here.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        gc.disable()  # what it would free of earlier graphs, no recording survives
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                result = self._work(on_device)
        finally:
            gc.enable()
        return graph, on_device, result
