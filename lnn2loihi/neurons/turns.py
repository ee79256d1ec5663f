"""Accumulators of a program that take turns on the input ports of a neuron.

A program may have more accumulators than its neurons have ports. Their sums then arrive one after
the other: in the step of the update those of the last accumulators, in the step before it those
before them, and so on, each in the step to which the delays of its synapses lead. A neuron reads
and clears all its ports in every step. In a step in which it does not update it moves what it has
read into state words, and what these held one step on; so the update finds every sum in its place,
and no counter says which turn it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

#: Most physical accumulators that take turns (a limit of this library; what public examples have
#: stands in `lnn2loihi.graph.precedent`).
LARGEST_PORTS = 8


@dataclass(frozen=True)
class Turns:
    """How accumulators share ports.

    Attributes:
        accumulators: of the program, those that arrive first at the beginning.
        ports: physical accumulators of a neuron, at most LARGEST_PORTS; 0 for one for each of the
            program's.
    """

    accumulators: tuple[str, ...]
    ports: int = 0

    @property
    def width(self) -> int:
        """Ports that are in use, at least 1."""
        most = max(len(self.accumulators), 1)
        return min(self.ports, most) if self.ports else most

    @property
    def steps(self) -> int:
        """Steps in which sums arrive, the one of the update included."""
        return max(-(-len(self.accumulators) // self.width), 1)

    @cached_property
    def leads(self) -> dict[str, int]:
        """For each accumulator how many steps before the update its sum arrives."""
        last = len(self.accumulators) - 1
        return {a: (last - k) // self.width for k, a in enumerate(self.accumulators)}

    @cached_property
    def places(self) -> dict[str, int]:
        """For each accumulator its port, 0 to `width` - 1."""
        # From the end on, so that each step that is full feeds them in the order of the program.
        first = -len(self.accumulators) % self.width
        return {a: (first + k) % self.width for k, a in enumerate(self.accumulators)}

    @property
    def phases(self) -> tuple[tuple[str, ...], ...]:
        """The accumulators that arrive in each step; the update is in the last one."""
        return tuple(
            tuple(a for a in self.accumulators if self.leads[a] == lead)
            for lead in reversed(range(self.steps))
        )

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """Accumulators whose sums wait in state words, those that wait longest first."""
        return tuple(a for a in self.accumulators if self.leads[a])

    @cached_property
    def moves(self) -> tuple[tuple[str, str | int], ...]:
        """What a step without update does, in this order: for each word that is written, by the
        name of its accumulator, where it comes from: another such word, or the number of a port.
        """
        by_place = {(self.leads[a], self.places[a]): a for a in self.accumulators}
        found: list[tuple[str, str | int]] = []
        for accumulator in self.kept:
            lead, place = self.leads[accumulator], self.places[accumulator]
            found.append((accumulator, by_place[lead - 1, place] if lead > 1 else place))
        return tuple(found)
