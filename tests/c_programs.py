"""Programs in C: written, compiled with all warnings as errors and under sanitizers, and run."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

from lnn2loihi.converters.c99.source import CSource, c_source
from lnn2loihi.program import LoihiProgram

WARNINGS = (
    "-std=c99 -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -pedantic -Werror -Wcast-qual "
    "-Wundef -Wstrict-prototypes -Wmissing-prototypes -Wredundant-decls -Wwrite-strings"
).split()
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
COMPILER = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
GOALS: tuple[Any, ...] = ("size", "speed")


def compiled(files: list[Path], target: Path, *flags: str) -> Path:
    """The executable, or whatever flags make, of C files."""
    names = [str(file) for file in files]
    command = [str(COMPILER), *WARNINGS, *flags, "-o", str(target), *names]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert not run.returncode and not run.stderr, run.stderr[:4000]
    return target


@functools.cache
def sanitizers() -> tuple[str, ...]:
    """Flags of sanitizers, where the compiler has their libraries."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text("int main(void)\n{\n    return 0;\n}\n")
        command = [str(COMPILER), *SANITIZERS, "-o", str(source.with_suffix("")), str(source)]
        if subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode:
            return ()
        run = subprocess.run([str(source.with_suffix(""))], capture_output=True, timeout=PATIENCE)
        return () if run.returncode else tuple(SANITIZERS)


def written(made: CSource, folder: Path) -> list[Path]:
    """The C files, in a folder; the headers lie beside them."""
    files = {f"{made.prefix}.c": made.source, f"{made.prefix}.h": made.header}
    if made.selftest is not None:
        files[f"{made.prefix}_selftest.c"] = made.selftest
    if made.codec is not None:
        files[f"{made.prefix}_codec.h"], files[f"{made.prefix}_codec.c"] = made.codec
    for name, text in files.items():
        (folder / name).write_text(text, encoding="ascii")
    return [folder / name for name in files if name.endswith(".c")]


def tried(made: CSource, *flags: str) -> tuple[int, str]:
    """Exit code and output of the self-test."""
    with tempfile.TemporaryDirectory() as folder:
        files = written(made, Path(folder))
        main = f"-D{made.prefix.upper()}_SELFTEST_MAIN"
        program = compiled(files, Path(folder) / "test", main, *flags)
        run = subprocess.run([str(program)], capture_output=True, text=True, timeout=PATIENCE)
        return run.returncode, run.stdout + run.stderr


def assert_answers(program: LoihiProgram, *goals: Any) -> None:
    """Outputs and states of every sample are those of the reference, for each goal."""
    for goal in goals or GOALS:
        made = c_source(program, goal=goal, selftest="hash")
        assert tried(made, "-O1", *sanitizers()) == (0, "net: 64 samples, 0 differ\n"), goal
