"""What the examples share: their options, how they speak, and how they end."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from lnn2loihi.errors import Lnn2LoihiError

console = Console()
#: Exit code of a program that Ctrl-C ended: 128 and the number of SIGINT, as shells have it.
INTERRUPTED = 130


def options(description: str | None, name: str) -> argparse.ArgumentParser:
    """A parser with what all examples take: --out, a folder, and --quick.

    Args:
        description: of the example, whose lines are kept.
        name: of the example's file; what it writes goes to a folder of out/ with its name.
    """
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = Path("out") / Path(name).stem
    made.add_argument(
        "--out", type=Path, default=folder, help=f"folder for what is written (default: {folder})"
    )
    made.add_argument(
        "--quick",
        action="store_true",
        help="seconds only, to see that it runs: worse figures",
    )
    return made


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no whole number of at least 1")
    return int(text)


def say(text: object = "") -> None:
    """Prints sentences or a table as they are: lines are broken by the terminal, if at all."""
    console.print(str(text), markup=False, highlight=False, soft_wrap=True)


def needs(*modules: str, command: str) -> None:
    """Ends the example with exit code 3 and what to do, unless these modules are installed."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        say(f"This example needs {' and '.join(missing)}, which cannot be imported: {command}")
        raise SystemExit(3)


def run(main: Callable[[], None]) -> None:
    """Runs an example; errors of the library and Ctrl-C are a line, not tracebacks."""
    try:
        main()
    except KeyboardInterrupt:
        console.print("Interrupted.", style="red")
        raise SystemExit(INTERRUPTED) from None
    except Lnn2LoihiError as error:
        console.print(str(error), markup=False, style="red")
        raise SystemExit(error.exit_code) from None
