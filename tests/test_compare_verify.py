"""verify names every difference; compare says where and when float and integers part."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from networks import random_network, random_samples
from programs import Sizes, random_inputs, random_program

import lnn2loihi as l2l
from lnn2loihi.simulation.executor import EXECUTORS
from lnn2loihi.simulation.reference import run_reference
from lnn2loihi.simulation.result import IntegerRun


def _broken(program, inputs, initial_state, on_step=None) -> IntegerRun:
    """The reference with two wrong values."""
    run = run_reference(program, inputs, initial_state, on_step)
    states = {name: dict(words) for name, words in run.states.items()}
    wrong = states["layer_0"]["h"].copy()
    wrong[1, 4, 2] += 7
    wrong[0, 2, 3] -= 1
    states["layer_0"]["h"] = wrong
    return IntegerRun("broken 1.0", states)


def _same(program, inputs, initial_state, on_step=None) -> IntegerRun:
    run = run_reference(program, inputs, initial_state, on_step)
    return IntegerRun("same 1.0", run.states)


@pytest.fixture
def executors() -> Iterator[None]:
    added = {"broken": _broken, "same": _same}
    for name, executor in added.items():
        EXECUTORS.add(name, executor)
    yield
    for name in added:
        EXECUTORS.remove(name)


@pytest.mark.usefixtures("executors")
class TestVerify:
    def test_equal_runs_are_bit_exact_and_counted(self) -> None:
        program = random_program(1)
        x = random_inputs(1, program, 3, 7)
        result = l2l.verify(program, x, ("reference", "same"))
        neurons = sum(p.size for p in program.populations)
        assert result.bit_exact and result.mismatch_count == 0
        assert result.compared == 3 * 7 * neurons
        assert "BIT EXACT: 0 mismatches in" in result.summary()

    def test_a_difference_is_named_in_full(self) -> None:
        program = random_program(2)
        x = random_inputs(2, program, 3, 7)
        result = l2l.verify(program, x, ("reference", "same", "broken"))
        assert not result.bit_exact and result.mismatch_count == 2
        first, second = result.mismatches
        assert (first.step, first.sequence, first.neuron) == (2, 0, 3)
        assert (second.step, second.sequence, second.neuron) == (4, 1, 2)
        assert second.found - second.expected == 7
        assert str(second) == (
            f"broken 1.0: population layer_0, word h, neuron 2, step 4 of sequence 1: has "
            f"{second.found}, expected {second.expected}"
        )
        assert result.to_dict()["mismatches"][0]["population"] == "layer_0"

    def test_unknown_and_single_executors_are_refused_together(self) -> None:
        program = random_program(3)
        with pytest.raises(l2l.InputError) as raised:
            l2l.verify(program, random_inputs(3, program, 1, 2), ("loihi",))
        assert "'loihi' does not exist" in str(raised.value)
        assert "give at least two different ones" in str(raised.value)

    def test_a_missing_executor_names_those_that_are_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(*_, **__) -> IntegerRun:
            raise l2l.BackendMissingError("Lava", "pip install lava-nc==0.10.0")

        class Absent:
            run = staticmethod(missing)

            def reason_against(self, program: object) -> str:
                return "pip install lava-nc==0.10.0"

        monkeypatch.setattr(
            EXECUTORS, "names", lambda: ["reference", "blas", "c", "absent", "same"]
        )
        EXECUTORS.add("absent", Absent())
        program = random_program(3)
        try:
            with pytest.raises(l2l.BackendMissingError) as raised:
                l2l.verify(program, random_inputs(3, program, 1, 2), "reference,absent")
        finally:
            EXECUTORS.remove("absent")
        assert len(raised.value.problems) == 2
        install, there = raised.value.problems[0], raised.value.problems[-1]
        assert install.endswith("pip install lava-nc==0.10.0") and raised.value.exit_code == 3
        assert there == (
            "executors that are here: reference,blas,c,same; to compare those: lnn2loihi "
            "verify ... --executors reference,blas,c,same, or verify(program, x, "
            '"reference,blas,c,same")'
        )

    def test_progress_names_the_executor_and_ends_at_the_total(self) -> None:
        program = random_program(4, Sizes(layers=(2, 2, 2)))
        seen: list[tuple[str, int, int]] = []
        l2l.verify(
            program,
            random_inputs(4, program, 1, 5),
            ("reference", "same"),
            progress=lambda *step: seen.append(step),
        )
        assert seen[-1] == ("same", 9, 9) and seen[0] == ("reference", 1, 9)

    def test_the_initial_state_reaches_the_executors(self) -> None:
        program = random_program(5)
        x = random_inputs(5, program, 2, 3)
        start = {"layer_0": {"h": np.full(5, 1000)}}
        assert l2l.verify(program, x, ("reference", "same"), initial_state=start).bit_exact


class TestCompare:
    def test_errors_by_stage_and_step_and_the_worst(self) -> None:
        network, x = random_network(1), random_samples(1, 6, 15, 3)
        program = l2l.quantize(network, x)
        result = l2l.compare(network, program, x)
        assert [s.stage for s in result.stages] == ["input", "layer_0", "layer_1", "readout"]
        truth = network.evaluate(x)
        run = l2l.simulate(program, x)
        difference = run.outputs - truth.outputs
        output = result.output
        assert output.rms == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-12)
        assert output.largest == pytest.approx(np.abs(difference).max(), rel=1e-12)
        assert output.rms_by_step == pytest.approx(np.sqrt((difference**2).mean(axis=(0, 2))))
        variances = truth.outputs.var(axis=(0, 1))  # around the mean of each output
        errors = (difference**2).mean(axis=(0, 1))
        assert output.relative_mse == pytest.approx(errors.sum() / variances.sum())
        assert output.worst_unit == (variances / errors).argmin()
        assert output.worst_db == pytest.approx(10 * np.log10((variances / errors).min()))
        assert output.unchanging == 0
        assert len(result.worst) == 5
        assert abs(result.worst[0].difference) == pytest.approx(
            max(s.largest for s in result.stages[1:])
        )
        worst = result.worst[0]
        if worst.stage == "readout":
            place = worst.sequence, worst.step, worst.neuron
            assert worst.integer_value == run.outputs[place]
        assert "rms at step 14" in result.summary()

    def test_the_input_quantizer_is_part_of_the_picture(self) -> None:
        network, x = random_network(2), random_samples(2, 4, 10, 3)
        program = l2l.quantize(network, x, "w8a12x4")
        stage = l2l.compare(network, program, x).stages[0]
        assert stage.stage == "input"
        assert 0.0 < stage.largest <= program.input.format.step

    def test_a_program_of_other_weights_is_refused(self) -> None:
        x = random_samples(3, 4, 10, 3)
        program = l2l.quantize(random_network(3), x)
        for other in (random_network(4), random_network(3, timespan=0.5)):
            with pytest.raises(l2l.InputError, match="made of another network"):
                l2l.compare(other, program, x)

    def test_a_program_of_another_network_is_refused(self) -> None:
        x = random_samples(3, 4, 10, 3)
        program = l2l.quantize(random_network(3), x)
        other = random_network(3, inputs=4, layers=(6, 5))
        with pytest.raises(l2l.InputError) as raised:
            l2l.compare(other, program, x)
        assert "they are no pair" in str(raised.value)
        assert "the network has 4 inputs, the program 3" in str(raised.value)
