"""Finds where the chip wins: copies of a network on a chip, against what else could run them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lnn2loihi.cost import estimate_microcontroller
from lnn2loihi.defaults import AUTO, FAST, PACKED
from lnn2loihi.devices import Device
from lnn2loihi.errors import DeviceError, PlacementError
from lnn2loihi.measure.meter import DEVICE_KINDS
from lnn2loihi.placement.candidates import Candidate, candidates_of
from lnn2loihi.placement.copying import CopiesCandidate, CopiesSearch
from lnn2loihi.placement.search import Search
from lnn2loihi.placement.search import request as asked_for
from lnn2loihi.profiling.choice import Placed
from lnn2loihi.profiling.competitors import chip, measured, microcontroller
from lnn2loihi.profiling.crossing import Competitor
from lnn2loihi.profiling.frontier import COPIES, Frontier
from lnn2loihi.profiling.frontier_words import copies_text
from lnn2loihi.profiling.microcontrollers import known_controllers
from lnn2loihi.profiling.request import ChipRequest
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.profiling.verdict import verdict
from lnn2loihi.program import LoihiProgram
from lnn2loihi.tiers import ESTIMATED

#: Lowest rate, in samples per second, and rates of a decade.
LOWEST_RATE, PER_DECADE = 1.0, 4
#: Most rates, and most placements of a number of copies that are looked at.
MOST_RATES, PLACEMENTS = 60, 4
#: Modes that answer sample by sample.
_SAMPLE_BY_SAMPLE = ("streaming", "sequence")


@dataclass(frozen=True)
class Contest:
    """Who takes part.

    Attributes:
        program: the program as it is, for micro-controllers.
        request: what is asked of the chip.
        device: the chip.
        controllers: micro-controllers; all that are known join them.
        rows: of the profile; those that were measured sample by sample take part.
        allow_estimated: whether ESTIMATED energies may win, with the middle of their bounds.
        numbers: numbers of copies; as many as were asked for join them.
    """

    program: LoihiProgram
    request: ChipRequest
    device: Device
    controllers: Sequence[Device]
    rows: Sequence[ProfileRow]
    allow_estimated: bool = False
    numbers: Sequence[int] = COPIES

    def frontier(self) -> Frontier | None:
        """Who wins, by rate and number of copies; None where the chip has no room for the first of
        these numbers.
        """
        left_out: list[str] = []
        chips = self._chips(left_out)
        if not chips:
            return None
        found = {copies: [one, *self._rivals(copies, left_out)] for copies, one in chips.items()}
        slow = min(one.fastest for everybody in found.values() for one in everybody)
        fast = max(one.fastest for everybody in found.values() for one in everybody)
        lowest = min(LOWEST_RATE, slow / 10.0, self.request.rate or LOWEST_RATE)
        decades = math.log10(fast / lowest)
        number = min(math.ceil(PER_DECADE * decades) + 1, MOST_RATES)
        rates = tuple(np.geomspace(lowest, fast * (1.0 - 1e-9), number).tolist())
        return Frontier(
            self.device.name,
            self.device.title,
            self.request.io,
            rates,
            tuple(
                verdict(copies, everybody, rates, self.allow_estimated)
                for copies, everybody in found.items()
            ),
            self.request.copies,
            tuple(one.title for one in self.controllers),
            tuple(dict.fromkeys(left_out)),
        )

    def _chips(self, left_out: list[str]) -> dict[int, Competitor]:
        """The chip by number of copies, up to the largest number that it has room for."""
        found: dict[int, Competitor] = {}
        held = (1, 0)  # copies, and the fewest cores that they take
        for copies in sorted({*self.numbers, self.request.copies}):
            if self._surely_full(copies, *held):
                why = f"{copies_text(held[0])} fill{'s' * (held[0] == 1)} {held[1]:,} cores"
                left_out.append(self._full(copies, why))
                break
            try:
                ways = self._ways(copies)
                request = replace(self.request, copies=copies)
                placed = [
                    Placed.of(one.place(), self.device, request)
                    for one in _some(ways, request.placement)
                ]
            except (PlacementError, DeviceError) as error:
                left_out.append(self._full(copies, error.problems[0]))
                break
            held = (copies, ways[0].cores)
            found[copies] = chip(self.device.title, placed)
        return found

    def _surely_full(self, copies: int, held: int, cores: int) -> bool:
        """Whether there is no room for more copies, as fewer of them show: a core holds fewer than
        they would need to fill all their cores but one.
        """
        there = self.device.count("chips") * self.device.count("cores_per_chip")
        return copies * (cores - 1) > there * held

    def _full(self, copies: int, why: str) -> str:
        return f"{copies_text(copies)} and more are not in it: no room on {self.device.name}; {why}"

    def _ways(self, copies: int) -> Sequence[Candidate | CopiesCandidate]:
        """How copies can be placed, from the fewest cores to the fastest."""
        if copies == 1:
            return candidates_of(self._search)
        return self._copies_search.candidates(copies)

    @cached_property
    def _search(self) -> Search:
        # It is prepared already: the rules are left.
        rules = replace(self.request.target, passes=())
        return Search.of(
            asked_for(self.request.program, self.device, rules, None, self.request.counters)
        )

    @cached_property
    def _copies_search(self) -> CopiesSearch:
        return CopiesSearch(self._search)

    def _rivals(self, copies: int, left_out: list[str]) -> Iterator[Competitor]:
        """Micro-controllers and what was measured, one of each name."""
        for device in {one.name: one for one in (*known_controllers(), *self.controllers)}.values():
            try:
                found = estimate_microcontroller(self.program, device, copies=copies)
            except DeviceError as error:
                left_out.append(f"{device.title} is not in it: {error.problems[0]}")
            else:
                yield microcontroller(device.title, found)
        yield from _measured(self.rows, copies, left_out)


def _some(
    found: Sequence[Candidate | CopiesCandidate], placement: str
) -> list[Candidate | CopiesCandidate]:
    """The packed one, the fast one, and some between them; or the one that was asked for."""
    fast = next((n for n, one in enumerate(found) if one.objective == FAST), 0)
    if placement != AUTO:
        return [found[0 if placement == PACKED else fast]]
    between = np.geomspace(1, fast + 1, PLACEMENTS).round().astype(int) - 1
    return [found[n] for n in sorted({0, fast, *between.tolist()})]


def _measured(rows: Sequence[ProfileRow], copies: int, left_out: list[str]) -> Iterator[Competitor]:
    """What was measured sample by sample at full speed; of bounds those of the fastest backend of
    each kind, since bounds of one machine lie on each other.
    """
    fastest: dict[str, Competitor] = {}
    taken = [
        row
        for row in rows
        if row.kind in DEVICE_KINDS.values()
        and row.mode in _SAMPLE_BY_SAMPLE
        and row.rate is None
        and row.total_energy is not None
    ]
    names = [row.name for row in taken]
    for row in taken:
        label = row.name if names.count(row.name) == 1 else f"{row.name}, {row.mode}"
        found = measured(row, label, copies)
        if found is None:
            left_out.append(f"{label} is not in it: its idle power or its speed is not known")
        elif not found.bounds:
            yield found
        else:
            best = fastest.get(row.kind)
            if best is None or found.fastest > best.fastest:
                fastest[row.kind] = found
    for one in fastest.values():
        left_out.append(
            f"{one.label} is in it with bounds alone ({ESTIMATED}), which win nowhere unless they "
            "are allowed to; it is the fastest of its kind, and other bounds are left out"
        )
        yield one
