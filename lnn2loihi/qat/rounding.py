"""Rounding that gradients pass through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def straight_through(rounded: Tensor, value: Tensor) -> Tensor:
    """The rounded value, with the gradient of the value itself (straight-through estimator)."""
    return value + (rounded - value).detach()


def message(value: Tensor, step: Tensor | float, low: Any, high: Any) -> Tensor:
    """A value as a message carries it: rounded half up to multiples of `step`, and saturated.

    Args:
        value: (..., columns).
        step: real value of one unit, a number or (columns,).
        low: lower end of the format in units, a number or (columns,).
        high: upper end.

    Returns:
        (..., columns); the gradient is that of the value where it does not saturate, else 0.
    """
    return _Message.apply(value, step, low, high)


class _Message(torch.autograd.Function):
    """One operation, since recurrent networks call it in every step."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, step: Tensor | float, low: Any, high: Any) -> Tensor:
        units = value / step
        inside = units.clamp(low, high)
        ctx.save_for_backward(inside == units)
        return inside.add_(0.5).floor_().clamp_(low, high).mul_(step)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  (of the decorator)
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        (passes,) = ctx.saved_tensors
        return gradients[0] * passes, None, None, None
