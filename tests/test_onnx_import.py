"""ONNX files of ncps networks, written by both of PyTorch's exporters, against PyTorch itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strategies_ncps as nets
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_exports import exported, written

from lnn2loihi import export, import_network
from lnn2loihi.converters.onnx_read.importer import OnnxImporter
from lnn2loihi.errors import ImportNetworkError

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install onnx")
torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")
pytest.importorskip("ncps", reason="needs ncps: pip install ncps")

INPUTS = 3
load = OnnxImporter().load


def assert_same_network(path: Path, module: Any, *, irregular: bool, inputs: int = INPUTS) -> None:
    network = load(path)
    assert network.irregular == irregular
    x = np.random.default_rng(5).normal(size=(2, 9, inputs))
    spans: Any = nets.random_timespans(6, 2, 9) if irregular else 1.0
    expected = nets.torch_steps(module, x, spans)
    actual = network.evaluate(x, timespans=spans if irregular else None)
    limit = 1e-5 * max(1.0, float(np.abs(expected.outputs).max()))
    np.testing.assert_allclose(actual.outputs, expected.outputs, rtol=0, atol=limit)


CASES: dict[str, dict[str, Any]] = {
    "wired": {"kind": "auto", "proj_size": 2},
    "wired, four layers": {"kind": "own"},
    "one backbone": {"kind": "dense", "backbone_layers": 1, "backbone_units": 5},
    "relu": {"kind": "dense", "backbone_layers": 2, "backbone_units": 5, "activation": "relu"},
    "gelu": {"kind": "dense", "backbone_layers": 1, "activation": "gelu", "proj_size": 1},
    "silu": {"kind": "dense", "backbone_layers": 3, "backbone_units": 4, "activation": "silu"},
    "no gate": {"kind": "dense", "mode": "no_gate"},
    "pure": {"kind": "auto", "mode": "pure", "proj_size": 2},
    "memory": {"kind": "dense", "mixed_memory": True, "backbone_layers": 1, "backbone_units": 5},
    "memory over a wiring": {"kind": "auto", "mixed_memory": True, "proj_size": 1},
}


#: What is looked at unrolled, of either exporter; the new one takes a second for each file.
UNROLLED = ("wired", "gelu", "pure", "memory")


@pytest.mark.parametrize(
    ("case", "dynamo"),
    [(c, False) for c in CASES] + [(c, True) for c in CASES if c not in UNROLLED],
)
def test_one_step_of_either_exporter(case: str, dynamo: bool, tmp_path: Path) -> None:
    module = nets.module(**CASES[case])
    path = exported(tmp_path / "net.onnx", module, dynamo=dynamo)
    assert_same_network(path, module, irregular=False)


@pytest.mark.parametrize("dynamo", [False, True], ids=["legacy", "dynamo"])
@pytest.mark.parametrize("case", UNROLLED)
def test_unrolled_with_timespans(case: str, dynamo: bool, tmp_path: Path) -> None:
    module = nets.module(**CASES[case])
    path = exported(tmp_path / "net.onnx", module, steps=3, timespans=True, dynamo=dynamo)
    assert_same_network(path, module, irregular=True)


@settings(max_examples=40)
@given(
    made=nets.variants(), steps=st.sampled_from([1, 3]), batch=st.integers(1, 2),
    timespans=st.booleans(), state=st.booleans(),
)  # fmt: skip
def test_every_variant(
    made: dict[str, Any], steps: int, batch: int, timespans: bool, state: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    made = made | {"scale": min(made["scale"], 1.0)}  # float32 and float64 drift apart beyond
    # ncps 1.0.1 is wrong for timespans of a batch; without a state one step loses its weights.
    batch, state = (1 if timespans else batch), (state or steps == 1)
    module = nets.module(**made)
    path = tmp_path_factory.mktemp("variant") / "net.onnx"
    exported(
        path, module, inputs=made["inputs"], steps=steps, batch=batch, state=state,
        timespans=timespans,
    )  # fmt: skip
    assert_same_network(path, module, irregular=timespans, inputs=made["inputs"])


@pytest.mark.parametrize("dynamo", [False, True], ids=["legacy", "dynamo"])
def test_masks_that_are_not_folded(dynamo: bool, tmp_path: Path) -> None:
    """The new exporter keeps weight times mask in the graph where the network is large."""
    module = nets.module("auto", size=400, inputs=8)
    path = exported(tmp_path / "net.onnx", module, inputs=8, dynamo=dynamo)
    assert_same_network(path, module, irregular=False, inputs=8)


def test_import_network_finds_the_importer(tmp_path: Path) -> None:
    path = exported(tmp_path / "thermostat.onnx", nets.module("auto"))
    network = import_network(path)
    assert network.name == "thermostat"
    assert network.source["importer"] == "onnx" and len(network.source["file_sha256"]) == 64


OWN: dict[str, dict[str, Any]] = {
    "wired": {"kind": "auto", "proj_size": 2},
    "lecun_tanh": {"kind": "dense", "backbone_layers": 2, "backbone_units": 5},
    "relu": {"kind": "dense", "backbone_layers": 1, "backbone_units": 5, "activation": "relu"},
    "silu": {"kind": "dense", "backbone_layers": 1, "backbone_units": 4, "activation": "silu"},
    "no gate": {"kind": "dense", "mode": "no_gate"},
    "pure": {"kind": "auto", "mode": "pure", "proj_size": 2},
    "memory": {"kind": "dense", "mixed_memory": True},
    "a mask in bits": {"kind": "auto", "size": 40},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", OWN)
def test_files_of_lnn2loihi_itself(case: str, dtype: str, tmp_path: Path) -> None:
    """A Scan over a dynamic time; one tanh and a mean for all gates of a CfC in float32."""
    module = nets.module(**OWN[case])
    for timespan in (1.0, "irregular"):
        network = import_network(module, timespan=timespan)  # pyright: ignore[reportArgumentType]
        for time_first in (False, True):
            path = tmp_path / "float.onnx"
            export(network, path, dtype=dtype, time_first=time_first)
            assert_same_network(path, module, irregular=network.irregular)


# ---------------------------------------------------------------- refusals


def refusal_of(path: Path, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        load(path, **options)
    return str(caught.value)


def test_a_step_without_its_state_has_lost_weights(tmp_path: Path) -> None:
    module = nets.module("dense", mixed_memory=True)
    text = refusal_of(exported(tmp_path / "net.onnx", module, state=False))
    assert "export with hx given" in text and "node " in text


def test_another_operator_is_named_by_its_first_node(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", torch.nn.RNN(3, 4), torch.randn(5, 1, 3))
    assert "(RNN): liquid networks have no such operation" in refusal_of(path)


def test_another_cell_says_what_was_expected(tmp_path: Path) -> None:
    class Other(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = torch.nn.Linear(7, 4)

        def forward(self, x: Any, h: Any) -> Any:
            new = torch.tanh(self.map(torch.cat([x[:, 0], h], 1))) * torch.exp(h)
            return new[:, None], new

    path = written(tmp_path / "net.onnx", Other(), torch.randn(1, 1, 3), torch.randn(1, 4))
    assert "does not fit: expected the new state of a CfC" in refusal_of(path)


def test_a_network_without_recurrence(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    path = written(tmp_path / "net.onnx", module, torch.randn(1, 1, 3))
    assert "expected a recurrent layer" in refusal_of(path)


@pytest.mark.parametrize(
    "made, expected",
    [
        ({"kind": "auto", "mixed_memory": True}, "expected the new state of a CfC"),
        (
            {"kind": "dense", "backbone_layers": 1, "activation": "gelu"},
            "(Sin): liquid networks",
        ),
    ],
    ids=["a shared memory", "gelu as a series"],
)
def test_own_files_that_are_refused(made: dict[str, Any], expected: str, tmp_path: Path) -> None:
    path = tmp_path / "float.onnx"
    export(import_network(nets.module(**made)), path, dtype="float64")
    text = refusal_of(path)
    assert expected in text and "lnn2loihi wrote this file itself" in text


def test_a_number_added_to_itself_a_hundred_times(tmp_path: Path) -> None:
    """Written out as a sum it would have more summands than there are atoms."""

    class Doubling(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            x = torch.tanh(x)
            for _ in range(100):
                x = x + x
            return x

    path = written(tmp_path / "net.onnx", Doubling(), torch.randn(1, 1, 3))
    assert "more than 64 summands" in refusal_of(path)


def test_indices_that_would_fill_the_memory(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.onnx", nets.module("dense"))
    model = onnx.load(path)
    for name, array in (("wide", np.zeros((1, 1 << 14), np.float32)),
                        ("often", np.zeros(1 << 14, np.int64))):  # fmt: skip
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    bomb = onnx.helper.make_node("Gather", ["wide", "often"], ["bomb"], axis=0, name="bomb")
    model.graph.node.insert(0, bomb)
    path.write_bytes(model.SerializeToString())
    assert "many times what the file holds" in refusal_of(path)


def test_a_file_that_computes_something_else_after_all(tmp_path: Path) -> None:
    """The structure fits, the numbers do not: a second step with other weights."""
    path = exported(tmp_path / "net.onnx", nets.module("dense"), steps=2)
    model = onnx.load(path)
    gemm = [node for node in model.graph.node if node.op_type == "Gemm"][0]
    changed = onnx.numpy_helper.to_array(
        next(t for t in model.graph.initializer if t.name == gemm.input[1])
    )
    other = onnx.numpy_helper.from_array((changed * 1.5).astype(np.float32), "other")
    model.graph.initializer.append(other)
    gemm.input[1] = "other"
    onnx.save(model, path)
    assert "a layer has other weights" in refusal_of(path)


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.onnx", nets.module("dense"))
    assert "folded into its weights; leave timespan out" in refusal_of(path, timespan=2.0)
    assert "needs no description" in refusal_of(path, description="net.toml")
    assert "there is no such file" in refusal_of(tmp_path / "absent.onnx")


def test_external_data_outside_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 4096)
    path = exported(folder / "net.onnx", nets.module("dense"))
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "../secret.bin", offset=0, length=64)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    path.write_bytes(model.SerializeToString())
    assert "which is not a file beside it" in refusal_of(path)


def test_shapes_that_claim_what_is_not_there(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.onnx", nets.module("dense"))
    model = onnx.load(path)
    model.graph.initializer[0].dims[0] = 1 << 40
    path.write_bytes(model.SerializeToString())
    assert "claims the shape" in refusal_of(path)


def test_constants_that_would_fill_the_memory(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.onnx", nets.module("dense"))
    model = onnx.load(path)
    shape = onnx.numpy_helper.from_array(np.array([1 << 20, 1 << 20]), "shape")
    model.graph.initializer.append(shape)
    bomb = onnx.helper.make_node("ConstantOfShape", ["shape"], ["bomb"], name="bomb")
    model.graph.node.insert(0, bomb)
    path.write_bytes(model.SerializeToString())
    assert "many times what the file holds" in refusal_of(path)


def test_inputs_that_would_take_for_ever(tmp_path: Path) -> None:
    """Found by the hunt of tests/fuzzing: millions of rows of one number."""
    path = exported(tmp_path / "net.onnx", nets.module("dense"))
    model = onnx.load(path)
    shape = model.graph.input[0].type.tensor_type.shape
    shape.dim[1].dim_value, shape.dim[2].dim_value = 1 << 20, 1
    path.write_bytes(model.SerializeToString())
    assert "export fewer steps" in refusal_of(path)


@pytest.mark.parametrize("operation", ("Sub", "Mul", "Div", "MatMul"))
@pytest.mark.parametrize("place", (0, 1))
def test_operands_that_are_left_out(tmp_path: Path, operation: str, place: int) -> None:
    """Found by the hunt of tests/fuzzing: a difference without what is taken away."""
    assert "one of its operands is missing" in refusal_with(tmp_path, operation, place)


def test_sums_over_axes_that_are_data(tmp_path: Path) -> None:
    assert "expected data where it has a constant" in refusal_with(tmp_path, "ReduceSum", None)


def test_axes_beyond_all_numbers(tmp_path: Path) -> None:
    """Found by the hunt of tests/fuzzing: an axis that no C integer holds."""
    path = exported(tmp_path / "net.onnx", nets.module("dense"))
    model = onnx.load(path)
    source = next(n for n in model.graph.node if n.op_type == "Tanh").output[0]
    axes = onnx.numpy_helper.from_array(np.array([1 << 40]), "axes")
    model.graph.initializer.append(axes)
    total = onnx.helper.make_node("ReduceSum", [source, "axes"], ["total"], name="total")
    model.graph.node.append(total)
    path.write_bytes(model.SerializeToString())
    assert "its operands do not fit each other" in refusal_of(path)


def refusal_with(tmp_path: Path, operation: str, left_out: int | None) -> str:
    """What is said of a net with one more node, of a constant and of data or with one left out."""
    path = exported(tmp_path / "net.onnx", nets.module("dense"))
    model = onnx.load(path)
    source = next(n for n in model.graph.node if n.op_type == "Tanh").output[0]
    operands = [model.graph.initializer[0].name, source]
    if left_out is not None:
        operands = [source, source]
        operands[left_out] = ""
    model.graph.node.append(onnx.helper.make_node(operation, operands, ["more"], name="more"))
    path.write_bytes(model.SerializeToString())
    return refusal_of(path)


def test_functions_that_call_each_other_without_end(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.onnx", nets.module("dense"))
    model = onnx.load(path)
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("own", 1)]
    for level in range(40):
        called = "Identity" if level == 39 else f"f{level + 1}"
        domain = "" if level == 39 else "own"
        nodes = [
            onnx.helper.make_node(called, ["x"], ["a"], domain=domain),
            onnx.helper.make_node(called, ["a"], ["y"], domain=domain),
        ]
        function = onnx.helper.make_function("own", f"f{level}", ["x"], ["y"], nodes, opsets)
        model.functions.append(function)
    path.write_bytes(model.SerializeToString())
    assert "unfolds to" in refusal_of(path)


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_files(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Cut, flipped or overwritten bytes: our error, or a network that still equals the file."""
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.onnx"
    if not whole.exists():
        exported(whole, nets.module("dense", backbone_layers=1, backbone_units=4))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    del content[data.draw(st.integers(1, len(content))) :]
    path = folder / "damaged.onnx"
    path.write_bytes(content)
    try:
        load(path)
    except ImportNetworkError as error:
        assert str(path) in str(error)
