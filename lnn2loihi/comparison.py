"""Compares a float network with its integer program: where, when and how much they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.dropping import relayed_as
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.frozen import ContentEquality
from lnn2loihi.network import FloatArray, FloatResult, LiquidNetwork
from lnn2loihi.precision import precision_of, worst_text
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.verb import network_hash
from lnn2loihi.sequences import Sequences
from lnn2loihi.showing import Brief, Drawn, Said, Shown, Table
from lnn2loihi.simulation import encode, simulate
from lnn2loihi.simulation.inputs import decoded, given
from lnn2loihi.simulation.result import (
    OnStep,
    SimulationResult,
    clipped_text,
    saturation_text,
)
from lnn2loihi.tables import decibel
from lnn2loihi.targets import Target, target_of

WORST = 5
#: Steps that the summary prints; all of them are in `rms_by_step`.
PRINTED_STEPS = 8


@dataclass(frozen=True, eq=False)
class StageError(ContentEquality):
    """Difference of one stage.

    Attributes:
        stage: name of the input port or of a population.
        values: number of values compared.
        rms: root of the mean squared difference.
        largest: largest difference.
        relative_mse: mean squared difference over the variance of the float values around the
            mean of each unit; None where that is zero.
        signal_to_noise_db: 10 log10 of that variance over the mean squared difference; None where
            either is zero.
        worst_db: the same of the unit with the least signal to noise; None where nothing moves or
            nothing differs.
        worst_unit: which one that is; None where there is none.
        unchanging: units that never change in integers although the float units do.
        rms_by_step: rms of each sample step over the sequences that have it, and over neurons,
            float64 (time of the longest sequence,).
    """

    stage: str
    values: int
    rms: float
    largest: float
    relative_mse: float | None
    signal_to_noise_db: float | None
    worst_db: float | None
    worst_unit: int | None
    unchanging: int
    rms_by_step: FloatArray


@dataclass(frozen=True)
class Deviation(Brief):
    """One of the largest differences: where, and both values."""

    stage: str
    neuron: int
    sequence: int
    step: int
    float_value: float
    integer_value: float

    @property
    def difference(self) -> float:
        """Integer minus float value."""
        return self.integer_value - self.float_value


@dataclass(frozen=True)
class ComparisonResult(Drawn, Shown):
    """What `compare` found.

    Attributes:
        stages: the input, every layer and the readout, in order.
        worst: the largest differences of all layers and the readout, largest first.
        saturated: input values outside the calibrated range.
        executor: which executor ran the integers.
        saturated_words: how often `population.word` saturated (see SimulationResult); only words
            that did. None where the executor did not count.
        incomparable: why only the answers are compared; empty where all stages are.
        input_values: input values of all samples, elapsed times among them; 0 where nobody knows.
    """

    stages: tuple[StageError, ...]
    worst: tuple[Deviation, ...]
    saturated: int
    executor: str
    saturated_words: Mapping[str, int] | None = None
    incomparable: str = ""
    input_values: int = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the comparison say less, a sentence each."""
        clipped = clipped_text(self.saturated, self.input_values)
        return (clipped,) if clipped else ()

    @property
    def output(self) -> StageError:
        """The last stage."""
        return self.stages[-1]

    def _headline(self) -> str:
        answer, noise = self.output, decibel(self.output.worst_db) or "unknown"
        return (
            f"{len(self.stages)} stages, answer: worst signal to noise {noise}, rms "
            f"{answer.rms:.3g}, {self.saturated:,} inputs clipped, {self.executor}"
        )

    def _shown(self) -> list[Said]:
        """The result as text."""
        time = self.stages[0].rms_by_step.size
        shown = sorted({round(i) for i in np.linspace(0, time - 1, min(PRINTED_STEPS, time))})
        headers = ("stage", "values", "rms", "largest", "relative MSE", "signal/noise",
                   "worst unit", "never change",
                   *(f"rms at step {step}" for step in shown))  # fmt: skip
        rows = [
            (s.stage, s.values, s.rms, s.largest, s.relative_mse, decibel(s.signal_to_noise_db),
             worst_text(s.worst_db, s.worst_unit), s.unchanging,
             *(float(s.rms_by_step[step]) for step in shown))
            for s in self.stages
        ]  # fmt: skip
        worst_headers = ("worst", "neuron", "sequence", "step", "float", "integer", "difference")
        worst_rows = [
            (d.stage, d.neuron, d.sequence, d.step, d.float_value, d.integer_value, d.difference)
            for d in self.worst
        ]
        return [
            f"float network against integers ({self.executor}); input values outside the "
            f"calibrated range: {self.saturated:,}; {saturation_text(self.saturated_words)}",
            *(f"warning: {warning}" for warning in self.warnings),
            *([self.incomparable] if self.incomparable else []),
            Table(headers, rows),
            "",
            Table(worst_headers, worst_rows),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values."""
        return {
            "stages": [
                {**vars(stage), "rms_by_step": stage.rms_by_step.tolist()} for stage in self.stages
            ],
            "worst": [{**vars(d), "difference": d.difference} for d in self.worst],
            "saturated": self.saturated,
            "input_values": self.input_values,
            "warnings": list(self.warnings),
            "saturated_words": None if self.saturated_words is None else dict(self.saturated_words),
            "executor": self.executor,
            "incomparable": self.incomparable,
        }


@checks_kinds()
def compare(
    network: LiquidNetwork,
    program: LoihiProgram,
    x: npt.ArrayLike,
    *,
    target: str | Target = DEFAULT_TARGET,
    lengths: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    encoded: bool = False,
    progress: OnStep | None = None,
) -> ComparisonResult:
    """Compares float and integers, stage by stage and step by step.

    Args:
        network: the float network that the program was made of.
        program: the integer program, or what a target has prepared of it. Where its populations
            are no longer the network's stages, as those of `stock`, the answers alone are compared,
            and `ComparisonResult.incomparable` says so.
        target: what to prepare it for first.
        x: (batch, time, inputs), or a list of sequences (time, inputs).
        lengths: samples of each sequence, (batch,); all of them by default. What stands beyond
            counts nowhere.
        timespans: elapsed times, (batch, time), where time is irregular.
        encoded: whether x (and timespans) holds encoded messages, as for `simulate`; the float
            network hears what they stand for.
        progress: called with the chip steps done and the chip steps in all, for progress bars.

    Raises:
        InputError: x does not fit, or the program was not made of this network.
        TargetError: the target cannot prepare the program.
    """
    network = relayed_as(network, [p.name for p in program.populations])
    if not _was_prepared(network, program):
        check_pair(network, program)
    program = target_of(target).prepare(program)
    given_data = given(program, x, lengths, timespans, encoded).trimmed()
    data = decoded(program, given_data).floats(f"network {network.name!r}")
    options: dict[str, Any] = {"lengths": data.given_lengths, "timespans": data.timespans}
    truth = network.evaluate(data.x, **options)
    own: dict[str, Any] = options | {"timespans": given_data.timespans, "encoded": encoded}
    run = simulate(program, given_data.x, return_states=True, progress=progress, **own)
    heard = program.input.decode(encode(program, given_data.x, **own)[0])
    return compared_run(program, data, heard, truth, run)


def compared_run(
    program: LoihiProgram,
    data: Sequences,
    heard: FloatArray,
    truth: FloatResult,
    run: SimulationResult,
) -> ComparisonResult:
    """What `compare` says of two runs.

    Args:
        program: the program.
        data: samples in float64.
        heard: what the program heard of them, decoded, (batch, time, channels and elapsed time).
        truth: what the float network answered.
        run: what the program answered, with all states.
    """
    assert run.states is not None
    pairs: dict[str, tuple[FloatArray, FloatArray]] = {
        program.input.name: (data.x, heard[..., : program.channels])
    }
    incomparable = ""
    if not _has_stages(truth.states, program):
        incomparable = (
            "stages are not comparable, only the answers are: the program was prepared for other "
            f"neurons, {len(program.populations)} populations for {len(truth.states)} stages"
        )
    for population in () if incomparable else program.populations:
        integers = run.states[population.name][population.program.message_state or "message"]
        expected = truth.states[population.name]
        pairs[population.name] = (expected, population.decode(integers))
    if incomparable:
        pairs[program.output] = truth.outputs, run.outputs
    stages = tuple(_stage_error(name, *pair, data) for name, pair in pairs.items())
    del pairs[program.input.name]
    return ComparisonResult(
        stages,
        _worst(pairs, data),
        run.saturated_inputs,
        run.executor,
        run.saturations,
        incomparable,
        run.input_values,
    )


def _has_stages(states: Mapping[str, FloatArray], program: LoihiProgram) -> bool:
    """Whether the populations are the stages of the float network."""
    return {p.name: p.size for p in program.populations} == {
        name: values.shape[2] for name, values in states.items()
    }


def _was_prepared(network: LiquidNetwork, program: LoihiProgram) -> bool:
    """Whether a program of other populations was made of this network: it says so itself."""
    stages = {stage.name: stage.units for stage in network.stages}
    return (
        stages != {p.name: p.size for p in program.populations}
        and network.input_size == program.channels
        and network.output_size == program.output_population.size
        and program.provenance.get("network") == network_hash(network)
    )


def check_pair(network: LiquidNetwork, program: LoihiProgram) -> None:
    """Refuses a network that a program was not made of.

    Raises:
        InputError: lists what does not fit.
    """
    problems = Problems(InputError, f"program {program.name!r} and network {network.name!r}")
    network = relayed_as(network, [p.name for p in program.populations])
    expected = {stage.name: stage.units for stage in network.stages}
    found = {p.name: p.size for p in program.populations}
    if expected != found:
        problems.add(f"the network has stages {expected}, the program {found}; they are no pair")
    if network.input_size != program.channels:
        problems.add(f"the network has {network.input_size} inputs, the program {program.channels}")
    made_of = program.provenance.get("network")
    if not problems and made_of is not None and made_of != network_hash(network):
        problems.add(_other_weights(network, program))
    problems.raise_if_any()


def _other_weights(network: LiquidNetwork, program: LoihiProgram) -> str:
    """What is to be said of a network of the same sizes that the program was not made of."""
    own, origin = network.source.get("sha256"), program.provenance.get("source.sha256")
    if own is None or own != origin:
        return (
            "the sizes fit, but the program was made of another network (other weights or another "
            "timespan); quantize this one, or compare with the one that the program was made of"
        )
    file = program.provenance.get("source.file", "file")
    return (
        f"both come from the same {file}, but the program was made of another network: it was "
        "trained for the chip after that file was read (lnn2loihi.qat), as the programs of models/ "
        "are, or the file was read with another timespan. The float weights after such training "
        "are not in the program. profile and simulate take the program alone (no --network); give "
        "the one that training returned (TrainableNetwork.network()); or quantize this one and "
        "take that program: lnn2loihi quantize NETWORK --calibrate SAMPLES --recipe "
        f"{program.recipe} --output OTHER.l2l"
    )


def _stage_error(
    name: str, expected: FloatArray, actual: FloatArray, data: Sequences
) -> StageError:
    """The error before the ends of the sequences."""
    by_step = np.where(data.inside[..., None], (actual - expected) ** 2, 0.0).sum(axis=(0, 2))
    by_step /= np.count_nonzero(data.inside, axis=0) * expected.shape[2]
    expected, actual = data.live(expected), data.live(actual)
    squared = (actual - expected) ** 2
    mean = float(squared.mean())
    precision = precision_of(expected, actual)
    return StageError(
        stage=name,
        values=int(expected.size),
        rms=mean**0.5,
        largest=float(squared.max()) ** 0.5,
        relative_mse=precision.relative_error,
        signal_to_noise_db=precision.overall_db,
        worst_db=precision.worst_db,
        worst_unit=precision.worst_unit,
        unchanging=int(precision.unchanging.size),
        rms_by_step=np.sqrt(by_step),
    )


def _worst(
    pairs: Mapping[str, tuple[FloatArray, FloatArray]], data: Sequences
) -> tuple[Deviation, ...]:
    found: list[Deviation] = []
    for stage, (expected, actual) in pairs.items():
        difference = np.where(data.inside[..., None], np.abs(actual - expected), -1.0)
        for flat in np.argsort(difference, axis=None)[-WORST:]:
            if difference.flat[flat] < 0.0:
                continue  # beyond the end of its sequence
            b, t, n = np.unravel_index(flat, difference.shape)
            place = int(n), int(b), int(t)
            found.append(Deviation(stage, *place, float(expected[b, t, n]), float(actual[b, t, n])))
    found.sort(key=lambda deviation: -abs(deviation.difference))
    return tuple(found[:WORST])
