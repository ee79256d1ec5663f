"""Whether a recurrent module computes what was made of it, in double precision. Needs PyTorch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lnn2loihi.converters.files.checkpoint import FloatArray
from lnn2loihi.converters.modules.check import TOLERANCE
from lnn2loihi.converters.trace.held import double_copy
from lnn2loihi.converters.trace.record import CannotRunError, double_precision
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.printable import kind_of_value

_BATCH, _STEPS = 2, 7


def compared_alone(module: Any, network: LiquidNetwork) -> tuple[float | None, str]:
    """How far the answers of a recurrent module are from those of the network made of it.

    It is called with sequences, (batch, time, inputs) or (time, batch, inputs), and as a cell, with
    a sample and the state that it returned; whatever fits counts.

    Returns:
        the smallest difference, None where it is put down to rounding or where nobody could run
        the module; and why nobody could.
    """
    x, timespans = _samples(network)
    spans = timespans if _takes_timespans(module) else None
    expected = _expected(network, x, spans)
    found: list[float] = []
    reasons: list[str] = []
    for run in (
        lambda own: _sequences(own, x, spans, False),
        lambda own: _sequences(own, x, spans, True),
        lambda own: _steps(own, x, network),
    ):
        try:
            with double_precision():
                answer = _comparable(run(_copied(module)), network.output_size)
        except CannotRunError as error:
            reasons.append(str(error))
            continue
        last = answer.ndim == 2
        found += [_difference(answer, o[:, -1] if last else o) for o in expected]
    if not found:
        return None, reasons[0]
    return (min(found) if min(found) > TOLERANCE else None), ""


def _steps(module: Any, x: FloatArray, network: LiquidNetwork) -> FloatArray:
    """What a cell answers, sample by sample, (batch, time, outputs)."""
    samples = torch.from_numpy(x).unbind(1)
    try:
        state = _called(module, samples[0])
        begin = 1
    except CannotRunError:
        state, begin = torch.zeros(len(x), network.layers[-1].units), 0
    answers = [state] if begin else []
    for sample in samples[begin:]:
        # A pair is the answer and the state, or two words of the state: of both the first answers.
        kept = state[-1] if isinstance(state, (tuple, list)) else state
        try:
            state = _called(module, sample, kept)
        except CannotRunError:
            state = _called(module, sample, state)
        answers.append(state)
    first = [one[0] if isinstance(one, (tuple, list)) else one for one in answers]
    if not all(isinstance(one, torch.Tensor) for one in first):
        raise CannotRunError("it answers with no tensors")
    return np.stack([one.double().numpy() for one in first], axis=1)


def _samples(network: LiquidNetwork) -> tuple[FloatArray, FloatArray]:
    """Two random sequences, and elapsed times."""
    rng = np.random.default_rng(20230)
    x = rng.normal(0.0, [[[1.0]], [[3.0]]], (_BATCH, _STEPS, network.input_size))
    x = network.input_offset + network.input_scale * x
    return x, rng.uniform(0.1, 2.0, (_BATCH, _STEPS))


def _expected(
    network: LiquidNetwork, x: FloatArray, timespans: FloatArray | None
) -> list[FloatArray]:
    """What the network answers; without times at its own and at an elapsed time of 1.0."""
    if timespans is not None:
        return [replace(network, timespan=None).evaluate(x, timespans=timespans).outputs]
    spans = {1.0, 1.0 if network.timespan is None else network.timespan}
    return [replace(network, timespan=span).evaluate(x).outputs for span in sorted(spans)]


def _called(module: Callable[..., Any], inputs: Any, *state: Any, **options: Any) -> Any:
    try:
        return module(inputs, *state, **options)
    except Exception as error:  # whatever the user's code raises
        arguments = "".join(f", {key}=..." for key in options)
        raise CannotRunError(
            f"it could not be run on x of shape {tuple(inputs.shape)}, as module(x{arguments}): "
            f"{type(error).__name__}: {error!s:.300}. Give a module whose forward takes x, and "
            "timespans (batch, time) if it uses them"
        ) from error


def _comparable(answer: FloatArray, outputs: int) -> FloatArray:
    """The answer as (batch, time, outputs), or (batch, outputs) if it is that of the last step."""
    shapes = ((_BATCH, _STEPS, outputs), (_BATCH, outputs))
    if outputs == 1 and answer.shape in ((_BATCH, _STEPS), (_BATCH,)):
        answer = answer[..., None]
    if answer.shape not in shapes:
        raise CannotRunError(
            f"its answer to x of (batch, time) = ({_BATCH}, {_STEPS}) has shape {answer.shape}; "
            f"expected {shapes[0]}, or {shapes[1]} for the last step, as its parts say"
        )
    if not np.isfinite(answer).all():
        raise CannotRunError("it answers to random input with NaN or infinite values")
    return answer


def _difference(answer: FloatArray, expected: FloatArray) -> float:
    return float(np.abs(answer - expected).max() / max(1.0, np.abs(answer).max()))


def _takes_timespans(module: Any) -> bool:
    try:
        return "timespans" in inspect.signature(module.forward).parameters
    except (TypeError, ValueError):
        return False


def _copied(module: Any) -> Any:
    try:
        return double_copy(module)
    except Exception as error:  # a module of the user may refuse in any way
        raise CannotRunError(
            f"it cannot be copied to be compared ({type(error).__name__}: {error!s:.200})"
        ) from error


def _sequences(
    module: Any, x: FloatArray, timespans: FloatArray | None, time_first: bool
) -> FloatArray:
    """What a module answers to sequences, one by one where there are times (ncps 1.0.1 is wrong for
    more), (batch, time, outputs).
    """

    def run(samples: FloatArray, elapsed: FloatArray | None) -> FloatArray:
        inputs = torch.from_numpy(samples.swapaxes(0, 1) if time_first else samples)
        spans = {}
        if elapsed is not None:
            spans = {"timespans": torch.from_numpy(elapsed.T if time_first else elapsed)}
        given = _called(module, inputs, **spans)
        given = given[0] if isinstance(given, (tuple, list)) and given else given
        if not isinstance(given, torch.Tensor):
            raise CannotRunError(
                f"its forward answers with {kind_of_value(given)}; expected a tensor, or a tuple "
                "that starts with one"
            )
        array = given.detach().double().numpy()
        return array.swapaxes(0, 1) if time_first and array.ndim == 3 else array

    if timespans is None:
        return run(x, None)
    each = [run(x[b : b + 1], timespans[b : b + 1]) for b in range(_BATCH)]
    return np.concatenate(each)
