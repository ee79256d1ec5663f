"""An `RNN` of Keras around an `LRC_Cell` of MoniFarsang/LRC.

The cell is no class of Keras, so that a file may say little of how it was built. What its arrays
are follows from their number and their shapes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.lrc.description import UNFOLDS_LIMIT
from lnn2loihi.families.lrc.stage import (
    ASYMMETRIC,
    EXPLICIT,
    HYBRID,
    NONE,
    SOLVERS,
    SYMMETRIC,
)
from lnn2loihi.families.lrc.state import (
    AUTONOMOUS,
    SATURATED,
    elastance_of,
    mapping_of,
    names_of,
    parts_of,
    taken_names,
)
from lnn2loihi.families.ltc.description import MAPPINGS

_log = logging.getLogger("lnn2loihi")
#: Where the arrays of the cell stand, and its map of the elastance.
_CELL, _MAPPING = "cell/", "cell/elastance_mapping/"
#: The arrays of that map.
_MAP = ("kernel", "bias")


def keras_parts(layer: KerasLayer) -> tuple[FamilyParts | None, list[str]]:
    """The layer, or None and everything that is wrong with it."""
    said, problems = _said(layer)
    if problems:
        return None, problems
    own = [path for path in layer.arrays if "elastance_mapping" not in path]
    mapped = len(own) < len(layer.arrays)
    names = _names(layer, own, said)
    if isinstance(names, str):
        return None, [names]
    arrays = layer.state(names, _CELL)
    found = taken_names(arrays, names)
    inputs, units = found["sensory_h"].shape
    problems = arrays.problems
    if mapped:
        others = layer.state(_MAP, _MAPPING)
        found["elastance_mapping.kernel"] = others.take("kernel", inputs + units, units)
        found["elastance_mapping.bias"] = others.take("bias", units, 0)
        problems += others.problems
    problems += _contradictions(layer, said, found)
    if problems:
        return None, problems
    parts = parts_of(found, said["ode_solver"], said["ode_unfolds"])
    (made,) = parts.layers
    named = made.renamed(lambda _: layer.name)
    time = None if said["dt"] == 1.0 else float(said["dt"])
    return replace(parts, layers=(named,), timespan=time), []


def keras_positions(arrays: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
    """The class of the layer, and its arrays by position; None where they are none of an LRC_Cell.

    Args:
        arrays: by path below the layer, whose last parts are the names of variables.
    """
    ends = {path.rpartition("/")[2].partition(":")[0]: one for path, one in arrays.items()}
    if not {"gleak", "vleak", "h", "sensory_h"} <= {*ends} or len(ends) < len(arrays):
        return None
    names = names_of(
        forgets="tau" not in ends,
        shifted="distr_shift" in ends,
        mappings={part: mapping_of(ends, part) for part in ("input", "output")},
    )
    if {*ends} - {*names, *_MAP}:
        return None
    placed = {f"{_CELL}vars/{place}": ends[n] for place, n in enumerate(names) if n in ends}
    placed |= {f"{_MAPPING}vars/{place}": ends[n] for place, n in enumerate(_MAP) if n in ends}
    return "LRC", placed


def _said(layer: KerasLayer) -> tuple[dict[str, Any], list[str]]:
    """How the cell was built, with the defaults of the original."""
    said = {
        "elastance_type": layer.word("elastance_type"),
        "forget_gate": layer.word("forget_gate"),
        "ode_solver": layer.word("ode_solver", EXPLICIT),
        "ode_unfolds": layer.word("ode_unfolds", 1),
        "dt": layer.word("dt", 1.0),
        "input": layer.word("input_mapping", "affine") or "none",
        "output": layer.word("output_mapping", "affine") or "none",
    }
    unfolds, time = said["ode_unfolds"], said["dt"]
    problems: list[str] = []
    if "units" not in layer.config and "dtype" in layer.config:
        # No description says a dtype, and each configuration does.
        problems.append(
            "its configuration does not say how the cell was built (units, ode_unfolds, "
            "ode_solver): save its weights (.weights.h5), and describe them"
        )
    if said["ode_solver"] not in SOLVERS:
        # Whatever is no hybrid is explicit there; a name that nobody knows may be another class.
        problems.append(f"ode_solver is {said['ode_solver']!r:.60}; there are {', '.join(SOLVERS)}")
    if type(unfolds) is not int or not 1 <= unfolds <= UNFOLDS_LIMIT:
        problems.append(f"ode_unfolds is {unfolds!r:.60}; expected 1 to {UNFOLDS_LIMIT}")
    if isinstance(time, bool) or not isinstance(time, (int, float)) or not 0 <= time < 1e300:
        problems.append(f"dt is {time!r:.60}; expected a number that is not negative")
    problems += [
        f"{part}_mapping is {said[part]!r:.60}; there are {', '.join(MAPPINGS)}"
        for part in ("input", "output")
        if said[part] not in MAPPINGS
    ]
    return said, [f"{layer.name}: {problem}" for problem in problems]


def _names(layer: KerasLayer, own: list[str], said: Mapping[str, Any]) -> tuple[str, ...] | str:
    """The arrays of the cell in their order, or what is wrong with them."""
    mappings = {part: said[part] for part in ("input", "output")}
    if layer.named:
        there = {path.rpartition("/")[2].partition(":")[0] for path in own}
        forgets, shifted = "tau" not in there, "distr_shift" in there
        if "h" in there and not any(name.startswith("sensory_") for name in there):
            return f"{layer.name}: {AUTONOMOUS}"
        return names_of(forgets=forgets, shifted=shifted, mappings=mappings)
    # In the place of tau, a vector, there is w, a matrix.
    fifth = layer.arrays.get(f"{_CELL}vars/4")
    forgets = fifth is None or len(fifth.shape) != 1
    plain = names_of(forgets=forgets, shifted=False, mappings=mappings)
    count = len(own)
    autonomous = count in (len(plain) - 4 + shift for shift in (0, 1)) if forgets else False
    sixth = layer.arrays.get(f"{_CELL}vars/6")
    if autonomous and sixth is not None and len(sixth.shape) == 1:
        return f"{layer.name}: {AUTONOMOUS}"
    if count not in (len(plain), len(plain) + 1):
        return (
            f"{layer.name} holds {count} arrays beside elastance_mapping, where an LRC_Cell of "
            f"these mappings ({mappings['input']}, {mappings['output']}) has {len(plain)}, or one "
            "more where its elastance is symmetric"
        )
    return names_of(forgets=forgets, shifted=count > len(plain), mappings=mappings)


def _contradictions(
    layer: KerasLayer, said: Mapping[str, Any], arrays: Mapping[str, FloatArray]
) -> list[str]:
    """What the configuration says otherwise than the arrays, and what does not go together."""
    found: list[str] = []
    elastance, forgets, there = said["elastance_type"], said["forget_gate"], elastance_of(arrays)
    if elastance is not None:
        wanted = elastance if elastance in (SYMMETRIC, ASYMMETRIC) else NONE
        if wanted != there:
            found.append(
                f"elastance_type is {elastance!r:.60}, but its arrays are those of {there!r}"
            )
        elif wanted == NONE and elastance != NONE:
            _log.warning("%s: elastance_type is %r: the elastance is %s", layer.name, elastance,
                         SATURATED)  # fmt: skip
    if forgets is not None and bool(forgets) != ("w" in arrays):
        found.append(f"forget_gate is {forgets!r:.60}, and its arrays say otherwise")
    if "distr_shift" in arrays and there == NONE:
        found.append("it holds a distr_shift and no elastance_mapping that it could belong to")
    if said["ode_solver"] == HYBRID and "w" not in arrays:
        found.append("the hybrid solver needs a forget gate, without which the original fails too")
    return [f"{layer.name}: {problem}" for problem in found]
