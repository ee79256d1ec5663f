"""Layers that are one stage of gates: what GRU, LSTM, minGRU and minLSTM have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.stage import Stage, StageSource


@dataclass(frozen=True, eq=False)
class GatedLayer(Layer):
    """A recurrent layer of one stage, whose gates are affine maps of its inputs and its state.

    Attributes:
        name: name in messages and tables.
        gates: for each of `names` its map, weight (units, inputs + units), or (units, inputs)
            where the layer does not hear itself.
    """

    #: Names of the gates, in order.
    names: ClassVar[tuple[str, ...]]
    #: Whether the gates hear the layer's own last answer.
    hears_itself: ClassVar[bool] = True

    name: str
    gates: tuple[Linear, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "gates", tuple(self.gates))

    @property
    def units(self) -> int:
        """Number of units."""
        return self.gates[0].output_size

    @property
    def input_size(self) -> int:
        """Number of inputs from outside the layer."""
        return self.gates[0].input_size - (self.units if self.hears_itself else 0)

    @abstractmethod
    def stage(self, sources: tuple[StageSource, ...], gates: Mapping[str, Linear]) -> Stage:
        """The stage with these gates."""

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`; the elapsed time has no part in these layers."""
        sources: tuple[StageSource, ...] = (before,)
        if self.hears_itself:
            sources = (before, StageSource(self.name, self.units, previous=True))
        factors = np.ones(self.gates[0].input_size)
        factors[: before.columns] = scale
        gates = {g.name: g.with_columns(g.name, factors) for g in self.gates}
        return (self.stage(sources, gates),), 1.0

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        if tuple(gate.name for gate in self.gates) != self.names:
            found = ", ".join(gate.name for gate in self.gates) or "none"
            return [f"{self.name}: has gates {found}; expected {', '.join(self.names)}"]
        found = [problem for gate in self.gates for problem in gate.problems(self.name)]
        shapes = {gate.name: gate.weight.shape for gate in self.gates}
        if not found and len(set(shapes.values())) > 1:
            found.append(f"{self.name}: the weights differ in shape: {shapes}")
        if not found and self.input_size < 1:
            found.append(
                f"{self.name}: {self.gates[0].input_size} columns cannot hold at least one input "
                f"and {self.units} units"
            )
        return found
