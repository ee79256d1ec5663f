"""Times a step of generated C in a loop of its own, beside the Python stream and onnxruntime.

    pip install "lnn2loihi[onnx,torch]" && apt-get install gcc
    python benchmarks/c99_speed.py [--rounds 9] [--budget 0.1] [--json FILE]

Networks are the shipped damped_sine (w4a8x12) and AutoNCP(128, 8) of benchmarks/cases.py (16
inputs, untrained: time does not depend on values). Before anything is timed, the C loop has to
answer what the engine answers, bit for bit. All take turns in each round, one sequence and one
thread, in CPU time of this process; figures are medians of the rounds, the fastest round beside
them. A step of C and of both streams includes rounding samples to messages, and decoding.
Exit code 2 if an answer differs, 3 if there is no compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cases import auto_ncp, prepared
from timing import seconds_of

import lnn2loihi as l2l
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.exporting import export
from lnn2loihi.files import write_atomically
from lnn2loihi.measure.engine_session import EngineSession
from lnn2loihi.measure.generated_session import GeneratedSession
from lnn2loihi.measure.onnx_session import OnnxSession
from lnn2loihi.measure.runner import Session
from lnn2loihi.micro.loop import FLAGS
from lnn2loihi.micro.tools import host_compiler, version_line
from lnn2loihi.models import damped_sine
from lnn2loihi.tables import text_table

STEPS, CHECKED = 4096, 20_000
#: Steps that are aimed for: microseconds of generated C on this class of machine.
TARGETS = {"damped_sine": 0.4, "AutoNCP(128, 8)": 3.0}
C, STREAM, ONNX = "generated C, loop", "Python stream, engine c", "onnxruntime, loop"


def networks() -> dict[str, tuple[l2l.LiquidNetwork, l2l.LoihiProgram]]:
    """What is timed."""
    large = auto_ncp(16, 128, 8)[0]
    return {
        "damped_sine": (damped_sine.load(), damped_sine.program()),
        "AutoNCP(128, 8)": (large, prepared(large)[0]),
    }


def loop(session: Session, x: np.ndarray) -> tuple[Callable[[], Any], int]:
    """A call of a whole sequence, and its steps."""
    given = session.prepare(x[None], None)
    return lambda: session.run(given), len(x)


def stream(session: Session, x: np.ndarray) -> tuple[Callable[[], Any], int]:
    """Calls of all samples, one after the other, and how many."""
    step, samples = session.open_stream(), session.prepare_steps(x, None)
    return lambda: [step(sample) for sample in samples], len(x)


def timed(
    network: l2l.LiquidNetwork, program: l2l.LoihiProgram, rounds: int, budget: float
) -> dict[str, list[float]]:
    """Microseconds of a step in each round, for each way to run it."""
    x = np.random.default_rng(5).normal(size=(STEPS, program.channels))
    generated, engine = GeneratedSession(program), EngineSession(program, "c", 1)
    onnx = OnnxSession(export(network, "onnx-float").SerializeToString(), "cpu", 1)
    ways = {
        C: loop(generated, x),
        "engine c, loop": loop(engine, x),
        STREAM: stream(engine, x),
        ONNX: loop(onnx, x),
        "onnxruntime, one call a step": stream(onnx, x[:256]),
    }
    calls = {n: max(int(budget / max(seconds_of(f)[0], 1e-4)), 1) for n, (f, _) in ways.items()}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (call, steps) in ways.items():
            spent = sum(seconds_of(call)[0] for _ in range(calls[name]))
            found[name].append(1e6 * spent / (calls[name] * steps))
    return found


def differing(program: l2l.LoihiProgram) -> int:
    """Answers of CHECKED steps that are not those of the engine."""
    x = 2.0 * np.random.default_rng(6).normal(size=(1, CHECKED, program.channels))
    session = GeneratedSession(program)
    answer = session.run(session.prepare(x, None))
    return int((answer != l2l.simulate(program, x).outputs).sum())


def main() -> int:
    """Prints a table for each network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--budget", type=float, default=0.1, help="seconds of a round, each way")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        print(f"{version_line(host_compiler())}, {' '.join(FLAGS)}")
    except BackendMissingError as error:
        print(error, file=sys.stderr)
        return 3
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    results: dict[str, dict[str, list[float]]] = {}
    wrong = 0
    for name, (network, program) in networks().items():
        off = differing(program)
        wrong += off
        print(f"\n{name}, {program.recipe}: {off} of {CHECKED:,} steps answer otherwise")
        found = results[name] = timed(network, program, given.rounds, given.budget)
        own = np.array(found[C])
        rows = [
            (way, f"{statistics.median(us):.3f} us", f"{min(us):.3f} us",
             f"{statistics.median(np.array(us) / own):.1f}")
            for way, us in found.items()
        ]  # fmt: skip
        print(text_table(("a step", "median", "fastest round", "times generated C"), rows))
        told = "met" if statistics.median(found[C]) <= TARGETS[name] else "NOT met"
        print(f"target of {TARGETS[name]} us: {told}")
    if given.json is not None:
        write_atomically(given.json, json.dumps(results, indent=2).encode())
    return 2 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
