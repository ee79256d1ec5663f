"""Closed-form continuous-time layers (CfC), as ncps 1.0.1 computes them.

Sources: ncps 1.0.1, torch/cfc.py, torch/cfc_cell.py, torch/lstm.py; Hasani et al. 2022,
arXiv:2106.13898, equation 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.cfc.gate import TimeGatedStage
from lnn2loihi.families.cfc.linear_heads import LinearHeadsStage
from lnn2loihi.families.dense.layer import DenseStage
from lnn2loihi.families.lstm.memory import Memory
from lnn2loihi.frozen import read_only
from lnn2loihi.layers.activations import activation_problem, folded, folded_name
from lnn2loihi.layers.layer import Gates, Layer, TrainedMap, Vectors
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: Modes of the cell.
MODES = ("default", "no_gate", "pure")
#: What heads make of their sums: ncps.torch has a tanh, ncps.keras and ncps.tf have none.
HEADS = ("tanh", "linear")


@dataclass(frozen=True, eq=False)
class CfCStage(TimeGatedStage):
    """The cell in its modes `default` and `no_gate`, whose heads have a tanh."""

    family: ClassVar[str] = "cfc"

    def heads(self, sums: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """See `TimeGatedStage`."""
        return np.tanh(sums["ff1"]), np.tanh(sums["ff2"])


@dataclass(frozen=True, eq=False)
class PureStage(Stage):
    """The cell in its mode `pure`: A - A exp(-elapsed (|w_tau| + |f|)) f with f = ff1 z.

    Attributes:
        w_tau, amplitude: float64 (units,).
        timespan: the constant elapsed time; None if timed.
    """

    family: ClassVar[str] = "pure"
    vectors: ClassVar[tuple[str, ...]] = ("w_tau", "amplitude")

    w_tau: FloatArray
    amplitude: FloatArray
    timespan: float | None

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The solution of the differential equation."""
        f = sums["ff1"]
        time: Any = self.timespan if elapsed is None else elapsed
        rate: Any = np.abs(self.w_tau) + np.abs(f)
        decay = np.exp(-rate * time)
        return self.amplitude * (1.0 - decay * f), {}


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class CfCLayer(Layer):
    """One layer of closed-form continuous-time units.

    With z = [x; h], the inputs followed by the layer's own state of the step before (or by the
    memory's answer, where there is one), passed through the backbone if there is one::

        f1 = tanh(ff1 z)    f2 = tanh(ff2 z)    t = sigmoid(time_a z * timespan + time_b z)
        default: h' = f1 (1 - t) + t f2
        no_gate: h' = f1 + t f2
        pure:    h' = A - A exp(-timespan (|w_tau| + |ff1 z|)) ff1 z

    Attributes:
        name: name in messages and tables.
        ff1, ff2, time_a, time_b: Linear maps, weight (units, columns of z or of the backbone's
            answer). Mode pure has ff1 alone: the others are ff1 as well there, and not looked at.
        mode: one of MODES.
        backbone: Linear maps in order, each followed by the activation.
        activation: activation of the backbone, its text, as of
            `lnn2loihi.layers.activations`.
        memory: the mixed memory, or None.
        w_tau, amplitude: float64 (units,) in mode pure (`w_tau` and `A`), else None.
        heads: one of HEADS: f1 and f2 above have a tanh, or are the sums themselves; mode pure is
            the same with either.
    """

    gates: ClassVar[tuple[str, ...]] = ("ff1", "ff2", "time_a", "time_b")

    name: str
    ff1: Linear
    ff2: Linear
    time_a: Linear
    time_b: Linear
    _: KW_ONLY
    mode: str = "default"
    backbone: tuple[Linear, ...] = ()
    activation: str = "lecun_tanh"
    memory: Memory | None = None
    w_tau: FloatArray | None = None
    amplitude: FloatArray | None = None
    heads: str = "tanh"

    def __post_init__(self) -> None:
        object.__setattr__(self, "backbone", tuple(self.backbone))
        for part in ("w_tau", "amplitude"):
            if getattr(self, part) is not None:
                object.__setattr__(self, part, read_only(getattr(self, part), np.float64))

    @property
    def units(self) -> int:
        """Number of units."""
        return self.ff1.output_size

    @property
    def input_size(self) -> int:
        """Number of inputs from outside the layer."""
        first = self.backbone[0] if self.backbone else self.ff1
        return first.input_size - self.units

    @property
    def maps(self) -> tuple[Linear, ...]:
        """The maps of the cell."""
        names = self.gates[:1] if self.mode == "pure" else self.gates
        return tuple(getattr(self, gate) for gate in names)

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`."""
        made: list[Stage] = []
        hidden = StageSource(self.name, self.units, previous=True)
        if self.memory is not None:
            name = f"{self.name}.memory"
            made.append(self.memory.stage(name, before, (hidden,), scale))
            hidden = StageSource(name, self.units)
        sources: tuple[StageSource, ...] = (before, hidden)
        factors = np.ones(sum(source.columns for source in sources))
        factors[: before.columns] = scale
        for number, linear in enumerate(self.backbone):
            widened = linear.with_columns(SUM, factors)
            own, function, factor = folded(widened, self.activation)
            name = f"{self.name}.backbone_{number}"
            made.append(DenseStage(name, sources, {SUM: own}, activation=function))
            sources = (StageSource(name, own.output_size),)
            factors = np.full(own.output_size, factor)
        made.append(self.cell(sources, timespan, factors))
        return tuple(made), 1.0

    def folded_gate(self, timespan: float) -> Linear:
        """The time gate for a constant timespan: timespan * time_a + time_b."""
        weight = timespan * self.time_a.weight + self.time_b.weight
        return Linear("time", weight, timespan * self.time_a.bias + self.time_b.bias)

    def cell(
        self, sources: tuple[StageSource, ...], timespan: float | None, factors: FloatArray
    ) -> Stage:
        """The stage of the cell alone, without backbone and memory.

        Args:
            sources: what it reads, in the order of the columns of its maps.
            timespan: constant elapsed time, or None where it comes with the samples.
            factors: float64 (columns,), by which each column is too small; they go into the
                weights.
        """
        gates = {
            gate: linear.with_columns(gate, factors)
            for gate, linear in zip(self.gates, self.maps, strict=False)
        }
        timed = timespan is None
        if self.mode == "pure":
            assert self.w_tau is not None and self.amplitude is not None
            return PureStage(
                self.name, sources, gates, self.w_tau, self.amplitude, timespan, timed=timed
            )
        if timespan is not None:
            del gates["time_a"], gates["time_b"]
            gates["time"] = self.folded_gate(timespan).with_columns("time", factors)
        kind = LinearHeadsStage if self.heads == "linear" else CfCStage
        return kind(self.name, sources, gates, mode=self.mode, timed=timed)

    def hears_inputs(self, field: str, place: int) -> bool:
        """See `Layer.hears_inputs`: behind a backbone only its first map does."""
        return field == "backbone" and place == 0 if self.backbone else True

    def with_input_maps(self, change: Callable[[Linear], Linear]) -> CfCLayer:
        """See `Layer.with_input_maps`; the memory hears the inputs, too."""
        made = super().with_input_maps(change)
        memory = None if self.memory is None else self.memory.with_input_maps(change)
        return replace(made, memory=memory)

    def with_gates(self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0) -> CfCLayer:
        """See `Layer.with_gates`: LeCun's tanh stays folded, and the whole time gate of a constant
        timespan stands in time_b.
        """
        cell: dict[str, Any] = dict(gates[self.name])
        if self.mode != "pure" and timespan is not None:
            time = cell.pop("time")
            cell["time_a"] = Linear("time_a", np.zeros_like(time.weight), np.zeros_like(time.bias))
            cell["time_b"] = Linear("time_b", time.weight, time.bias)
        backbone = tuple(
            replace(gates[f"{self.name}.backbone_{number}"][SUM], name=linear.name)
            for number, linear in enumerate(self.backbone)
        )
        memory = None
        if self.memory is not None:
            memory = Memory.of_stage(gates[f"{self.name}.memory"])
        cell |= vectors.get(self.name, {})
        activation = folded_name(self.activation)
        return replace(self, **cell, backbone=backbone, memory=memory, activation=activation)

    def arrays(self) -> dict[str, FloatArray]:
        """See `Layer.arrays`."""
        found = {} if self.memory is None else self.memory.arrays(self.name)
        for linear in (*self.maps, *self.backbone):
            found |= linear.arrays(f"{self.name}.{linear.name}")
        for part in ("w_tau", "amplitude"):
            if getattr(self, part) is not None:
                found[f"{self.name}.{part}"] = getattr(self, part)
        return found

    def trained_maps(self, stages: Sequence[Stage]) -> Iterator[TrainedMap]:
        """See `Layer.trained_maps`: of the cell those with which no timespan is folded."""
        yield from super().trained_maps(stages[:-1])
        for linear in self.maps:
            columns = np.arange(linear.input_size)
            yield TrainedMap(linear.weight, linear.bias.size, self.name, columns)

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        if self.mode not in MODES:
            return [f"{self.name}: unknown mode {self.mode!r}; there are {', '.join(MODES)}"]
        if self.heads not in HEADS:
            return [f"{self.name}: unknown heads {self.heads!r}; there are {', '.join(HEADS)}"]
        found = [problem for linear in self.maps for problem in linear.problems(self.name)]
        for number, linear in enumerate(self.backbone):
            found += linear.problems(f"{self.name}.backbone_{number}")
        wrong = activation_problem(self.activation) if self.backbone else ""
        found += [f"{self.name}: {wrong}"] if wrong else []
        if self.memory is not None:
            found += self.memory.problems(f"{self.name}.memory")
        return found or self._size_problems()

    def _size_problems(self) -> list[str]:
        found: list[str] = []
        shapes = {linear.name: linear.weight.shape for linear in self.maps}
        if len(set(shapes.values())) > 1:
            found.append(f"{self.name}: the four weights differ in shape: {shapes}")
        for before, after in zip(self.backbone, (*self.backbone[1:], self.ff1), strict=False):
            if after.input_size != before.output_size:
                found.append(
                    f"{self.name}: {after.name} takes {after.input_size} inputs, the map before "
                    f"it answers {before.output_size}"
                )
        if not found and self.input_size < 1:
            first = self.backbone[0] if self.backbone else self.ff1
            found.append(
                f"{self.name}: {first.input_size} columns cannot hold at least one input and "
                f"{self.units} units"
            )
        for part in ("w_tau", "amplitude"):
            array = getattr(self, part)
            if self.mode != "pure":
                continue
            if array is None or array.shape != (self.units,):
                shape = None if array is None else array.shape
                found.append(f"{self.name}.{part} has shape {shape}, expected ({self.units},)")
            elif not np.isfinite(array).all():
                found.append(f"{self.name}.{part} holds NaN or infinite values")
        if self.memory is not None and not found:
            name = f"{self.name}.memory"
            found += self.memory.size_problems(name, self.input_size, self.units)
        return found
