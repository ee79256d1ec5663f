"""Profiles as files: nothing is lost, and nothing hostile gets in."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_rows import chip_row, example_program, example_result

import lnn2loihi as l2l
from lnn2loihi.printable import is_line, printable_lines
from lnn2loihi.profiling.answer import answer
from lnn2loihi.profiling.quantity import Quantity
from lnn2loihi.profiling.result import ProfileResult
from lnn2loihi.profiling.storage import (
    FORMAT,
    LARGEST_NUMBER,
    SCHEMA,
    SMALLEST_NUMBER,
    load_profile,
    plain,
    save_profile,
)
from lnn2loihi.reporting.page import page

SIZES = st.floats(SMALLEST_NUMBER, LARGEST_NUMBER)
FINITE = st.one_of(st.just(0.0), SIZES, SIZES.map(lambda size: -size))
PROGRAM = example_program()
RESULT = example_result(PROGRAM)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return RESULT.save(tmp_path / "net.profile.json")


def test_nothing_is_lost(file: Path) -> None:
    again = load_profile(file)
    assert again == RESULT
    assert again.summary() == RESULT.summary()


@given(
    name=st.text(),
    numbers=st.tuples(FINITE, FINITE, FINITE),
    words=st.dictionaries(
        st.text(max_size=5).filter(lambda key: "\n" not in key), st.text(max_size=5), max_size=3
    ),
)
def test_any_text_and_number_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    numbers: tuple[float, float, float],
    words: dict[str, str],
) -> None:
    quantity = Quantity(*numbers, "J")
    row = chip_row(title=name, problems=(name,), dynamic_energy=quantity)
    result = dataclasses.replace(RESULT, rows=(row,), chips=(), versions=words)
    path = tmp_path_factory.getbasetemp() / "any.profile.json"
    again = load_profile(save_profile(result, path))
    assert again.summary() == result.summary()
    assert again.rows[0].dynamic_energy == quantity and again.rows[0].title == printable_lines(name)
    assert again.versions == {
        printable_lines(key): printable_lines(text) for key, text in words.items()
    }
    assert all(map(is_line, again.summary().split("\n")))


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each value of a document stands, of long lists the first two entries."""
    found = [above] if above else []
    if isinstance(value, dict):
        for key, entry in value.items():
            found += places(entry, (*above, key))
    elif isinstance(value, list):
        for number, entry in enumerate(value[:2]):
            found += places(entry, (*above, number))
    return found


DOCUMENT = {"format": FORMAT, "schema": SCHEMA, "profile": json.loads(json.dumps(plain(RESULT)))}
PLACES = [place for place in places(DOCUMENT) if len(place) > 1]
VALUES: list[Any] = [
    0, -1, 1e308, 5e-324, LARGEST_NUMBER, SMALLEST_NUMBER, -SMALLEST_NUMBER, 2**61, 10**400, None,
    [], {}, "", "\x1b]0;title\x07",
]  # fmt: skip


@settings(max_examples=80)
@given(place=st.sampled_from(PLACES), value=st.sampled_from(VALUES))
def test_a_wrong_field_is_refused_or_can_be_reported(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: Any
) -> None:
    document = copy.deepcopy(DOCUMENT)
    parent: Any = document
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    path = tmp_path_factory.getbasetemp() / "wrong.profile.json"
    path.write_text(json.dumps(document))
    try:
        result = load_profile(path)
    except l2l.InputError as error:
        assert all(map(is_line, str(error).split("\n")))
        return
    assert all(map(is_line, f"{result.summary()}\n{answer(result)}".split("\n")))
    assert page(result, PROGRAM, None)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (
            ("rows", 0, "throughput", "value"),
            0,
            r"rows\[0\].throughput is 0, expected a number above",
        ),
        (
            ("rows", 0, "total_energy", "value"),
            1e308,
            r"total_energy.value is float 1e\+308, expec",
        ),
        (("rate",), -5, "profile.rate is -5"),
        (("metrics", 0, "steps"), 0, r"metrics\[0\]: .* sequences of 0 steps in all; 1 or more"),
        (("subject", "neurons"), 10**400, "subject.neurons is int 1000"),
        (
            ("subject", "recipe"),
            "\x1b[2J",
            "subject.recipe is str '.x1b.2J', expected printable text",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_its_place(
    tmp_path: Path, place: tuple[Any, ...], value: Any, words: str
) -> None:
    document = copy.deepcopy(DOCUMENT)
    parent: Any = document["profile"]
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    path = tmp_path / "wrong.profile.json"
    path.write_text(json.dumps(document))
    with pytest.raises(l2l.InputError, match=words):
        load_profile(path)


class TestRefusals:
    """One message with the place of everything that is wrong, and never another exception."""

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda d: d.update(schema=99), "has schema 99, this version reads 2"),
            (lambda d: d.update(schema=1), "has schema 1, .* profile again"),
            (lambda d: d.update(format="x"), "is no profile"),
            (lambda d: d["profile"].pop("rows"), "profile has no rows"),
            (lambda d: d["profile"].update(extra=1), "unknown entry 'extra'"),
            (lambda d: d["profile"].update(rows={}), "profile.rows is dict .*, expected a list"),
            (lambda d: d["profile"].update(rate="fast"), "profile.rate is str 'fast', expected a"),
            (lambda d: d["profile"].update(quick=1), "profile.quick is int 1, expected true or"),
            (
                lambda d: d["profile"]["rows"][0].update(tier="GUESSED"),
                r"profile.rows\[0\]: tier is 'GUESSED'",
            ),
            (
                lambda d: d["profile"]["rows"][1]["latency"].update(low=None),
                r"profile.rows\[1\].latency.low is NoneType None",
            ),
            (
                lambda d: d["profile"]["subject"].update(neurons=2.5),
                "profile.subject.neurons is float 2.5, expected a whole number",
            ),
            (lambda d: d["profile"]["chips"][0].update(mesh_rows=10**12), "mesh_rows is 10000"),
            (lambda d: d["profile"]["chips"][0].update(mesh_rows=10**30), "a whole number"),
            (lambda d: d["profile"].update(rate=10**400), "expected a number"),
        ],
    )
    def test_a_changed_document(self, file: Path, change: Any, words: str) -> None:
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))
        with pytest.raises(l2l.InputError, match=words):
            load_profile(file)

    def test_all_problems_at_once(self, file: Path) -> None:
        document = json.loads(file.read_text())
        document["profile"].update(rate="fast", quick=1, rows=3)
        file.write_text(json.dumps(document))
        with pytest.raises(l2l.InputError) as caught:
            load_profile(file)
        assert len(caught.value.problems) == 3

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"{", b"\xff\xfe\x00", b"[" * 200_000, b"null", b"7",
            b'{"format": [], "schema": {}}',
            b'{"format": "lnn2loihi profile", "schema": 2, "profile": null}',
            b'{"format": "lnn2loihi profile", "schema": 2, "profile": NaN}',
            b'{"format": "lnn2loihi profile", "schema": 2, "profile": ' + b"9" * 9999 + b"}",
        ],
    )  # fmt: skip
    def test_what_is_no_profile(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "x.profile.json"
        path.write_bytes(content)
        with pytest.raises(l2l.InputError):
            load_profile(path)

    @settings(max_examples=30)
    @given(value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20,
    ))  # fmt: skip
    def test_any_json_in_any_place(
        self, tmp_path_factory: pytest.TempPathFactory, value: Any
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "hostile.profile.json"
        document = {"format": FORMAT, "schema": SCHEMA, "profile": value}
        for place in ("profile", "rows", "chips"):
            if place != "profile":
                document["profile"] = {**RESULT.to_dict(), place: [value]}
            path.write_text(json.dumps(document))
            with pytest.raises(l2l.InputError):
                load_profile(path)

    def test_a_missing_file_and_a_wrong_name(self, tmp_path: Path) -> None:
        with pytest.raises(l2l.InputError, match="there is no such file"):
            load_profile(tmp_path / "none.profile.json")
        with pytest.raises(l2l.InputError, match="profiles are written as .profile.json"):
            RESULT.save(tmp_path / "x.json")
        with pytest.raises(l2l.InputError, match="cannot be written"):
            RESULT.save(tmp_path / "none" / "x.profile.json")

    def test_numbers_that_are_none_are_not_written(self, tmp_path: Path) -> None:
        bad = dataclasses.replace(RESULT, rate=float("nan"))
        with pytest.raises(l2l.InputError, match="a number that no device has"):
            save_profile(bad, tmp_path / "x.profile.json")
        assert not list(tmp_path.iterdir())


def test_a_result_is_frozen_all_through() -> None:
    with pytest.raises(TypeError):
        RESULT.rows[0].energy_parts["synapses"] = None  # type: ignore[index]
    assert isinstance(RESULT, ProfileResult)
