"""Which line of the user's code is running, or raised an error."""

from __future__ import annotations

import linecache
import sys
from functools import cache
from pathlib import Path
from types import FrameType

import torch

from lnn2loihi.converters.trace.graph import Line

_HERE = Path(__file__).resolve().parent
_TORCH = Path(torch.__file__).resolve().parent


def running_line() -> Line | None:
    """The innermost line outside of PyTorch and of this package that is running."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if (found := _of_user(frame)) is not None:
            return found
        frame = frame.f_back
    return None


def line_of(error: BaseException) -> Line | None:
    """The innermost line of the user's that raised an error."""
    found: Line | None = None
    step = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if not _foreign(name):
            found = _line_at(name, step.tb_lineno)
        step = step.tb_next
    return found


def _of_user(frame: FrameType) -> Line | None:
    name = frame.f_code.co_filename
    return None if _foreign(name) else _line_at(name, frame.f_lineno)


@cache
def _foreign(file: str) -> bool:
    """Whether a file is PyTorch's or of the importers."""
    path = Path(file).resolve()
    return file.startswith("<frozen") or any(one in path.parents for one in (_TORCH, _HERE.parent))


def _line_at(file: str, number: int) -> Line:
    return Line(Path(file).name, number, linecache.getline(file, number).strip())


def at(line: Line | None) -> str:
    """A line before what is said of it."""
    return f"{line}: " if line else ""
