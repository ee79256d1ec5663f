"""The verb build: the whole road from one file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import Json, app, print_result, progress_bars
from lnn2loihi.startup import importing


@app.command()
def build(
    file: Annotated[Path, typer.Argument(help="What to do (.toml).")] = Path("lnn2loihi.toml"),
    only: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="A step, such as quantize, and what it needs that has to be done; may repeat."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Do the steps again, whatever has changed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and why, and do nothing.")
    ] = False,
    template: Annotated[
        bool, typer.Option("--template", help="Write the file, with every key explained.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Walk the whole road as a file says it: import, quantize, verify, ..., report, export.

    What has not changed is not done again; docs/build.md has all keys.
    """
    if template:
        _write_template(file, as_json)
        return
    if not file.exists():
        raise l2l.InputError(
            str(file), f"there is no such file; lnn2loihi build {file} --template writes one"
        )
    with _steps_or_bars() as on_step:
        done = l2l.build(file, only=only or (), force=force, dry_run=dry_run, progress=on_step)
    print_result(done.to_dict(), done.summary(), as_json)
    raise typer.Exit(done.exit_code)


@contextmanager
def _steps_or_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on a terminal; elsewhere a line of standard error for each step that begins, because a
    build may take minutes.
    """
    if sys.stderr.isatty():
        with progress_bars("") as on_step:
            yield on_step
        return
    begun: set[str] = set()

    def said(name: str, done: int, total: int) -> None:
        if name not in begun:
            begun.add(name)
            typer.echo(f"{name} ...", err=True)

    yield said


def _write_template(file: Path, as_json: bool) -> None:
    with importing():
        from lnn2loihi.building.template import TEMPLATE
        from lnn2loihi.files import write_atomically

    if file.suffix.lower() != ".toml" or not file.parent.is_dir():
        raise l2l.InputError(str(file), "give a .toml file in a folder that exists")
    if file.exists():
        raise l2l.InputError(str(file), "is there already; give another name, or move it away")
    written = write_atomically(file, TEMPLATE.encode())
    text = f"written: {written}\nedit it, then: lnn2loihi build {written} --dry-run"
    print_result({"written": str(written)}, text, as_json)
