"""How long each core of a placement works, for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lnn2loihi.placement.copies import CopiesPlacement
from lnn2loihi.placement.placement import Core, Placement
from lnn2loihi.profiling.result import CoreLoad

#: Seconds by cause of each core, by its name.
Seconds = Mapping[str, Mapping[str, float]]


def loads_of(placement: Placement | CopiesPlacement, seconds: Seconds) -> tuple[CoreLoad, ...]:
    """The cores in the order of the workload's.

    Args:
        placement: of one network, or of copies.
        seconds: of each core, in the same order.
    """
    found = _of_copies(placement) if isinstance(placement, CopiesPlacement) else _alone(placement)
    return tuple(
        CoreLoad(
            chip=chip,
            index=index,
            x=x,
            y=y,
            populations=", ".join(map(str, core.slices)) + held,
            neurons=core.neurons,
            synapses=core.synapses,
            memory=core.memory,
            seconds=of_core,
        )
        for (core, held, chip, index, x, y), of_core in zip(found, seconds.values(), strict=True)
    )


#: A core, what is said of its copies, and where it lies: chip, number, column and row.
_Found = tuple[Core, str, int, int, int, int]


def _alone(placement: Placement) -> Iterator[_Found]:
    for core in placement.cores:
        yield core, "", core.chip, core.index, core.x, core.y


def _of_copies(placement: CopiesPlacement) -> Iterator[_Found]:
    first = 0
    for filling in placement.fillings:
        columns, rows = filling.positions(placement.device).routers
        lines = [line.tolist() for line in (filling.chip, filling.slot, columns, rows)]
        places = list(zip(*lines, strict=True))
        held = [
            (core, f", {block.copies:,} copies" * (block.copies > 1))
            for block, times in zip(placement.blocks, filling.blocks, strict=True)
            for _ in range(times)
            for core in block.placement.cores
        ]
        for _ in range(filling.times):
            for (core, words), (chip, slot, x, y) in zip(held, places, strict=True):
                yield core, words, first + chip, slot, x, y
            first += filling.chips
