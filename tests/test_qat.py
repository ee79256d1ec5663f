"""Training for the chip: its evaluation mode is the program, and training mode is close to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from variants import Variant, network, samples, variants

import lnn2loihi as l2l
from lnn2loihi.errors import ImportNetworkError, InputError
from lnn2loihi.quantization.sensitivity import sensitivity

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
qat = pytest.importorskip("lnn2loihi.qat")

SLOW = settings(max_examples=8, deadline=None, derandomize=True)


def made(variant: Variant, recipe: str = "w6a10", **options: Any) -> tuple[Any, Any, Any]:
    """A module, samples and elapsed times as tensors."""
    x, elapsed = samples(variant, 6, 12)
    module = qat.prepare(
        network(variant), recipe, calibrate=x, calibrate_timespans=elapsed, **options
    )
    times = None if elapsed is None else torch.tensor(elapsed, dtype=torch.float32)
    return module, torch.tensor(x, dtype=torch.float32), times


def decoded(module: Any, x: Any, elapsed: Any) -> Any:
    times = None if elapsed is None else elapsed.numpy()
    return torch.tensor(l2l.simulate(module.export(), x.numpy(), timespans=times).outputs).to(x)


@SLOW
@given(variant=variants())
def test_evaluation_is_the_program_bit_for_bit(variant: Variant) -> None:
    module, x, elapsed = made(variant)
    module.eval()
    assert torch.equal(module(x, timespans=elapsed), decoded(module, x, elapsed))


@SLOW
@given(variant=variants(), seed=st.integers(0, 100))
def test_so_it_is_after_training(variant: Variant, seed: int) -> None:
    module, x, elapsed = made(variant)
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    before = module.export()
    module.train()
    for _ in range(3):
        optimizer.zero_grad()
        loss = (module(x, timespans=elapsed) - 0.3).square().mean() + 1e-3 * module.crowding()
        loss.backward()
        optimizer.step()
    module.eval()
    assert module.export() != before
    assert torch.equal(module(x, timespans=elapsed), decoded(module, x, elapsed))
    times = None if elapsed is None else elapsed.numpy()
    assert l2l.verify(module.export(), x.numpy(), "reference,c", timespans=times).bit_exact


@SLOW
@given(variant=variants())
def test_training_mode_computes_what_the_chip_computes(variant: Variant) -> None:
    """Up to the error of the integer activations and of rounding that falls the other way."""
    module, x, elapsed = made(variant, "w8a12x16")
    module.train()
    trained = module(x, timespans=elapsed).detach()
    exact = decoded(module, x, elapsed)
    spread = float(exact.std()) + 0.05
    assert float((trained - exact).square().mean().sqrt()) < 0.06 * spread + 0.02


@SLOW
@given(variant=variants())
def test_the_network_survives_the_way_through_the_module(variant: Variant) -> None:
    before = network(variant)
    gates = {stage.name: dict(stage.gates) for stage in before.stages}
    x, elapsed = samples(variant, 3, 5)
    again = before.with_gates(gates).evaluate(x, timespans=elapsed).outputs
    np.testing.assert_allclose(
        again, before.evaluate(x, timespans=elapsed).outputs, rtol=0, atol=1e-12
    )


def test_training_lowers_the_error_of_a_coarse_recipe() -> None:
    variant = Variant(units=8, layers=1, seed=3)
    module, x, _ = made(variant, "w2a4")
    wanted = torch.tensor(network(variant).evaluate(x.numpy()).outputs, dtype=torch.float32)

    def error() -> float:
        module.eval()
        return float((module(x) - wanted).square().mean())

    before = error()
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    module.train()
    for _ in range(200):
        optimizer.zero_grad()
        (module(x) - wanted).square().mean().backward()
        optimizer.step()
    assert error() < 0.6 * before


def test_layers_do_not_begin_to_hear_others_parts_of_a_shared_memory() -> None:
    variant = Variant(shared_memory=True, layers=3, units=3)
    module, x, _ = made(variant)
    before = network(variant)
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    module.train()
    for _ in range(5):
        optimizer.zero_grad()
        (module(x) - 0.3).square().mean().backward()
        optimizer.step()
    after = module.network()
    assert [s.synapses for s in after.stages] == [s.synapses for s in before.stages]
    for own, stage in zip(module.stages.values(), after.stages, strict=True):
        for gate, linear in stage.gates.items():
            np.testing.assert_allclose(own.linear(gate).weight, linear.weight, rtol=1e-12)
            np.testing.assert_allclose(own.linear(gate).bias, linear.bias, rtol=1e-12)


def test_the_vectors_of_pure_units_are_trained() -> None:
    module, x, _ = made(Variant(mode="pure", units=4), "w8a12")
    before = module.network()
    module.train()
    module(x).square().mean().backward()
    torch.optim.SGD(module.parameters(), 0.1).step()
    layer, trained = before.layers[0], module.network().layers[0]
    assert not np.array_equal(layer.w_tau, trained.w_tau)  # type: ignore[union-attr]
    assert not np.array_equal(layer.amplitude, trained.amplitude)  # type: ignore[union-attr]
    module.eval()
    assert torch.equal(module(x), decoded(module, x, None))


class TestSteps:
    """The learned steps of mantissas, and weights that are fixed at them."""

    @SLOW
    @given(variant=variants(), seed=st.integers(0, 100))
    def test_the_gradient_is_what_rounding_or_clipping_moves_a_weight_by(
        self, variant: Variant, seed: int
    ) -> None:
        module, _, _ = made(variant, "w4a10")
        generator = torch.Generator().manual_seed(seed)
        for own in module.stages.values():
            if not own.trained:
                continue
            with torch.no_grad():
                for gate in own.trained:  # off the grid, and some beyond its ends
                    factors = 0.5 + torch.rand(own.weight[gate].shape, generator=generator)
                    own.weight[gate].mul_(factors)
            weight, _ = own.maps()
            slopes = torch.randn(weight.shape, generator=generator)
            (weight * slopes).sum().backward()
            parts = slopes.split([len(own.bias[gate]) for gate in own.trained])
            for gate, slope in zip(own.trained, parts, strict=True):
                values = own._values(gate).detach()
                wanted = own._unclipped(gate).detach() / values
                mantissas = torch.as_tensor(own._rows(gate, own.steps()[gate]).mantissas)
                outside = (wanted < -8) | (wanted > 7)
                moved = torch.where(outside, wanted.clamp(-8, 7), mantissas - wanted)
                expected = (slope * values * moved).sum(dim=1)
                if gate not in own.stage.positive:
                    assert own.stretch[gate].grad.numpy() == pytest.approx(
                        expected.numpy(), rel=1e-3, abs=1e-3
                    )

    def test_half_the_step_is_half_the_unit_even_of_many_columns(self) -> None:
        # 256 columns of 8 bits and 4-bit weights could leave 24 bits at the largest exponents.
        module, _, _ = made(Variant(backbone=(256,), units=8, seed=1), "w4a8")
        (own,) = (own for own in module.stages.values() if "ff1" in own.stage.gates)
        before = {gate: own._rows(gate, own.steps()[gate]).unit for gate in own.trained}
        with torch.no_grad():
            for gate in own.trained:
                own.stretch[gate].fill_(np.log(0.5))
        for gate, unit in before.items():
            after = own._rows(gate, own.steps()[gate])
            # Multipliers are whole numbers, rounded up.
            finest = own.get_buffer(f"finest_step_{gate}").numpy()
            assert np.all((after.unit > 0.499 * unit) & (after.unit < 0.501 * unit + finest))

    def test_no_step_outgrows_the_shift_of_its_gate(self) -> None:
        module, _, _ = made(Variant(units=8), "w4a8")
        shifts = {
            (name, gate): own._rows(gate, own.steps()[gate]).shift
            for name, own in module.stages.items()
            for gate in own.trained
        }
        with torch.no_grad():
            for own in module.stages.values():
                for gate in own.trained:
                    own.stretch[gate][0] = 3.0
        for (name, gate), shift in shifts.items():
            own = module.stages[name]
            assert own._rows(gate, own.steps()[gate]).shift == shift

    @SLOW
    @given(variant=variants(), share=st.floats(0.0, 1.0), seed=st.integers(0, 100))
    def test_fixed_mantissas_stay_and_the_others_are_heard_unrounded(
        self, variant: Variant, share: float, seed: int
    ) -> None:
        module, x, elapsed = made(variant, "w4a8")
        torch.manual_seed(seed)
        with torch.no_grad():
            for own in module.stages.values():
                for gate in own.trained:
                    own.weight[gate].mul_(1.07)
        module.harden(share)
        fixed = {key: (mask.clone(), codes) for key, mask, codes in self.mantissas(module)}
        for own in module.stages.values():
            for gate in own.trained:
                there = own.mask(gate)
                assert int(own.get_buffer(f"fixed_{gate}").sum()) == int(share * int(there.sum()))
        optimizer = torch.optim.SGD(module.parameters(), 0.05)
        module.train()
        (module(x, timespans=elapsed) - 0.3).square().mean().backward()
        optimizer.step()
        for key, _, codes in self.mantissas(module):
            mask, before = fixed[key]
            assert np.array_equal(codes[mask], before[mask]), key
        for own in module.stages.values():
            if own.trained:
                heard = torch.cat([own.effective(gate) for gate in own.trained])
                assert torch.equal(own.maps()[0], heard)

    @SLOW
    @given(variant=variants())
    def test_when_all_are_fixed_training_hears_the_weights_of_the_chip(
        self, variant: Variant
    ) -> None:
        module, x, elapsed = made(variant, "w4a8")
        module.harden(0.5)
        module.harden(1.0)
        for own in module.stages.values():
            for gate in own.trained:
                rows = own._rows(gate, own.steps()[gate])
                chip, _ = own._chip_values(rows)
                heard = own.effective(gate).detach().double().numpy()
                np.testing.assert_allclose(heard, chip, rtol=2e-4, atol=1e-6)

    @staticmethod
    def mantissas(module: Any) -> Any:
        """Name of each gate, which of its weights are fixed, and all its mantissas."""
        for name, own in module.stages.items():
            for gate in own.trained:
                codes = own._rows(gate, own.steps()[gate]).mantissas
                yield (name, gate), own.get_buffer(f"fixed_{gate}"), codes

    def test_hardening_loses_less_than_rounding_at_once(self) -> None:
        assert self.distance(hardened=True) < 0.8 * self.distance(hardened=False)

    def distance(self, hardened: bool) -> float:
        """Mean squared error of the integers towards the float network after a short training."""
        variant = Variant(units=8, seed=3)
        module, x, _ = made(variant, "w3a8")
        wanted = torch.tensor(network(variant).evaluate(x.numpy()).outputs, dtype=torch.float32)
        optimizer = torch.optim.Adam(module.parameters(), 3e-3)
        for step in range(150):
            if hardened:
                module.harden(min(step / 100, 1.0))
            optimizer.param_groups[0]["lr"] = 3e-3 * min(1.0, (150 - step) / 50)
            optimizer.zero_grad()
            module.train()
            (module(x) - wanted).square().mean().backward()
            optimizer.step()
        module.eval()
        return float((module(x) - wanted).square().mean())

    @pytest.mark.parametrize("share", [-0.1, 1.5])
    def test_shares_out_of_range_are_refused(self, share: float) -> None:
        with pytest.raises(InputError, match=f"share is {share}; give a number from 0 to 1"):
            made(Variant())[0].harden(share)


class TestSparsity:
    def test_missing_synapses_stay_away(self) -> None:
        module, x, _ = made(Variant(units=8))
        total = network(Variant(units=8)).synapses
        left = module.prune(0.5)
        assert left <= 0.52 * total and module.export().synapses <= left
        module.train()
        optimizer = torch.optim.SGD(module.parameters(), 1.0)
        module(x).sum().backward()
        optimizer.step()
        assert module.network().synapses <= left
        assert module.prune(0.0) == left

    def test_time_gates_take_the_masks_of_the_wiring(self) -> None:
        ncps = pytest.importorskip("ncps.torch")
        from ncps.wirings import AutoNCP

        torch.manual_seed(0)
        cfc = ncps.CfC(3, AutoNCP(12, 2))
        x = np.random.default_rng(0).normal(size=(4, 6, 3))
        dense = qat.prepare(cfc, "w8a12", calibrate=x).export().synapses
        module = qat.prepare(cfc, "w8a12", calibrate=x, mask_time_gates=True)
        assert module.export().synapses < dense
        for own in module.stages.values():
            assert torch.equal(own.mask("time"), own.mask("time") & own.mask("ff1"))

    def test_a_share_of_one_is_refused(self) -> None:
        with pytest.raises(InputError, match="share: is 1.0; give a number from 0"):
            made(Variant())[0].prune(1.0)


class TestDropIn:
    """Where the module was an ncps.torch.CfC, it is called like one."""

    @pytest.fixture
    def pair(self) -> tuple[Any, Any, Any]:
        ncps = pytest.importorskip("ncps.torch")
        from ncps.wirings import AutoNCP

        torch.manual_seed(1)
        cfc = ncps.CfC(3, AutoNCP(10, 2), proj_size=2)
        x = torch.tensor(np.random.default_rng(0).normal(size=(4, 9, 3)), dtype=torch.float32)
        return cfc, qat.prepare(cfc, "w8a12", calibrate=x.numpy()), x

    def test_it_returns_what_ncps_returns(self, pair: tuple[Any, Any, Any]) -> None:
        cfc, module, x = pair
        for mode in (True, False):
            module.train(mode)
            for given_x in (x, x[0]):
                with torch.no_grad():
                    (y, h), (expected, state) = module(given_x), cfc(given_x)
                assert (y.shape, h.shape) == (expected.shape, state.shape)
                assert float((y - expected).abs().max()) < 0.03
                assert float((h - state).abs().max()) < 0.03

    @pytest.mark.parametrize("training", [True, False])
    def test_the_state_is_carried_over(self, pair: tuple[Any, Any, Any], training: bool) -> None:
        _, module, x = pair
        module.train(training)
        whole, end = module(x)
        first, state = module(x[:, :4])
        second, last = module(x[:, 4:], state)
        if training:
            torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-3)
        else:
            assert torch.equal(torch.cat([first, second], 1), whole) and torch.equal(last, end)

    def test_the_memory_is_carried_over(self) -> None:
        ncps = pytest.importorskip("ncps.torch")
        torch.manual_seed(2)
        cfc = ncps.CfC(3, 5, mixed_memory=True, backbone_units=6)
        x = torch.tensor(np.random.default_rng(0).normal(size=(4, 9, 3)), dtype=torch.float32)
        module = qat.prepare(cfc, "w8a12", calibrate=x.numpy()).eval()
        whole, end = module(x)
        first, state = module(x[:, :4])
        second, last = module(x[:, 4:], state)
        assert torch.equal(torch.cat([first, second], 1), whole)
        assert all(torch.equal(a, b) for a, b in zip(last, end, strict=True))

    @pytest.mark.parametrize("training", [True, False])
    def test_the_memory_of_several_layers_is_carried_over(self, training: bool) -> None:
        ncps = pytest.importorskip("ncps.torch")
        from ncps.wirings import AutoNCP

        torch.manual_seed(2)
        cfc = ncps.CfC(3, AutoNCP(10, 2), mixed_memory=True)
        x = torch.tensor(np.random.default_rng(0).normal(size=(4, 9, 3)), dtype=torch.float32)
        module = qat.prepare(cfc, "w8a12", calibrate=x.numpy()).train(training)
        whole, end = module(x)
        first, state = module(x[:, :4])
        second, last = module(x[:, 4:], state)
        joined = torch.cat([first, second], 1)
        for part, expected in ((joined, whole), *zip(last, end, strict=True)):
            if training:
                torch.testing.assert_close(part, expected, rtol=0, atol=1e-3)
            else:
                assert torch.equal(part, expected)
        if not training:
            assert torch.equal(whole, decoded(module, x, None))
        # States stand in the order of ncps: those of all layers, and the memory's.
        outputs, states = cfc(x)
        for part, expected in ((whole, outputs), *zip(end, states, strict=True)):
            torch.testing.assert_close(part, expected, rtol=0, atol=0.03)

    def test_a_state_dict_can_be_loaded(self, pair: tuple[Any, Any, Any]) -> None:
        cfc, module, x = pair
        other = qat.prepare(cfc, "w8a12", calibrate=x.numpy())
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        other.load_state_dict(module.state_dict())
        module.eval()
        other.eval()
        assert torch.equal(module(x)[0], other(x)[0])


def test_an_unknown_module_is_refused_by_name() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.RNN(4, 4))
    with pytest.raises(ImportNetworkError):
        qat.prepare(model, "w8a12", calibrate=np.zeros((1, 2, 3)))


def test_timespans_are_asked_for() -> None:
    module, x, _ = made(Variant(irregular=True))
    with pytest.raises(InputError, match="timespans: are missing"):
        module(x)


def test_sensitivity_ranks_stages() -> None:
    variant = Variant(layers=2, units=6)
    x, _ = samples(variant, 8, 15)
    found = sensitivity(network(variant), x)
    assert {d.stage for d in found.damages} == {"layer_0", "layer_1", "readout"}
    added = [d.added for d in found.damages if d.added is not None]
    assert added == sorted(added, reverse=True) and added[0] > 0
    assert "each stage alone in w4a8, the others in w8a12" in found.summary()
