"""PyTorch as a backend, on a CPU or a GPU."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lnn2loihi.measure.runner import Session
from lnn2loihi.measure.torch_blocks import (
    Block,
    NcpsBlock,
    NoModuleError,
    StagesBlock,
    StatelessBlock,
)
from lnn2loihi.network import FloatArray, LiquidNetwork

_NCPS = (("ncps.torch.cfc", "CfC"), ("ncps.torch.ltc", "LTC"))
#: How a network came to run in PyTorch.
LIVE_NCPS = "ncps, the module that was given"
LIVE_MODULE = "PyTorch, the module that was given"
REBUILT = "ncps, modules with the weights of the network"
EQUATIONS = "PyTorch, the equations of the network, masks folded (no module of ncps)"


def is_ncps(module: Any) -> bool:
    """Whether it is a CfC or LTC of ncps that has not overridden `forward`."""
    owner = next(c for c in type(module).__mro__ if "forward" in vars(c))
    return (owner.__module__, owner.__name__) in _NCPS


def live_blocks(module: Any, timespan: float | None) -> list[Block]:
    """A copy of the user's module of ncps; the module stays as it is.

    Args:
        module: an `ncps.torch.CfC` or `ncps.torch.LTC`.
        timespan: constant elapsed time, or None where it comes with the samples.
    """
    return [NcpsBlock(copy.deepcopy(module), timespan)]


def network_blocks(network: LiquidNetwork) -> tuple[list[Block], str]:
    """The network in PyTorch, and which way that was possible."""
    try:
        from lnn2loihi.families.cfc.ncps_modules import ncps_blocks

        return ncps_blocks(network), REBUILT
    except (ImportError, NoModuleError):
        return [StagesBlock(network)], EQUATIONS


class TorchSession(Session):
    """Blocks in a row, in float32 and without gradients.

    Args:
        blocks: what runs.
        device: "cpu" or "cuda".
        threads: threads of PyTorch on the CPU; None leaves them.
    """

    def __init__(self, blocks: Sequence[Block], device: str, threads: int | None) -> None:
        self._blocks, self._threads = list(blocks), threads
        self._threads_before = torch.get_num_threads()
        self._device = torch.device(device)
        for block in self._blocks:
            block.module = block.module.float().eval().to(self._device)

    def activate(self) -> None:
        """Sets the threads of PyTorch, which are those of the process."""
        if self._threads is not None and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)

    def prepare(self, x: FloatArray, timespans: FloatArray | None) -> Any:
        """Tensors float32 on the host."""
        return _tensor(x), None if timespans is None else _tensor(timespans)

    @torch.inference_mode()
    def run(self, prepared: Any) -> Tensor:
        """See `Session`; the way to the GPU and back is part of it."""
        x, elapsed = (None if part is None else part.to(self._device) for part in prepared)
        assert x is not None
        for block in self._blocks:
            x = block.sequence(x, block.start(len(x), x), elapsed)
        return x.cpu()

    def outputs(self, answer: Any) -> FloatArray:
        """See `Session`."""
        array = answer.numpy().astype(np.float64)
        return array if array.ndim == 3 else array[:, None]

    def prepare_steps(self, x: FloatArray, timespans: FloatArray | None) -> Sequence[Any]:
        """Tensors float32 (1, inputs) and (1, 1) on the host."""
        times = [None] * len(x) if timespans is None else _tensor(timespans[:, None, None])
        return list(zip(_tensor(x[:, None]), times, strict=True))

    def open_stream(self) -> Callable[[Any], Any]:
        """See `Session`."""
        blocks, device = self._blocks, self._device
        like = torch.zeros(1, device=device)
        states = [block.start(1, like) for block in blocks]

        @torch.inference_mode()
        def step(sample: Any) -> Tensor:
            x, elapsed = sample
            x = x.to(device)
            elapsed = None if elapsed is None else elapsed.to(device)
            for place, block in enumerate(blocks):
                x, states[place] = block.step(x, states[place], elapsed)
            return x.cpu()

        return step

    def close(self) -> None:
        """Gives the memory of the GPU back, and the threads."""
        self._blocks.clear()
        if torch.get_num_threads() != self._threads_before:
            torch.set_num_threads(self._threads_before)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


class ModuleSession(TorchSession):
    """A user's own module, called on whole sequences: nobody knows where its state is.

    Args:
        module: the module; a copy runs.
        device: "cpu" or "cuda".
        threads: threads of PyTorch on the CPU; None leaves them.
    """

    def __init__(self, module: Any, device: str, threads: int | None) -> None:
        super().__init__([StatelessBlock(copy.deepcopy(module))], device, threads)
        self._timed = "timespans" in inspect.signature(module.forward).parameters

    @torch.inference_mode()
    def run(self, prepared: Any) -> Tensor:
        """See `Session`."""
        x, elapsed = (None if part is None else part.to(self._device) for part in prepared)
        module = self._blocks[0].module
        timed = self._timed and elapsed is not None
        answer = module(x, timespans=elapsed) if timed else module(x)
        return (answer[0] if isinstance(answer, tuple) else answer).cpu()


def _tensor(array: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
