"""Sparse matrices as ONNX constants, which ONNX itself has no form for that runtimes compute with.

- dense: all numbers of the matrix;
- masked: one bit for each neuron and source says whether the neuron hears it, with any of its sums,
  and the numbers of what is heard follow; the matrix is made of them;
- listed: where rows are very short, the distances between the sources that a neuron hears, and the
  numbers; rows of equal length are made of them, from which a step can gather.

What makes a matrix of a mask stands in the graph that uses it: runtimes compute constants once when
they load a model, and not all of them let the body of a loop see values from outside of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.onnx_build import Graph
from lnn2loihi.errors import InputError

#: Numbers of the largest matrix that is made (2 to 8 GB in a runtime's memory).
LARGEST_MATRIX = 1 << 31
#: Bytes that the nodes of a mask take, roughly.
NODE_BYTES = 3000

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

    @property
    def dense_bytes(self) -> int:
        """Bytes of all numbers of the matrix."""
        return self.neurons * self.sources * self.sums * self.weights.itemsize

    @property
    def masked_bytes(self) -> int:
        """Bytes of the mask, the numbers of what is heard, and the nodes that put them together."""
        return self.neurons * self.sources // 8 + self.weights.nbytes + NODE_BYTES


def matrix(graph: Graph, heard: Heard, saving: float = 0.0) -> str:
    """The matrix (sources, sums * neurons), with a mask if that saves more than a share of it.

    Raises:
        InputError: the matrix is too large.
    """
    _check_size(heard, heard.sources)
    if heard.masked_bytes < (1.0 - saving) * heard.dense_bytes:
        return _masked(graph, heard)
    full = np.zeros((heard.neurons * heard.sources, heard.sums), heard.weights.dtype)
    full[heard.places] = heard.weights
    shaped = full.reshape(heard.neurons, heard.sources, -1).transpose(1, 2, 0)
    return graph.constant(shaped.reshape(heard.sources, -1), full.dtype, heard.name)


def _check_size(heard: Heard, width: int) -> None:
    numbers = heard.neurons * width * heard.sums
    if numbers > LARGEST_MATRIX:
        raise InputError(
            heard.name,
            f"is a matrix of {numbers:,} numbers; ONNX has no sparse one, and the limit is "
            f"{LARGEST_MATRIX:,}. Make the rows shorter, or the layer smaller",
        )


def _masked(graph: Graph, heard: Heard) -> str:
    """The matrix from a mask and what it leaves."""
    name = heard.name
    flags = np.zeros(heard.neurons * heard.sources, np.bool_)
    flags[heard.places] = True
    packed = np.packbits(flags, bitorder="little")
    octets = graph.constant(packed[:, None], np.uint8, f"{name}.heard")
    shifted = graph.add("BitShift", octets, graph.constant(range(8), np.uint8), direction="RIGHT")
    bits = graph.add("BitwiseAnd", shifted, graph.constant(1, np.uint8))
    bits = graph.add("Reshape", bits, graph.constant([-1], np.int64))
    bits = graph.add("Slice", bits, *(graph.constant([n], np.int64) for n in (0, flags.size)))
    full = _spread(graph, bits, heard.weights, name)
    shape = (heard.neurons, heard.sources, heard.sums)
    full = graph.add("Reshape", full, graph.constant(shape, np.int64))
    full = graph.add("Transpose", full, perm=[1, 2, 0])
    shape = (heard.sources, heard.sums * heard.neurons)
    return graph.add("Reshape", full, graph.constant(shape, np.int64), name=f"{name}.matrix")


def _spread(graph: Graph, flags: str, rows: Numbers, name: str) -> str:
    """Rows one after another where flags (n,) are 1, and rows of zeros where they are 0.

    A row is found by how many flags stand before it; all shapes are known, so that runtimes compute
    it when they load the model (onnxruntime does not where there is a NonZero).
    """
    known = np.concatenate([np.zeros((1, *rows.shape[1:]), rows.dtype), rows])
    numbered = graph.cast(flags, np.int32)
    count = graph.add("CumSum", numbered, graph.constant(0, np.int32))
    index = graph.add("Mul", count, numbered)
    return graph.add("Gather", graph.constant(known, rows.dtype, name), index, axis=0)


def listed(graph: Graph, heard: Heard) -> tuple[str, str]:
    """Columns int32 (neurons, k) and numbers (sums, neurons, k) of what neurons hear; shorter rows
    hear something with weight 0.

    Raises:
        InputError: they are too large.
    """
    name = heard.name
    forms = [_distances(heard, dtype) for dtype in (np.uint8, np.uint16)]
    counts, steps, weights = min(forms, key=lambda form: form[1].nbytes + form[2].nbytes)
    width = max(int(counts.max(initial=0)), 1)
    _check_size(heard, width)
    narrow = np.uint8 if width < 1 << 8 else np.int32
    lengths = graph.constant(counts[:, None], narrow, f"{name}.lengths")
    order = graph.constant(range(width), np.int32)
    inside = graph.add("Less", order, graph.cast(lengths, np.int32))
    flags = graph.add("Reshape", inside, graph.constant([-1], np.int64))
    shape = graph.constant([heard.neurons, width, -1], np.int64)
    distances = graph.cast(_spread(graph, flags, steps[:, None], f"{name}.distances"), np.int32)
    distances = graph.add("Reshape", distances, graph.constant([heard.neurons, width], np.int64))
    columns = graph.add("CumSum", distances, graph.constant(1, np.int32), name=f"{name}.columns")
    rows = graph.add("Reshape", _spread(graph, flags, weights, name), shape)
    return columns, graph.add("Transpose", rows, name=f"{name}.rows", perm=[2, 0, 1])


def _distances(heard: Heard, dtype: type[np.unsignedinteger]) -> tuple[Numbers, ...]:
    """Entries of each row, for each entry its distance from the one before (the first: from 0),
    and its numbers; where a distance is too long, entries with weight 0 stand in between.
    """
    neuron, source = np.divmod(heard.places, heard.sources)
    first = np.diff(neuron, prepend=-1) != 0
    steps = np.where(first, source, np.diff(source, prepend=0))
    longest = int(np.iinfo(dtype).max)
    entries = steps // longest + 1
    last = np.cumsum(entries) - 1
    spread = np.full(int(entries.sum()), longest, dtype)
    spread[last] = steps % longest
    weights = np.zeros((spread.size, heard.sums), heard.weights.dtype)
    weights[last] = heard.weights
    counts = np.bincount(neuron, weights=entries, minlength=heard.neurons).astype(np.int64)
    return counts, spread, weights
