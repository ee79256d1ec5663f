"""`convert`: what forward does becomes parts on the chip and on the host, which answer the same.

`convert` itself refuses parts that answer otherwise than the module, in double precision; what has
to run where is said here, and what is refused, and why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ncps")
from convert_modules import CASES, B, T, made, r  # noqa: E402
from ncps.torch import LTC, CfC, CfCCell  # noqa: E402
from ncps.wirings import AutoNCP  # noqa: E402
from torch import nn  # noqa: E402
from zoo_examples import WHY_NOT, call, example, names, trained, zoo  # noqa: E402

import lnn2loihi as l2l  # noqa: E402
from lnn2loihi import ImportNetworkError  # noqa: E402
from lnn2loihi.converted.parts import ChipPart, ConvertedModule  # noqa: E402

#: For each module its parts in order: classes of layers without "Layer" ("+ readout"), or operators
#: of the host.
PARTS: dict[str, list[str]] = {
    "Residual": ["GRU + readout"],
    "SliceMulti": ["GRU LSTM + readout"],
    "LoopGru": ["GRU + readout"],
    "LoopSet": ["LSTM Dense"],
    "LoopLast": ["CfC + readout"],
    "TwoCells": ["GRU GRU"],
    "DeltaT": ["CfC CfC CfC + readout"],
    "Times": ["host getitem sub ones_like cat", "CfC CfC CfC"],
    "Learned": ["CfC GRU"],
    "GivenState": ["GRU"],
    "LstmState": ["LSTM LSTM + readout"],
    "Seq2Seq": ["LSTM", "host expand", "LSTM + readout"],
    "TimeFirst": ["GRU + readout"],
    "Swapped": ["GRU + readout"],
    "Norms": ["GRU + readout"],
    "Glu": ["GRU Dense Product Product Dense + readout"],
    "SharedTwice": ["GRU GRU + readout"],
    "Unused": ["GRU + readout"],
    "Named": ["GRU Dense + readout"],
    "Attention": ["GRU + readout", "host softmax mul sum Linear"],
    "Static": ["GRU", "host cat Linear"],
    "StaticAll": ["host unsqueeze expand", "GRU + readout"],
    "Flat": ["Dense GRU", "host Linear"],
    "PerSensor": ["host permute reshape", "GRU + readout", "host view"],
    "BiGru": ["host flip", "GRU GRU + readout", "host flip", "CfC + readout"],
    "ConvTime": ["host transpose Conv1d relu", "GRU + readout"],
    "LoopConv": ["host getitem Conv2d mean", "GRU + readout"],
    "Inplace": ["GRU Dense"],
    "Weird": ["GRU Dense + readout", "host tensor getitem gt where max"],
    "LtcPar": ["CfC", "LTC + readout", "host cat Linear"],
    "LtcH": ["LTC + readout"],
    "Unbatched": ["GRU + readout"],
    "Weights3": ["GRU + readout"],
    "EncDec2": ["GRU", "GRU + readout"],
    "WNorm": ["Dense GRU + readout"],
    "Masked": ["host unsqueeze mul", "GRU Product"],
    "Mid": ["GRU", "host getitem Linear"],
    "Mixed": ["WiredMemory"],
    "SkipHeads": ["GRU Dense Dense LSTM LSTM + readout", "host argmax permute reshape"],
    "Hook": ["GRU + readout"],
    "InnerHook": ["host CfC", "GRU"],
    "NoGradNorm": ["GRU + readout"],
    "Hist": ["GRU Dense Dense GRU Dense Dense GRU Dense + readout", "host cumsum getitem"],
}


def parts_of(converted: ConvertedModule) -> list[str]:
    """The parts in the words of PARTS."""
    found: list[str] = []
    for part in converted.parts:
        if isinstance(part, ChipPart):
            assert part.network is not None
            layers = " ".join(type(la).__name__.removesuffix("Layer") for la in part.network.layers)
            found.append(layers + (" + readout" if part.network.readout else ""))
        else:
            found.append(" ".join(("host", *dict.fromkeys(part.operators))))
    return found


def tensors(answer: Any) -> list[Any]:
    found: list[Any] = []
    if isinstance(answer, torch.Tensor):
        return [answer]
    if isinstance(answer, dict):
        answer = list(answer.values())
    elif hasattr(answer, "__dataclass_fields__"):
        answer = list(vars(answer).values())
    for one in answer:
        found += tensors(one)
    return found


def assert_same(module: Any, converted: ConvertedModule, *args: Any, **keywords: Any) -> None:
    own, right = converted.evaluate(*args, **keywords), module(*args, **keywords)
    assert type(own) is type(right)
    for a, b in zip(tensors(own), tensors(right), strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b.detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", PARTS)
def test_each_kind_of_module_becomes_these_parts(name: str) -> None:
    _, args, keywords = CASES[name]
    module = made(name)
    converted = l2l.convert(module, *args, **keywords)
    assert parts_of(converted) == PARTS[name]
    assert_same(module, converted, *args, **keywords)
    assert all(part.reasons for part in converted.host_parts)


@pytest.mark.parametrize("name", ["LoopSet", "SliceMulti", "LstmState", "Seq2Seq", "Norms"])
def test_integers_answer_within_two_percent_by_every_executor(name: str) -> None:
    _, args, keywords = CASES[name]
    module = made(name)
    converted = l2l.convert(module, *args, **keywords).quantize()
    first = converted.predict(*args, executor="reference", **keywords)
    again = converted.predict(*args, executor="blas", **keywords)
    right = tensors(module(*args, **keywords))
    for a, b, c in zip(tensors(first), tensors(again), right, strict=True):
        assert torch.equal(a, b)
        spread = float((c.max() - c.min()).detach())
        assert float((a - c.detach()).abs().max()) < 0.02 * spread


def test_a_normalisation_keeps_its_digits() -> None:
    converted = l2l.convert(made("Norms"), r(B, T, 4))
    (part,) = converted.chip_parts
    assert part.network is not None
    assert part.network.input_offset.tolist() == [1.0, 20.0, 101325.0, 0.0]
    assert part.network.input_scale.tolist() == [2.0, 5.0, 50.0, 1.0]


def test_a_state_of_an_earlier_call_is_taken_and_named() -> None:
    torch.manual_seed(0)
    module: Any = CASES["Kept"][0]()
    x = r(B, T, 4)
    fresh = l2l.convert(module, x)
    assert not fresh.chip_parts[0].initial
    assert any("h for its next call" in note for note in fresh.notes)
    module(x)
    again = l2l.convert(module, x)
    (port,) = again.chip_parts[0].initial
    assert np.allclose(again.constants[port.value], module.h.detach())


def test_a_learned_state_is_a_constant() -> None:
    module: Any = made("Learned")
    converted = l2l.convert(module, r(B, T, 4))
    found = [converted.constants[port.value] for port in converted.chip_parts[0].initial]
    assert [one.shape for one in found] == [(6,), (1, 5)]
    assert np.allclose(found[0], module.h0.detach()[0])


def test_states_are_given_and_answered() -> None:
    _, args, _ = CASES["GivenState"]
    converted = l2l.convert(made("GivenState"), *args)
    (part,) = converted.chip_parts
    assert [(p.value, p.shape, p.batch_axis) for p in part.initial] == [("h", (1, 5), 1)]
    assert [(p.shape, p.batch_axis) for p in part.final] == [((1, 5), 1)]


@pytest.mark.parametrize(
    ("module", "args", "parts"),
    [
        (lambda: CfC(3, AutoNCP(12, 2)), (r(B, T, 3),), ["CfC CfC CfC"]),
        (lambda: LTC(3, AutoNCP(12, 2)), (r(B, T, 3),), ["LTC + readout"]),
        (lambda: nn.LSTM(3, 4, 2), (r(T, B, 3),), ["LSTM LSTM"]),
        (lambda: nn.GRUCell(3, 4), (r(B, 3),), ["GRU"]),
        (lambda: CfCCell(3, 8, backbone_units=16), (r(B, 3), 0.3 * r(B, 8), 1.0), ["CfC"]),
    ],
)
def test_recurrent_modules_and_cells_alone(module: Any, args: Any, parts: list[str]) -> None:
    torch.manual_seed(0)
    own = module().eval()
    converted = l2l.convert(own, *args)
    assert parts_of(converted) == parts
    assert_same(own, converted, *args)


class Wrapped(nn.Module):
    """Calls a function of its parts."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.gru, self.linear = nn.GRU(4, 4, batch_first=True), nn.Linear(4, 4)
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda m, x: m.linear(x), "forward calls none of its recurrent parts"),
        (lambda m, x: (m.gru(x), x)[1] * 2, "the answer does not depend on it"),
        (lambda m, x: m.gru(x)[0] if x.sum() > 0 else x, "depend"),
    ],
)
def test_what_has_nothing_for_the_chip_is_refused_by_its_reason(function: Any, said: str) -> None:
    with pytest.raises(ImportNetworkError, match=said):
        l2l.convert(Wrapped(function).eval(), r(B, T, 4))


def test_only_modules_are_converted() -> None:
    with pytest.raises(ImportNetworkError, match=r"no torch\.nn\.Module"):
        l2l.convert(3)


def test_what_stands_between_chip_parts_is_noted() -> None:
    converted = l2l.convert(made("Seq2Seq"), r(B, T, 4))
    assert any("between_1 (expand) stands between" in note for note in converted.notes)


@pytest.mark.skipif(zoo() is None, reason=WHY_NOT)
@pytest.mark.parametrize("name", names())
def test_the_zoo_converts_without_cutting(name: str) -> None:
    module = trained(name)
    args, keywords = example(name)
    converted = l2l.convert(call(name, module), *args, **keywords)
    assert_same(call(name, module), converted, *args, **keywords)


#: What forward makes of the type of its numbers, which is float32 though a copy in float64 is
#: followed.
OF_TYPES: dict[str, Any] = {
    "limit": lambda x: torch.log(x.abs().clamp(min=torch.finfo(x.dtype).eps)),
    "least": lambda x: torch.log(x.abs() + torch.finfo(x.dtype).tiny),
    "branch": lambda x: x * 3.0 if x.dtype == torch.float32 else x,
    "bytes": lambda x: x * x.element_size(),
    "made": lambda x: x + torch.full((4,), 0.5, dtype=x.dtype),
    "filled": lambda x: x.masked_fill(x < 0, torch.finfo(x.dtype).min).clamp(min=-2.0),
}


@pytest.mark.parametrize("name", OF_TYPES)
def test_forward_is_told_the_type_of_its_own_numbers(name: str) -> None:
    class Front(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(4, 6, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.rnn(OF_TYPES[name](x))[0]

    torch.manual_seed(3)
    module = Front().eval()
    x = torch.randn(2, 7, 4)
    x[:, 2] = 0.0  # silence
    converted = l2l.convert(module, x)
    expected = module(x).detach()
    assert torch.allclose(converted.evaluate(x), expected, atol=1e-5)


def test_an_index_without_axes_takes_its_axis_away() -> None:
    class Chosen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(4, 6, batch_first=True)

        def forward(self, x: Any, k: Any) -> Any:
            return self.rnn(x)[0][:, k]

    module, x, k = Chosen().eval(), torch.randn(2, 7, 4), torch.tensor(3)
    answer = l2l.convert(module, x, k).evaluate(x, k)
    assert answer.shape == module(x, k).shape
    assert torch.allclose(answer, module(x, k), atol=1e-5)
