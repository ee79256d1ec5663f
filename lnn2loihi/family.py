"""What a family of neurons is: everything that the library has to know of it, in one object.

A package brings a family by an entry point of the group `lnn2loihi.families` that names a `Family`;
ours come the same way. Nothing else names a family's classes: what concerns a stage or a layer is
looked up here by its class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lnn2loihi.errors import QuantizationError
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.stage import Stage
from lnn2loihi.lowering import StageLowering
from lnn2loihi.registry import Registry

T = TypeVar("T")
#: For classes of stages something that is used in place of what is derived.
Overrides = Callable[[], Mapping[type[Stage], Callable[..., Any]]]


@dataclass(frozen=True)
class Family:
    """A family of neurons.

    What needs PyTorch, ONNX or files is given as a function that imports it when it is asked for.

    Attributes:
        name: in messages; the name of its entry point.
        layers: classes of its layers.
        lowerings: for each class of its stages how they become populations.
        importer: makes what reads its modules and checkpoints, a
            `lnn2loihi.converters.recurrent.family.FamilyImporter`; None for a family that networks
            are made of by hand.
        equations: for classes of stages faster equations on tensors, with the arguments of
            `lnn2loihi.tensors.equations`; tested against those that follow from `Stage.answer`.
        onnx_nodes: for classes of stages better nodes, with the arguments of
            `lnn2loihi.converters.onnx_write.float_stages.stage_nodes`.
        onnx_reader: finds layers of the family in ONNX graphs; see
            `lnn2loihi.converters.onnx_read.importer`.
        torch_blocks: modules that users of the family run, with the weights of a network, as rivals
            in `profile`; see `lnn2loihi.measure.torch_session`.
    """

    name: str
    layers: tuple[type[Layer], ...]
    lowerings: Mapping[type[Stage], StageLowering[Any]]
    importer: Callable[[], Any] | None = None
    equations: Overrides = field(default=dict)
    onnx_nodes: Overrides = field(default=dict)
    onnx_reader: Callable[[], Any] | None = None
    torch_blocks: Callable[[Any], Any] | None = None


FAMILIES: Registry[Family] = Registry("lnn2loihi.families", "family", Family, factory=False)


def families() -> Iterator[Family]:
    """All families that work, ours first."""
    for _, family in FAMILIES.working():
        yield family


def lowering_of(stage: Stage) -> StageLowering[Any]:
    """How a stage becomes a population.

    Raises:
        QuantizationError: no family has its class.
    """
    found = of_class(type(stage), lambda family: family.lowerings)
    if found is None:
        known = ", ".join(FAMILIES.names()) or "none (is lnn2loihi installed? run pip install .)"
        raise QuantizationError(
            f"stage {stage.name!r}",
            f"there is no neuron program for a {type(stage).__qualname__}: its family is not "
            f"registered (entry point of the group lnn2loihi.families, or "
            f"lnn2loihi.extend.register); there are {known}",
        )
    return found


def of_class(kind: type, table: Callable[[Family], Mapping[type[Any], T]]) -> T | None:
    """What families say of a class, or of the nearest of its ancestors; None if nobody does."""
    tables = [table(family) for family in families()]
    return next(
        (found[ancestor] for ancestor in kind.__mro__ for found in tables if ancestor in found),
        None,
    )
