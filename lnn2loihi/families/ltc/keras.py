"""A layer of LTC in ncps.keras and ncps.tf as that of ncps.torch: the same equations with explicit
constraints, and masks that are not stored.

Source: ncps 1.0.1, keras/ltc.py and ltc_cell.py; the same in tf/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.keras import tensors
from lnn2loihi.families.cfc.keras_wiring import built_wiring
from lnn2loihi.families.lstm.keras_memory import (
    CELL,
    CELL_OF_MEMORY,
    MEMORY_ARRAYS,
    behind_memory,
    cell_config,
    keras_memory,
)
from lnn2loihi.families.ltc.description import LTC, MAPPINGS, LTCDescription
from lnn2loihi.families.ltc.state import ltc_parts

_ARRAYS = ("gleak", "vleak", "cm", "sigma", "mu", "w", "erev",
           "sensory_sigma", "sensory_mu", "sensory_w", "sensory_erev")  # fmt: skip
_MAPPED = ("input_w", "input_b", "output_w", "output_b")


def ltc_positions(arrays: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
    """The arrays of a layer by position, of those by name; None where it is no LTC."""
    ends = {path.rpartition("/")[2].partition(":")[0]: one for path, one in arrays.items()}
    if not {*_ARRAYS} <= ends.keys() or len(ends) != len(arrays):
        return None
    memory = [name for name in MEMORY_ARRAYS if name in ends]
    root = CELL_OF_MEMORY if memory else CELL
    own = [name for name in (*_ARRAYS, *_MAPPED) if name in ends]
    if len(memory) + len(own) != len(ends):
        return None
    found = {f"{CELL}vars/{place}": ends[name] for place, name in enumerate(memory)}
    return "LTC", found | {f"{root}vars/{place}": ends[name] for place, name in enumerate(own)}


def keras_parts(layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
    """The layer, or None and everything that is wrong with it."""
    layer = replace(layer, config=cell_config(layer))
    mappings = {part: layer.word(f"{part}_mapping", "affine") for part in ("input", "output")}
    mappings = {part: mapping or "none" for part, mapping in mappings.items()}
    problems = [
        f"{layer.name}: {part}_mapping is {mapping!r:.60}; there are {', '.join(MAPPINGS)}"
        for part, mapping in mappings.items()
        if mapping not in MAPPINGS
    ]
    if problems:
        return None, problems
    ends = {"affine": ("_w", "_b"), "linear": ("_w",), "none": ()}
    mapped = [f"{part}{end}" for part, mapping in mappings.items() for end in ends[mapping]]
    root = CELL_OF_MEMORY if layer.config["mixed_memory"] else CELL
    arrays = layer.state((*_ARRAYS, *mapped), root)
    state = {name: arrays.take(name) for name in ("sigma", "mu", "w", "erev")}
    state |= {f"sensory_{name}": arrays.take(f"sensory_{name}") for name in state}
    state |= {name: arrays.take(name, None, 0) for name in ("gleak", "vleak", "cm", *mapped)}
    if arrays.problems:
        return None, arrays.problems
    inputs, units = state["sensory_w"].shape
    wiring, problems = built_wiring(layer, inputs)
    if wiring is None:
        return None, problems
    state["sparsity_mask"] = np.abs(wiring.adjacency_matrix).astype(np.float64)
    state["sensory_sparsity_mask"] = np.abs(wiring.sensory_adjacency_matrix).astype(np.float64)
    description = LTCDescription(
        origin=layer.name, module=LTC, input_size=inputs, units=units,
        output_size=wiring.output_dim, implicit_param_constraints=False,
        ode_unfolds=int(layer.word("ode_unfolds", 6)), epsilon=float(layer.word("epsilon", 1e-8)),
        input_mapping=mappings["input"], output_mapping=mappings["output"],
    )  # fmt: skip
    own = tensors({f"rnn_cell.{key}": array for key, array in state.items()})
    parts, problems = ltc_parts(own, description)
    if parts is None:
        return None, [f"{layer.name}: {problem}" for problem in problems]
    layers = (parts.layers[0].renamed(lambda _: layer.name),)
    memory = None
    if layer.config["mixed_memory"]:
        memory, problems = keras_memory(layer, layer.state(MEMORY_ARRAYS, CELL))
        if memory is None:
            return None, problems
    return behind_memory(layer, replace(parts, layers=layers), memory)
