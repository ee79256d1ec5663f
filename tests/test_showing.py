"""How results show themselves: in a prompt, in print, in a notebook."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import random_network

import lnn2loihi as l2l
from lnn2loihi.printable import is_line
from lnn2loihi.showing import LONGEST_LINE, Brief, Shown, Table, Verbatim, brief
from lnn2loihi.showing.markup import MOST_ROWS, as_html

#: Classes that are public and no dataclass: what runs, not what is found.
DATACLASSES = [
    found
    for found in (getattr(l2l, name) for name in l2l.__all__)
    if inspect.isclass(found) and dataclasses.is_dataclass(found)
]


class Elements(HTMLParser):
    """Names of the elements of a text, and whether each that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_html(text: str) -> None:
    found = Elements(text)
    assert not found.open and found.attributes <= {"style"}
    assert found.names <= {"div", "pre", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.fixture(scope="module")
def results() -> list[Any]:
    network = random_network(7)
    x = np.random.default_rng(1).normal(size=(2, 12, network.input_size))
    program = l2l.quantize(network, calibrate=x)
    placement, run = l2l.place(program), l2l.simulate(program, x)
    work = l2l.workload(placement, run.counters)
    profile = l2l.profile(program, x, rate=50.0, against=())
    return [
        network, network.evaluate(x), program, placement, profile, profile.answer,
        l2l.place_copies(program, copies=3), l2l.simulate(program, 9.0 * x),
        l2l.compare(network, program, x), l2l.verify(program, x, executors=("reference", "blas")),
        l2l.estimate(work, "loihi2-oheo-gulch"), l2l.load_device("loihi2-oheo-gulch"),
        l2l.sensitivity(network, x),
        l2l.examine(), l2l.program_metrics(program, run.counters, 2), l2l.Recipe(),
    ]  # fmt: skip


def inside(value: object, seen: set[int]) -> Iterator[Any]:
    """All dataclasses in a value, itself among them."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in dataclasses.fields(value):
            yield from inside(getattr(value, field.name), seen)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from inside(part, seen)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from inside(part, seen)


@pytest.mark.parametrize("shown", DATACLASSES, ids=lambda one: one.__name__)
def test_public_classes_show_themselves(shown: type) -> None:
    assert issubclass(shown, Shown)
    assert shown.__str__ is Shown.__str__ and shown.__repr__ is Brief.__repr__
    assert shown.summary is Shown.summary  # type: ignore[attr-defined]


def test_results_are_a_line_a_text_and_a_piece_of_html(results: list[Any]) -> None:
    for result in results:
        assert str(result).split() == result.summary().split()
        check_html(result._repr_html_())
        assert len(result._repr_html_()) < 150_000


def test_whatever_is_in_a_result_is_a_short_line_too(results: list[Any]) -> None:
    seen: set[int] = set()
    found = [one for result in results for one in inside(result, seen)]
    assert len({type(one) for one in found}) > 40
    for one in found:
        text = repr(one)
        assert is_line(text) and len(text) <= LONGEST_LINE, text
        if isinstance(one, Shown):
            assert str(one).split() == one.summary().split()
            check_html(one._repr_html_())


def test_the_summary_of_a_profile_begins_with_its_answer(results: list[Any]) -> None:
    profile = next(one for one in results if isinstance(one, l2l.ProfileResult))
    assert profile.summary().startswith(f"{profile.answer.title}\n")
    assert profile.summary().count(profile.answer.title) == 1
    assert profile.answer.title[:40] in repr(profile)


@given(st.text())
def test_html_shows_any_text_and_obeys_none(text: str) -> None:
    check_html(as_html([text, Table((text, "b"), [(text, 1)])]))
    hostile = as_html(["<script>alert(1)</script>", Table(("<b>",), [("<img src=x>",)])])
    assert "<script" not in hostile and "<img" not in hostile


def test_rows_that_are_left_out_are_counted() -> None:
    text = as_html(["title", Table(("n",), [(n,) for n in range(MOST_ROWS + 5)])])
    assert "5 more rows are not shown here" in text
    assert "not shown" not in as_html(["title", Table(("n",), [(1,)])])


@given(st.recursive(
    st.none() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
))  # fmt: skip
def test_any_value_is_a_short_line(value: Any) -> None:
    assert is_line(brief(value)) and len(brief(value)) <= 48


def test_an_object_that_is_half_made_has_a_repr() -> None:
    assert repr(object.__new__(l2l.Recipe)).startswith("Recipe(")


def test_recipes_are_written_out_in_full() -> None:
    """Digests of trained modules are made of it."""
    assert repr(l2l.Recipe()) == (
        "Recipe(weight_bits=8, message_bits=12, input_bits=12, activation='ramp12')"
    )


@pytest.mark.parametrize("batch", [None, 3])
def test_streams_show_what_they_have_counted(batch: int | None) -> None:
    network = random_network(7)
    x = np.random.default_rng(1).normal(size=(2, 12, network.input_size))
    program = l2l.quantize(network, calibrate=x)
    stream: Any = l2l.open_stream(program, batch=batch) if batch else l2l.open_stream(program)
    stream.step(np.full((batch, program.channels) if batch else program.channels, 1e3))
    clipped = (batch or 1) * program.channels
    assert f"{batch or 1} samples taken" in repr(stream) and is_line(repr(stream))
    assert f"{clipped} input values clipped" in repr(stream) and len(repr(stream)) <= LONGEST_LINE
    assert str(
        stream
    ).split() == stream.summary().split() and "outside the calibrated range" in str(stream)
    check_html(stream._repr_html_())


def test_print_folds_sentences_as_tables_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Said(Shown):
        def _shown(self) -> list[Any]:
            return ["a sentence " * 20, Table(("a", "b"), [("x " * 50, 1)]), Verbatim("c " * 60)]

    monkeypatch.setenv("COLUMNS", "60")
    lines = str(Said()).splitlines()
    assert {len(line) for line in lines if len(line) > 60} == {120}  # what keeps its columns
    assert len(lines[0]) <= 60 < len(Said().summary().splitlines()[0])
