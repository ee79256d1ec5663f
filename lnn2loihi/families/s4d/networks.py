"""Networks of residual blocks of state spaces, from the arrays of a state_dict."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from lnn2loihi.converters.files.arrays import Arrays, listing
from lnn2loihi.converters.recurrent.family import FamilyParts
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.s4d.blocks import Said, is_kernel, space
from lnn2loihi.families.s4d.stream import Norm, Stream
from lnn2loihi.layers.linear import SUM, Linear

#: For each module what stands before the keys of a state space of it, in groups what stands before
#: the whole and the block's number; and what stands before the keys of its norm.
BLOCKS = {
    "S4Model": (r"(.*?)s4_layers\.([0-9]{1,4})\.", "norms.{number}."),
    "SequenceModel": (r"(.*?)model\.layers\.([0-9]{1,4})\.layer\.", "model.layers.{number}.norm."),
}
#: The norm behind all blocks of a SequenceModel.
LAST_NORM = "model.norm."
#: The framework's name of the map into its blocks and out of them, wherever they are held.
_ENCODER = r"encoder\.(?:[0-9]+\.)*"
_DECODER = r"decoder\.(?:[0-9]+\.)*(?:output_transform\.)?"
#: What is added to a variance by BatchNorm1d and LayerNorm; the framework's norm of one scale adds
#: nothing, which a division needs.
EPSILON, LEAST = 1e-5, 1e-12
#: Shift of such a norm that is as good as none.
SHIFT = 1e-7
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
    normalised = any(norms.has(normed.format(number=number)) for number in found)
    prenorm = _before(arrays, description, norms) if normalised else False
    for number, start in enumerate(starts):
        key = normed.format(number=number)
        size = encoder.output_size
        own = space(arrays, start, said, f"block_{number}")
        if own and own[0].input_size != size:
            arrays.problems.append(
                f"{start}kernel has {own[0].input_size} channels, and what it hears has {size}"
            )
        norm = norms.take(key)
        sides = (norm, None) if prenorm else (None, norm)
        if not arrays.problems:
            stream.block(f"block_{number}", own, *sides)
    last = norms.take(LAST_NORM)
    if not arrays.problems:
        stream.norm("last", last)
    arrays.refuse_others(module)
    if arrays.problems:
        return None, arrays.problems
    weight = decoder.weight * stream.factor
    readout = Linear("readout", weight, decoder.bias + decoder.weight @ stream.offset)
    return FamilyParts(
        tuple(stream.layers), readout, hears=stream.hears, host=POOLS[description.pool]
    ), []


def _before(arrays: Arrays, description: Any, norms: _Norms) -> bool:
    """Whether blocks normalise what they hear. The framework has a last norm just where they do."""
    said, origin = description.prenorm, description.origin
    if description.module == "S4Model":
        if said is None:
            arrays.problems.append(
                f"prenorm is not in {origin}, and its blocks have norms: say prenorm = true where "
                "they normalise what they hear, false where what they answer"
            )
        return bool(said)
    last = norms.has(LAST_NORM)
    if said is not None and said != last:
        arrays.problems.append(
            f"prenorm is {str(said).lower()} in {origin}, and the checkpoint has "
            f"{'a' if last else 'no'} last norm ({LAST_NORM}), which networks have whose blocks "
            "normalise what they hear, and no others"
        )
    return last


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

    def take(self, start: str) -> Norm | None:
        """One of them, or None where there is none."""
        arrays, size = self._arrays, self._size
        if not self.has(start):
            return None
        inner = f"{start}norm."
        start = inner if any(key.startswith(inner) for key in arrays.keys) else start
        if f"{start}m" in arrays.keys:
            return self._of_one_scale(start)
        weight, bias = (
            arrays.take(start + key, size, 0) if start + key in arrays.keys else default
            for key, default in (("weight", np.ones(size)), ("bias", np.zeros(size)))
        )
        if f"{start}running_mean" not in arrays.keys:
            return Norm(weight, bias, by_sample=True, epsilon=EPSILON)
        if f"{start}num_batches_tracked" in arrays.keys:
            arrays.skip(f"{start}num_batches_tracked")
        mean, variance = (arrays.take(f"{start}running_{x}", size, 0) for x in ("mean", "var"))
        factor = weight / np.sqrt(np.maximum(variance + EPSILON, EPSILON))
        return Norm(factor, bias - mean * factor)

    def _of_one_scale(self, start: str) -> Norm:
        """(s / deviation) (x - mean + m), as the framework has it where layers are transposed."""
        shift, scale = (self._arrays.take(start + key, 1, 0)[0] for key in ("m", "s"))
        if abs(shift) > SHIFT:
            self._arrays.problems.append(
                f"{start}m is {shift:.3g}, so that m / deviation is added to each sample, which no "
                "layer here does; train without it (m = 0), or with LayerNorm or BatchNorm1d"
            )
        ones = np.full(self._size, scale)
        return Norm(ones, 0.0 * ones, by_sample=True, epsilon=LEAST)
