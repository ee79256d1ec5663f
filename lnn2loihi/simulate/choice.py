"""Chooses the engine that runs a program."""

from __future__ import annotations

import functools
import logging
import weakref

from lnn2loihi.errors import BackendMissingError, InputError
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulate.native.engine import NativeEngine
from lnn2loihi.simulate.native.layout import unsupported

ENGINES = ("auto", "c", "blas", "reference")
_log = logging.getLogger("lnn2loihi")
#: Engines of programs that are alive, by identity: laying a large program out takes seconds.
_engines: dict[int, NativeEngine] = {}


def chosen_engine(program: LoihiProgram, engine: str) -> str:
    """The engine that `simulate` uses: "c", "blas" or "reference".

    Raises:
        InputError: the engine does not exist, or cannot run this program.
        BackendMissingError: "c" was asked for and cannot be compiled.
    """
    if engine not in ENGINES:
        raise InputError("engine", f"{engine!r} does not exist; use one of {', '.join(ENGINES)}")
    if engine in ("blas", "reference"):
        return engine
    if id(program) in _engines:
        return "c"
    reason = unsupported(program)
    if engine == "c":
        if reason:
            raise InputError("engine", f"the C engine cannot run {program.name!r}: {reason}")
        native_engine(program)
        return engine
    if reason:
        return "blas"
    try:
        native_engine(program)
    except BackendMissingError as error:
        _say_once(str(error))
        return "blas"
    return "c"


@functools.cache
def _say_once(reason: str) -> None:
    _log.warning("the C engine is not there, simulations use BLAS instead: %s", reason)


def native_engine(program: LoihiProgram) -> NativeEngine:
    """The program on the C engine, laid out once."""
    found = _engines.get(id(program))
    if found is None:
        found = NativeEngine(program)
        # Two threads may both get here; either engine will do, and one finalizer is enough.
        if _engines.setdefault(id(program), found) is found:
            weakref.finalize(program, _engines.pop, id(program), None)
    return found
