"""The library and its command line start without the heavy optional packages."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

import lnn2loihi as l2l

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "lava", "matplotlib", "onnx", "onnxruntime", "h5py", "zeus", "pynvml")
#: What the start of the command line does without, since most of its time would be theirs.
SLOW = (*HEAVY, "numpy", "multiprocessing")
HELP = """
import runpy, sys
sys.argv = ["lnn2loihi", "--help"]
try:
    runpy.run_module("lnn2loihi", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
"""
DOCTOR = "from lnn2loihi import doctor; doctor.examine()"


def help_of(*verb: str) -> str:
    return HELP.replace('"--help"', ", ".join(map(repr, (*verb, "--help"))))


@pytest.mark.parametrize(
    ("code", "kept_out"),
    [("import lnn2loihi", SLOW), (HELP, SLOW), (help_of("profile"), SLOW),
     (HELP.replace("--help", "--version"), SLOW),
     ("import lnn2loihi\nfor name in lnn2loihi.__all__: getattr(lnn2loihi, name)", HEAVY),
     ("import lnn2loihi.measure", HEAVY), (DOCTOR, HEAVY)],
    ids=["import", "help", "verb", "version", "all names", "measure", "doctor"],
)  # fmt: skip
def test_imports_nothing_heavy(code: str, kept_out: tuple[str, ...], tmp_path: Path) -> None:
    loaded = f"import json, sys; print(json.dumps([n for n in {kept_out!r} if n in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{loaded}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_type_checkers_see_the_public_names_that_there_are() -> None:
    """The table of names and the imports for type checkers say the same, and `__all__` too."""
    tree = ast.parse(Path(l2l.__file__).read_text())
    blocks = [n for n in tree.body if isinstance(n, ast.If)]
    imports = [n for n in blocks[0].body if isinstance(n, ast.ImportFrom)]
    seen = {a.name: (n.module or "").removeprefix("lnn2loihi.") for n in imports for a in n.names}
    assert seen == l2l._PLACES
    assert {*l2l.__all__} == {*seen, "__version__"} <= {*dir(l2l)}
    for name, module in seen.items():
        place = importlib.import_module(f"lnn2loihi.{module}")
        assert getattr(l2l, name) is getattr(place, name)


def test_no_module_has_the_name_of_a_public_function() -> None:
    """`lnn2loihi.quantize` is the verb, and its room is `lnn2loihi.quantization`."""
    assert [name for name in l2l.__all__ if importlib.util.find_spec(f"lnn2loihi.{name}")] == []


@pytest.mark.parametrize("first", ["lnn2loihi.recipe", "lnn2loihi.verification.verb"])
def test_names_of_verbs_stay_functions(first: str, tmp_path: Path) -> None:
    code = (
        f"import {first}, lnn2loihi as l2l, types, pickle\n"
        "for name in ('compare', 'place', 'profile', 'quantize', 'report', 'simulate', 'verify'):\n"
        "    assert isinstance(getattr(l2l, name), types.FunctionType), name\n"
        "    assert pickle.loads(pickle.dumps(getattr(l2l, name))) is getattr(l2l, name)\n"
        "from lnn2loihi import quantize, errors\n"
        "assert quantize is l2l.quantize and errors is l2l.errors\n"
        "assert not hasattr(l2l, 'nonsense') and not hasattr(l2l, '_nonsense')\n"
        "from lnn2loihi import *\n"
        "assert verify is l2l.verify\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
