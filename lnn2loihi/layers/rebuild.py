"""A network with other weights in its stages, as training for the chip leaves them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lnn2loihi.layers.cfc import CfCLayer
from lnn2loihi.layers.dense import SUM
from lnn2loihi.layers.linear import Linear
from lnn2loihi.layers.memory import FORGET_BIAS, MEMORY_GATES, Memory

if TYPE_CHECKING:
    from lnn2loihi.network import LiquidNetwork

Gates = Mapping[str, Mapping[str, Linear]]


def with_gates(network: LiquidNetwork, gates: Gates) -> LiquidNetwork:
    """The network whose stages have these maps.

    What stages fold into their weights (LeCun's tanh, a constant timespan) stays folded: the new
    network says tanh, and has its whole time gate in time_b.

    Args:
        network: the network whose structure is kept.
        gates: for each stage of `network.stages` its maps by gate.
    """
    layers = [
        _cfc(layer, network.timespan, gates) if isinstance(layer, CfCLayer)
        else dataclasses.replace(
            layer, linear=gates[layer.name][SUM], activation=_folded_name(layer.activation)
        )
        for layer in network.layers
    ]  # fmt: skip
    last = network.stages[-1].name
    readout = network.readout
    if last != network.layers[-1].name:
        trained = gates[last][SUM]
        readout = Linear(last, trained.weight, trained.bias)
    return dataclasses.replace(network, layers=tuple(layers), readout=readout)


def _folded_name(activation: str) -> str:
    return "tanh" if activation == "lecun_tanh" else activation


def _cfc(layer: CfCLayer, timespan: float | None, gates: Gates) -> CfCLayer:
    cell = dict(gates[layer.name])
    if layer.mode != "pure" and timespan is not None:
        time = cell.pop("time")
        cell["time_a"] = Linear("time_a", np.zeros_like(time.weight), np.zeros_like(time.bias))
        cell["time_b"] = Linear("time_b", time.weight, time.bias)
    backbone = tuple(
        dataclasses.replace(gates[f"{layer.name}.backbone_{number}"][SUM], name=linear.name)
        for number, linear in enumerate(layer.backbone)
    )
    memory = None
    if layer.memory is not None:
        own = gates[f"{layer.name}.memory"]
        memory = Memory(
            tuple(
                Linear(gate, own[gate].weight,
                       own[gate].bias - (FORGET_BIAS if gate == "forget_gate" else 0.0))
                for gate in MEMORY_GATES
            )
        )  # fmt: skip
    return dataclasses.replace(
        layer, **cell, backbone=backbone, memory=memory, activation=_folded_name(layer.activation)
    )
