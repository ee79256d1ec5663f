"""Runs a program on several executors and compares every state of every step, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import ALL, DEFAULT_EXECUTORS
from lnn2loihi.errors import BackendMissingError, InputError, Lnn2LoihiError, Problems
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulate import State, full_initial_state, held
from lnn2loihi.simulate.choice import chosen, known_executors
from lnn2loihi.simulate.executor import EXECUTORS, Execution
from lnn2loihi.simulate.inputs import checked, encode_live
from lnn2loihi.simulate.memory import check_results
from lnn2loihi.simulate.result import IntegerRun, OnStep
from lnn2loihi.tables import text_table

#: Mismatches that a result lists; all are counted.
LISTED = 20

#: Called with an executor's name, the chip steps done and the chip steps in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Mismatch:
    """One value on which two executors differ.

    Attributes:
        executor: the executor that differs from the first one.
        population, word, sequence, step, neuron: where; the step is a sample, not a chip step, or
            an update where a program updates several times for each sample.
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

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.executor}: population {self.population}, word {self.word}, neuron "
            f"{self.neuron}, step {self.step} of sequence {self.sequence}: has {self.found}, "
            f"expected {self.expected}"
        )


@dataclass(frozen=True)
class WordComparison:
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
class VerificationResult:
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

    @property
    def bit_exact(self) -> bool:
        """Whether every compared value was equal, and at least one was compared."""
        return self.mismatch_count == 0 and self.compared > 0

    def summary(self) -> str:
        """The result as text."""
        verdict = "BIT EXACT" if self.bit_exact else "DIFFERENT"
        up_to = "up to " if self.samples < self.sequences * self.steps else ""
        lines = [
            f"{verdict}: {self.mismatch_count:,} mismatches in {self.compared:,} values "
            f"({self.sequences} sequences of {up_to}{self.steps} samples, every state of every "
            "step)",
            f"executors: {', '.join(self.executors)}",
            *self._matrix_lines(),
            *(
                f"{name} ran the first {sequences} sequences, {steps} samples of each"
                for name, (sequences, steps) in self.shares.items()
            ),
            *(f"{name} did not run: {reason}" for name, reason in self.missing.items()),
            *(str(mismatch) for mismatch in self.mismatches),
        ]
        if self.mismatch_count > len(self.mismatches):
            lines.append(f"... and {self.mismatch_count - len(self.mismatches):,} more")
        return "\n".join(lines)

    def _matrix_lines(self) -> list[str]:
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
        table = text_table(
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
        }


@checks_kinds()
def verify(
    program: LoihiProgram,
    x: npt.ArrayLike,
    executors: Sequence[str] | str = DEFAULT_EXECUTORS,
    *,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
    initial_state: State | None = None,
    progress: Progress | None = None,
) -> VerificationResult:
    """Compares executors bit for bit.

    Args:
        program: what to run.
        x: (batch, time, inputs), as for `simulate`.
        executors: at least two names, in a sequence or a text with commas; all are compared with
            the first. Or "all": every executor that is installed and can run the program, slow
            ones on a share of the samples; the result says which did not run, and why.
        lengths: as for `simulate`; what an executor does beyond the end of a sequence does not
            count.
        timespans: as for `simulate`.
        encoded: as for `simulate`.
        initial_state: as for `simulate`.
        progress: called with the executor's name, the chip steps done and the chip steps in all.

    Raises:
        InputError: x does not fit, an executor does not exist or cannot be loaded, or it returns
            something else than this program's words.
        BackendMissingError: an executor that was named cannot run the program here; names those
            that can.
    """
    everything = executors == ALL
    names = _checked_names(executors)
    samples, counts = checked(program, x, lengths, timespans, encoded)
    longest = int(counts.max())
    if not longest:
        raise InputError("lengths", "all sequences have length 0; give at least one sample")
    missing: dict[str, str] = {}
    chosen_ones = _chosen(program, names, missing if everything else None)
    samples, counts = held(program, samples[:, :longest]), counts * program.substeps
    traces = any(one.keeps_trace for one in chosen_ones)
    check_results(program, samples.shape, recorded=True, oracle=traces)
    inputs = encode_live(program, samples, counts)[0]
    start = full_initial_state(program, inputs.shape[0], initial_state)
    runs: list[IntegerRun] = []
    for execution in chosen_ones:
        batch, time = inputs.shape[:2]
        report = None if progress is None else _named(progress, execution.name)
        try:
            if everything:
                batch, time = execution.share(program, batch, time)
            first = {p: {w: v[:batch] for w, v in words.items()} for p, words in start.items()}
            runs.append(execution.trace(program, inputs[:batch, :time], first, report))
        except (BackendMissingError, InputError) as error:
            if not everything:
                raise
            missing[execution.name] = _reason(error)
    if not runs:
        raise InputError("executors", [f"{name}: {why}" for name, why in missing.items()])
    # One that ran a share of it is compared with one that ran all.
    runs.sort(key=lambda run: -run.outputs(program).size)
    return compare_runs(program, runs, missing, counts)


def _chosen(
    program: LoihiProgram, names: Sequence[str], missing: dict[str, str] | None
) -> list[Execution]:
    """The executors that run the program here.

    Args:
        program: what they are to run.
        names: of the executors.
        missing: takes the reasons of those that do not; where None, they are refused.

    Raises:
        PluginError: one cannot be loaded.
        BackendMissingError: one cannot run the program here; names those that can.
    """
    found: list[Execution] = []
    for name in names:
        try:
            found.append(chosen(program, name))
        except (BackendMissingError, InputError) as error:
            if missing is not None:
                missing[name] = _reason(error)
            elif isinstance(error, BackendMissingError):
                raise _with_those_that_are_there(error, name, program) from error
            else:
                raise
    return found


def _reason(error: Lnn2LoihiError) -> str:
    return "; ".join(error.problems) or error.subject


def _with_those_that_are_there(
    error: BackendMissingError, absent: str, program: LoihiProgram
) -> BackendMissingError:
    """The error, with the executors that run the program here."""
    here: dict[str, str] = {}
    _chosen(program, [name for name in _all_names() if name != absent], here)
    text = ",".join(name for name in _all_names() if name != absent and name not in here)
    hint = (
        f"executors that are here: {text}; to compare those: lnn2loihi verify ... --executors "
        f'{text}, or verify(program, x, "{text}")'
    )
    return BackendMissingError(error.subject, [*error.problems, hint])


def _all_names() -> list[str]:
    """All that are registered, the reference first: it is what others are compared with."""
    return sorted(EXECUTORS.names(), key=lambda name: (name != DEFAULT_EXECUTORS[0], name))


def _checked_names(executors: Sequence[str] | str) -> list[str]:
    if executors == ALL:
        return _all_names()
    if isinstance(executors, str):
        executors = [name.strip() for name in executors.split(",") if name.strip()]
    problems = Problems(InputError, "executors")
    known = known_executors()
    for name in sorted(set(executors) - set(known)):
        problems.add(f"{name!r} does not exist; there are {', '.join(known)}")
    if len(set(executors)) < 2:
        problems.add(f"{list(executors)}: give at least two different ones")
    problems.raise_if_any()
    return list(executors)


def _named(on_step: Progress, name: str) -> OnStep:
    return lambda done, total: on_step(name, done, total)


def compare_runs(
    program: LoihiProgram,
    runs: Sequence[IntegerRun],
    missing: Mapping[str, str] | None = None,
    lengths: IntegerArray | None = None,
) -> VerificationResult:
    """Compares all runs with the first; every recorded word of every population.

    Args:
        program: what ran.
        runs: the runs; those after the first may be of its first sequences and steps only.
        missing: what did not run, and why.
        lengths: updates of each sequence, (batch,), where only these are compared.
    """
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
            shares[run.executor] = (part[0], part[1] // program.substeps)
        for population in program.populations:
            for word, values in expected_states[population.name].items():
                expected = values[: part[0], : part[1]]
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
        steps=time // program.substeps,
        samples=int(counts.sum()) // program.substeps,
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
