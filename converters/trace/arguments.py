"""The arguments of an example: which tensors are in them, and what they are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn2loihi.converters.trace.graph import Ref, is_users_dataclass, replaced
from lnn2loihi.converters.trace.recorder import CannotFollowError
from lnn2loihi.printable import kind_of_value


@dataclass(frozen=True, eq=False)
class Example:
    """Arguments with a Ref in place of each tensor, numbered from 0.

    Attributes:
        args: by position.
        kwargs: by keyword.
        tensors: the tensors by name, on the processor; float64 where they are floating-point.
        dtypes: names of the types that they were given in.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: dict[str, Tensor]
    dtypes: tuple[str, ...]

    def given(self, tensors: Sequence[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with tensors in place."""
        return replaced((self.args, self.kwargs), Ref, lambda ref: tensors[ref.number])

    def said(self) -> str:
        """What it is, for messages."""
        each = [
            f"{name} of shape {tuple(tensor.shape)}, {kind}"
            for (name, tensor), kind in zip(self.tensors.items(), self.dtypes, strict=True)
        ]
        return "; ".join(each) or "no tensor"


def example_of(
    forward: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Example:
    """The example that forward is called with.

    Args:
        forward: what is called; its signature names the arguments.
        args: by position.
        kwargs: by keyword.

    Raises:
        CannotFollowError: an argument holds tensors in a way that cannot be looked into.
    """
    tensors: dict[str, Tensor] = {}
    dtypes: list[str] = []

    def held(value: Any, name: str) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = torch.from_numpy(np.asarray(value, order="C"))
        if isinstance(value, nn.utils.rnn.PackedSequence):
            raise CannotFollowError(
                f"argument {name} is a PackedSequence, sequences of different lengths; give them "
                "padded, as one tensor"
            )
        if isinstance(value, Tensor):
            copy = value.detach().cpu().clone()
            # Two arguments of one name cannot be told apart.
            name = name if name not in tensors else f"{name} ({len(tensors)})"
            tensors[name] = copy.double() if copy.is_floating_point() else copy
            dtypes.append(str(value.dtype).removeprefix("torch."))
            return Ref(len(tensors) - 1)
        if isinstance(value, (tuple, list)):
            own = getattr(value, "_fields", None)
            names = [f"{name}.{f}" for f in own] if own else None
            found = [
                held(one, names[i] if names else f"{name}[{i}]") for i, one in enumerate(value)
            ]
            return type(value)(*found) if own else type(value)(found)
        if isinstance(value, Mapping):
            return {key: held(one, f"{name}.{key}") for key, one in value.items()}
        _check_opaque(value, name)
        return value

    names = _names(forward, args)
    return Example(
        tuple(held(one, name) for one, name in zip(args, names, strict=True)),
        {key: held(one, key) for key, one in kwargs.items()},
        tensors,
        tuple(dtypes),
    )


def _names(forward: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    """What the positional arguments are called."""
    found: list[str] = []
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            found += [f"{parameter.name}[{i}]" for i in range(len(args) - len(found))]
        elif parameter.kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        ):
            found.append(parameter.name)
    # More than forward takes: it says so itself.
    found += [f"argument {place}" for place in range(len(found), len(args))]
    return found[: len(args)]


def check_answer(answer: Any) -> None:
    """Refuses answers that hold tensors where nobody looks.

    Raises:
        CannotFollowError: it is, or holds, an object with tensors in its attributes.
    """
    if isinstance(answer, (tuple, list)):
        for one in answer:
            check_answer(one)
    elif isinstance(answer, Mapping):
        for one in answer.values():
            check_answer(one)
    elif is_users_dataclass(answer):
        for one in fields(answer):
            check_answer(getattr(answer, one.name, None))
    elif found := _tensors_of(answer):
        raise CannotFollowError(
            f"forward answers with {kind_of_value(answer)} that holds tensors "
            f"({', '.join(found[:8])}); answer with tensors, alone or in tuples, lists, dicts and "
            "dataclasses: write a method that gives these, and give that"
        )


def _tensors_of(value: Any) -> list[str]:
    """Attributes of an object of the user's that hold tensors."""
    if isinstance(value, (Tensor, nn.Module, type)) or callable(value):
        return []
    if is_dataclass(value):
        held = {one.name: getattr(value, one.name, None) for one in fields(value)}
    else:
        held = vars(value) if hasattr(value, "__dict__") else {}
    return [key for key, one in held.items() if isinstance(one, (Tensor, np.ndarray))]


def _check_opaque(value: Any, name: str) -> None:
    """Refuses objects that hold tensors: nobody would know that they are there."""
    if found := _tensors_of(value):
        raise CannotFollowError(
            f"argument {name} is {kind_of_value(value)} that holds tensors ({name}.{found[0]}); "
            "what changes from call to call is given as tensors, alone or in tuples, lists and "
            "dicts: write a method that takes them, and give that"
        )
