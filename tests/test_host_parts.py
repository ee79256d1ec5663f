"""What stays on the host: PyTorch computes it as the module does, onnxruntime as PyTorch does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import zoo_examples

torch = pytest.importorskip("torch")
ncps = pytest.importorskip("ncps.torch")
pytest.importorskip("onnxruntime")
from torch import Tensor, nn  # noqa: E402

import lnn2loihi.converted.onnx_host as onnx_host  # noqa: E402
from lnn2loihi.converted.onnx_host import OnnxFunction  # noqa: E402
from lnn2loihi.converters.trace.axes import BATCH, TIME  # noqa: E402
from lnn2loihi.converters.trace.example import record_call  # noqa: E402
from lnn2loihi.converters.trace.graph import refs  # noqa: E402
from lnn2loihi.converters.trace.host import (  # noqa: E402
    TorchFunction,
    between,
    host_module,
    is_recurrent_node,
    multiply_adds,
    needed,
)
from lnn2loihi.converters.trace.recording import Recording  # noqa: E402
from lnn2loihi.errors import (  # noqa: E402
    ArtifactError,
    BackendMissingError,
    ImportNetworkError,
    InputError,
)

B, T, N = 3, 5, 4


class Net(nn.Module):
    """Maps around a layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.map = nn.Sequential(nn.Linear(N, N), nn.Dropout(0.5))
        self.rnn = ncps.CfC(N, 8, batch_first=True, backbone_units=8)
        self.norm = nn.LayerNorm(8)
        self.gain = nn.Parameter(torch.tensor([1.5]))
        self.register_buffer("offset", torch.tensor([0.5]))

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        y = self.rnn(self.map(x.reshape(b * t, -1)).view(b, t, -1) + self.offset)[0]
        return self.norm(y) * self.gain + torch.zeros(b, t, 1)


def ends(recording: Recording) -> tuple[list[int], list[int], list[int]]:
    """Values that recurrent parts take, those that they make, and those that are answered."""
    places = [p for p in range(len(recording.nodes)) if is_recurrent_node(recording, p)]
    made = [ref.number for p in places for ref in refs(recording.nodes[p].answer)]
    values = recording.graph.values
    taken = [
        ref.number
        for p in places
        for ref in refs((recording.nodes[p].arguments, recording.nodes[p].keywords))
        if values[ref.number].depends and values[ref.number].origin != "input"
    ]
    answers = [ref.number for ref in refs(recording.graph.answer)]
    new = [n for n in dict.fromkeys(answers) if n not in made and values[n].depends]
    return [n for n in dict.fromkeys(taken) if n not in made], made, new


def host_parts(recording: Recording) -> list[TorchFunction]:
    """What stands before the recurrent parts, and behind them."""
    before, made, behind = ends(recording)
    inputs = list(range(len(recording.inputs)))
    found: list[TorchFunction] = []
    for wanted, available in ((before, inputs), (behind, sorted({*inputs, *made}))):
        try:
            given = needed(recording, wanted, available) if wanted else ()
        except ValueError:  # a recurrent part between two others
            continue
        # Recurrent parts are for the chip.
        places = between(recording, given, wanted)
        if wanted and not any(is_recurrent_node(recording, p) for p in places):
            names = [f"v{n}" for n in given], [f"v{n}" for n in wanted]
            found.append(TorchFunction(host_module(recording, given, wanted), *names))
    return found


def arrays(function: TorchFunction, sizes: dict[str, int]) -> list[np.ndarray]:
    """Inputs of other sizes."""
    found: list[np.ndarray] = []
    for example, shape in zip(function.module.examples, function.module.shapes, strict=True):
        for axis, size in enumerate(shape):
            places = torch.arange(int(size.at(sizes))) % example.shape[axis]
            example = example.index_select(axis, places)
        found.append(example.numpy())
    return [a.astype("float32") if a.dtype.kind == "f" else a for a in found]


def agree(some: Sequence[np.ndarray], others: Sequence[np.ndarray], tolerance: float) -> None:
    for one, other in zip(some, others, strict=True):
        assert one.shape == other.shape
        assert np.abs(one - other).max(initial=0) <= tolerance * max(1, np.abs(one).max(initial=0))


@pytest.mark.skipif(zoo_examples.zoo() is None, reason=zoo_examples.WHY_NOT)
@pytest.mark.parametrize("name", zoo_examples.names())
def test_host_parts_of_the_zoo_are_the_modules_own(name: str, capfd: Any) -> None:
    module = zoo_examples.trained(name)
    recording = record_call(zoo_examples.call(name, module), *zoo_examples.example(name))
    for function in host_parts(recording):
        examples = [one.numpy() for one in function.module.examples]
        wanted = [int(name[1:]) for name in function.outputs]
        own = [recording.graph.values[number].tensor.numpy() for number in wanted]
        agree(own, function(examples), 1e-4)
        loaded = OnnxFunction(function.onnx(), function.inputs, function.outputs)
        steps = recording.sizes.get(TIME, 1)
        for sizes in ({BATCH: 4, TIME: 2 * steps}, {BATCH: 2, TIME: max(2, steps // 2)}):
            other = arrays(function, sizes)
            agree(function(other), loaded(other), 1e-4)
    assert capfd.readouterr() == ("", "")


def test_parameters_are_copies_of_the_live_ones_and_train() -> None:
    module = Net().train()
    recording = record_call(module, (torch.randn(B, T, N),))
    before, behind = host_parts(recording)
    live = dict(module.named_parameters())
    names = [[key for key, _ in f.module.named_parameters()] for f in (before, behind)]
    assert names == [["map.0.weight", "map.0.bias"], ["gain", "norm.weight", "norm.bias"]]
    for function in (before, behind):
        for key, one in function.module.named_parameters():
            assert one is not live[key]
            assert torch.equal(one, live[key])
    assert [key for key, _ in before.module.named_buffers()] == ["offset"]
    (answer,) = behind.module(*(one.float() for one in behind.module.examples))
    answer.sum().backward()
    assert dict(behind.module.named_parameters())["gain"].grad is not None
    assert module.gain.grad is None
    # Dropout does nothing where values are computed, and what trains goes on training.
    x = [np.ones((2, 3, N), np.float32)]
    agree(before(x), before(x), 0)
    before.onnx()
    assert all(part.training for part in module.modules())
    own = dict(before.module.named_parameters())
    with torch.no_grad():
        own["map.0.bias"].add_(1)
    assert float(np.abs(before(x)[0] - OnnxFunction(
        before.onnx(), before.inputs, before.outputs)(x)[0]).max()) < 1e-5  # fmt: skip


def test_what_is_needed_is_as_little_as_can_be() -> None:
    recording = record_call(Net(), (torch.randn(B, T, N),))
    before, made, (answer,) = ends(recording)
    assert [recording.nodes[p].path for p in between(recording, [0], before) if
            recording.nodes[p].path] == ["map.0"]  # fmt: skip
    assert needed(recording, before, [0]) == (0,)
    assert needed(recording, [answer], [0, *made]) == (made[0],)
    assert needed(recording, [answer], [0]) == (0,)
    assert needed(recording, made, [0, *made]) == tuple(made)
    with pytest.raises(ValueError, match="x would be needed"):
        between(recording, [], before)
    # The zeros alone have no tensor that says how many there are.
    zeros = next(n.answer.number for n in recording.nodes if n.operator == "zeros")
    assert needed(recording, [zeros], [0, *made]) == (0,)
    with pytest.raises(ValueError, match="the size batch"):
        host_module(recording, [], [zeros])


def test_multiply_adds_are_those_of_the_example() -> None:
    recording = record_call(Net(), (torch.randn(B, T, N),))
    before, _, _ = ends(recording)
    assert multiply_adds(recording, between(recording, [0], before)) == B * T * N * N
    layer = [p for p in range(len(recording.nodes)) if is_recurrent_node(recording, p)]
    weights = sum(p.numel() for p in recording.parts["rnn"].parameters() if p.dim() > 1)
    assert multiply_adds(recording, layer) == B * T * weights
    everything = multiply_adds(recording, range(len(recording.nodes)))
    assert everything == B * T * (N * N + weights)
    ltc = record_call(ncps.LTC(N, 6, ode_unfolds=3), (torch.randn(B, T, N),))
    weights = sum(p.numel() for p in ltc.parts[""].parameters() if p.dim() > 1)
    assert multiply_adds(ltc, [0]) == 3 * B * T * weights


def test_what_onnx_cannot_say_is_refused_with_the_reason() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(N, 8, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(x)[0] + torch.special.bessel_j1(x).sum()

    recording = record_call(Odd(), (torch.randn(B, T, N),))
    (function,) = host_parts(recording)
    with pytest.raises(ImportNetworkError, match="tracing exporter raises .*bessel"):
        function.onnx()


def test_models_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = record_call(Net(), (torch.randn(B, T, N),))
    before, _ = host_parts(recording)
    model = before.onnx()
    with pytest.raises(ArtifactError, match="cannot load its model"):
        OnnxFunction(b"no model", ["x"], ["y"])
    with pytest.raises(ArtifactError, match="takes 'v0'"):
        OnnxFunction(model, ["x"], before.outputs)
    with pytest.raises(ArtifactError, match="does not answer 'y'"):
        OnnxFunction(model, before.inputs, ["y"])
    loaded = OnnxFunction(model, before.inputs, before.outputs)
    assert loaded.onnx() == model
    with pytest.raises(InputError, match=r"cannot run it on v0 \(2, 3\)"):
        loaded([np.zeros((2, 3))])
    monkeypatch.setattr(onnx_host, "find_spec", lambda name: None)
    loaded = OnnxFunction(model, before.inputs, before.outputs)
    with pytest.raises(BackendMissingError, match="pip install onnxruntime"):
        loaded([np.zeros((2, 3, 4), np.float32)])
