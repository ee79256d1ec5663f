"""Says whether a family of neurons keeps its contract, rule by rule.

    from lnn2loihi.testing import check_family, check_importer

    def test_my_family() -> None:
        check_family(MyLayer(...), x)
        check_importer(MyModule(...), x)

Our own families are tested by it too.
"""

from __future__ import annotations

import copy
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
from lnn2loihi.showing import Said, Shown
from lnn2loihi.testing import float_rules, integer_rules, layer_rules
from lnn2loihi.testing.case import Case, NotHereError, Rule
from lnn2loihi.testing.failures import ContractError, found_by

__all__ = ["RULES", "ContractError", "FamilyReport", "check_family", "check_importer"]

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
    "hearing": float_rules.hearing,
    "several sources": float_rules.several_sources,
    "scaled inputs": float_rules.scaled_inputs,
    "rebuilt layer": float_rules.rebuilt_layer,
    "saved network": float_rules.saved_network,
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
#: What has to be kept before a rule can be tried.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(RULES, _ANSWERED),
    **{name: _LOWERED for name, rule in RULES.items() if rule.__module__ == integer_rules.__name__},
    **dict.fromkeys(("layer", "stages", "arrays"), ()),
    **dict.fromkeys(("names", "family"), ("stages",)),
    "answer": ("stages", "names"),
    **dict.fromkeys(("bound", "lowering", "saved network"), (*_ANSWERED, "family")),
}


@dataclass(frozen=True)
class FamilyReport(Shown):
    """What `check_family` or `check_importer` has tried.

    Attributes:
        layer: name of the layer's class, or the module's.
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

    def _shown(self) -> list[Said]:
        """The report as text."""
        lines: list[Said] = [f"{self.layer} keeps: {', '.join(self.checked)}"]
        lines += [f"not tried: {rule} ({reason})" for rule, reason in self.skipped.items()]
        lines += [f"not tried in {note}" for note in self.notes]
        lines += [f"executors: {', '.join(self.executors)}"] if self.executors else []
        return lines


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
        ContractError: lists every rule that is broken, by what, and what to do.
        InputError: x does not fit the layer.
    """
    subject = f"{type(layer).__qualname__} {getattr(layer, 'name', '')!r}"
    wrong = found_by(layer_rules.fitting, layer)
    if wrong:
        raise ContractError(subject, [f"layer: {problem}" for problem in wrong])
    case = _case(layer, x, timespan, timespans, recipe, executors)
    problems, checked, skipped = _tried(RULES, case, _NEEDS)
    if problems:
        raise ContractError(subject, problems)
    kind = type(layer).__qualname__
    return FamilyReport(kind, checked, skipped, case.executors, tuple(case.notes))


def check_importer(
    module: Any,
    x: npt.ArrayLike,
    *,
    description: str = "",
    timespans: npt.ArrayLike | None = None,
    recipe: str = DEFAULT_RECIPE,
) -> FamilyReport:
    """Tries all ways in which a module of a family comes in, each compared with its own forward.

    Alive; as a checkpoint with the description that is suggested for it; inside
    Sequential(Normalise, module, Linear); and trained for the chip, alone and inside another
    module. Needs PyTorch.

    Args:
        module: a torch.nn.Module that takes (batch, time, inputs) and answers (batch, time,
            outputs), or a tuple that begins with it; it is left as it is.
        x: samples, float (batch, time, inputs).
        description: lines of TOML for what the arrays do not hold and nobody can suggest, such as
            "step = 0.125".
        timespans: elapsed times (batch, time), for a module that takes them as `timespans`.
        recipe: as for `quantize`.

    Raises:
        ContractError: lists every way that fails, by what, and what to do.
    """
    from lnn2loihi.testing import importer_rules

    samples = as_array(x, "check_importer", "x").astype(np.float64)
    times = None
    if timespans is not None:
        times = as_array(timespans, "check_importer", "timespans").astype(np.float64)
    own = copy.deepcopy(module).double().eval()
    case = importer_rules.ImportCase(own, samples, times, description, recipe)
    ways = importer_rules.WAYS
    problems, checked, skipped = _tried(ways, case, dict.fromkeys([*ways][1:], ("alive",)))
    kind = type(module).__qualname__
    if problems:
        raise ContractError(kind, problems)
    return FamilyReport(kind, checked, skipped, ())


def _tried(
    rules: Mapping[str, Callable[[Any], Iterable[str]]],
    case: Any,
    needs: Mapping[str, tuple[str, ...]],
) -> tuple[list[str], tuple[str, ...], dict[str, str]]:
    """Problems by rule, what is kept, and what cannot be tried and why.

    Args:
        rules: by name.
        case: what they are tried on.
        needs: for each rule what has to be kept before it can be tried.
    """
    problems: list[str] = []
    broken: set[str] = set()
    left_out: list[str] = []
    checked: list[str] = []
    skipped: dict[str, str] = {}
    for name, rule in rules.items():
        if broken & {*needs.get(name, ())}:
            left_out.append(name)
            continue
        try:
            found = found_by(rule, case)
        except NotHereError as error:
            skipped[name] = str(error)
            continue
        problems += [f"{name}: {problem}" for problem in found]
        (broken.add if found else checked.append)(name)
    if left_out:
        problems.append(f"not tried until that is mended: {', '.join(left_out)}")
    return problems, tuple(checked), skipped


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
