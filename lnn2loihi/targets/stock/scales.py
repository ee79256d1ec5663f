"""How coarse sums and messages have to be, so that sums fit the accumulators.

A state that is sent as two messages reaches farther than the state itself, so sums that filled the
24 bits of an accumulator no longer fit. They count in coarser units then: weights and biases are
shifted right, and the product that rescales the sum shifts by less. Left shifts of connections go
first, which costs nothing; then the states that are heard are sent in coarser units; what is left,
of messages that are as they are, is rounded off the weights, and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lnn2loihi.formats import WORD_BITS, IntegerArray
from lnn2loihi.program import LoihiProgram, Population

#: What sums may reach: what is above is left for digits of constants and for rounding.
LARGEST_SUM = (1 << (WORD_BITS - 1)) - (1 << (WORD_BITS - 9))


@dataclass(frozen=True)
class Scales:
    """Bits by which sums and messages are coarser than in the fused program.

    Attributes:
        sums: for each population its sums.
        messages: for each population that is sent as several messages these.
    """

    sums: Mapping[str, int]
    messages: Mapping[str, int]


def scales_of(program: LoihiProgram, reaches: Mapping[str, int]) -> Scales:
    """The coarseness that a program needs.

    Args:
        program: the fused program.
        reaches: for each population that is sent as several messages how far these reach together,
            as a magnitude in units of the fused message.
    """
    sums = {p.name: _bits(_reach(program, p, reaches)) for p in program.populations}
    messages = dict.fromkeys(reaches, 0)
    for c in program.connections:
        if c.source in messages:
            wanted = sums[c.target] - c.exponent
            messages[c.source] = max(messages[c.source], wanted)
    return Scales(sums, messages)


def _bits(reach: int) -> int:
    bits = 0
    while reach >> bits > LARGEST_SUM:
        bits += 1
    return bits


def _reach(program: LoihiProgram, population: Population, reaches: Mapping[str, int]) -> int:
    """The largest magnitude that a sum of the population and its bias can have on the way."""
    sums: dict[str, IntegerArray] = {}
    for accumulator in population.program.accumulators:
        bias = population.parameters.get(f"{accumulator}.bias", np.zeros(1))
        sums[accumulator] = np.abs(np.asarray(bias, np.int64)) + np.zeros(population.size, np.int64)
    for c in program.incoming(population.name):
        if c.source == program.input.name:
            ends = np.maximum(np.abs(program.input.low), np.abs(program.input.high))
        else:
            source = program.population(c.source)
            own = max(abs(source.message_low), abs(source.message_high))
            ends = np.full(c.source_size, max(own, reaches.get(c.source, 0)))
        each = c.unrolled()
        weights = np.abs(each.mantissas.astype(np.int64)) << c.exponent
        rows = np.repeat(np.arange(c.rows), np.diff(each.row_starts))
        totals = np.bincount(rows, weights * ends.astype(np.int64)[each.columns], c.rows)
        for place, accumulator in enumerate(c.accumulators):
            part = totals[place * population.size : (place + 1) * population.size]
            sums[accumulator] += part.astype(np.int64)
    return max(int(total.max()) for total in sums.values())
