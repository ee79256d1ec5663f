"""The equations of a CfC on tensors, without the wrapping of every value: six operations a step are
all that it has.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lnn2loihi.families.cfc.layer import CfCStage


def cfc_equations(
    stage: CfCStage,
    sums: Mapping[str, Tensor],
    memory: Mapping[str, Tensor],
    elapsed: Tensor | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """See `lnn2loihi.tensors.equations`."""
    f1, f2 = torch.tanh(sums["ff1"]), torch.tanh(sums["ff2"])
    time = sums["time"] if elapsed is None else sums["time_a"] * elapsed + sums["time_b"]
    gate = torch.sigmoid(time)
    return (f1 + gate * f2 if stage.mode == "no_gate" else f1 + gate * (f2 - f1)), {}
