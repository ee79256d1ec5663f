"""The modules of each family, alike but for their recurrent layer. Needs PyTorch and ncps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ncps.torch import CfC
from ncps.wirings import AutoNCP, FullyConnected
from torch import Tensor, nn

from lnn2loihi.models.fast_cfc import FastCfC
from lnn2loihi.models.fast_ltc import FastLTC
from lnn2loihi.models.memory_cfc import MemoryCfC
from lnn2loihi.models.minimal_rnn import MinGRU, MinLSTM

#: The share of the units of a wiring that are its motor neurons, where a readout follows.
MOTOR_SHARE = 4
#: Those of an LTC of ncps where nothing else is said.
UNFOLDS = 6


class WithReadout(nn.Module):
    """A recurrent layer and a Linear on all of its answers.

    Args:
        rnn: answers with outputs (batch, time, units) and a state.
        units: its units.
        outputs: outputs of the Linear.
    """

    def __init__(self, rnn: nn.Module, units: int, outputs: int) -> None:
        super().__init__()
        self.rnn, self.readout = rnn, nn.Linear(units, outputs)

    def forward(self, x: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """Outputs (batch, time, outputs) and the state."""
        states, last = self.rnn(x, hx)
        return self.readout(states), last


class Stacked(nn.Module):
    """Layers one after the other, each hearing the states of the one before.

    Args:
        layers: each answers with states (batch, time, units) and the last of them.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)

    def forward(self, x: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """The states of the last layer, and the last states of all."""
        last = []
        for number, layer in enumerate(self.children()):
            x, state = layer(x, None if hx is None else hx[number])
            last.append(state)
        return x, last


Builder = Callable[[int, int, int, int], tuple[nn.Module, dict[str, Any]]]


def _cfc(inputs: int, units: int, outputs: int, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    module = CfC(inputs, units, proj_size=outputs, backbone_layers=0)
    return module, {"module": "ncps.torch.CfC", "units": units, "proj_size": outputs}


def _cfc_with_backbone(
    inputs: int, units: int, outputs: int, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    """One layer of as many units as the state; ncps has one of 128 where nothing is said."""
    module = FastCfC(inputs, units, outputs, backbone_units=units)
    said = {"units": units, "proj_size": outputs, "activation": "lecun_tanh"}
    return module, {"module": "ncps.torch.CfC", **said}


def _cfc_with_memory(
    inputs: int, units: int, outputs: int, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    """The same, and its state passes an LSTM in every step."""
    module = MemoryCfC(inputs, units, outputs, backbone_units=units)
    said = {"units": units, "proj_size": outputs, "activation": "lecun_tanh"}
    return module, {"module": "ncps.torch.CfC", **said, "mixed_memory": True}


def _ncp(inputs: int, units: int, outputs: int, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    wiring = AutoNCP(units, max(units // MOTOR_SHARE, 1), seed=seed)
    module = CfC(inputs, wiring, proj_size=outputs)
    return module, {"module": "ncps.torch.CfC", "units": units, "proj_size": outputs}


def _ltc(unfolds: int) -> Builder:
    """All units hear each other; the outputs are the first of them with an affine mapping."""

    def build(inputs: int, units: int, outputs: int, seed: int) -> tuple[nn.Module, dict[str, Any]]:
        wiring = FullyConnected(units, outputs, erev_init_seed=seed)
        module = FastLTC(inputs, wiring, ode_unfolds=unfolds)
        said = {"module": "ncps.torch.LTC", "units": units, "output_size": outputs}
        return module, {**said, **({} if unfolds == UNFOLDS else {"ode_unfolds": unfolds})}

    return build


def _with_readout(name: str, layer: Callable[[int, int], nn.Module]) -> Builder:
    def build(inputs: int, units: int, outputs: int, seed: int) -> tuple[nn.Module, dict[str, Any]]:
        module = WithReadout(layer(inputs, units), units, outputs)
        said = {"module": name, "hidden_size": units, "prefix": "rnn.", "readout": "readout."}
        return module, said

    return build


#: For each family what makes a module of inputs, units, outputs and a seed, and the lines of its
#: description. A single minGRU or minLSTM layer has no recurrent weights at all; two can do more.
#: An LTC of fewer unfolds is as much cheaper.
BUILDERS: dict[str, Builder] = {
    "cfc": _cfc,
    "cfcb": _cfc_with_backbone,
    "cfcm": _cfc_with_memory,
    "ncp": _ncp,
    "ltc": _ltc(UNFOLDS),
    "ltc2": _ltc(2),
    "gru": _with_readout("torch.nn.GRU", lambda i, u: nn.GRU(i, u, batch_first=True)),
    "lstm": _with_readout("torch.nn.LSTM", lambda i, u: nn.LSTM(i, u, batch_first=True)),
    "mingru": _with_readout("minGRU", lambda i, u: MinGRU(i, u, bias=True)),
    "minlstm": _with_readout("minLSTM", lambda i, u: MinLSTM(i, u, bias=True)),
    "mingru2": _with_readout(
        "minGRU", lambda i, u: Stacked(MinGRU(i, u, bias=True), MinGRU(u, u, bias=True))
    ),
    "minlstm2": _with_readout(
        "minLSTM", lambda i, u: Stacked(MinLSTM(i, u, bias=True), MinLSTM(u, u, bias=True))
    ),
}


def build(
    family: str, inputs: int, units: int, outputs: int, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    """A fresh module, and what its description says.

    Args:
        family: key of BUILDERS.
        inputs: input channels.
        units: units of the recurrent layer or wiring.
        outputs: outputs.
        seed: seed of weights and wiring.
    """
    torch.manual_seed(seed)
    module, said = BUILDERS[family](inputs, units, outputs, seed)
    return module, {"input_size": inputs, **said}


def parameter_count(module: nn.Module) -> int:
    """Trained numbers of a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def units_for(family: str, parameters: int, inputs: int, outputs: int, seed: int) -> int:
    """The number of units with which a module has about so many trained numbers."""
    units, before, count = outputs + 3, 0, 0
    while count < parameters:
        units, before = units + 1, count
        count = parameter_count(build(family, inputs, units, outputs, seed)[0])
    return units if count - parameters < parameters - before else units - 1
