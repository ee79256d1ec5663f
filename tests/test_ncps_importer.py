"""The ncps importer against PyTorch in double precision, and everything that it refuses."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strategies_ncps as nets
from hypothesis import given
from patience import PATIENCE
from safetensors.numpy import save_file

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.converters.recurrent.known import known_modules
from lnn2loihi.errors import BackendMissingError, ImportNetworkError
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.plugins import Importer

load = FamiliesImporter("ncps").load


def need_torch() -> Any:
    """PyTorch, or the reason why the test is skipped."""
    pytest.importorskip("ncps", reason="needs ncps: pip install ncps")
    return pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")


def handmade_state(prefix: str = "", dtype: str = "float32") -> dict[str, np.ndarray]:
    """The arrays of a small wired CfC with readout: 2 inputs, layers of 3 and 2 units, 1 output."""
    generator = np.random.default_rng(5)
    state: dict[str, np.ndarray] = {}
    for name, units, inputs in (("layer_0", 3, 2), ("layer_1", 2, 3)):
        for gate in ("ff1", "ff2", "time_a", "time_b"):
            state[f"rnn_cell.{name}.{gate}.weight"] = generator.normal(size=(units, inputs + units))
            state[f"rnn_cell.{name}.{gate}.bias"] = generator.normal(size=units)
        mask = np.ones((units, inputs + units))
        mask[:, :inputs] = generator.random((units, inputs)) < 0.5
        state[f"rnn_cell.{name}.sparsity_mask"] = mask
    state["fc.weight"] = generator.normal(size=(1, 2))
    state["fc.bias"] = generator.normal(size=1)
    return {prefix + key: array.astype(dtype) for key, array in state.items()}


def write(folder: Path, state: dict[str, np.ndarray], **changes: Any) -> Path:
    """Writes net.safetensors and, beside it, a description that fits apart from `changes`."""
    path = folder / "net.safetensors"
    save_file({key: np.ascontiguousarray(array) for key, array in state.items()}, path)
    own = handmade_state() | {k: v for k, v in state.items() if k.startswith("rnn_cell.")}
    (folder / "net.toml").write_text(nets.described(own, **{"input_size": 2, "units": 5} | changes))
    return path


def problems_of(action: Callable[[], object]) -> str:
    """The text of the one refusal that an action must raise."""
    with pytest.raises(ImportNetworkError) as caught:
        action()
    return str(caught.value)


def time_weight(network: LiquidNetwork, place: int, gate: str) -> np.ndarray:
    """The weight of a time gate."""
    return getattr(network.layers[place], gate).weight


def raw_safetensors(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


# ---------------------------------------------------------------- equality with PyTorch


@nets.STEADY
@given(made=nets.modules, timespan=nets.timespans)
def test_evaluation_equals_torch_in_double_precision(made: dict[str, Any], timespan: float) -> None:
    need_torch()
    module = nets.module(**made)
    network = load(module, timespan=timespan)
    x = np.random.default_rng(made["seed"]).normal(size=(3, 9, made["inputs"]))
    answer = network.evaluate(x)
    outputs, states = nets.torch_answer(module, x, timespan)
    np.testing.assert_allclose(answer.outputs, outputs, rtol=0, atol=1e-9)
    own = np.concatenate([answer.states[layer.name] for layer in network.layers], axis=-1)
    np.testing.assert_allclose(own, states, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", nets.KINDS)
def test_default_timespan_equals_the_forward_pass(kind: str) -> None:
    torch = need_torch()
    module = nets.module(kind, return_sequences=True).double()
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    hidden = torch.zeros(4, module.state_size, dtype=torch.float64)
    with torch.no_grad():
        outputs = module(torch.from_numpy(x), hidden)[0].numpy()
    np.testing.assert_allclose(load(module).evaluate(x).outputs, outputs, rtol=0, atol=1e-9)


def test_one_timespan_for_a_batch_of_one_equals_the_forward_pass() -> None:
    torch = need_torch()
    module = nets.module("auto").double()
    x = np.random.default_rng(0).normal(size=(1, 6, 3))
    spans = torch.full((1, 6, 1), 0.4, dtype=torch.float64)
    with torch.no_grad():
        hidden = torch.zeros(1, module.state_size, dtype=torch.float64)
        outputs = module(torch.from_numpy(x), hidden, spans)[0].numpy()
    answer = load(module, timespan=0.4).evaluate(x).outputs
    np.testing.assert_allclose(answer, outputs, rtol=0, atol=1e-9)


def test_the_mask_is_the_modules_not_the_wirings() -> None:
    """Building a second module on the same wiring adds synapses to the wiring, not to the first."""
    need_torch()
    from ncps.torch import CfC

    wiring = nets.wiring("auto", 11, 1)
    first = CfC(3, wiring)
    before = load(first)
    CfC(3, wiring)
    assert load(first) == before


def test_only_the_heads_are_masked() -> None:
    need_torch()
    module = nets.module("auto", size=11)
    state = nets.state_in_float64(module)
    layer = load(module).layers[0]
    mask = state["rnn_cell.layer_0.sparsity_mask"]
    assert 0.0 < mask.mean() < 1.0
    for gate in ("ff1", "ff2"):
        stored = state[f"rnn_cell.layer_0.{gate}.weight"]
        np.testing.assert_array_equal(getattr(layer, gate).weight, stored * mask)
    for gate in ("time_a", "time_b"):
        stored = state[f"rnn_cell.layer_0.{gate}.weight"]
        np.testing.assert_array_equal(getattr(layer, gate).weight, stored)


def test_a_wiring_of_one_layer_outputs_all_its_units() -> None:
    """FullyConnected(10, 3) says output_size 3, but ncps 1.0.1 answers with 10 values."""
    need_torch()
    from ncps.torch import CfC
    from ncps.wirings import FullyConnected, Random

    for wiring in (FullyConnected(10, 3), Random(10, 3, sparsity_level=0.5)):
        module = CfC(2, wiring)
        x = np.random.default_rng(0).normal(size=(2, 5, 2))
        network = load(module)
        assert network.output_size == 10
        outputs, _ = nets.torch_answer(module, x, 1.0)
        np.testing.assert_allclose(network.evaluate(x).outputs, outputs, rtol=0, atol=1e-9)
    text = problems_of(lambda: load(CfC(2, FullyConnected(10, 3), proj_size=1)))
    assert "fc.weight takes 3 inputs, but the last layer has 10 units" in text
    assert "fails in PyTorch too" in text


def test_names_and_source_of_a_live_module() -> None:
    torch = need_torch()
    module = nets.module("auto", proj_size=2)
    network = load(module)
    assert [layer.name for layer in network.layers] == ["layer_0", "layer_1", "layer_2"]
    assert network.readout is not None and network.readout.name == "readout"
    assert (network.name, load(module, name="mine").name) == ("cfc", "mine")
    assert network.source["class"] == "ncps.torch.CfC"
    assert network.source["torch"] == torch.__version__
    assert network.source["ncps"]
    assert len(network.source["sha256"]) == 64


def test_masks_that_safetensors_saved_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    """The masks of ncps are transposed in memory; safetensors.numpy saves memory as it lies."""
    need_torch()
    module = nets.module("auto", size=11)
    state = {key: value.detach().numpy() for key, value in module.state_dict().items()}
    path = write(tmp_path, nets.state_in_float64(module), input_size=3, units=16)
    contiguous = load(path)
    as_it_lies = {k: v if v.flags.c_contiguous else v.ravel("K") for k, v in state.items()}
    shaped = {k: v.reshape(state[k].shape) for k, v in as_it_lies.items()}
    save_file(shaped, path)
    text = problems_of(lambda: load(path))
    assert "rnn_cell.layer_0.sparsity_mask was saved in transposed order" in text
    assert "v.contiguous()" in text
    assert contiguous.units == 16


def test_the_digest_is_of_the_effective_arrays() -> None:
    torch = need_torch()
    module = nets.module("auto", size=11)
    digest = load(module).source["sha256"]
    cell = module.rnn_cell.layer_0
    hidden = torch.nonzero(cell.sparsity_mask == 0)[0]
    with torch.no_grad():
        cell.ff1.weight[hidden[0], hidden[1]] += 1.0
        assert load(module).source["sha256"] == digest
        cell.time_a.weight[0, 0] += 1.0
        assert load(module).source["sha256"] != digest


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_of_a_live_module(dtype: str) -> None:
    torch = need_torch()
    module = nets.module("auto").to(getattr(torch, dtype))
    stored = module.rnn_cell.layer_0.time_a.weight.double().detach().numpy()
    np.testing.assert_array_equal(time_weight(load(module), 0, "time_a"), stored)


# ---------------------------------------------------------------- refusals of modules


def test_recognises() -> None:
    importer = FamiliesImporter("ncps")
    assert isinstance(importer, Importer)
    for name in ("a.pt", "a.PTH", "a.safetensors", "a.toml"):
        assert importer.recognises(Path(name)) and importer.recognises(name)
    assert not importer.recognises(Path("a.onnx"))
    assert not importer.recognises(np.zeros(3))
    torch = need_torch()
    assert importer.recognises(nets.module("auto"))
    assert not importer.recognises(torch.nn.GRU(1, 1))


def test_other_modules_are_refused_by_name() -> None:
    torch = need_torch()
    text = problems_of(lambda: load(torch.nn.GRU(2, 3)))
    assert (
        "torch.nn.modules.rnn.GRU" in text
        and "accepted are ncps.torch.CfC, LinearCfC, ncps" in text
    )
    text = problems_of(lambda: load(torch.nn.Linear(2, 3)))
    assert "accepted are ncps.torch.CfC, LinearCfC, ncps.torch.LTC, alone or in a mod" in text
    assert "this class cannot be imported" in problems_of(lambda: load(3))


def test_a_module_that_holds_a_cfc_says_where() -> None:
    torch = need_torch()
    holder = torch.nn.ModuleDict({"body": nets.module("auto"), "head": torch.nn.Linear(2, 2)})
    assert "give module.body instead" in problems_of(lambda: load(holder))


def test_nan_and_infinite_weights_are_counted_by_layer() -> None:
    torch = need_torch()
    module = nets.module("auto", size=11)
    with torch.no_grad():
        module.rnn_cell.layer_0.ff1.weight[0, :2] = float("nan")
        module.rnn_cell.layer_2.time_b.bias[0] = float("inf")
    text = problems_of(lambda: load(module))
    assert "rnn_cell.layer_0.ff1.weight holds 2 NaN or infinite of" in text
    assert "rnn_cell.layer_2.time_b.bias holds 1 NaN or infinite of 2 values" in text


def test_changed_modules_are_refused() -> None:
    torch = need_torch()
    from ncps.torch import CfC

    class Twice(CfC):
        def forward(self, *args: Any, **options: Any) -> Any:
            return super().forward(*args, **options)

    assert "overrides forward" in problems_of(lambda: load(Twice(2, nets.wiring("auto", 8, 1))))
    replaced = nets.module("auto")
    replaced.rnn_cell.layer_1 = nets.module("auto", seed=2).rnn_cell.layer_1
    replaced.rnn_cell.layer_0.tanh = torch.nn.Hardtanh()
    replaced.fc = torch.nn.ReLU()
    text = problems_of(lambda: load(replaced))
    assert "rnn_cell.layer_1 was replaced" in text
    assert "rnn_cell.layer_0.tanh is a Hardtanh, expected torch.nn.Tanh" in text
    assert "fc is a ReLU" in text


def test_pruned_modules_say_what_to_undo() -> None:
    torch = need_torch()
    from torch.nn.utils import prune

    module = nets.module("auto")
    prune.l1_unstructured(module.rnn_cell.layer_0.ff1, "weight", amount=0.5)
    text = problems_of(lambda: load(module))
    assert "keys are missing: rnn_cell.layer_0.ff1.weight" in text
    assert "rnn_cell.layer_0.ff1.weight_orig" in text and "prune.remove" in text
    prune.remove(module.rnn_cell.layer_0.ff1, "weight")
    assert load(module).units == 11
    assert torch is not None


def test_modules_without_data_are_refused() -> None:
    need_torch()
    text = problems_of(lambda: load(nets.module("auto").to("meta")))
    assert "without data (device meta), expected float64, float32" in text


@pytest.mark.parametrize(
    ("timespan", "said"),
    [
        (float("nan"), "timespan is not a finite number"),
        (float("inf"), "timespan is not a finite number"),
        ("1", "timespan is '1'; give a number or \"irregular\""),
        (True, "timespan is of type bool; give a number"),
        (10**400, 'give a number or "irregular"'),
    ],
    ids=("nan", "infinite", "text", "bool", "huge"),
)
def test_timespans_must_be_finite_numbers(timespan: Any, said: str) -> None:
    need_torch()
    assert said in problems_of(lambda: load(nets.module("auto"), timespan=timespan))


@pytest.mark.parametrize("timespan", [-1.0, -1e-300, 1e300])
def test_timespans_are_not_negative(tmp_path: Path, timespan: float) -> None:
    expected = f"timespan is {timespan:g}; an elapsed time is a number from 0 to 3.4e+38"
    path = write(tmp_path, handmade_state())
    assert expected in problems_of(lambda: load(path, timespan=timespan))
    with (tmp_path / "net.toml").open("a") as file:
        file.write(f"timespan = {timespan}\n")
    assert expected in problems_of(lambda: load(path))


def test_a_description_does_not_go_with_a_module() -> None:
    need_torch()
    text = problems_of(lambda: load(nets.module("auto"), description="net.toml"))
    assert "needs no description" in text


# ---------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "model.rnn."])
@pytest.mark.parametrize("kind", ["auto", "own", "dense"])
def test_checkpoints_are_the_module(tmp_path: Path, suffix: str, prefix: str, kind: str) -> None:
    torch = need_torch()
    from safetensors.torch import save_file as save_torch

    module = nets.module(kind, proj_size=2)
    state = {prefix + key: value.contiguous() for key, value in module.state_dict().items()}
    if prefix:
        state["model.head.weight"] = torch.ones(2, 2)
    path = tmp_path / f"net{suffix}"
    (save_torch if suffix == ".safetensors" else torch.save)(state, path)
    text = nets.described(
        nets.state_in_float64(module),
        output_size=None if kind == "dense" else 2,
        proj_size=2,
        timespan=0.5,
        prefix=prefix.rstrip(".") or None,
    )
    (tmp_path / "net.toml").write_text(text)
    loaded = load(path)
    live = load(module, timespan=0.5)
    assert (loaded.layers, loaded.readout, loaded.timespan) == (live.layers, live.readout, 0.5)
    assert loaded.source["sha256"] == live.source["sha256"]
    assert (loaded.source["file"], loaded.name) == (f"net{suffix}", "net")


def test_lightning_checkpoints_are_unwrapped(tmp_path: Path) -> None:
    torch = need_torch()
    module = nets.module("auto")
    torch.save({"epoch": 3, "state_dict": module.state_dict()}, tmp_path / "net.pt")
    (tmp_path / "net.toml").write_text(nets.described(nets.state_in_float64(module)))
    assert load(tmp_path / "net.pt").layers == load(module).layers


def test_the_three_ways_to_name_a_description(tmp_path: Path) -> None:
    path = write(tmp_path, handmade_state(), timespan=0.25, name="wave")
    beside = load(path)
    assert (beside.name, beside.timespan, beside.units) == ("wave", 0.25, 5)
    named = tmp_path / "other.toml"
    named.write_text(nets.described(handmade_state(), checkpoint="net.safetensors"))
    assert load(named).layers == beside.layers
    assert load(str(named), timespan=2.0, name="mine").timespan == 2.0
    moved = path.rename(tmp_path / "epoch_3.safetensors")
    # A path that is given goes before the one in the description.
    assert load(moved, description=named).layers == beside.layers


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_precisions_of_safetensors(tmp_path: Path, dtype: str) -> None:
    state = handmade_state(dtype=dtype)
    network = load(write(tmp_path, state))
    stored = state["rnn_cell.layer_1.time_b.weight"].astype(np.float64)
    np.testing.assert_array_equal(time_weight(network, 1, "time_b"), stored)


def test_integer_and_boolean_masks(tmp_path: Path) -> None:
    state = handmade_state()
    expected = load(write(tmp_path, state)).layers
    for dtype in ("bool", "int8", "uint8", "int64"):
        masks = {k: v.astype(dtype) for k, v in state.items() if k.endswith("mask")}
        assert load(write(tmp_path, state | masks)).layers == expected


def test_bfloat16_of_safetensors_without_torch(tmp_path: Path) -> None:
    state = handmade_state()
    # The upper halves of the float32 words are bfloat16 values, rounded towards zero.
    halves = {k: (v.view("<u4") >> 16).astype("<u2") for k, v in state.items()}
    path = write(tmp_path, halves | {k: v for k, v in state.items() if "mask" in k})
    content = path.read_bytes()
    # U16 and BF16 have the same width, so only the names in the header change.
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for entry in header.values():
        entry["dtype"] = entry["dtype"].replace("U16", "BF16")
    path.write_bytes(raw_safetensors(header, content[8 + length :]))
    weight = time_weight(load(path), 0, "time_a")
    stored = halves["rnn_cell.layer_0.time_a.weight"].astype("<u4") << 16
    np.testing.assert_array_equal(weight, stored.view("<f4"))


def test_safetensors_need_neither_torch_nor_ncps(tmp_path: Path) -> None:
    path = write(tmp_path, handmade_state())
    program = (
        "import sys; sys.modules['torch'] = sys.modules['ncps'] = None\n"
        "from lnn2loihi.converters.recurrent.importer import FamiliesImporter\n"
        "assert FamiliesImporter().load(sys.argv[1]).units == 5\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=PATIENCE)


def test_pt_without_torch_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, handmade_state()).unlink()
    (tmp_path / "net.pt").write_bytes(b"\x80\x02")  # as any pickle begins
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendMissingError, match="pip install torch"):
        load(tmp_path / "net.pt")


# ---------------------------------------------------------------- descriptions


def test_without_description_a_template_is_shown_and_works(tmp_path: Path) -> None:
    path = write(tmp_path, handmade_state("model.rnn."))
    toml = tmp_path / "net.toml"
    toml.unlink()
    text = problems_of(lambda: load(path))
    assert f"Write the following to {toml}" in text
    assert "units = 5" in text and "input_size = 2" in text and "proj_size = 1" in text
    toml.write_text(text.split("\n\n", 1)[1])
    assert load(toml).units == 5


def test_without_description_and_of_another_kind(tmp_path: Path) -> None:
    save_file({"weight": np.zeros((2, 2))}, tmp_path / "net.safetensors")
    text = problems_of(lambda: load(tmp_path / "net.safetensors"))
    assert "none of the families knows its keys" in text and "weight [2, 2]" in text


def test_all_errors_of_a_description_are_listed(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        handmade_state(),
        module="torch_cfc.Cfc",
        input_size="two",
        units=0,
        timespan=True,
        wiring="AutoNCP",
        name="",
    )
    with (tmp_path / "net.toml").open("a") as file:
        file.write("proj_size = 1.5\noutput_size = 999999999999\n")
    text = problems_of(lambda: load(path))
    for part in (
        "8 problems",
        "unknown key 'wiring'; known are module, checkpoint, input_size",
        "the key 'activation' is missing; torch_cfc has no default",
        "input_size is a str, expected a whole number",
        "units is out of range",
        "timespan is a bool, expected a number",
        "name is empty",
        "proj_size is a float, expected a whole number",
        "output_size is out of range",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("ncps.torch.LTCs", "ncps.torch.LTC"),
        ("ncps.torch.WiredCfCCell", "ncps.torch.CfC"),
        ("torch.nn.gru", "torch.nn.GRU"),
        ("torch.nn.RNN", "torch.nn.GRU"),
        ("LSTMCell", "torch.nn.LSTMCell"),
        ("CfC", "ncps.torch.CfC"),
        ("my.minimal.MinLSTM", "minLSTM"),
        ("?", None),
        (10_000 * "x", None),
    ],
)
def test_an_unknown_module_is_the_only_problem(
    tmp_path: Path, named: str, meant: str | None
) -> None:
    path = write(tmp_path, handmade_state(), module=named)
    (tmp_path / "net.toml").write_text(f'[network]\nmodule = "{named}"\nform = "log"\n')
    said = problems_of(lambda: load(path))
    hint = f" Do you mean {meant!r}?" if meant else ""
    assert said == (
        f"{tmp_path / 'net.toml'}: module is {named!r:.120}; supported are "
        f"{', '.join(known_modules())}." + hint
    )
    assert known_modules()[:2] == ("ncps.torch.CfC", "torch_cfc.Cfc")


def test_the_module_of_another_importer(tmp_path: Path) -> None:
    path = write(tmp_path, handmade_state(), module="torch.nn.GRU")
    said = problems_of(lambda: load(path))
    assert "module is 'torch.nn.GRU', which another importer reads; leave format=... out" in said


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0x" + "f" * 5000])
def test_timespans_of_descriptions_are_finite(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, handmade_state())
    with (tmp_path / "net.toml").open("a") as file:
        file.write(f"timespan = {value}\n")
    assert "timespan is not a finite number" in problems_of(lambda: load(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[network", "not valid TOML"),
        (b"\xff\xfe", "is not a text file in UTF-8"),
        (b"[" * 100_000, "not valid TOML"),
        (b"a." * 50_000 + b"a = 1", "a key of over 32 parts"),
        (b"", "must hold one table [network] and nothing else; it holds nothing"),
        (b"network = 3", "must hold one table [network]"),
        (b"[network]\n[extra]\n", "it holds 'network', 'extra'"),
        (b"#" * (1 << 21), "has 2,097,152 bytes; the limit is 1,048,576"),
        (b"[network]\n", "the key 'units' is missing"),
    ],
)
def test_damaged_descriptions(tmp_path: Path, content: bytes, expected: str) -> None:
    path = write(tmp_path, handmade_state())
    (tmp_path / "net.toml").write_bytes(content)
    assert expected in problems_of(lambda: load(path))


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    path = write(tmp_path, handmade_state())
    toml = tmp_path / "net.toml"
    assert "names no checkpoint" in problems_of(lambda: load(toml))
    assert "it is a description itself" in problems_of(lambda: load(toml, description=toml))
    assert "no such file" in problems_of(lambda: load(tmp_path / "absent.pt"))
    assert "no such file" in problems_of(lambda: load(path, description=tmp_path / "absent.toml"))
    assert "is a folder, not a file" in problems_of(lambda: load(tmp_path))
    toml.write_text(nets.described(handmade_state(), checkpoint="absent.safetensors"))
    assert "the checkpoint that it names is not there" in problems_of(lambda: load(toml))
    toml.write_text(nets.described(handmade_state(), checkpoint="net.toml"))
    assert "the suffix is '.toml'" in problems_of(lambda: load(toml))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything"
)
def test_unreadable_files(tmp_path: Path) -> None:
    path = write(tmp_path, handmade_state())
    path.chmod(0)
    assert "it cannot be read" in problems_of(lambda: load(path))


def test_contradictions_with_the_shapes_are_listed(tmp_path: Path) -> None:
    path = write(
        tmp_path, handmade_state(), input_size=7, units=6, output_size=3, proj_size=4, mode="pure"
    )
    text = problems_of(lambda: load(path))
    assert "3 units and 2 inputs, but input_size of net.toml is 7; expected (3, 10)" in text
    assert "its layers have [3, 2] units, together 5, but units is 6 in net.toml" in text
    assert "its last layer has 2 units, but output_size is 3 in net.toml" in text
    assert "fc.weight has 1 outputs, but proj_size is 4" in text
    assert "mode is 'pure' in net.toml, but its keys are those of mode 'default'" in text


def test_proj_size_without_fc(tmp_path: Path) -> None:
    state = {k: v for k, v in handmade_state().items() if not k.startswith("fc.")}
    assert load(write(tmp_path, state)).readout is None
    path = write(tmp_path, state, proj_size=1)
    assert "proj_size is 1 in net.toml, but no fc.weight" in problems_of(lambda: load(path))


# ---------------------------------------------------------------- keys, shapes, types


def test_prefixes(tmp_path: Path) -> None:
    path = write(tmp_path, handmade_state("rnn."))
    assert "write prefix = 'rnn.' in net.toml" in problems_of(lambda: load(path))
    path = write(tmp_path, handmade_state("cell."), prefix="rnn")
    text = problems_of(lambda: load(path))
    assert "no key starts with 'rnn.rnn_cell.'; write prefix = 'cell.'" in text
    path = write(tmp_path, {"encoder.conv.weight": np.zeros(2), "head.bias": np.zeros(2)})
    text = problems_of(lambda: load(path))
    assert "prefixes seen: encoder.conv., head." in text
    two = handmade_state("a.") | handmade_state("b.")
    assert "prefix = 'a.' or prefix = 'b.'" in problems_of(lambda: load(write(tmp_path, two)))
    assert load(write(tmp_path, two, prefix="b")).units == 5


def test_missing_and_superfluous_keys_are_listed_together(tmp_path: Path) -> None:
    state = handmade_state()
    del state["rnn_cell.layer_0.ff1.bias"]
    del state["rnn_cell.layer_1.sparsity_mask"]
    del state["fc.bias"]
    state["rnn_cell.layer_0.ff3.weight"] = state["head.weight"] = np.zeros((2, 2), np.float32)
    text = problems_of(lambda: load(write(tmp_path, state)))
    missing = "rnn_cell.layer_0.ff1.bias, rnn_cell.layer_1.sparsity_mask"
    assert f"keys are missing: fc.bias, {missing}" in text
    assert "does not have: head.weight, rnn_cell.layer_0.ff3.weight" in text


def test_a_gap_in_the_layers(tmp_path: Path) -> None:
    state = {k.replace("layer_1", "layer_7"): v for k, v in handmade_state().items()}
    text = problems_of(lambda: load(write(tmp_path, state, units=5)))
    assert "keys are missing: rnn_cell.layer_1." in text
    assert "rnn_cell.layer_7.ff1.bias" in text


def test_wrong_shapes_and_types_are_listed_together(tmp_path: Path) -> None:
    state = handmade_state()
    state["rnn_cell.layer_0.ff2.weight"] = np.zeros((3, 4), np.float32)
    state["rnn_cell.layer_0.sparsity_mask"] = np.zeros(5, np.float32)
    state["rnn_cell.layer_0.time_a.bias"] = np.zeros(3, np.int8)
    state["rnn_cell.layer_1.time_b.weight"] = np.zeros((0, 5), np.float32)
    state["fc.weight"] = np.zeros((1, 2), np.bool_)
    state["fc.bias"] = np.zeros(9, np.float32)
    text = problems_of(lambda: load(write(tmp_path, state)))
    assert "rnn_cell.layer_0.ff2.weight has shape (3, 4), expected (3, 5)" in text
    assert "rnn_cell.layer_0.sparsity_mask has shape (5,), expected (3, 5)" in text
    assert "rnn_cell.layer_0.time_a.bias is I8, expected float64, float32, float16" in text
    assert "rnn_cell.layer_1.time_b.weight is empty (shape (0, 5))" in text
    assert "fc.weight is BOOL" in text
    assert "fc.bias has shape (9,), expected (1,)" in text


def test_layers_that_do_not_fit_each_other(tmp_path: Path) -> None:
    state = handmade_state()
    for key in [k for k in state if k.startswith("rnn_cell.layer_1") and "bias" not in k]:
        state[key] = np.zeros((2, 6), np.float32)
    text = problems_of(lambda: load(write(tmp_path, state)))
    assert "2 units and 4 inputs, but the number of units of layer_0 is 3" in text
    state["rnn_cell.layer_0.ff1.weight"] = np.zeros(5, np.float32)
    save_file(state, tmp_path / "net.safetensors")
    text = problems_of(lambda: load(tmp_path / "net.safetensors"))
    assert "rnn_cell.layer_0.ff1.weight has shape (5,), expected (units, inputs + units)" in text


def test_state_dicts_of_other_ncps_modules(tmp_path: Path) -> None:
    torch = need_torch()
    from ncps.torch import LTC

    (tmp_path / "net.toml").write_text(nets.described(handmade_state()))
    path = tmp_path / "net.pt"
    torch.save(LTC(2, nets.wiring("auto", 8, 1)).state_dict(), path)
    assert "it is an LTC (key rnn_cell.gleak)" in problems_of(lambda: load(path))


# ---------------------------------------------------------------- damaged and hostile files


class Hostile:
    """A pickle that creates a file when it is loaded by the ordinary unpickler."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("how", ["plain pickle", "archive", "inside a state_dict"])
def test_hostile_pickles_are_not_executed(tmp_path: Path, how: str) -> None:
    torch = need_torch()
    marker, path = tmp_path / "marker", tmp_path / "net.pt"
    (tmp_path / "net.toml").write_text(nets.described(handmade_state()))
    if how == "plain pickle":
        path.write_bytes(pickle.dumps(Hostile(marker)))
    elif how == "archive":
        torch.save(Hostile(marker), path)
    else:
        torch.save({"rnn_cell.layer_0.ff1.weight": Hostile(marker)}, path)
    text = problems_of(lambda: load(path))
    assert how == "plain pickle" or "it is a pickle that refers to" in text and "open" in text
    assert "nothing of it was run" in text
    assert not marker.exists()


def test_a_whole_module_says_to_save_its_state_dict(tmp_path: Path) -> None:
    torch = need_torch()
    path = tmp_path / "net.pt"
    torch.save(nets.module("auto"), path)
    text = problems_of(lambda: load(path))
    assert "refers to ncps.torch.cfc.CfC" in text
    assert "torch.save(module.state_dict(), path)" in text


def test_pt_files_without_a_state_dict(tmp_path: Path) -> None:
    torch = need_torch()
    path = tmp_path / "net.pt"
    (tmp_path / "net.toml").write_text(nets.described(handmade_state()))
    torch.save([torch.zeros(2)], path)
    assert "it holds a list, not a state_dict" in problems_of(lambda: load(path))
    torch.save(torch.zeros(2), path)
    assert "it holds a Tensor, not a state_dict" in problems_of(lambda: load(path))
    torch.save({1: torch.zeros(2)}, path)
    assert "it holds a dict, not a state_dict" in problems_of(lambda: load(path))
    torch.save(
        {"rnn_cell.ff1.weight": [1.0], "rnn_cell.ff2.weight": torch.zeros(2).to_sparse()}, path
    )
    text = problems_of(lambda: load(path))
    assert "rnn_cell.ff1.weight is a list, expected float64" in text
    assert "rnn_cell.ff2.weight is float32, sparse or quantized" in text


def test_truncated_and_garbage_pt_files(tmp_path: Path) -> None:
    torch = need_torch()
    path = tmp_path / "net.pt"
    module = nets.module("auto")
    torch.save(module.state_dict(), path)
    (tmp_path / "net.toml").write_text(nets.described(nets.state_in_float64(module)))
    whole = path.read_bytes()
    contents = [whole[: len(whole) * part // 7] for part in range(1, 7)]
    contents += [
        b"garbage",
        b"\x80",
        b"PK\x03\x04" + bytes(100),
        np.random.default_rng(0).bytes(999),
    ]
    for content in contents:
        path.write_bytes(content)
        assert str(path) in problems_of(lambda: load(path))
    path.write_bytes(b"")
    assert "the file is empty" in problems_of(lambda: load(path))


def test_pt_archives_that_claim_more_than_they_hold(tmp_path: Path) -> None:
    torch = need_torch()
    path = tmp_path / "net.pt"
    (tmp_path / "net.toml").write_text(nets.described(handmade_state()))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", bytes(1 << 22))
    assert "its members claim 4194304 bytes but the file holds" in problems_of(lambda: load(path))
    # A stride of zero lets one stored number claim any shape.
    torch.save({"rnn_cell.ff1.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, path)
    assert "claims shape (1048576, 1048576)" in problems_of(lambda: load(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"garbage", "truncated or no safetensors file"),
        (b"\xff" * 64, "truncated or no safetensors file"),
        (
            (1 << 40).to_bytes(8, "little") + b"{}",
            "claims 1099511627776 bytes but the file holds 2",
        ),
        (raw_safetensors(b"{nonsense"), "its header is not JSON"),
        (raw_safetensors(b"[" * 200_000), "its header is not JSON"),
        (raw_safetensors(b"\xff\xff"), "its header is not JSON"),
        (raw_safetensors(b'{"a": {}, "a": {}}'), "a key occurs twice"),
        (raw_safetensors([1]), "its header is not a table"),
        (raw_safetensors({"a": 3}), "tensor 'a' has no dtype, shape and data_offsets"),
        (raw_safetensors({}, b"x"), "its tensors end at byte 0 of the data but the file holds 1"),
        (raw_safetensors(b" " * ((8 << 20) + 1)), "the limit of lnn2loihi is 8388608"),
    ],
)
def test_damaged_safetensors(tmp_path: Path, content: bytes, expected: str) -> None:
    path = write(tmp_path, handmade_state())
    path.write_bytes(content)
    assert expected in problems_of(lambda: load(path))


@pytest.mark.parametrize(
    ("shape", "offsets", "dtype", "expected"),
    [
        ([1 << 20, 1 << 18], [0, 1 << 40], "F32", "claims bytes 0 to 1099511627776 but the file"),
        ([2], [0, 4], "F32", "has shape [2] of F32 but 4 bytes"),
        ([-1], [0, 4], "F32", "expected lists of whole numbers"),
        ([1.0], [0, 4], "F32", "expected lists of whole numbers"),
        ([True], [0, 4], "F32", "expected lists of whole numbers"),
        ([1] * 17, [0, 4], "F32", "expected lists of whole numbers"),
        ([1], [4, 0], "F32", "claims bytes 4 to 0"),
        ([1], [0], "F32", "expected lists of whole numbers"),
        ([1], [0, 4], 7, "has a dtype that is not a name"),
        ([1 << 62, 0], [0, 0], "F32", "rnn_cell.ff1.weight is empty"),
        ([4], [0, 4], "F8_E4M3", "rnn_cell.ff1.weight is F8_E4M3, expected float64"),
    ],
)
def test_safetensors_headers_are_checked_before_data_are_read(
    tmp_path: Path, shape: Any, offsets: Any, dtype: Any, expected: str
) -> None:
    path = write(tmp_path, handmade_state())
    entry = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    path.write_bytes(raw_safetensors({"rnn_cell.ff1.weight": entry}, bytes(offsets[-1] % 8)))
    assert expected in problems_of(lambda: load(path))


def test_a_sparse_file_of_a_terabyte_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = write(tmp_path, handmade_state())
    entry = {"dtype": "F32", "shape": [1 << 19, 1 << 19], "data_offsets": [0, 1 << 40]}
    path.write_bytes(raw_safetensors({"rnn_cell.ff1.weight": entry}))
    try:
        os.truncate(path, path.stat().st_size + (1 << 40))
    except OSError:
        pytest.skip("this file system has no sparse files of a terabyte")
    assert "elements, the limit of lnn2loihi is" in problems_of(lambda: load(path))


@pytest.mark.parametrize("cut", [3, 40, 900, -1])
def test_truncated_safetensors(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, handmade_state())
    path.write_bytes(path.read_bytes()[:cut])
    assert "truncated" in problems_of(lambda: load(path))


# ---------------------------------------------------------------- the shipped network


def test_the_shipped_network_is_as_good_as_its_card_says() -> None:
    from lnn2loihi.models import damped_sine
    from lnn2loihi.models.damped_sine import data, train

    network = damped_sine.load()
    assert isinstance(network, LiquidNetwork)
    figures = train.figures(network)
    card = (damped_sine.FOLDER / "card.md").read_text(encoding="utf-8")
    for value in figures.values():
        assert f"{value:.5f}" in card
    assert figures["network"] < 0.5 * figures["last sample"]
    assert figures["network"] < figures["linear prediction, 8 taps"]
    x, y = data.sequences(3, 10, seed=4)
    assert x.shape == y.shape == (3, 10, 1) and x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(x, data.sequences(3, 10, seed=4)[0])
