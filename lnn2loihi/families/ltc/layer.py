"""Liquid time-constant layers (LTC), as ncps 1.0.1 computes them.

Sources: ncps 1.0.1, torch/ltc.py and torch/ltc_cell.py; Hasani et al. 2021, arXiv:2006.04439,
algorithm 1 (the fused, semi-implicit solver).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.lstm.memory import HeldMemoryStage, Memory
from lnn2loihi.frozen import read_only
from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.layers.layer import Gates, Layer, TrainedMap, Vectors
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: The one gate of a synapse, and the two sums of a membrane.
SOURCE = "source"
CURRENT, CONDUCTANCE = "current", "conductance"
#: Most unfolds of a layer: a program updates so often for each sample.
MOST_UNFOLDS = 1 << 10
#: What a membrane keeps.
POTENTIAL = "v"


@dataclass(frozen=True, eq=False)
class SynapseStage(Stage):
    """One unit for each synapse: the logistic function of slope * z + offset.

    Each unit reads one column, through a weight of one that is no parameter.

    Attributes:
        slope, offset: float64 (units,); sigma and -sigma mu of the literature.
        unfolds: steps of the LTC for each sample.
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
class MembraneStage(Stage):
    """The membranes: one semi-implicit step of capacitance v' = current - conductance v.

    Gates: current and conductance, each the sum over open synapses with the leak as its bias.

    Attributes:
        capacitance: float64 (units,).
        unfolds: steps in which a sample's elapsed time is passed.
        timespan: the constant elapsed time of a sample; None if timed.
        mixed: name of the stage of the mixed memory, or "".
    """

    family: ClassVar[str] = "ltc"
    memory: ClassVar[tuple[str, ...]] = (POTENTIAL,)
    vectors: ClassVar[tuple[str, ...]] = ("capacitance",)
    positive: ClassVar[tuple[str, ...]] = (CONDUCTANCE, "capacitance")

    capacitance: FloatArray
    unfolds: int
    timespan: float | None
    mixed: str = ""

    @property
    def starts_from(self) -> str:
        """The mixed memory, if there is one."""
        return self.mixed

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The potential after one unfold; multiplied by the time, so that none may pass."""
        time = self.timespan if elapsed is None else elapsed
        assert time is not None
        kept = self.capacitance * self.unfolds
        v = kept * state[POTENTIAL] + time * sums[CURRENT]
        v = v / (kept + time * sums[CONDUCTANCE])
        return v, {POTENTIAL: v}

    @property
    def bound(self) -> float:
        """A new potential is a convex combination of the old one, at first 0, and the reversal
        potentials of leak and synapses; infinite where conductances are not positive. A mixed
        memory answers within 1.
        """
        current, conductance = self.gates[CURRENT], self.gates[CONDUCTANCE]
        pairs = (
            (current.weight, conductance.weight),
            (current.bias, conductance.bias),
        )
        largest = 1.0 if self.mixed else 0.0
        for numerator, denominator in pairs:
            if (denominator < 0).any() or (numerator[denominator == 0] != 0).any():
                return math.inf
            live = denominator > 0
            if live.any():
                largest = max(largest, float(np.abs(numerator[live] / denominator[live]).max()))
        return largest


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class LTCLayer(Layer):
    """One layer of liquid time-constant units.

    With z = [x; v], the inputs followed by the potentials of the unfold before, and for each
    unfold of a sample, `elapsed / unfolds` being the time that it takes::

        open_ji = sigmoid(slope_ji z_i + offset_ji)
        current_j = sum_i current_ji open_ji + its bias      conductance_j likewise
        v_j' = (c v_j + current_j) / (c + conductance_j)     c = capacitance_j unfolds / elapsed

    In the words of ncps: slope is sigma (times the input mapping), offset -sigma mu, the
    conductance w with the bias gleak + epsilon, the current w erev with the bias gleak vleak, and
    the capacitance cm, after the constraint that keeps them positive. The answer is the potentials
    of all units; which of them are outputs is up to the readout.

    Attributes:
        name: name in messages and tables.
        slope, offset: float64 (units, inputs + units).
        conductance, current: Linear maps, weight (units, inputs + units).
        capacitance: float64 (units,).
        wiring: bool (units, inputs + units): the synapses that exist.
        unfolds: steps of the solver for each sample.
        memory: the mixed memory, or None: an LSTM that reads the inputs and the potentials of the
            sample before, and from whose answer the first unfold starts.
    """

    name: str
    slope: FloatArray
    offset: FloatArray
    conductance: Linear
    current: Linear
    capacitance: FloatArray
    wiring: npt.NDArray[np.bool_]
    _: KW_ONLY
    unfolds: int = 6  # pyright: ignore[reportIncompatibleVariableOverride]
    memory: Memory | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "wiring", read_only(self.wiring, np.bool_))
        for part in ("slope", "offset", "capacitance"):
            object.__setattr__(self, part, read_only(getattr(self, part), np.float64))

    @property
    def units(self) -> int:
        """Number of units."""
        return self.conductance.output_size

    @property
    def input_size(self) -> int:
        """Number of inputs from outside the layer."""
        return self.conductance.input_size - self.units

    @property
    def synapse_stage(self) -> str:
        """Name of the stage of its synapses."""
        return f"{self.name}.synapses"

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`; all stages are run `unfolds` times for each sample."""
        after, column = np.nonzero(self.wiring)
        units, count = np.arange(after.size), after.size
        factors = np.ones(self.conductance.input_size)
        factors[: self.input_size] = scale
        reading = np.zeros((count, factors.size))
        reading[units, column] = 1.0
        made: list[Stage] = []
        mixed = ""
        if self.memory is not None:
            mixed = f"{self.name}.memory"
            last = StageSource(self.name, self.units, previous=True)
            own = self.memory.stage(mixed, before, (last,), scale)
            made.append(HeldMemoryStage(mixed, own.sources, own.gates, self.unfolds))
        hidden = StageSource(self.name, self.units, previous=True, first=mixed)
        if mixed and self.unfolds == 1:
            hidden = StageSource(mixed, self.units)
        synapses = SynapseStage(
            self.synapse_stage,
            (before, hidden),
            {SOURCE: Linear(SOURCE, reading, np.zeros(count))},
            (self.slope * factors)[after, column],
            self.offset[after, column],
            self.unfolds,
        )
        gates: dict[str, Linear] = {}
        for gate, linear in ((CURRENT, self.current), (CONDUCTANCE, self.conductance)):
            weight = np.zeros((self.units, count))
            weight[after, units] = linear.weight[after, column]
            gates[gate] = Linear(gate, weight, linear.bias)
        membranes = MembraneStage(
            self.name,
            (StageSource(synapses.name, count),),
            gates,
            self.capacitance,
            self.unfolds,
            timespan,
            mixed,
            timed=timespan is None,
        )
        return (*made, synapses, membranes), 1.0

    @property
    def made_by_stages(self) -> tuple[int, int]:
        """A unit for each synapse, and matrices from columns to them and on to the membranes."""
        synapses = int(self.wiring.sum())
        return synapses, synapses * (self.input_size + 3 * self.units)

    def with_inputs(self, factor: FloatArray, offset: FloatArray) -> LTCLayer:
        """See `Layer.with_inputs`: only how far synapses open depends on what they hear."""
        inputs, slope, moved = len(factor), self.slope.copy(), self.offset.copy()
        moved[:, :inputs] += slope[:, :inputs] * offset
        slope[:, :inputs] *= factor
        return replace(
            self,
            slope=slope,
            offset=moved,
            memory=self._memory_with(lambda linear: linear.with_inputs(factor, offset)),
        )

    def can_hear(self, matrix: FloatArray) -> bool:
        """See `Layer.can_hear`: a synapse hears one column, and a unit each column by one synapse.

        So no two columns may enter a synapse, nor two synapses of a unit end at one column, and
        one synapse has to be left. What no synapse hears does not count.
        """
        heard = self.wiring[:, : self.input_size]
        live = matrix != 0.0
        if (live.sum(axis=1)[heard.any(axis=0)] > 1).any():
            return False
        ends = heard.astype(np.int64) @ live.astype(np.int64)
        return bool((ends <= 1).all() and (ends.any() or self.wiring[:, self.input_size :].any()))

    def hearing(self, matrix: FloatArray, offset: FloatArray) -> LTCLayer:
        """See `Layer.hearing`: only how far synapses open depends on what they hear. Those that
        hear a constant are open by a constant, which the leak takes over.
        """
        matrix, offset = self.checked_hearing(matrix, offset)
        inputs, columns = self.input_size, matrix.shape[1]
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

        slope = self.slope[after, column] * matrix[column, end]
        return replace(
            self,
            slope=moved(self.slope, slope),
            offset=moved(self.offset, shifted[after, column]),
            conductance=summed(self.conductance),
            current=summed(self.current),
            wiring=moved(self.wiring, np.ones(after.size, np.bool_)),
            memory=self._memory_with(lambda linear: linear.hearing(matrix, offset)),
        )

    def _memory_with(self, change: Callable[[Linear], Linear]) -> Memory | None:
        return None if self.memory is None else self.memory.with_input_maps(change)

    def with_gates(self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0) -> LTCLayer:
        """See `Layer.with_gates`."""
        synapses = vectors.get(self.synapse_stage, {})
        after, column = np.nonzero(self.wiring)
        units = np.arange(after.size)
        parts: dict[str, FloatArray] = {}
        for part in ("slope", "offset"):
            parts[part] = np.array(getattr(self, part))
            if part in synapses:
                parts[part][after, column] = synapses[part]
        maps: list[Linear] = []
        own = gates[self.name]
        for gate in (CONDUCTANCE, CURRENT):
            weight = np.zeros_like(self.conductance.weight)
            weight[after, column] = own[gate].weight[after, units]
            maps.append(Linear(gate, weight, own[gate].bias))
        capacitance = vectors.get(self.name, {}).get("capacitance", self.capacitance)
        memory = None
        if self.memory is not None:
            memory = Memory.of_stage(gates[f"{self.name}.memory"])
        return replace(
            self,
            **parts,
            conductance=maps[0],
            current=maps[1],
            capacitance=capacitance,
            memory=memory,
        )

    def arrays(self) -> dict[str, FloatArray]:
        """See `Layer.arrays`."""
        found = {} if self.memory is None else self.memory.arrays(self.name)
        found |= self.conductance.arrays(self.name)
        found |= self.current.arrays(f"{self.name}.{CURRENT}")
        found |= {f"{self.name}.{p}": getattr(self, p) for p in ("slope", "offset", "capacitance")}
        return found | {f"{self.name}.unfolds": np.array([self.unfolds], np.float64)}

    def trained_maps(self, stages: Sequence[Stage]) -> Iterator[TrainedMap]:
        """See `Layer.trained_maps`: three numbers of each synapse (slope, conductance, current) are
        multiplied, those of inputs once for each sample, the others in each unfold; how far a
        synapse is open is never zero.
        """
        yield from super().trained_maps(stages[:-2])  # a mixed memory
        columns = np.arange(self.input_size + self.units)
        for part in (slice(0, self.input_size), slice(self.input_size, None)):
            own, again = columns[part], part.start > 0
            slope = np.where(self.wiring, self.slope, 0.0)[:, own]
            # An offset for each slope.
            yield TrainedMap(slope, slope.size, self.synapse_stage, own, again)
            for linear in (self.conductance, self.current):
                biases = 0 if again else linear.bias.size
                weight = linear.weight[:, own]
                yield TrainedMap(weight, biases, self.synapse_stage, own, again, never_zero=True)

    def other_parameters(self, stages: Sequence[Stage]) -> int:
        """The capacitances."""
        return self.units

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        found = self.conductance.problems(self.name) + self.current.problems(self.name)
        if not 1 <= self.unfolds <= MOST_UNFOLDS:
            found.append(f"{self.name}: {self.unfolds} unfolds; 1 to {MOST_UNFOLDS} are possible")
        if found:
            return found
        shape = self.conductance.weight.shape
        expected = {"slope": shape, "offset": shape, "wiring": shape, "capacitance": shape[:1]}
        arrays = {part: getattr(self, part) for part in expected}
        arrays["current.weight"], expected["current.weight"] = self.current.weight, shape
        for part, array in arrays.items():
            if array.shape != expected[part]:
                found.append(
                    f"{self.name}.{part} has shape {array.shape}, expected {expected[part]}"
                )
            elif not np.isfinite(array).all():
                found.append(f"{self.name}.{part} holds NaN or infinite values")
        if self.input_size < 1:
            found.append(
                f"{self.name}: {shape[1]} columns cannot hold at least one input and "
                f"{self.units} units"
            )
        elif not found and not self.wiring.any():
            found.append(f"{self.name}: it has no synapse")
        if self.memory is not None and not found:
            found += self.memory.problems(f"{self.name}.memory") or self.memory.size_problems(
                f"{self.name}.memory", self.input_size, self.units
            )
        return found
