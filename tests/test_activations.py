"""Every form of tanh, over every pre-activation that a 24-bit word can hold."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_bounds import assert_inside, execute

from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.activations import (
    ACTIVATIONS,
    EXP_ERROR,
    EXP_FRACTION_BITS,
    EXP_LARGEST,
    FRACTION_BITS,
    FUNCTIONS,
    GELU_FRACTION_BITS,
    HARD_KNOT,
    LARGEST,
    LOG_SIGMOID_END,
    LOG_SIGMOID_ERROR,
    LOG_SIGMOID_UNIT,
    SILU_FRACTION_BITS,
    Activation,
    PlainFunction,
    exp_negative,
    log_sigmoid,
)
from lnn2loihi.neurons.bounds import IntegerInterval, ProvedBounds, prove
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.tracer import Tracer

#: -2**23 has no positive counterpart: the proof refuses a pre-activation that can reach it.
FARTHEST = (1 << 23) - 1
#: Where each form is flat, and how many instructions it takes from pre-activation to result.
FLAT_FROM = {"ramp12": 26305, "ramp16": 32767, "lines16": 32767}
INSTRUCTIONS = {"ramp12": 17, "ramp16": 17, "lines16": 52}
#: Those that follow tanh; the clipped line is tested beside them.
FOLLOWING = {name: form for name, form in ACTIVATIONS.items() if not form.knot}
FORMS = pytest.mark.parametrize("form", FOLLOWING.values(), ids=list(FOLLOWING))


def program_of(form: Activation) -> NeuronProgram:
    t = Tracer(form.name)
    t.spike(form.tanh(t, t.accumulator("a")))
    return t.program()


def proof_of(form: Activation, low: int = -FARTHEST, high: int = FARTHEST) -> ProvedBounds:
    return prove(program_of(form), {"a": IntegerInterval.of(low, high)}, {})


def values_of(form: Activation, x: IntegerArray) -> IntegerArray:
    return execute(program_of(form), {"a": x})["tanh"]


@pytest.fixture(scope="module")
def near() -> IntegerArray:
    """All pre-activations that are not flat in any form, and some beyond."""
    return np.arange(-40_000, 40_001)


@FORMS
class TestForms:
    def test_the_documented_error_holds_for_every_input_and_is_not_pessimistic(
        self, form: Activation, near: IntegerArray
    ) -> None:
        rng = np.random.default_rng(0)
        far = rng.integers(-FARTHEST, FARTHEST, 100_000, endpoint=True)
        x = np.concatenate([near, far, [-FARTHEST, FARTHEST]])
        error = np.abs(values_of(form, x) / 2**FRACTION_BITS - np.tanh(x / form.unit)).max()
        assert 0.98 * form.error <= error <= form.error

    def test_it_is_flat_beyond_its_ramp_so_that_the_near_values_are_all(
        self, form: Activation, near: IntegerArray
    ) -> None:
        end = FLAT_FROM[form.name]
        proved = proof_of(form)
        assert not proved.problems
        root = "clamped" if form.name == "lines16" else "ramp"
        span = proved.words[root].hull
        assert span == ((0, end) if root == "clamped" else (-end, 0)) and end < near[-1]
        values = values_of(form, near)
        assert np.all(values[near >= end] == values[-1])
        assert np.all(values[near <= -end] == values[0])
        assert 1 - np.tanh(end / form.unit) < form.error

    def test_the_proved_interval_is_the_exhausted_one_and_its_differences_fit_16_bits(
        self, form: Activation, near: IntegerArray
    ) -> None:
        values = values_of(form, near)
        low, high = proof_of(form).words["tanh"].hull
        assert (low, high) == (values.min(), values.max())
        assert -LARGEST <= low and high <= LARGEST and high - low <= (1 << 15) - 1

    def test_it_is_odd_but_for_zero(self, form: Activation, near: IntegerArray) -> None:
        values = values_of(form, near)
        opposite = values + values[::-1]
        assert np.all(opposite[near != 0] == 0)
        at_zero = int(values[near == 0][0])
        assert 0 <= at_zero <= form.error * 2**FRACTION_BITS

    def test_instructions_are_pinned(self, form: Activation) -> None:
        made = program_of(form).instruction_count - 2  # without RDC and SPIKE
        assert made == INSTRUCTIONS[form.name]

    def test_a_pre_activation_without_a_positive_counterpart_is_refused(
        self, form: Activation
    ) -> None:
        problems = proof_of(form, -FARTHEST - 1, 0).problems
        assert "word 'neg' can reach [0, 8388608], which needs 25 bits" in problems[0]

    def test_narrow_pre_activations_are_proved_too(self, form: Activation) -> None:
        for low, high in ((-1, 1), (0, 0), (-300, 200), (100, 200), (-200, -100)):
            x = np.arange(low, high + 1)
            proved, values = proof_of(form, low, high), values_of(form, x)
            assert not proved.problems
            assert (
                proved.words["tanh"].low
                <= values.min()
                <= values.max()
                <= (proved.words["tanh"].high)
            )


class TestClippedLine:
    FORM = ACTIVATIONS["hard"]

    def test_it_is_the_clipped_line_for_every_input(self, near: IntegerArray) -> None:
        rng = np.random.default_rng(0)
        far = rng.integers(-FARTHEST - 1, FARTHEST, 100_000, endpoint=True)
        x = np.concatenate([near, far, [-FARTHEST - 1, FARTHEST]])
        values = values_of(self.FORM, x)
        line = np.clip(x / self.FORM.unit / self.FORM.knot, -1.0, 1.0)
        assert np.abs(values / 2**FRACTION_BITS - line).max() <= 2.0**-FRACTION_BITS
        assert np.array_equal(values[1:80_001], -values[79_999::-1])

    def test_its_error_is_at_the_knot(self, near: IntegerArray) -> None:
        error = np.abs(
            values_of(self.FORM, near) / 2**FRACTION_BITS - np.tanh(near / self.FORM.unit)
        )
        assert 0.98 * self.FORM.error <= error.max() <= self.FORM.error
        assert abs(near[error.argmax()] / self.FORM.unit) == pytest.approx(HARD_KNOT, abs=1e-3)

    def test_three_instructions_and_its_bound(self) -> None:
        assert program_of(self.FORM).instruction_count - 2 == 3
        proved = proof_of(self.FORM, -FARTHEST - 1)
        assert not proved.problems and proved.words["tanh"].hull == (-LARGEST, LARGEST)


class TestDefault:
    def test_tanh_and_the_logistic_function_are_better_than_a_thousandth(
        self, near: IntegerArray
    ) -> None:
        form = next(iter(ACTIVATIONS.values()))
        assert form.name == "ramp12" and form.error <= 1e-3
        tanh = values_of(form, near) / 2**FRACTION_BITS
        x = near / form.unit
        assert np.abs(tanh - np.tanh(x)).max() <= 1e-3
        logistic = (1 + tanh) / 2  # of twice the argument
        assert np.abs(logistic - 1 / (1 + np.exp(-2 * x))).max() <= form.error / 2

    def test_names_are_keys(self) -> None:
        assert all(key == form.name for key, form in ACTIVATIONS.items())


FloatArray = npt.NDArray[np.float64]
WORD = (-(1 << 23), (1 << 23) - 1)
#: All arguments below the end of any ramp, and some beyond.
NEAR = np.arange(-30_000, 30_001)


@dataclass(frozen=True)
class Case:
    """A function over words: what is stated of it, and what it should be."""

    function: PlainFunction
    result_bits: int
    lowest: int
    instructions: int
    real: Callable[[FloatArray], FloatArray]

    def program(self) -> NeuronProgram:
        t = Tracer(self.function.name)
        t.spike(self.function.trace(t, t.accumulator("a")))
        return t.program()

    def proof(self, low: int, high: int) -> ProvedBounds:
        return prove(self.program(), {"a": IntegerInterval.of(low, high)}, {})

    def values(self, x: IntegerArray) -> IntegerArray:
        return execute(self.program(), {"a": x})["message'"]

    def error(self, x: IntegerArray) -> float:
        wanted = self.real(x / 2**self.function.fraction_bits)
        return float(np.abs(self.values(x) / 2**self.result_bits - wanted).max())

    def near(self) -> IntegerArray:
        return NEAR[self.lowest <= NEAR]


def real_silu(x: FloatArray) -> FloatArray:
    return x * (0.5 + 0.5 * np.tanh(x / 2))


def real_gelu(x: FloatArray) -> FloatArray:
    return np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in np.atleast_1d(x)])


EXPONENTIAL = PlainFunction("exp", EXP_FRACTION_BITS, EXP_ERROR, exp_negative)
PLAIN = {
    "relu": Case(FUNCTIONS["relu"], FRACTION_BITS, WORD[0], 2, lambda x: np.maximum(x, 0)),
    "silu": Case(FUNCTIONS["silu"], SILU_FRACTION_BITS, WORD[0], 16, real_silu),
    "gelu": Case(FUNCTIONS["gelu"], GELU_FRACTION_BITS, WORD[0], 15, real_gelu),
    "exp": Case(EXPONENTIAL, FRACTION_BITS, 0, 8, lambda y: np.exp(-y)),
}
CASES = pytest.mark.parametrize("case", PLAIN.values(), ids=list(PLAIN))
RECTIFIERS = pytest.mark.parametrize("case", [PLAIN["silu"], PLAIN["gelu"]], ids=["silu", "gelu"])


@CASES
class TestPlainFunctions:
    def test_the_documented_error_holds_for_every_input_and_is_not_pessimistic(
        self, case: Case
    ) -> None:
        ends = np.array([case.lowest, WORD[1]])
        error = max(case.error(case.near()), case.error(ends))
        assert 0.98 * case.function.error <= error <= case.function.error < 1e-3

    def test_it_is_trivial_beyond_its_ramp_so_that_the_near_values_are_all(
        self, case: Case
    ) -> None:
        far = np.r_[np.arange(-40_000, -25_000), np.arange(25_000, 40_000), WORD]
        far = far[case.lowest <= far]
        trivial = np.zeros_like(far) if case.lowest == 0 else np.maximum(far, 0)
        assert np.array_equal(case.values(far), trivial)

    def test_any_word_is_proved_and_the_interval_is_the_exhausted_one(self, case: Case) -> None:
        proved = case.proof(case.lowest, WORD[1])
        values = case.values(np.r_[case.near(), case.lowest, WORD[1]])
        assert not proved.problems
        assert proved.words["message'"].hull == (values.min(), values.max())

    def test_every_word_is_within_its_proved_interval(self, case: Case) -> None:
        for low, high in ((case.lowest, WORD[1]), (0, 0), (0, 1), (5, 9), (20_000, 27_000)):
            proved = case.proof(low, high)
            assert not proved.problems
            x = np.unique(np.clip(case.near(), low, high))
            assert_inside(proved, execute(case.program(), {"a": x}))

    def test_instructions_are_pinned(self, case: Case) -> None:
        assert case.program().instruction_count - 2 == case.instructions  # without RDC and SPIKE

    def test_operands_of_products_keep_fourteen_bits(self, case: Case) -> None:
        proved = case.proof(case.lowest, WORD[1]).words
        for i in case.program().instructions:
            if i.opcode == "MUL_SHR":
                assert all(proved[o].bits >= 14 for o in i.operands if isinstance(o, str)), i

    @given(data=st.data())
    def test_random_words_agree_with_the_formula(self, case: Case, data: st.DataObject) -> None:
        words = st.integers(case.lowest, WORD[1]) | st.integers(max(case.lowest, -30_000), 30_000)
        x = np.array(data.draw(st.lists(words, min_size=1, max_size=50)))
        assert case.error(x) <= case.function.error


class TestLogSigmoid:
    """Of any word, in a unit that is no power of two."""

    @staticmethod
    def program() -> NeuronProgram:
        t = Tracer("log_sigmoid")
        t.spike(log_sigmoid(t, t.accumulator("a")))
        return t.program()

    def values(self, x: IntegerArray) -> IntegerArray:
        return execute(self.program(), {"a": x})["message'"]

    def test_the_documented_error_holds_for_every_input_and_is_not_pessimistic(self) -> None:
        x = np.r_[NEAR, -(1 << 22), WORD[1]]
        wanted = -np.logaddexp(0.0, -x / LOG_SIGMOID_UNIT)
        error = np.abs(self.values(x) / LOG_SIGMOID_UNIT - wanted).max()
        assert 0.98 * LOG_SIGMOID_ERROR <= error <= LOG_SIGMOID_ERROR

    def test_it_is_the_smaller_of_its_argument_and_zero_beyond_its_ramp(self) -> None:
        far = np.r_[np.arange(-40_000, -LOG_SIGMOID_END), np.arange(LOG_SIGMOID_END, 40_000)]
        assert np.array_equal(self.values(far), np.minimum(far, 0))
        assert self.values(np.array([FARTHEST, -FARTHEST])).tolist() == [0, -(1 << 22)]

    def test_any_word_is_proved_and_so_is_the_difference_of_two(self) -> None:
        t = Tracer("odds")
        with t.scope("first"):
            first = log_sigmoid(t, t.accumulator("a"))
        with t.scope("second"):
            second = log_sigmoid(t, t.accumulator("b"))
        t.spike(t.subtract(first, second))
        every = IntegerInterval.of(-FARTHEST, FARTHEST)
        proved = prove(t.program(), {"a": every, "b": every}, {})
        assert not proved.problems
        x = np.r_[NEAR, -FARTHEST, FARTHEST]
        assert_inside(proved, execute(t.program(), {"a": x, "b": x[::-1]}))

    def test_instructions_are_pinned(self) -> None:
        assert self.program().instruction_count - 2 == 16  # without RDC and SPIKE


class TestShapes:
    @RECTIFIERS
    def test_odd_parts_are_exact(self, case: Case) -> None:
        # f(x) - f(-x) = x: whatever the error, the second term is the same on both sides.
        values = case.values(NEAR)
        assert np.array_equal(values - values[::-1], NEAR)

    @RECTIFIERS
    @pytest.mark.parametrize("ends", [(WORD[0], WORD[0]), (-300, 7), (-9, -2)])
    def test_negative_arguments_are_proved_too(self, case: Case, ends: tuple[int, int]) -> None:
        proved = case.proof(*ends)
        assert not proved.problems
        assert_inside(proved, execute(case.program(), {"a": np.arange(ends[0], ends[1] + 1)}))

    def test_the_exponential_falls_and_fits_16_bits(self) -> None:
        values = PLAIN["exp"].values(np.arange(0, 30_000))
        assert np.all(np.diff(values) <= 0)
        assert (values[0], values[-1]) == (EXP_LARGEST, 0) and EXP_LARGEST < 1 << FRACTION_BITS

    def test_an_exponent_far_below_zero_is_refused(self) -> None:
        problems = PLAIN["exp"].proof(*WORD).problems
        assert problems and "word 'add' can reach" in problems[0]

    def test_names_are_keys(self) -> None:
        assert all(key == function.name for key, function in FUNCTIONS.items())


@pytest.fixture(scope="module")
def fit() -> ModuleType:
    pytest.importorskip("scipy")
    path = Path(__file__).parents[1] / "benchmarks" / "fit_activations.py"
    spec = importlib.util.spec_from_file_location("fit_activations", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestFit:
    """What the fit minimizes is what the traced forms compute."""

    def test_the_logarithm_of_the_logistic_function_agrees(self, fit: ModuleType) -> None:
        constants = [LOG_SIGMOID_END, 99, 26187]
        fitted = fit.log_sigmoid(constants)
        traced = TestLogSigmoid().values(np.arange(fitted.size))
        assert np.array_equal(fitted, traced)
        error = fit.log_sigmoid_error(constants, LOG_SIGMOID_UNIT)
        assert 0.98 * LOG_SIGMOID_ERROR <= error <= LOG_SIGMOID_ERROR

    def test_the_softplus_agrees(self, fit: ModuleType) -> None:
        constants = [26623, 1274, 17769, 8535]
        function = FUNCTIONS["softplus"]
        case = Case(function, function.fraction_bits, WORD[0], 17, lambda x: np.logaddexp(0, x))
        fitted = fit.softplus(constants)
        assert np.array_equal(fitted, case.values(-np.arange(fitted.size)))
        error = fit.plain_error("softplus", constants)
        assert 0.98 * function.error <= error <= function.error
        assert error < fit.plain_error("softplus", fit.PLAIN["softplus"][-1])

    @pytest.mark.parametrize(
        ("name", "constants"),
        [
            ("ramp12", [26305, 1506, 1737, 28647, 16382]),
            ("ramp16", [32767, 443, 21840, 5911, 16383]),
        ],
    )
    def test_ramps_agree_integer_for_integer(
        self, fit: ModuleType, name: str, constants: list[int]
    ) -> None:
        form = ACTIVATIONS[name]
        fitted = getattr(fit, name)(constants)
        assert np.array_equal(fitted, values_of(form, np.arange(fitted.size)))
        assert 0.98 * form.error <= fit.error(fitted, form.unit) <= form.error

    def test_the_fit_of_the_lines_gives_the_committed_ones(self, fit: ModuleType) -> None:
        form = ACTIVATIONS["lines16"]
        error, constants = fit.lines(16, int(form.unit))
        code = program_of(form).instructions
        slopes = [i.operands[1] for i in code if i.opcode == "MUL_SHR"]
        offsets = [i.operands[1] for i in code if i.opcode == "ADD"]
        assert constants == [*zip(slopes, offsets, strict=True), (0, 16372)]
        assert 0.98 * form.error <= error <= form.error

    @pytest.mark.parametrize(
        ("name", "constants"),
        [
            ("silu", [23025, 3479, -29367]),
            ("gelu", [20063, -6430, -17147]),
            ("exp", [20196, 16268]),
        ],
    )
    def test_plain_functions_agree_integer_for_integer(
        self, fit: ModuleType, name: str, constants: list[int]
    ) -> None:
        case = PLAIN[name]
        fitted = getattr(fit, name)(constants)
        x = np.arange(fitted.size)
        values = case.values(x if name == "exp" else -x)
        assert np.array_equal(fitted, values)
        error = fit.plain_error(name, constants)
        assert 0.98 * case.function.error <= error <= case.function.error
        assert error < fit.plain_error(name, fit.PLAIN[name][-1])
