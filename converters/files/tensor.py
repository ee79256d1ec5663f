"""One named array of a checkpoint or of a live module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.printable import kind_of_value

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tensor:
    """One named array of a checkpoint or a live module.

    Attributes:
        dtype: name of the element type, for messages.
        shape: shape; known before the data are read.
        kind: "float", "integer" (booleans too) or "other" (not real numbers, or no data).
        read: gives the data as float64 of that shape; exact for all floats up to float64.
    """

    dtype: str
    shape: tuple[int, ...]
    kind: Literal["float", "integer", "other"]
    read: Callable[[], FloatArray]


def torch_tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The entries of a PyTorch state_dict; PyTorch is already imported by whoever made it."""
    return {key: _torch_tensor(value) for key, value in state.items()}


def module_tensors(module: Any) -> dict[str, Tensor]:
    """The same of a live module; what PyTorch parametrizes (`torch.nn.utils.parametrizations`) is
    what the parametrization gives now.
    """
    state = dict(module.state_dict())
    for path, part in module.named_modules():
        for name in dict(getattr(part, "parametrizations", None) or {}):
            prefix = f"{path}." if path else ""
            inside = f"{prefix}parametrizations.{name}."
            state = {key: value for key, value in state.items() if not key.startswith(inside)}
            state[prefix + name] = getattr(part, name).detach()
    return torch_tensors(state)


def _torch_tensor(value: Any) -> Tensor:
    import torch

    def unreadable() -> FloatArray:
        raise ImportNetworkError("checkpoint", "an entry without real numbers cannot be read")

    if not isinstance(value, torch.Tensor):
        return Tensor(f"{kind_of_value(value)}", (), "other", unreadable)
    shape = tuple(value.shape)
    name = str(value.dtype).removeprefix("torch.")
    if value.layout is not torch.strided or value.is_meta or value.is_quantized:
        what = "without data (device meta)" if value.is_meta else "sparse or quantized"
        return Tensor(f"{name}, {what}", shape, "other", unreadable)
    if value.is_complex():
        return Tensor(name, shape, "other", unreadable)

    def read() -> FloatArray:
        return value.detach().cpu().to(torch.float64).numpy().copy()

    return Tensor(name, shape, "float" if value.is_floating_point() else "integer", read)
