"""Synapses whose weights are shared: a kernel that is laid over an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields
from lnn2loihi.errors import Problems, ProgramError
from lnn2loihi.formats import WEIGHT_BITS, IntegerArray
from lnn2loihi.frozen import read_only
from lnn2loihi.graph.connection import Connection
from lnn2loihi.graph.synapses import Summing, Synapses
from lnn2loihi.graph.windows import Windows
from lnn2loihi.neurons.bounds import IntegerInterval

#: Most places of a kernel: work is done place by place (a limit of this library).
LARGEST_KERNEL = 1 << 12
#: Most synapses that a kernel stands for, which are all multiplied in each step and proof; and most
#: that are listed one by one, some 20 bytes each (limits of this library, so that a hostile file
#: costs little).
LARGEST_COUNT, LARGEST_UNROLLED = 1 << 28, 1 << 24


@checks_fields(ProgramError)
@dataclass(frozen=True, eq=False)
class Convolution(Synapses):
    """A kernel that all neurons of a population share, for one of its accumulators.

    Row (c, y, x), neurons in this order, is the sum over i, j, k of

        kernel[c, i, j, k] 2**exponent message[i, y stride + j dilation - padding, ...].

    It is what `torch.nn.functional.conv2d` computes. Only the kernel is held; on a chip that does
    not share weights each pair of neurons has a synapse of its own, and synapses are counted so.

    Attributes:
        source: name of a population or of the input port.
        target: name of a population.
        accumulators: the one that is fed.
        kernel: int8 (channels of the target, channels of the source / groups, height, width).
        source_shape: channels, height and width of the source; its neurons lie in this order.
        stride: down and across.
        padding: the same, on both sides.
        dilation: the same.
        groups: parts in which channels are taken.
        exponent: left shift, 0 to 7.
        delay: extra steps, 0 to 62.
        mantissa_bits: width of the mantissas, 1 to 8.
    """

    source: str
    target: str
    accumulators: tuple[str, ...]
    kernel: npt.NDArray[Any]
    source_shape: tuple[int, ...]
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    exponent: int = 0
    delay: int = 0
    mantissa_bits: int = WEIGHT_BITS

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", read_only(self.kernel, np.int8, "kernel"))
        # Rows, synapses and the like are asked for before a program looks at it.
        problems = Problems(ProgramError, self.name)
        problems.extend(self._shape_problems())
        problems.raise_if_any()

    @property
    def windows(self) -> Windows:
        """Which sources each neuron hears."""
        shape: Any = self.kernel.shape
        source: Any = self.source_shape
        stride: Any = self.stride
        padding: Any = self.padding
        dilation: Any = self.dilation
        return Windows(source, shape, stride, padding, dilation, self.groups)

    @property
    def source_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Neurons or channels of the source."""
        return math.prod(self.source_shape)

    @property
    def target_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the target."""
        return self.windows.target_shape

    @property
    def rows(self) -> int:
        """Number of rows: one for each neuron of the target."""
        return self.windows.rows

    @property
    def synapses(self) -> int:
        """Number of synapses if each pair of neurons has its own: no weight is 0, and none lies
        beyond a border.
        """
        used = np.count_nonzero(self.kernel, axis=(0, 1))
        return sum(
            int(used[row, column]) * _length(windows[0]) * _length(windows[1])
            for row, column, windows, _ in self.windows.taps()
        )

    # What is there only when the synapses are listed; made anew at each access.

    @property
    def row_starts(self) -> npt.NDArray[Any]:
        """As of the `unrolled` connection."""
        return self.unrolled().row_starts

    @property
    def columns(self) -> npt.NDArray[Any]:
        """As of the `unrolled` connection."""
        return self.unrolled().columns

    @property
    def mantissas(self) -> npt.NDArray[Any]:
        """As of the `unrolled` connection."""
        return self.unrolled().mantissas

    def unrolled(self) -> Connection:
        """The same synapses, listed one by one.

        Raises:
            ProgramError: there are more than 16,777,216.
        """
        count = self.synapses
        if count > LARGEST_UNROLLED:
            raise ProgramError(
                self.name,
                f"the convolution has {count:,} synapses, and at most {LARGEST_UNROLLED:,} are "
                "listed one by one; executors and files take its kernel as it is",
            )
        windows = self.windows
        (down, is_down), (across, is_across) = windows.place(0), windows.place(1)
        inside = is_down[:, None, :, None] & is_across[None, :, None, :]
        _, height, width = windows.source_shape
        places = (down[:, None, :, None] * width + across[None, :, None, :]).astype(np.int32)
        channels, inner = self.kernel.shape[:2]
        starts = np.zeros(windows.rows + 1, np.int64)
        columns, mantissas = np.empty(count, np.int32), np.empty(count, np.int8)
        lengths = starts[1:].reshape(channels, -1)
        done = 0
        for channel in range(channels):
            # Rows of one channel: [window down, window across, channel of the source, tap].
            own = self.kernel[channel]
            used = (own != 0)[None, None] & inside[:, :, None]
            first = channel // (channels // self.groups) * inner
            offset = (first + np.arange(inner, dtype=np.int32)) * np.int32(height * width)
            found = np.count_nonzero(used)
            heard = np.broadcast_to(places[:, :, None], used.shape) + offset[:, None, None]
            columns[done : done + found] = heard[used]
            mantissas[done : done + found] = np.broadcast_to(own, used.shape)[used]
            lengths[channel] = np.count_nonzero(used, axis=(2, 3, 4)).ravel()
            done += found
        np.cumsum(starts, out=starts)
        return Connection(
            self.source, self.target, self.accumulators, starts, columns, mantissas,
            self.source_size, self.exponent, self.delay, self.mantissa_bits,
        )  # fmt: skip

    def summing(self, dtype: npt.DTypeLike = np.int64) -> Summing:
        """See `Synapses`."""
        windows, weights = self.windows, self.kernel.astype(np.int64) << self.exponent
        return lambda messages: windows.sums(weights, messages, dtype)

    def interval(self, low: npt.ArrayLike, high: npt.ArrayLike) -> IntegerInterval:
        """See `Synapses`."""
        windows, weights = self.windows, self.kernel.astype(np.int64) << self.exponent
        ends = np.minimum(np.broadcast_to(low, self.source_size), 0).astype(np.int64)
        tops = np.maximum(np.broadcast_to(high, self.source_size), 0).astype(np.int64)
        both, above, below = np.stack([ends, tops]), np.maximum(weights, 0), np.minimum(weights, 0)
        rising, falling = windows.sums(above, both), windows.sums(below, both)
        return IntegerInterval(rising[0] + falling[1], rising[1] + falling[0])

    def fan_out(self) -> IntegerArray:
        """See `Synapses`."""
        channels, inner = self.kernel.shape[:2]
        used = self.kernel.reshape(self.groups, channels // self.groups, *self.kernel.shape[1:])
        counts = np.count_nonzero(used, axis=1).reshape(self.groups * inner, *used.shape[3:])
        found = np.zeros(self.windows.source_shape, np.int64)
        for row, column, _, sources in self.windows.taps():
            found[:, sources[0], sources[1]] += counts[:, row, column, None, None]
        return found.ravel()

    def problems(self, target_size: int) -> list[str]:
        """Everything that does not fit."""
        windows, found = self.windows, list[str]()
        if len(self.accumulators) != 1:
            found.append(f"{self.name}: a convolution feeds one accumulator")
        if self.rows != target_size:
            found.append(
                f"{self.name}: its kernel gives {windows.target_shape}, {self.rows} rows, and "
                f"there are {target_size} neurons"
            )
        if (places := math.prod(self.kernel.shape[2:])) > LARGEST_KERNEL:
            found.append(f"{self.name}: a kernel of {places:,} places; at most {LARGEST_KERNEL:,}")
        if (count := windows.largest_count) > LARGEST_COUNT:
            found.append(
                f"{self.name}: a convolution of {count:,} synapses; the limit of lnn2loihi is "
                f"{LARGEST_COUNT:,}"
            )
        return found + self._width_problems(self.kernel)

    def _shape_problems(self) -> list[str]:
        """Why it lays no windows over its source."""
        lengths = (self.kernel.ndim, len(self.source_shape), *map(len, self._pairs))
        if lengths != (4, 3, 2, 2, 2):
            return [
                "a convolution has a kernel of 4 lengths, a source_shape of 3, and 2 each of "
                f"stride, padding and dilation; here they are {lengths}"
            ]
        return self.windows.problems()

    @property
    def _pairs(self) -> tuple[tuple[int, ...], ...]:
        return self.stride, self.padding, self.dilation


#: Synapses of a program, listed one by one or with a kernel that is shared.
AnyConnection = Connection | Convolution


def _length(part: slice) -> int:
    return len(range(part.start, part.stop, part.step or 1))
