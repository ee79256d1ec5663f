"""Simulates a LoihiProgram: exactly the integers that the chip would answer."""

from __future__ import annotations

import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.kinds import Count
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.choice import AUTO, chosen, execution
from lnn2loihi.simulation.executor import Execution
from lnn2loihi.simulation.inputs import State, checked, encode, full_initial_state, held
from lnn2loihi.simulation.memory import check_results
from lnn2loihi.simulation.result import OnStep, SimulationResult
from lnn2loihi.version import VERSION

__all__ = ["State", "encode", "full_initial_state", "held", "run_on", "simulate"]


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
        engine: name of an executor (`lnn2loihi.simulation.executor`), ours or another package's:
            "c", "blas", "reference", "lava", ...; or "auto" for the fastest engine there is. All
            give the same integers.
        lengths: samples of each sequence, (batch,); all of them by default. What stands beyond is
            ignored, and answered with zeros.
        timespans: elapsed time before each sample, (batch, time), where the network's time is
            irregular; encoded like the samples.
        encoded: whether x (and timespans) holds encoded messages in place of samples: integers, as
            `lnn2loihi.simulation.encode` makes them. They are saturated and counted like others.
        initial_state: for each population and state word (batch, neurons) or (neurons,); the
            program's own where absent.
        return_states: whether to return every state of every step.
        threads: threads of the C engine, or of another that takes them; all cores by default. The
            result does not depend on it.
        progress: called with the steps done and the steps in all, for progress bars.
        step_totals: whether the counters also hold totals of each step.

    Raises:
        InputError: x, a length or a state does not fit the program, there is no such executor, it
            answers with something else than this program's words, or it would take more memory
            than there is.
        BackendMissingError: the executor cannot run the program here, and why.
    """
    return run_on(
        engine, program, x, lengths, timespans, encoded, initial_state, return_states, threads,
        progress, step_totals,
    )  # fmt: skip


def run_on(
    engine: str | Execution,
    program: LoihiProgram,
    x: npt.ArrayLike,
    lengths: npt.ArrayLike | None,
    timespans: npt.ArrayLike | None,
    encoded: bool,
    initial_state: State | None,
    return_states: bool,
    threads: int | None,
    progress: OnStep | None,
    step_totals: bool = False,
) -> SimulationResult:
    """`simulate`, on an executor by its name or on one at hand."""
    samples, counts = checked(program, x, lengths, timespans, encoded)
    if engine != AUTO and isinstance(engine, str):
        engine = execution(engine)
    samples, counts = held(program, samples), counts * program.substeps
    trace = isinstance(engine, Execution) and engine.keeps_trace
    check_results(program, samples.shape, recorded=return_states, oracle=trace)
    start = full_initial_state(program, len(samples), initial_state)
    found = chosen(program, engine)  # the last check: it may compile
    run, saturated = found.run_samples(
        program, samples, start, counts, return_states, threads, progress, step_totals
    )
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
