"""Activations as PyTorch has them, as modules and as operators, by their texts in the library
(`lnn2loihi.layers.activations`). Nothing is imported.

A function without a text here is none that a layer has; some are made of others, which whoever
reads a graph may do: tanhshrink(x) is x - tanh(x), softshrink(x) is x - clamp(x), a PReLU with a
slope for each unit is relu(x) - slope relu(-x), the larger of two is a + relu(b - a).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lnn2loihi.errors import NetworkError
from lnn2loihi.layers.activations import text_of

#: From this argument on, PyTorch's softplus may answer its argument: the difference, below 1e-6, is
#: less than what float32 resolves there.
LEAST_THRESHOLD = 14.0

#: Gives a parameter as a number; None where it is none.
Number = Callable[[Any], "float | None"]
#: Parameters as they are given, by name, and what makes numbers of them.
Text = Callable[[Mapping[str, Any], Number], "str | None"]


class _NoNumber(Exception):
    """A parameter depends on the samples, or is one number for each unit."""


def _plain(name: str, *parameters: str) -> Text:
    """An activation of these parameters."""

    def text(given: Mapping[str, Any], number: Number) -> str | None:
        return text_of(name, *(_number(given[key], number) for key in parameters))

    return text


def _number(value: Any, number: Number) -> float:
    found = number(value)
    if found is None:
        raise _NoNumber
    return found


def _softplus(given: Mapping[str, Any], number: Number) -> str | None:
    if _number(given["threshold"], number) < LEAST_THRESHOLD:
        return None
    return text_of("softplus", _number(given["beta"], number))


def _gelu(given: Mapping[str, Any], number: Number) -> str | None:
    return {"none": "gelu", "tanh": "gelu_tanh"}.get(given["approximate"])


def _clamp(given: Mapping[str, Any], number: Number) -> str | None:
    low, high = (
        end if given[key] is None else _number(given[key], number)
        for key, end in (("min", -math.inf), ("max", math.inf))
    )
    return text_of("clamp", low, high)


def _rrelu(given: Mapping[str, Any], number: Number) -> str | None:
    """In evaluation: the mean of its slopes."""
    if given["training"]:
        return None
    return text_of(
        "leaky_relu", (_number(given["lower"], number) + _number(given["upper"], number)) / 2
    )


def _threshold(given: Mapping[str, Any], number: Number) -> str | None:
    ends = {_number(given[key], number) for key in ("threshold", "value")}
    return "relu" if ends == {0.0} else None


def _pow(given: Mapping[str, Any], number: Number) -> str | None:
    return {1.0: "identity", 2.0: "square"}.get(_number(given["exponent"], number))


#: For each operator its parameters after the data, in order, with what they are where they are not
#: given, and its text.
_OPERATORS: dict[str, tuple[dict[str, Any], Text]] = {
    **{
        operator: ({}, _plain(name))
        for operator, name in (
            ("relu", "relu"), ("tanh", "tanh"), ("sigmoid", "sigmoid"), ("expit", "sigmoid"),
            ("special_expit", "sigmoid"), ("silu", "silu"), ("relu6", "clamp(0,6)"),
            ("selu", "selu"), ("logsigmoid", "log_sigmoid"), ("log_sigmoid", "log_sigmoid"),
            ("hardsigmoid", "hard_sigmoid"), ("hardswish", "hard_swish"), ("abs", "abs"),
            ("absolute", "abs"), ("square", "square"),
        )
    },
    "gelu": ({"approximate": "none"}, _gelu),
    "leaky_relu": ({"negative_slope": 0.01}, _plain("leaky_relu", "negative_slope")),
    "prelu": ({"weight": None}, _plain("leaky_relu", "weight")),
    "rrelu": ({"lower": 1 / 8, "upper": 1 / 3, "training": False}, _rrelu),
    "elu": ({"alpha": 1.0}, _plain("elu", "alpha")),
    "celu": ({"alpha": 1.0}, _plain("celu", "alpha")),
    "softplus": ({"beta": 1.0, "threshold": 20.0}, _softplus),
    "hardtanh": ({"min_val": -1.0, "max_val": 1.0}, _plain("clamp", "min_val", "max_val")),
    "clamp": ({"min": None, "max": None}, _clamp),
    "clip": ({"min": None, "max": None}, _clamp),
    "clamp_min": ({"min": None}, lambda given, number: _clamp({**given, "max": None}, number)),
    "clamp_max": ({"max": None}, lambda given, number: _clamp({"min": None, **given}, number)),
    "threshold": ({"threshold": 0.0, "value": 0.0}, _threshold),
    "pow": ({"exponent": None}, _pow),
}  # fmt: skip
#: Operators that may be activations, as `lnn2loihi.converters.trace` names them.
ACTIVATION_OPERATORS = tuple(_OPERATORS)

#: For each class of torch.nn.modules.activation the operator that it calls, and which attributes
#: are its parameters.
_CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ReLU": ("relu", ()), "Tanh": ("tanh", ()), "Sigmoid": ("sigmoid", ()), "SiLU": ("silu", ()),
    "GELU": ("gelu", ("approximate",)),
    "LeakyReLU": ("leaky_relu", ("negative_slope",)),
    "PReLU": ("prelu", ("weight",)),
    "RReLU": ("rrelu", ("lower", "upper")),
    "ELU": ("elu", ("alpha",)), "CELU": ("celu", ("alpha",)), "SELU": ("selu", ()),
    "Softplus": ("softplus", ("beta", "threshold")),
    "LogSigmoid": ("logsigmoid", ()),
    "Hardtanh": ("hardtanh", ("min_val", "max_val")), "ReLU6": ("relu6", ()),
    "Hardsigmoid": ("hardsigmoid", ()), "Hardswish": ("hardswish", ()),
    "Threshold": ("threshold", ("threshold", "value")),
}  # fmt: skip
_OTHERS = {
    ("torch.nn.modules.linear", "Identity"): "identity",
    ("ncps.torch.cfc_cell", "LeCun"): "lecun_tanh",
}
#: Activations that whole modules may have, for messages.
ACTIVATION_CLASSES = ", ".join((*_CLASSES, *(name for _, name in _OTHERS)))


def activation_of(part: object) -> str | None:
    """The activation that a module applies, by its text in the library; None for any other, and for
    one whose parameters no layer has (a PReLU with several slopes, an ELU with alpha 0).
    """
    kind = (type(part).__module__, type(part).__name__)
    if kind in _OTHERS:
        return _OTHERS[kind]
    if kind[0] != "torch.nn.modules.activation" or kind[1] not in _CLASSES:
        return None
    operator, names = _CLASSES[kind[1]]
    try:
        given = [getattr(part, name) for name in names]
    except AttributeError:  # somebody has made it without its constructor
        return None
    return activation_text(operator, given, {}, number_of)


def activation_text(
    operator: str,
    parameters: Sequence[Any],
    keywords: Mapping[str, Any],
    number: Number | None = None,
) -> str | None:
    """The activation that an operator is, by its text in the library; None where it is none.

    Args:
        operator: its name, without what says where it came from: "clamp", "leaky_relu".
        parameters: its arguments after the data.
        keywords: those that were given by name.
        number: gives a parameter that may be a tensor as a number, or None where it is none; if
            left out, tensors are none.
    """
    if operator not in _OPERATORS:
        return None
    usual, text = _OPERATORS[operator]
    known = {key: value for key, value in keywords.items() if key in usual}
    given = {**usual, **dict(zip(usual, parameters, strict=False)), **known}
    try:
        return text(given, number or number_of)
    except (_NoNumber, NetworkError):
        return None


def number_of(value: Any) -> float | None:
    """A number of Python, or a tensor with one element, as a number; None for anything else."""
    if isinstance(value, (int, float)):  # bool is one, as PyTorch has it
        return float(value)
    detach = getattr(value, "detach", None)
    if detach is None or value.numel() != 1:
        return None
    return float(detach().double().reshape(()))
