"""Rows of Loihi chips: placed, and estimated from exact counters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lnn2loihi.cost import CostEstimate, Workload, estimate
from lnn2loihi.cost.workload import MODES
from lnn2loihi.devices import Device
from lnn2loihi.errors import DeviceError, PlacementError, RateError
from lnn2loihi.placement.placement import Placement
from lnn2loihi.placement.verb import place
from lnn2loihi.placement.workload import workload
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import (
    ChipProfile,
    CoreLoad,
    EnergySensitivity,
    Provenance,
    RatePoint,
)
from lnn2loihi.profiling.rows import CHIP, MODEL, Accuracy, ProfileRow
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import Counters
from lnn2loihi.targets import Target
from lnn2loihi.tiers import CALIBRATED

#: Points of the curve of energy against rate, and its lowest rate.
CURVE_POINTS, LOWEST_RATE = 16, 1.0
#: Terms of an estimate that a row keeps as its parts.
PARTS = ("active_cores", "synapses", "neurons", "spikes", "messages", "hops", "steps", "io")


@dataclasses.dataclass(frozen=True)
class ChipRequest:
    """What is asked of every chip.

    Attributes:
        program: the program, as its target has prepared it.
        target: what for.
        counters: of the user's samples.
        rate: samples per second, or None.
        io: where samples come from, as for `estimate`.
        accuracy: of the integers.
    """

    program: LoihiProgram
    target: Target
    counters: Counters
    rate: float | None
    io: str
    accuracy: Accuracy | None


@dataclasses.dataclass(frozen=True)
class ChipAnswer:
    """What became of one device.

    Attributes:
        rows: its rows.
        chip: its placement and curves; None where nothing could be placed.
        provenance: its figures.
        too_slow: why it cannot meet the rate, or None.
    """

    rows: tuple[ProfileRow, ...]
    chip: ChipProfile | None = None
    provenance: tuple[Provenance, ...] = ()
    too_slow: RateError | None = None


def profile_chip(device: Device, request: ChipRequest) -> ChipAnswer:
    """Places the program on a device and estimates what it costs there.

    A device that is too small, or lacks a figure, has a row that says so; a rate that it cannot
    meet is handed back in words.
    """
    try:
        # It is prepared already: the rules are left.
        rules = dataclasses.replace(request.target, passes=())
        placement = place(request.program, device, target=rules, counters=request.counters)
        counts = workload(placement, request.counters)
        full = {mode: estimate(counts, device, mode=mode, io=request.io) for mode in _modes(counts)}
    except (PlacementError, DeviceError) as error:
        return ChipAnswer((_failed(device, request, MODES[0], None, error.problems),))
    rows = [_row(device, request, found) for found in full.values()]
    paces = [full[MODES[0]]]
    too_slow: RateError | None = None
    if request.rate is not None:
        for mode in full:
            try:
                found = estimate(counts, device, mode=mode, rate=request.rate, io=request.io)
            except RateError as error:
                too_slow = error if mode == MODES[0] else too_slow
                rows.append(_failed(device, request, mode, request.rate, error.problems))
            else:
                rows.append(_row(device, request, found))
                paces += [found] if mode == MODES[0] else []
    chip = _chip(device, placement, counts, paces, request)
    return ChipAnswer(tuple(rows), chip, _provenance(device), too_slow)


def _modes(counts: Workload) -> Sequence[str]:
    """The ways that differ for this network."""
    steps = {mode: counts.steps_per_sample(mode) for mode in MODES}
    return MODES if steps[MODES[0]] != steps[MODES[1]] else MODES[:1]


def _row(device: Device, request: ChipRequest, found: CostEstimate) -> ProfileRow:
    energy = {name: Quantity.of(interval) for name, interval in found.energy.items()}
    return ProfileRow(
        device=device.name,
        title=device.title,
        kind=CHIP,
        backend=MODEL,
        tier=found.tier,
        precision=request.program.recipe,
        batch=1,
        mode=found.mode,
        energy_tier=found.tier,
        rate=found.rate,
        chips=found.chips,
        cores=found.cores,
        avg_time_per_step=Quantity.of(found.step_time),
        latency=Quantity.of(found.latency),
        throughput=Quantity.of(found.throughput),
        dynamic_energy=energy["dynamic"],
        static_energy=energy["static_full_chip"],
        static_energy_pro_rata=energy["static_pro_rata"],
        total_energy=energy["total_full_chip"],
        total_energy_pro_rata=energy["total_pro_rata"],
        energy_parts={name: energy[name] for name in PARTS if energy[name].high > 0.0},
        energy_delay_product=Quantity.of(found.energy_delay_product),
        accuracy=request.accuracy,
        total_energy_board=energy["total_board"] if energy["static_idle_chips"].high else None,
        io=found.io,
        rate_met=found.rate_met,
        source=f"{found.source}; {device.name}",
        notes=found.notes,
        basis=found.basis,
    )


def _failed(
    device: Device, request: ChipRequest, mode: str, rate: float | None, why: Sequence[str]
) -> ProfileRow:
    return ProfileRow(
        device=device.name,
        title=device.title,
        kind=CHIP,
        backend=MODEL,
        tier=CALIBRATED,
        precision=request.program.recipe,
        batch=1,
        mode=mode,
        rate=rate,
        status="failed",
        problems=tuple(why),
    )


def _chip(
    device: Device,
    placement: Placement,
    counts: Workload,
    paces: Sequence[CostEstimate],
    request: ChipRequest,
) -> ChipProfile:
    """What the page draws of a device.

    Args:
        device: the device.
        placement: where the program stands.
        counts: what it does there.
        paces: in pipelined operation at full speed, and at the rate where it can be met.
        request: what was asked.
    """
    full = paces[0]
    cores = tuple(
        CoreLoad(
            chip=core.chip,
            index=core.index,
            x=core.x,
            y=core.y,
            populations=", ".join(map(str, core.slices)),
            neurons=core.neurons,
            synapses=core.synapses,
            memory=core.memory,
            seconds=full.bottleneck[name],
        )
        for core, name in zip(placement.cores, counts.core_names, strict=True)
    )  # fmt: skip
    return ChipProfile(
        device=device.name,
        title=device.title,
        mesh_columns=device.count("mesh_columns"),
        mesh_rows=device.count("mesh_rows"),
        cores_per_router=device.count("cores_per_router"),
        chips=placement.chips,
        memory_per_core=device.count("memory_per_core"),
        cores=cores,
        bottleneck=list(counts.core_names).index(full.bottleneck_core),
        placement=placement.summary(),
        unchecked=tuple(placement.unchecked),
        rate_curve=_rate_curve(device, counts, full, request),
        sensitivities=tuple(map(_sensitivity, paces)),
        activity=dict(counts.per_sample()),
    )


def _sensitivity(found: CostEstimate) -> EnergySensitivity:
    pace = "full speed" if found.rate is None else f"at {found.rate:g} Hz"
    return EnergySensitivity(pace, found.energy["total_full_chip"].value, found.sensitivity)


def _rate_curve(
    device: Device, counts: Workload, full: CostEstimate, request: ChipRequest
) -> tuple[RatePoint, ...]:
    """Energy against rate, in pipelined operation, from slow to full speed."""
    fastest = 1.0 / full.sample_time.value
    lowest = min(LOWEST_RATE, fastest / 10.0, request.rate or LOWEST_RATE)
    points: list[RatePoint] = []
    for rate in np.geomspace(lowest, fastest * (1.0 - 1e-9), CURVE_POINTS):
        found = estimate(counts, device, rate=float(rate), io=request.io).energy
        totals = (Quantity.of(found[f"total_{share}"]) for share in ("full_chip", "pro_rata"))
        points.append(RatePoint(float(rate), *totals))
    return tuple(points)


def _provenance(device: Device) -> tuple[Provenance, ...]:
    return tuple(
        Provenance(f"{device.name}: {name}", str(f), f.range_text, f.grade, f.source)
        for name, f in device.figures.items()
    )
