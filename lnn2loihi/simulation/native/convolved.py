"""Lays populations out whose neurons share a kernel: tiles of channels that share their weights.

Neurons at one place of different channels hear the same messages, and neurons at different places
of one channel have the same weights. A tile is some channels at one place; the lists of its
weights and of the pairs of messages that it hears are those of all places whose windows reach over
the same borders, and whose first message is the same one of its pair. Where they begin among the
messages is all that each place has of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.graph.convolution import AnyConnection, Convolution
from lnn2loihi.graph.windows import Windows
from lnn2loihi.program import LoihiProgram, Population

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

#: Channels of a group up to which messages are not worth adding to all of them at once, and most
#: synapses that are listed then, of six bytes each.
FEW_CHANNELS, MOST_LISTED = 4, 1 << 16
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class SharedKernel:
    """What the kernels of C need of a convolution; see convolution_t in source/types.h.

    Attributes:
        windows: which sources each neuron hears.
        tile_channels: channels of a tile.
        weights: [tile of channels, kind of window][pair][channel], pairs of int16.
        columns: [kind of window][pair], counted from where a place begins.
        weight_starts, column_starts, pair_counts: of each tile, [tile of channels][place].
        offsets: where a tile begins among all pairs, likewise.
        scattered: weights by source, [channel of the source][place of the kernel][channel].
        used: whether any of a place is not zero, [channel of the source][place of the kernel].
        reached: for each axis the windows that each source lies in: starts, and for each its place
            in the kernel and its window.
        first: the message with which the source begins.
    """

    windows: Windows
    tile_channels: int
    weights: Int32
    columns: Int32
    weight_starts: Int64
    column_starts: Int64
    pair_counts: Int64
    offsets: Int32
    scattered: Int32
    used: npt.NDArray[np.int8]
    reached: tuple[Int32, ...]
    first: int


def shared(program: LoihiProgram, population: Population) -> list[Convolution]:
    """The convolutions that a population hears, if it hears nothing beside them and their kernels
    can be added up; none otherwise.
    """
    incoming: Sequence[AnyConnection] = program.incoming(population.name)
    found = [c for c in incoming if isinstance(c, Convolution)]
    if not found or len(found) < len(incoming):
        return []
    if len({(c.source, c.windows) for c in found}) > 1:
        return []
    for accumulator in population.program.accumulators:
        total = _added(found[0], [c for c in found if c.accumulators == (accumulator,)])
        if total.min() < _INT16.min or total.max() > _INT16.max:
            return []
    return found


def is_small(convolutions: Sequence[Convolution]) -> bool:
    """Whether single sequences are faster with synapses listed one by one: few channels are added
    to at once, and the lists are short.
    """
    first = convolutions[0]
    few = len(first.kernel) // first.groups <= FEW_CHANNELS
    return few and sum(c.synapses for c in convolutions) <= MOST_LISTED


def listed(
    convolutions: Sequence[Convolution], accumulators: Sequence[str], first_pair: int
) -> tuple[Int32, Int64, npt.NDArray[np.int16]]:
    """Messages, starts and weights of the synapses of each row; rows are [accumulator][neuron]."""
    rows, messages, values = ([], [], [])
    size = convolutions[0].rows
    for one in convolutions:
        each = one.unrolled()
        first = accumulators.index(one.accumulators[0]) * size
        rows.append(first + np.repeat(np.arange(size), np.diff(each.row_starts)))
        messages.append(2 * first_pair + each.columns)
        values.append(each.mantissas.astype(np.int16) << one.exponent)
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=size * len(accumulators))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    # An end that no row reaches: arrays without values have no address.
    end = np.zeros(1, np.int32)
    return (
        np.concatenate([np.concatenate(messages)[order], end]).astype(np.int32),
        starts,
        np.concatenate([np.concatenate(values)[order], end]).astype(np.int16),
    )


def _added(first: Convolution, convolutions: Sequence[Convolution]) -> Int64:
    total = np.zeros(first.kernel.shape, np.int64)
    for one in convolutions:
        total += one.kernel.astype(np.int64) << one.exponent
    return total


def laid_out(
    first: Convolution, convolutions: Sequence[Convolution], first_pair: int, most_channels: int
) -> SharedKernel:
    """The layout of what feeds one accumulator.

    Args:
        first: one of what `shared` has found, which have the same windows.
        convolutions: those of them that feed it, or none.
        first_pair: where the messages of the source begin.
        most_channels: most rows of a tile.
    """
    windows, kernel = first.windows, _added(first, convolutions).astype(np.int16)
    channels, down, across = windows.target_shape
    own = channels // windows.groups
    wide = max(n for n in range(1, most_channels + 1) if own % n == 0)
    sides = [_ends(windows, axis) for axis in (0, 1)]
    _, height, width = windows.source_shape
    bases = np.add.outer(sides[0].base * width, sides[1].base).ravel()
    empty = np.add.outer(sides[0].empty, sides[1].empty).ravel()
    kinds = np.add.outer(sides[0].kind * len(sides[1].ranges), sides[1].kind).ravel()
    weights: list[Int32] = []
    columns: list[Int32] = []
    ends = (0, 0)
    tiles: list[Int64] = []
    for tile in range(channels // wide):
        group = tile * wide // own
        base = np.where(empty, 0, bases + group * kernel.shape[1] * height * width)
        # A kind of window, and which message of its pair is the first.
        keys = 2 * kinds + base % 2
        rows = kernel[tile * wide : (tile + 1) * wide]
        kept: list[tuple[int, int, int]] = []
        distinct, which = np.unique(keys, return_inverse=True)
        for key in distinct:
            (tall, broad) = (
                sides[axis].ranges[part]
                for axis, part in enumerate(divmod(int(key) // 2, len(sides[1].ranges)))
            )
            made = _listed(windows, rows, tall, broad, int(key) % 2)
            kept.append((ends[0], ends[1], made[1].size))
            weights.append(made[0])
            columns.append(made[1])
            ends = (ends[0] + made[0].size, ends[1] + made[1].size)
        places = np.array(kept, np.int64)[which.ravel()].T
        tiles.append(np.concatenate([places, [first_pair + base // 2]]))
    starts = np.concatenate(tiles, axis=1)
    nothing = np.zeros(1, np.int32)
    scattered = kernel.reshape(windows.groups, own, kernel.shape[1], -1).transpose(0, 2, 3, 1)
    weight_starts, column_starts, pair_counts, offsets = starts
    return SharedKernel(
        windows,
        wide,
        np.concatenate([*weights, nothing]),
        np.concatenate([*columns, nothing]),
        np.ascontiguousarray(weight_starts),
        np.ascontiguousarray(column_starts),
        np.ascontiguousarray(pair_counts),
        offsets.astype(np.int32),
        np.ascontiguousarray(scattered, np.int32),
        np.ascontiguousarray(scattered.any(axis=-1), np.int8),
        (*_reached(windows, 0), *_reached(windows, 1)),
        2 * first_pair,
    )


@dataclass(frozen=True)
class _Ends:
    """The windows along one axis.

    Attributes:
        ranges: places of the kernel that lie over sources, of each kind of window.
        kind: of each window.
        base: the first source of each window.
        empty: whether it has none.
    """

    ranges: list[slice]
    kind: Int64
    base: Int64
    empty: npt.NDArray[np.bool_]


def _ends(windows: Windows, axis: int) -> _Ends:
    place, inside = windows.place(axis)
    low = inside.argmax(axis=1)
    high = np.where(inside.any(axis=1), inside.shape[1] - inside[:, ::-1].argmax(axis=1), low)
    pairs, kind = np.unique(np.stack([low, high]), axis=1, return_inverse=True)
    ranges = [slice(int(a), int(b)) for a, b in pairs.T]
    base = place[np.arange(len(place)), low]
    return _Ends(ranges, kind.ravel(), np.where(high > low, base, 0), high == low)


def _listed(
    windows: Windows, rows: npt.NDArray[np.int16], tall: slice, broad: slice, odd: int
) -> tuple[Int32, Int32]:
    """Weights [pair][channel] and pairs of a kind of window, counted from its first message.

    Args:
        windows: which sources are heard.
        rows: the kernel of some channels.
        tall: rows of the kernel that lie over sources.
        broad: its columns that do.
        odd: whether the first message is the second of its pair.
    """
    _, height, width = windows.source_shape
    part = rows[:, :, tall, broad].reshape(len(rows), -1)
    inner, down, across = (rows[0, :, tall, broad].shape[axis] for axis in range(3))
    places = (
        np.arange(inner)[:, None, None] * height * width
        + np.arange(down)[:, None] * windows.dilation[0] * width
        + np.arange(across) * windows.dilation[1]
        + odd
    ).ravel()
    pairs, which = np.unique(places // 2, return_inverse=True)
    weights = np.zeros((pairs.size, len(rows), 2), np.int16)
    weights[which.ravel(), :, places % 2] = part.T
    chosen = weights.any(axis=(1, 2))
    return weights[chosen].view(np.int32).ravel(), pairs[chosen].astype(np.int32)


def _reached(windows: Windows, axis: int) -> tuple[Int32, Int32, Int32]:
    place, inside = windows.place(axis)
    window, tap = np.nonzero(inside)
    source = place[window, tap]
    order = np.argsort(source, kind="stable")
    starts = np.searchsorted(source[order], np.arange(windows.source_shape[1 + axis] + 1))
    return starts.astype(np.int32), tap[order].astype(np.int32), window[order].astype(np.int32)
