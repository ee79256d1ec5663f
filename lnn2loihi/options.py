"""Options of importers and exporters: which there are, how they are read from text; and rates."""

from __future__ import annotations

import math
import os
import re
import types
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from lnn2loihi.errors import InputError, Lnn2LoihiError, Problems
from lnn2loihi.kinds import RATE_TEXT, RATES, kind_of

_RATE = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([kKMgG])?(?:[hH][zZ])?")
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}
_READ: Mapping[Any, Callable[[str], Any]] = {
    bool: lambda text: _TRUTH[text.lower()],
    type(None): lambda text: {"none": None}[text.lower()],
    int: int,
    float: float,
    str: str,
    Path: Path,
    os.PathLike: Path,
}


def check_options(
    method: Callable[..., Any], options: Iterable[str], error: type[Lnn2LoihiError]
) -> None:
    """Refuses options that a method does not take.

    Args:
        method: `load` of an importer, `export` of an exporter: a source, then its options.
        options: their names.
        error: what is raised; says what it takes.
    """
    known = _known(method)
    unknown = sorted(set(options) - set(known))
    if unknown and all(parameter.kind != parameter.VAR_KEYWORD for parameter in known.values()):
        raise error(
            f"options {', '.join(unknown)}",
            f"unknown; it takes {', '.join(known) or 'none'}",
        )


def takes(method: Callable[..., Any], option: str) -> bool:
    """Whether a method, as for `check_options`, has an option."""
    known = _known(method)
    return option in known or any(one.kind == one.VAR_KEYWORD for one in known.values())


def read_options(
    method: Callable[..., Any], texts: Iterable[str], error: type[Lnn2LoihiError]
) -> dict[str, Any]:
    """Options that were written as `name=value`, each as its annotation says, or else its default:
    true or false, a number, a text, a path, one of some names, or none.

    Args:
        method: as for `check_options`.
        texts: the options.
        error: what is raised: lists what is not written so, given twice, unknown, or no value of
            the option.
    """
    problems, given = Problems(error, "options"), dict[str, str]()
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            problems.add(f"{text!r:.60} is not written as name=value")
        elif name in given:
            problems.add(f"{name} is given twice")
        given[name] = value
    problems.raise_if_any()
    check_options(method, given, error)
    known, hints, found = _known(method), _hints(method), dict[str, Any]()
    for name, text in given.items():
        annotation = hints.get(name, Any)
        default = known[name].default if name in known else Parameter.empty
        if annotation is Any and type(default) in _READ and default is not None:
            annotation = type(default)
        readings = [value for leaf in _leaves(annotation) for value in _reading(leaf, text)]
        fitting = [value for value in readings if kind_of(annotation).fits(value)]
        if fitting:
            found[name] = fitting[0]
        elif readings or _leaves(annotation):
            problems.add(f"{name} is {text!r:.60}; give {kind_of(annotation).wanted}")
        else:
            problems.add(f"{name} cannot be written as text; give it in Python")
    problems.raise_if_any()
    return found


def _known(method: Callable[..., Any]) -> dict[str, Parameter]:
    known = list(signature(method).parameters.values())[1:]
    return {parameter.name: parameter for parameter in known}


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    """Annotations; of those that speak of what is not there, the ones that are plain types."""
    try:
        return get_type_hints(method, include_extras=True)
    except Exception:  # a stranger's annotations
        plain = {kind.__name__: kind for kind in _READ}
        known = _known(method)
        return {n: plain[p.annotation] for n, p in known.items() if p.annotation in plain}


def _leaves(annotation: Any) -> list[Any]:
    """The types that a text may be read as, those with fewer texts first."""
    found = list(_parts(annotation))
    # A name that is spelled out goes before what the same text would mean elsewhere.
    order = [*_READ]
    return sorted(found, key=lambda leaf: order.index(leaf) if leaf in _READ else -1)


def _parts(annotation: Any) -> Iterable[Any]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return [leaf for part in get_args(annotation) for leaf in _parts(part)]
    if origin is Annotated:
        return _parts(get_args(annotation)[0])
    if origin is Literal:
        return [annotation]
    if annotation in (Any, object):
        return [str]
    plain = origin or annotation
    return [plain] if isinstance(plain, type) and plain in _READ else []


def _reading(leaf: Any, text: str) -> list[Any]:
    """What a text is as a type; nothing where it is none."""
    if get_origin(leaf) is Literal:
        return [value for value in get_args(leaf) if str(value) == text]
    try:
        return [_READ[leaf](text)]
    except (KeyError, ValueError):
        return []


def rate_of(text: str, what: str) -> float:
    """Samples per second of a text: 100, 100Hz, 50hz, 2 kHz.

    Only a small m is refused: it stands for thousandths.

    Args:
        text: the text.
        what: name of the option, for errors.

    Raises:
        InputError: it is no rate, or beyond what rates may be.
    """
    found = _RATE.fullmatch(text.strip())
    try:
        value = float(found[1]) * _FACTORS[(found[2] or "").lower()] if found else math.nan
    except ValueError:
        value = math.nan
    if not value > 0.0:
        raise InputError(what, f"{text[:40]!r} is no rate; give for example 100Hz, 2kHz or 1MHz")
    if not RATES.holds(value):
        raise InputError(what, f"{text[:40]!r} is {value:g} Hz; give {RATE_TEXT}")
    return value


def rates_of(text: str, what: str) -> dict[str, float] | float | bool:
    """Rates of dropout of a text: 0.2 for all layers, layer_0=0.2,input=0.1, or trained.

    Args:
        text: the text.
        what: name of the option, for errors.

    Raises:
        InputError: it is none of these. Whether rates and names fit is seen where they are used.
    """
    if text.strip() == "trained":
        return True
    try:
        if "=" not in text:
            return float(text)
        pairs = [part.rpartition("=") for part in text.split(",")]
        found = {name.strip(): float(rate) for name, _, rate in pairs}
    except ValueError:
        raise InputError(
            what, f"{text[:40]!r} is no rate; give 0.2, rates by name (layer_0=0.2,input=0.1), or "
            "trained"
        ) from None  # fmt: skip
    if len(found) < len(pairs):
        names = [name.strip() for name, _, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(what, f"{twice} is given twice")
    return found
