"""Chooses multipliers, mantissas and biases of a population's rows, and judges them.

How one gate is rounded for given exponents is in rounding.py; here exponents are chosen, errors on
the calibration data are computed, and rows that cannot be represented are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.connection import LARGEST_EXPONENT
from lnn2loihi.network import FloatArray
from lnn2loihi.quantization.moments import LARGEST_DENSE, BoolArray, Moments
from lnn2loihi.quantization.rounding import (
    LARGEST_MULTIPLIER,
    LARGEST_SUM,
    Columns,
    Gate,
    Sender,
    Units,
    column_scales,
    round_rows,
    smallest_units,
)

#: Exponents are chosen on at most this many rows; all rows then use them.
ROWS_TRIED = 128
#: Of more than LARGEST_DENSE columns fewer rows are tried, of very many not all combinations of
#: exponents.
VALUES_TRIED, FEWEST_ROWS_TRIED, COLUMNS_TRIED = 64 * LARGEST_DENSE, 8, 8 * LARGEST_DENSE
#: Weights that are rounded together, so that what is in between takes little memory.
VALUES_AT_ONCE = 1 << 22
#: Up to so many sources of a population, all combinations of their exponents are tried.
SOURCES_TRIED_TOGETHER = 2
#: A row that the accumulator's bound leaves with mantissas no larger than this is refused, if the
#: error that it then makes is larger than TOLERATED_ERROR in its pre-activation.
COARSE_MANTISSA = 3
#: The same as a share of the rms of its pre-activation, which weights of 8 bits cost anyway.
TOLERATED_SHARE = 2.0**-8
#: Narrower weights than this have coarse mantissas by their own choice.
COARSE_BITS = 4
TOLERATED_ERROR = 0.05


@dataclass(frozen=True)
class QuantizedGate:
    """Integer rows of one accumulator, judged.

    Attributes:
        mantissas: int8 (neurons, columns).
        bias, multiplier: int64 (neurons,).
        shift: right shift of the pre-activation; negative for a left shift.
        unit: real value of one unit of each row's sum, float64 (neurons,).
        reach: largest magnitude of each row's pre-activation in steps, float64 (neurons,).
        error: rms error of each row's pre-activation that rounding causes on the calibration
            data, float64 (neurons,), in units of 1.0; NaN where nobody asked for it.
        problems: rows that do not fit, by neuron.
    """

    mantissas: npt.NDArray[np.int8]
    bias: IntegerArray
    multiplier: IntegerArray
    shift: int
    unit: FloatArray
    reach: FloatArray
    error: FloatArray
    problems: tuple[str, ...]


def quantize_rows(
    gates: Sequence[Gate],
    sources: Sequence[Sender],
    moments: Moments,
    weight_bits: int,
    correction: str = "none",
    exponents: tuple[int, ...] | None = None,
) -> tuple[tuple[int, ...], list[QuantizedGate]]:
    """Integer rows of all gates, and the left shift (exponent) of each source's connection.

    The exponents are those with the least error on the calibration data among all that fit.

    Args:
        gates: rows of each accumulator.
        sources: what feeds the columns, in order.
        moments: second moments of the columns.
        weight_bits: width of the mantissas.
        correction: one of CORRECTIONS.
        exponents: the exponents, if they are settled.
    """
    found = exponents or _best_exponents(gates, sources, moments, weight_bits)
    return found, [
        quantize_gate(g, sources, moments, weight_bits, found, correction) for g in gates
    ]


def _best_exponents(
    gates: Sequence[Gate], sources: Sequence[Sender], moments: Moments, weight_bits: int
) -> tuple[int, ...]:
    """The exponents with the least error among all that fit; for more than two sources, whose
    combinations are too many, or very wide ones, among those found source by source.
    """
    chosen = _sample_rows(gates, moments)
    # Outputs in large units must not outvote those in small ones.
    shares = [gate.shares for gate, _ in chosen]
    known: dict[tuple[int, ...], tuple[int, float]] = {}

    def cost(exponents: tuple[int, ...]) -> tuple[int, float]:
        if exponents not in known:
            rows = [
                quantize_gate(g, sources, m, weight_bits, exponents, weigh=True) for g, m in chosen
            ]
            problems = sum(len(row.problems) for row in rows)
            weighed = [row.error * share for row, share in zip(rows, shares, strict=True)]
            known[exponents] = problems, float(sum(np.sum(error**2) for error in weighed))
        return known[exponents]

    every = range(LARGEST_EXPONENT + 1)
    if len(sources) <= SOURCES_TRIED_TOGETHER and gates[0].weight.shape[1] <= COLUMNS_TRIED:
        return min(np.ndindex(*(len(every),) * len(sources)), key=cost)
    best = min(_even_exponents(gates, sources), key=cost)
    improved = True
    while improved:  # ends because the cost only falls
        before = cost(best)
        for place in range(len(sources)):
            near = [(*best[:place], e, *best[place + 1 :]) for e in every]
            best = min(near, key=cost)
        improved = cost(best) < before
    return best


def _even_exponents(gates: Sequence[Gate], sources: Sequence[Sender]) -> list[tuple[int, ...]]:
    """For each largest exponent the others with which all sources use their mantissas alike."""
    ends = np.cumsum([source.low.size for source in sources])
    weights = [g.weight * g.shares[:, None] for g in gates]
    largest = np.array([
        max(float(np.abs(w[:, end - s.low.size : end] * s.step).max()) for w in weights)
        for s, end in zip(sources, ends, strict=True)
    ])  # fmt: skip
    least = np.finfo(np.float64).tiny
    behind = np.round(np.log2(np.maximum(largest.max(), least) / np.maximum(largest, least)))
    return [
        tuple(int(e) for e in np.maximum(most - behind, 0)) for most in range(LARGEST_EXPONENT + 1)
    ]


def _sample_rows(gates: Sequence[Gate], moments: Moments) -> list[tuple[Gate, Moments]]:
    """All rows, or an even choice of them that keeps the largest, which are the tightest."""
    neurons, columns = gates[0].weight.shape
    count = ROWS_TRIED
    if columns > LARGEST_DENSE:
        count = max(VALUES_TRIED // columns, FEWEST_ROWS_TRIED)
    if neurons <= count:
        return [(gate, moments) for gate in gates]
    picked: list[tuple[Gate, Moments]] = []
    for gate in gates:
        strength = np.argsort(-np.abs(gate.weight).sum(axis=1) * gate.shares)
        index = strength[np.linspace(0, neurons - 1, count).astype(int)]
        picked.append((gate.of_rows(index), moments.of_rows(index)))
    return picked


def selecting_gate(gate: Gate, sources: Sequence[Sender]) -> QuantizedGate:
    """Rows that only pick columns: mantissas of one, no bias and nothing to rescale."""
    scale, _ = column_scales(sources, (0,) * len(sources))
    ones = np.ones(gate.bias.size, np.int64)
    return QuantizedGate(
        gate.weight.astype(np.int8),
        0 * ones,
        ones,
        0,
        gate.weight @ scale,
        np.zeros(ones.size),
        np.zeros(ones.size),
        (),
    )


def quantize_gate(
    gate: Gate,
    sources: Sequence[Sender],
    moments: Moments,
    weight_bits: int,
    exponents: tuple[int, ...],
    correction: str = "none",
    weigh: bool = False,
) -> QuantizedGate:
    """Rows of one gate for given exponents, judged; arguments as for `round_gate`, and whether
    their errors are asked for.

    Some rows after the other, so that the numbers in between take little memory.
    """
    columns = Columns.of(sources, exponents)
    parts = _parts(gate, moments)
    units = smallest_units(parts, columns, weight_bits, correction)
    judged: list[_Judged] = []
    begin = 0
    for own, its_moments in parts:
        its_units = units.of_rows(slice(begin, begin + own.bias.size))
        judged.append(
            _judged(own, sources, columns, its_moments, weight_bits, its_units, correction, weigh)
        )
        begin += own.bias.size
    rows = judged[0] if len(judged) == 1 else _joined(judged)
    crowded = rows.limits.crowded & np.logical_and.reduce(rows.small)
    coarse = _coarse_blocks(crowded, rows.small, rows.lost, weight_bits)
    if (coarse > TOLERATED_ERROR).any():
        tolerated = TOLERATED_SHARE * moments.rms(gate.weight)
        coarse = np.where(coarse > tolerated, coarse, 0.0)
    return QuantizedGate(
        rows.mantissas, rows.bias, rows.multiplier, units.shift, rows.unit,
        rows.limits.worst * rows.multiplier / 2.0**units.shift, rows.error,
        _problems(gate, rows.limits, units.shift, coarse),
    )  # fmt: skip


def _parts(gate: Gate, moments: Moments) -> list[tuple[Gate, Moments]]:
    """The rows in parts that are rounded together."""
    neurons, width = gate.weight.shape
    at_once = max(VALUES_AT_ONCE // width, 1)
    if neurons <= at_once:
        return [(gate, moments)]
    rows = [slice(begin, begin + at_once) for begin in range(0, neurons, at_once)]
    return [(gate.of_rows(part), moments.of_rows(part)) for part in rows]


@dataclass(frozen=True)
class _Limits:
    """What rows reach; see `RoundedGate`."""

    worst: FloatArray
    wanted: FloatArray
    crowded: BoolArray


@dataclass(frozen=True)
class _Judged:
    """Some rows of a `QuantizedGate`.

    Attributes:
        small: for each source whether all mantissas of its block are below COARSE_MANTISSA.
        lost: for each source the rms error of its block, where it is small in some row.
    """

    mantissas: npt.NDArray[np.int8]
    bias: IntegerArray
    multiplier: IntegerArray
    unit: FloatArray
    error: FloatArray
    limits: _Limits
    small: list[BoolArray]
    lost: list[FloatArray]


def _joined(parts: Sequence[_Judged]) -> _Judged:
    """Rows in parts as a whole."""
    every = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("mantissas", "bias", "multiplier", "unit", "error")
    }
    limits = (
        np.concatenate([getattr(part.limits, name) for part in parts])
        for name in ("worst", "wanted", "crowded")
    )
    return _Judged(
        **every,
        limits=_Limits(*limits),
        small=[np.concatenate(blocks) for blocks in zip(*(p.small for p in parts), strict=True)],
        lost=[np.concatenate(blocks) for blocks in zip(*(p.lost for p in parts), strict=True)],
    )


def _judged(
    gate: Gate,
    sources: Sequence[Sender],
    columns: Columns,
    moments: Moments,
    weight_bits: int,
    units: Units,
    correction: str,
    weigh: bool,
) -> _Judged:
    rows = round_rows(gate, columns, moments, weight_bits, units, correction)
    lost = gate.weight - rows.mantissas * rows.values
    error = np.full(rows.unit.shape, np.nan)
    if weigh:
        bias = gate.bias - rows.bias * rows.unit
        error = moments.rms(np.concatenate([lost, bias[:, None]], axis=1))
    ends = np.cumsum([source.low.size for source in sources])
    small: list[BoolArray] = []
    errors: list[FloatArray] = []
    for end, source in zip(ends, sources, strict=True):
        block = slice(end - source.low.size, end)
        small.append(np.abs(rows.mantissas[:, block]).max(axis=1) < COARSE_MANTISSA)
        found = moments.rms(lost[:, block], block.start) if small[-1].any() else 0.0 * rows.unit
        errors.append(found)
    return _Judged(
        rows.mantissas.astype(np.int8), rows.bias, rows.multiplier, rows.unit, error,
        _Limits(rows.worst, rows.wanted, rows.crowded), small, errors,
    )  # fmt: skip


def _coarse_blocks(
    small_rows: BoolArray,
    small: Sequence[BoolArray],
    lost: Sequence[FloatArray],
    weight_bits: int,
) -> FloatArray:
    """For each row the rms error of a block (input or recurrent) that the bound left too little.

    That is so where all mantissas of a row are below COARSE_MANTISSA and its unit follows from
    the accumulator's bound (`small_rows`), or where a block's are in most rows, although mantissas
    are wide enough: its messages are too fine for the accumulator. 0 elsewhere.
    """
    largest = np.zeros(small_rows.size)
    for block, error in zip(small, lost, strict=True):
        collapsed = (block & (error > TOLERATED_ERROR)).mean() > 0.5
        blamed = small_rows | (block & (collapsed and weight_bits >= COARSE_BITS))
        largest = np.maximum(largest, np.where(blamed, error, 0.0))
    return largest


def _problems(gate: Gate, rows: _Limits, shift: int, coarse: FloatArray) -> tuple[str, ...]:
    """Rows that cannot be represented; `coarse` is the error of blocks that the bound leaves too
    little.
    """
    worst, wanted = rows.worst, rows.wanted
    reach = worst * wanted / 2.0**shift  # in steps of the pre-activation
    found: list[str] = []
    strong = (reach > LARGEST_SUM) & (not gate.held)
    unit = np.broadcast_to(gate.unit, reach.shape)
    for neuron in np.flatnonzero(strong):
        found.append(
            f"neuron {neuron}, accumulator {gate.name}: its pre-activation can reach "
            f"{reach[neuron] / unit[neuron]:.4g}; 24 bits hold {LARGEST_SUM / unit[neuron]:.4g}"
        )
    for neuron in np.flatnonzero(~strong & (wanted > LARGEST_MULTIPLIER)):
        found.append(
            f"neuron {neuron}, accumulator {gate.name}: a multiplier of {wanted[neuron]:.0f} "
            f"would be needed, 8 bits hold {LARGEST_MULTIPLIER}; its weights, or what they "
            "are multiplied with, are too large for so few mantissa and message bits"
        )
    fits = ~strong & (wanted <= LARGEST_MULTIPLIER)
    for neuron in np.flatnonzero(fits & (worst > LARGEST_SUM)):
        found.append(
            f"neuron {neuron}, accumulator {gate.name}: its sum can reach {worst[neuron]:.3g}, "
            f"a 24-bit accumulator holds {LARGEST_SUM}"
        )
    for neuron in np.flatnonzero(fits & (coarse > TOLERATED_ERROR) & (worst <= LARGEST_SUM)):
        found.append(
            f"neuron {neuron}, accumulator {gate.name}: its 24-bit bound, or scales of inputs and "
            f"messages too far apart, leave mantissas below {COARSE_MANTISSA} (rms error "
            f"{coarse[neuron]:.2g} of its pre-activation)"
        )
    return tuple(found)
