"""LiquidNetwork: what was trained, as float arrays, and its evaluation in double precision.

It knows no framework and no file format. Weights are effective weights: wiring masks are
already multiplied in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError, NetworkError, Problems
from lnn2loihi.frozen import ArrayEquality, read_only, read_only_mapping
from lnn2loihi.tables import text_table

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linear(ArrayEquality):
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


@dataclass(frozen=True, eq=False)
class CfCLayer(ArrayEquality):
    """One layer of closed-form continuous-time units (default mode, no backbone).

    With z = [x; h], the inputs followed by the layer's own state of the step before::

        f1 = tanh(ff1 z)    f2 = tanh(ff2 z)    t = sigmoid(time_a z * timespan + time_b z)
        h' = f1 (1 - t) + t f2

    Source: ncps 1.0.1, torch/cfc_cell.py; Hasani et al. 2022, arXiv:2106.13898, equation 10.

    Attributes:
        name: name in messages and tables.
        ff1, ff2, time_a, time_b: Linear maps, weight (units, inputs + units).
    """

    family: ClassVar[str] = "cfc"
    gates: ClassVar[tuple[str, ...]] = ("ff1", "ff2", "time_a", "time_b")

    name: str
    ff1: Linear
    ff2: Linear
    time_a: Linear
    time_b: Linear

    @property
    def units(self) -> int:
        """Number of units."""
        return self.ff1.output_size

    @property
    def input_size(self) -> int:
        """Number of inputs from outside the layer."""
        return self.ff1.input_size - self.units

    def folded_gate(self, timespan: float) -> Linear:
        """The time gate for a constant timespan: timespan * time_a + time_b."""
        weight = timespan * self.time_a.weight + self.time_b.weight
        return Linear("time", weight, timespan * self.time_a.bias + self.time_b.bias)

    def _folded(self, timespan: float) -> tuple[Linear, Linear, Linear]:
        return self.ff1, self.ff2, self.folded_gate(timespan)

    def synapses(self, timespan: float) -> int:
        """Number of non-zero weights, the time gate folded."""
        return sum(int(np.count_nonzero(m.weight)) for m in self._folded(timespan))

    def largest_weight(self, timespan: float) -> float:
        """Largest magnitude of a weight, the time gate folded."""
        return max(float(np.abs(m.weight).max()) for m in self._folded(timespan))

    def step(self, inputs: FloatArray, hidden: FloatArray, timespan: float) -> FloatArray:
        """New state (..., units) from inputs (..., input_size) and hidden (..., units)."""
        z = np.concatenate([inputs, hidden], axis=-1)
        f1 = np.tanh(self.ff1(z))
        f2 = np.tanh(self.ff2(z))
        t = sigmoid(self.time_a(z) * timespan + self.time_b(z))
        return f1 * (1.0 - t) + t * f2

    def problems(self) -> list[str]:
        """Everything that is wrong with the layer."""
        maps = [getattr(self, gate) for gate in self.gates]
        found = [problem for gate in maps for problem in gate.problems(self.name)]
        shapes = {gate: m.weight.shape for gate, m in zip(self.gates, maps, strict=True)}
        if len(set(shapes.values())) > 1:
            found.append(f"{self.name}: the four weights differ in shape: {shapes}")
        elif not found and self.input_size < 1:
            units, columns = self.ff1.weight.shape
            found.append(
                f"{self.name}: {columns} columns cannot hold at least one input and {units} units"
            )
        return found


def sigmoid(x: FloatArray) -> FloatArray:
    """Logistic function without overflow."""
    return 0.5 * (np.tanh(0.5 * x) + 1.0)


@dataclass(frozen=True, eq=False)
class FloatResult:
    """What a LiquidNetwork answers.

    Attributes:
        outputs: float64 (batch, time, outputs).
        states: for each layer name, float64 (batch, time, units): the state after each step.
    """

    outputs: FloatArray
    states: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class LiquidNetwork(ArrayEquality):
    """A trained liquid network.

    Attributes:
        name: name in messages and tables.
        layers: layers in order; layer l reads layer l-1 of the same step and its own last state.
        readout: affine map on the last layer's state, or None.
        timespan: constant elapsed time between two samples, in the unit of the training
            (1.0 where the network was trained without timespans).
        source: where it came from: importer, file, SHA-256, versions.

    Raises:
        NetworkError: lists everything that contradicts itself, when made.
    """

    name: str
    layers: tuple[CfCLayer, ...]
    readout: Linear | None = None
    timespan: float = 1.0
    source: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "source", read_only_mapping(self.source))
        object.__setattr__(self, "timespan", float(self.timespan))
        problems = Problems(NetworkError, f"network {self.name!r}")
        if not self.layers:
            problems.add("it has no layers; at least one is needed")
        for layer in self.layers:
            problems.extend(layer.problems())
        if self.readout is not None:
            problems.extend(self.readout.problems())
        if not np.isfinite(self.timespan):
            problems.add(f"timespan is {self.timespan}; give a finite number")
        if not problems:
            problems.extend(self._size_problems())
        problems.raise_if_any()

    def _size_problems(self) -> list[str]:
        found: list[str] = []
        stages: Sequence[CfCLayer | Linear] = self.layers + (
            (self.readout,) if self.readout else ()
        )
        for before, after in zip(self.layers, stages[1:], strict=False):
            if after.input_size != before.units:
                found.append(
                    f"{after.name} takes {after.input_size} inputs but {before.name} "
                    f"has {before.units} units"
                )
        names = [stage.name for stage in stages]
        if len(set(names)) != len(names):
            found.append(f"layer names are not unique: {names}")
        return found

    @property
    def input_size(self) -> int:
        """Number of input channels."""
        return self.layers[0].input_size

    @property
    def output_size(self) -> int:
        """Number of outputs: of the readout, or else the units of the last layer."""
        return self.readout.output_size if self.readout else self.layers[-1].units

    @property
    def units(self) -> int:
        """Number of units of all layers."""
        return sum(layer.units for layer in self.layers)

    @property
    def synapses(self) -> int:
        """Number of non-zero weights, the time gate counted once (folded)."""
        count = sum(layer.synapses(self.timespan) for layer in self.layers)
        return count + (int(np.count_nonzero(self.readout.weight)) if self.readout else 0)

    def to_dict(self) -> dict[str, Any]:
        """Sizes and ranges as plain values."""
        stages = [
            {
                "stage": layer.name,
                "family": layer.family,
                "inputs": layer.input_size,
                "units": layer.units,
                "synapses": layer.synapses(self.timespan),
                "largest_weight": layer.largest_weight(self.timespan),
            }
            for layer in self.layers
        ]
        if self.readout is not None:
            stages.append(
                {
                    "stage": self.readout.name,
                    "family": "linear",
                    "inputs": self.readout.input_size,
                    "units": self.readout.output_size,
                    "synapses": int(np.count_nonzero(self.readout.weight)),
                    "largest_weight": float(np.abs(self.readout.weight).max()),
                }
            )
        return {
            "name": self.name,
            "inputs": self.input_size,
            "outputs": self.output_size,
            "timespan": self.timespan,
            "stages": stages,
            "source": dict(self.source),
        }

    def summary(self) -> str:
        """Sizes and ranges as text."""
        stages = self.to_dict()["stages"]
        table = text_table(
            [key.replace("_", " ") for key in stages[0]], [list(s.values()) for s in stages]
        )
        return (
            f"{self.name}: {self.input_size} inputs, {self.units} units, {self.output_size} "
            f"outputs, {self.synapses:,} synapses, timespan {self.timespan:g}\n{table}"
        )

    def __str__(self) -> str:
        """The summary."""
        return self.summary()

    def evaluate(
        self, x: npt.ArrayLike, initial_state: Mapping[str, npt.ArrayLike] | None = None
    ) -> FloatResult:
        """Runs the network in float64.

        Args:
            x: float (batch, time, inputs).
            initial_state: for each layer name, (batch, units) or (units,); zeros where absent.

        Raises:
            InputError: the shape is wrong or x holds NaN or infinite values.
        """
        inputs = checked_input(x, self.input_size, f"network {self.name!r}")
        batch, time, _ = inputs.shape
        states: dict[str, FloatArray] = {}
        sequence = inputs
        for layer in self.layers:
            start = (initial_state or {}).get(layer.name, 0.0)
            hidden = np.broadcast_to(np.asarray(start, np.float64), (batch, layer.units))
            steps = np.empty((batch, time, layer.units))
            for t in range(time):
                hidden = layer.step(sequence[:, t], hidden, self.timespan)
                steps[:, t] = hidden
            states[layer.name] = sequence = steps
        outputs = self.readout(sequence) if self.readout else sequence
        return FloatResult(outputs, states)


def as_array(x: Any) -> npt.NDArray[Any]:
    """The value as an array; a torch tensor is detached and copied to the CPU first."""
    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)


def checked_samples(
    x: npt.ArrayLike, channels: int, subject: str, lengths: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """X as an array (batch, time, inputs) of floats or integers in its own type, checked.

    torch tensors are accepted. Nothing is copied that is an array of real numbers already.

    Args:
        x: samples.
        channels: expected inputs.
        subject: who says so, for the error.
        lengths: samples of each sequence, (batch,); what stands beyond is not looked at.

    Raises:
        InputError: lists wrong rank, wrong width, no samples, NaN or infinite values.
    """
    try:
        array = as_array(x)
        if array.dtype.kind not in "iuf":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(subject, f"x is not an array of numbers ({error})") from error
    problems = Problems(InputError, subject)
    if array.ndim != 3:
        problems.add(f"x has shape {array.shape}, expected (batch, time, inputs)")
    elif array.shape[2] != channels:
        problems.add(f"x has {array.shape[2]} input channels, expected {channels}")
    if array.size == 0:
        problems.add(f"x is empty (shape {array.shape}); give at least one sample")
    bad = _not_finite(array, lengths)
    if bad:
        problems.add(f"x holds {bad} NaN or infinite of {array.size} values; remove or fill them")
    problems.raise_if_any()
    return array


def _not_finite(array: npt.NDArray[Any], lengths: npt.NDArray[Any] | None) -> int:
    """Values that are NaN or infinite, before the end of each sequence."""
    if array.dtype.kind != "f" or not array.size:
        return 0
    # NaN and infinity survive every sum; unlike isfinite of the array this needs no memory.
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(array.sum()):
            return 0
    bad = ~np.isfinite(array)
    if lengths is not None and array.ndim == 3:
        bad &= (np.arange(array.shape[1]) < lengths[:, None])[..., None]
    return int(np.count_nonzero(bad))


def checked_input(x: npt.ArrayLike, channels: int, subject: str) -> FloatArray:
    """X as float64 (batch, time, inputs), checked as `checked_samples` does.

    Raises:
        InputError: as `checked_samples`.
    """
    return checked_samples(x, channels, subject).astype(np.float64)
