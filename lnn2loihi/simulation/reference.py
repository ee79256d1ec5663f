"""The reference executor: the meaning of a LoihiProgram, in NumPy, in chip time.

It is the oracle that every other executor is compared with, so it is written to be read: one
line per equation, int64 throughout, no shortcut that the chip would not take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lnn2loihi.errors import ProgramError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.synapses import Summing
from lnn2loihi.neurons.instructions import apply
from lnn2loihi.neurons.turns import Turns
from lnn2loihi.program import Convolution, LoihiProgram, Population
from lnn2loihi.simulation.memory import check_dense
from lnn2loihi.simulation.result import IntegerRun, OnStep, recorded_words

NAME = "reference"


def update(
    population: Population,
    sums: Mapping[str, IntegerArray],
    state: Mapping[str, IntegerArray],
    watch: Callable[[str, IntegerArray], None] | None = None,
) -> tuple[IntegerArray, dict[str, IntegerArray]]:
    """One update of a population: its message and its new state, (batch, neurons) each.

    Args:
        population: the neuron program with its parameters.
        sums: the sum of each accumulator, (batch, neurons).
        state: each state word, (batch, neurons).
        watch: called with every word that is made.
    """
    words: dict[str, Any] = {**sums, **population.parameters, **state}
    new_state = dict(state)
    message = np.zeros_like(next(iter(sums.values())))
    for instruction in population.program.instructions:
        operands = [words[o] if isinstance(o, str) else np.int64(o) for o in instruction.operands]
        if instruction.opcode == "SPIKE":
            message = message + operands[0]
        elif instruction.result in new_state:
            new_state[instruction.result] = operands[0] + np.zeros_like(message)
        else:
            words[instruction.result] = apply(instruction.opcode, operands, instruction.shift)
            if watch is not None:
                watch(instruction.result, words[instruction.result])
    return message, new_state


def run_reference(
    program: LoihiProgram,
    inputs: IntegerArray,
    initial_state: Mapping[str, Mapping[str, IntegerArray]],
    on_step: OnStep | None = None,
    check_bounds: bool = False,
) -> IntegerRun:
    """Runs a program step by step.

    Args:
        program: what to run.
        inputs: encoded samples, int64 (batch, time, channels).
        initial_state: for each population and state word int64 (batch, neurons).
        on_step: called after each chip step with the steps done and the steps in all.
        check_bounds: compare every word of every step with its proved bound.

    Raises:
        InputError: its dense matrices are larger than the limit.
        ProgramError: `check_bounds` found a word outside its bound, which disproves the proof.
    """
    batch, time, _ = inputs.shape
    schedule = program.schedule
    check_dense(program, [c for c in program.connections if not isinstance(c, Convolution)])
    summing = [c.summing() for c in program.connections]
    states = {name: dict(words) for name, words in initial_state.items()}
    sent: dict[str, list[IntegerArray]] = {
        name: [] for name in (program.input.name, *states)
    }  # every message of every step, by sender
    # What arrives before the step of the update, and waits in state words.
    kept = {
        p.name: {a: np.zeros((batch, p.size), np.int64) for a in p.turns.kept}
        for p in program.populations
    }
    record = {
        p.name: {w: np.zeros((batch, time, p.size), np.int64) for w in recorded_words(p.program)}
        for p in program.populations
    }
    for step in range(schedule.steps(time)):
        message = np.zeros_like(inputs[:, 0])
        turn = schedule.turn(step, schedule.first_input)
        if turn is not None and 0 <= turn[0] < time:
            rows = slice(turn[1], None, schedule.interleave)
            message[rows] = inputs[rows, turn[0]]
        sent[program.input.name].append(message)
        for population in program.populations:
            name, state = population.name, states[population.name]
            ports = _arriving(program, population, summing, sent, step, batch)
            sums = _sums(population.turns, ports, kept[name])
            message = np.zeros((batch, population.size), np.int64)
            turn = schedule.turn(step, schedule.first_valid[name])
            if turn is None or turn[0] < 0:
                for accumulator, source in population.turns.moves:
                    moved = ports[source] if isinstance(source, int) else kept[name][source]
                    kept[name][accumulator] = moved
            if turn is not None and turn[0] < time:
                sample, sequence = turn
                rows = slice(sequence, None, schedule.interleave)  # the sequences whose turn it is
                if sample < 0:
                    held = population.program.message_state
                    message[rows] = state[held][rows] if held else 0
                else:
                    watch = _bound_watch(program, name) if check_bounds else None
                    own = {word: values[rows] for word, values in sums.items()}
                    now = {word: values[rows] for word, values in state.items()}
                    message[rows], new = update(population, own, now, watch)
                    for word, values in new.items():
                        state[word] = state[word].copy()
                        state[word][rows] = values
                    for word in record[name]:
                        words = {**new, "message": message[rows]}
                        record[name][word][rows, sample] = words[word]
            sent[name].append(message)
        if on_step is not None:
            on_step(step + 1, schedule.steps(time))
    return IntegerRun(NAME, record)


def _arriving(
    program: LoihiProgram,
    population: Population,
    summing: Sequence[Summing],
    sent: Mapping[str, list[IntegerArray]],
    step: int,
    batch: int,
) -> list[IntegerArray]:
    """For each port the sum of the messages that arrive in this step: those sent 1 + delay steps
    before, whichever accumulator of the program they are meant for.
    """
    size, turns = population.size, population.turns
    sums = [np.zeros((batch, size), np.int64) for _ in range(turns.width)]
    for connection, sums_of in zip(program.connections, summing, strict=True):
        departure = step - 1 - connection.delay
        if connection.target != population.name or departure < 0:
            continue
        arriving = sums_of(sent[connection.source][departure])
        for place, accumulator in enumerate(connection.accumulators):
            sums[turns.places[accumulator]] += arriving[:, place * size : (place + 1) * size]
    return sums


def _sums(
    turns: Turns, ports: Sequence[IntegerArray], kept: Mapping[str, IntegerArray]
) -> dict[str, IntegerArray]:
    """The sum of each accumulator in an update: what has just arrived, or what has waited."""
    return {a: kept[a] if turns.leads[a] else ports[place] for a, place in turns.places.items()}


def _bound_watch(program: LoihiProgram, name: str) -> Callable[[str, IntegerArray], None]:
    bounds = program.bounds[name].words

    def watch(word: str, values: IntegerArray) -> None:
        if np.any(values < bounds[word].low) or np.any(values > bounds[word].high):
            raise ProgramError(
                f"population {name}",
                f"word {word!r} reached [{values.min()}, {values.max()}], proved was "
                f"{list(bounds[word].hull)}; this is a bug of lnn2loihi, please report it",
            )

    return watch
