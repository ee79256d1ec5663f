"""Liquid time-constant layers (LTC), as ncps 1.0.1 computes them.

Sources: ncps 1.0.1, torch/ltc.py and torch/ltc_cell.py; Hasani et al. 2021, arXiv:2006.04439,
algorithm 1 (the fused, semi-implicit solver).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.lstm.memory import HeldMemoryStage, Memory
from lnn2loihi.families.ltc.synapses import Synapses
from lnn2loihi.frozen import read_only
from lnn2loihi.layers.layer import Gates, Layer, TrainedMap, Vectors
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: The two sums of a membrane.
CURRENT, CONDUCTANCE = "current", "conductance"
#: Most unfolds of a layer: a program updates so often for each sample.
MOST_UNFOLDS = 1 << 10
#: What a membrane keeps.
POTENTIAL = "v"


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
    def _synapses(self) -> Synapses:
        return Synapses(self.slope, self.offset, self.wiring)

    @property
    def synapse_stage(self) -> str:
        """Name of the stage of its synapses."""
        return f"{self.name}.synapses"

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`; all stages are run `unfolds` times for each sample."""
        made: list[Stage] = []
        mixed = ""
        if self.memory is not None:
            mixed = f"{self.name}.memory"
            last = StageSource(self.name, self.units, previous=True)
            memory = self.memory.stage(mixed, before, (last,), scale)
            made.append(HeldMemoryStage(mixed, memory.sources, memory.gates, self.unfolds))
        hidden = StageSource(self.name, self.units, previous=True, first=mixed)
        if mixed and self.unfolds == 1:
            hidden = StageSource(mixed, self.units)
        own = self._synapses
        synapses = own.stage(self.synapse_stage, before, hidden, scale, self.unfolds)
        maps = {CURRENT: self.current, CONDUCTANCE: self.conductance}
        gates = {name: own.onto_units(name, linear) for name, linear in maps.items()}
        membranes = MembraneStage(
            self.name,
            (StageSource(synapses.name, own.count),),
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
        heard = self._synapses.with_inputs(factor, offset)
        return replace(
            self,
            slope=heard.slope,
            offset=heard.offset,
            memory=self._memory_with(lambda linear: linear.with_inputs(factor, offset)),
        )

    def can_hear(self, matrix: FloatArray) -> bool:
        """See `Layer.can_hear`; what synapses can hear."""
        return self._synapses.can_hear(matrix)

    def hearing(self, matrix: FloatArray, offset: FloatArray) -> LTCLayer:
        """See `Layer.hearing`: only how far synapses open depends on what they hear. Those that
        hear a constant are open by a constant, which the leak takes over.
        """
        matrix, offset = self.checked_hearing(matrix, offset)
        heard, summed = self._synapses.hearing(matrix, offset)
        return replace(
            self,
            slope=heard.slope,
            offset=heard.offset,
            conductance=summed(self.conductance),
            current=summed(self.current),
            wiring=heard.wiring,
            memory=self._memory_with(lambda linear: linear.hearing(matrix, offset)),
        )

    def _memory_with(self, change: Callable[[Linear], Linear]) -> Memory | None:
        return None if self.memory is None else self.memory.with_input_maps(change)

    def with_gates(self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0) -> LTCLayer:
        """See `Layer.with_gates`."""
        synapses = self._synapses.with_vectors(vectors.get(self.synapse_stage, {}))
        own = gates[self.name]
        capacitance = vectors.get(self.name, {}).get("capacitance", self.capacitance)
        memory = None
        if self.memory is not None:
            memory = Memory.of_stage(gates[f"{self.name}.memory"])
        return replace(
            self,
            slope=synapses.slope,
            offset=synapses.offset,
            conductance=synapses.of_columns(CONDUCTANCE, own[CONDUCTANCE]),
            current=synapses.of_columns(CURRENT, own[CURRENT]),
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
        """See `Layer.trained_maps`: three numbers of each synapse (slope, conductance, current)."""
        yield from super().trained_maps(stages[:-2])  # a mixed memory
        maps = (self.conductance, self.current)
        yield from self._synapses.trained_maps(self.synapse_stage, maps)

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
