"""Axes: where a value stands, and which values are written beside."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lnn2loihi.devices.units import LARGEST, with_prefix
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.reporting.markup import NO_BREAK

#: Values of a linear axis stand at these multiples of a power of ten.
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)

_MICRO = re.compile(r"(\d) u(?=[sJW]\b)")
_UNIT = re.compile(r"(\d) (?=[afpnµmkMG]?(?:Hz|J·s|s|J|W|B)\b|%)")


def shown(value: float, unit: str) -> str:
    """A number with three digits and a prefix as a reader expects them: 2.30 µJ."""
    if unit in ("", "1") and abs(value) < LARGEST:
        whole = abs(value) >= 1000.0 or value == int(value)
        return f"{value:,.0f}" if whole else f"{value:.3g}"
    return typeset(with_prefix(value, unit or "1"))


def typeset(words: str) -> str:
    """Numbers with units in plain text as a page shows them: 2.30 uJ becomes 2.30 µJ, unbroken."""
    words = _MICRO.sub(r"\1 µ", words.replace("J*s", "J·s"))
    return _UNIT.sub(rf"\1{NO_BREAK}", words)


def number_of(quantity: Quantity) -> str:
    """The number for readers, or the interval where there is none."""
    return typeset(quantity.text())


def range_of(quantity: Quantity) -> str:
    """The interval for readers; empty where there is none, or where it is the number itself."""
    return typeset(quantity.range_text()) if quantity.value is not None else ""


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        low, high: ends.
        length: in units of the drawing.
        log: whether it is logarithmic.
        unit: SI unit of the values.
        label: what it shows.
    """

    low: float
    high: float
    length: float
    log: bool = False
    unit: str = "1"
    label: str = ""

    @classmethod
    def around(
        cls, values: Sequence[float], length: float, log: bool = False, **options: str
    ) -> Axis:
        """An axis that shows all values, with room at both ends."""
        finite = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
        if log:
            low, high = (min(finite), max(finite)) if finite else (1.0, 10.0)
            room = max(0.08 * (math.log10(high) - math.log10(low)), 0.15)
            return cls(low / 10**room, high * 10**room, length, True, **options)
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        return cls(low - room, high + room, length, False, **options)

    @classmethod
    def from_zero(cls, values: Sequence[float], length: float, **options: str) -> Axis:
        """A linear axis from 0 to a little beyond the largest value."""
        finite = [v for v in values if math.isfinite(v)]
        return cls(0.0, 1.06 * max([*finite, 0.0]) or 1.0, length, False, **options)

    def place(self, value: float) -> float:
        """Distance from the low end, kept inside the axis."""
        if self.log:
            value = min(max(value, self.low), self.high)
            return self.length * math.log(value / self.low) / math.log(self.high / self.low)
        share = (value - self.low) / (self.high - self.low)
        return self.length * min(max(share, 0.0), 1.0)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """At most so many values with their texts."""
        values = self._log_ticks(most) if self.log else self._linear_ticks(most)
        return [(value, _short(value, self.unit)) for value in values]

    def _log_ticks(self, most: int) -> list[float]:
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high))
        decades = range(first, last + 1)
        if len(decades) >= 2:
            stride = math.ceil(len(decades) / most)
            return [10.0**exponent for exponent in decades[::stride]]
        found = [
            factor * 10.0**exponent
            for exponent in range(first - 1, last + 2)
            for factor in (1, 2, 5)
            if self.low <= factor * 10.0**exponent <= self.high
        ]
        return found[:most] or [math.sqrt(self.low * self.high)]

    def _linear_ticks(self, most: int) -> list[float]:
        span = self.high - self.low
        scale = 10.0 ** math.floor(math.log10(span / most))
        step = next(s * scale for s in _NICE if span / (s * scale) <= most)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        if count < 1:  # the axis lies between two of them
            return self._linear_ticks(most + 1)
        return [(first + i) * step for i in range(count)]


def _short(value: float, unit: str) -> str:
    """The text of a tick, without digits that say nothing: 20 µJ, not 20.0 µJ."""
    if unit in ("", "1"):
        return f"{value:,.10g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.3g}"
    number, _, rest = shown(value, unit).partition(NO_BREAK)
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number}{NO_BREAK}{rest}"
