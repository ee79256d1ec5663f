"""A number with its interval and unit, as every cell of a profile holds it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lnn2loihi.devices.units import with_prefix


class _IntervalLike(Protocol):
    """What the cost model and the meters answer with."""

    @property
    def value(self) -> Any: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def unit(self) -> str: ...


@dataclass(frozen=True)
class Quantity:
    """A number, its interval and its unit.

    Attributes:
        value: the number; None where only the interval is known.
        low, high: ends of the interval, equal to the value where there is none.
        unit: SI unit.
    """

    value: float | None
    low: float
    high: float
    unit: str

    @classmethod
    def exact(cls, value: float, unit: str) -> Quantity:
        """A number without an interval."""
        return cls(value, value, value, unit)

    @classmethod
    def of(cls, interval: _IntervalLike) -> Quantity:
        """The same as an interval of another part of the library."""
        return cls(interval.value, interval.low, interval.high, interval.unit)

    @property
    def has_interval(self) -> bool:
        """Whether it is more than one number."""
        return self.low != self.high

    @property
    def middle(self) -> float:
        """The value, or else the geometric middle of the interval, for places on a chart."""
        if self.value is not None:
            return self.value
        if self.low > 0.0:
            return math.sqrt(self.low * self.high)
        return 0.5 * (self.low + self.high)

    def plus(self, other: Quantity) -> Quantity:
        """The sum; the intervals add up as if both were at the same end, which is the widest."""
        value = None if self.value is None or other.value is None else self.value + other.value
        return Quantity(value, self.low + other.low, self.high + other.high, self.unit)

    def less(self, other: Quantity) -> Quantity:
        """The difference, with the widest interval that both leave."""
        value = None if self.value is None or other.value is None else self.value - other.value
        return Quantity(value, self.low - other.high, self.high - other.low, self.unit)

    def times(self, factor: float, unit: str | None = None) -> Quantity:
        """Multiplied by a number above 0."""
        value = None if self.value is None else self.value * factor
        return Quantity(value, self.low * factor, self.high * factor, unit or self.unit)

    def over(self, other: Quantity) -> Quantity:
        """The quotient, with the widest interval that both leave; without unit."""
        value = None
        if self.value is not None and other.value:
            value = self.value / other.value
        low = self.low / other.high if other.high else math.inf
        high = self.high / other.low if other.low else math.inf
        return Quantity(value, low, high, "1")

    def without_value(self) -> Quantity:
        """The interval alone."""
        return replace(self, value=None)

    def text(self) -> str:
        """The number alone, or the interval where there is no number: `2.30 uJ`."""
        if self.value is None:
            return self.range_text() or with_prefix(self.low, self.unit)
        return with_prefix(self.value, self.unit)

    def range_text(self) -> str:
        """The interval: `2.11 to 2.82 uJ`; empty where both ends look the same."""
        low, high = with_prefix(self.low, self.unit), with_prefix(self.high, self.unit)
        if low == high:
            return ""
        number, _, unit = low.partition(" ")
        return f"{number} to {high}" if unit and high.endswith(f" {unit}") else f"{low} to {high}"

    def __str__(self) -> str:
        """Number and interval: `2.30 uJ (2.11 to 2.82 uJ)`."""
        ends = self.range_text() if self.value is not None else ""
        return f"{self.text()} ({ends})" if ends else self.text()
