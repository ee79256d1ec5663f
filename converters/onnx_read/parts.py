"""What cells of an ONNX graph have in common: activations, the elapsed time."""

from __future__ import annotations

from math import sqrt

import numpy as np

from lnn2loihi.converters.onnx_read.terms import (
    Affine,
    Identities,
    Monomial,
    NodeError,
    Terms,
    same,
)
from lnn2loihi.layers.activations import activation_problem, canonical
from lnn2loihi.network import FloatArray

#: Relative difference up to which a constant is taken as a number that every format has, as 1.
CLOSE = 1e-5
#: What is said where weights of a state are missing.
FOLDED_STATE = (
    "A step exported without its state, from zero, has lost its recurrent weights: export with hx "
    "given, or several steps"
)
#: Operations of terms that are no activations, though they may have the name of one.
_NO_ACTIVATIONS = frozenset(
    "input constant linear add multiply divide sum exp erf log identity square".split()
)


def unexpected(terms: Terms, row: Identities, expected: str) -> NodeError:
    """The error of a row that does not fit, which names the node that makes it."""
    return NodeError(f"{terms.node_of(row)} does not fit: expected {expected}")


def all_are(factor: FloatArray, value: float) -> bool:
    """Whether all numbers are a value that every format has, up to the rounding of float32."""
    return bool(np.all(np.abs(factor - value) <= CLOSE * max(1.0, abs(value))))


def plain(monomials: list[Monomial], *counts: int) -> bool:
    """Whether there are so many products with factor 1, of so many rows each."""
    return len(monomials) == len(counts) and all(
        all_are(m.factor, 1.0) and len(m.rows) == count
        for m, count in zip(monomials, counts, strict=True)
    )


def elapsed_input(terms: Terms, row: Identities) -> int | None:
    """The one input that stands in the whole row, other than a sample."""
    if not np.all(row == row[0]):
        return None
    places = terms.inputs(row[:1])
    return int(row[0]) if places and places[0][0] != 0 else None


def find_activation(terms: Terms, row: Identities) -> tuple[Affine, str, float] | None:
    """A row as factor * activation(linear map), by the name that layers have for it."""
    monomials = terms.monomials(row)
    if len(monomials) != 1 or not monomials[0].rows:
        return None
    factor, rows = monomials[0].factor, monomials[0].rows
    if not all_are(factor / factor[0] if factor[0] else factor, 1.0):
        return None
    if len(rows) == 1:
        applied = activation_at(terms, rows[0])
        linear = None if applied is None else terms.affine(applied[1])
        return None if applied is None or linear is None else (linear, applied[0], float(factor[0]))
    if len(rows) != 2:
        return None
    for one, other in (rows, rows[::-1]):
        linear = terms.affine(one)
        if linear is None:
            continue
        inside = terms.only_operand(other, "sigmoid")
        if inside is not None and _same_map(terms, inside, one):
            return linear, "silu", float(factor[0])
        if same(one, other):
            return linear, "square", float(factor[0])
        if (ends := _hard_swish(terms, other, linear)) is not None:
            return linear, "hard_swish", float(factor[0]) * ends
        if _is_normal_distribution(terms, other, linear):
            return linear, "gelu", float(factor[0]) * 2.0
    return None


def activation_at(terms: Terms, row: Identities) -> tuple[str, Identities] | None:
    """The activation that a row is of another one, by its text, and that row."""
    inside = terms.only_operand(row, "log")
    if inside is not None:
        within = terms.only_operand(inside, "sigmoid")
        return None if within is None else ("log_sigmoid", within)
    found = terms.term_of(row)
    operation = "" if found is None else found[0].operation
    if not operation or operation in _NO_ACTIVATIONS or activation_problem(operation):
        return None
    inside = terms.only_operand(row, operation)
    return None if inside is None else (canonical(operation), inside)


def _hard_swish(terms: Terms, row: Identities, linear: Affine) -> float | None:
    """What a row is larger by than min(max(x + 3, 0), 6) / 6 of x = linear; None where it is
    something else.
    """
    for ends, scale in (("clamp(0,1)", 6.0), ("clamp(0,6)", 1.0)):
        inside = terms.only_operand(row, ends)
        held = None if inside is None else terms.affine(inside)
        if held is None or not same(held.columns, linear.columns):
            continue
        weight, bias = scale * held.weight, scale * held.bias - 3.0
        if np.allclose(weight, linear.weight, rtol=terms.close, atol=terms.close) and np.allclose(
            bias, linear.bias, rtol=terms.close, atol=4 * terms.close
        ):
            return 6.0 / scale
    return None


def _same_map(terms: Terms, one: Identities, other: Identities) -> bool:
    """Whether two rows are the same linear map."""
    first, second = terms.affine(one), terms.affine(other)
    if same(one, other) or first is None or second is None:
        return same(one, other)
    return (
        same(first.columns, second.columns)
        and np.array_equal(first.weight, second.weight)
        and np.array_equal(first.bias, second.bias)
    )


def _is_normal_distribution(terms: Terms, row: Identities, linear: Affine) -> bool:
    """Whether a row is 1 + erf(x / sqrt(2)), twice the distribution function."""
    parts = sorted(terms.monomials(row), key=lambda part: len(part.rows))
    if not (plain(parts, 0, 1)):
        return False
    inside = terms.only_operand(parts[1].rows[0], "erf")
    scaled = None if inside is None else terms.affine(inside)
    return (
        scaled is not None
        and same(scaled.columns, linear.columns)
        and np.allclose(scaled.weight * sqrt(2.0), linear.weight, rtol=terms.close, atol=1e-9)
    )
