"""The arrays of a CfC in files of Keras and TensorFlow, by what they are.

Files of Keras 3 have positions (`cell/vars/0`), files of old and checkpoints of TensorFlow names
with counters (`cf_c_2/cf_c_cell_3/ff1_weight:0`); only the ends of names are looked at. tf_cfc.py
of raminmh/CfC has Dense layers for its heads, whose names in files of old are counters alone.

Source: ncps 1.0.1, keras/cfc_cell.py, wired_cfc_cell.py, mm_rnn.py, the same in tf/; raminmh/CfC
3ebaa03, tf_cfc.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.keras_read.layer import KerasLayer
from lnn2loihi.families.lstm.keras_memory import CELL, CELL_OF_MEMORY, MEMORY_ARRAYS

#: Arrays of a cell in the order in which Keras makes them; of one of tf_cfc.py, pure alone.
HEADS = ("ff1_weight", "ff1_bias", "ff2_weight", "ff2_bias")
PURE = ("ff1_weight", "ff1_bias", "w_tau", "A")
_DENSE = ("kernel", "bias")
#: Attributes of the cells, which checkpoints of TensorFlow name.
_ATTRIBUTES = {"ff1_kernel": "ff1_weight", "ff2_kernel": "ff2_weight"}
_GATES, _DENSE_HEADS = ("time_a", "time_b"), ("ff1", "ff2")
#: In what a path of a generator of random numbers has.
_CHANCE = "seed_generator"

Path = tuple[str, ...]


@dataclass
class CfCArrays:
    """What a layer holds.

    Attributes:
        cells: of each cell, in the order of its wiring, the arrays by name; gates and heads that
            are Dense layers have `time_a.kernel` and the like.
        backbone: of each map of a backbone, in order, `kernel` and `bias`.
        memory: arrays of a mixed memory by name.
        unknown: paths of all others.
        dense_heads: whether its heads are Dense layers, those of tf_cfc.py.
    """

    cells: list[dict[str, Tensor]] = field(default_factory=list)
    backbone: list[dict[str, Tensor]] = field(default_factory=list)
    memory: dict[str, Tensor] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    dense_heads: bool = False

    def arrays_of(self, layer: KerasLayer, found: Mapping[str, Tensor], part: str = "") -> Arrays:
        """Arrays to be taken one by one, named by the layer and the part of it."""
        before = f"{layer.name}: {part}"
        return Arrays({f"{before}{name}": tensor for name, tensor in found.items()}, before)


def cfc_arrays(layer: KerasLayer, pure: bool, mixed: bool) -> CfCArrays:
    """Sorts the arrays of a layer.

    Args:
        layer: the layer.
        pure: whether its mode is pure.
        mixed: whether it has a mixed memory.
    """
    paths = {path: _parts(path) for path in layer.arrays if _CHANCE not in path}
    found = CfCArrays(dense_heads=any(_is_dense_head(parts) for parts in paths.values()))
    cells: dict[Path, dict[str, Tensor]] = {}
    backbone: dict[int, dict[str, Tensor]] = {}
    anonymous: dict[int, dict[str, Tensor]] = {}
    for path, parts in paths.items():
        tensor = layer.arrays[path]
        holder, name = _named(parts, pure, mixed, found.dense_heads)
        own = _base(holder[-1]) if holder else ""
        name = _ATTRIBUTES.get(name, name)
        if name in _DENSE and own in (*_GATES, *_DENSE_HEADS):
            cells.setdefault(holder[:-1], {})[f"{own}.{name}"] = tensor
        elif name in _DENSE and any(part.startswith("backbone") for part in holder):
            backbone.setdefault(_number(holder[-1]), {})[name] = tensor
        elif name in _DENSE and own == "dense":
            anonymous.setdefault(_number(holder[-1]), {})[name] = tensor
        elif name in MEMORY_ARRAYS:
            found.memory[name] = tensor
        elif name in (*HEADS, *PURE):
            cells.setdefault(holder, {})[name] = tensor
        else:
            found.unknown.append(path)
    found.cells = _cells(cells)
    found.backbone = [backbone[number] for number in sorted(backbone)]
    if anonymous:
        _take_anonymous(found, [anonymous[number] for number in sorted(anonymous)], pure)
    return found


def cfc_positions(arrays: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
    """The arrays of a layer by position, of those by name; None where it is no CfC. What names do
    not tell apart (Dense layers of tf_cfc.py) is told apart as `cfc_arrays` does.
    """
    ends = {path.partition(":")[0].rpartition("/")[2] for path in arrays}
    pure = "w_tau" in ends
    layer = KerasLayer("CfC", "ncps", "cfc", {}, arrays)
    found = cfc_arrays(layer, pure, "input_kernel" in ends)
    known = {"ff1_weight", "ff1.kernel"}
    if found.unknown or not found.cells or not all(known & cell.keys() for cell in found.cells):
        return None
    root = CELL_OF_MEMORY if found.memory else CELL
    placed = {
        f"{CELL}vars/{place}": found.memory[name]
        for place, name in enumerate(MEMORY_ARRAYS)
        if name in found.memory
    }
    # A wiring of one layer has a cell of its own below it, too.
    wired = len(found.cells) > 1 or any("wired" in path or "_cfc_layers" in path for path in arrays)
    for number, cell in enumerate(found.cells):
        inside = f"{root}_cfc_layers/cf_c_cell{f'_{number}' if number else ''}/" if wired else root
        own = (PURE[2:] if found.dense_heads else PURE) if pure else HEADS
        for name, tensor in cell.items():
            holder, _, part = name.rpartition(".")
            place = _DENSE.index(part) if holder else own.index(name)
            placed[f"{inside}{f'{holder}/' if holder else ''}vars/{place}"] = tensor
    for number, one in enumerate(found.backbone):
        inside = f"{root}backbone_fn/layers/dense{f'_{number}' if number else ''}/"
        placed |= {f"{inside}vars/{_DENSE.index(name)}": tensor for name, tensor in one.items()}
    return "CfC", placed


def _take_anonymous(found: CfCArrays, maps: Sequence[dict[str, Tensor]], pure: bool) -> None:
    """Dense layers that only counters tell apart: of tf_cfc.py, which makes the backbone first, and
    heads and gates after it; of others the backbone.
    """
    if any("ff1_weight" in cell for cell in found.cells):
        found.backbone += maps
        return
    last = _DENSE_HEADS[:1] if pure else (*_DENSE_HEADS, *_GATES)
    if len(maps) < len(last):
        found.unknown += [f"a Dense with {name}" for one in maps for name in one]
        return
    found.dense_heads = True
    found.backbone += maps[: -len(last)]
    own = found.cells[0] if found.cells else {}
    for name, one in zip(last, maps[-len(last) :], strict=False):
        own |= {f"{name}.{part}": tensor for part, tensor in one.items()}
    found.cells = [own]


def _parts(path: str) -> Path:
    return tuple(path.partition(":")[0].split("/"))


def _is_dense_head(parts: Path) -> bool:
    return any(_base(part) in _DENSE_HEADS for part in parts[:-1])


def _named(parts: Path, pure: bool, mixed: bool, dense_heads: bool) -> tuple[Path, str]:
    """What holds an array, and its name; a position is what stands there."""
    if parts[-2:-1] != ("vars",) or not parts[-1].isdecimal():
        return parts[:-1], parts[-1]
    holder, own = parts[:-2], _base("".join(parts[-3:-2]))
    names: Sequence[str] = PURE if pure else HEADS
    if own in (*_GATES, *_DENSE_HEADS) or any(part.startswith("backbone") for part in holder):
        names = _DENSE
    elif mixed and holder == (CELL[:-1],):
        names = MEMORY_ARRAYS
    elif dense_heads:
        names = PURE[2:]
    place = int(parts[-1][:9])
    return holder, names[place] if place < len(names) else f"vars/{place}"


def _cells(cells: Mapping[Path, dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Cells in the order of their counters; gates that stand elsewhere than the heads go to the
    cells in the same order.
    """

    def order(holder: Path) -> tuple[int, Path]:
        return (_number(holder[-1]) if holder else 0, holder)

    ordered = [cells[holder] for holder in sorted(cells, key=order)]
    heads = [one for one in ordered if any(name.startswith("ff1") for name in one)]
    for place, other in enumerate([one for one in ordered if one not in heads]):
        if place < len(heads):
            heads[place] |= other
        else:
            heads.append(other)
    return heads


def _base(part: str) -> str:
    """A name without its counter."""
    return re.sub(r"_[0-9]{1,9}$", "", part)


def _number(part: str) -> int:
    """The counter of a name: of `backbone0_3` the 0, else what is at its end."""
    found = re.match(r"backbone([0-9]{1,9})", part) or re.search(r"[-_]?([0-9]{1,9})$", part)
    return int(found[1]) if found else 0
