"""Signal to noise around the mean; outputs and units of any size and mean keep their precision."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from networks import random_network, random_samples
from variants import Variant, network, samples

import lnn2loihi as l2l
from lnn2loihi import models
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.models import damped_sine
from lnn2loihi.precision import POOR_DB, precision_of
from lnn2loihi.program import MEASURED_WITH_MEANS

CHEAP = settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
#: What a network of well-scaled outputs may be better by, in decibels.
LOST_DB = 3.0


def with_outputs(
    made: l2l.LiquidNetwork, x: np.ndarray, deviation: np.ndarray, mean: np.ndarray
) -> l2l.LiquidNetwork:
    """The network with a readout whose outputs have these deviations and means on x."""
    assert made.readout is not None
    y = made.evaluate(x).outputs
    factor = deviation / y.std(axis=(0, 1))
    bias = (made.readout.bias - y.mean(axis=(0, 1))) * factor + mean
    readout = l2l.Linear("readout", made.readout.weight * factor[:, None], bias)
    return dataclasses.replace(made, readout=readout)


def decibels(made: l2l.LiquidNetwork, program: l2l.LoihiProgram, x: np.ndarray) -> np.ndarray:
    return precision_of(made.evaluate(x).outputs, l2l.simulate(program, x).outputs).decibels


class TestMeasure:
    def test_the_mean_is_no_signal_and_units_do_not_help_each_other(self) -> None:
        rng = np.random.default_rng(0)
        truth = rng.normal(size=(3, 50, 3)) * [1.0, 1e-3, 1.0] + [1000.0, 0.0, 0.0]
        noise = rng.normal(size=truth.shape) * [0.1, 1e-3, 0.01]
        found = precision_of(truth, truth + noise)
        assert found.decibels == pytest.approx([20.0, 0.0, 40.0], abs=3.0)
        assert found.worst_unit == 1 and found.worst_db == found.decibels[1]
        ratio = truth.var(axis=(0, 1)).sum() / (noise**2).mean(axis=(0, 1)).sum()
        assert found.overall_db == pytest.approx(10 * np.log10(ratio), abs=1e-6)
        assert found.relative_error == pytest.approx(1 / ratio)

    def test_an_output_that_stands_still_has_nothing(self) -> None:
        truth = 300.0 + np.sin(np.arange(100.0)).reshape(1, 100, 1)
        found = precision_of(truth, np.full_like(truth, truth.mean()))
        assert found.worst_db == pytest.approx(0.0, abs=1e-9)
        assert found.unchanging.tolist() == [0]

    def test_constant_units_have_no_ratio_and_equal_ones_no_end(self) -> None:
        truth = np.zeros((1, 5, 3))
        truth[..., 0], truth[..., 1] = 7.0, np.arange(5)
        found = precision_of(truth, truth + [0.5, 0.0, 0.0])
        assert np.isnan(found.decibels[[0, 2]]).all() and np.isposinf(found.decibels[1])
        assert found.worst_unit is None and found.worst_db is None
        assert not found.unchanging.size

    def test_nothing_has_no_ratio(self) -> None:
        nothing = precision_of(np.zeros((0, 2)), np.zeros((0, 2)))
        assert nothing.worst_db is None and nothing.overall_db is None

    @pytest.mark.parametrize("ranges", ["range", "percentile", "mse"])
    def test_what_stands_beyond_the_end_of_a_sequence_does_not_count(self, ranges: str) -> None:
        made, x = random_network(2), random_samples(2, 4, 20, 3)
        lengths = np.array([20, 7, 12, 20])
        padded = x.copy()
        for sequence, length in enumerate(lengths):
            padded[sequence, length:] = 1e4
        program = l2l.quantize(made, padded, lengths=lengths, ranges=ranges)
        assert program == l2l.quantize(made, x, lengths=lengths, ranges=ranges)
        assert not [w for w in program.warnings if "input channel" in w]
        found = l2l.compare(made, program, padded, lengths=lengths)
        truth, other = made.evaluate(x).outputs, l2l.simulate(program, x).outputs
        live = np.arange(20) < lengths[:, None]
        assert found.output.worst_db == pytest.approx(
            precision_of(truth[live], other[live]).worst_db
        )

    @CHEAP
    @given(st.integers(0, 1000), st.floats(-1e4, 1e4), st.floats(1e-3, 1e3))
    def test_neither_mean_nor_unit_matters(self, seed: int, mean: float, unit: float) -> None:
        truth, noise = random_samples(seed, 2, 20, 2), random_samples(seed + 1, 2, 20, 2, 0.05)
        plain = precision_of(truth, truth + noise)
        moved = precision_of(unit * (truth + mean), unit * (truth + noise + mean))
        assert moved.decibels == pytest.approx(plain.decibels, abs=1e-3)


class TestOutputs:
    @CHEAP
    @given(
        st.integers(0, 50),
        st.lists(st.floats(-6, 6), min_size=2, max_size=2),
        st.lists(st.floats(-3500, 3500), min_size=2, max_size=2),
        st.sampled_from(["w8a12", "w8a8", "w4a8x12"]),
    )
    def test_units_and_means_of_outputs_cost_nothing(
        self, seed: int, powers: list[float], means: list[float], recipe: str
    ) -> None:
        made, x = random_network(seed), random_samples(seed, 8, 25, 3)
        deviation = 10.0 ** np.array(powers)
        plain = with_outputs(made, x, np.ones(2), np.zeros(2))
        changed = with_outputs(made, x, deviation, deviation * means)
        right = decibels(plain, l2l.quantize(plain, x, recipe), x)
        program = l2l.quantize(changed, x, recipe)
        found = decibels(changed, program, x)
        assert (found > np.minimum(right, 60.0) - LOST_DB).all()
        assert program.table[-1]["worst_unit"] == found.argmin()
        assert program.table[-1]["worst_db"] == pytest.approx(found.min(), abs=1e-3)

    def test_outputs_in_large_units_do_not_choose_for_those_in_small_ones(self) -> None:
        """The exponent of a connection is the one with the least error, in each output's units."""
        made, x = random_network(17, layers=(5,)), np.cumsum(random_samples(17, 6, 20, 3), axis=1)
        x /= x.std(axis=(0, 1))
        assert made.readout is not None
        units = np.array([9e3, 3e-5])
        readout = l2l.Linear(
            "readout", made.readout.weight * units[:, None], made.readout.bias * units
        )
        changed = dataclasses.replace(made, readout=readout)
        right = decibels(made, l2l.quantize(made, x), x)
        found = decibels(changed, l2l.quantize(changed, x), x)
        assert (found > right - LOST_DB).all()

    def test_ordinary_outputs_share_a_format_and_keep_their_zero(self) -> None:
        program = l2l.quantize(random_network(1), random_samples(1, 8, 25, 3))
        assert not program.output_population.has_own_scales
        assert program.table[-1]["message"].endswith(str(program.output_population.message))

    @pytest.mark.parametrize("name", ["run", "stream", "file"])
    def test_all_who_decode_decode_alike(self, name: str, tmp_path: Path) -> None:
        x = random_samples(2, 6, 20, 3)
        made = with_outputs(random_network(2), x, np.array([1e3, 1e-4]), np.array([3e5, 0.7]))
        program = l2l.quantize(made, x)
        population = program.output_population
        assert population.has_own_scales and population.offset.any()
        run = l2l.simulate(program, x, "reference")
        right = run.integers * population.scale + population.offset
        assert np.array_equal(run.outputs, right)
        if name == "run":
            assert np.array_equal(l2l.simulate(program, x, "blas").outputs, right)
        elif name == "stream":
            stream = l2l.open_stream(program)
            assert np.array_equal([stream.step(sample) for sample in x[0]], right[0])
        else:
            loaded = l2l.load(l2l.save(program, tmp_path / "own.l2l"))
            assert loaded == program
            assert np.array_equal(l2l.simulate(loaded, x).outputs, right)

    @pytest.mark.parametrize(
        ("part", "value", "message"),
        [
            ("scale", [1.0], "scale needs one finite number for each neuron"),
            ("scale", [1.0, 0.0], "scale holds numbers that are not above 0"),
            ("offset", [np.inf, 0.0], "offset needs one finite number for each neuron"),
        ],
    )
    def test_wrong_scales_are_refused(self, part: str, value: list[float], message: str) -> None:
        program = l2l.quantize(random_network(1), random_samples(1, 4, 9, 3))
        broken = dataclasses.replace(program.output_population, **{part: np.array(value)})
        with pytest.raises(l2l.Lnn2LoihiError, match=message):
            dataclasses.replace(program, populations=(*program.populations[:-1], broken))


class TestUnits:
    @CHEAP
    @given(st.integers(0, 100), st.sampled_from(["relu", "identity", "mingru", "minlstm"]))
    def test_units_of_different_size_have_scales_of_their_own(self, seed: int, kind: str) -> None:
        rng = np.random.default_rng(seed)
        x = random_samples(seed, 6, 25, 3)
        if kind in ("relu", "identity"):
            linear = l2l.Linear("linear", rng.normal(size=(8, 3)), rng.normal(size=8))
            made = l2l.LiquidNetwork("units", (DenseLayer("first", linear, kind),))
        else:
            variant = Variant(family=f"{kind} linear", units=8, seed=seed, readout=False)
            made = network(variant)
        readout = rng.normal(size=(2, 8))
        sizes = 10.0 ** rng.uniform(-4, 0, 8)
        sizes[0] = 1.0
        found = []
        for factor in (np.ones(8), sizes):
            changed = dataclasses.replace(
                made,
                layers=(scaled(made.layers[0], factor),),
                readout=l2l.Linear("readout", readout / factor, np.zeros(2)),
            )
            program = l2l.quantize(changed, x)
            runs = [l2l.simulate(program, x, e, return_states=True) for e in ("reference", "blas")]
            assert np.array_equal(runs[0].integers, runs[1].integers)
            answers = changed.evaluate(x).states[program.populations[0].name]
            assert runs[0].states is not None
            own = program.populations[0]
            integers = runs[0].states[own.name][own.program.message_state or "message"]
            units = precision_of(answers, own.decode(integers)).decibels
            found.append((np.nanmin(units), own.has_own_scales))
        assert found[1][1]
        assert found[1][0] > found[0][0] - 12.0, "two bits, which is where own scales begin"

    def test_training_for_the_chip_hears_the_same_scales(self) -> None:
        torch = pytest.importorskip("torch")
        from lnn2loihi import qat

        rng = np.random.default_rng(3)
        factor = 10.0 ** np.linspace(-3, 0, 6)
        linear = l2l.Linear("linear", rng.normal(size=(6, 3)) * factor[:, None], np.zeros(6))
        readout = l2l.Linear("readout", rng.normal(size=(2, 6)) / factor * [[1e3], [1.0]],
                             np.array([9e5, 0.0]))  # fmt: skip
        made = l2l.LiquidNetwork("units", (DenseLayer("first", linear, "relu"),), readout)
        x = random_samples(3, 5, 20, 3)
        module = qat.prepare(made, calibrate=x)
        program = module.export()
        assert all(population.has_own_scales for population in program.populations)
        module.eval()
        answered = module(torch.tensor(x, dtype=torch.float64)).numpy()
        right = l2l.simulate(program, x).outputs
        assert answered == pytest.approx(right, rel=1e-6)
        module.train()
        trained = module(torch.tensor(x, dtype=torch.float64)).detach().numpy()
        assert (precision_of(right, trained).decibels > 45.0).all()


def scaled(layer: object, factor: np.ndarray) -> object:
    """The layer with answers so many times as large."""
    if isinstance(layer, DenseLayer):
        linear = layer.linear
        return dataclasses.replace(
            layer,
            linear=l2l.Linear("linear", linear.weight * factor[:, None], linear.bias * factor),
        )
    assert dataclasses.is_dataclass(layer) and not isinstance(layer, type)
    first, *others = layer.gates  # type: ignore[attr-defined]
    moved = l2l.Linear(first.name, first.weight * factor[:, None], first.bias * factor)
    return dataclasses.replace(layer, gates=(moved, *others))


class TestWarnings:
    @CHEAP
    @given(st.integers(0, 1000), st.sampled_from(["w4a6", "w3a5", "w2a4", "w8a12", "w4a8x12"]))
    def test_every_poor_output_is_named_and_no_other(self, seed: int, recipe: str) -> None:
        made, x = random_network(seed), random_samples(seed, 6, 25, 3)
        try:
            program = l2l.quantize(made, x, recipe)
        except l2l.QuantizationError:
            assume(False)
            raise
        found = decibels(made, program, x)
        named = [w for w in program.warnings if w.startswith("readout: the error is within")]
        inner = [w for w in program.warnings if w.startswith("layer_") and "the error is" in w]
        if found.min() >= POOR_DB:
            assert not named and not inner
            return
        (warning,) = named
        assert f"within {found.min():.1f} dB of how output {found.argmin()} varies" in warning
        poor = ", ".join(str(i) for i in np.flatnonzero(found < POOR_DB))
        assert f"(outputs {poor} of 2 are within 15 dB)" in warning
        assert f"recipe '{program.recipe}'" not in warning

    def test_the_recipe_that_is_named_helps(self) -> None:
        made, x = random_network(5), random_samples(5, 8, 20, 3)
        program = l2l.quantize(made, x, "w2a3")
        (warning,) = [w for w in program.warnings if w.startswith("readout: the error")]
        assert "recipe 'w8a12x12-ramp12' brings its worst output to" in warning
        better = l2l.quantize(made, x, "w8a12")
        assert f"to {decibels(made, better, x).min():.1f} dB" in warning

    def test_what_comes_out_of_training_is_not_told_to_train(self) -> None:
        pytest.importorskip("torch")
        from lnn2loihi import qat

        x = random_samples(5, 8, 20, 3)
        program = qat.prepare(random_network(5), "w2a3", calibrate=x).export()
        assert program.table[-1]["worst_db"] < POOR_DB
        assert not [w for w in program.warnings if "the error" in w or "arithmetic" in w]

    def test_taken_weight_bits_do_not_advise_the_recipe_in_use(self) -> None:
        made = random_network(4, layers=(60,), inputs=3)
        program = l2l.quantize(made, random_samples(4, 8, 20, 3), "w8a16")
        taken = [w for w in program.warnings if "weight bits" in w]
        assert taken
        assert all("narrower messages or inputs leave more (w8a14, w8a12)" in w for w in taken)

    @pytest.mark.parametrize(("units", "seed"), [(1, 26), (2, 4)])
    def test_bits_that_a_coarser_exponent_leaves_unused_are_not_taken(
        self, units: int, seed: int
    ) -> None:
        """Of all exponents the one with the least error on few samples may be a coarse one."""
        x = np.cumsum(random_samples(seed, 4, 12, 3), axis=1)
        program = l2l.quantize(random_network(seed, layers=(units,), outputs=1), x)
        (connection,) = program.incoming("readout")
        assert connection.exponent > 1 and program.table[-1]["weight_bits_used"] < 7.0
        assert not [w for w in program.warnings if "weight bits" in w]

    def test_tables_of_older_files_are_named_as_such(self) -> None:
        program = damped_sine.program()
        assert program.measured_with_means == (MEASURED_WITH_MEANS in program.summary())
        fresh = l2l.quantize(random_network(1), random_samples(1, 4, 9, 3))
        assert not fresh.measured_with_means and MEASURED_WITH_MEANS not in fresh.summary()
        rows = [{**row, "worst_db": None, "worst_unit": None} for row in fresh.table]
        old = dataclasses.replace(fresh, table=tuple(rows))
        assert MEASURED_WITH_MEANS in old.summary()


class TestRawInputs:
    @CHEAP
    @given(
        st.sampled_from(["cfc", "gru", "lstm", "mingru", "mingru linear", "minlstm",
                         "minlstm linear"]),
        st.sampled_from(["default", "no_gate", "pure"]),
        st.sampled_from([1e3, 1e4, 1e6]),
        st.booleans(),
        st.booleans(),
        st.integers(0, 100),
    )  # fmt: skip
    def test_every_family_takes_inputs_of_any_size(
        self, family: str, mode: str, size: float, memory: bool, irregular: bool, seed: int
    ) -> None:
        before = ("", "silu", "gelu", "tanh", "relu", "identity")[seed % 6]
        variant = Variant(
            family=family, mode=mode, memory=memory, inputs=4, seed=seed, before=before,
            irregular=irregular,
        )  # fmt: skip
        made = network(variant)
        _, times = samples(variant, 4, 15)
        x = np.random.default_rng(seed).uniform(0.0, size, (4, 15, 4))
        program = l2l.quantize(made, x, calibrate_timespans=times)
        runs = [l2l.simulate(program, x, e, timespans=times) for e in ("reference", "blas")]
        assert np.array_equal(runs[0].integers, runs[1].integers)
        found = precision_of(made.evaluate(x, timespans=times).outputs, runs[0].outputs)
        poor = [w for w in program.warnings if "the error is within" in w]
        assert bool(poor) == (found.worst_db is not None and found.worst_db < POOR_DB)

    @pytest.mark.parametrize("family", ["cfc", "gru", "lstm"])
    def test_beyond_their_ends_activations_do_not_tell_sums_apart(self, family: str) -> None:
        """Gates far beyond their ends answer as floats do, to the last bits of the messages."""
        made = network(Variant(family=family, inputs=2, units=4, seed=7, readout=False))
        x = np.where(np.random.default_rng(1).random((3, 12, 2)) < 0.5, -1.0, 1.0)
        x *= [1e5, 3e6]
        program = l2l.quantize(made, x)
        states = [name for p in program.populations for name, _ in p.program.parameters]
        assert any(name.endswith(".limit") for name in states)
        y, right = l2l.simulate(program, x).outputs, made.evaluate(x).outputs
        assert np.abs(y - right).max() < 2e-3


def test_a_sample_of_every_kind_loads_and_measures() -> None:
    variant = Variant(irregular=True, seed=3)
    made = network(variant)
    x, times = samples(variant, 4, 12)
    program = l2l.quantize(made, x, calibrate_timespans=times)
    result = l2l.compare(made, program, x, timespans=times)
    for row, stage in zip(program.table, result.stages, strict=True):
        assert row["worst_unit"] == stage.worst_unit
    assert "never change" in result.summary()


@pytest.mark.parametrize(
    "path", sorted(Path(models.__path__[0]).glob("**/*.l2l")), ids=lambda path: path.stem
)
def test_no_shipped_program_that_was_trained_is_told_to_train(path: Path) -> None:
    program = l2l.load(path)
    assert not [w for w in program.warnings if "chip's arithmetic" in w or "the error is" in w]
