"""How the module that a network was made of is called and answers, beside its numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn2loihi.errors import InputError
from lnn2loihi.family import family_of_importer, importer_of, left_out
from lnn2loihi.faults import described
from lnn2loihi.network import LiquidNetwork

Hidden = Tensor | tuple[Tensor, Tensor]

#: Steps of the random sequence that shows how a module answers.
STEPS_TRIED = 3
#: Largest difference between the module's answers to it and the network's.
TOLERANCE = 1e-3


class MeanOverTime(nn.Module):
    """The mean of the outputs of all steps, (batch, outputs) or (outputs,)."""

    def forward(self, outputs: Tensor) -> Tensor:
        """Outputs (batch, time, outputs) or (time, outputs)."""
        return outputs.mean(dim=-2)


#: What may stand behind a network and stays on the host, by the names in `LiquidNetwork.host`.
HOST_FUNCTIONS: dict[str, Callable[[], nn.Module]] = {
    "softmax": lambda: nn.Softmax(dim=-1),
    "log_softmax": lambda: nn.LogSoftmax(dim=-1),
    "sigmoid": nn.Sigmoid,
    "mean over time": MeanOverTime,
}


@dataclass(frozen=True, eq=False)
class Calls:
    """Axes and answers of a module.

    Attributes:
        returns_state: whether it returns (output, state), or the output alone.
        sequences: whether it returns the outputs of all steps, or of the last one.
        time_first: whether samples and outputs are (time, batch, channels).
        features_first: whether they are (batch, channels, time).
        one_step: whether it is a cell: it takes one sample, (batch, inputs), and returns its output
            and the new state, or the new state alone.
        by_layer: whether states are (layers, batch, units) as in torch.nn.GRU, or those of all
            layers side by side as in ncps.
        host: what is applied to the outputs, and is no part of the network; None for nothing.
    """

    returns_state: bool = True
    sequences: bool = True
    time_first: bool = False
    features_first: bool = False
    one_step: bool = False
    by_layer: bool = False
    host: nn.Module | None = None

    def batch_first(
        self, input: Tensor, timespans: Tensor | None
    ) -> tuple[Tensor, Tensor | None, bool]:
        """Samples (batch, time, inputs), times (batch, time), and whether there is a batch.

        Raises:
            InputError: an argument has another number of axes.
        """
        axes = (1, 2) if self.one_step else (2, 3)
        if input.dim() not in axes:
            form = "(time, batch, inputs)" if self.time_first else "(batch, time, inputs)"
            form = "(batch, inputs) or (inputs,)" if self.one_step else f"{form} or (time, inputs)"
            if self.features_first:
                form = "(batch, inputs, time) or (inputs, time)"
            raise InputError("input", f"has shape {tuple(input.shape)}; give {form}")
        batched = input.dim() == axes[1]
        input = input.transpose(-1, -2) if self.features_first else input
        x = input if batched else input[None]
        x = x[:, None] if self.one_step else x
        swapped = batched and self.time_first
        x = x.transpose(0, 1) if swapped else x
        if timespans is None:
            return x, None, batched
        if timespans.numel() != x.shape[0] * x.shape[1]:
            raise InputError(
                "timespans",
                f"have shape {tuple(timespans.shape)}; give one for each of "
                f"{x.shape[0]} x {x.shape[1]} samples",
            )
        times = timespans.reshape(x.shape[1], x.shape[0]).T if swapped else timespans
        return x, times.reshape(x.shape[:2]), batched

    def answer(self, outputs: Tensor, hidden: Hidden, batched: bool) -> Any:
        """What the module returns for outputs (batch, time, outputs)."""
        if self.one_step:
            return (outputs[:, 0], hidden) if self.returns_state else hidden
        if not self.sequences:
            outputs = outputs[:, -1]
        elif self.time_first and batched:
            outputs = outputs.transpose(0, 1)
        outputs = outputs if batched else outputs[0]
        outputs = outputs.transpose(-1, -2) if self.features_first else outputs
        outputs = outputs if self.host is None else self.host(outputs)
        return (outputs, hidden) if self.returns_state else outputs


def calls_of(source: Any, network: LiquidNetwork) -> Calls:
    """How `source` is called, of which `network` was imported.

    The importer of a family says it of its modules. Where it does not, and of a module around
    recurrent layers, it is found out by calling a copy; one that cannot be called as it is (a
    Sequential does not pass on what a CfC returns) is taken to return the outputs of all steps, and
    those alone.

    Args:
        source: a module, a path (called as ncps.torch.CfC), or the network itself (as a module
            that returns outputs alone).
        network: the float network.
    """
    if isinstance(source, LiquidNetwork):
        return Calls(returns_state=False)
    if not isinstance(source, nn.Module):
        return Calls()
    importer = importer_of(source)
    said = None
    if importer is not None:
        try:
            said = importer.calls(source)
        except Exception as error:  # a stranger's importer: it is found out by a call
            left_out(
                family_of_importer(importer),
                f"it does not say how its modules are called: {described(error)}",
            )
    if said is not None:
        return Calls(**said)
    host = next((HOST_FUNCTIONS[name]() for name in network.host if name in HOST_FUNCTIONS), None)
    found = next(_fitting(source, network, host), None)
    return found or Calls(returns_state=False, host=host)


def _fitting(source: nn.Module, network: LiquidNetwork, host: nn.Module | None) -> Iterator[Calls]:
    """All ways of calling a module in which it answers as the network does."""
    module = copy.deepcopy(source).double().eval()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, STEPS_TRIED, network.input_size))
    x = x * network.input_scale + network.input_offset
    times = np.ones((1, STEPS_TRIED)) if network.irregular else None
    outputs = torch.as_tensor(network.evaluate(x, timespans=times).outputs)
    before = torch.get_default_dtype()
    for time_first in (False, True):
        given = torch.as_tensor(x.transpose(1, 0, 2) if time_first else x)
        spans = {}
        if times is not None:
            spans = {"timespans": torch.as_tensor(times.T if time_first else times)}
        torch.set_default_dtype(torch.float64)  # of the first state that ncps makes
        try:
            with torch.no_grad():
                answered = module(given, **spans)
        except Exception:  # a module may refuse these axes in any way
            continue
        finally:
            torch.set_default_dtype(before)
        returns_state = isinstance(answered, (tuple, list))
        first = answered[0] if returns_state else answered
        # As torch.nn.GRU returns it; a pair is that of an LSTM.
        state = answered[1] if returns_state and len(answered) > 1 else None
        state = state[0] if isinstance(state, (tuple, list)) else state
        by_layer = isinstance(state, Tensor) and state.dim() == 3
        for sequences in (True, False):
            calls = Calls(returns_state, sequences, time_first, by_layer=by_layer, host=host)
            expected = Calls(False, sequences, time_first, host=host).answer(outputs, outputs, True)
            if (
                isinstance(first, Tensor)
                and first.shape == expected.shape
                and torch.allclose(first.double(), expected, TOLERANCE, TOLERANCE)
            ):
                yield calls
