"""The BLAS engine: matrix products in floating point that are proved exact, the rest in int32.

It needs no compiler. A float32 product is exact where every partial sum stays below 2**24, a
float64 product below 2**53; the proved bound of each accumulator says which of them a population
may use. It runs in sample time: the schedule is checked when a program is made, so a message of
another stage is always that of the same sample, and its own that of the sample before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.convolution import AnyConnection, Convolution
from lnn2loihi.graph.synapses import Summing
from lnn2loihi.program import LoihiProgram, Population
from lnn2loihi.simulation.machine import Machine
from lnn2loihi.simulation.memory import check_dense
from lnn2loihi.simulation.result import EngineRun, OnStep, recorded_words

NAME = "blas"
#: Sequences that run side by side.
BLOCK = 256
EXACT_FLOAT32 = 1 << 24


class _Stage:
    """A population of one block: its weights as floats, and its machine."""

    def __init__(self, program: LoihiProgram, population: Population, width: int) -> None:
        self.population = population
        self.machine = Machine(population, width, program.saturations[population.name])
        intervals = program.partial_sum_intervals(population.name).values()
        largest = max(max(-interval.hull[0], interval.hull[1]) for interval in intervals)
        self.carrier = np.float32 if largest < EXACT_FLOAT32 else np.float64
        self.summing = [(c.source, self._sums(c)) for c in program.incoming(population.name)]

    def _sums(self, connection: AnyConnection) -> Summing:
        """Sums from a connection, (width, accumulators * neurons), zero where nothing is fed."""
        known, size = self.population.program.accumulators, self.population.size
        if connection.accumulators == known:
            return connection.summing(self.carrier)
        if isinstance(connection, Convolution):
            return _among(connection.summing(self.carrier), connection.accumulators, known, size)
        dense = connection.dense(self.carrier)
        fused = np.zeros((dense.shape[1], len(known) * size), dense.dtype)
        for place, accumulator in enumerate(connection.accumulators):
            first = known.index(accumulator) * size
            fused[:, first : first + size] = dense[place * size : (place + 1) * size].T
        return lambda messages: messages.astype(self.carrier) @ fused

    def update(self, sent: Mapping[str, npt.NDArray[Any]]) -> None:
        """One update from the messages (width, neurons) of all sources, as float64 integers."""
        total: Any = np.zeros(1)  # of every row, where nothing is heard
        for source, sums in self.summing:
            total = total + sums(sent[source])
        self.machine.update(total.astype(np.int32).ravel())


def _among(sums: Summing, fed: tuple[str, ...], known: tuple[str, ...], size: int) -> Summing:
    """The sums at their place among those of all accumulators."""

    def placed(messages: npt.NDArray[Any]) -> npt.NDArray[Any]:
        arriving = sums(messages)
        found = np.zeros((len(messages), len(known) * size), arriving.dtype)
        for place, accumulator in enumerate(fed):
            first = known.index(accumulator) * size
            found[:, first : first + size] = arriving[:, place * size : (place + 1) * size]
        return found

    return placed


def run_blas(
    program: LoihiProgram,
    inputs: IntegerArray,
    initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
    lengths: IntegerArray,
    record: bool = False,
    on_step: OnStep | None = None,
    step_totals: bool = False,
) -> EngineRun:
    """Runs a program on encoded samples.

    Args:
        program: what to run; its initiation interval is 1.
        inputs: int64 (batch, time, channels).
        initial_state: for each population and state word (batch, neurons).
        lengths: samples of each sequence, int64 (batch,).
        record: whether to keep every state of every step.
        on_step: called with the steps done and the steps in all, over all blocks.
        step_totals: whether to count messages of each step too.
    """
    check_dense(program, [c for c in program.connections if not isinstance(c, Convolution)])
    batch, time, _ = inputs.shape
    run = EngineRun.empty(NAME, program, time, initial_state, lengths, record, step_totals)
    blocks = range(0, batch, BLOCK)
    for number, first in enumerate(blocks):
        chosen = slice(first, min(first + BLOCK, batch))
        stages = [_Stage(program, p, chosen.stop - first) for p in program.populations]
        for stage in stages:
            name = stage.population.name
            words = {w: v[chosen].ravel() for w, v in initial_state[name].items()}
            stage.machine.reset({w: v.astype(np.int32) for w, v in words.items()})
        block = _Block(program, run, stages, chosen, lengths[chosen])
        for step in range(time):
            block.step(step, inputs[chosen, step])
            if on_step is not None:
                on_step(number * time + step + 1, len(blocks) * time)
    return run


class _Block:
    """The sequences that run side by side."""

    def __init__(
        self,
        program: LoihiProgram,
        run: EngineRun,
        stages: list[_Stage],
        chosen: slice,
        lengths: IntegerArray,
    ) -> None:
        self.program, self.run, self.stages = program, run, stages
        self.chosen, self.lengths = chosen, lengths
        width = chosen.stop - chosen.start
        self.sent: dict[str, npt.NDArray[Any]] = {
            program.input.name: np.zeros((width, program.input.size), np.int64)
        }
        for stage in stages:
            message = stage.machine.message.reshape(width, -1)
            self.sent[stage.population.name] = message.astype(np.int64)

    def step(self, step: int, inputs: IntegerArray) -> None:
        """One sample of every sequence; sequences that have ended are run but not kept."""
        live, ending = step < self.lengths, step + 1 == self.lengths
        self._send(self.program.input.name, inputs, live, step)
        for stage in self.stages:
            population = stage.population
            stage.update(self.sent)
            words = {
                word: values.reshape(len(live), -1) for word, values in stage.machine.words.items()
            }
            self._send(population.name, words["message"].astype(np.int64), live, step)
            assert self.run.saturated_words is not None
            for name, lost in stage.machine.lost.items():
                counts = self.run.saturated_words[population.name][name]
                counts += np.count_nonzero(lost.reshape(len(live), -1)[live], axis=0)
            place = np.arange(self.chosen.start, self.chosen.stop)
            if population.name == self.program.output:
                self.run.integers[place[live], step] = words["message"][live]
            for word, final in self.run.final_state[population.name].items():
                final[place[ending]] = words[word][ending]
            if self.run.states is not None:
                for word in recorded_words(population.program):
                    self.run.states[population.name][word][place[live], step] = words[word][live]

    def _send(
        self, name: str, messages: IntegerArray, live: npt.NDArray[np.bool_], step: int
    ) -> None:
        sent = messages[live][:, None]
        self.run.counters.add(name, sent != 0, sent != self.sent[name][live][:, None], step)
        self.sent[name] = messages
