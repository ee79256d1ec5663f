"""A device: its limits and costs, each figure with unit, range, source and grade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lnn2loihi.arguments import checks_fields, checks_kinds
from lnn2loihi.devices.packages import device_tables
from lnn2loihi.devices.units import with_prefix
from lnn2loihi.errors import DeviceError
from lnn2loihi.frozen import read_only_mapping
from lnn2loihi.showing import Said, Shown, Table


@checks_fields(DeviceError)
@dataclass(frozen=True)
class Figure(Shown):
    """One figure of a device.

    Attributes:
        value: nominal value, in the unit.
        low: 5 % end of what is believable (equal to the value where it is exact).
        high: 95 % end.
        unit: SI unit; "1" for counts.
        source: where it comes from.
        grade: how it is known, one of `lnn2loihi.devices.GRADES`.
    """

    value: float
    low: float
    high: float
    unit: str
    source: str
    grade: str

    def _headline(self) -> str:
        return f"{self.summary()}, {self.range_text or 'exact'}, {self.grade}"

    def _shown(self) -> list[Said]:
        """The value with a suitable prefix: 1.5 ns."""
        return [with_prefix(self.value, self.unit)]

    @property
    def range_text(self) -> str:
        """The range with suitable prefixes; empty where the value is exact."""
        if self.low == self.high:
            return ""
        return f"{with_prefix(self.low, self.unit)} to {with_prefix(self.high, self.unit)}"


@checks_fields(DeviceError)
@dataclass(frozen=True)
class Device(Shown):
    """A chip, board or computer.

    Attributes:
        name: the profile's file name without suffix.
        title: name for people.
        kind: `loihi`, `cpu`, `gpu`, or a kind that a package brings.
        figures: limits and costs by name; the table of its kind says what each means.
        not_public: limits and costs that the device has not, or that nobody has published, with
            what is known about them. They are not checked and not guessed.
        notes: what a reader of its numbers should know, a sentence or two each.
        core: of a micro-controller the processor core that C is compiled for, such as "cortex-m33",
            or its kind, such as "riscv32"; empty where the profile names none.
        source_file: where the profile was read.
    """

    name: str
    title: str
    kind: str
    figures: Mapping[str, Figure]
    not_public: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source_file: str = ""
    core: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", read_only_mapping(self.figures))
        object.__setattr__(self, "not_public", read_only_mapping(self.not_public))
        object.__setattr__(self, "notes", tuple(self.notes))

    @checks_kinds(DeviceError)
    def get(self, name: str) -> Figure | None:
        """A figure, or None where the device has none of this name."""
        return self.figures.get(name)

    @checks_kinds(DeviceError)
    def figure(self, name: str) -> Figure:
        """A figure.

        Raises:
            DeviceError: the device has none of this name; says what is known about it.
        """
        found = self.figures.get(name)
        if found is not None:
            return found
        why = self.not_public.get(name)
        reason = f"has no figure {name!r}"
        reason += f": {why}" if why else f"; a profile of your own can give it ({self.source_file})"
        raise DeviceError(f"device {self.name!r}", reason)

    @checks_kinds(DeviceError)
    def value(self, name: str) -> float:
        """The nominal value of a figure, in its SI unit.

        Raises:
            DeviceError: the device has none of this name.
        """
        return self.figure(name).value

    @checks_kinds(DeviceError)
    def count(self, name: str) -> int:
        """A limit that is a whole number.

        Raises:
            DeviceError: the device has none of this name.
        """
        return int(self.value(name))

    def _headline(self) -> str:
        return f"{self.name!r}, {self.title}, {self.kind}, {len(self.figures)} figures"

    def _shown(self) -> list[Said]:
        """Everything that is known, as text."""
        defined = device_tables().definitions
        of_core = f", core {self.core}" if self.core else ""
        lines: list[Said] = [f"{self.name}: {self.title} ({self.kind}{of_core})"]
        for role, heading in (("limit", "limits"), ("cost", "costs")):
            rows = [
                (name, str(figure), figure.range_text, figure.grade)
                for name, figure in self.figures.items()
                if (defined[name].role if name in defined else "limit") == role
            ]
            if rows:
                lines += ["", Table((heading, "value", "range", "grade"), rows)]
        sources = {name: figure.source for name, figure in self.figures.items()}
        for heading, texts in (("sources", sources), ("not public", self.not_public)):
            if texts:
                lines += ["", f"{heading}:", *(f"  {name}: {text}" for name, text in texts.items())]
        lines += [""] * bool(self.notes) + [f"- {note}" for note in self.notes]
        return [*lines, "", f"read from {self.source_file}"]

    def to_dict(self) -> dict[str, Any]:
        """The device as plain data for JSON."""
        return {
            **vars(self),
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "not_public": dict(self.not_public),
        }
