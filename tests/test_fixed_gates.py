"""Gates that no training changes, and vectors that it keeps within limits: a minimal gated unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import lnn2loihi as l2l
from lnn2loihi import extend as x
from lnn2loihi.family import FAMILIES

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
SAMPLES = np.random.default_rng(0).normal(size=(4, 16, 3))


@dataclass(frozen=True, eq=False)
class ProductStage(x.Stage):
    """f h, heard unit by unit."""

    family: ClassVar[str] = "mgu product"
    fixed: ClassVar[tuple[str, ...]] = ("f", "h")

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        return sums["f"] * sums["h"], {}


@dataclass(frozen=True, eq=False)
class MguStage(x.Stage):
    """h' = h + rate f (tanh(candidate [x; f h]) - h)."""

    family: ClassVar[str] = "mgu"
    memory: ClassVar[tuple[str, ...]] = ("h",)
    fixed: ClassVar[tuple[str, ...]] = ("f",)
    vectors: ClassVar[tuple[str, ...]] = ("rate",)
    limits: ClassVar[dict[str, tuple[float, float]]] = {"rate": (0.25, 1.0)}

    rate: x.FloatArray

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        way = np.tanh(sums["candidate"]) - state["h"]
        h = state["h"] + self.rate * sums["f"] * way
        return h, {"h": h}


@dataclass(frozen=True, eq=False)
class MguLayer(x.Layer):
    """The gate multiplies the state before the product of the candidate."""

    gate: x.Linear
    candidate: x.Linear
    rate: x.FloatArray

    @property
    def units(self) -> int:
        return self.gate.output_size

    @property
    def input_size(self) -> int:
        return self.gate.input_size - self.units

    def stages(self, before: x.StageSource, timespan: float | None, scale: float) -> Any:
        n, gate, product = self.units, f"{self.name}.gate", f"{self.name}.product"
        factors = np.ones(self.gate.input_size)
        factors[: before.columns] = scale
        own = x.StageSource(self.name, n, previous=True)
        one, none, nothing = np.eye(n), np.zeros((n, n)), np.zeros(n)
        inputs = np.zeros((n, before.columns + n))
        f = x.StageSource(gate, n)
        return (
            x.DenseStage(
                gate, (before, own), {x.SUM: self.gate.with_columns(x.SUM, factors)},
                activation="sigmoid",
            ),
            ProductStage(
                product, (f, own),
                {"f": x.Linear("f", np.hstack([one, none]), nothing),
                 "h": x.Linear("h", np.hstack([none, one]), nothing)},
            ),
            MguStage(
                self.name, (before, x.StageSource(product, n), f),
                {"candidate": x.Linear(
                    "candidate",
                    np.hstack([self.candidate.with_columns("candidate", factors).weight, none]),
                    self.candidate.bias,
                ),
                 "f": x.Linear("f", np.hstack([inputs, one]), nothing)},
                self.rate,
            ),
        ), 1.0  # fmt: skip

    def with_gates(self, gates: Any, vectors: Any, timespan: float | None = 1.0) -> MguLayer:
        trained, n = gates[self.name]["candidate"], self.units
        candidate = x.Linear("candidate", trained.weight[:, :-n], trained.bias)
        gate = x.Linear("gate", *_parts(gates[f"{self.name}.gate"][x.SUM]))
        rate = vectors.get(self.name, {}).get("rate", self.rate)
        return MguLayer(self.name, gate, candidate, rate)

    def problems(self) -> list[str]:
        return self.gate.problems(self.name) + self.candidate.problems(self.name)


def _parts(linear: x.Linear) -> tuple[Any, Any]:
    return linear.weight, linear.bias


def _product(rescalings: Any, bits: int) -> x.NeuronProgram:
    t = x.Tracer("mgu product")
    f, h = (x.preactivation(t, g, r) for g, r in zip("fh", rescalings, strict=True))
    inside = x.within(t, f, 16), x.within(t, h, 16)
    word = t.multiply(*inside, 30 - (bits - 1) - 2)
    t.spike(x.within(t, x.rescaled(t, word, 2), bits))
    return t.program()


class ProductLowering(x.StageLowering[ProductStage]):
    bounded = True

    def lower(self, stage: Any, measured: Any, recipe: Any) -> x.Lowering:
        return x.Lowering(
            dict.fromkeys("fh", 2.0**15), self.message(stage, 0.0, recipe),
            lambda r: _product(r, recipe.message_bits),
        )  # fmt: skip


def _mgu(rescalings: Any, bits: int, activation: str) -> x.NeuronProgram:
    t = x.Tracer("mgu")
    kept, heard = t.state("h", x.STATE_BITS), t.state("sent", bits)
    target = x.ACTIVATIONS[activation].tanh(t, x.preactivation(t, "candidate", rescalings[0]))
    f = x.within(t, x.preactivation(t, "f", rescalings[1]), 16)
    share = t.multiply(f, t.parameter("rate", 15), 14)
    tau = x.clamped(t, t.subtract(share, 1 << 14, "tau"), -(1 << 14), 1 << 14, "tau")
    new = x.moved(t, kept, target, tau, towards=True)
    t.write(kept, new)
    t.spike(x.sent(t, new, x.FRACTION_BITS + x.GUARD_BITS - (bits - 1), bits)[1], heard)
    return t.program()


class MguLowering(x.StageLowering[MguStage]):
    bounded = True

    def lower(self, stage: Any, measured: Any, recipe: Any) -> x.Lowering:
        return x.Lowering(
            {"candidate": x.ACTIVATIONS[recipe.activation].unit, "f": 2.0**15},
            self.message(stage, 0.0, recipe),
            lambda r: _mgu(r, recipe.message_bits, recipe.activation),
            states=("h", "sent"),
            memory_steps={"h": 2.0 ** -(x.FRACTION_BITS + x.GUARD_BITS)},
            held={"candidate": x.LARGEST_WORD},
            parameters={"rate": np.floor(np.minimum(stage.rate * 2**14, 2**14 - 1) + 0.5)
                        .astype(np.int64)},
        )  # fmt: skip


@pytest.fixture
def network() -> Iterator[l2l.LiquidNetwork]:
    x.register(
        x.Family("mgu", (MguLayer,), {ProductStage: ProductLowering(), MguStage: MguLowering()})
    )
    rng = np.random.default_rng(1)
    gate, candidate = (
        x.Linear(n, rng.normal(size=(4, 7)), rng.normal(size=4)) for n in ("gate", "candidate")
    )
    layer = MguLayer("mgu_0", gate, candidate, rng.uniform(0.5, 0.9, 4))
    readout = x.Linear("readout", rng.normal(size=(2, 4)), np.zeros(2))
    yield l2l.LiquidNetwork("mgu", (layer,), readout)
    FAMILIES.remove("mgu")


def test_the_integers_follow(network: l2l.LiquidNetwork) -> None:
    program = l2l.quantize(network, SAMPLES)
    assert l2l.verify(program, SAMPLES, "reference,blas").bit_exact
    error = l2l.simulate(program, SAMPLES).outputs - network.evaluate(SAMPLES).outputs
    assert np.abs(error).max() < 0.02


def test_training_leaves_fixed_gates_and_limits_alone(network: l2l.LiquidNetwork) -> None:
    from lnn2loihi import qat

    module = qat.prepare(network, calibrate=SAMPLES)
    optimiser = torch.optim.SGD(module.parameters(), 3.0)
    module.train()
    for sign in (1.0, -1.0):
        for _ in range(4):
            loss = sign * module(torch.tensor(SAMPLES, dtype=torch.float32)).sum()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_value_(module.parameters(), 1.0)
            optimiser.step()
        (layer,) = module.network().layers
        assert isinstance(layer, MguLayer)
        assert layer.rate.min() >= 0.25 and layer.rate.max() <= 1.0
        for stage in module.network().stages:
            for name in stage.fixed:
                assert set(np.unique(stage.gates[name].weight)) == {0.0, 1.0}
    assert not np.allclose(layer.gate.weight, network.layers[0].gate.weight)  # pyright: ignore
    module.eval()
    answered = module(torch.tensor(SAMPLES)).numpy()
    expected = l2l.simulate(module.export(), SAMPLES).outputs
    np.testing.assert_array_equal(answered, np.float32(expected))
    before = int(module.prune(0.0))
    assert before == sum(
        int(np.count_nonzero(gate.weight))
        for stage in module.network().stages
        for name, gate in stage.gates.items()
        if name not in stage.fixed
    )
