"""What a measurement returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.measure.conditions import Conditions, load_text
from lnn2loihi.measure.intervals import Average
from lnn2loihi.measure.meter import Kind
from lnn2loihi.showing import Brief, Said, Shown, Table
from lnn2loihi.tiers import ESTIMATED, MEASURED

ESTIMATED_LABEL = "ESTIMATED: TDP bound, not measured"

Mode = Literal["streaming", "sequence", "batch"]
#: `measured`; `partial`: stopped early, what was measured until then is kept; `failed`: an error,
#: what was measured before it is kept; `missing`: something is not installed or not there.
Status = Literal["measured", "partial", "failed", "missing"]


@dataclass(frozen=True)
class Latency:
    """How long something takes.

    Attributes:
        mean: over the rounds, in seconds.
        p50: median, over all timed calls, in seconds.
        p99: 99th percentile, in seconds; None where fewer than 100 calls were timed.
        count: timed calls.
        what: what one call is.
    """

    mean: Average
    p50: float
    p99: float | None
    count: int
    what: str


@dataclass(frozen=True)
class EnergyReading:
    """Energy of a sample, from counters.

    Attributes:
        total: J a sample, of all domains, everything that the machine drew meanwhile.
        dynamic: J a sample above idle, from the idle windows around each active one; None where
            it is below what the counters resolve.
        resolution: J a sample: what three standard deviations of the idle power amount to. A
            dynamic energy below it is not told apart from 0.
        domains: mean J a sample of each domain, which add up to the total.
        idle_power: W of all domains while nothing runs.
        active_power: W of all domains while it runs.
        meter: what read the counters.
        window: seconds of each active window, on average.
        steps: steps of all active windows together.
        quick: whether windows or repeats were too short for a figure that is to be quoted.
        notes: what a reader should know: domains that are not covered, throttling.
    """

    total: Average
    dynamic: Average | None
    resolution: float
    domains: Mapping[str, float]
    idle_power: Average
    active_power: Average
    meter: str
    window: float
    steps: int
    quick: bool
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", read_only_mapping(self.domains))

    @property
    def tier(self) -> str:
        """How it is known."""
        return MEASURED

    @property
    def below_resolution(self) -> bool:
        """Whether the dynamic energy is too small to be told apart from idle."""
        return self.dynamic is None

    @property
    def dynamic_text(self) -> str:
        """The dynamic energy as text; never 0 where it is only too small to be seen."""
        if self.dynamic is None:
            return f"below resolution (< {self.resolution:.2g} J)"
        return f"{self.dynamic.mean:.3g} J"


@dataclass(frozen=True)
class EstimatedEnergy:
    """Energy of a sample where there are no counters: an interval, never a value.

    Attributes:
        low: J a sample: the share of the device's idle power, for the least time that a sample
            takes.
        high: J a sample: the share of its thermal design power, for the mean time.
        share: share of the device's power that is charged, between 0 and 1.
        device: name of the device's profile.
        source: where the two powers come from, and which times they are multiplied by.
        label: says what it is, wherever it is shown.
    """

    low: float
    high: float
    share: float
    device: str
    source: str
    label: str = ESTIMATED_LABEL

    @property
    def tier(self) -> str:
        """How it is known."""
        return ESTIMATED


@dataclass(frozen=True)
class Measurement(Brief):
    """One backend in one mode.

    A step is one advance of all sequences of the batch by one sample each. In mode `streaming` a
    call is one step of one sequence, with the state carried, from the sample on the host to the
    answer on the host. In mode `sequence` a call is one long sequence, one sample after the other
    in a compiled loop, with the state carried. In mode `batch` a call is whole sequences.

    Attributes:
        name: the backend in tables, with its device and threads.
        kind: `cpu` or `cuda`.
        device: the processor's own name.
        backend: what ran.
        precision: of weights and messages.
        mode: `streaming`, `sequence` or `batch`.
        batch: sequences side by side.
        threads: threads that it was given; None on a GPU.
        steps_per_call: steps of a call.
        status: see `Status`.
        reason: why it failed, is partial or missing; empty otherwise.
        step_latency: of a step: a call in streaming; else a call divided by its steps.
        sample_latency: from handing a sample over until its answer is there: the step in
            streaming, and in a sequence, where each answer is computed before the next sample is
            looked at; in batch the whole call, because its answers come together.
        throughput: samples a second, all sequences together.
        energy: read or estimated, or None; `energy_note` says why.
        energy_note: why there is no reading.
        search: samples a second of every batch that was tried, in the order of trial.
        accuracy: what the caller's `score` made of the backend's answers.
        versions: versions of what ran.
        conditions: of the machine meanwhile.
        notes: what a reader should know.
        includes: what the times include beside the network's own work, such as a call from Python
            for each sample; empty where nothing is known.
        busy_share: CPU seconds that the process worked, over the seconds of the timed loops, on a
            CPU; None where nothing was timed.
    """

    name: str
    kind: Kind
    device: str
    backend: str
    precision: str
    mode: Mode
    batch: int
    threads: int | None
    status: Status
    reason: str = ""
    steps_per_call: int = 1
    step_latency: Latency | None = None
    sample_latency: Latency | None = None
    throughput: Average | None = None
    energy: EnergyReading | EstimatedEnergy | None = None
    energy_note: str = ""
    search: tuple[tuple[int, float], ...] = ()
    accuracy: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    conditions: Conditions | None = None
    notes: tuple[str, ...] = ()
    includes: str = ""
    busy_share: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "accuracy", read_only_mapping(self.accuracy))
        object.__setattr__(self, "versions", read_only_mapping(self.versions))

    @property
    def tier(self) -> str | None:
        """How the times are known; None where there are none."""
        return None if self.throughput is None else MEASURED

    @property
    def under_load(self) -> str:
        """What says that other work disturbed the times; empty where nothing does."""
        return "" if self.throughput is None else load_text(self.conditions, self.busy_share)

    @property
    def latency_p50(self) -> float | None:
        """Median seconds of a step."""
        return None if self.step_latency is None else self.step_latency.p50

    @property
    def latency_p99(self) -> float | None:
        """99th percentile of a step, in seconds."""
        return None if self.step_latency is None else self.step_latency.p99

    @property
    def seconds_per_sample(self) -> float | None:
        """Seconds that a sample takes in the long run: one over the throughput."""
        return None if self.throughput is None else 1.0 / self.throughput.mean

    def to_dict(self) -> dict[str, Any]:
        """The measurement as plain data for JSON."""
        data = {**vars(self), "tier": self.tier, "under_load": self.under_load}
        for name in ("accuracy", "versions"):
            data[name] = dict(data[name])
        for name in ("step_latency", "sample_latency", "throughput", "conditions"):
            data[name] = None if data[name] is None else dataclasses.asdict(data[name])
        if self.energy is not None:
            parts = {f.name: getattr(self.energy, f.name) for f in dataclasses.fields(self.energy)}
            plain = {
                key: value.to_dict() if isinstance(value, Average) else value
                for key, value in parts.items()
            }
            if isinstance(self.energy, EnergyReading):
                plain["domains"] = dict(self.energy.domains)
            data["energy"] = {**plain, "tier": self.energy.tier}
        return data


@dataclass(frozen=True)
class Measurements(Shown):
    """All measurements of a session, in the order of the runners.

    Attributes:
        rows: one for each backend and mode; backends that are missing or failed are among them.
        stopped: why it ended early (interrupted, the budget); empty where it did not.
        unused: profiles of CPUs and GPUs that were given and are used in no row, with the reason.
    """

    rows: tuple[Measurement, ...]
    stopped: str = ""
    unused: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Measurement]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Measurement:
        return self.rows[place]

    def to_dict(self) -> dict[str, Any]:
        """The measurements as plain data for JSON."""
        return {
            "rows": [row.to_dict() for row in self.rows],
            "stopped": self.stopped,
            "unused": list(self.unused),
        }

    def _headline(self) -> str:
        return f"{len(self.rows)} rows: {', '.join(dict.fromkeys(row.name for row in self.rows))}"

    def _shown(self) -> list[Said]:
        """The measurements as a table."""
        columns = (
            "backend", "precision", "mode", "batch", "step p50 [us]", "step p99 [us]",
            "samples/s", "energy/sample", "status",
        )  # fmt: skip
        rows = [_summary_row(row) for row in self.rows]
        notes = [f"{row.name}, {row.mode}: {row.reason}" for row in self.rows if row.reason]
        loaded = [row for row in self.rows if row.under_load]
        if loaded:
            notes.append(
                f"{len(loaded)} of {len(self.rows)} rows were measured under load, for example "
                f"{loaded[0].name}, {loaded[0].mode}: {loaded[0].under_load}"
            )
        notes += [f"ended early: {self.stopped}"] if self.stopped else []
        notes += self.unused
        return [f"{len(rows):,} measurements", Table(columns, rows), *notes]


def _summary_row(row: Measurement) -> tuple[object, ...]:
    p50, p99 = (None if value is None else value * 1e6
                for value in (row.latency_p50, row.latency_p99))  # fmt: skip
    rate = None if row.throughput is None else row.throughput.mean
    batch = row.batch if row.throughput is not None else None
    return (
        row.name, row.precision, row.mode, batch, p50, p99, rate, energy_text(row.energy),
        row.status,
    )  # fmt: skip


def energy_text(energy: EnergyReading | EstimatedEnergy | None) -> str:
    """The energy of a sample as text, with what it is."""
    if energy is None:
        return "not measured"
    if isinstance(energy, EstimatedEnergy):
        return f"{energy.low:.2g} to {energy.high:.2g} J ({energy.label})"
    quick = ", quick" if energy.quick else ""
    return f"{energy.total.mean:.3g} J total, dynamic {energy.dynamic_text} ({energy.meter}{quick})"
