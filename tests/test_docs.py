"""What the documents show is what the code does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import Run
from documents import PAGES, commands
from measuring import measure_for_moments

from lnn2loihi import cli
from lnn2loihi.families.cfc.neuron import cfc_program
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.listing import instruction_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_instruction_table_is_the_code() -> None:
    assert instruction_table() in (ROOT / "docs" / "integers.md").read_text()


@pytest.mark.parametrize("form", ACTIVATIONS)
def test_instruction_counts_in_the_table_of_activations(form: str) -> None:
    row = next(
        line
        for line in (ROOT / "docs" / "integers.md").read_text().splitlines()
        if line.startswith(f"| `{form}`")
    )
    assert int(row.split("|")[-2]) == cfc_program((9, 9, 9), 12, form).instruction_count


def test_links_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def _commands() -> list[tuple[str, str]]:
    """What documents tell to type, with the document."""
    return [(page.name, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("document", "command"), _commands())
def test_commands_have_the_options_that_verbs_take(document: str, command: str) -> None:
    """None is unknown, and none that is needed is missing; nothing runs."""
    verbs: Any = typer.main.get_command(cli.app)
    verb, *arguments = shlex.split(command)
    own = verbs.get_command(verbs.make_context("lnn2loihi", [verb]), verb)
    assert own is not None, f"{document}: {verb} is no verb"
    own.make_context(verb, arguments)


def test_targets_side_by_side_are_those_of_the_command(run: Run) -> None:
    """The table of docs/targets.md is what its command prints."""
    text = (ROOT / "docs" / "targets.md").read_text()
    found = re.search(r"    \$ lnn2loihi (place models/\S+ .*)\n((?:    .*\n|\n)+)", text)
    assert found is not None
    verb, path, *options = shlex.split(found[1])
    if not (ROOT / path).is_file():
        pytest.skip("the models are not there")
    code, out, err = run(verb, ROOT / path, *options)
    shown = [line.removeprefix("    ") for line in found[2].rstrip().splitlines()]
    assert (code, err, out.splitlines()[: len(shown)]) == (0, "", shown)


def test_the_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's Python and its commands, in an empty folder."""
    pytest.importorskip("torch", reason="the quickstart starts with a PyTorch module")
    pytest.importorskip("ncps", reason="the quickstart starts with an ncps module")
    monkeypatch.chdir(tmp_path)
    measure_for_moments(monkeypatch)
    names: dict[str, object] = {}
    exec("".join(_blocks("python")), names)  # noqa: S102 (our own document)
    commands = re.findall(r"^    lnn2loihi (\S.*?)(?:\s+#.*)?$", README, re.MULTILINE)
    own = [command for command in commands if not command.startswith("demo")]
    assert len(own) == 5
    for command in own:
        monkeypatch.setattr("sys.argv", ["lnn2loihi", *command.split()])
        try:
            cli.main()
        except SystemExit as end:
            assert not end.code, command
    assert {"net.c", "net.h", "net.html", "net.l2l", "net.l2n", "net.profile.json"} <= {
        path.name for path in tmp_path.iterdir()
    }
