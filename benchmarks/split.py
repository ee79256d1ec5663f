"""Counts equal values: programs of every family, and what the targets `split` make of them.

    python benchmarks/split.py [--values 1000000] [--families CfC,LTC] [--executors reference]

Each family runs in rounds: in every one another random network (the generators of the tests),
recipe, batch and initial state, as in benchmarks/equality.py. The source runs on the reference,
what a target makes of it on the executors; the reference and Lava run it in chip time, port by
port, the others in the time of samples. Prints the table of docs/targets.md: for each family and
target chip steps of an update before and after, most accumulators of a neuron, neurons, values that
were compared; exit code 2 if anything differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from engines import random_start
from equality import CALIBRATION, FAMILIES, RECIPES, ROUND, STEPS, Made, of_variant, words
from graphs import INPUTS, KINDS, graph
from variants import Variant, network, samples

from lnn2loihi.errors import TargetError
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.targets import target_of
from lnn2loihi.verification.verb import verify

#: Kinds of layers whose units become several neurons.
OF_CFCS = ("cfc", "cfc no_gate", "cfc pure", "cfc backbone", "relu", "tanh")
PRODUCT = Variant(after="product")
TARGETS = ("split", "split_one", "split_graph")


def of_graphs(irregular: bool, kinds_of: Sequence[str]) -> Callable[[int], Made]:
    """Networks whose layers hear several others."""

    def make(seed: int) -> Made:
        rng = np.random.default_rng(seed)
        kinds = tuple(map(str, rng.choice(kinds_of, int(rng.integers(2, 6)))))
        net = graph(seed, ("cfc", *kinds), irregular)

        def drawn(batch: int, steps: int, number: int) -> tuple[Any, Any]:
            own = np.random.default_rng((seed, number))
            x = own.normal(size=(batch, steps, INPUTS))
            return x, own.choice([0.0, 0.5, 1.0, 2.0], (batch, steps)) if irregular else None

        return net, drawn

    return make


def of_linear_heads(variant: Variant) -> Callable[[int], Made]:
    """CfCs whose heads have no tanh, as those of ncps.keras."""

    def make(seed: int) -> Made:
        net, drawn = of_variant(variant)(seed)
        layers = tuple(replace(layer, heads="linear") for layer in net.layers)  # type: ignore[call-arg]
        return replace(net, layers=layers), drawn

    return make


MAKERS: dict[str, Callable[[int], Made]] = {
    **FAMILIES,
    "CfC with linear heads": of_linear_heads(Variant(layers=2)),
    "CfC with linear heads (irregular time)": of_linear_heads(Variant(layers=2, irregular=True)),
    "a product after a CfC": lambda seed: (
        network(replace(PRODUCT, seed=seed)),
        lambda batch, steps, number: samples(replace(PRODUCT, seed=seed), batch, steps, number),
    ),
    "graphs": of_graphs(False, [*KINDS, "relu", "tanh"]),
    "graphs (irregular time)": of_graphs(True, [*KINDS, "relu", "tanh"]),
    "graphs of CfCs": of_graphs(False, OF_CFCS),
    "graphs of CfCs (irregular time)": of_graphs(True, OF_CFCS),
}


@dataclass
class Count:
    """What a family has come to for a target.

    Attributes:
        family, target: their names.
        shape: of the first program: steps, accumulators and neurons, before and after.
        programs: random programs that were compared.
        compared, differ: values.
        same: programs that the target leaves as they are.
        refused: why it takes none of them; empty where it does.
    """

    family: str
    target: str
    shape: str = ""
    programs: int = 0
    compared: int = 0
    differ: int = 0
    same: int = 0
    refused: str = ""

    def row(self) -> str:
        """As a row of the table."""
        said = f"{self.compared:,}" if self.programs else "as it was"
        cells = (self.family, self.target, self.shape, self.programs, said, self.differ)
        if self.refused:
            cells = (self.family, self.target, "refused", *"-----")
        return f"| {' | '.join(map(str, cells))} |"


def shape(program: LoihiProgram, prepared: LoihiProgram) -> str:
    """Steps of an update, most accumulators of a neuron, and neurons, before and after."""
    widest = [max(p.turns.width for p in one.populations) for one in (program, prepared)]
    return (
        f"{program.schedule.period} -> {prepared.schedule.period} | {widest[0]} -> {widest[1]} | "
        f"{program.neurons} -> {prepared.neurons}"
    )


def compare(family: str, target: str, values: int, executors: list[str]) -> Count:
    """Rounds of a family until so many values have been compared on every executor."""
    total = Count(family, target)
    seed = 0
    while total.compared < values * len(executors) and total.same < len(RECIPES):
        net, drawn = MAKERS[family](seed)
        x, elapsed = drawn(*CALIBRATION, 0)
        program = quantize(net, x, RECIPES[seed % len(RECIPES)], calibrate_timespans=elapsed)
        try:
            prepared = target_of(target).prepare(program)
        except TargetError as error:
            total.refused = error.problems[0]
            return total
        total.shape = total.shape or shape(program, prepared)
        if prepared is program:
            total.same += 1
        else:
            batch = -(-min(ROUND, values) // (words(program) * STEPS * program.substeps))
            x, elapsed = drawn(batch, STEPS, 1)
            start = random_start(program, seed, batch)
            result = verify(
                program, 2 * x, executors, target=target, timespans=elapsed, initial_state=start
            )
            total.programs += 1
            total.compared += result.compared
            total.differ += result.mismatch_count
            if not result.bit_exact:
                print(result.summary(), file=sys.stderr)
        seed += 1
    return total


def main() -> None:
    """Compares all families."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--values", type=int, default=1_000_000, help="per family and target")
    parser.add_argument("--families", default=",".join(MAKERS), help="which, with commas")
    parser.add_argument("--executors", default="reference", help="which, with commas")
    chosen = parser.parse_args()
    names = [name.strip() for name in chosen.families.split(",")]
    unknown = sorted(set(names) - set(MAKERS))
    if unknown or chosen.values < 1:
        parser.error(f"unknown families {unknown}; there are {', '.join(MAKERS)}")
    print("| family | target | steps | accumulators | neurons | programs | compared | differ |")
    print("|---|---|---|---|---|---|---|---|")
    counts: list[Count] = []
    for name in names:
        for target in TARGETS:
            counts.append(compare(name, target, chosen.values, chosen.executors.split(",")))
            print(counts[-1].row(), flush=True)
    for entry in counts:
        if entry.refused:
            print(f"{entry.family}, {entry.target}: {entry.refused}")
    compared, differ = sum(c.compared for c in counts), sum(c.differ for c in counts)
    print(f"\n{compared:,} values in all, {differ} differ.")
    sys.exit(2 if differ else 0)


if __name__ == "__main__":
    main()
