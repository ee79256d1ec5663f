"""The recipes' form `hard`: clipped lines in place of tanh and the logistic function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from networks import random_ltc, random_network, random_samples
from test_split import quantized
from variants import GATED, Variant, network, samples, variants

import lnn2loihi as l2l
from lnn2loihi.families.dense.layer import DenseLayer
from lnn2loihi.layers.linear import Linear
from lnn2loihi.neurons.activations import ACTIVATIONS, HARD_KNOT
from lnn2loihi.recipe import Recipe

RECIPE = "w8a12x16-hard"
FEW = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def dense(activation: str, weight: float = 1.0) -> l2l.LiquidNetwork:
    layer = DenseLayer("a", Linear("linear", np.array([[weight]]), np.zeros(1)), activation)
    return l2l.LiquidNetwork("line", (layer,), None, 1.0)


class TestIntegers:
    def test_the_grammar_knows_it(self) -> None:
        assert Recipe.parse("w4a8-hard").activation == "hard"
        assert str(Recipe.parse("w4a8-hard")) == "w4a8x12-hard"

    @pytest.mark.parametrize(
        ("activation", "line"),
        [
            ("tanh", lambda x: np.clip(x / HARD_KNOT, -1, 1)),
            ("sigmoid", lambda x: (1 + np.clip(x / 2 / HARD_KNOT, -1, 1)) / 2),
            ("lecun_tanh", lambda x: 1.7159 * np.clip(0.666 * x / HARD_KNOT, -1, 1)),
        ],
    )
    def test_dense_layers(self, activation: str, line: Any) -> None:
        x = np.linspace(-4, 4, 201)[None, :, None]
        program = quantized(dense(activation), x, recipe="w8a14x16-hard")
        found = l2l.simulate(program, x).outputs
        assert np.abs(found - line(x)).max() < 8e-3  # a multiplier has 8 bits

    def test_others_are_what_they_are(self) -> None:
        x = np.linspace(-4, 4, 201)[None, :, None]
        for activation in ("silu", "gelu", "gelu_tanh", "softplus", "relu"):
            hard = quantized(dense(activation), x, recipe="w8a12-hard")
            usual = quantized(dense(activation), x, recipe="w8a12")
            assert np.array_equal(l2l.simulate(hard, x).integers, l2l.simulate(usual, x).integers)
            assert not any("clamp" in warning for warning in hard.warnings)

    @FEW
    @given(variants())
    def test_every_executor_agrees(self, variant: Variant) -> None:
        x, elapsed = samples(variant, 2, 5)
        program = quantized(network(variant), x, elapsed, RECIPE)
        assert l2l.verify(program, 3 * x, "reference,blas,c", timespans=elapsed).bit_exact
        if any(p.turns.width > 1 for p in program.populations):
            found = l2l.verify(program, x, "reference", timespans=elapsed, target="split_one")
            assert found.bit_exact

    def test_a_tanh_takes_three_instructions(self) -> None:
        x = random_samples(1, 4, 8, 3)
        counts = [
            quantized(random_network(1), x, recipe=recipe)
            .population("layer_0")
            .program.instruction_count
            for recipe in ("w8a12", "w8a12-hard")
        ]
        assert counts[0] - counts[1] == 3 * (17 - 3)


class TestWarnings:
    def test_a_network_that_was_not_trained_with_it_is_named(self) -> None:
        x = random_samples(1, 4, 20, 3)
        hard = quantized(random_network(1), x, recipe="w8a12-hard")
        (said,) = (w for w in hard.warnings if "clamp" in w)
        assert said.startswith("layer_0, layer_1: clamp(x / 1.2, -1, 1) stands for tanh here")
        assert "dB of how output" in said and "or use the form 'ramp12'" in said
        assert not any("clamp" in w for w in quantized(random_network(1), x).warnings)

    def test_small_sums_differ_by_a_factor_which_counts(self) -> None:
        """Where tanh is x, the line is x / 1.2."""
        x = np.linspace(-0.2, 0.2, 101)[None, :, None]
        assert any("clamp" in w for w in quantized(dense("tanh"), x, recipe="w8a14-hard").warnings)

    def test_one_layer_of_several(self) -> None:
        x = random_samples(1, 4, 20, 3)
        program = l2l.quantize(random_network(1), calibrate=x, layers={"layer_1": "w8a12-hard"})
        (said,) = (w for w in program.warnings if "clamp" in w)
        assert said.startswith("layer_1: clamp")


class TestTraining:
    """What training hears is what the chip computes."""

    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def made(self, net: Any, x: Any, elapsed: Any, recipe: str = RECIPE) -> tuple[Any, Any, Any]:
        qat = pytest.importorskip("lnn2loihi.qat")
        module = qat.prepare(net, recipe, calibrate=x, calibrate_timespans=elapsed)
        tensor = self.torch.tensor(x, dtype=self.torch.float32)
        times = None if elapsed is None else self.torch.tensor(elapsed, dtype=self.torch.float32)
        return module, tensor, times

    def assert_close(self, net: Any, x: Any, elapsed: Any) -> None:
        module, tensor, times = self.made(net, x, elapsed)
        module.train()
        trained = module(tensor, timespans=times).detach()
        module.eval()
        exact = module(tensor, timespans=times)
        spread = float(exact.std()) + 0.05
        assert float((trained - exact).square().mean().sqrt()) < 0.03 * spread + 0.01
        assert not any("clamp" in warning for warning in module.export().warnings)

    @FEW
    @given(variants())
    def test_any_network(self, variant: Variant) -> None:
        self.assert_close(network(variant), *samples(variant, 4, 8))

    @pytest.mark.parametrize("family", [*GATED, "cfc"])
    def test_every_family(self, family: str) -> None:
        variant = Variant(family=family)
        self.assert_close(network(variant), *samples(variant, 4, 8))

    @pytest.mark.parametrize("timespan", [0.7, None])
    def test_ltcs(self, timespan: float | None) -> None:
        variant = Variant(irregular=timespan is None)
        self.assert_close(random_ltc(1, timespan=timespan), *samples(variant, 4, 8))

    @pytest.mark.parametrize("layers", [0, 2])
    def test_a_fast_cfc_of_this_form_is_what_the_chip_computes(self, layers: int) -> None:
        """Trained in floats and rounded without another epoch."""
        pytest.importorskip("ncps", reason="needs ncps: pip install ncps")
        from ncps.torch import CfC

        from lnn2loihi.models.fast_cfc import FastCfC

        self.torch.manual_seed(layers)
        sizes: dict[str, Any] = {"backbone_layers": layers, "backbone_units": 9}
        answers = {}
        x = 3 * np.random.default_rng(0).normal(size=(4, 20, 3))  # many lines are clipped
        elapsed = np.random.default_rng(1).integers(1, 4, size=(4, 20)) / 2
        cfc = CfC(3, 7, proj_size=2, **sizes)
        net = l2l.import_network(cfc, timespan="irregular")
        module, tensor, times = self.made(net, x, elapsed)
        for form in ("tanh", "hard"):
            fast = FastCfC(3, 7, 2, form=form, **sizes)
            fast.load_state_dict(cfc.state_dict())
            answers[form] = fast(tensor, timespans=times)[0].detach().numpy()
        program = module.export()
        assert not [text for text in program.warnings if "no public precedent" not in text]
        chip = l2l.simulate(program, x, timespans=elapsed).outputs
        errors = {form: float(np.abs(chip - answer).mean()) for form, answer in answers.items()}
        assert errors["hard"] < 0.1 * errors["tanh"] and errors["hard"] < 0.01

    def test_gradients_are_those_of_a_clamp(self) -> None:
        x = np.array([[[-3.0], [-0.5], [0.5], [3.0]]])
        module, tensor, _ = self.made(dense("tanh"), x, None)
        tensor.requires_grad_(True)
        module.train()
        module(tensor).sum().backward()
        slopes = tensor.grad.flatten().tolist()
        assert slopes[0] == slopes[3] == 0.0
        assert slopes[1] == slopes[2] == pytest.approx(1 / HARD_KNOT, rel=0.02)

    def test_training_wins_back_what_the_line_has_lost(self) -> None:
        x = random_samples(3, 8, 20, 3)
        net = random_network(2, layers=(6,), scale=1.0)
        wanted = self.torch.tensor(net.evaluate(x).outputs, dtype=self.torch.float32)
        self.torch.manual_seed(0)
        module, tensor, _ = self.made(net, x, None)

        def error() -> float:
            module.eval()
            return float((module(tensor) - wanted).square().mean())

        before = error()
        optimizer = self.torch.optim.Adam(module.parameters(), 1e-2)
        for _ in range(40):
            module.train()
            optimizer.zero_grad()
            (module(tensor) - wanted).square().mean().backward()
            optimizer.step()
        assert error() < 0.3 * before


def test_the_form_says_what_it_is() -> None:
    assert [form.name for form in ACTIVATIONS.values() if form.knot] == ["hard"]
