"""How the stages of an LTC become populations.

Conductances are normalised neuron by neuron: a membrane's program divides two sums, so that a
common factor of both is free, and with the largest possible denominator as the unit all neurons
use the bits of their words.
"""

from __future__ import annotations

import math

import numpy as np

from lnn2loihi.errors import Problems, QuantizationError
from lnn2loihi.families.ltc.layer import (
    CONDUCTANCE,
    CURRENT,
    POTENTIAL,
    MembraneStage,
)
from lnn2loihi.families.ltc.neuron import (
    POTENTIAL_BITS,
    MembraneFormats,
    membrane_program,
    synapse_program,
)
from lnn2loihi.families.ltc.synapses import SOURCE, SynapseStage
from lnn2loihi.formats import FixedPoint, IntegerArray, signed_range
from lnn2loihi.layers.linear import FloatArray
from lnn2loihi.lowering import Lowering, Measured, StageLowering
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.phase import PHASE
from lnn2loihi.neurons.reciprocal import FRACTION_BITS, LARGEST_BITS, Reciprocal
from lnn2loihi.recipe import Recipe

#: The largest sums that weights allow stand for this share of a 16-bit operand: rows are rounded.
FULL = 1.0 - 2.0**-7
#: What rounding may take from the smallest denominator, in units of its last place.
SLACK = 4
#: Largest pre-activation of a synapse in steps; steeper ones are made less steep about their
#: middle. The logistic function is at its ends long before.
STEEPEST = 1 << 21
LARGEST_OPERAND = signed_range(POTENTIAL_BITS)[1]


class SynapseLowering(StageLowering[SynapseStage]):
    """How far a synapse is open."""

    bounded = True

    def message_low(self, stage: SynapseStage, message: FixedPoint) -> int:
        """See `StageLowering`."""
        return 0

    def lower(self, stage: SynapseStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        unit = ACTIVATIONS[recipe.activation].unit / 2  # of tanh of half the pre-activation
        column = stage.gates[SOURCE].weight.argmax(axis=1)
        step, reach = measured.steps[column], measured.largest_heard[column]
        tiny = np.finfo(np.float64).tiny
        steepness = np.maximum(np.abs(stage.slope) * reach, np.abs(stage.offset)) * unit
        factor = unit * np.minimum(1.0, STEEPEST / np.maximum(steepness, tiny))
        slope = stage.slope * step * factor
        first_slope = stage.slope * measured.first_steps[column] * factor
        steepest = float(np.maximum(np.abs(slope), np.abs(first_slope)).max())
        shift = int(np.floor(np.log2(LARGEST_OPERAND / max(steepest, 2.0**-16))))
        shift = max(min(shift, FRACTION_BITS + 8), 0)
        parameters = {
            "slope": _integers(slope * 2.0**shift),
            "offset": _integers(stage.offset * factor),
        }
        updates = 1
        if any(source.first for source in stage.sources):
            updates = stage.unfolds
            parameters["first_slope"] = _integers(first_slope * 2.0**shift)
        return Lowering(
            {},
            self.message(stage, 0.0, recipe),
            lambda shifts: synapse_program(shift, recipe.message_bits, recipe.activation, updates),
            states=(PHASE,) if updates > 1 else (),
            parameters=parameters,
        )


class MembraneLowering(StageLowering[MembraneStage]):
    """A membrane: a quotient of two sums."""

    def may_clip(self, stage: MembraneStage) -> bool:
        """See `StageLowering`; the format covers the potentials' own bound."""
        return False

    def lower(self, stage: MembraneStage, measured: Measured, recipe: Recipe) -> Lowering:
        """See `StageLowering`."""
        message = self.message(stage, measured.largest_answer, recipe)
        kept = stage.capacitance * stage.unfolds
        conductance = measured.reach[CONDUCTANCE]
        scale = 0
        if measured.elapsed is None:
            assert stage.timespan is not None
            _refuse_without_time(stage, stage.timespan)
            kept = kept / stage.timespan
            full = (conductance + kept) / FULL
        else:
            full = conductance / FULL
            _refuse_without_time(stage, measured.longest)
            scale = math.ceil(math.log2(measured.longest + float((kept / full).max()) / FULL))
        kept = kept / full / 2.0**scale
        form = _reciprocal(stage, kept)
        largest = float((measured.reach[CURRENT] / full).max()) + FULL * -message.low * message.step
        current_bits = FixedPoint.covering(POTENTIAL_BITS, largest / FULL).fraction_bits
        formats = MembraneFormats(
            message.bits, message.fraction_bits, current_bits, form,
            None if measured.elapsed is None else measured.elapsed.fraction_bits, scale,
            stage.unfolds if stage.mixed else 0,
            round(-math.log2(measured.first_steps[-1])),
        )  # fmt: skip
        capacitance = _integers(kept * 2.0**FRACTION_BITS)
        room = LARGEST_OPERAND - (capacitance if measured.elapsed is None else 0 * capacitance)
        return Lowering(
            {CURRENT: 2.0**current_bits / full, CONDUCTANCE: 2.0**FRACTION_BITS / full},
            message,
            lambda shifts: membrane_program(shifts, formats),
            states=tuple(word for word, _ in membrane_program((0, 0), formats).states),
            memory_steps={POTENTIAL: 2.0**-formats.potential_fraction_bits},
            parameters={"capacitance": capacitance, "room": room},
        )


def _integers(values: FloatArray) -> IntegerArray:
    return np.floor(values + 0.5).astype(np.int64)


def _refuse_without_time(stage: MembraneStage, longest: float) -> None:
    """Refuses what has no semi-implicit step: time that stands, or quotients without a sign.

    Raises:
        QuantizationError: lists the neurons with negative conductances or no capacitance.
    """
    problems = Problems(QuantizationError, f"layer {stage.name!r}")
    if longest <= 0.0:
        problems.add(f"its elapsed time is {longest:g}; an LTC needs time above 0")
    gate = stage.gates[CONDUCTANCE]
    negative = np.flatnonzero((gate.weight < 0).any(axis=1) | (gate.bias < 0))
    empty = np.flatnonzero(stage.capacitance <= 0)
    advice = (
        "train with implicit_param_constraints=True, or call apply_weight_constraints() after "
        "each step of the optimiser"
    )
    for what, neurons in (("negative w or gleak", negative), ("cm that is not above 0", empty)):
        if neurons.size:
            named = ", ".join(str(n) for n in neurons[:8])
            problems.add(f"{neurons.size} neurons ({named}) have {what}; {advice}")
    problems.raise_if_any()


def _reciprocal(stage: MembraneStage, kept: FloatArray) -> Reciprocal:
    """The reciprocal over all denominators, of which `kept` is the part that is always there."""
    low = kept * 2.0**FRACTION_BITS - SLACK
    try:
        return Reciprocal.over(int(low.min()))
    except ValueError:
        neuron = int(low.argmin())
        raise QuantizationError(
            f"layer {stage.name!r}",
            f"neuron {neuron}: its denominator spreads over a factor of "
            f"{2.0**FRACTION_BITS / max(float(low.min()), 2.0**-9):.3g} (with room for rounding), "
            f"the largest is {1 << LARGEST_BITS}; take more unfolds, shorter elapsed times, or "
            "train with smaller w",
        ) from None
