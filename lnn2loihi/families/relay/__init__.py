"""Relays: populations that send on what they hear, as it is."""
