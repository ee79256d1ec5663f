"""The synapses of liquid layers, one unit of the chip for each: LTC and LRC have them alike.

Source: ncps 1.0.1, torch/ltc_cell.py (`_sigmoid`); MoniFarsang/LRC, classification/lrc_cell.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.layers.layer import TrainedMap
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: The one gate of a synapse.
SOURCE = "source"


@dataclass(frozen=True, eq=False)
class SynapseStage(Stage):
    """One unit for each synapse: the logistic function of slope * z + offset.

    Each unit reads one column, through a weight of one that is no parameter.

    Attributes:
        slope, offset: float64 (units,); sigma and -sigma mu of the literature.
        unfolds: steps of the layer for each sample.
    """

    family: ClassVar[str] = "ltc synapse"
    vectors: ClassVar[tuple[str, ...]] = ("slope", "offset")
    selects: ClassVar[bool] = True
    logistic: ClassVar[tuple[str, ...]] = ("opening",)

    slope: FloatArray
    offset: FloatArray
    unfolds: int

    @property
    def largest_weight(self) -> float:
        """Largest slope."""
        return float(np.abs(self.slope).max())

    @property
    def bound(self) -> float:
        """The logistic function's."""
        return 1.0

    def sums(self, z: FloatArray) -> dict[str, FloatArray]:
        """The column that each unit reads."""
        return {SOURCE: z[..., self.read]}

    @cached_property
    def read(self) -> npt.NDArray[np.int64]:
        """The column that each unit reads, (units,)."""
        return self.gates[SOURCE].weight.argmax(axis=1)

    def logistic_arguments(
        self, sums: Mapping[str, FloatArray], elapsed: FloatArray | None
    ) -> dict[str, FloatArray]:
        """What the synapses open by."""
        return {"opening": self.slope * sums[SOURCE] + self.offset}

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """How far each synapse is open, 0 to 1."""
        return sigmoid(self.logistic_arguments(sums, elapsed)["opening"]), {}


@dataclass(frozen=True, eq=False)
class Synapses:
    """The synapses of a layer: with z = [x; v], the inputs followed by the layer's own potentials,
    the one from column i to unit j is open by sigmoid(slope_ji z_i + offset_ji).

    Attributes:
        slope, offset: float64 (units, inputs + units).
        wiring: bool (units, inputs + units): those that exist.
    """

    slope: FloatArray
    offset: FloatArray
    wiring: npt.NDArray[np.bool_]

    @property
    def units(self) -> int:
        """Units on which they end."""
        return len(self.wiring)

    @property
    def inputs(self) -> int:
        """Columns that come from outside the layer."""
        return self.wiring.shape[1] - self.units

    @cached_property
    def ends(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The unit on which each ends, and the column that it hears, (synapses,) each."""
        after, column = np.nonzero(self.wiring)
        return after, column

    @property
    def count(self) -> int:
        """Number of synapses."""
        return len(self.ends[0])

    def stage(
        self, name: str, before: StageSource, hidden: StageSource, scale: float, unfolds: int
    ) -> SynapseStage:
        """The stage that computes how far they are open.

        Args:
            name: its name.
            before: what feeds the layer; see `Layer.stages`.
            hidden: where the potentials come from.
            scale: factor by which the answer of `before` is too small.
            unfolds: steps of the layer for each sample.
        """
        after, column = self.ends
        factors = np.ones(self.wiring.shape[1])
        factors[: self.inputs] = scale
        reading = np.zeros((self.count, factors.size))
        reading[np.arange(self.count), column] = 1.0
        return SynapseStage(
            name,
            (before, hidden),
            {SOURCE: Linear(SOURCE, reading, np.zeros(self.count))},
            (self.slope * factors)[after, column],
            self.offset[after, column],
            unfolds,
        )

    def onto_units(self, name: str, linear: Linear) -> Linear:
        """A map of z as a gate of that name of what the synapses say: weight (units, synapses)."""
        after, column = self.ends
        weight = np.zeros((self.units, self.count))
        weight[after, np.arange(self.count)] = linear.weight[after, column]
        return Linear(name, weight, linear.bias)

    def of_columns(self, name: str, gate: Linear) -> Linear:
        """The map of z, of that name, of which `onto_units` makes this gate; columns beyond the
        synapses do not count.
        """
        after, column = self.ends
        weight = np.zeros(self.wiring.shape)
        weight[after, column] = gate.weight[after, np.arange(self.count)]
        return Linear(name, weight, gate.bias)

    def with_vectors(self, vectors: Mapping[str, FloatArray]) -> Synapses:
        """The synapses with other vectors of their stage, as training leaves them."""
        after, column = self.ends
        parts = {"slope": np.array(self.slope), "offset": np.array(self.offset)}
        for name, values in parts.items():
            if name in vectors:
                values[after, column] = vectors[name]
        return replace(self, **parts)

    def with_inputs(self, factor: FloatArray, offset: FloatArray) -> Synapses:
        """See `Layer.with_inputs`."""
        slope, moved = np.array(self.slope), np.array(self.offset)
        moved[:, : self.inputs] += slope[:, : self.inputs] * offset
        slope[:, : self.inputs] *= factor
        return replace(self, slope=slope, offset=moved)

    def can_hear(self, matrix: FloatArray) -> bool:
        """See `Layer.can_hear`: a synapse hears one column, and a unit each column by one synapse.

        So no two columns may enter a synapse, nor two synapses of a unit end at one column, and
        one synapse has to be left. What no synapse hears does not count.
        """
        heard = self.wiring[:, : self.inputs]
        live = matrix != 0.0
        if (live.sum(axis=1)[heard.any(axis=0)] > 1).any():
            return False
        ends = heard.astype(np.int64) @ live.astype(np.int64)
        return bool((ends <= 1).all() and (ends.any() or self.wiring[:, self.inputs :].any()))

    def hearing(
        self, matrix: FloatArray, offset: FloatArray
    ) -> tuple[Synapses, Callable[[Linear], Linear]]:
        """See `Layer.hearing`: the synapses, and what makes a map of z one of what they hear now.
        A synapse that hears a constant is open by a constant, which the bias takes over.
        """
        inputs, columns = self.inputs, matrix.shape[1]
        live = matrix != 0.0
        after, column = np.nonzero(self.wiring[:, :inputs] & live.any(axis=1))
        end = live.argmax(axis=1)[column]

        def moved(array: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            made = np.zeros((self.units, columns), array.dtype)
            made[after, end] = values
            return np.hstack([made, array[:, inputs:]])

        shifted = self.offset[:, :inputs] + self.slope[:, :inputs] * offset
        still = np.where(self.wiring[:, :inputs] & ~live.any(axis=1), sigmoid(shifted), 0.0)

        def summed(linear: Linear) -> Linear:
            constant = np.sum(still * linear.weight[:, :inputs], axis=1)
            weight = moved(linear.weight, linear.weight[after, column])
            return Linear(linear.name, weight, linear.bias + constant)

        made = Synapses(
            moved(self.slope, self.slope[after, column] * matrix[column, end]),
            moved(self.offset, shifted[after, column]),
            moved(self.wiring, np.ones(after.size, np.bool_)),
        )
        return made, summed

    def trained_maps(self, stage: str, maps: Sequence[Linear]) -> Iterator[TrainedMap]:
        """See `Layer.trained_maps`: a number of each synapse for its slope and for each map of z is
        multiplied, those of inputs once for each sample, the others in each unfold; how far a
        synapse is open is never zero.

        Args:
            stage: name of their stage.
            maps: what weighs how far they are open.
        """
        columns = np.arange(self.wiring.shape[1])
        for part in (slice(0, self.inputs), slice(self.inputs, None)):
            own, again = columns[part], part.start > 0
            slope = np.where(self.wiring, self.slope, 0.0)[:, own]
            # An offset for each slope.
            yield TrainedMap(slope, slope.size, stage, own, again)
            for linear in maps:
                biases = 0 if again else linear.bias.size
                weight = linear.weight[:, own]
                yield TrainedMap(weight, biases, stage, own, again, never_zero=True)
