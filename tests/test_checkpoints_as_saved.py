"""Checkpoints as training scripts write them: under any key, with any suffix of torch.save."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections import defaultdict, deque
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lnn2loihi as l2l

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from safetensors.torch import save_file  # noqa: E402  needs PyTorch
from torch.nn.utils import prune  # noqa: E402

from lnn2loihi.converters.files.saved_state import OTHER_STATES, weights_of  # noqa: E402
from lnn2loihi.converters.files.wrappers import unwrapped, without_compiled  # noqa: E402
from lnn2loihi.converters.modules.wrapped import unwrapped_module  # noqa: E402

DESCRIPTION = '[network]\nmodule = "torch.nn.GRU"\ninput_size = 2\n'
MODULE = torch.nn.GRU(2, 3, batch_first=True)
HERE = Path("net.pt")


def trained() -> tuple[Any, Any]:
    """The state_dict of a module, and that of an optimizer that has made a step."""
    optimizer = torch.optim.Adam(MODULE.parameters())
    MODULE(torch.ones(1, 4, 2))[0].sum().backward()
    optimizer.step()
    return MODULE.state_dict(), optimizer.state_dict()


WEIGHTS, OPTIMIZER = trained()
RIGHT = l2l.import_network(MODULE)


def imported(folder: Path, content: Any, name: str = "net.pt") -> l2l.LiquidNetwork:
    torch.save(content, folder / name)
    (folder / "net.toml").write_text(DESCRIPTION)
    return l2l.import_network(folder / name)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.ckpt", "net.bin", "net.pth.tar"])
@pytest.mark.parametrize("key", ["", "state_dict", "model_state_dict", "policy", "net"])
def test_any_key_and_suffix(tmp_path: Path, key: str, name: str) -> None:
    more = {"optimizer_state_dict": OPTIMIZER, "epoch": 3, "loss": torch.tensor(0.5)}
    found = imported(tmp_path, {key: WEIGHTS, **more} if key else WEIGHTS, name)
    assert found.layers == RIGHT.layers


def test_a_description_names_such_a_file(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS}, tmp_path / "last.ckpt")
    toml = tmp_path / "net.toml"
    toml.write_text(DESCRIPTION + 'checkpoint = "last.ckpt"\n')
    assert l2l.import_network(toml).layers == RIGHT.layers


def test_several_are_refused_by_their_keys(tmp_path: Path) -> None:
    content = {"actor": WEIGHTS, "critic": {"model": WEIGHTS}, "optimizer": OPTIMIZER}
    with pytest.raises(l2l.ImportNetworkError) as caught:
        imported(tmp_path, content)
    (problem,) = caught.value.problems
    assert problem == (
        "it holds 2 dicts of weights, under 'actor', 'model' in 'critic'; say which one is meant "
        'in its description, state = "actor" for instance, or save it alone: '
        'torch.save(torch.load("net.pt")[\'actor\'], "net.weights.pt")'
    )


DOUBLED = {key: 2 * value for key, value in WEIGHTS.items()}


@pytest.mark.parametrize("average", ["ema", "model_ema", "averaged", "shadow", "swa_model"])
def test_a_running_mean_is_taken_where_it_is_asked_for(tmp_path: Path, average: str) -> None:
    content = {"model": WEIGHTS, average: {"state_dict": DOUBLED}, "optimizer": OPTIMIZER}
    found = imported(tmp_path, content)
    assert found.layers == RIGHT.layers
    assert f"'{average}.state_dict' too (state = ...)" in found.source["state"]
    meant = l2l.import_network(tmp_path / "net.pt", state=average)
    assert meant.layers != RIGHT.layers and f"'{average}.state_dict' of" in meant.source["state"]
    (tmp_path / "net.toml").write_text(f'{DESCRIPTION}state = "{average}.state_dict"\n')
    assert l2l.import_network(tmp_path / "net.pt").layers == meant.layers
    with pytest.raises(l2l.ImportNetworkError, match="state = 'best' is none of its states; there"):
        l2l.import_network(tmp_path / "net.pt", state="best")
    with pytest.raises(l2l.ImportNetworkError, match="a live module has no other state"):
        l2l.import_network(MODULE, state="ema")


def test_a_list_of_parameters_has_no_names(tmp_path: Path) -> None:
    average = {"decay": 0.9, "shadow_params": list(DOUBLED.values())}
    found = imported(tmp_path, {"model": WEIGHTS, "ema": average})
    assert found.layers == RIGHT.layers and "'shadow_params' too" in found.source["state"]
    with pytest.raises(l2l.ImportNetworkError, match="without names.*copy_to"):
        l2l.import_network(tmp_path / "net.pt", state="shadow_params")


# ---------------------------------------------------------------- wrappers

COMPILED = st.sampled_from(["", "_orig_mod."])
NESTED = st.lists(
    st.sampled_from(["module.", "model.", "net.", "network.", "_orig_mod."]), max_size=5
)


@given(NESTED, COMPILED, st.booleans())
def test_wrappers_in_any_nesting(nested: list[str], compiled: str, counted: bool) -> None:
    before = "".join(nested)
    tensors = {f"{before}rnn.{compiled}{key}": value for key, value in WEIGHTS.items()}
    if counted and nested and nested[-1] == "module.":
        tensors[f"{before.removesuffix('module.')}n_averaged"] = torch.tensor(3)
    for prefix in ("rnn.", f"rnn.{compiled}", f"{before}rnn.{compiled}"):
        found, _ = unwrapped(without_compiled(tensors), prefix)
        inside = found.keys() - {"n_averaged"}
        assert {key.rpartition(".")[2] for key in inside} >= WEIGHTS.keys()
    found, _ = unwrapped(without_compiled(tensors), "")
    assert found.keys() == {f"rnn.{key}" for key in WEIGHTS}


def test_what_stands_beside_the_wrappers_stays_where_it_is() -> None:
    tensors = {f"model.net.rnn.{key}": value for key, value in WEIGHTS.items()}
    others = {"accuracy.total": torch.tensor(1.0)}
    assert unwrapped({**tensors, **others}, "")[0].keys() == {*tensors, *others}
    found, before = unwrapped({**tensors, **others}, "rnn.")
    assert (found.keys(), before) == ({f"rnn.{key}" for key in WEIGHTS}, "model.net.")
    twice = {**tensors, **{f"module.rnn.{key}": value for key, value in WEIGHTS.items()}}
    assert unwrapped(twice, "rnn.") == (twice, "")  # which of them is meant is not said
    assert without_compiled({"a._orig_mod.b": 1, "a.b": 2}) == {"a._orig_mod.b": 1, "a.b": 2}


def test_files_of_wrapped_modules(tmp_path: Path) -> None:
    wrapped = torch.compile(torch.nn.DataParallel(MODULE), backend="eager")
    content = {f"model.{key}": value for key, value in wrapped.state_dict().items()}
    found = imported(tmp_path, {"state_dict": content})
    assert found.layers == RIGHT.layers and found.source["inside of"] == "model.module."


WRAPPERS = {
    "parallel": torch.nn.DataParallel,
    "compiled": lambda module: torch.compile(module, backend="eager"),
    "averaged": torch.optim.swa_utils.AveragedModel,
}


# PyTorch makes no module of what is compiled twice.
@pytest.mark.parametrize(
    ("outer", "inner"), [pair for pair in product(WRAPPERS, WRAPPERS) if pair != ("compiled",) * 2]
)
def test_live_wrappers(outer: str, inner: str) -> None:
    for module in (MODULE, torch.nn.Sequential(torch.nn.Linear(2, 2), MODULE)):
        wrapped = WRAPPERS[outer](WRAPPERS[inner](module))
        found, alone = l2l.import_network(wrapped), l2l.import_network(module)
        assert (found.layers, found.source) == (alone.layers, alone.source)


def test_wrappers_that_answer_otherwise_are_not_taken_for_what_they_wrap() -> None:
    hooked = torch.nn.DataParallel(MODULE)
    hooked.register_forward_hook(lambda module, given, answer: answer)

    class Doubled(torch.nn.DataParallel):
        pass

    for module in (hooked, Doubled(MODULE)):
        assert unwrapped_module(module) is module


# ---------------------------------------------------------------- what else is in a file


class Callback:
    """Something of a training script."""

    def __init__(self) -> None:
        self.best = {"score": torch.tensor(0.5)}


class Settings(dict[str, Any]):
    """A dict of a class of its own, as hyperparameters are."""


def function() -> None:
    """Something of a training script."""


def test_objects_beside_the_weights_are_passed_over(tmp_path: Path) -> None:
    content = {
        "pytorch-lightning_version": "2.4.0",
        "state_dict": {f"model.{key}": value for key, value in WEIGHTS.items()},
        "callbacks": {"EarlyStopping": Callback()},
        "hyper_parameters": Settings(lr=0.1, activation=torch.nn.ReLU, path=Path("x"), f=function),
        "history": deque([Callback()], maxlen=3),
        "counts": defaultdict(int, {"a": 1}),
    }
    torch.save(content, tmp_path / "net.ckpt")
    (tmp_path / "net.toml").write_text(DESCRIPTION)
    found = l2l.import_network(tmp_path / "net.ckpt")
    assert found.layers == RIGHT.layers
    said = found.source["passed over in the file, and not run"]
    for name in ("Callback", "Settings", "function", "collections.deque"):
        assert name in said


def test_weights_in_a_dict_of_its_own_class(tmp_path: Path) -> None:
    assert imported(tmp_path, {"weights": Settings(WEIGHTS)}).layers == RIGHT.layers


@pytest.mark.parametrize("key", ["", "model"])
def test_whole_modules_are_refused_with_the_lines_that_help(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(l2l.ImportNetworkError) as caught:
        imported(tmp_path, {key: MODULE, "epoch": 3} if key else MODULE)
    (problem,) = caught.value.problems
    assert "a pickle that refers to torch.nn.modules.rnn.GRU" in problem
    _, *lines = problem.split("\n")
    there = f"[{key!r}]" if key else ""
    assert lines == [
        "    import torch",
        f'    module = torch.load("net.pt", weights_only=False, map_location="cpu"){there}',
        '    torch.save(module.state_dict(), "net.weights.pt")',
    ]
    monkeypatch.chdir(tmp_path)
    exec("\n".join(line.strip() for line in lines), {})  # what is advised works
    (tmp_path / "net.weights.toml").write_text(DESCRIPTION)
    assert l2l.import_network(tmp_path / "net.weights.pt").layers == RIGHT.layers


class Runs:
    """Asks whoever unpickles it to run something."""

    def __init__(self, what: Any, given: tuple[Any, ...]) -> None:
        self.what, self.given = what, given

    def __reduce__(self) -> Any:
        return self.what, self.given


def touch(path: Path) -> None:
    """What must not be called."""
    path.touch()


@pytest.mark.parametrize("what", [os.system, open, eval, os.remove, subprocess.run])
def test_what_asks_to_be_run_is_refused_although_there_are_weights(
    tmp_path: Path, what: Any
) -> None:
    marker = tmp_path / "marker"
    marker.write_text("")
    with pytest.raises(l2l.ImportNetworkError, match="nothing of it was run"):
        imported(tmp_path, {"state_dict": WEIGHTS, "callbacks": Runs(what, (str(marker),))})
    assert marker.exists()


def test_functions_of_other_modules_are_not_called(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = {"state_dict": WEIGHTS, "callbacks": Runs(touch, (marker,))}
    assert imported(tmp_path, content).layers == RIGHT.layers and not marker.exists()


OTHER_FORMATS = {
    b"\x89HDF\r\n\x1a\n" + bytes(99): "an HDF5 file.*rename it to net.weights.h5",
    b"\x08\x08\x12\x07pytorch" + bytes(99): "an ONNX file.*rename it to net.onnx",
    b"\x1f\x8b\x08" + bytes(99): "a packed archive.*unpack it",
    bytes(257) + b"ustar" + bytes(300): "a packed archive.*unpack it",
}


@pytest.mark.parametrize("content", OTHER_FORMATS)
def test_other_formats_are_called_what_they_are(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.toml").write_text(DESCRIPTION)
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(l2l.ImportNetworkError, match=OTHER_FORMATS[content]):
        l2l.import_network(tmp_path / "net.pt")


def test_safetensors_under_another_suffix(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_text(DESCRIPTION)
    save_file(WEIGHTS, tmp_path / "net.bin")
    assert l2l.import_network(tmp_path / "net.bin").layers == RIGHT.layers
    with pytest.raises(l2l.ImportNetworkError, match="state = 'ema' goes with files of torch.save"):
        l2l.import_network(tmp_path / "net.bin", state="ema")


# ---------------------------------------------------------------- weights in parts

PARTS: dict[str, Any] = {
    "weight norm": lambda m: torch.nn.utils.parametrizations.weight_norm(m, "weight_hh"),
    "weight norm, its other axis": lambda m: torch.nn.utils.parametrizations.weight_norm(
        m, "weight_hh", dim=1
    ),
    "weight norm of the whole": lambda m: torch.nn.utils.parametrizations.weight_norm(
        m, "weight_hh", dim=None
    ),
    "weight norm, old": lambda m: torch.nn.utils.weight_norm(m, "weight_hh"),
    "spectral norm": lambda m: torch.nn.utils.parametrizations.spectral_norm(m, "weight_hh"),
    "spectral norm, old": lambda m: torch.nn.utils.spectral_norm(m, "weight_hh"),
    "pruning": lambda m: prune.l1_unstructured(m, "weight_hh", 4),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("how", PARTS)
def test_weights_in_parts_are_put_together(tmp_path: Path, how: str) -> None:
    cell = torch.nn.GRUCell(2, 3)
    PARTS[how](cell)
    cell.eval()
    cell(torch.ones(1, 2))
    torch.save(cell.state_dict(), tmp_path / "net.pt")
    (tmp_path / "net.toml").write_text('[network]\nmodule = "torch.nn.GRUCell"\n')
    found = l2l.import_network(tmp_path / "net.pt")
    assert found.source[f"computed from {how.partition(',')[0].split(' of')[0]}"] == "weight_hh"
    sample = torch.ones(1, 2)
    answer = cell(sample, cell(sample)).detach().numpy()
    assert np.abs(found.evaluate(np.ones((1, 2, 2))).outputs[:, -1] - answer).max() < 1e-6


def test_other_parametrizations_are_refused_by_name(tmp_path: Path) -> None:
    cell = torch.nn.GRUCell(2, 3)
    torch.nn.utils.parametrizations.orthogonal(cell, "weight_hh")
    torch.save(cell.state_dict(), tmp_path / "net.pt")
    (tmp_path / "net.toml").write_text('[network]\nmodule = "torch.nn.GRUCell"\n')
    with pytest.raises(l2l.ImportNetworkError, match="parametrizations.weight_hh.original"):
        l2l.import_network(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("content", "reason"),
    [([1, 2], "it holds a list, not a state_dict"), ({1: "a"}, "it holds a dict, not a state")],
)
def test_what_holds_no_weights(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(l2l.ImportNetworkError, match=reason):
        imported(tmp_path, content)


def test_programs_are_called_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_text(DESCRIPTION)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch 2.13 calls TorchScript deprecated
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), tmp_path / "net.pt")
    with pytest.raises(l2l.ImportNetworkError, match="a program of TorchScript .*jit.load"):
        l2l.import_network(tmp_path / "net.pt")
    exported = torch.export.export(torch.nn.Linear(2, 3), (torch.zeros(1, 2),))
    torch.export.save(exported, tmp_path / "net.pt2")
    (tmp_path / "net.pt2").rename(tmp_path / "net.pt")
    with pytest.raises(l2l.ImportNetworkError, match="a program of torch.export"):
        l2l.import_network(tmp_path / "net.pt")


NAMES = st.text("abcdef_.", min_size=1, max_size=6)
NUMBERS = st.one_of(st.integers(), st.floats(), st.none(), NAMES, st.just(torch.tensor(1.0)))
OTHERS = st.dictionaries(
    st.one_of(NAMES, st.sampled_from(OTHER_STATES).map(lambda other: f"my_{other}")), NUMBERS
)


@given(st.lists(NAMES, max_size=3), OTHERS, st.sampled_from(["optimizer", "lr_schedulers"]))
def test_the_only_dict_of_weights_is_found(
    keys: list[str], others: dict[str, Any], state: str
) -> None:
    content: Any = dict(WEIGHTS)
    for key in keys:
        content = {**others, state: {"state": {0: {"exp_avg": torch.ones(2)}}}, key: content}
    found = weights_of(content, HERE).content
    assert found.keys() >= WEIGHTS.keys()
    if keys:
        assert found.keys() == WEIGHTS.keys()
