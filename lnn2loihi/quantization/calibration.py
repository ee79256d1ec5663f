"""What calibration data say about a network: ranges and second moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import Problems, QuantizationError
from lnn2loihi.evaluation import FloatResult, evaluate_stages
from lnn2loihi.formats import IntegerArray
from lnn2loihi.layers.stage import INPUT, Stage
from lnn2loihi.network import FloatArray, LiquidNetwork
from lnn2loihi.quantization.moments import Heard, Moments, moments_of
from lnn2loihi.quantization.outliers import LARGEST_SHARE, Outliers, find_all, without
from lnn2loihi.stepping import heard

#: Ways to choose a range from data: all of it, or what is worth its cost.
RANGES = ("range", "percentile", "mse")
#: Share of the values that `percentile` keeps.
PERCENTILE = 99.9
#: Where there is dropout, calibration draws so many masks at least, and with this seed.
FEWEST_MASKS, MASKS_SEED = 32, 0
#: Fractions of the largest magnitude that `mse` tries.
CLIPPED = tuple(0.5**n for n in range(5))


@dataclass(frozen=True)
class CalibrationRun:
    """Measurements on calibration data.

    Attributes:
        x: the data, float64 (batch, time, inputs). Beyond the end of a sequence stand samples that
            are some of them.
        timespans: elapsed times, float64 (batch, time), or None.
        lengths: samples of each sequence, int64 (batch,), or None for all of them.
        inputs: the data, normalised as the network says and held for all steps of a sample.
        result: the float network's answer to them, in every step.
        input_low, input_high: smallest and largest normalised value of each channel, (inputs,).
        elapsed_range: smallest and largest elapsed time; None where time is constant.
        moments: for each stage name, but those of wired ones, E[z z^T] with z = [all sources; 1]:
            what a weight error costs.
        ranges: key of RANGES: how formats are chosen from the data.
        bounds: for each stage name what its answer cannot leave, infinite without such a bound.
        outliers: values that lie far outside all others. Ranges that are robust have them at the
            ends of the others, here and in everything that was measured.
        initial: states that the sequences began with, by name, float64 (batch, units); zeros for
            all others.
        keeps: for each stage whose message masks drop the probability that a unit is kept.
        unmasked: number of the first sequences, which were run without masks.
    """

    x: FloatArray
    timespans: FloatArray | None
    lengths: IntegerArray | None
    inputs: FloatArray
    result: FloatResult
    input_low: FloatArray
    input_high: FloatArray
    elapsed_range: tuple[float, float] | None
    moments: Mapping[str, Moments]
    ranges: str
    bounds: Mapping[str, float]
    outliers: tuple[Outliers, ...] = ()
    initial: Mapping[str, FloatArray] = field(default_factory=dict)
    keeps: Mapping[str, float] = field(default_factory=dict)
    unmasked: int = 0

    def messages(self, name: str) -> FloatArray:
        """What a stage sent, (batch, steps, units): as large as it is, not as it is heard where
        masks drop some of it.
        """
        values, keep = self.result.states[name], self.keeps.get(name)
        if keep is None:
            return values
        return np.concatenate([values[: self.unmasked], keep * values[self.unmasked :]])

    def largest(self, values: FloatArray, bits: int) -> float:
        """The magnitude that a format of `bits` bits for such values has to hold."""
        return largest_magnitude(values, bits, self.ranges)

    @property
    def inside(self) -> npt.NDArray[np.bool_] | None:
        """Steps of `inputs` that count, (batch, steps): none beyond the end of a sequence. None
        for all of them.
        """
        return _inside(self.x.shape[1], self.inputs.shape[1], self.lengths)

    def live(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values (batch, samples or steps, ...) that count, behind each other: (all, ...)."""
        inside = _inside(self.x.shape[1], values.shape[1], self.lengths)
        return values.reshape(-1, *values.shape[2:]) if inside is None else values[inside]

    @property
    def left_out(self) -> dict[str, str]:
        """For the provenance: stages whose rounding is weighed on some of the samples alone."""
        notes = {name: found.note for name, found in self.moments.items() if found.note}
        listed = "; ".join(f"{name}: {note}" for name, note in notes.items())
        return {"moments": listed} if notes else {}

    def largest_of_units(self, values: FloatArray, bits: int) -> FloatArray:
        """The same as `largest` for each unit of values that count, (all, units)."""
        if self.ranges == "range":
            return np.abs(values).max(axis=0)
        return np.array([self.largest(values[:, unit], bits) for unit in range(values.shape[-1])])

    def first(self, count: int) -> CalibrationRun:
        """The same measurements, with the data and the answers of the first sequences alone."""
        return replace(
            self,
            x=self.x[:count],
            timespans=None if self.timespans is None else self.timespans[:count],
            lengths=None if self.lengths is None else self.lengths[:count],
            inputs=self.inputs[:count],
            result=self.result.sequences(slice(count)),
            initial={name: states[:count] for name, states in self.initial.items()},
        )


def _inside(time: int, steps: int, lengths: IntegerArray | None) -> npt.NDArray[np.bool_] | None:
    """What counts in so many steps of `time` samples."""
    if lengths is None:
        return None
    return np.arange(steps) < (lengths * (steps // time))[:, None]


def largest_magnitude(values: FloatArray, bits: int, ranges: str) -> float:
    """The magnitude to cover: the largest one, a percentile of them, or the one with the smallest
    mean squared error of rounding and saturation together. A percentile leaves nothing out where
    all values but LARGEST_SHARE are one: the others are what there is to say.
    """
    magnitudes = np.abs(values).ravel()
    most = float(magnitudes.max())
    if ranges == "range" or most == 0.0:
        return most
    if ranges == "percentile":
        # Of a switch or of rain, which stand still else, the percentile is what says nothing.
        events = np.count_nonzero(magnitudes != np.median(magnitudes))
        if events <= LARGEST_SHARE * magnitudes.size:
            return most
        # The value itself and none between two, so that the largest of few is left out, too.
        return float(np.percentile(magnitudes, PERCENTILE, method="lower"))

    def error(limit: float) -> float:
        step = limit / 2.0 ** (bits - 1)
        rounded = np.clip(np.floor(magnitudes / step + 0.5) * step, 0.0, limit)
        return float(np.mean((rounded - magnitudes) ** 2))

    return min((fraction * most for fraction in CLIPPED), key=error)


def run_calibration(
    network: LiquidNetwork,
    x: FloatArray,
    timespans: FloatArray | None = None,
    ranges: str = "range",
    lengths: IntegerArray | None = None,
    initial: Mapping[str, FloatArray] | None = None,
    keeps: Mapping[str, float] = MappingProxyType({}),
) -> CalibrationRun:
    """Runs the float network on calibration data.

    Args:
        network: the network.
        x: float64 (batch, time, inputs), finite and not empty.
        timespans: float64 (batch, time), or None where time is constant.
        ranges: key of RANGES.
        lengths: samples of each sequence, int64 (batch,), or None for all of them. What stands
            beyond is run too, and counts nowhere.
        initial: states that the sequences begin with, by name, float64 (batch, units). What errors
            of weights cost is weighed as if the first step began with zeros.
        keeps: for each stage whose message is masked the probability that a unit is kept. All
            sequences are then run again with a mask each, until there were FEWEST_MASKS.

    Raises:
        QuantizationError: a stage answers with NaN.
    """
    outliers = find_all(x, timespans, _inside(x.shape[1], x.shape[1], lengths))
    if ranges != "range":
        x, timespans = without(x, timespans, outliers)
    plain = len(x)
    if keeps:  # the same ranges and moments have to do for both
        times = 1 + max(-(-FEWEST_MASKS // plain), 1)
        x = np.concatenate([x] * times)
        timespans = None if timespans is None else np.concatenate([timespans] * times)
        lengths = None if lengths is None else np.concatenate([lengths] * times)
        initial = {name: np.concatenate([own] * times) for name, own in (initial or {}).items()}
    inputs, times = network.held((x - network.input_offset) / network.input_scale, timespans)
    initial = initial or {}
    masks = _masks(network, keeps, len(x), plain)
    result = evaluate_stages(network.stages, inputs, times, initial, network.substeps, masks=masks)
    inside = _inside(x.shape[1], inputs.shape[1], lengths)
    _check_finite(network, result, inside)
    moments = {
        stage.name: second_moments(stage, inputs, result, network.substeps, inside)
        for stage in network.stages
        if not stage.selects
    }
    # Beyond the ends stand samples that are some of them, and no others.
    elapsed = None if timespans is None else (float(timespans.min()), float(timespans.max()))
    low, high = inputs.min(axis=(0, 1)), inputs.max(axis=(0, 1))
    bounds = {stage.name: stage.bound for stage in network.stages}
    return CalibrationRun(
        x,
        timespans,
        lengths,
        inputs,
        result,
        low,
        high,
        elapsed,
        moments,
        ranges,
        bounds,
        outliers,
        initial,
        dict(keeps),
        plain,
    )


def _masks(
    network: LiquidNetwork, keeps: Mapping[str, float], batch: int, plain: int
) -> dict[str, FloatArray]:
    """What the messages of stages are multiplied with, (batch, units): a mask of its own for each
    sequence but the first ones.
    """
    generator = np.random.Generator(np.random.PCG64(MASKS_SEED))
    found: dict[str, FloatArray] = {}
    for stage in network.stages:
        if stage.name in keeps:
            keep = keeps[stage.name]
            found[stage.name] = (generator.random((batch, stage.units)) < keep) / keep
            found[stage.name][:plain] = 1.0
    return found


def _check_finite(
    network: LiquidNetwork, result: FloatResult, inside: npt.NDArray[np.bool_] | None
) -> None:
    """Names the first answer of each stage that is NaN. Infinite ones have no format, which is said
    where formats are chosen; answers of wired stages are some of what they hear.
    """
    problems = Problems(QuantizationError, f"network {network.name!r}")
    for stage in network.stages:
        words = {} if stage.selects else {"answers": result.states[stage.name]}
        words |= {f"keeps in {w!r}": v for w, v in result.memory.get(stage.name, {}).items()}
        for what, values in words.items():
            wrong = np.isnan(values).any(axis=-1)
            wrong = wrong if inside is None else wrong & inside
            if wrong.any():
                sequence, step = np.argwhere(wrong)[0]
                problems.add(
                    f"stage {stage.name!r} {what} NaN to sequence {sequence} of the calibration "
                    f"data, at step {step // network.substeps} (both from 0); no integers stand "
                    "for it: mend the stage's answer(), or the arrays that it was trained with"
                )
    problems.raise_if_any()


def entering(
    stage: Stage, inputs: FloatArray, result: FloatResult, substeps: int = 1
) -> FloatArray:
    """What a stage reads in each of its steps, (batch, steps, columns); initial states are 0.

    Args:
        stage: the stage.
        inputs: what enters the network in each step.
        result: what all stages answered in each step.
        substeps: steps for each sample, of which some stages take the first alone.
    """
    said = {INPUT: inputs}
    # Messages of wired stages are computed whenever they are asked for.
    said |= {
        name: result.states[name]
        for source in stage.sources
        for name in (source.name, source.first)
        if name and name != INPUT
    }
    z = np.concatenate([heard(source, said, substeps) for source in stage.sources], axis=-1)
    return z[:, ::substeps] if stage.once else z


def second_moments(
    stage: Stage,
    inputs: FloatArray,
    result: FloatResult,
    substeps: int = 1,
    inside: npt.NDArray[np.bool_] | None = None,
) -> Moments:
    """E[z z^T] of the columns that a stage reads and a constant 1; arguments as `entering`, and
    the steps that count where sequences end before the others, bool (batch, steps).
    """
    batch, steps = inputs.shape[:2]
    counted = np.ones((batch, steps), np.bool_) if inside is None else inside
    counted = counted[:, ::substeps] if stage.once else counted

    def parts(values: int) -> Iterator[FloatArray]:
        at_once = max(values // (stage.columns * steps), 1)
        for begin in range(0, batch, at_once):
            part = slice(begin, begin + at_once)
            z = entering(stage, inputs[part], result.sequences(part), substeps)
            flat = z.reshape(-1, z.shape[-1])
            yield flat if inside is None else flat[counted[part].ravel()]

    def hears() -> npt.NDArray[np.bool_]:
        return np.logical_or.reduce([gate.weight != 0.0 for gate in stage.gates.values()])

    return moments_of(Heard(stage.columns, int(np.count_nonzero(counted)), parts), hears)
