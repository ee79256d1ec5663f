"""The update of a population in C: sums of what arrives, then the neuron program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lnn2loihi.converters.c99.kernels import write_kernel
from lnn2loihi.converters.c99.names import Names
from lnn2loihi.converters.c99.neuron import Place, live_accumulators, update_lines
from lnn2loihi.converters.c99.rows import RowWriter, Summing
from lnn2loihi.converters.c99.state import StateStruct
from lnn2loihi.converters.c99.tables import Tables
from lnn2loihi.converters.c99.text import comment, indented
from lnn2loihi.converters.c99.types import literal
from lnn2loihi.program import AnyConnection, Connection, LoihiProgram, Population

#: Neurons whose sums are made before their programs run, side by side, where speed is the goal.
BLOCK = 64


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
        wanted = live_accumulators(p.program)
        heard = {a for c in incoming for a in c.accumulators}
        own = {a: names.give(f"sum_{a}") for a in wanted if a in heard}
        blocks = self.speed and p.size > BLOCK
        index = "[i - first]" if blocks else "[i]"
        sums = {a: f"{name}{index}" if self.speed else name for a, name in own.items()}
        counters = _Counters(names)
        rows = [self._sum(c, sums, names, counters) for c in incoming]
        waits = any(c.source == p.name for c in incoming) and (blocks or not self.speed)
        parameters = {word: self._parameter(p, word) for word in p.program.parameter_names}
        states, message = self._places(p, waits)
        zeros = dict.fromkeys(wanted, "0")
        update = update_lines(p.program, {**zeros, **sums}, parameters, states, message, names)
        summed = [line for row in rows for line in row.lines] + counters.after
        arrays = self._arrays(p, own, waits)
        self.stack_bytes = max(self.stack_bytes, sum(size for _, size in arrays))
        body = [f"{line};" for line, _ in arrays]
        body += [line for row in rows for line in row.before] + counters.before + ["int32_t i;"]
        if self.speed:
            summed = [f"{place} = 0;" for place in sums.values()] + summed
            loops = [summed, update] if sums else [update]
        else:
            loops = [[f"int32_t {name} = 0;" for name in own.values()] + summed + update]
        body += _in_blocks(p.size, loops) if blocks else _in_loops("0", str(p.size), loops)
        if waits:
            kept = self.state.messages[p.name].name
            new = message.write.replace("[i]", "")
            body += _in_loops("0", str(p.size), [[f"net->{kept}[i] = {new}[i];"]])
        name = self.names[p.name] = self.scope.give(f"update_{p.name}")
        sources = ", ".join(dict.fromkeys(c.source for c in incoming))
        told = f"{p.name}: {p.size} neurons of {p.program.name}" + f"; hears {sources}" * bool(
            sources
        )
        head = f"/* {comment(told)} */\nstatic void {name}({self.prefix}_state *net)"
        return f"{head}\n{{\n{indented(body)}\n}}\n"

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

    def _parameter(self, p: Population, word: str) -> str:
        values = p.parameters[word]
        if (values == values[0]).all():
            return literal(int(values[0]))
        return self.tables.add(f"{p.name}_{word}", values, f"{p.name}: {comment(word)}").at("i")

    def _places(self, p: Population, waits: bool) -> tuple[dict[str, Place], Place]:
        """Where state words and the message are kept."""
        member = self.state.messages[p.name]
        kept = f"net->{member.name}[i]"
        copy = self.state.copies.get(p.name)
        new = f"net->{copy.name}[i]" if copy else "next[i]"
        message = Place(kept, new if waits else kept, member.kind)
        states: dict[str, Place] = {}
        for word in p.program.state_names:
            own = self.state.words[p.name, word]
            place = f"net->{own.name}[i]"
            held = word == p.program.message_state
            states[word] = message if held else Place(place, place, own.kind)
        return states, message

    def _arrays(self, p: Population, own: Mapping[str, str], waits: bool) -> list[tuple[str, int]]:
        """Arrays on the stack, and their bytes."""
        found: list[tuple[str, int]] = []
        if self.speed:
            count = min(p.size, BLOCK)
            found += [(f"int32_t {name}[{count}]", 4 * count) for name in own.values()]
        if waits and p.name not in self.state.copies:
            member = self.state.messages[p.name]
            found.append((f"{member.kind} next[{p.size}]", member.bytes))
        return found


_LOCALS = ("first", "last", "next", "part", "end", "weights", "heard")


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


def _in_loops(begin: str, end: str, loops: Iterable[list[str]]) -> list[str]:
    """Loops over neurons, one after the other."""
    found: list[str] = []
    for lines in loops:
        found += [f"for (i = {begin}; i < {end}; i++) {{", *(f"    {one}" for one in lines), "}"]
    return found


def _in_blocks(size: int, loops: Iterable[list[str]]) -> list[str]:
    """The loops, over some neurons after others."""
    inner = [f"    {line}" for line in _in_loops("first", "last", loops)]
    return [
        "int32_t first;",
        f"for (first = 0; first < {size}; first += {BLOCK}) {{",
        f"    const int32_t last = (first < {size - BLOCK}) ? (first + {BLOCK}) : {size};",
        *inner,
        "}",
    ]
