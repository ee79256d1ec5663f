"""Placement: neurons, synapses and programs on cores and chips, under the limits of a device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.devices import Device, device_tables, load_device
from lnn2loihi.errors import DeviceError, InputError, PlacementError
from lnn2loihi.placement.activity import activity_of
from lnn2loihi.placement.draft import Draft, cutters_of
from lnn2loihi.placement.mesh import Positions, arrange, axon_messages
from lnn2loihi.placement.partition import Power, balanced, packed
from lnn2loihi.placement.placement import Core, Placement, Slice, Traffic
from lnn2loihi.placement.remedies import remedy
from lnn2loihi.placement.rules import RULES, Rule, Violation, rules_of, unchecked, violations
from lnn2loihi.placement.workload import workload
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import Counters
from lnn2loihi.targets import PlacementRule, Target, target_of
from lnn2loihi.targets.beside import not_proved

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

OBJECTIVES = ("balanced", "packed")


@checks_kinds()
def place(
    program: LoihiProgram,
    device: str | os.PathLike[str] | Device = "loihi2-oheo-gulch",
    *,
    target: str | Target = DEFAULT_TARGET,
    objective: str = "balanced",
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
        objective: `balanced`: as many cores as make the steps shorter by more than they cost in
            power, on the fewest chips that the program needs, or on `chips`; `packed`: the fewest
            cores.
        chips: chips that the program may take; by default those of the device.
        counters: non-zero messages of a simulation (`simulate(program, x).counters`), of the
            program that the target has prepared; by default cores are balanced for messages that
            are all not zero, and the result says so.

    Raises:
        PlacementError: lists all limits that are exceeded, and what would fit.
        InputError: an argument makes no sense, or the counters are of another program.
        DeviceError: the device is unknown, or none that programs are placed on.
        PluginError: a rule of a package fails.
        TargetError: the target cannot prepare the program.
    """
    found = load_device(device)
    tables = device_tables()
    if not tables.placeable(found.kind):
        there = " or ".join(kind.title for kind in tables.kinds.values() if kind.rules)
        raise DeviceError(f"device {found.name!r}", f"is a {found.kind}; programs run on a {there}")
    if objective not in OBJECTIVES:
        raise InputError("objective", f"{objective!r:.40} is none of {', '.join(OBJECTIVES)}")
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
    cutters = cutters_of(program, found, activity)
    draft = Draft(program, found, chips or available, activity, packed(cutters))
    exceeded = violations(draft, rules, remedy)
    if exceeded:
        prepared = "" if aim.name == DEFAULT_TARGET else f", prepared for {aim.name}"
        raise PlacementError(f"{program.name!r} on {found.name}{prepared}", exceeded)
    if objective == "balanced":
        cores = found.count("cores_per_chip") * (chips or draft.chips_needed)
        spread = replace(draft, cut=balanced(cutters, cores, Power.of(found)))
        # More cores have more axons to each other, which a profile may limit.
        draft = draft if any(rule.violations(spread) for rule in rules) else spread
    return _placement(draft, objective, arrange(draft), aim, rules)


def _placement(
    draft: Draft,
    objective: str,
    positions: Positions,
    target: Target,
    rules: Sequence[PlacementRule],
) -> Placement:
    axons, updates = draft.axons, draft.activity.updates
    sent = axon_messages(draft) * draft.program.substeps / updates
    ends = axons.origin.astype(np.int64), axons.target.astype(np.int64)
    hops, crossings = positions.hops(*ends)
    return Placement(
        program=draft.program,
        device=draft.device,
        objective=objective,
        cores=_cores(draft, positions),
        axons=axons,
        traffic=Traffic(float(sent.sum()), float(sent @ hops), float(sent @ crossings)),
        activity=draft.activity.text,
        step_seconds=draft.cut.step_time,
        unchecked=unchecked(draft, rules),
        target=target.name,
        unproved=not_proved(target, draft.program),
    )


def _cores(draft: Draft, positions: Positions) -> tuple[Core, ...]:
    columns, rows = positions.routers
    busiest = draft.cut.seconds.max(axis=1)
    sums = ("memory", "neuron_groups")
    counts = {name: values for name, values in draft.usage.items() if name not in sums}
    return tuple(
        Core(
            chip=int(positions.chip[place]),
            index=int(positions.slot[place]),
            x=int(columns[place]),
            y=int(rows[place]),
            slices=_slices(draft, place),
            seconds=float(busiest[place]),
            **{name: int(values[place]) for name, values in counts.items()},
        )
        for place in range(draft.cores)
    )


def _slices(draft: Draft, place: int) -> tuple[Slice, ...]:
    share, found = draft.cut.shares[place], []
    for number in np.flatnonzero(share.neurons):
        group = draft.line.groups[number]
        first, stop = np.searchsorted(group.positions, (share.first, share.stop))
        found.append(Slice(group.name, int(first), int(stop)))
    return tuple(found)
