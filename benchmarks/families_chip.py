"""What programs of several families need on the chip, estimated, and on this CPU, measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from families_tables import NAMES, compared, ranged, three

from lnn2loihi.cost import CostEstimate, estimate
from lnn2loihi.cost.basis import ratio_of
from lnn2loihi.measure import Settings, measure, runners
from lnn2loihi.placement.verb import place
from lnn2loihi.placement.workload import workload
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation import simulate
from lnn2loihi.tables import markdown_table

#: Sequences whose messages set the activity of the estimate.
ACTIVITY = 64
#: All families take turns in each round, so that what else the machine does falls on all alike.
TURNS = Settings(warm_up=0.1, rounds=15, slice=0.05)
DEVICE = "loihi2-oheo-gulch"
#: Time and energy are compared at full speed: placed for it, a new sample every period.
OBJECTIVE, MODE = "fast", "pipelined"


@dataclass(frozen=True)
class Heard:
    """What a program hears: samples (n, time, inputs) and, of irregular ones, elapsed times."""

    x: Any
    timespans: Any = None


@dataclass(frozen=True)
class Chip:
    """The program of one family.

    Attributes:
        family: which.
        synapses, neurons: of the program.
        instructions: in one update of a neuron of the recurrent layer, in the mean over neurons.
        instructions_per_sample: of all neurons in all their updates.
        steps: chip steps from one sample to the next.
        latency_steps: chip steps from a sample to its answer.
        cores: cores of the placement.
        latency_us, energy_uj: nominal, low, high; estimates. Energy is that of one sample, all in
            all, at full speed.
        beside: the family of the first program, with which the next two compare.
        latency_ratio, energy_ratio: over those of the family beside it, draw by draw: nominal, low,
            high.
        cpu_us: median time of a step of one sequence in the C engine on one thread, measured.
    """

    family: str
    synapses: int
    neurons: int
    instructions: float
    instructions_per_sample: int
    steps: int
    latency_steps: int
    cores: int
    latency_us: tuple[float, float, float]
    energy_uj: tuple[float, float, float]
    beside: str
    latency_ratio: tuple[float, float, float]
    energy_ratio: tuple[float, float, float]
    cpu_us: float


def cpu_times(
    programs: Sequence[LoihiProgram], heard: Heard, settings: Settings = TURNS
) -> list[float]:
    """Microseconds of a step of one sequence in the C engine on one thread; all take turns."""
    everyone = [r for p in programs for r in runners(p, against=("cpu:engine",), threads=(1,))]
    found = measure(
        everyone, heard.x, timespans=heard.timespans, modes=("streaming",), energy=False,
        settings=settings,
    )  # fmt: skip
    return [1e6 * (row.latency_p50 or float("nan")) for row in found]


def costs(program: LoihiProgram, heard: Heard) -> CostEstimate:
    """Time and energy of a sample on the chip, from messages of test sequences."""
    times = None if heard.timespans is None else heard.timespans[:ACTIVITY]
    counters = simulate(program, heard.x[:ACTIVITY], timespans=times).counters
    placement = place(program, DEVICE, objective=OBJECTIVE, counters=counters)
    return estimate(workload(placement, counters), DEVICE, mode=MODE)


def chips(
    programs: Mapping[str, LoihiProgram], heard: Mapping[str, Heard], cpu_us: Sequence[float]
) -> list[Chip]:
    """Sizes and costs of programs, and how these compare with those of the first one.

    Args:
        programs: of each family.
        heard: of each family, what its program hears.
        cpu_us: of each family, the time of a step on this CPU.
    """
    found = {family: costs(program, heard[family]) for family, program in programs.items()}
    beside = next(iter(found))
    rows = []
    for (family, program), measured in zip(programs.items(), cpu_us, strict=True):
        cost, other = found[family], found[beside]
        recurrent = [p for p in program.populations if p.name != program.output]
        per_update = sum(p.size * p.program.instruction_count for p in recurrent)
        every = sum(p.size * p.program.instruction_count for p in program.populations)
        slower, dearer = (
            three(ratio_of(cost.basis, other.basis, n)) for n in ("latency", "total_full_chip")
        )
        rows.append(
            Chip(
                family, program.synapses, program.neurons,
                per_update / sum(p.size for p in recurrent), every * program.substeps,
                program.steps_per_sample, program.latency_steps, cost.cores,
                three(cost.latency, 1e6), three(cost.energy["total_full_chip"], 1e6),
                beside, slower, dearer, measured,
            )
        )  # fmt: skip
    return rows


def chip_table(rows: Sequence[Chip]) -> str:
    """Sizes and costs of programs."""
    beside = NAMES[rows[0].beside]
    headers = (
        "family", "synapses", "neurons", "instructions a neuron", "instructions a sample",
        "steps a sample", "steps to the answer", f"cores, `{OBJECTIVE}`",
        f"latency [us], {MODE}, estimated", f"energy a sample [uJ], {MODE}, estimated",
        f"latency over that of {beside}", f"energy over that of {beside}",
        "CPU, a step [us], measured",
    )  # fmt: skip
    lines = [
        (
            NAMES[row.family], row.synapses, row.neurons, f"{row.instructions:.0f}",
            row.instructions_per_sample, row.steps, row.latency_steps, row.cores,
            ranged(row.latency_us), ranged(row.energy_uj),
            compared(row.latency_ratio), compared(row.energy_ratio), f"{row.cpu_us:.1f}",
        )
        for row in rows
    ]  # fmt: skip
    return markdown_table(headers, lines)
