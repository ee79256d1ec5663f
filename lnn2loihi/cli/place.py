"""The verb place: a program on cores and chips."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    Encoded,
    Json,
    ProgramOrModule,
    TargetName,
    app,
    is_module,
    print_result,
    progress_bars,
    read_sequences,
)
from lnn2loihi.cli.whole import loaded_module, refuse
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.startup import importing


@app.command()
def place(
    program: ProgramOrModule,
    device: Annotated[
        str, typer.Option("--device", "-d", help="Device (see: lnn2loihi devices), or a .toml.")
    ] = "loihi2-oheo-gulch",
    target: TargetName = DEFAULT_TARGET,
    objective: Annotated[
        str, typer.Option(help="balanced (short steps) or packed (few cores).")
    ] = "balanced",
    chips: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Chips that it may take; balanced uses them where they pay."),
    ] = None,
    samples: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--input",
            "-i",
            help="Samples to count messages of; without them every message counts as not zero.",
        ),
    ] = None,
    encoded: Encoded = False,
    as_json: Json = False,
) -> None:
    """Place a program on cores and chips, under the limits of a device."""
    with importing():
        from lnn2loihi.targets import target_of

    if is_module(program):
        refuse(program, "place", input=samples, encoded=encoded)
        module = loaded_module(program, "place")
        parts = module.place(device, target=target, objective=objective, chips=chips)
        found = {name: placement.to_dict() for name, placement in parts.items()}
        text = "\n\n".join(f"part {name}: {one.summary()}" for name, one in parts.items())
        print_result(found, text, as_json)
        return
    loaded, aim, counters = l2l.load(program), target_of(target), None
    if samples is not None:
        given = read_sequences(samples, loaded.timed, encoded)
        with progress_bars() as on_step:
            counters = l2l.simulate(
                aim.prepare(loaded), **given, progress=partial(on_step, "simulate")
            ).counters
    placement = l2l.place(
        loaded, device, target=aim, objective=objective, chips=chips, counters=counters
    )
    print_result(placement.to_dict(), placement.summary(), as_json)
