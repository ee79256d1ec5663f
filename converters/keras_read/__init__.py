"""Imports what Keras has saved, without Keras."""
