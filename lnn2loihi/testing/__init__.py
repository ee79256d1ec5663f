"""Says whether a family of neurons keeps its contract, rule by rule.

    from lnn2loihi.testing import check_family, check_importer

    def test_my_family() -> None:
        check_family(MyLayer(...), x)
        check_importer(MyModule(...), x)

Our own families are tested by it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.defaults import ALL
from lnn2loihi.errors import InputError
from lnn2loihi.layers.layer import Layer
from lnn2loihi.recipe import DEFAULT_RECIPE, Recipe
from lnn2loihi.testing import float_rules, integer_rules, layer_rules
from lnn2loihi.testing.case import Case, NotHereError, Rule
from lnn2loihi.testing.failures import FamilyError, raised

__all__ = ["FamilyError", "FamilyReport", "RULES", "check_family"]

#: Rules by name, in the order of trying.
RULES: Mapping[str, Rule] = {
    "layer": layer_rules.layer,
    "stages": layer_rules.stages,
    "arrays": layer_rules.arrays,
    "names": layer_rules.names,
    "family": layer_rules.family,
    "answer": float_rules.answer,
    "bound": float_rules.bound,
    "carried state": float_rules.carried_state,
    "folded inputs": float_rules.folded_inputs,
    "scaled inputs": float_rules.scaled_inputs,
    "rebuilt layer": float_rules.rebuilt_layer,
    "counted parameters": float_rules.counted_parameters,
    "training equations": float_rules.training_equations,
    "float ONNX": float_rules.float_onnx,
    "lowering": integer_rules.lowering,
    "integers": integer_rules.integers,
    "executors": integer_rules.executors,
    "proved bounds": integer_rules.proved_bounds,
    "streams": integer_rules.streams,
    "chip training": integer_rules.chip_training,
    "saved program": integer_rules.saved_program,
    "placement": integer_rules.placement,
}
_ANSWERED = ("stages", "names", "answer")
_LOWERED = (*_ANSWERED, "family", "lowering")
#: What has to be kept before a rule can be tried, where it is not _ANSWERED.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    **{name: _LOWERED for name, rule in RULES.items() if rule.__module__ == integer_rules.__name__},
    **dict.fromkeys(("layer", "stages", "arrays"), ()),
    **dict.fromkeys(("names", "family"), ("stages",)),
    "answer": ("stages", "names"),
    **dict.fromkeys(("bound", "lowering"), (*_ANSWERED, "family")),
}


@dataclass(frozen=True)
class FamilyReport:
    """What `check_family` has tried.

    Attributes:
        layer: name of the layer's class.
        checked: the rules that it keeps.
        skipped: rules that could not be tried here, and why.
        executors: what ran the integers, bit for bit alike.
        notes: what rules that are kept could not try.
    """

    layer: str
    checked: tuple[str, ...]
    skipped: Mapping[str, str]
    executors: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """The report as text."""
        lines = [f"{self.layer} keeps: {', '.join(self.checked)}"]
        lines += [f"not tried: {rule} ({reason})" for rule, reason in self.skipped.items()]
        lines += [f"not tried in {note}" for note in self.notes]
        return "\n".join([*lines, f"executors: {', '.join(self.executors) or 'none'}"])


def check_family(
    layer: Layer,
    x: npt.ArrayLike,
    *,
    timespan: float | None = 1.0,
    timespans: npt.ArrayLike | None = None,
    recipe: str | Recipe = DEFAULT_RECIPE,
    executors: str | tuple[str, ...] = ALL,
) -> FamilyReport:
    """Tries every rule of the contract on a layer with weights.

    What is broken does not keep other rules from being tried, unless they need it.

    Args:
        layer: with weights as training leaves them; a few units are enough.
        x: samples as the layer meets them, float (batch, time, inputs); some steps and sequences.
        timespan: constant elapsed time; None where it comes with the samples.
        timespans: elapsed times (batch, time), where it does; 1 everywhere by default.
        recipe: as for `quantize`.
        executors: as for `verify`; all that are installed by default.

    Raises:
        FamilyError: lists every rule that is broken, by what, and what to do.
        InputError: x does not fit the layer.
    """
    subject = f"{type(layer).__qualname__} {getattr(layer, 'name', '')!r}"
    wrong = _found(layer_rules.fitting, layer)
    if wrong:
        raise FamilyError(subject, [f"layer: {problem}" for problem in wrong])
    case = _case(layer, x, timespan, timespans, recipe, executors)
    broken: dict[str, list[str]] = {}
    left_out: list[str] = []
    checked: list[str] = []
    skipped: dict[str, str] = {}
    for name, rule in RULES.items():
        if broken.keys() & {*_NEEDS.get(name, _ANSWERED)}:
            left_out.append(name)
            continue
        try:
            found = _found(rule, case)
        except NotHereError as error:
            skipped[name] = str(error)
            continue
        if found:
            broken[name] = found
        else:
            checked.append(name)
    if broken:
        problems = [f"{name}: {problem}" for name, found in broken.items() for problem in found]
        if left_out:
            problems.append(f"not tried until that is mended: {', '.join(left_out)}")
        raise FamilyError(subject, problems)
    kind = type(layer).__qualname__
    return FamilyReport(kind, tuple(checked), skipped, case.executors, tuple(case.notes))


def _found(rule: Callable[[Any], Iterable[str]], given: Any) -> list[str]:
    """Everything that a rule finds, each once; an exception is a problem, too.

    Raises:
        NotHereError: the rule cannot be tried here.
    """
    found: dict[str, None] = {}
    try:
        for problem in rule(given):
            found[problem] = None
    except NotHereError:
        raise
    except Exception as error:  # a stranger's code may raise what it likes
        found[raised(error, rule)] = None
    return [*found]


def _case(
    layer: Layer,
    x: npt.ArrayLike,
    timespan: float | None,
    timespans: npt.ArrayLike | None,
    recipe: str | Recipe,
    executors: str | tuple[str, ...],
) -> Case:
    """What rules are tried on.

    Raises:
        InputError: x or timespans do not fit.
    """
    samples = as_array(x, "check_family", "x").astype(np.float64)
    if samples.ndim != 3 or samples.shape[2] != layer.input_size or 0 in samples.shape:
        wanted = f"(batch, time, {layer.input_size})"
        raise InputError("x", f"has shape {samples.shape}; give {wanted}, some steps and sequences")
    times = None
    if timespan is None:
        given = np.ones(samples.shape[:2]) if timespans is None else timespans
        times = as_array(given, "check_family", "timespans").astype(np.float64)
    chosen = Recipe.parse(recipe) if isinstance(recipe, str) else recipe
    return Case(layer, samples, times, timespan, chosen, executors)
