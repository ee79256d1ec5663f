"""Processors that C is compiled for, and how each is named by compilers and run by emulators."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lnn2loihi.errors import InputError

ARM, RISCV = "qemu-arm", "qemu-riscv32"


@dataclass(frozen=True)
class Part:
    """A processor core of micro-controllers.

    Attributes:
        name: as the command line takes it.
        zig: flags of zig's C compiler for it.
        gcc: flags of a cross compiler of GCC's for it.
        compilers: names of such compilers on Debian, the first that is there is taken.
        packages: where each of them comes from (apt).
        emulator: runs its code. It is a user-mode emulator: the code is that of the part, and is
            started as a program of Linux that has neither a C library nor an operating system of
            its own, and reads and writes by three system calls. Timers, interrupts and wait states
            of a part are not there.
        cycles: of an instruction on average, assumed: nominal value, low and high end. The low end
            is one instruction a cycle (of a Cortex-M7, which issues two at once, somewhat less);
            loads, taken branches and waits for flash are why there are more. Arm's reference
            manuals have one cycle for most instructions of these cores, two for a load, and two to
            four for a taken branch.
    """

    name: str
    zig: tuple[str, ...]
    gcc: tuple[str, ...]
    compilers: tuple[str, ...]
    packages: tuple[str, ...]
    emulator: str
    cycles: tuple[float, float, float]


def _cortex(name: str, cycles: tuple[float, float, float]) -> Part:
    return Part(
        name,
        ("-target", "thumb-freestanding-eabi", f"-mcpu={name.replace('-', '_')}"),
        ("-mthumb", f"-mcpu={name}", "-mfloat-abi=soft"),
        ("arm-none-eabi-gcc",),
        ("gcc-arm-none-eabi",),
        ARM,
        cycles,
    )


#: The cores that there are names for. Floating-point units are not used by this code.
PARTS: Mapping[str, Part] = {
    "cortex-m0plus": _cortex("cortex-m0plus", (1.5, 1.1, 2.5)),
    "cortex-m4": _cortex("cortex-m4", (1.4, 1.0, 2.5)),
    "cortex-m7": _cortex("cortex-m7", (0.8, 0.55, 1.5)),
    "cortex-m33": _cortex("cortex-m33", (1.4, 1.0, 2.5)),
    "rv32imc": Part(
        "rv32imc",
        ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+c"),
        ("-march=rv32imc", "-mabi=ilp32"),
        ("riscv64-unknown-elf-gcc", "riscv32-unknown-elf-gcc"),
        ("gcc-riscv64-unknown-elf", "gcc-riscv64-unknown-elf"),
        RISCV,
        (1.4, 1.0, 2.5),
    ),
}  # fmt: skip


#: Names of cores in titles of devices: "STM32U385 (Cortex-M33, 96 MHz)".
_IN_TITLE = re.compile(r"\bcortex-m(0\+|\d+)(?!\w)", re.IGNORECASE)


def part_of_title(title: str) -> Part | None:
    """The part that a device's title names; None where it names none that is known."""
    found = _IN_TITLE.search(title)
    if found is None:
        return None
    return PARTS.get(f"cortex-m{found[1].replace('+', 'plus')}")


def emulator_of_title(title: str) -> str | None:
    """The emulator whose code the cores of a device run, by its title; None where it says nothing.

    A title may name a kind of core and no core: "GAP9 (9 RISC-V cores and NE16)".
    """
    if "risc-v" in title.lower():
        return RISCV
    return ARM if "cortex-m" in title.lower() else None


def part_named(name: str) -> Part:
    """The part of that name.

    Raises:
        InputError: there is none; names all that there are.
    """
    if name not in PARTS:
        raise InputError("part", f"{name!r:.60} is unknown; there are {', '.join(PARTS)}")
    return PARTS[name]
