"""Families of neurons, each in a folder of its own."""
