"""Checkpoints as training scripts write them: under any key, with any suffix of torch.save."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lnn2loihi as l2l

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from lnn2loihi.converters.files.saved_state import OTHER_STATES, weights_of  # noqa: E402  needs PyTorch

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
    content = {"model": WEIGHTS, "averaged": {"model": WEIGHTS}, "optimizer": OPTIMIZER}
    with pytest.raises(l2l.ImportNetworkError) as caught:
        imported(tmp_path, content)
    (problem,) = caught.value.problems
    assert problem == (
        "it holds 2 dicts of weights, under 'model', 'model' in 'averaged'; save the one that is "
        'meant: torch.save(torch.load("net.pt")[\'model\'], "net.weights.pt")'
    )


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
    assert weights_of(content, HERE).keys() >= WEIGHTS.keys()
    if keys:
        assert weights_of(content, HERE).keys() == WEIGHTS.keys()
