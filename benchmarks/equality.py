"""Counts equal values: programs of every family on all executors, every state of every step.

    python benchmarks/equality.py [--values 10000000] [--families CfC,LTC] [--json FILE]

Each family runs in rounds: in every one another random network (the generators of the tests),
recipe, batch and initial state; samples are random, three times as large as those that calibrated,
or the two ends of every channel. Executors that are slow run the first sequences and steps of a
round; the table says how many values each has compared with the reference. Prints the table of
docs/onnx.md; exit code 2 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import state_spaces
from engines import random_start
from lrc_networks import KINDS, random_lrc
from networks import random_ltc
from variants import (
    ACTIVATIONS,
    GATED,
    Variant,
    layer_norm,
    lrc_ssm,
    ltc_behind_memory,
    network,
    samples,
)

from lnn2loihi.files import write_atomically
from lnn2loihi.layers.layer import Layer
from lnn2loihi.network import Linear, LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.simulation.result import recorded_words
from lnn2loihi.verification.verb import ALL, VerificationResult, verify

RECIPES = ("w8a12", "w4a8", "w8a16x12", "w6a10-lines16")
STEPS = 24
#: Values of a round, so that a run of the reference stays small in memory.
ROUND = 500_000
#: Samples of the calibration.
CALIBRATION = (8, 24)

Made = tuple[LiquidNetwork, Callable[[int, int, int], tuple[Any, Any]]]


def of_variant(variant: Variant) -> Callable[[int], Made]:
    """A family of the tests' generator, with another seed every round."""

    def make(seed: int) -> Made:
        own = replace(variant, seed=seed, units=6 + seed % 5, inputs=2 + seed % 3)
        if own.before:
            functions = [name for name in ACTIVATIONS if name != "lecun_tanh"] + ["sigmoid"]
            before, after = (functions[(seed + shift) % len(functions)] for shift in (0, 2))
            own = replace(own, before=before, after=after)
        return network(own), lambda batch, steps, number: samples(own, batch, steps, number)

    return make


def of_ltc(timespan: float | None, memory: bool = False) -> Callable[[int], Made]:
    """LTCs, alone or behind a memory that feeds their input."""

    def made(seed: int) -> LiquidNetwork:
        if memory:
            layer = ltc_behind_memory(seed, timespan)
            return LiquidNetwork("ltc", (layer,), timespan=timespan)
        return random_ltc(seed, units=4 + seed % 5, unfolds=2 + seed % 3, timespan=timespan)

    return _timed(made)


def of_lrc(*kinds: str, timespan: float | None = 1.0) -> Callable[[int], Made]:
    """LRCs of some kinds, which take turns."""
    return _timed(
        lambda seed: random_lrc(
            seed, units=4 + seed % 5, unfolds=1 + seed % 3, timespan=timespan, density=0.8,
            **KINDS[kinds[seed % len(kinds)]],
        )
    )  # fmt: skip


def _timed(made: Callable[[int], LiquidNetwork]) -> Callable[[int], Made]:
    """Networks with elapsed times, where they take them; 0 is among them."""

    def make(seed: int) -> Made:
        net = made(seed)

        def drawn(batch: int, steps: int, number: int) -> tuple[Any, Any]:
            rng = np.random.default_rng((seed, number))
            x = rng.normal(size=(batch, steps, net.input_size))
            elapsed = rng.choice([0.0, 0.5, 1.0, 2.0], (batch, steps))
            return x, elapsed if net.irregular else None

        return net, drawn

    return make


def of_state_space(liquid: bool) -> Callable[[int], Made]:
    """Blocks of complex modes with gated units."""

    def make(seed: int) -> Made:
        net = state_spaces.network(
            seed, inputs=1 + seed % 3, channels=3 + seed % 4, modes=2 + seed % 3, liquid=liquid
        )

        def drawn(batch: int, steps: int, number: int) -> tuple[Any, Any]:
            rng = np.random.default_rng((seed, number))
            return rng.normal(size=(batch, steps, net.input_size)), None

        return net, drawn

    return make


def of_layers(*kinds: Callable[[str, int, int, int], Layer]) -> Callable[[int], Made]:
    """Layers that follow each other, each of its own maker, and a readout."""

    def make(seed: int) -> Made:
        rng = np.random.default_rng(seed)
        inputs, units = 2 + seed % 3, 4 + seed % 5
        layers = tuple(
            kind(f"layer_{place}", units if place else inputs, units, seed + place)
            for place, kind in enumerate(kinds)
        )
        readout = Linear("readout", rng.normal(size=(2, units)), np.zeros(2))

        def drawn(batch: int, steps: int, number: int) -> tuple[Any, Any]:
            return np.random.default_rng((seed, number)).normal(size=(batch, steps, inputs)), None

        return LiquidNetwork(f"layers {seed}", layers, readout), drawn

    return make


FAMILIES: dict[str, Callable[[int], Made]] = {
    "CfC": of_variant(Variant(layers=2)),
    "CfC no_gate": of_variant(Variant(mode="no_gate", layers=2)),
    "CfC pure": of_variant(Variant(mode="pure", layers=2)),
    "CfC (irregular time)": of_variant(Variant(irregular=True, layers=2)),
    "CfC pure (irregular time)": of_variant(Variant(mode="pure", irregular=True)),
    "CfC with backbones": of_variant(Variant(backbone=(7, 5), activation="silu")),
    "CfC with mixed memory": of_variant(Variant(memory=True, irregular=True)),
    "CfC with a shared memory": of_variant(Variant(shared_memory=True, layers=3)),
    "CfC with linear heads": of_variant(Variant(heads="linear", backbone=(7,))),
    "CfC with linear heads (irregular time)": of_variant(
        Variant(heads="linear", irregular=True, layers=2)
    ),
    "CfC behind a memory": of_variant(Variant(input_memory=True, heads="linear", layers=2)),
    "dense layers around a CfC": of_variant(Variant(before="relu", after="gelu")),
    **{family: of_variant(Variant(family=family, layers=2)) for family in GATED},
    "LrcSSM": of_layers(lrc_ssm, lrc_ssm),
    "LayerNorm around an LrcSSM": of_layers(layer_norm, lrc_ssm, layer_norm),
    "LTC": of_ltc(0.7),
    "LTC behind a memory (irregular time)": of_ltc(None, memory=True),
    "LTC (irregular time)": of_ltc(None),
    "S4D": of_state_space(liquid=False),
    "liquid S4D": of_state_space(liquid=True),
    "LRC": of_lrc("asymmetric", "symmetric", "tau"),
    "LRC (irregular time)": of_lrc("symmetric", "asymmetric", "stc tau", timespan=None),
    "LRC (hybrid solver)": of_lrc("hybrid", "hybrid stc", timespan=None),
    "STC": of_lrc("stc", "stc tau"),
}

#: What stands behind the name of a family whose programs have masks of dropout.
MASKS = " with masks"
FAMILIES |= {
    f"{name}{MASKS}": FAMILIES[name]
    for name in ("CfC", "CfC with mixed memory", "dense layers around a CfC", *GATED, "LTC")
}


def rates(net: LiquidNetwork) -> dict[str, float]:
    """Dropout of the input, of what layers hear of themselves, and of what the readout hears."""
    found = {f"{stage.name}.recurrent": 0.2 for stage in net.stages if stage.hears_itself}
    return found | {"input": 0.1, net.layers[-1].parts[-1].name: 0.3}


@dataclass
class Count:
    """What a family has come to.

    Attributes:
        name: its name.
        rounds: random programs.
        compared: values compared with the reference, by executor.
        mismatches: values that differ, of all executors.
        missing: executors that did not run, and why.
        seconds: wall time.
    """

    name: str
    rounds: int
    compared: Counter[str]
    mismatches: int
    missing: dict[str, str]
    seconds: float


def round_of(
    make: Callable[[int], Made],
    seed: int,
    values: int,
    executors: Sequence[str] | str = ALL,
    masks: bool = False,
) -> VerificationResult:
    """Compares one random program on executors; masks are random as all states are."""
    net, drawn = make(seed)
    x, elapsed = drawn(*CALIBRATION, 0)
    program = quantize(
        net, x, RECIPES[seed % len(RECIPES)], calibrate_timespans=elapsed,
        dropout=rates(net) if masks else None,
    )  # fmt: skip
    batch = -(-values // (words(program) * STEPS * program.substeps))
    x, elapsed = drawn(batch, STEPS, 1)
    ends = (program.input.decode(end) for end in (program.input.low, program.input.high))
    low, high = (end[: program.channels] for end in ends)
    where = np.random.default_rng(seed).integers(0, 8, x.shape)
    x = np.where(where == 0, low, np.where(where == 1, high, 3 * x))
    start = random_start(program, seed, batch)
    return verify(program, x, executors, timespans=elapsed, initial_state=start)


def words(program: LoihiProgram) -> int:
    """Values that a step of a sequence records."""
    return sum(p.size * len(recorded_words(p.program)) for p in program.populations)


def count(name: str, values: int, log: Callable[[str], None]) -> Count:
    """Rounds of a family until every executor has compared so many values, or a share of them."""
    total = Count(name, 0, Counter(), 0, {}, 0.0)
    begin = time.perf_counter()
    while max(total.compared.values(), default=0) < values:
        masks = name.endswith(MASKS)
        result = round_of(FAMILIES[name], total.rounds, min(ROUND, values), masks=masks)
        total.rounds += 1
        total.mismatches += result.mismatch_count
        total.missing |= result.missing
        for cell in result.matrix:
            total.compared[cell.executor] += cell.compared
        if not result.bit_exact:
            log(result.summary())
        log(f"{name}: {total.rounds} rounds, {max(total.compared.values()):,} values")
    total.seconds = time.perf_counter() - begin
    return total


def table(counts: Sequence[Count]) -> str:
    """The table as Markdown, in millions of values."""
    executors = list(dict.fromkeys(name for entry in counts for name in entry.compared))
    lines = [
        f"| family | programs | {' | '.join(executors)} | differ |",
        f"|---|---|{'---|' * len(executors)}---|",
    ]
    for entry in counts:
        cells = [
            f"{entry.compared[name] / 1e6:.1f}" if name in entry.compared else "-"
            for name in executors
        ]
        lines.append(
            f"| {entry.name} | {entry.rounds} | {' | '.join(cells)} | {entry.mismatches} |"
        )
    total = sum(sum(entry.compared.values()) for entry in counts)
    lines.append(f"\n{total:,} values in all, {sum(entry.mismatches for entry in counts)} differ.")
    return "\n".join(lines)


def main() -> None:
    """Runs all families."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--values", type=int, default=10_000_000, help="per family and executor")
    parser.add_argument("--families", default=",".join(FAMILIES), help="which, with commas")
    parser.add_argument("--json", type=Path, help="also writes the counts to this file")
    chosen = parser.parse_args()
    names = [name.strip() for name in chosen.families.split(",")]
    unknown = sorted(set(names) - set(FAMILIES))
    if unknown or chosen.values < 1:
        parser.error(f"unknown families {unknown}; there are {', '.join(FAMILIES)}")

    def log(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    counts = [count(name, chosen.values, log) for name in names]
    print(table(counts))
    for entry in counts:
        for name, reason in entry.missing.items():
            print(f"{entry.name}: {name} did not run: {reason}")
    if chosen.json:
        entries = [vars(entry) for entry in counts]
        write_atomically(chosen.json, json.dumps(entries, indent=2).encode())
    sys.exit(2 if any(entry.mismatches for entry in counts) else 0)


if __name__ == "__main__":
    main()
