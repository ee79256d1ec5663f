"""Programs that are run as children: watched, ended with all that they have started, and reaped."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO

from lnn2loihi.errors import BackendMissingError, CompiledRunError

#: Seconds without an answer after which a program is taken to hang (a limit of ours).
STALLED_SECONDS = 300.0
#: What our main programs end with where input is cut off, or nobody takes what they write.
CUT_OFF = 2
_FULL = ": it could not read all of its input, or not write; is the disk of TMPDIR full?"
#: How often somebody looks.
_LOOK_SECONDS = 0.1
#: Characters of what a program has said that an error shows.
_SAID = 2000


def run_child(
    subject: str,
    command: Sequence[str],
    folder: Path,
    source: Path,
    target: Path,
    watch: Callable[[int], None] | None = None,
    stalled: float = STALLED_SECONDS,
) -> None:
    """Runs a program from file to file, to its end.

    Whatever ends this early, an error of `watch` or Ctrl-C too, ends the program with all that it
    has started, and waits for it.

    Args:
        subject: what runs, for errors.
        command: the program with its arguments.
        folder: where it runs and what it says is kept.
        source: its standard input.
        target: its standard output.
        watch: called now and then with the bytes that it has written.
        stalled: seconds without a byte after which it is ended.

    Raises:
        CompiledRunError: it cannot be started, fails, is ended by a signal, or hangs.
    """
    with (
        source.open("rb") as given,
        target.open("wb") as taken,
        (folder / "said.txt").open("wb") as said,
    ):
        child = started(subject, command, stdin=given, stdout=taken, stderr=said, cwd=folder)
        try:
            _wait(child, subject, target, watch, stalled)
        finally:
            end(child)
    if child.returncode:
        words = (folder / "said.txt").read_text(errors="replace")[-_SAID:].strip()
        hint = _FULL if child.returncode == CUT_OFF and not words else ""
        raise CompiledRunError(
            subject, f"{shlex.join(command[:2])} {ended_how(child, words)}{hint}"
        )


def started(
    subject: str,
    command: Sequence[str],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """A child in a group of its own, which Ctrl-C of a terminal does not reach: `end` ends it.

    Raises:
        CompiledRunError: it cannot be started.
        BackendMissingError: it is a program for another machine.
    """
    try:
        return subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            raise BackendMissingError(
                subject,
                f"{command[0]} is no program of this machine; if CC is set, it names a compiler "
                "for another one: set it to one for this machine, or unset it",
            ) from error
        raise CompiledRunError(
            subject, f"{command[0]} cannot be started: {error.strerror or error}"
        ) from error


def end(child: subprocess.Popen[bytes]) -> None:
    """Ends a child and its group, if it still runs, and waits for it."""
    if child.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            child.kill()
    child.wait()


def ended_how(child: subprocess.Popen[bytes], words: str) -> str:
    """How a child ended that was to end well, in words."""
    code, said = child.returncode, f":\n{words}" if words else ""
    if code < 0:
        name = signal.strsignal(-code) or "unknown"
        return (
            f"was ended by signal {-code} ({name}); if nobody sent it, the system may have run out "
            f"of memory{said}"
        )
    return f"ended with exit code {code}{said}"


def _wait(
    child: subprocess.Popen[bytes],
    subject: str,
    target: Path,
    watch: Callable[[int], None] | None,
    stalled: float,
) -> None:
    written, since = 0, monotonic()
    while True:
        try:
            child.wait(_LOOK_SECONDS)
            return
        except subprocess.TimeoutExpired:
            size = target.stat().st_size
        if size != written:
            written, since = size, monotonic()
            if watch is not None:
                watch(size)
        elif monotonic() - since > stalled:
            raise CompiledRunError(
                subject,
                f"has written nothing for {stalled:g} s, which is the limit: it hangs, was "
                "stopped, or the machine is too busy; try again, or give shorter sequences",
            )
