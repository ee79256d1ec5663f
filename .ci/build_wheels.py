"""Builds what is published: a source archive, and a wheel for each platform, in dist/.

    python .ci/build_wheels.py            # manylinux wheels, compiled by zig: `make wheels`
    python .ci/build_wheels.py --here     # one wheel, by this machine's compiler: `make wheel`

Needs nothing but the standard library: tools go into an environment of their own. Wheels are built
from the source archive. One wheel serves all Pythons, since engines are loaded through ctypes. zig
compiles against the glibc that is named, whatever this machine has, and for other machines too.
Engines are sealed (see lnn2loihi/simulation/native/cache.py), so nothing may repair a wheel
afterwards: auditwheel only has to say that the name is true.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What zig is told, by the platform that a wheel is named after. 2.17 is the glibc of 2012, and the
#: oldest that NumPy's own wheels for Python 3.10 to 3.13 ask for.
PLATFORMS = {
    f"manylinux_2_17_{machine}": f"{machine}-linux-gnu.2.17" for machine in ("x86_64", "aarch64")
}
BACKEND = ("setuptools>=77", "numpy>=1.24.4", "safetensors>=0.4.3")
TOOLS = ("build>=1.2", "twine>=6.1", *BACKEND)
#: What only manylinux wheels need.
MANYLINUX_TOOLS = ("ziglang>=0.13", "auditwheel>=6.2")


class Failed(Exception):
    """A command failed; its output is the text."""


def main() -> int:
    """Builds, checks, and answers with an exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--here", action="store_true", help="one wheel, by this machine's compiler")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="emptied first")
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-wheels")
    options = parser.parse_args()
    try:
        build(options.output.absolute(), options.environment.absolute(), here=options.here)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build(output: Path, environment: Path, *, here: bool) -> None:
    """Fills `output`."""
    python = tools(environment, (*TOOLS, *(() if here else MANYLINUX_TOOLS)))
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work:
        frontend = [str(python), "-m", "build", "--no-isolation", "--outdir", str(output)]
        step("source archive", [*frontend, "--sdist", str(ROOT)])
        source = unpacked(next(output.glob("*.tar.gz")), Path(work))
        if here:
            step("wheel", [*frontend, "--wheel", str(source)])
        for platform, target in {} if here else PLATFORMS.items():
            shutil.rmtree(source / "build", ignore_errors=True)
            name = f"-C--build-option=--plat-name={platform}"
            compiler = f"{python} -m ziglang cc -target {target}"
            step(f"wheel for {platform}", [*frontend, "--wheel", name, str(source)], CC=compiler)
    made = sorted(map(str, output.iterdir()))
    step("twine check", [str(python), "-m", "twine", "check", "--strict", *made])
    for wheel in [] if here else sorted(output.glob("*.whl")):
        said = step(f"auditwheel {wheel.name}", [str(python), "-m", "auditwheel", "show", wheel])
        platform = wheel.stem.rpartition("-")[2]
        if f'"{platform}"' not in " ".join(said.split()):
            raise Failed(f"auditwheel does not say that {wheel.name} fits its name:\n{said}")
    for path in map(Path, made):
        print(f"{path.stat().st_size / 1e6:6.2f} MB  {path}")


def tools(place: Path, packages: tuple[str, ...]) -> Path:
    """The Python of an environment that has the packages."""
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, symlinks=True, with_pip=True)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    step("tools", [str(python), "-m", "pip", "install", *quiet, *packages])
    return python


def unpacked(archive: Path, folder: Path) -> Path:
    """The folder that a source archive holds."""
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    shutil.unpack_archive(archive, folder, **safely)  # type: ignore[arg-type]
    return folder / archive.name.removesuffix(".tar.gz")


def step(what: str, command: Sequence[str | Path], **environment: str) -> str:
    """Runs a command; says how long it took, and what it wrote only where it fails."""
    start = time.monotonic()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"{done.stdout}\n{what} failed with {done.returncode}")
    print(f"{what}: {time.monotonic() - start:.0f} s", flush=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
