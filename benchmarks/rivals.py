"""Everyone who runs a case, behind one face: our engines, ncps, onnxruntime, and Lava."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
from cases import Case

from lnn2loihi.lava import plan
from lnn2loihi.lava.runner import execute
from lnn2loihi.simulation import encode, full_initial_state, simulate
from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.engine import NativeEngine

#: Synapses and accumulators of all sequences of a Lava run together (about 2 GB).
LARGEST_LAVA = 45_000_000
#: Share of a Lava run that is over before its steps are timed.
WARM_UP = 0.25


@dataclass(frozen=True)
class Runner:
    """Someone who runs a case.

    Attributes:
        name: name in tables.
        prepare: makes its input from float64 (batch, time, inputs); not timed.
        run: what is timed.
    """

    name: str
    prepare: Callable[[npt.NDArray[np.float64]], Any]
    run: Callable[[Any], Any]


def our_engines(case: Case) -> list[Runner]:
    """`simulate` with each engine, and the C engine at its lower levels."""

    def by_name(engine: str) -> Runner:
        label = "c " + library.usable_levels()[0].name if engine == "c" else engine
        return Runner(
            label,
            lambda x: x,
            lambda x: simulate(case.program, x, engine=engine, threads=1),
        )

    lower = [at_level(case, level) for level in library.usable_levels()[1:] if level.vector]
    return [by_name("c"), *lower, by_name("blas"), by_name("reference")]


def at_level(case: Case, level: library.Level) -> Runner:
    """The C engine at one instruction-set level."""
    engine = NativeEngine(case.program, level)

    def run(x: npt.NDArray[np.float64]) -> Any:
        lengths = np.full(len(x), x.shape[1], np.int64)
        start = full_initial_state(case.program, len(x), None)
        return engine.run(x, lengths, start, threads=1)[0]

    return Runner(engine.name, np.ascontiguousarray, run)


def ncps_eager(case: Case) -> Runner:
    """The ncps module as it is, without gradients, on one thread."""
    import torch

    torch.set_num_threads(1)

    def run(x: Any) -> Any:
        with torch.no_grad():
            return case.module(x)[0]

    return Runner("ncps eager", lambda x: torch.from_numpy(x.astype(np.float32)), run)


def onnx_scan(case: Case) -> Runner:
    """The network in onnxruntime, in float32, on one thread."""
    from onnx_float import OnnxFloat

    model = OnnxFloat(case.network)
    return Runner("onnxruntime float", model.prepare, model.run)


@dataclass(frozen=True)
class LavaRun:
    """A timed run in Lava.

    Attributes:
        width: sequences side by side.
        steps: steps of the run.
        step_seconds: wall time of a step after the first quarter of the run.
        total_seconds: wall time of the whole run, from the program to the results.
        compared: values that were equal to the C engine's.
    """

    width: int
    steps: int
    step_seconds: float
    total_seconds: float
    compared: int

    @property
    def nanoseconds(self) -> float:
        """Wall time of a sample-step."""
        return self.step_seconds / self.width * 1e9


def lava_widths(case: Case, widths: tuple[int, ...]) -> list[int]:
    """The widths that memory admits."""
    return [w for w in widths if w * plan.size_of_one(case.program) <= LARGEST_LAVA]


def lava(case: Case, width: int, steps: int) -> LavaRun:
    """Runs `width` sequences side by side, and compares what they answer.

    Start-up is left out: a step's time is the slope of the progress that the run reports.

    Raises:
        AssertionError: Lava's integers are not those of the C engine.
    """
    x = case.samples(width, steps)
    inputs, _ = encode(case.program, x)
    seen: list[tuple[float, int]] = []
    begin = time.perf_counter()
    with mock.patch.object(plan, "LARGEST_SIZE", LARGEST_LAVA):
        run = execute(
            case.program,
            inputs,
            full_initial_state(case.program, width, None),
            lambda done, _: seen.append((time.perf_counter(), done)),
        )
    total = time.perf_counter() - begin
    # The last entry is the end of the run, which includes nothing but the last steps.
    (first, done), (last, all_of_them) = next(s for s in seen if s[1] >= WARM_UP * steps), seen[-1]
    if all_of_them <= done:
        raise RuntimeError(f"{steps} steps are too few to time: they ended within a poll")
    ours = simulate(case.program, x).integers
    theirs = run.outputs(case.program)
    assert np.array_equal(ours, theirs), f"{case.name}: Lava's integers differ"
    return LavaRun(width, steps, (last - first) / (all_of_them - done), total, ours.size)
