"""The arrays of an LTC as layers: the one path of modules and checkpoints.

Keys and shapes: ncps 1.0.1, torch/ltc.py, torch/ltc_cell.py and torch/lstm.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from lnn2loihi.converters.files.arrays import array_problems, key_problems
from lnn2loihi.converters.files.checkpoint import FloatArray, Tensor
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.cfc.ncps import (
    INPUT_MAP,
    RECURRENT_MAP,
    has_memory,
    memory_of,
    memory_problems,
    prefixes,
    under_prefix,
)
from lnn2loihi.families.ltc.description import LTC, LTCDescription
from lnn2loihi.families.ltc.layer import CONDUCTANCE, CURRENT, LTCLayer
from lnn2loihi.layers.linear import Linear

#: A key that only LTCs have.
KEY = "rnn_cell.gleak"
_CELL = "rnn_cell."
_SYNAPSES = ("sigma", "mu", "w", "erev", "sparsity_mask")
_MEMORY = (f"{INPUT_MAP}.weight", f"{INPUT_MAP}.bias", f"{RECURRENT_MAP}.weight")


def ltc_parts(
    state: Mapping[str, Tensor], description: LTCDescription
) -> tuple[FamilyParts | None, list[str]]:
    """The parts of an LTC, or None and everything that is wrong with its arrays."""
    own, problems = under_prefix(state, description)
    if problems:
        return None, problems
    if KEY not in own:
        where = f"{description.prefix}{KEY}"
        return None, [f"there is no key {where}, so it is not the state_dict of an {LTC}"]
    shapes = _expected(own, description)
    problems = _part_problems(own, description)
    missing, extra = shapes.keys() - own.keys(), own.keys() - shapes.keys()
    problems += key_problems(description.prefix, missing, extra, LTC)
    arrays: dict[str, FloatArray] = {}
    for key, shape in shapes.items():
        if key not in own:
            continue
        problems += array_problems(key, own[key], key.endswith("sparsity_mask"), arrays)
        if own[key].shape != shape:
            problems.append(
                f"{key} has shape {own[key].shape}, expected {shape} for "
                f"{description.input_size} inputs and {description.units} units "
                f"({description.origin})"
            )
    if problems:
        return None, problems
    return FamilyParts(
        (_layer(arrays, description),), _readout(arrays, description), "output", True
    ), []


def _expected(own: Mapping[str, Tensor], description: LTCDescription) -> dict[str, tuple[int, ...]]:
    """All keys that such an LTC has, with their shapes."""
    inputs, units = description.input_size, description.units
    shapes: dict[str, tuple[int, ...]] = {}
    for part in ("gleak", "vleak", "cm"):
        shapes[_CELL + part] = (units,)
    for part in _SYNAPSES:
        shapes[_CELL + part] = (units, units)
        shapes[f"{_CELL}sensory_{part}"] = (inputs, units)
    for part, size in (("input", inputs), ("output", _outputs(own, description))):
        mapping = _mapping(own, part)
        if mapping != "none":
            shapes[f"{_CELL}{part}_w"] = (size,)
        if mapping == "affine":
            shapes[f"{_CELL}{part}_b"] = (size,)
    if has_memory(own):
        expected = ((4 * units, inputs), (4 * units,), (4 * units, units))
        shapes |= dict(zip(_MEMORY, expected, strict=True))
    return shapes


def _mapping(own: Mapping[str, Tensor], part: str) -> str:
    """The mapping that the keys show."""
    if f"{_CELL}{part}_b" in own:
        return "affine"
    return "linear" if f"{_CELL}{part}_w" in own else "none"


def _outputs(own: Mapping[str, Tensor], description: LTCDescription) -> int:
    """Number of outputs: as described, else as the mapping says, else all units."""
    if description.output_size is not None:
        return description.output_size
    shape = own[f"{_CELL}output_w"].shape if f"{_CELL}output_w" in own else ()
    return shape[0] if len(shape) == 1 else description.units


def _part_problems(own: Mapping[str, Tensor], description: LTCDescription) -> list[str]:
    """Parts that contradict the description."""
    found: list[str] = []
    origin = description.origin
    for part, stated in (
        ("input", description.input_mapping),
        ("output", description.output_mapping),
    ):
        mapping = _mapping(own, part)
        if stated not in (None, mapping):
            found.append(
                f"{part}_mapping is {stated!r} in {origin}, but its keys {part}_w and {part}_b "
                f"are those of {mapping!r}"
            )
    found += memory_problems(description.mixed_memory, has_memory(own), origin)
    outputs = _outputs(own, description)
    if outputs > description.units:
        found.append(f"output_size is {outputs} in {origin}, but it has {description.units} units")
    if f"{_CELL}output_w" not in own and description.output_size is None:
        found.append(
            "without an output mapping its arrays do not say how many units are outputs; write "
            f"output_size = ... in {origin}"
        )
    return found


def _layer(arrays: Mapping[str, FloatArray], description: LTCDescription) -> LTCLayer:
    """The units with effective arrays: positive, masked, and with the input mapping inside.

    ncps has a row for each sender and a column for each receiver; here it is the other way round,
    and inputs come first.
    """
    own = {key.removeprefix(_CELL): array for key, array in arrays.items()}
    inputs = description.input_size

    def synapses(part: str) -> FloatArray:
        return np.concatenate([own[f"sensory_{part}"], own[part]]).T

    def positive(values: FloatArray) -> FloatArray:
        return np.logaddexp(0.0, values) if description.implicit_param_constraints else values

    mask, sigma = synapses("sparsity_mask"), synapses("sigma")
    weight, leak = positive(synapses("w")) * mask, positive(own["gleak"])
    slope, offset = sigma.copy(), -sigma * synapses("mu")
    offset[:, :inputs] += sigma[:, :inputs] * own.get("input_b", np.zeros(inputs))
    slope[:, :inputs] *= own.get("input_w", np.ones(inputs))
    return LTCLayer(
        "ltc",
        slope,
        offset,
        Linear(CONDUCTANCE, weight, leak + description.epsilon),
        Linear(CURRENT, weight * synapses("erev"), leak * own["vleak"]),
        positive(own["cm"]),
        mask != 0.0,
        unfolds=description.ode_unfolds,
        memory=memory_of(arrays) if _MEMORY[0] in arrays else None,
    )


def _readout(arrays: Mapping[str, FloatArray], description: LTCDescription) -> Linear | None:
    """The first units are the outputs, each with a factor and an offset of its own."""
    factors = arrays.get(f"{_CELL}output_w")
    outputs = description.output_size or (len(factors) if factors is not None else 0)
    if factors is None and outputs == description.units:
        return None
    weight = np.zeros((outputs, description.units))
    np.fill_diagonal(weight, 1.0 if factors is None else factors)
    return Linear("readout", weight, arrays.get(f"{_CELL}output_b", np.zeros(outputs)))


def suggested_lines(state: Mapping[str, Tensor]) -> list[str]:
    """Lines of a description to edit, with what can be read off the tensors filled in."""
    prefix = next((p for p in prefixes(state) if p + KEY in state), "")
    shape = state[f"{prefix}{_CELL}sensory_w"].shape if f"{prefix}{_CELL}sensory_w" in state else ()
    inputs, units = shape if len(shape) == 2 else ("?", "?")
    own = {key[len(prefix) :]: tensor for key, tensor in state.items() if key.startswith(prefix)}
    lines = [
        f'module = "{LTC}"',
        f"input_size = {inputs}",
        f"units = {units}",
    ]
    if prefix:
        lines.append(f"prefix = {json.dumps(prefix)}")
    if _mapping(own, "output") == "none":
        lines.append(
            f"output_size = {units}  # a guess: without an output mapping the arrays do not say it"
        )
    return [
        *lines,
        "# The arrays do not hold what follows: write it as the module was built and trained.",
        "ode_unfolds = 6",
        "implicit_param_constraints = true",
        "epsilon = 1e-8",
        "timespan = 1.0             # elapsed time between two samples, 1.0 if none was given; "
        '"irregular" if it came with them',
    ]
