"""Second moments in all their forms, what they make of rounding errors, and what takes memory."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from networks import random_ltc, random_network, random_samples

import lnn2loihi as l2l
from lnn2loihi.frozen import read_only
from lnn2loihi.graph import connection as connections
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.program import Connection
from lnn2loihi.quantization import moments as forms
from lnn2loihi.quantization import rows, sizes
from lnn2loihi.quantization.calibration import run_calibration, second_moments
from lnn2loihi.quantization.compensation import Rows
from lnn2loihi.quantization.moments import (
    DenseMoments,
    Heard,
    Moments,
    RowMoments,
    SampledMoments,
    moments_of,
)

#: The module, whose name is the function's too.
QUANTIZE = import_module("lnn2loihi.quantization.verb")
COLUMNS, ROWS, SAMPLES = 150, 12, 40


def heard(z: np.ndarray) -> Heard:
    """Samples (samples, columns), in parts of a few."""

    def parts(values: int) -> list[np.ndarray]:
        return [z[begin : begin + 7] for begin in range(0, len(z), 7)]

    return Heard(z.shape[1], len(z), parts)


def samples() -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.normal(size=(SAMPLES, 9)) @ rng.normal(size=(9, COLUMNS)) + rng.normal(
        0.3, 0.5, (SAMPLES, COLUMNS)
    )


def weights(density: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(2)
    return rng.normal(size=(ROWS, COLUMNS)) * (rng.random((ROWS, COLUMNS)) < density)


def whole(weight: np.ndarray, bias: np.ndarray) -> Rows:
    """Rows that are rounded to whole numbers."""
    return Rows(weight, bias, np.ones_like(weight), -9, 9)


def form(name: str, z: np.ndarray, weight: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Moments:
    """Moments in one of the forms, as their size would choose it."""
    if name != "dense":
        monkeypatch.setattr(forms, "LARGEST_DENSE", COLUMNS - 1)
    if name == "sampled":
        monkeypatch.setattr(forms, "LARGEST_BY_ROW", 0)
    found = moments_of(heard(z), lambda: weight != 0.0)
    kinds = {"dense": DenseMoments, "by row": RowMoments, "sampled": SampledMoments}
    assert type(found) is kinds[name]
    return found


@pytest.mark.parametrize("name", ["dense", "by row", "sampled"])
def test_errors_cost_what_they_add_to_the_sums(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    z, weight = samples(), weights(0.2)
    found = form(name, z, weight, monkeypatch)
    errors, bias = 0.01 * weight, np.linspace(-0.1, 0.1, ROWS)[:, None]
    expected = np.sqrt(np.mean((errors @ z.T + bias) ** 2, axis=1))
    np.testing.assert_allclose(found.rms(np.hstack([errors, bias])), expected, rtol=1e-9)
    block = slice(30, 90)
    expected = np.sqrt(np.mean((errors[:, block] @ z[:, block].T) ** 2, axis=1))
    np.testing.assert_allclose(found.rms(errors[:, block], 30), expected, rtol=1e-9)
    some = np.array([5, 2, 9])
    expected = np.sqrt(np.mean((errors[some] @ z.T) ** 2, axis=1))
    np.testing.assert_allclose(found.of_rows(some).rms(errors[some]), expected, rtol=1e-9)
    np.testing.assert_allclose(found.mean, z.mean(axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("density", [1.0, 0.3])
def test_blocks_of_columns_are_rounded_as_single_columns_are(
    density: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, weight, bias = samples(), weights(density), np.linspace(-1.0, 1.0, ROWS)
    one = form("dense", z, weight, monkeypatch).compensated(whole(weight, bias))
    many = form("sampled", z, weight, monkeypatch).compensated(whole(weight, bias))
    np.testing.assert_array_equal(many[0], one[0])
    np.testing.assert_allclose(many[1], one[1], rtol=0, atol=1e-9)
    assert not one[0][weight == 0.0].any()


def test_rows_with_columns_of_their_own_are_rounded_as_if_there_were_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    z, weight, bias = samples(), weights(0.1), np.linspace(-1.0, 1.0, ROWS)
    weight[3] = 0.0  # a row that hears nothing
    mantissas, wanted = form("by row", z, weight, monkeypatch).compensated(whole(weight, bias))
    for row, heard_columns in enumerate(weight != 0.0):
        own = weight[row : row + 1, heard_columns]
        monkeypatch.undo()
        alone = moments_of(heard(z[:, heard_columns]), lambda: weight != 0.0)
        found = alone.compensated(whole(own, bias[row : row + 1]))
        np.testing.assert_array_equal(mantissas[row, heard_columns], found[0][0])
        np.testing.assert_allclose(wanted[row], found[1][0], rtol=0, atol=1e-9)
    assert not mantissas[weight == 0.0].any()


@pytest.mark.parametrize("name", ["dense", "by row", "sampled"])
def test_making_up_for_errors_lowers_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    z, weight, bias = samples(), weights(0.2), np.zeros(ROWS)
    found = form(name, z, weight, monkeypatch)
    plain = np.where(weight == 0.0, 0.0, np.floor(weight + 0.5))
    mantissas, wanted = found.compensated(whole(weight, bias))
    before = found.rms(weight - plain)
    after = found.rms(np.hstack([weight - mantissas, (bias - wanted)[:, None]]))
    assert np.mean(after) < 0.7 * np.mean(before)


@pytest.mark.parametrize("dense", [0, 1 << 20])
def test_what_is_not_inside_does_not_count(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "LARGEST_DENSE", dense)
    monkeypatch.setattr(forms, "LARGEST_BY_ROW", 0)
    net, x = random_network(0), random_samples(1, 3, 8, 3)
    result, stage = net.evaluate(x), net.stages[0]
    inside = np.arange(8) < np.array([[8], [3], [5]])
    errors = np.random.default_rng(2).normal(size=(6, stage.columns + 1))
    z = np.concatenate([
        np.concatenate([x[b], np.roll(result.states[stage.name][b], 1, axis=0)], axis=1)[:count]
        for b, count in enumerate((8, 3, 5))
    ])  # fmt: skip
    z[[0, 8, 11], 3:] = 0.0
    expected = np.sqrt(np.mean((errors[:, :-1] @ z.T + errors[:, -1:]) ** 2, axis=1))
    moments = second_moments(stage, x, result, 1, inside)
    np.testing.assert_allclose(moments.rms(errors), expected, rtol=1e-9)
    one = second_moments(stage, x, result, 1, np.ones_like(inside))
    np.testing.assert_allclose(
        one.rms(errors), second_moments(stage, x, result).rms(errors), rtol=1e-9
    )


@pytest.mark.parametrize("correction", ["bias", "full"])
@pytest.mark.parametrize("recipe", ["w8a12", "w4a8"])
@pytest.mark.parametrize(
    "net", [random_network(3, density=0.6), random_ltc(4), random_ltc(5, timespan=None)]
)
def test_large_forms_quantize_as_well_as_the_matrix(
    net: LiquidNetwork, recipe: str, correction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = random_samples(1, 4, 12, 3)
    times = np.full((4, 12), 0.7) if net.irregular else None

    def error() -> float:
        program = l2l.quantize(net, x, recipe, calibrate_timespans=times, correction=correction)
        answer = l2l.simulate(program, x, timespans=times).outputs
        return float(np.mean((answer - net.evaluate(x, timespans=times).outputs) ** 2))

    plain = error()
    monkeypatch.setattr(forms, "LARGEST_DENSE", 4)
    monkeypatch.setattr(rows, "VALUES_AT_ONCE", 16)
    assert error() < 4.0 * plain


def test_samples_that_stand_for_all_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "LARGEST_DENSE", 0)
    monkeypatch.setattr(forms, "LARGEST_BY_ROW", 0)
    monkeypatch.setattr(forms, "SAMPLES_KEPT", 20)
    net, x = random_network(0), random_samples(1, 4, 10, 3)
    provenance = l2l.quantize(net, x).provenance
    assert provenance["moments"].startswith("layer_0: 20 of 40 samples; layer_1: 20 of 40 samples")
    assert "moments" not in l2l.quantize(net, x[:2]).provenance


def test_wired_stages_have_no_moments() -> None:
    net = random_ltc(0)
    assert set(run_calibration(net, random_samples(1, 2, 3, 3)).moments) == {"ltc", "readout"}


def test_what_memory_cannot_hold_is_refused_before_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, x = random_ltc(0, units=40, density=1.0), random_samples(1, 2, 3, 3)
    monkeypatch.setattr(sizes, "available_memory", lambda: 1 << 20)
    monkeypatch.setattr(sizes, "CONSTANT", 0)
    monkeypatch.setattr(QUANTIZE, "run_calibration", lambda *_: pytest.fail("it began"))
    with pytest.raises(
        l2l.QuantizationError,
        match=r"GiB of memory would be needed \(layer 'ltc' with its 1,720 synapses take .* GiB\), "
        "and there are 0.000977; calibrate with fewer",
    ):
        l2l.quantize(net, x)


def test_a_lack_of_memory_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError("Unable to allocate 32.0 GiB")

    monkeypatch.setattr(QUANTIZE, "run_calibration", fail)
    with pytest.raises(l2l.QuantizationError, match=r"memory ended \(Unable to allocate 32"):
        l2l.quantize(random_network(0), random_samples(1, 2, 3, 3))


def test_synapses_in_parts_are_synapses_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    mantissas = rng.integers(-9, 10, (12, 7)) * (rng.random((12, 7)) < 0.6)
    mantissas[[0, 5, 11]] = 0
    low, high = rng.integers(-9, 1, 7), rng.integers(0, 9, 7)

    def made() -> Connection:
        return Connection.from_dense("a", "b", ("x", "y"), mantissas, exponent=3)

    one = made()
    monkeypatch.setattr(connections, "VALUES_AT_ONCE", 5)
    assert made() == one
    for dtype in (np.int64, np.float32):
        np.testing.assert_array_equal(one.dense(dtype), mantissas * 8, strict=False)
        assert one.dense(dtype).dtype == dtype
    ends = mantissas * 8 * low, mantissas * 8 * high
    interval = one.interval(low, high)
    np.testing.assert_array_equal(interval.low, np.minimum(*ends).sum(axis=1))
    np.testing.assert_array_equal(interval.high, np.maximum(*ends).sum(axis=1))


def test_only_arrays_of_our_own_are_shared() -> None:
    own = read_only([1.0, 2.0], np.float64)
    assert read_only(own, np.float64) is own
    assert read_only(own, np.float32) is not own
    given = np.array([1.0, 2.0])
    view = given[:]
    given.setflags(write=False)
    kept = read_only(given, np.float64)
    view[0] = 5.0
    assert kept.tolist() == [1.0, 2.0]
    assert read_only(own[:1], np.float64) is not own


def test_a_network_shares_its_matrices_with_its_stages() -> None:
    net = random_network(0)
    layer = net.single_layers[0]
    assert net.stages[0].gates["ff1"].weight is layer.ff1.weight  # pyright: ignore[reportAttributeAccessIssue]
