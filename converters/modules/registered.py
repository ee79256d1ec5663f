"""What modules hold by registration: their parts, which of these mean nothing, and why others are
refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lnn2loihi.converters.modules.activations import ACTIVATION_CLASSES, activation_of
from lnn2loihi.converters.modules.classes import (
    class_name,
    class_names,
    is_dropout,
)
from lnn2loihi.converters.recurrent.known import is_recurrent, live_modules
from lnn2loihi.family import importers

_CONTAINER = "torch.nn.modules.container"
_CONTAINERS = {(_CONTAINER, name) for name in ("Sequential", "ModuleList", "ModuleDict")}
NORMALISE = ("lnn2loihi.converters.normalise", "Normalise")
LINEAR = ("torch.nn.modules.linear", "Linear")
_BATCH_NORM = ("torch.nn.modules.batchnorm", "BatchNorm1d")
#: What stays on the host where it comes last.
HOST = ("softmax", "log_softmax", "sigmoid")
#: Names that a network gives itself.
RESERVED = ("input", "output", "readout")

HOST_LAST = "it may only come last, where it stays on the host"

# What to do about parts that cannot be imported: beginnings of class names and an advice.
_ADVICE = {
    ("Conv", "MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "Embedding", "Flatten"): (
        "compute it on the host, and import a module of what follows"
    ),
    ("GroupNorm", "InstanceNorm", "LocalResponseNorm"): (
        "its statistics depend on each sample; train with LayerNorm, RMSNorm or BatchNorm1d, or "
        "normalise with lnn2loihi.converters.normalise.Normalise"
    ),
    ("BatchNorm", "SyncBatchNorm"): "features of sequences are normalised by BatchNorm1d",
    ("MultiheadAttention", "Transformer"): "attention reads several samples at once; train a "
    "recurrent layer in its place",
    ("Softmax", "LogSoftmax"): HOST_LAST,
}


def accepted() -> str:
    """What modules may consist of, for messages."""
    return (
        f"accepted are {live_modules()}, Linear, {ACTIVATION_CLASSES}, Dropout, LayerNorm, "
        "RMSNorm, BatchNorm1d, "
        "lnn2loihi.converters.normalise.Normalise, and at the end Softmax, LogSoftmax or Sigmoid"
    )


@dataclass(frozen=True)
class Part:
    """A part of a module.

    Attributes:
        path: its name, as in `named_modules`.
        module: the part itself.
    """

    path: str
    module: Any

    def __str__(self) -> str:
        """For messages."""
        return f"{self.path} ({type(self.module).__name__})"


def parts_of(module: Any, path: str = "") -> Iterator[Part]:
    """The parts in the order of registration, containers and modules of the user taken apart."""
    for name, child in module.named_children():
        own = f"{path}.{name}" if path else name
        if is_container(child):
            yield from parts_of(child, own)
        else:
            yield Part(own, child)


def is_container(module: Any) -> bool:
    """Whether a module is only what it holds: a container of PyTorch, or of the user's making."""
    kind = (type(module).__module__, type(module).__name__)
    if kind in _CONTAINERS:
        return True
    return (
        not is_recurrent(module)
        and not kind[0].startswith(("torch.", "ncps."))
        and next(module.children(), None) is not None
    )


def is_batch_norm(module: Any) -> bool:
    """Whether it is a BatchNorm1d."""
    return (type(module).__module__, type(module).__name__) == _BATCH_NORM


def host_module(module: Any) -> bool:
    """Whether it is a Softmax or a LogSoftmax, which a network has only after its end."""
    return type(module).__name__ in ("Softmax", "LogSoftmax")


def does_nothing(module: Any) -> bool:
    """Whether a part does nothing in evaluation; losses are kept in modules but used outside."""
    loss = ("torch.nn.modules.loss", "_Loss") in class_names(module)
    return loss or is_dropout(module) or activation_of(module) == "identity"


def refusal(part: Part) -> str:
    """Why a part cannot be imported, and what to do."""
    kind = type(part.module).__name__
    recurrent = (
        f"recurrent layers that can be imported are {live_modules()}; train one in its place"
    )
    advices = {("LSTM", "GRU", "RNN"): recurrent, **_ADVICE}
    for _, importer in importers():
        advices |= importer.advice
    for beginnings, advice in advices.items():
        if kind.startswith(beginnings):
            return f"{part} cannot be imported: {advice}"
    if ("torch.nn.modules.activation", kind) in class_names(part.module):
        return (
            f"{part} cannot be imported; supported, with one parameter for all units, are "
            f"{ACTIVATION_CLASSES}"
        )
    return f"{part}, a {class_name(part.module)}, cannot be imported; {accepted()}"
