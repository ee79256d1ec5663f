"""Which tensors of a run share their memory, and by which operator each is seen in another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lnn2loihi.converters.trace.graph import Node


@dataclass(frozen=True, eq=False)
class View:
    """How a tensor is seen in another one's memory.

    Attributes:
        node: what made it of the other one.
        place: which of the node's tensors it is.
        whole: the other one.
        made: all tensors of the node.
    """

    node: Node
    place: int
    whole: Tensor
    made: tuple[Tensor, ...]


class Memory:
    """What is known of the memory of all tensors of a run; tensors in it stay alive, so that no
    other one gets their address.
    """

    def __init__(self) -> None:
        self._together: dict[int, dict[int, Tensor]] = {}
        self._views: dict[int, View] = {}
        self._stale: set[int] = set()

    def add(self, tensor: Tensor) -> None:
        """A tensor is there."""
        self._together.setdefault(address(tensor), {})[id(tensor)] = tensor

    def fresh(self, tensor: Tensor) -> list[Tensor]:
        """Those that share its memory and have their own values in it, and itself."""
        together = self._together.get(address(tensor), {})
        return [one for key, one in together.items() if key not in self._stale]

    def made(self, node: Node, given: list[Tensor], made: list[Tensor]) -> None:
        """A node made tensors of others; those in the memory of one of them are views of it."""
        for place, tensor in enumerate(made):
            wholes = [one for one in given if address(one) == address(tensor)]
            if wholes and not any(one is tensor for one in wholes):
                self._views[id(tensor)] = View(node, place, wholes[0], tuple(made))

    def view(self, tensor: Tensor) -> View | None:
        """How a tensor is seen in another one's memory; None where it is not."""
        return self._views.get(id(tensor))

    def wholes(self, tensor: Tensor) -> Iterator[tuple[Tensor, View]]:
        """The tensor and what it is a view of, outwards."""
        while (view := self._views.get(id(tensor))) is not None:
            yield tensor, view
            tensor = view.whole

    def changed(self, tensor: Tensor) -> None:
        """A tensor was changed, and what it is a view of was made anew; all else in this memory is
        no longer what it was.
        """
        fresh = {id(tensor), *(id(view.whole) for _, view in self.wholes(tensor))}
        self._stale |= {id(one) for one in self.fresh(tensor)} - fresh
        self._stale -= fresh

    def is_stale(self, tensor: Tensor) -> bool:
        """Whether a tensor's memory was changed by another one since it was made."""
        return id(tensor) in self._stale

    def renewed(self, tensor: Tensor, view: View) -> None:
        """A tensor was made anew, as this view."""
        self._stale.discard(id(tensor))
        self._views[id(tensor)] = view


@dataclass(frozen=True)
class PutBack:
    """What a change of a view does to what it is a view of: whole[view] = part.

    Attributes:
        function: what makes the view.
        place: which of its answers.
    """

    function: Any
    place: int

    def __call__(self, whole: Tensor, part: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Changes `whole` in place."""
        views = self.function(whole, *args, **kwargs)
        view = views if isinstance(views, Tensor) else views[self.place]
        view.copy_(part)
        return whole


def address(tensor: Tensor) -> int:
    """Where its memory begins."""
    try:
        # Tensors without an element have no memory.
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except (RuntimeError, NotImplementedError):  # sparse tensors have none
        return id(tensor)


def copied(tensor: Tensor) -> Tensor:
    """Its values as they are now."""
    return tensor.detach().clone(memory_format=torch.preserve_format)
