"""Lays a LoihiProgram out for the kernels: pairs of message rows, tiles of weight rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

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
from lnn2loihi.simulation.native.kernel_code import ROW_LANES, ROW_VECTORS, TILE_ROWS
from lnn2loihi.simulation.native.neuron_code import shift_arguments

Int32 = npt.NDArray[np.int32]
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
    """

    programs: tuple[NeuronProgram, ...]
    populations: tuple[PopulationLayout, ...]
    pairs: int

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
    if program.input.format.bits > 16:
        return f"its inputs have {program.input.format.bits} bits, the kernels take 16"
    sources = {c.source for c in program.connections}
    for p in program.populations:
        if p.name in sources and p.message.bits > 16:
            return f"{p.name} sends messages of {p.message.bits} bits, the kernels take 16"
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
    first_pairs = {program.input.name: 0}
    pairs = -(-program.input.size // 2)
    sources = {c.source for c in program.connections}
    marked = {
        p.name: replace(p.program, saturations=program.saturations[p.name])
        for p in program.populations
    }
    for p in program.populations:
        if marked[p.name] not in programs:
            programs.append(marked[p.name])
        first_pairs[p.name] = pairs if p.name in sources else -1
        pairs += -(-p.size // 2) if p.name in sources else 0
    made = tuple(
        _convolved(p, programs.index(marked[p.name]), kernels[p.name], first_pairs)
        if kernels[p.name]
        else _population(program, p, programs.index(marked[p.name]), first_pairs, vector_lanes)
        for p in program.populations
    )
    return Layout(tuple(programs), made, pairs)


def _population(
    program: LoihiProgram,
    population: Population,
    index: int,
    first_pairs: dict[str, int],
    vector_lanes: int,
) -> PopulationLayout:
    gates = len(population.program.accumulators)
    incoming = program.incoming(population.name)
    blocks, pair_numbers = [], []
    for connection in incoming:
        count = -(-connection.source_size // 2)
        dense = np.zeros((population.size, gates, 2 * count), np.int16)
        weights = connection.dense().reshape(len(connection.accumulators), population.size, -1)
        for place, accumulator in enumerate(connection.accumulators):
            gate = population.program.accumulators.index(accumulator)
            dense[:, gate, : connection.source_size] = weights[place]
        blocks.append(dense)
        pair_numbers.append(first_pairs[connection.source] + np.arange(count))
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
        first_pairs[population.name],
        np.array([*shift_arguments(population.program), 0], np.int32),
        *tiles,
        parameters,
        row_weights,
        row_columns,
        row_starts,
        row_values,
        # What is proved of the last neuron holds of the lanes beyond it.
        _padded(np.ascontiguousarray(parameters.T), "edge"),
    )


def _convolved(
    population: Population,
    index: int,
    convolutions: list[Convolution],
    first_pairs: dict[str, int],
) -> PopulationLayout:
    """The layout of a population whose neurons share a kernel."""
    first_pair = first_pairs[convolutions[0].source]
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
        first_pairs[population.name],
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
