"""Numbers of a module that follow its sizes: those of the batch, and of the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lnn2loihi.converted.pieces import BATCH, TIME


@dataclass(frozen=True)
class Size:
    """A number of forward: coefficient * batch**batch * time**time + constant; or, with a divisor,
    coefficient * batch**batch * ((time + constant) // divisor), as windows over time have it.

    Attributes:
        coefficient: of the product; 0 for a number that follows no size.
        batch, time: powers of the sizes: 0 or 1 in whole numbers; in others also -1, 0.5 and -0.5.
        constant: is added.
        divisor: 1, or the distance between two windows.
    """

    coefficient: float = 0
    batch: float = 0
    time: float = 0
    constant: float = 0
    divisor: int = 1

    @property
    def fixed(self) -> bool:
        """Whether it is the same for every batch and time."""
        return not self.coefficient

    @property
    def follows(self) -> frozenset[str]:
        """Which of BATCH and TIME it follows."""
        powers = ((BATCH, self.batch), (TIME, self.time))
        return frozenset(label for label, power in powers if power and self.coefficient)

    def at(self, sizes: Mapping[str, Any]) -> Any:
        """Its value for the sizes BATCH and TIME, where it follows them.

        Raises:
            KeyError: a size that it follows is not there.
        """
        if self.fixed:
            return self.constant
        found: Any = self.coefficient
        for label, power in ((BATCH, self.batch), (TIME, self.time)):
            if power:
                size = sizes[label]
                if label == TIME and self.divisor > 1:
                    size = (size + self.constant) // self.divisor
                found = found * (size if power == 1 else size**power)
        return found if self.divisor > 1 else found + self.constant

    def of_time(self, time: int) -> Size:
        """The same where the time is always this."""
        if TIME not in self.follows:
            return self
        factor = self.at({BATCH: 1, TIME: time}) - (0 if self.divisor > 1 else self.constant)
        constant = 0 if self.divisor > 1 else self.constant
        if not self.batch:
            return Size(constant=factor + constant)
        return Size(factor, self.batch, 0, constant)

    def size_from(self, value: Any) -> Any:
        """The batch, or the time, for which it has a value; for a size that follows that alone and
        tells it.
        """
        return (value - self.constant) // self.coefficient

    @property
    def tells(self) -> str | None:
        """Which of BATCH and TIME can be found from its value."""
        alone = self.divisor == 1 and sorted((self.batch, self.time)) == [0, 1]
        return next(iter(self.follows)) if alone and not self.fixed else None

    def __str__(self) -> str:
        """For messages: "batch", "batch*time", "time - 1", "time//4", "12"."""
        if self.fixed:
            return f"{self.constant:g}"
        factors = [] if self.coefficient == 1 else [f"{self.coefficient:g}"]
        for label, power in ((BATCH, self.batch), (TIME, self.time)):
            text = label
            if label == TIME and self.divisor > 1:
                text = f"({label}{_signed(self.constant)})" if self.constant else label
                text = f"{text}//{self.divisor}"
            factors += [text if power == 1 else f"{text}**{power:g}"] if power else []
        return "*".join(factors) + ("" if self.divisor > 1 else _signed(self.constant))


def _signed(number: float) -> str:
    return f" {'+' if number > 0 else '-'} {abs(number):g}" if number else ""
