"""Everything that is to be placed, in a line from which cores are cut.

A core is a stretch of the line. In blocks, populations stand one after the other; mixed, the
neurons of some that follow each other stand in turns, so that every core gets its share of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.connection import Connection
from lnn2loihi.graph.convolution import AnyConnection
from lnn2loihi.graph.schedule import Schedule
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.listing import listing
from lnn2loihi.placement.activity import Activity
from lnn2loihi.placement.memory import (
    AXON_UNITS,
    INSTRUCTION_BYTES,
    UNIT_BYTES,
    NeuronMemory,
    list_units,
    neuron_memory,
    synapse_bits,
)
from lnn2loihi.placement.phases import arrivals, instructions
from lnn2loihi.program import LoihiProgram

FloatArray = npt.NDArray[np.float64]
#: Place of the input among the sources; populations follow.
INPUT = -1


@dataclass(frozen=True)
class Change:
    """How a program is taken to be changed, to find out what would fit.

    Attributes:
        weight_bits: most bits of a weight.
        sizes: fewer neurons (the first ones) of populations, or channels of the input.
        interleave: fewer sequences that take turns.
    """

    weight_bits: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    interleave: int | None = None


NO_CHANGE = Change()


@dataclass(frozen=True)
class Group:
    """What the neurons of a population have in common.

    Attributes:
        name, size: the population's.
        program: number of the neuron program, the same for populations that share it.
        memory: bytes of each neuron.
        stored_instructions: instructions of the program with both branches of its schedule.
        instructions: int64 (period,): instructions that a neuron executes in each phase.
        accumulators: input accumulators of a neuron, those that take turns counted once.
        positions: int64 (size,): where its neurons stand in the line, ascending.
    """

    name: str
    size: int
    program: int
    memory: NeuronMemory
    stored_instructions: int
    instructions: IntegerArray
    accumulators: int
    positions: IntegerArray


@dataclass(frozen=True)
class Link:
    """A connection, seen from the cores of its target.

    Attributes:
        name: the connection's.
        source: place of its source among the groups, or INPUT.
        target: place of its target among the groups.
        fed: accumulators of a target neuron that it feeds.
        bits: width of its weights.
        synapse_bits: bits that each of its synapses takes on a core.
        first: its first axon; it has one for each source neuron.
        rates: float64 (sources,): messages that are not zero, per update.
        arrivals: int64 (period,): updates whose messages arrive in each phase, 0 or 1.
    """

    name: str
    source: int
    target: int
    fed: int
    bits: int
    synapse_bits: int
    first: int
    rates: FloatArray
    arrivals: IntegerArray

    @property
    def size(self) -> int:
        """Source neurons."""
        return self.rates.size

    @property
    def axons(self) -> slice:
        """Its axons among all."""
        return slice(self.first, self.first + self.size)


@dataclass(frozen=True)
class _LinkTable:
    """Links column by column, int64 (links,): what `Link` says, and their places in `Line.links`;
    and the rates of all axons one after the other.
    """

    place: IntegerArray
    first: IntegerArray
    size: IntegerArray
    target: IntegerArray
    synapse_bits: IntegerArray
    rates: FloatArray


@dataclass(frozen=True)
class Share:
    """What a stretch of the line asks of its core.

    Attributes:
        first, stop: the stretch.
        neurons: int64 (groups,): neurons of each population.
        synapses, axons: numbers.
        synaptic_memory: bytes.
        operations: float64 (links,): synaptic operations per update of the source, one for each
            synapse of a message.
        messages: float64 (links,): messages that arrive, per update of the source.
    """

    first: int
    stop: int
    neurons: IntegerArray
    synapses: int
    axons: int
    synaptic_memory: int
    operations: FloatArray
    messages: FloatArray


@dataclass(frozen=True)
class Line:
    """Neurons and their synapses in the order of the line.

    Attributes:
        groups: one for each population.
        links: one for each connection of the program.
        owner: int64 (neurons,): group of each neuron.
        starts: int64 (neurons + 1,): where the synapses of each neuron begin.
        axon: int64 (synapses,): axon of each synapse. Axons are numbered target by target.
        incoming: for each group its links.
    """

    groups: tuple[Group, ...]
    links: tuple[Link, ...]
    owner: IntegerArray
    starts: IntegerArray
    axon: IntegerArray
    incoming: tuple[tuple[int, ...], ...]

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return self.owner.size

    @property
    def period(self) -> int:
        """Chip steps from one update of a population to the next."""
        return self.groups[0].instructions.size

    def share(self, first: int, stop: int) -> Share:
        """What the neurons [first, stop) ask of a core."""
        neurons = np.bincount(self.owner[first:stop], minlength=len(self.groups))
        operations, messages = np.zeros(len(self.links)), np.zeros(len(self.links))
        held = int(self.starts[stop] - self.starts[first])
        ranks = self._ranks(neurons)
        if ranks.start == ranks.stop:
            return Share(first, stop, neurons, held, 0, 0, operations, messages)
        links = self._by_axon
        begin, size = links.first[ranks], links.size[ranks]
        lowest, highest = int(begin[0]), int(begin[-1] + size[-1])
        synapses = self._counts(first, stop, lowest, highest)
        rates, reached = links.rates[lowest:highest], synapses > 0
        place = links.place[ranks]
        operations[place] = np.add.reduceat(rates * synapses, begin - lowest)
        messages[place] = np.add.reduceat(rates * reached, begin - lowest)
        taken = list_units(synapses, np.repeat(links.synapse_bits[ranks], size))
        axons, memory = int(np.count_nonzero(reached)), UNIT_BYTES * int(taken.sum())
        return Share(first, stop, neurons, held, axons, memory, operations, messages)

    def _ranks(self, neurons: IntegerArray) -> slice:
        """The links into the populations from the first to the last of which there are neurons,
        (groups,), in the order of their axons.
        """
        present = np.flatnonzero(neurons)
        target = self._by_axon.target
        first = np.searchsorted(target, present[0], "left")
        return slice(int(first), int(np.searchsorted(target, present[-1], "right")))

    def _counts(self, first: int, stop: int, lowest: int, highest: int) -> IntegerArray:
        """Synapses of each of the axons [lowest, highest) in these neurons."""
        seen = self.axon[self.starts[first] : self.starts[stop]] - lowest
        return np.bincount(seen, minlength=highest - lowest)

    @cached_property
    def _by_axon(self) -> _LinkTable:
        """The links in the order of their axons, which is that of their targets."""
        place = sorted(range(len(self.links)), key=lambda number: self.links[number].first)
        links = [self.links[number] for number in place]
        columns = [(link.first, link.size, link.target, link.synapse_bits) for link in links]
        first, size, target, bits = np.array(columns, np.int64).reshape(-1, 4).T
        rates = np.concatenate([np.zeros(0), *(link.rates for link in links)])
        return _LinkTable(np.array(place, np.int64), first, size, target, bits, rates)

    def reached(
        self, first: int, stop: int, neurons: IntegerArray
    ) -> list[tuple[int, IntegerArray]]:
        """For each link into these neurons its place, and the synapses of each source neuron."""
        places = [place for group in np.flatnonzero(neurons) for place in self.incoming[group]]
        if not places:
            return []
        lowest = min(self.links[place].first for place in places)
        highest = max(self.links[place].axons.stop for place in places)
        counts = self._counts(first, stop, lowest, highest)
        return [
            (place, counts[self.links[place].first - lowest :][: self.links[place].size])
            for place in places
        ]

    def neuron_bytes(self, neurons: IntegerArray) -> NeuronMemory:
        """Bytes that neurons, (groups,), take for state, accumulators, parameters, and axons that
        leave.
        """
        return NeuronMemory(*map(int, neurons @ self._bytes))

    @cached_property
    def _bytes(self) -> IntegerArray:
        """Bytes of a neuron of each group, in the order of NeuronMemory, int64 (groups, 4)."""
        return np.array([astuple(group.memory) for group in self.groups])

    def program_words(self, neurons: IntegerArray) -> int:
        """Instructions that a core with these neurons, (groups,), holds: each program once."""
        present = [self.groups[place] for place in np.flatnonzero(neurons)]
        return sum({group.program: group.stored_instructions for group in present}.values())

    def memory(self, share: Share) -> int:
        """Bytes of everything on a core."""
        program = INSTRUCTION_BYTES * self.program_words(share.neurons)
        axons = UNIT_BYTES * AXON_UNITS * share.axons
        neurons = int((share.neurons @ self._bytes).sum())
        return share.synaptic_memory + neurons + axons + program


def line_of(
    program: LoihiProgram, activity: Activity, mixed: int = 1, change: Change = NO_CHANGE
) -> Line:
    """The line of a program.

    Args:
        program: what is to be placed.
        activity: how often its sources send.
        mixed: how many populations stand in turns at most; 1: all are blocks. A core that may
            hold few of them gets few neurons where more are mixed.
        change: what is taken to be otherwise.
    """
    sizes = {program.input.name: program.input.size}
    sizes |= {p.name: p.size for p in program.populations}
    sizes |= change.sizes
    populations = [sizes[p.name] for p in program.populations]
    schedule = program.schedule
    if change.interleave is not None:
        schedule = replace(schedule, interleave=change.interleave)
    owner, positions = _ordered(populations, mixed)
    groups = _groups(program, schedule, positions)
    links = _links(program, schedule, activity, change, sizes)
    starts, axon = _synapses(program.connections, links, sizes, positions, owner.size)
    incoming = tuple(
        tuple(n for n, link in enumerate(links) if link.target == place)
        for place in range(len(groups))
    )
    return Line(groups, links, owner, starts, axon, incoming)


def _ordered(sizes: Sequence[int], mixed: int) -> tuple[IntegerArray, list[IntegerArray]]:
    """The population of each place in the line, and the places of each population's neurons."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    if mixed > 1:
        sets = -(-len(sizes) // mixed)
        together = np.arange(len(sizes)) * sets // len(sizes)
        parts = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
        owner = owner[np.lexsort((parts, together[owner]))]
    return owner, [np.flatnonzero(owner == place) for place in range(len(sizes))]


def _groups(
    program: LoihiProgram, schedule: Schedule, positions: Sequence[IntegerArray]
) -> tuple[Group, ...]:
    programs: dict[tuple[NeuronProgram, int], int] = {}
    found = []
    for population, places in zip(program.populations, positions, strict=True):
        name = population.name
        text = listing(
            population.program, schedule.first_valid[name], schedule.period, population.ports
        )
        found.append(
            Group(
                name,
                places.size,
                programs.setdefault((population.program, population.ports), len(programs)),
                neuron_memory(
                    population,
                    program.incoming(name),
                    sum(c.source == name for c in program.connections),
                    schedule.interleave,
                ),
                text.stored_count,
                instructions(schedule, name, text),
                population.turns.width,
                places,
            )
        )
    return tuple(found)


def _links(
    program: LoihiProgram,
    schedule: Schedule,
    activity: Activity,
    change: Change,
    sizes: Mapping[str, int],
) -> tuple[Link, ...]:
    places = {p.name: place for place, p in enumerate(program.populations)}
    order = sorted(program.connections, key=lambda c: places[c.target])
    before = np.cumsum([0, *(sizes[c.source] for c in order)])
    firsts = {id(c): int(first) for c, first in zip(order, before, strict=False)}
    return tuple(
        Link(
            c.name,
            places.get(c.source, INPUT),
            places[c.target],
            len(c.accumulators),
            min(c.mantissa_bits, change.weight_bits or c.mantissa_bits),
            synapse_bits(c),
            firsts[id(c)],
            activity.messages[c.source][: sizes[c.source]] / activity.updates,
            arrivals(schedule, c.source),
        )
        for c in program.connections
    )


def _synapses(
    connections: Sequence[AnyConnection],
    links: Sequence[Link],
    sizes: Mapping[str, int],
    positions: Sequence[IntegerArray],
    neurons: int,
) -> tuple[IntegerArray, IntegerArray]:
    """Where the synapses of each neuron of the line begin, and the axon of each synapse.

    Rows of connections are sorted, and synapses then taken row by row: there are far fewer rows.
    """
    place, begin, length, axons = ([np.zeros(0, np.int64)] for _ in range(4))
    total = 0
    for connection, link in zip(connections, links, strict=True):
        starts, columns = _kept(connection.unrolled(), sizes[connection.source])
        neuron = np.arange(connection.rows) % (connection.rows // link.fed)
        rows = np.flatnonzero(neuron < sizes[connection.target])
        place.append(positions[link.target][neuron[rows]])
        begin.append(starts[rows] + total)
        length.append(starts[rows + 1] - starts[rows])
        axons.append(columns + np.int64(link.first))
        total += columns.size
    at, first, many = map(np.concatenate, (place, begin, length))
    order = np.argsort(at, kind="stable")
    first, many = first[order], many[order]
    ends = np.cumsum(many)
    synapse = np.arange(ends[-1] if ends.size else 0) + np.repeat(first - ends + many, many)
    of_neuron = np.bincount(at[order], weights=many, minlength=neurons).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(of_neuron)])
    return starts, np.concatenate(axons)[synapse]


def _kept(connection: Connection, sources: int) -> tuple[IntegerArray, npt.NDArray[np.int32]]:
    """Starts of the rows and columns of the synapses from the first so many sources."""
    starts, columns = connection.row_starts.astype(np.int64), connection.columns
    if sources == connection.source_size:
        return starts, columns
    kept = columns < sources
    before = np.concatenate([[0], np.cumsum(kept)])
    return before[starts], columns[kept]
