"""Reads every TOML file of the repository; a key that is there twice is an error of the syntax.

python .ci/check_toml.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
#: What is built or made there, beside folders whose names begin with a dot.
OUTPUTS = ("build", "dist", "out")


def toml_files(root: Path) -> Iterator[Path]:
    """All of them but those of environments and outputs; links are not followed."""
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(name for name in inner if name[0] != "." and name not in OUTPUTS)
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".toml"))


def problems(root: Path) -> Iterator[str]:
    """What is wrong with each, one line a file."""
    for path in toml_files(root):
        try:
            tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:  # also what is not UTF-8
            yield f"{path.relative_to(root)}: {error}"


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT))
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))
