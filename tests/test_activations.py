"""Every form of tanh, over every pre-activation that a 24-bit word can hold."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from test_bounds import execute

from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS, LARGEST, Activation
from lnn2loihi.neurons.bounds import Interval, ProvedBounds, prove
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.tracer import Tracer

#: -2**23 has no positive counterpart: the proof refuses a pre-activation that can reach it.
FARTHEST = (1 << 23) - 1
#: Where each form is flat, and how many instructions it takes from pre-activation to result.
FLAT_FROM = {"ramp12": 26305, "ramp16": 32767, "lines16": 32767}
INSTRUCTIONS = {"ramp12": 17, "ramp16": 17, "lines16": 52}
FORMS = pytest.mark.parametrize("form", ACTIVATIONS.values(), ids=list(ACTIVATIONS))


def program_of(form: Activation) -> NeuronProgram:
    t = Tracer(form.name)
    t.spike(form.tanh(t, t.accumulator("a")))
    return t.program()


def proof_of(form: Activation, low: int = -FARTHEST, high: int = FARTHEST) -> ProvedBounds:
    return prove(program_of(form), {"a": Interval.of(low, high)}, {})


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
