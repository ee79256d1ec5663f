"""Chooses multipliers, mantissas and biases of a population's rows, and judges them.

How one gate is rounded for given exponents is in rounding.py; here exponents are chosen, errors on
the calibration data are computed, and rows that cannot be represented are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.connection import LARGEST_EXPONENT
from lnn2loihi.network import FloatArray
from lnn2loihi.quantize.rounding import (
    LARGEST_MULTIPLIER,
    LARGEST_SUM,
    Gate,
    RoundedGate,
    Source,
    column_scales,
    rms_error,
    round_gate,
)

#: Exponents are chosen on at most this many rows; all rows then use them.
ROWS_TRIED = 128
#: Up to so many sources of a population, all combinations of their exponents are tried.
SOURCES_TRIED_TOGETHER = 2
#: A row that the accumulator's bound leaves with mantissas no larger than this is refused, if the
#: error that it then makes is larger than TOLERATED_ERROR in its pre-activation.
COARSE_MANTISSA = 3
#: Narrower weights than this have coarse mantissas by their own choice.
COARSE_BITS = 4
TOLERATED_ERROR = 0.05


@dataclass(frozen=True)
class QuantizedGate:
    """Integer rows of one accumulator, judged.

    Attributes:
        mantissas: int64 (neurons, columns).
        bias, multiplier: int64 (neurons,).
        shift: right shift of the pre-activation.
        unit: real value of one unit of each row's sum, float64 (neurons,).
        reach: largest magnitude of each row's pre-activation in steps, float64 (neurons,).
        error: rms error of each row's pre-activation that rounding causes on the calibration
            data, float64 (neurons,), in units of 1.0.
        problems: rows that do not fit, by neuron.
    """

    mantissas: IntegerArray
    bias: IntegerArray
    multiplier: IntegerArray
    shift: int
    unit: FloatArray
    reach: FloatArray
    error: FloatArray
    problems: tuple[str, ...]


def quantize_rows(
    gates: Sequence[Gate],
    sources: Sequence[Source],
    moments: FloatArray,
    weight_bits: int,
    correction: str = "none",
    exponents: tuple[int, ...] | None = None,
) -> tuple[tuple[int, ...], list[QuantizedGate]]:
    """Integer rows of all gates, and the left shift (exponent) of each source's connection.

    The exponents are those with the least error on the calibration data among all that fit.

    Args:
        gates: rows of each accumulator.
        sources: what feeds the columns, in order.
        moments: E[z z^T] of the columns and a constant 1, (columns + 1, columns + 1).
        weight_bits: width of the mantissas.
        correction: one of CORRECTIONS.
        exponents: the exponents, if they are settled.
    """
    found = exponents or _best_exponents(gates, sources, moments, weight_bits)
    return found, [
        quantize_gate(g, sources, moments, weight_bits, found, correction) for g in gates
    ]


def _best_exponents(
    gates: Sequence[Gate], sources: Sequence[Source], moments: FloatArray, weight_bits: int
) -> tuple[int, ...]:
    """The exponents with the least error among all that fit; for more than two sources, whose
    combinations are too many, among those found source by source.
    """
    chosen = _sample_rows(gates)
    known: dict[tuple[int, ...], tuple[int, float]] = {}

    def cost(exponents: tuple[int, ...]) -> tuple[int, float]:
        if exponents not in known:
            rows = [quantize_gate(g, sources, moments, weight_bits, exponents) for g in chosen]
            problems = sum(len(row.problems) for row in rows)
            known[exponents] = problems, float(sum(np.sum(row.error**2) for row in rows))
        return known[exponents]

    every = range(LARGEST_EXPONENT + 1)
    if len(sources) <= SOURCES_TRIED_TOGETHER:
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


def _even_exponents(gates: Sequence[Gate], sources: Sequence[Source]) -> list[tuple[int, ...]]:
    """For each largest exponent the others with which all sources use their mantissas alike."""
    ends = np.cumsum([source.low.size for source in sources])
    largest = np.array([
        max(float(np.abs(g.weight[:, end - s.low.size : end] * s.step).max()) for g in gates)
        for s, end in zip(sources, ends, strict=True)
    ])  # fmt: skip
    least = np.finfo(np.float64).tiny
    behind = np.round(np.log2(np.maximum(largest.max(), least) / np.maximum(largest, least)))
    return [
        tuple(int(e) for e in np.maximum(most - behind, 0)) for most in range(LARGEST_EXPONENT + 1)
    ]


def _sample_rows(gates: Sequence[Gate]) -> list[Gate]:
    """All rows, or an even choice of them that keeps the largest, which are the tightest."""
    neurons = gates[0].bias.size
    if neurons <= ROWS_TRIED:
        return list(gates)
    picked = []
    for gate in gates:
        strength = np.argsort(-np.abs(gate.weight).sum(axis=1))
        index = strength[np.linspace(0, neurons - 1, ROWS_TRIED).astype(int)]
        unit = np.broadcast_to(gate.unit, neurons)[index]
        picked.append(replace(gate, weight=gate.weight[index], bias=gate.bias[index], unit=unit))
    return picked


def wired_gate(gate: Gate, sources: Sequence[Source]) -> QuantizedGate:
    """Rows that only pick columns: mantissas of one, no bias and nothing to rescale."""
    scale, _ = column_scales(sources, (0,) * len(sources))
    ones = np.ones(gate.bias.size, np.int64)
    return QuantizedGate(
        gate.weight.astype(np.int64),
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
    sources: Sequence[Source],
    moments: FloatArray,
    weight_bits: int,
    exponents: tuple[int, ...],
    correction: str = "none",
) -> QuantizedGate:
    """Rows of one gate for given exponents, judged; arguments as for `round_gate`."""
    rows = round_gate(gate, sources, moments, weight_bits, exponents, correction)
    lost = gate.weight - rows.mantissas * rows.values
    difference = np.concatenate([lost, (gate.bias - rows.bias * rows.unit)[:, None]], axis=1)
    coarse = _coarse_blocks(lost, rows, moments, sources, weight_bits)
    reach = rows.worst * rows.multiplier / 2.0**rows.shift
    return QuantizedGate(
        rows.mantissas, rows.bias, rows.multiplier, rows.shift, rows.unit, reach,
        rms_error(difference, moments), _problems(gate, rows, coarse),
    )  # fmt: skip


def _coarse_blocks(
    lost: FloatArray,
    rows: RoundedGate,
    moments: FloatArray,
    sources: Sequence[Source],
    weight_bits: int,
) -> FloatArray:
    """For each row the rms error of a block (input or recurrent) that the bound left too little.

    That is so where all mantissas of a row are below COARSE_MANTISSA and its unit follows from
    the accumulator's bound, or where a block's are in most rows, although mantissas are wide
    enough: its messages are too fine for the accumulator. 0 elsewhere.
    """
    ends = np.cumsum([source.low.size for source in sources])
    largest = np.zeros(len(lost))
    small_rows = rows.crowded & (np.abs(rows.mantissas).max(axis=1) < COARSE_MANTISSA)
    for end, source in zip(ends, sources, strict=True):
        block = slice(end - source.low.size, end)
        small = np.abs(rows.mantissas[:, block]).max(axis=1) < COARSE_MANTISSA
        if not small.any():
            continue
        error = rms_error(lost[:, block], moments[block, block])
        collapsed = (small & (error > TOLERATED_ERROR)).mean() > 0.5
        blamed = small_rows | (small & (collapsed and weight_bits >= COARSE_BITS))
        largest = np.maximum(largest, np.where(blamed, error, 0.0))
    return largest


def _problems(gate: Gate, rows: RoundedGate, coarse: FloatArray) -> tuple[str, ...]:
    """Rows that cannot be represented; `coarse` is the error of blocks that the bound leaves too
    little.
    """
    worst, wanted = rows.worst, rows.wanted
    reach = worst * wanted / 2.0**rows.shift  # in steps of the pre-activation
    found: list[str] = []
    strong = reach > LARGEST_SUM
    unit = np.broadcast_to(gate.unit, reach.shape)
    for neuron in np.flatnonzero(strong):
        found.append(
            f"neuron {neuron}, accumulator {gate.name}: its pre-activation can reach "
            f"{reach[neuron] / unit[neuron]:.4g}; 24 bits hold {LARGEST_SUM / unit[neuron]:.4g}"
        )
    for neuron in np.flatnonzero(~strong & (wanted > LARGEST_MULTIPLIER)):
        found.append(
            f"neuron {neuron}, accumulator {gate.name}: a multiplier of {wanted[neuron]:.0f} "
            f"would be needed, 8 bits hold {LARGEST_MULTIPLIER}; its weights are too large for "
            "so few mantissa and message bits"
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
