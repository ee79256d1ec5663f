"""Networks of parts on the chip: every atom becomes a layer, every expression synapses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from lnn2loihi.converters.modules.affine import Affine, joined
from lnn2loihi.converters.modules.atoms import (
    Activated,
    Atom,
    Call,
    Given,
    Normed,
    Product,
)
from lnn2loihi.converters.modules.cutting import Item
from lnn2loihi.converters.modules.norms import norm_layer
from lnn2loihi.errors import NetworkError
from lnn2loihi.evaluation import heard_again
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.product.layer import ProductLayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear
from lnn2loihi.layers.stage import INPUT
from lnn2loihi.network import LiquidNetwork

#: Names that a network gives itself.
_RESERVED = (INPUT, "output", "readout")


@dataclass(frozen=True, eq=False)
class Crossing:
    """An expression of an earlier part on the chip that enters a later one.

    Attributes:
        name: of the value.
        expression: of the earlier part's atoms.
    """

    name: str
    expression: Affine


Source: TypeAlias = "Given | Crossing"


@dataclass(eq=False)
class Builder:
    """Puts the layers of a part together.

    Attributes:
        name: of the network.
        items: what is on the chip, each after what it hears.
        crossings: for what is heard of earlier parts, by digest: a whole expression, or one atom.
    """

    name: str
    items: Sequence[Item]
    crossings: dict[bytes, Crossing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layers: list[Layer] = []
        self.hears: dict[str, tuple[str, ...]] = {}
        self.sources: dict[bytes, tuple[Source, int]] = {}
        self._width = 0
        self._names: dict[bytes, tuple[str, int]] = {}
        self._of_calls: dict[bytes, tuple[str, ...]] = {}
        self._taken: set[str] = set(_RESERVED)

    def build(self, outputs: Sequence[Affine], timespan: float | None) -> LiquidNetwork:
        """The network.

        Args:
            outputs: what it answers, one below the other; none where only its states are of use.
            timespan: constant elapsed time, or None where it comes with the samples.
        """
        for own in (*(e for item in self.items for e in heard_by(item)), *outputs):
            self._enter(own)
        for item in self.items:
            if isinstance(item, Call):
                self._add_call(item)
            else:
                self._add_dense(item)
        readout = self._readout(outputs)
        divisor, subtracted = np.ones(self._width), np.zeros(self._width)
        for source, start in self.sources.values():
            if isinstance(source, Given) and source.divisor is not None:
                divisor[start : start + source.width] = source.divisor
                subtracted[start : start + source.width] = source.subtracted
        return LiquidNetwork(
            self.name,
            tuple(self.layers),
            readout,
            timespan,
            input_offset=subtracted,
            input_scale=divisor,
            hears=self.hears,
        )

    def columns(self, digest: bytes) -> tuple[int, ...]:
        """The inputs of the network that a source is."""
        source, start = self.sources[digest]
        width = source.width if isinstance(source, Given) else source.expression.rows
        return tuple(range(start, start + width))

    def states(self, network: LiquidNetwork, call: Call, place: int) -> list[tuple[str, int]]:
        """The states of a recurrent part, unit by unit, in the order in which it has them.

        Args:
            network: as `build` has made it.
            call: the part.
            place: 0 for what its layers answer or keep, 1 for cell states.
        """
        heard, own = heard_again(network.stages), self._of_calls[call.digest]
        found: list[tuple[str, int]] = []
        for layer, stages in network.stages_by_layer:
            if layer is None or layer.name not in own:
                continue
            for stage in stages:
                cells = stage.cell_words
                kept = [stage.state_name(word) for word in stage.memory if word not in cells]
                names = [stage.state_name(word) for word in cells] if place else kept
                if not place and not kept and stage.name in heard:
                    names = [stage.name]
                found += [(name, unit) for name in names for unit in range(stage.units)]
        return found

    def _enter(self, expression: Affine) -> None:
        """Columns of the input for what an expression hears of it."""
        for key, source in self._sources_of(expression):
            if key not in self.sources:
                self.sources[key] = source, self._width
                width = source.width if isinstance(source, Given) else source.expression.rows
                self._width += width

    def _sources_of(self, expression: Affine) -> Iterable[tuple[bytes, Source]]:
        if (whole := self.crossings.get(expression.digest)) is not None:
            yield expression.digest, whole
            return
        for atom in expression.atoms:
            if isinstance(atom, Given):
                yield atom.digest, atom
            elif atom.digest in self.crossings:
                yield atom.digest, self.crossings[atom.digest]

    def _heard(self, expressions: Sequence[Affine]) -> tuple[tuple[str, ...], list[FloatArray]]:
        """The names that expressions hear, and for each expression the matrix over all of them."""
        matrices: list[dict[str, FloatArray]] = []
        for own in expressions:
            parts: dict[str, FloatArray] = {}
            inputs = np.zeros((own.rows, self._width))
            whole = own.digest in self.crossings
            for key, _ in self._sources_of(own):
                _, start = self.sources[key]
                if whole:
                    inputs[:, start : start + own.rows] = np.eye(own.rows)
                else:
                    atom = next(one for one in own.atoms if one.digest == key)
                    inputs[:, start : start + atom.width] += own.matrix(atom)
            if inputs.any():
                parts[INPUT] = inputs
            for atom in () if whole else own.atoms:
                if atom.digest in self._names:
                    parts[self._names[atom.digest][0]] = own.matrix(atom)
            matrices.append(parts)
        order = [name for parts in matrices for name in parts]
        known = [INPUT, *(name for name, _ in self._names.values())]
        names = tuple(name for name in dict.fromkeys(known) if name in order) or (INPUT,)
        widths = {INPUT: self._width, **dict(self._names.values())}
        return names, [
            np.hstack([p.get(n, np.zeros((own.rows, widths[n]))) for n in names])
            for own, p in zip(expressions, matrices, strict=True)
        ]

    def _add_dense(self, item: Atom) -> None:
        name = self._name(item.name)
        names, matrices = self._heard(heard_by(item))
        maps = [
            Linear(part, matrix, _offset(own, self.crossings))
            for part, matrix, own in zip(("left", "right"), matrices, heard_by(item), strict=False)
        ]
        linear = Linear("linear", maps[0].weight, maps[0].bias)
        if isinstance(item, Activated):
            self._add(DenseLayer(name, linear, item.text), names)
        elif isinstance(item, Normed):
            layer = norm_layer(name, item.kind, linear, item.gain, item.shift, item.epsilon)
            self._add(layer, names)
        else:
            assert isinstance(item, Product)
            self._add(ProductLayer(name, *maps), names)
        self._names[item.digest] = name, item.width

    def _add_call(self, call: Call) -> None:
        layers = call.parts.layers
        alone = sum(len(layer.layer_names) for layer in layers) == 1
        path = call.path or ("" if not alone else layers[0].name)

        renamed: dict[str, str] = {}

        def own_name(name: str) -> str:
            renamed[name] = self._name(path if alone else f"{path}.{name}" if path else name)
            return renamed[name]

        inside = call.inside
        names, (matrix,) = self._heard([inside])
        offset = _offset(inside, self.crossings)
        first = layers[0]
        if not _as_it_is(matrix, offset):
            heard = self._hearing(first, matrix, offset)
            if heard is None:
                own = self._name(f"{path or first.name}.input")
                linear = Linear("linear", matrix, offset)
                self._add(DenseLayer(own, linear, "identity"), names)
                names = (own,)
            else:
                first = heard
        for layer in (first, *layers[1:]):
            own = layer.renamed(own_name)
            self._add(own, names)
            names = (own.name,)
        for message in call.messages:
            name = renamed[message.layer]
            # A layer with a shared memory has the name of the memory.
            self._names[message.digest] = name, message.width
        last = call.messages[-1]
        self._names[last.digest] = names[0], last.width
        own_names = {renamed.get(layer.name, layer.name) for layer in layers}
        self._of_calls[call.digest] = tuple(own_names)

    def _hearing(self, layer: Layer, matrix: FloatArray, offset: FloatArray) -> Layer | None:
        """The layer that hears an expression itself, where that takes no more synapses than a layer
        of its own for it.
        """
        if not layer.can_hear(matrix):
            return None
        try:
            made = layer.hearing(matrix, offset)
        except NetworkError:
            return None
        limit = _numbers(layer) + int(np.count_nonzero(matrix))
        return made if _numbers(made) <= limit else None

    def _readout(self, outputs: Sequence[Affine]) -> Linear | None:
        """The outputs one below the other; None where they are what the last layer says."""
        names, matrix, offset = (), np.zeros((0, 0)), np.zeros(0)
        if outputs:
            whole = joined(outputs)
            names, (matrix,) = self._heard([whole])
            offset = whole.offset
            if names == (self.layers[-1].name,) and _as_it_is(matrix, offset):
                names = ()
        heard = {other for own in self.hears.values() for other in own} | set(names)
        last = () if names else (self.layers[-1].name,)
        silent = [
            layer
            for layer in self.layers
            if layer.name not in last
            and heard.isdisjoint((layer.name, *(part.name for part in layer.parts)))
        ]
        if silent and not names:
            # A layer of which only the state is of use is heard with weights of zero.
            own = self.layers[-1]
            names, offset = (own.name,), np.zeros(own.units)
            matrix = np.eye(own.units)
            silent = [layer for layer in silent if layer is not own]
        if not names:
            return None
        name = self._name("readout", reserved=True)
        zeros = [np.zeros((len(matrix), layer.units)) for layer in silent]
        self.hears[name] = (*names, *(layer.name for layer in silent))
        return Linear(name, np.hstack([matrix, *zeros]), offset)

    def _add(self, layer: Layer, names: tuple[str, ...]) -> None:
        self.layers.append(layer)
        self.hears[layer.name] = names

    def _name(self, path: str, reserved: bool = False) -> str:
        """A name for a layer; a dot would stand between a layer and its stages."""
        name = path.replace(".", "_").strip("_") or "layer"
        name = f"layer_{name}" if name[0].isdigit() else name
        while name in self._taken and not reserved:
            name += "_layer"
        self._taken.add(name)
        return name


def heard_by(item: Item) -> tuple[Affine, ...]:
    """What something on the chip hears."""
    return (item.inside,) if isinstance(item, Call) else item.heard


def _offset(expression: Affine, crossings: dict[bytes, Crossing]) -> FloatArray:
    """The offset of an expression, which is in it where it crosses as a whole."""
    whole = expression.digest in crossings
    return np.zeros(expression.rows) if whole else expression.offset


def _as_it_is(matrix: FloatArray, offset: FloatArray) -> bool:
    rows, columns = matrix.shape
    return rows == columns and not offset.any() and bool((matrix == np.eye(rows)).all())


def _numbers(layer: Layer) -> int:
    """Numbers of a layer that are not zero."""
    return sum(int(np.count_nonzero(array)) for array in layer.arrays().values())
