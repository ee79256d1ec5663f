"""Layers of LrcSSM units: liquid-resistance liquid-capacitance units that hear themselves alone.

Source: github.com/MoniFarsang/LrcSSM, experiments/lrc_ssm/LRC_diagmat.py (commit 5581972);
arXiv:2505.21717. The elastance of the code hears the state, and not the input as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.dense.layer import DenseStage
from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.layers.layer import Gates, Layer, Vectors
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.stage import Stage, StageSource, State

#: Gates of the recurrent stage, and maps of the layer.
FORGET, UPDATE, SENSORY = "forget_gate", "update_gate", "sensory"
#: Numbers of each unit.
VECTORS = (
    "opening_slope",
    "opening_offset",
    "forget_own",
    "update_own",
    "elastance_slope",
    "elastance_offset",
    "drive",
)


@dataclass(frozen=True, eq=False)
class LrcSSMStage(Stage):
    """The units, without their sensory synapses; attributes as of `LrcSSMLayer`."""

    family: ClassVar[str] = "lrc ssm"
    memory: ClassVar[tuple[str, ...]] = ("h",)
    vectors: ClassVar[tuple[str, ...]] = VECTORS
    logistic: ClassVar[tuple[str, ...]] = (FORGET,)

    opening_slope: FloatArray
    opening_offset: FloatArray
    forget_own: FloatArray
    update_own: FloatArray
    elastance_slope: FloatArray
    elastance_offset: FloatArray
    drive: FloatArray

    def answer(
        self, sums: Mapping[str, FloatArray], state: State, elapsed: FloatArray | None
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """The new state."""
        before = state["h"]
        opened = sigmoid(self.opening_slope * before + self.opening_offset)
        elastance = sigmoid(self.elastance_slope * before + self.elastance_offset)
        kept = sigmoid(sums[FORGET] + self.forget_own * opened)
        target = self.drive * np.tanh(sums[UPDATE] + self.update_own * opened)
        h = before + elastance * (target - before * kept)
        return h, {"h": h}


@checks_fields(NetworkError)
@dataclass(frozen=True, eq=False)
class LrcSSMLayer(Layer):
    """One layer of LrcSSM units, which take one step of length 1 a sample.

    With the inputs x::

        q = sigmoid(sensory x)    p = sigmoid(opening_slope h + opening_offset)
        f = sigmoid(forget_gate q + forget_own p)    g = tanh(update_gate q + update_own p)
        e = sigmoid(elastance_slope h + elastance_offset)
        h' = h + e (drive g - h f)

    Attributes:
        name: name in messages and tables.
        sensory: the map of the sensory synapses, weight (synapses, inputs): diagonal as it is
            trained.
        forget_gate: weight (units, synapses), with the leak as bias.
        update_gate: the same.
        opening_slope, opening_offset: of what a unit opens for itself, float64 (units,).
        forget_own, update_own: its weights, float64 (units,).
        elastance_slope, elastance_offset: of the elastance, float64 (units,).
        drive: what a unit is driven to, float64 (units,).
    """

    name: str
    sensory: Linear
    forget_gate: Linear
    update_gate: Linear
    opening_slope: FloatArray
    opening_offset: FloatArray
    forget_own: FloatArray
    update_own: FloatArray
    elastance_slope: FloatArray
    elastance_offset: FloatArray
    drive: FloatArray

    def __post_init__(self) -> None:
        for field in VECTORS:
            object.__setattr__(self, field, np.asarray(getattr(self, field), np.float64))
        super().__post_init__()

    @property
    def input_size(self) -> int:
        """Number of inputs."""
        return self.sensory.input_size

    @property
    def units(self) -> int:
        """Number of units."""
        return self.forget_gate.output_size

    @property
    def made_by_stages(self) -> tuple[int, int]:
        """See `Layer.made_by_stages`."""
        return self.sensory.output_size, 0

    def hears_inputs(self, field: str, place: int) -> bool:
        """See `Layer.hears_inputs`: the sensory synapses do."""
        return field == SENSORY

    def stages(
        self, before: StageSource, timespan: float | None, scale: float
    ) -> tuple[tuple[Stage, ...], float]:
        """See `Layer.stages`; the elapsed time has no part in it."""
        name = f"{self.name}.{SENSORY}"
        sensory = self.sensory.scaled(SUM, inputs=scale)
        gates = {gate.name: gate for gate in (self.forget_gate, self.update_gate)}
        source = StageSource(name, self.sensory.output_size)
        vectors = (getattr(self, field) for field in VECTORS)
        return (
            DenseStage(name, (before,), {SUM: sensory}, activation="sigmoid"),
            LrcSSMStage(self.name, (source,), gates, *vectors),
        ), 1.0

    def with_gates(
        self, gates: Gates, vectors: Vectors, timespan: float | None = 1.0
    ) -> LrcSSMLayer:
        """See `Layer.with_gates`."""
        sensory = gates[f"{self.name}.{SENSORY}"][SUM]
        own = gates[self.name]
        given = vectors.get(self.name, {})
        return LrcSSMLayer(
            self.name,
            Linear(SENSORY, sensory.weight, sensory.bias),
            own[FORGET],
            own[UPDATE],
            *(given.get(field, getattr(self, field)) for field in VECTORS),
        )

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        found: list[str] = []
        for field in (SENSORY, FORGET, UPDATE):
            linear: Linear = getattr(self, field)
            found += linear.problems(self.name)
            if linear.name != field:
                found.append(f"{self.name}: the map {field} has the name {linear.name!r}")
        if found:
            return found
        synapses = self.sensory.output_size
        for gate in (self.forget_gate, self.update_gate):
            if gate.weight.shape != (self.units, synapses):
                found.append(
                    f"{self.name}.{gate.name}.weight has shape {gate.weight.shape}, expected "
                    f"{(self.units, synapses)}"
                )
        for field in VECTORS:
            values: FloatArray = getattr(self, field)
            if values.shape != (self.units,):
                found.append(
                    f"{self.name}: {field} has shape {values.shape}, expected ({self.units},)"
                )
            elif not np.isfinite(values).all():
                found.append(f"{self.name}: {field} holds NaN or infinite values")
        return found
