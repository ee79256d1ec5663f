"""The layers of CfC in ncps.keras and ncps.tf as those of ncps.torch.

What differs: the heads have no tanh, the gate is sigmoid(-time_a * timespan + time_b), masks of
wirings have signs and are not stored, and a mixed memory feeds the input of the cell and not its
state (`InputMemory`). tf_cfc.py of raminmh/CfC is the same with LeCun's tanh in its heads.

Source: ncps 1.0.1, keras/cfc.py, cfc_cell.py, wired_cfc_cell.py; the same in tf/; raminmh/CfC
3ebaa03, tf_cfc.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.description import BACKBONE_ACTIVATIONS, NCPS, CfCDescription
from lnn2loihi.families.cfc.keras_arrays import CfCArrays, cfc_arrays
from lnn2loihi.families.cfc.keras_wiring import built_wiring, signed_masks, wiring_of
from lnn2loihi.families.cfc.layer import MODES, CfCLayer
from lnn2loihi.families.cfc.lecun_heads import lecun_parts
from lnn2loihi.families.cfc.state import parts_from_state
from lnn2loihi.families.lstm.keras_memory import behind_memory, cell_config, keras_memory
from lnn2loihi.families.lstm.memory import Memory

#: Activations of a backbone; tf_cfc.py has the last one, too.
_ACTIVATIONS = (*BACKBONE_ACTIVATIONS, "softplus")


def keras_parts(layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
    """The layers of one CfC, or None and everything that is wrong with it."""
    layer = replace(layer, config=cell_config(layer))
    mode = layer.word("mode", "default")
    problems = _config_problems(layer, mode)
    if problems:
        return None, problems
    found = cfc_arrays(layer, mode == "pure", layer.config["mixed_memory"])
    if found.dense_heads and (problems := _unsaid(layer, found)):
        return None, problems
    problems = [f"{layer.name} holds {path}, which a CfC of mode {mode} has not"
                for path in found.unknown[:8]]  # fmt: skip
    if not found.cells:
        return None, [*problems, f"{layer.name} holds no arrays of a cell, such as ff1_weight"]
    memory: Memory | None = None
    if layer.config["mixed_memory"]:
        memory, more = keras_memory(layer, found.arrays_of(layer, found.memory))
        problems += more
    state: dict[str, FloatArray] = {}
    problems += _cell_states(layer, found, mode, state)
    if problems:
        return None, problems
    inputs, units = _sizes(state, len(found.cells))
    description = CfCDescription(
        origin=layer.name, module=NCPS, input_size=inputs, units=units, mode=mode,
        activation=_activation(layer),
    )  # fmt: skip
    parts, problems = parts_from_state(tensors(state), description)
    if parts is None:
        return None, [f"{layer.name}: {problem}" for problem in problems]
    several = len(parts.layers) > 1
    heads = "tanh" if mode == "pure" or found.dense_heads else "linear"
    layers = tuple(
        replace(one, name=f"{layer.name}_{one.name}" if several else layer.name, heads=heads)
        for one in parts.layers
        if isinstance(one, CfCLayer)
    )
    if not found.dense_heads or mode == "pure":
        return behind_memory(layer, replace(parts, layers=layers), memory)
    return lecun_parts(layer, layers[0], memory)


def _config_problems(layer: KerasLayer, mode: Any) -> list[str]:
    """What its configuration says that cannot be imported."""
    problems: list[str] = []
    if mode not in MODES:
        problems.append(f"{layer.name}: mode is {mode!r:.60}; there are {', '.join(MODES)}")
    activation = _activation(layer)
    if activation not in _ACTIVATIONS:
        problems.append(
            f"{layer.name}: the activation of its backbone is {activation!r:.60}; there are "
            f"{', '.join(_ACTIVATIONS)}"
        )
    if layer.config.get("sparsity_mask") is not None:
        problems.append(f"{layer.name}: its cell has a sparsity_mask; build it with a wiring")
    return problems + layer.differing({"fully_recurrent": True})


def _activation(layer: KerasLayer) -> Any:
    """The activation of a backbone; tf_cfc.py calls the first of them lecun."""
    said = layer.word("activation", "lecun_tanh")
    return "lecun_tanh" if said == "lecun" else said


def _unsaid(layer: KerasLayer, found: CfCArrays) -> list[str]:
    """What no file says of a cell of tf_cfc.py, which has no defaults. Behind a memory it takes an
    elapsed time of 0 where none comes with the samples; all others take 1.
    """
    unsaid = {
        'mode = "default" or "no_gate", which have the same arrays, or "pure" for a minimal one': (
            "mode" not in layer.config
        ),
        'activation = "...", the backbone_activation of its hparams': (
            "activation" not in layer.config and bool(found.backbone)
        ),
        "timespan = 0.0, which a MixedCfcCell takes where no time comes with the samples, or "
        'timespan = "irregular" where it did': (
            layer.timespan is None and layer.config["mixed_memory"]
        ),
    }
    missing = [say for say, absent in unsaid.items() if absent]
    if not missing:
        return []
    return [
        f"{layer.name} is a cell of tf_cfc.py, and its file does not say how it was built; save "
        f'the weights (model.save_weights("net.weights.h5")) and say in their description: '
        f"{'; '.join(missing)}"
    ]


def _cell_states(
    layer: KerasLayer, found: CfCArrays, mode: str, state: dict[str, FloatArray]
) -> list[str]:
    """Adds the arrays of all cells to a state_dict of ncps.torch; what is wrong with them."""
    problems: list[str] = []
    for number, one in enumerate(found.backbone):
        arrays = found.arrays_of(layer, one, f"backbone {number} ")
        state[f"rnn_cell.backbone.{2 * number}.weight"] = arrays.take("kernel").T
        state[f"rnn_cell.backbone.{2 * number}.bias"] = arrays.take("bias", None, 0)
        problems += arrays.problems
    wired = len(found.cells) > 1 or any("/_cfc_layers/" in f"/{path}" for path in layer.arrays)
    wired = wired or (wiring_of(layer)[0] is not None and not found.backbone)
    if not wired:
        arrays = found.arrays_of(layer, found.cells[0])
        return problems + _cell(layer, arrays, "rnn_cell.", mode, None, state)
    if found.backbone:
        problems.append(f"{layer.name} has a wiring and a backbone, which no CfC has")
    first = found.arrays_of(layer, found.cells[0])
    columns, units = first.take("ff1_weight").shape
    if first.problems:
        return problems + first.problems
    wiring, more = built_wiring(layer, columns - units)
    problems += more
    masks = [] if wiring is None else signed_masks(wiring)
    if wiring is not None and len(masks) != len(found.cells):
        problems.append(f"{layer.name}: its wiring has {len(masks)} layers, its arrays "
                        f"{len(found.cells)}")  # fmt: skip
    for number, (cell, mask) in enumerate(zip(found.cells, masks, strict=False)):
        arrays = found.arrays_of(layer, cell, f"cell {number} " if len(masks) > 1 else "")
        problems += _cell(layer, arrays, f"rnn_cell.layer_{number}.", mode, mask, state)
    return problems


def tensors(state: Mapping[str, FloatArray]) -> dict[str, Tensor]:
    """Arrays as entries of a state_dict."""
    return {
        key: Tensor("float64", array.shape, "float", lambda array=array: array)
        for key, array in state.items()
    }


def _cell(
    layer: KerasLayer,
    arrays: Arrays,
    prefix: str,
    mode: str,
    mask: FloatArray | None,
    state: dict[str, FloatArray],
) -> list[str]:
    """Adds the arrays of one cell to a state_dict; what is wrong with them."""
    for name in ("ff1",) if mode == "pure" else ("ff1", "ff2"):
        dense = f"{name}.kernel" in arrays.keys
        weight = arrays.take(f"{name}.kernel" if dense else f"{name}_weight")
        if mask is not None and weight.shape != mask.shape:
            return [
                *arrays.problems,
                f"{layer.name}: {prefix[len('rnn_cell.') :]}{name} has shape {weight.shape}, its "
                f"wiring {mask.shape}",
            ]
        # The sign of a mask belongs to the weight.
        state[f"{prefix}{name}.weight"] = (weight if mask is None else weight * mask).T
        bias = arrays.take(f"{name}.bias" if dense else f"{name}_bias", weight.shape[1], 0)
        state[f"{prefix}{name}.bias"] = bias
    if mode == "pure":
        for name in ("w_tau", "A"):
            state[prefix + name] = arrays.take(name, 1, None)
    else:
        for name, sign in (("time_a", -1.0), ("time_b", 1.0)):
            state[f"{prefix}{name}.weight"] = sign * arrays.take(f"{name}.kernel").T
            state[f"{prefix}{name}.bias"] = sign * arrays.take(f"{name}.bias", None, 0)
    if mask is not None:
        state[f"{prefix}sparsity_mask"] = np.abs(mask).T
    return arrays.problems


def _sizes(state: Mapping[str, FloatArray], cells: int) -> tuple[int, int]:
    """Inputs and units of all cells."""
    if cells == 1 and "rnn_cell.ff1.weight" in state:
        units = len(state["rnn_cell.ff1.weight"])
        first = state.get("rnn_cell.backbone.0.weight", state["rnn_cell.ff1.weight"])
        return first.shape[1] - units, units
    weights = [state[f"rnn_cell.layer_{number}.ff1.weight"] for number in range(cells)]
    return weights[0].shape[1] - len(weights[0]), sum(map(len, weights))
