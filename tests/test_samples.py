"""Sample files: what is written is read; damaged and foreign files are refused."""

from __future__ import annotations

import io
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn2loihi import samples
from lnn2loihi.errors import InputError
from lnn2loihi.samples import read_sample_file, read_samples, write_arrays

X = np.arange(24.0).reshape(2, 3, 4) / 7


def refused(path: Path, *arguments: str) -> str:
    with pytest.raises(InputError) as caught:
        read_samples(path, *arguments)
    return str(caught.value)


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


class TestReading:
    @pytest.mark.parametrize("suffix", [".npy", ".npz", ".NPY", ".NpZ"])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.uint8, bool])
    def test_arrays_come_back_in_their_type(self, tmp_path: Path, suffix: str, dtype: type) -> None:
        path, content = tmp_path / f"x{suffix}", io.BytesIO()
        x = (7 * X).astype(dtype)
        if suffix.lower() == ".npy":
            np.save(content, x)
        else:
            np.savez(content, x=x, other=np.zeros(2))
        path.write_bytes(content.getvalue())
        found = read_samples(path)
        assert found.dtype == dtype and np.array_equal(found, x)

    def test_two_axes_are_one_sequence(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npy"
        np.save(path, X[0])
        assert np.array_equal(read_samples(str(path)), X[:1])

    def test_a_key_chooses_the_array(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npz"
        np.savez(path, a=X, b=X + 1)
        assert np.array_equal(read_samples(path, "b"), X + 1)
        assert "no array named 'x'; there are a, b" in refused(path)

    @pytest.mark.parametrize(
        "text",
        ["1,2\n3,-4.5e0\n", "a,b\n1,2\n3,-4.5\n", "\ufeff1,2\r\n3,-4.5\r\n", "a,b\n1 , 2\n3,-4.5",
         "\ufeffa,b\n1,2\n\n3,-4.5\n", "# a,b\n1,2\n3,-4.5\n"],
        ids=["plain", "header", "byte order mark", "spaces", "mark, header and empty line",
             "the header of numpy.savetxt"],
    )  # fmt: skip
    def test_csv_is_one_row_per_step(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "x.csv"
        path.write_bytes(text.encode())
        assert read_samples(path).tolist() == [[[1.0, 2.0], [3.0, -4.5]]]

    def test_a_single_column_and_a_single_row_stay_two_axes(self, tmp_path: Path) -> None:
        path = tmp_path / "x.csv"
        path.write_text("1\n2\n3\n")
        assert read_samples(path).shape == (1, 3, 1)
        path.write_text("1,2,3\n")
        assert read_samples(path).shape == (1, 1, 3)

    @pytest.mark.parametrize(
        "text",
        ["", "\n\n", "a,b\n", "1,2\n3\n", "1,,3\n1,2,3\n", "1,x\n1,2\n", "a,b\nc,d\n1,2\n",
         "1;2\n3;4", "1,2\n# 3,4\n5,6\n", "1,2 # a note\n3,4\n", "1,2\n#\n"],
        ids=["empty", "empty lines", "header alone", "ragged", "gap in the first row",
             "word in the first row", "two headers", "semicolons", "a row behind a #",
             "a note behind a #", "a # alone"],
    )  # fmt: skip
    def test_csv_that_is_not_a_table_of_numbers_is_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "x.csv"
        path.write_text(text)
        assert "cannot be read as samples" in refused(path)


class TestRefusals:
    def test_missing_files_and_unknown_suffixes(self, tmp_path: Path) -> None:
        assert "there is no such file" in refused(tmp_path / "x.npy")
        assert "there is no such file" in refused(tmp_path / "x.csv")
        assert "samples come as .npy, .npz, .csv" in refused(tmp_path / "x.pkl")
        (tmp_path / "folder.npy").mkdir()
        assert "cannot be read as samples" in refused(tmp_path / "folder.npy")

    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    def test_nothing_is_unpickled(self, tmp_path: Path, suffix: str) -> None:
        path, trap = tmp_path / f"x{suffix}", tmp_path / "trap"
        for content in (np.array([Harmful(trap)], object), Harmful(trap)):
            if isinstance(content, Harmful):
                path.write_bytes(pickle.dumps(content))
            elif suffix == ".npy":
                np.save(path, content, allow_pickle=True)
            else:
                np.savez(path, x=content)
            assert "cannot be read as samples" in refused(path)
            assert not trap.exists()

    @pytest.mark.parametrize(
        "array",
        [np.zeros((1, 2, 3), complex), np.zeros((1, 2, 3), "m8[s]"), np.array([[["a"]]]),
         np.zeros((2, 2), [("a", int)])],
    )  # fmt: skip
    def test_what_is_no_number_is_refused(self, tmp_path: Path, array: np.ndarray) -> None:
        np.save(tmp_path / "x.npy", array)
        assert "values, expected numbers" in refused(tmp_path / "x.npy")

    @pytest.mark.parametrize("shape", [(), (3,), (1, 1, 1, 1), (0, 2, 2), (2, 0)])
    def test_other_ranks_and_nothing_are_refused(
        self, tmp_path: Path, shape: tuple[int, ...]
    ) -> None:
        np.savez(tmp_path / "x.npz", x=np.zeros(shape))
        said = "is empty" if 0 in shape else "expected (batch, time, inputs) or (time, inputs)"
        assert said in refused(tmp_path / "x.npz")

    def test_a_file_is_what_its_suffix_says(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", x=X)
        np.save(tmp_path / "y.npy", X)
        (tmp_path / "x.npz").rename(tmp_path / "x.npy")
        (tmp_path / "y.npy").rename(tmp_path / "y.npz")
        assert "magic string is not correct" in refused(tmp_path / "x.npy")
        assert "it is one array, not an archive of arrays" in refused(tmp_path / "y.npz")

    def test_a_member_that_is_no_array_is_refused(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
            file.writestr("x", b"not an array")
        assert "values, expected numbers" in refused(tmp_path / "x.npz")

    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    def test_a_header_that_claims_terabytes_is_refused(self, tmp_path: Path, suffix: str) -> None:
        content = io.BytesIO()
        header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 1, 1)}
        np.lib.format.write_array_header_1_0(content, header)
        path = tmp_path / f"x{suffix}"
        if suffix == ".npy":
            path.write_bytes(content.getvalue())
        else:
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("x.npy", content.getvalue())
        assert "cannot be read as samples" in refused(path)

    @pytest.mark.parametrize("suffix", [".npy", ".npz"])
    @settings(max_examples=150)
    @given(st.data())
    def test_damage_is_an_input_error_or_other_numbers(
        self, tmp_path: Path, suffix: str, data: st.DataObject
    ) -> None:
        path, whole = tmp_path / f"x{suffix}", io.BytesIO()
        if suffix == ".npy":
            np.save(whole, X)
        else:
            np.savez_compressed(whole, x=X)
        content = bytearray(whole.getvalue())
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        end = data.draw(st.sampled_from([len(content), len(content) - 1, len(content) // 2, 3]))
        path.write_bytes(content[:end])
        try:
            found = read_samples(path)
        except InputError:
            return
        assert found.ndim == 3 and found.dtype.kind in "iuf"


class TestSizes:
    """Limits are stated, and checked before memory is asked for."""

    @staticmethod
    def peak(read: Callable[[], Any]) -> int:
        tracemalloc.start()
        try:
            read()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_a_bomb_is_refused_before_it_unfolds(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npz"
        np.savez_compressed(path, x=np.zeros((1, 1 << 20, 16)))  # a thousand times its file
        assert path.stat().st_size < 1 << 18
        found: list[str] = []
        assert self.peak(lambda: found.append(refused(path))) < 1 << 23
        assert "takes 134,217,728 bytes; the limit for this file is 67,108,864" in found[0]

    def test_what_is_compressed_honestly_is_read(self, tmp_path: Path) -> None:
        spikes = np.random.default_rng(0).random((4, 1 << 14, 8)) < 0.01
        np.savez_compressed(tmp_path / "x.npz", x=spikes, lengths=[1, 2, 3, 4])
        found = read_sample_file(tmp_path / "x.npz")
        assert np.array_equal(found.x, spikes)
        assert found.lengths is not None and found.lengths.tolist() == [1, 2, 3, 4]

    @pytest.mark.parametrize(("limit", "suffix"), [("LARGEST_ARRAY", ".npy"), ("ALWAYS", ".npz")])
    def test_larger_arrays_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, suffix: str
    ) -> None:
        path = tmp_path / f"x{suffix}"
        with path.open("wb") as file:
            (np.save if suffix == ".npy" else np.savez_compressed)(file, np.zeros((1, 100, 100)))
        monkeypatch.setattr(samples, limit, 79_999)
        monkeypatch.setattr(samples, "EXPANSION", 1)
        key = "x" if suffix == ".npy" else "arr_0"
        assert "takes 80,000 bytes; the limit for this file is 79,999" in refused(path, key)

    def test_text_is_read_in_proportion(self, tmp_path: Path) -> None:
        path = tmp_path / "x.csv"
        path.write_text("0.25,1.5\n" * 200_000)
        assert self.peak(lambda: read_samples(path)) < 8 * path.stat().st_size
        (tmp_path / "line.csv").write_text("0" * (samples.LONGEST_LINE + 1))
        assert "a line has more than 2,097,152 characters" in refused(tmp_path / "line.csv")

    def test_long_texts_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "x.csv").write_text("1,2\n" * 100)
        monkeypatch.setattr(samples, "LARGEST_TEXT", 399)
        assert "it has 400 bytes; text may have 399: give .npy" in refused(tmp_path / "x.csv")

    @pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
    def test_only_regular_files_are_read(self, tmp_path: Path, suffix: str) -> None:
        """Nothing waits for who might write into a pipe."""
        pipe = tmp_path / f"pipe{suffix}"
        os.mkfifo(pipe)
        assert "it is a pipe; samples are read from regular files" in refused(pipe)
        zeros = tmp_path / f"zero{suffix}"
        zeros.symlink_to("/dev/zero")
        assert "it is a device; samples are read from regular files" in refused(zeros)
        (tmp_path / f"folder{suffix}").mkdir()
        assert "it is a folder; samples" in refused(tmp_path / f"folder{suffix}")
        linked = tmp_path / f"linked{suffix}"
        linked.symlink_to(tmp_path / "nowhere")
        assert "there is no such file" in refused(linked)

    def test_a_file_that_shrinks_takes_nothing_away(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npy"
        np.save(path, X)
        found = read_samples(path)
        os.truncate(path, 200)  # a mapping would end in SIGBUS
        assert np.array_equal(found, X)
        assert "it ends after 72 of 192 bytes" in refused(path)

    def test_a_file_that_shrinks_while_it_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "x.npy"
        np.save(path, X)
        os.truncate(path, path.stat().st_size - 8)
        monkeypatch.setattr(
            os, "fstat", lambda _: os.stat_result([0o100644, *[0] * 5, 320, 0, 0, 0])
        )
        assert "it ends after 184 of 192 bytes; is it being written?" in refused(path)


class TestBeside:
    """Elapsed times and lengths, in the same file."""

    def test_they_come_along(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", x=X, timespans=X[..., 0], lengths=np.array([2, 3]))
        found = read_sample_file(tmp_path / "x.npz")
        assert found.timespans is not None and np.array_equal(found.timespans, X[..., 0])
        assert found.lengths is not None and found.lengths.tolist() == [2, 3]
        np.savez(tmp_path / "y.npz", x=X[0], timespans=X[0, :, 0], lengths=2)
        found = read_sample_file(tmp_path / "y.npz")
        assert found.timespans is not None and found.timespans.shape == (1, 3)
        assert found.lengths is not None and found.lengths.tolist() == [2]
        np.save(tmp_path / "z.npy", X)
        assert read_sample_file(tmp_path / "z.npy").lengths is None

    @pytest.mark.parametrize(
        ("arrays", "reason"),
        [
            (
                {"lengths": np.array([1.0, 2.0])},
                r"lengths is float64 \(2,\), expected whole numbers",
            ),
            ({"lengths": np.zeros((2, 2), int)}, "lengths is int64 .*expected whole numbers"),
            ({"timespans": np.zeros(())}, r"timespans is float64 \(\), expected numbers"),
            ({"timespans": np.array(["a"])}, "it holds <U1 values, expected numbers"),
        ],
    )
    def test_of_the_right_kind(
        self, tmp_path: Path, arrays: dict[str, np.ndarray], reason: str
    ) -> None:
        np.savez(tmp_path / "x.npz", x=X, **arrays)
        with pytest.raises(InputError, match=reason):
            read_sample_file(tmp_path / "x.npz")


class TestWriting:
    def test_results_are_read_back(self, tmp_path: Path) -> None:
        arrays = {"outputs": X, "integers": np.arange(24).reshape(2, 3, 4)}
        path = write_arrays(tmp_path / "y.npz", arrays)
        assert np.array_equal(read_samples(path, "outputs"), X)
        assert np.array_equal(read_samples(path, "integers"), arrays["integers"])
        assert np.array_equal(read_samples(write_arrays(tmp_path / "y.npy", arrays)), X)

    def test_other_suffixes_and_missing_folders_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"results are written as \.npz or \.npy"):
            write_arrays(tmp_path / "y.csv", {"outputs": X})
        with pytest.raises(InputError, match="cannot be written: No such file"):
            write_arrays(tmp_path / "nowhere" / "y.npy", {"outputs": X})

    def test_a_failed_write_leaves_the_old_file_and_no_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "y.npy"
        np.save(path, X)
        old = path.read_bytes()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.replace", full)
        with pytest.raises(InputError, match="No space left on device"):
            write_arrays(path, {"outputs": X})
        assert path.read_bytes() == old and os.listdir(tmp_path) == ["y.npy"]
