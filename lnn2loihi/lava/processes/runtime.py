"""A Lava runtime that cannot hang.

Lava's own waits for answers that never come when a process model raises or dies (lava-nc issues
178, 83, 236). This one keeps its compiler, channels and service, and replaces three things: the
channels' memory is anonymous, so there is no manager process and nothing in /dev/shm; workers
report their tracebacks through pipes that the parent watches while it waits; and the end is
always the same, whatever happened: every worker is killed and waited for. Results need no good
end, because they are in shared memory.

It relies on the inner workings of lava-nc 0.10.0, the last release (see the shim).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from lava.magma.compiler.channels import pypychannel
from lava.magma.compiler.channels.interfaces import ChannelType
from lava.magma.compiler.channels.pypychannel import PyPyChannel
from lava.magma.core.process.message_interface_enum import ActorType
from lava.magma.core.process.process import ProcessServer
from lava.magma.core.process.variable import VarServer
from lava.magma.core.run_conditions import RunSteps
from lava.magma.runtime.message_infrastructure.message_infrastructure_interface import (
    MessageInfrastructureInterface,
)
from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal
from lava.magma.runtime.runtime import Runtime

from lnn2loihi.errors import LavaRunError
from lnn2loihi.lava.graph import quiet_lava
from lnn2loihi.lava.memory import SharedBlock
from lnn2loihi.lava.workers import (
    Watchdog,
    Worker,
    any_ended,
    failures,
    interrupts_deferred,
)
from lnn2loihi.simulation.result import OnStep

#: Slots of a channel. All processes finish a step before the next begins, so two are enough;
#: Lava's default of 64 would multiply the memory of large batches.
_CHANNEL_SLOTS = 2
_POLL_SECONDS = 0.005
# Lava's channels make their semaphores by the start method in force. The workers are forks whatever
# it is; and the first semaphore would choose the system's method for everybody.
pypychannel.Semaphore = multiprocessing.get_context("fork").Semaphore


class RunnableGraph(Protocol):
    """Processes that are connected, and share memory with whoever reads what they have found."""

    @property
    def input(self) -> Any:
        """The process that sends samples."""
        ...

    @property
    def processes(self) -> tuple[Any, ...]:
        """All processes."""
        ...

    @property
    def steps(self) -> int:
        """Chip steps to run."""
        ...

    @property
    def progress(self) -> npt.NDArray[np.int64]:
        """(1,): number of steps that have begun."""
        ...

    def run_config(self) -> Any:
        """Lava's run configuration."""
        ...


class _AnonymousMemory:
    """Stands in for Lava's manager of named shared memory."""

    def create_shared_memory(self, size: int) -> SharedBlock:
        return SharedBlock(size)


class _Forks(MessageInfrastructureInterface):
    """Lava's message passing, with guarded workers."""

    def __init__(self) -> None:
        self.smm = _AnonymousMemory()
        self.workers: list[Worker] = []

    @property
    def actors(self) -> list[Worker]:
        return self.workers

    def start(self) -> None:
        """There is nothing to start."""

    def build_actor(self, target_fn: Callable[[], object], builder: Any) -> None:
        self.workers.append(Worker(builder, target_fn))

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
        for worker in self.workers:
            worker.close()
        self.workers.clear()

    def channel_class(self, channel_type: ChannelType) -> type[PyPyChannel]:
        return PyPyChannel


def _build_and_start(builder: Any) -> None:
    builder.build().start()


class GuardedRuntime(Runtime):
    """Runs an executable; see the module's docstring."""

    def __init__(self, executable: Any) -> None:
        super().__init__(executable, ActorType.MultiProcessing)
        self._forks = _Forks()

    @property
    def workers(self) -> list[Worker]:
        """The workers, as long as there are any."""
        return self._forks.workers

    def _build_message_infrastructure(self) -> None:
        self._messaging_infrastructure = self._forks

    def _build_processes(self) -> None:
        for process, builder in self._executable.proc_builders.items():
            self._forks.build_actor(partial(_build_and_start, builder), process.name)

    def _build_runtime_services(self) -> None:
        for builder in (self._executable.runtime_service_builders or {}).values():
            self._forks.build_actor(partial(_build_and_start, builder), "runtime service")

    def initialize(self, node_cfg_idx: int = 0) -> None:
        """Starts the workers. Unlike Lava's, it does not wait for them: `done` sees failures."""
        self._build_watchdog_manager()
        self._build_message_infrastructure()
        self._build_channels()
        self._build_sync_channels()
        self._build_processes()
        self._build_runtime_services()
        self._start_ports()
        self._is_initialized = True

    def done(self) -> bool:
        """Whether the run has ended well; waits a few milliseconds.

        Raises:
            LavaRunError: a worker has failed, with its traceback.
        """
        if any_ended(self._forks.workers, _POLL_SECONDS):
            raise LavaRunError("run in Lava", failures(self._forks.workers))
        if not all(port.probe() for port in self.service_to_runtime):
            return False
        answers = [port.recv() for port in self.service_to_runtime]
        if not all(enum_equal(answer, MGMT_RESPONSE.DONE) for answer in answers):
            raise LavaRunError("run in Lava", failures(self._forks.workers))
        return True

    def stop(self) -> None:
        """Ends everything at once; may be called again."""
        self._is_started = self._is_running = False
        self._forks.stop()
        ours = [*self.runtime_to_service, *self.service_to_runtime]
        for port in self._open_ports:
            port.join()
        for port in ours:
            if port.thread is not None and port.thread.ident is not None:  # was started
                port.thread.join()
        self._open_ports.clear()


def run_graph(graph: RunnableGraph, on_step: OnStep | None, time_limit: float | None) -> None:
    """Runs a graph to its last step.

    Args:
        graph: a graph that has not run yet.
        on_step: called with the steps done and the steps in all whenever that has changed.
        time_limit: seconds; None for no limit.

    Raises:
        LavaRunError: a worker raised an exception or died (the message carries its traceback),
            was stopped and stays so, or the time limit has passed.
        KeyboardInterrupt: Ctrl-C, after all workers have ended.
    """
    deadline = None if time_limit is None else monotonic() + time_limit
    runtime: GuardedRuntime | None = None
    try:
        runtime = _compile(graph)
        with interrupts_deferred():
            _start(runtime, graph.steps)
        seen = 0
        watchdog = Watchdog(runtime.workers)
        while not runtime.done():
            watchdog.check()
            seen = _notify(on_step, seen, int(graph.progress[0]) - 1, graph.steps)
            if deadline is not None and monotonic() > deadline:
                raise LavaRunError(
                    "run in Lava",
                    f"stopped in step {graph.progress[0]} of {graph.steps}: the time limit of "
                    f"{time_limit:g} s has passed; allow more, or give fewer samples",
                )
        _notify(on_step, seen, graph.steps, graph.steps)
    finally:
        with interrupts_deferred():
            if runtime is not None:
                runtime.stop()
            _forget(graph)


def _notify(on_step: OnStep | None, seen: int, done: int, steps: int) -> int:
    if on_step is not None and done > seen:
        on_step(done, steps)
    return max(seen, done)


def _compile(graph: RunnableGraph) -> GuardedRuntime:
    try:
        with quiet_lava():
            options = {"pypy_channel_size": _CHANNEL_SLOTS}
            return GuardedRuntime(graph.input.compile(graph.run_config(), options))
    except Exception as error:  # whatever Lava's compiler raises: mostly bare assertions
        raise LavaRunError("compilation in Lava", _described(error)) from error


def _start(runtime: GuardedRuntime, steps: int) -> None:
    try:
        # Quiet, because Python 3.12 and later warns of forks where there are threads; and one at
        # a time, so that no worker inherits the pipe by which another one reports its end.
        with quiet_lava():
            runtime.initialize()
        runtime.start(RunSteps(num_steps=steps, blocking=False))
    except Exception as error:  # no memory, too many processes or open files
        raise LavaRunError("start of Lava's workers", _described(error)) from error


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _forget(graph: RunnableGraph) -> None:
    """Lava keeps every process and variable, weights too, until the interpreter ends."""
    processes = set(graph.processes)
    variables = {id(variable) for process in processes for variable in process.vars}
    server = ProcessServer()
    server.processes = [p for p in server.processes if p not in processes]
    VarServer().vars = [v for v in VarServer().vars if id(v) not in variables]
