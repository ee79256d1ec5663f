"""Elapsed times in any unit, and rates whose rounded rows are larger than their weights."""

from __future__ import annotations

import numpy as np
import pytest
from variants import Variant, network

import lnn2loihi as l2l

UNITS = 10


def timed(mode: str, unit: float, gain: float = 1.0) -> l2l.LiquidNetwork:
    """A CfC whose elapsed times are counted in so small a unit; `gain` stretches its rates."""
    trained = network(Variant(units=UNITS, mode=mode, irregular=True))
    gates = {stage.name: dict(stage.gates) for stage in trained.stages}
    for own in gates.values():
        if "time_a" in own:
            rate = own["time_a"]
            own["time_a"] = l2l.Linear("time_a", gain * rate.weight / unit, gain * rate.bias / unit)
    return trained.with_gates(gates)


def samples(trained: l2l.LiquidNetwork, unit: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6, 25, trained.input_size))
    return x, unit * rng.uniform(0.2, 1.5, size=x.shape[:2])


@pytest.mark.parametrize("mode", ("default", "no_gate"))
@pytest.mark.parametrize("unit", (1.0, 60.0, 1e3, 1e5))
def test_the_unit_of_time_does_not_matter(mode: str, unit: float) -> None:
    trained = timed(mode, unit)
    x, times = samples(trained, unit)
    program = l2l.quantize(trained, x, "w8a12", calibrate_timespans=times)
    answer = l2l.simulate(program, x, timespans=times).outputs
    truth = trained.evaluate(x, timespans=times).outputs
    assert np.sqrt(np.mean((answer - truth) ** 2)) < 0.02 * truth.std()
    assert l2l.verify(program, x, "reference,c,blas", timespans=times).bit_exact


@pytest.mark.parametrize("gain", (30.0, 300.0, 3000.0))
@pytest.mark.parametrize("recipe", ("w2a8", "w4a8", "w8a12"))
def test_steep_rates_saturate_where_they_would_leave_their_words(gain: float, recipe: str) -> None:
    trained = timed("default", 1.0, gain)
    x, times = samples(trained, 1.0)
    program = l2l.quantize(trained, x, recipe, calibrate_timespans=times)
    assert l2l.verify(program, x, "reference,c,blas", timespans=times).bit_exact
    if recipe == "w8a12":
        answer = l2l.simulate(program, x, timespans=times).outputs
        truth = trained.evaluate(x, timespans=times).outputs
        assert np.median(np.abs(answer - truth)) < 0.02  # a few gates open a step too late


@pytest.mark.parametrize("gain", (0.1, 1.0, 10.0))
def test_rows_that_rounding_enlarges_saturate(gain: float) -> None:
    """Weights of 0.55 of the largest one become 1 with 2 bits: the sum nearly doubles."""
    trained = network(Variant(family="gru", units=24))
    gates = {stage.name: dict(stage.gates) for stage in trained.stages}
    own = gates["gated_0"]["candidate_recurrent"]
    weight = 0.55 * np.sign(own.weight)
    weight[:, -1] = 1.0
    gates["gated_0"]["candidate_recurrent"] = l2l.Linear(own.name, gain * weight, own.bias)
    x = np.random.default_rng(1).normal(size=(4, 20, trained.input_size))
    program = l2l.quantize(trained.with_gates(gates), x, "w2a8", correction="none")
    assert l2l.verify(program, x, "reference,c,blas").bit_exact


@pytest.mark.parametrize("unit", [1e2, 1e5])
def test_pure_units_take_times_after_which_nothing_is_left(unit: float) -> None:
    trained = network(Variant(units=UNITS, mode="pure", irregular=True, readout=False))
    x, times = samples(trained, unit)
    times[:, ::2] = 0.5
    program = l2l.quantize(trained, x, "w8a12", calibrate_timespans=times)
    assert l2l.verify(program, x, "reference,blas", timespans=times).bit_exact
    found = l2l.simulate(program, x, timespans=times).outputs
    # Short times beside such long ones have few bits, but the long ones are right.
    late = np.abs(found - trained.evaluate(x, timespans=times).outputs)[:, 1::2]
    assert late.max() < 2 * program.output_population.message.step
