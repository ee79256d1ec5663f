"""The command line: each verb is a few lines over the library.

Results go to standard output, as text or with --json as one JSON document; progress and errors
go to standard error. Exit codes: 0 done, 1 something given is wrong, 2 a check failed, 3 a
package is missing.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

import lnn2loihi as l2l
from lnn2loihi.artifact import SUFFIX
from lnn2loihi.demo import run_demo
from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.neurons.listing import listing
from lnn2loihi.quantize.recipe import DEFAULT_RECIPE
from lnn2loihi.samples import read_samples, read_timespans, write_arrays

BAD_INPUT, FAILED_CHECK, MISSING_BACKEND, INTERRUPTED = 1, 2, 3, 130

try:  # typer carries its own copy of click since 0.20
    from typer._click.exceptions import ClickException
except ImportError:
    from click import ClickException

app = typer.Typer(
    help="Liquid neural networks on Intel Loihi 2: quantize, simulate, verify in Lava.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Source = Annotated[
    Path, typer.Argument(help="Checkpoint (.pt, .safetensors) or its description (.toml).")
]
ProgramFile = Annotated[Path, typer.Argument(help=f"Program ({SUFFIX}).")]
Samples = Annotated[
    Path,
    typer.Option("--input", "-i", help="Samples: .npy, .npz (x, perhaps timespans) or .csv."),
]
RecipeText = Annotated[str, typer.Option("--recipe", "-r", help="For example w8a12 or w4a8x12.")]
# typer reads these annotations at run time, also on Python 3.10.
Description = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="TOML that says how the module was built; <checkpoint>.toml by default."),
]
Timespan = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Constant elapsed time between samples, or: irregular (it comes with the samples, as "
        "timespans in the .npz file); else the description's, else 1."
    ),
]


def _print(result: Any, text: str, as_json: bool) -> None:
    typer.echo(json.dumps(_plain(result), indent=2, allow_nan=False) if as_json else text)


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers that it has no notation for become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, type(None))) else str(value)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
    )
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        tasks: dict[str, Any] = {}

        def on_step(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(f"{name}, chip steps", total=total)
            bar.update(tasks[name], completed=done)

        yield on_step


def _import(source: Path, description: Path | None, timespan: str | None) -> l2l.LiquidNetwork:
    options: dict[str, Any] = {"description": description, "timespan": timespan}
    if timespan is not None and timespan != "irregular":
        try:
            options["timespan"] = float(timespan)
        except ValueError:
            raise l2l.InputError(
                "--timespan", f"{timespan!r} is neither a number nor: irregular"
            ) from None
    return l2l.import_network(source, **{k: v for k, v in options.items() if v is not None})


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"lnn2loihi {l2l.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Liquid neural networks on Intel Loihi 2: quantize, simulate, verify in Lava."""


@app.command()
def doctor(as_json: Json = False) -> None:
    """List what is installed, what is missing, which verbs that costs, and how to mend it."""
    report = l2l.examine()
    _print(report.to_dict(), report.summary(), as_json)
    raise typer.Exit(0 if report.core_works else 1)


@app.command()
def inspect(
    source: Annotated[Path, typer.Argument(help=f"Checkpoint, description or program ({SUFFIX}).")],
    description: Description = None,
    timespan: Timespan = None,
    show_listing: Annotated[
        bool, typer.Option("--listing", help="Print the neuron programs of a program file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is in a checkpoint or in a program."""
    if source.suffix != SUFFIX:
        network = _import(source, description, timespan)
        _print(network.to_dict(), network.summary(), as_json)
        return
    program = l2l.load(source)
    text, listings = [program.summary()], {}
    for population in program.populations:
        listings[population.name] = listing(
            population.program,
            program.schedule.first_valid[population.name],
            program.schedule.period,
        )
        if show_listing:
            text.append(f"\n{population.name}\n{listings[population.name].text}")
    result = {
        "name": program.name,
        "recipe": program.recipe,
        "table": [dict(row) for row in program.table],
        "schedule": {
            "period": program.schedule.period,
            "first_valid": dict(program.schedule.first_valid),
            "first_input": program.schedule.first_input,
            "interleave": program.schedule.interleave,
        },
        "provenance": dict(program.provenance),
        "listings": {name: vars(found) for name, found in listings.items()},
    }
    _print(result, "\n".join(text), as_json)


@app.command()
def quantize(
    source: Source,
    calibrate: Annotated[
        Path, typer.Option("--calibrate", "-c", help="Typical samples: .npy, .npz or .csv.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help=f"Program to write ({SUFFIX}).")],
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="For example w8a12.")
    ] = DEFAULT_RECIPE,
    description: Description = None,
    timespan: Timespan = None,
    as_json: Json = False,
) -> None:
    """Turn a trained network into integers, proved free of overflow."""
    if output.suffix != SUFFIX or not output.parent.is_dir():
        raise l2l.InputError(str(output), f"give a {SUFFIX} file in a folder that exists")
    network = _import(source, description, timespan)
    x = read_samples(calibrate)
    elapsed = read_timespans(calibrate) if network.irregular else None
    program = l2l.quantize(network, calibrate=x, calibrate_timespans=elapsed, recipe=recipe)
    written = l2l.save(program, output)
    result = {"file": str(written), "table": [dict(row) for row in program.table]}
    _print(result, f"{program.summary()}\nwritten: {written}", as_json)


@app.command()
def compare(
    source: Source,
    program: ProgramFile,
    samples: Samples,
    description: Description = None,
    timespan: Timespan = None,
    as_json: Json = False,
) -> None:
    """Compare the float network with its integers, stage by stage and step by step."""
    network, loaded = _import(source, description, timespan), l2l.load(program)
    x = read_samples(samples)
    elapsed = read_timespans(samples) if loaded.timed else None
    with _progress() as on_step:
        result = l2l.compare(
            network, loaded, x, timespans=elapsed, progress=partial(on_step, "integers")
        )
    _print(result.to_dict(), result.summary(), as_json)


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
    elapsed = read_timespans(samples) if loaded.timed else None
    with _progress() as on_step:
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
    _print(account, text, as_json)


@app.command()
def verify(
    program: ProgramFile,
    samples: Samples,
    executors: Annotated[
        str, typer.Option(help="Executors to compare; the first is the standard.")
    ] = "reference,lava",
    as_json: Json = False,
) -> None:
    """Compare executors bit for bit, every state of every step; exit code 2 on a difference."""
    names = tuple(name.strip() for name in executors.split(",") if name.strip())
    loaded, x = l2l.load(program), read_samples(samples)
    elapsed = read_timespans(samples) if loaded.timed else None
    with _progress() as on_step:
        result = l2l.verify(loaded, x, names, timespans=elapsed, progress=on_step)
    _print(result.to_dict(), result.summary(), as_json)
    raise typer.Exit(0 if result.bit_exact else FAILED_CHECK)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path(
        "out/demo"
    ),
    recipe: RecipeText = DEFAULT_RECIPE,
    sequences: Annotated[int, typer.Option(min=1, help="Test sequences.")] = 64,
    as_json: Json = False,
) -> None:
    """Walk the whole road with a shipped network for a noisy damped sine wave."""
    with _progress() as on_step:
        done = run_demo(folder, recipe=recipe, sequences=sequences, progress=on_step)
    parts = [done.network.summary(), done.program.summary()]
    parts += [done.verification.summary()] if done.verification else []
    parts += [done.comparison.summary(), done.account()]
    _print(done.to_dict(), "\n\n".join(parts), as_json)
    if done.verification is None:
        raise typer.Exit(MISSING_BACKEND)
    raise typer.Exit(0 if done.verification.bit_exact else FAILED_CHECK)


def main() -> None:
    """Entry point: errors of the library become one message and an exit code."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code or 0)
    except Lnn2LoihiError as error:
        _complain(str(error), error.exit_code)
    except ClickException as error:
        _complain(f"{error.format_message()} (see lnn2loihi --help)", BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()  # the reader has gone, which is no error
        sys.exit(0)
    except OSError as error:
        _drop_output()
        _complain(f"{error.filename or 'output'}: {error.strerror or error}", BAD_INPUT)


def _complain(message: str, code: int) -> None:
    """One message on standard error, and the end."""
    Console(stderr=True, soft_wrap=True).print(message, markup=False, highlight=False)
    sys.exit(code)


def _drop_output() -> None:
    """What could not be written is not tried again while the interpreter ends."""
    with suppress(io.UnsupportedOperation):  # standard output is no file
        target = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, target)
        os.close(null)
