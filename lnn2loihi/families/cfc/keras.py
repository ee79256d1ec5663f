"""The layers of CfC in ncps.keras and ncps.tf as those of ncps.torch.

What differs: the heads have no tanh, the gate is sigmoid(-time_a * timespan + time_b), masks of
wirings have signs and are not stored, and a mixed memory feeds the input of the cell and not its
state, which is refused.

Source: ncps 1.0.1, keras/cfc.py, cfc_cell.py, wired_cfc_cell.py; the same in tf/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.errors import BackendMissingError
from lnn2loihi.families.cfc.description import BACKBONE_ACTIVATIONS, NCPS, CfCDescription
from lnn2loihi.families.cfc.layer import MODES, CfCLayer
from lnn2loihi.families.cfc.state import parts_from_state

#: Arrays of a cell in the order in which Keras makes them.
CELL = ("ff1_weight", "ff1_bias", "ff2_weight", "ff2_bias")
PURE = ("ff1_weight", "ff1_bias", "w_tau", "A")
#: Wirings that are built again from their numbers, which are their constructors' arguments.
WIRINGS = {
    "AutoNCP": ("units", "output_size", "sparsity_level", "seed"),
    "NCP": ("inter_neurons", "command_neurons", "motor_neurons", "sensory_fanout", "inter_fanout",
            "recurrent_command_synapses", "motor_fanin", "seed"),
    "FullyConnected": ("units", "output_dim", "erev_init_seed", "self_connections"),
    "Random": ("units", "output_dim", "sparsity_level", "random_seed"),
}  # fmt: skip
_NUMBERS = {key for keys in WIRINGS.values() for key in keys}
#: Most units of a wiring that is built.
MOST_UNITS = 1 << 12


def cell_config(layer: KerasLayer) -> dict[str, Any]:
    """What the configuration of a layer of ncps says, and that of the cell in it."""
    cell = layer.config.get("cell")
    inner = cell.get("config") if isinstance(cell, Mapping) else None
    found = {**(inner if isinstance(inner, Mapping) else {}), **layer.config}
    kind = str(cell.get("class_name")) if isinstance(cell, Mapping) else ""
    stored = any(path.startswith("cell/rnn_cell/") for path in layer.arrays)
    found["mixed_memory"] = bool(found.get("mixed_memory")) or "MixedMemory" in kind or stored
    return found


def keras_parts(layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
    """The layers of one CfC, or None and everything that is wrong with it."""
    layer = replace(layer, config=cell_config(layer))
    mode, mixed = layer.word("mode", "default"), layer.config["mixed_memory"]
    activation = layer.word("activation", "lecun_tanh")
    problems: list[str] = []
    if mode not in MODES:
        problems.append(f"{layer.name}: mode is {mode!r:.60}; there are {', '.join(MODES)}")
    if mixed:
        problems.append(
            f"{layer.name} has a mixed memory, which feeds the input of the cell in Keras and its "
            "state in PyTorch; that of Keras cannot be imported: train without it"
        )
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
    groups = _cells(layer)
    if groups == ["cell/"]:
        problems += _cell(layer, "cell/", "rnn_cell.", mode, None, state)
        _backbone(layer, state)
    else:
        wiring, problems = built_wiring(layer, _inputs(layer, groups[0], mode))
        if wiring is not None:
            masks = _masks(wiring)
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
    return replace(parts, layers=layers), []


def tensors(state: Mapping[str, FloatArray]) -> dict[str, Tensor]:
    """Arrays as entries of a state_dict."""
    return {
        key: Tensor("float64", array.shape, "float", lambda array=array: array)
        for key, array in state.items()
    }


def _cells(layer: KerasLayer) -> list[str]:
    """Paths of the cells of a layer, in the order of its wiring."""
    start = "cell/_cfc_layers/"
    names = {
        path[len(start) :].partition("/")[0] for path in layer.arrays if path.startswith(start)
    }
    if not names:
        return ["cell/"]
    return [f"{start}{name}/" for name in sorted(names, key=_number)]


def _below(layer: KerasLayer, start: str) -> set[str]:
    """Names of the groups below a path that hold arrays."""
    return {path[len(start) :].partition("/")[0] for path in layer.arrays if path.startswith(start)}


def _number(name: str) -> int:
    found = re.search(r"_([0-9]{1,6})$", name)
    return int(found[1]) if found else 0


def _inputs(layer: KerasLayer, group: str, mode: str) -> int:
    arrays = layer.state(PURE if mode == "pure" else CELL, group)
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
    arrays = layer.state(PURE if mode == "pure" else CELL, group)
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


def _backbone(layer: KerasLayer, state: dict[str, FloatArray]) -> None:
    """Adds the maps of a backbone, numbered with the activations between them."""
    start = "cell/backbone_fn/layers/"
    names = {
        path[len(start) :].partition("/")[0] for path in layer.arrays if path.startswith(start)
    }
    for number, name in enumerate(sorted((n for n in names if "dense" in n), key=_number)):
        arrays = layer.state(("kernel", "bias"), f"{start}{name}/")
        state[f"rnn_cell.backbone.{2 * number}.weight"] = arrays.take("kernel").T
        state[f"rnn_cell.backbone.{2 * number}.bias"] = arrays.take("bias", None, 0)


def _sizes(state: Mapping[str, FloatArray], cells: int) -> tuple[int, int]:
    """Inputs and units of all cells."""
    if cells == 1 and "rnn_cell.ff1.weight" in state:
        units = len(state["rnn_cell.ff1.weight"])
        first = state.get("rnn_cell.backbone.0.weight", state["rnn_cell.ff1.weight"])
        return first.shape[1] - units, units
    weights = [state[f"rnn_cell.layer_{number}.ff1.weight"] for number in range(cells)]
    return weights[0].shape[1] - len(weights[0]), sum(map(len, weights))


def _masks(wiring: Any) -> list[FloatArray]:
    """For each layer of a wiring its mask with signs, (inputs + units, units)."""
    found: list[FloatArray] = []
    before = wiring.sensory_adjacency_matrix
    for number in range(wiring.num_layers):
        own = wiring.get_neurons_of_layer(number)
        if number:
            before = wiring.adjacency_matrix[wiring.get_neurons_of_layer(number - 1)]
        dense = np.ones((len(own), len(own)))
        found.append(np.concatenate([before[:, own], dense]).astype(np.float64))
    return found


def built_wiring(layer: KerasLayer, inputs: int) -> tuple[Any, list[str]]:
    """The wiring that a configuration tells, built for so many inputs; None and what is wrong.

    Raises:
        BackendMissingError: ncps is not installed.
    """
    kind, numbers = _wiring_of(layer)
    if kind is None:
        return None, [
            f"{layer.name} has a wiring, whose masks are not stored, and nothing says which; "
            'describe it, wiring = { class = "AutoNCP", units = ..., output_size = ... }'
        ]
    if kind not in WIRINGS:
        return None, [f"{layer.name}: its wiring is a {kind:.60}; there are {', '.join(WIRINGS)}"]
    wrong = [key for key in numbers if key not in WIRINGS[kind]]
    large = [
        key
        for key, value in numbers.items()
        if not isinstance(value, (int, float, bool, type(None)))
        or (isinstance(value, int) and "seed" not in key and value > MOST_UNITS)
    ]
    if wrong or large:
        return None, [
            f"{layer.name}: {', '.join([*wrong, *large])} of its wiring {kind} is unknown, no "
            f"number, or above {MOST_UNITS}"
        ]
    try:
        from ncps import wirings
    except ImportError as error:
        raise BackendMissingError(
            layer.name,
            "its wiring is built again from its numbers, which needs ncps: pip install ncps",
        ) from error
    try:
        wiring = getattr(wirings, kind)(**numbers)
        wiring.build(inputs)
    except Exception as error:  # whatever ncps says of numbers that make no wiring
        return None, [f"{layer.name}: its wiring {kind} cannot be built ({error!s:.160})"]
    return wiring, []


def _wiring_of(layer: KerasLayer) -> tuple[str | None, dict[str, Any]]:
    """Class and numbers of a wiring, from one of the places in which ncps writes them."""
    for key in ("units", "wiring"):
        said = layer.config.get(key)
        if not isinstance(said, Mapping):
            continue
        if "class_name" in said and isinstance(said.get("config"), Mapping):
            return str(said["class_name"]).rpartition(">")[2], dict(said["config"])
        numbers = {k: v for k, v in said.items() if k != "class"}
        if "class" in said:
            return str(said["class"]), numbers
        # A layer of LTC writes the numbers alone, and with TensorFlow among its own.
        fitting = [one for one, keys in WIRINGS.items() if numbers.keys() <= set(keys)]
        if len(fitting) == 1:
            return fitting[0], numbers
    flat = {one: value for one, value in layer.config.items() if one in _NUMBERS}
    fitting = [one for one, keys in WIRINGS.items() if flat.keys() <= set(keys)]
    return (fitting[0], flat) if len(flat) > 1 and len(fitting) == 1 else (None, {})
