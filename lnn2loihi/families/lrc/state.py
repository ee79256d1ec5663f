"""The arrays of an LRC as layers: the one path of modules, checkpoints and files of Keras.

Names and shapes: MoniFarsang/LRC, classification/lrc_cell.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.recurrent.family import FamilyParts, suggested_prefix
from lnn2loihi.families.lrc.description import INTERP, LRC, LRCDescription
from lnn2loihi.families.lrc.layer import LRCLayer
from lnn2loihi.families.lrc.stage import (
    ASYMMETRIC,
    ELASTANCE,
    FORGET,
    HYBRID,
    NONE,
    SYMMETRIC,
    UPDATE,
)
from lnn2loihi.layers.linear import Linear

#: The map of the elastance: of a module of PyTorch (units, columns), and of Keras (columns, units).
_MAPPED = ("elastance_mapping.weight", "elastance_mapping.kernel")
_MAPPED_BIAS = "elastance_mapping.bias"
#: Why arrays without those of inputs are refused.
AUTONOMOUS = (
    "it has no sensory_ arrays, so it is an LRC_AR_Cell: an ODE of its own without inputs, whose "
    "derivative a solver integrates outside of it, and no layer that samples enter; train an "
    "LRC_Cell"
)
#: What is said of an elastance of 1.
SATURATED = (
    "1, so it is a saturated LTC (STC), not an LRC: the original computes this for "
    f"elastance_type={INTERP!r}, its default, and for every name but {SYMMETRIC!r} and "
    f"{ASYMMETRIC!r}"
)


def places(keys: Collection[str]) -> list[str]:
    """What stands before the keys of LRCs, in the order of the keys."""
    return [
        key[:-1]
        for key in keys
        if (key == "h" or key.endswith(".h"))
        and {f"{key[:-1]}vleak", f"{key[:-1]}gleak", f"{key[:-1]}mu"} <= {*keys}
    ]


def lrc_parts(
    state: Mapping[str, Tensor], description: LRCDescription
) -> tuple[FamilyParts | None, list[str]]:
    """The parts of an LRC, or None and everything that is wrong with its arrays."""
    arrays = Arrays(state, description.prefix)
    keys = {*arrays.keys}
    if "h" not in keys or "gleak" not in keys:
        found = ", ".join(map(repr, places([*state]))) or "none"
        return None, [
            f"there are no keys {description.prefix}h and {description.prefix}gleak, so it is not "
            f"the state_dict of an {LRC}; what stands before such keys: {found} (prefix in "
            f"{description.origin})"
        ]
    if not any(key.startswith("sensory_") for key in keys):
        return None, [AUTONOMOUS]
    taken = _taken(arrays, keys)
    arrays.refuse_others(LRC, description.readout)
    problems = arrays.problems + _contradictions(description, keys, taken)
    if problems:
        return None, problems
    return parts_of(taken, description.ode_solver, description.ode_unfolds), []


def parts_of(arrays: Mapping[str, FloatArray], solver: str, unfolds: int) -> FamilyParts:
    """The layer and its output mapping.

    Args:
        arrays: by their names in the original, (source, target) each; the elastance's map is
            `elastance_mapping.kernel` and `.bias`.
        solver: one of SOLVERS.
        unfolds: steps for each sample.
    """

    def synapses(part: str) -> FloatArray:
        return np.concatenate([arrays[f"sensory_{part}"], arrays[part]]).T

    sigma, update, leak = synapses("sigma"), synapses("h"), arrays["gleak"]
    wiring = update != 0.0
    forget = elastance = None
    if "w" in arrays:
        forget = Linear(FORGET, synapses("w"), leak)
        wiring = wiring | (forget.weight != 0.0)
    if _MAPPED[1] in arrays:
        elastance = Linear(ELASTANCE, arrays[_MAPPED[1]].T, arrays[_MAPPED_BIAS])
    layer = LRCLayer(
        "lrc",
        sigma,
        -sigma * synapses("mu"),
        # Synapses that nothing weighs take no unit of the chip.
        wiring if wiring.any() else np.ones_like(wiring),
        Linear(UPDATE, update, leak),
        arrays["vleak"],
        forget_gate=forget,
        elastance=elastance,
        shift=arrays.get("distr_shift"),
        tau=arrays.get("tau"),
        solver=solver,
        unfolds=unfolds,
    )
    inputs = layer.input_size
    layer = layer.with_inputs(
        arrays.get("input_w", np.ones(inputs)), arrays.get("input_b", np.zeros(inputs))
    )
    readout = None
    if "output_w" in arrays:
        offset = arrays.get("output_b", np.zeros(layer.units))
        readout = Linear("readout", np.diag(arrays["output_w"]), offset)
    notes = {} if elastance is not None else {"elastance": SATURATED}
    return FamilyParts((layer,), readout, "output", True, notes=notes)


def names_of(
    *, forgets: bool, shifted: bool, mappings: Mapping[str, str | None]
) -> tuple[str, ...]:
    """The arrays of a cell but for the map of its elastance, in the order in which it makes them.

    Args:
        forgets: whether it has a forget gate.
        shifted: whether its elastance is symmetric.
        mappings: of "input" and "output" one of MAPPINGS.
    """
    leak = ("w", "sensory_w") if forgets else ("tau",)
    ends = {"affine": ("_w", "_b"), "linear": ("_w",)}
    mapped = [
        f"{part}{end}"
        for part in ("input", "output")
        for end in ends.get(mappings.get(part) or "none", ())
    ]
    shift = ("distr_shift",) if shifted else ()
    return ("gleak", "vleak", "sigma", "mu", *leak, "h", "sensory_sigma", "sensory_mu",
            "sensory_h", *shift, *mapped)  # fmt: skip


def taken_names(arrays: Arrays, names: Sequence[str]) -> dict[str, FloatArray]:
    """Those of a cell but for the map of its elastance, of the shapes that they have to have."""
    found = {"sensory_h": arrays.take("sensory_h")}
    inputs, units = found["sensory_h"].shape
    for name in names:
        if name in found:
            continue
        if name in ("sigma", "mu", "w", "h"):
            found[name] = arrays.take(name, units, units)
        elif name.startswith("sensory_"):
            found[name] = arrays.take(name, inputs, units)
        else:
            size = inputs if name.startswith("input_") else units
            found[name] = arrays.take(name, size, 0)
    return found


def _taken(arrays: Arrays, keys: Collection[str]) -> dict[str, FloatArray]:
    """All arrays of an LRC, by the names of the original."""
    mappings = {part: mapping_of(keys, part) for part in ("input", "output")}
    names = names_of(forgets="tau" not in keys, shifted="distr_shift" in keys, mappings=mappings)
    found = taken_names(arrays, names)
    inputs, units = found["sensory_h"].shape
    torch_key, keras_key = _MAPPED
    if torch_key in keys:
        found[keras_key] = arrays.take(torch_key, units, inputs + units).T
    elif keras_key in keys or "distr_shift" in keys:
        found[keras_key] = arrays.take(keras_key, inputs + units, units)
    if keras_key in found:
        found[_MAPPED_BIAS] = arrays.take(_MAPPED_BIAS, units, 0)
    return found


def mapping_of(keys: Collection[str], part: str) -> str:
    """The mapping that the keys show."""
    if f"{part}_b" in keys:
        return "affine"
    return "linear" if f"{part}_w" in keys else "none"


def elastance_of(arrays: Collection[str]) -> str:
    """The elastance that arrays by their names show."""
    if _MAPPED[1] not in arrays:
        return NONE
    return SYMMETRIC if "distr_shift" in arrays else ASYMMETRIC


def _contradictions(
    description: LRCDescription, keys: Collection[str], arrays: Mapping[str, FloatArray]
) -> list[str]:
    """What a description says otherwise than the arrays, and what does not go together."""
    inputs, units = arrays["sensory_h"].shape
    said = description.elastance_type
    pairs = {
        "input_size": (description.input_size, inputs),
        "units": (description.units, units),
        "elastance_type": (NONE if said == INTERP else said, elastance_of(arrays)),
        "forget_gate": (description.forget_gate, "tau" not in keys),
        "input_mapping": (description.input_mapping, mapping_of(keys, "input")),
        "output_mapping": (description.output_mapping, mapping_of(keys, "output")),
    }
    found = [
        f"{key} is {stated!r} in {description.origin}, but its arrays are those of {there!r}"
        for key, (stated, there) in pairs.items()
        if stated not in (None, there)
    ]
    if description.ode_solver == HYBRID and "tau" in keys:
        found.append(
            "ode_solver is 'hybrid' and there is a tau in place of a forget gate, with which the "
            "original fails; say 'explicit'"
        )
    return found


def suggested_lines(state: Mapping[str, Tensor]) -> list[str]:
    """Lines of a description to edit, with what can be read off the tensors filled in."""
    prefix = places([*state])[0]
    keys = {key[len(prefix) :] for key in state if key.startswith(prefix)}
    elastance = elastance_of({_MAPPED[1] if key in _MAPPED else key for key in keys})
    lines = [f'module = "{LRC}"', f'elastance_type = "{elastance}"']
    if elastance == NONE:
        lines[-1] += "  # a saturated LTC (STC)"
    return [
        *lines,
        *suggested_prefix(prefix),
        "# The arrays do not hold what follows: write it as the module was built and trained.",
        "ode_unfolds = 1",
        'ode_solver = "explicit"    # or "hybrid"',
        "timespan = 1.0             # elapsed time between two samples, 1.0 if none was given; "
        '"irregular" if it came with them',
    ]
