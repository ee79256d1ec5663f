"""What a module holds beside its parts: tensors in attributes, and hooks that change answers."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Mapping
from functools import cache
from types import GeneratorType
from typing import Any

from lnn2loihi.converters.modules.classes import class_name, is_torch_module

_HOOKS = {"_forward_pre_hooks": "forward pre-hook", "_forward_hooks": "forward hook"}


def attribute_tensors(module: Any, leaves: Container[str] = ()) -> dict[str, list[Any]]:
    """Tensors in attributes of a module and its parts that are neither parameters nor buffers, by
    the path of the attribute.

    Args:
        module: the module.
        leaves: paths of parts that are not looked at.
    """
    registered = {id(t) for t in (*module.parameters(), *module.buffers())}
    found: dict[str, list[Any]] = {}
    own = _own()
    for path, part in module.named_modules():
        if path in leaves:
            continue
        for key, value in vars(part).items():
            if key not in own and not isinstance(value, (bool, int, float, str, type(None))):
                tensors = [t for t in _tensors_in(value) if id(t) not in registered]
                if tensors:
                    found[f"{path}.{key}" if path else key] = tensors
    return found


@cache
def _own() -> frozenset[str]:
    """What PyTorch keeps in the attributes of every module."""
    import torch

    return frozenset(vars(torch.nn.Module()))


def _tensors_in(value: Any, depth: int = 4) -> Iterator[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif depth and not is_torch_module(value) and not isinstance(value, (str, bytes)):
        parts: Any = ()
        if isinstance(value, Mapping):
            parts = tuple(value.values())
        elif isinstance(value, (tuple, list, set)) or type(value).__name__ == "deque":
            parts = tuple(value)
        elif hasattr(value, "__dict__") and not isinstance(value, type) and not callable(value):
            parts = tuple(vars(value).values())
        for part in parts:
            yield from _tensors_in(part, depth - 1)


def double_copy(module: Any) -> Any:
    """A copy in evaluation, on the processor and in float64, attributes too.

    A tensor that an earlier call left in an attribute comes without the graph of its gradients,
    with which it could not be copied.
    """
    import torch

    memo: dict[int, Any] = {}
    for tensors in attribute_tensors(module).values():
        for tensor in tensors:
            values = tensor.detach().cpu().clone()
            memo[id(tensor)] = values.double() if torch.is_floating_point(values) else values
    for value in _attributes(module):
        if not isinstance(value, GeneratorType) and not _copies(value, memo):
            # A lock, a file, a logger or a trainer is none of the network: it is shared. What
            # remembers how far it was read is not, for a run would change it.
            memo[id(value)] = value
    return copy.deepcopy(module, memo).cpu().double().eval().requires_grad_(False)


def _attributes(module: Any) -> Iterator[Any]:
    """What a module and its parts hold in attributes of the user's, but tensors and modules."""
    import torch

    own = _own()
    for part in module.modules():
        for key, value in vars(part).items():
            if key not in own and not isinstance(value, (torch.Tensor, torch.nn.Module)):
                yield value


def _copies(value: Any, memo: dict[int, Any]) -> bool:
    """Whether an attribute can be copied, with what is known of the tensors in it."""
    if isinstance(value, (bool, int, float, str, bytes, type(None))):
        return True
    try:
        copy.deepcopy(value, dict(memo))
    except Exception:  # an object of the user's may refuse in any way
        return False
    return True


def hooks_within(module: Any, path: str = "", own: bool = True) -> list[str]:
    """What changes the answers of the parts of a layer, and is not in its arrays: hooks, and a
    forward that was put in place of its class's.

    Args:
        module: a layer that is read from its arrays.
        path: where it is, for messages.
        own: whether the layer's own hooks are meant too.
    """
    found: list[str] = []
    if not is_torch_module(module):
        return found
    for key, part in module.named_modules(prefix=path):
        if part is module and not own:
            continue
        where = key or "it"
        for attribute, kind in _HOOKS.items():
            hooks = getattr(part, attribute, None) or {}
            # Those of PyTorch's own parametrizations are known by the arrays that they leave.
            others = [h for h in hooks.values() if not class_name(h).startswith("torch.nn.utils")]
            if others:
                found.append(
                    f"{where} has a {kind} ({_called(others[0])}), which may change what it "
                    "answers; remove it (handle.remove()), or compute it outside the layer"
                )
        if "forward" in vars(part):
            found.append(
                f"forward of {where} was replaced on the object itself; give the module as its "
                "class defines it"
            )
    return found


def _called(hook: Any) -> str:
    return getattr(hook, "__qualname__", type(hook).__qualname__).rpartition(".")[2]
