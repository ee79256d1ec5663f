"""The equations of stages on PyTorch tensors, with gradients.

Stages compute their answers in NumPy (`Stage.answer`), once. Called with `TensorValue` in place of
arrays they compute on tensors: each function of NumPy that they use stands here with the one of
PyTorch that does the same.

Where something else is faster, a family has it (`Family.equations`), and the tests hold it against
what `Stage.answer` says.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.family import FAMILIES, override_of, owner
from lnn2loihi.faults import raised
from lnn2loihi.layers.stage import Stage
from lnn2loihi.neurons.activations import HARD_KNOT

Tensors = Mapping[str, Tensor]
Answer = tuple[Tensor, dict[str, Tensor]]


class EquationError(Lnn2LoihiError):
    """A stage uses a function that is not known on tensors."""


def _larger(a: Any, b: Any) -> Tensor:
    if not isinstance(a, Tensor):
        a, b = b, a
    return torch.maximum(a, b) if isinstance(b, Tensor) else torch.clamp_min(a, b)


def _smaller(a: Any, b: Any) -> Tensor:
    if not isinstance(a, Tensor):
        a, b = b, a
    return torch.minimum(a, b) if isinstance(b, Tensor) else torch.clamp_max(a, b)


#: For each function of NumPy that of PyTorch.
FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    np.add: lambda a, b: a + b,
    np.subtract: lambda a, b: a - b,
    np.multiply: lambda a, b: a * b,
    np.true_divide: lambda a, b: a / b,
    np.power: lambda a, b: a**b,
    np.negative: torch.neg,
    np.positive: torch.positive,
    np.absolute: torch.abs,
    np.square: torch.square,
    np.sqrt: torch.sqrt,
    np.reciprocal: torch.reciprocal,
    np.sign: torch.sign,
    np.tanh: torch.tanh,
    np.sin: torch.sin,
    np.cos: torch.cos,
    np.exp: torch.exp,
    np.expm1: torch.expm1,
    np.log: torch.log,
    np.log1p: torch.log1p,
    np.arctan: torch.arctan,
    np.floor: torch.floor,
    np.maximum: _larger,
    np.minimum: _smaller,
    np.logaddexp: torch.logaddexp,
    np.clip: lambda a, low, high: torch.clamp(a, low, high),
    np.where: torch.where,
    np.less: lambda a, b: a < b,
    np.less_equal: lambda a, b: a <= b,
    np.greater: lambda a, b: a > b,
    np.greater_equal: lambda a, b: a >= b,
    np.equal: lambda a, b: a == b,
    np.not_equal: lambda a, b: a != b,
    np.bitwise_and: lambda a, b: a & b,
    np.bitwise_or: lambda a, b: a | b,
    np.invert: torch.bitwise_not,
    np.concatenate: lambda parts, axis=0: torch.cat(parts, dim=axis),
    np.sum: lambda a, axis=None, keepdims=False: torch.sum(a, dim=axis, keepdim=keepdims),
    np.mean: lambda a, axis=None, keepdims=False: torch.mean(a, dim=axis, keepdim=keepdims),
}


#: For kinds of activations what PyTorch has in one piece.
_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "silu": torch.nn.functional.silu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "elu": torch.nn.functional.elu,
    "hard_swish": torch.nn.functional.hardswish,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
}


class TensorValue(np.lib.mixins.NDArrayOperatorsMixin):
    """A tensor that NumPy's functions take; see the module's docstring.

    Args:
        tensor: of any shape.
    """

    __slots__ = ("tensor",)
    functions: ClassVar[Mapping[Any, Callable[..., Tensor]]] = FUNCTIONS

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __array_ufunc__(self, function: Any, method: str, *operands: Any, **options: Any) -> Any:
        """What NumPy calls for its element-wise functions."""
        return self._called(function if method == "__call__" else method, operands, options)

    def __array_function__(self, function: Any, types: Any, operands: Any, options: Any) -> Any:
        """What NumPy calls for its other functions."""
        return self._called(function, operands, options)

    def _called(self, function: Any, operands: Any, options: Any) -> TensorValue:
        options = {name: value for name, value in options.items() if name != "out"}  # a += b
        own = self.functions.get(function)
        if own is None:
            name = getattr(function, "__name__", function)
            known = sorted({getattr(one, "__name__", "") for one in FUNCTIONS})
            raise EquationError(
                f"NumPy's {name}",
                f"is not known on tensors, so that a stage that uses it cannot be trained; there "
                f"are {', '.join(known)} and lnn2loihi.layers.functions; or give the family "
                "equations of its own (Family.equations)",
            )
        return type(self)(own(*map(self._plain, operands), **options))

    def _plain(self, operand: Any) -> Any:
        """An operand of PyTorch: a tensor of this one's type and place, or a number."""
        if isinstance(operand, TensorValue):
            return operand.tensor
        if isinstance(operand, np.ndarray):
            return torch.as_tensor(np.array(operand)).to(self.tensor)
        if isinstance(operand, np.generic):
            return operand.item()
        if isinstance(operand, (tuple, list)):
            return [self._plain(part) for part in operand]
        return operand

    def __getitem__(self, index: Any) -> TensorValue:
        """Some of the values."""
        return type(self)(self.tensor[index])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return tuple(self.tensor.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.tensor.dim()

    def __getattr__(self, name: str) -> Any:
        """What arrays of NumPy have beside, and tensors do not."""
        if name.startswith("__"):  # Python asks for these on its own
            raise AttributeError(name)
        raise EquationError(
            f"NumPy's array.{name}",
            "is not known on tensors; use NumPy's functions and operators, or give the family "
            "equations of its own (Family.equations)",
        )

    def sum(self, axis: Any = None, keepdims: bool = False) -> TensorValue:
        """The sum, as NumPy has it."""
        return self._called(np.sum, (self, axis, keepdims), {})

    def mean(self, axis: Any = None, keepdims: bool = False) -> TensorValue:
        """The mean, as NumPy has it."""
        return self._called(np.mean, (self, axis, keepdims), {})

    def clip(self, low: Any, high: Any) -> TensorValue:
        """Held within two ends, as NumPy has it."""
        return self._called(np.clip, (self, low, high), {})

    def __bool__(self) -> bool:
        raise EquationError(
            "the truth of an array",
            "depends on its values, so that no equation follows from it; write np.where in place "
            "of if, and, or, not",
        )

    def __neg__(self) -> TensorValue:
        return type(self)(-self.tensor)

    def __abs__(self) -> TensorValue:
        return type(self)(self.tensor.abs())

    def __add__(self, other: Any) -> TensorValue:
        return type(self)(self.tensor + self._plain(other))

    def __sub__(self, other: Any) -> TensorValue:
        return type(self)(self.tensor - self._plain(other))

    def __rsub__(self, other: Any) -> TensorValue:
        return type(self)(self._plain(other) - self.tensor)

    def __mul__(self, other: Any) -> TensorValue:
        return type(self)(self.tensor * self._plain(other))

    def __truediv__(self, other: Any) -> TensorValue:
        return type(self)(self.tensor / self._plain(other))

    def __rtruediv__(self, other: Any) -> TensorValue:
        return type(self)(self._plain(other) / self.tensor)

    def __pow__(self, other: Any) -> TensorValue:
        return type(self)(self.tensor ** self._plain(other))

    __radd__, __rmul__ = __add__, __mul__

    def activation(self, kind: str, numbers: tuple[float, ...]) -> TensorValue | None:
        """See `lnn2loihi.layers.functions`."""
        own = _ACTIVATIONS.get(kind)
        return None if own is None else type(self)(own(self.tensor, *numbers))

    def sigmoid(self) -> TensorValue:
        """See `lnn2loihi.layers.functions`."""
        return type(self)(torch.sigmoid(self.tensor))

    def log_sigmoid(self) -> TensorValue:
        """See `lnn2loihi.layers.functions`."""
        return type(self)(torch.nn.functional.logsigmoid(self.tensor))

    def error_function(self) -> TensorValue:
        """See `lnn2loihi.layers.functions`."""
        return type(self)(torch.erf(self.tensor))


class ClippedValue(TensorValue):
    """A tensor on which tanh, and the logistic function by it, are clipped lines: what the chip
    computes with a recipe whose form of tanh has the knot HARD_KNOT.
    """

    __slots__ = ()
    functions = {**FUNCTIONS, np.tanh: lambda a: torch.clamp(a / HARD_KNOT, -1.0, 1.0)}

    def sigmoid(self) -> TensorValue:
        """See `lnn2loihi.layers.functions`."""
        return 0.5 * (np.tanh(0.5 * self) + 1.0)


def with_vectors(stage: Stage, vectors: Tensors, clipped: bool = False) -> Stage:
    """A stage whose `vectors` are these tensors, (units,) each; for `equations`."""
    if not vectors:
        return stage
    made = copy.copy(stage)
    plain = not clipped and _override(type(stage), FAMILIES.changes) is not None
    kind = ClippedValue if clipped else TensorValue
    for name, vector in vectors.items():  # a frozen stage; no array of it is changed
        object.__setattr__(made, name, vector if plain else kind(vector))
    return made


def derived(
    stage: Stage, sums: Tensors, memory: Tensors, elapsed: Tensor | None, clipped: bool = False
) -> Answer:
    """What `Stage.answer` says, on tensors; arguments and answer as of `equations`."""
    value: Any = ClippedValue if clipped else TensorValue

    def values(tensors: Tensors) -> Any:
        return {name: value(tensor) for name, tensor in tensors.items()}

    message, kept = stage.answer(
        values(sums), values(memory), None if elapsed is None else value(elapsed)
    )
    return _tensor(message), {word: _tensor(value) for word, value in kept.items()}


def _tensor(value: Any) -> Tensor:
    return value.tensor if isinstance(value, TensorValue) else value


def equations(
    stage: Stage, sums: Tensors, memory: Tensors, elapsed: Tensor | None, clipped: bool = False
) -> Answer:
    """The message and the new memory of a stage, (..., units) each.

    Args:
        stage: the float stage, of `with_vectors` where it has some.
        sums: the sum of each gate, (..., units).
        memory: each word of its `memory`, (..., units).
        elapsed: time since the sample before, (..., 1); None unless the stage is timed.
        clipped: whether tanh and the logistic function are clipped lines, see `ClippedValue`; what
            the family has in place of `Stage.answer` is not asked then.

    Raises:
        EquationError: the stage uses a function that is not known on tensors, or its family's
            code raises anything else.
    """
    own = None if clipped else _override(type(stage), FAMILIES.changes)
    try:
        if own is None:
            return derived(stage, sums, memory, elapsed, clipped)
        message, kept = own(stage, sums, memory, elapsed)
        return _tensor(message), {word: _tensor(value) for word, value in kept.items()}
    except (Lnn2LoihiError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a stranger's code raises
        doing = f"{'answer' if own is None else 'equations'}() of stage {stage.name!r} on tensors"
        raise raised(EquationError, owner(type(stage)), doing, error) from error


@cache
def _override(kind: type[Stage], changes: int) -> Callable[..., Answer] | None:
    """What a family has in place of the derived equations."""
    return override_of(kind, "equations")
