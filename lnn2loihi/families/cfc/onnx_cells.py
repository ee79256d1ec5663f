"""Finds the cells of a CfC in what an ONNX graph computes in one step.

Each layer is recognised by its equation (`lnn2loihi.families.cfc.layer`,
`lnn2loihi.families.lstm.memory`), whatever order its sums and products stand in. The last columns
of what a layer reads, as many as it has units, are its own last state or the answer of its memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.onnx_read.parts import (
    FOLDED_STATE,
    all_are,
    elapsed_input,
    find_activation,
    plain,
    unexpected,
)
from lnn2loihi.converters.onnx_read.terms import (
    Affine,
    Identities,
    Monomial,
    Terms,
    same,
)
from lnn2loihi.families.lstm.onnx_reader import FoundMemory, find_memory
from lnn2loihi.network import FloatArray

#: What is looked for, for messages.
EXPECTED = (
    "the new state of a CfC: f1 (1 - t) + t f2 (default), f1 + t f2 (no_gate) or "
    "A - A exp(-timespan (|w_tau| + |f|)) f (pure)"
)


@dataclass(frozen=True, eq=False)
class FoundLayer:
    """A layer as it stands in one step.

    Attributes:
        row: its new state.
        kind: "default", "no_gate" or "pure".
        maps: its gates by name.
        backbone: (map, activation, factor) of each backbone layer, in order.
        before: what it reads from outside.
        own: what it hears of itself: its last state, or the memory's answer.
        elapsed: identity of the elapsed time, or None where time is constant.
        memory: the part of a memory that it hears, or None.
        w_tau, amplitude: of mode pure.
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

    def arrays(self) -> list[FloatArray | str]:
        """All that it computes with; a state of zeros may be folded away in its memory's maps."""
        maps = [*self.maps.values(), *(part[0] for part in self.backbone)]
        maps += self.memory.gates if self.memory else ()
        kinds = [self.kind, *(f"{name} {factor!r}" for _, name, factor in self.backbone)]
        vectors = [array for array in (self.w_tau, self.amplitude) if array is not None]
        return [*kinds, *vectors, *(array for part in maps for array in (part.weight, part.bias))]


def find_layer(terms: Terms, row: Identities) -> FoundLayer | None:
    """The layer that makes a row; None if no CfC does.

    Raises:
        NodeError: names the first node that does not fit in one that nearly does.
    """
    monomials = terms.monomials(row)
    for match in (_gated, _mean_gated, _ungated, _pure):
        found = match(terms, row, monomials)
        if found is not None:
            return found
    return None


def _gated(terms: Terms, row: Identities, monomials: list[Monomial]) -> FoundLayer | None:
    """f1 (1 - t) + t f2, or f1 + t (f2 - f1)."""
    if plain(monomials, 2, 2):
        for kept, changed in (monomials, monomials[::-1]):
            for t, f2 in (changed.rows, changed.rows[::-1]):
                for rest, f1 in (kept.rows, kept.rows[::-1]):
                    if _is_rest(terms, rest, t):
                        return _cell(terms, row, "default", f1, f2, t)
    ordered = sorted(monomials, key=lambda monomial: len(monomial.rows))
    if plain(ordered, 1, 2):
        f1, product = ordered[0].rows[0], ordered[1].rows
        for t, difference in (product, product[::-1]):
            parts = terms.monomials(difference)
            if len(parts) == 2 and all(len(part.rows) == 1 for part in parts):
                for plus, minus in (parts, parts[::-1]):
                    if all_are(minus.factor, -1.0) and same(minus.rows[0], f1):
                        return _cell(terms, row, "default", f1, plus.rows[0], t)
    return None


def _mean_gated(terms: Terms, row: Identities, monomials: list[Monomial]) -> FoundLayer | None:
    """The mean of f1 + f2 and tau (f2 - f1), the form of lnn2loihi's own files: with
    tau = tanh(x / 2) the time gate is (1 + tau) / 2 = sigmoid(x).
    """
    ordered = sorted(monomials, key=lambda monomial: len(monomial.rows))
    if [len(monomial.rows) for monomial in ordered] != [1, 2] or not all(
        all_are(monomial.factor, 0.5) for monomial in ordered
    ):
        return None
    both = terms.monomials(ordered[0].rows[0])
    if not plain(both, 1, 1):
        return None
    for tau, difference in (ordered[1].rows, ordered[1].rows[::-1]):
        inside = terms.only_operand(tau, "tanh")
        half = None if inside is None else terms.affine(inside)
        parts = sorted(terms.monomials(difference), key=lambda part: -part.factor[0])
        if half is None or [len(part.rows) for part in parts] != [1, 1]:
            continue
        f2, f1 = (part.rows[0] for part in parts)
        named = {"ff1": f1, "ff2": f2}
        gates = [part.rows[0] for part in both]
        if (
            all_are(parts[0].factor, 1.0) and all_are(parts[1].factor, -1.0)
            and all(any(same(gate, function) for gate in gates) for function in named.values())
        ):  # fmt: skip
            maps = {gate: _tanh_of_map(terms, gate, function) for gate, function in named.items()}
            whole = Affine(half.columns, 2.0 * half.weight, 2.0 * half.bias)
            return _with_columns(terms, row, "default", _with_constant_time(maps, whole), None)
    return None


def _is_rest(terms: Terms, row: Identities, t: Identities) -> bool:
    """Whether a row is 1 - t."""
    parts = sorted(terms.monomials(row), key=lambda part: len(part.rows))
    return (
        [len(part.rows) for part in parts] == [0, 1]
        and all_are(parts[0].factor, 1.0)
        and all_are(parts[1].factor, -1.0)
        and same(parts[1].rows[0], t)
    )


def _ungated(terms: Terms, row: Identities, monomials: list[Monomial]) -> FoundLayer | None:
    """f1 + t f2."""
    ordered = sorted(monomials, key=lambda monomial: len(monomial.rows))
    if not plain(ordered, 1, 2):
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
    functions = {"ff1": f1, "ff2": f2}
    maps = {gate: _tanh_of_map(terms, gate, function) for gate, function in functions.items()}
    inside = terms.only_operand(t, "sigmoid")
    if inside is None:
        raise unexpected(terms, t, "the time gate: sigmoid of a linear map")
    elapsed = _time_gate(terms, inside, maps)
    return _with_columns(terms, row, kind, maps, elapsed)


def _tanh_of_map(terms: Terms, gate: str, function: Identities) -> Affine:
    inside = terms.only_operand(function, "tanh")
    linear = None if inside is None else terms.affine(inside)
    if linear is None:
        raise unexpected(terms, function, f"{gate}: tanh of a linear map")
    return linear


def _with_constant_time(maps: dict[str, Affine], gate: Affine) -> dict[str, Affine]:
    """The maps with a time gate in which the constant elapsed time is folded."""
    unused = Affine(gate.columns, 0.0 * gate.weight, 0.0 * gate.bias)
    return {**maps, "time_a": unused, "time_b": gate}


def _time_gate(terms: Terms, row: Identities, maps: dict[str, Affine]) -> int | None:
    """Adds the maps of the time gate; the identity of the elapsed time, if it is an input."""
    linear = terms.affine(row)
    if linear is not None:
        maps.update(_with_constant_time(maps, linear))
        return None
    parts = sorted(terms.monomials(row), key=lambda part: len(part.rows))
    if plain(parts, 1, 2):
        time_b = terms.affine(parts[0].rows[0])
        for span, rate in (parts[1].rows, parts[1].rows[::-1]):
            elapsed, time_a = elapsed_input(terms, span), terms.affine(rate)
            if elapsed is not None and time_a is not None and time_b is not None:
                maps["time_a"], maps["time_b"] = time_a, time_b
                return elapsed
    raise unexpected(
        terms, row, "the time gate: time_a(z) times the elapsed time (1.0 or an input), plus "
        "time_b(z)"
    )  # fmt: skip


def _pure(terms: Terms, row: Identities, monomials: list[Monomial]) -> FoundLayer | None:
    """A - A exp(-timespan (|w_tau| + |f|)) f, or A (1 - exp(...) f)."""
    if len(monomials) == 1 and len(monomials[0].rows) == 1:
        outer, inner = monomials[0], terms.monomials(monomials[0].rows[0])
        monomials = [Monomial(outer.factor * part.factor, part.rows) for part in inner]
    ordered = sorted(monomials, key=lambda monomial: len(monomial.rows))
    if [len(monomial.rows) for monomial in ordered] != [0, 2]:
        return None
    amplitude = ordered[0].factor
    if not np.allclose(ordered[1].factor, -amplitude, rtol=terms.close, atol=0.0):
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
    if len(parts) == 1 and len(parts[0].rows) in (1, 2) and all_are(parts[0].factor, -1.0):
        rows = list(parts[0].rows)
        for place, candidate in enumerate(rows):
            if len(rows) == 2 and elapsed_input(terms, candidate) is not None:
                elapsed = elapsed_input(terms, rows.pop(place))
                break
        parts = terms.monomials(rows[0]) if len(rows) == 1 else []
        sign = 1.0
    else:
        sign = -1.0
    constants = [part for part in parts if not part.rows]
    others = [part for part in parts if part.rows]
    if (
        len(constants) == 1 and len(others) == 1 and len(others[0].rows) == 1
        and all_are(others[0].factor, sign)
    ):  # fmt: skip
        inside = terms.only_operand(others[0].rows[0], "abs")
        if inside is not None and same(inside, f):
            return constants[0].factor * sign, elapsed
    raise unexpected(terms, row, "the exponent of mode pure: -timespan (|w_tau| + |f|)")


def _with_columns(
    terms: Terms, row: Identities, kind: str, maps: dict[str, Affine], elapsed: int | None
) -> FoundLayer:
    """The layer with its backbone, and its columns divided into outside and own."""
    columns = next(iter(maps.values())).columns
    for gate, linear in maps.items():
        if not same(linear.columns, columns):
            raise unexpected(
                terms, linear.columns, f"{gate} to read the same {columns.size} numbers as ff1"
            )
    backbone: list[tuple[Affine, str, float]] = []
    while (found := find_activation(terms, columns)) is not None:
        backbone.insert(0, found)
        columns = found[0].columns
    if columns.size <= row.size:
        raise unexpected(
            terms, columns,
            f"inputs and {row.size} states; there are {columns.size} columns. {FOLDED_STATE}",
        )  # fmt: skip
    own = columns[-row.size :]
    return FoundLayer(
        row, kind, maps, columns[: -row.size], own, tuple(backbone), elapsed,
        find_memory(terms, own),
    )  # fmt: skip
