"""Whole modules are what their forward does: what is followed, and what is refused by its line."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lnn2loihi.conversion import import_network
from lnn2loihi.errors import ImportNetworkError
from lnn2loihi.layers.readout import ReadoutStage
from lnn2loihi.network import LiquidNetwork

pytest.importorskip("ncps", reason="needs ncps: pip install ncps")
torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")

from ncps.torch import LTC, CfC, CfCCell, LTCCell, WiredCfCCell  # noqa: E402
from ncps.wirings import AutoNCP  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

Forward = Callable[[Any, Any], Any]


class Does(nn.Module):
    """Parts of all kinds, in no order, of which `do` uses some."""

    def __init__(self, do: Forward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.do = do
        self.softmax, self.relu, self.time_softmax = nn.Softmax(-1), nn.ReLU(), nn.Softmax(1)
        self.head: Any = nn.Linear(4, 2)
        self.one, self.after = nn.Linear(4, 1), nn.Linear(2, 2)
        self.rnn = CfC(3, 4, batch_first=True, backbone_units=5)
        self.second = CfC(4, 4, batch_first=True, backbone_units=5)
        self.gru, self.lstm = nn.GRU(3, 4, num_layers=2), nn.LSTM(3, 4, batch_first=True)
        self.gru_cell, self.lstm_cell = nn.GRUCell(3, 4), nn.LSTMCell(3, 4)
        self.cell, self.wired = CfCCell(3, 4, backbone_units=5), WiredCfCCell(3, AutoNCP(8, 2))
        self.ltc_cell, self.layer_norm = LTCCell(AutoNCP(8, 2), 3), nn.LayerNorm(4)
        self.gain = nn.Parameter(torch.tensor(2.0))
        self.start = nn.Parameter(torch.randn(1, 4))
        self.register_buffer("mean", torch.tensor([1.0, -20.0, 1000.0]))
        self.register_buffer("std", torch.tensor([2.0, 5.0, 50.0]))
        self.hidden: Any = None

    def forward(self, x: Any) -> Any:
        return self.do(self, x)


def answered(module: Any, x: np.ndarray) -> np.ndarray:
    """The first answer of a copy in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            answer = copy.deepcopy(module).double().eval()(torch.from_numpy(x))
    finally:
        torch.set_default_dtype(before)
    return (answer[0] if isinstance(answer, tuple) else answer).numpy()


def on_host(network: LiquidNetwork, outputs: np.ndarray) -> np.ndarray:
    for name in network.host:
        function = torch.sigmoid if name == "sigmoid" else getattr(F, name)
        options = {} if name == "sigmoid" else {"dim": -1}
        outputs = function(torch.from_numpy(outputs), **options).numpy()
    return outputs


def assert_answers(module: Any, network: LiquidNetwork) -> None:
    """On near and on wide samples, and around those that a normalisation takes to 0."""
    rng = np.random.default_rng(3)
    for reach in (1.0, 30.0):
        x = network.input_offset + network.input_scale * rng.normal(0.0, reach, (4, 12, 3))
        expected = answered(module, x)
        outputs = on_host(network, network.evaluate(x).outputs)
        outputs = outputs[:, -1] if expected.shape[:2] != outputs.shape[:2] else outputs
        expected = expected.reshape(outputs.shape)
        limit = 1e-9 * np.abs(expected).max()
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=limit)


def refused(module: Any, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        import_network(module, **options)
    return str(caught.value)


# ---------------------------------------------------------------- what is followed


def gru_loop(m: Any, x: Any) -> Any:
    state, found = None, []
    for t in range(x.shape[1]):
        state = m.gru_cell(torch.tanh(x[:, t]), state)
        found.append(m.head(state))
    return torch.stack(found, 1)


def lstm_loop(m: Any, x: Any) -> Any:
    state = (torch.zeros(len(x), 4), torch.zeros(len(x), 4))
    found = []
    for sample in x.unbind(1):
        state = m.lstm_cell(sample, state)
        found.append(state[0].unsqueeze(1))
    return m.head(torch.cat(found, dim=1))


def cell_loop(name: str, units: int, last: bool = False) -> Forward:
    def loop(m: Any, x: Any) -> Any:
        state, found = torch.zeros(len(x), units), []
        for t in range(x.size(1)):
            output, state = getattr(m, name)(x[:, t, :], state, 1.0)
            found.append(output)
        return m.head(state) if last else torch.stack(found, dim=1)

    return loop


def layer_loop(m: Any, x: Any) -> Any:
    state, found = None, []
    for t in range(x.size(1)):
        output, state = m.rnn(x[:, t : t + 1], state)
        found.append(output)
    return m.head(torch.cat(found, 1))


def per_step(m: Any, x: Any) -> Any:
    batch, time, _ = x.shape
    y = F.relu(m.head(m.rnn(x)[0].reshape(batch * time, -1)))
    return m.after(y).view(batch, time, -1)


def unused(m: Any, x: Any) -> Any:
    y, _ = m.rnn(x)
    torch.softmax(m.one(y), 1).mean()
    return m.head(y)


def in_place(m: Any, x: Any) -> Any:
    y = m.head(m.rnn(x)[0])
    y.relu_()
    y *= m.gain
    y += 1
    return y


def shared(m: Any, x: Any) -> Any:
    y = m.rnn(x)[0]
    z = y[..., :4]
    y.relu_()
    return m.head(z)


FOLLOWED: dict[str, Forward] = {
    "functions": lambda m, x: m.after(F.relu(m.head(m.rnn(torch.tanh(x))[0]))),
    "methods": lambda m, x: m.head(m.rnn(x.sigmoid())[0]).tanh(),
    "silu and gelu": lambda m, x: m.head(F.gelu(m.second(F.silu(m.rnn(x)[0]))[0])),
    "torch.ops": lambda m, x: m.head(torch.ops.aten.relu(m.rnn(x)[0])),
    "clamp at 0": lambda m, x: torch.clamp(m.head(m.rnn(x)[0]), min=0),
    "clamps": lambda m, x: m.head(m.rnn(x.clip(-2, 3))[0].clamp_max(0.5)).clamp(min=-0.2),
    "ends that are tensors": lambda m, x: m.head(torch.clamp(m.rnn(x)[0], max=m.gain / 4)),
    "leaks": lambda m, x: F.leaky_relu(m.head(F.prelu(m.rnn(x)[0], m.gain / 7)), 0.2),
    "leaks in evaluation": lambda m, x: F.rrelu(m.head(m.rnn(x)[0]), 0.1, 0.3, m.training),
    "exponentials": lambda m, x: F.selu(m.head(F.celu(m.second(F.elu(m.rnn(x)[0], 0.5))[0], 2.0))),
    "soft": lambda m, x: F.softplus(m.head(F.logsigmoid(m.rnn(x)[0])), beta=2, threshold=30),
    "hard": lambda m, x: F.hardswish(m.head(F.hardsigmoid(m.rnn(F.hardtanh(x, -3.0, 2.0))[0]))),
    "hard at 6": lambda m, x: F.relu6(m.head(m.rnn(x)[0])),
    "approximate gelu": lambda m, x: F.gelu(m.head(m.rnn(x)[0]), approximate="tanh"),
    "magnitude and square": lambda m, x: m.head(m.rnn(x.abs())[0] ** 2).square(),
    "threshold at 0": lambda m, x: F.threshold(m.head(m.rnn(x)[0]), 0, 0),
    "normalisation": lambda m, x: m.head(m.rnn((x - m.mean) / m.std)[0]) * 10 + 5,
    "constants before": lambda m, x: (2 - m.head(m.rnn(-0.5 * x + 1)[0])) / m.gain.exp(),
    "norm": lambda m, x: m.head(m.layer_norm(m.rnn(x)[0])),
    "functional norm": lambda m, x: m.head(
        F.layer_norm(m.rnn(x)[0], [4], bias=m.start[0], eps=1e-3).relu()
    ),
    "norms before and behind": lambda m, x: F.layer_norm(
        m.head(m.second(m.layer_norm(m.rnn(F.layer_norm(x, (3,), m.std))[0]))[0]), (2,), eps=0.1
    ),
    "host function": lambda m, x: F.softmax(m.head(m.rnn(x)[0]), -1),
    "host of the last step": lambda m, x: torch.log_softmax(m.head(m.rnn(x)[0][:, -1]), dim=1),
    "sigmoid": lambda m, x: torch.sigmoid(m.head(torch.sigmoid(m.rnn(x)[0]))),
    "relu that is used": lambda m, x: m.relu(m.one(m.rnn(x)[0])),
    "relu that is not": lambda m, x: m.one(m.rnn(x)[0]),
    "maps": lambda m, x: (
        F.linear(m.rnn(x)[0], m.head.weight * m.gain, m.head.bias) @ m.after.weight
    ),
    "twice": lambda m, x: m.head(m.second(m.second(m.rnn(x)[0])[0])[0]),
    "axes swapped": lambda m, x: m.head(m.gru(x.transpose(0, 1))[0].permute(1, 0, 2)),
    "axes moved": lambda m, x: m.head(m.rnn(x)[0].mT.unsqueeze(1).squeeze(1).mT.contiguous()),
    "one output": lambda m, x: m.one(m.rnn(x)[0]).squeeze(-1),
    "no last axis": lambda m, x: m.one(m.rnn(x)[0])[..., 0].unsqueeze(-1),
    "features": lambda m, x: m.after(m.rnn(x)[0].chunk(2, -1)[1]),
    "last by slice": lambda m, x: m.head(m.rnn(x)[0][:, -1:, :]).squeeze(1),
    "last state": lambda m, x: m.head(m.rnn(x)[1]),
    "h_n of layers": lambda m, x: m.head(m.gru(x.transpose(0, 1))[1][-1]),
    "h_n of one layer": lambda m, x: m.head(m.lstm(x)[1][0].squeeze(0)),
    "states returned": lambda m, x: (m.head(m.lstm(x)[0]), m.lstm(x)[1]),
    "zeros as state": lambda m, x: m.head(m.rnn(x, torch.zeros(len(x), 4))[0]),
    "shapes of others": lambda m, x: m.head(
        m.rnn(x.to(m.mean), x.new_zeros(len(x), 4))[0] + m.mean.new_ones(4).type_as(x)
    ),
    "options": lambda m, x: torch.add(torch.neg(m.head(m.rnn(x)[0])), other=m.gain, alpha=3),
    "dropout": lambda m, x: m.head(F.dropout(m.rnn(x)[0], 0.5, m.training)),
    "part of a layer": lambda m, x: cell_loop("cell", 4)(m, x),
    "GRU cells": gru_loop,
    "LSTM cells": lstm_loop,
    "CfC cells": cell_loop("cell", 4, last=True),
    "wired cells": cell_loop("wired", 8),
    "LTC cells": cell_loop("ltc_cell", 8),
    "a layer step by step": layer_loop,
    "per step": per_step,
    "unused": unused,
    "in place": in_place,
    "shared in place": shared,
}
if hasattr(F, "rms_norm"):  # PyTorch from 2.4 on
    FOLLOWED["root mean square"] = lambda m, x: m.head(
        F.rms_norm(m.rnn(x)[0], (4,), m.start[0], 1e-4)
    )


@pytest.mark.parametrize("do", FOLLOWED.values(), ids=FOLLOWED)
def test_what_forward_does_is_followed(do: Forward) -> None:
    module = Does(do)
    network = import_network(module)
    assert_answers(module, network)


def test_a_function_at_the_end_is_the_hosts() -> None:
    for name, host in (("host function", "softmax"), ("host of the last step", "log_softmax"),
                       ("sigmoid", "sigmoid"), ("relu that is used", None)):  # fmt: skip
        assert import_network(Does(FOLLOWED[name])).host == ((host,) if host else ())


def test_numbers_for_each_feature_are_folded() -> None:
    """A normalisation becomes the input's, a scale at the end goes into the readout."""
    network = import_network(Does(FOLLOWED["normalisation"]))
    np.testing.assert_allclose(network.input_offset, [1.0, -20.0, 1000.0], rtol=1e-12)
    np.testing.assert_allclose(network.input_scale, [2.0, 5.0, 50.0], rtol=1e-12)
    assert [layer.name for layer in network.layers] == ["rnn"]
    assert isinstance(network.stages[-1], ReadoutStage)


def test_a_hook_on_a_part_is_followed() -> None:
    module = Does(FOLLOWED["relu that is not"])
    module.rnn.register_forward_hook(lambda _, given, answer: (torch.tanh(3 * answer[0]), None))
    module.one.register_forward_pre_hook(lambda _, given: (given[0] * 2,))
    network = import_network(module)
    assert [layer.name for layer in network.layers] == ["rnn", "tanh"]
    assert_answers(module, network)


def test_answers_that_are_constant_are_named() -> None:
    network = import_network(Does(lambda m, x: (m.head(m.rnn(x)[0]), m.gain.exp())))
    assert network.source["answers that are constant, and no part of the network"] == "1"


@pytest.mark.parametrize("cell", ["cell", "wired", "ltc_cell", "gru_cell"])
def test_bare_cells_are_layers(cell: str) -> None:
    module = Does(gru_loop)
    network = import_network(getattr(module, cell))
    x = np.random.default_rng(0).normal(0.0, 2.0, (3, 9, 3))
    if cell == "gru_cell":
        module.head = nn.Identity()
    else:
        module.do = cell_loop(cell, network.units)
    given = np.tanh(x) if cell == "gru_cell" else x
    np.testing.assert_allclose(network.evaluate(given).outputs, answered(module, x), 0, 1e-9)


def test_kinds_of_numbers_make_no_difference() -> None:
    """Forward may ask for float32, which a copy in double precision cannot give it."""
    start = torch.zeros(1, 4, dtype=torch.float32)
    narrow = Does(lambda m, x: m.head(m.rnn(x.float(), start.float().expand(len(x), -1))[0]))
    plain = import_network(Does(FOLLOWED["zeros as state"]))
    assert plain.source["sha256"] == import_network(narrow).source["sha256"]


# ---------------------------------------------------------------- what is refused


def reset(m: Any, x: Any) -> Any:
    state = torch.zeros(len(x), 4)
    for t in range(x.size(1)):
        state = torch.zeros(len(x), 4) if t == 3 else state
        _, state = m.cell(x[:, t], state, 1.0)
    return state


def decayed(m: Any, x: Any) -> Any:
    state = torch.zeros(len(x), 4)
    for t in range(x.size(1)):
        _, state = m.cell(x[:, t], 0.9 * state, 1.0)
    return state


def anew(m: Any, x: Any) -> Any:
    return torch.cat([m.rnn(x[:, t : t + 1])[0] for t in range(x.size(1))], 1)


def backwards(m: Any, x: Any) -> Any:
    return torch.stack([step for step in reversed(m.rnn(x)[0].unbind(1))], 1)


def window(m: Any, x: Any) -> Any:
    return m.head(m.rnn(x[:, -100:] if x.shape[1] > 100 else x)[0])


REFUSED: dict[str, tuple[Forward, str]] = {
    "clamp": (lambda m, x: m.head(m.rnn(torch.clamp(x, 2, 1))[0]), "clamp limits values by what"),
    "clamp by a tensor": (lambda m, x: m.head(m.rnn(x.clamp(max=m.mean))[0]), "clamp limits val"),
    "sine": (lambda m, x: m.head(m.rnn(x.sin())[0]), "sin is no layer of a network"),
    "power": (lambda m, x: m.head(m.rnn(x**3)[0]), "pow is no layer of a network"),
    "round": (lambda m, x: m.head(m.rnn(x.to(torch.int64).double())[0]), "to is no layer"),
    "half": (lambda m, x: m.head(m.rnn(x.half().float())[0]), "half computes in torch.float16"),
    "inverse": (lambda m, x: 1 / m.head(m.rnn(x)[0]), "truediv is no layer of a network"),
    "square": (lambda m, x: m.rnn(x)[0] * m.rnn(x)[0], "mul multiplies two streams (rnn)"),
    "skip": (lambda m, x: m.rnn(x)[0] + m.second(m.rnn(x)[0])[0], "add joins two streams"),
    "joined": (lambda m, x: torch.cat([m.head(m.rnn(x)[0]), m.one(m.rnn(x)[0])], -1),
               "cat joins several heads or branches (head and one)"),
    "heads": (lambda m, x: (m.head(m.rnn(x)[0]), m.one(m.rnn(x)[0])),
              "several heads: forward answers with head and one"),
    "dict": (lambda m, x: {"y": m.rnn(x)[0]}, "answers with a dict"),
    "mean": (lambda m, x: m.head(m.rnn(x)[0].mean(1)), "mean combines the samples of a sequence"),
    "mean of features": (lambda m, x: m.rnn(x)[0].mean(-1), "mean combines features"),
    "norm over time": (lambda m, x: m.head(F.layer_norm(m.rnn(x)[0], (x.shape[1], 4))),
                       "which are not the features of one sample"),
    "norm of groups": (lambda m, x: m.head(F.group_norm(m.rnn(x)[0].mT, 2).mT),
                       "group_norm has statistics that depend on each sample"),
    "flip": (lambda m, x: m.rnn(x.flip(1))[0], "flip reads samples that are still to come"),
    "backwards": (backwards, "stack joins several"),
    "softmax over time": (lambda m, x: m.time_softmax(m.head(m.rnn(x)[0])),
                          "is taken over the axis of time (dim=1); give dim=-1"),
    "softmax within": (lambda m, x: m.after(m.softmax(m.head(m.rnn(x)[0]))), "may only come last"),
    "scaled sigmoid": (lambda m, x: torch.sigmoid(m.head(m.rnn(x)[0])) * 180,
                       "stays on the host at the end of a network, and forward goes on after it"),
    "values": (lambda m, x: m.rnn(x)[0] if x.sum() > 0 else x, "bool looks at values"),
    "item": (lambda m, x: m.rnn(x)[0] * x.max().item(), "item looks at values"),
    "numpy": (lambda m, x: m.rnn(torch.from_numpy(x.numpy()))[0], "numpy looks at values"),
    "input in place": (lambda m, x: m.rnn(x.add_(1))[0], "add changes the input x in place"),
    "always dropout": (lambda m, x: m.head(F.dropout(m.rnn(x)[0])), "dropout drops at random"),
    "noise": (lambda m, x: m.rnn(x + torch.randn(3))[0], "or at random (at add"),
    "over time": (lambda m, x: m.rnn(x)[0] * torch.arange(x.shape[1])[None, :, None],
                  "mul takes an array of shape (1, 11, 1)"),
    "third step": (lambda m, x: m.rnn(x)[0][:, 2], "it answers with step 2 of 11"),
    "some steps": (lambda m, x: m.rnn(x[:, 1:])[0], "getitem takes some steps of a sequence"),
    "window": (window, "which is otherwise than for shorter sequences"),
    "list": (lambda m, x: m.rnn(x[..., [2, 1, 0]])[0], "getitem picks by a tensor or a list"),
    "folded": (lambda m, x: m.head(m.rnn(x)[0]).reshape(len(x), -1), "the axes of its answer are"),
    "mixed": (lambda m, x: m.head(m.rnn(x)[0]).view(-1, len(x), 2), "which cuts or mixes steps"),
    "axes": (lambda m, x: m.gru(x)[0].relu() if x.shape[0] else x, "and takes (time, batch, feat"),
    "learned state": (lambda m, x: m.rnn(x, m.start.expand(len(x), -1))[0],
                      "the initial state of rnn is a parameter, start"),
    "constant state": (lambda m, x: m.rnn(x, torch.ones(len(x), 4))[0],
                       "the initial state of rnn is a constant that is not zero"),
    "handed on": (lambda m, x: m.second(*m.rnn(x))[0], "the initial state of second is the state"),
    "computed state": (lambda m, x: m.rnn(x, m.second(m.rnn(x)[0])[0][:, 0])[0],
                       "the initial state of rnn is made of the samples"),
    "cell state": (lambda m, x: m.head(m.lstm(x)[1][1][-1]), "takes the state of lstm"),
    "reset": (reset, "is set to a constant within a sequence"),
    "decayed": (decayed, "the initial state of cell is made of the samples"),
    "anew": (anew, "rnn begins anew in each step"),
    "last step read": (lambda m, x: m.second(m.rnn(x)[0][:, -1:])[0], "second begins anew"),
    "nothing": (lambda m, x: m.mean.expand(2, 3), "does not depend on x"),
    "size of the batch": (lambda m, x: m.head(m.rnn(x if len(x) < 5 else 2 * x)[0]),
                          "forward depends on the size of the batch"),
    "without a layer": (lambda m, x: m.after(x[..., :2]), "does not depend on a recurrent layer"),
}  # fmt: skip


@pytest.mark.parametrize(("do", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_followed_is_refused_by_its_reason(do: Forward, reason: str) -> None:
    text = refused(Does(do))
    assert reason in text
    assert "registered" not in text


def test_a_refusal_says_the_line() -> None:
    def forward(m: Any, x: Any) -> Any:
        y, _ = m.rnn(x)
        y = y.clamp(max=m.start[0, :4])
        return m.head(y)

    assert "of test_modules_forward.py, `y = y.clamp(max=m.start[0, :4])`: clamp limits" in refused(
        Does(forward)
    )


def test_hooks_within_a_layer_are_refused() -> None:
    """Alone and in a module: what they change is in no array."""
    for hook in ("register_forward_hook", "register_forward_pre_hook"):
        module = Does(FOLLOWED["relu that is not"])
        handle = getattr(module.rnn.rnn_cell.sigmoid, hook)(lambda *given: None)
        assert "rnn_cell.sigmoid has a forward " in refused(module.rnn)
        assert "rnn: rnn.rnn_cell.sigmoid has a forward " in refused(module)
        handle.remove()
        assert import_network(module).units == import_network(module.rnn).units
    module.rnn.rnn_cell.forward = module.rnn.rnn_cell.forward  # type: ignore[method-assign]
    assert "forward of rnn_cell was replaced on the object itself" in refused(module.rnn)


def test_cells_with_another_forward_are_refused() -> None:
    class Other(CfCCell):
        def forward(self, input: Any, hx: Any, ts: Any) -> Any:
            return hx, hx

    module = CfC(3, 4, backbone_units=5)
    module.rnn_cell = Other(3, 4, backbone_units=5)
    assert "rnn_cell overrides forward; give a plain ncps.torch.CfCCell" in refused(module)
    assert "rnn_cell overrides forward" in refused(module.rnn_cell)


# ---------------------------------------------------------------- state kept in the module


def keeping(m: Any, x: Any) -> Any:
    y, m.hidden = m.rnn(x, m.hidden)
    return m.head(y)


def test_a_fresh_module_that_keeps_its_state_is_taken() -> None:
    module = Does(keeping)
    network = import_network(module)
    assert network.source["state kept in the module"] == "hidden: zeros before each sequence"
    assert module.hidden is None
    assert_answers(module, network)


@pytest.mark.parametrize("batch", [0, 2, 32])
def test_a_state_that_was_left_in_a_module_is_named(batch: int) -> None:
    """After a training step (whose graph cannot be copied), and after batches of any size."""
    module = Does(keeping)
    if batch:
        with torch.no_grad():
            module(torch.randn(batch, 5, 3))
    else:
        module(torch.randn(4, 5, 3)).sum().backward()
    assert "hidden" in refused(module) and "= None" in refused(module)
    module.hidden = None
    assert import_network(module).output_size == 2


def test_what_is_left_but_not_read_is_no_state() -> None:
    def leaving(m: Any, x: Any) -> Any:
        m.hidden = m.rnn(x)[0]
        return m.head(m.hidden)

    assert "state kept in the module" not in import_network(Does(leaving)).source


def test_buffers_that_change_are_a_state() -> None:
    def counting(m: Any, x: Any) -> Any:
        m.mean.add_(1)
        return m.head(m.rnn(x)[0])

    def replacing(m: Any, x: Any) -> Any:
        m.mean = m.mean + 1
        return m.head(m.rnn(x)[0])

    assert "add changes the buffer mean in place" in refused(Does(counting))
    assert "forward changes mean, a state kept in the module" in refused(Does(replacing))


def test_two_layers_that_unfold_are_refused_by_their_reason() -> None:
    module = Does(lambda m, x: m.b(m.a(x)[0])[0])
    module.a, module.b = LTC(3, 4, batch_first=True), LTC(4, 2, batch_first=True)
    assert "unfold" in refused(module)


def test_timespans_reach_every_layer() -> None:
    class Timed(Does):
        def forward(self, x: Any, timespans: Any = None) -> Any:
            y, _ = self.rnn(x, timespans=timespans)
            return self.second(y, timespans=timespans if both else None)[0]

    both = True
    assert import_network(Timed(keeping), timespan="irregular").irregular
    both = False
    text = refused(Timed(keeping), timespan="irregular")
    assert "forward gives its timespans to rnn, but not to second" in text
