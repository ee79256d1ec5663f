"""What halfcheetah.py and occupancy.py do after training: convert, compare, verify in Lava."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

import lnn2loihi as l2l
from lnn2loihi.errors import Lnn2LoihiError

console = Console()


def parser(description: str, data: str, epochs: int) -> argparse.ArgumentParser:
    """Options that both have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--data", type=Path, required=True, help=data)
    made.add_argument("--out", type=Path, required=True, help="folder for weights and program")
    made.add_argument("--epochs", type=int, default=epochs)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--recipe", default="w8a12")
    made.add_argument(
        "--lava-sequences", type=int, default=64, help="test sequences that Lava runs as well"
    )
    return made


@dataclass(frozen=True)
class Converted:
    """A program and the answers to the test sequences.

    `saturated_outputs` are those of the float network to the inputs as the chip gets them,
    rounded and saturated: what it adds to `float_outputs` is not the weights' doing.
    """

    program: l2l.LoihiProgram
    float_outputs: np.ndarray
    saturated_outputs: np.ndarray
    integer_outputs: np.ndarray


def convert(description: Path, arguments: Any, calibrate: np.ndarray, x: np.ndarray) -> Converted:
    """Takes a checkpoint down the whole road and verifies it in Lava.

    Args:
        description: TOML description of the checkpoint.
        arguments: parsed options.
        calibrate: calibration sequences (batch, time, inputs).
        x: test sequences (batch, time, inputs).
    """
    network = l2l.import_network(description)
    program = l2l.quantize(network, calibrate=calibrate, recipe=arguments.recipe)
    l2l.save(program, arguments.out / "program.l2l")
    console.print(str(program), highlight=False, soft_wrap=True)
    result = l2l.simulate(program, x)
    console.print(
        f"input values outside the calibrated range: {result.saturated_inputs:,} of {x.size:,}"
    )
    chosen = x[np.linspace(0, len(x) - 1, arguments.lava_sequences).astype(int)]
    with Progress(console=console, disable=not console.is_terminal) as progress:
        tasks = {name: progress.add_task(name, total=None) for name in ("reference", "lava")}

        def on_step(name: str, done: int, total: int) -> None:
            progress.update(tasks[name], completed=done, total=total)

        verified = l2l.verify(program, chosen, progress=on_step)
    console.print(verified.summary(), highlight=False, soft_wrap=True)
    if not verified.bit_exact:
        raise SystemExit(2)
    encoded = program.input.decode(program.input.encode(x)[0])
    return Converted(
        program, network.evaluate(x).outputs, network.evaluate(encoded).outputs, result.outputs
    )


def run(main: Any) -> None:
    """Runs one of them; errors of the library are messages, not tracebacks."""
    try:
        main()
    except Lnn2LoihiError as error:
        console.print(str(error), markup=False, style="red")
        raise SystemExit(error.exit_code) from None
