"""What the verbs share: options, what they read and write, and progress bars."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

import lnn2loihi as l2l
from lnn2loihi.cli.application import app as app
from lnn2loihi.cli.completion import recipes_that_begin, targets_that_begin
from lnn2loihi.cli.printing import print_result as print_result
from lnn2loihi.defaults import MODULE_SUFFIX, PROGRAM_SUFFIX
from lnn2loihi.files import check_not_input, look_at_target, note_input
from lnn2loihi.replacing import (
    ARRAY,
    KNOWN,
    NETWORK,
    PAGE,
    PROFILE,
    PROGRAM,
    SAMPLES,
    expect_kind,
    force_replacing,
    kind_of_content,
)
from lnn2loihi.startup import importing

if TYPE_CHECKING:
    import numpy as np

BAD_INPUT, FAILED_CHECK, MISSING_BACKEND = 1, 2, 3

Force = Annotated[
    bool,
    typer.Option("--force", help="Write also over a file of another kind than what is written."),
]
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
        "--input",
        "-i",
        help="Samples: .npy, .npz (x, perhaps timespans and lengths) or .csv; see: lnn2loihi "
        "explain samples.",
    ),
]
Encoded = Annotated[
    bool,
    typer.Option("--encoded", help="The samples are encoded messages: integers, sent as they are."),
]
#: Ends of files of equinox, which begin as arrays do.
EQUINOX = (".eqx", ".pkl")
#: The grammar in two lines; `lnn2loihi explain recipe` and docs/recipe.md have all of it.
_RECIPE = (
    "Bits of weights (w, 2 to 8), messages (a, 2 to 16) and perhaps inputs (x, 2 to 24), and "
    "perhaps how tanh is written: w8a12, w4a8x12, w8a12-lines16. See: lnn2loihi explain recipe"
)
RecipeText = Annotated[
    str, typer.Option("--recipe", "-r", help=f"{_RECIPE}.", autocompletion=recipes_that_begin)
]
# typer reads these annotations at run time, also on Python 3.10.
Description = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        help="TOML that says how the module was built; <checkpoint>.toml by default. See: "
        "lnn2loihi explain description."
    ),
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
    typer.Option("--target", help=f"{_TARGETS}.", autocompletion=targets_that_begin),
]
TargetNames = Annotated[
    str,
    typer.Option(
        "--target",
        help=f"{_TARGETS}; several, with commas, stand side by side; all: every one.",
        autocompletion=targets_that_begin,
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


def is_module(path: Path) -> bool:
    """Whether a file holds a converted module."""
    with importing():
        from lnn2loihi.storage import is_module_file

    return is_module_file(path)


def check_kind(path: Path, wanted: tuple[str, ...], what_to_do: str) -> None:
    """Refuses a file that holds something else than what a verb reads there, by what it is: often
    two files were given in the wrong order.

    Args:
        path: the file; one that is not there is refused too.
        wanted: kinds of `lnn2loihi.replacing` that are taken.
        what_to_do: the end of the sentence.

    Raises:
        InputError: names what the file holds, where that is known.
    """
    with importing():
        from lnn2loihi.files import why_no_file

    if not path.is_file():
        raise l2l.InputError(str(path), why_no_file(path))
    try:
        with open(path, "rb") as file:
            found = kind_of_content(file)
    except OSError:  # the reader says why
        return
    if found in KNOWN and found not in wanted:
        raise l2l.InputError(str(path), f"is {found}; {what_to_do}")


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
    check_kind(
        path, (PROGRAM, NETWORK), f"give a program ({PROGRAM_SUFFIX}), which quantize writes"
    )
    loaded = l2l.load(path)
    if not isinstance(loaded, l2l.LoihiProgram):
        raise l2l.InputError(
            str(path),
            f"is a float network; make a program of it first: lnn2loihi quantize {path.name} -c "
            f"SAMPLES -o {path.stem}{PROGRAM_SUFFIX}",
        )
    return loaded


def check_place(output: Path, *suffixes: str) -> None:
    """Refuses an output of another suffix, in a folder that does not exist, or that is a folder.

    Args:
        output: the file to write.
        suffixes: what its name may end with; the first is the usual one.

    Raises:
        InputError: says which of the three it is, and what to do.
    """
    problem = None
    if not output.name.lower().endswith(suffixes):
        problem = f"its name does not end with {suffixes[0]}, as that of what is written does"
        problem += f"; call it {output.name.partition('.')[0] or 'net'}{suffixes[0]}"
    elif output.is_dir():
        problem = "cannot be written: Is a directory; give the name of a file in it"
    elif not output.parent.is_dir():
        problem = f"there is no folder {output.parent}: make it first (mkdir -p), or give another"
    if problem is not None:
        raise l2l.InputError(str(output), problem)


def keep_inputs(
    outputs: Iterable[Path | None],
    *inputs: str | os.PathLike[str] | None,
    force: bool = False,
) -> None:
    """Refuses outputs that are files which the verb reads, or of another kind than what it writes,
    before it has worked for minutes.

    What only the readers know (the checkpoint of a description, weights beside an ONNX file) they
    note themselves; `lnn2loihi.files.write_atomically` refuses to replace either.

    Args:
        outputs: files to write; None where none was asked for.
        inputs: files to read; None where none was given, names that are no files are passed over.
        force: whether files of another kind may be replaced; the writers ask again.

    Raises:
        InputError: names the output and the input; two outputs are one file; or there is what
            could not be replaced, a folder, a pipe or a read-only file, or, without force, a file
            of another kind.
    """
    force_replacing(force)
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
        expect_kind(output)
        if (place := os.path.realpath(output)) in written:
            raise l2l.InputError(str(output), "is given for two outputs; give each its own file")
        written.add(place)


@contextmanager
def progress_bars(unit: str = ", chip steps") -> Iterator[Callable[[str, int, int], None]]:
    """As `lnn2loihi.showing.bars.progress_bars`, which is imported when it is asked for."""
    with importing():
        from lnn2loihi.showing import bars

    with bars.progress_bars(unit) as on_step:
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
    if source.is_file():
        wanted = tuple(KNOWN - {ARRAY, SAMPLES, PAGE, PROGRAM, PROFILE})
        if source.suffix.lower() in EQUINOX:  # arrays, one after the other
            wanted = (*wanted, ARRAY)
        check_kind(source, wanted, "give the float network: a checkpoint or its description")
    elif source.is_dir():
        with importing():
            from lnn2loihi.conversion import is_recognised

        if not is_recognised(source):
            raise l2l.InputError(str(source), f"is a folder; give a file{_files_in(source)}")
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


def _files_in(folder: Path) -> str:
    """Files of a folder that a network may come in, as the end of a sentence."""
    ends = (".toml", ".pt", ".pth", ".ckpt", ".safetensors", ".npz", ".keras", ".h5", ".onnx",
            ".l2n")  # fmt: skip
    names = sorted(one.name for one in folder.iterdir() if one.suffix in ends)
    return f" of it, such as {', '.join(names[:4])}" if names else ", such as net.pt"


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
