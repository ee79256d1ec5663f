"""The library and its command line start without the heavy optional packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "lava", "matplotlib", "onnx", "onnxruntime", "zeus", "pynvml")
LOADED = f"import json, sys; print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
HELP = """
import runpy, sys
sys.argv = ["lnn2loihi", "--help"]
try:
    runpy.run_module("lnn2loihi", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
"""
DOCTOR = "from lnn2loihi import doctor; doctor.examine()"


@pytest.mark.parametrize(
    "code",
    ["import lnn2loihi", "import lnn2loihi.measure", HELP, DOCTOR],
    ids=["import", "measure", "help", "doctor"],
)
def test_imports_nothing_heavy(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LOADED}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
