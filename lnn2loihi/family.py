"""What a family of neurons is: everything that the library has to know of it, in one object.

A package brings a family by an entry point of the group `lnn2loihi.families` that names a `Family`;
ours come the same way. Nothing else names a family's classes: what concerns a stage or a layer is
looked up here by its class.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, TypeVar

from lnn2loihi.errors import QuantizationError
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.stage import Stage
from lnn2loihi.lowering import StageLowering
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.registry import Registry

_log = logging.getLogger("lnn2loihi")
T = TypeVar("T")
#: For classes of stages something that is used in place of what is derived.
Overrides = Callable[[], Mapping[type[Stage], Callable[..., Any]]]


def lazily(place: str) -> Callable[..., Any]:
    """Calls what stands at `module:name`, which is imported then."""
    module, _, name = place.partition(":")
    return lambda *given: getattr(import_module(module), name)(*given)


@dataclass(frozen=True)
class Family:
    """A family of neurons.

    What needs PyTorch, ONNX or files is given as a function that imports it when it is asked for,
    such as `lazily("package.module:Class")`.

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
        onnx_reader: finds layers of the family in ONNX graphs: makes a
            `lnn2loihi.converters.onnx_read.recurrence.OnnxReader`.
        torch_blocks: modules that users of the family run, with the weights of a network, as rivals
            in `profile`; see `lnn2loihi.measure.torch_session`.
        shipped: neuron programs that a wheel brings compiled, so that no compiler is needed.
    """

    name: str
    layers: tuple[type[Layer], ...]
    lowerings: Mapping[type[Stage], StageLowering[Any]]
    importer: Callable[[], Any] | None = None
    equations: Overrides = field(default=dict)
    onnx_nodes: Overrides = field(default=dict)
    onnx_reader: Callable[[], Any] | None = None
    torch_blocks: Callable[[Any], Any] | None = None
    shipped: Callable[[], Iterable[NeuronProgram]] = tuple

    @cached_property
    def made_importer(self) -> Any:
        """Its importer, made once; None where it has none."""
        return None if self.importer is None else self.importer()


_SAID: set[tuple[str, str]] = set()
FAMILIES: Registry[Family] = Registry("lnn2loihi.families", "family", Family, factory=False)


def families() -> Iterator[Family]:
    """All families that work, ours first."""
    for _, family in FAMILIES.working():
        yield family


def importers(only: str | None = None) -> Iterator[tuple[Family, Any]]:
    """Families whose modules can be imported, each with its importer; one whose importer cannot be
    made is named in a warning.

    Args:
        only: name of a family, or of the importer of several; None for all.
    """
    for family in families():
        if family.importer is None:
            continue
        try:
            made = family.made_importer
            # What is asked of it without a guard has to be there.
            _ = (*made.modules, *made.aliases, *made.classes, *made.advice)
            named = only in (None, family.name, made.name)
        except Exception as error:  # whatever a stranger's module does when imported
            left_out(family.name, "its importer cannot be made", error)
            continue
        if named:
            yield family, made


def importer_of(module: object, only: str | None = None) -> Any | None:
    """The importer of the family that a live module belongs to, by the nearest of its classes that
    a family names; imports no framework.
    """
    known = list(importers(only))
    for kind in type(module).__mro__:
        name = f"{kind.__module__}.{kind.__qualname__}"
        for _, importer in known:
            if name in importer.classes:
                return importer
    for family, importer in known:
        try:
            if importer.is_module(module):
                return importer
        except Exception as error:  # a stranger's importer, asked about what is not its
            left_out(family.name, "its importer was asked whether it knows a module", error)
    return None


def left_out(family: str, doing: str, error: Exception) -> None:
    """Says once for each family, or importer of one, and each reason that it is left out."""
    reason = f"{doing}: {type(error).__name__}: {' '.join(str(error).split())}"
    if (family, reason) not in _SAID:
        _SAID.add((family, reason))
        _log.warning("family %r is left out: %s", family, reason)


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
