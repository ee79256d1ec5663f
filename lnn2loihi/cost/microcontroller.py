"""Estimates what a program costs on a micro-controller: time and energy, with intervals.

Nobody has measured these programs there. Times of a multiply-accumulate and powers come from
published runs of another network on the same part; the time of a neuron instruction is assumed.
Where the instructions of a sample were counted in compiled code, they take the place of both times.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost.basis import DRAWS, MET, Range, one_at_its_ends
from lnn2loihi.cost.interval import Interval
from lnn2loihi.cost.microcontroller_model import (
    PARAMETERS,
    MicrocontrollerBasis,
    energies_of,
    parameters_of,
    sample_seconds,
    terms_of,
)
from lnn2loihi.cost.result import ParameterEffect
from lnn2loihi.cost.sample_work import (
    SPARSE_COST,
    CountedInstructions,
    MicrocontrollerWork,
    microcontroller_work,
)
from lnn2loihi.devices import (
    MICROCONTROLLER,
    Device,
    known_devices,
    load_device,
    rate_text,
    with_prefix,
)
from lnn2loihi.errors import DeviceError, Problems, RateError
from lnn2loihi.kinds import Count, Natural, Rate, Within
from lnn2loihi.program import LoihiProgram
from lnn2loihi.showing import Said, Shown, Table
from lnn2loihi.tables import percent, percent_met
from lnn2loihi.tiers import CALIBRATED

#: The figure of the time of a counted instruction, which is the device's clock and assumed cycles.
_PER_INSTRUCTION = "time_per_instruction"
_NOTES = (
    f"all synapses are computed, whether messages are 0 or not; one of a sparse row counts as "
    f"{SPARSE_COST} multiply-accumulates of a dense one, where that is less (assumed)",
    "left out: encoding and decoding, reading sensors and sending answers, waking up, and all of "
    "the board but the part",
    "memory is the least that weights, parameters, states and messages take; code and stack come "
    "on top",
)


@dataclass(frozen=True)
class MicrocontrollerEstimate(Shown):
    """Time and energy of a program on a micro-controller. Never a measurement.

    All energies and times are per sample of one copy, and all intervals are 90 % intervals over
    the ranges of the device's figures.

    Attributes:
        name: name of the network.
        device: name of the device.
        rate: samples per second of each copy that were asked for; None at full speed.
        copies: copies of the network, each with a state of its own.
        parts: micro-controllers that they take.
        copies_per_part: copies that take turns on the fullest of them.
        multiply_accumulates, neuron_instructions: work of a sample, see `MicrocontrollerWork`.
        flash_memory, working_memory: bytes that the fullest part needs at least.
        sample_time: the part computes so long for a sample.
        latency: from a sample to its answer, for the copy whose turn is the last.
        throughput: samples per second of all copies: the rate, or full speed.
        energy: J per sample: `multiply_accumulates`, `neurons` (or `instructions`, where these were
            counted), `sleep`, and their sum `total`.
        power: W of all parts, by the same names, averaged from one sample to the next.
        energy_delay_product: total energy times latency, J s.
        sensitivity: effect of each figure, largest first.
        rate_met: share of the draws in which the rate is met; None at full speed.
        notes: what is left out, and other reservations.
        basis: what it was computed from, for ratios and differences with other estimates.
        tier: how far the figures are to be trusted.
    """

    name: str
    device: str
    rate: float | None
    copies: int
    parts: int
    copies_per_part: int
    multiply_accumulates: int
    neuron_instructions: int
    flash_memory: int
    working_memory: int
    sample_time: Interval
    latency: Interval
    throughput: Interval
    energy: Mapping[str, Interval]
    power: Mapping[str, Interval]
    energy_delay_product: Interval
    sensitivity: tuple[ParameterEffect, ...]
    rate_met: float | None
    notes: tuple[str, ...]
    basis: MicrocontrollerBasis
    tier: str = CALIBRATED

    def _headline(self) -> str:
        pace = "full speed" if self.rate is None else f"{self.rate:g} Hz"
        total = f"{self.energy['total']} a sample"
        return f"{self.name!r} on {self.device}, {pace}: {total}, latency {self.latency}"

    def _shown(self) -> list[Said]:
        """The estimate as text."""
        speed = "full speed" if self.rate is None else f"{self.rate:g} samples a second each"
        copies = f"{self.copies:,} cop{'y' if self.copies == 1 else 'ies'}"
        parts = f"{self.parts:,} part{'s'[: self.parts > 1]}"
        times = {"sample": self.sample_time, "latency": self.latency}
        rate, total = self.throughput, self.energy["total"].value
        lines: list[Said] = [
            f"{self.name} on {self.device}: {copies} on {parts}, {speed}; {self.tier}",
            f"a sample: {self.multiply_accumulates:,} multiply-accumulates, "
            f"{self.neuron_instructions:,} neuron instructions",
            f"memory, at least: {self.flash_memory:,} B of flash, {self.working_memory:,} B of RAM",
            "",
            Table(("time", "value", "90 % interval"), [
                *((name, with_prefix(i.value, "s"), i.range_text) for name, i in times.items()),
                ("throughput", f"{rate.value:,.4g} /s", f"{rate.low:,.4g} to {rate.high:,.4g} /s"),
            ]),
            "",
            Table(("energy of a sample", "value", "90 % interval", "share", "power"), [
                (name.replace("_", "-"), with_prefix(i.value, "J"), i.range_text,
                 percent(i.value / total), with_prefix(self.power[name].value, "W"))
                for name, i in self.energy.items()
            ]),
            "",
            Table(("what it depends on", "grade", "total at low end", "total at high end"), [
                (e.parameter, e.grade, with_prefix(e.total_at_low, "J"),
                 with_prefix(e.total_at_high, "J"))
                for e in self.sensitivity
            ]),
            "",
        ]  # fmt: skip
        return [*lines, *(f"- {note}" for note in self.notes)]

    def to_dict(self) -> dict[str, Any]:
        """The estimate as plain data for JSON; every interval carries its unit."""
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "basis"}
        return {name: _plain(value) for name, value in shown.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, (Interval, ParameterEffect)):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


@checks_kinds()
def estimate_microcontroller(
    program: LoihiProgram,
    device: str | os.PathLike[str] | Device,
    *,
    rate: Rate | None = None,
    copies: Count = 1,
    draws: Annotated[int, Within(*DRAWS)] = 2000,
    seed: Natural = 0,
    counted: CountedInstructions | None = None,
) -> MicrocontrollerEstimate:
    """Estimates what a program costs on a micro-controller, computed one sample after the other.

    Each figure is drawn from its range, as a split log-normal distribution; intervals are the 5 %
    and 95 % quantiles of what comes out.

    Args:
        program: the program.
        device: name or file of a profile of kind `mcu`, or a Device.
        rate: samples per second of each copy; the part sleeps in between. None: full speed.
        copies: independent copies of the network. They take turns on a part as long as it has room
            for their states and meets the rate, at the upper end of the interval; what is left
            goes to further parts, evenly.
        draws: draws of the figures.
        seed: seed of the draws; the same for all that is to be compared.
        counted: instructions of a sample in compiled code. With the device's clock they take the
            place of what the program's operations are taken to cost.

    Raises:
        InputError: lists arguments that make no sense.
        DeviceError: the device is no micro-controller, has no room for the program, or no clock for
            counted instructions.
        RateError: one copy alone cannot meet the rate; says what takes longest, and has.
    """
    found = load_device(device)
    if found.kind != MICROCONTROLLER.name:
        raise DeviceError(
            f"device {found.name!r}",
            f"is a {found.kind}; this model is of micro-controllers: {', '.join(_names())}",
        )
    _check_figures(found)
    work = microcontroller_work(program)
    most = _most_copies(work, found, copies)
    if counted is not None:
        work = replace(work, instructions=counted.instructions)
    ranges = _ranges(work, found, counted)
    pace = None if rate is None else float(rate)
    alone = MicrocontrollerBasis(work, ranges, pace, draws=draws, seed=seed)
    if pace is not None:
        _check_rate(alone, found)
        longest = float(np.quantile(alone.results["sample_time"][1:], MET, method="higher"))
        most = min(most, max(int(1.0 / (pace * longest)), 1))
    basis = replace(alone, copies=copies, parts=-(-copies // most))
    return _result(basis, found, counted)


def _ranges(
    work: MicrocontrollerWork, device: Device, counted: CountedInstructions | None
) -> dict[str, Range]:
    """The figures that are drawn, in SI units."""
    found: dict[str, Range] = {}
    for name in parameters_of(work):
        if name != _PER_INSTRUCTION or counted is None:
            figure = device.figure(name)
            found[name] = Range(figure.value, figure.low, figure.high)
            continue
        if "clock" not in device.figures:
            raise DeviceError(
                f"device {device.name!r}", "has no clock, which counted instructions need"
            )
        clock, cycles = device.figure("clock"), counted.cycles
        found[name] = Range(
            cycles.value / clock.value, cycles.low / clock.high, cycles.high / clock.low
        )
    return found


def _check_figures(device: Device) -> None:
    """Refuses times and powers of 0, of which nothing but sleep may be one."""
    problems = Problems(DeviceError, f"device {device.name!r}")
    for name in PARAMETERS[:-1]:
        if device.value(name) == 0.0:
            problems.add(f"{name} is 0, and nothing is for free; give it with its range")
    problems.raise_if_any()


def _names() -> list[str]:
    return [device.name for _, device in known_devices() if device.kind == MICROCONTROLLER.name]


def _lacking(work: MicrocontrollerWork, device: Device) -> list[str]:
    """What there is no room for on a device, one copy of the network, a sentence each."""
    needed = (
        ("flash_memory", "flash memory", "weights and parameters", work.flash_memory),
        ("working_memory", "RAM", "states and messages", work.working_memory(1)),
    )
    return [
        f"{work.name!r} needs at least {bytes_:,} B of {memory} for its {what}, it has "
        f"{device.count(figure):,} B"
        for figure, memory, what, bytes_ in needed
        if bytes_ > device.count(figure)
    ]


def _most_copies(work: MicrocontrollerWork, device: Device, copies: int) -> int:
    """Of these copies, how many a part has room for.

    Raises:
        DeviceError: it has none for a single one; says how much, and what would fit.
    """
    problems = Problems(DeviceError, f"device {device.name!r}")
    problems.extend(_lacking(work, device))
    if problems:
        roomy = [
            other.name
            for _, other in known_devices()
            if other.kind == MICROCONTROLLER.name and not _lacking(work, other)
        ]
        there = f"; there is room on {', '.join(roomy)}" if roomy else ""
        problems.add(f"fewer units or fewer bits a weight need less{there}")
    problems.raise_if_any()
    left = device.count("working_memory") - work.message_memory
    return min(copies, left // work.state_memory) if work.state_memory else copies


def _check_rate(alone: MicrocontrollerBasis, device: Device) -> None:
    """Refuses a rate that one copy on a part does not meet, at the nominal figures."""
    assert alone.rate is not None and alone.rate_met is not None
    work, available = alone.work, 1.0 / alone.rate
    needed = float(alone.results["sample_time"][0])
    if needed <= available:
        return
    seconds = {n: float(s[0]) for n, s in sample_seconds(work, alone.parameters).items()}
    counts = {
        "multiply_accumulates": f"{work.multiply_accumulates:,} multiply-accumulates",
        "neurons": f"{work.neuron_instructions:,} neuron instructions",
        "instructions": f"{work.instructions or 0:,} counted instructions",
    }
    terms = " and ".join(f"{with_prefix(s, 's')} for {counts[n]}" for n, s in seconds.items())
    longest = max(seconds, key=lambda name: seconds[name])
    cost = terms_of(work)[longest]
    raise RateError(
        f"{work.name!r} on {device.name} at {rate_text(alone.rate)}",
        f"a sample needs {with_prefix(needed, 's')} ({terms}), has {with_prefix(available, 's')}; "
        f"the fastest rate is about {with_prefix(1.0 / needed, 'Hz', 4)}, and the ranges of the "
        f"figures leave a probability of {percent_met(alone.rate_met)}; the "
        f"{counts[longest].split(' ', 1)[1]} take longest ({_figure_text(cost, device)}): take "
        "fewer units or another part",
        needed,
        available,
    )


def _figure_text(name: str, device: Device) -> str:
    if name == _PER_INSTRUCTION:
        return f"at the clock of {device.name}, and cycles that are assumed"
    figure = device.figure(name)
    return f"{name} of {device.name}, {figure}, {figure.grade}"


def _effects(basis: MicrocontrollerBasis, device: Device) -> tuple[ParameterEffect, ...]:
    ends = basis.evaluate(one_at_its_ends(basis.figures))
    total, time = ends["total"], ends["sample_time"]
    effects = [
        ParameterEffect(
            name, _grade(name, device), float(total[2 * i]), float(total[2 * i + 1]),
            float(time[2 * i]), float(time[2 * i + 1]),
        )
        for i, name in enumerate(basis.figures)
    ]  # fmt: skip
    return tuple(sorted(effects, key=lambda effect: -effect.swing))


def _grade(name: str, device: Device) -> str:
    return "assumed" if name == _PER_INSTRUCTION else device.figure(name).grade


def _notes(
    basis: MicrocontrollerBasis, device: Device, counted: CountedInstructions | None
) -> tuple[str, ...]:
    notes, met, turns = [*_NOTES, *device.notes], basis.rate_met, basis.copies_per_part
    if counted is not None:
        one, what = counted.cycles, f" ({counted.what})" if counted.what else ""
        notes[0] = (
            f"{counted.instructions:,} instructions a sample were counted{what}, and stand in the "
            "place of what multiply-accumulates and neuron instructions are taken to cost; cycles "
            f"are assumed: {one.value:g} [{one.low:g}, {one.high:g}] an instruction, of "
            f"{with_prefix(device.figure('clock').value, 'Hz')}"
        )
    if met is not None and met < MET:
        notes.append(
            f"the rate is met at the nominal figures, but not by the upper end of the interval: "
            f"in {percent_met(met)} of the draws of their ranges"
        )
    if turns > 1:
        notes.append(
            f"{turns:,} copies take turns on a part and share its weights; the latency is that of "
            "the last of them, if their samples come together"
        )
    return tuple(notes)


def _result(
    basis: MicrocontrollerBasis, device: Device, counted: CountedInstructions | None
) -> MicrocontrollerEstimate:
    work, drawn = basis.work, basis.results
    energies = energies_of(work)
    power = {name: drawn[name] * basis.copies / drawn["interval"] for name in energies}
    return MicrocontrollerEstimate(
        name=work.name,
        device=device.name,
        rate=basis.rate,
        copies=basis.copies,
        parts=basis.parts,
        copies_per_part=basis.copies_per_part,
        multiply_accumulates=work.multiply_accumulates,
        neuron_instructions=work.neuron_instructions,
        flash_memory=work.flash_memory,
        working_memory=work.working_memory(basis.copies_per_part),
        sample_time=Interval.of(drawn["sample_time"], "s"),
        latency=Interval.of(drawn["latency"], "s"),
        throughput=Interval.of(drawn["throughput"], "Hz"),
        energy={name: Interval.of(drawn[name], "J") for name in energies},
        power={name: Interval.of(watts, "W") for name, watts in power.items()},
        energy_delay_product=Interval.of(drawn["energy_delay_product"], "J*s"),
        sensitivity=_effects(basis, device),
        rate_met=basis.rate_met,
        notes=_notes(basis, device, counted),
        basis=basis,
    )
