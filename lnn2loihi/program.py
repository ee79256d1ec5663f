"""LoihiProgram: what the chip executes, in integers only.

It is what is saved, simulated, exported, placed and profiled, and it does not know where it
came from. Every program proves its own bounds when it is made: no accumulator and no
intermediate word can overflow, whatever the inputs, so no executor depends on what overflow does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.formats import WEIGHT_BITS, FixedPoint, IntegerArray, signed_range
from lnn2loihi.frozen import ArrayEquality, read_only, read_only_mapping
from lnn2loihi.neurons.bounds import Interval, ProvedBounds, prove
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.tables import decibel, percent, text_table

#: Largest left shift of a connection. The width of Loihi 2's weight exponent is not public;
#: Loihi 1 had four bits (-8..7), and nothing here needs more.
LARGEST_EXPONENT = 7
#: Largest axonal delay beyond the step that every message takes (lava-dl: max_delay = 62).
LARGEST_DELAY = 62
#: Most populations and connections of a program, most instructions of all its populations, and most
#: instructions times neurons (limits of this library, so that a hostile file costs little).
LARGEST_GRAPH = 1 << 10
LARGEST_CODE = 1 << 15
LARGEST_UPDATE = 1 << 25
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
    "compared": (int,),
    "instructions": (int, _PERHAPS),
}


@dataclass(frozen=True, eq=False)
class InputPort(ArrayEquality):
    """Where samples enter, and the codec that makes integers of them.

    Attributes:
        name: name of the port.
        format: fixed-point format of the message.
        low, high: int32 (channels,): the range to which each channel saturates.
    """

    name: str
    format: FixedPoint
    low: npt.NDArray[Any]
    high: npt.NDArray[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", read_only(self.low, np.int32))
        object.__setattr__(self, "high", read_only(self.high, np.int32))

    @property
    def size(self) -> int:
        """Number of channels."""
        return self.low.size

    def encode(self, x: npt.NDArray[np.float64]) -> tuple[IntegerArray, IntegerArray]:
        """Rounds half up to integers (batch, time, channels); see `saturate`."""
        with np.errstate(over="ignore"):  # infinity saturates like any other large value
            return self.saturate(np.floor(x * 2.0**self.format.fraction_bits + 0.5))

    def saturate(self, integers: npt.NDArray[Any]) -> tuple[IntegerArray, IntegerArray]:
        """Integers clipped to the calibrated range, and per channel how many were clipped."""
        inside = np.clip(integers, self.low, self.high)
        saturated = np.count_nonzero(inside != integers, axis=(0, 1))
        return inside.astype(np.int64), np.asarray(saturated, np.int64)


@dataclass(frozen=True, eq=False)
class Population(ArrayEquality):
    """A neuron program times N neurons.

    Attributes:
        name: name in messages and tables.
        program: what each neuron does in an update.
        parameters: for each parameter of the program int32 (N,).
        initial_state: for each state word of the program int32 (N,).
        message: format of the message that it sends.
        message_low, message_high: bound of every message, proved.
    """

    name: str
    program: NeuronProgram
    parameters: Mapping[str, npt.NDArray[Any]]
    initial_state: Mapping[str, npt.NDArray[Any]]
    message: FixedPoint
    message_low: int
    message_high: int
    size: int

    def __post_init__(self) -> None:
        for name in ("parameters", "initial_state"):
            arrays = {key: read_only(v, np.int32) for key, v in getattr(self, name).items()}
            object.__setattr__(self, name, read_only_mapping(arrays))

    @property
    def initial_message(self) -> IntegerArray:
        """What it sends before its first valid sample: its initial state, (N,)."""
        state = self.program.message_state
        values = self.initial_state[state] if state else np.zeros(self.size, np.int64)
        return values.astype(np.int64)

    def problems(self) -> list[str]:
        """Shapes and names that do not fit the program."""
        found: list[str] = []
        declared = (
            ("parameter", self.program.parameters, self.parameters),
            ("initial state", self.program.states, self.initial_state),
        )
        for kind, words, arrays in declared:
            names = [name for name, _ in words]
            if sorted(names) != sorted(arrays):
                found.append(f"{self.name}: {kind}s {sorted(arrays)}, expected {sorted(names)}")
                continue
            for name, bits in words:
                low, high = signed_range(bits)
                values = arrays[name]
                if values.shape != (self.size,):
                    found.append(
                        f"{self.name}: {kind} {name} has shape {values.shape}, "
                        f"expected ({self.size},)"
                    )
                elif values.size and not (low <= values.min() and values.max() <= high):
                    found.append(f"{self.name}: {kind} {name} does not fit its {bits} bits")
        if self.size < 1:
            found.append(f"{self.name}: a population has at least one neuron, not {self.size}")
        if not 1 <= self.message.bits <= 24:
            found.append(f"{self.name}: messages of {self.message.bits} bits; 1 to 24 exist")
        elif not self.message.low <= self.message_low <= self.message_high <= self.message.high:
            found.append(
                f"{self.name}: messages in [{self.message_low}, {self.message_high}] do not fit "
                f"{self.message.bits} bits"
            )
        return found


@dataclass(frozen=True, eq=False)
class Connection(ArrayEquality):
    """Synapses from one source to the fused accumulators of one population, as sparse rows.

    Row `g * N + i` feeds accumulator `accumulators[g]` of neuron i. A synapse adds
    mantissa * 2**exponent * message, one step (and `delay` more) after the message was sent.

    Attributes:
        source: name of a population or of the input port.
        target: name of a population.
        accumulators: accumulators that are fed, in row order.
        row_starts: int32 (rows + 1,): where each row begins in the two arrays below.
        columns: int32 (synapses,): source neuron of each synapse.
        mantissas: int8 (synapses,).
        source_size: neurons or channels of the source.
        exponent: left shift, 0 to LARGEST_EXPONENT.
        delay: extra steps, 0 to LARGEST_DELAY.
        mantissa_bits: width of the mantissas, 1 to 8.
    """

    source: str
    target: str
    accumulators: tuple[str, ...]
    row_starts: npt.NDArray[Any]
    columns: npt.NDArray[Any]
    mantissas: npt.NDArray[Any]
    source_size: int
    exponent: int = 0
    delay: int = 0
    mantissa_bits: int = WEIGHT_BITS

    def __post_init__(self) -> None:
        for name, dtype in (
            ("row_starts", np.int32),
            ("columns", np.int32),
            ("mantissas", np.int8),
        ):
            object.__setattr__(self, name, read_only(getattr(self, name), dtype))

    @classmethod
    def from_dense(
        cls,
        source: str,
        target: str,
        accumulators: tuple[str, ...],
        mantissas: npt.ArrayLike,
        **options: Any,
    ) -> Connection:
        """From dense mantissas (accumulators * N, source size); zeros make no synapse."""
        dense = np.asarray(mantissas)
        rows, columns = np.nonzero(dense)
        starts = np.searchsorted(rows, np.arange(dense.shape[0] + 1))
        return cls(
            source, target, accumulators, starts, columns, dense[rows, columns],
            source_size=dense.shape[1], **options,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """`source -> target`, for messages."""
        return f"{self.source} -> {self.target}"

    @property
    def rows(self) -> int:
        """Number of fused rows."""
        return self.row_starts.size - 1

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return self.mantissas.size

    def dense(self) -> IntegerArray:
        """Mantissas times 2**exponent as int64 (rows, source size)."""
        matrix = np.zeros((self.rows, self.source_size), np.int64)
        rows = np.repeat(np.arange(self.rows), np.diff(self.row_starts))
        np.add.at(matrix, (rows, self.columns), self.mantissas.astype(np.int64) << self.exponent)
        return matrix

    def interval(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Interval:
        """Interval of each row's sum when source j sends something in [low_j, high_j] or nothing.

        It holds for every partial sum too, so the order of accumulation does not matter.
        """
        low = np.minimum(np.broadcast_to(low, self.source_size), 0).astype(np.int64)
        high = np.maximum(np.broadcast_to(high, self.source_size), 0).astype(np.int64)
        weights = self.mantissas.astype(np.int64) << self.exponent
        ends = weights * low[self.columns], weights * high[self.columns]
        return Interval(self._row_sums(np.minimum(*ends)), self._row_sums(np.maximum(*ends)))

    def _row_sums(self, values: IntegerArray) -> IntegerArray:
        running = np.concatenate([[0], np.cumsum(values)])
        return running[self.row_starts[1:]] - running[self.row_starts[:-1]]

    def problems(self, target_size: int) -> list[str]:
        """Everything that does not fit."""
        found: list[str] = []
        starts, columns = self.row_starts, self.columns
        if not self.accumulators:
            found.append(f"{self.name}: it feeds no accumulator")
        if self.rows != len(self.accumulators) * target_size:
            found.append(
                f"{self.name}: {self.rows} rows, expected {len(self.accumulators)} accumulators "
                f"times {target_size} neurons"
            )
        if columns.shape != self.mantissas.shape or columns.ndim != 1:
            found.append(f"{self.name}: columns and mantissas differ in shape")
        elif (
            starts.ndim != 1 or starts.size < 1 or starts[0] != 0 or starts[-1] != columns.size
            or np.any(np.diff(starts) < 0)
        ):  # fmt: skip
            found.append(f"{self.name}: row_starts do not divide the synapses into rows")
        elif columns.size and not (0 <= columns.min() and columns.max() < self.source_size):
            found.append(f"{self.name}: a synapse reads beyond the {self.source_size} sources")
        if not 1 <= self.mantissa_bits <= WEIGHT_BITS:
            found.append(f"{self.name}: mantissas of {self.mantissa_bits} bits; 1 to 8 exist")
        else:
            low, high = signed_range(self.mantissa_bits)
            if self.synapses and not (low <= self.mantissas.min() <= self.mantissas.max() <= high):
                found.append(f"{self.name}: a mantissa does not fit {self.mantissa_bits} bits")
        if not 0 <= self.exponent <= LARGEST_EXPONENT:
            found.append(
                f"{self.name}: exponent {self.exponent} is outside 0..{LARGEST_EXPONENT}; "
                "connections only shift left"
            )
        if not 0 <= self.delay <= LARGEST_DELAY:
            found.append(f"{self.name}: delay {self.delay} is outside 0..{LARGEST_DELAY}")
        return found


@dataclass(frozen=True)
class Schedule:
    """When each population updates, in chip steps.

    The input sends sample s in step s * period. Population p updates in the steps
    first_valid[p] + s * period; before its first valid sample it holds its initial state and
    sends it.

    Attributes:
        period: initiation interval: chip steps between two samples.
        first_valid: for each population the step of its first update.
    """

    period: int
    first_valid: Mapping[str, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "first_valid", read_only_mapping(self.first_valid))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return self.period == other.period and dict(self.first_valid) == dict(other.first_valid)

    def steps(self, samples: int) -> int:
        """Chip steps from the first input to the last population's last update."""
        return (samples - 1) * self.period + max(self.first_valid.values()) + 1


def derive_schedule(
    input_name: str, populations: tuple[Population, ...], connections: tuple[Connection, ...]
) -> Schedule:
    """The schedule that follows from the connections; populations are in feed-forward order.

    Raises:
        ProgramError: paths of different length meet without a delay that matches them, or a
            recurrent connection takes longer than the initiation interval.
    """
    problems = Problems(ProgramError, "schedule")
    sent = {input_name: 0}
    for population in populations:
        arrivals = [
            (c.name, sent[c.source] + 1 + c.delay)
            for c in connections
            if c.target == population.name and c.source in sent
        ]
        steps = {step for _, step in arrivals}
        if not arrivals:
            problems.add(f"{population.name} gets no input from any earlier stage")
        if len(steps) > 1:
            paths = ", ".join(f"{path} in step {step}" for path, step in arrivals)
            problems.add(
                f"{population.name}: samples arrive in different steps ({paths}); "
                "delay the shorter paths"
            )
        sent[population.name] = max(steps, default=1)
    order = {name: place for place, name in enumerate(sent)}
    for c in connections:
        if order.get(c.source, -1) >= order.get(c.target, -1):
            if c.source != c.target:
                problems.add(f"{c.name}: feedback across populations is not supported")
            elif c.delay:
                problems.add(f"{c.name}: a recurrent delay of {c.delay} exceeds the period of 1")
    problems.raise_if_any()
    return Schedule(1, {p.name: sent[p.name] for p in populations})


@dataclass(frozen=True, eq=False)
class LoihiProgram(ArrayEquality):
    """An integer network for the chip.

    Attributes:
        name: name in messages and tables.
        recipe: the quantization recipe, in the grammar of `lnn2loihi.quantize.recipe`.
        input: input port.
        populations: in feed-forward order.
        connections: all connections.
        output: name of the population whose messages are the answer.
        schedule: when each population updates.
        provenance: source hash and tool versions.
        warnings: losses of precision that nobody asked for, a sentence each.
        table: one row of plain values per stage: what quantization measured (see `quantize`).
        bounds: for each population the proved interval of every word; derived, not stored.

    Raises:
        ProgramError: lists everything that is not well formed or not proved, when made.
    """

    name: str
    recipe: str
    input: InputPort
    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]
    output: str
    schedule: Schedule
    provenance: Mapping[str, str] = field(default_factory=dict)
    table: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    bounds: Mapping[str, ProvedBounds] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "populations", tuple(self.populations))
        object.__setattr__(self, "connections", tuple(self.connections))
        object.__setattr__(self, "warnings", tuple(self.warnings))
        object.__setattr__(self, "provenance", read_only_mapping(self.provenance))
        object.__setattr__(self, "table", tuple(read_only_mapping(row) for row in self.table))
        problems = Problems(ProgramError, f"program {self.name!r}")
        problems.extend(self._structure_problems())
        problems.raise_if_any()
        if derive_schedule(self.input.name, self.populations, self.connections) != self.schedule:
            problems.add("its schedule is not the one that its connections ask for")
        bounds = {p.name: self._prove(p) for p in self.populations}
        for name, proved in bounds.items():
            problems.extend(f"{name}: {problem}" for problem in proved.problems)
        problems.raise_if_any()
        object.__setattr__(self, "bounds", read_only_mapping(bounds))

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
        low, high = self.input.low, self.input.high
        if low.shape != high.shape or low.ndim != 1 or not low.size:
            found.append(f"{self.input.name}: low and high need the shape (channels,)")
        elif (
            np.any(low > high)
            or low.min() < self.input.format.low
            or (high.max() > self.input.format.high)
        ):
            found.append(f"{self.input.name}: its ranges do not fit {self.input.format.bits} bits")
        for c in self.connections:
            if c.source not in sizes or c.target not in sizes or c.target == self.input.name:
                found.append(f"{c.name}: unknown source or target")
                continue
            if c.source_size != sizes[c.source]:
                found.append(f"{c.name}: {c.source_size} columns, source has {sizes[c.source]}")
            known = self.population(c.target).program.accumulators
            if c.source == c.target and not self.population(c.target).program.message_state:
                found.append(f"{c.name}: a recurrent neuron keeps its message in a state word")
            if not set(c.accumulators) <= set(known) or len(set(c.accumulators)) < len(
                c.accumulators
            ):
                found.append(f"{c.name}: accumulators {c.accumulators}, target has {known}")
            found += c.problems(sizes[c.target])
        if self.output not in [p.name for p in self.populations]:
            found.append(f"output {self.output!r} is not a population")
        return found + self._text_problems() + self._table_problems()

    def _text_problems(self) -> list[str]:
        """Texts end up on terminals and in reports: no line breaks, no control characters."""
        texts = [self.name, self.recipe, self.input.name]
        texts += [text for p in self.populations for text in (p.name, p.program.name)]
        texts += [text for item in self.provenance.items() for text in item]
        texts += [cell for row in self.table for cell in row.values() if isinstance(cell, str)]
        return [
            f"{text!r:.60} is not one line of printable text"
            for text in texts
            if not (isinstance(text, str) and text.isprintable())
        ]

    def _table_problems(self) -> list[str]:
        found: list[str] = []
        for number, row in enumerate(self.table):
            for key in sorted(TABLE_COLUMNS.keys() ^ row.keys()):
                found.append(f"row {number} of its table: column {key!r} is missing or unknown")
            for key in sorted(TABLE_COLUMNS.keys() & row.keys()):
                cell = row[key]
                fits = isinstance(cell, TABLE_COLUMNS[key]) and not isinstance(cell, bool)
                if not fits or cell != cell:  # a NaN differs from itself
                    found.append(f"row {number} of its table: {key} is {cell!r:.60}")
        return found

    def population(self, name: str) -> Population:
        """The population of that name."""
        return next(p for p in self.populations if p.name == name)

    def incoming(self, target: str) -> tuple[Connection, ...]:
        """Connections into a population."""
        return tuple(c for c in self.connections if c.target == target)

    def accumulator_intervals(self, name: str) -> dict[str, Interval]:
        """Proved interval of each accumulator's sum, per neuron."""
        population = self.population(name)
        zero = np.zeros(population.size, np.int64)
        sums = {a: Interval(zero, zero) for a in population.program.accumulators}
        for c in self.incoming(name):
            interval = c.interval(*self._message_range(c.source))
            for place, accumulator in enumerate(c.accumulators):
                rows = slice(place * population.size, (place + 1) * population.size)
                before = sums[accumulator]
                sums[accumulator] = Interval(
                    before.low + interval.low[rows], before.high + interval.high[rows]
                )
        return sums

    def _message_range(self, source: str) -> tuple[npt.ArrayLike, npt.ArrayLike]:
        if source == self.input.name:
            return self.input.low, self.input.high
        population = self.population(source)
        return population.message_low, population.message_high

    def _prove(self, population: Population) -> ProvedBounds:
        """Bounds of all words. Messages are bounded by induction: what was assumed of them when
        they fed the accumulators must hold of what SPIKE sends and of the initial state.
        """
        intervals = self.accumulator_intervals(population.name)
        proved = prove(population.program, intervals, population.parameters)
        sent = proved.words["message'"].hull
        initial = population.initial_message
        low, high = population.message_low, population.message_high
        problems = list(proved.problems)
        if min(sent[0], int(initial.min())) < low or max(sent[1], int(initial.max())) > high:
            problems.append(f"messages can reach {list(sent)}, stated is [{low}, {high}]")
        return ProvedBounds(proved.words, tuple(problems))

    @property
    def output_population(self) -> Population:
        """The population whose messages are the answer."""
        return self.population(self.output)

    @property
    def latency_steps(self) -> int:
        """Chip steps from a sample's input to its answer."""
        return self.schedule.first_valid[self.output]

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return sum(c.synapses for c in self.connections)

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return sum(p.size for p in self.populations)

    def summary(self) -> str:
        """What the network became: formats, ranges and what was measured, as text."""
        headers = ("stage", "family", "neurons", "synapses", "message", "weights", "accumulator",
                   "range used", "saturated", "signal/noise", "instructions")  # fmt: skip
        rows = [
            (
                row["stage"], row["family"], row["neurons"], row["synapses"], row["message"],
                row["weights"], row["accumulator"], percent(row["range_used"]),
                percent(row["saturated"]), decibel(row["signal_to_noise_db"]),
                row["instructions"],
            )
            for row in self.table
        ]  # fmt: skip
        head = (
            f"{self.name}: recipe {self.recipe}, {self.neurons} neurons, {self.synapses:,} "
            f"synapses, one sample per {self.schedule.period} step(s), answer after "
            f"{self.latency_steps} steps"
        )
        lines = [head, *([text_table(headers, rows)] if rows else [])]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])

    def __str__(self) -> str:
        """The summary."""
        return self.summary()
