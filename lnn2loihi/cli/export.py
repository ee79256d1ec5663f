"""The verb that writes other formats: export."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    Description,
    Encoded,
    Force,
    Json,
    TargetName,
    Timespan,
    app,
    imported,
    is_module,
    joined_options,
    keep_inputs,
    live,
    loaded_program,
    print_result,
    read_sequences,
    refuse_import_options,
)
from lnn2loihi.cli.completion import formats_that_begin
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.defaults import PROGRAM_SUFFIX as SUFFIX
from lnn2loihi.startup import importing

if TYPE_CHECKING:
    from lnn2loihi.targets import Target

#: What to do with a converted module.
_PARTS = "unzip it: its parts/*.onnx are host parts, and its parts/*.l2l programs that export takes"


@app.command()
def export(
    source: Annotated[
        Path, typer.Argument(help=f"Program ({SUFFIX}), or a checkpoint or its description.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="File to write, such as net.onnx or net.c (net.h beside it), or folder of format "
            "loihi2.",
        ),
    ],
    format: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Name of the exporter; else the suffix of the file says it.",
            autocompletion=formats_that_begin,
        ),
    ] = None,
    dtype: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Type of samples and answers: int32 (programs; the default), float32, float64."
        ),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Make every state of every step an output too.")
    ] = False,
    option: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="An option of the exporter: name=value; may repeat. An unknown one lists all."
        ),
    ] = None,
    samples: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--samples",
            "--input",
            "-i",
            help="Samples that a board will run (format loihi2): .npy, .npz or .csv.",
        ),
    ] = None,
    encoded: Encoded = False,
    target: TargetName = DEFAULT_TARGET,
    description: Description = None,
    timespan: Timespan = None,
    import_option: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="An option of the importer: name=value; may repeat."),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a program (integers) or a network (floating point) in another format."""
    folder = format == "loihi2"
    keep_inputs([] if folder else [output], source, description, samples, force=force)
    if source.suffix == SUFFIX:
        refuse_import_options(
            "a program has been imported before",
            description=description, timespan=timespan, import_option=import_option,
        )  # fmt: skip
        loaded = loaded_program(source, _PARTS)
    elif is_module(source):
        loaded = loaded_program(source, _PARTS)
    else:
        loaded = imported(source, description, timespan, import_option)
    with importing():
        from lnn2loihi.exporting import export_files, export_options, export_takes
        from lnn2loihi.targets import target_of

    aim = target_of(target)
    takes = partial(export_takes, loaded, output, format, aim)
    options = _flags(dtype, record, takes, format or str(output))
    given: dict[str, Any] | None = None
    if option:
        options = joined_options(options, export_options(loaded, output, format, aim, option))
    if samples is not None:
        if not isinstance(loaded, l2l.LoihiProgram) or not export_takes(
            loaded, output, format, aim, "x"
        ):
            _refuse_samples(loaded, format or str(output))
        given = read_sequences(samples, loaded.timed, encoded)
        options |= given
    elif encoded:
        raise l2l.InputError("--encoded", "is said of --samples: give both, or neither")
    warnings: tuple[str, ...] = ()
    if isinstance(loaded, l2l.LoihiProgram):
        program, loaded = loaded, aim.prepare(loaded)
        # It is prepared already: what belongs to the target is left.
        aim = replace(aim, passes=())
        warnings = _warnings(program, loaded, aim, given)
    written, files = export_files(loaded, output, format, aim, options)
    size = sum(one.stat().st_size for one in files)
    text = _text(written, files, size, loaded, source.suffix == SUFFIX)
    text += "".join(f"\nwarning: {warning}" for warning in warnings)
    result = {
        "file": str(written), "files": [str(one) for one in files], "bytes": size,
        "name": loaded.name, "warnings": [*warnings],
    }  # fmt: skip
    print_result(result, text, as_json)


def _flags(
    dtype: str | None, record: bool, takes: Callable[[str], bool], where: str
) -> dict[str, Any]:
    """The options that flags stand for; those that the exporter has not are refused as given."""
    options: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
    options |= {"record": True} if record else {}
    if not_taken := [f"--{name}" for name in options if not takes(name)]:
        raise l2l.InputError(
            ", ".join(not_taken),
            f"what {where} is written by takes no such option, other formats do (onnx); "
            "leave it out",
        )
    return options


def _refuse_samples(source: l2l.LoihiProgram | l2l.LiquidNetwork, where: str) -> NoReturn:
    """Says why samples are not taken."""
    if not isinstance(source, l2l.LoihiProgram):
        raise l2l.InputError("--samples", "are run by programs; quantize the network first")
    raise l2l.InputError(
        "--samples",
        f"are for what a board runs, and {where} holds none: leave them out, or give "
        "--format loihi2",
    )


def _text(
    written: Path,
    files: list[Path],
    size: int,
    source: l2l.LoihiProgram | l2l.LiquidNetwork,
    integers: bool,
) -> str:
    """What there is to say of files that were written: a folder of them, or one and its companions.

    Args:
        written: the folder or the file that was asked for.
        files: all files.
        size: their bytes.
        source: what was written.
        integers: whether it came from a file of integers.
    """
    kind = "integers, exactly those of the chip" if integers else "floating point"
    text = f"written: {written}, {size:,} bytes: {source.name} in {kind}"
    if written.is_dir():
        script = shlex.quote(str(written / "run.py"))
        return f"{text}\ntry it anywhere: python {script} --sim (README.md there says more)"
    if len(files) > 1:
        text += f"\nbeside it: {', '.join(one.name for one in files[1:])}"
    return text


def _warnings(
    source: l2l.LoihiProgram, prepared: l2l.LoihiProgram, target: Target, given: Any
) -> tuple[str, ...]:
    """What preparing has approximated, and with samples how far the answers are.

    Args:
        source: the program.
        prepared: what the target has made of it.
        target: the target.
        given: samples, as `simulate` takes them; None where there are none.
    """
    added = tuple(warning for warning in prepared.warnings if warning not in source.warnings)
    if given is None or target.exact or prepared is source:
        return added
    with importing():
        from lnn2loihi.precision import poor_outputs_text, precision_of
        from lnn2loihi.targets.target import far_warnings

    right, own = (
        live(l2l.simulate(one, **given).outputs, given["lengths"]) for one in (source, prepared)
    )
    return (*added, *far_warnings(target, poor_outputs_text(precision_of(right, own))))
