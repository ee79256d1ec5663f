"""Cuts to choose from: from the fewest cores to the fastest, with nominal time and energy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.devices import Device
from lnn2loihi.placement.arranged import arranged
from lnn2loihi.placement.draft import Draft
from lnn2loihi.placement.placement import Placement
from lnn2loihi.placement.search import BETWEEN, FAST, PACKED, Request, Search, request
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import Counters
from lnn2loihi.targets import Target


@dataclass(frozen=True, eq=False)
class Candidate:
    """A cut that the device has room for, not yet arranged.

    Attributes:
        objective: `packed` for the fewest cores, `fast` for the least product of energy and time,
            `between` for others; `packed` where one cut is both.
        step_seconds: duration of a chip step, the mean over the phases, nominal; without links,
            which are known when cores have positions.
        dynamic_energy: J of a sample in pipelined operation, nominal and without hops, whose number
            is known when cores have positions.
        draft: the cores.
        asked: what was asked for.
    """

    objective: str
    step_seconds: float
    dynamic_energy: float
    draft: Draft
    asked: Request

    @property
    def cores(self) -> int:
        """Cores that it takes."""
        return self.draft.cores

    @property
    def chips(self) -> int:
        """Chips that it takes."""
        return self.draft.chips_needed

    def place(self) -> Placement:
        """Its cores on the mesh; found once."""
        return self._placement

    @cached_property
    def _placement(self) -> Placement:
        return arranged(self.draft, self.asked, self.objective)


@checks_kinds()
def candidates(
    program: LoihiProgram,
    device: str | os.PathLike[str] | Device = "loihi2-oheo-gulch",
    *,
    target: str | Target = DEFAULT_TARGET,
    chips: int | None = None,
    counters: Counters | None = None,
) -> tuple[Candidate, ...]:
    """Cuts of a program from the fewest cores to the fastest: each takes more cores than the one
    before, and has shorter steps. The first is what `place` finds as `packed`; the one that is
    `fast` is what it finds as such, or the first.

    Args:
        program: what to place.
        device: name or file of a profile, or a Device, as for `place`.
        target: what to prepare the program for, as for `place`.
        chips: chips that the program may take, as for `place`.
        counters: non-zero messages of a simulation, as for `place`.

    Raises:
        PlacementError: not even the fewest cores fit; and whatever else `place` raises.
    """
    return candidates_of(Search.of(request(program, device, target, chips, counters)))


def candidates_of(search: Search) -> tuple[Candidate, ...]:
    """The candidates of a search: cuts that no rule forbids."""
    best = search.fast()
    drafts = [draft for draft in map(search.draft, search.cuts[1:]) if draft.cores != best.cores]
    drafts = [draft for draft in drafts if search.allows(draft)]
    if best is not search.packed:
        drafts.append(best)
    found = [_candidate(search, search.packed, PACKED)]
    for draft in sorted(drafts, key=lambda draft: draft.cores):
        objective = FAST if draft is best else BETWEEN
        # A better cut on as many cores may be faster than one on more.
        if draft is best or draft.cut.step_time < found[-1].step_seconds:
            found.append(_candidate(search, draft, objective))
    return tuple(found)


def _candidate(search: Search, draft: Draft, objective: str) -> Candidate:
    program, cut = search.asked.program, draft.cut
    steps = program.steps_per_sample / program.schedule.interleave
    energy = cut.dynamic(search.power) * steps
    return Candidate(objective, cut.step_time, energy, draft, search.asked)
