"""What `doctor` says of the tools that compile and run C for other machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from lnn2loihi.micro.parts import ARM, COMPILERS, RISCV
from lnn2loihi.micro.tools import APT_QEMU, PIP_ZIG, WASM

#: Fields of a `Check` of doctor.
Fields = tuple[str, Literal["ok", "missing"], str, str, bool, Mapping[str, str], str | None]
#: For each emulator the parts that it runs, and the executor of one of them.
_KINDS: Mapping[str, tuple[str, str]] = {
    ARM: ("Arm", "c99:cortex-m@qemu"), RISCV: ("RISC-V", "c99:rv32@qemu"),
}  # fmt: skip


def tool_checks(found: Mapping[str, str], pip_install: str) -> Iterator[Fields]:
    """Fields of a `Check` for each tool; nothing but C for other machines needs any of them.

    A cross compiler of GCC's is named where it is there: zig stands for all of them, and what a
    missing zig costs is what none of those that are there compiles.

    Args:
        found: for each tool where it is, as `tools_here` says.
        pip_install: the command that installs into this environment.
    """
    uncompiled = [kind for kind in _KINDS if not any(found.get(c) for c in COMPILERS[kind])]
    remedy = PIP_ZIG.replace("pip install", pip_install)
    needed = "zig, which compiles C for micro-controllers and WebAssembly"
    costs = _costs_of_zig(uncompiled)
    yield _check("zig", found, needed, costs, remedy)
    for kind, (parts, _) in _KINDS.items():
        for name in COMPILERS[kind]:
            if found.get(name):
                needed = f"zig or a cross compiler of GCC's, which compiles C for parts of {parts}"
                yield _check(name, found, needed, {}, "")
    for kind, (parts, executor) in _KINDS.items():
        needed = f"qemu in user mode, which runs code of parts of {parts}"
        costs = _costs_of_parts([kind], f"the executor {executor}")
        yield _check(kind, found, needed, costs, APT_QEMU)
    remedy = "pip install wasmtime".replace("pip install", pip_install)
    costs = {"verify": "the executor c99:wasm"}
    yield _check(WASM, found, "node or wasmtime, which run WebAssembly", costs, remedy)


def _check(
    name: str, found: Mapping[str, str], needed: str, costs: Mapping[str, str], remedy: str
) -> Fields:
    place = found.get(name)
    if place:
        return name, "ok", place, needed, False, {}, None
    return name, "missing", "nothing", needed, False, costs, remedy


def _costs_of_zig(uncompiled: list[str]) -> dict[str, str]:
    """What is lost without zig.

    Args:
        uncompiled: the kinds of parts for which there is no cross compiler either.
    """
    executors = [*(_KINDS[kind][1] for kind in uncompiled), "c99:wasm"]
    named = f"the executor{'s' * (len(executors) > 1)} {_listed(executors)}"
    report = {"report": "--interactive, whose page runs the program"}
    if not uncompiled:
        return {"verify": named} | report
    return _costs_of_parts(uncompiled, named) | report


def _costs_of_parts(kinds: list[str], executors: str) -> dict[str, str]:
    """What is lost where code of some kinds of parts cannot be compiled, or not be run."""
    parts = f"parts of {_listed([_KINDS[kind][0] for kind in kinds])}"
    return {
        "verify": executors, "profile": f"counted instructions of {parts}", "footprint": parts,
    }  # fmt: skip


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
