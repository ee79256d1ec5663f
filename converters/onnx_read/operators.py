"""Operators of ONNX that are recurrent layers as a whole: `LSTM`, `GRU`.

They are written out step by step, as the cells that they are, so that what follows knows no
difference. A family says how by `OnnxReader.operators`; what they have in common is checked and
read here. Source: the operators' documents, https://onnx.ai/onnx/operators (opset 7 to 22).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lnn2loihi.converters.onnx_read.constants import node_name
from lnn2loihi.converters.onnx_read.moves import attributes_of
from lnn2loihi.converters.onnx_read.terms import Identities, NodeError, Term, Terms
from lnn2loihi.network import FloatArray

#: Weight (units, columns) and bias (units,) of a map.
Map = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Given:
    """One step of an operator: its sample, its maps, and what terms are made of.

    Attributes:
        terms: all terms of the graph.
        node: how the operator is named in messages.
        x: identities of the sample.
        maps: its maps, in the order in which the family has them.
    """

    terms: Terms
    node: str
    x: Identities
    maps: Sequence[Map]

    def linear(self, columns: Identities, number: int) -> Identities:
        """The map of that number."""
        weight, bias = self.maps[number]
        return self.terms.add(Term("linear", self.node, (columns,), weight, bias), bias.size)

    def function(self, name: str, row: Identities) -> Identities:
        """A function of each number."""
        return self.terms.add(Term(name, self.node, (row,)), row.size)

    def product(self, one: Identities, other: Identities) -> Identities:
        """The product, number by number."""
        return self.terms.add(Term("multiply", self.node, (one, other)), one.size)

    def sum(self, one: Identities, other: Identities) -> Identities:
        """The sum, number by number."""
        return self.terms.add(Term("add", self.node, (one, other)), one.size)


@dataclass(frozen=True)
class RecurrentOperator:
    """An operator that a family takes.

    Attributes:
        gates: blocks of rows in its weights.
        states: its states; the first one is its answer.
        activations: which functions it has to have, in lower case.
        step: makes the new states.
        maps: the maps, from W, R (gates, units, columns) and both biases (gates, units).
        attributes: which values attributes have to have that other files may set otherwise, the
            value that counts where they are absent (`defaults`) being another for some.
        defaults: the values of attributes that are absent, where they are not those above.
        peepholes: position of an input that has to be absent or zero, or None.
    """

    gates: int
    states: tuple[str, ...]
    activations: tuple[str, ...]
    step: Callable[[Given, Mapping[str, Identities]], Mapping[str, Identities]]
    maps: Callable[[FloatArray, FloatArray, FloatArray, FloatArray], Sequence[Map]]
    attributes: Mapping[str, int] = field(default_factory=dict)
    defaults: Mapping[str, int] = field(default_factory=dict)
    peepholes: int | None = None


def gate_maps(w: FloatArray, r: FloatArray, wb: FloatArray, rb: FloatArray) -> list[Map]:
    """One map for each gate, of the sample and the last answer."""
    return [(np.hstack([w[gate], r[gate]]), wb[gate] + rb[gate]) for gate in range(len(w))]


def written_out(
    terms: Terms,
    node: Any,
    given: Sequence[Any],
    operator: RecurrentOperator,
    identities: Callable[[Any], Identities],
) -> list[Identities]:
    """The results of an operator: all answers, then the last of each state.

    Args:
        terms: all terms of the graph.
        node: the node.
        given: its operands; None where one is absent.
        operator: what its family says of it.
        identities: a tensor as identities, constants too.

    Raises:
        NodeError: names the node, what it has and what is expected.
    """
    options = attributes_of(node)
    given = [*given, *[None] * (8 - len(given))]
    _check_function(node, options, given, operator)
    x = identities(given[0])
    layout = int(options.get("layout", 0))
    if x.ndim != 3:
        raise _refusal(node, f"data of shape {x.shape}", "(time, batch, inputs)")
    x = x.swapaxes(0, 1) if layout == 1 else x
    steps, batch, _ = x.shape
    with np.errstate(all="ignore"):  # whatever numbers a hostile file has
        w, r, wb, rb = _weights(node, given, operator.gates)
    units, inputs = w.shape[1:]
    if options.get("hidden_size", units) != units:
        raise _refusal(node, f"hidden_size {options['hidden_size']}", f"{units}, as R has")
    if inputs != x.shape[2]:
        raise _refusal(node, f"data of {x.shape[2]} channels", f"{inputs}, as its weights have")
    lengths = given[4]
    if lengths is not None and not (isinstance(lengths, np.ndarray) and (lengths == steps).all()):
        raise _refusal(node, "sequence_lens", "none: every sequence has all its steps")
    states = {
        name: _initial(node, value, layout, (batch, units), identities)
        for name, value in zip(operator.states, given[5:], strict=False)
    }
    answers = np.empty((steps, batch, units), np.int64)
    finals = {name: np.empty((batch, units), np.int64) for name in states}
    maps, name = operator.maps(w, r, wb, rb), node_name(node)
    for sequence in range(batch):
        now: Mapping[str, Identities] = {n: rows[sequence] for n, rows in states.items()}
        for step in range(steps):
            now = operator.step(Given(terms, name, x[step, sequence], maps), now)
            answers[step, sequence] = now[operator.states[0]]
        for state, rows in finals.items():
            rows[sequence] = now[state]
    if layout == 1:
        return [answers.swapaxes(0, 1)[:, :, None], *(rows[:, None] for rows in finals.values())]
    return [answers[:, None], *(rows[None] for rows in finals.values())]


def _refusal(node: Any, has: str, expected: str) -> NodeError:
    return NodeError(f"{node_name(node)} does not fit: it has {has}; expected {expected}")


def _weights(
    node: Any, given: Sequence[Any], gates: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """W and R (gates, units, columns), and both biases (gates, units), in float64."""
    if any(given[n] is not None and not isinstance(given[n], np.ndarray) for n in (1, 2, 3)) or (
        given[1] is None or given[2] is None
    ):
        raise _refusal(node, "weights that are absent or depend on data", "constants")
    w, r = (np.asarray(given[n], np.float64) for n in (1, 2))
    units = r.shape[-1]
    if w.ndim != 3 or len(w) != 1 or r.shape != (1, gates * units, units) or (
        w.shape[1] != gates * units or not units
    ):  # fmt: skip
        raise _refusal(
            node, f"weights W {w.shape} and R {r.shape}",
            f"(1, {gates} units, inputs) and (1, {gates} units, units)",
        )  # fmt: skip
    b = np.zeros((1, 2 * gates * units)) if given[3] is None else np.asarray(given[3], np.float64)
    if b.shape != (1, 2 * gates * units):
        raise _refusal(node, f"biases B {b.shape}", f"{(1, 2 * gates * units)}")
    wb, rb = b.reshape(2, gates, units)
    return w.reshape(gates, units, -1), r.reshape(gates, units, units), wb, rb


def _check_function(
    node: Any, options: Mapping[str, Any], given: Sequence[Any], operator: RecurrentOperator
) -> None:
    """Everything that would make it another function."""
    direction = _text(options.get("direction", b"forward"))
    if direction != "forward":
        raise _refusal(node, f"direction {direction!r:.40}", "forward")
    activations = tuple(_text(a).lower() for a in options.get("activations", operator.activations))
    if activations != operator.activations:
        raise _refusal(
            node, f"activations {', '.join(activations)!r:.80}", ", ".join(operator.activations)
        )
    if options.get("clip", 0.0):
        raise _refusal(node, f"clip {options['clip']:g}", "none: its sums are not clipped")
    for name, expected in operator.attributes.items():
        value = options.get(name, operator.defaults.get(name, expected))
        if value != expected:
            raise _refusal(node, f"{name} {value}", f"{expected}, as PyTorch has it")
    peepholes = None if operator.peepholes is None else given[operator.peepholes]
    if peepholes is not None and not (isinstance(peepholes, np.ndarray) and not peepholes.any()):
        raise _refusal(node, "peephole weights P", "none")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _initial(
    node: Any, value: Any, layout: int, shape: tuple[int, int],
    identities: Callable[[Any], Identities],
) -> Identities:  # fmt: skip
    """An initial state (batch, units); zeros where it is absent."""
    rows = identities(np.zeros((1, *shape)) if value is None else value)
    rows = rows.swapaxes(0, 1) if layout == 1 and value is not None else rows
    if rows.shape != (1, *shape):
        raise _refusal(node, f"an initial state {rows.shape}", f"{(1, *shape)}")
    return rows[0]
