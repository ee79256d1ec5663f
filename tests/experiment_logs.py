"""Logs of the experiment as a board with known figures would have written them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lnn2loihi.cost.demand import demand_of
from lnn2loihi.cost.experiment.cases import cases
from lnn2loihi.cost.experiment.folder import plan
from lnn2loihi.cost.interval import deviations
from lnn2loihi.cost.model import Operation, evaluate
from lnn2loihi.devices import COST_PARAMETERS, Device

#: Relative standard error of what is measured.
NOISE = 0.02


def drawn(device: Device, rng: np.random.Generator, **fixed: float) -> dict[str, float]:
    """Figures of a board, each from its range."""
    found = dict.fromkeys(COST_PARAMETERS, 0.0)
    for name, normal in zip(COST_PARAMETERS, rng.standard_normal(len(found)), strict=True):
        figure = device.get(name)
        if figure is not None:
            below, above = deviations(figure)
            found[name] = figure.value * float(np.exp(normal * (below if normal < 0.0 else above)))
    return found | fixed


def lines(
    figures: Mapping[str, float],
    rng: np.random.Generator,
    noise: float = NOISE,
    floor: float = 0.0,
    growth: float = 0.0,
    barrier: float = 0.0,
    idle_chips: int = 0,
    padded: bool = True,
) -> list[dict[str, Any]]:
    """All lines of both measures, the cores as planned.

    Args:
        figures: of the board.
        rng: of the noise.
        noise: relative standard error of each value.
        floor: watts that the model has no figure for, in every run.
        growth: share by which a step is longer on 120 cores than on one.
        barrier: seconds by which it is.
        idle_chips: further chips of the board.
        padded: whether its owner wrote microcode.
    """
    fingerprint, p = plan()["sha256"], {n: np.array([v]) for n, v in figures.items()}
    found: list[dict[str, Any]] = []

    def read(value: float) -> float:
        return float(value * np.exp(noise * rng.standard_normal()))

    idle = figures["static_power_per_chip"]
    for case in cases():
        if case.is_padded and not padded:
            continue
        demand = demand_of(case.workload(case.cores), "pipelined", 120, 1)
        time = float(evaluate(demand, p, Operation())["step_time"][0])
        time *= 1.0 + growth * (case.cores - 1) / 119
        time += barrier * (case.cores - 1) / 119
        at = evaluate(demand, p, Operation(step_time=time))
        power = float((at["total_full_chip"] / at["interval"])[0]) + floor + idle_chips * idle
        line = {
            "plan": fingerprint, "case": case.name, "steps": case.steps, "cores": case.cores,
            "on": "board", "host": "h", "date": "2026-11-30", "board": "ncl-1", "partition": None,
            "loihi_gen": "N3B3",
        }  # fmt: skip
        found.append(line | {"measure": "time", "avg_time_per_step": read(time * 1e6)})
        if "energy" in case.to_dict()["measures"]:
            found.append(line | {
                "measure": "energy", "total_power": read(power),
                "static_total_power": read(idle * (1 + idle_chips)),
            })  # fmt: skip
    return found


def written(path: Path, logged: list[dict[str, Any]]) -> Path:
    """As measure.py appends them."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in logged))
    return path
