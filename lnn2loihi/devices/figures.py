"""The vocabulary of profiles: kinds of devices, the figures of each, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lnn2loihi.arguments import checks_fields
from lnn2loihi.devices.units import UNITS
from lnn2loihi.errors import DeviceError, Problems
from lnn2loihi.printable import is_line

#: How a figure is known, best first.
GRADES: Mapping[str, str] = {
    "measured": "read from an instrument on this kind of device",
    "calibrated": "derived from measurements of whole programs",
    "logged": "read off public logs of the manufacturer's compiler",
    "vendor": "stated by the manufacturer",
    "assumed": "carried over from another device, or a guess that is said to be one",
}
#: Largest number in SI units: far above every device, far below what float64 products lose.
LARGEST = 1e18
#: What placement asks of every device that programs are placed on.
PLACED = (
    "chips", "cores_per_chip", "mesh_columns", "mesh_rows", "cores_per_router", "time_per_step",
    "time_per_synaptic_operation", "time_per_neuron_update", "time_per_message",
    "static_power_per_chip",
)  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,59}")

Role = Literal["limit", "cost"]


@checks_fields(DeviceError)
@dataclass(frozen=True)
class Definition:
    """What a figure is.

    Attributes:
        name: its name in profiles.
        unit: SI unit, one of `lnn2loihi.devices.units.UNITS`; "1" for counts.
        role: `limit`: what fits; `cost`: a parameter of time and energy.
        meaning: a phrase for tables.
        required: whether a device of its kinds must have it.
        whole: whether it is a whole number, 1 or more.
        symbol: its name in the equations of docs/cost.md.
        largest: largest number that is believed; of what placement makes tables of, far above
            every system and little enough for this machine.

    Raises:
        DeviceError: lists everything that is wrong with it.
    """

    name: str
    unit: str
    role: Role
    meaning: str
    required: bool = True
    whole: bool = False
    symbol: str = ""
    largest: float = LARGEST

    def __post_init__(self) -> None:
        problems = Problems(DeviceError, f"figure {self.name!r:.60}")
        problems.extend(_name_problems(self.name))
        if self.unit not in UNITS:
            problems.add(f"its unit {self.unit!r:.60} is unknown; there are {', '.join(UNITS)}")
        if not (self.meaning.strip() and is_line(self.meaning)):
            problems.add("its meaning is no line of text; say what it is in a phrase")
        if not 0.0 < self.largest <= LARGEST:
            problems.add(f"its largest number is {self.largest!r:.60}, expected 0 to {LARGEST:g}")
        problems.raise_if_any()


@checks_fields(DeviceError)
@dataclass(frozen=True)
class DeviceKind:
    """A kind of devices, as a table.

    Attributes:
        name: as profiles say it.
        title: its name for people.
        figures: all that its devices may have.
        rules: that a program has to keep on it, names of ours (`lnn2loihi.placement.rules`), or
            `Rule`s. Programs are placed on the devices of kinds that have some;
            their figures have to include those that placement computes with, as required ones.
        shown: the required figure that a list of devices shows.
        parts: pairs of figures, the first of which cannot be larger than the second.

    Raises:
        DeviceError: lists everything that is wrong with the table.
    """

    name: str
    title: str
    figures: tuple[Definition, ...]
    rules: tuple[Any, ...] = ()
    shown: str = ""
    parts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("figures", "rules", "parts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        problems = Problems(DeviceError, f"kind {self.name!r:.60}")
        problems.extend(_name_problems(self.name))
        names = [definition.name for definition in self.figures]
        problems.extend(f"it has two figures {name!r}" for name in _twice(names))
        problems.extend(rule_problems(self.rules))
        rules = _twice(map(rule_name, self.rules))
        problems.extend(f"it has two rules {name!r}" for name in rules if name)
        required = self.required
        if self.shown and self.shown not in required:
            problems.add(f"shown is {self.shown!r:.60}, expected a required figure of it")
        for name in dict.fromkeys(name for pair in self.parts for name in pair):
            if name not in names:
                problems.add(f"parts names {name!r:.60}, which is no figure of it")
        lacking = [name for name in PLACED if name not in required]
        if self.rules and lacking:
            problems.add(
                f"it has rules, so programs are placed on it, which takes {', '.join(lacking)} as "
                "required figures too"
            )
        problems.raise_if_any()

    @property
    def required(self) -> list[str]:
        """Names of the figures that each of its devices must have."""
        return [definition.name for definition in self.figures if definition.required]


def rule_name(rule: object) -> str:
    """The name of a rule of a table; empty where it has none."""
    name = rule if isinstance(rule, str) else getattr(rule, "name", "")
    return name if isinstance(name, str) and name.isidentifier() else ""


def rule_problems(rules: Iterable[object]) -> Iterator[str]:
    """What is wrong with the rules of a table, one by one."""
    for rule in rules:
        if not rule_name(rule):
            yield (
                f"the rule {rule!r:.60} has no name; give a lnn2loihi.placement.Rule of a function "
                "that is named after its limit, or the name of one of ours"
            )
        elif not isinstance(rule, str) and not callable(getattr(rule, "violations", None)):
            yield f"the rule {rule_name(rule)!r} is no lnn2loihi.placement.Rule"


def _name_problems(name: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield "its name is not made of at most 60 of a to z, 0 to 9, _ and -, a letter first"


def _twice(names: Iterable[str]) -> list[str]:
    listed = list(names)
    return [name for name in dict.fromkeys(listed) if listed.count(name) > 1]


def _limit(
    name: str, unit: str, meaning: str, required: bool = True, largest: float = LARGEST
) -> Definition:
    return Definition(name, unit, "limit", meaning, required, whole=True, largest=largest)


def _cost(name: str, unit: str, symbol: str, meaning: str, required: bool = True) -> Definition:
    return Definition(name, unit, "cost", meaning, required, symbol=symbol)


_CHIP = (
    _limit("chips", "1", "chips of the board or system", largest=1 << 20),
    _limit("cores_per_chip", "1", "neuron cores of a chip that programs can use",
           largest=1 << 11),
    _limit("mesh_columns", "1", "columns of routers on a chip", largest=1 << 8),
    _limit("mesh_rows", "1", "rows of routers on a chip", largest=1 << 8),
    _limit("cores_per_router", "1", "cores that share a router", largest=1 << 8),
    _limit("neurons_per_core", "1", "neurons of a core"),
    _limit("neuron_groups_per_core", "1", "populations of which a core may hold neurons",
           required=False),
    _limit("synapses_per_chip", "1", "synapses of a chip", required=False),
    _limit("axons_in_per_core", "1", "axons that reach a core", required=False),
    _limit("axons_out_per_core", "1", "axons that leave a core", required=False),
    _limit("memory_per_core", "B", "memory of a core, all purposes"),
    _limit("synaptic_memory_per_core", "B", "memory of a core that can hold synapses"),
    _limit("state_per_neuron", "B", "state of a neuron"),
    _cost("time_per_step", "s", "t0", "shortest chip step"),
    _cost("time_per_synaptic_operation", "s", "t_syn", "a synaptic operation, on its core"),
    _cost("time_per_neuron_update", "s", "t_n0", "a neuron update without its instructions"),
    _cost("time_per_instruction", "s", "t_ins", "one instruction of a neuron", required=False),
    _cost("time_per_message", "s", "t_msg", "a message that arrives at a core"),
    _cost("time_per_spike", "s", "t_spike", "a neuron's message, once, on the core that sends it",
          required=False),
    _cost("time_per_outgoing_message", "s", "t_out",
          "a message that leaves a core, for each destination core", required=False),
    _cost("time_per_link_message", "s", "t_link", "a message on a link of the mesh",
          required=False),
    _cost("static_power_per_chip", "W", "P_st", "an idle chip"),
    _cost("active_core_power", "W", "P_core", "an allocated core while the mesh steps",
          required=False),
    _cost("energy_per_step", "J", "e_0", "a chip step, each chip", required=False),
    _cost("energy_per_synaptic_operation", "J", "e_syn", "a synaptic operation"),
    _cost("energy_per_neuron_update", "J", "e_n0", "a neuron update without its instructions"),
    _cost("energy_per_instruction", "J", "e_ins", "one instruction of a neuron", required=False),
    _cost("energy_per_spike", "J", "e_spike", "a neuron's message, once, on the core that sends it",
          required=False),
    _cost("energy_per_message", "J", "e_msg", "a message, for each destination core"),
    _cost("energy_per_hop", "J", "e_hop", "a message's way from one router to the next"),
    _cost("host_io_time", "s", "T_io", "input and output of a sample through a host",
          required=False),
    _cost("host_power", "W", "P_host", "board and host, as long as they serve the chip",
          required=False),
    _cost("time_per_board_message", "s", "t_board",
          "a message between the chip and its board, in or out", required=False),
    _cost("board_power", "W", "P_board", "the board beside its chips, as long as it serves them",
          required=False),
)  # fmt: skip
_FULL_POWER = Definition("thermal_design_power", "W", "limit", "sustained power at full load")
_IDLE_POWER = Definition("idle_power", "W", "cost", "power when nothing runs", required=False)
_THREADS = Definition("threads", "1", "limit", "hardware threads", whole=True)
_CLOCK = Definition("clock", "Hz", "limit", "base clock", required=False)
_POWERS = (("idle_power", "thermal_design_power"),)

#: Order of the rules is that of reports.
LOIHI = DeviceKind(
    "loihi", "Loihi", _CHIP, shown="static_power_per_chip",
    parts=(("synaptic_memory_per_core", "memory_per_core"),
           ("state_per_neuron", "memory_per_core")),
    rules=("programmable_neurons", "weight_bits", "message_bits", "delay", "state_per_neuron",
           "neurons_per_core", "neuron_groups_per_core", "synaptic_memory_per_core",
           "memory_per_core", "axons_in_per_core", "axons_out_per_core", "synapses_per_chip",
           "chips"),
)  # fmt: skip
CPU = DeviceKind("cpu", "CPU", (_FULL_POWER, _IDLE_POWER, _THREADS, _CLOCK),
                 shown="thermal_design_power", parts=_POWERS)  # fmt: skip
GPU = DeviceKind("gpu", "GPU", (_FULL_POWER, _IDLE_POWER, _CLOCK),
                 shown="thermal_design_power", parts=_POWERS)  # fmt: skip
#: Computed by the model of `lnn2loihi.cost.microcontroller`; its times are of its own code, so they
#: have names of their own.
MICROCONTROLLER = DeviceKind(
    "mcu", "micro-controller",
    (
        _limit("flash_memory", "B", "memory for code and weights"),
        _limit("working_memory", "B", "memory for states and messages"),
        _CLOCK,
        _cost("time_per_multiply_accumulate", "s", "t_mac", "a multiply-accumulate of a dense row"),
        _cost("time_per_neuron_instruction", "s", "t_nin", "an instruction of a neuron program"),
        _cost("active_power", "W", "P_run", "the part while it computes"),
        _cost("sleep_power", "W", "P_sleep", "the part between two samples"),
    ),
    shown="active_power", parts=(("sleep_power", "active_power"),),
)  # fmt: skip
#: Our kinds.
KINDS = (LOIHI, CPU, GPU, MICROCONTROLLER)
#: The parameters of Loihi's time and energy, in the order in which they are sampled.
COST_PARAMETERS: tuple[str, ...] = tuple(d.name for d in _CHIP if d.role == "cost")
#: Every figure of our kinds, by name.
DEFINITIONS: Mapping[str, Definition] = {d.name: d for kind in KINDS for d in kind.figures}
