"""What `verify` finds, and how recorded runs are compared: bit for bit, word by word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.formats import IntegerArray
from lnn2loihi.precision import poor_outputs_text, precision_of
from lnn2loihi.program import LoihiProgram
from lnn2loihi.showing import Brief, Said, Shown, Table
from lnn2loihi.simulation.result import IntegerRun
from lnn2loihi.tables import counted, decibel

#: Mismatches that a result lists; all are counted.
LISTED = 20


@dataclass(frozen=True)
class Mismatch(Shown):
    """One value on which two executors differ.

    Attributes:
        executor: the executor that differs from the first one.
        population, word, sequence, step, neuron: where; the step is a sample, not a chip step, or
            an update where a program updates several times for each sample and was not prepared.
        expected: what the first executor has.
        found: what this executor has.
    """

    executor: str
    population: str
    word: str
    sequence: int
    step: int
    neuron: int
    expected: int
    found: int

    def _headline(self) -> str:
        return self.summary()

    def _shown(self) -> list[Said]:
        """One line."""
        return [
            f"{self.executor}: population {self.population}, word {self.word}, neuron "
            f"{self.neuron}, step {self.step} of sequence {self.sequence}: has {self.found}, "
            f"expected {self.expected}"
        ]


@dataclass(frozen=True)
class WordComparison(Brief):
    """One word of a population on one executor: a cell of the matrix.

    Attributes:
        executor, population, word: which.
        compared: values that were compared with the first executor's.
        mismatches: values that differ.
    """

    executor: str
    population: str
    word: str
    compared: int
    mismatches: int


@dataclass(frozen=True)
class AnswerDistance(Shown):
    """How far the answers of a prepared program are from those of its source, in units of the
    answer.

    Attributes:
        largest: largest difference.
        mean: mean of all differences, as magnitudes.
        rms: root of their mean square.
        deviation: standard deviation of the source's answers, to compare these with: the root of
            the mean square of those of all outputs.
        compared: answers that were compared.
        worst_db: signal to noise of the output with the least, around its mean as in
            `lnn2loihi.precision`; None where no output moves, or nothing differs.
        worst_output: which one that is.
        poor: where that is below `lnn2loihi.precision.POOR_DB`: how close, and which outputs.
    """

    largest: float
    mean: float
    rms: float
    deviation: float
    compared: int
    worst_db: float | None = None
    worst_output: int | None = None
    poor: str = ""

    def _shown(self) -> list[Said]:
        """A sentence."""
        worst = ""
        if self.worst_db is not None:
            worst = f", output {self.worst_output} by {decibel(self.worst_db)} more than its error"
        return [
            f"{self.compared:,} answers differ from those of the source by {self.mean:.3g} on "
            f"average and {self.largest:.3g} at the most, rms {self.rms:.3g}; those of the source "
            f"deviate by {self.deviation:.3g}"
            f"{worst}"
        ]


@dataclass(frozen=True)
class VerificationResult(Shown):
    """What `verify` found.

    Attributes:
        executors: executors that ran, with versions; the first is the one compared with.
        compared: values that were compared, over all executors but the first.
        mismatch_count: values that differ.
        mismatches: the first of them in order of step.
        sequences, steps: what was run: sequences, and samples of the longest.
        samples: samples of all sequences together.
        matrix: what was compared, word by word, for all executors but the first.
        shares: for executors that ran less of it the sequences and samples that they ran, the
            first ones.
        missing: for executors that did not run the reason.
        target: what the program was prepared for. Where that has changed it, the first executor ran
            the source, the others ran the prepared program, and what both hold at the last update
            of each sample was compared.
        uncompared: words that only one of the two holds.
        distance: where the target is not exact: all executors ran the prepared program, every word
            of which was compared, and this is how far its answers are from those of the source.
        independent: for executors that compute with code which nobody here wrote, what it is; by
            the names under which they are registered.
        warnings: that the answers of a target which approximates are far from those of the source,
            with the outputs and what to do; empty where they are close, or equal.
    """

    executors: tuple[str, ...]
    compared: int
    mismatch_count: int
    mismatches: tuple[Mismatch, ...]
    sequences: int
    steps: int
    samples: int
    matrix: tuple[WordComparison, ...] = ()
    shares: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    target: str = DEFAULT_TARGET
    uncompared: tuple[str, ...] = ()
    distance: AnswerDistance | None = None
    independent: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def bit_exact(self) -> bool:
        """Whether every compared value was equal, and at least one was compared."""
        return self.mismatch_count == 0 and self.compared > 0

    def _headline(self) -> str:
        verdict = "bit exact" if self.bit_exact else "DIFFERENT"
        return (
            f"{verdict}, {self.mismatch_count:,} mismatches in {self.compared:,} values, "
            f"{len(self.executors)} executors, {self.samples:,} samples"
        )

    def _shown(self) -> list[Said]:
        """The result as text."""
        verdict = "BIT EXACT" if self.bit_exact else "DIFFERENT"
        up_to = "up to " if self.samples < self.sequences * self.steps else ""
        lines: list[Said] = [
            f"{verdict}: {self.mismatch_count:,} mismatches in {self.compared:,} values "
            f"({counted(self.sequences, 'sequence')} of {up_to}{counted(self.steps, 'sample')}, "
            "every state of every step)",
            *self._target_lines(),
            f"executors: {', '.join(self.executors)}",
            *(f"independent oracle {name}: {what}" for name, what in self.independent.items()),
            *self._matrix_lines(),
            *(
                f"{name} ran the first {counted(sequences, 'sequence')}, "
                f"{counted(steps, 'sample')} of each"
                for name, (sequences, steps) in self.shares.items()
            ),
            *(f"{name} did not run: {reason}" for name, reason in self.missing.items()),
            *(str(mismatch) for mismatch in self.mismatches),
        ]
        if self.mismatch_count > len(self.mismatches):
            lines.append(f"... and {self.mismatch_count - len(self.mismatches):,} more")
        return lines

    def _target_lines(self) -> list[str]:
        """What was compared of a program that was prepared."""
        if self.distance is not None:
            return [
                f"target {self.target}: executors are compared on the prepared program, which only "
                "approximates its source",
                str(self.distance),
                *(f"warning: {warning}" for warning in self.warnings),
            ]
        if not any(name.endswith(_prepared_for(self.target)) for name in self.executors):
            return []
        only = f"; only one of the two holds: {', '.join(self.uncompared)}" * bool(self.uncompared)
        return [
            f"target {self.target}: the prepared program is compared with its source at the last "
            f"update of each sample{only}"
        ]

    def _matrix_lines(self) -> list[Said]:
        """Values compared with the first executor: a row for each word, a column an executor."""
        others = list(dict.fromkeys(cell.executor for cell in self.matrix))
        rows: dict[str, list[str | int]] = {}
        for cell in self.matrix:
            text = f"{cell.compared:,}, {cell.mismatches:,} differ"
            row = rows.setdefault(f"{cell.population}.{cell.word}", [])
            row.append(text if cell.mismatches else cell.compared)
        if not rows:
            return []
        rows["all"] = [
            sum(cell.compared for cell in self.matrix if cell.executor == name) for name in others
        ]
        table = Table(
            ("values compared", *others), [(word, *cells) for word, cells in rows.items()]
        )
        return ["", table, ""]

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values."""
        return {
            "bit_exact": self.bit_exact,
            "compared": self.compared,
            "mismatch_count": self.mismatch_count,
            "mismatches": [vars(mismatch) for mismatch in self.mismatches],
            "executors": list(self.executors),
            "sequences": self.sequences,
            "steps": self.steps,
            "samples": self.samples,
            "matrix": [asdict(cell) for cell in self.matrix],
            "shares": {
                name: {"sequences": sequences, "steps": steps}
                for name, (sequences, steps) in self.shares.items()
            },
            "missing": dict(self.missing),
            "target": self.target,
            "uncompared": list(self.uncompared),
            "distance": None if self.distance is None else asdict(self.distance),
            "independent": dict(self.independent),
            "warnings": list(self.warnings),
        }


def compare_runs(
    program: LoihiProgram,
    runs: Sequence[IntegerRun],
    missing: Mapping[str, str] | None = None,
    lengths: IntegerArray | None = None,
    substeps: int | None = None,
) -> VerificationResult:
    """Compares all runs with the first; every word of it that they hold.

    Args:
        program: what ran.
        runs: the runs; those after the first may be of its first sequences and steps only.
        missing: what did not run, and why.
        lengths: steps of each sequence, (batch,), where only these are compared.
        substeps: steps of the runs for each sample; the program's updates by default.
    """
    substeps = substeps or program.substeps
    found: list[Mismatch] = []
    matrix: list[WordComparison] = []
    shares: dict[str, tuple[int, int]] = {}
    expected_states = runs[0].states
    batch, time = next(iter(expected_states[program.output].values())).shape[:2]
    counts = np.full(batch, time) if lengths is None else lengths
    inside = np.arange(time) < counts[:, None]
    for run in runs[1:]:
        states = run.states
        part = next(iter(states[program.output].values())).shape[:2]
        if part != (batch, time):
            shares[run.executor] = (part[0], part[1] // substeps)
        for population in program.populations:
            for word in states.get(population.name, {}):
                expected = expected_states[population.name][word][: part[0], : part[1]]
                actual = states[population.name][word]
                live = inside[: part[0], : part[1]]
                places = _places(expected, actual, live)
                compared = int(np.count_nonzero(live)) * population.size
                matrix.append(
                    WordComparison(run.executor, population.name, word, compared, len(places))
                )
                found += [
                    Mismatch(
                        run.executor, population.name, word, int(b), int(t), int(n),
                        int(expected[b, t, n]), int(actual[b, t, n]),
                    )
                    for b, t, n in places[:LISTED]
                ]  # fmt: skip
    found.sort(key=lambda mismatch: mismatch.step)
    return VerificationResult(
        executors=tuple(run.executor for run in runs),
        compared=sum(cell.compared for cell in matrix),
        mismatch_count=sum(cell.mismatches for cell in matrix),
        mismatches=tuple(found[:LISTED]),
        sequences=batch,
        steps=time // substeps,
        samples=int(counts.sum()) // substeps,
        matrix=tuple(matrix),
        shares=shares,
        missing=missing or {},
    )


def _places(
    expected: npt.NDArray[Any], actual: npt.NDArray[Any], live: npt.NDArray[np.bool_]
) -> IntegerArray:
    """Indices (batch, time, neuron) of differences where it is live, in order of time."""
    places = np.argwhere((expected != actual) & live[..., None])
    return places[np.argsort(places[:, 1], kind="stable")]


def _prepared_for(target: str) -> str:
    return f", prepared for {target}"


def compare_prepared(
    source: LoihiProgram,
    standard: IntegerRun,
    target: str,
    prepared: LoihiProgram,
    runs: Sequence[IntegerRun],
    missing: Mapping[str, str],
    lengths: IntegerArray,
) -> VerificationResult:
    """Compares runs of a prepared program with one of its source, in sample time: the answers, and
    what has the same name and size in both, at the last update of each sample.

    Args:
        source: the program that was prepared.
        standard: its run.
        target: what it was prepared for.
        prepared: what became of it.
        runs: runs of that; they may be of its first sequences and samples only.
        missing: what did not run, and why.
        lengths: samples of each sequence, (batch,).
    """
    expected = _in_sample_time(source, standard).states
    first = _in_sample_time(prepared, runs[0]).states
    common = [
        (population, word)
        for population, words in expected.items()
        for word, values in words.items()
        if word in first.get(population, {}) and values.shape[2] == first[population][word].shape[2]
    ]
    # Whatever the output is called there.
    answers, sent = (
        (p.output, p.output_population.program.message_state or "message")
        for p in (source, prepared)
    )
    compared = [IntegerRun(standard.executor, expected)]
    for run in runs:
        states = _in_sample_time(prepared, run).states
        words: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for population, word in common:
            words.setdefault(population, {})[word] = states[population][word]
        words.setdefault(answers[0], {})[answers[1]] = states[sent[0]][sent[1]]
        compared.append(IntegerRun(run.executor + _prepared_for(target), words))
    found = compare_runs(source, compared, missing, lengths, substeps=1)
    known = {*common, answers, sent}
    return replace(
        found,
        target=target,
        uncompared=tuple(
            f"{population}.{word} ({whose})"
            for whose, states in (("source", expected), (target, first))
            for population, words in states.items()
            for word in words
            if (population, word) not in known
        ),
    )


def distance(
    source: LoihiProgram,
    standard: IntegerRun,
    prepared: LoihiProgram,
    run: IntegerRun,
    lengths: IntegerArray,
) -> AnswerDistance:
    """How far the answers of a prepared program are from those of its source.

    Args:
        source: the program that was prepared.
        standard: its run.
        prepared: what became of it.
        run: its run; it may be of the first sequences and samples only.
        lengths: samples of each sequence, (batch,).
    """
    true = source.output_population.decode(_in_sample_time(source, standard).outputs(source))
    own = prepared.output_population.decode(_in_sample_time(prepared, run).outputs(prepared))
    batch, time = own.shape[:2]
    live = np.arange(time) < lengths[:batch, None]
    wanted = true[:batch, :time][live]
    away = np.abs(own[live] - wanted)
    precision = precision_of(wanted, own[live])
    return AnswerDistance(
        largest=float(away.max()),
        mean=float(away.mean()),
        rms=float(np.sqrt(np.mean(away**2))),
        deviation=float(np.sqrt(np.mean(wanted.var(axis=0)))),
        compared=away.size,
        worst_db=precision.worst_db,
        worst_output=precision.worst_unit,
        poor=poor_outputs_text(precision),
    )


def _in_sample_time(program: LoihiProgram, run: IntegerRun) -> IntegerRun:
    """What holds after the last update for each sample."""
    last = slice(program.substeps - 1, None, program.substeps)
    states = {n: {w: v[:, last] for w, v in words.items()} for n, words in run.states.items()}
    return IntegerRun(run.executor, states)
