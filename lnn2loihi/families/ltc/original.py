"""The LTC of raminmh/liquid_time_constant_networks (TensorFlow 1) as that of ncps.torch.

It has no masks, no elapsed time and no epsilon, six unfolds of the semi-implicit solver, an affine
map of its inputs, and a Dense after it. Its `cm_t` is the capacitance over the time of an unfold:
ncps's cm is a sixth of it.

Its explicit solvers (`ltc_rk`, `ltc_ex`) leave the same arrays, which no file tells from these.

Source: raminmh/liquid_time_constant_networks 4a8a4fa, experiments_with_ltcs/ltc_model.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.files.description import Description, text
from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.recurrent.family import FamilyParts, suggested_prefix
from lnn2loihi.families.ltc.layer import CONDUCTANCE, CURRENT, LTCLayer
from lnn2loihi.layers.linear import Linear

#: What a description calls it.
ORIGINAL = "ltc_model.LTCCell"
UNFOLDS = 6
#: Its variables, and what they are called here, which is also what `export_weights` calls them.
VARIABLES = {"W": "w", "sensory_W": "sensory_w", "cm_t": "cm"}
SYNAPSES = ("mu", "sigma", "w", "erev")
UNITS = ("vleak", "gleak", "cm")
#: Where the map of its inputs stands below it.
_MAPPING = "sensory_mapping."
#: What is said of the solver.
SOLVER = (
    f"semi-implicit, {UNFOLDS} unfolds, which ltc_model.py has unless it is told otherwise; its "
    "explicit solvers leave the same arrays"
)


@dataclass(frozen=True, kw_only=True)
class OriginalLTCDescription(Description):
    """How such an LTC was built.

    Attributes:
        readout: what stands before the keys of the Dense after it, ending in a dot, or None.
    """

    known_as: ClassVar[str] = "of the original LTC"

    readout: str | None = text(dotted=True)


def is_original(state: Mapping[str, Tensor]) -> bool:
    """Whether there is a key that only this LTC has."""
    return any(key.rpartition(".")[2] == "cm_t" for key in state)


def original_lines(state: Mapping[str, Tensor]) -> list[str]:
    """Lines of a description to edit."""
    prefix = next(key.removesuffix("cm_t") for key in state if key.endswith("cm_t"))
    lines = [
        f'module = "{ORIGINAL}"',
        "# The solver is not in the arrays: it is the semi-implicit one.",
    ]
    return lines + suggested_prefix(prefix)


def original_parts(
    state: Mapping[str, Tensor], description: Description
) -> tuple[FamilyParts | None, list[str]]:
    """The layer of a checkpoint of TensorFlow 1 that was made a `.npz`, or what is wrong."""
    arrays = Arrays(state, description.prefix)
    named = {own: name for name, own in VARIABLES.items()}
    found = taken(arrays, named)
    inputs = len(found["sensory_w"])
    maps = tuple(arrays.take(f"{_MAPPING}input_{part}", inputs, 0) for part in "wb")
    arrays.refuse_others(ORIGINAL, getattr(description, "readout", None))
    if arrays.problems:
        return None, arrays.problems
    return FamilyParts((original_layer(found, *maps),)), []


def taken(arrays: Arrays, named: Mapping[str, str]) -> dict[str, FloatArray]:
    """The arrays of a cell by their names here.

    Args:
        arrays: those of the file, which collects what is wrong.
        named: for some of them what they are called there.
    """
    found = {"sensory_w": arrays.take(named.get("sensory_w", "sensory_w"))}
    inputs, units = found["sensory_w"].shape
    for name in SYNAPSES:
        found[name] = arrays.take(named.get(name, name), units, units)
        sensory = f"sensory_{name}"
        found[sensory] = arrays.take(named.get(sensory, sensory), inputs, units)
    return found | {name: arrays.take(named.get(name, name), units, 0) for name in UNITS}


def original_layer(
    arrays: Mapping[str, FloatArray], input_w: FloatArray, input_b: FloatArray
) -> LTCLayer:
    """The layer.

    Args:
        arrays: synapses (source, target) and vectors of units by their names here.
        input_w: factors of the inputs, (inputs,).
        input_b: what is added to them, (inputs,).
    """
    slope, mu, weight, erev = (
        np.concatenate([arrays[f"sensory_{name}"], arrays[name]]).T
        for name in ("sigma", "mu", "w", "erev")
    )
    inputs, offset = len(input_w), -slope * mu
    offset[:, :inputs] += slope[:, :inputs] * input_b
    slope = slope.copy()
    slope[:, :inputs] *= input_w
    return LTCLayer(
        "ltc",
        slope,
        offset,
        Linear(CONDUCTANCE, weight, arrays["gleak"]),
        Linear(CURRENT, weight * erev, arrays["gleak"] * arrays["vleak"]),
        arrays["cm"] / UNFOLDS,
        np.ones_like(weight, np.bool_),
        unfolds=UNFOLDS,
    )
