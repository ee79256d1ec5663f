"""The narrowest types of C99's stdint.h that hold what is proved."""

from __future__ import annotations

#: Types and what they hold, the narrowest first.
_TYPES = (
    ("int8_t", -(1 << 7), (1 << 7) - 1),
    ("uint8_t", 0, (1 << 8) - 1),
    ("int16_t", -(1 << 15), (1 << 15) - 1),
    ("uint16_t", 0, (1 << 16) - 1),
    ("int32_t", -(1 << 31), (1 << 31) - 1),
)
#: Bytes of each.
BYTES = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "uint32_t": 4}


def type_of(low: int, high: int) -> str:
    """The narrowest type that holds every number from low to high."""
    return next(name for name, least, most in _TYPES if least <= low and high <= most)


def end_literal(value: int) -> str:
    """A constant of 32 bits, bare within a table: C has no literal of its smallest number."""
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def literal(value: int) -> str:
    """A constant, in brackets where it has a sign."""
    return str(value) if value >= 0 else f"({value})"
