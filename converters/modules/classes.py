"""Modules of PyTorch, known by the names of their classes: nothing is imported."""

from __future__ import annotations


def class_name(source: object) -> str:
    """The full name of the class."""
    return f"{type(source).__module__}.{type(source).__qualname__}"


def class_names(source: object) -> set[tuple[str, str]]:
    """Module and name of the class and of its ancestors."""
    return {(c.__module__, c.__name__) for c in type(source).__mro__}


def is_torch_module(source: object) -> bool:
    """Whether it is a `torch.nn.Module`; imports nothing."""
    return ("torch.nn.modules.module", "Module") in class_names(source)


def is_dropout(part: object) -> bool:
    """Whether it is a dropout, which does nothing in evaluation."""
    return any(
        module == "torch.nn.modules.dropout" and name == "_DropoutNd"
        for module, name in class_names(part)
    )


def is_linear(part: object) -> bool:
    """Whether it is a `torch.nn.Linear`, parametrized or not."""
    return type(part).__name__ in ("Linear", "ParametrizedLinear")
