"""A mixed memory in an ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.onnx_read.parts import unexpected
from lnn2loihi.converters.onnx_read.terms import Affine, Identities, Terms, same
from lnn2loihi.families.lstm.memory import FORGET_BIAS, MEMORY_GATES


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


def find_memory(terms: Terms, row: Identities) -> FoundMemory | None:
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
        raise unexpected(
            terms, cell, "the cell state of a mixed memory: c sigmoid(f + 1) + tanh(i) sigmoid(ig)"
        )
    columns = [gate.columns for gate in found if gate is not None]
    if not all(same(column, columns[0]) for column in columns):
        raise unexpected(terms, columns[0], "the four gates of a memory to read the same numbers")
    return FoundMemory(tuple(gate for gate in found if gate is not None), before, cell)
