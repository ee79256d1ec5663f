"""What pre-commit runs is what `make lint` runs, and is there; and the check of TOML files."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from lnn2loihi.errors import InputError
from lnn2loihi.files import parse_toml

ROOT = Path(__file__).resolve().parent.parent
CHECK = ROOT / ".ci/check_toml.py"
pytestmark = pytest.mark.skipif(not CHECK.is_file(), reason="the sources are not there")


def hooks() -> list[str]:
    """Commands of the hooks, as the file has them: one line each."""
    return re.findall(r"^ +entry: (.+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.M)


def test_hooks_are_the_commands_of_make_lint() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    commands = re.findall(r"^\t(.+)$", recipe, re.M)
    assert hooks() == [command.replace("$(VENV)", ".venv") for command in commands]


def test_commands_of_hooks_exist() -> None:
    project = parse_toml((ROOT / "pyproject.toml").read_text(), "pyproject.toml", InputError)
    tools = {
        re.split(r"[^\w-]", one)[0] for one in project["project"]["optional-dependencies"]["dev"]
    }
    for command, *arguments in map(str.split, hooks()):
        name = command.removeprefix(".venv/bin/")
        assert name in {*tools, "python"}
        scripts = [argument for argument in arguments if argument.endswith(".py")]
        assert all((ROOT / script).is_file() for script in scripts) and bool(scripts) == (
            name == "python"
        )


def test_hooks_name_no_host() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert "://" not in text and set(re.findall(r"repo: (.+)", text)) == {"local"}
    assert set(re.findall(r"language: (.+)", text)) == {"system"}


def test_our_toml_files_are_right() -> None:
    functions = runpy.run_path(str(CHECK))
    assert ROOT / "pyproject.toml" in (files := list(functions["toml_files"](ROOT)))
    assert "loihi1.toml" in {path.name for path in files}
    assert list(functions["problems"](ROOT)) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (b"a = 1\na = 2\n", "Cannot overwrite a value"),
        (b"[a]\n[a]\n", "Cannot declare"),
        (b'a = "\xff"', "decode"),
        (b"a =", "Invalid value"),
    ],
)
def test_a_key_that_is_there_twice(text: bytes, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a.toml").write_bytes(text)
    (tmp_path / "b.toml").write_text("a = 1")
    for hidden in (".venv", "build"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "c.toml").write_bytes(text)
    done = subprocess.run(
        [sys.executable, CHECK, tmp_path], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith("deep/a.toml: ") and wrong in line
