"""The rows of a profile: one device, one way of running, one pace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lnn2loihi.cost.basis import Basis
from lnn2loihi.cost.microcontroller_model import MicrocontrollerBasis
from lnn2loihi.cost.model import NO_IO
from lnn2loihi.devices import rate_text
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.measure.meter import DEVICE_KINDS
from lnn2loihi.placement.search import BETWEEN
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.showing import Shown
from lnn2loihi.tables import percent
from lnn2loihi.tiers import CALIBRATED, MEASURED, TIERS

#: Kind of the rows of devices that the program was placed on, of whatever kind they are; of
#: micro-controllers, whose cost is estimated too; and all.
CHIP, MICROCONTROLLER = "loihi", "mcu"
ROW_KINDS = (CHIP, *DEVICE_KINDS.values(), MICROCONTROLLER)
#: Backend of rows that nothing ran for.
MODEL = "cost model"
#: What became of a row.
STATUSES = ("complete", "partial", "failed")
#: Energies per sample that a row may have, and what each is.
ENERGIES: Mapping[str, str] = {
    "dynamic_energy": "dynamic energy (above idle)",
    "static_energy": "static energy (full chip)",
    "static_energy_pro_rata": "static energy (pro rata)",
    "total_energy": "total energy (full chip or package)",
    "total_energy_pro_rata": "total energy (pro rata)",
    "total_energy_board": "total energy (board, idle chips included)",
}


def placed_on(objective: str, cores: int | None) -> str:
    """How and where a network was placed, in words: `packed on 1 core`.

    Args:
        objective: `packed`, `fast` or `between`; empty where nothing was placed.
        cores: how many it takes, where that is known.
    """
    words = "between packed and fast" if objective == BETWEEN else objective
    if not words or cores is None:
        return words
    return f"{words} on {cores:,} core{'s'[: cores != 1]}"


@dataclass(frozen=True)
class Accuracy:
    """How good the answers of a backend are.

    Attributes:
        metric: `mse` or `accuracy` against targets; `agreement with float` otherwise, with the
            worst output where there are several: `agreement with float, output 2 of 3`.
        value: the metric; for the agreement the root mean squared difference over the standard
            deviation of the float network's output.
    """

    metric: str
    value: float

    def __str__(self) -> str:
        """One cell: `mse 0.00521`."""
        if self.metric == "accuracy":
            return f"accuracy {100 * self.value:.2f} %"
        if self.metric == "mse":
            return f"mse {self.value:.3g}"
        return f"off by {percent(self.value)}" + (f" ({self.output})" if self.output else "")

    @property
    def output(self) -> str:
        """Which output it is of, the worst of several, as text; "" where there is one."""
        return self.metric.partition(", ")[2]


@dataclass(frozen=True)
class BatchPoint:
    """A batch that was tried.

    Attributes:
        batch: sequences at a time.
        throughput: samples per second.
    """

    batch: int
    throughput: float


@dataclass(frozen=True)
class ProfileRow(Shown):
    """One row of a profile. Energies are per sample.

    Attributes:
        device: name of a profile of hardware_profiles/, or of the processor that was measured.
        title: its name for people.
        kind: `loihi` for whatever the program was placed on, `cpu`, `gpu` or `mcu`.
        backend: what ran there, the name of a runner; MODEL for an estimate.
        tier: how times are known, one of TIERS.
        energy_tier: how energies are known; None where the row has none.
        precision: `w8a12`, `float32`, ...
        batch: sequences at a time.
        mode: `pipelined`, `fall-through`, `streaming`, `sequence` or `batch`.
        rate: samples per second to which it is paced; None at full speed.
        status: one of STATUSES.
        problems: why it is not complete, a sentence or two each.
        chips, cores, threads: what it takes, where that is known.
        avg_time_per_step: seconds of a chip step, or of a step of a sequence.
        latency: seconds from a sample to its answer.
        latency_p50, latency_p99: the same as percentiles, where measured.
        throughput: samples per second.
        dynamic_energy, static_energy, static_energy_pro_rata, total_energy,
            total_energy_pro_rata: joules per sample; see ENERGIES.
        energy_parts: dynamic energy by cause, joules per sample.
        idle_power: watts of the device when it waits.
        energy_delay_product: total energy times latency, joule seconds.
        batch_search: samples per second of all batches that were tried.
        accuracy: of the answers on this backend.
        source: where the numbers come from.
        notes: what a reader should know.
        placement: how the program was placed: `packed`, `fast` or `between`; empty where nothing
            was.
        io: where samples come from; `none` where input and output are not counted.
        copies: independent copies of the network that share the device; all numbers but the
            throughput are of one of them.
        devices: how many such devices the copies take.
        rate_met: share of the draws in which the rate is met, for an estimate at a rate.
        total_energy_board: joules per sample with the chips of the board that idle, where there
            are some.
        basis: what an estimate was computed from, so that it can be drawn again.
        includes: what measured times include beside the network's own work, such as a call from
            Python for each sample; empty where that is not known, or nothing was measured.
        under_load: what says that other work disturbed the measurement; empty where nothing does.
    """

    device: str
    title: str
    kind: str
    backend: str
    tier: str
    precision: str
    batch: int
    mode: str
    energy_tier: str | None = None
    rate: float | None = None
    status: str = "complete"
    problems: tuple[str, ...] = ()
    chips: int | None = None
    cores: int | None = None
    threads: int | None = None
    avg_time_per_step: Quantity | None = None
    latency: Quantity | None = None
    latency_p50: float | None = None
    latency_p99: float | None = None
    throughput: Quantity | None = None
    dynamic_energy: Quantity | None = None
    static_energy: Quantity | None = None
    static_energy_pro_rata: Quantity | None = None
    total_energy: Quantity | None = None
    total_energy_pro_rata: Quantity | None = None
    energy_parts: Mapping[str, Quantity] = field(default_factory=dict)
    idle_power: Quantity | None = None
    energy_delay_product: Quantity | None = None
    batch_search: tuple[BatchPoint, ...] = ()
    accuracy: Accuracy | None = None
    source: str = ""
    notes: tuple[str, ...] = ()
    placement: str = ""
    io: str = NO_IO
    copies: int = 1
    devices: int = 1
    rate_met: float | None = None
    total_energy_board: Quantity | None = None
    basis: Basis | MicrocontrollerBasis | None = None
    includes: str = ""
    under_load: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "energy_parts", read_only_mapping(self.energy_parts))
        found = Problems(InputError, f"profile row {self.device!r}")
        for name, value, allowed in (
            ("tier", self.tier, tuple(TIERS)),
            ("energy_tier", self.energy_tier, (*TIERS, None)),
            ("kind", self.kind, ROW_KINDS),
            ("status", self.status, STATUSES),
        ):
            if value not in allowed:
                found.add(f"{name} is {value!r:.60}, expected one of {allowed}")
        if self.energy_tier is None and any(getattr(self, name) for name in ENERGIES):
            found.add("it has energies without a tier")
        for name in ("copies", "devices"):
            if getattr(self, name) < 1:
                found.add(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.rate_met is not None and not 0.0 <= self.rate_met <= 1.0:
            found.add(f"rate_met is {self.rate_met:g}, expected a share from 0 to 1")
        found.raise_if_any()

    @property
    def pace(self) -> str:
        """`full speed`, or the rate."""
        return "full speed" if self.rate is None else f"at {rate_text(self.rate)}"

    @property
    def label(self) -> str:
        """What stands for the row in a chart or a sentence."""
        return f"{self.name}, {self.how}, {self.pace}"

    @property
    def how(self) -> str:
        """How the network runs: `packed on 1 core, fall-through, io host, 100 copies`."""
        parts = [
            self.placed,
            self.mode if self.batch == 1 else f"batch {self.batch:,}",
            f"io {self.io}" if self.io != NO_IO else "",
            f"{self.copies:,} copies" if self.copies > 1 else "",
            f"{self.devices:,} devices" if self.devices > 1 else "",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def placed(self) -> str:
        """Where the network was placed: `packed on 1 core`; empty where it was not."""
        return placed_on(self.placement, self.cores)

    @property
    def name(self) -> str:
        """What ran, or for an estimate where."""
        return self.title if self.backend == MODEL else self.backend

    @property
    def measured_how(self) -> str:
        """How its times were measured, for a sentence: mode, what they include, under load."""
        load = "measured under load" if self.under_load else ""
        return ", ".join(text for text in (self.mode, self.includes, load) if text)

    @property
    def state(self) -> str:
        """What stands behind its tier: `partial`, `failed`, `under load`, or nothing."""
        load = "under load" if self.under_load else ""
        return ", ".join(s for s in (self.status.replace("complete", ""), load) if s)

    @property
    def tiers(self) -> str:
        """The tier of the row: one, or that of time and that of energy."""
        if self.energy_tier in (None, self.tier):
            return self.tier
        return f"{self.tier} (time), {self.energy_tier} (energy)"

    @property
    def interval_source(self) -> str:
        """What the intervals of the row's energies are."""
        return {
            MEASURED: "95 % confidence of the repeats",
            CALIBRATED: "90 %, from the ranges of the parameters",
        }.get(self.energy_tier or "", "bounds")
