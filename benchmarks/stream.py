"""Times a step of `open_stream`, called from Python, beside the same step in a compiled loop.

    pip install "lnn2loihi[torch]" && apt-get install gcc
    python benchmarks/stream.py [--rounds 15] [--budget 0.05]

Networks are the shipped damped_sine (33 neurons), AutoNCP(128, 8) of benchmarks/cases.py (16
inputs, untrained: time does not depend on values), and an untrained AutoNCP(39, 3) with 8 inputs
whose time is irregular. The loop is `simulate` of one sequence on one thread: the C engine's step
with its encoder and decoder. Both take turns in each round, in CPU time of this process; figures
are medians of the rounds. Before anything is timed, both have to answer the same, bit for bit.
Exit code 2 if an answer differs, or if a step of damped_sine from Python takes more than 3
microseconds beyond that of the loop; 3 if there is no compiler.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import auto_ncp, prepared
from timing import seconds_of

import lnn2loihi as l2l
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.models import damped_sine
from lnn2loihi.simulation.choice import execution
from lnn2loihi.tables import text_table

STEPS = 4096
#: Microseconds that a call from Python may add for the smallest network.
MOST = 3.0


def irregular() -> l2l.LoihiProgram:
    """39 neurons, to which the elapsed time is told."""
    import torch
    from ncps.torch import CfC
    from ncps.wirings import AutoNCP

    torch.manual_seed(0)
    module = CfC(8, AutoNCP(39, 3, seed=0), batch_first=True)
    network = l2l.import_network(module, timespan="irregular")
    x = np.random.default_rng(0).normal(size=(16, 64, 8))
    times = np.random.default_rng(1).uniform(0.5, 1.5, (16, 64))
    return l2l.quantize(network, x, calibrate_timespans=times)


def programs() -> dict[str, l2l.LoihiProgram]:
    """What is timed."""
    return {
        "damped_sine": damped_sine.program(),
        "AutoNCP(128, 8)": prepared(auto_ncp(16, 128, 8)[0])[0],
        "AutoNCP(39, 3), irregular time": irregular(),
    }


def ways(program: l2l.LoihiProgram) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A sequence in the loop, and the same from Python, sample by sample."""
    x = np.random.default_rng(5).normal(size=(STEPS, program.channels))
    rows = list(x)
    if not program.timed:
        stream = l2l.open_stream(program, "c")
        return (
            lambda: l2l.simulate(program, x[None], "c", threads=1).outputs[0],
            lambda: [stream.step(row) for row in rows],
        )
    times = np.random.default_rng(6).uniform(0.6, 1.4, STEPS)
    pairs = list(zip(rows, times.tolist(), strict=True))
    timed = l2l.open_stream(program, "c")
    return (
        lambda: l2l.simulate(program, x[None], "c", timespans=times[None], threads=1).outputs[0],
        lambda: [timed.step(row, elapsed) for row, elapsed in pairs],
    )


def main() -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--budget", type=float, default=0.05, help="seconds of a round, each way")
    given = parser.parse_args()
    rows, added = [], {}
    for name, program in programs().items():
        try:
            execution("c").require(program)
        except BackendMissingError as error:
            print(error, file=sys.stderr)
            return 3
        both = ways(program)
        if not np.array_equal(both[0](), np.array(both[1]())):
            print(f"{name}: the stream answers otherwise than the loop", file=sys.stderr)
            return 2
        calls = [max(int(given.budget / max(seconds_of(way)[0], 1e-4)), 1) for way in both]
        spent: list[list[float]] = [[], []]
        for _ in range(given.rounds):
            for way, count, found in zip(both, calls, spent, strict=True):
                seconds = sum(seconds_of(way)[0] for _ in range(count))
                found.append(1e6 * seconds / (count * STEPS))
        difference = [python - loop for loop, python in zip(*spent, strict=True)]
        added[name] = statistics.median(difference)
        neurons = str(sum(p.size for p in program.populations))
        medians = [f"{statistics.median(found):.2f} us" for found in spent]
        rows.append((name, neurons, *medians, f"{added[name]:.2f} us", f"{min(difference):.2f} us"))
    titles = ("a step", "neurons", "in the loop", "from Python", "added", "least added")
    print(text_table(titles, rows))
    met = added["damped_sine"] <= MOST
    told = "met" if met else "NOT met"
    print(f"at most {MOST:g} us added for damped_sine: {told}; load {os.getloadavg()[0]:.1f}")
    return 0 if met else 2


if __name__ == "__main__":
    sys.exit(main())
