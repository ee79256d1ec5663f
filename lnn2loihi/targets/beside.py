"""What several targets make of a program, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lnn2loihi.errors import TargetError
from lnn2loihi.program import LoihiProgram
from lnn2loihi.targets.target import Target, target_of

#: Columns of `Beside.cells`.
HEADERS = ("target", "neurons", "synapses", "accumulators a neuron", "steps a sample",
           "answer after")  # fmt: skip


@dataclass(frozen=True)
class Beside:
    """What one of them makes of it.

    Attributes:
        target: the target.
        program: what it makes; None where it cannot.
        refusal: why not; empty where it can.
    """

    target: Target
    program: LoihiProgram | None
    refusal: str = ""

    @property
    def accumulators(self) -> int:
        """Physical accumulators of a neuron, the most; 0 where there is no program."""
        populations = () if self.program is None else self.program.populations
        return max((p.turns.width for p in populations), default=0)

    def cells(self) -> tuple[Any, ...]:
        """A row under HEADERS."""
        if self.program is None:
            return (self.target.name, *(None,) * (len(HEADERS) - 1))
        made = self.program
        return (
            self.target.name, made.neurons, made.synapses, self.accumulators,
            made.steps_per_sample, made.latency_steps,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data for JSON, with what is not proved about the target."""
        names = [header.replace(" ", "_") for header in HEADERS]
        return {
            **dict(zip(names, self.cells(), strict=True)),
            "refusal": self.refusal,
            "unproved": list(self.target.unproved),
        }


def beside(program: LoihiProgram, targets: Sequence[str | Target]) -> list[Beside]:
    """What each target makes of a program.

    Raises:
        InputError: a target does not exist, or cannot be loaded.
    """
    found = []
    for one in targets:
        aim = target_of(one)
        try:
            found.append(Beside(aim, aim.prepare(program)))
        except TargetError as error:
            found.append(Beside(aim, None, "; ".join(error.problems)))
    return found
