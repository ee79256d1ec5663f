"""Modules of ncps with the weights of a LiquidNetwork: what was trained, as PyTorch runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from ncps.torch import CfC
from ncps.torch.cfc_cell import LeCun
from ncps.wirings import Wiring
from torch import Tensor, nn

from lnn2loihi.families.cfc.description import BACKBONE_ACTIVATIONS
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.ncps_block import NcpsBlock
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.lstm.memory import Memory
from lnn2loihi.layers.activations import kind_of
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.measure.torch_blocks import Block, NoModuleError, StatelessBlock
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.printable import kind_of_value


class _Function(nn.Module):
    """A function of PyTorch as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x)


#: For each kind of activation its module, made with its parameters.
_ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "lecun_tanh": LeCun,
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "leaky_relu": nn.LeakyReLU,
    "abs": partial(_Function, torch.abs),
    "square": partial(_Function, torch.square),
    "clamp": nn.Hardtanh,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_swish": nn.Hardswish,
    "elu": nn.ELU,
    "celu": nn.CELU,
    "selu": nn.SELU,
    "softplus": nn.Softplus,
    "log_sigmoid": nn.LogSigmoid,
}


def _activation(text: str) -> nn.Module:
    kind, numbers = kind_of(text)
    return _ACTIVATIONS[kind](*numbers)


class _Layered(Wiring):
    """The wiring of layers in a row, each with its inputs' synapses; ncps makes every layer's own
    recurrence dense.

    Args:
        masks: for each layer bool (units, inputs).
    """

    def __init__(self, masks: Sequence[np.ndarray]) -> None:
        super().__init__(sum(len(mask) for mask in masks))
        ends = np.cumsum([len(mask) for mask in masks])
        self._masks = masks
        self._neurons = [list(range(e - len(m), e)) for e, m in zip(ends, masks, strict=True)]
        self.set_output_dim(len(masks[-1]))

    @property
    def num_layers(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        return len(self._masks)

    def get_neurons_of_layer(self, layer_id: int) -> list[int]:
        return self._neurons[layer_id]

    def build(self, input_dim: int) -> None:
        super().build(input_dim)
        assert self.sensory_adjacency_matrix is not None
        self.sensory_adjacency_matrix[:, self._neurons[0]] = self._masks[0].T
        for before, own, mask in zip(
            self._neurons, self._neurons[1:], self._masks[1:], strict=False
        ):
            self.adjacency_matrix[np.ix_(before, own)] = mask.T


def ncps_blocks(network: LiquidNetwork) -> list[Block]:
    """The network as ncps modules and linear maps, in order.

    Layers without a backbone of which any has fewer synapses than it could become one wired CfC,
    as ncps would have them; others become one CfC each.

    Raises:
        NoModuleError: ncps has no module for a layer.
    """
    blocks: list[Block] = []
    shift = bool(np.any(network.input_offset != 0.0) or np.any(network.input_scale != 1.0))
    if shift:
        blocks.append(StatelessBlock(_Normalise(network.input_offset, network.input_scale)))
    groups = _groups(network)
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        if isinstance(group, DenseLayer):
            linear = _linear(group.linear)
            blocks.append(StatelessBlock(nn.Sequential(linear, _activation(group.activation))))
        else:
            own = network.readout if last else None
            blocks.append(NcpsBlock(_cfc(group, own), network.timespan))
    if network.readout is not None and isinstance(groups[-1], DenseLayer):
        blocks.append(StatelessBlock(_linear(network.readout)))
    return blocks


class _Normalise(nn.Module):
    """(x - offset) / scale."""

    offset: Tensor
    scale: Tensor

    def __init__(self, offset: FloatArray, scale: FloatArray) -> None:
        super().__init__()
        self.register_buffer("offset", torch.tensor(np.array(offset)))
        self.register_buffer("scale", torch.tensor(np.array(scale)))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.offset) / self.scale


def _groups(network: LiquidNetwork) -> list[DenseLayer | WiredMemory | list[CfCLayer]]:
    """Layers that one module holds."""
    groups: list[DenseLayer | WiredMemory | list[CfCLayer]] = []
    row: list[CfCLayer] = []

    def close() -> None:
        if any(_is_sparse(layer) for layer in row):
            groups.append(list(row))
        else:
            groups.extend([layer] for layer in row)
        row.clear()

    for layer in network.layers:
        if isinstance(layer, CfCLayer) and not layer.backbone and layer.memory is None:
            if row and row[-1].mode != layer.mode:
                close()
            row.append(layer)
            continue
        close()
        if not isinstance(layer, (CfCLayer, DenseLayer, WiredMemory)):
            raise NoModuleError(f"{layer.name} is {kind_of_value(layer)}")
        own = layer.activation if isinstance(layer, CfCLayer) and layer.backbone else ""
        if own and own not in BACKBONE_ACTIVATIONS:
            raise NoModuleError(f"{layer.name}: no backbone of ncps has {own}")
        if isinstance(layer, CfCLayer) and len({m.output_size for m in layer.backbone}) > 1:
            raise NoModuleError(f"{layer.name}: the maps of its backbone differ in width")
        groups.append([layer] if isinstance(layer, CfCLayer) else layer)
    close()
    return groups


def _input_mask(layer: CfCLayer) -> np.ndarray:
    """Where ff1 or ff2 hear an input, bool (units, inputs)."""
    maps = (layer.ff1, layer.ff2)
    return np.any([m.weight[:, : layer.input_size] != 0.0 for m in maps], axis=0)


def _is_sparse(layer: CfCLayer) -> bool:
    return not _input_mask(layer).all()


def _cfc(group: WiredMemory | list[CfCLayer], readout: Linear | None) -> Any:
    """One CfC with the weights of layers, and perhaps of a readout."""
    layers = group.layers if isinstance(group, WiredMemory) else tuple(group)
    memory = group.memory if isinstance(group, WiredMemory) else layers[0].memory
    first, inputs = layers[0], layers[0].input_size
    options: dict[str, Any] = {
        "proj_size": None if readout is None else readout.output_size,
        "mixed_memory": memory is not None,
        "mode": first.mode,
    }
    if first.backbone:
        options |= {
            "activation": first.activation,
            "backbone_units": first.backbone[0].output_size,
            "backbone_layers": len(first.backbone),
        }
        units: Any = first.units
    elif len(layers) > 1 or _is_sparse(first):
        units = _Layered([_input_mask(layer) for layer in layers])
    else:
        options["backbone_layers"] = 0
        units = first.units
    if any(layer.heads != "tanh" and layer.mode != "pure" for layer in layers):
        raise NoModuleError(f"{first.name} has heads without tanh, which ncps.torch has not")
    module = CfC(inputs, units, **options).double()
    cells = getattr(module.rnn_cell, "_layers", [module.rnn_cell])
    with torch.no_grad():
        for cell, layer in zip(cells, layers, strict=True):
            _fill_cell(cell, layer)
        if memory is not None:
            _fill_memory(module.lstm, memory, inputs)
        if readout is not None:
            _fill(module.fc, readout)
    return module


def _fill_cell(cell: Any, layer: CfCLayer) -> None:
    for linear in layer.maps:
        _fill(getattr(cell, linear.name), linear)
    if layer.backbone:
        maps = [part for part in cell.backbone if isinstance(part, nn.Linear)]
        for own, linear in zip(maps, layer.backbone, strict=True):
            _fill(own, linear)
    if layer.w_tau is not None and layer.amplitude is not None:
        cell.w_tau.copy_(torch.tensor(np.array(layer.w_tau)))
        cell.A.copy_(torch.tensor(np.array(layer.amplitude)))


def _fill_memory(lstm: Any, memory: Memory, inputs: int) -> None:
    weight = np.concatenate([gate.weight for gate in memory.gates])
    bias = np.concatenate([gate.bias for gate in memory.gates])
    _fill(lstm.input_map, Linear("input_map", weight[:, :inputs], bias))
    lstm.recurrent_map.weight.copy_(torch.tensor(weight[:, inputs:]))


def _fill(module: Any, linear: Linear) -> None:
    module.weight.copy_(torch.tensor(np.array(linear.weight)))
    module.bias.copy_(torch.tensor(np.array(linear.bias)))


def _linear(linear: Linear) -> nn.Linear:
    made = nn.Linear(linear.input_size, linear.output_size).double()
    with torch.no_grad():
        _fill(made, linear)
    return made
