"""The budget of sizes, and the one direction of imports: what CONTRIBUTING.md says of both."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "lnn2loihi"
#: Lines of a module, and of a function with its docstring.
LARGEST_MODULE, LARGEST_FUNCTION = 450, 105
#: For each room what it must not import, however deep in a function.
CLOSED: dict[str, tuple[str, ...]] = {
    "neurons": ("layers", "graph", "program", "quantization", "simulation", "qat", "network"),
    "layers": ("graph", "program", "quantization", "simulation", "qat"),
    "graph": ("program", "layers", "quantization", "simulation", "qat", "network"),
    "program": ("layers", "network", "quantization", "simulation", "qat"),
    "network": ("graph", "program", "quantization", "simulation", "qat"),
    "simulation": ("layers", "network", "quantization", "qat", "lava"),
    "quantization": ("qat", "lava"),
    "joining": ("layers", "network", "quantization", "qat", "lava"),
    "lowering": ("graph", "program", "quantization", "simulation", "qat", "network"),
    "family": ("graph", "program", "quantization", "simulation", "qat", "network"),
    "families": ("graph", "quantization", "simulation", "qat"),
    "stepping": ("quantization", "simulation", "program", "graph"),
    "devices": (
        "placement",
        "cost",
        "measure",
        "profiling",
        "program",
        "quantization",
        "simulation",
    ),
    "registry": ("layers", "network", "program", "quantization", "simulation"),
}
#: What reads modules and files stands with its family, which asks for it when it is needed; the kit
#: tries it.
READERS = "converters"
#: What nothing below the command line imports.
ABOVE = ("cli",)
pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="the sources are not there"
)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for folder in (LIBRARY, ROOT / "converters"):
        for path in sorted(folder.rglob("*.py")):
            if not any(part.is_symlink() for part in path.parents if part != ROOT):
                yield path, ast.parse(path.read_text())


def rooms_of(tree: ast.Module) -> set[str]:
    """First parts below lnn2loihi of all that a module imports when it runs."""
    checking = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("lnn2loihi.")}


def room_of(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def test_no_module_and_no_function_is_too_long() -> None:
    found: list[str] = []
    for path, tree in modules():
        lines = len(path.read_text().splitlines())
        if lines > LARGEST_MODULE:
            found.append(f"{path.name} has {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > LARGEST_FUNCTION:
                    found.append(f"{path.name}: {node.name} has {length} lines")
    assert found == []


def test_nobody_names_the_classes_of_a_family() -> None:
    """But families themselves, the public names, and the layers that maps between others, and
    norms and products of them, become.
    """
    currency = {
        "lnn2loihi.families.dense.layer.DenseLayer",
        "lnn2loihi.families.layer_norm.layer.LayerNormLayer",
        "lnn2loihi.families.product.layer.ProductLayer",
        "lnn2loihi.families.relay.layer.RelayLayer",
    }
    found: list[str] = []
    for path, tree in modules():
        place = path.relative_to(ROOT)
        faces = Path("lnn2loihi/__init__.py"), Path("lnn2loihi/extend.py")
        if "families" in place.parts or place in faces:
            continue
        named = {
            f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for name in sorted(named - currency):
            if name.startswith("lnn2loihi.families."):
                found.append(f"{place} imports {name}")
        # Nor by its dotted name, as what is imported when it is asked for.
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        code = [text for text in texts if isinstance(text, str) and " " not in text]
        found += [f"{place} has {text}" for text in code if "lnn2loihi.families." in text]
    assert found == []


def test_imports_point_one_way() -> None:
    found: list[str] = []
    for path, tree in modules():
        if LIBRARY not in path.parents:
            continue
        room, imported = room_of(path), rooms_of(tree)
        closed = set(CLOSED.get(room, ()))
        if room not in ("cli", "__main__"):
            closed |= set(ABOVE)
        closed |= {"converters", "models"}  # found through entry points
        place = str(path.relative_to(LIBRARY))
        imported -= {READERS} if room in ("families", "testing") else set()
        found += [f"{place} imports {name}" for name in closed & imported]
    assert sorted(found) == []
