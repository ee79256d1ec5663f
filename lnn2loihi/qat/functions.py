"""What stages make of their sums, on tensors; the float functions are in lnn2loihi.layers.

A pair of functions for every kind of stage: these for gradients, those for NumPy. They are
compared in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from lnn2loihi.errors import QuantizationError
from lnn2loihi.layers.cfc import CfCStage, PureStage
from lnn2loihi.layers.dense import SUM, DenseStage
from lnn2loihi.layers.gru import GRUStage
from lnn2loihi.layers.ltc import CONDUCTANCE, CURRENT, SOURCE, MembraneStage, SynapseStage
from lnn2loihi.layers.memory import MemoryStage
from lnn2loihi.layers.minimal import MinGRUStage, MinimalStage
from lnn2loihi.layers.readout import ReadoutStage
from lnn2loihi.layers.stage import Stage

#: Activations by name; keys of lnn2loihi.layers.dense.FUNCTIONS.
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
}


@singledispatch
def answer(
    stage: Stage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """The message and the new memory of a stage, (batch, units).

    Args:
        stage: the float stage.
        sums: the sum of each gate, (batch, units).
        vectors: each of the stage's `vectors`, (units,).
        memory: its memory, or None.
        elapsed: time since the sample before, (batch, 1), or None.

    Raises:
        QuantizationError: nobody has said how stages of this kind are trained.
    """
    raise QuantizationError(
        f"stage {stage.name!r}",
        f"there is no training for a {type(stage).__qualname__}: register its arithmetic, "
        "lnn2loihi.qat.functions.answer.register",
    )


@answer.register
def _(
    stage: CfCStage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    f1, f2 = torch.tanh(sums["ff1"]), torch.tanh(sums["ff2"])
    time = sums["time"] if elapsed is None else sums["time_a"] * elapsed + sums["time_b"]
    gate = torch.sigmoid(time)
    return (f1 + gate * f2 if stage.mode == "no_gate" else f1 + gate * (f2 - f1)), None


@answer.register
def _(
    stage: PureStage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    f = sums["ff1"]
    time: Any = stage.timespan if elapsed is None else elapsed
    decay = torch.exp(-(vectors["w_tau"].abs() + f.abs()) * time)
    return vectors["amplitude"] * (1.0 - decay * f), None


@answer.register
def _(
    stage: DenseStage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    return ACTIVATIONS[stage.activation](sums[SUM]), None


@answer.register
def _(
    stage: MemoryStage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    assert memory is not None
    kept = memory * torch.sigmoid(sums["forget_gate"])
    cell = kept + torch.tanh(sums["cell_input"]) * torch.sigmoid(sums["input_gate"])
    return torch.tanh(cell) * torch.sigmoid(sums["output_gate"]), cell


@answer.register
def _(
    stage: GRUStage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    assert memory is not None
    recurrent = torch.sigmoid(sums["reset_gate"]) * sums["candidate_recurrent"]
    candidate = torch.tanh(sums["candidate_input"] + recurrent)
    h = candidate + torch.sigmoid(sums["update_gate"]) * (memory - candidate)
    return h, h


@answer.register
def _(
    stage: MinimalStage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    assert memory is not None
    candidate = sums["candidate"]
    if stage.form == "log":
        candidate = torch.relu(candidate) + torch.sigmoid(candidate.clamp(max=0.0))
    if isinstance(stage, MinGRUStage):
        share = torch.sigmoid(sums["update_gate"])
    else:
        log_odds = [torch.nn.functional.logsigmoid(sums[g]) for g in ("input_gate", "forget_gate")]
        share = torch.sigmoid(log_odds[0] - log_odds[1])
    h = memory + share * (candidate - memory)
    return h, h


@answer.register
def _(
    stage: SynapseStage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    return torch.sigmoid(vectors["slope"] * sums[SOURCE] + vectors["offset"]), None


@answer.register
def _(
    stage: MembraneStage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    assert memory is not None
    time: Any = stage.timespan if elapsed is None else elapsed
    kept = vectors["capacitance"] * stage.unfolds
    v = (kept * memory + time * sums[CURRENT]) / (kept + time * sums[CONDUCTANCE])
    return v, v


@answer.register
def _(
    stage: ReadoutStage,
    sums: Mapping[str, Tensor],
    vectors: Mapping[str, Tensor],
    memory: Tensor | None,
    elapsed: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    return sums[SUM], None
