"""Intervals around what is counted and measured, for the examples. All are of 95 %."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: 97.5 % of a normal distribution lie below it.
NORMAL = 1.959964
#: Draws of a bootstrap.
DRAWS = 10_000


def wilson(count: int, total: int) -> tuple[float, float]:
    """The interval of a share by Wilson (1927), which holds for shares of 0 and 1 too."""
    share, square = count / total, NORMAL**2 / total
    middle = (share + square / 2.0) / (1.0 + square)
    half = NORMAL / (1.0 + square) * np.sqrt(share * (1.0 - share) / total + square / total / 4.0)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def bootstrap(values: npt.ArrayLike, seed: int = 0) -> tuple[float, float]:
    """The interval of a mean, by drawing the values again; of differences where they are pairs."""
    given = np.asarray(values, np.float64)
    generator = np.random.default_rng(seed)
    means = [given[generator.integers(0, len(given), len(given))].mean() for _ in range(DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def of_mean(values: npt.ArrayLike, digits: int = 2) -> str:
    """A mean and its interval, as text."""
    low, high = bootstrap(values)
    return f"{np.asarray(values).mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def of_difference(values: npt.ArrayLike, digits: int = 2) -> str:
    """A mean difference of pairs and its interval, as text."""
    low, high = bootstrap(values)
    return f"{np.asarray(values).mean():+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def of_share(count: int, total: int) -> str:
    """A share and its interval, as text."""
    low, high = wilson(count, total)
    return f"{100 * count / total:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"
