"""Weights of ncps-mlx (`module.save_weights("net.npz")`, or `.safetensors`): keys as those of
ncps.torch, the function of ncps.keras.

MLX leaves out what has a name that begins with an underscore: the masks of a wiring, and the map
after the layers (`proj_size`), which it does not train either. Masks are taken from keys
`rnn_cell.layer_0.sparsity_mask` where whoever saved the file has put them there; the wirings of
ncps-mlx are drawn by another generator than those of ncps, so no seed brings them back.

Source: MLXPorts/ncps-mlx 62ecc92, ncps_mlx/cfc_cell.py, wired_cfc_cell.py, cfc.py, wirings.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.description import CfCDescription
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.ncps import under_prefix
from lnn2loihi.families.cfc.state import parts_from_state

#: What descriptions call it.
MLX = "ncps_mlx.CfC"
#: A map of a backbone, which is a list within a Sequential there.
_BACKBONE = re.compile(r"rnn_cell\.backbone\.layers\.([0-9]{1,6})\.")
_LAYER = re.compile(r"rnn_cell\.layer_[0-9]{1,6}\.")
#: How to bring the masks into the file.
MASKS = (
    "put them there where MLX is: weights = dict(mlx.utils.tree_flatten(module.parameters())), "
    'then for each layer weights["rnn_cell.layer_0.sparsity_mask"] = '
    'module.rnn_cell.layer_0._sparsity_mask, then mx.savez("net.npz", **weights)'
)


@dataclass(frozen=True, kw_only=True)
class MlxCfCDescription(CfCDescription):
    """How a CfC of ncps-mlx was built; see `CfCDescription`."""

    known_as: ClassVar[str] = "of a CfC of ncps-mlx"


def is_mlx(state: Mapping[str, Tensor]) -> bool:
    """Whether there are keys that only MLX writes."""
    return any(_BACKBONE.search(key) for key in state)


def mlx_parts(
    state: Mapping[str, Tensor], description: MlxCfCDescription
) -> tuple[FamilyParts | None, list[str]]:
    """The layers, or None and everything that is wrong with the arrays."""
    own, problems = under_prefix(state, description)
    if problems:
        return None, problems
    wired = any(_LAYER.match(key) for key in own)
    if wired and not any(key.endswith("sparsity_mask") for key in own):
        problems.append(f"it has a wiring, whose masks MLX does not save; {MASKS}")
    if description.proj_size is not None or any(key.startswith("fc.") for key in own):
        problems.append(
            "proj_size: ncps-mlx neither trains nor saves the map after the layers (its name "
            "begins with an underscore); put a Linear of your own behind the CfC"
        )
    if description.mixed_memory:
        problems.append("mixed_memory: ncps-mlx has none")
    if problems:
        return None, problems
    named: dict[str, Tensor] = {}
    for key, tensor in own.items():
        plain = description.prefix + _BACKBONE.sub(r"rnn_cell.backbone.\1.", key)
        named[plain] = _negative(tensor) if ".time_a." in key else tensor
    parts, problems = parts_from_state(named, description)
    if parts is None:
        return None, problems
    layers = tuple(
        replace(layer, heads="linear")
        if isinstance(layer, CfCLayer) and layer.mode != "pure"
        else layer
        for layer in parts.layers
    )
    return replace(parts, layers=layers), []


def _negative(tensor: Tensor) -> Tensor:
    """The gate is sigmoid(-time_a * timespan + time_b) there."""

    def read() -> FloatArray:
        return -tensor.read()

    return replace(tensor, read=read)
