"""Placement: neurons, synapses and programs on cores and chips, under the limits of a device."""

from __future__ import annotations

import os

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.devices import Device
from lnn2loihi.placement.arranged import arranged
from lnn2loihi.placement.placement import Core, Placement, Slice, Traffic
from lnn2loihi.placement.rules import RULES, Rule, Violation, rules_of
from lnn2loihi.placement.search import FAST, OBJECTIVES, Search, check_objective, request
from lnn2loihi.placement.workload import workload
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import Counters
from lnn2loihi.targets import Target

__all__ = [
    "OBJECTIVES",
    "RULES",
    "Core",
    "Placement",
    "Rule",
    "Slice",
    "Traffic",
    "Violation",
    "place",
    "rules_of",
    "workload",
]


@checks_kinds()
def place(
    program: LoihiProgram,
    device: str | os.PathLike[str] | Device = "loihi2-oheo-gulch",
    *,
    target: str | Target = DEFAULT_TARGET,
    objective: str = FAST,
    chips: int | None = None,
    counters: Counters | None = None,
) -> Placement:
    """Puts a program on cores and chips.

    Cores hold slices of populations, several of them where that saves cores or time. The memory
    model, its assumptions and the search are those of docs/placement.md.

    Args:
        program: what to place.
        device: name or file of a profile, or a Device: a Loihi, or of another kind that has rules.
        target: what to prepare the program for: what it makes of it is placed, under its rules.
        objective: `fast`: as many cores as make the product of energy and time of a step small, on
            the fewest chips that the program needs, or on `chips`; `packed`: the fewest cores.
        chips: chips that the program may take; by default those of the device.
        counters: non-zero messages of a simulation (`simulate(program, x).counters`), of the
            program that the target has prepared; by default cores are cut for messages that are
            all not zero, and the result says so.

    Raises:
        PlacementError: lists all limits that are exceeded, and what would fit.
        InputError: an argument makes no sense, or the counters are of another program.
        DeviceError: the device is unknown, or none that programs are placed on.
        PluginError: a rule of a package fails.
        TargetError: the target cannot prepare the program.
    """
    check_objective(objective)
    asked = request(program, device, target, chips, counters)
    search = Search.of(asked)
    draft = search.fast() if objective == FAST else search.packed
    return arranged(draft, asked, objective)
