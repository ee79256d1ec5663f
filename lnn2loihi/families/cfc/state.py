"""The arrays of a CfC as layers: the one path of modules and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lnn2loihi.converters.files.arrays import array_problems
from lnn2loihi.converters.files.checkpoint import FloatArray, Tensor
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.checks import (
    key_problems,
    part_problems,
    size_problems,
    transposed_masks,
)
from lnn2loihi.families.cfc.description import CfCDescription
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.layout import Cell, Layout, layout_of
from lnn2loihi.families.cfc.ncps import memory_of, under_prefix
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.layers.linear import Linear

#: Name of the memory that all layers of a wiring share.
SHARED_MEMORY = "memory"
#: Key of the map after the last layer.
READOUT = "fc"


def parts_from_state(
    state: Mapping[str, Tensor], description: CfCDescription
) -> tuple[FamilyParts | None, list[str]]:
    """The parts of a CfC, or None and everything that is wrong with its arrays."""
    own, problems = under_prefix(state, description)
    if problems:
        return None, problems
    layout = layout_of(own, description.mode)
    problems = part_problems(own, layout, description)
    known = layout.keys()
    problems += key_problems(own, known, layout, description)
    arrays: dict[str, FloatArray] = {}
    for key in known:
        if key in own:
            problems += array_problems(key, own[key], key.endswith("sparsity_mask"), arrays)
    problems += size_problems(own, layout, description)
    problems = problems or transposed_masks(layout, arrays)
    if problems:
        return None, problems
    readout = _map("readout", READOUT, arrays) if layout.readout else None
    layers = tuple(_layer(cell, layout, description, arrays) for cell in layout.cells)
    dropout = {f"{layers[0].name}.backbone_{n}": rate for n, rate in description.dropout.items()}
    if not layout.memory:
        return FamilyParts(layers, readout, READOUT, dropout=dropout), []
    memory = memory_of(arrays)
    if len(layers) == 1:
        layers = (replace(layers[0], memory=memory),)
        return FamilyParts(layers, readout, READOUT, dropout=dropout), []
    return FamilyParts((WiredMemory(SHARED_MEMORY, layers, memory),), readout, READOUT), []


def _map(name: str, key: str, arrays: Mapping[str, FloatArray]) -> Linear:
    return Linear(name, arrays[f"{key}.weight"], arrays[f"{key}.bias"])


def _layer(
    cell: Cell, layout: Layout, description: CfCDescription, arrays: Mapping[str, FloatArray]
) -> CfCLayer:
    """One layer with effective weights: ncps masks ff1 and ff2 only, the time gates are dense.

    The mixed memory is not in it.
    """
    maps: dict[str, Linear] = {}
    for gate in layout.maps:
        own = _map(gate, cell.prefix + gate, arrays)
        if cell.mask is not None and gate in ("ff1", "ff2"):
            own = Linear(gate, own.weight * arrays[cell.mask], own.bias)
        maps[gate] = own
    pure = layout.mode == "pure"
    return CfCLayer(
        cell.name,
        # Mode pure has ff1 alone, which stands for the others.
        *(maps.get(gate, maps["ff1"]) for gate in CfCLayer.gates),
        mode=layout.mode,
        backbone=tuple(
            _map(f"backbone_{number}", key, arrays) for number, key in enumerate(layout.backbone)
        ),
        activation=description.activation if layout.backbone else "lecun_tanh",
        w_tau=arrays[f"{cell.prefix}w_tau"][0] if pure else None,
        amplitude=arrays[f"{cell.prefix}A"][0] if pure else None,
    )
