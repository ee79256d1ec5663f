"""Every variant of `ncps.torch.CfC` against PyTorch in double precision, live and as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strategies_ncps as nets
from hypothesis import given, settings
from safetensors.numpy import save_file

from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.cfc.module import describe
from lnn2loihi.families.cfc.wired import WiredMemory
from lnn2loihi.network import LiquidNetwork

pytest.importorskip("ncps", reason="needs ncps: pip install ncps")
torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")

load = FamiliesImporter("ncps").load
STEADY = settings(nets.STEADY, max_examples=80)


def assert_equal(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to rounding; the states of mode pure have no bound, so relative to the largest."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9 * max(1.0, abs(expected).max()))


def assert_same_function(
    network: LiquidNetwork, module: Any, x: np.ndarray, spans: float | np.ndarray
) -> None:
    """Outputs, every state of every layer, and the final states with that of the memory."""
    given_spans = spans if network.irregular else None
    result = network.evaluate(x, timespans=given_spans)
    expected = nets.torch_steps(module, x, spans)
    assert np.isfinite(expected.outputs).all()
    assert_equal(result.outputs, expected.outputs)
    names = [layer.name for layer in network.single_layers]
    assert_equal(np.concatenate([result.states[n] for n in names], -1), expected.states)
    assert_equal(np.concatenate([result.final_state[n] for n in names], -1), expected.states[:, -1])
    if expected.cell is not None:
        (layer,) = network.layers
        memory = layer.name if isinstance(layer, WiredMemory) else f"{layer.name}.memory"
        assert_equal(result.final_state[memory], expected.cell)


def only_layer(network: LiquidNetwork) -> CfCLayer:
    (layer,) = network.layers
    assert isinstance(layer, CfCLayer)
    return layer


def saved(folder: Path, source: Any, /, *, prefix: str = "", **changes: Any) -> Path:
    """Writes net.safetensors and net.toml, which says nothing more than it must."""
    state = nets.state_in_float64(source)
    path = folder / "net.safetensors"
    save_file({prefix + k: np.ascontiguousarray(v) for k, v in state.items()}, path)
    (folder / "net.toml").write_text(nets.described(state, **changes))
    return path


def problems_of(source: Any, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        load(source, **options)
    return str(caught.value)


# ---------------------------------------------------------------- equality with PyTorch


@STEADY
@given(made=nets.variants(), timespan=nets.timespans)
def test_constant_time(made: dict[str, Any], timespan: float) -> None:
    module = nets.module(**made)
    x = np.random.default_rng(made["seed"]).normal(size=(3, 9, made["inputs"]))
    assert_same_function(load(module, timespan=timespan), module, x, timespan)


@STEADY
@given(made=nets.variants())
def test_irregular_time(made: dict[str, Any]) -> None:
    module = nets.module(**made)
    x = np.random.default_rng(made["seed"]).normal(size=(3, 9, made["inputs"]))
    network = load(module, timespan="irregular")
    assert network.timespan is None and network.irregular
    assert_same_function(network, module, x, nets.random_timespans(made["seed"], 3, 9))


@pytest.mark.parametrize("mode", nets.MODES)
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("layers", [0, 1, 2, 3])
@pytest.mark.parametrize("activation", nets.ACTIVATIONS)
def test_every_combination(mode: str, mixed: bool, layers: int, activation: str) -> None:
    module = nets.module(
        "dense",
        mode=mode,
        mixed_memory=mixed,
        backbone_layers=layers,
        backbone_units=7,
        backbone_dropout=0.1,
        activation=activation,
        proj_size=2,
        scale=1.5,
    )
    x = np.random.default_rng(3).normal(size=(2, 5, 3))
    assert_same_function(load(module, timespan=0.7), module, x, 0.7)
    spans = nets.random_timespans(4, 2, 5)
    assert_same_function(load(module, timespan="irregular"), module, x, spans)


@pytest.mark.parametrize("kind", ["auto", "ncp", "own"])
@pytest.mark.parametrize("mode", nets.MODES)
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_a_memory_over_several_layers(kind: str, mode: str, scale: float) -> None:
    """Outputs, all states, and the final states of every layer and of the memory."""
    module = nets.module(kind, mode=mode, mixed_memory=True, proj_size=2, scale=scale)
    x = np.random.default_rng(3).normal(size=(3, 12, 3))
    network = load(module, timespan=0.7)
    (layer,) = network.layers
    assert isinstance(layer, WiredMemory) and len(layer.layers) > 1
    assert network.units == layer.memory_units == module.state_size
    assert [stage.name for stage in network.stages] == [
        "memory", *(f"layer_{place}" for place in range(len(layer.layers))), "readout"
    ]  # fmt: skip
    assert_same_function(network, module, x, 0.7)
    irregular = load(module, timespan="irregular")
    assert_same_function(irregular, module, x, nets.random_timespans(5, 3, 12))


def test_states_of_several_layers_carry_over() -> None:
    network = load(nets.module("auto", mixed_memory=True))
    x = np.random.default_rng(0).normal(size=(2, 8, 3))
    first = network.evaluate(x[:, :5])
    assert set(first.final_state) == {"memory", "layer_0", "layer_1", "layer_2"}
    second = network.evaluate(x[:, 5:], first.final_state)
    whole = network.evaluate(x)
    assert_equal(second.outputs, whole.outputs[:, 5:])
    for name, state in whole.final_state.items():
        assert_equal(second.final_state[name], state)


@pytest.mark.parametrize(("kind", "mixed"), [("dense", False), ("dense", True), ("auto", True)])
def test_the_forward_pass_of_ncps_itself(kind: str, mixed: bool) -> None:
    """Not the loop of these tests; ncps needs the first states in float64 for a mixed memory."""
    options = {"backbone_layers": 2} if kind == "dense" else {}
    module = nets.module(kind, mixed_memory=mixed, proj_size=2, **options).double()
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    zeros = torch.zeros(4, module.state_size, dtype=torch.float64)
    with torch.no_grad():
        outputs, last = module(torch.from_numpy(x), (zeros, zeros) if mixed else zeros)
    result = load(module).evaluate(x)
    assert_equal(result.outputs, outputs.numpy())
    state, cell = last if mixed else (last, None)
    own = [result.final_state[layer.name] for layer in load(module).single_layers]
    assert_equal(np.concatenate(own, -1), state.numpy())
    if cell is not None:
        memory = "layer_0.memory" if kind == "dense" else "memory"
        assert_equal(result.final_state[memory], cell.numpy())


def test_states_carry_over() -> None:
    """Two halves, the second from the final state of the first, are the whole."""
    module = nets.module("dense", mixed_memory=True, backbone_layers=1)
    network = load(module)
    x = np.random.default_rng(0).normal(size=(2, 8, 3))
    first = network.evaluate(x[:, :5])
    second = network.evaluate(x[:, 5:], first.final_state)
    assert_equal(second.outputs, network.evaluate(x).outputs[:, 5:])


def test_batched_timespans_of_ncps_are_wrong_and_ours_are_not() -> None:
    """If this fails, ncps has repaired issue 81: change the docstring of families/cfc."""
    module = nets.module("dense", size=3, backbone_layers=0).double()
    x = np.random.default_rng(0).normal(size=(3, 6, 3))
    spans = nets.random_timespans(1, 3, 6)
    hidden = torch.zeros(3, 3, dtype=torch.float64)
    with torch.no_grad():
        theirs, _ = module(torch.from_numpy(x), hidden, torch.from_numpy(spans))
        each = [
            module(torch.from_numpy(x[b : b + 1]), hidden[:1], torch.from_numpy(spans[b : b + 1]))[
                0
            ]
            for b in range(3)
        ]
    ours = load(module, timespan="irregular").evaluate(x, timespans=spans).outputs
    assert_equal(ours, torch.cat(each).numpy())
    assert abs(ours - theirs.numpy()).max() > 1e-3


# ---------------------------------------------------------------- checkpoints


@STEADY
@given(made=nets.variants(), irregular=...)
def test_checkpoints_are_the_module(
    tmp_path_factory: pytest.TempPathFactory, made: dict[str, Any], irregular: bool
) -> None:
    module = nets.module(**made)
    timespan = "irregular" if irregular else 0.5
    options = {"activation": made["activation"]}
    if made["mode"] == "no_gate":
        options["mode"] = "no_gate"
    folder = tmp_path_factory.mktemp("checkpoint")
    loaded = load(saved(folder, module, timespan=timespan, **options))
    live = load(module.double(), timespan=timespan)
    assert (loaded.layers, loaded.readout) == (live.layers, live.readout)
    assert loaded.timespan == live.timespan == (None if irregular else 0.5)
    assert loaded.source["sha256"] == live.source["sha256"]


def test_everything_stated_and_right(tmp_path: Path) -> None:
    module = nets.module(
        "dense", mode="pure", mixed_memory=True, backbone_layers=2, backbone_units=5, proj_size=2
    )
    path = saved(
        tmp_path, module, mode="pure", mixed_memory=True, backbone_layers=2, backbone_units=5,
        output_size=6, proj_size=2, activation="lecun_tanh", timespan="irregular",
    )  # fmt: skip
    network = load(path)
    assert network.layers == load(module).layers and network.irregular
    # The caller goes before the description.
    assert load(path, timespan=2.0).timespan == 2.0
    no_backbone = nets.module("dense")
    path = saved(tmp_path, no_backbone, backbone_layers=0, backbone_units=9)
    assert load(path).layers == load(no_backbone).layers


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"mode": "pure"}, ('mode = "pure"', "timespan")),
        ({"mixed_memory": True}, ("mixed_memory = true", 'or "no_gate"')),
        (
            {"backbone_layers": 2, "backbone_units": 5, "proj_size": 2},
            ("backbone_layers = 2", "activation", "silu, relu, tanh, gelu", "raminmh/CfC"),
        ),
    ],
)
def test_the_template_says_what_the_arrays_do_not_hold(
    tmp_path: Path, options: dict[str, Any], expected: tuple[str, ...]
) -> None:
    module = nets.module("dense", **options)
    path = saved(tmp_path, module, prefix="net.")
    (tmp_path / "net.toml").unlink()
    text = problems_of(path)
    for part in ("input_size = 3", "units = 6", "The arrays do not hold", '"irregular"', *expected):
        assert part in text
    (tmp_path / "net.toml").write_text(text.split("\n\n", 1)[1])
    assert load(path).layers == load(module.double()).layers


def test_contradictions_are_listed_together(tmp_path: Path) -> None:
    module = nets.module("dense", mixed_memory=True, backbone_layers=2, backbone_units=5)
    path = saved(
        tmp_path, module, mode="pure", mixed_memory=False, backbone_units=9, backbone_layers=3
    )
    text = problems_of(path)
    for part in (
        "mode is 'pure' in net.toml, but its keys are those of mode 'default' or 'no_gate'",
        "mixed_memory is false in net.toml, but its keys have a mixed memory (lstm.*)",
        "backbone_layers is 3 in net.toml, but its keys rnn_cell.backbone.* show 2",
        "rnn_cell.backbone.0 has 5 units, but backbone_units is 9 in net.toml",
        "5 problems",
    ):
        assert part in text
    path = saved(tmp_path, nets.module("dense", mode="pure"), mode="no_gate", mixed_memory=True,
                 backbone_units=9)  # fmt: skip
    text = problems_of(path)
    assert "mode is 'no_gate' in net.toml, but its keys are those of mode 'pure'" in text
    assert "mixed_memory is true in net.toml, but its keys have no mixed memory" in text
    assert "backbone_units is 9 in net.toml, but there are no keys rnn_cell.backbone.*" in text
    assert "3 problems" in text


def test_words_of_descriptions_are_checked(tmp_path: Path) -> None:
    path = saved(
        tmp_path, nets.module("dense"), mode="fast", activation="elu", mixed_memory="no",
        backbone_layers=-1, timespan="often", minimal=True,
    )  # fmt: skip
    text = problems_of(path)
    for part in (
        "mode is 'fast'; there are default, no_gate, pure",
        "activation is 'elu'; there are lecun_tanh, silu, relu, tanh, gelu",
        "mixed_memory is a str, expected true or false",
        "backbone_layers is out of range, expected a whole number from 0",
        "timespan is 'often', expected a number or \"irregular\"",
        "unknown key 'minimal'",
        "it goes with module = 'torch_cfc.Cfc'",
        "6 problems",
    ):
        assert part in text


def test_wrong_shapes_of_the_new_arrays(tmp_path: Path) -> None:
    module = nets.module(
        "dense", mode="pure", mixed_memory=True, backbone_layers=2, backbone_units=5
    )
    state = nets.state_in_float64(module)
    state["rnn_cell.w_tau"] = np.zeros(6)
    state["rnn_cell.A"] = np.full((1, 6), np.nan)
    state["rnn_cell.backbone.0.weight"] = np.zeros((5, 8))
    state["rnn_cell.backbone.2.bias"] = np.zeros(4)
    state["lstm.input_map.weight"] = np.zeros((24, 4))
    state["lstm.recurrent_map.weight"] = np.zeros((6, 24))
    del state["lstm.input_map.bias"]
    path = saved(tmp_path, module)
    save_file(state, path)
    text = problems_of(path)
    for part in (
        "rnn_cell.w_tau has shape (6,), expected (1, 6)",
        "rnn_cell.A holds 6 NaN or infinite of 6 values",
        "rnn_cell.backbone.0.weight has shape (5, 8), but inputs + units is 9; expected (5, 9)",
        "rnn_cell.backbone.2.bias has shape (4,), expected (5,)",
        "lstm.input_map.weight has shape (24, 4), expected (24, 3)",
        "lstm.recurrent_map.weight has shape (6, 24), expected (24, 6)",
        "keys are missing: lstm.input_map.bias",
    ):
        assert part in text
    state["rnn_cell.backbone.0.weight"] = np.zeros(5)
    state["rnn_cell.backbone.2.weight"] = np.zeros((4, 5))
    save_file(state, path)
    assert "rnn_cell.backbone.0.weight has shape (5,), expected two axes" in problems_of(path)
    state["rnn_cell.backbone.0.weight"] = np.zeros((5, 9))
    save_file(state, path)
    text = problems_of(path)
    assert "rnn_cell.ff1.weight has shape (6, 5), but the number of units of" in text
    assert "is 4; expected (6, 4)" in text


def test_a_memory_that_does_not_fit_its_layers(tmp_path: Path) -> None:
    module = nets.module("auto", mixed_memory=True)
    units = module.state_size
    state = nets.state_in_float64(module)
    state["lstm.recurrent_map.weight"] = np.zeros((4 * units, units - 1))
    path = saved(tmp_path, module)
    save_file({key: np.ascontiguousarray(array) for key, array in state.items()}, path)
    text = problems_of(path)
    assert f"lstm.recurrent_map.weight has shape {(4 * units, units - 1)}, expected" in text
    assert str((4 * units, units)) in text


def test_the_digest_holds_the_memory_of_several_layers() -> None:
    module = nets.module("auto", mixed_memory=True)
    before = load(module).source["sha256"]
    assert load(module).source["sha256"] == before
    for key in ("lstm.input_map.bias", "rnn_cell.layer_1.ff2.bias"):
        with torch.no_grad():
            module.state_dict()[key][0] += 1.0
        after = load(module).source["sha256"]
        assert after != before
        before = after


# ---------------------------------------------------------------- live modules


def test_the_activation_is_the_modules() -> None:
    for name in nets.ACTIVATIONS:
        module = nets.module("dense", backbone_layers=1, activation=name)
        assert only_layer(load(module)).activation == name
        assert describe(module)[0].activation == name


def test_changed_backbones() -> None:
    module = nets.module("dense", backbone_layers=3, backbone_units=4)
    backbone = module.rnn_cell.backbone
    backbone[1] = torch.nn.Identity()
    backbone[3] = torch.nn.ReLU()
    backbone[5] = torch.nn.Hardtanh()
    text = problems_of(module)
    assert "rnn_cell.backbone.2 follows a linear map without an activation" in text
    assert "rnn_cell.backbone.5 is a Hardtanh; a backbone consists of" in text
    backbone[1], backbone[5] = torch.nn.Tanh(), torch.nn.Identity()
    text = problems_of(module)
    assert "different activations: tanh, relu" in text
    assert "ends in a linear map without an activation" in text
    backbone[1] = backbone[3] = torch.nn.GELU(approximate="tanh")
    assert "GELU(approximate='none')" in problems_of(module)
    # Where numbers are left out, the order counts, and dropout does nothing.
    module = nets.module("dense", backbone_layers=2, backbone_units=4, activation="relu")
    layers = list(module.rnn_cell.backbone)
    module.rnn_cell.backbone = torch.nn.Sequential(
        torch.nn.Dropout(0.5), layers[0], torch.nn.Identity(), torch.nn.ReLU(), *layers[2:]
    )
    x = np.random.default_rng(3).normal(size=(2, 5, 3))
    assert_same_function(load(module), module, x, 1.0)


def test_changed_memories_and_modes() -> None:
    module = nets.module("dense", mixed_memory=True)
    module.lstm.tanh = torch.nn.Hardtanh()
    assert "lstm.tanh is a Hardtanh, expected torch.nn.Tanh" in problems_of(module)
    module = nets.module("auto")
    module.rnn_cell.layer_1.mode = "no_gate"
    assert "different modes: default, no_gate" in problems_of(module)


# ---------------------------------------------------------------- raminmh/CfC


def original_state(mode: str, mixed: bool, dropout: float = 0.1) -> Any:
    """An ncps module with the keys of torch_cfc.Cfc, which computes the same."""
    return nets.module(
        "dense", mode=mode, mixed_memory=mixed, backbone_layers=2, backbone_units=5,
        backbone_dropout=dropout, activation="silu", proj_size=2,
    )  # fmt: skip


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(
    ("mode", "flags"),
    [
        ("default", {}),
        ("default", {"minimal": False, "no_gate": False}),
        ("no_gate", {"no_gate": True}),
        ("no_gate", {"mode": "no_gate"}),
        ("pure", {"minimal": True, "no_gate": True}),
        ("pure", {}),
    ],
)
def test_the_original_implementation(
    tmp_path: Path, mode: str, flags: dict[str, Any], mixed: bool
) -> None:
    module = original_state(mode, mixed)
    path = saved(
        tmp_path, module, module="torch_cfc.Cfc", activation="silu", timespan="irregular",
        use_mixed=mixed, **flags,
    )  # fmt: skip
    x = np.random.default_rng(3).normal(size=(2, 5, 3))
    assert_same_function(load(path), module, x, nets.random_timespans(1, 2, 5))


def test_lecun_is_their_word_for_lecun_tanh(tmp_path: Path) -> None:
    path = saved(
        tmp_path, original_state("default", False), module="torch_cfc.Cfc", activation="lecun",
        timespan=1.0,
    )  # fmt: skip
    assert only_layer(load(path)).activation == "lecun_tanh"


def test_contradictions_with_the_original_implementation(tmp_path: Path) -> None:
    path = saved(
        tmp_path, original_state("default", False), module="torch_cfc.Cfc", mode="default",
        no_gate=True, mixed_memory=True, use_mixed=False,
    )  # fmt: skip
    text = problems_of(path)
    assert "mode is 'default', but minimal and no_gate say 'no_gate'" in text
    assert "mixed_memory and use_mixed contradict each other" in text
    assert "the key 'activation' is missing; torch_cfc has no default" in text
    path = saved(
        tmp_path, original_state("default", False), module="torch_cfc.Cfc", activation="gelu"
    )
    assert "activation is 'gelu'; there are lecun, lecun_tanh, silu, relu, tanh" in problems_of(
        path
    )
    path = saved(
        tmp_path, original_state("default", False), module="torch_cfc.Cfc", activation="tanh"
    )
    assert "has no timespan of its own" in problems_of(path)
    assert load(path, timespan=1.0).timespan == 1.0


def test_the_original_implementation_always_has_a_backbone_and_a_readout(tmp_path: Path) -> None:
    path = saved(
        tmp_path, nets.module("dense"), module="torch_cfc.Cfc", activation="silu", timespan=1.0
    )
    text = problems_of(path)
    assert "no keys rnn_cell.backbone.*" in text and "no key fc.weight" in text
    assert "which a torch_cfc.Cfc always has" in text
