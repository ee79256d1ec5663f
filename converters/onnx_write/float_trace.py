"""Turns float functions written in NumPy into ONNX nodes, by calling them.

Stages compute their answers in NumPy (`Stage.answer`). Called with `Traced` values instead of
arrays they leave nodes behind, one small function of this file for each NumPy function, so that a
stage that is written once can be evaluated and exported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.onnx_write.build import Graph
from lnn2loihi.errors import InputError

Function = Callable[..., "Traced"]
_FUNCTIONS: dict[Any, Function] = {}
#: NumPy functions that an operator computes as it stands.
_OPERATORS = {
    np.add: "Add",
    np.subtract: "Sub",
    np.multiply: "Mul",
    np.true_divide: "Div",
    np.negative: "Neg",
    np.reciprocal: "Reciprocal",
    np.absolute: "Abs",
    np.maximum: "Max",
    np.minimum: "Min",
    np.tanh: "Tanh",
    np.exp: "Exp",
    np.log: "Log",
    np.sqrt: "Sqrt",
    np.power: "Pow",
    np.sin: "Sin",
    np.sign: "Sign",
    np.matmul: "MatMul",
    np.less: "Less",
    np.less_equal: "LessOrEqual",
    np.greater: "Greater",
    np.greater_equal: "GreaterOrEqual",
    np.equal: "Equal",
    np.bitwise_and: "And",
    np.bitwise_or: "Or",
    np.invert: "Not",
    np.where: "Where",
}


#: For each kind of activation its operator, and its attributes.
_ACTIVATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "leaky_relu": ("LeakyRelu", ("alpha",)),
    "elu": ("Elu", ("alpha",)),
    "softplus": ("Softplus", ()),
    "hard_swish": ("HardSwish", ()),
}
#: Period and terms of the series of the error function, and where it is 1 to 1e-16: together they
#: are wrong by at most 6e-16.
PERIOD, TERMS, FLAT = 16.0, 30, 6.0


class Places:
    """Where nodes go: into the main graph, or into the body of its loop if they depend on it.

    Outside of the loop, values are rows (time * batch, ...), time first, so that one node does the
    work of all steps; in its body they are (batch, ...).

    Attributes:
        dtype: float type of all values.
        main: the main graph.
        step: the body of its loop.
        entered: for each value of the main graph that the body takes, its name there.
    """

    def __init__(self, main: Graph, dtype: npt.DTypeLike) -> None:
        self.main, self.dtype = main, np.dtype(dtype)
        self.step = Graph(outer=main)
        self.entered: dict[str, str] = {}

    def graph(self, inside: bool) -> Graph:
        """The body of the loop, or the main graph."""
        return self.step if inside else self.main

    def named(self, operand: Any, inside: bool) -> str:
        """The name of an operand, which may be a traced value, an array or a number."""
        if not isinstance(operand, Traced):
            return self.graph(inside).constant(operand, self.dtype)
        if not inside or operand.inside:
            return operand.value
        if operand.value not in self.entered:
            self.entered[operand.value] = self.step.name(f"{operand.value}.now")
        return self.entered[operand.value]


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """A value of a graph, which NumPy functions take for an array.

    Attributes:
        places: where nodes go.
        value: name of the value.
        inside: whether it is one of the loop's body.
    """

    def __init__(self, places: Places, value: str, inside: bool) -> None:
        self.places, self.value, self.inside = places, value, inside

    def apply(self, operation: str, *others: Any, name: str = "", **attributes: Any) -> Traced:
        """The answer of an operator to this value and others; see `applied`."""
        return applied(operation, self, *others, name=name, **attributes)

    def shaped(self, operation: str, numbers: npt.ArrayLike, **attributes: Any) -> Traced:
        """The answer of an operator whose other operand are integers: axes, places, a shape."""
        graph = self.places.graph(self.inside)
        integers = graph.constant(numbers, np.int64)
        value = graph.add(operation, self.value, integers, **attributes)
        return Traced(self.places, value, self.inside)

    def split(self, names: Sequence[str]) -> list[Traced]:
        """Equal parts of the last axis, with hints for their names."""
        if len(names) == 1:
            return [self]
        graph = self.places.graph(self.inside)
        own = [graph.name(name) for name in names]
        graph.add_many("Split", [self.value], own, axis=1, num_outputs=len(own))
        return [Traced(self.places, name, self.inside) for name in own]

    def __getitem__(self, key: Any) -> Traced:
        """Some of the last axis: `[..., indices]`."""
        before, indices = key if isinstance(key, tuple) and len(key) == 2 else (None, None)
        if before is not Ellipsis or not isinstance(indices, np.ndarray):
            raise _unknown(f"[{key}], where only [..., indices] is known")
        return self.shaped("Gather", indices, axis=1)

    def sigmoid(self) -> Traced:
        """The logistic function; see `lnn2loihi.layers.functions`.

        One operator, but not in float64: onnxruntime up to 1.23 makes QuickGelu of x sigma(x),
        which it has in float32 only.
        """
        if self.places.dtype == np.float32:
            return self.apply("Sigmoid")
        return 0.5 * (np.tanh(0.5 * self) + 1.0)  # pyright: ignore

    def activation(self, kind: str, numbers: Sequence[float]) -> Traced | None:
        """One operator for an activation that has one, in float32; see
        `lnn2loihi.layers.functions`. In float64 onnxruntime has few of them.
        """
        if self.places.dtype != np.float32:
            return None
        if kind == "clamp":
            low, high = numbers
            return applied("Clip", self, low, high)
        if kind == "log_sigmoid":
            return -((-self).apply("Softplus"))  # pyright: ignore
        if kind not in _ACTIVATIONS or (kind == "softplus" and tuple(numbers) != (1.0,)):
            return None
        operator, names = _ACTIVATIONS[kind]
        attributes: dict[str, Any] = dict(zip(names, numbers, strict=False))
        return self.apply(operator, **attributes)

    def error_function(self) -> Traced:
        """Erf; onnxruntime has it in float32 only.

        In float64 it is the integral of a Gaussian that repeats itself every PERIOD, written as a
        Fourier series (Poisson's formula): 2 x / P + sum over n of 2 exp(-(pi n / P)**2) / (pi n)
        sin(2 pi n x / P).
        """
        if self.places.dtype == np.float32:
            return self.apply("Erf")
        n = np.arange(1, TERMS + 1)
        x = self.apply("Max", -FLAT).apply("Min", FLAT)
        angles = x.shaped("Unsqueeze", [-1]) * (2.0 * np.pi / PERIOD * n)
        weights = 2.0 * np.exp(-((np.pi * n / PERIOD) ** 2)) / (np.pi * n)
        waves = angles.apply("Sin").apply("MatMul", weights[:, None])
        return waves.shaped("Squeeze", [-1]) + x * (2.0 / PERIOD)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Traced:
        """What NumPy calls for its element-wise functions."""
        if method != "__call__" or options:
            raise _unknown(f"{ufunc.__name__}.{method} with {sorted(options)}")
        return self._traced(ufunc, inputs)

    def __array_function__(
        self, function: Any, types: Any, inputs: Any, options: dict[str, Any]
    ) -> Traced:
        """What NumPy calls for its other functions."""
        return self._traced(function, inputs, **options)

    def _traced(self, function: Any, inputs: Any, **options: Any) -> Traced:
        if function not in _FUNCTIONS:
            raise _unknown(function.__name__)
        return _FUNCTIONS[function](*inputs, **options)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise _unknown("a function that asks for an array")


def applied(operation: str, *operands: Any, name: str = "", **attributes: Any) -> Traced:
    """Adds a node: the answer of an operator to traced values, arrays and numbers."""
    traced = [operand for operand in operands if isinstance(operand, Traced)]
    places, inside = traced[0].places, any(operand.inside for operand in traced)
    inputs = [places.named(operand, inside) for operand in operands]
    value = places.graph(inside).add(operation, *inputs, name=name, **attributes)
    return Traced(places, value, inside)


def beside(parts: Sequence[Traced]) -> Traced:
    """Values side by side."""
    return parts[0] if len(parts) == 1 else applied("Concat", *parts, axis=1)


def _unknown(what: str) -> InputError:
    known = sorted({function.__name__ for function in _FUNCTIONS})
    return InputError(
        "export to ONNX",
        f"a stage computes with {what}, which has no translation; there are {', '.join(known)}. "
        "Register a translation of the stage, see converters/onnx_write/float_stages.py",
    )


def _translates(*functions: Any) -> Callable[[Function], Function]:
    """Registers the translation of NumPy functions."""

    def register(translate: Function) -> Function:
        _FUNCTIONS.update(dict.fromkeys(functions, translate))
        return translate

    return register


_FUNCTIONS.update({function: partial(applied, name) for function, name in _OPERATORS.items()})


@_translates(np.square)
def _square(a: Any) -> Traced:
    return applied("Mul", a, a)


@_translates(np.positive)
def _positive(a: Traced) -> Traced:
    return a


@_translates(np.log1p)
def _log_of_one_more(a: Any) -> Traced:
    return applied("Log", applied("Add", a, 1.0))


@_translates(np.clip)
def _clip(a: Any, low: Any, high: Any) -> Traced:
    return applied("Min", applied("Max", a, low), high)
