"""What a placement is: slices of populations on cores, and what each core holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.devices import Device, with_prefix
from lnn2loihi.frozen import ArrayEquality
from lnn2loihi.placement.draft import CORE_LIMITS, Axons
from lnn2loihi.placement.summary import shown_placement
from lnn2loihi.program import LoihiProgram
from lnn2loihi.showing import Brief, Drawn, Said, Shown


@dataclass(frozen=True)
class Slice(Brief):
    """Neurons [first, stop) of a population."""

    population: str
    first: int
    stop: int

    def __str__(self) -> str:
        """As in a linker map: name[first:stop]."""
        return f"{self.population}[{self.first}:{self.stop}]"


@dataclass(frozen=True)
class Core(Brief):
    """A core and what it holds.

    Attributes:
        chip: number of the chip.
        index: number of the core on the chip.
        x, y: column and row of its router on the chip.
        slices: its neurons.
        neurons, synapses, axons_in, axons_out: numbers.
        synaptic_memory, state_memory, accumulator_memory, parameter_memory, axon_memory,
            program_memory: bytes.
        program_words: instructions.
        seconds: time that its work takes in the chip step in which it has most, at the nominal
            figures of the device and the placement's activity: an estimate.
    """

    chip: int
    index: int
    x: int
    y: int
    slices: tuple[Slice, ...]
    neurons: int
    synapses: int
    axons_in: int
    axons_out: int
    synaptic_memory: int
    state_memory: int
    accumulator_memory: int
    parameter_memory: int
    axon_memory: int
    program_memory: int
    program_words: int
    seconds: float

    @property
    def name(self) -> str:
        """Chip and number, for tables and plots."""
        return f"core {self.chip}.{self.index}"

    @property
    def neuron_groups(self) -> int:
        """Populations of which it holds neurons."""
        return len(self.slices)

    @property
    def memory(self) -> int:
        """Bytes of everything on it."""
        return (
            self.synaptic_memory + self.state_memory + self.accumulator_memory
            + self.parameter_memory + self.axon_memory + self.program_memory
        )  # fmt: skip


@dataclass(frozen=True)
class Traffic:
    """Messages of one sample on the mesh, at the placement's activity.

    Attributes:
        messages: messages that are not zero, once for each axon that they take.
        hops: hops between routers of a chip.
        chip_crossings: steps from chip to chip.
    """

    messages: float
    hops: float
    chip_crossings: float


@dataclass(frozen=True, eq=False)
class Placement(Drawn, Shown, ArrayEquality):
    """A program on cores.

    Attributes:
        program: what is placed, as its target has prepared it.
        device: where.
        objective: `fast` or `packed`, or `between` for another cut of its candidates.
        cores: in the order of the neurons that they hold.
        axons: every way of a message into a core.
        traffic: messages of a sample.
        activity: where the messages were counted that the cores were cut for.
        step_seconds: duration of a chip step, the mean over the phases, at the nominal figures of
            the device: an estimate, see `lnn2loihi.cost` for its range.
        unchecked: limits that nobody has published, with what the placement uses of each.
        target: what the program was prepared for.
        unproved: what is not proved about that target, a sentence each.
    """

    program: LoihiProgram
    device: Device
    objective: str
    cores: tuple[Core, ...]
    axons: Axons
    traffic: Traffic
    activity: str
    step_seconds: float
    unchecked: tuple[str, ...]
    target: str = DEFAULT_TARGET
    unproved: tuple[str, ...] = ()

    @property
    def chips(self) -> int:
        """Chips that its cores take."""
        return 1 + max(core.chip for core in self.cores)

    @property
    def bottleneck(self) -> int:
        """Place in `cores` of the one that has most to do in a chip step."""
        return int(np.argmax([core.seconds for core in self.cores]))

    def _headline(self) -> str:
        return (
            f"{self.program.name!r} on {self.device.name}, {self.objective}: {len(self.cores):,} "
            f"cores, {self.chips} chips, step {with_prefix(self.step_seconds, 's')} (estimate)"
        )

    def _shown(self) -> list[Said]:
        """A table like a linker's map: what each core holds, and of which limit how much."""
        return shown_placement(self)

    def to_dict(self) -> dict[str, Any]:
        """The placement as plain data for JSON, without the axons."""
        return {
            "program": self.program.name,
            "device": self.device.name,
            "objective": self.objective,
            "chips": self.chips,
            "cores": [
                {**asdict(core), "neuron_groups": core.neuron_groups, "memory": core.memory}
                for core in self.cores
            ],
            "traffic": asdict(self.traffic),
            "activity": self.activity,
            "bottleneck": self.bottleneck,
            "step_seconds": self.step_seconds,
            "step_seconds_grade": "estimate at nominal figures",
            "limits": {
                name: self.device.value(name) for name in CORE_LIMITS if name in self.device.figures
            },
            "limit_grades": {
                name: self.device.figure(name).grade
                for name in CORE_LIMITS
                if name in self.device.figures
            },
            "unchecked": list(self.unchecked),
            "target": self.target,
            "unproved": list(self.unproved),
            "warnings": list(self.program.warnings),
        }
