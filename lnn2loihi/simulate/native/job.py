"""Everything that the C engine needs for one run, as the structures of source/types.h."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import InputPort, Population
from lnn2loihi.simulate.native.kernel_code import LANES
from lnn2loihi.simulate.native.layout import Layout
from lnn2loihi.simulate.result import Counters, EngineRun, SaturationCounts, recorded_words


class _PopulationStructure(ctypes.Structure):
    """population_t."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in (
            "neurons", "accumulators", "states", "parameters", "tile_neurons", "first_pair",
            "message_state", "marks", "planes")),
        *((name, ctypes.c_void_p) for name in (
            "update_sequences", "update_neurons", "shifts", "weights", "columns",
            "weight_starts", "column_starts", "pair_counts", "parameter_values", "row_weights",
            "row_columns")),
        ("row_pairs", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in (
            "row_starts", "row_values", "row_parameters", "initial", "final", "record",
            "non_zero", "changed", "saturated")),
    ]  # fmt: skip


class _RunStructure(ctypes.Structure):
    """run_t."""

    _fields_ = [
        ("batch", ctypes.c_int64), ("time", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in (
            "channels", "populations", "pairs", "output", "kind")),
        *((name, ctypes.c_void_p) for name in (
            "x", "gain", "offset", "low", "high", "lengths", "saturated", "input_non_zero",
            "input_changed", "outputs", "step_totals", "shared", "list")),
    ]  # fmt: skip


#: Types of samples, as the enumeration of source/types.h.
_KINDS = {np.dtype(np.int32): 0, np.dtype(np.float64): 1, np.dtype(np.float32): 2}


@dataclass(frozen=True)
class _BoundPopulation:
    """A population's structure and the arrays that it points to."""

    name: str
    structure: _PopulationStructure
    recorded: dict[str, npt.NDArray[np.int32]]
    initial: npt.NDArray[np.int32]
    final: npt.NDArray[np.int32]
    counts: IntegerArray
    words: tuple[str, ...]
    marks: tuple[str, ...]
    saturated: IntegerArray


class Job:
    """Arrays and structures of one run; they live as long as it does.

    Args:
        layout: the program as the kernels want it.
        updates: for each neuron program of the layout the addresses of its two updates.
        port: input port of the program.
        populations: populations of the program.
        output: place of the output population.
        x: (batch, time, channels), float64 or float32 samples or int32 encoded messages,
            contiguous.
        lengths: samples of each sequence, int64 (batch,).
        initial_state: for each population and state word (batch, neurons).
        record: whether to keep every state of every step.
        step_totals: whether to count messages of each step too.
    """

    def __init__(
        self,
        layout: Layout,
        updates: Sequence[tuple[int, int]],
        port: InputPort,
        populations: tuple[Population, ...],
        output: int,
        x: npt.NDArray[Any],
        lengths: IntegerArray,
        initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
        record: bool,
        step_totals: bool,
    ) -> None:
        self.batch, self.time = x.shape[:2]
        self.x, self.port, self.record = x, port, record
        self.lengths = np.ascontiguousarray(lengths, np.int64)
        #: The order to stop, and the steps that are done.
        self.shared = np.zeros(2, np.int64)
        self.outputs = self._answers(populations[output].size)
        self.counts = np.zeros((3, port.size), np.int64)
        #: (input and populations, non-zero and changed, time).
        self.step_totals = (
            np.zeros((len(populations) + 1, 2, self.time), np.int64) if step_totals else None
        )
        self.populations = [
            self._bind(layout, updates, index, population, initial_state[population.name])
            for index, population in enumerate(populations)
        ]
        self._ends = port.low.astype(np.int32), port.high.astype(np.int32)
        self._list = (_PopulationStructure * len(populations))(
            *(bound.structure for bound in self.populations)
        )
        pointers = (
            x, port.gain, port.offset, *self._ends, self.lengths, self.counts[0],
            self.counts[1], self.counts[2], self.outputs,
        )  # fmt: skip
        self._structure = _RunStructure(
            self.batch, self.time, port.size, len(populations), layout.pairs, output,
            _KINDS[x.dtype],
            *(array.ctypes.data for array in pointers),
            None if self.step_totals is None else self.step_totals.ctypes.data,
            self.shared.ctypes.data,
            ctypes.addressof(self._list),
        )  # fmt: skip
        self.address = ctypes.addressof(self._structure)

    @property
    def block_steps(self) -> int:
        """Steps of all blocks of sequences."""
        blocks = range(0, self.batch, LANES)
        return int(sum(self.lengths[first : first + LANES].max() for first in blocks))

    def carry_over(self) -> None:
        """From now on a run starts where the last one ended."""
        for place, bound in enumerate(self.populations):
            self._list[place].initial = bound.final.ctypes.data

    def result(self, executor: str) -> tuple[EngineRun, IntegerArray]:
        """What the engine wrote, and the saturated input values of each channel."""
        non_zero = {self.port.name: self.counts[1]}
        changed = {self.port.name: self.counts[2]}
        for bound in self.populations:
            non_zero[bound.name], changed[bound.name] = bound.counts
        run = EngineRun(
            executor,
            self.outputs,
            {bound.name: bound.recorded for bound in self.populations} if self.record else None,
            {
                bound.name: dict(zip(bound.words, bound.final, strict=False))
                for bound in self.populations
            },
            Counters(non_zero, changed, int(self.lengths.sum()), *self._step_totals()),
            self.saturated_words(),
        )
        return run, self.counts[0]

    def saturated_words(self) -> SaturationCounts:
        """Updates in which words saturated, so far."""
        return {
            bound.name: dict(zip(bound.marks, bound.saturated.T.copy(), strict=True))
            for bound in self.populations
        }

    def _answers(self, neurons: int, *planes: int) -> npt.NDArray[np.int32]:
        """An array [plane][sequence][step][neuron] that the engine fills; zeros where it does not.

        NumPy asks for huge pages for large arrays that it does not have to clear: with them the
        first touch of the memory takes a seventh of the time.
        """
        array = np.empty((*planes, self.batch, self.time, neurons), np.int32)
        for sequence in np.flatnonzero(self.lengths < self.time):
            array[..., sequence, self.lengths[sequence] :, :] = 0
        return array

    def _step_totals(self) -> tuple[dict[str, IntegerArray] | None, ...]:
        if self.step_totals is None:
            return None, None
        names = [self.port.name, *(bound.name for bound in self.populations)]
        return tuple(dict(zip(names, self.step_totals[:, kind], strict=True)) for kind in range(2))

    def _bind(
        self,
        layout: Layout,
        updates: Sequence[tuple[int, int]],
        index: int,
        population: Population,
        start: Mapping[str, npt.NDArray[Any]],
    ) -> _BoundPopulation:
        words, size = population.program.state_names, population.size
        initial = np.zeros((max(len(words), 1), self.batch, size), np.int32)
        for place, word in enumerate(words):
            initial[place] = start[word]
        final = initial.copy()
        planes = recorded_words(population.program)
        recorded = self._answers(size, len(planes)) if self.record else np.zeros(1, np.int32)
        counts = np.zeros((2, size), np.int64)
        laid = layout.populations[index]
        marks = tuple(mark.name for mark in layout.programs[laid.program].saturations or ())
        saturated = np.zeros((size, len(marks)), np.int64)
        state = population.program.message_state
        tiled = (
            laid.shifts, laid.weights, laid.columns, laid.weight_starts, laid.column_starts,
            laid.pair_counts, laid.parameters,
        )  # fmt: skip
        structure = _PopulationStructure(
            size, len(population.program.accumulators), len(words), laid.parameters.shape[1],
            laid.tile_neurons, laid.first_pair, words.index(state) if state else -1, len(marks),
            len(planes),
            *updates[laid.program],
            *(array.ctypes.data for array in tiled),
            None if laid.row_weights is None else laid.row_weights.ctypes.data,
            laid.row_columns.ctypes.data, laid.row_columns.size, laid.row_starts.ctypes.data,
            laid.row_values.ctypes.data, laid.row_parameters.ctypes.data,
            initial.ctypes.data, final.ctypes.data,
            recorded.ctypes.data if self.record else None,
            counts[0].ctypes.data, counts[1].ctypes.data, saturated.ctypes.data,
        )  # fmt: skip
        kept = dict(zip(planes, recorded, strict=True)) if self.record else {}
        return _BoundPopulation(
            population.name, structure, kept, initial, final, counts, words, marks, saturated
        )
