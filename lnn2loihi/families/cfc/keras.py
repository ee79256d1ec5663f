"""The layers of CfC in ncps.keras and ncps.tf as those of ncps.torch.

What differs: the heads have no tanh, the gate is sigmoid(-time_a * timespan + time_b), masks of
wirings have signs and are not stored, and a mixed memory feeds the input of the cell and not its
state (`InputMemory`).

Source: ncps 1.0.1, keras/cfc.py, cfc_cell.py, wired_cfc_cell.py; the same in tf/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.description import BACKBONE_ACTIVATIONS, NCPS, CfCDescription
from lnn2loihi.families.cfc.keras_wiring import built_wiring, signed_masks
from lnn2loihi.families.cfc.layer import MODES, CfCLayer
from lnn2loihi.families.cfc.state import parts_from_state
from lnn2loihi.families.lstm.keras_memory import (
    CELL,
    CELL_OF_MEMORY,
    behind_memory,
    cell_config,
)

#: Arrays of a cell in the order in which Keras makes them.
HEADS = ("ff1_weight", "ff1_bias", "ff2_weight", "ff2_bias")
PURE = ("ff1_weight", "ff1_bias", "w_tau", "A")


def keras_parts(layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
    """The layers of one CfC, or None and everything that is wrong with it."""
    layer = replace(layer, config=cell_config(layer))
    mode, mixed = layer.word("mode", "default"), layer.config["mixed_memory"]
    activation = layer.word("activation", "lecun_tanh")
    problems: list[str] = []
    if mode not in MODES:
        problems.append(f"{layer.name}: mode is {mode!r:.60}; there are {', '.join(MODES)}")
    if activation not in BACKBONE_ACTIVATIONS:
        problems.append(
            f"{layer.name}: the activation of its backbone is {activation!r:.60}; there are "
            f"{', '.join(BACKBONE_ACTIVATIONS)}"
        )
    if layer.config.get("sparsity_mask") is not None:
        problems.append(f"{layer.name}: its cell has a sparsity_mask; build it with a wiring")
    problems += layer.differing({"fully_recurrent": True})
    if layer.named:
        problems.append(
            f"{layer.name}: names of the arrays of a CfC in files of old are not read; save it as "
            ".keras or .weights.h5"
        )
    if problems:
        return None, problems
    state: dict[str, FloatArray] = {}
    root = CELL_OF_MEMORY if mixed else CELL
    groups = _cells(layer, root)
    if groups == [root]:
        problems += _cell(layer, root, "rnn_cell.", mode, None, state)
        problems += _backbone(layer, root, state)
    else:
        wiring, problems = built_wiring(layer, _inputs(layer, groups[0], mode))
        if wiring is not None:
            masks = signed_masks(wiring)
            if len(masks) != len(groups):
                problems.append(f"{layer.name}: its wiring has {len(masks)} layers, its arrays "
                                f"{len(groups)}")  # fmt: skip
            for number, (group, mask) in enumerate(zip(groups, masks, strict=False)):
                problems += _cell(layer, group, f"rnn_cell.layer_{number}.", mode, mask, state)
    if problems:
        return None, problems
    inputs, units = _sizes(state, len(groups))
    description = CfCDescription(
        origin=layer.name, module=NCPS, input_size=inputs, units=units, mode=mode,
        activation=activation,
    )  # fmt: skip
    parts, problems = parts_from_state(tensors(state), description)
    if parts is None:
        return None, [f"{layer.name}: {problem}" for problem in problems]
    heads = "tanh" if mode == "pure" else "linear"
    several = len(parts.layers) > 1
    layers = tuple(
        replace(one, name=f"{layer.name}_{one.name}" if several else layer.name, heads=heads)
        for one in parts.layers
        if isinstance(one, CfCLayer)
    )
    return behind_memory(layer, replace(parts, layers=layers))


def tensors(state: Mapping[str, FloatArray]) -> dict[str, Tensor]:
    """Arrays as entries of a state_dict."""
    return {
        key: Tensor("float64", array.shape, "float", lambda array=array: array)
        for key, array in state.items()
    }


def _cells(layer: KerasLayer, root: str) -> list[str]:
    """Paths of the cells of a layer, in the order of its wiring."""
    start = f"{root}_cfc_layers/"
    names = {
        path[len(start) :].partition("/")[0] for path in layer.arrays if path.startswith(start)
    }
    if not names:
        return [root]
    return [f"{start}{name}/" for name in sorted(names, key=_number)]


def _number(name: str) -> int:
    found = re.search(r"_([0-9]{1,6})$", name)
    return int(found[1]) if found else 0


def _inputs(layer: KerasLayer, group: str, mode: str) -> int:
    arrays = layer.state(PURE if mode == "pure" else HEADS, group)
    columns, units = arrays.take("ff1_weight").shape
    return columns - units


def _cell(
    layer: KerasLayer,
    group: str,
    prefix: str,
    mode: str,
    mask: FloatArray | None,
    state: dict[str, FloatArray],
) -> list[str]:
    """Adds the arrays of one cell to a state_dict; what is wrong with them."""
    arrays = layer.state(PURE if mode == "pure" else HEADS, group)
    maps = ("ff1",) if mode == "pure" else ("ff1", "ff2")
    for name in maps:
        weight = arrays.take(f"{name}_weight")
        if mask is not None and weight.shape != mask.shape:
            return [
                *arrays.problems,
                f"{layer.name}: {group}{name} has shape {weight.shape}, its wiring {mask.shape}",
            ]
        # The sign of a mask belongs to the weight.
        state[f"{prefix}{name}.weight"] = (weight if mask is None else weight * mask).T
        state[f"{prefix}{name}.bias"] = arrays.take(f"{name}_bias", weight.shape[1], 0)
    problems = arrays.problems
    if mode == "pure":
        for name in ("w_tau", "A"):
            state[prefix + name] = arrays.take(name, 1, None)
    else:
        for name, sign in (("time_a", -1.0), ("time_b", 1.0)):
            gate = layer.state(("kernel", "bias"), f"{group}{name}/")
            state[f"{prefix}{name}.weight"] = sign * gate.take("kernel").T
            state[f"{prefix}{name}.bias"] = sign * gate.take("bias", None, 0)
            problems = problems + gate.problems
    if mask is not None:
        state[f"{prefix}sparsity_mask"] = np.abs(mask).T
    return problems


def _backbone(layer: KerasLayer, root: str, state: dict[str, FloatArray]) -> list[str]:
    """Adds the maps of a backbone, numbered with the activations between them; what is wrong."""
    start = f"{root}backbone_fn/layers/"
    names = {
        path[len(start) :].partition("/")[0] for path in layer.arrays if path.startswith(start)
    }
    problems: list[str] = []
    for number, name in enumerate(sorted((n for n in names if "dense" in n), key=_number)):
        arrays = layer.state(("kernel", "bias"), f"{start}{name}/")
        state[f"rnn_cell.backbone.{2 * number}.weight"] = arrays.take("kernel").T
        state[f"rnn_cell.backbone.{2 * number}.bias"] = arrays.take("bias", None, 0)
        problems += arrays.problems
    return problems


def _sizes(state: Mapping[str, FloatArray], cells: int) -> tuple[int, int]:
    """Inputs and units of all cells."""
    if cells == 1 and "rnn_cell.ff1.weight" in state:
        units = len(state["rnn_cell.ff1.weight"])
        first = state.get("rnn_cell.backbone.0.weight", state["rnn_cell.ff1.weight"])
        return first.shape[1] - units, units
    weights = [state[f"rnn_cell.layer_{number}.ff1.weight"] for number in range(cells)]
    return weights[0].shape[1] - len(weights[0]), sum(map(len, weights))
