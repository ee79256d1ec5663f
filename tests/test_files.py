"""Writing files whole or not at all."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from programs import random_program

import lnn2loihi as l2l
from lnn2loihi.files import (
    UNFINISHED,
    inputs_kept,
    note_input,
    parse_toml,
    write_atomically,
)
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


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(mode)
    write_atomically(tmp_path / "a", b"new")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_honours_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "a", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_a_file_that_is_read_only_stays(tmp_path: Path) -> None:
    """As superuser too, whom the system would let."""
    for file in (tmp_path / "x.npz", tmp_path / "link.npz"):
        if file.name.startswith("link"):
            file.symlink_to("x.npz")
        else:
            file.write_bytes(b"old")
            file.chmod(0o400)
        with pytest.raises(l2l.InputError, match=r"cannot be written: it is read-only \(mode 0400"):
            write_arrays(file, {})
    assert (tmp_path / "x.npz").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["link.npz", "x.npz"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe, bound, folder = tmp_path / "pipe", tmp_path / "socket", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bound))
        for place in (pipe, bound):
            link = tmp_path / f"link to {place.name}"
            link.symlink_to(place)
            for path in (place, link):
                before = place.lstat().st_ino
                with pytest.raises(OSError, match="no file, but a pipe"):
                    write_atomically(path, b"new")
                assert place.lstat().st_ino == before and path.is_symlink() == (path == link)
    with pytest.raises(IsADirectoryError):
        write_atomically(folder, b"new")
    assert not [name for name in os.listdir(tmp_path) if name.endswith(UNFINISHED)]


def test_a_character_device_is_written_to(tmp_path: Path) -> None:
    link = tmp_path / "null.npz"
    link.symlink_to(os.devnull)
    before = os.stat(os.devnull)
    assert write_arrays(link, {"outputs": [1]}) == link
    assert os.path.samestat(before, os.stat(os.devnull)) and link.is_symlink()


def test_zero_bytes_in_names_are_errors(tmp_path: Path) -> None:
    program = random_program(1)
    with pytest.raises(l2l.InputError, match="that a file system can hold"):
        l2l.save(program, tmp_path / "a\0b")
    with pytest.raises(l2l.InputError, match="that a file system can hold"):
        l2l.load(tmp_path / "a\0b")
    with pytest.raises(OSError, match="zero byte"):
        write_atomically(tmp_path / "a\0b", b"new")


KILLED = """
import os, signal, sys
from lnn2loihi import files
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(sys.argv[1], b"half")
"""


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, str(target)])
        assert done.returncode == -signal.SIGKILL
        assert sorted(os.listdir(tmp_path)) == [f".a.0{UNFINISHED}", "a"]
        assert target.read_bytes() == b"old"
    write_atomically(target, b"new")
    assert os.listdir(tmp_path) == ["a"] and target.read_bytes() == b"new"


def test_the_file_of_a_living_writer_and_what_others_left_stay(tmp_path: Path) -> None:
    living, linked = tmp_path / f".a.0{UNFINISHED}", tmp_path / f".a.1{UNFINISHED}"
    (tmp_path / "precious").write_bytes(b"precious")
    linked.symlink_to("precious")
    (tmp_path / f".a.2{UNFINISHED}").mkdir()
    with living.open("wb") as file:
        file.write(b"half")
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and living.read_bytes() == b"half"
    assert linked.is_symlink() and (tmp_path / "precious").read_bytes() == b"precious"
    assert len(os.listdir(tmp_path)) == 5


def test_several_writers_of_one_target_do_not_meet(tmp_path: Path) -> None:
    contents = [bytes([65 + number]) * 5000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            list(pool.map(lambda content: write_atomically(tmp_path / "a", content), contents))
            assert (tmp_path / "a").read_bytes() in contents
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("length", [200, 255])
def test_long_names_can_be_written(tmp_path: Path, length: int) -> None:
    write_atomically(tmp_path / ("n" * length), b"new")
    assert os.listdir(tmp_path) == ["n" * length]


def test_other_hard_links_keep_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    os.link(tmp_path / "a", tmp_path / "b")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and (tmp_path / "b").read_bytes() == b"old"


def test_inputs_are_not_replaced_while_they_are_kept(tmp_path: Path) -> None:
    source, other = tmp_path / "net", tmp_path / "other"
    source.write_bytes(b"old")
    other.write_bytes(b"other")
    os.link(source, tmp_path / "hard")
    (tmp_path / "soft").symlink_to("net")
    (tmp_path / "within").mkdir()
    names = ("net", "hard", "soft", "within/../net")
    with inputs_kept():
        note_input(source)
        note_input(tmp_path / "not there")
        for name in names:
            with pytest.raises(l2l.InputError, match="net', which is read here: writing would"):
                write_atomically(tmp_path / name, b"new")
        write_atomically(other, b"new")
    assert source.read_bytes() == b"old" and other.read_bytes() == b"new"
    for name in names:
        write_atomically(tmp_path / name, b"new")
    assert source.read_bytes() == b"new"


@pytest.mark.parametrize(
    "text", ["a = 1\n" * 20000, "a = [" + "1," * 20000 + "]", "[[a]]\n" * 20000]
)
def test_toml_of_many_entries_is_not_parsed(text: str) -> None:
    with pytest.raises(l2l.DeviceError, match="entries; at most 16,384"):
        parse_toml(text, "x.toml", l2l.DeviceError)


@pytest.mark.parametrize("name", ["net.l2l", "net.pt", "net.safetensors", "net.toml", "net.onnx"])
def test_what_is_read_and_no_file_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    if name.endswith("onnx"):
        pytest.importorskip("onnx")
    path = tmp_path / name
    read = l2l.load if name.endswith("l2l") else l2l.import_network
    makers = {
        "there is no such file": lambda: None, "is a pipe, not a file": lambda: os.mkfifo(path),
    }  # fmt: skip
    for reason, make in makers.items():
        make()
        with pytest.raises(l2l.Lnn2LoihiError, match=f"{name}: {reason}"):
            read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(l2l.Lnn2LoihiError, match=f"{name}: is a folder, not a file"):
        read(path)
