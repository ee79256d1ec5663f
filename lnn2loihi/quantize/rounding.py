"""Rounds the rows of a population to integers that fit the accumulator.

A row is one accumulator of one neuron. Its sum counts in units of a real value s that is the
row's own: s = multiplier / (2**shift * unit), where `unit` is the number of pre-activation steps
per 1.0. The multiplier is chosen first, as the smallest for which the largest mantissa fits its
bits and the worst possible sum fits 24 bits; mantissas and bias are rounded afterwards, in the
chosen units, so the rounding of the multiplier costs nothing. What the result is worth is not
judged here (rows.py): training rounds in every step and does not ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import WORD_BITS, IntegerArray, signed_range
from lnn2loihi.network import FloatArray
from lnn2loihi.neurons.cfc import MULTIPLIER_BITS
from lnn2loihi.neurons.instructions import LARGEST_SHIFT

#: Bound of accumulators and of pre-activations: 24-bit words, symmetric so that NEG is safe.
LARGEST_SUM = signed_range(WORD_BITS)[1]
LARGEST_MULTIPLIER = signed_range(MULTIPLIER_BITS)[1]
#: How rounding the weights is made up for: not at all, on average by the bias, or as far as other
#: weights and the bias can on the calibration data.
CORRECTIONS = ("none", "bias", "full")
#: Rows of more columns are not corrected fully: it would take minutes.
LARGEST_CORRECTED = 2048
#: Share of the mean second moment that keeps the correction from fitting noise.
DAMPING = 0.01
#: Up to this width the largest weights of a row may be clipped, to one of these shares, where that
#: lowers the row's error; with more bits it never does. Not in training, where the largest weights
#: find their own size.
CLIPPED_BITS = 5
CLIPPINGS = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True)
class Source:
    """What feeds a block of columns: integers low..high (columns,), one unit worth `step`, which
    may differ from column to column.
    """

    step: float | FloatArray
    low: IntegerArray
    high: IntegerArray

    @property
    def reach(self) -> FloatArray:
        """Largest real magnitude of each column, (columns,)."""
        return np.maximum(np.abs(self.low), np.abs(self.high)) * self.step


def column_scales(
    sources: Sequence[Source], exponents: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Step and left shift (as a factor) of every column of all sources, (columns,) each."""
    scale = np.concatenate([np.broadcast_to(s.step, s.low.size) for s in sources])
    left = np.repeat([2.0**e for e in exponents], [s.low.size for s in sources])
    return scale, left


@dataclass(frozen=True)
class Gate:
    """Float rows of one accumulator.

    Attributes:
        name: name of the accumulator.
        weight: float64 (neurons, columns of all sources).
        bias: float64 (neurons,).
        unit: pre-activation steps per 1.0, one number or (neurons,).
        positive: whether mantissas and biases have to stay above or at 0, like the weights.
        step: real value of one unit of each row's sum that is wanted at least, (neurons,); larger
            weights than it holds are clipped. None: the smallest that holds them all.
    """

    name: str
    weight: FloatArray
    bias: FloatArray
    unit: float | FloatArray
    positive: bool = False
    step: FloatArray | None = None


@dataclass(frozen=True)
class RoundedGate:
    """Integer rows of one accumulator.

    Attributes:
        mantissas: int64 (neurons, columns).
        bias, multiplier: int64 (neurons,).
        shift: right shift of the pre-activation.
        unit: real value of one unit of each row's sum, float64 (neurons,).
        values: real value of one unit of each mantissa, float64 (neurons, columns).
        worst: largest magnitude that the sum of each row can reach, (neurons,).
        wanted: multiplier that each row needs, (neurons,); more than 8 bits hold in a bad one.
        crowded: whether a row's unit follows from the accumulator's bound and not from its
            largest mantissa, bool (neurons,).
    """

    mantissas: IntegerArray
    bias: IntegerArray
    multiplier: IntegerArray
    shift: int
    unit: FloatArray
    values: FloatArray
    worst: FloatArray
    wanted: FloatArray
    crowded: npt.NDArray[np.bool_]


def round_gate(
    gate: Gate,
    sources: Sequence[Source],
    moments: FloatArray,
    weight_bits: int,
    exponents: Sequence[int],
    correction: str = "none",
) -> RoundedGate:
    """Rows of one gate for given exponents.

    Args:
        gate: the float rows.
        sources: what feeds the columns, in order.
        moments: E[z z^T] of the columns and a constant 1, (columns + 1, columns + 1).
        weight_bits: width of the mantissas.
        exponents: left shift of each source's connection.
        correction: one of CORRECTIONS.
    """
    scale, left = column_scales(sources, exponents)
    low = np.minimum(np.concatenate([s.low for s in sources]), 0)
    high = np.maximum(np.concatenate([s.high for s in sources]), 0)
    integer_weight = gate.weight * scale  # real value of a row's sum per unit of its message
    by_mantissa, by_sum = _smallest_units(gate, integer_weight, left, low, high, weight_bits)
    if gate.step is not None:
        by_mantissa = gate.step
    elif weight_bits <= CLIPPED_BITS and correction != "none":
        by_mantissa = by_mantissa * _best_clipping(
            gate, integer_weight, left, scale, by_mantissa, moments, weight_bits
        )
    smallest = np.maximum(by_mantissa, by_sum)
    shift = _shift(smallest * gate.unit)
    per_step = 2.0**shift * gate.unit
    wanted = np.ceil(smallest * per_step)
    multiplier = np.clip(wanted, 1, LARGEST_MULTIPLIER)
    while True:  # at most LARGEST_MULTIPLIER times, since multipliers only grow
        unit = multiplier / per_step
        values = unit[:, None] * left / scale
        mantissas = _rounded(gate.weight / values, weight_bits)
        wanted_bias = gate.bias
        if correction == "bias":
            wanted_bias = gate.bias + (gate.weight - mantissas * values) @ moments[:-1, -1]
        bias = _whole_bias(gate, wanted_bias / unit)
        worst = _worst_sums(mantissas * left, bias, low, high)
        too_large = (worst > LARGEST_SUM) & (multiplier < LARGEST_MULTIPLIER)
        if not too_large.any():
            break
        multiplier = multiplier + too_large
    if correction == "full" and gate.weight.shape[1] <= LARGEST_CORRECTED:
        better, wanted_bias = _compensated(gate, values, moments, weight_bits)
        moved = _whole_bias(gate, wanted_bias / unit)
        sums = _worst_sums(better * left, moved, low, high)
        fits = sums <= LARGEST_SUM
        mantissas = np.where(fits[:, None], better, mantissas)
        bias, worst = np.where(fits, moved, bias), np.where(fits, sums, worst)
    bias = np.clip(bias, -LARGEST_SUM, LARGEST_SUM)
    return RoundedGate(
        mantissas.astype(np.int64), bias.astype(np.int64), multiplier.astype(np.int64), shift,
        unit, values, worst, np.maximum(wanted, multiplier), by_sum > by_mantissa,
    )  # fmt: skip


def _whole_bias(gate: Gate, bias: FloatArray) -> FloatArray:
    whole = np.floor(bias + 0.5)
    return np.maximum(whole, 0.0) if gate.positive else whole


def _worst_sums(
    weights: FloatArray, bias: FloatArray, low: IntegerArray, high: IntegerArray
) -> FloatArray:
    """Largest magnitude that the sum of each row, its bias included, can reach."""
    ends = weights * low, weights * high
    return np.maximum(
        np.maximum(*ends).sum(axis=1) + np.maximum(bias, 0),
        -np.minimum(*ends).sum(axis=1) - np.minimum(bias, 0),
    )


def _compensated(
    gate: Gate, values: FloatArray, moments: FloatArray, weight_bits: int
) -> tuple[FloatArray, FloatArray]:
    """Mantissas rounded one column after the other, and the wanted biases.

    What rounding a column loses is made up for, as far as the calibration data allow, by the
    columns that follow and in the end by the bias (Frantar et al. 2022, arXiv:2210.17323).
    Synapses that do not exist stay away.
    """
    size = moments.shape[0]
    damping = DAMPING * np.trace(moments) / size
    inverse = np.linalg.inv(moments + damping * np.eye(size))
    factor = np.linalg.cholesky(inverse).T
    rest = np.concatenate([gate.weight, gate.bias[:, None]], axis=1)
    mantissas = np.zeros_like(gate.weight)
    for column in range(size - 1):
        rounded = _rounded(rest[:, column] / values[:, column], weight_bits)
        rounded = np.maximum(rounded, 0.0) if gate.positive else rounded
        mantissas[:, column] = np.where(gate.weight[:, column] == 0.0, 0.0, rounded)
        lost = rest[:, column] - mantissas[:, column] * values[:, column]
        ratio = factor[column, column + 1 :] / factor[column, column]
        rest[:, column + 1 :] -= lost[:, None] * ratio
    return mantissas, rest[:, -1]


def _best_clipping(
    gate: Gate,
    integer_weight: FloatArray,
    left: FloatArray,
    scale: FloatArray,
    by_mantissa: FloatArray,
    moments: FloatArray,
    weight_bits: int,
) -> FloatArray:
    """For each row the share of its unit with the least error: a smaller unit clips the largest
    weights and rounds all others more finely.
    """
    best = np.ones(len(by_mantissa))
    least = np.full(len(by_mantissa), np.inf)
    for share in CLIPPINGS:
        unit = (share * by_mantissa)[:, None] * left
        rounded = _rounded(integer_weight / unit, weight_bits)
        error = rms_error(gate.weight - rounded * unit / scale, moments[:-1, :-1])
        better = error < least
        best, least = np.where(better, share, best), np.where(better, error, least)
    return best


def rms_error(errors: FloatArray, moments: FloatArray) -> FloatArray:
    """Rms over the calibration data of what errors of weights add to each row's pre-activation."""
    return np.sqrt(np.maximum(np.sum((errors @ moments) * errors, axis=1), 0.0))


def _rounded(values: FloatArray, bits: int) -> FloatArray:
    return np.clip(np.floor(values + 0.5), *signed_range(bits))


def _smallest_units(
    gate: Gate,
    integer_weight: FloatArray,
    left: FloatArray,
    low: IntegerArray,
    high: IntegerArray,
    weight_bits: int,
) -> tuple[FloatArray, FloatArray]:
    """For each row the smallest unit with which mantissas fit, and with which sum and bias do."""
    bottom, top = signed_range(weight_bits)
    by_mantissa = np.maximum(integer_weight / (left * top), integer_weight / (left * bottom))
    ends = integer_weight * low, integer_weight * high
    reach = np.maximum(
        np.maximum(*ends).sum(axis=1) + np.maximum(gate.bias, 0.0),
        -np.minimum(*ends).sum(axis=1) - np.minimum(gate.bias, 0.0),
    )
    return np.maximum(by_mantissa.max(axis=1), np.finfo(np.float64).tiny), reach / LARGEST_SUM


def _shift(steps: FloatArray) -> int:
    """Largest right shift for which multipliers fit their bits; `steps` are pre-activation
    steps per unit of the sum, whose ratio to 2**-shift is the multiplier.
    """
    shift = int(np.floor(np.log2(LARGEST_MULTIPLIER / steps.max())))
    return min(max(shift, 0), LARGEST_SHIFT)
