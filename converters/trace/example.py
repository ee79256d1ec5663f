"""Records a module with an example of the arguments that its forward takes.

What wraps a module is taken off, the example is bound to forward's own signature, and a copy of the
module runs on it (`record`). It runs again, to see whether it does the same; with other sizes of
each axis, to see which are the batch and the time (`probing`); and on examples of other sizes and
other numbers, of which the numbers that follow a size are read (`general`). Last, what was recorded
is replayed (`host`) at all of these sizes: whatever forward does with data that no operator shows
is found there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lnn2loihi.converters.modules.classes import class_name
from lnn2loihi.converters.trace.arguments import Example, check_answer, example_of
from lnn2loihi.converters.trace.axes import BATCH, TIME
from lnn2loihi.converters.trace.general import General, NotGeneralError, general, sized_answer
from lnn2loihi.converters.trace.graph import Graph, refs
from lnn2loihi.converters.trace.likeness import resized
from lnn2loihi.converters.trace.loops import around
from lnn2loihi.converters.trace.probing import Axes, probed
from lnn2loihi.converters.trace.record import NCPS_TIMES, CannotRunError, Widened, double_precision
from lnn2loihi.converters.trace.recorder import CannotFollowError
from lnn2loihi.converters.trace.recording import RecordedInput, Recording
from lnn2loihi.converters.trace.replay import HostModule
from lnn2loihi.converters.trace.runner import CannotCopyError, Runner
from lnn2loihi.converters.trace.sizes import are_told_apart
from lnn2loihi.printable import kind_of_value

#: Classes around a module, and where they keep it.
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "FullyShardedDataParallel": "module",
}
#: Difference between forward and its replay, of the size of an output: sums in another order.
_TOLERANCE = 1e-12


def record_call(
    module: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Recording:
    """What a module does with an example.

    Args:
        module: a module, what wraps one (DataParallel, DistributedDataParallel, the result of
            torch.compile), or a method of a module (`model.forward_step`). It is left as it is.
        args: what it is called with by position: tensors and NumPy arrays, alone or in tuples,
            lists and dicts; all else is a constant.
        kwargs: what it is called with by keyword.

    Raises:
        CannotCopyError: the module cannot be copied, or is one that cannot be recorded.
        CannotFollowError: forward does something that no graph can hold; says on which line, what
            was expected there and what to do.
        CannotRunError: forward raises an error on the example: the module's own complaint, its
            line, and which argument it was.
    """
    own, method = _unwrapped(module)
    runner = Runner(own, method)
    forward = _in_order if runner.by_order else getattr(own, method)
    example = example_of(forward, args, kwargs or {})
    with torch.random.fork_rng(devices=[]):
        return _Recorded(own, method, runner, example).recording()


def unwrapped(module: Any) -> Any:
    """A module without what only wraps it."""
    while type(module).__name__ in _WRAPPERS:
        inside = getattr(module, _WRAPPERS[type(module).__name__], None)
        if not isinstance(inside, nn.Module):
            break
        module = inside
    return module


def _unwrapped(module: Any) -> tuple[nn.Module, str]:
    """The module and the method that is meant.

    Raises:
        CannotCopyError: it is none that can be recorded.
    """
    method = "forward"
    if inspect.ismethod(module):
        module, method = module.__self__, module.__name__
    module = unwrapped(module)
    if isinstance(module, torch.jit.ScriptModule):
        raise CannotCopyError(
            f"it is {kind_of_value(module)}, compiled code whose forward cannot be seen; give "
            "the module that it was made of"
        )
    if isinstance(module, nn.Module):
        _check_quantized(module)
    else:
        raise CannotCopyError(
            f"{class_name(module)} is no torch.nn.Module, and no method of one; give the module"
        )
    if method == "forward" and type(module).forward is nn.Module.forward:
        own = [
            name
            for name in vars(type(module))
            if not name.startswith("_") and inspect.isfunction(vars(type(module))[name])
        ]
        if not type(module).__module__.startswith("torch."):
            named = f" (module.{own[0]})" if own else ""
            raise CannotCopyError(f"it has no forward; give the method that is called{named}")
    return module, method


def _check_quantized(module: nn.Module) -> None:
    """Refuses what PyTorch has quantized: its integers are none of a chip's.

    Raises:
        CannotCopyError: a part is of a class of torch.ao.nn.quantized or the like.
    """
    found = [
        f"{path or 'it'} ({class_name(part)})"
        for path, part in module.named_modules()
        if any(name in class_name(part) for name in ("nn.quantized.", "nn.intrinsic.quantized."))
        and class_name(part).startswith("torch.")
    ]
    if found:
        raise CannotCopyError(
            f"PyTorch has quantized parts of it ({', '.join(found[:4])}), whose integers are not "
            "those of the chip; give the module as it was before that, in floating point"
        )


def _in_order(x: Any) -> None:
    """The signature of parts that run one after the other."""


class _Recorded:
    """The steps of `record_call`."""

    def __init__(self, module: nn.Module, method: str, runner: Runner, example: Example) -> None:
        self._module, self._method = module, method
        self._runner, self._example = runner, example
        self._tensors = list(example.tensors.values())
        self._notes: list[str] = []

    def recording(self) -> Recording:
        """All that is found."""
        first = self._first()
        check_answer(first.answer)
        self._check_repeats(first)
        axes = probed(self._runner, self._example, first)
        self._notes += axes.notes
        points, graphs = self._others(axes, first)
        found = self._general(axes, graphs, points)
        answer, known = sized_answer(graphs, points)
        if not known:
            self._notes.append(
                "numbers in its answer may change with the sizes of what it is given, in a way "
                "that was not found out; they are the example's"
            )
        return replace(found, answer=answer, kept=self._kept(first), notes=tuple(self._notes))

    def _record(self, tensors: Sequence[Tensor]) -> Graph:
        named = dict(zip(self._example.tensors, tensors, strict=True))
        return self._runner.record(*self._example.given(tensors), named)

    def _first(self) -> Graph:
        try:
            return self._record([t.clone() for t in self._tensors])
        except CannotRunError as error:
            found = f"it could not be run on the example ({self._example.said()}): {error}"
            if NCPS_TIMES not in found:
                found += (
                    f".{self._runner.advice()} Give what its forward takes, as it is called in use"
                )
            raise CannotRunError(found) from error

    def _check_repeats(self, first: Graph) -> None:
        """Refuses what is random, by the first operator that is."""
        again = self._record([t.clone() for t in self._tensors])
        if len(again.nodes) == len(first.nodes):
            pairs = zip(refs(first.answer), refs(again.answer), strict=True)
            if all(
                _alike(first.values[a.number].tensor, again.values[b.number].tensor)
                for a, b in pairs
            ):
                return
        for one, other in zip(first.nodes, again.nodes, strict=False):
            made = list(zip(refs(one.answer), refs(other.answer), strict=False))
            pairs = [
                (first.values[a.number].tensor, again.values[b.number].tensor) for a, b in made
            ]
            if one.operator != other.operator or not all(_alike(a, b) for a, b in pairs):
                raise CannotFollowError(
                    f"{one.where} answers at random: with the same example it answers otherwise "
                    "the second time. A network answers the same; leave it out in evaluation "
                    "(`if self.training:`), or give the random numbers as an argument"
                )
        raise CannotFollowError(
            "forward answers otherwise when it runs again on the same example; it may not be random"
        )

    def _kept(self, first: Graph) -> tuple[str, ...]:
        """Attributes in which a call leaves what the next one reads."""
        if not first.kept:
            return ()
        tensors = [t.clone() for t in self._tensors]
        named = dict(zip(self._example.tensors, tensors, strict=True))
        read = self._runner.read_again(*self._example.given(tensors), named)
        return tuple(name for name in first.kept if read is None or name in read)

    def _others(self, axes: Axes, first: Graph) -> tuple[list[dict[str, int]], list[Graph]]:
        """Recordings at other sizes, and with other numbers."""
        points, graphs = [axes.sizes(self._tensors)], [first]
        tries = _tries(points[0], axes)
        while len(points) < 3 and (point := next(tries, None)) is not None:
            if not are_told_apart([*points, point]):
                continue
            try:
                graph = self._record(self._resized(axes, point, seed=len(points)))
            except (CannotRunError, CannotFollowError):
                continue
            points.append(point)
            graphs.append(graph)
        return points, graphs

    def _resized(self, axes: Axes, point: Mapping[str, int], seed: int) -> list[Tensor]:
        pairs = zip(self._tensors, axes.labels, strict=True)
        return [resized(tensor, labels, point, seed) for tensor, labels in pairs]

    def _general(self, axes: Axes, graphs: list[Graph], points: list[dict[str, int]]) -> Recording:
        """The recording that holds for all sizes, or for as many as it can be shown for."""
        labels = sorted(points[0])
        alone = graphs[:1], points[:1]
        if not labels:
            return self._proved(axes, *alone, {})
        why = "forward runs with too few other sizes"
        if len(points) == 3:
            try:
                return self._proved(axes, graphs, points, {})
            except NotGeneralError as error:
                why = str(error)
        if TIME in labels and BATCH in labels:
            at, own = self._others(_without(axes, TIME), graphs[0])
            try:
                if len(at) == 3:
                    found = self._proved(axes, own, at, {TIME: why})
                    return self._with_ends(found, graphs, points) if len(points) == 3 else found
            except NotGeneralError as error:
                why = f"{why}; {error}"
        found = self._proved(axes, *alone, dict.fromkeys(labels, why))
        loop = len(points) == 3 and labels == [TIME]
        return self._with_ends(found, graphs, points) if loop else found

    def _proved(
        self,
        axes: Axes,
        graphs: list[Graph],
        points: list[dict[str, int]],
        fixed: Mapping[str, str],
    ) -> Recording:
        """What recordings have in common, replayed.

        Raises:
            NotGeneralError: they differ in more than numbers that follow the sizes.
        """
        recording = self._made(axes, graphs[0], general(graphs, points), fixed)
        self._check_replay(recording, graphs, points)
        return recording

    def _with_ends(
        self, recording: Recording, graphs: list[Graph], points: list[dict[str, int]]
    ) -> Recording:
        """The recording of a loop, with what stands before and behind it for every length."""
        ends = around(graphs, points)
        common = ends.within(General(recording.nodes, recording.shapes))
        loop = range(len(ends.before), len(common.nodes) - len(ends.behind))
        found = replace(recording, nodes=common.nodes, shapes=common.shapes, loop=loop)
        for nodes in (ends.before, ends.behind):
            made = {ref.number for node in nodes for ref in refs(node.answer)}
            read = {r.number for n in nodes for r in refs((n.arguments, n.keywords))} - made
            values = recording.graph.values
            given = sorted(n for n in read if values[n].depends or values[n].origin == "constant")
            # The sizes are read from the inputs.
            given = list(dict.fromkeys((*range(len(self._tensors)), *given)))
            for graph in graphs if made else ():
                own = [ends.value(number, graph).tensor for number in given]
                wanted = [ends.value(number, graph).tensor for number in sorted(made)]
                if not self._computes(
                    found, dict(zip(given, own, strict=True)), sorted(made), wanted
                ):
                    return recording
        return found

    def _made(
        self, axes: Axes, graph: Graph, common: General, fixed: Mapping[str, str]
    ) -> Recording:
        inputs = tuple(
            RecordedInput(name, number, tuple(axes.labels[number]), tensor, kind)
            for number, ((name, tensor), kind) in enumerate(
                zip(self._example.tensors.items(), self._example.dtypes, strict=True)
            )
        )
        return Recording(
            self._module,
            self._method,
            graph,
            common.nodes,
            inputs,
            (self._example.args, self._example.kwargs),
            common.shapes,
            self._runner,
            axes.sizes(self._tensors),
            fixed,
        )

    def _check_replay(
        self, recording: Recording, graphs: Sequence[Graph], points: Sequence[Mapping[str, int]]
    ) -> None:
        """Compares the replay of a recording with what forward answered.

        Raises:
            NotGeneralError: it differs at other sizes than the example's.
            CannotFollowError: it differs at the example's own.
        """
        for place, (graph, point) in enumerate(zip(graphs, points, strict=True)):
            if not self._replays(recording, graph):
                if place:
                    self._check_hidden(recording)
                    sizes = ", ".join(f"{label} {size}" for label, size in point.items())
                    raise NotGeneralError(f"forward does something else with {sizes}")
                self._refuse_hidden(graph, graph)
        if len(graphs) == 1:
            self._check_hidden(recording)

    def _check_hidden(self, recording: Recording) -> None:
        """Whether other numbers of the example's size are answered as forward does.

        Raises:
            CannotFollowError: they are not.
        """
        graph = self._record([resized(t, (), {}, seed=7) for t in self._tensors])
        if not self._replays(recording, graph):
            self._refuse_hidden(recording.graph, graph)

    def _refuse_hidden(self, one: Graph, other: Graph) -> None:
        for a, b in zip(one.nodes, other.nodes, strict=False):
            for left, right in zip(refs(a.arguments), refs(b.arguments), strict=False):
                value, changed = one.values[left.number], other.values[right.number]
                if value.origin == "constant" and not _alike(value.tensor, changed.tensor):
                    raise CannotFollowError(
                        f"{a.where} is given a tensor that follows the input and was made where no "
                        "operator can be seen: in a compiled or scripted function, in NumPy, or in "
                        "an extension. Compute it with operators of PyTorch"
                    )
        raise CannotFollowError(
            "what was recorded of forward answers otherwise than forward itself: something happens "
            "where no operator can be seen (a compiled or scripted function, an extension)"
        )

    def _replays(self, recording: Recording, graph: Graph) -> bool:
        """Whether the recording answers as forward did in a run."""
        wanted = [ref.number for ref in refs(recording.graph.answer)]
        given = {number: graph.values[number].tensor for number in range(len(self._tensors))}
        own = [graph.values[ref.number].tensor for ref in refs(graph.answer)]
        return self._computes(recording, given, wanted, own)

    def _computes(
        self,
        recording: Recording,
        given: Mapping[int, Tensor],
        wanted: Sequence[int],
        own: Sequence[Tensor],
    ) -> bool:
        """Whether wanted values are computed of others as forward did."""
        with double_precision(), Widened():
            replay = HostModule(recording, self._runner.copy, list(given), wanted)
            try:
                answers = replay(*given.values())
            except (RuntimeError, ValueError, IndexError, TypeError):
                return False
        return len(own) == len(answers) and all(map(_alike, own, answers))


def _without(axes: Axes, fixed: str) -> Axes:
    """The same with the example's own size of the batch, or of the time."""
    labels = [[None if one == fixed else one for one in row] for row in axes.labels]
    working = {label: size for label, size in axes.working.items() if label != fixed}
    return Axes(labels, working)


def _tries(point: Mapping[str, int], axes: Axes) -> Iterator[dict[str, int]]:
    """Other sizes, the likeliest to work and to be told apart first: longer ones and shorter."""
    batch, time = point.get(BATCH), point.get(TIME)
    times: list[int | None] = [None]
    if time is not None:
        known = axes.working[TIME]
        times = [time + 3, time - 1, time // 2, known, 2 * time, time + 1, time + 2]
        times += [3 * time, 4 * time, time - 2, time // 4, time - 3]
        times = [t for t in dict.fromkeys(times) if t is not None and t >= 2 and t != time]
    batches: list[int | None] = [None]
    if batch is not None:
        known = axes.working[BATCH]
        batches = [b for b in dict.fromkeys((2, 3, 5, known, 7, 2 * batch)) if b not in (batch, 0)]
    for steps in times:
        for count in batches:
            found = {} if count is None else {BATCH: count}
            yield found if steps is None else {**found, TIME: steps}


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same numbers, but for the order of sums."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not torch.is_floating_point(one):
        return bool((one == other).all())
    size = float(torch.nan_to_num(one).abs().max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=0, atol=_TOLERANCE * max(size, 1e-300), equal_nan=True)
