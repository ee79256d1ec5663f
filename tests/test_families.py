"""Every family keeps the contract; one that breaks it is told the rule."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import variants as v
from lrc_networks import KINDS, random_lrc
from networks import random_ltc
from state_spaces import gated, state_space

from lnn2loihi import extend as x
from lnn2loihi.errors import InputError
from lnn2loihi.families.relay.layer import RelayLayer
from lnn2loihi.family import FAMILIES
from lnn2loihi.layers.layer import Layer
from lnn2loihi.testing import RULES, ContractError, check_family, check_importer

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
    "cfc linear no_gate timed": (
        v.network(v.Variant(heads="linear", mode="no_gate", irregular=True)).layers[0],
        True,
    ),
    "cfc input memory": (
        v.network(v.Variant(input_memory=True, heads="linear", backbone=(4,))).layers[0],
        False,
    ),
    "ltc input memory": (v.ltc_behind_memory(3), False),
    "cfc wired": (v.network(v.Variant(shared_memory=True, layers=2)).layers[0], False),
    **{
        f"dense {name}": (v.network(v.Variant(after=name)).layers[-1], False)
        for name in ("relu", "sigmoid", "gelu")
    },
    **{
        f"dense {name}": (v.network(v.Variant(after=name)).layers[-1], False)
        for name in (
            "leaky_relu(0.01)",
            "leaky_relu(3)",
            "elu(1)",
            "selu",
            "celu(2)",
            "softplus(2)",
            "log_sigmoid",
            "clamp(-1,1)",
            "hard_sigmoid",
            "hard_swish",
            "gelu_tanh",
            "abs",
            "square",
        )
    },
    "product": (v.product("product", 5, 3), False),
    "layer norm": (v.layer_norm("norm", 4, 6), False),
    "lrc ssm": (v.lrc_ssm("lrc", 3, 4), False),
    "rms norm": (v.layer_norm("norm", 4, 3, centre=False), False),
    "relay": (RelayLayer("relay", 5), False),
    "s4d": (state_space("s4d"), False),
    "s4d, dense maps": (state_space("s4d", 2, 3, inputs=5, activation="lecun_tanh"), False),
    "s4d, liquid": (state_space("s4d", 2, 3, liquid=True), False),
    "glu": (gated("glu"), False),
    "ltc": (random_ltc(0).layers[0], False),
    "ltc timed": (random_ltc(1, timespan=None).layers[0], True),
    **{
        f"lrc {name}{' timed' * timed}": (
            random_lrc(
                3, density=0.8, unfolds=unfolds, timespan=None if timed else 1.0, **KINDS[name]
            ).layers[0],
            timed,
        )
        for name, timed, unfolds in (
            ("asymmetric", False, 1),
            ("symmetric", True, 2),
            ("stc", False, 1),
            ("hybrid", True, 1),
            ("tau", False, 1),
        )
    },
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
    with pytest.raises(ContractError) as found:
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


def says(**attributes: Any) -> type[x.Stage]:
    """A sound stage that says something else of itself."""
    return type("Other", (LeakStage,), attributes)


def answers(change: Callable[[Any, Any, Any], Any]) -> type[x.Stage]:
    """A stage that makes something else of its answer, its sums and its memory."""

    def answer(self: Any, sums: Any, state: Any, elapsed: Any) -> Any:
        return change(LeakStage.answer(self, sums, state, elapsed)[0], sums, state["h"])

    return says(answer=answer)


def sine(h: Any, sums: Any, before: Any) -> Any:
    h = before + x.sigmoid(sums["gate"]) * (np.sin(sums["candidate"]) - before)
    return h, {"h": h}


def beyond(limit: float, factor: float, bound: float = math.inf) -> type[x.Stage]:
    """Sound, but for sums beyond a limit that samples do not reach, or hardly."""

    def change(h: Any, sums: Any, before: Any) -> Any:
        h = np.where(np.greater(np.abs(sums["candidate"]), limit), factor * h, h)
        return h, {"h": h}

    made = answers(change)
    made.bound = bound  # type: ignore[assignment,method-assign]
    return made


def summed(h: Any, sums: Any, before: Any) -> Any:
    h = before + 0.001 * np.tanh(sums["candidate"]) + 0.0 * h
    return h, {"h": h}


def overwriting(h: Any, sums: Any, before: Any) -> Any:
    before[:] = h
    return h, {"h": before}


def raising(h: Any, sums: Any, before: Any) -> Any:
    raise KeyError("gain")


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (says(bound=0.25), "bound: stage 'leak_0' answers up to 1, its `bound` says 0.25; state"),
        (beyond(200.0, 40.0, 1.0), "its `bound` says 1; state one that holds for all inputs"),
        (Larger, "its lowering is `bounded`, with messages up to 1; leave `bounded` out"),
        (answers(summed), "its lowering is `bounded`, with messages up to 1; leave `bounded` out"),
        (Forgetful, "answer: stage 'leak_0' answers with memory [], its `memory` names ['h']"),
        (Opaque, "training equations: it raised EquationError: NumPy's cbrt: is not known"),
        (answers(lambda h, sums, before: h), "answer: stage 'leak_0' answers ndarray; give the"),
        (
            answers(lambda h, sums, before: (h[:, :2], {"h": h})),
            "answer: the message of stage 'leak_0' has shape (5, 2), expected (5, 4): answer one",
        ),
        (
            answers(lambda h, sums, before: (np.sqrt(h), {"h": h})),
            "answer: the message of stage 'leak_0' is NaN or infinite for sums within (-2, 2)",
        ),
        (
            answers(lambda h, sums, before: (h, {"h": h * np.exp(0 * np.exp(sums["gate"]))})),
            "answer: h of stage 'leak_0' is NaN or infinite for sums up to 1000: hold",
        ),
        (answers(overwriting), "answer: stage 'leak_0' writes into its arguments; make new arrays"),
        (answers(raising), "test_families.py, line "),
        (answers(raising), "in raising); mend what this rule needs: `Stage.answer` gives a"),
        (says(memory="h"), "names: stage 'leak_0': `memory` is 'h'; write a tuple of (\"h\",)"),
        (says(bound=math.nan), "names: stage 'leak_0': `bound` is nan; it is a number above 0"),
        (says(positive=("leek",)), "`positive` names leek; there are candidate, gate"),
        (says(logistic=("leek",)), "`logistic` names leek; there are candidate, gate"),
        (says(calibrated=("leek",)), "`calibrated` names leek; there are candidate, gate"),
        (says(fixed=("leek",)), "`fixed` names leek; there are candidate, gate"),
        (says(limits={"leek": (0, 1)}), "`limits` names leek; there is nothing to name"),
        (says(vectors=("leek",)), "vector 'leek' is None; give an array with 4 numbers"),
        (says(starts_from="leek"), "`starts_from` names leek; there are input, leak_0"),
        (says(memory=("h", "q")), "words h, q of its memory have the names leak_0, leak_0 as"),
        (answers(sine), "integers: with recipe w8a12x12-ramp12 the message of stage 'leak_0' is"),
        (beyond(4.0, 0.5), "the neuron program computes something else than `answer`"),
        (beyond(16.0, 0.5), "with recipe w8a16x16-lines16 the message of stage 'leak_0' is"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*encountered in")
def test_stages_that_break_it(
    registered: Any, monkeypatch: pytest.MonkeyPatch, stage: type[x.Stage], said: str
) -> None:
    registered()
    monkeypatch.setattr(LeakLayer, "made", stage)
    found = broken(leak())
    assert said in found
    lines = found.splitlines()
    assert len(set(lines)) == len(lines)


def cancelling(stage: Any, sums: Any, memory: Any, elapsed: Any) -> Any:
    """Its gradients of message and memory are wrong, their sum is right."""
    h = memory["h"] + sums["gate"].sigmoid() * (sums["candidate"].tanh() - memory["h"])
    wrong = sums["gate"] - sums["gate"].detach()
    return h + wrong, {"h": h - wrong}


def far_out(stage: Any, sums: Any, memory: Any, elapsed: Any) -> Any:
    """It answers otherwise where no sample comes."""
    gate = sums["gate"].sigmoid() * (sums["gate"] < 300.0)
    h = memory["h"] + gate * (sums["candidate"].tanh() - memory["h"])
    return h, {"h": h}


@pytest.mark.parametrize(
    ("equation", "said"),
    [
        (cancelling, "the gradient by 'gate' of Family.equations differs from the derived one"),
        (far_out, "stage 'leak_0': on tensors its message differs from that of `answer` by"),
    ],
)
def test_gradients_and_equations_far_out(registered: Any, equation: Any, said: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    registered(equations=lambda: {LeakStage: equation})
    found = broken(leak())
    assert f"training equations: {said}" in found or said in found


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


def moody(rescalings: Any) -> x.NeuronProgram:
    """A program that is another one each time."""
    moody.calls = getattr(moody, "calls", 0) + 1  # type: ignore[attr-defined]
    return leak_program(rescalings, 12, "ramp12", towards=moody.calls % 2 == 0)  # type: ignore


#: What a unit of the state is worth, and the steps of the gates, in the sound lowering.
STEP, UNIT = 2.0 ** -(x.FRACTION_BITS + x.GUARD_BITS), x.ACTIVATIONS["ramp12"].unit


def nothing(*given: Any) -> Any:
    return None


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
        (Altered(memory_steps={"h": 2.0 * STEP}), "the message of stage 'leak_0' is"),
        (Altered(memory_steps={"h": 0.01 * STEP}), "chip training: in evaluation two halves, the"),
        (Altered(memory_steps={"h": -STEP}), "lowering: `memory_steps` of 'h' are not above 0"),
        (
            Altered(units={"gate": 0.45 * UNIT, "candidate": 0.9 * UNIT}),
            "or `units` or `memory_steps` say something else than it computes with",
        ),
        (
            Altered(message=x.FixedPoint(12, 8)),
            "lowering: `message` is 12 bits with 8 behind the point, `message_format` says 12 bits "
            "with 11 behind the point, which is what others hear",
        ),
        (Altered(held={"leek": 3}), "lowering: `held` names ['leek'], its gates are"),
        (Altered(operands=("leek",)), "lowering: `operands` names ['leek'], its gates are"),
        (Altered(program=moody), "lowering: `program` makes another program when it is called"),
        (Altered(program=nothing), "lowering: it raised FamilyError: family 'leak'"),
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
        "hearing: heard through a matrix (factors) it differs from itself behind the matrix",
        "rebuilt layer: 'gate' of stage 'leak_0' is lost by `with_gates`",
        "counted parameters: 24 parameters are counted, its arrays hold 64 numbers",
    ):
        assert rule in said


class Deaf(LeakLayer):
    """Hears the network's input, whatever comes before it, and says that it can hear nothing."""

    def stage(self, sources: Any, gates: Any) -> x.Stage:
        first = dataclasses.replace(sources[0], name=x.INPUT)
        return super().stage((first, *sources[1:]), gates)

    def can_hear(self, matrix: Any) -> bool:
        return False


def test_layers_that_hear_something_else(registered: Any) -> None:
    registered()
    said = broken(leak(Deaf))
    assert "hearing: `can_hear` refuses a diagonal matrix" in said
    assert "several sources: " in said


def test_what_does_not_need_a_broken_rule_is_tried(registered: Any) -> None:
    registered(lowerings={})
    said = broken(leak(Lost))
    assert "family: stage 'leak_0', of class LeakStage, has no lowering" in said
    assert "rebuilt layer: 'gate' of stage 'leak_0' is lost" in said
    assert "not tried until that is mended: bound, saved network, lowering" in said


def with_(**attributes: Any) -> type[LeakLayer]:
    """A sound layer, but for something."""
    return type("Odd", (LeakLayer,), attributes)


def unscaled(self: Any, before: Any, timespan: Any, scale: float) -> Any:
    return LeakLayer.stages(self, before, timespan, 1.0)


def failing(self: Any) -> Any:
    raise ZeroDivisionError("boom")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (with_(problems=nothing), "layer: `problems` answers None; give a list of texts, empty"),
        (with_(problems=failing), "layer: it raised ZeroDivisionError: boom ("),
        (with_(problems=failing), "in failing); mend what this rule needs: A layer is a Layer"),
        (with_(stages=lambda *given: ((), 1.0)), "stages: `stages` gives () as stages; give a"),
        (with_(stages=nothing), "stages: `stages` answers None; give the stages and a factor"),
        (
            with_(input_size="many", problems=lambda layer: []),
            "layer: `input_size` is 'many'; it is a number of at least 1",
        ),
        (with_(unfolds="3"), "stages: `unfolds` is '3'; it is a number of steps, at least 1"),
        (with_(stages=unscaled), "scaled inputs: `stages` with scale=2 answers half the inputs"),
        (dataclass(frozen=True)(with_()), "layer: its dataclass compares arrays by ==, which has"),
    ],
)
def test_layers_that_say_what_cannot_be(registered: Any, kind: Any, said: str) -> None:
    registered()
    assert said in broken(leak(kind))


@dataclass(frozen=True, eq=False)
class RatedStage(LeakStage):
    """h' = h + rate (tanh(candidate) - h)."""

    vectors: ClassVar[tuple[str, ...]] = ("rate",)
    rate: Any = None

    def answer(self, sums: Any, state: Any, elapsed: Any) -> Any:
        h = state["h"] + self.rate * (np.tanh(sums["candidate"]) - state["h"])
        return h + 0.0 * sums["gate"], {"h": h}


@dataclass(frozen=True, eq=False)
class RatedLayer(LeakLayer):
    """Its rates are 1 at most."""

    rate: Any = None

    def stages(self, before: Any, timespan: Any, scale: float) -> Any:
        (stage,), factor = super().stages(before, timespan, scale)
        made = RatedStage(stage.name, stage.sources, stage.gates, rate=self.rate)
        return (made,), factor

    def problems(self) -> list[str]:
        return [] if (self.rate <= 1.0).all() else [f"{self.name}.rate is above 1"]


@dataclass(frozen=True, eq=False)
class LoneLayer(RatedLayer):
    """Its rates are the caller's, and only these are allowed."""

    def __post_init__(self) -> None:
        """Keeps what it is given."""

    def problems(self) -> list[str]:
        return [] if (self.rate == 0.9).all() else [f"{self.name}.rate is not 0.9"]


def test_changes_that_a_layer_does_not_allow_and_arrays_of_others(registered: Any) -> None:
    registered(lowerings={})
    rates = np.full(4, 0.9)
    layer = RatedLayer("leak_0", leak().gates, rates)
    rates[:] = 0.5
    assert (layer.rate == 0.9).all()
    said = broken(layer)
    assert "rebuilt layer" not in said
    assert "arrays:" not in said
    said = broken(LoneLayer("leak_0", leak().gates, np.full(4, 0.9)))
    assert "arrays: rate is an array that can be written to, so that networks change when" in said
    assert "rebuilt layer" not in said


class Plain(x.Layer):
    """Is no dataclass, and can be changed."""

    units = 4  # pyright: ignore
    input_size = 3  # pyright: ignore

    def __init__(self, gates: Any) -> None:
        vars(self).update(  # pyright: ignore
            name="leak_0", gates=gates, rate=np.ones(4)
        )

    def __setattr__(self, name: str, value: Any) -> None:
        vars(self)[name] = value  # pyright: ignore

    def stages(self, before: Any, timespan: Any, scale: float) -> Any:
        return LeakLayer("leak_0", self.gates).stages(before, timespan, scale)  # type: ignore

    def problems(self) -> list[str]:
        return []


def test_a_layer_that_is_no_dataclass(registered: Any) -> None:
    registered()
    said = broken(Plain(leak().gates))
    assert (
        "layer: its attributes can be set, and it would change inside a network; make its" in said
    )
    assert "layer: rate hold arrays and are no fields of a dataclass; make its class" in said


def test_every_name_of_extend_is_there() -> None:
    for name in x.__all__:
        assert getattr(x, name) is not None
    with pytest.raises(AttributeError, match="'lnn2loihi.extend' has no attribute 'nonsense'"):
        getattr(x, "nonsense")  # noqa: B009


def test_the_importer_of_linear_heads() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from lnn2loihi.models.linear_cfc.module import LinearCfC

    module = LinearCfC(3, 4, proj_size=2, backbone_units=5, backbone_layers=1)
    report = check_importer(module, SAMPLES[..., :3])
    assert len(report.checked) == 5


@pytest.mark.parametrize(
    ("kind", "layers"), [("GRU", 1), ("LSTM", 2)], ids=["gru", "two layers of lstm"]
)
def test_importers_of_ours(kind: str, layers: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    module = getattr(torch.nn, kind)(3, 4, layers, batch_first=True)
    report = check_importer(module, SAMPLES[..., :3])
    assert report.summary() == (
        f"{kind} keeps: alive, checkpoint, inside a Sequential, trained alone, trained inside a "
        "module"
    )
    assert next(module.parameters()).dtype == torch.float32


def test_the_importer_of_lrc_ssm() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from lnn2loihi.models.lrc_ssm import LrcSSM

    report = check_importer(LrcSSM(3, 4, spread=4.0, opened=1.0), SAMPLES[..., :3])
    assert not report.skipped


def test_importers_that_break_it() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Doubled(torch.nn.GRU):
        """Answers otherwise than a GRU, without a forward of its own."""

        def __call__(self, *given: Any) -> Any:
            answer, state = super().__call__(*given)
            return 2.0 * answer, state

    with pytest.raises(ContractError) as found:
        check_importer(Doubled(3, 4, batch_first=True), SAMPLES[..., :3])
    assert "alive: the network differs from the module's forward by" in str(found.value)
    assert "not tried until that is mended: checkpoint, inside a Sequential" in str(found.value)
    with pytest.raises(ContractError, match="alive: it raised ImportNetworkError"):
        check_importer(torch.nn.Tanh(), SAMPLES[..., :3])
