"""Whole modules that train for the chip: what they answer, what learns, and what is exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from converted_modules import encoder_decoder, samples, sandwich, timed

import lnn2loihi as l2l

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch_parts import torch_sandwich  # noqa: E402  needs PyTorch

from lnn2loihi import qat  # noqa: E402  needs PyTorch
from lnn2loihi.converted.parts import ConvertedModule  # noqa: E402


def tensors(module: ConvertedModule) -> list[Any]:
    return [torch.tensor(array) for array in module.example.values()]


class TestEvaluation:
    @pytest.mark.parametrize("make", [torch_sandwich, encoder_decoder, timed])
    def test_it_answers_what_the_exported_module_predicts(
        self, make: Callable[[], ConvertedModule]
    ) -> None:
        converted = make()
        module = qat.prepare(converted, "w6a10", calibrate=None).eval()
        given = tensors(converted)
        answered, exported = module(*given), module.export()
        expected = exported.predict(*given)
        pairs = [(answered, expected)]
        if isinstance(answered, tuple):
            pairs = [(answered[0], expected[0]), (answered[1]["h"], expected[1]["h"]),
                     (answered[1]["state"][0], expected[1]["state"][0])]  # fmt: skip
            assert answered[1]["state"][1] is None
        for one, other in pairs:
            assert one.dtype == other.dtype == torch.float32 and torch.equal(one, other)
        for part in exported.chip_parts:
            assert part.quantized().recipe.startswith("w6a10")
        assert exported.module is None and exported.is_quantized and exported.has_floats

    def test_other_sizes_of_batch_and_time(self) -> None:
        module = qat.prepare(torch_sandwich(), calibrate=None).eval()
        x = torch.tensor(samples(3, 7, 2, 3))
        assert torch.equal(module(x), module.export().predict(x))


class TestTraining:
    def test_host_and_chip_parts_learn_together(self) -> None:
        converted = torch_sandwich()
        module = qat.prepare(converted, "w4a8", calibrate=converted.example["x"])
        x, target = tensors(converted)[0], torch.softmax(torch.randn(4, 4), dim=-1)
        before = {name: value.detach().clone() for name, value in module.named_parameters()}
        optimizer = torch.optim.Adam(module.parameters(), 2e-2)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = ((module(x) - target) ** 2).mean() + 1e-3 * module.crowding()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.8 * losses[0]
        assert all(value.grad is not None for value in module.parameters())
        moved = {n for n, value in module.named_parameters() if not torch.equal(value, before[n])}
        assert any(name.startswith("parts.0.") for name in moved)
        assert any(name.startswith("parts.1.") for name in moved)
        module.eval()
        exported = module.export()
        assert torch.equal(module(x), exported.predict(x))
        own = converted.host_parts[0].function.module  # type: ignore[attr-defined]
        assert torch.equal(own.inner[0].weight, before["parts.0.inner.0.weight"])  # a copy learned
        with torch.no_grad():
            next(iter(module.parts[0].parameters())).add_(1.0)
        assert torch.equal(exported.predict(x), exported.predict(x))
        assert not torch.equal(module(x), exported.predict(x))

    def test_gradients_pass_through_states(self) -> None:
        converted = encoder_decoder()
        module = qat.prepare(converted, calibrate=None)
        x, z = (given.requires_grad_() for given in tensors(converted))
        module(x, z=z)[0].sum().backward()
        assert x.grad is not None and x.grad.abs().sum() > 0.0
        assert all(value.grad is not None for value in module.parameters())

    def test_pruning_and_hardening_reach_all_parts(self) -> None:
        module = qat.prepare(encoder_decoder(), calibrate=None)
        synapses = sum(part.quantized().synapses for part in module.export().chip_parts)
        left = module.prune(0.5)
        assert left < 0.7 * synapses
        module.harden(1.0)
        assert list(module.networks) == ["encode", "decode"]

    def test_weights_are_kept_in_a_state_dict(self) -> None:
        converted = torch_sandwich()
        one, other = (qat.prepare(converted, calibrate=None) for _ in range(2))
        with torch.no_grad():
            for value in one.parameters():
                value.mul_(1.1)
        other.load_state_dict(one.state_dict())
        x = tensors(converted)[0]
        assert torch.equal(one.eval()(x), other.eval()(x))


class TestWrongArguments:
    def test_they_are_named(self) -> None:
        module = qat.prepare(encoder_decoder(), calibrate=None)
        x, z = tensors(encoder_decoder())
        with pytest.raises(l2l.InputError, match="z is missing"):
            module(x)
        with pytest.raises(l2l.InputError, match=r"x has shape \(3, 8, 1\), expected \(batch"):
            module(x[..., :1], z)
        with pytest.raises(l2l.InputError, match="x is of type ndarray; give a tensor"):
            module(x.numpy(), z)

    def test_host_parts_have_to_be_there(self) -> None:
        with pytest.raises(l2l.InputError, match="host part 'before' is no PyTorch module"):
            qat.prepare(sandwich(), calibrate=None)

    def test_what_goes_with_networks(self) -> None:
        with pytest.raises(l2l.InputError, match="lengths, timespan: go with networks"):
            qat.prepare(encoder_decoder(), calibrate=None, lengths=[3], timespan=2.0)

    def test_problems_of_parts_are_named(self) -> None:
        with pytest.raises(l2l.QuantizationError, match="part 'encode': recipe 'w9'"):
            qat.prepare(encoder_decoder(), "w9", calibrate=None)
