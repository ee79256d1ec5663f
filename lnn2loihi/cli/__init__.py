"""The command line: each verb is a few lines over the library.

Results go to standard output, as text or with --json as one JSON document; progress and errors
go to standard error, with --json errors also to standard output, as a document. Exit codes: 0 done,
1 something given is wrong, 2 a check failed, 3 a package is missing, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, NoReturn

import lnn2loihi as l2l
from lnn2loihi.errors import Lnn2LoihiError, out_of_memory
from lnn2loihi.files import inputs_kept
from lnn2loihi.printable import printable_lines
from lnn2loihi.replacing import replacing_guarded
from lnn2loihi.startup import COMMAND, INTERRUPTED, importing, started

with importing():
    import typer

    from lnn2loihi.cli import (
        build,
        convert,
        demo,
        devices,
        explain,
        export,
        footprint,
        place,
        profile,
        run,
        uncertainty,
        whole,
    )
    from lnn2loihi.cli.application import app, called_verb, forget_verb
    from lnn2loihi.cli.common import BAD_INPUT, WORDS
    from lnn2loihi.cli.printing import begin, print_error, results_printed, wants_json

    try:  # typer carries its own copy of click since 0.20
        from typer._click.exceptions import ClickException
    except ImportError:
        from click import ClickException

#: Options that ask for words instead of work.
_INFORMATION = {"-h", "--help", "--version", "--install-completion", "--show-completion"}

__all__ = [
    "app",
    "build",
    "convert",
    "demo",
    "devices",
    "explain",
    "export",
    "footprint",
    "main",
    "place",
    "profile",
    "run",
    "uncertainty",
    "whole",
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"lnn2loihi {l2l.__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Liquid neural networks on Intel Loihi 2: quantize, simulate, verify, place, cost."""
    context.with_resource(inputs_kept())
    context.with_resource(replacing_guarded())


def main() -> None:
    """Entry point: errors of the library become one message and an exit code."""
    forget_verb()
    begin()
    _check_streams()
    # Without a verb the help is what was asked for, and no error.
    arguments = sys.argv[1:] or ["--help"]
    try:
        started()
        code = app(args=arguments, prog_name=COMMAND, standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED and not results_printed():
            # typer answers Ctrl-C with the code alone; a verb that has printed what there is has
            # said so.
            _complain("interrupted", INTERRUPTED, "Interrupted")
        if not (code or results_printed() or _INFORMATION & {*arguments}):
            _complain(_nothing_done(), BAD_INPUT, "NothingDone")
        sys.exit(code or 0)
    except Lnn2LoihiError as error:
        _complain(str(error), error.exit_code, type(error).__name__, error.problems)
    except ClickException as error:
        _complain(_usage(error), BAD_INPUT, "UsageError")
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted", INTERRUPTED, "Interrupted")
    except MemoryError as error:
        _complain(str(out_of_memory("lnn2loihi", error)), BAD_INPUT, "OutOfMemoryError")
    except BrokenPipeError:
        _drop_output()  # the reader has gone, which is no error
        sys.exit(0)
    except OSError as error:
        _drop_output()
        where = f"{error.filename or 'output'}: {error.strerror or error}"
        _complain(where, BAD_INPUT, "OSError")


def _usage(error: ClickException) -> str:
    """What is wrong with a command, what its option takes, and whose help says more."""
    words = WORDS.get(getattr(error, "option_name", ""), ())
    which = f" It takes one of {', '.join(words)}." if words else ""
    verb = called_verb()
    return f"{error.format_message()}{which} (see lnn2loihi {f'{verb} ' if verb else ''}--help)"


def _check_streams() -> None:
    """Refuses to work where nobody could be told of it, and where files would become the streams
    that are closed.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    if sys.stdout is None:
        closed = "standard output is closed; send it to /dev/null if nobody reads it"
        _complain(closed, BAD_INPUT, "OSError")


def _nothing_done() -> str:
    """Why no verb has run, although nothing was wrong."""
    return (
        f"nothing was done: typer {typer.__version__} does not work with the click that is "
        "installed; pip install --upgrade typer"
    )


def _complain(message: str, code: int, kind: str, problems: Sequence[str] = ()) -> NoReturn:
    """One message on standard error, with --json also as a document, and the end."""
    from rich.console import Console

    text = printable_lines(message)
    if sys.stdout is not None and wants_json(sys.argv[1:]) and not results_printed():
        with suppress(OSError, ValueError):  # it is said on standard error too
            print_error(kind, text, code, [printable_lines(problem) for problem in problems])
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)
    sys.exit(code)


def _drop_output() -> None:
    """What could not be written is not tried again while the interpreter ends."""
    with suppress(io.UnsupportedOperation):  # standard output is no file
        target = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, target)
        os.close(null)
