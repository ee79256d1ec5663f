"""What is on each chip: its cores, their load, what its energy depends on, and its placement."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.profiling.result import ChipProfile, EnergySensitivity
from lnn2loihi.reporting.axis import typeset
from lnn2loihi.reporting.chart import folded
from lnn2loihi.reporting.chip_charts import LOADS, MESHES, core_loads, mesh, sensitivity, visible
from lnn2loihi.reporting.markup import Markup, element, joined

#: Lines of a placement that the page shows.
LINES = 400
#: A chart of a chip, folded.
_CHART = "card breakable"


def chips_section(chips: Sequence[ChipProfile]) -> Markup:
    """Every chip; what one has in common with an earlier one is drawn once."""
    drawn: list[ChipProfile] = []
    parts: list[Markup] = []
    for chip in chips:
        twin = next((one for one in drawn if _same_cores(one, chip)), None)
        parts.append(_chip(chip, twin))
        drawn.append(chip)
    return joined(*parts)


def _same_cores(one: ChipProfile, other: ChipProfile) -> bool:
    """Whether cores, meshes and loads of two chips would be the same drawings."""
    return (one.cores, one.bottleneck, one.mesh_columns, one.mesh_rows, one.cores_per_router) == (
        other.cores, other.bottleneck, other.mesh_columns, other.mesh_rows, other.cores_per_router
    )  # fmt: skip


def _chip(chip: ChipProfile, twin: ChipProfile | None) -> Markup:
    taken = f"{len(chip.cores):,} core{'s' * (len(chip.cores) != 1)}"
    note = f"{taken} on {chip.chips:,} chip{'s' * (chip.chips != 1)}, shaded by load, in shares of "
    note += "the busiest core's. Each square is a router with its cores."
    more = len({core.chip for core in chip.cores}) - MESHES
    note += f" {more:,} more chips are not drawn." if more > 0 else ""
    loads = core_loads(chip)
    few = f"The {LOADS} busiest cores are drawn. " if len(chip.cores) > LOADS else ""
    cards: list[object] = []
    if twin is None:
        cards.append(folded("Cores on the mesh", mesh(chip), _note(note), class_=_CHART))
        if loads:
            said = _note(f"{few}Estimated, nominal parameters.")
            title = "Load per core in the slowest step"
            cards.append(folded(title, loads, said, class_=_CHART))
    if twin is None or twin.sensitivities != chip.sensitivities:
        cards += map(_tornado, chip.sensitivities)
    if chip.placement:
        cards.append(folded("Placement", element("pre", _placement(chip))))
    grid = element("div", *cards, class_="grid") if any(cards) else None
    same = None if twin is None else f"The cores and their load are those of {twin.placed}, above."
    return joined(
        element("p", chip.placed, class_="caption"), _note(same) if same else None, grid
    )  # fmt: skip


def _note(words: str) -> Markup:
    return element("p", words, class_="note")


def _tornado(found: EnergySensitivity) -> Markup | None:
    chart = sensitivity(found)
    if chart is None:
        return None
    left = sum(effect.swing > 0.0 for effect in found.effects) - len(visible(found))
    note = "One parameter at a time at the ends of its range; the line is the nominal value."
    note += f" {left} more move it by less." if left else ""
    title = f"Which assumptions matter, {typeset(found.pace)}"
    return folded(title, chart, _note(note), class_=_CHART)


def _placement(chip: ChipProfile) -> Markup:
    """The linker map; its lines stay lines."""
    lines = chip.placement.splitlines()
    more = len(lines) - LINES
    kept = lines[:LINES] + ([f"... {more:,} more lines"] if more > 0 else [])
    return Markup("\n".join(joined(line) for line in kept))
