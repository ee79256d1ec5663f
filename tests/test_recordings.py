"""Any module is recorded with any example; what was recorded is forward, for other sizes too."""

from __future__ import annotations

import threading
import warnings
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zoo_examples
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
ncps = pytest.importorskip("ncps.torch")
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from lnn2loihi.converted.sizes import Size  # noqa: E402
from lnn2loihi.converters.trace.axes import BATCH, TIME  # noqa: E402
from lnn2loihi.converters.trace.example import record_call  # noqa: E402
from lnn2loihi.converters.trace.graph import refs  # noqa: E402
from lnn2loihi.converters.trace.record import (  # noqa: E402
    CannotRunError,
    Widened,
    double_precision,
)
from lnn2loihi.converters.trace.recorder import CannotFollowError  # noqa: E402
from lnn2loihi.converters.trace.recording import Recording  # noqa: E402
from lnn2loihi.converters.trace.replay import HostModule  # noqa: E402
from lnn2loihi.converters.trace.runner import CannotCopyError  # noqa: E402
from lnn2loihi.converters.trace.sizes import are_told_apart, size_of  # noqa: E402

B, T, N = 3, 5, 4
Pair = namedtuple("Pair", "first second")


class Net(nn.Module):
    """Parts that forwards are written with; `do` is the forward."""

    def __init__(self, do: Any = None) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.do = do
        self.rnn = ncps.CfC(N, 8, batch_first=True, backbone_units=8)
        self.gru = nn.GRU(N, 8, batch_first=True)
        self.cell = nn.GRUCell(N, 8)
        self.head = nn.Linear(8, 3)
        self.map = nn.Linear(N, N)
        self.conv = nn.Conv1d(N, N, 3, stride=2, padding=1)
        self.embed = nn.Embedding(9, N)
        self.position = nn.Parameter(torch.randn(T, N))
        self.register_buffer("table", torch.randn(T + 1, N))
        self.state: Any = None

    def forward(self, x: Any, *others: Any) -> Any:
        return self.do(self, x, *others)

    def step(self, x: Tensor, h: Tensor | None = None) -> Any:
        y, h = self.rnn(x, h)
        return self.head(y), h


class Named(nn.Module):
    """A forward with a signature."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(N, 8, batch_first=True)

    def forward(self, batch: Any, *rest: Any, scale: float = 1.0, state: Any = None) -> Any:
        y, h = self.gru(batch["x"], state[0] if state else None)
        return {"y": y * scale + sum(rest), "h": [h, "text", 3]}


def x(batch: int = B, time: int = T, seed: int = 0) -> Tensor:
    return torch.randn(batch, time, N, generator=torch.Generator().manual_seed(seed))


def recorded(do: Any, *args: Any, **kwargs: Any) -> Recording:
    return record_call(Net(do), args or (x(),), kwargs)


def replayed(recording: Recording, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    wanted = [ref.number for ref in refs(recording.graph.answer)]
    replay = HostModule(recording, recording.copy, range(len(inputs)), wanted)
    with double_precision(), Widened():
        return replay(*inputs)


def holds(recording: Recording, *points: dict[str, int]) -> None:
    """The recording is forward, for these sizes and other numbers."""
    for place, point in enumerate(points or ({BATCH: 2, TIME: 9}, {BATCH: 5, TIME: 3})):
        sizes = {label: size for label, size in point.items() if label in recording.sizes}
        inputs = recording.resized(sizes, seed=place + 10)
        own = recording.answer_to(inputs)
        for one, other in zip(own, replayed(recording, inputs), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def loop_into_tensor(m: Net, x: Tensor) -> Tensor:
    b, t, _ = x.shape
    out, h = torch.zeros(b, t, 8), torch.zeros(b, 8)
    y = m.map(x.reshape(b * t, -1)).view(b, t, -1)
    for i in range(t):
        h = m.cell(y[:, i], h)
        out[:, i] = h
    return m.head(out).sum(1) / t


def loop_into_list(m: Net, x: Tensor) -> Tensor:
    h = x.new_zeros(len(x), 8)
    outs = []
    for step in x.unbind(1):
        h = m.cell(step, h)
        outs.append(h)
    return m.head(torch.stack(outs, 1).reshape(-1, 8)).reshape(len(x), -1, 3).mean(1)


def slices_in_place(m: Net, x: Tensor) -> Tensor:
    x = x.clone()
    x[..., 0] *= 2
    x[:, :, 1:3].add_(1.0)
    early = x[:, 0]
    x[:, 0] = early + 1
    late = early * 2
    return m.rnn(x)[0].sum((1, 2)) + late.sum(1)


def parts_of_it(m: Net, x: Tensor) -> Tensor:
    a, b = m.map(x).chunk(2, -1)
    a.mul_(3)
    return m.rnn(torch.cat([a, b], -1))[0]


def seen_again(m: Net, x: Tensor) -> Tensor:
    y = m.map(x)
    flat = y.view(-1, N)
    y.relu_()
    flat2 = flat * 2
    flat.masked_fill_(flat > 0.5, 0.5)
    return m.rnn(y)[0].sum(-1) + flat2.view(y.shape).sum(-1)


def written_anew(m: Net, x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    y.copy_(x)
    y[x < -1] = -1.0
    y[:, :, 0].zero_()
    return m.rnn(y)[0]


def positions(m: Net, x: Tensor) -> Tensor:
    b, t, _ = x.shape
    place = torch.arange(t).float() / t
    y = m.rnn(x + place[None, :, None])[0]
    return m.head(y.sum(1) / t) * (1.0 / t) * torch.ones(b, 1) + t**0.5


def windows(m: Net, x: Tensor) -> Tensor:
    y = m.conv(x.transpose(1, 2)).transpose(1, 2)
    b, t, _ = y.shape
    return m.head(m.rnn(y)[0].reshape(b * t, 8)).view(b, t, 3)


GENERAL: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "plain": (lambda m, x: m.head(m.rnn(x)[0]), (x(),)),
    "slices in place": (slices_in_place, (x(),)),
    "parts in place": (parts_of_it, (x(),)),
    "seen again": (seen_again, (x(),)),
    "written anew": (written_anew, (x(),)),
    "positions": (positions, (x(),)),
    "windows": (windows, (x(),)),
    "a part that works in place": (
        lambda m, x: m.rnn(F.leaky_relu(m.map(x), 0.1, True))[0], (x(),)),
    "in place as a keyword": (lambda m, x: m.rnn(F.relu(m.map(x), inplace=True))[0], (x(),)),
    "out": (lambda m, x: m.rnn(torch.mul(x, 2, out=torch.empty_like(x)))[0], (x(),)),
    "no batch": (lambda m, x: m.head(m.rnn(x)[0]), (x()[0],)),
    "integers": (lambda m, x: m.rnn(m.embed(x))[0], (torch.arange(12).reshape(3, 4) % 9,)),
    "two of the same sizes": (lambda m, x, h: m.gru(x, h)[0], (x(4, 4), torch.randn(1, 4, 8))),
    "as long as a table": (lambda m, x: m.rnn(x + m.table[: x.shape[1]])[0], (x(),)),
    "one step": (lambda m, x: m.rnn(x.unsqueeze(1))[0].squeeze(1), (x()[:, 0],)),
    "a cell": (lambda m, x: m.head(m.cell(x)), (x()[:, 0],)),
    "one sequence": (lambda m, x: m.rnn(x)[0], (x(1),)),
    "a tensor that is never used": (lambda m, x, y: m.rnn(x)[0], (x(), torch.zeros(2))),
}  # fmt: skip


@pytest.mark.parametrize(("do", "args"), GENERAL.values(), ids=GENERAL)
def test_a_recording_is_forward_for_every_batch_and_time(do: Any, args: tuple[Any, ...]) -> None:
    recording = recorded(do, *args)
    assert not recording.fixed
    longest = {BATCH: 2, TIME: 6}, {BATCH: 5, TIME: 4}
    holds(recording, *longest)
    holds(recording, dict(recording.sizes))


AXES: dict[str, tuple[Any, tuple[Any, ...], list[tuple[Any, ...]]]] = {
    "batch first": (lambda m, x: m.rnn(x)[0], (x(),), [(BATCH, TIME, None)]),
    "time first": (lambda m, x: m.rnn(x.transpose(0, 1))[0], (x(),), [(TIME, BATCH, None)]),
    "no batch": (lambda m, x: m.rnn(x)[0], (x()[0],), [(TIME, None)]),
    "one step": (lambda m, x: m.rnn(x[:, None])[0], (x()[:, 0],), [(BATCH, None)]),
    "a state": (lambda m, x, h: m.gru(x, h)[0], (x(4, 4), torch.zeros(1, 4, 8)),
                [(BATCH, TIME, None), (None, BATCH, None)]),
    "a loop": (loop_into_list, (x(),), [(BATCH, TIME, None)]),
    "images": (lambda m, x: m.rnn(x.mean((3, 4)))[0], (torch.randn(2, 5, N, 6, 6),),
               [(BATCH, TIME, None, None, None)]),
    "fixed time": (lambda m, x: m.rnn(x + m.position)[0], (x(),), [(BATCH, None, None)]),
    "fixed": (lambda m, x: m.rnn(x.reshape(-1, T, N))[0].view(B, T, 8), (x(),),
              [(None, None, None)]),
    "without a layer": (lambda m, x: m.map(x), (x(),), [(BATCH, None, None)]),
}  # fmt: skip


@pytest.mark.parametrize(("do", "args", "axes"), AXES.values(), ids=AXES)
def test_batch_and_time_are_found_by_trying(do: Any, args: Any, axes: Any) -> None:
    assert [one.axes for one in recorded(do, *args).inputs] == axes


def test_sizes_that_cannot_change_are_said() -> None:
    notes = " ".join(recorded(AXES["fixed"][0]).notes)
    assert f"forward takes sequences of {T} steps only" in notes
    assert f"forward takes {B} sequences at once only" in notes
    second = recorded(lambda m, x, y: m.gru(y, m.gru(x)[1])[0], x(2, 6), x(2, 3))
    assert "axis 1 of others[0] changes the time too" in " ".join(second.notes)
    holds(second)


@pytest.mark.parametrize("do", [loop_into_tensor, loop_into_list])
def test_a_loop_over_the_steps_is_general_at_both_ends(do: Any) -> None:
    recording = recorded(do)
    assert set(recording.fixed) == {TIME}
    assert recording.loop is not None
    operators = [node.operator for node in recording.nodes]
    cells = [place for place, name in enumerate(operators) if name == "GRUCell"]
    assert len(cells) == T
    assert recording.loop.stop > cells[-1]
    holds(recording, {BATCH: 2, TIME: T}, {BATCH: 4, TIME: T})
    answer = next(iter(recording.nodes[-1].answer for _ in "1"))
    assert [str(size) for size in recording.shape_of(answer.number)] == ["batch", "3"]
    last = recording.nodes[recording.loop.stop - 1]
    made = next(refs(last.answer))
    assert [str(size) for size in recording.shape_of(made.number)] == ["batch", "time", "8"]


def test_arguments_are_named_as_forward_names_them() -> None:
    spans = np.ones((B, T, 8), np.float32)
    recording = record_call(
        Named(), ({"x": x(), "y": None}, spans, 2), {"state": Pair(torch.zeros(1, B, 8), "a")}
    )
    assert [one.name for one in recording.inputs] == ["batch.x", "rest[0]", "state.first"]
    assert [one.dtype for one in recording.inputs] == ["float32"] * 3
    (batch, _, two), keywords = recording.arguments
    assert (batch["y"], two, keywords["state"].second) == (None, 2, "a")
    assert recording.graph.answer["h"][1:] == ["text", 3]
    holds(recording)


def test_wrapped_modules_and_methods_are_taken() -> None:
    own = Net(lambda m, x: m.head(m.rnn(x)[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(own), torch.compile(nn.DataParallel(own))
    for wrapped in (nn.DataParallel(own), *compiled):
        recording = record_call(wrapped, (x(),))
        assert recording.module is own
        holds(recording)
    recording = record_call(own.step, (x(),))
    assert recording.method == "step"
    assert [one.name for one in recording.inputs] == ["x"]
    holds(recording)


def test_layers_alone_and_rows_of_them_are_taken() -> None:
    for module in (
        ncps.CfC(N, 8, batch_first=True),
        ncps.LTC(N, 6),
        nn.Sequential(ncps.CfC(N, 8), nn.Linear(8, 2)),
        nn.ModuleList([ncps.CfC(N, 8), nn.ReLU(), nn.GRU(8, 4, batch_first=True)]),
    ):
        holds(record_call(module, (x(),)))


def test_what_cannot_be_recorded_is_refused_by_its_own_reason() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(nn.Linear(N, 2), x())
    with pytest.raises(CannotCopyError, match="compiled code whose forward cannot be seen"):
        record_call(scripted, (x(),))

    class Steps(nn.Module):
        def forward_step(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(CannotCopyError, match=r"no forward; .*module\.forward_step"):
        record_call(Steps(), (x(),))
    with pytest.raises(CannotCopyError, match="is no torch.nn.Module"):
        record_call("weights.pt", (x(),))


def held_by_others(m: Any, x: Tensor) -> Tensor:
    m.table[0] = 0
    return m.rnn(x)[0]


def state_in_place(m: Net, x: Tensor) -> Tensor:
    m.position.mul_(2)
    return m.rnn(x)[0]


def shares_with_the_input(m: Net, x: Tensor) -> Tensor:
    x.view(-1, N)[:, 0] = 0
    return m.rnn(x)[0]


def set_data(m: Net, x: Tensor) -> Tensor:
    y = m.map(x)
    y.data = x
    return m.rnn(y)[0]


REFUSED: dict[str, tuple[Any, str]] = {
    "branch": (lambda m, x: m.rnn(x)[0] if x.sum() > 0 else x, "bool looks at values"),
    "item": (lambda m, x: m.rnn(x)[0] * x.max().item(), "item looks at values"),
    "tolist": (lambda m, x: m.rnn(x)[0] * x[0, 0].tolist()[0], "tolist looks at values"),
    "float": (lambda m, x: m.rnn(x)[0] * float(x.max()), "float looks at values"),
    "mask": (lambda m, x: m.rnn(x)[0][x[..., 0] > 0], "getitem answers with as many numbers"),
    "nonzero": (lambda m, x: (x > 0).nonzero(), "nonzero answers with as many numbers"),
    "where": (lambda m, x: torch.where(x > 0), "where answers with as many numbers"),
    "buffer": (held_by_others, "setitem changes the buffer table in place"),
    "parameter": (state_in_place, "mul changes the parameter position in place"),
    "input": (lambda m, x: m.rnn(x.add_(1))[0], "add changes the input x in place"),
    "view of the input": (shares_with_the_input, "setitem changes the input x in place"),
    "data": (set_data, "the data of a tensor is set"),
    "noise": (lambda m, x: m.rnn(x + torch.randn(N))[0], "randn answers at random"),
    "dropout": (lambda m, x: m.rnn(F.dropout(x))[0], "dropout answers at random"),
    "half": (lambda m, x: m.rnn(x.half() * 2)[0], "half computes in torch.float16"),
}


@pytest.mark.parametrize(("do", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_no_graph_can_hold_is_refused_by_its_line(do: Any, reason: str) -> None:
    with pytest.raises(CannotFollowError) as caught:
        recorded(do)
    assert reason in str(caught.value)
    assert "of test_recordings.py" in str(caught.value)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")

    @torch.jit.script
    def hidden(x: Tensor) -> Tensor:
        return torch.tanh(x) * 2


def test_what_no_operator_shows_is_found() -> None:
    with pytest.raises(CannotFollowError, match="rnn .CfC. is given a tensor that follows the inp"):
        recorded(lambda m, x: m.rnn(hidden(x))[0])
    with pytest.raises(CannotFollowError, match="where no operator can be seen"):
        recorded(lambda m, x: m.rnn(x)[0] + hidden(x).sum())


def test_an_example_of_a_wrong_shape_is_refused_by_its_argument() -> None:
    with pytest.raises(CannotRunError) as caught:
        recorded(lambda m, x, y: m.rnn(m.map(x))[0] + m.map(y), x(), torch.randn(B, T, N + 1))
    text = str(caught.value)
    assert "cannot be multiplied" in text
    assert "of test_recordings.py" in text
    assert f"is made of others[0] of shape ({B}, {T}, {N + 1})" in text
    with pytest.raises(CannotRunError, match="missing 1 required positional"):
        record_call(Net().step, ())
    packed = nn.utils.rnn.pack_sequence([torch.randn(3, N), torch.randn(2, N)])
    with pytest.raises(CannotFollowError, match="PackedSequence, sequences of different lengths"):
        recorded(lambda m, x: m.gru(x)[0].data, packed)

    class Sample:
        def __init__(self) -> None:
            self.x = x()

    with pytest.raises(CannotFollowError, match="Sample that holds tensors"):
        recorded(lambda m, s: m.rnn(s.x)[0], Sample())


def test_a_state_that_the_module_keeps_is_named() -> None:
    def kept(m: Net, x: Tensor) -> Tensor:
        y, m.state = m.rnn(x, m.state)
        return y

    def left(m: Net, x: Tensor) -> Tensor:
        y, m.state = m.rnn(x)
        return y

    module = Net(kept)
    recording = record_call(module, (x(),))
    assert recording.kept == ("state",)
    assert module.state is None
    holds(recording)
    assert recorded(left).kept == ()


def test_a_state_in_a_buffer_is_named_and_restored() -> None:
    def rolling(m: Any, x: Tensor) -> Tensor:
        together = torch.cat([m.history.expand(len(x), -1, -1), x], 1)
        m.history = together[:1, -2:].detach()
        return m.rnn(together)[0]

    module: Any = Net(rolling)
    module.register_buffer("history", torch.zeros(1, 2, N))
    recording = record_call(module, (x(),))
    assert recording.kept == ("history",)
    holds(recording)
    assert not bool(module.history.any())


def test_what_cannot_be_copied_is_shared() -> None:
    module: Any = Net(lambda m, x: m.head(m.rnn(x)[0]))
    module.lock = threading.Lock()
    holds(record_call(module, (x(),)))
    module.steps = (number for number in range(3))
    with pytest.raises(CannotCopyError, match="cannot be copied"):
        record_call(module, (x(),))


def test_objects_that_hold_tensors_are_refused_as_answers() -> None:
    for make in (lambda y: SimpleNamespace(y=y), lambda y: {"a": [SimpleNamespace(y=y)]}):
        with pytest.raises(CannotFollowError, match=r"answers with a \w+ that holds tensors \(y\)"):
            recorded(lambda m, x, make=make: make(m.rnn(x)[0]))


def test_arrays_of_numpy_in_arguments_are_constants() -> None:
    scale = np.arange(1.0, N + 1)
    holds(recorded(lambda m, x: m.rnn(torch.as_tensor(scale) * x)[0]))
    holds(recorded(lambda m, x: m.rnn(x * torch.from_numpy(scale))[0]))


def test_a_loop_over_the_batch_is_no_time() -> None:
    recording = recorded(lambda m, x: torch.cat([m.rnn(row[None])[0] for row in x]))
    assert recording.inputs[0].axes == (None, TIME, None)
    holds(recording)


def test_hooks_and_parametrizations_are_recorded_once() -> None:
    module = Net(lambda m, x: m.second(m.head(m.rnn(m.map(x))[0])))
    module.head.register_forward_hook(lambda part, given, answer: torch.mul(answer, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.add_module("map", nn.utils.weight_norm(module.map))
    module.second = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    holds(record_call(module, (x(),)))


def test_recording_leaves_module_and_random_numbers_alone() -> None:
    module = Net(lambda m, x: m.head(m.rnn(x)[0])).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    torch.manual_seed(4)
    wanted = torch.rand(3)
    torch.manual_seed(4)
    record_call(module, (x(),))
    assert bool((torch.rand(3) == wanted).all())
    assert module.training and torch.get_default_dtype() == torch.float32
    assert all(bool((before[k] == v).all()) for k, v in module.state_dict().items())


@pytest.mark.skipif(zoo_examples.zoo() is None, reason=zoo_examples.WHY_NOT)
@pytest.mark.parametrize("name", zoo_examples.names())
def test_networks_of_the_zoo_are_recorded(name: str) -> None:
    module = zoo_examples.trained(name)
    recording = record_call(zoo_examples.call(name, module), *zoo_examples.example(name))
    assert not recording.fixed
    assert BATCH in recording.sizes or name == "Tagger"
    longer = {BATCH: 2, TIME: 2 * recording.sizes.get(TIME, 1)}
    holds(recording, longer, {BATCH: 4, TIME: max(2, recording.sizes.get(TIME, 1) // 2)})


sizes = st.builds(
    Size,
    st.integers(1, 9),
    *(st.integers(0, 1) for _ in range(2)),
    st.integers(-9, 9),
)


@given(sizes, st.integers(1, 40), st.integers(2, 60))
def test_numbers_that_follow_the_sizes_are_read_as_what_they_are(
    size: Size, batch: int, time: int
) -> None:
    points = [{BATCH: batch, TIME: time}, {BATCH: batch + 3, TIME: time + 7}]
    points.append({BATCH: batch + 5, TIME: time + 1})
    found = size_of([size.at(point) for point in points], points)
    assert found is not None
    other = {BATCH: 2 * batch + 11, TIME: 3 * time + 17}
    if size.batch or size.time:
        assert are_told_apart(points) is False or found.at(other) == size.at(other)
    else:
        assert found == Size(constant=size.at(other))


def test_sizes_are_said_and_read() -> None:
    points = [{BATCH: b, TIME: t} for b, t in ((3, 6), (2, 9), (5, 4))]

    def read(of: Any) -> Size | None:
        return size_of([of(p[BATCH], p[TIME]) for p in points], points)

    texts = {
        "12": lambda b, t: 12,
        "batch": lambda b, t: b,
        "batch*time": lambda b, t: b * t,
        "2*time - 1": lambda b, t: 2 * t - 1,
        "time**-1": lambda b, t: 1 / t,
        "time**0.5": lambda b, t: t**0.5,
        "batch*(time + 1)//2": lambda b, t: b * ((t + 1) // 2),
    }
    for text, of in texts.items():
        found = read(of)
        assert found is not None and str(found) == text
        assert found.at({BATCH: 7, TIME: 11}) == pytest.approx(of(7, 11))
    assert read(lambda b, t: t * t) is None
    assert not are_told_apart([{BATCH: b, TIME: b + 2} for b in (2, 3, 5)])
