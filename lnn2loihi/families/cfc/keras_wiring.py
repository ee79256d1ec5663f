"""Wirings that files of Keras do not store: built again from the numbers in a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lnn2loihi.converters.files.tensor import FloatArray
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.errors import BackendMissingError

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


def built_wiring(layer: KerasLayer, inputs: int) -> tuple[Any, list[str]]:
    """The wiring that a configuration tells, built for so many inputs; None and what is wrong.

    Raises:
        BackendMissingError: ncps is not installed.
    """
    kind, numbers = wiring_of(layer)
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


def wiring_of(layer: KerasLayer) -> tuple[str | None, dict[str, Any]]:
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
    if layer.kind == "LTC" and flat.keys() == {"units"}:
        return "FullyConnected", flat  # what LTC(units) makes of a number
    fitting = [one for one, keys in WIRINGS.items() if flat.keys() <= set(keys)]
    return (fitting[0], flat) if len(flat) > 1 and len(fitting) == 1 else (None, {})


def signed_masks(wiring: Any) -> list[FloatArray]:
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
