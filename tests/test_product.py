"""Products of two sums: the neuron program over all factors, formats, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import random_samples
from test_bounds import assert_inside, execute

import lnn2loihi as l2l
from lnn2loihi.errors import NetworkError, QuantizationError
from lnn2loihi.families.product.neuron import LEAST_SHIFT, product_program
from lnn2loihi.neurons.bounds import IntegerInterval, prove
from lnn2loihi.neurons.operations import Rescaling

OPERANDS = st.integers(-(1 << 15), (1 << 15) - 1)


def linear(weight: Any, bias: Any = 0.0) -> l2l.Linear:
    weight = np.asarray(weight, np.float64)
    return l2l.Linear("map", weight, np.broadcast_to(np.asarray(bias, np.float64), len(weight)))


def network(left: l2l.Linear, right: l2l.Linear) -> l2l.LiquidNetwork:
    return l2l.LiquidNetwork("n", (l2l.ProductLayer("p", left, right),))


def random_network(seed: int, units: int = 6, inputs: int = 4) -> l2l.LiquidNetwork:
    rng = np.random.default_rng(seed)
    return network(
        *(linear(rng.normal(size=(units, inputs)), rng.normal(size=units)) for _ in range(2))
    )


def run(shift: int, bits: int, left: Any, right: Any) -> dict[str, Any]:
    program = product_program((Rescaling(0, "operand"),) * 2, shift, bits)
    words = {"left": left, "right": right}
    for gate in ("left", "right"):
        words |= {f"{gate}.bias": np.array(0), f"{gate}.multiplier": np.array(1)}
    ends = IntegerInterval.of(-(1 << 22), 1 << 22)
    parameters = {name: np.atleast_1d(words[name]) for name in program.parameter_names}
    proved = prove(program, {"left": ends, "right": ends}, parameters)
    assert not proved.problems
    made = execute(program, words)
    assert_inside(proved, made)
    return made


class TestProgram:
    @pytest.mark.parametrize("shift", [-3, 0, 6, 7, 9, 11, 12, 18, 27])
    def test_the_product_of_any_operands_is_rounded_half_up(self, shift: int) -> None:
        """Every operand of 16 bits with some others; near half a step a product may go down."""
        left = np.repeat(np.arange(-(1 << 15) + 1, 1 << 15), 8)
        right = np.tile([-32767, -1001, -1, 0, 1, 7, 12345, 32767], left.size // 8)
        made = run(shift, 12, left, right)
        wanted = np.clip(left * right / 2.0**shift, -2048, 2047)
        # What is below the guard bits, or below the word's unit, is cut.
        step = 2.0 ** max(-4.0, min(LEAST_SHIFT - shift, 11))
        assert np.abs(made["message'"] - wanted).max() <= max(0.5, 0.0) + step

    @given(left=OPERANDS, right=OPERANDS, shift=st.integers(11, 31), bits=st.integers(2, 16))
    def test_guard_bits_decide_the_rounding(
        self, left: int, right: int, shift: int, bits: int
    ) -> None:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        held = max(min(left, 32767), -32767) * max(min(right, 32767), -32767)
        exact = ((held >> (shift - 4)) + 8) >> 4
        made = run(shift, bits, np.array([left]), np.array([right]))
        assert made["message'"][0] == max(min(exact, high), low)

    def test_factors_and_messages_that_saturate_are_counted(self) -> None:
        program = product_program((Rescaling(0, "operand"),) * 2, 18, 12)
        names = [saturation.name for saturation in program.saturations or ()]
        assert names == ["left.preactivation", "right.preactivation", "message"]


class TestNetworks:
    @given(seed=st.integers(0, 1000), bits=st.sampled_from(["w8a12", "w8a16", "w6a8", "w4a6"]))
    def test_any_product_is_quantized_and_proved(self, seed: int, bits: str) -> None:
        rng = np.random.default_rng(seed)
        made = random_network(seed, units=int(rng.integers(1, 7)))
        x = random_samples(seed, 4, 12, 4) * 10.0 ** rng.integers(-3, 4)
        program = l2l.quantize(made, x, bits)
        assert l2l.verify(program, x[:1], ("reference", "blas")).bit_exact

    def test_messages_keep_twelve_bits_where_the_factors_do(self) -> None:
        """With weights that mantissas hold exactly, only inputs and messages are rounded."""
        eye, none = np.eye(3), np.zeros((3, 3))
        made = network(linear(np.hstack([eye, none])), linear(np.hstack([none, eye])))
        x = random_samples(1, 8, 50, 6)
        program = l2l.quantize(made, x, "w8a12x16")
        floats, integers = made.evaluate(x).outputs, l2l.simulate(program, x).outputs
        steps = np.abs(floats - integers) / program.populations[0].scale
        assert np.abs(floats).max() > 1024 * program.populations[0].scale.max()
        assert steps.max() <= 2.0 and steps.mean() <= 0.35  # a quarter where only rounding counts

    def test_a_gated_signal(self) -> None:
        """tanh(o) * sigmoid(g), of two layers that hear the same."""
        rng = np.random.default_rng(3)
        eye, none = np.eye(8), np.zeros((8, 8))
        layers = (
            l2l.DenseLayer("o", linear(rng.normal(size=(8, 4))), "tanh"),
            l2l.DenseLayer("g", linear(rng.normal(size=(8, 4))), "sigmoid"),
            l2l.ProductLayer(
                "gated", linear(np.hstack([eye, none])), linear(np.hstack([none, eye]))
            ),
        )
        made = l2l.LiquidNetwork("n", layers, hears={"g": ("input",), "gated": ("o", "g")})
        x = random_samples(4, 8, 50, 4)
        np.testing.assert_allclose(
            made.evaluate(x).outputs,
            np.tanh(layers[0].linear(x)) / (1.0 + np.exp(-layers[1].linear(x))),
            atol=1e-12,
        )
        program = l2l.quantize(made, x, "w8a12")
        floats, integers = made.evaluate(x).outputs, l2l.simulate(program, x).outputs
        spread = floats.max(axis=(0, 1)) - floats.min(axis=(0, 1))
        assert (np.abs(floats - integers).max(axis=(0, 1)) / spread).max() < 0.02

    def test_it_hears_matrices_of_others(self) -> None:
        rng = np.random.default_rng(4)
        layer = random_network(4).layers[0]
        matrix, offset, x = rng.normal(size=(4, 7)), rng.normal(size=4), rng.normal(size=(9, 7))
        assert layer.can_hear(matrix)
        heard = layer.hearing(matrix, offset)
        given = l2l.LiquidNetwork("n", (layer,)).evaluate((x @ matrix.T + offset)[None]).outputs
        made = l2l.LiquidNetwork("n", (heard,)).evaluate(x[None]).outputs
        np.testing.assert_allclose(made, given, rtol=1e-9)

    def test_units_of_very_different_size(self) -> None:
        left = linear(np.diag([1.0, 0.3, 30.0]))
        made = network(left, linear(np.diag([2.0, 1e-2, 5.0]), 1.0))
        x = random_samples(5, 8, 50, 3)
        program = l2l.quantize(made, x, "w8a12")
        floats, integers = made.evaluate(x).outputs, l2l.simulate(program, x).outputs
        spread = floats.max(axis=(0, 1)) - floats.min(axis=(0, 1))
        assert (np.abs(floats - integers).max(axis=(0, 1)) / spread).max() < 0.02

    def test_what_leaves_the_calibrated_factors_is_counted(self) -> None:
        made = random_network(7)
        x = random_samples(6, 4, 30, 4)
        program = l2l.quantize(made, x)
        assert l2l.simulate(program, x).saturations == {}
        found = l2l.simulate(program, 30.0 * x).saturations
        assert found is not None
        assert found["p.message"] > 0 and found["p.right.preactivation"] > 0

    def test_factors_that_are_never_large_at_once_are_refused_where_16_bits_do_not_do(self) -> None:
        """One is 0 whenever the other is not, but for very little."""
        made = network(linear([[1.0, 0.0]]), linear([[0.0, 1.0]]))
        x = np.zeros((2, 40, 2))
        x[:, ::2, 0], x[:, 1::2, 1] = 1000.0, 1000.0
        x[0, 0, 1] = 1e-9
        with pytest.raises(QuantizationError) as caught:
            l2l.quantize(made, x)
        assert "unit 0 multiplies factors of up to 1e+03 and 1e+03, but no unit answers" in str(
            caught.value
        )

    def test_units_that_are_always_zero(self) -> None:
        made = network(linear([[1.0], [0.0]]), linear([[1.0], [0.0]], [0.0, 3.0]))
        x = random_samples(8, 2, 20, 1)
        program = l2l.quantize(made, x)
        assert not l2l.simulate(program, x).outputs[..., 1].any()


class TestLayer:
    def test_shapes_have_to_be_the_same(self) -> None:
        with pytest.raises(
            NetworkError, match=r"p: left has a weight of shape \(2, 3\), right one"
        ):
            network(linear(np.ones((2, 3))), linear(np.ones((2, 2))))

    def test_what_is_wrong_with_both_maps_is_said(self) -> None:
        with pytest.raises(NetworkError) as caught:
            network(linear([[np.nan]]), linear([[np.inf]]))
        assert "p.left.weight holds 1 NaN" in str(caught.value)
        assert "p.right.weight holds 1 NaN or infinite" in str(caught.value)

    def test_maps_have_the_names_of_their_gates(self) -> None:
        layer = l2l.ProductLayer("p", linear([[1.0]]), linear([[2.0]]))
        assert (layer.left.name, layer.right.name) == ("left", "right")
        assert set(layer.arrays()) == {
            "p.left.weight", "p.left.bias", "p.right.weight", "p.right.bias",
        }  # fmt: skip
