"""The gated blend of two heads, h = f1 + g (f2 - f1) or f1 + g f2, as two products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        head_bits: fraction bits of heads that are sums; None for those that are activations, whose
            lines say it.
        head_width: bits of such a head without its sign.
    """

    fraction_bits: int
    gated: bool
    head_bits: int | None = None
    head_width: int = 0

    @property
    def reach(self) -> int:
        """How far both messages reach together, in units of the fused message: a population has one
        bound, that of the farther one.
        """
        return 2 * self.bound(self.fraction_bits)

    def bound(self, sent_bits: int) -> int:
        """The largest magnitude of either message, in units of so many fraction bits."""
        above = 0 if self.head_bits is None else self.head_width - self.head_bits
        bits = sent_bits + above + self.gated
        return 1 << bits if bits >= 0 else 1

    def sent_bits(self, parts: Parts, population: Population) -> int:
        """Fraction bits of both messages."""
        if parts.form.form == "fold":
            return min(self.fraction_bits, FOLDED_FRACTION)
        return self.fraction_bits - parts.scales.messages[population.name]


def announce_blend(
    parts: Parts, population: Population, blend: Blend, *, apart: bool = False
) -> None:
    """Announces both messages of a state: first those of P, then those of F.

    Args:
        parts: takes them.
        population: whose state it is.
        blend: how it is sent.
        apart: whether they are two populations: where the first factor of F has no room to be
            doubled, its product shifts by a bit less.
    """
    name, own = population.name, np.arange(population.size)
    if apart or parts.program.output == name:
        name = parts.free_name(f"{name}.{'gated' if apart else 'parts'}")
    head = parts.free_name(f"{population.name}.head") if apart else name
    bits = blend.sent_bits(parts, population)
    factor = 1 << (blend.fraction_bits - bits)
    terms = (
        Messages(name, own, factor),
        Messages(head, own if apart else own + population.size, factor),
    )
    parts.announce(population, Signal(terms), -blend.bound(bits), blend.bound(bits))


def blended(
    parts: Parts,
    population: Population,
    blend: Blend,
    lines: tuple[Lines, Lines],
    activations: tuple[Sum, Sum, Sum],
) -> None:
    """The products, and where the state is the program's answer their sum.

    Args:
        parts: takes them.
        population: whose state it is.
        blend: how it is sent.
        lines: of the heads, and of the gate.
        activations: full f + T of the heads and of the gate.
    """
    f1, f2, gate = activations
    heads, gates = lines
    size, bits = population.size, blend.sent_bits(parts, population)
    signal = parts.signal(population)
    # G / 2**(full_bits + 1) of the gate times D / 2**head_bits of the heads is g (f2 - f1).
    head_bits = heads.full_bits if blend.head_bits is None else blend.head_bits
    shift = gates.full_bits + 1 + head_bits - bits
    # F is f1 2**14 shifted likewise, but for what the gate's steps are finer than 2**-14.
    finer = gates.full_bits - 13
    step = 1 << max(shift - finer - 14, 0)
    head = f1 + parts.constants(np.full(size, step - 1 - heads.largest))
    if blend.gated:
        difference = f2 + f1.times(-1)
    else:
        difference = f2 + parts.constants(np.full(size, -heads.largest))
    bound, ones = blend.bound(bits), parts.constant(1 << 14, size)
    # What the state is before the first sample is sent as F.
    coarser = blend.fraction_bits - bits
    begins = (population.initial_message + ((1 << coarser) >> 1)) >> coarser
    gated, apart = (term.source for term in signal.terms)
    options: Any = {"bound": (-bound, bound), "like": population, "coarser": coarser}
    if gated == apart:
        assert not finer
        begins = np.concatenate([np.zeros(size, np.int64), begins])
        first, second = stacked([gate, head]), stacked([difference, ones])
        parts.product(gated, first, second, shift, copies=2, initial=begins, **options)
    else:
        parts.product(gated, gate, difference, shift, **options)
        parts.product(apart, head, ones, shift - finer, initial=begins, **options)
    if parts.program.output == population.name:
        parts.threshold(population.name, each(signal), like=population)
