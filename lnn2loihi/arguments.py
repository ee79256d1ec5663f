"""Refuses arguments of the wrong kind at public functions, with the way to the right one.

What a function takes stands in its annotations and nowhere else. They are read when it is first
called. Arguments that are missing or unknown are Python's own TypeError.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from lnn2loihi.errors import InputError, Lnn2LoihiError, Problems, out_of_memory
from lnn2loihi.kinds import Kind, kind_of

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


def checks_kinds(
    error: type[Lnn2LoihiError] = InputError,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function refuse arguments that are of another kind than its annotations say.

    A bare MemoryError of the function becomes OutOfMemoryError.

    NumPy's numbers are numbers, True is none, a text is no sequence of texts, a path holds no NUL.
    What arrays hold is looked at by the function itself. What a callback raises passes unchanged.

    Args:
        error: what is raised: it lists each argument that does not fit, what was given, what is
            wanted and how to make it.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        def annotations() -> Mapping[str, object]:
            scope = vars(sys.modules[function.__module__])
            parameters = inspect.signature(function).parameters.items()
            return {name: _evaluated(p.annotation, scope) for name, p in parameters}

        name = function.__name__
        if name == "__init__":
            name = function.__qualname__.rpartition(".")[0]
        check = _Check(function, annotations, error, lambda arguments: name)

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            check(args, kwargs)
            try:
                return function(*args, **kwargs)
            except MemoryError as found:
                if isinstance(found, Lnn2LoihiError):
                    raise
                raise out_of_memory(name, found) from found

        return checked

    return decorated


def checks_fields(error: type[Lnn2LoihiError]) -> Callable[[C], C]:
    """Makes a dataclass refuse fields that are of another kind than their annotations say.

    It stands above `@dataclass`. A field that is an array takes whatever NumPy makes an array of
    numbers of.

    Args:
        error: as for `checks_kinds`.
    """

    def decorated(made: C) -> C:
        def annotations() -> Mapping[str, object]:
            found: dict[str, object] = {}
            for base in reversed(made.__mro__):
                scope = vars(sys.modules[base.__module__])
                own = inspect.get_annotations(base).items()
                found |= {n: _evaluated(a, scope) for n, a in own if "ClassVar" not in str(a)}
            return found

        def subject(arguments: Mapping[str, object]) -> str:
            name = arguments.get("name")
            return f"{made.__name__} {name!r:.60}" if isinstance(name, str) else made.__name__

        function = made.__init__
        check = _Check(function, annotations, error, subject)

        @functools.wraps(function)
        def checked(self: Any, *args: Any, **kwargs: Any) -> None:
            check((self, *args), kwargs)
            function(self, *args, **kwargs)

        made.__init__ = checked
        return made

    return decorated


class _Check:
    """Looks at the arguments of a function.

    Args:
        function: the function.
        annotations: those of its parameters; asked for at the first call, when all that they speak
            of has been imported.
        error: what is raised.
        subject: what the error is about, of the arguments by name.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        annotations: Callable[[], Mapping[str, object]],
        error: type[Lnn2LoihiError],
        subject: Callable[[Mapping[str, object]], str],
    ) -> None:
        self._function, self._annotations = function, annotations
        self._error, self._subject = error, subject

    @functools.cached_property
    def _kinds(self) -> dict[str, Kind]:
        """What each parameter may be, in order."""
        annotations = self._annotations()
        found: dict[str, Kind] = {}
        for name, parameter in inspect.signature(self._function).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            kind = kind_of(annotations.get(name, Any))
            found[name] = kind.or_none() if parameter.default is None else kind
        return found

    @functools.cached_property
    def _positional(self) -> list[str]:
        """Names of those that may be given by position, in order."""
        taken = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(self._function).parameters
        return [name for name, parameter in parameters.items() if parameter.kind in taken]

    @functools.cached_property
    def _fits(self) -> tuple[list[Callable[[Any], bool]], dict[str, Callable[[Any], bool]]]:
        named = {name: kind.fits for name, kind in self._kinds.items()}
        return [named[name] for name in self._positional], named

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raises the error if an argument does not fit."""
        ordered, named = self._fits
        for fits, value in zip(ordered, args, strict=False):
            if not fits(value):
                self._refuse(args, kwargs)
        for name, value in kwargs.items():
            if name in named and not named[name](value):
                self._refuse(args, kwargs)

    def _refuse(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        kinds = self._kinds
        arguments = dict(zip(self._positional, args, strict=False)) | dict(kwargs)
        problems = Problems(self._error, self._subject(arguments))
        for name, value in arguments.items():
            if name in kinds and not kinds[name].fits(value):
                problems.add(kinds[name].problem(name, value))
        problems.raise_if_any()


def _evaluated(annotation: Any, scope: dict[str, Any]) -> object:
    if annotation is inspect.Parameter.empty:
        return Any
    return eval(annotation, scope) if isinstance(annotation, str) else annotation
