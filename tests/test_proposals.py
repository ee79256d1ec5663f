"""Descriptions that are proposed for checkpoints: importing with them works on the first try."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import lnn2loihi as l2l
from lnn2loihi.cli import app

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ncps", reason="ncps is not installed")

from ncps.torch import LTC, CfC  # noqa: E402  needs PyTorch
from ncps.wirings import AutoNCP, FullyConnected  # noqa: E402
from torch import nn  # noqa: E402

from lnn2loihi.models.minimal_rnn import MinGRU, MinLSTM  # noqa: E402

NOTHING: Any = None  # ncps says str, and means None too
#: Layers of all families, and what keys and shapes do not say of them.
LAYERS: dict[str, Callable[[], Any]] = {
    "GRU": lambda: nn.GRU(3, 5, 2), "LSTM": lambda: nn.LSTM(3, 5),
    "GRUCell": lambda: nn.GRUCell(3, 5), "LSTMCell": lambda: nn.LSTMCell(3, 5, bias=False),
    "minGRU": lambda: MinGRU(3, 5), "minLSTM": lambda: MinLSTM(3, 5),
    "LTC": lambda: LTC(3, AutoNCP(12, 2)), "LTC, memory": lambda: LTC(3, 7, mixed_memory=True),
    "LTC, no mapping": lambda: LTC(3, FullyConnected(5), output_mapping=NOTHING),
    "LTCCell": lambda: LTC(3, AutoNCP(12, 2), implicit_param_constraints=True).rnn_cell,
    "CfCCell": lambda: CfC(3, 5).rnn_cell, "WiredCfCCell": lambda: CfC(3, AutoNCP(12, 2)).rnn_cell,
    **{
        f"CfC {mode}{', wired' * wired}{', memory' * memory}{', readout' * bool(outputs)}":
        lambda mode=mode, wired=wired, memory=memory, outputs=outputs: CfC(
            3, AutoNCP(12, 4) if wired else 6, mode=mode, mixed_memory=memory, proj_size=outputs
        )
        for mode in ("default", "no_gate", "pure")
        for wired, memory, outputs in (
            (0, False, None), (0, True, 2), (1, False, 2), (1, True, None),
        )
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def saved(folder: Path, state: Any, name: str = "net.pt") -> Path:
    torch.save(state, folder / name)
    return folder / name


def alike(one: l2l.LiquidNetwork, other: l2l.LiquidNetwork) -> bool:
    """But for the mode no_gate, which has the arrays of default."""
    arrays = [
        {key: array.tolist() for layer in net.layers for key, array in layer.arrays().items()}
        for net in (one, other)
    ]
    return arrays[0] == arrays[1]


@pytest.mark.parametrize("name", LAYERS)
def test_alone_and_within_a_larger_module(name: str, tmp_path: Path) -> None:
    layer = LAYERS[name]()
    right = l2l.import_network(layer)
    proposal = l2l.propose_description(saved(tmp_path, layer.state_dict()))
    assert proposal.write() == tmp_path / "net.toml"
    found = l2l.import_network(tmp_path / "net.pt")
    assert alike(found, right) and found.readout == right.readout
    (first, *_) = proposal.candidates
    assert (first.left, first.problems) == ((), ()) and first.sizes.startswith("3 inputs, ")

    head = nn.Linear(right.output_size, 4)
    whole = nn.ModuleDict({"rnn": layer, "head": head}).state_dict()
    content = {"state_dict": {f"model._orig_mod.{key}": value for key, value in whole.items()}}
    path = saved(tmp_path, {**content, "epoch": 3}, "whole.ckpt")
    proposal = l2l.propose_description(path)
    assert 'prefix = "rnn."' in proposal.text and 'readout = "head."  # a guess' in proposal.text
    proposal.write()
    found = l2l.import_network(path)
    assert alike(found, right) and found.readout is not None
    weight, bias = (getattr(head, part).detach().double().numpy() for part in ("weight", "bias"))
    if right.readout is None:
        assert (found.readout.weight == weight).all() and (found.readout.bias == bias).all()
    else:
        assert (found.readout.weight == weight @ right.readout.weight).all()
        assert (found.readout.bias == weight @ right.readout.bias + bias).all()


def test_what_is_guessed_is_said(tmp_path: Path) -> None:
    text = l2l.propose_description(saved(tmp_path, CfC(3, 5).state_dict())).text
    for guess in ('mode = "default"           # or', 'activation = "lecun_tanh"  # of', "timespan"):
        assert guess in text
    text = l2l.propose_description(saved(tmp_path, LTC(3, 5).state_dict())).text
    for guess in ("ode_unfolds = 6", "implicit_param_constraints = ", "epsilon", "timespan"):
        assert guess in text
    assert "form = " in l2l.propose_description(saved(tmp_path, MinGRU(3, 5).state_dict())).text


def test_all_candidates_are_listed(tmp_path: Path) -> None:
    parts = {"encoder": nn.GRU(3, 4), "decoder": nn.LSTM(4, 4), "embed": nn.Embedding(7, 9)}
    proposal = l2l.propose_description(saved(tmp_path, nn.ModuleDict(parts).state_dict()))
    whole, *alone = proposal.candidates
    assert whole.module == "2 stages, torch.nn.GRU -> torch.nn.LSTM"
    found = {(one.module, one.place) for one in alone}
    assert found == {("torch.nn.GRU", "encoder."), ("torch.nn.LSTM", "decoder.")}
    assert all("embed.weight" in one.left for one in proposal.candidates)
    said = proposal.summary()
    assert "2. torch.nn." in said and "3. torch.nn." in said and "leaves out" in said
    with pytest.raises(l2l.ImportNetworkError, match="in place of these"):
        l2l.import_network(tmp_path / "net.pt")


def test_a_map_that_another_hears_is_no_readout(tmp_path: Path) -> None:
    """What is between the maps of an MLP stands in no file; and a map before the layer is none
    after it.
    """
    head = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    for parts in (
        {"rnn": nn.GRU(3, 4), "head": head},
        {"map": nn.Linear(4, 4), "rnn": nn.GRU(4, 4)},
    ):
        proposal = l2l.propose_description(saved(tmp_path, nn.ModuleDict(parts).state_dict()))
        whole, one = proposal.candidates
        assert whole.left == () and len(whole.problems) == 1
        assert "readout" not in one.text and one.problems == ()
        assert {key.partition(".")[0] for key in one.left} == parts.keys() - {"rnn"}


def test_layers_of_all_states_of_a_file(tmp_path: Path) -> None:
    content = {"actor": nn.GRU(3, 4).state_dict(), "critic": nn.LSTM(3, 5).state_dict()}
    path = saved(tmp_path, content)
    proposal = l2l.propose_description(path)
    assert [one.problems for one in proposal.candidates] == [(), ()]
    for one in proposal.candidates:
        (tmp_path / "net.toml").write_text(one.text)
        assert l2l.import_network(path).units in (4, 5)
    assert 'state = "actor"' in l2l.propose_description(path, state="actor").text


def test_what_nobody_knows(tmp_path: Path) -> None:
    path = saved(tmp_path, nn.Conv1d(3, 4, 5).state_dict())
    proposal = l2l.propose_description(path)
    assert proposal.candidates == () and proposal.text == ""
    assert "none of the families knows its keys:\n  weight [4, 3, 5]" in proposal.summary()
    with pytest.raises(l2l.InputError, match="nothing to write"):
        proposal.write()
    with pytest.raises(l2l.ImportNetworkError, match="needs no description"):
        (tmp_path / "net.toml").write_text("")
        l2l.propose_description(tmp_path / "net.toml")


def test_a_description_is_replaced_only_where_that_is_said(tmp_path: Path) -> None:
    proposal = l2l.propose_description(saved(tmp_path, nn.GRU(3, 4).state_dict()))
    (tmp_path / "net.toml").write_text("mine")
    with pytest.raises(l2l.InputError, match="is there already"):
        proposal.write()
    assert (tmp_path / "net.toml").read_text() == "mine"
    proposal.write(replace=True)
    assert (tmp_path / "net.toml").read_text() == proposal.text
    assert proposal.write(tmp_path / "other.toml").read_text() == proposal.text


def test_at_the_command_line(tmp_path: Path) -> None:
    path = saved(
        tmp_path, {"actor": nn.GRU(3, 4).state_dict(), "critic": nn.LSTM(3, 5).state_dict()}
    )

    def inspect(*given: str) -> Any:
        return CliRunner().invoke(app, ["inspect", str(path), *given])

    assert "2 ways to read it" in inspect().output
    shown = json.loads(inspect("--json", "--option", "state=critic").output)
    assert [one["module"] for one in shown["candidates"]] == ["torch.nn.LSTM"]
    assert not (tmp_path / "net.toml").exists()
    assert "written: " in inspect("--write", "--option", "state=critic").output
    assert "LSTM" in (tmp_path / "net.toml").read_text()
    assert json.loads(inspect("--json").output)["name"] == "net"  # it is the network's now
    assert isinstance(inspect("--write").exception, l2l.InputError)
    assert inspect("--write", "--replace").exit_code == 0
    wrong = inspect("--write", "--replace", "--option", "name=a").exception
    assert "name goes with importing" in str(wrong)


PLACES = st.lists(st.sampled_from(["a", "rnn", "layers", "0", "module", "cell"]), max_size=4)


@given(PLACES, st.sampled_from(["GRU", "LSTM", "CfC pure, wired, readout", "LTC", "minGRU"]))
@settings(
    deadline=None, max_examples=25, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_wherever_it_sits(tmp_path: Path, place: list[str], name: str) -> None:
    before = "".join(f"{part}." for part in place)
    layer = LAYERS[name]()
    path = saved(tmp_path, {before + key: value for key, value in layer.state_dict().items()})
    l2l.propose_description(path).write(replace=True)
    assert alike(l2l.import_network(path), l2l.import_network(layer))
