"""What can be wrong with the arrays of a CfC: keys, types, values and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from lnn2loihi.converters.files.arrays import key_problems as missing_and_extra
from lnn2loihi.converters.files.checkpoint import FloatArray, Tensor
from lnn2loihi.families.cfc.description import NCPS, TORCH_CFC, CfCDescription
from lnn2loihi.families.cfc.layout import Cell, Layout, matrix_shape
from lnn2loihi.families.cfc.ncps import INPUT_MAP, RECURRENT_MAP, memory_problems


def part_problems(
    own: Mapping[str, Tensor], layout: Layout, description: CfCDescription
) -> list[str]:
    """Parts that contradict the description, or that cannot be imported."""
    origin = description.origin
    if "rnn_cell.gleak" in own:
        return [
            "it is an LTC (key rnn_cell.gleak); write module = 'ncps.torch.LTC' in "
            f"{origin} (lnn2loihi.families.ltc.importer says what else)"
        ]
    found: list[str] = []
    pure = any(key.endswith(".w_tau") for key in own)
    if pure != (layout.mode == "pure"):
        found.append(
            f"mode is {layout.mode!r} in {origin}, but its keys are those of mode "
            + ("'pure' (w_tau and A)" if pure else "'default' or 'no_gate' (no w_tau)")
        )
    found += memory_problems(description.mixed_memory, layout.memory, origin)
    if description.module == TORCH_CFC:
        absent = [] if layout.backbone else ["no keys rnn_cell.backbone.*"]
        absent += [] if layout.readout else ["no key fc.weight"]
        if absent:
            found.append(
                f"it has {' and '.join(absent)}, which a {TORCH_CFC} always has; if it was trained "
                f"with ncps, write module = {NCPS!r} in {origin}"
            )
    layers = description.backbone_layers
    if layers not in (None, len(layout.backbone)):
        found.append(
            f"backbone_layers is {layers} in {origin}, but its keys rnn_cell.backbone.* show "
            f"{len(layout.backbone)}"
        )
    elif description.backbone_units and not layout.backbone and layers is None:
        found.append(
            f"backbone_units is {description.backbone_units} in {origin}, but there are no keys "
            "rnn_cell.backbone.*"
        )
    return found


def key_problems(
    own: Mapping[str, Tensor], known: list[str], layout: Layout, description: CfCDescription
) -> list[str]:
    """Keys that are missing or that a CfC does not have."""
    if "rnn_cell.gleak" in own:
        return []
    # With the wrong mode, which is reported already, these are the keys of the right one.
    other = re.compile(
        r"rnn_cell\.(layer_\d+\.)?(ff2|time_a|time_b)\."
        if layout.mode == "pure"
        else r"rnn_cell\.(layer_\d+\.)?(w_tau|A)$"
    )
    pure = any(key.endswith(".w_tau") for key in own)
    missing = [key for key in known if key not in own] if pure == (layout.mode == "pure") else []
    extra = [key for key in own if key not in set(known) and not other.match(key)]
    return missing_and_extra(description.prefix, missing, extra, description.module)


def size_problems(
    own: Mapping[str, Tensor], layout: Layout, description: CfCDescription
) -> list[str]:
    """Shapes that contradict each other or the description."""
    found: list[str] = []
    sizes: list[int] = []
    inputs, giver = description.input_size, f"input_size of {description.origin}"
    for cell in layout.cells:
        key = cell.prefix + "ff1.weight"
        shape = matrix_shape(own, key)
        if shape is None:
            if key in own:
                found.append(f"{key} has shape {own[key].shape}, expected (units, inputs + units)")
            return found
        units, columns = shape
        if layout.backbone:
            found += _backbone_problems(own, layout, description, shape)
        elif columns != inputs + units:
            found.append(
                f"{key} has shape {shape}, so {units} units and {columns - units} inputs, "
                f"but {giver} is {inputs}; expected {(units, inputs + units)}"
            )
        found += _cell_problems(own, cell, shape, layout)
        sizes.append(units)
        inputs, giver = units, f"the number of units of {cell.name}"
    if layout.memory:
        total = sum(sizes)
        expected = {
            f"{INPUT_MAP}.weight": (4 * total, description.input_size),
            f"{INPUT_MAP}.bias": (4 * total,),
            f"{RECURRENT_MAP}.weight": (4 * total, total),
        }
        found += [_unexpected(own, key, shape) for key, shape in expected.items()]
    found += _total_problems(own, sizes, description)
    return [problem for problem in found if problem]


def _unexpected(own: Mapping[str, Tensor], key: str, expected: tuple[int, ...]) -> str:
    """What is wrong with the shape of one array; empty if nothing is."""
    if key not in own or own[key].shape == expected:
        return ""
    return f"{key} has shape {own[key].shape}, expected {expected}"


def _backbone_problems(
    own: Mapping[str, Tensor], layout: Layout, description: CfCDescription, heads: tuple[int, int]
) -> list[str]:
    """Shapes of the backbone; `heads` is the shape of ff1, which comes after it."""
    found: list[str] = []
    before, giver = description.input_size + heads[0], "inputs + units"
    for name in layout.backbone:
        shape = matrix_shape(own, f"{name}.weight")
        if shape is None:
            stored = own[f"{name}.weight"].shape if f"{name}.weight" in own else None
            if stored is not None:
                found.append(
                    f"{name}.weight has shape {stored}, expected two axes: a backbone consists of "
                    "linear maps and activations"
                )
            return found
        if shape[1] != before:
            found.append(
                f"{name}.weight has shape {shape}, but {giver} is {before}; expected "
                f"{(shape[0], before)}"
            )
        found.append(_unexpected(own, f"{name}.bias", shape[:1]))
        before, giver = shape[0], f"the number of units of {name}"
        if description.backbone_units not in (None, shape[0]):
            found.append(
                f"{name} has {shape[0]} units, but backbone_units is "
                f"{description.backbone_units} in {description.origin}"
            )
    if heads[1] != before:
        found.append(
            f"rnn_cell.ff1.weight has shape {heads}, but {giver} is {before}; expected "
            f"{(heads[0], before)}"
        )
    return found


def _cell_problems(
    own: Mapping[str, Tensor], cell: Cell, shape: tuple[int, int], layout: Layout
) -> list[str]:
    """Arrays of one layer whose shape differs from what its ff1.weight asks for."""
    found: list[str] = []
    for gate in layout.maps:
        found.append(_unexpected(own, f"{cell.prefix}{gate}.weight", shape))
        found.append(_unexpected(own, f"{cell.prefix}{gate}.bias", shape[:1]))
    for part in ("w_tau", "A") if layout.mode == "pure" else ():
        found.append(_unexpected(own, cell.prefix + part, (1, shape[0])))
    if cell.mask:
        found.append(_unexpected(own, cell.mask, shape))
    return found


def _total_problems(
    own: Mapping[str, Tensor], sizes: list[int], description: CfCDescription
) -> list[str]:
    """Contradictions of all layers, and of the readout, with the description."""
    found: list[str] = []
    origin = description.origin
    if sum(sizes) != description.units:
        found.append(
            f"its layers have {sizes} units, together {sum(sizes)}, but units is "
            f"{description.units} in {origin}"
        )
    if description.output_size not in (None, sizes[-1]):
        found.append(
            f"its last layer has {sizes[-1]} units, but output_size is {description.output_size} "
            f"in {origin} (a wiring of one layer outputs all its units, whatever its output_dim)"
        )
    readout = matrix_shape(own, "fc.weight")
    if "fc.weight" not in own:
        if description.proj_size is not None:
            found.append(f"proj_size is {description.proj_size} in {origin}, but no fc.weight")
        return found
    if readout is None:
        return [*found, f"fc.weight has shape {own['fc.weight'].shape}, expected two axes"]
    if description.proj_size not in (None, readout[0]):
        found.append(
            f"fc.weight has {readout[0]} outputs, but proj_size is {description.proj_size} "
            f"in {origin}"
        )
    if readout[1] != sizes[-1]:
        found.append(
            f"fc.weight takes {readout[1]} inputs, but the last layer has {sizes[-1]} units: "
            "this module fails in PyTorch too. ncps sizes fc by output_dim, while a wiring of "
            "one layer (FullyConnected, Random) outputs all its units; build it with "
            "output_dim equal to its units and train it again"
        )
    found.append(_unexpected(own, "fc.bias", readout[:1]))
    return found


def transposed_masks(layout: Layout, arrays: Mapping[str, FloatArray]) -> list[str]:
    """Masks whose elements stand in the order of the transposed array.

    ncps keeps masks transposed in memory and safetensors.numpy (0.8) saves memory as it lies. The
    recurrent block of an ncps mask is all ones, which gives such a file away.
    """
    found: list[str] = []
    for cell in layout.cells:
        if cell.mask is None:
            continue
        mask = arrays[cell.mask]
        units, columns = mask.shape
        reordered = mask.reshape(columns, units).T
        if np.all(reordered[:, -units:] == 1.0) and not np.all(mask[:, -units:] == 1.0):
            found.append(
                f"{cell.mask} was saved in transposed order; save it again with "
                "{k: v.contiguous() for k, v in module.state_dict().items()}"
            )
    return found
