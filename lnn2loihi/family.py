"""What a family of neurons is: everything that the library has to know of it, in one object.

A package brings a family by an entry point of the group `lnn2loihi.families` that names a `Family`;
ours come the same way. Nothing else names a family's classes: what concerns a stage or a layer is
looked up here by its class.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from inspect import isabstract
from typing import Any, Literal

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import FamilyError, PluginError, Problems, QuantizationError
from lnn2loihi.faults import described, mend, named
from lnn2loihi.formats import FixedPoint
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.layers.stage import Stage
from lnn2loihi.lowering import Lowering, Measured, StageLowering
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.printable import is_line, kind_of_value
from lnn2loihi.recipe import Recipe
from lnn2loihi.registry import Registry

_log = logging.getLogger("lnn2loihi")
#: For classes of stages something that is used in place of what is derived.
Overrides = Callable[[], Mapping[type[Stage], Callable[..., Any]]]


def lazily(place: str) -> Callable[..., Any]:
    """Calls what stands at `module:name`, which is imported then."""
    module, _, name = place.partition(":")
    return lambda *given: getattr(import_module(module), name)(*given)


@checks_fields(PluginError)
@dataclass(frozen=True)
class Family:
    """A family of neurons.

    What needs PyTorch, ONNX or files is given as a function that imports it when it is asked for,
    such as `lazily("package.module:Class")`.

    Attributes:
        name: in messages; the name of its entry point.
        layers: classes of its layers, which no other family has.
        lowerings: for each class of its stages, which no other family has, how they become
            populations.
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
        stock: makes what writes its stages as neurons of Lava's own processes, for the target
            stock: a `lnn2loihi.targets.stock.StockWriter`; None for a family that has none.

    Raises:
        PluginError: lists every field that is something else, when made.
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
    stock: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        problems = Problems(PluginError, f"family {self.name!r:.60}")
        if not is_line(self.name) or self.name != self.name.strip() or not self.name:
            problems.add(f"name is {self.name!r:.60}; give one line of printable text")
        for place, kinds, base in (
            ("layers", self.layers, Layer), ("lowerings", self.lowerings, Stage),
        ):  # fmt: skip
            for kind in kinds:
                said = f"{place} holds {getattr(kind, '__qualname__', kind)}"
                if not issubclass(kind, base):
                    problems.add(f"{said}, which is no class of {base.__name__}")
                elif kind.__module__.startswith("lnn2loihi.layers.") and isabstract(kind):
                    problems.add(f"{said}, which all families share; name a class of your own")
        problems.raise_if_any()
        object.__setattr__(self, "lowerings", read_only_mapping(self.lowerings))

    @cached_property
    def made_importer(self) -> Any:
        """Its importer, made once; None where it has none."""
        return None if self.importer is None else self.importer()


def _claims(family: Family) -> Iterator[str]:
    """What a family has for itself alone."""
    yield from (f"the layer {full_name(kind)}" for kind in family.layers)
    yield from (f"the stage {full_name(kind)}" for kind in family.lowerings)


def full_name(kind: type) -> str:
    """Name of a class with its module."""
    return f"{kind.__module__}.{kind.__qualname__}"


_SAID: set[tuple[str, str]] = set()
FAMILIES: Registry[Family] = Registry(
    "lnn2loihi.families", "family", Family, factory=False, claims=_claims, named=True
)


def families() -> Iterator[Family]:
    """All families that work, ours first."""
    for _, family in FAMILIES.working():
        yield family


def importers(only: str | None = None) -> Iterator[tuple[Family, Any]]:
    """Families whose modules can be imported, each with its importer; one whose importer cannot be
    made, or claims the module or the class of another, is named in a warning. Ours keep theirs, and
    so does the package that a class comes from; of two others neither has it.

    Args:
        only: name of a family, or of the importer of several; None for all.
    """
    made: list[tuple[Family, Any]] = []
    owners: dict[str, list[Family]] = {}
    for family in families():
        if family.importer is None:
            continue
        try:
            importer = family.made_importer
            # What is asked of it without a guard has to be there.
            words = (*importer.modules, *importer.aliases)
            _ = (importer.name, *importer.advice, importer.modules[0])
            claims = [f"the module {word!r} of descriptions" for word in words]
            claims += [f"the class {name}" for name in importer.classes]
        except Exception as error:  # whatever a stranger's module does when imported
            left_out(family.name, f"its importer cannot be made: {described(error)}")
            continue
        made.append((family, importer))
        for claim in dict.fromkeys(claims):
            owners.setdefault(claim, []).append(family)
    refused: set[str] = set()
    for claim, those in owners.items():
        root = claim.rpartition(" ")[2].partition(".")[0]
        keep = [one.name for one in those if FAMILIES.is_ours(one.name)]
        own = [one.name for one in those if FAMILIES.comes_with(one.name, root)]
        keep = keep or (own if len(own) == 1 else [])
        for family in those if len(those) > 1 else ():
            others = [_of_package(one.name) for one in those if one is not family]
            if family.name not in keep:
                refused.add(family.name)
                left_out(
                    family.name,
                    f"its importer claims {claim}, as {' and '.join(others)} does; give it "
                    "another, or remove one of the packages",
                )
    for family, importer in made:
        if family.name not in refused and only in (None, family.name, importer.name):
            yield family, importer


def importer_of(module: object, only: str | None = None) -> Any | None:
    """The importer of the family that a live module belongs to, by the nearest of its classes that
    a family names; imports no framework.
    """
    known = list(importers(only))
    for kind in type(module).__mro__:
        name = full_name(kind)
        for _, importer in known:
            if name in importer.classes:
                return importer
    for family, importer in known:
        try:
            if not importer.is_module(module):
                continue
            if any(importer.is_module(anything) for anything in _anything()):
                left_out(
                    family.name,
                    "its importer takes every module for one of its own (is_module); "
                    + mend(FAMILIES.package(family.name)),
                )
                continue
            return importer
        except Exception as error:  # a stranger's importer, asked about what is not its
            left_out(
                family.name,
                f"its importer was asked whether it knows a module: {described(error)}",
            )
    return None


def network_importer_of(module: object, only: str | None = None) -> Any | None:
    """The importer of the family whose layers a live module is a whole network of; None for all
    others, and for layers.
    """
    for family, importer in importers(only):
        asks = getattr(importer, "is_network", None)
        try:
            if asks is not None and asks(module):
                return importer
        except Exception as error:  # a stranger's importer, asked about what is not its
            left_out(family.name, f"its importer was asked about a module: {described(error)}")
    return None


def _anything() -> Iterator[object]:
    """What is a module of no family."""
    yield object()
    torch = sys.modules.get("torch")
    if torch is not None:
        yield from (torch.nn.Identity(), torch.nn.Sequential())


def family_of_importer(importer: Any) -> str:
    """Name of the family that an importer belongs to; its own name where there is none."""
    return next(
        (one.name for one in families() if one.importer and one.made_importer is importer),
        importer.name,
    )


def left_out(family: str, reason: str) -> None:
    """Says once for each family and each reason that it is left out."""
    if (family, reason) not in _SAID:
        _SAID.add((family, reason))
        _log.warning("%s is left out: %s", _of_package(family), reason)


def _of_package(family: str) -> str:
    known = family in FAMILIES.names()
    return f"family {family!r}" + (f" ({FAMILIES.package(family)})" if known else "")


def lowering_of(stage: Stage) -> StageLowering[Any]:
    """How a stage becomes a population. What that of another package raises is a FamilyError
    that names it.

    Raises:
        QuantizationError: no family has its class.
    """
    found = family_of(type(stage))
    if found is None:
        known = ", ".join(FAMILIES.names()) or "none (is lnn2loihi installed? run pip install .)"
        raise QuantizationError(
            f"stage {stage.name!r}",
            f"there is no neuron program for {kind_of_value(stage)}: its family is not "
            f"registered (entry point of the group lnn2loihi.families, or "
            f"lnn2loihi.extend.register); there are {known}",
        )
    family, kind = found
    own = family.lowerings[kind]
    return own if FAMILIES.is_ours(family.name) else _Guarded(family, own)


def family_of(kind: type[Stage]) -> tuple[Family, type[Stage]] | None:
    """The family of a class of stages, or of the nearest of its ancestors, and that ancestor; None
    if there is none.
    """
    known = list(families())
    return next(
        (
            (one, ancestor)
            for ancestor in kind.__mro__
            for one in known
            if ancestor in one.lowerings
        ),
        None,
    )


def override_of(
    kind: type[Stage], table: Literal["equations", "onnx_nodes"]
) -> Callable[..., Any] | None:
    """What the family of a class of stages has in place of what is derived, if anything."""
    found = family_of(kind)
    if found is None:
        return None
    family, own = found
    if kind.answer is not own.answer:
        return None  # a class that is derived from one of the family's, and computes something else
    try:
        made = getattr(family, table)()
        if not isinstance(made, Mapping):
            raise TypeError(f"it gives {kind_of_value(made)}; give a dict by classes of stages")
        strange = [one for one in made if one not in family.lowerings]
        strange += [one for one, function in made.items() if not callable(function)]
    except Exception as error:  # whatever a stranger's code raises
        left_out(family.name, f"what it has for Family.{table}: {described(error)}")
        return None
    if strange:
        named = ", ".join(getattr(one, "__qualname__", str(one)) for one in strange)
        left_out(
            family.name,
            f"Family.{table} has {named}, which is none of its stages or no function",
        )
    return None if own in strange else made.get(own)


def owner(kind: type) -> tuple[str, str]:
    """Whose code a class of stages or layers is, for `lnn2loihi.faults`: its family and the
    package; the class and "" where that is not known.
    """
    known = list(families())
    for ancestor in kind.__mro__:
        for one in known:
            if ancestor in one.lowerings or ancestor in one.layers:
                if ancestor is not kind and FAMILIES.is_ours(one.name):
                    return full_name(kind), ""
                return _of_package(one.name), FAMILIES.package(one.name)
    return full_name(kind), ""


class _Guarded(StageLowering[Any]):
    """The lowering of another package: what it raises, or answers wrongly, is named.

    Args:
        family: whose it is.
        own: the lowering.
    """

    def __init__(self, family: Family, own: StageLowering[Any]) -> None:
        self._family, self._own = family, own
        self.bounded = own.bounded  # pyright: ignore[reportAttributeAccessIssue]
        self.repeats = own.repeats  # pyright: ignore[reportAttributeAccessIssue]

    def lower(self, stage: Any, measured: Measured, recipe: Recipe) -> Lowering:
        made = self._asked(stage, Lowering, "lower", stage, measured, recipe)

        def program(rescalings: Any) -> NeuronProgram:
            return self._run(stage, NeuronProgram, "program", made.program, rescalings)

        return replace(made, program=program)

    def covered(self, stage: Any, largest_answer: float, sums: Any) -> float:
        return self._asked(stage, (float, int), "covered", stage, largest_answer, sums)

    def message_format(self, stage: Any, largest_answer: float, recipe: Recipe) -> Any:
        kinds = (FixedPoint, type(None))
        return self._asked(stage, kinds, "message_format", stage, largest_answer, recipe)

    def message_low(self, stage: Any, message: FixedPoint) -> int:
        return self._asked(stage, int, "message_low", stage, message)

    def may_clip(self, stage: Any) -> bool:
        return self._asked(stage, bool, "may_clip", stage)

    def unit_sizes(self, stage: Any, answers: Any, sums: Any) -> tuple[FloatArray, ...]:
        return self._asked(stage, tuple, "unit_sizes", stage, answers, sums)

    def unit_ranges(self, stage: Any, answers: Any, longest: float) -> FloatArray | None:
        def ranges(*given: Any) -> FloatArray | None:
            found = self._own.unit_ranges(*given)
            if isinstance(found, np.ndarray) and not (
                found.shape == (stage.units,) and bool(np.all((found > 0) & (found < np.inf)))
            ):
                raise ValueError(f"it gives {found!r:.60}; give {stage.units} numbers above 0")
            return found

        kinds = (np.ndarray, type(None))
        return self._run(stage, kinds, "unit_ranges", ranges, stage, answers, longest)

    def cautions(self, stage: Any, largest: FloatArray, longest: float) -> list[str]:
        return self._asked(stage, list, "cautions", stage, largest, longest)

    def _asked(self, stage: Stage, kinds: Any, method: str, *given: Any) -> Any:
        return self._run(stage, kinds, method, getattr(self._own, method), *given)

    def _run(self, stage: Stage, kinds: Any, what: str, run: Any, *given: Any) -> Any:
        def whose() -> tuple[str, str]:
            return _of_package(self._family.name), FAMILIES.package(self._family.name)

        with named(FamilyError, whose, f"{what}() of stage {stage.name!r}"):
            made = run(*given)
            if not isinstance(made, kinds):
                wanted = kinds if isinstance(kinds, type) else kinds[0]
                raise TypeError(f"answer of type {type(made).__name__}, not {wanted.__name__}")
        return made
