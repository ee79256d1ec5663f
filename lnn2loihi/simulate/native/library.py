"""Compiles the C engine for a set of neuron programs, once, and loads it."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lnn2loihi.errors import BackendMissingError, InputError
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.simulate.native.kernel_code import (
    LANES,
    LEVELS,
    ROW_LANES,
    ROW_VECTORS,
    TILE_ROWS,
    Level,
    row_vector_lanes,
    rows_function,
    tile_function,
)
from lnn2loihi.simulate.native.neuron_code import update_functions

#: Warnings are left to the tests: what a generated program warns of is no error of its user.
FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-shared", "-fno-math-errno")
#: Environment variable that names another folder for compiled engines.
CACHE_VARIABLE = "LNN2LOIHI_CACHE"


@functools.lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """Flags of this CPU as Linux names them; empty where that is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    found = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return frozenset(next(found, "").split())


def usable_levels() -> tuple[Level, ...]:
    """Instruction-set levels of this CPU, best first."""
    return tuple(level for level in LEVELS if level.needs <= cpu_flags())


def level_named(name: str | None) -> Level:
    """The level of that name, or the best one.

    Raises:
        InputError: there is no such level, or this CPU does not have it.
    """
    usable = {level.name: level for level in usable_levels()}
    if name is None:
        return next(iter(usable.values()))
    if name not in usable:
        raise InputError("level", f"{name!r} is not usable here; there are {', '.join(usable)}")
    return usable[name]


def compiler() -> str | None:
    """The C compiler: CC, or the first of cc, gcc and clang."""
    return next(
        filter(None, map(shutil.which, (os.environ.get("CC") or "cc", "gcc", "clang"))), None
    )


def source_text(programs: tuple[NeuronProgram, ...], level: Level) -> str:
    """The whole C text of an engine."""
    engine = Path(__file__).with_name("engine.c").read_text()
    types, rest = engine.split("/* Scratch of one block", 1)
    tiles = ", ".join(f"tile_{rows}" for rows in TILE_ROWS)
    rows_of = ", ".join(f"rows_{vectors}" for vectors in ROW_VECTORS)
    constants = {
        "LANES": LANES,
        "ROW_LANES": ROW_LANES,
        "ROW_VECTOR": row_vector_lanes(level),
        "ROW_VECTORS": ROW_VECTORS[-1],
    }
    tables = [
        f"static const tile_t tiles[] = {{0, {tiles}}};",
        f"static const tile_t rows_of[] = {{0, {rows_of}}};",
    ]
    for kind, table in (("sequences", "sequence_updates"), ("neurons", "neuron_updates")):
        names = ", ".join(f"update_{kind}_{index}" for index in range(len(programs)))
        tables.append(f"static const update_t {table}[] = {{{names}}};")
    return "\n".join(
        [
            "#include <math.h>\n#include <stdint.h>\n#include <stdlib.h>\n#include <string.h>",
            "#include <immintrin.h>" if level.vector else "",
            *(f"#define {name} {value}" for name, value in constants.items()),
            *(tile_function(level, rows) for rows in TILE_ROWS),
            *(rows_function(level, vectors) for vectors in ROW_VECTORS),
            *(update_functions(program, index) for index, program in enumerate(programs)),
            types,
            *tables,
            "/* Scratch of one block" + rest,
        ]
    )


def cache_folder() -> Path:
    """Where compiled engines are kept."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lnn2loihi"


def build(
    programs: tuple[NeuronProgram, ...], level: Level, extra_flags: tuple[str, ...] = ()
) -> Path:
    """The shared library of an engine; compiled if it is not in the cache.

    The name is a hash of source, flags and level, so that a change of either makes another file.

    Raises:
        BackendMissingError: there is no C compiler, it fails, or the cache cannot be written.
    """
    text = source_text(programs, level)
    flags = (*FLAGS, *level.flags, *extra_flags)
    digest = hashlib.sha256("\0".join((text, *flags)).encode()).hexdigest()[:32]
    target = cache_folder() / f"engine-{level.name}-{digest}.so"
    if target.exists():
        return target
    command = compiler()
    if command is None:
        raise BackendMissingError(
            "C engine", "no C compiler was found: apt-get install gcc libc6-dev"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            source, library = Path(folder) / "engine.c", Path(folder) / "engine.so"
            source.write_text(text)
            _compile([command, *flags, "-o", str(library), str(source), "-lm"])
            os.replace(library, target)
    except OSError as error:
        raise BackendMissingError(
            "C engine",
            f"it cannot be compiled ({error}); set {CACHE_VARIABLE} to a writable folder",
        ) from error
    return target


def _compile(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackendMissingError(
            "C engine", f"{command[0]} failed with {done.returncode}:\n{done.stderr[-2000:]}"
        )


@functools.lru_cache(maxsize=64)
def load(path: Path) -> ctypes.CDLL:
    """A compiled engine.

    Raises:
        BackendMissingError: the file is damaged, or its folder does not allow programs.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendMissingError(
            "C engine", f"{error}; delete that file, or set {CACHE_VARIABLE} to another folder"
        ) from error
    for function in (library.run_blocks, library.run_sequences):
        function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        function.restype = ctypes.c_int32
    return library
