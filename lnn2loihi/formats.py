"""Fixed-point formats and the widths of the chip's words.

An integer n in a format with f fraction bits means n * 2**-f. All words are signed two's
complement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntegerArray = npt.NDArray[np.int64]

#: Width of dendritic accumulators, state words and registers (DESIGN.md, rules of the integers).
WORD_BITS = 24
#: Widest message payload that public Lava code uses (num_message_bits=24).
MESSAGE_BITS = 24
#: Widest synaptic weight mantissa (Loihi 2 technology brief, 2021).
WEIGHT_BITS = 8


def signed_range(bits: int) -> tuple[int, int]:
    """Smallest and largest value of a signed two's complement word of `bits` bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def bits_needed(low: int, high: int) -> int:
    """Width of the narrowest signed word that holds every integer of [low, high]."""
    return max(_bits(low), _bits(high))


def _bits(value: int) -> int:
    return (value if value >= 0 else -value - 1).bit_length() + 1


@dataclass(frozen=True)
class FixedPoint:
    """A signed fixed-point format.

    Attributes:
        bits: width of the word, sign included, 1 to 24.
        fraction_bits: number of bits right of the binary point; may be negative (a unit larger
            than one) or larger than `bits`.
    """

    bits: int
    fraction_bits: int

    @property
    def low(self) -> int:
        """Smallest integer of the format."""
        return signed_range(self.bits)[0]

    @property
    def high(self) -> int:
        """Largest integer of the format."""
        return signed_range(self.bits)[1]

    @property
    def step(self) -> float:
        """Real value of one unit in the last place."""
        return 2.0**-self.fraction_bits

    def encode(self, values: npt.ArrayLike) -> IntegerArray:
        """Rounds real values half up to integers of this format, saturating at its ends.

        Args:
            values: float array of any shape, without NaN.

        Returns:
            int64 array of the same shape.
        """
        with np.errstate(over="ignore"):  # infinity saturates like any other large value
            scaled = np.floor(np.asarray(values, dtype=np.float64) * 2.0**self.fraction_bits + 0.5)
        return np.clip(scaled, self.low, self.high).astype(np.int64)

    def decode(self, integers: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Real values of integers of this format (exact: a float64 holds every 24-bit integer)."""
        return np.multiply(integers, self.step, dtype=np.float64)

    @classmethod
    def covering(cls, bits: int, largest: float) -> FixedPoint:
        """The finest format of `bits` bits in which `largest` (a magnitude) does not saturate.

        A magnitude that is zero, negligible (below 2**-900) or not finite asks for nothing: the
        format then covers [-1, 1).
        """
        if largest < 2.0**-900 or not np.isfinite(largest):
            return cls(bits, bits - 1)
        fraction_bits = bits - 1 - int(np.ceil(np.log2(largest)))
        while np.floor(largest * 2.0**fraction_bits + 0.5) > signed_range(bits)[1]:
            fraction_bits -= 1
        return cls(bits, fraction_bits)

    def __str__(self) -> str:
        """Q notation: Q<integer bits>.<fraction bits>, sign bit counted apart."""
        return f"Q{self.bits - 1 - self.fraction_bits}.{self.fraction_bits}"
