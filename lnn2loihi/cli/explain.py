"""The verb explain: pages of the documentation, where their subject is asked for."""

from __future__ import annotations

import io
from importlib import resources
from typing import Annotated, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import Json, app, print_result
from lnn2loihi.cli.completion import topics_that_begin

#: What is explained, in a few words. Each is a page of docs/, which the folder topics/ links.
TOPICS = {
    "recipe": "widths of weights, messages and inputs: w8a12",
    "samples": "files of samples: .npy, .npz, .csv",
    "description": "what a checkpoint needs beside it: .toml",
    "targets": "what programs are prepared for: fused, split, stock",
    "files": "what is read and written, what is never replaced, limits",
    "json": "documents of --json, and their keys",
    "exit-codes": "0, 1, 2, 3 and 130",
}


@app.command()
def explain(
    topic: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            help=f"One of {', '.join(TOPICS)}; a list without it.",
            autocompletion=topics_that_begin,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain recipes, files of samples, descriptions, exit codes and documents."""
    if topic is None:
        lines = [f"{name:12}  {what}" for name, what in TOPICS.items()]
        print_result({"topics": TOPICS}, "\n".join(lines), as_json)
        return
    if topic not in TOPICS:
        raise l2l.InputError("explain", f"{topic!r:.60} is no topic; there are {', '.join(TOPICS)}")
    page = resources.files("lnn2loihi.cli").joinpath("topics").joinpath(f"{topic}.md")
    text = page.read_text(encoding="utf-8").rstrip()
    shown = text if as_json else _as_lines(text)
    print_result({"topic": topic, "text": text}, shown, as_json, folded=False)


def _as_lines(page: str) -> str:
    """A page in Markdown as lines that fit the terminal."""
    from rich.console import Console
    from rich.markdown import Markdown

    from lnn2loihi.tables import width

    console = Console(file=io.StringIO(), width=min(width(), 100), color_system=None)
    with console.capture() as captured:
        console.print(Markdown(page))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
