"""LayerNorm and RMSNorm: the neuron programs over all arguments, networks, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_bounds import assert_inside, execute

import lnn2loihi as l2l
from lnn2loihi.errors import NetworkError, QuantizationError
from lnn2loihi.families.layer_norm.layer import SquareStage
from lnn2loihi.families.layer_norm.lowering import SquareLowering
from lnn2loihi.families.layer_norm.neuron import (
    LARGEST_REDUCTIONS,
    POWER_BITS,
    normalised_program,
    root_program,
    square_program,
)
from lnn2loihi.formats import signed_range
from lnn2loihi.layers.stage import INPUT, StageSource
from lnn2loihi.neurons.bounds import IntegerInterval, prove
from lnn2loihi.neurons.instructions import NeuronProgram

SUPPRESSED = [HealthCheck.too_slow]


def linear(outputs: int, inputs: int, seed: int = 0) -> l2l.Linear:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(outputs, inputs)) / inputs**0.5
    return l2l.Linear("linear", weight, 0.3 * rng.normal(size=outputs))


def samples(inputs: int, spread: float, seed: int = 1) -> Any:
    """Sequences whose samples differ in size."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(32, 16, inputs))
    return x * np.exp(spread * rng.normal(size=(32, 16, 1)))


def alone(layer: Any) -> l2l.LiquidNetwork:
    return l2l.LiquidNetwork("n", (layer,))


def run(program: NeuronProgram, bits: int, parameters: dict[str, Any], **sums: Any) -> Any:
    """All words, each within its proved interval; a factor is never negative."""
    words = {**sums, **parameters}
    for gate in sums:
        words |= {f"{gate}.bias": np.array(0), f"{gate}.multiplier": np.array(1)}
    ends = IntegerInterval.of(*signed_range(bits))
    known = {name: IntegerInterval.of(0, 32767) if name == "factor" else ends for name in sums}
    given = {name: np.atleast_1d(words[name]) for name in program.parameter_names}
    proved = prove(program, known, given)
    assert not proved.problems
    made = execute(program, words)
    assert_inside(proved, made)
    return made


class TestPrograms:
    @pytest.mark.parametrize("reductions", range(LARGEST_REDUCTIONS + 1))
    def test_the_reciprocal_root_of_every_sum(self, reductions: int) -> None:
        """Within a thousandth, and half a step of the message."""
        x = np.arange(-300, (1 << POWER_BITS) + 300)
        made = run(root_program((0,), reductions), 23, {}, power=x)
        least = 1 << (POWER_BITS - 2 - 2 * reductions)
        held = np.clip(x, least, (1 << POWER_BITS) - 1)
        wanted = 2.0**15 * np.sqrt(least / held)
        error = np.abs(made["message'"] - np.minimum(wanted, 32767))
        assert (error <= 0.51 + 1.1e-3 * wanted).all()

    @pytest.mark.parametrize("bits", [8, 13, 16])
    def test_squares_are_rounded_half_up(self, bits: int) -> None:
        x = np.arange(-(1 << 14), 1 << 14)
        shift = 29 - bits
        made = run(square_program((0,), shift, bits), 15, {}, value=x)
        wanted = np.floor(x * x / 2.0**shift + 0.5)
        np.testing.assert_array_equal(made["message'"], np.minimum(wanted, (1 << (bits - 1)) - 1))

    @given(shift=st.integers(0, 16), bits=st.integers(2, 16), seed=st.integers(0, 1 << 30))
    @settings(deadline=None, suppress_health_check=SUPPRESSED)
    def test_products_are_rounded_once(self, shift: int, bits: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        value, factor = rng.integers(-(1 << 14), 1 << 14, 50), rng.integers(0, 1 << 15, 50)
        gain, limit = rng.integers(-32767, 32768, 50), 1 << 20
        added = rng.integers(-limit, limit, 50)
        finer = max(shift - max(shift - 4, 7), 0)
        half = (1 << finer) >> 1
        parameters = {"gain": gain, "shift": added + half}
        made = run(
            normalised_program((0, 0), shift, bits), 15, parameters,
            value=value, factor=factor,
        )  # fmt: skip
        wanted = value * ((factor * gain) >> 15) / 2.0**shift + added / 2.0**finer
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        # What is below the guard bits, or below the word's unit, is cut.
        allowed = 0.5 + 2.0 ** (max(shift - 4, 7) - shift)
        assert (np.abs(made["message'"] - np.clip(wanted, low, high)) <= allowed).all()


class TestNetworks:
    @pytest.mark.parametrize("centre", [True, False])
    def test_the_float_layer_is_torch(self, centre: bool) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        if not centre and not hasattr(torch.nn, "RMSNorm"):
            pytest.skip("this PyTorch has no RMSNorm")
        rng = np.random.default_rng(3)
        gain, shift, own = rng.normal(size=6), rng.normal(size=6), linear(6, 4)
        module = (torch.nn.LayerNorm if centre else torch.nn.RMSNorm)(6, eps=1e-3).double()
        module.weight.data = torch.tensor(gain)
        if centre:
            module.bias.data = torch.tensor(shift)
            layer = l2l.LayerNormLayer.of("norm", own, gain, shift, 1e-3)
        else:
            layer = l2l.LayerNormLayer("norm", own, gain, np.zeros(6), 1e-3)
        x = samples(4, 0.5)
        with torch.no_grad():
            wanted = module(torch.tensor(own(x))).numpy()
        np.testing.assert_allclose(alone(layer).evaluate(x).outputs, wanted, atol=1e-12)

    @pytest.mark.parametrize(
        ("units", "spread", "limit"),
        [(5, 0.3, 0.01), (32, 0.3, 0.01), (300, 0.3, 0.02), (32, 0.6, 0.01)],
    )
    def test_integers_follow(self, units: int, spread: float, limit: float) -> None:
        rng = np.random.default_rng(4)
        layer = l2l.LayerNormLayer.of(
            "norm", linear(units, 17), rng.normal(size=units), rng.normal(size=units)
        )
        x = samples(17, spread)
        program = l2l.quantize(alone(layer), x)
        heard = program.input.decode(program.input.encode(x)[0])
        wanted = alone(layer).evaluate(heard).outputs
        difference = l2l.simulate(program, x).outputs - wanted
        assert np.sqrt(np.mean(difference**2) / np.mean(wanted**2)) < limit

    @pytest.mark.parametrize("recipe", ["w2a12", "w4a8", "w8a16"])
    def test_what_is_no_weight_is_exact(self, recipe: str) -> None:
        """Identities and sums have mantissas of 1 with every recipe."""
        layer = l2l.LayerNormLayer.of("norm", linear(6, 4))
        program = l2l.quantize(alone(layer), samples(4, 0.3), recipe)
        for name in ("norm.squares", "norm.root", "norm"):
            for connection in program.incoming(name):
                assert set(connection.unrolled().mantissas.tolist()) == {1}

    def test_gains_of_every_size_and_sign(self) -> None:
        """Units with small gains have messages of their own scale, and none is worth nothing."""
        gain = np.array([3.0, -3.0, 0.01, -0.002, 0.0, 1.0])
        layer = l2l.LayerNormLayer.of("norm", linear(6, 4), gain, np.array([0, 0, 0, 0, 0.5, 0]))
        x = samples(4, 0.3)
        program = l2l.quantize(alone(layer), x)
        got, wanted = l2l.simulate(program, x).outputs, alone(layer).evaluate(x).outputs
        error = np.sqrt(((got - wanted) ** 2).mean(axis=(0, 1)))
        size = np.maximum(wanted.std(axis=(0, 1)), 0.1 * np.abs(wanted).max(axis=(0, 1)))
        assert (error < 0.02 * size).all()

    def test_samples_without_a_size_answer_with_the_shift(self) -> None:
        own = l2l.Linear("linear", linear(6, 4).weight, np.zeros(6))
        layer = l2l.LayerNormLayer.of("norm", own, shift=np.arange(6.0))
        x = samples(4, 0.3)
        x[:, ::3] = 0.0
        program = l2l.quantize(alone(layer), x)
        result = l2l.simulate(program, x)
        np.testing.assert_allclose(
            result.outputs[:, ::3], np.broadcast_to(layer.shift, (32, 6, 6)), atol=0.03
        )
        # They are as good as any, and the clamp that they meet is counted.
        assert result.saturated_words is not None
        assert result.saturated_words["norm.root"]["power"].sum() >= 32 * 6

    def test_a_far_input_is_no_larger_than_a_near_one(self) -> None:
        """Whatever enters, sums that leave the range of calibration saturate, and are counted."""
        layer = l2l.LayerNormLayer.of("norm", linear(6, 4))
        x = samples(4, 0.3)
        program = l2l.quantize(alone(layer), x)
        result = l2l.simulate(program, 1000.0 * x[:, :3])
        assert np.abs(result.outputs).max() <= 2.0 * np.sqrt(6)
        assert result.saturations

    def test_it_stands_between_layers_with_a_residual(self) -> None:
        """x + norm(x), as pre-norm blocks have it: the norm and what goes past it."""
        rng = np.random.default_rng(5)
        before = l2l.DenseLayer("before", linear(6, 4), "tanh")
        norm = l2l.LayerNormLayer.of("norm", l2l.Linear("l", np.eye(6), np.zeros(6)))
        after = l2l.DenseLayer(
            "after", l2l.Linear("l", rng.normal(size=(3, 12)), np.zeros(3)), "identity"
        )
        network = l2l.LiquidNetwork("n", (before, norm, after), hears={"after": ("before", "norm")})
        x = samples(4, 0.2)
        program = l2l.quantize(network, x)
        assert l2l.verify(program, x[:4], ("reference", "blas")).bit_exact
        got, wanted = l2l.simulate(program, x).outputs, network.evaluate(x).outputs
        assert np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)) < 0.02


class TestRefused:
    def test_arrays_that_do_not_fit(self) -> None:
        with pytest.raises(NetworkError) as found:
            alone(l2l.LayerNormLayer("norm", linear(6, 4), np.ones(5), np.full(6, np.nan), 0.0))
        said = str(found.value)
        assert "norm: gain has shape (5,), expected (6,)" in said
        assert "norm: shift holds NaN or infinite values" in said
        assert "norm: epsilon is 0; give a number above 0" in said

    def test_one_unit(self) -> None:
        with pytest.raises(NetworkError, match="one unit normalised by itself is its sign"):
            alone(l2l.LayerNormLayer("norm", linear(1, 4), np.ones(1), np.zeros(1)))

    def test_gains_that_calibration_never_saw(self) -> None:
        """Two units are always 1 and -1, or the other way round; here the gain takes off what the
        shift adds.
        """
        own = l2l.Linear("linear", np.array([[1.0], [-1.0]]), np.array([8.0, -8.0]))
        layer = l2l.LayerNormLayer.of("norm", own, np.full(2, 5.0), np.array([-5.0, 5.0]))
        with pytest.raises(QuantizationError) as found:
            l2l.quantize(alone(layer), samples(1, 0.1))
        assert "its gains of up to 5 and shifts of up to 5 are far larger than its" in str(
            found.value
        )

    def test_more_units_than_an_accumulator_adds_up(self) -> None:
        units = (1 << 14) + 1
        gate = l2l.Linear("value", np.ones((units, 1)), np.zeros(units))
        square = SquareStage("norm.squares", (StageSource(INPUT, 1),), {"value": gate})
        with pytest.raises(QuantizationError, match="16385 units are normalised together; the sum"):
            SquareLowering().message_format(square, 1.0, l2l.Recipe())


class TestDescribed:
    @pytest.mark.parametrize("affine", [True, False])
    def test_a_stage_of_a_description(self, affine: bool, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        safetensors = pytest.importorskip("safetensors.torch")

        class Net(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(0)
                self.rnn = torch.nn.GRU(3, 5, batch_first=True)
                self.norm = torch.nn.LayerNorm(5, eps=1e-3, elementwise_affine=affine)
                self.out = torch.nn.Linear(5, 2)

            def forward(self, x: Any) -> Any:
                return self.out(self.norm(self.rnn(x)[0]))

        module = Net().eval()
        if affine:
            torch.nn.init.normal_(module.norm.weight)
            torch.nn.init.normal_(module.norm.bias)
        safetensors.save_file(module.state_dict(), tmp_path / "net.safetensors")
        prefix = 'prefix = "norm."\n' if affine else ""
        stages = [
            'module = "torch.nn.GRU"\nprefix = "rnn."\n',
            f'module = "torch.nn.LayerNorm"\n{prefix}eps = 1e-3\n',
            'module = "torch.nn.Linear"\nprefix = "out."\nactivation = "identity"\n',
        ]
        toml = tmp_path / "net.toml"
        toml.write_text("[network]\n" + "".join(f"[[network.stage]]\n{one}" for one in stages))
        network = l2l.import_network(tmp_path / "net.safetensors")
        x = samples(3, 0.5)
        wanted = l2l.import_network(module).evaluate(x).outputs
        np.testing.assert_array_equal(network.evaluate(x).outputs, wanted)
        toml.write_text(toml.read_text().replace("eps = 1e-3", "eps = 0"))
        with pytest.raises(l2l.ImportNetworkError, match="eps is 0; expected a number above 0"):
            l2l.import_network(tmp_path / "net.safetensors")
        toml.write_text(toml.read_text().replace("LayerNorm", "RMSNorm").replace("eps = 0\n", ""))
        with pytest.raises(l2l.ImportNetworkError, match="eps is missing: write what its module"):
            l2l.import_network(tmp_path / "net.safetensors")
