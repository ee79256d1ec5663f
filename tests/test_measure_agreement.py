"""Nobody is timed whose answers are not what they should be; what is allowed is stated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring import OUTPUTS, Backend, Machine, runner, samples

from lnn2loihi.measure import Measurements, Settings, measure
from lnn2loihi.measure.agreement import OF_MAGNITUDE, OF_RANGE, ROUNDINGS, Truth, compared
from lnn2loihi.network import FloatArray

SETTINGS = Settings(warm_up=0.0, search=0.0, rounds=1, slice=0.0, calls=3)
X = samples(4, 8)
TRUTH = Truth("the float network", lambda x, _: x[:, :, :OUTPUTS])


def measured(
    spoil: Callable[[FloatArray], FloatArray], truth: Truth | None = TRUTH, **options: Any
) -> Measurements:
    machine = Machine()
    return measure(
        runner(Backend(machine, spoil=spoil), truth=truth), X, settings=SETTINGS,
        counters=machine.counters(), clock=machine.clock, root=Path("/nowhere"), **options,
    )  # fmt: skip


def changed(value: float, output: int = 1) -> Callable[[FloatArray], FloatArray]:
    def spoil(y: FloatArray) -> FloatArray:
        y[2, 5, output] += value
        return y

    return spoil


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("truth", [TRUTH, None])
def test_answers_that_are_no_numbers(value: float, truth: Truth | None) -> None:
    """Also where nobody knows what is right, as long as somebody looks."""
    found = measured(changed(value), truth, score=lambda y: {"mse": 0.0})
    for row in found:
        assert row.status == "failed" and row.throughput is None and not row.accuracy
        assert row.reason == (
            "1 of 64 answers are NaN or infinite, the first in sequence 2, step 5, output 1"
        )


def test_by_how_much_and_where_is_said() -> None:
    found = measured(changed(0.47))
    spread = float(np.ptp(X[..., 1]))
    assert {row.status for row in found} == {"failed"} and {row.tier for row in found} == {None}
    assert found[0].reason.startswith(
        f"answers differ from the float network: output 1 by 0.47 ({47 / spread:.3g} % of its "
        "range) in sequence 2, step 5, where "
    )
    assert found[0].reason.endswith("is allowed; 1 of 64 answers are off by too much")
    assert "answers differ" in found.summary()


@given(st.floats(0.001, 1e6), st.floats(-1e6, 1e6), st.integers(0, OUTPUTS - 1))
def test_what_is_allowed_goes_by_the_range_of_the_output(
    scale: float, mean: float, output: int
) -> None:
    """An offset beside which the range is small hides nothing, nor does another output."""
    factors, means = np.ones(OUTPUTS), np.zeros(OUTPUTS)
    factors[output], means[output] = scale, mean
    truth = Truth("it", lambda x, _: x[:, :, :OUTPUTS] * factors + means)
    right = truth.outputs(X, None)
    limit = OF_RANGE * np.ptp(right[..., output])
    limit += OF_MAGNITUDE * np.abs(right[..., output]).max()
    limit += 1e-6 * np.abs(right).max()
    assert not compared(changed(0.9 * limit, output)(right.copy()), truth, X, None).problem
    assert compared(changed(1.1 * limit, output)(right.copy()), truth, X, None).problem


def test_the_integers_are_exact() -> None:
    exact = Truth("simulate", TRUTH.answering, exact=True)
    assert {row.status for row in measured(lambda y: y, exact)} == {"measured"}
    for row in measured(changed(1e-9), exact):
        assert row.status == "failed" and "nothing is allowed" in row.reason


def test_the_last_step_alone() -> None:
    """A module may answer it alone: compared with the last steps, and scored nowhere."""
    found = measured(lambda y: y[:, -1:], score=lambda y: {"mse": 1.0}, modes=["batch"])
    assert found[0].status == "measured" and not found[0].accuracy
    assert "not scored: it answers 1 of 8 steps of a sequence" in found[0].notes
    assert measured(lambda y: y[:, :1], modes=["batch"])[0].status == "failed"


@pytest.mark.parametrize(
    "spoil",
    [lambda y: y[..., :1], lambda y: y[:, :5], lambda y: y[:1], lambda y: y[..., [0, 1, 1]]],
)  # fmt: skip
def test_answers_of_another_shape(spoil: Callable[[FloatArray], FloatArray]) -> None:
    for row in measured(spoil):
        assert row.status == "failed"
        assert "where the float network answers (4, 8, 2) (sequences, steps, outputs)" in row.reason


def test_a_float_network_without_numbers_agrees_with_nothing() -> None:
    truth = Truth("the float network", lambda x, _: np.full((*x.shape[:2], OUTPUTS), np.nan))
    assert {row.status for row in measured(lambda y: y, truth)} == {"failed"}


def test_what_makes_any_rounding_large_is_said_and_no_failure() -> None:
    """A chaotic network: doubling its state each step, modulo 1."""
    x = np.random.default_rng(0).uniform(0.1, 0.9, size=(2, 40, 1))

    def run(x: FloatArray, dtype: Any) -> FloatArray:
        state, found = x[:, 0].astype(dtype), []
        for _ in range(x.shape[1]):
            state = (state * dtype(1.9)) % dtype(1.0)
            found.append(state)
        return np.stack(found, axis=1).astype(np.float64)

    truth = Truth("the float network", lambda x, _: run(x, np.float64))
    verdict = compared(run(x, np.float32), truth, x, None)
    assert not verdict.problem and "grow to" in verdict.remark
    assert compared(run(x + 1e-3, np.float32), truth, x, None).problem
    assert ROUNDINGS == 100.0


def test_the_document_says_what_is_allowed() -> None:
    text = (Path(__file__).parent.parent / "docs" / "measuring.md").read_text()
    assert f"{100 * OF_RANGE:g} % of the range" in text
    assert f"{100 * OF_MAGNITUDE:g} % of its largest magnitude" in text
