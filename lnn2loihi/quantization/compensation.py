"""Makes up for what rounding a weight loses, by the weights that follow in its row and by its bias.

All three ways solve the same problem: round the columns of e = weight - mantissa * value one after
the other so that e^T H e is small, with H the second moments and some damping. Before a column is
rounded it is moved to where it would be best, with the errors of the columns before it fixed and
those behind it free (Frantar et al. 2022, arXiv:2210.17323).

With H = R R^T, R upper triangular, e^T H e = |R^T e|^2, row k of which holds e_0 to e_k alone. Free
columns behind k bring their own rows to 0, so that the best e_k is -sum_{i<k} R_ik e_i / R_kk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.layers.linear import FloatArray

#: Share of the mean second moment that keeps the correction from fitting noise.
DAMPING = 0.01
#: Values of some rows that stay in a cache of the processor while all columns are rounded.
CACHED_VALUES = 1 << 16
#: Columns of a block, where there are many rows and where there are at most FEW_ROWS.
BLOCK, WIDE_BLOCK, FEW_ROWS = 64, 256, 64


@dataclass(frozen=True)
class Rows:
    """Rows that are to be rounded.

    Attributes:
        weight: the float rows, float64 (rows, columns); what is 0 stays so.
        bias: their biases, float64 (rows,).
        values: real value of one unit of each mantissa, float64 (rows, columns).
        low, high: smallest and largest mantissa.
    """

    weight: FloatArray
    bias: FloatArray
    values: FloatArray
    low: int
    high: int

    def columns(self, rows: slice, columns: slice) -> Columns:
        """Some of the rows and columns."""
        weight = self.weight[rows, columns].T
        # Column after column is looked at, each of which lies in one piece then.
        values = np.ascontiguousarray(self.values[rows, columns].T)
        return Columns(weight == 0.0, values, self.low, self.high)


@dataclass(frozen=True)
class Columns:
    """Columns that are rounded one after the other; arrays are (columns, rows)."""

    absent: npt.NDArray[np.bool_]
    values: FloatArray
    low: int
    high: int

    def rounded(self, place: int, weights: FloatArray) -> FloatArray:
        """Mantissas of a column of weights, (rows,)."""
        found = np.floor(weights / self.values[place] + 0.5)
        np.maximum(found, self.low, out=found)
        np.minimum(found, self.high, out=found)
        found[self.absent[place]] = 0.0
        return found


def ratios(moments: FloatArray) -> FloatArray:
    """For each column what of its error every later column takes, (columns + 1, columns + 1)."""
    size = moments.shape[0]
    damping = DAMPING * np.trace(moments) / size
    inverse = np.linalg.inv(moments + damping * np.eye(size))
    factor = np.linalg.cholesky(inverse).T
    return factor / np.diagonal(factor)[:, None]


def by_column(rows: Rows, ratios: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Column by column; `ratios` are those of the moments. See `Moments.compensated`."""
    count, columns = rows.weight.shape
    mantissas, wanted = np.empty_like(rows.weight), np.empty_like(rows.bias)
    at_once = max(CACHED_VALUES // max(columns, 1), 16)
    for begin in range(0, count, at_once):
        part = slice(begin, min(begin + at_once, count))
        rest = np.concatenate([rows.weight[part], rows.bias[part, None]], axis=1)
        passed_on = np.empty_like(rest)
        every = rows.columns(part, slice(0, columns))
        for column in range(columns):
            mantissa = every.rounded(column, rest[:, column])
            mantissas[part, column] = mantissa
            lost = rest[:, column] - mantissa * every.values[column]
            behind = passed_on[:, column + 1 :]
            np.multiply(lost[:, None], ratios[column, column + 1 :], out=behind)
            rest[:, column + 1 :] -= behind
        wanted[part] = rest[:, -1]
    return mantissas, wanted


@dataclass(frozen=True)
class Step:
    """A block of columns, with all columns behind it free.

    Attributes:
        columns: the block.
        answer: float64 (samples, block): what of the sums of all errors before, over the samples,
            the block would best answer with the opposite of.
        inner: float64 (block, block): -R_ik / R_kk of its own moments, 0 for i >= k.
    """

    columns: slice
    answer: FloatArray
    inner: FloatArray


def steps(factor: FloatArray, width: int) -> list[Step]:
    """The blocks in order, the bias last.

    With the columns of the factor F as a_i and y the sum of e_i a_i over all columns before, free
    columns behind the block leave |u|^2 of u = y + (block's errors) at d u^T G^-1 u, where d is the
    damping and G = d + sum a_i a_i^T over the columns behind.

    Args:
        factor: float64 (samples, columns + 1), with F^T F the second moments.
        width: columns of a block.
    """
    samples, size = factor.shape
    damping = DAMPING * float(np.einsum("ij,ij->", factor, factor)) / size
    behind = damping * np.eye(samples)
    made: list[Step] = []
    ends = [*range(0, size - 1, width), size - 1, size]
    for begin, end in reversed(list(zip(ends, ends[1:], strict=False))):
        block = factor[:, begin:end]
        left = damping * np.linalg.solve(behind, block)
        own = block.T @ left + damping * np.eye(end - begin)
        answer = np.linalg.solve(own, left.T).T
        # The upper triangular R of R R^T is the lower one of the reversed matrix, reversed.
        upper = np.linalg.cholesky(own[::-1, ::-1])[::-1, ::-1]
        inner = -np.triu(upper / np.diagonal(upper), 1)
        made.append(Step(slice(begin, end), answer, inner))
        behind += block @ block.T
    return made[::-1]


def in_blocks(
    rows: Rows, factor: FloatArray, steps: Sequence[Step]
) -> tuple[FloatArray, FloatArray]:
    """Block by block, with the errors before a block as sums over the samples."""
    mantissas = np.empty_like(rows.weight)
    count = len(rows.weight)
    sums = np.zeros((count, len(factor)))
    for step in steps[:-1]:
        block = rows.columns(slice(0, count), step.columns)
        wanted = -(step.answer.T @ sums.T)  # the best errors of the block by themselves
        own = np.ascontiguousarray(rows.weight[:, step.columns].T)
        found, errors, beside = (np.empty_like(own) for _ in range(3))
        for place in range(len(own)):
            best = wanted[place] + step.inner[:place, place] @ beside[:place]
            found[place] = mantissa = block.rounded(place, own[place] - best)
            np.subtract(own[place], mantissa * block.values[place], out=errors[place])
            np.subtract(errors[place], wanted[place], out=beside[place])
        mantissas[:, step.columns] = found.T
        sums += errors.T @ factor[:, step.columns].T
    return mantissas, rows.bias + (sums @ steps[-1].answer)[:, 0]


def by_row(
    rows: Rows,
    support: npt.NDArray[np.int64],
    valid: npt.NDArray[np.bool_],
    matrices: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """All rows side by side, each with its own moments of the columns that it hears; arguments as
    of `RowMoments`.
    """
    mantissas = np.zeros_like(rows.weight)
    each = np.arange(len(rows.weight))
    most = support.shape[1]
    weight = np.take_along_axis(rows.weight, support, axis=1) * valid
    values = np.take_along_axis(rows.values, support, axis=1)
    own = Rows(weight, rows.bias, values, rows.low, rows.high)
    rest = np.concatenate([weight, rows.bias[:, None]], axis=1)
    known = np.concatenate([valid, np.ones((len(valid), 1), np.bool_)], axis=1)
    damping = DAMPING * np.einsum("rii->r", matrices) / known.sum(axis=1)
    diagonal = np.where(known, damping[:, None], 1.0)
    damped = matrices + diagonal[:, :, None] * np.eye(most + 1)
    factor = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    every = own.columns(slice(0, len(weight)), slice(0, most))
    for place in range(most):
        mantissa, here = every.rounded(place, rest[:, place]), valid[:, place]
        mantissas[each[here], support[here, place]] = mantissa[here]
        lost = rest[:, place] - mantissa * every.values[place]
        ratio = factor[:, place, place + 1 :] / factor[:, place, place, None]
        rest[:, place + 1 :] -= lost[:, None] * ratio
    return mantissas, rest[:, -1]
