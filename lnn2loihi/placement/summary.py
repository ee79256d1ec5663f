"""A placement as text, like the map that a linker writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Any

from lnn2loihi.defaults import DEFAULT_TARGET
from lnn2loihi.devices import with_prefix
from lnn2loihi.graph.precedent import without_precedent
from lnn2loihi.neurons.stock import are_stock
from lnn2loihi.placement.draft import CORE_LIMITS
from lnn2loihi.showing import Said, Table
from lnn2loihi.tables import WIDTH, percent, text_table, width

if TYPE_CHECKING:
    from lnn2loihi.devices import Device
    from lnn2loihi.placement.placement import Core, Placement

#: Rows from which cores that hold the same populations share one, and most rows.
COLLAPSED_FROM, MOST_ROWS = 25, 60
_HEADERS = ("core", "x,y", "neurons", "synapses", "in", "out", "synaptic", "memory", "code",
            "holds")  # fmt: skip
_FIGURES = ("neurons", "synapses", "axons_in", "axons_out", "synaptic_memory", "memory",
            "program_words")  # fmt: skip
_LEGEND = "(in, out: axons; synaptic, memory: used part of what a core has; code: instructions)"
#: Parts of the memory of a core, which has no limit for each of them.
_PARTS = (
    "synaptic_memory",
    "state_memory",
    "accumulator_memory",
    "parameter_memory",
    "axon_memory",
    "program_memory",
)


def shown_placement(placement: Placement) -> list[Said]:
    """The table of limits, the table of cores, the bottleneck and what is not checked."""
    cores, device = placement.cores, placement.device
    count = f"{len(cores):,} core{'s' * (len(cores) > 1)}"
    chips = f"{placement.chips} chip{'s' * (placement.chips > 1)}"
    slowest = cores[placement.bottleneck]
    traffic = placement.traffic
    crossings = f", {traffic.chip_crossings:,.6g} steps between chips"
    # What is not proved about the default target is what is not checked, below.
    is_default = placement.target == DEFAULT_TARGET
    prepared = "" if is_default else f" (target {placement.target})"
    lines: list[Said] = [
        f"{placement.program.name}{prepared} on {device.name}, {placement.objective}: {count} on "
        f"{chips}",
        "",
        _limits_table(placement),
        "",
        *_core_table(placement),
        "",
        f"A chip step takes about {with_prefix(placement.step_seconds, 's')} at nominal figures, "
        "an estimate; `estimate` gives its range.",
        _cut(f"Busiest is {slowest.name}: {' '.join(_held([slowest]))}.", min(WIDTH, width())),
        f"A sample causes {traffic.messages:,.6g} messages and {traffic.hops:,.6g} hops"
        f"{crossings * (placement.chips > 1)}.",
        f"Activity: {placement.activity}.",
    ]
    if placement.unchecked:
        lines += ["", "Not checked, since nobody has published the limit:"]
        lines += [_item(text) for text in placement.unchecked]
    stock = are_stock(p.program for p in placement.program.populations)
    if placement.unproved and (stock or not is_default):
        who = "neurons of Lava's own processes" if is_default else f"the target {placement.target}"
        lines += ["", f"Not proved about {who}:"]
        lines += [_item(text) for text in placement.unproved]
    warnings = placement.program.warnings
    warnings = warnings if stock or not is_default else without_precedent(warnings)
    if warnings:
        lines += ["", "Warnings of the program:"]
        lines += [_item(text) for text in warnings]
    lines += [""] * bool(device.notes) + [_item(note) for note in device.notes]
    return lines


def _item(text: str) -> str:
    return fill(text, min(WIDTH, width()), initial_indent="- ", subsequent_indent="  ")


def _limits_table(placement: Placement) -> Table:
    rows: list[tuple[Any, ...]] = []
    cores, device = placement.cores, placement.device
    for figure, (name, unit) in CORE_LIMITS.items():
        used = [getattr(core, name) for core in cores]
        limit = device.get(figure)
        most = None if limit is None else int(limit.value)
        share = "not public" if most is None else percent(max(used) / most)
        grade = None if limit is None else limit.grade
        rows.append((_words(name, unit), sum(used), max(used), most, share, grade))
        for part in _PARTS * (name == "memory"):
            used = [getattr(core, part) for core in cores]
            rows.append((f"  of it {_words(part, unit)}", sum(used), max(used), None, "", ""))
    available = device.count("cores_per_chip") * placement.chips
    for name, figure, has, limit in (
        ("cores", "cores_per_chip", len(cores), available),
        ("chips", "chips", placement.chips, device.count("chips")),
    ):
        grade = device.figure(figure).grade
        rows.append((name, has, None, limit, percent(has / limit), grade))
    return Table(("", "in all", "most on a core", "limit", "used", "grade of the limit"), rows)


def _words(name: str, unit: str) -> str:
    return name.replace("_", " ") + (f", {unit}" if unit else "")


def _core_table(placement: Placement) -> list[Said]:
    runs = _runs(placement.cores, lambda core: (*_figures(core), _populations(core)))
    merged = len(runs) >= COLLAPSED_FROM
    if merged:
        runs = _runs(placement.cores, _populations)
    shown = runs[:MOST_ROWS]
    held = [_held(run) for run in shown]
    rows = [_row(run, placement.device) for run in shown]
    found: list[Said] = [
        Table(_HEADERS, [(*row, " ".join(t)) for row, t in zip(rows, held, strict=True)],
              text="\n".join(_core_lines(rows, held))),
        _LEGEND,
    ]  # fmt: skip
    if merged:
        found.append("Where several cores share a row, it shows the largest of each figure.")
    if len(runs) > MOST_ROWS:
        found.append(f"{len(runs) - MOST_ROWS} more rows: to_dict() and --json have every core.")
    return found


def _core_lines(rows: Sequence[tuple[Any, ...]], held: Sequence[Sequence[str]]) -> list[str]:
    """The table of cores: what they hold goes on below, in its own column, where there is room."""
    if width() < WIDTH:
        joined = [(*row, " ".join(texts)) for row, texts in zip(rows, held, strict=True)]
        return text_table(_HEADERS, joined).splitlines()
    table = text_table(_HEADERS, [(*row, "") for row in rows]).splitlines()
    column = table[0].index(_HEADERS[-1])
    lines = table[:2]
    for line, texts in zip(table[2:], held, strict=True):
        first, *more = _wrapped(texts, WIDTH - column)
        lines += [f"{line:<{column}}{first}", *(" " * column + text for text in more)]
    return lines


def _wrapped(texts: Sequence[str], room: int) -> list[str]:
    """Texts in lines, none of them divided unless it is too long by itself."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + 1 + len(text) <= room:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return [_cut(line, room) for line in lines]


def _runs(cores: Sequence[Core], key: Callable[[Core], Any]) -> list[list[Core]]:
    """Consecutive cores that are alike."""
    return [list(run) for _, run in groupby(cores, key)]


def _figures(core: Core) -> tuple[int, ...]:
    return tuple(getattr(core, name) for name in _FIGURES)


def _populations(core: Core) -> tuple[str, ...]:
    return tuple(part.population for part in core.slices)


def _row(run: list[Core], device: Device) -> tuple[Any, ...]:
    first = run[0]
    most = map(max, zip(*map(_figures, run), strict=True))
    largest: dict[str, Any] = dict(zip(_FIGURES, most, strict=True))
    for figure in ("synaptic_memory_per_core", "memory_per_core"):
        name = CORE_LIMITS[figure][0]
        largest[name] = f"{100 * largest[name] / device.value(figure):.1f} %"
    if len(run) == 1:
        return (f"{first.chip}.{first.index}", f"{first.x},{first.y}", *largest.values())
    return (f"{len(run)} cores", "", *largest.values())


def _held(run: Sequence[Core]) -> list[str]:
    """What cores hold together: stretches of populations are continued from core to core."""
    last = {part.population: part.stop for core in run for part in core.slices}
    first = {part.population: part.first for core in reversed(run) for part in core.slices}
    return [f"{name}[{first[name]}:{stop}]" for name, stop in last.items()]


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 3]}..."
