"""Which keys the state_dict of a CfC has, and what can be read off them.

Keys: ncps 1.0.1, torch/cfc.py, torch/cfc_cell.py, torch/wired_cfc_cell.py and torch/lstm.py; the
same in raminmh/CfC, torch_cfc.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lnn2loihi.converters.files.checkpoint import Tensor
from lnn2loihi.families.cfc.description import NCPS, TORCH_CFC
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.ncps import INPUT_MAP, RECURRENT_MAP, has_memory, prefixes

_CELL_KEY = re.compile(r"rnn_cell\.(layer_[0-9]{1,6})\.")
_BACKBONE_KEY = re.compile(r"rnn_cell\.backbone\.([0-9]{1,6})\.")


@dataclass(frozen=True)
class Cell:
    """The keys of one layer.

    Attributes:
        name: name of the layer.
        prefix: what stands before `ff1.weight` in its keys.
        mask: key of its sparsity mask, or None in a dense CfC.
    """

    name: str
    prefix: str
    mask: str | None


@dataclass(frozen=True)
class Layout:
    """The parts of a CfC.

    Attributes:
        mode: as described, else as the keys say.
        cells: the layers in order.
        backbone: what stands before `.weight` in the keys of the backbone, in order.
        memory: whether it has a mixed memory.
        readout: whether it has a linear map after the last layer.
    """

    mode: str
    cells: tuple[Cell, ...]
    backbone: tuple[str, ...]
    memory: bool
    readout: bool

    @property
    def maps(self) -> tuple[str, ...]:
        """The names of the maps of a cell."""
        return CfCLayer.gates[:1] if self.mode == "pure" else CfCLayer.gates

    def keys(self) -> list[str]:
        """All keys that such a CfC has."""
        names = list(self.backbone)
        for cell in self.cells:
            names += [cell.prefix + gate for gate in self.maps]
        if self.memory:
            names.append(INPUT_MAP)
        if self.readout:
            names.append("fc")
        keys = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
        for cell in self.cells:
            if self.mode == "pure":
                keys += [f"{cell.prefix}w_tau", f"{cell.prefix}A"]
            if cell.mask:
                keys.append(cell.mask)
        return [*keys, f"{RECURRENT_MAP}.weight"] if self.memory else keys


def layout_of(own: Mapping[str, Tensor], mode: str | None) -> Layout:
    """The parts that the keys show; with `mode` as described where it is.

    Keys that a part lacks are not noticed here: they are missing from `own`.
    """
    pure = any(key.startswith("rnn_cell.") and key.endswith((".w_tau", ".A")) for key in own)
    numbers = {int(match.group(1)) for key in own if (match := _BACKBONE_KEY.match(key))}
    return Layout(
        mode=mode or ("pure" if pure else "default"),
        cells=_cells(own),
        # Activations and dropout have numbers of their own, so there are gaps.
        backbone=tuple(f"rnn_cell.backbone.{number}" for number in sorted(numbers)),
        memory=has_memory(own),
        readout=any(key.startswith("fc.") for key in own),
    )


def _cells(own: Mapping[str, Tensor]) -> tuple[Cell, ...]:
    """The layers in order, wired or dense."""
    numbers = {match.group(1) for key in own if (match := _CELL_KEY.match(key))}
    if not numbers:
        return (Cell("layer_0", "rnn_cell.", None),)
    # Numbered without a gap: what is missing or too many shows up as a key.
    names = [f"layer_{index}" for index in range(len(numbers))]
    return tuple(Cell(n, f"rnn_cell.{n}.", f"rnn_cell.{n}.sparsity_mask") for n in names)


def matrix_shape(own: Mapping[str, Tensor], key: str) -> tuple[int, int] | None:
    """The shape of a matrix among the tensors, or None."""
    shape = own[key].shape if key in own else ()
    return (shape[0], shape[1]) if len(shape) == 2 else None


def suggested_lines(state: Mapping[str, Tensor]) -> list[str]:
    """Lines of a description to edit, with what can be read off the tensors filled in."""
    prefix = next(iter(prefixes(state)), "")
    own = {key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)}
    layout = layout_of(own, None)
    shapes = [matrix_shape(own, cell.prefix + "ff1.weight") for cell in layout.cells]
    known = [shape for shape in shapes if shape]
    complete = len(known) == len(shapes)
    first = matrix_shape(own, f"{layout.backbone[0]}.weight") if layout.backbone else shapes[0]
    inputs = first[1] - shapes[0][0] if first and shapes[0] else "?"
    lines = [
        f'module = "{NCPS}"',
        f"input_size = {inputs}",
        f"units = {sum(shape[0] for shape in known) if complete else '?'}",
    ]
    if complete:
        lines.append(f"output_size = {known[-1][0]}")
    readout = matrix_shape(own, "fc.weight")
    if readout:
        lines.append(f"proj_size = {readout[0]}")
    if prefix:
        lines.append(f"prefix = {json.dumps(prefix)}")
    if layout.memory:
        lines.append("mixed_memory = true")
    if layout.backbone:
        lines.append(f"backbone_layers = {len(layout.backbone)}")
    if layout.mode == "pure":
        lines.append('mode = "pure"')
    if not layout.backbone and not any(cell.mask for cell in layout.cells):
        lines.append('# module = "ncps_mlx.CfC" above if MLX saved it: its heads have no tanh.')
    return lines + _not_in_the_arrays(layout)


def _not_in_the_arrays(layout: Layout) -> list[str]:
    """The lines that whoever trained the network has to check."""
    lines = ["# The arrays do not hold what follows: write it as the module was built and trained."]
    if layout.mode != "pure":
        lines.append('mode = "default"           # or "no_gate", which has the same arrays')
    if layout.backbone:
        lines.append('activation = "lecun_tanh"  # of the backbone: or silu, relu, tanh, gelu')
        if layout.readout:
            lines.append(f'# module = "{TORCH_CFC}" above if it is from github.com/raminmh/CfC')
    lines.append(
        "timespan = 1.0             # elapsed time between two samples, 1.0 if none was given; "
        '"irregular" if it came with them'
    )
    return lines
