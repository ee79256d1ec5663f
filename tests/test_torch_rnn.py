"""torch.nn.GRU, LSTM and their cells: equality with PyTorch, files, refusals, executors, QAT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import lnn2loihi as l2l
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.errors import ImportNetworkError, InputError, NetworkError
from lnn2loihi.families.gru.layer import GRULayer
from lnn2loihi.families.gru.neuron import GRU_GATES
from lnn2loihi.layers.linear import Linear
from lnn2loihi.network import LiquidNetwork

torch = pytest.importorskip("torch", reason="needs torch: pip install torch")
qat = pytest.importorskip("lnn2loihi.qat")

load = FamiliesImporter("torch_rnn").load
STEADY = settings(derandomize=True, deadline=None, max_examples=40, database=None)
KINDS = st.sampled_from(["GRU", "LSTM"])


def module(
    kind: str = "GRU", layers: int = 1, *, inputs: int = 3, units: int = 4, seed: int = 0,
    scale: float = 1.0, **options: Any,
) -> Any:  # fmt: skip
    """A random module in float64, weights and biases alike multiplied by `scale`."""
    torch.manual_seed(seed)
    made = getattr(torch.nn, kind)(inputs, units, layers, **{"batch_first": True, **options})
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(scale)
    return made.double()


def samples(batch: int = 3, time: int = 9, inputs: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(batch, time, inputs))


def answers(made: Any, x: np.ndarray, hx: Any = None) -> tuple[np.ndarray, list[np.ndarray]]:
    """Outputs (batch, time, units), and the last states (layers, batch, units): h, then c."""
    given_x = torch.from_numpy(x if made.batch_first else x.swapaxes(0, 1).copy())
    with torch.no_grad():
        y, last = made(given_x, hx)
    states = [s.numpy() for s in (last if isinstance(last, tuple) else (last,))]
    return (y if made.batch_first else y.transpose(0, 1)).numpy(), states


def assert_equal(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def problems_of(source: Any, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        load(source, **options)
    return str(caught.value)


# ---------------------------------------------------------------- equality with PyTorch


@STEADY
@given(
    kind=KINDS, layers=st.integers(1, 4), inputs=st.integers(1, 5), units=st.integers(1, 7),
    bias=st.booleans(), batch_first=st.booleans(), scale=st.sampled_from([0.3, 1.0, 6.0]),
    dropout=st.sampled_from([0.0, 0.5]), seed=st.integers(0, 1000),
)  # fmt: skip
def test_every_variant(
    kind: str, layers: int, inputs: int, units: int, bias: bool, batch_first: bool, scale: float,
    dropout: float, seed: int,
) -> None:  # fmt: skip
    made = module(
        kind, layers, inputs=inputs, units=units, seed=seed, scale=scale, bias=bias,
        batch_first=batch_first, dropout=dropout if layers > 1 else 0.0,
    ).eval()  # fmt: skip
    x = samples(inputs=inputs, seed=seed)
    network, (y, last) = load(made), answers(made, x)
    result = network.evaluate(x)
    assert_equal(result.outputs, y)
    for number in range(layers):
        assert_equal(result.final_state[f"layer_{number}"], last[0][number])
        if kind == "LSTM":
            assert_equal(result.final_state[f"layer_{number}.c"], last[1][number])
    dropped = "no part in inference" in network.source
    assert dropped == (dropout > 0 and layers > 1)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_projected_states_are_heard_through_weights(
    tmp_path: Path, layers: int, bias: bool
) -> None:
    made, x = module("LSTM", layers, units=6, proj_size=2, bias=bias), samples()
    y, (_, cells) = answers(made, x)
    for source in (made, saved(tmp_path, made, 'module = "torch.nn.LSTM"\n')):
        network = load(source)
        result = network.evaluate(x)
        assert_equal(result.outputs, y)
        assert_equal(result.final_state[f"layer_{layers - 1}.c"], cells[-1])
        assert [layer.units for layer in network.layers] == [6] * layers


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_single_precision_is_as_close_as_it_can_be(kind: str) -> None:
    made, x = module(kind, 2, units=16).float(), samples(time=40)
    y, _ = made(torch.from_numpy(x).float())
    assert np.abs(load(made).evaluate(x).outputs - y.detach().numpy()).max() < 1e-6


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_states_that_are_given(kind: str) -> None:
    made, x, network = module(kind, 2), samples(), load(module(kind, 2))
    rng = np.random.default_rng(1)
    h, c = (rng.uniform(-0.9, 0.9, (2, 3, 4)) for _ in range(2))
    hx = tuple(map(torch.from_numpy, (h, c))) if kind == "LSTM" else torch.from_numpy(h)
    start = {f"layer_{n}": h[n] for n in range(2)}
    if kind == "LSTM":
        start |= {f"layer_{n}.c": c[n] for n in range(2)}
    assert_equal(network.evaluate(x, start).outputs, answers(made, x, hx)[0])


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_halves_are_the_whole(kind: str) -> None:
    network, x = load(module(kind, 3)), samples()
    first = network.evaluate(x[:, :4])
    second = network.evaluate(x[:, 4:], first.final_state)
    assert_equal(second.outputs, network.evaluate(x).outputs[:, 4:])


@pytest.mark.parametrize("kind", ["GRUCell", "LSTMCell"])
@pytest.mark.parametrize("bias", [True, False])
def test_cells(kind: str, bias: bool) -> None:
    torch.manual_seed(0)
    cell = getattr(torch.nn, kind)(3, 4, bias=bias).double()
    x, state, found = samples(), None, []
    with torch.no_grad():
        for t in range(x.shape[1]):
            state = cell(torch.from_numpy(x[:, t]), state)
            found.append((state[0] if isinstance(state, tuple) else state).numpy())
    assert_equal(load(cell).evaluate(x).outputs, np.stack(found, axis=1))


def test_the_recurrent_bias_of_the_candidate_is_not_merged() -> None:
    """With it in candidate_input, the network would be another one."""
    layer = load(module("GRU", scale=3.0)).layers[0]
    assert isinstance(layer, GRULayer)
    gates = dict(zip(GRU_GATES, layer.gates, strict=True))
    given, own = gates["candidate_input"], gates["candidate_recurrent"]
    merged = [Linear(given.name, given.weight, given.bias + own.bias),
              Linear(own.name, own.weight, 0 * own.bias)]  # fmt: skip
    other = LiquidNetwork("merged", (GRULayer("layer_0", (*layer.gates[:2], *merged)),))
    x = samples()
    truth = answers(module("GRU", scale=3.0), x)[0]
    assert np.abs(other.evaluate(x).outputs - truth).max() > 1e-2


def test_a_candidate_that_hears_both_is_no_gru() -> None:
    gates = tuple(Linear(gate, np.ones((2, 5)), np.zeros(2)) for gate in GRU_GATES)
    with pytest.raises(NetworkError, match="candidate_input hears the state, or"):
        LiquidNetwork("wrong", (GRULayer("layer", gates),))
    with pytest.raises(
        NetworkError, match="has gates reset_gate; expected reset_gate, update_gate"
    ):
        LiquidNetwork("wrong", (GRULayer("layer", gates[:1]),))


# ---------------------------------------------------------------- checkpoints


class Headed(torch.nn.Module):
    """A user's module: a recurrent layer, and a Linear on its answers."""

    def __init__(self, rnn: Any, outputs: int = 2) -> None:
        super().__init__()
        self.rnn, self.fc = rnn, torch.nn.Linear(rnn.hidden_size, outputs).double()

    def forward(self, x: Any) -> Any:
        return self.fc(self.rnn(x)[0])


def saved(folder: Path, made: Any, text: str, suffix: str = ".safetensors") -> Path:
    path = folder / f"net{suffix}"
    if suffix == ".safetensors":
        save_file({k: v.numpy() for k, v in made.state_dict().items()}, path)
    else:
        torch.save(made.state_dict(), path)
    (folder / "net.toml").write_text(f"[network]\n{text}")
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_a_checkpoint_is_the_module(tmp_path: Path, kind: str, suffix: str) -> None:
    made = module(kind, 2)
    text = f'module = "torch.nn.{kind}"\ncheckpoint = "net{suffix}"\nhidden_size = 4\n'
    path = saved(tmp_path, made, text, suffix)
    for source in (path, path.with_suffix(".toml")):
        network = l2l.import_network(source)
        assert network.source["importer"] == "torch_rnn" and network.source["file"] == path.name
        assert network.layers == load(made).layers


def test_a_linear_in_the_same_checkpoint_is_the_readout(tmp_path: Path) -> None:
    made, x = Headed(module("GRU")), samples()
    lines = 'module = "torch.nn.GRU"\nprefix = "rnn"\nreadout = "fc"\n'
    network = l2l.import_network(saved(tmp_path, made, lines))
    assert_equal(network.evaluate(x).outputs, made(torch.from_numpy(x)).detach().numpy())


def test_what_a_description_says_is_checked(tmp_path: Path) -> None:
    text = (
        'module = "torch.nn.GRU"\ninput_size = 2\nhidden_size = 5\nnum_layers = 3\nbias = false\n'
    )
    said = problems_of(saved(tmp_path, module("GRU", 2), text))
    for part in (
        "input_size is 2 in net.toml, but the arrays say 3",
        "hidden_size is 5 in net.toml, but the arrays say 4",
        "num_layers is 3 in net.toml, but the arrays say 2",
        "bias is False in net.toml, but the arrays say True",
    ):
        assert part in said
    text = 'module = "torch.nn.GRU"\nhidden_size = true\nwidth = 3\n'
    said = problems_of(saved(tmp_path, module(), text))
    assert "unknown key 'width'; known are module, checkpoint, input_size, hidden_size" in said
    assert "hidden_size is a bool, expected a whole number" in said
    said = problems_of(saved(tmp_path, module(), 'module = "torch.nn.RNN"\n'))
    assert "module is 'torch.nn.RNN'; supported are " in said
    assert "Do you mean 'torch.nn.GRU'?" in said
    assert "the key 'module' is missing" in problems_of(saved(tmp_path, module(), "bias = true\n"))


def test_the_wrong_family_is_noticed(tmp_path: Path) -> None:
    said = problems_of(saved(tmp_path, module("LSTM"), 'module = "torch.nn.GRU"\n'))
    assert "weight_hh_l0 has shape (16, 4), expected (3 * units, units) in a GRU" in said


def test_a_checkpoint_without_description_gets_a_proposal(tmp_path: Path) -> None:
    path = saved(tmp_path, Headed(module("LSTM", 2)), "")
    path.with_suffix(".toml").unlink()
    with pytest.raises(ImportNetworkError) as caught:
        l2l.import_network(path)
    assert 'module = "torch.nn.LSTM"\nprefix = "rnn."' in str(caught.value)


def test_damaged_arrays_are_named(tmp_path: Path) -> None:
    made = module("GRU", 2)
    with torch.no_grad():
        made.weight_ih_l1[0, 0] = float("nan")
    text = 'module = "torch.nn.GRU"\n'
    assert "weight_ih_l1 holds 1 NaN or infinite of 48 values" in problems_of(
        saved(tmp_path, made, text)
    )
    path = saved(tmp_path, module("GRU", 2), text)
    state = {k: v.numpy() for k, v in module("GRU", 2).state_dict().items()}
    del state["bias_hh_l1"]
    save_file({**state, "extra": np.zeros(3)}, path)
    said = problems_of(path)
    assert "the key bias_hh_l1 is missing" in said
    assert "keys that a torch.nn.GRU does not have: extra" in said
    save_file({"other.weight_ih_l0": np.zeros((12, 3))}, path)
    assert "no key starts with 'weight_ih', so it is not" in problems_of(path)
    assert "write prefix = 'other.' in net.toml" in problems_of(path)


# ---------------------------------------------------------------- refusals


def test_what_cannot_be_imported_is_refused_with_the_reason(tmp_path: Path) -> None:
    both = module("GRU", bidirectional=True)
    assert "it is bidirectional: half of its answer to a sample depends" in problems_of(both)
    said = problems_of(saved(tmp_path, both, 'module = "torch.nn.GRU"\n'))
    assert "it is bidirectional (keys ending in _reverse)" in said
    assert "it is a RNN, which cannot be imported" in problems_of(torch.nn.RNN(3, 4))
    assert "this class cannot be imported as torch_rnn" in problems_of(torch.nn.Linear(3, 4))
    assert "timespan is 0.5, but torch.nn.GRU" in problems_of(module(), timespan=0.5)
    assert "needs no description" in problems_of(module(), description="net.toml")
    assert "there is no such file" in problems_of(tmp_path / "nothing.pt")
    assert load(module(), timespan=1.0).timespan == 1.0


def test_an_overridden_forward_is_refused() -> None:
    class Other(torch.nn.GRU):
        def forward(self, input: Any, hx: Any = None) -> Any:  # pyright: ignore
            return super().forward(2 * input, hx)

    assert "it overrides forward; give a plain torch.nn.GRU" in problems_of(Other(3, 4))


# ---------------------------------------------------------------- inside modules


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_inside_other_modules(kind: str, batch_first: bool) -> None:
    nn, x = torch.nn, samples()

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)
            self.before, self.act = nn.Linear(3, 5), nn.Tanh()
            self.rnn = getattr(nn, kind)(5, 4, 2, batch_first=batch_first)
            self.after = nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            x = self.act(self.before(self.norm(x.transpose(1, 2)).transpose(1, 2)))
            if batch_first:
                return self.after(self.rnn(x)[0])
            return self.after(self.rnn(x.transpose(0, 1))[0]).transpose(0, 1)

    torch.manual_seed(0)
    made = Mixed().double().eval()
    network = l2l.import_network(made)
    assert [layer.name for layer in network.layers] == ["before", "rnn_layer_0", "rnn_layer_1"]
    assert_equal(network.evaluate(x).outputs, made(torch.from_numpy(x)).detach().numpy())
    chained = nn.Sequential(made.before, made.act, made.rnn, made.after)
    assert_equal(
        l2l.import_network(chained).evaluate(x).outputs,
        made.after(made.rnn(made.act(made.before(torch.from_numpy(x).transpose(0, 1))))[0])
        .transpose(0, 1).detach().numpy() if not batch_first
        else made.after(made.rnn(made.act(made.before(torch.from_numpy(x))))[0]).detach().numpy(),
    )  # fmt: skip


def test_a_normalisation_before_a_gru_goes_into_its_inputs() -> None:
    from lnn2loihi.converters.normalise import Normalise

    torch.manual_seed(0)
    rnn = torch.nn.GRU(3, 4, batch_first=True)
    made = torch.nn.Sequential(Normalise([1.0, -2.0, 0.5], [2.0, 0.3, 1.0]), rnn).double()
    x = samples()
    expected = rnn(made[0](torch.from_numpy(x)))[0].detach().numpy()
    network = l2l.import_network(made)
    assert_equal(network.evaluate(x).outputs, expected)
    assert network.input_offset.tolist() == [1.0, -2.0, 0.5]


# ---------------------------------------------------------------- on the chip


@settings(STEADY, max_examples=12)
@given(kind=KINDS, layers=st.integers(1, 2), seed=st.integers(0, 1000), far=st.booleans())
def test_executors_agree_whatever_comes_in(kind: str, layers: int, seed: int, far: bool) -> None:
    """Inputs far outside the calibrated range among them."""
    network = load(module(kind, layers, seed=seed, scale=4.0))
    program = l2l.quantize(network, samples(8, 30, seed=seed))
    x = samples(5, 11, seed=seed + 1) * (1e6 if far else 2.0)
    assert l2l.verify(program, x, "reference,c,blas").bit_exact


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
@pytest.mark.parametrize("recipe", ["w8a12", "w4a8", "w8a16x16", "w2a2"])
def test_every_recipe(kind: str, recipe: str) -> None:
    program = l2l.quantize(load(module(kind, 2)), samples(8, 30), recipe)
    assert program.schedule.period == 1 and program.latency_steps == 2
    assert l2l.verify(program, samples(3, 7, seed=1), "reference,c").bit_exact


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_slow_units_do_not_stand_still(kind: str) -> None:
    """A unit that moves by a five-hundredth of its way in a step reaches what it moves to, although
    a step is then less than one unit of an 8-bit message.
    """
    made = module(kind, inputs=1, units=1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        if kind == "GRU":
            made.bias_ih_l0[1], made.weight_ih_l0[2, 0] = 6.2, 1.0
        else:  # c' = .998 c + .002 tanh(x)
            made.bias_ih_l0[1], made.bias_ih_l0[0], made.bias_ih_l0[3] = 6.2, -6.2, 8.0
            made.weight_ih_l0[2, 0] = 1.0
    x = np.ones((1, 3000, 1))
    network = load(made)
    truth = network.evaluate(x).outputs[0, -1, 0]
    found = l2l.simulate(l2l.quantize(network, x, "w8a8"), x).outputs[0, -1, 0]
    assert truth > 0.6 and abs(found - truth) < 0.02


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_a_recurrent_sum_beyond_sixteen_bits_gets_a_coarser_unit(kind: str) -> None:
    made = module(kind, inputs=2, units=24, scale=40.0)
    x = samples(8, 40, 2)
    network = load(made)
    program = l2l.quantize(network, x, "w8a12x16")
    assert l2l.verify(program, x, "reference,c").bit_exact
    assert l2l.compare(network, program, x[:, :3]).stages[-1].rms < 0.05


class TestTraining:
    @pytest.mark.parametrize("kind", ["GRU", "LSTM"])
    def test_it_is_called_like_the_module_and_answers_like_the_program(self, kind: str) -> None:
        made, x = module(kind, 2).float(), torch.tensor(samples(), dtype=torch.float32)
        own = qat.prepare(made, "w8a12", calibrate=x.numpy())
        for mode in (True, False):
            own.train(mode)
            for given_x in (x, x[0]):
                with torch.no_grad():
                    y, last = own(given_x)
                expected, theirs = made(given_x)
                pairs = list(zip(last, theirs, strict=True)) if kind == "LSTM" else [(last, theirs)]
                assert y.shape == expected.shape
                for found, wanted in ((y, expected), *pairs):
                    assert found.shape == wanted.shape
                    assert float((found - wanted).detach().abs().max()) < 0.03
        own.eval()
        program = l2l.simulate(own.export(), x.numpy()).outputs
        assert torch.equal(own(x)[0], torch.tensor(program, dtype=torch.float32))

    @pytest.mark.parametrize("kind", ["GRU", "LSTM"])
    def test_states_that_it_returned_are_taken(self, kind: str) -> None:
        x = torch.tensor(samples(), dtype=torch.float32)
        own = qat.prepare(module(kind, 2).float(), "w6a10", calibrate=x.numpy()).eval()
        first, state = own(x[:, :5])
        second, _ = own(x[:, 5:], state)
        assert torch.equal(torch.cat([first, second], 1), own(x)[0])
        own.train()
        first, state = own(x[:, :5])
        second, _ = own(x[:, 5:], state)
        assert torch.allclose(torch.cat([first, second], 1), own(x)[0], atol=1e-5)

    def test_a_state_of_one_saturates(self) -> None:
        x = torch.tensor(samples(), dtype=torch.float32)
        own = qat.prepare(module("GRU").float(), "w8a12", calibrate=x.numpy()).eval()
        near, far = (own(x, torch.full((1, 3, 4), value))[0] for value in (1.0, 7.0))
        assert torch.equal(near, far)

    def test_timespans_are_refused(self) -> None:
        x = torch.tensor(samples(), dtype=torch.float32)
        own = qat.prepare(module("GRU").float(), calibrate=x.numpy())
        with pytest.raises(InputError, match="are given, but time is constant"):
            own(x, timespans=torch.ones(3, 9))
