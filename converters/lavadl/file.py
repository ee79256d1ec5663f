"""The layers of a `.net` file, checked, and in the words of this library.

Layout: lava-dl 0.6.0, lava/lib/dl/slayer/block/base.py (`export_hdf5`) writes it and
lava/lib/dl/netx/hdf5.py reads it: groups `layer/0`, `layer/1`, ... with `type`, `shape`, weights
and a group `neuron`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lnn2loihi.converters.files.hdf5 import Contents, Hdf5Error, read_hdf5
from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.files import note_input, why_no_file
from lnn2loihi.formats import IntegerArray

#: Largest file, most layers, most neurons of a layer (limits of this library).
LARGEST_FILE, MOST_LAYERS, MOST_NEURONS = 1 << 28, 1 << 8, 1 << 20
#: What files hold weights and biases in: whole numbers in float32, of which netx cuts the rest.
_LARGEST_NUMBER = 1 << 24
#: Largest threshold: 17 bits (lava-nc, PyLifModelBitAcc).
LARGEST_THRESHOLD = (1 << 17) - 1
#: Why layers and neurons that netx or lava-dl knows are refused.
_LAYERS = {
    "pool": "netx has no pooling either: train with a stride in its place",
    "average": "netx has no averaging either: average the answers on the host",
    "dense_rec": "its neurons hear each other",
    "dense_comp": "its weights are complex, for neurons that resonate",
    "convT": "netx has no transposed convolutions either",
    "unpool": "netx has no unpooling either",
    "concat": "netx has no concatenation either",
}
_NEURONS = ("CUBA", "LOIHI", "SDNN")


@dataclass(frozen=True)
class NetLayer:
    """One layer that has neurons.

    Attributes:
        name: `layer/3`, as the file has it.
        kind: input, dense or conv.
        neuron: "CUBA" or "SDNN".
        shape: of its neurons: (count,), or (channels, height, width).
        threshold: vThMant.
        decays: of current and voltage, 0 to 4096, of a CUBA layer.
        sigma: whether it sends what it has added up (sigma_output).
        weight: (neurons, sources), or (channels, channels of the source / groups, height, width).
        bias: one for each neuron; None where it has none.
        stride, padding, dilation, groups: of a convolution.
    """

    name: str
    kind: Literal["input", "dense", "conv"]
    neuron: Literal["CUBA", "SDNN"]
    shape: tuple[int, ...]
    threshold: int
    decays: tuple[int, int] = (0, 0)
    sigma: bool = False
    weight: IntegerArray | None = None
    bias: IntegerArray | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class NetFile:
    """What a file holds.

    Attributes:
        layers: those that have neurons, in order.
        shape: of what the first of them hears, or of the input layer; None where nobody says.
        notes: what the file says and netx does not do.
    """

    layers: tuple[NetLayer, ...]
    shape: tuple[int, ...] | None
    notes: tuple[str, ...]


def read_net(path: Path, shape: tuple[int, ...] | None = None) -> NetFile:
    """Reads a file.

    Args:
        path: of the file.
        shape: of the input, where the file does not say it.

    Raises:
        ImportNetworkError: lists everything that is damaged, contradictory or not supported.
        BackendMissingError: h5py is not installed.
    """
    if not path.is_file():
        raise ImportNetworkError(str(path), why_no_file(path))
    note_input(path)
    if (size := path.stat().st_size) > LARGEST_FILE:
        raise ImportNetworkError(
            str(path), f"it has {size} bytes, the limit of lnn2loihi is {LARGEST_FILE}"
        )
    try:
        found = read_hdf5(path.read_bytes(), str(path))
    except Hdf5Error as error:
        raise ImportNetworkError(str(path), str(error)) from error
    reader = _Reader(found, shape)
    layers = reader.layers()
    problems = Problems(ImportNetworkError, str(path))
    problems.extend(reader.problems)
    problems.raise_if_any()
    return NetFile(tuple(layers), reader.shape, tuple(reader.notes))


class _Damaged(Exception):
    """A layer cannot be read; the message says why."""


class _Reader:
    """Makes layers of the arrays of a file."""

    def __init__(self, contents: Contents, shape: tuple[int, ...] | None) -> None:
        self._contents = contents
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.shape = shape

    def layers(self) -> list[NetLayer]:
        """All that have neurons."""
        names = {
            parts[1]
            for path in self._contents.arrays
            if len(parts := path.split("/")) > 2 and parts[0] == "layer"
        }
        count = len(names)
        if not count or count > MOST_LAYERS or names != {str(n) for n in range(count)}:
            self.problems.append(
                f"it has no layers 0 to n below `layer`, 1 to {MOST_LAYERS} of them, as a network "
                "has that lava-dl has exported"
            )
            return []
        made: list[NetLayer] = []
        shape = self.shape
        for number in range(count):
            place = f"layer/{number}"
            try:
                layer = self._layer(place, shape)
            except _Damaged as problem:
                self.problems.append(f"{place}: {problem}")
                shape = None
                continue
            if isinstance(layer, NetLayer):
                made.append(layer)
                shape = layer.shape
            else:
                shape = layer
        if not self.problems:
            self._check_chain(made)
        return made

    def _check_chain(self, made: list[NetLayer]) -> None:
        neurons = {layer.neuron for layer in made}
        first = made[0] if made else None
        if first is None or all(layer.kind == "input" for layer in made):
            self.problems.append("it has no layer with weights")
        elif len(neurons) > 1:
            self.problems.append("some of its layers are CUBA and some SDNN; only one kind is read")
        elif neurons == {"SDNN"} and first.kind != "input":
            self.problems.append(
                f"{first.name} hears changes, and no input layer makes them: export the network "
                "with its input block"
            )
        for layer in made[1:]:
            if layer.kind == "input":
                self.problems.append(f"{layer.name} is an input behind other layers")
        for layer in made[:-1]:
            if layer.sigma:
                self.problems.append(f"{layer.name} sends sums, and is not the last layer")

    # ------------------------------------------------------------ layers

    def _layer(self, place: str, source: tuple[int, ...] | None) -> NetLayer | tuple[int, ...]:
        kind = self._word(f"{place}/type")
        if kind == "flatten":
            if source is None:
                raise _Damaged("it is flatten, and it is not known what it hears")
            return (math.prod(source),)
        if kind not in ("input", "dense", "conv"):
            why = _LAYERS.get(kind, "only input, dense, conv and flatten are read")
            raise _Damaged(f"it is of the type {kind!r:.40}: {why}")
        shape = tuple(int(n) for n in self._numbers(f"{place}/shape", None).ravel()[:4])
        if not 1 <= len(shape) <= 3 or min(shape) < 1 or math.prod(shape) > MOST_NEURONS:
            raise _Damaged(f"its shape is {shape}; 1 to {MOST_NEURONS} neurons are read")
        if kind == "input":
            if self.shape not in (None, shape):
                raise _Damaged(f"its shape is {shape}, and input_shape {self.shape}")
            self.shape = shape
            if not self._has(f"{place}/neuron/type"):
                return shape
        if np.any(self._optional(f"{place}/delay")):
            raise _Damaged("it has delays, which are not read: train without them")
        neuron = self._neuron(place)
        if kind == "input":
            if neuron["neuron"] == "CUBA":
                raise _Damaged("it is an input of CUBA neurons, which netx leaves unconnected")
            self._check_input(place)
            return NetLayer(place, "input", shape=shape, **neuron)
        weights = (
            self._dense(place, shape, source)
            if kind == "dense"
            else (self._conv(place, shape, source))
        )
        bias = self._bias(place, shape, kind, neuron["neuron"])
        if bias is not None and neuron["sigma"]:
            raise _Damaged("it sends sums (sigma_output) and has a bias; netx has no such neurons")
        flat = (math.prod(shape),) if kind == "dense" else shape
        return NetLayer(place, kind, shape=flat, bias=bias, **weights, **neuron)

    def _neuron(self, place: str) -> dict[str, Any]:
        place = f"{place}/neuron"
        kind = self._word(f"{place}/type")
        if kind not in _NEURONS:
            raise _Damaged(f"its neurons are {kind!r:.40}; {', '.join(_NEURONS)} are read")
        threshold = self._number(f"{place}/vThMant", 0, LARGEST_THRESHOLD)
        if kind == "SDNN":
            activation = self._contents.words.get(f"{place}/activation", "relu")
            if activation != "relu":
                raise _Damaged(f"its activation is {activation!r:.40}; netx has relu alone")
            bits = self._optional(f"{place}/messageBits")
            if bits.size and bits.ravel()[0] != 16:
                raise _Damaged(f"its messages have {bits.ravel()[0]} bits; 16 are read")
            sigma = self._has(f"{place}/sigma_output")
            return {"neuron": "SDNN", "threshold": threshold, "sigma": sigma}
        if np.any(self._optional(f"{place}/messageBits")):
            raise _Damaged("its spikes are graded; binary spikes are read")
        decays = tuple(self._number(f"{place}/{key}", 0, 4096) for key in ("iDecay", "vDecay"))
        if np.any(self._optional(f"{place}/gradedSpike")):
            self.notes.append(f"{place}: gradedSpike is set; netx sends binary spikes")
        if np.any(self._optional(f"{place}/refDelay") > 1):
            self.notes.append(f"{place}: refDelay is above 1; netx has no refractory time")
        return {"neuron": "CUBA", "threshold": threshold, "decays": decays, "sigma": False}

    def _check_input(self, place: str) -> None:
        """A transform of the input, which netx reads and does not do."""
        for key, plain in (("weight", 64), ("bias", 0)):
            found = self._optional(f"{place}/{key}")
            if found.size and np.any(found != plain):
                self.notes.append(
                    f"{place}: {key} is {found.ravel()[0]}; netx leaves that to its user"
                )

    def _dense(
        self, place: str, shape: tuple[int, ...], source: tuple[int, ...] | None
    ) -> dict[str, Any]:
        weight = self._numbers(f"{place}/weight", None)
        rows = math.prod(shape)
        if weight.ndim == 1 and weight.size % rows == 0:
            weight = weight.reshape(rows, -1)
        if weight.ndim != 2 or len(weight) != rows or not weight.size:
            raise _Damaged(f"its weights have the shape {weight.shape}, and it has {rows} neurons")
        if source is not None and len(source) != 1:
            raise _Damaged(f"it hears {source} without a layer flatten before it")
        if source is not None and source[0] != weight.shape[1]:
            raise _Damaged(f"it has weights for {weight.shape[1]} sources, and hears {source[0]}")
        return {"weight": weight}

    def _conv(
        self, place: str, shape: tuple[int, ...], source: tuple[int, ...] | None
    ) -> dict[str, Any]:
        if source is None:
            raise _Damaged(
                "it is a convolution, and it is not known of what"
                if self.problems
                else "it is a convolution, and no input layer says of what: give "
                "input_shape=(channels, height, width)"
            )
        if len(source) != 3 or len(shape) != 3:
            raise _Damaged(f"it is a convolution of {source} to {shape}; both need three lengths")
        weight = self._numbers(f"{place}/weight", None)
        weight = weight[..., 0] if weight.ndim == 5 and weight.shape[4] == 1 else weight
        groups = self._number(f"{place}/groups", 1, 1 << 16)
        pairs = {
            key: self._pair(f"{place}/{key}", least)
            for key, least in (("stride", 1), ("padding", 0), ("dilation", 1))
        }
        if (
            weight.ndim != 4 or not weight.size or len(weight) != shape[0] or shape[0] % groups
            or weight.shape[1] * groups != source[0]
        ):  # fmt: skip
            raise _Damaged(
                f"its weights have the shape {weight.shape}, of {source} to {shape} in {groups} "
                "groups"
            )
        lengths = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                source[1:], pairs["padding"], pairs["dilation"], weight.shape[2:],
                pairs["stride"], strict=True,
            )
        ]  # fmt: skip
        if list(shape[1:]) != lengths:
            raise _Damaged(f"its shape is {shape}, and its kernel gives {(shape[0], *lengths)}")
        return {"weight": weight, "groups": groups, **pairs}

    def _bias(
        self, place: str, shape: tuple[int, ...], kind: str, neuron: object
    ) -> IntegerArray | None:
        """One number for each neuron."""
        if not self._has(f"{place}/bias"):
            return None
        bias = self._numbers(f"{place}/bias", None)
        # 13 bits of a CUBA neuron (lava-nc, PyLifModelBitAcc); else what a state of 32.0 holds.
        limit = 1 << 12 if neuron == "CUBA" else 1 << 11
        if bias.size and (bias.min() < -limit or bias.max() >= limit):
            raise _Damaged(f"its bias is outside {-limit}..{limit - 1}")
        bias, size = bias.ravel(), math.prod(shape)
        if bias.size not in (size, 1) and not (kind == "conv" and bias.size == shape[0]):
            raise _Damaged(f"it has {bias.size} biases for {size} neurons")
        return np.repeat(bias, size // bias.size)

    # ------------------------------------------------------------ arrays

    def _has(self, path: str) -> bool:
        return path in self._contents.arrays

    def _word(self, path: str) -> str:
        if path not in self._contents.words:
            raise _Damaged(f"{path} is missing, or no text")
        return self._contents.words[path]

    def _numbers(self, path: str, size: int | None) -> IntegerArray:
        """Whole numbers, as netx cuts them."""
        tensor = self._contents.arrays.get(path)
        if tensor is None or tensor.kind == "other" or (size and math.prod(tensor.shape) != size):
            raise _Damaged(f"{path} is missing, or no numbers")
        values = tensor.read()
        if not (np.abs(values) <= _LARGEST_NUMBER).all():
            raise _Damaged(f"{path} holds numbers beyond {_LARGEST_NUMBER}, or that are none")
        return np.trunc(values).astype(np.int64)

    def _optional(self, path: str) -> IntegerArray:
        return self._numbers(path, None) if self._has(path) else np.zeros(0, np.int64)

    def _number(self, path: str, low: int, high: int) -> int:
        value = int(self._numbers(path, 1).ravel()[0])
        if not low <= value <= high:
            raise _Damaged(f"{path} is {value}, and can be {low} to {high}")
        return value

    def _pair(self, path: str, least: int) -> tuple[int, int]:
        """Down and across."""
        values = self._numbers(path, None).ravel()
        if values.size not in (1, 2) or values.min() < least or values.max() > 1 << 16:
            raise _Damaged(f"{path} is {values[:4].tolist()}, and needs one or two numbers")
        return int(values[0]), int(values[-1])
