"""Runs a program on several executors and compares every state of every step, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import ALL, DEFAULT_EXECUTORS, DEFAULT_TARGET, STAND_INS
from lnn2loihi.errors import (
    BackendMissingError,
    InputError,
    Lnn2LoihiError,
    Problems,
    UnfitProgramError,
)
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import State, full_initial_state, held
from lnn2loihi.simulation.choice import chosen, known_executors
from lnn2loihi.simulation.executor import EXECUTORS, Execution, FullState
from lnn2loihi.simulation.inputs import checked, encode_live
from lnn2loihi.simulation.memory import check_results
from lnn2loihi.simulation.result import IntegerRun, OnStep
from lnn2loihi.targets import Target, target_of
from lnn2loihi.targets.target import far_warnings
from lnn2loihi.verification.result import (
    Mismatch,
    VerificationResult,
    WordComparison,
    compare_prepared,
    compare_runs,
    distance,
)

__all__ = ["Mismatch", "Progress", "VerificationResult", "WordComparison", "verify"]

#: Called with an executor's name, the chip steps done and the chip steps in all.
Progress = Callable[[str, int, int], None]


@checks_kinds()
def verify(
    program: LoihiProgram,
    x: npt.ArrayLike,
    executors: Sequence[str] | str | None = None,
    *,
    target: str | Target = DEFAULT_TARGET,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
    initial_state: State | None = None,
    progress: Progress | None = None,
) -> VerificationResult:
    """Compares executors bit for bit, and a prepared program with its source.

    Args:
        program: what to run.
        x: (batch, time, inputs), as for `simulate`.
        executors: at least two names, in a sequence or a text with commas; all are compared with
            the first. Or "all": every executor that is installed and can run the program, slow
            ones on a share of the samples; the result says which did not run, and why. By default
            the reference, and the executor of the target.
        target: what to prepare the program for. Where that changes it, the first executor runs the
            source, all of them run the prepared program, and what both hold is compared in sample
            time: see `VerificationResult.target`. One executor is then enough. Where a target is
            not exact, executors are compared on the prepared program, and how far its answers are
            from those of the source is said: see `VerificationResult.distance`.
        lengths: as for `simulate`; what an executor does beyond the end of a sequence does not
            count.
        timespans: as for `simulate`.
        encoded: as for `simulate`.
        initial_state: as for `simulate`; a prepared program takes of it what it holds itself.
        progress: called with the executor's name, the chip steps done and the chip steps in all.

    Raises:
        InputError: x does not fit, an executor does not exist or cannot be loaded, or it returns
            something else than this program's words.
        TargetError: the target cannot prepare the program.
        BackendMissingError: an executor that was named cannot run the program here; names those
            that can.
    """
    aim = target_of(target)
    prepared = aim.prepare(program)
    changed = prepared is not program
    missing: dict[str, str] = {}
    if executors is None:
        executors = _default_names(prepared, aim.executor, missing)
    # Those that nobody named may fail; what is said of them is kept.
    unnamed = executors == ALL or bool(missing)
    names = _checked_names(executors, least=1 if changed and aim.exact else 2)
    samples, counts = checked(program, x, lengths, timespans, encoded)
    longest = int(counts.max())
    if not longest:
        raise InputError("lengths", "all sequences have length 0; give at least one sample")
    samples = samples[:, :longest]
    found = _chosen(prepared, names, missing if unnamed else None)
    state = full_initial_state(program, len(samples), initial_state)
    if not changed:
        data = _Data.of(program, samples, counts, state, found)
        runs = _runs(data, found, missing if unnamed else None, progress)
        independent = _independent(found, missing)
        # One that ran a share of it is compared with one that ran all.
        runs.sort(key=lambda run: -run.outputs(program).size)
        result = compare_runs(program, runs, missing, counts * program.substeps)
        return replace(result, target=aim.name, independent=independent)
    standard = _chosen(program, names[:1], None)
    data = _Data.of(program, samples, counts, state, standard)
    (expected,) = _runs(data, standard, None, progress)
    state = full_initial_state(
        prepared, len(samples), _held_by(prepared, aim.name, initial_state or {})
    )
    data = _Data.of(prepared, samples, counts, state, found)
    runs = _runs(data, found, missing if unnamed else None, progress)
    if aim.exact:
        result = compare_prepared(program, expected, aim.name, prepared, runs, missing, counts)
    else:
        runs.sort(key=lambda run: -run.outputs(prepared).size)
        result = compare_runs(prepared, runs, missing, counts * prepared.substeps)
        away = distance(program, expected, prepared, runs[0], counts)
        result = replace(
            result, target=aim.name, distance=away, warnings=far_warnings(aim, away.poor)
        )
    return replace(result, independent=_independent(found, missing))


def _default_names(program: LoihiProgram, usual: str, missing: dict[str, str]) -> list[str]:
    """The reference, and the executor that is usually compared with it.

    Args:
        program: what they run.
        usual: the executor of the target.
        missing: where that is not installed, takes the reason; others stand in for it then.
    """
    standard = DEFAULT_EXECUTORS[0]
    try:
        chosen(program, usual)
    except UnfitProgramError:  # nothing that is installed would help: the caller names others
        pass
    except BackendMissingError as error:
        others = _chosen(program, [name for name in STAND_INS if name in EXECUTORS.names()], {})
        if others:
            missing[usual] = _reason(error)
            return [standard, *(one.name for one in others)]
    return [standard, usual]


def _independent(executions: Sequence[Execution], missing: Mapping[str, str]) -> dict[str, str]:
    """What those that have run compute with that is not of this library."""
    ran = [one for one in executions if one.name not in missing]
    return {one.name: one.independent for one in ran if one.independent}


@dataclass(frozen=True)
class _Data:
    """A program, and what it runs on."""

    program: LoihiProgram
    inputs: IntegerArray
    start: FullState

    @classmethod
    def of(
        cls,
        program: LoihiProgram,
        samples: npt.NDArray[Any],
        counts: IntegerArray,
        start: FullState,
        executions: Sequence[Execution],
    ) -> _Data:
        """Encoded samples, each as often as it is sent; if there is memory for the results.

        Args:
            program: the program.
            samples: as `checked` gives them.
            counts: samples of each sequence.
            start: its initial state.
            executions: what will run it.
        """
        samples = held(program, samples)
        traces = any(one.keeps_trace for one in executions)
        check_results(program, samples.shape, recorded=True, oracle=traces)
        return cls(program, encode_live(program, samples, counts * program.substeps)[0], start)


def _runs(
    data: _Data,
    executions: Sequence[Execution],
    missing: dict[str, str] | None,
    progress: Progress | None,
) -> list[IntegerRun]:
    """Every state of every update on each executor.

    Args:
        data: what they run.
        executions: the executors.
        missing: takes the reasons of those that fail, and slow ones run a share; where None, what
            they raise is raised.
        progress: see `verify`.

    Raises:
        InputError: none of them ran.
    """
    found: list[IntegerRun] = []
    for execution in executions:
        batch, updates = data.inputs.shape[:2]
        report = None if progress is None else _named(progress, execution.name)
        try:
            if missing is not None:
                batch, updates = execution.share(data.program, batch, updates)
            start = {p: {w: v[:batch] for w, v in words.items()} for p, words in data.start.items()}
            inputs = data.inputs[:batch, :updates]
            found.append(execution.trace(data.program, inputs, start, report))
        except (BackendMissingError, InputError) as error:
            if missing is None:
                raise
            missing[execution.name] = _reason(error)
    if not found:
        raise InputError("executors", [f"{name}: {why}" for name, why in (missing or {}).items()])
    return found


def _held_by(prepared: LoihiProgram, target: str, state: State) -> State:
    """What a prepared program takes of an initial state of its source.

    Raises:
        InputError: a word that was given is not there in the same size.
    """
    problems = Problems(InputError, "initial_state")
    populations = {p.name: p for p in prepared.populations}
    for name, words in state.items():
        own = populations.get(name)
        for word in words:
            if own is None or word not in own.program.state_names:
                problems.add(
                    f"{name}.{word} is not there once the program is prepared for {target}; it "
                    "cannot begin from there: leave it out"
                )
    problems.raise_if_any()
    return state


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
    return type(error)(error.subject, [*error.problems, hint])


def _all_names() -> list[str]:
    """All that are registered, the reference first: it is what others are compared with."""
    return sorted(EXECUTORS.names(), key=lambda name: (name != DEFAULT_EXECUTORS[0], name))


def _checked_names(executors: Sequence[str] | str, least: int) -> list[str]:
    if executors == ALL:
        return _all_names()
    if isinstance(executors, str):
        executors = [name.strip() for name in executors.split(",") if name.strip()]
    problems = Problems(InputError, "executors")
    known = known_executors()
    for name in sorted(set(executors) - set(known)):
        problems.add(f"{name!r} does not exist; there are {', '.join(known)}")
    if len(set(executors)) < least:
        number = "two different ones" if least > 1 else "one"
        problems.add(f"{list(executors)}: give at least {number}")
    problems.raise_if_any()
    return list(executors)


def _named(on_step: Progress, name: str) -> OnStep:
    return lambda done, total: on_step(name, done, total)
