"""Host parts that are PyTorch modules, as far as these tests need them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from converted_modules import sandwich
from torch import nn

from lnn2loihi.converted.parts import ConvertedModule, HostPart


class TorchHost:
    """A host function: a module that takes tensors and answers a tuple of some.

    Args:
        module: the module.
        inputs: names of the values that it takes.
        outputs: names of the values that it answers with.
    """

    def __init__(self, module: nn.Module, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.module, self.inputs, self.outputs = module, inputs, outputs

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            return [one.numpy() for one in self.module(*map(torch.tensor, arrays))]

    def onnx(self) -> bytes:
        raise NotImplementedError


class Answering(nn.Module):
    """A module that answers a tuple of what another one answers."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.inner(*given),)


def torch_sandwich(seed: int = 0) -> ConvertedModule:
    """A linear map and a tanh, a CfC on the chip, and another map with a softmax."""
    torch.manual_seed(seed)
    modules = {
        "before": Answering(nn.Sequential(nn.Linear(3, 3), nn.Tanh())),
        "after": Answering(nn.Sequential(nn.Linear(2, 4), nn.Softmax(dim=-1))),
    }
    converted = sandwich()
    parts = tuple(
        dataclasses.replace(part, function=TorchHost(modules[part.name], part.inputs, part.outputs))
        if isinstance(part, HostPart)
        else part
        for part in converted.parts
    )
    return dataclasses.replace(converted, parts=parts)
