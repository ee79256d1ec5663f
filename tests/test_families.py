"""Every family keeps the contract; one that breaks it is told the rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import variants as v
from networks import random_ltc

from lnn2loihi import extend as x
from lnn2loihi.errors import InputError
from lnn2loihi.family import FAMILIES
from lnn2loihi.layers.layer import Layer
from lnn2loihi.testing import RULES, FamilyError, check_family

SAMPLES = np.random.default_rng(5).normal(size=(3, 12, 8))
#: Layers of our own families, and whether their time is irregular.
OURS: dict[str, tuple[Layer, bool]] = {
    **{name: (v.network(v.Variant(family=name)).layers[0], False) for name in v.GATED},
    **{
        f"cfc {mode}{' timed' * timed}": (
            v.network(v.Variant(mode=mode, irregular=timed)).layers[0],
            timed,
        )
        for mode in ("default", "no_gate", "pure")
        for timed in (False, True)
    },
    "cfc memory": (v.network(v.Variant(backbone=(4, 3), memory=True)).layers[0], False),
    "cfc wired": (v.network(v.Variant(shared_memory=True, layers=2)).layers[0], False),
    **{
        f"dense {name}": (v.network(v.Variant(after=name)).layers[-1], False)
        for name in ("relu", "sigmoid", "gelu")
    },
    "ltc": (random_ltc(0).layers[0], False),
    "ltc timed": (random_ltc(1, timespan=None).layers[0], True),
}


@pytest.mark.parametrize("name", OURS)
def test_ours_keep_the_contract(name: str) -> None:
    layer, timed = OURS[name]
    samples = SAMPLES[..., : layer.input_size]
    # Lava, whose processes take seconds to start, runs all families in test_lava_equality.
    report = check_family(
        layer, samples, timespan=None if timed else 1.0, executors=("reference", "blas", "c")
    )
    assert set(report.checked) | set(report.skipped) == set(RULES)
    assert len(report.executors) == 3


@dataclass(frozen=True, eq=False)
class LeakStage(x.Stage):
    """h' = h + sigmoid(gate) (tanh(candidate) - h)."""

    family: ClassVar[str] = "leak"
    memory: ClassVar[tuple[str, ...]] = ("h",)

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        h = state["h"] + x.sigmoid(sums["gate"]) * (np.tanh(sums["candidate"]) - state["h"])
        return h, {"h": h}


@dataclass(frozen=True, eq=False)
class LeakLayer(x.GatedLayer):
    names: ClassVar[tuple[str, ...]] = ("gate", "candidate")
    made: ClassVar[type[x.Stage]] = LeakStage

    def stage(self, sources: Any, gates: Any) -> x.Stage:
        return self.made(self.name, sources, gates)


def leak_program(
    rescalings: Any, bits: int, activation: str, towards: bool = True, largest: int = 0
) -> x.NeuronProgram:
    t = x.Tracer("leak")
    tanh = x.ACTIVATIONS[activation].tanh
    kept, heard = t.state("h", x.STATE_BITS), t.state("sent", bits)
    with t.scope("gate"):
        tau = tanh(t, x.preactivation(t, "gate", rescalings[0]))
    with t.scope("candidate"):
        target = tanh(t, x.preactivation(t, "candidate", rescalings[1]))
    new = x.moved(t, kept, target, tau, towards=towards)
    if largest:
        t.convex(new, (kept, target, tau), -largest, largest)
    t.write(kept, new)
    t.spike(x.sent(t, new, x.FRACTION_BITS + x.GUARD_BITS - (bits - 1), bits)[1], heard)
    return t.program()


class LeakLowering(x.StageLowering[Any]):
    bounded = True

    def lower(self, stage: Any, measured: x.Measured, recipe: x.Recipe) -> x.Lowering:
        unit = x.ACTIVATIONS[recipe.activation].unit
        return x.Lowering(
            {"gate": unit / 2, "candidate": unit},
            self.message_format(stage, 0.0, recipe),
            lambda rescalings: leak_program(rescalings, recipe.message_bits, recipe.activation),
            states=("h", "sent"),
            held=dict.fromkeys(stage.gates, x.LARGEST_WORD),
            memory_steps={"h": 2.0 ** -(x.FRACTION_BITS + x.GUARD_BITS)},
        )


def leak(kind: type[LeakLayer] = LeakLayer) -> LeakLayer:
    rng = np.random.default_rng(1)
    gates = (x.Linear(n, rng.normal(size=(4, 7)), rng.normal(size=4)) for n in LeakLayer.names)
    return kind("leak_0", tuple(gates))


@pytest.fixture
def registered() -> Iterator[Any]:
    """Registers a family made of parts of the sound one; whatever it is, it is taken back."""

    def register(**changes: Any) -> None:
        sound = x.Family("leak", (LeakLayer,), {LeakStage: LeakLowering()})
        x.register(dataclasses.replace(sound, **changes))

    yield register
    FAMILIES.remove("leak")


def broken(layer: Any, **options: Any) -> str:
    options = {"executors": ("reference", "blas"), **options}
    with pytest.raises(FamilyError) as found:
        check_family(layer, SAMPLES[..., :3], **options)
    return str(found.value)


def test_a_stranger_keeps_it(registered: Any) -> None:
    registered()
    report = check_family(leak(), SAMPLES[..., :3], executors=("reference", "blas"))
    assert not set(report.checked) ^ (set(RULES) - set(report.skipped))
    assert (
        "LeakLayer keeps: layer, stages, arrays, names, family, answer, bound" in report.summary()
    )


def test_without_a_family_or_a_lowering(registered: Any) -> None:
    said = broken(leak())
    assert "family: no registered family has LeakLayer among its layers; name it in" in said
    assert "family: stage 'leak_0', of class LeakStage, has no lowering; write a" in said
    registered(lowerings={})
    assert "family: stage 'leak_0', of class LeakStage, has no lowering" in broken(leak())


def test_what_is_no_layer() -> None:
    assert "layer: is no lnn2loihi.extend.Layer; derive its class" in broken("leak")
    odd = LeakLayer("leak_0", leak().gates[:1])
    assert "layer: leak_0: has gates gate; expected gate, candidate" in broken(odd)


def test_samples_that_do_not_fit(registered: Any) -> None:
    registered()
    with pytest.raises(InputError, match=r"x: has shape \(3, 12, 8\); give \(batch, time, 3\)"):
        check_family(leak(), SAMPLES)


class Beyond(LeakStage):
    """Says a bound that its answers leave."""

    @property
    def bound(self) -> float:
        return 0.25


class Larger(LeakStage):
    """Answers twice what its lowering calls bounded."""

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        h, kept = super().answer(sums, state, elapsed)
        return 2.0 * h, kept


class Forgetful(LeakStage):
    """Answers without its memory."""

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        return super().answer(sums, state, elapsed)[0], {}


class Opaque(LeakStage):
    """Uses a function that is known neither on tensors nor in ONNX."""

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        h, _ = super().answer(sums, state, elapsed)
        return np.cbrt(h) * 0 + h, {"h": h}


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (Beyond, "bound: stage 'leak_0' answers up to 1, its `bound` says 0.25; state one that"),
        (Larger, "its lowering is `bounded`, with messages up to 1; leave `bounded` out"),
        (Forgetful, "answer: stage 'leak_0' answers with memory [], its `memory` names ['h']"),
        (Opaque, "training equations: it raised EquationError: NumPy's cbrt: is not known"),
    ],
)
def test_stages_that_break_it(
    registered: Any, monkeypatch: pytest.MonkeyPatch, stage: type[x.Stage], said: str
) -> None:
    registered()
    monkeypatch.setattr(LeakLayer, "made", stage)
    assert said in broken(leak())


def test_equations_of_its_own_that_differ(registered: Any) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")

    def other(stage: Any, sums: Any, memory: Any, elapsed: Any) -> Any:
        h = memory["h"] + sums["gate"].sigmoid() * (sums["candidate"] - memory["h"])
        return h, {"h": h}

    registered(equations=lambda: {LeakStage: other})
    said = broken(leak())
    assert "training equations: stage 'leak_0': on tensors its message differs from that of" in said
    assert "mend what Family.equations has for it" in said


class Altered(LeakLowering):
    """A sound lowering, but for one thing."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes

    def lower(self, stage: Any, measured: x.Measured, recipe: x.Recipe) -> x.Lowering:
        return dataclasses.replace(super().lower(stage, measured, recipe), **self.changes)


def away(rescalings: Any) -> x.NeuronProgram:
    """A program that takes one minus the gate."""
    return leak_program(rescalings, 12, "ramp12", towards=False)


def lying(rescalings: Any) -> x.NeuronProgram:
    """A program that states a bound which its words leave."""
    return leak_program(rescalings, 12, "ramp12", largest=3)


@pytest.mark.parametrize(
    ("lowering", "said"),
    [
        (Altered(program=away), "integers: with recipe w8a12x12-ramp12 the message of stage"),
        (Altered(program=lying), "leak_0: bound of 'kept' cannot be checked by convexity"),
        (
            Altered(units={"gate": -1.0, "candidate": 1.0}),
            "lowering: `units` of 'gate' are not above 0 and finite; say steps",
        ),
        (
            Altered(memory_steps={}),
            "lowering: `memory_steps` names [], its `memory` is ['h']; both have",
        ),
        (
            Altered(states=("h",)),
            "lowering: `states` names ['h'], its program has ['h', 'sent']",
        ),
    ],
)
def test_lowerings_that_break_it(registered: Any, lowering: Any, said: str) -> None:
    registered(lowerings={LeakStage: lowering})
    assert said in broken(leak())


class Lost(LeakLayer):
    """Puts the gates that were trained in the wrong places, and does not fold inputs in."""

    def with_gates(self, gates: Any, vectors: Any, timespan: Any = 1.0) -> Any:
        return self

    def with_inputs(self, factor: Any, offset: Any) -> Any:
        return self

    def other_parameters(self, stages: Any) -> int:
        return -40


def test_layers_that_break_it(registered: Any) -> None:
    registered()
    said = broken(leak(Lost))
    for rule in (
        "folded inputs: with a normalisation folded in it differs",
        "rebuilt layer: 'gate' of stage 'leak_0' is lost by `with_gates`",
        "counted parameters: 24 parameters are counted, its arrays hold 64 numbers",
    ):
        assert rule in said


def test_every_name_of_extend_is_there() -> None:
    for name in x.__all__:
        assert getattr(x, name) is not None
    with pytest.raises(AttributeError, match="'lnn2loihi.extend' has no attribute 'nonsense'"):
        getattr(x, "nonsense")  # noqa: B009
