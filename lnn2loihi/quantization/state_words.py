"""States of a network as words of its program: which words hold them, and to and fro."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.formats import IntegerArray, signed_range
from lnn2loihi.layers.stage import Stage
from lnn2loihi.network import FloatArray
from lnn2loihi.program import LoihiProgram, Population


@dataclass(frozen=True, eq=False)
class StateWord:
    """A word of a population that holds a state of the network.

    Attributes:
        population: name of the population.
        word: name of its word.
        state: name of the state, of those in `LiquidNetwork.state_sizes`.
        step: real value of one unit of the word, float64 (neurons,).
    """

    population: str
    word: str
    state: str
    step: FloatArray


def words_of(
    population: Population, stage: Stage, memory_steps: Mapping[str, float | FloatArray]
) -> list[StateWord]:
    """The words of a population that hold states; others count updates.

    Where a state is kept more finely than it is sent, the word that keeps it comes last, and
    counts.

    Args:
        population: the population.
        stage: the stage that it was made of.
        memory_steps: see `lnn2loihi.lowering.Lowering`.
    """

    def word(name: str, state: str, step: float | FloatArray) -> StateWord:
        steps = np.broadcast_to(np.asarray(step, np.float64), (population.size,))
        return StateWord(population.name, name, state, steps)

    found: list[StateWord] = []
    if population.program.message_state:
        found.append(word(population.program.message_state, population.name, population.scale))
    return found + [word(n, stage.state_name(n), step) for n, step in memory_steps.items()]


def encoded_states(
    words: Sequence[StateWord], program: LoihiProgram, states: Mapping[str, FloatArray]
) -> tuple[dict[str, dict[str, IntegerArray]], dict[str, int]]:
    """Words that a program starts from: rounded half up, saturated at what a word may hold.

    Args:
        words: of the program.
        program: the program.
        states: real values by the state's name, float64 (batch, units); zeros where absent.

    Returns:
        For each population and word int64 (batch, neurons), for those whose state is given; and
        for each state how many of its values a word does not hold.
    """
    start: dict[str, dict[str, IntegerArray]] = {}
    saturated: dict[str, int] = {}
    for one in words:
        if one.state not in states:
            continue
        population = program.population(one.population)
        low, high = signed_range(dict(population.program.states)[one.word])
        if one.word == population.program.message_state:
            low, high = population.message_low, population.message_high
        values = np.floor(np.asarray(states[one.state], np.float64) / one.step + 0.5)
        beyond = int(np.count_nonzero((values < low) | (values > high)))
        if beyond:
            saturated[one.state] = max(saturated.get(one.state, 0), beyond)
        integers = np.clip(values, low, high).astype(np.int64)
        start.setdefault(one.population, {})[one.word] = integers
    return start, saturated


def decoded_states(
    words: Sequence[StateWord], final_state: Mapping[str, Mapping[str, IntegerArray]]
) -> dict[str, FloatArray]:
    """Real values of states by name, float64 (batch, units).

    Args:
        words: of the program.
        final_state: for each population and word (batch, neurons), as simulations answer it.
    """
    return {one.state: final_state[one.population][one.word] * one.step for one in words}
