"""Tries the lowest and the highest versions of what lnn2loihi depends on, with the wheel in dist/.

    python .ci/versions.py            # every leg, on every Python that is found: `make versions`
    python .ci/versions.py --quick    # the core alone: lowest on the oldest, highest on the newest
    python .ci/versions.py --list

A leg is an environment of its own with the wheel, with either the versions that pyproject.toml
declares or whatever pip takes without any bound, and with the tests that use what it brings. A leg
that cannot be installed has failed: then what is declared is not true. Lowest versions are tried on
the oldest Python, for which they were built. Needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lowest_versions import lowest

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
#: What tests of each extra there are; "" is the core.
TESTS = {
    "": ("tests/test_cli.py", "tests/test_files.py", "tests/test_startup.py"),
    "torch": ("tests/test_ncps_importer.py", "tests/test_torch_rnn.py"),
    "onnx": ("tests/test_onnx_program.py",),
    "hdf5": ("tests/test_hdf5.py",),
    "notebook": ("tests/test_showing.py",),
    "micro": ("tests/test_micro.py",),
}
#: Lowest versions of what our own dependencies need, and take from where they are.
INDIRECT = ("click==8.0.0",)


@dataclass(frozen=True)
class Leg:
    """One environment.

    Attributes:
        version: of Python, such as "3.10".
        extra: of pyproject.toml; "" is the core.
        end: "lowest" or "highest".
    """

    version: str
    extra: str
    end: str

    @property
    def name(self) -> str:
        """As it is printed."""
        return f"{self.end}, {self.extra or 'core'}, Python {self.version}"


def legs(versions: Sequence[str], *, quick: bool) -> Iterator[Leg]:
    """Those that are to be tried with these versions of Python, oldest first."""
    for extra in [""] if quick else TESTS:
        yield Leg(versions[0], extra, "lowest")
        newest = versions[-1:] if quick or extra else versions
        yield from (Leg(version, extra, "highest") for version in newest)


def pythons() -> dict[str, str]:
    """A Python of each version that is found and has its venv module, oldest first."""
    found = {}
    for version in PYTHONS:
        root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
        kept = sorted(map(str, root.glob(f"{version}.*/bin/python{version}")))
        for candidate in (f"python{version}", *kept):
            try:
                done = subprocess.run([candidate, "-c", "import ensurepip, venv"], check=False,
                                      stdin=subprocess.DEVNULL, capture_output=True)  # fmt: skip
            except OSError:
                continue
            if done.returncode == 0:
                found[version] = candidate
                break
    return found


def requirements(leg: Leg) -> list[str]:
    """What pip is given beside the wheel."""
    if leg.end == "highest":
        return []
    return [*lowest([leg.extra] if leg.extra else []), *INDIRECT]


def wheel() -> Path:
    """The wheel in dist/ for this machine."""
    found = sorted((ROOT / "dist").glob(f"*_{platform.machine()}.whl"))
    if not found:
        raise SystemExit("there is no wheel for this machine in dist/: make wheels")
    return found[-1]


def problems(leg: Leg, python: str, work: Path) -> Iterator[str]:
    """What is wrong with a leg; nothing where all is well."""
    place = work / leg.name.replace(" ", "")
    venv_python, own = str(place / "bin" / "python"), wheel()
    command = str(place / "bin" / "lnn2loihi")
    extra = f"[{leg.extra}]" if leg.extra and leg.end == "highest" else ""
    packages = [f"{own}{extra}", *requirements(leg), "pytest", "hypothesis"]
    pip = [venv_python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    for asked in (
        [python, "-m", "venv", str(place)],
        [*pip, "install", "--quiet", *packages],
        [*pip, "check"],
        [command, "doctor"],
        [command, "demo", "--output", str(place / "demo")],
        [venv_python, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider",
         *TESTS[leg.extra]],
    ):  # fmt: skip
        done = subprocess.run(asked, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
        if done.returncode:
            yield f"{' '.join(asked)} failed with {done.returncode}:\n{done.stdout[-8000:]}"
            return


def main() -> int:
    """Tries what is asked for, and answers with an exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the core alone, in two legs")
    parser.add_argument("--extra", choices=[one or "core" for one in TESTS], help="only this one")
    parser.add_argument("--list", action="store_true", help="only say what would be tried")
    options = parser.parse_args()
    found = pythons()
    absent = [version for version in PYTHONS if version not in found]
    if absent:
        print(f"left out, not found: Python {', '.join(absent)}")
    if not found:
        return 1
    failed = 0
    for leg in legs(list(found), quick=options.quick):
        if options.extra not in (None, leg.extra or "core"):
            continue
        if options.list:
            print(f"{leg.name}: {' '.join(requirements(leg)) or 'whatever pip takes'}")
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as work:
            wrong = list(problems(leg, found[leg.version], Path(work)))
        print(*wrong, f"{leg.name}: {'failed' if wrong else 'passed'} "
              f"({time.monotonic() - start:.0f} s)", sep="\n", flush=True)  # fmt: skip
        failed += bool(wrong)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
