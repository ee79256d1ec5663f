"""Rules of what a layer and its stages say of themselves, before anything is computed."""

from __future__ import annotations

import dataclasses
import math
import pickle
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.family import families, lowering_of
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.stage import INPUT, Stage, StageSource
from lnn2loihi.testing.case import Case, Problems, arguments

_DATACLASS = "make its class a dataclass with frozen=True, eq=False"


def fitting(layer: Any) -> Problems:
    """A layer is a Layer that finds nothing wrong with itself, and says its sizes."""
    if not isinstance(layer, Layer):
        yield (
            "is no lnn2loihi.extend.Layer; derive its class from Layer or GatedLayer, and "
            f"{_DATACLASS}"
        )
        return
    found: Any = layer.problems()
    if not isinstance(found, list) or not all(isinstance(problem, str) for problem in found):
        yield (
            f"`problems` answers {found!r:.60}; give a list of texts, empty where nothing is wrong"
        )
        return
    yield from found
    for what in ("units", "input_size"):
        size = getattr(layer, what)
        if not found and (not isinstance(size, (int, np.integer)) or size < 1):
            yield f"`{what}` is {size!r}; it is a number of at least 1"


def layer(case: Case) -> Problems:
    """The layer is a frozen dataclass that can be copied, pickled and renamed."""
    own = case.layer
    made_by = getattr(type(own), "__dataclass_params__", None)
    if made_by is not None and made_by.eq:
        yield (
            "its dataclass compares arrays by ==, which has no answer; write "
            "@dataclass(frozen=True, eq=False), and what the base has compares contents"
        )
        return
    try:
        own.name = own.name  # type: ignore[misc]
        yield f"its attributes can be set, and it would change inside a network; {_DATACLASS}"
    except dataclasses.FrozenInstanceError:
        pass
    fields = {field.name for field in dataclasses.fields(own)}
    lost = [
        name
        for name, value in vars(own).items()
        if name not in fields and isinstance(value, (np.ndarray, Linear))
    ]
    if lost:
        yield f"{', '.join(lost)} hold arrays and are no fields of a dataclass; {_DATACLASS}"
    if pickle.loads(pickle.dumps(own)) != own:
        yield f"a pickled copy differs; {_DATACLASS}"
    if own.renamed(lambda name: f"{name}_2").name != f"{own.name}_2":
        yield "`renamed` gives it another name than it was asked for; override it"


def arrays(case: Case) -> Problems:
    """Arrays of the layer belong to it: nobody else can write to them."""
    own = case.layer
    for field in dataclasses.fields(own):
        value = getattr(own, field.name)
        if any(map(_writeable, value if isinstance(value, tuple) else (value,))):
            yield (
                f"{field.name} is an array that can be written to, so that networks change when "
                "its maker changes it; call super().__post_init__() in a `__post_init__` of its "
                "own, which keeps copies of arrays"
            )


def _writeable(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return False


def stages(case: Case) -> Problems:
    """`stages` gives the stages of the layer, the one that answers last, and a factor."""
    own = case.layer
    made: Any = own.stages(StageSource(INPUT, own.input_size), case.timespan, 1.0)
    if not (isinstance(made, tuple) and len(made) == 2):
        yield f"`stages` answers {made!r:.60}; give the stages and a factor"
        return
    found, factor = made
    if not isinstance(found, tuple) or not found or not all(isinstance(s, Stage) for s in found):
        yield f"`stages` gives {found!r:.60} as stages; give a tuple of at least one Stage"
        return
    if not isinstance(factor, (int, float)) or not 0.0 < factor < math.inf:
        yield f"`stages` says that its answer is too small by {factor!r}; give a factor above 0"
    name, last = own.parts[-1].name, found[-1]
    if (last.name, last.units) != (name, own.units):
        yield (
            f"its last stage is {last.name!r} with {last.units} units, the layer {name!r} with "
            f"{own.units}; the stage that answers has the layer's name and units"
        )
    for stage in found:
        for gate, linear in stage.gates.items():
            if linear.weight.shape != (stage.units, stage.columns):
                yield (
                    f"gate {gate!r} of {stage.name!r} has weight {linear.weight.shape}, expected "
                    f"{(stage.units, stage.columns)}: a row for each unit, columns of all sources"
                )
    if not isinstance(own.unfolds, int) or own.unfolds < 1:
        yield f"`unfolds` is {own.unfolds!r}; it is a number of steps, at least 1"


def names(case: Case) -> Problems:
    """What a stage names is there: gates, vectors, words, other stages; its bound is a number."""
    known = {stage.name for stage in case.stages} | {INPUT}
    for stage in case.stages:
        found = [*_texts(stage)]
        if not found:
            found += _unknown(stage, known)
        yield from (f"stage {stage.name!r}: {problem}" for problem in found)


def _texts(stage: Stage) -> Iterator[str]:
    for what in ("memory", "vectors", "positive", "fixed", "calibrated", "logistic"):
        value: Any = getattr(stage, what)
        if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
            wanted = f'("{value}",)' if isinstance(value, str) else 'names, such as ("h",)'
            yield f"`{what}` is {value!r:.60}; write a tuple of {wanted}"
        elif len(set(value)) < len(value):
            yield f"`{what}` names one twice: {value}"
    bound: Any = stage.bound
    if not isinstance(bound, (int, float)) or not bound > 0.0:  # true for NaN
        yield f"`bound` is {bound!r}; it is a number above 0, or infinite where there is none"


def _unknown(stage: Stage, known: Collection[str]) -> Iterator[str]:
    gates, trained = set(stage.gates), {*stage.gates, *stage.vectors}
    for what, there in (
        ("calibrated", gates), ("fixed", gates), ("positive", trained),
        ("limits", set(stage.vectors)),
    ):  # fmt: skip
        yield from _missing(what, getattr(stage, what), there)
    heard = [name for source in stage.sources for name in (source.name, source.first) if name]
    yield from _missing("sources", heard, known)
    yield from _missing("starts_from", [stage.starts_from] if stage.starts_from else [], known)
    for name in stage.vectors:
        value: Any = getattr(stage, name, None)
        if not isinstance(value, np.ndarray) or value.shape != (stage.units,):
            yield f"vector {name!r} is {value!r:.60}; give an array with {stage.units} numbers"
            return
    states = [stage.state_name(word) for word in stage.memory]
    if len(set(states)) < len(states):
        yield (
            f"words {', '.join(stage.memory)} of its memory have the names {', '.join(states)} as "
            "states; `state_name` gives each one of its own"
        )
    sums, _, elapsed = arguments(stage, np.random.default_rng(0))
    try:
        opened: Mapping[str, Any] = stage.logistic_arguments(sums, elapsed)
    except KeyError as error:
        yield from _missing("logistic", [str(error.args[0])], gates)
    else:
        yield from _missing("logistic_arguments", opened, set(stage.logistic))


def _missing(what: str, given: Collection[str], there: Collection[str]) -> Iterator[str]:
    lost = sorted(set(given) - set(there))
    if lost:
        yield (
            f"`{what}` names {', '.join(lost)}; there "
            f"{'are ' + ', '.join(sorted(there)) if there else 'is nothing to name'}"
        )


def family(case: Case) -> Problems:
    """The layer's class belongs to a family, and each of its stages has a lowering."""
    kind = type(case.layer).__qualname__
    if not any(isinstance(case.layer, one.layers) for one in families()):
        yield (
            f"no registered family has {kind} among its layers; name it in Family(layers=...), and "
            "register the family (entry point of the group lnn2loihi.families, or "
            "lnn2loihi.extend.register)"
        )
    for stage in case.stages:
        try:
            lowering_of(stage)
        except Lnn2LoihiError:
            own = type(stage).__qualname__
            yield (
                f"stage {stage.name!r}, of class {own}, has no lowering; write a StageLowering and "
                f"name it in Family(lowerings={{{own}: ...}})"
            )
