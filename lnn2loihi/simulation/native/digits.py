"""Messages that are wider than the 16 bits of the kernels, as pairs of digits.

    m = low + high * 2**bits,  0 <= low < 2**bits,  so that  w * m = w * low + (w * 2**bits) * high

Low digit and high digit of a message are one pair of columns, and their weights w and w * 2**bits a
pair of weights: the sums are those of before, without rows of their own and without a step that
puts digits together. `bits` is a sender's own. It is 0 where a message needs 16 bits at most, and
as large as its weights allow where it may need more: a program proves that no sum of an accumulator
leaves 24 bits while messages arrive, so |w * m| <= 2**23 for each synapse alone, and messages that
meet large weights are small. With the largest weight between 2**(14 - bits) and 2**(15 - bits),
|m| is at most 2**(9 + bits), and m / 2**bits fits 16 bits with room to spare.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.convolution import Convolution
from lnn2loihi.program import LoihiProgram

Int32 = npt.NDArray[np.int32]
#: Width of what the kernels multiply.
KERNEL_BITS = 16


def widths(program: LoihiProgram) -> dict[str, int]:
    """Bits of the messages of every source that somebody hears."""
    heard = {c.source for c in program.connections}
    found = {p.name: p.message.bits for p in program.populations if p.name in heard}
    return {program.input.name: program.input.format.bits, **found}


def wide_kernel(program: LoihiProgram) -> Convolution | None:
    """A convolution whose source sends wide messages, if there is one."""
    bits = widths(program)
    return next(
        (
            c
            for c in program.connections
            if isinstance(c, Convolution) and bits[c.source] > KERNEL_BITS
        ),
        None,
    )


def digit_bits(program: LoihiProgram) -> dict[str, Int32]:
    """Bits of the low digits of each sender, (neurons,), of all sources of wide messages."""
    largest: dict[str, IntegerArray] = {}
    sizes = {program.input.name: program.input.size}
    sizes |= {p.name: p.size for p in program.populations}
    most = {name: bits - KERNEL_BITS for name, bits in widths(program).items()}
    for name, bits in most.items():
        if bits > 0:
            largest[name] = np.zeros(sizes[name], np.int64)
    for connection in program.connections:
        if connection.source in largest:
            each = connection.unrolled()
            weights = np.abs(each.mantissas.astype(np.int64)) << each.exponent
            np.maximum.at(largest[connection.source], each.columns, weights)
    return {name: _bits(weights, most[name]) for name, weights in largest.items()}


def _bits(largest: IntegerArray, most: int) -> Int32:
    """The most bits, up to `most`, by which weights up to `largest` are still of 15 bits."""
    fitting = largest[:, None] << np.arange(most + 1) < 1 << (KERNEL_BITS - 1)
    return (fitting.sum(axis=1) - 1).clip(0).astype(np.int32)


def spread(weights: IntegerArray, bits: Int32) -> npt.NDArray[np.int16]:
    """Weights of both digits, int16 (..., 2 * senders), of weights (..., senders).

    Args:
        weights: of the messages.
        bits: of the low digit of each sender; without it the high digit is all of the message.
    """
    low = np.where(bits > 0, weights, 0)
    return np.stack([low, weights << bits], axis=-1).reshape(*weights.shape[:-1], -1).astype(
        np.int16
    )  # fmt: skip
