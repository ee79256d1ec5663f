"""Whether a part has room for a program in C, and what would fit where it has none."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np

from lnn2loihi.errors import DeviceError, ProgramError
from lnn2loihi.micro.building import BARE, NAMES, build
from lnn2loihi.micro.driver import NET, Goal
from lnn2loihi.micro.elf import Elf, read_elf
from lnn2loihi.micro.parts import Part
from lnn2loihi.micro.tools import cross_compiler
from lnn2loihi.micro.writing import writer
from lnn2loihi.program import LoihiProgram

#: Flags of the compiler for each goal.
FLAGS = {"size": ("-std=c99", "-Os"), "speed": ("-std=c99", "-O3")}
#: Fewest bits of a weight that recipes have.
_FEWEST_BITS = 2
#: The bits of weights in the word of a recipe, such as w4a8x12.
_OF_RECIPE = re.compile(r"^w\d+(?=a\d)")


@dataclass(frozen=True)
class Need:
    """Bytes of code, of tables, of the state and of the stack."""

    code: int
    tables: int
    state: int
    stack: int = 0

    @property
    def flash(self) -> int:
        """Bytes of code and tables."""
        return self.code + self.tables


def need_of(program: LoihiProgram, part: Part, goal: Goal) -> Need:
    """What a program needs of flash and RAM in an executable that does nothing else."""
    source = writer().write(program, NET, goal)
    sizes = {"inputs": program.input.size, "outputs": program.output_population.size}
    texts = {
        f"{NET}.h": source.header, f"{NET}.c": source.source,
        "main.c": _MAIN.format(net=NET, **sizes), "room.c": _ROOM.format(net=NET, **sizes),
    }  # fmt: skip
    built = build(
        f"footprint on {part.name}", f"footprint-{part.name}", texts, cross_compiler(part),
        (*FLAGS[goal], *BARE, *NAMES),
    )  # fmt: skip
    elf: Elf = read_elf(built.read_bytes())
    room = [elf.symbol(name) for name in ("the_state", "the_input", "the_output")]
    own = sum(one.size for one in room)
    state = elf.symbol("the_state").size
    variables = elf.variables - own
    code = elf.code - elf.symbol("_start").size
    return Need(code, elf.constant + elf.written, state + max(variables, 0))


_MAIN = """\
#include <stdint.h>
#include "{net}.h"
extern {net}_state the_state;
extern int32_t the_input[{inputs}], the_output[{outputs}];
void _start(void);
void _start(void)
{{
    {net}_reset(&the_state);
    for (;;) {{
        {net}_step(&the_state, the_input, the_output);
    }}
}}
"""
#: In a file of their own: compilers merge variables that one file defines and uses.
_ROOM = """\
#include <stdint.h>
#include "{net}.h"
{net}_state the_state;
int32_t the_input[{inputs}], the_output[{outputs}];
"""


def check_room(
    program: LoihiProgram,
    part: Part,
    goal: Goal,
    need: Need,
    there: tuple[int | None, int | None],
) -> None:
    """Refuses what there is no room for.

    Args:
        program: what was compiled.
        part: that it was compiled for.
        goal: that it was compiled for.
        need: bytes that it needs.
        there: bytes of flash and RAM that there are.

    Raises:
        DeviceError: says what is needed and there, and what would fit: by compiling the same
            program for size and with narrower weights, and for fewer neurons by a rule.
    """
    problems: list[str] = []
    units = sum(p.size for p in program.populations)
    weights = sum(c.synapses for c in program.connections)
    flash, ram = there
    if flash is not None and need.flash > flash:
        remedies = _remedies(program, part, goal, need, flash)
        problems.append(
            f"flash: {program.name!r} needs {need.flash:,} B ({units:,} neurons, {weights:,} "
            f"synapses, recipe {program.recipe}; code {need.code:,} B, tables {need.tables:,} B), "
            f"there are {flash:,} B: {'; '.join(remedies)}"
        )
    needed = need.state + need.stack
    if ram is not None and needed > ram:
        fits = math.floor(units * max(ram - need.stack, 0) / max(need.state, 1))
        rule = (
            f"about {fits:,} neurons would fit by the rule that states grow with them: train fewer "
            f"units, or "
            if fits
            else "no such network fits: "
        )
        problems.append(
            f"RAM: {program.name!r} needs {needed:,} B ({need.state:,} of state, "
            f"{need.stack or 'some'} of stack), there are {ram:,} B; {rule}"
            f"take a part with {needed:,} B of RAM or more"
        )
    if problems:
        raise DeviceError(f"footprint on {part.name}", problems)


def _remedies(program: LoihiProgram, part: Part, goal: Goal, need: Need, flash: int) -> list[str]:
    """What would fit: the other goal, narrower weights (both compiled), fewer neurons, a part."""
    found: list[str] = []
    if goal != "size":
        need = need_of(program, part, "size")
        if need.flash <= flash:
            return [
                f"compile it for goal 'size', which needs {need.flash:,} B and fits, or take "
                "another part"
            ]
        found.append(f"for goal 'size' it needs {need.flash:,} B, which is too much as well")
    found += [*_narrower(program, part, flash), *_fewer_units(program, need, flash)]
    return [*found, f"take a part with {need.flash:,} B of flash or more"]


def _fewer_units(program: LoihiProgram, need: Need, flash: int) -> list[str]:
    """How many neurons would fit, by a rule."""
    units = sum(p.size for p in program.populations)
    if need.code >= flash:
        return [f"no fewer units help, since its code alone is {need.code:,} B"]
    fits = math.floor(units * math.sqrt((flash - need.code) / max(need.tables, 1)))
    return [
        f"about {fits:,} neurons would fit by the rule that tables grow with their square and code "
        "stays: train fewer units"
    ] * (fits > 0)


def _narrower(program: LoihiProgram, part: Part, flash: int) -> list[str]:
    """The widest weights that fit, found by compiling; the least that is needed if none do."""
    low, high = _FEWEST_BITS, weight_bits(program) - 1
    if low > high:
        return []
    try:
        needs = {low: need_of(_with_weights(program, low), part, "size").flash}
        while low < high and needs[low] <= flash:  # needs grow with the bits
            middle = (low + high + 1) // 2
            needs[middle] = need_of(_with_weights(program, middle), part, "size").flash
            low, high = (middle, high) if needs[middle] <= flash else (low, middle - 1)
    except ProgramError:  # narrower weights leave what is stated of its words: nothing is claimed
        return []
    recipe = _OF_RECIPE.sub(f"w{low}", program.recipe)
    named = f"recipe {recipe}" if recipe != program.recipe else f"{low} bits a weight"
    how = f"compiled for size with its weights cut to {low} bits"
    if needs[low] <= flash:
        return [f"quantize with {named}, which needs {needs[low]:,} B and fits ({how})"]
    return [f"even with {named} it needs {needs[low]:,} B ({how})"]


def _with_weights(program: LoihiProgram, bits: int) -> LoihiProgram:
    """The same program with mantissas cut to so many bits: as large as if it had been quantized to
    them, and of no other use.
    """
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return replace(
        program,
        connections=tuple(
            replace(c, mantissas=np.clip(c.mantissas, low, high)) for c in program.connections
        ),
    )


def weight_bits(program: LoihiProgram) -> int:
    """Bits of the widest mantissa."""
    low = min((int(c.mantissas.min(initial=0)) for c in program.connections), default=0)
    high = max((int(c.mantissas.max(initial=0)) for c in program.connections), default=0)
    return 1 + max((-low - 1).bit_length() if low else 0, high.bit_length())
