"""Runs a script of examples/ in this process, as its user would."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run_example(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> int:
    """Runs an example with command line arguments; its exit code."""
    path = EXAMPLES / name
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are not there")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "250")
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
