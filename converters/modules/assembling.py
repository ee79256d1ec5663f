"""Makes a ConvertedModule of a recording: networks for the chip, functions for the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lnn2loihi.converted.parts import (
    ChipPart,
    ChipPort,
    ConvertedModule,
    HostPart,
    ModuleInput,
    Part,
    StatePort,
    ValueName,
)
from lnn2loihi.converters.modules.affine import Affine
from lnn2loihi.converters.modules.atoms import Call, Given, Initial
from lnn2loihi.converters.modules.building import Builder, Crossing, heard_by
from lnn2loihi.converters.modules.cutting import Cut, Group
from lnn2loihi.converters.modules.flows import Flow, Kept
from lnn2loihi.converters.provenance import with_source
from lnn2loihi.converters.trace.axes import BATCH, FEATURES, TIME
from lnn2loihi.converters.trace.graph import Node, Ref, refs, replaced
from lnn2loihi.converters.trace.host import (
    TorchFunction,
    between,
    host_module,
    multiply_adds,
    needed,
)
from lnn2loihi.converters.trace.recording import Recording
from lnn2loihi.converters.trace.types import answer_types


@dataclass(frozen=True, eq=False)
class _Output:
    """A value that a part answers with: a flow, what another part on the chip hears, or a state.

    Attributes:
        name: of the value.
        place: its first row in the network's answer.
        flow: a value of the recording.
        crossing: what another part hears.
        state: the state, with the number of its value.
    """

    name: str
    place: int = 0
    flow: Flow | None = None
    crossing: Affine | None = None
    state: tuple[int, Kept] | None = None


@dataclass(eq=False)
class _OnChip:
    """A part on the chip that is being put together."""

    group: Group
    name: str
    builder: Builder
    rows: list[Affine] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)
    outputs: list[_Output] = field(default_factory=list)

    def place_of(self, expression: Affine) -> int:
        """The first row of an output."""
        if expression.digest not in self.places:
            self.places[expression.digest] = sum(own.rows for own in self.rows)
            self.rows.append(expression)
        return self.places[expression.digest]


class Assembler:
    """Puts the parts together.

    Args:
        recording: the recording.
        cut: where everything runs.
        name: of the module.
    """

    def __init__(self, recording: Recording, cut: Cut, name: str) -> None:
        self.recording, self.cut, self.name = recording, cut, name
        self.graph = recording.graph
        self.constants: dict[str, np.ndarray] = {}
        self._names: dict[int, str] = {given.number: given.name for given in recording.inputs}
        self._floats = (
            "float64" if any(i.dtype == "float64" for i in recording.inputs) else "float32"
        )

    def assemble(self, notes: Iterable[str] = ()) -> ConvertedModule:
        """The module in parts."""
        groups = self.cut.groups()
        chips = self._on_chip(groups)
        parts: list[Part] = []
        top = max(group.level for group in groups)
        for level in range(top + 1):
            parts += [self._chip_part(chip) for chip in chips if chip.group.level == level]
            parts += self._host_parts(level, top, chips)
        recording, module = self.recording, self.recording.module
        answer = replaced(recording.answer, Ref, self._answer)
        types = answer_types(recording)
        arguments = replaced(
            recording.arguments, Ref, lambda ref: ValueName(self.named(ref.number))
        )
        return ConvertedModule(
            self.name,
            tuple(
                ModuleInput(one.name, one.axes, tuple(one.tensor.shape), _kind(one.dtype))
                for one in recording.inputs
            ),
            arguments,
            tuple(parts),
            answer,
            {one.name: one.tensor.numpy().astype(_kind(one.dtype)) for one in recording.inputs},
            self.constants,
            (*recording.notes, *self._notes(parts), *_of_types(types), *notes),
            multiply_adds(recording, range(len(self.graph.nodes))),
            module if recording.method == "forward" else getattr(module, recording.method),
            recording.kept,
            {self.named(number): kind for number, kind in types.items()},
        )

    @property
    def numbers(self) -> dict[str, int]:
        """The values of the recording by name."""
        return {name: number for number, name in self._names.items()}

    def named(self, number: int) -> str:
        """The name of a value."""
        if number not in self._names:
            value, node = self.graph.values[number], self.cut.producer.get(number)
            base = value.name or value.origin
            if node is not None:
                base = node.path if node.path else node.operator
                places = [ref.number for ref in refs(node.answer)]
                place = places.index(number)
                base += f".{place}" if place else ""
            self._names[number] = self._unused(base)
        return self._names[number]

    def _unused(self, base: str) -> str:
        taken = set(self._names.values())
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        return name

    def _answer(self, ref: Ref) -> ValueName:
        if not self.cut.is_computed(ref.number):
            self._constant(ref.number)
        return ValueName(self.named(ref.number))

    def _constant(self, number: int, values: np.ndarray | None = None) -> str:
        name = self.named(number)
        array = self.graph.values[number].tensor.detach().numpy() if values is None else values
        floating = np.issubdtype(array.dtype, np.floating)
        self.constants[name] = array.astype(self._floats) if floating else array
        return name

    def _on_chip(self, groups: list[Group]) -> list[_OnChip]:
        found: list[_OnChip] = []
        for group in groups:
            paths = [call.path or call.parts.layers[0].name for call in group.calls]
            name = "_".join(dict.fromkeys(path.replace(".", "_") for path in paths))[:60]
            while name in {one.name for one in found}:
                name += "_again"
            found.append(_OnChip(group, name, Builder(name, group.items)))
        of = {id(chip.group): chip for chip in found}
        for chip in found:
            for item in chip.group.items:
                for own in heard_by(item):
                    self._cross(chip, own, of)
        answered = {*self.cut.answers}
        begun = {one.number for chip in found for call in chip.group.calls for one in call.initial}
        for number in sorted(self.cut.wanted):
            home = self.cut.home(number)
            if home is None:
                continue
            chip, meaning = of[id(home)], self.cut.reader.meanings[number]
            state = meaning if isinstance(meaning, Kept) else meaning.state
            exact = state is not None and state.at == state.call.base.time - 1
            name = self.named(number)
            whole = not isinstance(meaning, Flow)
            if state is not None and (whole or (exact and number in answered | begun)):
                chip.outputs.append(_Output(name, state=(number, state)))
            elif isinstance(meaning, Flow):
                place = chip.place_of(meaning.expression)
                chip.outputs.append(_Output(name, place, meaning))
        return found

    def _cross(self, chip: _OnChip, expression: Affine, of: dict[int, _OnChip]) -> None:
        """What a part hears of earlier ones."""
        foreign = [
            atom
            for atom in expression.atoms
            if not isinstance(atom, Given) and self.cut.group_of(atom) is not chip.group
        ]
        if not foreign:
            return
        home = self.cut.home_of(expression)
        wholes = [expression] if home is not None else [Affine.of(atom) for atom in foreign]
        for whole, key in zip(
            wholes, [expression.digest] if home else [a.digest for a in foreign], strict=True
        ):
            if key in chip.builder.crossings:
                continue
            sender = of[id(home or self.cut.group_of(whole.atoms[0]))]
            place = sender.place_of(whole)
            name = next((one.name for one in sender.outputs if one.crossing == whole), "")
            if not name:
                name = self._unused(f"{whole.atoms[0].name or sender.name} to {chip.name}")
                self._names[-1 - len(self._names)] = name
                sender.outputs.append(_Output(name, place, crossing=whole))
            chip.builder.crossings[key] = Crossing(name, whole)

    def _chip_part(self, chip: _OnChip) -> ChipPart:
        group, builder = chip.group, chip.builder
        elapsed = group.elapsed
        timespan = None if isinstance(elapsed, Given) else 1.0 if elapsed is None else elapsed
        network = builder.build(chip.rows, timespan)
        versions: dict[str, str] = {"importer": "modules", "class": self.name}
        for call in group.calls:
            versions |= call.importer.versions()
        outputs: list[ChipPort] = []
        final: list[StatePort] = []
        for one in chip.outputs:
            if one.state is not None:
                final.append(self._state(one.name, *one.state, builder, network))
                continue
            rows = (
                one.flow.expression.rows if one.flow else one.crossing.rows if one.crossing else 0
            )
            columns = tuple(range(one.place, one.place + rows))
            axes = one.flow.axes if one.flow else (BATCH, TIME, FEATURES)
            at = _at(one.flow.at, one.flow.base.time) if one.flow else None
            outputs.append(ChipPort(one.name, axes, columns, at))
        return ChipPart(
            chip.name,
            with_source(network, versions),
            tuple(self._inputs(builder)),
            tuple(outputs),
            self._port(elapsed, ()) if isinstance(elapsed, Given) else None,
            tuple(
                self._initial(call, one, builder, network)
                for call in group.calls
                for one in call.initial
            ),
            tuple(final),
        )

    def _inputs(self, builder: Builder) -> Iterable[ChipPort]:
        for digest, (source, _) in builder.sources.items():
            columns = builder.columns(digest)
            if isinstance(source, Given):
                for at, number in enumerate(self.cut.reader.numbers_of(source)):
                    yield self._port(replace(source, number=number), columns, at)
            else:
                yield ChipPort(source.name, (BATCH, TIME, FEATURES), columns)

    def _port(self, given: Given, columns: tuple[int, ...], step: int = 0) -> ChipPort:
        if not self.cut.is_computed(given.number):
            self._constant(given.number)
        at = None if TIME in given.axes else step
        return ChipPort(self.named(given.number), given.axes, columns, at)

    def _initial(self, call: Call, one: Initial, builder: Builder, network: Any) -> StatePort:
        number = one.number
        value = self.graph.values[number]
        units = builder.states(network, call, one.place)
        shape, axis = _state_shape(value.shape, len(units), call.base.batch)
        if not value.depends:
            array = value.tensor.detach().numpy()
            rows = array if axis is None else array.take(0, axis)
            if axis is not None and (array == np.expand_dims(rows, axis)).all():
                array, axis = rows, None
            self._constant(number, array)
        return StatePort(self.named(number), shape, axis, tuple(units))

    def _state(
        self, name: str, number: int, kept: Kept, builder: Builder, network: Any
    ) -> StatePort:
        units = builder.states(network, kept.call, kept.place)
        shape = self.graph.values[number].shape
        shape, axis = _state_shape(shape, len(units), kept.call.base.batch)
        return StatePort(name, shape, axis, tuple(units))

    def _host_parts(self, level: int, top: int, chips: list[_OnChip]) -> list[HostPart]:
        """What the host computes after a level of the chip."""
        cut = self.cut
        own = [n for n in cut.wanted if cut.home(n) is None and n in cut.producer]
        here = [n for n in own if cut.level(n) == level]
        later = set(cut.answers)
        for chip in chips:
            for item in chip.group.items:
                later |= set(cut.given(item))
            later |= {n for a in _givens(chip.rows) for n in cut.reader.numbers_of(a)}
        for number in own:
            if cut.level(number) > level:
                later |= set(cut.operands(number))
        wanted = sorted(later & set(here))
        if not wanted:
            return []
        there = [given.number for given in self.recording.inputs]
        for number in cut.wanted:
            before = cut.level(number) < level
            chip = cut.home(number) is not None and cut.level(number) == level
            if number not in here and number not in there and (before or chip):
                there.append(number)
        given = needed(self.recording, wanted, there)
        nodes = between(self.recording, given, wanted)
        module = host_module(self.recording, given, wanted)
        inputs = tuple(map(self.named, given))
        outputs = tuple(map(self.named, wanted))
        name = "before" if level == 0 else "after" if level == top else f"between_{level}"
        reasons = [cut.reader.reasons[place] for place in nodes if place in cut.reader.reasons]
        reasons = reasons or [self._why(self.graph.nodes[nodes[0]])]
        return [
            HostPart(
                name,
                inputs,
                outputs,
                TorchFunction(module, inputs, outputs),
                tuple(self.graph.nodes[place].operator for place in nodes),
                tuple(dict.fromkeys(reasons)),
                multiply_adds(self.recording, nodes),
            )
        ]

    def _why(self, node: Node) -> str:
        """Why a node that the chip has nothing against stays on the host."""
        given = [ref.number for ref in refs((node.arguments, node.keywords))]
        if any(self.cut.home(number) is not None for number in given):
            return (
                f"{node.where} puts together what several parts on the chip answer, which keep "
                "another time, or hear each other"
            )
        return (
            f"{node.where} is given something else than samples that have one axis of features, "
            "and all the same time"
        )

    def _notes(self, parts: list[Part]) -> Iterable[str]:
        chips = [place for place, part in enumerate(parts) if isinstance(part, ChipPart)]
        for place, part in enumerate(parts):
            if isinstance(part, HostPart) and chips[0] < place < chips[-1]:
                operators = ", ".join(dict.fromkeys(part.operators))
                yield (
                    f"{part.name} ({operators}) stands between parts on the chip: the chip waits "
                    "for the host there, in each step where samples come one by one, or for a "
                    "whole sequence where it mixes steps"
                )
        for name in self.recording.kept:
            yield (
                f"forward keeps {name} for its next call; here each call of predict begins as this "
                "example did, and open_stream() gives calls that go on"
            )


def _givens(expressions: Iterable[Affine]) -> list[Given]:
    return [atom for own in expressions for atom in own.atoms if isinstance(atom, Given)]


def _of_types(types: Mapping[int, str]) -> Iterable[str]:
    for kind in sorted(set(types.values())):
        fewer = kind != "float64"
        yield (
            f"answers are {kind}, as forward's are; "
            + ("the host computes in float32, which is finer" if fewer else "")
            + ("" if fewer else "what the chip answers has the digits of its words all the same")
        )


def _kind(name: str) -> str:
    """The type of an array: NumPy has no bfloat16."""
    return "float32" if name == "bfloat16" else name


def _at(at: int | None, steps: int) -> int | None:
    return -1 if at == steps - 1 else at


def _state_shape(
    shape: tuple[int, ...], units: int, batch: int
) -> tuple[tuple[int, ...], int | None]:
    """The shape of a state without the axis of the batch, and where that is: before the last."""
    size = int(np.prod(shape))
    if len(shape) >= 2 and shape[-2] == batch and size == units * batch:
        axis = len(shape) - 2
        return (*shape[:axis], shape[-1]), axis
    return shape, None
