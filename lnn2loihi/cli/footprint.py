"""The verb footprint: what a program needs of a micro-controller."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import Json, app, loaded_program, print_result
from lnn2loihi.cli.completion import (
    microcontrollers_that_begin,
    parts_that_begin,
    words_that_begin,
)


@app.command()
def footprint(
    program: Annotated[Path, typer.Argument(help="The program: .l2l.")],
    part: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--part",
            "-p",
            help="Processor: cortex-m0plus, cortex-m4, cortex-m7, cortex-m33 or rv32imc "
            "(default: the device's own, else cortex-m4).",
            autocompletion=parts_that_begin,
        ),
    ] = None,
    goal: Annotated[
        str,
        typer.Option(
            help="What it is compiled for: size or speed.",
            autocompletion=words_that_begin(("size", "speed")),
        ),
    ] = "size",
    device: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--device",
            "-d",
            help="Micro-controller whose memory it must fit, such as "
            "mcu-stm32u385 (see: lnn2loihi devices), or a .toml.",
            autocompletion=microcontrollers_that_begin,
        ),
    ] = None,
    flash: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Bytes of flash that it must fit, in place of the device's."),
    ] = None,
    ram: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Bytes of RAM that it must fit, in place of the device's."),
    ] = None,
    samples: Annotated[int, typer.Option(help="Samples whose instructions are counted.")] = 4,
    as_json: Json = False,
) -> None:
    """Count flash, RAM, stack and instructions of a program in C on a micro-controller.

    It is compiled for the part, and run in qemu: pip install ziglang, apt-get install qemu-user.
    """
    loaded = loaded_program(program, "footprint takes one of its programs")
    if goal not in ("size", "speed"):
        raise l2l.InputError("--goal", f"is {goal!r:.60}, expected size or speed")
    found = l2l.footprint(
        loaded, part, goal=goal, device=device, flash=flash, ram=ram, samples=samples
    )
    print_result(found.to_dict(), found.summary(), as_json)
