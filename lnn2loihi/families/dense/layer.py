"""Feed-forward layers and the readout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.layers.functions import error_function, sigmoid
from lnn2loihi.layers.layer import Gates, Layer, Vectors
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: LeCun's tanh, as ncps computes it: 1.7159 tanh(0.666 x).
LECUN_OUTPUT, LECUN_INPUT = 1.7159, 0.666


def _gelu(x: FloatArray) -> FloatArray:
    """X times the normal distribution function, as torch.nn.GELU() computes it."""
    return x * 0.5 * (1.0 + error_function(x / math.sqrt(2.0)))


#: What a stage computes from its sum, by name. LeCun's tanh is folded into `tanh`; see `folded`.
FUNCTIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "gelu": _gelu,
}
#: Names of activations that layers may have.
ACTIVATION_NAMES = ("lecun_tanh", *FUNCTIONS)


def folded(linear: Linear, activation: str) -> tuple[Linear, str, float]:
    """A layer as a map, a key of FUNCTIONS, and the factor by which its answer is too small."""
    if activation == "lecun_tanh":
        return linear.scaled(linear.name, outputs=LECUN_INPUT), "tanh", LECUN_OUTPUT
    return linear, activation, 1.0


def folded_name(activation: str) -> str:
    """The activation of a layer into whose weights LeCun's factors were folded."""
    return "tanh" if activation == "lecun_tanh" else activation


@dataclass(frozen=True, eq=False)
class DenseStage(Stage):
    """A map with an activation, key of FUNCTIONS."""

    family: ClassVar[str] = "dense"

    activation: str = "identity"

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The activation of the sum."""
        return FUNCTIONS[self.activation](sums[SUM]), {}


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class DenseLayer(Layer):
    """A feed-forward layer with an activation: before, between or after recurrent layers.

    Attributes:
        name: name in messages and tables.
        linear: the map.
        activation: one of ACTIVATION_NAMES.
    """

    stateless: ClassVar[bool] = True

    name: str
    linear: Linear
    activation: str

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
        """See `Layer.with_gates`; LeCun's tanh stays folded."""
        return DenseLayer(self.name, gates[self.name][SUM], folded_name(self.activation))

    def arrays(self) -> dict[str, FloatArray]:
        """See `Layer.arrays`."""
        return self.linear.arrays(self.name)

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        found = self.linear.problems(self.name)
        if self.activation not in ACTIVATION_NAMES:
            found.append(
                f"{self.name}: unknown activation {self.activation!r}; there are "
                f"{', '.join(ACTIVATION_NAMES)}"
            )
        return found
