"""Ranges of parameters, samples of them, and 90 % intervals of what is computed from them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

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


def sample(figures: Mapping[str, Figure], draws: int, seed: int) -> FloatArray:
    """Draws of parameters from their ranges, each on its own.

    A range is divided into as many parts of the same probability as there are draws, and each draw
    is the middle of another one (Latin hypercube sampling: McKay et al. 1979,
    doi:10.2307/1268522): where one parameter decides, the interval of the result is that of the
    parameter, whatever the seed. A parameter is drawn by a generator of its own, which its name
    and its numbers seed: devices that share a figure share its draws, whatever else they have, so
    that what is computed from both can be compared draw by draw.

    Args:
        figures: the parameters by name.
        draws: number of draws.
        seed: seed of the generators.

    Returns:
        float64 (draws, parameters).
    """
    columns = [
        _drawn(name, figure.value, *deviations(figure), draws, seed)
        for name, figure in figures.items()
    ]
    return np.stack(columns, axis=1)


@lru_cache(maxsize=512)
def _drawn(
    name: str, value: float, below: float, above: float, draws: int, seed: int
) -> FloatArray:
    key = zlib.crc32(f"{name} {value!r} {below!r} {above!r}".encode())
    normal = np.random.default_rng((seed, key)).permutation(_quantiles(draws))
    values: FloatArray = value * np.exp(normal * np.where(normal < 0.0, below, above))
    values.flags.writeable = False
    return values


@lru_cache(maxsize=8)
def _quantiles(draws: int) -> FloatArray:
    """The middles of equally probable parts of the standard normal distribution."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((place + 0.5) / draws) for place in range(draws)])
