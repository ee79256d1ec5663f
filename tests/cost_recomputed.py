"""The cost model again, from the TOML files alone: its equations as docs/cost.md has them, in a few
lines that share nothing with lnn2loihi.cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lnn2loihi.errors import InputError
from lnn2loihi.files import parse_toml

PROFILES = Path(__file__).parent.parent / "hardware_profiles"
Z95 = 1.6448536269514722
SI = {"1": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "W": 1.0, "mW": 1e-3, "J": 1.0,
      "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12}  # fmt: skip
Array = np.ndarray[Any, np.dtype[np.float64]]


def toml(name: str) -> dict[str, Any]:
    return parse_toml((PROFILES / f"{name}.toml").read_text(), name, InputError)


def figures(device: str) -> dict[str, tuple[float, float, float]]:
    """Costs of a device in SI units: value, low, high."""
    content = toml(device)
    found = figures(content["extends"]) if "extends" in content else {}
    for name, figure in content["figures"].items():
        if figure["unit"] in SI:
            unit = SI[figure["unit"]]
            found[name] = (figure["value"] * unit, figure["low"] * unit, figure["high"] * unit)
    return found


def drawn(device: str, draws: int) -> Mapping[str, Array]:
    """Split log-normal draws of each figure, its value first; 0 of a figure that is not known."""
    rng = np.random.default_rng(20261130)
    found: defaultdict[str, Array] = defaultdict(lambda: np.zeros(1 + draws))
    for name, (value, low, high) in figures(device).items():
        normal = rng.standard_normal(draws)
        spread = np.where(normal < 0.0, np.log(value / low), np.log(high / value)) / Z95
        found[name] = value * np.concatenate([[1.0], np.exp(normal * spread)])
    return found


def cases() -> dict[str, dict[str, Any]]:
    """The cases of validation.toml, each complete."""
    found: dict[str, dict[str, Any]] = {}
    for case in toml("validation")["case"]:
        base = found.get(case.get("like", ""), {})
        counts = base.get("counts", {}) | case.get("counts", {})
        found[case["name"]] = base | case | {"counts": counts}
    return found


def costs(counts: Mapping[str, float], p: Mapping[str, Array], **how: Any) -> dict[str, Array]:
    """Times and energies of a network of alike cores and a busiest one, that takes a sample every
    step, by the names of `measured` in validation.toml.
    """
    factor, cores, chips = how.get("counter_factor", 1.0), counts.get("cores", 1), counts["chips"]

    def count(name: str, default: float = 0.0) -> float:
        return factor * counts.get(name, default)

    updates = counts.get("neuron_updates", 0.0)
    synapses, messages = count("synaptic_operations"), count("messages")
    spikes = count("spikes", counts.get("messages", 0.0))
    n = counts.get("instructions_per_update", 0.0)
    mean = {"synaptic_operations": synapses / factor / cores, "messages": messages / factor / cores}
    on_core = (
        count("busiest_synaptic_operations", mean["synaptic_operations"])
        * p["time_per_synaptic_operation"],
        counts.get("busiest_neuron_updates", updates / cores)
        * (p["time_per_neuron_update"] + n * p["time_per_instruction"]),
        count("busiest_messages_in", mean["messages"]) * p["time_per_message"],
        spikes / cores * p["time_per_spike"]
        + count("busiest_messages_out", mean["messages"]) * p["time_per_outgoing_message"],
    )
    link = count("link_messages") * p["time_per_link_message"]
    additive = p["time_per_step"] + np.maximum(np.sum(on_core, axis=0), link)
    lower = p["time_per_step"] + np.maximum(np.max(on_core, axis=0), link)
    step = how.get("step_time", additive) + 0.0 * additive
    steps = 1
    if how.get("mode") == "fall-through":
        steps = max(1, int(counts.get("latency_steps", 1)))
    host = how.get("io") == "host"
    sample = steps * step + p["host_io_time"] * host
    interval = np.maximum(sample, 1.0 / how["rate"]) if "rate" in how else sample
    dynamic = (
        chips * steps * p["energy_per_step"]
        + synapses * p["energy_per_synaptic_operation"]
        + steps * updates * (p["energy_per_neuron_update"] + n * p["energy_per_instruction"])
        + spikes * p["energy_per_spike"]
        + messages * p["energy_per_message"]
        + count("hops") * p["energy_per_hop"]
        + cores * p["active_core_power"] * steps * step
    )
    static = chips * p["static_power_per_chip"] * interval
    total = dynamic + static + p["host_power"] * interval * host
    latency = counts.get("latency_steps", 1) * step + p["host_io_time"] * host
    return {
        "step time": additive, "lower bound": lower, "latency": latency, "energy": total,
        "dynamic energy": dynamic, "static energy": static, "power": total / interval,
        "static power": static / interval, "dynamic power": dynamic / interval,
    }  # fmt: skip
