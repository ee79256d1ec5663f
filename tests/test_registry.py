"""Plug-ins: one that is broken or that shares a name breaks nothing else, and is named."""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from networks import random_network

import lnn2loihi as l2l
from lnn2loihi import extend, plugins, registry
from lnn2loihi.errors import ImportNetworkError, PluginError
from lnn2loihi.registry import Registry


class Working:
    """An importer of files that end in .mine."""

    def recognises(self, source: object) -> bool:
        return isinstance(source, Path) and source.suffix == ".mine"

    def load(self, source: object, **options: Any) -> l2l.LiquidNetwork:
        return random_network(1)


class Greedy(Working):
    """Takes everything, and says so."""

    catch_all = True

    def recognises(self, source: object) -> bool:
        return True

    def load(self, source: object, **options: Any) -> l2l.LiquidNetwork:
        return random_network(2)


class Raising(Working):
    def recognises(self, source: object) -> bool:
        raise KeyError("units")


class Unfinished:
    """Lacks `load`."""

    def recognises(self, source: object) -> bool:
        return True


class Impossible:
    def __init__(self) -> None:
        raise SystemExit("no licence")


class Point:
    """An entry point of a package that is not installed."""

    def __init__(self, name: str, value: str, package: str) -> None:
        self.name, self.value = name, value
        distribution, _, version = package.partition(" ")
        self.dist = SimpleNamespace(name=distribution, version=version)

    def load(self) -> Any:
        return EntryPoint(self.name, self.value, "lnn2loihi.importers").load()


def point(name: str, value: str, package: str = "stranger 1.0") -> Point:
    return Point(name, value, package)


@pytest.fixture
def importers(monkeypatch: pytest.MonkeyPatch) -> Registry[plugins.Importer]:
    """A registry of importers that has loaded nothing yet."""
    fresh = Registry("lnn2loihi.importers", "importer", plugins.Importer)
    monkeypatch.setattr(plugins, "IMPORTERS", fresh)
    return fresh


def install(monkeypatch: pytest.MonkeyPatch, *points: Any) -> None:
    monkeypatch.setattr(registry, "_entry_points", lambda group: points)


BROKEN = [
    (f"{__name__}:Unfinished", "is a Unfinished, and no Importer; it lacks load"),
    (f"{__name__}:Impossible", "cannot be loaded .SystemExit: no licence."),
    (f"{__name__}:nothing_there", "cannot be loaded .AttributeError"),
    ("no_such_module:Importer", "cannot be loaded .ModuleNotFoundError: No module named"),
]


@pytest.mark.parametrize(("value", "reason"), BROKEN, ids=["type", "exit", "attribute", "module"])
def test_a_broken_one_is_named_and_breaks_nothing(
    value: str,
    reason: str,
    importers: Registry[plugins.Importer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    install(monkeypatch, point("a", value), point("b", f"{__name__}:Working"))
    file = tmp_path / "net.mine"
    file.touch()
    with caplog.at_level(logging.WARNING, "lnn2loihi"):
        for _ in range(2):  # said once
            assert l2l.import_network(file) == random_network(1)
    (record,) = caplog.records
    assert "importer 'a' is left out" in record.getMessage()
    assert "stranger 1.0" in record.getMessage()
    with pytest.raises(ImportNetworkError, match=f"importer 'a': .*of stranger 1.0 {reason}"):
        l2l.import_network(file, format="a")
    states = {report.name: report.state for report in importers.reports()}
    assert states == {"a": "broken", "b": "ok"}


def test_those_that_take_anything_are_asked_last(
    importers: Registry[plugins.Importer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, point("a", f"{__name__}:Greedy"), point("z", f"{__name__}:Working"))
    file = tmp_path / "net.mine"
    file.touch()
    assert l2l.import_network(file) == random_network(1)
    assert l2l.import_network(object()) == random_network(2)


def test_one_that_raises_when_it_is_asked_is_left_out(
    importers: Registry[plugins.Importer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    install(monkeypatch, point("a", f"{__name__}:Raising"), point("z", f"{__name__}:Working"))
    file = tmp_path / "net.mine"
    file.touch()
    assert l2l.import_network(file) == random_network(1)
    assert "importer Raising is left out" in caplog.text and "KeyError: 'units'" in caplog.text


def test_a_name_of_two_strangers_belongs_to_neither(
    importers: Registry[plugins.Importer], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        monkeypatch,
        point("a", f"{__name__}:Working", "one 1.0"),
        point("a", f"{__name__}:Greedy", "two 2.0"),
    )
    assert importers.names() == []
    with pytest.raises(PluginError, match="is registered by one 1.0 .* and by two 2.0 as well"):
        importers.get("a")
    assert [report.state for report in importers.reports()] == ["refused", "refused"]


def test_ours_keeps_its_name(
    importers: Registry[plugins.Importer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    install(
        monkeypatch,
        point("ncps", f"{__name__}:Greedy", "one 1.0"),
        point("ncps", f"{__name__}:Working", "lnn2loihi 0.1.0"),
    )
    assert isinstance(importers.get("ncps"), Working)
    assert [name for name, _ in importers.working()] == ["ncps"]
    assert "importer 'ncps' is left out" in caplog.text and "one 1.0" in caplog.text


def test_found_twice_is_one(
    importers: Registry[plugins.Importer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel, and the folder that it runs from."""
    install(monkeypatch, *(point("a", f"{__name__}:Working", f"one {n}.0") for n in (1, 2)))
    assert importers.names() == ["a"] and len(importers.reports()) == 1


def test_nothing_is_loaded_for_names(
    importers: Registry[plugins.Importer], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, point("a", "no_such_module:Importer"))
    assert importers.names() == ["a"]


def test_one_is_added_and_removed_in_this_process(
    importers: Registry[plugins.Importer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, point("a", f"{__name__}:Greedy"))
    file = tmp_path / "net.mine"
    file.touch()
    assert importers.names() == ["a"]  # asked before, and again after each change
    importers.add("z", Working(), "mine")
    assert importers.names() == ["a", "z"] and importers.package("z").startswith("mine")
    assert l2l.import_network(file) == random_network(1)
    assert l2l.import_network(file) == random_network(1)
    importers.add("z", mended := Working())
    assert importers.get("z") is mended
    importers.remove("z")
    importers.remove("z")
    assert importers.names() == ["a"]
    with pytest.raises(PluginError, match="importer 'z': .* and no Importer; it lacks load"):
        importers.add("z", Unfinished())
    with pytest.raises(PluginError, match="importer 'a': the name is registered by stranger 1.0"):
        importers.add("a", Working())
    assert importers.names() == ["a"]


class Odd(Working):
    """An importer whose methods are what a test makes of them."""


class OddExporter:
    """The same of an exporter."""

    suffixes = (".odd",)

    def accepts(self, source: object) -> bool:
        return True

    def export(self, source: object, **options: Any) -> object:
        return source

    def to_bytes(self, made: object) -> bytes:
        return b"made"


def fails(*_: Any, **__: Any) -> Any:
    raise KeyError("units")


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (lambda self: None, r"load\(\) raised TypeError: .* takes 1 positional argument"),
        (lambda self, source: None, "an answer of type NoneType, not LiquidNetwork"),
        (fails, "raised KeyError: 'units' at tests/test_registry.py"),
    ],
)
def test_an_importer_that_fails_is_named(
    load: Any,
    reason: str,
    importers: Registry[plugins.Importer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    install(monkeypatch, point("a", f"{__name__}:Odd"))
    monkeypatch.setattr(Odd, "load", load, raising=False)
    file = tmp_path / "net.mine"
    file.touch()
    for format in (None, "a"):
        with pytest.raises(PluginError, match=reason) as caught:
            l2l.import_network(file, format=format)
        assert "importer 'a' (stranger 1.0): " in str(caught.value)
        assert "; mend it or remove stranger" in str(caught.value)


@pytest.mark.parametrize("method", ["export", "to_bytes"])
@pytest.mark.parametrize("wrong", [lambda self: None, fails])
def test_an_exporter_that_fails_is_named(
    method: str, wrong: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(OddExporter, method, wrong)
    extend.register(OddExporter(), "odd")
    try:
        with pytest.raises(PluginError, match=rf"exporter 'odd' .*: {method}\(\) raised"):
            l2l.export(random_network(1), tmp_path / "net.odd")
    finally:
        plugins.EXPORTERS.remove("odd")


def test_what_an_exporter_writes_are_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    extend.register(OddExporter(), "odd")
    try:
        assert l2l.export(random_network(1), tmp_path / "net.odd").read_bytes() == b"made"
        monkeypatch.setattr(OddExporter, "to_bytes", lambda self, made: "text")
        with pytest.raises(PluginError, match="an answer of type str, not bytes"):
            l2l.export(random_network(1), tmp_path / "net.odd")
    finally:
        plugins.EXPORTERS.remove("odd")


@pytest.mark.parametrize("part", ["accepts", "suffixes"])
def test_an_exporter_that_fails_breaks_no_other(
    part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    monkeypatch.setattr(OddExporter, part, fails if part == "accepts" else 5)
    extend.register(OddExporter(), "a_odd")
    try:
        assert l2l.export(random_network(1), tmp_path / "net.onnx").exists()
        assert "exporter OddExporter is left out" in caplog.text
    finally:
        plugins.EXPORTERS.remove("a_odd")


def run(program: Any, inputs: Any, initial_state: Any) -> Any:
    raise AssertionError


def test_whatever_a_package_can_bring_is_registered() -> None:
    model = SimpleNamespace(load=run, example=run)
    for plugin, name, known in (
        (extend.Target("own"), None, plugins.TARGETS),
        (extend.DevicePackage(), "own", plugins.DEVICES),
        (OddExporter(), "own", plugins.EXPORTERS),
        (Working(), "own", plugins.IMPORTERS),
        (model, "own", plugins.MODELS),
        (run, "own", plugins.EXECUTORS),
    ):
        extend.register(plugin, name)
        try:
            assert known.get("own") is plugin
        finally:
            known.remove("own")


@pytest.mark.parametrize(
    ("plugin", "name", "reason"),
    [
        (Working, "a", "plugin is the class Working; give one of Family, "),
        (5, "a", "plugin is an int; give one of Family, "),
        (Working(), None, "the importer has no name; give name="),
        (Working(), "", "the importer has no name"),
        (Working(), "onnx", "importer 'onnx': the name is registered by lnn2loihi"),
        (extend.Family("a", (), {}), "b", "says that its name is 'a'"),
    ],
)
def test_what_cannot_be_registered(plugin: Any, name: Any, reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        extend.register(plugin, name)
