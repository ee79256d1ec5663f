"""What an estimate says: times, energies and powers with intervals, and what they hang on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lnn2loihi.cost.basis import Basis
from lnn2loihi.cost.interval import Interval
from lnn2loihi.cost.model import DYNAMIC_TERMS, NO_IO
from lnn2loihi.devices import with_prefix
from lnn2loihi.showing import Brief, Said, Shown, Table
from lnn2loihi.tables import percent
from lnn2loihi.tiers import CALIBRATED

#: Parameters that the summary lists.
LISTED_PARAMETERS = 6
#: Share of the total energy that a parameter must move it by to be listed.
SMALLEST_EFFECT = 0.001
#: Energies that are no parts of the full chip's.
_BESIDE = ("static_pro_rata", "static_idle_chips", "total_pro_rata", "total_board")
#: Energies of an estimate, in the order of its table.
ENERGIES = (*DYNAMIC_TERMS, "dynamic", "static_full_chip", "static_pro_rata", "static_idle_chips",
            "io", "total_full_chip", "total_pro_rata", "total_board")  # fmt: skip


@dataclass(frozen=True)
class ParameterEffect(Brief):
    """What one parameter's range does to the result, all others at their nominal values.

    Attributes:
        parameter: name of the figure.
        grade: how well it is known.
        total_at_low, total_at_high: J per sample, with the static power of the full chip.
        sample_time_at_low, sample_time_at_high: s per sample.
    """

    parameter: str
    grade: str
    total_at_low: float
    total_at_high: float
    sample_time_at_low: float
    sample_time_at_high: float

    @property
    def swing(self) -> float:
        """By how much the total energy moves, J per sample."""
        return abs(self.total_at_high - self.total_at_low)


@dataclass(frozen=True)
class CostEstimate(Shown):
    """Time and energy of a workload on a device. Never a measurement.

    All energies and times are per sample, of one copy of the network where several share the chip,
    and all intervals are 90 % intervals over the ranges of the device's figures.

    Attributes:
        name: name of the network.
        device: name of the device.
        mode: `pipelined` or `fall-through`.
        rate: samples per second that were asked for; None at full speed.
        io: where samples come from: `none`, `on-board` or `host`.
        copies: independent copies of the network that share the chips.
        chips, cores: what is allocated.
        steps_per_sample: chip steps that a sample takes in this mode.
        step_time_lower_bound, step_time: mean over the phases of the period: if operations on a
            core overlap, and if they follow each other (the conservative default, which
            everything else here is computed with).
        worst_step_time, worst_phase: the slowest phase.
        link_time: what the heaviest link of the mesh is busy in a step; no rate of Loihi 2's links
            is published, so it rests on an assumption.
        io_time: input and output of a sample.
        sample_time: from one sample to the next at full speed.
        latency: from a sample to its answer.
        throughput: samples per second of all copies: the rate, or full speed.
        energy: J per sample: `steps`, `synapses`, `neurons`, `spikes`, `messages`, `hops`,
            `active_cores`, their sum `dynamic`; `static_full_chip`, `static_pro_rata` (the share of
            the allocated cores) and `static_idle_chips` (of chips of the board that hold nothing);
            `io` (host or board); `total_full_chip`, `total_pro_rata` and `total_board` (with the
            idle chips).
        power: W of all copies together, by the same names, averaged from one sample to the next.
        energy_delay_product: total energy (full chip) times latency, J s.
        sensitivity: effect of each parameter, largest first.
        bottleneck: for each core the seconds by `synapses`, `neurons`, `messages` (that arrive) and
            `sending` in a step of the worst phase, at nominal figures.
        bottleneck_core, bottleneck_resource: where a sample's time is spent; the resource is
            `steps`, `link` or `input and output` where that takes longest.
        counts: what one sample causes, by the names of the workload.
        rate_met: share of the draws in which the device meets the rate; None at full speed. The
            rate counts as met from 0.95 on, where the upper end of the interval meets it.
        notes: what is left out, and other reservations.
        source: where the counts come from.
        basis: what it was computed from, for ratios and differences.
        tier: how far the figures are to be trusted.
    """

    name: str
    device: str
    mode: str
    rate: float | None
    io: str
    copies: int
    chips: int
    cores: int
    steps_per_sample: float
    step_time_lower_bound: Interval
    step_time: Interval
    worst_step_time: Interval
    worst_phase: int
    link_time: Interval
    io_time: Interval
    sample_time: Interval
    latency: Interval
    throughput: Interval
    energy: Mapping[str, Interval]
    power: Mapping[str, Interval]
    energy_delay_product: Interval
    sensitivity: tuple[ParameterEffect, ...]
    bottleneck: Mapping[str, Mapping[str, float]]
    bottleneck_core: str
    bottleneck_resource: str
    counts: Mapping[str, float]
    rate_met: float | None
    notes: tuple[str, ...]
    source: str
    basis: Basis
    tier: str = CALIBRATED

    def _headline(self) -> str:
        pace = "full speed" if self.rate is None else f"{self.rate:g} Hz"
        total = f"{self.energy['total_full_chip']} a sample"
        return (
            f"{self.name!r} on {self.device}, {self.cores:,} cores, {self.mode}, {pace}: {total}, "
            f"latency {self.latency}"
        )

    def _shown(self) -> list[Said]:
        """The estimate as text."""
        speed = "full speed" if self.rate is None else f"{self.rate:g} samples a second"
        shape = f"{self.chips} chip{'s'[: self.chips > 1]}, {self.cores:,} "
        shape += f"core{'s'[: self.cores != 1]}, {self.mode}"
        shape += f", input and output: {self.io}" * (self.io != NO_IO)
        shape += f", {self.copies:,} copies" * (self.copies > 1)
        lines: list[Said] = [
            f"{self.name} on {self.device}: {shape}, {speed}; {self.tier}",
            f"counts: {self.source}",
            "",
            Table(("time", "value", "90 % interval"), self._time_rows()),
            "",
            Table(("energy of a sample", "value", "90 % interval", "share", "power"),
                       self._energy_rows()),
            "",
            f"Longest: {self.bottleneck_resource}; busiest: {self.bottleneck_core} "
            f"(a step of {self.worst_step_time}, of which the heaviest link is busy for "
            f"{with_prefix(self.link_time.value, 's')}, by an assumed rate)",
            "",
            Table(("what it depends on", "grade", "total at low end", "total at high end"),
                       self._sensitivity_rows()),
        ]  # fmt: skip
        return [*lines, *([""] * bool(self.notes)), *(f"- {n}" for n in self.notes)]

    def _time_rows(self) -> list[tuple[str, str, str]]:
        count = self.steps_per_sample
        steps = f"sample ({count:g} step{'s'[: count != 1]})"
        named = {
            "step, lower bound": self.step_time_lower_bound,
            "step": self.step_time,
            **({"input and output": self.io_time} if self.io != NO_IO else {}),
            steps: self.sample_time,
            "latency": self.latency,
        }
        rows = [(name, with_prefix(i.value, i.unit), i.range_text) for name, i in named.items()]
        rate = self.throughput
        return [
            *rows,
            ("throughput", f"{rate.value:,.4g} /s", f"{rate.low:,.4g} to {rate.high:,.4g} /s"),
        ]

    def _energy_rows(self) -> list[tuple[str, str, str, str, str]]:
        total = self.energy["total_full_chip"].value
        return [
            (
                name.replace("_", " "),
                with_prefix(self.energy[name].value, "J"),
                self.energy[name].range_text,
                "" if name in _BESIDE else percent(self.energy[name].value / total),
                with_prefix(self.power[name].value, "W"),
            )
            for name in ENERGIES
            if self.energy[name].value > 0.0
            and (name != "total_board" or self.energy["static_idle_chips"].value > 0.0)
        ]

    def _sensitivity_rows(self) -> list[tuple[str, str, str, str]]:
        least = SMALLEST_EFFECT * self.energy["total_full_chip"].value
        return [
            (e.parameter, e.grade, with_prefix(e.total_at_low, "J"),
             with_prefix(e.total_at_high, "J"))
            for e in self.sensitivity[:LISTED_PARAMETERS]
            if e.swing > least
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The estimate as plain data for JSON.

        Where Lava's hardware profiler means the same thing, its field names stand beside ours:
        `avg_time_per_step`, `total_energy`, `dynamic_energy`, `static_energy` (of a sample),
        `total_power`, `static_total_power`, `syn_ops`, `dendrite_updates`, `axon_out`,
        `spikes_in`. Every interval carries its unit, which is an SI unit; Lava's energies are in
        uJ.
        """
        plain = {
            key: _plain(value) if isinstance(value, (Interval, Mapping)) else value
            for key, value in vars(self).items()
            if key != "basis"
        }
        plain["sensitivity"] = [asdict(effect) for effect in self.sensitivity]
        plain["notes"] = list(self.notes)
        lava = {
            "avg_time_per_step": self.step_time,
            "total_energy": self.energy["total_full_chip"],
            "dynamic_energy": self.energy["dynamic"],
            "static_energy": self.energy["static_full_chip"],
            "total_power": self.power["total_full_chip"],
            "static_total_power": self.power["static_full_chip"],
        }
        counts = {
            "syn_ops": self.counts["synaptic_operations"],
            "dendrite_updates": self.counts["neuron_updates"],
            "axon_out": self.counts["messages"],
            "spikes_in": self.counts["messages_in"],
        }
        return {**plain, **_plain(lava), **counts}


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return value
