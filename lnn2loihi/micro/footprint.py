"""What a program needs of a micro-controller: flash, RAM, stack and instructions, all counted."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.devices import MICROCONTROLLER, Device, load_device
from lnn2loihi.errors import DeviceError, InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.kinds import Count, Natural
from lnn2loihi.micro.building import BARE, NAMES, build
from lnn2loihi.micro.counting import count
from lnn2loihi.micro.driver import NET, Goal, Source
from lnn2loihi.micro.elf import Elf, read_elf
from lnn2loihi.micro.parts import PARTS, Part, core_of, part_named
from lnn2loihi.micro.tools import cross_compiler, emulator, version_line
from lnn2loihi.micro.writing import writer
from lnn2loihi.program import LoihiProgram
from lnn2loihi.showing import Said, Shown, Table

#: Flags of the compiler for each goal.
FLAGS = {"size": ("-std=c99", "-Os"), "speed": ("-std=c99", "-O3")}
#: What is compiled for where neither a part nor a device is given.
DEFAULT_PART = "cortex-m4"
_NOTES = (
    "the network alone: start-up code, drivers, encoder and decoder come on top, and interrupts "
    "take stack of their own",
    "instructions are counted, cycles are not: multiplications of several cycles, branches and "
    "waits for flash come on top",
)


@dataclass(frozen=True)
class Footprint(Shown):
    """What a program in C needs of a part. Counted in compiled code, never estimated.

    Attributes:
        name: of the program.
        part: processor that it was compiled for.
        goal: what the code was written and compiled for, "size" or "speed".
        tools: compiler and emulator, with versions.
        flash: bytes of code and constants, those of the compiler's own library that it calls
            among them.
        ram: bytes of the state of one network.
        stack: bytes below the caller that a step took at most, in the samples that were run.
        instructions: of a step: the least, the median and the most of these samples.
        samples: that were run: random ones over the whole range of the input, from the initial
            state, the first of them at its low ends and the second at its high ends.
        flash_there, ram_there: bytes that there are; None where nobody has said.
        device: whose bytes these are; empty where nobody has said.
        notes: what is left out.
    """

    name: str
    part: str
    goal: Goal
    tools: str
    flash: int
    ram: int
    stack: int
    instructions: tuple[int, int, int]
    samples: int
    flash_there: int | None = None
    ram_there: int | None = None
    device: str = ""
    notes: tuple[str, ...] = _NOTES

    def _headline(self) -> str:
        return (
            f"{self.name!r} on {self.part}, {self.flash:,} B flash, {self.ram:,} B RAM, "
            f"{self.stack:,} B stack, {self.instructions[1]:,} instructions a sample"
        )

    def _shown(self) -> list[Said]:
        """The footprint as text."""
        least, median, most = self.instructions
        spread = "" if least == most else f" ({least:,} to {most:,})"
        rows = [
            ("flash", f"{self.flash:,} B", _there(self.flash_there)),
            ("RAM, state", f"{self.ram:,} B", _there(self.ram_there)),
            ("stack", f"{self.stack:,} B", "with the RAM"),
            ("instructions", f"{median:,}{spread}", f"a sample, of {self.samples}"),
        ]
        on = f", {self.device}" if self.device else ""
        return [
            f"{self.name} on {self.part}{on}, compiled for {self.goal} by {self.tools}",
            "",
            Table(("what", "needed", "there"), rows),
            "",
            *(f"- {note}" for note in self.notes),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The footprint as plain data for JSON."""
        return asdict(self)


def _there(amount: int | None) -> str:
    return "" if amount is None else f"{amount:,} B"


@checks_kinds()
def footprint(
    program: LoihiProgram,
    part: str | None = None,
    *,
    goal: Literal["size", "speed"] = "size",
    device: str | os.PathLike[str] | Device | None = None,
    flash: Count | None = None,
    ram: Count | None = None,
    samples: Count = 4,
    seed: Natural = 0,
) -> Footprint:
    """Compiles a program in C for a part, and counts what it needs there.

    Args:
        program: the program.
        part: processor: cortex-m0plus, cortex-m4, cortex-m7, cortex-m33 or rv32imc; where it is
            absent that of the device, and a cortex-m4 where there is no device either.
        goal: "size" (-Os) or "speed" (-O3).
        device: name or file of a profile of kind `mcu`, whose memories must have room for it.
        flash: bytes of flash that it must fit, in the place of the device's.
        ram: bytes of RAM that state and stack must fit, in the place of the device's.
        samples: whose instructions are counted; a million instructions take some seconds.
        seed: of these samples.

    Raises:
        InputError: there is no such part, the device has cores of another kind, or its profile
            names none that code is compiled for and no part is given.
        DeviceError: there is no room; says what is needed and there, and what would fit.
        BackendMissingError: a compiler or qemu is not here; says what to install.
        CompiledRunError: the program fails in the emulator.
    """
    on = _microcontroller(device)
    core = _core(part, on)
    compiler = cross_compiler(core)
    qemu = emulator(core.emulator)  # before anything is compiled
    known, *memories = _there_of(on)
    there = (flash or memories[0], ram or memories[1])
    source = writer().write(program, NET, goal)
    need = _linked(source, core, FLAGS[goal], program)
    _check_room(program, core.name, need, there, _other_goal(program, core, need, goal, there[0]))
    counts = count(program, source, core, FLAGS[goal], _samples(program, samples, seed))
    steps = counts.instructions
    tool = compiler[: compiler.index("cc")] if "cc" in compiler else compiler[:1]
    made = Footprint(
        program.name, core.name, goal,
        f"{version_line(tool)}, {version_line(qemu).partition(' (')[0]}",
        need.flash, need.state, counts.stack,
        (int(steps.min()), int(np.median(steps)), int(steps.max())), len(steps),
        there[0], there[1], known,
    )  # fmt: skip
    _check_room(program, core.name, replace(need, stack=counts.stack), there)
    return made


def _other_goal(
    program: LoihiProgram, core: Part, need: _Need, goal: str, flash: int | None
) -> str:
    """That the goal "size" fits, or how much it needs, compiled; "" where nobody has to know."""
    if goal == "size" or flash is None or need.flash <= flash:
        return ""
    small = _linked(writer().write(program, NET, "size"), core, FLAGS["size"], program).flash
    if small <= flash:
        return f"compile it for goal 'size', which needs {small:,} B and fits, "
    return f"for goal 'size' it needs {small:,} B, which is too much as well: "


def _samples(program: LoihiProgram, samples: int, seed: int) -> IntegerArray:
    """Random inputs over the whole range, the ends first, int64 (samples, channels)."""
    low, high = program.input.low, program.input.high
    drawn = np.random.default_rng(seed).integers(low, high + 1, (samples, low.size))
    return np.concatenate([low[None], high[None], drawn])[:samples]


def _linked(source: Source, part: Part, flags: tuple[str, ...], program: LoihiProgram) -> _Need:
    """What a program needs that does nothing else."""
    sizes = {"inputs": program.input.size, "outputs": program.output_population.size}
    texts = {
        f"{NET}.h": source.header, f"{NET}.c": source.source,
        "main.c": _MAIN.format(net=NET, **sizes), "room.c": _ROOM.format(net=NET, **sizes),
    }  # fmt: skip
    built = build(
        f"footprint on {part.name}", f"footprint-{part.name}", texts, cross_compiler(part),
        (*flags, *BARE, *NAMES),
    )  # fmt: skip
    elf: Elf = read_elf(built.read_bytes())
    room = [elf.symbol(name) for name in ("the_state", "the_input", "the_output")]
    own = sum(one.size for one in room)
    state = elf.symbol("the_state").size
    variables = elf.variables - own
    code = elf.code - elf.symbol("_start").size
    return _Need(code, elf.constant + elf.written, state + max(variables, 0))


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


def _microcontroller(device: str | os.PathLike[str] | Device | None) -> Device | None:
    """The profile of a micro-controller."""
    if device is None:
        return None
    found = load_device(device)
    if found.kind != MICROCONTROLLER.name:
        raise DeviceError(
            f"device {found.name!r}", f"is a {found.kind}; a footprint is of micro-controllers"
        )
    return found


def _core(part: str | None, device: Device | None) -> Part:
    """The part that was asked for, or that of the device.

    Raises:
        InputError: they contradict each other, or nobody says which it is.
    """
    asked = None if part is None else part_named(part)
    if device is None:
        return asked or part_named(DEFAULT_PART)
    known, named = core_of(device), f" ({device.core})" if device.core else ""
    if asked is None:
        if known.part is None:
            fitting = [one.name for one in PARTS.values() if one.emulator == known.emulator]
            raise InputError(
                "part",
                f"the profile of device {device.name!r} names no core that C is compiled for here"
                f"{named}; say which part its code is for: {', '.join(fitting or PARTS)}",
            )
        return known.part
    contradicts = known.part is not None and known.part is not asked
    if contradicts or known.emulator not in (None, asked.emulator):
        raise InputError(
            "part",
            f"{asked.name} is not the core of device {device.name!r}{named}: "
            f"{'leave the part' if known.part else 'give one of its kind, or leave the device'} away",
        )
    return asked


def _there_of(device: Device | None) -> tuple[str, int | None, int | None]:
    """The name of a device, and its bytes of flash and RAM."""
    if device is None:
        return "", None, None
    flash, ram = (int(device.figure(name).value) for name in ("flash_memory", "working_memory"))
    return device.name, flash, ram


@dataclass(frozen=True)
class _Need:
    """Bytes of code, of tables, of the state and of the stack."""

    code: int
    tables: int
    state: int
    stack: int = 0

    @property
    def flash(self) -> int:
        return self.code + self.tables


def _check_room(
    program: LoihiProgram,
    part: str,
    need: _Need,
    there: tuple[int | None, int | None],
    other_goal: str = "",
) -> None:
    """Refuses what there is no room for.

    Args:
        program: whose name and size are told.
        part: that it is compiled for.
        need: bytes that it needs.
        there: bytes of flash and RAM that there are.
        other_goal: what the other goal needs of flash, as the beginning of a remedy.

    Raises:
        DeviceError: says what is needed and there, and about what would fit.
    """
    problems: list[str] = []
    units = sum(p.size for p in program.populations)
    weights = sum(c.synapses for c in program.connections)
    flash, ram = there
    if flash is not None and need.flash > flash:
        # Tables grow with the square of the units, code hardly at all.
        fits = math.floor(units * math.sqrt(max(flash - need.code, 0) / max(need.tables, 1)))
        fewer = "" if (bits := _weight_bits(program)) <= 2 else (
            f"quantize to fewer than {bits} bits a weight (tables are {need.tables:,} B), "
        )  # fmt: skip
        bare = need.code >= flash
        alone = f"its code alone is {need.code:,} B" + (
            ", which no fewer units make smaller" if bare else ""
        )
        remedy = "" if bare else f"train fewer units, {fewer}or "
        problems.append(
            f"flash: {program.name!r} needs {need.flash:,} B ({units:,} neurons, {weights:,} "
            f"synapses, recipe {program.recipe}), there are {flash:,} B; {_fits(fits)} "
            f"({alone}): {other_goal}{remedy}take a part with {need.flash:,} B of flash or more"
        )
    needed = need.state + need.stack
    if ram is not None and needed > ram:
        fits = math.floor(units * max(ram - need.stack, 0) / max(need.state, 1))
        problems.append(
            f"RAM: {program.name!r} needs {needed:,} B ({need.state:,} of state, "
            f"{need.stack or 'some'} of stack), there are {ram:,} B; {_fits(fits)}: train fewer "
            f"units, or take a part with {needed:,} B of RAM or more"
        )
    if problems:
        raise DeviceError(f"footprint on {part}", problems)


def _fits(units: int) -> str:
    return f"about {units:,} neurons would fit" if units > 0 else "no such network fits"


def _weight_bits(program: LoihiProgram) -> int:
    """Bits of the widest mantissa."""
    low = min((int(c.mantissas.min(initial=0)) for c in program.connections), default=0)
    high = max((int(c.mantissas.max(initial=0)) for c in program.connections), default=0)
    return 1 + max((-low - 1).bit_length() if low else 0, high.bit_length())
