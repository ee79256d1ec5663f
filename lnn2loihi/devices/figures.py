"""The vocabulary of profiles: every figure that a device may have, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: How a figure is known, best first.
GRADES: Mapping[str, str] = {
    "measured": "read from an instrument on this kind of device",
    "calibrated": "derived from measurements of whole programs",
    "vendor": "stated by the manufacturer",
    "assumed": "carried over from another device, or a guess that is said to be one",
}
#: Largest number in SI units: far above every device, far below what float64 products lose.
LARGEST = 1e18
KINDS = ("loihi", "cpu", "gpu")

Role = Literal["limit", "cost"]


@dataclass(frozen=True)
class Definition:
    """What a figure is.

    Attributes:
        name: its name in profiles.
        unit: SI unit.
        role: `limit`: what fits; `cost`: a parameter of time and energy.
        kinds: kinds of devices that may have it.
        meaning: a phrase for tables.
        required: whether a device of these kinds must have it.
        whole: whether it is a whole number, 1 or more.
        symbol: its name in the equations of docs/cost.md.
        largest: largest number that is believed; of what placement makes tables of, far above
            every system and little enough for this machine.
    """

    name: str
    unit: str
    role: Role
    kinds: tuple[str, ...]
    meaning: str
    required: bool = True
    whole: bool = False
    symbol: str = ""
    largest: float = LARGEST


def _limit(
    name: str, unit: str, meaning: str, required: bool = True, largest: float = LARGEST
) -> Definition:
    return Definition(
        name, unit, "limit", ("loihi",), meaning, required, whole=True, largest=largest
    )


def _cost(name: str, unit: str, symbol: str, meaning: str, required: bool = True) -> Definition:
    return Definition(name, unit, "cost", ("loihi",), meaning, required, symbol=symbol)


_CPU_AND_GPU = ("cpu", "gpu")

_ALL = (
    _limit("chips", "1", "chips of the board or system", largest=1 << 20),
    _limit("cores_per_chip", "1", "neuron cores of a chip that programs can use",
           largest=1 << 11),
    _limit("mesh_columns", "1", "columns of routers on a chip", largest=1 << 8),
    _limit("mesh_rows", "1", "rows of routers on a chip", largest=1 << 8),
    _limit("cores_per_router", "1", "cores that share a router", largest=1 << 8),
    _limit("neurons_per_core", "1", "neurons of a core"),
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
    _cost("static_power_per_chip", "W", "P_st", "an idle chip"),
    _cost("active_core_power", "W", "P_core", "an allocated core while the mesh steps",
          required=False),
    _cost("energy_per_step", "J", "e_0", "a chip step, each chip", required=False),
    _cost("energy_per_synaptic_operation", "J", "e_syn", "a synaptic operation"),
    _cost("energy_per_neuron_update", "J", "e_n0", "a neuron update without its instructions"),
    _cost("energy_per_instruction", "J", "e_ins", "one instruction of a neuron", required=False),
    _cost("energy_per_message", "J", "e_msg", "a message, for each destination core"),
    _cost("energy_per_hop", "J", "e_hop", "a message's way from one router to the next"),
    _cost("host_io_time", "s", "T_io", "input and output of a sample through a host",
          required=False),
    _cost("host_power", "W", "P_host", "board and host during that time", required=False),
    Definition("thermal_design_power", "W", "limit", _CPU_AND_GPU, "sustained power at full load"),
    Definition("idle_power", "W", "cost", _CPU_AND_GPU, "power when nothing runs", required=False),
    Definition("threads", "1", "limit", ("cpu",), "hardware threads", whole=True),
    Definition("clock", "Hz", "limit", _CPU_AND_GPU, "base clock", required=False),
)  # fmt: skip

#: Every figure by name.
DEFINITIONS: Mapping[str, Definition] = {definition.name: definition for definition in _ALL}
#: The parameters of Loihi's time and energy, in the order in which they are sampled.
COST_PARAMETERS: tuple[str, ...] = tuple(
    d.name for d in _ALL if d.role == "cost" and d.kinds == ("loihi",)
)


def required_figures(kind: str) -> list[str]:
    """Names of the figures that a device of a kind must have."""
    return [d.name for d in DEFINITIONS.values() if d.required and kind in d.kinds]
