"""How good answers are: against targets where there are some, else against the float network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.arrays import as_array
from lnn2loihi.errors import InputError
from lnn2loihi.network import FloatArray, LiquidNetwork
from lnn2loihi.precision import precision_of
from lnn2loihi.profiling.rows import Accuracy
from lnn2loihi.sequences import Sequences

METRICS = ("mse", "accuracy")
AGREEMENT = "agreement with float"
#: Judges answers (batch, time, outputs).
Judge = Callable[[FloatArray], Mapping[str, float]]


def judge_for(
    shape: tuple[int, ...],
    data: Sequences,
    targets: npt.ArrayLike | None,
    metric: str | None,
    network: LiquidNetwork | None,
) -> Judge | None:
    """What judges answers; None where there is nothing to compare with.

    Args:
        shape: of the answers, (batch, time, outputs).
        data: samples as floats; what stands beyond the end of a sequence is not judged.
        targets: numbers of the answers' shape, or classes (batch,) or (batch, time).
        metric: one of METRICS; found from the targets where absent.
        network: the float network.

    Raises:
        InputError: the targets fit neither metric.
    """
    if targets is not None:
        wanted = as_array(targets, "targets")
        chosen = metric or _metric_of(wanted, shape)
        _check_targets(wanted, shape, chosen, data)
        if chosen == "mse":
            right = data.live(wanted)
            return lambda outputs: {"mse": float(np.mean((data.live(outputs) - right) ** 2))}
        return lambda outputs: {"accuracy": _share_right(outputs, wanted, data)}
    if metric is not None:
        raise InputError("profile", f"metric {metric!r} needs targets")
    if network is None:
        return None
    truth = data.live(
        network.evaluate(data.x, lengths=data.given_lengths, timespans=data.timespans).outputs
    )
    return lambda outputs: _agreement(truth, data.live(outputs))


def _agreement(truth: FloatArray, outputs: FloatArray) -> dict[str, float]:
    """The rms difference of the worst output over its standard deviation, under its name."""
    precision = precision_of(truth, outputs)
    worst, count = precision.worst_unit, truth.shape[-1]
    if worst is None:  # nothing moves, or nothing differs
        return {AGREEMENT: float(np.sqrt(precision.error.mean()))}
    share = float(np.sqrt(precision.error[worst] / precision.variance[worst]))
    return {AGREEMENT if count == 1 else f"{AGREEMENT}, output {worst} of {count}": share}


def judged(found: Mapping[str, float]) -> Accuracy | None:
    """The verdict of a judge as a cell of a row."""
    return next((Accuracy(metric, float(value)) for metric, value in found.items()), None)


def _metric_of(targets: npt.NDArray[Any], shape: tuple[int, ...]) -> str:
    classes = targets.dtype.kind in "iub" and targets.shape in (shape[:1], shape[:2])
    return "accuracy" if classes else "mse"


def _check_targets(
    targets: npt.NDArray[Any], shape: tuple[int, ...], metric: str, data: Sequences
) -> None:
    subject = "targets"
    if metric not in METRICS:
        raise InputError(subject, f"metric {metric!r:.40} is unknown; there are {METRICS}")
    if metric == "mse" and (targets.shape != shape or targets.dtype.kind not in "iuf"):
        raise InputError(
            subject,
            f"{targets.dtype} {targets.shape}: a mean squared error needs numbers of the answers' "
            f"shape {shape}, an accuracy whole numbers {shape[:1]} or {shape[:2]}",
        )
    if metric == "mse" and not np.isfinite(data.live(targets)).all():
        raise InputError(subject, "hold NaN or infinite values")
    if metric == "accuracy":
        if targets.dtype.kind not in "iub" or targets.shape not in (shape[:1], shape[:2]):
            raise InputError(
                subject,
                f"{targets.dtype} {targets.shape}: an accuracy needs whole numbers, a class for "
                f"each sequence {shape[:1]} or each step {shape[:2]}",
            )
        if shape[2] < 2:
            raise InputError(subject, "one output has no classes to choose from; give mse targets")


def _share_right(outputs: FloatArray, classes: npt.NDArray[Any], data: Sequences) -> float:
    """The share of sequences (by their last step) or of steps whose largest output is right."""
    right = outputs.argmax(axis=-1)
    if classes.ndim > 1:
        return float(np.mean(data.live(right) == data.live(classes)))
    begun = np.flatnonzero(data.lengths)
    return float(np.mean(right[begun, data.lengths[begun] - 1] == classes[begun]))
