"""Dropout of networks: which messages masks drop, and relays where a message has two listeners.

In evaluation dropout does nothing, and a network says of it no more than where it was
(`LiquidNetwork.dropout`). Where passes with masks are wanted, `dropped` names for each rate the
stage whose message is masked. A recurrent layer hears its own message; what a dropout behind the
layer drops is what others hear of it, so a relay says the message once more, and has the mask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from lnn2loihi.errors import InputError, Problems
from lnn2loihi.families.relay.layer import RelayLayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.stage import INPUT, Stage
from lnn2loihi.network import LiquidNetwork

#: What a relay is called after what it relays, and dropout of what a layer hears of itself too.
RELAY, RECURRENT = ".dropout", ".recurrent"
#: Rates: of what is dropped, by name of a site; one for all layers; or as trained.
Rates = Annotated[
    Mapping[str, float] | float | bool,
    "a dict of rates by name, such as {'layer_0': 0.2}, one rate for all layers, or True for the "
    "rates that the network was trained with",
]


@dataclass(frozen=True)
class Dropped:
    """A network with the stages that masks act on.

    Attributes:
        network: the network, with relays where they are needed; it answers what it answered.
        keeps: for each stage whose message is masked the probability that a unit is kept.
    """

    network: LiquidNetwork
    keeps: Mapping[str, float] = field(default_factory=dict)


def dropped(network: LiquidNetwork, dropout: Rates | None) -> Dropped:
    """The network with dropout at these rates.

    Args:
        network: a network without relays.
        dropout: rates from 0 up to, but not, 1: by name of a layer (what others hear of it is
            dropped), `input` (channels of the input), `<layer>.recurrent` (what the layer hears of
            itself is dropped too), or of a stage within a layer; one number for the answers of all
            layers that others hear; True for those of `network.dropout`. None, False and rates of
            0 for none.

    Raises:
        InputError: lists names that are none, rates out of range, and stages that no mask can be
            put on.
    """
    problems = Problems(InputError, "dropout")
    rates = rates_by_name(network, dropout, problems)
    problems.raise_if_any()
    direct: dict[str, float] = {}
    relayed: dict[str, float] = {}
    for name, rate in rates.items():
        found = _site(network, name)
        if isinstance(found, str):
            problems.add(found)
        elif found[0]:
            relayed[found[1]] = 1.0 - rate
        elif found[1] in direct:
            problems.add(f"{name!r} and another name are of the same stage {found[1]!r}")
        else:
            direct[found[1]] = 1.0 - rate
    problems.raise_if_any()
    if not relayed:
        return Dropped(network, direct)
    keeps = direct | {f"{name}{RELAY}": keep for name, keep in relayed.items()}
    return Dropped(_with_relays(network, [*relayed]), keeps)


def without_relays(network: LiquidNetwork) -> LiquidNetwork:
    """The network that `dropped` put relays into; itself where there are none."""
    relays = {
        layer.name: network.listening.heard[layer.name][0]
        for layer in network.layers
        if isinstance(layer, RelayLayer) and layer.name.endswith(RELAY)
    }
    if not relays:
        return network
    hears = {
        name: tuple(relays.get(other, other) for other in own)
        for name, own in network.listening.heard.items()
        if name not in relays
    }
    layers = tuple(layer for layer in network.layers if layer.name not in relays)
    return replace(network, layers=layers, hears=hears)


def relayed_as(network: LiquidNetwork, stages: Sequence[str]) -> LiquidNetwork:
    """The network with those of its relays that are among names of stages: the one that a program
    with dropout was made of.
    """
    known = {stage.name for stage in network.stages}
    sites = {INPUT, *(part.name for part in network.single_layers)}
    wanted = [
        name.removesuffix(RELAY)
        for name in stages
        if name.endswith(RELAY) and name not in known and name.removesuffix(RELAY) in sites
    ]
    return _with_relays(network, wanted) if wanted else network


def rate_problem(rate: Any) -> str:
    """What is wrong with a rate; empty for none."""
    if isinstance(rate, bool) or not isinstance(rate, (int, float)):
        return f"is of type {type(rate).__name__}; give a number from 0 up to, but not, 1"
    if not (math.isfinite(rate) and 0.0 <= rate < 1.0):
        return f"is {rate!r}; give a number from 0 up to, but not, 1: the share that is dropped"
    return ""


def rates_by_name(
    network: LiquidNetwork, dropout: Rates | None, problems: Problems
) -> dict[str, float]:
    """Rates above 0 by name."""
    if dropout is None or dropout is False:
        return {}
    if dropout is True:
        if not network.dropout:
            problems.add(
                f"network {network.name!r} says of no dropout in its training; give a rate, or "
                "rates by name of a layer"
            )
        return dict(network.dropout)
    if not isinstance(dropout, Mapping):
        heard = heard_by_others(network) - {INPUT}
        dropout = dict.fromkeys((s.name for s in network.stages if s.name in heard), dropout)
        if not dropout:
            problems.add(f"nothing hears a layer of network {network.name!r}: its answer is none")
    found: dict[str, float] = {}
    for name, rate in dropout.items():
        if wrong := rate_problem(rate):
            problems.add(f"the rate of {name!r:.60} {wrong}")
        elif rate:
            found[str(name)] = float(rate)
    return found


def _site(network: LiquidNetwork, name: str) -> tuple[bool, str] | str:
    """Whether a relay has the mask, and the name of what is masked or relayed; or why nothing
    can be.
    """
    stages = {stage.name: stage for stage in network.stages}
    recurrent = name.endswith(RECURRENT) and name not in stages
    stage = stages.get(name.removesuffix(RECURRENT) if recurrent else name)
    if name == INPUT:
        return True, INPUT
    if stage is None:
        names = (INPUT, *(s.name for s in network.stages[:-1] if not s.selects))
        return f"there is no layer {name!r:.60}; there are {', '.join(names)}"
    within = [s for s in network.stages if _hears_within(s, stage.name)]
    if recurrent and not within:
        return f"{stage.name} is not heard by its own layer a step later; leave {RECURRENT!r} out"
    if stage.selects:
        return f"units of {stage.name} are synapses; masks drop units of layers"
    if any(s.starts_from == stage.name for s in network.stages):
        return (
            f"the memory of another stage starts from {stage.name}, which no mask drops; name the "
            "layer that hears it"
        )
    exact = _hears_exactly(network, stage.name)
    if exact:
        return f"{exact} hears {stage.name} by weights that have to be exact; name another stage"
    if stage is network.stages[-1]:
        return f"{stage.name} is the answer, of which nothing is dropped"
    if not within or recurrent:
        return False, stage.name
    if stage.name not in heard_by_others(network):
        return f"only its own layer hears {stage.name}; name {stage.name + RECURRENT!r}"
    return True, stage.name


def _hears_exactly(network: LiquidNetwork, name: str) -> str:
    """Name of a stage of the same layer that hears one by weights that no training changes, such as
    an identity, and so by mantissas that are exact; empty for none.
    """
    for _, own in network.stages_by_layer:
        if name in {stage.name for stage in own}:
            hearing = (s for s in own if s.fixed and name in {one.name for one in s.sources})
            return next((stage.name for stage in hearing), "")
    return ""


def answering(network: LiquidNetwork) -> dict[str, str]:
    """For each name that can be heard the stage that says it."""
    parts = {part.name: part.name for part in network.single_layers}
    whole = {layer.name: layer.parts[-1].name for layer in network.layers}
    return {INPUT: INPUT} | parts | whole


def heard_by_others(network: LiquidNetwork) -> set[str]:
    """Stages, and the input, that a layer which they are no part of hears, or the readout."""
    says = answering(network)
    return {says[other] for own in network.listening.heard.values() for other in own}


def _hears_within(stage: Stage, name: str) -> bool:
    """Whether a stage hears another one, or itself, a step later, or in the place of others."""
    return stage.starts_from == name or any(
        (source.previous and source.name == name) or source.first == name
        for source in stage.sources
    )


def _with_relays(network: LiquidNetwork, names: Sequence[str]) -> LiquidNetwork:
    """The network in which whatever hears one of these hears a relay of it instead."""
    heard, says = network.listening.heard, answering(network)
    relays = {name: f"{name}{RELAY}" for name in names}
    hears = {
        name: tuple(relays.get(says[other], other) for other in own) for name, own in heard.items()
    }
    hears |= {relays[name]: (name,) for name in names}
    layers: list[Layer] = []
    if INPUT in relays:
        layers.append(RelayLayer(relays[INPUT], network.input_size))
    for layer in network.layers:
        layers.append(layer)
        relayed = (part for part in layer.parts if part.name in relays)
        layers += [RelayLayer(relays[part.name], part.units) for part in relayed]
    return replace(network, layers=tuple(layers), hears=hears)
