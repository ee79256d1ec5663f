"""A CfC whose heads have LeCun's tanh, 1.7159 tanh(0.666 x), as one whose heads have a tanh.

With h = 1.7159 s, the state s is that of a CfC with tanh: what goes into the heads is multiplied by
0.666, what hears the state by 1.7159, and so is the answer. Layers keep s.

Source: raminmh/CfC 3ebaa03, tf_cfc.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.lstm.keras_memory import behind_memory
from lnn2loihi.families.lstm.memory import Memory
from lnn2loihi.layers.activations import LECUN_INPUT, LECUN_OUTPUT
from lnn2loihi.layers.linear import Linear


def lecun_parts(
    owner: KerasLayer, layer: CfCLayer, memory: Memory | None
) -> tuple[FamilyParts | None, list[str]]:
    """The parts of one, of the layer that has a tanh in its place, and of the memory that hears it.

    Args:
        owner: the layer of Keras, for names.
        layer: the layer with all weights as they are in the file.
        memory: the mixed memory before it, or None.
    """
    columns = layer.input_size

    def hearing(linear: Linear, first: int) -> Linear:
        """A map that hears the state in all columns from the first on."""
        factors = np.ones(linear.input_size)
        factors[first:] = LECUN_OUTPUT
        return linear.with_columns(linear.name, factors)

    changed: dict[str, Any] = {}
    if layer.backbone:
        changed["backbone"] = (hearing(layer.backbone[0], columns), *layer.backbone[1:])
    for name in layer.gates:
        own: Linear = getattr(layer, name)
        own = own if layer.backbone else hearing(own, columns)
        changed[name] = own.scaled(name, outputs=LECUN_INPUT) if name.startswith("ff") else own
    made = replace(layer, **changed)
    if memory is not None:
        inputs = memory.gates[0].input_size - layer.units
        memory = Memory(tuple(hearing(gate, inputs) for gate in memory.gates))
    answer = Linear("readout", LECUN_OUTPUT * np.eye(layer.units), np.zeros(layer.units))
    return behind_memory(owner, FamilyParts((made,), answer, mapped=True), memory)
