"""A module's forward as it was recorded with an example, and what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lnn2loihi.converters.trace.graph import Graph, Node
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
        copy: its copy in float64 and in evaluation.
        method: name of the method that was recorded, "forward" for most.
        graph: the run with the example as it is. A change in place is a node that makes a new value
            (`Node.changes` says of which); `Node.function` is what ran.
        nodes: the same nodes with a Size in place of each number that follows the batch or the
            time.
        inputs: the tensors of the example.
        arguments: positional arguments and keywords, with a Ref in place of each tensor.
        parts: modules that were recorded as a whole, by their names in `named_modules` of `copy`.
        sizes: the example's BATCH and TIME, as far as an axis of an input has them.
        fixed: of BATCH and TIME those that forward was not shown to be general in: all numbers are
            the example's own there. For TIME this is so where forward is a loop over the steps,
            which is in the graph as often as there are steps.
        kept: attributes in which a call leaves what the next one reads; the module's state.
        notes: what the user has to know, a sentence each.
    """

    module: nn.Module
    copy: nn.Module
    method: str
    graph: Graph
    nodes: tuple[Node, ...]
    inputs: tuple[RecordedInput, ...]
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    parts: Mapping[str, nn.Module]
    sizes: Mapping[str, int]
    fixed: frozenset[str] = frozenset()
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def shape_of(self, number: int) -> tuple[Size, ...]:
        """The sizes of a value's axes."""
        ...

    def resized(self, sizes: Mapping[str, int], seed: int = 0) -> list[Tensor]:
        """The inputs of an example with other sizes, float64: entries of this one, repeated or cut
        and, with a seed other than 0, in floating-point inputs other numbers of the same spread.
        """
        ...

    def answer_to(self, inputs: list[Tensor]) -> list[Tensor]:
        """What the module itself (the copy, in float64) answers: its tensors in the order of
        `refs(graph.answer)`.

        Args:
            inputs: in the order of `Recording.inputs`.

        Raises:
            CannotRunError: forward raises an error.
        """
        ...
