"""Layers that are normalised by the statistics of each sample: LayerNorm and RMSNorm.

On the chip a layer is four populations, which follow each other and have no state: the map, whose
units are centred by its weights; their squares; one neuron with the reciprocal of their size; and
the products of that with the map's units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.dense.layer import DenseStage
from lnn2loihi.layers.layer import Gates, Layer, Vectors
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: Gates: of a square, of the sum of all squares, and of the two factors of the answer.
VALUE, POWER, FACTOR = "value", "power", "factor"
#: What torch.nn.LayerNorm adds to a variance.
EPSILON = 1e-5


@dataclass(frozen=True, eq=False)
class CentreStage(DenseStage):
    """The map, with messages that are finer than those of the recipe: squares are made of them."""

    family: ClassVar[str] = "norm map"


@dataclass(frozen=True, eq=False)
class SquareStage(Stage):
    """The square of each unit of the map."""

    family: ClassVar[str] = "norm squares"
    fixed: ClassVar[tuple[str, ...]] = (VALUE,)

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The square."""
        return sums[VALUE] * sums[VALUE], {}


@dataclass(frozen=True, eq=False)
class RootStage(Stage):
    """One unit: 1 / sqrt(power), the reciprocal of the length of the vector of all units.

    Attributes:
        least: what is added to the sum of squares, units times epsilon, so that it is never 0.
    """

    family: ClassVar[str] = "norm root"
    fixed: ClassVar[tuple[str, ...]] = (POWER,)
    calibrated: ClassVar[tuple[str, ...]] = (POWER,)

    least: float

    @property
    def bound(self) -> float:
        """See `Stage.bound`: that of a sample whose units are all 0."""
        return 1.0 / math.sqrt(self.least)

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The reciprocal of the length."""
        return 1.0 / np.sqrt(np.maximum(sums[POWER], self.least)), {}


@dataclass(frozen=True, eq=False)
class NormalisedStage(Stage):
    """gain sqrt(units) value factor + shift, with the unit of the map as value, and as factor the
    reciprocal of the length.

    Attributes:
        gain, shift: float64 (units,).
    """

    family: ClassVar[str] = "layer norm"
    fixed: ClassVar[tuple[str, ...]] = (VALUE, FACTOR)
    vectors: ClassVar[tuple[str, ...]] = ("gain", "shift")

    gain: FloatArray
    shift: FloatArray

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The normalised units."""
        direction = sums[VALUE] * sums[FACTOR]
        return self.gain * (direction * math.sqrt(self.units)) + self.shift, {}


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class LayerNormLayer(Layer):
    """A map whose answers are divided by their root mean square, sample by sample.

    With z = linear x::

        answer = gain z / sqrt(mean(z^2) + epsilon) + shift

    With a map that is centred (`centred`: the mean over the units is taken off in the weights) that
    is LayerNorm, and `LayerNormLayer.of` makes it; with any other it is RMSNorm. Training for the
    chip trains the weights as they are, so that the map need not stay centred.

    Attributes:
        name: name in messages and tables.
        linear: the map, weight (units, inputs).
        gain: float64 (units,), the `weight` of torch.nn.LayerNorm.
        shift: float64 (units,), its `bias`.
        epsilon: what is added to the mean of the squares, above 0.
    """

    stateless: ClassVar[bool] = True

    name: str
    linear: Linear
    gain: FloatArray
    shift: FloatArray
    epsilon: float = EPSILON

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", np.asarray(self.gain, np.float64))
        object.__setattr__(self, "shift", np.asarray(self.shift, np.float64))
        super().__post_init__()

    @classmethod
    @checks_kinds(NetworkError)
    def of(
        cls,
        name: str,
        linear: Linear,
        gain: npt.ArrayLike | None = None,
        shift: npt.ArrayLike | None = None,
        epsilon: float = EPSILON,
    ) -> LayerNormLayer:
        """LayerNorm of a map.

        Args:
            name: name in messages and tables.
            linear: the map, which is centred here.
            gain: float64 (units,); ones where absent.
            shift: float64 (units,); zeros where absent.
            epsilon: what is added to the variance, above 0.

        Raises:
            InputError: gain or shift is no array of numbers.
        """
        units = linear.output_size
        subject = f"layer {name!r:.60}"
        own = np.ones(units) if gain is None else as_array(gain, subject, "gain")
        added = np.zeros(units) if shift is None else as_array(shift, subject, "shift")
        return cls(name, centred(linear), own, added, epsilon)

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.linear.input_size

    @property
    def units(self) -> int:
        """Number of units."""
        return self.linear.output_size

    @property
    def made_by_stages(self) -> tuple[int, int]:
        """See `Layer.made_by_stages`: the map, the squares and the root, and what hears them."""
        return 2 * self.units + 1, 4 * self.units

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`."""
        n, one, none = self.units, np.eye(self.units), np.zeros(self.units)
        centre, square, root = (f"{self.name}.{part}" for part in ("map", "squares", "root"))
        least = n * self.epsilon
        value = Linear(VALUE, np.hstack([one, np.zeros((n, 1))]), none)
        factor = Linear(FACTOR, np.hstack([0.0 * one, np.ones((n, 1))]), none)
        return (
            CentreStage(centre, (before,), {SUM: self.linear.scaled(SUM, inputs=scale)}),
            SquareStage(square, (StageSource(centre, n),), {VALUE: Linear(VALUE, one, none)}),
            RootStage(
                root,
                (StageSource(square, n),),
                {POWER: Linear(POWER, np.ones((1, n)), np.array([least]))},
                least,
            ),
            NormalisedStage(
                self.name,
                (StageSource(centre, n), StageSource(root, 1)),
                {VALUE: value, FACTOR: factor},
                self.gain,
                self.shift,
            ),
        ), 1.0

    def with_gates(
        self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0
    ) -> LayerNormLayer:
        """See `Layer.with_gates`."""
        own = vectors.get(self.name, {})
        gain, shift = own.get("gain", self.gain), own.get("shift", self.shift)
        linear = gates[f"{self.name}.map"][SUM]
        return LayerNormLayer(self.name, linear, gain, shift, self.epsilon)

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        found = self.linear.problems(self.name)
        for field in ("gain", "shift") if not found else ():
            values: FloatArray = getattr(self, field)
            if values.shape != (self.units,):
                found.append(
                    f"{self.name}: {field} has shape {values.shape}, expected ({self.units},)"
                )
            elif not np.isfinite(values).all():
                found.append(f"{self.name}: {field} holds NaN or infinite values")
        if not 0.0 < self.epsilon < math.inf:
            found.append(
                f"{self.name}: epsilon is {self.epsilon:g}; give a number above 0, since a sample "
                "whose units are all alike would be divided by 0"
            )
        if not found and self.units < 2:
            found.append(f"{self.name}: one unit normalised by itself is its sign; give more units")
        return found


@checks_kinds(NetworkError)
def centred(linear: Linear) -> Linear:
    """The map without the mean over its outputs: what LayerNorm divides by its deviation."""
    weight = linear.weight - linear.weight.mean(axis=0)
    return Linear(linear.name, weight, linear.bias - linear.bias.mean())
