"""Kernels that neurons share, in ONNX: what each window hears is gathered, and multiplied at once.

ONNX's own convolutions take floating point, or bytes; messages are wider than these, and nothing
here leaves the integers. So it is a matrix product of int32, and the kernel is in the file once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn2loihi.converters.onnx_write.build import Functions, Graph
from lnn2loihi.formats import IntegerArray
from lnn2loihi.graph.convolution import Convolution
from lnn2loihi.graph.windows import Windows


@dataclass(frozen=True)
class SharedSums:
    """What adds the synapses of a convolution up, step by step.

    Attributes:
        connection: the convolution.
        name: of its values.
        weights: name of its kernel, int32 (groups, places of a window, channels of a group).
        places: name of the source below each place of each window, int64 (groups, windows, places).
    """

    connection: Convolution
    name: str
    weights: str
    places: str

    def add(self, step: Graph, functions: Functions, message: str) -> str:
        """Adds the sums, int32 (batch, neurons), to the body of the loop.

        Args:
            step: the graph that the kernel was put into.
            functions: where functions go; it needs none.
            message: int32 (batch, sources).
        """
        del functions
        windows, name = self.connection.windows, f"{self.name}.sums"

        def numbers(values: list[int]) -> str:
            return step.constant(values, np.int64)

        heard = message
        if any(windows.padding):
            image = step.add("Reshape", heard, numbers([0, *windows.source_shape]), name=name)
            down, across = windows.padding
            ends = numbers([0, 0, down, across, 0, 0, down, across])
            heard = step.add("Pad", image, ends, step.constant(0, np.int32), name=name)
            heard = step.add("Reshape", heard, numbers([0, -1]), name=name)
        below = step.add("Gather", heard, self.places, name=name, axis=1)
        sums = step.add("MatMul", below, self.weights, name=name)
        sums = step.add("Transpose", sums, name=name, perm=[0, 1, 3, 2])
        return step.add("Reshape", sums, numbers([0, -1]), name=name)


def prepare_shared(graph: Graph, connection: Convolution) -> SharedSums:
    """Puts the kernel of a convolution into a graph, the body of the loop."""
    windows = connection.windows
    name = f"{connection.source}_to_{connection.target}"
    channels, inner, *_ = windows.kernel_shape
    kernel = connection.kernel.reshape(windows.groups, channels // windows.groups, -1)
    weights = graph.constant(kernel.transpose(0, 2, 1), np.int8, f"{name}.kernel")
    weights = graph.cast(weights, np.int32, f"{name}.weights")
    if connection.exponent:
        factor = graph.constant(1 << connection.exponent, np.int32)
        weights = graph.add("Mul", weights, factor, name=f"{name}.weights")
    first, within = _places(windows)
    plane = _padded(windows)[0] * _padded(windows)[1]
    groups = np.arange(windows.groups) * inner * plane
    starts = graph.constant(groups[:, None, None] + first[:, None], np.int64, f"{name}.starts")
    inside = graph.constant(within, np.int64, f"{name}.inside")
    places = graph.add("Add", starts, inside, name=f"{name}.places")
    return SharedSums(connection, name, weights, places)


def _padded(windows: Windows) -> tuple[int, int]:
    _, height, width = windows.source_shape
    return height + 2 * windows.padding[0], width + 2 * windows.padding[1]


def _places(windows: Windows) -> tuple[IntegerArray, IntegerArray]:
    """In a padded image the first source of each window, and from there each place of a kernel."""
    height, width = _padded(windows)
    _, down, across = windows.target_shape
    _, inner, tall, wide = windows.kernel_shape
    first = np.add.outer(
        np.arange(down) * windows.stride[0] * width, np.arange(across) * windows.stride[1]
    )
    within = (
        np.arange(inner)[:, None, None] * height * width
        + np.arange(tall)[:, None] * windows.dilation[0] * width
        + np.arange(wide) * windows.dilation[1]
    )
    return first.ravel(), within.ravel()
