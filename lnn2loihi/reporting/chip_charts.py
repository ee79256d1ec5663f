"""Charts of a chip: occupied cores on the mesh, load per core, and what the parameters do."""

from __future__ import annotations

from collections.abc import Sequence

from lnn2loihi.cost import ParameterEffect
from lnn2loihi.profiling.result import ChipProfile, CoreLoad, EnergySensitivity
from lnn2loihi.reporting.axis import Axis, shown
from lnn2loihi.reporting.chart import (
    CHARACTER,
    WIDTH,
    Area,
    drawing,
    legend,
    line,
    margin_for,
    rectangle,
    text,
    ticks_below,
)
from lnn2loihi.reporting.marks import box_key
from lnn2loihi.reporting.markup import Markup, element, joined

#: Chips whose meshes are drawn, cores whose load is drawn, and parameters that are ranked.
MESHES, LOADS, RANKED = 6, 120, 10
#: Smallest share of the total by which a parameter that is drawn moves it.
SEEN = 0.005
#: Room above the bars: a line for the axis, and one for the bottleneck.
TOP = 44.0
#: Shades of load in the style sheet.
SHADES = 5
#: Causes of a core's time, and their names.
RESOURCES = {
    "synapses": "synapses",
    "neurons": "neuron programs",
    "messages": "messages that arrive",
    "sending": "sending",
}


def mesh(chip: ChipProfile) -> Markup:
    """The routers of each chip with their cores; what is taken is shaded by its load."""
    largest = max((core.load for core in chip.cores), default=0.0)
    numbers = list(dict.fromkeys(core.chip for core in chip.cores))[:MESHES]
    columns = min(len(numbers), 3) or 1
    wide = (WIDTH - 12.0 * (columns - 1)) / columns
    cell = min(wide / chip.mesh_columns, 60.0)
    tall = cell * chip.mesh_rows + 30.0
    parts: list[object] = []
    for place, number in enumerate(numbers):
        left, top = (place % columns) * (wide + 12.0), (place // columns) * tall
        cores = [core for core in chip.cores if core.chip == number]
        name = f"chip {number}, " if len(numbers) > 1 or chip.chips > 1 else ""
        words = f"{name}{len(cores):,} core{'s' * (len(cores) != 1)}"
        parts.append(text(left, top + 12, words, class_="t strong"))
        parts.append(_routers(chip, cores, left, top + 18, cell, largest, number))
    height = tall * ((len(numbers) - 1) // columns + 1) if numbers else 20.0
    keys = legend(
        (box_key(f"core shade{i}"), f"up to {100 * (i + 1) // SHADES} %") for i in range(SHADES)
    )
    return joined(drawing(height, f"Cores of {chip.title}", *parts), keys)


def _routers(
    chip: ChipProfile,
    cores: Sequence[CoreLoad],
    left: float,
    top: float,
    cell: float,
    largest: float,
    number: int,
) -> Markup:
    bottleneck = None if chip.bottleneck is None else chip.cores[chip.bottleneck]
    parts: list[Markup] = []
    per_side = 1
    while per_side * per_side < chip.cores_per_router:
        per_side += 1
    inner = cell - 3.0
    small = inner / per_side
    for y in range(chip.mesh_rows):
        for x in range(chip.mesh_columns):
            here = [core for core in cores if (core.x, core.y) == (x, y)]
            corner = left + x * cell, top + y * cell
            parts.append(rectangle(*corner, inner, inner, "router"))
            for place, core in enumerate(here[: per_side * per_side]):
                at = corner[0] + (place % per_side) * small, corner[1] + place // per_side * small
                share = core.load / largest if largest > 0.0 else 0.0
                shade = min(int(share * SHADES), SHADES - 1)
                marked = " bottleneck" if core is bottleneck else ""
                words = f"core {core.index}: {core.populations}; {shown(core.load, 's')} a step"
                box = (at[0] + 0.8, at[1] + 0.8, small - 1.6, small - 1.6)
                parts.append(
                    element("g", element("title", words),
                            rectangle(*box, f"core shade{shade}{marked}"))
                )  # fmt: skip
    return joined(*parts)


def core_loads(chip: ChipProfile) -> Markup | None:
    """How long each core works in its busiest step, by cause, the slowest core marked."""
    if not chip.cores:
        return None
    order = sorted(range(len(chip.cores)), key=lambda i: -chip.cores[i].load)[:LOADS]
    kept = sorted(order, key=lambda i: (chip.cores[i].chip, chip.cores[i].index))
    y = Axis.from_zero([core.load for core in chip.cores], 170, unit="s", label="time of a step")
    left = margin_for(y.ticks(5))
    x = Axis(0.0, float(len(kept)), WIDTH - left - 10.0)
    area = Area(left, TOP, x, y)
    bare = Area(left, TOP, Axis(0.0, float(len(kept)), x.length), y)
    parts: list[object] = [_level_grid(bare)]
    slot = x.length / len(kept)
    for place, number in enumerate(kept):
        core, bottom = chip.cores[number], area.bottom
        at = left + place * slot + 0.08 * slot
        width = min(slot * 0.84, 40.0)
        at += (slot * 0.84 - width) / 2
        for cause in RESOURCES:
            height = y.place(core.seconds.get(cause, 0.0))
            bottom -= height
            parts.append(rectangle(at, bottom, width, height, f"cause {cause}"))
        if number == chip.bottleneck:
            parts.append(_bottleneck(area, at + width / 2, bottom, core))
    every = max(1, round(len(kept) / 10))
    for place in range(0, len(kept), every):
        name = _core_name(chip, chip.cores[kept[place]])
        if CHARACTER * len(name) < every * slot:
            centre = left + (place + 0.5) * slot
            parts.append(text(centre, area.bottom + 14, name, "middle", "t tick"))
    parts.append(text(area.right, area.bottom + 30, "number of the core", "end", "t label"))
    keys = legend((box_key(f"cause {cause}"), words) for cause, words in RESOURCES.items())
    return joined(drawing(area.bottom + 36, "Load per core", *parts), keys)


def _core_name(chip: ChipProfile, core: CoreLoad) -> str:
    return f"{core.chip}.{core.index}" if chip.chips > 1 else str(core.index)


def _level_grid(area: Area) -> Markup:
    parts: list[Markup] = []
    for value, words in area.y.ticks(5):
        _, y = area.at(0.0, value)
        parts.append(line(area.left, y, area.right, y, "grid"))
        parts.append(text(area.left - 5, y + 4, words, "end", "t tick"))
    parts.append(text(2, 12, area.y.label, class_="t label"))
    return joined(*parts, line(area.left, area.bottom, area.right, area.bottom, "axis"))


def _bottleneck(area: Area, x: float, y: float, core: CoreLoad) -> Markup:
    words = f"bottleneck, {shown(core.load, 's')}"
    half = CHARACTER * len(words) / 2
    centre = min(max(x, area.left + half), area.right - half)
    return joined(
        element("path", d=f"M{x:.1f} {y - 2:.1f}l-4 -7h8Z", class_="pointer"),
        text(centre, y - 13, words, "middle", "t strong halo"),
    )


def visible(found: EnergySensitivity) -> list[ParameterEffect]:
    """The parameters whose range moves the total by what an eye can see, largest first."""
    least = SEEN * found.total_energy
    return [effect for effect in found.effects if effect.swing >= least][:RANKED]


def sensitivity(found: EnergySensitivity) -> Markup | None:
    """What each parameter's range does to the total energy: a tornado."""
    ranked = visible(found)
    if not ranked:
        return None
    values = [v for e in ranked for v in (e.total_at_low, e.total_at_high)]
    row, top = 34.0, 6.0
    label = "total energy per sample"
    inner = Axis.around([*values, found.total_energy], WIDTH - 20.0, unit="J")
    area = Area(10.0, top, inner, Axis(0.0, 1.0, row * len(ranked)))
    nominal, _ = area.at(found.total_energy, 0.0)
    parts: list[object] = [ticks_below(area, 5)]
    for place, effect in enumerate(ranked):
        y = top + place * row
        ends = sorted((effect.total_at_low, effect.total_at_high))
        (x1, _), (x2, _) = (area.at(value, 0.0) for value in ends)
        name = f"{effect.parameter.replace('_', ' ')} ({effect.grade})"
        parts.append(line(nominal, y + 13, nominal, y + 31, "axis"))  # not through the names
        parts.append(text(area.left, y + 11, name, class_="t halo"))
        parts.append(rectangle(x1, y + 15, max(x2 - x1, 1.0), 14, f"effect {effect.grade}"))
    parts.append(text(area.right, area.bottom + 30, label, "end", "t label"))
    grades = dict.fromkeys(effect.grade for effect in ranked)
    keys = legend((box_key(f"effect {grade}"), grade) for grade in grades)
    return joined(drawing(area.bottom + 38, "Which assumptions matter", *parts), keys)
