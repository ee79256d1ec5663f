"""Our engines as executors, and which executor runs a program."""

from __future__ import annotations

import functools
import logging
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import BackendMissingError, PluginError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.blas import run_blas
from lnn2loihi.simulation.executor import (
    AUTO,
    EXECUTORS,
    Execution,
    Executor,
    FullState,
    OpenStream,
)
from lnn2loihi.simulation.inputs import for_native
from lnn2loihi.simulation.native.engine import NativeEngine
from lnn2loihi.simulation.native.layout import unsupported
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.simulation.result import EngineRun, IntegerRun, OnStep

_log = logging.getLogger("lnn2loihi")
#: Engines of programs that are alive, by identity: laying a large program out takes seconds.
_engines: dict[int, NativeEngine] = {}


class Reference(Executor):
    """Entry point `reference` of the group `lnn2loihi.executors`."""

    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: FullState,
        on_step: OnStep | None = None,
    ) -> IntegerRun:
        """See `Executor`."""
        return run_reference(program, inputs, initial_state, on_step)


class Blas(Executor):
    """Entry point `blas` of the group `lnn2loihi.executors`."""

    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: FullState,
        on_step: OnStep | None = None,
        *,
        lengths: IntegerArray,
        record: bool = False,
        step_totals: bool = False,
    ) -> EngineRun:
        """See `Executor`."""
        return run_blas(program, inputs, initial_state, lengths, record, on_step, step_totals)


class Compiled(Executor):
    """Entry point `c` of the group `lnn2loihi.executors`."""

    def unfit(self, program: LoihiProgram) -> str:
        """Too many accumulators, or kernels of wide messages."""
        return "" if id(program) in _engines else unsupported(program)

    def reason_against(self, program: LoihiProgram) -> str:
        """Too many accumulators, kernels of wide messages, or no compiler for a neuron that is not
        in the cache.
        """
        if id(program) in _engines:
            return ""
        reason = unsupported(program)
        if reason:
            return reason
        try:
            native_engine(program)
        except BackendMissingError as error:
            return str(error)
        return ""

    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: FullState,
        on_step: OnStep | None = None,
        *,
        lengths: IntegerArray,
        record: bool = False,
        threads: int | None = None,
        step_totals: bool = False,
    ) -> EngineRun:
        """See `Executor`."""
        samples = np.ascontiguousarray(inputs, np.int32)
        return native_engine(program).run(
            samples, lengths, initial_state, record, threads, on_step, step_totals
        )[0]


class _OnSamples(Execution):
    """The C engine, which encodes samples in the same pass, and streams them without Python."""

    def run_samples(
        self,
        program: LoihiProgram,
        samples: npt.NDArray[Any],
        start: FullState,
        lengths: IntegerArray,
        record: bool = False,
        threads: int | None = None,
        on_step: OnStep | None = None,
        step_totals: bool = False,
    ) -> tuple[EngineRun, IntegerArray]:
        """See `Execution`."""
        return native_engine(program).run(
            for_native(samples), lengths, start, record, threads, on_step, step_totals
        )

    def open_stream(self, program: LoihiProgram, state: FullState, encoded: bool) -> OpenStream:
        """See `Execution`."""
        return native_engine(program).open_stream(state, encoded)


_BLAS, _COMPILED = Execution("blas", Blas()), _OnSamples("c", Compiled())


def known_executors() -> list[str]:
    """Names that `simulate` takes: "auto", and all that are registered."""
    return [AUTO, *EXECUTORS.names()]


def execution(name: str) -> Execution:
    """The executor of that name, which is none of "auto".

    Raises:
        PluginError: there is none, or it cannot be loaded; names all that there are.
    """
    if name not in EXECUTORS.names():
        raise PluginError(
            f"executor {name!r}", f"does not exist; there are {', '.join(known_executors())}"
        )
    made = EXECUTORS.get(name)
    return _OnSamples(name, made) if isinstance(made, Compiled) else Execution(name, made)


def chosen(program: LoihiProgram, engine: str | Execution) -> Execution:
    """The executor, if it runs the program here; in place of "auto" the fastest of ours.

    Raises:
        PluginError: see `execution`.
        BackendMissingError: it cannot run the program here.
    """
    if engine != AUTO:
        found = execution(engine) if isinstance(engine, str) else engine
        found.require(program)
        return found
    if id(program) in _engines:
        return _COMPILED
    if unsupported(program):
        return _BLAS
    try:
        native_engine(program)
    except BackendMissingError as error:
        _say_once(str(error))
        return _BLAS
    return _COMPILED


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
