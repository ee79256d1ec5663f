"""Values of calibration data that lie far outside all others: broken samples.

One such value sets the range of its channel, and with it every format behind it. It is named
wherever ranges follow from data, and robust ranges leave it out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.layers.linear import FloatArray

#: Values are outliers if they lie so many times farther from the median than all others do.
OUTLYING_FACTOR = 8.0
#: At most this share of the values of a channel are outliers, but one may always be. Where all
#: others are one value (a switch that is seldom on, rain), one alone may be.
LARGEST_SHARE = 0.01
#: Values that are looked at together: networks may have many channels.
VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Outliers:
    """The outliers of one channel.

    Attributes:
        channel: number of the channel, or None for the elapsed times.
        count: how many there are.
        sequence, step: where the farthest one stands.
        value: what it is.
        low, high: ends of the range of all others.
    """

    channel: int | None
    count: int
    sequence: int
    step: int
    value: float
    low: float
    high: float

    @property
    def times(self) -> float:
        """How many times farther from the middle of the others it lies than their ends, or than 0
        where the others are one value.
        """
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return abs(self.value - middle) / (half or abs(middle))

    def __str__(self) -> str:
        """A sentence without what to do."""
        where = "elapsed times" if self.channel is None else f"input channel {self.channel}"
        several = "" if self.count == 1 else f", the farthest of {self.count} such values"
        return (
            f"{where}: the value {self.value:g} of sequence {self.sequence}, step {self.step}"
            f"{several}, lies {self.times:.3g} times as far out as all others, which are within "
            f"{self.low:g} to {self.high:g}"
        )


def find_outliers(
    x: FloatArray, inside: npt.NDArray[np.bool_] | None = None, channel: int | None = None
) -> Outliers | None:
    """The outliers of one channel, or None.

    Args:
        x: values, float64 (batch, time).
        inside: bool (batch, time), the samples that count; all of them by default.
        channel: its number, for the result.
    """
    values = x.ravel() if inside is None else x[inside]
    (limit,) = _limits(values[:, None])
    if not np.isfinite(limit):
        return None
    centre = np.median(values)
    others = values[np.abs(values - centre) <= limit]
    far = np.abs(x - centre)
    if inside is not None:
        far = np.where(inside, far, 0.0)
    sequence, step = np.unravel_index(int(far.argmax()), x.shape)
    return Outliers(
        channel, int(values.size - others.size), int(sequence), int(step),
        float(x[sequence, step]), float(others.min()), float(others.max()),
    )  # fmt: skip


def _limits(values: FloatArray) -> FloatArray:
    """How far from the median of each column its farthest value lies that is no outlier,
    (columns,); infinite where there is no outlier.
    """
    count = len(values)
    if count < 3:
        return np.full(values.shape[1], np.inf)
    centre = np.median(values, axis=0)
    distance = np.abs(values - centre)
    most = min(max(int(LARGEST_SHARE * count), 1), count - 2)
    first = count - most - 1
    # In order: the farthest that is certainly none, and those that may be.
    last = np.sort(np.partition(distance, first, axis=0)[first:], axis=0)
    # Where all others are one value, their distance from 0 is what there is to compare with.
    usual = np.where(last > 0.0, last, np.abs(centre))[:-1]
    apart = (usual > 0.0) & (last[1:] > OUTLYING_FACTOR * usual)
    # Where all that are certainly none are one value, the rest are what the channel is about: a
    # switch, rain. Only one alone may be broken then.
    apart[:-1] &= last[0] > 0.0
    nearest = np.take_along_axis(last, apart.argmax(axis=0)[None], axis=0)[0]
    return np.where(apart.any(axis=0), nearest, np.inf)


def find_all(
    x: FloatArray, timespans: FloatArray | None, inside: npt.NDArray[np.bool_] | None = None
) -> tuple[Outliers, ...]:
    """The outliers of all channels of x (batch, time, channels), and of the elapsed times."""
    flat = x.reshape(-1, x.shape[-1])
    chosen = slice(None) if inside is None else inside.ravel()
    at_once = max(VALUES_AT_ONCE // len(flat), 1)
    found: list[Outliers | None] = []
    for begin in range(0, x.shape[-1], at_once):
        limits = _limits(flat[chosen, begin : begin + at_once])
        suspected = begin + np.flatnonzero(np.isfinite(limits))
        found += [find_outliers(x[..., channel], inside, int(channel)) for channel in suspected]
    if timespans is not None:
        found.append(find_outliers(timespans, inside))
    return tuple(outliers for outliers in found if outliers is not None)


def without(
    x: FloatArray, timespans: FloatArray | None, found: tuple[Outliers, ...]
) -> tuple[FloatArray, FloatArray | None]:
    """The same data with outliers at the ends of the range of all others."""
    if not found:
        return x, timespans
    x = x.copy()
    for outliers in found:
        if outliers.channel is not None:
            place = ..., outliers.channel
            x[place] = np.clip(x[place], outliers.low, outliers.high)
        elif timespans is not None:
            timespans = np.clip(timespans, outliers.low, outliers.high)
    return x, timespans
