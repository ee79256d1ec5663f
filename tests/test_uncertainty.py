"""Monte-Carlo dropout: masks in integers beside masks in floats, scores beside their formulas."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import variants as v
from conftest import Run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_network
from run_examples import run_example

import lnn2loihi as l2l
from lnn2loihi.dropping import dropped, relayed_as, without_relays
from lnn2loihi.errors import InputError, NetworkError, ProgramError
from lnn2loihi.models import noisy_waves
from lnn2loihi.neurons.dropping import (
    DRAWN,
    MASK,
    dropout_share,
    mask_words,
    share_of,
    with_dropout,
)
from lnn2loihi.neurons.instructions import Instruction, NeuronProgram
from lnn2loihi.neurons.intervals import IntegerInterval, interval_of
from lnn2loihi.step_masks import PROVENANCE, SOURCE, channels_in, widened, with_step_masks
from lnn2loihi.uncertainty.noise import fitted_deviation
from lnn2loihi.uncertainty.scores import (
    entropy,
    gaussian_crps,
    gaussian_nll,
    score_classes,
    score_numbers,
    softmax,
)

EXAMPLE = "13_uncertainty.py"
RNG = np.random.default_rng(3)
FAST = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def relative(found: Any, wanted: Any) -> float:
    """Rms difference over the rms of what is wanted."""
    return float(np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2)))


def normed() -> l2l.LiquidNetwork:
    """A CfC with a LayerNorm behind it."""
    network = v.network(v.Variant())
    layers = (*network.layers, v.layer_norm("norm", 5, 5))
    return replace(network, layers=layers)


@cache
def sites() -> dict[str, tuple[l2l.LiquidNetwork, dict[str, float]]]:
    """A network of each family with masks on all that can be masked in it."""
    found: dict[str, tuple[l2l.LiquidNetwork, dict[str, float]]] = {
        "cfc": (v.network(v.Variant(layers=2)), {"layer_0": 0.2, "layer_1.recurrent": 0.25}),
        "pure": (v.network(v.Variant(mode="pure")), {"layer_0": 0.3}),
        "no gate": (v.network(v.Variant(mode="no_gate")), {"layer_0.recurrent": 0.2}),
        "backbone and memory": (
            v.network(v.Variant(backbone=(4, 3), memory=True)),
            {"layer_0.backbone_1": 0.2, "layer_0.memory": 0.1, "layer_0": 0.2},
        ),
        "wired": (
            v.network(v.Variant(shared_memory=True, layers=2)),
            {"memory": 0.1, "layer_0.recurrent": 0.1, "layer_1": 0.2},
        ),
        "dense": (v.network(v.Variant(before="relu", after="silu")), {"before": 0.2, "after": 0.2}),
        "product": (v.network(v.Variant(after="product")), {"after": 0.2, "input": 0.1}),
        "layer norm": (normed(), {"layer_0": 0.2, "norm": 0.2}),
        "ltc": (random_ltc(0), {"ltc": 0.2, "ltc.recurrent": 0.1, "input": 0.2}),
    }
    for family in v.GATED:
        network = v.network(v.Variant(family=family))
        own = {"gated_0": 0.2, "input": 0.1}
        if network.stages[0].hears_itself:
            own["gated_0.recurrent"] = 0.2
        found[family] = network, own
    return found


@cache
def passes(name: str) -> tuple[Any, l2l.LoihiProgram, l2l.MonteCarloResult, l2l.MonteCarloResult]:
    """Samples, the program, and the same passes in integers and in floats."""
    network, rates = sites()[name]
    x = np.random.default_rng(1).normal(size=(6, 14, network.input_size))
    program = l2l.quantize(network, x, dropout=rates)
    found = l2l.monte_carlo(program, x, 8, seed=1, engine="blas")
    return x, program, found, l2l.monte_carlo(network, x, 8, seed=1, dropout=rates)


@pytest.mark.parametrize("name", sites())
class TestEveryFamily:
    def test_passes_in_integers_are_those_in_floats(self, name: str) -> None:
        _, _, found, wanted = passes(name)
        assert list(found.masks) == list(wanted.masks)
        for population, kept in found.masks.items():
            assert (kept == wanted.masks[population]).all()
        assert relative(found.samples, wanted.samples) < 0.015
        assert relative(found.std, wanted.std) < 0.03

    def test_executors_agree_with_masks(self, name: str) -> None:
        x, program, found, _ = passes(name)
        for number in (0, 5):
            start = found.initial_state(number)
            result = l2l.verify(program, x[:2, :6], "reference,blas", initial_state=start)
            assert result.bit_exact

    def test_a_pass_is_the_simulation_that_begins_with_its_masks(self, name: str) -> None:
        x, program, found, _ = passes(name)
        run = l2l.simulate(program, x, "blas", initial_state=found.initial_state(3))
        assert (run.outputs == found.samples[3]).all()

    def test_without_masks_the_program_answers_as_the_network(self, name: str) -> None:
        network, _ = sites()[name]
        x, program, _, _ = passes(name)
        outputs = l2l.simulate(program, x, "blas").outputs
        assert relative(outputs, network.evaluate(x).outputs) < 0.02


def test_a_program_with_masks_is_compared_with_its_network() -> None:
    network, _ = sites()["cfc"]
    x, program, _, _ = passes("cfc")
    result = l2l.compare(network, program, x)
    assert not result.incomparable
    assert [stage.stage for stage in result.stages][1:3] == ["layer_0", "layer_0.dropout"]
    assert result.output.signal_to_noise_db is not None
    assert result.output.signal_to_noise_db > 35.0


def test_every_executor_here_gives_the_same_integers() -> None:
    network = v.network(v.Variant(family="gru", layers=2))
    x = RNG.normal(size=(2, 6, network.input_size))
    rates = {"input": 0.2, "gated_0": 0.3, "gated_1.recurrent": 0.25}
    program = l2l.quantize(network, x, dropout=rates)
    start = l2l.monte_carlo(program, x, 2, engine="blas").initial_state(1)
    result = l2l.verify(program, x, "reference,blas,c", initial_state=start)
    assert result.bit_exact


class TestNeuron:
    def test_one_and_before_the_message_and_two_for_evaluation(self) -> None:
        network, _ = sites()["cfc"]
        x = RNG.normal(size=(4, 10, 3))
        plain = l2l.quantize(network, x)
        masked = l2l.quantize(network, x, dropout={"layer_0.recurrent": 0.2, "layer_1": 0.2})
        before = plain.population("layer_0").program
        after = masked.population("layer_0").program
        assert after.instruction_count == before.instruction_count + 3
        assert after.opcode_counts()["AND"] == before.opcode_counts().get("AND", 0) + 1
        relay = masked.population("layer_1.dropout").program
        assert [one.opcode for one in relay.instructions] == [
            "RDC", "MUL_SHR", "AND", "SEL", "SPIKE",
        ]  # fmt: skip
        counts = [p.population("layer_1").program.opcode_counts() for p in (masked, plain)]
        assert counts[0] == counts[1]

    @FAST
    @given(keep=st.floats(1e-4, 1.0), bits=st.integers(2, 24))
    def test_the_share_is_a_factor_that_the_chip_has(self, keep: float, bits: int) -> None:
        share = share_of(keep, bits)
        steps = 15 if bits <= 16 else 7
        assert 0.0 < share < 1.0
        assert share * 2.0**steps == int(share * 2.0**steps)
        assert abs(share - keep) <= max(0.5**steps, 1.0 / 2.0**steps)

    def test_a_neuron_that_reads_its_message_is_refused(self) -> None:
        program = NeuronProgram(
            "holding", ("sum",), (), (("h", 12),),
            (
                Instruction("RDC", "sum2", ("sum",)),
                Instruction("MIN", "m", ("sum2", "h")),
                Instruction("MOV", "h", ("m",)),
                Instruction("SPIKE", "", ("m",)),
            ),
            message_state="h",
        )  # fmt: skip
        with pytest.raises(ProgramError, match="reads the message that it has sent"):
            with_dropout(program, 0.5, 12)

    def test_other_programs_with_such_words_have_no_dropout(self) -> None:
        _, program, _, _ = passes("cfc")
        neuron = program.population("layer_1").program
        assert dropout_share(neuron) == share_of(0.75, 12)
        places = [k for k, one in enumerate(neuron.instructions) if one.opcode == "AND"]
        for change in (
            Instruction("OR", "dropout.passed", neuron.instructions[places[-1]].operands),
            Instruction("AND", "dropout.passed", (7, MASK)),
        ):
            changed = list(neuron.instructions)
            changed[places[-1]] = change
            assert dropout_share(replace(neuron, instructions=tuple(changed))) is None
        written = (*neuron.instructions, Instruction("MOV", MASK, (0,)))
        assert dropout_share(replace(neuron, instructions=written)) is None

    @FAST
    @given(low=st.integers(-5000, 5000), width=st.integers(0, 5000))
    def test_a_mask_never_widens_what_is_proved(self, low: int, width: int) -> None:
        word, mask = IntegerInterval.of(low, low + width), IntegerInterval.of(-1, 0)
        for operands in ([word, mask], [mask, word]):
            found = interval_of("AND", operands, None)
            assert found.hull == (min(low, 0), max(low + width, 0))


class TestSites:
    def test_one_rate_is_of_all_layers_that_others_hear(self) -> None:
        network, _ = sites()["cfc"]
        found = dropped(network, 0.25)
        assert found.keeps == {"layer_0.dropout": 0.75, "layer_1.dropout": 0.75}
        assert [layer.name for layer in found.network.layers] == [
            "layer_0", "layer_0.dropout", "layer_1", "layer_1.dropout",
        ]  # fmt: skip

    def test_nothing_is_dropped_at_no_rate(self) -> None:
        network, _ = sites()["cfc"]
        for rates in (None, False, {}, {"layer_0": 0.0}):
            found = dropped(network, rates)
            assert found.network is network
            assert not found.keeps

    def test_networks_know_the_relays_that_were_put_into_them(self) -> None:
        network, rates = sites()["cfc"]
        found = dropped(network, rates).network
        assert without_relays(found) == network
        assert relayed_as(network, [stage.name for stage in found.stages]) == found
        x = RNG.normal(size=(4, 10, 3))
        plain, masked = l2l.quantize(network, x), l2l.quantize(network, x, dropout=rates)
        assert plain.provenance["network"] == masked.provenance["network"]

    @pytest.mark.parametrize(
        ("rates", "said"),
        [
            ({"nobody": 0.2}, "there is no layer 'nobody'"),
            ({"readout": 0.2}, "readout is the answer"),
            ({"layer_0": 1.0}, "'layer_0' is 1.0; give a number from 0 up to, but not, 1"),
            ({"layer_0": -0.1}, "give a number from 0 up to, but not, 1"),
            ({"layer_0": math.nan}, "give a number from 0 up to, but not, 1"),
            (1.5, "give a number from 0 up to, but not, 1"),
            (True, "says of no dropout in its training"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, rates: Any, said: str) -> None:
        network, _ = sites()["cfc"]
        with pytest.raises(InputError, match=said):
            l2l.quantize(network, np.ones((2, 4, 3)), dropout=rates)

    def test_stages_that_no_mask_drops_are_named(self) -> None:
        for name, site, said in (
            ("ltc", "ltc.synapses", "units of ltc.synapses are synapses"),
            ("wired", "layer_0", "only its own layer hears layer_0; name 'layer_0.recurrent'"),
            ("mingru", "gated_0.recurrent", "is not heard by its own layer a step later"),
            ("layer norm", "norm.map", "norm.squares hears norm.map by weights that have to be"),
        ):
            with pytest.raises(InputError, match=said):
                dropped(sites()[name][0], {site: 0.2})

    def test_rates_of_a_network_are_checked(self) -> None:
        network, _ = sites()["cfc"]
        with pytest.raises(NetworkError, match=r"names 'nobody', which is no stage") as caught:
            replace(network, dropout={"nobody": 0.2, "layer_0": 1.0})
        assert "a rate is from 0 up to, but not, 1" in str(caught.value)

    def test_rates_are_kept_in_files(self, tmp_path: Any) -> None:
        network = replace(sites()["cfc"][0], dropout={"layer_0": 0.25})
        assert l2l.load(l2l.save(network, tmp_path / "a.l2n")) == network
        x = RNG.normal(size=(4, 10, 3))
        program = l2l.quantize(network, x, dropout=True)
        assert l2l.load(l2l.save(program, tmp_path / "a.l2l")) == program
        assert "layer_0.dropout" in {p.name for p in program.populations}


class TestPasses:
    def test_masks_are_of_the_seed_and_not_of_their_number(self) -> None:
        x, program, found, _ = passes("cfc")
        more = l2l.monte_carlo(program, x, 12, seed=1, engine="blas")
        other = l2l.monte_carlo(program, x, 8, seed=2, engine="blas")
        for name, kept in found.masks.items():
            assert (more.masks[name][:8] == kept).all()
            assert (other.masks[name] != kept).any()
        assert (more.samples[:8] == found.samples).all()

    def test_masks_are_used_again(self) -> None:
        x, program, found, _ = passes("cfc")
        again = l2l.monte_carlo(program, x, masks=found.masks, engine="blas")
        assert (again.samples == found.samples).all()
        assert again.seed is None

    def test_passes_that_run_apart_are_those_that_run_together(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        x, program, found, _ = passes("cfc")
        calls: list[tuple[int, int]] = []
        monkeypatch.setattr("lnn2loihi.uncertainty.verb.VALUES_AT_ONCE", 3 * x.size)
        apart = l2l.monte_carlo(
            program, x, 8, seed=1, engine="blas", progress=lambda *done: calls.append(done)
        )
        assert (apart.samples == found.samples).all()
        assert apart.saturations == found.saturations
        assert apart.saturated_inputs == found.saturated_inputs
        assert apart.counters == found.counters
        assert calls[-1][0] == calls[-1][1]

    def test_a_folded_program_for_each_mask_is_no_better(self) -> None:
        """Against programs with the mask in the weights of what hears it."""
        network, _ = sites()["gru"]
        x = RNG.normal(size=(8, 16, network.input_size))
        program = l2l.quantize(network, x, dropout={"gated_0": 0.25})
        found = l2l.monte_carlo(program, x, 4, engine="blas")
        wanted = l2l.monte_carlo(network, x, 4, dropout={"gated_0": 0.25})
        assert network.readout is not None
        folded = []
        for kept in found.masks["gated_0.dropout"]:
            readout = replace(network.readout, weight=network.readout.weight * kept / 0.75)
            own = l2l.quantize(replace(network, readout=readout), x)
            folded.append(l2l.simulate(own, x, "blas").outputs)
        error = relative(np.stack(folded), wanted.samples)
        assert relative(found.samples, wanted.samples) < error + 0.003

    def test_sequences_that_end_early_and_irregular_time(self) -> None:
        network = v.network(v.Variant(irregular=True))
        x, spans = RNG.normal(size=(3, 8, 3)), RNG.uniform(0.5, 1.5, (3, 8))
        program = l2l.quantize(network, x, calibrate_timespans=spans, dropout=0.2)
        lengths = [8, 3, 5]
        found = l2l.monte_carlo(program, x, 4, timespans=spans, lengths=lengths, engine="blas")
        alone = l2l.monte_carlo(program, x[1:2, :3], 4, timespans=spans[1:2, :3], engine="blas")
        assert (found.samples[:, 1, :3] == alone.samples[:, 0]).all()
        assert not found.samples[:, 1, 3:].any()
        end = found.at_end()
        assert (end.samples[:, 2, 0] == found.samples[:, 2, 4]).all()
        mean = found.over_time().samples[:, 2, 0]
        assert np.allclose(mean, found.samples[:, 2, :5].mean(axis=1), rtol=0, atol=1e-12)
        y = np.where(np.arange(8)[:, None] < np.reshape(lengths, (3, 1, 1)), 0.1, np.nan)
        assert found.with_noise(0.1).scores(np.broadcast_to(y, (3, 8, 2))).values == 2 * 16

    def test_training_for_the_chip_drops_and_exports(self) -> None:
        torch = pytest.importorskip("torch")
        from lnn2loihi import qat

        network, _ = sites()["cfc"]
        x = RNG.normal(size=(4, 10, 3))
        rates = {"layer_0": 0.4, "layer_1.recurrent": 0.4}
        module = qat.prepare(network, calibrate=x, dropout=rates)
        given_x = torch.tensor(x, dtype=torch.float32)
        torch.manual_seed(0)
        with torch.no_grad():
            one, other = module.train()(given_x), module(given_x)
        assert not torch.equal(one, other)
        program = module.export()
        answers = module.eval()(given_x)
        assert np.array_equal(answers.numpy(), l2l.simulate(program, x).outputs.astype(np.float32))
        assert len(l2l.monte_carlo(program, x, 2).masks) == 2

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"samples": 1}, "a deviation takes 2 passes or more"),
            ({"keep": 0.0}, "give a probability above 0"),
            ({"keep": {"nobody": 0.5}}, "'nobody' has no dropout"),
            ({"dropout": 0.2}, "goes with networks"),
            ({"masks": {"a": [[True]]}}, "are of a; give those of layer_0.dropout, layer_1"),
            ({"noise": -1.0}, "a deviation is 0 or more"),
            ({"noise": [1.0, 2.0, 3.0]}, "give a standard deviation for all outputs"),
        ],
    )
    def test_arguments_that_do_not_fit_are_refused(self, options: Any, said: str) -> None:
        x, program, _, _ = passes("cfc")
        with pytest.raises(InputError, match=said):
            l2l.monte_carlo(program, x, **{"engine": "blas", **options})

    def test_a_program_without_dropout_is_refused(self) -> None:
        network, _ = sites()["cfc"]
        program = l2l.quantize(network, RNG.normal(size=(2, 4, 3)))
        with pytest.raises(InputError, match="has no population with dropout; quantize"):
            l2l.monte_carlo(program, np.ones((1, 2, 3)))

    def test_another_probability_is_warned_of(self) -> None:
        x, program, _, _ = passes("cfc")
        found = l2l.monte_carlo(program, x, 2, keep={"layer_1": 0.5}, engine="blas")
        (warning,) = found.warnings
        assert "layer_1 keeps 0.5 of its units, and its program counts on 0.75" in warning
        assert warning in found.summary()

    def test_it_says_that_masks_alone_are_not_calibrated(self) -> None:
        _, _, found, _ = passes("cfc")
        assert "dropout alone is not calibrated" in found.summary()
        assert "coverage unknown" in found.interval(0.9).summary()
        y = found.mean + 0.3 * RNG.normal(size=found.mean.shape)
        fitted = l2l.fit_noise(found, y)
        with_noise = found.with_noise(fitted)
        said = with_noise.interval(0.9).summary()
        assert f"of {fitted.values:,} validation values" in said
        assert "not calibrated" not in with_noise.summary()
        assert found.with_noise(0.3).interval().coverage is None


class TestMasksOfEverySample:
    @pytest.mark.parametrize("name", ["cfc", "gru", "wired", "ltc", "dense"])
    def test_in_integers_they_are_those_in_floats(self, name: str) -> None:
        network, _ = sites()[name]
        x = np.random.default_rng(1).normal(size=(4, 9, network.input_size))
        last = network.layers[-1].parts[-1].name
        rates = {"input": 0.2, last: 0.3}
        program = l2l.quantize(network, x, dropout=rates, per_step=True)
        found = l2l.monte_carlo(program, x, 4, engine="blas")
        wanted = l2l.monte_carlo(network, x, 4, dropout=rates, per_step=True)
        for mask, kept in found.masks.items():
            assert kept.shape[:2] == (4, 9)
            assert (kept == wanted.masks[mask]).all()
        assert relative(found.samples, wanted.samples) < 0.015
        again = l2l.monte_carlo(program, x, masks=found.masks, engine="blas")
        assert (again.samples == found.samples).all()
        open_masks = widened(x, channels_in(program.provenance, PROVENANCE))
        outputs = l2l.simulate(program, open_masks, "blas").outputs
        assert relative(outputs, network.evaluate(x).outputs) < 0.015
        with pytest.raises(InputError, match="no state has them"):
            found.initial_state(0)

    def test_a_network_with_channels_answers_as_before_where_they_are_open(self) -> None:
        for name in ("cfc", "wired", "ltc"):
            network, _ = sites()[name]
            x = RNG.normal(size=(2, 5, network.input_size))
            made = with_step_masks(network, {"input": 0.25, network.layers[-1].parts[-1].name: 0.5})
            assert made.input_size > network.input_size
            outputs = made.evaluate(widened(x, channels_in(made.source, SOURCE))).outputs
            assert np.allclose(outputs, network.evaluate(x).outputs, rtol=0, atol=1e-12)

    def test_what_makes_no_sense_is_refused(self) -> None:
        network, _ = sites()["cfc"]
        x = np.ones((2, 4, 3))
        for rates, said in (
            ({"layer_0.recurrent": 0.2}, "is no layer that others hear"),
            ({"readout": 0.2}, "is no layer that others hear"),
            ({}, "nothing is dropped"),
        ):
            with pytest.raises(InputError, match=said):
                l2l.quantize(network, x, dropout=rates, per_step=True)

    @FAST
    @given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
    def test_what_a_file_says_of_channels_is_read_or_refused(self, text: str) -> None:
        try:
            found = channels_in({PROVENANCE: text}, PROVENANCE)
        except InputError:
            return
        assert all(one.units > 0 and 0.0 < one.keep <= 1.0 for one in found)


class TestQuantiles:
    def test_of_passes_and_of_passes_with_noise(self) -> None:
        _, _, found, _ = passes("cfc")
        assert np.array_equal(found.quantile(0.3), np.quantile(found.samples, 0.3, axis=0))
        noisy = found.with_noise(0.2)
        for p in (0.05, 0.5, 0.9):
            value = noisy.quantile(p)
            below = [
                [0.5 * (1.0 + math.erf((y - s) / (0.2 * math.sqrt(2.0)))) for s in samples]
                for y, samples in zip(value.ravel(), found.samples.reshape(8, -1).T, strict=True)
            ]
            assert np.allclose(np.mean(below, axis=1), p, rtol=0, atol=1e-9)
        with pytest.raises(InputError, match="between 0 and 1"):
            noisy.quantile(1.0)

    def test_noise_and_spread_add_up(self) -> None:
        _, _, found, _ = passes("cfc")
        noisy = found.with_noise([0.1, 0.2])
        assert np.allclose(noisy.std**2, found.spread**2 + np.array([0.01, 0.04]))
        interval = noisy.interval(0.5)
        assert np.allclose(interval.high - interval.low, 2 * 0.6744897501960817 * noisy.std)


class TestScores:
    def test_the_crps_of_a_gaussian_by_hand(self) -> None:
        # At the mean it is std (sqrt(2) - 1) / sqrt(pi).
        at = gaussian_crps(np.array([1.0]), np.array([2.0]), np.array([1.0]))
        assert at[0] == pytest.approx(2.0 * (math.sqrt(2.0) - 1.0) / math.sqrt(math.pi), rel=1e-12)
        assert gaussian_nll(np.zeros(1), np.ones(1), np.zeros(1))[0] == pytest.approx(
            0.5 * math.log(2.0 * math.pi)
        )

    @FAST
    @given(mean=st.floats(-3, 3), std=st.floats(0.05, 3.0), y=st.floats(-6, 6))
    def test_the_crps_is_the_integral_of_the_squared_distance(
        self, mean: float, std: float, y: float
    ) -> None:
        grid = np.linspace(min(mean, y) - 9 * std, max(mean, y) + 9 * std, 2001)
        below = np.array([0.5 * (1.0 + math.erf((g - mean) / (std * 2**0.5))) for g in grid])
        wanted = ((below - (grid >= y)) ** 2).sum() * (grid[1] - grid[0])
        found = gaussian_crps(np.array(mean), np.array(std), np.array(y))
        assert float(found) == pytest.approx(wanted, rel=1e-2, abs=1e-2)

    def test_what_is_calibrated_scores_so(self) -> None:
        rng = np.random.default_rng(0)
        mean, std = rng.normal(size=20000), rng.uniform(0.5, 2.0, 20000)
        found = score_numbers(mean, std, mean + std * rng.normal(size=20000))
        for level, covered in found.coverage.items():
            assert covered == pytest.approx(level, abs=0.015)
        assert found.calibration_error < 0.01
        narrow = score_numbers(mean, 0.3 * std, mean + std * rng.normal(size=20000))
        assert narrow.coverage[0.95] < 0.5
        assert narrow.crps > found.crps
        assert narrow.nll is not None
        assert found.nll is not None
        assert narrow.nll > found.nll

    def test_values_without_any_doubt_are_counted(self) -> None:
        found = score_numbers(np.zeros(4), np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 1, 0, 1.0]))
        assert found.nll is None
        assert found.certain == 2
        assert "2 of 4 values are predicted without any doubt" in found.summary()
        assert found.crps == pytest.approx(
            np.mean([0.0, 1.0, *gaussian_crps(np.zeros(2), np.ones(2), np.array([0.0, 1.0]))])
        )

    def test_classes_by_hand(self) -> None:
        probability = np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
        found = score_classes(probability, np.array([0, 0, 0]))
        assert found.accuracy == pytest.approx(2 / 3)
        assert found.nll == pytest.approx(-np.log([0.7, 0.4, 0.9]).mean())
        assert found.brier == pytest.approx(np.mean([2 * 0.09, 2 * 0.36, 2 * 0.01]))
        # Three bins of one decision each.
        assert found.ece == pytest.approx(np.mean([0.3, 0.6, 0.1]))

    @FAST
    @given(st.integers(0, 1000), st.integers(1, 4))
    def test_probabilities_and_what_is_known_of_them(self, seed: int, classes: int) -> None:
        logits = np.random.default_rng(seed).normal(0, 30, (5, 3, 4, classes))
        probability = softmax(logits).mean(axis=0)
        assert probability.shape == (3, 4, max(classes, 2))
        assert np.allclose(probability.sum(axis=-1), 1.0)
        own = entropy(probability)
        assert (own >= 0.0).all()
        assert (own <= math.log(max(classes, 2)) + 1e-12).all()

    def test_scores_of_a_result_choose_by_what_came(self) -> None:
        _, _, found, _ = passes("cfc")
        batch, time, outputs = found.mean.shape
        numbers = found.scores(found.mean)
        assert isinstance(numbers, l2l.NumberScores)
        assert numbers.mse == 0.0
        classes = RNG.integers(0, outputs, batch)
        scored = found.scores(classes)
        assert isinstance(scored, l2l.ClassScores)
        assert scored == found.at_end().scores(classes[:, None])
        assert found.scores(RNG.integers(0, outputs, (batch, time))).values == batch * time
        assert (found.mutual_information <= found.entropy + 1e-12).all()
        for wrong, said in (
            (np.zeros((batch, time + 1)), "give numbers"),
            (np.full(found.mean.shape, np.nan), "NaN or infinite"),
            (np.full(batch, outputs), f"there are 0 to {outputs - 1}"),
        ):
            with pytest.raises(InputError, match=said):
                found.scores(wrong)


class TestNoise:
    @FAST
    @given(st.integers(0, 1000), st.floats(0.05, 5.0))
    def test_the_fitted_noise_is_the_most_likely(self, seed: int, noise: float) -> None:
        rng = np.random.default_rng(seed)
        spread = rng.uniform(0.0, 1.0, 400)
        residual = np.hypot(spread, noise) * rng.normal(size=400)
        found = fitted_deviation(residual, spread)

        def cost(deviation: float) -> float:
            total = spread**2 + deviation**2
            return float((np.log(total) + residual**2 / total).mean())

        for other in (0.9 * found, 1.1 * found, 0.5 * found + 0.01, noise):
            assert cost(found) <= cost(other) + 1e-9

    def test_without_spread_it_is_the_rms_of_what_is_left(self) -> None:
        residual = np.array([1.0, -2.0, 0.5])
        assert fitted_deviation(residual, np.zeros(3)) == pytest.approx(
            np.sqrt(np.mean(residual**2)), rel=1e-6
        )
        assert fitted_deviation(np.zeros(3), np.ones(3)) == 0.0

    def test_what_it_covers_is_what_it_covered(self) -> None:
        _, _, found, _ = passes("cfc")
        y = found.mean + 0.5 * np.random.default_rng(0).normal(size=found.mean.shape)
        noise = l2l.fit_noise(found.with_noise(3.0), y)  # noise that it had counts nothing
        scored = found.with_noise(noise).scores(y)
        assert isinstance(scored, l2l.NumberScores)
        for level, covered in scored.coverage.items():
            assert noise.coverage(level) == pytest.approx(covered, abs=1e-9)
        assert noise.to_dict()["values"] == y.size
        assert np.allclose(noise.deviation, 0.5, atol=0.1)


def test_masks_as_words() -> None:
    words = mask_words(np.array([True, False]))
    assert words[MASK].tolist() == [-1, 0]
    assert words[DRAWN].tolist() == [-1, -1]


class TestExample:
    def test_help_says_what_it_does_and_how_it_is_run(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run_example(monkeypatch, EXAMPLE, "--help") == 0
        printed = capsys.readouterr().out
        assert f"python examples/{EXAMPLE}" in printed
        assert "--quick" in printed
        assert "--out" in printed

    def test_it_says_what_intervals_cover(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
    ) -> None:
        assert run_example(monkeypatch, EXAMPLE, "--quick", "--out", tmp_path) == 0
        printed = capsys.readouterr().out
        assert "BIT EXACT" in printed
        assert "faster waves, 8 passes; dropout alone:" in printed
        assert "What an answer costs, estimated:" in printed

    def test_the_network_is_the_one_of_the_card(self) -> None:
        network = noisy_waves.load()
        assert network.dropout == {"rnn": 0.2}
        x, y = noisy_waves.example(64, 5_200_000)
        error = float(((network.evaluate(x).outputs - y) ** 2).mean())
        assert error == pytest.approx(0.0183, abs=0.002)


class TestCost:
    def test_an_answer_costs_its_passes(self) -> None:
        x, program, _, _ = passes("cfc")
        found = l2l.profile(program, x, against=(), passes=5, frontier=False, progress=False)
        for row, cost in zip(found.rows, found.of_passes, strict=True):
            assert cost.label == row.label
            if row.total_energy is not None:
                assert cost.total_energy == row.total_energy.times(5)
            if row.throughput is not None and row.throughput.value is not None:
                assert cost.time is not None
                assert cost.time.value == pytest.approx(5 / row.throughput.value)
        assert "An answer of 5 passes" in found.summary()
        plain = l2l.profile(program, x, against=(), frontier=False, progress=False)
        assert plain.passes == 1
        assert "An answer of" not in plain.summary()

    def test_a_rate_is_that_of_answers(self) -> None:
        x, program, _, _ = passes("cfc")
        found = l2l.profile(
            program, x, against=(), passes=5, rate=100.0, frontier=False, progress=False
        )
        assert {row.rate for row in found.rows if row.rate is not None} == {500.0}

    def test_passes_of_a_program_without_dropout_are_refused(self) -> None:
        network, _ = sites()["cfc"]
        x = RNG.normal(size=(2, 4, 3))
        with pytest.raises(InputError, match="has no population with dropout"):
            l2l.profile(l2l.quantize(network, x), x, against=(), passes=5)


class TestCommandLine:
    def test_from_a_network_to_scores(self, run: Run, tmp_path: Any) -> None:
        network = replace(sites()["cfc"][0], dropout={"layer_0": 0.25})
        x = RNG.normal(size=(4, 10, 3))
        y = network.evaluate(x).outputs + 0.1
        l2l.save(network, tmp_path / "net.l2n")
        np.savez(tmp_path / "known.npz", x=x, targets=y)
        net, known, program = (str(tmp_path / n) for n in ("net.l2n", "known.npz", "net.l2l"))
        for rates, populations in (
            ("trained", ["layer_0.dropout"]),
            ("0.2", ["layer_0.dropout", "layer_1.dropout"]),
            ("input=0.1,layer_1.recurrent=0.2", ["input.dropout"]),
        ):
            call = ["quantize", net, "-c", known, "--dropout", rates, "-o", program, "--force"]
            assert run(*call)[0] == 0
            names = [p.name for p in l2l.load(program).populations]  # type: ignore[union-attr]
            assert [name for name in names if name.endswith(".dropout")] == populations
        options = ["-n", "4", "--validation", known, "--targets", known, "--executor", "blas"]
        out = str(tmp_path / "out.npz")
        code, printed, _ = run("monte-carlo", program, "-i", known, *options, "-o", out, "--json")
        assert code == 0
        found = json.loads(printed)
        assert found["passes"] == 4
        assert found["intervals"][2]["validation_values"] == y.size
        assert found["scores"]["values"] == y.size
        with np.load(out) as arrays:
            assert arrays["samples"].shape == (4, *y.shape)
            assert arrays["masks.input.dropout"].shape == (4, 3)

    @pytest.mark.parametrize("rates", ["abc", "layer_0=x", "nobody=0.2", "1.0"])
    def test_rates_that_are_none_are_refused(self, run: Run, rates: str, tmp_path: Any) -> None:
        l2l.save(sites()["cfc"][0], tmp_path / "net.l2n")
        np.save(tmp_path / "x.npy", np.ones((1, 4, 3)))
        net, x, out = (str(tmp_path / n) for n in ("net.l2n", "x.npy", "net.l2l"))
        code, _, said = run("quantize", net, "-c", x, "--dropout", rates, "-o", out)
        assert code == 1
        assert "dropout" in said


def test_rates_by_name_are_given_once() -> None:
    from lnn2loihi.options import rates_of

    with pytest.raises(l2l.InputError, match="--dropout: a is given twice"):
        rates_of("a=0.2,b=0.1,a=0.3", "--dropout")


def test_samples_alone_are_no_validation(run: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 1)))
    program = tmp_path / "net.l2l"
    network = random_network(1, inputs=1, layers=(3,), outputs=1)
    l2l.save(l2l.quantize(network, np.linspace(-1, 1, 12).reshape(2, 6, 1), dropout=0.2), program)
    options = ("-i", tmp_path / "x.npy", "--validation", tmp_path / "x.npy", "-n", "3")
    code, _, err = run("monte-carlo", program, *options)
    assert code == 1 and "give an .npz file with samples as x and what is right as targets" in err


def test_only_dropout_of_single_units_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self, drop: Any) -> None:
            super().__init__()
            self.enc, self.drop = nn.Linear(2, 3), drop
            self.rnn, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(self.drop(torch.tanh(self.enc(x))))[0])

    assert l2l.import_network(Net(nn.Dropout(0.3))).dropout == {"enc": 0.3}
    for drop in (nn.AlphaDropout(0.3), nn.Dropout1d(0.3)):
        caplog.clear()
        assert l2l.import_network(Net(drop)).dropout == {}
        assert "drops otherwise than unit by unit; its rate is not taken" in caplog.text
