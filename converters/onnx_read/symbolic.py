"""Runs an ONNX graph on identities instead of numbers, to see what it computes.

Nodes whose inputs are all constant are computed by the evaluator of the package onnx. All others
either move identities about or make terms (`lnn2loihi.converters.onnx_read.terms`). A `Scan` is
unrolled over two steps, a dynamic batch is 1 and a dynamic time 2: enough to see the recurrence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lnn2loihi.converters.onnx_read.activations import ACTIVATION_OPERATORS, activation_of_node
from lnn2loihi.converters.onnx_read.constants import Constants, held, node_name
from lnn2loihi.converters.onnx_read.inputs import FEW_STEPS, input_shapes
from lnn2loihi.converters.onnx_read.moves import MOVES, attributes_of
from lnn2loihi.converters.onnx_read.operators import written_out
from lnn2loihi.converters.onnx_read.precision import Precision
from lnn2loihi.converters.onnx_read.recurrence import readers
from lnn2loihi.converters.onnx_read.terms import (
    Identities,
    NodeError,
    Operand,
    Term,
    Terms,
    rows_of,
)
from lnn2loihi.network import FloatArray

#: A tensor: constants of any type, or an array of identities.
Tensor = np.ndarray

#: Functions of one number that stay what they are.
FUNCTIONS = {
    "Tanh": "tanh", "Sigmoid": "sigmoid", "Relu": "relu", "Exp": "exp", "Abs": "abs", "Erf": "erf",
    "Log": "log",
}  # fmt: skip
#: How many operands must be there, where it is not all of them.
NEEDED = {"Gemm": 2, "ReduceSum": 1, "Clip": 1}


@dataclass(eq=False)
class Symbols:
    """A tensor of identities."""

    identities: Identities

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.identities.shape


Value = Tensor | Symbols


@dataclass(eq=False)
class Traced:
    """What a graph was found to compute.

    Attributes:
        terms: all terms.
        inputs: for each graph input its identities.
        input_names: their names.
        outputs: for each graph output its name and value.
    """

    terms: Terms
    inputs: list[Symbols] = field(default_factory=list)
    input_names: list[str] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)


def trace(model: Any, precision: Precision, steps: int = FEW_STEPS) -> Traced:
    """Runs the graph of an ONNX model, local functions already inlined.

    Args:
        model: the model, in float32 or more.
        precision: what it had before it was widened.
        steps: of a time axis without a length.

    Raises:
        NodeError: an operation that no liquid network consists of, or that is used otherwise.
    """
    return _Tracer(model, precision).run(steps)


class _Tracer:
    def __init__(self, model: Any, precision: Precision) -> None:
        self._model = model
        self._terms = Terms(model.ByteSize(), precision)
        self._constants = Constants(model)
        self._handlers: dict[str, Callable[[Any, list[Value | None]], list[Value]]] = {
            "Add": self._add, "Sub": self._subtract, "Mul": self._multiply, "Div": self._divide,
            "Neg": self._negate, "Sum": self._add, "MatMul": self._matmul, "Gemm": self._gemm,
            "ReduceSum": self._reduce_sum, "Scan": self._scan, "Concat": self._concat,
            "Mean": self._mean, "Cast": self._cast, "Pow": self._power,
        }  # fmt: skip
        self._handlers |= dict.fromkeys(ACTIVATION_OPERATORS, self._activation)
        self._operators = {
            name: operator for _, reader in readers() for name, operator in reader.operators.items()
        }

    def run(self, steps: int) -> Traced:
        """The traced graph."""
        graph = self._model.graph
        values: dict[str, Value] = {"": None}  # pyright: ignore[reportAssignmentType]
        for tensor in graph.initializer:
            values[tensor.name] = held(tensor)
        traced = Traced(self._terms)
        # Files of old: initializers are listed as inputs too.
        entries = [entry for entry in graph.input if entry.name not in values]
        for entry, shape in zip(entries, input_shapes(entries, steps), strict=True):
            symbols = self._input(len(traced.inputs), shape, entry.name)
            values[entry.name] = symbols
            traced.inputs.append(symbols)
            traced.input_names.append(entry.name)
        self._run_nodes(graph.node, values)
        for entry in graph.output:
            if entry.name not in values:
                raise NodeError(f"output {entry.name!r:.80} is made by no node")
            traced.outputs[entry.name] = values[entry.name]
        return traced

    def _input(self, number: int, shape: tuple[int, ...], name: str) -> Symbols:
        identities = np.empty(shape, np.int64)
        flat = identities.reshape(-1, shape[-1] if shape else 1)
        for row, index in zip(flat, np.ndindex(shape[:-1]), strict=True):
            term = Term("input", f"input {name!r:.80}", place=(number, *index))
            row[:] = self._terms.add(term, row.size)
        return Symbols(identities)

    def _run_nodes(self, nodes: Sequence[Any], values: dict[str, Value]) -> None:
        for node in nodes:
            missing = [name for name in node.input if name not in values]
            if missing:
                raise NodeError(f"{node_name(node)}: its input {missing[0]!r:.80} is made nowhere")
            given: list[Value | None] = [values[name] if name else None for name in node.input]
            try:
                made = self._node(node, given)
            except (ValueError, TypeError, LookupError, ArithmeticError) as error:
                raise NodeError(
                    f"{node_name(node)}: its operands do not fit each other ({error!s:.160})"
                ) from error
            for name, value in zip(node.output, made, strict=False):
                if name:
                    values[name] = value

    def _node(self, node: Any, given: list[Value | None]) -> list[Value]:
        if node.domain not in ("", "ai.onnx"):
            raise NodeError(
                f"{node_name(node)}: the operation is of domain {node.domain!r:.60}; expected one "
                "of the standard operations"
            )
        symbolic = [value for value in given if isinstance(value, Symbols)]
        if node.op_type == "Shape" and symbolic:
            options = attributes_of(node)
            shape = symbolic[0].shape[options.get("start", 0) : options.get("end")]
            return [np.array(shape, np.int64)]
        if not symbolic and node.op_type != "Scan":
            return list(self._constants.computed(node, given))
        if node.op_type in self._handlers:
            needed = given[: NEEDED.get(node.op_type)]
            if not needed or any(value is None for value in needed):
                raise NodeError(f"{node_name(node)}: one of its operands is missing")
            return self._handlers[node.op_type](node, given)
        if node.op_type in FUNCTIONS:
            return [self._function(node, symbolic[0])]
        if node.op_type in MOVES:
            return self._move(node, given)
        if node.op_type in self._operators:
            made = written_out(
                self._terms, node, given, self._operators[node.op_type], self.identities
            )
            return [Symbols(rows) for rows in made]
        known = sorted((*FUNCTIONS, *ACTIVATION_OPERATORS, *self._operators))
        raise NodeError(
            f"{node_name(node)}: liquid networks have no such operation on data; expected linear "
            f"maps, sums, products, {', '.join(known)}"
        )

    def _operand(self, value: Value) -> Operand:
        if isinstance(value, Symbols):
            return value.identities
        return np.asarray(value, np.float64)

    def _elementwise(
        self, node: Any, given: Sequence[Value | None], make: Callable[..., Identities]
    ) -> list[Value]:
        operands = [self._operand(value) for value in given if value is not None]
        shape = np.broadcast_shapes(*(operand.shape for operand in operands))
        name = node_name(node)
        rows = [make(*row, name) for row in rows_of(shape, operands)]
        return [Symbols(np.array(rows, np.int64).reshape(shape))]

    def _add(self, node: Any, given: list[Value | None]) -> list[Value]:
        total = given[0]
        for value in given[1:]:
            total = self._elementwise(node, [total, value], self._sum)[0]
        return [total]  # pyright: ignore[reportReturnType]

    def _mean(self, node: Any, given: list[Value | None]) -> list[Value]:
        share = np.array(1.0 / len(given))
        parts = [self._multiply(node, [value, share])[0] for value in given]
        return self._add(node, list(parts))

    def _activation(self, node: Any, given: list[Value | None]) -> list[Value]:
        """An operator that is an activation; the larger or smaller of data and a number is."""
        first = node.op_type in ("Max", "Min") and isinstance(given[0], np.ndarray)
        value, *others = given[::-1] if first else given
        if len(given) != 2 and node.op_type in ("Max", "Min") or any(
            isinstance(other, Symbols) for other in others
        ):  # fmt: skip
            raise NodeError(f"{node_name(node)}: expected data and numbers, as in relu or a clamp")
        value = _data(node, value)
        found = activation_of_node(node.op_type, attributes_of(node), others, node_name(node))
        if found.inputs != 1.0:
            value = self._multiply(node, [value, np.array(found.inputs)])[0]
        if found.offset:
            value = self._add(node, [value, np.array(found.offset)])[0]
        made: Value = self._applied(found.activation, node, _data(node, value))
        return [made] if found.factor == 1.0 else self._multiply(
            node, [made, np.array(found.factor)]
        )  # fmt: skip

    def _power(self, node: Any, given: list[Value | None]) -> list[Value]:
        value, exponent = given
        if not isinstance(exponent, np.ndarray) or not np.all(exponent == 2.0):
            raise NodeError(f"{node_name(node)}: a power of data; expected a square")
        return self._multiply(node, [value, value])

    def _cast(self, node: Any, given: list[Value | None]) -> list[Value]:
        from onnx import helper

        value, kind = (
            _data(node, given[0]),
            helper.tensor_dtype_to_np_dtype(attributes_of(node)["to"]),
        )
        if kind not in (np.float32, np.float64):
            raise NodeError(f"{node_name(node)}: data as {kind}; expected floating point")
        return [value]

    def _sum(self, one: Operand, other: Operand, name: str) -> Identities:
        if one.dtype.kind == "f":
            one, other = other, one
        return self._terms.sum_of(one.astype(np.int64), other, name)

    def _product(self, one: Operand, other: Operand, name: str) -> Identities:
        if one.dtype.kind == "f":
            one, other = other, one
        return self._terms.product_of(one.astype(np.int64), other, name)

    def _multiply(self, node: Any, given: list[Value | None]) -> list[Value]:
        return self._elementwise(node, given, self._product)

    def _negate(self, node: Any, given: list[Value | None]) -> list[Value]:
        return self._elementwise(node, [given[0], np.array(-1.0)], self._product)

    def _subtract(self, node: Any, given: list[Value | None]) -> list[Value]:
        one, other = given
        if isinstance(other, Symbols):
            return self._add(node, [one, self._negate(node, [other])[0]])
        return self._add(node, [one, -np.asarray(other, np.float64)])

    def _divide(self, node: Any, given: list[Value | None]) -> list[Value]:
        one, other = given
        if isinstance(other, Symbols):
            return self._elementwise(node, [one, other], self._quotient)
        with np.errstate(divide="ignore"):
            inverse = 1.0 / np.asarray(other, np.float64)
        return self._multiply(node, [one, inverse])

    def _quotient(self, one: Operand, other: Operand, name: str) -> Identities:
        return self._terms.add(Term("divide", name, (one, other)), one.size)

    def _function(self, node: Any, value: Symbols) -> Symbols:
        return self._applied(FUNCTIONS[node.op_type], node, value)

    def _applied(self, operation: str, node: Any, value: Symbols) -> Symbols:
        """A function of each number."""
        name = node_name(node)

        def make(row: Operand, _: str) -> Identities:
            return self._terms.add(Term(operation, name, (row,)), row.size)

        return self._elementwise(node, [value], make)[0]  # pyright: ignore[reportReturnType]

    def _mapped(self, node: Any, value: Value | None, weight: FloatArray) -> Symbols:
        """A row vector times a matrix of (columns, results), for each row."""
        value = _data(node, value)
        rows = value.identities.reshape(-1, value.shape[-1])
        if rows.shape[1] != weight.shape[0]:
            raise NodeError(
                f"{node_name(node)}: {rows.shape[1]} columns times {weight.shape[0]} rows"
            )
        shape = (*value.shape[:-1], weight.shape[1])
        transposed, bias = np.ascontiguousarray(weight.T, np.float64), np.zeros(weight.shape[1])
        name = node_name(node)
        made = [
            self._terms.add(Term("linear", name, (row,), transposed, bias), bias.size)
            for row in rows
        ]
        return Symbols(np.array(made, np.int64).reshape(shape))

    def _matmul(self, node: Any, given: list[Value | None]) -> list[Value]:
        weight = given[1]
        if not isinstance(weight, np.ndarray) or weight.ndim != 2:
            raise NodeError(
                f"{node_name(node)}: expected data times a constant matrix, as in a linear map"
            )
        return [self._mapped(node, given[0], weight)]

    def _gemm(self, node: Any, given: list[Value | None]) -> list[Value]:
        options = attributes_of(node)
        weight = given[1]
        if options.get("transA") or not isinstance(weight, np.ndarray) or weight.ndim != 2:
            raise NodeError(
                f"{node_name(node)}: expected data times a constant matrix, as in a linear map"
            )
        weight = weight.T if options.get("transB") else weight
        scaled = weight.astype(np.float64) * options.get("alpha", 1.0)
        result = self._mapped(node, given[0], scaled)
        if len(given) < 3 or given[2] is None:
            return [result]
        offset: Value = given[2]
        if isinstance(offset, np.ndarray):
            offset = offset.astype(np.float64) * options.get("beta", 1.0)
        return self._add(node, [result, offset])

    def _reduce_sum(self, node: Any, given: list[Value | None]) -> list[Value]:
        options = attributes_of(node)
        value = _data(node, given[0])
        axes = options.get("axes", given[1] if len(given) > 1 else None)
        if axes is None or np.size(axes) != 1:
            raise NodeError(f"{node_name(node)}: expected a sum over one axis")
        axis = int(np.ravel(axes)[0])
        moved = np.moveaxis(value.identities, axis, 0)
        name = node_name(node)
        flat = moved.reshape(moved.shape[0], -1, moved.shape[-1] if moved.ndim > 1 else 1)
        rows = [
            self._terms.add(Term("sum", name, tuple(flat[:, row])), flat.shape[2])
            for row in range(flat.shape[1])
        ]
        result = np.array(rows, np.int64).reshape(moved.shape[1:])
        return [Symbols(np.expand_dims(result, axis) if options.get("keepdims", 1) else result)]

    def _scan(self, node: Any, given: list[Value | None]) -> list[Value]:
        options = attributes_of(node)
        body, scanned = options["body"], int(options["num_scan_inputs"])
        unusual = {"scan_input_directions", "scan_output_directions", "scan_output_axes"}
        if any(np.any(options[key]) for key in unusual & options.keys()):
            raise NodeError(f"{node_name(node)}: expected a Scan forwards along time")
        axes = options.get("scan_input_axes", [0] * scanned)
        states, sequences = given[: len(given) - scanned], given[len(given) - scanned :]
        tensors: dict[str, Value] = {"": None}  # pyright: ignore[reportAssignmentType]
        tensors |= {entry.name: held(entry) for entry in body.initializer}
        varying = self._run_constant(body.node, tensors)
        moved = [_along(value, axis) for value, axis in zip(sequences, axes, strict=True)]
        collected: list[list[Value]] = []
        for step in range(len(moved[0])):
            values = dict(tensors)
            slices = [value[step] for value in moved]
            for entry, value in zip(body.input, [*states, *slices], strict=True):
                values[entry.name] = value  # pyright: ignore[reportArgumentType]
            self._run_nodes(varying, values)
            outputs = [values[entry.name] for entry in body.output]
            states = outputs[: len(states)]  # pyright: ignore[reportAssignmentType]
            collected.append(outputs[len(states) :])
        stacked = [self._stacked(list(parts)) for parts in zip(*collected, strict=True)]
        return [*states, *stacked]  # pyright: ignore[reportReturnType]

    def _run_constant(self, nodes: Sequence[Any], tensors: dict[str, Value]) -> list[Any]:
        """Adds what the body of a loop computes of constants alone; the nodes that are left."""
        varying: list[Any] = []
        for node in nodes:
            if node.op_type != "Scan" and all(name in tensors for name in node.input):
                self._run_nodes([node], tensors)
            else:
                varying.append(node)
        return varying

    def _move(self, node: Any, given: list[Value | None]) -> list[Value]:
        value, *others = given
        if not isinstance(value, Symbols) or any(isinstance(other, Symbols) for other in others):
            raise NodeError(f"{node_name(node)}: expected data moved to places that are constant")
        if node.op_type == "Expand":
            shape = np.broadcast_shapes(
                value.shape, tuple(int(n) for n in np.ravel(np.asarray(others[0])))
            )
            self._constants.spend(node, int(np.prod([float(length) for length in shape])))
        made = MOVES[node.op_type](value.identities, others, attributes_of(node), len(node.output))
        return [Symbols(part) for part in (made if isinstance(made, list) else [made])]

    def _concat(self, node: Any, given: list[Value | None]) -> list[Value]:
        parts = [self.identities(value) for value in given if value is not None]
        return [Symbols(np.concatenate(parts, axis=attributes_of(node)["axis"]))]

    def _stacked(self, parts: list[Value]) -> Value:
        if all(isinstance(part, np.ndarray) for part in parts):
            return np.stack(parts)  # pyright: ignore[reportCallIssue, reportArgumentType]
        return Symbols(np.stack([self.identities(part) for part in parts]))

    def identities(self, value: Value) -> Identities:
        """A tensor as identities; constants become terms."""
        if isinstance(value, Symbols):
            return value.identities
        array = np.asarray(value, np.float64)
        flat = array.reshape(-1, array.shape[-1] if array.ndim else 1)
        rows = [self._terms.constant(row) for row in flat]
        return np.array(rows, np.int64).reshape(array.shape)


def _data(node: Any, value: Value | None) -> Symbols:
    """An operand that has to be data."""
    if not isinstance(value, Symbols):
        raise NodeError(f"{node_name(node)}: expected data where it has a constant, or nothing")
    return value


def _along(value: Value | None, axis: int) -> list[Value]:
    """The slices of a sequence."""
    if isinstance(value, Symbols):
        return [Symbols(part) for part in np.moveaxis(value.identities, axis, 0)]
    return list(np.moveaxis(np.asarray(value), axis, 0))


__all__ = ["Symbols", "Traced", "trace"]
