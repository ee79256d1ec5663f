"""A short hunt for files that hurt; the long one is `make fuzz` (a million files)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from fuzzing.hunt import Hunt, usable
from fuzzing.readers import READERS, Reader

from lnn2loihi.errors import InputError

#: Files of each format; the hunt repeats itself exactly for a given seed.
INPUTS = 200


@pytest.mark.parametrize("name", READERS)
def test_no_file_hurts(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    if reason := usable(reader):
        pytest.skip(reason)
    report = Hunt(reader, 1, tmp_path, tmp_path / "found").run(INPUTS)
    assert report.tried == INPUTS and report.reasons > 5
    assert not report.findings, report.findings[0].what


class TestTheHuntItself:
    """What is looked for is found, or the test above would prove nothing."""

    def hunted(self, tmp_path: Path, read: object) -> str:
        reader = Reader("samples_csv", ".csv", read, ())  # pyright: ignore[reportArgumentType]
        hunt = Hunt(reader, 0, tmp_path, None)
        hunt.try_one(b"1,2\n")
        return " ".join(finding.what for finding in hunt.report.findings)

    def test_foreign_exceptions(self, tmp_path: Path) -> None:
        assert "raised ValueError" in self.hunted(tmp_path, lambda path: int("x"))

    def test_memory(self, tmp_path: Path) -> None:
        if not Path("/proc/self/clear_refs").exists():
            pytest.skip("peak memory is read from /proc, which this system does not have")
        found = self.hunted(tmp_path, lambda path: len(b"x" * (256 << 20)))
        assert "bytes for a file of 4" in found

    def test_a_file_written(self, tmp_path: Path) -> None:
        target = tmp_path / "written"
        found = self.hunted(tmp_path, lambda path: target.write_text("x"))
        assert "did open" in found

    def test_a_pickle_that_runs(self, tmp_path: Path) -> None:
        class Runs:
            def __reduce__(self) -> tuple[Any, ...]:
                import os

                return os.system, ("true",)

        content = pickle.dumps(Runs())
        assert "did os.system" in self.hunted(tmp_path, lambda path: pickle.loads(content))

    def test_our_own_errors_are_fine(self, tmp_path: Path) -> None:
        def refuse(path: Path) -> None:
            raise InputError(str(path), "is not what it should be")

        assert self.hunted(tmp_path, refuse) == ""
