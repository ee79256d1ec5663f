"""Rows of what was measured on this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from lnn2loihi.devices import Device, load_device, rate_text
from lnn2loihi.measure import EnergyReading, EstimatedEnergy, Measurement
from lnn2loihi.measure.intervals import Average
from lnn2loihi.measure.meter import DEVICE_KINDS
from lnn2loihi.profiling.accuracy import judged
from lnn2loihi.profiling.curves import paced_energy, paced_tier
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import Provenance
from lnn2loihi.profiling.rows import BatchPoint, ProfileRow
from lnn2loihi.tiers import MEASURED

#: Modes that answer sample by sample, as a task with a rate has it.
_SAMPLE_BY_SAMPLE = ("streaming", "sequence")
#: What a measurement's status makes of a row.
_STATUS = {"measured": "complete", "partial": "partial", "failed": "failed"}


def measured_rows(
    found: Iterable[Measurement],
    rate: float | None,
    profiles: Mapping[str, Device],
    copies: int = 1,
) -> list[ProfileRow]:
    """A row for each measurement, and one at the rate for each that answers sample by sample.

    Args:
        found: measurements; those of missing backends have no row.
        rate: samples per second, or None.
        profiles: of the caller's CPUs and GPUs by name.
        copies: independent copies of the network that a device serves one after the other.
    """
    rows: list[ProfileRow] = []
    for measurement in found:
        if measurement.status == "missing":
            continue
        row = _row(measurement, profiles)
        single = measurement.mode in _SAMPLE_BY_SAMPLE
        rows.append(taking_turns(row, copies) if single else row)
        if rate is not None and single and row.throughput is not None:
            rows.append(paced(row, rate, copies))
    return rows


def _row(measurement: Measurement, profiles: Mapping[str, Device]) -> ProfileRow:
    m = measurement
    notes = list(m.notes)
    if m.energy_note:
        notes.append(f"energy: {m.energy_note}")
    row = ProfileRow(
        device=m.device or m.name,
        title=m.device or m.name,
        kind=DEVICE_KINDS[m.kind],
        backend=m.name,
        tier=m.tier or MEASURED,
        precision=m.precision,
        batch=m.batch,
        mode=m.mode,
        status=_STATUS[m.status],
        problems=(m.reason,) if m.reason else (),
        threads=m.threads,
        avg_time_per_step=None if m.step_latency is None else _average(m.step_latency.mean),
        latency=None if m.sample_latency is None else Quantity.exact(m.sample_latency.p50, "s"),
        latency_p50=None if m.sample_latency is None else m.sample_latency.p50,
        latency_p99=None if m.sample_latency is None else m.sample_latency.p99,
        throughput=None if m.throughput is None else _above_zero(_average(m.throughput, "Hz")),
        batch_search=tuple(BatchPoint(batch, rate) for batch, rate in m.search),
        accuracy=judged(m.accuracy),
        source=m.backend,
        notes=tuple(notes),
        includes=m.includes,
        under_load=m.under_load,
    )
    return _with_energy(row, m.energy, profiles)


def _average(found: Average, unit: str | None = None) -> Quantity:
    low = found.mean if found.low is None else found.low
    high = found.mean if found.high is None else found.high
    return Quantity(found.mean, low, high, unit or found.unit)


def _above_zero(quantity: Quantity) -> Quantity:
    """Few repeats on a busy machine leave intervals that reach below what is possible."""
    return dataclasses.replace(quantity, low=max(quantity.low, 0.0))


def _with_energy(
    row: ProfileRow,
    energy: EnergyReading | EstimatedEnergy | None,
    profiles: Mapping[str, Device],
) -> ProfileRow:
    if energy is None or row.throughput is None:
        return row
    if isinstance(energy, EstimatedEnergy):
        total = Quantity(None, energy.low, energy.high, "J")
        row = dataclasses.replace(
            row,
            energy_tier=energy.tier,
            total_energy=total,
            idle_power=_estimated_idle(energy, row.throughput.middle, profiles),
            notes=(*row.notes, f"{energy.label}; {energy.source}"),
        )
        return _with_product(row)
    notes = [*row.notes, *energy.notes]
    if energy.dynamic is None:
        notes.append(f"dynamic energy {energy.dynamic_text}")
    if energy.quick:
        notes.append("energy: quick windows, not for quoting")
    idle = _average(energy.idle_power)
    row = dataclasses.replace(
        row,
        energy_tier=energy.tier,
        total_energy=_above_zero(_average(energy.total)),
        dynamic_energy=None if energy.dynamic is None else _average(energy.dynamic),
        static_energy=idle.times(1.0 / row.throughput.middle, "J"),
        idle_power=idle,
        source=f"{row.source}; energy by {energy.meter}, windows of {energy.window:.3g} s",
        notes=tuple(notes),
    )
    return _with_product(row)


def _estimated_idle(
    energy: EstimatedEnergy, throughput: float, profiles: Mapping[str, Device]
) -> Quantity:
    """Idle power of the share that is charged: the profile's, or anything below full power."""
    figure = (profiles.get(energy.device) or load_device(energy.device)).get("idle_power")
    if figure is None:
        return Quantity(None, 0.0, energy.high * throughput, "W")
    return Quantity(None, figure.low * energy.share, figure.high * energy.share, "W")


def _with_product(row: ProfileRow) -> ProfileRow:
    if row.total_energy is None or row.latency is None:
        return row
    product = row.total_energy.times(row.latency.middle, "J*s")
    return dataclasses.replace(row, energy_delay_product=product)


def taking_turns(row: ProfileRow, copies: int, devices: int = 1) -> ProfileRow:
    """The row for copies of the network that are served one after the other: the last one waits
    for all that are before it.

    Args:
        row: of a single copy.
        copies: how many there are.
        devices: how many such devices they are spread over, evenly.
    """
    if copies == 1 or row.latency is None:
        return dataclasses.replace(row, copies=copies)
    turns = -(-copies // devices)
    note = (
        f"measured with one copy: {turns:,} take turns on {'a' if devices > 1 else 'the'} device, "
        "and the latency is that of the last of them, if their samples come together"
    )
    made = dataclasses.replace(
        row,
        copies=copies,
        devices=devices,
        latency=row.latency.times(turns),
        latency_p50=None,
        latency_p99=None,
        notes=(*row.notes, note),
    )
    return _with_product(made)


def paced(row: ProfileRow, rate: float, copies: int = 1) -> ProfileRow:
    """The row at a rate: the device waits between samples, and its idle power counts.

    Its latency stays as it was measured at full speed. Copies are served one after the other, by
    as many devices as keep up.

    Args:
        row: at full speed, of a single copy.
        rate: samples per second of each copy.
        copies: copies of the network.
    """
    assert row.throughput is not None
    if row.throughput.middle < rate:
        needed, available = 1.0 / row.throughput.middle, 1.0 / rate
        return dataclasses.replace(
            _without_numbers(row),
            rate=rate,
            copies=copies,
            status="failed",
            problems=(
                f"cannot keep up with {rate_text(rate)}: a sample needs "
                f"{Quantity.exact(needed, 's').text()}, has "
                f"{Quantity.exact(available, 's').text()}",
            ),
        )
    devices = -(-copies // int(row.throughput.middle / rate))
    shared = rate * copies / devices
    changes: dict[str, object] = {"rate": rate, "throughput": Quantity.exact(rate * copies, "Hz")}
    if row.total_energy is not None and row.idle_power is not None:
        idle = row.idle_power.times(1.0 / shared, "J")
        changes |= {
            "energy_tier": paced_tier(row),
            "total_energy": paced_energy(row, shared),
            "static_energy": None if row.static_energy is None else idle,
            "source": f"{row.source}; at the rate computed: energy at full speed plus idle power "
            "until the next sample",
        }
    notes: list[str] = []
    if devices > 1:
        notes.append(
            f"it takes {devices:,} such devices to serve {copies:,} copies at {rate_text(rate)}"
        )
    if row.throughput.low < shared:
        notes.append(
            f"it keeps up with {shared:,.6g} samples a second at the mean that was measured, and "
            f"not at the low end of its interval ({row.throughput.range_text()})"
        )
    made = dataclasses.replace(row, **changes, notes=tuple(notes))  # pyright: ignore[reportArgumentType]
    return _with_product(taking_turns(made, copies, devices))


def _without_numbers(row: ProfileRow) -> ProfileRow:
    nothing = dict.fromkeys(
        ("energy_tier", "avg_time_per_step", "latency", "latency_p50", "latency_p99", "throughput",
         "dynamic_energy", "static_energy", "total_energy", "idle_power", "energy_delay_product",
         "accuracy")
    )  # fmt: skip
    return dataclasses.replace(row, **nothing, batch_search=(), notes=())


def row_provenance(rows: Iterable[ProfileRow]) -> list[Provenance]:
    """Where the numbers of each row come from."""
    found: list[Provenance] = []
    for row in rows:
        numbers = {"latency": row.latency, "total energy": row.total_energy}
        known = {name: quantity for name, quantity in numbers.items() if quantity is not None}
        if known:
            values = "; ".join(f"{name} {quantity.text()}" for name, quantity in known.items())
            ranges = "; ".join(
                f"{name} {quantity.range_text()}"
                for name, quantity in known.items()
                if quantity.value is not None and quantity.range_text()
            )
            found.append(Provenance(row.label, values, ranges, row.tiers, row.source))
    return found
