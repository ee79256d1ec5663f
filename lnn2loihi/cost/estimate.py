"""Estimates time and energy of a workload on a Loihi device, with intervals."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.interval import FloatArray, Interval, sample
from lnn2loihi.cost.model import (
    RESOURCES,
    Operation,
    Parameters,
    core_seconds,
    evaluate,
    step_times,
)
from lnn2loihi.cost.result import CostEstimate, ParameterEffect, bottleneck_text
from lnn2loihi.cost.workload import FALL_THROUGH, MODES, PIPELINED, Workload
from lnn2loihi.devices import (
    COST_PARAMETERS,
    Device,
    Figure,
    device_tables,
    load_device,
    with_prefix,
)
from lnn2loihi.errors import DeviceError, Problems, RateError
from lnn2loihi.kinds import Natural, OneOf, Rate, Seconds, Within

#: Terms that are left out, with a note, where a device has no figure for them.
OMISSIBLE = ("energy_per_step", "active_core_power")
#: Fewest draws that give 5 % and 95 % quantiles, and most.
DRAWS = (100, 1_000_000)
_ENERGIES = (
    "steps", "synapses", "neurons", "messages", "hops", "active_cores", "dynamic",
    "static_full_chip", "static_pro_rata", "host_io", "total_full_chip", "total_pro_rata",
)  # fmt: skip


@checks_kinds()
def estimate(
    workload: Workload,
    device: str | os.PathLike[str] | Device,
    *,
    rate: Rate | None = None,
    mode: Annotated[str, OneOf(MODES)] = PIPELINED,
    host_io: bool = False,
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
        host_io: count input and output through a host, time and power.
        step_time: a measured mean step time in s that takes the place of the model's in
            everything but `step_time` itself.
        draws: draws of the parameters.
        seed: seed of the draws; the same for all that is to be compared.

    Raises:
        InputError: lists arguments that make no sense.
        DeviceError: the device is no Loihi, is too small, or lacks a figure.
        RateError: the device cannot meet the rate; says what a sample needs and has.
    """
    found = load_device(device)
    _check_device(workload, found)
    operation = Operation(mode, rate if rate is None else float(rate), host_io, step_time)
    figures, notes = parameters_of(found, workload, host_io)
    sets = _parameter_sets(figures, draws, seed)
    results = evaluate(workload, sets, found.count("cores_per_chip"), operation)
    phase, core, resource = _busiest(workload, sets)
    if rate is not None:
        _check_rate(workload, found, operation, results, (core, resource))
    drawn = slice(0, 1 + draws)
    return _result(
        workload, found, operation, {name: values[drawn] for name, values in results.items()},
        sensitivity=_effects(figures, results, 1 + draws),
        bottleneck=dict(zip(workload.core_names, _core_loads(workload, phase, sets), strict=True)),
        busiest=(phase, core, resource),
        notes=notes,
    )  # fmt: skip


def parameters_of(
    device: Device, workload: Workload, host_io: bool
) -> tuple[dict[str, Figure], list[str]]:
    """The figures that an estimate samples, in a fixed order, and notes on what is left out.

    Raises:
        DeviceError: lists the figures that the workload needs and the device has not.
    """
    needless = set() if host_io else {"host_io_time", "host_power"}
    if not workload.instructions.any():
        needless |= {"energy_per_instruction", "time_per_instruction"}
    figures, notes = {}, list(device.notes)
    problems = Problems(DeviceError, f"device {device.name!r}")
    for name in COST_PARAMETERS:
        figure = device.get(name)
        if figure is None:
            why = device.not_public.get(name, "its profile has no such figure")
            if name in OMISSIBLE:
                notes.append(f"{name} is left out: {why}")
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
    check_chip(device, f", a {device.kind} is measured")
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


def _parameter_sets(figures: Mapping[str, Figure], draws: int, seed: int) -> Parameters:
    """Nominal values; the draws; then for each parameter its low and its high end alone."""
    listed = list(figures.values())
    nominal = np.array([figure.value for figure in listed])
    ends = np.repeat(nominal[None], 2 * len(listed), axis=0)
    places = np.arange(len(listed))
    ends[2 * places, places] = [figure.low for figure in listed]
    ends[2 * places + 1, places] = [figure.high for figure in listed]
    values = np.concatenate([nominal[None], sample(listed, draws, seed), ends])
    return dict(zip(figures, values.T, strict=True))


def _effects(
    figures: Mapping[str, Figure], results: Mapping[str, FloatArray], first: int
) -> tuple[ParameterEffect, ...]:
    total, time = results["total_full_chip"][first:], results["sample_time"][first:]
    effects = [
        ParameterEffect(
            name, figure.grade, float(total[2 * i]), float(total[2 * i + 1]),
            float(time[2 * i]), float(time[2 * i + 1]),
        )
        for i, (name, figure) in enumerate(figures.items())
        if figure.value > 0.0
    ]  # fmt: skip
    return tuple(sorted(effects, key=lambda effect: -effect.swing))


def _busiest(workload: Workload, sets: Parameters) -> tuple[int, str, str]:
    """The slowest phase at nominal figures, its slowest core, and what that core does longest."""
    nominal = {name: values[:1] for name, values in sets.items()}
    phase = int(np.argmax(step_times(workload, nominal)[0][0]))
    seconds = core_seconds(workload, phase, nominal)
    core = int(np.argmax(seconds.sum(axis=0)))
    resource = int(np.argmax(seconds[:, core]))
    if seconds[resource, core] < nominal["time_per_step"][0]:
        return phase, workload.core_names[core], "steps"
    return phase, workload.core_names[core], RESOURCES[resource]


def _core_loads(workload: Workload, phase: int, sets: Parameters) -> list[dict[str, float]]:
    seconds = core_seconds(workload, phase, sets).T.tolist()
    return [dict(zip(RESOURCES, core, strict=True)) for core in seconds]


def _check_rate(
    workload: Workload,
    device: Device,
    operation: Operation,
    results: Mapping[str, FloatArray],
    busiest: tuple[str, str],
) -> None:
    assert operation.rate is not None
    needed, available = float(results["sample_time"][0]), 1.0 / operation.rate
    if needed <= available:
        return
    steps = workload.steps_per_sample(operation.mode)
    parts = f"{steps:g} step{'s'[: steps != 1]} of "
    parts += with_prefix(float(results["step_time"][0]), "s")
    parts += " and input and output through the host" if operation.host_io else ""
    raise RateError(
        f"{workload.name!r} on {device.name}, {operation.mode}, at {operation.rate:g} Hz",
        f"a sample needs {needed * 1e6:,.2f} us ({parts}), has {available * 1e6:,.2f} us; "
        f"the fastest rate is about {1.0 / needed:,.4g} Hz; "
        + bottleneck_text(operation.mode, *busiest),
        needed,
        available,
    )


def _result(
    workload: Workload,
    device: Device,
    operation: Operation,
    drawn: Mapping[str, FloatArray],
    *,
    sensitivity: tuple[ParameterEffect, ...],
    bottleneck: Mapping[str, Mapping[str, float]],
    busiest: tuple[int, str, str],
    notes: list[str],
) -> CostEstimate:
    phase, core, resource = busiest
    met = None
    if operation.rate is not None:
        met = float(np.mean(drawn["sample_time"][1:] <= 1.0 / operation.rate))
        if met < 0.95:
            notes.append(
                f"the rate is met at the nominal figures, and in {met:.0%} of the draws of their "
                "ranges"
            )
    if operation.step_time is not None:
        notes.append(
            f"energies and rates use a measured step time of "
            f"{with_prefix(operation.step_time, 's')} in place of the model's"
        )
    if operation.mode == FALL_THROUGH and workload.interleave > 1:
        notes.append("fall-through runs one sequence at a time; interleaving is not used")
    return CostEstimate(
        name=workload.name,
        device=device.name,
        mode=operation.mode,
        rate=operation.rate,
        chips=workload.chips,
        cores=workload.cores,
        steps_per_sample=workload.steps_per_sample(operation.mode),
        step_time_lower_bound=Interval.of(drawn["step_time_lower_bound"], "s"),
        step_time=Interval.of(drawn["step_time"], "s"),
        worst_step_time=Interval.of(drawn["worst_step_time"], "s"),
        worst_phase=phase,
        sample_time=Interval.of(drawn["sample_time"], "s"),
        latency=Interval.of(drawn["latency"], "s"),
        throughput=Interval.of(1.0 / drawn["interval"], "Hz"),
        energy={name: Interval.of(drawn[name], "J") for name in _ENERGIES},
        power={name: Interval.of(drawn[name] / drawn["interval"], "W") for name in _ENERGIES},
        energy_delay_product=Interval.of(drawn["total_full_chip"] * drawn["latency"], "J*s"),
        sensitivity=sensitivity,
        bottleneck=bottleneck,
        bottleneck_core=core,
        bottleneck_resource=resource,
        counts=workload.per_sample(),
        rate_met=met,
        notes=tuple(notes),
        source=workload.source,
    )
