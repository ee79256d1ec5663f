"""What a recorded forward means: samples that pass through steps one after the other.

Each tensor that depends on the samples has the whole way on which it came (`Stream.steps`), so what
forward computes in vain is passed over, and loops over the steps of a sequence are the layers that
they are: the tensors of all steps have come on the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from lnn2loihi.converters.trace.axes import BATCH, FEATURES, TIME, Axes, WithAxes
from lnn2loihi.converters.trace.graph import Graph, Line, Ref, Value, refs

#: Where a Step has its elapsed time from the argument of forward.
GIVEN = "given"
#: The arguments of forward that are followed.
SAMPLES, TIMESPANS = "x", "timespans"


@dataclass(frozen=True)
class Step:
    """What happens to the features of each sample.

    Attributes:
        kind: "part" (as `path` says), "layers" (what a family has read already), "activation",
            "affine" (features * factor + offset), "map" (weight features + offset), "norm" (what
            `name`, layer_norm or rms_norm, makes of all features, * factor + offset), "select" (the
            features `indices`), "host" (a function that a network has only after its end) or
            "refused".
        name: of the activation or of the function; of anything else what a layer would be called.
        path: of a part, or where layers stand among the parts; of an activation what its layer is
            called, if not as the function is.
        factor, offset: one for each feature.
        weight: float64 (outputs, features), as bytes.
        epsilon: what a norm adds to the mean of the squares.
        indices: of features.
        elapsed: what forward gives a recurrent part as elapsed time: a number, None for nothing, or
            GIVEN.
        text: why it is refused.
        line: of the user's code.
    """

    kind: str
    name: str = ""
    path: str = ""
    factor: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    weight: bytes = field(default=b"", repr=False)
    epsilon: float = 0.0
    indices: tuple[int, ...] = ()
    elapsed: float | str | None = None
    text: str = field(default="", compare=False)
    line: Line | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """For messages."""
        what = self.path or self.name
        return f"{what} ({self.line})" if self.line and not self.path else what


@dataclass(frozen=True)
class State:
    """The state of a recurrent part after a step, or after the last one.

    Attributes:
        path: the part's.
        at: the step, or None for the last one of a layer.
        place: which of its states.
        top: where it holds the states of several layers, the last answer of the last one.
    """

    path: str
    at: int | None
    place: int = 0
    top: Stream | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Stream(WithAxes):
    """A tensor that was made of the samples alone, step after step.

    Attributes:
        steps: how.
        axes: what its axes mean.
        at: the one step of the sequence that it is of; None for all of them.
        source: SAMPLES or TIMESPANS.
        state: what else it is: the state of a recurrent part.
    """

    steps: tuple[Step, ...]
    axes: Axes
    at: int | None = None
    source: str = SAMPLES
    state: State | None = None

    def after(self, step: Step, axes: Axes | None = None) -> Stream:
        """The tensor after one more step."""
        made = self.axes if axes is None else axes
        return replace(self, steps=(*self.steps, step), axes=made, state=None)

    def moved(self, axes: Axes) -> Stream:
        """The same values with other axes."""
        return self if axes == self.axes else replace(self, axes=axes, state=self.state)


@dataclass(frozen=True)
class Lost:
    """A tensor that no chain of steps makes, and why: all that was found on its way."""

    reasons: tuple[str, ...]


Meaning = Stream | State | Lost


@dataclass(frozen=True)
class Reading:
    """What a recorded forward means.

    Attributes:
        steps: from the samples to the answer.
        last: whether it answers with the last step alone.
        problems: everything for which no network can be made.
        axes: what the axes of the answer mean.
        constants: places in the answer of what does not depend on the samples.
        dropouts: rates of dropout on the way, each with the number of steps before it.
    """

    steps: tuple[Step, ...]
    last: bool
    problems: tuple[str, ...]
    axes: Axes = ()
    constants: tuple[int, ...] = ()
    dropouts: tuple[tuple[int, float], ...] = ()


_NOTHING_OF_X = (
    "its answer does not depend on x, as far as its operators can be seen (those of torch.jit and "
    "of extensions in C++ cannot)"
)


def heads(meanings: list[Meaning]) -> str:
    """Where streams part, for messages: the last step of each."""
    found: list[str] = []
    for meaning in meanings:
        if isinstance(meaning, Stream):
            working = [step for step in meaning.steps if step.path or step.name]
            found.append(str(working[-1]) if working else meaning.source)
        elif isinstance(meaning, State):
            found.append(f"the state of {meaning.path}")
        else:
            found.append("what cannot be followed")
    return " and ".join(dict.fromkeys(found))


def read_answer(graph: Graph, meanings: dict[int, Meaning], steps: int) -> Reading:
    """What forward answers: the first tensor of a tuple, beside which there may be states.

    Args:
        graph: of a run.
        meanings: of its values that depend on the samples.
        steps: of the sequence that it ran on.
    """
    answer = graph.answer
    first, others = answer, ()
    if isinstance(answer, (tuple, list)) and answer:
        first, others = answer[0], tuple(answer[1:])
    if not isinstance(first, Ref):
        kind = type(answer).__name__
        text = (
            f"its forward answers with a {kind}; expected a tensor, or a tuple that starts with one"
        )
        return Reading((), False, (text,))
    meaning = meanings.get(first.number)
    if meaning is None:
        return Reading((), False, (_NOTHING_OF_X,))
    if isinstance(meaning, Lost):
        return Reading((), False, meaning.reasons)
    if isinstance(meaning, State):
        return Reading((), False, (state_used(meaning, "it answers with"),))
    problems = [step.text for step in meaning.steps if step.kind == "refused"]
    problems += _other_answers(meaning, others, graph, meanings)
    last = meaning.at is not None
    if last and meaning.at != steps - 1:
        problems.append(
            f"it answers with step {meaning.at} of {steps}; a network answers to each sample, of "
            "which the last answer may be what forward returns"
        )
    if meaning.source != SAMPLES:
        problems.append("it answers with its timespans")
    if not problems and not _fits(meaning):
        problems.append(
            f"the axes of its answer are {tuple(_shape(graph, first))}; expected (batch, time, "
            "outputs), or (batch, outputs) for the last step"
        )
    constants = tuple(
        place
        for place, other in enumerate(others, 1)
        if any(not graph.values[ref.number].depends for ref in refs(other))
    )
    return Reading(meaning.steps, last, tuple(problems), meaning.axes, constants)


def _fits(stream: Stream) -> bool:
    """Whether an answer has the axes of one."""
    axes = tuple(axis for axis in stream.axes if axis is not None)
    expected = [label for label in (BATCH, TIME) if label in stream.labels]
    given = [axis for axis in axes if axis != FEATURES]
    ends = FEATURES not in axes or axes[-1] == FEATURES
    return ends and sorted(map(str, given)) == sorted(expected)


def _shape(graph: Graph, ref: Ref) -> tuple[int, ...]:
    return graph.values[ref.number].shape


def _other_answers(
    first: Stream, others: Any, graph: Graph, meanings: dict[int, Meaning]
) -> list[str]:
    """What stands beside the first answer and is no state."""
    beside: list[Meaning] = []
    for ref in refs(others):
        value: Value = graph.values[ref.number]
        meaning = meanings.get(ref.number)
        if meaning is None and not value.depends:
            continue
        if isinstance(meaning, State) or (isinstance(meaning, Stream) and meaning.state):
            continue
        if isinstance(meaning, Stream) and replace(meaning, axes=first.axes) == first:
            continue
        beside.append(meaning or Lost(()))
    if not beside:
        return []
    return [
        f"it has several heads: forward answers with {heads([first, *beside])}; a network has one "
        "answer beside its states, so join the maps into one Linear (their weights below each "
        "other), or give a module for each head"
    ]


def state_used(state: State, what: str) -> str:
    """Why a state can be no stream."""
    return (
        f"{what} the state of {state.path}, and a network answers with outputs; use the first "
        f"answer of {state.path}"
    )
