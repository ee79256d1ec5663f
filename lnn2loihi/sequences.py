"""What a sequence of samples is, for every function that takes some.

Samples are real numbers, whatever type they come in: integers are numbers. Encoded messages are
asked for by name, `encoded=True`. Sequences of unequal length are an array with `lengths`, or a
list of sequences; what stands beyond the end of a sequence is never looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.batches import gathered, joined, unequal
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.formats import IntegerArray

FloatArray = npt.NDArray[np.float64]
#: Name of the argument of a stream in place of timespans.
ELAPSED = "elapsed"
#: Largest sample and elapsed time: what float32 holds, so that squares stay far inside float64.
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences of samples, checked.

    Attributes:
        x: (batch, time, channels): floats, or with `encoded=True` integers, in their own type.
        lengths: samples of each sequence, int64 (batch,), 0 to time.
        timespans: elapsed time before each sample, float64 (batch, time), or None where time is
            constant.
    """

    x: npt.NDArray[Any]
    lengths: IntegerArray
    timespans: FloatArray | None

    @property
    def shape(self) -> tuple[int, int]:
        """Sequences, and samples of the longest that the array has room for."""
        return self.x.shape[0], self.x.shape[1]

    @cached_property
    def padded(self) -> bool:
        """Whether a sequence ends before its array does."""
        return bool((self.lengths < self.x.shape[1]).any())

    @cached_property
    def inside(self) -> npt.NDArray[np.bool_]:
        """What is before the end of its sequence, (batch, time)."""
        return np.arange(self.x.shape[1]) < self.lengths[:, None]

    @property
    def samples(self) -> int:
        """Samples of all sequences together."""
        return int(self.lengths.sum())

    @property
    def given_lengths(self) -> IntegerArray | None:
        """The lengths as functions take them: None where every sequence fills its array."""
        return self.lengths if self.padded else None

    def live(self, values: npt.NDArray[Any], substeps: int = 1) -> npt.NDArray[Any]:
        """Values (batch, time * substeps, ...) before the ends, (all of them, ...)."""
        if not self.padded:
            return values.reshape(-1, *values.shape[2:])
        return values[np.repeat(self.inside, substeps, axis=1)]

    def trimmed(self) -> Sequences:
        """Without the steps that no sequence has."""
        steps = int(self.lengths.max())
        if steps == self.x.shape[1]:
            return self
        spans = None if self.timespans is None else self.timespans[:, :steps]
        return Sequences(self.x[:, :steps], self.lengths, spans)

    def first(self, count: int) -> Sequences:
        """The first sequences alone."""
        spans = None if self.timespans is None else self.timespans[:count]
        return Sequences(self.x[:count], self.lengths[:count], spans)

    def filled(self) -> Sequences:
        """The same sequences; beyond their ends stands a sample that is one of them.

        So whatever runs beyond the ends meets nothing that it would not meet within.
        """
        if not self.padded or not self.samples:
            return self
        start = int(self.lengths.argmax())
        inside = self.inside
        spans = self.timespans
        if spans is not None:
            spans = np.where(inside, spans, spans[start, 0])
        return Sequences(np.where(inside[..., None], self.x, self.x[start, 0]), self.lengths, spans)

    def floats(self, subject: str) -> Sequences:
        """The same in float64, `filled`, for a float network.

        Raises:
            InputError: no sequence has a sample, or samples are larger than LARGEST.
        """
        if not self.samples:
            raise InputError(subject, "all sequences have length 0; give at least one sample")
        found = replace(self, x=self.x.astype(np.float64)).filled()
        bad = int(np.count_nonzero(np.abs(found.x) > LARGEST))
        if bad:
            raise InputError(
                subject, f"x holds {bad} of {found.x.size} values beyond {LARGEST:.3g}, the "
                "largest number of float32, whose squares float64 cannot hold; remove or scale them"
            )  # fmt: skip
        return found


def sequences(
    x: Any,
    channels: int,
    subject: str,
    *,
    lengths: npt.ArrayLike | None = None,
    timespans: Any = None,
    irregular: bool = False,
    encoded: bool = False,
    batches: bool = False,
    timespans_subject: str = "",
) -> Sequences:
    """Checks samples, lengths and elapsed times.

    Args:
        x: (batch, time, inputs), or a list of sequences (time, inputs) of any length.
        channels: expected inputs.
        subject: who says so, for errors.
        lengths: samples of each sequence, (batch,); all of them by default.
        timespans: (batch, time), or a list of (time,) as x is.
        irregular: whether elapsed times are needed.
        encoded: whether x, and timespans, are encoded messages: integers.
        batches: whether x may also be a loader: an iterable of batches (see `lnn2loihi.batches`).
        timespans_subject: who says that elapsed times are missing or superfluous, where it is not
            `subject`.

    Raises:
        InputError: lists wrong rank, wrong width, no samples, NaN or infinite values before the
            end of a sequence, wrong lengths; elapsed times that are missing or superfluous.
    """
    own: IntegerArray | None = None
    pieces = gathered(x, subject) if batches else None
    pieces = unequal(x, subject) if pieces is None else pieces
    if pieces is not None:
        array, own = joined(pieces, subject)
        timespans = _joined_timespans(timespans, pieces)
    else:
        array = as_array(x, subject, "x")
    problems = Problems(InputError, subject)
    _add_shape_problems(array, channels, encoded, problems)
    if array.ndim != 3:
        problems.raise_if_any()
    counts = _checked_lengths(lengths, array.shape[0], array.shape[1], own)
    found = Sequences(_numbers(array, encoded), counts, None)
    bad = _not_finite(found)
    if len(bad):
        problems.add(
            f"x holds {len(bad)} NaN or infinite of {array.size} values; remove or fill them "
            f"(the first is {_place(bad[0])})"
        )
    problems.raise_if_any()
    inside = found.inside if found.padded else None
    spans = checked_timespans(
        timespans, found.shape, irregular, timespans_subject or subject, inside
    )
    if encoded and spans is not None:
        _check_whole(found.live(spans))
    return replace(found, timespans=spans)


def _add_shape_problems(
    array: npt.NDArray[Any], channels: int, encoded: bool, problems: Problems
) -> None:
    if array.ndim != 3:
        problems.add(f"x has shape {array.shape}, expected (batch, time, inputs)")
    elif array.shape[2] != channels:
        problems.add(f"x has {array.shape[2]} input channels, expected {channels}")
    if array.size == 0:
        problems.add(f"x is empty (shape {array.shape}); give at least one sample")
    if encoded and array.dtype.kind not in "iu":
        problems.add(
            f"x is {array.dtype}, but encoded=True asks for encoded messages, which are integers; "
            "leave encoded out for samples, or encode them first (lnn2loihi.simulation.encode)"
        )


def _numbers(array: npt.NDArray[Any], encoded: bool) -> npt.NDArray[Any]:
    """Integers as the floats that hold them, unless they are encoded messages.

    Numbers beyond float64, which only longer floats have, become infinite.
    """
    if encoded or (array.dtype.kind == "f" and array.dtype.itemsize <= 8):
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)


def _not_finite(found: Sequences) -> IntegerArray:
    """Places (values, axes) of what is NaN or infinite before the end of its sequence."""
    array = found.x
    nowhere = np.zeros((0, array.ndim), np.int64)
    if array.dtype.kind != "f" or not array.size:
        return nowhere
    # NaN and infinity survive every sum; unlike isfinite of the array this needs no memory.
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(array.sum()):
            return nowhere
    return np.argwhere(~np.isfinite(array) & found.inside[..., None])


def _place(index: npt.NDArray[Any]) -> str:
    """Where a value of (batch, time, channels) or (batch, time) stands."""
    return ", ".join(
        f"{axis} {number}"
        for axis, number in zip(("sequence", "step", "channel"), index, strict=False)
    )


def _checked_lengths(
    lengths: npt.ArrayLike | None, batch: int, time: int, own: IntegerArray | None
) -> IntegerArray:
    """Lengths int64 (batch,); `own` are those that a list of sequences has by itself."""
    if lengths is None:
        return np.full(batch, time, np.int64) if own is None else own
    problems = Problems(InputError, "lengths")
    counts = as_array(lengths, "lengths")
    most = np.full(batch, time) if own is None else own
    if counts.shape != (batch,):
        problems.add(f"has shape {counts.shape}, expected ({batch},): one for each sequence")
    if counts.dtype.kind not in "iu":
        problems.add(f"is {counts.dtype}, give integers")
    elif counts.size and counts.min() < 0:
        problems.add(f"sequence {int(counts.argmin())} has {counts.min()} samples; give 0 or more")
    elif counts.shape == (batch,) and (counts > most).any():
        place = int(np.flatnonzero(counts > most)[0])
        problems.add(f"sequence {place} has {counts[place]} samples, x has {most[place]} steps")
    problems.raise_if_any()
    return counts.astype(np.int64)


def _joined_timespans(timespans: Any, pieces: Sequence[npt.NDArray[Any]]) -> Any:
    """Elapsed times that come in as many pieces as the samples, as one array."""
    if timespans is None or hasattr(timespans, "shape") or not hasattr(timespans, "__iter__"):
        return timespans
    found = [as_array(piece, "timespans") for piece in timespans]
    found = [piece[None] if piece.ndim == 1 else piece for piece in found]
    shapes = [piece.shape for piece in found]
    expected = [piece.shape[:2] for piece in pieces]
    if shapes == expected:
        return joined(found, "timespans")[0]
    if len({piece.shape[1] for piece in found}) == 1 and all(len(piece) == 1 for piece in found):
        return np.concatenate(found)  # one array, as nested lists
    raise InputError(
        "timespans", f"have shapes {_listed(shapes)}, expected {_listed(expected)}: one elapsed "
        "time for each sample"
    )  # fmt: skip


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes[:4])) + (", ..." if len(shapes) > 4 else "")


def _check_whole(spans: FloatArray) -> None:
    if (spans != np.floor(spans)).any():
        raise InputError(
            "timespans", "with encoded=True elapsed times are encoded messages too: give whole "
            "numbers, or samples and elapsed times as they are without encoded"
        )  # fmt: skip


def checked_timespans(
    timespans: npt.ArrayLike | None,
    shape: tuple[int, ...],
    irregular: bool,
    subject: str,
    inside: npt.NDArray[np.bool_] | None = None,
    name: str = "timespans",
) -> FloatArray | None:
    """Elapsed times as float64 (batch, time), or None where time is constant.

    Args:
        timespans: the elapsed times.
        shape: (batch, time).
        irregular: whether they are needed.
        subject: who says that they are missing or superfluous.
        inside: what is before the end of its sequence, (batch, time); the rest is not looked at.
        name: name of the argument.

    Raises:
        InputError: they are missing or superfluous, of wrong shape, negative, not finite or larger
            than LARGEST.
    """
    axes, each = "(batch, time)", "each sample"
    if name == ELAPSED:
        axes, each = "(batch,)" if len(shape) and shape[0] > 1 else "(a number)", "the sample"
    if timespans is None:
        if irregular:
            raise InputError(
                subject,
                f"its time is irregular: give {name} {axes}, the elapsed time before {each}",
            )
        return None
    if not irregular:
        raise InputError(
            subject, f"its time is constant and folded into the weights; leave {name} out, or "
            'import the network with timespan="irregular"'
        )  # fmt: skip
    problems = Problems(InputError, name)
    array = _numbers(as_array(timespans, name), encoded=False).astype(np.float64)
    if array.shape != tuple(shape):
        problems.add(f"has shape {array.shape}, expected {axes} = {tuple(shape)}")
    wrong = ~((array >= 0) & (array <= LARGEST))
    if inside is not None and wrong.shape == inside.shape:
        wrong &= inside
    bad = np.argwhere(wrong)
    if len(bad):
        problems.add(
            f"holds {len(bad)} of {array.size} values that are no elapsed time: negative, NaN or "
            f"above {LARGEST:.3g} (the first is {_place(bad[0])})"
        )
    problems.raise_if_any()
    return array
