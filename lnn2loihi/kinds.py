"""What an argument may be, made of the annotation that says so, and what to give instead.

The functions of the library refuse what does not fit through `lnn2loihi.arguments`.
"""

from __future__ import annotations

import os
import reprlib
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import numpy as np

from lnn2loihi.printable import with_article

#: What to give, by name of the kind: this module knows none of them.
_WANTED = {
    "Connection": "a Connection: Connection.from_dense(...) makes one of a matrix",
    "ConvertedModule": "a ConvertedModule: convert(module, *example) makes one",
    "CopiesPlacement": "a CopiesPlacement: place_copies(program, device, copies) makes one",
    "Counters": "the counters of a simulation: simulate(program, x).counters",
    "Device": "a Device: load_device(name) makes one, device_names() lists the names",
    "LiquidNetwork": "a LiquidNetwork: import_network(module_or_checkpoint) makes one",
    "LoihiProgram": "a LoihiProgram: quantize(network, x) makes one, load(path) reads one",
    "MonteCarloResult": "the result of passes: monte_carlo(program, x) makes one",
    "Placement": "a Placement: place(program) makes one",
    "PlacementRule": "a lnn2loihi.placement.Rule",
    "ProfileResult": "a ProfileResult: profile(program, x) makes one, load_profile(path) reads one",
    "ProfileRow": "a row of a profile: profile(program, x).rows has them",
    "Target": "a Target: lnn2loihi.targets.target_of(name) gives a registered one",
    "Workload": "a Workload: workload(placement, counters) makes one",
}
#: Values as messages show them.
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60
_TEXTS = (str, bytes, bytearray)


@dataclass(frozen=True)
class Within:
    """Ends of a number, for `Annotated`; NaN lies within none.

    Attributes:
        low, high: the smallest and the largest.
    """

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a number lies within; NaN does not."""
        return bool(self.low <= value <= self.high)


@dataclass(frozen=True)
class OneOf:
    """The values that a text may have, for `Annotated`."""

    values: tuple[str, ...]


#: Limits and texts, which say what to give, go with a kind in `Annotated`. How many there are of
#: something, as a C integer holds it:
Count = Annotated[int, Within(1, (1 << 31) - 1), "a whole number from 1 to 2**31 - 1"]
#: A whole number that may be 0, such as a seed of random numbers.
Natural = Annotated[int, Within(0, (1 << 63) - 1), "a whole number from 0 to 2**63 - 1"]
#: Rates from a sample in eleven days on, and times: far beyond every device, and so that products
#: and quotients of them stay numbers that can be read.
RATES, _SECONDS = Within(1e-6, 1e12), Within(1e-12, 1e12)
RATE_TEXT = "samples per second, from 1e-6 Hz to 1e12 Hz"
Rate = Annotated[float, RATES, RATE_TEXT]
Seconds = Annotated[float, _SECONDS, "seconds, from 1e-12 to 1e12"]
#: Part of a whole.
Share = Annotated[float, Within(0, 1), "a number from 0 to 1"]


class Kind(NamedTuple):
    """What an argument may be.

    Attributes:
        fits: whether a value is of the kind; cheap.
        wanted: what to give; "" for None, which an option has that was left out: nobody gives it.
        holds: types of values of which some fit: of these a message shows the value.
        parts: what a container holds that is of the right type, by place, and what it may be.
    """

    fits: Callable[[Any], bool]
    wanted: str
    holds: tuple[type, ...] = ()
    parts: Callable[[Any], Iterator[tuple[str, Any, Kind]]] | None = None

    def problem(self, name: str, value: object) -> str:
        """What is wrong with a value that does not fit."""
        if self.parts is not None:
            for place, part, kind in self.parts(value):
                if not kind.fits(part):
                    return kind.problem(name + place, part)
        return f"{name} is {self._described(value)}; give {self.wanted}"

    def or_none(self) -> Kind:
        """The same, or None."""
        return self._replace(fits=_either(_is_none, self.fits))

    def _described(self, value: object) -> str:
        if value is None:
            return "None"
        if isinstance(value, type):
            return f"the class {value.__qualname__}"
        if isinstance(value, self.holds) and not isinstance(value, bool):
            broken = isinstance(value, str) and not _is_text(value)
            return _short.repr(value) + ", which is no Unicode" * broken
        return f"of type {type(value).__qualname__}"


def kind_of(annotation: Any) -> Kind:
    """What an argument of this annotation may be."""
    origin = get_origin(annotation) or annotation
    if origin in (Union, types.UnionType):
        return _union(get_args(annotation))
    if origin is Annotated:
        return _limited(*get_args(annotation))
    if origin is Literal:
        return _named(get_args(annotation))
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if origin is np.ndarray:
        return _NUMBERS
    if isinstance(origin, type):
        return _container(origin, get_args(annotation)) or _instance(origin)
    return _ANYTHING


def _is_none(value: Any) -> bool:
    return value is None


def _is_whole(value: Any) -> bool:
    return type(value) is int or (
        isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    )


def _is_number(value: Any) -> bool:
    if type(value) is float or isinstance(value, (float, np.floating)):
        return True
    return _is_whole(value) and abs(int(value)) <= sys.float_info.max


def _is_numbers(value: Any) -> bool:
    """Whether NumPy makes an array of real numbers of it, or of truth values."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except Exception:  # whatever the __array__ of a stranger raises
        return False


def _is_text(value: Any) -> bool:
    """Half of a pair of surrogates is no character, and cannot be written to any file."""
    if not isinstance(value, str) or value.isascii():
        return isinstance(value, str)
    try:
        return bool(value.encode())
    except UnicodeEncodeError:
        return False


def _is_file_name(value: Any) -> bool:
    """Whether the system can be asked for a file of that name."""
    try:
        if not isinstance(value, (str, os.PathLike)):
            return False
        name = os.fsencode(_text(value))
        return name != b"" and b"\0" not in name
    except UnicodeEncodeError:
        return False


def _text(path: str | os.PathLike[Any]) -> str:
    text = os.fspath(path)
    return text if isinstance(text, str) else "\0"  # bytes are none: no suffix can be read


_ANYTHING = Kind(lambda value: True, "anything")
_NUMBERS = Kind(_is_numbers, "an array of numbers")
#: Samples and the like: what they hold is looked at where they are made arrays of.
_ARRAY_LIKE = _ANYTHING._replace(wanted="an array of numbers")
_PATH = Kind(
    _is_file_name, "a str or an os.PathLike that a file system can hold", (str, os.PathLike)
)
_PLAIN: Mapping[Any, Kind] = {
    Any: _ANYTHING,
    object: _ANYTHING,
    None: Kind(_is_none, ""),
    type(None): Kind(_is_none, ""),
    bool: Kind(lambda value: isinstance(value, (bool, np.bool_)), "True or False"),
    int: Kind(_is_whole, "a whole number", (int, np.integer)),
    float: Kind(_is_number, "a number", (int, float, np.number)),
    str: Kind(_is_text, "a str", (str,)),
}


def _instance(wanted: type) -> Kind:
    # Of a protocol that says nothing at run time, nothing can be asked.
    if getattr(wanted, "_is_protocol", False) and not getattr(wanted, "_is_runtime_protocol", 0):
        return _ANYTHING
    name = wanted.__name__
    return Kind(lambda value: isinstance(value, wanted), _WANTED.get(name, with_article(name)))


def _limited(base: Any, *limits: Any) -> Kind:
    """A kind within limits, or with a text of its own that says what to give."""
    kind = kind_of(base)
    for limit in limits:
        if isinstance(limit, Within):
            kind = _within(kind, limit)
        elif isinstance(limit, OneOf):
            kind = _named(limit.values)
        elif isinstance(limit, str):
            kind = kind._replace(wanted=limit)
    return kind


def _within(kind: Kind, limit: Within) -> Kind:
    fits = kind.fits
    return kind._replace(
        fits=lambda value: fits(value) and limit.holds(value),
        wanted=f"{kind.wanted} from {limit.low:.10g} to {limit.high:.10g}",
    )


def _named(values: tuple[Any, ...]) -> Kind:
    texts = ", ".join(map(str, values))
    return Kind(
        lambda value: any(type(value) is type(one) and value == one for one in values),
        f"one of {texts}" if len(values) > 1 else f'"{texts}"',
        (str,),
    )


def _union(members: tuple[Any, ...]) -> Kind:
    kinds: list[Kind] = []
    modules = [getattr(get_origin(m) or m, "__module__", "") for m in members]
    if any(module.startswith("numpy._typing") for module in modules):
        kinds.append(_ARRAY_LIKE)  # of its many members, the type of None is the user's
        members = tuple(m for m in members if m is type(None))
    elif any(get_origin(m) is os.PathLike for m in members):
        kinds.append(_PATH)
        members = tuple(m for m in members if m is not str and get_origin(m) is not os.PathLike)
    kinds += map(kind_of, members)
    fits = kinds[0].fits
    for kind in kinds[1:]:
        fits = _either(fits, kind.fits)

    def parts(value: Any) -> Iterator[tuple[str, Any, Kind]]:
        for kind in kinds:
            if kind.parts is not None:
                yield from kind.parts(value)

    texts = list(dict.fromkeys(kind.wanted for kind in kinds if kind.wanted))
    return Kind(
        fits,
        (", or " if any(", each" in text for text in texts) else " or ").join(texts),
        tuple(held for kind in kinds for held in kind.holds),
        parts,
    )


def _either(one: Callable[[Any], bool], other: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: one(value) or other(value)


def _container(origin: type, arguments: tuple[Any, ...]) -> Kind | None:
    """Mappings, sequences and what can be iterated over; None for other types."""
    if origin is Callable:
        return Kind(callable, "a function")
    if issubclass(origin, Mapping):
        return _mapping(*(map(kind_of, arguments or (Any, Any))))
    if origin is tuple and arguments and arguments[-1] is not ...:
        return _fixed(tuple(map(kind_of, arguments)))
    if issubclass(origin, (Sequence, tuple)) and not issubclass(origin, str):
        return _sequence(kind_of(arguments[0]) if arguments else _ANYTHING, origin is not tuple)
    if issubclass(origin, Iterable) and origin.__module__ in ("collections.abc", "typing"):
        return Kind(
            lambda value: (
                isinstance(value, Iterable)
                and not isinstance(value, _TEXTS)
                and getattr(value, "ndim", 1) > 0
            ),
            f"an iterable, each item {kind_of(arguments[0]).wanted if arguments else 'anything'}",
        )
    return None


def _mapping(key: Kind, item: Kind) -> Kind:
    def fits(value: Any) -> bool:
        return isinstance(value, Mapping) and all(
            key.fits(name) and item.fits(part) for name, part in value.items()
        )

    def parts(value: Any) -> Iterator[tuple[str, Any, Kind]]:
        if isinstance(value, Mapping):
            for name, part in value.items():
                yield f"'s key {_short.repr(name)}", name, key
                yield f"[{_short.repr(name)}]", part, item

    return Kind(fits, f"a dict by name, each value {item.wanted}", (), parts)


def _sequence(item: Kind, arrays: bool) -> Kind:
    """Tuples and lists, and where `arrays` other sequences and NumPy's arrays of one axis."""
    # A text is a sequence of texts to Python, and to nobody else.
    wanted = (Sequence, np.ndarray) if arrays else (tuple, list)

    def is_one(value: Any) -> bool:
        return (
            isinstance(value, wanted)
            and not isinstance(value, _TEXTS)
            and getattr(value, "ndim", 1) == 1
        )

    def parts(value: Any) -> Iterator[tuple[str, Any, Kind]]:
        if is_one(value):
            for place, part in enumerate(value):
                yield f"[{place}]", part, item

    return Kind(
        lambda value: is_one(value) and all(map(item.fits, value)),
        f"a tuple or a list, each item {item.wanted}",
        (),
        parts,
    )


def _fixed(items: tuple[Kind, ...]) -> Kind:
    def fits(value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) == len(items)
            and all(kind.fits(part) for kind, part in zip(items, value, strict=True))
        )

    return Kind(fits, f"a tuple of {', '.join(kind.wanted for kind in items)}", (tuple,))
