"""Populations of a stock program before it is known who hears them, and the program of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lnn2loihi.formats import FixedPoint, IntegerArray, bits_needed
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.neurons.stock import SENT, StockNeuron
from lnn2loihi.program import Connection, LoihiProgram, Population


@dataclass(frozen=True, eq=False)
class Draft:
    """A population whose program is not settled before it is known who hears it."""

    name: str
    neuron: StockNeuron
    size: int
    low: int
    high: int
    parameters: Mapping[str, IntegerArray]
    like: Population | None = None
    copies: int = 1
    coarser: int = 0
    initial: IntegerArray | None = None

    def population(self, looped: bool) -> Population:
        """The population; `looped` where it sends into a loop."""
        bits = bits_needed(self.low, self.high)
        neuron = replace(self.neuron, looped=looped, message_bits=bits)
        begins = np.zeros(self.size, np.int64) if self.initial is None else self.initial
        state = {SENT: begins} if looped else {}
        scales: dict[str, Any] = {}
        fraction_bits = 0
        if self.like is not None:
            fraction_bits = self.like.message.fraction_bits - self.coarser
            if self.like.has_own_scales:
                scales = {
                    "scale": np.tile(self.like.scale, self.copies) * 2.0**self.coarser,
                    "offset": np.tile(self.like.offset, self.copies),
                }
        return Population(
            self.name, neuron.program(), self.parameters, state, FixedPoint(bits, fraction_bits),
            self.low, self.high, self.size, **scales,
        )  # fmt: skip


def wired_program(
    program: LoihiProgram,
    drafts: Sequence[Draft],
    wired: Sequence[Connection],
    warnings: tuple[str, ...],
) -> LoihiProgram:
    """The program of these populations, with delays that make all paths meet."""
    names = [draft.name for draft in drafts]
    places = {name: place for place, name in enumerate((program.input.name, *names))}
    loops = {c.source for c in wired if places[c.source] >= places[c.target]}
    matched = matched_delays(program.input.name, names, wired)
    return replace(
        program,
        populations=tuple(draft.population(draft.name in loops) for draft in drafts),
        connections=matched,
        schedule=derive_schedule(program.input.name, names, matched, program.schedule.interleave),
        table=(),
        warnings=(*program.warnings, *warnings),
    )
