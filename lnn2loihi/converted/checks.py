"""Whether the parts of a converted module fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from lnn2loihi.converted.pieces import BATCH, FEATURES, TIME, ChipPart, ChipPort, StatePort
from lnn2loihi.converted.structure import places
from lnn2loihi.printable import is_line

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

_MEANINGS = (BATCH, TIME, FEATURES)


def problems_of(converted: ConvertedModule) -> Iterator[str]:
    """Everything about a module that contradicts itself, a sentence each."""
    inputs = [one.name for one in converted.inputs]
    names = [part.name for part in converted.parts]
    texts = [converted.name, *inputs, *names, *converted.constants, *converted.notes,
             *converted.kept]  # fmt: skip
    texts += [name for part in converted.parts for name in part.answers]
    for text in texts:
        if not is_line(text):
            yield f"{text!r:.60} is not one line of printable text; give it another name"
    if len(set(names)) < len(names):
        yield f"names of parts are not unique: {', '.join(names)}"
    if not converted.chip_parts:
        yield "it has no part on the chip"
    for one in converted.inputs:
        if len(one.axes) != len(one.shape):
            yield f"input {one.name} has {len(one.axes)} axes, its shape {one.shape}"
    asked = [name for _, name in places(converted.arguments, "arguments")]
    if sorted(asked) != sorted(inputs):
        yield (
            f"its arguments hold {', '.join(asked) or 'nothing'}, its inputs are "
            f"{', '.join(inputs) or 'none'}"
        )
    yield from _flow_problems(converted, {*inputs, *converted.constants})
    for part in converted.chip_parts:
        for problem in _part_problems(part):
            yield f"part {part.name!r}: {problem}"


def _flow_problems(converted: ConvertedModule, known: set[str]) -> Iterator[str]:
    """Whether every value is there before it is taken, and made once."""
    for part in converted.parts:
        for name in part.takes:
            if name not in known:
                yield f"part {part.name!r} takes {name}, which nothing before it answers"
        for name in part.answers:
            if name in known:
                yield f"part {part.name!r} answers {name}, which is there before it"
        known |= {*part.answers}
    for place, name in places(converted.answer, "answer"):
        if name not in known:
            yield f"{place} is {name}, which no part answers"


def _part_problems(part: ChipPart) -> Iterator[str]:
    network, program = part.network, part.program
    if network is None and program is None:
        yield "it has neither a network nor a program"
        return
    if network is not None:
        sizes, timed = (network.input_size, network.output_size), network.irregular
    else:
        assert program is not None
        sizes, timed = (program.channels, program.output_population.size), program.timed
    if program is not None:
        found = (program.channels, program.output_population.size)
        if found != sizes or program.timed != timed:
            yield f"its network has {sizes} inputs and outputs, its program {found}"
        for word in part.words:
            population = next((p for p in program.populations if p.name == word.population), None)
            held = dict(population.program.states) if population else {}
            if word.word not in held or word.step.shape != (population.size if population else 0,):
                yield f"{word.state} is held by {word.population}.{word.word}, which is no word"
    yield from _column_problems(part, *sizes)
    if (part.elapsed is not None) != timed:
        yield (
            "time is irregular, and no value holds the elapsed times"
            if timed
            else f"time is constant, and {part.elapsed.value if part.elapsed else ''} holds times"
        )
    state_sizes = part.state_sizes
    sent = {p.name: p.size for p in program.populations} if program is not None else {}
    for port in part.initial:
        yield from _state_problems(port, state_sizes)
    for port in part.final:
        yield from _state_problems(port, {**sent, **state_sizes})


def _column_problems(part: ChipPart, inputs: int, outputs: int) -> Iterator[str]:
    heard: dict[tuple[int, ...], bool] = {}
    for port in (*part.inputs, *part.outputs):
        yield from _axes_problems(port)
    if part.elapsed is not None:
        yield from _axes_problems(part.elapsed)
        if part.elapsed.columns:
            yield f"{part.elapsed.value} holds elapsed times, and has columns"
    for port in part.inputs:
        one_step = port.at is not None
        if heard.setdefault(tuple(port.columns), one_step) and not one_step:
            yield f"{port.value} has the columns of another input"
        if port.at is not None and port.at < 0:
            yield f"{port.value} is heard at step {port.at}; give a step from 0 on"
    columns = sorted(column for own in heard for column in own)
    if columns != list(range(inputs)):
        yield f"it hears columns {columns}, its network has {inputs} inputs"
    for port in part.outputs:
        wrong = [column for column in port.columns if not 0 <= column < outputs]
        if wrong:
            yield f"{port.value} is outputs {wrong}, its network has {outputs}"


def _axes_problems(port: ChipPort) -> Iterator[str]:
    names = [name for axis in port.axes for name in _names(axis)]
    unknown = [name for name in names if name not in _MEANINGS]
    if unknown:
        yield f"{port.value} has axes of {unknown}; there are {', '.join(_MEANINGS)}"
    if len(set(names)) < len(names):
        yield f"{port.value} has two axes of one meaning: {names}"
    if FEATURES not in names and len(port.columns) > 1:
        yield f"{port.value} has {len(port.columns)} columns and no axis of features"
    if port.at is not None and TIME in names:
        yield f"{port.value} is step {port.at} and has an axis of time"


def _names(axis: Any) -> tuple[str, ...]:
    if axis is None:
        return ()
    return cast("tuple[str, ...]", axis) if isinstance(axis, tuple) else (axis,)


def _state_problems(port: StatePort, sizes: Mapping[str, int]) -> Iterator[str]:
    count = 1
    for length in port.shape:
        count *= length
    if count != len(port.units):
        yield f"{port.value} has shape {port.shape}, and holds {len(port.units)} units"
    axes = len(port.shape) + 1
    if port.batch_axis is not None and not -axes <= port.batch_axis < axes:
        yield f"{port.value} has its batch along axis {port.batch_axis} of {axes}"
    for name, unit in port.units:
        if not 0 <= unit < sizes.get(name, 0):
            known = ", ".join(f"{n} ({size})" for n, size in sizes.items()) or "none"
            yield f"{port.value} holds unit {unit} of {name!r:.60}; there are {known}"
            return
