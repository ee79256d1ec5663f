"""Pre-activations as products of stock neurons: (sum + bias) multiplier >> shift, in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lnn2loihi.formats import WORD_BITS, IntegerArray
from lnn2loihi.graph.population import Population
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.instructions import LARGEST_SHIFT, Instruction, NeuronProgram
from lnn2loihi.neurons.operations import Rescaling
from lnn2loihi.targets.stock.lines import Lines, choose_lines, folded_lines, rectifiers_of
from lnn2loihi.targets.stock.parts import Parts
from lnn2loihi.targets.stock.scales import LARGEST_SUM
from lnn2loihi.targets.stock.sums import LARGEST_WEIGHT, Signal, Sum, stacked


def rescalings_of(program: NeuronProgram, gates: Sequence[str]) -> tuple[Rescaling, ...] | None:
    """How a program rescales the sums of these accumulators, as far as its instructions show; None
    where one is not rescaled at all.
    """
    found = []
    limits = {name for name, _ in program.parameters}
    saturated = {one.name for one in program.saturations or ()}
    for gate in gates:
        factors = [i for i in program.instructions
                   if i.opcode == "MUL_SHR" and f"{gate}.multiplier" in i.operands]  # fmt: skip
        if len(factors) != 1:
            return None
        shift = factors[0].shift or 0
        shift = shift or -_shifted_left(program, factors[0])
        held = "sum" if f"{gate}.limit" in limits else ""
        held = "operand" if f"{gate}.preactivation" in saturated else held
        found.append(Rescaling(shift, held))
    return tuple(found)


def _shifted_left(program: NeuronProgram, factor: Instruction) -> int:
    """By how much what a product made is shifted left right after it."""
    following = program.instructions[program.instructions.index(factor) + 1]
    shifts = following.opcode == "SHL" and following.operands == (factor.result,)
    return (following.shift or 0) if shifts else 0


def multipliers(population: Population, gate: str) -> IntegerArray:
    """The multipliers of a gate, (neurons,)."""
    return np.asarray(population.parameters[f"{gate}.multiplier"], np.int64)


def biased(parts: Parts, population: Population, gate: str, coarser: int | None = None) -> Sum:
    """The sum of a gate and its bias, in the units of `Parts.scales` or in `coarser` ones."""
    if coarser is None:
        coarser = parts.scales.sums[population.name]
    bias = np.asarray(population.parameters[f"{gate}.bias"], np.int64)
    bias = (bias + ((1 << coarser) >> 1)) >> coarser
    return parts.heard(population, (gate,), coarser) + parts.constants(bias)


def reach(parts: Parts, population: Population, shifts: Mapping[str, int]) -> int:
    """Largest magnitude of the pre-activations of gates with these right shifts."""
    largest = 0
    for gate, shift in shifts.items():
        low, high = parts.interval(biased(parts, population, gate))
        shift -= parts.scales.sums[population.name]
        product = np.maximum(np.abs(low), np.abs(high)) * np.abs(multipliers(population, gate))
        top = int(product.max())
        largest = max(largest, top >> shift if shift >= 0 else top << -shift)
    return largest


def rescaled(
    parts: Parts,
    population: Population,
    shifts: Mapping[str, int],
    name: str,
    *,
    like: Population | None = None,
    coarser: int = 0,
    halves: int = 1,
) -> dict[str, Signal]:
    """The pre-activations of gates, rounded half up but for less than a unit of a row's sum; those
    of one shift are one population.

    Args:
        parts: takes them.
        population: whose gates they are.
        shifts: right shift of each gate, of sums in the units of the fused program.
        name: of the population, or of the first of several.
        like: as of `Parts.product`.
        coarser: as of `Parts.product`.
        halves: how many halves of a step are added before the floor.
    """
    found: dict[str, Signal] = {}
    for fused in sorted(set(shifts.values())):
        gates = [gate for gate, own in shifts.items() if own == fused]
        factors = np.concatenate([multipliers(population, gate) for gate in gates])
        scale = parts.scales.sums[population.name]
        sums = [_sums(parts, population, gates, scale)]
        if scale and _rounds(parts, population, gates):
            apart = _apart(parts, population, gates) if like is None else []
            if apart:
                sums, scale = apart, 0
            else:
                parts.notes.coarse(population.name, parts.scales.sums[population.name])
        # What products do not shift by, factors lose: sums are below 2**23, so that the argument is
        # off by less than 2**-8 steps.
        excess = max(fused - scale - LARGEST_SHIFT, 0)
        factors = (factors + ((1 << excess) >> 1)) >> excess
        shift, signals = fused - scale - excess, []
        half = halves * (1 << shift) >> 1 if shift > 0 else 0
        # Half a step is out of reach of any sum: these are 0 when they are rounded.
        factors = np.where(np.abs(factors) << (WORD_BITS - 1) < half, 0, factors)
        sizes = np.maximum(np.abs(factors), 1)
        rounding = np.sign(factors) * ((2 * half + sizes) // (2 * sizes) if half else 0)
        for total in sums:
            first = not found and not signals
            own = name if first else parts.free_name(f"{name}.{'.'.join(gates)}")
            signals.append(
                parts.product(
                    own, total + parts.constants(rounding),
                    _factors(parts, factors), shift, like=like,
                    coarser=coarser,
                )
            )  # fmt: skip
        signal = Signal(tuple(term for one in signals for term in one.terms))
        size = population.size
        for place, gate in enumerate(gates):
            found[gate] = signal.part(slice(place * size, (place + 1) * size))
    return found


def _factors(parts: Parts, factors: IntegerArray) -> Sum:
    """Factors as what products hear."""
    if np.abs(factors).max(initial=0) > LARGEST_WEIGHT:
        return parts.constants(factors)
    return parts.constant(1, factors.size).weighted(factors)


def _sums(parts: Parts, population: Population, gates: Sequence[str], scale: int) -> Sum:
    return stacked([biased(parts, population, gate, scale) for gate in gates])


def _rounds(parts: Parts, population: Population, gates: Sequence[str]) -> bool:
    """Whether weights are no whole ones in the units of `Parts.scales`."""
    scale = parts.scales.sums[population.name]
    heard = (s for s in _sums(parts, population, gates, 0).synapses
             if s.source != parts.constants_name)  # fmt: skip
    return any((s.weights >> scale << scale != s.weights).any() for s in heard)


def _apart(parts: Parts, population: Population, gates: Sequence[str]) -> list[Sum]:
    """The sums of gates in parts that each fit an accumulator, where whole ones would have to round
    their weights: neurons that hear some of the messages each, whose products add up where they
    are heard. Empty where no such parts fit.
    """
    total = _sums(parts, population, gates, 0)
    for count in (2, 4, 8):
        found = [total.of_columns(place, count, parts.constants_name) for place in range(count)]
        if all(parts.reach(one) <= LARGEST_SUM for one in found):
            return found
    return []


def chosen_lines(
    parts: Parts, population: Population, shifts: Mapping[str, int], activation: str
) -> Lines:
    """The lines that stand for an activation of gates which products rescale; arguments as of
    `folded_arguments`.
    """
    lines = choose_lines(parts.form, activation, reach(parts, population, shifts))
    unit = ACTIVATIONS[activation].unit * 2.0**-lines.shift
    parts.notes.approximated(population.name, lines, activation, unit)
    return lines


def folded_arguments(
    parts: Parts, population: Population, shifts: Mapping[str, int], activation: str
) -> tuple[Lines, dict[str, Sum]]:
    """The pre-activations of gates as sums of synapses alone, whose weights and biases are rounded
    to whole steps, and the lines that take them.

    Args:
        parts: whose populations are heard.
        population: whose gates they are.
        shifts: right shift of each gate.
        activation: the form of tanh that the program has, in whose units the gates are.
    """
    lines, unit = folded_lines(rectifiers_of(parts.form, activation))
    finer = unit / ACTIVATIONS[activation].unit
    found: dict[str, Sum] = {}
    for gate, shift in shifts.items():
        factors = multipliers(population, gate) * (finer * 2.0**-shift)
        bias = np.asarray(population.parameters[f"{gate}.bias"], np.float64)
        constants = np.floor(bias * factors + 0.5).astype(np.int64)
        heard = parts.heard(population, (gate,))
        rounded = heard.scaled(factors)
        parts.notes.whole_steps(population.name, gate, _moved(parts, heard, rounded, factors))
        found[gate] = rounded + parts.constants(constants)
    parts.notes.approximated(population.name, lines, activation, unit)
    return lines, found


def _moved(
    parts: Parts, heard: Sum, rounded: Sum, factors: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The share of what each neuron hears at the most by which rounded weights move its sum; 0
    where it hears nothing.

    Args:
        parts: whose populations are heard.
        heard: the sum before.
        rounded: the sum after.
        factors: between both, of each neuron.
    """
    moved, whole = np.zeros(heard.size), np.zeros(heard.size)
    for before, after in zip(heard.synapses, rounded.synapses, strict=True):
        wanted, sizes = before.weights * factors[before.rows], parts.sizes(before)
        np.add.at(moved, before.rows, np.abs(after.weights - wanted) * sizes)
        np.add.at(whole, before.rows, np.abs(wanted) * sizes)
    return np.divide(moved, whole, out=np.zeros(heard.size), where=whole > 0.0)
