"""LSTM cells in ONNX graphs: those of a mixed memory, those that hear themselves, and the operator
`LSTM`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.onnx_read.chain import FoundPart, StateRows
from lnn2loihi.converters.onnx_read.operators import Given, RecurrentOperator, gate_maps
from lnn2loihi.converters.onnx_read.parts import unexpected
from lnn2loihi.converters.onnx_read.recurrence import OnnxReader
from lnn2loihi.converters.onnx_read.terms import Affine, Identities, Terms, same
from lnn2loihi.families.lstm.layer import LSTMLayer
from lnn2loihi.families.lstm.memory import MEMORY_GATES
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear


@dataclass(frozen=True, eq=False)
class FoundMemory:
    """An LSTM cell, such as the part of a mixed memory that one layer hears.

    Attributes:
        gates: in the order of MEMORY_GATES, columns [inputs; last states of what it hears].
        cell: identities of its last cell state.
        new_cell: identities of its new one.
    """

    gates: tuple[Affine, ...]
    cell: Identities
    new_cell: Identities

    def named(self) -> dict[str, Linear]:
        """The gates by name."""
        return {
            gate: Linear(gate, part.weight, part.bias)
            for gate, part in zip(MEMORY_GATES, self.gates, strict=True)
        }


@dataclass(frozen=True, eq=False)
class LSTMPart(FoundPart):
    """An LSTM layer in one step."""

    row: Identities
    before: Identities
    own: Identities
    memory: FoundMemory

    def arrays(self) -> Sequence[FloatArray | str]:
        """See `FoundPart`."""
        return [array for gate in self.memory.gates for array in (gate.weight, gate.bias)]

    def states(self, names: Sequence[str]) -> list[StateRows]:
        """See `FoundPart`."""
        return [
            StateRows(f"{names[0]}.c", self.memory.cell, self.memory.new_cell),
            StateRows(names[0], self.own, self.row),
        ]

    def answers(self, names: Sequence[str]) -> Identities:
        """See `FoundPart`."""
        return self.own

    def layer(self, names: Sequence[str]) -> Layer:
        """See `FoundPart`."""
        return LSTMLayer(names[0], tuple(self.memory.named().values()))


def find_memory(terms: Terms, row: Identities) -> FoundMemory | None:
    """The cell that makes a row, if one does: tanh(c') sigmoid(o)."""
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
            gates["forget_gate"] = terms.affine(functions["sigmoid"])
            before = next((r for r in monomial.rows if terms.only_operand(r, "sigmoid") is None),
                          None)  # fmt: skip
            before = terms.constant(monomial.factor) if before is None else before
    found = [gates.get(gate) for gate in MEMORY_GATES]
    if before is None or any(gate is None for gate in found):
        raise unexpected(
            terms, cell, "the cell state of an LSTM or a mixed memory: c sigmoid(f) + tanh(g) "
            "sigmoid(i)"
        )  # fmt: skip
    columns = [gate.columns for gate in found if gate is not None]
    if not all(same(column, columns[0]) for column in columns):
        raise unexpected(terms, columns[0], "the four gates of an LSTM to read the same numbers")
    return FoundMemory(tuple(gate for gate in found if gate is not None), before, cell)


def _part(terms: Terms, row: Identities) -> LSTMPart | None:
    """See `OnnxReader.part`; of what the gates read either end may be its own last answer, and none
    is where an exporter folded a state of zeros away.
    """
    memory = find_memory(terms, row)
    if memory is None:
        return None
    columns, units = memory.gates[0].columns, row.size
    for start in (max(columns.size - units, 0), 0):
        own = columns[start : start + units]
        if own.size == units < columns.size and _is_own(terms, own, memory.cell):
            before = np.delete(columns, np.arange(start, start + units))
            return LSTMPart(row, before, own, _turned(memory) if start == 0 else memory)
    return LSTMPart(row, columns, columns[:0], memory)


def _is_own(terms: Terms, row: Identities, cell: Identities) -> bool:
    """Whether a row is the answer that belongs to a cell state, tanh(c) sigmoid(o), or a start."""
    made, kept = (terms.term_of(each) for each in (row, cell))
    if made is None or kept is None:
        return False
    starts = [
        found[0].operation == "constant" or (found[0].operation == "input" and found[0].place[0])
        for found in (made, kept)
    ]
    if any(starts):
        return bool(all(starts))
    operands = terms.operands(row, "multiply") or ()
    inside = (terms.only_operand(operand.astype(np.int64), "tanh") for operand in operands)
    return any(found is not None and same(found, cell) for found in inside)


def _turned(memory: FoundMemory) -> FoundMemory:
    """The same cell with its own columns, as many as it has units, behind the others."""
    units = memory.cell.size
    gates = tuple(
        Affine(np.roll(gate.columns, -units), np.roll(gate.weight, -units, axis=1), gate.bias)
        for gate in memory.gates
    )
    return FoundMemory(gates, memory.cell, memory.new_cell)


def _cell(given: Given, state: Mapping[str, Identities]) -> dict[str, Identities]:
    """One step of the operator; its rows stand in the order i, o, f, c."""
    z = np.concatenate([given.x, state["h"]])
    maps = {gate: given.linear(z, number) for number, gate in enumerate("iofc")}
    gates = {gate: given.function("sigmoid", maps[gate]) for gate in "iof"}
    kept = given.product(gates["f"], state["c"])
    added = given.product(gates["i"], given.function("tanh", maps["c"]))
    cell = given.sum(kept, added)
    return {"h": given.product(gates["o"], given.function("tanh", cell)), "c": cell}


def reader() -> OnnxReader:
    """How such layers are found."""
    operator = RecurrentOperator(
        4, ("h", "c"), ("sigmoid", "tanh", "tanh"), _cell, gate_maps, peepholes=7,
        attributes={"input_forget": 0},
    )  # fmt: skip
    return OnnxReader(
        _part,
        "the answer of an LSTM: tanh(c') sigmoid(o), with c' = c sigmoid(f) + tanh(g) sigmoid(i)",
        operators={"LSTM": operator},
    )
