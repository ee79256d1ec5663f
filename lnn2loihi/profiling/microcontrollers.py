"""Rows of micro-controllers, whose cost is estimated from the program alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from lnn2loihi.cost import Interval, MicrocontrollerEstimate, estimate_microcontroller
from lnn2loihi.devices import Device
from lnn2loihi.errors import DeviceError, RateError
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.rows import MICROCONTROLLER, MODEL, Accuracy, ProfileRow
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
) -> list[ProfileRow]:
    """A row at full speed for each device, and one at the rate; a device that is too small or too
    slow has one that says so.

    Args:
        program: the program as it is: no target prepares it for a processor.
        devices: of the kind `mcu`.
        rate: samples per second of each copy, or None.
        copies: independent copies of the network.
        accuracy: of the integers.
    """
    return [row for device in devices for row in _rows(program, device, rate, copies, accuracy)]


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
