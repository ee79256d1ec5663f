"""What a module holds beside its parts: tensors in attributes, and hooks that change answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterator, Mapping
from functools import cache
from types import CellType, FunctionType, GeneratorType
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

    def kept(tensor: Any) -> Any:
        values = tensor.detach().cpu().clone()
        return values.double() if torch.is_floating_point(values) else values

    made = _copied(module, kept)
    for part in made.modules():
        # An RMSNorm without an epsilon of its own takes that of its numbers' type.
        weight = getattr(part, "weight", None)
        if type(part).__name__ == "RMSNorm" and getattr(part, "eps", 0) is None:
            part.eps = torch.finfo(torch.float32 if weight is None else weight.dtype).eps
    return made.cpu().double().eval().requires_grad_(False)


def snapshot(module: Any) -> Any:
    """A copy with parameters and buffers as they are now, where they are, in their own types; what
    has fewer bits than float32 is float32. Nothing that is done to the copy changes the module.
    """
    import torch

    made = own_copy(module)
    rounded = (torch.float16, torch.bfloat16)
    held = (*made.parameters(), *made.buffers())
    return made.float() if any(tensor.dtype in rounded for tensor in held) else made


def own_copy(module: Any) -> Any:
    """A copy as the module is, where it is, in its own types."""
    return _copied(module, lambda tensor: tensor.detach().clone())


def _copied(module: Any, kept: Callable[[Any], Any]) -> Any:
    """A copy of a module.

    Args:
        module: the module.
        kept: makes the copy of a tensor in an attribute, which may have a graph of its gradients
            and could not be copied with it.
    """
    memo: dict[int, Any] = {}
    for tensors in attribute_tensors(module).values():
        for tensor in tensors:
            memo[id(tensor)] = kept(tensor)
    for value in _attributes(module):
        if not isinstance(value, GeneratorType) and not _copies(value, memo):
            # A lock, a file, a logger or a trainer is none of the network: it is shared. What
            # remembers how far it was read is not, for a run would change it.
            memo[id(value)] = value
    made = copy.deepcopy(module, memo)
    for part in made.modules():
        forward = vars(part).get("forward")
        if isinstance(forward, FunctionType):
            vars(part)["forward"] = _about_copy(forward, memo)
    return made


def _about_copy(function: FunctionType, memo: dict[int, Any]) -> FunctionType:
    """A function that was put in place of a forward, and calls the copies of modules and of their
    methods where it calls those; functions are shared by copies otherwise.
    """

    def led(value: Any) -> Any:
        if isinstance(value, FunctionType) and value is not function:
            return _about_copy(value, memo) if value.__closure__ else value
        of_module = is_torch_module(value) or is_torch_module(getattr(value, "__self__", None))
        held = memo.get(id(getattr(value, "__self__", value)))
        return copy.deepcopy(value, memo) if of_module and held is not None else value

    cells = tuple(
        CellType(led(cell.cell_contents)) if cell != CellType() else cell
        for cell in function.__closure__ or ()
    )
    named = {n: function.__globals__[n] for n in function.__code__.co_names
             if n in function.__globals__}  # fmt: skip
    own = {name: led(value) for name, value in named.items() if not isinstance(value, FunctionType)}
    changed = {name: value for name, value in own.items() if value is not named[name]}
    held = {**function.__globals__, **changed} if changed else function.__globals__
    made = FunctionType(
        function.__code__, held, function.__name__, function.__defaults__, cells or None
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


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
