"""Runs a program in Lava, so that it cannot hang and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.kinds import Seconds
from lnn2loihi.lava.graph import build_graph
from lnn2loihi.lava.shim import (
    DISTRIBUTION,
    import_lava,
    lava_version,
    require_lava,
    require_workers,
)
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import State, run_on
from lnn2loihi.simulation.executor import Execution, Executor, FullState
from lnn2loihi.simulation.result import IntegerRun, OnStep, SimulationResult


def execute(
    program: LoihiProgram,
    inputs: IntegerArray,
    initial_state: Mapping[str, Mapping[str, IntegerArray]],
    on_step: OnStep | None = None,
    time_limit: float | None = None,
) -> IntegerRun:
    """Runs a program in Lava on encoded samples.

    Args:
        program: what to run.
        inputs: encoded samples, int64 (batch, time, channels).
        initial_state: for each population and state word int64 (batch, neurons).
        on_step: called from this process with the chip steps done and the chip steps in all, some
            times a second and at the end.
        time_limit: seconds that the run may take, its start included; None for no limit.

    Raises:
        BackendMissingError: Lava is not installed.
        LavaRunError: a process model raised an exception (the message carries its traceback), a
            worker was killed or stays stopped, the time limit has passed, or workers cannot be
            started (in a daemonic process, say).
        KeyboardInterrupt: Ctrl-C; like after every error, all workers have ended.
    """
    require_workers()
    import_lava()
    from lnn2loihi.lava.processes.runtime import run_graph

    graph = build_graph(program, inputs, initial_state)
    run_graph(graph, on_step, time_limit)
    return IntegerRun(f"{DISTRIBUTION} {lava_version()}", graph.recorded())


class LavaExecutor(Executor):
    """Whatever runs in Lava, and so needs it."""

    def reason_against(self, program: LoihiProgram) -> str:
        """Whether lava-nc is missing, and how to install it."""
        try:
            require_lava()
        except BackendMissingError as error:
            return str(error)
        return ""


class Lava(LavaExecutor):
    """Entry point `lava` of the group `lnn2loihi.executors`.

    Args:
        time_limit: see `execute`.
    """

    def __init__(self, time_limit: float | None = None) -> None:
        self._time_limit = time_limit

    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: FullState,
        on_step: OnStep | None = None,
    ) -> IntegerRun:
        """See `execute`."""
        return execute(program, inputs, initial_state, on_step, self._time_limit)


@checks_kinds()
def run_lava(
    program: LoihiProgram,
    x: npt.ArrayLike,
    *,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
    initial_state: State | None = None,
    return_states: bool = False,
    progress: OnStep | None = None,
    time_limit: Seconds | None = None,
) -> SimulationResult:
    """Runs a program on sequences in Lava's process simulator, as `simulate(engine="lava")` does,
    and with a time limit where one is given.

    Args:
        program: what to run.
        x: (batch, time, inputs), as for `simulate`.
        lengths: as for `simulate`.
        timespans: as for `simulate`.
        encoded: as for `simulate`.
        initial_state: as for `simulate`.
        return_states: whether to return every state of every step.
        progress: as for `simulate`.
        time_limit: see `execute`.

    Raises:
        InputError: x or a state does not fit the program.
        BackendMissingError: Lava is not installed.
        LavaRunError: see `execute`.
    """
    return run_on(
        Execution("lava", Lava(time_limit)), program, x, lengths, timespans, encoded,
        initial_state, return_states, None, progress,
    )  # fmt: skip
