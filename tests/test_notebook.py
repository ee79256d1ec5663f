"""The notebook of the quickstart: it runs in a fresh kernel, and gives what is stored in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "quickstart.ipynb"
#: What is stored is shown by GitHub, and is in everybody's clone.
LARGEST = 500_000

nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install nbclient")
nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install nbclient")


@pytest.fixture(scope="module")
def stored() -> Any:
    if not NOTEBOOK.is_file():
        pytest.skip("the examples are not there")
    return nbformat.read(NOTEBOOK, as_version=4)


def texts(cell: Any) -> list[str]:
    """What a cell has printed."""
    return [output.text for output in cell.outputs if output.output_type == "stream"]


def test_what_is_stored_is_small_and_of_one_run(stored: Any) -> None:
    nbformat.validate(stored)
    assert NOTEBOOK.stat().st_size < LARGEST
    cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        kinds = {(output.output_type, output.get("name")) for output in cell.outputs}
        assert kinds <= {("stream", "stdout"), ("display_data", None), ("execute_result", None)}
    pictures = [o for cell in cells for o in cell.outputs if "image/png" in o.get("data", {})]
    assert len(pictures) >= 3


def test_it_runs_in_a_fresh_kernel_and_gives_the_stored_integers(
    stored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ipykernel", "matplotlib"):
        pytest.importorskip(module, reason=f"needs {module}: pip install {module}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    again = nbformat.from_dict(stored)
    client = nbclient.NotebookClient(
        again, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    compared = 0
    for old, new in zip(stored.cells, again.cells, strict=True):
        if "integers" in old.metadata.get("tags", []):
            assert texts(new) == texts(old)
            assert texts(new)[0].startswith("the first answers as integers: ")
            compared += 1
    assert compared == 1
    assert list(tmp_path.rglob("net.l2l"))
