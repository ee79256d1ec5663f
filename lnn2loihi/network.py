"""LiquidNetwork: what was trained, as float arrays, and its evaluation in double precision.

It knows no framework and no file format. Weights are effective weights: wiring masks are
already multiplied in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError, NetworkError, Problems
from lnn2loihi.evaluation import FloatResult, evaluate_stages
from lnn2loihi.frozen import ArrayEquality, read_only, read_only_mapping
from lnn2loihi.layers.cfc import CfCLayer
from lnn2loihi.layers.dense import SUM, DenseLayer
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.ltc import LTCLayer
from lnn2loihi.layers.readout import ReadoutStage
from lnn2loihi.layers.stage import INPUT, Stage, StageSource
from lnn2loihi.layers.wired import WiredMemory
from lnn2loihi.tables import text_table

#: Largest sample and elapsed time: what float32 holds, so that squares stay far inside float64.
LARGEST = float(np.finfo(np.float32).max)
SingleLayer = CfCLayer | DenseLayer | GatedLayer | LTCLayer
Layer = SingleLayer | WiredMemory
__all__ = [
    "CfCLayer",
    "DenseLayer",
    "FloatArray",
    "FloatResult",
    "LTCLayer",
    "Linear",
    "LiquidNetwork",
    "WiredMemory",
]


@dataclass(frozen=True, eq=False)
class LiquidNetwork(ArrayEquality):
    """A trained liquid network.

    Attributes:
        name: name in messages and tables.
        layers: layers in order; layer l reads layer l-1 of the same step and its own last state.
            Layers that share a memory stand in one WiredMemory.
        readout: affine map on the last layer's answer, or None.
        timespan: constant elapsed time between two samples, 0 or more, in the unit of the training
            (1.0 where the network was trained without timespans); None where it comes with the
            samples (irregular time).
        source: where it came from: importer, file, SHA-256, versions.
        input_offset, input_scale: float64 (inputs,): samples enter as (x - offset) / scale;
            an input normalisation that came with the network. 0 and 1 by default.
        host: names of what follows on the host and is no part of the network, such as a softmax.

    Raises:
        NetworkError: lists everything that contradicts itself, when made.
    """

    name: str
    layers: tuple[Layer, ...]
    readout: Linear | None = None
    timespan: float | None = 1.0
    source: Mapping[str, str] = field(default_factory=dict)
    input_offset: FloatArray = None  # pyright: ignore[reportAssignmentType]
    input_scale: FloatArray = None  # pyright: ignore[reportAssignmentType]
    host: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        object.__setattr__(self, "host", tuple(self.host))
        object.__setattr__(self, "source", read_only_mapping(self.source))
        if self.timespan is not None:
            object.__setattr__(self, "timespan", float(self.timespan))
        problems = Problems(NetworkError, f"network {self.name!r}")
        if not self.layers:
            problems.add("it has no layers; at least one is needed")
        for layer in self.layers:
            problems.extend(layer.problems())
        if self.readout is not None:
            problems.extend(self.readout.problems())
        if self.timespan is not None and (found := elapsed_problem(self.timespan)):
            problems.add(found)
        if not problems:
            problems.extend(self._size_problems())
            problems.extend(self._normalisation_problems())
        problems.raise_if_any()

    def _size_problems(self) -> list[str]:
        found: list[str] = []
        stages: Sequence[Layer | Linear] = self.layers + ((self.readout,) if self.readout else ())
        for before, after in zip(self.layers, stages[1:], strict=False):
            if after.input_size != before.units:
                found.append(
                    f"{after.name} takes {after.input_size} inputs but {before.name} "
                    f"has {before.units} units"
                )
        for layer in self.layers:
            held = isinstance(layer, DenseLayer)
            if not held and getattr(layer, "unfolds", 1) != self.substeps:
                found.append(
                    f"{layer.name} takes a step for each sample or unfold of its own, another "
                    f"layer {self.substeps} unfolds; layers with a state have to keep the same "
                    "time: make a network of each"
                )
        shared = [layer for layer in self.layers if isinstance(layer, WiredMemory)]
        names = [layer.name for layer in (*self.single_layers, *shared)]
        names += [self.readout.name] if self.readout else []
        if len(set(names)) != len(names) or INPUT in names:
            found.append(f"layer names are not unique: {names}")
        return found

    def _normalisation_problems(self) -> list[str]:
        found: list[str] = []
        for part, default in (("input_offset", 0.0), ("input_scale", 1.0)):
            given = getattr(self, part)
            array = np.full(self.input_size, default) if given is None else np.asarray(given)
            if array.shape != (self.input_size,) or not np.isfinite(array).all():
                found.append(
                    f"{part} has shape {array.shape}, expected ({self.input_size},) finite"
                )
            elif part == "input_scale" and not (array > 0).all():
                found.append("input_scale holds values that are not above 0")
            object.__setattr__(self, part, read_only(array, np.float64))
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
        """Number of units of all layers, without memories."""
        return sum(layer.units for layer in self.single_layers)

    @property
    def single_layers(self) -> tuple[SingleLayer, ...]:
        """The layers in order, those that share a memory one by one."""
        found: list[SingleLayer] = []
        for layer in self.layers:
            found += layer.layers if isinstance(layer, WiredMemory) else [layer]
        return tuple(found)

    @property
    def substeps(self) -> int:
        """How often all stages are evaluated for a sample: as often as its LTCs unfold."""
        return max((la.unfolds for la in self.layers if isinstance(la, LTCLayer)), default=1)

    @property
    def irregular(self) -> bool:
        """Whether the elapsed time comes with the samples."""
        return self.timespan is None

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """What the network consists of, in the order of evaluation; the last one answers."""
        made: list[Stage] = []
        before, scale = StageSource(INPUT, self.input_size), 1.0
        for layer in self.layers:
            own, scale = layer.stages(before, self.timespan, scale)
            made += own
            before = StageSource(own[-1].name, layer.units)
        if self.readout is not None or scale != 1.0:
            linear = self.readout or Linear(
                "output", np.eye(before.columns), np.zeros(before.columns)
            )
            made.append(
                ReadoutStage(linear.name, (before,), {SUM: linear.scaled(SUM, inputs=scale)})
            )
        return tuple(made)

    @property
    def synapses(self) -> int:
        """Number of non-zero weights, a constant time gate counted once (folded)."""
        return sum(stage.synapses for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Sizes and ranges as plain values."""
        stages = [
            {
                "stage": stage.name,
                "family": stage.family,
                "inputs": sum(s.columns for s in stage.sources if not s.previous),
                "units": stage.units,
                "synapses": stage.synapses,
                "largest_weight": stage.largest_weight,
            }
            for stage in self.stages
        ]
        return {
            "name": self.name,
            "inputs": self.input_size,
            "outputs": self.output_size,
            "timespan": self._timespan_text() if self.irregular else self.timespan,
            "host": list(self.host),
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
            f"outputs, {self.synapses:,} synapses, timespan {self._timespan_text()}\n{table}"
            + (f"\nafter it, on the host: {', '.join(self.host)}" if self.host else "")
        )

    def _timespan_text(self) -> str:
        return "irregular" if self.timespan is None else f"{self.timespan:g}"

    def __str__(self) -> str:
        """The summary."""
        return self.summary()

    def evaluate(
        self,
        x: npt.ArrayLike,
        initial_state: Mapping[str, npt.ArrayLike] | None = None,
        *,
        timespans: npt.ArrayLike | None = None,
    ) -> FloatResult:
        """Runs the network in float64.

        Args:
            x: float (batch, time, inputs).
            initial_state: for each layer name (its state), and for `<layer>.memory`, the name
                of a WiredMemory, or `<layer>.c` of an LSTM (the cell state), (batch, units) or
                (units,); zeros where absent.
            timespans: elapsed time before each sample, (batch, time), where time is irregular.

        Raises:
            InputError: a shape is wrong, x holds NaN or infinite values, or timespans are given
                where time is constant, or missing where it is not.
        """
        subject = f"network {self.name!r}"
        inputs = checked_input(x, self.input_size, subject)
        elapsed = checked_timespans(timespans, inputs.shape[:2], self.irregular, subject)
        samples, times = self.held((inputs - self.input_offset) / self.input_scale, elapsed)
        result = evaluate_stages(self.stages, samples, times, initial_state or {}, self.substeps)
        return result.every(self.substeps)

    def held(
        self, inputs: FloatArray, elapsed: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Each sample and its elapsed time as often as the stages are evaluated for it."""
        if self.substeps == 1:
            return inputs, elapsed
        times = None if elapsed is None else np.repeat(elapsed, self.substeps, axis=1)
        return np.repeat(inputs, self.substeps, axis=1), times


def elapsed_problem(timespan: float) -> str | None:
    """What is wrong with a constant elapsed time, or None; 0 is one for a CfC."""
    if 0 <= timespan <= LARGEST:  # false for NaN
        return None
    return (
        f"timespan is {timespan:g}; an elapsed time is a number from 0 to {LARGEST:.3g}, in the "
        "unit of the training"
    )


def checked_timespans(
    timespans: npt.ArrayLike | None,
    shape: tuple[int, ...],
    irregular: bool,
    subject: str,
    inside: npt.NDArray[np.bool_] | None = None,
) -> FloatArray | None:
    """Elapsed times as float64 (batch, time), or None where time is constant.

    What is not `inside` (before the end of its sequence) is not looked at.

    Raises:
        InputError: they are missing or superfluous, of wrong shape, negative, not finite or larger
            than LARGEST.
    """
    if timespans is None:
        if irregular:
            raise InputError(
                subject, "its time is irregular: give timespans (batch, time), the elapsed time "
                "before each sample"
            )  # fmt: skip
        return None
    if not irregular:
        raise InputError(
            subject, "its time is constant and folded into the weights; leave timespans out, or "
            'import the network with timespan="irregular"'
        )  # fmt: skip
    problems = Problems(InputError, "timespans")
    try:
        array = as_array(timespans).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("timespans", f"is not an array of numbers ({error})") from error
    if array.shape != tuple(shape):
        problems.add(f"has shape {array.shape}, expected (batch, time) = {tuple(shape)}")
    wrong = ~((array >= 0) & (array <= LARGEST))
    if inside is not None and wrong.shape == inside.shape:
        wrong &= inside
    bad = int(np.count_nonzero(wrong))
    if bad:
        problems.add(
            f"holds {bad} of {array.size} values that are no elapsed time: negative, NaN or above "
            f"{LARGEST:.3g}"
        )
    problems.raise_if_any()
    return array


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
        InputError: as `checked_samples`, or values are larger than LARGEST.
    """
    array = checked_samples(x, channels, subject).astype(np.float64)
    bad = int(np.count_nonzero(np.abs(array) > LARGEST))
    if bad:
        raise InputError(
            subject, f"x holds {bad} of {array.size} values beyond {LARGEST:.3g}, the largest "
            "number of float32, whose squares float64 cannot hold; remove or scale them"
        )  # fmt: skip
    return array
