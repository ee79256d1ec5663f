"""Arrays by the names of their variables, under the positions that files of Keras 3 have.

Weights of old (`save_weights("net.h5")`) have such names, and `.npz` that were made of checkpoints
of TensorFlow or of variables. Layers stand under their names (`cf_c_1/cf_c_cell_3/ff1_weight:0`,
`dense/kernel`), or in checkpoints under their places (`layer_with_weights-0/cell/ff1_weight`). What
a layer is follows from the ends of the names, for which the importers of families are asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.keras_read.layer import snake_case
from lnn2loihi.family import importers

#: Layers without a state: their arrays in the order in which Keras makes them, all of which, or
#: the first of which, they have.
_PLAIN = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Normalization": ("mean", "variance", "count"),
    "Dense": ("kernel", "bias"),
}
#: A layer by its place in the model.
_PLACED = re.compile(r"layer_with_weights-([0-9]{1,6})")
#: What may stand around the layers of a model, or has been taken away from the names of one.
_MODEL, _RECURRENT = ("model", "keras_api", "root"), "rnn"
#: Beginnings of what is no layer but a part of a cell whose own beginning has been taken away.
_PARTS = ("time_a", "time_b", "backbone")


@dataclass
class Positioned:
    """The arrays of a file.

    Attributes:
        arrays: by path, from the folder of the layers on.
        names: names of layers, by the path of the group of their arrays.
        order: these paths in the order of the model; empty where the file does not tell.
        unknown: names of arrays of layers of which nobody knows what they are.
    """

    arrays: dict[str, Tensor] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def positioned(arrays: Mapping[str, Tensor]) -> Positioned:
    """The arrays of all layers, by their positions."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in arrays.items():
        parts = [part for part in key.split("/") if part]
        while len(parts) > 2 and parts[0] in _MODEL:
            parts = parts[1:]
        if len(parts) == 1 or parts[0].startswith(_PARTS):
            parts = [_RECURRENT, *parts]
        groups.setdefault(parts[0], {})["/".join(parts[1:])] = tensor
    _join_parts(groups)
    found, counts, unknown = Positioned(), dict[str, int](), list[str]()
    placed = all(_PLACED.fullmatch(group) for group in groups)
    for group in sorted(groups, key=_order):
        made = _layer(groups[group])
        if made is None:
            unknown += [f"{group}/{path}" for path in groups[group]]
            continue
        kind, own = made
        base = snake_case(kind)
        number = counts[base] = counts.get(base, -1) + 1
        place = f"{base}{f'_{number}' if number else ''}"
        found.names[place] = group
        found.arrays |= {f"{place}/{path}": tensor for path, tensor in own.items()}
    found.order = tuple(found.names) if placed else ()
    found.unknown = tuple(unknown)
    return found


def _join_parts(groups: dict[str, dict[str, Tensor]]) -> None:
    """Puts parts of a cell to the rest of it, where there is one that knows itself without them."""
    parts = groups.get(_RECURRENT, {})
    if not parts or not all(path.startswith(_PARTS) for path in parts):
        return
    cells = [
        group
        for group, own in groups.items()
        if group != _RECURRENT and any(path.rpartition("/")[2].startswith("ff1_") for path in own)
    ]
    if len(cells) == 1:
        groups[cells[0]] |= groups.pop(_RECURRENT)


def _layer(arrays: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]] | None:
    """The class of a layer, and its arrays by position."""
    for _, importer in importers():
        if (made := importer.from_names(arrays)) is not None:
            return made
    ends = {path.rpartition("/")[2].partition(":")[0]: one for path, one in arrays.items()}
    for kind, names in _PLAIN.items():
        own = [name for name in names if name in ends]
        if len(own) == len(ends) == len(arrays) and own[:1] == [names[0]]:
            return kind, {f"vars/{place}": ends[name] for place, name in enumerate(own)}
    return None


def _order(group: str) -> tuple[str, int]:
    """Layers by their places, or those of a class by their counters."""
    if placed := _PLACED.fullmatch(group):
        return "", int(placed[1])
    found = re.search(r"_?([0-9]{1,6})\Z", group)
    return (group[: found.start()], int(found[1])) if found else (group, 0)
