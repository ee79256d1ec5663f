"""Processors that C is compiled for, and how each is named by compilers and run by emulators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lnn2loihi.devices import Device
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
#: For each emulator the cross compilers of GCC's for the parts that it runs.
COMPILERS: Mapping[str, tuple[str, ...]] = {
    emulator: tuple(
        dict.fromkeys(c for p in PARTS.values() if p.emulator == emulator for c in p.compilers)
    )
    for emulator in (ARM, RISCV)
}

#: Beginnings of names of cores, and the emulator that runs their code: kinds of cores, of which a
#: profile may name one without saying which ("riscv32"), or one that is not in PARTS.
_KINDS = {"cortex-m": ARM, "rv32": RISCV, "riscv32": RISCV}


@dataclass(frozen=True)
class Core:
    """What a device's profile says of its core.

    Attributes:
        part: what C is compiled for; None where the profile names no core that is known here.
        emulator: that runs its code; None where nobody has said.
    """

    part: Part | None
    emulator: str | None


def core_of(device: Device) -> Core:
    """The core of a device, as the entry `core` of its profile has it."""
    name = device.core.strip().lower()
    part = PARTS.get(name)
    if part is not None:
        return Core(part, part.emulator)
    return Core(None, next((e for kind, e in _KINDS.items() if name.startswith(kind)), None))


def part_named(name: str) -> Part:
    """The part of that name.

    Raises:
        InputError: there is none; names all that there are.
    """
    if name not in PARTS:
        raise InputError("part", f"{name!r:.60} is unknown; there are {', '.join(PARTS)}")
    return PARTS[name]
