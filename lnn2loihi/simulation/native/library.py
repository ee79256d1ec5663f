"""The libraries of the C engine: the engine itself, one for each instruction-set level, and one for
each neuron program. What the wheel does not bring is compiled on first use and kept; what is not
whole, or others could have written, is compiled anew.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lnn2loihi.errors import BackendMissingError, InputError
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.simulation.native import cache, vectors
from lnn2loihi.simulation.native.kernel_code import (
    FLAT_LANES,
    LANES,
    LEVELS,
    NARROW,
    ROW_LANES,
    ROW_VECTORS,
    TILE_ROWS,
    Level,
    has_twins,
    row_vector_lanes,
    rows_function,
    tile_function,
)
from lnn2loihi.simulation.native.neuron_code import neuron_text

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
#: Characters of a text that takes more than some ten seconds to compile, and is announced.
LONG_TEXT = 300_000
_log = logging.getLogger("lnn2loihi")


@functools.lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """Flags of this CPU as Linux names them, of the x86-64 alone; empty where they are not known,
    and under an emulator of another CPU, where Linux tells of the CPU below.
    """
    if cache.machine_of(Path(sys.executable)) != cache.MACHINES["x86_64"]:
        return frozenset()
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


def command_of(variable: str, subject: str, remedy: str) -> tuple[str, ...] | None:
    """The command that an environment variable holds, split as a shell does; None without one.

    Args:
        variable: its name.
        subject: what it is of, for errors.
        remedy: what to do where its program is not there.

    Raises:
        BackendMissingError: it cannot be split, or names no program.
    """
    chosen = os.environ.get(variable, "")
    try:
        words = shlex.split(chosen)
    except ValueError as error:
        raise BackendMissingError(subject, f"{variable} is {chosen!r}: {error}") from error
    if not words:
        return None
    program = shutil.which(words[0])
    if program is None:
        raise BackendMissingError(
            subject, f"{variable} is {chosen!r}, and there is no program {words[0]!r}; {remedy}"
        )
    return (program, *words[1:])


def compiler() -> tuple[str, ...] | None:
    """The command of the C compiler: CC, split as a shell does, or the first of cc, gcc and clang.

    Raises:
        BackendMissingError: CC is set, and names no program.
    """
    chosen = command_of(
        "CC", "C engine", "set CC to a C compiler, or unset it for cc, gcc or clang"
    )
    if chosen is not None:
        return chosen
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    return None if found is None else (found,)


_INCLUDES = "#include <math.h>\n#include <stdint.h>\n#include <stdlib.h>\n#include <string.h>"
#: What every level of the engine is made of, in this order, below the generated kernels.
_SOURCES = ("types.h", "encode.c", "block.c", "single.c", "stream.c")


@functools.lru_cache(maxsize=len(LEVELS) * (1 + len(NARROW)))
def engine_text(level: Level, lanes: int = LANES) -> str:
    """The C text of the engine of one level, for blocks of so many sequences."""
    folder = Path(__file__).with_name("source")
    types, *rest = (folder.joinpath(name).read_text() for name in _SOURCES)
    tiles = ", ".join(f"tile_{rows}" for rows in TILE_ROWS)
    twins = has_twins(level, lanes)
    twins_of = ", ".join(f"twin_{rows}" if twins else "0" for rows in TILE_ROWS)
    rows_of = ", ".join(f"rows_{vectors}" for vectors in ROW_VECTORS)
    constants = {
        "LANES": lanes,
        "FLAT_LANES": FLAT_LANES,
        "TWINS": int(twins),
        "COUNT_LANES": min(max(level.lanes, 4), lanes),
        "ROW_LANES": ROW_LANES,
        "ROW_VECTOR": row_vector_lanes(level),
        "ROW_VECTORS": ROW_VECTORS[-1],
    }
    return "\n".join(
        [
            _INCLUDES,
            "#include <immintrin.h>" if level.vector else "",
            *(f"#define {name} {value}" for name, value in constants.items()),
            *(tile_function(level, rows, lanes) for rows in TILE_ROWS),
            *(tile_function(level, rows, lanes, 2) for rows in TILE_ROWS if twins),
            *(rows_function(level, vectors) for vectors in ROW_VECTORS),
            types,
            f"static const tile_t tiles[] = {{0, {tiles}}};",
            f"static const tile_t twins[] = {{0, {twins_of}}};",
            f"static const rows_t rows_of[] = {{0, {rows_of}}};",
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
    """A shared library that may be loaded; compiled if it came neither with the wheel nor is in the
    cache, or if what is there is not to be trusted (see `cache`).

    Args:
        kind: "engine" or "neuron", the beginning of its name.
        text: C text.
        level: instruction-set level.
        extra_flags: further compiler flags, for sanitizers.

    Raises:
        BackendMissingError: there is no C compiler, it fails, or the cache cannot be written.
    """
    name = file_name(kind, text, level, extra_flags)
    shipped = SHIPPED / name
    # Who installed this file could as well have changed it.
    if not cache.why_not(shipped, Path(__file__).stat().st_uid):
        return shipped
    return kept(name, lambda target: compile_into(target, text, flags_of(level, extra_flags)))


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """A file of the cache that may be loaded, or run; made if it is not there or not to be trusted.

    Args:
        name: of the file: it says what is in it, as a hash does.
        make: makes it, whole or not at all, in the place that it is given.
    """
    target = _trusted_folder() / name
    if target.is_dir():  # no file can take its place
        target = cache.private_folder() / name
    if reason := cache.why_not(target):
        if os.path.lexists(target):
            _log.info("%s is compiled anew: %s", target, reason)
        make(target)
    return target


def _trusted_folder() -> Path:
    """The cache, or where others could put something into it a folder of this process alone."""
    folder = cache_folder()
    if not (reason := cache.folder_problem(folder)):
        return folder
    _say_once(
        f"compiled engines in {folder} are not used: {reason}. They are compiled into a private "
        f"folder, for this process alone; make it yours alone (chmod go-w), or set "
        f"{CACHE_VARIABLE} to another folder"
    )
    return cache.private_folder()


@functools.cache
def _say_once(text: str) -> None:
    _log.warning("%s", text)


def compile_into(
    target: Path, text: str, flags: tuple[str, ...], machine: bytes | None = None
) -> None:
    """Compiles a text; the file appears whole or not at all.

    Args:
        target: the library.
        text: C text.
        flags: compiler flags.
        machine: the kind of machine that it is for, of `cache.MACHINES`; by default this one.

    Raises:
        BackendMissingError: as `build`.
    """
    command = compiler()
    if command is None:
        raise BackendMissingError(
            "C engine", "no C compiler was found: apt-get install gcc libc6-dev"
        )
    if len(text) > LONG_TEXT:
        _log.warning(
            "compiling a neuron program of %s lines; this takes a while, once",
            f"{text.count(chr(10)):,}",
        )
    try:
        with cache.workplace(target.parent) as folder:
            source, library = folder / "text.c", folder / "text.so"
            source.write_text(text)
            _compile([*command, *flags, "-o", str(library), str(source), "-lm"])
            if not library.is_file():
                raise BackendMissingError(
                    "C engine",
                    f"{shlex.join(command)} ended without an error and wrote no library; set CC "
                    "to a C compiler, or unset it for cc, gcc or clang",
                )
            if not cache.is_for(library, machine):
                raise BackendMissingError(
                    "C engine",
                    f"{shlex.join(command)} compiles for another kind of machine than "
                    + ("Python runs on" if machine is None else "the wheel is for")
                    + "; set CC to a compiler for this one",
                )
            cache.put(library, target)
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
    """A compiled library that `build` answered.

    Raises:
        BackendMissingError: it cannot be loaded, as where its folder does not allow programs.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendMissingError(
            "C engine", f"{error}; delete that file, or set {CACHE_VARIABLE} to another folder"
        ) from error
    return library


def _functions(library: ctypes.CDLL, *names: str) -> list[Any]:
    """The functions of a library.

    Raises:
        BackendMissingError: it does not have them.
    """
    try:
        return [getattr(library, name) for name in names]
    except AttributeError as error:
        raise BackendMissingError(
            "C engine",
            f"{library._name} is no library of it ({error}); delete that file, or set "
            f"{CACHE_VARIABLE} to another folder",
        ) from error


def engine(level: Level, extra_flags: tuple[str, ...] = (), lanes: int = LANES) -> ctypes.CDLL:
    """The engine of one level, for blocks of so many sequences: what runs these, single sequences
    and streams.

    Raises:
        BackendMissingError: as `build` and `load`.
    """
    library = load(build("engine", engine_text(level, lanes), level, extra_flags))
    for function in _functions(library, "run_blocks", "run_sequences"):
        function.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 4]
        function.restype = ctypes.c_int32
    results = {
        "stream_bytes": ctypes.c_int64, "stream_start": None, "stream_step": ctypes.c_int32,
        "stream_read": None,
    }  # fmt: skip
    for function, result in zip(_functions(library, *results), results.values(), strict=True):
        function.argtypes, function.restype = [ctypes.c_void_p], result
    return library


def neuron(
    program: NeuronProgram, level: Level, extra_flags: tuple[str, ...] = ()
) -> tuple[int, int]:
    """Addresses of the updates of a neuron program, over sequences and over neurons, in vectors of
    the width that is faster on this machine (see `vectors`).

    Raises:
        BackendMissingError: as `build` and `load`.
    """
    if not extra_flags:
        extra_flags = vectors.chosen_flags(level, _trusted_folder(), _update_of(level))
    return _updates(program, level, extra_flags)


@functools.cache
def _update_of(level: Level) -> Callable[[NeuronProgram, tuple[str, ...]], int]:
    return lambda program, flags: _updates(program, level, flags)[0]


def _updates(program: NeuronProgram, level: Level, extra_flags: tuple[str, ...]) -> tuple[int, int]:
    library = load(build("neuron", neuron_text(program), level, extra_flags))
    functions = _functions(library, "update_sequences", "update_neurons")
    sequences, neurons = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions)
    return sequences, neurons
