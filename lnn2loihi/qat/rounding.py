"""Rounding that gradients pass through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


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
    units = value / step
    inside = torch.clamp(units, low, high)
    rounded = torch.floor(inside.detach() + 0.5)
    return straight_through(torch.clamp(rounded, low, high), inside) * step
