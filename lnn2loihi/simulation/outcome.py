"""What an executor hands back, checked: kinds and shapes; what the integers are is for `verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.printable import kind_of_value
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.result import (
    Counters,
    EngineRun,
    IntegerRun,
    no_saturations,
    recorded_words,
)

#: Makes an error of what is wrong; it names the executor.
Refusal = Callable[[list[str]], Lnn2LoihiError]
Words = Mapping[str, Mapping[str, tuple[int, ...]]]
_INT32 = np.iinfo(np.int32)
#: Problems that an error lists.
LISTED = 8


def checked_trace(
    refusal: Refusal, program: LoihiProgram, made: Any, shape: Sequence[int], *, narrow: bool
) -> IntegerRun:
    """The states of every update, if they are those of this program.

    Args:
        refusal: makes the error.
        program: what ran.
        made: what the executor returned.
        shape: sequences, and updates of each.
        narrow: whether values must fit 32 bits.

    Raises:
        Lnn2LoihiError: made by `refusal`.
    """
    if not isinstance(made, (IntegerRun, EngineRun)):
        raise refusal([f"returned {kind_of_value(made)}; it must be an IntegerRun"])
    wanted = _recorded(program, *shape[:2])
    _raise(refusal, [*_name_problems(made), *_word_problems("states", made.states, wanted, narrow)])
    assert made.states is not None
    return IntegerRun(made.executor, made.states)


def checked_run(
    refusal: Refusal,
    program: LoihiProgram,
    made: EngineRun,
    lengths: IntegerArray,
    updates: int,
    *,
    record: bool,
    step_totals: bool,
) -> EngineRun:
    """A run that ends with its sequences, if it is one of this program; zeros beyond the ends.

    Args:
        refusal: makes the error.
        program: what ran.
        made: what the executor returned.
        lengths: updates of each sequence, int64 (batch,).
        updates: updates of the longest.
        record: whether states were asked for.
        step_totals: whether messages of each update were.

    Raises:
        Lnn2LoihiError: made by `refusal`.
    """
    batch, output = lengths.size, program.output_population
    populations = program.populations
    states = _recorded(program, batch, updates)
    final = {p.name: {w: (batch, p.size) for w in p.program.state_names} for p in populations}
    problems = _name_problems(made)
    problems += array_problems("integers", made.integers, (batch, updates, output.size), True)
    problems += _word_problems("states", made.states, states, True) if record else ()
    problems += _word_problems("final_state", made.final_state, final, True)
    problems += _counter_problems(program, made.counters, updates, step_totals)
    if made.saturated_words is not None:
        counted = {
            n: {w: c.shape for w, c in m.items()} for n, m in no_saturations(program).items()
        }
        problems += _word_problems("saturated_words", made.saturated_words, counted, False)
    _raise(refusal, problems)
    beyond = np.arange(updates) >= lengths[:, None]

    def cut(values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        values = np.asarray(values, np.int32)
        return np.where(beyond[..., None], 0, values) if values[beyond].any() else values

    recorded = made.states if record else None
    return replace(
        made,
        integers=cut(made.integers),
        states=recorded
        and {
            name: {word: cut(recorded[name][word]) for word in words}
            for name, words in states.items()
        },
        final_state={
            name: {word: np.asarray(made.final_state[name][word], np.int32) for word in words}
            for name, words in final.items()
        },
    )


def _recorded(program: LoihiProgram, batch: int, updates: int) -> Words:
    """Shapes of all that is recorded."""
    return {
        p.name: {word: (batch, updates, p.size) for word in recorded_words(p.program)}
        for p in program.populations
    }


def _raise(refusal: Refusal, problems: list[str]) -> None:
    if problems:
        more = [f"... and {len(problems) - LISTED} more"] * (len(problems) > LISTED)
        raise refusal([*problems[:LISTED], *more])


def _name_problems(made: IntegerRun | EngineRun) -> list[str]:
    if isinstance(made.executor, str):
        return []
    return [f"returned a run of executor {made.executor!r:.40}; its name must be a str"]


def _word_problems(what: str, found: Any, wanted: Words, narrow: bool) -> Iterator[str]:
    """Words that are missing, or of another kind or shape."""
    if not isinstance(found, Mapping):
        yield (
            f"returned no {what}" if found is None else f"{what} are {kind_of_value(found)}"
        ) + "; give for each population its words"
        return
    for name, words in wanted.items():
        if not isinstance(found.get(name), Mapping):
            yield f"{what}: population {name} is missing, with {', '.join(words) or 'no words'}"
            continue
        for word, shape in words.items():
            if word in found[name]:
                yield from array_problems(f"{what} {name}.{word}", found[name][word], shape, narrow)
            else:
                yield f"{what}: word {word} of population {name} is missing"
        others = sorted(f"{name}.{word}" for word in found[name] if word not in words)
        if others:
            yield f"{what}: this program has no {', '.join(others)}; leave them out"
    others = sorted(map(str, found.keys() - wanted.keys()))
    if others:
        yield f"{what}: this program has no population {', '.join(others)}; leave them out"


def array_problems(what: str, values: Any, shape: tuple[int, ...], narrow: bool) -> Iterator[str]:
    """What is wrong with an array of integers; where `narrow`, they must fit 32 bits."""
    if not isinstance(values, np.ndarray):
        yield f"{what} is {kind_of_value(values)}; it must be an array of integers"
    elif values.dtype.kind not in "iu":
        yield f"{what} is {values.dtype}; it must be integers"
    elif values.shape != shape:
        yield f"{what} has shape {values.shape}, expected {shape}"
    elif narrow and values.dtype != np.int32 and values.size:
        low, high = int(values.min()), int(values.max())
        if low < _INT32.min or high > _INT32.max:
            yield f"{what} has values in [{low}, {high}]; words of the chip fit 32 bits"


def _counter_problems(
    program: LoihiProgram, counters: Any, updates: int, step_totals: bool
) -> Iterator[str]:
    if not isinstance(counters, Counters):
        yield f"counters are {kind_of_value(counters)}; they must be Counters"
        return
    sizes = {program.input.name: program.input.size}
    sizes |= {p.name: p.size for p in program.populations}
    wanted = {"non_zero": sizes, "changed": sizes}
    if step_totals:
        steps = dict.fromkeys(sizes, updates)
        wanted |= {"non_zero_per_step": steps, "changed_per_step": steps}
    for kind, lengths in wanted.items():
        found = getattr(counters, kind)
        for name, length in lengths.items():
            if found is None or name not in found:
                yield f"counters: {kind} of {name} is missing"
            else:
                yield from array_problems(f"{kind} of {name}", found[name], (length,), False)
