"""From the full trace of an executor to what engines hand back: ends, final states, counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import EngineRun, IntegerRun
from lnn2loihi.simulation.saturations import count_saturations


def from_trace(
    program: LoihiProgram,
    trace: IntegerRun,
    inputs: IntegerArray,
    initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
    lengths: IntegerArray,
    record: bool,
    step_totals: bool = False,
) -> EngineRun:
    """The run that a trace shows.

    Args:
        program: what ran.
        trace: every state of every step, also beyond the ends of sequences.
        inputs: encoded samples, int64 (batch, time, channels).
        initial_state: for each population and state word (batch, neurons).
        lengths: samples of each sequence, int64 (batch,).
        record: whether to hand the states on.
        step_totals: whether to count messages of each step too.
    """
    batch, time, _ = inputs.shape
    run = EngineRun.empty(
        trace.executor, program, time, initial_state, lengths, record, step_totals
    )
    live = (np.arange(time) < lengths[:, None])[..., None]
    run.integers[:] = np.where(live, trace.outputs(program), 0)
    _count(run, program.input.name, np.zeros((batch, program.input.size)), inputs, live)
    ended = np.flatnonzero(lengths)
    for population in program.populations:
        words, neuron = trace.states[population.name], population.program
        before = np.zeros((batch, population.size))
        if neuron.message_state:
            before = initial_state[population.name][neuron.message_state]
        _count(run, population.name, before, words[neuron.message_state or "message"], live)
        for word in neuron.state_names:
            final = run.final_state[population.name][word]
            final[ended] = words[word][ended, lengths[ended] - 1]
        for word, values in words.items():
            if run.states is not None:
                run.states[population.name][word][:] = np.where(live, values, 0)
    assert run.saturated_words is not None
    count_saturations(
        program, inputs, trace.states, initial_state, live[..., 0], run.saturated_words
    )
    return run


def _count(
    run: EngineRun,
    name: str,
    before: npt.NDArray[Any],
    messages: IntegerArray,
    live: npt.NDArray[np.bool_],
) -> None:
    """Non-zero and changed messages (batch, time, neurons), after `before` (batch, neurons)."""
    previous = np.concatenate([before[:, None], messages[:, :-1]], axis=1)
    run.counters.add(name, (messages != 0) & live, (messages != previous) & live)
