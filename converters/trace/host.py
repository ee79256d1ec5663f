"""Parts of a recording as modules of their own, which run without the rest of the module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn2loihi.converters.trace.recording import Recording


def between(recording: Recording, given: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
    """The nodes that compute values from others, by their places in `recording.nodes`, in order:
    as few as there can be.

    Args:
        recording: the recording.
        given: values that are there.
        wanted: values to compute.

    Raises:
        ValueError: an input of the module would be needed that is not given.
    """
    ...


def needed(
    recording: Recording, wanted: Sequence[int], available: Sequence[int]
) -> tuple[int, ...]:
    """Those of the available values that others are computed of, sorted: what their nodes take, and
    where a size (of the batch or of the time) can be read from none of these, one more that has it.
    Where an available value is computed of others, it is taken itself.

    Raises:
        ValueError: an input of the module would be needed that is not available.
    """
    ...


def host_module(recording: Recording, given: Sequence[int], wanted: Sequence[int]) -> HostModule:
    """A module that computes values from others: module(*given) -> tuple of wanted.

    It holds the live module's own parts, parameters and buffers, under the names that they have
    there, so that training it trains them; sizes are taken from the given tensors. In float32 (or
    whatever the live module's parameters are).
    """
    ...


def multiply_adds(recording: Recording, nodes: Sequence[int]) -> int:
    """Multiply-adds of some nodes for the example.

    Recurrent parts by their weights (LTC: once for each of the unfolds), all else as
    `torch.utils.flop_counter` counts it: products of matrices, convolutions, attention; what it
    does not know is 0.
    """
    ...


class HostModule(nn.Module):
    """Replays nodes; see `host_module`."""

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The wanted values."""
        ...


class TorchFunction:
    """A host part computed by PyTorch: a `lnn2loihi.converted.parts.HostFunction`.

    Args:
        module: what it computes.
        inputs: names of the values that it takes.
        outputs: names of the values that it answers with.
    """

    def __init__(self, module: HostModule, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        ...

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for inputs."""
        ...

    def onnx(self) -> bytes:
        """The same as an ONNX model.

        Raises:
            ImportNetworkError: PyTorch cannot export it, or only for the example's own sizes.
        """
        ...
