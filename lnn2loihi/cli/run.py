"""Verbs that run a program: simulate, verify."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    FAILED_CHECK,
    Encoded,
    Force,
    Json,
    ProgramFile,
    ProgramOrModule,
    Samples,
    TargetName,
    app,
    is_module,
    keep_inputs,
    live,
    loaded_program,
    print_result,
    progress_bars,
    read_sequences,
)
from lnn2loihi.cli.completion import executors_that_begin
from lnn2loihi.cli.whole import loaded_call, refuse
from lnn2loihi.defaults import ALL, DEFAULT_EXECUTORS, DEFAULT_TARGET
from lnn2loihi.startup import importing
from lnn2loihi.tables import counted


@app.command()
def simulate(
    program: ProgramFile,
    samples: Samples,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="Answers to write: .npz, or .npy for outputs alone."),
    ] = None,
    executor: Annotated[
        str,
        typer.Option(
            help="auto (the fastest engine), or one of {executors}.",
            autocompletion=executors_that_begin,
        ),
    ] = "auto",
    target: TargetName = DEFAULT_TARGET,
    encoded: Encoded = False,
    states: Annotated[bool, typer.Option("--states", help="Write every state too.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compute what the chip would answer."""
    with importing():
        from lnn2loihi.samples import write_arrays
        from lnn2loihi.simulation.result import saturation_text
        from lnn2loihi.targets import target_of

    if states and (output is None or output.suffix != ".npz"):
        raise l2l.InputError("--states", "states are written to an .npz file: give --output x.npz")
    keep_inputs([output], program, samples, force=force)
    aim = target_of(target)
    loaded = aim.prepare(loaded_program(program, "lnn2loihi run takes it"))
    given = read_sequences(samples, loaded.timed, encoded)
    with progress_bars() as on_step:
        result = l2l.simulate(
            loaded, **given, engine=executor, return_states=states,
            progress=partial(on_step, "simulate"),
        )  # fmt: skip
    arrays: dict[str, Any] = {"outputs": result.outputs, "integers": result.integers}
    for name, words in (result.states or {}).items():
        arrays |= {f"{name}.{word}": values for word, values in words.items()}
    answers = live(result.outputs, given["lengths"])
    count, steps, _ = given["x"].shape
    account = {
        "sequences": count,
        "steps": steps,
        "samples": len(answers),
        "outputs": result.outputs.shape[2],
        "smallest": float(answers.min()),
        "largest": float(answers.max()),
        "saturated_inputs": result.saturated_inputs,
        "saturated_words": result.saturations,
        "executor": result.executor,
        "target": aim.name,
        "input_values": result.input_values,
        "warnings": [*loaded.warnings, *filter(None, [result.clipped_inputs])],
        "written": None if output is None else str(write_arrays(output, arrays)),
    }
    text = (
        f"{counted(count, 'sequence')} of {'up to ' if len(answers) < count * steps else ''}"
        f"{counted(steps, 'sample')}, "
        "outputs between "
        f"{account['smallest']:g} and {account['largest']:g}; "
        f"{account['saturated_inputs']:,} of {result.input_values:,} input values outside the "
        f"calibrated range; {saturation_text(result.saturations)}; {account['executor']}\n"
    )
    text += f"warning: {result.clipped_inputs}\n" if result.clipped_inputs else ""
    if aim.name != DEFAULT_TARGET:
        text += f"prepared for {aim.name}"
        text += "" if aim.exact else ", which approximates the program: verify says how closely"
        text += "\n" + "".join(f"warning: {warning}\n" for warning in loaded.warnings)
    text += f"written: {output}" if output else "nothing written: give --output for the answers"
    print_result(account, text, as_json)


@app.command()
def verify(
    program: ProgramOrModule,
    samples: Samples,
    executors: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help=f"Executors to compare, {','.join(DEFAULT_EXECUTORS)} by default, and the "
            "target's own for another one; where that is not installed, those that are. The first "
            "is the standard. There are {executors}.",
            autocompletion=executors_that_begin,
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Compare all executors that run it here; slow ones on a share."),
    ] = False,
    target: TargetName = DEFAULT_TARGET,
    encoded: Encoded = False,
    as_json: Json = False,
) -> None:
    """Compare executors bit for bit, every state of every step; exit code 2 on a difference."""
    if everything and executors is not None:
        raise l2l.InputError(
            "--all", "compares all executors, --executors names some: give one of the two"
        )
    named = ALL if everything else executors
    if is_module(program):
        refuse(program, "verify", encoded=encoded)
        module, args, keywords = loaded_call(program, samples, "verify")
        with progress_bars() as on_step:
            found = module.verify(
                *args, executors=named, target=target, progress=on_step, **keywords
            )
        print_result(found.to_dict(), found.summary(), as_json)
        raise typer.Exit(0 if found.bit_exact else FAILED_CHECK)
    loaded = loaded_program(program, "verify takes it as it is")
    given = read_sequences(samples, loaded.timed, encoded)
    with progress_bars() as on_step:
        result = l2l.verify(loaded, executors=named, **given, target=target, progress=on_step)
    print_result(result.to_dict(), result.summary(), as_json)
    raise typer.Exit(0 if result.bit_exact else FAILED_CHECK)
