"""A module that replays a recording, as an ONNX model that holds for every batch and time.

PyTorch has two exporters. The one that traces is fast, and writes what is not an operator (sizes
within attention, for instance) as it was in its one run; the newer one, which needs onnxscript,
follows sizes. Which of the two is right for a module is not guessed: what was exported answers in
onnxruntime as the module does at two other batches and times, or is not given away.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lnn2loihi.converters.trace.axes import BATCH, TIME
from lnn2loihi.converters.trace.replay import HostModule
from lnn2loihi.errors import BackendMissingError, ImportNetworkError

#: The version of the operators; both exporters write it.
OPSET = 18
#: Largest difference between onnxruntime and PyTorch, of the size of an output: both in float32.
_TOLERANCE = 1e-3
_SUBJECT = "export of a host part"
_LOG = "_jit_onnx_log"


def exported(module: HostModule, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The ONNX model.

    Args:
        module: what is exported, in evaluation.
        inputs: names of what it takes.
        outputs: names of what it answers with.

    Raises:
        ImportNetworkError: no exporter writes it, or what they write holds for one size only.
        BackendMissingError: onnx or onnxruntime is not installed.
    """
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise BackendMissingError(
            _SUBJECT,
            f"{' and '.join(missing)} not installed; pip install {' '.join(missing)}",
        )
    fixed = _fixed(module)
    points = _points(module, fixed)
    first = _given(module, points[0])
    if first is None:
        raise ImportNetworkError(
            _SUBJECT, f"it does not run itself with {_said(points[0])}, entries of the example"
        )
    ways = {"PyTorch's tracing exporter": _traced}
    if find_spec("onnxscript") is not None:
        ways["PyTorch's newer exporter"] = _followed
    reasons: list[str] = []
    for name, way in ways.items():
        try:
            with _quiet():
                model = way(module, inputs, outputs, first, fixed)
        except Exception as error:  # the exporters have no errors of one kind
            reasons.append(f"{name} raises {type(error).__name__}: {error!s:.300}")
            continue
        wrong = _difference(model, module, inputs, points)
        if not wrong:
            return model
        reasons.append(f"what {name} writes {wrong}")
    if len(ways) == 1:
        reasons.append("onnxscript is not installed, which the newer one needs: it may do better")
    raise ImportNetworkError(_SUBJECT, reasons)


def _fixed(module: HostModule) -> frozenset[str]:
    """TIME, where the module runs with the example's alone: it is a loop over so many steps."""
    others = [point for point in _points(module, frozenset())[1:] if 1 not in point.values()]
    runs = all(_given(module, point) is not None for point in others)
    return frozenset() if runs else frozenset((TIME,))


def _points(module: HostModule, fixed: frozenset[str]) -> list[dict[str, int]]:
    """Sizes to export with, and to try: the first is none of 1, which exporters take for a
    constant.
    """
    followed = {label for shape in module.shapes for size in shape for label in size.follows}
    own = {label: size for label, size in module.sizes.items() if label in followed}
    first = {label: max(2, size) for label, size in own.items()}
    batch, time = first.get(BATCH, 2), first.get(TIME, 2)
    others = [
        {BATCH: batch + 1, TIME: max(2, time - 1)},
        {BATCH: 2, TIME: time + 1},
        {BATCH: 1, TIME: time},
        {BATCH: batch, TIME: 1},
    ]
    kept = {label: size for label, size in own.items() if label in fixed}
    found = [first | kept]
    for one in others:
        point = {label: one[label] for label in own} | kept
        if point not in found:
            found.append(point)
    return found


def _given(module: HostModule, sizes: Mapping[str, int]) -> list[Tensor] | None:
    """What it takes for these sizes: entries of the example, repeated or cut; None where it runs
    with none.

    Whole numbers that it does not take as they are may be lengths, which go up to the number of
    steps, or places in a sequence, which are fewer.
    """
    found: list[Tensor] = []
    for example, shape in zip(module.examples, module.shapes, strict=True):
        for axis, size in enumerate(shape):
            length = int(size.at(sizes))
            if length < 1 or not example.shape[axis]:
                if length != example.shape[axis]:
                    return None
                continue
            example = example.index_select(axis, torch.arange(length) % example.shape[axis])
        found.append(module.tensor(example.numpy()))
    steps = sizes.get(TIME, 1)
    for largest in (None, steps, steps - 1, 1, 0):
        given = found if largest is None else [_up_to(one, largest) for one in found]
        try:
            with torch.no_grad():
                module(*given)
        except (RuntimeError, ValueError, IndexError):
            continue
        return given
    return None


def _up_to(tensor: Tensor, largest: int) -> Tensor:
    whole = not tensor.is_floating_point() and tensor.dtype != torch.bool
    return tensor.clamp(max=largest) if whole else tensor


def _said(sizes: Mapping[str, int]) -> str:
    """Sizes for messages."""
    return ", ".join(f"{label} {size}" for label, size in sizes.items()) or "the example"


def _traced(
    module: HostModule,
    inputs: Sequence[str],
    outputs: Sequence[str],
    given: list[Tensor],
    fixed: frozenset[str],
) -> bytes:
    # The older exporter writes into files as well, which its signature does not say.
    file: Any = io.BytesIO()
    pairs = [*zip(inputs, module.shapes, strict=True), *zip(outputs, module.answers, strict=True)]
    torch.onnx.export(
        module,
        tuple(given),
        file,
        dynamo=False,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes={name: moving for name, shape in pairs if (moving := _moving(shape, fixed))},
    )
    return file.getvalue()


def _followed(
    module: HostModule,
    inputs: Sequence[str],
    outputs: Sequence[str],
    given: list[Tensor],
    fixed: frozenset[str],
) -> bytes:
    automatic = torch.export.Dim.AUTO
    shapes = tuple({axis: automatic for axis in _moving(shape, fixed)} for shape in module.shapes)
    program: Any = torch.onnx.export(
        module,
        tuple(given),
        dynamo=True,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=(shapes,),
        verbose=False,
    )
    return program.model_proto.SerializeToString()


def _moving(shape: Sequence[Any], fixed: frozenset[str]) -> dict[int, str]:
    """Names of the axes that follow a size that is not fixed: the same name for the same size."""
    return {
        axis: str(size).replace(" ", "").replace("*", "_x_")
        for axis, size in enumerate(shape)
        if size.follows - fixed
    }


def _difference(
    model: bytes, module: HostModule, inputs: Sequence[str], points: Sequence[Mapping[str, int]]
) -> str:
    """What is wrong with a model; empty for nothing."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has errors of many kinds
        return f"cannot be loaded by onnxruntime: {error!s:.300}"
    # An exporter may leave out what no answer depends on.
    taken = {one.name for one in session.get_inputs()}
    for point in points:
        given = _given(module, point)
        if given is None:  # it takes no such sizes itself
            continue
        with torch.no_grad():
            own = [answer.cpu().numpy() for answer in module(*given)]
        pairs = zip(inputs, given, strict=True)
        feed = {name: tensor.cpu().numpy() for name, tensor in pairs if name in taken}
        try:
            answers: list[Any] = list(session.run(None, feed))
        except Exception as error:
            return f"cannot run with {_said(point)}: {error!s:.300}"
        for one, other in zip(own, map(np.asarray, answers), strict=True):
            if one.shape != other.shape:
                return (
                    f"answers with shape {other.shape} instead of {one.shape} with {_said(point)}"
                )
            if not _agree(one, other):
                return f"answers otherwise than the module with {_said(point)}"
    return ""


def _agree(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Whether answers are the same, but for rounding of floating-point numbers."""
    if one.dtype.kind != "f":
        return one.dtype == other.dtype and np.array_equal(one, other)
    finite = np.isfinite(one)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return False
    scale = max(float(np.abs(one[finite]).max(initial=0)), 1e-30)
    # What is no number is no difference that is small enough.
    return bool((np.abs(one[finite] - other[finite]) <= _TOLERANCE * scale).all())


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of what exporters say on the way reaches the user's screen."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    # The tracing exporter prints a graph that it cannot write, whatever its log is set to.
    prints = getattr(torch._C, _LOG, None)
    if prints is not None:
        setattr(torch._C, _LOG, lambda *_: None)
    heard = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(heard), redirect_stderr(heard):
            warnings.simplefilter("ignore")
            with torch.no_grad():
                yield
    finally:
        if prints is not None:
            setattr(torch._C, _LOG, prints)
        logging.disable(before)
