"""What comes out of files reaches the terminal as printable text."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st
from networks import random_samples
from profile_rows import chip_row, example_program, example_result

import lnn2loihi as l2l
from lnn2loihi.models import damped_sine
from lnn2loihi.options import rate_of
from lnn2loihi.printable import is_line, printable, printable_lines
from lnn2loihi.tables import text_table

#: The title of a terminal, its screen, another line, the direction of writing, half a character.
EVIL = ("\x1b]0;title\x07", "\x9b2J", "a\rb", "\u202etxt.exe", "\udcff", "\x7f", "a\nwritten: b")


@given(st.text(st.characters()))
def test_every_text_becomes_one_line(text: str) -> None:
    made = printable(text)
    assert is_line(made) and printable(made) == made
    assert (made == text) == is_line(text)
    assert all(map(is_line, printable_lines(text).split("\n")))
    assert printable_lines(text).count("\n") == text.count("\n")


def test_blanks_of_other_scripts_stay() -> None:
    assert printable("100\u00a0µs　ネット") == "100\u00a0µs　ネット"


@pytest.mark.parametrize("evil", EVIL)
def test_errors_and_tables(evil: str) -> None:
    error = l2l.InputError(evil, [evil, "second"])
    assert all(map(is_line, str(error).split("\n"))) and error.subject == evil
    table = text_table(["a", "b"], [[evil, 1], ["c", 2]])
    assert len(table.split("\n")) == 4 and all(map(is_line, table.split("\n")))


@pytest.mark.parametrize("evil", EVIL)
def test_a_profile_shows_escapes(evil: str) -> None:
    names = ("title", "backend", "precision", "mode")
    row = chip_row(**dict.fromkeys(names, evil), problems=(evil,), notes=(evil,))
    start = example_result(example_program())
    subject = dataclasses.replace(start.subject, program=evil, recipe=evil, executor=evil)
    result = dataclasses.replace(start, subject=subject, rows=(row,), absent=(evil,))
    assert all(map(is_line, result.summary().split("\n")))


@pytest.mark.parametrize("evil", EVIL[:-3])
def test_names_of_files(run: Run, tmp_path: Path, evil: str) -> None:
    for verb in ("inspect", "devices"):
        for suffix in (".l2l", ".toml", ".onnx"):
            code, out, err = run(verb, tmp_path / f"{evil}{suffix}")
            assert (code, out) == (1, "") and all(map(is_line, err.rstrip("\n").split("\n")))


@pytest.mark.parametrize("evil", [r"\u001b]0;x\u0007", r"\u202e", r"a\nb"])
def test_a_description_says_what_is_wrong(run: Run, tmp_path: Path, evil: str) -> None:
    text = (damped_sine.FOLDER / "network.toml").read_text()
    weights = (damped_sine.FOLDER / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(weights)
    lines = [line for line in text.splitlines() if not line.startswith("name")]
    path = tmp_path / "net.toml"
    path.write_text("\n".join(lines).replace("[network]", f'[network]\nname = "{evil}"'))
    code, out, err = run("inspect", path)
    assert (code, out) == (1, "") and "is not one line of printable text" in err
    assert all(map(is_line, err.rstrip("\n").split("\n")))


def test_a_network_with_such_a_name_is_not_said_to_have_large_weights() -> None:
    network = damped_sine.load()
    for changes in ({"name": EVIL[0]}, {"host": (EVIL[0],)}, {"source": {"file": EVIL[0]}}):
        with pytest.raises(l2l.NetworkError, match="is not one line of printable text"):
            dataclasses.replace(network, **changes)
    program = l2l.quantize(network, calibrate=random_samples(1, 2, 10, 1))
    assert all(map(is_line, program.summary().split("\n")))


class TestStreams:
    @pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
    def test_closed(self, closed: str) -> None:
        command = f"exec {sys.executable} -m lnn2loihi devices loihi2-oheo-gulch {closed}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        assert done.returncode == (1 if ">&-" in closed.split() else 0)
        assert "Traceback" not in done.stderr
        if closed == ">&-":
            assert done.stderr.startswith("standard output is closed")

    def test_plugins_of_the_current_folder_do_not_run(self, tmp_path: Path) -> None:
        """Those of somebody else's files, next to which the command is called."""
        info = tmp_path / "evil-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[lnn2loihi.importers]\nevil = evil:Importer\n")
        (tmp_path / "evil.py").write_text("open('ran', 'w')\n")
        (tmp_path / "net.pt").write_bytes(b"x")
        package = Path(l2l.__file__).parent.parent
        done = subprocess.run(
            [sys.executable, "-m", "lnn2loihi", "inspect", "net.pt"],
            cwd=tmp_path, env={"PYTHONPATH": str(package), "PATH": ""}, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert not (tmp_path / "ran").exists()


def test_a_verb_that_did_not_run_is_no_success(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """typer 0.12 with click 8.3 prints the version instead, whatever was asked for."""
    module = sys.modules["lnn2loihi.cli"]
    monkeypatch.setattr(module, "app", lambda **_: 0)
    code, _, err = run("verify", "net.l2l")
    assert code == 1 and "nothing was done: typer" in err
    assert run("--version")[0] == 0


@pytest.mark.parametrize(
    ("text", "rate"),
    [("50hz", 50.0), ("50HZ", 50.0), ("2khz", 2e3), ("2 KHz", 2e3), ("1Mhz", 1e6), ("1gHz", 1e9)],
)
def test_units_of_rates_may_be_written_small(text: str, rate: float) -> None:
    assert rate_of(text, "--rate") == rate


@pytest.mark.parametrize("text", ["5mHz", "5mhz", "50 bananas", "٨Hz"])
def test_units_that_could_be_others_are_refused(text: str) -> None:
    with pytest.raises(l2l.InputError, match="is no rate; give for example 100Hz"):
        rate_of(text, "--rate")


@pytest.mark.parametrize(
    "text", ["1e-300", "1e-320", "1e13", "1e-7Hz", "9e-7", "1e400", "1001GHz", "9" * 300]
)
def test_rates_beyond_every_task_are_refused_with_the_limit(text: str) -> None:
    with pytest.raises(l2l.InputError, match="give samples per second, from 1e-6 Hz to 1e12 Hz"):
        rate_of(text, "--rate")


@pytest.mark.parametrize("recipe", ["w٨a12", "w8a١٢", "w8a12x１２"])
def test_recipes_are_written_in_ascii(recipe: str) -> None:
    with pytest.raises(l2l.RecipeError):
        l2l.Recipe.parse(recipe)
