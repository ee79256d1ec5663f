"""Runs a converted module part by part: in integers, or with the float networks in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.converted.chip import ChipRun, Heard, run_float, run_integers
from lnn2loihi.converted.pieces import AnyArray, HostPart
from lnn2loihi.converted.structure import Given, given_arguments, with_tensors
from lnn2loihi.errors import InputError, Lnn2LoihiError
from lnn2loihi.faults import described
from lnn2loihi.showing import Brief, Said, Shown
from lnn2loihi.simulation.result import SimulationResult, saturation_text
from lnn2loihi.tables import counted

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule


@dataclass(frozen=True, eq=False)
class ConvertedResult(Shown):
    """What a run of a converted module answers.

    Attributes:
        answer: what the module answers, in its structure.
        parts: for each chip part what its program answered.
        saturated_states: for each chip part and initial state how many of its values no word
            holds; only those that there are.
        notes: what the user has to know, a sentence each.
    """

    answer: Any
    parts: Mapping[str, SimulationResult]
    saturated_states: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def saturated_inputs(self) -> int:
        """Input values of all chip parts that were outside the calibrated range."""
        return sum(result.saturated_inputs for result in self.parts.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What chip parts were given that does not fit them: inputs outside the range that they
        were calibrated for, and initial states that no word holds, a sentence each.
        """
        clipped = {name: result.clipped_inputs for name, result in self.parts.items()}
        found = [f"{name}: {text}" for name, text in clipped.items() if text]
        found += [
            f"{part}: {count:,} values of the initial state {name} are beyond what its words hold, "
            "and were clipped"
            for part, states in self.saturated_states.items()
            for name, count in states.items()
        ]
        return tuple(found)

    def _headline(self) -> str:
        return f"parts {', '.join(self.parts)}; {self.saturated_inputs:,} inputs clipped"

    def _shown(self) -> list[Said]:
        """What was lost on the way, as text: a line for each chip part."""
        lines: list[Said] = []
        for name, result in self.parts.items():
            batch, time = result.integers.shape[:2]
            states = self.saturated_states.get(name, {})
            listed = "".join(f"; initial state {s}: {n:,} saturated" for s, n in states.items())
            lines.append(
                f"{name}: {counted(batch, 'sequence')} of {counted(time, 'sample')}; "
                f"{result.saturated_inputs:,} of {result.input_values:,} input values outside the "
                "calibrated range; "
                f"{saturation_text(result.saturations)}{listed}; {result.executor}"
            )
        lines += [f"warning: {warning}" for warning in self.warnings]
        return [*lines, *(f"note: {note}" for note in self.notes)]


@dataclass(frozen=True, eq=False)
class Passage(Brief):
    """All values of a run.

    Attributes:
        values: by name.
        sizes: BATCH and TIME of the inputs of the module.
        heard: what each chip part was given.
        runs: for each chip part its run; nothing where float networks stood in their place.
        states: for each chip part what it ended with: all words of its populations, or the states
            of the float network.
    """

    values: dict[str, AnyArray]
    sizes: dict[str, int]
    heard: dict[str, Heard]
    runs: dict[str, ChipRun]
    states: dict[str, Mapping[str, Any]]


def given_to(converted: ConvertedModule, args: Sequence[Any], keywords: Mapping[str, Any]) -> Given:
    """Arguments of a call, checked; see `given_arguments`."""
    subject = f"module {converted.name!r}"
    return given_arguments(subject, converted.inputs, converted.arguments, args, keywords)


def given_example(converted: ConvertedModule) -> Given:
    """The arguments of the example.

    Raises:
        InputError: it was too large to be saved.
    """
    missing = [one.name for one in converted.inputs if one.name not in converted.example]
    if missing:
        raise InputError(
            f"module {converted.name!r}",
            f"its example was left out when it was saved ({', '.join(missing)}); give arguments",
        )
    args, keywords = with_tensors(converted.arguments, converted.example.__getitem__)
    return given_to(converted, args, keywords)


def pass_through(
    converted: ConvertedModule,
    given: Given,
    executor: str | None = "auto",
    return_states: bool = False,
    carried: Mapping[str, Mapping[str, Any]] | None = None,
) -> Passage:
    """Runs the parts one after the other.

    Args:
        converted: the module.
        given: arguments.
        executor: who runs the programs; None for the float networks in their place.
        return_states: whether results hold every state of every step.
        carried: for each chip part that does not begin anew the states of it that an earlier
            passage ended with.

    Raises:
        InputError: a value does not fit a part, or a host part fails.
    """
    values: dict[str, AnyArray] = {**converted.constants, **given.values}
    found = Passage(values, given.sizes, {}, {}, {})
    begun = carried or {}
    for part in converted.parts:
        if isinstance(part, HostPart):
            values |= run_host(part, values)
        elif executor is None:
            told = run_float(part, values, given.sizes, begun.get(part.name))
            found.heard[part.name], found.states[part.name] = told.heard, told.states
            values |= _as_single(told.values)
        else:
            run = run_integers(
                part, values, given.sizes, executor, return_states, begun.get(part.name)
            )
            found.heard[part.name], found.runs[part.name] = run.heard, run
            found.states[part.name] = run.result.final_state
            values |= _as_single(run.values)
    return found


def run_host(part: HostPart, values: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The values that a host part answers.

    Raises:
        InputError: it fails, or answers another number of values.
        BackendMissingError: what runs it is not installed.
    """
    try:
        answered = part.function([values[name] for name in part.inputs])
    except (Lnn2LoihiError, MemoryError):
        raise
    except Exception as error:  # whatever the module's own code raises
        shapes = ", ".join(f"{name} {np.shape(values[name])}" for name in part.inputs)
        raise InputError(
            f"host part {part.name!r}", f"fails with {shapes or 'no inputs'}: {described(error)}"
        ) from error
    if len(answered) != len(part.outputs):
        raise InputError(
            f"host part {part.name!r}",
            f"answers {len(answered)} values, expected {len(part.outputs)}: "
            f"{', '.join(part.outputs)}",
        )
    return dict(zip(part.outputs, map(np.asarray, answered), strict=True))


def result_of(converted: ConvertedModule, passage: Passage, given: Given) -> ConvertedResult:
    """The answer of a passage in integers, with what was lost on the way."""
    states = {name: run.saturated_states for name, run in passage.runs.items()}
    return ConvertedResult(
        answer_of(converted, passage, given),
        {name: run.result for name, run in passage.runs.items()},
        {name: found for name, found in states.items() if found},
        converted.notes,
    )


def answer_of(converted: ConvertedModule, passage: Passage, given: Given) -> Any:
    """What the module answers, as tensors where it was given some."""
    convert = given.as_tensor or _as_array

    def value(name: str) -> Any:
        return convert(passage.values[name], converted.types.get(name))

    return with_tensors(converted.answer, value, passage.sizes)


def _as_array(array: AnyArray, kind: str | None) -> AnyArray:
    """An array of its own, in a type that NumPy has."""
    return np.array(array, None if kind in (None, "bfloat16") else kind)


def _as_single(values: Mapping[str, Any]) -> dict[str, AnyArray]:
    """Decoded answers of the chip in float32, which modules and host parts compute in."""
    return {name: np.array(array, np.float32) for name, array in values.items()}
