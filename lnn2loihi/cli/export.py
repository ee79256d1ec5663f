"""The verb that writes other formats: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    Description,
    Json,
    Timespan,
    app,
    imported,
    keep_inputs,
    print_result,
)
from lnn2loihi.defaults import PROGRAM_SUFFIX as SUFFIX


@app.command()
def export(
    source: Annotated[
        Path, typer.Argument(help=f"Program ({SUFFIX}), or a checkpoint or its description.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write, such as net.onnx.")
    ],
    format: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Name of the exporter; else the suffix of the file says it."),
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
    description: Description = None,
    timespan: Timespan = None,
    as_json: Json = False,
) -> None:
    """Write a program (integers) or a network (floating point) in another format."""
    keep_inputs([output], source, description)
    loaded = (
        l2l.load(source) if source.suffix == SUFFIX else imported(source, description, timespan)
    )
    options: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
    if record:
        options["record"] = True
    written = l2l.export(loaded, output, format=format, **options)
    size = written.stat().st_size
    kind = "integers, exactly those of the chip" if source.suffix == SUFFIX else "floating point"
    text = f"written: {written}, {size:,} bytes: {loaded.name} in {kind}"
    print_result({"file": str(written), "bytes": size, "name": loaded.name}, text, as_json)
