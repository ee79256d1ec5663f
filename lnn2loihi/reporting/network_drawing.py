"""The network on the chip: populations as columns, neurons as dots, synapses as lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn2loihi.program import AnyConnection, Connection, LoihiProgram
from lnn2loihi.reporting.chart import CHARACTER, WIDTH, drawing, legend, path, text
from lnn2loihi.reporting.marks import line_key
from lnn2loihi.reporting.markup import Markup, element, joined

#: Most neurons that a column shows, and most synapses of the whole drawing.
DOTS, LINES = 24, 400
#: Shares of the lines of a connection that are thin, and so on up to the strongest.
SHARES = (0.4, 0.7, 0.9)
ROW, TOP = 13.0, 44.0
#: How far below a straight line the middle of one is pulled that passes over columns, for each of
#: them, and at most; half of it is seen.
BELOW, MOST_BELOW = 10.0, 40.0


@dataclass(frozen=True)
class Column:
    """One population on the drawing.

    Attributes:
        name: of the population or the input.
        size: its neurons.
        shown: neurons that are drawn.
        x: where it stands.
        top: its first dot.
        gap: distance of its dots.
    """

    name: str
    size: int
    shown: npt.NDArray[np.int64]
    x: float
    top: float
    gap: float

    def at(self, place: int) -> tuple[float, float]:
        """Where the dot of a shown neuron stands, by its place among them."""
        return self.x, self.top + place * self.gap


def network_drawing(program: LoihiProgram) -> Markup:
    """Populations, neurons and synapses with their strength, thinned where there are many."""
    sizes = {
        program.input.name: program.input.size,
        **{p.name: p.size for p in program.populations},
    }
    tallest = min(max(sizes.values()), DOTS)
    height = max(tallest - 1, 6) * ROW
    width = max(WIDTH, 76.0 * len(sizes))
    columns = _columns(sizes, width, height)
    lines = _synapses(program, columns)
    dots = [
        element("circle", cx=x, cy=y, r=3.6, class_="neuron")
        for column in columns.values()
        for x, y in map(column.at, range(column.shown.size))
    ]
    labels = [_label(program, c, place, height) for place, c in enumerate(columns.values())]
    picture = drawing(
        TOP + height + 52.0, f"The network {program.name}", *lines, *dots, *labels, width=width
    )
    keys = legend(
        [(line_key("synapse s3"), "forward, wider is stronger"),
         (line_key("synapse back s3"), "from the sample before")]
    )  # fmt: skip
    return joined(element("div", picture, class_="scroll"), keys)


def thinning(program: LoihiProgram) -> str:
    """What the drawing leaves out, in words; empty if nothing."""
    sizes = [program.input.size, *(p.size for p in program.populations)]
    pairs = 0
    for connection in program.connections:
        targets, sources = _pairs(connection.unrolled())
        pairs += np.unique(targets * connection.source_size + sources).size
    said = []
    if max(sizes) > DOTS:
        said.append(f"at most {DOTS} neurons of each population are drawn")
    if pairs > LINES:
        said.append(f"of {pairs:,} connected pairs the strongest of each connection are drawn")
    return "; ".join(said)


def _columns(sizes: Mapping[str, int], width: float, height: float) -> dict[str, Column]:
    found: dict[str, Column] = {}
    pitch = width / len(sizes)
    for place, (name, size) in enumerate(sizes.items()):
        count = min(size, DOTS)
        shown = np.unique(np.linspace(0, size - 1, count).round().astype(np.int64))
        gap = min(height / max(shown.size - 1, 1), 3 * ROW)
        top = TOP + (height - gap * (shown.size - 1)) / 2
        found[name] = Column(name, size, shown, (place + 0.5) * pitch, top, gap)
    return found


def _pairs(connection: Connection) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Target and source neuron of each synapse, int64 (synapses,)."""
    rows = np.repeat(np.arange(connection.rows), np.diff(connection.row_starts))
    targets = rows % (connection.rows // len(connection.accumulators))
    return targets, connection.columns.astype(np.int64)


def _synapses(program: LoihiProgram, columns: Mapping[str, Column]) -> list[Markup]:
    """The strongest pairs of each connection between drawn neurons, weak ones first. The strength
    of a pair is its largest weight over the accumulators.
    """
    order = list(columns)
    found: list[tuple[int, Markup]] = []
    most = LINES // max(len(program.connections), 1)
    for connection in program.connections:
        source, target = columns[connection.source], columns[connection.target]
        over = order.index(connection.target) - order.index(connection.source) - 1
        strength = _strength(connection, source, target)
        rows, places = np.nonzero(strength)
        kept = np.argsort(strength[rows, places], kind="stable")[-most:]
        for rank, pair in enumerate(kept):
            shade = sum(rank >= share * kept.size for share in SHARES)
            ends = source.at(int(places[pair])), target.at(int(rows[pair]))
            found.append((shade, _line(*ends, over, shade)))
    found.sort(key=lambda drawn: drawn[0])
    return [drawn for _, drawn in found]


def _strength(whole: AnyConnection, source: Column, target: Column) -> npt.NDArray[np.int64]:
    """Largest weight of each pair of drawn neurons, int64 (targets, sources)."""
    connection = whole.unrolled()
    targets, sources = _pairs(connection)
    drawn = np.isin(targets, target.shown) & np.isin(sources, source.shown)
    found = np.zeros((target.shown.size, source.shown.size), np.int64)
    places = (np.searchsorted(target.shown, targets[drawn]),
              np.searchsorted(source.shown, sources[drawn]))  # fmt: skip
    np.maximum.at(found, places, np.abs(connection.mantissas.astype(np.int64)[drawn]))
    return found


def _line(start: tuple[float, float], end: tuple[float, float], over: int, shade: int) -> Markup:
    """A synapse; one that passes over columns, so many, goes below their dots, one that goes back
    (a number below 0) above them.
    """
    if over == 0:
        return path([start, end], f"synapse s{shade}")
    (x1, y1), (x2, y2) = start, end
    if over > 0:
        bulge = min(BELOW + BELOW * over, MOST_BELOW)
        d = f"M{x1:.1f} {y1:.1f}Q{(x1 + x2) / 2:.1f} {(y1 + y2) / 2 + bulge:.1f} {x2:.1f} {y2:.1f}"
        return element("path", d=d, class_=f"synapse s{shade}")
    bulge = 16.0 + 0.28 * abs(y2 - y1) + 0.12 * abs(x2 - x1)
    if x1 == x2:  # within a population: an arc at its right
        d = f"M{x1:.1f} {y1:.1f}Q{x1 + bulge:.1f} {(y1 + y2) / 2:.1f} {x2:.1f} {y2:.1f}"
    else:
        d = f"M{x1:.1f} {y1:.1f}Q{(x1 + x2) / 2:.1f} {(y1 + y2) / 2 - bulge:.1f} {x2:.1f} {y2:.1f}"
    return element("path", d=d, class_=f"synapse back s{shade}")


def _label(program: LoihiProgram, column: Column, place: int, height: float) -> Markup:
    """Name and size; inputs and outputs are numbered where there is room."""
    pitch = 2 * (column.x if place == 0 else 38.0)
    most = int(min(pitch, 76.0) / (1.1 * CHARACTER))
    name = column.name if len(column.name) <= most else f"…{column.name[1 - most :]}"
    kind = "inputs" if column.name == program.input.name else "neurons"
    if column.name == program.output:
        kind = "outputs"
    drawn = "" if column.shown.size == column.size else f"{column.shown.size} drawn"
    parts: list[object] = [
        element("title", column.name),
        text(column.x, 14, name, "middle", "t strong"),
        text(
            column.x,
            TOP + height + 28,
            f"{column.size:,} {kind}"[: -1 if column.size == 1 else None],
            "middle",
        ),
    ]
    if drawn:
        parts.append(text(column.x, TOP + height + 43, drawn, "middle", "t tick"))
    if column.gap >= 10.0 and kind != "neurons":
        sign, anchor = ("x", "end") if kind == "inputs" else ("y", "start")
        shift = -8.0 if kind == "inputs" else 8.0
        for at, number in enumerate(column.shown):
            x, y = column.at(at)
            elapsed = kind == "inputs" and program.timed and number >= program.channels
            words = "Δt" if elapsed else f"{sign}{number}"
            parts.append(text(x + shift, y + 4, words, anchor, "t tick"))
    return element("g", *parts)
