"""Imports S4D and networks of its blocks: live modules, and state_dicts of S4 in diagonal form.

What is accepted:

- a live module of a class named S4D (src/models/s4/s4d.py of github.com/state-spaces/s4, and
  whatever has its attributes) or S4 (the layer of that repository's framework), and
  `lnn2loihi.models.s4d.S4D` and `LiquidS4D`; each is called, and compared with what was read;
- a live S4Model (example.py there);
- state_dicts of these, and of whole networks of the framework as its Lightning checkpoints have
  them, with a description::

    [network]
    module = "SequenceModel"      # or "S4D", "S4", "LiquidS4D", "S4Model", "Liquid-S4"
    checkpoint = "net.safetensors"
    prenorm = true                # of S4Model, whether blocks normalise what they hear
    pool = "mean"                 # networks: what forward makes of the steps; "last", "none"
    discretization = "bilinear"   # kernels of the framework in mode diag; or "zoh"
    activation = "gelu"           # between the modes and the map behind them
    prefix = "net."

"Liquid-S4" is github.com/raminmh/liquid-s4: what it saves is an S4, whose liquid term is not in the
file (see `LIQUID_S4`). Kernels of mode nplr are imported where their modes do not cancel each other
(`lnn2loihi.families.s4d.kernels.LARGEST_CANCELLATION`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.files.checkpoint import Tensor
from lnn2loihi.converters.files.description import Description, flag, text
from lnn2loihi.converters.recurrent.family import (
    FamilyImporter,
    FamilyParts,
    RecurrentDescription,
    suggested_prefix,
)
from lnn2loihi.families.s4d.blocks import (
    DIAGONAL,
    LIQUID,
    LOW_RANK,
    Said,
    is_kernel,
    is_later,
    space,
)
from lnn2loihi.families.s4d.kernels import DISCRETIZATIONS
from lnn2loihi.families.s4d.networks import BLOCKS, network_parts
from lnn2loihi.layers.activations import activation_problem

_log = logging.getLogger("lnn2loihi")

S4D, S4, LIQUID_S4D = "S4D", "S4", "LiquidS4D"
S4_MODEL, SEQUENCE_MODEL, LIQUID_S4_NAME = "S4Model", "SequenceModel", "Liquid-S4"
#: Single layers, and whole networks.
LAYERS, NETWORKS = (S4D, S4, LIQUID_S4D), (S4_MODEL, SEQUENCE_MODEL, LIQUID_S4_NAME)
#: What is known of the liquid term of github.com/raminmh/liquid-s4 (commit 06031dc).
LIQUID_S4 = (
    "its liquid term is not imported: it reads samples that are still to come (its author says so "
    "in issue 17 of the repository), is computed from tensors beside the parameters, which a "
    "GPU's training does not change and no state_dict has, and its own step() leaves it out. At "
    "initialisation it is 0.4 to 7.8 % of what a layer says; "
    "lnn2loihi.families.s4d.liquid.dropped(module, x) measures it on your data"
)
_OURS = "lnn2loihi.models.s4d."
_MODULES = {
    f"{_OURS}S4D": S4D, f"{_OURS}LiquidS4D": LIQUID_S4D,
    "src.models.s4.s4d.S4D": S4D, "models.s4.s4d.S4D": S4D,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SpaceDescription(RecurrentDescription):
    """How a layer was built.

    Attributes:
        discretization: of a kernel of the framework, one of DISCRETIZATIONS.
        activation: between the modes and the map behind them.
    """

    discretization: str = text(DISCRETIZATIONS, default=DISCRETIZATIONS[0])
    activation: str = text(default="gelu")

    @classmethod
    def translated(cls, values: dict[str, Any]) -> list[str]:
        """See `Description.translated`."""
        return _activation_problems(values)


@dataclass(frozen=True, kw_only=True)
class NetworkDescription(Description):
    """How a network of blocks was built.

    Attributes:
        prenorm: whether blocks normalise what they hear, or what they answer; that of the
            framework's networks follows from their last norm.
        pool: what forward makes of the steps.
        discretization, activation: as of `SpaceDescription`.
    """

    prenorm: bool | None = flag()
    pool: str = text(("mean", "last", "none"), required=True)
    discretization: str = text(DISCRETIZATIONS, default=DISCRETIZATIONS[0])
    activation: str = text(default="gelu")

    @classmethod
    def translated(cls, values: dict[str, Any]) -> list[str]:
        """See `Description.translated`."""
        return _activation_problems(values)


def _activation_problems(values: dict[str, Any]) -> list[str]:
    wrong = activation_problem(values.get("activation", "gelu"))
    return [f"activation: {wrong}"] if wrong else []


class S4DImporter(FamilyImporter):
    """The importer of the family."""

    name: ClassVar[str] = "s4d"
    modules: ClassVar[tuple[str, ...]] = (*LAYERS, *NETWORKS)
    aliases: ClassVar[Mapping[str, str]] = _MODULES
    classes: ClassVar[Mapping[str, str]] = _MODULES
    description: ClassVar[type[Description]] = SpaceDescription

    def description_for(self, module: str) -> type[Description]:
        """See `FamilyImporter.description_for`."""
        return NetworkDescription if module in NETWORKS else SpaceDescription

    def is_checkpoint(self, state: Mapping[str, Tensor]) -> bool:
        """Whether there are keys of a kernel."""
        return any(is_kernel(key) is not None or is_later(key) for key in state)

    def is_module(self, source: object) -> bool:
        """Whether it is a layer of ours, or one that is called as theirs and has their parts."""
        return self.class_of(source) is not None or _named(source) in (S4D, S4)

    def is_network(self, source: object) -> bool:
        """See `FamilyImporter.is_network`."""
        return type(source).__name__ == S4_MODEL and all(
            hasattr(source, part) for part in ("encoder", "s4_layers", "norms", "decoder")
        )

    def describe(self, source: Any) -> tuple[Description | None, list[str]]:
        """How a live module was built; and what in it cannot be imported."""
        if self.is_network(source):
            prenorm = bool(getattr(source, "prenorm", False))
            return NetworkDescription(
                origin="the module", module=S4_MODEL, prenorm=prenorm, pool="mean"
            ), []
        if self.class_of(source) is not None:
            return super().describe(source)
        from lnn2loihi.families.s4d.live import described

        return described(source, SpaceDescription, str(_named(source)))

    def read_module(self, source: Any) -> tuple[Description | None, FamilyParts | None, list[str]]:
        """What was read, compared with what the module answers."""
        from lnn2loihi.families.s4d.live import disagreement, is_liquid

        description, parts, problems = super().read_module(source)
        if parts is None or problems:
            return description, parts, problems
        assert description is not None
        if is_liquid(source):
            _log.warning("%s: %s", type(source).__name__, LIQUID_S4)
            description = replace(description, notes=(*description.notes, LIQUID_S4))
            return description, parts, problems
        return description, parts, disagreement(source, parts)

    def parts(
        self, state: Mapping[str, Tensor], description: Any
    ) -> tuple[FamilyParts | None, list[str]]:
        """The layers, or None and everything that is wrong with the arrays."""
        arrays = Arrays(state, description.prefix)
        said = Said(description.discretization, description.activation)
        module = description.module
        if any(map(is_later, arrays.keys)):
            arrays.closed = True
            return None, [_LATER]
        if module in NETWORKS:
            if module == LIQUID_S4_NAME:
                _log.warning("%s: %s", description.origin, LIQUID_S4)
            return network_parts(arrays, said, description)
        found = sorted({start for key in arrays.keys if (start := is_kernel(key)) is not None})
        if found != [""]:
            hints = " or ".join(f"prefix = {description.prefix + one!r}" for one in found[:8])
            arrays.closed = True
            return None, [
                f"no key is {description.prefix}{DIAGONAL}, nor of another kernel, so it is not "
                f"the state_dict of a {module}; "
                + (f"write {hints} in {description.origin}" if found else "there are none at all")
            ]
        if (module == LIQUID_S4D) != (LIQUID in arrays.keys):
            has = "has" if LIQUID in arrays.keys else "does not have"
            arrays.problems.append(f"module is {module!r}, but the checkpoint {has} {LIQUID}")
        layers = space(arrays, "", said, "layer_0")
        arrays.refuse_others(module, description.readout)
        return (None if arrays.problems else FamilyParts(layers)), arrays.problems

    def suggestion(self, state: Mapping[str, Tensor]) -> list[str]:
        """Lines of a description, as far as the keys of a checkpoint tell."""
        starts = sorted({start for key in state if (start := is_kernel(key)) is not None})
        framework = any(key.endswith((DIAGONAL, LOW_RANK)) for key in state)
        for module, (pattern, _) in BLOCKS.items():
            found = [match for start in starts if (match := re.fullmatch(pattern, start))]
            encoder = any(re.search(r"(^|\.)encoder\.", key) for key in state)
            if found and encoder:
                lines = [f'module = "{module}"']
                if any(re.search(r"(^|\.)norms?\.", key) for key in state) and not framework:
                    lines.append(
                        "prenorm = false  # or true, where blocks normalise what they hear: a "
                        "guess, since keys do not say it"
                    )
                lines.append('pool = "mean"  # or "last", "none": what forward makes of the steps')
                if framework:
                    lines[0] += f'  # or "{LIQUID_S4_NAME}", whose liquid term is in no file'
                    lines.append(_DISCRETIZATION)
                return lines + suggested_prefix(found[0].group(1))
        if not starts:
            return [f'module = "{S4}"  # {_LATER}']
        liquid = any(key.endswith(LIQUID) for key in state)
        lines = [f'module = "{LIQUID_S4D if liquid else S4 if framework else S4D}"']
        lines += [_DISCRETIZATION] if framework else []
        return lines + suggested_prefix(starts[0])

    def calls(self, source: Any) -> Mapping[str, bool] | None:
        """How a live layer is called: channels come before the time where it is transposed."""
        return {"features_first": bool(getattr(source, "transposed", True))}


_DISCRETIZATION = (
    f'discretization = "{DISCRETIZATIONS[0]}"  # or "{DISCRETIZATIONS[1]}", of mode diag'
)


_LATER = (
    "keys such as kernel.inv_dt are those of version 4 of state-spaces/s4, whose kernels are "
    "stored otherwise and were not compared with what is made here; save the modes in the layout "
    "of src/models/s4/s4d.py (C, log_dt, log_A_real, A_imag)"
)


def _named(source: object) -> str | None:
    """S4D or S4, of a live layer with their parts that somebody else's class makes; else None."""
    kind, kernel = type(source).__name__, getattr(source, "kernel", None)
    if kind not in (S4D, S4, "S4Block") or kernel is None:
        return None
    if not all(hasattr(source, part) for part in ("D", "output_linear")):
        return None
    if hasattr(kernel, "log_A_real") and hasattr(kernel, "C"):
        return S4D
    inner = getattr(kernel, "kernel", None)
    return S4 if hasattr(inner, "C") and hasattr(inner, "log_dt") else None
