"""What a page's program has to answer: inputs, and every recorded word after each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.reporting.traces import SAMPLES
from lnn2loihi.sequences import Sequences
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.inputs import encode
from lnn2loihi.simulation.result import recorded_words

#: Recorded words that a page holds at most, so that it can be sent.
LARGEST_RECORDING = 120_000
#: Samples where there are none to be recorded, and in one swing of the first channel.
MADE, SWING = 120, 40


@dataclass(frozen=True, eq=False)
class Recording:
    """A run of a program on one sequence.

    Attributes:
        inputs: encoded messages int64 (time, channels of the port).
        words: for each population and recorded word int64 (time, neurons), after each sample.
        executor: what ran it.
        origin: where the inputs come from, a sentence.
        expected: answers of the float network, float64 (time, outputs); None where it did not run.
    """

    inputs: IntegerArray
    words: Mapping[tuple[str, str], npt.NDArray[Any]]
    executor: str
    origin: str
    expected: npt.NDArray[np.float64] | None = None

    @property
    def samples(self) -> int:
        """How many samples it holds."""
        return len(self.inputs)

    @property
    def values(self) -> int:
        """How many words it holds."""
        return sum(values.size for values in self.words.values())


def recorded(
    program: LoihiProgram,
    first: Sequences | None,
    expected: npt.NDArray[np.float64] | None = None,
) -> Recording:
    """Runs the program on the reference executor, or where it is too large for that on the fastest.

    Args:
        program: what the page will run.
        first: one sequence of samples or encoded messages; None where there are none.
        expected: the float network's answers to it, (time, outputs).
    """
    room = max(LARGEST_RECORDING // max(_words(program), 1), 1)
    if first is None:
        inputs = _made(program)[:room]
        origin = "No samples were given: each channel swings through half of its range."
    else:
        inputs, clipped = _encoded(program, first, min(room, SAMPLES))
        origin = f"The first {len(inputs):,} samples of the first sequence that was given."
        if clipped:
            origin += f" {clipped:,} of their {inputs.size:,} values lie outside the range that "
            origin += "the program was calibrated for, and were clipped to its ends."
    given: dict[str, Any] = {"encoded": True, "return_states": True}
    if program.timed:
        given["timespans"] = inputs[None, :, -1]
    x = inputs[None, :, : program.channels]
    try:
        run = simulate(program, x, "reference", **given)
    except InputError:  # its dense matrices would be too large
        run = simulate(program, x, **given)
    assert run.states is not None
    words = {
        (p.name, word): run.states[p.name][word][0]
        for p in program.populations
        for word in recorded_words(p.program)
    }
    kept = None if expected is None else expected[: len(inputs)]
    return Recording(inputs, words, run.executor, origin, kept)


def _words(program: LoihiProgram) -> int:
    return sum(p.size * len(recorded_words(p.program)) for p in program.populations)


def _encoded(program: LoihiProgram, first: Sequences, most: int) -> tuple[IntegerArray, int]:
    """Messages (time, channels of the port) as the library sends them, of so many samples at most,
    and how many of their values were clipped.
    """
    samples = min(most, int(first.lengths[0]))
    spans = None if first.timespans is None else first.timespans[:, :samples]
    messages, clipped = encode(
        program, first.x[:, :samples], spans, encoded=first.x.dtype.kind != "f"
    )
    return messages[0], int(clipped.sum())


def _made(program: LoihiProgram) -> IntegerArray:
    """Swings through half of the range of each channel, each slower than the one before; elapsed
    times are 1.
    """
    low, high = program.input.low.astype(np.float64), program.input.high.astype(np.float64)
    channel = np.arange(program.input.size)
    turns = np.arange(MADE)[:, None] / (SWING * (1.0 + 0.5 * (channel % 7)))
    values = (low + high) / 2.0 + (high - low) / 4.0 * np.sin(2.0 * np.pi * turns)
    found = np.rint(values).astype(np.int64)
    if program.timed:
        ones = program.input.encode(np.ones((1, 1, program.input.size)))[0]
        found[:, -1] = ones[0, 0, -1]
    return found
