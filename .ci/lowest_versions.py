"""Prints the lowest versions that pyproject.toml declares, as pip takes them: `numpy==1.24.4`.

    python .ci/lowest_versions.py [EXTRA...]

What it answers is installed and tried by .ci/versions.py. Extras
have to give a lowest version for each requirement too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?\s*>=\s*([0-9][0-9a-z.]*)")


def lowest(extras: Sequence[str]) -> list[str]:
    """The core's requirements and those of the extras.

    Raises:
        ValueError: one has no lowest version.
    """
    path = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    declared = list(project["dependencies"])
    for extra in extras:
        declared += project["optional-dependencies"][extra]
    found = [(one, _REQUIREMENT.match(one)) for one in declared]
    if absent := [requirement for requirement, match in found if match is None]:
        raise ValueError(f"no lowest version: {', '.join(absent)}")
    return [f"{match[1]}=={match[2]}" for _, match in found if match]


def main() -> int:
    """Prints the requirements and answers with an exit code."""
    try:
        print("\n".join(lowest(sys.argv[1:])))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
