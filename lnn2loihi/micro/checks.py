"""What `doctor` says of the tools that compile and run C for other machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

#: Tools of C for other machines: name, what it is for, what is lost without it, what installs it.
_TOOLS: tuple[tuple[str, str, Mapping[str, str], str], ...] = (
    ("zig", "zig, which compiles C for micro-controllers and WebAssembly",
     {"verify": "the executors c99:cortex-m@qemu, c99:rv32@qemu and c99:wasm",
      "profile": "counted instructions of micro-controllers, unless a cross compiler of GCC's is",
      "report": "--interactive, whose page runs the program",
      "footprint": "all of it, unless a cross compiler of GCC's is there"}, "pip install ziglang"),
    ("qemu-arm", "qemu in user mode, which runs code of Cortex-M",
     {"verify": "the executor c99:cortex-m@qemu", "footprint": "parts of Arm"},
     "apt-get install qemu-user"),
    ("qemu-riscv32", "qemu in user mode, which runs code of RISC-V",
     {"verify": "the executor c99:rv32@qemu", "footprint": "parts of RISC-V"},
     "apt-get install qemu-user"),
    ("wasm", "node or wasmtime, which run WebAssembly",
     {"verify": "the executor c99:wasm"}, "pip install wasmtime"),
)  # fmt: skip


def tool_checks(
    found: Mapping[str, str], pip_install: str
) -> Iterator[tuple[str, Literal["ok", "missing"], str, str, bool, Mapping[str, str], str | None]]:
    """Fields of a `Check` for each tool; nothing but C for other machines needs any of them.

    Args:
        found: for each tool where it is, as `tools_here` says.
        pip_install: the command that installs into this environment.
    """
    for name, needed, costs, remedy in _TOOLS:
        place = found.get(name)
        if place:
            yield name, "ok", place, needed, False, {}, None
        else:
            mend = remedy.replace("pip install", pip_install)
            yield name, "missing", "nothing", needed, False, costs, mend
