"""Whatever goes wrong in Lava ends in one exception, within seconds, with nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from programs import Sizes, random_inputs, random_program

from lnn2loihi.errors import LavaRunError
from lnn2loihi.lava import build_graph, execute, import_lava, lava_is_installed, workers
from lnn2loihi.lava.workers import Worker
from lnn2loihi.simulation import full_initial_state
from lnn2loihi.simulation.reference import run_reference

if not lava_is_installed():
    pytest.skip("lava-nc is not installed", allow_module_level=True)
import_lava()

from lnn2loihi.lava.processes.population.models import NeuronsModel  # noqa: E402 (needs Lava)

pytestmark = pytest.mark.slow
PROGRAM = random_program(1, Sizes(inputs=2, layers=(3, 2), readout=1))
LONG = 200_000
TESTS = Path(__file__).parent


def run(samples: int = 5, **options: Any) -> None:
    options.setdefault("time_limit", PATIENCE)  # what should end and does not fails with a reason
    inputs = random_inputs(0, PROGRAM, 2, samples)
    start = full_initial_state(PROGRAM, 2, None)
    lava = execute(PROGRAM, inputs, start, **options)
    reference = run_reference(PROGRAM, inputs, start)
    for name, words in reference.states.items():
        for word, values in words.items():
            assert np.array_equal(lava.states[name][word], values)


def children_of(parent: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] != "Z":  # parent and state, proc(5)
                found.append(int(entry.name))
    return found


def shared_memory() -> set[str]:
    return {name for name in os.listdir("/dev/shm") if name.startswith("psm_")}


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "waited too long"
        sleep(0.01)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    children, threads = set(children_of(os.getpid())), threading.active_count()
    shared, files, began = shared_memory(), open_files(), monotonic()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    handler = signal.getsignal(signal.SIGINT)
    yield
    assert monotonic() - began < PATIENCE
    assert set(children_of(os.getpid())) == children
    assert not [p for p in multiprocessing.active_children() if p.name.startswith("lava")]
    assert threading.active_count() == threads
    assert open_files() <= files
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert signal.getsignal(signal.SIGINT) == handler
    wait_until(lambda: shared_memory() <= shared)  # other tests may use some at the same time


def break_model(monkeypatch: pytest.MonkeyPatch, method: str, step: int, name: str) -> None:
    """Makes a method of one population's model raise, in its worker."""
    original = getattr(NeuronsModel, method)

    def broken(self: Any, *arguments: Any) -> None:
        if method == "__init__" and arguments[0]["name"] == name:
            raise ValueError("deliberate")
        original(self, *arguments)
        if method == "run_spk" and (self.proc_params["name"], self.time_step) == (name, step):
            raise ValueError("deliberate")

    monkeypatch.setattr(NeuronsModel, method, broken)


@pytest.mark.parametrize(
    ("method", "step", "name"),
    [
        ("__init__", 0, "layer_0"), ("__init__", 0, "readout"), ("run_spk", 1, "layer_0"),
        ("run_spk", 4, "layer_0"), ("run_spk", 8, "readout"),
    ],
)  # fmt: skip
def test_an_exception_in_a_model(
    monkeypatch: pytest.MonkeyPatch, method: str, step: int, name: str
) -> None:
    with monkeypatch.context() as broken:
        break_model(broken, method, step, name)
        with pytest.raises(LavaRunError, match=f"(?s)process '{name}' failed.*deliberate") as info:
            run(5)  # 8 steps: the last failure is in the last step
    assert f"in {'broken'}\n" in str(info.value), "the worker's traceback"
    run()


def test_an_exception_before_the_message_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The case in which Lava's own runtime hangs: a receiver waits for the message."""

    def broken(self: Any) -> None:
        raise SystemExit("deliberate")

    with monkeypatch.context() as patch:
        patch.setattr(NeuronsModel, "run_spk", broken)
        with pytest.raises(LavaRunError, match="deliberate"):
            run()
    run()


@pytest.mark.parametrize("name", ["layer_1", "input -> layer_0", "runtime service"])
def test_a_killed_worker(name: str) -> None:
    def kill(done: int, total: int) -> None:
        for child in multiprocessing.active_children():
            if child.name == f"lava: {name}" and child.pid:
                os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(LavaRunError, match=f"process '{name}' was ended by signal 9"):
        run(LONG, on_step=kill)
    run()


@pytest.mark.parametrize("name", ["layer_1", "input -> layer_0", "runtime service"])
def test_a_stopped_worker(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing ends and nothing is reported: somebody has to look."""
    monkeypatch.setattr(workers, "STOPPED_SECONDS", 0.2)
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.05)
    stopped: list[int] = []

    def stop(done: int, total: int) -> None:
        for child in multiprocessing.active_children():
            if child.name == f"lava: {name}" and child.pid and not stopped:
                os.kill(child.pid, signal.SIGSTOP)
                stopped.append(child.pid)

    with pytest.raises(LavaRunError) as info:
        run(LONG, on_step=stop)
    assert str(info.value).startswith(
        f"run in Lava: process '{name}' (pid {stopped[0]}) was stopped by a signal, and has not "
        "gone on for 0.2 s, which is the limit"
    )
    run()


class Stoppable:
    """A worker as far as it is watched."""

    name, pid, stopped = "layer_1", 7, True


def test_who_goes_on_in_time_is_left_alone() -> None:
    """Seconds of one stop count, and none in which the watchdog was itself stopped (Ctrl-Z)."""
    now, worker = [0.0], Stoppable()
    seen: Any = [worker]
    dog = workers.Watchdog(seen, lambda: now[0])

    def passes(seconds: float, stopped: bool) -> None:
        for _ in range(round(seconds / workers.LOOK_SECONDS)):
            now[0] += workers.LOOK_SECONDS
            worker.stopped = stopped
            dog.check()

    for _ in range(2):
        passes(workers.STOPPED_SECONDS - 0.5, True)
        passes(1.0, False)
    now[0] += 3600.0
    worker.stopped = True
    dog.check()
    with pytest.raises(LavaRunError, match="has not gone on for 10 s"):
        passes(workers.STOPPED_SECONDS, True)


def test_no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lava's ports listen on threads of this process, some of which cannot be started."""
    original, started = threading.Thread.start, []

    def refused(self: threading.Thread) -> None:
        if len(started) == 1:
            raise RuntimeError("can't start new thread")
        started.append(self)
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(LavaRunError, match="start of Lava's workers: RuntimeError: can't sta"):
            run()
    assert started
    run()


def test_a_time_limit() -> None:
    with pytest.raises(LavaRunError, match=r"stopped in step \d+ of 200003: the time limit of 0.3"):
        run(LONG, time_limit=0.3)
    run(time_limit=PATIENCE)


def test_an_exception_of_the_callback_passes() -> None:
    def fail(done: int, total: int) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(LONG, on_step=fail)


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """Where SIGINT is ignored (in the background, by test runners with several workers) too."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_while_workers_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Worker.__init__

    def interrupted(self: Worker, name: str, work: Callable[[], object]) -> None:
        if name == "readout":
            os.kill(os.getpid(), signal.SIGINT)
        original(self, name, work)

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "__init__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(LONG)
    run()


def test_workers_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Worker.__init__

    def refused(self: Worker, name: str, work: Callable[[], object]) -> None:
        if name == "layer_1":
            raise BlockingIOError("Resource temporarily unavailable")
        original(self, name, work)

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "__init__", refused)
        with pytest.raises(LavaRunError, match="BlockingIOError: Resource temporarily"):
            run()
    run()


def test_a_graph_runs_once() -> None:
    from lnn2loihi.lava.processes.runtime import run_graph

    inputs = random_inputs(0, PROGRAM, 1, 2)
    graph = build_graph(PROGRAM, inputs, full_initial_state(PROGRAM, 1, None))
    run_graph(graph, None, None)
    with pytest.raises(LavaRunError, match="ProcessAlreadyCompiled"):
        run_graph(graph, None, None)


def test_no_memory_for_the_states(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("mmap.mmap", refused)
    with pytest.raises(LavaRunError, match="no memory for an array of .* MiB .* fewer sequences"):
        run()


def test_runs_from_several_threads() -> None:
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            run()
        except BaseException as error:
            failed.append(error)

    filters = list(warnings.filters)
    threads = [threading.Thread(target=guarded) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == filters
    assert not failed


def test_lava_keeps_nothing() -> None:
    import logging

    from lava.magma.core.process.process import ProcessServer
    from lava.magma.core.process.variable import VarServer

    def kept() -> tuple[int, ...]:
        loggers = [logging.getLogger(), logging.getLogger("lava.magma.compiler.compiler")]
        handlers = [len(logger.handlers) for logger in loggers]
        return (len(ProcessServer().processes), len(VarServer().vars), *handlers)

    before = kept()
    run()
    assert kept() == before


# Scenarios that run in an interpreter of their own: its end is part of the test.


def tell_once() -> Callable[[int, int], None]:
    told: list[int] = []

    def on_step(done: int, total: int) -> None:
        if done > 20 and not told:
            told.append(done)
            os.write(1, b"running\n")

    return on_step


def scenario_interrupted() -> None:
    """Ctrl-C as a terminal sends it, to every process of the group."""
    # Test runners with several workers ignore SIGINT, and what they start inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(LONG, on_step=tell_once())
    except KeyboardInterrupt:
        assert not children_of(os.getpid())
        run()
        os.write(1, b"interrupted, and ran again\n")


def scenario_noisy() -> None:
    """Whatever models print, stdout is the caller's; and the interpreter ends after a failure."""
    model: Any = NeuronsModel
    original = model.run_spk

    def noisy(self: Any) -> None:
        os.write(1, b"noise\n")
        sys.stdout.write("noise\n")
        sys.stdout.flush()
        if self.time_step == 3:
            raise ValueError("deliberate")
        original(self)

    model.run_spk = noisy
    try:
        run()
    except LavaRunError:
        model.run_spk = original
        run()
        os.write(1, b"failed, and ran again\n")


def scenario_orphaned() -> None:
    run(LONG, on_step=tell_once())


def start(scenario: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.Popen(
        [sys.executable, "-c", f"import test_lava_failures as t; t.scenario_{scenario}()"],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def line_of(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def finish(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What the scenario printed; a scenario that hangs is killed, and fails the test."""
    try:
        return process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def test_ctrl_c() -> None:
    with start("interrupted") as process:
        assert line_of(process) == b"running\n"
        os.killpg(process.pid, signal.SIGINT)
        output, errors = finish(process)
    assert output == b"interrupted, and ran again\n", errors.decode()
    assert process.returncode == 0
    assert errors == b"", "one exception, in the parent"


def test_stdout_is_the_callers_and_the_interpreter_ends() -> None:
    with start("noisy") as process:
        output, errors = finish(process)
    assert output == b"failed, and ran again\n", errors.decode()
    assert b"noise" in errors
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of such an end")
def test_workers_die_with_their_parent() -> None:
    with start("orphaned") as process:
        assert line_of(process) == b"running\n"
        workers = children_of(process.pid)
        assert len(workers) >= 9
        process.kill()
        wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
