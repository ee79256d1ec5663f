"""The mixed memory of ncps.keras and ncps.tf: its arrays, and what stands around a cell.

Source: ncps 1.0.1, keras/mm_rnn.py; the same in tf/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.lstm.input_memory import InputMemory
from lnn2loihi.families.lstm.memory import FORGET_BIAS, MEMORY_GATES, Memory
from lnn2loihi.layers.linear import Linear

#: Where a cell stands in a layer, and where it stands within a mixed memory.
CELL, CELL_OF_MEMORY = "cell/", "cell/rnn_cell/"
#: The same, with that of tf_cfc.py.
_CELLS_OF_MEMORY = (CELL_OF_MEMORY, "cell/cfc/")
#: Arrays of a memory in the order in which Keras makes them.
MEMORY_ARRAYS = ("input_kernel", "recurrent_kernel", "bias")


def cell_config(layer: KerasLayer) -> dict[str, Any]:
    """What the configuration of a layer of ncps says, and that of the cell in it, or in the memory
    in it.
    """
    found = dict(layer.config)
    cell = found.get("cell")
    kind = str(cell.get("class_name")) if isinstance(cell, Mapping) else ""
    if isinstance(cell, Mapping) and isinstance(cell.get("config"), Mapping):
        found = {**cell["config"], **found}
    if isinstance(found.get("rnn_cell"), Mapping):
        found = {**found["rnn_cell"], **found}
    stored = any(
        path.startswith(_CELLS_OF_MEMORY)
        or path.rpartition("/")[2].partition(":")[0] == MEMORY_ARRAYS[0]
        for path in layer.arrays
    )
    found["mixed_memory"] = bool(found.get("mixed_memory")) or "Mixed" in kind or stored
    return found


def keras_memory(layer: KerasLayer, arrays: Arrays) -> tuple[Memory | None, list[str]]:
    """The memory of a layer that has one, or None and everything that is wrong with it.

    Args:
        layer: with what `cell_config` says as its configuration.
        arrays: those of the memory.
    """
    recurrent = arrays.take("recurrent_kernel")
    units, columns = recurrent.shape
    given = arrays.take("input_kernel", None, columns)
    bias = arrays.take("bias", columns, 0)
    problems = list(arrays.problems)
    if not problems and columns != len(MEMORY_GATES) * units:
        problems.append(
            f"{layer.name}: the recurrent_kernel of its memory has shape {recurrent.shape}, "
            f"expected (units, {len(MEMORY_GATES)} * units)"
        )
    forget = layer.config.get("forget_gate_bias", FORGET_BIAS)
    if isinstance(forget, bool) or not isinstance(forget, Real) or not np.isfinite(float(forget)):
        problems.append(f"{layer.name}: forget_gate_bias is {forget!r:.60}, expected a number")
    if problems:
        return None, problems
    weights = np.split(np.concatenate([given, recurrent]).T, len(MEMORY_GATES))
    biases = dict(zip(MEMORY_GATES, np.split(bias, len(MEMORY_GATES)), strict=True))
    # The memory adds 1 to its forget gate, which another number here differs from.
    biases["forget_gate"] = biases["forget_gate"] + (float(forget) - FORGET_BIAS)
    return Memory(
        tuple(Linear(g, weight, biases[g]) for g, weight in zip(MEMORY_GATES, weights, strict=True))
    ), []


def behind_memory(
    layer: KerasLayer, parts: FamilyParts, memory: Memory | None
) -> tuple[FamilyParts | None, list[str]]:
    """The layers of a layer of Keras with its mixed memory before them, if there is one."""
    if memory is None:
        return parts, []
    made = InputMemory(f"{layer.name}.memory", parts.layers, memory)
    problems = made.problems()
    return (None, problems) if problems else (replace(parts, layers=(made,)), [])
