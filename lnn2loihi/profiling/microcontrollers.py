"""Rows of micro-controllers, whose cost is estimated from the program alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from lnn2loihi.cost import Interval, MicrocontrollerEstimate, estimate_microcontroller
from lnn2loihi.devices import MICROCONTROLLER as KIND
from lnn2loihi.devices import Device, known_devices
from lnn2loihi.errors import DeviceError, RateError
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
    known: Sequence[Device] = (),
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
        known: those that are compared with them.
    """
    named = {device.name for device in devices}
    found = {
        device.name: list(_rows(program, device, rate, copies, accuracy))
        for device in {one.name: one for one in (*known, *devices)}.values()
    }
    rows = [row for device in devices for row in found[device.name]]
    best = _best(found, named, rate) if known else None
    if best is not None and best.device not in named:
        rows += [best if row.rate == rate else row for row in found[best.device]]
    return rows


def known_controllers() -> list[Device]:
    """All micro-controllers of `lnn2loihi devices`."""
    return [device for _, device in known_devices() if device.kind == KIND.name]


def _best(
    found: Mapping[str, Sequence[ProfileRow]], named: AbstractSet[str], rate: float | None
) -> ProfileRow | None:
    """The row at the rate of the device that stands for all, with a note on why; None where none
    has room.

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
        return dataclasses.replace(least, notes=(*least.notes, why))
    speeds = {
        rows[0].device: rows[0].throughput.middle
        for rows in found.values()
        if rows[0].throughput is not None
    }
    if not speeds:
        return None
    fastest = max(speeds, key=lambda name: speeds[name])
    why = f"of the {len(found):,} micro-controllers that were compared, the fastest: none meets "
    why += "the rate by the upper end of its interval"
    (row,) = (row for row in found[fastest] if row.rate == rate)
    return dataclasses.replace(row, notes=(*row.notes, why))


def _joules(row: ProfileRow) -> float:
    assert row.total_energy is not None
    return row.total_energy.middle


def _rows(
    program: LoihiProgram,
    device: Device,
    rate: float | None,
    copies: int,
    accuracy: Accuracy | None,
) -> Iterator[ProfileRow]:
    for pace in dict.fromkeys((None, rate)):
        row = _row(device, program, pace, copies)
        try:
            found = estimate_microcontroller(program, device, rate=pace, copies=copies)
        except (DeviceError, RateError) as error:
            yield dataclasses.replace(row, status="failed", problems=tuple(error.problems))
        else:
            yield dataclasses.replace(_estimated(row, device, found), accuracy=accuracy)


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
