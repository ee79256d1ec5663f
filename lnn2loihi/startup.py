"""Ctrl-C while the command line is still importing itself, or what a verb needs.

No exception is raised then: one that comes up among imports prints a traceback, since nobody is
there yet to catch it, and extension modules turn it into a misleading ImportError. Nothing has been
opened or written that would have to be cleared away. Who imports the library elsewhere gets
KeyboardInterrupt as always.

This module is the first that the package imports, and imports nearly nothing itself: what comes
before it is Python's own start, which nothing here can guard.
"""

from __future__ import annotations

import os
import signal
import sys

COMMAND = "lnn2loihi"
#: Exit code of what Ctrl-C has ended, as shells have it.
INTERRUPTED = 130


class importing:  # noqa: N801  a context, written as those of contextlib are
    """Lets Ctrl-C end the process with one line, if it is the command line that imports."""

    def __enter__(self) -> None:
        """Takes Ctrl-C, where it is not taken already."""
        self._ours = _is_command() and _taken()

    def __exit__(self, *raised: object) -> None:
        """Hands it back, where this has taken it."""
        if self._ours:
            started()


def started() -> None:
    """Hands Ctrl-C back to Python, if it was taken: somebody is there to catch what it raises."""
    if signal.getsignal(signal.SIGINT) is _end:
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


def _end(signum: int, frame: object) -> None:
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


# From here on until `main` of the command line runs, which calls `started`.
if _is_command():
    _taken()
