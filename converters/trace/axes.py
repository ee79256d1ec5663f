"""What the axes of a tensor mean, followed through what only moves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

BATCH, TIME, FEATURES = "batch", "time", "features"

#: The meaning of an axis: one of the three above, several that are merged in this order, or None
#: for one of size 1 that means nothing.
Axis: TypeAlias = "str | tuple[str, ...] | None"
Axes: TypeAlias = "tuple[Axis, ...]"


class WithAxes:
    """What has axes that mean something.

    Attributes:
        axes: what its axes mean.
    """

    axes: Axes

    @property
    def feature_axis(self) -> int | None:
        """Where the features are, alone on their axis; None where they are not."""
        return self.axes.index(FEATURES) if FEATURES in self.axes else None

    @property
    def labels(self) -> set[str]:
        """What its axes mean, merged ones taken apart."""
        return {label for axis in self.axes for label in parts(axis)}


def parts(axis: Axis) -> tuple[str, ...]:
    """What is merged in an axis."""
    if axis is None:
        return ()
    return (axis,) if isinstance(axis, str) else axis


def merged(labels: Sequence[str]) -> Axis:
    """One axis of these."""
    return None if not labels else labels[0] if len(labels) == 1 else tuple(labels)


def reshaped(axes: Axes, sizes: Mapping[str, int], shape: Sequence[int]) -> Axes | None:
    """The axes after a reshape, or None where one is cut.

    Args:
        axes: before it.
        sizes: of each that is no None.
        shape: after it.
    """
    left = [(label, sizes[label]) for axis in axes for label in parts(axis)]
    found: list[Axis] = []
    for wanted in shape:
        taken: list[tuple[str, int]] = []
        product = 1
        if wanted == 1 and left and left[0][1] == 1:
            taken.append(left.pop(0))
        while product < wanted:
            if not left:
                return None
            taken.append(left.pop(0))
            product *= taken[-1][1]
        if product != wanted:
            return None
        large = [label for label, size in taken if size > 1]
        found.append(merged(large or [label for label, _ in taken]))
    # Those of size 1 may get lost.
    return None if any(size > 1 for _, size in left) else tuple(found)


def place(axis: int, count: int) -> int:
    """An axis counted from 0."""
    return axis + count if axis < 0 else axis


def said(axes: Axes) -> str:
    """For messages."""
    return "(" + ", ".join("*".join(parts(axis)) or "1" for axis in axes) + ")"
