"""Ctrl-C while the command line is still importing itself."""

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
    """Lets Ctrl-C end the process with one line, if it is the command line that starts.

    No exception is raised: one that comes up among imports prints a traceback, since nobody is
    there yet to catch it, and extension modules turn it into a misleading ImportError. Nothing
    has been opened or written that would have to be cleared away. Who imports the library
    elsewhere gets KeyboardInterrupt as always.
    """
    # Where Ctrl-C is ignored (in the background), or somebody else's, it stays so.
    if not (_is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_command() -> bool:
    """Whether this process is `lnn2loihi`, or `python -m lnn2loihi`, which has no name yet."""
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0] if sys.argv else ""
    return name == COMMAND or (name == "-m" and COMMAND in sys.orig_argv)


def _end(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
