"""Feed-forward units as stock neurons.

Sums come into their units by a product. Of activations that follow tanh, rectifiers and a product
follow; others are made of rectifiers themselves, and where sums can be farther than messages, these
are held within their ends as fused ones are, by two rectifiers and a neuron that adds them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from lnn2loihi.families.dense.neuron import (
    BOUNDED,
    dense_program,
    limits,
    square_bits,
    sum_fraction_bits,
)
from lnn2loihi.layers.activations import kind_of
from lnn2loihi.layers.linear import SUM
from lnn2loihi.neurons.activations import ACTIVATIONS
from lnn2loihi.neurons.instructions import LARGEST_OPERAND
from lnn2loihi.program import Population
from lnn2loihi.targets.stock.gates import FOLDED_FRACTION
from lnn2loihi.targets.stock.parts import Parts
from lnn2loihi.targets.stock.rescaling import (
    chosen_lines,
    folded_arguments,
    reach,
    rescaled,
    rescalings_of,
)
from lnn2loihi.targets.stock.sums import Messages, Signal, Sum, each
from lnn2loihi.targets.stock.writer import StockWriter

#: Kinds of activations that have such a form.
KINDS = ("tanh", "sigmoid", "identity", "relu", "abs", "clamp", "square")
#: Bits by which sums may be coarser, which recognising a program tries.
_COARSEST = 24


@dataclass(frozen=True)
class DenseForm:
    """What `dense_program` was given, but for the width of its message.

    Attributes:
        shift: right shift of the pre-activation.
        function: the activation of the stage.
        activation: key of ACTIVATIONS.
        coarser: bits by which the pre-activation is coarser.
    """

    shift: int
    function: str
    activation: str
    coarser: int


class DenseWriter(StockWriter[DenseForm]):
    """Of the activations of KINDS."""

    def recognised(self, population: Population) -> DenseForm | None:
        """See `StockWriter`."""
        program, message = population.program, population.message
        word, _, function = program.name.partition(" ")
        how = rescalings_of(program, (SUM,)) if word == "dense" else None
        if how is None:
            return None
        bounded = kind_of(function)[0] in BOUNDED
        for activation in ACTIVATIONS if bounded else tuple(ACTIVATIONS)[:1]:
            for coarser in range(1 if bounded else _COARSEST):
                made = dense_program(
                    how[0], function, message.bits, message.fraction_bits, activation, coarser
                )
                if made.computes_as(program):
                    return DenseForm(how[0].shift, function, activation, coarser)
        return None

    def write(self, parts: Parts, population: Population, what: DenseForm) -> None:
        """See `StockWriter`."""
        kind, numbers = kind_of(what.function)
        if kind not in KINDS:
            parts.refuse(
                population.name, f"its activation {what.function!r} has no form of rectifiers; "
                f"there are {', '.join(KINDS)}: train the network with one of these, or use the "
                "target split, or fused, which take it",
            )  # fmt: skip
            # Others that hear it are looked at, too.
            parts.announce(population, _silent(population), population.message_low,
                           population.message_high)  # fmt: skip
        elif kind in BOUNDED:
            parts.settle(population, _saturating(parts, population, what, kind))
        elif kind == "square":
            parts.settle(population, _square(parts, population, what))
        else:
            parts.settle(population, _straight(parts, population, what, kind, numbers))


def _silent(population: Population) -> Signal:
    return Signal((Messages(population.name, np.arange(population.size)),))


def _argument(parts: Parts, population: Population, shift: int) -> Sum:
    name = parts.free_name(f"{population.name}.argument")
    return each(rescaled(parts, population, {SUM: shift}, name)[SUM])


def _saturating(parts: Parts, population: Population, what: DenseForm, kind: str) -> Signal:
    """Tanh, or the logistic function, which is tanh of half the sum."""
    shifts = {SUM: what.shift}
    if parts.form.form == "fold":
        lines, arguments = folded_arguments(parts, population, shifts, what.activation)
        argument = arguments[SUM]
    else:
        lines = chosen_lines(parts, population, shifts, what.activation)
        argument = _argument(parts, population, what.shift + lines.shift)
    rectifiers = parts.free_name(f"{population.name}.rectifiers")
    (activated,) = parts.activated(rectifiers, [argument], lines)
    logistic, coarser = kind == "sigmoid", _coarser(parts, population)
    finer = lines.full_bits + logistic - population.message.fraction_bits + coarser
    half = (1 << finer) >> 1 if finer > 0 else 0
    middle = (1 << lines.full_bits if logistic else 0) - lines.largest
    total = activated + parts.constants(np.full(population.size, half + middle))
    top = 1 << (population.message.bits - 1 - coarser)
    made = parts.product(
        population.name, total, parts.constant(1 << max(-finer, 0), population.size),
        max(finer, 0), bound=(0 if logistic else -top, top), like=population, coarser=coarser,
    )  # fmt: skip
    return made.times(1 << coarser)


def _coarser(parts: Parts, population: Population) -> int:
    """By how many bits a message is coarser than the fused one: where rectifiers hear synapses,
    whose weights are whole numbers.
    """
    folds = parts.form.form == "fold" and parts.program.output != population.name
    return max(population.message.bits - 1 - FOLDED_FRACTION, 0) if folds else 0


def _square(parts: Parts, population: Population, what: DenseForm) -> Signal:
    shift, top = square_bits(population.message.bits), population.message.high
    # Held where its square is the largest message.
    end = min(isqrt(((top + 1) << shift) - 1), LARGEST_OPERAND)
    size = _magnitude(parts, population, what.shift, end)
    return parts.product(population.name, size, size, shift, bound=(0, top), like=population)


def _magnitude(parts: Parts, population: Population, shift: int, largest: int) -> Sum:
    """The magnitude of the pre-activation, at most so large."""
    total, sums = _argument(parts, population, shift), list[Sum]()
    for word, sign in (("above", 1), ("below", -1)):
        own = parts.free_name(f"{population.name}.{word}")
        inside, beyond = parts.rectified(own, total.times(sign), [0, -largest])
        sums += [each(inside), each(beyond, -1)]
    return sum(sums[1:], sums[0])


def _straight(
    parts: Parts, population: Population, what: DenseForm, kind: str, numbers: Sequence[float]
) -> Signal:
    """What is made of straight parts, in units of the message, within its ends."""
    message, name = population.message, population.name
    coarser = _coarser(parts, population)
    fraction_bits = sum_fraction_bits(what.function, message.fraction_bits) - what.coarser
    shift = what.shift + fraction_bits - message.fraction_bits + coarser
    low, high = message.low, message.high
    if kind == "clamp":
        ends = limits(tuple(numbers), message.fraction_bits, message.bits, message.fraction_bits)
        low, high = (b if a is None else a for a, b in zip(ends, (low, high), strict=True))
    low, high = (0 if kind == "relu" else low) >> coarser, high >> coarser
    far = reach(parts, population, {SUM: what.shift}) >> max(shift - what.shift, 0)
    like: Any = {"like": population, "coarser": coarser}
    if kind == "identity" and far < min(-low, high):
        made = rescaled(parts, population, {SUM: shift}, name, **like)[SUM]
    elif kind == "abs":
        held = _magnitude(parts, population, shift, high)
        made = parts.threshold(name, held, bound=(0, high), **like)
    elif kind == "relu" and far < high:
        total = _argument(parts, population, shift)
        (made,) = parts.rectified(name, total, [0], **like)
    else:
        total = _argument(parts, population, shift)
        above, beyond = parts.rectified(parts.free_name(f"{name}.ends"), total, [-low, -high])
        held = each(above) + each(beyond, -1) + parts.constants(np.full(total.size, low))
        made = parts.threshold(name, held, bound=(low, high), **like)
    return made.times(1 << coarser)
