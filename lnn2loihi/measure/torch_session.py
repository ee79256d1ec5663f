"""PyTorch as a backend, on a CPU or a GPU."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lnn2loihi.family import family_of_importer, importer_of, importers, left_out
from lnn2loihi.faults import described
from lnn2loihi.measure.runner import Session
from lnn2loihi.measure.torch_blocks import Block, NoModuleError, StagesBlock, StatelessBlock
from lnn2loihi.network import FloatArray, LiquidNetwork

#: How a network came to run in PyTorch, beside the modules of a family's own package.
LIVE_MODULE = "PyTorch, the module that was given"
EQUATIONS = "PyTorch, the equations of the network, masks folded (no module of its family)"


def live_blocks(module: Any, timespan: float | None) -> tuple[list[Block], str]:
    """A copy of the user's recurrent module, and the name of its importer; nothing, and an empty
    name, where nobody knows how it keeps its state. The module stays as it is.

    Args:
        module: the module.
        timespan: constant elapsed time, or None where it comes with the samples.
    """
    if (importer := importer_of(module)) is not None:
        try:
            block = importer.block(module, timespan)
        except Exception as error:  # a stranger's importer, or a module that cannot be copied
            left_out(
                family_of_importer(importer),
                f"its modules cannot be run step by step: {described(error)}",
            )
        else:
            return ([], "") if block is None else ([block], importer.name)
    return [], ""


def network_blocks(network: LiquidNetwork) -> tuple[list[Block], str]:
    """The network in PyTorch: modules of a family with its weights, and the name of its importer;
    or its equations, and an empty name. Modules run one after the other: where a layer hears
    another than the one before, it is the equations.
    """
    if network.hears:
        return [StagesBlock(network)], ""
    for family, importer in importers():
        if family.torch_blocks is not None:
            try:
                return family.torch_blocks(network), importer.name
            except (ImportError, NoModuleError):
                continue
            except Exception as error:  # a stranger's
                left_out(family.name, f"no modules can be made of a network: {described(error)}")
    return [StagesBlock(network)], ""


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
