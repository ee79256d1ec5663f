"""Simulates a LoihiProgram: exactly the integers that the chip would answer."""

from __future__ import annotations

import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.formats import IntegerArray
from lnn2loihi.kinds import Count
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulate.blas import run_blas
from lnn2loihi.simulate.choice import chosen_engine, native_engine
from lnn2loihi.simulate.inputs import (
    State,
    checked,
    encode,
    encode_live,
    for_native,
    full_initial_state,
    held,
)
from lnn2loihi.simulate.memory import check_results
from lnn2loihi.simulate.reference import run_reference
from lnn2loihi.simulate.result import EngineRun, OnStep, SimulationResult
from lnn2loihi.simulate.traces import from_trace
from lnn2loihi.version import VERSION

__all__ = ["State", "encode", "full_initial_state", "held", "result_of", "simulate"]


@checks_kinds()
def simulate(
    program: LoihiProgram,
    x: npt.ArrayLike,
    engine: str = "auto",
    *,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
    initial_state: State | None = None,
    return_states: bool = False,
    threads: Count | None = None,
    progress: OnStep | None = None,
    step_totals: bool = False,
) -> SimulationResult:
    """Runs a program on sequences, from its initial state.

    Args:
        program: what to run.
        x: numbers of any type (batch, time, inputs), or a list of sequences (time, inputs) of any
            length. They are encoded: rounded half up, saturated to the calibrated range and
            counted.
        engine: "c", "blas", "reference", or "auto" for the fastest there is. All give the same
            integers.
        lengths: samples of each sequence, (batch,); all of them by default. What stands beyond is
            ignored, and answered with zeros.
        timespans: elapsed time before each sample, (batch, time), where the network's time is
            irregular; encoded like the samples.
        encoded: whether x (and timespans) holds encoded messages in place of samples: integers, as
            `lnn2loihi.simulate.encode` makes them. They are saturated and counted like others.
        initial_state: for each population and state word (batch, neurons) or (neurons,); the
            program's own where absent.
        return_states: whether to return every state of every step.
        threads: threads of the C engine; all cores by default. The result does not depend on it.
        progress: called with the steps done and the steps in all, for progress bars.
        step_totals: whether the counters also hold totals of each step.

    Raises:
        InputError: x, a length or a state does not fit the program, the engine cannot run it, or it
            would take more memory than there is.
        BackendMissingError: the C engine was asked for, and there is no compiler.
    """
    samples, counts = checked(program, x, lengths, timespans, encoded)
    samples, counts = held(program, samples), counts * program.substeps
    check_results(program, samples.shape, recorded=return_states, oracle=engine == "reference")
    start = full_initial_state(program, len(samples), initial_state)
    chosen = chosen_engine(program, engine)  # the last check: it may compile
    if chosen == "c":
        run, saturated = native_engine(program).run(
            for_native(samples), counts, start, return_states, threads, progress, step_totals
        )
    else:
        inputs, saturated = encode_live(program, samples, counts)
        if chosen == "blas":
            run = run_blas(program, inputs, start, counts, return_states, progress, step_totals)
        else:
            trace = run_reference(program, inputs, start, progress)
            run = from_trace(program, trace, inputs, start, counts, return_states, step_totals)
    return result_of(program, run, saturated)


def result_of(program: LoihiProgram, run: EngineRun, saturated: IntegerArray) -> SimulationResult:
    """Decodes a run on held samples."""
    run = run.every(program.substeps)
    return SimulationResult(
        integers=run.integers,
        scale=program.output_population.scale,
        offset=program.output_population.offset,
        states=run.states,
        final_state=run.final_state,
        saturated=saturated // program.substeps,
        counters=run.counters,
        executor=f"{run.executor} (lnn2loihi {VERSION})",
        saturated_words=run.saturated_words,
    )
