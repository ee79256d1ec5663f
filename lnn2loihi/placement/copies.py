"""Independent copies of a program that share chips: what they are when they are placed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lnn2loihi.devices import Device, with_prefix
from lnn2loihi.formats import IntegerArray
from lnn2loihi.frozen import ArrayEquality, read_only
from lnn2loihi.placement.mesh import Mesh, Positions
from lnn2loihi.placement.placement import Placement, Traffic
from lnn2loihi.program import LoihiProgram
from lnn2loihi.showing import Said, Shown, Table, headed
from lnn2loihi.tables import paragraph


@dataclass(frozen=True, eq=False)
class Block(ArrayEquality):
    """Copies that share cores, placed as one program.

    Attributes:
        copies: copies in it; several share one core.
        placement: what each of its cores holds, with the positions that it would have alone.
        times: how often it is there.
    """

    copies: int
    placement: Placement
    times: int

    @property
    def cores(self) -> int:
        """Cores that it takes."""
        return len(self.placement.cores)


@dataclass(frozen=True, eq=False)
class Filling(ArrayEquality):
    """What chips hold that are filled in the same way; a block that takes several chips has them
    for itself.

    Attributes:
        blocks: how often each block of the placement is there, in their order.
        chips: chips that are filled together, as a mesh of their own.
        times: how often they are there.
        chip, slot: int32 (cores,): chip among these, and number on the chip, of each core, block by
            block.
    """

    blocks: tuple[int, ...]
    chips: int
    times: int
    chip: IntegerArray
    slot: IntegerArray

    def __post_init__(self) -> None:
        for name in ("chip", "slot"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.int32))

    def positions(self, device: Device) -> Positions:
        """Where the cores lie."""
        chip, slot = self.chip.astype(np.int64), self.slot.astype(np.int64)
        return Positions(chip, slot, Mesh.of(device, self.chips))


@dataclass(frozen=True, eq=False)
class CopiesPlacement(Shown, ArrayEquality):
    """Copies of a program on cores.

    Attributes:
        program: what is placed, one copy, as its target has prepared it.
        device: where.
        copies: how many of it.
        objective: `fast` or `packed`, or `between` for another candidate.
        blocks: copies that share cores; the last one may hold fewer.
        fillings: how chips are filled with blocks; chips are numbered in this order.
        traffic: messages of a sample of every copy, in all.
        activity: where the messages were counted; all copies are taken to send as many.
        step_seconds: duration of a chip step, the mean over the phases, at the nominal figures of
            the device: an estimate.
    """

    program: LoihiProgram
    device: Device
    copies: int
    objective: str
    blocks: tuple[Block, ...]
    fillings: tuple[Filling, ...]
    traffic: Traffic
    activity: str
    step_seconds: float

    @property
    def chips(self) -> int:
        """Chips that they take."""
        return sum(filling.times * filling.chips for filling in self.fillings)

    @cached_property
    def cores(self) -> int:
        """Cores that they take; `blocks` say what is on them."""
        return sum(block.times * block.cores for block in self.blocks)

    @property
    def copies_per_core(self) -> float:
        """Copies for each core, below 1 where a copy takes several."""
        return self.copies / self.cores

    @property
    def target(self) -> str:
        """What the program was prepared for."""
        return self.blocks[0].placement.target

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Limits that nobody has published, with what a block uses of each."""
        return self.blocks[0].placement.unchecked

    @property
    def unproved(self) -> tuple[str, ...]:
        """What is not proved about the target, a sentence each."""
        return self.blocks[0].placement.unproved

    @property
    def core_names(self) -> tuple[str, ...]:
        """Chip and number of every core, in the order of the fillings."""
        names: list[str] = []
        first = 0
        for filling in self.fillings:
            for _ in range(filling.times):
                names += [
                    f"core {first + chip}.{slot}"
                    for chip, slot in zip(filling.chip.tolist(), filling.slot.tolist(), strict=True)
                ]
                first += filling.chips
        return tuple(names)

    def _headline(self) -> str:
        return (
            f"{self.copies:,} copies of {self.program.name!r} on {self.device.name}, "
            f"{self.objective}: {self.cores:,} cores, {self.chips:,} chips, step "
            f"{with_prefix(self.step_seconds, 's')} (estimate)"
        )

    def _shown(self) -> list[Said]:
        """How copies are put on cores and chips, and the map of one block of each kind."""
        chips = f"{self.chips:,} chip{'s' * (self.chips > 1)}"
        cores = f"{self.cores:,} core{'s' * (self.cores > 1)}"
        rows = [
            (f"block {number}", block.copies, block.cores, block.times)
            for number, block in enumerate(self.blocks, 1)
        ]
        held = [
            (_chips(filling), *(count or None for count in filling.blocks))
            for filling in self.fillings
        ]
        traffic = self.traffic
        lines: list[Said] = [
            f"{self.copies:,} copies of {self.program.name} on {self.device.name}, "
            f"{self.objective}: {cores} on {chips}",
            "",
            Table(("", "copies", "cores", "times"), rows),
            "",
            Table(("filled with", *(row[0] for row in rows)), held),
            "",
            f"A chip step takes about {with_prefix(self.step_seconds, 's')} at nominal figures, an "
            "estimate; `estimate` gives its range.",
            f"A sample of every copy causes {traffic.messages:,.6g} messages and "
            f"{traffic.hops:,.6g} hops in all.",
            "The samples of a chip, or of a copy that takes several, enter at its first router.",
            paragraph("Activity: ", f"{self.activity}; every copy is taken to do the same."),
        ]
        lines += ["", *headed("block 1: ", self.blocks[0].placement._shown())]
        if len(self.blocks) > 1:
            lines += ["", "block 2 holds fewer copies; to_dict() and --json have its map."]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The placement as plain data for JSON: each block once, each filling once."""
        return {
            "program": self.program.name,
            "device": self.device.name,
            "copies": self.copies,
            "objective": self.objective,
            "chips": self.chips,
            "cores": self.cores,
            "blocks": [
                {
                    "copies": block.copies,
                    "times": block.times,
                    "placement": block.placement.to_dict(),
                }
                for block in self.blocks
            ],
            "fillings": [
                {
                    "blocks": list(filling.blocks),
                    "chips": filling.chips,
                    "times": filling.times,
                    "chip": filling.chip.tolist(),
                    "slot": filling.slot.tolist(),
                }
                for filling in self.fillings
            ],
            "traffic": asdict(self.traffic),
            "activity": self.activity,
            "step_seconds": self.step_seconds,
            "step_seconds_grade": "estimate at nominal figures",
            "unchecked": list(self.unchecked),
            "target": self.target,
            "unproved": list(self.unproved),
            "warnings": list(self.program.warnings),
        }


def _chips(filling: Filling) -> str:
    together = f", {filling.chips} together" * (filling.chips > 1)
    count = filling.times * filling.chips
    return f"{count:,} chip{'s' * (count > 1)}{together}"
