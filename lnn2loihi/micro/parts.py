"""Processors that C is compiled for, and how each is named by compilers and run by emulators."""

from __future__ import annotations

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
    """

    name: str
    zig: tuple[str, ...]
    gcc: tuple[str, ...]
    compilers: tuple[str, ...]
    packages: tuple[str, ...]
    emulator: str


def _cortex(name: str) -> Part:
    return Part(
        name,
        ("-target", "thumb-freestanding-eabi", f"-mcpu={name.replace('-', '_')}"),
        ("-mthumb", f"-mcpu={name}", "-mfloat-abi=soft"),
        ("arm-none-eabi-gcc",),
        ("gcc-arm-none-eabi",),
        ARM,
    )


#: The cores that there are names for. Floating-point units are not used by this code.
PARTS: Mapping[str, Part] = {
    **{
        name: _cortex(name)
        for name in ("cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33")
    },
    "rv32imc": Part(
        "rv32imc",
        ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+c"),
        ("-march=rv32imc", "-mabi=ilp32"),
        ("riscv64-unknown-elf-gcc", "riscv32-unknown-elf-gcc"),
        ("gcc-riscv64-unknown-elf", "gcc-riscv64-unknown-elf"),
        RISCV,
    ),
}  # fmt: skip


def part_named(name: str) -> Part:
    """The part of that name.

    Raises:
        InputError: there is none; names all that there are.
    """
    if name not in PARTS:
        raise InputError("part", f"{name!r:.60} is unknown; there are {', '.join(PARTS)}")
    return PARTS[name]
