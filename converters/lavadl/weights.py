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
