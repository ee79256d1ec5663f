"""Operators of ONNX that are activations of layers, by their texts in the library."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lnn2loihi.converters.onnx_read.terms import NodeError
from lnn2loihi.errors import NetworkError
from lnn2loihi.layers.activations import (
    LECUN_INPUT,
    LECUN_OUTPUT,
    SELU_ALPHA,
    SELU_SCALE,
    Folding,
    kind_of,
    text_of,
)

#: Relative difference up to which a parameter in float32 is taken as one of double precision.
_SAME = 1e-6
#: Kinds that answer to positive multiples of their argument with multiples of their answer.
_HOMOGENEOUS = ("identity", "relu", "leaky_relu", "abs")


def short(value: float) -> float:
    """A number of a file in float32, with the fewest digits that are the same number there."""
    return float(str(np.float32(value))) if math.isfinite(value) else float(value)


def _clip(options: Mapping[str, Any], constants: Sequence[Any]) -> Folding:
    """The ends are attributes before opset 11, and inputs that may be missing since."""
    ends = [options.get("min", -math.inf), options.get("max", math.inf)]
    for place, value in enumerate(constants[:2]):
        ends[place] = ends[place] if value is None else _number(value)
    largest = float(np.finfo(np.float32).max)  # what exporters write for no end
    low, high = (
        math.copysign(math.inf, end) if abs(end) >= largest else short(end) for end in ends
    )
    return Folding(text_of("clamp", low, high))


def _number(value: Any) -> float:
    if not isinstance(value, np.ndarray) or np.unique(value).size != 1:
        raise NetworkError("a parameter", "it is not one number for all units")
    return float(value.flat[0])


def _selu(options: Mapping[str, Any], _: Sequence[Any]) -> Folding:
    alpha, scale = options.get("alpha", SELU_ALPHA), options.get("gamma", SELU_SCALE)
    if abs(alpha / SELU_ALPHA - 1.0) < _SAME and abs(scale / SELU_SCALE - 1.0) < _SAME:
        return Folding("selu")
    return Folding(text_of("elu", short(alpha)), factor=scale)


def _gelu(options: Mapping[str, Any], _: Sequence[Any]) -> Folding:
    approximate = options.get("approximate", b"none")
    return Folding("gelu_tanh" if approximate in (b"tanh", "tanh") else "gelu")


def _one(name: str, attribute: str, usual: float) -> Callable[..., Folding]:
    """An activation of one parameter, which is an attribute."""
    return lambda options, _: Folding(text_of(name, short(options.get(attribute, usual))))


#: For each operator what it is, of its attributes and its inputs after the data.
_OPERATORS: dict[str, Callable[[Mapping[str, Any], Sequence[Any]], Folding]] = {
    "Clip": _clip,
    "Max": lambda _, constants: Folding(text_of("clamp", short(_number(constants[0])), math.inf)),
    "Min": lambda _, constants: Folding(text_of("clamp", -math.inf, short(_number(constants[0])))),
    "LeakyRelu": _one("leaky_relu", "alpha", 0.01),
    "PRelu": lambda _, constants: Folding(text_of("leaky_relu", short(_number(constants[0])))),
    "Elu": _one("elu", "alpha", 1.0),
    "Celu": _one("celu", "alpha", 1.0),
    "Selu": _selu,
    "Gelu": _gelu,
    "Softplus": lambda *_: Folding("softplus(1)"),
    "HardSigmoid": lambda options, _: Folding(
        "clamp(0,1)", options.get("alpha", 0.2), options.get("beta", 0.5)
    ),
    "HardSwish": lambda *_: Folding("hard_swish"),
}
#: Operators that are activations and have parameters, or need no more than their text.
ACTIVATION_OPERATORS = tuple(_OPERATORS)


def activation_of_node(
    operator: str, options: Mapping[str, Any], constants: Sequence[Any], name: str
) -> Folding:
    """What an operator of ACTIVATION_OPERATORS computes of its data.

    Args:
        operator: its name.
        options: its attributes.
        constants: its inputs beside the data, None where one is missing.
        name: of the node, for messages.

    Raises:
        NodeError: it has parameters that no layer has.
    """
    try:
        return _OPERATORS[operator](options, constants)
    except NetworkError as error:
        raise NodeError(f"{name}: {error.problems[0]}") from error


def of_layer(activation: str, factor: float, close: float) -> tuple[str, float, float]:
    """Factor * activation(x), as a layer has it.

    Args:
        activation: its text.
        factor: what its answer is multiplied by.
        close: relative difference that counts as none.

    Returns:
        The activation, what x is divided by, and the factor that is left.
    """
    kind, numbers = kind_of(activation)
    if abs(factor - 1.0) <= close:
        return activation, 1.0, 1.0
    if kind == "tanh" and abs(factor - LECUN_OUTPUT) < close * LECUN_OUTPUT:
        return "lecun_tanh", LECUN_INPUT, 1.0
    if activation == "softplus(1)" and abs(factor + 1.0) <= close:
        return "log_sigmoid", -1.0, 1.0
    if factor <= 0.0:
        return activation, 1.0, factor
    inner = 1.0 / factor
    if kind in _HOMOGENEOUS:
        return activation, inner, 1.0
    if kind == "clamp":
        return text_of("clamp", *(short(factor * n) for n in numbers)), inner, 1.0
    if activation == "softplus(1)":
        return text_of("softplus", short(inner)), inner, 1.0
    if kind == "elu" and abs(numbers[0] / SELU_ALPHA - 1.0) < 1e-5 and (
        abs(factor / SELU_SCALE - 1.0) < 1e-5
    ):  # fmt: skip
        return "selu", 1.0, 1.0
    if activation == "elu(1)":
        return text_of("celu", short(factor)), inner, 1.0
    return activation, 1.0, factor
