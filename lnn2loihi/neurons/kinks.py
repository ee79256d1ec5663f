"""Extremes of sums of rectifiers and thresholds that share their argument.

With one integer v in [low, high], a sum of weight * m(gain * v + offset) over several neurons is a
function of v alone: each m is 0 or its argument, so between the places where one of them changes
the sum is a line, and a line is extreme at the ends of its stretch. All ends are tried, of the
whole numbers that belong to each stretch: the answer is exact, jumps of thresholds included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray

#: A threshold that nothing stays below: the neuron sends its argument, whatever it is.
NONE = -1


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms weight * m(gain * v + offset) of several sums; int64 arrays of equal length.

    m(a) is a where a > threshold, or with `both_sides` where |a| > threshold, and 0 elsewhere; with
    the threshold NONE it is a everywhere.

    Attributes:
        sums: number of the sum to which each belongs.
        weight, gain, offset, threshold: of each term; no gain is 0.
        both_sides: bool.
    """

    sums: IntegerArray
    weight: IntegerArray
    gain: IntegerArray
    offset: IntegerArray
    threshold: IntegerArray
    both_sides: npt.NDArray[np.bool_]


def extremes(
    terms: Terms, low: IntegerArray, high: IntegerArray
) -> tuple[IntegerArray, IntegerArray]:
    """Smallest and largest value of each sum, exactly.

    Args:
        terms: of all sums.
        low: smallest v of each sum, (sums,).
        high: largest v, not below the smallest.

    Returns:
        Two arrays int64 (sums,). Intermediate numbers may wrap around at 64 bits; the answers are
        right where they fit.
    """
    begin, end = low[terms.sums], high[terms.sums]
    rising = terms.gain > 0
    line = terms.threshold == NONE
    # gain v + offset > threshold: v is at least `above` where the gain is positive, else at most.
    distance = terms.threshold - terms.offset
    first = np.where(line | ~rising, begin, distance // terms.gain + 1)
    last = np.where(line | rising, end, -(-distance // terms.gain) - 1)
    # gain v + offset < -threshold, on the other side.
    distance = -terms.threshold - terms.offset
    other_first = np.where(rising, begin, distance // terms.gain + 1)
    other_last = np.where(rising, -(-distance // terms.gain) - 1, end)
    other = terms.both_sides & ~line
    places = np.concatenate([np.arange(line.size), np.flatnonzero(other)])
    first = np.maximum(np.concatenate([first, other_first[other]]), begin[places])
    last = np.minimum(np.concatenate([last, other_last[other]]), end[places])
    places, first, last = (part[first <= last] for part in (places, first, last))
    slope = terms.weight[places] * terms.gain[places]
    height = terms.weight[places] * terms.offset[places]
    everywhere = np.zeros(low.size, np.int64)
    return _swept(
        np.concatenate([np.arange(low.size), terms.sums[places], terms.sums[places]]),
        np.concatenate([low, first, last + 1]),
        np.concatenate([everywhere, slope, -slope]),
        np.concatenate([everywhere, height, -height]),
        high,
    )


def _swept(
    sums: IntegerArray,
    place: IntegerArray,
    slope: IntegerArray,
    height: IntegerArray,
    high: IntegerArray,
) -> tuple[IntegerArray, IntegerArray]:
    """Extremes from what slopes and heights change by at some places; each sum has one at its
    first v, and all changes of a sum add up to 0.
    """
    order = np.lexsort((place, sums))
    sums, place = sums[order], place[order]
    slope, height = np.cumsum(slope[order]), np.cumsum(height[order])
    following = np.append(place[1:], 0)
    final = np.append(sums[1:] != sums[:-1], True)
    following[final] = high[sums[final]] + 1
    stretch = (place < following) & (place <= high[sums])  # the last change at each place
    sums, place, following = sums[stretch], place[stretch], following[stretch]
    slope, height = slope[stretch], height[stretch]
    ends = np.stack([slope * place + height, slope * (following - 1) + height])
    starts = np.flatnonzero(np.append(True, sums[1:] != sums[:-1]))
    return (
        np.minimum.reduceat(ends.min(axis=0), starts),
        np.maximum.reduceat(ends.max(axis=0), starts),
    )
