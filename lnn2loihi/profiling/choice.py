"""Which placements of a program are profiled: the one asked for, or the cheapest at a rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lnn2loihi.cost import CostEstimate, Workload, estimate
from lnn2loihi.cost.basis import MET
from lnn2loihi.cost.workload import FALL_THROUGH, PIPELINED
from lnn2loihi.defaults import AUTO, FAST
from lnn2loihi.devices import Device
from lnn2loihi.placement.candidates import Candidate, candidates
from lnn2loihi.placement.copies import CopiesPlacement
from lnn2loihi.placement.copying import CopiesCandidate, copies_candidates, place_copies
from lnn2loihi.placement.placement import Placement
from lnn2loihi.placement.verb import place
from lnn2loihi.placement.workload import workload
from lnn2loihi.profiling.request import ChipRequest

#: Share of the energy of a sample that is no reason to take more cores.
NO_DIFFERENCE = 0.01


@dataclass(frozen=True)
class Placed:
    """A placement, what it does, and what that costs.

    Attributes:
        placement: where the neurons are.
        counts: what the cores do.
        full: the estimates at full speed by mode, `fall-through` first; of a network without a
            pipeline that one alone, because pipelined it runs the same way.
    """

    placement: Placement | CopiesPlacement
    counts: Workload
    full: Mapping[str, CostEstimate]

    @property
    def objective(self) -> str:
        """`packed`, `fast` or `between`."""
        return self.placement.objective

    def met(self, mode: str, rate: float) -> float:
        """Share of the draws in which it meets a rate."""
        share = replace(self.full[mode].basis, rate=rate).rate_met
        assert share is not None
        return share

    @classmethod
    def of(
        cls, placement: Placement | CopiesPlacement, device: Device, request: ChipRequest
    ) -> Placed:
        """A placement with its estimates at full speed, in the modes that are allowed."""
        counts = workload(placement, request.counters)
        steps = {mode: counts.steps_per_sample(mode) for mode in (FALL_THROUGH, PIPELINED)}
        alike = steps[FALL_THROUGH] == steps[PIPELINED]
        modes = (FALL_THROUGH,) if alike or request.closed_loop else tuple(steps)
        full = {mode: estimate(counts, device, mode=mode, io=request.io) for mode in modes}
        return cls(placement, counts, full)


def placed_for(device: Device, request: ChipRequest) -> tuple[Placed, ...]:
    """The placements that are profiled, at least one.

    By name it is that one. Of `auto` without a rate they are `packed` and `fast`, where these
    differ. With a rate it is the cheapest of all candidates that meets it by the upper end of its
    interval: falling through, if any does so, and otherwise pipelined, where that is allowed. If
    none meets it so surely, it is the one that does most probably.

    Raises:
        PlacementError: the device has no room; lists all limits that are exceeded.
        DeviceError: it lacks a figure.
    """
    options, program, copies = _options(request), request.program, request.copies
    if request.placement != AUTO:
        options["objective"] = request.placement
        if copies > 1:
            return (Placed.of(place_copies(program, device, copies, **options), device, request),)
        return (Placed.of(place(program, device, **options), device, request),)
    found = _candidates(device, request)
    choice = _Choice(device, request, found)
    if request.rate is not None:
        return (choice.cheapest(request.rate),)
    ends = [n for n, one in enumerate(found) if n == 0 or one.objective == FAST]
    return tuple(choice.placed(number) for number in ends)


def has_faster(device: Device, request: ChipRequest) -> bool:
    """Whether any placement has shorter steps than the packed one."""
    return len(_candidates(device, request)) > 1


def _candidates(
    device: Device, request: ChipRequest
) -> tuple[Candidate, ...] | tuple[CopiesCandidate, ...]:
    """How the program, or its copies, can be placed, from the fewest cores to the fastest."""
    options = _options(request)
    if request.copies > 1:
        return copies_candidates(request.program, device, request.copies, **options)
    return candidates(request.program, device, **options)


def _options(request: ChipRequest) -> dict[str, Any]:
    """What placing is told: the program is prepared already, so the rules of its target alone."""
    return {"target": replace(request.target, passes=()), "counters": request.counters}


class _Choice:
    """Candidates from the fewest cores to the fastest; who is looked at is placed, once."""

    def __init__(
        self,
        device: Device,
        request: ChipRequest,
        found: tuple[Candidate, ...] | tuple[CopiesCandidate, ...],
    ) -> None:
        self._device, self._request, self._found = device, request, found
        self._placed: dict[int, Placed] = {}

    def placed(self, number: int) -> Placed:
        """A candidate with its estimates."""
        if number not in self._placed:
            placement = self._found[number].place()
            self._placed[number] = Placed.of(placement, self._device, self._request)
        return self._placed[number]

    def cheapest(self, rate: float) -> Placed:
        """The cheapest that meets a rate surely, or else the one that meets it most probably."""
        modes = tuple(self.placed(len(self._found) - 1).full)
        for mode in modes:
            sure = self._sure(mode, rate)
            if sure is not None:
                return self.placed(sure)
        return max(self._placed.values(), key=lambda one: one.met(modes[-1], rate))

    def _sure(self, mode: str, rate: float) -> int | None:
        """Of those that meet a rate surely, the one whose sample takes least energy, nominal; of
        those that are as cheap but for NO_DIFFERENCE the one on the fewest cores.

        Candidates have shorter and shorter steps, so the first that meets the rate is found by
        halving; those after it are tried from the cheapest on.
        """
        low, high = 0, len(self._found) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._meets(middle, mode, rate) else (middle + 1, high)
        energies = {number: self._energy(number) for number in range(low, len(self._found))}
        enough = min(energies.values()) * (1.0 + NO_DIFFERENCE)
        later = sorted(energies, key=lambda number: (max(energies[number], enough), number))
        return next((number for number in later if self._meets(number, mode, rate)), None)

    def _meets(self, number: int, mode: str, rate: float) -> bool:
        return self.placed(number).met(mode, rate) >= MET

    def _energy(self, number: int) -> float:
        """J of a sample of a copy, nominal: static power at the rate, and what it causes."""
        one, rate = self._found[number], self._request.rate
        assert rate is not None
        static = one.chips * self._device.value("static_power_per_chip") / rate
        return static / self._request.copies + one.dynamic_energy
