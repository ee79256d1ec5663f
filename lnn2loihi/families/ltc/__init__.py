"""LTC: liquid time-constant units."""
