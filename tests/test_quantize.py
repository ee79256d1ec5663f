"""Quantization: recipes, formats, proofs, refusals."""

from __future__ import annotations

import dataclasses
from importlib import import_module

import numpy as np
import pytest
import variants
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from networks import random_network, random_samples

import lnn2loihi as l2l
from lnn2loihi.families.cfc.neuron import GATES
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.formats import signed_range
from lnn2loihi.layers.gated import GatedLayer
from lnn2loihi.layers.stage import Stage
from lnn2loihi.quantization.calibration import largest_magnitude
from lnn2loihi.quantization.post_training import Plan
from lnn2loihi.quantization.rounding import CORRECTIONS, column_scales
from lnn2loihi.quantization.verb import network_hash, prepared
from lnn2loihi.recipe import Recipe
from lnn2loihi.simulation import encode, full_initial_state
from lnn2loihi.simulation.reference import run_reference

recipes = st.builds(
    lambda w, a, x, form: f"w{w}a{a}x{x}-{form}",
    st.integers(4, 8),
    st.integers(4, 16),
    st.integers(6, 16),
    st.sampled_from(["ramp12", "ramp16", "lines16", "hard"]),
)


PRE_ACTIVATION = r"(?s)accumulator candidate_input: its pre-activation can reach.*train anew"


def scaled(part: object, factor: float) -> object:
    """A part of a layer with its numbers times a factor."""
    if isinstance(part, l2l.Linear):
        return l2l.Linear(part.name, part.weight * factor, part.bias * factor)
    return part * factor if isinstance(part, np.ndarray) else part


class TestRecipe:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("w8a12", Recipe(8, 12, 12, "ramp12")),
            ("w8a16", Recipe(8, 16, 16, "ramp12")),
            ("w4a8", Recipe(4, 8, 12, "ramp12")),
            ("w4a8x8", Recipe(4, 8, 8, "ramp12")),
            ("w8a12x14-lines16", Recipe(8, 12, 14, "lines16")),
        ],
    )
    def test_grammar(self, text: str, expected: Recipe) -> None:
        assert Recipe.parse(text) == expected

    @given(recipes)
    def test_text_and_recipe_are_one(self, text: str) -> None:
        assert str(Recipe.parse(text)) == text

    @pytest.mark.parametrize(
        "text", ["", "w8", "a12", "w8a12y3", "W8A12", "w8a12-", "8,12", "w+8a1", "w٨a12"]
    )
    def test_what_is_not_in_the_grammar_is_refused(self, text: str) -> None:
        with pytest.raises(l2l.RecipeError, match="not understood; write w<bits>a<bits>"):
            Recipe.parse(text)

    def test_every_width_out_of_range_is_listed(self) -> None:
        with pytest.raises(l2l.RecipeError) as raised:
            Recipe.parse("w1a17x25-table")
        text = str(raised.value)
        for part in ("weights (w) of 1 bits", "messages (a) of 17", "inputs (x) of 25", "'table'"):
            assert part in text


def squared_errors(plan: Plan, stage: Stage, correction: str) -> float:
    """Of the pre-activations of a stage on the calibration data, by its rounded rows."""
    exponents, rows = plan.rows(stage, correction)
    scale, left = column_scales(plan.sources(stage), exponents)
    total = 0.0
    for gate, row in zip(stage.gates.values(), rows, strict=True):
        weights = gate.weight - row.mantissas * (row.unit[:, None] * left / scale)
        biases = gate.bias - row.bias * row.unit
        lost = np.concatenate([weights, biases[:, None]], axis=1)
        total += float(np.sum(plan.calibration.moments[stage.name].rms(lost) ** 2))
    return total


class TestResult:
    @settings(max_examples=25)
    @given(
        seed=st.integers(0, 10_000),
        recipe=recipes,
        layers=st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple),
        outputs=st.integers(0, 3),
        density=st.sampled_from([0.2, 1.0]),
        timespan=st.sampled_from([0.1, 1.0, 3.0]),
    )
    def test_no_word_leaves_its_proved_bound(
        self,
        seed: int,
        recipe: str,
        layers: tuple[int, ...],
        outputs: int,
        density: float,
        timespan: float,
    ) -> None:
        network = random_network(
            seed, layers=layers, outputs=outputs, density=density, timespan=timespan
        )
        try:
            program = l2l.quantize(network, random_samples(seed, 4, 12, 3), recipe)
        except l2l.QuantizationError as error:
            # Some widths do not go together, for instance inputs of 4 bits and messages of 16.
            assert "fits" in str(error) or "retrain" in str(error)
            reject()
        worst = random_samples(seed + 1, 3, 6, 3, scale=1e6)
        inputs, saturated = encode(program, worst)
        start = full_initial_state(program, 3, None)
        run_reference(program, inputs, start, check_bounds=True)
        assert saturated.sum() > 0
        for proved in program.bounds.values():
            for word, interval in proved.words.items():
                assert interval.bits <= 24, word

    def test_mantissas_fit_their_bits_and_use_them(self) -> None:
        network = random_network(3)
        for bits in (2, 3, 4, 8):
            program = l2l.quantize(network, random_samples(3, 8, 20, 3), f"w{bits}a8")
            low, high = signed_range(bits)
            for connection in program.connections:
                assert connection.mantissa_bits == bits
                assert low <= connection.mantissas.min() and connection.mantissas.max() <= high
            largest = max(np.abs(c.mantissas.astype(int)).max() for c in program.connections)
            assert largest >= high

    def test_multipliers_are_per_neuron_and_8_bit(self) -> None:
        program = l2l.quantize(random_network(4), random_samples(4, 8, 20, 3))
        multipliers = program.populations[0].parameters["ff1.multiplier"]
        assert len(set(multipliers.tolist())) > 1
        assert 1 <= multipliers.min() and multipliers.max() <= 127

    def test_input_and_recurrent_block_have_their_own_scale(self) -> None:
        network = random_network(5, scale=1.0)
        x = random_samples(5, 8, 20, 3, scale=100.0)
        shifts = []
        for factor in (1.0, 1e-3):
            layer = network.layers[0]
            assert isinstance(layer, l2l.CfCLayer)
            gates = {}
            for gate in layer.gates:
                weight = np.array(getattr(layer, gate).weight)
                weight[:, :3] *= factor
                gates[gate] = l2l.Linear(gate, weight, getattr(layer, gate).bias)
            changed = l2l.LiquidNetwork("net", (l2l.CfCLayer("layer_0", *gates.values()),))
            program = l2l.quantize(changed, x)
            from_input, recurrent = program.incoming("layer_0")
            shifts.append(from_input.exponent - recurrent.exponent)
        assert shifts[0] > shifts[1]

    def test_a_zero_row_and_a_zero_network_are_fine(self) -> None:
        network = random_network(6)
        layer = network.layers[0]
        assert isinstance(layer, l2l.CfCLayer)
        zero = l2l.Linear("ff1", np.zeros_like(layer.ff1.weight), np.zeros(layer.units))
        changed = l2l.LiquidNetwork(
            "zero", (dataclasses.replace(layer, ff1=zero, ff2=zero, time_a=zero, time_b=zero),)
        )
        x = random_samples(6, 2, 10, 3)
        program = l2l.quantize(changed, x)
        # tanh of a ramp form is off by its error at 0, times nothing else.
        assert np.abs(l2l.simulate(program, x).outputs).max() <= 1e-3

    def test_channels_saturate_at_their_own_calibrated_range(self) -> None:
        x = random_samples(7, 8, 20, 3) * [0.1, 1.0, 10.0]
        program = l2l.quantize(random_network(7), x)
        inside = l2l.simulate(program, x)
        assert inside.saturated_inputs == 0
        beyond = x[:1, :1].copy()
        beyond[..., 0] = 2.0 * np.abs(x[..., 0]).max()
        assert l2l.simulate(program, beyond).saturated.tolist() == [1, 0, 0]

    def test_the_table_tells_what_was_measured(self) -> None:
        network, x = random_network(8), random_samples(8, 8, 20, 3)
        program = l2l.quantize(network, x)
        comparison = l2l.compare(network, program, x)
        rows = {row["stage"]: row for row in program.table}
        assert list(rows) == ["input", "layer_0", "layer_1", "readout"]
        for stage in comparison.stages:
            row = rows[stage.stage]
            assert row["signal_to_noise_db"] == pytest.approx(stage.signal_to_noise_db, abs=1e-9)
            assert row["compared"] == stage.values
        text = str(program)
        for word in ("signal/noise", "range used", "saturated", "12 bit Q0.11", "layer_1"):
            assert word in text

    @pytest.mark.parametrize("recipe", ["w8a12", "w4a8", "w2a4"])
    def test_corrections_lower_the_error_of_the_rows(self, recipe: str) -> None:
        """On the data that they look at; and synapses that do not exist stay away."""
        network = random_network(7, layers=(12, 8), density=0.6)
        x = random_samples(7, 16, 30, 3).cumsum(axis=1) / 5
        setting = prepared(network, x, recipe)
        errors = {}
        for correction in CORRECTIONS:
            plan = Plan(network, setting.calibration, setting.recipes)
            errors[correction] = sum(squared_errors(plan, s, correction) for s in network.stages)
            assert setting.convert(network, correction=correction).synapses <= network.synapses
        assert errors["full"] < errors["bias"] < errors["none"]

    def test_an_unknown_correction_is_refused(self) -> None:
        with pytest.raises(l2l.QuantizationError, match="correction: 'more' does not exist"):
            l2l.quantize(random_network(1), random_samples(1, 2, 3, 3), correction="more")

    def test_percentiles_leave_outliers_out(self) -> None:
        x = random_samples(8, 16, 60, 3)
        x[0, 0, 0] = 60.0
        whole = l2l.quantize(random_network(8), x)
        chosen = l2l.quantize(random_network(8), x, ranges="percentile")
        assert chosen.input.gain[0] >= 8 * whole.input.gain[0]
        assert chosen.provenance["ranges"] == "percentile"
        with pytest.raises(l2l.QuantizationError, match="ranges 'all' does not exist"):
            l2l.quantize(random_network(8), x, ranges="all")

    def test_the_least_squared_error_weighs_rounding_against_saturation(self) -> None:
        values = np.random.default_rng(0).laplace(size=20_000)
        most = float(np.abs(values).max())
        limits = [largest_magnitude(values, bits, "mse") for bits in (2, 3, 4, 12)]
        assert limits == sorted(limits) and limits[0] < 0.3 * most and limits[-1] == most
        assert largest_magnitude(values, 2, "range") == most

    def test_more_bits_are_closer_to_float(self) -> None:
        network, x = random_network(9), random_samples(9, 16, 20, 3)
        errors = [
            l2l.compare(network, l2l.quantize(network, x, recipe), x).output.rms
            for recipe in ("w2a4", "w4a8", "w8a12")
        ]
        assert errors[0] > errors[1] > errors[2]
        assert errors[2] < 0.05

    def test_the_hash_names_the_network(self) -> None:
        network, x = random_network(10), random_samples(10, 4, 10, 3)
        program = l2l.quantize(network, x)
        assert program.provenance["network"] == network_hash(network)
        assert network_hash(random_network(11)) != network_hash(network)
        assert network_hash(random_network(10, timespan=2.0)) != network_hash(network)

    def test_large_weights_are_still_exact_in_kind(self) -> None:
        network = random_network(12, scale=60.0)
        x = random_samples(12, 8, 20, 3)
        program = l2l.quantize(network, x)
        assert l2l.compare(network, program, x).stages[1].rms < 0.2


class TestWarnings:
    def test_a_good_network_has_none(self) -> None:
        assert l2l.quantize(random_network(1), random_samples(1, 8, 20, 3)).warnings == ()

    def test_a_channel_that_varies_little_is_named(self) -> None:
        x = random_samples(2, 8, 20, 3) * [0.1, 1.0, 0.1] + [100.0, 0.0, 100.0]
        program = l2l.quantize(random_network(2), x)
        assert any("input channels 0, 2 span fewer than 32" in w for w in program.warnings)
        assert "warning: input channels 0, 2" in str(program)

    def test_channels_of_very_different_range_each_have_their_own_scale(self) -> None:
        x = random_samples(2, 8, 20, 3) * [0.001, 100.0, 0.1]
        program = l2l.quantize(random_network(2), x)
        assert not [w for w in program.warnings if "input channels" in w]
        assert len(set(program.input.gain)) == 3
        errors = np.abs(program.input.decode(program.input.encode(x)[0]) - x).max(axis=(0, 1))
        assert np.all(errors <= np.abs(x).max(axis=(0, 1)) * 2.0**-11)

    def test_a_constant_channel_is_named(self) -> None:
        x = random_samples(3, 8, 20, 3)
        x[..., 1] = 0.5
        program = l2l.quantize(random_network(3), x)
        assert any("input channels 1 are constant" in w for w in program.warnings)

    def test_weight_bits_that_the_accumulator_takes_are_named(self) -> None:
        network = random_network(4, layers=(60,), inputs=3)
        program = l2l.quantize(network, random_samples(4, 8, 20, 3), "w8a16")
        assert any("layer_0: the 24-bit accumulator leaves" in w for w in program.warnings)

    def test_units_that_never_change_are_named(self) -> None:
        gates = [l2l.Linear(g, np.full((2, 3), 1e-3), np.zeros(2)) for g in l2l.CfCLayer.gates]
        gates[0] = l2l.Linear("ff1", np.array([[0.04, 0.0, 0.0], [2.0, 0.0, 0.0]]), np.zeros(2))
        network = l2l.LiquidNetwork("small", (l2l.CfCLayer("layer_0", *gates),))
        program = l2l.quantize(network, random_samples(1, 8, 20, 1), "w8a3")
        assert any("layer_0: units 0 never change although" in w for w in program.warnings)

    def test_gates_that_are_stuck_are_named(self) -> None:
        network = random_network(1)
        layer = network.layers[0]
        assert isinstance(layer, l2l.CfCLayer)
        bias = np.array(layer.time_b.bias)
        bias[3] = 20.0
        stuck = dataclasses.replace(layer, time_b=l2l.Linear("time_b", layer.time_b.weight, bias))
        changed = dataclasses.replace(network, layers=(stuck, *network.layers[1:]))
        program = l2l.quantize(changed, random_samples(1, 8, 20, 3))
        assert any(
            "layer_0: time is saturated in at least 100 % of the samples, in the float network "
            f"too: at 1 in 1 of {layer.units} units (3)" in w
            for w in program.warnings
        )

    def test_units_that_are_clipped_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        linear = l2l.Linear("linear", np.full((1, 1), 1.05), np.zeros(1))
        dense = DenseLayer("dense", linear, "identity")
        readout = l2l.Linear("readout", np.ones((1, 1)), np.zeros(1))
        network = l2l.LiquidNetwork("wide", (dense,), readout)
        x = np.random.default_rng(0).laplace(size=(4, 1000, 1))
        assert not any("an end" in w for w in l2l.quantize(network, x, ranges="range").warnings)
        warnings = import_module("lnn2loihi.quantization.warnings")
        monkeypatch.setattr(warnings, "CLIPPED_SHARE", 0.0001)
        program = l2l.quantize(network, x, ranges="percentile")
        assert any("dense: units 0 stand at an end of their format" in w for w in program.warnings)

    def test_a_poor_stage_is_named(self) -> None:
        program = l2l.quantize(random_network(5), random_samples(5, 8, 20, 3), "w2a3")
        assert any("readout: the error is within" in w for w in program.warnings)


class TestRefusals:
    def test_inputs_that_leave_their_block_nothing_are_refused(self) -> None:
        with pytest.raises(l2l.QuantizationError, match="recipe 'w8a12x12-ramp12' fits"):
            l2l.quantize(random_network(1), random_samples(1, 8, 20, 3), "w8a12x24")

    def test_what_is_no_network_is_refused(self) -> None:
        with pytest.raises(l2l.QuantizationError, match="import_network"):
            l2l.quantize("net.pt", np.zeros((1, 2, 3)))  # type: ignore[arg-type]

    def test_all_that_is_wrong_with_the_arguments_is_listed(self) -> None:
        bad = np.full((2, 3, 5), np.nan)
        with pytest.raises(l2l.QuantizationError) as raised:
            l2l.quantize(random_network(1), bad, "w9a12")
        text = str(raised.value)
        assert "weights (w) of 9 bits" in text
        assert "has 5 input channels, expected 3" in text
        assert "30 NaN or infinite of 30 values" in text

    @pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3), (5, 3)])
    def test_empty_or_flat_calibration_data(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(
            l2l.QuantizationError, match="is empty|expected \\(batch, time, inputs\\)"
        ):
            l2l.quantize(random_network(1), np.zeros(shape))

    def test_a_row_that_cannot_fit_is_named_with_the_recipe_that_fits(self) -> None:
        rng = np.random.default_rng(2)
        weight = rng.choice([-1.0, 1.0], (2, 802)) * 0.5
        gates = {g: l2l.Linear(g, weight, np.zeros(2)) for g in l2l.CfCLayer.gates}
        network = l2l.LiquidNetwork("wide", (l2l.CfCLayer("layer_0", *gates.values()),))
        x = rng.normal(0.0, 1.0, (4, 5, 800))
        with pytest.raises(l2l.QuantizationError) as raised:
            l2l.quantize(network, x, "w8a16x16")
        text = str(raised.value)
        assert "layer_0: neuron 0, accumulator ff1: its 24-bit bound" in text
        fits = text.rsplit("recipe '", 1)[1].split("'")[0]
        assert l2l.quantize(network, x, fits).recipe == fits

    def test_a_pre_activation_beyond_24_bits_is_named(self) -> None:
        weight = np.full((1, 2), 1e5)
        gates = {g: l2l.Linear(g, weight, np.zeros(1)) for g in l2l.CfCLayer.gates}
        network = l2l.LiquidNetwork("strong", (l2l.CfCLayer("layer_0", *gates.values()),))
        l2l.quantize(network, np.ones((1, 2, 1)))  # gates that are thrown from end to end
        # The two parts of a GRU's candidate may cancel, so that their size counts.
        gru = variants.network(variants.Variant(family="gru", inputs=1))
        (layer,) = gru.layers
        assert isinstance(layer, GatedLayer)
        strong = tuple(l2l.Linear(gate.name, 1e5 * gate.weight, gate.bias) for gate in layer.gates)
        changed = dataclasses.replace(gru, layers=(dataclasses.replace(layer, gates=strong),))
        with pytest.raises(l2l.QuantizationError, match=PRE_ACTIVATION) as caught:
            l2l.quantize(changed, np.ones((1, 2, 1)))
        assert "which scaling one against the other does not change" in str(caught.value)

    @pytest.mark.parametrize(
        ("mode", "before", "factor", "reason"),
        [
            (
                "pure",
                "",
                1e-30,
                "layer_0: neuron program (?s:.*) of layer_0 .at most .*e-31. are too small",
            ),
            ("default", "silu", 1e15, "before: neuron program (?s:.*)weights are too large for"),
        ],
    )
    def test_what_no_word_holds_is_said_without_operations(
        self, mode: str, before: str, factor: float, reason: str
    ) -> None:
        network = variants.network(variants.Variant(mode=mode, before=before, readout=False))
        (layer, *others) = network.layers
        changed = {
            field.name: scaled(getattr(layer, field.name), factor)
            for field in dataclasses.fields(layer)
        }
        layers = (dataclasses.replace(layer, **changed), *others)
        with pytest.raises(l2l.QuantizationError, match=reason) as caught:
            l2l.quantize(dataclasses.replace(network, layers=layers), random_samples(1, 2, 5, 3))
        text = str(caught.value)
        assert "instruction" not in text and "immediate" not in text
        assert ("sums of weights times inputs are too large" in text) == (factor > 1)

    def test_every_gate_multiplier_is_named_as_documented(self) -> None:
        program = l2l.quantize(random_network(1), random_samples(1, 2, 5, 3))
        assert program.populations[0].program.accumulators == GATES


def test_an_elapsed_time_that_never_varies_is_warned_of() -> None:
    x = random_samples(1, 2, 6, 3)
    network = dataclasses.replace(random_network(1), timespan=None)
    program = l2l.quantize(network, x, calibrate_timespans=np.full((2, 6), 0.5))
    assert any("the elapsed time is 0.5 in all calibration data" in w for w in program.warnings)
    varied = l2l.quantize(network, x, calibrate_timespans=np.linspace(0.5, 1.0, 12).reshape(2, 6))
    assert not any("elapsed time is" in w for w in varied.warnings)


def test_the_reason_is_what_it_is() -> None:
    """Inputs that are large are not weights, and rows of zeros lose no bits."""
    network, x = random_network(1), random_samples(1, 2, 5, 3)
    with pytest.raises(l2l.QuantizationError, match="or what they are multiplied with, are too"):
        l2l.quantize(network, 1e30 * x)
    readout = network.readout
    assert readout is not None
    zeros = l2l.Linear("readout", 0.0 * readout.weight, readout.bias)
    program = l2l.quantize(dataclasses.replace(network, readout=zeros), x)
    assert not [w for w in program.warnings if w.startswith("readout: the 24-bit accumulator")]
