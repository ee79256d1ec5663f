"""Verifies, places and profiles the chip parts of a converted module, each on what it hears; host
parts are counted as host parts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.converted.chip import of_part
from lnn2loihi.converted.description import share_on_chip
from lnn2loihi.converted.pieces import HostPart
from lnn2loihi.converted.running import Passage, pass_through
from lnn2loihi.converted.structure import Given
from lnn2loihi.devices import Device
from lnn2loihi.errors import InputError, PlacementError
from lnn2loihi.options import check_options
from lnn2loihi.placement.placement import Placement
from lnn2loihi.placement.verb import place
from lnn2loihi.profiling import ProfileResult, profile
from lnn2loihi.profiling.answer import words_of
from lnn2loihi.quantization.state_words import encoded_states
from lnn2loihi.showing import Brief, Said, Shown, Table, headed
from lnn2loihi.tables import percent
from lnn2loihi.verification.verb import VerificationResult, verify

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule


@dataclass(frozen=True)
class ConvertedVerification(Shown):
    """What `ConvertedModule.verify` found.

    Attributes:
        parts: for each chip part the comparison of executors, on what it hears.
    """

    parts: Mapping[str, VerificationResult]

    @property
    def bit_exact(self) -> bool:
        """Whether all executors agree on every word of every part."""
        return all(result.bit_exact for result in self.parts.values())

    def _headline(self) -> str:
        verdict = "bit exact" if self.bit_exact else "DIFFERENT"
        return f"{verdict}, parts {', '.join(self.parts)}"

    def _shown(self) -> list[Said]:
        """The result as text."""
        lines: list[Said] = []
        for name, result in self.parts.items():
            lines += [*([""] if lines else []), *headed(f"part {name}: ", result._shown())]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values."""
        parts = {name: result.to_dict() for name, result in self.parts.items()}
        return {"bit_exact": self.bit_exact, "parts": parts}


@dataclass(frozen=True)
class HostCost(Brief):
    """What a host part costs.

    Attributes:
        part: its name.
        operators: what it consists of.
        multiply_adds: for the example that the module was converted with; None where not counted.
        parameters: numbers that were trained; None where not counted.
        reasons: why it is not on the chip.
    """

    part: str
    operators: tuple[str, ...]
    multiply_adds: int | None
    parameters: int | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ChipSteps(Brief):
    """How long a chip part takes for the sequences that were given, in chip steps.

    Attributes:
        part: its name.
        samples: samples of each sequence.
        latency: steps from a sample to its answer.
        period: steps between two samples.
        steps: of a sequence, from its first sample to its last answer.
        values_in, values_out: numbers that go to the chip for each sample, and come back.
        waits_for: name of the chip part that has to end before it begins; "" for none.
    """

    part: str
    samples: int
    latency: int
    period: int
    steps: int
    values_in: float
    values_out: float
    waits_for: str


@dataclass(frozen=True)
class ConvertedProfile(Shown):
    """What a converted module costs: chip parts by their profiles, host parts counted beside them
    and never added to them.

    Attributes:
        parts: for each chip part its profile.
        host: what the host parts are.
        chip_steps: for each chip part its steps.
        share_on_chip: of the multiply-adds of the example; None where not known.
        notes: what the user has to know, a sentence each.
    """

    parts: Mapping[str, ProfileResult]
    host: tuple[HostCost, ...]
    chip_steps: tuple[ChipSteps, ...]
    share_on_chip: float | None
    notes: tuple[str, ...]

    def _headline(self) -> str:
        titles = (f"{name}: {result.answer.title}" for name, result in self.parts.items())
        return f"{len(self.host)} host parts; {'; '.join(titles)}"

    def _shown(self) -> list[Said]:
        """All of it as text."""
        lines: list[Said] = []
        for name, result in self.parts.items():
            lines += [f"chip part {name}", *result._shown(), ""]
        lines += [
            "steps of the chip for each sequence",
            Table(
                ("part", "samples", "first answer after", "steps a sample", "steps in all",
                 "values in, a sample", "values out", "waits for"),
                [(s.part, s.samples, s.latency, s.period, s.steps, s.values_in, s.values_out,
                  s.waits_for or None) for s in self.chip_steps],
            ),
        ]  # fmt: skip
        if self.host:
            rows = [
                (h.part, ", ".join(dict.fromkeys(h.operators)), h.multiply_adds, h.parameters)
                for h in self.host
            ]
            headers = ("host part", "consists of", "multiply-adds of the example", "parameters")
            lines += ["", Table(headers, rows)]
        if self.share_on_chip is not None:
            lines.append(f"on the chip: {percent(self.share_on_chip)} of all multiply-adds")
        return [*lines, *(f"note: {note}" for note in self.notes)]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "parts": {
                name: {**result.to_dict(), **words_of(result)}
                for name, result in self.parts.items()
            },
            "host": [
                {**vars(h), "operators": list(h.operators), "reasons": list(h.reasons)}
                for h in self.host
            ],
            "chip_steps": [dict(vars(s)) for s in self.chip_steps],
            "share_on_chip": self.share_on_chip,
            "notes": list(self.notes),
        }


def verified(
    converted: ConvertedModule, given: Given, executors: Any, options: Mapping[str, Any]
) -> ConvertedVerification:
    """See `ConvertedModule.verify`."""
    passage = pass_through(converted, given)
    found: dict[str, VerificationResult] = {}
    for part in converted.chip_parts:
        heard, program = passage.heard[part.name], part.quantized()
        start = encoded_states(part.words, program, heard.states)[0]
        with of_part(part):
            found[part.name] = verify(
                program, heard.x, executors, timespans=heard.timespans, initial_state=start,
                **options,
            )  # fmt: skip
    return ConvertedVerification(found)


def placed(
    converted: ConvertedModule, device: str | os.PathLike[str] | Device, options: Mapping[str, Any]
) -> dict[str, Placement]:
    """See `ConvertedModule.place`."""
    check_options(place, options, InputError)
    found: dict[str, Placement] = {}
    violations: list[Any] = []
    for part in converted.chip_parts:
        try:
            found[part.name] = place(part.quantized(), device, **options)
        except PlacementError as error:
            violations += error.violations
    if violations:
        raise PlacementError(f"module {converted.name!r}", violations)
    return found


def profiled(
    converted: ConvertedModule, given: Given, options: Mapping[str, Any]
) -> ConvertedProfile:
    """See `ConvertedModule.profile`."""
    check_options(profile, options, InputError)
    passage = pass_through(converted, given)
    found: dict[str, ProfileResult] = {}
    for part in converted.chip_parts:
        heard = passage.heard[part.name]
        with of_part(part):
            found[part.name] = profile(
                part.quantized(), heard.x, timespans=heard.timespans, network=part.network,
                **options,
            )  # fmt: skip
    steps = _chip_steps(converted, passage)
    notes = [
        f"part {part.name!r} was counted from states of zero, and begins with others"
        for part in converted.chip_parts
        if part.initial
    ]
    notes += _waiting_notes(steps)
    if converted.host_parts:
        notes.append("time and energy of host parts are not estimated, and are in no figure")
    host = tuple(
        HostCost(p.name, p.operators, p.multiply_adds, parameters_of(p), p.reasons)
        for p in converted.host_parts
    )
    return ConvertedProfile(found, host, steps, share_on_chip(converted), tuple(notes))


def parameters_of(part: HostPart) -> int | None:
    """Numbers of a host part that were trained; None where nobody counted them."""
    module: Any = getattr(part.function, "module", None)
    if part.parameters is not None or module is None:
        return part.parameters
    return sum(int(one.numel()) for one in module.parameters())


def _chip_steps(converted: ConvertedModule, passage: Passage) -> tuple[ChipSteps, ...]:
    found: list[ChipSteps] = []
    depends = _chip_parts_before(converted)
    for part in converted.chip_parts:
        program = part.quantized()
        batch, time = passage.heard[part.name].x.shape[:2]
        total = program.latency_steps + (time - 1) * program.steps_per_sample
        inward, outward = (
            sum(int(np.size(passage.values[name])) for name in names) / (batch * time)
            for names in (part.takes, part.answers)
        )
        before = [one.part for one in found if one.part in depends[part.name]]
        found.append(
            ChipSteps(part.name, time, program.latency_steps, program.steps_per_sample, total,
                      inward, outward, before[-1] if before else "")
        )  # fmt: skip
    return tuple(found)


def _chip_parts_before(converted: ConvertedModule) -> dict[str, set[str]]:
    """For each chip part those whose answers it depends on, directly or through host parts."""
    made: dict[str, set[str]] = {}
    found: dict[str, set[str]] = {}
    for part in converted.parts:
        before = {name for value in part.takes for name in made.get(value, ())}
        found[part.name] = before
        own = before if isinstance(part, HostPart) else {*before, part.name}
        made |= dict.fromkeys(part.answers, own)
    return found


def _waiting_notes(steps: tuple[ChipSteps, ...]) -> list[str]:
    by_name = {one.part: one for one in steps}
    found: list[str] = []
    for one in steps:
        if one.waits_for:
            before = by_name[one.waits_for]
            found.append(
                f"part {one.part!r} begins when {before.part!r} has answered its last sample and "
                f"the host is done: a sequence takes {before.steps:,} + {one.steps:,} chip steps "
                "one after the other, and what the host takes between them"
            )
    return found
