"""Occupancy detection from room sensors: binary classification of every step."""
