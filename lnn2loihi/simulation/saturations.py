"""Counts saturated words of a run that was recorded, by running its updates once more.

Executors that count nothing themselves record every state of every step. An update needs nothing
but the states and messages before it, so all steps of all sequences are done side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.instructions import Saturation
from lnn2loihi.program import LoihiProgram, Population
from lnn2loihi.simulation.reference import update
from lnn2loihi.simulation.result import States

#: Neurons whose updates are done at once: each word of them takes 8 bytes.
AT_ONCE = 1 << 16


def saturated(mark: Saturation, words: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Where a word saturates, given every word that was made; the meaning of a Saturation."""
    lost = np.asarray(words[mark.held] != words[mark.free])
    return lost & (words[mark.when] != 0) if mark.when else lost


def count_saturations(
    program: LoihiProgram,
    inputs: IntegerArray,
    states: States,
    initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
    live: npt.NDArray[np.bool_],
    counts: Mapping[str, Mapping[str, IntegerArray]],
) -> None:
    """Adds the updates in which a word saturates to `counts`.

    Args:
        program: what ran.
        inputs: encoded samples, int64 (batch, time, channels).
        states: for each population and recorded word (batch, time, neurons).
        initial_state: for each population and state word (batch, neurons).
        live: which steps of which sequences count, (batch, time).
        counts: for each population and name of a saturation int64 (neurons,).
    """
    order = [program.input.name, *(p.name for p in program.populations)]
    for place, population in enumerate(program.populations, start=1):
        marks = program.saturations[population.name]
        if not marks:
            continue
        messages: dict[str, IntegerArray] = {program.input.name: inputs}
        for source in program.populations:
            held = source.program.message_state
            messages[source.name] = sent = states[source.name][held or "message"]
            if order.index(source.name) >= place:  # it is heard a sample later
                first = initial_state[source.name][held] if held else np.zeros_like(sent[:, 0])
                messages[source.name] = _before(sent, first)
        kept = {
            word: _before(states[population.name][word], initial_state[population.name][word])
            for word in population.program.state_names
        }
        rows = np.flatnonzero(live)
        size = max(AT_ONCE // population.size, 1)
        for chosen in (rows[begin : begin + size] for begin in range(0, rows.size, size)):
            heard = {n: _rows(v, chosen) for n, v in messages.items()}
            sums = _sums(program, population, heard, chosen.size)
            words: dict[str, IntegerArray] = {}
            update(
                population,
                sums,
                {word: _rows(values, chosen) for word, values in kept.items()},
                words.__setitem__,
            )
            for mark in marks:
                lost = np.broadcast_to(saturated(mark, words), (chosen.size, population.size))
                total = counts[population.name][mark.name]
                total += np.count_nonzero(lost, axis=0)


def _before(values: IntegerArray, first: npt.NDArray[Any]) -> IntegerArray:
    """Each step's value before it: of the step before, or the first one."""
    return np.concatenate([np.asarray(first, np.int64)[:, None], values[:, :-1]], axis=1)


def _rows(values: IntegerArray, chosen: IntegerArray) -> IntegerArray:
    return np.asarray(values.reshape(-1, values.shape[-1])[chosen], np.int64)


def _sums(
    program: LoihiProgram, population: Population, messages: Mapping[str, IntegerArray], rows: int
) -> dict[str, IntegerArray]:
    """Sums of the accumulators, (rows, neurons); exact in float64, where all is below 2**24."""
    sums = {a: np.zeros((rows, population.size), np.int64) for a in population.program.accumulators}
    for connection in program.incoming(population.name):
        arriving = connection.summing(np.float64)(messages[connection.source])
        for place, accumulator in enumerate(connection.accumulators):
            own = slice(place * population.size, (place + 1) * population.size)
            sums[accumulator] += arriving[:, own].astype(np.int64)
    return sums
