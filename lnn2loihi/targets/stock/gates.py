"""The gated blend of two heads, h = f1 + g (f2 - f1) or f1 + g f2, as two products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.graph.population import Population
from lnn2loihi.targets.stock.lines import Lines
from lnn2loihi.targets.stock.parts import Parts
from lnn2loihi.targets.stock.sums import Messages, Signal, Sum, each, stacked

#: Fraction bits of messages of the form fold: its weights are whole numbers, coarser with them.
FOLDED_FRACTION = 8


@dataclass(frozen=True)
class Blend:
    """How a state is sent.

    Attributes:
        fraction_bits: of the fused message.
        gated: whether the first head fades as the second comes: f1 + g (f2 - f1).
    """

    fraction_bits: int
    gated: bool

    @property
    def reach(self) -> int:
        """How far both messages reach together, in units of the fused message: a population has one
        bound, that of the farther one.
        """
        return 2 << (self.fraction_bits + self.gated)

    def sent_bits(self, parts: Parts, population: Population) -> int:
        """Fraction bits of both messages."""
        if parts.form.form == "fold":
            return min(self.fraction_bits, FOLDED_FRACTION)
        return self.fraction_bits - parts.scales.messages[population.name]


def announce_blend(parts: Parts, population: Population, blend: Blend) -> None:
    """Announces both messages of a state: first those of P, then those of F."""
    output = parts.program.output == population.name
    name = parts.free_name(f"{population.name}.parts") if output else population.name
    bits = blend.sent_bits(parts, population)
    factor = 1 << (blend.fraction_bits - bits)
    own = np.arange(population.size)
    terms = (Messages(name, own, factor), Messages(name, own + population.size, factor))
    reach = 1 << (bits + blend.gated)
    parts.announce(population, Signal(terms), -reach, reach)


def blended(
    parts: Parts,
    population: Population,
    blend: Blend,
    lines: Lines,
    activations: tuple[Sum, Sum, Sum],
) -> None:
    """The products, and where the state is the program's answer their sum.

    Args:
        parts: takes them.
        population: whose state it is.
        blend: how it is sent.
        lines: of all activations.
        activations: full f + T of the heads and of the gate.
    """
    f1, f2, gate = activations
    size, bits = population.size, blend.sent_bits(parts, population)
    signal = parts.signal(population)
    # G / 2**(full_bits + 1) times D / 2**full_bits is g (f2 - f1).
    shift = 2 * lines.full_bits + 1 - bits
    # The first factor of F is T f1 in steps of 2**-14 or 2**-13, the second is 2**14.
    finer = max(lines.full_bits - 13, 0)
    step = 1 << max(shift - 14, 0)
    head = f1.times(1 << finer)
    constant = step - 1 - (lines.largest << finer)
    if blend.gated:
        difference = f2 + f1.times(-1)
    else:
        difference = f2 + parts.constants(np.full(size, -lines.largest))
    first = stacked([gate, head + parts.constants(np.full(size, constant))])
    second = stacked([difference, parts.constant(1 << 14, size)])
    reach = 1 << (bits + blend.gated)
    # What the state is before the first sample is sent as F.
    coarser = blend.fraction_bits - bits
    begins = (population.initial_message + ((1 << coarser) >> 1)) >> coarser
    name = signal.terms[0].source
    parts.product(
        name, first, second, shift, bound=(-reach, reach), like=population, copies=2,
        initial=np.concatenate([np.zeros(size, np.int64), begins]),
    )  # fmt: skip
    if name != population.name:
        parts.threshold(population.name, each(signal), population)
