"""Every value that passes through a converted module, in floats and as the chip has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lnn2loihi.converted.pieces import AnyArray, ChipPart
from lnn2loihi.converted.running import pass_through
from lnn2loihi.converted.structure import Given
from lnn2loihi.showing import Brief, Said, Shown, Table
from lnn2loihi.simulation.result import SimulationResult

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule


@dataclass(frozen=True, eq=False)
class TracedValue(Brief):
    """A value, by its name.

    Attributes:
        name: its name.
        made_by: name of the part that answers it; "" for inputs and constants.
        on_chip: whether that is a chip part.
        answered: what it is where chip parts run in integers, decoded.
        floats: what it is with the float networks in their place; None where there are none.
    """

    name: str
    made_by: str
    on_chip: bool
    answered: AnyArray
    floats: AnyArray | None


@dataclass(frozen=True, eq=False)
class ConvertedTrace(Shown):
    """What `ConvertedModule.trace` returns.

    Attributes:
        values: all of them by name, in the order in which they are made.
        parts: for each chip part what its program answered, with all states.
    """

    values: Mapping[str, TracedValue]
    parts: Mapping[str, SimulationResult]

    def __getitem__(self, name: str) -> TracedValue:
        """The value of that name."""
        return self.values[name]

    def _headline(self) -> str:
        return f"{len(self.values)} values, parts {', '.join(self.parts)}"

    def _shown(self) -> list[Said]:
        """Names, shapes and who makes them, as text."""
        rows = [
            (v.name, v.made_by or "given", "chip" if v.on_chip else "host",
             "x".join(map(str, v.answered.shape)) or "number", str(v.answered.dtype))
            for v in self.values.values()
        ]  # fmt: skip
        return [f"{len(rows):,} values", Table(("value", "made by", "on", "shape", "type"), rows)]


def traced(converted: ConvertedModule, given: Given, executor: str) -> ConvertedTrace:
    """See `ConvertedModule.trace`."""
    integers = pass_through(converted, given, executor, return_states=True)
    floats: Mapping[str, AnyArray] = {}
    if converted.has_floats:
        floats = pass_through(converted, given, executor=None).values
    made_by = {name: part for part in converted.parts for name in part.answers}
    values: dict[str, TracedValue] = {}
    for name, answered in integers.values.items():
        part = made_by.get(name)
        values[name] = TracedValue(
            name, part.name if part else "", isinstance(part, ChipPart), answered,
            floats.get(name),
        )  # fmt: skip
    return ConvertedTrace(values, {name: run.result for name, run in integers.runs.items()})
