"""Proposes descriptions of a checkpoint: what each family sees in it, and where.

A family tells by keys and shapes whether a state_dict is that of its modules, and which lines of a
description follow (`FamilyImporter.suggestion`). Here it is asked about all that stands under each
beginning of keys, so that a layer is found wherever it sits, and what it proposes is tried. Where
there is more in a file than one layer, the first candidate is that of the whole, which
`proposed_stages` puts together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lnn2loihi.converters.files.checkpoint import is_safetensors
from lnn2loihi.converters.files.description import description_of
from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.recurrent.asked import asked, fits
from lnn2loihi.converters.recurrent.family import FamilyImporter, FamilyParts
from lnn2loihi.converters.recurrent.proposed_stages import Layer, whole_candidate
from lnn2loihi.errors import ImportNetworkError, Lnn2LoihiError
from lnn2loihi.files import parse_toml
from lnn2loihi.proposal import DescriptionCandidate

#: Most beginnings of keys that families are asked about, and most candidates.
MOST_PLACES = 1 << 9
MOST_CANDIDATES = 16


def candidates(
    path: Path, tensors: Mapping[str, Tensor], known: Sequence[FamilyImporter], state: str | None
) -> list[DescriptionCandidate]:
    """All ways to read a checkpoint, those that work first.

    Args:
        path: the checkpoint.
        tensors: by key, inside of all wrappers.
        known: the families that are asked.
        state: which of several states in the file they are, if it has to be said.
    """
    places = [(importer, place) for importer in known for place in _places(tensors, importer)]
    found = [
        _candidate(path, tensors, importer, place, state)
        for importer, place in places[:MOST_CANDIDATES]
    ]
    found.sort(key=lambda one: (bool(one.problems), len(one.left)))
    if not places or any(not one.left for one in found):
        return found
    # A layer alone is a part of what was trained: the whole goes first, though it asks questions.
    layers = _layers(path, tensors, places)
    by_name = is_safetensors(path)
    whole = whole_candidate(path, tensors, layers, known, state, by_name)
    return found if whole is None else [whole, *found]


def _layers(
    path: Path, tensors: Mapping[str, Tensor], places: Sequence[tuple[FamilyImporter, str]]
) -> list[Layer]:
    """The recurrent layers of a file, one for each place, as the first family that can reads it."""
    found: dict[str, Layer] = {}
    for importer, place in places:
        if any(place.startswith(outer) and place != outer for _, outer in places):
            continue
        lines = _lines(importer, _under(tensors, place))
        before = [f"prefix = {json.dumps(place)}"] if place else []
        own = {key: tensor for key, tensor in tensors.items() if key.startswith(place)}
        _, parts, problems = _tried(path, own, importer, [*lines, *before])
        parts = None if problems else parts
        if place not in found or found[place].parts is None:
            found[place] = Layer(place, tuple(lines), parts)
    return [*found.values()]


def _places(tensors: Mapping[str, Tensor], importer: FamilyImporter) -> Iterator[str]:
    """What stands before the keys of modules of a family, one that lies within another left out."""
    beginnings: dict[str, None] = {"": None}
    for key in tensors:
        parts = key.split(".")[:-1]
        for count in range(1, min(len(parts), 12) + 1):
            beginnings[".".join(parts[:count]) + "."] = None
    taken: list[str] = []
    for place in sorted(list(beginnings)[:MOST_PLACES], key=lambda one: one.count(".")):
        if any(place.startswith(outer) for outer in taken):
            continue
        own = _under(tensors, place)
        # A family that finds its module deeper says so in a line of its own.
        if fits(importer, own) and not any(
            line.startswith("prefix = ") for line in _lines(importer, own)
        ):
            taken.append(place)
            yield place


def _under(tensors: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    return {key[len(place) :]: t for key, t in tensors.items() if key.startswith(place)}


def _lines(importer: FamilyImporter, own: Mapping[str, Tensor]) -> list[str]:
    return asked("checkpoint", importer, importer.suggestion, own)


def _candidate(
    path: Path,
    tensors: Mapping[str, Tensor],
    importer: FamilyImporter,
    place: str,
    state: str | None,
) -> DescriptionCandidate:
    lines = [f"checkpoint = {json.dumps(path.name)}", *_lines(importer, _under(tensors, place))]
    if place:
        lines.append(f"prefix = {json.dumps(place)}")
    if state is not None:
        lines.append(f"state = {json.dumps(state)}")
    module, parts, problems = _tried(path, tensors, importer, lines)
    left = [key for key in tensors if not key.startswith(place)]
    if parts is not None and left and "readout" in importer.description_for(module).keys():
        after = _after(tensors, left, place, _outputs(parts))
        readout = after[0] if len(after) == 1 else None
        if readout is not None:
            more = f"readout = {json.dumps(readout)}"
            guess = "  # a guess, from its shape: a Linear after the last layer"
            _, joined, wrong = _tried(path, tensors, importer, [*lines, more])
            if joined is not None and not wrong:
                lines.append(more + guess)
                parts, left = joined, [key for key in left if not key.startswith(readout)]
        elif after:
            lines.append(f"# readout = ...  # a Linear after the last layer, one of {after}"[:200])
    if left:
        lines.append("# Left out: " + ", ".join(left[:8]) + (" ..." if len(left) > 8 else ""))
    text = "\n".join(["[network]", *lines]) + "\n"
    sizes = "" if parts is None else _sizes(parts)
    return DescriptionCandidate(module, place, sizes, text, tuple(left), tuple(problems))


def _tried(
    path: Path, tensors: Mapping[str, Tensor], importer: FamilyImporter, lines: list[str]
) -> tuple[str, FamilyParts | None, list[str]]:
    """The module that a description names, its layers, and what is wrong with either."""
    text = "\n".join(["[network]", *lines])
    module = importer.modules[0]
    try:
        table = parse_toml(text, path.name, ImportNetworkError)["network"]
        module = str(table.get("module", module))
        module = table["module"] = importer.aliases.get(module, module)
        kinds = {name: importer.description_for(name) for name in importer.modules}
        kind = kinds.get(module, importer.description)
        described = description_of(path, table, kind, kinds)
        parts, problems = asked(str(path), importer, importer.read, tensors, described)
    except Lnn2LoihiError as error:
        return module, None, [str(error)]
    return module, parts, problems


def _after(
    tensors: Mapping[str, Tensor], left: Sequence[str], place: str, outputs: int
) -> list[str]:
    """What stands before the keys of linear maps that may be the last of a module, after a layer:
    of so many columns, behind it in the file, and with no other map that hears them.
    """
    shapes = {
        key.removesuffix("weight"): tensors[key].shape
        for key in left
        if key.endswith(".weight") and len(tensors[key].shape) == 2
    }
    # Of Keras and TensorFlow kernels are (inputs, outputs), and their names are sorted.
    kernels = {
        key.removesuffix("kernel"): tensors[key].shape[::-1]
        for key in left
        if key.endswith(".kernel") and len(tensors[key].shape) == 2
    }
    order = list(tensors)
    end = max(number for number, key in enumerate(order) if key.startswith(place))
    behind = {o: shape for o, shape in shapes.items() if order.index(f"{o}weight") > end}
    behind |= kernels
    found = [one for one, shape in behind.items() if shape[1] == outputs]
    if len(found) != 1:
        return found
    heard = {shape[1] for other, shape in behind.items() if other != found[0]}
    return [] if behind[found[0]][0] in heard else found


def _outputs(parts: FamilyParts) -> int:
    return parts.layers[-1].units if parts.readout is None else parts.readout.output_size


def _sizes(parts: FamilyParts) -> str:
    inputs, layers = parts.layers[0].input_size, [layer.units for layer in parts.layers]
    units = " + ".join(map(str, layers))
    return f"{inputs} inputs, {units} units, {_outputs(parts)} outputs"
