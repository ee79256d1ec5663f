"""How a batch of sequences is laid out for Lava: side by side, and one after another.

A step in Lava costs the same whether its vectors are short or long, until the arithmetic
outweighs the messages between its processes. So as many sequences as a bound on size admits run
side by side, as blocks on the diagonal of every weight matrix, and the rest follow in further
chunks of the same run: at the first step of a chunk the populations set themselves back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.schedule import Schedule
from lnn2loihi.program import LoihiProgram

#: Largest number of synapses and accumulators, all sequences of a chunk taken together. Up to
#: here a wider chunk has always been the faster one; a run takes some 50 bytes for each, in all
#: processes together.
LARGEST_SIZE = 4_000_000


@dataclass(frozen=True)
class LavaPlan:
    """The layout of one run.

    Attributes:
        batch: number of sequences.
        time: samples of each.
        width: sequences side by side.
        chunks: how many times one after another; width * interleave * chunks >= batch.
        schedule: when populations update within a chunk.
        silence: steps between two chunks, in which what is left of one dies away; 0 where
            populations set themselves back.
    """

    batch: int
    time: int
    width: int
    chunks: int
    schedule: Schedule
    silence: int = 0

    @property
    def steps(self) -> int:
        """Chip steps of a chunk, with the silence behind it."""
        return self.schedule.steps(self.time) + self.silence

    @property
    def total_steps(self) -> int:
        """Chip steps of the run."""
        return self.chunks * self.steps - self.silence

    @property
    def order(self) -> IntegerArray:
        """Which sequence runs where, (chunks, interleave, width); the last fills what is left."""
        shape = (self.chunks, self.schedule.interleave, self.width)
        places = np.arange(self.chunks * self.schedule.interleave * self.width)
        return np.minimum(places, self.batch - 1).reshape(shape)

    def at(self, step: int) -> tuple[int, int]:
        """Chunk of a step of the run, and the step within it; the last chunk never ends."""
        chunk = min(step // self.steps, self.chunks - 1)
        return chunk, step - chunk * self.steps

    def turn(self, step: int, first: int) -> tuple[int, int] | None:
        """Sample and interleaved sequence that are due in a step of a chunk, or None."""
        turn = self.schedule.turn(step, first)
        return turn if turn is not None and turn[0] < self.time else None


def size_of_one(program: LoihiProgram) -> int:
    """Synapses and accumulators of one sequence."""
    rows = sum(p.size * len(p.program.accumulators) for p in program.populations)
    return program.synapses + rows


def plan_run(program: LoihiProgram, batch: int, time: int) -> LavaPlan:
    """The layout for `batch` sequences of `time` samples."""
    taking_turns = program.schedule.interleave
    widest = max(1, LARGEST_SIZE // size_of_one(program)) * taking_turns
    chunks = -(-batch // widest)
    return LavaPlan(batch, time, -(-batch // (chunks * taking_turns)), chunks, program.schedule)


def chip_steps(program: LoihiProgram, batch: int, time: int) -> int:
    """Chip steps that `run_lava` takes for `batch` sequences of `time` samples."""
    return plan_run(program, batch, time).total_steps
