"""What is published beside the code: CITATION.cff, the workflow, versions that are tried."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from lnn2loihi.doctor import CORE, CORE_BEFORE_311, HDF5, LAVA_NEEDS, ONNX, TORCH, ZEUS
from lnn2loihi.errors import InputError
from lnn2loihi.files import parse_toml
from lnn2loihi.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="not a checkout")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return parse_toml(text, "pyproject.toml", InputError)["project"]


@pytest.fixture(scope="module")
def scripts() -> Any:
    """The modules of .ci by name."""
    from importlib import import_module

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / ".ci"))
        yield import_module
        for name in ("versions", "lowest_versions", "build_wheels"):
            sys.modules.pop(name, None)


def test_the_citation_is_of_this_version(project: dict[str, Any]) -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^([a-z-]+): *(\S.*)?$", text, re.MULTILINE))
    assert (fields["cff-version"], fields["version"]) == ("1.2.0", VERSION)
    assert fields["license"] == project["license"]
    assert {"message", "title", "authors"} <= set(fields)


def test_doctor_asks_for_what_is_declared(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    declared = "\n".join(
        [*project["dependencies"], *(one for extra in extras.values() for one in extra)]
    )
    for name, bound in (CORE | CORE_BEFORE_311 | TORCH | ONNX | HDF5 | LAVA_NEEDS | ZEUS).items():
        assert re.search(rf"^{name}{bound}(?![\w.])", declared, re.MULTILINE), f"{name}{bound}"


def test_every_extra_is_in_the_table_of_the_documents(project: dict[str, Any]) -> None:
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([a-z0-9]+)` \|", page, re.MULTILINE))
    assert set(project["optional-dependencies"]) <= rows


def test_every_leg_of_versions_has_lowest_ones_and_tests_that_exist(scripts: Any) -> None:
    versions = scripts("versions")
    for leg in versions.legs(versions.PYTHONS, quick=False):
        pinned = versions.requirements(leg)
        assert all("==" in one for one in pinned) and bool(pinned) == (leg.end == "lowest")
        assert all((ROOT / test).is_file() for test in versions.TESTS[leg.extra])
    tried = {(leg.version, leg.end) for leg in versions.legs(versions.PYTHONS, quick=False)}
    assert tried == {("3.10", "lowest"), *((one, "highest") for one in versions.PYTHONS)}
    assert len(list(versions.legs(versions.PYTHONS, quick=True))) == 2


def test_the_workflow_tries_every_python_that_is_declared(project: dict[str, Any]) -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    named = [one.rpartition(" ")[2] for one in project["classifiers"] if ":: 3.1" in one]
    listed = ", ".join(f'"{one}"' for one in named)
    assert text.count(f"python: [{listed}]") == 2
    assert "secrets." not in text
    made = re.findall(r"run: make ([a-z-]+)", text)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(made) <= set(targets)
