"""Everything that the C engine needs for one run, as the structures of source/types.h."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.program import InputPort, Population
from lnn2loihi.simulation.native.convolved import SharedKernel
from lnn2loihi.simulation.native.layout import Layout, PopulationLayout
from lnn2loihi.simulation.native.plan import Piece
from lnn2loihi.simulation.result import Counters, EngineRun, SaturationCounts, recorded_words


class _PopulationStructure(ctypes.Structure):
    """population_t."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in (
            "neurons", "accumulators", "states", "parameters", "tile_neurons", "first_pair",
            "message_state", "marks", "planes", "places")),
        *((name, ctypes.c_void_p) for name in (
            "update_sequences", "update_neurons", "shifts", "weights", "columns",
            "weight_starts", "column_starts", "pair_counts", "parameter_values", "row_weights",
            "row_columns")),
        ("row_pairs", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in (
            "row_starts", "row_values", "row_parameters", "initial", "final", "record",
            "non_zero", "changed", "saturated", "convolutions", "digit_bits")),
    ]  # fmt: skip


class _ConvolutionStructure(ctypes.Structure):
    """convolution_t."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in (
            "tile_channels", "groups", "inner", "outer", "height", "width", "taps", "across_taps",
            "across")),
        ("first", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in (
            "tile_weights", "columns", "weight_starts", "column_starts", "pair_counts", "offsets",
            "weights", "used", "down_starts", "down_taps", "down_windows", "across_starts",
            "across_of_tap", "across_windows")),
    ]  # fmt: skip

    @classmethod
    def of(cls, kernel: SharedKernel) -> _ConvolutionStructure:
        """The structure of a kernel, which has to live as long."""
        windows = kernel.windows
        channels, inner, tall, wide = windows.kernel_shape
        return cls(
            kernel.tile_channels, windows.groups, inner, channels // windows.groups,
            *windows.source_shape[1:], tall * wide, wide, windows.target_shape[2], kernel.first,
            *map(address_of, (
                kernel.weights, kernel.columns, kernel.weight_starts, kernel.column_starts,
                kernel.pair_counts, kernel.offsets, kernel.scattered, kernel.used, *kernel.reached,
            )),
        )  # fmt: skip


class _RunStructure(ctypes.Structure):
    """run_t."""

    _fields_ = [
        ("batch", ctypes.c_int64), ("time", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in (
            "channels", "populations", "pairs", "output", "kind")),
        *((name, ctypes.c_void_p) for name in (
            "x", "gain", "offset", "low", "high", "lengths", "saturated", "input_non_zero",
            "input_changed", "outputs", "step_totals", "shared", "list", "digit_bits")),
    ]  # fmt: skip


#: Types of samples, as the enumeration of source/types.h.
_KINDS = {np.dtype(np.int32): 0, np.dtype(np.float64): 1, np.dtype(np.float32): 2}


def address_of(array: npt.NDArray[Any]) -> int:
    """Where an array's values begin; a third of the time that `array.ctypes.data` takes."""
    return array.__array_interface__["data"][0]


class _Template:
    """What is the same in all runs of a population: the structure, all but its answers."""

    def __init__(
        self, population: Population, laid: PopulationLayout, program: NeuronProgram,
        updates: tuple[int, int],
    ) -> None:  # fmt: skip
        self.name, self.size = population.name, population.size
        self.words = program.state_names
        self.planes = recorded_words(program)
        self.marks = tuple(mark.name for mark in program.saturations or ())
        state = program.message_state
        tiled = (
            laid.shifts, laid.weights, laid.columns, laid.weight_starts, laid.column_starts,
            laid.pair_counts, laid.parameters,
        )  # fmt: skip
        self.convolutions = (_ConvolutionStructure * len(laid.kernels))(
            *map(_ConvolutionStructure.of, laid.kernels)
        )
        self.structure = _PopulationStructure(
            population.size, len(program.accumulators), len(self.words), laid.parameters.shape[1],
            laid.tile_neurons, laid.first_pair, self.words.index(state) if state else -1,
            len(self.marks), len(self.planes), laid.places,
            *updates,
            *map(address_of, tiled),
            None if laid.row_weights is None else address_of(laid.row_weights),
            address_of(laid.row_columns), laid.row_columns.size,
            None if laid.row_starts is None else address_of(laid.row_starts),
            address_of(laid.row_values), address_of(laid.row_parameters),
        )  # fmt: skip
        self.structure.convolutions = ctypes.addressof(self.convolutions)
        if laid.digit_bits is not None:
            self.structure.digit_bits = address_of(laid.digit_bits)


class Binding:
    """What is the same in all runs of a program.

    Args:
        layout: the program as the kernels want it; it lives as long as the binding.
        updates: for each neuron program of the layout the addresses of its two updates.
        port: input port of the program.
        populations: populations of the program.
        output: place of the output population.
    """

    def __init__(
        self,
        layout: Layout,
        updates: Sequence[tuple[int, int]],
        port: InputPort,
        populations: tuple[Population, ...],
        output: int,
    ) -> None:
        self.layout, self.port, self.output = layout, port, output
        self.ends = port.low.astype(np.int32), port.high.astype(np.int32)
        self.templates = [
            _Template(p, laid, layout.programs[laid.program], updates[laid.program])
            for p, laid in zip(populations, layout.populations, strict=True)
        ]
        digits = layout.input_digit_bits
        self.input_digits = None if digits is None else address_of(digits)
        self.codec = tuple(map(address_of, (port.gain, port.offset, *self.ends)))


@dataclass(eq=False)  # not frozen: that takes thrice as long to make
class _BoundPopulation:
    """A population's structure and the arrays that it points to."""

    template: _Template
    structure: _PopulationStructure
    recorded: dict[str, npt.NDArray[np.int32]]
    final: npt.NDArray[np.int32]
    counts: IntegerArray
    saturated: IntegerArray

    @property
    def name(self) -> str:
        """Name of the population."""
        return self.template.name


class Job:
    """Arrays and structures of one run; they live as long as it does. Another run of the same job
    goes on from where the last one ended.

    Args:
        binding: the program.
        x: (batch, time, channels), float64 or float32 samples or int32 encoded messages,
            contiguous.
        lengths: samples of each sequence, int64 (batch,).
        initial_state: for each population and state word (batch, neurons).
        record: whether to keep every state of every step.
        step_totals: whether to count messages of each step too.
    """

    def __init__(
        self,
        binding: Binding,
        x: npt.NDArray[Any],
        lengths: IntegerArray,
        initial_state: Mapping[str, Mapping[str, npt.NDArray[Any]]],
        record: bool,
        step_totals: bool,
    ) -> None:
        self.batch, self.time = x.shape[:2]
        self.x, self.port, self.record = x, binding.port, record
        self._binding = binding
        self.lengths = np.ascontiguousarray(lengths, np.int64)
        #: The order to stop, and the steps that are done.
        self.shared = np.zeros(2, np.int64)
        self._short = np.flatnonzero(self.lengths < self.time)
        self.outputs = self._answers(binding.templates[binding.output].size)
        self.counts = np.zeros((3, self.port.size), np.int64)
        #: (input and populations, non-zero and changed, time).
        self.step_totals = (
            np.zeros((len(binding.templates) + 1, 2, self.time), np.int64) if step_totals else None
        )
        self.populations = [
            self._bind(template, initial_state[template.name]) for template in binding.templates
        ]
        self._list = (_PopulationStructure * len(self.populations))(
            *(bound.structure for bound in self.populations)
        )
        counts = address_of(self.counts)
        self._structure = _RunStructure(
            self.batch, self.time, self.port.size, len(self.populations), binding.layout.pairs,
            binding.output, _KINDS[x.dtype],
            address_of(x), *binding.codec, address_of(self.lengths),
            *(counts + place * self.counts.strides[0] for place in range(3)),
            address_of(self.outputs),
            None if self.step_totals is None else address_of(self.step_totals),
            address_of(self.shared), ctypes.addressof(self._list), binding.input_digits,
        )  # fmt: skip
        self.address = ctypes.addressof(self._structure)

    def steps(self, piece: Piece) -> int:
        """Steps times lanes of the blocks of a piece."""
        firsts = np.arange(piece.first, piece.last, piece.lanes)
        longest = np.maximum.reduceat(self.lengths[: piece.last], firsts)
        lanes = np.minimum(piece.last - firsts, piece.lanes)
        return int(longest @ lanes)

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
                bound.name: dict(zip(bound.template.words, bound.final, strict=False))
                for bound in self.populations
            },
            Counters(non_zero, changed, int(self.lengths.sum()), *self._step_totals()),
            self.saturated_words(),
        )
        return run, self.counts[0]

    def saturated_words(self) -> SaturationCounts:
        """Updates in which words saturated, so far."""
        return {
            bound.name: dict(zip(bound.template.marks, bound.saturated.T.copy(), strict=True))
            for bound in self.populations
        }

    def _answers(self, neurons: int, *planes: int) -> npt.NDArray[np.int32]:
        """An array [plane][sequence][step][neuron] that the engine fills; zeros where it does not.

        NumPy asks for huge pages for large arrays that it does not have to clear: with them the
        first touch of the memory takes a seventh of the time.
        """
        array = np.empty((*planes, self.batch, self.time, neurons), np.int32)
        for sequence in self._short:
            array[..., sequence, self.lengths[sequence] :, :] = 0
        return array

    def _step_totals(self) -> tuple[dict[str, IntegerArray] | None, ...]:
        if self.step_totals is None:
            return None, None
        names = [self.port.name, *(bound.name for bound in self.populations)]
        return tuple(dict(zip(names, self.step_totals[:, kind], strict=True)) for kind in range(2))

    def _bind(self, template: _Template, start: Mapping[str, npt.NDArray[Any]]) -> _BoundPopulation:
        words, size, marks = template.words, template.size, template.marks
        # Initial and final states in one: what begins a sequence is read before its end is written.
        final = np.empty((max(len(words), 1), self.batch, size), np.int32)
        for place, word in enumerate(words):
            final[place] = start[word]
        planes = template.planes if self.record else ()
        recorded = self._answers(size, len(planes)) if planes else ()
        counts = np.zeros((2 + len(marks), size), np.int64)
        structure = _PopulationStructure.from_buffer_copy(template.structure)
        structure.initial = structure.final = address_of(final)
        structure.record = None if isinstance(recorded, tuple) else address_of(recorded)
        structure.non_zero = place = address_of(counts)
        structure.changed = place + counts.strides[0]
        structure.saturated = place + 2 * counts.strides[0]
        return _BoundPopulation(
            template,
            structure,
            dict(zip(planes, recorded, strict=True)),
            final,
            counts[:2],
            counts[2:].reshape(size, len(marks)),
        )
