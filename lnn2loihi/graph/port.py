"""Where samples enter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError, ProgramError
from lnn2loihi.formats import FixedPoint, IntegerArray
from lnn2loihi.frozen import ArrayEquality, read_only
from lnn2loihi.showing import Shown


@checks_fields(ProgramError)
@dataclass(frozen=True, eq=False)
class InputPort(Shown, ArrayEquality):
    """Where samples enter, and the codec that makes integers of them.

    A sample x becomes floor((x - offset) * gain + 0.5), saturated: a normalisation of the inputs
    and the scale of each channel cost nothing, since the host encodes.

    Attributes:
        name: name of the port.
        format: width of the message, and the format of channels whose gain is 2**fraction_bits.
        low, high: int32 (channels,): the range to which each channel saturates.
        gain: float64 (channels,): steps per unit of the sample; the format's by default.
        offset: float64 (channels,): sample that is sent as 0; 0 by default.
    """

    name: str
    format: FixedPoint
    low: npt.NDArray[Any]
    high: npt.NDArray[Any]
    gain: npt.NDArray[Any] = None  # pyright: ignore[reportAssignmentType]
    offset: npt.NDArray[Any] = None  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", read_only(self.low, np.int32, "low"))
        object.__setattr__(self, "high", read_only(self.high, np.int32, "high"))
        for part, default in (("gain", 2.0**self.format.fraction_bits), ("offset", 0.0)):
            given = getattr(self, part)
            array = np.full(self.low.shape, default) if given is None else given
            object.__setattr__(self, part, read_only(array, np.float64))

    @property
    def size(self) -> int:
        """Number of channels."""
        return self.low.size

    def encode(self, x: npt.NDArray[np.float64]) -> tuple[IntegerArray, IntegerArray]:
        """Rounds half up to integers (batch, time, channels); see `saturate`."""
        with np.errstate(over="ignore"):  # infinity saturates like any other large value
            return self.saturate(np.floor((x - self.offset) * self.gain + 0.5))

    @checks_kinds()
    def decode(self, integers: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Samples (..., channels) that encoded messages stand for.

        Raises:
            InputError: they are no numbers, or have other channels.
        """
        messages = as_array(integers, f"input {self.name!r}", "integers").astype(np.float64)
        if messages.shape[-1:] not in ((self.size,), (1,), ()):
            raise InputError(
                f"input {self.name!r}",
                f"integers have shape {messages.shape}, expected (..., {self.size})",
            )
        return messages / self.gain + self.offset

    def saturate(self, integers: npt.NDArray[Any]) -> tuple[IntegerArray, IntegerArray]:
        """Integers clipped to the calibrated range, and per channel how many were clipped."""
        inside = np.clip(integers, self.low, self.high)
        saturated = np.count_nonzero(inside != integers, axis=(0, 1))
        return inside.astype(np.int64), np.asarray(saturated, np.int64)

    def problems(self) -> list[str]:
        """Everything that does not fit."""
        low, high = self.low, self.high
        found: list[str] = []
        if low.shape != high.shape or low.ndim != 1 or not low.size:
            return [f"{self.name}: low and high need the shape (channels,)"]
        if np.any(low > high) or low.min() < self.format.low or high.max() > self.format.high:
            found.append(f"{self.name}: its ranges do not fit {self.format.bits} bits")
        for part in ("gain", "offset"):
            array = getattr(self, part)
            if array.shape != low.shape or not np.isfinite(array).all():
                found.append(f"{self.name}: {part} needs one finite number for each channel")
            elif part == "gain" and not (array > 0).all():
                found.append(f"{self.name}: gain holds numbers that are not above 0")
        return found
