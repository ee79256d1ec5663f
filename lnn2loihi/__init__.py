"""Liquid neural networks on Intel Loihi 2."""
