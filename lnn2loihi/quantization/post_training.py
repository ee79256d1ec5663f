"""Builds a LoihiProgram from a float network, calibration measurements and recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lnn2loihi.errors import (
    MalformedProgramError,
    Problems,
    ProgramError,
    QuantizationError,
)
from lnn2loihi.family import lowering_of
from lnn2loihi.formats import FixedPoint
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.graph.schedule import derive_schedule, matched_delays
from lnn2loihi.layers.stage import INPUT, Stage
from lnn2loihi.lowering import (
    Lowering,
    Measured,
    message_steps,
)
from lnn2loihi.network import FloatArray, LiquidNetwork
from lnn2loihi.neurons.dropping import share_of
from lnn2loihi.program import Connection, LoihiProgram, Population
from lnn2loihi.quantization.calibration import CalibrationRun, entering
from lnn2loihi.quantization.populations import made_population, no_program
from lnn2loihi.quantization.rounding import Gate, Sender, column_scales
from lnn2loihi.quantization.rows import QuantizedGate, quantize_rows, selecting_gate
from lnn2loihi.quantization.senders import (
    HEADROOM,
    Senders,
    connections_of,
    every_message,
    input_port,
)
from lnn2loihi.quantization.state_words import StateWord, words_of
from lnn2loihi.recipe import Recipes

#: Problems of a stage that an error lists.
PROBLEMS_LISTED = 10
#: Weights and biases of a stage that fails although all are below this are not too large.
LARGE = 2.0**7
#: Inputs beyond this are named as what may be too large, in place of weights.
LARGEST_USUAL_INPUT = 1e6


@dataclass(frozen=True)
class Scales:
    """Scales of a stage's weights that training has settled.

    Attributes:
        exponents: left shift of each source's connection.
        steps: for each gate the real value of one unit of each row's sum, (units,).
    """

    exponents: tuple[int, ...]
    steps: Mapping[str, FloatArray]


class Plan:
    """How a network becomes integers: formats, and for each stage what it hears.

    Formats follow from the calibration alone, so that they stay while weights are trained.

    Args:
        network: the float network.
        calibration: measurements on it, or on what it was before training.
        recipes: widths.

    Attributes:
        port: where samples enter.
        senders: what stages can hear.
        formats: format of each stage's message; None for readouts, whose rows decide.
        steps: real value of one unit of each unit's message, (units,), for all others.
    """

    def __init__(
        self, network: LiquidNetwork, calibration: CalibrationRun, recipes: Recipes
    ) -> None:
        self.network, self.calibration, self.recipes = network, calibration, recipes
        port, elapsed, source = input_port(network, calibration, recipes.common.input_bits)
        self.port = port
        self.senders = Senders(port, elapsed, {INPUT: source})
        self.formats: dict[str, FixedPoint | None] = {}
        self.steps: dict[str, FloatArray] = {}
        self._lowerings: dict[str, Lowering] = {}
        for stage in network.stages:
            heard = self._settled(stage)
            if heard is not None:
                self.senders.sources[stage.name] = heard

    def _settled(self, stage: Stage) -> Sender | None:
        """What others hear of a stage, whose format is settled; None for a readout."""
        lowering, recipe = lowering_of(stage), self.recipes.of(stage)
        if lowering.repeats:
            (source,) = stage.sources
            heard = self.senders.sources[source.name]
            self.formats[stage.name] = self.formats.get(source.name) or self.port.format
            self.steps[stage.name] = np.broadcast_to(heard.step, (stage.units,))
        else:
            form = lowering.message_format(stage, self._largest(stage), recipe)
            self.formats[stage.name] = form
            if form is None:
                return None
            self.steps[stage.name] = self._message_steps(stage, form)
            heard = every_message(stage, form, self.steps[stage.name])
        # Where a mask drops some, what is left is worth more, in training as on the chip.
        share = self.share(stage)
        return heard if share is None else replace(heard, step=heard.step / share)

    def share(self, stage: Stage) -> float | None:
        """The share of a stage's message that is sent in evaluation; None without dropout."""
        keep, form = self.calibration.keeps.get(stage.name), self.formats[stage.name]
        return None if keep is None or form is None else share_of(keep, form.bits)

    def _message_steps(self, stage: Stage, form: FixedPoint) -> FloatArray:
        """Real value of one unit of each unit's message."""
        values = self.calibration.messages(stage.name)

        def answers() -> FloatArray:
            return self.calibration.largest_of_units(self.calibration.live(values), form.bits)

        own, longest = lowering_of(stage), self.senders.longest if stage.timed else 0.0
        return message_steps(own, stage, form, answers, partial(self._largest_sum, stage), longest)

    def _largest(self, stage: Stage) -> float:
        """The magnitude that the format of a stage's message covers; where there is a bound,
        with some headroom as far as it goes. What is wired is not kept, and its format does not
        depend on the data.
        """
        if stage.selects:
            return self.calibration.bounds[stage.name]
        found = self._largest_answer(stage)
        return lowering_of(stage).covered(stage, found, partial(self._largest_sum, stage))

    def _largest_answer(self, stage: Stage) -> float:
        bits = self.recipes.of(stage).message_bits
        heard = [stage.name, *([stage.starts_from] if stage.starts_from else [])]
        found = max(
            self.calibration.largest(self.calibration.live(self.calibration.messages(name)), bits)
            for name in heard
        )
        bound = self.calibration.bounds[stage.name]
        return min((1.0 + HEADROOM) * found, bound) if np.isfinite(bound) else found

    def _answers(self, stage: Stage) -> FloatArray:
        """Smallest and largest answer of each unit, (2, units)."""
        values = self.calibration.live(self.calibration.result.states[stage.name])
        return np.stack([values.min(axis=0), values.max(axis=0)])

    def sources(self, stage: Stage) -> list[Sender]:
        """What a stage hears, in the order of its columns."""
        return [self.senders.sources[source.name] for source in stage.sources]

    def lowering(self, stage: Stage) -> Lowering:
        """How a stage becomes a population."""
        found = self._lowerings.get(stage.name)
        if found is not None:
            return found
        sources = self.sources(stage)
        largest_message = np.concatenate([source.reach for source in sources])
        memory = self.calibration.result.memory.get(stage.name, {})
        measured = Measured(
            self._largest(stage),
            self._answers(stage) if self.formats[stage.name] is None else None,
            {w: np.abs(self.calibration.live(v)).max(axis=0) for w, v in memory.items()},
            self.steps.get(stage.name, np.ones(stage.units)),
            {
                name: np.abs(gate.weight) @ largest_message + np.abs(gate.bias)
                for name, gate in stage.gates.items()
            },
            self.senders.elapsed if stage.timed else None,
            self.senders.longest if stage.timed else 0.0,
            column_scales(sources, (0,) * len(sources))[0],
            self._first_steps(stage),
            largest_message,
            {name: self._largest_sum(stage, name) for name in stage.calibrated},
        )
        with _named(stage):
            found = lowering_of(stage).lower(stage, measured, self.recipes.of(stage))
        self._lowerings[stage.name] = found
        return found

    def _first_steps(self, stage: Stage) -> FloatArray:
        """Real value of one unit of each column in the first step of a sample, and of what a
        memory starts from.
        """
        heard = [source.first or source.name for source in stage.sources]
        heard += [stage.starts_from] if stage.starts_from else []
        sources = [self.senders.sources[name] for name in heard]
        return column_scales(sources, (0,) * len(sources))[0]

    def _largest_sum(self, stage: Stage, gate: str) -> FloatArray:
        heard = entering(
            stage, self.calibration.inputs, self.calibration.result, self.network.substeps
        )
        inside = self.calibration.inside
        if inside is not None:
            heard = heard[inside[:, :: self.network.substeps if stage.once else 1]]
        sums = stage.gates[gate](heard)
        return np.abs(sums).max(axis=tuple(range(sums.ndim - 1)))

    def rows(
        self, stage: Stage, correction: str = "none", scales: Scales | None = None
    ) -> tuple[tuple[int, ...], list[QuantizedGate]]:
        """Exponents of a stage's connections and its integer rows; scales are searched for unless
        they are given.
        """
        lowering, sources = self.lowering(stage), self.sources(stage)
        units, offset = lowering.units, 0.0 if lowering.offset is None else lowering.offset
        steps = {} if scales is None else scales.steps
        gates = [
            Gate(
                name, gate.weight, gate.bias - offset, units.get(name, 1.0), name in stage.positive,
                steps.get(name, lowering.steps_of(name, stage.units)), name in lowering.held,
            )
            for name, gate in stage.gates.items()
        ]  # fmt: skip
        if stage.selects:
            return (0,) * len(sources), [selecting_gate(gate, sources) for gate in gates]
        return quantize_rows(
            gates, sources, self.calibration.moments[stage.name],
            self.recipes.of(stage).weight_bits, correction,
            None if scales is None else scales.exponents,
        )  # fmt: skip

    def state_words(self, program: LoihiProgram) -> tuple[StateWord, ...]:
        """The words of the program of this network that hold its states."""
        pairs = zip(self.network.stages, program.populations, strict=True)
        return tuple(
            word
            for stage, population in pairs
            for word in words_of(population, stage, self.lowering(stage).memory_steps)
        )

    def exponents(self) -> dict[str, tuple[int, ...]]:
        """The exponents of every stage's connections."""
        return {stage.name: self.rows(stage)[0] for stage in self.network.stages}

    def convert(
        self,
        provenance: Mapping[str, str],
        correction: str = "none",
        scales: Mapping[str, Scales] | None = None,
    ) -> LoihiProgram:
        """The integer program.

        Raises:
            QuantizationError: lists, by population and neuron, every row that does not fit, or
                what the chip's words do not hold. A FamilyError where a neuron program is none.
        """
        subject = f"network {self.network.name!r} with recipe {self.recipes}"
        try:
            return self._program(subject, provenance, correction, scales)
        except ProgramError as error:
            # Operations are nothing that a user has written, nor can they be looked up.
            found = [problem for problem in error.problems if "instruction " not in problem]
            if len(found) < len(error.problems):
                found.insert(0, f"{error.subject} needs shifts or constants that no word holds")
            said = [error.subject, *error.problems]
            names = [
                stage.name
                for stage in self.network.stages
                if any(text.startswith(f"{stage.name}: ") for text in said)
            ]
            found = [*found[:PROBLEMS_LISTED], self._advice(names)]
            raise QuantizationError(subject, found) from error
        except OverflowError as error:
            found = ["its answers to the calibration data are infinite", self._advice()]
            raise QuantizationError(subject, found) from error

    def _program(
        self,
        subject: str,
        provenance: Mapping[str, str],
        correction: str,
        scales: Mapping[str, Scales] | None,
    ) -> LoihiProgram:
        problems = Problems(QuantizationError, subject)
        populations: list[Population] = []
        connections: list[Connection] = []
        for stage in self.network.stages:
            settled = None if scales is None else scales[stage.name]
            chosen, rows = self.rows(stage, correction, settled)
            _collect(stage.name, rows, problems)
            fed = connections_of(
                stage, self.senders, rows, chosen, self.recipes.of(stage).weight_bits
            )
            lowering = self.lowering(stage)
            with _named(stage):
                populations.append(
                    made_population(
                        stage, lowering, rows, fed, self.sources(stage),
                        self.formats[stage.name], self.share(stage),
                    )
                )  # fmt: skip
            connections += fed
        problems.raise_if_any()
        names = [p.name for p in populations]
        wiring = matched_delays(INPUT, names, connections)
        return LoihiProgram(
            name=self.network.name,
            recipe=str(self.recipes),
            input=self.port,
            populations=tuple(populations),
            connections=wiring,
            output=names[-1],
            schedule=derive_schedule(INPUT, names, wiring),
            timed=self.senders.elapsed is not None,
            substeps=self.network.substeps,
            provenance=read_only_mapping(provenance),
        )

    def _advice(self, names: Sequence[str] = ()) -> str:
        """What to do about formats of neuron programs that the chip's words do not hold.

        Args:
            names: the stages that they belong to, as far as that is known.
        """
        own = (getattr(stage, "timespan", None) or 0.0 for stage in self.network.stages)
        longest = max(*own, self.senders.longest, 0.0)
        if longest > 1.0:
            return (
                f"elapsed times, up to {longest:g}, may be too large for the chip's words; count "
                "time in a larger unit: divide the times, and multiply the weights that they meet"
            )
        failed = {s.name: _largest_term(s) for s in self.network.stages if s.name in names}
        if failed and max(failed.values()) < LARGE:
            sizes = ", ".join(f"{name} (at most {size:.2g})" for name, size in failed.items())
            return (
                f"weights and biases of {sizes} are too small, or too far apart, for the chip's "
                "words; train anew with larger ones, or set to zero what is as good as zero"
            )
        inputs = self.senders.largest_input
        if inputs > LARGEST_USUAL_INPUT:
            return (
                f"inputs of up to {inputs:.3g} may be too large for the chip's words; give them in "
                "a larger unit, or import the module with its normalisation"
            )
        return "weights are too large for the chip's words; retrain with smaller ones"


def _collect(stage: str, rows: Sequence[QuantizedGate], problems: Problems) -> None:
    found = [f"{stage}: {problem}" for row in rows for problem in row.problems]
    problems.extend(found[:PROBLEMS_LISTED])
    if len(found) > PROBLEMS_LISTED:
        problems.add(f"{stage}: {len(found) - PROBLEMS_LISTED} more rows that do not fit")


@contextmanager
def _named(stage: Stage) -> Iterator[None]:
    """Errors about a neuron program name the stage: programs do not know whose they are."""
    try:
        yield
    except MalformedProgramError as error:
        raise no_program(stage, error.problems, f": {error.subject}") from error
    except ProgramError as error:
        raise ProgramError(f"{stage.name}: {error.subject}", error.problems) from error


def _largest_term(stage: Stage) -> float:
    """The largest weight or bias of a stage, absolute."""
    terms = [term for gate in stage.gates.values() for term in (gate.weight, gate.bias)]
    return max((float(np.abs(term).max()) for term in terms if term.size), default=0.0)
