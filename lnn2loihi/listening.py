"""Who hears whom in a network: names, sizes, and where the columns of a layer come from.

Without a word about it a layer hears the one before, the first layer the input, and the readout the
last layer. What says otherwise is `LiquidNetwork.hears`: a network is a graph without loops, whose
layers stand in an order in which each hears what comes before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import INPUT, Stage, StageSource

#: Stands for all that a layer hears while its stages are made. No name of a stage has a line break.
ALL_HEARD = "all that is\nheard"


@dataclass(frozen=True)
class Listening:
    """What each layer and the readout of a network hear.

    Attributes:
        layers: in order; their names are unique.
        readout: the readout, or None.
        hears: what `LiquidNetwork.hears` says.
    """

    layers: tuple[Layer, ...]
    readout: Linear | None
    hears: Mapping[str, tuple[str, ...]]

    @cached_property
    def listeners(self) -> Mapping[str, Layer | Linear]:
        """Layers and readout by name, in order."""
        found: dict[str, Layer | Linear] = {layer.name: layer for layer in self.layers}
        return found if self.readout is None else found | {self.readout.name: self.readout}

    @cached_property
    def usual(self) -> Mapping[str, tuple[str, ...]]:
        """For each of them what it hears where nothing is said."""
        before = [INPUT, *(layer.name for layer in self.layers)]
        return {name: (heard,) for name, heard in zip(self.listeners, before, strict=False)}

    @cached_property
    def heard(self) -> Mapping[str, tuple[str, ...]]:
        """For each of them what it hears."""
        return {name: self.hears.get(name, usual) for name, usual in self.usual.items()}

    @cached_property
    def unusual(self) -> Mapping[str, tuple[str, ...]]:
        """What has to be said: `hears` without what holds anyway."""
        return {name: own for name, own in self.hears.items() if own != self.usual.get(name)}

    @cached_property
    def widths(self) -> Mapping[str, int]:
        """Width of each layer's answer, and of each part's, by name."""
        own = {part.name: part.units for layer in self.layers for part in layer.parts}
        return own | {layer.name: layer.units for layer in self.layers}

    @property
    def input_size(self) -> int:
        """Width of the network's input: what is left of the columns of those that hear it."""
        return next(width for _, width in self._input_widths())

    def _input_widths(self) -> Iterator[tuple[str, int]]:
        """For each that hears the input its name and how wide it takes it to be, those first that
        hear nothing else; 0 where its columns leave no whole number of them.
        """
        found = [(name, own) for name, own in self.heard.items() if INPUT in own]
        for name, own in sorted(found, key=lambda item: set(item[1]) != {INPUT}):
            rest = self.listeners[name].input_size
            rest -= sum(self.widths[other] for other in own if other != INPUT)
            times = own.count(INPUT)
            yield name, 0 if rest < times or rest % times else rest // times

    def problems(self) -> list[str]:
        """Everything that contradicts itself."""
        return self._name_problems() or [*self._size_problems(), *self._unheard_problems()]

    def _name_problems(self) -> list[str]:
        found = [
            f"hears names {name!r:.60}, which is neither a layer nor the readout; there are "
            f"{', '.join(self.listeners)}"
            for name in self.hears
            if name not in self.listeners
        ]
        before = [INPUT]
        for name, own in self.heard.items():
            listener = self.listeners[name]
            if not own:
                found.append(f"{name} hears nothing; name what it hears, or leave it out of hears")
            found += [
                f"{name} hears {other!r:.60}, which is nothing that comes before it; there are "
                f"{', '.join(before)}"
                for other in dict.fromkeys(own)
                if other not in before
            ]
            if isinstance(listener, Layer):
                before += dict.fromkeys((name, *(part.name for part in listener.parts)))
        return found

    def _size_problems(self) -> list[str]:
        inputs = [*self._input_widths()]
        if not inputs:
            return [f"nothing hears {INPUT!r}; the first layer does, where hears does not name it"]
        first, width = next(((n, w) for n, w in inputs if w), ("", 0))
        found: list[str] = []
        for name, own in self.heard.items():
            takes = self.listeners[name].input_size
            others = [(other, self.widths.get(other, width)) for other in own]
            if sum(wide for _, wide in others) == takes:
                continue
            if len(own) == 1 and own[0] != INPUT:
                found.append(f"{name} takes {takes} inputs but {own[0]} has {others[0][1]} units")
                continue
            said = ", ".join(f"{other} ({wide or 'what is left'})" for other, wide in others)
            why = f"; {first} takes the input to be {width} wide" if INPUT in own and first else ""
            found.append(f"{name} takes {takes} inputs but hears {said}{why}")
        return found

    def _unheard_problems(self) -> list[str]:
        """Layers that the answer does not depend on: nobody hears them."""
        heard = {other for own in self.heard.values() for other in own}
        last = () if self.readout else self.layers[-1:]
        return [
            f"nobody hears {layer.name}, and it is not the answer; leave it out, or let the "
            "readout hear it"
            for layer in self.layers
            if layer not in last and heard.isdisjoint((layer.name, *(p.name for p in layer.parts)))
        ]

    def heard_through(self, name: str) -> set[str]:
        """Names of the layers that one hears, directly or through others."""
        owner = {part.name: layer.name for layer in self.layers for part in layer.parts}
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for other in self.heard[waiting.pop()]:
                layer = owner.get(other, other)
                if layer != INPUT and layer not in found:
                    found.add(layer)
                    waiting.append(layer)
        return found

    def sources(self, name: str, answers: Mapping[str, Answer]) -> tuple[Answer, ...]:
        """What one of them hears, side by side."""
        return tuple(answers[other] for other in self.heard[name])


@dataclass(frozen=True)
class Answer:
    """What can be heard under a name.

    Attributes:
        source: the stage that says it.
        scale: factor by which it is too small.
    """

    source: StageSource
    scale: float = 1.0


def answers_of(layer: Layer, stages: Sequence[Stage], scale: float) -> dict[str, Answer]:
    """What can be heard of a layer: its answer, and that of each of its parts."""
    found = {part.name: Answer(StageSource(part.name, part.units)) for part in layer.parts}
    last = Answer(StageSource(stages[-1].name, layer.units), scale)
    return found | {layer.parts[-1].name: last, layer.name: last}


def factors_of(heard: Sequence[Answer]) -> FloatArray:
    """By how much each column is too small, float64 (columns,)."""
    return np.repeat([one.scale for one in heard], [one.source.columns for one in heard])


def stages_of(
    layer: Layer, heard: Sequence[Answer], timespan: float | None
) -> tuple[tuple[Stage, ...], float]:
    """`Layer.stages` of a layer that hears several, side by side."""
    if len(heard) == 1:
        return layer.stages(heard[0].source, timespan, heard[0].scale)
    factors = factors_of(heard)
    scale = float(factors[0])
    if (factors != scale).any():
        layer, scale = layer.with_inputs(factors, np.zeros(factors.size)), 1.0
    made, factor = layer.stages(StageSource(ALL_HEARD, factors.size), timespan, scale)
    return tuple(_hearing_each(stage, heard) for stage in made), factor


def _hearing_each(stage: Stage, heard: Sequence[Answer]) -> Stage:
    """The stage with each of those that are heard in the place of all."""
    sources: list[StageSource] = []
    columns = sum(one.source.columns for one in heard)
    for source in stage.sources:
        if source.name == ALL_HEARD and source.columns != columns:
            raise TypeError(
                f"stage {stage.name!r} hears {source.columns} of the {columns} columns that come "
                "before the layer; a stage hears all of them, by weights of zero where it does not"
            )
        each = [replace(source, name=a.source.name, columns=a.source.columns) for a in heard]
        sources += each if source.name == ALL_HEARD else [source]
    return replace(stage, sources=tuple(sources))
