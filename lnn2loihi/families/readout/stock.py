"""Readouts as stock neurons: one product."""

from __future__ import annotations

from lnn2loihi.families.readout.lowering import linear_program
from lnn2loihi.layers.linear import SUM
from lnn2loihi.program import Population
from lnn2loihi.targets.stock.parts import Parts
from lnn2loihi.targets.stock.rescaling import rescaled, rescalings_of
from lnn2loihi.targets.stock.writer import StockWriter


class ReadoutWriter(StockWriter[int]):
    """(sum + bias) multiplier >> shift; what it recognises is the shift."""

    def recognised(self, population: Population) -> int | None:
        """See `StockWriter`."""
        program = population.program
        how = rescalings_of(program, (SUM,))
        if how is None:
            return None
        # A bit more is kept where half a unit is added before it goes.
        near = (how[0].shift, how[0].shift + 1)
        return next((shift for shift in near if linear_program(shift).computes_as(program)), None)

    def write(self, parts: Parts, population: Population, what: int) -> None:
        """See `StockWriter`."""
        made = rescaled(parts, population, {SUM: what}, population.name, like=population)
        signal = made[SUM]
        parts.settle(population, signal)
