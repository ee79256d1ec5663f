"""Random networks of LRC units, and the equations of the original, MoniFarsang/LRC, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lnn2loihi.families.lrc.layer import LRCLayer
from lnn2loihi.layers.functions import sigmoid
from lnn2loihi.network import Linear, LiquidNetwork

#: Elastances, whether there is a forget gate, and solvers, as far as they go together.
KINDS = {
    "asymmetric": {}, "symmetric": {"elastance": "symmetric"}, "stc": {"elastance": "none"},
    "hybrid": {"elastance": "symmetric", "solver": "hybrid"},
    "hybrid stc": {"elastance": "none", "solver": "hybrid"},
    "tau": {"elastance": "symmetric", "forget": False},
    "stc tau": {"elastance": "none", "forget": False},
}  # fmt: skip


def random_lrc(
    seed: int,
    inputs: int = 3,
    units: int = 5,
    outputs: int = 2,
    *,
    elastance: str = "asymmetric",
    forget: bool = True,
    solver: str = "explicit",
    unfolds: int = 1,
    timespan: float | None = 1.0,
    leak: float = 1.0,
    density: float = 1.0,
) -> LiquidNetwork:
    """An LRC layer with arrays as training begins with, and a readout.

    Args:
        seed: of the arrays.
        inputs, units, outputs: sizes; no readout for 0 outputs.
        elastance: "asymmetric", "symmetric" or "none".
        forget: whether it has a forget gate; else a tau of up to `leak`.
        solver: "explicit" or "hybrid".
        unfolds: steps for each sample.
        timespan: of the network.
        leak: largest tau.
        density: share of the synapses that exist.
    """
    rng = np.random.default_rng(seed)
    shape = (units, inputs + units)
    slope = rng.uniform(3.0, 8.0, shape)
    gleak = rng.uniform(0.001, 1.0, units)
    wiring = rng.random(shape) < density
    wiring[:, 0] = True

    def weights(low: float, high: float) -> np.ndarray:
        return np.where(wiring, rng.uniform(low, high, shape), 0.0)

    bound = np.sqrt(6.0 / (inputs + 2 * units))
    layer = LRCLayer(
        "lrc",
        slope,
        -slope * rng.uniform(0.3, 0.8, shape),
        wiring,
        Linear("update_gate", weights(-1.0, 1.0), gleak),
        rng.uniform(-0.6, 0.6, units),
        forget_gate=Linear("forget_gate", weights(0.001, 1.0), gleak) if forget else None,
        elastance=None
        if elastance == "none"
        else Linear("elastance", rng.uniform(-bound, bound, shape), rng.normal(0, 0.3, units)),
        shift=rng.uniform(0.5, 1.5, units) if elastance == "symmetric" else None,
        tau=None if forget else leak * rng.uniform(0.3, 1.0, units),
        solver=solver,
        unfolds=unfolds,
    )
    readout = Linear("readout", rng.normal(0.0, 2.0, (outputs, units)), rng.normal(0, 0.1, outputs))
    return LiquidNetwork(f"lrc {seed}", (layer,), readout if outputs else None, timespan)


def original(
    w: Mapping[str, Any],
    x: np.ndarray,
    elapsed: np.ndarray,
    *,
    elastance: str,
    unfolds: int = 1,
    solver: str = "explicit",
) -> tuple[np.ndarray, np.ndarray]:
    """What the original answers, and its potentials, (batch, time, units) each.

    Args:
        w: its arrays by name.
        x: (batch, time, inputs).
        elapsed: (batch, time, 1).
        elastance, unfolds, solver: what it was built with.
    """
    v = np.zeros((len(x), len(w["gleak"])))
    states = []
    for step in range(x.shape[1]):
        i = x[:, step] * w.get("input_w", 1.0) + w.get("input_b", 0.0)
        time = elapsed[:, step] / unfolds
        q = sigmoid(w["sensory_sigma"] * (i[:, :, None] - w["sensory_mu"]))
        for _ in range(unfolds):
            p = sigmoid(w["sigma"] * (v[:, :, None] - w["mu"]))
            update = w["gleak"] + (w["h"] * p).sum(1) + (w["sensory_h"] * q).sum(1)
            if "w" in w:
                pulled = w["gleak"] + (w["w"] * p).sum(1) + (w["sensory_w"] * q).sum(1)
                conductance = sigmoid(pulled)
            else:
                conductance = w["tau"]
            rate = time
            if elastance != "none":
                z = np.concatenate([i, v], 1) @ w["elastance_mapping/kernel"]
                z = z + w["elastance_mapping/bias"]
                if elastance == "symmetric":
                    k = w["distr_shift"]
                    rate = time * (sigmoid(z + k) - sigmoid(z - k))
                else:
                    rate = time * sigmoid(z)
            drive = w["vleak"] * np.tanh(update)
            if solver == "hybrid":
                v = (v + rate * drive) / (1.0 + rate * conductance)
            else:
                v = v + rate * (drive - v * conductance)
        states.append(v)
    states = np.stack(states, 1)
    return states * w.get("output_w", 1.0) + w.get("output_b", 0.0), states
