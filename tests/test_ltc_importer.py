"""Every variant of `ncps.torch.LTC` against PyTorch in double precision, live and as a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ltc_networks as ltcs
import numpy as np
import pytest
import strategies_ncps as nets
from hypothesis import given, settings
from hypothesis import strategies as st
from ltc_networks import Variant
from safetensors.numpy import save_file

import lnn2loihi as l2l
from lnn2loihi.converters.recurrent.importer import FamiliesImporter
from lnn2loihi.errors import ImportNetworkError, NetworkError, QuantizationError
from lnn2loihi.network import LiquidNetwork

torch = pytest.importorskip("torch", reason="needs torch and ncps: pip install torch ncps")
pytest.importorskip("ncps", reason="needs ncps: pip install ncps")
from ncps import wirings  # noqa: E402
from ncps.torch import LTC, CfC  # noqa: E402
from torch import nn  # noqa: E402

load = FamiliesImporter("ncps").load
STEADY = settings(nets.STEADY, max_examples=60)


def assert_equal(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)


def assert_same_function(network: LiquidNetwork, variant: Variant, made: Any) -> None:
    """Outputs and every state, and the final states with that of the memory."""
    x, elapsed = ltcs.samples(variant, 3, 8)
    result = network.evaluate(x, timespans=elapsed)
    span = variant.timespan if elapsed is None else elapsed
    outputs, states, cell = ltcs.torch_steps(made, x, span)
    assert np.isfinite(outputs).all()
    assert_equal(result.outputs, outputs)
    (layer,) = network.layers
    assert_equal(result.states[layer.name], states)
    assert_equal(result.final_state[layer.name], states[:, -1])
    if cell is not None:
        assert_equal(result.final_state[f"{layer.name}.memory"], cell)


def problems_of(source: Any, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        load(source, **options)
    return str(caught.value)


def saved(folder: Path, made: Any, text: str, prefix: str = "") -> Path:
    state = {prefix + key: value for key, value in nets.state_in_float64(made).items()}
    save_file({k: np.ascontiguousarray(v) for k, v in state.items()}, folder / "net.safetensors")
    (folder / "net.toml").write_text(f"[network]\n{text}\n")
    return folder / "net.safetensors"


def described(variant: Variant, made: Any, **more: Any) -> str:
    """A description that says nothing that the arrays say."""
    said: dict[str, Any] = {
        "module": "ncps.torch.LTC",
        "input_size": variant.inputs,
        "units": made.state_size,
        "ode_unfolds": variant.unfolds,
        "epsilon": variant.epsilon,
        "implicit_param_constraints": variant.implicit,
        "timespan": variant.timespan,
    }
    if variant.output_mapping is None:
        said["output_size"] = made.motor_size
    return "\n".join(f"{key} = {_toml(value)}" for key, value in (said | more).items())


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


# ---------------------------------------------------------------- equality with PyTorch


@STEADY
@given(variant=ltcs.variants())
def test_every_variant(variant: Variant) -> None:
    made = ltcs.module(variant)
    network = load(made, timespan=variant.timespan)
    assert network.irregular == variant.irregular and network.substeps == variant.unfolds
    assert_same_function(network, variant, made)


@STEADY
@given(variant=ltcs.variants(), prefix=st.sampled_from(["", "model.rnn."]))
def test_checkpoints_give_the_same_network(
    tmp_path_factory: pytest.TempPathFactory, variant: Variant, prefix: str
) -> None:
    made = ltcs.module(variant)
    more = {"prefix": prefix} if prefix else {}
    folder = tmp_path_factory.mktemp("ltc")
    path = saved(folder, made, described(variant, made, **more), prefix)
    alive = load(made, timespan=variant.timespan)
    stored = load(path)
    assert stored.layers == alive.layers and stored.readout == alive.readout
    assert stored.timespan == alive.timespan
    assert stored.source["sha256"] == alive.source["sha256"]


@pytest.mark.parametrize("mixed", [False, True])
def test_the_forward_pass_of_ncps_itself(mixed: bool) -> None:
    made = ltcs.module(Variant(mixed=mixed))
    x, _ = ltcs.samples(Variant(), 4, 6)
    zeros = torch.zeros(4, made.state_size, dtype=torch.float64)
    with torch.no_grad():
        outputs, last = made(torch.from_numpy(x), (zeros, zeros) if mixed else zeros)
    result = load(made).evaluate(x)
    assert_equal(result.outputs, outputs.numpy())
    state, cell = last if mixed else (last, None)
    assert_equal(result.final_state["ltc"], state.numpy())
    if cell is not None:
        assert_equal(result.final_state["ltc.memory"], cell.numpy())


@pytest.mark.parametrize("mixed", [False, True])
def test_states_carry_over(mixed: bool) -> None:
    network = load(ltcs.module(Variant(mixed=mixed)))
    x, _ = ltcs.samples(Variant(), 2, 8)
    whole, first = network.evaluate(x), network.evaluate(x[:, :5])
    second = network.evaluate(x[:, 5:], first.final_state)
    assert_equal(second.outputs, whole.outputs[:, 5:])
    for name, state in whole.final_state.items():
        assert_equal(second.final_state[name], state)


def test_negative_weights_are_the_function_and_do_not_run_on_the_chip() -> None:
    variant = Variant(implicit=False)
    made = ltcs.module(variant)
    with torch.no_grad():
        made.rnn_cell.w.sub_(0.3)
    network = load(made, timespan=variant.timespan)
    assert_same_function(network, variant, made)
    x, _ = ltcs.samples(variant, 2, 5)
    with pytest.raises(QuantizationError, match=r"negative w or gleak; train with implicit"):
        l2l.quantize(network, x)


def test_no_time_is_no_change() -> None:
    """The limit of the equation, where ncps divides by zero."""
    network = load(ltcs.module(Variant(irregular=True)), timespan="irregular")
    x, elapsed = ltcs.samples(Variant(irregular=True), 2, 6)
    elapsed[:, 3] = 0.0
    states = network.evaluate(x, timespans=elapsed).states["ltc"]
    assert_equal(states[:, 3], states[:, 2])
    program = l2l.quantize(network, x, calibrate_timespans=elapsed)
    words = l2l.simulate(program, x, timespans=elapsed, return_states=True).states
    assert words is not None
    assert np.array_equal(words["ltc"]["v"][:, 3], words["ltc"]["v"][:, 2])


def test_only_the_wiring_has_synapses() -> None:
    made = ltcs.module(Variant(kind="auto", size=8))
    layer = load(made).layers[0]
    cell = made.rnn_cell
    count = int((cell.sparsity_mask.sum() + cell.sensory_sparsity_mask.sum()).item())
    stages = {stage.name: stage for stage in load(made).stages}
    assert stages["ltc.synapses"].units == count
    assert stages["ltc"].synapses == 2 * count
    assert layer.units == made.state_size


def fast(made: Any) -> Any:
    """The same LTC in the form that trains faster."""
    from lnn2loihi.models.fast_ltc import FastLTC

    wiring = wirings.Wiring(made.state_size)
    wiring.set_output_dim(made.motor_size)
    wiring.build(made.input_size)
    cell = made.rnn_cell
    other = FastLTC(
        made.input_size,
        wiring,
        ode_unfolds=cell._ode_unfolds,
        epsilon=cell._epsilon,
        implicit_param_constraints=cell._implicit_param_constraints,
        input_mapping=cell._input_mapping,
        output_mapping=cell._output_mapping,
    ).double()
    other.load_state_dict(made.state_dict())
    return other


@STEADY
@given(variant=ltcs.variants())
def test_the_fast_form_is_the_module(variant: Variant) -> None:
    made = ltcs.module(replace(variant, mixed=False))
    x, elapsed = ltcs.samples(variant, 3, 4)
    expected, states, _ = ltcs.torch_steps(made, x, 1.0 if elapsed is None else elapsed)
    with torch.no_grad():
        times = None if elapsed is None else torch.from_numpy(elapsed)
        found, last = fast(made)(torch.from_numpy(x), timespans=times)
    assert_equal(found.numpy(), expected)
    assert_equal(last.numpy(), states[:, -1])


def test_the_fast_form_has_the_gradients_of_the_module() -> None:
    made = ltcs.module(Variant())
    other = fast(made)
    x = torch.from_numpy(ltcs.samples(Variant(), 2, 3)[0])
    start = torch.full((2, made.state_size), 0.2, dtype=torch.float64)
    grown = []
    for model in (made, other):
        trained = [p for p in model.parameters() if p.requires_grad]
        grown.append(torch.autograd.grad((model(x, start)[0] ** 2).sum(), trained))
    for expected, found in zip(*grown, strict=True):
        assert_equal(found.numpy(), expected.numpy())
    with pytest.raises(l2l.InputError, match="and no mixed memory; train with ncps's own"):
        other(x[0])


# ---------------------------------------------------------------- inside whole modules


class Model(nn.Module):
    def __init__(self, ltc: Any, *after: nn.Module) -> None:
        super().__init__()
        self.before = nn.Linear(3, 3)
        self.squash = nn.Tanh()
        self.rnn = ltc
        self.after = nn.Sequential(*after)

    def forward(self, x: Any, timespans: Any = None) -> Any:
        return self.after(self.rnn(self.squash(self.before(x)), timespans=timespans)[0])


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("timespan", [0.5, "irregular"])
def test_a_module_around_an_ltc(mixed: bool, timespan: Any) -> None:
    ltc = ltcs.module(Variant(mixed=mixed))
    model = Model(ltc, nn.Linear(2, 3)).double()
    network = l2l.import_network(model, timespan=timespan)
    assert [stage.name for stage in network.stages if "memory" not in stage.name] == [
        "before", "rnn.synapses", "rnn", "readout"
    ]  # fmt: skip
    assert network.readout is not None and network.readout.weight.shape == (3, ltc.state_size)


def test_an_activation_after_an_ltc_is_a_layer() -> None:
    model = Model(ltcs.module(Variant()), nn.ReLU(), nn.Linear(2, 1)).double()
    network = l2l.import_network(model)
    assert [stage.name for stage in network.stages][-2:] == ["rnn_output", "readout"]


def test_an_ltc_and_a_cfc_do_not_keep_the_same_time() -> None:
    cfc = CfC(2, 4)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ltc, self.cfc = ltcs.module(Variant()), cfc

        def forward(self, x: Any) -> Any:
            return self.cfc(self.ltc(x)[0])[0]

    with pytest.raises(ImportNetworkError, match="keep the same time: make a network of each"):
        l2l.import_network(Both().double())
    one = ltcs.module(Variant(unfolds=1))
    layer = load(one).layers[0]
    pair = (layer, replace(load(CfC(one.state_size, 3, backbone_layers=0)).layers[0], name="cfc"))
    assert l2l.LiquidNetwork("pair", pair).substeps == 1
    with pytest.raises(NetworkError, match="0 unfolds; 1 to 1024 are possible"):
        l2l.LiquidNetwork("none", (replace(layer, unfolds=0),))


# ---------------------------------------------------------------- what cannot be imported


def test_arrays_that_the_module_does_not_compute_with() -> None:
    """`load_state_dict(assign=True)` has no effect on an LTC of ncps 1.0.1: if this fails, the
    docstring of lnn2loihi/families/ltc/importer.py has to change.
    """
    made, other = ltcs.module(Variant()), ltcs.module(Variant(seed=2))
    made.load_state_dict(other.state_dict(), assign=True)
    text = problems_of(made)
    assert "the module still computes with the arrays that it was built with" in text
    assert "load them without assign=True" in text


def test_changed_modules_are_refused() -> None:
    made = ltcs.module(Variant(mixed=True))
    made.rnn_cell.make_positive_fn = nn.ReLU()
    made.lstm.tanh = nn.Hardtanh()
    text = problems_of(made)
    assert "rnn_cell.make_positive_fn is ReLU(), expected torch.nn.Softplus()" in text
    assert "lstm.tanh is a Hardtanh" in text

    class Other(LTC):
        def forward(self, input: Any, hx: Any = None, timespans: Any = None) -> Any:
            return super().forward(2 * input, hx, timespans)

    assert "it overrides forward of LTC" in problems_of(Other(2, 3))
    assert "divides by it" in problems_of(ltcs.module(Variant()), timespan=0.0)
    with torch.no_grad():
        made.rnn_cell.mu[0, 0] = float("nan")
    assert "rnn_cell.mu holds 1 NaN" in problems_of(made)


def test_a_checkpoint_without_description_says_what_to_write(tmp_path: Path) -> None:
    made = ltcs.module(Variant(unfolds=6))
    path = saved(tmp_path, made, "", prefix="net.")
    (tmp_path / "net.toml").unlink()
    text = problems_of(path)
    suggested = text.split("\n\n", 1)[1]
    (tmp_path / "net.toml").write_text(suggested)
    assert load(path).layers == load(made).layers
    made = ltcs.module(Variant(output_mapping=None))
    path = saved(tmp_path, made, "")
    (tmp_path / "net.toml").unlink()
    assert "  # a guess: without an output mapping" in problems_of(path)


def test_all_errors_of_a_description_are_listed(tmp_path: Path) -> None:
    made = ltcs.module(Variant())
    text = """module = "ncps.torch.LTC"
        input_size = "three"
        ode_unfolds = 5000
        epsilon = -1.0
        input_mapping = "quadratic"
        mixed_memory = 1
        mode = "default"
        """
    found = problems_of(saved(tmp_path, made, text))
    for part in (
        "unknown key 'mode'; of an LTC known are module",
        "the key 'units' is missing",
        "input_size is a str, expected a whole number",
        "ode_unfolds is 5000; at most 1024 are possible",
        "epsilon is -1.0; expected a number that is not negative",
        "input_mapping is 'quadratic'; there are affine, linear, none",
        "mixed_memory is an int, expected true or false",
    ):
        assert part in found


def test_arrays_that_contradict_the_description_are_listed(tmp_path: Path) -> None:
    made, variant = ltcs.module(Variant()), Variant()
    units = made.state_size
    wrong = described(
        replace(variant, inputs=4), made, mixed_memory=True, output_mapping="linear", output_size=3
    )
    found = problems_of(saved(tmp_path, made, wrong))
    for part in (
        f"rnn_cell.sensory_w has shape (3, {units}), expected (4, {units}) for 4 inputs",
        "output_mapping is 'linear' in net.toml, but its keys output_w and output_b are those of",
        "mixed_memory is true in net.toml, but its keys have no mixed memory",
        "rnn_cell.output_w has shape (2,), expected (3,)",
    ):
        assert part in found
    state = nets.state_in_float64(made)
    del state["rnn_cell.mu"]
    state["rnn_cell.extra"] = np.zeros(2)
    save_file({k: np.ascontiguousarray(v) for k, v in state.items()}, tmp_path / "net.safetensors")
    (tmp_path / "net.toml").write_text(f"[network]\n{described(variant, made)}\n")
    found = problems_of(tmp_path / "net.safetensors")
    assert "keys are missing: rnn_cell.mu" in found
    assert "keys that an ncps.torch.LTC does not have: rnn_cell.extra" in found
    cfc = nets.state_in_float64(nets.module("auto"))
    save_file({k: np.ascontiguousarray(v) for k, v in cfc.items()}, tmp_path / "net.safetensors")
    assert "there is no key rnn_cell.gleak" in problems_of(tmp_path / "net.safetensors")
    plain = ltcs.module(Variant(output_mapping=None))
    path = saved(tmp_path, plain, described(variant, plain))
    assert "write output_size = ... in net.toml" in problems_of(path)
