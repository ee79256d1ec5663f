"""How well classes are told apart, with intervals, for examples whose samples come in groups.

Samples of one voice, or of one subject, are alike: intervals that take them for independent would
be too narrow. So whole groups are drawn again (bootstrap), and the same ones for all that is
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.tables import text_table

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: Draws of a bootstrap, its seed, and the ends of its interval in percent.
DRAWS, SEED, ENDS = 2_000, 1, (2.5, 97.5)


@dataclass(frozen=True)
class Confusions:
    """How often what was taken for what, in each group.

    Attributes:
        counts: int64 (groups, classes, classes): the truth, and what was said.
    """

    counts: Integers

    @classmethod
    def of(
        cls, groups: Sequence[object], truth: Integers, said: Integers, classes: int
    ) -> Confusions:
        """From samples.

        Args:
            groups: of each sample, whatever they are.
            truth, said: (samples,), from 0 to classes - 1.
            classes: how many there are.
        """
        names = {name: k for k, name in enumerate(dict.fromkeys(groups))}
        counts = np.zeros((len(names), classes, classes), np.int64)
        np.add.at(counts, (np.array([names[g] for g in groups], np.int64), truth, said), 1)
        return cls(counts)

    def drawn(self) -> Integers:
        """Counts of groups that are drawn again, (DRAWS, classes, classes)."""
        generator = np.random.default_rng(SEED)
        groups = len(self.counts)
        often = generator.multinomial(groups, np.full(groups, 1.0 / groups), DRAWS)
        return np.tensordot(often, self.counts, 1)


def accuracy(counts: Integers) -> Floats:
    """The share that is right, (...), of counts (..., classes, classes)."""
    right = np.trace(counts, axis1=-2, axis2=-1)
    return right / np.maximum(counts.sum(axis=(-2, -1)), 1)


def f1(counts: Integers, of: int) -> Floats:
    """F1 of one class, (...), of counts (..., classes, classes)."""
    right = counts[..., of, of]
    both = counts[..., of, :].sum(axis=-1) + counts[..., :, of].sum(axis=-1)
    return 2.0 * right / np.maximum(both, 1)


def macro_f1(counts: Integers) -> Floats:
    """The mean F1 of all classes, (...), of counts (..., classes, classes)."""
    return np.mean([f1(counts, of) for of in range(counts.shape[-1])], axis=0)


def with_interval(found: Confusions, score: Callable[[Integers], Floats]) -> str:
    """A score in percent and its interval: `93.1 % (91.0 to 95.2)`."""
    low, high = np.percentile(score(found.drawn()), ENDS)
    return f"{100 * score(found.counts.sum(axis=0)):.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def difference(one: Confusions, other: Confusions, score: Callable[[Integers], Floats]) -> str:
    """The first one's score less the other's, in points, with the interval of the paired draws.

    Args:
        one, other: of the same samples in the same order.
        score: of counts.
    """
    whole = score(one.counts.sum(axis=0)) - score(other.counts.sum(axis=0))
    low, high = np.percentile(score(one.drawn()) - score(other.drawn()), ENDS)
    if whole == low == high == 0.0:
        return "no difference"
    clear = "" if low > 0 or high < 0 else ", which could be chance"
    return f"{100 * whole:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}){clear}"


def table(found: Confusions, names: Sequence[str]) -> str:
    """What was taken for what, over all groups; rows are the truth."""
    counts = found.counts.sum(axis=0)
    rows = [(name, *row) for name, row in zip(names, counts.tolist(), strict=True)]
    return text_table(("truth, and what was said", *names), rows)
