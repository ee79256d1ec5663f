"""Reads networks that lava-dl has exported (`.net`), without lava-dl and without Lava."""
