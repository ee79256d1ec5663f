"""Rates of dropout of the layers that are put together: which of them a network can have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence

from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.stage import INPUT


def add_rates(dropout: MutableMapping[str, float], name: str, rates: Sequence[float]) -> None:
    """Drops what stands under a name once more; each rate is of what the others have left."""
    if rates:
        all_of_it = [*rates, *([dropout[name]] if name in dropout else [])]
        several = 1.0 - math.prod(1.0 - rate for rate in all_of_it)
        dropout[name] = all_of_it[0] if len(all_of_it) == 1 else several


def renamed_rates(
    dropout: Mapping[str, float], layer: Layer, name: Callable[[str], str]
) -> dict[str, float]:
    """The rates of a layer and of its stages under the name that it gets.

    Args:
        dropout: rates of several layers, as `FamilyParts.dropout` has them.
        layer: one of them, under its own name.
        name: makes the new name of one.
    """
    own = (layer.name, *(part.name for part in layer.parts))
    parted = {key: key.partition(".") for key in dropout}
    return {
        f"{name(stem)}{dot}{rest}": dropout[key]
        for key, (stem, dot, rest) in parted.items()
        if stem in own
    }


def kept_rates(
    dropout: Mapping[str, float], layers: Sequence[Layer], last_answers: bool
) -> dict[str, float]:
    """The rates of layers that something hears; of the answer a mask would drop some.

    Args:
        dropout: all rates.
        layers: of the network.
        last_answers: whether the last of them is the answer.
    """
    heard = {INPUT, *(part.name for layer in layers for part in layer.parts)}
    if layers and last_answers:
        heard -= {layers[-1].parts[-1].name}
    return {name: rate for name, rate in dropout.items() if name in heard or "." in name}
