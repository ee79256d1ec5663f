"""A module that trains for the chip is called as the one that it stands for."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import lnn2loihi as l2l
from lnn2loihi.errors import InputError, NetworkError, QuantizationError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
ncps = pytest.importorskip("ncps.torch", reason="ncps is not installed")
qat = pytest.importorskip("lnn2loihi.qat")
nn = torch.nn

BATCH, TIME, INPUTS, UNITS = 5, 9, 4, 7
RECIPE = "w8a16"
#: Largest difference between a module and its integers; with axes swapped it is above 0.15.
CLOSE = 0.05


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


def samples() -> Any:
    return torch.randn(BATCH, TIME, INPUTS).clamp(-2, 2)


def prepared(module: Any, recipe: str = RECIPE, **options: Any) -> Any:
    return qat.prepare(module, recipe, calibrate=samples().numpy(), **options)


class Last(nn.Module):
    """What people write around a recurrent layer."""

    def __init__(self, rnn: Any, steps: Any = slice(None), state: bool = False) -> None:
        super().__init__()
        self.rnn, self.steps, self.state = rnn, steps, state
        self.head = nn.Linear(UNITS, 3)

    def forward(self, x: Any) -> Any:
        states, hidden = self.rnn(x)
        outputs = self.head(states[:, self.steps])
        return (outputs, hidden) if self.state else outputs


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(INPUTS, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, 3)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x: Any) -> Any:
        return self.softmax(self.head(self.rnn(x)[0]))


MODULES = {
    "gru": lambda: nn.GRU(INPUTS, UNITS, 2),
    "lstm": lambda: nn.LSTM(INPUTS, UNITS),
    "gru, batch first": lambda: nn.GRU(INPUTS, UNITS, batch_first=True),
    "cfc": lambda: ncps.CfC(INPUTS, UNITS, backbone_units=16, batch_first=False),
    "cfc, last": lambda: ncps.CfC(
        INPUTS, UNITS, backbone_units=16, batch_first=False, return_sequences=False
    ),
    "ltc": lambda: ncps.LTC(INPUTS, UNITS, batch_first=False, ode_unfolds=2),
    "around a gru": lambda: Last(nn.GRU(INPUTS, UNITS, batch_first=True)),
    "around a time-first gru": lambda: Last(nn.GRU(INPUTS, UNITS)),
    "its last step": lambda: Last(nn.GRU(INPUTS, UNITS, batch_first=True), -1),
    "with its state": lambda: Last(nn.GRU(INPUTS, UNITS, batch_first=True), state=True),
    "softmax": Classifier,
    "sequential": lambda: nn.Sequential(nn.Linear(INPUTS, 6), nn.Tanh(), ncps.CfC(6, UNITS)),
}
TIME_FIRST = ("gru", "lstm", "cfc", "cfc, last", "ltc", "around a time-first gru")


def compared(answer: Any, expected: Any, what: str) -> None:
    assert type(answer) is type(expected), what
    if isinstance(expected, tuple):
        assert len(answer) == len(expected), what
        for own, meant in zip(answer, expected, strict=True):
            compared(own, meant, what)
    else:
        torch.testing.assert_close(answer, expected, rtol=0, atol=CLOSE, msg=what)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("training", (True, False))
def test_it_answers_with_the_same_shapes_and_nearly_the_same_numbers(
    name: str, training: bool
) -> None:
    module = MODULES[name]()
    own = prepared(module).train(training)
    x = samples()
    x = x.transpose(0, 1) if name in TIME_FIRST else x
    with torch.no_grad():
        compared(own(x), module.eval()(x), name)


@pytest.mark.parametrize("name", ("gru", "lstm", "gru, batch first", "cfc", "ltc"))
def test_a_state_is_handed_on(name: str) -> None:
    module = MODULES[name]()
    own = prepared(module).eval()
    x = samples()
    time = 0 if name in TIME_FIRST else 1
    x = x.transpose(0, 1) if time == 0 else x
    first, second = x.split(5, dim=time)
    whole, _ = own(x)
    outputs, state = own(first)
    rest, _ = own(second, state)
    assert torch.equal(torch.cat([outputs, rest], dim=time), whole)


def test_a_part_of_a_state_that_is_none_is_zero() -> None:
    own = prepared(nn.LSTM(INPUTS, UNITS, batch_first=True)).eval()
    cells = torch.randn(1, BATCH, UNITS).clamp(-0.9, 0.9)
    x = samples()
    given, expected = own(x, (None, cells))[0], own(x, (torch.zeros_like(cells), cells))[0]
    assert torch.equal(given, expected) and not torch.equal(given, own(x)[0])


@pytest.mark.parametrize("kind", (nn.GRUCell, nn.LSTMCell))
def test_a_cell_takes_a_sample_and_returns_its_state(kind: Any) -> None:
    cell = kind(INPUTS, UNITS)
    own = prepared(cell).eval()
    expected = given = None
    for x in samples().unbind(1):
        with torch.no_grad():
            expected, given = cell(x, expected), own(x, given)
        compared(given, expected, kind.__name__)
    alone = own(samples()[0, 0])
    assert (alone if kind is nn.GRUCell else alone[0]).shape == (1, UNITS)


def test_wrong_arguments_are_named() -> None:
    own = prepared(nn.GRU(INPUTS, UNITS, batch_first=True))
    for x in (torch.zeros(4), torch.zeros(1, 2, 3, INPUTS)):
        with pytest.raises(InputError, match=r"input: has shape .*give \(batch, time, inputs\)"):
            own(x)
    for x in (torch.zeros(2, 3, INPUTS + 1), torch.zeros(2, 0, INPUTS), torch.zeros(0, 3, INPUTS)):
        with pytest.raises(InputError, match=f"the network has {INPUTS} inputs"):
            own(x)
    with pytest.raises(
        InputError, match=r"hx: part 1 of 1 has shape .*has 7 units there \(layer_0"
    ):
        own(samples(), torch.zeros(1, BATCH, UNITS + 1))
    with pytest.raises(InputError, match="share is of type str; give a number$"):
        own.prune("a")
    with pytest.raises(InputError, match="share is of type str; give a number from 0 to 1"):
        own.harden("a")
    with pytest.raises(InputError, match="timespan: go with modules"):
        prepared(l2l.import_network(ncps.CfC(INPUTS, UNITS)), timespan=2.0)


def test_time_first_timespans_have_the_axes_of_the_samples() -> None:
    module = ncps.CfC(INPUTS, UNITS, backbone_units=16, batch_first=False)
    times = 0.5 + torch.rand(BATCH, TIME)
    own = prepared(module, calibrate_timespans=times.numpy(), timespan="irregular").eval()
    x = samples()
    outputs, _ = own(x.transpose(0, 1), timespans=times.T)
    answered = l2l.simulate(own.export(), x.numpy(), timespans=times.numpy()).outputs
    assert np.array_equal(outputs.transpose(0, 1).numpy(), answered.astype(np.float32))
    with pytest.raises(InputError, match=f"give one for each of {BATCH} x {TIME} samples"):
        own(x.transpose(0, 1), timespans=times[:, :-1].T)


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16))
def test_half_precision_is_refused_and_mixed_precision_is_not(dtype: Any) -> None:
    own = prepared(nn.GRU(INPUTS, UNITS, batch_first=True))
    x = samples()
    expected, _ = own(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(own(x)[0], expected)
    with pytest.raises(InputError, match="the chip's integers need float32 or float64"):
        own.to(dtype)(x.to(dtype))


def test_weights_written_through_data_are_seen() -> None:
    own = prepared(nn.GRU(INPUTS, UNITS, batch_first=True)).eval()
    x = samples()
    before, _ = own(x)
    for parameter in own.parameters():
        parameter.data.mul_(0.5)
    after, _ = own(x)
    assert not torch.equal(before, after)
    assert np.array_equal(
        after.numpy(), l2l.simulate(own.export(), x.numpy()).outputs.astype(np.float32)
    )


def test_weights_that_are_not_numbers_are_named() -> None:
    own = prepared(nn.GRU(INPUTS, UNITS, batch_first=True))
    weight = own.stages["layer_0"].weight["candidate_input"]
    weight.data[0, 0] = float("nan")
    for mode in (own.train(), own.eval()):
        with pytest.raises(
            (QuantizationError, NetworkError), match="layer_0.*candidate_input.*training.*diverged"
        ):
            mode(samples())


def test_a_state_dict_of_other_formats_is_refused() -> None:
    x = samples().numpy()
    module = nn.GRU(INPUTS, UNITS, batch_first=True)
    one = qat.prepare(module, "w8a12", calibrate=x)
    for other in (
        qat.prepare(module, "w4a8", calibrate=x), qat.prepare(module, "w8a12", calibrate=3 * x),
    ):  # fmt: skip
        with pytest.raises(InputError, match="state_dict: it is of a module with other formats"):
            other.load_state_dict(one.state_dict())


def test_a_state_dict_brings_exponents_along() -> None:
    data = samples().numpy()
    module = ncps.CfC(INPUTS, UNITS)
    one, other = (qat.prepare(module, "w8a12", calibrate=data) for _ in range(2))
    for name, stage in one.stages.items():
        stage.change_exponents(tuple(max(e - 1, 0) for e in stage.exponents))
        other.stages[name].change_exponents(tuple(e + 1 for e in stage.exponents))
    other.load_state_dict(one.state_dict())
    assert {n: s.exponents for n, s in other.stages.items()} == {
        n: s.exponents for n, s in one.stages.items()
    }
    x = samples()
    assert torch.equal(one.eval()(x)[0], other.eval()(x)[0])


def test_a_module_can_be_copied_pickled_and_averaged() -> None:
    own = prepared(nn.GRU(INPUTS, UNITS, batch_first=True))
    averaged = torch.optim.swa_utils.AveragedModel(own)
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.mul_(0.9)
    averaged.update_parameters(own)
    x = samples()
    for twin in (copy.deepcopy(own), pickle.loads(pickle.dumps(own)), averaged.module):
        assert torch.equal(twin.eval()(x)[0], own.eval()(x)[0])
