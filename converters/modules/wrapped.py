"""Modules around a module that answer as it does: what they hold is what is imported.

They are known by the names of their classes, and nothing is imported. A class that is derived from
one of them, or one with hooks of its own, may answer otherwise, and is followed as any other.
"""

from __future__ import annotations

from typing import Any

from lnn2loihi.converters.modules.classes import is_torch_module

#: For each wrapper, by the first part of its module and its class, where it keeps what it wraps.
_WRAPPERS = {
    ("torch", "OptimizedModule"): "_orig_mod",
    ("torch", "DataParallel"): "module",
    ("torch", "DistributedDataParallel"): "module",
    ("torch", "AveragedModel"): "module",
    ("lightning", "_FabricModule"): "module",
    ("lightning_fabric", "_FabricModule"): "module",
    ("lightning", "_LightningModuleWrapperBase"): "module",
    ("pytorch_lightning", "_LightningModuleWrapperBase"): "module",
    ("ema_pytorch", "EMA"): "ema_model",
}


def unwrapped_module(source: Any) -> Any:
    """The module inside of all wrappers around it; the module itself where there are none."""
    while is_torch_module(source):
        kind = type(source)
        place = _WRAPPERS.get((kind.__module__.partition(".")[0], kind.__name__))
        inside = getattr(source, place, None) if place else None
        if not is_torch_module(inside) or _changes_answers(source):
            break
        source = inside
    return source


def _changes_answers(wrapper: Any) -> bool:
    """Whether there is more to a wrapper than what it wraps."""
    hooks = (vars(wrapper).get(name) for name in ("_forward_hooks", "_forward_pre_hooks"))
    # torch.compile puts the compiled forward on the object; others do not.
    replaced = "forward" in vars(wrapper) and type(wrapper).__name__ != "OptimizedModule"
    return any(hooks) or replaced
