"""In Python, too, files of another kind are replaced on request only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_network, random_samples

import lnn2loihi as l2l

NETWORK = random_network(1, inputs=2, layers=(3,), outputs=1)
X = random_samples(1, 2, 4, 2)
PROGRAM = l2l.quantize(NETWORK, X)

WRITERS: dict[str, Callable[[Path], Any]] = {
    "net.l2l": lambda path: l2l.save(PROGRAM, path),
    "net.l2n": lambda path: l2l.save(NETWORK, path),
    "net.onnx": lambda path: l2l.export(PROGRAM, path),
    "net.c": lambda path: l2l.export(PROGRAM, path),
    "state.json": lambda path: l2l.open_stream(PROGRAM).save(path),
    "device.toml": lambda path: l2l.save_device(l2l.load_device("loihi2-oheo-gulch"), path),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("there", ["notes", "samples"])
def test_what_somebody_else_has_put_there_stays(name: str, there: str, tmp_path: Path) -> None:
    if name == "net.onnx":
        pytest.importorskip("onnx")
    path, write = tmp_path / name, WRITERS[name]
    if there == "notes":
        path.write_text("mine\n")
    else:
        with path.open("wb") as file:
            np.save(file, X)
    before = path.read_bytes()
    with pytest.raises(l2l.InputError, match=r"written over it; .* lnn2loihi.replacing_files\(\)"):
        write(path)
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]
    with l2l.replacing_files():
        write(path)
    assert path.read_bytes() != before
    write(path)  # of its own kind


@pytest.mark.parametrize("name", ["net.pt", "x.npy", "a.HTML", "net.l2n", "net.profile.json"])
def test_a_program_is_not_called_what_it_is_not(name: str, tmp_path: Path) -> None:
    with pytest.raises(l2l.InputError, match="is the end of the name of .*; a program is a .l2l"):
        l2l.save(PROGRAM, tmp_path / name)
    assert not [*tmp_path.iterdir()]
    if name != "net.l2n":
        with pytest.raises(l2l.InputError, match="a float network is a .l2n file"):
            l2l.save(NETWORK, tmp_path / name)
    assert l2l.load(l2l.save(PROGRAM, tmp_path / "any.bin")) == PROGRAM


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    for name, write in WRITERS.items():
        with pytest.raises(l2l.Lnn2LoihiError, match="nothing can be written to the folder"):
            write(tmp_path / name)
