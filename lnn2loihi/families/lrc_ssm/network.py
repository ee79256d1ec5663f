"""The network of LrcSSM as layers that hear each other: an encoder, layers with norms and residual
maps, and a classifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.layer_norm.layer import LayerNormLayer
from lnn2loihi.families.lrc_ssm.layer import LrcSSMLayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import SUM, FloatArray, Linear
from lnn2loihi.layers.stage import INPUT


@dataclass(frozen=True)
class Mix:
    """Features that are sums of what layers say: no population of their own.

    Attributes:
        parts: for each layer that is heard a matrix (features, units of the layer).
        offset: float64 (features,).
    """

    parts: Mapping[str, FloatArray]
    offset: FloatArray

    @classmethod
    def of(cls, name: str, units: int) -> Mix:
        """What a layer says."""
        return cls({name: np.eye(units)}, np.zeros(units))

    def mapped(self, linear: Linear) -> Mix:
        """A map of the features."""
        parts = {name: linear.weight @ matrix for name, matrix in self.parts.items()}
        return Mix(parts, linear.weight @ self.offset + linear.bias)

    def plus(self, other: Mix) -> Mix:
        """The sum of both."""
        parts = dict(self.parts)
        for name, matrix in other.parts.items():
            parts[name] = parts[name] + matrix if name in parts else matrix
        return Mix(parts, self.offset + other.offset)

    def linear(self, name: str) -> Linear:
        """As a map of all that is heard, side by side."""
        return Linear(name, np.hstack(list(self.parts.values())), self.offset)


@dataclass
class LrcSSMBuilder:
    """Puts the network together.

    Attributes:
        layers: in order.
        hears: for each layer what it hears.
    """

    layers: list[Layer] = field(default_factory=list)
    hears: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def network(
        self,
        inputs: int,
        encoder: Sequence[Linear],
        cells: Sequence[LrcSSMLayer],
        maps: Sequence[Sequence[Linear]],
        classifier: Sequence[Linear],
        norm: bool,
        activation: str,
    ) -> Linear:
        """Adds all layers; the answer is the readout.

        Args:
            inputs: channels of the samples.
            encoder: its maps in order, with relu between.
            cells: the layers, under their names.
            maps: for each layer its maps, with the activation between.
            classifier: its maps in order, with relu between.
            norm: whether features are normalised before and behind each layer.
            activation: of the maps of the layers.
        """
        x = self._perceptron("encoder", Mix.of(INPUT, inputs), encoder, "relu")
        for number, (cell, own) in enumerate(zip(cells, maps, strict=True)):
            before = self._alone(f"before_{number}", x, norm)
            states = self._add(cell.hearing(*_matrix(before)), before)
            name = f"map_{number}"
            residual = cell.units == cell.input_size
            said = states if residual else self._perceptron(name, states, own, activation)
            x = said.plus(before)
            if norm:
                x = self._alone(f"behind_{number}", x, norm)
            if residual:
                x = self._perceptron(name, x, own, activation).plus(x)
        answer = self._perceptron("classifier", x, classifier, "relu")
        self.hears["readout"] = tuple(answer.parts)
        return answer.linear("readout")

    def _perceptron(self, name: str, x: Mix, maps: Sequence[Linear], activation: str) -> Mix:
        for number, linear in enumerate(maps[:-1]):
            own = x.mapped(linear)
            layer = DenseLayer(f"{name}_{number}", own.linear(SUM), activation)
            x = self._add(layer, own)
        return x.mapped(maps[-1])

    def _alone(self, name: str, x: Mix, norm: bool) -> Mix:
        """The features as one population, normalised or as they are: several layers hear them."""
        linear = x.linear(SUM)
        layer = LayerNormLayer.of(name, linear) if norm else DenseLayer(name, linear, "identity")
        return self._add(layer, x)

    def _add(self, layer: Layer, heard: Mix) -> Mix:
        self.layers.append(layer)
        self.hears[layer.name] = tuple(heard.parts)
        return Mix.of(layer.name, layer.units)


def _matrix(x: Mix) -> tuple[FloatArray, FloatArray]:
    linear = x.linear(SUM)
    return linear.weight, linear.bias
