"""What `run.py` of a folder for boards prints on a board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stock_graphs import looped

from lnn2loihi.artifact import fingerprint


def printed(path: Path, **changes: Any) -> Path:
    """A line that run.py prints on a board, after whatever was there before; None takes one out."""
    line = {
        "program": "stock", "program_sha256": fingerprint(looped()), "network_sha256": "a" * 64,
        "steps": 1000, "samples": 500, "board": "ncl-1", "partition": None, "loihi_gen": "N3B3",
        "on": "board", "host": "h", "date": "2026-11-30", "probes": [], "shift": 0,
        "mismatches": 0, "first_difference": [], **changes,
    }  # fmt: skip
    path.write_text(json.dumps(line) + "\n")
    return path
