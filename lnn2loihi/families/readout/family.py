"""The readout as a family: it has no layer, networks make its stage."""

from __future__ import annotations

from collections.abc import Iterator

from lnn2loihi.families.readout.lowering import ReadoutLowering, linear_program
from lnn2loihi.family import Family, lazily
from lnn2loihi.layers.readout import ReadoutStage
from lnn2loihi.neurons.instructions import NeuronProgram


def _shipped() -> Iterator[NeuronProgram]:
    return (linear_program(shift) for shift in (0, 1))


FAMILY = Family(
    "readout",
    (),
    {ReadoutStage: ReadoutLowering()},
    shipped=_shipped,
    stock=lazily("lnn2loihi.families.readout.stock:ReadoutWriter"),
)
