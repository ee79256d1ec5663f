"""Activations of feed-forward units, by texts such as "tanh", "leaky_relu(0.01)" or "clamp(-1,1)".

Each activation has one text, its canonical one, so that equal activations are equal texts:
parameters are written as short as they can be, and those that are usual may be left out where a
text is read. Many are another one of a scaled sum ("hard_sigmoid" is "clamp(0,1)" of x / 6 + 1/2):
these are folded into the map before and the one after (`folded`), so that neuron programs are
needed only for few.

Sources of the definitions: PyTorch 2, torch.nn, section "Non-linear Activations"; LeCun's tanh as
ncps has it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from lnn2loihi.errors import NetworkError
from lnn2loihi.layers.functions import error_function, log_sigmoid, sigmoid
from lnn2loihi.layers.linear import FloatArray, Linear

#: LeCun's tanh, as ncps computes it: 1.7159 tanh(0.666 x).
LECUN_OUTPUT, LECUN_INPUT = 1.7159, 0.666
#: SELU's scale and alpha (Klambauer et al. 2017, arXiv:1706.02515), with PyTorch's digits.
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
#: Largest magnitude of a parameter, and the smallest of one that is divided by.
LARGEST_PARAMETER, SMALLEST_DIVISOR = 1e6, 1e-6
#: Largest alpha of an ELU: its integers are then still within their words.
LARGEST_ALPHA = 1000.0

Parameters = tuple[float, ...]


@dataclass(frozen=True)
class Folding:
    """An activation as another one: f(x) = factor * activation(inputs * x + offset)."""

    activation: str
    inputs: float = 1.0
    offset: float = 0.0
    factor: float = 1.0


@dataclass(frozen=True)
class _Kind:
    """What an activation is.

    Attributes:
        function: of the sum and of each parameter.
        names: of its parameters, for messages.
        usual: what these are where a text does not give them.
        wrong: what is wrong with the parameters, or "".
        plainer: the canonical text of an activation that is another one.
        folding: how it is another one of a scaled sum.
    """

    function: Callable[..., FloatArray]
    names: tuple[str, ...] = ()
    usual: Parameters = ()
    wrong: Callable[..., str] = lambda *_: ""
    plainer: Callable[..., str] = lambda *_: ""
    folding: Callable[..., Folding | None] = lambda *_: None


def _gelu(x: FloatArray) -> FloatArray:
    """X times the normal distribution function, as torch.nn.GELU() computes it."""
    return x * 0.5 * (1.0 + error_function(x / math.sqrt(2.0)))


def _gelu_tanh(x: FloatArray) -> FloatArray:
    """As torch.nn.GELU(approximate="tanh") computes it."""
    inside: FloatArray = math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))
    return x * 0.5 * (1.0 + np.tanh(inside))


def _leaky_relu(x: FloatArray, slope: float) -> FloatArray:
    return np.maximum(x, 0.0) + slope * np.minimum(x, 0.0)


def _elu(x: FloatArray, alpha: float) -> FloatArray:
    return np.maximum(x, 0.0) + alpha * (np.exp(np.minimum(x, 0.0)) - 1.0)


def _softplus(x: FloatArray, beta: float) -> FloatArray:
    """Without PyTorch's threshold, from which on it answers x: the difference is below the
    resolution of float32 there.
    """
    return log_sigmoid(-beta * x) * (-1.0 / beta)


def _clamp(x: FloatArray, low: float, high: float) -> FloatArray:
    held: FloatArray = x if low == -math.inf else np.maximum(x, low)
    return held if high == math.inf else np.minimum(held, high)


def _hard_swish(x: FloatArray) -> FloatArray:
    return x * (_clamp(x + 3.0, 0.0, 6.0) * (1.0 / 6.0))


def _leaky_folding(slope: float) -> Folding | None:
    """Below -1 by the reciprocal: no factor of a layer is below 0."""
    return None if slope >= -1.0 else Folding(text_of("leaky_relu", 1.0 / slope), slope)


def _plainer_leaky(slope: float) -> str:
    return {0.0: "relu", 1.0: "identity", -1.0: "abs"}.get(slope, "")


def _wrong_leaky(slope: float) -> str:
    return "" if not slope or abs(slope) >= SMALLEST_DIVISOR else _too_small("slope", slope)


def _plainer_clamp(low: float, high: float) -> str:
    if high == math.inf:
        return {-math.inf: "identity", 0.0: "relu"}.get(low, "")
    return ""


def _wrong_clamp(low: float, high: float) -> str:
    return "" if low < high else f"low {low:g} is not below high {high:g}"


def _divisor(name: str) -> Callable[[float], str]:
    def wrong(value: float) -> str:
        return "" if value >= SMALLEST_DIVISOR else _too_small(name, value)

    return wrong


def _wrong_alpha(alpha: float) -> str:
    if alpha > LARGEST_ALPHA:
        return f"alpha {alpha:g} is too large; it is at most {LARGEST_ALPHA:g}"
    return _divisor("alpha")(alpha)


def _too_small(name: str, value: float) -> str:
    return f"{name} {value:g} is too small; it is at least {SMALLEST_DIVISOR:g}"


_KINDS: dict[str, _Kind] = {
    "identity": _Kind(lambda x: x),
    "relu": _Kind(lambda x: np.maximum(x, 0.0)),
    "tanh": _Kind(np.tanh),
    "sigmoid": _Kind(sigmoid),
    "silu": _Kind(lambda x: x * sigmoid(x)),
    "gelu": _Kind(_gelu),
    "gelu_tanh": _Kind(_gelu_tanh),
    "lecun_tanh": _Kind(
        lambda x: LECUN_OUTPUT * np.tanh(LECUN_INPUT * x),
        folding=lambda: Folding("tanh", LECUN_INPUT, factor=LECUN_OUTPUT),
    ),
    "leaky_relu": _Kind(
        _leaky_relu, ("slope",), (0.01,), _wrong_leaky, _plainer_leaky, _leaky_folding
    ),
    "abs": _Kind(np.abs),
    "square": _Kind(lambda x: x * x),
    "clamp": _Kind(
        _clamp, ("low", "high"), (-math.inf, math.inf), _wrong_clamp, _plainer_clamp
    ),
    "hard_sigmoid": _Kind(
        lambda x: _clamp(x + 3.0, 0.0, 6.0) * (1.0 / 6.0),
        folding=lambda: Folding("clamp(0,1)", 1.0 / 6.0, 0.5),
    ),
    "hard_swish": _Kind(_hard_swish),
    "elu": _Kind(_elu, ("alpha",), (1.0,), _wrong_alpha),
    "celu": _Kind(
        lambda x, alpha: alpha * _elu(x * (1.0 / alpha), 1.0),
        ("alpha",),
        (1.0,),
        _divisor("alpha"),
        lambda alpha: "elu(1)" if alpha == 1.0 else "",
        lambda alpha: Folding("elu(1)", 1.0 / alpha, factor=alpha),
    ),
    "selu": _Kind(
        lambda x: SELU_SCALE * _elu(x, SELU_ALPHA),
        folding=lambda: Folding(text_of("elu", SELU_ALPHA), factor=SELU_SCALE),
    ),
    "softplus": _Kind(
        _softplus,
        ("beta",),
        (1.0,),
        _divisor("beta"),
        folding=lambda beta: (
            None if beta == 1.0 else Folding("softplus(1)", beta, factor=1.0 / beta)
        ),
    ),
    "log_sigmoid": _Kind(log_sigmoid),
}  # fmt: skip
#: Other names, of PyTorch and of people, for texts that are read.
_ALIASES = {
    "linear": "identity",
    "swish": "silu",
    "relu6": "clamp(0,6)",
    "hardtanh": "clamp(-1,1)",
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "logsigmoid": "log_sigmoid",
}
#: Every activation that layers may have, as it is written, for messages.
ACTIVATION_NAMES = tuple(
    f"{name}({','.join(kind.names)})" if kind.names else name for name, kind in _KINDS.items()
)
_TEXT = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(?:\(([^()]*)\))?\s*")


def number_text(value: float) -> str:
    """A parameter as texts have it: the shortest that is read as the same number."""
    value = float(value) + 0.0  # no -0
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def text_of(name: str, *parameters: float) -> str:
    """The canonical text of an activation with these parameters.

    Raises:
        NetworkError: see `canonical`.
    """
    inside = ",".join(map(number_text, parameters))
    return canonical(f"{name}({inside})" if parameters else name)


@cache
def _read(text: str) -> tuple[str, Parameters]:
    """The kind of an activation and its parameters, of its canonical text.

    Raises:
        NetworkError: there is no such activation.
    """
    found = _TEXT.fullmatch(text[:200])
    name, inside = ("", None) if found is None else found.groups()
    if name in _ALIASES and inside is None:
        return _read(_ALIASES[name])
    if name not in _KINDS:
        raise _refused(text, f"unknown activation {text[:60]!r}")
    kind = _KINDS[name]
    given = [] if inside is None or not inside.strip() else inside.split(",")
    try:
        numbers = tuple(float(part) + 0.0 for part in given)
    except ValueError:
        raise _refused(
            text, f"activation {text[:60]!r} has parameters that are no numbers"
        ) from None
    numbers += kind.usual[len(numbers) :]
    if len(numbers) != len(kind.names):
        what = f"takes {len(kind.names)} parameters, has {len(numbers)}"
        raise _refused(text, f"activation {text[:60]!r} {what}")
    wrong = _wrong_numbers(name, numbers) or kind.wrong(*numbers)
    if wrong:
        raise _refused(text, f"activation {text[:60]!r}: {wrong}")
    plainer = kind.plainer(*numbers)
    return _read(plainer) if plainer else (name, numbers)


def _wrong_numbers(name: str, numbers: Parameters) -> str:
    for value in numbers:
        if math.isnan(value) or not (
            abs(value) <= LARGEST_PARAMETER or (name == "clamp" and math.isinf(value))
        ):
            return f"{value:g} is no parameter; the largest magnitude is {LARGEST_PARAMETER:g}"
    return ""


def _refused(text: str, reason: str) -> NetworkError:
    return NetworkError("activation", f"{reason}; there are {', '.join(ACTIVATION_NAMES)}")


def canonical(activation: str) -> str:
    """The one text of an activation: "leaky_relu(0.01)" of "leaky_relu", "relu" of "clamp(0,inf)".

    Raises:
        NetworkError: there is no such activation, or none with these parameters; says which there
            are.
    """
    name, numbers = _read(activation)
    return f"{name}({','.join(map(number_text, numbers))})" if numbers else name


def kind_of(activation: str) -> tuple[str, Parameters]:
    """The kind of an activation, the word before its parameters, and these.

    Raises:
        NetworkError: see `canonical`.
    """
    return _read(activation)


def activation_problem(activation: str) -> str:
    """What is wrong with a text that should be an activation, or ""."""
    try:
        canonical(activation)
    except NetworkError as error:
        return error.problems[0]
    return ""


def function_of(activation: str) -> Callable[[Any], Any]:
    """What a unit with this activation answers to its sum: a function of arrays, of tensors in
    training and of values that are traced into a graph.

    Raises:
        NetworkError: see `canonical`.
    """
    name, numbers = _read(activation)
    function = _KINDS[name].function

    def answer(x: Any) -> Any:
        known = getattr(x, "activation", None)
        own = None if known is None else known(name, numbers)
        return function(x, *numbers) if own is None else own

    return answer


def folding_of(activation: str) -> Folding:
    """The activation of a stage that a layer's becomes, and what goes into the maps around it.

    Raises:
        NetworkError: see `canonical`.
    """
    name, numbers = _read(activation)
    return _KINDS[name].folding(*numbers) or Folding(canonical(activation))


def folded(linear: Linear, activation: str) -> tuple[Linear, str, float]:
    """A layer as a map, the activation of a stage, and the factor by which its answer is too small.

    Raises:
        NetworkError: see `canonical`.
    """
    how = folding_of(activation)
    made = linear.scaled(linear.name, outputs=how.inputs)
    if how.offset:
        made = Linear(made.name, made.weight, made.bias + how.offset)
    return made, how.activation, how.factor


def folded_name(activation: str) -> str:
    """The activation of a layer into whose weights its factors were folded.

    Raises:
        NetworkError: see `canonical`.
    """
    return folding_of(activation).activation
