"""Ctrl-C while the command line is still importing: one line and exit code 130, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
#: Python runs this before anything else: the import of one module brings the signal.
CUSTOMIZE = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run where it is ignored
sys.meta_path.insert(0, Interrupt())
"""
#: What pip makes of an entry point.
SCRIPT = "import sys\nfrom lnn2loihi.cli import main\nsys.exit(main())\n"
LIBRARY = (
    "import lnn2loihi\ntry:\n    lnn2loihi.verify\nexcept KeyboardInterrupt:\n    print('caught')\n"
)


def run(folder: Path, module: str, *arguments: str) -> tuple[int, str, str]:
    (folder / "sitecustomize.py").write_text(CUSTOMIZE)
    paths = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "INTERRUPT_AT": module},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


#: A verb that fails at once, if it ever gets so far.
VERB = ("simulate", "absent.l2l", "-i", "absent.npy")


@pytest.mark.parametrize(
    ("module", "arguments"),
    [("typer", ("--version",)), ("lnn2loihi.cli.run", ("--version",)),
     *((module, ("--version",)) for module in ("lnn2loihi.version", "lnn2loihi.errors",
                                               "lnn2loihi.replacing", "lnn2loihi.cli")),
     *((module, VERB) for module in ("numpy", "lnn2loihi.samples", "lnn2loihi.artifact"))],
)  # fmt: skip
def test_an_interrupted_start_ends_with_one_line(
    tmp_path: Path, module: str, arguments: tuple[str, ...]
) -> None:
    script = tmp_path / "lnn2loihi"
    script.write_text(SCRIPT)
    assert run(tmp_path, module, str(script), *arguments) == (130, "", "interrupted\n")


def test_an_interrupted_start_as_a_module(tmp_path: Path) -> None:
    found = run(tmp_path, "lnn2loihi.artifact", "-m", "lnn2loihi", *VERB)
    assert found == (130, "", "interrupted\n")


def test_a_program_that_imports_the_library_gets_the_exception(tmp_path: Path) -> None:
    assert run(tmp_path, "lnn2loihi.verification.verb", "-c", LIBRARY) == (0, "caught\n", "")


def test_a_start_without_interruption(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "no module", "-m", "lnn2loihi", "--version")
    assert (code, err) == (0, "") and out.startswith("lnn2loihi ")
