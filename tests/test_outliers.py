"""Broken samples in calibration data are named, and robust ranges leave them out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_network, random_samples
from variants import Variant, network, samples

import lnn2loihi as l2l
from lnn2loihi.precision import precision_of
from lnn2loihi.quantization.outliers import OUTLYING_FACTOR, find_all, find_outliers, without

CHEAP = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
NETWORK = random_network(3)
CLEAN = random_samples(3, 12, 40, 3)
PLACES = st.tuples(st.integers(0, 11), st.integers(0, 39), st.integers(0, 2))


def broken(place: tuple[int, int, int], value: float) -> np.ndarray:
    x = CLEAN.copy()
    x[place] = value
    return x


def quality(program: l2l.LoihiProgram) -> float:
    y = l2l.simulate(program, CLEAN).outputs
    worst = precision_of(NETWORK.evaluate(CLEAN).outputs, y).worst_db
    assert worst is not None
    return worst


class TestSearch:
    @CHEAP
    @given(PLACES, st.floats(1e3, 1e9), st.booleans())
    def test_place_value_and_distance_are_named(
        self, place: tuple[int, int, int], size: float, negative: bool
    ) -> None:
        x = broken(place, -size if negative else size)
        (found,) = find_all(x, None)
        assert (found.sequence, found.step, found.channel) == place
        assert found.value == x[place] and found.count == 1
        others = np.delete(x[..., place[2]].ravel(), place[0] * 40 + place[1])
        assert (found.low, found.high) == (others.min(), others.max())
        assert found.times > OUTLYING_FACTOR
        assert str(found).startswith(
            f"input channel {place[2]}: the value {x[place]:g} of sequence {place[0]}, step "
            f"{place[1]}, lies {found.times:.3g} times as far out as all others"
        )
        changed, _ = without(x, None, (found,))
        assert changed[place] in (found.low, found.high)
        changed[place] = x[place]
        assert np.array_equal(changed, x)

    @CHEAP
    @given(st.integers(0, 1000), st.sampled_from(["normal", "uniform", "laplace", "exponential"]))
    def test_ordinary_data_have_none(self, seed: int, kind: str) -> None:
        rng = np.random.default_rng(seed)
        x = getattr(rng, kind)(size=(8, 50, 3)) * 10.0 ** rng.integers(-6, 6)
        assert find_all(x + rng.normal() * 100, None) == ()

    def test_switches_and_counts_have_none(self) -> None:
        switch = np.zeros((4, 200, 2))
        switch[0, 3, 0] = 1.0  # once in 800 samples, and nothing to compare with
        switch[..., 1] = 5.0
        assert find_all(switch, None) == ()

    @CHEAP
    @given(
        st.integers(0, 1000),
        st.sampled_from([0.0, 0.01, -0.07, 300.0]),
        st.lists(st.floats(-6, 0), min_size=0, max_size=2),
        st.sampled_from(["percentile", "mse"]),
    )
    def test_events_of_a_sparse_channel_are_none(
        self, seed: int, usual: float, smaller: list[float], ranges: str
    ) -> None:
        """Fewer than 1 % of the values differ from all others; the two largest are alike."""
        rng = np.random.default_rng(seed)
        x = CLEAN.copy()
        channel = np.full(480, usual)
        sizes = [*(10.0 ** np.array(smaller)), *rng.uniform(2.0, 12.0, 2)]
        channel[rng.permutation(480)[: len(sizes)]] += np.array(sizes) * rng.choice([-1.0, 1.0])
        x[..., 1] = channel.reshape(12, 40)
        assert find_all(x, None) == ()
        program = l2l.quantize(NETWORK, x, ranges=ranges)
        assert not l2l.simulate(program, x).saturated.any()
        assert not [w for w in program.warnings if "all others" in w]

    def test_one_value_alone_of_a_channel_that_stands_still_is_named(self) -> None:
        x = CLEAN.copy()
        x[..., 1] = 300.0
        x[4, 5, 1] = 65535.0
        (found,) = find_all(x, None)
        assert (found.channel, found.sequence, found.step, found.count) == (1, 4, 5, 1)

    def test_several_are_counted_and_the_farthest_is_named(self) -> None:
        x = CLEAN.copy()
        x[1, 2, 0], x[5, 6, 0], x[7, 8, 0] = -9999.0, -9999.0, -99999.0
        (found,) = find_all(x, None)
        assert (found.count, found.sequence, found.step) == (3, 7, 8)
        assert "the farthest of 3 such values" in str(found)

    def test_what_is_outside_is_not_looked_at(self) -> None:
        x = CLEAN[..., 0].copy()
        inside = np.ones(x.shape, bool)
        x[2, 30], inside[2, 30:] = 1e6, False
        assert find_outliers(x, inside) is None
        assert find_outliers(x) is not None

    def test_constant_times_with_one_gap_are_named(self) -> None:
        times = np.ones((12, 40))
        times[3, 5] = 1e4
        (found,) = find_all(CLEAN, times)
        assert found.channel is None and found.times == pytest.approx(9999.0)
        assert str(found).startswith("elapsed times: the value 10000 of sequence 3, step 5")


class TestQuantize:
    @CHEAP
    @given(PLACES, st.sampled_from([1e2, -9999.0, 1e6]), st.sampled_from(["percentile", "mse"]))
    def test_robust_ranges_leave_it_out(
        self, place: tuple[int, int, int], value: float, ranges: str
    ) -> None:
        clean = l2l.quantize(NETWORK, CLEAN, ranges=ranges)
        program = l2l.quantize(NETWORK, broken(place, value), ranges=ranges)
        assert quality(program) > quality(clean) - 3.0
        assert program.input.gain == pytest.approx(clean.input.gain, rel=1.01)
        (warning,) = [w for w in program.warnings if "input channel" in w]
        assert f"input channel {place[2]}: the value {value:g} of sequence {place[0]}" in warning
        assert "ranges leave it out, and such values saturate" in warning

    def test_a_refusal_names_it_first(self) -> None:
        with pytest.raises(l2l.QuantizationError) as caught:
            l2l.quantize(NETWORK, broken((4, 7, 2), 1e6), "w8a12x24")
        first = caught.value.problems[0]
        assert first.startswith("input channel 2: the value 1e+06 of sequence 4, step 7, lies")
        assert "remove it, or calibrate with ranges='percentile'" in first

    def test_what_is_taken_warns(self) -> None:
        program = l2l.quantize(NETWORK, broken((4, 7, 2), 60.0))
        (warning,) = [w for w in program.warnings if "input channel 2" in w]
        assert "if it is a broken sample, remove it" in warning

    def test_elapsed_times(self) -> None:
        variant = Variant(irregular=True, seed=3)
        made = network(variant)
        x, times = samples(variant, 8, 40)
        assert times is not None
        right = made.evaluate(x, timespans=times).outputs
        gap = times.copy()
        gap[2, 9] = 1e5
        clean = l2l.quantize(made, x, calibrate_timespans=times, ranges="percentile")
        program = l2l.quantize(made, x, calibrate_timespans=gap, ranges="percentile")
        assert any(w.startswith("elapsed times: the value 100000") for w in program.warnings)
        found, usual = (
            precision_of(right, l2l.simulate(p, x, timespans=times).outputs).worst_db
            for p in (program, clean)
        )
        assert found is not None and usual is not None and found > usual - 3.0
