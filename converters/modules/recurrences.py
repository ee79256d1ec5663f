"""Recurrent parts in a recorded forward: whole layers, and cells in a loop over the steps."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lnn2loihi.converters.modules.operators import constant, with_features
from lnn2loihi.converters.modules.streams import (
    GIVEN,
    TIMESPANS,
    Meaning,
    State,
    Step,
    Stream,
    state_used,
)
from lnn2loihi.converters.trace.axes import BATCH, FEATURES, TIME, Axes, said
from lnn2loihi.converters.trace.graph import Node, Ref, refs
from lnn2loihi.family import family_of_importer, importer_of, left_out
from lnn2loihi.faults import described

#: The reader that calls; its module imports this one.
Reader = Any


#: What the argument of a recurrent module is called that is an elapsed time.
TIMES = ("ts", "dt", "delta_t", "elapsed", "elapsed_time", "timespans", "timespan", "times")


def read_recurrent(reader: Reader, node: Node, given: list[Meaning]) -> None:
    """What a recurrent part answers with."""
    path = node.path or ""
    part = reader.parts[path]
    arguments = bound(part, node)
    first = next(iter(arguments.values()), None)
    stream = reader.meanings.get(first.number) if isinstance(first, Ref) else None
    if isinstance(stream, State):
        return reader.lost(node, given, state_used(stream, f"{node.where} hears"))
    if not isinstance(stream, Stream) or stream.source == TIMESPANS:
        reason = f"{node.where} is given something else than one tensor made of the samples"
        return reader.lost(node, given, reason)
    assert isinstance(first, Ref)
    axes = with_features(stream)
    one_step, problem = way(part, axes, stream.at)
    problems = [f"{node.where}: {path} is given {problem}"] if problem else []
    elapsed: float | str | None = None
    for name, value in list(arguments.items())[1:]:
        if name in TIMES:
            elapsed, problem = _elapsed(reader, value, stream if one_step else None)
        else:
            problem = _initial(reader, path, value, stream.at if one_step else None)
        problems += [f"{node.where}: {problem}"] if problem else []
    if one_step and stream.at and not any(
        list(refs(value)) for name, value in list(arguments.items())[1:] if name not in TIMES
    ):  # fmt: skip
        problems.append(f"{node.where}: {path} begins anew in each step; give it its last state")
    if problems:
        return reader.lost(node, given, problems[0])
    step = Step("part", path=path, elapsed=elapsed, line=node.line)
    made = replace(stream.after(step, axes), at=stream.at)
    _answers(reader, node, made, one_step)
    return None


def bound(part: Any, node: Node) -> dict[str, Any]:
    """The arguments by the names that its forward gives them."""
    try:
        signature = inspect.signature(type(part).forward)
        bound = signature.bind(part, *node.arguments, **node.keywords).arguments
    except (TypeError, ValueError):
        return {str(place): value for place, value in enumerate(node.arguments)} | {**node.keywords}
    found: dict[str, Any] = {}
    for place, (name, value) in enumerate(bound.items()):
        if place:
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                found |= {f"{name}[{place}]": one for place, one in enumerate(value)}
            elif kind is inspect.Parameter.VAR_KEYWORD:
                found |= value
            else:
                found[name] = value
    return found


def way(part: Any, axes: Axes, at: int | None) -> tuple[bool, str]:
    """Whether a part answers to one step of a sequence here, and why it cannot."""
    calls = calls_of(part)
    time_first = bool(calls.get("time_first", not getattr(part, "batch_first", True)))
    rows = (BATCH, FEATURES)
    turned = bool(calls.get("features_first"))
    if at is not None:
        sequence = (None, *rows) if time_first else (BATCH, None, FEATURES)
        sequence = (*rows, None) if turned else sequence
        fits = axes == (rows if calls.get("one_step") else sequence)
        return True, "" if fits else f"one step of a sequence with the axes {said(axes)}"
    expected = (TIME, *rows) if time_first else (BATCH, TIME, FEATURES)
    expected = (*rows, TIME) if turned else expected
    alone = (FEATURES, TIME) if turned else (TIME, FEATURES)
    if calls.get("one_step") or axes not in (expected, alone):
        wanted = "one step of a sequence" if calls.get("one_step") else f"{said(expected)}"
        return False, f"{said(axes)} and takes {wanted}"
    return False, ""


def _elapsed(reader: Reader, value: Any, step: Stream | None) -> tuple[float | str | None, str]:
    """The elapsed time that forward gives, and what is wrong with it."""
    if value is None:
        return None, ""
    if isinstance(value, Ref):
        meaning = reader.meanings.get(value.number)
        if isinstance(meaning, Stream):
            at = None if step is None else step.at
            if meaning.source == TIMESPANS and not meaning.steps and meaning.at == at:
                return GIVEN, ""
            return None, "its elapsed time is computed by forward; give it timespans as they are"
    number = constant(reader, value)
    if number is None or not number.size:
        return None, "its elapsed time cannot be followed; give it timespans as they are"
    if (number != number.flat[0]).any():
        return None, "its elapsed times are several constants; give one, or timespans"
    return float(number.flat[0]), ""


def _initial(reader: Reader, path: str, value: Any, at: int | None) -> str:
    """What is wrong with a state that forward gives, empty where it is what a network begins with:
    zeros, or in a loop the state after the step before.
    """
    given = list(refs(value))
    if not given:
        return "" if value is None else f"its state is {value!r:.60}, which is no tensor"
    for place, ref in enumerate(given):
        meaning = reader.meanings.get(ref.number)
        held = reader.value(ref)
        if meaning is not None or held.depends:
            state = meaning.state if isinstance(meaning, Stream) else meaning
            if at and isinstance(state, State) and state == State(path, at - 1, place):
                continue
            what = "made of the samples"
            if isinstance(state, State):
                what = f"the state of {state.path}"
                what += "" if state.path != path else " after another step than the one before"
            return (
                f"the initial state of {path} is {what}; a network begins with zeros, or with "
                "initial_state=... of evaluate and simulate"
            )
        if at:
            return f"the state of {path} is set to a constant within a sequence"
        if bool((held.tensor != 0).any()):
            return _held_state(path, held.origin, held.name)
    return ""


def _held_state(path: str, origin: str, name: str) -> str:
    if origin == "attribute":
        return (
            f"the initial state of {path} is the attribute {name}, which an earlier call left "
            f"there; set module.{name} = None, so that each sequence begins anew, or give the "
            "state to initial_state=... of evaluate and simulate"
        )
    what = f"a parameter, {name}" if name else "a constant that is not zero"
    return (
        f"the initial state of {path} is {what}; a network begins with zeros. Import "
        f"module.{path} alone and give the state to initial_state=... of evaluate and simulate"
    )


def _answers(reader: Reader, node: Node, made: Stream, one_step: bool) -> None:
    """What the tensors of an answer are: outputs, and states."""
    path = node.path or ""
    at = made.at if one_step else None
    answer = node.answer
    alone = isinstance(answer, Ref)
    first = answer if alone else answer[0]
    rank = len(reader.value(first).shape)
    states = [first] if alone else list(refs(answer[1:]))
    if not alone and one_step and first_is_state(reader, node):
        states = list(refs(answer))
    for place, ref in enumerate(states):
        state = State(path, at, place)
        reader.meanings[ref.number] = state if one_step else _known(reader, made, first, ref, state)
    if rank == len(made.axes) - 1 and not one_step and TIME in made.axes:
        axes = tuple(axis for axis in made.axes if axis != TIME)
        made = replace(made, axes=axes, at=reader.sizes[TIME] - 1)
    if first in states and (one_step or not alone):
        made = replace(made, state=State(path, at, states.index(first)))
    reader.meanings[first.number] = made


def _known(reader: Reader, made: Stream, first: Ref, ref: Ref, state: State) -> Stream | State:
    """The state after a whole sequence, as the last answer where it is the same numbers."""
    answers, own = reader.value(first).tensor, reader.value(ref).tensor
    axes = tuple(axis for axis in made.axes if axis != TIME)
    last = answers if answers.dim() == len(axes) else answers.select(made.axes.index(TIME), -1)
    stream = replace(made, axes=axes, at=reader.sizes[TIME] - 1, state=state)
    if own.shape == last.shape and bool((own == last).all()):
        return stream
    if own.shape[1:] == last.shape and own.dim() and bool((own[-1] == last).all()):
        alone = len(own) == 1
        return replace(stream, axes=(None, *axes)) if alone else replace(state, top=stream)
    return state


def first_is_state(reader: Reader, node: Node) -> bool:
    """Whether a cell answers with its states alone, as torch.nn.LSTMCell does."""
    calls = calls_of(reader.parts[node.path or ""])
    return bool(calls.get("one_step")) and not calls.get("returns_state")


def calls_of(part: Any) -> Mapping[str, bool]:
    """How a recurrent part is called, as far as its importer says it."""
    importer = importer_of(part)
    assert importer is not None
    try:
        return importer.calls(part) or {}
    except Exception as error:  # a stranger's importer: it is taken as most are
        reason = f"it does not say how its modules are called: {described(error)}"
        left_out(family_of_importer(importer), reason)
        return {}
