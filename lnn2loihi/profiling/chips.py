"""Rows of Loihi chips: placed, and estimated from exact counters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lnn2loihi.cost import CostEstimate, Interval, estimate
from lnn2loihi.cost.bottleneck import CORES, MODE
from lnn2loihi.cost.workload import FALL_THROUGH, PIPELINED
from lnn2loihi.defaults import AUTO, PACKED
from lnn2loihi.devices import Device, rate_text, with_prefix
from lnn2loihi.errors import DeviceError, PlacementError, RateError
from lnn2loihi.profiling.choice import Placed, has_faster, placed_for
from lnn2loihi.profiling.core_loads import loads_of
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.request import ChipRequest
from lnn2loihi.profiling.result import ChipProfile, EnergySensitivity, Provenance, RatePoint
from lnn2loihi.profiling.rows import CHIP, MODEL, ProfileRow
from lnn2loihi.tiers import CALIBRATED

#: Points of the curve of energy against rate, and its lowest rate.
CURVE_POINTS, LOWEST_RATE = 16, 1.0
#: Terms of an estimate that a row keeps as its parts.
PARTS = ("active_cores", "synapses", "neurons", "spikes", "messages", "hops", "steps", "io")


@dataclasses.dataclass(frozen=True)
class ChipAnswer:
    """What became of one device.

    Attributes:
        rows: its rows.
        chips: its placements and curves; none where nothing could be placed.
        provenance: its figures.
        too_slow: why it cannot meet the rate, or None.
    """

    rows: tuple[ProfileRow, ...]
    chips: tuple[ChipProfile, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    too_slow: RateError | None = None


def profile_chip(device: Device, request: ChipRequest) -> ChipAnswer:
    """Places the program on a device and estimates what it costs there.

    A device that is too small, or lacks a figure, has a row that says so; a rate that it cannot
    meet is handed back in words.
    """
    try:
        found = placed_for(device, request)
    except (PlacementError, DeviceError) as error:
        return ChipAnswer((_refused(device, request, error.problems),))
    notes = _notes(request, found)
    rows = [_row(device, request, one, cost, notes) for one in found for cost in one.full.values()]
    chips: list[ChipProfile] = []
    too_slow: list[RateError] = []
    for one in found:
        paced: dict[str, CostEstimate] = {}
        if request.rate is not None:
            paced, refused = _at_rate(device, request, one, request.rate)
            rows += [_row(device, request, one, cost, notes) for cost in paced.values()]
            rows += [_too_slow(device, request, one, *pair) for pair in refused.items()]
            too_slow += [] if paced else [refused[tuple(one.full)[-1]]]
        chips.append(_chip(device, one, paced, request))
    whole = too_slow[0] if len(too_slow) == len(found) else None
    return ChipAnswer(tuple(rows), tuple(chips), _provenance(device), whole)


def _at_rate(
    device: Device, request: ChipRequest, one: Placed, rate: float
) -> tuple[dict[str, CostEstimate], dict[str, RateError]]:
    """Estimates at a rate by mode, and why there is none."""
    paced: dict[str, CostEstimate] = {}
    refused: dict[str, RateError] = {}
    for mode in one.full:
        try:
            paced[mode] = estimate(one.counts, device, mode=mode, rate=rate, io=request.io)
        except RateError as error:
            refused[mode] = _explained(error, device, request, one, mode)
    return paced, refused


def _explained(
    error: RateError, device: Device, request: ChipRequest, one: Placed, mode: str
) -> RateError:
    """The error, and what else there is not: a faster placement, or the other mode. What cannot
    help is not advised.
    """
    words, advice = "", dict(error.advice)
    faster = request.placement == PACKED and has_faster(device, request)
    if not faster:
        advice.pop(CORES, None)
    if PIPELINED not in one.full:
        advice.pop(MODE, None)
    if request.placement == PACKED and not faster:
        words += ". The placement that is packed is the fast one too"
    if request.placement == AUTO:
        words += ". No placement that there is room for is more likely to meet it"
    if request.closed_loop:
        fastest = with_prefix(1.0 / one.full[mode].sample_time.value, "Hz")
        words += ". A closed loop forbids pipelining (--closed-loop), and falling through reaches "
        words += fastest
    problem = "; ".join([error.fact, *advice.values()]) + words
    return RateError(error.subject, problem, error.needed, error.available)


def _notes(request: ChipRequest, found: Sequence[Placed]) -> tuple[str, ...]:
    """What has to be said of how the rows were chosen, so that nothing is left out in silence."""
    notes: list[str] = []
    (modes,) = {tuple(one.full) for one in found}
    if request.closed_loop:
        notes.append("in a closed loop nothing is pipelined, and pipelined rows are left out")
    elif PIPELINED not in modes:
        notes.append("pipelined it runs as it does falling through: an answer comes in one step")
    if request.placement == AUTO and request.rate is None and len(found) == 1:
        notes.append("the placement that is packed is the fast one too")
    return tuple(notes)


def _row(
    device: Device,
    request: ChipRequest,
    one: Placed,
    found: CostEstimate,
    notes: tuple[str, ...],
) -> ProfileRow:
    energy = {name: Quantity.of(interval) for name, interval in found.energy.items()}
    of_device = set(device.notes)  # said once, of the device
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
        placement=one.objective,
        io=found.io,
        copies=found.copies,
        rate_met=found.rate_met,
        source=f"{found.source}; {device.name}",
        notes=(*(note for note in found.notes if note not in of_device), *notes),
        basis=found.basis,
    )


def _refused(device: Device, request: ChipRequest, why: Sequence[str]) -> ProfileRow:
    """A device that has no room, or lacks a figure."""
    return ProfileRow(
        device=device.name,
        title=device.title,
        kind=CHIP,
        backend=MODEL,
        tier=CALIBRATED,
        precision=request.program.recipe,
        batch=1,
        mode=FALL_THROUGH if request.closed_loop else PIPELINED,
        status="failed",
        problems=tuple(why),
        placement="" if request.placement == AUTO else request.placement,
        io=request.io,
        copies=request.copies,
    )


def _too_slow(
    device: Device, request: ChipRequest, one: Placed, mode: str, error: RateError
) -> ProfileRow:
    """A rate that a placement does not meet in a mode, and how probably it does all the same."""
    assert request.rate is not None
    return dataclasses.replace(
        _refused(device, request, error.problems),
        mode=mode,
        rate=request.rate,
        chips=one.placement.chips,
        cores=one.full[mode].cores,
        placement=one.objective,
        rate_met=one.met(mode, request.rate),
    )


def _chip(
    device: Device, one: Placed, paced: dict[str, CostEstimate], request: ChipRequest
) -> ChipProfile:
    """What the page draws of a placement, in the mode that is fastest of those allowed.

    Args:
        device: the device.
        one: where the program stands, and what it does there.
        paced: estimates at the rate, where one was asked for and can be met.
        request: what was asked.
    """
    mode, full = tuple(one.full.items())[-1]
    paces = [full, *(found for name, found in paced.items() if name == mode)]
    return ChipProfile(
        device=device.name,
        title=device.title,
        mesh_columns=device.count("mesh_columns"),
        mesh_rows=device.count("mesh_rows"),
        cores_per_router=device.count("cores_per_router"),
        chips=one.placement.chips,
        memory_per_core=device.count("memory_per_core"),
        cores=loads_of(one.placement, full.bottleneck),
        bottleneck=list(one.counts.core_names).index(full.bottleneck_core),
        placement=one.placement.summary(),
        unchecked=tuple(one.placement.unchecked),
        rate_curve=_rate_curve(full, request.rate),
        sensitivities=tuple(map(_sensitivity, paces)),
        activity=dict(one.counts.per_sample()),
        objective=one.objective,
        mode=mode,
        copies=request.copies,
    )


def _sensitivity(found: CostEstimate) -> EnergySensitivity:
    pace = "full speed" if found.rate is None else f"at {rate_text(found.rate)}"
    return EnergySensitivity(pace, found.energy["total_full_chip"].value, found.sensitivity)


def _rate_curve(full: CostEstimate, asked: float | None) -> tuple[RatePoint, ...]:
    """Energy against rate, from slow to full speed."""
    fastest = 1.0 / full.sample_time.value
    lowest = min(LOWEST_RATE, fastest / 10.0, asked or LOWEST_RATE)
    points: list[RatePoint] = []
    for rate in np.geomspace(lowest, fastest * (1.0 - 1e-9), CURVE_POINTS):
        drawn = dataclasses.replace(full.basis, rate=float(rate)).results
        totals = (
            Quantity.of(Interval.of(drawn[f"total_{share}"], "J"))
            for share in ("full_chip", "pro_rata")
        )
        points.append(RatePoint(float(rate), *totals))
    return tuple(points)


def _provenance(device: Device) -> tuple[Provenance, ...]:
    return tuple(
        Provenance(f"{device.name}: {name}", str(f), f.range_text, f.grade, f.source)
        for name, f in device.figures.items()
    )
