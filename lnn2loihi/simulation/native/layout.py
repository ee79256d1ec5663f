"""Lays a LoihiProgram out for the kernels: pairs of message rows, tiles of weight rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.program import Convolution, LoihiProgram, Population
from lnn2loihi.simulation.memory import check_dense
from lnn2loihi.simulation.native.convolved import (
    SharedKernel,
    is_small,
    laid_out,
    listed,
    shared,
)
from lnn2loihi.simulation.native.digits import (
    KERNEL_BITS,
    Int32,
    digit_bits,
    spread,
    wide_kernel,
    widths,
)
from lnn2loihi.simulation.native.kernel_code import ROW_LANES, ROW_VECTORS, TILE_ROWS
from lnn2loihi.simulation.native.neuron_code import shift_arguments

Int64 = npt.NDArray[np.int64]

#: Single sequences run dense rows from this share of synapses on: a sparse synapse costs about as
#: much as sixteen dense ones.
ROWS_DENSE_FROM = 1 / 16
#: A tile lists only the pairs that it needs below this share of them (performance study: dense
#: rows are faster from about two thirds on).
DENSE_FROM = 0.65


@dataclass(frozen=True)
class PopulationLayout:
    """One population as the kernels want it; see population_t in source/types.h."""

    program: int
    tile_neurons: int
    first_pair: int
    shifts: Int32
    weights: Int32
    columns: Int32
    weight_starts: Int64
    column_starts: Int64
    pair_counts: Int64
    parameters: Int32
    row_weights: Int32 | None
    row_columns: Int32
    row_starts: Int64 | None
    row_values: npt.NDArray[np.int16]
    row_parameters: Int32
    kernels: tuple[SharedKernel, ...] = ()
    digit_bits: Int32 | None = None

    @property
    def places(self) -> int:
        """Neurons of a channel, of those that share a kernel; 0 where each has its own weights."""
        return math.prod(self.kernels[0].windows.target_shape[1:]) if self.kernels else 0

    @property
    def multiplications(self) -> int:
        """Weights that a step multiplies by, in pairs."""
        return self.weights.size + sum(
            int(k.pair_counts.sum()) * k.tile_channels for k in self.kernels
        )


@dataclass(frozen=True)
class Layout:
    """A program as the kernels want it.

    Attributes:
        programs: the distinct neuron programs; all of them say what saturates.
        populations: in feed-forward order.
        pairs: pairs of message rows of the input and of all populations.
        input_digit_bits: of each channel, where the inputs are wider than what kernels take.
    """

    programs: tuple[NeuronProgram, ...]
    populations: tuple[PopulationLayout, ...]
    pairs: int
    input_digit_bits: Int32 | None = None

    @property
    def operations(self) -> int:
        """Operations of a step of one sequence in a block, roughly: multiply-adds of synapses and
        instructions of neurons.
        """
        return sum(
            2 * p.multiplications
            + self.programs[p.program].instruction_count * p.row_parameters.shape[1]
            for p in self.populations
        )


def unsupported(program: LoihiProgram) -> str:
    """Why the C engine cannot run a program, or "" if it can."""
    if (wide := wide_kernel(program)) is not None:
        return (
            f"{wide.target} hears {wide.source} through a kernel that neurons share, and its "
            f"messages have {widths(program)[wide.source]} bits; such kernels take {KERNEL_BITS}"
        )
    for p in program.populations:
        if len(p.program.accumulators) > TILE_ROWS[-1]:
            return f"{p.name} has {len(p.program.accumulators)} accumulators"
    return ""


def lay_out(program: LoihiProgram, vector_lanes: int) -> Layout:
    """The layout of a program that `unsupported` has nothing against.

    Args:
        program: the program.
        vector_lanes: rows of one vector of the kernel for single sequences.

    Raises:
        InputError: its dense matrices are larger than the limit.
    """
    kernels = {p.name: shared(program, p) for p in program.populations}
    check_dense(program, [c for c in program.connections if not kernels[c.target]])
    programs: list[NeuronProgram] = []
    senders = _Senders(program)
    marked = {
        p.name: replace(p.program, saturations=program.saturations[p.name])
        for p in program.populations
    }
    for p in program.populations:
        if marked[p.name] not in programs:
            programs.append(marked[p.name])
    made = tuple(
        _convolved(p, programs.index(marked[p.name]), kernels[p.name], senders)
        if kernels[p.name]
        else _population(program, p, programs.index(marked[p.name]), senders, vector_lanes)
        for p in program.populations
    )
    return Layout(
        tuple(programs), made, senders.pairs, senders.digit_bits.get(program.input.name)
    )  # fmt: skip


class _Senders:
    """Where the messages of each source lie, and which of them are digits.

    Attributes:
        first_pairs: of the input and of each population; -1: nobody hears it.
        digit_bits: of the sources whose messages are pairs of digits.
        pairs: of all of them together.
    """

    def __init__(self, program: LoihiProgram) -> None:
        self.digit_bits = digit_bits(program)
        self.first_pairs: dict[str, int] = {}
        self.pairs = 0
        heard = {program.input.name, *(c.source for c in program.connections)}
        for source in (program.input, *program.populations):
            self.first_pairs[source.name] = self.pairs if source.name in heard else -1
            self.pairs += self._count(source.name, source.size) if source.name in heard else 0

    def _count(self, name: str, size: int) -> int:
        return size if name in self.digit_bits else -(-size // 2)

    def numbers(self, name: str, size: int) -> IntegerArray:
        """The pairs of a source of so many neurons or channels."""
        return self.first_pairs[name] + np.arange(self._count(name, size))

    def paired(self, name: str, weights: IntegerArray) -> npt.NDArray[np.int16]:
        """Weights of the messages of a source, [...][message], as weights of its pairs,
        [...][pair][2] with the last two axes in one.
        """
        if name in self.digit_bits:
            return spread(weights, self.digit_bits[name])
        padding = [(0, 0)] * (weights.ndim - 1) + [(0, weights.shape[-1] % 2)]
        return np.pad(weights.astype(np.int16), padding)


def _population(
    program: LoihiProgram,
    population: Population,
    index: int,
    senders: _Senders,
    vector_lanes: int,
) -> PopulationLayout:
    gates = len(population.program.accumulators)
    incoming = program.incoming(population.name)
    blocks, pair_numbers = [], []
    for connection in incoming:
        source = connection.source
        numbers = senders.numbers(source, connection.source_size)
        dense = np.zeros((population.size, gates, 2 * numbers.size), np.int16)
        weights = connection.dense().reshape(len(connection.accumulators), population.size, -1)
        for place, accumulator in enumerate(connection.accumulators):
            gate = population.program.accumulators.index(accumulator)
            dense[:, gate] = senders.paired(source, weights[place])
        blocks.append(dense)
        pair_numbers.append(numbers)
    if not incoming:  # constants: a pair of the input without a synapse
        blocks.append(np.zeros((population.size, gates, 2), np.int16))
        pair_numbers.append(np.zeros(1, np.int64))
    rows = np.concatenate(blocks, axis=2)
    paired = np.ascontiguousarray(rows).view(np.int32)  # [neuron][gate][pair]
    numbers = np.concatenate(pair_numbers).astype(np.int32)
    wide = max(TILE_ROWS[-1] // gates, 1)
    listed = (paired != 0).any(axis=1).mean() < DENSE_FROM
    tile_neurons = 1 if listed else wide
    tiles = _tiles(paired, numbers, tile_neurons, not listed)
    parameters = _parameters(population)
    if sum(c.synapses for c in incoming) < ROWS_DENSE_FROM * rows.size:
        row_weights = None
        row_columns, row_starts, row_values = _sparse_rows(rows, numbers)
    else:
        row_weights = _row_weights(paired, vector_lanes)
        row_columns, row_starts, row_values = numbers, np.zeros(1, np.int64), np.zeros(1, np.int16)
    return PopulationLayout(
        index,
        tile_neurons,
        senders.first_pairs[population.name],
        np.array([*shift_arguments(population.program), 0], np.int32),
        *tiles,
        parameters,
        row_weights,
        row_columns,
        row_starts,
        row_values,
        # What is proved of the last neuron holds of the lanes beyond it.
        _padded(np.ascontiguousarray(parameters.T), "edge"),
        digit_bits=senders.digit_bits.get(population.name),
    )


def _convolved(
    population: Population,
    index: int,
    convolutions: list[Convolution],
    senders: _Senders,
) -> PopulationLayout:
    """The layout of a population whose neurons share a kernel."""
    first_pair = senders.first_pairs[convolutions[0].source]
    fed = {
        a: [c for c in convolutions if c.accumulators == (a,)]
        for a in population.program.accumulators
    }
    kernels = [laid_out(convolutions[0], own, first_pair, TILE_ROWS[-1]) for own in fed.values()]
    parameters, nothing = _parameters(population), np.zeros(1, np.int32)
    none = np.zeros(1, np.int64)
    rows = listed(convolutions, tuple(fed), first_pair) if is_small(convolutions) else None
    row_columns, row_starts, row_values = rows or (nothing, None, np.zeros(1, np.int16))
    return PopulationLayout(
        index,
        1,
        senders.first_pairs[population.name],
        np.array([*shift_arguments(population.program), 0], np.int32),
        nothing,
        nothing,
        none,
        none,
        none,
        parameters,
        None,
        row_columns,
        row_starts,
        row_values,
        _padded(np.ascontiguousarray(parameters.T), "edge"),
        tuple(kernels),
        senders.digit_bits.get(population.name),
    )


def _parameters(population: Population) -> Int32:
    """Parameters, [neuron][parameter]."""
    names = population.program.parameter_names
    parameters = np.zeros((population.size, len(names)), np.int32)
    for place, name in enumerate(names):
        parameters[:, place] = population.parameters[name]
    return parameters


def _sparse_rows(
    rows: npt.NDArray[np.int16], numbers: Int32
) -> tuple[Int32, Int64, npt.NDArray[np.int16]]:
    """Messages, starts and weights of the synapses of each row; rows are [accumulator][neuron]."""
    ordered = rows.transpose(1, 0, 2).reshape(-1, rows.shape[2])
    row, column = np.nonzero(ordered)
    starts = np.searchsorted(row, np.arange(len(ordered) + 1)).astype(np.int64)
    messages = 2 * numbers[column // 2] + column % 2
    return messages.astype(np.int32), starts, ordered[row, column]


def _padded(values: Int32, mode: Literal["constant", "edge"] = "constant") -> Int32:
    """The last axis padded, with zeros or its last values, to a multiple of ROW_LANES."""
    missing = -values.shape[-1] % ROW_LANES
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)], mode)


def _row_weights(paired: Int32, vector_lanes: int) -> Int32:
    """Weights for single sequences, [tile][pair][row]; rows are [accumulator][padded neuron]."""
    rows = _padded(np.ascontiguousarray(paired.transpose(2, 1, 0)))
    rows = rows.reshape(paired.shape[2], -1)
    height = ROW_VECTORS[-1] * vector_lanes
    tiles = [rows[:, begin : begin + height].ravel() for begin in range(0, rows.shape[1], height)]
    return np.concatenate(tiles).astype(np.int32)


def _tiles(
    paired: Int32, numbers: Int32, tile_neurons: int, dense: bool
) -> tuple[Int32, Int32, Int64, Int64, Int64]:
    """Weights [tile][pair][row], columns [tile][pair], and where each tile begins."""
    weights, columns = [], [numbers] if dense else []
    weight_starts, column_starts, counts = [], [], []
    weight_place = column_place = 0
    for begin in range(0, paired.shape[0], tile_neurons):
        tile = paired[begin : begin + tile_neurons].reshape(-1, paired.shape[2])
        chosen = np.arange(numbers.size) if dense else np.flatnonzero(tile.any(axis=0))
        weights.append(np.ascontiguousarray(tile[:, chosen].T).ravel())
        weight_starts.append(weight_place)
        column_starts.append(column_place)
        counts.append(chosen.size)
        weight_place += weights[-1].size
        if not dense:
            columns.append(numbers[chosen])
            column_place += chosen.size
    starts = [np.array(values, np.int64) for values in (weight_starts, column_starts, counts)]
    flat = [np.concatenate([*parts, np.zeros(1, np.int32)]) for parts in (weights, columns)]
    return flat[0].astype(np.int32), flat[1].astype(np.int32), starts[0], starts[1], starts[2]
