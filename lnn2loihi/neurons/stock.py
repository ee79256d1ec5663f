"""Neuron programs of Lava's own processes, and of constants that the host sends with each sample.

    rectifier   GradedReluVec(vth)     a where a > vth, else 0
    threshold   GradedVec(vth)         a where |a| > vth, else 0; with 0 it sends what it hears
    product     ProdNeuron(vth=0, exp) (a1 a2) >> exp, rounded towards minus infinity
    constant    no process             its value, once for each sample

Equations as in lava-nc 0.10.0, `lava/proc/graded/models.py` and `lava/proc/prodneuron/models.py`.
None of them has a bias or a parameter: constants come in through synapses. A `constant` is a
channel that the host sends beside those of the sample. Accumulators have the names of the ports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import WORD_BITS, IntegerArray
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.tracer import Tracer

Kind = Literal["rectifier", "threshold", "product", "constant"]
#: Accumulators, which have the names of the ports of Lava's processes.
IN, FIRST_IN, SECOND_IN = "a_in", "a_in1", "a_in2"
#: The parameter of a constant, and the state word of what sends into a loop.
VALUE, SENT = "value", "sent"


@dataclass(frozen=True)
class StockNeuron:
    """A neuron of one of Lava's processes.

    Attributes:
        kind: which.
        threshold: `vth`, for rectifiers and thresholds; 0 or more.
        shift: `exp` of a product.
        looped: whether it keeps what it sends in a state word, as what sends into a loop has to.
        message_bits: width of that word.
    """

    kind: Kind
    threshold: int = 0
    shift: int = 0
    looped: bool = False
    message_bits: int = WORD_BITS

    def program(self) -> NeuronProgram:
        """Its neuron program.

        Raises:
            ProgramError: the threshold or the shift is none that a program can have.
        """
        return _program(self)

    @property
    def monotone(self) -> bool:
        """Whether it sends no less where it hears more: rectifiers and thresholds."""
        return self.kind in ("rectifier", "threshold")

    def answer(self, heard: npt.ArrayLike) -> IntegerArray:
        """What a rectifier or a threshold sends, int64 of the same shape."""
        a = np.asarray(heard, np.int64)
        size = a if self.kind == "rectifier" else np.abs(a)
        return np.where(size > self.threshold, a, 0)


@lru_cache(maxsize=256)
def _program(neuron: StockNeuron) -> NeuronProgram:
    t = Tracer(neuron.kind)
    state = t.state(SENT, neuron.message_bits) if neuron.looped else None
    if neuron.kind == "constant":
        t.accumulator(IN)  # a program has one; nobody feeds it
        t.spike(t.parameter(VALUE, WORD_BITS), state)
    elif neuron.kind == "product":
        first, second = t.accumulator(FIRST_IN), t.accumulator(SECOND_IN)
        t.spike(t.multiply(first, second, neuron.shift, "product"), state)
    elif neuron.kind == "rectifier" and not neuron.threshold:
        t.spike(t.maximum(t.accumulator(IN), 0, "rectified"), state)
    else:
        heard = t.accumulator(IN)
        passed = heard
        if neuron.threshold:
            size = heard if neuron.kind == "rectifier" else t.negative(t.negative_magnitude(heard))
            passed = t.select(t.less(neuron.threshold, size), heard, 0, "passed")
        t.spike(passed, state)
    return t.program()


def are_stock(programs: Iterable[NeuronProgram]) -> bool:
    """Whether all of these are programs of Lava's own processes, or of constants."""
    return all(stock_neuron(one) is not None for one in programs)


def stock_neuron(program: NeuronProgram) -> StockNeuron | None:
    """Which of Lava's processes a neuron program is; None where it is none of them.

    A program that only has the name of one, and does something else, is none.
    """
    for kind in ("rectifier", "threshold", "product", "constant"):
        if program.name == kind:
            states = dict(program.states)
            found = StockNeuron(
                kind,
                max((int(o) for i in program.instructions if i.opcode == "LT"
                     for o in i.operands if isinstance(o, int)), default=0),
                max((i.shift or 0 for i in program.instructions if i.opcode == "MUL_SHR"),
                    default=0),
                SENT in states,
                states.get(SENT, WORD_BITS),
            )  # fmt: skip
            # The order of accumulators means nothing: those that take turns are sorted.
            if sorted(program.accumulators) == sorted((known := found.program()).accumulators):
                ordered = replace(program, accumulators=known.accumulators)
                return found if found.threshold >= 0 and ordered == known else None
    return None
