"""Verbs that run a program: simulate, verify."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    FAILED_CHECK,
    Json,
    ProgramFile,
    Samples,
    app,
    elapsed_times,
    print_result,
    progress_bars,
)
from lnn2loihi.samples import read_samples, write_arrays
from lnn2loihi.verify import ALL

#: What is compared where nobody has named anything.
DEFAULT_EXECUTORS = "reference,lava"


@app.command()
def simulate(
    program: ProgramFile,
    samples: Samples,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="Answers to write: .npz, or .npy for outputs alone."),
    ] = None,
    executor: Annotated[str, typer.Option(help="auto, c, blas, reference or lava.")] = "auto",
    states: Annotated[bool, typer.Option("--states", help="Write every state too.")] = False,
    as_json: Json = False,
) -> None:
    """Compute what the chip would answer."""
    if states and (output is None or output.suffix != ".npz"):
        raise l2l.InputError("--states", "states are written to an .npz file: give --output x.npz")
    loaded, x = l2l.load(program), read_samples(samples)
    run = l2l.run_lava if executor == "lava" else partial(l2l.simulate, engine=executor)
    elapsed = elapsed_times(samples, loaded.timed)
    with progress_bars() as on_step:
        result = run(
            loaded,
            x,
            timespans=elapsed,
            return_states=states,
            progress=partial(on_step, "simulate"),
        )
    arrays: dict[str, Any] = {"outputs": result.outputs, "integers": result.integers}
    for name, words in (result.states or {}).items():
        arrays |= {f"{name}.{word}": values for word, values in words.items()}
    account = {
        "sequences": x.shape[0],
        "steps": x.shape[1],
        "outputs": result.outputs.shape[2],
        "smallest": float(result.outputs.min()),
        "largest": float(result.outputs.max()),
        "saturated_inputs": result.saturated_inputs,
        "executor": result.executor,
        "written": None if output is None else str(write_arrays(output, arrays)),
    }
    text = (
        f"{account['sequences']} sequences of {account['steps']} samples, outputs between "
        f"{account['smallest']:g} and {account['largest']:g}; "
        f"{account['saturated_inputs']:,} of {x.size:,} input values outside the calibrated "
        f"range; {account['executor']}\n"
    )
    text += f"written: {output}" if output else "nothing written: give --output for the answers"
    print_result(account, text, as_json)


@app.command()
def verify(
    program: ProgramFile,
    samples: Samples,
    executors: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help=f"Executors to compare, {DEFAULT_EXECUTORS} by default; the first is the standard."
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Compare all executors that are installed; slow ones on a share."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare executors bit for bit, every state of every step; exit code 2 on a difference."""
    if everything and executors is not None:
        raise l2l.InputError(
            "--all", "compares all executors, --executors names some: give one of the two"
        )
    chosen = DEFAULT_EXECUTORS if executors is None else executors
    loaded, x = l2l.load(program), read_samples(samples)
    elapsed = elapsed_times(samples, loaded.timed)
    with progress_bars() as on_step:
        result = l2l.verify(
            loaded, x, ALL if everything else chosen, timespans=elapsed, progress=on_step
        )
    print_result(result.to_dict(), result.summary(), as_json)
    raise typer.Exit(0 if result.bit_exact else FAILED_CHECK)
