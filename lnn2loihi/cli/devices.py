"""The verb devices: list and show profiles, refit one from measurements, validate the model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import FAILED_CHECK, Json, app, keep_inputs, print_result
from lnn2loihi.startup import importing


@app.command()
def devices(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="Device to show: a name of the list, or a .toml file of your own."),
    ] = None,
    calibrate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Refit its costs to measurements: .json or .csv, see docs/cost.md."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="Write the (refitted) profile: .toml."),
    ] = None,
    validation: Annotated[
        bool, typer.Option("--validation", help="Run the cost model on published measurements.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Tables in Markdown, as docs/cost.md holds them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the devices that are known, or show, refit and write the profile of one."""
    if name is None and (calibrate or output):
        raise l2l.InputError("devices", "name the device whose profile is meant")
    if validation:
        if name is not None:
            raise l2l.InputError("--validation", "its cases name their devices; give no device")
        _validate(markdown, as_json)
    elif name is None:
        _list(as_json)
    else:
        _show(name, calibrate, output, markdown, as_json)


def _list(as_json: bool) -> None:
    with importing():
        from lnn2loihi.devices import device_tables, known_devices
        from lnn2loihi.devices.packages import OURS
        from lnn2loihi.tables import text_table

    found, kinds = list(known_devices()), device_tables().kinds
    headers = ["device", "what it is", "kind", "figure", "value", "grade"]
    rows: list[list[str]] = []
    for _, device in found:
        name = kinds[device.kind].shown
        shown = [name, str(device.figure(name)), device.figure(name).grade] if name else [""] * 3
        rows.append([device.name, device.title, device.kind, *shown])
    if any(package != OURS for package, _ in found):
        headers.append("package")
        rows = [[*row, package] for row, (package, _) in zip(rows, found, strict=True)]
    text = f"{text_table(headers, rows)}\n\nlnn2loihi devices NAME shows one with its sources."
    listed = [{**device.to_dict(), "package": package} for package, device in found]
    print_result(listed, text, as_json)


def _show(
    name: str, calibrate: Path | None, output: Path | None, markdown: bool, as_json: bool
) -> None:
    with importing():
        from lnn2loihi.cost.markdown import parameter_markdown

    keep_inputs([output], name, calibrate)
    device = l2l.load_device(name)
    result, text = device.to_dict(), parameter_markdown(device) if markdown else device.summary()
    if calibrate is not None:
        found = l2l.calibrate_profile(device, calibrate)
        device, result, text = found.device, found.to_dict(), found.summary()
    if output is not None:
        written = l2l.save_device(device, output)
        result, text = {**result, "written": str(written)}, f"{text}\n\nwritten: {written}"
    print_result(result, text, as_json)


def _validate(markdown: bool, as_json: bool) -> None:
    with importing():
        from lnn2loihi.cost.markdown import validation_markdown
        from lnn2loihi.cost.validation import validation_summary, validation_table

    rows = validation_table()
    text = validation_markdown(rows) if markdown else validation_summary(rows)
    plain = [{**asdict(row), "met": row.met, "covered": row.covered} for row in rows]
    print_result(plain, text, as_json)
    raise typer.Exit(FAILED_CHECK if any(row.verdict == "miss" for row in rows) else 0)
