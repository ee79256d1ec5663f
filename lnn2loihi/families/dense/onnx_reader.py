"""Feed-forward layers in ONNX graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn2loihi.converters.onnx_read.activations import of_layer
from lnn2loihi.converters.onnx_read.chain import FoundPart, StateRows
from lnn2loihi.converters.onnx_read.parts import activation_at, find_activation
from lnn2loihi.converters.onnx_read.recurrence import OnnxReader
from lnn2loihi.converters.onnx_read.terms import Affine, Identities, NodeError, Terms
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import FloatArray, Linear


@dataclass(frozen=True, eq=False)
class DensePart(FoundPart):
    """A feed-forward layer: factor * activation(linear)."""

    stateless: ClassVar[bool] = True

    row: Identities
    before: Identities
    linear: Affine
    activation: str
    factor: float
    close: float

    def arrays(self) -> Sequence[FloatArray | str]:
        """See `FoundPart`."""
        return [f"{self.activation} {self.factor!r}", self.linear.weight, self.linear.bias]

    def states(self, names: Sequence[str]) -> list[StateRows]:
        """It has none."""
        return []

    def answers(self, names: Sequence[str]) -> Identities:
        """It hears none."""
        return self.row[:0]

    def layer(self, names: Sequence[str]) -> Layer:
        """See `FoundPart`."""
        activation, inner, factor = of_layer(self.activation, self.factor, self.close)
        if abs(factor - 1.0) > self.close:
            raise NodeError(f"{names[0]}: its answers are multiplied by {factor:g}; expected 1")
        linear = Linear("linear", self.linear.weight, self.linear.bias)
        return DenseLayer(names[0], linear.scaled("linear", outputs=1.0 / inner), activation)


def _part(terms: Terms, row: Identities) -> DensePart | None:
    """See `OnnxReader.part`: a map with an activation, or one of both alone."""
    linear = terms.affine(row)
    if linear is not None:
        return DensePart(row, linear.columns, linear, "identity", 1.0, terms.close)
    found = find_activation(terms, row)
    if found is not None:
        linear, activation, factor = found
        return DensePart(row, linear.columns, linear, activation, factor, terms.close)
    applied = activation_at(terms, row)
    if applied is not None:
        activation, inside = applied
        alone = Affine(inside, np.eye(row.size), np.zeros(row.size))
        return DensePart(row, inside, alone, activation, 1.0, terms.close)
    return None


def reader() -> OnnxReader:
    """How such layers are found."""
    return OnnxReader(_part, "a linear map with an activation")
