"""The page of a converted module: its parts as a graph, and of each chip part its own sections."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.converted.comparing import ConvertedComparison, comparison
from lnn2loihi.converted.costs import ConvertedProfile, profiled
from lnn2loihi.converted.description import consists_of, multiply_adds_of_parts, share_on_chip
from lnn2loihi.converted.pieces import HostPart
from lnn2loihi.converted.running import pass_through
from lnn2loihi.converted.structure import Given, places
from lnn2loihi.errors import InputError
from lnn2loihi.files import write_atomically
from lnn2loihi.reporting.chart import CHARACTER, WIDTH, drawing, folded, path, rectangle, text
from lnn2loihi.reporting.markup import Markup, element, joined
from lnn2loihi.reporting.page import SECTIONS, answer_of, document, headline, sections_of
from lnn2loihi.reporting.tables import table
from lnn2loihi.tables import counted, decibel, percent
from lnn2loihi.version import VERSION

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

#: Height of a box of the graph, and the room between two.
BOX, GAP = 46.0, 40.0
#: Boxes that are drawn; a module of more parts has its table alone.
DRAWN = 40
#: Parts that are seen before a graph or a table is unfolded.
SEEN = 8


def write_page(
    converted: ConvertedModule,
    given: Given,
    path: str | os.PathLike[str],
    options: Mapping[str, Any],
) -> Path:
    """See `ConvertedModule.report`."""
    file = Path(path)
    if file.suffix.lower() not in (".html", ".htm"):
        raise InputError(str(path), "reports are written as .html")
    if not file.parent.is_dir():
        raise InputError(str(path), "its folder does not exist")
    compared = (
        comparison(converted, given, converted.module, "auto") if converted.has_floats else None
    )
    costs = profiled(converted, given, options)
    shapes = {n: np.shape(v) for n, v in pass_through(converted, given).values.items()}
    content = converted_page(converted, shapes, costs, compared).encode()
    try:
        return write_atomically(file, content)
    except OSError as error:
        raise InputError(str(path), f"cannot be written: {error.strerror}") from error


def converted_page(
    converted: ConvertedModule,
    shapes: Mapping[str, tuple[int, ...]],
    costs: ConvertedProfile,
    compared: ConvertedComparison | None,
) -> str:
    """The whole document.

    Args:
        converted: the module, quantized.
        shapes: of all values.
        costs: its profile.
        compared: its comparison with the floats; None where there are none.
    """
    programs = {part.name: part.quantized() for part in converted.chip_parts}
    blocks: list[tuple[str, str, Markup]] = [
        ("parts", "Parts", _parts(converted, shapes, costs)),
        ("difference", "Difference", _difference(compared)),
        ("host", "On the host", _host(costs)),
    ]
    for number, (name, result) in enumerate(costs.parts.items()):
        own = sections_of(result, programs[name], None)
        inside = joined(
            answer_of(result, programs[name], f"chip-{number}"),
            *(folded(SECTIONS[key], content) for key, content in own.items() if content),
        )
        if number:  # of one part everything is seen, of the others their first sentence
            count = counted(len(result.warnings) + len(programs[name].warnings), "warning")
            caption = f"Figures, sentences, sections and {count} of {name}"
            inside = folded(caption, inside, class_="more")  # a card in a card has no room
        seen = joined(element("h3", headline(result)), inside)
        blocks.append((f"chip-{number}", f"Chip part {name}", seen))
    return document(
        f"{converted.name}: on the chip and on the host",
        _header(converted, costs),
        [(anchor, title, content) for anchor, title, content in blocks if content],
        VERSION,
    )


def _header(converted: ConvertedModule, costs: ConvertedProfile) -> Markup:
    share = share_on_chip(converted)
    chips, hosts = len(converted.chip_parts), len(converted.host_parts)
    sentences = [
        f"{chips} part{'s' * (chips != 1)} on the chip, {hosts} on the host"
        + (f"; the chip does {percent(share)} of all multiply-adds." if share is not None else ".")
    ]
    sentences += [f"{note.rstrip('.')}." for note in (*converted.notes, *costs.notes)]
    return element(
        "header",
        element("p", "converted module", class_="eyebrow"),
        element("h1", converted.name),
        element("div", element("ul", *(element("li", s) for s in sentences)), class_="answer"),
    )


def _parts(
    converted: ConvertedModule, shapes: Mapping[str, tuple[int, ...]], costs: ConvertedProfile
) -> Markup:
    steps = {one.part: one for one in costs.chip_steps}
    counted = multiply_adds_of_parts(converted)
    rows = [
        (
            part.name, "host" if isinstance(part, HostPart) else "chip", consists_of(part),
            ", ".join(_named(name, shapes) for name in part.takes),
            ", ".join(_named(name, shapes) for name in part.answers),
            None if isinstance(part, HostPart) else steps[part.name].steps,
            counted[part.name],
        )
        for part in converted.parts
    ]  # fmt: skip
    headers = ("part", "on", "consists of", "takes", "answers", "chip steps a sequence",
               "multiply-adds")  # fmt: skip
    graph: Markup | None = None
    if len(converted.parts) <= DRAWN:
        graph = element("div", _graph(converted, shapes), class_="scroll")
        if len(converted.parts) <= SEEN:
            graph = element("div", graph, class_="card wide")
        else:
            graph = folded("The parts as a graph", graph)
    return joined(graph, folded("The parts one by one", table(headers, rows, stacked=True)))


def _named(name: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
    return f"{name} {'×'.join(map(str, shapes[name])) or 'number'}"


def _graph(converted: ConvertedModule, shapes: Mapping[str, tuple[int, ...]]) -> Markup:
    """Parts from top to bottom, the chip's at the right, with the values between them."""
    rows: list[tuple[str, str, bool, tuple[str, ...], tuple[str, ...]]] = [
        ("given", "", True, (), tuple(one.name for one in converted.inputs))
    ]
    rows += [
        (part.name, consists_of(part), isinstance(part, HostPart), part.takes, part.answers)
        for part in converted.parts
    ]
    answered = tuple(dict.fromkeys(name for _, name in places(converted.answer, "")))
    rows.append(("answer", "", True, answered, ()))
    width, half = WIDTH * 1.1, WIDTH * 0.5
    made: dict[str, int] = {}
    boxes: list[Markup] = []
    lines: list[Markup] = []
    for place, (name, inside, on_host, takes, answers) in enumerate(rows):
        left, top = (8.0 if on_host else width - half - 8.0), 12.0 + place * (BOX + GAP)
        known = [value for value in takes if value in made]
        for number, value in enumerate(known):
            source = made[value]
            x1 = (8.0 if rows[source][2] else width - half - 8.0) + half / 2
            y1 = 12.0 + source * (BOX + GAP) + BOX
            x2 = left + half * (number + 1) / (len(known) + 1)
            lines.append(path([(x1, y1), (x2, top)], "synapse s2"))
            along = 1.0 - (number + 1) / (2.0 * len(known) + 1.0)  # no two side by side
            lines.append(text(x1 + along * (x2 - x1) + 5, y1 + along * (top - y1) + 4,
                              _named(value, shapes), class_="t tick"))  # fmt: skip
        boxes.append(rectangle(left, top, half, BOX, "axis" if on_host else "part"))
        boxes.append(text(left + half / 2, top + 19, _cut(name, half), "middle", "t strong"))
        where = "host" if on_host else "chip"
        words = f"{where}: {inside}" if inside else where
        boxes.append(text(left + half / 2, top + 36, _cut(words, half), "middle", "t"))
        made |= dict.fromkeys(answers, place)
    height = 24.0 + len(rows) * (BOX + GAP) - GAP
    return drawing(height, f"The parts of {converted.name}", *lines, *boxes, width=width)


def _cut(words: str, room: float) -> str:
    most = int(room / CHARACTER) - 1
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _difference(compared: ConvertedComparison | None) -> Markup:
    if compared is None:
        return Markup()
    headers = ("value", "shape", "spread", "largest difference", "of its spread", "signal/noise")

    def row(error: Any) -> tuple[object, ...]:
        shape = "×".join(map(str, error.shape)) or "number"
        share = None if error.share is None else percent(error.share)
        return (error.name, shape, error.spread, error.largest, share,
                decibel(error.signal_to_noise_db))  # fmt: skip

    between = [row(error) for part in compared.parts for error in part.outputs]
    warnings = [element("li", warning) for warning in compared.warnings]
    answers = table(headers, map(row, compared.answer), stacked=True)
    return joined(
        element("div", element("p", f"The answer in integers against the {compared.against}",
                               class_="caption"), answers,
                class_="card wide breakable"),
        folded("Part by part, integers against floats", table(headers, between, stacked=True),
               element("p", "Host parts pass on what they are given.", class_="note")),
        element("div", element("ul", *warnings, class_="small"),
                class_="card wide warning breakable", style="margin-top:14px")
        if warnings else None,
    )  # fmt: skip


def _host(costs: ConvertedProfile) -> Markup:
    if not costs.host:
        return Markup()
    headers = ("part", "consists of", "multiply-adds", "parameters")
    rows = [
        (h.part, ", ".join(dict.fromkeys(h.operators)), h.multiply_adds, h.parameters)
        for h in costs.host
    ]
    reasons = [
        element("li", element("b", h.part), f": {reason}") for h in costs.host
        for reason in h.reasons
    ]  # fmt: skip
    return joined(
        element("div", table(headers, rows, stacked=True), class_="card wide breakable")
        if len(rows) <= SEEN
        else folded(f"{len(rows)} parts", table(headers, rows, stacked=True)),
        folded("Why they are not on the chip", element("ul", *reasons, class_="small"))
        if reasons
        else None,
    )
