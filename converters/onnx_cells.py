"""Finds the layers of a CfC in what an ONNX graph computes in one step.

The search goes backwards: from the answer to the readout, the last layer, what that layer reads.
Each layer is recognised by its equation (`lnn2loihi.layers.cfc`, `lnn2loihi.layers.memory`),
whatever order its sums and products stand in. The last columns of what a layer reads, as many as
it has units, are its own last state or the answer of its memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from lnn2loihi.converters.onnx_symbolic import NodeError
from lnn2loihi.converters.onnx_terms import Affine, Identities, Monomial, Terms, same
from lnn2loihi.layers.memory import FORGET_BIAS, MEMORY_GATES
from lnn2loihi.network import FloatArray

#: Relative difference up to which two constants of a file in float32 are taken as the same.
_CLOSE = 1e-5


@dataclass(frozen=True, eq=False)
class FoundMemory:
    """The part of a mixed memory that one layer hears.

    Attributes:
        gates: in the order of MEMORY_GATES, columns [inputs; last states of all layers].
        cell: identities of its last cell state.
        new_cell: identities of its new one.
    """

    gates: tuple[Affine, ...]
    cell: Identities
    new_cell: Identities


@dataclass(frozen=True, eq=False)
class FoundLayer:
    """A layer as it stands in one step.

    Attributes:
        row: its new state.
        kind: "default", "no_gate", "pure", or "dense".
        maps: its gates by name; of a dense layer "linear".
        backbone: (map, activation, factor) of each backbone layer, in order.
        before: what it reads from outside.
        own: what it hears of itself: its last state, or the memory's answer.
        elapsed: identity of the elapsed time, or None where time is constant.
        memory: the part of a memory that it hears, or None.
        w_tau, amplitude: of mode pure.
        activation, factor: of a dense layer.
    """

    row: Identities
    kind: str
    maps: dict[str, Affine]
    before: Identities
    own: Identities
    backbone: tuple[tuple[Affine, str, float], ...] = ()
    elapsed: int | None = None
    memory: FoundMemory | None = None
    w_tau: FloatArray | None = None
    amplitude: FloatArray | None = None
    activation: str = "identity"
    factor: float = 1.0


@dataclass(frozen=True, eq=False)
class FoundStep:
    """All layers of one step.

    Attributes:
        readout: the map on the last layer, or None.
        layers: in order.
        samples: identities of the sample.
    """

    readout: Affine | None
    layers: tuple[FoundLayer, ...]
    samples: Identities


def find_step(terms: Terms, answer: Identities) -> FoundStep:
    """The layers that make an answer.

    Raises:
        NodeError: names the first node that does not fit, and what was expected there.
    """
    readout = terms.affine(answer)
    row = answer if readout is None else readout.columns
    layers: list[FoundLayer] = []
    while not _is_sample(terms, row):
        layer = _find_layer(terms, row)
        layers.insert(0, layer)
        row = layer.before
    if not any(layer.kind != "dense" for layer in layers):
        raise _unexpected(terms, answer, "a CfC: f1 (1 - t) + t f2, or another of its modes")
    return FoundStep(readout, tuple(layers), row)


def _is_sample(terms: Terms, row: Identities) -> bool:
    places = terms.inputs(row)
    return places is not None and all(place[0] == 0 for place in places)


def _unexpected(terms: Terms, row: Identities, expected: str) -> NodeError:
    return NodeError(f"{terms.node_of(row)} does not fit: expected {expected}")


def _find_layer(terms: Terms, row: Identities) -> FoundLayer:
    monomials = terms.monomials(row)
    for match in (_gated, _ungated, _pure):
        found = match(terms, row, monomials)
        if found is not None:
            return found
    dense = find_activation(terms, row)
    if dense is not None:
        linear, activation, factor = dense
        return FoundLayer(
            row, "dense", {"linear": linear}, linear.columns, linear.columns[:0],
            activation=activation, factor=factor,
        )  # fmt: skip
    raise _unexpected(
        terms, row, "the new state of a CfC: f1 (1 - t) + t f2 (default), f1 + t f2 (no_gate) or "
        "A - A exp(-timespan (|w_tau| + |f|)) f (pure), or a linear map with an activation"
    )  # fmt: skip


def _is(factor: FloatArray, value: float) -> bool:
    return bool(np.all(np.abs(factor - value) <= _CLOSE * max(1.0, abs(value))))


def _plain(monomials: list[Monomial], *counts: int) -> bool:
    """Whether there are so many products with factor 1, of so many rows each."""
    return len(monomials) == len(counts) and all(
        _is(m.factor, 1.0) and len(m.rows) == count
        for m, count in zip(monomials, counts, strict=True)
    )


def _gated(terms: Terms, row: Identities, monomials: list[Monomial]) -> FoundLayer | None:
    """f1 (1 - t) + t f2, or f1 + t (f2 - f1)."""
    if _plain(monomials, 2, 2):
        for kept, changed in (monomials, monomials[::-1]):
            for t, f2 in (changed.rows, changed.rows[::-1]):
                for rest, f1 in (kept.rows, kept.rows[::-1]):
                    if _is_rest(terms, rest, t):
                        return _cell(terms, row, "default", f1, f2, t)
    ordered = sorted(monomials, key=lambda monomial: len(monomial.rows))
    if _plain(ordered, 1, 2):
        f1, product = ordered[0].rows[0], ordered[1].rows
        for t, difference in (product, product[::-1]):
            parts = terms.monomials(difference)
            if len(parts) == 2 and all(len(part.rows) == 1 for part in parts):
                for plus, minus in (parts, parts[::-1]):
                    if _is(minus.factor, -1.0) and same(minus.rows[0], f1):
                        return _cell(terms, row, "default", f1, plus.rows[0], t)
    return None


def _is_rest(terms: Terms, row: Identities, t: Identities) -> bool:
    """Whether a row is 1 - t."""
    parts = sorted(terms.monomials(row), key=lambda part: len(part.rows))
    return (
        [len(part.rows) for part in parts] == [0, 1]
        and _is(parts[0].factor, 1.0)
        and _is(parts[1].factor, -1.0)
        and same(parts[1].rows[0], t)
    )


def _ungated(terms: Terms, row: Identities, monomials: list[Monomial]) -> FoundLayer | None:
    """f1 + t f2."""
    ordered = sorted(monomials, key=lambda monomial: len(monomial.rows))
    if not _plain(ordered, 1, 2):
        return None
    product = ordered[1].rows
    for t, f2 in (product, product[::-1]):
        sigmoid = terms.only_operand(t, "sigmoid")
        if sigmoid is not None and terms.only_operand(f2, "tanh") is not None:
            return _cell(terms, row, "no_gate", ordered[0].rows[0], f2, t)
    return None


def _cell(
    terms: Terms, row: Identities, kind: str, f1: Identities, f2: Identities, t: Identities
) -> FoundLayer:
    maps: dict[str, Affine] = {}
    for gate, function in (("ff1", f1), ("ff2", f2)):
        inside = terms.only_operand(function, "tanh")
        linear = None if inside is None else terms.affine(inside)
        if linear is None:
            raise _unexpected(terms, function, f"{gate}: tanh of a linear map")
        maps[gate] = linear
    inside = terms.only_operand(t, "sigmoid")
    if inside is None:
        raise _unexpected(terms, t, "the time gate: sigmoid of a linear map")
    elapsed = _time_gate(terms, inside, maps)
    return _with_columns(terms, row, kind, maps, elapsed)


def _time_gate(terms: Terms, row: Identities, maps: dict[str, Affine]) -> int | None:
    """Adds the maps of the time gate; the identity of the elapsed time, if it is an input."""
    linear = terms.affine(row)
    if linear is not None:
        # The constant elapsed time is folded into the map.
        maps["time_a"] = Affine(linear.columns, 0.0 * linear.weight, 0.0 * linear.bias)
        maps["time_b"] = linear
        return None
    parts = sorted(terms.monomials(row), key=lambda part: len(part.rows))
    if _plain(parts, 1, 2):
        time_b = terms.affine(parts[0].rows[0])
        for span, rate in (parts[1].rows, parts[1].rows[::-1]):
            elapsed, time_a = _elapsed(terms, span), terms.affine(rate)
            if elapsed is not None and time_a is not None and time_b is not None:
                maps["time_a"], maps["time_b"] = time_a, time_b
                return elapsed
    raise _unexpected(
        terms, row, "the time gate: time_a(z) times the elapsed time (1.0 or an input), plus "
        "time_b(z)"
    )  # fmt: skip


def _elapsed(terms: Terms, row: Identities) -> int | None:
    """The one input that stands in the whole row, other than a sample."""
    if not np.all(row == row[0]):
        return None
    places = terms.inputs(row[:1])
    return int(row[0]) if places and places[0][0] != 0 else None


def _pure(terms: Terms, row: Identities, monomials: list[Monomial]) -> FoundLayer | None:
    """A - A exp(-timespan (|w_tau| + |f|)) f."""
    ordered = sorted(monomials, key=lambda monomial: len(monomial.rows))
    if [len(monomial.rows) for monomial in ordered] != [0, 2]:
        return None
    amplitude = ordered[0].factor
    if not np.allclose(ordered[1].factor, -amplitude, rtol=_CLOSE, atol=0.0):
        return None
    for decay, f in (ordered[1].rows, ordered[1].rows[::-1]):
        exponent = terms.only_operand(decay, "exp")
        linear = terms.affine(f)
        if exponent is None or linear is None:
            continue
        w_tau, elapsed = _rate(terms, exponent, f)
        found = _with_columns(terms, row, "pure", {"ff1": linear}, elapsed)
        return FoundLayer(
            **{**vars(found), "w_tau": w_tau, "amplitude": amplitude}
        )  # fmt: skip
    return None


def _rate(terms: Terms, row: Identities, f: Identities) -> tuple[FloatArray, int | None]:
    """|w_tau| from -timespan (|w_tau| + |f|), and the elapsed time if it is an input."""
    elapsed: int | None = None
    parts = terms.monomials(row)
    if len(parts) == 1 and len(parts[0].rows) in (1, 2) and _is(parts[0].factor, -1.0):
        rows = list(parts[0].rows)
        for place, candidate in enumerate(rows):
            if len(rows) == 2 and _elapsed(terms, candidate) is not None:
                elapsed = _elapsed(terms, rows.pop(place))
                break
        parts = terms.monomials(rows[0]) if len(rows) == 1 else []
        sign = 1.0
    else:
        sign = -1.0
    constants = [part for part in parts if not part.rows]
    others = [part for part in parts if part.rows]
    if (
        len(constants) == 1 and len(others) == 1 and len(others[0].rows) == 1
        and _is(others[0].factor, sign)
    ):  # fmt: skip
        inside = terms.only_operand(others[0].rows[0], "abs")
        if inside is not None and same(inside, f):
            return constants[0].factor * sign, elapsed
    raise _unexpected(terms, row, "the exponent of mode pure: -timespan (|w_tau| + |f|)")


def _with_columns(
    terms: Terms, row: Identities, kind: str, maps: dict[str, Affine], elapsed: int | None
) -> FoundLayer:
    """The layer with its backbone, and its columns divided into outside and own."""
    columns = next(iter(maps.values())).columns
    for gate, linear in maps.items():
        if not same(linear.columns, columns):
            raise _unexpected(
                terms, linear.columns, f"{gate} to read the same {columns.size} numbers as ff1"
            )
    backbone: list[tuple[Affine, str, float]] = []
    while (found := find_activation(terms, columns)) is not None:
        backbone.insert(0, found)
        columns = found[0].columns
    if columns.size <= row.size:
        raise _unexpected(
            terms, columns, f"inputs and {row.size} states; there are {columns.size} columns. A "
            "step exported without its state, from zero, has lost its recurrent weights: export "
            "with hx given"
        )  # fmt: skip
    own = columns[-row.size :]
    return FoundLayer(
        row, kind, maps, columns[: -row.size], own, tuple(backbone), elapsed,
        _find_memory(terms, own),
    )  # fmt: skip


def find_activation(terms: Terms, row: Identities) -> tuple[Affine, str, float] | None:
    """A row as factor * activation(linear map), by the name that layers have for it."""
    monomials = terms.monomials(row)
    if len(monomials) != 1 or not monomials[0].rows:
        return None
    factor, rows = monomials[0].factor, monomials[0].rows
    if not _is(factor / factor[0] if factor[0] else factor, 1.0):
        return None
    if len(rows) == 1:
        for function in ("tanh", "relu", "sigmoid", "gelu"):
            inside = terms.only_operand(rows[0], function)
            linear = None if inside is None else terms.affine(inside)
            if linear is not None:
                return linear, function, float(factor[0])
        return None
    if len(rows) != 2:
        return None
    for one, other in (rows, rows[::-1]):
        linear = terms.affine(one)
        if linear is None:
            continue
        inside = terms.only_operand(other, "sigmoid")
        if inside is not None and same(inside, one):
            return linear, "silu", float(factor[0])
        if _is_normal_distribution(terms, other, linear):
            return linear, "gelu", float(factor[0]) * 2.0
    return None


def _is_normal_distribution(terms: Terms, row: Identities, linear: Affine) -> bool:
    """Whether a row is 1 + erf(x / sqrt(2)), twice the distribution function."""
    parts = sorted(terms.monomials(row), key=lambda part: len(part.rows))
    if not (_plain(parts, 0, 1)):
        return False
    inside = terms.only_operand(parts[1].rows[0], "erf")
    scaled = None if inside is None else terms.affine(inside)
    return (
        scaled is not None
        and same(scaled.columns, linear.columns)
        and np.allclose(scaled.weight * sqrt(2.0), linear.weight, rtol=_CLOSE, atol=1e-9)
    )


def _find_memory(terms: Terms, row: Identities) -> FoundMemory | None:
    """The memory that makes a row, if one does: tanh(c') sigmoid(o)."""
    operands = terms.operands(row, "multiply")
    if operands is None:
        return None
    output = cell = None
    for operand in operands:
        rows = operand.astype(np.int64)
        output = terms.only_operand(rows, "sigmoid") if output is None else output
        cell = terms.only_operand(rows, "tanh") if cell is None else cell
    if output is None or cell is None:
        return None
    gates = {"output_gate": terms.affine(output)}
    before: Identities | None = None
    for monomial in terms.monomials(cell):
        functions = {
            function: inside
            for candidate in monomial.rows
            for function in ("sigmoid", "tanh")
            if (inside := terms.only_operand(candidate, function)) is not None
        }
        if "tanh" in functions and "sigmoid" in functions:
            gates["cell_input"] = terms.affine(functions["tanh"])
            gates["input_gate"] = terms.affine(functions["sigmoid"])
        elif "sigmoid" in functions:
            forget = terms.affine(functions["sigmoid"])
            gates["forget_gate"] = forget and Affine(
                forget.columns, forget.weight, forget.bias - FORGET_BIAS
            )
            before = next((r for r in monomial.rows if terms.only_operand(r, "sigmoid") is None),
                          None)  # fmt: skip
            before = terms.constant(monomial.factor) if before is None else before
    found = [gates.get(gate) for gate in MEMORY_GATES]
    if before is None or any(gate is None for gate in found):
        raise _unexpected(
            terms, cell, "the cell state of a mixed memory: c sigmoid(f + 1) + tanh(i) sigmoid(ig)"
        )
    columns = [gate.columns for gate in found if gate is not None]
    if not all(same(column, columns[0]) for column in columns):
        raise _unexpected(terms, columns[0], "the four gates of a memory to read the same numbers")
    return FoundMemory(tuple(gate for gate in found if gate is not None), before, cell)
