"""Names losses of precision that the user did not ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lnn2loihi.family import lowering_of
from lnn2loihi.formats import IntegerArray
from lnn2loihi.layers.stage import Stage
from lnn2loihi.network import FloatArray, LiquidNetwork
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.precision import POOR_DB, Precision, poor_text, precision_of, units_text
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.calibration import CalibrationRun, entering
from lnn2loihi.quantization.measurements import is_silent, live_bits_used, weighted
from lnn2loihi.quantization.moments import SMALL_PART
from lnn2loihi.recipe import Recipe, Recipes
from lnn2loihi.simulation.result import SimulationResult

#: An input channel that spans fewer steps of its own format than this is called coarse.
COARSE_STEPS = 32
#: A clipped line in place of a tanh that was trained is named from this on, in decibels: errors of
#: 3 % of how an output varies.
CLIPPED_DB = 30.0
#: Widths of messages that are proposed where accumulators take weight bits.
NARROWER = (14, 12, 10, 8)
#: Weight bits that the accumulator's bound may take before it is said.
TAKEN_BITS = 1.0
#: A unit is called clipped, and a gate saturated, from these shares of the samples on.
CLIPPED_SHARE, SATURATED_SHARE = 0.01, 0.99
#: Where the logistic function is a thousandth from its ends.
SATURATED_SUM = 6.9


#: What to do about an outlier.
LEAVE_OUT = "if it is a broken sample, remove it, or calibrate with ranges='percentile'"


def outlier_warnings(calibration: CalibrationRun) -> list[str]:
    """A sentence for each channel with values that lie far outside all others."""
    robust = calibration.ranges != "range"
    done = "ranges leave it out, and such values saturate"
    return [f"{found}; {done if robust else LEAVE_OUT}" for found in calibration.outliers]


@dataclass(frozen=True)
class Judged:
    """A program beside what it was made of.

    Attributes:
        network: the float network.
        program: the quantized program.
        calibration: data that it was calibrated with, and the float network's answers.
        run: the program on them, with states.
        recipes: widths.
        trained: whether the program comes out of training with the chip's arithmetic. Its weights
            have learnt to be rounded, and what they were before nobody has trained: the error
            against that says nothing about the answer.
        helps: names a recipe that brings the worst output above POOR_DB, with its decibels; None
            where there is none.
    """

    network: LiquidNetwork
    program: LoihiProgram
    calibration: CalibrationRun
    run: SimulationResult
    recipes: Recipes
    trained: bool
    helps: Callable[[], tuple[str, float] | None]

    def values(self, name: str) -> tuple[FloatArray, IntegerArray]:
        """What a stage answers in floats and in integers that count, (all, units) each."""
        assert self.run.states is not None
        population = self.program.population(name)
        integers = self.run.states[name][population.program.message_state or "message"]
        live = self.calibration.live
        answers = self.calibration.result.every(self.program.substeps).states
        return live(answers[name]), live(integers)

    def precision(self, name: str) -> Precision:
        """How well the integers of a stage follow the floats."""
        truth, integers = self.values(name)
        return precision_of(truth, self.program.population(name).decode(integers))

    @cached_property
    def answer(self) -> Precision:
        """How well the integers answer."""
        return self.precision(self.program.output)

    @cached_property
    def suffers(self) -> bool:
        """Whether an output is so poor that what stages lose on the way matters."""
        worst = self.answer.worst_db
        return worst is not None and worst < POOR_DB


def precision_warnings(judged: Judged, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each loss, with what to do.

    Args:
        judged: the program, and what it was made of.
        rows: its summary table.
    """
    found = _input_warnings(judged.program, judged.calibration)
    for row, stage in zip(rows[1:], judged.network.stages, strict=True):
        connections = weighted(judged.program, row["stage"])
        asked = max(c.mantissa_bits for c in connections)
        # What all exponents have in common the mantissas could have, with the same sums: that the
        # coarser ones made the smaller error is no bit that the accumulator takes.
        used = live_bits_used(connections)
        if used is None or _of_one_size(stage):
            continue
        left = min(used + min(c.exponent for c in connections), asked)
        if asked - left > TAKEN_BITS:
            found.append(
                f"{row['stage']}: the 24-bit accumulator leaves {left:.1f} of {asked} weight bits; "
                f"{_narrower(judged.recipes.of(stage))}"
            )
    return found + _clipped_warnings(judged) + _answer_warnings(judged)


def _clipped_warnings(judged: Judged) -> list[str]:
    """A sentence where clipped lines stand for tanh and the logistic function, which the network
    was not trained with, and the answer is far from what it was.
    """
    forms = {s.name: ACTIVATIONS[judged.recipes.of(s).activation] for s in judged.network.stages}
    clipped = {
        name: form for name, form in forms.items() if form.knot and _uses(judged.program, name)
    }
    worst = judged.answer.worst_db
    if judged.trained or not clipped or worst is None or worst >= CLIPPED_DB:
        return []
    form = next(iter(clipped.values()))
    recipe = judged.recipes.common
    return [
        f"{', '.join(clipped)}: clamp(x / {form.knot:g}, -1, 1) stands for tanh here (form "
        f"{form.name!r}), and so for the logistic function, which this network was not trained "
        f"with: the error is within {worst:.1f} dB of how output {judged.answer.worst_unit} varies "
        f"on the calibration data; train with it (lnn2loihi.qat.prepare, recipe {str(recipe)!r}), "
        f"or use the form {next(iter(ACTIVATIONS))!r}"
    ]


def _uses(program: LoihiProgram, name: str) -> bool:
    """Whether the neurons of a population compute a tanh."""
    made = (i.result.rpartition(".")[2] for i in program.population(name).program.instructions)
    return any(word.rstrip("0123456789") == "tanh" for word in made)


def _narrower(recipe: Recipe) -> str:
    """What leaves an accumulator more room than this recipe does."""
    bits = recipe.message_bits
    narrower = [f"w{recipe.weight_bits}a{b}" for b in NARROWER if b < bits][:2]
    if not narrower:
        return "smaller weights leave more: train on with weight decay"
    return f"narrower messages or inputs leave more ({', '.join(narrower)})"


def _answer_warnings(judged: Judged) -> list[str]:
    """A sentence for the outputs whose error is close to their variation, and one for each stage
    before with units of which that is true.

    What a stage loses on its way counts where the answer suffers, and nowhere else.
    """
    name, answer = judged.program.output, judged.answer
    if judged.trained or not judged.suffers:
        return []
    helped = judged.helps()
    found = [
        f"{name}: {poor_text(answer, 'output', ' on the calibration data')}; {_remedy(helped)}"
    ]
    for stage in judged.network.stages[:-1]:
        if is_silent(judged.values(stage.name)[0], judged.program.population(stage.name)):
            continue
        own = judged.precision(stage.name)
        if own.poor.size:
            found.append(
                f"{stage.name}: {poor_text(own, 'unit')}, and the answer suffers; a wider recipe "
                "for this layer alone may do (layers=)"
            )
    return found


def _remedy(helped: tuple[str, float] | None) -> str:
    trained = "train with the chip's arithmetic (lnn2loihi.qat)"
    if helped is None:
        return f"no wider recipe brings it above that: {trained}, or standardise the inputs"
    recipe, decibels = helped
    return f"recipe {recipe!r} brings its worst output to {decibels:.1f} dB, or {trained}"


def unit_warnings(judged: Judged) -> list[str]:
    """A sentence for each stage with units that integers cut short, with what to do.

    Silent: the float units of a stage say nothing that a message could hold. Dead: the integers
    never change where the float unit does, and the answer suffers. Clipped: a calibrated message
    stands at an end of its format. Saturated: a gate is at an end of its logistic function, in the
    float network too.
    """
    found: list[str] = []
    for stage in judged.network.stages:
        population = judged.program.population(stage.name)
        floats, integers = judged.values(stage.name)
        silent = is_silent(floats, population)
        if silent:
            reached = np.abs(population.decode(integers)).max()
            found.append(
                f"{stage.name}: the float units stay within {np.abs(floats).max():.2g} of 0 on the "
                f"calibration data, less than half a step ({population.scale.max():.2g}) of their "
                f"messages, and the integers within {reached:.2g}: there is no signal that an "
                "error could be compared with; look for gates that let nothing through and for "
                "weights near 0"
            )
        lost = judged.suffers and not judged.trained
        if not silent and (lost or stage.name == judged.program.output):
            found += _dead_units(stage.name, judged.precision(stage.name).unchanging)
        ends = integers >= population.message_high
        if population.message_low < 0:  # else it is an end of the function, not of the format
            ends |= integers <= population.message_low
        clipped = np.flatnonzero(ends.mean(axis=0) > CLIPPED_SHARE)
        if clipped.size and lowering_of(stage).may_clip(stage):
            found.append(
                f"{stage.name}: units {units_text(clipped)} stand at an end of their format in "
                f"more than {100 * CLIPPED_SHARE:g} % of the samples; calibrate with "
                "ranges='range', or give the layer more bits"
            )
        elapsed = judged.calibration.elapsed_range if stage.timed else None
        longest = 0.0 if elapsed is None else elapsed[1]
        found += lowering_of(stage).cautions(stage, np.abs(floats).max(axis=0), longest)
        found += _gate_warnings(stage, judged.calibration, judged.network.substeps)
    return found


def _dead_units(stage: str, dead: np.ndarray) -> list[str]:
    if not dead.size:
        return []
    return [
        f"{stage}: units {units_text(dead)} never change although the float units do; their "
        "messages are too narrow for what they say: give the layer more bits"
    ]


def _gate_warnings(stage: Stage, calibration: CalibrationRun, substeps: int) -> list[str]:
    """A sentence for each gate that is saturated in some units, however many these are."""
    found: list[str] = []
    for gate, (shut, opened) in _saturated_shares(stage, calibration, substeps).items():
        saturated = shut + opened > SATURATED_SHARE
        ends = {"0": shut > SATURATED_SHARE, "1": opened > SATURATED_SHARE}
        ends["either end"] = saturated & ~ends["0"] & ~ends["1"]
        where = [
            f"at {end} in {np.count_nonzero(units)} of {stage.units} units "
            f"({units_text(np.flatnonzero(units))})"
            for end, units in ends.items()
            if units.any()
        ]
        if where:
            # Rounded down: "at least" must stay true.
            share = np.floor(1000 * (shut + opened)[saturated].min()) / 10
            found.append(
                f"{stage.name}: {gate} is saturated in at least {share:g} % of the samples, in the "
                f"float network too: {', '.join(where)}; there it is a constant or a switch. If "
                "that is not meant, standardise the inputs, or train on with weight decay"
            )
    return found


def _saturated_shares(
    stage: Stage, calibration: CalibrationRun, substeps: int
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """For each gate with a logistic function the shares of the steps in which it is at 0 and at
    1, (units,) each.
    """
    if not stage.logistic:
        return {}
    batch, steps = calibration.inputs.shape[:2]
    at_ends = {gate: np.zeros((2, stage.units), np.int64) for gate in stage.logistic}
    seen, inside = 0, calibration.inside
    at_once = max(SMALL_PART // (max(stage.columns, stage.units) * steps), 1)
    for begin in range(0, batch, at_once):
        part = slice(begin, begin + at_once)
        z = entering(stage, calibration.inputs[part], calibration.result.sequences(part), substeps)
        elapsed = None
        if stage.timed:
            assert calibration.timespans is not None
            elapsed = np.repeat(calibration.timespans[part], substeps, axis=1)[..., None]
        live = np.ones(z.shape[:2], bool)
        if inside is not None:
            live = inside[part, :: substeps if stage.once else 1]
        seen += int(np.count_nonzero(live))
        for gate, argument in stage.logistic_arguments(stage.asked_sums(z), elapsed).items():
            at_ends[gate][0] += np.count_nonzero(argument[live] < -SATURATED_SUM, axis=0)
            at_ends[gate][1] += np.count_nonzero(argument[live] > SATURATED_SUM, axis=0)
    return {gate: (counts[0] / seen, counts[1] / seen) for gate, counts in at_ends.items()}


def _of_one_size(stage: Stage) -> bool:
    """Whether all weights are as large as each other, such as those of sums and differences: any
    mantissa says them exactly.
    """
    sizes = [np.abs(gate.weight[gate.weight != 0.0]) for gate in stage.gates.values()]
    return all(bool((own == own[0]).all()) for own in sizes if own.size)


def _input_warnings(program: LoihiProgram, calibration: CalibrationRun) -> list[str]:
    spans = calibration.input_high - calibration.input_low
    steps = (program.input.high - program.input.low)[: program.channels]
    constant = np.flatnonzero(spans == 0)
    coarse = np.flatnonzero((spans > 0) & (steps < COARSE_STEPS))
    found: list[str] = []
    if constant.size:
        found.append(
            f"input channels {units_text(constant)} are constant in the calibration data: any "
            "other value will saturate; calibrate with data that vary"
        )
    ends = calibration.elapsed_range
    if ends is not None and ends[0] == ends[1]:
        found.append(
            f"the elapsed time is {ends[0]:g} in all calibration data: every other one will be "
            "told as this one; calibrate with elapsed times that vary, or give the network this "
            "one as its timespan"
        )
    if coarse.size:
        found.append(
            f"input channels {units_text(coarse)} span fewer than {COARSE_STEPS} steps of their "
            "formats, since they vary little around a large value: subtract it (standardise the "
            "channels in front of the network) or give inputs more bits"
        )
    return found
