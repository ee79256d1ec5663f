"""Makes up for what rounding a weight loses, by the weights that follow in its row and by its bias.

All three ways solve the same problem: round the columns of e = weight - mantissa * value one after
the other so that e^T H e is small, with H the second moments and some damping. Before a column is
rounded it is moved to where it would be best, with the errors of the columns before it fixed and
those behind it free (Frantar et al. 2022, arXiv:2210.17323).

With H = R R^T, R upper triangular, e^T H e = |R^T e|^2, row k of which holds e_0 to e_k alone. Free
columns behind k bring their own rows to 0, so that the best e_k is -sum_{i<k} R_ik e_i / R_kk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.layers.linear import FloatArray

#: Share of the mean second moment that keeps the correction from fitting noise.
DAMPING = 0.01
#: Values of some rows that stay in a cache of the processor while all columns are rounded.
CACHED_VALUES = 1 << 16
#: Columns of a block, where there are many rows and where there are few.
BLOCK, WIDE_BLOCK, WIDE = 64, 256, 16384

#: From real weights (n,), their rows and their column, or columns, to their mantissas and the real
#: value of one unit of each, (n,).
Rounding = Callable[[FloatArray, Any, Any], tuple[FloatArray, FloatArray]]


def ratios(moments: FloatArray) -> FloatArray:
    """For each column what of its error every later column takes, (columns + 1, columns + 1)."""
    size = moments.shape[0]
    damping = DAMPING * np.trace(moments) / size
    inverse = np.linalg.inv(moments + damping * np.eye(size))
    factor = np.linalg.cholesky(inverse).T
    return factor / np.diagonal(factor)[:, None]


def by_column(
    weight: FloatArray, bias: FloatArray, ratios: FloatArray, rounding: Rounding
) -> tuple[FloatArray, FloatArray]:
    """Column by column; `ratios` are those of the moments. See `Moments.compensated`."""
    mantissas, wanted = np.zeros_like(weight), np.empty_like(bias)
    columns = weight.shape[1]
    at_once = max(CACHED_VALUES // max(columns, 1), 16)
    for begin in range(0, len(weight), at_once):
        rows = slice(begin, min(begin + at_once, len(weight)))
        rest = np.concatenate([weight[rows], bias[rows, None]], axis=1)
        passed_on = np.empty_like(rest)
        for column in range(columns):
            mantissa, value = rounding(rest[:, column], rows, column)
            mantissas[rows, column] = mantissa
            lost = rest[:, column] - mantissa * value
            behind = passed_on[:, column + 1 :]
            np.multiply(lost[:, None], ratios[column, column + 1 :], out=behind)
            rest[:, column + 1 :] -= behind
        wanted[rows] = rest[:, -1]
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


def steps(factor: FloatArray) -> list[Step]:
    """The blocks in order, the bias last.

    With the columns of the factor F as a_i and y the sum of e_i a_i over all columns before, free
    columns behind the block leave |u|^2 of u = y + (block's errors) at d u^T G^-1 u, where d is the
    damping and G = d + sum a_i a_i^T over the columns behind.

    Args:
        factor: float64 (samples, columns + 1), with F^T F the second moments.
    """
    samples, size = factor.shape
    damping = DAMPING * float(np.einsum("ij,ij->", factor, factor)) / size
    behind = damping * np.eye(samples)
    width = BLOCK if size < WIDE else WIDE_BLOCK
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
    weight: FloatArray, bias: FloatArray, factor: FloatArray, steps: list[Step], rounding: Rounding
) -> tuple[FloatArray, FloatArray]:
    """Block by block, with the errors before a block as sums over the samples."""
    mantissas = np.zeros_like(weight)
    sums = np.zeros((len(weight), len(factor)))
    every = slice(0, len(weight))
    for step in steps[:-1]:
        wanted = -(sums @ step.answer).T  # the best errors of the block by themselves
        own = np.ascontiguousarray(weight[:, step.columns].T)
        errors, beside = np.empty_like(own), np.empty_like(own)  # beside: from the best ones
        for place, column in enumerate(range(step.columns.start, step.columns.stop)):
            best = wanted[place] + step.inner[:place, place] @ beside[:place]
            mantissa, value = rounding(own[place] - best, every, column)
            mantissas[:, column] = mantissa
            np.subtract(own[place], mantissa * value, out=errors[place])
            np.subtract(errors[place], wanted[place], out=beside[place])
        sums += errors.T @ factor[:, step.columns].T
    return mantissas, bias + (sums @ steps[-1].answer)[:, 0]


def by_row(
    weight: FloatArray, bias: FloatArray, support: npt.NDArray[np.int64],
    valid: npt.NDArray[np.bool_], matrices: FloatArray, rounding: Rounding,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """All rows side by side, each with its own moments of the columns that it hears; arguments as
    of `Moments.compensated` and `RowMoments`.
    """
    mantissas = np.zeros_like(weight)
    rows = np.arange(len(weight))
    most = support.shape[1]
    rest = np.concatenate(
        [np.take_along_axis(weight, support, axis=1) * valid, bias[:, None]], axis=1
    )
    known = valid.sum(axis=1) + 1
    damping = DAMPING * np.einsum("rii->r", matrices) / known
    diagonal = np.where(np.concatenate([valid, valid[:, :1] | True], axis=1), damping[:, None], 1.0)
    damped = matrices + diagonal[:, :, None] * np.eye(most + 1)
    factor = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    for place in range(most):
        columns = support[:, place]
        mantissa, value = rounding(rest[:, place], rows, columns)
        mantissa = np.where(valid[:, place], mantissa, 0.0)
        here = valid[:, place]
        mantissas[rows[here], columns[here]] = mantissa[here]
        lost = np.where(here, rest[:, place] - mantissa * value, 0.0)
        ratio = factor[:, place, place + 1 :] / factor[:, place, place, None]
        rest[:, place + 1 :] -= lost[:, None] * ratio
    return mantissas, rest[:, -1]
