"""Wheel and source archive: complete, nothing twice, nothing generic, working from elsewhere."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from patience import PATIENCE

from lnn2loihi.simulation.native import library
from lnn2loihi.simulation.native.neuron_code import neuron_text
from lnn2loihi.simulation.native.shipped import shipped_programs
from lnn2loihi.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
NAME = f"lnn2loihi-{VERSION}"
LINKED = ("converters", "models", "hardware_profiles")
# Everything that the build may look at; data sets and environments of the checkout stay behind.
BUILT_FROM = ("lnn2loihi", *LINKED, "docs", "tests", ".ci")
#: Compiled while the wheel is built.
BUILT = "simulation/native/built/"
FILES = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "Makefile")
# Python 3.12 and later unpack through a filter, and warn where none is named.
SAFELY: dict[str, Literal["data"]] = {"filter": "data"} if sys.version_info >= (3, 12) else {}

#: Environment in which no C compiler is found.
WITHOUT_COMPILER = {**os.environ, "PATH": "", "CC": "/no/compiler"}

# One worker builds, or each would.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("packaging"),
    pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not a checkout"),
]


def setuptools_version() -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in importlib.metadata.version("setuptools").split(".")[:1])
    except importlib.metadata.PackageNotFoundError:
        return (0,)


def build(kind: str, source: Path, target: Path, environment: dict[str, str] | None = None) -> Path:
    """Runs the build backend in `source`, which it litters; the repository stays clean."""
    target.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(target)!r}))"
    return target / run([sys.executable, "-c", code], source, environment).splitlines()[-1]


def run(command: Sequence[str], cwd: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the checkout in `checkout`."""
    if setuptools_version() < (77,):
        pytest.skip("needs setuptools >= 77 in the environment")
    folder = tmp_path_factory.mktemp("packaging")
    copy = folder / "checkout"
    copy.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for name in BUILT_FROM:
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def wheel(work: Path) -> Path:
    return build("wheel", work / "checkout", work / "wheel")


@pytest.fixture(scope="module")
def pure_wheel(work: Path) -> Path:
    return build("wheel", work / "checkout", work / "pure", WITHOUT_COMPILER)


@pytest.fixture(scope="module")
def archive(work: Path) -> Path:
    return build("sdist", work / "checkout", work / "archive")


def names_in_wheel(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as file:
        return file.namelist()


def checksums(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as file:
        return {entry.filename: entry.CRC for entry in file.infolist()}


def names_in_archive(archive: Path) -> list[str]:
    with tarfile.open(archive) as file:
        assert all(member.isfile() or member.isdir() for member in file), "links in the archive"
        return [member.name for member in file if member.isfile()]


def library_files() -> list[str]:
    """Every file of the library in the checkout, as it is to be installed."""
    found = []
    for folder, _, names in os.walk(ROOT / "lnn2loihi", followlinks=True):
        if "__pycache__" not in folder:
            shown = [name for name in names if not name.startswith(".")]
            found += [str(Path(folder, name).relative_to(ROOT)) for name in shown]
    return sorted(found)


def test_wheel_holds_every_file_once_and_nothing_else(wheel: Path) -> None:
    names = names_in_wheel(wheel)
    assert len(names) == len(set(names))
    assert {name.split("/")[0] for name in names} == {"lnn2loihi", f"{NAME}.dist-info"}
    copied = [name for name in names if name.startswith("lnn2loihi/") and BUILT not in name]
    assert sorted(copied) == library_files()
    assert f"{NAME}.dist-info/licenses/LICENSE" in names
    assert "lnn2loihi/py.typed" in names


@pytest.mark.skipif(library.compiler() is None, reason="there is no C compiler")
def test_wheel_brings_the_engine_for_its_platform(wheel: Path) -> None:
    assert wheel.name.startswith(f"{NAME}-py3-none-linux_"), "any Python, this platform"
    built = [Path(name).name for name in names_in_wheel(wheel) if BUILT in name]
    for level in library.usable_levels():
        assert library.file_name("engine", library.engine_text(level), level) in built
        for program in shipped_programs():
            assert library.file_name("neuron", neuron_text(program), level) in built


def test_a_wheel_without_a_compiler_is_for_every_platform(pure_wheel: Path) -> None:
    assert pure_wheel.name == f"{NAME}-py3-none-any.whl"
    assert not [name for name in names_in_wheel(pure_wheel) if BUILT in name]


def test_archive_holds_the_linked_folders_once(archive: Path) -> None:
    names = names_in_archive(archive)
    assert len(names) == len(set(names))
    inside = [name.removeprefix(f"{NAME}/") for name in names]
    assert not [name for name in inside if name.split("/")[0] in LINKED]
    assert sorted(name for name in inside if name.startswith("lnn2loihi/")) == library_files()
    assert {*FILES, "tests/conftest.py", ".ci/setup_environment.py"} <= set(inside)


def test_wheel_from_the_archive_is_the_same(pure_wheel: Path, archive: Path, work: Path) -> None:
    """In every byte, so that engines would be too; compiling them once more shows nothing new."""
    unpacked = work / "unpacked"
    shutil.unpack_archive(archive, unpacked, **SAFELY)
    again = build("wheel", unpacked / NAME, work / "again", WITHOUT_COMPILER)
    assert checksums(again) == checksums(pure_wheel)


def test_installed_wheel_works_from_elsewhere(wheel: Path, work: Path) -> None:
    place = work / "installed"
    options = ["--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
    run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(place), str(wheel)], work
    )
    assert sorted(path.name for path in place.iterdir() if path.name != "bin") == [
        "lnn2loihi",
        f"{NAME}.dist-info",
    ]
    expected = "blas " if library.compiler() is None else "c "
    code = f"""
import importlib.metadata, importlib.util, runpy, sys
sys.path.insert(0, {str(place)!r})
import lnn2loihi, lnn2loihi.converters, lnn2loihi.models, lnn2loihi.hardware_profiles
assert lnn2loihi.__file__.startswith({str(place)!r}), lnn2loihi.__file__
assert importlib.util.find_spec("converters") is None
found = importlib.metadata.distribution("lnn2loihi")
assert found.version == {VERSION!r}
for point in found.entry_points:
    assert importlib.util.find_spec(point.module), point
from lnn2loihi.models import damped_sine
program = lnn2loihi.quantize(damped_sine.load(), damped_sine.example(2, 8, 1)[0])
result = lnn2loihi.simulate(program, damped_sine.example(2, 8, 1)[0])
assert result.executor.startswith({expected!r}), result.executor
sys.argv = ["lnn2loihi", "--help"]
try:
    runpy.run_module("lnn2loihi", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
"""
    # No compiler and an empty cache: what the wheel brings must do.
    environment = {**WITHOUT_COMPILER, library.CACHE_VARIABLE: str(work / "empty")}
    run([sys.executable, "-I", "-c", code], work, environment)
