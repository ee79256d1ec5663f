"""Networks of residual blocks of state spaces, from the arrays of a state_dict."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays, listing
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.s4d.blocks import Said, Stream, is_kernel, space
from lnn2loihi.layers.linear import SUM, FloatArray, Linear

#: For each module what stands before the keys of a state space of it, in groups what stands before
#: the whole and the block's number; and what stands before the keys of its norm.
BLOCKS = {
    "S4Model": (r"(.*?)s4_layers\.([0-9]{1,4})\.", "norms.{number}."),
    "SequenceModel": (r"(.*?)model\.layers\.([0-9]{1,4})\.layer\.", "model.layers.{number}.norm."),
}
#: The framework's name of the map into its blocks and out of them, wherever they are held.
_ENCODER = r"encoder\.(?:[0-9]+\.)*"
_DECODER = r"decoder\.(?:[0-9]+\.)*(?:output_transform\.)?"
#: What is added to a variance by BatchNorm1d and LayerNorm.
EPSILON = 1e-5
#: What forward makes of the steps, and what the host has to do then.
POOLS = {"mean": ("mean over time",), "last": (), "none": ()}


def network_parts(
    arrays: Arrays, said: Said, description: Any
) -> tuple[FamilyParts | None, list[str]]:
    """The layers of a whole network, or None and everything that is wrong with the arrays."""
    module = description.module
    pattern, normed = BLOCKS.get(module, BLOCKS["SequenceModel"])
    found = {
        int(match.group(2)): start
        for key in arrays.keys
        if (start := is_kernel(key)) is not None and (match := re.fullmatch(pattern, start))
    }
    starts = [found[number] for number in sorted(found)]
    before = sorted({re.fullmatch(pattern, start).group(1) for start in starts})  # type: ignore
    if not starts or before != [""] or sorted(found) != list(range(len(found))):
        arrays.closed = True
        return None, [_absent(arrays, description, before)]
    encoder = _linear(arrays, _ENCODER, "encoder", None)
    decoder = _linear(arrays, _DECODER, "decoder", encoder.output_size)
    stream = Stream([DenseLayer("encoder", Linear(SUM, encoder.weight, encoder.bias), "identity")])
    norms = _Norms(arrays, encoder.output_size)
    if description.prenorm is None and any(norms.has(normed.format(number=n)) for n in found):
        arrays.problems.append(
            f"prenorm is not in {description.origin}, and its blocks have norms: say "
            "prenorm = true where they normalise what they hear, false where what they answer"
        )
    for number, start in enumerate(starts):
        key = normed.format(number=number)
        size = encoder.output_size
        own = space(arrays, start, said, f"block_{number}")
        if own and own[0].input_size != size:
            arrays.problems.append(
                f"{start}kernel has {own[0].input_size} channels, and what it hears has {size}"
            )
        scale = norms.take(key) if description.prenorm else (np.ones(size), np.zeros(size))
        if not arrays.problems:
            stream.block(own, scale)
        if not description.prenorm:
            after = norms.take(key)
            if not arrays.problems:
                stream.scaled(*after)
    if norms.has("model.norm."):
        last = norms.take("model.norm.")
        if not arrays.problems:
            stream.scaled(*last)
    arrays.refuse_others(module)
    if arrays.problems:
        return None, arrays.problems
    weight = decoder.weight * stream.factor
    readout = Linear("readout", weight, decoder.bias + decoder.weight @ stream.offset)
    return FamilyParts(
        tuple(stream.layers), readout, hears=stream.hears, host=POOLS[description.pool]
    ), []


def _absent(arrays: Arrays, description: Any, before: list[str]) -> str:
    starts = sorted({start for key in arrays.keys if (start := is_kernel(key)) is not None})
    hints = " or ".join(f"prefix = {description.prefix + one!r}" for one in before[:8] if one)
    return (
        f"it is not the state_dict of a {description.module}, whose blocks are numbered from 0; "
        f"kernels stand under {listing(starts) if starts else 'no key'}"
        + (f"; write {hints} in {description.origin}" if hints else "")
    )


def _linear(arrays: Arrays, pattern: str, what: str, columns: int | None) -> Linear:
    """The map into the blocks, or out of them; what is wrong is noted."""
    starts = sorted(
        {m.group(1) for key in arrays.keys if (m := re.fullmatch(rf"({pattern})weight", key))}
    )
    if len(starts) != 1:
        arrays.problems.append(
            f"{len(starts)} keys are the {what}'s weight, expected one, such as {what}.weight"
        )
        return Linear(what, np.zeros((1, columns or 1)), np.zeros(1))
    start = starts[0]
    weight = arrays.take(f"{start}weight", None, columns)
    if f"{start}bias" not in arrays.keys:
        if what == "encoder":
            arrays.problems.append(
                f"{start}weight has no bias beside it, so it is an Embedding and no Linear; look "
                "up tokens on the host, and import the blocks with a Linear before them"
            )
        return Linear(what, weight, np.zeros(len(weight)))
    return Linear(what, weight, arrays.take(f"{start}bias", len(weight), 0))


class _Norms:
    """Normalisations of channels, by the keys before their arrays.

    Args:
        arrays: of the network.
        size: channels.
    """

    def __init__(self, arrays: Arrays, size: int) -> None:
        self._arrays, self._size = arrays, size

    def has(self, start: str) -> bool:
        """Whether there is one."""
        return any(key.startswith(start) for key in self._arrays.keys)

    def take(self, start: str) -> tuple[FloatArray, FloatArray]:
        """Factor and offset of one by fixed statistics; ones and zeros where there is none."""
        arrays, size = self._arrays, self._size
        ones, zeros = np.ones(size), np.zeros(size)
        if not self.has(start):
            return ones, zeros
        start = start if f"{start}norm.weight" not in arrays.keys else f"{start}norm."
        if f"{start}running_mean" not in arrays.keys:
            arrays.problems.append(self._refusal(start))
            for key in arrays.keys:
                if key.startswith(start):
                    arrays.skip(key)
            return ones, zeros
        if f"{start}num_batches_tracked" in arrays.keys:
            arrays.skip(f"{start}num_batches_tracked")
        mean, variance = (arrays.take(f"{start}running_{x}", size, 0) for x in ("mean", "var"))
        weight, bias = (
            arrays.take(start + key, size, 0) if start + key in arrays.keys else default
            for key, default in (("weight", ones), ("bias", zeros))
        )
        factor = weight / np.sqrt(np.maximum(variance + EPSILON, EPSILON))
        return factor, bias - mean * factor

    def _refusal(self, start: str) -> str:
        return (
            f"{start[:-1]} is a LayerNorm, whose statistics depend on each sample; train with "
            "norm = BatchNorm1d, which folds"
        )
