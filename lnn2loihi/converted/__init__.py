"""Whole trained modules: what runs on the chip, what stays on the host, and both together."""
