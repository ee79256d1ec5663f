"""What the energy counters of a page compute with: the profile's figures and its mean counts."""

from __future__ import annotations

from dataclasses import dataclass

from lnn2loihi.cost.basis import Basis
from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import CHIP, ProfileRow
from lnn2loihi.reporting.axis import shown

#: Parts that are the same whatever the input is.
CONSTANT = ("neurons", "steps", "active_cores")


@dataclass(frozen=True)
class EnergyFigures:
    """Joules of what an input causes, and of what happens all the same.

    Attributes:
        label: of the row that they are those of, with its pace.
        tier: of that row.
        per_synaptic_operation: joules of one.
        per_spike: joules of a message that a neuron sends.
        per_synaptic_operation_moved: joules of messages that arrive and of their hops, for each
            synaptic operation of the profile's samples: how many messages arrive depends on the
            placement, which the page does not hold.
        constant: dynamic joules of a sample that no message changes.
        static: joules of a sample that are not dynamic: static power of the full chip, and of the
            host or the board where one serves it.
        mean_operations: synaptic operations of a sample of the profile.
        mean_dynamic: dynamic joules of a sample of the profile.
    """

    label: str
    tier: str
    per_synaptic_operation: float
    per_spike: float
    per_synaptic_operation_moved: float
    constant: float
    static: float
    mean_operations: float
    mean_dynamic: float


def energy_figures(result: ProfileResult) -> EnergyFigures | str:
    """Figures of the cheapest estimate of a chip at the profile's pace; or why there are none."""
    if result.subject.target != DEFAULT_TARGET:
        return (
            f"The profile is of the target {result.subject.target}, and this page runs the program "
            "it was made of: no energies are shown."
        )
    rows = [
        row for row in result.rows
        if row.kind == CHIP and row.status == "complete" and row.rate == result.rate
        and isinstance(row.basis, Basis) and row.total_energy is not None
    ]  # fmt: skip
    if not rows:
        return "The profile has no estimate of a chip that says what it rests on: no energies."
    return _figures(min(rows, key=_total))


def _total(row: ProfileRow) -> float:
    assert row.total_energy is not None
    return row.total_energy.middle


def _figures(row: ProfileRow) -> EnergyFigures:
    basis = row.basis
    assert isinstance(basis, Basis)
    counts = basis.demand.counts
    operations = counts["synaptic_operations"]

    def joules(name: str) -> float:
        figure = basis.figures.get(name)
        return 0.0 if figure is None else figure.value

    parts = {name: part.middle for name, part in row.energy_parts.items()}
    moved = counts["messages"] * joules("energy_per_message")
    moved += counts["hops"] * joules("energy_per_hop")
    each = joules("energy_per_synaptic_operation")
    constant = sum(parts.get(name, 0.0) for name in CONSTANT)
    pace = "at full speed" if row.rate is None else f"at {shown(row.rate, 'Hz')}"
    return EnergyFigures(
        label=f"{row.title}, {row.placement}, {row.mode}, {pace}",
        tier=row.energy_tier or row.tier,
        per_synaptic_operation=each,
        per_spike=joules("energy_per_spike"),
        per_synaptic_operation_moved=moved / operations if operations else 0.0,
        constant=constant,
        static=(row.static_energy.middle if row.static_energy else 0.0) + parts.get("io", 0.0),
        mean_operations=operations,
        mean_dynamic=operations * each + counts["spikes"] * joules("energy_per_spike") + moved
        + constant,
    )  # fmt: skip
