"""Numbers in a recording that follow the sizes of the example: of its batch, and of its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lnn2loihi.converters.trace.axes import BATCH, TIME


@dataclass(frozen=True)
class Size:
    """A number of forward: (coefficient * batch**batch * time**time + constant) // divisor.

    Attributes:
        coefficient: of the product; 0 for a number that follows no size.
        batch, time: powers of the sizes: 0 or 1, and for quotients -1.
        constant: is added.
        divisor: what the sum is divided by, without a remainder; 1 but for windows over time.
    """

    coefficient: float = 0
    batch: int = 0
    time: int = 0
    constant: float = 0
    divisor: int = 1

    @property
    def fixed(self) -> bool:
        """Whether it is the same for every batch and time."""
        return not self.coefficient or not (self.batch or self.time)

    def at(self, sizes: Mapping[str, Any]) -> Any:
        """Its value for the sizes BATCH and TIME, where it follows them.

        Raises:
            KeyError: a size that it follows is not there.
        """
        ...

    def __str__(self) -> str:
        """For messages: "batch", "batch*time", "time - 1", "time//4", "12"."""
        ...
