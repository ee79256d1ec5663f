"""The target stock: graphs of Lava's own processes in place of neuron programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_ltc, random_network, random_samples
from programs import Sizes, random_inputs, random_program
from variants import Variant, network, samples

import lnn2loihi as l2l
from lnn2loihi.errors import InputError, TargetError
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.stock import stock_neuron
from lnn2loihi.program import LoihiProgram
from lnn2loihi.targets import target_of
from lnn2loihi.targets.stock.form import FLAVOURS, FORMS, RECTIFIERS, StockForm, form_of
from lnn2loihi.targets.stock.lines import LINES, Lines
from lnn2loihi.targets.stock.sums import LARGEST_WEIGHT, digits

SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def values(lines: Lines, z: Any) -> Any:
    """f of the lines, of an argument in its steps."""
    y, c, t = np.asarray(z)[:, None], np.array(lines.changes), np.array(lines.knots)
    total = (c * (np.maximum(y + t, 0) - np.maximum(y - t, 0))).sum(axis=1)
    return (total - lines.largest) / 2**lines.full_bits


class TestForms:
    @given(st.sampled_from((0, *RECTIFIERS)), st.sampled_from(FORMS), st.sampled_from(FLAVOURS))
    def test_words_say_a_form_and_back(self, rectifiers: int, form: Any, flavour: Any) -> None:
        target = l2l.stock_target(rectifiers, form, flavour)
        assert form_of(StockForm(rectifiers, form, flavour).words or "pre") == StockForm(
            rectifiers, form, flavour
        )
        assert target_of(target.name).name == target.name

    def test_words_come_in_any_order(self) -> None:
        assert form_of("vec-4-pre") == form_of("pre-4-vec")

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("stock:pre-5", "'5' is none of its words; there are the forms pre, fold"),
            ("stock:", "'' is none of its words"),
            ("stock:pre-fold", "'fold' is a second form"),
            ("split:pre", "takes no words"),
            ("stok:pre", "does not exist"),
        ],
    )
    def test_other_words_are_refused(self, name: str, said: str) -> None:
        with pytest.raises(InputError, match=said):
            target_of(name)

    def test_other_numbers_are_refused(self) -> None:
        with pytest.raises(InputError, match="rectifiers is 5; there are 2, 4, 6, 8"):
            l2l.stock_target(5)


class TestLines:
    @pytest.mark.parametrize("activation", LINES)
    def test_they_are_near_tanh_and_saturate(self, activation: str) -> None:
        form = ACTIVATIONS[activation]
        for count, every in LINES[activation].items():
            for lines in every:
                assert 0 <= 2**lines.full_bits - lines.largest <= 8
                assert 2 * len(lines.knots) == count and sorted(lines.knots) == [*lines.knots]
                unit = form.unit / 2**lines.shift
                z = np.arange(0, int(6 * unit))
                real = np.clip(z / unit / form.knot, -1, 1) if form.knot else np.tanh(z / unit)
                largest = {2: 0.25, 4: 0.08, 6: 0.06, 8: 0.05}[count] if not form.knot else 0.001
                assert np.abs(values(lines, z) - real).max() <= largest

    def test_a_clipped_line_is_the_fused_one(self) -> None:
        for lines in LINES["hard"][2]:
            z = np.arange(-20_000 >> lines.shift, 20_000 >> lines.shift)
            end = 1 << FRACTION_BITS
            assert (values(lines, z) * end == np.clip(z << lines.shift, -end, end)).all()


@given(st.lists(st.integers(-LARGEST_WEIGHT, LARGEST_WEIGHT), max_size=9))
def test_digits_add_up(weights: list[int]) -> None:
    own = np.array(weights, np.int64)
    parts = digits(own)
    assert (sum((m << e for e, m in parts), np.zeros_like(own)) == own).all()
    assert all(m.size == 0 or -128 <= m.min() <= m.max() <= 127 for _, m in parts)


def prepared(program: LoihiProgram, words: str) -> LoihiProgram:
    return target_of(f"stock:{words}").prepare(program)


def check_shape(made: LoihiProgram) -> None:
    """What a board can run: neurons of Lava's processes, and connections without delays."""
    assert all(stock_neuron(p.program) is not None for p in made.populations)
    assert not any(c.delay for c in made.connections)


@settings(max_examples=12, **SETTINGS)
@given(
    st.integers(0, 1000),
    st.sampled_from(("pre", "pre-2", "pre-6", "pre-8", "pre-2-vec", "pre-4-vec")),
    st.sampled_from((8, 12, 14)),
    st.sampled_from(tuple(ACTIVATIONS)),
    st.booleans(),
)
def test_all_executors_agree(
    seed: int, words: str, bits: int, activation: str, extreme: bool
) -> None:
    """Of random programs, which begin with random states."""
    sizes = Sizes(layers=(4, 3), message_bits=bits, activation=activation, extreme=extreme)
    program = random_program(seed, sizes)
    x = random_inputs(seed, program, 2, 6)
    found = l2l.verify(program, x, "reference,blas", target=f"stock:{words}", encoded=True)
    assert found.bit_exact, str(found)
    check_shape(prepared(program, words))


@settings(max_examples=6, **SETTINGS)
@given(st.integers(0, 1000), st.sampled_from(("default", "no_gate")), st.booleans())
def test_answers_are_near(seed: int, mode: str, readout: bool) -> None:
    net = random_network(seed, layers=(5, 4), outputs=2 if readout else 0)
    layers = tuple(replace(la, mode=mode) for la in net.layers if isinstance(la, l2l.CfCLayer))
    net = l2l.LiquidNetwork(net.name, layers, net.readout, 1.0)
    x = random_samples(seed, 4, 12, 3)
    program = l2l.quantize(net, x)
    found = l2l.verify(program, x, "reference,c", target="stock:pre-8")
    assert found.bit_exact
    assert found.distance is not None and found.distance.rms < 0.05 * found.distance.deviation
    assert "only approximates its source" in found.summary()


def test_what_has_no_such_form_is_named() -> None:
    x = random_samples(0, 2, 5, 3)
    program = l2l.quantize(random_ltc(0), x)
    with pytest.raises(TargetError) as error:
        prepared(program, "pre")
    said = "\n".join(error.value.problems)
    assert "updates 4 times for each sample" in said
    assert "has no form of Lava's own processes; use the target split" in said


#: Networks of every kind that has such a form, and the largest rms distance from the fused answers
#: that clipped lines leave, as a share of how these deviate.
VARIANTS = (
    (Variant(irregular=True, layers=2), 0.02),
    (Variant(mode="no_gate", irregular=True, seed=1), 0.02),
    (Variant(backbone=(5, 4), activation="lecun_tanh", irregular=True, seed=2), 0.02),
    (Variant(backbone=(6,), activation="relu", seed=3), 0.02),
    (Variant(before="relu", after="tanh", seed=4), 0.02),
    (Variant(before="identity", after="clamp(-0.5,0.8)", readout=False, seed=5), 0.02),
    (Variant(before="abs", after="square", seed=6), 0.04),
    (Variant(before="sigmoid", after="sigmoid", seed=7), 0.05),
)


@pytest.mark.parametrize(
    ("variant", "share", "words"),
    [(*one, ("pre", "pre-vec")[n % 2]) for n, one in enumerate(VARIANTS)],
    ids=lambda one: str(one)[:60],
)
def test_clipped_lines_are_exact_but_for_rounding(
    variant: Variant, share: float, words: str
) -> None:
    x, elapsed = samples(variant, 4, 12)
    program = l2l.quantize(network(variant), x, "w8a12-hard", calibrate_timespans=elapsed)
    found = l2l.verify(program, x, "reference,blas", target=f"stock:{words}", timespans=elapsed)
    assert found.bit_exact, str(found)
    assert found.distance is not None and found.distance.rms <= share * found.distance.deviation
    check_shape(prepared(program, words))


@pytest.mark.parametrize("variant", [one for one, _ in VARIANTS[::3]], ids=str)
@pytest.mark.parametrize("words", ["fold", "fold-4-vec"])
def test_folded_forms_run_alike(variant: Variant, words: str) -> None:
    x, elapsed = samples(variant, 3, 8)
    program = l2l.quantize(network(variant), x, "w8a12", calibrate_timespans=elapsed)
    found = l2l.verify(program, x, "reference,blas", target=f"stock:{words}", timespans=elapsed)
    assert found.bit_exact and found.distance is not None
    assert found.distance.rms < 0.5 * found.distance.deviation
    check_shape(prepared(program, words))


def test_a_fold_takes_two_steps_and_a_product_before_three() -> None:
    program = l2l.quantize(random_network(0), random_samples(0, 2, 5, 3))
    assert prepared(program, "fold").steps_per_sample == 2
    assert prepared(program, "pre").steps_per_sample == 3


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (Variant(before="silu"), "before: its activation 'silu' has no form of rectifiers"),
        (Variant(mode="pure"), "layer_0: its neuron program 'cfc pure' has no form"),
        (Variant(family="gru"), "gated_0: its neuron program 'gru' has no form"),
    ],
    ids=str,
)
def test_refusals_name_the_population(variant: Variant, said: str) -> None:
    x, _ = samples(variant, 2, 6)
    program = l2l.quantize(network(variant), x)
    with pytest.raises(TargetError, match=said):
        prepared(program, "pre")


def test_profiles_say_whose_accuracy_it_is() -> None:
    program = l2l.quantize(random_network(0), random_samples(0, 2, 5, 3))
    x = random_samples(1, 2, 6, 3)
    wanted = l2l.simulate(program, x).outputs
    found = l2l.profile(
        program, x, against=(), frontier=False, target="stock", beside="fused", targets=wanted
    )
    own, fused = found.sides
    assert str(fused.accuracy) == "mse 0" and str(own.accuracy).startswith("mse ") and own.differ
    assert found.problems == ()
    assert any("which approximates the program" in text for text in found.subject.unproved)
    assert "against the program's answers" in found.summary()
