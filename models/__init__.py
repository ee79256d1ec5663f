"""Trained reference networks, one folder each: recipe, weights and a model card.

Every folder has a `load()` that gives the network as a `LiquidNetwork` without PyTorch.
"""
