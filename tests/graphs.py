"""Random networks whose layers hear several others: graphs without loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import variants
from hypothesis import strategies as st
from networks import random_ltc

from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.network import Linear, LiquidNetwork

INPUTS = 2
#: Kinds of layers, and what makes one beside its inputs, units and seed.
KINDS: dict[str, dict[str, Any]] = {
    "cfc": {},
    "cfc no_gate": {"mode": "no_gate"},
    "cfc pure": {"mode": "pure"},
    "cfc backbone": {"backbone": (4,)},
    "cfc memory": {"memory": True},
    "wired": {"shared_memory": True, "layers": 2},
    **{family: {"family": family} for family in variants.GATED},
}
ACTIVATIONS = ("lecun_tanh", "tanh", "relu", "sigmoid", "identity")


def some_layer(kind: str, name: str, inputs: int, units: int, seed: int, unfolds: int = 3) -> Layer:
    """A random layer: of KINDS, "ltc", or a dense one with an activation as its kind."""
    if kind == "ltc":
        made = random_ltc(seed, inputs, units, unfolds=unfolds).layers[0]
        return made.renamed(lambda _: name)
    if kind in KINDS:
        variant = variants.Variant(
            **KINDS[kind], inputs=inputs, units=units, seed=seed, readout=False
        )
        made = variants.network(variant).layers[0]
        return made.renamed(lambda own: name if own == made.name else f"{name}_{own}")
    rng = np.random.default_rng(seed)
    weight = rng.normal(0.0, 1.0 / np.sqrt(inputs), (units, inputs))
    return DenseLayer(name, Linear("linear", weight, rng.normal(0.0, 0.3, units)), kind)


def graph(
    seed: int, kinds: tuple[str, ...], irregular: bool = False, readout: bool = True
) -> LiquidNetwork:
    """A random network: each layer hears one to three of all that come before it."""
    rng = np.random.default_rng(seed)
    widths = {"input": INPUTS}
    layers: list[Layer] = []
    hears: dict[str, tuple[str, ...]] = {}
    for place, kind in enumerate(kinds):
        name = f"{'abcdefgh'[place]}"
        chosen = rng.choice(list(widths), int(rng.integers(1, 4))) if place else ["input"]
        hears[name] = tuple(map(str, chosen))
        inputs, units = sum(widths[one] for one in hears[name]), int(rng.integers(1, 5))
        layers.append(some_layer(kind, name, inputs, units, int(rng.integers(1 << 30))))
        widths |= {part.name: part.units for part in layers[-1].parts}
        widths[name] = layers[-1].units
    heard = {one for own in hears.values() for one in own}
    lost = [
        layer.name
        for layer in (layers if readout else layers[:-1])
        if heard.isdisjoint((layer.name, *(part.name for part in layer.parts)))
    ]
    extra = [*lost, *map(str, rng.choice(list(widths), 2))] if readout else lost
    last = "readout" if readout else layers[-1].name
    if not readout and lost:
        hears[last] = (*hears[last], *lost)
        inputs = sum(widths[one] for one in hears[last])
        kind, units = kinds[-1], layers[-1].units
        layers[-1] = some_layer(kind, last, inputs, units, int(rng.integers(1 << 30)))
    made = None
    if readout:
        hears[last] = tuple(extra)
        inputs = sum(widths[one] for one in extra)
        weight = rng.normal(0.0, 1.0 / np.sqrt(inputs), (2, inputs))
        made = Linear("readout", weight, rng.normal(0.0, 0.3, 2))
    timespan = None if irregular else 0.7
    return LiquidNetwork(f"graph {seed}", tuple(layers), made, timespan, hears=hears)


def graphs(irregular: bool | None = None) -> st.SearchStrategy[LiquidNetwork]:
    """Networks of all kinds of layers; LTCs stand side by side, with dense layers before."""
    times = st.booleans() if irregular is None else st.just(irregular)
    usual = st.lists(st.sampled_from((*KINDS, *ACTIVATIONS)), min_size=1, max_size=5)
    return st.builds(graph, st.integers(0, 1 << 30), usual.map(tuple), times, st.booleans())


def beside_each_other(seed: int, irregular: bool = False, unfolds: int = 3) -> LiquidNetwork:
    """Two LTCs, one of which hears a layer before and the input, and a readout that hears them,
    a layer on top of one of them, and the input.
    """
    layers = (
        some_layer("lecun_tanh", "before", INPUTS, 3, seed),
        some_layer("ltc", "left", INPUTS, 3, seed + 1, unfolds),
        some_layer("ltc", "right", 3 + INPUTS, 2, seed + 2, unfolds),
        some_layer("relu", "above", 3 + 2, 2, seed + 3),
    )
    hears = {
        "left": ("input",),
        "right": ("before", "input"),
        "above": ("left", "right"),
        "readout": ("above", "left", "input"),
    }
    weight = np.random.default_rng(seed).normal(size=(2, 2 + 3 + INPUTS))
    readout = Linear("readout", weight, np.array([0.1, -0.2]))
    timespan = None if irregular else 0.7
    return LiquidNetwork(f"ltcs {seed}", layers, readout, timespan, hears=hears)


def by_hand(
    network: LiquidNetwork, x: np.ndarray, timespans: np.ndarray | None = None
) -> Mapping[str, np.ndarray]:
    """What each layer and the readout say to all samples: every layer alone, one after the other,
    hears the answers of those that `hears` names, side by side.
    """
    said: dict[str, np.ndarray] = {"input": (x - network.input_offset) / network.input_scale}
    before = "input"
    for layer in network.layers:
        heard = np.concatenate([said[n] for n in network.hears.get(layer.name, (before,))], axis=-1)
        alone = LiquidNetwork("alone", (layer,), None, network.timespan)
        found = alone.evaluate(heard, timespans=timespans)
        said |= {part.name: found.states[part.name] for part in layer.parts}
        said[layer.name] = found.outputs
        before = layer.name
    if network.readout is not None:
        names = network.hears.get(network.readout.name, (before,))
        heard = np.concatenate([said[name] for name in names], axis=-1)
        said[network.readout.name] = heard @ network.readout.weight.T + network.readout.bias
    return said
