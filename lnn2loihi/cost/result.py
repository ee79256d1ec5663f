"""What an estimate says: times, energies and powers with intervals, and what they hang on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lnn2loihi.cost.interval import Interval
from lnn2loihi.cost.model import DYNAMIC_TERMS
from lnn2loihi.cost.workload import FALL_THROUGH
from lnn2loihi.devices import with_prefix
from lnn2loihi.tables import percent, text_table
from lnn2loihi.tiers import CALIBRATED

#: Parameters that the summary lists.
LISTED_PARAMETERS = 6
#: Share of the total energy that a parameter must move it by to be listed.
SMALLEST_EFFECT = 0.001


@dataclass(frozen=True)
class ParameterEffect:
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
class CostEstimate:
    """Time and energy of a workload on a device. Never a measurement.

    All energies and times are per sample, and all intervals are 90 % intervals over the ranges
    of the device's figures.

    Attributes:
        name: name of the network.
        device: name of the device.
        mode: `pipelined` or `fall-through`.
        rate: samples per second that were asked for; None at full speed.
        chips, cores: what is allocated.
        steps_per_sample: chip steps that a sample takes in this mode.
        step_time_lower_bound, step_time: mean over the phases of the period: if operations on a
            core overlap, and if they follow each other (the conservative default, which
            everything else here is computed with).
        worst_step_time, worst_phase: the slowest phase.
        sample_time: from one sample to the next at full speed.
        latency: from a sample to its answer.
        throughput: samples per second: the rate, or full speed.
        energy: J per sample: `steps`, `synapses`, `neurons`, `messages`, `hops`, `active_cores`,
            their sum `dynamic`; `static_full_chip` and `static_pro_rata` (the share of the
            allocated cores); `host_io`; `total_full_chip` and `total_pro_rata`.
        power: W, by the same names, averaged from one sample to the next.
        energy_delay_product: total energy (full chip) times latency, J s.
        sensitivity: effect of each parameter, largest first.
        bottleneck: for each core the seconds by `synapses`, `neurons` and `messages` in a step of
            the worst phase, at nominal figures.
        bottleneck_core, bottleneck_resource: where that step is spent; the resource is `steps`
            where the shortest chip step itself takes longest.
        counts: what one sample causes, by the names of the workload.
        rate_met: share of the draws in which the device meets the rate; None at full speed.
        notes: what is left out, and other reservations.
        source: where the counts come from.
        tier: how far the figures are to be trusted.
    """

    name: str
    device: str
    mode: str
    rate: float | None
    chips: int
    cores: int
    steps_per_sample: float
    step_time_lower_bound: Interval
    step_time: Interval
    worst_step_time: Interval
    worst_phase: int
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
    tier: str = CALIBRATED

    def summary(self) -> str:
        """The estimate as text."""
        speed = "full speed" if self.rate is None else f"{self.rate:g} samples a second"
        shape = f"{self.chips} chip{'s'[: self.chips > 1]}, {self.cores:,} cores, {self.mode}"
        lines = [
            f"{self.name} on {self.device}: {shape}, {speed}; {self.tier}",
            f"counts: {self.source}",
            "",
            text_table(("time", "value", "90 % interval"), self._time_rows()),
            "",
            text_table(("energy of a sample", "value", "90 % interval", "share", "power"),
                       self._energy_rows()),
            "",
            f"Busiest: {self.bottleneck_core}, {self.bottleneck_resource} "
            f"(a step of {self.worst_step_time})",
            "",
            text_table(("what it hangs on", "grade", "total at low end", "total at high end"),
                       self._sensitivity_rows()),
        ]  # fmt: skip
        return "\n".join([*lines, *([""] * bool(self.notes)), *(f"- {n}" for n in self.notes)])

    def _time_rows(self) -> list[tuple[str, str, str]]:
        count = self.steps_per_sample
        steps = f"sample ({count:g} step{'s'[: count != 1]})"
        named = {
            "step, lower bound": self.step_time_lower_bound,
            "step": self.step_time,
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
        terms = (*DYNAMIC_TERMS, "dynamic", "static_full_chip", "static_pro_rata", "host_io",
                 "total_full_chip", "total_pro_rata")  # fmt: skip
        return [
            (
                name.replace("_", " "),
                with_prefix(self.energy[name].value, "J"),
                self.energy[name].range_text,
                "" if name.endswith("pro_rata") else percent(self.energy[name].value / total),
                with_prefix(self.power[name].value, "W"),
            )
            for name in terms
            if self.energy[name].value > 0.0
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


def bottleneck_text(mode: str, core: str, resource: str) -> str:
    """What limits the speed, and what can be done about it, for errors."""
    if resource == "steps":
        text = "the shortest chip step itself takes longest"
    else:
        text = f"the bottleneck is {core}, by its {resource}: place on more cores (balanced)"
    return text + ("; pipelined mode takes fewer steps a sample" if mode == FALL_THROUGH else "")
