"""Quantizes the chip parts of a converted module, each on what reaches it of the data."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.converted.chip import Heard
from lnn2loihi.converted.pieces import ChipPart
from lnn2loihi.converted.running import given_example, given_to, pass_through
from lnn2loihi.converted.structure import Given
from lnn2loihi.defaults import DEFAULT_RECIPE
from lnn2loihi.errors import InputError, Lnn2LoihiError, Problems, QuantizationError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.quantization.rounding import CORRECTIONS
from lnn2loihi.quantization.sizes import memory_that_ends
from lnn2loihi.quantization.state_words import encoded_states
from lnn2loihi.quantization.verb import PreparedQuantization, prepared
from lnn2loihi.recipe import LayerRecipes, Recipe

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

#: Calls that are taken from a loader, which may be endless.
MOST_CALLS = 10_000
#: Levels of nested lists that can be an array of NumPy.
MOST_AXES = 64


def quantized(
    converted: ConvertedModule,
    recipe: str | Recipe,
    calibrate: Any,
    layers: LayerRecipes | None,
    ranges: str,
    correction: str,
) -> ConvertedModule:
    """See `ConvertedModule.quantize`."""
    if correction not in CORRECTIONS:
        raise QuantizationError(
            "correction", f"{correction!r} does not exist; there are {', '.join(CORRECTIONS)}"
        )
    heard = heard_in_calls(converted, calibrate)
    settings = prepared_parts(converted, recipe, heard, layers, ranges)
    problems = Problems(QuantizationError, f"module {converted.name!r}")
    made: dict[str, ChipPart] = {}
    for part in converted.chip_parts:
        network, setting = part.float_network(), settings[part.name]
        try:
            with memory_that_ends(network):
                program = setting.convert(network, correction=correction)
        except QuantizationError as error:
            problems.extend(f"part {part.name!r}: {problem}" for problem in error.problems)
            continue
        words = setting.state_words(network, program)
        made[part.name] = dataclasses.replace(part, program=program, words=words)
    problems.raise_if_any()
    parts = tuple(made.get(part.name, part) for part in converted.parts)
    notes = [note for part in made.values() for note in _saturating(part, heard[part.name])]
    return dataclasses.replace(converted, parts=parts, notes=(*converted.notes, *notes))


def _saturating(part: ChipPart, calls: Sequence[Heard]) -> Iterator[str]:
    """What is to be known of states that calls begin with, and no word holds."""
    held: dict[str, int] = {}
    for heard in calls:
        if heard.states:
            for name, count in encoded_states(part.words, part.quantized(), heard.states)[
                1
            ].items():
                held[name] = held.get(name, 0) + count
    for name, count in held.items():
        if count:
            total = sum(np.size(heard.states[name]) for heard in calls)
            yield (
                f"part {part.name!r} begins with states {name} of which {count:,} of {total:,} "
                "numbers of the calibration data are larger than its words hold, and are cut: its "
                "first answers may be off"
            )


def by_default(converted: ConvertedModule) -> ConvertedModule:
    """The module quantized on its example, where nobody has done it."""
    made = quantized(converted, DEFAULT_RECIPE, None, None, "range", "full")
    note = (
        f"nobody has quantized it: this was done with recipe {DEFAULT_RECIPE} on the example "
        "alone; quantize(calibrate=...) takes typical inputs"
    )
    # Whoever only predicts reads no notes.
    logging.getLogger("lnn2loihi").warning("module %r: %s", converted.name, note)
    return dataclasses.replace(made, notes=(*made.notes, note))


def prepared_parts(
    converted: ConvertedModule,
    recipe: str | Recipe,
    heard: Mapping[str, list[Heard]],
    layers: LayerRecipes | None = None,
    ranges: str = "range",
) -> dict[str, PreparedQuantization]:
    """Measurements and recipes of each chip part, of what it hears in each call.

    Raises:
        QuantizationError: lists what is wrong with the recipes and with the data, by part.
        InputError: there are no float networks.
    """
    problems = Problems(QuantizationError, f"module {converted.name!r}")
    own = _recipes_by_part(converted, layers or {}, problems)
    found: dict[str, PreparedQuantization] = {}
    for part in converted.chip_parts:
        data = _joined(heard[part.name])
        try:
            found[part.name] = prepared(
                part.float_network(), data.x, recipe, data.timespans, own[part.name], ranges,
                initial_state=data.states,
            )  # fmt: skip
        except Lnn2LoihiError as error:
            problems.extend(f"part {part.name!r}: {problem}" for problem in error.problems)
    problems.raise_if_any()
    return found


def heard_in_calls(converted: ConvertedModule, calibrate: Any) -> dict[str, list[Heard]]:
    """What each chip part hears in each call, with float networks before it.

    Raises:
        InputError: a call does not fit the module, or there is none.
    """
    found: dict[str, list[Heard]] = {part.name: [] for part in converted.chip_parts}
    count = 0
    for given in given_calls(converted, calibrate):
        for name, heard in pass_through(converted, given, executor=None).heard.items():
            found[name].append(heard)
        count += 1
    if not count:
        raise InputError("calibrate", "holds no call; a loader that was used before is empty")
    return found


def given_calls(converted: ConvertedModule, calibrate: Any) -> Iterator[Given]:
    """The arguments of each call of calibration data; see `ConvertedModule.quantize`."""
    if calibrate is None:
        yield given_example(converted)
        return
    if _is_array(calibrate) or isinstance(calibrate, (tuple, Mapping)):
        yield _call(converted, calibrate, 0, exact=True)
        return
    called = callable(calibrate) and not hasattr(calibrate, "__iter__")
    try:
        source: Any = calibrate() if called else calibrate
        calls = iter(source)
    except TypeError:
        raise InputError(
            "calibrate", f"is of type {type(calibrate).__qualname__}; give an array, a tuple or a "
            "dict of arguments, a list of such calls, or a loader"
        ) from None  # fmt: skip
    for place, call in enumerate(calls):
        if place == MOST_CALLS:
            raise InputError(
                "calibrate", f"has more than {MOST_CALLS:,} calls, or is endless; give the first "
                "(itertools.islice(loader, 10))"
            )  # fmt: skip
        yield _call(converted, call, place, exact=isinstance(calibrate, list))


def _call(converted: ConvertedModule, call: Any, place: int, exact: bool) -> Given:
    """The arguments of one call; of a loader's batch as many as the module takes: labels follow."""
    if isinstance(call, Mapping):
        args, keywords = (), dict(call)
    elif isinstance(call, (tuple, list)) and not _is_numbers(call):
        args, keywords = tuple(call), {}
    else:
        args, keywords = (call,), {}
    if not exact:
        args = args[: max(len(converted.arguments[0]), 1)]
    try:
        return given_to(converted, args, keywords)
    except InputError as error:
        raise InputError(f"calibrate, call {place}: {error.subject}", error.problems) from error


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") or hasattr(value, "detach")


def _is_numbers(value: Any) -> bool:
    """Whether nested lists are an array of numbers."""
    for _ in range(MOST_AXES):
        if not (isinstance(value, (list, tuple)) and value):
            break
        value = value[0]
    return isinstance(value, (int, float, np.number))


def _joined(calls: list[Heard]) -> Heard:
    """What a part heard in several calls, as sequences side by side: a list of sequences where the
    calls differ in their length.
    """
    if len({heard.x.shape[1] for heard in calls}) == 1:
        x: Any = np.concatenate([heard.x for heard in calls])
        spans: Any = None if calls[0].timespans is None else [heard.timespans for heard in calls]
        spans = None if spans is None else np.concatenate(spans)
    else:
        x = [sequence for heard in calls for sequence in np.asarray(heard.x)]
        spans = None
        if calls[0].timespans is not None:
            spans = [row for heard in calls for row in np.asarray(heard.timespans)]
    states = {n: np.concatenate([heard.states[n] for heard in calls]) for n in calls[0].states}
    return Heard(x, spans, states)


def _recipes_by_part(
    converted: ConvertedModule, layers: LayerRecipes, problems: Problems
) -> dict[str, dict[str, Any]]:
    """Recipes of layers, with the part that has the layer; "part.layer" where several have it."""
    found: dict[str, dict[str, Any]] = {part.name: {} for part in converted.chip_parts}
    known = {part.name: _names_of(part.float_network()) for part in converted.chip_parts}
    for name, recipe in layers.items():
        fitting = [(part, name) for part, names in known.items() if name in names]
        for part, names in known.items():
            inside = str(name).removeprefix(f"{part}.")
            if inside != name and inside in names:
                fitting = [(part, inside)]
        if len(fitting) == 1:
            ((part, inside),) = fitting
            found[part][inside] = recipe
        elif fitting:
            problems.add(f"layers: parts {' and '.join(part for part, _ in fitting)} have a layer "
                         f"{name!r}; write {fitting[0][0]}.{name}")  # fmt: skip
        else:
            listed = sorted({layer for names in known.values() for layer in names})
            problems.add(f"layers: there is no layer {name!r}; there are {', '.join(listed)}")
    return found


def _names_of(network: LiquidNetwork) -> set[str]:
    names = {stage.name for stage in network.stages}
    return names | {name.partition(".")[0] for name in names}
