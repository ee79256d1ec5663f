"""How much memory a process may take here."""

from __future__ import annotations

import os


def available_memory() -> int:
    """Bytes that this process may take: the machine's memory, or less where a limit is set."""
    limits = [1 << 62]
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        import resource  # not on Windows
    except ImportError:
        return min(limits)
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min(*limits, allowed if allowed != resource.RLIM_INFINITY else limits[0])
