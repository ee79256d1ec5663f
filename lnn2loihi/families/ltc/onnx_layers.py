"""From the unfolds that were found in an ONNX graph to the LiquidNetwork of an LTC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.onnx_read.chain import normalised, same_sample
from lnn2loihi.converters.onnx_read.parts import FOLDED_STATE, unexpected
from lnn2loihi.converters.onnx_read.recurrence import OnnxReader
from lnn2loihi.converters.onnx_read.terms import Identities, Terms, same
from lnn2loihi.families.lstm.memory import Memory
from lnn2loihi.families.lstm.onnx_reader import FoundMemory, find_memory
from lnn2loihi.families.ltc.description import UNFOLDS_LIMIT
from lnn2loihi.families.ltc.layer import CONDUCTANCE, CURRENT, LTCLayer
from lnn2loihi.families.ltc.onnx_unfolds import FoundUnfold, UnfoldFinder
from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.network import FloatArray, Linear, LiquidNetwork

#: The name of the layer, as the importer of modules has it.
NAME = "ltc"
#: Relative difference up to which sums of float32 that an exporter folded are taken as the same.
_FOLDED = 1e-4


@dataclass(frozen=True, eq=False)
class FoundSample:
    """All unfolds of one sample.

    Attributes:
        samples: identities of the sample.
        elapsed: identity of the elapsed time, or None where time is constant.
        unfolds: their number.
        before: the potentials before the sample; None where they are zero and folded away.
        memory: the mixed memory, which starts the first unfold, or None.
    """

    samples: Identities
    elapsed: int | None
    unfolds: int
    before: Identities | None
    memory: FoundMemory | None


@dataclass(frozen=True, eq=False)
class LTCRecurrence:
    """The samples of a graph, first to last, and what is done with each.

    Attributes:
        terms: all terms of the graph.
        steps: the samples.
        rows: the potentials after each.
        unfold: the last unfold, which has all synapses.
        readout: the map on the potentials, or None where they are the answer.
    """

    terms: Terms
    steps: tuple[FoundSample, ...]
    rows: tuple[Identities, ...]
    unfold: FoundUnfold
    readout: Linear | None

    @property
    def samples(self) -> list[Identities]:
        """Identities of the sample of each step."""
        return [self.terms.scaled(step.samples).row for step in self.steps]

    @property
    def elapsed(self) -> list[int]:
        """For each step the identity of its elapsed time; empty where time is constant."""
        return [step.elapsed for step in self.steps if step.elapsed is not None]

    def initial_states(self) -> dict[str, Identities]:
        """For each stage that keeps a state its identities before the first step."""
        first, found = self.steps[0], {}
        if first.before is not None:
            found[NAME] = first.before
        if first.memory is not None:
            found[f"{NAME}.memory"] = first.memory.cell
        return found

    def final_states(self) -> dict[str, Identities]:
        """For each stage that keeps a state its identities after the last step."""
        memory = self.steps[-1].memory
        return {NAME: self.rows[-1]} | ({f"{NAME}.memory": memory.new_cell} if memory else {})

    def position(self, row: Identities) -> int | None:
        """Which of its steps a row is the answer of, None if it is none's.

        Raises:
            NodeError: the row is read otherwise than the answers.
        """
        readout, potentials = _readout(self.terms, row)
        place = next((n for n, own in enumerate(self.rows) if same(own, potentials)), None)
        if place is not None and not (
            (readout is None) == (self.readout is None)
            and (
                readout is None or self.readout is None
                or (
                    np.array_equal(readout.weight, self.readout.weight)
                    and np.array_equal(readout.bias, self.readout.bias)
                )
            )
        ):  # fmt: skip
            raise unexpected(
                self.terms, row, "every answer to be read from the potentials as the last one"
            )
        return place

    def network(self, name: str) -> LiquidNetwork:
        """The network.

        Raises:
            NetworkError: its arrays do not fit each other.
        """
        unfold, memory = self.unfold, self.steps[-1].memory
        weights, unfolds = unfold.weights, self.steps[-1].unfolds
        layer = LTCLayer(
            NAME,
            unfold.slope,
            unfold.offset,
            Linear(CONDUCTANCE, weights[CONDUCTANCE], unfold.biases[CONDUCTANCE]),
            Linear(CURRENT, weights[CURRENT], unfold.biases[CURRENT]),
            unfold.capacity / unfolds,
            (weights[CONDUCTANCE] != 0.0) | (weights[CURRENT] != 0.0),
            unfolds=unfolds,
            memory=memory and Memory.of_stage(memory.named()),
        )
        layer, offset, scale = normalised(layer, self.terms.scaled(self.steps[-1].samples))
        return LiquidNetwork(
            name,
            (layer,),
            self.readout,
            None if self.elapsed else 1.0,
            input_offset=offset,
            input_scale=scale,
        )


def is_ltc(terms: Terms, answer: Identities) -> bool:
    """Whether an answer is read from quotients, as the potentials of an LTC are."""
    made = terms.term_of(_read_from(terms, answer)[1])
    return made is not None and made[0].operation == "divide"


def ltc_recurrence(terms: Terms, answer: Identities) -> LTCRecurrence:
    """Follows the recurrence from the last answer back to the initial state.

    Raises:
        NodeError: names the first node that does not fit, and what was expected there.
    """
    readout, row = _readout(terms, answer)
    finder = UnfoldFinder(terms)
    last = finder.find(row)
    if last.before is None:
        raise unexpected(
            terms, row, "synapses of the potentials before. A step of one unfold that is exported "
            "without its state, from zero, has lost them: export with hx given, or several steps"
        )  # fmt: skip
    steps: list[FoundSample] = []
    rows: list[Identities] = []
    current: Identities | None = row
    while current is not None:
        step = _sample(terms, finder, current, last)
        _check_step(terms, current, step, steps)
        steps.insert(0, step)
        rows.insert(0, current)
        before = step.before
        made = None if before is None else terms.term_of(before)
        initial = made is None or made[0].operation in ("constant", "input")
        current = None if initial else before
    if steps[-1].memory is not None and steps[-1].before is None:
        raise unexpected(
            terms, steps[-1].memory.new_cell,
            f"the mixed memory to hear the last potentials. {FOLDED_STATE}",
        )  # fmt: skip
    return LTCRecurrence(terms, tuple(steps), tuple(rows), last, readout)


def _sample(terms: Terms, finder: UnfoldFinder, row: Identities, last: FoundUnfold) -> FoundSample:
    """The unfolds of the sample that a row of potentials is the answer to.

    Args:
        terms: all terms of the graph.
        finder: finds unfolds.
        row: the potentials after it.
        last: the last unfold of all, which all others have to equal.
    """
    samples: Identities | None = None
    elapsed = None
    for unfolds in range(UNFOLDS_LIMIT + 1):
        made = terms.term_of(row)
        # What no quotient makes is an initial state; the first row is refused if it is none.
        another = made is not None and made[0].operation == "divide"
        unfold = finder.find(row) if another or samples is None else None
        if unfold is not None and samples is None:
            samples, elapsed = unfold.samples, unfold.elapsed
        if unfold is None or samples is None or not same(unfold.samples, samples):
            assert samples is not None
            return FoundSample(samples, elapsed, unfolds, row, None)
        _check_same(terms, unfold, last, elapsed)
        if unfold.before is None:
            return FoundSample(samples, elapsed, unfolds + 1, None, None)
        memory = find_memory(terms, unfold.before)
        if memory is not None:
            heard = _heard_by(terms, memory, samples)
            return FoundSample(samples, elapsed, unfolds + 1, heard, memory)
        row = unfold.before
    raise unexpected(terms, row, f"at most {UNFOLDS_LIMIT} unfolds for a sample")


def _heard_by(terms: Terms, memory: FoundMemory, samples: Identities) -> Identities | None:
    """The potentials that a memory hears; None where they are zero and folded away."""
    columns = memory.gates[0].columns
    heard = columns[samples.size :]
    if not same(columns[: samples.size], samples) or heard.size not in (0, memory.cell.size):
        raise unexpected(
            terms, memory.new_cell, "a mixed memory that hears the sample and the potentials before"
        )
    return heard if heard.size else None


def _check_same(terms: Terms, unfold: FoundUnfold, last: FoundUnfold, elapsed: int | None) -> None:
    """An unfold has to compute what the last one does, in the same elapsed time as its sample."""
    width = unfold.slope.shape[1]
    biases = last.biases if unfold.before is not None else _from_zero(last)
    fits = (
        (unfold.elapsed is None) == (last.elapsed is None)
        and unfold.elapsed == elapsed
        and unfold.samples.size == last.samples.size
        and np.array_equal(unfold.slope, last.slope[:, :width])
        and np.array_equal(unfold.offset, last.offset[:, :width])
        and (
            np.array_equal(unfold.capacity, last.capacity)
            or (unfold.before is None and unfold.elapsed is None)
        )
    )
    for name in (CURRENT, CONDUCTANCE):
        limit = 0.0 if unfold.before is not None else _FOLDED
        fits = fits and np.array_equal(unfold.weights[name], last.weights[name][:, :width])
        fits = fits and np.allclose(unfold.biases[name], biases[name], rtol=limit, atol=limit)
    if not fits:
        raise unexpected(
            terms, unfold.row, "every unfold to be made as the last one, or from zero; its "
            "synapses, leak, capacitance or elapsed time differ"
        )  # fmt: skip


def _from_zero(unfold: FoundUnfold) -> dict[str, FloatArray]:
    """What stands alone in the sums of an unfold where all potentials are zero."""
    inputs = unfold.samples.size
    opened = sigmoid(unfold.offset[:, inputs:])
    made = {
        name: bias + (unfold.weights[name][:, inputs:] * opened).sum(axis=1)
        for name, bias in unfold.biases.items()
    }
    if unfold.elapsed is None:
        made[CONDUCTANCE] = made[CONDUCTANCE] + unfold.capacity
    return made


def _check_step(terms: Terms, row: Identities, step: FoundSample, later: list[FoundSample]) -> None:
    """A step has to be made as the one after it."""
    if not later:
        return
    following = later[0]
    problem = ""
    if not same_sample(terms.scaled(step.samples), terms.scaled(following.samples)):
        problem = "its sample is scaled otherwise"
    elif step.unfolds != following.unfolds:
        problem = f"it has {step.unfolds} unfolds, the one after it {following.unfolds}"
    elif (step.memory is None) != (following.memory is None):
        problem = "only one of both has a mixed memory"
    elif step.memory is not None and following.memory is not None:
        if not same(step.memory.new_cell, following.memory.cell):
            problem = "its memory does not keep its own cell state"
        elif not all(
            # The columns of the potentials may be folded away in a first step from zero.
            np.array_equal(one.weight, other.weight[:, : one.weight.shape[1]])
            and np.array_equal(one.bias, other.bias)
            for one, other in zip(step.memory.gates, following.memory.gates, strict=True)
        ):
            problem = "its memory has other weights"
    if problem:
        raise unexpected(terms, row, f"the step before to be made as the one after it; {problem}")


def _read_from(terms: Terms, answer: Identities) -> tuple[Linear, Identities]:
    """An answer as a linear map of other numbers."""
    linear = terms.affine(answer)
    columns = answer if linear is None else linear.columns
    scaled = terms.scaled(columns)
    weight = np.eye(answer.size) if linear is None else linear.weight
    bias = np.zeros(answer.size) if linear is None else linear.bias
    return Linear("readout", weight * scaled.factor, bias + weight @ scaled.offset), scaled.row


def _readout(terms: Terms, answer: Identities) -> tuple[Linear | None, Identities]:
    """The map on all potentials, or None where they are the answer; and the potentials."""
    linear, read = _read_from(terms, answer)
    row = terms.whole(read)
    weight = np.zeros((answer.size, row.size))
    for column, place in enumerate(read - row[0]):
        weight[:, place] += linear.weight[:, column]
    if np.array_equal(weight, np.eye(row.size)) and not linear.bias.any():
        return None, row
    return Linear("readout", weight, linear.bias), row


def reader() -> OnnxReader:
    """How such layers are found."""
    return OnnxReader(recurrence=ltc_recurrence, recognises=is_ltc)
