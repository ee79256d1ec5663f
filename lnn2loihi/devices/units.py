"""Units of figures: which dimension they measure, how they are read and how they are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

#: For each SI unit of a figure the units that a profile may use instead, and their factors.
UNITS: Mapping[str, Mapping[str, float]] = {
    "1": {"1": 1.0},
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12},
    "J": {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15},
    "W": {"MW": 1e6, "kW": 1e3, "W": 1.0, "mW": 1e-3, "uW": 1e-6},
    "B": {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    "Hz": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
}
#: Names of the dimensions, for messages.
DIMENSIONS: Mapping[str, str] = {
    "1": "a count",
    "s": "a time",
    "J": "an energy",
    "W": "a power",
    "B": "a memory size",
    "Hz": "a frequency",
}
#: Units that `with_prefix` may scale although no profile uses them.
_SCALED = ("s", "J", "W", "Hz", "J*s")
#: Sizes of numbers that are written without an exponent.
SMALLEST, LARGEST = 1e-21, 1e15
_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def dimension_of(unit: str) -> str | None:
    """The SI unit that a unit is a multiple of; None where it is unknown."""
    return next((base for base, known in UNITS.items() if unit in known), None)


def to_base(value: float, unit: str) -> float:
    """A value in the SI unit of its dimension: 0.2 us gives 2e-07, the float that is nearest to
    the number as it was written.
    """
    base = dimension_of(unit)
    if base is None:
        raise ValueError(f"unknown unit {unit!r}")
    return float(Decimal(repr(value)) * Decimal(repr(UNITS[base][unit])))


def rate_text(rate: float) -> str:
    """A rate that somebody has chosen, with the digits that it has, at least three and at most six:
    `100 Hz`, `176 kHz`, `12.345 kHz`.
    """
    texts = [with_prefix(rate, "Hz", digits) for digits in range(3, 7)]
    exact = (text for text in texts if math.isclose(_hertz(text), rate, rel_tol=1e-9))
    return next(exact, texts[-1])


def _hertz(text: str) -> float:
    number, _, unit = text.partition(" ")
    factors = {f"{prefix}Hz": 10.0**power for power, prefix in _PREFIXES.items()}
    return float(number.replace(",", "")) * factors[unit]


def with_prefix(value: float, unit: str, digits: int = 3) -> str:
    """A value with the prefix that suits its size: 1.164e-6 s gives `1.16 us`.

    Args:
        value: in the unit. What is more than three digits beyond the smallest and the largest
            prefix, which nothing real is, has an exponent instead.
        unit: an SI unit; counts and bytes have no decimal prefix.
        digits: significant digits.
    """
    if not math.isfinite(value):
        return f"{value} {unit}"
    if value and not SMALLEST <= abs(value) < LARGEST:
        return f"{value:.{digits - 1}e}" + f" {unit}" * (unit != "1")
    if unit == "B":
        return _bytes(value)
    if unit == "1":
        return f"{value:,.{digits}g}" if value != int(value) else f"{int(value):,}"
    if unit not in _SCALED or value == 0.0:
        return f"{value:.{digits}g} {unit}"
    rounded = float(f"{value:.{digits - 1}e}")  # 999.96 is 1,000 in three digits: the next prefix
    exponent = min(max(3 * math.floor(math.log10(abs(rounded)) / 3), -18), 9)
    shown = rounded / 10.0**exponent
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(shown)) + 1e-9))
    return f"{shown:,.{decimals}f} {_PREFIXES[exponent]}{unit}"


def _bytes(value: float) -> str:
    for name in ("GiB", "MiB", "KiB"):
        if value >= UNITS["B"][name] and value % UNITS["B"][name] == 0:
            return f"{value / UNITS['B'][name]:g} {name}"
    return f"{value:,.0f} B"
