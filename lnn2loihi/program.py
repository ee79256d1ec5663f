"""LoihiProgram: what the chip executes, in integers only.

It is what is saved, simulated, exported, placed and profiled, and it does not know where it
came from. Every program proves its own bounds when it is made: no accumulator and no
intermediate word can overflow, whatever the inputs, so no executor depends on what overflow does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.errors import InputError, Problems, ProgramError
from lnn2loihi.frozen import ArrayEquality, read_only_mapping
from lnn2loihi.graph.connection import Connection
from lnn2loihi.graph.convolution import LARGEST_COUNT, AnyConnection, Convolution
from lnn2loihi.graph.population import Population
from lnn2loihi.graph.port import InputPort
from lnn2loihi.graph.precedent import precedent_warnings, with_precedent
from lnn2loihi.graph.schedule import Schedule, derive_schedule
from lnn2loihi.graph.sums import ProvedSums, partial_sums, reach_of
from lnn2loihi.neurons.bounds import IntegerInterval, ProvedBounds
from lnn2loihi.neurons.instructions import Saturation
from lnn2loihi.neurons.saturations import derived_saturations
from lnn2loihi.neurons.stock import stock_neuron
from lnn2loihi.precision import worst_text
from lnn2loihi.printable import is_line
from lnn2loihi.showing import Said, Shown, Table
from lnn2loihi.tables import decibel, percent

__all__ = [
    "AnyConnection",
    "Connection",
    "Convolution",
    "InputPort",
    "LoihiProgram",
    "Population",
    "Schedule",
]

#: Most populations and connections of a program, most instructions of all its populations, and most
#: instructions times neurons (limits of this library, so that a hostile file costs little).
LARGEST_GRAPH = 1 << 10
LARGEST_CODE = 1 << 15
LARGEST_UPDATE = 1 << 25
#: Most updates for each sample: an LTC takes six by default.
LARGEST_SUBSTEPS = 1 << 10
#: Largest number in the table of measurements.
LARGEST_CELL = 1e15
_NUMBER = (int, float)
_PERHAPS = type(None)
#: Columns of the table of measurements, and what their cells may be.
TABLE_COLUMNS: Mapping[str, tuple[type, ...]] = {
    "stage": (str,),
    "family": (str,),
    "neurons": (int,),
    "synapses": (int,),
    "message": (str,),
    "weights": (str, _PERHAPS),
    "weight_bits_used": (*_NUMBER, _PERHAPS),
    "accumulator": (str, _PERHAPS),
    "range_used": _NUMBER,
    "saturated": _NUMBER,
    "signal_to_noise_db": (*_NUMBER, _PERHAPS),
    "worst_db": (*_NUMBER, _PERHAPS),
    "worst_unit": (int, _PERHAPS),
    "compared": (int,),
    "instructions": (int, _PERHAPS),
}
#: What is said of the tables of older files.
MEASURED_WITH_MEANS = (
    "signal/noise of this program was measured by an older version, which counted the mean of each "
    "stage as signal; compare measures it around the mean, unit by unit"
)
#: Columns that tables of files of the version before do not have.
NEW_COLUMNS = ("worst_db", "worst_unit")


def upgraded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table as this version writes it: what older files do not say is None."""
    return {**dict.fromkeys(NEW_COLUMNS), **row}


@checks_fields(ProgramError)
@dataclass(frozen=True, eq=False)
class LoihiProgram(Shown, ArrayEquality):
    """An integer network for the chip.

    Attributes:
        name: name in messages and tables.
        recipe: the quantization recipe, in the grammar of `lnn2loihi.recipe`.
        input: input port.
        populations: in the order in which they follow each other within a sample.
        connections: all connections.
        output: name of the population whose messages are the answer.
        schedule: when each population updates.
        timed: whether the last input channel is the elapsed time before each sample.
        substeps: how often each sample is sent, and all populations update for it; the messages
            of the last time are the answer.
        provenance: source hash and tool versions.
        warnings: losses of precision that nobody asked for, a sentence each; after them what of
            its structure has no public precedent, which is derived whenever a program is made.
        table: one row of plain values per stage: what quantization measured (see `quantize`).
        bounds: for each population the proved interval of every word; derived, not stored.
        saturations: for each population the words whose saturations executors count: what its
            neuron program says, or where it is of an old file what its code shows.

    Raises:
        ProgramError: lists everything that is not well formed or not proved, when made.
    """

    name: str
    recipe: str
    input: InputPort
    populations: tuple[Population, ...]
    connections: tuple[AnyConnection, ...]
    output: str
    schedule: Schedule
    timed: bool = False
    substeps: int = 1
    provenance: Mapping[str, str] = field(default_factory=dict)
    table: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    bounds: Mapping[str, ProvedBounds] = field(init=False, repr=False, compare=False)
    saturations: Mapping[str, tuple[Saturation, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "populations", tuple(self.populations))
        object.__setattr__(self, "connections", tuple(self.connections))
        object.__setattr__(self, "warnings", with_precedent(self.warnings))
        object.__setattr__(self, "provenance", read_only_mapping(self.provenance))
        object.__setattr__(self, "table", tuple(read_only_mapping(row) for row in self.table))
        problems = Problems(ProgramError, f"program {self.name!r}")
        problems.extend(self._structure_problems())
        problems.raise_if_any()
        if self._derived_schedule(self.schedule.interleave) != self.schedule:
            problems.add("its schedule is not the one that its connections ask for")
        sums = ProvedSums(self.input, self.populations, self.connections)
        bounds = {p.name: sums.prove(p) for p in self.populations}
        for name, proved in bounds.items():
            problems.extend(f"{name}: {problem}" for problem in proved.problems)
        problems.raise_if_any()
        object.__setattr__(self, "bounds", read_only_mapping(bounds))
        derived = precedent_warnings(self.populations, self.schedule.interleave)
        object.__setattr__(self, "warnings", (*self.warnings, *derived))
        marks = {
            p.name: derived_saturations(p.program, bounds[p.name].words)
            if p.program.saturations is None
            else p.program.saturations
            for p in self.populations
        }
        object.__setattr__(self, "saturations", read_only_mapping(marks))

    def _structure_problems(self) -> list[str]:
        lengths = (
            (len(self.populations), LARGEST_GRAPH, "populations"),
            (len(self.connections), LARGEST_GRAPH, "connections"),
            (sum(p.program.instruction_count for p in self.populations), LARGEST_CODE,
             "instructions"),
            (sum(p.program.instruction_count * p.size for p in self.populations), LARGEST_UPDATE,
             "instructions times neurons"),
        )  # fmt: skip
        found = [f"{n} {what}; the limit is {most}" for n, most, what in lengths if n > most]
        if found:
            return found
        found = [problem for p in self.populations for problem in p.problems()]
        sizes = {self.input.name: self.input.size, **{p.name: p.size for p in self.populations}}
        if len(sizes) != 1 + len(self.populations):
            found.append("names of populations and input are not unique")
        found += self.input.problems()
        if not 1 <= self.substeps <= LARGEST_SUBSTEPS:
            found.append(
                f"{self.substeps} updates for each sample; 1 to {LARGEST_SUBSTEPS} are possible"
            )
        if self.timed and self.input.low.size < 2:
            found.append(f"{self.input.name}: no channel is left beside the elapsed time")
        for c in self.connections:
            if c.source not in sizes or c.target not in sizes or c.target == self.input.name:
                found.append(f"{c.name}: unknown source or target")
                continue
            if c.source_size != sizes[c.source]:
                found.append(f"{c.name}: {c.source_size} columns, source has {sizes[c.source]}")
            known = self.population(c.target).program.accumulators
            order = list(sizes)
            if order.index(c.source) >= order.index(c.target) and not (
                self.population(c.source).program.message_state
            ):
                found.append(f"{c.name}: a recurrent neuron keeps its message in a state word")
            if not set(c.accumulators) <= set(known) or len(set(c.accumulators)) < len(
                c.accumulators
            ):
                found.append(f"{c.name}: accumulators {c.accumulators}, target has {known}")
            found += c.problems(sizes[c.target])
        found += self._constant_problems()
        if not found:
            shared = sum(
                c.windows.largest_count for c in self.connections if isinstance(c, Convolution)
            )
            if shared > LARGEST_COUNT:
                found.append(
                    f"convolutions of {shared:,} synapses in all; the limit of lnn2loihi is "
                    f"{LARGEST_COUNT:,}"
                )
        if self.output not in [p.name for p in self.populations]:
            found.append(f"output {self.output!r} is not a population")
        return found + self._text_problems() + self._table_problems()

    def _constant_problems(self) -> list[str]:
        """The host sends constants: they hear nothing, and all others hear something."""
        found: list[str] = []
        for p in self.populations:
            heard = [c.source for c in self.connections if c.target == p.name]
            neuron = stock_neuron(p.program)
            constant = neuron is not None and neuron.kind == "constant"
            if not heard and not constant:
                found.append(f"{p.name} gets no input from any earlier stage")
            elif heard and constant:
                found.append(
                    f"{p.name}: constants are sent by the host and hear nothing, this one hears "
                    f"{', '.join(heard)}"
                )
        return found

    def _text_problems(self) -> list[str]:
        """Texts end up on terminals and in reports: no line breaks, no control characters."""
        texts = [("name", self.name), ("recipe", self.recipe), ("input", self.input.name)]
        texts += [("populations", t) for p in self.populations for t in (p.name, p.program.name)]
        texts += [("provenance", text) for item in self.provenance.items() for text in item]
        cells = (cell for row in self.table for cell in row.values())
        texts += [("table", cell) for cell in cells if isinstance(cell, str)]
        texts += [("warnings", text) for text in self.warnings]
        return [
            f"{place}: {text!r:.60} is not one line of printable text"
            for place, text in texts
            if not is_line(text)
        ]

    def _table_problems(self) -> list[str]:
        found: list[str] = []
        for number, row in enumerate(self.table):
            for key in sorted(TABLE_COLUMNS.keys() ^ row.keys()):
                found.append(f"row {number} of its table: column {key!r} is missing or unknown")
            for key in sorted(TABLE_COLUMNS.keys() & row.keys()):
                cell = row[key]
                fits = isinstance(cell, TABLE_COLUMNS[key]) and not isinstance(cell, bool)
                # Whole numbers of any length come out of files; a ratio to no noise is infinite.
                exact = key == "signal_to_noise_db" and cell in (math.inf, -math.inf)
                if not fits or (
                    isinstance(cell, _NUMBER) and not (exact or abs(cell) <= LARGEST_CELL)
                ):
                    found.append(f"row {number} of its table: {key} is {cell!r:.60}")
        return found

    @checks_kinds()
    def population(self, name: str) -> Population:
        """The population of that name.

        Raises:
            InputError: there is none.
        """
        for population in self.populations:
            if population.name == name:
                return population
        names = ", ".join(p.name for p in self.populations)
        raise InputError(f"program {self.name!r}", f"has no population {name!r:.60}: {names}")

    @checks_kinds()
    def incoming(self, target: str) -> tuple[AnyConnection, ...]:
        """Connections into a population."""
        return tuple(c for c in self.connections if c.target == target)

    @checks_kinds()
    def accumulator_intervals(self, name: str) -> dict[str, IntegerInterval]:
        """Proved interval of what each accumulator holds in an update, per neuron."""
        accumulators = self.population(name).program.accumulators
        return {a: self.bounds[name].words[a] for a in accumulators}

    @checks_kinds()
    def partial_sum_intervals(self, name: str) -> dict[str, IntegerInterval]:
        """Proved interval of what each accumulator can hold while messages arrive, per neuron: in
        any order, and in any step. It is wider than that of what is read where rectifiers have
        their arguments in common.
        """
        reach = {
            p.name: reach_of(p, self.bounds[p.name].words["message'"]) for p in self.populations
        }
        reach[self.input.name] = self.input.low, self.input.high
        return partial_sums(self.population(name), self.connections, reach)

    @property
    def channels(self) -> int:
        """Channels of a sample, without the elapsed time."""
        return self.input.size - self.timed

    @checks_kinds()
    def interleaved(self, sequences: int) -> LoihiProgram:
        """The same program with so many independent sequences taking turns on the chip.

        Raises:
            ProgramError: the initiation interval has no room for them.
            InputError: it is no whole number.
        """
        return replace(self, schedule=self._derived_schedule(int(sequences)))

    def _derived_schedule(self, interleave: int) -> Schedule:
        """The schedule that connections and ports ask for."""
        names = [p.name for p in self.populations]
        turns = {p.name: p.turns for p in self.populations if p.ports}
        return derive_schedule(self.input.name, names, self.connections, interleave, turns)

    @property
    def measured_with_means(self) -> bool:
        """Whether its table comes from a version that counted means as signal."""
        measured = [row for row in self.table if row["signal_to_noise_db"] is not None]
        return bool(measured) and all(row["worst_db"] is None for row in measured)

    @property
    def output_population(self) -> Population:
        """The population whose messages are the answer."""
        # Asked for several times in each call: without the check of arguments.
        return next(p for p in self.populations if p.name == self.output)

    @property
    def steps_per_sample(self) -> int:
        """Chip steps between two samples of a sequence: its initiation interval."""
        return self.schedule.period * self.substeps

    @property
    def latency_steps(self) -> int:
        """Chip steps from a sample's input to its answer."""
        once = self.schedule.first_valid[self.output] - self.schedule.first_input
        return once + (self.substeps - 1) * self.schedule.period

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return sum(c.synapses for c in self.connections)

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return sum(p.size for p in self.populations)

    def _headline(self) -> str:
        return (
            f"{self.name!r}, {self.recipe}, {self.neurons:,} neurons, {self.synapses:,} synapses, "
            f"a sample every {self.steps_per_sample} steps, answer after {self.latency_steps}"
        )

    def _shown(self) -> list[Said]:
        """What the network became: formats, ranges and what was measured, as text."""
        headers = ("stage", "family", "neurons", "synapses", "message", "weights", "accumulator",
                   "range used", "saturated", "signal/noise", "worst unit",
                   "instructions")  # fmt: skip
        rows = [
            (
                row["stage"], row["family"], row["neurons"], row["synapses"], row["message"],
                row["weights"], row["accumulator"], percent(row["range_used"]),
                percent(row["saturated"]), decibel(row["signal_to_noise_db"]),
                worst_text(row["worst_db"], row["worst_unit"]), row["instructions"],
            )
            for row in self.table
        ]  # fmt: skip
        head = (
            f"{self.name}: recipe {self.recipe}, {self.neurons} neurons, {self.synapses:,} "
            f"synapses, one sample per {self.steps_per_sample} step(s), answer after "
            f"{self.latency_steps} steps{self._ports_text()}"
        )
        lines: list[Said] = [head, *([Table(headers, rows)] if rows else [])]
        if rows and self.measured_with_means:
            lines.append(MEASURED_WITH_MEANS)
        return [*lines, *(f"warning: {warning}" for warning in self.warnings)]

    def _ports_text(self) -> str:
        most = max((p.turns.width for p in self.populations if p.turns.kept), default=0)
        return f", accumulators take turns on {most} port{'s' * (most > 1)} a neuron" * bool(most)
