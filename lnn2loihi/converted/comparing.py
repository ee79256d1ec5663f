"""Compares a converted module with the one that it was made of: end to end, and part by part."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.arrays import as_array
from lnn2loihi.comparison import ComparisonResult, compared_run
from lnn2loihi.converted.chip import ChipRun
from lnn2loihi.converted.pieces import AnyArray, ChipPart, HostPart
from lnn2loihi.converted.running import Passage, pass_through
from lnn2loihi.converted.structure import Given, places, tensors_at, with_tensors
from lnn2loihi.errors import InputError
from lnn2loihi.faults import described
from lnn2loihi.precision import precision_of, worst_text
from lnn2loihi.sequences import sequences
from lnn2loihi.showing import Brief, Said, Shown, Table, headed
from lnn2loihi.simulation import encode
from lnn2loihi.tables import decibel, percent

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

#: Share of its spread that an output may be off before it is named in a warning.
LARGEST_SHARE = 0.02


@dataclass(frozen=True)
class OutputError(Brief):
    """Difference of one tensor.

    Attributes:
        name: of the value, or where it stands in the answer: "answer[0]".
        shape: its shape.
        spread: largest true value less the smallest.
        rms: root of the mean squared difference.
        largest: largest difference.
        share: largest difference over the spread; None where all true values are one.
        signal_to_noise_db: variance over mean squared difference in decibels, around the mean of
            each unit, units along the last axis; None where either is zero.
        worst_db, worst_unit: the same of the unit with the least, and which one that is.
    """

    name: str
    shape: tuple[int, ...]
    spread: float
    rms: float
    largest: float
    share: float | None
    signal_to_noise_db: float | None
    worst_db: float | None
    worst_unit: int | None


@dataclass(frozen=True)
class PartErrors(Brief):
    """Differences of what a part answers between integers and floats, from the inputs on.

    Attributes:
        part: its name.
        on_host: whether it is a host part, which only passes on the error of what it takes.
        outputs: of its values.
    """

    part: str
    on_host: bool
    outputs: tuple[OutputError, ...]


@dataclass(frozen=True)
class ConvertedComparison(Shown):
    """What `ConvertedModule.compare` found.

    Attributes:
        answer: every tensor of the answer against what `against` says.
        against: "module" for the live module, "float parts" for the float networks in its place.
        float_answer: the same with the float networks in place of programs, against the live
            module; nothing where there is none.
        parts: what each part answers, integers against floats, in order.
        stages: for each chip part the comparison of its program with its network, stage by stage,
            on what it really hears; nothing of that is passed on from parts before it.
        saturated_states: for each chip part and initial state how many values no word holds.
        warnings: outputs that are off by more than LARGEST_SHARE of their spread, a sentence each.
    """

    answer: tuple[OutputError, ...]
    against: str
    float_answer: tuple[OutputError, ...]
    parts: tuple[PartErrors, ...]
    stages: Mapping[str, ComparisonResult]
    saturated_states: Mapping[str, Mapping[str, int]]
    warnings: tuple[str, ...]

    @property
    def largest_share(self) -> float | None:
        """Largest difference of an output over its spread; None where no output moves."""
        return max((e.share for e in self.answer if e.share is not None), default=None)

    def _headline(self) -> str:
        share = self.largest_share
        off = "unknown" if share is None else f"{percent(share)} of its spread"
        return f"{len(self.parts)} parts, answer off by at most {off}, against {self.against}"

    def _shown(self) -> list[Said]:
        """The result as text."""
        floats = {error.name: error for error in self.float_answer}
        rows = [
            (*_cells(e), _share(floats[e.name]) if e.name in floats else None) for e in self.answer
        ]
        lines: list[Said] = [
            f"answer in integers against the {self.against}",
            Table(("output", *_HEADERS, "float parts, of spread"), rows),
            "",
            "part by part, integers against floats from the inputs on; host parts pass on what "
            "they are given",
            Table(
                ("part", "on", "value", *_HEADERS),
                [
                    (part.part, "host" if part.on_host else "chip", *_cells(error))
                    for part in self.parts
                    for error in part.outputs
                ],
            ),
        ]
        for name, result in self.stages.items():
            states = self.saturated_states.get(name, {})
            lines += ["", *headed(f"chip part {name} on what it hears: ", result._shown())]
            lines += [f"initial state {s}: {n:,} saturated" for s, n in states.items()]
        return [*lines, *(f"warning: {warning}" for warning in self.warnings)]

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values."""

        def listed(errors: tuple[OutputError, ...]) -> list[dict[str, Any]]:
            return [{**vars(error), "shape": list(error.shape)} for error in errors]

        return {
            "answer": listed(self.answer),
            "against": self.against,
            "float_answer": listed(self.float_answer),
            "parts": [
                {"part": p.part, "on_host": p.on_host, "outputs": listed(p.outputs)}
                for p in self.parts
            ],
            "stages": {name: result.to_dict() for name, result in self.stages.items()},
            "saturated_states": {n: dict(found) for n, found in self.saturated_states.items()},
            "warnings": list(self.warnings),
        }


_HEADERS = ("shape", "spread", "rms", "largest", "of spread", "signal/noise", "worst unit")


def _share(error: OutputError) -> str | None:
    return None if error.share is None else percent(error.share)


def _cells(error: OutputError) -> tuple[object, ...]:
    return (
        error.name, "x".join(map(str, error.shape)) or "number", error.spread, error.rms,
        error.largest, _share(error), decibel(error.signal_to_noise_db),
        worst_text(error.worst_db, error.worst_unit),
    )  # fmt: skip


def output_error(name: str, truth: AnyArray, found: AnyArray) -> OutputError:
    """How far a tensor is off.

    Raises:
        InputError: both have different shapes.
    """
    if truth.shape != found.shape:
        raise InputError(name, f"has shape {found.shape}, expected {truth.shape}")
    true, other = np.asarray(truth, np.float64), np.asarray(found, np.float64)
    if not true.size:
        return OutputError(name, true.shape, 0.0, 0.0, 0.0, None, None, None, None)
    difference = np.abs(other - true)
    spread, largest = float(np.ptp(true)), float(difference.max())
    precision = precision_of(np.atleast_2d(true), np.atleast_2d(other))
    return OutputError(
        name=name,
        shape=true.shape,
        spread=spread,
        rms=float(np.sqrt(np.mean(difference**2))),
        largest=largest,
        share=largest / spread if spread > 0.0 else None,
        signal_to_noise_db=precision.overall_db,
        worst_db=precision.worst_db,
        worst_unit=precision.worst_unit,
    )


def comparison(
    converted: ConvertedModule, given: Given, module: Any, executor: str
) -> ConvertedComparison:
    """See `ConvertedModule.compare`."""
    integers = pass_through(converted, given, executor, return_states=True)
    floats = pass_through(converted, given, executor=None)
    named = list(places(converted.answer, "answer"))
    own = {place: integers.values[name] for place, name in named}
    plain = {place: floats.values[name] for place, name in named}
    live = {} if module is None else live_answers(converted, [given], module)[0]
    truth = live or plain
    answer = tuple(output_error(place, truth[place], own[place]) for place in own)
    stages = {part.name: _stages(part, integers.runs[part.name]) for part in converted.chip_parts}
    saturated = {n: run.saturated_states for n, run in integers.runs.items()}
    parts = tuple(_part_errors(converted, floats, integers))
    return ConvertedComparison(
        answer=answer,
        against="module" if live else "float parts",
        float_answer=tuple(output_error(place, live[place], plain[place]) for place in live),
        parts=parts,
        stages=stages,
        saturated_states={n: dict(found) for n, found in saturated.items() if found},
        warnings=tuple(_warnings(answer, stages)),
    )


def _part_errors(
    converted: ConvertedModule, floats: Passage, integers: Passage
) -> list[PartErrors]:
    return [
        PartErrors(
            part.name,
            isinstance(part, HostPart),
            tuple(
                output_error(name, floats.values[name], integers.values[name])
                for name in part.answers
            ),
        )
        for part in converted.parts
    ]


def _stages(part: ChipPart, run: ChipRun) -> ComparisonResult:
    """The program against its network, on what the part heard."""
    program, network, heard = part.quantized(), part.float_network(), run.heard
    subject = f"part {part.name!r}"
    data = sequences(
        heard.x, network.input_size, subject, timespans=heard.timespans, irregular=network.irregular
    ).floats(subject)
    truth = network.evaluate(data.x, heard.states, timespans=data.timespans)
    decoded = program.input.decode(encode(program, heard.x, heard.timespans)[0])
    return compared_run(program, data, decoded, truth, run.result)


def live_answers(
    converted: ConvertedModule, calls: Sequence[Given], module: Any
) -> list[dict[str, AnyArray]]:
    """What the live module answers to calls one after the other: a copy of it, in evaluation.

    Raises:
        InputError: it cannot be called so, or answers in another structure.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        raise InputError("module", "is compared with PyTorch, which nobody has imported")
    if isinstance(module, type) or not callable(module):
        raise InputError("module", f"is {module!r:.60}; give the live module, or None")
    owner = getattr(module, "__self__", module)
    own: Any = module
    if isinstance(owner, torch.nn.Module):
        copied = _copied(owner).eval()
        own = copied if owner is module else getattr(copied, module.__name__)
    dtypes = {one.name: one.dtype for one in converted.inputs}
    answers: list[dict[str, AnyArray]] = []
    for given in calls:

        def tensor(name: str, values: Mapping[str, AnyArray] = given.values) -> Any:
            return torch.from_numpy(np.array(values[name], dtypes[name]))

        args, keywords = with_tensors(converted.arguments, tensor)
        try:
            with torch.no_grad():
                answered = own(*args, **keywords)
        except Exception as error:  # whatever the module raises
            raise InputError("module", f"cannot be called: {described(error)}") from error
        found = tensors_at(converted.answer, answered, "answer")
        answers.append({place: as_array(value, "module", place) for place, value in found})
    return answers


def _copied(module: Any) -> Any:
    """A copy of a live module. What an earlier call left in an attribute of it comes without the
    graph of its gradients, with which PyTorch copies no tensor.
    """
    memo: dict[int, Any] = {}
    held = [value for part in module.modules() for value in vars(part).values()]
    seen: set[int] = set()
    while held:
        value = held.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if getattr(value, "grad_fn", None) is not None:
            memo[id(value)] = value.detach().clone()
        elif isinstance(value, Mapping):
            held += value.values()
        elif isinstance(value, (tuple, list)):
            held += value
    return copy.deepcopy(module, memo)


def _warnings(answer: tuple[OutputError, ...], stages: Mapping[str, ComparisonResult]) -> list[str]:
    found: list[str] = []
    for error in answer:
        if error.share is not None and error.share <= LARGEST_SHARE:
            continue
        if error.share is None and error.largest == 0.0:
            continue
        of = "moves nowhere on these inputs" if error.share is None else (
            f"is off by up to {percent(error.share)} of its spread ({error.spread:.3g})"
        )  # fmt: skip
        causes = [
            f"part {name!r} answers with {decibel(result.output.signal_to_noise_db) or 'nothing'} "
            f"signal to noise, {result.saturated:,} of its input values saturated"
            for name, result in stages.items()
        ]
        found.append(
            f"{error.name} {of}; {'; '.join(causes)}. Calibrate with inputs like these, or take "
            "wider messages (recipe w8a16)"
        )
    return found
