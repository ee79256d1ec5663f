"""What goes into an ONNX file and comes out of it: all of it is accounted for, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strategies_ncps as nets
from onnx_exports import exported, written

from lnn2loihi import export, import_network
from lnn2loihi.errors import ImportNetworkError

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install onnx")
torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")
pytest.importorskip("ncps", reason="needs ncps: pip install ncps")

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 4


class Wrapped(torch.nn.Module):
    """A GRU, a CfC, maps, and what is done with them."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.rnn = torch.nn.GRU(3, 8, batch_first=True)
        self.cfc = nets.module("auto")
        self.head, self.value = torch.nn.Linear(8, 2), torch.nn.Linear(8, 1)
        self.few = torch.nn.Linear(3, 2)
        self.second = torch.nn.Linear(8, 1)
        self.does = forward

    def forward(self, *given: Any) -> Any:
        return self.does(self, *given)

    def answers(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0])

    def both(self, x: Any) -> tuple[Any, Any, Any]:
        """Of one call, so that the exporter writes one layer: both heads and the last state."""
        states, last = self.rnn(x)
        return self.head(states), self.value(states), last


def imported(path: Path, does: Callable[..., Any], *given: Any) -> Any:
    given = given or (torch.randn(1, STEPS, 3),)
    return import_network(written(path / "net.onnx", Wrapped(does), *given))


TWO = torch.randn(2, STEPS, 3)
REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "a second head": (lambda m, x: m.both(x)[:2], "is no final state"),
    "a second layer's state": (lambda m, x: (m.answers(x), m.rnn(x)[1]), "is no final state"),
    "the states of all steps": (lambda m, x: (m.answers(x), m.rnn(x)[0]), "is no final state"),
    "a function of the state": (lambda m, x: (m.answers(x), 2 * m.rnn(x)[1]), "is no final state"),
    "the input": (lambda m, x: (m.answers(x), x), "is no final state"),
    "a constant": (lambda m, x: (m.answers(x), torch.ones(3)), "does not depend on the input"),
    "answers backwards": (lambda m, x: m.answers(x).flip(1), "has the answers of the steps"),
    "answers of some steps": (lambda m, x: m.answers(x)[:, ::3], "has the answers of the steps"),
    "other answers at first": (
        lambda m, x: torch.cat([m.value(y[:, :2]), m.second(y[:, 2:])], 1)
        if (y := m.rnn(x)[0]) is not None
        else None,
        "every answer to be made as the last one",
    ),
    "the sample beside the answer": (
        lambda m, x: torch.cat([m.answers(x), x], -1), "does not fit: expected",
    ),
    "time backwards": (lambda m, x: m.answers(x.flip(1)), "forwards in time"),
    "a window": (lambda m, x: m.answers(x[:, 1:]), "its answers hear 9 of the 12 numbers"),
    "the step before the last": (lambda m, x: m.answers(x)[:, -2], "hear 9 of the 12 numbers"),
    "channels in another order": (lambda m, x: m.answers(x[..., [2, 0, 1]]), "in their order"),
    "a state of ones": (
        lambda m, x: m.head(m.rnn(x, torch.ones(1, 1, 8))[0]), "starts at other constants",
    ),
    "a state of the sample": (
        lambda m, x: m.head(m.rnn(x[..., :3], x[:, :1, 3:].transpose(0, 1))[0]),
        "in their order",
    ),
    "whole numbers": (lambda m, x: m.answers(x.int().float()), "expected floating point"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_lost(case: str, tmp_path: Path) -> None:
    does, says = REFUSED[case]
    given = torch.randn(1, STEPS, 11 if case == "a state of the sample" else 3)
    with pytest.raises(ImportNetworkError) as caught:
        imported(tmp_path, does, given)
    assert says in str(caught.value)


@pytest.mark.parametrize("before", [True, False])
def test_sequences_of_a_batch_in_another_order(before: bool, tmp_path: Path) -> None:
    def does(m: Any, x: Any) -> Any:
        return m.answers(x.flip(0)) if before else m.answers(x).flip(0)

    with pytest.raises(ImportNetworkError, match="in another order; expected the same order"):
        imported(tmp_path, does, TWO)


def test_an_input_that_nothing_hears_is_named(tmp_path: Path) -> None:
    network = imported(tmp_path, lambda m, x, unused: m.answers(x), TWO, torch.ones(1))
    # The exporter names it, or leaves it out.
    model = onnx.load(tmp_path / "net.onnx")
    named = [entry.name for entry in model.graph.input][1:]
    assert network.source.get("inputs_not_heard", "") == ", ".join(map(repr, named))


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float64"])
def test_samples_of_another_type(dtype: str, tmp_path: Path) -> None:
    module = Wrapped(lambda m, x: m.answers(x.float()))
    x = torch.arange(24).reshape(2, STEPS, 3).to(getattr(torch, dtype))
    network = import_network(written(tmp_path / "net.onnx", module, x))
    with torch.no_grad():
        expected = module(x).numpy()
    actual = network.evaluate(x.numpy().astype(float)).outputs
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_sequences_of_a_batch_that_differ(tmp_path: Path) -> None:
    with pytest.raises(ImportNetworkError, match="networks with other weights"):
        imported(tmp_path, lambda m, x: torch.cat([m.answers(x[:1]), 2 * m.answers(x[1:])]), TWO)


TAKEN: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "heads beside each other": (lambda m, x: torch.cat(m.both(x)[:2], -1), lambda y: y),
    "some of the units": (lambda m, x: m.rnn(x)[0][..., 2:5], lambda y: y),
    "units in another order": (lambda m, x: m.rnn(x)[0].flip(-1), lambda y: y),
    "a head of some of the units": (lambda m, x: m.few(m.rnn(x)[0][..., 1:4]), lambda y: y),
    "a head of one number": (lambda m, x: m.value(m.rnn(x)[0]).squeeze(-1), lambda y: y[..., 0]),
    "answers in one row": (lambda m, x: m.answers(x).flatten(1), lambda y: y.reshape(2, -1)),
    "the last two": (lambda m, x: m.answers(x)[:, -2:], lambda y: y[:, -2:]),
    "the last state's": (lambda m, x: m.head(m.rnn(x)[1][-1]), lambda y: y[:, -1]),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_other_forms_of_answers(case: str, tmp_path: Path) -> None:
    does, form = TAKEN[case]
    module = Wrapped(does)
    network = import_network(written(tmp_path / "net.onnx", module, TWO))
    with torch.no_grad():
        expected = module(TWO).numpy()
    actual = form(network.evaluate(TWO.numpy()).outputs)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_answers_again_and_states_are_named(tmp_path: Path) -> None:
    def does(m: Any, x: Any) -> Any:
        y, _, last = m.both(x)
        return y, last, y[:, -1]

    network = imported(tmp_path, does)
    left = network.source["outputs_left_out"]
    assert "layer_0 after the last step" in left and "answers again" in left


@pytest.mark.parametrize("case", ["cfc", "memory", "ltc"])
def test_states_of_ncps(case: str, tmp_path: Path) -> None:
    from ncps.torch import LTC
    from ncps.wirings import AutoNCP

    module = {
        "cfc": lambda: nets.module("auto"),
        "memory": lambda: nets.module("dense", mixed_memory=True),
        "ltc": lambda: LTC(3, AutoNCP(8, 2), batch_first=True),
    }[case]()
    network = import_network(exported(tmp_path / "net.onnx", module))
    left = network.source["outputs_left_out"]
    assert "after the last step" in left and ("memory" in left) == (case == "memory")


def test_a_second_head_of_ncps(tmp_path: Path) -> None:
    """The second output of a policy was dropped without a word."""

    def does(m: Any, x: Any, h: Any) -> Any:
        answer, state = m.cfc(x, h)
        return answer[..., :1], answer[..., 1:], state

    size = nets.module("auto").state_size
    with pytest.raises(ImportNetworkError, match="is no final state"):
        imported(tmp_path, does, torch.randn(1, 1, 3), torch.randn(1, size))
    answers = imported(
        tmp_path,
        lambda m, x, h: m.cfc(x, h)[0][..., :1],
        torch.randn(1, 1, 3),
        torch.randn(1, size),
    )
    assert answers.output_size == 1


# ---------------------------------------------------------------- time without a length


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_unrolled_although_time_has_no_length(steps: int, tmp_path: Path) -> None:
    module = nets.module("dense").float().eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        module, (torch.randn(1, steps, 3), torch.randn(1, module.state_size)), str(path),
        dynamo=False, opset_version=17, input_names=["x", "h"], verbose=False,
        dynamic_axes={"x": {0: "batch", 1: "time"}, "h": {0: "batch"}},
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(2, 9, 3))
    actual = import_network(path).evaluate(x).outputs
    np.testing.assert_allclose(actual, nets.torch_steps(module, x, 1.0).outputs, rtol=0, atol=1e-5)


# ---------------------------------------------------------------- normalisation


@pytest.mark.parametrize("case", ["cfc", "pure", "memory", "ltc"])
def test_float_models_with_a_normalisation(case: str, tmp_path: Path) -> None:
    from ncps.torch import LTC
    from ncps.wirings import AutoNCP

    module = {
        "cfc": lambda: nets.module("auto"),
        "pure": lambda: nets.module("auto", mode="pure"),
        "memory": lambda: nets.module("dense", mixed_memory=True),
        "ltc": lambda: LTC(3, AutoNCP(8, 2), batch_first=True),
    }[case]()
    network = replace(
        import_network(module), input_offset=np.array([100.0, 0.0, -3.0]),
        input_scale=np.array([20.0, 0.5, 1.0]),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(2, 9, 3)) * network.input_scale + network.input_offset
    forms: tuple[dict[str, Any], ...] = ({}, {"dtype": "float64"}, {"time_first": True})
    for options in forms:
        export(network, tmp_path / "own.onnx", **options)
        found = import_network(tmp_path / "own.onnx")
        np.testing.assert_allclose(found.input_scale, network.input_scale, rtol=1e-6)
        np.testing.assert_allclose(found.input_offset, network.input_offset, rtol=1e-6)
        np.testing.assert_allclose(
            found.evaluate(x).outputs, network.evaluate(x).outputs, rtol=0, atol=1e-5
        )


def test_a_normalisation_by_mul_and_add(tmp_path: Path) -> None:
    def does(m: Any, x: Any, h: Any) -> Any:
        return m.cfc(x * torch.tensor([0.5, -2.0, 0.1]) + torch.tensor([1.0, 0.0, -3.0]), h)

    module = Wrapped(does)
    given = torch.randn(1, 1, 3), torch.randn(1, module.cfc.state_size)
    network = import_network(written(tmp_path / "net.onnx", module, *given))
    with torch.no_grad():
        expected = module(*given)[0].numpy()
    np.testing.assert_allclose(network.input_scale, [2.0, 0.5, 10.0], rtol=1e-6)
    start = state_of(network, given[1].numpy())
    actual = network.evaluate(given[0].numpy(), start).outputs
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def state_of(network: Any, hidden: Any) -> dict[str, Any]:
    sizes = [layer.units for layer in network.single_layers]
    return {
        layer.name: part
        for layer, part in zip(
            network.single_layers, np.split(hidden, np.cumsum(sizes)[:-1], axis=1), strict=True
        )
    }


# ---------------------------------------------------------------- half precision

HALVES: dict[str, Callable[[], Any]] = {
    "cfc": lambda: nets.module("auto"),
    "pure": lambda: nets.module("auto", mode="pure"),
    "backbones": lambda: nets.module("dense", backbone_layers=2, backbone_units=5),
    "gelu": lambda: nets.module("dense", backbone_layers=1, activation="gelu"),
    "memory": lambda: nets.module("dense", mixed_memory=True, backbone_layers=1),
}


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("case", [*HALVES, "GRU", "LSTM", "LTC"])
def test_files_in_half_precision(case: str, name: str, tmp_path: Path) -> None:
    from ncps.torch import LTC
    from ncps.wirings import AutoNCP

    dtype = getattr(torch, name)
    torch.manual_seed(6)
    if case in HALVES:
        module = HALVES[case]()
        size = module.state_size
    elif case == "LTC":
        module, size = LTC(3, AutoNCP(8, 2), batch_first=True), 8
    else:
        module, size = getattr(torch.nn, case)(3, 5, batch_first=True), 0
    module = module.to(dtype)
    given: list[Any] = [torch.randn(1, 2, 3).to(dtype)]
    if size:
        state = torch.randn(1, size).to(dtype)
        given.append((state, state) if case == "memory" else state)
    network = import_network(written(tmp_path / "net.onnx", module, *given))
    assert network.source["precision"] == name
    x = np.random.default_rng(0).normal(size=(1, 6, 3))
    expected = import_network(module.float()).evaluate(x).outputs
    actual = network.evaluate(x).outputs
    # Constants that exporters fold (softplus in an LTC) are rounded in the file.
    limit = (5e-3 if name == "float16" else 4e-2) * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=limit)


def test_half_precision_inside(tmp_path: Path) -> None:
    """Inputs and outputs in float32, all else in float16, as onnxconverter-common leaves it."""

    class Inside(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.LSTM(3, 5, batch_first=True).half()

        def forward(self, x: Any) -> Any:
            return self.rnn(x.half())[0].float()

    network = import_network(written(tmp_path / "net.onnx", Inside(), torch.randn(1, 4, 3)))
    assert network.source["precision"] == "float16"


def test_half_precision_by_the_new_exporter(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the new exporter needs it: pip install onnxscript")
    module = nets.module("auto").half()
    given = torch.randn(1, 1, 3).half(), torch.randn(1, module.state_size).half()
    path = written(tmp_path / "net.onnx", module, *given, dynamo=True)
    assert import_network(path).source["precision"] == "float16"


def test_numbers_that_half_precision_does_not_excuse(tmp_path: Path) -> None:
    """Widened, the file is compared as closely as any: another weight in one of two steps."""
    module = nets.module("dense").half()
    given = torch.randn(1, 2, 3).half(), torch.randn(1, module.state_size).half()
    path = written(tmp_path / "net.onnx", module, *given)
    model = onnx.load(path)
    gemm = [node for node in model.graph.node if node.op_type == "Gemm"][0]
    weight = next(t for t in model.graph.initializer if t.name == gemm.input[1])
    changed = onnx.numpy_helper.to_array(weight) * np.float16(1.01)
    model.graph.initializer.append(onnx.numpy_helper.from_array(changed, "other"))
    gemm.input[1] = "other"
    onnx.save(model, path)
    with pytest.raises(ImportNetworkError, match="a layer has other weights"):
        import_network(path)


def changed(path: Path, change: Callable[[Any], None]) -> str:
    """What is said of a file after a change; found by a hunt as of tests/fuzzing."""
    model = onnx.load(path)
    change(model.graph)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ImportNetworkError) as caught:
        import_network(path)
    return str(caught.value)


def test_a_half_that_holds_other_numbers_than_it_claims(tmp_path: Path) -> None:
    module = torch.nn.LSTM(3, 4, batch_first=True).half()
    path = written(tmp_path / "net.onnx", module, torch.randn(1, 3, 3).half())

    def shortened(graph: Any) -> None:
        tensor = next(t for t in graph.initializer if len(t.dims) == 3)
        tensor.dims[1] += 1

    assert "cannot be read" in changed(path, shortened)


def test_constants_that_are_none(tmp_path: Path) -> None:
    """Looked at for the number of steps: a constant without a result, or of numbers in a list."""
    path = written(tmp_path / "net.onnx", Wrapped(lambda m, x: m.answers(x)), TWO)

    def worse(graph: Any) -> None:
        listed = onnx.helper.make_node("Constant", [], ["listed"], value_ints=[1, 2])
        listed.attribute[0].name = "value"
        graph.node.insert(0, listed)
        graph.node.insert(0, onnx.helper.make_node("Constant", [], [], value_int=1))
        graph.node.append(onnx.helper.make_node("Gather", [graph.input[0].name], ["none"]))

    assert "net.onnx" in changed(path, worse)
