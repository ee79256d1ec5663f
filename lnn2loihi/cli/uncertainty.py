"""The verb that runs passes of Monte-Carlo dropout: monte-carlo."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import (
    Encoded,
    Force,
    Json,
    ProgramFile,
    Samples,
    app,
    keep_inputs,
    loaded_program,
    print_result,
    progress_bars,
    read_sequences,
)
from lnn2loihi.cli.completion import executors_that_begin
from lnn2loihi.startup import importing


@app.command("monte-carlo")
def monte_carlo(
    program: ProgramFile,
    samples: Samples,
    passes: Annotated[int, typer.Option("--passes", "-n", help="Passes, 2 or more.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of the masks.")] = 0,
    validation: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Samples with targets (.npz: x, targets) that training has not seen: the noise is "
            "fitted to them, and intervals say what they have covered there."
        ),
    ] = None,
    noise: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Standard deviation of the noise, where it is known."),
    ] = None,
    targets: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="What came, to be scored: .npy, or .npz with targets."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--output", "-o",
            help="Arrays to write (.npz): mean, std, samples, low95, high95, masks.",
        ),
    ] = None,
    executor: Annotated[
        str,
        typer.Option(
            help="auto (the fastest engine), or one of {executors}.",
            autocompletion=executors_that_begin,
        ),
    ] = "auto",
    encoded: Encoded = False,
    force: Force = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Say how sure the answers are: passes with dropout, of quantize --dropout."""
    with importing():
        from lnn2loihi.samples import read_array, write_arrays

    if output is not None and output.suffix != ".npz":
        raise l2l.InputError("--output", f"{output} holds several arrays: give a .npz file")
    if validation is not None and noise is not None:
        raise l2l.InputError("--noise", "is fitted to --validation: give one of the two")
    keep_inputs([output], program, samples, validation, targets, force=force)
    loaded = loaded_program(program, "monte-carlo takes programs with dropout")
    given = read_sequences(samples, loaded.timed, encoded)
    common: dict[str, Any] = {"samples": passes, "seed": seed, "engine": executor}
    with progress_bars() as on_step:
        fitted: Any = noise
        if validation is not None:
            known = read_sequences(validation, loaded.timed)
            if validation.suffix.lower() != ".npz":
                raise l2l.InputError(
                    str(validation), "give an .npz file with samples as x and what is right as "
                    "targets"
                )  # fmt: skip
            right = read_array(validation, "targets")
            fitted = l2l.fit_noise(
                l2l.monte_carlo(loaded, **known, **common, progress=partial(on_step, "validate")),
                right,
            )
        result = l2l.monte_carlo(
            loaded, **given, **common, noise=fitted, progress=partial(on_step, "simulate")
        )
    account, text = result.to_dict(), result.summary()
    if targets is not None:
        scores = result.scores(read_array(targets, "targets"))
        account["scores"] = scores.to_dict()
        text += f"\n\n{scores.summary()}"
    account["written"] = None
    if output is not None:
        interval = result.interval(0.95)
        arrays = {
            "mean": result.mean, "std": result.std, "samples": result.samples,
            "low95": interval.low, "high95": interval.high,
            **{f"masks.{name}": kept for name, kept in result.masks.items()},
        }  # fmt: skip
        account["written"] = str(write_arrays(output, arrays))
    text += f"\nwritten: {output}" if output else "\nnothing written: give --output for the answers"
    print_result(account, text, as_json)
