"""One update of a population beside one answer of its stage: what the neuron program computes, at
all sums that its rows can make, with the chip's own weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.stage import FIRST, INPUT, RESTART, Stage
from lnn2loihi.neurons.operations import ELAPSED
from lnn2loihi.neurons.phase import PHASE
from lnn2loihi.program import LoihiProgram, Population
from lnn2loihi.quantization.post_training import Plan
from lnn2loihi.quantization.rounding import column_scales
from lnn2loihi.simulation import full_initial_state
from lnn2loihi.simulation.reference import run_reference, update

#: Messages of a row that are drawn at random, in all shares of their range.
DRAWN = 48
#: Samples for which inputs stand at an end of their range.
LASTING = 32
#: Shares of the range of messages.
SHARES = 2.0 ** -np.arange(0.0, 12.0)


#: Smallest and largest integers, (units,) each; for each population and word these.
Ends = tuple[IntegerArray, IntegerArray]
Reached = Mapping[str, Mapping[str, Ends]]


@dataclass(frozen=True)
class Answers:
    """What a stage answers, and what its population does, (cases, units) each.

    Attributes:
        name: "the message", or a word of the memory.
        expected, found: float64, by `Stage.answer` and decoded from the integers.
        step: float64 (units,), real value of one unit of the integers.
        counted: bool, where a word saturated and that is counted.
        size: float64 (cases, units), the magnitude that errors are compared with.
        sums, memory: what the stage got, by gate and by word, (cases, units) each.
    """

    name: str
    expected: FloatArray
    found: FloatArray
    step: FloatArray
    counted: npt.NDArray[np.bool_]
    size: FloatArray
    sums: Mapping[str, FloatArray]
    memory: Mapping[str, FloatArray]


def answers_of(
    plan: Plan, program: LoihiProgram, stage: Stage, reach: Reached
) -> Iterator[Answers]:
    """The message, and each word of the memory.

    Args:
        plan: what the program was made of, without correction.
        program: the program.
        stage: one of its stages.
        reach: what `reached` says of the program.
    """
    rng = np.random.default_rng(7)
    population, lowering = program.population(stage.name), plan.lowering(stage)
    sources = plan.sources(stage)
    exponents, rows = plan.rows(stage)
    heard = [_messages_of(program, source.name, reach) for source in stage.sources]
    low, high = (
        np.concatenate(
            [ends[end][: s.columns] for ends, s in zip(heard, stage.sources, strict=True)]
        )
        for end in (0, 1)
    )
    fused = np.concatenate([row.mantissas for row in rows]).astype(np.int64)
    messages = _messages(rng, low, high, fused)
    scale, left = column_scales(sources, exponents)
    offset = 0.0 if lowering.offset is None else lowering.offset
    accumulators: dict[str, Any] = {}
    sums: dict[str, FloatArray] = {}
    for (name, gate), row in zip(stage.gates.items(), rows, strict=True):
        sent = (messages * left.astype(np.int64)) @ row.mantissas.T.astype(np.int64)
        accumulators[name] = sent
        if stage.selects:
            sums[name] = gate(messages * scale)
        else:
            sums[name] = (sent + row.bias) * row.unit + offset
    shape = (len(messages), stage.units)
    elapsed = None
    if stage.timed:
        ends = int(program.input.low[-1]), int(program.input.high[-1])
        time = rng.integers(*ends, (len(messages), 1), endpoint=True)
        assert plan.senders.elapsed is not None
        accumulators[ELAPSED] = np.broadcast_to(time, shape)
        elapsed = time * plan.senders.elapsed.step
    state, memory = _states(rng, plan, program, stage, reach[stage.name], shape)
    for name in (FIRST, RESTART):
        if name in population.program.accumulators and name not in accumulators:
            accumulators[name] = np.zeros(shape, np.int64)
    if stage.starts_from and PHASE not in state:  # it starts anew each time
        sender = plan.senders.sources[stage.starts_from]
        given = rng.integers(*_messages_of(program, stage.starts_from, reach), shape, endpoint=True)
        accumulators[RESTART] = given
        memory = dict.fromkeys(stage.memory, given * sender.step)
    words: dict[str, Any] = {}
    message, new = update(population, accumulators, state, words.__setitem__)
    counted = _counted(program, population, words, shape)
    expected, kept = stage.answer(sums, memory, elapsed)
    steps = {word: lowering.memory_steps[word] for word in stage.memory}
    pairs: list[tuple[str, FloatArray, Any, Any]] = [
        ("the message", expected, population.decode(message), population.scale)
    ]
    pairs += [
        (f"its {word}", kept[word], new[word] * np.asarray(step), step)
        for word, step in steps.items()
    ]
    usual = max(1.0, 4.0 * _largest(plan, stage))
    for name, wanted, found, step in pairs:
        step = np.broadcast_to(np.asarray(step, np.float64), (stage.units,))
        largest = min(float(np.abs(wanted).max()), usual)
        size = np.maximum(np.abs(wanted), largest)
        yield Answers(name, wanted, found, step, counted, size, sums, memory)


def _largest(plan: Plan, stage: Stage) -> float:
    """The largest number that the stage answers or keeps on the calibration data."""
    result = plan.calibration.result
    every = [result.states[stage.name], *result.memory.get(stage.name, {}).values()]
    return max(float(np.abs(values).max()) for values in every)


def _messages(
    rng: np.random.Generator, low: IntegerArray, high: IntegerArray, fused: IntegerArray
) -> IntegerArray:
    """What the stage hears, (cases, columns): at random, and what drives rows as far as they go, in
    all shares of the range.
    """
    drawn = rng.integers(low, high, (DRAWN, low.size), endpoint=True)
    picked = fused[rng.permutation(len(fused))[: DRAWN // 4]]
    far = np.where(picked > 0, high, low), np.where(picked > 0, low, high)
    every = np.concatenate([drawn, *far])
    shares = np.resize(SHARES, len(drawn))[:, None]
    parts = [np.round(drawn * shares), *(np.round(np.concatenate(far) * s) for s in SHARES)]
    return np.concatenate([every, *parts]).astype(np.int64)


def _messages_of(program: LoihiProgram, name: str, reach: Reached) -> Ends:
    """The smallest and the largest messages of a sender."""
    if name == INPUT:
        return program.input.low, program.input.high
    return reach[name][program.population(name).program.message_state or "message"]


def reached(program: LoihiProgram) -> Reached:
    """The smallest and the largest value of each state word and message while inputs stand at ends
    of their range, or move at random within it: nobody has to compute what lies beyond.
    """
    rng, port = np.random.default_rng(8), program.input
    steps = LASTING * program.substeps
    sides = np.stack([np.ones(port.size), np.zeros(port.size), *rng.integers(0, 2, (2, port.size))])
    held = np.repeat(np.where(sides > 0, port.high, port.low)[:, None], steps, axis=1)
    moving = rng.integers(port.low, port.high, (2, steps, port.size), endpoint=True)
    inputs = np.concatenate([held, moving]).astype(np.int64)
    run = run_reference(program, inputs, full_initial_state(program, len(inputs), None))
    return {
        name: {
            word: (
                np.minimum(values.min(axis=(0, 1)), 0),
                np.maximum(values.max(axis=(0, 1)), 0),
            )
            for word, values in words.items()
        }
        for name, words in run.states.items()
    }


def _states(
    rng: np.random.Generator,
    plan: Plan,
    program: LoihiProgram,
    stage: Stage,
    ends: Mapping[str, Ends],
    shape: tuple[int, int],
) -> tuple[dict[str, IntegerArray], dict[str, FloatArray]]:
    """State words within what they reach, and the memory that they stand for."""
    population, steps = program.population(stage.name), plan.lowering(stage).memory_steps
    shares = np.resize(SHARES[:6], shape[0])[:, None]
    state: dict[str, Any] = {}
    for word, _ in population.program.states:
        if word == PHASE:
            state[word] = np.full(shape, 0 if stage.once else 1)
        else:
            drawn = rng.integers(*ends[word], shape, endpoint=True)
            state[word] = np.round(drawn * shares).astype(np.int64)
    memory = {word: state[word] * np.asarray(steps[word], float) for word in stage.memory}
    held = population.program.message_state
    for word, values in memory.items():
        if held is not None and held != word and stage.state_name(word) == stage.name:
            sent = np.floor(values / population.scale + 0.5).astype(np.int64)
            state[held] = np.clip(sent, population.message_low, population.message_high)
    return state, memory


def _counted(
    program: LoihiProgram,
    population: Population,
    words: Mapping[str, IntegerArray],
    shape: tuple[int, int],
) -> npt.NDArray[np.bool_]:
    """Where a word saturated."""
    found = np.zeros(shape, bool)
    for mark in program.saturations[population.name]:
        lost = words[mark.free] != words[mark.held]
        found |= lost & (words[mark.when] != 0) if mark.when else lost
    return found
