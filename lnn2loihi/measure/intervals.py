"""Means of repeats, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

#: Student's t for 95 % (two-sided) by degrees of freedom, 1 to 10: any table of the distribution.
_STUDENT = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Average:
    """The mean of repeats.

    Attributes:
        mean: the mean.
        low, high: 95 % interval of the mean (Student's t over the repeats); None where there is
            one repeat only, which says nothing about its spread.
        repeats: how many there were.
        unit: SI unit.
    """

    mean: float
    low: float | None
    high: float | None
    repeats: int
    unit: str

    def scaled(self, factor: float, unit: str) -> Average:
        """The mean of all values times a factor above 0, in another unit."""
        low, high = (None if end is None else end * factor for end in (self.low, self.high))
        return Average(self.mean * factor, low, high, self.repeats, unit)

    def to_dict(self) -> dict[str, Any]:
        """The mean as plain data for JSON."""
        return asdict(self)


def average(values: Sequence[float], unit: str) -> Average:
    """The mean of values with its 95 % interval.

    Args:
        values: one for each repeat, at least one.
        unit: SI unit of all of them.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Average(mean, None, None, 1, unit)
    half = student(count - 1) * deviation(values) / math.sqrt(count)
    return Average(mean, mean - half, mean + half, count, unit)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample, of at least two values."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def student(freedom: int) -> float:
    """Student's t for a two-sided 95 % interval, to 1e-4.

    From 11 degrees of freedom on: the expansion of Abramowitz and Stegun, 26.7.5.
    """
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    z = NormalDist().inv_cdf((1.0 + CONFIDENCE) / 2.0)
    terms = (
        (z**3 + z) / 4.0,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96.0,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384.0,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160.0,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))
