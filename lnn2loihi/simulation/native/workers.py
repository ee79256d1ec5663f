"""Threads that run an engine's function, and that never outlive an interruption."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lnn2loihi.simulation.native.job import Job

#: Seconds between two calls of `look`.
PATIENCE = 0.1
#: Seconds until a thread that was told to start has surely begun, or never will.
BEGINNING = 2.0


class _Worker(threading.Thread):
    """Runs its share of a job. It holds the job: its arrays live as long.

    Ctrl-C in `join` makes Python below 3.13 take a running thread for an ended one, and Ctrl-C in
    `start` leaves one that `join` refuses. Hence the two events.
    """

    def __init__(self, function: Callable[[int, int], int], job: Job, begin: int, stride: int):
        super().__init__(name=f"lnn2loihi-{begin}")
        self._function, self._job, self._share = function, job, (begin, stride)
        self._asked = False
        self._begun, self.ended = threading.Event(), threading.Event()
        self.answer: int | None = None

    def start(self) -> None:
        self._asked = True
        super().start()

    def run(self) -> None:
        self._begun.set()
        try:
            self.answer = self._function(*self._share)
        finally:
            self.ended.set()

    def end(self) -> None:
        """Waits for its end, if it has ever begun."""
        if self._asked and self._begun.wait(BEGINNING):
            self.ended.wait()
            self.join()


def run_workers(
    function: Callable[[int, int], int], job: Job, number: int, look: Callable[[], object]
) -> list[int]:
    """Runs a function of the engine in several threads.

    Args:
        function: runs every so many blocks of the job from one on.
        job: the run.
        number: number of threads.
        look: called now and then; whatever it raises stops the run.

    Returns:
        What each thread's function returned.

    Raises:
        KeyboardInterrupt: Ctrl-C; the threads have ended.
        RuntimeError: a function raised something.
    """
    workers = [_Worker(function, job, begin, number) for begin in range(number)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            while not worker.ended.wait(PATIENCE):
                look()
    finally:
        job.shared[0] = 1
        for worker in workers:
            worker.end()
    answers = [worker.answer for worker in workers if worker.answer is not None]
    if len(answers) < number:
        raise RuntimeError("a thread of the C engine failed; its traceback stands above")
    return answers
