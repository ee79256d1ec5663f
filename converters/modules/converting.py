"""From a live module and an example to a ConvertedModule. Needs PyTorch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from lnn2loihi.converted.parts import ConvertedModule
from lnn2loihi.converters.modules.assembling import Assembler
from lnn2loihi.converters.modules.atoms import Call
from lnn2loihi.converters.modules.classes import class_name
from lnn2loihi.converters.modules.cutting import Cut
from lnn2loihi.converters.modules.reading import FlowReader
from lnn2loihi.converters.modules.soundness import Check, of_several, without_lengths
from lnn2loihi.converters.recurrent.known import is_recurrent, live_modules
from lnn2loihi.converters.trace.axes import BATCH, TIME
from lnn2loihi.converters.trace.directions import in_directions
from lnn2loihi.converters.trace.example import record_call
from lnn2loihi.converters.trace.record import CannotRunError
from lnn2loihi.converters.trace.recorder import CannotFollowError
from lnn2loihi.converters.trace.recording import Recording
from lnn2loihi.converters.trace.runner import CannotCopyError
from lnn2loihi.errors import ImportNetworkError, NetworkError

#: How often one recurrent part may be called with states of its own, where no sequence is seen.
_MOST_CALLS = 8
#: Options of ConvertedModule's own calls, which keywords of forward stand beside.
_OPTIONS = {"self", "executor", "executors", "module", "target", "progress", "options", "path"}


def converted_module(
    source: Any, args: Sequence[Any], keywords: Mapping[str, Any]
) -> ConvertedModule:
    """See `lnn2loihi.convert`."""
    module = source.__self__ if inspect.ismethod(source) else source
    subject = class_name(module)
    if taken := sorted(_OPTIONS & set(keywords)):
        raise ImportNetworkError(
            subject,
            f"its argument {', '.join(taken)} is called like an option of predict, compare, verify "
            "or report, which would take it; give it by position",
        )
    try:
        recording = record_call(source, args, keywords)
    except (CannotCopyError, CannotFollowError, CannotRunError) as error:
        raise ImportNetworkError(subject, str(error)) from error
    recording, cut = _cut(recording)
    if not any(group.calls for group in cut.groups()):
        raise ImportNetworkError(subject, _nothing_on_chip(recording, cut))
    name = type(recording.module).__name__.lower()
    assembler = Assembler(recording, cut, name)
    try:
        converted = assembler.assemble()
    except NetworkError as error:
        raise ImportNetworkError(subject, error.problems) from error
    return _checked(subject, recording, assembler, converted)


def _cut(recording: Recording) -> tuple[Recording, Cut]:
    """Where everything runs; layers of both directions are taken apart where the chip takes the two
    directions, and stay whole on the host where it does not.
    """
    whole: set[str] = set()
    while True:
        apart = in_directions(recording, whole)
        cut = cut_of(apart)
        paths = {
            cut.producer[number].path
            for number in cut.wanted
            if cut.home(number) is None and number in cut.producer
        }
        lost = {path.rpartition(".")[0] for path in paths & apart.directions.keys() if path}
        if not lost:
            return apart, cut
        whole |= lost


def cut_of(recording: Recording) -> Cut:
    """Where everything of a recording runs; again and again, until nothing more goes to the host
    because of what else did.
    """
    banned: dict[bytes, str] = {}
    kept: dict[int, str] = {}
    while True:
        cut = Cut(FlowReader(recording, banned, kept).follow())
        steps = _lone_steps(cut)
        more = {} if steps else {**cut.to_host(), **_too_often(cut)}
        if steps.keys() <= kept.keys() and more.keys() <= banned.keys():
            return cut
        kept |= steps
        banned |= more


def _lone_steps(cut: Cut) -> dict[int, str]:
    """Nodes at which a recurrent part takes one step with a state that the host, or another part on
    the chip, makes of its last one; with the reason.
    """
    calls: dict[str, list[Call]] = {}
    for group in cut.groups():
        for call in group.calls:
            calls.setdefault(call.path, []).append(call)
    found: dict[int, str] = {}
    for path, own in calls.items():
        places = cut.reader.called
        broken = [
            c for c in own if cut.reader.is_stepwise(c) and len(places[c.digest]) < c.base.time
        ]
        single = [call for call in own if call.base.time == 1]
        levels = {cut.group_of(call).level for call in single}
        if not broken and len(levels) < 2:
            continue
        reason = (
            f"{path} goes on step by step with what is made of its last answer or state by the "
            "host, or by layers behind it: no layer of the chip hears itself in this way, and each "
            "step would be a part on the chip of its own"
        )
        for call in (*broken, *single):
            found |= dict.fromkeys(places[call.digest], reason)
    return found


def _too_often(cut: Cut) -> dict[bytes, str]:
    """Recurrent parts that are called again and again with what the host makes of their answers."""
    calls: dict[str, list[bytes]] = {}
    for group in cut.groups():
        for call in group.calls:
            calls.setdefault(call.path, []).append(call.digest)
    return {
        digest: f"{path} is called {len(own)} times with states or samples that the host makes of "
        "what it answers, and each call would be a part on the chip of its own"
        for path, own in calls.items()
        if len(own) > _MOST_CALLS
        for digest in own
    }


def _nothing_on_chip(recording: Recording, cut: Cut) -> list[str]:
    """Why no recurrent part is on the chip."""
    reasons = cut.reader.reasons
    found = [
        reasons.get(place, f"{node.where}: the answer does not depend on it")
        for place, node in enumerate(recording.graph.nodes)
        if node.path is not None and is_recurrent(recording.parts[node.path])
    ]
    if found:
        return ["no recurrent part of it can run on the chip", *dict.fromkeys(found)]
    idle = [path for path, part in recording.parts.items() if is_recurrent(part)]
    if idle:
        return [f"forward calls none of its recurrent parts ({', '.join(idle[:8])})"]
    return [f"it holds no recurrent layer; those that a chip can have are {live_modules()}"]


def _checked(
    subject: str, recording: Recording, assembler: Assembler, converted: ConvertedModule
) -> ConvertedModule:
    """What was converted, after a comparison with the module.

    Raises:
        ImportNetworkError: they answer otherwise.
    """
    check = Check(recording, converted, assembler.numbers)
    problems = check.problems()
    if problems and not (again := check.problems(lengths=False)):
        # What is right for sequences of this length alone is taken for no other.
        problems, converted = again, without_lengths(converted, recording.sizes[TIME])
    if problems:
        advice = (
            "If forward does the same with examples of any size and any values, this is a fault of "
            "lnn2loihi; give the recurrent layer alone then"
        )
        raise ImportNetworkError(subject, f"{problems[0]}. {advice}")
    for axis in (BATCH, TIME):
        if any(axis in one.axes for one in converted.inputs) and not check.alone(axis):
            converted = of_several(converted, axis)
    return converted
