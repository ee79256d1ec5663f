"""How the C engine's cost goes with size, steps, batch and threads."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import numpy as np
from cases import Case, dense_layer, gated_layer, unmarked
from rivals import at_level
from timing import Cell, load, measure, planned, seconds_of

from lnn2loihi.simulation import simulate
from lnn2loihi.simulation.native import library
from lnn2loihi.tables import text_table

SIZES = (16, 32, 64, 128, 256, 512, 1024)
STEPS = (16, 64, 256, 1024)
BATCHES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
SMALL_BATCHES = (8, 10, 12, 16, 20, 24, 32, 40, 48, 56, 63)
#: Neurons of the layer that has one synapse each, and so shows what a neuron alone costs.
ALMOST_EMPTY = 1024

Peaks = dict[str, dict[str, float]]


def _vector_levels() -> list[library.Level]:
    return [level for level in library.usable_levels() if level.vector]


def dense_layers(rounds: int, budget: float, peaks: Peaks, sizes: tuple[int, ...]) -> Any:
    """Dense layers of many sizes at batch 64: multiply-adds a second and time per neuron."""
    rows, found = [], []
    for units in (*sizes, ALMOST_EMPTY):
        empty = len(rows) == len(sizes)
        case = dense_layer(units, 1.0 / (units + 8) if empty else 1.0)
        runners = {level.name: at_level(case, level) for level in _vector_levels()}
        cells = {name: planned(case, runner, 64, budget) for name, runner in runners.items()}
        for _ in range(rounds):
            for name, runner in runners.items():
                measure(case, runner, 64, cells[name])
        row: list[object] = ["1 synapse a row" if empty else "dense", units, case.multiply_adds]
        entry: dict[str, Any] = {"units": units, "multiply_adds": case.multiply_adds}
        for name, cell in cells.items():
            nanoseconds = cell.cpu_ns
            assert nanoseconds is not None
            rate = case.multiply_adds / nanoseconds
            share = rate / peaks["int16"][name]
            row += [nanoseconds, nanoseconds / units, rate, f"{100 * share:.0f} %"]
            entry[name] = {"ns": nanoseconds, "gmac": rate, "peak_share": share}
        rows.append(row)
        found.append({**entry, "almost_empty": empty})
    headers = ["layer", "units", "multiply-adds"]
    for level in _vector_levels():
        headers += [f"{level.name} ns", "ns/neuron", "GMAC/s", "of peak"]
    print("\nC engine, layers with 8 inputs and 8 outputs, batch 64, CPU time of a sample-step")
    print(text_table(headers, rows))
    return found


def flatness(case: Case, rounds: int, samples: int) -> dict[str, dict[int, float]]:
    """CPU nanoseconds of a sample-step by number of steps and by batch.

    Args:
        case: what to run.
        rounds: rounds, interleaved over all points.
        samples: sample-steps of a measurement, over several calls where one is shorter.
    """
    runner = at_level(case, library.usable_levels()[0])
    by_steps = {steps: Cell(steps) for steps in STEPS}
    by_batch = {batch: Cell(64) for batch in BATCHES}
    for _ in range(rounds):
        for steps, cell in by_steps.items():
            measure(case, runner, 64, cell, max(samples // (64 * steps), 1))
        for batch, cell in by_batch.items():
            measure(case, runner, batch, cell, max(samples // (64 * batch), 1))
    found: dict[str, dict[int, float]] = {}
    for what, cells in (("steps, batch 64", by_steps), ("batch, 64 steps", by_batch)):
        values = {n: cell.cpu_ns or 0.0 for n, cell in cells.items()}
        print(f"\n{case.name}, {runner.name}: CPU ns of a sample-step by {what}")
        print(text_table([str(n) for n in values], [list(values.values())]))
        found[what] = values
    return found


def narrow_and_short(
    cases: list[Case], rounds: int, samples: int
) -> dict[str, dict[str, dict[int, float]]]:
    """CPU time of a sample-step in small batches, and in short calls, over that of 64 sequences.

    Args:
        cases: what to run.
        rounds: rounds, interleaved over all points.
        samples: sample-steps of a measurement of a network of 100,000 operations a step.
    """
    found: dict[str, dict[str, dict[int, float]]] = {}
    rows: list[list[object]] = []
    for case in cases:
        runner = at_level(case, library.usable_levels()[0])
        every = max(samples * 100_000 // (case.multiply_adds + 100 * case.program.neurons), 2048)
        batches = {b: Cell(max(min(every // b, 1024), 16)) for b in (*SMALL_BATCHES, 64)}
        calls = {steps: Cell(steps) for steps in (16, max(min(every // 64, 1024), 32))}
        for number in range(rounds + 1):
            for batch, cell in batches.items():
                measure(case, runner, batch, cell, max(every // (batch * cell.steps), 1))
            for steps, cell in calls.items():
                measure(case, runner, 64, cell, max(every // (64 * steps), 1))
            if not number:  # what blocks of each width cost is measured in the first runs
                for cell in (*batches.values(), *calls.values()):
                    cell.cpu.clear()
        whole = batches[64].cpu_ns or 1.0
        narrow = {b: (batches[b].cpu_ns or 0.0) / whole for b in SMALL_BATCHES}
        long = max(calls)
        short = {16: (calls[16].cpu_ns or 0.0) / (calls[long].cpu_ns or 1.0)}
        found[case.name] = {"batch": narrow, "steps": short}
        rows.append([case.name, *narrow.values(), short[16], long])
    print("\nCPU time of a sample-step over that of batch 64; 16 steps over long calls of batch 64")
    heads = ["net", *(f"batch {b}" for b in SMALL_BATCHES), "16 steps", "long calls, steps"]
    print(text_table(heads, rows))
    return found


def saturation_counts(rounds: int, budget: float) -> dict[str, float]:
    """What counting saturated words costs at batch 64: CPU time over that without marks."""
    rows, found = [], {}
    for name in ("lstm", "mingru"):
        marked = gated_layer(name, 64)
        bare = replace(marked, program=unmarked(marked.program))
        runners = [at_level(case, library.usable_levels()[0]) for case in (marked, bare)]
        cells = [planned(marked, runners[0], 64, budget) for _ in runners]
        for _ in range(3 * rounds):
            for runner, cell in zip(runners, cells, strict=True):
                measure(marked, runner, 64, cell)
        with_counts, without = (cell.cpu_ns or 0.0 for cell in cells)
        found[name] = with_counts / without
        rows.append([f"{name}, 64 units", with_counts, without, with_counts / without])
    print("\nSaturated words at batch 64, CPU ns of a sample-step")
    print(text_table(["layer", "counted", "not counted", "ratio"], rows))
    return found


def counting(cases: list[Case], rounds: int, budget: float) -> dict[str, float]:
    """What the counters cost at batch 64: CPU time over that of an engine that does not count.

    The other engine is made of the same text with an empty `count`; it answers the same integers.
    """
    begin, empty = "lanes_t some = {0}, other = {0};", "return;"
    level, original = library.usable_levels()[0], library.engine_text
    assert begin in original(level), "count() in block.c is another one: change this too"
    rows, found = [], {}
    for case in cases:
        counted = at_level(case, level)
        library.engine_text = lambda *which: original(*which).replace(begin, empty + begin)
        try:
            bare = at_level(case, level)
        finally:
            library.engine_text = original
        x = case.samples(64, 3)
        both = [runner.run(runner.prepare(x)) for runner in (counted, bare)]
        assert np.array_equal(both[0].integers, both[1].integers)
        assert both[0].counters.changed[case.program.output].any()
        assert not both[1].counters.changed[case.program.output].any()
        cells = [planned(case, counted, 64, budget), planned(case, counted, 64, budget)]
        for _ in range(3 * rounds):
            for runner, cell in zip((counted, bare), cells, strict=True):
                measure(case, runner, 64, cell)
        with_counters, without = (cell.cpu_ns or 0.0 for cell in cells)
        found[case.name] = with_counters / without
        rows.append([case.name, with_counters, without, with_counters / without])
    print("\nCounters at batch 64, CPU ns of a sample-step")
    print(text_table(["net", "with", "without", "ratio"], rows))
    return found


def two_threads(cases: list[Case], rounds: int, budget: float) -> dict[str, float]:
    """Wall time of one thread over that of two, batch 1024; prints the load with it."""
    rows, found = [], {}
    for case in cases:
        before = load()
        cell = planned(case, at_level(case, library.usable_levels()[0]), 1024, budget)
        x = case.samples(1024, cell.steps)
        walls: dict[int, list[float]] = {1: [], 2: []}
        answers: dict[int, Any] = {}
        for _ in range(rounds):
            for threads in walls:

                def call(threads: int = threads) -> None:
                    answers[threads] = simulate(case.program, x, engine="c", threads=threads)  # noqa: B023

                walls[threads].append(seconds_of(call)[1])
        assert np.array_equal(answers[1].integers, answers[2].integers)
        one, two = (statistics.median(walls[threads]) for threads in (1, 2))
        found[case.name] = one / two
        per = 1e9 / (1024 * cell.steps)
        rows.append([case.name, one * per, two * per, one / two, before, load()])
    print("\nTwo threads, batch 1024, wall time of a sample-step (a loaded machine hides the gain)")
    headers = ["net", "1 thread ns", "2 threads ns", "speed-up", "load before", "load after"]
    print(text_table(headers, rows))
    return found
