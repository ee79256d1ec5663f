"""Units of CfCs as stock neurons.

    z         ff1, ff2 and time: products that rescale the sums            a population for a shift
    r         rectifiers of z, K for each activation
    F         full f1, rounded up to the message's unit                    both are one population
    P         g (f2 - f1), or without gate g f2, rounded down; g = (1 + f) / 2 of the gate

F + P is the new state, which nobody forms: whoever hears the state hears both with equal weights.
F is rounded up and P down, which is half a unit each on average, and ends of the range are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from lnn2loihi.families.cfc.neuron import GATES, cfc_program
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.instructions import NeuronProgram
from lnn2loihi.neurons.operations import Rescaling
from lnn2loihi.program import Population
from lnn2loihi.targets.stock.gates import Blend, announce_blend, blended
from lnn2loihi.targets.stock.parts import Parts, choose_lines
from lnn2loihi.targets.stock.rescaling import reach, rescaled, rescalings_of
from lnn2loihi.targets.stock.sums import each
from lnn2loihi.targets.stock.writer import StockWriter


@dataclass(frozen=True)
class CfCForm:
    """What `cfc_program` was given."""

    rescalings: tuple[Rescaling, ...]
    message_bits: int
    activation: str
    mode: str

    def program(self) -> NeuronProgram:
        """The program that it makes."""
        return cfc_program(self.rescalings, self.message_bits, self.activation, self.mode)

    @property
    def blend(self) -> Blend:
        """How its parts become messages."""
        gated = self.mode == "default"
        return Blend(self.message_bits - (1 if gated else 2), gated)


class CfCWriter(StockWriter[CfCForm]):
    """Of the modes default and no_gate."""

    def recognised(self, program: NeuronProgram) -> CfCForm | None:
        """See `StockWriter`."""
        how = rescalings_of(program, GATES)
        states = dict(program.states)
        if how is None or list(states) != ["h"]:
            return None
        for mode in ("default", "no_gate"):
            for activation in ACTIVATIONS:
                form = CfCForm(how, states["h"], activation, mode)
                if form.program() == program:
                    return form
        return None

    def reach(self, what: CfCForm) -> int:
        """See `StockWriter`."""
        return what.blend.reach

    def announce(self, parts: Parts, population: Population, what: CfCForm) -> None:
        """See `StockWriter`."""
        announce_blend(parts, population, what.blend)

    def write(self, parts: Parts, population: Population, what: CfCForm) -> None:
        """See `StockWriter`."""
        shifts = {gate: own.shift for gate, own in zip(GATES, what.rescalings, strict=True)}
        lines = choose_lines(parts.form, what.activation, reach(parts, population, shifts))
        finer = {gate: shift + lines.shift for gate, shift in shifts.items()}
        name = population.name
        made = rescaled(parts, population, finer, parts.free_name(f"{name}.argument"))
        f1, f2, gate = parts.activated(
            parts.free_name(f"{name}.rectifiers"), [each(made[gate]) for gate in GATES], lines
        )
        blended(parts, population, what.blend, lines, (f1, f2, gate))
