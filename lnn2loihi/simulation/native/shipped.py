"""The libraries that a wheel brings, so that the shipped families need no compiler."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from lnn2loihi import families
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.kernel_code import LANES, LEVELS, NARROW, Level
from lnn2loihi.simulation.native.neuron_code import neuron_text


def shipped_programs() -> Iterator[NeuronProgram]:
    """What our families bring, with the default activation; shifts are arguments of their
    libraries. A wheel is built before its entry points are there, so they are found by folder.
    """
    for found in iter_modules(families.__path__, f"{families.__name__}."):
        yield from import_module(f"{found.name}.family").FAMILY.shipped()


def build_shipped(folder: Path, machine: bytes | None = None) -> list[Path]:
    """Compiles the engine and the shipped programs, for every level that this compiler knows.

    Args:
        folder: where the libraries go.
        machine: the kind of machine that they are for, of `cache.MACHINES`; by default this one.

    Returns:
        The libraries.

    Raises:
        BackendMissingError: there is no C compiler, or not even plain C compiles.
    """
    texts = [("neuron", neuron_text(program)) for program in shipped_programs()]
    made: list[Path] = []
    with ThreadPoolExecutor() as pool:
        for level in LEVELS:

            def compile_one(item: tuple[str, str], level: Level = level) -> Path:
                target = folder / library.file_name(*item, level)
                library.compile_into(target, item[1], library.flags_of(level), machine)
                return target

            try:
                for lanes in (LANES, *NARROW):
                    made.append(compile_one(("engine", library.engine_text(level, lanes))))
            except BackendMissingError:
                if not level.needs:
                    raise
                continue  # a compiler for another kind of CPU
            made += pool.map(compile_one, texts)
    return made
