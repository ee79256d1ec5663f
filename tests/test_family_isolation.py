"""Families of strangers that claim what is others', or fail: named, and nobody else is hurt."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ncps", reason="ncps is not installed")

from strangers import register  # noqa: E402
from test_family_importers import (  # noqa: E402
    FAMILY,
    Pull,
    PullLayer,
    PullLowering,
    PullStage,
    X,
    problems_of,
    pull,
    saved,
)
from torch import nn  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi import extend as lx  # noqa: E402
from lnn2loihi import family, qat, tensors  # noqa: E402
from lnn2loihi.converters.recurrent.family import FamilyImporter  # noqa: E402
from lnn2loihi.errors import PluginError  # noqa: E402
from lnn2loihi.families.gru.layer import GRULayer, GRUStage  # noqa: E402
from lnn2loihi.family import FAMILIES, families, importers, lowering_of  # noqa: E402


def install(monkeypatch: pytest.MonkeyPatch, *found: lx.Family) -> None:
    """Families of packages `<name> 1.0`, beside ours."""
    for one in found:
        package = f"{one.name} 1.0"
        register(monkeypatch, {one.name: one}, "lnn2loihi.families", package=package)


@pytest.fixture(autouse=True)
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What other tests have said is said again."""
    caplog.set_level(logging.WARNING, "lnn2loihi")
    FAMILIES._said.clear()
    family._SAID.clear()
    tensors._override.cache_clear()
    return caplog


# ---------------------------------------------------------------- classes have one owner

CLAIMS = {
    "our layer": lambda: lx.Family("thief", (GRULayer,), {}),
    "our stage": lambda: lx.Family("thief", (), {GRUStage: PullLowering()}),
    "a stranger's layer": lambda: lx.Family("thief", (PullLayer,), {}),
    "a stranger's stage": lambda: lx.Family("thief", (), {PullStage: PullLowering()}),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_class_of_two_families_is_named_and_ours_keep_theirs(
    claim: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, FAMILY, CLAIMS[claim]())
    names = [one.name for one in (*families(), *families())]  # said once
    ours = claim.startswith("our")
    assert "thief" not in names and "gru" in names and ("pull" in names) == ours
    text = [record.getMessage() for record in caplog.records]
    assert len(text) == (1 if ours else 2)
    assert "thief 1.0" in text[-1] and ("lnn2loihi" if ours else "pull 1.0") in text[-1]
    states = {report.name: report.state for report in FAMILIES.reports()}
    assert states["thief"] == "refused" and states["gru"] == "ok"
    with pytest.raises(PluginError, match="is claimed by thief 1.0 and by"):
        FAMILIES.get("thief")
    network = l2l.import_network(nn.GRU(3, 4).double())
    assert not isinstance(lowering_of(network.stages[0]), PullLowering)
    l2l.quantize(network, X)


def test_a_family_that_claims_ours_cannot_be_registered() -> None:
    with pytest.raises(PluginError, match="the stage lnn2loihi.*GRUStage is claimed by"):
        lx.register(CLAIMS["our stage"]())
    assert "thief" not in FAMILIES.names()


def test_faster_equations_for_others_stages_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*_: Any) -> Any:
        raise AssertionError

    table = {GRUStage: wrong}
    install(monkeypatch, replace(FAMILY, equations=lambda: table, onnx_nodes=lambda: table))
    for module in (nn.GRU(3, 4), pull()):
        qat.prepare(module, calibrate=X)(torch.tensor(X, dtype=torch.float32))
    assert "family 'pull' (pull 1.0) is left out: Family.equations has GRUStage" in caplog.text


# ---------------------------------------------------------------- importers


def claiming(name: str, word: str, live: str, **changed: Any) -> lx.Family:
    """A family whose importer claims a word of descriptions and a live class."""

    def importer() -> Any:
        kind: Any = type(FAMILY.made_importer)
        own = {"name": name, "modules": (word,), "classes": {live: word}, **changed}
        meta: Any = type(FamilyImporter)
        return meta(kind.__name__, (kind,), own)()

    return lx.Family(name, (), {}, importer)


MODULE, LIVE = "torch.nn.GRU", "torch.nn.modules.rnn.GRU"


@pytest.mark.parametrize(("word", "live"), [(MODULE, "a.B"), ("B", LIVE)])
def test_what_our_importers_read_is_theirs(
    word: str, live: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, claiming("aaa", word, live))
    module = nn.GRU(3, 4)
    assert l2l.import_network(module).source["importer"] == "torch_rnn"
    assert l2l.import_network(nn.Sequential(module, nn.Linear(4, 2))).units == 4
    (record,) = caplog.records
    assert "family 'aaa' (aaa 1.0) is left out: its importer claims" in record.getMessage()
    assert "as family 'gru' (lnn2loihi" in record.getMessage()


@pytest.mark.parametrize("shared", ["word", "class", "alias"])
def test_what_two_strangers_claim_is_nobodys(
    shared: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    word, live = ("Pull", "a.B") if shared == "word" else ("B", "a.B")
    live = f"{Pull.__module__}.Pull" if shared == "class" else live
    changed = {"aliases": {"Pull": "B"}} if shared == "alias" else {}
    install(monkeypatch, FAMILY, claiming("aaa", word, live, **changed))
    refused = problems_of(saved(tmp_path, pull().state_dict(), 'module = "Pull"'))
    assert "module is 'Pull'; supported are" in refused
    for one, other in (("pull", "aaa"), ("aaa", "pull")):
        assert f"family {one!r} ({one} 1.0) is left out: its importer claims" in caplog.text
        assert f"as family {other!r} ({other} 1.0) does" in caplog.text
    assert len(caplog.records) == 2 and {"gru", "cfc"} <= {one.name for one, _ in importers()}


@pytest.mark.parametrize(
    "is_module", [lambda self, source: True, lambda self, source: isinstance(source, nn.Module)]
)
def test_an_importer_that_takes_everything_takes_nothing(
    is_module: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, claiming("aaa", "B", "a.B", is_module=is_module))
    module = nn.Sequential(nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)).double()
    assert l2l.import_network(module[0]).units == 4
    assert "cannot be imported" in problems_of(nn.Sequential(nn.Conv1d(2, 2, 1)))
    assert l2l.import_network(module).source["importer"] == "modules"
    (record,) = caplog.records
    for part in ("family 'aaa' (aaa 1.0)", "takes every module", "mend it or remove aaa"):
        assert part in record.getMessage()


# ---------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((7, (), {}), "name is of type int; give a str"),
        (("", (), {}), "name is ''; give one line"),
        (("a\nb", (), {}), "give one line of printable text"),
        ((" a", (), {}), "give one line of printable text"),
        (("a", PullLayer, {}), "layers is the class PullLayer; give a tuple"),
        (("a", ("PullLayer",), {}), "layers.0. is 'PullLayer'|layers.0. is of type str"),
        (("a", (PullStage,), {}), "layers holds PullStage, which is no class of Layer"),
        (("a", (lx.Layer,), {}), "layers holds Layer, which all families share"),
        (("a", (), {PullLayer: PullLowering()}), "lowerings holds PullLayer, which is no"),
        (("a", (), {lx.Stage: PullLowering()}), "lowerings holds Stage, which all"),
        (("a", (), {PullStage: PullLowering}), "lowerings.* is the class PullLowering"),
        (("a", (), lambda: {}), "lowerings is of type function"),
        (("a", (), {}, 42), "importer is of type int; give a function"),
        (("a", (), {}, None, {}), "equations is of type dict; give a function"),
    ],
)
def test_fields_of_a_family_are_looked_at(fields: Any, reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        lx.Family(*fields)


def test_a_family_has_the_name_of_its_entry_point(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    register(monkeypatch, {"bbb": FAMILY}, "lnn2loihi.families")
    assert "pull" not in [one.name for one in families()]
    assert "of stranger 1.0 says that its name is 'pull'" in caplog.text


# ---------------------------------------------------------------- code that raises


def boom(*_: Any) -> Any:
    raise RuntimeError("boom")


@pytest.mark.parametrize("table", [boom, lambda: None, lambda: 5, lambda: {PullStage: 3}])
def test_faster_equations_that_cannot_be_had(
    table: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Any,
) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    install(monkeypatch, replace(FAMILY, equations=table, onnx_nodes=table))
    for module in (nn.GRU(3, 4), pull()):
        qat.prepare(module, calibrate=X)(torch.tensor(X, dtype=torch.float32))
        l2l.export(l2l.import_network(module), tmp_path / "net.onnx")
    text = [record.getMessage() for record in caplog.records]
    assert len(text) == 2 and all("family 'pull' (pull 1.0) is left out" in one for one in text)
    assert "Family.equations" in text[0] and "Family.onnx_nodes" in text[1]
