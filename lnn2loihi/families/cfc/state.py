"""The arrays of a CfC as a LiquidNetwork: the one path of modules and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lnn2loihi.converters.files.checkpoint import FloatArray, Tensor
from lnn2loihi.converters.provenance import with_source
from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.families.cfc.checks import (
    array_problems,
    key_problems,
    part_problems,
    size_problems,
    transposed_masks,
)
from lnn2loihi.families.cfc.description import Description
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.layout import (
    INPUT_MAP,
    RECURRENT_MAP,
    Cell,
    Layout,
    layout_of,
    under_prefix,
)
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.families.lstm.memory import MEMORY_GATES, Memory
from lnn2loihi.network import Linear, LiquidNetwork

#: Name of the memory that all layers of a wiring share.
SHARED_MEMORY = "memory"


@dataclass(frozen=True)
class CfCParts:
    """What one CfC module consists of.

    Attributes:
        layers: its layers in order; one WiredMemory where they share a memory.
        readout: the map after the last one (`fc`), or None.
    """

    layers: tuple[CfCLayer | WiredMemory, ...]
    readout: Linear | None


def network_from_state(
    state: Mapping[str, Tensor],
    description: Description,
    *,
    subject: str,
    name: str,
    timespan: float | None,
    source: Mapping[str, str],
    refused: Iterable[str] = (),
) -> LiquidNetwork:
    """Checks the arrays of a CfC against its description and assembles the network.

    Args:
        state: the tensors by key; under `description.prefix`, others are ignored.
        description: how the module was built.
        subject: what errors are about: a file, or the class of the module.
        name: name of the network.
        timespan: constant elapsed time between two samples, or None where it comes with them.
        source: where it came from; the SHA-256 of the effective arrays is added.
        refused: what the caller has found wrong already; raised together with the rest.

    Raises:
        ImportNetworkError: lists all that is unsupported, missing, superfluous, of wrong shape
            or type, not finite, or contradicts the description.
    """
    parts, problems = parts_from_state(state, description)
    raised = Problems(ImportNetworkError, subject)
    raised.extend(refused)
    raised.extend(problems)
    raised.raise_if_any()
    assert parts is not None
    network = LiquidNetwork(name, parts.layers, parts.readout, timespan)
    return with_source(network, source)


def parts_from_state(
    state: Mapping[str, Tensor], description: Description
) -> tuple[CfCParts | None, list[str]]:
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
    readout = _map("readout", "fc", arrays) if layout.readout else None
    layers = tuple(_layer(cell, layout, description, arrays) for cell in layout.cells)
    if not layout.memory:
        return CfCParts(layers, readout), []
    memory = memory_of(arrays)
    if len(layers) == 1:
        return CfCParts((replace(layers[0], memory=memory),), readout), []
    return CfCParts((WiredMemory(SHARED_MEMORY, layers, memory),), readout), []


def _map(name: str, key: str, arrays: Mapping[str, FloatArray]) -> Linear:
    return Linear(name, arrays[f"{key}.weight"], arrays[f"{key}.bias"])


def _layer(
    cell: Cell, layout: Layout, description: Description, arrays: Mapping[str, FloatArray]
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


def memory_of(arrays: Mapping[str, FloatArray]) -> Memory:
    """The mixed memory: ncps stacks its four sums in the order of MEMORY_GATES."""
    weight = np.hstack([arrays[f"{INPUT_MAP}.weight"], arrays[f"{RECURRENT_MAP}.weight"]])
    weights = np.split(weight, len(MEMORY_GATES))
    biases = np.split(arrays[f"{INPUT_MAP}.bias"], len(MEMORY_GATES))
    return Memory(tuple(map(Linear, MEMORY_GATES, weights, biases)))
