"""Layers of liquid-resistance liquid-capacitance units (LRC, LRCU) and saturated LTCs (STC).

Sources: MoniFarsang/LRC (MIT), classification/lrc_cell.py; Farsang et al. 2024, arXiv:2403.08791.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.lrc.stage import (
    ELASTANCE,
    EXPLICIT,
    FORGET,
    HYBRID,
    SOLVERS,
    UPDATE,
    LRCStage,
)
from lnn2loihi.families.ltc.layer import MOST_UNFOLDS
from lnn2loihi.families.ltc.synapses import Synapses
from lnn2loihi.frozen import read_only
from lnn2loihi.layers.layer import Gates, Layer, TrainedMap, Vectors
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class LRCLayer(Layer):
    """One layer of liquid-resistance liquid-capacitance units.

    With z = [x; v], the inputs followed by the potentials of the unfold before, and for each
    unfold of a sample, t = elapsed / unfolds being the time that it takes::

        open_ji = sigmoid(slope_ji z_i + offset_ji)
        u_j = sum_i update_gate_ji open_ji + its bias
        f_j = sum_i forget_gate_ji open_ji + its bias
        e_j = sigmoid(elastance_j z)                  s_j = sigmoid(f_j), or tau_j
        v_j' = v_j + t e_j (vleak_j tanh(u_j) - s_j v_j)                        (explicit)
        v_j' = (v_j + t e_j vleak_j tanh(u_j)) / (1 + t e_j s_j)                (hybrid)

    With a shift the elastance is symmetric, sigmoid(y + shift_j) - sigmoid(y - shift_j) of its sum
    y; without a map of its own it is 1 (a saturated LTC, STC). In the words of the original: slope
    is sigma (times the input mapping), offset -sigma mu, the gates w and h, both with the bias
    gleak, the elastance's map elastance_mapping (times the input mapping), shift distr_shift. The
    answer is the potentials; the output mapping belongs to the readout.

    Attributes:
        name: name in messages and tables.
        slope, offset: float64 (units, inputs + units).
        wiring: bool (units, inputs + units): the synapses that exist.
        update_gate: Linear map, weight (units, inputs + units).
        vleak: float64 (units,).
        forget_gate: Linear map, weight (units, inputs + units); None where there is a tau.
        elastance: Linear map, weight (units, inputs + units); None where the elastance is 1.
        shift: float64 (units,), of a symmetric elastance; None for others.
        tau: float64 (units,), in place of the forget gate; None where there is one.
        solver: "explicit" or "hybrid".
        unfolds: steps of the solver for each sample.
    """

    name: str
    slope: FloatArray
    offset: FloatArray
    wiring: npt.NDArray[np.bool_]
    update_gate: Linear
    vleak: FloatArray
    _: KW_ONLY
    forget_gate: Linear | None = None
    elastance: Linear | None = None
    shift: FloatArray | None = None
    tau: FloatArray | None = None
    solver: str = EXPLICIT
    unfolds: int = 1  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self) -> None:
        object.__setattr__(self, "wiring", read_only(self.wiring, np.bool_))
        for part in ("slope", "offset", *self._vectors):
            object.__setattr__(self, part, read_only(getattr(self, part), np.float64))

    @property
    def _vectors(self) -> tuple[str, ...]:
        """The vectors of its membranes that it has."""
        names = ("vleak", "shift", "tau")
        return tuple(name for name in names if getattr(self, name) is not None)

    @property
    def units(self) -> int:
        """Number of units."""
        return self.update_gate.output_size

    @property
    def input_size(self) -> int:
        """Number of inputs from outside the layer."""
        return self.update_gate.input_size - self.units

    @property
    def synapse_stage(self) -> str:
        """Name of the stage of its synapses."""
        return f"{self.name}.synapses"

    @property
    def _synapses(self) -> Synapses:
        return Synapses(self.slope, self.offset, self.wiring)

    @property
    def _sums(self) -> dict[str, Linear]:
        """The maps of what synapses say."""
        found = {} if self.forget_gate is None else {FORGET: self.forget_gate}
        return found | {UPDATE: self.update_gate}

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`: synapses and membranes, run `unfolds` times for each sample."""
        own = self._synapses
        hidden = StageSource(self.name, self.units, previous=True)
        synapses = own.stage(self.synapse_stage, before, hidden, scale, self.unfolds)
        sources: tuple[StageSource, ...] = (StageSource(synapses.name, own.count),)
        gates = {name: own.onto_units(name, linear) for name, linear in self._sums.items()}
        if self.elastance is not None:
            sources = (*sources, before, hidden)
            columns = self.elastance.input_size
            gates = {name: _beside(gate, 0, columns) for name, gate in gates.items()}
            factors = np.ones(columns)
            factors[: self.input_size] = scale
            heard = self.elastance.with_columns(ELASTANCE, factors)
            gates[ELASTANCE] = _beside(heard, own.count, 0)
        membranes = LRCStage(
            self.name,
            sources,
            gates,
            self.vleak,
            self.unfolds,
            timespan,
            self.shift,
            self.tau,
            self.solver == HYBRID,
            timed=timespan is None,
        )
        return (synapses, membranes), 1.0

    @property
    def made_by_stages(self) -> tuple[int, int]:
        """A unit for each synapse, and matrices from columns to them and on to the membranes."""
        synapses, columns = int(self.wiring.sum()), self.input_size + self.units
        sums = len(self._sums) + (self.elastance is not None)
        return synapses, synapses * (columns + sums * self.units)

    def with_inputs(self, factor: FloatArray, offset: FloatArray) -> LRCLayer:
        """See `Layer.with_inputs`: how far synapses open depends on what they hear, and so does the
        elastance.
        """
        heard = self._synapses.with_inputs(factor, offset)
        elastance = self.elastance
        if elastance is not None:
            elastance = elastance.with_inputs(factor, offset)
        return replace(self, slope=heard.slope, offset=heard.offset, elastance=elastance)

    def can_hear(self, matrix: FloatArray) -> bool:
        """See `Layer.can_hear`; what synapses can hear."""
        return self._synapses.can_hear(matrix)

    def hearing(self, matrix: FloatArray, offset: FloatArray) -> LRCLayer:
        """See `Layer.hearing`. Synapses that hear a constant are open by a constant, which the
        biases take over.
        """
        matrix, offset = self.checked_hearing(matrix, offset)
        heard, summed = self._synapses.hearing(matrix, offset)
        elastance = self.elastance
        if elastance is not None:
            elastance = elastance.hearing(matrix, offset)
        return replace(
            self,
            slope=heard.slope,
            offset=heard.offset,
            wiring=heard.wiring,
            update_gate=summed(self.update_gate),
            forget_gate=None if self.forget_gate is None else summed(self.forget_gate),
            elastance=elastance,
        )

    def with_gates(self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0) -> LRCLayer:
        """See `Layer.with_gates`."""
        synapses = self._synapses.with_vectors(vectors.get(self.synapse_stage, {}))
        own, elastance = gates[self.name], self.elastance
        if elastance is not None:
            trained = own[ELASTANCE]
            elastance = Linear(ELASTANCE, trained.weight[:, synapses.count :], trained.bias)
        maps = {name: synapses.of_columns(name, own[name]) for name in self._sums}
        return replace(
            self,
            slope=synapses.slope,
            offset=synapses.offset,
            elastance=elastance,
            **maps,
            **vectors.get(self.name, {}),
        )

    def arrays(self) -> dict[str, FloatArray]:
        """See `Layer.arrays`."""
        maps = self._sums | ({} if self.elastance is None else {ELASTANCE: self.elastance})
        found: dict[str, FloatArray] = {}
        for name, linear in maps.items():
            found |= linear.arrays(f"{self.name}.{name}")
        found |= {
            f"{self.name}.{part}": getattr(self, part)
            for part in ("slope", "offset", *self._vectors)
        }
        found[f"{self.name}.unfolds"] = np.array([self.unfolds], np.float64)
        return found | {f"{self.name}.hybrid": np.array([self.solver == HYBRID], np.float64)}

    def trained_maps(self, stages: Sequence[Stage]) -> Iterator[TrainedMap]:
        """See `Layer.trained_maps`: numbers of each synapse (slope and gates), and the
        elastance's map of what comes in and of the potentials.
        """
        yield from self._synapses.trained_maps(self.synapse_stage, (*self._sums.values(),))
        if self.elastance is not None:
            first = self._synapses.count
            for part in (slice(0, self.input_size), slice(self.input_size, None)):
                weight, again = self.elastance.weight[:, part], part.start > 0
                columns = first + part.start + np.arange(weight.shape[1])
                biases = 0 if again else self.elastance.bias.size
                yield TrainedMap(weight, biases, self.name, columns, again)

    def other_parameters(self, stages: Sequence[Stage]) -> int:
        """The vectors of the membranes."""
        return self.units * len(self._vectors)

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        maps = self._sums | ({} if self.elastance is None else {ELASTANCE: self.elastance})
        found = [problem for linear in maps.values() for problem in linear.problems(self.name)]
        if not 1 <= self.unfolds <= MOST_UNFOLDS:
            found.append(f"{self.name}: {self.unfolds} unfolds; 1 to {MOST_UNFOLDS} are possible")
        if self.solver not in SOLVERS:
            found.append(
                f"{self.name}: the solver is {self.solver!r:.60}; there are {', '.join(SOLVERS)}"
            )
        if (self.forget_gate is None) == (self.tau is None):
            both = "both a forget gate and a tau" if self.tau is not None else "neither"
            found.append(f"{self.name} has {both}; a forget gate or a tau says how it leaks")
        if self.shift is not None and self.elastance is None:
            found.append(f"{self.name} has a shift and no elastance that it could belong to")
        if self.tau is not None and self.solver == HYBRID:
            found.append(
                f"{self.name}: the hybrid solver needs a forget gate, without which the original "
                "fails too; take the explicit one, or train with a forget gate"
            )
        return found or self._shape_problems(maps)

    def _shape_problems(self, maps: Mapping[str, Linear]) -> list[str]:
        found: list[str] = []
        shape = self.update_gate.weight.shape
        arrays: dict[str, npt.NDArray[np.generic]] = {
            f"{name}.weight": linear.weight for name, linear in maps.items()
        }
        arrays |= {name: getattr(self, name) for name in ("slope", "offset", "wiring")}
        expected = dict.fromkeys(arrays, shape) | dict.fromkeys(self._vectors, shape[:1])
        arrays |= {name: getattr(self, name) for name in self._vectors}
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
        return found


def _beside(gate: Linear, before: int, after: int) -> Linear:
    """A map with columns of zeros before and after its own."""
    return Linear(gate.name, np.pad(gate.weight, ((0, 0), (before, after))), gate.bias)
