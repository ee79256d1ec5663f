"""S4D: equality with modules, what is refused, integers of slow and of liquid modes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from state_spaces import gated, network, state_space

import lnn2loihi as l2l
from lnn2loihi.errors import ImportNetworkError, InputError, NetworkError, QuantizationError
from lnn2loihi.families.s4d.kernels import LARGEST_CANCELLATION, Modes
from lnn2loihi.families.s4d.layer import LARGEST_SHARE, LOG_DECAYS
from lnn2loihi.layers.linear import SUM, Linear

torch = pytest.importorskip("torch", reason="needs torch: pip install torch")
import s4d_modules as theirs  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from torch import nn  # noqa: E402

from lnn2loihi.families.s4d import liquid  # noqa: E402
from lnn2loihi.models import digits  # noqa: E402
from lnn2loihi.models import s4d as ours  # noqa: E402
from lnn2loihi.models.digits import data as digits_data  # noqa: E402
from lnn2loihi.testing import check_importer  # noqa: E402

STEADY = settings(
    derandomize=True, deadline=None, max_examples=16, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


class S4(theirs.FrameworkS4):
    """The layer of the framework, under its name."""


def samples(batch: int = 2, time: int = 30, inputs: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(batch, time, inputs))


def answer(module: Any, x: np.ndarray) -> np.ndarray:
    """Of a module that takes channels before the time."""
    with torch.no_grad():
        given = module(torch.from_numpy(x).transpose(1, 2))
    given = given[0] if isinstance(given, tuple) else given
    return given.transpose(1, 2).numpy()


def made(kind: str, seed: int, channels: int = 4, length: int = 0) -> Any:
    torch.manual_seed(seed)
    kernels: dict[str, Any] = {
        "bilinear": lambda: theirs.DiagonalKernel(channels, 8),
        "zoh": lambda: theirs.DiagonalKernel(channels, 8, disc="zoh"),
        "shared": lambda: theirs.DiagonalKernel(channels, 6, n_ssm=2),
        **{f"nplr {n}": lambda n=n: theirs.LowRankKernel(channels, n, length) for n in (5, 7, 8)},
    }
    if kind in kernels:
        return S4(channels, kernels[kind](), gated=seed % 3 > 0).double().eval()
    named: dict[str, Any] = {"S4D": theirs.S4D, "ours": ours.S4D, "liquid": ours.LiquidS4D}
    return named[kind](channels, 8).double().eval()


def state_of(module: Any) -> dict[str, np.ndarray]:
    return {key: value.numpy().copy() for key, value in module.state_dict().items()}


def saved(folder: Path, state: Any, *lines: str) -> Path:
    path = folder / "net.safetensors"
    save_file({key: np.ascontiguousarray(value) for key, value in state.items()}, path)
    (folder / "net.toml").write_text("\n".join(["[network]", *lines, ""]))
    return path


def problems_of(source: Any, **options: Any) -> str:
    with pytest.raises(ImportNetworkError) as caught:
        l2l.import_network(source, **options)
    return str(caught.value)


# ---------------------------------------------------------------- equality


@STEADY
@given(
    kind=st.sampled_from(
        ["S4D", "ours", "liquid", "bilinear", "zoh", "shared", "nplr 5", "nplr 7"]
    ),
    seed=st.integers(0, 99), length=st.sampled_from([0, 64]),
)  # fmt: skip
def test_every_kernel(kind: str, seed: int, length: int) -> None:
    module = made(kind, seed, length=length)
    x = samples(seed=seed)
    expected = answer(module, x)
    try:
        found = l2l.import_network(module).evaluate(x).outputs
    except ImportNetworkError as error:  # of random weights, some channels cancel
        assert kind.startswith("nplr") and "its modes cancel each other" in str(error)
        return
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * max(1, abs(expected).max()))


def test_ours_answer_as_theirs() -> None:
    module = made("S4D", 3)
    mine = ours.S4D(4, 8).double()
    mine.load_state_dict(module.state_dict())
    np.testing.assert_allclose(answer(mine, samples()), answer(module, samples()), atol=1e-12)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm, nn.Identity])
@pytest.mark.parametrize("prenorm", [True, False])
@pytest.mark.parametrize("kind", ["S4Model", "SequenceModel"])
def test_whole_networks(kind: str, prenorm: bool, norm: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    if kind == "S4Model":
        module: Any = theirs.S4Model(3, 2, 6, 2, prenorm=prenorm, norm=norm)
    else:
        layers = [S4(6, theirs.DiagonalKernel(6, 8)) for _ in range(2)]
        own = None if norm is nn.Identity else norm
        module = theirs.SequenceModel(3, 2, 6, layers, norm=own, prenorm=prenorm)
    module = module.double()
    for _ in range(3):  # running statistics
        module(torch.randn(4, 20, 3).double() * 2 + 1)
    module.eval()
    x = samples(inputs=3)
    expected = module(torch.from_numpy(x)).detach().numpy()
    path = saved(
        tmp_path, state_of(module),
        f'module = "{kind}"', f"prenorm = {str(prenorm).lower()}", 'pool = "mean"',
    )  # fmt: skip
    read = l2l.import_network(path)
    assert read.host == ("mean over time",)
    sources = [read] if kind == "SequenceModel" else [read, l2l.import_network(module)]
    for found in sources:
        np.testing.assert_allclose(found.evaluate(x).outputs.mean(axis=1), expected, atol=1e-9)


@pytest.mark.parametrize("kind", [ours.S4D, ours.LiquidS4D])
def test_our_modules_keep_the_contract(kind: Any) -> None:
    torch.manual_seed(0)
    report = check_importer(kind(2, 4, transposed=False).double().eval(), samples(1, 4, 2))
    assert "alive, checkpoint, inside a Sequential, trained alone" in report.summary()


def test_a_whole_network_trains_for_the_chip_as_it_is_called() -> None:
    torch.manual_seed(0)
    module = ours.S4Model(2, 3, 4, 1, 4)
    chip = l2l.qat.prepare(module, "w8a12", calibrate=samples(inputs=2))
    x = torch.from_numpy(samples(inputs=2)).float()
    assert chip.train()(x).shape == chip.eval()(x).shape == module(x).shape == (2, 3)
    expected = l2l.simulate(chip.export(), x.numpy()).outputs.mean(axis=1)
    np.testing.assert_allclose(chip(x).detach().numpy(), expected, rtol=1e-6)


def test_channels_first_trains_for_the_chip_as_it_is_called() -> None:
    module = made("ours", 0).float()
    chip = l2l.qat.prepare(module, "w8a12", calibrate=samples())
    x = torch.from_numpy(samples()).float().transpose(1, 2)
    assert chip.train()(x)[0].shape == module(x)[0].shape == (2, 4, 30)
    assert chip(x[0])[0].shape == (4, 30)
    expected = l2l.simulate(chip.export(), samples().astype(np.float32)).outputs
    np.testing.assert_array_equal(
        chip.eval()(x)[0].numpy(), expected.swapaxes(1, 2).astype(np.float32)
    )


def test_a_layer_alone_converts_with_channels_before_the_time() -> None:
    module = made("S4D", 2)
    x = torch.from_numpy(samples()).transpose(1, 2)
    converted = l2l.convert(module, x)
    found = converted.quantize(calibrate=[(x,)]).predict(x)[0].numpy()
    assert found.shape == (2, 4, 30)
    assert np.abs(found - module(x)[0].detach().numpy()).max() < 0.05


def test_blocks_of_a_live_module_are_one_part_on_the_chip() -> None:
    torch.manual_seed(0)
    module = ours.S4Model(3, 2, 4, 2, 4, norm=nn.BatchNorm1d, prenorm=True).double().eval()
    converted = l2l.convert(module, torch.from_numpy(samples(inputs=3)))
    assert [part.name for part in converted.parts][1:] == ["after"]
    assert "mean combines the samples of a sequence" in str(converted)


def test_a_lightning_file_with_objects_in_it(tmp_path: Path) -> None:
    module = theirs.SequenceModel(3, 2, 4, [S4(4, theirs.DiagonalKernel(4, 4))], norm=None)
    path = tmp_path / "last.ckpt"
    held = {"state_dict": module.state_dict(), "hyper_parameters": {"model": _Settings()}}
    torch.save(held, path)
    path.with_suffix(".toml").write_text('[network]\nmodule = "SequenceModel"\npool = "last"\n')
    read = l2l.import_network(path)
    assert not read.host and read.layers[1].input_size == 4


def test_a_lightning_file_that_would_run_something(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return eval, ("1",)

    path = tmp_path / "last.ckpt"
    module = theirs.S4D(4, 4)
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": Runs()}, path)
    path.with_suffix(".toml").write_text('[network]\nmodule = "S4D"\n')
    assert 'torch.save(ckpt["state_dict"], path)' in problems_of(path)


class _Settings:
    """What OmegaConf leaves in a file."""

    path = "x"


# ---------------------------------------------------------------- refusals


def test_what_has_no_diagonal_form_is_refused_by_number() -> None:
    said = problems_of(made("nplr 8", 0))
    assert "in 4 of 4 channels its modes cancel each other" in said
    assert f"can be {LARGEST_CANCELLATION:g} times at most" in said and "It has 8 states" in said


def test_both_directions_are_refused(tmp_path: Path) -> None:
    module = S4(4, theirs.DiagonalKernel(4, 8, sides=2))
    path = saved(tmp_path, state_of(module), 'module = "S4"')
    assert "2 kernels for each channel: of a layer with bidirectional = true" in problems_of(path)
    module = made("bilinear", 1)
    module.bidirectional = True
    assert "half of its answer to a sample depends on samples" in problems_of(module)


class TestLiquidS4:
    """What is known of github.com/raminmh/liquid-s4 is said, and measured."""

    def live(self) -> Any:
        class S4(theirs.FrameworkS4):
            """The liquid term reads the last two samples first, as allcombs = False has it."""

            def forward(self, u: Any) -> Any:
                y, _ = super().forward(u)
                late = u.flip(-1)[..., :-1] * u.flip(-1)[..., 1:]
                return y + nn.functional.pad(0.05 * late, (0, 1)), None

        module = S4(4, theirs.DiagonalKernel(4, 8)).double().eval()
        held = module.kernel
        held.B, held.C, held.w, held.log_dt = (torch.ones(4, 4) for _ in range(4))
        return module

    def test_alive(self, caplog: pytest.LogCaptureFixture) -> None:
        torch.manual_seed(0)
        network = l2l.import_network(self.live())
        assert "its liquid term is not imported: it reads samples that are still" in caplog.text
        assert "its liquid term is not imported" in network.source["no part in inference"]

    def test_what_is_dropped_is_measured(self) -> None:
        torch.manual_seed(0)
        module = self.live()
        found = liquid.dropped(module, samples())
        truth = answer(module, samples())
        rest = l2l.import_network(module).evaluate(samples()).outputs
        share = np.sqrt(np.mean((rest - truth) ** 2) / np.mean(truth**2))
        assert found.share == pytest.approx(share) and 0.01 < share < 0.5
        assert found.worst[0] >= share and 0 <= found.agreement <= 1 and found.samples == 60
        assert "of the answers to 60 samples are not imported" in found.summary()
        assert liquid.dropped(made("bilinear", 1), samples()).share < 1e-9
        with pytest.raises(InputError, match="give a layer or network of S4"):
            liquid.dropped(nn.GRU(3, 4), samples())
        with pytest.raises(InputError, match=r"x: has shape \(2, 30, 3\); give"):
            liquid.dropped(module, samples(inputs=3))

    def test_from_a_file(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        module = theirs.SequenceModel(3, 2, 4, [S4(4, theirs.DiagonalKernel(4, 4))], norm=None)
        path = saved(tmp_path, state_of(module), 'module = "Liquid-S4"', 'pool = "mean"')
        assert "mean over time" in l2l.import_network(path).host
        assert "net.toml: its liquid term is not imported" in caplog.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoder.0.bias": None}, "so it is an Embedding and no Linear; look up tokens"),
        ({"encoder.0.weight": None}, "0 keys are the encoder's weight, expected one"),
        ({"model.layers.0.norm.norm.running_mean": None}, "keys that a SequenceModel does not"),
        ({"model.norm.norm.m": np.ones(1)}, "the key model.norm.norm.s is missing"),
        ({"model.layers.0.layer.kernel.kernel.inv_dt": np.ones(4)}, "keys such as kernel.inv_dt"),
        ({"model.layers.0.layer.gate.weight": np.ones(4)}, "keys that a SequenceModel does not"),
        ({"model.layers.0.layer.D": np.ones((1, 5))}, "layer.D has shape (1, 5), expected (1, 4)"),
        ({"model.layers.0.layer.kernel.kernel.log_dt": np.full(4, 900.0)}, "modes of 16 do not"),
        ({"model.layers.0.layer.kernel.kernel.log_dt": np.ones((2, 2))}, "expected (any)"),
        ({"model.layers.0.layer.output_linear.0.weight": np.ones((7, 4, 1))}, "has 7 rows; exp"),
        ({"model.layers.0.layer.kernel.kernel.C": np.ones((1, 4, 4))}, "expected (1, 4, 4, 2)"),
    ],
)
def test_wrong_arrays(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = theirs.SequenceModel(3, 2, 4, [S4(4, theirs.DiagonalKernel(4, 8))])
    state = state_of(module) | change
    state = {key: np.asarray(a, np.float32) for key, a in state.items() if a is not None}
    state = {key: a for key, a in state.items() if not key.endswith("num_batches_tracked")}
    lines = 'module = "SequenceModel"', "prenorm = true", 'pool = "mean"'
    assert said in problems_of(saved(tmp_path, state, *lines))


def test_what_a_description_has_to_say(tmp_path: Path) -> None:
    module = theirs.S4Model(3, 2, 4, 1, norm=nn.BatchNorm1d)
    state = state_of(module)
    path = saved(tmp_path, state, 'module = "S4Model"')
    assert "the key 'pool' is missing" in problems_of(path)
    path = saved(tmp_path, state, 'module = "S4Model"', 'pool = "mean"')
    assert "prenorm is not in net.toml, and its blocks have norms" in problems_of(path)
    path = saved(tmp_path, state, 'module = "S4Model"', 'pool = "mean"', 'activation = "swash"')
    assert "activation: " in problems_of(path)
    path = saved(tmp_path, state, 'module = "S4D"')
    assert "write prefix = 's4_layers.0.' in net.toml" in problems_of(path)
    path = saved(tmp_path, state, 'module = "S4D"', 'prefix = "s4_layers.0."')
    assert l2l.import_network(path).layers[0].units == 4
    path = saved(tmp_path, state, 'module = "SequenceModel"', 'pool = "mean"')
    assert "it is not the state_dict of a SequenceModel, whose blocks" in problems_of(path)
    whole = {f"net.{key}": a for key, a in state.items()}
    path = saved(tmp_path, whole, 'module = "S4Model"', "prenorm = false", 'pool = "none"',
                 'prefix = "net."')  # fmt: skip
    assert not l2l.import_network(path).host


STAGES = """
[[network.stage]]
module = "torch.nn.Linear"
prefix = "enc."
activation = "tanh"

[[network.stage]]
module = "{}"
prefix = "own."
{}
"""


def test_layers_are_stages_of_a_larger_file_and_networks_are_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    parts = nn.ModuleDict({"enc": nn.Linear(3, 4), "own": made("ours", 0)}).double()
    path = saved(tmp_path, state_of(parts), STAGES.format("S4D", ""))
    x = samples(inputs=3)
    with torch.no_grad():
        heard = torch.tanh(parts["enc"](torch.from_numpy(x))).numpy()
    found = l2l.import_network(path).evaluate(x).outputs
    np.testing.assert_allclose(found, answer(parts["own"], heard), atol=1e-9)
    parts["own"] = ours.S4Model(4, 2, 4, 1, 4).double()
    path = saved(tmp_path, state_of(parts), STAGES.format("S4Model", 'pool = "mean"'))
    assert "own is a whole network, whose layers do not follow each other" in problems_of(path)


def test_where_the_framework_normalises_follows_from_its_last_norm(tmp_path: Path) -> None:
    for prenorm in (True, False):
        torch.manual_seed(0)
        module = theirs.SequenceModel(
            3, 2, 4, [made("zoh", 1)], norm=nn.LayerNorm, prenorm=prenorm
        ).double()
        lines = 'module = "SequenceModel"', 'pool = "none"', 'discretization = "zoh"'
        path = saved(tmp_path, state_of(module), *lines)
        found = l2l.import_network(path).evaluate(samples(inputs=3)).outputs
        expected = module.steps(torch.from_numpy(samples(inputs=3))).detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-9)
        path = saved(tmp_path, state_of(module), *lines, f"prenorm = {str(not prenorm).lower()}")
        assert f"has {'a' if prenorm else 'no'} last norm (model.norm.), which" in problems_of(path)


def test_what_is_proposed_is_what_is_read(tmp_path: Path) -> None:
    for module, named in (
        (made("S4D", 0), "S4D"), (made("liquid", 0), "LiquidS4D"), (made("bilinear", 1), "S4"),
        (theirs.S4Model(3, 2, 4, 1), "S4Model"),
        (theirs.SequenceModel(3, 2, 4, [made("zoh", 1)]), "SequenceModel"),
    ):  # fmt: skip
        path = tmp_path / f"{named}.safetensors"
        save_file(state_of(module), path)
        assert f'module = "{named}"' in l2l.propose_description(path).text


class _Another(theirs.S4D):
    """Of that name, and another equation."""

    def forward(self, u: Any, **kwargs: Any) -> Any:
        y, state = super().forward(u)
        return 2 * y, state


_Another.__name__ = "S4D"


def test_a_class_that_is_only_called_so_is_refused() -> None:
    said = problems_of(_Another(4, 8).double().eval())
    assert "S4D answers otherwise than its parts say, by" in said
    wrong: Any = theirs.S4D(4, 8)
    wrong.activation = nn.Mish()
    assert "its activation, a Mish, has no integers here" in problems_of(wrong)


def test_layers_that_cannot_be() -> None:
    fine = state_space("a")
    with pytest.raises(NetworkError, match="a.log_decay is 5 in mode 0 and outside of -14 to 4"):
        l2l.LiquidNetwork("n", (_changed(fine, log_decay=np.full(12, 5.0)),))
    with pytest.raises(NetworkError, match=r"a.angle has shape \(3,\), expected \(12,\) finite"):
        l2l.LiquidNetwork("n", (_changed(fine, angle=np.ones(3)),))
    with pytest.raises(NetworkError, match="mix has 4 columns, expected those of 3 inputs and 12"):
        l2l.LiquidNetwork("n", (_changed(fine, mix=Linear(SUM, np.ones((3, 4)), np.zeros(3))),))
    with pytest.raises(NetworkError, match="a.share is 1 in mode 0 and outside of 0 to 0.95 in 12"):
        l2l.LiquidNetwork("n", (_changed(state_space("a", liquid=True), share=np.ones(12)),))
    odd = l2l.GLULayer("g", *(Linear("x", np.ones((2, n)), np.zeros(2)) for n in (3, 4)))
    with pytest.raises(NetworkError, match="g: the weights differ in shape"):
        l2l.LiquidNetwork("n", (odd,))


def _changed(layer: Any, **fields: Any) -> Any:
    from dataclasses import replace

    return replace(layer, **fields)


@settings(STEADY, max_examples=20)
@given(data=st.data())
def test_any_arrays_are_read_or_refused(data: st.DataObject, tmp_path_factory: Any) -> None:
    """Keys of a network, of other shapes, kinds and values."""
    torch.manual_seed(0)
    kind = data.draw(st.sampled_from(["bilinear", "nplr 7"]))
    state = state_of(theirs.SequenceModel(3, 2, 4, [made(kind, 1)]).double())
    keys = data.draw(st.lists(st.sampled_from(sorted(state)), min_size=1, max_size=3))
    shapes = st.lists(st.sampled_from([0, 1, 2, 4, 8]), max_size=4).map(tuple)
    for key in keys:
        shape = data.draw(st.one_of(st.just(state[key].shape), shapes))
        kinds = st.sampled_from([np.float64, np.float32, np.int64, np.int8])
        values = st.sampled_from([0.0, 1.0, -1.0, 1e9, -1e9, np.nan, np.inf])
        with np.errstate(invalid="ignore"):
            state[key] = np.full(shape, data.draw(values)).astype(data.draw(kinds))
    module = data.draw(st.sampled_from(["SequenceModel", "S4Model", "S4", "Liquid-S4", "S4D"]))
    lines = [f'module = "{module}"']
    lines += ['pool = "mean"', "prenorm = true"] if module not in ("S4", "S4D") else []
    path = saved(tmp_path_factory.mktemp("any"), state, *lines)
    try:
        found = l2l.import_network(path)
    except ImportNetworkError as error:
        assert error.problems
    else:
        assert np.isfinite(found.evaluate(samples(1, 3, 3)).outputs).all()


# ---------------------------------------------------------------- integers


def test_layers_and_programs_do_what_they_do_for_the_prototype() -> None:
    """Instructions of a mode, liquid or not, and of what follows; the reference has 45 and 61."""
    for is_liquid, most in ((False, 45), (True, 61)):
        program = l2l.quantize(network(liquid=is_liquid), samples(inputs=2))
        counts = {p.name: p.program.instruction_count for p in program.populations}
        assert counts["space_0.modes"] <= most
        assert counts["space_0"] <= 24 and counts["glu_0"] <= 38
        assert program.steps_per_sample == 1


def test_integers_follow_the_floats() -> None:
    x = samples(4, 100, inputs=2)
    for is_liquid in (False, True):
        net = network(3, liquid=is_liquid)
        truth = net.evaluate(x).outputs
        found = l2l.simulate(l2l.quantize(net, x, "w8a12"), x).outputs
        assert np.sqrt(np.mean((found - truth) ** 2) / np.mean(truth**2)) < 0.02


def test_integers_of_low_rank_kernels() -> None:
    module = made("nplr 7", 0, channels=8)
    x = samples(4, 200, 8)
    net = l2l.import_network(module)
    truth = net.evaluate(x).outputs
    found = l2l.simulate(l2l.quantize(net, x), x).outputs
    assert np.sqrt(np.mean((found - truth) ** 2) / np.mean(truth**2)) < 0.012


def test_shipped_digits() -> None:
    rng = np.random.default_rng(0)
    for name in digits.NETWORKS:
        net, program = digits.load(name), digits.program(name)
        assert net.host == ("mean over time",) and net.output_size == 10
        assert net.input_size == program.channels == 1
        x = rng.uniform(-1, 1, (2, 64, 1))
        assert l2l.verify(program, x, "reference,blas").bit_exact
    with pytest.raises(InputError, match="network: is 'mamba'; there are s4d, liquid_s4d"):
        digits.load("mamba")


def test_files_that_are_no_digits(tmp_path: Path) -> None:
    path = tmp_path / "digits.npz"
    np.savez(path, x=np.zeros((3, 64, 1)), y=np.zeros(3))
    with pytest.raises(InputError, match=r"x has shape \(3, 64, 1\) and y \(3,\); expected"):
        digits_data.load(path)
    np.savez(path, x=np.zeros((3, 64, 1)))
    with pytest.raises(InputError, match="it cannot be read as digits"):
        digits_data.load(path)


@pytest.mark.parametrize("recipe", ["w8a12", "w4a8"])
def test_slow_modes_keep_their_pace(recipe: str) -> None:
    """One that forgets half a thousandth in a sample: with its factor in 15 bits it would have a
    pace that is wrong by 3 %.
    """
    layer = state_space("a", 1, 1, steps=(0.001, 0.001))
    layer = _changed(layer, real=np.ones(1), imaginary=np.zeros(1), activation="identity")
    layer = _changed(layer, mix=Linear(SUM, np.array([[0.0, 1.0]]), np.zeros(1)))
    net = l2l.LiquidNetwork("slow", (layer,))
    x = np.zeros((1, 2600, 1))
    x[:, :1000] = 1.0
    program = l2l.quantize(net, x, recipe)
    states = l2l.simulate(program, x, return_states=True).states
    assert states is not None
    held = states["a.modes"]["re"][0, :, 0].astype(float)
    found = np.log(held[2500] / held[1200]) / np.log(np.exp(-np.exp(layer.log_decay[0]) * 1300))
    assert found == pytest.approx(1.0, abs=2e-3)


@STEADY
@given(
    log_decay=st.floats(*LOG_DECAYS), angle=st.floats(-4, 4), share=st.floats(0, LARGEST_SHARE),
    direction=st.floats(-4, 4), u=st.floats(-1, 1),
)  # fmt: skip
def test_no_input_makes_a_liquid_mode_grow(
    log_decay: float, angle: float, share: float, direction: float, u: float
) -> None:
    kept = np.exp(-np.exp(log_decay))
    beta = share * (1.0 - kept) * np.exp(1j * direction)
    assert abs(kept * np.exp(1j * angle) + beta * u) < 1.0


def test_the_worst_input_leaves_a_liquid_state_within_its_bound() -> None:
    layer: Any = state_space("a", 2, 3, liquid=True, seed=4)
    net = l2l.LiquidNetwork("worst", (layer,))
    rng = np.random.default_rng(0)
    x = rng.choice([-50.0, 50.0], (4, 1)).repeat(1000, 1)[..., None].repeat(2, -1)
    memory = net.evaluate(x).memory["a.modes"]
    size = np.hypot(memory["re"], memory["im"]).max(axis=(0, 1))
    assert (size <= (1 + 1e-9) / (1.0 - layer.share)).all()
    assert l2l.verify(l2l.quantize(net, x), x[:2, :50], "reference,blas").bit_exact
    # 3,000 times as far as makes a difference, which no word holds.
    far = _changed(layer, drive=Linear("drive", 3e3 * layer.drive.weight, layer.drive.bias))
    near = samples(2, 40, 2)
    far_net = l2l.LiquidNetwork("far", (far,))
    found = l2l.simulate(l2l.quantize(far_net, near), near).outputs
    truth = far_net.evaluate(near).outputs
    assert np.abs(found - truth).max() < 0.02 * np.abs(truth).max()


def test_what_leaves_the_calibrated_range_is_counted() -> None:
    net = l2l.LiquidNetwork("net", (state_space("a", 2, 2), gated("g", 2, 2, False)))
    x = samples(inputs=2)
    wide = _changed(net, input_scale=np.full(2, 0.125))
    program = l2l.quantize(net, x)
    result = l2l.simulate(program, 40 * x)
    assert result.saturations  # inputs, where all else was told of their ends
    program = l2l.quantize(wide, 0.02 * x)
    found = l2l.simulate(program, np.full((1, 2000, 2), 0.02 * x.max())).saturated_words
    assert found is not None
    words = found["a.modes"]
    assert set(words) >= {"re", "im", "message"} and sum(w.sum() for w in words.values()) > 0


def test_modes_that_do_not_forget_are_named() -> None:
    modes = Modes(np.array([0.5, 1.0 + 0j, 1.5]), np.ones(3, complex), np.array([0, 0, 1]))
    (said,) = modes.problems()
    assert "2 modes of 3 do not forget: of channel 1 one is multiplied by 1.5" in said


def test_a_gate_that_lets_nothing_through() -> None:
    """A message far smaller than what the gate holds back."""
    value = Linear("value", np.eye(2), np.zeros(2))
    gate = Linear("gate", np.zeros((2, 2)), np.full(2, -9.0))
    net = l2l.LiquidNetwork("shut", (l2l.GLULayer("g", value, gate),))
    x = samples(inputs=2)
    program = l2l.quantize(net, x)
    found, truth = l2l.simulate(program, x).outputs, net.evaluate(x).outputs
    assert (
        np.abs(found - truth).max() < 4e-4 * np.abs(x).max() + 2 * program.populations[0].scale[0]
    )
    far = Linear("gate", np.zeros((2, 2)), np.full(2, -20.0))
    with pytest.raises(QuantizationError, match="its gates let through at most"):
        l2l.quantize(l2l.LiquidNetwork("shut", (l2l.GLULayer("g", value, far),)), x)
