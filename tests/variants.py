"""Random networks of every kind of layer, with dense layers around them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from networks import random_ltc

from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.gru.layer import GRULayer
from lnn2loihi.families.layer_norm.layer import LayerNormLayer
from lnn2loihi.families.lrc_ssm.layer import VECTORS, LrcSSMLayer
from lnn2loihi.families.lstm.input_memory import InputMemory
from lnn2loihi.families.lstm.layer import LSTMLayer
from lnn2loihi.families.lstm.memory import MEMORY_GATES, Memory
from lnn2loihi.families.minimal.layer import MinGRULayer, MinLSTMLayer
from lnn2loihi.families.product.layer import ProductLayer
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.network import Linear, LiquidNetwork

ACTIVATIONS = ("lecun_tanh", "silu", "relu", "tanh", "gelu")
#: Families of layers without backbone and memory of a CfC, and what else makes one.
GATED: dict[str, tuple[type[GatedLayer], dict[str, str]]] = {
    "gru": (GRULayer, {}),
    "lstm": (LSTMLayer, {}),
    "mingru": (MinGRULayer, {"form": "log"}),
    "mingru linear": (MinGRULayer, {"form": "linear"}),
    "minlstm": (MinLSTMLayer, {"form": "log"}),
    "minlstm linear": (MinLSTMLayer, {"form": "linear"}),
}


@dataclass(frozen=True)
class Variant:
    """What a random network is like.

    A shared memory is one over all layers, which then differ in size and have no backbone; one that
    feeds their input is before them all. Layers of a family of GATED follow each other, or the CfC
    if `mixed`.
    """

    family: str = "cfc"
    mixed: bool = False
    mode: str = "default"
    backbone: tuple[int, ...] = ()
    activation: str = "lecun_tanh"
    memory: bool = False
    shared_memory: bool = False
    input_memory: bool = False
    heads: str = "tanh"
    irregular: bool = False
    layers: int = 1
    before: str = ""
    after: str = ""
    readout: bool = True
    units: int = 5
    inputs: int = 3
    seed: int = 0


def variants() -> st.SearchStrategy[Variant]:
    """Every combination."""
    dense = st.sampled_from([
        "", "relu", "tanh", "sigmoid", "silu", "gelu", "identity", "leaky_relu(0.1)", "elu(1)",
        "selu", "softplus(2)", "clamp(-0.5,0.8)", "hard_sigmoid", "hard_swish", "abs", "product",
    ])  # fmt: skip
    return st.builds(
        Variant,
        family=st.sampled_from(["cfc", *GATED]),
        mixed=st.sampled_from([False, False, True]),
        mode=st.sampled_from(["default", "no_gate", "pure"]),
        backbone=st.lists(st.integers(1, 9), max_size=3).map(tuple),
        activation=st.sampled_from(ACTIVATIONS),
        memory=st.booleans(),
        shared_memory=st.sampled_from([False, False, True]),
        input_memory=st.sampled_from([False, False, True]),
        heads=st.sampled_from(["tanh", "linear"]),
        irregular=st.booleans(),
        layers=st.integers(1, 2),
        before=dense,
        after=dense,
        readout=st.booleans(),
        units=st.integers(1, 8),
        inputs=st.integers(1, 4),
        seed=st.integers(0, 1 << 30),
    )


def product(name: str, inputs: int, units: int, seed: int = 0) -> ProductLayer:
    """A layer of products with random maps."""
    rng = np.random.default_rng(seed)
    left, right = (
        Linear(side, rng.normal(0, 1 / np.sqrt(inputs), (units, inputs)), rng.normal(0, 0.3, units))
        for side in ("left", "right")
    )
    return ProductLayer(name, left, right)


def layer_norm(
    name: str, inputs: int, units: int, seed: int = 0, centre: bool = True
) -> LayerNormLayer:
    """LayerNorm of a random map, or RMSNorm."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 1 / np.sqrt(inputs), (units, inputs))
    linear = Linear("linear", weight, rng.normal(0, 0.3, units))
    gain, shift = rng.normal(size=(2, units))
    made = LayerNormLayer.of if centre else LayerNormLayer
    return made(name, linear, gain, shift, 1e-3)


def lrc_ssm(name: str, inputs: int, units: int, seed: int = 0) -> LrcSSMLayer:
    """A layer of LrcSSM units with random weights, as they are after training."""
    rng = np.random.default_rng(seed)
    slope, middle = rng.normal(1.0, 0.5, inputs), rng.normal(0.0, 0.5, inputs)
    leak = rng.normal(0.0, 0.5, units)
    weights = rng.normal(0.0, 1.5 / np.sqrt(inputs), (2, units, inputs))
    vectors = rng.normal(0.0, 1.0, (len(VECTORS), units))
    return LrcSSMLayer(
        name,
        Linear("sensory", np.diag(slope), -slope * middle),
        Linear("forget_gate", weights[0], leak),
        Linear("update_gate", weights[1], leak),
        *vectors,
    )


def network(variant: Variant) -> LiquidNetwork:
    """The random network."""
    rng = np.random.default_rng(variant.seed)

    def linear(name: str, outputs: int, inputs: int, bias: float = 0.3) -> Linear:
        weight = rng.normal(0, 1 / np.sqrt(inputs), (outputs, inputs))
        return Linear(name, weight, rng.normal(0, bias, outputs))

    width, layers = variant.inputs, []
    if variant.before == "product":
        layers.append(product("before", width, 6, variant.seed))
        width = 6
    elif variant.before:
        layers.append(DenseLayer("before", linear("linear", 6, width), variant.before))
        width = 6
    if variant.family == "cfc" or variant.mixed:
        together = variant.shared_memory or variant.input_memory
        if together:
            layers.append(_with_one_memory(variant, width, rng, linear))
            width = layers[-1].units
        for number in range(0 if together else variant.layers):
            layers.append(_layer(f"layer_{number}", variant, width, rng, linear))
            width = variant.units
    for number in range(0 if variant.family == "cfc" else variant.layers):
        layers.append(gated_layer(f"gated_{number}", variant.family, width, variant.units, linear))
        width = variant.units
    if variant.after == "product":
        layers.append(product("after", width, 4, variant.seed))
        width = 4
    elif variant.after:
        layers.append(DenseLayer("after", linear("linear", 4, width), variant.after))
        width = 4
    readout = linear("readout", 2, width) if variant.readout else None
    timespan = None if variant.irregular else float(rng.uniform(0.2, 2.0))
    return LiquidNetwork("variant", tuple(layers), readout, timespan)


def _with_one_memory(
    variant: Variant, inputs: int, rng: Any, linear: Any
) -> WiredMemory | InputMemory:
    sizes = [variant.units + number for number in range(variant.layers)]
    total = sum(sizes)
    layers, width = [], inputs if variant.shared_memory else total
    for number, units in enumerate(sizes):
        own = replace(variant, memory=False, units=units)
        own = replace(own, backbone=()) if variant.shared_memory else own
        layers.append(_layer(f"layer_{number}", own, width, rng, linear))
        width = units
    memory = Memory(tuple(linear(gate, total, inputs + total) for gate in MEMORY_GATES))
    kind = WiredMemory if variant.shared_memory else InputMemory
    return kind("memory", tuple(layers), memory)


def ltc_behind_memory(seed: int, timespan: float | None = 0.7) -> InputMemory:
    """An LTC of three unfolds that hears a memory."""
    layer = random_ltc(seed, inputs=5, units=5, unfolds=3, timespan=timespan).layers[0]
    rng = np.random.default_rng(seed)
    gates = (
        Linear(gate, rng.normal(0.0, 0.4, (5, 3 + 5)), rng.normal(0.0, 0.3, 5))
        for gate in MEMORY_GATES
    )
    return InputMemory("memory", (layer,), Memory(tuple(gates)))


def gated_layer(name: str, family: str, inputs: int, units: int, linear: Any) -> GatedLayer:
    """A layer of a family of GATED; `linear` makes a map of a name, outputs and inputs."""
    kind, options = GATED[family]
    gates = []
    for gate in kind.names:
        made = linear(gate, units, inputs + (units if kind.hears_itself else 0))
        weight = made.weight.copy()
        if gate == "candidate_input":
            weight[:, inputs:] = 0.0
        if gate == "candidate_recurrent":
            weight[:, :inputs] = 0.0
        gates.append(Linear(gate, weight, made.bias))
    return kind(name, tuple(gates), **options)


def _layer(name: str, variant: Variant, inputs: int, rng: Any, linear: Any) -> CfCLayer:
    units, width = variant.units, inputs + variant.units
    backbone = []
    for number, size in enumerate(variant.backbone):
        backbone.append(linear(f"backbone_{number}", size, width))
        width = size
    pure = variant.mode == "pure"
    gates = [linear(gate, units, width) for gate in CfCLayer.gates]
    memory = None
    if variant.memory:
        memory = Memory(tuple(linear(gate, units, inputs + units) for gate in MEMORY_GATES))
    return CfCLayer(
        name,
        gates[0],
        *gates[1:],
        mode=variant.mode,
        backbone=tuple(backbone),
        activation=variant.activation,
        memory=memory,
        heads=variant.heads,
        w_tau=rng.uniform(-1, 1, units) if pure else None,
        amplitude=rng.normal(0, 1, units) if pure else None,
    )


def samples(variant: Variant, batch: int, time: int, seed: int = 0) -> tuple[Any, Any]:
    """Samples and elapsed times that fit; the times are None where time is constant."""
    rng = np.random.default_rng((variant.seed, seed))
    x = rng.normal(size=(batch, time, variant.inputs))
    elapsed = rng.choice([0.0, 0.5, 1.0, 2.0, 5.0], (batch, time)) if variant.irregular else None
    return x, elapsed
