"""The example package of docs/extending.md, installed in an environment of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "extending"
pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are not there")


def test_the_page_shows_what_the_package_has() -> None:
    source = (EXAMPLE / "example_families" / "light_gate.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.S)
    assert len(blocks) == 6
    assert [block for block in blocks if block not in source] == []


def test_the_page_names_every_entry_point() -> None:
    groups = re.findall(r'entry-points."(lnn2loihi\.\w+)"', (ROOT / "pyproject.toml").read_text())
    page = (ROOT / "docs" / "extending.md").read_text()
    assert len(groups) >= 6 and [group for group in groups if f"| `{group}` |" not in page] == []


def test_a_gated_cell_takes_at_most_100_lines() -> None:
    source = (EXAMPLE / "example_families" / "light_gate.py").read_text()
    assert len(source.splitlines()) <= 100


@pytest.mark.slow
def test_the_package_works_in_an_environment_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    copied = shutil.copytree(EXAMPLE, tmp_path / "extending")
    venv.create(tmp_path / "own", with_pip=False)
    python = tmp_path / "own" / "bin" / "python"
    (packages,) = (tmp_path / "own" / "lib").glob("python*/site-packages")
    # What is installed here is there too: this library, PyTorch, pip.
    here = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    (packages / "here.pth").write_text("\n".join(here) + "\n")
    install = "-m pip install --no-deps --no-build-isolation --no-index --quiet".split()
    run(python, *install, str(copied), cwd=tmp_path)
    said = run(python, "-m", "lnn2loihi", "doctor", cwd=tmp_path, check=False)
    assert "light_gate" in said and "oscillator" in said
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(copied / "tests"), cwd=tmp_path)


def run(python: Path, *arguments: str, cwd: Path, check: bool = True) -> str:
    done = subprocess.run(
        [str(python), *arguments], cwd=cwd, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0 or not check, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
