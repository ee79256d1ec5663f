"""Synapses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.errors import ProgramError
from lnn2loihi.formats import WEIGHT_BITS, IntegerArray
from lnn2loihi.frozen import read_only
from lnn2loihi.graph.synapses import LARGEST_DELAY, LARGEST_EXPONENT, Summing, Synapses
from lnn2loihi.neurons.bounds import IntegerInterval

__all__ = ["LARGEST_DELAY", "LARGEST_EXPONENT", "Connection"]
#: Synapses, or values of dense mantissas, that are looked at together.
VALUES_AT_ONCE = 1 << 20
#: Pairs that a problem lists.
LISTED = 3


@checks_fields(ProgramError)
@dataclass(frozen=True, eq=False)
class Connection(Synapses):
    """Synapses from one source to the fused accumulators of one population, as sparse rows.

    Row `g * N + i` feeds accumulator `accumulators[g]` of neuron i. A synapse adds
    mantissa * 2**exponent * message, one step (and `delay` more) after the message was sent.

    Attributes:
        source: name of a population or of the input port.
        target: name of a population.
        accumulators: accumulators that are fed, in row order.
        row_starts: int32 (rows + 1,): where each row begins in the two arrays below.
        columns: int32 (synapses,): source neuron of each synapse; each at most once in a row.
        mantissas: int8 (synapses,).
        source_size: neurons or channels of the source.
        exponent: left shift, 0 to LARGEST_EXPONENT.
        delay: extra steps, 0 to LARGEST_DELAY.
        mantissa_bits: width of the mantissas, 1 to 8.
    """

    source: str
    target: str
    accumulators: tuple[str, ...]
    row_starts: npt.NDArray[Any]
    columns: npt.NDArray[Any]
    mantissas: npt.NDArray[Any]
    source_size: int
    exponent: int = 0
    delay: int = 0
    mantissa_bits: int = WEIGHT_BITS

    def __post_init__(self) -> None:
        for name, dtype in (
            ("row_starts", np.int32),
            ("columns", np.int32),
            ("mantissas", np.int8),
        ):
            object.__setattr__(self, name, read_only(getattr(self, name), dtype, name))

    @classmethod
    @checks_kinds(ProgramError)
    def from_dense(
        cls,
        source: str,
        target: str,
        accumulators: tuple[str, ...],
        mantissas: npt.ArrayLike,
        **options: Any,
    ) -> Connection:
        """From dense mantissas (accumulators * N, source size); zeros make no synapse.

        Raises:
            InputError: they are no numbers.
            ProgramError: they are no matrix.
        """
        dense = as_array(mantissas, f"{source} -> {target}", "mantissas")
        if dense.ndim != 2:
            raise ProgramError(
                f"{source} -> {target}",
                f"mantissas have shape {dense.shape}, expected (accumulators * neurons, sources)",
            )
        counts = np.count_nonzero(dense, axis=1)
        starts = np.concatenate([[0], np.cumsum(counts)])
        columns = np.empty(starts[-1], np.int32)
        values = np.empty(starts[-1], dense.dtype)
        at_once = max(VALUES_AT_ONCE // max(dense.shape[1], 1), 1)
        for begin in range(0, len(dense), at_once):
            part = dense[begin : begin + at_once]
            chosen = slice(starts[begin], starts[begin + len(part)])
            found = np.nonzero(part)
            columns[chosen], values[chosen] = found[1], part[found]
        return cls(
            source, target, accumulators, starts, columns, values,
            source_size=dense.shape[1], **options,
        )  # fmt: skip

    @property
    def rows(self) -> int:
        """Number of fused rows."""
        return self.row_starts.size - 1

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return self.mantissas.size

    def unrolled(self) -> Connection:
        """Itself."""
        return self

    def dense(self, dtype: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
        """Mantissas times 2**exponent as `dtype` (rows, source size), which has to hold them."""
        matrix = np.zeros((self.rows, self.source_size), dtype)
        for rows, chosen in self._parts():
            places = np.repeat(np.arange(rows.start, rows.stop), np.diff(self._starts(rows)))
            weights = self.mantissas[chosen].astype(dtype) * np.asarray(1 << self.exponent, dtype)
            np.add.at(matrix, (places, self.columns[chosen]), weights)
        return matrix

    def summing(self, dtype: npt.DTypeLike = np.int64) -> Summing:
        """See `Synapses`."""
        matrix = self.dense(dtype).T
        return lambda messages: messages.astype(dtype, copy=False) @ matrix

    def fan_out(self) -> IntegerArray:
        """See `Synapses`."""
        return np.bincount(self.columns, minlength=self.source_size).astype(np.int64)

    def interval(self, low: npt.ArrayLike, high: npt.ArrayLike) -> IntegerInterval:
        """See `Synapses`."""
        low = np.minimum(np.broadcast_to(low, self.source_size), 0).astype(np.int64)
        high = np.maximum(np.broadcast_to(high, self.source_size), 0).astype(np.int64)
        smallest, largest = np.zeros((2, self.rows), np.int64)
        for rows, chosen in self._parts():
            weights = self.mantissas[chosen].astype(np.int64) << self.exponent
            columns = self.columns[chosen]
            ends = weights * low[columns], weights * high[columns]
            starts = self._starts(rows) - chosen.start
            smallest[rows] = _row_sums(np.minimum(*ends), starts)
            largest[rows] = _row_sums(np.maximum(*ends), starts)
        return IntegerInterval(smallest, largest)

    def _starts(self, rows: slice) -> IntegerArray:
        return self.row_starts[rows.start : rows.stop + 1].astype(np.int64)

    def _parts(self) -> Iterator[tuple[slice, slice]]:
        """Rows, and their synapses, of which there are about VALUES_AT_ONCE in each part."""
        begin = 0
        while begin < self.rows:
            wanted = int(self.row_starts[begin]) + VALUES_AT_ONCE
            end = int(np.searchsorted(self.row_starts, wanted, side="right")) - 1
            end = min(max(end, begin + 1), self.rows)
            yield (
                slice(begin, end),
                slice(int(self.row_starts[begin]), int(self.row_starts[end])),
            )
            begin = end

    def _duplicate_problems(self) -> list[str]:
        """Pairs of neurons with two synapses: executors add them up in words of various widths,
        and a chip has one weight for each. The arrays are sound otherwise.
        """
        # Rows in ascending order, as `from_dense` makes them, need no memory but this.
        ascending = self.columns[1:] > self.columns[:-1]
        borders = self.row_starts[(0 < self.row_starts) & (self.row_starts < self.synapses)]
        ascending[borders - 1] = True
        if ascending.all():
            return []
        rows = np.repeat(np.arange(self.rows), np.diff(self.row_starts))
        unordered = np.zeros(self.rows, bool)
        unordered[rows[:-1][~ascending]] = True
        chosen = unordered[rows]
        pairs = np.sort(rows[chosen] * self.source_size + self.columns[chosen])
        twice = np.unique(pairs[1:][pairs[1:] == pairs[:-1]])
        if not twice.size:
            return []
        listed = [divmod(int(pair), self.source_size) for pair in twice[:LISTED]]
        texts = [f"row {row} has source {column} more than once" for row, column in listed]
        if twice.size > LISTED:
            texts.append(f"{twice.size - LISTED:,} more pairs too")
        return [
            f"{self.name}: {', '.join(texts)}; two synapses of one pair are one: add their "
            "mantissas, or make a second connection"
        ]

    def problems(self, target_size: int) -> list[str]:
        """Everything that does not fit."""
        found: list[str] = []
        starts, columns = self.row_starts, self.columns
        if not self.accumulators:
            found.append(f"{self.name}: it feeds no accumulator")
        if self.rows != len(self.accumulators) * target_size:
            found.append(
                f"{self.name}: {self.rows} rows, expected {len(self.accumulators)} accumulators "
                f"times {target_size} neurons"
            )
        if columns.shape != self.mantissas.shape or columns.ndim != 1:
            found.append(f"{self.name}: columns and mantissas differ in shape")
        elif (
            starts.ndim != 1 or starts.size < 1 or starts[0] != 0 or starts[-1] != columns.size
            or np.any(np.diff(starts) < 0)
        ):  # fmt: skip
            found.append(f"{self.name}: row_starts do not divide the synapses into rows")
        elif columns.size and not (0 <= columns.min() and columns.max() < self.source_size):
            found.append(f"{self.name}: a synapse reads beyond the {self.source_size} sources")
        else:
            found += self._duplicate_problems()
        return found + self._width_problems(self.mantissas)


def _row_sums(values: IntegerArray, starts: IntegerArray) -> IntegerArray:
    running = np.concatenate([[0], np.cumsum(values)])
    return running[starts[1:]] - running[starts[:-1]]
