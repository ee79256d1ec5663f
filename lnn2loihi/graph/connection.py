"""Synapses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import WEIGHT_BITS, IntegerArray, signed_range
from lnn2loihi.frozen import ArrayEquality, read_only
from lnn2loihi.neurons.bounds import Interval

#: Largest left shift of a connection. The width of Loihi 2's weight exponent is not public;
#: Loihi 1 had four bits (-8..7), and nothing here needs more.
LARGEST_EXPONENT = 7
#: Largest axonal delay beyond the step that every message takes (lava-dl: max_delay = 62).
LARGEST_DELAY = 62


@dataclass(frozen=True, eq=False)
class Connection(ArrayEquality):
    """Synapses from one source to the fused accumulators of one population, as sparse rows.

    Row `g * N + i` feeds accumulator `accumulators[g]` of neuron i. A synapse adds
    mantissa * 2**exponent * message, one step (and `delay` more) after the message was sent.

    Attributes:
        source: name of a population or of the input port.
        target: name of a population.
        accumulators: accumulators that are fed, in row order.
        row_starts: int32 (rows + 1,): where each row begins in the two arrays below.
        columns: int32 (synapses,): source neuron of each synapse.
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
            object.__setattr__(self, name, read_only(getattr(self, name), dtype))

    @classmethod
    def from_dense(
        cls,
        source: str,
        target: str,
        accumulators: tuple[str, ...],
        mantissas: npt.ArrayLike,
        **options: Any,
    ) -> Connection:
        """From dense mantissas (accumulators * N, source size); zeros make no synapse."""
        dense = np.asarray(mantissas)
        rows, columns = np.nonzero(dense)
        starts = np.searchsorted(rows, np.arange(dense.shape[0] + 1))
        return cls(
            source, target, accumulators, starts, columns, dense[rows, columns],
            source_size=dense.shape[1], **options,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """`source -> target`, for messages."""
        return f"{self.source} -> {self.target}"

    @property
    def rows(self) -> int:
        """Number of fused rows."""
        return self.row_starts.size - 1

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return self.mantissas.size

    def dense(self) -> IntegerArray:
        """Mantissas times 2**exponent as int64 (rows, source size)."""
        matrix = np.zeros((self.rows, self.source_size), np.int64)
        rows = np.repeat(np.arange(self.rows), np.diff(self.row_starts))
        np.add.at(matrix, (rows, self.columns), self.mantissas.astype(np.int64) << self.exponent)
        return matrix

    def interval(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Interval:
        """Interval of each row's sum when source j sends something in [low_j, high_j] or nothing.

        It holds for every partial sum too, so the order of accumulation does not matter.
        """
        low = np.minimum(np.broadcast_to(low, self.source_size), 0).astype(np.int64)
        high = np.maximum(np.broadcast_to(high, self.source_size), 0).astype(np.int64)
        weights = self.mantissas.astype(np.int64) << self.exponent
        ends = weights * low[self.columns], weights * high[self.columns]
        return Interval(self._row_sums(np.minimum(*ends)), self._row_sums(np.maximum(*ends)))

    def _row_sums(self, values: IntegerArray) -> IntegerArray:
        running = np.concatenate([[0], np.cumsum(values)])
        return running[self.row_starts[1:]] - running[self.row_starts[:-1]]

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
        if not 1 <= self.mantissa_bits <= WEIGHT_BITS:
            found.append(f"{self.name}: mantissas of {self.mantissa_bits} bits; 1 to 8 exist")
        else:
            low, high = signed_range(self.mantissa_bits)
            if self.synapses and not (low <= self.mantissas.min() <= self.mantissas.max() <= high):
                found.append(f"{self.name}: a mantissa does not fit {self.mantissa_bits} bits")
        if not 0 <= self.exponent <= LARGEST_EXPONENT:
            found.append(
                f"{self.name}: exponent {self.exponent} is outside 0..{LARGEST_EXPONENT}; "
                "connections only shift left"
            )
        if not 0 <= self.delay <= LARGEST_DELAY:
            found.append(f"{self.name}: delay {self.delay} is outside 0..{LARGEST_DELAY}")
        return found
