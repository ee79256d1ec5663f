"""Other examples of the kind of one that is given: what was a mask, a time or a probability there
is one again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lnn2loihi.converters.trace.axes import TIME

#: Steps from which on an order along the time is no chance.
_FEWEST_STEPS = 3


def resized(
    tensor: Tensor, axes: Sequence[str | None], sizes: Mapping[str, int], seed: int = 0
) -> Tensor:
    """A tensor with other sizes along its axes that have a meaning: its own entries, repeated or
    cut and, with a seed other than 0, in another order and changed by up to a quarter.

    What only has zeros and ones keeps to them, what is sorted along the time stays so, what is the
    same all along an axis stays that, rows of probabilities stay such, and every sign stays.
    """
    if not seed or not tensor.numel():
        return _repeated(tensor, axes, sizes).clone()
    generator = torch.Generator().manual_seed(seed)
    if (tensor == tensor.reshape(-1)[0]).all():
        return _shuffled(_repeated(tensor, axes, sizes), generator)
    same = [axis for axis, label in enumerate(axes) if label and _is_constant(tensor, axis)]
    reduced = tensor
    for axis in same:
        reduced = reduced.narrow(axis, 0, 1)
    wanted = {label: size for label, size in sizes.items() if label in axes}
    kept = [None if axis in same else label for axis, label in enumerate(axes)]
    made = _drawn(reduced, kept, wanted, generator)
    for axis in same:
        length = sizes.get(axes[axis] or "", tensor.shape[axis])
        made = made.expand(*made.shape[:axis], length, *made.shape[axis + 1 :])
    return made.clone()


def may_be_wide(tensor: Tensor, axes: Sequence[str | None]) -> bool:
    """Whether a multiple of a tensor is still of its kind: it is no mask, no time that goes on, and
    no probabilities.
    """
    return (
        torch.is_floating_point(tensor)
        and not _is_mask(tensor)
        and not _order(tensor, axes)
        and not _are_probabilities(tensor)
    )


def _repeated(tensor: Tensor, axes: Sequence[str | None], sizes: Mapping[str, int]) -> Tensor:
    for axis, label in enumerate(axes):
        length = None if label is None else sizes.get(label)
        if length is not None and length != tensor.shape[axis]:
            places = torch.arange(length) % tensor.shape[axis]
            tensor = tensor.index_select(axis, places)
    return tensor


def _shuffled(tensor: Tensor, generator: torch.Generator, exact: bool = False) -> Tensor:
    """In another order, and changed, unless it is to be exact or of whole numbers."""
    flat = tensor.reshape(-1)[torch.randperm(tensor.numel(), generator=generator)]
    if torch.is_floating_point(tensor) and not exact:
        random = torch.rand(len(flat), generator=generator, dtype=tensor.dtype)
        # States of zeros may be anything near; what is not zero keeps its sign: a time, a mask.
        flat = flat * (0.75 + 0.5 * random) if bool(flat.any()) else random - 0.5
    return flat.reshape(tensor.shape)


def _drawn(
    tensor: Tensor,
    axes: Sequence[str | None],
    sizes: Mapping[str, int],
    generator: torch.Generator,
) -> Tensor:
    order = _order(tensor, axes)
    if _is_mask(tensor):
        made = _shuffled(_repeated(tensor, axes, sizes), generator, exact=True)
        return made.sort(axes.index(TIME), descending=order < 0).values if order else made
    if order and not _is_counted(tensor, axes.index(TIME)):
        made = _shuffled(_repeated(tensor, axes, sizes), generator)
        return made.sort(axes.index(TIME), descending=order < 0).values
    if order:
        return _going_on(tensor, axes, sizes, generator)
    made = _shuffled(_repeated(tensor, axes, sizes), generator)
    return made / made.sum(-1, keepdim=True) if _are_probabilities(tensor) else made


def _going_on(
    tensor: Tensor,
    axes: Sequence[str | None],
    sizes: Mapping[str, int],
    generator: torch.Generator,
) -> Tensor:
    """What goes on along the time: other beginnings, and its differences in another order."""
    axis = axes.index(TIME)
    others = {label: size for label, size in sizes.items() if label != TIME}
    start = _shuffled(_repeated(tensor.narrow(axis, 0, 1), axes, others), generator)
    length = sizes.get(TIME, tensor.shape[axis]) - 1
    if length < 1:
        return start
    steps = _repeated(tensor.diff(dim=axis), axes, {**others, TIME: length})
    steps = _shuffled(steps, generator)
    return torch.cat([start, start + steps.cumsum(axis)], axis).to(tensor.dtype)


def _is_counted(tensor: Tensor, axis: int) -> bool:
    """Whether it may go on beyond what it holds: times do, and whole numbers that are counted one
    by one; tokens that are in order by chance do not.
    """
    return torch.is_floating_point(tensor) or bool((tensor.diff(dim=axis) == 1).all())


def _is_mask(tensor: Tensor) -> bool:
    """Whether it holds zeros and ones alone, and both."""
    if tensor.dtype == torch.bool:
        return True
    return bool(((tensor == 0) | (tensor == 1)).all() and tensor.any() and (tensor == 0).any())


def _order(tensor: Tensor, axes: Sequence[str | None]) -> int:
    """1 where it grows along the time, or stays, -1 where it falls; 0 for all else."""
    if TIME not in axes:
        return 0
    axis = list(axes).index(TIME)
    if tensor.shape[axis] < _FEWEST_STEPS:
        return 0
    steps = tensor.to(torch.float64).diff(dim=axis)
    if not steps.any():
        return 0
    return 1 if bool((steps >= 0).all()) else -1 if bool((steps <= 0).all()) else 0


def _is_constant(tensor: Tensor, axis: int) -> bool:
    """Whether it is the same all along an axis that has several entries."""
    return tensor.shape[axis] > 1 and bool((tensor == tensor.narrow(axis, 0, 1)).all())


def _are_probabilities(tensor: Tensor) -> bool:
    """Whether the entries along the last axis are probabilities that add up to 1."""
    if not torch.is_floating_point(tensor) or tensor.dim() < 2 or tensor.shape[-1] < 2:
        return False
    sums = tensor.sum(-1)
    return bool((tensor >= 0).all() and ((sums - 1).abs() < 1e-5).all())
