"""What the tables and plots of families.py share."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from lnn2loihi.cost.interval import Interval

#: The families' names.
NAMES = {
    "cfc": "CfC",
    "cfcb": "CfC, backbone",
    "cfcm": "CfC, mixed memory",
    "ncp": "CfC, NCP wiring",
    "ltc": "LTC",
    "ltc2": "LTC, 2 unfolds",
    "gru": "GRU",
    "lstm": "LSTM",
    "mingru": "minGRU",
    "minlstm": "minLSTM",
    "mingru2": "minGRU, 2 layers",
    "minlstm2": "minLSTM, 2 layers",
}


def mean_and_range(values: Sequence[float], form: str) -> str:
    """The mean over seeds and, in brackets, smallest and largest."""
    mean = f"{statistics.mean(values):{form}}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):{form}} to {max(values):{form}})"


def three(interval: Interval, factor: float = 1.0) -> tuple[float, float, float]:
    """The nominal value, and the low and the high end."""
    return factor * interval.value, factor * interval.low, factor * interval.high


def ranged(values: tuple[float, float, float]) -> str:
    """An estimate with its ends, which need fewer digits than it."""
    return f"{values[0]:.3g} ({values[1]:.2g} to {values[2]:.2g})"


def compared(values: tuple[float, float, float]) -> str:
    """A ratio of estimates with its ends: narrow, so with as many digits."""
    return f"{values[0]:#.3g} ({values[1]:#.3g} to {values[2]:#.3g})"
