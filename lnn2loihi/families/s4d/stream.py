"""What passes the residual blocks of a network, put together as layers block by block."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.layer_norm.layer import EPSILON, LayerNormLayer
from lnn2loihi.families.s4d.glu import SKIP, GLULayer
from lnn2loihi.layers.layer import Layer
from lnn2loihi.layers.linear import SUM, FloatArray, Linear


@dataclass(frozen=True, eq=False)
class Norm:
    """x * factor + offset of channels, which may have been divided by their deviation before.

    Attributes:
        factor, offset: float64 (channels,).
        by_sample: whether the mean of each sample's channels is taken off and they are divided by
            their deviation first (LayerNorm); fixed statistics are in factor and offset.
        epsilon: what is added to the variance of a sample.
    """

    factor: FloatArray
    offset: FloatArray
    by_sample: bool = False
    epsilon: float = EPSILON


@dataclass
class Stream:
    """A network of blocks as it is put together.

    Attributes:
        layers: so far; the last one says the stream.
        hears: of layers that hear something else than the one before.
        factor, offset: the stream is factor * what the last layer says + offset, (channels,):
            normalisations by fixed statistics wait for those that hear it.
    """

    layers: list[Layer]
    hears: dict[str, tuple[str, ...]] = field(default_factory=dict)
    factor: FloatArray = field(init=False)
    offset: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        size = self.layers[-1].units
        self.factor, self.offset = np.ones(size), np.zeros(size)

    def block(
        self, name: str, own: tuple[Layer, ...], before: Norm | None, after: Norm | None
    ) -> None:
        """Adds a state space with its residual connection.

        Args:
            name: of its norm, if it is one by samples.
            own: the layers of the state space.
            before: the norm of what it hears, or None.
            after: that of what it and the stream are together, or None.
        """
        stream = self.layers[-1]
        first, *middle, last = own
        factor, offset = self.factor, self.offset
        if before is not None and before.by_sample:
            self.layers.append(self._normed(f"{name}_norm", np.diag(factor), offset, before))
            factor, offset = before.factor, before.offset
            self.layers.append(first)
        else:
            if before is not None:
                factor, offset = factor * before.factor, offset * before.factor + before.offset
            self.layers.append(first.with_inputs(factor, offset))
        self.layers += middle
        if after is not None and after.by_sample:
            both = np.hstack([np.eye(stream.units), np.diag(self.factor)])
            normed = self._normed(f"{name}_norm", both, self.offset, after)
            self.layers += [last, normed]
            self.hears[normed.name] = (last.name, stream.name)
            self._begin()
            return
        joined = _joined(last, self.factor, self.offset)
        self.hears[joined.name] = (self.layers[-1].name, stream.name)
        self.layers.append(joined)
        self._begin()
        self.norm(name, after)

    def norm(self, name: str, norm: Norm | None) -> None:
        """Normalises the stream."""
        if norm is None:
            return
        if norm.by_sample:
            own = self._normed(f"{name}_norm", np.diag(self.factor), self.offset, norm)
            self.layers.append(own)
            self._begin()
        else:
            self.factor, self.offset = (
                self.factor * norm.factor, self.offset * norm.factor + norm.offset,
            )  # fmt: skip

    def _normed(
        self, name: str, weight: FloatArray, offset: FloatArray, norm: Norm
    ) -> LayerNormLayer:
        linear = Linear(SUM, weight, offset)
        return LayerNormLayer.of(name, linear, norm.factor, norm.offset, norm.epsilon)


def _joined(last: Layer, factor: FloatArray, offset: FloatArray) -> Layer:
    """The last layer of a state space with a skip: factor * stream + offset, where the stream is
    heard behind what it hears itself.
    """
    skip = np.hstack([np.zeros((factor.size, last.input_size)), np.diag(factor)])
    if isinstance(last, GLULayer):
        value, gate = (
            Linear(one.name, np.pad(one.weight, ((0, 0), (0, factor.size))), one.bias)
            for one in (last.value, last.gate)
        )
        return GLULayer(last.name, value, gate, Linear(SKIP, skip, offset))
    assert isinstance(last, DenseLayer)
    weight = np.pad(last.linear.weight, ((0, 0), (0, factor.size))) + skip
    return DenseLayer(last.name, Linear(SUM, weight, last.linear.bias + offset), last.activation)
