"""Ctrl-C while the command line is still importing itself, or what a verb needs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

COMMAND = "lnn2loihi"
#: Exit code of what Ctrl-C has ended, as shells have it.
INTERRUPTED = 130


@contextmanager
def importing() -> Iterator[None]:
    """Lets Ctrl-C end the process with one line, if it is the command line that imports.

    No exception is raised: one that comes up among imports prints a traceback, since nobody is
    there yet to catch it, and extension modules turn it into a misleading ImportError. Nothing
    has been opened or written that would have to be cleared away. Who imports the library
    elsewhere gets KeyboardInterrupt as always.
    """
    ours = _is_command() and _taken()
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _taken() -> bool:
    """Takes Ctrl-C; not where it is ignored (in the background) or somebody else's."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, _end)
    except ValueError:  # only the main thread may, and only there Ctrl-C arrives
        return False
    return True


def _is_command() -> bool:
    """Whether this process is `lnn2loihi`, or `python -m lnn2loihi`, which has no name at first,
    and then that of the file `__main__.py`.
    """
    folder, file = os.path.split(sys.argv[0] if sys.argv else "")
    name = os.path.splitext(file)[0]
    if name == "__main__":
        return os.path.basename(folder) == COMMAND
    return name == COMMAND or (name == "-m" and COMMAND in sys.orig_argv)


def _end(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
