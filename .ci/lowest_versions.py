"""Prints the lowest versions that pyproject.toml declares, as pip takes them: `numpy==1.24.4`.

    python .ci/lowest_versions.py [EXTRA...]

.ci/run installs what it prints in an environment of Python 3.10 and runs the core there. Extras
have to give a lowest version for each requirement too.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?\s*>=\s*([0-9][0-9a-z.]*)")


def main() -> int:
    """Prints the requirements and answers with an exit code."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())[
        "project"
    ]
    declared = list(project["dependencies"])
    for extra in sys.argv[1:]:
        declared += project["optional-dependencies"][extra]
    for requirement in declared:
        found = _REQUIREMENT.match(requirement)
        if found is None:
            print(f"no lowest version: {requirement}", file=sys.stderr)
            return 1
        print(f"{found[1]}=={found[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
