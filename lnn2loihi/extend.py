"""Everything that a family of neurons of one's own is written with; docs/extending.md shows how.

The float side: a `Layer` (or `GatedLayer`, one stage of gates) whose stages are `Stage`s, with maps
that are `Linear`. The integer side: a neuron program, recorded by a `Tracer`, and a `StageLowering`
that chooses its formats. `Family` holds both together; an entry point of the group
`lnn2loihi.families`, or `register`, makes it known. `lnn2loihi.testing.check_family` says whether
it keeps the contract. What else a package can bring has its base here too: `Importer`, `Exporter`,
`Executor`, `Target`, `DevicePackage` with its kinds, figures and rules.
"""

from __future__ import annotations

from importlib import import_module
from inspect import isclass
from typing import TYPE_CHECKING, Any

from lnn2loihi.errors import ImportNetworkError, NetworkError, PluginError, QuantizationError
from lnn2loihi.family import Family
from lnn2loihi.formats import FixedPoint, signed_range
from lnn2loihi.layers.functions import error_function, log_sigmoid, sigmoid
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.layer import Layer, TrainedMap
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.stage import INPUT, Stage, StageSource, State
from lnn2loihi.lowering import LARGEST_WORD, ROUNDING_ROOM, Lowering, Measured, StageLowering
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, NeuronProgram
from lnn2loihi.neurons.leak import GUARD_BITS, STATE_BITS, VALUE_BITS, moved, sent
from lnn2loihi.neurons.operations import (
    ELAPSED,
    LARGEST_GROWN,
    Rescaling,
    clamped,
    fixed_point_factor,
    preactivation,
    rescaled,
    saturated,
    within,
)
from lnn2loihi.neurons.phase import PHASE, first_update
from lnn2loihi.neurons.tracer import Tracer, Word
from lnn2loihi.printable import kind_of_value
from lnn2loihi.recipe import Recipe

if TYPE_CHECKING:
    from lnn2loihi.converters.files.arrays import Arrays
    from lnn2loihi.converters.files.description import flag, number, text, times, whole
    from lnn2loihi.converters.recurrent.family import (
        FamilyImporter,
        FamilyParts,
        RecurrentDescription,
    )
    from lnn2loihi.devices import Definition, DeviceKind, DevicePackage
    from lnn2loihi.families.dense.layer import DenseStage
    from lnn2loihi.placement.rules import Rule, Violation
    from lnn2loihi.plugins import Exporter, Importer
    from lnn2loihi.simulation.executor import Executor
    from lnn2loihi.targets import Target

__all__ = [
    "ACTIVATIONS",
    "ELAPSED",
    "FRACTION_BITS",
    "GUARD_BITS",
    "INPUT",
    "LARGEST_GROWN",
    "LARGEST_OPERAND",
    "LARGEST_WORD",
    "PHASE",
    "ROUNDING_ROOM",
    "STATE_BITS",
    "SUM",
    "VALUE_BITS",
    "Arrays",
    "Definition",
    "DenseStage",
    "DeviceKind",
    "DevicePackage",
    "Executor",
    "Exporter",
    "Family",
    "FamilyImporter",
    "FamilyParts",
    "FixedPoint",
    "FloatArray",
    "GatedLayer",
    "ImportNetworkError",
    "Importer",
    "Layer",
    "Linear",
    "Lowering",
    "Measured",
    "NetworkError",
    "NeuronProgram",
    "QuantizationError",
    "Recipe",
    "RecurrentDescription",
    "Rescaling",
    "Rule",
    "Stage",
    "StageLowering",
    "StageSource",
    "State",
    "Target",
    "Tracer",
    "TrainedMap",
    "Violation",
    "Word",
    "clamped",
    "error_function",
    "first_update",
    "fixed_point_factor",
    "flag",
    "log_sigmoid",
    "moved",
    "number",
    "preactivation",
    "register",
    "rescaled",
    "saturated",
    "sent",
    "sigmoid",
    "signed_range",
    "text",
    "times",
    "whole",
    "within",
]

#: What no neuron program needs is imported when it is asked for; for each module its names.
_LATER = {
    "converters.files.arrays": "Arrays",
    "converters.files.description": "flag number text times whole",
    "converters.recurrent.family": "FamilyImporter FamilyParts RecurrentDescription",
    "families.dense.layer": "DenseStage",
    "devices": "Definition DeviceKind DevicePackage",
    "placement.rules": "Rule Violation",
    "plugins": "Exporter Importer",
    "simulation.executor": "Executor",
    "targets": "Target",
}
_PLACES = {name: module for module, names in _LATER.items() for name in names.split()}


def register(plugin: object, name: str | None = None) -> None:
    """Makes what a package can bring known until the process ends, as an entry point makes an
    installed one known.

    Args:
        plugin: a Family, Target, DevicePackage, Exporter, Importer, model or Executor, made (no
            class). It takes the place of one that was registered so under its name.
        name: its name; what it says itself (`plugin.name`) where absent.

    Raises:
        PluginError: its name belongs to an installed one, it has none, it is nothing that can be
            registered, or a family claims a class of another.
    """
    from lnn2loihi.plugins import REGISTRIES  # which knows all that they are

    # Whatever can be called may be an executor: it is asked last.
    order = sorted(REGISTRIES, key=lambda registry: registry.kind == "executor")
    fits = [registry for registry in order if isinstance(plugin, registry.protocol)]
    if isclass(plugin) or not fits:
        what = f"the class {plugin.__name__}" if isclass(plugin) else kind_of_value(plugin)
        kinds = ", ".join(registry.protocol.__name__ for registry in order)
        raise PluginError("register", f"plugin is {what}; give one of {kinds}, made")
    found = getattr(plugin, "name", None) if name is None else name
    if not isinstance(found, str) or not found:
        raise PluginError("register", f"the {fits[0].kind} has no name; give name=...")
    fits[0].add(found, plugin)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"lnn2loihi.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
