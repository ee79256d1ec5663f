"""The cell and the network of LrcSSM, as files of equinox hold them: arrays without names.

Order of the arrays: that of the fields of `LRCU` and `SingleScaleGRU` in
github.com/MoniFarsang/LrcSSM (experiments/lrc_ssm, commit 5581972), of `equinox.nn.MLP` and
`Dropout` in equinox 0.11.8. Whole numbers, floats and bools are arrays without axes; texts and
functions, such as the activation, are not written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.converters.files.description import Description, text, whole
from lnn2loihi.layers.linear import FloatArray, Linear

Leaf = npt.NDArray[Any]
#: Arrays of a cell, and of one with complex states.
CELL_LEAVES, COMPLEX_LEAVES = 13, 17
#: What follows the maps: rate and mode of the dropout, its key, use_scan, quasi, use_norm,
#: complex_state, ninp_enc, ninp, nstate.
_TAIL = ("f", "b", "key", "b", "b", "b", "b", "i", "i", "i")
#: Activations of the maps between the layers, as the source has them.
ACTIVATIONS = ("relu", "tanh", "sigmoid", "identity")
#: Why the variant with complex states is refused.
COMPLEX_REFUSED = (
    "its states are complex, and the map that makes real numbers of them is drawn anew with each "
    'model of the source, neither trained nor saved; train the real variant (lrc_type "lrc", '
    "without complex_state)"
)
#: What the source's files are called.
_NAMED = re.compile(
    r"_mlp_encoder\d+_grupair(\d{1,3})_classifier(\d{1,3})_.*_nonlinearity_([a-z]+)_norm_"
)
#: Most hidden layers of a map.
MOST_DEPTH = 64


@dataclass(frozen=True, kw_only=True)
class LeavesDescription(Description):
    """What the arrays of a network do not say.

    Attributes:
        activation: of the maps between the layers; that of encoder and classifier is relu.
        map_depth: hidden layers of each of these maps.
        classifier_depth: the same of the classifier.
    """

    activation: str | None = text(ACTIVATIONS)
    map_depth: int | None = whole(least=0, most=MOST_DEPTH)
    classifier_depth: int | None = whole(least=0, most=MOST_DEPTH)


@dataclass(frozen=True)
class NetworkLeaves:
    """The arrays of a network, each where it belongs.

    Attributes:
        encoder, classifier: their maps in order.
        cells: the arrays of each layer.
        maps: the maps of each layer.
        norm: whether features are normalised.
        activation: of the maps of the layers.
        guessed: whether the activation is the source's default, since nobody says it.
    """

    encoder: tuple[Linear, ...]
    cells: tuple[tuple[FloatArray, ...], ...]
    maps: tuple[tuple[Linear, ...], ...]
    classifier: tuple[Linear, ...]
    norm: bool
    activation: str
    guessed: bool


class LeavesError(Exception):
    """The arrays are no network, for a reason."""


def is_cell(leaves: Sequence[Leaf]) -> bool:
    """Whether they are those of a cell alone."""
    axes = [leaf.ndim for leaf in leaves]
    return axes == [1, 1, 2, 2] + [1] * (CELL_LEAVES - 4)


def is_network(leaves: Sequence[Leaf]) -> bool:
    """Whether they begin and end as those of a network do, complex ones included."""
    return (
        len(leaves) > len(_TAIL) + 4
        and all(leaf.ndim == 0 and leaf.dtype.kind in "iu" for leaf in leaves[:2])
        and leaves[2].ndim == 2
        and all(map(_fits, leaves[-len(_TAIL) :], _TAIL))
    )


def _fits(leaf: Leaf, kind: str) -> bool:
    if kind == "key":  # training casts it to the type of the weights
        return leaf.shape == (2,)
    return leaf.ndim == 0 and leaf.dtype.kind in {"i": "iu"}.get(kind, kind)


def network_leaves(leaves: Sequence[Leaf], said: LeavesDescription, file: str) -> NetworkLeaves:
    """Takes the arrays of a network apart.

    Args:
        leaves: all of them; `is_network` says that they begin and end as such.
        said: what else is known.
        file: name of the file, which may say the same.

    Raises:
        LeavesError: they do not fit each other, or are not supported.
    """
    channels, layers = (int(leaf) for leaf in leaves[:2])
    *_, use_norm, complex_state, encoded, inputs, states = leaves[-5:]
    if bool(complex_state):
        raise LeavesError(COMPLEX_REFUSED)
    if channels != 1:
        raise LeavesError(f"nchannel is {channels}; its source asserts that there is one")
    if not 1 <= layers <= len(leaves):
        raise LeavesError(f"nlayer is {layers}, of {len(leaves)} arrays in all")
    place, encoder = 2, list[Linear]()
    while place + 1 < len(leaves) and leaves[place].ndim == 2 and leaves[place + 1].ndim == 1:
        encoder.append(_linear(leaves, place))
        place += 2
    cells: list[tuple[FloatArray, ...]] = []
    for number in range(layers):
        end = next((n for n in range(place, len(leaves)) if leaves[n].ndim == 0), len(leaves))
        count = end - place
        if count == COMPLEX_LEAVES:
            raise LeavesError(COMPLEX_REFUSED)
        if count != CELL_LEAVES or not is_cell(leaves[place:end]):
            raise LeavesError(
                f"layer {number} of {layers} has {count} arrays from array {place} on; a cell of "
                f"LrcSSM has {CELL_LEAVES}"
            )
        cells.append(tuple(np.asarray(leaf, np.float64) for leaf in leaves[place:end]))
        place = end + 1  # behind use_scan
    end = len(leaves) - len(_TAIL)
    if (end - place) % 2 or any(
        leaves[n].ndim != 2 or leaves[n + 1].ndim != 1 for n in range(place, end, 2)
    ):
        raise LeavesError(f"arrays {place} to {end - 1} are no maps, each a weight and a bias")
    linears = [_linear(leaves, n) for n in range(place, end, 2)]
    depth, last, activation, guessed = _described(said, file, layers, len(linears))
    found = NetworkLeaves(
        tuple(encoder),
        tuple(cells),
        tuple(tuple(linears[n * depth : (n + 1) * depth]) for n in range(layers)),
        tuple(linears[len(linears) - last :]),
        bool(use_norm),
        activation,
        guessed,
    )
    _check(found, int(inputs), int(encoded), int(states))
    return found


def _linear(leaves: Sequence[Leaf], place: int) -> Linear:
    weight, bias = (np.asarray(leaf, np.float64) for leaf in leaves[place : place + 2])
    if 0 in weight.shape or bias.shape != weight.shape[:1]:
        raise LeavesError(
            f"arrays {place} and {place + 1} are a weight {weight.shape} and a bias {bias.shape}, "
            "which are no map"
        )
    return Linear("linear", weight, bias)


def _described(
    said: LeavesDescription, file: str, layers: int, count: int
) -> tuple[int, int, str, bool]:
    """Maps of each layer and of the classifier, the activation, and whether that is guessed."""
    named = _NAMED.search(file)
    depths = [int(found) for found in named.groups()[:2]] if named else [None, None]
    map_depth = depths[0] if said.map_depth is None else said.map_depth
    last_depth = depths[1] if said.classifier_depth is None else said.classifier_depth
    own = (1 if map_depth is None else map_depth) + 1
    last = count - layers * own if last_depth is None else last_depth + 1
    stated = map_depth is not None or last_depth is not None
    if layers * own + last != count or last < 1 or (not stated and last != 2):
        raise LeavesError(
            f"there are {count} maps behind the layers; {layers} layers with {own} each and a "
            f"classifier with {2 if last_depth is None else last} are others: say map_depth and "
            f"classifier_depth in {said.origin} (hidden layers of each)"
        )
    activation = said.activation or (named.group(3) if named else None)
    if activation is not None and activation not in ACTIVATIONS:
        raise LeavesError(
            f"its name says the activation {activation!r}; there are {', '.join(ACTIVATIONS)}"
        )
    return own, last, activation or ACTIVATIONS[0], activation is None


def _check(found: NetworkLeaves, inputs: int, encoded: int, states: int) -> None:
    """Sizes that follow from each other.

    Raises:
        LeavesError: names the first that does not.
    """
    chains = [
        ("the encoder", found.encoder, inputs, encoded),
        *((f"map {n}", maps, states, encoded) for n, maps in enumerate(found.maps)),
        ("the classifier", found.classifier, encoded, None),
    ]
    for name, maps, width, end in chains:
        for linear in maps:
            if linear.input_size != width:
                raise LeavesError(
                    f"{name} has a weight {linear.weight.shape} where {width} features come in"
                )
            width = linear.output_size
        if not maps or (end is not None and width != end):
            raise LeavesError(f"{name} answers with {width} features, expected {end}")
    for number, cell in enumerate(found.cells):
        wanted = [(encoded,)] * 2 + [(states, encoded)] * 2 + [(states,)] * (CELL_LEAVES - 4)
        shapes = [array.shape for array in cell]
        if shapes != wanted:
            wrong = next(n for n, pair in enumerate(zip(shapes, wanted, strict=True))
                         if pair[0] != pair[1])  # fmt: skip
            raise LeavesError(
                f"array {wrong} of layer {number} has shape {shapes[wrong]}, expected "
                f"{wanted[wrong]}"
            )
