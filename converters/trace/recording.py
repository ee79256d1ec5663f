"""A module's forward as it was recorded with an example, and what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from lnn2loihi.converters.trace.graph import Graph, Node, Ref, replaced
from lnn2loihi.converters.trace.held import snapshot
from lnn2loihi.converters.trace.likeness import resized
from lnn2loihi.converters.trace.runner import Runner
from lnn2loihi.converters.trace.sizes import Size


@dataclass(frozen=True, eq=False)
class RecordedInput:
    """A tensor of the example.

    Attributes:
        name: of the value: the parameter's, with what leads into it ("state[0]", "batch.x").
        number: its place in `Recording.graph.values`; inputs come first, in this order.
        axes: for each axis BATCH or TIME where another example may have another size there, else
            None.
        tensor: the example, float64 or integers.
        dtype: NumPy's name of the type that it was given in.
    """

    name: str
    number: int
    axes: tuple[str | None, ...]
    tensor: Tensor
    dtype: str


@dataclass(frozen=True, eq=False)
class Recording:
    """What forward does with an example, node by node.

    Attributes:
        module: the live module, without what only wraps it; never run, never changed.
        method: name of the method that was recorded, "forward" for most.
        graph: the run with the example as it is. A change in place is a node that makes a new value
            (`Node.changes` says of which); `Node.function` is what ran.
        nodes: the same nodes with a Size in place of each number that follows the batch or the
            time.
        inputs: the tensors of the example.
        arguments: positional arguments and keywords, with a Ref in place of each tensor.
        shapes: for each value the sizes of its axes.
        runner: the copy as it runs.
        sizes: the example's BATCH and TIME, as far as an axis of an input has them.
        fixed: of BATCH and TIME those that forward was not shown to be general in, with the reason:
            all numbers are the example's own there. For TIME this is so where forward is a loop
            over the steps, which is in the graph as often as there are steps.
        loop: where TIME is fixed, the places of the nodes that hold for the example's length alone;
            those before and behind them hold for each.
        directions: parts that stand in `nodes` for one direction of a recurrent layer that runs in
            both, by paths of their own; the module does not hold them.
        kept: attributes in which a call leaves what the next one reads; the module's state.
        notes: what the user has to know, a sentence each.
        answer: what forward returned, with a Ref for each tensor and a Size in place of each number
            that follows the batch and the time.
    """

    module: nn.Module
    method: str
    graph: Graph
    nodes: tuple[Node, ...]
    inputs: tuple[RecordedInput, ...]
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    shapes: tuple[tuple[Size, ...], ...]
    runner: Runner
    sizes: Mapping[str, int]
    fixed: Mapping[str, str] = field(default_factory=dict)
    loop: range | None = None
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    directions: Mapping[str, nn.Module] = field(default_factory=dict)
    answer: Any = None

    @cached_property
    def snapshot(self) -> nn.Module:
        """The module as it is when this is first asked for: a copy that host parts compute with,
        and share. It is never run as a whole.
        """
        return snapshot(self.module)

    @property
    def copy(self) -> nn.Module:
        """The module's copy in float64 and in evaluation."""
        return self.runner.copy

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """Modules that were recorded as a whole, by their names in `named_modules` of `copy`, and
        `directions`.
        """
        return {**self.runner.parts, **self.directions}

    def live(self, path: str) -> nn.Module:
        """The part of the live module that was recorded as a whole, or one of `directions`."""
        return self.directions[path] if path in self.directions else self.module.get_submodule(path)

    def shape_of(self, number: int) -> tuple[Size, ...]:
        """The sizes of a value's axes."""
        return self.shapes[number]

    def resized(self, sizes: Mapping[str, int], seed: int = 0) -> list[Tensor]:
        """The inputs of an example with other sizes, float64: entries of this one, repeated or cut
        and, with a seed other than 0, in another order and changed; see `likeness`.
        """
        return [resized(one.tensor, one.axes, sizes, seed) for one in self.inputs]

    def answer_to(self, inputs: list[Tensor]) -> list[Tensor]:
        """What the module itself (the copy, in float64) answers: its tensors in the order of
        `refs(graph.answer)`.

        Args:
            inputs: in the order of `Recording.inputs`.

        Raises:
            CannotRunError: forward raises an error.
        """
        args, kwargs = replaced(self.arguments, Ref, lambda ref: inputs[ref.number])
        answer = self.runner.answer(args, kwargs, self.graph.narrowed)
        found: list[Tensor] = []
        replaced(answer, Tensor, found.append)
        return found
