"""Whether a converted module computes what the module does, in double precision. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lnn2loihi.converted.chip import run_float
from lnn2loihi.converted.parts import ConvertedModule, HostPart
from lnn2loihi.converted.sizes import Size
from lnn2loihi.converters.modules.check import CHAOS, REACHES, SMALL, STEPS, TOLERANCE
from lnn2loihi.converters.trace.axes import BATCH, TIME
from lnn2loihi.converters.trace.graph import refs, replaced
from lnn2loihi.converters.trace.host import HostModule, needed
from lnn2loihi.converters.trace.likeness import may_be_wide
from lnn2loihi.converters.trace.record import CannotRunError, Widened, double_precision
from lnn2loihi.converters.trace.recording import RecordedInput, Recording
from lnn2loihi.errors import Lnn2LoihiError

#: Sizes of other examples: more and fewer sequences than one, short and long, even and odd.
_LENGTHS = (2, 7, STEPS)


class Check:
    """Compares a module with what it was converted to.

    Args:
        recording: of the module.
        converted: of float networks.
        numbers: of the recording's values by name.
    """

    def __init__(
        self, recording: Recording, converted: ConvertedModule, numbers: Mapping[str, int]
    ) -> None:
        self._recording, self._converted = recording, converted
        self._hosts = {
            part.name: HostModule(
                recording,
                recording.copy,
                [numbers[name] for name in part.inputs],
                [numbers[name] for name in part.outputs],
            )
            for part in converted.parts
            if isinstance(part, HostPart)
        }
        self._answers = [ref.number for ref in refs(recording.graph.answer)]
        self._numbers = dict(numbers)
        self._names = {number: name for name, number in numbers.items()}

    def problems(self, lengths: bool = True) -> list[str]:
        """How the answers differ, for messages: on the example, on wide inputs, and on sequences of
        other lengths where these may vary.

        Args:
            lengths: whether they may.
        """
        found = self._compared({}, 1.0, "the example") or self._compared(
            {}, REACHES[-1], f"inputs {REACHES[-1]:g} times as large as the example's"
        )
        varying = {axis for one in self._recording.inputs for axis in one.axes}
        varying -= set() if lengths else {TIME}
        if found or not varying - {None}:
            return found
        for length in _LENGTHS:
            sizes = {TIME: length, BATCH: 2 if length == STEPS else 3}
            sizes = {axis: size for axis, size in sizes.items() if axis in varying}
            if BATCH in sizes and self._one_by_one:
                sizes[BATCH] = 1
            for reach in REACHES if length == STEPS else (1.0,):
                said = " and ".join(f"{size} along {axis}" for axis, size in sizes.items())
                what = f"an example with {said}"
                what += f", {reach:g} times as large" if reach != 1.0 else ""
                found = self._compared(sizes, reach, what)
                if found:
                    return found
        return []

    def alone(self, axis: str) -> bool:
        """Whether one sequence alone (BATCH), or one step (TIME), is answered as the module does,
        or not taken by it.
        """
        return not self._compared({axis: 1}, 1.0, f"an example with 1 along {axis}")

    @property
    def _one_by_one(self) -> bool:
        """Whether there are times, with which ncps 1.0.1 is wrong for more sequences than one."""
        timed = any(part.elapsed is not None for part in self._converted.chip_parts)
        return timed and self._recording.sizes.get(BATCH, 1) == 1

    def _compared(self, sizes: Mapping[str, int], reach: float, what: str) -> list[str]:
        inputs = self._recording.resized({**self._recording.sizes, **sizes}, seed=int(bool(sizes)))
        inputs = [
            self._varied(one, tensor, reach, bool(sizes))
            for one, tensor in zip(self._recording.inputs, inputs, strict=True)
        ]
        try:
            answer = self._answer(inputs, sizes)
        except CannotRunError as error:
            return [f"on {what} forward fails: {error}"] if reach == 1.0 and not sizes else []
        try:
            expected = self._run(inputs)
        except (Lnn2LoihiError, RuntimeError, IndexError, ValueError) as error:
            if not all(np.isfinite(one).all() for one in answer):
                return []
            return [f"on {what} what it was converted to fails: {error!s:.300}"]
        found = [*map(_difference, answer, expected)]
        worst = max(range(len(found)), key=found.__getitem__, default=None)
        if worst is None or found[worst] <= TOLERANCE:
            return []
        # A network that is chaotic answers otherwise to what differs by rounding alone.
        near = [t * (1.0 + 2.0**-50) if torch.is_floating_point(t) else t for t in inputs]
        own = [*map(_difference, answer, _arrays(self._recording.answer_to(near)))]
        if found[worst] <= TOLERANCE + CHAOS * own[worst]:
            return []
        name = self._names.get(self._answers[worst], f"answer {worst}")
        which = f"its answer {worst} ({name})" if len(found) > 1 else "its answer"
        return [
            f"on {what} {which} differs by {found[worst]:.3g} of its size from that of the parts "
            f"that it was converted to (the limit is {TOLERANCE:g})"
        ]

    def _answer(self, inputs: list[Tensor], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """What the module answers; where it does not take whole numbers as they are, they may be
        lengths, and go up to the number of steps.

        Args:
            inputs: those numbers are changed in it.
            sizes: other sizes than the example's.

        Raises:
            CannotRunError: it does not run.
        """
        try:
            return _arrays(self._recording.answer_to(inputs))
        except CannotRunError:
            if TIME not in sizes or not any(map(_is_whole, inputs)):
                raise
        inputs[:] = [one.clamp(max=sizes[TIME]) if _is_whole(one) else one for one in inputs]
        return _arrays(self._recording.answer_to(inputs))

    def _varied(self, one: RecordedInput, tensor: Tensor, reach: float, resized: bool) -> Tensor:
        """An input of another size or reach, as far as it is still of its kind then; times stay
        times: they are positive, or go on.
        """
        if one.name not in self._timing:
            return tensor * reach if may_be_wide(one.tensor, one.axes) else tensor
        if not torch.is_floating_point(tensor):
            return tensor
        if resized and one.name not in self._elapsed and TIME in one.axes:
            axis = one.axes.index(TIME)
            steps = torch.arange(tensor.shape[axis], dtype=tensor.dtype)
            shape = [-1 if place == axis else 1 for place in range(tensor.dim())]
            return tensor.sort(axis).values + steps.reshape(shape)
        return tensor

    @cached_property
    def _elapsed(self) -> set[str]:
        """Values that are elapsed times."""
        return {part.elapsed.value for part in self._converted.chip_parts if part.elapsed}

    @cached_property
    def _timing(self) -> set[str]:
        """Those, and what the host makes them of."""
        found = set(self._elapsed)
        for part in reversed(self._converted.parts):
            if isinstance(part, HostPart) and found & set(part.outputs):
                apart = [name for name in part.outputs if name in found]
                numbers = [self._numbers[name] for name in apart]
                there = [self._numbers[name] for name in part.inputs]
                found |= {self._names[n] for n in needed(self._recording, numbers, there)}
        return found

    def _run(self, inputs: Sequence[Tensor]) -> list[np.ndarray]:
        """What the parts answer, in float64."""
        values: dict[str, Any] = {name: array for name, array in self._constants().items()}
        sizes: dict[str, int] = {}
        for one, tensor in zip(self._recording.inputs, inputs, strict=True):
            values[one.name] = tensor.numpy()
            sizes |= {axis: size for axis, size in zip(one.axes, tensor.shape, strict=True) if axis}
        for part in self._converted.parts:
            if not isinstance(part, HostPart):
                values |= run_float(part, values, sizes).values
                continue
            given = [torch.as_tensor(values[name]) for name in part.inputs]
            with torch.no_grad(), double_precision(), Widened():
                answers = self._hosts[part.name](*given)
            values |= dict(zip(part.outputs, (t.numpy() for t in answers), strict=True))
        return [np.asarray(values[self._names[number]]) for number in self._answers]

    def _constants(self) -> dict[str, np.ndarray]:
        """Constants as the recording has them, which is finer than float32."""
        found: dict[str, np.ndarray] = {}
        for name, array in self._converted.constants.items():
            number = next(n for n, own in self._names.items() if own == name)
            tensor = self._recording.graph.values[number].tensor
            own = tensor.detach().numpy()
            found[name] = own if own.shape == array.shape else own.reshape(-1, *array.shape)[0]
        return found


def without_lengths(converted: ConvertedModule, length: int) -> ConvertedModule:
    """The module for sequences of the example's length alone."""
    inputs = tuple(
        replace(one, axes=tuple(None if axis == TIME else axis for axis in one.axes))
        for one in converted.inputs
    )
    note = (
        "only sequences of the example's length are taken: forward is written for no other, or the "
        "host runs a loop over the steps of it, which was recorded for as many"
    )
    answer = replaced(converted.answer, Size, lambda size: size.of_time(length))
    return replace(converted, inputs=inputs, answer=answer, notes=(*converted.notes, note))


def of_several(converted: ConvertedModule, axis: str) -> ConvertedModule:
    """The module for more sequences than one, or more steps."""
    inputs = tuple(
        replace(one, several=(*one.several, axis)) if axis in one.axes else one
        for one in converted.inputs
    )
    what = {BATCH: "one sequence alone", TIME: "one step alone"}[axis]
    note = f"{what} is not taken: forward does something else with it than with more"
    return replace(converted, inputs=inputs, notes=(*converted.notes, note))


def _arrays(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]


def _is_whole(tensor: Tensor) -> bool:
    return not torch.is_floating_point(tensor) and tensor.dtype != torch.bool


def _difference(answer: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest answer of the same output; infinite where
    shapes differ, 0 where the module itself answers with what is no number.
    """
    if answer.shape != expected.shape:
        return np.inf
    finite = np.isfinite(answer)
    if not answer.size or not finite.all():
        return 0.0
    axes = tuple(range(answer.ndim - 1)) or None
    sizes = np.maximum(np.abs(answer.astype(np.float64)).max(axes), SMALL)
    found = float((np.abs(answer.astype(np.float64) - expected).max(axes) / sizes).max())
    return np.inf if np.isnan(found) else found
