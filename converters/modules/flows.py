"""What a tensor of a recording is to a chip: features of samples, a state, or the host's own.

A `Flow` is followed as a `Stream` is, by the same handlers of operators: both have axes, and say
what becomes of them `after` a step. A stream is a chain of steps; a flow is an expression.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from lnn2loihi.converters.modules.affine import Affine, Picks
from lnn2loihi.converters.modules.atoms import Activated, Base, Call, Given, Normed
from lnn2loihi.converters.modules.streams import Step
from lnn2loihi.converters.trace.axes import Axes, WithAxes
from lnn2loihi.layers.linear import FloatArray


@dataclass(frozen=True)
class Host:
    """A tensor that the host computes, and of which nothing more is known."""


@dataclass(frozen=True)
class Kept:
    """The state of a recurrent part after a step.

    Attributes:
        call: the part, as it is called.
        at: the step.
        place: which of its states.
        layers: where it holds the states of several layers, what each layer says then.
    """

    call: Call
    at: int
    place: int = 0
    layers: tuple[Flow, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Flow(WithAxes):
    """A tensor whose features are affine expressions of what atoms say.

    Attributes:
        expression: a row for each feature.
        axes: what its axes mean.
        base: the samples that it is of.
        at: the one step of the sequence that it is of; None for all of them.
        name: of the map that made it, as a layer would be called; empty for none.
        state: what else it is.
    """

    expression: Affine
    axes: Axes
    base: Base
    at: int | None = None
    name: str = field(default="", compare=False)
    state: Kept | None = field(default=None, compare=False)

    def after(self, step: Step, axes: Axes | None = None) -> Flow | Host:
        """The tensor after one more step."""
        made = replace(self, axes=self.axes if axes is None else axes, state=None)
        expression = self.expression
        if step.kind == "affine":
            return made.scaled(np.array(step.factor), np.array(step.offset))
        if step.kind == "select":
            return replace(made, expression=expression.picked(step.indices))
        if step.kind == "map":
            weight = np.frombuffer(step.weight).reshape(len(step.offset), -1)
            return made.mapped(step, weight, np.array(step.offset))
        if step.kind == "activation":
            return made.activated(step)
        if step.kind == "norm":
            return made.normed(step)
        return Host()

    def moved(self, axes: Axes) -> Flow:
        """The same values with other axes."""
        return self if axes == self.axes else replace(self, axes=axes)

    def scaled(self, factor: FloatArray, offset: FloatArray) -> Flow:
        """Feature by feature: factor * x + offset.

        Of what enters the chip it becomes the normalisation, which keeps its digits however large
        the mean is beside the deviation.
        """
        made = self.expression.scaled(factor, offset)
        return replace(self, expression=_normalised(made) or made)

    def mapped(self, step: Step, weight: FloatArray, bias: FloatArray) -> Flow:
        """The map of the features; one layer with the map before where that takes no more synapses
        than two.
        """
        inside = self.expression
        composed = inside.mapped(weight, bias)
        apart = np.count_nonzero(weight) + inside.synapses
        sent = not all(isinstance(atom, Given) for atom in inside.atoms)
        if sent and composed.synapses > apart:
            own = self.name or step.name
            between = Activated(self.base, inside.rows, own, step.line, "identity", inside)
            composed = Affine.of(between).mapped(weight, bias)
        return replace(self, expression=composed, name=step.path or step.name)

    def activated(self, step: Step) -> Flow:
        """The activation of the features."""
        inside = self.expression
        name = self.name or step.path or step.name
        atom = Activated(self.base, inside.rows, name, step.line, step.name, inside)
        return replace(self, expression=Affine.of(atom), name="")

    def normed(self, step: Step) -> Flow:
        """The features, normalised by what they are in each sample."""
        inside = self.expression
        name = step.path or step.name
        gain, shift = np.array(step.factor), np.array(step.offset)
        atom = Normed(
            self.base, inside.rows, name, step.line, step.name, inside, gain, shift, step.epsilon
        )
        return replace(self, expression=Affine.of(atom), name="")


@dataclass(frozen=True)
class Filling:
    """A tensor of constants into which a loop writes the steps of a sequence.

    Attributes:
        axis: the one of the steps.
        steps: what was written, by step.
    """

    axis: int
    steps: dict[int, Flow]


@dataclass(frozen=True)
class Several:
    """States of several recurrent parts on an axis of their own, the first one.

    Attributes:
        layers: what each of them says, without that axis.
    """

    layers: tuple[Flow, ...]


Meaning: TypeAlias = "Flow | Kept | Filling | Several | Host"


def _normalised(made: Affine) -> Affine | None:
    """The expression with its factors and offsets in the normalisation of the one value that it is
    made of, so that only signs are left; None where it is made of something else.
    """
    if len(made.blocks) != 1:
        return None
    ((given, block),) = made.blocks.items()
    if not isinstance(given, Given) or not isinstance(block, Picks):
        return None
    live = block.factors != 0.0
    columns = block.columns[live]
    if len(set(columns.tolist())) != len(columns):
        return None
    divisor = np.ones(given.width) if given.divisor is None else given.divisor.copy()
    subtracted = np.zeros(given.width) if given.subtracted is None else given.subtracted.copy()
    factors, offsets = block.factors[live], made.offset[live]
    before = divisor[columns]
    subtracted[columns] -= offsets * before / factors
    divisor[columns] = before / np.abs(factors)
    if not (np.isfinite(subtracted).all() and np.isfinite(divisor).all() and divisor.all()):
        return None
    if (divisor == 1.0).all() and not subtracted.any():
        own = replace(given, divisor=None, subtracted=None)
    else:
        own = replace(given, divisor=divisor, subtracted=subtracted)
    signs = Picks(block.columns, np.sign(block.factors))
    return Affine({own: signs}, np.where(live, 0.0, made.offset))
