"""Profiles made by hand, without placing or measuring anything."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from networks import random_network, random_samples

import lnn2loihi as l2l
from lnn2loihi.artifact import fingerprint
from lnn2loihi.cost import ParameterEffect
from lnn2loihi.metrics import network_metrics, program_metrics
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import (
    ChipProfile,
    CoreLoad,
    EnergySensitivity,
    ProfileResult,
    Provenance,
    RatePoint,
    Subject,
)
from lnn2loihi.profiling.rows import MODEL, Accuracy, BatchPoint, ProfileRow

RATE = 100.0
STATIC_WATTS, CPU_IDLE_WATTS = 0.23, 7.0


def around(value: float, unit: str, share: float = 0.2) -> Quantity:
    """A number with an interval of that share on both sides."""
    return Quantity(value, value * (1 - share), value * (1 + share), unit)


def chip_row(rate: float | None = RATE, mode: str = "fall-through", **changes: Any) -> ProfileRow:
    """An estimate of one chip."""
    causes = ("active_cores", "synapses", "neurons", "messages", "hops", "steps")
    parts = {name: around(1e-8 * (i + 1), "J") for i, name in enumerate(causes)}
    dynamic = sum(part.middle for part in parts.values())
    static = STATIC_WATTS / (rate or 2e5)
    share = static * 2 / 120
    row = ProfileRow(
        device="loihi2-oheo-gulch", title="Loihi 2, Oheo Gulch (1 chip)", kind="loihi",
        backend=MODEL, tier="CALIBRATED-ESTIMATE", energy_tier="CALIBRATED-ESTIMATE",
        precision="w8a12", batch=1, mode=mode, rate=rate, chips=1, cores=2,
        avg_time_per_step=around(5e-6, "s"), latency=around(1.5e-5, "s"),
        throughput=Quantity.exact(rate or 2e5, "Hz"), dynamic_energy=around(dynamic, "J"),
        static_energy=around(static, "J"), static_energy_pro_rata=around(share, "J"),
        total_energy=around(dynamic + static, "J"),
        total_energy_pro_rata=around(dynamic + share, "J"), energy_parts=parts,
        energy_delay_product=around((dynamic + static) * 1.5e-5, "J*s"),
        accuracy=Accuracy("mse", 0.0052), source="exact counters", placement="packed",
    )  # fmt: skip
    return dataclasses.replace(row, **changes)


def measured_row(
    name: str = "onnxruntime on CPU, 1 thread", seconds: float = 2.5e-5, **changes: Any
) -> ProfileRow:
    """A measurement of one backend at full speed, with a power meter."""
    total = 12.0 * seconds
    row = ProfileRow(
        device="Example CPU", title="Example CPU", kind="cpu", backend=name, tier="MEASURED",
        energy_tier="MEASURED", precision="float32", batch=1, mode="streaming", threads=1,
        avg_time_per_step=around(seconds, "s", 0.02), latency=Quantity.exact(seconds, "s"),
        latency_p50=seconds, latency_p99=3 * seconds,
        throughput=around(1 / seconds, "Hz", 0.02), dynamic_energy=around(0.4 * total, "J", 0.05),
        static_energy=around(CPU_IDLE_WATTS * seconds, "J", 0.02),
        total_energy=around(total, "J", 0.05), idle_power=around(CPU_IDLE_WATTS, "W", 0.02),
        energy_delay_product=around(total * seconds, "J*s", 0.05),
        batch_search=(BatchPoint(8, 2 / seconds), BatchPoint(64, 5 / seconds)),
        accuracy=Accuracy("mse", 0.0051), source="onnxruntime",
    )  # fmt: skip
    return dataclasses.replace(row, **changes)


def bounded_row(**changes: Any) -> ProfileRow:
    """A measurement of time, whose energy only a data sheet bounds."""
    bound = Quantity(None, 0.0, 3e-4, "J")
    return measured_row(
        "PyTorch on CPU, 1 thread", energy_tier="ESTIMATED", total_energy=bound,
        dynamic_energy=None, static_energy=None, idle_power=Quantity(None, 0.0, 9.0, "W"),
        energy_delay_product=bound.times(2.5e-5, "J*s"),
        notes=("ESTIMATED: TDP bound, not measured",), **changes,
    )  # fmt: skip


def failed_row(problem: str = "9,000 neurons, the limit is 8,192", **changes: Any) -> ProfileRow:
    """A device on which the program has no room."""
    row = ProfileRow(
        device="loihi1", title="Loihi 1", kind="loihi", backend=MODEL, tier="CALIBRATED-ESTIMATE",
        precision="w8a12", batch=1, mode="pipelined", status="failed", problems=(problem,),
    )  # fmt: skip
    return dataclasses.replace(row, **changes)


def chip_profile(cores: int = 2, **changes: Any) -> ChipProfile:
    """A placement on some cores."""
    loads = tuple(
        CoreLoad(0, i, i % 8, i // 8 % 4, f"layer_0[{5 * i}:{5 * i + 5}]", 5, 40 + i, 900,
                 {"synapses": 1e-6 * (i + 1), "neurons": 2e-6, "messages": 1e-7})
        for i in range(cores)
    )  # fmt: skip
    points = tuple(
        RatePoint(float(rate), around(STATIC_WATTS / rate + 2e-7, "J"),
                  around(STATIC_WATTS / rate / 60 + 2e-7, "J"))
        for rate in np.geomspace(1.0, 2e5, 12)
    )  # fmt: skip
    effects = (
        ParameterEffect("static_power_per_chip", "measured", 2.1e-3, 2.8e-3, 5e-6, 5e-6),
        ParameterEffect("energy_per_instruction", "assumed", 2.29e-3, 2.31e-3, 5e-6, 5e-6),
    )
    chip = ChipProfile(
        "loihi2-oheo-gulch", "Loihi 2, Oheo Gulch (1 chip)", 8, 4, 4, 1, 196608, loads, cores - 1,
        "core  neurons\n----  -------\n0     5", ("fan-in of a neuron: not public",), points,
        (EnergySensitivity("full speed", 2.3e-3, effects),), {"synaptic_operations": 100.0},
    )  # fmt: skip
    return dataclasses.replace(chip, **changes)


NETWORK = random_network(3, inputs=4, layers=(6, 4), outputs=2, density=0.7)
X = random_samples(1, 3, 20, 4)


def example_program(name: str | None = None) -> l2l.LoihiProgram:
    """A small program, perhaps under another name."""
    program = l2l.quantize(NETWORK, calibrate=X, recipe="w8a12")
    return program if name is None else dataclasses.replace(program, name=name)


def example_result(
    program: l2l.LoihiProgram, rows: tuple[ProfileRow, ...] | None = None, **changes: Any
) -> ProfileResult:
    """A profile of a program with a row of every sort."""
    run = l2l.simulate(program, X)
    subject = Subject(
        program.name, program.recipe, fingerprint(program), program.neurons, program.synapses, 4, 2,
        program.steps_per_sample, program.latency_steps, 3, 60, 0, run.executor,
    )  # fmt: skip
    every = (
        chip_row(None, "pipelined"), chip_row(RATE, "pipelined"), chip_row(),
        measured_row(), measured_row(mode="batch", batch=64, latency_p99=None), bounded_row(),
        failed_row(), measured_row("PyTorch on GPU", kind="gpu", status="partial",
                                   problems=("the GPU vanished",)),
    )  # fmt: skip
    result = ProfileResult(
        subject, every if rows is None else rows, (chip_profile(),),
        (network_metrics(NETWORK, X), program_metrics(program, run.counters, 3)),
        (Provenance("static_power_per_chip", "230 mW", "210 to 280 mW", "measured", "NECOTIS"),),
        rate=RATE, versions={"lnn2loihi": l2l.__version__}, conditions={"processor": "Example CPU"},
        command="lnn2loihi profile net.l2l --input x.npy --rate 100Hz", created="2026-01-01",
        absent=("onnxruntime on GPU: no GPU",),
    )  # fmt: skip
    return dataclasses.replace(result, **changes)
