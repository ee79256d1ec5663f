"""Blocks of code in the documents run, files that they show are read, and pages have a place."""

from __future__ import annotations

import ast
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from documents import GIVEN, GIVEN_TO, OF_TORCH, PAGES, ROOT, Block, blocks, wanted
from measuring import measure_for_moments

import lnn2loihi as l2l
from lnn2loihi import qat, testing
from lnn2loihi.measure import measuring
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.recipe import INPUT_WIDTHS, MESSAGE_WIDTHS, WEIGHT_WIDTHS, Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = ROOT / "docs"
#: Pages of which tests of their own run the blocks.
TRIED_ELSEWHERE = {
    "README.md": "test_docs.py",
    "extending.md": "test_extending.py",
    "streams.md": "test_control_loop.py",
}


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if blocks(p, "python") and p.name not in TRIED_ELSEWHERE],
    ids=lambda page: page.stem,
)
def test_the_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, in one namespace and an empty folder, without the time that passes."""
    shown = [block for block in blocks(page, "python") if not block.reason]
    given = {**GIVEN, **GIVEN_TO.get(page.name, {})}
    names: dict[str, Any] = {"__name__": page.stem}
    for name in wanted([block.text for block in shown]) & given.keys():
        if name in OF_TORCH:
            pytest.importorskip("torch", reason=f"{page.name} starts with a PyTorch module")
            pytest.importorskip("ncps", reason=f"{page.name} starts with an ncps module")
        names[name] = given[name]()
    measure_for_moments(monkeypatch)
    monkeypatch.setattr(measuring, "FULL", measuring.QUICK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    for block in shown:
        run(block, names)


def run(block: Block, names: dict[str, Any]) -> None:
    """Runs a block; of one with a prompt also whether it raises what is shown."""
    if not block.text.startswith(">>> "):
        exec(compile(block.text, block.place, "exec"), names)  # noqa: S102 (our own document)
        return
    line, _, shown = block.text.removeprefix(">>> ").partition("\n")
    with pytest.raises(l2l.Lnn2LoihiError) as raised:
        exec(compile(line, block.place, "exec"), names)  # noqa: S102 (our own document)
    assert f"{type(raised.value).__name__}: {raised.value}\n" == shown, block.place


def test_files_that_pages_show_are_read() -> None:
    """TOML and JSON in fences."""
    for page in PAGES:
        for block in blocks(page):
            if block.language == "toml":
                tomllib.loads(block.text)
            if block.language == "json" and not block.reason:
                json.loads(block.text)


def test_devices_that_pages_show_are_devices(tmp_path: Path) -> None:
    """Whole profiles, which load by themselves."""
    shown = [block for page in PAGES for block in blocks(page, "toml") if "[figures." in block.text]
    assert len(shown) >= 3
    for block in shown:
        path = tmp_path / "shown.toml"
        path.write_text(block.text)
        assert l2l.load_device(path).figures, block.place


def test_what_is_not_run_says_why() -> None:
    """In words; and every page of Python that is tried elsewhere is there."""
    for page in PAGES:
        text = page.read_text()
        assert text.count("<!-- not run") == sum(bool(b.reason) for b in blocks(page)), page.name
    assert set(TRIED_ELSEWHERE) <= {page.name for page in PAGES}


def test_every_page_has_its_place() -> None:
    """Once in index.md, which the site takes its order from."""
    listed = re.findall(r"^- \[[^\]]+\]\(([\w-]+)\.md\): ", (DOCS / "index.md").read_text(), re.M)
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert len(listed) == len(set(listed))
    assert set(listed) == pages, "index.md lists every page of docs/ once"


def test_every_public_name_is_in_the_reference() -> None:
    """Each once, under a heading; what is named exists."""
    listed = re.findall(r"^- `lnn2loihi\.([\w.]+)`$", (DOCS / "api.md").read_text(), re.M)
    public = set(l2l.__all__)
    public |= {f"qat.{name}" for name in qat.__all__}
    public |= {f"testing.{name}" for name in testing.__all__} - {"testing.RULES"}
    assert len(listed) == len(set(listed))
    assert set(listed) == public, "docs/api.md lists every public name once"


def test_headings_go_down_one_by_one() -> None:
    """A page has one title, and no level is left out, or the site's contents have holes."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
        levels = [len(found) for found in re.findall(r"^(#+) ", text, re.M)]
        assert levels and levels[0] == 1 and levels.count(1) == 1, page.name
        assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False)), page.name


def test_links_to_headings_lead_to_one() -> None:
    """Within a page and between pages, as GitHub and the site name headings."""
    missing = []
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text()):
            other = (page.parent / target).resolve() if target else page
            if other.suffix == ".md" and anchor not in anchors(other):
                missing.append(f"{page.name}: {target}#{anchor}")
    assert missing == []


def anchors(page: Path) -> set[str]:
    """Names of a page's headings in links."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_warnings_that_a_page_explains_are_in_the_code() -> None:
    """As parts of texts; errors that it explains are raised where its blocks run."""
    page = (DOCS / "errors.md").read_text()
    table = page.partition("| the warning says |")[2].partition("\n\n")[0]
    explained = [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in table.splitlines()[2:]]
    assert len(explained) >= 10
    texts = "\n".join(
        node.value
        for module in (ROOT / "lnn2loihi").rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    assert [found for found in explained if not (found and found[0] in texts)] == []


class TestTheGrammarOfRecipes:
    PAGE = (DOCS / "recipe.md").read_text()

    def test_widths(self) -> None:
        found = re.findall(r'= "([wax])" BITS +(\d+) to (\d+)', self.PAGE)
        widths = {"w": WEIGHT_WIDTHS, "a": MESSAGE_WIDTHS, "x": INPUT_WIDTHS}
        assert {letter: (int(low), int(high)) for letter, low, high in found} == widths
        for letter, (low, high) in widths.items():
            texts = {"w": "w{}a12", "a": "w8a{}", "x": "w8a12x{}"}[letter]
            for bits in range(low, high + 1):
                assert Recipe.parse(texts.format(bits))
            for bits in (low - 1, high + 1):
                with pytest.raises(l2l.RecipeError):
                    Recipe.parse(texts.format(bits))

    def test_activations(self) -> None:
        line = re.search(r"activation = (.*);", self.PAGE)
        assert line is not None
        assert re.findall(r'"(\w+)"', line[1]) == list(ACTIVATIONS)

    def test_examples(self) -> None:
        rows = re.findall(r"^\| `(\S+)` \| `(\S+)` \|", self.PAGE, re.M)
        assert len(rows) == 6
        assert [str(Recipe.parse(short)) for short, _ in rows] == [full for _, full in rows]

    def test_refusals(self) -> None:
        line = re.search(r"What is not a recipe is refused: (.*?)\n\n", self.PAGE, re.S)
        assert line is not None
        refused = re.findall(r"`(\S+?)`", line[1])
        assert len(refused) == 5
        for text in refused:
            with pytest.raises(l2l.RecipeError):
                Recipe.parse(text)
