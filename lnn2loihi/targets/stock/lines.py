"""Activations as sums of rectifiers: whole changes of slope at whole knots.

    full f(z) = sum_k c_k (relu(z + t_k) - relu(z - t_k)) - T,    T = sum_k c_k t_k

f is odd and at -1 and 1 beyond the last knot, up to T / full: T is `full`, a power of two, or where
knots do not allow that just below it. K rectifiers have K / 2 knots. A clipped line has one knot,
where it is exact but for rounding.

Constants: `python benchmarks/fit_stock.py`, least squares against tanh where most pre-activations
are: weighted by exp(-2 |z|), and 1 % evenly up to 8. Each has arguments as coarse as whole slopes
need to be fine. Those of 4 and 6 rectifiers of the default form were chosen among near ties by what
damped_sine and halfcheetah answer on validation data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lnn2loihi.neurons.activations import ACTIVATIONS, HARD_KNOT
from lnn2loihi.targets.stock.form import StockForm

#: Where the distance from a function is looked for: up to here, at so many places.
_FARTHEST, _PLACES = 8.0, 4097
#: Messages that are as narrow are one word in the C engine, and public output of silicon has seen
#: their width.
NARROW_BITS = 16


@dataclass(frozen=True)
class Lines:
    """An activation.

    Attributes:
        shift: by how many bits its argument is coarser than the fused pre-activation.
        changes: c, from the innermost knot on.
        knots: t, in steps of the argument, above 0.
        full_bits: full is 2**full_bits.
    """

    shift: int
    changes: tuple[int, ...]
    knots: tuple[int, ...]
    full_bits: int = 13

    @property
    def largest(self) -> int:
        """T, at which f is at its ends."""
        return sum(c * t for c, t in zip(self.changes, self.knots, strict=True))

    def error(self, activation: str, unit: float) -> float:
        """Largest distance from the function that the lines stand for, which ends at -1 and 1.

        Args:
            activation: key of ACTIVATIONS: tanh, or a clipped line.
            unit: steps of the argument per 1.0.
        """
        z = np.append(np.linspace(0.0, _FARTHEST, _PLACES), np.divide(self.knots, unit))
        knot = ACTIVATIONS[activation].knot
        wanted, v = (np.clip(z / knot, -1.0, 1.0) if knot else np.tanh(z)), unit * z
        total = sum(
            c * (np.maximum(v + t, 0.0) - np.maximum(v - t, 0.0))
            for c, t in zip(self.changes, self.knots, strict=True)
        )
        return float(np.abs((total - self.largest) / 2.0**self.full_bits - wanted).max())

    def passing(self, flavour: str) -> int:
        """How far the difference of two activations may get on the way, per step of the farthest
        argument of a rectifier: one that is made of thresholds sends up to three times that, and
        twice that to be taken off again.
        """
        return (2 if flavour == "relu" else 10) * sum(self.changes) << (self.full_bits - 13)


#: For each form of tanh of a recipe and each number of rectifiers the lines, the least shift first.
LINES: Mapping[str, Mapping[int, tuple[Lines, ...]]] = {
    "hard": {2: tuple(Lines(n + 1, (1 << n,), (1 << (13 - n),)) for n in range(4))},
    "ramp12": {
        2: (Lines(4, (19,), (431,)),),
        4: (
            Lines(4, (15, 7), (240, 656)),
            Lines(5, (30, 14), (120, 328)),
        ),
        6: (
            Lines(4, (7, 9, 7), (148, 309, 625)),
            Lines(5, (14, 18, 14), (74, 158, 308)),
        ),
        8: (
            Lines(4, (6, 7, 7, 3), (140, 271, 442, 787)),
            Lines(5, (12, 15, 13, 6), (70, 138, 224, 395)),
        ),
    },
    "ramp16": {
        2: (Lines(4, (18,), (455,)),),
        4: (
            Lines(4, (12, 7), (272, 704)),
            Lines(5, (22, 16), (128, 336)),
        ),
        6: (
            Lines(4, (7, 9, 4), (173, 409, 825)),
            Lines(5, (14, 17, 8), (99, 206, 413)),
        ),
        8: (
            Lines(4, (5, 6, 6, 3), (151, 305, 494, 881)),
            Lines(5, (10, 13, 11, 6), (75, 157, 251, 440)),
        ),
    },
    "lines16": {
        2: (Lines(4, (26,), (315,)),),
        4: (
            Lines(4, (18, 11), (185, 442)),
            Lines(5, (36, 23), (87, 220)),
        ),
        6: (
            Lines(4, (11, 13, 7), (117, 256, 511)),
            Lines(5, (22, 25, 14), (63, 130, 254)),
        ),
        8: (
            Lines(4, (8, 10, 9, 4), (103, 204, 332, 585)),
            Lines(5, (16, 20, 18, 8), (52, 101, 166, 294)),
        ),
    },
}

#: Changes and knots of the lines whose argument has any unit, which the synapses make.
_FOLDED = {
    2: ((1,), (HARD_KNOT,)),
    4: ((2, 1), (0.710, 1.830)),
    6: ((2, 3, 2), (0.420, 0.900, 1.850)),
    8: ((2, 3, 2, 1), (0.395, 0.820, 1.355, 2.300)),
}
#: Bits of `full` there, the most that fits the factors of a product.
FOLDED_BITS = 14


def folded_lines(rectifiers: int) -> tuple[Lines, float]:
    """Lines of a number of rectifiers, and steps of their argument per 1.0."""
    changes, knots = _FOLDED[rectifiers]
    largest = (1 << FOLDED_BITS) - 1
    unit = largest / sum(c * t for c, t in zip(changes, knots, strict=True))
    whole = [int(t * unit) for t in knots]
    return Lines(0, changes, tuple(whole), FOLDED_BITS), unit


def rectifiers_of(form: StockForm, activation: str) -> int:
    """How many rectifiers a form of tanh gets; a clipped line has two in any case."""
    usual = 2 if form.form == "fold" else 4
    return 2 if ACTIVATIONS[activation].knot else form.rectifiers or usual


def choose_lines(form: StockForm, activation: str, reach: int) -> Lines:
    """The lines of a form of tanh: the finest whose messages are narrow; where none are,
    the finest of all.

    Args:
        form: how many rectifiers, and of what.
        activation: key of ACTIVATIONS.
        reach: largest magnitude of the fused pre-activation.
    """
    known = LINES[activation][rectifiers_of(form, activation)]
    factor = 1 if form.flavour == "relu" else 3
    for lines in known:
        if factor * ((reach >> lines.shift) + 1 + lines.knots[-1]) < 1 << (NARROW_BITS - 1):
            return lines
    return known[0]
