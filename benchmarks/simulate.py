"""Times the simulator beside everything that a user would pick instead, in one run.

    make benchmark          or, with the extra `onnx` installed:
    python benchmarks/simulate.py [--quick] [--nets ncp32,ncp128] [--rounds 5] [--json FILE]

All engines and rivals run in interleaved rounds; figures are medians. A sample-step is one step
of one sequence. Single-thread engines are timed in CPU time of this process (wall time is in the
JSON), Lava in wall time, since its processes use all cores; ratios to Lava are of wall times.
Every figure includes the whole call of `simulate` up to the integers (4 bytes an output, as the
rivals' floats; decoding to float64 happens on demand), its counters too; what they cost is measured
beside an engine whose counting is cut out of its text.
The networks are untrained: apart from Lava and BLAS caches, time does not depend on values.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cases import NETWORKS, Case, case
from engine_studies import (
    SIZES,
    counting,
    dense_layers,
    flatness,
    narrow_and_short,
    saturation_counts,
    two_threads,
)
from peak import load_microkernels, peaks
from rivals import LavaRun, Runner, lava, lava_widths, ncps_eager, onnx_scan, our_engines
from targets import targets
from timing import Cell, load, measure, planned

from lnn2loihi.files import write_atomically
from lnn2loihi.lava.plan import size_of_one
from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.native.library import compiler, usable_levels
from lnn2loihi.tables import text_table

#: One thread for every library; they read this when they are imported.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
BATCHES = (1, 8, 16, 32, 64, 256, 1024)
LAVA_WIDTHS = (8, 64, 512, 1024, 2048, 4096)
LAVA_ROUNDS = 3
Peaks = dict[str, dict[str, float]]


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one small network, half a minute")
    parser.add_argument("--nets", default=",".join(NETWORKS), help="which networks, with commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=0.2, help="seconds of a measurement")
    parser.add_argument("--json", type=Path, help="also writes everything to this file")
    chosen = parser.parse_args()
    chosen.nets = ["ncp32"] if chosen.quick else chosen.nets.split(",")
    chosen.batches = (1, 16, 64) if chosen.quick else BATCHES
    chosen.widths = (64, 512) if chosen.quick else LAVA_WIDTHS
    chosen.sizes = SIZES[:3] if chosen.quick else SIZES
    if chosen.quick:
        chosen.rounds, chosen.budget = min(chosen.rounds, 2), 0.05
    unknown = sorted(set(chosen.nets) - set(NETWORKS))
    if unknown or chosen.rounds < 1:
        parser.error(f"unknown networks {unknown}; there are {', '.join(NETWORKS)}; rounds >= 1")
    return chosen


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    found = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    versions = {}
    for package in ("numpy", "torch", "ncps", "onnxruntime", "lava-nc", "lnn2loihi"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    command = compiler()
    said = (
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
        if command
        else "none\n"
    )
    family = f"family {found.get('cpu family')} model {found.get('model')}"
    return {
        "cpu": f"{found.get('model name', platform.machine())} ({family})",
        "cores": f"{os.cpu_count()}",
        "levels": " ".join(level.name for level in usable_levels()),
        "load": load(),
        "python": platform.python_version(),
        "compiler": said.splitlines()[0],
        **versions,
    }


def compared_values(chosen: Case, runners: list[Runner]) -> int:
    """Runs all engines on the same samples; the number of values that were equal to C's.

    Raises:
        AssertionError: two engines differ.
    """
    steps = 20 if chosen.network.units < 2000 else 4
    x = chosen.samples(130, steps, seed=7)
    truth, count = simulate(chosen.program, x, engine="c"), 0
    for runner in runners:
        few = 6 if runner.name == "reference" else len(x)
        result = runner.run(runner.prepare(x[:few]))
        pairs = [(result.integers, truth.integers[:few])]
        for name, words in result.final_state.items():
            pairs += [(v, truth.final_state[name][word][:few]) for word, v in words.items()]
        if few == len(x):
            pairs += [(v, truth.counters.changed[n]) for n, v in result.counters.changed.items()]
            pairs += [(v, truth.counters.non_zero[n]) for n, v in result.counters.non_zero.items()]
        for mine, other in pairs:
            assert (mine == other).all(), f"{chosen.name}: {runner.name} differs from C"
            count += mine.size
    return count


def float_difference(chosen: Case, rivals: list[Runner]) -> float:
    """Largest difference of the float rivals from float64."""
    x = chosen.samples(3, 10)
    truth = chosen.network.evaluate(x).outputs
    answers = [r.run(r.prepare(x)) for r in rivals]
    answers = [a.swapaxes(0, 1) if a.shape[0] == 10 else a.numpy() for a in answers]
    return max(float(abs(a - truth).max()) for a in answers)


def lava_steps(chosen: Case, width: int, quick: bool) -> int:
    """Steps of a Lava run that make it a second or two."""
    steps = int(60e6 / (width * size_of_one(chosen.program)))
    return min(max(steps, 60), 200 if quick else 800)


def lava_round(chosen: Case, runs: list[LavaRun], given: argparse.Namespace) -> None:
    """Adds runs: of all widths in the first round, then of one sequence and of the best width."""
    widths = [1, *lava_widths(chosen, given.widths)]
    if runs:
        widths = [1, min(runs, key=lambda run: run.nanoseconds).width]
    for width in dict.fromkeys(widths):
        runs.append(lava(chosen, width, lava_steps(chosen, width, given.quick)))


def lava_medians(runs: list[LavaRun]) -> dict[int, float]:
    """Wall nanoseconds of a sample-step by width."""
    widths = sorted({run.width for run in runs})
    return {w: statistics.median(r.nanoseconds for r in runs if r.width == w) for w in widths}


def time_net(name: str, given: argparse.Namespace, found_peaks: list[Peaks]) -> tuple[Case, Any]:
    """Times one network; prints its tables."""
    chosen = case(name)
    engines, rivals = our_engines(chosen), [ncps_eager(chosen), onnx_scan(chosen)]
    count, difference = compared_values(chosen, engines), float_difference(chosen, rivals)
    print(f"\n== {name}: {NETWORKS[name][0]} ==")
    print(
        f"{chosen.program.neurons:,} neurons, {chosen.program.synapses:,} synapses, "
        f"{chosen.multiply_adds:,} multiply-adds a sample-step; quantize took "
        f"{chosen.quantize_seconds:.1f} s\nengines agree in {count:,} values; float rivals are "
        f"within {difference:.1g} of float64"
    )
    cells = {
        (r.name, batch): planned(chosen, r, batch, given.budget)
        for r in (*engines, *rivals)
        for batch in given.batches
    }
    runs: list[LavaRun] = []
    before, microkernels = load(), load_microkernels()
    for number in range(given.rounds):
        found_peaks.append(peaks(microkernels))
        for batch in given.batches:
            for runner in (*engines, *rivals):
                measure(chosen, runner, batch, cells[runner.name, batch])
        if number < LAVA_ROUNDS:
            lava_round(chosen, runs, given)
    print(f"load before {before}, after {load()}\n")
    result = summary(chosen, cells, runs, given.batches)
    result |= {"compared": count, "float_difference": difference}
    print_net(result, cells, median_peaks(found_peaks), given.batches)
    return chosen, result


def readable(value: float | None) -> float | int | None:
    """Without decimals from 100 on, so that tables print digits and no powers of ten."""
    return round(value) if value is not None and value >= 100 else value


def median_peaks(found: list[Peaks]) -> Peaks:
    """Medians over all rounds."""
    return {
        kind: {level: statistics.median(p[kind][level] for p in found) for level in levels}
        for kind, levels in found[0].items()
    }


def summary(
    chosen: Case, cells: dict[tuple[str, int], Cell], runs: list[LavaRun], batches: tuple[int, ...]
) -> dict[str, Any]:
    """Medians and ratios of one network, as plain values."""
    lava_ns = lava_medians(runs)
    best = min(lava_ns, key=lambda width: lava_ns[width])
    names = dict.fromkeys(name for name, _ in cells)
    ratios: dict[str, dict[str, dict[int, float]]] = {}
    for own in [name for name in names if name.startswith("c ")]:
        rows: dict[str, dict[int, float]] = {}
        for batch in batches:
            mine = cells[own, batch]
            if not mine.cpu:
                continue
            assert mine.cpu_ns is not None and mine.wall_ns is not None
            rows.setdefault("lava, 1 sequence", {})[batch] = lava_ns[1] / mine.wall_ns
            rows.setdefault("lava, best batch", {})[batch] = lava_ns[best] / mine.wall_ns
            for rival in names:
                other = cells[rival, batch].cpu_ns
                if rival != own and other is not None:
                    rows.setdefault(rival, {})[batch] = other / mine.cpu_ns
        ratios[own] = rows
    return {
        "name": chosen.name,
        "multiply_adds": chosen.multiply_adds,
        "neurons": chosen.program.neurons,
        "synapses": chosen.program.synapses,
        "quantize_seconds": chosen.quantize_seconds,
        "cells": [
            {
                "engine": n,
                "batch": b,
                "steps": c.steps,
                "note": c.note,
                "cpu_ns": c.cpu,
                "wall_ns": c.wall,
            }
            for (n, b), c in cells.items()
        ],
        "lava_ns": lava_ns,
        "lava_best_width": best,
        "lava_compared": sum(run.compared for run in runs),
        "lava_total_seconds": {run.width: run.total_seconds for run in runs},
        "ratios": ratios,
    }


def print_net(
    result: dict[str, Any],
    cells: dict[tuple[str, int], Cell],
    best: Peaks,
    batches: tuple[int, ...],
) -> None:
    """The tables of one network."""
    names = dict.fromkeys(name for name, _ in cells)
    heads = [f"batch {batch}" for batch in batches]
    rows: list[list[object]] = []
    for name in names:
        found = [cells[name, batch] for batch in batches]
        fastest = min((c.cpu_ns for c in found if c.cpu_ns is not None), default=None)
        kind, level = ("int16", name[2:]) if name.startswith("c ") else ("fp32", "")
        level = level or next(iter(best.get(kind, {})), "")
        share: object = None
        if fastest is not None and name != "reference" and level in best.get(kind, {}):
            rate = result["multiply_adds"] / fastest
            share = f"{rate:.3g} = {100 * rate / best[kind][level]:.0f} % of {kind}"
        rows.append([name, *(readable(c.cpu_ns) for c in found), share])
    print("CPU ns of a sample-step (one thread)")
    print(text_table(["engine", *heads, "best GMAC/s, of peak"], rows))
    for (name, batch), cell in cells.items():
        if cell.note:
            print(f"  left out: {name}, batch {batch}: {cell.note}")
    lava_ns = result["lava_ns"]
    print(
        "\nLava, wall ns of a sample-step by sequences side by side (start-up left out: slope of "
        f"the run's progress; {result['lava_compared']:,} values equal to C's)"
    )
    print(text_table([str(w) for w in lava_ns], [[readable(ns) for ns in lava_ns.values()]]))
    for own, others in result["ratios"].items():
        print(f"\nTimes as fast as: {own}")
        print(
            text_table(
                ["than", *heads],
                [[n, *(readable(r.get(b)) for b in batches)] for n, r in others.items()],
            )
        )


def main() -> int:
    """Runs everything that was asked for."""
    given = options()
    about = machine()
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    found_peaks: list[Peaks] = []
    results: dict[str, Any] = {"machine": about, "nets": {}}
    cases: list[Case] = []
    for name in given.nets:
        chosen, results["nets"][name] = time_net(name, given, found_peaks)
        cases.append(chosen)
    best = results["peaks"] = median_peaks(found_peaks)
    print("\nPeak of one core, register microkernels, billions of multiply-adds a second")
    print(
        text_table(
            ["kind", "level", "GMAC/s"],
            [[k, lv, v] for k, p in best.items() for lv, v in p.items()],
        )
    )
    results["dense_layers"] = dense_layers(given.rounds, given.budget, best, given.sizes)
    results["flatness"] = flatness(cases[0], given.rounds, 20_000 if given.quick else 131_072)
    results["narrow"] = narrow_and_short(cases, given.rounds, 5_000 if given.quick else 50_000)
    results["saturations"] = saturation_counts(given.rounds, given.budget)
    results["counting"] = counting(cases, given.rounds, given.budget)
    results["threads"] = two_threads(cases, given.rounds, given.budget)
    results["targets"] = targets(results)
    print("\nTargets of issue 3")
    print(text_table(["target", "reached", "met"], [list(t.values()) for t in results["targets"]]))
    print(f"load at the end: {load()}")
    if given.json:
        write_atomically(given.json, (json.dumps(results, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    sys.exit(main())
