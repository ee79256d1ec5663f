"""Which sources each neuron of a convolution hears, and sums over them: shapes, and no weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import IntegerArray

#: Whole numbers below this are exact in float64, whatever is added up in between.
EXACT_FLOAT64 = 1 << 53
Pair = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """Windows that a kernel is laid over, as in PyTorch's `conv2d` (a correlation).

    Attributes:
        source_shape: channels, height and width of what is heard; neurons lie in this order.
        kernel_shape: channels of the target, channels of the source / groups, height, width.
        stride: from one window to the next, down and across.
        padding: rows above and below, columns to the left and right, from which nothing comes.
        dilation: from one place of the kernel to the next.
        groups: parts in which channels are taken.
    """

    source_shape: tuple[int, int, int]
    kernel_shape: tuple[int, int, int, int]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def problems(self) -> list[str]:
        """Why there are no such windows; empty where there are."""
        lengths = (*self.source_shape, *self.kernel_shape, *self.stride, *self.dilation)
        if min(*lengths, self.groups) < 1 or min(self.padding) < 0:
            return ["shapes, stride, dilation and groups begin at 1, padding at 0"]
        channels, inner = self.kernel_shape[:2]
        if channels % self.groups or inner * self.groups != self.source_shape[0]:
            return [
                f"a kernel of {self.kernel_shape} does not hear {self.source_shape[0]} channels "
                f"in {self.groups} groups"
            ]
        if min(self._lengths) < 1:
            return [f"a kernel of {self.kernel_shape[2:]} has no place in {self.source_shape[1:]}"]
        return []

    @property
    def _lengths(self) -> Pair:
        down, across = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                self.source_shape[1:], self.padding, self.dilation, self.kernel_shape[2:],
                self.stride, strict=True,
            )
        )  # fmt: skip
        return down, across

    @property
    def target_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the neurons that hear."""
        return (self.kernel_shape[0], *self._lengths)

    @property
    def source_size(self) -> int:
        """Number of sources."""
        return math.prod(self.source_shape)

    @property
    def rows(self) -> int:
        """Number of neurons that hear."""
        return math.prod(self.target_shape)

    @property
    def largest_count(self) -> int:
        """Synapses if no weight is zero and no window reaches over a border."""
        return self.rows * math.prod(self.kernel_shape[1:])

    def place(self, axis: int) -> tuple[IntegerArray, npt.NDArray[np.bool_]]:
        """Row (axis 0) or column (axis 1) of the source below each place of the kernel in each
        window, int64 (windows, places), and whether there is one.
        """
        window = np.arange(self.target_shape[1 + axis])[:, None] * self.stride[axis]
        inside = np.arange(self.kernel_shape[2 + axis]) * self.dilation[axis]
        place = window - self.padding[axis] + inside
        return place, (place >= 0) & (place < self.source_shape[1 + axis])

    def taps(self) -> Iterator[tuple[int, int, Any, Any]]:
        """For each place of the kernel that any window has over a source: its row and column, the
        windows, and the sources below, as slices (down, across).
        """
        sides = [list(self._ranges(axis)) for axis in (0, 1)]
        for row, windows_down, sources_down in sides[0]:
            for column, windows_across, sources_across in sides[1]:
                yield (
                    row,
                    column,
                    (windows_down, windows_across),
                    (sources_down, sources_across),
                )

    def _ranges(self, axis: int) -> Iterator[tuple[int, slice, slice]]:
        stride, count = self.stride[axis], self.target_shape[1 + axis]
        for tap in range(self.kernel_shape[2 + axis]):
            first = tap * self.dilation[axis] - self.padding[axis]  # below window 0
            begin = max(-(first // stride), 0)
            end = min((self.source_shape[1 + axis] - 1 - first) // stride + 1, count)
            if begin < end:
                start = first + begin * stride
                yield tap, slice(begin, end), slice(start, start + (end - begin) * stride, stride)

    def sums(
        self, kernel: npt.NDArray[Any], messages: npt.NDArray[Any], dtype: npt.DTypeLike = np.int64
    ) -> npt.NDArray[Any]:
        """For each neuron the sum of weights times messages, (batch, rows).

        Args:
            kernel: weights, of `kernel_shape`.
            messages: (batch, sources).
            dtype: of the answer; it has to hold every partial sum. Floats are multiplied as such.
        """
        carrier = np.dtype(dtype)
        if carrier.kind == "i":
            # Products of integers as large as these are as exact in float64, and much faster.
            terms = math.prod(self.kernel_shape[1:])
            sizes = [max(-int(v.min(initial=0)), int(v.max(initial=0))) for v in (kernel, messages)]
            if terms * sizes[0] * sizes[1] < EXACT_FLOAT64:
                carrier = np.dtype(np.float64)
        channels, down, across = self.target_shape
        batch, groups = len(messages), self.groups
        weights = kernel.astype(carrier).reshape(groups, channels // groups, *kernel.shape[1:])
        heard = messages.astype(carrier).reshape(
            batch, groups, kernel.shape[1], *self.source_shape[1:]
        )
        found = np.zeros((batch, groups, channels // groups, down, across), carrier)
        for row, column, windows, sources in self.taps():
            below = heard[..., sources[0], sources[1]]
            flat = below.reshape(*below.shape[:3], -1)
            part = np.matmul(weights[..., row, column], flat)
            found[..., windows[0], windows[1]] += part.reshape(*part.shape[:3], *below.shape[3:])
        return found.reshape(batch, -1).astype(dtype, copy=False)
