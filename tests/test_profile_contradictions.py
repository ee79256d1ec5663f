"""Profiles whose parts contradict each other: every change of one part is found by the others."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from profile_rows import X, example_program

import lnn2loihi as l2l
from lnn2loihi.profiling.storage import FORMAT, SCHEMA, load_profile

DEVICES = "loihi2-oheo-gulch", "mcu-stm32u385"
Profile = dict[str, Any]


@pytest.fixture(scope="module")
def result() -> l2l.ProfileResult:
    return l2l.profile(example_program(), X, DEVICES, against=(), rate=100.0)


@pytest.fixture(scope="module")
def document(result: l2l.ProfileResult) -> Profile:
    return json.loads(json.dumps({"format": FORMAT, "schema": SCHEMA, "profile": result.to_dict()}))


def other(row: Profile) -> str:
    """A competitor that does not win at the first rate."""
    return next(c["label"] for c in row["curves"] if c["label"] != row["winners"][0])


def chip_label(profile: Profile) -> str:
    return profile["frontier"]["rows"][0]["curves"][0]["label"]


def every(profile: Profile, key: str, **changes: Any) -> None:
    for one in profile[key]:
        one.update(changes)


def winners(profile: Profile) -> None:
    row = profile["frontier"]["rows"][0]
    row["winners"] = [other(row)] * len(row["winners"])


def stretches(profile: Profile) -> None:
    row = profile["frontier"]["rows"][0]
    row["stretches"] = [{**row["stretches"][0], "winner": other(row), "high": 1e9, "begins": None}]


def curve(profile: Profile) -> None:
    """The chip's, a thousandth at all rates, with the winners that follow."""
    for row in profile["frontier"]["rows"]:
        for energy in row["curves"][0]["energies"]:
            energy.update({name: energy[name] * 1e-3 for name in ("value", "low", "high")})
        row["winners"] = [row["curves"][0]["label"]] * len(row["curves"][0]["energies"]) + row[
            "winners"
        ][len(row["curves"][0]["energies"]) :]
        row["stretches"] = [
            {"winner": chip_label(profile), "low": profile["frontier"]["rates"][0],
             "high": row["curves"][0]["fastest"], "begins": None, "share": 1.0},
            *(one for one in row["stretches"] if one["low"] >= row["curves"][0]["fastest"]),
        ]  # fmt: skip


def rate_curve(profile: Profile) -> None:
    for point in profile["chips"][0]["rate_curve"]:
        point["total_energy"].update(value=1e-9, low=1e-9, high=1e-9)


def test_what_was_profiled_is_read(result: l2l.ProfileResult, tmp_path: Path) -> None:
    assert load_profile(result.save(tmp_path / "net.profile.json")) == result


CHANGES: tuple[tuple[Callable[[Profile], Any], str], ...] = (
    (lambda p: p["rows"][0].update(tier="MEASURED"), r"rows\[0\].tier is MEASURED, a cost model"),
    (lambda p: every(p, "rows", energy_tier="MEASURED"), r"rows\[0\].energy_tier is MEASURED"),
    (lambda p: p["rows"][0].update(basis=None), r"rows\[0\].basis is null"),
    (lambda p: p["rows"][0].update(backend="numpy"), r"rows\[0\].basis is there, and 'numpy'"),
    (lambda p: p["rows"][0].update(placement="fast"), r"placement is 'fast', on the chip it is"),
    (
        lambda p: p["rows"][0].update(placement="best"),
        "placement is 'best', expected one of packed",
    ),
    (lambda p: p.update(placement="fast"), "placement is 'packed', the profile is of 'fast'"),
    (lambda p: p.update(closed_loop=True), "mode is 'pipelined', and nothing is pipelined in a"),
    (lambda p: p.update(copies=3), "copies is 1, the profile is of 3"),
    (lambda p: p.update(io="host"), "io is 'none', the profile is of 'host'"),
    (lambda p: p.update(rate=50.0), "rate is 100, the profile asks for 50"),
    (lambda p: p["rows"][0].update(device="loihi2-kapoho-point"), "whose figures have no source"),
    (lambda p: p["rows"][1].update(title="Better"), r"rows\[1\].title is 'Better'"),
    (lambda p: p["frontier"].update(title="Better"), "frontier.title is 'Better', its rows say"),
    (winners, r"frontier.rows\[0\].winners\[0\] is .*, by the curves it is"),
    (stretches, r"frontier.rows\[0\].stretches: at 1 Hz none is of"),
    (curve, r"frontier.rows\[0\].curves\[0\].energies\[0\] is not what the basis"),
    (rate_curve, r"chips\[0\].rate_curve\[0\] is not what the basis of its row gives"),
    (
        lambda p: p["frontier"]["rows"][0]["curves"][1].update(fastest=1.5),
        r"has energies at \d+ rates, and meets",
    ),
)


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_a_contradiction_is_refused_by_its_place(
    document: Profile, tmp_path: Path, change: Callable[[Profile], Any], words: str
) -> None:
    changed = copy.deepcopy(document)
    change(changed["profile"])
    path = tmp_path / "net.profile.json"
    path.write_text(json.dumps(changed))
    with pytest.raises(l2l.InputError, match=words):
        load_profile(path)
