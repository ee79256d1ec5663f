"""The neuron program of an LrcSSM unit, whose recurrence needs no synapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lnn2loihi.families.lrc_ssm.layer import FORGET, UPDATE
from lnn2loihi.formats import WORD_BITS, signed_range
from lnn2loihi.neurons.activations import ACTIVATIONS, FRACTION_BITS
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import Rescaling, clamped, preactivation, within
from lnn2loihi.neurons.tracer import Tracer, Word

#: Width of the state, of which this many bits are below those that enter a product.
STATE_BITS, GUARD_BITS = 22, 7
#: Width of the parameters that multiply, and of those that are added.
FACTOR_BITS, OFFSET_BITS = 16, WORD_BITS - 1
#: The parameters that multiply the state, or what it opens: each with a shift of its own.
FACTORS = ("opening_slope", "elastance_slope", "forget_own", "update_own")


def lrc_ssm_program(
    shifts: Sequence[Rescaling | int],
    bits: int,
    activation: str,
    factor_shifts: Mapping[str, int],
    beyond: int = 0,
) -> NeuronProgram:
    """A unit: h' = h + e (drive g - h f), see `LrcSSMLayer`.

    The state is a share of the largest one that its unit has. Gates are (1 + tau) / 2 with
    tau = tanh of half their sum, so that all words below are twice what they stand for.

    Args:
        shifts: right shifts of the pre-activations: forget_gate, update_gate.
        bits: width of the message.
        activation: key of ACTIVATIONS.
        factor_shifts: right shifts of the products with FACTORS.
        beyond: by how many bits a unit may be driven to more than its largest state.
    """
    t = Tracer("lrc ssm")
    tanh = ACTIVATIONS[activation].tanh
    kept = t.state("h", STATE_BITS)
    coarse = t.shift_right(kept, GUARD_BITS, "coarse")

    def times(word: Word, factor: str) -> Word:
        return t.multiply(word, t.parameter(factor, FACTOR_BITS), factor_shifts[factor])

    def twice_sigmoid(name: str) -> Word:
        """Of a line of the state, in parts of 2**FRACTION_BITS, below 2."""
        with t.scope(name):
            offset = t.parameter(f"{name}_offset", OFFSET_BITS)
            line = t.add(times(coarse, f"{name}_slope"), offset, "line")
            return t.add(tanh(t, line), 1 << FRACTION_BITS, "doubled")

    def gate(name: str, shift: Rescaling | int, own: str) -> Word:
        with t.scope(name):
            total = preactivation(t, name, shift)
            return tanh(t, t.add(total, times(opened, own), "total"))

    opened, elastance = twice_sigmoid("opening"), twice_sigmoid("elastance")
    forget = gate(FORGET, shifts[0], "forget_own")
    update = gate(UPDATE, shifts[1], "update_own")
    held = t.add(coarse, t.multiply(coarse, forget, FRACTION_BITS), "held")
    drive = t.parameter("drive", FACTOR_BITS)
    driven = t.multiply(drive, update, FRACTION_BITS - beyond, "driven")
    # Both are below 2, or 2**(beyond + 1), so that half of their difference fits an operand.
    pull = t.shift_right(t.subtract(driven, held, "twice_pull"), 1 + beyond, "pull")
    step = t.multiply(pull, elastance, FRACTION_BITS + 1 - GUARD_BITS, "step")
    if beyond:
        # What this cuts takes any state out of its range, where it is counted.
        step = t.shift_left(within(t, step, STATE_BITS + 1 - beyond, "within"), beyond, "step")
    moved = t.add(kept, step, "new_state")
    low, high = signed_range(STATE_BITS)
    # Up to the last one that is rounded to the largest message.
    new = clamped(t, moved, low, high - (1 << (STATE_BITS - bits - 1)), "kept")
    t.saturates(moved, new, "h")
    t.write(kept, new)
    t.spike(t.round_half_up(new, STATE_BITS - bits, "message"))
    return t.program()
