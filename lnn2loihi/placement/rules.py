"""The rules of a placement: tiny functions, each named after its limit. All violations count.

What is not public is no rule: `unchecked` says what the placement uses of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from lnn2loihi.arguments import checks_fields
from lnn2loihi.devices import device_tables
from lnn2loihi.errors import InputError, Lnn2LoihiError, PluginError
from lnn2loihi.formats import MESSAGE_BITS, WEIGHT_BITS
from lnn2loihi.graph.connection import LARGEST_DELAY
from lnn2loihi.placement.draft import CORE_LIMITS, Draft
from lnn2loihi.placement.line import INPUT
from lnn2loihi.printable import kind_of_value
from lnn2loihi.showing import Said, Shown
from lnn2loihi.targets import PlacementRule


@dataclass(frozen=True)
class Violation(Shown):
    """A limit that is exceeded.

    Attributes:
        rule: name of the rule.
        subject: what exceeds it: a population, a connection, a core, the program.
        has: what it has.
        limit: what it may have.
        whose: who sets the limit: the source of the figure.
        remedy: what would fit, found by trying; a sentence.
        unit: of both numbers; empty for counts.
        fits: the same as numbers: `weight_bits`, `units` and `inputs` (name -> size), `chips`,
            `interleave`, `devices`, `copies`.
        grade: how the limit is known, one of `lnn2loihi.devices.GRADES`; empty where no figure
            of a device is the limit.
    """

    rule: str
    subject: str
    has: float
    limit: float
    whose: str
    remedy: str = ""
    unit: str = ""
    fits: Mapping[str, Any] = field(default_factory=dict)
    grade: str = ""

    def _headline(self) -> str:
        return self.summary()

    def _shown(self) -> list[Said]:
        """One line: what has what, whose limit, and what would fit."""
        unit = f" {self.unit}" if self.unit else ""
        grade = f"; {self.grade}" if self.grade else ""
        return [
            f"{self.subject}: {self.rule.replace('_', ' ')}: {self.has:,.10g}{unit}, the limit is "
            f"{self.limit:,.10g}{unit} ({self.whose}{grade}). {self.remedy}"
        ]


Check = Callable[[Draft], Iterator[Violation]]
#: What would fit under a rule, in words and in numbers.
Remedy = Callable[[Draft, PlacementRule], "tuple[str, Mapping[str, Any]]"]


#: Changes of a program, or other devices, that are tried, see `lnn2loihi.placement.remedies`.
WayName = Literal["weight_bits", "interleave", "units", "inputs", "chips", "devices"]


@checks_fields(InputError)
@dataclass(frozen=True)
class Rule:
    """A rule, and which changes of a program may help.

    Attributes:
        check: the function, whose name is the rule's: from a draft its violations.
        ways: names of the changes that are tried where it is violated.
    """

    check: Check
    ways: tuple[WayName, ...] = ()

    @property
    def name(self) -> str:
        """Name of the rule; empty where its function has none."""
        return getattr(self.check, "__name__", "")

    def violations(self, draft: Draft) -> list[Violation]:
        """All that it finds.

        Raises:
            PluginError: its function fails, or finds what is no Violation.
        """
        try:
            found = list(self.check(draft))
            wrong = [one for one in found if not isinstance(one, Violation)]
            if not wrong:
                return found
            reason = f"finds {kind_of_value(wrong[0])}, which is no Violation"
        except Lnn2LoihiError:
            raise
        except Exception as error:  # a rule of a package
            reason = f"fails with {type(error).__name__}: {error}"
        module = getattr(self.check, "__module__", "an unknown module")
        raise PluginError(
            f"rule {self.name!r} of {module}", f"{reason:.300}; mend it, or remove its package"
        )


def programmable_neurons(draft: Draft) -> Iterator[Violation]:
    """Neurons run programs, which have a price."""
    name = "time_per_instruction"
    if draft.device.get(name) is None:
        longest = max(group.stored_instructions for group in draft.line.groups)
        why = draft.device.not_public.get(name, f"its profile has no {name}")
        yield Violation("programmable_neurons", draft.program.name, longest, 0, why,
                        unit="instructions")  # fmt: skip


def weight_bits(draft: Draft) -> Iterator[Violation]:
    """Weights have 1 to 8 bits."""
    for link in draft.line.links:
        if link.bits > WEIGHT_BITS:
            yield Violation("weight_bits", link.name, link.bits, WEIGHT_BITS,
                            "Loihi 2 technology brief (2021)", unit="bit")  # fmt: skip


def message_bits(draft: Draft) -> Iterator[Violation]:
    """Messages have at most 24 bits."""
    program = draft.program
    formats = {program.input.name: program.input.format}
    formats |= {p.name: p.message for p in program.populations}
    for name, message in formats.items():
        if message.bits > MESSAGE_BITS:
            yield Violation(
                "message_bits", name, message.bits, MESSAGE_BITS,
                "num_message_bits=24 of public Lava code",
                f"Quantize with a recipe of narrower messages, at most a{MESSAGE_BITS}.", "bit",
            )  # fmt: skip


def delay(draft: Draft) -> Iterator[Violation]:
    """Messages are delayed by at most 62 steps."""
    for c in draft.program.connections:
        if c.delay > LARGEST_DELAY:
            yield Violation(
                "delay", c.name, c.delay, LARGEST_DELAY, "max_delay of lava-dl's netx",
                f"Pass it on through populations in between: {c.delay - LARGEST_DELAY} steps are "
                "too many.", "steps",
            )  # fmt: skip


def state_per_neuron(draft: Draft) -> Iterator[Violation]:
    """Neurons have room for their state, in all its copies, and their parameters."""
    limit = draft.device.figure("state_per_neuron")
    for group in draft.line.groups:
        has = group.memory.state + group.memory.parameters
        if has > limit.value:
            yield Violation("state_per_neuron", group.name, has, limit.value, limit.source,
                            unit="B", grade=limit.grade)  # fmt: skip


def neurons_per_core(draft: Draft) -> Iterator[Violation]:
    """Cores have room for their neurons."""
    return _per_core(draft, "neurons_per_core")


def neuron_groups_per_core(draft: Draft) -> Iterator[Violation]:
    """Cores hold neurons of few enough populations."""
    return _per_core(draft, "neuron_groups_per_core")


def synaptic_memory_per_core(draft: Draft) -> Iterator[Violation]:
    """Cores have room for their synapses."""
    return _per_core(draft, "synaptic_memory_per_core")


def memory_per_core(draft: Draft) -> Iterator[Violation]:
    """Cores have room for everything."""
    return _per_core(draft, "memory_per_core")


def axons_in_per_core(draft: Draft) -> Iterator[Violation]:
    """Few enough axons reach a core, where the limit is public."""
    return _per_core(draft, "axons_in_per_core")


def axons_out_per_core(draft: Draft) -> Iterator[Violation]:
    """Few enough axons leave a core, where the limit is public."""
    return _per_core(draft, "axons_out_per_core")


def synapses_per_chip(draft: Draft) -> Iterator[Violation]:
    """Chips have room for the synapses of their cores."""
    limit = draft.device.get("synapses_per_chip")
    if limit is None:
        return
    synapses = np.bincount(draft.chip, weights=draft.usage["synapses"])
    worst = int(np.argmax(synapses))
    if synapses[worst] > limit.value:
        yield Violation("synapses_per_chip", f"chip {worst}", float(synapses[worst]), limit.value,
                        limit.source, grade=limit.grade)  # fmt: skip


def chips(draft: Draft) -> Iterator[Violation]:
    """There are enough chips."""
    needed, figure = draft.chips_needed, draft.device.figure("chips")
    if needed > draft.chips:
        asked = draft.chips < figure.value
        whose = "the chips that were asked for" if asked else figure.source
        grade = "" if asked else figure.grade
        cores = draft.device.count("cores_per_chip")
        subject = f"{draft.program.name} ({draft.cores:,} cores of {cores} a chip)"
        yield Violation("chips", subject, needed, draft.chips, whose, grade=grade)


def _per_core(draft: Draft, figure: str) -> Iterator[Violation]:
    limit = draft.device.get(figure)
    if limit is None:
        return
    name, unit = CORE_LIMITS[figure]
    used = draft.usage[name]
    over = np.flatnonzero(used > limit.value)
    by_subject: dict[str, list[int]] = {}
    for core in over:
        by_subject.setdefault(_subject(draft, int(core)), []).append(int(core))
    for subject, cores in by_subject.items():
        worst = max(cores, key=lambda core: used[core])
        text = f"{subject}, {len(cores)} of them, one on each core" if len(cores) > 1 else subject
        yield Violation(
            figure, text, float(used[worst]), limit.value, limit.source, unit=unit,
            grade=limit.grade,
        )  # fmt: skip


def _subject(draft: Draft, core: int) -> str:
    """What a core that is too full holds: a single neuron mostly, since others were cut smaller."""
    neurons = draft.cut.shares[core].neurons
    held = [draft.line.groups[place].name for place in np.flatnonzero(neurons)]
    return f"{'a neuron' if neurons.sum() == 1 else 'the neurons'} of {' and '.join(held)}"


def _accumulators(draft: Draft) -> str:
    most = max(group.accumulators for group in draft.line.groups)
    return f"up to {most} input accumulator{'s' if most > 1 else ''} a neuron"


#: Every rule of ours; the table of a kind of devices names those of it, in the order of reports.
RULES: tuple[Rule, ...] = (
    Rule(programmable_neurons, ("devices",)),
    Rule(weight_bits, ("weight_bits",)),
    Rule(message_bits, ()),
    Rule(delay, ()),
    Rule(state_per_neuron, ("interleave", "devices")),
    Rule(neurons_per_core, ("units", "devices")),
    Rule(neuron_groups_per_core, ("devices",)),
    Rule(synaptic_memory_per_core, ("units", "inputs", "devices")),
    Rule(memory_per_core, ("interleave", "units", "inputs", "devices")),
    Rule(axons_in_per_core, ("units", "inputs", "devices")),
    Rule(axons_out_per_core, ("units", "devices")),
    Rule(synapses_per_chip, ("units", "inputs", "devices")),
    Rule(chips, ("chips", "interleave", "units", "inputs", "devices")),
)

#: Limits of which some are not public, and what a placement uses of each.
_UNCHECKED: Mapping[str, Callable[[Draft], str]] = {
    "axons_in_per_core": lambda d: f"up to {d.usage['axons_in'].max():,} axons into a core",
    "axons_out_per_core": lambda d: f"up to {d.usage['axons_out'].max():,} axons out of a core",
    "fan_in_per_neuron": lambda d: f"up to {_fan_in(d):,} synapses on a neuron",
    "fan_out_per_neuron": lambda d: f"up to {_fan_out(d):,} synapses from a neuron",
    "accumulators_per_neuron": _accumulators,
    "program_memory_per_core": lambda d: (
        f"up to {d.usage['program_words'].max():,} instructions on a core, neuron programs: up to "
        f"{max(_programs(d))}"
    ),
}


def rules_of(kind: str) -> tuple[Rule, ...]:
    """Rules of a kind of devices, those that packages have added included; none of an unknown kind
    and of one that no programs are placed on.
    """
    ours, kinds = {rule.name: rule for rule in RULES}, device_tables().kinds
    named = kinds[kind].rules if kind in kinds else ()
    return tuple(ours[rule] if isinstance(rule, str) else rule for rule in named)


def violations(draft: Draft, rules: Sequence[PlacementRule], remedy: Remedy) -> list[Violation]:
    """Everything that is exceeded, each with what would fit."""
    found: list[Violation] = []
    for rule in rules:
        exceeded = rule.violations(draft)
        if exceeded and rule.ways:
            text, fits = remedy(draft, rule)
            exceeded = [replace(violation, remedy=text, fits=fits) for violation in exceeded]
        found += exceeded
    return found


def unchecked(draft: Draft, rules: Sequence[PlacementRule]) -> tuple[str, ...]:
    """Limits that the device's profile does not give or no rule looks at, with what is used."""
    device, ruled = draft.device, {rule.name for rule in rules}
    why = {
        name: device.not_public.get(name, "the profile gives no limit")
        if device.get(name) is None
        else f"the profile gives {device.figure(name)}, and there is no rule for it"
        for name in _UNCHECKED
        if device.get(name) is None or name not in ruled
    }
    return tuple(f"{_UNCHECKED[name](draft)}: {reason}" for name, reason in why.items())


def _fan_in(draft: Draft) -> int:
    return int(np.diff(draft.line.starts).max())


def _fan_out(draft: Draft) -> int:
    line = draft.line
    by_axon = np.bincount(line.axon, minlength=sum(link.size for link in line.links))
    totals: dict[int, Any] = {}
    for link in line.links:
        if link.source != INPUT:
            totals[link.source] = totals.get(link.source, 0) + by_axon[link.axons]
    return max((int(total.max()) for total in totals.values()), default=0)


def _programs(draft: Draft) -> list[int]:
    programs = np.array([group.program for group in draft.line.groups])
    return [len(set(programs[share.neurons > 0].tolist())) for share in draft.cut.shares]
