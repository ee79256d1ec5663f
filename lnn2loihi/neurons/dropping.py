"""Dropout in a neuron: a mask in a state word, and one AND before the message is sent.

A neuron with dropout has two state words that nothing writes. `dropout.mask` has all bits of a unit
that is kept, and none of one that is dropped; whoever runs a pass of Monte-Carlo dropout writes it
once, before the pass. Until somebody has, `dropout.drawn` is 0, and the neuron sends what masks
would let through on average: its message times the share of units that is kept, which is what the
network answers in evaluation. What hears the message counts one unit of it as 1 / share of what it
would be worth without dropout, as dropout does in training.

Both words are 0 in the beginning, as all state words are, and neither can widen what is proved of a
program: a message becomes itself, a share of itself, or 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lnn2loihi.errors import ProgramError
from lnn2loihi.formats import IntegerArray
from lnn2loihi.neurons.instructions import Instruction, NeuronProgram

#: State words, and their widths: one bit holds -1, which is all bits, and 0.
MASK, DRAWN = "dropout.mask", "dropout.drawn"
WORDS = ((MASK, 1), (DRAWN, 1))
#: What they are for a unit that is kept, and for one that is dropped.
KEPT, DROPPED = -1, 0
#: Words that are made: the message in evaluation, in a pass, and the one of both that is sent.
_EXPECTED, _PASSED, _SENT = "dropout.expected", "dropout.passed", "dropout.sent"
#: Bits of the share, for messages of so many bits at most: a product takes 16 by 16, or 24 by 8.
_SHARES = ((16, 15), (24, 7))


def share_bits(message_bits: int) -> int:
    """Bits of the share that messages of this width are multiplied with."""
    return next(share for widest, share in _SHARES if message_bits <= widest)


def share_of(keep: float, message_bits: int) -> float:
    """The share that the chip has of messages of this width: whole steps of 2**-15 or 2**-7.

    Args:
        keep: the probability that a unit is kept, above 0 and at most 1.
        message_bits: width of its message.
    """
    bits = share_bits(message_bits)
    most = (1 << bits) - 1
    return min(max(int(keep * 2.0**bits + 0.5), 1), most) / 2.0**bits


def with_dropout(program: NeuronProgram, share: float, message_bits: int) -> NeuronProgram:
    """The program of a neuron whose message a mask drops.

    Args:
        program: the program without dropout.
        share: what `share_of` gives.
        message_bits: width of its message.

    Raises:
        ProgramError: the neuron sends what it has sent before, which a mask would change again.
    """
    kept = program.message_state
    if kept and any(kept in one.operands for one in program.instructions):
        raise ProgramError(
            f"neuron program {program.name!r}",
            f"it reads the message that it has sent ({kept}), which a mask would drop again; let a "
            "relay have the mask",
        )
    bits = share_bits(message_bits)
    made: list[Instruction] = []
    for one in program.instructions:
        sends = one.opcode == "SPIKE" or bool(kept and one.result == kept)
        if sends and not any(before.result == _SENT for before in made):
            (message,) = one.operands
            made += [
                Instruction("MUL_SHR", _EXPECTED, (message, int(share * 2.0**bits)), bits),
                Instruction("AND", _PASSED, (message, MASK)),
                Instruction("SEL", _SENT, (DRAWN, _PASSED, _EXPECTED)),
            ]
        made.append(Instruction(one.opcode, one.result, (_SENT,)) if sends else one)
    return NeuronProgram(
        program.name,
        program.accumulators,
        program.parameters,
        (*program.states, *WORDS),
        tuple(made),
        program.bounds,
        program.message_state,
        program.saturations,
    )


def dropout_share(program: NeuronProgram) -> float | None:
    """The share of messages that a program of `with_dropout` sends in evaluation; None for another.

    Files may hold any program: what has words of these names and does something else with them
    is another.
    """
    if not set(WORDS) <= set(program.states):
        return None
    made = {one.result: one for one in program.instructions}
    if {MASK, DRAWN} & made.keys() or not {_EXPECTED, _PASSED, _SENT} <= made.keys():
        return None
    expected, passed, sent = made[_EXPECTED], made[_PASSED], made[_SENT]
    if (expected.opcode, passed.opcode, sent.opcode) != ("MUL_SHR", "AND", "SEL"):
        return None
    message, share = expected.operands
    if not isinstance(share, int) or share < 1 or expected.shift is None:
        return None
    whole = passed.operands == (message, MASK) and sent.operands == (DRAWN, _PASSED, _EXPECTED)
    return share / 2.0**expected.shift if whole and program.message == _SENT else None


def mask_words(kept: np.ndarray) -> Mapping[str, IntegerArray]:
    """The state words of units that are kept or dropped, int64 of the shape of `kept` (bool)."""
    return {
        MASK: np.where(kept, KEPT, DROPPED).astype(np.int64),
        DRAWN: np.full(kept.shape, -1, np.int64),
    }
