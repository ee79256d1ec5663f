"""The command line: each verb is a few lines over the library.

Results go to standard output, as text or with --json as one JSON document; progress and errors
go to standard error. Exit codes: 0 done, 1 something given is wrong, 2 a check failed, 3 a
package is missing, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Annotated

import lnn2loihi as l2l
from lnn2loihi.errors import Lnn2LoihiError, out_of_memory
from lnn2loihi.files import inputs_kept
from lnn2loihi.printable import printable_lines
from lnn2loihi.startup import INTERRUPTED, importing

with importing():
    import typer

    from lnn2loihi.cli import (
        build,
        convert,
        demo,
        devices,
        export,
        footprint,
        place,
        profile,
        run,
        whole,
    )
    from lnn2loihi.cli.common import BAD_INPUT, WORDS, app, results_printed

    try:  # typer carries its own copy of click since 0.20
        from typer._click.exceptions import ClickException
    except ImportError:
        from click import ClickException

#: Options that ask for words instead of work.
_INFORMATION = {"--help", "--version"}

__all__ = [
    "app",
    "build",
    "convert",
    "demo",
    "devices",
    "export",
    "footprint",
    "main",
    "place",
    "profile",
    "run",
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


def main() -> None:
    """Entry point: errors of the library become one message and an exit code."""
    _check_streams()
    before = results_printed()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer answers Ctrl-C with the code alone
            _complain("interrupted", INTERRUPTED)
        if not (code or results_printed() > before or _INFORMATION & {*sys.argv[1:]}):
            _complain(_nothing_done(), BAD_INPUT)
        sys.exit(code or 0)
    except Lnn2LoihiError as error:
        _complain(str(error), error.exit_code)
    except ClickException as error:
        # Without a verb, some versions print the help and raise an error without a text.
        words = WORDS.get(getattr(error, "option_name", ""), ())
        which = f" It takes one of {', '.join(words)}." if words else ""
        message = f"{error.format_message()}{which} (see lnn2loihi --help)"
        _complain(message if sys.argv[1:] else _nothing_done(), BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted", INTERRUPTED)
    except MemoryError as error:
        _complain(str(out_of_memory("lnn2loihi", error)), BAD_INPUT)
    except BrokenPipeError:
        _drop_output()  # the reader has gone, which is no error
        sys.exit(0)
    except OSError as error:
        _drop_output()
        _complain(f"{error.filename or 'output'}: {error.strerror or error}", BAD_INPUT)


def _check_streams() -> None:
    """Refuses to work where nobody could be told of it, and where files would become the streams
    that are closed.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    if sys.stdout is None:
        _complain("standard output is closed; send it to /dev/null if nobody reads it", BAD_INPUT)


def _nothing_done() -> str:
    """Why no verb has run, although nothing was wrong."""
    if not sys.argv[1:]:
        return "nothing was done: name a verb, see lnn2loihi --help"
    return (
        f"nothing was done: typer {typer.__version__} does not work with the click that is "
        "installed; pip install --upgrade typer"
    )


def _complain(message: str, code: int) -> None:
    """One message on standard error, and the end."""
    from rich.console import Console

    text = printable_lines(message)
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)
    sys.exit(code)


def _drop_output() -> None:
    """What could not be written is not tried again while the interpreter ends."""
    with suppress(io.UnsupportedOperation):  # standard output is no file
        target = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, target)
        os.close(null)
