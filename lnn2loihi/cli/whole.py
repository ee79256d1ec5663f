"""Verbs on converted modules: run, and what others do where they meet one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.common import Force, Json, app, keep_inputs, print_result
from lnn2loihi.cli.completion import executors_that_begin
from lnn2loihi.defaults import MODULE_SUFFIX as SUFFIX
from lnn2loihi.startup import importing


@app.command()
def run(
    module: Annotated[Path, typer.Argument(help=f"Converted module ({SUFFIX}).")],
    samples: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(
            help="Arguments: .npz with an array for each, by its name, or .npy for one; by default "
            "the example that the module was converted with."
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="Answers to write: .npz, or .npy where there is one."),
    ] = None,
    executor: Annotated[
        str,
        typer.Option(
            help="auto (the fastest engine), or one of {executors}.",
            autocompletion=executors_that_begin,
        ),
    ] = "auto",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compute what a converted module answers: host parts in float, chip parts in integers."""
    with importing():
        from lnn2loihi.converted.calls import answer_arrays
        from lnn2loihi.samples import write_arrays

    keep_inputs([output], module, samples, force=force)
    loaded, args, keywords = loaded_call(module, samples, "run")
    result = loaded.run(*args, executor=executor, **keywords)
    arrays = answer_arrays(loaded, result.answer)
    written = None
    if output is not None:
        if output.suffix.lower() == ".npy" and len(arrays) != 1:
            raise l2l.InputError(str(output), f"the module answers {len(arrays)} arrays; give .npz")
        single = {"outputs": next(iter(arrays.values()))} if arrays else {}
        written = str(write_arrays(output, single if output.suffix.lower() == ".npy" else arrays))
    rows = {
        place: {
            "shape": list(array.shape),
            "smallest": float(array.min()) if array.size else None,
            "largest": float(array.max()) if array.size else None,
        }
        for place, array in arrays.items()
    }
    found = {
        "answer": rows,
        "saturated_inputs": result.saturated_inputs,
        "saturated_words": {name: one.saturations for name, one in result.parts.items()},
        "saturated_states": {name: dict(one) for name, one in result.saturated_states.items()},
        "notes": list(result.notes),
        "warnings": list(result.warnings),
        "written": written,
    }
    lines = [
        f"{place} {'x'.join(map(str, row['shape'])) or 'number'}, between {row['smallest']:g} and "
        f"{row['largest']:g}"
        if row["smallest"] is not None
        else f"{place} is empty"
        for place, row in rows.items()
    ]
    lines += [result.summary()]
    lines += [f"written: {output}" if output else "nothing written: give --output for the answers"]
    print_result(found, "\n".join(lines), as_json)


def loaded_module(path: Path, verb: str) -> l2l.ConvertedModule:
    """The converted module of a file.

    Raises:
        InputError: it holds a program, or a float network.
    """
    loaded = l2l.load(path)
    if not isinstance(loaded, l2l.ConvertedModule):
        what, instead = "a program", "programs go to lnn2loihi simulate"
        if isinstance(loaded, l2l.LiquidNetwork):
            what, instead = "a float network", "networks go to lnn2loihi quantize"
        raise l2l.InputError(
            str(path), f"is {what}; {verb} takes a converted module ({SUFFIX}), {instead}"
        )
    return loaded


def loaded_call(path: Path, samples: Path | None, verb: str) -> tuple[Any, Any, Any]:
    """A converted module, and the arguments of a file, or of its example."""
    with importing():
        from lnn2loihi.converted.calls import read_call

    loaded = loaded_module(path, verb)
    args, keywords = read_call(loaded, samples)
    return loaded, args, keywords


def refuse(path: Path, verb: str, **options: object) -> None:
    """Refuses options that have no meaning for a converted module; an underscore is a hyphen."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if given:
        raise l2l.InputError(
            ", ".join(given), f"{verb} of a converted module ({path.name}) does not take it"
        )
