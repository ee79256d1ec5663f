"""A network with other weights in its stages, as training for the chip leaves them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.layers.cfc import CfCLayer
from lnn2loihi.layers.dense import SUM
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.ltc import LTCLayer
from lnn2loihi.layers.memory import FORGET_BIAS, MEMORY_GATES, Memory
from lnn2loihi.layers.readout import ReadoutStage
from lnn2loihi.layers.wired import WiredMemory

if TYPE_CHECKING:
    from lnn2loihi.network import Layer, LiquidNetwork

Gates = Mapping[str, Mapping[str, Linear]]
Vectors = Mapping[str, Mapping[str, FloatArray]]


def with_gates(
    network: LiquidNetwork, gates: Gates, vectors: Vectors | None = None
) -> LiquidNetwork:
    """The network whose stages have these maps.

    What stages fold into their weights (LeCun's tanh, a constant timespan) stays folded: the new
    network says tanh, and has its whole time gate in time_b.

    Args:
        network: the network whose structure is kept.
        gates: for each stage of `network.stages` its maps by gate.
        vectors: for stages with `vectors` these, float64 (units,); the network's where absent.
    """
    known = vectors or {}
    layers = tuple(_layer(layer, network.timespan, gates, known) for layer in network.layers)
    last = network.stages[-1]
    readout = network.readout
    if isinstance(last, ReadoutStage):
        trained = gates[last.name][SUM]
        readout = Linear(last.name, trained.weight, trained.bias)
    return dataclasses.replace(network, layers=layers, readout=readout)


def _layer(layer: Layer, timespan: float | None, gates: Gates, vectors: Vectors) -> Layer:
    if isinstance(layer, GatedLayer):
        return layer.with_gates(gates[layer.name])
    if isinstance(layer, LTCLayer):
        own = vectors.get(layer.synapse_stage, {}), vectors.get(layer.name, {})
        mixed = None if layer.memory is None else _memory(gates[f"{layer.name}.memory"])
        return layer.rebuilt(gates[layer.name], *own, mixed)
    if isinstance(layer, CfCLayer):
        return _cfc(layer, timespan, gates, vectors)
    if isinstance(layer, WiredMemory):
        own = {
            name: {gate: layer.narrowed(name, wide) for gate, wide in gates[name].items()}
            for name in (single.name for single in layer.layers)
        }
        layers = tuple(_cfc(single, timespan, own, vectors) for single in layer.layers)
        return WiredMemory(layer.name, layers, _memory(gates[layer.name]))
    return dataclasses.replace(
        layer, linear=gates[layer.name][SUM], activation=_folded_name(layer.activation)
    )


def _folded_name(activation: str) -> str:
    return "tanh" if activation == "lecun_tanh" else activation


def _cfc(layer: CfCLayer, timespan: float | None, gates: Gates, vectors: Vectors) -> CfCLayer:
    cell: dict[str, Any] = dict(gates[layer.name])
    if layer.mode != "pure" and timespan is not None:
        time = cell.pop("time")
        cell["time_a"] = Linear("time_a", np.zeros_like(time.weight), np.zeros_like(time.bias))
        cell["time_b"] = Linear("time_b", time.weight, time.bias)
    backbone = tuple(
        dataclasses.replace(gates[f"{layer.name}.backbone_{number}"][SUM], name=linear.name)
        for number, linear in enumerate(layer.backbone)
    )
    memory = None if layer.memory is None else _memory(gates[f"{layer.name}.memory"])
    cell |= vectors.get(layer.name, {})
    return dataclasses.replace(
        layer, **cell, backbone=backbone, memory=memory, activation=_folded_name(layer.activation)
    )


def _memory(own: Mapping[str, Linear]) -> Memory:
    return Memory(
        tuple(
            Linear(gate, own[gate].weight,
                   own[gate].bias - (FORGET_BIAS if gate == "forget_gate" else 0.0))
            for gate in MEMORY_GATES
        )
    )  # fmt: skip
