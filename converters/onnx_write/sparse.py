"""Sparse matrices as ONNX constants, which ONNX itself has no form for that runtimes compute with.

- dense: all numbers of the matrix;
- masked: one bit for each neuron and source says whether the neuron hears it, with any of its sums,
  and the numbers of what is heard follow; the matrix is made of them;
- placed: where less is heard, the distance from each such place to the next, and the numbers; the
  matrix is made of them;
- listed: where rows are very short, the distances between the sources that a neuron hears, and the
  numbers; rows of equal length are made of them, from which a step can gather.

Whole numbers of up to 6 bits take as many bits as the widest of them: a byte holds several, which
integer operations take apart when a runtime loads the file. ONNX has a type of 4 bits, but
onnxruntime 1.19 cannot cast it.

What makes a matrix of a mask stands in the graph that uses it: runtimes compute constants once when
they load a model, and not all of them let the body of a loop see values from outside of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.onnx_write.build import Graph
from lnn2loihi.errors import InputError

#: Numbers of the largest matrix that is made (2 to 8 GB in a runtime's memory).
LARGEST_MATRIX = 1 << 31
#: Most bits of numbers that share bytes: 7 would save an eighth and double the time to load.
WIDEST_PACKED = 6
#: Bytes that the nodes of a mask take, and those that take packed numbers apart, roughly.
NODE_BYTES, UNPACKING_BYTES = 3000, 1000

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Heard:
    """A matrix by neuron: each source that a neuron hears with any of its sums, once.

    Attributes:
        name: hint for the name of its numbers.
        places: int64 (heard,): neuron * sources + source, in order.
        weights: (heard, sums).
        neurons, sources: size of the target and of the source.
    """

    name: str
    places: npt.NDArray[np.int64]
    weights: Numbers
    neurons: int
    sources: int

    @classmethod
    def of_dense(cls, name: str, weights: Numbers) -> Heard:
        """From all numbers, (sums, neurons, sources)."""
        _, neurons, sources = weights.shape
        places = np.flatnonzero(weights.any(axis=0))
        return cls(name, places, weights.reshape(len(weights), -1)[:, places].T, neurons, sources)

    @property
    def sums(self) -> int:
        """Sums of a neuron."""
        return self.weights.shape[1]

    @property
    def longest(self) -> int:
        """Sources of the neuron that hears most, at least 1."""
        return max(int(np.bincount(self.places // self.sources).max(initial=0)), 1)

    @cached_property
    def bits(self) -> int:
        """Bits of a number in the file; below 8 where several share a byte."""
        if self.weights.dtype != np.int8:
            return 8 * self.weights.itemsize
        ends = int(self.weights.max(initial=0)), ~int(self.weights.min(initial=0))
        needed = max(end.bit_length() for end in ends) + 1
        saved = (8 - needed) * self.weights.size // 8
        return needed if needed <= WIDEST_PACKED and saved > UNPACKING_BYTES else 8

    @property
    def zero(self) -> int:
        """What stands for 0 in the file: packed numbers are stored without signs."""
        return 1 << (self.bits - 1) if self.bits < 8 else 0

    def bytes_of(self, count: int) -> int:
        """Bytes that so many numbers take."""
        return -(-count * self.bits // 8)

    @property
    def dense_bytes(self) -> int:
        """Bytes of all numbers of the matrix."""
        return self.bytes_of(self.neurons * self.sources * self.sums)

    @property
    def masked_bytes(self) -> int:
        """Bytes of the mask, the numbers of what is heard, and the nodes that put them together."""
        heard = self.bytes_of(self.weights.size)
        return self.neurons * self.sources // 8 + heard + NODE_BYTES

    @cached_property
    def placed(self) -> tuple[Numbers, Numbers]:
        """Distances uint8 (entries,) from place to place, the first from 0, and weights; see
        `_distances`.
        """
        return _filled(np.diff(self.places, prepend=0), self.weights, np.uint8)[1:]

    @property
    def placed_bytes(self) -> int:
        """Bytes of the distances, the numbers, and the nodes that put them together."""
        distances, weights = self.placed
        return distances.nbytes + self.bytes_of(weights.size) + NODE_BYTES

    def stored(self, graph: Graph, numbers: Numbers) -> str:
        """Puts numbers into a graph, of the weights' type; packed, they come out as uint8 that are
        larger by `zero`.
        """
        if self.bits >= 8:
            return graph.constant(numbers, numbers.dtype, self.name)
        return unpacked(graph, (numbers + self.zero).astype(np.uint8), self.bits, self.name)

    def signed(self, graph: Graph, numbers: str, name: str) -> str:
        """What `matrix` or `listed` gives for whole numbers, as int32."""
        if self.bits >= 8:
            return graph.cast(numbers, np.int32, name)
        zero = graph.constant(self.zero, np.int32)
        return graph.add("Sub", graph.cast(numbers, np.int32), zero, name=name)


def matrix(graph: Graph, heard: Heard, saving: float = 0.0) -> str:
    """The matrix (sources, sums * neurons), with a mask or with places if that saves more than a
    share of it; see `Heard.signed`.

    Raises:
        InputError: the matrix is too large.
    """
    _check_size(heard, heard.sources)
    smaller = min(heard.masked_bytes, heard.placed_bytes)
    if smaller < (1.0 - saving) * heard.dense_bytes:
        form = _masked if smaller == heard.masked_bytes else _placed
        return _by_source(graph, heard, form(graph, heard))
    full = np.zeros((heard.neurons * heard.sources, heard.sums), heard.weights.dtype)
    full[heard.places] = heard.weights
    shaped = full.reshape(heard.neurons, heard.sources, -1).transpose(1, 2, 0)
    return heard.stored(graph, shaped.reshape(heard.sources, -1))


def _check_size(heard: Heard, width: int) -> None:
    numbers = heard.neurons * width * heard.sums
    if numbers > LARGEST_MATRIX:
        raise InputError(
            heard.name,
            f"is a matrix of {numbers:,} numbers; ONNX has no sparse one, and the limit is "
            f"{LARGEST_MATRIX:,}. Make the rows shorter, or the layer smaller",
        )


def _masked(graph: Graph, heard: Heard) -> str:
    """Numbers (neurons * sources, sums) from a mask and what it leaves."""
    flags = np.zeros(heard.neurons * heard.sources, np.uint8)
    flags[heard.places] = 1
    bits = unpacked(graph, flags, 1, f"{heard.name}.heard")
    return _spread(graph, bits, heard.stored(graph, _after_nothing(heard.weights)))


def _placed(graph: Graph, heard: Heard) -> str:
    """Numbers (neurons * sources, sums) from distances and what stands there."""
    distances, weights = heard.placed
    steps = graph.cast(graph.constant(distances, np.uint8, f"{heard.name}.distances"), np.int32)
    places = graph.add("CumSum", steps, graph.constant(0, np.int32))
    places = graph.add("Unsqueeze", graph.cast(places, np.int64), graph.constant([1], np.int64))
    numbers = heard.stored(graph, weights.reshape(-1, heard.sums))
    numbers = graph.add("Reshape", numbers, graph.constant(weights.shape, np.int64))
    size = graph.constant((heard.neurons * heard.sources, heard.sums), np.int64)
    kind = weights.dtype if heard.bits >= 8 else np.dtype(np.uint8)
    nothing = graph.add("Expand", graph.constant([[heard.zero]], kind), size)
    return graph.add("ScatterND", nothing, places, numbers)


def _by_source(graph: Graph, heard: Heard, full: str) -> str:
    """The matrix of numbers (neurons * sources, sums)."""
    name = heard.name
    shape = (heard.neurons, heard.sources, heard.sums)
    full = graph.add("Reshape", full, graph.constant(shape, np.int64))
    full = graph.add("Transpose", full, perm=[1, 2, 0])
    shape = (heard.sources, heard.sums * heard.neurons)
    return graph.add("Reshape", full, graph.constant(shape, np.int64), name=f"{name}.matrix")


def _spread(graph: Graph, flags: str, rows: str) -> str:
    """Rows one after another where flags (n,) are 1, and the first one, which is zeros, where they
    are 0.

    A row is found by how many flags stand before it; all shapes are known, so that runtimes compute
    it when they load the model (onnxruntime does not where there is a NonZero).
    """
    numbered = graph.cast(flags, np.int32)
    count = graph.add("CumSum", numbered, graph.constant(0, np.int32))
    index = graph.add("Mul", count, numbered)
    return graph.add("Gather", rows, index, axis=0)


def _after_nothing(rows: Numbers) -> Numbers:
    """Rows after one of zeros."""
    return np.concatenate([np.zeros((1, *rows.shape[1:]), rows.dtype), rows])


def unpacked(graph: Graph, numbers: npt.NDArray[np.uint8], bits: int, name: str) -> str:
    """Puts numbers into a graph that takes them apart again.

    Args:
        graph: the graph.
        numbers: any shape, each below 2**bits.
        bits: what the file holds of each number, 1 to 7.
        name: hint for the names of the constants.

    Returns:
        The name of the numbers, uint8 of their shape.
    """
    flat, found, done = numbers.reshape(-1), "", 0
    for width in (width for width in (4, 2, 1) if bits & width):
        fields = (flat >> done & (1 << width) - 1).astype(np.uint8)
        part = _fields(graph, fields, width, name)
        if done:
            up = graph.constant(done, np.uint8)
            part = graph.add("BitShift", part, up, direction="LEFT")
        found = graph.add("BitwiseOr", found, part) if found else part
        done += width
    return graph.add("Reshape", found, graph.constant(numbers.shape, np.int64))


def _fields(graph: Graph, numbers: npt.NDArray[np.uint8], width: int, name: str) -> str:
    """Numbers (n,) of 1, 2 or 4 bits, as many in a byte as fit.

    The first bits of all bytes are the first numbers, the next bits follow them: so runtimes shift
    long rows, which is faster than to take each byte apart.
    """
    shifts = np.arange(0, 8, width, dtype=np.uint8)[:, None]
    fields = np.zeros((len(shifts), -(-numbers.size // len(shifts))), np.uint8)
    fields.reshape(-1)[: numbers.size] = numbers
    np.left_shift(fields, shifts, out=fields)
    octets = graph.constant(np.bitwise_or.reduce(fields, axis=0), np.uint8, name)
    shifted = graph.add("BitShift", octets, graph.constant(shifts, np.uint8), direction="RIGHT")
    found = graph.add("BitwiseAnd", shifted, graph.constant((1 << width) - 1, np.uint8))
    found = graph.add("Reshape", found, graph.constant([-1], np.int64))
    if fields.size == numbers.size:
        return found
    return graph.add("Slice", found, *(graph.constant([n], np.int64) for n in (0, numbers.size)))


def listed(graph: Graph, heard: Heard) -> tuple[str, str]:
    """Columns int32 (neurons, k) and numbers (sums, neurons, k) of what neurons hear; shorter rows
    hear something with weight 0. For the numbers see `Heard.signed`.

    Raises:
        InputError: they are too large.
    """
    name = heard.name
    forms = [_distances(heard, dtype) for dtype in (np.uint8, np.uint16)]
    counts, steps, weights = min(
        forms, key=lambda form: form[1].nbytes + heard.bytes_of(form[2].size)
    )
    width = max(int(counts.max(initial=0)), 1)
    _check_size(heard, width)
    narrow = np.uint8 if width < 1 << 8 else np.int32
    lengths = graph.constant(counts[:, None], narrow, f"{name}.lengths")
    order = graph.constant(range(width), np.int32)
    inside = graph.add("Less", order, graph.cast(lengths, np.int32))
    flags = graph.add("Reshape", inside, graph.constant([-1], np.int64))
    shape = graph.constant([heard.neurons, width, -1], np.int64)
    steps = graph.constant(_after_nothing(steps[:, None]), steps.dtype, f"{name}.distances")
    distances = graph.cast(_spread(graph, flags, steps), np.int32)
    distances = graph.add("Reshape", distances, graph.constant([heard.neurons, width], np.int64))
    columns = graph.add("CumSum", distances, graph.constant(1, np.int32), name=f"{name}.columns")
    rows = _spread(graph, flags, heard.stored(graph, _after_nothing(weights)))
    rows = graph.add("Reshape", rows, shape)
    return columns, graph.add("Transpose", rows, name=f"{name}.rows", perm=[2, 0, 1])


def _distances(heard: Heard, dtype: type[np.unsignedinteger]) -> tuple[Numbers, ...]:
    """Entries of each row, for each entry its distance from the one before (the first: from 0),
    and its numbers; where a distance is too long, entries with weight 0 stand in between.
    """
    neuron, source = np.divmod(heard.places, heard.sources)
    first = np.diff(neuron, prepend=-1) != 0
    steps = np.where(first, source, np.diff(source, prepend=0))
    entries, spread, weights = _filled(steps, heard.weights, dtype)
    counts = np.bincount(neuron, weights=entries, minlength=heard.neurons).astype(np.int64)
    return counts, spread, weights


def _filled(
    steps: Numbers, weights: Numbers, dtype: type[np.unsignedinteger]
) -> tuple[Numbers, Numbers, Numbers]:
    """For each step its number of entries, the entries, each a shorter step, and their numbers: of
    the last entry those of the step, of others 0.
    """
    longest = int(np.iinfo(dtype).max)
    entries = np.maximum(-(-steps // longest), 1)
    last = np.cumsum(entries) - 1
    spread = np.full(int(entries.sum()), longest, dtype)
    spread[last] = steps - longest * (entries - 1)
    numbers = np.zeros((spread.size, weights.shape[1]), weights.dtype)
    numbers[last] = weights
    return entries, spread, numbers
