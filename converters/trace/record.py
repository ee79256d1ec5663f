"""Records what forward does with an example, operator by operator.

A deep copy of the module runs in evaluation and in float64. Each operator on tensors is seen by a
`TorchFunctionMode`, each part that is read as a whole (a recurrent layer of any family, a cell, a
module of PyTorch) by a forward of our own around its own; what runs inside of a part is not
recorded. Hooks of parts run around that forward, so what they compute is recorded like all else.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from lnn2loihi.converters.trace.graph import LED, Graph, Line, Node, Ref, Value, refs, replaced
from lnn2loihi.converters.trace.held import attribute_tensors

#: What tells nothing of the values of a tensor.
_SHAPES = frozenset(
    "shape size dim ndim ndimension dtype device layout numel nelement stride is_contiguous "
    "requires_grad grad grad_fn names element_size storage_offset len get_device type hash repr "
    "format is_leaf itemsize nbytes data_ptr _version result_type is_same_size retain_grad "
    "untyped_storage is_floating_point is_complex is_cuda is_cpu is_sparse is_quantized is_mps "
    "is_meta is_tensor is_signed is_nested is_inference output_nr _backward_hooks".split()
)
#: What makes constants in the shape of a tensor.
_SHAPED = frozenset("zeros_like ones_like new_zeros new_ones new_full".split())
#: What changes how many bits numbers have.
_CONVERSIONS = frozenset("to float half bfloat16 double type type_as".split())
#: Numbers of fewer bits than a network is trained with.
_ROUNDED = (torch.float16, torch.bfloat16)
_HERE = Path(__file__).resolve().parent
_TORCH = Path(torch.__file__).resolve().parent


class CannotFollowError(Exception):
    """Forward does something that no graph can hold; says what, and on which line."""


class CannotRunError(Exception):
    """Forward raised an error of its own on the example."""


def record(
    module: nn.Module,
    call: Callable[..., Any],
    parts: Mapping[str, nn.Module],
    **inputs: Tensor,
) -> Graph:
    """What a module does with an example.

    Args:
        module: a copy that may be run, in evaluation and in float64; see `double_copy`.
        call: runs it; takes the inputs by position, and those after the first by keyword.
        parts: modules that are recorded as a whole, by their names in `named_modules`.
        inputs: the example, float64.

    Raises:
        CannotFollowError: forward looks at values, or changes tensors that others share.
        CannotRunError: forward raises an error.
    """
    first, *others = inputs
    before = _held_by(module, parts)
    recorder = _Recorder(module, parts, inputs)
    with double_precision(), recorder.around(parts):
        try:
            with recorder:
                answer = call(inputs[first], **{name: inputs[name] for name in others})
        except CannotFollowError:
            raise
        except Exception as error:  # whatever the user's code raises
            if recorder.refused:
                raise CannotFollowError(recorder.refused) from error
            line = _line_of(error)
            where = f" ({line})" if line else ""
            raise CannotRunError(f"{type(error).__name__}: {error!s:.300}{where}") from error
    if recorder.refused:
        raise CannotFollowError(recorder.refused)
    after = _held_by(module, parts)
    kept = [key for key in after if after[key] != before.get(key)]
    return recorder.graph(answer, tuple(kept))


class Widened(TorchFunctionMode):
    """Runs all operators in float64, whatever type forward asks for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one."""
        answer = func(*args, **(kwargs or {}))
        if _operator(func) in _CONVERSIONS and args and _floating(answer, args[0]):
            return args[0]
        return replaced(answer, Tensor, lambda t: t.double() if torch.is_floating_point(t) else t)


@contextmanager
def double_precision() -> Iterator[None]:
    """What PyTorch creates is float64: ncps makes its first states without naming a type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def _held_by(module: nn.Module, leaves: Container[str]) -> dict[str, list[tuple[int, int]]]:
    """The tensors that a module holds, and how often each was changed."""
    named = {key: [t] for key, t in (*module.named_buffers(), *module.named_parameters())}
    named |= attribute_tensors(module, leaves)
    return {key: [(id(t), t._version) for t in found] for key, found in named.items()}


class _Recorder(TorchFunctionMode):
    """The mode in which a module runs."""

    def __init__(
        self, module: nn.Module, leaves: Container[str], inputs: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.refused = ""
        self.narrowed = False
        self._inside = 0
        self._values: list[Value] = []
        self._nodes: list[Node] = []
        # Tensors that were seen stay alive, so that no other one gets their id.
        self._alive: list[Tensor] = []
        self._numbers: dict[int, int] = {}
        self._storages: dict[int, set[int]] = {}
        self._origins: dict[int, tuple[str, str]] = {}
        for key, tensors in attribute_tensors(module, leaves).items():
            self._origins |= {id(t): ("attribute", key) for t in tensors}
        self._origins |= {id(t): ("buffer", key) for key, t in module.named_buffers()}
        self._origins |= {id(t): ("parameter", key) for key, t in module.named_parameters()}
        for name, tensor in inputs.items():
            self._add(tensor, Value(tuple(tensor.shape), "input", name, True))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operator and notes it."""
        kwargs = kwargs or {}
        if self._inside:
            return func(*args, **kwargs)
        name = _operator(func)
        if name in _SHAPES:
            return func(*args, **kwargs)
        return self._ran(name, None, func, args, kwargs)

    @contextmanager
    def around(self, parts: Mapping[str, nn.Module]) -> Iterator[None]:
        """Each part has a forward that notes what it is given and answers."""
        own = {path: part.forward for path, part in parts.items()}
        for path, part in parts.items():
            part.forward = self._noting(path, part, own[path])
        try:
            yield
        finally:
            for part in parts.values():
                vars(part).pop("forward", None)

    def _noting(self, path: str, part: nn.Module, forward: Callable[..., Any]) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return forward(*args, **kwargs)
            return self._ran(type(part).__name__, path, forward, args, kwargs)

        return noted

    def graph(self, answer: Any, kept: tuple[str, ...]) -> Graph:
        """All that was noted."""
        given = replaced(answer, Tensor, self._ref)
        return Graph(tuple(self._values), tuple(self._nodes), given, kept, self.narrowed)

    def _ran(self, name: str, path: str | None, func: Any, args: Any, kwargs: Any) -> Any:
        arguments = replaced(args, Tensor, self._ref)
        keywords = replaced(dict(kwargs), Tensor, self._ref)
        given = [self._values[ref.number] for ref in refs((arguments, keywords))]
        tensors: list[Tensor] = []
        replaced((args, dict(kwargs)), Tensor, tensors.append)
        versions = [t._version for t in tensors]
        self._inside += 1
        try:
            answer: Any = func(*args, **kwargs)
        finally:
            self._inside -= 1
        if name == "iter":
            answer = list(answer)
        depends = name not in _SHAPED and any(
            v.depends for v in given[: 1 if name in LED else None]
        )
        line = _line()
        changed = [t for t, v in zip(tensors, versions, strict=True) if t._version != v]
        if depends or changed:
            self._check_change(name, changed, line, depends)
        found: list[Tensor] = []
        replaced(answer, Tensor, found.append)
        rounded = next((t.dtype for t in found if t.dtype in _ROUNDED), None)
        if depends and rounded is not None:
            self._refuse(
                f"{_at(line)}{name} computes in {rounded}, which rounds what depends on the input; "
                "run it in float32"
            )
        if name in _CONVERSIONS and _floating(answer, tensors[0]):
            self.narrowed |= answer.dtype != torch.float64
            answer = tensors[0]
        answer = replaced(answer, Tensor, self._doubled)
        found.clear()
        replaced(answer, Tensor, found.append)
        if depends and not found and name not in ("setitem",):
            self._refuse(
                f"{_at(line)}{name} looks at values that depend on the input, so what forward does "
                "next depends on each sample; a network does the same with each"
            )
        for tensor in changed:
            self._numbers.pop(id(tensor), None)
        names = ", ".join(dict.fromkeys(value.name for value in given if value.name))
        for tensor in found:
            if id(tensor) not in self._numbers:
                shape = tuple(tensor.shape)
                origin = "answer" if depends else "constant"
                if id(tensor) in self._origins:
                    continue
                floating = torch.is_floating_point(tensor)
                name_of = "" if depends else names
                self._add(tensor, Value(shape, origin, name_of, depends, floating, tensor))
        noted = replaced(answer, Tensor, self._ref)
        self._nodes.append(Node(name, path, arguments, keywords, noted, line))
        return iter(answer) if name == "iter" else answer

    def _doubled(self, tensor: Tensor) -> Tensor:
        """In float64, whatever type forward asked for."""
        if torch.is_floating_point(tensor) and tensor.dtype != torch.float64:
            self.narrowed = True
            return tensor.double()
        return tensor

    def _check_change(
        self, name: str, changed: list[Tensor], line: Line | None, depends: bool
    ) -> None:
        """Refuses changes in place that somebody else sees."""
        for tensor in changed:
            number = self._numbers.get(id(tensor))
            value = None if number is None else self._values[number]
            shared = self._storages.get(_storage(tensor), set()) - {id(tensor)}
            held = value is not None and value.origin not in ("answer", "constant")
            partly = name in ("setitem", "copy", "index_copy", "scatter", "masked_fill", "fill")
            if shared or held or (partly and depends):
                what = f"the {value.origin} {value.name}" if value and held else "a tensor"
                self._refuse(
                    f"{_at(line)}{name} changes {what} in place; write it so that it makes a new "
                    "tensor"
                )

    def _refuse(self, text: str) -> None:
        self.refused = self.refused or text
        raise CannotFollowError(text)

    def _ref(self, tensor: Tensor) -> Ref:
        number = self._numbers.get(id(tensor))
        if number is None:
            origin, name = self._origins.get(id(tensor), ("constant", ""))
            floating = torch.is_floating_point(tensor)
            value = Value(tuple(tensor.shape), origin, name, False, floating, tensor.detach())
            number = self._add(tensor, value)
        return Ref(number)

    def _add(self, tensor: Tensor, value: Value) -> int:
        self._alive.append(tensor)
        self._values.append(value)
        self._numbers[id(tensor)] = number = len(self._values) - 1
        self._storages.setdefault(_storage(tensor), set()).add(id(tensor))
        return number


def _storage(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse tensors have none
        return id(tensor)


def _floating(answer: Any, given: Tensor) -> bool:
    """Whether a conversion leaves floating-point numbers what they are, but for their bits."""
    return (
        isinstance(answer, Tensor)
        and torch.is_floating_point(answer)
        and torch.is_floating_point(given)
        and answer.shape == given.shape
    )


def _operator(func: Any) -> str:
    """The name of an operator, whichever way it was called."""
    name = resolve_name(func) or getattr(func, "__name__", str(func))
    name = name.removesuffix(".__get__").rpartition(".")[2]
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        if name[0] == "i" and name[1:] in ("add", "sub", "mul", "truediv", "matmul"):
            name = name[1:]
    elif name.endswith("_") and not name.startswith("_"):
        name = name.removesuffix("_")
    return name


def _line() -> Line | None:
    """The innermost line outside of PyTorch and of this package that is running."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if (found := _of_user(frame)) is not None:
            return found
        frame = frame.f_back
    return None


def _line_of(error: BaseException) -> Line | None:
    """The innermost line of the user's that raised an error."""
    found: Line | None = None
    step = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if not _foreign(name):
            found = _line_at(name, step.tb_lineno)
        step = step.tb_next
    return found


def _of_user(frame: FrameType) -> Line | None:
    name = frame.f_code.co_filename
    return None if _foreign(name) else _line_at(name, frame.f_lineno)


@cache
def _foreign(file: str) -> bool:
    """Whether a file is PyTorch's or of the importers."""
    path = Path(file).resolve()
    return file.startswith("<frozen") or any(one in path.parents for one in (_TORCH, _HERE.parent))


def _line_at(file: str, number: int) -> Line:
    return Line(Path(file).name, number, linecache.getline(file, number).strip())


def _at(line: Line | None) -> str:
    return f"{line}: " if line else ""
