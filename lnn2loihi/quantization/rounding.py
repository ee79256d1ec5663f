"""Rounds the rows of a population to integers that fit the accumulator.

A row is one accumulator of one neuron. Its sum counts in units of a real value s that is the
row's own: s = multiplier / (2**shift * unit), where `unit` is the number of pre-activation steps
per 1.0. The multiplier is chosen first, as the smallest for which the largest mantissa fits its
bits and the worst possible sum fits 24 bits; mantissas and bias are rounded afterwards, in the
chosen units, so the rounding of the multiplier costs nothing. What the result is worth is not
judged here (rows.py): training rounds in every step and does not ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import WORD_BITS, IntegerArray, signed_range
from lnn2loihi.network import FloatArray
from lnn2loihi.neurons.instructions import LARGEST_SHIFT
from lnn2loihi.neurons.operations import MULTIPLIER_BITS
from lnn2loihi.quantization.compensation import Rows
from lnn2loihi.quantization.moments import Moments

#: Bound of accumulators and of pre-activations: 24-bit words, symmetric so that NEG is safe.
LARGEST_SUM = signed_range(WORD_BITS)[1]
LARGEST_MULTIPLIER = signed_range(MULTIPLIER_BITS)[1]
#: Largest left shift of a pre-activation whose sum saturates: one unit of the sum is then far more
#: than what moves an activation from end to end.
LARGEST_LEFT = 15
#: How rounding the weights is made up for: not at all, on average by the bias, or as far as other
#: weights and the bias can on the calibration data.
CORRECTIONS = ("none", "bias", "full")
#: Up to this width the largest weights of a row may be clipped, to one of these shares, where that
#: lowers the row's error; with more bits it never does. Not in training, where the largest weights
#: find their own size.
CLIPPED_BITS = 5
CLIPPINGS = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True)
class Sender:
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
    sources: Sequence[Sender], exponents: Sequence[int]
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
        held: whether its pre-activation may leave the word, since its sum saturates before.
    """

    name: str
    weight: FloatArray
    bias: FloatArray
    unit: float | FloatArray
    positive: bool = False
    step: FloatArray | None = None
    held: bool = False

    @property
    def shares(self) -> FloatArray:
        """How fine the unit of each row is beside the finest, (neurons,): what an error of 1.0 in
        it costs beside one in another. Rows of one unit count alike.
        """
        unit = np.broadcast_to(np.asarray(self.unit, np.float64), self.bias.size)
        shares: FloatArray = unit / unit.max()
        return shares

    def of_rows(self, rows: Any) -> Gate:
        """Some of the rows (an index or a slice)."""
        unit = np.broadcast_to(self.unit, self.bias.size)[rows]
        step = None if self.step is None else self.step[rows]
        return replace(self, weight=self.weight[rows], bias=self.bias[rows], unit=unit, step=step)


@dataclass(frozen=True)
class RoundedGate:
    """Integer rows of one accumulator.

    Attributes:
        mantissas: int64 (neurons, columns).
        bias, multiplier: int64 (neurons,).
        shift: right shift of the pre-activation; negative for a left shift.
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


@dataclass(frozen=True)
class Units:
    """For each row of a gate the smallest real value of one unit of its sum.

    Attributes:
        by_mantissa: with which its mantissas fit, float64 (neurons,).
        by_sum: with which its sum and its bias fit, float64 (neurons,).
        shift: largest right shift of the pre-activation for which all multipliers fit.
    """

    by_mantissa: FloatArray
    by_sum: FloatArray
    shift: int

    def of_rows(self, rows: slice) -> Units:
        """Those of some rows."""
        return Units(self.by_mantissa[rows], self.by_sum[rows], self.shift)


@dataclass(frozen=True)
class Columns:
    """What feeds the columns, for given exponents; all float64 or int64 (columns,).

    Attributes:
        scale: real value of one unit of each message.
        left: left shift, as a factor.
        low, high: smallest and largest message, 0 included.
    """

    scale: FloatArray
    left: FloatArray
    low: IntegerArray
    high: IntegerArray

    @classmethod
    def of(cls, sources: Sequence[Sender], exponents: Sequence[int]) -> Columns:
        """The columns of all sources, in order."""
        low = np.minimum(np.concatenate([s.low for s in sources]), 0)
        high = np.maximum(np.concatenate([s.high for s in sources]), 0)
        return cls(*column_scales(sources, exponents), low, high)


def round_gate(
    gate: Gate,
    sources: Sequence[Sender],
    moments: Moments,
    weight_bits: int,
    exponents: Sequence[int],
    correction: str = "none",
) -> RoundedGate:
    """Rows of one gate for given exponents.

    Args:
        gate: the float rows.
        sources: what feeds the columns, in order.
        moments: second moments of the columns.
        weight_bits: width of the mantissas.
        exponents: left shift of each source's connection.
        correction: one of CORRECTIONS.
    """
    columns = Columns.of(sources, exponents)
    parts = [(gate, moments)]
    units = smallest_units(parts, columns, weight_bits, correction)
    return round_rows(gate, columns, moments, weight_bits, units, correction)


def smallest_units(
    parts: Iterable[tuple[Gate, Moments]], columns: Columns, weight_bits: int, correction: str
) -> Units:
    """The units of a gate's rows, which come in parts."""
    found: list[tuple[FloatArray, FloatArray]] = []
    steps: list[FloatArray] = []
    left = 0
    for gate, moments in parts:
        integer_weight = gate.weight * columns.scale  # real value of a sum per unit of its message
        by_mantissa, by_sum = _smallest_units(gate, integer_weight, columns, weight_bits)
        if gate.step is not None:
            by_mantissa = gate.step
        elif weight_bits <= CLIPPED_BITS and correction != "none":
            by_mantissa = by_mantissa * _best_clipping(
                gate, integer_weight, columns, by_mantissa, moments, weight_bits
            )
        found.append((by_mantissa, by_sum))
        steps.append(np.maximum(by_mantissa, by_sum) * gate.unit)
        left = LARGEST_LEFT if gate.held else 0
    if len(found) == 1:
        return Units(*found[0], _shift(steps[0], left))
    mantissas, sums = zip(*found, strict=True)
    shift = _shift(np.concatenate(steps), left)
    return Units(np.concatenate(mantissas), np.concatenate(sums), shift)


def round_rows(
    gate: Gate,
    columns: Columns,
    moments: Moments,
    weight_bits: int,
    units: Units,
    correction: str = "none",
) -> RoundedGate:
    """Rows, with the units that are the smallest; arguments as for `round_gate`."""
    scale, left = columns.scale, columns.left
    shift, by_mantissa, by_sum = units.shift, units.by_mantissa, units.by_sum
    smallest = np.maximum(by_mantissa, by_sum)
    per_step = 2.0**shift * gate.unit
    wanted = np.ceil(smallest * per_step)
    multiplier = np.clip(wanted, 1, LARGEST_MULTIPLIER)
    while True:  # at most LARGEST_MULTIPLIER times, since multipliers only grow
        unit = multiplier / per_step
        values = unit[:, None] * left / scale
        mantissas = _rounded(gate.weight / values, weight_bits)
        wanted_bias = gate.bias
        if correction == "bias":
            wanted_bias = gate.bias + (gate.weight - mantissas * values) @ moments.mean
        bias = _whole_bias(gate, wanted_bias / unit)
        worst = _worst_sums(mantissas * left, bias, columns)
        too_large = (worst > LARGEST_SUM) & (multiplier < LARGEST_MULTIPLIER)
        if not too_large.any():
            break
        multiplier = multiplier + too_large
    if correction == "full":
        low, high = signed_range(weight_bits)
        better, wanted_bias = moments.compensated(
            Rows(gate.weight, gate.bias, values, 0 if gate.positive else low, high)
        )
        moved = _whole_bias(gate, wanted_bias / unit)
        sums = _worst_sums(better * left, moved, columns)
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


def _worst_sums(weights: FloatArray, bias: FloatArray, columns: Columns) -> FloatArray:
    """Largest magnitude that the sum of each row of whole numbers, its bias included, can reach.

    These sums are exact, whatever their order.
    """
    positive = np.maximum(weights, 0.0)
    ends = np.stack([columns.high, columns.low], axis=1).astype(np.float64)
    above, below = (positive @ ends + (weights - positive) @ ends[:, ::-1]).T
    return np.maximum(above + np.maximum(bias, 0), -below - np.minimum(bias, 0))


def _best_clipping(
    gate: Gate,
    integer_weight: FloatArray,
    columns: Columns,
    by_mantissa: FloatArray,
    moments: Moments,
    weight_bits: int,
) -> FloatArray:
    """For each row the share of its unit with the least error: a smaller unit clips the largest
    weights and rounds all others more finely.
    """
    best = np.ones(len(by_mantissa))
    least = np.full(len(by_mantissa), np.inf)
    for share in CLIPPINGS:
        unit = (share * by_mantissa)[:, None] * columns.left
        rounded = _rounded(integer_weight / unit, weight_bits)
        error = moments.rms(gate.weight - rounded * unit / columns.scale)
        better = error < least
        best, least = np.where(better, share, best), np.where(better, error, least)
    return best


def _rounded(values: FloatArray, bits: int) -> FloatArray:
    return np.clip(np.floor(values + 0.5), *signed_range(bits))


def _smallest_units(
    gate: Gate,
    integer_weight: FloatArray,
    columns: Columns,
    weight_bits: int,
) -> tuple[FloatArray, FloatArray]:
    """For each row the smallest unit with which mantissas fit, and with which sum and bias do."""
    bottom, top = signed_range(weight_bits)
    left = columns.left
    by_mantissa = np.maximum(integer_weight / (left * top), integer_weight / (left * bottom))
    ends = integer_weight * columns.low, integer_weight * columns.high
    reach = np.maximum(
        np.maximum(*ends).sum(axis=1) + np.maximum(gate.bias, 0.0),
        -np.minimum(*ends).sum(axis=1) - np.minimum(gate.bias, 0.0),
    )
    return np.maximum(by_mantissa.max(axis=1), np.finfo(np.float64).tiny), reach / LARGEST_SUM


def _shift(steps: FloatArray, left: int) -> int:
    """Largest right shift for which multipliers fit their bits; `steps` are pre-activation
    steps per unit of the sum, whose ratio to 2**-shift is the multiplier. Where so many bits to the
    left are allowed, it may be negative.
    """
    shift = int(np.floor(np.log2(LARGEST_MULTIPLIER / steps.max())))
    return min(max(shift, -left), LARGEST_SHIFT)
