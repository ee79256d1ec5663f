"""Accounts for all that goes into a file and comes out of it: nothing may be lost without a word.

Every number of the first output has to be an answer of the network at some step of some sequence,
every sample has to be heard, in its order, and every other output has to be a final state or to
repeat answers; whatever is anything else is refused by its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lnn2loihi.converters.onnx_read.recurrence import Recurrence, recurrence_of
from lnn2loihi.converters.onnx_read.symbolic import Symbols, Traced
from lnn2loihi.converters.onnx_read.terms import Identities, NodeError, Terms
from lnn2loihi.network import LiquidNetwork


@dataclass(eq=False)
class FoundSequence:
    """One sequence of a batch.

    Attributes:
        recurrence: its steps.
        answers: for rows of the first output, first to last, the step that each is the answer of.
    """

    recurrence: Recurrence
    answers: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Understood:
    """What a file computes.

    Attributes:
        traced: its trace.
        sequences: all sequences of its batch, of the same network.
        left_out: its outputs after the first, each with what it is.
        width: how many numbers an answer has.
    """

    traced: Traced
    sequences: tuple[FoundSequence, ...]
    left_out: dict[str, str]
    width: int

    @property
    def first(self) -> Recurrence:
        """One of the sequences."""
        return self.sequences[0].recurrence

    @property
    def unheard(self) -> list[str]:
        """Inputs on which no answer depends."""
        heard = {0}
        for sequence in self.sequences:
            found = sequence.recurrence
            rows = [np.array(found.elapsed, np.int64), *found.initial_states().values()]
            for places in filter(None, map(self.traced.terms.inputs, rows)):
                heard.update(place[0] for place in places)
        return [name for n, name in enumerate(self.traced.input_names) if n not in heard]

    @property
    def answered(self) -> str:
        """Which steps the file answers, empty where it is all of them."""
        steps, answers = len(self.first.samples), len(self.sequences[0].answers)
        last = "the last step" if answers == 1 else f"the last {answers} steps"
        return "" if answers == steps else f"{last} of {steps}"

    def check_same(self, network: LiquidNetwork) -> None:
        """All sequences have to pass the same network.

        Raises:
            NodeError: one does not.
        """
        for sequence in self.sequences[1:]:
            if sequence.recurrence.network(network.name) != network:
                raise NodeError(
                    "its sequences of a batch pass networks with other weights; expected one "
                    "network for all"
                )


def understood(traced: Traced) -> Understood:
    """Finds the network of a graph, and what all of its inputs and outputs are.

    Raises:
        NodeError: names the first node, input or output that does not fit, and what was expected.
    """
    if not traced.inputs or not traced.outputs:
        raise NodeError("the graph has no input or no output; expected samples and answers")
    (name, value), *others = traced.outputs.items()
    if not isinstance(value, Symbols) or not value.identities.size:
        raise NodeError(
            f"its first output, {name!r:.80}, does not depend on its input; expected the answers"
        )
    width, sequences = _all_sequences(traced.terms, value.identities)
    _check_answers(name, sequences)
    _check_samples(traced, sequences)
    _check_start(traced.terms, sequences)
    left_out = {
        other: _what_is_left_out(traced.terms, other, given, value.identities, sequences)
        for other, given in others
    }
    return Understood(traced, tuple(sequences), left_out, width)


def _all_sequences(terms: Terms, answers: Identities) -> tuple[int, list[FoundSequence]]:
    """How many numbers an answer has, and the sequences.

    Answers stand along the last axis; where that does not fit, several may be laid out in one row,
    as by squeeze or flatten.
    """
    row = answers.reshape(-1, answers.shape[-1] if answers.ndim else 1)[-1]
    together = np.isin(row, terms.whole(row))
    first = int(row.size if together.all() else together.argmin())
    wrong: NodeError | None = None
    for width in dict.fromkeys((row.size, first)):
        try:
            if row.size % width == 0:
                return width, _sequences(terms, answers.reshape(-1, width))
        except NodeError as error:
            wrong = wrong or error
    assert wrong is not None, "a row is as long as itself"
    raise wrong


def _sequences(terms: Terms, rows: Identities) -> list[FoundSequence]:
    """The sequences that all rows of an output are answers of, the last one first."""
    found: list[FoundSequence] = []
    for number in range(len(rows) - 1, -1, -1):
        row = rows[number]
        for sequence in found:
            place = sequence.recurrence.position(row)
            if place is not None:
                break
        else:
            sequence = FoundSequence(recurrence_of(terms, row))
            place = len(sequence.recurrence.samples) - 1
            found.append(sequence)
        sequence.answers = {number: place, **sequence.answers}
    return found


def _check_answers(name: str, sequences: list[FoundSequence]) -> None:
    first = sequences[0]
    for sequence in sequences:
        steps, places = len(sequence.recurrence.samples), list(sequence.answers.values())
        alike = steps == len(first.recurrence.samples) and len(places) == len(first.answers)
        if not alike or places != list(range(steps - len(places), steps)):
            raise NodeError(
                f"output {name!r:.80} has the answers of the steps {_numbers(places)} of {steps}; "
                "expected those of all steps in their order, or of the last ones, the same of "
                "every sequence"
            )


def _numbers(places: list[int]) -> str:
    shown = ", ".join(str(place) for place in places[:8])
    return shown + (", ..." if len(places) > 8 else "")


def _check_samples(traced: Traced, sequences: list[FoundSequence]) -> None:
    """Samples are whole rows of the first input, one after another, and all are heard."""
    name, whole = traced.input_names[0], traced.inputs[0].identities
    channels = whole.shape[-1] if whole.ndim else 1
    starts: dict[int, tuple[int, ...]] = {}
    for sequence in sequences:
        steps = [traced.terms.inputs(row) or [] for row in sequence.recurrence.samples]
        for places in steps:
            heard = [place[-1] for place in places]
            if heard != list(range(channels)) or len({place[:-1] for place in places}) > 1:
                raise NodeError(
                    f"a step hears the channels {_numbers(heard)} of input {name!r:.80}, which has "
                    f"{channels}; expected all channels of one sample in their order"
                )
        _check_order(name, [places[0][1:-1] for places in steps])
        starts[next(iter(sequence.answers))] = steps[0][0]
        elapsed = sequence.recurrence.elapsed
        spans = [traced.terms.inputs(np.array([span])) or [] for span in elapsed]
        if len(set(elapsed)) > 1:
            _check_order(traced.input_names[spans[0][0][0]], [span[0][1:] for span in spans])
    ordered = [starts[row] for row in sorted(starts)]
    if ordered != sorted(ordered):
        raise NodeError(
            f"its answers have the sequences of input {name!r:.80} in another order; expected the "
            "same order"
        )
    heard = {int(i) for s in sequences for row in s.recurrence.samples for i in row}
    if len(heard) != whole.size:
        raise NodeError(
            f"its answers hear {len(heard)} of the {whole.size} numbers of input {name!r:.80}, "
            f"shape {whole.shape}; expected all steps and sequences of it to be heard"
        )


def _check_order(name: str, places: list[tuple[int, ...]]) -> None:
    """Steps go along one axis, from one place to the next."""
    moves = {
        tuple(int(n) for n in np.subtract(after, before))
        for before, after in zip(places, places[1:], strict=False)
    }
    if len(moves) > 1 or any(
        sorted(move)[-1:] != [1] or sum(map(abs, move)) != 1 for move in moves
    ):
        raise NodeError(
            f"its steps hear input {name!r:.80} at {places[0]}, {places[1]}, ...; expected one "
            "sample after another, forwards in time"
        )


def _check_start(terms: Terms, sequences: list[FoundSequence]) -> None:
    """A state starts at zero, or is an input."""
    for sequence in sequences:
        for name, row in sequence.recurrence.initial_states().items():
            places, constants = terms.inputs(row), terms.constants(row)
            if (constants is None or constants.any()) and (
                places is None or any(place[0] == 0 for place in places)
            ):
                made = terms.node_of(sequence.recurrence.final_states()[name])
                raise NodeError(
                    f"{made} does not fit: its state {name} starts at "
                    + ("other constants" if constants is not None else terms.node_of(row))
                    + "; expected zero, or an input of its own"
                )


def _what_is_left_out(
    terms: Terms, name: str, value: object, answers: Identities, sequences: list[FoundSequence]
) -> str:
    """What an output after the first is.

    Raises:
        NodeError: it is nothing that the network answers anyway.
    """
    expected = (
        "expected nothing after the answers but final states, for the network has no other "
        "outputs; join heads into one output before the export, or leave it out of it"
    )
    if not isinstance(value, Symbols) or not value.identities.size:
        raise NodeError(f"output {name!r:.80} does not depend on the input; {expected}")
    states: dict[str, list[Identities]] = {}
    for sequence in sequences:
        for state, row in sequence.recurrence.final_states().items():
            states.setdefault(state, []).append(row)
    kinds = {state: np.concatenate(rows) for state, rows in states.items()}
    # Of a state all units: some of them are another answer.
    made = [state for state, rows in kinds.items() if np.isin(rows, value.identities).all()]
    of_states = np.concatenate([np.zeros(0, np.int64), *(kinds[state] for state in made)])
    if np.isin(value.identities, of_states).all():
        return f"{' and '.join(made)} after the last step"
    if np.isin(value.identities, answers).all():
        return "answers again"
    row = value.identities.reshape(-1)
    wrong = row[~np.isin(row, of_states)][:1]
    raise NodeError(
        f"output {name!r:.80}, of {terms.node_of(wrong)}, is no final state; {expected}"
    )
