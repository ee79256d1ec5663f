"""What all tests share: property tests draw the same examples everywhere and have no deadline."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("repository", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repository")
