"""What accumulators can sum up to, of programs that have neurons of Lava's own processes.

A sum of rectifiers such as relu(z + t) - relu(z - t) stays between 0 and 2 t, though each of its
terms alone can be as large as z. So terms that have one argument in common, up to a whole factor
and constants, are bounded together (`lnn2loihi.neurons.kinks`); sums of different arguments are
independent of each other, and add up as intervals. docs/integers.md has the reasons.

All this is of what neurons read in their updates. What an accumulator holds while messages arrive
one after another has the plain interval of its connections, whose synapses may stop anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import ProgramError
from lnn2loihi.formats import WORD_BITS, FixedPoint, IntegerArray, bits_needed, signed_range
from lnn2loihi.graph.convolution import AnyConnection
from lnn2loihi.graph.population import Population
from lnn2loihi.graph.port import InputPort
from lnn2loihi.neurons.bounds import NEURONS_NAMED, IntegerInterval, ProvedBounds, prove
from lnn2loihi.neurons.kinks import NONE, Terms, extremes
from lnn2loihi.neurons.stock import StockNeuron, stock_neuron


@dataclass(frozen=True, eq=False)
class Rows:
    """Weights of all synapses of a population, those of one pair added up, row by row.

    Row `a * N + i` is accumulator a, in the order of the neuron program, of neuron i.

    Attributes:
        row, sender, weight: of each entry, int64; ascending by row and then by sender.
    """

    row: IntegerArray
    sender: IntegerArray
    weight: IntegerArray

    @classmethod
    def added_up(cls, row: IntegerArray, sender: IntegerArray, weight: IntegerArray) -> Rows:
        """From entries in any order; those of one row and sender become one, or none."""
        order = np.lexsort((sender, row))
        row, sender, weight = row[order], sender[order], weight[order]
        starts = np.flatnonzero(_changes(row, sender))
        if starts.size:
            weight = np.add.reduceat(weight, starts)
        kept = weight != 0
        return cls(row[starts][kept], sender[starts][kept], weight[kept])


def _changes(*keys: IntegerArray) -> npt.NDArray[np.bool_]:
    """Where a sorted entry has another key than the one before."""
    differs = np.zeros(max(keys[0].size - 1, 0), bool)
    for key in keys:
        differs |= key[1:] != key[:-1]
    return np.append(np.ones(min(keys[0].size, 1), bool), differs)


class ProvedSums:
    """Intervals of accumulators, population by population, in the order of a sample.

    A sender is a neuron or a channel whose message of the same sample is heard, or of the sample
    before: two senders for each neuron. Its message is m(gain * v + offset), where v is the integer
    of its argument; by default it is an argument of its own, and v the message.

    Args:
        port: input port.
        populations: in the order in which they follow each other within a sample.
        connections: all connections; the schedule that they ask for exists.
    """

    def __init__(
        self,
        port: InputPort,
        populations: Sequence[Population],
        connections: Sequence[AnyConnection],
    ) -> None:
        self._stock = {p.name: stock_neuron(p.program) for p in populations}
        self._connections = connections
        self._order = {name: n for n, name in enumerate((port.name, *self._stock))}
        self._reach: dict[str, tuple[npt.ArrayLike, npt.ArrayLike]] = {
            p.name: reach_of(p) for p in populations
        }
        self._reach[port.name] = port.low, port.high
        #: First sender of each source, heard of the same sample and of the sample before.
        self._first: dict[tuple[str, bool], int] = {}
        if not any(self._stock.values()):
            return  # nothing more is known than the range of each message
        sizes = {port.name: port.size, **{p.name: p.size for p in populations}}
        starts = np.cumsum([0, *sizes.values(), *sizes.values()])
        self._first = {
            (name, back): int(starts[n + back * len(sizes)])
            for n, name in enumerate(sizes)
            for back in (False, True)
        }
        every = int(starts[-1])
        self._low, self._high = np.zeros((2, every), np.int64)
        for (name, _), first in self._first.items():
            own = slice(first, first + sizes[name])
            self._low[own], self._high[own] = self._reach[name]
        self._argument = np.arange(every)
        self._gain, self._offset = np.ones(every, np.int64), np.zeros(every, np.int64)
        self._threshold = np.full(every, NONE, np.int64)
        self._both_sides = np.zeros(every, bool)
        #: Interval of v of each argument: those of single senders first, then sums of several.
        self._v_low, self._v_high = list(self._low), list(self._high)
        self._sums_known: dict[bytes, int] = {}

    def prove(self, population: Population) -> ProvedBounds:
        """Bounds of all words of the next population.

        Messages are bounded by induction: what was assumed of them when they fed the accumulators
        must hold of what SPIKE sends and of the initial state.
        """
        partial = partial_sums(population, self._connections, self._reach)
        known = self._knows_more(population)
        read = self._read(population) if known else partial
        proved = prove(population.program, read, population.parameters)
        message = proved.words["message'"]
        neuron = self._stock[population.name]
        if neuron is not None and neuron.monotone:
            message = IntegerInterval.of(*(neuron.answer(end) for end in _ends(read)))
        problems = list(proved.problems)
        if known:
            problems += width_problems(partial)
        sent, initial = message.hull, population.initial_message
        low, high = population.message_low, population.message_high
        if min(sent[0], int(initial.min())) < low or max(sent[1], int(initial.max())) > high:
            reached = [min(sent[0], int(initial.min())), max(sent[1], int(initial.max()))]
            first = ", those before the first sample included" * (reached != list(sent))
            problems.append(f"messages can reach {reached}{first}, stated is [{low}, {high}]")
        if not problems:
            self._learn(population, neuron, read, message)
        return ProvedBounds({**proved.words, "message'": message}, tuple(problems))

    def _knows_more(self, population: Population) -> bool:
        """Whether more is known of what its accumulators read than of partial sums."""
        heard = {c.source for c in self._connections if c.target == population.name}
        return any(self._stock.get(name) is not None for name in (*heard, population.name))

    def _read(self, population: Population) -> dict[str, IntegerInterval]:
        """What each accumulator holds in an update, when all messages of the sample are there."""
        low, high = self._sums(population, self._rows(population))
        return {
            a: IntegerInterval(part_low, part_high)
            for a, part_low, part_high in zip(
                population.program.accumulators,
                low.reshape(-1, population.size),
                high.reshape(-1, population.size),
                strict=True,
            )
        }

    def _learn(
        self,
        population: Population,
        neuron: StockNeuron | None,
        sums: Mapping[str, IntegerInterval],
        message: IntegerInterval,
    ) -> None:
        """Takes what was proved of a population, for those that come after it."""
        self._reach[population.name] = reach_of(population, message)
        if not self._first:
            return
        own = self._own(population)
        self._low[own], self._high[own] = message.low, message.high
        self._v_low[own], self._v_high[own] = self._low[own], self._high[own]
        if neuron is not None and neuron.monotone:
            self._learn_arguments(population, neuron, *sums.values())

    def _own(self, population: Population) -> slice:
        """Its neurons as senders that are heard of the same sample."""
        first = self._first[population.name, False]
        return slice(first, first + population.size)

    def _rows(self, population: Population) -> Rows:
        """The synapses of a population, by sender."""
        known = population.program.accumulators
        places = {a: n * population.size for n, a in enumerate(known)}
        rows, senders, weights = ([np.zeros(0, np.int64)] for _ in range(3))
        for c in self._connections:
            if c.target != population.name:
                continue
            # The row of the first neuron of each accumulator, in the order of the program.
            begin = np.array([places[a] for a in c.accumulators])
            fused = (begin[:, None] + np.arange(population.size)).reshape(-1)
            each = c.unrolled()
            rows.append(np.repeat(fused, np.diff(each.row_starts)))
            back = self._order[c.source] >= self._order[population.name]
            senders.append(self._first[c.source, back] + each.columns.astype(np.int64))
            weights.append(each.mantissas.astype(np.int64) << c.exponent)
        return Rows.added_up(*(np.concatenate(part) for part in (rows, senders, weights)))

    def _sums(self, population: Population, rows: Rows) -> tuple[IntegerArray, IntegerArray]:
        """Interval of each row."""
        ends = rows.weight * self._low[rows.sender], rows.weight * self._high[rows.sender]
        low, high = np.minimum(*ends), np.maximum(*ends)
        argument = self._argument[rows.sender]
        order = np.lexsort((argument, rows.row))
        starts = _changes(rows.row[order], argument[order])
        number = np.cumsum(starts) - 1  # of the sum of one row and one argument
        several = np.bincount(number, minlength=0)[number] > 1
        together, alone = order[several], order[~several]
        size = population.size * len(population.program.accumulators)
        smallest, largest = np.zeros((2, size), np.int64)
        np.add.at(smallest, rows.row[alone], low[alone])
        np.add.at(largest, rows.row[alone], high[alone])
        if together.size:
            first = starts[several]
            sender = rows.sender[together]
            terms = Terms(
                np.cumsum(first) - 1, rows.weight[together], self._gain[sender],
                self._offset[sender], self._threshold[sender], self._both_sides[sender],
            )  # fmt: skip
            of = argument[together][first]
            v = [np.array([ends[a] for a in of], np.int64) for ends in (self._v_low, self._v_high)]
            low, high = extremes(terms, *v)
            np.add.at(smallest, rows.row[together][first], low)
            np.add.at(largest, rows.row[together][first], high)
        return smallest, largest

    def _learn_arguments(
        self, population: Population, neuron: StockNeuron, sums: IntegerInterval
    ) -> None:
        """Finds what each neuron's argument is, and takes the interval of its v."""
        own = self._own(population)
        relays = neuron.kind == "threshold" and not neuron.threshold
        rows = self._rows(population)
        offset = np.zeros(population.size, np.int64)
        # What sends a constant is part of the offset.
        known = self._low[rows.sender] == self._high[rows.sender]
        np.add.at(offset, rows.row[known], (rows.weight * self._low[rows.sender])[known])
        rows = Rows(*(part[~known] for part in (rows.row, rows.sender, rows.weight)))
        # Relays send what they hear: their argument stands for them.
        replaced = self._threshold[rows.sender] == NONE
        np.add.at(offset, rows.row[replaced], (rows.weight * self._offset[rows.sender])[replaced])
        factor = np.where(replaced, self._gain[rows.sender], 1)
        senders = np.where(replaced, self._argument[rows.sender], rows.sender)
        rows = Rows.added_up(rows.row, senders, rows.weight * factor)
        starts = np.searchsorted(rows.row, np.arange(population.size + 1))
        for place, (begin, end) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
            if begin == end:
                continue  # it hears constants alone: its message is one
            argument, gain = self._named(rows.sender[begin:end], rows.weight[begin:end])
            sender = own.start + place
            self._argument[sender], self._gain[sender] = argument, gain
            self._offset[sender] = offset[place]
            self._threshold[sender] = NONE if relays else neuron.threshold
            self._both_sides[sender] = neuron.kind == "threshold"
            ends = int(sums.low[place]) - offset[place], int(sums.high[place]) - offset[place]
            low, high = ends if gain > 0 else ends[::-1]
            self._v_low[argument] = max(self._v_low[argument], -(-low // gain))
            self._v_high[argument] = min(self._v_high[argument], high // gain)

    def _named(self, senders: IntegerArray, weights: IntegerArray) -> tuple[int, int]:
        """The argument of a row, and the whole factor with which the row is it."""
        if senders.size == 1:
            return int(senders[0]), int(weights[0])
        factor = int(np.gcd.reduce(weights)) * (1 if weights[0] > 0 else -1)
        key = senders.tobytes() + (weights // factor).tobytes()
        argument = self._sums_known.setdefault(key, len(self._v_low))
        if argument == len(self._v_low):
            self._v_low.append(np.iinfo(np.int64).min)
            self._v_high.append(np.iinfo(np.int64).max)
        return argument, factor


def _ends(sums: Mapping[str, IntegerInterval]) -> tuple[IntegerArray, IntegerArray]:
    (only,) = sums.values()
    return only.low, only.high


def reach_of(
    population: Population, message: IntegerInterval | None = None
) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    """Smallest and largest message of each neuron, in any step.

    Args:
        population: which.
        message: what is proved of what it sends in its updates, if that is known. A state word can
            hold any other message of the stated range before the first sample.
    """
    if message is None or population.program.message_state:
        return population.message_low, population.message_high
    return message.low, message.high


def partial_sums(
    population: Population,
    connections: Sequence[AnyConnection],
    reach: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
) -> dict[str, IntegerInterval]:
    """What each accumulator can hold while messages arrive, in any order and in any step.

    Args:
        population: whose accumulators.
        connections: all connections.
        reach: for each source its smallest and largest message.
    """
    zero = np.zeros(population.size, np.int64)
    sums = {a: IntegerInterval(zero, zero) for a in population.program.accumulators}
    for c in connections:
        if c.target != population.name:
            continue
        interval = c.interval(*reach[c.source])
        for place, accumulator in enumerate(c.accumulators):
            rows = slice(place * population.size, (place + 1) * population.size)
            before = sums[accumulator]
            sums[accumulator] = IntegerInterval(
                before.low + interval.low[rows], before.high + interval.high[rows]
            )
    return sums


def width_problems(partial: Mapping[str, IntegerInterval]) -> list[str]:
    """Accumulators that could overflow while messages arrive, by neuron."""
    found: list[str] = []
    for accumulator, interval in partial.items():
        wide = np.flatnonzero(~interval.fits(WORD_BITS))
        for neuron in wide[:NEURONS_NAMED]:
            reach = interval.of_neuron(int(neuron))
            found.append(
                f"accumulator {accumulator!r} of neuron {neuron} can reach {list(reach.hull)} "
                f"while messages arrive, in an order that nobody knows, which needs {reach.bits} "
                f"bits; the limit is {WORD_BITS}"
            )
        if wide.size > NEURONS_NAMED:
            found.append(
                f"accumulator {accumulator!r}: {wide.size - NEURONS_NAMED} more neurons like these"
            )
    return found


def with_proved_messages(
    port: InputPort, populations: Sequence[Population], connections: Sequence[AnyConnection]
) -> tuple[Population, ...]:
    """The populations, with the range of messages that is proved of them, and the width it needs.

    Those whose last message a loop hears keep the range that they state: it is proved by induction,
    and something has to be assumed.

    Raises:
        ProgramError: something is not proved of a population, whatever it states.
    """
    widest = signed_range(WORD_BITS)
    free = [
        p if p.program.message_state
        else replace(
            p, message=FixedPoint(WORD_BITS, p.message.fraction_bits),
            message_low=widest[0], message_high=widest[1],
        )
        for p in populations
    ]  # fmt: skip
    sums = ProvedSums(port, free, connections)
    made: list[Population] = []
    for p in free:
        proved = sums.prove(p)
        if proved.problems:
            raise ProgramError(f"population {p.name!r}", list(proved.problems))
        low, high = proved.words["message'"].hull
        low, high = min(low, 0), max(high, 0)  # 0 is sent where nothing is
        message = FixedPoint(bits_needed(low, high), p.message.fraction_bits)
        narrow = replace(p, message=message, message_low=low, message_high=high)
        made.append(p if p.program.message_state else narrow)
    return tuple(made)
