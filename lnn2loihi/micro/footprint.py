"""What a program needs of a micro-controller: flash, RAM, stack and instructions, all counted."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost import CountedInstructions, MicrocontrollerEstimate, estimate_microcontroller
from lnn2loihi.cost.basis import Range
from lnn2loihi.devices import MICROCONTROLLER, Device, load_device, with_prefix
from lnn2loihi.errors import DeviceError, InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.kinds import Count, Natural
from lnn2loihi.micro.counting import count
from lnn2loihi.micro.driver import NET, Goal
from lnn2loihi.micro.parts import PARTS, Part, core_of, part_named
from lnn2loihi.micro.room import FLAGS, check_room, need_of
from lnn2loihi.micro.tools import cross_compiler, emulator, version_line
from lnn2loihi.micro.writing import writer
from lnn2loihi.program import LoihiProgram
from lnn2loihi.showing import Said, Shown, Table

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
    """What a program in C needs of a part. Counted in compiled code, never estimated; what it costs
    on a device is an estimate, and says so.

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
        estimate: time and energy of a sample on the device at full speed, from these instructions,
            its clock and its power, as the rows of `profile` have them; None without a device.
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
    estimate: MicrocontrollerEstimate | None = None

    @property
    def counted(self) -> CountedInstructions:
        """The median of the instructions, with the cycles that one is assumed to take."""
        what = f"{self.part} in qemu, {' '.join(FLAGS[self.goal])}"
        return CountedInstructions(self.instructions[1], Range(*PARTS[self.part].cycles), what)

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
            (
                "instructions",
                f"{median:,}{spread}",
                f"a sample, median of {self.samples:,}",
            ),
        ]
        on = f", {self.device}" if self.device else ""
        return [
            f"{self.name} on {self.part}{on}, compiled for {self.goal} by {self.tools}",
            "",
            Table(("what", "needed", "there"), rows),
            "",
            *self._cost(),
            *(f"- {note}" for note in self.notes),
        ]

    def _cost(self) -> list[Said]:
        """Time and energy of a sample, where they are estimated."""
        if self.estimate is None:
            return []
        rows = [
            (name, with_prefix(one.value, one.unit), one.range_text)
            for name, one in (
                ("time", self.estimate.sample_time), ("energy", self.estimate.energy["total"]),
            )
        ]  # fmt: skip
        heading = f"a sample on {self.device}, full speed; {self.estimate.tier} estimate"
        return [Table((heading, "value", "90 % interval"), rows), ""]

    def to_dict(self) -> dict[str, Any]:
        """The footprint as plain data for JSON."""
        estimate = None if self.estimate is None else self.estimate.to_dict()
        return {**asdict(replace(self, estimate=None)), "estimate": estimate}


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
    need = need_of(program, core, goal)
    check_room(program, core, goal, need, there)
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
    check_room(program, core, goal, replace(need, stack=counts.stack), there)
    return made if on is None else _estimated(made, program, on)


def _estimated(made: Footprint, program: LoihiProgram, device: Device) -> Footprint:
    """With the time and energy of a sample on the device, or why there is no estimate."""
    try:
        found = estimate_microcontroller(program, device, counted=made.counted)
    except DeviceError as error:
        return replace(made, notes=(*made.notes, f"time and energy are not estimated: {error}"))
    return replace(made, estimate=found)


def _samples(program: LoihiProgram, samples: int, seed: int) -> IntegerArray:
    """Random inputs over the whole range, the ends first, int64 (samples, channels)."""
    low, high = program.input.low, program.input.high
    drawn = np.random.default_rng(seed).integers(low, high + 1, (samples, low.size))
    return np.concatenate([low[None], high[None], drawn])[:samples]


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
            + ("leave the part away" if known.part else "give one of its kind, or no device"),
        )
    return asked


def _there_of(device: Device | None) -> tuple[str, int | None, int | None]:
    """The name of a device, and its bytes of flash and RAM."""
    if device is None:
        return "", None, None
    flash, ram = (int(device.figure(name).value) for name in ("flash_memory", "working_memory"))
    return device.name, flash, ram
