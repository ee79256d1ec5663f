"""Modules of PyTorch, known by the names of their classes: nothing is imported."""

from __future__ import annotations

#: Activations by class; GELU only as `approximate="none"`.
_ACTIVATIONS = {
    ("torch.nn.modules.activation", "ReLU"): "relu",
    ("torch.nn.modules.activation", "Tanh"): "tanh",
    ("torch.nn.modules.activation", "Sigmoid"): "sigmoid",
    ("torch.nn.modules.activation", "SiLU"): "silu",
    ("torch.nn.modules.activation", "GELU"): "gelu",
    ("torch.nn.modules.linear", "Identity"): "identity",
    ("ncps.torch.cfc_cell", "LeCun"): "lecun_tanh",
}
#: Activations that whole modules may have, for messages.
ACTIVATION_CLASSES = ", ".join(name for _, name in _ACTIVATIONS)


def class_name(source: object) -> str:
    """The full name of the class."""
    return f"{type(source).__module__}.{type(source).__qualname__}"


def class_names(source: object) -> set[tuple[str, str]]:
    """Module and name of the class and of its ancestors."""
    return {(c.__module__, c.__name__) for c in type(source).__mro__}


def is_torch_module(source: object) -> bool:
    """Whether it is a `torch.nn.Module`; imports nothing."""
    return ("torch.nn.modules.module", "Module") in class_names(source)


def activation_of(part: object) -> str | None:
    """The activation that a module applies, by its name in the library; None for any other."""
    name = _ACTIVATIONS.get((type(part).__module__, type(part).__name__))
    if name == "gelu" and getattr(part, "approximate", "none") != "none":
        return None
    return name


def is_dropout(part: object) -> bool:
    """Whether it is a dropout, which does nothing in evaluation."""
    return any(
        module == "torch.nn.modules.dropout" and name == "_DropoutNd"
        for module, name in class_names(part)
    )


def is_linear(part: object) -> bool:
    """Whether it is a `torch.nn.Linear`, parametrized or not."""
    return type(part).__name__ in ("Linear", "ParametrizedLinear")
