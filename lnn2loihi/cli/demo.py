"""Verbs for a first look: doctor, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    FAILED_CHECK,
    MISSING_BACKEND,
    Json,
    RecipeText,
    app,
    print_result,
    progress_bars,
)
from lnn2loihi.defaults import DEFAULT_RECIPE
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
    sequences: Annotated[int, typer.Option(min=1, help="Test sequences.")] = 64,
    as_json: Json = False,
) -> None:
    """Walk the whole road with a shipped network for a noisy damped sine wave."""
    with importing():
        from lnn2loihi.demo import run_demo

    with progress_bars() as on_step:
        done = run_demo(folder, recipe=recipe, sequences=sequences, progress=on_step)
    parts = [done.network.summary(), done.program.summary()]
    parts += [done.verification.summary()] if done.verification else []
    parts += [done.comparison.summary(), done.account()]
    print_result(done.to_dict(), "\n\n".join(parts), as_json)
    if done.verification is None:
        raise typer.Exit(MISSING_BACKEND)
    raise typer.Exit(0 if done.verification.bit_exact else FAILED_CHECK)
