"""What several targets make of a program, side by side, and what of that is proved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lnn2loihi.defaults import ALL, DEFAULT_TARGET
from lnn2loihi.errors import TargetError
from lnn2loihi.neurons.stock import are_stock
from lnn2loihi.program import LoihiProgram
from lnn2loihi.tables import paragraph, text_table
from lnn2loihi.targets.stock.target import UNPROVED
from lnn2loihi.targets.target import TARGETS, Target, target_of

#: Columns of `Beside.cells`.
HEADERS = ("target", "neurons", "synapses", "accumulators a neuron", "steps a sample",
           "answer after")  # fmt: skip
#: Columns of `Claims.cells`.
CLAIMS = ("target", "no word overflows", "integers", "Lava's own process models run it",
          "on a board")  # fmt: skip


@dataclass(frozen=True)
class Claims:
    """What is known of a program that a target has prepared, and how.

    Attributes:
        target: its name.
        exact: whether its integers are those of the program as it is.
        stock: whether all its neurons are those of Lava's own processes.
        compared, differ: values of answers that were compared with those of the program as it is,
            and those that differ; 0 where nothing ran.
        unproved: what is not proved about the target, a sentence each.
        prepared: whether it could prepare the program at all.
        unchanged: whether it left the program as it is.
        executor: what ran it, where answers were compared.
    """

    target: str
    exact: bool
    stock: bool
    compared: int = 0
    differ: int = 0
    unproved: tuple[str, ...] = ()
    prepared: bool = True
    unchanged: bool = False
    executor: str = ""

    def cells(self) -> tuple[str | None, ...]:
        """A row under CLAIMS."""
        if not self.prepared:
            return (self.target, *(None,) * (len(CLAIMS) - 1))
        return (
            self.target,
            "proved, for all inputs",
            self._integers(),
            "yes: an oracle that is not ours" if self.stock else "no: neuron programs of ours",
            "no microcode to write" if self.stock else "microcode of your own",
        )

    def _integers(self) -> str:
        if self.unchanged:
            return "the program as it is"
        if not self.exact:
            return "close, not equal"
        if not self.compared:
            return "equal; nothing ran here"
        if self.differ:
            return f"NOT EQUAL: {self.differ:,} of {self.compared:,}"
        # Of its name the version is left out.
        by = f" by {self.executor.partition(' (')[0]}" if self.executor else ""
        return f"equal, checked on {self.compared:,}{by}"


@dataclass(frozen=True)
class Beside:
    """What one of them makes of it.

    Attributes:
        target: the target.
        program: what it makes; None where it cannot.
        refusal: why not; empty where it can.
        unchanged: whether that is the program itself.
    """

    target: Target
    program: LoihiProgram | None
    refusal: str = ""
    unchanged: bool = False

    @property
    def accumulators(self) -> int:
        """Physical accumulators of a neuron, the most; 0 where there is no program."""
        populations = () if self.program is None else self.program.populations
        return max((p.turns.width for p in populations), default=0)

    @property
    def stock(self) -> bool:
        """Whether all neurons are those of Lava's own processes, so that no microcode is needed."""
        made = self.program
        return made is not None and are_stock(p.program for p in made.populations)

    @property
    def claims(self) -> Claims:
        """What is known of it without running it."""
        aim = self.target
        return Claims(
            aim.name, aim.exact, self.stock, unproved=not_proved(aim, self.program),
            prepared=self.program is not None, unchanged=self.unchanged,
        )  # fmt: skip

    def cells(self) -> tuple[Any, ...]:
        """A row under HEADERS."""
        if self.program is None:
            return (self.target.name, *(None,) * (len(HEADERS) - 1))
        made = self.program
        return (
            self.target.name, made.neurons, made.synapses, self.accumulators,
            made.steps_per_sample, made.latency_steps,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data for JSON, with what is not proved about the target."""
        names = [header.replace(" ", "_") for header in HEADERS]
        return {
            **dict(zip(names, self.cells(), strict=True)),
            "exact": self.target.exact,
            "lava_processes": self.stock,
            "refusal": self.refusal,
            "unproved": list(self.target.unproved),
        }


def names_of(targets: Iterable[str]) -> list[str]:
    """Each name once; ALL among them stands for all that are registered, the default first."""
    found = dict.fromkeys(targets)
    if ALL in found and ALL not in TARGETS.names():
        every = sorted(TARGETS.names(), key=lambda name: name != DEFAULT_TARGET)
        found = dict.fromkeys([*(name for name in found if name != ALL), *every])
    return list(found)


def beside(program: LoihiProgram, targets: Sequence[str | Target]) -> list[Beside]:
    """What each target makes of a program.

    Raises:
        InputError: a target does not exist, or cannot be loaded.
    """
    found = []
    for one in targets:
        aim = target_of(one)
        try:
            made = aim.prepare(program)
            found.append(Beside(aim, made, unchanged=made is program))
        except TargetError as error:
            found.append(Beside(aim, None, _said(error.problems)))
    return found


def _said(problems: Sequence[str]) -> str:
    """Problems as one text; what all are about, such as the program, is named once."""
    about = {problem.partition(": ")[0] for problem in problems}
    if len(problems) > 1 and len(about) == 1:
        (head,) = about
        problems = [problems[0], *(one.removeprefix(f"{head}: ") for one in problems[1:])]
    return "; ".join(problems)


def not_proved(target: Target, program: LoihiProgram | None) -> tuple[str, ...]:
    """What is not proved about a target and what it has prepared, a sentence each: of Lava's own
    processes also what the target `stock` says, whatever has made the program.
    """
    if program is None or not are_stock(p.program for p in program.populations):
        return target.unproved
    # The default one speaks of neuron programs, of which there are none.
    own = () if target.name == DEFAULT_TARGET else target.unproved
    return tuple(dict.fromkeys((*own, *UNPROVED)))


def unproved_of(claims: Sequence[Claims]) -> list[tuple[str, str]]:
    """What is not proved, each sentence once, with the targets that it is about."""
    said: dict[str, list[str]] = {}
    for one in claims:
        for sentence in one.unproved if one.prepared else ():
            said.setdefault(sentence, []).append(one.target)
    return [(", ".join(names), sentence) for sentence, names in said.items()]


def claims_text(claims: Sequence[Claims], refusals: Sequence[tuple[str, str]]) -> str:
    """What is proved and what is not as text, and why targets take no such program."""
    known = [one.cells() for one in claims if one.prepared]
    lines = [paragraph(f"target {name}: ", why) for name, why in refusals if why]
    lines += ["", text_table(CLAIMS, known)] if known else []
    unproved = unproved_of(claims)
    lines += ["", "Not proved on silicon:"] if unproved else []
    lines += [paragraph(f"  {names}: ", sentence) for names, sentence in unproved]
    return "\n".join(lines).strip("\n")
