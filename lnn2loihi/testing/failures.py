"""What a rule says of an exception: where a stranger's code raised it, and what was expected."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.testing.case import NotHereError

#: Installed packages whose lines say nothing of a family, and the folders of installed packages.
_LIBRARIES = ("numpy", "torch", "onnx", "onnxruntime")
_PACKAGES = ("site-packages", "dist-packages")


class ContractError(Lnn2LoihiError):
    """A family breaks its contract; each problem begins with the name of the rule."""


def found_by(rule: Callable[[Any], Iterable[str]], given: Any) -> list[str]:
    """Everything that a rule finds, each once; an exception is a problem, too.

    Raises:
        NotHereError: the rule cannot be tried here.
    """
    found: dict[str, None] = {}
    try:
        for problem in rule(given):
            found[problem] = None
    except NotHereError:
        raise
    except Exception as error:  # a stranger's code may raise what it likes
        found[raised(error, rule)] = None
    return [*found]


def raised(error: BaseException, rule: Callable[..., Any]) -> str:
    """That a rule was stopped by an exception: which, where, and what the rule expects.

    Args:
        error: the exception.
        rule: the rule; the first line of its docstring says what has to hold.
    """
    expected = (rule.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    place = place_of(error)
    return (
        f"it raised {reasons(error)}{f' ({place})' if place else ''}; mend what this rule needs: "
        f"{expected}"
    )


def reasons(error: BaseException) -> str:
    """An error, and those that it came from: what users are not told of operations is said here."""
    said = f"{type(error).__name__}: {error}"
    return said if error.__cause__ is None else f"{said}, from {reasons(error.__cause__)}"


def place_of(error: BaseException) -> str:
    """File and line of the last frame that is neither this library's nor another's; "" for none."""
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if not _is_library(frame.filename):
            found = f"{frame.filename}, line {frame.lineno}, in {frame.name}"
    if not found and error.__cause__ is not None:
        return place_of(error.__cause__)
    return found


def _is_library(filename: str) -> bool:
    path = Path(filename).absolute()  # parts of a checkout are links
    inside = [Path(__file__).absolute().parents[1], Path(sysconfig.get_path("stdlib"))]
    known = {part for folder in _PACKAGES if folder in path.parts for part in path.parts}
    if filename.startswith("<") or known & set(_LIBRARIES) or inside[0] in path.parents:
        return True
    return inside[1] in path.parents and not known
