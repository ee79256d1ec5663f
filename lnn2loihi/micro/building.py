"""Compiled programs in C, kept by their content as libraries of the C engine are."""

from __future__ import annotations

import hashlib
import logging
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lnn2loihi.errors import BackendMissingError
from lnn2loihi.micro.processes import end, ended_how, started
from lnn2loihi.micro.tools import version_line
from lnn2loihi.simulation.native import cache
from lnn2loihi.simulation.native.library import CACHE_VARIABLE, kept

#: What is compiled for bare parts stands alone: no C library, no tables for exceptions.
BARE = (
    "-ffreestanding", "-nostdlib", "-static", "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables", "-ffunction-sections", "-fdata-sections",
    "-fomit-frame-pointer", "-fno-lto", "-Wl,--gc-sections", "-Wl,-e,_start",
)  # fmt: skip
#: zig drops names from what is optimised, unless it is to be debugged; the code stays the same.
NAMES = ("-g",)
WASM_FLAGS = ("-nostdlib", "-Wl,--no-entry", "-Wl,--strip-debug")
#: Compilers' own run-time library, which zig brings by itself.
LIBGCC = "-lgcc"
#: Seconds after which a compiler is taken to hang (a limit of ours: the largest programs take some
#: minutes on busy machines).
_PATIENCE = 3600.0
_log = logging.getLogger("lnn2loihi")


def build(
    subject: str,
    kind: str,
    texts: Mapping[str, str],
    command: tuple[str, ...],
    flags: tuple[str, ...],
    *,
    executable: bool = True,
) -> Path:
    """A program made of files of C; compiled where it is not kept already. A seal stands behind it.

    Args:
        subject: what it is for, in errors.
        kind: the beginning of its name.
        texts: all files by name; those that end in .c are compiled.
        command: the compiler, with flags that name the machine.
        flags: further flags.
        executable: whether the system is to start it.

    Raises:
        BackendMissingError: the compiler fails, or the cache cannot be written.
    """
    tool = command[: command.index("cc")] if "cc" in command else command[:1]
    content = "\0".join((version_line(tool), *command, *flags, *(
        part for name in sorted(texts) for part in (name, texts[name])
    )))  # fmt: skip
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]

    def make(target: Path) -> None:
        _compile(subject, target, texts, (*command, *flags), 0o755 if executable else 0o644)

    return kept(f"{kind}-{digest}", make)


def size_of_body(program: Path) -> int:
    """Bytes of a kept file without its seal."""
    return program.stat().st_size - cache.SEAL_SIZE


def _compile(
    subject: str, target: Path, texts: Mapping[str, str], command: tuple[str, ...], mode: int
) -> None:
    try:
        with cache.workplace(target.parent) as folder:
            for name, text in texts.items():
                (folder / name).write_text(text)
            units = [name for name in texts if name.endswith(".c")]
            libraries = [LIBGCC] if "-nostdlib" in command and "cc" not in command else []
            call = [*command, "-o", "program", *units, *libraries]
            with (folder / "said.txt").open("wb") as said:
                child = started(subject, call, stderr=said, cwd=folder)
                try:
                    child.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    raise BackendMissingError(
                        subject, f"{shlex.join(command[:3])} has not ended after {_PATIENCE:g} s"
                    ) from None
                finally:
                    end(child)
            words = (folder / "said.txt").read_text(errors="replace")[-2000:].strip()
            if child.returncode:
                raise BackendMissingError(
                    subject, f"{shlex.join(command[:3])} {ended_how(child, words)}"
                )
            if not (folder / "program").is_file():
                raise BackendMissingError(
                    subject,
                    f"{shlex.join(command[:3])} ended without an error and wrote no program",
                )
            cache.put(folder / "program", target, mode)
    except OSError as error:
        raise BackendMissingError(
            subject, f"it cannot be compiled ({error}); set {CACHE_VARIABLE} to a writable folder"
        ) from error
