"""The update of a population in C: sums of what arrives, then the neuron program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from lnn2loihi.converters.c99.kernels import write_kernel
from lnn2loihi.converters.c99.names import Names
from lnn2loihi.converters.c99.neuron import Place, live_accumulators, live_parameters, update_lines
from lnn2loihi.converters.c99.rows import RowWriter, Summing
from lnn2loihi.converters.c99.state import COUNT, Member, StateStruct
from lnn2loihi.converters.c99.tables import Tables
from lnn2loihi.converters.c99.text import KEPT_LOOP, SHORT, comment, indented
from lnn2loihi.converters.c99.types import literal
from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.instructions import Saturation
from lnn2loihi.program import AnyConnection, Connection, LoihiProgram, Population

#: Neurons whose programs run side by side at most, where speed is the goal: their words are on the
#: stack. Lanes of a vector, to multiples of which they are filled up; fewer neurons than a few are
#: not worth it.
BLOCK, VECTOR, FEW = 32, 8, 4


@dataclass
class PopulationWriter:
    """Writes one static function for each population.

    Attributes:
        program: what the populations belong to.
        state: where words are kept.
        tables: of the file.
        scope: names of the file.
        prefix: what the type of the state begins with.
        speed: whether sums of several neurons are made first, so that programs run as vectors.
        functions: texts of the functions that were needed, by name.
        names: for each population the name of its function.
        stack_bytes: bytes of arrays that the largest function has on the stack.
    """

    program: LoihiProgram
    state: StateStruct
    tables: Tables
    scope: Names
    prefix: str
    speed: bool
    functions: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    stack_bytes: int = 0

    def write(self, p: Population) -> str:
        """The function of a population."""
        names = Names(self.scope)
        for word in _LOCALS:
            names.give(word)
        incoming = self.program.incoming(p.name)
        body = self._in_lanes(p, names) if self.speed else self._one_by_one(p, names)
        name = self.names[p.name] = self.scope.give(f"update_{p.name}")
        told = f"{p.name}: {p.size} neurons of {p.program.name}"
        if incoming:
            told += f"; hears {', '.join(dict.fromkeys(c.source for c in incoming))}"
        head = f"/* {comment(told)} */\nstatic void {name}({self.prefix}_state *net)"
        return f"{head}\n{{\n{indented(body)}\n}}\n"

    def _one_by_one(self, p: Population, names: Names) -> list[str]:
        """Each neuron's sums, and at once its program: little memory, loops that are called."""
        own = self._own_sums(p, names)
        counters = _Counters(names)
        rows = [self._sum(c, own, names, counters) for c in self.program.incoming(p.name)]
        waits = any(c.source == p.name for c in self.program.incoming(p.name))
        counts = self._counts(p, names)
        parameters = {
            word: self._parameter(p, word, "i") for word in live_parameters(p.program, [*counts])
        }
        member = self.state.messages[p.name]
        new, arrays = self._waiting(p) if waits else (f"net->{member.name}", [])
        message = Place(f"net->{member.name}[i]", f"{new}[i]", member.kind)
        states = {
            word: message if own_word is member else _place(own_word)
            for word, own_word in self._state_words(p).items()
        }
        sums = {**dict.fromkeys(live_accumulators(p.program, [*counts]), "0"), **own}
        lines = [f"int32_t {name} = 0;" for name in own.values()]
        lines += [line for row in rows for line in row.lines] + counters.after
        lines += update_lines(p.program, sums, parameters, states, message, names, counts)
        body = self._begun(counts)
        body += self._declared(arrays) + [line for row in rows for line in row.before]
        body += [*counters.before, "int32_t i;", *_loop("i", "0", str(p.size), lines)]
        if waits:
            copy = [f"net->{member.name}[i] = {new}[i];"]
            body += _loop("i", "0", str(p.size), copy)
        return body + self._added(p, counts)

    def _in_lanes(self, p: Population, names: Names) -> list[str]:
        """The sums of some neurons, then their programs side by side, so that these are vectors.

        Lanes that fill up a vector do what the last neuron does, and nobody reads them.
        """
        count, lanes = _lanes(p.size)
        several = count > 1
        lane, neuron = ("k", "first + k") if several else ("i", "i")
        own = {a: f"{name}[{lane}]" for a, name in self._own_sums(p, names).items()}
        counters, counts = _Counters(names), self._counts(p, names)
        rows = [self._sum(c, own, names, counters) for c in self.program.incoming(p.name)]
        places = _lanes_of_tables(p.size, count * lanes)
        parameters = {
            word: self._parameter(p, word, neuron, places)
            for word in live_parameters(p.program, [*counts])
        }
        member, words = self.state.messages[p.name], self._state_words(p)
        held = {word: f"{names.give(f'kept_{word}')}[{lane}]" for word in words}
        sent = held.get(p.program.message_state, f"{names.give('sent')}[{lane}]")
        states = {word: Place(place, place, "int32_t") for word, place in held.items()}
        sums = {**dict.fromkeys(live_accumulators(p.program, [*counts]), "0"), **own}
        whole = p.size == count * lanes
        used = str(min(p.size, lanes)) if whole or not several else "count"
        update = update_lines(
            p.program, sums, parameters, states, Place(sent, sent, "int32_t"), names, counts,
            "" if whole else f"{lane} < {used}",
        )  # fmt: skip
        waits = several and any(c.source == p.name for c in self.program.incoming(p.name))
        new, arrays = self._waiting(p) if waits else (f"net->{member.name}", [])
        filled = [*own.values(), *held.values()]
        in_lanes = dict.fromkeys([*filled, sent])
        arrays = arrays + [
            (f"int32_t {place.removesuffix(f'[{lane}]')}[{lanes}]", 4 * lanes) for place in in_lanes
        ]
        arrays += [array for row in rows for array in row.arrays]
        begin = [f"const int32_t i = {neuron};"] * several
        begin += [f"{place} = 0;" for place in own.values()]
        begin += [line for row in rows for line in row.lines] + counters.after
        begin += [f"{held[word]} = net->{own_word.name}[i];" for word, own_word in words.items()]
        ends = {**{held[word]: own_word for word, own_word in words.items()}, sent: member}
        end = [
            f"{new if own_word is member else f'net->{own_word.name}'}[{neuron}] = "
            f"{_cast(own_word.kind)}{place};"
            for place, own_word in ends.items()
        ]
        fill = [f"{one} = {one.replace(f'[{lane}]', f'[{used} - 1]')};" for one in filled]
        loops = _loop(lane, "0", used, begin) if begin else []
        if fill and not whole:
            loops += _loop(lane, used, str(lanes), fill)
        loops += [KEPT_LOOP] * (FEW < lanes <= SHORT) + _loop(lane, "0", str(lanes), update)
        loops += _loop(lane, "0", used, end)
        body = self._declared(arrays) + self._begun(counts)
        body += [line for row in rows for line in row.before] + counters.before
        body += ["int32_t first;", "int32_t k;"] if several else ["int32_t i;"]
        body += _in_blocks(p.size, lanes, loops, whole) if several else loops
        if waits:
            copy = [f"net->{member.name}[k] = {new}[k];"]
            body += _loop("k", "0", str(p.size), copy)
        return body + self._added(p, counts)

    def _own_sums(self, p: Population, names: Names) -> dict[str, str]:
        """For each accumulator that is read and fed the name of its sum."""
        heard = {a for c in self.program.incoming(p.name) for a in c.accumulators}
        read = live_accumulators(p.program, self._marks(p))
        return {a: names.give(f"sum_{a}") for a in read if a in heard}

    def _marks(self, p: Population) -> tuple[Saturation, ...]:
        """The words whose saturations are counted."""
        return self.program.saturations[p.name] if self.state.saturated_words else ()

    def _counts(self, p: Population, names: Names) -> dict[Saturation, str]:
        """For each of them a variable, since compilers make vectors of no count in the struct."""
        return {mark: names.give(f"lost_{mark.name}") for mark in self._marks(p)}

    @staticmethod
    def _begun(counts: Mapping[Saturation, str]) -> list[str]:
        return [f"{COUNT} {name} = 0U;" for name in counts.values()]

    def _added(self, p: Population, counts: Mapping[Saturation, str]) -> list[str]:
        """Statements that add what an update has counted to the state."""
        member = self.state.saturated_words
        if member is None:
            return []
        return [
            f"net->{member.name}[{self.state.saturations[p.name, mark.name]}] += {name};"
            for mark, name in counts.items()
        ]

    def _state_words(self, p: Population) -> dict[str, Member]:
        return {word: self.state.words[p.name, word] for word in p.program.state_names}

    def _waiting(self, p: Population) -> tuple[str, list[tuple[str, int]]]:
        """Where new messages wait while the old ones are heard, and the array, if it is one of the
        stack.
        """
        if p.name in self.state.copies:
            return f"net->{self.state.copies[p.name].name}", []
        member = self.state.messages[p.name]
        return "next", [(f"{member.kind} next[{p.size}]", member.bytes)]

    def _declared(self, arrays: list[tuple[str, int]]) -> list[str]:
        """Arrays on the stack, each with its bytes, as statements."""
        self.stack_bytes = max(self.stack_bytes, sum(size for _, size in arrays))
        return [f"{text};" for text, _ in arrays]

    def _sum(
        self, c: AnyConnection, sums: Mapping[str, str], names: Names, counters: _Counters
    ) -> Summing:
        """The text of one connection."""
        label, source = self.scope.give(f"{c.source}_to_{c.target}"), self.state.messages[c.source]
        if isinstance(c, Connection):
            found = RowWriter(self.tables, self.speed).write(c, label, source, sums, names)
        elif c.accumulators[0] in sums:
            name = self.scope.give(f"{label}_below")
            position, place = counters.of(c.target_shape), sums[c.accumulators[0]]
            found = write_kernel(c, label, source, place, position, self.tables, name)
        else:
            found = Summing([], [], {})
        self.functions |= found.functions
        return found

    def _parameter(
        self, p: Population, word: str, index: str, places: IntegerArray | None = None
    ) -> str:
        """The expression of a parameter of one neuron.

        Args:
            p: the population.
            word: the parameter.
            index: of the neuron.
            places: neurons of the table's entries; all of them, one by one, where absent. With
                places its numbers have 16 bits at least: compilers make no vectors of fewer bytes
                than a register has.
        """
        values = p.parameters[word]
        if (values == values[0]).all():
            return literal(int(values[0]))
        values = values if places is None else values[places]
        told, kind = f"{p.name}: {word}", "int16_t" if places is not None else "int8_t"
        return self.tables.add(f"{p.name}_{word}", values, told, kind).at(index)


_LOCALS = ("first", "count", "next", "part", "end", "weights", "heard")


def _cast(kind: str) -> str:
    return "" if kind == "int32_t" else f"({kind})"


def _place(member: Member) -> Place:
    return Place(f"net->{member.name}[i]", f"net->{member.name}[i]", member.kind)


def _lanes(size: int) -> tuple[int, int]:
    """Into how many blocks neurons are divided, and of how many lanes."""
    if size <= FEW:
        return 1, size
    count = math.ceil(size / BLOCK)
    return count, math.ceil(math.ceil(size / count) / VECTOR) * VECTOR


def _lanes_of_tables(size: int, lanes: int) -> IntegerArray:
    """The neuron of each lane of all blocks."""
    return np.minimum(np.arange(lanes), size - 1)


class _Counters:
    """Variables that hold channel, row and column of neuron i, for kernels.

    Args:
        names: of the function.

    Attributes:
        before: their declarations.
        after: what moves them on, at the end of a neuron's sums.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: dict[tuple[int, int, int], tuple[str, str, str]] = {}
        self.before: list[str] = []
        self.after: list[str] = []

    def of(self, shape: tuple[int, int, int]) -> tuple[str, str, str]:
        """The variables of neurons that lie in a shape: channels, height, width."""
        if shape not in self._known:
            channel, row, column = (self._names.give(n) for n in ("channel", "row", "column"))
            self._known[shape] = channel, row, column
            self.before += [f"int32_t {name} = 0;" for name in self._known[shape]]
            self.after += [
                f"{column}++;",
                f"if ({column} == {shape[2]}) {{",
                f"    {column} = 0;",
                f"    {row}++;",
                f"    if ({row} == {shape[1]}) {{",
                f"        {row} = 0;",
                f"        {channel}++;",
                "    }",
                "}",
            ]
        return self._known[shape]


def _loop(index: str, begin: str, end: str, lines: Iterable[str]) -> list[str]:
    """A loop over neurons or lanes."""
    head = f"for ({index} = {begin}; {index} < {end}; {index}++) {{"
    return [head, *(f"    {one}" for one in lines), "}"]


def _in_blocks(size: int, lanes: int, loops: Iterable[str], whole: bool) -> list[str]:
    """The loops, over some neurons after others; all blocks are whole, or the last one is not."""
    count = f"    const int32_t count = (first < {size - lanes}) ? {lanes} : ({size} - first);"
    return [
        f"for (first = 0; first < {size}; first += {lanes}) {{",
        *([] if whole else [count]),
        *(f"    {line}" for line in loops),
        "}",
    ]
