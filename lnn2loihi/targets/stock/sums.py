"""Sums that a stock neuron hears: which messages, with which whole weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import WEIGHT_BITS, IntegerArray, signed_range
from lnn2loihi.graph.connection import LARGEST_EXPONENT, Connection

#: Bits of a digit, where a weight is wider than a mantissa: each digit has a connection.
DIGIT_BITS = LARGEST_EXPONENT
#: Largest magnitude of a weight that two digits make.
LARGEST_WEIGHT = (127 << DIGIT_BITS) + (1 << (DIGIT_BITS - 1)) - 1


@dataclass(frozen=True, eq=False)
class Messages:
    """What neurons send, all with one factor: a term of a signal.

    Attributes:
        source: name of a population or of the input port.
        columns: its neurons, int64 (n,).
        factor: a whole number.
    """

    source: str
    columns: IntegerArray
    factor: int = 1


@dataclass(frozen=True, eq=False)
class Signal:
    """n values, each a sum of messages: whoever hears it hears all of them with the same weight.

    Attributes:
        terms: the messages, each of n neurons.
    """

    terms: tuple[Messages, ...]

    @property
    def size(self) -> int:
        """Number of values."""
        return self.terms[0].columns.size

    def times(self, factor: int) -> Signal:
        """The values times a whole number."""
        return Signal(tuple(replace(t, factor=t.factor * factor) for t in self.terms))

    def part(self, columns: IntegerArray | slice) -> Signal:
        """Some of its values."""
        return Signal(tuple(replace(t, columns=t.columns[columns]) for t in self.terms))


@dataclass(frozen=True, eq=False)
class Synapses:
    """Weights from one source, as triples.

    Attributes:
        source: name of a population or of the input port.
        rows, columns: neuron that hears and neuron that sends, int64 (synapses,).
        weights: whole numbers, int64 (synapses,).
    """

    source: str
    rows: IntegerArray
    columns: IntegerArray
    weights: IntegerArray


@dataclass(frozen=True, eq=False)
class Sum:
    """What arrives at one accumulator of `size` neurons."""

    size: int
    synapses: tuple[Synapses, ...] = ()

    def __add__(self, other: Sum) -> Sum:
        """Both together."""
        return Sum(self.size, self.synapses + other.synapses)

    def times(self, factor: int) -> Sum:
        """The same with all weights times a whole number."""
        return self.weighted(np.full(self.size, factor))

    def weighted(self, factors: IntegerArray) -> Sum:
        """The same with a whole factor for each neuron, (size,)."""
        return Sum(
            self.size,
            tuple(replace(s, weights=s.weights * factors[s.rows]) for s in self.synapses),
        )

    def scaled(self, factors: npt.NDArray[np.float64]) -> Sum:
        """The same with all weights times a factor for each neuron, (size,), rounded."""
        return Sum(
            self.size,
            tuple(
                replace(s, weights=np.floor(s.weights * factors[s.rows] + 0.5).astype(np.int64))
                for s in self.synapses
            ),
        )

    def of_columns(self, place: int, count: int, constants: str) -> Sum:
        """The part of it that hears every `count`-th neuron from `place` on; of constants all, in
        the first part.
        """
        found = []
        for s in self.synapses:
            chosen = s.columns % count == place
            if s.source == constants:
                chosen = np.full(s.columns.size, place == 0)
            found.append(Synapses(s.source, s.rows[chosen], s.columns[chosen], s.weights[chosen]))
        return Sum(self.size, tuple(s for s in found if s.rows.size))

    def repeated(self, times: int) -> Sum:
        """So many copies, one after the other."""
        return stacked([self] * times)


def stacked(sums: Sequence[Sum]) -> Sum:
    """Sums of several groups of neurons, one group after the other."""
    begins = np.cumsum([0, *(one.size for one in sums)])
    return Sum(
        int(begins[-1]),
        tuple(
            replace(s, rows=s.rows + begin)
            for begin, one in zip(begins[:-1], sums, strict=True)
            for s in one.synapses
        ),
    )


def heard(signal: Signal, rows: IntegerArray, columns: IntegerArray, weights: IntegerArray,
          size: int) -> Sum:  # fmt: skip
    """The sum of values of a signal: row i hears value j with the weight of each (i, j)."""
    return Sum(
        size,
        tuple(
            Synapses(t.source, rows, t.columns[columns], weights * t.factor) for t in signal.terms
        ),
    )


def each(signal: Signal, weight: int = 1) -> Sum:
    """Neuron i hears value i."""
    own = np.arange(signal.size)
    return heard(signal, own, own, np.full(signal.size, weight), signal.size)


def connections(
    target: str, port: str, total: Sum, sizes: Mapping[str, int]
) -> Iterator[Connection]:
    """The synapses of a sum; what is wider than a mantissa in two digits, each a connection.

    Args:
        target: the population that hears it.
        port: its accumulator.
        total: the sum; weights are at most LARGEST_WEIGHT.
        sizes: neurons of each population, and channels of the input.
    """
    for synapses in _gathered(total.synapses, sizes):
        for exponent, mantissas in digits(synapses.weights):
            chosen = np.flatnonzero(mantissas)
            if chosen.size:
                starts = np.searchsorted(synapses.rows[chosen], np.arange(total.size + 1))
                yield Connection(
                    synapses.source, target, (port,), starts, synapses.columns[chosen],
                    mantissas[chosen], source_size=sizes[synapses.source], exponent=exponent,
                )  # fmt: skip


def _gathered(synapses: Sequence[Synapses], sizes: Mapping[str, int]) -> list[Synapses]:
    """Those of one source together, where one exponent is enough for all; weights of one pair of
    neurons add up. Rows and columns are in ascending order.
    """
    groups: dict[tuple[object, ...], list[Synapses]] = {}
    for one in synapses:
        exponents = (exponent for exponent, _ in digits(one.weights))
        groups.setdefault((one.source, *exponents), []).append(one)
    found = []
    for group in groups.values():
        source, size = group[0].source, sizes[group[0].source]
        places = np.concatenate([one.rows * size + one.columns for one in group])
        own, inverse = np.unique(places, return_inverse=True)
        weights = np.zeros(own.size, np.int64)
        np.add.at(weights, inverse, np.concatenate([one.weights for one in group]))
        found.append(Synapses(source, own // size, own % size, weights))
    return found


def digits(weights: IntegerArray) -> list[tuple[int, IntegerArray]]:
    """Exponents and mantissas that add up to whole weights, as few as can be."""
    low, high = signed_range(WEIGHT_BITS)
    for exponent in range(LARGEST_EXPONENT + 1):
        mantissas = weights >> exponent
        if (mantissas << exponent != weights).any():
            break
        if not mantissas.size or (low <= mantissas.min() and mantissas.max() <= high):
            return [(exponent, mantissas)]
    coarse = (weights + (1 << (DIGIT_BITS - 1))) >> DIGIT_BITS
    return [(0, weights - (coarse << DIGIT_BITS)), (DIGIT_BITS, coarse)]
