"""Sizes of exported files against the weights' own bytes, and what they take to make and run.

    OMP_NUM_THREADS=1 python benchmarks/onnx_files.py [--quick]

A weight is one byte (the mantissa of a live synapse) in integers, half of one with four bits, and
four in floating point. Times are CPU times of one thread: of `export` (its check included), of
loading the file in onnxruntime, and of a sample-step of one sequence and of 64. Prints the table of
docs/onnx.md. The networks are untrained.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import onnxruntime
from cases import auto_ncp, layer, prepared
from timing import seconds_of

from lnn2loihi.exporting import export
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import LoihiProgram

BATCHES, STEPS = (1, 64), 16
#: Units and share of live synapses of single layers with 32 inputs and 8 outputs.
LAYERS = ((600, 1.0), (1024, 0.5), (1024, 0.25), (2048, 0.1), (2048, 0.05), (4096, 0.02))
#: Networks that are also shown with weights of 4 bits.
NARROW = ("AutoNCP(128, 8)", "600 units at 100 %")
HEADER = (
    "network", "live weights", "file, bytes", "bytes a weight", "file / weights",
    "beyond the weights", "export s", "load s",
    *(f"us a sample-step, batch {batch}" for batch in BATCHES),
)  # fmt: skip


def networks(quick: bool) -> list[tuple[str, LiquidNetwork]]:
    """Names and networks, from small to large."""
    found = [
        ("AutoNCP(32, 4)", auto_ncp(8, 32, 4)[0]),
        ("AutoNCP(128, 8)", auto_ncp(16, 128, 8)[0]),
    ]
    for units, density in LAYERS[: 1 if quick else None]:
        name = f"{units} units at {100 * density:g} %"
        found.append((name, layer(32, units, density, 8)))
    return found


def row(name: str, source: LiquidNetwork | LoihiProgram, width: float) -> str:
    """A row of the table; `width` is the size of a weight in bytes."""
    made: list[Any] = []
    export_seconds, _ = seconds_of(lambda: made.append(export(source, _format(source))))
    content = made[0].SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    load_seconds, _ = seconds_of(
        lambda: made.append(
            onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        )
    )
    times = [microseconds(made[1], batch) for batch in BATCHES]
    weights = width * source.synapses
    cells = (
        name, f"{source.synapses:,}", f"{len(content):,}", f"{len(content) / source.synapses:.2f}",
        f"{len(content) / weights:.2f}", f"{(len(content) - weights) / 1000:,.0f} kB",
        f"{export_seconds:.2f}", f"{load_seconds:.2f}", *(f"{time:.1f}" for time in times),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def microseconds(session: Any, batch: int) -> float:
    """The best of three calls, for each sample-step."""
    kinds = {"tensor(int32)": np.int32, "tensor(float)": np.float32}
    sizes = {"batch": batch, "time": STEPS}
    feed = {
        value.name: np.zeros(
            [sizes[n] if isinstance(n, str) else n for n in value.shape], kinds[value.type]
        )
        for value in session.get_inputs()
    }
    session.run(["y"], feed)
    seconds = min(seconds_of(lambda: session.run(["y"], feed))[0] for _ in range(3))
    return 1e6 * seconds / (batch * STEPS)


def _format(source: LiquidNetwork | LoihiProgram) -> str:
    return "onnx" if isinstance(source, LoihiProgram) else "onnx-float"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the small ones only")
    chosen = parser.parse_args()
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for name, network in networks(chosen.quick):
        program, _ = prepared(network)
        print(row(f"{name}, integers", program, 1), flush=True)
        if name in NARROW:
            program, _ = prepared(network, "w4a12")
            print(row(f"{name}, integers w4a12", program, 0.5), flush=True)
        print(row(f"{name}, float32", network, 4), flush=True)


if __name__ == "__main__":
    main()
