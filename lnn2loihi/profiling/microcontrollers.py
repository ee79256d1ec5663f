"""Rows of micro-controllers, whose cost is estimated from the program alone, or from instructions
of its C code that were counted in an emulator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from lnn2loihi.cost import (
    CountedInstructions,
    Interval,
    MicrocontrollerEstimate,
    estimate_microcontroller,
)
from lnn2loihi.devices import MICROCONTROLLER as KIND
from lnn2loihi.devices import Device, known_devices
from lnn2loihi.errors import BackendMissingError, CompiledRunError, DeviceError, RateError
from lnn2loihi.measure.trial import one_line
from lnn2loihi.micro.footprint import footprint
from lnn2loihi.micro.parts import PARTS, core_of
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import MICROCONTROLLER, MODEL, Accuracy, ProfileRow
from lnn2loihi.profiling.speaking import surely_met
from lnn2loihi.program import LoihiProgram
from lnn2loihi.tiers import CALIBRATED

#: How a processor answers: sample by sample, the state carried.
STREAMING = "streaming"


def microcontroller_rows(
    program: LoihiProgram,
    devices: Sequence[Device],
    rate: float | None,
    copies: int,
    accuracy: Accuracy | None,
    *,
    known: Sequence[Device] = (),
    count_instructions: bool = False,
) -> list[ProfileRow]:
    """A row at full speed for each device, and one at the rate; a device that is too small or too
    slow has one that says so. Of all others that are known, the one that needs least energy joins
    them, if it needs less than they do; where nobody meets the rate surely, it is the fastest.

    Args:
        program: the program as it is: no target prepares it for a processor.
        devices: of the kind `mcu`.
        rate: samples per second of each copy, or None.
        copies: independent copies of the network.
        accuracy: of the integers.
        known: those that are compared with them, by the operations of the program.
        count_instructions: whether the program is compiled for the core of each device that has
            rows, and instructions of its samples are counted, where the tools for that are here.
    """
    named = {device.name for device in devices}
    every = {one.name: one for one in (*known, *devices)}
    found = {
        name: list(_rows(program, device, rate, copies, accuracy, _Code()))
        for name, device in every.items()
    }
    best, why = _best(found, named, rate) if known else ("", "")
    shown = [device.name for device in devices] + [best] * (best not in {*named, ""})
    rows: list[ProfileRow] = []
    for name in shown:
        own = found[name]
        if count_instructions:
            code = _code(program, every[name])
            own = list(_rows(program, every[name], rate, copies, accuracy, code))
        if name == best and name not in named:
            own = [_noted(row, why) if row.rate == rate else row for row in own]
        rows += own
    return rows


def _noted(row: ProfileRow, note: str) -> ProfileRow:
    """The row with one more note."""
    return dataclasses.replace(row, notes=(*row.notes, note))


def known_controllers() -> list[Device]:
    """All micro-controllers of `lnn2loihi devices`."""
    return [device for _, device in known_devices() if device.kind == KIND.name]


def _best(
    found: Mapping[str, Sequence[ProfileRow]], named: AbstractSet[str], rate: float | None
) -> tuple[str, str]:
    """The device that stands for all, and why; empty where none has room.

    Args:
        found: rows at full speed and at the rate, by device.
        named: devices that were asked for, which are taken where others are no better.
        rate: samples per second of each copy, or None.
    """
    paced = [row for rows in found.values() for row in rows if row.rate == rate]
    able = [row for row in paced if row.total_energy is not None and surely_met(row)]
    least = min(able, key=lambda row: (_joules(row), row.device not in named), default=None)
    if least is not None:
        why = f"of the {len(found):,} micro-controllers that were compared, the one that needs "
        why += "least energy a sample" + " of those that meet the rate surely" * (rate is not None)
        return least.device, why
    speeds = {
        rows[0].device: rows[0].throughput.middle
        for rows in found.values()
        if rows[0].throughput is not None
    }
    if not speeds:
        return "", ""
    why = f"of the {len(found):,} micro-controllers that were compared, the fastest: none meets "
    return max(speeds, key=lambda name: speeds[name]), (
        f"{why}the rate by the upper end of its interval"
    )


def _joules(row: ProfileRow) -> float:
    assert row.total_energy is not None
    return row.total_energy.middle


@dataclass(frozen=True)
class _Code:
    """What compiled code says of a program on a device.

    Attributes:
        counted: its instructions; None where they could not be counted.
        notes: what it needs, or why nothing was counted.
        problems: what there is no room for.
    """

    counted: CountedInstructions | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def _code(program: LoihiProgram, device: Device) -> _Code:
    """Compiles a program for speed, and for size where that has no room, and counts."""
    part = core_of(device).part
    if part is None:
        return _Code(notes=(
            "instructions were not counted: the device's profile names no core that C is compiled "
            f"for here (core = \"...\"); there are {', '.join(PARTS)}",
        ))  # fmt: skip
    try:
        try:
            found = footprint(program, part.name, goal="speed", device=device)
        except DeviceError:
            found = footprint(program, part.name, goal="size", device=device)
    except DeviceError as error:
        return _Code(problems=tuple(error.problems))
    except (BackendMissingError, CompiledRunError) as error:
        return _Code(notes=(f"instructions were not counted: {one_line(error)}",))
    least, _, most = found.instructions
    need = (
        f"C code compiled for {found.goal} by {found.tools} needs {found.flash:,} B of flash, "
        f"{found.ram:,} B of RAM and {found.stack:,} B of stack; {least:,} to {most:,} "
        f"instructions in {found.samples} random samples"
    )
    return _Code(found.counted, (need,))


def _rows(
    program: LoihiProgram,
    device: Device,
    rate: float | None,
    copies: int,
    accuracy: Accuracy | None,
    code: _Code,
) -> Iterator[ProfileRow]:
    for pace in dict.fromkeys((None, rate)):
        row = _row(device, program, pace, copies)
        if code.problems:
            yield dataclasses.replace(row, status="failed", problems=code.problems)
            continue
        try:
            found = estimate_microcontroller(
                program, device, rate=pace, copies=copies, counted=code.counted
            )
        except (DeviceError, RateError) as error:
            yield dataclasses.replace(row, status="failed", problems=tuple(error.problems))
        else:
            made = _estimated(row, device, found)
            if code.counted is not None:
                made = dataclasses.replace(
                    made, source=f"instructions counted in an emulator; {device.name}"
                )
            yield dataclasses.replace(made, accuracy=accuracy, notes=(*code.notes, *made.notes))


def _estimated(row: ProfileRow, device: Device, found: MicrocontrollerEstimate) -> ProfileRow:
    sleep, drawn = device.figure("sleep_power"), found.basis.results
    return dataclasses.replace(
        row,
        energy_tier=found.tier,
        devices=found.parts,
        latency=Quantity.of(found.latency),
        throughput=Quantity.of(found.throughput),
        dynamic_energy=Quantity.of(Interval.of(drawn["dynamic"], "J")),
        static_energy=Quantity.of(found.energy["sleep"]),
        total_energy=Quantity.of(found.energy["total"]),
        idle_power=Quantity(sleep.value, sleep.low, sleep.high, "W"),
        energy_delay_product=Quantity.of(found.energy_delay_product),
        rate_met=found.rate_met,
        source=f"operations of the program; {device.name}",
        notes=tuple(note for note in found.notes if note not in device.notes),
        basis=found.basis,
    )


def _row(device: Device, program: LoihiProgram, rate: float | None, copies: int) -> ProfileRow:
    return ProfileRow(
        device=device.name,
        title=device.title,
        kind=MICROCONTROLLER,
        backend=MODEL,
        tier=CALIBRATED,
        precision=program.recipe,
        batch=1,
        mode=STREAMING,
        rate=rate,
        copies=copies,
    )
