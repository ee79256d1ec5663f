"""The verb explain: pages of the documentation, where their subject is asked for.

A recipe and the name of a file lead to the page about them.
"""

from __future__ import annotations

import io
import re
from importlib import resources
from pathlib import PurePath
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

#: Other words for topics, without the s of several.
ALIASES = {
    "document": "json", "exit": "exit-codes", "exit-code": "exit-codes", "code": "exit-codes",
    "checkpoint": "description", "sample-file": "samples",
}  # fmt: skip

#: For suffixes of files what they are, the page about them, and what is done with one.
FILES = {
    (".l2l",): ("a program: quantized integers", "files", "inspect, simulate, compare, profile"),
    (".l2n",): ("a float network", "files", "inspect, quantize"),
    (".l2m",): ("a converted module: chip and host parts", "files", "inspect, simulate, profile"),
    (".npy", ".npz", ".csv"): ("samples", "samples", "quantize -c, simulate -i, compare -i"),
    (".toml",): ("a description of a checkpoint", "description", "inspect, quantize"),
    (".pt", ".pth", ".ckpt", ".safetensors"): (
        "a checkpoint", "description", "inspect, import, quantize"
    ),
    (".keras", ".h5", ".onnx"): ("a file of weights", "files", "inspect, import, quantize"),
}  # fmt: skip


@app.command()
def explain(
    topic: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            help=f"One of {', '.join(TOPICS)}, a recipe such as w8a12, or the name of a file; a "
            "list of topics without it.",
            autocompletion=topics_that_begin,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain recipes, files, samples, descriptions, targets, exit codes and documents."""
    if not topic:
        lines = [f"{name:12}  {what}" for name, what in TOPICS.items()]
        print_result({"topics": TOPICS}, "\n".join(lines), as_json)
        return
    about, asked = "", " ".join(topic)
    name = _topic(asked)
    if name is None:
        about, name = _about(asked)
    page = resources.files("lnn2loihi.cli").joinpath("topics").joinpath(f"{name}.md")
    text = page.read_text(encoding="utf-8").rstrip()
    text = f"{about}\n\n{text}" if about else text
    shown = text if as_json else _as_lines(text)
    print_result({"topic": name, "text": text}, shown, as_json, folded=False)


def _topic(asked: str) -> str | None:
    """The topic that is meant, in one number or the other, with a space or a hyphen."""
    plain = "-".join(asked.lower().replace("_", " ").replace("-", " ").split())
    plain = ALIASES.get(plain.removesuffix("s"), plain)
    return next((t for t in TOPICS if t.removesuffix("s") == plain.removesuffix("s")), None)


def _about(asked: str) -> tuple[str, str]:
    """What a recipe or a name of a file means, and the topic that says more.

    Raises:
        RecipeError: it is a recipe, with a width that does not exist.
        InputError: it is neither.
    """
    if re.fullmatch(r"w\d+a\d+.*", asked):
        return _recipe_in_words(l2l.Recipe.parse(asked)), "recipe"
    suffix = PurePath(asked).suffix.lower()
    for suffixes, (what, topic, verbs) in FILES.items():
        if suffix in suffixes:
            return f"By its suffix, {asked} is {what}. Verbs that take one: {verbs}.", topic
    raise l2l.InputError(
        "explain",
        f"{asked!r:.60} is no topic; there are {', '.join(TOPICS)}, recipes such as w8a12, and "
        "names of files",
    )


def _recipe_in_words(recipe: l2l.Recipe) -> str:
    """The widths that a recipe asks for."""
    largest = 2 ** (recipe.weight_bits - 1)
    return (
        f"{recipe} asks for weights of {recipe.weight_bits} bits, integers from {-largest} to "
        f"{largest - 1}; for states and messages of {recipe.message_bits} bits; for samples of "
        f"{recipe.input_bits} bits; and for the form {recipe.activation} of tanh."
    )


def _as_lines(page: str) -> str:
    """A page in Markdown as lines that fit the terminal."""
    from rich.console import Console
    from rich.markdown import Markdown

    from lnn2loihi.tables import width

    console = Console(file=io.StringIO(), width=min(width(), 100), color_system=None)
    with console.capture() as captured:
        console.print(Markdown(page))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
