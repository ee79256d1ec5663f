"""ONNX files of `ncps.torch.LTC`, written by both of PyTorch's exporters and by lnn2loihi itself.

Each is compared with the file by the importer (1e-5), and here with what the importer of modules
makes of the same module.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ltc_networks as ltcs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ltc_networks import Variant
from onnx_exports import exported, written

from lnn2loihi import export, import_network
from lnn2loihi.converters.onnx_read.importer import OnnxImporter
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.families.ltc.layer import LTCLayer

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs it: pip install onnxruntime")
torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")
pytest.importorskip("ncps", reason="needs ncps: pip install ncps")

load = OnnxImporter().load
pytestmark = pytest.mark.slow
BOTH = pytest.mark.parametrize("dynamo", [False, True], ids=["legacy", "dynamo"])


def assert_same_network(path: Path, variant: Variant, module: Any) -> None:
    """The network of the file is that of the live module: structure, answers and states."""
    network = load(path)
    live = FamiliesImporter().load(module, timespan="irregular" if variant.irregular else 1.0)
    assert (network.irregular, network.substeps) == (live.irregular, live.substeps)
    (layer,), (expected,) = network.layers, live.layers
    assert isinstance(layer, LTCLayer) and isinstance(expected, LTCLayer)
    # A synapse that is masked away is away, and so is one that was clipped to nothing.
    live_weights = (expected.conductance.weight != 0.0) | (expected.current.weight != 0.0)
    np.testing.assert_array_equal(layer.wiring, expected.wiring & live_weights)
    assert (layer.memory is None) == (expected.memory is None)
    assert (network.readout is None) <= (live.output_size == layer.units)
    x, elapsed = ltcs.samples(variant, 2, 6)
    actual, wanted = (net.evaluate(x, timespans=elapsed) for net in (network, live))
    for ours, theirs in (
        (actual.outputs, wanted.outputs),
        (actual.states["ltc"], wanted.states["ltc"]),
    ):
        limit = 1e-5 * max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=limit)


#: With two unfolds, the fewest of which one is not the first: exporters take a time for each.
CASES = {
    "affine": Variant(unfolds=2),
    "mixed memory, timespans": Variant(mixed=True, irregular=True, unfolds=2),
    "one unit of many inputs": Variant(kind="units", size=1, irregular=True, inputs=4, unfolds=2),
    "explicit, no mappings": Variant(
        implicit=False, input_mapping=None, output_mapping=None, kind="full", unfolds=1
    ),
    "linear, a large epsilon": Variant(
        kind="random",
        input_mapping="linear",
        output_mapping="linear",
        epsilon=0.01,
        inputs=1,
        unfolds=2,
    ),
}


@BOTH
@pytest.mark.parametrize("case", CASES)
def test_one_step_of_either_exporter(case: str, dynamo: bool, tmp_path: Path) -> None:
    variant = CASES[case]
    module = ltcs.module(variant)
    path = exported(
        tmp_path / "net.onnx", module, inputs=variant.inputs, timespans=variant.irregular,
        dynamo=dynamo,
    )  # fmt: skip
    assert_same_network(path, variant, module)


@BOTH
@pytest.mark.parametrize("state", [True, False], ids=["a state", "from zero"])
def test_unrolled(dynamo: bool, state: bool, tmp_path: Path) -> None:
    """From zero, exporters fold the first unfold, and with it all synapses of the units."""
    variant = Variant(unfolds=2, irregular=state)
    module = ltcs.module(variant)
    path = exported(
        tmp_path / "net.onnx", module, steps=2, state=state, timespans=state, dynamo=dynamo
    )
    assert_same_network(path, variant, module)


@settings(max_examples=40, deadline=None)
@given(
    variant=ltcs.variants(), steps=st.sampled_from([1, 3]), batch=st.integers(1, 2),
    state=st.booleans(),
)  # fmt: skip
def test_every_variant(
    variant: Variant, steps: int, batch: int, state: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    # ncps 1.0.1 is wrong for timespans of a batch; a step from zero may have lost its weights.
    batch = 1 if variant.irregular else batch
    state = state or (steps == 1 and (variant.mixed or variant.unfolds == 1))
    module = ltcs.module(variant)
    path = exported(
        tmp_path_factory.mktemp("variant") / "net.onnx", module, inputs=variant.inputs,
        steps=steps, batch=batch, state=state, timespans=variant.irregular,
    )  # fmt: skip
    assert_same_network(path, variant, module)


@BOTH
def test_the_file_under_onnxruntime(dynamo: bool, tmp_path: Path) -> None:
    """What the importer compares by itself, once more by hand: all steps and another input."""
    variant = Variant(mixed=True, irregular=True)
    module = ltcs.module(variant)
    path = exported(tmp_path / "net.onnx", module, steps=4, timespans=True, dynamo=dynamo)
    rng = np.random.default_rng(3)
    x, spans = rng.normal(size=(1, 4, 3)), rng.uniform(0.2, 3.0, (1, 4))
    v, cell = rng.normal(size=(2, 1, module.state_size))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    feed = dict(zip(names, (a.astype(np.float32) for a in (x, v, cell, spans)), strict=True))
    expected = np.asarray(session.run(None, feed)[0])
    states = {"ltc": v, "ltc.memory": cell}
    actual = load(path).evaluate(x, states, timespans=spans).outputs
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("irregular", [False, True])
def test_files_of_lnn2loihi_itself(
    dtype: str, irregular: bool, time_first: bool, tmp_path: Path
) -> None:
    """A Scan that repeats samples inside, and one linear map of all synapses."""
    variant = Variant(unfolds=2, irregular=irregular, size=12)
    module = ltcs.module(variant)
    path = tmp_path / "float.onnx"
    network = import_network(module, timespan="irregular" if irregular else 1.0)
    export(network, path, dtype=dtype, time_first=time_first)
    assert_same_network(path, variant, module)


@BOTH
def test_import_network_finds_the_importer(dynamo: bool, tmp_path: Path) -> None:
    module = ltcs.module(Variant(unfolds=6))
    path = exported(tmp_path / "worm.onnx", module, steps=2, dynamo=dynamo)
    network = import_network(path)
    assert network.name == "worm" and network.substeps == 6
    assert network.source["importer"] == "onnx"
    layer = network.layers[0]
    assert isinstance(layer, LTCLayer) and (layer.conductance.weight > 0.0)[layer.wiring].all()


# ---------------------------------------------------------------- refusals


def refusal_of(path: Path) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "variant, expected",
    [
        (Variant(unfolds=1), "(Div) does not fit: expected synapses of the potentials before"),
        (Variant(mixed=True), "(Add) does not fit: expected the mixed memory to hear the last"),
    ],
    ids=["one unfold", "mixed memory"],
)
def test_a_step_without_its_state_has_lost_weights(
    variant: Variant, expected: str, tmp_path: Path
) -> None:
    text = refusal_of(exported(tmp_path / "net.onnx", ltcs.module(variant), state=False))
    assert expected in text and "export with hx given, or several steps" in text


def test_a_mixed_memory_in_a_file_of_lnn2loihi(tmp_path: Path) -> None:
    """There a flag tells the first unfold of a sample from the others."""
    path = tmp_path / "float.onnx"
    export(import_network(ltcs.module(Variant(mixed=True))), path)
    text = refusal_of(path)
    assert "expected c v: the capacitance times the potentials before" in text
    assert "lnn2loihi wrote this file itself" in text


def changed(path: Path, operation: str, nth: int, name: str, factor: float) -> None:
    """Multiplies the first constant that the nth node of an operation reads, for it alone."""
    model = onnx.load(path)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == operation
             and any(name in entry for entry in node.input)]  # fmt: skip
    node = nodes[nth]
    place = next(number for number, entry in enumerate(node.input) if name in entry)
    array = onnx.numpy_helper.to_array(tensors[node.input[place]]) * np.float32(factor)
    model.graph.initializer.append(onnx.numpy_helper.from_array(array, "changed"))
    node.input[place] = "changed"
    onnx.save(model, path)


@pytest.mark.parametrize("name", ["sigma", "erev", "mu"])
def test_an_unfold_that_differs_from_the_last(name: str, tmp_path: Path) -> None:
    path = exported(tmp_path / "net.onnx", ltcs.module(Variant(unfolds=2)))
    operation = "Sub" if name == "mu" else "Mul"
    changed(path, operation, -2, f"rnn_cell.{name}", 1.5)
    assert "(Div) does not fit: expected every unfold to be made as the last" in refusal_of(path)


def test_steps_of_different_numbers_of_unfolds(tmp_path: Path) -> None:
    class Uneven(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = ltcs.module(Variant(unfolds=1)).float().rnn_cell

        def forward(self, x: Any, v: Any) -> Any:
            _, v = self.cell(x[:, 0], v)
            _, v = self.cell(x[:, 0], v, 1.0)
            answer, v = self.cell(x[:, 1], v)
            return answer[:, None], v

    module = Uneven()
    units = module.cell.state_size
    path = written(tmp_path / "net.onnx", module, torch.randn(1, 2, 3), torch.randn(1, units))
    assert "it has 2 unfolds, the one after it 1" in refusal_of(path)


def test_timespans_of_a_batch(tmp_path: Path) -> None:
    """As many sequences as units: PyTorch takes the times of the sequences for those of units."""
    module = ltcs.module(Variant(kind="units", size=4, unfolds=1))
    path = exported(tmp_path / "net.onnx", module, batch=4, timespans=True)
    text = refusal_of(path)
    assert "does not fit: expected c v" in text and "export a batch of 1" in text


def test_a_layer_before_an_ltc(tmp_path: Path) -> None:
    class Stacked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map, self.ltc = torch.nn.Linear(3, 3), ltcs.module(Variant()).float()

        def forward(self, x: Any, v: Any) -> Any:
            return self.ltc(torch.tanh(self.map(x)), v)

    module = Stacked()
    state = torch.randn(1, module.ltc.state_size)
    path = written(tmp_path / "net.onnx", module, torch.randn(1, 1, 3), state)
    assert "an LTC is read alone, without layers before it" in refusal_of(path)


def test_a_batch_that_would_take_for_ever(tmp_path: Path) -> None:
    """Found by the hunt of tests/fuzzing: each synapse of each sequence is a row."""
    path = exported(tmp_path / "net.onnx", ltcs.module(Variant()))
    model = onnx.load(path)
    for entry in model.graph.input:
        entry.type.tensor_type.shape.dim[0].dim_value = 1 << 14
    path.write_bytes(model.SerializeToString())
    assert "export fewer steps and a batch of 1" in refusal_of(path)


def test_a_quotient_of_something_else(tmp_path: Path) -> None:
    class Other(torch.nn.Module):
        def forward(self, x: Any, v: Any) -> Any:
            return ((v + torch.tanh(x[:, 0])) / (1.0 + v * v))[:, None], v

    path = written(tmp_path / "net.onnx", Other(), torch.randn(1, 1, 3), torch.randn(1, 3))
    assert "does not fit: expected the potentials of an LTC: (c v + current)" in refusal_of(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Overwritten bytes: our error, or a network that still equals the file."""
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole_ltc.onnx"
    if not whole.exists():
        exported(whole, ltcs.module(replace(Variant(), unfolds=2)), steps=2)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    path = folder / "damaged_ltc.onnx"
    path.write_bytes(content)
    try:
        load(path)
    except ImportNetworkError as error:
        assert str(path) in str(error)
