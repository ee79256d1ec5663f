"""Sizes are checked before memory is asked for, and what still runs out is one of our errors."""

from __future__ import annotations

import tracemalloc
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from programs import random_inputs, random_program
from safetensors.numpy import save_file
from test_program import network, relay

import lnn2loihi as l2l
from lnn2loihi.simulation import memory

MEGABYTE = 1 << 20


def wide(sources: int, neurons: int) -> l2l.LoihiProgram:
    """Two populations, each neuron of the second with one synapse."""
    first = l2l.Connection(
        "input", "p", ("sum_in",), np.arange(sources + 1), np.zeros(sources, int),
        np.ones(sources), source_size=1,
    )  # fmt: skip
    second = l2l.Connection(
        "p", "q", ("sum_in",), np.arange(neurons + 1), np.arange(neurons) % sources,
        np.ones(neurons), source_size=sources,
    )  # fmt: skip
    return network((relay("p", sources), relay("q", neurons)), (first, second))


@pytest.mark.parametrize("engine", ["auto", "c", "blas", "reference"])
def test_a_small_file_cannot_ask_for_large_matrices(engine: str) -> None:
    program = wide(30_000, 40_000)
    x = np.zeros((1, 3, 1))
    tracemalloc.start()
    try:
        with pytest.raises(
            l2l.InputError, match=r"would take 9\.6 GB; the limit .* 4\.3 GB"
        ) as said:
            l2l.simulate(program, x, engine)
        assert tracemalloc.get_traced_memory()[1] < 50 * MEGABYTE
    finally:
        tracemalloc.stop()
    assert "p -> q: 40,000 rows of 30,000 sources (9.6 GB) for 40,000 synapses" in str(said.value)


def test_every_executor_states_it(run: Run, tmp_path: Path) -> None:
    path = l2l.save(wide(30_000, 40_000), tmp_path / "wide.l2l")
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 1)))
    assert run("inspect", path)[0] == 0
    for verb in (("simulate",), ("verify", "--executors", "c,blas")):
        code, out, err = run(verb[0], path, "-i", tmp_path / "x.npy", *verb[1:])
        assert (code, out) == (1, "") and "dense matrices" in err


def test_a_long_run_is_refused_by_the_size_of_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    program = random_program(1)
    x = np.broadcast_to(np.zeros(3), (50, 1000, 3))
    monkeypatch.setattr(memory, "available_memory", lambda: MEGABYTE)
    assert l2l.simulate(program, x).outputs.shape == (50, 1000, 2)
    arguments: tuple[dict[str, Any], ...] = ({"return_states": True}, {"engine": "reference"})
    for options in arguments:
        with pytest.raises(l2l.InputError, match="50 sequences of 1,000 steps make answers"):
            l2l.simulate(program, x, **options)
    with pytest.raises(l2l.InputError, match=r"this machine has 0\.0 GB of memory"):
        l2l.verify(program, x, "c,blas")


def test_what_runs_out_is_an_error_of_ours(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scarce(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 7.3 TiB")

    program = random_program(1)
    path = l2l.save(program, tmp_path / "a.l2l")
    for module, name in (
        ("simulation", "checked"),
        ("sealed", "note_input"),
        ("placement.search", "load_device"),
    ):
        monkeypatch.setattr(import_module(f"lnn2loihi.{module}"), name, scarce)
    for call in (
        lambda: l2l.simulate(program, random_inputs(1, program, 1, 2)),
        lambda: l2l.load(path),
        lambda: l2l.place(program),
    ):
        with pytest.raises(l2l.OutOfMemoryError, match="memory ran out .*7.3 TiB") as caught:
            call()
        assert isinstance(caught.value, MemoryError)
    code, out, err = run("inspect", path)
    assert (code, out) == (1, "") and err.startswith("load: memory ran out (Unable to allocate")


def test_a_checkpoint_of_many_tensors_is_not_looked_through(tmp_path: Path) -> None:
    arrays = {f"layer.{number}.weight": np.zeros(1, np.float32) for number in range(8300)}
    save_file(arrays, tmp_path / "net.safetensors")
    with pytest.raises(l2l.ImportNetworkError, match="tensors, the limit of lnn2loihi is 8,192"):
        l2l.import_network(tmp_path / "net.safetensors")
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        for name in arrays:
            archive.writestr(f"net/data/{name}", b"")
    pytest.importorskip("torch")
    with pytest.raises(l2l.ImportNetworkError, match="it holds 8,300 tensors, the limit"):
        l2l.import_network(tmp_path / "net.pt")


@pytest.mark.parametrize(
    "name",
    ["chips", "cores_per_chip", "mesh_columns", "mesh_rows", "cores_per_router"],
)
def test_a_device_of_absurd_size_is_refused(tmp_path: Path, name: str) -> None:
    numbers = "".join(f"{key} = 1e12\n" for key in ("value", "low", "high"))
    path = tmp_path / "mine.toml"
    path.write_text(
        f'extends = "loihi2-oheo-gulch"\n[figures.{name}]\n{numbers}unit = "1"\nsource = "x"\n'
        'grade = "assumed"\n'
    )
    with pytest.raises(l2l.DeviceError, match=f"figures.{name}.value is out of range, expected 0"):
        l2l.place(random_program(1), path)
