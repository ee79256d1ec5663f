"""Times `place` on random programs of 0.1, 1 and 5 million synapses.

    python benchmarks/place.py                    # all of them
    python benchmarks/place.py --synapses 1000000 --rounds 5

A layer of CfC units reads 32 inputs and itself, dense or at 10 %, and a readout of 8 outputs
follows. Times are wall times of one process; `packed` and `fast` alternate, and their ratio is
given. The device is the smallest of the shipped ones that has room.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import numpy as np

from lnn2loihi.devices import load_device
from lnn2loihi.errors import PlacementError
from lnn2loihi.families.cfc.neuron import GATES, cfc_program
from lnn2loihi.families.readout.lowering import linear_program
from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.schedule import derive_schedule
from lnn2loihi.layers.linear import SUM
from lnn2loihi.placement.placement import Placement
from lnn2loihi.placement.verb import OBJECTIVES, place
from lnn2loihi.program import Connection, InputPort, LoihiProgram, Population
from lnn2loihi.tables import text_table

INPUTS, OUTPUTS = 32, 8
SYNAPSES = (100_000, 1_000_000, 5_000_000)
DENSITIES = (1.0, 0.1)
DEVICES = ("loihi2-oheo-gulch", "loihi2-kapoho-point", "loihi2-hala-point")


def layer_program(units: int, density: float, seed: int = 0) -> LoihiProgram:
    """A CfC layer with a readout, random weights of -1 and 1 and messages of 8 bits: their sums
    fit 24 bits whatever the fan-in.
    """
    rng = np.random.default_rng(seed)
    message = FixedPoint(8, 7)
    ends = np.full(INPUTS, message.low), np.full(INPUTS, message.high)
    layer = Population(
        "layer",
        cfc_program((9, 10, 11), message.bits, "ramp12"),
        {
            name: np.ones(units, int)
            for gate in GATES
            for name in (f"{gate}.bias", f"{gate}.multiplier")
        },
        {"h": np.zeros(units, int)},
        message,
        message.low,
        message.high,
        units,
    )
    readout = Population(
        "readout",
        linear_program(6),
        {f"{SUM}.bias": np.zeros(OUTPUTS, int), f"{SUM}.multiplier": np.ones(OUTPUTS, int)},
        {},
        FixedPoint(24, 12),
        -(1 << 23),
        (1 << 23) - 1,
        OUTPUTS,
    )

    def connection(source: str, target: str, gates: tuple[str, ...], shape: Any) -> Connection:
        signs = np.where(rng.random(shape) < 0.5, 1, -1).astype(np.int8)
        weights = np.where(rng.random(shape) < density, signs, 0)
        return Connection.from_dense(source, target, gates, weights)

    connections = (
        connection("input", "layer", GATES, (len(GATES) * units, INPUTS)),
        connection("layer", "layer", GATES, (len(GATES) * units, units)),
        connection("layer", "readout", (SUM,), (OUTPUTS, units)),
    )
    schedule = derive_schedule("input", ["layer", "readout"], connections)
    return LoihiProgram(
        f"layer of {units}",
        "w8a8",
        InputPort("input", message, *ends),
        (layer, readout),
        connections,
        "readout",
        schedule,
    )


def units_for(synapses: int, density: float) -> int:
    """Units of a layer with about so many synapses."""
    wanted = synapses / (density * len(GATES))
    return max(int((-INPUTS + np.sqrt(INPUTS**2 + 4 * wanted)) / 2), 1)


def timed(program: LoihiProgram, device: str, objective: str) -> tuple[Placement, float]:
    """The placement, and the seconds that it took."""
    start = time.perf_counter()
    placement = place(program, device, objective=objective)
    return placement, time.perf_counter() - start


def smallest_device(program: LoihiProgram) -> str:
    """The first device that has room."""
    for device in DEVICES[:-1]:
        try:
            place(program, device, objective="packed")
        except PlacementError:
            continue
        return device
    return DEVICES[-1]


def row(synapses: int, density: float, rounds: int) -> tuple[object, ...]:
    """One row of the table: medians over the rounds."""
    program = layer_program(units_for(synapses, density), density)
    device = smallest_device(program)
    seconds: dict[str, list[float]] = {objective: [] for objective in OBJECTIVES}
    cores: dict[str, int] = {}
    for _ in range(rounds):
        for objective in OBJECTIVES:
            placement, taken = timed(program, device, objective)
            seconds[objective].append(taken)
            cores[objective] = len(placement.cores)
    median = {objective: statistics.median(taken) for objective, taken in seconds.items()}
    return (
        program.populations[0].size,
        f"{density:.0%}",
        program.synapses,
        load_device(device).name,
        cores["packed"],
        f"{median['packed']:.3f}",
        cores["fast"],
        f"{median['fast']:.3f}",
        f"{median['fast'] / median['packed']:.1f}",
        f"{1e6 * median['fast'] / program.synapses:.2f}",
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Times `place`.")
    parser.add_argument("--synapses", type=int, nargs="*", default=list(SYNAPSES))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    headers = ("units", "density", "synapses", "device", "packed cores", "s", "fast cores",
               "s", "ratio", "us a synapse")  # fmt: skip
    rows = [
        row(synapses, density, arguments.rounds)
        for synapses in arguments.synapses
        for density in DENSITIES
    ]
    print(text_table(headers, rows))
    print(f"load averages {' '.join(f'{value:.2f}' for value in os.getloadavg())}")


if __name__ == "__main__":
    main()
