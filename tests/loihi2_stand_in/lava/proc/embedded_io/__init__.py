"""Stands in for what Intel's extension has under this name; see spike.py."""
