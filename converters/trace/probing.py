"""Which axes of an example are its batch and its time: found by giving it other sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from torch import Tensor

from lnn2loihi.converters.recurrent.known import is_recurrent
from lnn2loihi.converters.trace.arguments import Example
from lnn2loihi.converters.trace.axes import BATCH, TIME
from lnn2loihi.converters.trace.graph import Graph, refs
from lnn2loihi.converters.trace.likeness import resized
from lnn2loihi.converters.trace.record import CannotRunError
from lnn2loihi.converters.trace.recorder import CannotFollowError
from lnn2loihi.converters.trace.runner import Runner
from lnn2loihi.family import family_of_importer, importer_of, left_out
from lnn2loihi.faults import described

#: An axis of an input: the input's number, and the axis.
Place = tuple[int, int]
#: Sets of axes that are tried together with one, at most.
_MOST_GROUPS = 24
_VARIED = "varied"


@dataclass
class Axes:
    """What is known of the axes of an example.

    Attributes:
        labels: for each input, for each axis, BATCH, TIME or None.
        working: for BATCH and TIME another size that was seen to work.
        notes: what the user has to know of axes that cannot have another size.
    """

    labels: list[list[str | None]]
    working: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def sizes(self, tensors: Sequence[Tensor]) -> dict[str, int]:
        """The example's own BATCH and TIME."""
        found: dict[str, int] = {}
        for labels, tensor in zip(self.labels, tensors, strict=True):
            for label, size in zip(labels, tensor.shape, strict=True):
                if label is not None:
                    found.setdefault(label, size)
        return found


@dataclass(frozen=True)
class PartCall:
    """How often a recurrent part runs side by side, and one after the other, in one call."""

    path: str
    batch: int
    time: int | None


def probed(runner: Runner, example: Example, graph: Graph) -> Axes:
    """The axes of an example.

    The size of one axis at a time is varied, with axes of other inputs that go with it, and looked
    how the recurrent parts are called then: one that changes how many sequences there are is the
    batch, one that changes how many steps there are is the time.

    Args:
        runner: runs the module.
        example: the example.
        graph: what was recorded with it.
    """
    tensors = list(example.tensors.values())
    found = Axes([[None] * tensor.dim() for tensor in tensors])
    base = part_calls(graph, runner)
    seen: set[Place] = set()
    for number, tensor in enumerate(tensors):
        for axis in range(tensor.dim()):
            if (number, axis) in seen:
                continue
            for group, size in _ways(tensors, (number, axis), seen):
                varied = _varied(runner, example, tensors, group, size)
                if varied is None:
                    continue
                seen |= set(group)
                label = _meaning(base, part_calls(varied, runner), (number, axis))
                _mark(found, group, label, size, list(example.tensors))
                break
    _note_fixed(found, base)
    return found


def part_calls(graph: Graph, runner: Runner) -> list[PartCall]:
    """How the recurrent parts are called, in order."""
    found: list[PartCall] = []
    for node in graph.nodes:
        if node.path is None or not is_recurrent(runner.parts[node.path]):
            continue
        first = next(refs((node.arguments, node.keywords)), None)
        if first is not None:
            calls = calls_of(runner.parts[node.path])
            shape = graph.values[first.number].shape
            found.append(PartCall(node.path, *sizes_of_call(calls, shape)))
    return found


def sizes_of_call(calls: Mapping[str, bool], shape: Sequence[int]) -> tuple[int, int | None]:
    """Batch and time of what a recurrent part is given; no time for one step."""
    if calls.get("one_step"):
        return (shape[0] if len(shape) > 1 else 1), None
    if calls.get("features_first"):
        return (shape[0] if len(shape) > 2 else 1), shape[-1] if shape else 1
    if len(shape) < 3:
        return 1, shape[0] if shape else 1
    first, second = shape[0], shape[1]
    return (second, first) if calls.get("time_first") else (first, second)


def calls_of(part: Any) -> Mapping[str, bool]:
    """How a recurrent part is called: what its importer says, else what its attributes say."""
    importer = importer_of(part)
    assert importer is not None
    said: Mapping[str, bool] = {}
    try:
        said = importer.calls(part) or {}
    except Exception as error:  # a stranger's importer: it is taken as most are
        reason = f"it does not say how its modules are called: {described(error)}"
        left_out(family_of_importer(importer), reason)
    return {"time_first": not getattr(part, "batch_first", True), **said}


def _ways(
    tensors: Sequence[Tensor], place: Place, seen: set[Place]
) -> Iterator[tuple[tuple[Place, ...], int]]:
    """Axes to vary together with one, and the size to give them, the likeliest first."""
    number, axis = place
    size = tensors[number].shape[axis]
    if not size:
        return
    sizes = [2 * size, size + 1] + ([size - 1] if size > 1 else [])
    for group in _groups(tensors, place, seen):
        for other in dict.fromkeys(sizes):
            yield group, other


def _groups(
    tensors: Sequence[Tensor], place: Place, seen: set[Place]
) -> Iterator[tuple[Place, ...]]:
    number, axis = place
    size = tensors[number].shape[axis]
    choices: list[list[Place | None]] = []
    for other, tensor in enumerate(tensors):
        if other != number:
            same = [a for a in range(tensor.dim()) if tensor.shape[a] == size]
            same = [a for a in same if (other, a) not in seen]
            same.sort(key=lambda a: (a != axis, a))
            choices.append([*((other, a) for a in same), None])
    found = [(place, *(one for one in way if one is not None)) for way in product(*choices)]
    # As many together as there can be; of those at the same place first.
    found.sort(key=lambda group: (-sum(a == axis for _, a in group), -len(group)))
    alone = found.index((place,))
    yield from found[:1]
    if alone:
        yield found[alone]
        yield from [one for one in found[1:] if one != (place,)][:_MOST_GROUPS]


def _varied(
    runner: Runner, example: Example, tensors: Sequence[Tensor], group: Sequence[Place], size: int
) -> Graph | None:
    """What is recorded with another size of some axes; None where forward does not take it."""
    given: dict[str, Tensor] = {}
    for (name, tensor), number in zip(example.tensors.items(), range(len(tensors)), strict=True):
        axes = [_VARIED if (number, axis) in group else None for axis in range(tensor.dim())]
        given[name] = resized(tensor, axes, {_VARIED: size})
    try:
        return runner.record(*example.given(list(given.values())), given)
    except (CannotRunError, CannotFollowError):
        return None


def _meaning(base: list[PartCall], other: list[PartCall], place: Place) -> str | None:
    """What an axis is that makes other calls of these."""
    if not base:
        return BATCH if place[1] == 0 else None
    if [call.path for call in base] != [call.path for call in other]:
        # A loop over the steps runs more or less often, whatever else hears whole sequences.
        wholes = [[c.path for c in calls if c.time not in (None, 1)] for calls in (base, other)]
        return TIME if wholes[0] == wholes[1] else None
    pairs = list(zip(base, other, strict=True))
    if any(one.time != two.time for one, two in pairs):
        return TIME
    return BATCH if any(one.batch != two.batch for one, two in pairs) else None


def _mark(
    found: Axes, group: Sequence[Place], label: str | None, size: int, names: Sequence[str]
) -> None:
    """Notes what the axes of a group are."""
    if label is None:
        return
    if label in found.working:
        number, axis = group[0]
        found.notes.append(
            f"axis {axis} of {names[number]} changes the {label} too, beside another axis; it has "
            "the example's size"
        )
        return
    found.working[label] = size
    for number, axis in group:
        found.labels[number][axis] = label


def _note_fixed(found: Axes, base: list[PartCall]) -> None:
    """Says where a size of the recurrent parts is the example's own."""
    times = {call.time for call in base if call.time is not None}
    loops = len({call.path for call in base}) < len(base)
    if TIME not in found.working and (loops or any(time != 1 for time in times)):
        steps = "as many steps as the example" if loops else f"{max(times)} steps"
        found.notes.append(
            f"forward takes sequences of {steps} only: with no other length of an input it runs"
        )
    if BATCH not in found.working and any(call.batch > 1 for call in base):
        batch = max(call.batch for call in base)
        found.notes.append(
            f"forward takes {batch} sequences at once only: with no other size of an input it runs"
        )
