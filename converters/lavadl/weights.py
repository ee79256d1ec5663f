"""The weights that Lava's processes work with, which are not always those of the file.

Source: lava-dl 0.6.0, lava/lib/dl/netx/utils.py (`optimize_weight_bits`); lava-nc 0.10.0,
lava/utils/weightutils.py (`determine_sign_mode`, `clip_weights`, `truncate_weights`) and
lava/proc/dense/models.py.
"""

from __future__ import annotations

import math

import numpy as np

from lnn2loihi.formats import IntegerArray

#: Widest range of a synapse of mixed sign, of which Lava's are even.
LOWEST, HIGHEST = -256, 254
_BYTE = 255


def dense_weights(weights: IntegerArray) -> IntegerArray:
    """What a Dense process of netx multiplies by, for weights of a file.

    Weights are clipped, shifted left so that they use eight bits, clipped again, and cut to the
    bits that they were said to need; the sum is shifted back.

    Raises:
        ValueError: the shift back would round.
    """
    high, low = int(weights.max(initial=0)), int(weights.min(initial=0))
    if high == low == 0:
        return weights
    if (high > HIGHEST and low < 0) or (low < LOWEST and high > 0):
        weights = np.clip(weights, LOWEST, HIGHEST)
    high, low = int(weights.max()), int(weights.min())
    mixed = high >= 0 > low
    if mixed:
        scale = min(127 / high if high > 0 else math.inf, -128 / low if low < 0 else math.inf)
    else:
        scale = -256 / low if high < 0 else 255 / high
    shift = math.floor(math.log2(scale)) + mixed
    if shift < 0:
        raise ValueError(f"weights from {low} to {high} do not fit the eight bits of a synapse")
    spare = next((n for n in range(8, 0, -1) if not np.any(weights % (1 << n))), 0) - mixed
    used = 8 - shift - spare
    wide = weights << shift
    # The process looks at the signs anew.
    sign = 1 if wide.min() >= 0 else -1 if wide.max() <= 0 else 0
    both = sign == 0
    made = wide * (sign or 1)
    made = np.clip(made, -_BYTE - 1 if both else 0, _BYTE)
    cut = 8 - used + both
    if cut < 0:
        raise ValueError(
            f"weights from {low} to {high} are cut to {used} bits, more than there are"
        )
    made = ((made >> cut) << cut) * (sign or 1)
    if np.any(made % (1 << shift)):
        raise ValueError(f"weights from {low} to {high} are rounded after they were added up")
    return made >> shift


def convolution_rows(
    weights: IntegerArray,
    source: tuple[int, int, int],
    target: tuple[int, int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> tuple[IntegerArray, IntegerArray, IntegerArray]:
    """The synapses of a convolution (a correlation, as in PyTorch), one for each pair of neurons.

    Args:
        weights: (channels of the target, channels of the source / groups, height, width).
        source: channels, height and width of what it hears; neurons lie in this order.
        target: the same of its own neurons.
        stride: down and across.
        padding: the same.
        dilation: the same.
        groups: parts in which channels are taken.

    Returns:
        Row and column of each synapse, ascending by row and then column, and its weight.
    """
    count, inner, tall, wide = weights.shape
    _, height, width = source
    _, rows, columns = target
    group = np.arange(count) // (count // groups)
    shape = (count, rows, columns, inner, tall, wide)
    channel = group[:, None] * inner + np.arange(inner)
    down = np.arange(rows)[:, None] * stride[0] - padding[0] + np.arange(tall) * dilation[0]
    across = np.arange(columns)[:, None] * stride[1] - padding[1] + np.arange(wide) * dilation[1]
    down = down[None, :, None, None, :, None]
    across = across[None, None, :, None, None, :]
    place = (channel[:, None, None, :, None, None] * height + down) * width + across
    inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
    value = np.broadcast_to(weights[:, None, None], shape)
    kept = np.broadcast_to(inside, shape) & (value != 0)
    row = np.broadcast_to(
        np.arange(count * rows * columns).reshape(count, rows, columns, 1, 1, 1), shape
    )
    return row[kept], np.broadcast_to(place, shape)[kept], value[kept]
