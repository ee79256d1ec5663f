"""Second moments of what a stage hears, in the form that its size allows.

Up to LARGEST_DENSE columns they are a matrix. Beyond that, where each row hears few of the columns
(a membrane hears its own synapses alone), they are a matrix for each row, and else the samples
themselves, which are few: with the rows of F the samples, E[z z^T] = F^T F. `compensation.py` says
how rounding errors are made up for with each of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.quantization import compensation
from lnn2loihi.quantization.compensation import Rows

#: Up to so many columns the moments are a matrix.
LARGEST_DENSE = 1024
#: Largest number of values of the moments of all rows (512 MiB).
LARGEST_BY_ROW = 1 << 26
#: Most samples that stand for moments: on data that they have not seen, 200 take as much off the
#: errors of sums over 1,508 columns as 490 do, to 2 in 100.
SAMPLES_KEPT = 256

BoolArray = npt.NDArray[np.bool_]


class Moments(ABC):
    """E[z z^T] of the columns z that a stage hears and a constant 1.

    Attributes:
        note: which samples stand for all, "" where all do.
    """

    note: str = ""

    @property
    @abstractmethod
    def mean(self) -> FloatArray:
        """E[z], float64 (columns,)."""

    @abstractmethod
    def rms(self, errors: FloatArray, begin: int = 0) -> FloatArray:
        """Rms over the calibration data of what errors of weights add to each row's
        pre-activation, (rows,).

        Args:
            errors: float64 (rows, some columns in a row), 0 where the float weight is 0; the
                column behind the last is the constant 1.
            begin: the first of these columns.
        """

    @abstractmethod
    def compensated(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Mantissas (rows, columns) rounded one column after the other, and the wanted biases.

        What rounding a column loses is made up for, as far as the calibration data allow, by the
        columns that follow and in the end by the bias (Frantar et al. 2022, arXiv:2210.17323).
        Synapses that do not exist stay away.
        """

    def of_rows(self, rows: Any) -> Moments:
        """The moments for some of the rows (an index or a slice)."""
        return self


class DenseMoments(Moments):
    """The matrix.

    Args:
        matrix: float64 (columns + 1, columns + 1).
    """

    def __init__(self, matrix: FloatArray) -> None:
        self.matrix = matrix

    @property
    def mean(self) -> FloatArray:
        """See `Moments.mean`."""
        return self.matrix[:-1, -1]

    def rms(self, errors: FloatArray, begin: int = 0) -> FloatArray:
        """See `Moments.rms`."""
        chosen = slice(begin, begin + errors.shape[1])
        products = errors @ self.matrix[chosen, chosen]
        return np.sqrt(np.maximum(np.sum(products * errors, axis=1), 0.0))

    @cached_property
    def _ratios(self) -> FloatArray:
        return compensation.ratios(self.matrix)

    def compensated(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """See `Moments.compensated`."""
        return compensation.by_column(rows, self._ratios)


class SampledMoments(Moments):
    """The samples.

    Args:
        factor: float64 (samples, columns + 1), divided by the root of their number.
        note: which samples these are.
    """

    def __init__(self, factor: FloatArray, note: str = "") -> None:
        self.factor, self.note = factor, note
        self._known: dict[int, list[compensation.Step]] = {}

    @property
    def mean(self) -> FloatArray:
        """See `Moments.mean`."""
        return self.factor[:, -1] @ self.factor[:, :-1]

    def rms(self, errors: FloatArray, begin: int = 0) -> FloatArray:
        """See `Moments.rms`."""
        sums = errors @ self.factor[:, begin : begin + errors.shape[1]].T
        return np.sqrt(np.sum(sums * sums, axis=1))

    def _steps(self, width: int) -> list[compensation.Step]:
        if width not in self._known:
            self._known[width] = compensation.steps(self.factor, width)
        return self._known[width]

    def compensated(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """See `Moments.compensated`."""
        few = len(rows.weight) <= compensation.FEW_ROWS
        steps = self._steps(compensation.WIDE_BLOCK if few else compensation.BLOCK)
        return compensation.in_blocks(rows, self.factor, steps)


class RowMoments(Moments):
    """A matrix for each row, of the columns that it hears.

    Args:
        support: int64 (rows, most columns of a row): the columns that each row hears.
        valid: bool of the same shape: False where a row hears fewer.
        matrices: float64 (rows, most + 1, most + 1), 0 where not valid.
        mean: E[z].
    """

    def __init__(
        self, support: npt.NDArray[np.int64], valid: BoolArray, matrices: FloatArray,
        mean: FloatArray,
    ) -> None:  # fmt: skip
        self._support, self._valid, self._matrices, self._mean = support, valid, matrices, mean

    @property
    def mean(self) -> FloatArray:
        """See `Moments.mean`."""
        return self._mean

    def of_rows(self, rows: Any) -> Moments:
        """See `Moments.of_rows`."""
        return RowMoments(self._support[rows], self._valid[rows], self._matrices[rows], self._mean)

    def rms(self, errors: FloatArray, begin: int = 0) -> FloatArray:
        """See `Moments.rms`."""
        place = self._support - begin
        known = self._valid & (place >= 0) & (place < errors.shape[1])
        own = np.zeros((len(errors), place.shape[1] + 1))
        own[:, :-1] = np.take_along_axis(errors, np.where(known, place, 0), axis=1) * known
        if begin + errors.shape[1] > self._mean.size:
            own[:, -1] = errors[:, -1]
        products = (own[:, None, :] @ self._matrices)[:, 0]
        return np.sqrt(np.maximum(np.sum(products * own, axis=1), 0.0))

    def compensated(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """See `Moments.compensated`."""
        return compensation.by_row(rows, self._support, self._valid, self._matrices)


@dataclass(frozen=True)
class Heard:
    """What a stage hears in all steps, in parts that are made when they are asked for.

    Attributes:
        columns: their number.
        samples: number of rows of all parts together.
        parts: makes parts of at most so many values, float64 (some samples, columns).
    """

    columns: int
    samples: int
    parts: Callable[[int], Iterable[FloatArray]]


#: Values of a part, for a matrix and for other forms.
DENSE_PART, SMALL_PART = 1 << 25, 1 << 22


def moments_of(heard: Heard, hears: Callable[[], BoolArray]) -> Moments:
    """The moments in the form that their size allows.

    Args:
        heard: the samples.
        hears: which columns each row hears, bool (rows, columns).
    """
    if heard.columns <= LARGEST_DENSE:
        return _dense(heard)
    support = hears()
    most = int(support.sum(axis=1).max())
    if most <= LARGEST_DENSE and len(support) * (most + 1) ** 2 <= LARGEST_BY_ROW:
        return _by_row(heard, support, most)
    return _sampled(heard)


def _with_constant(part: FloatArray) -> FloatArray:
    return np.concatenate([part, np.ones((part.shape[0], 1))], axis=1)


def _dense(heard: Heard) -> Moments:
    total = np.zeros((heard.columns + 1,) * 2)
    for part in heard.parts(DENSE_PART):
        flat = _with_constant(part)
        total += flat.T @ flat
    return DenseMoments(total / heard.samples)


def _by_row(heard: Heard, hears: BoolArray, most: int) -> Moments:
    support = np.zeros((len(hears), most), np.int64)
    valid = np.arange(most) < hears.sum(axis=1)[:, None]
    support[valid] = np.nonzero(hears)[1]
    total = np.zeros((len(hears), most + 1, most + 1))
    mean = np.zeros(heard.columns)
    for part in heard.parts(SMALL_PART):
        mean += part.sum(axis=0)
        for row, (columns, known) in enumerate(zip(support, valid, strict=True)):
            own = _with_constant(part[:, columns] * known)
            total[row] += own.T @ own
    return RowMoments(support, valid, total / heard.samples, mean / heard.samples)


def _sampled(heard: Heard) -> Moments:
    count = min(SAMPLES_KEPT, heard.samples)
    kept = np.linspace(0, heard.samples - 1, count).astype(np.int64)
    factor = np.ones((len(kept), heard.columns + 1))
    for place, part in _placed(heard.parts(SMALL_PART)):
        here = np.flatnonzero((kept >= place) & (kept < place + len(part)))
        factor[here, :-1] = part[kept[here] - place]
    factor /= np.sqrt(len(kept))
    note = f"{len(kept):,} of {heard.samples:,} samples" if len(kept) < heard.samples else ""
    return SampledMoments(factor, note)


def _placed(parts: Iterable[FloatArray]) -> Iterator[tuple[int, FloatArray]]:
    """Each part with the number of its first sample."""
    place = 0
    for part in parts:
        yield place, part
        place += len(part)
