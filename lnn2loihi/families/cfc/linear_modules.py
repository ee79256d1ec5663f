"""Modules with the keys of ncps.torch and the function of ncps.keras: ncps-mlx, whose weights are
read of files (`module.save_weights("net.npz")`, or `.safetensors`), and our own for training,
`lnn2loihi.models.linear_cfc.module.LinearCfC`.

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
from typing import Any, ClassVar

from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.description import CfCDescription
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.ncps import under_prefix
from lnn2loihi.families.cfc.state import parts_from_state

#: What descriptions call them, and the class of the second one.
MLX, LINEAR = "ncps_mlx.CfC", "LinearCfC"
LINEAR_CLASS = "lnn2loihi.models.linear_cfc.module.LinearCfC"
_MODULE = LINEAR_CLASS.rpartition(".")[0]
#: A map of a backbone, which is a list within a Sequential there.
_BACKBONE = re.compile(r"rnn_cell\.backbone\.layers\.([0-9]{1,6})\.")
#: What stands before the keys of the cell of a LinearCfC.
_OWN = "linear_cell."
_LAYER = re.compile(r"rnn_cell\.layer_[0-9]{1,6}\.")
#: How to bring the masks into the file.
MASKS = (
    "put them there where MLX is: weights = dict(mlx.utils.tree_flatten(module.parameters())), "
    'then for each layer weights["rnn_cell.layer_0.sparsity_mask"] = '
    'module.rnn_cell.layer_0._sparsity_mask, then mx.savez("net.npz", **weights)'
)


@dataclass(frozen=True, kw_only=True)
class LinearCfCDescription(CfCDescription):
    """How a CfC with linear heads was built; see `CfCDescription`."""

    known_as: ClassVar[str] = "of a CfC with linear heads"


def module_of(state: Mapping[str, Tensor]) -> str | None:
    """Which of the two has written keys that nobody else writes; None where none has."""
    if any(_OWN in key for key in state):
        return LINEAR
    return MLX if any(_BACKBONE.search(key) for key in state) else None


def plain_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the keys that they would have in ncps.torch."""
    return {
        _BACKBONE.sub(r"rnn_cell.backbone.\1.", key.replace(_OWN, "rnn_cell.")): tensor
        for key, tensor in state.items()
    }


def describe_linear(source: Any) -> tuple[CfCDescription, list[str]]:
    """How a live LinearCfC was built; and what in it is not as it builds it."""
    problems: list[str] = []
    for where, owner in (("it", source), ("rnn_cell", source.rnn_cell)):
        kinds = (kind for kind in type(owner).__mro__ if kind.__module__ == _MODULE)
        original: Any = next(kinds, None)
        if original is None or type(owner).forward is not original.forward:
            problems.append(f"{where} overrides forward; give a plain {LINEAR}")
    return LinearCfCDescription(
        origin="the module",
        module=LINEAR,
        input_size=source.input_size,
        units=source.state_size,
        proj_size=source.proj_size,
        mode=source.rnn_cell.mode,
        activation=source.activation,
        backbone_layers=source.rnn_cell.backbone_layers,
    ), problems


def linear_parts(
    state: Mapping[str, Tensor], description: LinearCfCDescription
) -> tuple[FamilyParts | None, list[str]]:
    """The layers, or None and everything that is wrong with the arrays."""
    own, problems = under_prefix(plain_keys(state), description)
    if problems:
        return None, problems
    wired = any(_LAYER.match(key) for key in own)
    if wired and not any(key.endswith("sparsity_mask") for key in own):
        problems.append(f"it has a wiring, whose masks MLX does not save; {MASKS}")
    mapped = description.proj_size is not None or any(key.startswith("fc.") for key in own)
    if mapped and description.module == MLX:
        problems.append(
            "proj_size: ncps-mlx neither trains nor saves the map after the layers (its name "
            "begins with an underscore); put a Linear of your own behind the CfC"
        )
    if description.mixed_memory:
        problems.append(f"mixed_memory: {description.module} has none")
    if problems:
        return None, problems
    named = {
        description.prefix + key: _negative(tensor) if ".time_a." in key else tensor
        for key, tensor in own.items()
    }
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
