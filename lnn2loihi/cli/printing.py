"""What a verb prints: a result as text that fits the terminal, or one JSON document; and errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from lnn2loihi.cli.application import called_verb
from lnn2loihi.printable import printable_lines
from lnn2loihi.startup import importing

#: Versions of the documents that are not at their first: raised whenever a key goes or changes.
VERSIONS: dict[str, int] = {}
#: Name of the document of an error, and its version.
ERROR = ("lnn2loihi.error", 1)

_printed = 0


def begin() -> None:
    """Says that a command begins, which has printed nothing yet."""
    global _printed
    _printed = 0


def results_printed() -> int:
    """How many results the command has printed."""
    return _printed


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command asks for a JSON document."""
    asked = [*arguments]
    return "--json" in (asked[: asked.index("--")] if "--" in asked else asked)


def print_result(
    result: Mapping[str, Any], text: str, as_json: bool, *, folded: bool = True
) -> None:
    """The result on standard output, as text or as one JSON document, see docs/json.md.

    Args:
        result: the keys of the document; `schema`, which says what it is, and `replaced`, the
            files that stood where others were written, are added.
        text: the text.
        as_json: which of the two.
        folded: whether lines of the text that are wider than the terminal go on in the next one;
            not those of Markdown, TOML and code, which are to be copied.
    """
    global _printed
    with importing():
        from lnn2loihi.replacing import replaced_files
        from lnn2loihi.tables import wrapped

    _printed += 1
    replaced = replaced_files()
    if as_json:
        verb = called_verb()
        name = f"lnn2loihi.{verb}"
        more = {"replaced": [path for path, _ in replaced]} if replaced else {}
        typer.echo(_document(name, VERSIONS.get(verb, 1), {**_json_value(result), **more}))
        return
    lines = [text, *(f"replaced: {path}, which was {kind}" for path, kind in replaced)]
    shown = printable_lines("\n".join(lines))
    typer.echo(wrapped(shown) if folded else shown)


def print_error(kind: str, message: str, code: int, problems: Sequence[str] = ()) -> None:
    """An error as a JSON document on standard output.

    Args:
        kind: the class of the error: InputError, UsageError, ...
        message: the whole text.
        code: the exit code.
        problems: what was found, one by one.
    """
    error = {
        "kind": kind,
        "message": message,
        "problems": [*problems] or [message],
        "exit_code": code,
    }
    print_document = _document(*ERROR, {"verb": called_verb() or None, "error": error})
    sys.stdout.write(f"{print_document}\n")
    sys.stdout.flush()


def _document(name: str, version: int, content: Mapping[str, Any]) -> str:
    schema = {"name": name, "version": version}
    return json.dumps({"schema": schema, **content}, indent=2, allow_nan=False)


def _json_value(value: Any) -> Any:
    """As `lnn2loihi.json_values.json_value`, which is imported when it is asked for."""
    with importing():
        from lnn2loihi.json_values import json_value

    return json_value(value)
