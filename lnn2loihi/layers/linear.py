"""The affine map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.errors import NetworkError
from lnn2loihi.frozen import ArrayEquality, read_only
from lnn2loihi.showing import Shown

FloatArray = npt.NDArray[np.float64]
#: Name of the one gate of stages that have one.
SUM = "linear"


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class Linear(Shown, ArrayEquality):
    """An affine map y = weight x + bias.

    Attributes:
        name: name in messages and tables.
        weight: float64 (outputs, inputs).
        bias: float64 (outputs,).
    """

    name: str
    weight: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", read_only(self.weight, np.float64))
        object.__setattr__(self, "bias", read_only(self.bias, np.float64))

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.weight.shape[1]

    @property
    def output_size(self) -> int:
        """Number of outputs."""
        return self.weight.shape[0]

    def __call__(self, inputs: FloatArray) -> FloatArray:
        """Applies the map to the last axis."""
        return inputs @ self.weight.T + self.bias

    @checks_kinds(NetworkError)
    def scaled(self, name: str, inputs: float = 1.0, outputs: float = 1.0) -> Linear:
        """The map that answers `outputs` times this one's answer to `inputs` times the input."""
        if inputs == outputs == 1.0:
            return Linear(name, self.weight, self.bias)
        return Linear(name, self.weight * (inputs * outputs), self.bias * outputs)

    def with_columns(self, name: str, factors: FloatArray) -> Linear:
        """The map that answers the same to inputs that are too small by `factors` (inputs,)."""
        ones = bool((factors == 1.0).all())  # large matrices are shared then
        return Linear(name, self.weight if ones else self.weight * factors, self.bias)

    def with_inputs(self, factor: FloatArray, offset: FloatArray) -> Linear:
        """The map that answers to x what this one answers to factor * x + offset in its first
        columns; the others stay as they are.

        Args:
            factor: float64 (n,), of the first n inputs.
            offset: float64 (n,).
        """
        inputs = len(factor)
        weight = self.weight.copy()
        bias = self.bias + weight[:, :inputs] @ offset
        weight[:, :inputs] *= factor
        return Linear(self.name, weight, bias)

    def hearing(self, matrix: FloatArray, offset: FloatArray) -> Linear:
        """The map that answers to x what this one answers to matrix @ x + offset in its first
        columns; the others stay as they are, behind those of x.

        Args:
            matrix: float64 (n, columns of x), of the first n inputs.
            offset: float64 (n,).
        """
        heard, rest = self.weight[:, : len(matrix)], self.weight[:, len(matrix) :]
        return Linear(self.name, np.hstack([heard @ matrix, rest]), self.bias + heard @ offset)

    def arrays(self, key: str) -> dict[str, FloatArray]:
        """Weight and bias under a key."""
        return {f"{key}.weight": self.weight, f"{key}.bias": self.bias}

    def problems(self, owner: str = "") -> list[str]:
        """Everything that is wrong with the arrays, named by `owner`."""
        name = f"{owner}.{self.name}" if owner else self.name
        found: list[str] = []
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            shape = self.weight.shape
            found.append(f"{name}.weight has shape {shape}, expected (outputs, inputs)")
        elif self.bias.shape != (self.output_size,):
            found.append(f"{name}.bias has shape {self.bias.shape}, expected ({self.output_size},)")
        for part, array in (("weight", self.weight), ("bias", self.bias)):
            bad = int(np.count_nonzero(~np.isfinite(array)))
            if bad:
                found.append(
                    f"{name}.{part} holds {bad} NaN or infinite of {array.size} values; "
                    "the training diverged or the file is damaged"
                )
        return found
