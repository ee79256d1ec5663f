"""How a readout becomes a population: a scale and an offset for each output."""

from __future__ import annotations

import numpy as np

from lnn2loihi.formats import MESSAGE_BITS, FixedPoint
from lnn2loihi.layers.linear import SUM, FloatArray
from lnn2loihi.layers.readout import ReadoutStage
from lnn2loihi.lowering import OWN_FACTOR, Lowering, Measured, StageLowering
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import preactivation
from lnn2loihi.neurons.tracer import Tracer
from lnn2loihi.precision import CONSTANT
from lnn2loihi.recipe import Recipe

#: Resolution that a readout aims at: its calibrated range takes about this many bits.
READOUT_BITS = 16
#: Bits that the multipliers of a readout may be apart, of the seven that they have.
MULTIPLIERS_APART = 4


class ReadoutLowering(StageLowering[ReadoutStage]):
    """The sum itself; it never saturates."""

    def message_format(self, stage: ReadoutStage, largest_answer: float, recipe: Recipe) -> None:
        """Its rows decide."""
        return None

    def may_clip(self, stage: ReadoutStage) -> bool:
        """See `StageLowering`."""
        return False

    def lower(self, stage: ReadoutStage, measured: Measured, recipe: Recipe) -> Lowering:
        """Each output sums up to what is above its own offset, in units of its own scale.

        An output that moves little around a large value is sent without that value, and outputs of
        very different size have scales of their own; others share one, and 0 stays 0.
        """
        assert measured.answers is not None
        low, high = measured.answers
        middle, half = (low + high) / 2, (high - low) / 2
        offset: FloatArray = np.where(np.abs(middle) > OWN_FACTOR * half, middle, 0.0)
        gate = stage.gates[SUM]
        reach = measured.reach[SUM] - np.abs(gate.bias)
        reach = reach + np.asarray(np.abs(gate.bias - offset), np.float64)
        # What was constant in the calibration data may still move as far as weights allow.
        moves = half > CONSTANT * np.maximum(np.abs(low), np.abs(high))
        largest = np.where(moves, np.maximum(high - offset, offset - low), reach)
        fraction_bits = _readout_fraction_bits(stage, measured, recipe, largest, reach)
        scale = 2.0**-fraction_bits
        return Lowering(
            {SUM: 1.0 / scale},
            None,
            lambda shifts: linear_program(shifts[0].shift),
            fraction_bits=int(fraction_bits.min()),
            scale=scale,
            offset=offset,
        )


def linear_program(shift: int) -> NeuronProgram:
    """A readout neuron: (sum + bias) * multiplier, rounded half up by `shift` bits.

    It has no state; its message is as wide as its proved bound, so it never saturates.
    """
    t = Tracer("linear")
    if shift == 0:
        t.spike(preactivation(t, SUM, 0))
    else:
        # One bit more than needed, so that half a unit can be added before the last bit goes.
        t.spike(t.round_half_up(preactivation(t, SUM, shift - 1), 1))
    return t.program()


def _readout_fraction_bits(
    stage: ReadoutStage,
    measured: Measured,
    recipe: Recipe,
    largest: FloatArray,
    reach: FloatArray,
) -> FloatArray:
    """READOUT_BITS over the calibrated range of each output, fewer if the largest output that
    weights and messages allow would not fit 24 bits: readouts never saturate.

    Args:
        stage: the readout.
        measured: what is known of it.
        recipe: its recipe.
        largest: largest magnitude of each output, without its offset, (units,).
        reach: what weights and messages allow it, (units,).
    """

    def finest(bits: int, magnitudes: FloatArray) -> FloatArray:
        covering = [FixedPoint.covering(bits, float(m)).fraction_bits for m in magnitudes]
        return np.array(covering, np.float64)

    wanted = finest(READOUT_BITS, largest)
    wanted = np.where(wanted - wanted.min() > np.log2(OWN_FACTOR), wanted, wanted.min())
    # One bit is left for rounding weights and biases, one for the half unit of rounding.
    most = finest(MESSAGE_BITS - 2, reach)
    chosen = np.minimum(wanted, most)
    # All multipliers of a gate share a shift: rows whose sums count in much finer units than they
    # are sent in would be left with a coarse one.
    row = np.abs(stage.gates[SUM].weight * measured.steps).max(axis=1)
    finer = np.log2(np.maximum(row, np.finfo(np.float64).tiny)) + chosen
    behind = np.floor(finer.max() - finer - MULTIPLIERS_APART)
    return np.minimum(chosen + np.where(row > 0, np.maximum(behind, 0.0), 0.0), most)
