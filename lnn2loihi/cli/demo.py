"""Verbs for a first look: doctor, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    Json,
    RecipeText,
    app,
    print_result,
    progress_bars,
)
from lnn2loihi.defaults import DEFAULT_RECIPE, MOST_DEMO_SEQUENCES
from lnn2loihi.startup import importing


@app.command()
def doctor(as_json: Json = False) -> None:
    """List what is installed, what is missing, which verbs that costs, and how to mend it."""
    report = l2l.examine()
    print_result(report.to_dict(), report.summary(), as_json)
    raise typer.Exit(0 if report.core_works else 1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path(
        "out/demo"
    ),
    recipe: RecipeText = DEFAULT_RECIPE,
    sequences: Annotated[
        int, typer.Option(min=1, max=MOST_DEMO_SEQUENCES, help="Test sequences.")
    ] = 64,
    as_json: Json = False,
) -> None:
    """Walk the whole road with a shipped network for a noisy damped sine wave.

    What is written is a project to begin with: a network, samples, and a file that build walks.
    """
    with importing():
        from lnn2loihi.demo import run_demo

    with progress_bars("") as on_step:
        done = run_demo(folder, recipe=recipe, sequences=sequences, progress=on_step)
    print_result(done.to_dict(), done.summary(), as_json)
    raise typer.Exit(done.exit_code)
