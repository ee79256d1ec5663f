"""Activations by their texts: what is read, what is folded, and the neuron programs of them all,
over every pre-activation of 16 bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import random_samples
from test_bounds import assert_inside, execute

import lnn2loihi as l2l
from lnn2loihi.errors import NetworkError
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.families.dense.neuron import (
    EXACT,
    dense_program,
    plain_function,
    square_bits,
    sum_fraction_bits,
)
from lnn2loihi.formats import FixedPoint, IntegerArray
from lnn2loihi.layers.activations import (
    ACTIVATION_NAMES,
    activation_problem,
    canonical,
    folded,
    folding_of,
    function_of,
    kind_of,
    text_of,
)
from lnn2loihi.layers.linear import SUM, Linear
from lnn2loihi.layers.stage import INPUT, StageSource
from lnn2loihi.neurons.bounds import IntegerInterval, prove
from lnn2loihi.neurons.instructions import NeuronProgram

#: One text of each kind at least, as a stage may have it, and the instructions from sum to message.
STAGES = {
    "relu": 9, "leaky_relu(0.01)": 12, "leaky_relu(0.25)": 10, "leaky_relu(-0.7)": 12,
    "leaky_relu(7.5)": 12, "abs": 10, "square": 11, "clamp(-1,1)": 10, "clamp(0.1,inf)": 9,
    "clamp(-inf,0.7)": 8, "clamp(0,6)": 10, "gelu_tanh": 22, "hard_swish": 19, "elu(1)": 26,
    "elu(0.001)": 26, "elu(1.6732632423543772)": 26, "softplus(1)": 24, "log_sigmoid": 26,
}  # fmt: skip
WORDS = np.arange(-(1 << 15), 1 << 15)


def program_of(activation: str, form: FixedPoint, coarser: int = 0) -> NeuronProgram:
    return dense_program(0, activation, form.bits, form.fraction_bits, "ramp12", coarser)


def run(program: NeuronProgram, x: IntegerArray) -> dict[str, IntegerArray]:
    one = np.array(1)
    return execute(program, {SUM: x, f"{SUM}.bias": 0 * one, f"{SUM}.multiplier": one})


def steps_of(activation: str, form: FixedPoint) -> float:
    """Steps of the pre-activation per 1.0."""
    kind, numbers = kind_of(activation)
    if kind == "square":
        return 2.0 ** ((form.fraction_bits + square_bits(form.bits)) / 2)
    steeper = max(numbers[0], 1.0) if kind == "leaky_relu" else 1.0
    return 2.0 ** sum_fraction_bits(activation, form.fraction_bits) * steeper


def error_of(activation: str, form: FixedPoint) -> float:
    """What the message may differ by, but for its own rounding."""
    function = plain_function(activation)
    if function is not None:
        return function.error
    kind, _ = kind_of(activation)
    if kind in ("leaky_relu", "clamp", "square"):  # rounding of the ends, or of what leaks
        return form.step / 4
    return 0.0


class TestPrograms:
    @pytest.mark.parametrize("fraction_bits", [11, 9, 5])
    @pytest.mark.parametrize("activation", STAGES)
    def test_messages_are_right_for_every_word_of_16_bits(
        self, activation: str, fraction_bits: int
    ) -> None:
        form = FixedPoint(12, fraction_bits)
        far = [-(1 << 22), -(1 << 19), 1 << 19, 1 << 22]
        x = np.r_[WORDS, far]
        words = run(program_of(activation, form), x)
        wanted = function_of(activation)(x / steps_of(activation, form))
        held = np.clip(wanted, form.low * form.step, form.high * form.step)
        error = np.abs(words["message'"] * form.step - held)
        assert error.max() <= error_of(activation, form) + 0.5 * form.step * (1 + 2**-10)

    @pytest.mark.parametrize("activation", STAGES)
    def test_any_word_is_proved(self, activation: str) -> None:
        form = FixedPoint(12, 9)
        program = program_of(activation, form)
        ends = -(1 << 23) + (1 << 11), (1 << 23) - (1 << 11)
        one = np.ones(1, np.int64)
        parameters = {f"{SUM}.bias": 0 * one, f"{SUM}.multiplier": one}
        proved = prove(program, {SUM: IntegerInterval.of(*ends)}, parameters)
        assert not proved.problems
        assert_inside(proved, run(program, np.r_[WORDS, ends]))

    @pytest.mark.parametrize("activation", STAGES)
    def test_instructions_are_pinned(self, activation: str) -> None:
        assert program_of(activation, FixedPoint(12, 9)).instruction_count == STAGES[activation] + 2

    @pytest.mark.parametrize("coarser", [1, 5, 9])
    @pytest.mark.parametrize("activation", [a for a in STAGES if plain_function(a)])
    def test_large_sums_count_in_coarser_units(self, activation: str, coarser: int) -> None:
        form = FixedPoint(16, 3)
        steps = steps_of(activation, form) / 2**coarser
        function = plain_function(activation)
        assert function is not None
        words = run(program_of(activation, form, coarser), WORDS)
        wanted = function_of(activation)(WORDS / steps)
        held = np.clip(wanted, form.low * form.step, form.high * form.step)
        limit = function.error + 0.5 * form.step + 1.0 / steps
        assert np.abs(words["message'"] * form.step - held).max() <= limit

    @pytest.mark.parametrize("activation", ["softplus(1)", "hard_swish", "gelu_tanh"])
    def test_documented_errors_are_not_pessimistic(self, activation: str) -> None:
        function = plain_function(activation)
        assert function is not None
        form = FixedPoint(24, function.fraction_bits)
        words = run(program_of(activation, form), WORDS)
        wanted = function_of(activation)(WORDS / 2.0**function.fraction_bits)
        error = np.abs(words["message'"] * form.step - wanted).max()
        assert 0.98 * function.error <= error <= function.error

    @given(
        slope=st.floats(-1.0, 1e4).filter(lambda s: s not in (0.0, 1.0, -1.0) and abs(s) > 1e-5),
        fraction_bits=st.integers(-3, 14),
    )
    def test_leaks_of_any_slope(self, slope: float, fraction_bits: int) -> None:
        activation, form = text_of("leaky_relu", slope), FixedPoint(12, fraction_bits)
        words = run(program_of(activation, form), WORDS[::7])
        wanted = function_of(activation)(WORDS[::7] / steps_of(activation, form))
        held = np.clip(wanted, form.low * form.step, form.high * form.step)
        assert np.abs(words["message'"] * form.step - held).max() <= 0.76 * form.step

    @given(low=st.floats(-40.0, 39.0), span=st.floats(1e-3, 50.0))
    def test_clamps_between_any_ends(self, low: float, span: float) -> None:
        activation, form = text_of("clamp", low, low + span), FixedPoint(12, 6)
        words = run(program_of(activation, form), WORDS)
        wanted = function_of(activation)(WORDS / steps_of(activation, form))
        held = np.clip(wanted, form.low * form.step, form.high * form.step)
        assert np.abs(words["message'"] * form.step - held).max() <= 0.54 * form.step

    def test_an_end_of_a_clamp_that_is_one_step_beyond_does_not_count_as_saturated(self) -> None:
        form = FixedPoint(12, 11)
        program = program_of("clamp(-1,1)", form)
        words = run(program, WORDS)
        assert program.saturations is not None
        (saturation,) = program.saturations
        assert np.array_equal(words[saturation.free], words[saturation.held])
        assert (words["message'"].min(), words["message'"].max()) == (form.low, form.high)


class TestTexts:
    @pytest.mark.parametrize(
        ("text", "same"),
        [
            ("leaky_relu", "leaky_relu(0.01)"), (" elu( 1.0 )", "elu(1)"), ("relu6", "clamp(0,6)"),
            ("hardtanh", "clamp(-1,1)"), ("clamp(0,inf)", "relu"), ("clamp(-inf)", "identity"),
            ("leaky_relu(0)", "relu"), ("leaky_relu(-1)", "abs"), ("celu", "elu(1)"),
            ("softplus", "softplus(1)"), ("swish", "silu"), ("hardswish", "hard_swish"),
            ("clamp(-0.0,1e0)", "clamp(0,1)"), ("leaky_relu(.1)", "leaky_relu(0.1)"),
        ],
    )  # fmt: skip
    def test_each_has_one_canonical_text(self, text: str, same: str) -> None:
        assert canonical(text) == same == canonical(same)
        layer = DenseLayer("a", Linear("b", np.eye(2), np.zeros(2)), text)
        assert layer.activation == same and layer.problems() == []

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("swishy", "unknown activation 'swishy'; there are identity, relu, tanh, sigmoid"),
            ("", "unknown activation ''"),
            ("relu(", "unknown activation 'relu('"),
            ("tanh(3)", "takes 0 parameters, has 1"),
            ("elu(1,2)", "takes 1 parameters, has 2"),
            ("elu(a)", "has parameters that are no numbers"),
            ("elu(0)", "alpha 0 is too small; it is at least 1e-06"),
            ("elu(1001)", "alpha 1001 is too large; it is at most 1000"),
            ("softplus(-1)", "beta -1 is too small"),
            ("leaky_relu(nan)", "nan is no parameter"),
            ("leaky_relu(inf)", "inf is no parameter; the largest magnitude is 1e+06"),
            ("clamp(1,1)", "low 1 is not below high 1"),
            ("clamp(2,1)", "low 2 is not below high 1"),
            ("clamp(nan,1)", "nan is no parameter"),
            ("clamp(1e9,inf)", "1e+09 is no parameter"),
        ],
    )
    def test_others_are_refused_with_what_there_is(self, text: str, reason: str) -> None:
        said = activation_problem(text)
        assert reason in said and all(name in said for name in ACTIVATION_NAMES)
        with pytest.raises(NetworkError, match="activation"):
            canonical(text)
        with pytest.raises(NetworkError) as caught:
            l2l.LiquidNetwork("n", (DenseLayer("a", Linear("b", np.eye(2), np.zeros(2)), text),))
        assert f"a: {said}" in str(caught.value)

    @given(text=st.text(max_size=30) | st.from_regex(r"[a-z_]{2,12}\([-0-9e.,inf]{0,12}\)"))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        if not activation_problem(text):
            assert canonical(canonical(text)) == canonical(text)

    @pytest.mark.parametrize(
        "text",
        ["lecun_tanh", "hard_sigmoid", "celu(2.5)", "selu", "softplus(3)", "log_sigmoid",
         "leaky_relu(-4)", "leaky_relu(3)", "clamp(-1,2)", "elu(0.5)"],
    )  # fmt: skip
    def test_what_is_folded_answers_the_same(self, text: str) -> None:
        rng = np.random.default_rng(0)
        linear = Linear("a", rng.normal(size=(4, 3)), rng.normal(size=4))
        x = rng.normal(0.0, 3.0, (50, 3))
        made, activation, factor = folded(linear, text)
        assert folding_of(activation).activation == activation and factor > 0
        wanted = function_of(text)(linear(x))
        np.testing.assert_allclose(factor * function_of(activation)(made(x)), wanted, atol=1e-12)
        layer = DenseLayer("a", linear, text)
        (stage,), scale = layer.stages(StageSource(INPUT, 3), 1.0, 1.0)
        assert scale == factor and stage.activation == activation  # type: ignore[attr-defined]

    def test_a_clamp_with_two_ends_is_bounded(self) -> None:
        for text, bound in (("clamp(-1,3)", 3.0), ("clamp(-inf,3)", math.inf), ("elu", math.inf)):
            layer = DenseLayer("a", Linear("b", np.eye(2), np.zeros(2)), text)
            (stage,), _ = layer.stages(StageSource(INPUT, 2), 1.0, 1.0)
            assert stage.bound == bound

    def test_pytorch_computes_the_same(self) -> None:
        torch = pytest.importorskip("torch")
        functional: Any = torch.nn.functional
        x = np.random.default_rng(0).normal(0.0, 4.0, 500)
        for text, function in {
            "leaky_relu": functional.leaky_relu, "elu(0.7)": lambda x: functional.elu(x, 0.7),
            "celu(2)": lambda x: functional.celu(x, 2.0), "selu": functional.selu,
            "softplus(3)": lambda x: functional.softplus(x, 3.0), "relu6": functional.relu6,
            "log_sigmoid": functional.logsigmoid, "hard_sigmoid": functional.hardsigmoid,
            "hard_swish": functional.hardswish, "hardtanh": functional.hardtanh,
            "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
            "clamp(-0.5,2)": lambda x: x.clamp(-0.5, 2), "abs": torch.abs, "square": torch.square,
        }.items():  # fmt: skip
            wanted = function(torch.from_numpy(x)).numpy()
            np.testing.assert_allclose(function_of(text)(x), wanted, rtol=1e-6, atol=1e-8)


class TestNetworks:
    @pytest.mark.parametrize("activation", sorted({*STAGES, "selu", "celu(2)", "hard_sigmoid"}))
    def test_messages_follow_the_float_units(self, activation: str) -> None:
        """At w8a12 as near as those of a ReLU, whose error is that of its weights."""
        rng = np.random.default_rng(1)
        linear = Linear("linear", rng.normal(size=(9, 4)), rng.normal(size=9))
        network = l2l.LiquidNetwork("n", (DenseLayer("a", linear, activation),))
        x = random_samples(0, 6, 30, 4)
        program = l2l.quantize(network, x, "w8a12")
        assert l2l.verify(program, x[:2], ("reference", "blas", "c")).bit_exact
        floats, integers = network.evaluate(x).outputs, l2l.simulate(program, x).outputs
        spread = floats.max(axis=(0, 1)) - floats.min(axis=(0, 1))
        assert (np.abs(floats - integers).max(axis=(0, 1)) / spread).max() < 0.02

    def test_small_units_of_what_scales_have_scales_of_their_own(self) -> None:
        for kind in EXACT:
            text = "leaky_relu(0.3)" if kind == "leaky_relu" else kind
            linear = Linear("linear", np.diag([1.0, 2.0**-9]), np.zeros(2))
            network = l2l.LiquidNetwork("n", (DenseLayer("a", linear, text),))
            program = l2l.quantize(network, random_samples(0, 4, 20, 2))
            assert program.populations[0].scale[0] > 100 * program.populations[0].scale[1]
