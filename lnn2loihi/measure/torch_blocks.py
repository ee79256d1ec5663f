"""Parts of a network in PyTorch that run step by step or over whole sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from lnn2loihi.layers.stage import INPUT, Stage
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.stepping import step
from lnn2loihi.tensors import equations, with_vectors


class NoModuleError(Exception):
    """A family has no module that computes a layer; says which and why."""


class Block(Protocol):
    """A part of a network. States are whatever the block makes of them."""

    module: nn.Module

    def start(self, batch: int, like: Tensor) -> Any:
        """The initial state of so many sequences, on the device and in the type of a tensor."""
        ...

    def step(self, x: Tensor, state: Any, elapsed: Tensor | None) -> tuple[Tensor, Any]:
        """One step: x (batch, inputs), elapsed (batch, 1); the answer and the new state."""
        ...

    def sequence(self, x: Tensor, state: Any, elapsed: Tensor | None) -> Tensor:
        """All steps: x (batch, time, inputs), elapsed (batch, time)."""
        ...


class StatelessBlock:
    """A module without state, such as a linear map with its activation."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def start(self, batch: int, like: Tensor) -> Any:
        """None."""
        return None

    def step(self, x: Tensor, state: Any, elapsed: Tensor | None) -> tuple[Tensor, Any]:
        """See `Block`."""
        return self.module(x), state

    def sequence(self, x: Tensor, state: Any, elapsed: Tensor | None) -> Tensor:
        """See `Block`."""
        return self.module(x)


class StagesBlock:
    """The equations of a network, with masks folded into its weights and one product a stage.

    For families that bring no module with the weights of a network.
    """

    def __init__(self, network: LiquidNetwork) -> None:
        self._network = network
        self.module = nn.Module()
        arrays: dict[str, Any] = {"offset": network.input_offset, "scale": network.input_scale}
        for stage in network.stages:
            maps = stage.gates.values()
            arrays[f"{stage.name}.weight"] = np.concatenate([gate.weight for gate in maps])
            arrays[f"{stage.name}.bias"] = np.concatenate([gate.bias for gate in maps])
            arrays |= {f"{stage.name}.{name}": getattr(stage, name) for name in stage.vectors}
        self._places = {name: f"array_{place}" for place, name in enumerate(arrays)}
        for name, array in arrays.items():
            self.module.register_buffer(self._places[name], torch.tensor(np.array(array)))

    def _array(self, name: str) -> Tensor:
        return getattr(self.module, self._places[name])

    def start(self, batch: int, like: Tensor) -> Any:
        """See `Block`."""
        zeros = {s.name: like.new_zeros(batch, s.units) for s in self._network.stages}
        return zeros, {s.name: dict.fromkeys(s.memory, zeros[s.name]) for s in self._network.stages}

    def step(self, x: Tensor, state: Any, elapsed: Tensor | None) -> tuple[Tensor, Any]:
        """See `Block`. Networks that unfold evaluate their stages several times a sample."""
        now, memory = dict(state[0]), dict(state[1])
        now[INPUT] = (x - self._array("offset")) / self._array("scale")

        def answer(
            stage: Stage, heard: Sequence[Tensor], kept: Mapping[str, Tensor]
        ) -> tuple[Tensor, Mapping[str, Tensor]]:
            weight, bias = self._array(f"{stage.name}.weight"), self._array(f"{stage.name}.bias")
            total = torch.addmm(bias, torch.cat([*heard], dim=1), weight.T)
            sums = dict(zip(stage.gates, total.split(stage.units, dim=1), strict=True))
            vectors = {name: self._array(f"{stage.name}.{name}") for name in stage.vectors}
            return equations(
                with_vectors(stage, vectors), sums, kept, elapsed if stage.timed else None
            )

        for update in range(self._network.substeps):
            step(self._network.stages, now, memory, answer, update == 0)
        return now[self._network.stages[-1].name], (now, memory)

    def sequence(self, x: Tensor, state: Any, elapsed: Tensor | None) -> Tensor:
        """See `Block`."""
        answers: list[Tensor] = []
        for t in range(x.shape[1]):
            span = None if elapsed is None else elapsed[:, t : t + 1]
            one, state = self.step(x[:, t], state, span)
            answers.append(one)
        return torch.stack(answers, dim=1)
