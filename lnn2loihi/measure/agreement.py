"""Whether a backend answers what it is measured for answering.

A time beside wrong answers is no measurement, so nobody is timed before this was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lnn2loihi.network import FloatArray

#: How far an output in float32 may be off: this share of the range that it runs through, ...
OF_RANGE = 0.01
#: ... and this share of its largest magnitude: sums of large terms leave rounding behind.
OF_MAGNITUDE = 1e-4
#: An output that is nearly nothing beside the others: this share of their largest magnitude.
OF_OTHERS = 1e-6
#: Chaotic networks make any rounding large. Where the float network itself moves when its input
#: moves by one part in 2^23, as float32 rounds it, its weights and sums may do so this many times.
ROUNDINGS = 100.0
_FLOAT32 = 2.0**-23

#: Answers (batch, time, outputs) to samples (batch, time, inputs) and elapsed times.
Answering = Callable[[FloatArray, "FloatArray | None"], FloatArray]


@dataclass(eq=False)
class Truth:
    """What backends should answer.

    Attributes:
        what: who says so, in words.
        answering: answers samples, in float64.
        exact: whether backends answer the same to the last bit.
    """

    what: str
    answering: Answering
    exact: bool = False
    _known: tuple[FloatArray, FloatArray] | None = field(default=None, repr=False)

    def outputs(self, x: FloatArray, timespans: FloatArray | None) -> FloatArray:
        """The answers to samples, (batch, time, outputs); those to the last ones are kept."""
        if self._known is None or self._known[0] is not x:
            self._known = x, self.answering(x, timespans)
        return self._known[1]

    def sensitivity(self, x: FloatArray, timespans: FloatArray | None) -> FloatArray:
        """How far the answers so far move with a rounding of the input, (batch, time, outputs)."""
        signs = np.where(np.arange(x.size).reshape(x.shape) % 2, 1.0, -1.0)
        moved = x + signs * _FLOAT32 * max(float(np.abs(x).max()), _FLOAT32)
        off = np.abs(self.answering(moved, timespans) - self.outputs(x, timespans))
        return np.maximum.accumulate(off, axis=1)


@dataclass(frozen=True)
class Verdict:
    """What a comparison found.

    Attributes:
        problem: why the answers cannot count; empty where they can.
        remark: what a reader should know of answers that count; empty for nothing.
    """

    problem: str = ""
    remark: str = ""


def compared(
    answer: FloatArray,
    truth: Truth | None,
    x: FloatArray,
    timespans: FloatArray | None,
    stream: bool = False,
) -> Verdict:
    """Compares answers with what they should be.

    Args:
        answer: (batch, time, outputs), or (batch, 1, outputs) of the last step alone.
        truth: what they should be; None where nobody knows, and only numbers are asked for.
        x: samples (batch, time, inputs).
        timespans: elapsed times (batch, time), or None.
        stream: whether answer is of the first steps of the first sequence, (1, steps, outputs).
    """
    strange = ~np.isfinite(answer)
    if strange.any():
        return Verdict(
            f"{int(strange.sum())} of {answer.size} answers are NaN or infinite, the first "
            f"in {_place(strange)}"
        )
    if truth is None:
        return Verdict()
    wanted = _like(answer, truth.outputs(x, timespans), stream)
    if wanted.shape != answer.shape:
        shape = truth.outputs(x, timespans).shape
        return Verdict(
            f"answers of shape {answer.shape}, where {truth.what} answers {shape} (sequences, "
            "steps, outputs)"
        )
    limit = np.zeros(wanted.shape[-1]) if truth.exact else _limit(wanted)
    off = np.abs(answer - wanted)
    if (off <= limit).all():
        return Verdict()
    worst, text = float(np.nanmax(off, initial=0.0)), _off_text(off, limit, wanted, truth)
    if truth.exact:
        return Verdict(text)
    moved = _like(answer, truth.sensitivity(x, timespans), stream)
    if (off <= np.maximum(limit, ROUNDINGS * moved)).all():
        return Verdict(
            remark=f"answers differ from {truth.what} by up to {worst:.3g}: this network makes a "
            f"rounding of its input by one part in 2^23 grow to {float(moved.max()):.3g}"
        )
    return Verdict(text)


def _like(answer: FloatArray, wanted: FloatArray, stream: bool) -> FloatArray:
    """The part of what is wanted that an answer is about."""
    if stream:
        return wanted[:1, : answer.shape[1]]
    return wanted[:, -1:] if answer.shape[1] == 1 else wanted


def _limit(wanted: FloatArray) -> FloatArray:
    """How far each output may be off, (outputs,)."""
    flat = wanted.reshape(-1, wanted.shape[-1])
    magnitude = np.abs(flat).max(axis=0)
    return (
        OF_RANGE * np.ptp(flat, axis=0)
        + OF_MAGNITUDE * magnitude
        + OF_OTHERS * magnitude.max(initial=0.0)
    )


def _off_text(off: FloatArray, limit: FloatArray, wanted: FloatArray, truth: Truth) -> str:
    """Where answers are off most, beside what is allowed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.nan_to_num(off / limit, nan=0.0, posinf=np.inf)
    place = np.unravel_index(int(excess.argmax()), off.shape)
    output = int(place[-1])
    allowed = "nothing is allowed" if truth.exact else f"{limit[output]:.3g} is allowed"
    spread = float(np.ptp(wanted[..., output]))
    share = "" if not spread else f" ({100 * off[place] / spread:.3g} % of its range)"
    return (
        f"answers differ from {truth.what}: output {output} by {off[place]:.3g}{share} in sequence "
        f"{place[0]}, step {place[1]}, where {allowed}; {int((off > limit).sum())} of {off.size} "
        "answers are off by too much"
    )


def _place(found: FloatArray | np.ndarray) -> str:
    sequence, step, output = np.argwhere(found)[0]
    return f"sequence {sequence}, step {step}, output {output}"
