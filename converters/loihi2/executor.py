"""Runs programs of stock neurons on a board, with the script that owners of boards are given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lnn2loihi.converters.loihi2.network_file import check_size, network_file
from lnn2loihi.errors import BackendMissingError, LavaRunError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.lava.stock import StockExecutor
from lnn2loihi.lava.stock_plan import stock_plan
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.executor import FullState
from lnn2loihi.simulation.result import IntegerRun, OnStep, recorded_words

#: What Lava itself looks for (lava.utils.loihi.is_installed).
EXTENSION = "lava.utils.loihi2_profiler"
#: Exit codes of the script: integers as expected, others; and no board.
RAN, NO_BOARD = (0, 1), 3
#: Lines of what Lava has printed that an error shows.
_LINES = 20


class Loihi2(StockExecutor):
    """Entry point `loihi2` of the group `lnn2loihi.executors`.

    It records every population, which takes an adapter for each; sequences run one after another.

    Args:
        arguments: further ones of the script. With "--sim" it runs in Lava's simulator, where
            tests put stand-ins for adapters.
    """

    independent = (
        "neurons and synapses are those of a Loihi 2 board, behind Intel's extension of Lava"
    )

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._arguments = tuple(arguments)

    def reason_against(self, program: LoihiProgram) -> str:
        """What is in the way of Lava's own processes, or which module is missing."""
        if reasons := super().reason_against(program):
            return reasons
        if "--sim" not in self._arguments and not _is_here(EXTENSION):
            return (
                f"module {EXTENSION} is missing, of Intel's extension of Lava, which members of "
                "its research community get; lava-stock runs the same processes in Lava's "
                'simulator, and export(program, "board/", format="loihi2") writes a folder that '
                "whoever has a board can run"
            )
        return ""

    def run(
        self,
        program: LoihiProgram,
        inputs: IntegerArray,
        initial_state: FullState,
        on_step: OnStep | None = None,
    ) -> IntegerRun:
        """Runs all sequences, one after another.

        Args:
            program: what to run.
            inputs: encoded samples, int64 (batch, updates, channels).
            initial_state: for each population and state word int64 (batch, neurons).
            on_step: called at the end.

        Raises:
            BackendMissingError: the environment names no board that can be used; says what to set.
            LavaRunError: the script failed; says what it printed.
        """
        batch, updates = inputs.shape[:2]
        # Updates are what is run here; a sample that is sent several times is several of them.
        once = _once(program)
        check_size(once, batch * updates)
        content = network_file(once, inputs, np.full(batch, updates), initial_state)
        with tempfile.TemporaryDirectory(prefix="lnn2loihi-") as folder:
            place = Path(folder)
            (place / "network.npz").write_bytes(content)
            script = files("lnn2loihi.converters.loihi2") / "script" / "run.py"
            (place / "run.py").write_bytes(script.read_bytes())
            said = _call(place, ("--trace", "--save", str(place / "got.npz"), *self._arguments))
            with np.load(place / "got.npz", allow_pickle=False) as file:
                got = {name: file[name] for name in file.files}
            with np.load(place / "network.npz", allow_pickle=False) as file:
                sent = file["sent"]
        if on_step is not None:
            on_step(int(said["steps"]), int(said["steps"]))
        board = said["board"] or said["partition"] or said["on"]
        return IntegerRun(
            f"Loihi 2 ({board}, {said['loihi_gen']})",
            _states(once, got, sent + int(said["shift"]), (batch, updates)),
        )


def _once(program: LoihiProgram) -> LoihiProgram:
    """The program for one sequence, with an update for each sample."""
    program = program if program.schedule.interleave == 1 else program.interleaved(1)
    return replace(program, substeps=1)


def _states(
    program: LoihiProgram,
    got: Mapping[str, Any],
    sent: IntegerArray,
    shape: tuple[int, int],
) -> dict[str, dict[str, IntegerArray]]:
    """What was recorded, for each population and its word int64 (batch, updates, neurons)."""
    plan, schedule = stock_plan(program), program.schedule
    found: dict[str, dict[str, IntegerArray]] = {}
    for p in program.populations:
        (word,) = recorded_words(p.program)
        if p.name in plan.constants:
            values = np.broadcast_to(plan.constants[p.name], (*shape, p.size)).copy()
        else:
            steps = sent + schedule.first_valid[p.name] - schedule.first_input
            values = got[p.name][steps].astype(np.int64).reshape(*shape, p.size)
        found[p.name] = {word: values}
    return found


def _call(folder: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """The line that the script prints."""
    made = subprocess.run(
        [sys.executable, "-W", "ignore", folder / "run.py", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )  # fmt: skip
    last = "\n".join(made.stderr.splitlines()[-_LINES:])
    if made.returncode == NO_BOARD:
        raise BackendMissingError("executor loihi2", last)
    if made.returncode not in RAN:
        raise LavaRunError("run on a board", f"ended with exit code {made.returncode}\n{last}")
    return json.loads(made.stdout)


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
