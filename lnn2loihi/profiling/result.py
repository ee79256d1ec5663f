"""What `profile` returns: rows of one table, and what the page draws of each chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.cost import ParameterEffect
from lnn2loihi.cost.model import NO_IO
from lnn2loihi.cost.workload import PIPELINED
from lnn2loihi.defaults import AUTO, DEFAULT_TARGET
from lnn2loihi.devices import rate_text
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.metrics import NeuroBenchMetrics
from lnn2loihi.printable import printable_lines
from lnn2loihi.profiling.frontier import Frontier
from lnn2loihi.profiling.passes import PassesCost, passes_shown
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.row_tables import row_table
from lnn2loihi.profiling.rows import ProfileRow, placed_on
from lnn2loihi.profiling.sides import HEADERS as SIDES_HEADERS
from lnn2loihi.profiling.sides import Side
from lnn2loihi.showing import Brief, Drawn, Said, Shown, Table
from lnn2loihi.simulation.result import clipped_text, saturation_text
from lnn2loihi.tables import counted
from lnn2loihi.targets.beside import claims_text
from lnn2loihi.tiers import TIERS

if TYPE_CHECKING:
    from lnn2loihi.profiling.answer import Answer

#: How the problem of measurements begins that were not finished; why follows.
ENDED_EARLY = "measuring ended early: "
#: Largest meshes that are drawn: Loihi 2 has 8 by 4 routers with 4 cores each.
LARGEST_MESH = {"mesh_columns": 64, "mesh_rows": 64, "cores_per_router": 16, "chips": 1 << 14}


@dataclass(frozen=True)
class Subject(Brief):
    """What was profiled, and on which data.

    Attributes:
        program, recipe: names.
        sha256: of the program's content, so that a page and a program can be matched.
        neurons, synapses, inputs, outputs: sizes.
        period: chip steps between two samples of a sequence.
        latency_steps: chip steps to an answer.
        sequences, samples: sequences, and samples of all of them together.
        saturated: input values outside the calibrated range.
        executor: what counted the messages.
        saturated_words: how often `population.word` saturated (see SimulationResult); only words
            that did. None where nobody counted, as in profiles of lnn2loihi 0.1.
        target: what the program was prepared for; sizes, period and counts are those of the
            prepared program, the SHA-256 that of its source.
        unproved: what is not proved about that target, a sentence each.
        stock: whether all neurons are those of Lava's own processes.
        input_values: input values of all samples, elapsed times among them; 0 where nobody
            counted, as in profiles of before.
    """

    program: str
    recipe: str
    sha256: str
    neurons: int
    synapses: int
    inputs: int
    outputs: int
    period: int
    latency_steps: int
    sequences: int
    samples: int
    saturated: int
    executor: str
    saturated_words: Mapping[str, int] | None = None
    target: str = DEFAULT_TARGET
    unproved: tuple[str, ...] = ()
    stock: bool = False
    input_values: int = 0

    def __post_init__(self) -> None:
        if self.saturated_words is not None:
            counts = read_only_mapping(self.saturated_words)
            object.__setattr__(self, "saturated_words", counts)

    @property
    def saturated_inputs(self) -> str:
        """How many input values saturated, of how many, as words: `3 of 256 input values`."""
        of = f" of {self.input_values:,}" if self.input_values else ""
        return f"{self.saturated:,}{of} input values"


@dataclass(frozen=True)
class CoreLoad(Brief):
    """One core of a placement, and how long it works in its busiest step.

    Attributes:
        chip, index: which core.
        x, y: its router on the mesh.
        populations: what stands on it, for people.
        neurons, synapses: how many.
        memory: bytes that are used.
        seconds: seconds of the busiest chip step by cause, at the nominal parameters.
    """

    chip: int
    index: int
    x: int
    y: int
    populations: str
    neurons: int
    synapses: int
    memory: int
    seconds: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", read_only_mapping(self.seconds))

    @property
    def load(self) -> float:
        """Seconds of all causes."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class RatePoint(Brief):
    """Total energy per sample at a rate.

    Attributes:
        rate: samples per second.
        total_energy: full chip.
        total_energy_pro_rata: the network's share of the chip.
    """

    rate: float
    total_energy: Quantity
    total_energy_pro_rata: Quantity


@dataclass(frozen=True)
class EnergySensitivity(Brief):
    """What the parameters' ranges do to the total energy per sample.

    Attributes:
        pace: `full speed`, or the rate.
        total_energy: joules per sample, full chip, with all parameters nominal.
        effects: parameters, the one with the largest effect first.
    """

    pace: str
    total_energy: float
    effects: tuple[ParameterEffect, ...]


@dataclass(frozen=True)
class ChipProfile(Brief):
    """A chip on which the program was placed.

    Attributes:
        device, title: its names.
        mesh_columns, mesh_rows: routers of a chip's mesh.
        cores_per_router: cores of each.
        chips: chips that the program takes.
        memory_per_core: bytes.
        cores: those that are taken.
        bottleneck: place in `cores` of the core that sets the time of a step; None without.
        placement: headers and rows of the linker map.
        unchecked: limits that nobody has published, in words.
        rate_curve: energy against sample rate.
        sensitivities: at full speed, and at the rate where one was asked for.
        activity: what one sample causes, by the names of the counts.
        objective: how it was placed: `packed`, `fast` or `between`; empty where nobody says.
        mode: how samples follow each other in its curve.
        copies: copies of the network that are placed together.
    """

    device: str
    title: str
    mesh_columns: int
    mesh_rows: int
    cores_per_router: int
    chips: int
    memory_per_core: int
    cores: tuple[CoreLoad, ...]
    bottleneck: int | None
    placement: str
    unchecked: tuple[str, ...]
    rate_curve: tuple[RatePoint, ...]
    sensitivities: tuple[EnergySensitivity, ...]
    activity: Mapping[str, float]
    objective: str = ""
    mode: str = PIPELINED
    copies: int = 1

    @property
    def placed(self) -> str:
        """What stands for it in a chart: the device, how it was placed, on how many cores."""
        how = f"{placed_on(self.objective, len(self.cores))}, {self.mode}"
        copies = f", {self.copies:,} copies" if self.copies > 1 else ""
        return f"{self.title}, {how}{copies}" if self.objective else self.title

    def __post_init__(self) -> None:
        object.__setattr__(self, "activity", read_only_mapping(self.activity))
        found = Problems(InputError, f"placement on {self.device!r:.60}")
        for name, most in LARGEST_MESH.items():
            if not 1 <= getattr(self, name) <= most:
                found.add(f"{name} is {getattr(self, name)}, expected 1 to {most}")
        places = (self.mesh_columns, self.mesh_rows, self.chips)
        outside = sum(
            not all(0 <= at < end for at, end in zip((c.x, c.y, c.chip), places, strict=True))
            for c in self.cores
        )
        if outside:
            found.add(f"{outside} cores stand beside its mesh")
        if self.bottleneck is not None and not 0 <= self.bottleneck < len(self.cores):
            found.add(f"its bottleneck is core {self.bottleneck} of {len(self.cores)}")
        found.raise_if_any()


@dataclass(frozen=True)
class Provenance(Brief):
    """Where one number comes from.

    Attributes:
        number: what it is.
        value: the number with its unit.
        range: its interval; empty where there is none.
        grade: how it is known: a grade of a device's figures, or a tier.
        source: who says so, or what was run.
    """

    number: str
    value: str
    range: str
    grade: str
    source: str


@dataclass(frozen=True)
class ProfileResult(Drawn, Shown):
    """What a network costs, device by device.

    Attributes:
        subject: what was profiled.
        rows: the table.
        chips: what was placed where.
        metrics: NeuroBench's metrics of the float network, where there is one, and of the program.
        provenance: where the numbers come from.
        rate: samples per second that the task asks for; None where not given.
        io: where samples come from, as for `estimate`.
        placement: what was asked for: `auto`, `fast` or `packed`.
        closed_loop: whether the next sample waits for the answer to this one, so that nothing is
            pipelined.
        copies: independent copies of the network that share each device.
        notes: by the title of a device, what a reader should know of it.
        quick: whether windows of measurement were shorter than a quoted figure needs.
        allow_estimated: whether ESTIMATED numbers take part in ratios.
        versions: of everything that computed something.
        conditions: of the machine on which it was measured.
        command: what makes this profile again.
        created: date and time, UTC.
        absent: backends that were not measured, why, and what would bring them.
        problems: what did not work beside the rows.
        sides: where targets were to stand side by side, what each makes of the program and what
            that costs.
        frontier: where the chip needs least energy, by rate and number of copies; None where
            nobody has looked, or the chip has no room.
        passes: of Monte-Carlo dropout that make an answer: all rows are of one, `of_passes` of all.
    """

    subject: Subject
    rows: tuple[ProfileRow, ...]
    chips: tuple[ChipProfile, ...] = ()
    metrics: tuple[NeuroBenchMetrics, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    rate: float | None = None
    io: str = NO_IO
    placement: str = AUTO
    closed_loop: bool = False
    copies: int = 1
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quick: bool = False
    allow_estimated: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    created: str = ""
    absent: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ()
    frontier: Frontier | None = None
    passes: int = 1

    def __post_init__(self) -> None:
        for name in ("versions", "conditions", "notes"):
            object.__setattr__(self, name, read_only_mapping(getattr(self, name)))

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the measurements: what there is so far is the result."""
        return f"{ENDED_EARLY}interrupted" in self.problems

    @property
    def complete(self) -> bool:
        """Whether every row is whole."""
        return not self.problems and all(row.status == "complete" for row in self.rows)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the figures say less than they seem to, a sentence each."""
        clipped = clipped_text(self.subject.saturated, self.subject.input_values)
        loaded = [row for row in self.rows if row.under_load and row.rate is None]
        found = [clipped] if clipped else []
        if loaded:
            worst = max(loaded, key=lambda row: len(row.under_load))
            found.append(
                f"the machine was not idle while {len(loaded)} row{'s' * (len(loaded) != 1)} of "
                f"this table w{'ere' if len(loaded) != 1 else 'as'} measured ({worst.label}: "
                f"{worst.under_load}); their times are those of a machine under load, and not for "
                "quoting"
            )
        return tuple(found)

    @checks_kinds()
    def row(self, device: str, **wanted: Any) -> ProfileRow:
        """The first row of a device (or backend) whose fields are as wanted.

        Raises:
            InputError: there is none; lists the rows.
        """
        for row in self.rows:
            if device in (row.device, row.backend) and all(
                getattr(row, name) == value for name, value in wanted.items()
            ):
                return row
        there = ", ".join(row.label for row in self.rows) or "none"
        raise InputError("profile", f"no row of {device!r} with {wanted}; there are: {there}")

    def save(self, path: str | Path) -> Path:
        """Writes the profile as one JSON file; see `lnn2loihi.profiling.load_profile`.

        Raises:
            InputError: the path has another suffix or cannot be written.
        """
        from lnn2loihi.profiling.storage import save_profile

        return save_profile(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The profile as plain data for JSON."""
        from lnn2loihi.profiling.storage import plain

        return plain(self)

    @property
    def of_passes(self) -> tuple[PassesCost, ...]:
        """What an answer of all passes costs, row by row."""
        return tuple(PassesCost.of(row, self.passes) for row in self.rows)

    @property
    def answer(self) -> Answer:
        """The answer in words: what the chip costs, against what stands beside it."""
        from lnn2loihi.profiling.answer import answer

        return answer(self)

    def _headline(self) -> str:
        return f"{self.subject.program!r}, {len(self.rows)} rows: {self.answer.title}"

    def _shown(self) -> list[Said]:
        """The answer, the table, what it was counted on, and what did not work."""
        s = self.subject
        pace = "" if self.rate is None else f", asked for at {rate_text(self.rate)}"
        pace += ", in a closed loop: nothing is pipelined" * self.closed_loop
        pace += f", {self.copies:,} copies (figures are of one)" if self.copies > 1 else ""
        prepared = "" if s.target == DEFAULT_TARGET else f", prepared for {s.target}"
        lines: list[Said] = [
            str(self.answer),
            "",
            f"{s.program} ({s.recipe}{prepared}): {s.neurons:,} neurons, {s.synapses:,} synapses; "
            f"counted on {counted(s.samples, 'sample')} in {counted(s.sequences, 'sequence')} by "
            f"{s.executor}{pace}; "
            f"{s.saturated_inputs} outside the calibrated range; "
            f"{saturation_text(s.saturated_words)}",
        ]
        if self.rows:
            lines += ["", row_table(self.rows), ""]
        lines += [*_sides_shown(self.sides), ""] if self.sides else []
        lines += [*passes_shown(self.of_passes, self.passes), ""] if self.passes > 1 else []
        used = {tier for row in self.rows for tier in (row.tier, row.energy_tier) if tier}
        lines += [f"{tier}: {meaning}" for tier, meaning in TIERS.items() if tier in used]
        lines += ["", *(f"{who}: {text}" for who, text in self.remarks())]
        return [printable_lines(part) if isinstance(part, str) else part for part in lines]

    def remarks(self) -> list[tuple[str, str]]:
        """What did not work and what a reader should know, each once, and whom it is about."""
        said: dict[str, list[str]] = {}
        warnings = [("warning", text) for text in self.warnings]
        for row in self.rows:
            for text in (*row.problems, *row.notes):
                said.setdefault(text, []).append(row.label)
        found = warnings + [
            (labels[0] + (f" and {len(labels) - 1} more" if len(labels) > 1 else ""), text)
            for text, labels in said.items()
        ]
        shared: dict[str, list[str]] = {}
        for title, texts in self.notes.items():
            for text in texts:
                shared.setdefault(text, []).append(title)
        found += [(", ".join(titles), text) for text, titles in shared.items()]
        # Of the default one, placements say it as unchecked; of others, what stands beside them.
        if (self.subject.stock or self.subject.target != DEFAULT_TARGET) and not self.sides:
            who = f"target {self.subject.target}"
            found += [(who, f"not proved: {text}") for text in self.subject.unproved]
        found += [("warning", side.warning) for side in self.sides if side.warning]
        found += [("profile", text) for text in self.problems]
        if self.frontier is not None:
            found += [("where the chip wins", text) for text in self.frontier.left_out]
        return found + [("not measured", text) for text in self.absent]


def _sides_shown(sides: Sequence[Side]) -> list[Said]:
    """Targets side by side: what each makes of the program, what that costs, what is proved."""
    first = sides[0]
    io = f", io {first.io}" if first.io != NO_IO else ""
    lines: list[Said] = [
        f"Targets side by side on {first.device} (estimates of one copy, {first.placement}, "
        f"{first.mode} at full speed{io}):"
    ]
    for part, headers in enumerate(SIDES_HEADERS):
        rows = [side.cells()[part] for side in sides]
        cells = [[str(c) if isinstance(c, Quantity) else c for c in row] for row in rows]
        lines += ["", Table(headers, cells)]
    refusals = [(side.target, side.refusal) for side in sides]
    return [*lines, "", claims_text([side.claims for side in sides], refusals)]
