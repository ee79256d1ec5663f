"""Proper scores and calibration of predictions that say how sure they are.

Numbers are predicted by a Gaussian (a mean and a standard deviation), classes by probabilities. Of
the Gaussian everything has a closed form: with z = (y - mean) / std, and phi and Phi the density
and the distribution function of the standard one,

    NLL  = (log(2 pi std^2) + z^2) / 2
    CRPS = std (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))        (Gneiting & Raftery 2007, eq. 21)

The calibration error of quantiles is the mean over QUANTILES of |share of y below it - level|
(Kuleshov et al. 2018), that of classes the expected one over BINS of equal width of the confidence
(Guo et al. 2017). Brier's score is summed over the classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.layers.functions import error_function
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.showing import Said, Shown, Table
from lnn2loihi.tables import percent

#: Central intervals whose coverage and width are scored.
LEVELS = (0.5, 0.8, 0.95)
#: Quantiles of the calibration error, 0.05 to 0.95.
QUANTILES = tuple(round(0.05 * n, 2) for n in range(1, 20))
#: Bins of the confidence.
BINS = 15
_NORMAL = NormalDist()


def reach_of(level: float) -> float:
    """How many standard deviations a central interval of a Gaussian goes to either side."""
    return _NORMAL.inv_cdf((1.0 + level) / 2.0)


def gaussian_nll(mean: FloatArray, std: FloatArray, y: FloatArray) -> FloatArray:
    """The negative logarithm of the density of y, of arrays of one shape; in nats. Infinite, or NaN
    where y is the mean, where `std` is 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return 0.5 * (np.log(2.0 * math.pi * std**2) + ((y - mean) / std) ** 2)


def gaussian_crps(mean: FloatArray, std: FloatArray, y: FloatArray) -> FloatArray:
    """The continuous ranked probability score of y, in its unit; |y - mean| where `std` is 0."""
    z = _deviates(mean, std, y)
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    below = 0.5 * (1.0 + error_function(z / math.sqrt(2.0)))
    score = std * (z * (2.0 * below - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi))
    return np.where(std > 0.0, score, np.abs(y - mean))


def _deviates(mean: FloatArray, std: FloatArray, y: FloatArray) -> FloatArray:
    """(y - mean) / std; 0 where std is."""
    return np.where(std > 0.0, (y - mean) / np.where(std > 0.0, std, 1.0), 0.0)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities of classes over the last axis; of one logit those of no and yes."""
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def entropy(probability: FloatArray) -> FloatArray:
    """Entropy over the last axis, in nats; a class of probability 0 has none."""
    logs = np.log(np.where(probability > 0.0, probability, 1.0))
    return -(probability * logs).sum(axis=-1)


@dataclass(frozen=True)
class NumberScores(Shown):
    """How good predictions of numbers are.

    Attributes:
        mse: mean squared error of the mean.
        nll: mean negative log-likelihood of the Gaussian, in nats; None where a standard deviation
            is 0, which says that nothing else could happen.
        crps: mean continuous ranked probability score, in the unit of the answer.
        coverage: for each of LEVELS the share of values within the central interval.
        width: for each of LEVELS the mean width of the interval, in the unit of the answer.
        calibration_error: of the quantiles, 0 to 1.
        values: numbers that were scored.
        certain: values whose standard deviation is 0.
    """

    mse: float
    nll: float | None
    crps: float
    coverage: Mapping[float, float]
    width: Mapping[float, float]
    calibration_error: float
    values: int
    certain: int

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain values."""
        named = {"coverage": self.coverage, "width": self.width}
        texts = {name: {f"{k:g}": v for k, v in own.items()} for name, own in named.items()}
        return {**vars(self), **texts}

    def _headline(self) -> str:
        covered = ", ".join(f"{k:.0%}: {v:.1%}" for k, v in self.coverage.items())
        return f"MSE {self.mse:.4g}, CRPS {self.crps:.4g}, coverage {covered}"

    def _shown(self) -> list[Said]:
        """Scores, and a line for each interval."""
        nll = "not finite" if self.nll is None else f"{self.nll:.4g}"
        rows = [
            (percent(level), percent(self.coverage[level]), self.width[level])
            for level in self.coverage
        ]
        said: list[Said] = [
            f"{self.values:,} values: MSE {self.mse:.4g}, NLL {nll}, CRPS {self.crps:.4g}, "
            f"calibration error of quantiles {self.calibration_error:.4g}",
            Table(("interval", "covered", "mean width"), rows),
        ]
        if self.certain:
            said.append(
                f"warning: {self.certain:,} of {self.values:,} values are predicted without any "
                "doubt, which no likelihood forgives; give noise (lnn2loihi.fit_noise)"
            )
        return said


@dataclass(frozen=True)
class ClassScores(Shown):
    """How good predictions of classes are.

    Attributes:
        accuracy: share of decisions whose most probable class is the right one.
        nll: mean negative log-likelihood of the right class, in nats; None where its probability
            is 0.
        brier: mean of the squared differences from 0 and 1, summed over the classes.
        ece: expected calibration error of the confidence.
        values: decisions that were scored.
    """

    accuracy: float
    nll: float | None
    brier: float
    ece: float
    values: int

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain values."""
        return dict(vars(self))

    def _headline(self) -> str:
        return f"accuracy {self.accuracy:.1%}, Brier {self.brier:.4g}, ECE {self.ece:.4g}"

    def _shown(self) -> list[Said]:
        """One line."""
        nll = "not finite" if self.nll is None else f"{self.nll:.4g}"
        return [
            f"{self.values:,} decisions: accuracy {percent(self.accuracy)}, NLL {nll}, Brier "
            f"{self.brier:.4g}, expected calibration error {self.ece:.4g}"
        ]


def score_numbers(mean: FloatArray, std: FloatArray, y: FloatArray) -> NumberScores:
    """Scores of Gaussians.

    Args:
        mean: of each value, float64, not empty.
        std: standard deviation of each value, of the same shape, 0 or more.
        y: what came, of the same shape.
    """
    certain = int(np.count_nonzero(std == 0.0))
    away = np.abs(y - mean)
    nll = None if certain else float(gaussian_nll(mean, std, y).mean())
    # Without any doubt a value is in the middle, or beyond every interval.
    sure = np.where(away > 0.0, np.copysign(np.inf, y - mean), 0.0)
    z = np.where(std > 0.0, _deviates(mean, std, y), sure)
    reach = {level: reach_of(level) for level in LEVELS}
    below = [abs(float(np.mean(z < _NORMAL.inv_cdf(q))) - q) for q in QUANTILES]
    return NumberScores(
        mse=float(np.mean(away**2)),
        nll=nll,
        crps=float(gaussian_crps(mean, std, y).mean()),
        coverage={level: float(np.mean(np.abs(z) <= k)) for level, k in reach.items()},
        width={level: float(2.0 * k * std.mean()) for level, k in reach.items()},
        calibration_error=float(np.mean(below)),
        values=int(y.size),
        certain=certain,
    )


def score_classes(probability: FloatArray, classes: npt.NDArray[Any]) -> ClassScores:
    """Scores of probabilities.

    Args:
        probability: float64 (decisions, classes), not empty.
        classes: the right ones, integers (decisions,), each one of them.
    """
    right = probability[np.arange(classes.size), classes]
    chosen, confidence = probability.argmax(axis=-1), probability.max(axis=-1)
    correct = (chosen == classes).astype(np.float64)
    wanted = np.zeros_like(probability)
    wanted[np.arange(classes.size), classes] = 1.0
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, correct - confidence, BINS)
    return ClassScores(
        accuracy=float(correct.mean()),
        nll=float(-np.log(right).mean()) if (right > 0.0).all() else None,
        brier=float(((probability - wanted) ** 2).sum(axis=-1).mean()),
        ece=float(np.abs(gaps).sum() / classes.size),
        values=int(classes.size),
    )
