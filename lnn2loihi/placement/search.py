"""What was asked for, and the cuts of a program that a device has room for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.devices import Device, device_tables, load_device
from lnn2loihi.errors import DeviceError, InputError, PlacementError
from lnn2loihi.placement.activity import Activity, activity_of
from lnn2loihi.placement.draft import Draft, cutters_of
from lnn2loihi.placement.nominal import Power
from lnn2loihi.placement.partition import Cut, Cutter, fast, packed, refined, spread
from lnn2loihi.placement.remedies import remedy
from lnn2loihi.placement.rules import rules_of, violations
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import Counters
from lnn2loihi.targets import PlacementRule, Target, target_of

#: Objectives: the least product of energy and time, and the fewest cores.
FAST, PACKED = "fast", "packed"
OBJECTIVES = (FAST, PACKED)
#: What a placement is that was chosen among candidates and is neither.
BETWEEN = "between"
#: What objectives were called before.
_FORMER = {"balanced": FAST}


def check_objective(objective: str) -> None:
    """Refuses what is no objective; a former name with the one that it has now.

    Raises:
        InputError: it is none.
    """
    if objective in _FORMER:
        raise InputError("objective", f"{objective!r} is called {_FORMER[objective]!r} now")
    if objective not in OBJECTIVES:
        raise InputError("objective", f"{objective!r:.40} is none of {', '.join(OBJECTIVES)}")


@dataclass(frozen=True)
class Request:
    """Arguments of a placement, checked.

    Attributes:
        program: what to place, as its target has prepared it.
        device: where.
        target: what it was prepared for.
        rules: those of the target, or else of the device.
        chips: chips that it may take where they pay; None for as few as it needs.
        activity: how often sources send.
    """

    program: LoihiProgram
    device: Device
    target: Target
    rules: Sequence[PlacementRule]
    chips: int | None
    activity: Activity

    @property
    def available(self) -> int:
        """Chips that it may take."""
        return self.chips or self.device.count("chips")

    @property
    def subject(self) -> str:
        """What errors are about."""
        prepared = (
            "" if self.target.name == DEFAULT_TARGET else f", prepared for {self.target.name}"
        )
        return f"{self.program.name!r} on {self.device.name}{prepared}"


def request(
    program: LoihiProgram,
    device: str | os.PathLike[str] | Device,
    target: str | Target,
    chips: int | None,
    counters: Counters | None,
) -> Request:
    """Checks arguments, and prepares the program.

    Raises:
        DeviceError: the device is unknown, or none that programs are placed on.
        InputError: it has no such number of chips, or the counters are of another program.
        TargetError: the target cannot prepare the program.
    """
    found = load_device(device)
    tables = device_tables()
    if not tables.placeable(found.kind):
        there = " or ".join(kind.title for kind in tables.kinds.values() if kind.rules)
        raise DeviceError(f"device {found.name!r}", f"is a {found.kind}; programs run on a {there}")
    available = found.count("chips")
    if chips is not None and not 1 <= chips <= available:
        raise InputError("chips", f"{chips!r:.40}; {found.name} has 1 to {available:,}")
    aim = target_of(target)
    rules = rules_of(found.kind) if aim.rules is None else aim.rules
    source, program = program, aim.prepare(program)
    try:
        activity = activity_of(program, counters)
    except InputError as error:
        if program is source:
            raise
        hint = (
            f"they have to be of the program that the target {aim.name} has prepared: give "
            "simulate(target.prepare(program), x).counters"
        )
        raise InputError(error.subject, [*error.problems, hint]) from None
    return Request(program, found, aim, rules, chips, activity)


@dataclass(frozen=True)
class Search:
    """A program that a device has room for.

    Attributes:
        asked: what was asked for.
        cutters: one for each line.
        packed: the fewest cores, which violate no rule.
    """

    asked: Request
    cutters: Sequence[Cutter]
    packed: Draft

    @classmethod
    def of(cls, asked: Request) -> Search:
        """The search for a request.

        Raises:
            PlacementError: lists all limits that are exceeded, and what would fit.
        """
        cutters = cutters_of(asked.program, asked.device, asked.activity)
        draft = Draft(asked.program, asked.device, asked.available, asked.activity, packed(cutters))
        exceeded = violations(draft, asked.rules, remedy)
        if exceeded:
            raise PlacementError(asked.subject, exceeded)
        return cls(asked, cutters, draft)

    @cached_property
    def power(self) -> Power:
        """What cores and chips take."""
        cutter = self.packed.cut.cutter
        return Power.of(self.asked.device, cutter.line, cutter.sending)

    @cached_property
    def cuts(self) -> list[Cut]:
        """From the fewest cores to the fastest, each with shorter steps than the one before."""
        most = self.asked.chips or self.packed.chips_needed
        cuts = spread(self.cutters, self.asked.device.count("cores_per_chip") * most)
        return [self.packed.cut, *cuts[1:]]

    def draft(self, cut: Cut) -> Draft:
        """The program on those cores."""
        return replace(self.packed, cut=cut)

    def allows(self, draft: Draft) -> bool:
        """Whether rules allow it: more cores have more axons to each other, which are limited."""
        return not any(rule.violations(draft) for rule in self.asked.rules)

    def fast(self) -> Draft:
        """The least product of energy and time; where rules forbid it, the most cores below it that
        they allow.
        """
        last = fast(self.cuts, self.power)
        if last == 0:
            return self.packed
        better = self.draft(refined(self.cuts[last], self.power))
        if self.allows(better):
            return better
        drafts = (self.draft(self.cuts[place]) for place in range(last, 0, -1))
        return next((draft for draft in drafts if self.allows(draft)), self.packed)
