"""What a stock program approximates is said: when it is made, and where answers are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import random_network, random_samples
from variants import Variant, network, samples

import lnn2loihi as l2l
from lnn2loihi.errors import TargetError
from lnn2loihi.layers.linear import Linear
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.precision import POOR_DB, precision_of
from lnn2loihi.program import LoihiProgram
from lnn2loihi.targets import Target, target_of
from lnn2loihi.targets.stock.lines import LINES

TANH = [name for name, form in ACTIVATIONS.items() if not form.knot]


@pytest.fixture(scope="module")
def program() -> LoihiProgram:
    return l2l.quantize(random_network(0), random_samples(0, 2, 5, 3))


@pytest.fixture(scope="module")
def x() -> Any:
    return random_samples(1, 2, 6, 3)


def added(program: LoihiProgram, words: str) -> list[str]:
    """Warnings that preparing has added."""
    made = target_of(words).prepare(program)
    return [text for text in made.warnings if text not in program.warnings]


class TestWithoutData:
    def test_how_far_rectifiers_are_from_tanh(self, program: LoihiProgram) -> None:
        (said,) = added(program, "stock")
        assert said.startswith("layer_0, layer_1: tanh is a sum of 4 rectifiers here, at most 0.0")
        assert "stock:pre-8 has 8" in said
        assert not any("has 8" in one for one in added(program, "stock:pre-8"))

    @pytest.mark.parametrize("activation", TANH)
    def test_errors_are_those_of_a_finer_grid(self, activation: str) -> None:
        for lines in (one for every in LINES[activation].values() for one in every):
            unit = ACTIVATIONS[activation].unit / 2**lines.shift
            z = np.linspace(0, 9, 50_001)
            pairs = zip(lines.changes, lines.knots, strict=True)
            f = sum(c * (np.maximum(z * unit + t, 0) - np.maximum(z * unit - t, 0))
                    for c, t in pairs)  # fmt: skip
            wanted = np.abs((f - lines.largest) / 2**lines.full_bits - np.tanh(z)).max()
            assert lines.error(activation, unit) == pytest.approx(wanted, abs=1e-4)

    def test_clipped_lines_have_nothing_to_say(self) -> None:
        hard = l2l.quantize(random_network(0), random_samples(0, 2, 5, 3), "w8a12-hard")
        assert added(hard, "stock") == []

    def test_weights_in_whole_steps(self, program: LoihiProgram) -> None:
        first, *_ = added(program, "stock:fold-8")
        assert "layer_0: the form fold rounds weights to whole steps, which moves" in first
        assert "the form pre keeps weights as they are" in first
        assert not any("whole steps" in one for one in added(program, "stock:pre-8"))

    @pytest.mark.parametrize("words", ["stock", "stock:fold"])
    def test_placements_say_it(self, program: LoihiProgram, words: str) -> None:
        placed = l2l.place(program, target=words)
        assert "Warnings of the program:\n- layer_0, layer_1: tanh is a sum" in placed.summary()
        assert placed.to_dict()["warnings"] == list(placed.program.warnings)


class TestWithData:
    @pytest.mark.parametrize("words", ["stock:pre-8", "stock:fold"])
    def test_it_is_the_measure_of_quantize(self, program: LoihiProgram, x: Any, words: str) -> None:
        found = l2l.verify(program, x, "reference,blas", target=words)
        right = l2l.simulate(program, x).outputs
        own = l2l.simulate(target_of(words).prepare(program), x, "blas").outputs
        wanted = precision_of(right, own)
        assert found.distance is not None
        assert found.distance.worst_db == pytest.approx(wanted.worst_db)
        assert found.distance.worst_output == wanted.worst_unit
        assert wanted.worst_db is not None
        assert bool(found.warnings) == (wanted.worst_db < POOR_DB)
        assert found.to_dict()["warnings"] == list(found.warnings)
        for warning in found.warnings:
            assert f"warning: {warning}" in found.summary()

    def test_it_names_outputs_and_what_helps(self, program: LoihiProgram, x: Any) -> None:
        (said,) = l2l.verify(program, x, "reference,blas", target="stock:fold").warnings
        assert said.startswith("target stock:fold: the error is within 6.")
        assert "(outputs 0, 1 of 2 are within 15 dB), against the program's answers" in said
        assert "the form pre keeps weights as they are" in said and "target split" in said

    def test_profiles_say_it(self, program: LoihiProgram, x: Any) -> None:
        found = l2l.profile(
            program, x, against=(), frontier=False, target="stock:fold", beside="stock:pre-8"
        )
        fold, pre = found.sides
        assert "within 15 dB" in fold.warning and not pre.warning
        assert f"warning: {fold.warning}" in found.summary()

    def test_exact_targets_and_those_of_others(self, program: LoihiProgram, x: Any) -> None:
        assert l2l.verify(program, x, "reference,blas", target="split").warnings == ()
        fold = target_of("stock:fold")
        mine = Target("mine", passes=fold.passes, exact=False)
        (said,) = l2l.verify(program, x, "reference,blas", target=mine).warnings
        assert said.startswith("target mine: ") and said.endswith("the program's answers")


class TestOneProblem:
    """Refusals say what is in the way, and nothing that follows from it or has nothing to do with
    it.
    """

    def test_an_activation(self) -> None:
        variant = Variant(before="silu")
        program = l2l.quantize(network(variant), samples(variant, 2, 6)[0])
        with pytest.raises(TargetError) as error:
            target_of("stock").prepare(program)
        assert len(error.value.problems) == 1

    def test_programs_that_are_prepared_in_part(self) -> None:
        core = l2l.quantize(random_network(0), random_samples(0, 2, 5, 3))
        front = l2l.quantize(random_network(1, outputs=3), random_samples(0, 2, 5, 3))
        stock = target_of("stock")
        joined = l2l.join(stock.prepare(front), stock.prepare(core))
        with pytest.raises(TargetError) as error:
            stock.prepare(joined)
        assert "are Lava's own processes already" in error.value.problems[0]
        assert not any("'product' has no form" in one for one in error.value.problems)
        with pytest.raises(l2l.BackendMissingError, match="run each part by itself"):
            l2l.simulate(joined, random_samples(0, 2, 5, 3), "lava-stock")

    def test_what_reaches_too_far(self) -> None:
        program = l2l.quantize(changed(1.0, 400.0), random_samples(0, 2, 5, 3))
        with pytest.raises(TargetError) as error:
            target_of("stock").prepare(program)
        *_, helps = error.value.problems
        assert "another number of rectifiers may" in helps and "the form pre" not in helps


@pytest.mark.parametrize(("factor", "bias"), [(1e-5, 0.0), (1e-7, 0.0), (1.0, 3.0), (1.0, 12.0)])
@pytest.mark.parametrize("words", ["stock", "stock:pre-8-vec"])
def test_weights_and_biases_of_other_sizes(factor: float, bias: float, words: str) -> None:
    """Pre-activations near 0, whose multipliers are too fine for products, and such as are far from
    it, so that 0 is not among the messages.
    """
    x = random_samples(0, 2, 5, 3)
    program = l2l.quantize(changed(factor, bias), x)
    found = l2l.verify(program, x, "reference,blas", target=words)
    assert found.bit_exact
    assert found.distance is not None
    assert found.distance.largest <= max(0.1, 4 * float(program.output_population.scale.max()))


def changed(factor: float, bias: float) -> l2l.LiquidNetwork:
    """A network with weights times a factor, and with more in its biases, of which its time gate
    has none.
    """
    net = random_network(3, layers=(4,), outputs=0)
    layers = tuple(
        replace(
            layer,
            **{
                gate: Linear(
                    gate,
                    factor * getattr(layer, gate).weight,
                    factor * getattr(layer, gate).bias + bias * gate.startswith("ff"),
                )
                for gate in layer.gates
            },
        )  # fmt: skip
        for layer in net.layers
        if isinstance(layer, l2l.CfCLayer)
    )
    return l2l.LiquidNetwork(net.name, layers, None, 1.0)


class TestPreparedAlready:
    @pytest.mark.parametrize("words", ["stock", "stock:pre-8", "stock:fold-2-vec"])
    def test_it_is_left_as_it_is(self, program: LoihiProgram, words: str) -> None:
        made = target_of("stock").prepare(program)
        assert target_of(words).prepare(made) is made

    @pytest.mark.parametrize("target", ["split", "split_one", "split_graph", "fused"])
    def test_so_do_the_others(self, program: LoihiProgram, target: str) -> None:
        made = target_of(target).prepare(program)
        again = target_of(target).prepare(made)
        assert again is made or again == made

    def test_what_is_not_proved_follows_from_its_neurons(
        self, program: LoihiProgram, x: Any
    ) -> None:
        made = target_of("stock").prepare(program)
        unproved = target_of("stock").unproved
        for target in ("fused", "stock"):
            placed = l2l.place(made, target=target)
            assert placed.unproved == unproved
            assert unproved[2] in " ".join(placed.summary().split())
        found = l2l.profile(made, x, against=(), frontier=False)
        assert found.subject.unproved == unproved and unproved[2] in found.summary()
        assert unproved[2] not in l2l.place(program).summary()
