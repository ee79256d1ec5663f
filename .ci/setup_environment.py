"""Makes or reuses the virtual environment of `make`; needs nothing but the standard library.

The stamp in the environment is written last, so an interrupted set-up is done again, and it holds
what the environment was made from, so a changed pyproject.toml is installed again.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = "lnn2loihi-setup.json"
LAVA = "lava-nc==0.10.0"
TORCH = "torch>=2.3"


@dataclass(frozen=True)
class Stamp:
    """What an environment was made from.

    Attributes:
        root: the repository that it belongs to.
        sources: hash of the files that decide what is installed.
        extras: extras that are installed.
    """

    root: str = ""
    sources: str = ""
    extras: tuple[str, ...] = ()


class SetUpError(Exception):
    """What went wrong, and what to do."""


def main() -> int:
    """Sets the environment up and answers with an exit code."""
    options = parse_options()
    extras = {"lava", *options.extras.split()} | ({"torch"} if options.torch != "no" else set())
    try:
        with one_at_a_time():
            set_up(Path(options.venv).absolute(), extras, exactly=options.exactly)
    except SetUpError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up interrupted; the same command does it again", file=sys.stderr)
        return 130
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venv", default=".venv", help="where the environment is")
    parser.add_argument("--extras", default="test", help="extras of pyproject.toml")
    parser.add_argument(
        "--torch", default="auto", choices=["auto", "no"], help="no: without PyTorch and ncps"
    )
    parser.add_argument(
        "--exactly",
        action="store_true",
        help="make it anew if another version of Python made it than the one that runs this",
    )
    return parser.parse_args()


def set_up(place: Path, extras: set[str], *, exactly: bool) -> None:
    """Makes, completes or reuses the environment at `place`."""
    stamp, version, mine = read_stamp(place), version_in(place), sys.version_info[:3]
    # Not usable: one that an interrupted pip may have left half installed, and one that was copied
    # with the repository, since its paths are absolute.
    finished = stamp.root == str(ROOT) and stamp.sources != ""
    usable = version and finished and (version == mine or not exactly)
    if not usable:
        create(place)
        version, stamp = mine, Stamp()
    elif stamp.sources == sources() and extras <= set(stamp.extras):
        return
    extras |= set(stamp.extras)
    write_stamp(place, Stamp())
    install(place, extras, version)
    write_stamp(place, Stamp(str(ROOT), sources(), tuple(sorted(extras))))


def create(place: Path) -> None:
    """Makes an empty environment, in place of what an earlier set-up left there."""
    if place.exists():
        if not (place / STAMP).exists() and any(place.iterdir()):
            raise SetUpError(f"make did not make {place}: remove it, or choose VENV=another")
        shutil.rmtree(place)
    with step(f"{place.name}: Python {'.'.join(map(str, sys.version_info[:3]))}"):
        place.mkdir(parents=True)
        write_stamp(place, Stamp())
        venv.create(place, symlinks=True, with_pip=True)


def install(place: Path, extras: set[str], version: tuple[int, ...]) -> None:
    """Installs the repository, editable, with its extras."""
    what = ["--editable", f"{ROOT}[{','.join(sorted(extras))}]"]
    if "torch" in extras:
        what.append(torch_requirement(place))
    with step(f"{place.name}: lnn2loihi with {', '.join(sorted(extras))}"):
        pip(place, "install", *what)
    if version >= (3, 11):
        with step(f"{place.name}: {LAVA}, its pin on Python 3.10 overridden"):
            pip(place, "install", "--no-deps", "--ignore-requires-python", LAVA)


def torch_requirement(place: Path) -> str:
    """The newest CPU build of PyTorch that pip is offered here, or else any build.

    Builds for CUDA are several GB; nothing here needs them, and they serve as well.
    """
    if (found := installed(place, "torch")) is not None:
        return f"torch=={found}"
    offered = pip(place, "index", "versions", "torch", check=False)
    builds = re.findall(r"\b(\d+(?:\.\d+)+)\+cpu\b", offered)
    builds = [build for build in builds if numbers(build) >= (2, 3)]
    if builds:
        return f"torch=={max(builds, key=numbers)}+cpu"
    print(
        "pip is offered no CPU build of PyTorch here: a build for CUDA may need 5 GB "
        "(TORCH=no leaves PyTorch out; or give pip an index with CPU builds)",
        file=sys.stderr,
    )
    return TORCH


def installed(place: Path, package: str) -> str | None:
    """Version of a package in the environment."""
    return answer_of(place, f"import importlib.metadata as m; print(m.version({package!r}))")


def version_in(place: Path) -> tuple[int, ...] | None:
    """Version of the environment's Python if it runs and has pip, else None."""
    found = answer_of(place, "import pip, sys; print('%d.%d.%d' % sys.version_info[:3])")
    return numbers(found) if found else None


def answer_of(place: Path, code: str) -> str | None:
    """What the environment's Python prints, or None if it fails or is not there."""
    try:
        answer = subprocess.run(
            [python_in(place), "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def pip(place: Path, *arguments: str, check: bool = True) -> str:
    """Runs pip of the environment; its errors go to the terminal, with `check` its progress too."""
    command = [python_in(place), "-m", "pip", *arguments, "--no-input"]
    watched = check and sys.stdout.isatty()
    quiet = {"PIP_QUIET": "2"} if check and not watched else {}
    answer = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=None if watched else subprocess.PIPE,
        stderr=None if check else subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **quiet},
    )
    if check and answer.returncode:
        raise SetUpError(f"pip {' '.join(arguments)}: its errors stand above")
    return answer.stdout or ""


def python_in(place: Path) -> str:
    return str(place / "bin" / "python")


def sources() -> str:
    """Hash of everything that decides what is installed."""
    files = (ROOT / "pyproject.toml", Path(__file__))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def read_stamp(place: Path) -> Stamp:
    """What the last finished set-up noted; an empty stamp where there is none."""
    try:
        return Stamp(**json.loads((place / STAMP).read_text()))
    except (OSError, ValueError, TypeError):
        return Stamp()


def write_stamp(place: Path, stamp: Stamp) -> None:
    """Writes the stamp in one piece."""
    new = place / f"{STAMP}.new"
    new.write_text(json.dumps(asdict(stamp)))
    new.replace(place / STAMP)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keeps two make commands from setting up at once."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Prints what is done, and how long it took."""
    print(f"{what} ...", flush=True)
    start = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
