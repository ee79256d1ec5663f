"""Recurrent parts of a recording, as what they are called with and answer on a chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lnn2loihi.converters.modules.affine import Affine, joined
from lnn2loihi.converters.modules.atoms import Call, Elapsed, Given, Initial
from lnn2loihi.converters.modules.entering import demanded
from lnn2loihi.converters.modules.flows import Flow, Host, Kept, Several
from lnn2loihi.converters.modules.operators import constant, with_features
from lnn2loihi.converters.modules.recurrences import (
    TIMES,
    bound,
    calls_of,
    first_is_state,
    way,
)
from lnn2loihi.converters.recurrent.asked import asked
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.converters.trace.axes import BATCH, FEATURES, TIME
from lnn2loihi.converters.trace.graph import Node, Ref, refs
from lnn2loihi.converters.trace.held import hooks_within
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.family import importer_of

#: The reader that calls; its module imports this one.
Reader = Any


def read_parts(path: str, live: Any) -> tuple[FamilyParts | None, list[str]]:
    """The layers of a recurrent part, or why there are none.

    Args:
        path: its name in the module; empty where it is the module.
        live: the part.
    """
    importer = importer_of(live)
    assert importer is not None
    name = path or type(live).__name__
    try:
        _, parts, found = asked(name, importer, importer.read_module, live)
    except ImportNetworkError as error:
        return None, list(error.problems)
    found = found or hooks_within(live, path, own=not path)
    return (None if found else parts), found


def read_call(reader: Reader, node: Node) -> str:
    """What a recurrent part answers with; or why it is not on a chip."""
    path = node.path or ""
    part = reader.parts[path]
    parts, found = reader.layers(path)
    if parts is None:
        return f"{node.where}: {found[0]}"
    arguments = bound(part, node)
    first, *others = arguments.items() or [("", None)]
    if not isinstance(first[1], Ref):
        return f"{node.where} is given something else than one tensor"
    ways = [
        one for one in (_followed(reader, part, first[1]), _anew(reader, part, first[1])) if one
    ]
    reason = f"{node.where} is given a tensor of axes that it does not take"
    for flow, one_step, again in ways:
        call, reason = _call(reader, node, flow, parts, dict(others), one_step, again)
        if call is not None and call.digest in reader.banned:
            reason = reader.banned[call.digest]
        elif call is not None:
            reader.note_call(call, flow.at)
            _answers(reader, node, replace(flow, state=None), call, one_step)
            return ""
    return reason


def _followed(reader: Reader, part: Any, ref: Ref) -> tuple[Flow, bool, bool] | None:
    """What a part hears as it was followed; whether it is one step, and whether it may be one in
    the middle of a sequence.
    """
    flow = reader.flow(ref)
    if flow is None:
        return None
    axes = with_features(flow)
    one_step, problem = way(part, axes, flow.at)
    if problem:
        return None
    return replace(flow, axes=axes), one_step, True


def _anew(reader: Reader, part: Any, ref: Ref) -> tuple[Flow, bool, bool] | None:
    """What a part hears as a tensor of the host, whose axes mean what the part takes them for."""
    shape = reader.value(ref).shape
    axes = demanded(part, len(shape))
    if axes is None or not reader.value(ref).floating:
        return None
    flow = reader.entered(ref.number, axes)
    return flow, TIME not in axes, False


def _call(
    reader: Reader,
    node: Node,
    flow: Flow,
    parts: FamilyParts,
    others: dict[str, Any],
    one_step: bool,
    again: bool,
) -> tuple[Call | None, str]:
    """The part as it is called, or None and why it is not on a chip."""
    path = node.path or ""
    importer = importer_of(reader.parts[path])
    assert importer is not None
    if flow.expression.rows != parts.layers[0].input_size:
        return None, (
            f"{node.where} is given {flow.expression.rows} features of a sample, and takes "
            f"{parts.layers[0].input_size}"
        )
    elapsed: Elapsed = None
    states: list[Ref] = []
    for name, value in others.items():
        if name in TIMES:
            elapsed, problem = _elapsed(reader, value, flow)
            if problem:
                return None, f"{node.where}: {problem}"
        else:
            states += refs(value)
    if importer.takes_time:
        elapsed = 1.0 if elapsed is None else elapsed
    else:
        elapsed = None
    if isinstance(elapsed, float) and (found := importer.timespan_problems(elapsed)):
        return None, f"{node.where}: {found[0]}"
    call = Call(path, importer, parts, flow.expression, flow.base, elapsed, (), node.line)
    if again and one_step and flow.at:
        before = _goes_on(reader, call, states, flow.at)
        return before, f"{node.where} begins anew in the middle of a sequence"
    initial = tuple(
        Initial(ref.number, place) for place, ref in enumerate(states) if not _zero(reader, ref)
    )
    if parts.projections and any(not one.place for one in initial):
        return None, (
            f"{node.where}: its initial state is that behind its projection (proj_size), and which "
            "state before it is meant cannot be said; begin with zeros"
        )
    return replace(call, initial=initial), ""


def _goes_on(reader: Reader, call: Call, states: Sequence[Ref], at: int) -> Call | None:
    """The call that one step of a sequence goes on with: that of the step before, whose states it
    is given all.
    """
    found: Call | None = None
    for place, ref in enumerate(states):
        meaning = reader.meanings.get(ref.number)
        kept = meaning.state if isinstance(meaning, Flow) else meaning
        if not isinstance(kept, Kept) or (kept.at, kept.place) != (at - 1, place):
            return None
        if replace(call, initial=kept.call.initial) != kept.call:
            return None
        found = kept.call
    return found


def _elapsed(reader: Reader, value: Any, heard: Flow) -> tuple[Elapsed, str]:
    """The elapsed time that a part is given, and what is wrong with it."""
    if value is None:
        return None, ""
    whole = heard.at is None or heard.base.time == 1
    if isinstance(value, Ref) and reader.value(value).depends:
        flow = reader.flow(value)
        if flow is not None and flow.base == heard.base and flow.at == heard.at:
            alone = flow.expression.alone()
            plain = isinstance(alone, Given) and alone.width == 1 and alone.divisor is None
            if plain and (TIME in alone.axes or alone.base.time == 1):
                return alone, ""
        given = _times(value.number, reader.value(value).shape, heard)
        if given is not None and whole:
            return given, ""
        return None, "its elapsed time is not one number for each sample that it is given"
    number = constant(reader, value)
    if number is None or not number.size:
        return None, "its elapsed time is no number and no tensor"
    if (number == number.flat[0]).all():
        return float(number.flat[0]), ""
    given = _times(value.number, number.shape, heard) if isinstance(value, Ref) and whole else None
    return given, "" if given is not None else "its elapsed times are several constants"


def _times(number: int, shape: tuple[int, ...], heard: Flow) -> Given | None:
    """Elapsed times as they go onto a chip, where there is one for each sample that is heard."""
    order = [label for label in heard.axes if label in (BATCH, TIME)]
    sizes = {BATCH: heard.base.batch, TIME: heard.base.time}
    own = shape[:-1] if len(shape) == len(order) + 1 and shape[-1] == 1 else shape
    if list(own) != [sizes[label] for label in order]:
        return None
    axes = (*order, *((None,) * (len(shape) - len(own))))
    return Given(heard.base, 1, number=number, axes=axes)


def _zero(reader: Reader, ref: Ref) -> bool:
    """Whether a state is what a part begins with anyway."""
    held = reader.value(ref)
    return not held.depends and not bool((held.tensor != 0).any())


def _answers(reader: Reader, node: Node, heard: Flow, call: Call, one_step: bool) -> None:
    """What the tensors of an answer are: outputs, and states."""
    last = call.base.time - 1 if heard.at is None else heard.at
    answer = node.answer
    alone = isinstance(answer, Ref)
    first = answer if alone else next(refs(answer))
    outputs = Affine.of(call.messages[-1])
    name = ""
    if call.parts.readout is not None:
        outputs = outputs.mapped(call.parts.readout.weight, call.parts.readout.bias)
        name = f"{call.path}.{call.parts.readout_name}" if call.path else call.parts.readout_name
    made = Flow(outputs, heard.axes, call.base, heard.at, name)
    if len(reader.value(first).shape) == len(made.axes) - 1 and heard.at is None:
        made = replace(made, axes=tuple(a for a in made.axes if a != TIME), at=last)
    states = [] if alone else list(refs(answer[1:]))
    if one_step and (alone or first_is_state(reader, node)):
        states = list(refs(answer))
    for place, ref in enumerate(states):
        reader.meanings[ref.number] = _state(reader, call, ref, place, last)
    if first in states:
        state = reader.meanings[first.number]
        made = replace(made, state=state.state if isinstance(state, Flow) else state)
    reader.meanings[first.number] = made


def _state(reader: Reader, call: Call, ref: Ref, place: int, last: int) -> Flow | Kept | Host:
    """The state of a part after a step: what its layers say, or what it keeps beside that."""
    kept: Kept | None = Kept(call, last, place)
    if place:
        return kept
    shape = reader.value(ref).shape
    each = [Affine.of(message) for message in call.messages]
    if call.parts.projections:
        # What the module hands out is a map of what the layers say, and no state that they keep.
        each = [
            one.mapped(own, np.zeros(len(own)))
            for one, own in zip(each, call.parts.projections, strict=True)
        ]
        kept = None
    by_layer = bool(calls_of(reader.parts[call.path]).get("by_layer"))
    axes = (BATCH, FEATURES) if len(shape) - by_layer == 2 else (FEATURES,)
    if by_layer:
        flows = [Flow(one, axes, call.base, last) for one in each]
        if len(flows) == 1:
            return replace(flows[0], axes=(None, *axes), state=kept)
        return Host() if kept is None else replace(kept, layers=tuple(flows))
    whole = joined(each)
    if kept is not None and whole.rows != shape[-1]:
        return kept
    return Flow(whole, axes, call.base, last, state=kept)


def read_state(reader: Reader, node: Node, kept: Kept | Several) -> bool:
    """Whether a node takes the state of one layer, or of one direction, out of those of all."""
    index = node.arguments[1:]
    if node.operator == "select" and index[0] == 0:
        index = index[1:]
    elif node.operator != "getitem":
        return False
    wanted = index[0]
    if not kept.layers or isinstance(wanted, bool) or not isinstance(wanted, int):
        return False
    reader.set(node.answer, kept.layers[wanted])
    return True
