"""The page: well-formed, self-contained, every row with its tier, every name escaped."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_network, random_samples
from profile_rows import (
    NETWORK,
    X,
    chip_profile,
    chip_row,
    example_program,
    example_result,
    failed_row,
    measured_row,
)

import lnn2loihi as l2l
from lnn2loihi.profiling.measured import paced
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.rows import ProfileRow
from lnn2loihi.reporting.axis import Axis, shown, typeset
from lnn2loihi.reporting.chart import Area, letter
from lnn2loihi.reporting.markup import Markup, element, escaped
from lnn2loihi.reporting.page import page
from lnn2loihi.reporting.placing import Box, free_places
from lnn2loihi.reporting.traces import Traces

PROGRAM = example_program()
RESULT = example_result(PROGRAM)
VOID = {"meta", "br", "hr", "img", "link"}
#: Attributes that make a browser ask for something.
ADDRESSES = {"src", "href", "xlink:href", "srcset", "data", "action", "poster", "background"}


class Checker(HTMLParser):
    """Notes what is not well formed, what refers outside, and what is there."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.wrong.append(f"{tag} has an attribute twice")
        for name, value in attrs:
            self.handlers += [name] if name.startswith("on") else []
            self.addresses += [value or ""] if name in ADDRESSES else []
            self.ids += [value or ""] if name == "id" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked(document: str) -> Checker:
    checker = Checker()
    checker.feed(document)
    checker.close()
    assert checker.wrong == [] and checker.open == []
    assert checker.handlers == []
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(checker.tags)
    assert all(address.startswith("#") for address in checker.addresses)
    assert {a[1:] for a in checker.addresses} <= set(checker.ids)
    style = document[document.index("<style>") : document.index("</style>")]
    assert "url(" not in style and "@import" not in style and "http" not in style
    return checker


@pytest.fixture(scope="module")
def document() -> str:
    return page(
        RESULT, PROGRAM, Traces(NETWORK.evaluate(X).outputs, l2l.simulate(PROGRAM, X).outputs)
    )


class TestPage:
    def test_it_is_well_formed_and_refers_to_nothing_outside(self, document: str) -> None:
        checker = checked(document)
        assert document.startswith("<!doctype html>") and document.count("<svg") > 10
        assert len(document) < 500_000
        assert "prefers-color-scheme: dark" in document and "@media print" in document
        assert 'name="viewport"' in document
        assert checker.tags.count("h1") == 1

    def test_every_row_stands_there_with_its_tiers(self, document: str) -> None:
        rows = re.findall(r'<tr class="(complete|partial|failed)">(.*?)</tr>', document, re.DOTALL)
        assert sorted(status for status, _ in rows) == sorted(row.status for row in RESULT.rows)
        expected = sorted(sorted({r.tier, r.energy_tier or r.tier}) for r in RESULT.rows)
        found = sorted(
            sorted(set(re.findall(r'class="badge \w+"[^>]*>([A-Z-]+)<', cells)))
            for _, cells in rows
        )
        assert found == expected
        assert "9,000 neurons, the limit is 8,192" in document

    def test_every_section_is_there(self, document: str) -> None:
        text = " ".join(checked(document).text)
        for words in (
            "All numbers", "Energy and time", "The network", "On the chip", "NeuroBench metrics",
            "Where the numbers come from", "Energy against latency", "Energy against sample rate",
            "Where the energy goes", "Energy against batch", "Wiring", "Float against integers",
            "Quantization", "Cores on the mesh", "Load per core", "bottleneck", "Placement",
            "Which assumptions matter", "NECOTIS", "lnn2loihi profile net.l2l --input x.npy",
            RESULT.subject.sha256, l2l.__version__, "onnxruntime on GPU: no GPU",
        ):  # fmt: skip
            assert words in text, words

    def test_measured_and_estimated_look_different(self, document: str) -> None:
        for classes in ("mark measured cpu", "mark calibrated loihi", "mark estimated cpu",
                        "curve calibrated loihi", "estimate-outline"):  # fmt: skip
            assert f'class="{classes}' in document, classes

    def test_the_crossover_is_marked(self) -> None:
        cpu = measured_row(
            total_energy=Quantity.exact(1e-3, "J"), idle_power=Quantity.exact(0.1, "W")
        )
        found = page(example_result(PROGRAM, (chip_row(), cpu)), PROGRAM, None)
        assert re.search(r"crossover 1[23]\d\sHz", found)

    def test_without_anything_to_draw(self) -> None:
        bare = dataclasses.replace(
            RESULT, rows=(failed_row(),), chips=(), metrics=(), provenance=(), rate=None, absent=(),
            versions={}, conditions={}, command="",
        )  # fmt: skip
        text = " ".join(checked(page(bare, PROGRAM, None)).text)
        assert "No estimate for a Loihi chip" in text and "failed" in text

    @pytest.mark.parametrize("cores", [1, 33, 128, 700])
    def test_chips_of_any_size(self, cores: int) -> None:
        chip = chip_profile(cores)
        many = dataclasses.replace(
            chip, chips=9,
            cores=tuple(dataclasses.replace(c, chip=i % 9) for i, c in enumerate(chip.cores)),
        )  # fmt: skip
        text = " ".join(
            checked(page(dataclasses.replace(RESULT, chips=(many,)), PROGRAM, None)).text
        )
        assert ("3 more chips are not drawn" in text) == (cores >= 9)
        assert ("120 busiest cores" in text) == (cores > 120)

    def test_a_large_network_is_thinned(self) -> None:
        network = random_network(1, inputs=40, layers=(60, 50), outputs=3)
        x = random_samples(2, 2, 10, 40)
        program = l2l.quantize(network, calibrate=x)
        found = page(dataclasses.replace(RESULT), program, None)
        assert found.count('class="synapse') <= 402 and found.count('class="neuron"') <= 24 * 4
        assert "60 neurons" in found and "24 drawn" in found


#: Texts of files: markup, quotes, controls, lone surrogates, marks that turn writing around.
HOSTILE = st.text(min_size=1, max_size=30) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'&lt;", "</style><b>", "]]>",
     "\u202egpj.exe", "\ud800", "\x00\x07", "a" * 300]
)  # fmt: skip


@settings(max_examples=25)
@given(name=HOSTILE, words=HOSTILE)
def test_names_are_escaped_wherever_they_stand(name: str, words: str) -> None:
    chip = chip_profile(device=name, title=words, placement=f"{words}\n{name}")
    rows = (
        chip_row(device=name, title=words, source=name, notes=(words,)),
        measured_row(name, device=words, title=name, precision=words),
        failed_row(words),
    )
    result = example_result(
        PROGRAM, rows, chips=(chip,), command=words, versions={name: words},
        conditions={words: name}, absent=(words,), problems=(name,), created=words,
        subject=dataclasses.replace(RESULT.subject, program=name, recipe=words, executor=name),
    )  # fmt: skip
    document = page(result, PROGRAM, None)
    checker = checked(document)
    plain = page(example_result(PROGRAM, rows[:0], chips=()), PROGRAM, None)
    assert set(checker.tags) <= set(checked(plain).tags) | {
        "strong", "ol", "ul", "li", "rect", "path", "circle", "g", "br", "figcaption", "pre", "dt",
        "dd", "dl", "table", "tbody", "code", "figure",
    }  # fmt: skip
    document.encode()  # no lone surrogate is left


@given(st.text())
def test_escaped_text_comes_back_as_it_was(words: str) -> None:
    checker = Checker()
    checker.feed(element("p", words, title=words))
    checker.close()
    assert "".join(checker.text) == "".join(
        c if c.isprintable() or c == "\u00a0" else " " if c in "\n\t" else "\ufffd" for c in words
    )
    assert escaped(Markup("<b>")) == "<b>"


NUMBER = st.floats(1e-15, 1e12)


@given(st.lists(NUMBER, min_size=1, max_size=8), st.booleans(), st.integers(1, 9))
def test_axes_place_values_in_order_and_inside(values: list[float], log: bool, most: int) -> None:
    axis = Axis.around(values, 300.0, log, unit="J")
    places = [axis.place(value) for value in sorted(values)]
    assert places == sorted(places) and 0.0 <= places[0] and places[-1] <= 300.0
    ticks = axis.ticks(most)
    assert 1 <= len(ticks) <= most + 1
    assert all(axis.low * 0.99 <= value <= axis.high * 1.01 for value, _ in ticks)


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200)), min_size=1, max_size=8))
def test_labels_keep_inside(anchors: list[tuple[float, float]]) -> None:
    area = Area(0.0, 0.0, Axis(0, 1, 300.0), Axis(0, 1, 200.0))
    for x, y in free_places(area, anchors, [letter(i) for i in range(len(anchors))]):
        assert 0.0 < x < 300.0 and 0.0 < y < 200.0


@pytest.mark.parametrize("labels", [["A"] * 9, ["10, 11, 12"] * 9])
@given(step=st.tuples(st.floats(-32, 32), st.floats(-20, 20)), x=st.floats(10, 290))
def test_labels_lie_neither_on_each_other_nor_on_marks(
    labels: list[str], step: tuple[float, float], x: float
) -> None:
    """Rows, columns, diagonals and heaps of nine marks: every shape that a profile brings."""
    area = Area(0.0, 0.0, Axis(0, 1, 300.0), Axis(0, 1, 250.0))
    marks = [(min(max(x + i * step[0], 5), 295), min(max(125 + (i - 4) * step[1], 5), 245))
             for i in range(9)]  # fmt: skip
    places = free_places(area, marks, labels)
    boxes = [Box.of(*place, words) for place, words in zip(places, labels, strict=True)]
    for i, box in enumerate(boxes):
        assert box.inside(area)
        assert all(box.distance(other) >= 0.0 for other in boxes[:i])
        assert all(box.distance(Box(*mark)) >= 0.0 for mark in marks)


def test_texts_of_numbers() -> None:
    assert shown(2.3e-6, "J") == "2.30\u00a0µJ" and shown(1234.5, "1") == "1,234"
    assert typeset("9.1 uJ to 3 ms, 4 cores, 50 %, 2 J*s") == (
        "9.1\u00a0µJ to 3\u00a0ms, 4 cores, 50\u00a0%, 2\u00a0J·s"
    )
    assert [letter(i) for i in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


class TestReport:
    def test_it_writes_one_file(self, tmp_path: Path) -> None:
        path = l2l.report(RESULT, PROGRAM, tmp_path / "net.html", network=NETWORK, x=X)
        assert [path] == list(tmp_path.iterdir())
        checked(path.read_text("utf-8"))
        assert "Float against integers" in path.read_text("utf-8")

    def test_encoded_samples_are_drawn_too(self, tmp_path: Path) -> None:
        encoded = PROGRAM.input.encode(X)[0].astype(np.int32)
        path = l2l.report(
            RESULT, PROGRAM, tmp_path / "a.html", network=NETWORK, x=encoded, encoded=True
        )
        assert "Float against integers" in path.read_text("utf-8")

    def test_another_program_or_network_is_refused(self, tmp_path: Path) -> None:
        other = example_program("other")
        with pytest.raises(l2l.InputError, match="the profile is of another program"):
            l2l.report(RESULT, other, tmp_path / "net.html")
        with pytest.raises(l2l.InputError, match="made of another network"):
            l2l.report(
                RESULT, PROGRAM, tmp_path / "net.html", x=X,
                network=random_network(4, inputs=4, layers=(6, 4), outputs=2, density=0.7),
            )  # fmt: skip
        assert not list(tmp_path.iterdir())

    def test_a_wrong_or_unwritable_path(self, tmp_path: Path) -> None:
        with pytest.raises(l2l.InputError, match=r"reports are written as \.html"):
            l2l.report(RESULT, PROGRAM, tmp_path / "net.pdf")
        with pytest.raises(l2l.InputError, match="cannot be written"):
            l2l.report(RESULT, PROGRAM, tmp_path / "none" / "net.html")


@settings(max_examples=25)
@given(
    st.lists(
        st.builds(
            lambda value, low, high, latency: (value, low, high, latency),
            st.none() | NUMBER, st.just(0.0) | NUMBER, NUMBER, NUMBER,
        ),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_any_energies_can_be_drawn(numbers: list[tuple[float | None, float, float, float]]) -> None:
    def row(place: int, entry: tuple[float | None, float, float, float]) -> ProfileRow:
        value, low, high, latency = entry
        energy = Quantity(value, min(low, high), max(low, high, value or 0.0), "J")
        made = measured_row(
            f"backend {place}", latency=Quantity.exact(latency, "s"), total_energy=energy,
            throughput=Quantity.exact(1 / latency, "Hz"), batch=place + 1,
        )  # fmt: skip
        return paced(made, 100.0) if place % 2 else made

    rows = (chip_row(), *(row(i, entry) for i, entry in enumerate(numbers)))
    result: ProfileResult = example_result(PROGRAM, rows, rate=None if len(rows) % 2 else 100.0)
    checked(page(result, PROGRAM, None))
