"""Layers in a row, of any families, in what an ONNX graph computes in one step after another.

The search goes backwards: from the answer to the readout, the last layer, what that layer reads.
Families say by `OnnxReader.part` what makes a row; here the layers of a step are put together, and
steps are followed back to the initial state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np

from lnn2loihi.converters.onnx_read.parts import FOLDED_STATE, unexpected
from lnn2loihi.converters.onnx_read.recurrence import asked, readers
from lnn2loihi.converters.onnx_read.terms import Affine, Identities, NodeError, Scaled, Terms, same
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.network import LiquidNetwork

LayerKind = TypeVar("LayerKind", bound=Layer)


class StateRows(NamedTuple):
    """A state of a layer: its name, and its identities before a step and after it; nothing before
    it where an exporter folded a state of zeros away.
    """

    name: str
    before: Identities
    after: Identities


class FoundPart(ABC):
    """A layer as it stands in one step, or several that are one.

    Attributes:
        row: what it answers.
        before: what it reads from outside.
        stateless: whether it has no state.
        singles: how many layers of `LiquidNetwork.single_layers` it is.
        elapsed: identity of the elapsed time, or None where time is constant or without effect.
    """

    stateless: ClassVar[bool] = False
    row: Identities
    before: Identities
    elapsed: int | None = None

    @property
    def singles(self) -> int:
        """See above."""
        return 1

    @abstractmethod
    def arrays(self) -> Sequence[FloatArray | str]:
        """All that another step's has to have the same; of a layer that hears a state of zeros,
        whose columns are folded away, matrices may be narrower.
        """

    @abstractmethod
    def states(self, names: Sequence[str]) -> list[StateRows]:
        """Its states, the one that it answers with last of the answers."""

    @abstractmethod
    def answers(self, names: Sequence[str]) -> Identities:
        """The last answer of its last layer, as it is heard; empty where it is folded away."""

    @abstractmethod
    def layer(self, names: Sequence[str]) -> Layer:
        """The layer, or the layers as one."""


@dataclass(frozen=True, eq=False)
class FoundStep:
    """All layers of one step.

    Attributes:
        readout: the map on the last layer, or None.
        parts: the layers in order.
        sample: the sample, and what is done to each of its channels first.
    """

    readout: Affine | None
    parts: tuple[FoundPart, ...]
    sample: Scaled

    @cached_property
    def named(self) -> list[tuple[FoundPart, list[str]]]:
        """Each part with the names of its layers."""
        recurrent, number, found = count(), 0, []
        for part in self.parts:
            names = [f"dense_{number}"]
            if not part.stateless:
                names = [f"layer_{next(recurrent)}" for _ in range(part.singles)]
            found.append((part, names))
            number += part.singles
        return found

    @cached_property
    def recurrent(self) -> list[tuple[FoundPart, list[str]]]:
        """Those that keep a state."""
        return [(part, names) for part, names in self.named if not part.stateless]

    @cached_property
    def states(self) -> list[StateRows]:
        """All states."""
        return [state for part, names in self.recurrent for state in part.states(names)]

    @cached_property
    def key(self) -> bytes:
        """What tells the step from others: its new states."""
        return b"".join(state.after.tobytes() for state in self.states)


@dataclass(frozen=True, eq=False)
class ChainRecurrence:
    """The steps of a graph, first to last; all have the same recurrent layers."""

    terms: Terms
    steps: tuple[FoundStep, ...]

    @property
    def last(self) -> FoundStep:
        """The last step, which has all layers."""
        return self.steps[-1]

    @property
    def samples(self) -> list[Identities]:
        """Identities of the sample of each step."""
        return [step.sample.row for step in self.steps]

    @property
    def elapsed(self) -> list[int]:
        """For each step the identity of its elapsed time; empty where time is constant."""
        found = (
            next((part.elapsed for part in step.parts if part.elapsed is not None), None)
            for step in self.steps
        )
        return [identity for identity in found if identity is not None]

    def initial_states(self) -> dict[str, Identities]:
        """For each stage that keeps a state its identities before the first step."""
        return {name: before for name, before, _ in self.steps[0].states if before.size}

    def final_states(self) -> dict[str, Identities]:
        """For each stage that keeps a state its identities after the last step."""
        return {name: after for name, _, after in self.last.states}

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {step.key: number for number, step in enumerate(self.steps)}

    def position(self, row: Identities) -> int | None:
        """Which of its steps a row is the answer of, None if it is none's.

        Raises:
            NodeError: the row is made otherwise than the answers.
        """
        step = find_step(self.terms, row)
        place = self._places.get(step.key)
        if place is not None and (problem := _answer_difference(step, self.last)):
            raise unexpected(self.terms, row, f"every answer to be made as the last one; {problem}")
        return place

    def network(self, name: str) -> LiquidNetwork:
        """The network of the layers that were found.

        Raises:
            NetworkError: the layers do not fit each other.
            NodeError: a layer is one that a LiquidNetwork does not have.
        """
        step = self.last
        layers = [part.layer(names) for part, names in step.named]
        layers[0], offset, scale = normalised(layers[0], step.sample)
        return LiquidNetwork(
            name,
            tuple(layers),
            step.readout and Linear("readout", step.readout.weight, step.readout.bias),
            None if self.elapsed else 1.0,
            input_offset=offset,
            input_scale=scale,
        )


def normalised(layer: LayerKind, sample: Scaled) -> tuple[LayerKind, FloatArray, FloatArray]:
    """A first layer, and `input_offset` and `input_scale` of its network, for samples whose
    channels are multiplied and moved. A negative factor goes into the weights, and so does a
    channel that is not heard.
    """
    live = sample.factor != 0.0
    if (sample.factor <= 0.0).any():
        layer = layer.with_inputs(np.sign(sample.factor), np.where(live, 0.0, sample.offset))
    factor = np.where(live, sample.factor, 1.0)
    # As a quotient of 1, so that a scale that was divided by comes out as it was.
    return layer, np.where(live, -sample.offset / factor, 0.0), 1.0 / np.abs(factor)


def find_step(terms: Terms, answer: Identities) -> FoundStep:
    """The layers that make an answer.

    Raises:
        NodeError: names the first node that does not fit, and what was expected there.
    """
    known = terms.found.get(answer.tobytes())
    if isinstance(known, FoundStep):
        return known
    readout = _of_all_units(terms, answer)
    row = answer if readout is None else readout.columns
    parts: list[FoundPart] = []
    while (sample := find_sample(terms, row)) is None:
        part = _find_part(terms, row)
        parts.insert(0, part)
        row = part.before
    if all(part.stateless for part in parts):
        expected = "; or ".join(r.expected for _, r in readers() if r.expected)
        raise unexpected(terms, answer, f"a recurrent layer: {expected}")
    step = FoundStep(readout, tuple(parts), sample)
    terms.found[answer.tobytes()] = step
    return step


def _of_all_units(terms: Terms, answer: Identities) -> Affine | None:
    """The map that makes an answer, of all units of the layer that it reads, in their order; None
    where the answer is that layer's.
    """
    readout = terms.affine(answer)
    heard = answer if readout is None else readout.columns
    found, whole = terms.term_of(heard), terms.whole(heard)
    if found is None or found[0].operation == "input" or same(heard, whole):
        return readout
    chosen = readout or Affine(heard, np.eye(heard.size), np.zeros(heard.size))
    weight = np.zeros((answer.size, whole.size))
    for place, column in zip(heard - whole[0], chosen.weight.T, strict=True):
        weight[:, place] += column
    return Affine(whole, weight, chosen.bias)


def find_sample(terms: Terms, row: Identities) -> Scaled | None:
    """A row as a sample whose channels are each multiplied and moved by constants."""
    scaled = terms.scaled(row)
    places = terms.inputs(scaled.row)
    return scaled if places is not None and all(place[0] == 0 for place in places) else None


def _find_part(terms: Terms, row: Identities) -> FoundPart:
    wrong: NodeError | None = None
    expected: list[str] = []
    for family, reader in readers():
        if reader.part is None:
            continue
        expected.append(reader.expected)
        try:
            found = asked(family, reader.part, terms, row)
        except NodeError as error:
            wrong = wrong or error
            continue
        if found is not None:
            return found
    raise wrong or unexpected(terms, row, "; or ".join(expected))


def chain_recurrence(terms: Terms, answer: Identities) -> ChainRecurrence:
    """Follows the recurrence from the last answer back to the initial state.

    Raises:
        NodeError: names the first node that does not fit, and what was expected there.
    """
    steps = [find_step(terms, answer)]
    for name, before, after in steps[0].states:
        if not before.size:
            raise unexpected(terms, after, f"{name} to hear its last state. {FOLDED_STATE}")
    while (previous := _previous(terms, steps[0])) is not None:
        step = find_step(terms, previous)
        problem = _difference(step, steps[0])
        if problem:
            raise unexpected(
                terms, previous, f"the step before to be made as the one after it; {problem}"
            )
        steps.insert(0, step)
    return ChainRecurrence(terms, tuple(steps))


def _previous(terms: Terms, step: FoundStep) -> Identities | None:
    """The answer of the last recurrent layer in the step before; None at the first step."""
    part, names = step.recurrent[-1]
    heard = part.answers(names)
    made = terms.term_of(heard[:1])
    initial = made is None or made[0].operation in ("constant", "input")
    return None if initial else heard


def _difference(step: FoundStep, after: FoundStep) -> str:
    """How the recurrent layers of two steps that follow each other differ; empty if they do not."""
    if len(step.recurrent) != len(after.recurrent) or len(step.states) != len(after.states):
        return "its number of layers differs"
    for own, later in zip(step.states, after.states, strict=True):
        if not same(own.after, later.before):
            return f"{own.name} does not hear its own last state"
    if not same_sample(step.sample, after.sample):
        return "its sample is scaled otherwise"
    # What stands behind the last recurrent layer is not heard by the next step.
    if not all(_same_arrays(p, later) for p, later in zip(step.parts, after.parts, strict=False)):
        return "a layer has other weights"
    return ""


def same_sample(one: Scaled, other: Scaled) -> bool:
    """Whether two samples are multiplied and moved by the same constants."""
    return np.array_equal(one.factor, other.factor) and np.array_equal(one.offset, other.offset)


def _answer_difference(step: FoundStep, last: FoundStep) -> str:
    """How an answer is made otherwise than the last; empty if it is not."""
    readouts = [
        () if one is None else (one.weight, one.bias) for one in (step.readout, last.readout)
    ]
    if len(step.parts) != len(last.parts) or len(readouts[0]) != len(readouts[1]):
        return "its number of layers differs"
    if not all(
        _same_arrays(part, other) for part, other in zip(step.parts, last.parts, strict=True)
    ):
        return "a layer has other weights"
    if not all(map(np.array_equal, *readouts)):
        return "its readout has other weights"
    return ""


def _same_arrays(part: FoundPart, later: FoundPart) -> bool:
    own, others = part.arrays(), later.arrays()
    return (
        type(part) is type(later)
        and len(own) == len(others)
        and all(_equal(one, other) for one, other in zip(own, others, strict=True))
    )


def _equal(one: FloatArray | str, other: FloatArray | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str) and one == other
    if one.ndim == other.ndim == 2 and one.shape[1] < other.shape[1]:
        other = other[:, : one.shape[1]]
    return one is other or np.array_equal(one, other)
