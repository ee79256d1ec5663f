"""Reads files that equinox has written, without equinox or JAX."""
