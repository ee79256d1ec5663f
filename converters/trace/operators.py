"""What operators of PyTorch are called, and what their names say of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import resolve_name

#: What tells nothing of the values of a tensor.
SHAPES = frozenset(
    "shape size dim ndim ndimension dtype device layout numel nelement stride is_contiguous "
    "requires_grad grad grad_fn names element_size storage_offset len get_device type hash repr "
    "format is_leaf itemsize nbytes data_ptr _version result_type is_same_size retain_grad "
    "untyped_storage is_floating_point is_complex is_cuda is_cpu is_sparse is_quantized is_mps "
    "is_meta is_tensor is_signed is_nested is_inference output_nr _backward_hooks "
    "requires_grad_".split()
)
#: What makes constants in the shape of a tensor, and what makes the same of the shape.
_MAKERS = {"zeros": torch.zeros, "ones": torch.ones, "empty": torch.zeros, "full": torch.full}
SHAPED = frozenset([*(f"new_{name}" for name in _MAKERS), *(f"{name}_like" for name in _MAKERS)])
#: What changes how many bits numbers have.
CONVERSIONS = frozenset("to float half bfloat16 double type type_as".split())
#: What answers with as many numbers as the values of a tensor say.
_COUNTED = frozenset("nonzero argwhere masked_select unique unique_consecutive".split())


def operator_name(func: Any) -> str:
    """The name of an operator, whichever way it was called."""
    name = _raw(func)
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        if name[0] == "i" and name[1:] in ("add", "sub", "mul", "truediv", "matmul", "pow"):
            name = name[1:]
    elif name.endswith("_") and not name.startswith("_"):
        name = name.removesuffix("_")
    return name


def may_change(func: Any, args: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether an operator may change a tensor that it is given in place."""
    name = _raw(func)
    if name.startswith("__"):
        return name.startswith("__i") or name in ("__setitem__", "__set__")
    asked = "out" in kwargs or bool(kwargs.get("inplace")) or any(one is True for one in args)
    return name.endswith("_") or asked


def told(name: str, tensor: Any, answer: Any, kind: torch.dtype) -> Any:
    """What forward is told of the type of a tensor: that of the module's own numbers, though a copy
    in float64 runs. Of that type are the limits and branches that forward makes of it.

    Args:
        name: of the operator that asks.
        tensor: which is asked.
        answer: of the copy's.
        kind: type of the numbers of the module.
    """
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        return answer
    if name == "dtype" and answer == torch.float64:
        return kind
    return kind.itemsize if name in ("element_size", "itemsize") else answer


def sets_values(func: Any) -> bool:
    """Whether it puts other values into a tensor without a trace (`x.data = ...`)."""
    return (resolve_name(func) or "").endswith(".data.__set__")


def counts_values(name: str, args: Any) -> bool:
    """Whether the shape of an answer follows the values of a tensor."""
    if name == "where":
        return len(args) == 1
    if name != "getitem":
        return name in _COUNTED
    index = args[1] if isinstance(args[1], (tuple, list)) else (args[1],)
    return any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in index)


def of_the_shape(
    name: str, answer: Any, args: Any, kwargs: Mapping[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
    """Function, arguments and keywords that make the same constant of its shape alone; None for
    what makes none.

    Memory that nobody has written to is made of zeros, so that it is the same in each run.
    """
    kind = name.removeprefix("new_").removesuffix("_like")
    if name not in SHAPED and name != "empty" or not isinstance(answer, Tensor):
        return None
    made: tuple[Any, ...] = (tuple(answer.shape),)
    if kind == "full":
        fill = kwargs["fill_value"] if "fill_value" in kwargs else args[-1]
        if isinstance(fill, Tensor):
            return None
        made = (*made, fill)
    return _MAKERS[kind], made, {"dtype": answer.dtype}


def _raw(func: Any) -> str:
    name = resolve_name(func) or getattr(func, "__name__", str(func))
    return name.removesuffix(".__get__").rpartition(".")[2]
