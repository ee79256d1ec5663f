"""A program as one C file and its header: state in a struct, tables in constants, integers only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.c99.codec import FRACTION_BITS, Codec, codec_source
from lnn2loihi.converters.c99.macros import count_macros, range_macros
from lnn2loihi.converters.c99.names import Names, check_prefix
from lnn2loihi.converters.c99.neuron import SHIFT_RIGHT
from lnn2loihi.converters.c99.population import PopulationWriter
from lnn2loihi.converters.c99.selftest import SelfTest, selftest_source
from lnn2loihi.converters.c99.state import Member, StateStruct
from lnn2loihi.converters.c99.tables import FIELD, Tables
from lnn2loihi.converters.c99.text import KEPT_LOOP_MACRO, comment, indented
from lnn2loihi.converters.c99.types import literal
from lnn2loihi.errors import InputError
from lnn2loihi.program import Connection, LoihiProgram
from lnn2loihi.version import VERSION

#: Most synapses that are listed in a C file, of all connections (a limit of this library: compilers
#: take some 100 bytes for each, and no part has that much flash).
LARGEST_LISTED = 1 << 23
#: What the C code is written for.
Goal = Literal["size", "speed", "either"]


@dataclass(frozen=True)
class CSource:
    """A program in C.

    Attributes:
        prefix: what its names begin with.
        header: text of the header file.
        source: text of the C file.
        members: members of the state's struct, in its order.
        words: for each population and recorded word the member that holds it after an update:
            state words, and "message" where no state word holds the message. The members of the
            output's messages are the answer.
        state_bytes: bytes of the struct.
        stack_bytes: bytes of the arrays that an update has on the stack at most; registers and
            return addresses come on top.
        saturations: for each population and word that can saturate its place in the member
            `saturated_words`; empty where nothing is counted.
        codec: texts of the header and the C file of encoder and decoder; None where none is wanted.
        selftest: text of the C file of the self-test; None where none is wanted.
    """

    prefix: str
    header: str
    source: str
    members: tuple[Member, ...]
    words: Mapping[tuple[str, str], Member]
    state_bytes: int
    stack_bytes: int
    saturations: Mapping[tuple[str, str], int] = field(default_factory=dict)
    codec: tuple[str, str] | None = None
    selftest: str | None = None


@checks_kinds()
def c_source(
    program: LoihiProgram,
    prefix: str = "net",
    goal: Goal = "size",
    *,
    codec: Codec = "none",
    fraction_bits: int | None = None,
    selftest: SelfTest = "none",
    count_saturation: bool = False,
    header: str = "",
) -> CSource:
    """Writes a program as C99.

    Args:
        program: any program.
        prefix: what names begin with: `net` gives `net_step`.
        goal: "size" shares loops and packs weights, "speed" writes loops out for vectors; "either"
            writes both, of which the macro NET_SPEED chooses one when the file is compiled.
        codec: whether encoder and decoder are written, of floats or of integers with fraction bits.
        fraction_bits: of samples and answers of a codec in fixed point, 0 to 30; 16 by default.
        selftest: whether a self-test is written, with hashes alone or with vectors.
        count_saturation: whether the state has counts of what saturates, as `simulate` has them:
            `saturated_inputs`, samples of each channel that are beyond its range, and
            `saturated_words`, updates of each word of each population over all of its neurons.
        header: name of the header file that is included; `net.h` for the prefix `net`.

    Raises:
        InputError: the prefix is no name of C, the codec or the self-test is not to be had,
            fraction bits are given for another codec than a fixed one, or there are too many
            synapses.
    """
    check_prefix(prefix)
    listed = sum(c.synapses for c in program.connections if isinstance(c, Connection))
    if listed > LARGEST_LISTED:
        raise InputError(
            f"program {program.name!r}",
            f"{listed:,} synapses are listed one by one; a C file has {LARGEST_LISTED:,} at most: "
            "fewer units, or kernels that neurons share",
        )
    writers = [
        _Writer(program, prefix, one, header or f"{prefix}.h", count_saturation)
        for one in (("size", "speed") if goal == "either" else (goal,))
    ]
    writer, made = writers[0], writers[0].write()
    if goal == "either":
        made = _either(made, writers[1].write())
    if fraction_bits is not None and codec != "fixed":
        raise InputError("fraction_bits", f"are those of codec 'fixed', here it is {codec!r}")
    if codec != "none":
        bits = FRACTION_BITS if fraction_bits is None else fraction_bits
        texts = codec_source(program, prefix, codec, bits, writer.header, count_saturation)
        made = replace(made, codec=texts)
    if selftest != "none":
        text = selftest_source(program, writer.state, prefix, selftest, writer.header)
        made = replace(made, selftest=text)
    return made


def _either(size: CSource, speed: CSource) -> CSource:
    """Both in one file; states and headers do not depend on the goal."""
    head, _, rest = size.source.partition("\n")
    text = _EITHER.format(
        head=head.replace(" for size.", "."), macro=f"{size.prefix.upper()}_SPEED",
        speed=speed.source.partition("\n")[2], size=rest,
    )  # fmt: skip
    header = size.header.replace(" for size.", ".", 1)
    stack = max(size.stack_bytes, speed.stack_bytes)
    return replace(size, source=text, header=header, stack_bytes=stack)


class _Writer:
    def __init__(
        self, program: LoihiProgram, prefix: str, goal: Goal, header: str, counting: bool
    ) -> None:
        self.program, self.prefix, self.goal, self.header = program, prefix, goal, header
        self.names = Names(within=_BY_HAND)
        for known in ("field", "shift_right", *(f"{prefix}_{n}" for n in _INTERFACE)):
            self.names.give(known)
        self.state = StateStruct(program, counting)
        self.tables = Tables(self.names, packing=goal == "size")

    def write(self) -> CSource:
        writer = PopulationWriter(
            self.program, self.state, self.tables, self.names, self.prefix, self.goal == "speed"
        )
        updates = [writer.write(p) for p in self.program.populations]
        reset, encode, step = self._reset(), self._take_input(), self._step()
        helpers = {"shift_right": SHIFT_RIGHT} if any("shift_right(" in u for u in updates) else {}
        if self.tables.reads_fields:
            helpers["field"] = FIELD
        helpers |= writer.functions
        names = writer.names
        text = "\n".join(
            [
                self._head(),
                f'#include "{self.header}"',
                "",
                *[KEPT_LOOP_MACRO] * (self.goal == "speed"),
                *(f"{one}\n" for one in self.tables.texts()),
                *helpers.values(),
                *updates,
                reset,
                self._update([names[p.name] for p in self.program.populations], encode),
                step,
            ]
        )
        return CSource(
            self.prefix, self._header(), text, tuple(self.state.members), self.state.words,
            self.state.bytes, writer.stack_bytes, self.state.saturations,
        )  # fmt: skip

    def _head(self) -> str:
        told = f"{self.program.name}, {self.program.recipe}: written by lnn2loihi {VERSION}"
        return f"/* {comment(told)} for {self.goal}. Integers only. */"

    def _header(self) -> str:
        program, prefix, upper = self.program, self.prefix, self.prefix.upper()
        told = {m.name: f" /* {comment(f'{p}: {w}')} */" for (p, w), m in self.state.words.items()}
        members = [
            f"{m.kind} {m.name}[{m.size}];{told.get(m.name, '')}" for m in self.state.members
        ]
        elapsed = " The last one is the elapsed time." if program.timed else ""
        return _HEADER.format(
            head=self._head(), prefix=prefix, upper=upper, inputs=program.input.size,
            outputs=program.output_population.size, members=indented(members),
            substeps=program.substeps, elapsed=elapsed,
            ranges=range_macros(program, upper), counts=count_macros(self.state, upper),
        )  # fmt: skip

    def _reset(self) -> str:
        lines: list[str] = []
        for m in self.state.members:
            value = literal(m.initial[0])
            if len(m.initial) > 1:
                cast = "" if m.kind == "int32_t" else f"({m.kind})"
                value = cast + self.tables.add(f"{m.name}_initial", m.initial).at("i")
            lines += [f"for (i = 0; i < {m.size}; i++) {{", f"    net->{m.name}[i] = {value};", "}"]
        return _FUNCTION.format(
            head=f"void {self.prefix}_reset({self.prefix}_state *net)",
            body=indented(["int32_t i;", *lines]),
        )

    def _input_ends(self) -> list[str]:
        """Expressions of the lowest and the highest message of channel i."""
        port = self.program.input
        return [
            literal(int(values[0]))
            if (values == values[0]).all()
            else self.tables.add(f"{port.name}_{side}", values, f"{side} input").at("i")
            for side, values in (("lowest", port.low), ("highest", port.high))
        ]

    def _count_input(self) -> list[str]:
        """Statements that count what leaves the range of the input, once a sample."""
        member = self.state.saturated_inputs
        if member is None:
            return []
        low, high = self._input_ends()
        return [
            f"for (i = 0; i < {member.size}; i++) {{",
            f"    const int32_t low = {low};",
            f"    const int32_t high = {high};",
            f"    net->{member.name}[i] += ((input[i] < low) || (input[i] > high)) ? 1U : 0U;",
            "}",
        ]

    def _take_input(self) -> list[str]:
        """Statements that keep the input within its range, as the library does."""
        port, member = self.program.input, self.state.messages[self.program.input.name]
        if not any(c.source == port.name for c in self.program.connections):
            return ["(void)input;"]
        ends = self._input_ends()
        return [
            "int32_t i;",
            "/* What leaves the range of the input is held at its ends. */",
            f"for (i = 0; i < {port.size}; i++) {{",
            f"    const int32_t low = {ends[0]};",
            f"    const int32_t high = {ends[1]};",
            "    const int32_t raised = (input[i] < low) ? low : input[i];",
            f"    net->{member.name}[i] = ({member.kind})((raised > high) ? high : raised);",
            "}",
        ]

    def _update(self, functions: list[str], encode: list[str]) -> str:
        calls = [f"{name}(net);" for name in functions]
        head = f"void {self.prefix}_update({self.prefix}_state *net, const int32_t *input)"
        return _FUNCTION.format(head=head, body=indented([*encode, *calls]))

    def _step(self) -> str:
        out, size = self.state.messages[self.program.output], self.program.output_population.size
        lines = ["int32_t i;", *self._count_input()]
        update = f"{self.prefix}_update(net, input);"
        if self.program.substeps > 1:
            lines += [f"for (i = 0; i < {self.program.substeps}; i++) {{", f"    {update}", "}"]
        else:
            lines.append(update)
        lines += [f"for (i = 0; i < {size}; i++) {{", f"    output[i] = net->{out.name}[i];", "}"]
        head = (
            f"void {self.prefix}_step({self.prefix}_state *net, const int32_t *input, "
            "int32_t *output)"
        )
        return _FUNCTION.format(head=head, body=indented(lines))


_EITHER = """\
{head}
/* Define {macro} as 1 for speed; otherwise it is written for size. */
#ifndef {macro}
#define {macro} 0
#endif

#if {macro}
{speed}
#else
{size}
#endif
"""
#: Parameters and variables of functions that are not made of a program's names.
_BY_HAND = (
    "across bit bits byte channel column count down first half held high index inner low mask "
    "messages pair part places raised row sum table value weights width word x y end heard last "
    "next"
).split()
_INTERFACE = ("state", "reset", "update", "step")
_FUNCTION = "{head}\n{{\n{body}\n}}\n"
_HEADER = """\
{head}
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {upper}_INPUTS {inputs}
#define {upper}_OUTPUTS {outputs}
/* Updates for each sample. */
#define {upper}_UPDATES {substeps}
{ranges}
{counts}
/* All that a network remembers: one for each sequence that runs beside others. */
typedef struct {{
{members}
}} {prefix}_state;

/* The state before the first sample. */
void {prefix}_reset({prefix}_state *net);

/* One sample: {upper}_INPUTS encoded messages, {upper}_OUTPUTS messages that answer.{elapsed} */
void {prefix}_step({prefix}_state *net, const int32_t *input, int32_t *output);

/* One of the {upper}_UPDATES updates of a sample, for those who look at the state between them. */
void {prefix}_update({prefix}_state *net, const int32_t *input);

#ifdef __cplusplus
}}
#endif

#endif
"""
