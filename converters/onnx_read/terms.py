"""Sums, products and functions of vectors: what an ONNX graph computes, without its plumbing.

Every number of a graph that is not constant has a number of its own, its identity. A tensor that
is not constant is an array of identities, so that everything that only moves numbers about
(transpositions, slices, concatenations, unrolled time) vanishes. Identities are made a row at a
time by terms: linear maps, functions, sums, products. Constants are folded where they meet a
linear map, so masks, scales and merged gates leave one map each.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.onnx_read.precision import Precision
from lnn2loihi.network import FloatArray

Identities = npt.NDArray[np.int64]
#: What a term is made of: identities, or constants.
Operand = Identities | FloatArray

#: Most identities of one graph: an unrolled graph of 4,096 units and 1,000 steps has fewer.
LARGEST_GRAPH = 1 << 27
#: Most rows of them, seconds of work: an LTC of 256 units, 16 steps and 6 unfolds has 170,000.
MOST_TERMS = 1 << 18
#: Both for a small file, and what each byte of it adds: a row takes half a kilobyte while it is
#: read, so a few bytes could otherwise ask for a hundred megabytes. LTCs have 0.04 to 0.3 rows and
#: 1 to 9 numbers a byte, other cells fewer.
SMALL_GRAPH, NUMBERS_PER_BYTE = 1 << 20, 64
FEW_TERMS, TERMS_PER_BYTE = 1 << 16, 0.5
#: Most summands or factors of one row, and most scales and offsets on top of each other: a cell has
#: four, a hostile graph adds a number to itself a hundred times.
MOST_PARTS = 64


class NodeError(Exception):
    """A node does not fit; the text says which one, and what was expected."""


class GraphTooLargeError(Exception):
    """A graph makes more numbers than a network that fits the chip would."""


@dataclass(frozen=True, eq=False)
class Term:
    """What makes a row of identities.

    Attributes:
        operation: "input", "constant", "linear", "add", "multiply", or the name of a function.
        node: name of the node of the graph, for messages.
        operands: rows of identities or constants, all as long as the row; of a linear map its
            columns alone.
        weight, bias: of a linear map, float64 (row, columns) and (row,).
        place: of an input its position among the graph's inputs, and the row's index in it.
    """

    operation: str
    node: str
    operands: tuple[Operand, ...] = ()
    weight: FloatArray | None = None
    bias: FloatArray | None = None
    place: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Affine:
    """Part of a linear map: float64 weight (row, columns), bias (row,), of these columns."""

    columns: Identities
    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True, eq=False)
class Scaled:
    """A row as factor * another row + offset, each float64 (row,)."""

    factor: FloatArray
    offset: FloatArray
    row: Identities


@dataclass(frozen=True, eq=False)
class Monomial:
    """A product of rows with a constant factor, float64 (row,)."""

    factor: FloatArray
    rows: tuple[Identities, ...]


def same(one: Identities, other: Identities) -> bool:
    """Whether two rows are the same numbers."""
    return one is other or np.array_equal(one, other)


class Terms:
    """All terms of a graph.

    Args:
        size: bytes of the file that it stands in, which limits how large it may be.
        precision: the coarsest of the file.

    Attributes:
        found: what was found to make a row, by the row's bytes, so that it is looked for once.
    """

    def __init__(self, size: int, precision: Precision) -> None:
        self.precision = precision
        self.found: dict[bytes, object] = {}
        self._most_numbers = min(LARGEST_GRAPH, SMALL_GRAPH + NUMBERS_PER_BYTE * size)
        self._most_terms = min(MOST_TERMS, FEW_TERMS + int(TERMS_PER_BYTE * size))
        self._terms: list[Term] = []
        self._starts: list[int] = []
        self._count = 0

    @property
    def close(self) -> float:
        """Relative difference up to which two constants are taken as the same."""
        return self.precision.close

    def add(self, term: Term, size: int) -> Identities:
        """The identities of a new term."""
        start = self._count
        self._count += size
        if self._count > self._most_numbers or len(self._terms) >= self._most_terms:
            raise GraphTooLargeError(
                f"it computes more than {self._most_numbers:,} numbers or {self._most_terms:,} "
                "rows of them (limits of lnn2loihi for a file of its size); export fewer steps and "
                "a batch of 1, a single step with its state as input and output is best"
            )
        self._terms.append(term)
        self._starts.append(start)
        return np.arange(start, self._count)

    def constant(self, values: FloatArray) -> Identities:
        """A row of constants among identities, as where a state starts at zero."""
        return self.add(Term("constant", "a constant", (values,)), values.size)

    def term_of(self, row: Identities) -> tuple[Term, Identities] | None:
        """The one term that makes all numbers of a row, and their positions in it."""
        if not row.size:
            return None
        number = bisect_right(self._starts, int(row[0])) - 1
        start = self._starts[number]
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self._count
        if row.min() < start or row.max() >= end:
            return None
        return self._terms[number], row - start

    def whole(self, row: Identities) -> Identities:
        """All numbers that are made together with the first one of a row."""
        number = bisect_right(self._starts, int(row[0])) - 1
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self._count
        return np.arange(self._starts[number], end)

    def node_of(self, row: Identities) -> str:
        """Name of the node that makes the first number of a row."""
        found = self.term_of(row[:1])
        return found[0].node if found else "an empty tensor"

    def operands(self, row: Identities, operation: str) -> tuple[Operand, ...] | None:
        """The operands of a row that one term of this operation makes."""
        found = self.term_of(row)
        if found is None or found[0].operation != operation:
            return None
        return tuple(operand[found[1]] for operand in found[0].operands)

    def only_operand(self, row: Identities, operation: str) -> Identities | None:
        """What a function is applied to, if the row is that function of something."""
        operands = self.operands(row, operation)
        if operands is None or operands[0].dtype.kind == "f":
            return None
        return operands[0].astype(np.int64)

    def affine(self, row: Identities) -> Affine | None:
        """The row as (a selection of the rows of) one linear map, or of several beside each other,
        as heads are joined.
        """
        found = self.term_of(row)
        if found is None:
            return self._joined(row)
        if found[0].operation != "linear":
            return None
        term, places = found
        assert term.weight is not None and term.bias is not None
        whole = places.size == len(term.bias) and same(places, np.arange(places.size))
        weight = term.weight if whole else term.weight[places]
        return Affine(term.operands[0].astype(np.int64), weight, term.bias[places])

    def _joined(self, row: Identities) -> Affine | None:
        """A row of numbers of several maps, as one map of all that they read."""
        parts: list[Affine] = []
        start = 0
        while start < row.size:
            own = np.isin(row[start:], self.whole(row[start:]))
            end = start + int(own.size if own.all() else own.argmin())
            part = self.affine(row[start:end])
            if part is None or len(parts) == MOST_PARTS:
                return None
            parts.append(part)
            start = end
        if not parts:
            return None
        columns = np.array(list(dict.fromkeys(np.concatenate([p.columns for p in parts]).tolist())))
        weight = np.zeros((row.size, columns.size))
        order = np.argsort(columns)
        end = 0
        for part in parts:
            start, end = end, end + part.bias.size
            places = order[np.searchsorted(columns, part.columns, sorter=order)]
            for place, column in zip(places, part.weight.T, strict=True):
                weight[start:end, place] += column
        return Affine(columns, weight, np.concatenate([part.bias for part in parts]))

    def constants(self, row: Identities) -> FloatArray | None:
        """The values of a row that consists of constants, which may come from several terms."""
        values = np.empty(row.size)
        for number, identity in enumerate(row):
            found = self.term_of(np.array([identity]))
            if found is None or found[0].operation != "constant":
                return None
            values[number] = found[0].operands[0][found[1][0]]
        return values

    def linear(self, row: Affine, node: str) -> Identities:
        """A linear map as a term."""
        term = Term("linear", node, (row.columns,), row.weight, row.bias)
        return self.add(term, row.bias.size)

    def sum_of(self, one: Identities, other: Operand, node: str) -> Identities:
        """The sum, row by row; linear maps and constants melt together."""
        first = self.affine(one)
        if first is not None and other.dtype.kind == "f":
            made = Affine(first.columns, first.weight, first.bias + other)
            return self.linear(made, node)
        second = None if first is None else self.affine(other.astype(np.int64))
        if first is not None and second is not None:
            return self.linear(self._merged(first, second), node)
        return self.add(Term("add", node, (one, other)), one.size)

    def product_of(self, one: Identities, other: Operand, node: str) -> Identities:
        """The product, row by row; a constant goes into a linear map."""
        first = self.affine(one)
        if first is not None and other.dtype.kind == "f":
            made = Affine(first.columns, first.weight * other[:, None], first.bias * other)
            return self.linear(made, node)
        inside = self._logistic(one, other, node)
        if inside is not None:
            return self.add(Term("sigmoid", node, (inside,)), one.size)
        return self.add(Term("multiply", node, (one, other)), one.size)

    def _logistic(self, one: Identities, other: Operand, node: str) -> Identities | None:
        """The x of (tanh(x / 2) + 1) / 2, which is sigmoid(x)."""
        if other.dtype.kind != "f" or not (other == 0.5).all():
            return None
        operands = self.operands(one, "add")
        if operands is None or operands[1].dtype.kind != "f" or not (operands[1] == 1.0).all():
            return None
        inside = self.only_operand(operands[0].astype(np.int64), "tanh")
        if inside is None:
            return None
        half = self.scaled(inside)
        if (half.factor == 0.5).all() and not half.offset.any():
            return half.row
        return self.product_of(inside, np.full(one.size, 2.0), node)

    def _merged(self, first: Affine, second: Affine) -> Affine:
        bias = first.bias + second.bias
        if same(first.columns, second.columns):
            return Affine(first.columns, first.weight + second.weight, bias)
        # What comes from outside stands before the state, as in the maps of a cell.
        if self._is_first_input(second.columns) and not self._is_first_input(first.columns):
            first, second = second, first
        columns = np.concatenate([first.columns, second.columns])
        return Affine(columns, np.hstack([first.weight, second.weight]), bias)

    def _is_first_input(self, row: Identities) -> bool:
        found = self.term_of(self.scaled(row).row)
        return found is not None and found[0].operation == "input" and found[0].place[0] == 0

    def scaled(self, row: Identities) -> Scaled:
        """A row without the constants that it is multiplied by and that are added to it."""
        factor, offset = np.ones(row.size), np.zeros(row.size)
        for _ in range(MOST_PARTS):
            found = self.term_of(row)
            if found is None or found[0].operation not in ("add", "multiply"):
                break
            one, other = (operand[found[1]] for operand in found[0].operands)
            if other.dtype.kind != "f":
                break
            if found[0].operation == "add":
                offset = offset + factor * other
            else:
                factor = factor * other
            row = one.astype(np.int64)
        return Scaled(factor, offset, row)

    def monomials(self, row: Identities) -> list[Monomial]:
        """A row as a sum of products; sums inside of products stay as they are."""
        found: list[Monomial] = []
        waiting: list[Operand] = [row]
        seen = 0
        while waiting:
            operand = waiting.pop(0)
            if operand.dtype.kind == "f":
                found.append(Monomial(operand.astype(np.float64), ()))
                continue
            operands = self.operands(operand.astype(np.int64), "add")
            if operands is None:
                found.append(self._monomial(operand.astype(np.int64)))
            else:
                waiting = [*operands, *waiting]
            seen += 1
            self._check_parts(row, seen, "summands")
        return found

    def _monomial(self, row: Identities) -> Monomial:
        factor = np.ones(row.size)
        rows: list[Identities] = []
        waiting: list[Operand] = [row]
        seen = 0
        while waiting:
            operand = waiting.pop(0)
            seen += 1
            self._check_parts(row, seen, "factors")
            if operand.dtype.kind == "f":
                factor = factor * operand
                continue
            identities = operand.astype(np.int64)
            operands = self.operands(identities, "multiply")
            if operands is not None:
                waiting = [*operands, *waiting]
                continue
            values = self.constants(identities) if self._starts_constant(identities) else None
            if values is not None:
                factor = factor * values
            else:
                rows.append(identities)
        return Monomial(factor, tuple(rows))

    def _check_parts(self, row: Identities, count: int, what: str) -> None:
        if count > MOST_PARTS:
            raise NodeError(
                f"{self.node_of(row)} does not fit: it is made of more than {MOST_PARTS} {what}, "
                "where a cell has four"
            )

    def _starts_constant(self, row: Identities) -> bool:
        found = self.term_of(row[:1])
        return found is not None and found[0].operation == "constant"

    def inputs(self, row: Identities) -> list[tuple[int, ...]] | None:
        """Where the numbers of a row stand in the graph's inputs, or None if one does not.

        Returns:
            for each number the position of the input, and the index in it.
        """
        found: list[tuple[int, ...]] = []
        for identity in row:
            term = self.term_of(np.array([identity]))
            if term is None or term[0].operation != "input":
                return None
            found.append((*term[0].place, int(term[1][0])))
        return found


def rows_of(shape: Sequence[int], operands: Sequence[Operand]) -> list[tuple[Operand, ...]]:
    """Operands of an elementwise operation, broadcast and cut into rows along the last axis."""
    width = shape[-1] if shape else 1
    flat = [np.broadcast_to(operand, shape).reshape(-1, width) for operand in operands]
    return list(zip(*flat, strict=True))
