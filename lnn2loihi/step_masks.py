"""Dropout that draws new masks for every sample: masks that come in as channels of the input.

A mask in a state word holds for a sequence. Where each sample is to have one of its own, as
`nn.Dropout` draws them in training, the host sends it with the sample: behind the channels of the
network's input stands one for each unit that can be dropped, and the answer of a layer is
multiplied with its channels before others hear it. A channel is 1 where nothing is drawn, which is
evaluation; in a pass it is 0 for a unit that is dropped and 1 / keep for one that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.dropping import RECURRENT, RELAY, Rates, answering, heard_by_others, rates_by_name
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.families.product.layer import ProductLayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import INPUT
from lnn2loihi.network import LiquidNetwork

#: Under which key of `LiquidNetwork.source` the channels stand, and of a program's provenance.
SOURCE = "mask channels"
PROVENANCE = f"source.{SOURCE}"


@dataclass(frozen=True)
class MaskChannels:
    """The channels of one mask.

    Attributes:
        name: of the layer that multiplies with them.
        units: how many.
        keep: the probability that a unit is kept.
    """

    name: str
    units: int
    keep: float

    def factors(self, kept: npt.NDArray[np.bool_]) -> FloatArray:
        """What the channels carry in a pass, of the shape of `kept`."""
        return np.where(kept, 1.0 / self.keep, 0.0)


def channels_in(said: Mapping[str, str], key: str) -> tuple[MaskChannels, ...]:
    """The channels that a network or a program says it has, in their order; none where it does not.

    Raises:
        InputError: what is said cannot be read.
    """
    found: list[MaskChannels] = []
    for part in filter(None, said.get(key, "").split("; ")):
        name, _, numbers = part.rpartition(" ")
        units, _, keep = numbers.partition("@")
        try:
            found.append(MaskChannels(name, int(units), float(keep)))
            fits = found[-1].units > 0 and 0.0 < found[-1].keep <= 1.0
        except ValueError:
            fits = False
        if not fits:
            raise InputError(key, f"{part[:60]!r} is no mask; quantize again")
    return tuple(found)


def with_step_masks(network: LiquidNetwork, dropout: Rates) -> LiquidNetwork:
    """The network with channels for masks behind those of its input.

    Args:
        network: a network without relays.
        dropout: rates by name of layers that others hear, or `input`; one number for all layers; or
            True for the rates of its training.

    Raises:
        InputError: lists names and rates that do not fit.
    """
    problems = Problems(InputError, "dropout")
    rates = rates_by_name(network, dropout, problems)
    says, heard = answering(network), heard_by_others(network)
    units = {part.name: part.units for part in network.single_layers} | {INPUT: network.input_size}
    for name in rates:
        if name not in heard:
            advice = " (masks of its own kind are constant over a sequence)" * name.endswith(
                RECURRENT
            )
            problems.add(
                f"{name!r:.60} is no layer that others hear{advice}; there are "
                f"{', '.join(one for one in units if one in heard)}"
            )
    if not rates and not problems:
        problems.add("nothing is dropped; give rates above 0")
    problems.raise_if_any()
    masks = [MaskChannels(f"{n}{RELAY}", units[n], 1.0 - rate) for n, rate in rates.items()]
    more, sites = sum(one.units for one in masks), {one.name.removesuffix(RELAY) for one in masks}
    wider = _Wider(network.input_size, more)
    layers: list[Layer] = []
    hears: dict[str, tuple[str, ...]] = {}
    readout = network.readout

    def heard_now(name: str) -> tuple[str, ...]:
        own = network.listening.heard[name]
        return tuple(f"{says[n]}{RELAY}" if says[n] in sites else n for n in own)

    def product(site: str) -> None:
        place = [one.name for one in masks].index(f"{site}{RELAY}")
        before = network.input_size + sum(one.units for one in masks[:place])
        layers.append(_product(masks[place], units[site], before, wider.size, site == INPUT))
        hears[f"{site}{RELAY}"] = (INPUT,) if site == INPUT else (site, INPUT)

    if INPUT in sites:
        product(INPUT)
    for layer in network.layers:
        hears[layer.name] = heard_now(layer.name)
        matrix = wider.matrix(hears[layer.name], units, says)
        layers.append(layer if matrix is None else layer.hearing(matrix, np.zeros(len(matrix))))
        for part in layer.parts:
            if part.name in sites:
                product(part.name)
    if readout is not None:
        hears[readout.name] = heard_now(readout.name)
        matrix = wider.matrix(hears[readout.name], units, says)
        readout = readout if matrix is None else readout.hearing(matrix, np.zeros(len(matrix)))
    said = "; ".join(f"{one.name} {one.units}@{one.keep!r}" for one in masks)
    return replace(
        network,
        layers=tuple(layers),
        readout=readout,
        hears=hears,
        input_offset=np.append(network.input_offset, np.zeros(more)),
        input_scale=np.append(network.input_scale, np.ones(more)),
        source={**network.source, SOURCE: said},
        dropout={},
    )


def widened(
    x: npt.NDArray[Any], masks: Sequence[MaskChannels], kept: Mapping[str, Any] | None = None
) -> FloatArray:
    """Samples (batch, time, inputs) with the channels of masks behind them.

    Args:
        x: the samples.
        masks: the channels.
        kept: for each mask by name which units are kept, bool (batch, time, units) or what goes
            into that shape; None for 1 everywhere, which is evaluation.
    """
    parts: list[FloatArray] = [x.astype(np.float64)]
    for one in masks:
        shape = (*x.shape[:2], one.units)
        own = np.ones(shape) if kept is None else one.factors(np.asarray(kept[one.name]))
        parts.append(np.broadcast_to(own, shape))
    return np.concatenate(parts, axis=-1)


@dataclass(frozen=True)
class _Wider:
    """An input with more channels.

    Attributes:
        before: channels that there were.
        more: channels behind them.
    """

    before: int
    more: int

    @property
    def size(self) -> int:
        """All channels."""
        return self.before + self.more

    def matrix(
        self, heard: Sequence[str], units: Mapping[str, int], says: Mapping[str, str]
    ) -> FloatArray | None:
        """What makes the columns that a layer heard of those that it hears now; None where it does
        not hear the input.
        """
        if INPUT not in heard:
            return None
        sizes = [units[says.get(name, name.removesuffix(RELAY))] for name in heard]
        wide = [size + self.more * (n == INPUT) for n, size in zip(heard, sizes, strict=True)]
        found = np.zeros((sum(sizes), sum(wide)))
        rows, columns = np.cumsum([0, *sizes]), np.cumsum([0, *wide])
        for place, size in enumerate(sizes):
            index = np.arange(size)
            found[rows[place] + index, columns[place] + index] = 1.0
        return found


def _product(
    mask: MaskChannels, units: int, before: int, inputs: int, of_input: bool
) -> ProductLayer:
    """A layer or the input, unit by unit times its channels, which stand behind so many others."""
    first = 0 if of_input else units
    left, right = np.zeros((2, units, first + inputs))
    index = np.arange(units)
    left[index, index] = 1.0
    right[index, first + before + index] = 1.0
    zeros = np.zeros(units)
    return ProductLayer(mask.name, Linear("left", left, zeros), Linear("right", right, zeros))
