"""Layers of state spaces and of their blocks, from the arrays of a state_dict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.s4d.glu import GLULayer
from lnn2loihi.families.s4d.kernels import (
    DISCRETIZATIONS,
    ComplexArray,
    Modes,
    of_diagonal,
    of_low_rank,
)
from lnn2loihi.families.s4d.layer import LARGEST_SHARE, LiquidS4DLayer, S4DLayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import SUM, FloatArray, Linear

#: What of a kernel only one way of storing it has: that of s4d.py, the diagonal one of the
#: framework, the one with a correction of low rank, and those of later versions.
STANDALONE, DIAGONAL, LOW_RANK = (
    "kernel.log_A_real",
    "kernel.kernel.inv_A_real",
    "kernel.kernel.w_imag",
)
LATER = ("kernel.inv_dt", "kernel.A_real")
#: Key of the liquid term of our own module.
LIQUID = "kernel.liquid"
#: The map behind the modes; a convolution of one sample in s4d.py.
OUTPUT = "output_linear.0"
#: The map in front of a liquid one, behind which is a tanh.
INPUT_MAP = "input_linear"


@dataclass(frozen=True)
class Said:
    """What arrays do not say.

    Attributes:
        discretization: one of DISCRETIZATIONS, of the kernels of the framework.
        activation: between the modes and the map behind them.
    """

    discretization: str = DISCRETIZATIONS[0]
    activation: str = "gelu"


def is_kernel(key: str) -> str | None:
    """What stands before the keys of a state space, if a key is one that only they have."""
    for end in (STANDALONE, DIAGONAL, LOW_RANK):
        if key == end or key.endswith(f".{end}"):
            return key[: -len(end)]
    return None


def is_later(key: str) -> bool:
    """Whether a key is one of the kernels of later versions of state-spaces/s4."""
    return any(key == end or key.endswith(f".{end}") for end in LATER)


def space(arrays: Arrays, start: str, said: Said, name: str) -> tuple[Layer, ...]:
    """The layers of one state space with its map and its gated unit; what is wrong is noted.

    Args:
        arrays: the arrays; more than this layer's.
        start: what stands before its keys there, empty or ending in a dot.
        said: what the arrays do not say.
        name: of the modes; the gated unit is `<name>_glu`, a tanh before liquid ones `<name>_in`.
    """
    modes, channels = _kernel(arrays, start, said)
    feedthrough = _feedthrough(arrays, f"{start}D", channels)
    before = len(arrays.problems)
    if not before:
        arrays.problems += [f"{start}kernel: {problem}" for problem in modes.problems()]
    liquid = f"{start}{LIQUID}" in arrays.keys
    sides = _map(arrays, f"{start}{OUTPUT}", None, channels)
    entering: tuple[Layer, ...] = ()
    share = direction = np.zeros((channels, 1))
    if liquid:
        share, direction = _liquid(arrays, start, modes, channels)
        own = _map(arrays, f"{start}{INPUT_MAP}", channels, channels)
        entering = (DenseLayer(f"{name}_in", Linear(SUM, own.weight, own.bias), "tanh"),)
    if arrays.problems:
        return ()
    spread = np.zeros((modes.channel.size, channels))
    spread[np.arange(modes.channel.size), modes.channel] = 1.0
    none = np.zeros(channels)
    drive = Linear("drive", spread, np.zeros(len(spread)))
    mix = Linear("mix", np.hstack([np.diag(feedthrough), spread.T]), none)
    vectors = modes.vectors()
    made: S4DLayer
    if liquid:
        made = LiquidS4DLayer(
            name, drive, mix, **vectors, activation=said.activation,
            share=share.ravel(), direction=direction.ravel(),
        )  # fmt: skip
    else:
        made = S4DLayer(name, drive, mix, **vectors, activation=said.activation)
    return (*entering, made, _behind(arrays, sides, start, channels, name))


def _behind(arrays: Arrays, sides: Linear, start: str, channels: int, name: str) -> Layer:
    """The map behind the modes, gated where it has twice as many rows as there are channels."""
    if sides.output_size == channels:
        return DenseLayer(f"{name}_out", Linear(SUM, sides.weight, sides.bias), "identity")
    value, gate = np.split(sides.weight, 2)
    of_value, of_gate = np.split(sides.bias, 2)
    return GLULayer(f"{name}_glu", Linear("value", value, of_value), Linear("gate", gate, of_gate))


def _kernel(arrays: Arrays, start: str, said: Said) -> tuple[Modes, int]:
    """The modes of a kernel, in any of its ways of being stored, and the number of channels."""
    if f"{start}{STANDALONE}" in arrays.keys:
        key = f"{start}kernel."
        log_step = arrays.take(f"{key}log_dt", None, 0)
        decay = arrays.take(f"{key}log_A_real", log_step.size)
        turn = arrays.take(f"{key}A_imag", *decay.shape)
        weight = _complex(arrays, f"{key}C", *decay.shape)
        rates = -np.exp(_held(decay)) + 1j * turn
        made = of_diagonal(rates, weight, np.exp(_held(log_step)), "zoh")
        return made, log_step.size
    key = f"{start}kernel.kernel."
    log_step = arrays.take(f"{key}log_dt", None, 0)
    channels = log_step.size
    low_rank = f"{start}{LOW_RANK}" in arrays.keys
    decays, turns = ("inv_w_real", "w_imag") if low_rank else ("inv_A_real", "A_imag")
    decay = arrays.take(key + decays)
    turn = arrays.take(key + turns, *decay.shape)
    spaces, pairs = decay.shape
    if channels % spaces:
        arrays.problems.append(
            f"{key}{decays} has {spaces} kernels, which {channels} channels cannot share evenly"
        )
        return _no_modes(), channels
    stored = _stored(arrays, start, channels, pairs)
    shared = channels // spaces

    def spread(values: ComplexArray) -> ComplexArray:
        return np.tile(values, (shared, 1))  # (v t) n

    rates = spread(-np.exp(_held(decay)) + 1j * turn)
    given = spread(_complex(arrays, f"{key}B", spaces, pairs))
    step = np.exp(_held(log_step))
    if not low_rank:
        if f"{key}A" in arrays.keys:
            arrays.skip(f"{key}A")  # what it began with, which nothing reads
        return of_diagonal(rates, stored * given, step, said.discretization), channels
    corrections = _complex(arrays, f"{key}P", None, spaces, pairs)
    length = 0
    if f"{key}L" in arrays.keys:
        length = arrays.take_whole(f"{key}L")
    if arrays.problems:
        return _no_modes(), channels
    corrections = np.stack([spread(one) for one in corrections])
    made, problems = of_low_rank(rates, given, corrections, stored, step, length)
    arrays.problems += [f"{start}kernel: {problem}" for problem in problems]
    return made, channels


def _no_modes() -> Modes:
    return Modes(np.zeros(0, complex), np.zeros(0, complex), np.zeros(0, np.int64))


def _held(logarithm: FloatArray) -> FloatArray:
    """Logarithms of which an exponential is finite; what lies beyond is refused by its modes."""
    return np.clip(logarithm, -300.0, 300.0)


def _stored(arrays: Arrays, start: str, channels: int, pairs: int) -> ComplexArray:
    """C, of one side: two sides are those of a bidirectional layer."""
    key = f"{start}kernel.kernel.C"
    shape = arrays.shape(key)
    if (
        shape is not None
        and len(shape) == 4
        and shape[0] != 1
        and shape[1:] == (channels, pairs, 2)
    ):
        arrays.problems.append(
            f"{key} has {shape[0]} kernels for each channel: of a layer with bidirectional = true "
            "the second one runs backwards in time, over samples that are still to come, and "
            "several heads (channels above 1) have no layer here; train with bidirectional = false "
            "and channels = 1"
        )
        arrays.skip(key)
        return np.zeros((channels, pairs), complex)
    return _complex(arrays, key, 1, channels, pairs)[0]


def _complex(arrays: Arrays, key: str, *shape: int | None) -> ComplexArray:
    """Complex numbers, whose parts stand side by side in the last axis."""
    parts = arrays.take_shaped(key, *shape, 2)
    found: ComplexArray = parts[..., 0] + 1j * parts[..., 1]
    return found


def _feedthrough(arrays: Arrays, key: str, channels: int) -> FloatArray:
    """D, (channels,) or (1, channels)."""
    shape = arrays.shape(key)
    if shape is not None and len(shape) == 2:
        return arrays.take(key, 1, channels)[0]
    return arrays.take(key, channels, 0)


def _map(arrays: Arrays, key: str, rows: int | None, columns: int) -> Linear:
    """A map, which may be a convolution of one sample."""
    shape = arrays.shape(f"{key}.weight")
    if shape is not None and len(shape) == 3:
        weight = arrays.take_shaped(f"{key}.weight", rows, columns, 1)[..., 0]
    else:
        weight = arrays.take(f"{key}.weight", rows, columns)
    if rows is None and len(weight) not in (columns, 2 * columns) and shape is not None:
        arrays.problems.append(
            f"{key}.weight has {len(weight)} rows; expected {2 * columns}, which a GLU halves, or "
            f"{columns}"
        )
    bias = np.zeros(len(weight))
    if f"{key}.bias" in arrays.keys:
        bias = arrays.take(f"{key}.bias", len(weight), 0)
    return Linear(key, weight, bias)


def _liquid(
    arrays: Arrays, start: str, modes: Modes, channels: int
) -> tuple[FloatArray, FloatArray]:
    """Share and direction of the liquid term of `lnn2loihi.models.s4d.LiquidS4D`."""
    pairs = modes.channel.size // max(channels, 1)
    logit = arrays.take(f"{start}{LIQUID}", channels, pairs or None)
    share = LARGEST_SHARE / (1.0 + np.exp(-_held(logit)))
    decay = arrays.take(f"{start}kernel.log_A_real", channels)
    turn = arrays.take(f"{start}kernel.A_imag", *decay.shape)
    rates = -np.exp(_held(decay)) + 1j * turn
    lam = modes.lam.reshape(decay.shape) if modes.lam.size == decay.size else np.zeros(decay.shape)
    return share, np.angle((lam - 1.0) / rates)
