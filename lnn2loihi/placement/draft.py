"""A program cut into cores, with all that rules ask about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lnn2loihi.devices import Device
from lnn2loihi.formats import IntegerArray
from lnn2loihi.frozen import ArrayEquality, read_only
from lnn2loihi.placement.activity import Activity
from lnn2loihi.placement.line import INPUT, NO_CHANGE, Change, Line, Share, line_of
from lnn2loihi.placement.memory import AXON_UNITS, INSTRUCTION_BYTES, UNIT_BYTES
from lnn2loihi.placement.nominal import Sending, Times
from lnn2loihi.placement.partition import Cut, Cutter, Limits, packed
from lnn2loihi.program import LoihiProgram

#: Limits of a core by their names in profiles, what of a core they limit, and its unit.
CORE_LIMITS: Mapping[str, tuple[str, str]] = {
    "neurons_per_core": ("neurons", ""),
    "neuron_groups_per_core": ("neuron_groups", ""),
    "synaptic_memory_per_core": ("synaptic_memory", "B"),
    "memory_per_core": ("memory", "B"),
    "axons_in_per_core": ("axons_in", ""),
    "axons_out_per_core": ("axons_out", ""),
}
#: How often fewer neurons on a core are tried where too many axons leave it.
ATTEMPTS = 8


@dataclass(frozen=True, eq=False)
class Axons(ArrayEquality):
    """Axons: ways of messages from one source neuron into one core, over one connection.

    Attributes:
        connection: int32 (axons,): place of the connection in the program.
        source: int32 (axons,): neuron of its source.
        origin: int32 (axons,): place of the core that sends; -1 for the input.
        target: int32 (axons,): place of the core that is reached.
        synapses: int32 (axons,): synapses on that core, which are the synaptic operations of a
            message.
    """

    connection: npt.NDArray[np.int32]
    source: npt.NDArray[np.int32]
    origin: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    synapses: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        for name in ("connection", "source", "origin", "target", "synapses"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.int32))


@dataclass(frozen=True)
class Draft:
    """A program cut into cores, whether or not they have room for it.

    Attributes:
        program: what is placed.
        device: where.
        chips: chips that it may take.
        activity: how often sources send.
        cut: the cores.
    """

    program: LoihiProgram
    device: Device
    chips: int
    activity: Activity
    cut: Cut

    @property
    def line(self) -> Line:
        """The line that was cut."""
        return self.cut.line

    @property
    def cores(self) -> int:
        """Number of cores."""
        return len(self.cut.shares)

    @cached_property
    def usage(self) -> Mapping[str, IntegerArray]:
        """What cores use, int64 (cores,) each; memory in bytes."""
        line, shares = self.line, self.cut.shares
        bytes_of = [line.neuron_bytes(share.neurons) for share in shares]
        words = np.array([line.program_words(share.neurons) for share in shares])
        arriving = np.array([share.axons for share in shares])
        leaving = np.array([m.axons for m in bytes_of])
        found = {
            "neurons": np.array([int(share.neurons.sum()) for share in shares]),
            "neuron_groups": np.array([np.count_nonzero(share.neurons) for share in shares]),
            "synapses": np.array([share.synapses for share in shares]),
            "axons_in": arriving,
            "axons_out": self.axons_out,
            "synaptic_memory": np.array([share.synaptic_memory for share in shares]),
            "state_memory": np.array([m.state for m in bytes_of]),
            "accumulator_memory": np.array([m.accumulators for m in bytes_of]),
            "parameter_memory": np.array([m.parameters for m in bytes_of]),
            "axon_memory": UNIT_BYTES * AXON_UNITS * arriving + leaving,
            "program_memory": INSTRUCTION_BYTES * words,
            "program_words": words,
        }
        parts = [values for name, values in found.items() if name.endswith("_memory")]
        return {**found, "memory": np.sum(parts, axis=0)}

    @cached_property
    def axons_out(self) -> IntegerArray:
        """Axons that leave each core, int64 (cores,)."""
        origin = self.axons.origin
        return np.bincount(origin[origin >= 0], minlength=self.cores)

    @cached_property
    def axons(self) -> Axons:
        """All axons, core by core."""
        line = self.line
        stops = np.array([share.stop for share in self.cut.shares])
        columns = [np.zeros((5, 0), np.int64)]
        for core, share in enumerate(self.cut.shares):
            for place, synapses in line.reached(share.first, share.stop, share.neurons):
                link = line.links[place]
                sources = np.flatnonzero(synapses)
                origin = np.full(sources.size, -1)
                if link.source != INPUT:
                    positions = line.groups[link.source].positions[sources]
                    origin = np.searchsorted(stops, positions, "right")
                ends = np.full_like(sources, place), sources, origin, np.full_like(sources, core)
                columns.append(np.stack([*ends, synapses[sources]]))
        return Axons(*np.concatenate(columns, axis=1))

    @cached_property
    def chip(self) -> IntegerArray:
        """Chip of each core, int64 (cores,): filled one after the other."""
        most = self.device.count("cores_per_chip")
        figure = self.device.get("synapses_per_chip")
        room = np.inf if figure is None else figure.value
        chips, number, cores, synapses = [], 0, 0, 0
        for share in self.cut.shares:
            if cores and (cores == most or synapses + share.synapses > room):
                number, cores, synapses = number + 1, 0, 0
            chips.append(number)
            cores, synapses = cores + 1, synapses + share.synapses
        return np.array(chips)

    @property
    def chips_needed(self) -> int:
        """Chips that its cores take."""
        return int(self.chip[-1]) + 1


def packed_draft(
    program: LoihiProgram,
    device: Device,
    chips: int,
    activity: Activity,
    change: Change = NO_CHANGE,
) -> Draft:
    """The program, perhaps changed, on the fewest cores."""
    cutters = cutters_of(program, device, activity, change)
    return Draft(program, device, chips, activity, packed(cutters))


def cutters_of(
    program: LoihiProgram, device: Device, activity: Activity, change: Change = NO_CHANGE
) -> list[Cutter]:
    """One for each order of the line that may pay: mixed populations share the steps in which
    others wait.
    """
    limits = Limits.of(device)
    together = int(min(len(program.populations), limits.groups))
    several = program.schedule.period > 1 and together > 1
    orders = (1, together) if several else (1,)
    lines = [line_of(program, activity, mixed, change) for mixed in orders]
    cutters = [
        Cutter(line, limits, Times.of(device), Sending.of(program, activity, line))
        for line in lines
    ]
    most = device.get("axons_out_per_core")
    if most is None:
        return cutters

    def leaving(cutter: Cutter) -> IntegerArray:
        return Draft(program, device, 1, activity, Cut(cutter, cutter.fewest)).axons_out

    return [_with_few_axons(cutter, most.value, leaving) for cutter in cutters]


def _with_few_axons(
    cutter: Cutter, most: float, leaving: Callable[[Cutter], IntegerArray]
) -> Cutter:
    """A cutter whose fewest cores send along few enough axons: with fewer neurons on a core where
    there are too many; the one that is given where that does not help.

    Args:
        cutter: what cuts.
        most: axons that may leave a core.
        leaving: counts those of each core, exactly.
    """
    tried = cutter
    for _ in range(ATTEMPTS):
        if _axons_at_most(tried.line, tried.fewest) <= most:
            return tried
        axons = leaving(tried)
        worst = int(np.argmax(axons))
        if axons[worst] <= most:
            return tried
        neurons = int(tried.fewest[worst].neurons.sum())
        fewer = min(int(neurons * most / axons[worst]), neurons - 1)
        if fewer < 1:
            break
        tried = tried.with_neurons(fewer)
    return cutter


def _axons_at_most(line: Line, shares: Sequence[Share]) -> int:
    """An upper end of the axons that leave a core: as if each neuron reached all cores that hold
    neurons of its targets.
    """
    neurons = np.array([share.neurons for share in shares])
    cores = np.count_nonzero(neurons, axis=0)
    reached = np.zeros(len(line.groups), np.int64)
    for link in line.links:
        if link.source != INPUT:
            reached[link.source] += cores[link.target]
    return int((neurons @ reached).max())
