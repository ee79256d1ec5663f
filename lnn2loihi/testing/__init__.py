"""Says whether a family of neurons keeps its contract, rule by rule.

    from lnn2loihi.testing import check_family

    def test_my_family() -> None:
        check_family(MyLayer(...), x)

Our own families are tested by it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.defaults import ALL
from lnn2loihi.errors import InputError, Lnn2LoihiError, NetworkError
from lnn2loihi.layers.layer import Layer
from lnn2loihi.recipe import DEFAULT_RECIPE, Recipe
from lnn2loihi.testing import float_rules, integer_rules
from lnn2loihi.testing.case import Case, NotHereError, Rule

__all__ = ["FamilyError", "FamilyReport", "RULES", "check_family"]

#: Rules by name, in the order of trying.
RULES: Mapping[str, Rule] = {
    "family": float_rules.family,
    "layer": float_rules.layer,
    "answer": float_rules.answer,
    "bound": float_rules.bound,
    "carried state": float_rules.carried_state,
    "folded inputs": float_rules.folded_inputs,
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
#: Those without which none of the later ones can be tried.
FIRST = ("family", "layer", "answer", "lowering")


class FamilyError(Lnn2LoihiError):
    """A family breaks its contract; each problem begins with the name of the rule."""


@dataclass(frozen=True)
class FamilyReport:
    """What `check_family` has tried.

    Attributes:
        layer: name of the layer's class.
        checked: the rules that it keeps.
        skipped: rules that could not be tried here, and why.
        executors: what ran the integers, bit for bit alike.
    """

    layer: str
    checked: tuple[str, ...]
    skipped: Mapping[str, str]
    executors: tuple[str, ...]

    def summary(self) -> str:
        """The report as text."""
        lines = [f"{self.layer} keeps: {', '.join(self.checked)}"]
        lines += [f"not tried: {rule} ({reason})" for rule, reason in self.skipped.items()]
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
    if not isinstance(layer, Layer):
        raise FamilyError(
            subject,
            "layer: is no lnn2loihi.extend.Layer; derive its class from Layer or GatedLayer, and "
            "make it a dataclass with frozen=True, eq=False",
        )
    wrong = layer.problems()
    if wrong:
        raise FamilyError(subject, [f"layer: {problem}" for problem in wrong])
    case = _case(layer, x, timespan, timespans, recipe, executors)
    checked: list[str] = []
    skipped: dict[str, str] = {}
    problems: list[str] = []
    for name, rule in RULES.items():
        found: list[str] = []
        try:
            for problem in rule(case):
                found.append(problem)
        except NotHereError as error:
            skipped[name] = str(error)
            continue
        except Exception as error:  # a stranger's code may raise what it likes
            found.append(f"it raised {_reasons(error)}; mend what this rule needs")
        if not found:
            checked.append(name)
        problems += [f"{name}: {problem}" for problem in found]
        if found and name in FIRST:
            break
    if problems:
        raise FamilyError(subject, problems)
    return FamilyReport(type(layer).__qualname__, tuple(checked), skipped, case.executors)


def _reasons(error: BaseException) -> str:
    """An error, and those that it came from: what users are not told of operations is said here."""
    said = f"{type(error).__name__}: {error}"
    return said if error.__cause__ is None else f"{said}, from {_reasons(error.__cause__)}"


def _case(
    layer: Layer,
    x: npt.ArrayLike,
    timespan: float | None,
    timespans: npt.ArrayLike | None,
    recipe: str | Recipe,
    executors: str | tuple[str, ...],
) -> Case:
    """The layer in a network.

    Raises:
        InputError: x or timespans do not fit.
        FamilyError: no network can be made of the layer.
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
    case = Case(layer, samples, times, timespan, chosen, executors)
    try:
        assert case.network.stages
    except NetworkError as error:
        raise FamilyError(f"{type(layer).__qualname__} {layer.name!r}", error.problems) from error
    return case
