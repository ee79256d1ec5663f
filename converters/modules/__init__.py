"""Whole PyTorch modules."""
