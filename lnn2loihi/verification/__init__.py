"""Executors compared with each other, bit for bit."""
