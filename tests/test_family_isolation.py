"""Families of strangers that claim what is others', or fail: named, and nobody else is hurt."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
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
from lnn2loihi.cli import main  # noqa: E402
from lnn2loihi.converters.recurrent.family import FamilyImporter  # noqa: E402
from lnn2loihi.errors import FamilyError, NetworkError, PluginError, ProgramError, QuantizationError  # noqa: E402
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


@pytest.mark.parametrize("claim", ["a stranger's layer", "a stranger's stage", "live"])
def test_a_class_stays_with_the_package_that_it_comes_from(
    claim: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live = f"{Pull.__module__}.Pull"
    thief = claiming("thief", "B", live) if claim == "live" else CLAIMS[claim]()
    install(monkeypatch, thief)
    # As an entry point of the package that the classes stand in.
    owns = Pull.__module__
    register(monkeypatch, {"pull": FAMILY}, "lnn2loihi.families", package=owns)
    assert l2l.import_network(pull()).source["importer"] == "pull_torch"
    l2l.quantize(l2l.import_network(pull()), X)
    (record,) = caplog.records
    assert "family 'thief'" in record.getMessage() and "thief 1.0" in record.getMessage()
    assert owns in record.getMessage()


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


class Failing(PullLowering):
    """Fails in one method, as the class is made by `failing`."""


def failing(method: str, answer: Any = boom) -> Failing:
    kind: Any = type("Failing", (Failing,), {method: answer})
    return kind()


@pytest.mark.parametrize("method", ["lower", "message_format", "message_low", "may_clip",
                                    "unit_sizes", "unit_ranges", "cautions"])  # fmt: skip
@pytest.mark.parametrize(
    ("answer", "reason"),
    [(boom, "RuntimeError: boom at"), (lambda *_: "?", "answer of type str")],
)
def test_lowerings_that_fail_are_named(
    method: str, answer: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, replace(FAMILY, lowerings={PullStage: failing(method, answer)}))
    network = l2l.import_network(pull())
    form = lx.FixedPoint(8, 7)
    if method in ("message_low", "may_clip"):  # asked where messages are cut
        own: Any = lowering_of(network.stages[0])
        given = (form,) if method == "message_low" else ()
        with pytest.raises(QuantizationError) as caught:
            getattr(own, method)(network.stages[0], *given)
    else:
        with pytest.raises(QuantizationError) as caught:
            l2l.quantize(network, X)
    for part in (
        "family 'pull' (pull 1.0): ",
        f"{method}() of stage 'layer_0' raised ",
        reason,
        "; mend it or remove pull",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "ranges", [np.ones(3), np.zeros(4), np.full(4, np.nan), np.ones((4, 1)), -np.ones(4)]
)
def test_ranges_of_units_that_are_none(ranges: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lowering = failing("unit_ranges", lambda *_: ranges)
    install(monkeypatch, replace(FAMILY, lowerings={PullStage: lowering}))
    with pytest.raises(QuantizationError, match="give 4 numbers above 0"):
        l2l.quantize(l2l.import_network(pull()), X)


def test_programs_that_fail_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lower(self: Any, *given: Any) -> Any:
        return replace(PullLowering.lower(self, *given), program=boom)

    install(monkeypatch, replace(FAMILY, lowerings={PullStage: failing("lower", lower)}))
    with pytest.raises(QuantizationError, match="program.. of stage 'layer_0' raised RuntimeError"):
        l2l.quantize(l2l.import_network(pull()), X)


def test_our_own_errors_pass_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    def lower(self: Any, *given: Any) -> Any:
        raise QuantizationError("layer_0", "neuron 3 does not fit")

    install(monkeypatch, replace(FAMILY, lowerings={PullStage: failing("lower", lower)}))
    with pytest.raises(QuantizationError, match="neuron 3 does not fit") as caught:
        l2l.quantize(l2l.import_network(pull()), X)
    assert caught.value.subject == "layer_0" and "mend it" not in str(caught.value)


def written(change: Any) -> Any:
    """A lowering whose neuron program is traced otherwise: called with the tracer at its end."""

    def lower(self: Any, *given: Any) -> Any:
        found = PullLowering.lower(self, *given)

        def program(rescalings: Any) -> Any:
            made = found.program(rescalings)
            return change(made)

        return replace(found, program=program)

    return failing("lower", lower)


def without_spike(program: Any) -> Any:
    kept = tuple(one for one in program.instructions if one.opcode != "SPIKE")
    return replace(program, instructions=kept, message_state="")


def twice(program: Any) -> Any:
    return replace(program, instructions=(*program.instructions, program.instructions[0]))


def another_state(program: Any) -> Any:
    return replace(program, states=(*program.states, ("extra", 8)))


def another_parameter(program: Any) -> Any:
    return replace(program, parameters=(*program.parameters, ("extra", 8)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_spike, "sends one message per update (SPIKE); this one has 0"),
        (twice, "is assigned a second time"),
        (another_state, "its states are ['h', 'sent'], its neuron program declares ['extra', 'h'"),
        (another_parameter, "'target.multiplier'], its neuron program declares ['extra', "),
    ],
)
def test_what_is_no_neuron_program_is_said_without_other_advice(
    change: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, replace(FAMILY, lowerings={PullStage: written(change)}))
    with pytest.raises(FamilyError) as caught:
        l2l.quantize(l2l.import_network(pull()), X)
    text = str(caught.value)
    assert "family 'pull' (pull 1.0)" in text and reason in text and "mend it or remove" in text
    for advice in ("too small", "too large", "retrain", "recipe", "weight decay"):
        assert advice not in text


WORDS = ("share", "coarse", "way", "step", "new_state", "kept", "sum", "message", "add", "sub")


@pytest.mark.parametrize("name", WORDS)
def test_a_gate_may_be_called_as_a_word_of_a_helper_is(name: str) -> None:
    t = lx.Tracer("words")
    kept, heard = t.state("state", lx.STATE_BITS), t.state("sent", 8)
    tau = lx.ACTIVATIONS[lx.Recipe.parse("w8a12").activation].tanh(
        t, lx.preactivation(t, name, lx.Rescaling(4))
    )
    target = lx.within(t, lx.preactivation(t, "target", lx.Rescaling(4)), lx.VALUE_BITS)
    new = lx.moved(t, kept, target, tau, towards=True)
    t.write(kept, new)
    t.spike(lx.sent(t, new, 15, 8)[1], heard)
    assert t.program().accumulators == (name, "target")


def test_names_are_declared_before_words_take_them() -> None:
    t = lx.Tracer("words")
    t.add(t.accumulator("gate"), 1, "share")
    for declare in (t.accumulator, lambda name: t.state(name, 8), lambda n: t.parameter(n, 8)):
        with pytest.raises(ProgramError, match="'share' is declared after a word of that name"):
            declare("share")


def test_the_command_line_names_a_lowering_that_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, replace(FAMILY, lowerings={PullStage: failing("lower")}))
    path = saved(tmp_path, pull().state_dict(), 'module = "Pull"')
    np.save(tmp_path / "x.npy", X)
    given = ["quantize", path, "--calibrate", tmp_path / "x.npy", "--output", tmp_path / "o.l2l"]
    monkeypatch.setattr(sys, "argv", ["lnn2loihi", *map(str, given)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "family 'pull' (pull 1.0): lower() of stage 'layer_0' raised" in capsys.readouterr().err


# ---------------------------------------------------------------- stages and layers


def network_of(answer: Any = None, layer: Mapping[str, Any] | None = None) -> l2l.LiquidNetwork:
    """A network of a PullLayer whose stage or which itself is changed."""

    @dataclass(frozen=True, eq=False)
    class Stage(PullStage):
        pass

    if answer is not None:
        Stage.answer = answer
    own = {"stage": lambda self, sources, gates: Stage(self.name, sources, gates), **(layer or {})}
    kind: Any = dataclass(frozen=True, eq=False)(type("Layer", (PullLayer,), own))
    gates = l2l.import_network(pull()).layers[0].gates  # pyright: ignore
    return l2l.LiquidNetwork("net", (kind("layer_0", gates),))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FAMILY)


def changed(make: Any) -> Any:
    """An `answer` whose message and word are made of the right ones."""

    def answer(self: Any, sums: Any, state: Any, elapsed: Any) -> Any:
        return make(*PullStage.answer(self, sums, state, elapsed))

    return answer


WRONG = {
    "raises": (boom, "raised RuntimeError: boom at tests/test_family_isolation.py"),
    "narrow": (changed(lambda h, m: (h[..., :1], m)), r"the message of shape \(2, 1\)"),
    "word": (changed(lambda h, m: (h, {"h": h[..., :1]})), r"gives h of shape \(2, 1\)"),
    "number": (changed(lambda h, m: (0.5, m)), r"the message of shape \(\)"),
    "complex": (changed(lambda h, m: (h * 1j, m)), "type complex128"),
    "words": (changed(lambda h, m: (h, {})), r"gives memory \[\], its `memory` names \['h'\]"),
    "none": (changed(lambda h, m: (h, None)), "gives memory"),
    "alone": (changed(lambda h, m: h), "raised ValueError|gives memory"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_answers_of_the_wrong_kind_are_named(wrong: str, installed: None) -> None:
    answer, reason = WRONG[wrong]
    network = network_of(answer)
    for run in (lambda: network.evaluate(X), lambda: l2l.quantize(network, X)):
        with pytest.raises(NetworkError, match=reason) as caught:
            run()
        assert "family 'pull' (pull 1.0)" in str(caught.value)
        assert "answer() of stage 'layer_0'" in str(caught.value)
        assert "mend it or remove pull" in str(caught.value)


def test_training_names_what_a_stage_raises(installed: None) -> None:
    stage = network_of(boom).stages[0]
    sums = {gate: torch.zeros(2, 4) for gate in stage.gates}
    with pytest.raises(tensors.EquationError, match="answer.. of stage 'layer_0' on tensors raise"):
        tensors.equations(stage, sums, {"h": torch.zeros(2, 4)}, None)


def test_answers_that_are_no_numbers_cannot_be_quantized(installed: None) -> None:
    x = np.abs(X)
    x[1, 5:] = 100.0  # the second sequence, from step 5 on

    def answer(self: Any, sums: Any, state: Any, elapsed: Any) -> Any:
        h = sums["gate"] * (np.nan if np.abs(sums["gate"]).max() > 20 else 1.0)
        return h, {"h": state["h"]}

    with pytest.raises(QuantizationError) as caught:
        l2l.quantize(network_of(answer), x)
    assert "stage 'layer_0' answers NaN to sequence" in str(caught.value)
    assert "at step 5 (both from 0)" in str(caught.value)
    with pytest.raises(QuantizationError, match="layer_0' keeps in 'h' NaN to sequence 0"):
        l2l.quantize(network_of(changed(lambda h, m: (h, {"h": h * np.nan}))), np.abs(X))


LAYERS = {
    "stages": ({"stages": boom}, r"stages\(\) of layer 'layer_0' raised RuntimeError: boom"),
    "problems": ({"problems": boom}, r"problems\(\) of layer 'layer_0' raised RuntimeError"),
    "one problem": ({"problems": lambda self: "bad gates"}, "network 'net': bad gates$"),
    "units": ({"units": property(boom)}, "of layer 'layer_0' raised RuntimeError: boom"),
    "no stages": ({"stages": lambda *_: ((), 1.0)}, "which is no tuple of stages"),
    "none": ({"stages": lambda *_: None}, r"stages\(\) of layer 'layer_0' raised TypeError"),
}


@pytest.mark.parametrize("wrong", LAYERS)
def test_layers_that_fail_are_named(wrong: str, installed: None) -> None:
    layer, reason = LAYERS[wrong]
    with pytest.raises(NetworkError, match=reason):
        network_of(layer=layer).evaluate(X)


def test_a_layer_is_a_frozen_dataclass(installed: None) -> None:
    class Loose(PullLayer):
        more: Any = None

    class Methods(PullLayer):
        kind: ClassVar[str] = "pull"

    gates = network_of().layers[0].gates  # pyright: ignore
    with pytest.raises(NetworkError, match="Loose is no frozen dataclass"):
        l2l.LiquidNetwork("net", (Loose("layer_0", gates),))
    assert l2l.LiquidNetwork("net", (Methods("layer_0", gates),)).units == 4


@dataclass(frozen=True, eq=False)
class Holder:
    """What an array may be held in."""

    inside: Any


@pytest.mark.parametrize(
    "held", [lambda a: a, lambda a: a[1:], lambda a: (a,), lambda a: [a], lambda a: {"a": a},
             lambda a: Holder(a), lambda a: ({"a": [a]},)]
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_the_arrays_of_a_layer_are_its_own(held: Any, dtype: Any, installed: None) -> None:
    @dataclass(frozen=True, eq=False)
    class Holding(PullLayer):
        more: Any = None

    array = np.arange(4).astype(dtype)
    plain: Any = network_of().layers[0]
    network = l2l.LiquidNetwork("net", (Holding("layer_0", plain.gates, held(array)),))
    more: Any = network.layers[0]
    before = pickle.dumps(more.more)
    array += 1
    assert pickle.dumps(more.more) == before
    digest = hash(network)
    if isinstance(more.more, np.ndarray):
        assert more.more.dtype == (np.int16 if dtype == np.int16 else np.float64)
        with pytest.raises(ValueError, match="read-only"):
            more.more += 1
    assert hash(network) == digest


# ---------------------------------------------------------------- importers that forget or fail


def importing(**changed: Any) -> lx.Family:
    """The family with an importer that is changed."""
    kind: Any = type(FAMILY.made_importer)
    meta: Any = type(FamilyImporter)
    return replace(FAMILY, importer=meta(kind.__name__, (kind,), changed))


def layers_of(arrays: Any, bias: str = "both.bias") -> Any:
    """The layers, without a look at what is wrong."""
    weight = arrays.take("both.weight")
    offsets = arrays.take(bias, len(weight), 0)
    gates = map(lx.Linear, PullLayer.names, np.split(weight, 2), np.split(offsets, 2))
    return lx.FamilyParts((PullLayer("layer_0", tuple(gates)),))


FORGETFUL = {
    "a key that is not there": (
        lambda self, state, d: (layers_of(lx.Arrays(state, d.prefix), "both.biass"), []),
        ["the key both.biass is missing", "keys that a Pull does not have: both.bias"],
    ),
    "other keys": (
        lambda self, state, d: (layers_of(lx.Arrays(state, d.prefix)), []),
        ["keys that a Pull does not have: spare"],
    ),
    "one of two": (
        lambda self, state, d: (
            layers_of(lx.Arrays(state, d.prefix)),
            lx.Arrays(state, d.prefix).take("spare", 7, 0) is None and [] or [],
        ),
        ["spare has shape (2,), expected (7)"],
    ),
    "zeros that fit nothing": (
        lambda self, state, d: (layers_of(lx.Arrays(state, "none.")), []),
        ["the key none.both.weight is missing"],
    ),
}


@pytest.mark.parametrize("case", FORGETFUL)
def test_what_an_importer_forgets_is_said(
    case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    parts, reasons = FORGETFUL[case]
    install(monkeypatch, importing(parts=parts))
    state = pull().state_dict() | {"spare": torch.ones(2)}
    refused = problems_of(saved(tmp_path, state, 'module = "Pull"'))
    for reason in reasons:
        assert refused.count(reason) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "gives None; give the parts and a list of texts"),
        (5, "gives 5; give the parts"),
        ((None, None), "object is not iterable"),
        ((None, []), "gives neither layers nor a problem"),
        ((lx.FamilyParts(()), []), "; give FamilyParts of layers, or None"),
        ((lx.FamilyParts(("x",)), []), "; give FamilyParts of layers, or None"),  # pyright: ignore
        (("x", ["odd"]), "; give FamilyParts of layers, or None"),
    ],
)
def test_nonsense_of_an_importer_names_its_package(
    answer: Any, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    install(monkeypatch, importing(parts=lambda *_: answer))
    path = saved(tmp_path, pull().state_dict(), 'module = "Pull"')
    for source in (path, pull(), nn.Sequential(pull(), nn.Linear(4, 2))):
        refused = problems_of(source)
        assert "the importer pull_torch of Pull cannot read it (" in refused
        assert reason in refused and "mend it or remove pull" in refused
        assert "was changed" not in refused or "iterable" in reason


def test_a_text_is_one_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    install(monkeypatch, importing(parts=lambda *_: (None, "bad file")))
    path = saved(tmp_path, pull().state_dict(), 'module = "Pull"')
    assert problems_of(path).endswith(": bad file")


def test_a_checkpoint_of_two_families_is_said_to_be_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    also = claiming("other", "Other", "a.B")
    install(monkeypatch, FAMILY, also)
    path = saved(tmp_path, pull().state_dict(), None)
    refused = problems_of(path)
    for part in ('module = "Pull"', 'module = "Other"', "# or, since its keys may be another"):
        assert part in refused
    path.with_suffix(".toml").write_text(refused.split("\n\n", 1)[1])
    assert l2l.import_network(path).units == 4


class Off(Pull):
    """Answers otherwise than its arrays say."""

    def forward(self, x: Any) -> Any:
        return super().forward(x) * 1.001


class TimeFirst(Pull):
    def forward(self, x: Any) -> Any:
        return super().forward(x.transpose(0, 1)).transpose(0, 1)


class LastOnly(Pull):
    def forward(self, x: Any) -> Any:
        return super().forward(x)[:, -1]


class Cell(Pull):
    """Takes a sample and its last answer."""

    def forward(self, x: Any, h: Any) -> Any:  # pyright: ignore
        gate, target = self.both(torch.cat([x, h], -1)).chunk(2, -1)
        return h + torch.sigmoid(gate) * (nn.functional.hardtanh(target) - h)


class CellPair(Cell):
    """Begins by itself, and returns its answer twice."""

    def forward(self, x: Any, h: Any = None) -> Any:
        h = super().forward(x, x.new_zeros(len(x), 4) if h is None else h)
        return h, h


class Unable(Pull):
    def forward(self, x: Any, mask: Any, more: Any) -> Any:  # pyright: ignore
        raise AssertionError


@pytest.mark.parametrize("kind", [Pull, TimeFirst, LastOnly, Cell, CellPair, Unable, Off])
def test_a_strangers_live_module_answers_as_its_network(
    kind: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, importing(classes={f"{__name__}.{kind.__name__}": "Pull",
                                            f"{Pull.__module__}.Pull": "Pull"}))  # fmt: skip
    torch.manual_seed(0)
    module = kind(3, 4)
    if kind is Off:
        refused = problems_of(module)
        assert (
            "answers otherwise than the layers that the importer pull_torch (pull 1.0)" in refused
        )
        assert "mend it or remove pull" in refused
        return
    before = torch.get_rng_state()
    assert l2l.import_network(module).units == 4
    assert torch.equal(torch.get_rng_state(), before)
    assert ("was not compared with the network" in caplog.text) == (kind is Unable)
