"""A target: how a program is prepared for a kind of hardware, and what is not proved about that.

A LoihiProgram proves itself when it is made, so every pass of a target proves what it has made;
that the prepared program answers as its source does is for `verify` to show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import isclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.defaults import DEFAULT_EXECUTORS
from lnn2loihi.errors import InputError, Lnn2LoihiError, TargetError
from lnn2loihi.faults import one_line
from lnn2loihi.printable import kind_of_value
from lnn2loihi.program import LoihiProgram
from lnn2loihi.registry import Registry
from lnn2loihi.showing import Shown

#: Names of populations that a refusal lists.
LISTED = 3
#: Makes a program of a program; its name stands in messages.
Pass = Callable[[LoihiProgram], LoihiProgram]


@runtime_checkable
class PlacementRule(Protocol):
    """A rule of a placement: a `lnn2loihi.placement.Rule`."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def ways(self) -> tuple[Any, ...]:
        """Changes that may help."""
        ...

    def violations(self, draft: Any) -> list[Any]:
        """All that it finds."""
        ...


@checks_fields(InputError)
@dataclass(frozen=True)
class Target(Shown):
    """What a program is prepared for.

    Attributes:
        name: its name.
        passes: functions that are called one after the other, each with the program that the one
            before has made. They may change populations, connections and updates a sample; input
            port, size, scale and offset of the answer stay.
        rules: each a `lnn2loihi.placement.Rule`, that a placement keeps in place of those of the
            device; None for those of the device.
        executor: name of the executor that stands for it: what `verify` compares with the
            reference where nobody names others.
        exporter: name of the exporter that is asked first where nobody names a format.
        unproved: what is not proved about it, a sentence each.
        exact: whether a prepared program answers bit for bit as its source does. Where it only
            answers about so, `verify` compares executors on the prepared program and says how far
            its answers are from those of the source.
        closer: where it is not exact: what brings answers closer to those of the source, a clause
            that stands behind a warning that they are far.
        prepared: whether a program is prepared for it already, whoever has done that: `prepare`
            leaves such a program as it is. None where passes find that out themselves.
        worded: makes the form of it that words after a colon of its name say, such as
            `stock:pre-6`; None for a target that takes no words.
    """

    name: str
    passes: tuple[Pass, ...] = ()
    rules: tuple[PlacementRule, ...] | None = None
    executor: str = DEFAULT_EXECUTORS[1]
    exporter: str = ""
    unproved: tuple[str, ...] = ()
    exact: bool = True
    worded: Callable[[str], Target] | None = None
    closer: str = ""
    prepared: Callable[[LoihiProgram], bool] | None = None

    def __post_init__(self) -> None:
        for name in ("passes", "unproved") + (("rules",) if self.rules is not None else ()):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, what in (("worded", "makes a Target of the words"),
                           ("prepared", "says whether a program is prepared")):  # fmt: skip
            if isclass(getattr(self, name)):
                raise InputError(name, f"it is a class; give a function that {what}")

    @checks_kinds()
    def prepare(self, program: LoihiProgram) -> LoihiProgram:
        """The program after all passes; the program itself where there are none, and where it is
        prepared already.

        Raises:
            TargetError: a pass raises, or makes what is no program of the same inputs and answers;
                names the target and the pass.
        """
        if self.prepared is not None and self.prepared(program):
            return program
        for one in self.passes:
            program = self._after(one, program)
        return program

    def _after(self, one: Pass, program: LoihiProgram) -> LoihiProgram:
        subject = f"target {self.name!r}, pass {_name(one)}"
        try:
            made: Any = one(program)
        except MemoryError:
            raise
        except Lnn2LoihiError as error:
            names = [p.name for p in program.populations]
            problems = [f"{error.subject}: {one}" for one in _folded(error.problems, names)]
            raise TargetError(subject, problems or error.subject) from error
        except Exception as error:  # whatever the code of a stranger raises
            said = one_line(error)
            raise TargetError(subject, f"cannot prepare {program.name!r}: raised {said}") from error
        if not isinstance(made, LoihiProgram):
            raise TargetError(
                subject,
                f"returned {kind_of_value(made)}; a pass returns the LoihiProgram that it makes",
            )
        problems = list(_changed(program, made))
        if problems:
            raise TargetError(subject, problems)
        return made


def far_warnings(target: Target, poor: str) -> tuple[str, ...]:
    """That what a target has prepared answers far from the program, with what to do.

    Args:
        target: the target.
        poor: how far, of `lnn2loihi.precision.poor_outputs_text`; empty where answers are close,
            and there is no warning.
    """
    helps = f"; {target.closer}" * bool(target.closer)
    found = f"target {target.name}: {poor}, against the program's answers{helps}"
    return (found,) * bool(poor)


def _folded(problems: Sequence[str], names: Sequence[str]) -> list[str]:
    """Problems that begin with the name of a population, and are the same after it, as one."""
    about: dict[tuple[bool, str], list[str]] = {}
    for problem in problems:
        name, colon, reason = problem.partition(": ")
        named = bool(colon) and name in names
        about.setdefault((named, reason if named else problem), []).append(name)
    return [
        f"{_listed(found)}: {reason}" if named else reason
        for (named, reason), found in about.items()
    ]


def _listed(names: Sequence[str]) -> str:
    """Names, of many the first ones and how many more."""
    if len(names) <= LISTED:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{', '.join(names[: LISTED - 1])} and {len(names) - LISTED + 1:,} more"


def _name(one: Pass) -> str:
    return getattr(one, "__name__", type(one).__qualname__)


def _changed(before: LoihiProgram, after: LoihiProgram) -> Iterator[str]:
    """What a pass has changed of the inputs and answers, which have to stay."""
    if after.input != before.input or after.timed != before.timed:
        yield "changes the input port; samples have to be encoded as before"
    old, new = before.output_population, after.output_population
    if old.size != new.size:
        yield f"makes {new.size} outputs of {old.size}"
    elif not (np.array_equal(old.scale, new.scale) and np.array_equal(old.offset, new.offset)):
        yield "changes scale or offset of the outputs; answers have to be decoded as before"


TARGETS: Registry[Target] = Registry("lnn2loihi.targets", "target", Target, factory=False)


def target_of(target: str | Target, argument: str = "target") -> Target:
    """The target of that name, under the name that it is registered with, in the form that words
    after a colon say; or the target itself; `argument` is what messages call it.

    Raises:
        InputError: there is none, or it cannot be loaded; names all that there are. Or a word is
            none of its own; names those that are.
    """
    if isinstance(target, Target):
        return target
    name, colon, words = target.partition(":")
    names = TARGETS.names()
    if name not in names:
        raise InputError(
            argument, f"{name!r:.60} does not exist; there are {', '.join(names) or 'none'}"
        )
    found = TARGETS.get(name)
    if colon:
        if found.worded is None:
            raise InputError(argument, f"{target!r:.60}: {name!r} takes no words after a colon")
        made: Any = found.worded(words)
        if not isinstance(made, Target):
            raise InputError(
                argument, f"{target!r:.60}: {name!r} made {kind_of_value(made)} of its "
                "words, and no Target",
            )  # fmt: skip
        found = made
    return found if found.name == target else replace(found, name=target)
