"""Whether a PyTorch module computes what its parts say, on random input in double precision."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from lnn2loihi.converters.files.checkpoint import FloatArray
from lnn2loihi.converters.modules.chain import (
    Part,
    does_nothing,
    is_batch_norm,
    is_container,
    own_arrays,
    parts_of,
)
from lnn2loihi.converters.recurrent.known import is_recurrent
from lnn2loihi.network import LiquidNetwork

#: Largest difference, relative to the largest value above 1, that is put down to rounding.
TOLERANCE = 1e-6

_BATCH, _STEPS = 2, 7


class _CannotRunError(Exception):
    """The module answers with something that cannot be compared."""


def compared(module: Any, network: LiquidNetwork, host_path: str | None) -> tuple[list[str], bool]:
    """How the answers of a module differ from those of the network made of its parts.

    Runs a copy of the module, in evaluation and in float64, on two random sequences of 7 samples.
    Where its `forward` takes `timespans` they are random too, and each sequence runs on its own
    (ncps 1.0.1 is wrong for more); else the elapsed time is the network's or 1.0.

    Args:
        module: the module, left as it is.
        network: what was made of its parts.
        host_path: the part that stays on the host: its input is compared.

    Returns:
        what differs, and whether the module uses that part at all.
    """
    x, timespans = _samples(network)
    timed = not _runs_in_order(module) and _takes_timespans(module)
    spans = timespans if timed else None
    # Where all layers take time first, the module does, or it swaps the axes itself.
    found = [
        _compared(module, network, x, spans, host_path, first) for first in _time_first(module)
    ]
    return next((result for result in found if not result[0]), found[0])


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
        lambda own: _answer(own, x, spans, None, False)[0],
        lambda own: _answer(own, x, spans, None, True)[0],
        lambda own: _steps(own, x, network),
    ):
        try:
            with _double_precision():
                answer = _comparable(run(_copied(module)), network.output_size)
        except _CannotRunError as error:
            reasons.append(str(error))
            continue
        last = answer.ndim == 2
        found += [_difference(answer, o[:, -1] if last else o) for o in expected]
    if not found:
        return None, reasons[0]
    return (min(found) if min(found) > TOLERANCE else None), ""


def _steps(module: Any, x: FloatArray, network: LiquidNetwork) -> FloatArray:
    """What a cell answers, sample by sample, (batch, time, outputs)."""
    import torch

    samples = torch.from_numpy(x).unbind(1)
    try:
        state = _called(module, samples[0])
        begin = 1
    except _CannotRunError:
        state, begin = torch.zeros(len(x), network.layers[-1].units), 0
    answers = [state] if begin else []
    for sample in samples[begin:]:
        # A pair is the answer and the state, or two words of the state: of both the first answers.
        kept = state[-1] if isinstance(state, (tuple, list)) else state
        try:
            state = _called(module, sample, kept)
        except _CannotRunError:
            state = _called(module, sample, state)
        answers.append(state)
    first = [one[0] if isinstance(one, (tuple, list)) else one for one in answers]
    if not all(isinstance(one, torch.Tensor) for one in first):
        raise _CannotRunError("it answers with no tensors")
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


def _compared(
    module: Any,
    network: LiquidNetwork,
    x: FloatArray,
    timespans: FloatArray | None,
    host_path: str | None,
    time_first: bool,
) -> tuple[list[str], bool]:
    """As `compared`; samples are handed over as (time, batch, inputs) where `time_first`."""
    try:
        with _double_precision():
            answer, used = _answer(_copied(module), x, timespans, host_path, time_first)
        answer = _comparable(answer, network.output_size)
    except _CannotRunError as error:
        return [str(error)], False
    expected = _expected(network, x, timespans)
    if answer.ndim == 2:
        expected = [outputs[:, -1] for outputs in expected]
    difference = min(_difference(answer, outputs) for outputs in expected)
    return ([] if difference <= TOLERANCE else [_explained(module, difference)]), used


def _runs_in_order(module: Any) -> bool:
    """Whether the order of the parts is all that there is: its forward does not run, or is absent.

    A Sequential cannot pass on the tuple that a CfC answers with.
    """
    kind = type(module)
    if kind.__module__ != "torch.nn.modules.container":
        return False
    working = [part for part in parts_of(module) if not does_nothing(part.module)]
    return kind.__name__ != "Sequential" or any(is_recurrent(part.module) for part in working[:-1])


def _time_first(module: Any) -> tuple[bool, ...]:
    """The orders of axes to try: False is (batch, time, inputs)."""
    recurrent = [part.module for part in parts_of(module) if is_recurrent(part.module)]
    if any(getattr(one, "batch_first", True) for one in recurrent):
        return (False,)
    return (True, False)


def _takes_timespans(module: Any) -> bool:
    try:
        return "timespans" in inspect.signature(module.forward).parameters
    except (TypeError, ValueError):
        return False


@contextmanager
def _double_precision() -> Iterator[None]:
    """What PyTorch creates is float64: ncps makes its first states without naming a type."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def _copied(module: Any) -> Any:
    try:
        return copy.deepcopy(module).cpu().double().eval()
    except Exception as error:  # a module of the user may refuse in any way
        raise _CannotRunError(
            f"it cannot be copied to be compared ({type(error).__name__}: {error!s:.200})"
        ) from error


def _answer(
    module: Any,
    x: FloatArray,
    timespans: FloatArray | None,
    host_path: str | None,
    time_first: bool,
) -> tuple[FloatArray, bool]:
    """What a module answers, or what it gives to the part that stays on the host if it does."""
    import torch

    caught: list[Any] = []
    if host_path is not None and not _runs_in_order(module):
        host = dict(module.named_modules())[host_path]
        host.register_forward_pre_hook(lambda _, given: caught.append(given[0]))

    def run(samples: FloatArray, elapsed: FloatArray | None) -> FloatArray:
        swapped = time_first and samples.ndim == 3
        inputs = torch.from_numpy(samples.swapaxes(0, 1) if swapped else samples)
        if _runs_in_order(module):
            given = _in_order(module, inputs, host_path)
        elif elapsed is None:
            given = _called(module, inputs)
        else:
            spans = torch.from_numpy(elapsed.T if swapped else elapsed)
            given = _called(module, inputs, timespans=spans)
        if caught:
            given = caught[-1]
        if isinstance(given, (tuple, list)) and given:
            given = given[0]
        if not isinstance(given, torch.Tensor):
            raise _CannotRunError(
                f"its forward answers with a {type(given).__name__}; expected a tensor, or a tuple "
                "that starts with one"
            )
        array = given.detach().double().numpy()
        return array.swapaxes(0, 1) if swapped and array.ndim == 3 else array

    try:
        if timespans is None:
            answer = run(x, None)
        else:
            each = [run(x[b : b + 1], timespans[b : b + 1]) for b in range(_BATCH)]
            answer = np.concatenate(each)
    except _CannotRunError as error:
        # Perhaps it takes sequences without a batch, as a BatchNorm1d at the input asks for.
        try:
            spans = [None] * _BATCH if timespans is None else list(timespans)
            answer = np.stack([run(x[b], spans[b]) for b in range(_BATCH)])
        except (_CannotRunError, ValueError):
            raise error from None
    return answer, bool(caught) or _runs_in_order(module)


def _called(module: Callable[..., Any], inputs: Any, *state: Any, **options: Any) -> Any:
    try:
        return module(inputs, *state, **options)
    except Exception as error:  # whatever the user's code raises
        arguments = "".join(f", {key}=..." for key in options)
        raise _CannotRunError(
            f"it could not be run on x of shape {tuple(inputs.shape)}, as module(x{arguments}): "
            f"{type(error).__name__}: {error!s:.300}. Give a module whose forward takes x, and "
            "timespans (batch, time) if it uses them"
        ) from error


def _in_order(module: Any, inputs: Any, host_path: str | None) -> Any:
    """The parts one after the other: the first of a CfC's answers, BatchNorm1d on the features."""
    for part in _children(module):
        if part.path == host_path:
            break
        if does_nothing(part.module):
            continue
        if is_batch_norm(part.module):
            inputs = _called(part.module, inputs.transpose(1, 2)).transpose(1, 2)
        else:
            inputs = _called(part.module, inputs)
        if isinstance(inputs, tuple):
            inputs = inputs[0]
    return inputs


def _children(module: Any, path: str = "") -> Iterator[Part]:
    """The parts, modules of the user left whole so that their own forward runs."""
    for name, child in module.named_children():
        own = f"{path}.{name}" if path else name
        if is_container(child) and type(child).__module__ == "torch.nn.modules.container":
            yield from _children(child, own)
        else:
            yield Part(own, child)


def _comparable(answer: FloatArray, outputs: int) -> FloatArray:
    """The answer as (batch, time, outputs), or (batch, outputs) if it is that of the last step."""
    shapes = ((_BATCH, _STEPS, outputs), (_BATCH, outputs))
    if outputs == 1 and answer.shape in ((_BATCH, _STEPS), (_BATCH,)):
        answer = answer[..., None]
    if answer.shape not in shapes:
        raise _CannotRunError(
            f"its answer to x of (batch, time) = ({_BATCH}, {_STEPS}) has shape {answer.shape}; "
            f"expected {shapes[0]}, or {shapes[1]} for the last step, as its parts say"
        )
    if not np.isfinite(answer).all():
        raise _CannotRunError("it answers to random input with NaN or infinite values")
    return answer


def _difference(answer: FloatArray, expected: FloatArray) -> float:
    return float(np.abs(answer - expected).max() / max(1.0, np.abs(answer).max()))


def _explained(module: Any, difference: float) -> str:
    own = own_arrays(module)
    holds = f" It has arrays of its own: {', '.join(own[:8])}." if own else ""
    places = " or ".join(
        f"module.{part.path}" for part in parts_of(module) if is_recurrent(part.module)
    )
    return (
        "its forward does not apply its parts in the order in which they are registered: on random "
        f"input its answer differs by {difference:.3g} from theirs (the limit is {TOLERANCE:g})."
        f"{holds} Register all parts in the order of use, activations (not torch.relu) and "
        "normalisation (lnn2loihi.converters.normalise.Normalise) among them, without skips or "
        "means over time; if it runs with another elapsed time than 1.0, give timespan=...; or "
        f"import the recurrent layer alone: give {places}"
    )
