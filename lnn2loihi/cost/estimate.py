"""Estimates time and energy of a workload on a Loihi device, with intervals."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.basis import DRAWS, MET, Basis, Range
from lnn2loihi.cost.bottleneck import Bottleneck, bottleneck_of
from lnn2loihi.cost.demand import demand_of
from lnn2loihi.cost.interval import FloatArray, Interval
from lnn2loihi.cost.model import HOST, NO_IO, ON_BOARD
from lnn2loihi.cost.result import ENERGIES, CostEstimate, ParameterEffect
from lnn2loihi.cost.workload import FALL_THROUGH, MODES, PIPELINED, Workload
from lnn2loihi.defaults import IO
from lnn2loihi.devices import (
    COST_PARAMETERS,
    MICROCONTROLLER,
    Device,
    Figure,
    device_tables,
    load_device,
    rate_text,
    with_prefix,
)
from lnn2loihi.errors import DeviceError, Problems, RateError
from lnn2loihi.kinds import Natural, OneOf, Rate, Seconds, Within
from lnn2loihi.tables import percent_met

#: Terms that are left out, with a note, where a device has no figure for them, and the counts of a
#: sample that make them matter.
_OMISSIBLE: Mapping[str, str] = {
    "energy_per_step": "",
    "active_core_power": "",
    "energy_per_spike": "spikes",
    "time_per_spike": "",
    "time_per_outgoing_message": "messages_out",
    "time_per_link_message": "link_messages",
}
#: What only some kinds of input and output need.
_OF_IO: Mapping[str, tuple[str, ...]] = {
    NO_IO: (), ON_BOARD: ("time_per_board_message",), HOST: ("host_io_time", "host_power")
}  # fmt: skip
#: The board that serves a chip may have no published power; the estimate says so.
_BOARD_POWER = "board_power"


@checks_kinds()
def estimate(
    workload: Workload,
    device: str | os.PathLike[str] | Device,
    *,
    rate: Rate | None = None,
    mode: Annotated[str, OneOf(MODES)] = PIPELINED,
    io: Annotated[str, OneOf(IO)] = NO_IO,
    step_time: Seconds | None = None,
    draws: Annotated[int, Within(*DRAWS)] = 2000,
    seed: Natural = 0,
) -> CostEstimate:
    """Estimates what a workload costs on a Loihi device.

    The equations are those of docs/cost.md. Each parameter is drawn from its range, as a split
    log-normal distribution; intervals are the 5 % and 95 % quantiles of what comes out.

    Args:
        workload: counts per chip step, usually of `lnn2loihi.placement.workload`.
        device: name or file of a Loihi profile, or a Device.
        rate: samples per second that come in; the chip idles in between. None: full speed.
        mode: `pipelined` (a new sample every period) or `fall-through` (a sample passes all
            layers before the next comes, as in a closed loop). The steps of a sample that falls
            through are taken to last as long as those of a full pipeline, which is an upper bound.
        io: where samples come from and answers go to: `none` (they stay on the chip), `on-board`
            (the board beside the chip) or `host` (a host, a round trip for each sample).
        step_time: a measured mean step time in s that takes the place of the model's in
            everything but `step_time` itself.
        draws: draws of the parameters.
        seed: seed of the draws; the same for all that is to be compared.

    Raises:
        InputError: lists arguments that make no sense.
        DeviceError: the device is no Loihi, is too small, or lacks a figure.
        RateError: the device cannot meet the rate at the nominal figures; says what a sample needs
            and has, which term takes longest, and how probable it is all the same.
    """
    found = load_device(device)
    _check_device(workload, found)
    figures, notes = parameters_of(found, workload, io)
    basis = Basis(
        demand_of(workload, mode, found.count("cores_per_chip"), found.count("chips")),
        {name: Range(f.value, f.low, f.high) for name, f in figures.items()},
        None if rate is None else float(rate), io, step_time, draws, seed,
    )  # fmt: skip
    longest = bottleneck_of(workload, basis, found)
    if rate is not None:
        _check_rate(workload, found, basis, longest)
    return _result(workload, found, basis, _effects(figures, basis), longest, notes)


def parameters_of(
    device: Device, workload: Workload, io: str
) -> tuple[dict[str, Figure], list[str]]:
    """The figures that an estimate samples, in a fixed order, and notes on what is left out.

    Raises:
        DeviceError: lists the figures that the workload needs and the device has not.
    """
    needless = {name for kind, names in _OF_IO.items() if kind != io for name in names}
    if not workload.instructions.any():
        needless |= {"energy_per_instruction", "time_per_instruction"}
    counts = {"": 1.0, **workload.per_sample()}
    figures, notes = {}, list(device.notes)
    problems = Problems(DeviceError, f"device {device.name!r}")
    for name in COST_PARAMETERS:
        figure = device.get(name)
        if figure is None:
            why = device.not_public.get(name, "its profile has no such figure")
            if name == _BOARD_POWER:
                notes += [f"what the board draws beside its chips is left out: {why}"] * (
                    io == ON_BOARD
                )
            elif name == "time_per_spike" and device.get("time_per_outgoing_message") is not None:
                pass  # stands for both: what a core takes to send
            elif name in _OMISSIBLE:
                notes += [f"{name} is left out: {why}"] * bool(counts[_OMISSIBLE[name]])
            elif name not in needless:
                problems.add(f"it needs {name}: {why}")
            figure = Figure(0.0, 0.0, 0.0, "1", "absent", "assumed")
        figures[name] = figure
    problems.raise_if_any()
    return figures, notes


def check_chip(device: Device, instead: str = "") -> None:
    """Refuses a device that the model is not of, with what to do instead.

    Raises:
        DeviceError: no programs are placed on it.
    """
    if not device_tables().placeable(device.kind):
        raise DeviceError(
            f"device {device.name!r}", f"is a {device.kind}; this model is of Loihi{instead}"
        )


def _check_device(workload: Workload, device: Device) -> None:
    other = f", a {device.kind} is measured"
    if device.kind == MICROCONTROLLER.name:
        other = ", estimate_microcontroller is for micro-controllers"
    check_chip(device, other)
    problems = Problems(DeviceError, f"device {device.name!r}")
    chips, cores = device.count("chips"), device.count("cores_per_chip")
    if workload.chips > chips:
        problems.add(f"it has {chips:,} chips, {workload.name!r} takes {workload.chips:,}")
    if workload.cores > workload.chips * cores:
        problems.add(
            f"{workload.name!r} takes {workload.cores:,} cores on {workload.chips:,} chips with "
            f"{cores} usable cores each"
        )
    problems.raise_if_any()


def _effects(figures: Mapping[str, Figure], basis: Basis) -> tuple[ParameterEffect, ...]:
    ends = basis.at_ends()
    total, time = ends["total_full_chip"], ends["sample_time"]
    effects = [
        ParameterEffect(
            name, figure.grade, float(total[2 * i]), float(total[2 * i + 1]),
            float(time[2 * i]), float(time[2 * i + 1]),
        )
        for i, (name, figure) in enumerate(figures.items())
        if figure.value > 0.0
    ]  # fmt: skip
    return tuple(sorted(effects, key=lambda effect: -effect.swing))


def _check_rate(workload: Workload, device: Device, basis: Basis, longest: Bottleneck) -> None:
    assert basis.rate is not None and basis.rate_met is not None
    needed, available = float(basis.results["sample_time"][0]), 1.0 / basis.rate
    if needed <= available:
        return
    steps = basis.demand.steps
    pipelined = workload.steps_per_sample(PIPELINED)
    parts = f"{steps:g} step{'s'[: steps != 1]} of "
    parts += with_prefix(float(basis.results["step_time"][0]), "s")
    outside = {HOST: "the host", ON_BOARD: "the board"}.get(basis.io)
    parts += f" and input and output through {outside}" if outside else ""
    copies = f", {basis.demand.copies:,} copies" if basis.demand.copies > 1 else ""
    raise RateError(
        f"{workload.name!r} on {device.name}{copies}, {basis.demand.mode}, "
        f"at {rate_text(basis.rate)}",
        f"a sample needs {with_prefix(needed, 's')} ({parts}), has "
        f"{with_prefix(available, 's')}; the fastest rate is about "
        f"{with_prefix(1.0 / needed, 'Hz', 4)}, and "
        f"the ranges of the figures leave a probability of {percent_met(basis.rate_met)}; "
        f"{longest.text()}",
        needed,
        available,
        longest.advice(pipelined < basis.demand.steps),
    )


def _result(
    workload: Workload,
    device: Device,
    basis: Basis,
    sensitivity: tuple[ParameterEffect, ...],
    longest: Bottleneck,
    notes: list[str],
) -> CostEstimate:
    demand, drawn, met = basis.demand, basis.results, basis.rate_met
    if met is not None and met < MET:
        notes.append(
            f"the rate is met at the nominal figures, but not by the upper end of the interval: "
            f"in {percent_met(met)} of the draws of their ranges"
        )
    idle = demand.board_chips - demand.chips
    if idle:
        power = device.figure("static_power_per_chip")
        notes.append(
            f"the {idle:,} other chips of the board draw {with_prefix(idle * power.value, 'W')} "
            "while they idle: they are not in the total of the full chip, but in that of the board"
        )
    if basis.step_time is not None:
        notes.append(
            f"energies and rates use a measured step time of "
            f"{with_prefix(basis.step_time, 's')} in place of the model's"
        )
    if demand.mode == FALL_THROUGH and workload.interleave > 1:
        notes.append("fall-through runs one sequence at a time; interleaving is not used")

    def power_of(name: str) -> FloatArray:
        return drawn[name] * demand.copies / drawn["interval"]

    return CostEstimate(
        name=workload.name,
        device=device.name,
        mode=demand.mode,
        rate=basis.rate,
        io=basis.io,
        copies=demand.copies,
        chips=demand.chips,
        cores=demand.cores,
        steps_per_sample=demand.steps,
        step_time_lower_bound=Interval.of(drawn["step_time_lower_bound"], "s"),
        step_time=Interval.of(drawn["step_time"], "s"),
        worst_step_time=Interval.of(drawn["worst_step_time"], "s"),
        worst_phase=longest.phase,
        link_time=Interval.of(drawn["link_time"], "s"),
        io_time=Interval.of(drawn["io_time"], "s"),
        sample_time=Interval.of(drawn["sample_time"], "s"),
        latency=Interval.of(drawn["latency"], "s"),
        throughput=Interval.of(drawn["throughput"], "Hz"),
        energy={name: Interval.of(drawn[name], "J") for name in ENERGIES},
        power={name: Interval.of(power_of(name), "W") for name in ENERGIES},
        energy_delay_product=Interval.of(drawn["energy_delay_product"], "J*s"),
        sensitivity=sensitivity,
        bottleneck=longest.loads,
        bottleneck_core=longest.core,
        bottleneck_resource=longest.resource,
        counts=workload.per_sample(),
        rate_met=met,
        notes=tuple(notes),
        source=workload.source,
        basis=basis,
    )
