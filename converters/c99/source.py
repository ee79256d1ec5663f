"""A program as one C file and its header: state in a struct, tables in constants, integers only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.c99.names import Names
from lnn2loihi.converters.c99.neuron import update_lines
from lnn2loihi.converters.c99.types import table, type_of
from lnn2loihi.formats import signed_range
from lnn2loihi.graph.schedule import is_recurrent
from lnn2loihi.program import Connection, LoihiProgram, Population

_SHIFT_RIGHT = """\
/* The quotient by a power of two, rounded down: C leaves the right shift of a negative number to
   the compiler, and compilers make one instruction of this. */
static int32_t shift_right(int32_t value, int shift)
{
    return (value < 0) ? ~(~value >> shift) : (value >> shift);
}
"""


@dataclass(frozen=True)
class CSource:
    """A program in C.

    Attributes:
        prefix: what its names begin with.
        header: text of the header file.
        source: text of the C file.
    """

    prefix: str
    header: str
    source: str


def c_source(program: LoihiProgram, prefix: str = "net") -> CSource:
    """Writes a program as C99.

    Args:
        program: any program.
        prefix: what names begin with: `net` gives `net_step`, and files `net.c` and `net.h`.
    """
    return _Writer(program, prefix).write()


@dataclass(frozen=True)
class _Member:
    """A member of the state struct: its name, type, length, and what it is in the beginning."""

    name: str
    kind: str
    size: int
    initial: tuple[int, ...]


class _Writer:
    def __init__(self, program: LoihiProgram, prefix: str) -> None:
        self.program, self.prefix = program, prefix
        self.global_names = Names(prefix, "shift_right", "net", "input", "output", "i", "j", "k")
        self.members: list[_Member] = []
        self.messages: dict[str, str] = {}
        self.states: dict[str, dict[str, str]] = {}
        self.tables: list[str] = []

    def write(self) -> CSource:
        places = {self.program.input.name: 0}
        places |= {p.name: at for at, p in enumerate(self.program.populations, 1)}
        members = Names()
        for p in self.program.populations:
            self._declare(p, members)
        body: list[str] = []
        for p in self.program.populations:
            body += self._population(p, places)
        return CSource(self.prefix, self._header(), self._source(body))

    def _declare(self, p: Population, members: Names) -> None:
        name = members.give(f"{p.name}_message")
        initial = tuple(p.initial_message.tolist())
        low, high = min(p.message_low, *initial), max(p.message_high, *initial)
        self.members.append(_Member(name, type_of(low, high), p.size, initial))
        self.messages[p.name] = f"net->{name}"
        own: dict[str, str] = {}
        for word, bits in p.program.states:
            if word == p.program.message_state:
                own[word] = f"net->{name}[i]"
                continue
            member = members.give(f"{p.name}_{word}")
            values = tuple(p.initial_state[word].tolist())
            self.members.append(_Member(member, type_of(*signed_range(bits)), p.size, values))
            own[word] = f"net->{member}[i]"
        self.states[p.name] = own

    def _population(self, p: Population, places: dict[str, int]) -> list[str]:
        """Statements of a population's update."""
        names = Names("i", "j", "k", "net", "input", "output", "shift_right", "next")
        sums = {a: names.give(f"sum_{a}") for a in p.program.accumulators}
        loops = [
            line
            for c in self.program.incoming(p.name)
            for line in self._sum(c.unrolled(), p, sums, names)
        ]
        parameters: dict[str, str] = {}
        for word in p.program.parameter_names:
            values = p.parameters[word]
            if (values == values[0]).all():
                parameters[word] = str(int(values[0]))
            else:
                name = self.global_names.give(f"{p.name}_{word}")
                self.tables.append(table(name, values))
                parameters[word] = f"{name}[i]"
        hears_itself = any(c.source == p.name for c in self.program.incoming(p.name))
        kept = self.messages[p.name]
        message = "next[i]" if hears_itself else f"{kept}[i]"
        states = dict(self.states[p.name])
        held = p.program.message_state
        lines = update_lines(p.program, sums, parameters, states, message, names)
        if held:  # the message is the state word: it is written once, where the message goes
            own = f"{states[held]} ="
            lines = [line for line in lines if not line.startswith(own) or message == states[held]]
            lines = list(dict.fromkeys(lines))
        member = next(m for m in self.members if f"net->{m.name}" == kept)
        lines = [self._narrowed(line, p) for line in lines]
        found = [f"/* {p.name}: {p.size} neurons, {p.program.name} */", "{"]
        found += [f"    {member.kind} next[{p.size}];"] * hears_itself
        found += [f"    for (i = 0; i < {p.size}; i++) {{"]
        found += [f"        int32_t {name} = 0;" for name in sums.values()]
        found += [f"        {line}" for line in (*loops, *lines)]
        found += ["    }"]
        if hears_itself:
            found += [f"    for (i = 0; i < {p.size}; i++) {{", f"        {kept}[i] = next[i];",
                      "    }"]  # fmt: skip
        return [*found, "}"]

    def _narrowed(self, line: str, p: Population) -> str:
        """Assignments to narrow places say so."""
        for member in self.members:
            for place in (f"net->{member.name}[i] = ", "next[i] = "):
                own = self.messages[p.name] == f"net->{member.name}"
                if line.startswith(place) and (place != "next[i] = " or own):
                    return f"{place}({member.kind})({line[len(place) : -1]});"
        return line

    def _sum(self, c: Connection, p: Population, sums: dict[str, str], names: Names) -> list[str]:
        """Statements that add the messages of one connection to the sums of neuron i."""
        source = "input" if c.source == self.program.input.name else self.messages[c.source]
        label = self.global_names.give(c.name)
        row, weight = f"{label}_row", f"{label}_weight"
        dense = c.synapses == c.rows * c.source_size
        lines: list[str] = []
        power = f" * {1 << c.exponent}" if c.exponent else ""
        self.tables.append(table(weight, c.mantissas))
        if not dense:
            self.tables += [table(row, c.row_starts), table(f"{label}_column", c.columns)]
        for place, accumulator in enumerate(c.accumulators):
            offset = f"{place * p.size} + " if place else ""
            index = f"{offset}i"
            if dense:
                lines += [
                    "{", "    int32_t part = 0;", "    int32_t j;",
                    f"    const int8_t *w = &{weight}[({index}) * {c.source_size}];",
                    f"    for (j = 0; j < {c.source_size}; j++) {{",
                    f"        part += (int32_t)w[j] * {source}[j];", "    }",
                    f"    {sums[accumulator]} += part{power};", "}",
                ]  # fmt: skip
            else:
                lines += [
                    "{", "    int32_t part = 0;", "    int32_t j;",
                    f"    for (j = {row}[{index}]; j < (int32_t){row}[{index} + 1]; j++) {{",
                    f"        part += (int32_t){weight}[j] * {source}[{label}_column[j]];", "    }",
                    f"    {sums[accumulator]} += part{power};", "}",
                ]  # fmt: skip
        return lines

    def _header(self) -> str:
        program, prefix = self.program, self.prefix
        upper = prefix.upper()
        members = "".join(f"    {m.kind} {m.name}[{m.size}];\n" for m in self.members)
        return (
            f"/* {program.name}, {program.recipe}: integers of lnn2loihi. */\n"
            f"#ifndef {upper}_H\n#define {upper}_H\n\n#include <stdint.h>\n\n"
            f"#define {upper}_INPUTS {program.input.size}\n"
            f"#define {upper}_OUTPUTS {program.output_population.size}\n\n"
            f"typedef struct {{\n{members}}} {prefix}_state;\n\n"
            f"void {prefix}_reset({prefix}_state *net);\n"
            f"void {prefix}_step({prefix}_state *net, const int32_t *input, int32_t *output);\n\n"
            f"#endif\n"
        )

    def _source(self, body: list[str]) -> str:
        prefix, program = self.prefix, self.program
        reset = [f"void {prefix}_reset({prefix}_state *net)", "{", "    int32_t i;"]
        for m in self.members:
            values = np.array(m.initial)
            if (values == values[0]).all():
                value = f"{m.initial[0]}"
            else:
                name = self.global_names.give(f"{m.name}_initial")
                self.tables.append(table(name, values))
                value = f"{name}[i]"
            reset += [f"    for (i = 0; i < {m.size}; i++) {{",
                      f"        net->{m.name}[i] = {value};", "    }"]  # fmt: skip
        step = [f"void {prefix}_step({prefix}_state *net, const int32_t *input, int32_t *output)",
                "{", "    int32_t i;"]  # fmt: skip
        inner = [f"    {line}" for line in body]
        if program.substeps > 1:
            step += ["    int32_t k;", f"    for (k = 0; k < {program.substeps}; k++) {{"]
            step += [f"    {line}" for line in inner] + ["    }"]
        else:
            step += inner
        out = self.messages[program.output]
        step += [f"    for (i = 0; i < {program.output_population.size}; i++) {{",
                 f"        output[i] = {out}[i];", "    }", "}"]  # fmt: skip
        return "\n".join(
            [f'#include "{prefix}.h"', "", _SHIFT_RIGHT, *self.tables, *reset, "}", "", *step, ""]
        )
