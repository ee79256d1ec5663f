"""The libraries of the C engine: the engine itself, one for each instruction-set level, and one for
each neuron program. What the wheel does not bring is compiled on first use and kept.
"""

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
from lnn2loihi.simulate.native.neuron_code import neuron_text

#: Warnings are left to the tests: what a generated program warns of is no error of its user.
#: -fno-trapping-math lets compilers vectorise comparisons of floats; -ffp-contract=off forbids
#: products that are not rounded before a sum, which would encode other integers than NumPy.
FLAGS = (
    "-std=gnu11", "-O3", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math",
    "-ffp-contract=off",
)  # fmt: skip
#: Libraries that the wheel brings; see `shipped`.
SHIPPED = Path(__file__).with_name("built")
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


_INCLUDES = "#include <math.h>\n#include <stdint.h>\n#include <stdlib.h>\n#include <string.h>"
#: What every level of the engine is made of, in this order, below the generated kernels.
_SOURCES = ("types.h", "encode.c", "block.c", "single.c")


@functools.lru_cache(maxsize=len(LEVELS))
def engine_text(level: Level) -> str:
    """The C text of the engine of one level."""
    folder = Path(__file__).with_name("source")
    types, *rest = (folder.joinpath(name).read_text() for name in _SOURCES)
    tiles = ", ".join(f"tile_{rows}" for rows in TILE_ROWS)
    rows_of = ", ".join(f"rows_{vectors}" for vectors in ROW_VECTORS)
    constants = {
        "LANES": LANES,
        "COUNT_LANES": max(level.lanes, 4),
        "ROW_LANES": ROW_LANES,
        "ROW_VECTOR": row_vector_lanes(level),
        "ROW_VECTORS": ROW_VECTORS[-1],
    }
    return "\n".join(
        [
            _INCLUDES,
            "#include <immintrin.h>" if level.vector else "",
            *(f"#define {name} {value}" for name, value in constants.items()),
            *(tile_function(level, rows) for rows in TILE_ROWS),
            *(rows_function(level, vectors) for vectors in ROW_VECTORS),
            types,
            f"static const tile_t tiles[] = {{0, {tiles}}};",
            f"static const tile_t rows_of[] = {{0, {rows_of}}};",
            *rest,
        ]
    )


def cache_folder() -> Path:
    """Where compiled engines are kept."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lnn2loihi"


def flags_of(level: Level, extra_flags: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Compiler flags of a level."""
    return (*FLAGS, *level.flags, *extra_flags)


def file_name(kind: str, text: str, level: Level, extra_flags: tuple[str, ...] = ()) -> str:
    """Name of a library: a hash of text and flags, so that a change of either is another file."""
    content = "\0".join((text, *flags_of(level, extra_flags)))
    return f"{kind}-{level.name}-{hashlib.sha256(content.encode()).hexdigest()[:32]}.so"


def build(kind: str, text: str, level: Level, extra_flags: tuple[str, ...] = ()) -> Path:
    """A shared library; compiled if it came neither with the wheel nor is in the cache.

    Args:
        kind: "engine" or "neuron", the beginning of its name.
        text: C text.
        level: instruction-set level.
        extra_flags: further compiler flags, for sanitizers.

    Raises:
        BackendMissingError: there is no C compiler, it fails, or the cache cannot be written.
    """
    name = file_name(kind, text, level, extra_flags)
    shipped, target = SHIPPED / name, cache_folder() / name
    if shipped.exists():
        return shipped
    if not target.exists():
        compile_into(target, text, flags_of(level, extra_flags))
    return target


def compile_into(target: Path, text: str, flags: tuple[str, ...]) -> None:
    """Compiles a text; the file appears whole or not at all.

    Raises:
        BackendMissingError: as `build`.
    """
    command = compiler()
    if command is None:
        raise BackendMissingError(
            "C engine", "no C compiler was found: apt-get install gcc libc6-dev"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            source, library = Path(folder) / "text.c", Path(folder) / "text.so"
            source.write_text(text)
            _compile([command, *flags, "-o", str(library), str(source), "-lm"])
            os.replace(library, target)
    except OSError as error:
        raise BackendMissingError(
            "C engine",
            f"it cannot be compiled ({error}); set {CACHE_VARIABLE} to a writable folder",
        ) from error


def _compile(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackendMissingError(
            "C engine", f"{command[0]} failed with {done.returncode}:\n{done.stderr[-2000:]}"
        )


@functools.lru_cache(maxsize=256)
def load(path: Path) -> ctypes.CDLL:
    """A compiled library.

    Raises:
        BackendMissingError: the file is damaged, or its folder does not allow programs.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendMissingError(
            "C engine", f"{error}; delete that file, or set {CACHE_VARIABLE} to another folder"
        ) from error
    return library


def engine(level: Level, extra_flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The engine of one level: `run_blocks` and `run_sequences`.

    Raises:
        BackendMissingError: as `build` and `load`.
    """
    library = load(build("engine", engine_text(level), level, extra_flags))
    for function in (library.run_blocks, library.run_sequences):
        function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        function.restype = ctypes.c_int32
    return library


def neuron(
    program: NeuronProgram, level: Level, extra_flags: tuple[str, ...] = ()
) -> tuple[int, int]:
    """Addresses of the updates of a neuron program, over sequences and over neurons.

    Raises:
        BackendMissingError: as `build` and `load`.
    """
    library = load(build("neuron", neuron_text(program), level, extra_flags))
    functions = (library.update_sequences, library.update_neurons)
    sequences, neurons = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions)
    return sequences, neurons
