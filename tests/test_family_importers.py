"""One importer for the modules of all families, a stranger's among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ncps", reason="ncps is not installed")

from ncps.torch import LTC, CfC  # noqa: E402
from torch import nn  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi import extend as lx  # noqa: E402
from lnn2loihi import plugins, qat  # noqa: E402
from lnn2loihi.converters.files import checkpoint, description  # noqa: E402
from lnn2loihi.converters.normalise import Normalise  # noqa: E402
from lnn2loihi.converters.recurrent import importer as recurrent  # noqa: E402
from lnn2loihi.errors import ImportNetworkError  # noqa: E402
from lnn2loihi.family import FAMILIES, importers  # noqa: E402
from lnn2loihi.measure import torch_session  # noqa: E402
from lnn2loihi.models.minimal_rnn import MinGRU  # noqa: E402

# ---------------------------------------------------------------- a stranger's family


@dataclass(frozen=True, eq=False)
class PullStage(lx.Stage):
    """h' = h + sigmoid(gate) (hard_tanh(target) - h)."""

    family: ClassVar[str] = "pull"
    memory: ClassVar[tuple[str, ...]] = ("h",)
    logistic: ClassVar[tuple[str, ...]] = ("gate",)

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        h = state["h"] + lx.sigmoid(sums["gate"]) * (
            np.clip(sums["target"], -1.0, 1.0) - state["h"]
        )
        return h, {"h": h}


@dataclass(frozen=True, eq=False)
class PullLayer(lx.GatedLayer):
    names: ClassVar[tuple[str, ...]] = ("gate", "target")

    def stage(self, sources: Any, gates: Mapping[str, lx.Linear]) -> lx.Stage:
        return PullStage(self.name, sources, gates)


class PullLowering(lx.StageLowering[PullStage]):
    bounded = True

    def lower(self, stage: PullStage, measured: lx.Measured, recipe: lx.Recipe) -> lx.Lowering:
        bits, activation = recipe.message_bits, lx.ACTIVATIONS[recipe.activation]

        def program(rescalings: Any) -> lx.NeuronProgram:
            t = lx.Tracer("pull")
            kept, heard = t.state("h", lx.STATE_BITS), t.state("sent", bits)
            share = activation.tanh(t, lx.preactivation(t, "gate", rescalings[0]))
            target = lx.within(t, lx.preactivation(t, "target", rescalings[1]), lx.VALUE_BITS)
            new = lx.moved(t, kept, target, share, towards=True)
            t.write(kept, new)
            shift = lx.FRACTION_BITS + lx.GUARD_BITS - (bits - 1)
            t.spike(lx.sent(t, new, shift, bits)[1], heard)
            return t.program()

        return lx.Lowering(
            {"gate": activation.unit / 2, "target": 2.0**lx.FRACTION_BITS},
            self.message_format(stage, measured.largest_answer, recipe),
            program,
            states=("h", "sent"),
            held=dict.fromkeys(stage.gates, lx.LARGEST_WORD),
            memory_steps={"h": 2.0 ** -(lx.FRACTION_BITS + lx.GUARD_BITS)},
        )


class Pull(nn.Module):
    """Answers a tensor alone."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.both = nn.Linear(inputs + units, 2 * units)

    def forward(self, x: Any) -> Any:
        h = x.new_zeros(len(x), self.both.out_features // 2)
        answers = []
        for sample in x.unbind(1):
            gate, target = self.both(torch.cat([sample, h], -1)).chunk(2, -1)
            h = h + torch.sigmoid(gate) * (nn.functional.hardtanh(target) - h)
            answers.append(h)
        return torch.stack(answers, 1)


def _importer() -> Any:
    class PullImporter(lx.FamilyImporter):
        name, modules = "pull_torch", ("Pull",)
        classes: ClassVar[Mapping[str, str]] = {f"{__name__}.Pull": "Pull"}

        def is_checkpoint(self, state: Any) -> bool:
            return any(key.endswith("both.weight") for key in state)

        def parts(self, state: Any, description: Any) -> Any:
            arrays = lx.Arrays(state, description.prefix)
            weight = arrays.take("both.weight")
            bias = arrays.take("both.bias", len(weight), 0)
            arrays.refuse_others("Pull", description.readout)
            if arrays.problems:
                return None, arrays.problems
            gates = map(lx.Linear, PullLayer.names, np.split(weight, 2), np.split(bias, 2))
            return lx.FamilyParts((PullLayer("layer_0", tuple(gates)),)), []

    return PullImporter()


FAMILY = lx.Family("pull", (PullLayer,), {PullStage: PullLowering()}, _importer)
X = np.random.default_rng(0).normal(size=(2, 12, 3))


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    lx.register(FAMILY)
    yield
    FAMILIES.remove("pull")


def pull(inputs: int = 3) -> Any:
    torch.manual_seed(1)
    return Pull(inputs, 4).double()


def said(module: nn.Module) -> Any:
    with torch.no_grad():
        return module(torch.tensor(X)).numpy()


def saved(folder: Path, state: Mapping[str, Any], text: str | None) -> Path:
    arrays = {key: np.ascontiguousarray(value.numpy()) for key, value in state.items()}
    save_file(arrays, folder / "net.safetensors")
    if text is not None:
        (folder / "net.toml").write_text(f"[network]\n{text}\n")
    return folder / "net.safetensors"


def problems_of(source: Any, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        l2l.import_network(source, **options)
    return str(caught.value)


def test_a_strangers_module_alive_and_from_a_checkpoint(tmp_path: Path) -> None:
    module = pull()
    alive = l2l.import_network(module)
    np.testing.assert_allclose(alive.evaluate(X).outputs, said(module), rtol=0, atol=1e-12)
    assert (alive.source["importer"], alive.source["class"]) == ("pull_torch", "Pull")
    path = saved(tmp_path, module.state_dict(), 'module = "Pull"\nhidden_size = 4\nname = "mine"')
    for source in (path, path.with_suffix(".toml")):
        if source.suffix == ".toml":
            source.write_text(source.read_text() + 'checkpoint = "net.safetensors"\n')
        stored = l2l.import_network(source)
        assert (stored.layers, stored.name) == (alive.layers, "mine")
        assert stored.source["sha256"] == alive.source["sha256"]
    for name in ("pull", "pull_torch"):
        assert l2l.import_network(path, format=name).layers == alive.layers
    assert l2l.import_network(module, format="pull").layers == alive.layers


def test_what_a_strangers_description_says_is_looked_at(tmp_path: Path) -> None:
    state = {f"cell.{key}": value for key, value in pull().state_dict().items()}
    head = nn.Linear(4, 2).double().state_dict()
    state |= {f"head.{key}": value for key, value in head.items()}
    found = l2l.import_network(
        saved(tmp_path, state, 'module = "Pull"\nprefix = "cell"\nreadout = "head"')
    )
    assert found.readout is not None
    np.testing.assert_array_equal(found.readout.weight, head["weight"].numpy())
    text = 'module = "Pull"\nprefix = "cell"\ninput_size = 7\nnum_layers = 2\nreadout = "nose"'
    wrong = problems_of(saved(tmp_path, state, text))
    for part in (
        "3 problems",
        "input_size is 7 in net.toml, but the arrays say 3",
        "num_layers is 2 in net.toml, but the arrays say 1",
        "the key nose.weight is missing",
    ):
        assert part in wrong
    wrong = problems_of(saved(tmp_path, pull().state_dict(), 'module = "Pull"\nbias = true'))
    assert "bias is True in net.toml, but the arrays say nothing of it; leave it out" in wrong
    assert "Pull take no elapsed time" in problems_of(pull(), timespan=0.5)


def test_a_readout_after_one_that_is_there_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two linear maps in a row are one."""
    head = lx.Linear("readout", np.full((3, 4), 2.0), np.ones(3))
    kind: Any = type(FAMILY.made_importer)
    parts = kind.parts

    def with_readout(self: Any, state: Any, description: Any) -> Any:
        return lx.FamilyParts(parts(self, state, description)[0].layers, head), []

    monkeypatch.setattr(kind, "parts", with_readout)
    assert l2l.import_network(pull()).readout == head
    after = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.full((2,), 5.0)}
    path = saved(tmp_path, pull().state_dict() | after, 'module = "Pull"\nreadout = "fc"')
    both = lx.Linear("readout", np.full((2, 4), 6.0), np.full(2, 8.0))
    assert l2l.import_network(path).readout == both


def test_a_strangers_family_stands_among_those_that_are_known(tmp_path: Path) -> None:
    path = saved(tmp_path, pull().state_dict(), None)
    suggested = problems_of(path)
    assert 'module = "Pull"' in suggested
    path.with_suffix(".toml").write_text(suggested.split("\n\n", 1)[1])
    assert l2l.import_network(path).units == 4
    path.with_suffix(".toml").write_text('[network]\nmodule = "pul"\n')
    assert "Pull. Do you mean 'Pull'?" in problems_of(path)
    assert "Pull, Linear, ReLU" in problems_of(nn.Sequential(nn.Linear(2, 2)))
    assert "Pull, alone or in a module" in problems_of(nn.Linear(2, 2), format="families")
    assert "give module.0 instead" in problems_of(nn.Sequential(pull()), format="families")
    path.with_suffix(".toml").write_text('[network]\nmodule = "Pull"\n')
    assert "which another importer reads" in problems_of(path, format="gru")
    listed = problems_of(path, format="nobody")
    assert "registered are: equinox, families, " in listed and "ncps, cfc, " in listed
    assert "pull_torch, pull" in listed


def test_a_strangers_module_inside_others() -> None:
    parts = nn.Sequential(
        Normalise([0.1, -0.2, 0.3], [1.0, 2.0, 0.5]), pull(), nn.Linear(4, 3), nn.ReLU(), pull(),
    ).double()  # fmt: skip
    network = l2l.import_network(parts)
    np.testing.assert_allclose(network.evaluate(X).outputs, said(parts), rtol=0, atol=1e-6)
    assert [layer.name for layer in network.layers] == ["layer_1", "layer_2", "layer_4"]
    assert network.source["importer"] == "modules"


@pytest.mark.parametrize("whole", [False, True])
def test_training_answers_as_the_module_does(whole: bool) -> None:
    """A module that returns a tensor is found out by calling it, alone or in another."""
    module = nn.Sequential(pull(), nn.Linear(4, 2)).double() if whole else pull()
    prepared = qat.prepare(module, calibrate=X).eval()
    answer = prepared(torch.tensor(X, dtype=torch.float32))
    assert isinstance(answer, torch.Tensor)
    integers = l2l.simulate(prepared.export(), np.float64(np.float32(X))).outputs
    np.testing.assert_array_equal(answer.numpy(), np.float32(integers))


# ---------------------------------------------------------------- faults of strangers


@pytest.mark.parametrize("method", ["is_module", "is_checkpoint", "describe", "parts"])
def test_a_strangers_fault_is_named_and_breaks_nothing(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> Any:
        raise KeyError("none of yours")

    monkeypatch.setattr(type(FAMILY.made_importer), method, fails)
    assert l2l.import_network(nn.GRU(3, 4)).units == 4
    path = saved(tmp_path, nn.GRU(3, 4).state_dict(), None)
    assert 'module = "torch.nn.GRU"' in problems_of(path)
    if method in ("describe", "parts"):
        said = problems_of(pull())
        named = "the importer pull_torch of Pull cannot read it (KeyError: 'none of yours' at "
        assert named in said
        said = problems_of(nn.Sequential(pull(), nn.Linear(4, 2)))
        assert "0: the importer pull_torch of Pull cannot read it (KeyError" in said
    if method == "is_module":
        assert l2l.import_network(nn.Sequential(nn.GRU(3, 4))).units == 4
        assert "is left out: its importer was asked" in caplog.text


def test_an_importer_that_cannot_be_made(caplog: pytest.LogCaptureFixture) -> None:
    def importer() -> Any:
        raise ModuleNotFoundError("no such framework")

    lx.register(lx.Family("pull", (PullLayer,), {}, importer))
    for _ in range(2):  # said once
        assert l2l.import_network(nn.Sequential(nn.GRU(3, 4))).units == 4
    assert caplog.text.count("its importer cannot be made: ModuleNotFoundError") == 1


@pytest.mark.parametrize("method", ["block", "calls"])
def test_what_a_strangers_importer_cannot_say_is_found_otherwise(
    method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> Any:
        raise KeyError(f"no {method}")

    monkeypatch.setattr(type(FAMILY.made_importer), method, fails)
    if method == "calls":
        answer = qat.prepare(pull(), calibrate=X)(torch.tensor(X, dtype=torch.float32))
        assert isinstance(answer, torch.Tensor)
    else:
        assert torch_session.live_blocks(pull(), 1.0) == ([], "")
    assert "family 'pull' (__main__" in caplog.text and f"no {method}" in caplog.text


def test_a_strangers_modules_and_graphs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What fails in one family is named, and the others are asked."""
    pytest.importorskip("onnx", reason="onnx is not installed")

    def fails(*_: Any) -> Any:
        raise KeyError("not today")

    stages: dict[Any, Any] = {PullStage: PullLowering()}
    lx.register(lx.Family("pull", (PullLayer,), stages, _importer, onnx_reader=fails,
                          torch_blocks=fails))  # fmt: skip
    assert torch_session.network_blocks(l2l.import_network(pull()))[1] == ""
    assert "no modules can be made of a network: KeyError: 'not today'" in caplog.text
    network = l2l.import_network(LTC(3, 4))
    read = l2l.import_network(l2l.export(network, tmp_path / "net.onnx"))
    np.testing.assert_allclose(read.evaluate(X).outputs, network.evaluate(X).outputs, atol=1e-6)
    l2l.import_network(l2l.export(l2l.import_network(CfC(3, 4)), tmp_path / "cfc.onnx"))
    assert "its layers cannot be looked for in a graph: KeyError" in caplog.text


def test_one_that_takes_anything_comes_after_those_that_know() -> None:
    class Greedy:
        catch_all = True

        def recognises(self, source: object) -> bool:
            return True

        def load(self, source: object, **options: Any) -> Any:
            raise AssertionError

    plugins.IMPORTERS.add("a_greedy", Greedy())  # before ours by name
    try:
        assert l2l.import_network(nn.GRU(3, 4)).source["importer"] == "torch_rnn"
        assert l2l.import_network(pull()).source["importer"] == "pull_torch"
    finally:
        plugins.IMPORTERS.remove("a_greedy")


class Derived(nn.GRU):
    """A stranger's, made of one of ours."""

    def forward(self, *given: Any, **options: Any) -> Any:
        raise AssertionError


def test_a_class_that_is_derived_from_ours_is_its_owners() -> None:
    class Theirs:
        def recognises(self, source: object) -> bool:
            return isinstance(source, Derived)

        def load(self, source: object, **options: Any) -> Any:
            return l2l.import_network(nn.GRU(3, 4))

    assert "it overrides forward; give a plain torch.nn.GRU" in problems_of(Derived(3, 4))
    plugins.IMPORTERS.add("z_theirs", Theirs())
    try:
        assert l2l.import_network(Derived(3, 4)).units == 4
    finally:
        plugins.IMPORTERS.remove("z_theirs")

    def importer() -> Any:
        made = _importer()
        made.classes, made.describe = {f"{__name__}.Derived": "Derived"}, lambda _: (None, [])
        return made

    lx.register(lx.Family("pull", (PullLayer,), {}, importer))
    assert "PullImporter.describe does not say why" in problems_of(Derived(3, 4))


@pytest.mark.parametrize("answer", [None, (None, []), (3, []), ((), ["odd"])])
def test_importers_that_answer_something_else(
    answer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(FAMILY.made_importer), "parts", lambda *_: answer)
    path = saved(tmp_path, pull().state_dict(), 'module = "Pull"')
    for source in (path, pull(), nn.Sequential(pull(), nn.Linear(4, 2))):
        assert "the importer pull_torch of Pull cannot read it" in problems_of(source)


def test_an_importer_that_lacks_what_is_asked_of_it(caplog: pytest.LogCaptureFixture) -> None:
    class Lacks(lx.FamilyImporter):
        name = "lacks"

        def is_checkpoint(self, state: Any) -> bool:
            return False

        def parts(self, state: Any, description: Any) -> Any:
            return None, []

    lx.register(lx.Family("pull", (PullLayer,), {}, Lacks))
    assert "0 (Mish) cannot be imported; supported" in problems_of(nn.Sequential(nn.Mish()))
    assert "its importer cannot be made: AttributeError" in caplog.text


# ---------------------------------------------------------------- each file once

MODULES = {
    "ncps.torch.CfC": lambda: CfC(3, 4), "ncps.torch.LTC": lambda: LTC(3, 4),
    "torch.nn.GRU": lambda: nn.GRU(3, 4), "torch.nn.LSTM": lambda: nn.LSTM(3, 4),
    "torch.nn.GRUCell": lambda: nn.GRUCell(3, 4), "minGRU": lambda: MinGRU(3, 4), "Pull": pull,
}  # fmt: skip


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a checkpoint was read and TOML was parsed."""
    counts = {"read_checkpoint": 0, "parse_toml": 0}

    def counted(where: Any, name: str) -> None:
        original = getattr(where, name)

        def function(*given: Any) -> Any:
            counts[name] += 1
            return original(*given)

        monkeypatch.setattr(where, name, function)

    counted(recurrent, "read_checkpoint")
    counted(description, "parse_toml")
    return counts


@pytest.mark.parametrize("name", MODULES)
def test_a_checkpoint_is_read_once_and_its_description_parsed_once(
    name: str, tmp_path: Path, reads: dict[str, int]
) -> None:
    torch.manual_seed(0)
    path = saved(tmp_path, MODULES[name]().state_dict(), None)
    refused = problems_of(path)
    assert f'module = "{name}"' in refused
    assert reads == {"read_checkpoint": 1, "parse_toml": 0}
    path.with_suffix(".toml").write_text(refused.split("\n\n", 1)[1])
    for times, source in enumerate((path, path.with_suffix(".toml")), start=2):
        assert l2l.import_network(source).layers
        assert reads == {"read_checkpoint": times, "parse_toml": times - 1}
    path.with_suffix(".toml").write_text('[network]\nmodule = "mine"\n')
    assert "module is 'mine'; supported are" in problems_of(path)
    assert reads == {"read_checkpoint": 3, "parse_toml": 3}


VALUES = st.one_of(
    st.integers(), st.sampled_from([10**400, -(10**400), 16**5000]), st.floats(), st.text(),
    st.booleans(), st.lists(st.integers()), st.dictionaries(st.text(), st.integers()),
)  # fmt: skip


@pytest.mark.parametrize(
    "name", ["ncps.torch.CfC", "torch_cfc.Cfc", "ncps.torch.LTC", "torch.nn.GRU", "minGRU"]
)
@given(data=st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_description_says_what_it_may_or_is_refused(name: str, data: st.DataObject) -> None:
    lx.register(FAMILY)  # the fixture is not run again for each example
    owner = next(one for _, one in importers() if name in one.modules)
    kind = owner.description_for(name)
    sound = {"module": name, "input_size": 3, "units": 4, "activation": "relu"}
    table = {key: value for key, value in sound.items() if key in kind.keys()}
    others = st.dictionaries(st.sampled_from([*kind.keys(), "more"]), VALUES, max_size=4)
    table |= data.draw(others)
    try:
        found = description.description_of(Path("net.toml"), table, kind, {})
    except ImportNetworkError as error:
        wrong = [key for key in table if any(repr(key) in p or p.startswith(f"{key} is ")
                 for p in error.problems)]  # fmt: skip
        assert wrong and str(error).startswith("net.toml: ")
    else:
        assert found.origin == "net.toml" and table.keys() <= kind.keys().keys()


def test_nobody_else_reads_checkpoints() -> None:
    """What is counted above is all that there is."""
    root = Path(checkpoint.__file__).resolve().parents[2]
    places = [
        path.name
        for folder in ("converters", "lnn2loihi/families")
        for path in (root / folder).rglob("*.py")
        if "read_checkpoint(" in path.read_text()
    ]
    assert sorted(places) == ["checkpoint.py", "importer.py"]
