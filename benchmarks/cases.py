"""The networks that benchmarks run, with untrained weights: time does not depend on values."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.lstm.layer import LSTMLayer
from lnn2loihi.families.minimal.layer import MinGRULayer
from lnn2loihi.network import FloatArray, Linear, LiquidNetwork
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import quantize
from lnn2loihi.recipe import DEFAULT_RECIPE

#: Connections are counted whole from this density on, and by their synapses below.
DENSE_FROM = 0.65


@dataclass(frozen=True)
class Case:
    """A network as everyone in the benchmark runs it.

    Attributes:
        name: its name in options and tables.
        network: float weights.
        program: the same, quantized with the default recipe.
        module: the same as ncps.torch.CfC.
        quantize_seconds: how long `quantize` took.
    """

    name: str
    network: LiquidNetwork
    program: LoihiProgram
    module: Any
    quantize_seconds: float

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of a sample-step that no simulator can leave out: all of a dense
        connection, the synapses of a sparse one.
        """
        full = {c.name: c.rows * c.source_size for c in self.program.connections}
        return sum(
            full[c.name] if c.synapses >= DENSE_FROM * full[c.name] else c.synapses
            for c in self.program.connections
        )

    def samples(self, batch: int, time: int, seed: int = 0) -> FloatArray:
        """Normal samples, float64 (batch, time, inputs)."""
        return np.random.default_rng(seed).normal(size=(batch, time, self.network.input_size))


def auto_ncp(inputs: int, units: int, outputs: int) -> tuple[LiquidNetwork, Any]:
    """CfC with an AutoNCP wiring, as ncps makes it."""
    import torch
    from ncps.torch import CfC
    from ncps.wirings import AutoNCP

    torch.manual_seed(0)
    module = CfC(inputs, AutoNCP(units, outputs)).eval()
    return FamiliesImporter().load(module), module


def layer(inputs: int, units: int, density: float = 1.0, outputs: int = 0) -> LiquidNetwork:
    """One CfC layer, and a readout if there are `outputs`; the gates share a random mask."""
    rng = np.random.default_rng(units)
    shape = (units, inputs + units)
    mask = rng.random(shape) < density
    deviation = 1.0 / np.sqrt(density * shape[1])

    def gate(name: str) -> Linear:
        return Linear(name, rng.normal(0.0, deviation, shape) * mask, rng.normal(0.0, 0.2, units))

    readout = None
    if outputs:
        weight = rng.normal(0.0, 1.0 / np.sqrt(units), (outputs, units))
        readout = Linear("readout", weight, np.zeros(outputs))
    layers = (CfCLayer("layer", *map(gate, CfCLayer.gates)),)
    return LiquidNetwork(f"layer {units}", layers, readout)


def one_layer(inputs: int, units: int, density: float = 1.0) -> tuple[LiquidNetwork, Any]:
    """One CfC layer, and a dense ncps module with its weights: ncps has no sparse form."""
    import torch
    from ncps.torch import CfC

    network = layer(inputs, units, density)
    module = CfC(inputs, units, backbone_layers=0).eval()
    with torch.no_grad():
        for name in CfCLayer.gates:
            mine, theirs = getattr(network.layers[0], name), getattr(module.rnn_cell, name)
            theirs.weight.copy_(torch.from_numpy(mine.weight.copy()))
            theirs.bias.copy_(torch.from_numpy(mine.bias.copy()))
    return network, module


def prepared(network: LiquidNetwork, recipe: str = DEFAULT_RECIPE) -> tuple[LoihiProgram, float]:
    """The network quantized, and the seconds that it took."""
    rng = np.random.default_rng(1)
    start = time.perf_counter()
    program = quantize(network, rng.normal(size=(8, 32, network.input_size)), recipe)
    return program, time.perf_counter() - start


NETWORKS: dict[str, tuple[str, Callable[[], tuple[LiquidNetwork, Any]]]] = {
    "ncp32": ("AutoNCP(32, 4), 8 inputs", lambda: auto_ncp(8, 32, 4)),
    "ncp128": ("AutoNCP(128, 8), 16 inputs", lambda: auto_ncp(16, 128, 8)),
    "dense256": ("dense CfC layer, 256 units, 32 inputs", lambda: one_layer(32, 256)),
    "sparse1024": ("CfC layer, 1024 units at 10 %, 32 inputs", lambda: one_layer(32, 1024, 0.1)),
    "sparse4096": ("CfC layer, 4096 units at 10 %, 32 inputs", lambda: one_layer(32, 4096, 0.1)),
}


def case(name: str) -> Case:
    """The case of that name."""
    network, module = NETWORKS[name][1]()
    program, seconds = prepared(network)
    return Case(name, network, program, module, seconds)


def dense_layer(units: int, density: float = 1.0) -> Case:
    """A layer with 8 inputs and a readout of 8 outputs, without a module."""
    network = layer(8, units, density, 8)
    program, seconds = prepared(network)
    return Case(f"layer {units}", network, program, None, seconds)


def gated_layer(family: str, units: int) -> Case:
    """A layer of "lstm" or "mingru" units with 8 inputs, whose programs count saturations."""
    rng = np.random.default_rng(units)
    layer_type = {"lstm": LSTMLayer, "mingru": MinGRULayer}[family]
    columns = 8 + units if family == "lstm" else 8

    def gate(name: str) -> Linear:
        weight = rng.normal(0.0, 1.0 / np.sqrt(columns), (units, columns))
        return Linear(name, weight, rng.normal(0.0, 0.2, units))

    made = layer_type("layer", tuple(map(gate, layer_type.names)))
    network = LiquidNetwork(f"{family} {units}", (made,), None, 1.0)
    program, seconds = prepared(network)
    return Case(network.name, network, program, None, seconds)


def unmarked(program: LoihiProgram) -> LoihiProgram:
    """The same program, in which no word is counted."""
    bare = [replace(p, program=replace(p.program, saturations=())) for p in program.populations]
    return replace(program, populations=tuple(bare))
