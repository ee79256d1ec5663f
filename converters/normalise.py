"""A normalisation of the input that travels with a module. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lnn2loihi.errors import InputError


class Normalise(nn.Module):
    """(x - mean) / std on the last axis; `lnn2loihi.converters.modules.importer` folds it into the
    input.

    Args:
        mean: of each channel.
        std: of each channel, above 0.

    Raises:
        InputError: they differ in length, or a value is not finite or a deviation not above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> None:
        super().__init__()
        values = [torch.as_tensor(v, dtype=torch.get_default_dtype()) for v in (mean, std)]
        if values[0].dim() != 1 or values[0].shape != values[1].shape or not len(values[0]):
            shapes = " and ".join(str(tuple(v.shape)) for v in values)
            raise InputError(
                "Normalise", f"mean and std have shapes {shapes}, expected (channels,)"
            )
        if not all(torch.isfinite(v).all() for v in values) or not (values[1] > 0).all():
            raise InputError("Normalise", "mean and std must be finite and std above 0")
        self.register_buffer("mean", values[0].clone())
        self.register_buffer("std", values[1].clone())

    def forward(self, x: Tensor) -> Tensor:
        """The normalised input."""
        return (x - self.mean) / self.std
