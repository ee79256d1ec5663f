"""Randomly drawn networks for the tests of ncps; nothing here is imported without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

#: Deterministic: the same examples in every run, no time limit of its own.
STEADY = settings(derandomize=True, deadline=None, max_examples=40, database=None)

KINDS = ("auto", "ncp", "full", "random", "own", "dense")


def own_wiring(layers: tuple[int, ...], seed: int) -> Any:
    """A user's wiring: any number of layers, synapses drawn at random (ncps issue 71)."""
    from ncps.wirings import Wiring

    class Layered(Wiring):
        def __init__(self) -> None:
            super().__init__(sum(layers))
            self.set_output_dim(layers[-1])

        @property
        def num_layers(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
            return len(layers)

        def get_neurons_of_layer(self, layer_id: int) -> list[int]:
            # The output layer has the lowest numbers, as in an NCP.
            start = sum(layers[layer_id + 1 :])
            return list(range(start, start + layers[layer_id]))

        def build(self, input_dim: int) -> None:
            super().build(input_dim)
            generator = np.random.default_rng(seed)
            for destination in self.get_neurons_of_layer(0):
                for source in range(input_dim):
                    if generator.random() < 0.6:
                        self.add_sensory_synapse(source, destination, -1)
            for layer in range(1, len(layers)):
                for destination in self.get_neurons_of_layer(layer):
                    for source in self.get_neurons_of_layer(layer - 1):
                        if generator.random() < 0.6:
                            self.add_synapse(source, destination, 1)

    return Layered()


def wiring(kind: str, size: int, seed: int) -> Any:
    """A fresh wiring of about `size` units; building a module changes it, so never share one."""
    from ncps import wirings

    if kind == "auto":
        return wirings.AutoNCP(size + 5, 2, sparsity_level=0.4, seed=seed)
    if kind == "ncp":
        return wirings.NCP(
            inter_neurons=size,
            command_neurons=3,
            motor_neurons=2,
            sensory_fanout=2,
            inter_fanout=2,
            recurrent_command_synapses=3,
            motor_fanin=2,
            seed=seed,
        )
    if kind == "full":
        return wirings.FullyConnected(size)
    if kind == "random":
        return wirings.Random(size, sparsity_level=0.5, random_seed=seed)
    return own_wiring((size, 3, 4, 2), seed)


def module(
    kind: str,
    *,
    inputs: int = 3,
    size: int = 6,
    proj_size: int | None = None,
    seed: int = 1,
    scale: float = 1.0,
    **options: Any,
) -> Any:
    """An untrained ncps CfC with weights multiplied by `scale` and random biases."""
    import torch
    from ncps.torch import CfC

    torch.manual_seed(seed)
    if kind == "dense":
        units: Any = size
        options = {"backbone_layers": 0, **options}
    else:
        units = wiring(kind, size, seed)
    made = CfC(inputs, units, proj_size=proj_size, **options)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.mul_(scale)
                if parameter.dim() == 1:
                    parameter.normal_(0.0, scale)
    return made


def state_in_float64(source: Any) -> dict[str, np.ndarray]:
    """The state_dict of a module as float64 arrays."""
    return {key: value.detach().double().numpy() for key, value in source.state_dict().items()}


class Answer(NamedTuple):
    """What PyTorch computes: each output, the state of all layers, and the last cell state."""

    outputs: np.ndarray
    states: np.ndarray
    cell: np.ndarray | None


def torch_steps(source: Any, x: np.ndarray, timespans: float | np.ndarray) -> Answer:
    """What PyTorch computes in double precision, step by step.

    The loop over the cell is the way around the broken `timespans` of ncps 1.0.1 (issue 81).

    Args:
        source: a CfC of ncps; it is double afterwards.
        x: inputs (batch, time, inputs).
        timespans: one elapsed time, or (batch, time).
    """
    import torch

    double = source.double().eval()
    inputs = torch.from_numpy(x)
    spans = torch.from_numpy(np.broadcast_to(timespans, x.shape[:2]).astype(np.float64))
    hidden = torch.zeros(x.shape[0], double.state_size, dtype=torch.float64)
    cell = torch.zeros_like(hidden)
    outputs, states = [], []
    with torch.no_grad():
        for t in range(x.shape[1]):
            if double.use_mixed:
                hidden, cell = double.lstm(inputs[:, t], (hidden, cell))
            output, hidden = double.rnn_cell(inputs[:, t], hidden, spans[:, t : t + 1])
            outputs.append(double.fc(output))
            states.append(hidden)
    last = cell.numpy() if double.use_mixed else None
    return Answer(torch.stack(outputs, 1).numpy(), torch.stack(states, 1).numpy(), last)


def torch_answer(source: Any, x: np.ndarray, timespan: float) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (batch, time, outputs) and states (batch, time, units of all layers)."""
    answer = torch_steps(source, x, timespan)
    return answer.outputs, answer.states


def described(state: Mapping[str, Any], **changes: Any) -> str:
    """A description that fits a state_dict without prefix; a change to None leaves a key out."""
    layers = sorted({k.split(".")[1] for k in state if k.startswith("rnn_cell.layer_")})
    cells = [f"rnn_cell.{layer}." for layer in layers] or ["rnn_cell."]
    sizes = [len(state[f"{cell}ff1.bias"]) for cell in cells]
    first = state.get("rnn_cell.backbone.0.weight", state[f"{cells[0]}ff1.weight"])
    values: dict[str, Any] = {
        "module": "ncps.torch.CfC",
        "input_size": first.shape[1] - sizes[0],
        "units": sum(sizes),
        **changes,
    }
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join(["[network]", *lines, ""])


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


modules = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "inputs": st.integers(1, 5),
        "size": st.integers(3, 9),
        "seed": st.integers(0, 1000),
        "scale": st.sampled_from([0.3, 1.0, 4.0, 30.0]),
        "proj_size": st.sampled_from([None, 1, 3]),
    }
)
timespans = st.sampled_from([0.0, 0.25, 1.0, 3.5])

MODES = ("default", "no_gate", "pure")
ACTIVATIONS = ("lecun_tanh", "silu", "relu", "tanh", "gelu")


@st.composite
def variants(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of `module` for any CfC that can be imported."""
    kind = draw(st.sampled_from((*KINDS, "dense", "dense")))
    made: dict[str, Any] = draw(modules) | {
        "kind": kind,
        "mode": draw(st.sampled_from(MODES)),
        "activation": draw(st.sampled_from(ACTIVATIONS)),
        "mixed_memory": draw(st.booleans()),
    }
    if kind == "dense":
        made["backbone_layers"] = draw(st.integers(0, 3))
        made["backbone_units"] = draw(st.integers(1, 8))
        made["backbone_dropout"] = draw(st.sampled_from([0.0, 0.2]))
    return made


def random_timespans(seed: int, batch: int, time: int) -> np.ndarray:
    """Elapsed times (batch, time), some of them 0."""
    generator = np.random.default_rng(seed)
    spans = generator.uniform(0.0, 4.0, (batch, time))
    spans[generator.random((batch, time)) < 0.1] = 0.0
    return spans
