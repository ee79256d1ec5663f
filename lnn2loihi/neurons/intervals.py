"""Intervals of integers, one per neuron, and what operations make of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray, bits_needed, signed_range
from lnn2loihi.frozen import ContentEquality
from lnn2loihi.neurons.instructions import apply


@dataclass(frozen=True, eq=False)
class IntegerInterval(ContentEquality):
    """Smallest and largest value of a word, one per neuron or one for all (int64 arrays)."""

    low: IntegerArray
    high: IntegerArray

    @classmethod
    def of(cls, low: npt.ArrayLike, high: npt.ArrayLike) -> IntegerInterval:
        """From integers or arrays."""
        return cls(np.asarray(low, np.int64), np.asarray(high, np.int64))

    @property
    def hull(self) -> tuple[int, int]:
        """Smallest and largest value over all neurons."""
        return int(self.low.min()), int(self.high.max())

    @property
    def bits(self) -> int:
        """Width of the narrowest word that holds it."""
        return bits_needed(*self.hull)

    def of_neuron(self, neuron: int) -> IntegerInterval:
        """The interval of one neuron."""
        if not self.low.ndim:
            return self
        return IntegerInterval(self.low[neuron], self.high[neuron])

    def fits(self, bits: int) -> npt.NDArray[np.bool_]:
        """Whether it fits a signed word of `bits` bits, per neuron."""
        low, high = signed_range(bits)
        return np.asarray((self.low >= low) & (self.high <= high))


def interval_of(opcode: str, operands: list[IntegerInterval], shift: int | None) -> IntegerInterval:
    """Interval of an operation's result from those of its operands."""
    if opcode in ("LT", "GE", "EQ"):
        return IntegerInterval.of(0, 1)
    if opcode == "SEL":
        _, a, b = operands
        return IntegerInterval.of(np.minimum(a.low, b.low), np.maximum(a.high, b.high))
    if opcode == "AND" and (positive := [one.high for one in operands if (one.low >= 0).all()]):
        return IntegerInterval.of(0 * (high := np.minimum(positive[0], positive[-1])), high)
    if opcode == "AND":
        for mask, word in (operands, operands[::-1]):
            if (mask.low >= -1).all() and (mask.high <= 0).all():  # all bits of the word, or none
                return IntegerInterval.of(np.minimum(word.low, 0), np.maximum(word.high, 0))
    if opcode in ("AND", "OR"):
        low, high = signed_range(max(operand.bits for operand in operands))
        return IntegerInterval.of(low, high)
    # What remains is monotone in each operand on each side of zero: corners suffice.
    corners = [
        apply(opcode, list(corner), shift)
        for corner in product(*((operand.low, operand.high) for operand in operands))
    ]
    return IntegerInterval.of(np.minimum.reduce(corners), np.maximum.reduce(corners))
