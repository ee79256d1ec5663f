"""How a batch is divided: into blocks of several widths, and sequences that run one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lnn2loihi.simulation.native.kernel_code import LANES

#: The width of what runs one sequence at a time.
ONE = 1
#: Batches below this run one sequence at a time, as long as nothing was measured.
SINGLE_BELOW = 8
#: The same where neurons share kernels: sequences that run one by one skip messages of 0, and what
#: they cost depends on these (PilotNet's network: 1.9 ms a step one by one, 90 ms for 64).
SHARED_BELOW = 48


@dataclass(frozen=True)
class Piece:
    """Sequences first, first + 1, ... last - 1, in blocks of so many lanes, or ONE by one."""

    lanes: int
    first: int
    last: int

    @property
    def blocks(self) -> int:
        """Number of blocks; the last may not be full."""
        return -(-(self.last - self.first) // self.lanes)


def unmeasured(batch: int, single_below: int = SINGLE_BELOW) -> tuple[Piece, ...]:
    """How a batch is divided where costs are not known.

    Args:
        batch: number of sequences.
        single_below: batches below this run one by one.
    """
    return (Piece(ONE if batch < single_below else LANES, 0, batch),)


def divided(batch: int, costs: Mapping[int, float]) -> tuple[Piece, ...]:
    """The cheapest division of a batch.

    Args:
        batch: number of sequences.
        costs: for each width what a step of a block of it costs, full or not; LANES is among them.
    """
    full = batch // LANES * LANES
    widths = _cheapest(batch - full, costs)
    pieces = [Piece(LANES, 0, full)] if full else []
    begin = full
    for lanes in sorted(set(widths), reverse=True):
        end = min(begin + lanes * widths.count(lanes), batch)
        pieces.append(Piece(lanes, begin, end))
        begin = end
    return tuple(pieces)


def _cheapest(rest: int, costs: Mapping[int, float]) -> list[int]:
    """The widths of the blocks that hold so many sequences, in no order."""
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for count in range(1, rest + 1):
        choices = [
            (cost + best[max(count - lanes, 0)][0], [lanes, *best[max(count - lanes, 0)][1]])
            for lanes, cost in costs.items()
        ]
        best.append(min(choices, key=lambda choice: choice[0]))
    return best[rest][1]
