"""Ranges of parameters, samples of them, and 90 % intervals of what is computed from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.devices import Figure, with_prefix

FloatArray = npt.NDArray[np.float64]

#: Standard deviations from the median of a normal distribution to its 95 % quantile.
Z95 = 1.6448536269514722


@dataclass(frozen=True)
class Interval:
    """A quantity with its 90 % interval.

    Attributes:
        value: at the nominal parameters.
        low: 5 % quantile over the ranges of the parameters.
        high: 95 % quantile.
        unit: SI unit.
    """

    value: float
    low: float
    high: float
    unit: str

    @classmethod
    def of(cls, values: FloatArray, unit: str) -> Interval:
        """The interval of a quantity.

        Args:
            values: float64 (1 + draws,): at the nominal parameters, and at each draw of them.
            unit: SI unit.
        """
        low, high = np.quantile(values[1:], (0.05, 0.95))
        # A maximum of skewed quantities can lie wholly on one side of its nominal value.
        value = float(values[0])
        return cls(value, min(float(low), value), max(float(high), value), unit)

    def __str__(self) -> str:
        """The value and, where it is uncertain, its interval: 29.4 nJ [19.6 to 54.9 nJ]."""
        text = with_prefix(self.value, self.unit)
        return text if self.low == self.high else f"{text} [{self.range_text}]"

    @property
    def range_text(self) -> str:
        """The interval alone."""
        return f"{with_prefix(self.low, self.unit)} to {with_prefix(self.high, self.unit)}"


def deviations(figure: Figure) -> tuple[float, float]:
    """Standard deviations of a figure's logarithm, below and above its value.

    The range of a figure is taken as the 5 % and the 95 % quantile of a split log-normal
    distribution whose median is the value.
    """
    if figure.value == 0.0:
        return 0.0, 0.0
    below = math.log(figure.value / figure.low) / Z95
    return below, math.log(figure.high / figure.value) / Z95


def sample(figures: Sequence[Figure], draws: int, seed: int) -> FloatArray:
    """Draws of parameters from their ranges, each on its own.

    Args:
        figures: the parameters.
        draws: number of draws.
        seed: seed of the generator; the same seed gives the same draws for every network, so that
            comparisons are not blurred by them.

    Returns:
        float64 (draws, parameters).
    """
    normal = np.random.default_rng(seed).standard_normal((draws, len(figures)))
    below, above = np.array([deviations(figure) for figure in figures]).T
    values = np.array([figure.value for figure in figures])
    spread: FloatArray = np.where(normal < 0.0, below, above)
    return np.multiply(values, np.exp(normal * spread))
