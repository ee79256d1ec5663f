"""What is asked of every device that a program is placed on."""

from __future__ import annotations

from dataclasses import dataclass

from lnn2loihi.defaults import AUTO
from lnn2loihi.profiling.rows import Accuracy
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import Counters
from lnn2loihi.targets import Target


@dataclass(frozen=True)
class ChipRequest:
    """What is asked of every chip.

    Attributes:
        program: the program, as its target has prepared it.
        target: what for.
        counters: of the user's samples.
        rate: samples per second of each copy, or None.
        io: where samples come from, as for `estimate`.
        accuracy: of the integers.
        placement: `auto`, `fast` or `packed`.
        closed_loop: whether the next sample waits for the answer to this one.
        copies: independent copies of the network that share the chips.
    """

    program: LoihiProgram
    target: Target
    counters: Counters
    rate: float | None
    io: str
    accuracy: Accuracy | None
    placement: str = AUTO
    closed_loop: bool = False
    copies: int = 1
