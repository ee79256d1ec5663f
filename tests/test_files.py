"""Writing files whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lnn2loihi as l2l
from lnn2loihi.files import write_atomically
from lnn2loihi.samples import write_arrays


def test_the_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    assert write_atomically(tmp_path / "a", b"new") == tmp_path / "a"
    assert (tmp_path / "a").read_bytes() == b"new" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_file_is_written(tmp_path: Path, there: bool) -> None:
    store, link = tmp_path / "store", tmp_path / "here" / "link"
    store.mkdir()
    link.parent.mkdir()
    (link.parent / "second").symlink_to(Path("..") / "store" / "file")
    link.symlink_to("second")
    if there:
        (store / "file").write_bytes(b"old")
    assert write_atomically(link, b"new") == link
    assert os.readlink(link) == "second" and (store / "file").read_bytes() == b"new"
    assert sorted(os.listdir(link.parent)) == ["link", "second"] and os.listdir(store) == ["file"]


def test_an_interrupted_write_leaves_the_file_that_a_link_points_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "store" / "file")
    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").read_bytes() == b"old"
    assert os.listdir(tmp_path / "store") == ["file"]


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    link = tmp_path / "circle.npz"
    link.symlink_to(link)
    with pytest.raises(OSError, match="[Tt]oo many"):
        write_atomically(link, b"new")
    with pytest.raises(l2l.InputError, match=r"circle\.npz: cannot be written: Too many"):
        write_arrays(link, {})
    assert link.is_symlink() and os.listdir(tmp_path) == ["circle.npz"]
