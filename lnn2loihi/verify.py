"""Runs a program on several executors and compares every state of every step, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import InputError, Problems
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulate import encode, full_initial_state
from lnn2loihi.simulate.blas import run_blas
from lnn2loihi.simulate.choice import chosen_engine, native_engine
from lnn2loihi.simulate.reference import run_reference
from lnn2loihi.simulate.result import EngineRun, IntegerRun, OnStep, States

#: Mismatches that a result lists; all are counted.
LISTED = 20

#: Called with an executor's name, the chip steps done and the chip steps in all.
Progress = Callable[[str, int, int], None]


def _lava(*arguments: Any, **options: Any) -> IntegerRun:
    from lnn2loihi.lava.runner import execute

    return execute(*arguments, **options)


def _c(
    program: LoihiProgram, inputs: IntegerArray, initial_state: Any, on_step: OnStep | None = None
) -> EngineRun:
    chosen_engine(program, "c")
    everything = np.full(len(inputs), inputs.shape[1])
    samples = np.ascontiguousarray(inputs, np.int32)
    engine = native_engine(program)
    return engine.run(samples, everything, initial_state, record=True, progress=on_step)[0]


def _blas(
    program: LoihiProgram, inputs: IntegerArray, initial_state: Any, on_step: OnStep | None = None
) -> EngineRun:
    everything = np.full(len(inputs), inputs.shape[1])
    return run_blas(program, inputs, initial_state, everything, record=True, on_step=on_step)


#: Executors by name: (program, inputs, initial_state, on_step) -> a run with states.
EXECUTORS: Mapping[str, Callable[..., IntegerRun | EngineRun]] = {
    "reference": run_reference,
    "c": _c,
    "blas": _blas,
    "lava": _lava,
}


@dataclass(frozen=True)
class Mismatch:
    """One value on which two executors differ.

    Attributes:
        executor: the executor that differs from the first one.
        population, word, sequence, step, neuron: where; the step is a sample, not a chip step.
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
class VerificationResult:
    """What `verify` found.

    Attributes:
        executors: executors that ran, with versions; the first is the one compared with.
        compared: values that were compared, over all executors but the first.
        mismatch_count: values that differ.
        mismatches: the first of them in order of step.
        sequences, steps: what was run, in samples.
    """

    executors: tuple[str, ...]
    compared: int
    mismatch_count: int
    mismatches: tuple[Mismatch, ...]
    sequences: int
    steps: int

    @property
    def bit_exact(self) -> bool:
        """Whether every compared value was equal, and at least one was compared."""
        return self.mismatch_count == 0 and self.compared > 0

    def summary(self) -> str:
        """The result as text."""
        verdict = "BIT EXACT" if self.bit_exact else "DIFFERENT"
        lines = [
            f"{verdict}: {self.mismatch_count:,} mismatches in {self.compared:,} values "
            f"({self.sequences} sequences of {self.steps} samples, every state of every step)",
            f"executors: {', '.join(self.executors)}",
            *(str(mismatch) for mismatch in self.mismatches),
        ]
        if self.mismatch_count > len(self.mismatches):
            lines.append(f"... and {self.mismatch_count - len(self.mismatches):,} more")
        return "\n".join(lines)

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
        }


def verify(
    program: LoihiProgram,
    x: npt.ArrayLike,
    executors: Sequence[str] | str = ("reference", "lava"),
    *,
    timespans: npt.ArrayLike | None = None,
    initial_state: Mapping[str, Mapping[str, npt.ArrayLike]] | None = None,
    progress: Progress | None = None,
) -> VerificationResult:
    """Compares executors bit for bit.

    Args:
        program: what to run.
        x: (batch, time, inputs), as for `simulate`.
        executors: at least two names of EXECUTORS, in a sequence or a text with commas; all are
            compared with the first.
        timespans: as for `simulate`.
        initial_state: as for `simulate`.
        progress: called with the executor's name, the chip steps done and the chip steps in all.

    Raises:
        InputError: x does not fit, or an executor does not exist.
        BackendMissingError: an executor is not installed.
    """
    if isinstance(executors, str):
        executors = [name.strip() for name in executors.split(",") if name.strip()]
    problems = Problems(InputError, "executors")
    for name in sorted(set(executors) - set(EXECUTORS)):
        problems.add(f"{name!r} does not exist; there are {', '.join(EXECUTORS)}")
    if len(set(executors)) < 2:
        problems.add(f"{list(executors)}: give at least two different ones")
    problems.raise_if_any()
    inputs, _ = encode(program, x, timespans)
    start = full_initial_state(program, inputs.shape[0], initial_state)
    runs = []
    for name in executors:
        report = None if progress is None else _named(progress, name)
        runs.append(EXECUTORS[name](program, inputs, start, on_step=report))
    return compare_runs(program, runs)


def _named(on_step: Progress, name: str) -> OnStep:
    return lambda done, total: on_step(name, done, total)


def compare_runs(
    program: LoihiProgram, runs: Sequence[IntegerRun | EngineRun]
) -> VerificationResult:
    """Compares all runs with the first; every recorded word of every population."""
    compared, count = 0, 0
    found: list[Mismatch] = []
    expected_states = _states(runs[0])
    batch, time = next(iter(expected_states[program.output].values())).shape[:2]
    for run in runs[1:]:
        states = _states(run)
        for population in program.populations:
            for word, expected in expected_states[population.name].items():
                actual = states[population.name][word]
                compared += expected.size
                places = _places(expected, actual)
                count += len(places)
                found += [
                    Mismatch(
                        run.executor, population.name, word, int(b), int(t), int(n),
                        int(expected[b, t, n]), int(actual[b, t, n]),
                    )
                    for b, t, n in places[:LISTED]
                ]  # fmt: skip
    found.sort(key=lambda mismatch: mismatch.step)
    names = tuple(run.executor for run in runs)
    return VerificationResult(names, compared, count, tuple(found[:LISTED]), batch, time)


def _states(run: IntegerRun | EngineRun) -> States:
    if run.states is None:
        raise InputError("executors", f"{run.executor} returned no states to compare")
    return run.states


def _places(expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> IntegerArray:
    """Indices (batch, time, neuron) of differences, in order of time."""
    if expected.shape != actual.shape:
        raise InputError(
            "executors", f"one returned states of shape {actual.shape}, expected {expected.shape}"
        )
    places = np.argwhere(expected != actual)
    return places[np.argsort(places[:, 1], kind="stable")]
