"""Numbers in a recording that follow the sizes of the example: of its batch, and of its time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import permutations

from lnn2loihi.converted.sizes import Size
from lnn2loihi.converters.trace.axes import BATCH, TIME

#: Powers of (batch, time) that a whole number may have, and that another one may have.
_WHOLE = ((1, 0), (0, 1), (1, 1))
_BROKEN = (*_WHOLE, (-1, 0), (0, -1), (-1, -1), (0.5, 0), (0, 0.5), (-0.5, 0), (0, -0.5))
#: Largest distance between windows over time.
_LARGEST_DIVISOR = 64


def size_of(numbers: Sequence[float], points: Sequence[Mapping[str, int]]) -> Size | None:
    """The number that has these values at these sizes; None where it is none that can be said."""
    if all(number == numbers[0] for number in numbers):
        return Size(constant=numbers[0])
    whole = all(isinstance(number, int) for number in numbers)
    for powers in _WHOLE if whole else _BROKEN:
        found = _affine(numbers, [_product(point, powers) for point in points], whole)
        if found is not None:
            return Size(found[0], *powers, found[1])
    return _windows([int(number) for number in numbers], points) if whole else None


def are_told_apart(points: Sequence[Mapping[str, int]]) -> bool:
    """Whether the batch, the time and their product are not each other's multiples, but for a
    number that is added, at these sizes.
    """
    labels = [label for label in (BATCH, TIME) if label in points[0]]
    forms = [(1, 0)] * (BATCH in labels) + [(0, 1)] * (TIME in labels)
    forms += [(1, 1)] * (len(labels) > 1)
    rows = [[_product(point, powers) for point in points] for powers in forms]
    if any(len(set(row)) < len(row) for row in rows):
        return False
    pairs = permutations(rows, 2)
    # Any two numbers lie on a line.
    return len(points) < 3 or all(_affine(one, other, False) is None for one, other in pairs)


def _product(sizes: Mapping[str, int], powers: tuple[float, float]) -> float:
    found = 1
    for label, power in zip((BATCH, TIME), powers, strict=True):
        found *= sizes.get(label, 1) ** power if power not in (0, 1) else 1
        found *= sizes.get(label, 1) if power == 1 else 1
    return found


def _affine(
    numbers: Sequence[float], of: Sequence[float], whole: bool
) -> tuple[float, float] | None:
    """Coefficient and constant with which numbers follow others."""
    place = next((i for i, one in enumerate(of) if one != of[0]), None)
    if place is None:
        return None
    slope = (numbers[place] - numbers[0]) / (of[place] - of[0])
    ways = [(slope, numbers[0] - slope * of[0])]
    if whole:
        if slope != int(slope):
            return None
        ways = [(int(slope), numbers[0] - int(slope) * of[0])]
    elif of[0]:
        # A multiple alone is told exactly by one of them; the difference of two is rounded.
        ways.insert(0, (numbers[0] / of[0], 0))
    tolerance = 0 if whole else 1e-12
    for found, constant in ways:
        near = (
            math.isclose(number, found * one + constant, rel_tol=tolerance)
            for number, one in zip(numbers, of, strict=True)
        )
        if found and all(near):
            return found, constant
    return None


def _windows(numbers: Sequence[int], points: Sequence[Mapping[str, int]]) -> Size | None:
    """A number of windows over time, times the batch and a constant."""
    times = [point.get(TIME, 1) for point in points]
    for power in (0, 1):
        rows = [point.get(BATCH, 1) ** power for point in points]
        if any(number % row for number, row in zip(numbers, rows, strict=True)):
            continue
        counts = [number // row for number, row in zip(numbers, rows, strict=True)]
        for coefficient in dict.fromkeys((1, math.gcd(*counts))):
            if coefficient and len(set(counts)) > 1:
                found = _divided([count // coefficient for count in counts], times)
                if found is not None:
                    divisor, constant = found
                    return Size(coefficient, power, 1, constant, divisor)
    return None


def _divided(counts: Sequence[int], times: Sequence[int]) -> tuple[int, int] | None:
    """Divisor d and constant k with count = (time + k) // d."""
    for divisor in range(2, _LARGEST_DIVISOR + 1):
        pairs = list(zip(counts, times, strict=True))
        least = max(count * divisor - time for count, time in pairs)
        most = min(count * divisor + divisor - 1 - time for count, time in pairs)
        if least <= most:
            return divisor, 0 if least <= 0 <= most else min(least, most, key=abs)
    return None
