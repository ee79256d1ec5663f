"""What a placed network does in a chip step: the counts that time and energy are computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.frozen import ArrayEquality, read_only
from lnn2loihi.kinds import Count, OneOf
from lnn2loihi.printable import is_line
from lnn2loihi.showing import Shown

FloatArray = npt.NDArray[np.float64]

#: Ways to run the chip: a new sample every period, or each through all layers before the next.
PIPELINED, FALL_THROUGH = "pipelined", "fall-through"
MODES = (PIPELINED, FALL_THROUGH)
#: Counts of each core in each phase, (period, cores).
PER_CORE = ("synaptic_operations", "neuron_updates", "instructions", "messages_in", "spikes",
            "messages_out")  # fmt: skip
#: Counts of the whole mesh in each phase, (period,).
PER_PHASE = ("messages", "hops", "link_messages")
#: What each core does in a step in which all of its neurons wait, (cores,).
WAITING = ("waiting_updates", "waiting_instructions")


@checks_fields(InputError)
@dataclass(frozen=True, eq=False)
class Workload(Shown, ArrayEquality):
    """Counts per chip step, averaged over the samples that they were counted on.

    A network takes a new sample every `period` chip steps, so its steps differ by their phase, the
    chip step modulo the period. With `interleave` sequences taking turns, a period serves as many
    samples. Every neuron runs its program in every step, also where it only waits for its phase.

    Attributes:
        name: name of the network.
        chips: allocated chips.
        period: chip steps between two samples of a sequence.
        latency_steps: chip steps from the step in which a sample is sent to the one in which its
            answer is sent.
        interleave: sequences that take turns, 1 to period.
        synaptic_operations: non-zero weights times non-zero messages that reach them (all stored
            weights of a dense format), float64 (period, cores).
        neuron_updates: neurons that run their program, waiting ones included, (period, cores).
        instructions: instructions that they execute in all, (period, cores).
        messages_in: messages that arrive at each core, (period, cores).
        messages: messages sent, counted once per destination core, float64 (period,).
        hops: router-to-router hops of all messages, (period,).
        core_names: a name for each core, for tables and plots.
        source: where the counts come from, a sentence.
        waiting_updates: neurons that run their program in a step in which all wait, (cores,);
            by default the mean of `neuron_updates` over the phases.
        waiting_instructions: instructions that they execute then, (cores,); by default 0.
        spikes: messages that the neurons of each core send, each counted once whatever the number
            of its destinations, (period, cores); by default every message has one destination,
            and cores send alike.
        messages_out: messages that leave each core, once per destination core, (period, cores); by
            default cores send alike.
        link_messages: messages on the link of the mesh that carries most, links between cores and
            routers included, (period,); by default 0: not counted.
        io_messages: messages that enter and leave the chip with a sample.
        copies: independent copies of the network that are counted together; each takes a sample
            every period, and costs are those of a sample of one of them.

    Raises:
        InputError: lists every array of the wrong shape, and every count that is negative or not
            finite.
    """

    name: str
    chips: Count
    period: Count
    latency_steps: Count
    interleave: Count
    synaptic_operations: FloatArray
    neuron_updates: FloatArray
    instructions: FloatArray
    messages_in: FloatArray
    messages: FloatArray
    hops: FloatArray
    core_names: tuple[str, ...]
    source: str
    waiting_updates: FloatArray | None = None
    waiting_instructions: FloatArray | None = None
    spikes: FloatArray | None = None
    messages_out: FloatArray | None = None
    link_messages: FloatArray | None = None
    io_messages: float = 0.0
    copies: Count = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "core_names", tuple(self.core_names))
        problems = Problems(InputError, f"workload {self.name!r}")
        for name in ("chips", "period", "latency_steps", "interleave", "copies"):
            object.__setattr__(self, name, int(getattr(self, name)))
        if not self.core_names:
            problems.add("it has no core")
        problems.raise_if_any()
        if self.interleave > self.period:
            problems.add(f"{self.interleave} sequences cannot take turns in {self.period} phases")
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(PER_CORE, (self.period, self.cores))
        shapes |= dict.fromkeys(PER_PHASE, (self.period,)) | dict.fromkeys(WAITING, (self.cores,))
        for name, shape in shapes.items():
            problems.extend(self._settle(name, shape))
        if not 0.0 <= self.io_messages < math.inf:
            problems.add(f"io_messages is {self.io_messages}, expected a finite number, 0 or more")
        problems.raise_if_any()

    def _settle(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """Makes one array read-only float64, and says what is wrong with it."""
        given = getattr(self, name)
        try:
            if given is None and name == "waiting_updates":
                given = np.mean(self.neuron_updates, axis=0)
            elif given is None and name in ("spikes", "messages_out"):
                each = np.atleast_1d(np.asarray(self.messages, np.float64)) / self.cores
                given = np.repeat(each[..., None], self.cores, axis=-1)
            elif given is None and name in ("waiting_instructions", "link_messages"):
                given = np.zeros(shape)
            counts = read_only(np.asarray(given, np.float64), np.float64)
        except (TypeError, ValueError):
            return [f"{name} is not an array of numbers"]
        object.__setattr__(self, name, counts)
        if counts.shape != shape:
            return [f"{name} has shape {counts.shape}, expected {shape}"]
        if not (np.isfinite(counts).all() and (counts >= 0).all()):
            return [f"{name} holds a count that is negative or not finite"]
        return []

    @property
    def cores(self) -> int:
        """Allocated cores."""
        return len(self.core_names)

    @property
    def counts_key(self) -> tuple[object, ...]:
        """What identifies the counts, whatever the names: equal for equal counts."""
        shape = (self.chips, self.period, self.latency_steps, self.interleave, self.cores,
                 self.io_messages, self.copies)  # fmt: skip
        arrays = (*PER_CORE, *PER_PHASE, *WAITING)
        return (*shape, *(getattr(self, name).tobytes() for name in arrays))

    @checks_kinds()
    def steps_per_sample(self, mode: Annotated[str, OneOf(MODES)]) -> float:
        """Chip steps that a sample takes: `pipelined` (throughput) or `fall-through` (latency)."""
        if mode == PIPELINED:
            return self.period / self.interleave
        return float(max(self.latency_steps, self.period))

    def per_sample(self) -> Mapping[str, float]:
        """What one sample causes in all, in pipelined operation, by the names of the counts; of
        copies the mean. Messages on the heaviest link are those of all copies.
        """
        found = {
            name: float(getattr(self, name).sum()) / (self.interleave * self.copies)
            for name in (*PER_CORE, *PER_PHASE)
        }
        found["link_messages"] *= self.copies
        return {**found, "io_messages": self.io_messages}

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain data for JSON."""
        arrays = (*PER_CORE, *PER_PHASE, *WAITING)
        return {**vars(self), **{name: getattr(self, name).tolist() for name in arrays}}

    @classmethod
    @checks_kinds()
    def from_dict(cls, content: Mapping[str, Any]) -> Workload:
        """A workload of what `to_dict` gave, for instance from a JSON file.

        Raises:
            InputError: lists fields that are missing or unknown, and counts that do not fit.
        """
        known = {entry.name: entry.default is not MISSING for entry in fields(cls)}
        problems = Problems(InputError, "workload")
        problems.extend(f"{key!r:.60} is unknown" for key in [*content.keys() - known.keys()][:10])
        problems.extend(
            f"{key} is missing" for key, may in known.items() if not may and key not in content
        )
        names = content.get("core_names", ())
        texts = [content.get("name", ""), content.get("source", "")]
        texts += names if isinstance(names, (list, tuple)) else [None]
        if not all(is_line(text) for text in texts):
            problems.add("name, source and core_names are not printable texts")
        problems.raise_if_any()
        return cls(**content)
