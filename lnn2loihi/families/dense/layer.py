"""Feed-forward layers and the readout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.layers.activations import (
    activation_problem,
    canonical,
    folded,
    folded_name,
    function_of,
    kind_of,
)
from lnn2loihi.layers.layer import Gates, Layer, Vectors
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State


@dataclass(frozen=True, eq=False)
class DenseStage(Stage):
    """A map with an activation that needs no folding; see `lnn2loihi.layers.activations`."""

    family: ClassVar[str] = "dense"

    activation: str = "identity"

    @property
    def bound(self) -> float:
        """See `Stage.bound`: of a clamp with two ends the farther one."""
        kind, numbers = kind_of(self.activation)
        return max(map(abs, numbers)) if kind == "clamp" else math.inf

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The activation of the sum."""
        return function_of(self.activation)(sums[SUM]), {}


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class DenseLayer(Layer):
    """A feed-forward layer with an activation: before, between or after recurrent layers.

    Attributes:
        name: name in messages and tables.
        linear: the map.
        activation: its text, as `lnn2loihi.layers.activations` has it: "relu", "leaky_relu(0.01)",
            "clamp(-1,1)". It is kept in its canonical form.
    """

    stateless: ClassVar[bool] = True

    name: str
    linear: Linear
    activation: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not activation_problem(self.activation):
            object.__setattr__(self, "activation", canonical(self.activation))

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.linear.input_size

    @property
    def units(self) -> int:
        """Number of units."""
        return self.linear.output_size

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`."""
        linear, function, factor = folded(self.linear.scaled(SUM, inputs=scale), self.activation)
        return (DenseStage(self.name, (before,), {SUM: linear}, activation=function),), factor

    def with_gates(
        self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0
    ) -> DenseLayer:
        """See `Layer.with_gates`; what is folded stays folded."""
        return DenseLayer(self.name, gates[self.name][SUM], folded_name(self.activation))

    def arrays(self) -> dict[str, FloatArray]:
        """See `Layer.arrays`."""
        return self.linear.arrays(self.name)

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        found = self.linear.problems(self.name)
        wrong = activation_problem(self.activation)
        return [*found, f"{self.name}: {wrong}"] if wrong else found
