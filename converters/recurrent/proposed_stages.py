"""Proposes the description of a whole module, stage by stage, as far as its keys tell.

Keys stand in the order in which a module registered its parts, where the file has not sorted them;
where sizes contradict that order, or a file has none, sizes alone say which stage hears which. What
no stage takes is named, and importing asks about it. The functions between the stages are in no
file: each stands as "?", which importing refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lnn2loihi.converters.files.arrays import listing
from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.recurrent.family import FamilyImporter, FamilyParts
from lnn2loihi.converters.recurrent.stages import (
    BATCH_NORM,
    LINEAR,
    NORMALISE,
    SCALE,
    STAGE,
    UNKNOWN,
    stages_of,
)
from lnn2loihi.converters.recurrent.whole import read_stages
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.files import parse_toml
from lnn2loihi.proposal import DescriptionCandidate

#: Most ways through the stages that are looked at, where their order is not that of the keys.
MOST_WAYS = 5_000
#: Most stages that are proposed.
MOST_BLOCKS = 64

#: Words in keys of means, of deviations, and of squares of these.
_MEANS = ("mean", "means", "avg", "average", "mu", "loc", "center", "centre")
_DEVIATIONS = (
    "std", "stds", "sigma", "scale", "stdev", "stddev", "sd", "deviation", "deviations", "dev",
)  # fmt: skip
_VARIANCES = ("var", "variance")
_GUESS = "# a guess, from its name and its size"
_RUNNING = {"running_mean", "running_var"}
_ASKED = (
    f'activation = "{UNKNOWN}"  # the weights do not tell: "identity" where forward applies no '
    'function here, else "tanh", "relu", "sigmoid", "silu", ...'
)


@dataclass(frozen=True, eq=False)
class Layer:
    """A recurrent layer that a family knows.

    Attributes:
        place: what stands before its keys.
        lines: of its description.
        parts: what it was read as; None where its description has to be filled in first.
    """

    place: str
    lines: tuple[str, ...]
    parts: FamilyParts | None


@dataclass(frozen=True, eq=False)
class _Block:
    """What may be a stage.

    Attributes:
        keys: that it takes.
        lines: of its description.
        inputs, outputs: its channels; None for any number.
        layer: of a recurrent layer.
    """

    keys: tuple[str, ...]
    lines: tuple[str, ...]
    inputs: int | None = None
    outputs: int | None = None
    layer: Layer | None = None


def whole_candidate(
    path: Path,
    tensors: Mapping[str, Tensor],
    layers: Sequence[Layer],
    known: Sequence[FamilyImporter],
    state: str | None,
    sorted_keys: bool,
) -> DescriptionCandidate | None:
    """The description of all that is in a file; None where it has no stages beside one layer.

    Args:
        path: the file.
        tensors: by key, inside of all wrappers.
        layers: the recurrent layers in it.
        known: the families that may be asked.
        state: which of several states in the file they are, if it has to be said.
        sorted_keys: whether the file keeps keys in another order than the module's.
    """
    blocks, pool = _blocks(tensors, layers)
    row, others = _row(blocks, sorted_keys)
    if not any(one.layer for one in row):
        return None
    in_order = [blocks.index(one) for one in row]
    notes = _order_notes(in_order == sorted(in_order), sorted_keys, others)
    row = _with_pairs(row, tensors, pool)
    if len(row) < 2:
        return None
    taken = {key for block in row for key in block.keys}
    left = [key for key in tensors if key not in taken]
    text = _text(path, row, left, state, notes)
    problems = _problems(path, tensors, text, known)
    names = [block.lines[0].partition('"')[2].rpartition('"')[0] for block in row]
    units = sum(
        layer.units for one in row if one.layer and one.layer.parts
        for layer in one.layer.parts.layers
    )  # fmt: skip
    widths = [one.inputs for one in row if one.inputs], [one.outputs for one in row if one.outputs]
    sizes = f"{widths[0][0]} inputs, {units} units in recurrent layers, {widths[1][-1]} outputs"
    return DescriptionCandidate(
        f"{len(row)} stages, {' -> '.join(names)}",
        "",
        sizes if all(widths) else "",
        text,
        tuple(left),
        tuple(problems),
    )


def _blocks(
    tensors: Mapping[str, Tensor], layers: Sequence[Layer]
) -> tuple[list[_Block], list[str]]:
    """Recurrent layers, maps and normalisations in the order of the keys, and all other keys."""
    owners: dict[str, list[str]] = {}
    places = {layer.place: layer for layer in layers}
    for key in tensors:
        place = next((one for one in places if key.startswith(one)), None)
        owners.setdefault(key.rpartition(".")[0] if place is None else place, []).append(key)
    blocks: list[_Block] = []
    pool: list[str] = []
    for owner, keys in owners.items():
        made = _layer(places[owner], keys) if owner in places else _part(tensors, owner, keys)
        if made is None or len(blocks) == MOST_BLOCKS:
            pool += keys
        else:
            blocks.append(made)
    return blocks, pool


def _layer(layer: Layer, keys: Sequence[str]) -> _Block:
    place = [f"prefix = {json.dumps(layer.place)}"] if layer.place else []
    lines = [*layer.lines[:1], *place, *layer.lines[1:]]
    if layer.parts is None:
        return _Block(tuple(keys), tuple(lines), layer=layer)
    after, own = layer.parts.readout, layer.parts.layers
    outputs = own[-1].units if after is None else after.output_size
    return _Block(tuple(keys), tuple(lines), own[0].input_size, outputs, layer)


def _part(tensors: Mapping[str, Tensor], owner: str, keys: Sequence[str]) -> _Block | None:
    """A Linear or a BatchNorm1d; None for all else."""
    shapes = {key.rpartition(".")[2]: tensors[key].shape for key in keys}
    place = [f"prefix = {json.dumps(owner + '.')}"] if owner else []
    weight = shapes.get("weight", ())
    if shapes.keys() <= {"weight", "bias"} and len(weight) == 2:
        lines = (f'module = "{LINEAR}"', *place, _ASKED)
        return _Block(tuple(keys), lines, weight[1], weight[0])
    if shapes.keys() >= _RUNNING and len(shapes["running_mean"]) == 1:
        lines = (f'module = "{BATCH_NORM}"', *place, "eps = 1e-5  # a guess: what PyTorch adds")
        (width,) = shapes["running_mean"]
        return _Block(tuple(keys), lines, width, width)
    return None


# ---------------------------------------------------------------- which stage hears which


def _row(blocks: Sequence[_Block], sorted_keys: bool) -> tuple[list[_Block], bool]:
    """The most stages that can stand in a row, and whether others could too."""
    row = _in_order(blocks)
    if not sorted_keys and len(row) == len(blocks):
        return row, False
    best, alone = [row], _worth(row)
    ways = 0

    def follow(way: list[_Block]) -> None:
        nonlocal alone, ways
        ways += 1
        if _worth(way) > alone:
            best.clear()
            alone = _worth(way)
        if _worth(way) == alone and way not in best:
            best.append([*way])
        for block in blocks:
            if ways < MOST_WAYS and block not in way and _fits(way, block):
                follow([*way, block])

    follow([])
    return best[0], len(best) > 1 or ways == MOST_WAYS


def _in_order(blocks: Sequence[_Block]) -> list[_Block]:
    """The most of them that fit in the order in which they stand."""
    ways: list[list[_Block]] = []
    for block in blocks:
        before = max((way for way in ways if _fits(way, block)), key=_worth, default=[])
        ways.append([*before, block])
    return max(ways, key=_worth, default=[])


def _worth(way: Sequence[_Block]) -> tuple[int, int]:
    return sum(one.layer is not None for one in way), len(way)


def _fits(way: Sequence[_Block], block: _Block) -> bool:
    given = way[-1].outputs if way else None
    return None in (given, block.inputs) or given == block.inputs


def _order_notes(in_order: bool, sorted_keys: bool, others: bool) -> list[str]:
    if in_order and not sorted_keys:
        return [
            "# The stages stand in the order of the keys, in which the module registered its",
            "# parts. Check that forward takes them in this order.",
        ]
    why = "the file has its keys sorted" if sorted_keys else "the sizes contradict that of the keys"
    more = " Other orders fit as well." if others else ""
    return [f"# The order follows from the sizes, for {why}.{more}", "# Check it against forward."]


# ---------------------------------------------------------------- means and deviations


def _with_pairs(
    row: Sequence[_Block], tensors: Mapping[str, Tensor], pool: Sequence[str]
) -> list[_Block]:
    """The same with what normalises before and after it."""
    made = [*row]
    inputs, outputs = made[0].inputs, made[-1].outputs
    before = after = False
    for mean, deviation, squared in _pairs(pool):
        shapes = [tensors[key].shape for key in (mean, deviation)]
        if any(length != 1 for shape in shapes for length in shape[:-1]):
            continue
        widths = {shape[-1] if shape else 1 for shape in shapes} - {1}
        width = next(iter(widths), None)
        if len(widths) > 1:
            continue
        if not before and width in (None, inputs):
            before = True
            divisor = "variance" if squared else "std"
            lines = [
                f'module = "{NORMALISE}"  {_GUESS}: before the first stage',
                f"mean = {json.dumps(mean)}",
                f"{divisor} = {json.dumps(deviation)}",
                "epsilon = 0.0  # what forward adds to it",
            ]
            made.insert(0, _Block((mean, deviation), tuple(lines), inputs, inputs))
        elif not after and not squared and width in (None, outputs):
            after = True
            lines = [
                f'module = "{SCALE}"  {_GUESS}: after the last stage, y * factor + offset',
                f"factor = {json.dumps(deviation)}",
                f"offset = {json.dumps(mean)}",
            ]
            made.append(_Block((mean, deviation), tuple(lines), outputs, outputs))
    return made


def _pairs(pool: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Keys of means and deviations that differ in that word alone, and whether the latter are
    squared.
    """
    known = set(pool)
    for key in pool:
        for match in re.finditer("[A-Za-z]+", key):
            if match.group().lower() not in _MEANS:
                continue
            for word in (*_DEVIATIONS, *_VARIANCES):
                other = key[: match.start()] + word + key[match.end() :]
                if other in known:
                    yield key, other, word in _VARIANCES
                    break


# ---------------------------------------------------------------- the description


def _text(
    path: Path, row: Sequence[_Block], left: Sequence[str], state: str | None, notes: Sequence[str]
) -> str:
    """The description as TOML."""
    lines = ["[network]", f"checkpoint = {json.dumps(path.name)}"]
    if state is not None:
        lines.append(f"state = {json.dumps(state)}")
    times = [line for block in row for line in block.lines if line.startswith("timespan = ")]
    lines += [*times[:1], *notes]
    if left:
        lines += [
            f"# No stage takes {listing(left)}.",
            "# Describe what the answer depends on; what it does not depend on goes here:",
            f"# ignore = [{', '.join(map(json.dumps, left[:64]))}]",
        ]
    for block in row:
        kept = [one for one in block.lines if not one.startswith(("timespan = ", "# readout"))]
        lines += ["", f"[[network.{STAGE}]]", *kept]
    return "\n".join(lines) + "\n"


def _problems(
    path: Path, tensors: Mapping[str, Tensor], text: str, known: Sequence[FamilyImporter]
) -> list[str]:
    """Why importing with a description fails: what has to be filled in, and what does not fit."""
    found: list[str] = []
    try:
        table = parse_toml(text, path.name, ImportNetworkError)["network"]
        asked = [one for one in table[STAGE] if one.get("activation") == UNKNOWN]
        for one in asked:
            one["activation"] = "identity"
        if asked:
            places = [str(one.get("prefix", "")).removesuffix(".") or "a Linear" for one in asked]
            found.append(f'fill in the activation that is "{UNKNOWN}" of {listing(places)}')
        said = stages_of(path, table, known)
        found += read_stages(str(path), tensors, said).problems
    except ImportNetworkError as error:
        found += error.problems
    return found
