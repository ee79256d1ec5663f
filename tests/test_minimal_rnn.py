"""minGRU and minLSTM: equality with their modules, checkpoints, refusals, executors."""

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
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.minimal.layer import FORMS, MinGRULayer
from lnn2loihi.layers.linear import Linear
from lnn2loihi.network import LiquidNetwork

torch = pytest.importorskip("torch", reason="needs torch: pip install torch")
qat = pytest.importorskip("lnn2loihi.qat")
minimal = pytest.importorskip("lnn2loihi.models.minimal_rnn")

load = FamiliesImporter("minimal_rnn").load
STEADY = settings(derandomize=True, deadline=None, max_examples=40, database=None)
KINDS = st.sampled_from(["MinGRU", "MinLSTM"])
KEYS = {"MinGRU": "to_hidden_and_gate", "MinLSTM": "to_hidden_and_f_i_gate"}


def module(
    kind: str = "MinGRU", inputs: int = 3, units: int = 4, seed: int = 0, scale: float = 3.0,
    **options: Any,
) -> Any:  # fmt: skip
    torch.manual_seed(seed)
    made = getattr(minimal, kind)(inputs, units, **options)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(scale)
    return made.double()


def samples(batch: int = 3, time: int = 9, inputs: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(batch, time, inputs))


def assert_equal(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * max(1.0, abs(expected).max()))


def problems_of(source: Any, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        load(source, **options)
    return str(caught.value)


# ---------------------------------------------------------------- equality


@STEADY
@given(
    kind=KINDS, inputs=st.integers(1, 5), units=st.integers(1, 7), bias=st.booleans(),
    form=st.sampled_from(FORMS), scale=st.sampled_from([0.3, 3.0, 30.0]), seed=st.integers(0, 999),
)  # fmt: skip
def test_every_variant(
    kind: str, inputs: int, units: int, bias: bool, form: str, scale: float, seed: int
) -> None:
    made = module(kind, inputs, units, seed, scale, bias=bias, form=form)
    x = samples(inputs=inputs, seed=seed)
    result = load(made).evaluate(x)
    with torch.no_grad():
        states, last = made(torch.from_numpy(x))
    assert_equal(result.outputs, states.numpy())
    assert_equal(result.final_state["layer_0"], last.numpy())


@pytest.mark.parametrize("kind", ["MinGRU", "MinLSTM"])
def test_the_equations_of_the_paper(kind: str) -> None:
    """With the division that the importer avoids, in a loop of its own."""
    made, x = module(kind, units=2, bias=True), samples(1, 12)
    blocks = made.state_dict()[f"{KEYS[kind]}.weight"].numpy().reshape(-1, 2, 3)
    biases = made.state_dict()[f"{KEYS[kind]}.bias"].numpy().reshape(-1, 2)
    h, expected = np.zeros(2), []
    for sample in x[0]:
        sums = blocks @ sample + biases
        gates = 1 / (1 + np.exp(-sums[1:]))
        candidate = np.where(sums[0] >= 0, sums[0] + 0.5, 1 / (1 + np.exp(-sums[0])))
        if kind == "MinGRU":
            h = (1 - gates[0]) * h + gates[0] * candidate
        else:
            forget, taken = gates / gates.sum(axis=0)
            h = forget * h + taken * candidate
        expected.append(h)
    assert_equal(load(made).evaluate(x).outputs[0], np.array(expected))


def test_the_public_implementation() -> None:
    public = pytest.importorskip("minGRU_pytorch.minGRU", reason="minGRU-pytorch is not installed")
    from minGRU_pytorch.minLSTM import minLSTM

    x = samples(inputs=4)
    for kind in (public.minGRU, minLSTM):
        for options in ({}, {"expansion_factor": 1.5}):
            made = kind(4, **options).double()
            expected = made(torch.from_numpy(x)).detach().numpy()
            assert_equal(load(made).evaluate(x).outputs, expected)


@pytest.mark.parametrize("kind", ["MinGRU", "MinLSTM"])
def test_states_that_are_given_and_halves(kind: str) -> None:
    made, x = module(kind), samples()
    network, start = load(made), np.random.default_rng(1).uniform(0, 2, (3, 4))
    with torch.no_grad():
        expected = made(torch.from_numpy(x), torch.from_numpy(start))[0].numpy()
    assert_equal(network.evaluate(x, {"layer_0": start}).outputs, expected)
    first = network.evaluate(x[:, :4])
    second = network.evaluate(x[:, 4:], first.final_state)
    assert_equal(second.outputs, network.evaluate(x).outputs[:, 4:])


def test_unknown_forms_are_refused() -> None:
    with pytest.raises(InputError, match="form: is 'exp'; there are log, linear"):
        minimal.MinGRU(3, 4, form="exp")
    gates = tuple(Linear(gate, np.ones((2, 3)), np.zeros(2)) for gate in MinGRULayer.names)
    with pytest.raises(NetworkError, match="unknown form 'exp'; there are log, linear"):
        LiquidNetwork("wrong", (MinGRULayer("layer", gates, form="exp"),))
    other = Linear("update_gate", np.ones((2, 4)), np.zeros(2))
    with pytest.raises(NetworkError, match="the weights differ in shape"):
        LiquidNetwork("wrong", (MinGRULayer("layer", (gates[0], other)),))


# ---------------------------------------------------------------- checkpoints


def saved(folder: Path, state: Any, text: str) -> Path:
    path = folder / "net.safetensors"
    save_file({key: np.ascontiguousarray(value) for key, value in state.items()}, path)
    (folder / "net.toml").write_text(f"[network]\n{text}")
    return path


def state_of(made: Any, prefix: str = "") -> dict[str, np.ndarray]:
    return {prefix + key: value.numpy() for key, value in made.state_dict().items()}


@pytest.mark.parametrize("kind", ["MinGRU", "MinLSTM"])
@pytest.mark.parametrize("full", ["lnn2loihi.models.minimal_rnn.M", "minGRU_pytorch.m"])
def test_classes_may_be_named_in_full(tmp_path: Path, kind: str, full: str) -> None:
    made = module(kind)
    path = saved(tmp_path, state_of(made), f'module = "{full}{kind[1:]}"\n')
    assert l2l.import_network(path).layers == load(made).layers


@pytest.mark.parametrize(("kind", "name"), [("MinGRU", "minGRU"), ("MinLSTM", "minLSTM")])
@pytest.mark.parametrize("numbered", ["{}.", "layers.{}."])
def test_a_checkpoint_of_several_layers(
    tmp_path: Path, kind: str, name: str, numbered: str
) -> None:
    layers = [module(kind, 3, 4), module(kind, 4, 2, seed=1)]
    state: dict[str, np.ndarray] = {}
    for number, layer in enumerate(layers):
        state |= state_of(layer, "rnn." + numbered.format(number))
    state["fc.weight"] = np.random.default_rng(0).normal(size=(5, 2))
    text = f'module = "{name}"\nprefix = "rnn."\nreadout = "fc."\nnum_layers = 2\nbias = false\n'
    network, x = l2l.import_network(saved(tmp_path, state, text)), samples()
    answer = torch.from_numpy(x)
    with torch.no_grad():
        for layer in layers:
            answer = layer(answer)[0]
    assert_equal(network.evaluate(x).outputs, answer.numpy() @ state["fc.weight"].T)
    assert network.source["importer"] == "minimal_rnn"


def test_outward_maps(tmp_path: Path) -> None:
    """`to_out` of the last layer is the readout, of another one a layer of its own."""
    first, second = module(units=6), module(inputs=2, units=5, seed=1)
    rng = np.random.default_rng(0)
    outs = rng.normal(size=(2, 6)), rng.normal(size=(3, 5))
    state = state_of(first, "0.") | state_of(second, "1.")
    state |= {f"{number}.to_out.weight": out for number, out in enumerate(outs)}
    network, x = load(saved(tmp_path, state, 'module = "minGRU"\n')), samples()
    assert [type(layer) for layer in network.layers] == [MinGRULayer, DenseLayer, MinGRULayer]
    with torch.no_grad():
        hidden = first(torch.from_numpy(x))[0].numpy() @ outs[0].T
        expected = second(torch.from_numpy(hidden))[0].numpy() @ outs[1].T
    assert_equal(network.evaluate(x).outputs, expected)


def test_the_form_is_said_by_the_description(tmp_path: Path) -> None:
    made = module(form="linear")
    path = saved(tmp_path, state_of(made), 'module = "minGRU"\nform = "linear"\n')
    assert load(path).layers == load(made).layers
    said = problems_of(saved(tmp_path, state_of(made), 'module = "minGRU"\nform = "square"\n'))
    assert "form is 'square'; there are log, linear" in said


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    made = module()
    said = problems_of(saved(tmp_path, state_of(made), 'module = "minLSTM"\n'))
    assert "no key is 'to_hidden_and_f_i_gate.weight', nor has a number before it" in said \
        or "is missing" in said  # fmt: skip
    said = problems_of(saved(tmp_path, state_of(made, "rnn."), 'module = "minGRU"\n'))
    assert "what stands before such keys: 'rnn.' (prefix in net.toml)" in said
    odd = {"to_hidden_and_gate.weight": np.zeros((7, 3))}
    said = problems_of(saved(tmp_path, odd, 'module = "minGRU"\n'))
    assert "to_hidden_and_gate.weight has 7 rows, which are not 2 for each unit" in said
    text = 'module = "minGRU"\ninput_size = 8\nhidden_size = 5\n'
    said = problems_of(saved(tmp_path, state_of(made), text))
    assert "input_size is 8 in net.toml, but the arrays say 3" in said
    more = state_of(made) | {"bias": np.zeros(3)}
    said = problems_of(saved(tmp_path, more, 'module = "minGRU"\n'))
    assert "keys that a minGRU does not have: bias" in said
    assert "timespan is irregular, but minGRU" in problems_of(made, timespan="irregular")

    class Other(minimal.MinGRU):
        def forward(self, x: Any, hx: Any = None) -> Any:
            return super().forward(2 * x, hx)

    assert "it overrides forward; give a plain MinGRU" in problems_of(Other(3, 4))


def test_a_checkpoint_without_description_gets_a_proposal(tmp_path: Path) -> None:
    path = saved(tmp_path, state_of(module("MinLSTM"), "body.layers.0."), "")
    path.with_suffix(".toml").unlink()
    with pytest.raises(ImportNetworkError) as caught:
        l2l.import_network(path)
    assert 'module = "minLSTM"\nform = "log"' in str(caught.value)
    assert 'prefix = "body."' in str(caught.value)


@pytest.mark.parametrize("kind", ["MinGRU", "MinLSTM"])
def test_inside_other_modules(kind: str) -> None:
    nn = torch.nn
    torch.manual_seed(0)
    rnn = getattr(minimal, kind)(4, 5)
    parts = nn.Linear(3, 4), nn.ReLU(), rnn, nn.Linear(5, 2)
    made, x = nn.Sequential(*parts).double(), samples()
    with torch.no_grad():
        expected = parts[3](rnn(parts[1](parts[0](torch.from_numpy(x))))[0]).numpy()
    assert_equal(l2l.import_network(made).evaluate(x).outputs, expected)


# ---------------------------------------------------------------- on the chip


@settings(STEADY, max_examples=16)
@given(kind=KINDS, form=st.sampled_from(FORMS), seed=st.integers(0, 999), far=st.booleans(),
       scale=st.sampled_from([1.0, 5.0, 60.0]))  # fmt: skip
def test_executors_agree_whatever_comes_in(
    kind: str, form: str, seed: int, far: bool, scale: float
) -> None:
    network = load(module(kind, seed=seed, scale=scale, form=form, bias=True))
    program = l2l.quantize(network, samples(8, 30, seed=seed))
    x = samples(5, 11, seed=seed + 1) * (1e6 if far else 2.0)
    assert l2l.verify(program, x, "reference,c,blas").bit_exact


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["MinGRU", "MinLSTM"])
def test_there_are_no_recurrent_synapses(kind: str, form: str) -> None:
    network = load(module(kind, form=form))
    program = l2l.quantize(network, samples(8, 30))
    assert [c.source for c in program.incoming("layer_0")] == ["input"]
    assert program.schedule.period == 1 and not network.stages[0].recurrent
    found = l2l.compare(network, program, samples(8, 30))
    assert found.stages[-1].relative_mse is not None and found.stages[-1].relative_mse < 1e-3


@pytest.mark.parametrize("kind", ["MinGRU", "MinLSTM"])
def test_messages_of_the_form_log_are_never_negative(kind: str) -> None:
    program = l2l.quantize(load(module(kind)), samples(8, 30))
    population = program.population("layer_0")
    assert population.message_low == 0
    start = {"layer_0": {"h": np.full((2, 4), -1 << 20)}}
    result = l2l.simulate(program, samples(2, 1), initial_state=start)
    assert result.integers.min() >= 0


@pytest.mark.parametrize("kind", ["MinGRU", "MinLSTM"])
def test_slow_units_do_not_stand_still(kind: str) -> None:
    """See the test of the same name in test_torch_rnn.py."""
    made = module(kind, inputs=1, units=1, bias=True, form="linear", scale=0.0)
    with torch.no_grad():
        parameters = dict(made.named_parameters())
        bias = parameters[f"{KEYS[kind]}.bias"]
        bias[0], bias[1] = 0.8, -6.2
        if kind == "MinLSTM":  # i / (f + i) with f about 1
            bias[1], bias[2] = 8.0, -6.2
    x = np.ones((1, 3000, 1))
    network = load(made)
    truth = network.evaluate(x).outputs[0, -1, 0]
    found = l2l.simulate(l2l.quantize(network, x, "w8a8"), x).outputs[0, -1, 0]
    assert truth > 0.75 and abs(found - truth) < 0.02


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["MinGRU", "MinLSTM"])
def test_training_for_the_chip(kind: str, form: str) -> None:
    x = torch.tensor(samples(), dtype=torch.float32)
    own = qat.prepare(module(kind, form=form).float(), "w6a10", calibrate=x.numpy())
    own.train()
    optimizer = torch.optim.Adam(own.parameters(), 1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        own(x)[0].square().mean().backward()
        optimizer.step()
    own.eval()
    answer = l2l.simulate(own.export(), x.numpy()).outputs
    assert torch.equal(own(x)[0], torch.tensor(answer, dtype=torch.float32))
    first, state = own(x[:, :5])
    assert torch.equal(torch.cat([first, own(x[:, 5:], state)[0]], 1), own(x)[0])
