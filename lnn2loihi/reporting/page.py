"""The page: sections in the order in which a reader asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources

from lnn2loihi.graph.precedent import NO_PRECEDENT
from lnn2loihi.profiling.answer import WARNING, KeyFigure, answer
from lnn2loihi.profiling.curves import crossover_text, crossovers, curves_of
from lnn2loihi.profiling.frontier import Frontier
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.profiling.speaking import full_speed, rows_of_chips
from lnn2loihi.program import MEASURED_WITH_MEANS, LoihiProgram
from lnn2loihi.reporting.axis import number_of, range_of, shown, typeset
from lnn2loihi.reporting.batch_chart import energy_against_batch
from lnn2loihi.reporting.chart import figure, folded
from lnn2loihi.reporting.chip_section import chips_section
from lnn2loihi.reporting.energy_charts import (
    energy_against_latency,
    energy_against_rate,
    energy_by_cause,
)
from lnn2loihi.reporting.frontier_chart import frontier_chart, not_drawn
from lnn2loihi.reporting.interactive.section import LiveSection
from lnn2loihi.reporting.marks import badge
from lnn2loihi.reporting.markup import Markup, element, joined
from lnn2loihi.reporting.network_drawing import network_drawing, thinning
from lnn2loihi.reporting.tables import (
    claims_table,
    facts,
    metrics_table,
    pace_title,
    paces_of,
    profile_table,
    provenance_table,
    quantization_table,
    remarks_list,
    sides_table,
)
from lnn2loihi.reporting.traces import Traces, traces_chart
from lnn2loihi.simulation.result import saturation_text
from lnn2loihi.tables import counted
from lnn2loihi.targets.beside import unproved_of
from lnn2loihi.tiers import TIERS

#: Warnings of a program that stand at the top of the page, and sentences of the answer that are
#: not folded.
LEADING, SPOKEN = 4, 3
#: An interval in a sentence; the headline leaves it to the figures below.
_INTERVAL = re.compile(r" \([^()]* to [^()]*\)")
#: Sections and their anchors, in order.
SECTIONS = {
    "table": "All numbers",
    "energy": "Energy and time",
    "network": "The network",
    "chip": "On the chip",
    "metrics": "NeuroBench metrics",
    "provenance": "Where the numbers come from",
}


def page(
    result: ProfileResult,
    program: LoihiProgram,
    traces: Traces | None,
    live: LiveSection | None = None,
) -> str:
    """The whole document; with a live section first, and its script, where there is one."""
    sections = sections_of(result, program, traces, first=live is None)
    listed = [(name, SECTIONS[name], content) for name, content in sections.items() if content]
    if live is not None:
        listed.insert(0, (live.anchor, live.title, live.content))
    return document(
        f"{result.subject.program}: what it costs on Loihi 2",
        _header(result, program),
        listed,
        result.versions.get("lnn2loihi", ""),
        *(() if live is None else (live.head, live.scripts)),
    )


def sections_of(
    result: ProfileResult, program: LoihiProgram, traces: Traces | None, first: bool = True
) -> dict[str, Markup]:
    """The content of each of SECTIONS; nothing where there is nothing to say. Where these sections
    are not the first of the page, all of their charts are folded.
    """
    return {
        "table": _table(result),
        "energy": _energy(result, first),
        "network": _network(program, traces, first),
        "chip": chips_section(result.chips),
        "metrics": _metrics(result),
        "provenance": _provenance(result),
    }


def document(
    title: str,
    header: Markup,
    sections: Sequence[tuple[str, str, Markup]],
    version: str,
    head: Markup | None = None,
    scripts: Markup | None = None,
) -> str:
    """A page that needs nothing else.

    Args:
        title: of the page.
        header: what stands above everything.
        sections: anchor, title and content of each.
        version: of this library, for the foot.
        head: further elements of the head; None where there are none.
        scripts: what stands at the end of the body; None, and no script at all, by default.
    """
    style = resources.files("lnn2loihi.reporting").joinpath("style.css").read_text("utf-8")
    top = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
        head,
    )
    body = element(
        "body",
        header,
        element("nav", *(element("a", words, href=f"#{name}") for name, words, _ in sections)),
        element("main", *(element("section", element("h2", words), content, id=name)
                          for name, words, content in sections)),
        element("footer", f"Made by lnn2loihi {version}. ",
                "Nothing on this page ran on Loihi silicon."),
        scripts,
    )  # fmt: skip
    return f"<!doctype html>\n{element('html', top, body, lang='en')}\n"


def answer_of(result: ProfileResult, program: LoihiProgram, anchor: str = "network") -> Markup:
    """The figures, what warns, and the answer in words, of which the first sentences are open.

    Args:
        result: the profile.
        program: its program.
        anchor: of the section with all warnings of the program.
    """
    found = answer(result)
    said = [text for text in found.sentences if not text.startswith(WARNING)]
    sentences = [element("li", typeset(sentence)) for sentence in said]
    rest = sentences[SPOKEN:]
    return joined(
        element("div", *map(_tile, found.figures), class_="tiles") if found.figures else None,
        _warnings(result, program, anchor),
        element(
            "div",
            element("ul", *sentences[:SPOKEN]),
            folded(f"{counted(len(rest), 'more sentence')}", element("ul", *rest), class_="more")
            if rest else None,
            class_="answer",
        ),
    )  # fmt: skip


def headline(result: ProfileResult) -> str:
    """The title of the answer without its intervals, which stand with the figures."""
    return typeset(_INTERVAL.sub("", answer(result).title))


def _header(result: ProfileResult, program: LoihiProgram) -> Markup:
    s = result.subject
    line = (
        f"{s.program} · {s.recipe} · {s.neurons:,} neurons, {s.synapses:,} synapses · one sample "
        f"per {'chip step' if s.period == 1 else f'{s.period} chip steps'}, answer after "
        f"{s.latency_steps}"
    )
    return element(
        "header",
        element("p", line, class_="eyebrow"),
        element("h1", headline(result)),
        answer_of(result, program),
    )


def _warnings(result: ProfileResult, program: LoihiProgram, anchor: str) -> Markup | None:
    """What makes the figures say less than they seem to, where nobody overlooks it."""
    words = {name: count for name, count in (result.subject.saturated_words or {}).items() if count}
    texts = [*result.warnings]
    texts += [f"While it was counted, {saturation_text(words)}"] if words else []
    texts += _program_warnings(program)[:LEADING]
    items = [element("li", typeset(text)) for text in texts]
    if len(program.warnings) > LEADING:
        left = len(program.warnings) - LEADING
        more = f"{left:,} more warning{'s'[: left > 1]} of the program"
        items.append(element("li", element("a", more, href=f"#{anchor}")))
    if not items:
        return None
    return element(
        "div", element("p", "Warnings", class_="caption"), element("ul", *items, class_="small"),
        class_="card warning first",
    )  # fmt: skip


def _program_warnings(program: LoihiProgram) -> list[str]:
    """What no public program does first: LEADING at the top, the others with the network."""
    return sorted(program.warnings, key=lambda text: NO_PRECEDENT not in text)


def _tile(figure: KeyFigure) -> Markup:
    ends, of = range_of(figure.quantity), typeset(figure.of)
    return element(
        "div",
        element("div", figure.what, class_="what"),
        element("div", number_of(figure.quantity), class_="number"),
        element("div", f"{ends}; {of}" if ends else of, class_="detail"),
        badge(figure.tier),
        class_="tile",
    )


def _table(result: ProfileResult) -> Markup:
    s = result.subject
    note = (
        "Energies are per sample; static is that of the full chip, and pro rata counts only the "
        f"network's share of it. Counted on {counted(s.samples, 'sample')} in "
        f"{counted(s.sequences, 'sequence')} by {s.executor}; {s.saturated_inputs} outside "
        "the calibrated range; "
        f"{saturation_text(s.saturated_words)}."
    )
    if result.quick:
        note += " Quick: the windows of measurement were too short for figures to be quoted."
    remarks = remarks_list(result)
    titled = [(pace_title(result, pace), pace) for pace in paces_of(result)]
    return joined(
        *(folded(title, profile_table(result, pace)) for title, pace in titled),
        _sides(result),
        folded(f"{counted(len(result.remarks()), 'remark')}", remarks,
               class_="card wide warning breakable") if remarks else None,
        folded("How it was counted, and how surely each number is known",
               element("p", note, class_="note"), _tiers(result)),
    )  # fmt: skip


def _sides(result: ProfileResult) -> Markup | None:
    """Targets side by side, what is proved about each and what is not."""
    if not result.sides:
        return None
    note = (
        f"What each target makes of the program, one copy of it, {result.sides[0].placement}, "
        f"{result.sides[0].mode} at full speed; all estimated, energy with the static power of the "
        "full chip. Spread is the standard deviation of the program's "
        "answers, of the output that is off most."
    )
    refused = [(side.target, side.refusal) for side in result.sides if side.refusal]
    unproved = unproved_of([side.claims for side in result.sides])
    return folded(
        f"Targets side by side on {result.sides[0].device}",
        sides_table(result.sides), element("p", note, class_="note"), _items(refused),
        element("p", "What is proved", class_="caption"), claims_table(result.sides),
        element("p", "Not proved on silicon:", class_="small") if unproved else None,
        _items(unproved),
    )  # fmt: skip


def _items(lines: Sequence[tuple[str, str]]) -> Markup | None:
    """A list of texts, each after whom it is about."""
    items = [element("li", element("strong", f"{who}: "), typeset(text)) for who, text in lines]
    return element("ul", *items, class_="small") if items else None


def _tiers(result: ProfileResult) -> Markup:
    used = {tier for row in result.rows for tier in (row.tier, row.energy_tier)}
    lines = [
        element("p", badge(tier), f" {meaning}.", class_="small")
        for tier, meaning in TIERS.items() if tier in used
    ]  # fmt: skip
    return element("div", *lines, style="margin-top:12px")


def _energy(result: ProfileResult, first: bool) -> Markup:
    paced = [row for row in result.rows if row.rate == result.rate]
    pace = "at full speed" if result.rate is None else f"at {shown(result.rate, 'Hz')}"
    curves = curves_of(result)
    # Without a frontier these sentences are part of the answer.
    meetings = crossover_text(crossovers(curves, result.allow_estimated))
    meetings = meetings if result.frontier is not None else ""
    charts = [
        (f"Energy against latency, {pace}", energy_against_latency(paced),
         "Full-chip static energy; a dotted tail leads down to the network's share of the chip. "
         "Hollow: estimated, filled: measured. Bars are intervals. On a thin line energy times "
         "latency is the same."),
        ("Energy against sample rate",
         energy_against_rate(curves, result.rate, result.allow_estimated),
         "Below full speed a device idles between samples, and idle power counts. Bands are "
         "intervals. Of bounds only that of the fastest backend is drawn."),
        ("Where the energy goes", energy_by_cause(_by_cause(result)),
         "All estimated. Each bar is 100 % of the amount at its right."),
        ("Energy against batch, at full speed", energy_against_batch(result.rows),
         "Sequences side by side. The chip takes samples one by one."),
    ]  # fmt: skip
    drawn = [(caption, chart, note) for caption, chart, note in charts if chart]
    seen = [figure(*one) for one in drawn[:1] if first]
    more = [
        folded(caption, chart, element("p", note, class_="note"), class_="card breakable")
        for caption, chart, note in drawn[len(seen) :]
    ]
    cards = [*seen, element("div", *more, class_="column")] if more else seen
    if result.frontier is not None:
        cards.append(_frontier(result.frontier))
    if meetings:
        cards.append(folded("Rates at which two of them meet",
                            element("p", typeset(meetings), class_="note")))  # fmt: skip
    return element("div", *cards, class_="grid") if cards else Markup()


def _frontier(found: Frontier) -> Markup:
    """Where the chip wins, by rate and number of copies."""
    others = not_drawn(found)
    note = joined(
        "Energy of a sample of one copy with the static power of the full chip, shared by the "
        "copies; a competitor is in it where it meets the rate by the upper end of its interval. "
        "On the map the line is the rate from which on the chip is the cheapest, bars and band are "
        "90 % of the draws that have one.",
        f" Not drawn, but in the contest: {', '.join(others)}." if others else "",
        *(joined(element("br"), typeset(f"{text}.")) for text in found.left_out),
    )
    chart = frontier_chart(found)
    return folded("Where the chip wins", chart, element("p", note, class_="note"))


def _by_cause(result: ProfileResult) -> list[ProfileRow]:
    """Of each chip and placement what the answer speaks of, and the same at full speed."""
    found: list[ProfileRow] = []
    for rows in rows_of_chips(result).values():
        for row in rows:
            full = full_speed(result, row)
            found += [one for one in (full, row) if one is not None and one not in found]
    return [row for row in found if row.energy_parts]


def _network(program: LoihiProgram, traces: Traces | None, first: bool) -> Markup:
    left_out = thinning(program)
    said = element("p", f"{left_out.capitalize()}.", class_="note") if left_out else None
    cards = [folded("Wiring", network_drawing(program), said, class_="card breakable")]
    if traces is not None:
        worst = max(traces.worst_error(channel) for channel in traces.channels())
        note = (
            f"The outputs with the largest range, first sequence, up to 200 samples; largest "
            f"difference {worst:.3g}."
        )
        caption, chart = "Float against integers", traces_chart(traces)
        below = element("p", note, class_="note")
        cards.append(figure(caption, chart, note) if first
                     else folded(caption, chart, below, class_="card breakable"))  # fmt: skip
    if program.table:
        cards.append(
            folded(f"Quantization, recipe {program.recipe}",
                   quantization_table(program.table),
                   element("p", "Measured on the calibration samples." + (
                       f" Its {MEASURED_WITH_MEANS}." if program.measured_with_means else ""
                   ), class_="note"))
        )  # fmt: skip
    others = _program_warnings(program)[LEADING:]
    if others:
        items = [element("li", warning) for warning in others]
        cards.append(
            folded(f"{counted(len(others), 'more warning')} of the program",
                   element("ul", *items, class_="small"), class_="card wide warning breakable")
        )  # fmt: skip
    return element("div", *cards, class_="grid")


def _metrics(result: ProfileResult) -> Markup:
    if not result.metrics:
        return Markup()
    note = (
        "Names and definitions of NeuroBench, computed from our own graph because its hooks miss "
        "these networks. Operations are per sequence, as there."
    )
    table = metrics_table(result.metrics)
    return folded("Every metric", table, element("p", note, class_="note"))


def _provenance(result: ProfileResult) -> Markup:
    entries: dict[str, object] = {
        "made by": element("code", result.command) if result.command else None,
        "date": result.created,
        "program": f"{result.subject.program}, SHA-256 {result.subject.sha256}",
        **result.versions,
        **result.conditions,
    }
    known = {name: value for name, value in entries.items() if value}
    return joined(
        folded("Command, program, machine and versions", facts(known)) if known else None,
        folded(f"{counted(len(result.provenance), 'number')} with range, grade and source",
               provenance_table(result.provenance)) if result.provenance else None,
    )  # fmt: skip
