"""Times `quantize`, and measures its memory, where networks, inputs or stacks are large.

    python benchmarks/quantize.py                              # all cases, some minutes
    python benchmarks/quantize.py --cases cfc-4096-10 ltc-200
    python benchmarks/quantize.py --cases gru-wide --correction none

Each case runs in a process of its own, which makes random weights, quantizes them and simulates
the program. The figures are processor seconds of `quantize` and of `simulate` alone, and the
largest resident memory of the whole process, interpreter and float network included (before:
the same before `quantize`).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lnn2loihi import quantize, simulate
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.gru.layer import GRULayer
from lnn2loihi.families.ltc.layer import LTCLayer
from lnn2loihi.network import Linear, LiquidNetwork
from lnn2loihi.quantization.rounding import CORRECTIONS
from lnn2loihi.tables import text_table

#: Inputs and outputs of networks that do not say otherwise; sequences and steps to calibrate with.
INPUTS, OUTPUTS, BATCH, STEPS = 8, 4, 16, 50
#: Recipes of cases whose sums no 24-bit accumulator holds with inputs of 12 bits.
RECIPES = {"gru-wide": "w8a12x8"}
#: Channels of an input that is an image of this many pixels a side.
WIDE = 256 * 256


def _readout(rng: np.random.Generator, units: int) -> Linear:
    weight = rng.normal(0.0, 1.0 / np.sqrt(units), (OUTPUTS, units))
    return Linear("readout", weight, rng.normal(0.0, 0.1, OUTPUTS))


def cfc(units: int, density: float) -> LiquidNetwork:
    """A CfC layer of random weights with a readout."""
    rng = np.random.default_rng(units)
    columns = INPUTS + units
    gates = []
    for name in CfCLayer.gates:
        weight = rng.normal(0.0, 1.5 / np.sqrt(density * columns), (units, columns))
        if density < 1.0:
            weight *= rng.random(weight.shape) < density
        gates.append(Linear(name, weight, rng.normal(0.0, 0.3, units)))
    return LiquidNetwork("cfc", (CfCLayer("layer", *gates),), _readout(rng, units))


def ltc(units: int) -> LiquidNetwork:
    """An LTC in which every unit hears every input and every other."""
    rng = np.random.default_rng(units)
    shape = (units, INPUTS + units)
    conductance = Linear("conductance", rng.uniform(0.1, 1.0, shape), rng.uniform(0.1, 1.0, units))
    sign = rng.choice([-1, 1], shape)
    current = Linear("current", conductance.weight * sign, 0.3 * conductance.bias)
    slope, offset = rng.normal(0.0, 3.0, shape), rng.normal(0.0, 1.0, shape)
    capacitance = rng.uniform(0.3, 1.0, units) * units
    wiring = np.ones(shape, np.bool_)
    layer = LTCLayer("ltc", slope, offset, conductance, current, capacitance, wiring, unfolds=6)
    return LiquidNetwork("ltc", (layer,), _readout(rng, units), 1.0)


def gru(units: int, inputs: int = INPUTS, layers: int = 1) -> LiquidNetwork:
    """GRU layers in a row."""
    rng = np.random.default_rng(units)
    made, before = [], inputs
    for number in range(layers):
        gates = []
        for name in GRULayer.names:
            weight = rng.normal(0.0, 1.0 / np.sqrt(before + units), (units, before + units))
            if name == "candidate_input":
                weight[:, before:] = 0.0
            if name == "candidate_recurrent":
                weight[:, :before] = 0.0
            gates.append(Linear(name, weight, rng.normal(0.0, 0.1, units)))
        made.append(GRULayer(f"layer_{number}", tuple(gates)))
        before = units
    return LiquidNetwork("gru", tuple(made), _readout(rng, units))


CASES: dict[str, Callable[[], LiquidNetwork]] = {
    "cfc-64": lambda: cfc(64, 1.0),
    "cfc-256": lambda: cfc(256, 1.0),
    "cfc-1024": lambda: cfc(1024, 1.0),
    "cfc-1024-10": lambda: cfc(1024, 0.1),
    "cfc-2048-10": lambda: cfc(2048, 0.1),
    "cfc-4096-10": lambda: cfc(4096, 0.1),
    "cfc-4096": lambda: cfc(4096, 1.0),
    "ltc-32": lambda: ltc(32),
    "ltc-100": lambda: ltc(100),
    "ltc-200": lambda: ltc(200),
    "gru-wide": lambda: gru(16, WIDE),
    "gru-20-layers": lambda: gru(16, layers=20),
    "gru-60-layers": lambda: gru(16, layers=60),
    "gru-100-layers": lambda: gru(16, layers=100),
}


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def measure(case: str, correction: str) -> dict[str, Any]:
    """Quantizes one case in this process."""
    network = CASES[case]()
    x = np.random.default_rng(1).normal(size=(BATCH, STEPS, network.input_size))
    before, begin = peak_megabytes(), time.process_time()
    program = quantize(network, x, RECIPES.get(case, "w8a12"), correction=correction)
    quantized, done = peak_megabytes(), time.process_time()
    simulate(program, x, "blas")
    return {
        "synapses": f"{program.synapses:,}",
        "quantize, CPU s": f"{done - begin:.1f}",
        "simulate, CPU s": f"{time.process_time() - done:.1f}",
        "before, MB": f"{before:.0f}",
        "quantize, MB": f"{quantized:.0f}",
        "simulate, MB": f"{peak_megabytes():.0f}",
        "signal/noise": f"{program.table[-1]['signal_to_noise_db']:.1f} dB",
    }


def main() -> None:
    """See the module's documentation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--correction", choices=CORRECTIONS, default="full")
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.correction)))
        return
    rows: list[tuple[Any, ...]] = []
    headers: list[str] = ["case", "refused"]
    for case in arguments.cases:
        command = [sys.executable, __file__, "--one", case, "--correction", arguments.correction]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            last = (run.stderr.strip().splitlines() or [f"exit {run.returncode}"])[-1]
            rows.append((case, last[:100]))
            continue
        found = json.loads(run.stdout.splitlines()[-1])
        headers = ["case", *found]
        rows.append((case, *found.values()))
    width = len(headers)
    print(text_table(headers, [(*row, *("",) * (width - len(row))) for row in rows]))


if __name__ == "__main__":
    main()
