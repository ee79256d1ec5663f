"""Units of CfCs as stock neurons.

    z         ff1, ff2 and time: products that rescale the sums            a population for a shift
    r         rectifiers of z, K for each activation
    F         the first head, rounded up to the message's unit             both are one population
    P         g (f2 - f1), or without gate g f2, rounded down; g = (1 + f) / 2 of the gate

F + P is the new state, which nobody forms: whoever hears the state hears both with equal weights.
F is rounded up and P down, which is half a unit each on average, and ends of the range are exact.
With irregular time a product of time_a and the elapsed time comes first, a step more. Heads without
tanh are held within their 15 bits by two rectifiers each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lnn2loihi.families.cfc.linear_heads import HEAD_BITS, HeadFormats, linear_heads_program
from lnn2loihi.families.cfc.neuron import GATES, TIMED_GATES, Growth, cfc_program
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND, LARGEST_SHIFT, NeuronProgram
from lnn2loihi.neurons.operations import ELAPSED, Rescaling
from lnn2loihi.program import Population
from lnn2loihi.targets.stock.gates import Blend, announce_blend, blended
from lnn2loihi.targets.stock.lines import Lines
from lnn2loihi.targets.stock.parts import Parts
from lnn2loihi.targets.stock.rescaling import (
    chosen_lines,
    folded_arguments,
    reach,
    rescaled,
    rescalings_of,
)
from lnn2loihi.targets.stock.sums import Sum, each
from lnn2loihi.targets.stock.writer import StockWriter

#: Heads that are sums, held within their words: a clipped line of slope 1.
_HEAD = Lines(0, (1,), ((1 << (HEAD_BITS - 1)) - 1,), HEAD_BITS - 1)
#: Finest message of heads that are sums, which recognising them tries.
_FINEST = 40


@dataclass(frozen=True)
class CfCForm:
    """What `cfc_program` or `linear_heads_program` was given.

    Attributes:
        rescalings: of GATES or TIMED_GATES, by name.
        activation: key of ACTIVATIONS.
        mode: `default` or `no_gate`.
        growth: of irregular time; None where time is constant.
        blend: how its state is sent.
    """

    rescalings: Mapping[str, Rescaling]
    activation: str
    mode: str
    growth: Growth | None
    blend: Blend


class CfCWriter(StockWriter[CfCForm]):
    """Of the modes default and no_gate, with and without tanh of the heads."""

    def recognised(self, population: Population) -> CfCForm | None:
        """See `StockWriter`."""
        program = population.program
        timed = ELAPSED in program.accumulators
        gates = TIMED_GATES if timed else GATES
        how = rescalings_of(program, gates)
        bits = dict(program.states).get("h", 0)
        if how is None or not bits:
            return None
        growth = _growth(program) if timed else None
        for mode in ("default", "no_gate"):
            for activation in ACTIVATIONS:
                for blend, heads in _forms(population, bits, mode, activation):
                    if heads is None:
                        made = cfc_program(how, bits, activation, mode, growth)
                    else:
                        made = linear_heads_program(how, heads, growth)
                    if made.computes_as(program):
                        named = {str(g): own for g, own in zip(gates, how, strict=True)}
                        return CfCForm(named, activation, mode, growth, blend)
        return None

    def reach(self, what: CfCForm) -> int:
        """See `StockWriter`."""
        return what.blend.reach

    def announce(self, parts: Parts, population: Population, what: CfCForm) -> None:
        """See `StockWriter`."""
        announce_blend(parts, population, what.blend, apart=_folds(parts, what))

    def write(self, parts: Parts, population: Population, what: CfCForm) -> None:
        """See `StockWriter`."""
        name, linear = population.name, what.blend.head_bits is not None
        shifts = {gate: own.shift for gate, own in what.rescalings.items()}
        plain = {
            g: s for g, s in shifts.items() if not (g == "time_a" or linear and g in GATES[:2])
        }
        if _folds(parts, what):
            lines, arguments = folded_arguments(parts, population, shifts, what.activation)
            own, gate = [arguments[g] for g in GATES[:2]], arguments["time"]
        else:
            lines = chosen_lines(parts, population, plain, what.activation)
            own, gate = _rescaled(parts, population, what, shifts, plain, lines)
        rectifiers = parts.free_name(f"{name}.rectifiers")
        if linear:
            f1, f2 = parts.activated(parts.free_name(f"{name}.heads"), own, _HEAD)
            (g,) = parts.activated(rectifiers, [gate], lines)
        else:
            f1, f2, g = parts.activated(rectifiers, [*own, gate], lines)
        blended(parts, population, what.blend, (_HEAD if linear else lines, lines), (f1, f2, g))


def _folds(parts: Parts, what: CfCForm) -> bool:
    """Whether its rectifiers hear the synapses themselves."""
    linear = what.blend.head_bits is not None
    return parts.form.form == "fold" and what.growth is None and not linear


def _rescaled(
    parts: Parts,
    population: Population,
    what: CfCForm,
    shifts: Mapping[str, int],
    activated: Mapping[str, int],
    lines: Lines,
) -> tuple[list[Sum], Sum]:
    """The arguments of both heads, and of the gate.

    Args:
        parts: takes their neurons.
        population: whose they are.
        what: what it is.
        shifts: of all gates, in the units of the fused program.
        activated: those of gates that become arguments of the lines.
        lines: of these.
    """
    name = parts.free_name(f"{population.name}.argument")
    gates = GATES if what.growth is None else GATES[:2]
    finer = {g: shifts[g] + (lines.shift if g in activated else 0) for g in gates}
    made = rescaled(parts, population, finer, name)
    if what.growth is None:
        gate = each(made["time"])
    else:
        gate = _timed_gate(parts, population, what.growth, shifts, lines)
    return [each(made[g]) for g in GATES[:2]], gate


def _forms(
    population: Population, bits: int, mode: str, activation: str
) -> Iterator[tuple[Blend, HeadFormats | None]]:
    """The formats that a unit of this message may have."""
    gated = mode == "default"
    if not population.program.name.startswith("cfc linear"):
        yield Blend(bits - (1 if gated else 2), gated), None
        return
    fraction_bits = population.message.fraction_bits
    finest = fraction_bits - 1 + LARGEST_SHIFT  # what a message is shifted by has to fit
    for head_bits in range(max(-_FINEST, finest - 2 * LARGEST_SHIFT), min(_FINEST, finest)):
        heads = HeadFormats(bits, fraction_bits, head_bits, activation, mode)
        yield Blend(fraction_bits, gated, head_bits, HEAD_BITS - 1), heads


def _growth(program: NeuronProgram) -> Growth:
    """How a program multiplies the rate by the elapsed time, as far as its instructions show."""
    (elapsed,) = (i.result for i in program.instructions
                  if i.opcode == "RDC" and i.operands == (ELAPSED,))  # fmt: skip
    right = next(
        i.shift for i in program.instructions if i.opcode == "MUL_SHR" and elapsed in i.operands
    )
    lefts = {
        word: next((i.shift or 0 for i in program.instructions
                    if i.opcode == "SHL" and i.result.startswith(f"time.{word}")), 0)
        for word in ("grown", "gate")
    }  # fmt: skip
    return Growth(right or 0, lefts["grown"], lefts["gate"])


def _timed_gate(
    parts: Parts,
    population: Population,
    growth: Growth,
    shifts: Mapping[str, int],
    lines: Lines,
) -> Sum:
    """time_a times the elapsed time plus time_b, in steps of the lines' argument.

    What a fused program holds within its words on the way is not held: it comes in coarser steps.
    """
    name = population.name
    # The rate is a factor of 16 bits.
    far, coarser = reach(parts, population, {"time_a": shifts["time_a"]}), 0
    while (far >> coarser) + 8 > LARGEST_OPERAND:
        coarser += 1
    rate = rescaled(
        parts, population, {"time_a": shifts["time_a"] + coarser}, parts.free_name(f"{name}.rate")
    )["time_a"]
    right = growth.right - growth.left - growth.coarser + lines.shift - coarser
    grown = parts.product(
        parts.free_name(f"{name}.grown"), each(rate), parts.heard(population, (ELAPSED,)),
        max(right, 0),
    )  # fmt: skip
    # Half a step of the product's floor is made up for here.
    down = shifts["time_b"] + lines.shift - growth.coarser
    base = rescaled(
        parts, population, {"time_b": max(down, 0)}, parts.free_name(f"{name}.base"), halves=2
    )["time_b"]
    return each(grown, 1 << max(-right, 0)) + each(base, 1 << max(-down, 0))
