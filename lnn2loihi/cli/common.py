"""What the verbs share: options, printing and progress bars."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from typer.core import TyperCommand

import lnn2loihi as l2l
from lnn2loihi.defaults import MODULE_SUFFIX, PROGRAM_SUFFIX
from lnn2loihi.files import check_not_input, look_at_target, note_input
from lnn2loihi.printable import printable_lines
from lnn2loihi.startup import importing

if TYPE_CHECKING:
    import numpy as np

BAD_INPUT, FAILED_CHECK, MISSING_BACKEND = 1, 2, 3

_printed = 0

app = typer.Typer(
    help="Liquid neural networks on Intel Loihi 2: quantize, simulate, verify, place, cost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Source = Annotated[
    Path,
    typer.Argument(
        help="Float network (.l2n), checkpoint (.pt, .safetensors, .keras), its description "
        "(.toml), or .onnx."
    ),
]
ProgramFile = Annotated[Path, typer.Argument(help=f"Program ({PROGRAM_SUFFIX}).")]
ProgramOrModule = Annotated[
    Path,
    typer.Argument(help=f"Program ({PROGRAM_SUFFIX}) or converted module ({MODULE_SUFFIX})."),
]
Samples = Annotated[
    Path,
    typer.Option(
        "--input", "-i", help="Samples: .npy, .npz (x, perhaps timespans and lengths) or .csv."
    ),
]
Encoded = Annotated[
    bool,
    typer.Option("--encoded", help="The samples are encoded messages: integers, sent as they are."),
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

ImportOptions = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--option", help="Another option of the importer: name=value; may repeat."),
]

#: Names are written out: nothing is loaded for a help. `tests/test_cli.py` compares them.
_TARGETS = (
    "What to prepare the program for: fused, split, split_one, split_graph, stock, or what a "
    "package brings (lnn2loihi doctor). Words of stock stand after a colon, as in stock:pre-6 or "
    "stock:fold-2-vec: pre or fold, 2, 4, 6 or 8 rectifiers, relu or vec"
)
TargetName = Annotated[
    str,
    typer.Option("--target", help=f"{_TARGETS}."),
]
TargetNames = Annotated[
    str,
    typer.Option(
        "--target",
        help=f"{_TARGETS}; several, with commas, stand side by side; all: every one.",
    ),
]


#: Options that take one of a few words, and these.
WORDS: dict[str, tuple[str, ...]] = {}


def one_of(option: str, words: tuple[str, ...]) -> Callable[[str], str]:
    """What checks the value of an option: before anything else is looked at, since an option whose
    value was left out takes what follows for it.

    Args:
        option: its name.
        words: what it takes.
    """
    WORDS[option] = words

    def check(value: str) -> str:
        if value not in words:
            raise l2l.InputError(option, f"{value!r:.40} is none of {', '.join(words)}")
        return value

    return check


def names_of(text: str) -> list[str]:
    """Names of targets that commas separate, each once; `all` stands for every one."""
    with importing():
        from lnn2loihi.targets import beside

    return beside.names_of(name.strip() for name in text.split(",") if name.strip()) or [text]


class NamingVerb(TyperCommand):
    """A verb whose help names the executors that packages have registered: {executors}.

    The names are read when the help is shown, and nothing is loaded for it.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, with the names."""
        with importing():
            from lnn2loihi.registry import Registry

        names = ", ".join(Registry("lnn2loihi.executors", "executor", object).names())
        for option in self.params:
            text = getattr(option, "help", None) or ""
            option.help = text.replace("{executors}", names)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def is_module(path: Path) -> bool:
    """Whether a file holds a converted module."""
    with importing():
        from lnn2loihi.storage import is_module_file

    return is_module_file(path)


def loaded_program(path: Path, instead: str) -> l2l.LoihiProgram:
    """The program of a file.

    Args:
        path: the file.
        instead: what to do where it holds a converted module.

    Raises:
        ArtifactError: it is no good.
        InputError: it holds a converted module, or a float network.
    """
    if is_module(path):
        raise l2l.InputError(
            str(path), f"is a converted module, which has several parts; {instead}"
        )
    loaded = l2l.load(path)
    if not isinstance(loaded, l2l.LoihiProgram):
        raise l2l.InputError(
            str(path),
            f"is a float network; make a program of it first: lnn2loihi quantize {path.name} -c "
            f"SAMPLES -o {path.stem}{PROGRAM_SUFFIX}",
        )
    return loaded


def keep_inputs(outputs: Iterable[Path | None], *inputs: str | os.PathLike[str] | None) -> None:
    """Refuses outputs that are files which the verb reads, before it has worked for minutes.

    What only the readers know (the checkpoint of a description, weights beside an ONNX file) they
    note themselves; `lnn2loihi.files.write_atomically` refuses to replace either.

    Args:
        outputs: files to write; None where none was asked for.
        inputs: files to read; None where none was given, names that are no files are passed over.

    Raises:
        InputError: names the output and the input; two outputs are one file; or there is what
            could not be replaced, a folder, a pipe or a read-only file.
    """
    for source in inputs:
        if source is not None:
            note_input(source)
    written: set[str] = set()
    for output in outputs:
        if output is None:
            continue
        check_not_input(output)
        try:
            look_at_target(output)
        except OSError as error:
            raise l2l.InputError(str(output), f"cannot be written: {error.strerror}") from error
        if (place := os.path.realpath(output)) in written:
            raise l2l.InputError(str(output), "is given for two outputs; give each its own file")
        written.add(place)


def results_printed() -> int:
    """How many results verbs have printed in this process."""
    return _printed


def print_result(result: Any, text: str, as_json: bool) -> None:
    """The result on standard output, as text or as one JSON document."""
    global _printed
    _printed += 1
    typer.echo(
        json.dumps(_plain(result), indent=2, allow_nan=False) if as_json else printable_lines(text)
    )


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers that it has no notation for become null."""
    with importing():
        import numpy as np

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
def progress_bars(unit: str = ", chip steps") -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error, where that is a terminal.

    Args:
        unit: what stands behind each bar's name.
    """
    with importing():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:  # some versions end even a disabled bar with an empty line
        yield lambda name, done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def on_step(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(f"{name}{unit}", total=total)
            bar.update(tasks[name], completed=done)

        yield on_step


def read_sequences(samples: Path, irregular: bool, encoded: bool | None = None) -> dict[str, Any]:
    """As `lnn2loihi.samples.read_sequences`, which is imported when it is asked for."""
    with importing():
        from lnn2loihi import samples as files

    return files.read_sequences(samples, irregular, encoded)


def imported(
    source: Path,
    description: Path | None,
    timespan: str | None,
    texts: Sequence[str] | None = None,
) -> l2l.LiquidNetwork:
    """The network of a checkpoint, with the options of the command line.

    Args:
        source: the checkpoint, or its description.
        description: option of that name.
        timespan: option of that name, as text.
        texts: further options of the importer, as name=value.
    """
    options: dict[str, Any] = {"description": description, "timespan": timespan}
    if timespan is not None and timespan != "irregular":
        try:
            options["timespan"] = float(timespan)
        except ValueError:
            raise l2l.InputError(
                "--timespan", f"{timespan!r} is neither a number nor: irregular"
            ) from None
    given = {name: value for name, value in options.items() if value is not None}
    if texts:
        with importing():
            from lnn2loihi.conversion import import_options

        given = joined_options(given, import_options(source, texts))
    return l2l.import_network(source, **given)


def refuse_import_options(why: str, **options: object) -> None:
    """Refuses options of an importer where none is asked; an underscore stands for a hyphen."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        raise l2l.InputError(", ".join(given), f"has no effect here: {why}")


def joined_options(given: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the command line, and those that were written as name=value; none is both."""
    twice = [name for name in written if name in given]
    if twice:
        raise l2l.InputError("options", f"{', '.join(twice)} is given twice: leave --option out")
    return {**given, **written}


def live(outputs: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Answers before the ends of the sequences, (all of them, outputs)."""
    if lengths is None:
        return outputs.reshape(-1, outputs.shape[2])
    with importing():
        import numpy as np

    inside = np.arange(outputs.shape[1]) < lengths[:, None]
    if not inside.any():
        raise l2l.InputError("lengths", "all sequences have length 0; give at least one sample")
    return outputs[inside]
