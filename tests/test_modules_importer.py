"""Whole PyTorch modules around CfCs of ncps, and everything that is refused in them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import strategies_ncps as nets
from hypothesis import given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.converters.modules.importer import ModulesImporter
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.errors import ImportNetworkError, InputError
from lnn2loihi.families.cfc.layer import CfCLayer
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.plugins import Importer

pytest.importorskip("ncps", reason="needs ncps: pip install ncps")
torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")

from ncps.torch import LTC, CfC  # noqa: E402
from torch import nn  # noqa: E402

from lnn2loihi.converters.normalise import Normalise  # noqa: E402

load = ModulesImporter().load


def problems_of(source: Any, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        load(source, **options)
    return str(caught.value)


def cfc(inputs: int = 3, units: Any = 5, **options: Any) -> Any:
    """A CfC with a small backbone, or with a wiring."""
    if isinstance(units, int):
        options = {"backbone_units": 6, **options}
    return CfC(inputs, units, **options)


def batch_norm(channels: int, seed: int = 0, smallest: float = 0.5) -> Any:
    """A BatchNorm1d as training leaves it; factors from `smallest` to 2, maybe negative."""
    torch.manual_seed(seed)
    made: Any = nn.BatchNorm1d(channels)
    with torch.no_grad():
        made.running_mean.normal_()
        made.running_var.uniform_(0.3, 3.0)
        made.weight.uniform_(smallest, 2.0)
        made.bias.normal_()
    return made.eval()


class InOrder(nn.Module):
    """A user's module: parts in the order of registration, some as `self.x = ...` would do it."""

    def __init__(self, parts: dict[str, nn.Module], last_only: bool = False) -> None:
        super().__init__()
        self.last_only = last_only
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Any, timespans: Any = None) -> Any:
        for part in self.children():
            if isinstance(part, CfC):
                x, _ = part(x, timespans=timespans)
            elif isinstance(part, nn.BatchNorm1d):
                x = part(x.transpose(1, 2)).transpose(1, 2)
            else:
                x = part(x)
        return x[:, -1] if self.last_only else x


def by_hand(parts: Any, x: np.ndarray, spans: float | np.ndarray) -> np.ndarray:
    """The parts in double precision, CfCs stepped."""
    for part in parts:
        part = copy.deepcopy(part).double().eval()
        if isinstance(part, CfC):
            x = nets.torch_steps(part, x, spans).outputs
            continue
        values = torch.from_numpy(np.ascontiguousarray(x))
        with torch.no_grad():
            if isinstance(part, nn.BatchNorm1d):
                values = part(values.transpose(1, 2)).transpose(1, 2)
            else:
                values = part(values)
        x = values.numpy()
    return x


def assert_same(
    network: LiquidNetwork, parts: Any, spans: float | np.ndarray = 1.0, seed: int = 0
) -> None:
    x = np.random.default_rng(seed).normal(0.0, 2.0, (3, 8, network.input_size))
    answer = network.evaluate(x, timespans=spans if network.irregular else None).outputs
    expected = by_hand(parts, x, spans)
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-9 * max(1, abs(expected).max()))


def names(network: LiquidNetwork) -> list[str]:
    return [layer.name for layer in network.layers]


# ---------------------------------------------------------------- what is accepted

ACTIVATIONS = (
    nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.GELU, nn.Identity, nn.LeakyReLU, nn.PReLU, nn.RReLU,
    nn.ELU, nn.CELU, nn.SELU, nn.Softplus, nn.LogSigmoid, nn.Hardtanh, nn.ReLU6, nn.Hardsigmoid,
    nn.Hardswish, partial(nn.GELU, approximate="tanh"), partial(nn.LeakyReLU, 3.0),
    partial(nn.LeakyReLU, -2.0), partial(nn.ELU, 0.3), partial(nn.CELU, 2.5),
    partial(nn.Softplus, 3.0), partial(nn.Hardtanh, -0.3, 2.0), partial(nn.Threshold, 0.0, 0.0),
)  # fmt: skip


@st.composite
def stacks(draw: st.DrawFn) -> list[Any]:
    """Parts of a module, drawn at random: at least one CfC, and a Linear at the end or not."""
    seed = draw(st.integers(0, 1000))
    torch.manual_seed(seed)
    width = draw(st.integers(1, 4))
    made: list[Any] = []

    def add(kind: str) -> None:
        nonlocal width
        if kind == "norm":
            made.append(batch_norm(width, seed, draw(st.sampled_from([0.5, -2.0]))))
        elif kind == "normalise":
            made.append(Normalise(torch.randn(width), torch.rand(width) + 0.2))
        elif kind == "dense":
            after = draw(st.integers(1, 6))
            made.append(nn.Linear(width, after, bias=draw(st.booleans())))
            made.append(draw(st.sampled_from(ACTIVATIONS))())
            width = after
        elif kind == "activation":
            made.append(draw(st.sampled_from(ACTIVATIONS))())
        elif kind == "dropout":
            made.append(nn.Dropout(0.3))
        else:
            options = draw(nets.variants()) | {"inputs": width, "seed": seed, "scale": 1.0}
            made.append(nets.module(**options))
            last = made[-1].fc if options["proj_size"] else None
            # A wiring of one layer answers with all its units, whatever output_size says.
            width = last.out_features if last else probe(made[-1], width)

    between = st.lists(st.sampled_from(["norm", "dense", "activation", "dropout"]), max_size=2)
    for kind in draw(st.lists(st.sampled_from(["norm", "normalise", "dense"]), max_size=3)):
        add(kind)
    for _ in range(draw(st.integers(1, 2))):
        add("cfc")
        for kind in draw(between):
            add(kind)
    if draw(st.booleans()):
        made.append(nn.Linear(width, 2))
    return made


def probe(module: Any, width: int) -> int:
    with torch.no_grad():
        return module(torch.zeros(1, 1, width))[0].shape[-1]


@settings(nets.STEADY, max_examples=25)
@given(parts=stacks(), irregular=st.booleans())
def test_random_stacks(parts: list[Any], irregular: bool) -> None:
    module = InOrder({f"part_{place}": part for place, part in enumerate(parts)})
    network = load(module, timespan="irregular" if irregular else 0.6)
    spans = nets.random_timespans(1, 3, 8) if irregular else 0.6
    assert load(nn.ModuleList(parts)).units == network.units
    if network.host:
        parts = parts[: max(i for i, part in enumerate(parts) if isinstance(part, nn.Sigmoid))]
    assert_same(network, parts, spans)


def test_the_usual_module() -> None:
    """Normalisation, encoder, CfC, head and softmax; names, readout and host."""
    parts: dict[str, Any] = {
        "norm": batch_norm(3),
        "encoder": nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.2)),
        "rnn": cfc(4, nets.wiring("auto", 8, 1)),
        "head": nn.Linear(2, 3),
        "softmax": nn.Softmax(dim=-1),
    }
    network = load(InOrder(parts))
    layers = ["rnn_layer_0", "rnn_layer_1", "rnn_layer_2"]
    assert names(network) == ["encoder_0", *layers]
    assert network.readout is not None and network.readout.name == "readout"
    assert network.host == ("softmax",)
    assert network.source["importer"] == "modules" and len(network.source["sha256"]) == 64
    assert network.name == "inorder" and load(InOrder(parts), name="mine").name == "mine"
    assert_same(
        network, [*list(parts.values())[:1], *parts["encoder"], parts["rnn"], parts["head"]]
    )


@pytest.mark.parametrize(
    ("last", "host"),
    [(nn.Softmax(-1), "softmax"), (nn.LogSoftmax(-1), "log_softmax"), (nn.Sigmoid(), "sigmoid")],
)
@pytest.mark.parametrize("head", [True, False])
def test_what_stays_on_the_host(last: Any, host: str, head: bool) -> None:
    parts: list[Any] = [cfc(), nn.Linear(5, 2)][: 2 if head else 1]
    for module in (InOrder({"a": parts[0], **({"b": parts[1]} if head else {}), "c": last}),
                   nn.Sequential(*parts, last, nn.Dropout(0.1))):  # fmt: skip
        network = load(module)
        assert network.host == (host,)
        assert (network.readout is not None) == head
        assert_same(network, parts)


def test_registered_but_not_used() -> None:
    """A softmax that forward does not apply, and a loss."""

    class Trained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss, self.rnn, self.head = nn.CrossEntropyLoss(), cfc(), nn.Linear(5, 2)
            self.softmax = nn.Softmax(-1)

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0])

    network = load(Trained())
    assert network.host == () and names(network) == ["rnn"]


def test_other_activations_at_the_end_are_layers() -> None:
    parts = [cfc(), nn.Linear(5, 2), nn.Tanh()]
    network = load(nn.Sequential(*parts))
    last = network.layers[-1]
    assert isinstance(last, DenseLayer) and last.activation == "tanh"
    assert network.readout is None and network.host == ()
    assert_same(network, parts)


def test_a_positive_normalisation_is_the_inputs() -> None:
    norm = batch_norm(3)
    network = load(InOrder({"norm": norm, "rnn": cfc()}))
    deviation = torch.sqrt(norm.running_var.double() + norm.eps) / norm.weight.double()
    offset = norm.running_mean.double() - norm.bias.double() * deviation
    np.testing.assert_allclose(network.input_scale, deviation.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(network.input_offset, offset.detach().numpy(), rtol=1e-12)
    plain = FamiliesImporter().load(cfc())
    assert not plain.input_offset.any()


def test_negative_and_zero_factors_go_into_the_weights() -> None:
    norm = batch_norm(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([-1.5, 0.0, 0.5]))
    for parts in ([norm, cfc()], [norm, cfc(mixed_memory=True)], [norm, nn.Linear(3, 2), cfc(2)],
                  [norm, Normalise([1.0, 2.0, 3.0], [2.0, 0.5, 1.0]), cfc(backbone_layers=0)],
                  [norm, nn.Tanh(), cfc(backbone_layers=0, mode="pure")]):  # fmt: skip
        network = load(nn.Sequential(*parts))
        assert (network.input_scale > 0).all()
        assert_same(network, parts)


def test_a_projection_before_more_layers_is_a_layer() -> None:
    parts = [cfc(proj_size=4), nn.Identity(), cfc(4, proj_size=2)]
    network = load(InOrder({"first": parts[0], "none": parts[1], "second": parts[2]}))
    assert names(network) == ["first", "first_fc", "second"]
    middle = network.layers[1]
    assert isinstance(middle, DenseLayer) and middle.activation == "identity"
    assert network.readout is not None
    assert_same(network, parts)


def test_names_that_networks_use_themselves() -> None:
    parts = {
        "input": nn.Linear(3, 3),
        "output": cfc(),
        "readout": nn.Linear(5, 5),
        "tanh": nn.Tanh(),
    }
    network = load(InOrder(dict(parts)))
    assert names(network) == ["input_layer", "output_layer", "readout_layer"]
    assert_same(network, parts.values())


def test_names_are_unique() -> None:
    parts: dict[str, Any] = {"a": nn.Sequential(nn.Linear(3, 3)), "a_0": nn.Linear(3, 3)}
    network = load(InOrder({**parts, "0": cfc(), "layer_0": cfc(5)}))
    assert names(network) == ["a_0", "a_0_layer", "layer_0", "layer_0_layer"]


def test_last_step_only() -> None:
    assert load(InOrder({"rnn": cfc(), "head": nn.Linear(5, 1)}, last_only=True)).output_size == 1
    assert load(InOrder({"rnn": cfc(return_sequences=False), "head": nn.Linear(5, 2)})).units == 5


def test_sequences_without_a_batch() -> None:
    """A BatchNorm1d in a Sequential takes (time, features): of a batch it would see the time."""
    parts = [batch_norm(3), cfc()]
    assert_same(load(nn.Sequential(*parts)), parts)


def test_time_first() -> None:
    parts = [cfc(batch_first=False), nn.Linear(5, 2)]
    assert_same(load(InOrder({"rnn": parts[0], "head": parts[1]})), parts)


def test_answers_without_the_last_axis_and_tuples() -> None:
    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = cfc(mixed_memory=True), nn.Linear(5, 1)

        def forward(self, x: Any) -> Any:
            x, state = self.rnn(x)
            return self.head(x).squeeze(-1), state

    assert load(Squeezed()).output_size == 1


def test_elapsed_time_inside_the_module() -> None:
    """A constant that the module holds itself has to be given."""

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn: Any = cfc()

        def forward(self, x: Any) -> Any:
            outputs, hidden = [], torch.zeros(len(x), 5)
            for t in range(x.shape[1]):
                _, hidden = self.rnn.rnn_cell(x[:, t], hidden, 0.5)
                outputs.append(hidden)
            return torch.stack(outputs, 1)

    assert load(Half(), timespan=0.5).timespan == 0.5
    text = problems_of(Half())
    assert "is given an elapsed time of 0.5 (line " in text and "give timespan=0.5" in text


def test_the_module_is_left_as_it_is() -> None:
    module = InOrder({"norm": nn.BatchNorm1d(3), "rnn": cfc(), "out": nn.Dropout(0.5)}).train()
    before = copy.deepcopy(module.state_dict())
    load(module)
    assert module.training and all(
        torch.equal(before[k], v) for k, v in module.state_dict().items()
    )
    assert next(module.parameters()).dtype == torch.float32
    assert torch.get_default_dtype() == torch.float32


def test_precisions() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        head = nn.Linear(5, 2).to(dtype)
        stored = head.weight.double().detach().numpy()
        readout = load(InOrder({"rnn": cfc().to(dtype), "head": head})).readout
        assert readout is not None
        np.testing.assert_array_equal(readout.weight, stored)


@pytest.mark.parametrize("irregular", [False, True])
def test_a_whole_module_as_integers(irregular: bool) -> None:
    """From the module to what the chip would answer, through every part there is."""
    import lnn2loihi as l2l

    torch.manual_seed(0)
    parts = [
        Normalise([1.0, 2.0, 3.0], [1.0, 2.0, 0.5]), nn.Linear(3, 4), nn.ReLU(),
        cfc(4, 6, proj_size=5, mixed_memory=True), cfc(5, nets.wiring("auto", 8, 1)),
        nn.Linear(2, 2), nn.Softmax(-1),
    ]  # fmt: skip
    network = load(nn.Sequential(*parts), timespan="irregular" if irregular else 1.0)
    x = np.random.default_rng(0).normal([1.0, 2.0, 3.0], [1.0, 2.0, 0.5], (4, 30, 3))
    spans = nets.random_timespans(1, 4, 30) if irregular else None
    program = l2l.quantize(network, x, "w8a16", calibrate_timespans=spans)
    answer = l2l.simulate(program, x, timespans=spans).outputs
    expected = network.evaluate(x, timespans=spans).outputs
    assert abs(answer - expected).max() < 0.1 * expected.std()


# ---------------------------------------------------------------- what is refused


def test_recognises() -> None:
    importer = ModulesImporter()
    assert isinstance(importer, Importer)
    assert importer.recognises(nn.Sequential()) and importer.recognises(nn.Linear(1, 1))
    assert not importer.recognises(cfc()) and not importer.recognises(nn.GRU(1, 1))
    assert not importer.recognises("net.pt") and not importer.recognises(np.zeros(3))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (nn.RNN(3, 3), "b: it is a RNN, which cannot be imported; train a GRU or an LSTM"),
        (nn.GRU(3, 3, bidirectional=True), "b: it is bidirectional: half of its answer"),
        (nn.Conv1d(3, 3, 1), "b (Conv1d) cannot be imported: compute it on the host"),
        (nn.Embedding(3, 3), "b (Embedding) cannot be imported: compute it on the host"),
        (nn.GroupNorm(1, 3), "b (GroupNorm) cannot be imported: its statistics depend on each"),
        (nn.BatchNorm2d(3), "b (BatchNorm2d) cannot be imported: features of sequences"),
        (nn.MultiheadAttention(3, 1), "b (MultiheadAttention) cannot be imported: attention"),
        (nn.TransformerEncoderLayer(4, 1), "b (TransformerEncoderLayer) cannot be imported: att"),
        (nn.Softsign(), "b (Softsign) cannot be imported; supported, with one parameter"),
        (nn.PReLU(3), "b (PReLU) cannot be imported; supported, with one parameter for"),
        (nn.Softplus(1.0, 2.0), "b (Softplus) cannot be imported; supported, with"),
        (nn.Threshold(0.1, 0.0), "b (Threshold) cannot be imported; supported, with"),
        (nn.Softmax(-1), "b (Softmax) cannot be imported: it may only come last"),
        (nn.Bilinear(3, 3, 3), "b (Bilinear), a torch.nn.modules.linear.Bilinear, cannot be"),
        (nn.BatchNorm1d(3, track_running_stats=False), "b (BatchNorm1d) has no running statistics"),
    ],
)  # fmt: skip
def test_other_parts_are_refused_by_name(part: Any, expected: str) -> None:
    text = problems_of(InOrder({"a": nn.Linear(3, 3), "b": part, "c": cfc()}))
    assert expected in text


def test_all_refusals_are_listed() -> None:
    nested = nn.Sequential(nn.Linear(3, 3), nn.PReLU(3))
    broken = cfc(3)
    broken.rnn_cell.tanh = nn.Hardtanh()
    with torch.no_grad():
        broken.rnn_cell.time_a.bias[0] = float("nan")
    text = problems_of(InOrder({"net": nested, "conv": nn.Conv1d(3, 3, 1), "rnn": broken}))
    assert "net.1 (PReLU)" in text and "conv (Conv1d)" in text
    assert "rnn: rnn_cell.tanh is a Hardtanh" in text
    assert "rnn: rnn_cell.time_a.bias holds 1 NaN or infinite of 5 values" in text
    assert "4 problems" in text


def test_modules_without_cfc() -> None:
    for module in (nn.Sequential(nn.Linear(2, 2)), nn.ModuleList()):
        assert "it holds no recurrent layer; accepted are" in problems_of(module)
    for module in (nn.GRU(2, 3), LTC(2, 3).rnn_cell, nn.Linear(2, 2), 3):
        text = problems_of(module)
        assert "this class cannot be imported; give a recurrent layer (ncps.torch.CfC" in text


def test_the_original_implementation() -> None:
    class Cfc(InOrder):
        """As in torch_cfc.py."""

    text = problems_of(Cfc({"rnn_cell": nn.Linear(3, 3), "fc": nn.Linear(3, 3)}))
    assert "save its state_dict" in text and "module = 'torch_cfc.Cfc'" in text


def test_pruned_and_meta_layers() -> None:
    from torch.nn.utils import prune

    head = nn.Linear(5, 2)
    prune.l1_unstructured(head, "weight", amount=0.5)
    module = InOrder({"rnn": cfc(), "head": head})
    text = problems_of(module)
    assert "head (Linear) has no weight but" in text and "prune.remove" in text
    prune.remove(head, "weight")
    assert load(module).output_size == 2
    text = problems_of(InOrder({"rnn": cfc(), "head": nn.Linear(5, 2, device="meta")}))
    assert "head.weight is float32, without data (device meta)" in text


def test_widths_that_do_not_fit() -> None:
    """The module complains itself."""
    text = problems_of(InOrder({"rnn": cfc(), "head": nn.Linear(4, 2)}))
    assert "could not be run on x of shape (2, 7, 3), as module(x): RuntimeError: mat1" in text
    text = problems_of(InOrder({"norm": nn.BatchNorm1d(4), "rnn": cfc()}))
    assert "could not be run on x of shape (2, 7, 4)" in text


def test_an_activation_may_come_first() -> None:
    parts = [nn.Tanh(), cfc()]
    network = load(InOrder({"tanh": parts[0], "rnn": parts[1]}))
    assert names(network) == ["tanh", "rnn"]
    assert_same(network, parts)


class Differs(nn.Module):
    """Modules whose forward is not their parts in order."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        if how == "other order":
            self.head = nn.Linear(3, 3)
        self.rnn = cfc(units=3)
        if how != "other order":
            self.head = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x)
        y = self.head(y)
        if self.how == "skip":
            y = y + x
        if self.how == "product":
            y = y * torch.sigmoid(x)
        if self.how == "joined":
            y = torch.cat([y, self.rnn(x)[0]], -1)
        if self.how == "clamp":
            y = torch.clamp(y, max=y)
        if self.how == "window":
            y = y[:, -3:]
        if self.how == "mean":
            y = y.mean(1)
        if self.how == "backwards":
            y = self.head(self.rnn(x.flip(1))[0]).flip(1)
        return y


@pytest.mark.parametrize(
    ("how", "line", "reason"),
    [
        ("skip", "y = y + x", "add joins two streams, as a residual connection"),
        ("product", "y = y * torch.sigmoid(x)", "mul multiplies two streams (head and sigmoid"),
        ("joined", "y = torch.cat(", "cat joins several heads or branches (head and rnn)"),
        ("mean", "y = y.mean(1)", "mean combines the samples of a sequence"),
        ("backwards", "y = self.head(self.rnn(x.flip(1))[0]).flip(1)", "flip reads samples that"),
        ("clamp", "y = torch.clamp(y, max=y)", "clamp joins two streams"),
        ("window", "y = y[:, -3:]", "getitem takes some steps of a sequence"),
    ],
)
def test_what_no_layer_does_is_refused_by_its_line(how: str, line: str, reason: str) -> None:
    text = problems_of(Differs(how))
    assert " of test_modules_importer.py, `" + line in text
    assert reason in text and "give module.rnn" in text
    assert "lnn2loihi.convert(module, x)" in text


def test_the_order_of_registration_makes_no_difference() -> None:
    for how in ("plain", "other order"):
        module = Differs(how)
        assert_same(load(module), [module.rnn, module.head])


class Answers(nn.Module):
    """A module that answers with whatever `make` makes of the right answer."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.rnn = cfc()
        self.make = make

    def forward(self, x: Any) -> Any:
        return self.make(self.rnn(x)[0])


def raising(_: Any) -> Any:
    raise RuntimeError("no luck")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (raising, "could not be run on x of shape (2, 7, 3), as module(x): RuntimeError: no luck"),
        (lambda y: {"y": y}, "its forward answers with a dict; expected a tensor"),
        (lambda y: y.mT, "the axes of its answer are (2, 5, 7); expected (batch, time, outputs)"),
        (lambda y: y * float("nan"), "mul divides by 0, or has NaN or infinite values"),
    ],
)
def test_answers_that_cannot_be_compared(make: Any, expected: str) -> None:
    assert expected in problems_of(Answers(make))


def test_modules_that_cannot_be_copied() -> None:
    def generator() -> Iterator[int]:
        yield 1

    module = Answers(lambda y: y)
    object.__setattr__(module, "held", generator())
    assert "it cannot be copied to be compared (TypeError" in problems_of(module)


class Unused(nn.Module):
    """Holds what no network has, and does not use it; what it cannot be run for is another thing.

    Args:
        forward: of the recurrent layer and x.
    """

    def __init__(self, forward: Any, inputs: int = 3) -> None:
        super().__init__()
        self.cfc, self.conv = CfC(inputs, 8, proj_size=2), nn.Conv2d(1, 1, 1)
        self.run = forward

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


class Asking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cfc, self.conv = CfC(3, 8, proj_size=2), nn.Conv2d(1, 1, 1)

    def forward(self, x: Any, dt: Any) -> Any:
        return self.cfc(x)[0]


def test_parts_that_forward_does_not_reach_are_no_reason() -> None:
    for module, said in (
        (Asking(), "missing 1 required positional argument: 'dt'"),
        (Unused(lambda _, x: raising(x)), "RuntimeError: no luck"),
        (Unused(lambda own, x: own.cfc(x[..., :3], timespans=x[..., 3])[0]), "out of bounds"),
    ):
        text = problems_of(module)
        assert said in text and "Conv2d" not in text
        assert "that it has 3 inputs is a guess from its parts" in text
        assert "lnn2loihi.convert(module, x), with an example" in text
    reached = Unused(lambda own, x: own.cfc(own.conv(x[:, 0, 0]))[0])
    assert "conv (Conv2d) cannot be imported" in problems_of(reached)


def test_times_of_several_sequences_are_a_limit_of_ncps() -> None:
    module = Unused(lambda own, x: own.cfc(x, timespans=torch.ones(x.shape[:2]))[0])
    assert "a limit of ncps, and not of your module" in problems_of(module)
    assert "Give a module whose" not in problems_of(module)
    x = torch.rand(4, 20, 3) + 0.1
    with pytest.raises(ImportNetworkError, match="a limit of ncps.* example with a batch of 1$"):
        l2l.convert(module, x)
    assert l2l.convert(module, x[:1]).chip_parts


def test_options() -> None:
    assert "needs no description" in problems_of(nn.Sequential(cfc()), description="net.toml")
    text = problems_of(nn.Sequential(cfc()), timespan="often")
    assert """timespan is 'often'; give a number or "irregular\"""" in text


@pytest.mark.parametrize(
    ("mean", "std"),
    [([0.0], [0.0]), ([0.0], [-1.0]), ([0.0, 1.0], [1.0]), ([], []), ([float("nan")], [1.0])],
)
def test_normalise_checks_itself(mean: list[float], std: list[float]) -> None:
    with pytest.raises(InputError, match="Normalise: mean and std"):
        Normalise(mean, std)


def test_a_normalisation_that_was_broken_later() -> None:
    norm = Normalise([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    norm.std.zero_()
    assert "divides by deviations that are not above 0" in problems_of(nn.Sequential(norm, cfc()))


@pytest.mark.parametrize("mode", nets.MODES)
def test_memories_over_several_layers_among_other_parts(mode: str) -> None:
    """A normalisation goes into the first layer and into the memory, which hears the same."""
    norm, between = batch_norm(3), batch_norm(4, seed=1)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([-1.5, 0.0, 0.5]))
    first = cfc(3, nets.wiring("auto", 8, 1), mixed_memory=True, mode=mode)
    second = cfc(4, nets.wiring("own", 4, 2), mixed_memory=True, mode=mode, proj_size=2)
    parts = [norm, first, nn.Linear(2, 4), nn.Tanh(), between, second]
    network = load(nn.Sequential(*parts))
    assert names(network) == ["layer_1_memory", "layer_2", "layer_5_memory"]
    assert [layer.name for layer in network.single_layers] == [
        "layer_1_layer_0", "layer_1_layer_1", "layer_1_layer_2", "layer_2", "layer_5_layer_0",
        "layer_5_layer_1", "layer_5_layer_2", "layer_5_layer_3",
    ]  # fmt: skip
    assert_same(network, parts)
    spans = nets.random_timespans(0, 3, 8)
    assert_same(load(nn.Sequential(*parts), timespan="irregular"), parts, spans)


def test_names_do_not_meet_those_of_layers_with_a_common_memory() -> None:
    parts = {
        "rnn": cfc(3, nets.wiring("auto", 8, 1), mixed_memory=True),
        "rnn_layer_0": nn.Linear(2, 4),
        "relu": nn.ReLU(),
        "rnn_memory": nn.Linear(4, 2),
        "tanh": nn.Tanh(),
    }
    network = load(InOrder(parts))
    assert names(network) == ["rnn_memory", "rnn_layer_0_layer", "rnn_memory_layer"]
    assert_same(network, parts.values())


def test_cfcs_in_whole_modules_are_those_alone() -> None:
    module = cfc(mode="no_gate", mixed_memory=True, activation="relu", proj_size=2)
    alone = FamiliesImporter().load(module)
    (inside,) = load(nn.Sequential(module)).layers
    (layer,) = alone.layers
    assert isinstance(inside, CfCLayer) and isinstance(layer, CfCLayer)
    assert (inside.name, layer.name) == ("layer_0", "layer_0")
    assert (inside.backbone, inside.memory, inside.maps) == (
        layer.backbone, layer.memory, layer.maps
    )  # fmt: skip
