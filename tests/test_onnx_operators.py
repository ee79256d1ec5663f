"""ONNX files with the operators LSTM and GRU, and unrolled cells: against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lnn2loihi import export, import_network, quantize, simulate
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.families.gru.layer import GRULayer
from lnn2loihi.families.lstm.layer import LSTMLayer
from lnn2loihi.network import LiquidNetwork

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

INPUTS, UNITS = 3, 5
GATES = {"GRU": 3, "LSTM": 4}
KINDS = sorted(GATES)
#: What torch writes beside the weights.
PLAIN: dict[str, dict[str, Any]] = {"GRU": {"linear_before_reset": 1}, "LSTM": {}}


def one_node(
    path: Path,
    kind: str,
    *,
    opset: int = 14,
    batch: int | str = 2,
    steps: int | str = 4,
    dtype: Any = np.float32,
    operands: tuple[str, ...] = (),
    constants: dict[str, Any] | None = None,
    seed: int = 0,
    **attributes: Any,
) -> Path:
    """A file of one operator; operands after B by name, h0 and c0 as inputs unless constant."""
    rng, gates = np.random.default_rng(seed), GATES[kind]
    constants = dict(constants or {})
    for name, shape in (("W", (1, gates * UNITS, INPUTS)), ("R", (1, gates * UNITS, UNITS)),
                        ("B", (1, 2 * gates * UNITS))):  # fmt: skip
        constants.setdefault(name, rng.normal(size=shape).astype(dtype))
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    attributes = PLAIN[kind] | attributes
    first = attributes.get("layout", 0) == 1
    shapes = {"x": [batch, steps, INPUTS] if first else [steps, batch, INPUTS]}
    for name in operands:
        if name and name not in constants:
            shapes[name] = [batch, 1, UNITS] if first else [1, batch, UNITS]
    results = ["Y", "Y_h", "Y_c"][: gates - 1]
    node = onnx.helper.make_node(
        kind, ["x", "W", "R", "B", *operands], results, name="cell", hidden_size=UNITS,
        **{name: value for name, value in attributes.items() if value is not None},
    )  # fmt: skip
    graph = onnx.helper.make_graph(
        [node], "one",
        [onnx.helper.make_tensor_value_info(name, element, axes) for name, axes in shapes.items()],
        [onnx.helper.make_tensor_value_info(name, element, None) for name in results],
        [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )  # fmt: skip
    opsets = [onnx.helper.make_opsetid("", opset)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=7), path)
    return path


def answers_of(path: Path, feed: dict[str, Any]) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


def assert_close(actual: Any, expected: Any) -> None:
    limit = 1e-5 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=limit)


def refusal_of(path: Path) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        import_network(path)
    return str(caught.value)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(KINDS), opset=st.sampled_from([7, 9, 11, 13, 14, 18, 21]),
    batch=st.sampled_from([1, 3, "batch"]), steps=st.sampled_from([1, 4, "seq"]),
    state=st.sampled_from(["absent", "zeros", "inputs"]), seed=st.integers(0, 99),
)  # fmt: skip
def test_one_operator(
    kind: str, opset: int, batch: Any, steps: Any, state: str, seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("one") / "net.onnx"
    names = ("h0", "c0")[: GATES[kind] - 2]
    rows = batch if isinstance(batch, int) else 1
    zeros = {name: np.zeros((1, rows, UNITS), np.float32) for name in names}
    if state == "zeros" and isinstance(batch, str):
        state = "absent"
    one_node(
        path, kind, opset=opset, batch=batch, steps=steps, seed=seed,
        operands=() if state == "absent" else ("", *names),
        constants=zeros if state == "zeros" else None,
    )  # fmt: skip
    network = import_network(path)
    assert isinstance(network.layers[0], GRULayer if kind == "GRU" else LSTMLayer)
    rng = np.random.default_rng(seed)
    length = steps if isinstance(steps, int) else 6
    x = rng.normal(size=(length, rows, INPUTS)).astype(np.float32)
    feed, start = {"x": x}, {}
    if state == "inputs":
        given = {name: rng.normal(size=(1, rows, UNITS)).astype(np.float32) for name in names}
        feed |= given
        start = {{"h0": "layer_0", "c0": "layer_0.c"}[name]: v[0] for name, v in given.items()}
    expected = answers_of(path, feed)[:, 0]
    assert_close(network.evaluate(x.swapaxes(0, 1), start).outputs, expected.swapaxes(0, 1))
    assert "layer_0 after the last step" in network.source["outputs_left_out"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_batch_first(kind: str, tmp_path: Path) -> None:
    """The same weights in both layouts; onnxruntime has but one of them."""
    names = ("", "h0", "c0")[: GATES[kind] - 1]
    paths = [
        one_node(tmp_path / f"{layout}.onnx", kind, layout=layout, operands=names)
        for layout in (0, 1)
    ]
    one, other = (import_network(path, name="same") for path in paths)
    assert one == other or one.source["sha256"] == other.source["sha256"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"direction": "reverse"}, "it has direction 'reverse'; expected forward"),
        ({"clip": 3.0}, "it has clip 3; expected none"),
        ({"operands": ("lengths",), "constants": {"lengths": np.array([4, 2], np.int32)}},
         "it has sequence_lens; expected none"),
        ({"operands": ("", "h0"), "constants": {"h0": np.ones((1, 2, UNITS), np.float32)}},
         "its state layer_0 starts at other constants; expected zero"),
        ({"constants": {"W": np.ones((1, 7, INPUTS), np.float32)}}, "it has weights W (1, 7, 3)"),
        ({"constants": {"B": np.ones((1, 7), np.float32)}}, "it has biases B (1, 7)"),
    ],
)  # fmt: skip
def test_what_makes_another_function(
    kind: str, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    text = refusal_of(one_node(tmp_path / "net.onnx", kind, **options))
    assert f"node 'cell' ({kind}) does not fit" in text and says in text


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("GRU", {"linear_before_reset": None}, "it has linear_before_reset 0; expected 1"),
        ("GRU", {"activations": ["HardSigmoid", "Tanh"]}, "'hardsigmoid, tanh'; expected sigmoid"),
        ("LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}, "'sigmoid, relu, tanh'; expected"),
        ("LSTM", {"input_forget": 1}, "it has input_forget 1; expected 0"),
        ("LSTM", {"operands": ("", "", "", "P"), "constants": {"P": np.ones((1, 15), "f")}},
         "it has peephole weights P; expected none"),
    ],
)  # fmt: skip
def test_what_makes_another_function_of_one(
    kind: str, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    assert says in refusal_of(one_node(tmp_path / "net.onnx", kind, **options))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_although_it_is_the_default(kind: str, tmp_path: Path) -> None:
    names = ["Sigmoid", "Tanh", "Tanh"][: GATES[kind] - 1]
    lengths = {"lengths": np.array([4, 4], np.int32)}
    path = one_node(
        tmp_path / "net.onnx", kind, activations=names, operands=("lengths",), constants=lengths
    )
    assert import_network(path).units == UNITS


# ---------------------------------------------------------------- PyTorch's exporters

torch = pytest.importorskip("torch", reason="needs torch: pip install torch")


class Net(torch.nn.Module):
    """Layers around two recurrent ones, as people build them."""

    def __init__(self, kind: str, around: str) -> None:
        super().__init__()
        self.around = around
        self.first = torch.nn.Linear(INPUTS, 4)
        inputs = 4 if around in ("relu", "linear") else INPUTS
        self.rnn = getattr(torch.nn, kind)(inputs, UNITS, 2, batch_first=True)
        self.head = torch.nn.Linear(UNITS, 2)
        self.other = torch.nn.Linear(UNITS, 1)
        self.register_buffer("mean", torch.tensor([100.0, -3.0, 0.5]))
        self.register_buffer("deviation", torch.tensor([20.0, 0.5, 2.0]))

    def forward(self, x: Any, *state: Any) -> Any:
        if self.around in ("relu", "linear"):
            x = self.first(x)
            x = torch.relu(x) if self.around == "relu" else x
        if self.around == "normalised":
            x = (x - self.mean) / self.deviation
        if self.around == "turned":
            x = (1.0 - x) * torch.tensor([1.0, 0.0, -2.0])
        hidden = None if not state else state[0] if len(state) == 1 else state
        y, last = self.rnn(x, hidden)
        if self.around == "bare":
            return (y, last) if not isinstance(last, tuple) else (y, *last)
        if self.around == "last":
            return self.head(y[:, -1])
        if self.around == "heads":
            return torch.cat([self.head(y), self.other(y)], -1)
        if self.around == "squeezed":
            return self.other(y).squeeze(-1)
        if self.around == "tanh":
            return torch.tanh(self.head(torch.relu(y)))
        return self.head(y)


AROUND = (
    "plain", "relu", "linear", "normalised", "turned", "bare", "last", "heads", "squeezed", "tanh",
)  # fmt: skip


def exported_net(path: Path, net: Any, *arguments: Any, **options: Any) -> Path:
    from onnx_exports import written

    if options:
        torch.onnx.export(net.eval(), arguments, str(path), verbose=False, **options)
        return path
    return written(path, net, *arguments)


def assert_same(network: LiquidNetwork, net: Any) -> None:
    x = torch.randn(2, 7, INPUTS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x = x * net.deviation + net.mean if net.around == "normalised" else x
    with torch.no_grad():
        expected = net.double()(x)
    net.float()
    expected = (expected[0] if isinstance(expected, tuple) else expected).numpy()
    actual = network.evaluate(x.numpy()).outputs
    if net.around == "last":
        actual = actual[:, -1]
    assert_close(actual.reshape(expected.shape), expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_around(kind: str, around: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = Net(kind, around)
    network = import_network(exported_net(tmp_path / "net.onnx", net, torch.randn(2, 4, INPUTS)))
    assert_same(network, net)
    if around == "normalised":
        np.testing.assert_allclose(network.input_offset, [100.0, -3.0, 0.5], rtol=1e-6)
        np.testing.assert_allclose(network.input_scale, [20.0, 0.5, 2.0], rtol=1e-6)
    if around == "last":
        assert network.source["file_answers"] == "the last step of 4"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [9, 10, 13])
@pytest.mark.parametrize("kind", KINDS)
def test_axes_without_a_length(kind: str, opset: int, tmp_path: Path) -> None:
    torch.manual_seed(2)
    net = Net(kind, "bare")
    names = ["x", "h0", "c0"][: GATES[kind] - 1]
    states = [torch.randn(2, 1, UNITS) for _ in names[1:]]
    axes: dict[str, Any] = {"x": {0: "b", 1: "t"}} | {name: [1] for name in names[1:]}
    path = exported_net(
        tmp_path / "net.onnx", net, torch.randn(1, 4, INPUTS), *states, dynamo=False,
        opset_version=opset, input_names=names, dynamic_axes=axes,
    )  # fmt: skip
    assert_same(import_network(path), net)


@pytest.mark.filterwarnings("ignore")
def test_the_new_exporter(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the new exporter needs it: pip install onnxscript")
    from onnx_exports import written

    net = Net("LSTM", "plain")
    path = written(tmp_path / "net.onnx", net, torch.randn(2, 4, INPUTS), dynamo=True)
    assert_same(import_network(path), net)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_the_program_is_that_of_the_module(kind: str, tmp_path: Path) -> None:
    """A file leads to the integers that its module leads to."""
    module = getattr(torch.nn, kind)(INPUTS, UNITS, 2, batch_first=True)
    path = exported_net(tmp_path / "net.onnx", module, torch.randn(1, 4, INPUTS))
    x = np.random.default_rng(0).normal(size=(2, 30, INPUTS))
    one, other = (quantize(import_network(source), x) for source in (module, path))
    np.testing.assert_array_equal(simulate(one, x).integers, simulate(other, x).integers)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_float_models_of_lnn2loihi(kind: str, time_first: bool, tmp_path: Path) -> None:
    network = import_network(getattr(torch.nn, kind)(INPUTS, UNITS, 2, batch_first=True))
    path = tmp_path / "own.onnx"
    export(network, path, time_first=time_first)
    x = np.random.default_rng(0).normal(size=(2, 9, INPUTS))
    assert_close(import_network(path).evaluate(x).outputs, network.evaluate(x).outputs)


class Cells(torch.nn.Module):
    """Two cells and a head, in a loop over time as people write it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first = getattr(torch.nn, f"{kind}Cell")(INPUTS, UNITS)
        self.second = getattr(torch.nn, f"{kind}Cell")(UNITS, UNITS - 1)
        self.head = torch.nn.Linear(UNITS - 1, 2)

    def forward(self, x: Any, *state: Any) -> Any:
        cells = (self.first, self.second)
        if not state:
            state = tuple(
                torch.zeros(len(x), cell.hidden_size)
                for cell in cells
                for _ in range(2 if isinstance(cell, torch.nn.LSTMCell) else 1)
            )
        each = len(state) // 2
        states, answers = [state[:each], state[each:]], []
        for step in range(x.shape[1]):
            heard = x[:, step]
            for number, cell in enumerate(cells):
                kept = states[number] if each == 2 else states[number][0]
                made = cell(heard, kept)
                states[number] = made if each == 2 else (made,)
                heard = states[number][0]
            answers.append(self.head(heard))
        return (torch.stack(answers, 1), *states[0], *states[1])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("given", [True, False], ids=["state given", "from zero"])
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_cells_in_a_loop(kind: str, steps: int, given: bool, tmp_path: Path) -> None:
    torch.manual_seed(5)
    net = Cells(kind)
    x = torch.randn(2, steps, INPUTS)
    widths = [UNITS] * (GATES[kind] - 2) + [UNITS - 1] * (GATES[kind] - 2)
    states = [torch.randn(2, width) for width in widths] if given else []
    path = exported_net(tmp_path / "net.onnx", net, x, *states)
    if steps == 1 and not given:
        assert "has lost its recurrent weights" in refusal_of(path)
        return
    network = import_network(path)
    x = torch.randn(2, 7, INPUTS, dtype=torch.float64)
    with torch.no_grad():
        expected = net.double()(x, *(torch.zeros(2, width).double() for width in widths))[0]
    assert_close(network.evaluate(x.numpy()).outputs, expected.numpy())
