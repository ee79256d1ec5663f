"""Forked workers that report why they ended, and a parent that outlives Ctrl-C among them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from lnn2loihi.errors import LavaRunError

#: How long to look for the worker that is to blame, once one has ended.
_GRACE_SECONDS = 2.0
#: How long another thread may take to note an exit code that it has collected.
_TELLING_SECONDS = 0.2
#: How long a worker may be stopped, and how often somebody looks.
STOPPED_SECONDS = 10.0
LOOK_SECONDS = 0.5
_LONGEST_TRACEBACK = 20_000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


#: multiprocessing keeps one table of children for all threads, and a start looks through it while
#: a close in another thread takes entries out.
_CHILDREN = threading.Lock()


class Worker:
    """A forked process that does one thing.

    It ignores Ctrl-C if it is started inside `interrupts_deferred`, dies with its parent, and
    prints to stderr only.

    Args:
        name: name in messages.
        work: what to do; its exceptions are reported to the parent.
    """

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        context = multiprocessing.get_context("fork")
        self.name = name
        self.report, sender = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_work, args=(work, sender, os.getpid()), name=f"lava: {name}", daemon=True
        )
        with _CHILDREN:
            self._process.start()
        sender.close()

    def failure(self) -> str | None:
        """Why it ended, where that is its own fault: an exception or a signal.

        Call it when `report` is ready.
        """
        with suppress(EOFError):
            return f"process {self.name!r} failed\n{self.report.recv_bytes().decode()}"
        code = self._exit_code()
        if code is not None and code < 0:
            return (
                f"process {self.name!r} was ended by signal {-code} ({signal.strsignal(-code)}); "
                "if nobody sent it, the system may have run out of memory"
            )
        return None

    @property
    def stopped(self) -> bool:
        """Whether it was stopped by a signal (SIGSTOP, a debugger), which it does not report."""
        pid = self._process.pid
        assert pid is not None
        with suppress(OSError, IndexError):
            return _state_of(pid) in ("T", "t")
        return False

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self._process.pid

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def close(self) -> None:
        """Waits for its end and frees what belongs to it."""
        with _CHILDREN:
            if self._exit_code() is not None:
                self._process.close()
        self.report.close()

    def _exit_code(self) -> int | None:
        """Waits for the end and says which it was.

        Another thread that starts or lists processes collects ended ones too, and may be about
        to say so. Code that waits for any child of this process never says so: that is None.
        """
        self._process.join(_GRACE_SECONDS)
        deadline = monotonic() + _TELLING_SECONDS
        while self._process.exitcode is None and monotonic() < deadline:
            sleep(0.001)
        return self._process.exitcode


def _state_of(pid: int) -> str:
    """The letter of a process' state; a system without /proc asks ps for it.

    Raises:
        OSError, IndexError: there is no such process.
    """
    status = Path(f"/proc/{pid}/stat")
    if status.parent.parent.joinpath("self").exists():
        return status.read_text(errors="replace").rpartition(")")[2].split()[0]
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return told.stdout.decode(errors="replace").split()[0][0]


class Watchdog:
    """Sees workers that were stopped and stay so, for which a run would wait for ever.

    Args:
        workers: who is watched.
        clock: the time in seconds.
    """

    def __init__(self, workers: Sequence[Worker], clock: Callable[[], float] = monotonic) -> None:
        self._workers, self._clock = workers, clock
        self._looked = clock()
        self._seconds: dict[str, float] = {}

    def check(self) -> None:
        """To be called again and again; looks every LOOK_SECONDS.

        Seconds in which this process did not run either (Ctrl-Z stops them all) do not count.

        Raises:
            LavaRunError: a worker has been stopped for STOPPED_SECONDS.
        """
        passed = self._clock() - self._looked
        if passed < LOOK_SECONDS:
            return
        self._looked += passed
        stopped = [worker for worker in self._workers if worker.stopped]
        self._seconds = {
            worker.name: self._seconds.get(worker.name, 0.0) + min(passed, 2 * LOOK_SECONDS)
            for worker in stopped
        }
        problems = [
            f"process {worker.name!r} (pid {worker.pid}) was stopped by a signal, and has not gone "
            f"on for {STOPPED_SECONDS:g} s, which is the limit; send SIGCONT before, or do not "
            "stop it"
            for worker in stopped
            if self._seconds[worker.name] >= STOPPED_SECONDS
        ]
        if problems:
            raise LavaRunError("run in Lava", problems)


def any_ended(workers: Sequence[Worker], timeout: float) -> bool:
    """Whether a worker has reported or ended; waits for that, at most `timeout` seconds."""
    return bool(wait([worker.report for worker in workers], timeout))


def failures(workers: Sequence[Worker]) -> list[str]:
    """Why workers ended.

    An exception in one makes Lava end the others in good order, so the one to blame may be seen
    last.
    """
    deadline = monotonic() + _GRACE_SECONDS
    running = list(workers)
    while running and monotonic() < deadline:
        ended = [worker for worker in running if worker.report in _ready(running, deadline)]
        found = [text for text in (worker.failure() for worker in ended) if text]
        if found:
            return found
        running = [worker for worker in running if worker not in ended]
    return ["a process ended before the run did"]


def _ready(workers: Sequence[Worker], deadline: float) -> list[Any]:
    return wait([worker.report for worker in workers], max(0.0, deadline - monotonic()))


def _work(work: Callable[[], object], sender: Connection, parent: int) -> None:
    """What a worker does; it leaves by `os._exit`, so that nothing of the parent's is run."""
    code = 1
    try:
        _die_with(parent)
        with suppress(OSError):  # a parent without stderr
            os.dup2(2, 1)
        sys.stdout = sys.stderr
        warnings.simplefilter("ignore")
        work()
        code = 0
    except BaseException:
        sender.send_bytes(traceback.format_exc()[-_LONGEST_TRACEBACK:].encode())
    finally:
        os._exit(code)


def _die_with(parent: int) -> None:
    """Has the kernel end this process with its parent, which cannot do so when it is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Ctrl-C inside takes effect at the end; processes forked inside never notice it.

    The signal is blocked in this thread, which forked processes inherit. That is not enough for
    the parent, where another thread (of a library) may receive it: so there is a handler too.
    """
    arrived: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    swap = handler is not None and threading.current_thread() is threading.main_thread()
    if swap:
        signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if swap:
            signal.signal(signal.SIGINT, handler)
            if arrived:
                signal.raise_signal(signal.SIGINT)
