"""Progress bars, where somebody looks: on a terminal, and in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

#: Called with what is going on, how much of it is done, and how much there is.
OnPhase = Callable[[str, int, int], None]
#: Characters of a bar in a notebook.
_LENGTH = 30


@contextmanager
def progress_bars(unit: str = "") -> Iterator[OnPhase]:
    """A progress bar for each phase, on standard error or below a notebook's cell; nothing is
    written where neither a terminal nor a notebook is there.

    Args:
        unit: what stands behind each bar's name.
    """
    if (display := _notebook()) is not None:
        yield _in_notebook(display, unit)
        return
    if not _on_terminal():
        yield lambda name, done, total: None
        return
    from rich.console import Console
    from rich.errors import LiveError
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    try:
        bar.start()
    except LiveError:  # within other bars, which say what goes on
        yield lambda name, done, total: None
        return
    with bar:
        tasks: dict[str, Any] = {}

        def on_step(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(f"{name}{unit}", total=total)
            bar.update(tasks[name], completed=done)

        yield on_step


@contextmanager
def progress_or_bars(progress: OnPhase | Literal[False] | None) -> Iterator[OnPhase | None]:
    """What was given to call; bars where nothing was said; nothing where False was."""
    if progress is None:
        with progress_bars() as on_step:
            yield on_step
    else:
        yield progress or None


def _on_terminal() -> bool:
    """As rich decides it, whose variables (FORCE_COLOR, TTY_COMPATIBLE, ...) count."""
    try:
        if not sys.stderr.isatty():
            return False
    except (AttributeError, ValueError):  # there is no standard error, or it is closed
        return False
    from rich.console import Console

    return Console(stderr=True).is_terminal


def _notebook() -> Any | None:
    """What shows an object below the cell of a notebook that can be updated; None elsewhere."""
    shell = sys.modules.get("IPython")
    if shell is None or type(shell.get_ipython()).__name__ != "ZMQInteractiveShell":
        return None
    from IPython.display import display

    return display


def _in_notebook(display: Any, unit: str) -> OnPhase:
    """Bars as lines of text, without widgets, which not every notebook has."""
    handles: dict[str, Any] = {}

    def on_step(name: str, done: int, total: int) -> None:
        full = _LENGTH * done // max(total, 1)
        line = f"{name}{unit} [{'#' * full:.<{_LENGTH}}] {done:,}/{total:,}"
        if name not in handles:
            handles[name] = display(_Line(line), display_id=True)
        else:
            handles[name].update(_Line(line))

    return on_step


class _Line:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text
