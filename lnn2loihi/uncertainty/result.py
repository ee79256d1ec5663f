"""What passes of Monte-Carlo dropout say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.frozen import ContentEquality
from lnn2loihi.kinds import Natural, Share
from lnn2loihi.layers.functions import error_function
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.neurons.dropping import mask_words
from lnn2loihi.showing import Drawn, Said, Shown, Table
from lnn2loihi.simulation.result import Counters, clipped_text, saturation_text
from lnn2loihi.tables import percent
from lnn2loihi.uncertainty.noise import FittedNoise, checked_noise
from lnn2loihi.uncertainty.scores import (
    LEVELS,
    ClassScores,
    NumberScores,
    entropy,
    reach_of,
    score_classes,
    score_numbers,
    softmax,
)

#: Bisections of a quantile of passes with noise, and how many deviations it is looked for beyond
#: the farthest pass.
_BISECTIONS, _FARTHEST = 60, 9.0
_ALONE = (
    "dropout alone is not calibrated; fit the noise of a validation set, which is kept out of the "
    "training (lnn2loihi.fit_noise)"
)


@dataclass(frozen=True, eq=False)
class Interval(Shown, ContentEquality):
    """A central interval of each answer.

    Attributes:
        level: the share of values that it is meant to cover, 0 to 1.
        low, high: its ends, float64 (batch, time, outputs).
        coverage: the share that it covered of the validation values that the noise was fitted to;
            None where there were none.
        values: how many these were; 0 for none.
    """

    level: float
    low: FloatArray
    high: FloatArray
    coverage: float | None
    values: int

    def _headline(self) -> str:
        return f"{self.level:.0%}, mean width {np.mean(self.high - self.low):.4g}, {self._covered}"

    @property
    def _covered(self) -> str:
        if self.coverage is None:
            return "coverage unknown"
        return f"covered {percent(self.coverage)} of {self.values:,} validation values"

    def _shown(self) -> list[Said]:
        """One line, with the coverage."""
        width = float(np.mean(self.high - self.low))
        said = f"{percent(self.level)} interval, mean width {width:.4g}: {self._covered}"
        return [said if self.coverage is not None else f"{said}; {_ALONE}"]


@dataclass(frozen=True, eq=False)
class MonteCarloResult(Drawn, Shown, ContentEquality):
    """Answers of passes that each heard with a mask of their own.

    The masks of a pass are those of all sequences, from the first step to the last one where
    samples have no masks of their own.

    Attributes:
        samples: answers of each pass, float64 (passes, batch, time, outputs); 0 beyond the end of a
            sequence.
        masks: for each population (of a float network, each stage) with dropout which units were
            kept, bool (passes, units); (passes, time, units) where samples have masks of their own.
        keep: for each of them the probability that a unit is kept.
        lengths: samples of each sequence, int64 (batch,).
        seed: of the masks; None where they were given.
        noise: standard deviation of the observations' noise, float64 (outputs,); None for none.
        fitted: what the noise was fitted to; None where it is a number of the user's, or none.
        executor: which executor ran, with its version; "float64" for a float network.
        warnings: what makes the answers say less, a sentence each.
        saturated_inputs: input values of a pass that were outside the calibrated range.
        saturations: how often `population.word` saturated, over all passes; None where nobody
            counted.
        counters: messages of all passes together, for estimates; None for a float network.
    """

    samples: FloatArray
    masks: Mapping[str, npt.NDArray[np.bool_]]
    keep: Mapping[str, float]
    lengths: IntegerArray
    seed: int | None
    noise: FloatArray | None
    fitted: FittedNoise | None
    executor: str
    warnings: tuple[str, ...] = ()
    saturated_inputs: int = 0
    saturations: Mapping[str, int] | None = None
    counters: Counters | None = None

    @cached_property
    def mean(self) -> FloatArray:
        """Mean of the passes, float64 (batch, time, outputs)."""
        return self.samples.mean(axis=0)

    @cached_property
    def spread(self) -> FloatArray:
        """Standard deviation of the passes (their variance divided by passes - 1), of the same
        shape: how much the network doubts.
        """
        return self.samples.std(axis=0, ddof=1)

    @cached_property
    def std(self) -> FloatArray:
        """Standard deviation of what will be observed, of the same shape: that of the passes, and
        of the noise, sqrt(spread^2 + noise^2).
        """
        if self.noise is None:
            return self.spread
        return np.where(self._inside[..., None], np.hypot(self.spread, self.noise), 0.0)

    @checks_kinds()
    def quantile(self, p: Share) -> FloatArray:
        """A quantile, float64 (batch, time, outputs): of the passes (linear between two of them),
        or with noise of the mixture of Gaussians around them.

        Args:
            p: the share of what lies below, 0 to 1; with noise neither of both.

        Raises:
            InputError: it is out of range.
        """
        if self.noise is None:
            return np.quantile(self.samples, p, axis=0)
        if not 0.0 < p < 1.0:
            raise InputError("p", f"is {p!r}; noise has no ends: give a number between 0 and 1")
        if not (self.noise > 0.0).all():
            return np.where(self.noise > 0.0, self._mixed(p), np.quantile(self.samples, p, axis=0))
        return self._mixed(p)

    def _mixed(self, p: float) -> FloatArray:
        """The quantile of the mixture, by bisection."""
        assert self.noise is not None
        noise = np.maximum(self.noise, np.finfo(np.float64).tiny)
        low = self.samples.min(axis=0) - _FARTHEST * noise
        high = self.samples.max(axis=0) + _FARTHEST * noise
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2.0
            z = (middle - self.samples) / (noise * np.sqrt(2.0))
            below = (0.5 * (1.0 + error_function(np.clip(z, -30.0, 30.0)))).mean(axis=0)
            low, high = np.where(below < p, middle, low), np.where(below < p, high, middle)
        return np.where(self._inside[..., None], (low + high) / 2.0, 0.0)

    @checks_kinds()
    def interval(self, level: Share = 0.95) -> Interval:
        """The central interval of the Gaussian with `mean` and `std`, and what it has covered.

        Args:
            level: the share of values that it is meant to cover, below 1.

        Raises:
            InputError: the level is out of range.
        """
        if level >= 1.0:
            raise InputError("level", "is 1; no interval of a Gaussian covers everything")
        away = reach_of(level) * self.std
        coverage, values = None, 0
        if self.fitted is not None:
            coverage, values = self.fitted.coverage(level), self.fitted.values
        return Interval(float(level), self.mean - away, self.mean + away, coverage, values)

    @cached_property
    def probability(self) -> FloatArray:
        """Mean over the passes of softmax(answers), float64 (batch, time, classes); of one output,
        a logit, those of no and yes.
        """
        return softmax(self.samples).mean(axis=0)

    @cached_property
    def entropy(self) -> FloatArray:
        """Entropy of `probability`, in nats, float64 (batch, time): all doubt together."""
        return entropy(self.probability)

    @cached_property
    def mutual_information(self) -> FloatArray:
        """How much of the entropy is doubt about the weights: the entropy of the mean less the mean
        entropy of the passes, in nats, float64 (batch, time), 0 or more.
        """
        return np.maximum(self.entropy - entropy(softmax(self.samples)).mean(axis=0), 0.0)

    def with_noise(self, noise: FittedNoise | npt.ArrayLike | None) -> MonteCarloResult:
        """The same passes with other noise.

        Args:
            noise: as for `monte_carlo`.

        Raises:
            InputError: it does not fit the outputs.
        """
        deviation, fitted = checked_noise(noise, self.samples.shape[-1])
        return replace(self, noise=deviation, fitted=fitted)

    @checks_kinds()
    def at_end(self) -> MonteCarloResult:
        """The answers to the last sample of each sequence alone, as of one step.

        Raises:
            InputError: a sequence has no sample.
        """
        if not self.lengths.all():
            raise InputError("lengths", "a sequence of length 0 has no last sample")
        last = np.arange(self.lengths.size), self.lengths - 1
        return replace(
            self, samples=self.samples[:, last[0], last[1]][:, :, None], lengths=self._ones
        )

    @checks_kinds()
    def over_time(self) -> MonteCarloResult:
        """The mean of each pass over the samples of a sequence, as of one step: for networks whose
        answer is the mean of their logits.

        Raises:
            InputError: a sequence has no sample.
        """
        if not self.lengths.all():
            raise InputError("lengths", "a sequence of length 0 has no mean")
        total = np.where(self._inside[..., None], self.samples, 0.0).sum(axis=2, keepdims=True)
        return replace(self, samples=total / self.lengths[:, None, None], lengths=self._ones)

    @checks_kinds()
    def initial_state(self, number: Natural) -> dict[str, dict[str, IntegerArray]]:
        """The state words of the masks of a pass, int64 (units,): for `initial_state` of `simulate`
        and `verify`, of any number of sequences.

        Args:
            number: of the pass, from 0.

        Raises:
            InputError: there is no such pass.
        """
        if number >= len(self.samples):
            raise InputError("number", f"is {number}; there are {len(self.samples)} passes, from 0")
        if any(kept.ndim > 2 for kept in self.masks.values()):
            raise InputError("number", "masks of every sample come in with them; no state has them")
        return {name: dict(mask_words(kept[number])) for name, kept in self.masks.items()}

    @checks_kinds()
    def scores(self, y: npt.ArrayLike) -> NumberScores | ClassScores:
        """How good the answers are, before the ends of the sequences.

        Args:
            y: what came: numbers (batch, time, outputs), which the Gaussian of `mean` and `std` is
                scored by (for one output also (batch, time)); or classes, whole numbers, of each
                sequence (batch,), by its last sample, or of each sample (batch, time).

        Raises:
            InputError: shapes, types or classes do not fit.
        """
        wanted = as_array(y, "scores", "y")
        shape = self.mean.shape
        if wanted.dtype.kind in "iub" and wanted.shape in (shape[:1], shape[:2]):
            return self._class_scores(wanted.astype(np.int64))
        if shape[2] == 1 and wanted.shape == shape[:2]:
            wanted = wanted[..., None]
        if wanted.shape != shape or wanted.dtype.kind not in "iuf":
            raise InputError(
                "scores",
                f"y is {wanted.dtype} {wanted.shape}; give numbers {shape}, or classes, whole "
                f"numbers {shape[:1]} or {shape[:2]}",
            )
        right = wanted[self._inside].astype(np.float64)
        if not right.size or not np.isfinite(right).all():
            what = "y holds NaN or infinite values" if right.size else "no sequence has a sample"
            raise InputError("scores", what)
        return score_numbers(self.mean[self._inside], self.std[self._inside], right)

    def _class_scores(self, classes: IntegerArray) -> ClassScores:
        if classes.ndim == 1:
            end = self.at_end()
            return _scored_classes(end.probability[:, 0], classes)
        return _scored_classes(self.probability[self._inside], classes[self._inside])

    @property
    def _inside(self) -> npt.NDArray[np.bool_]:
        """What is before the end of its sequence, (batch, time)."""
        return np.arange(self.samples.shape[2]) < self.lengths[:, None]

    @property
    def _ones(self) -> IntegerArray:
        return np.ones_like(self.lengths)

    def to_dict(self) -> dict[str, Any]:
        """What was run, and how wide the intervals are, as plain values; without the samples."""
        passes, batch, time, outputs = self.samples.shape
        return {
            "passes": passes,
            "sequences": batch,
            "steps": time,
            "outputs": outputs,
            "seed": self.seed,
            "keep": dict(self.keep),
            "spread": float(self.spread[self._inside].mean()),
            "noise": None if self.noise is None else self.noise.tolist(),
            "intervals": [
                {"level": one.level, "mean_width": float(np.mean(one.high - one.low)),
                 "coverage": one.coverage, "validation_values": one.values}
                for one in map(self.interval, LEVELS)
            ],
            "saturated_inputs": self.saturated_inputs,
            "saturated_words": None if self.saturations is None else dict(self.saturations),
            "warnings": list(self.warnings),
            "executor": self.executor,
        }  # fmt: skip

    def _headline(self) -> str:
        passes, batch, time, outputs = self.samples.shape
        return (
            f"{passes} passes of {batch:,} sequences of {time:,} samples, {outputs} outputs, "
            f"{self.interval().__repr__()}"
        )

    def _shown(self) -> list[Said]:
        """What was run, the intervals with their coverage, and the spread of each output."""
        passes, batch, time, outputs = self.samples.shape
        where = ", ".join(
            f"{name} (keeps {keep:.4g} of {self.masks[name].shape[-1]})"
            for name, keep in self.keep.items()
        )
        drawn = "given" if self.seed is None else f"seed {self.seed}"
        inside = self._inside
        said: list[Said] = [
            f"{passes} passes of {batch:,} sequences of {time:,} samples, {outputs} outputs; masks "
            f"({drawn}) on {where}; {self.executor}",
        ]
        if self.counters is not None:
            values = self.counters.samples // passes * self._channels
            clipped = clipped_text(self.saturated_inputs, values)
            said.append(saturation_text(self.saturations))
            said += [f"warning: {clipped}"] if clipped else []
        said += [f"warning: {warning}" for warning in self.warnings]
        rows = [
            (percent(one.level), float((one.high - one.low)[inside].mean()),
             "unknown" if one.coverage is None else percent(one.coverage),
             one.values or None)
            for one in map(self.interval, LEVELS)
        ]  # fmt: skip
        said.append(Table(("interval", "mean width", "covered", "of validation values"), rows))
        if self.fitted is None:
            said.append(f"warning: {_ALONE}")
        columns = zip(self.mean[inside].T, self.spread[inside].T, strict=True)
        rows = [
            (place, float(mean.mean()), float(spread.mean()), float(spread.max()),
             None if self.noise is None else float(self.noise[place]))
            for place, (mean, spread) in enumerate(columns)
        ][:32]  # fmt: skip
        said.append(Table(("output", "mean", "mean spread", "largest spread", "noise"), rows))
        return said

    @property
    def _channels(self) -> int:
        assert self.counters is not None
        return next(iter(self.counters.non_zero.values())).size


def _scored_classes(probability: FloatArray, classes: IntegerArray) -> ClassScores:
    count = probability.shape[-1]
    if not classes.size:
        raise InputError("scores", "no sequence has a sample")
    if classes.min() < 0 or classes.max() >= count:
        raise InputError(
            "scores",
            f"y holds classes {classes.min()} to {classes.max()}; there are 0 to {count - 1}",
        )
    return score_classes(probability, classes)
