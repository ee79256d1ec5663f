"""Layers that are normalised by the statistics of each sample."""
