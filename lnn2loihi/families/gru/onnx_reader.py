"""GRU cells in ONNX graphs, and the operator `GRU`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.onnx_read.chain import FoundPart, StateRows
from lnn2loihi.converters.onnx_read.operators import Given, Map, RecurrentOperator
from lnn2loihi.converters.onnx_read.parts import all_are
from lnn2loihi.converters.onnx_read.recurrence import OnnxReader
from lnn2loihi.converters.onnx_read.terms import Affine, Identities, Operand, Terms, same
from lnn2loihi.families.gru.layer import GRU_GATES, GRULayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear


@dataclass(frozen=True, eq=False)
class GRUPart(FoundPart):
    """A GRU layer in one step.

    Attributes:
        own: its last state.
        gates: its maps, in the order of GRU_GATES.
        places: for each map where its columns stand in [before; own].
    """

    row: Identities
    before: Identities
    own: Identities
    gates: tuple[Affine, ...]
    places: tuple[Identities, ...]

    def arrays(self) -> Sequence[FloatArray | str]:
        """See `FoundPart`."""
        found: list[FloatArray] = []
        for gate, places in zip(self.gates, self.places, strict=True):
            turned = (np.diff(places) < 0).any()  # the state stands before the inputs
            weight = gate.weight[:, np.argsort(places)] if turned else gate.weight
            found += [weight, gate.bias]
        return found

    def states(self, names: Sequence[str]) -> list[StateRows]:
        """See `FoundPart`."""
        return [StateRows(names[0], self.own, self.row)]

    def answers(self, names: Sequence[str]) -> Identities:
        """See `FoundPart`."""
        return self.own

    def layer(self, names: Sequence[str]) -> Layer:
        """See `FoundPart`."""
        maps: list[Linear] = []
        for name, gate, places in zip(GRU_GATES, self.gates, self.places, strict=True):
            weight = np.zeros((gate.bias.size, self.before.size + self.own.size))
            for place, column in zip(places, gate.weight.T, strict=True):
                weight[:, place] += column
            maps.append(Linear(name, weight, gate.bias))
        return GRULayer(names[0], tuple(maps))


def _part(terms: Terms, row: Identities) -> GRUPart | None:
    """See `OnnxReader.part`."""
    for update, own, candidate in _moves(terms, row):
        opened, inside = (
            terms.only_operand(part, function)
            for part, function in ((update, "sigmoid"), (candidate, "tanh"))
        )
        gates = {"update_gate": None if opened is None else terms.affine(opened)}
        if inside is None or not _candidate(terms, inside, gates):
            continue
        found = {name: gate for name, gate in gates.items() if gate is not None}
        columns = found["reset_gate"].columns if "reset_gate" in found else row[:0]
        before = columns[~np.isin(columns, own)]
        if len(found) == len(GRU_GATES) and before.size:
            maps = tuple(found[name] for name in GRU_GATES)
            places = tuple(_places(gate.columns, np.concatenate([before, own])) for gate in maps)
            if all(part.size == gate.columns.size for part, gate in zip(places, maps, strict=True)):
                return GRUPart(row, before, own, maps, places)
    return None


def _moves(terms: Terms, row: Identities) -> list[tuple[Identities, Identities, Identities]]:
    """All ways to read a row as u h + (1 - u) n, or n + u (h - n): u, h and n."""
    found: list[tuple[Identities, Identities, Identities]] = []
    operands = _rows(terms, row, "add")
    for one, other in (operands, operands[::-1]) if operands else ():
        kept = _rows(terms, one, "multiply")
        for update, own in (kept, kept[::-1]) if kept else ():
            moved = _rows(terms, other, "multiply")
            for rest, candidate in (moved, moved[::-1]) if moved else ():
                if _is_difference(terms, rest, None, update):
                    found.append((update, own, candidate))
            # A state of zeros may be folded away: 0 - n.
            for part in (*(_rows(terms, own, "add") or ()), own[:0]):
                if _is_difference(terms, own, part, other):
                    found.append((update, part, other))
    return found


def _rows(terms: Terms, row: Identities, operation: str) -> tuple[Identities, Identities] | None:
    """Both operands of a row, if neither is a constant of the graph."""
    operands = terms.operands(row, operation)
    if operands is None or any(operand.dtype.kind == "f" for operand in operands):
        return None
    return operands[0].astype(np.int64), operands[1].astype(np.int64)


def _is_difference(
    terms: Terms, row: Identities, one: Identities | None, other: Identities
) -> bool:
    """Whether a row is one row minus another; 1 minus it where there is no one, 0 minus it where
    one is empty.
    """
    value = 1.0 if one is None else 0.0
    operands: Sequence[Operand] = terms.operands(row, "add") or ()
    if one is not None and not one.size and not operands:
        operands = (row, np.zeros(row.size))
    for plus, minus in (operands, operands[::-1]) if operands else ():
        if minus.dtype.kind == "f":
            continue
        negative = terms.scaled(minus.astype(np.int64))
        fits = plus.dtype.kind == "f" and all_are(plus.astype(np.float64), value)
        if one is not None and one.size:
            fits = plus.dtype.kind != "f" and same(plus.astype(np.int64), one)
        if (
            fits and all_are(negative.factor, -1.0) and not negative.offset.any()
            and same(negative.row, other)
        ):  # fmt: skip
            return True
    return False


def _candidate(terms: Terms, row: Identities, gates: dict[str, Affine | None]) -> bool:
    """Adds the maps of a candidate's sum, a + r b; whether it is one."""
    operands = _rows(terms, row, "add")
    for given, gated in (operands, operands[::-1]) if operands else ():
        factors: Sequence[Operand] = terms.operands(gated, "multiply") or ()
        for reset, own in (factors, factors[::-1]) if factors else ():
            if reset.dtype.kind == "f":
                continue
            inside = terms.only_operand(reset.astype(np.int64), "sigmoid")
            if inside is not None:
                gates["reset_gate"] = terms.affine(inside)
                gates["candidate_input"] = terms.affine(given)
                gates["candidate_recurrent"] = (
                    # Of a state of zeros the bias is left.
                    Affine(row[:0], np.zeros((row.size, 0)), own.astype(np.float64))
                    if own.dtype.kind == "f"
                    else terms.affine(own.astype(np.int64))
                )
                return all(gate is not None for gate in gates.values())
    return False


def _places(heard: Identities, columns: Identities) -> Identities:
    """Where numbers stand among columns; nothing if one is not there."""
    order = np.argsort(columns, kind="stable")
    found = np.searchsorted(columns, heard, sorter=order).clip(max=columns.size - 1)
    places = order[found]
    return places if same(columns[places], heard) else places[:0]


def _maps(w: FloatArray, r: FloatArray, wb: FloatArray, rb: FloatArray) -> list[Map]:
    """Of the operator, whose rows stand in the order z, r, h: as GRU_GATES."""
    both = [(np.hstack([w[gate], r[gate]]), wb[gate] + rb[gate]) for gate in (1, 0)]
    return [*both, (w[2], wb[2]), (r[2], rb[2])]


def _cell(given: Given, state: Mapping[str, Identities]) -> dict[str, Identities]:
    """One step of the operator."""
    h = state["h"]
    z = np.concatenate([given.x, h])
    reset, update = (given.function("sigmoid", given.linear(z, gate)) for gate in (0, 1))
    gated = given.product(reset, given.linear(h, 3))
    candidate = given.function("tanh", given.sum(given.linear(given.x, 2), gated))
    # h - n, whose negative part is a product with -1.
    negative = given.terms.product_of(candidate, np.full(h.size, -1.0), given.node)
    return {"h": given.sum(candidate, given.product(update, given.sum(h, negative)))}


def reader() -> OnnxReader:
    """How such layers are found."""
    operator = RecurrentOperator(
        3, ("h",), ("sigmoid", "tanh"), _cell, _maps,
        attributes={"linear_before_reset": 1}, defaults={"linear_before_reset": 0},
    )  # fmt: skip
    return OnnxReader(
        _part,
        "the new state of a GRU: (1 - u) n + u h, with n = tanh(a + r b)",
        operators={"GRU": operator},
    )
