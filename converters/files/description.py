"""The short TOML file that says how the module behind a checkpoint was built: one reader for all.

A state_dict does not hold everything. What a family's description may say is a dataclass, a
`Description` whose fields are made by the functions `text`, `whole`, `number`, `flag` and `times`
here; each is a key of the table [network]. The grammar of each family stands beside its importer.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.files import parse_toml, read_text
from lnn2loihi.network import elapsed_problem
from lnn2loihi.printable import kind_of_value

#: What stands for an elapsed time that comes with the samples.
IRREGULAR: Literal["irregular"] = "irregular"
Timespan = float | Literal["irregular"]
#: Largest description that is parsed, in bytes.
SIZE_LIMIT = 1 << 20
#: Largest number of inputs, units or outputs that a description may state.
SIZE_MAXIMUM = 1 << 24
#: Keys that stand last in messages.
_LAST = ("timespan", "state", "prefix", "readout", "name")


@dataclass(frozen=True)
class Key:
    """What the value of a key may be.

    Attributes:
        types: its types.
        what: what is expected, in messages.
        problem: what else is wrong with a value of that type; empty if nothing is.
        required: whether it must be there.
        missing: what to write where it is missing; None for "add <key> = ...".
        dotted: whether it is what keys of arrays begin with: a dot is added at its end.
    """

    types: tuple[type, ...]
    what: str
    problem: Callable[[str, Any], str]
    required: bool
    missing: str | None = None
    dotted: bool = False

    def problems(self, key: str, value: Any) -> list[str]:
        """What is wrong with the type or the range of a value."""
        # A bool is an int to Python, but not to TOML.
        if (isinstance(value, bool) and bool not in self.types) or not isinstance(
            value, self.types
        ):
            return [f"{key} is {kind_of_value(value)}, expected {self.what}"]
        found = self.problem(key, value)
        return [found] if found else []


def _field(key: Key, default: Any) -> Any:
    if key.required:
        return field(metadata={"key": key})
    return field(default=default, metadata={"key": key})


def text(
    words: tuple[str, ...] = (),
    *,
    default: str | None = None,
    required: bool = False,
    missing: str | None = None,
    dotted: bool = False,
) -> Any:
    """A key whose value is a string: one of `words`, if there are any; empty only where the default
    is.
    """

    def problem(key: str, value: str) -> str:
        if not value and default != "":
            return f"{key} is empty, expected a string"
        wrong = words and value not in words
        return f"{key} is {value!r:.60}; there are {', '.join(words)}" if wrong else ""

    return _field(Key((str,), "a string", problem, required, missing, dotted), default)


def whole(
    *,
    default: int | None = None,
    least: int = 1,
    most: int = SIZE_MAXIMUM,
    required: bool = False,
) -> Any:
    """A key whose value is a whole number."""

    def problem(key: str, value: int) -> str:
        if least <= value <= most:
            return ""
        if least <= value <= SIZE_MAXIMUM:
            return f"{key} is {value}; at most {most} are possible"
        return f"{key} is out of range, expected {wanted} from {least} to {most}"

    wanted = "a whole number"
    return _field(Key((int,), wanted, problem, required), default)


def number(*, default: float | None = None, required: bool = False) -> Any:
    """A key whose value is a number from 0 on."""

    def problem(key: str, value: float) -> str:
        if found := _infinite(key, value):
            return found
        return "" if value >= 0 else f"{key} is {value}; expected a number that is not negative"

    return _field(Key((int, float), "a number", problem, required), default)


def rate() -> Any:
    """A key whose value is a rate of dropout."""

    def problem(key: str, value: float) -> str:
        return "" if 0 <= value < 1 else f"{key} is {value}; a rate is from 0 up to, but not, 1"

    return _field(Key((int, float), "a number", problem, False), 0.0)


def _infinite(key: str, value: float) -> str:
    # False for NaN and infinity, and for whole numbers beyond the range of a float64.
    return "" if abs(value) <= sys.float_info.max else f"{key} is not a finite number"


def flag(*, default: bool | None = None, required: bool = False) -> Any:
    """A key whose value is true or false."""
    return _field(Key((bool,), "true or false", lambda key, value: "", required), default)


def texts() -> Any:
    """A key whose value is a list of strings, none of them empty."""
    wanted = "a list of strings"

    def problem(key: str, value: list[Any]) -> str:
        wrong = any(not isinstance(one, str) or not one for one in value)
        return f"{key} is {value!r:.60}, expected {wanted}" if wrong else ""

    return _field(Key((list,), wanted, problem, False), ())


def numbers_or_key(*, default: float) -> Any:
    """A key whose value is a number, a list of numbers, or the key of an array."""
    wanted = "a number, a list of numbers, or a key of the checkpoint"

    def problem(key: str, value: Any) -> str:
        if isinstance(value, str):
            return "" if value else f"{key} is empty, expected {wanted}"
        given = value if isinstance(value, list) else [value]
        for one in given:
            if isinstance(one, bool) or not isinstance(one, (int, float)):
                return f"{key} is {value!r:.60}, expected {wanted}"
            if found := _infinite(key, one):
                return found
        return "" if given else f"{key} is an empty list, expected {wanted}"

    return _field(Key((int, float, str, list), wanted, problem, False), default)


def times() -> Any:
    """The key `timespan`, of families whose units take the elapsed time."""
    wanted = f'a number or "{IRREGULAR}"'

    def problem(key: str, value: float | str) -> str:
        if isinstance(value, str):
            return "" if value == IRREGULAR else f"{key} is {value!r:.60}, expected {wanted}"
        return _infinite(key, value) or elapsed_problem(value) or ""

    return _field(Key((int, float, str), wanted, problem, False), None)


@dataclass(frozen=True, kw_only=True)
class Description:
    """How a module was built, from a TOML file or from the live module.

    Attributes:
        origin: who says so (a file name, "the module"), for messages.
        module: name of its class.
        checkpoint: path of the checkpoint, or None.
        timespan: elapsed time between two samples, or None where not stated.
        state: which of several states in the checkpoint is meant, or None.
        prefix: what stands before its keys, empty or ending in a dot.
        name: name of the network, or None.
        notes: what in the module has no part in inference, for the network's source.
    """

    #: The elapsed time where nobody states it; None where somebody has to.
    default_timespan: ClassVar[float | None] = 1.0
    #: What it is a description of, where known keys are listed; may be empty.
    known_as: ClassVar[str] = ""

    origin: str
    module: str = text(required=True)
    checkpoint: Path | None = text()
    timespan: Timespan | None = None
    state: str | None = text()
    prefix: str = text(default="", dotted=True)
    name: str | None = text()
    notes: tuple[str, ...] = ()

    @classmethod
    def keys(cls) -> dict[str, Key]:
        """The keys that such a description may have, in the order of messages."""
        fields = sorted(dataclasses.fields(cls), key=lambda one: one.name in _LAST)
        return {one.name: one.metadata["key"] for one in fields if "key" in one.metadata}

    @classmethod
    def translated(cls, values: dict[str, Any]) -> list[str]:
        """Puts values into the words of the family, in place; says where they contradict.

        Args:
            values: what a file says, as far as it is of the right types.
        """
        return []


D = TypeVar("D", bound=Description)


def description_of(
    path: Path,
    table: Mapping[str, Any],
    kind: type[D],
    others: Mapping[str, type[Description]],
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> D:
    """Checks what a file says.

    Args:
        path: the file.
        table: what `read_table` has read.
        kind: what it describes.
        others: other modules that this file could name, and their kinds, for hints at keys that
            only they have.
        elsewhere: keys that this table may not have though its kind has them, and why.

    Raises:
        ImportNetworkError: keys are missing, unknown, of a wrong type, out of range or contradict
            each other; all of them are listed.
    """
    problems = Problems(ImportNetworkError, str(path))
    keys = {name: key for name, key in kind.keys().items() if name not in elsewhere}
    for key in table:
        if key in elsewhere:
            problems.add(f"{key} {elsewhere[key]}")
        elif key not in keys:
            goes = next((m for m, other in others.items() if key in other.keys()), None)
            hint = f" (it goes with module = {goes!r})" if goes else ""
            known = f"{kind.known_as} known are" if kind.known_as else "known are"
            problems.add(f"unknown key {key!r}; {known} {', '.join(keys)}{hint}")
    sound: dict[str, Any] = {}
    for name, key in keys.items():
        if name not in table and key.required:
            advice = f" from [network]; add {name} = ..." if key.missing is None else key.missing
            problems.add(f"the key {name!r} is missing{advice}")
        elif name in table:
            found = key.problems(name, table[name])
            problems.extend(found)
            if not found:
                # Without its dot, the prefix "rnn" would also match "rnn_2."
                dot = "." if key.dotted and table[name] and table[name][-1] != "." else ""
                sound[name] = f"{table[name]}{dot}" if dot else table[name]
    problems.extend(kind.translated(sound))
    problems.raise_if_any()
    if "checkpoint" in sound:
        sound["checkpoint"] = path.parent / sound["checkpoint"]
    return kind(origin=path.name, **sound)


def read_table(path: Path) -> dict[str, Any]:
    """The table [network] of a TOML file.

    Raises:
        ImportNetworkError: the file is absent, too large or no such TOML, or the checkpoint that
            it names does not lie beside it.
    """
    content = parse_toml(
        read_text(path, ImportNetworkError, SIZE_LIMIT), str(path), ImportNetworkError
    )
    others = sorted(key for key in content if key != "network")
    if others or not isinstance(content.get("network"), dict):
        found = ", ".join(map(repr, content)) or "nothing"
        raise ImportNetworkError(
            str(path), f"it must hold one table [network] and nothing else; it holds {found:.200}"
        )
    table = content["network"]
    checkpoint = table.get("checkpoint")
    if isinstance(checkpoint, str) and Path(checkpoint).name != checkpoint:
        raise ImportNetworkError(
            str(path),
            f"checkpoint is {checkpoint!r:.200}, expected the name of a file beside the "
            "description, without a folder; copy or link it there, or give the checkpoint itself "
            "and the description apart (--description)",
        )
    return table


def description_beside(checkpoint: Path) -> Path:
    """Where the description of a checkpoint lies: its name with .toml in place of the suffix, or of
    both of an archive such as net.pth.tar.
    """
    if checkpoint.suffix.lower() == ".tar" and checkpoint.with_suffix("").suffix:
        checkpoint = checkpoint.with_suffix("")
    return checkpoint.with_suffix(".toml")


def checked_timespan(
    subject: str, given: Any, description: Description | None = None
) -> float | None:
    """The timespan of a network: a number, or None where it comes with the samples.

    Args:
        subject: what errors are about.
        given: argument of the caller, or None.
        description: what holds where the caller does not say; 1.0 without one.

    Raises:
        ImportNetworkError: it is neither a finite number from 0 on nor "irregular", or missing.
    """
    described = None if description is None else description.timespan
    chosen = described if given is None else given
    if chosen is None:
        default = 1.0 if description is None else description.default_timespan
        if description is not None and default is None:
            raise ImportNetworkError(
                subject,
                f"{description.module} has no timespan of its own: say which elapsed time it was "
                f'trained with, timespan = 1.0 or timespan = "{IRREGULAR}"',
            )
        return default
    if isinstance(chosen, str) and chosen == IRREGULAR:
        return None
    try:
        valid = isinstance(chosen, Real) and not isinstance(chosen, bool)
        value = float(chosen) if valid else math.nan
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ImportNetworkError(
            subject,
            f'timespan is not a finite number; give 1.0, for instance, or "{IRREGULAR}" where '
            "it comes with the samples",
        )
    if found := elapsed_problem(value):
        raise ImportNetworkError(subject, found)
    return value
