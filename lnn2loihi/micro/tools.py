"""What compiles and runs C for other machines: where each tool is, and which package has it."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.micro.parts import ARM, COMPILERS, RISCV, Part
from lnn2loihi.simulation.native.library import command_of, compiler

#: Environment variable with the command of zig, where neither this Python nor the PATH has it.
ZIG_VARIABLE = "LNN2LOIHI_ZIG"
PIP_ZIG, APT_QEMU = "pip install ziglang", "apt-get install qemu-user"
WASM = "wasm"
#: What brings each emulator.
_REMEDIES = {
    ARM: APT_QEMU, RISCV: APT_QEMU, WASM: "apt-get install nodejs, or pip install wasmtime",
}  # fmt: skip


def zig() -> tuple[str, ...] | None:
    """The command of zig: of LNN2LOIHI_ZIG, of the wheel in this Python, or on the PATH.

    Raises:
        BackendMissingError: LNN2LOIHI_ZIG is set, and names no program.
    """
    remedy = f"set it to zig, or unset it and {PIP_ZIG}"
    chosen = command_of(ZIG_VARIABLE, "zig", remedy)
    if chosen is not None:
        return chosen
    if find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang")
    found = shutil.which("zig")
    return None if found is None else (found,)


def host_compiler() -> tuple[str, ...]:
    """The command of the C compiler for this machine.

    Raises:
        BackendMissingError: there is none.
    """
    found = compiler()
    if found is None:
        raise BackendMissingError(
            "C compiler", "no C compiler was found: apt-get install gcc libc6-dev"
        )
    return found


def cross_compiler(part: Part) -> tuple[str, ...]:
    """The command of a compiler for a part, with the flags that name the part.

    Raises:
        BackendMissingError: there is none; says what to install.
    """
    command = zig()
    if command is not None:
        return (*command, "cc", *part.zig)
    for name in part.compilers:
        found = shutil.which(name)
        if found is not None:
            return (found, *part.gcc)
    packages = " or ".join(dict.fromkeys(part.packages))
    raise BackendMissingError(
        f"compiler for {part.name}", f"none was found: {PIP_ZIG}, or apt-get install {packages}"
    )


def wasm_compiler() -> tuple[str, ...]:
    """The command of a compiler for WebAssembly.

    Raises:
        BackendMissingError: there is none; says what to install.
    """
    command = zig()
    if command is None:
        raise BackendMissingError("compiler for WebAssembly", f"none was found: {PIP_ZIG}")
    return (*command, "cc", "-target", "wasm32-freestanding")


def emulator(name: str) -> tuple[str, ...]:
    """The command that runs programs of qemu-arm or qemu-riscv32.

    Raises:
        BackendMissingError: it is not there; says what to install.
    """
    found = shutil.which(name)
    if found is None:
        raise BackendMissingError(name, f"was not found: {_REMEDIES[name]}")
    return (found,)


def wasm_runner() -> tuple[str, str]:
    """A program that runs WebAssembly, and which of the scripts it takes.

    Raises:
        BackendMissingError: there is none; says what to install.
    """
    node = shutil.which("node") or shutil.which("nodejs")
    if node is not None:
        return node, "run.mjs"
    if find_spec("wasmtime") is not None:
        return sys.executable, "run_wasm.py"
    raise BackendMissingError(
        "WebAssembly", f"neither node nor wasmtime was found: {_REMEDIES[WASM]}"
    )


def compiler_here() -> str | None:
    """Where the C compiler for this machine is; None where there is none, or CC names none."""
    try:
        return host_compiler()[0]
    except BackendMissingError:
        return None


def tools_here() -> dict[str, str]:
    """For each tool of this room, and each cross compiler of GCC's, where it is; empty where it is
    not; for `doctor`.
    """
    found = {name: shutil.which(name) or "" for names in COMPILERS.values() for name in names}
    for name, ask in (
        ("zig", lambda: shlex.join(zig() or ())),
        (ARM, lambda: emulator(ARM)[0]),
        (RISCV, lambda: emulator(RISCV)[0]),
        (WASM, lambda: wasm_runner()[0]),
    ):
        try:
            found[name] = ask()
        except BackendMissingError:
            found[name] = ""
    return found


@functools.cache
def version_line(command: tuple[str, ...]) -> str:
    """The first line of what a tool says of its version; its name where it says nothing."""
    asked = (*command, "version") if _is_zig(command) else (*command, "--version")
    try:
        done = subprocess.run(
            asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, timeout=_PATIENCE,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return os.path.basename(command[0])
    line = next(iter(done.stdout.splitlines()), "").strip()
    return (f"zig {line}" if _is_zig(command) else line) or os.path.basename(command[0])


#: Seconds after which a tool that is asked for its version is left alone.
_PATIENCE = 60.0


def _is_zig(command: tuple[str, ...]) -> bool:
    return command[-1] == "ziglang" or os.path.basename(command[0]) == "zig"
