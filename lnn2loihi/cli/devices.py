"""The verb devices: list and show profiles, refit one from measurements, validate the model, and
write the experiment for owners of boards.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import FAILED_CHECK, Force, Json, app, keep_inputs, print_result
from lnn2loihi.cli.completion import devices_that_begin
from lnn2loihi.startup import importing


@app.command()
def devices(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            help="Device to show: a name of the list, or a .toml file of your own.",
            autocompletion=devices_that_begin,
        ),
    ] = None,
    calibrate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Refit its costs to measurements: .json or .csv, see docs/cost.md."),
    ] = None,
    experiment: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Write a two-hour measuring plan for the owner of a board: a folder, see "
            "docs/experiment.md."
        ),
    ] = None,
    experiment_log: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            help="Refit its costs to what measure.py of that folder has logged; may be repeated."
        ),
    ] = None,
    cores: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="CASE=N",
            help="With --experiment-log: cores that the compiler took; may be repeated.",
        ),
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
    force: Force = False,
    as_json: Json = False,
) -> None:
    """List the devices that are known, or show, refit and write the profile of one."""
    if cores and not experiment_log:
        raise l2l.InputError("--cores", "says what --experiment-log leaves open: give both")
    if experiment is not None:
        given = {"a device": name, "--calibrate": calibrate, "--experiment-log": experiment_log,
                 "--output": output, "--validation": validation}  # fmt: skip
        if others := [option for option, value in given.items() if value]:
            raise l2l.InputError("--experiment", f"goes alone, without {', '.join(others)}")
        _write_experiment(experiment, as_json)
        return
    if name is None and (calibrate or experiment_log or output):
        raise l2l.InputError("devices", "name the device whose profile is meant")
    if calibrate and experiment_log:
        raise l2l.InputError("--calibrate", "and --experiment-log are two ways: give one of them")
    if validation:
        if name is not None:
            raise l2l.InputError("--validation", "its cases name their devices; give no device")
        _validate(markdown, as_json)
    elif name is None:
        _list(as_json)
    elif experiment_log:
        _analyse(name, experiment_log, cores or [], output, force, as_json)
    else:
        _show(name, calibrate, output, markdown, force, as_json)


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
        shown = [""] * 3
        if name:
            figure = device.figure(name)
            shown = [name.replace("_", " "), str(figure), figure.grade]
        rows.append([device.name, device.title, device.kind, *shown])
    if any(package != OURS for package, _ in found):
        headers.append("package")
        rows = [[*row, package] for row, (package, _) in zip(rows, found, strict=True)]
    text = f"{text_table(headers, rows)}\n\nlnn2loihi devices NAME shows one with its sources."
    listed = [{**device.to_dict(), "package": package} for package, device in found]
    print_result({"devices": listed}, text, as_json)


def _show(
    name: str,
    calibrate: Path | None,
    output: Path | None,
    markdown: bool,
    force: bool,
    as_json: bool,
) -> None:
    with importing():
        from lnn2loihi.cost.markdown import parameter_markdown

    keep_inputs([output], name, calibrate, force=force)
    device = l2l.load_device(name)
    result, text = device.to_dict(), parameter_markdown(device) if markdown else device.summary()
    if calibrate is not None:
        found = l2l.calibrate_profile(device, calibrate)
        device, result, text = found.device, found.to_dict(), found.summary()
    if output is not None:
        written = l2l.save_device(device, output)
        result, text = {**result, "written": str(written)}, f"{text}\n\nwritten: {written}"
    print_result(result, text, as_json, folded=not markdown)


def _write_experiment(folder: Path, as_json: bool) -> None:
    written = l2l.write_experiment(folder)
    script = shlex.quote(str(written / "measure.py"))
    text = (
        f"written: {written}\n\npython {script} --sim            # anywhere, a minute\n"
        f"python {script} --measure energy # on a board; README.md there says what, and when"
    )
    print_result({"written": str(written)}, text, as_json)


def _analyse(
    name: str,
    logs: list[Path],
    texts: list[str],
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    keep_inputs([output], name, *logs, force=force)
    found = l2l.analyse_experiment(name, logs, cores=_cores(texts))
    result, text = found.to_dict(), found.summary()
    if output is not None:
        written = l2l.save_device(found.device, output)
        result, text = {**result, "written": str(written)}, f"{text}\n\nwritten: {written}"
    print_result(result, text, as_json)


def _cores(texts: list[str]) -> dict[str, int]:
    """Cores of cases, of texts such as cores-060=61."""
    found: dict[str, int] = {}
    for text in texts:
        case, _, number = text.partition("=")
        if not (number.isascii() and number.isdecimal() and len(number) < 6):
            raise l2l.InputError("--cores", f"is {text!r:.60}, expected CASE=N: cores-060=61")
        if found.setdefault(case, int(number)) != int(number):
            raise l2l.InputError("--cores", f"{case} is given twice, {found[case]} and {number}")
    return found


def _validate(markdown: bool, as_json: bool) -> None:
    with importing():
        from lnn2loihi.cost.markdown import validation_markdown
        from lnn2loihi.cost.validation import validation_summary, validation_table

    rows = validation_table()
    text = validation_markdown(rows) if markdown else validation_summary(rows)
    plain = [{**asdict(row), "met": row.met, "covered": row.covered} for row in rows]
    print_result({"cases": plain}, text, as_json, folded=not markdown)
    raise typer.Exit(FAILED_CHECK if any(row.verdict == "miss" for row in rows) else 0)
