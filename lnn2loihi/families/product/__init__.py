"""Products of two sums, unit by unit."""
