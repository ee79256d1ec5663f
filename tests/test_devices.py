"""Device profiles: what is shipped, what a user's own file may say, and what is refused."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi import cli
from lnn2loihi.devices import (
    COST_PARAMETERS,
    DEFINITIONS,
    GRADES,
    Figure,
    device_tables,
    with_prefix,
)
from lnn2loihi.devices.schema import TABLE_LIMIT
from lnn2loihi.devices.units import UNITS, to_base
from lnn2loihi.devices.writer import device_text
from lnn2loihi.graph.precedent import ACCUMULATORS_UNKNOWN

OHEO = l2l.load_device("loihi2-oheo-gulch")
# The table of parameters that the model was specified with: value, low, high.
SPECIFIED = {
    "static_power_per_chip": (0.23, 0.10, 0.28),
    "active_core_power": (2.5e-3, 0.5e-3, 6e-3),
    "energy_per_step": (20e-9, 10e-9, 45e-9),
    "energy_per_synaptic_operation": (6.5e-12, 4e-12, 13e-12),
    "energy_per_neuron_update": (40e-12, 20e-12, 81e-12),
    "energy_per_instruction": (10e-12, 3e-12, 30e-12),
    "energy_per_spike": (15e-12, 5e-12, 60e-12),
    "energy_per_message": (25e-12, 10e-12, 90e-12),
    "energy_per_hop": (3.5e-12, 2e-12, 5e-12),
    "time_per_step": (1.3e-6, 1.0e-6, 1.8e-6),
    "time_per_synaptic_operation": (1.5e-9, 0.7e-9, 2.5e-9),
    "time_per_neuron_update": (4e-9, 2.5e-9, 8.4e-9),
    "time_per_instruction": (1.4e-9, 0.8e-9, 2.5e-9),
    "time_per_message": (2e-9, 1e-9, 16e-9),
    "time_per_outgoing_message": (2e-9, 0.5e-9, 5e-9),
}
# What compile logs of public notebooks show, and the vendor's larger number or the same.
LOGGED = {
    "neurons_per_core": (4096, 8192),
    "neuron_groups_per_core": (8, 8),
    "axons_in_per_core": (16_000, 16_000),
    "axons_out_per_core": (16_000, 16_000),
    "memory_per_core": (120_000, 196_608),
    "synaptic_memory_per_core": (8 * 12_000, 131_072),
}
LOIHI_FIGURES = {definition.name for definition in device_tables().kinds["loihi"].figures}
ASSUMED = {
    "energy_per_neuron_update", "energy_per_spike", "energy_per_message", "energy_per_hop",
    "time_per_message", "time_per_outgoing_message", "time_per_link_message", "host_io_time",
    "host_power", "time_per_board_message",
}  # fmt: skip
FIGURE = """
[figures.{name}]
value = {value}
low = {low}
high = {high}
unit = "{unit}"
grade = "{grade}"
source = "{source}"
"""


def figure_text(name: str, **given: object) -> str:
    defaults = {"value": 1.0, "low": 1.0, "high": 1.0, "unit": "1", "grade": "assumed",
                "source": "test"}  # fmt: skip
    return FIGURE.format(name=name, **{**defaults, **given})


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def problems_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(l2l.DeviceError) as caught:
        l2l.load_device(path)
    return caught.value.problems


class TestShipped:
    def test_the_devices_that_are_promised(self) -> None:
        names = l2l.device_names()
        assert {"loihi2-oheo-gulch", "loihi2-kapoho-point", "loihi2-hala-point", "loihi1"} <= {
            *names
        }
        kinds = [l2l.load_device(name).kind for name in names]
        assert kinds.count("cpu") >= 3 and kinds.count("gpu") >= 3 and kinds.count("mcu") >= 7
        assert "validation" not in names

    @pytest.mark.parametrize("name", l2l.device_names())
    def test_every_figure_is_complete(self, name: str) -> None:
        device = l2l.load_device(name)
        assert device.name == name and l2l.load_device(device) is device
        for figure_name, figure in device.figures.items():
            assert figure.low <= figure.value <= figure.high
            assert figure.unit == DEFINITIONS[figure_name].unit
            assert figure.grade in GRADES and len(figure.source) > 3
            assert with_prefix(figure.value, figure.unit) in device.summary()
        json.dumps(device.to_dict())

    def test_the_costs_of_loihi2_are_the_specified_ones(self) -> None:
        for name, (value, low, high) in SPECIFIED.items():
            figure = OHEO.figure(name)
            assert (figure.value, figure.low, figure.high) == (value, low, high), name
        costs = {name: OHEO.get(name) for name in COST_PARAMETERS}
        assert {n for n, f in costs.items() if f is not None and f.grade == "assumed"} == ASSUMED
        absent = {name for name, figure in costs.items() if figure is None}
        assert absent == {"time_per_spike", "board_power"} <= OHEO.not_public.keys()
        loihi1 = l2l.load_device("loihi1")
        spike, axon = (loihi1.value(f"energy_per_{what}") for what in ("spike", "message"))
        assert (spike, axon) == (69.3e-12, 111e-12), "a spike once, each destination once"
        for limit in (0, 1, 2):
            parts = [SPECIFIED[f"energy_per_{what}"][limit] for what in ("spike", "message")]
            assert sum(parts) == pytest.approx((40e-12, 15e-12, 150e-12)[limit])

    def test_the_limits_of_loihi2_are_those_of_compile_logs(self) -> None:
        for name, (value, high) in LOGGED.items():
            figure = OHEO.figure(name)
            assert (figure.value, figure.low, figure.high) == (value, value, high), name
            assert figure.grade == "logged" and "logs" in figure.source, name
            assert ("technology brief" in figure.source) == (high > value), name
        cores = OHEO.figure("cores_per_chip")
        assert cores.value == 120 and "arXiv:2602.04717: 152 cores" in cores.source

    def test_boards_differ_from_the_chip_only_where_they_say_so(self) -> None:
        for name, chips, cores in (("kapoho-point", 8, 120), ("hala-point", 1152, 122)):
            board = l2l.load_device(f"loihi2-{name}")
            assert (board.count("chips"), board.count("cores_per_chip")) == (chips, cores)
            differing = {n for n in OHEO.figures if board.figures[n] != OHEO.figures[n]}
            assert differing <= {"chips", "cores_per_chip"}
            assert board.not_public == OHEO.not_public and set(OHEO.notes) < set(board.notes)

    def test_limits_that_are_not_public_are_said_to_be(self) -> None:
        for name in ("fan_in_per_neuron", "accumulators_per_neuron", "program_memory_per_core"):
            assert OHEO.get(name) is None and "not published" in OHEO.not_public[name]
        assert OHEO.not_public["accumulators_per_neuron"] == ACCUMULATORS_UNKNOWN
        assert l2l.load_device("loihi1").count("axons_in_per_core") == 4096
        with pytest.raises(l2l.DeviceError, match="'fan_in_per_neuron': .*not published"):
            OHEO.figure("fan_in_per_neuron")
        with pytest.raises(l2l.DeviceError, match="no figure 'bogus'; a profile of your own"):
            OHEO.value("bogus")

    def test_nothing_of_a_computer_is_called_measured(self) -> None:
        for name in l2l.device_names():
            device = l2l.load_device(name)
            if device.kind in ("cpu", "gpu"):
                assert {f.grade for f in device.figures.values()} <= {"vendor", "assumed"}

    def test_unknown_names_get_a_suggestion(self) -> None:
        with pytest.raises(l2l.DeviceError, match="do you mean 'loihi2-oheo-gulch'.*loihi1"):
            l2l.load_device("loihi2-oheo-gluch")
        with pytest.raises(l2l.DeviceError, match="is unknown; there are"):
            l2l.load_device("validation")


class TestOwnFiles:
    def test_extends_a_shipped_profile(self, tmp_path: Path) -> None:
        text = 'title = "Mine"\nextends = "loihi2-oheo-gulch"\nnotes = ["A note."]\n'
        text += figure_text("static_power_per_chip", value=251, low=240, high=260, unit="mW",
                            grade="measured")  # fmt: skip
        text += figure_text("synapses_per_chip", value=4096, low=4096, high=4096)
        device = l2l.load_device(write(tmp_path, text))
        assert (device.name, device.title, device.kind) == ("mine", "Mine", "loihi")
        assert device.figure("static_power_per_chip") == Figure(
            0.251, 0.24, 0.26, "W", "test", "measured"
        )
        assert device.value("time_per_step") == OHEO.value("time_per_step")
        assert device.count("synapses_per_chip") == 4096
        assert device.notes == (*OHEO.notes, "A note.")

    def test_a_figure_that_the_base_has_not_is_known_then(self, tmp_path: Path) -> None:
        text = 'title = "Mine"\nextends = "loihi1"\n'
        text += figure_text("energy_per_step", unit="nJ")
        device = l2l.load_device(write(tmp_path, text))
        base = l2l.load_device("loihi1").not_public
        assert device.value("energy_per_step") == 1e-9
        assert device.not_public == {k: v for k, v in base.items() if k != "energy_per_step"}

    def test_a_figure_can_be_taken_back(self, tmp_path: Path) -> None:
        text = 'title = "Mine"\nextends = "loihi2-oheo-gulch"\n[not_public]\nenergy_per_step = "no"'
        device = l2l.load_device(write(tmp_path, text))
        assert (
            device.get("energy_per_step") is None and device.not_public["energy_per_step"] == "no"
        )
        text = text.replace("energy_per_step", "energy_per_hop")
        assert problems_of(write(tmp_path, text)) == (
            "figures.energy_per_hop (a message's way from one router to the next) is missing",
        )

    def test_extends_a_file_beside_it_and_one_level_only(self, tmp_path: Path) -> None:
        write(tmp_path, device_text(OHEO), "base.toml")
        first = write(tmp_path, 'extends = "base.toml"\ntitle = "One"', "first.toml")
        assert l2l.load_device(first).figures == OHEO.figures
        second = write(tmp_path, 'extends = "first.toml"\ntitle = "Two"', "second.toml")
        assert "one level is allowed" in problems_of(second)[0]
        third = write(tmp_path, 'extends = "loihi2-hala-point"\ntitle = "Three"', "third.toml")
        assert "one level is allowed" in problems_of(third)[0]
        for target in ("../base.toml", "/etc/passwd.toml", "nothing.toml", "nothing"):
            fourth = write(tmp_path, f'extends = "{target}"\ntitle = "Four"', "fourth.toml")
            assert len(problems_of(fourth)) == 1

    def test_contradictions_with_the_base_are_found(self, tmp_path: Path) -> None:
        text = 'title = "Mine"\nextends = "loihi2-oheo-gulch"\n'
        text += figure_text("memory_per_core", value=1024, low=1024, high=1024, unit="B")
        found = problems_of(write(tmp_path, text))
        assert len(found) == 2
        assert (
            "synaptic_memory_per_core (96,000 B) is more than memory_per_core (1 KiB)" in (found[0])
        )
        assert "state_per_neuron (4 KiB) is more than memory_per_core (1 KiB)" in found[1]

    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_what_is_saved_loads_again(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        numbers = st.floats(1e-15, 1e15)
        figures = dict(OHEO.figures)
        for name in data.draw(st.sets(st.sampled_from(COST_PARAMETERS))):
            low, value, high = sorted(data.draw(st.tuples(numbers, numbers, numbers)))
            text = data.draw(st.text(min_size=1, max_size=30).filter(
                lambda t: t.isprintable() and t.strip() != ""))  # fmt: skip
            unit = DEFINITIONS[name].unit
            figures[name] = Figure(
                value, low, high, unit, text, data.draw(st.sampled_from([*GRADES]))
            )
        path = tmp_path_factory.mktemp("saved") / "mine.toml"
        unknown = {name: why for name, why in OHEO.not_public.items() if name not in figures}
        device = replace(
            OHEO, figures=figures, not_public=unknown, name="mine", source_file=str(path)
        )
        assert l2l.save_device(device, path) == path
        assert l2l.load_device(path) == device

    def test_saving_to_a_bad_place(self, tmp_path: Path) -> None:
        with pytest.raises(l2l.DeviceError, match=r"written as \.toml"):
            l2l.save_device(OHEO, tmp_path / "mine.json")
        with pytest.raises(l2l.DeviceError, match="cannot be written: No such file"):
            l2l.save_device(OHEO, tmp_path / "nowhere" / "mine.toml")


class TestErrors:
    def test_all_of_them_at_once(self, tmp_path: Path) -> None:
        text = 'titel = "Typo"\nkind = "loihi"\nnotes = [1, "two\\u0007"]\n[not_public]\nx = 3\n'
        text += figure_text("chips", value=1.5, low=1, high=2)
        text += figure_text("cores_per_chip", value=0, low=0, high=1)
        text += figure_text("time_per_step", value="nan", unit="us")
        text += figure_text("time_per_message", value=-1, low=-2, unit="ns")
        text += figure_text("energy_per_hop", value=5, low=6, high=7, unit="pJ")
        text += figure_text("energy_per_message", value=5, low=0, high=7, unit="pJ")
        text += figure_text("static_power_per_chip", value='"a lot"', unit="mW")
        text += figure_text("energy_per_step", unit="ns")
        text += figure_text("active_core_power", unit="horses", grade="guessed", source=" ")
        text += figure_text("energy_per_stp", unit="pJ")
        text += figure_text("threads")
        text += "[figures.mesh_rows]\nvalue = true\nlow = 4\nhgh = 4\n"
        found = problems_of(write(tmp_path, text))
        expected = [
            "it has an unknown key 'titel'; is 'title' meant?",
            "title is missing",
            "notes[0] is a whole number, expected text",
            "notes[1] is not one line of printable text",
            "not_public.'x' is a whole number, expected text",
            "figures.chips: value, low and high must be whole numbers from 1 on",
            "figures.cores_per_chip: value, low and high must be whole numbers from 1 on",
            "figures.time_per_step.value is not a number (NaN)",
            "figures.time_per_message.value is out of range",
            "figures.time_per_message.low is out of range",
            "figures.energy_per_hop is not in order: low 6 <= value 5 <= high 7",
            "figures.energy_per_message.low is 0, but the value is not",
            "figures.static_power_per_chip.value is text, expected a number",
            "figures.energy_per_step.unit 'ns' measures a time, but this is an energy: J, mJ",
            "figures.active_core_power.unit 'horses' is unknown; a power is given in MW, kW, W",
            "figures.active_core_power.grade is 'guessed'; there are measured, calibrated",
            "figures.active_core_power.source is empty",
            "'energy_per_stp' is not a figure that is known; is 'energy_per_step' meant?",
            "figures.threads belongs to cpu, this is a loihi",
            "figures.mesh_rows.value is true or false, expected a number",
            "figures.mesh_rows has an unknown key 'hgh'; is 'high' meant?",
            "figures.mesh_rows.high is missing",
            "figures.mesh_rows.source is missing",
            "figures.energy_per_synaptic_operation (a synaptic operation) is missing",
        ]
        for line in expected:
            assert any(line in problem for problem in found), (line, found)
        absent = [n for n in DEFINITIONS if f"[figures.{n}]" not in text]
        needed = [n for n in absent if DEFINITIONS[n].required and n in LOIHI_FIGURES]
        assert sum("is missing" in problem for problem in found) == len(needed) + 5

    def test_contradictory_limits(self, tmp_path: Path) -> None:
        text = device_text(OHEO).replace(
            "[figures.cores_per_chip]\nvalue = 120.0\nlow = 120.0\nhigh = 128.0",
            "[figures.cores_per_chip]\nvalue = 129.0\nlow = 129.0\nhigh = 129.0",
        )
        assert problems_of(write(tmp_path, text)) == (
            "cores_per_chip (129) is more than the 128 cores of 8 x 4 routers with 4 each",
        )
        text = 'title = "PC"\nkind = "cpu"\n' + figure_text("threads")
        text += figure_text("thermal_design_power", value=10, low=10, high=10, unit="W")
        text += figure_text("idle_power", value=11, low=11, high=11, unit="W")
        assert problems_of(write(tmp_path, text)) == (
            "idle_power (11.0 W) is more than thermal_design_power (10.0 W), of which it is a part",
        )
        text = device_text(OHEO).replace("[not_public]", '[not_public]\nchips = "unknown"')
        assert problems_of(write(tmp_path, text)) == (
            "chips has a figure and stands in not_public; it is one or the other",
        )

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("figures = 3\nkind = []\ntitle = 1", "figures is a whole number, expected a table"),
            ("[figures]\nchips = 3", "figures.chips is a whole number, expected a table"),
            ('kind = "tpu"', "kind is 'tpu'; there are loihi, cpu, gpu"),
            ("", "kind is missing; there are"),
            ("title = ", "is not valid TOML"),
            ("a.b = 1\n" * 2, "is not valid TOML"),
            ("x = " + "[" * 50_000, "is not valid TOML"),
            (".".join("a" * 50_000) + " = 1", "a key of over 32 parts"),
            ("x = {" + ".".join(["'a'"] * 50_000) + " = 1}", "a key of over 32 parts"),
            ("x = " + "{a=" * 50_000, "is not valid TOML"),
            ("'" * 3 + '"a' * 50_000, "is not valid TOML"),
            ("a" * 200_000, "is not valid TOML"),
            ('".' * 100_000, "is not valid TOML"),
            ("[a]\n" + "[a.b.c.d.e.f.g.h]\n" * 10_000, "is not valid TOML"),
            ("\n".join(f"[a.b.c.d.e.f.g.h.k{i}]" for i in range(9000)), "unknown key 'a'"),
            ("x = " + "9" * 100_000, "is not valid TOML"),
            ("#" * 300_000, "has 300,000 bytes; the limit is"),
            ("\n".join(f"k{i} = 1" for i in range(9000)), "8,990 more unknown keys"),
        ],
        ids=["types", "figure", "kind", "empty", "syntax", "twice", "deep", "deep key",
             "quoted key", "deep tables", "quotes", "word", "dots", "tables", "many tables",
             "digits", "large", "many keys"],
    )  # fmt: skip
    def test_hostile_files(self, tmp_path: Path, text: str, what: str) -> None:
        path = write(tmp_path, text)
        with pytest.raises(l2l.DeviceError) as caught:
            l2l.load_device(path)
        assert what in str(caught.value) and str(path) in str(caught.value)
        assert len(str(caught.value)) < 20_000

    def test_too_many_figures(self, tmp_path: Path) -> None:
        text = "[figures]\n" + "\n".join(f"f{i} = 1" for i in range(TABLE_LIMIT + 1))
        found = problems_of(write(tmp_path, text))
        assert f"figures has {TABLE_LIMIT + 1} entries; the limit is {TABLE_LIMIT}" in found
        assert len(found) < 10

    def test_what_is_no_text_file(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        assert problems_of(path) == ("there is no such file",)
        assert problems_of(tmp_path / "a\0b.toml")
        path.write_bytes(b'title = "\xff"')
        assert "not a text file in UTF-8" in problems_of(path)[0]
        (tmp_path / "folder.toml").mkdir()
        assert problems_of(tmp_path / "folder.toml") == ("is a folder, not a file",)

    def test_a_byte_order_mark_is_no_error(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_bytes(b"\xef\xbb\xbf" + device_text(OHEO).encode())
        assert l2l.load_device(path).figures == OHEO.figures

    @settings(max_examples=60, deadline=None)
    @given(content=st.binary(max_size=300))
    def test_any_bytes_are_refused(
        self, content: bytes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("bytes") / "mine.toml"
        path.write_bytes(content)
        assert problems_of(path)

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_any_damage_is_refused_or_means_nothing(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Lines of a profile dropped, doubled, or with another value: a Device or a DeviceError."""
        lines = device_text(OHEO).splitlines()
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(lines) - 1))
            key = lines[place].split("=")[0]
            values = [
                "nan",
                "inf",
                "-1",
                "0",
                "1e400",
                "[]",
                "{}",
                '""',
                '"us"',
                "true",
                "1979-05-27",
            ]
            damage = [[], [lines[place]] * 2, [f"{key}= {data.draw(st.sampled_from(values))}"]]
            lines[place : place + 1] = data.draw(st.sampled_from(damage))
        path = tmp_path_factory.mktemp("damage") / "mine.toml"
        path.write_text("\n".join(lines))
        try:
            device = l2l.load_device(path)
        except l2l.DeviceError as error:
            assert error.problems
        else:
            for figure in device.figures.values():
                assert 0 <= figure.low <= figure.value <= figure.high < math.inf


class TestUnits:
    @pytest.mark.parametrize(
        ("value", "unit", "text"),
        [
            (1.164e-6, "s", "1.16 us"),
            (0.23, "W", "230 mW"),
            (9.999e-7, "J", "1.00 uJ"),
            (3.5e-12, "J", "3.50 pJ"),
            (0.0, "J", "0 J"),
            (-6e-3, "W", "-6.00 mW"),
            (131072.0, "B", "128 KiB"),
            (96000.0, "B", "96,000 B"),
            (120.0, "1", "120"),
            (1.2e8, "1", "120,000,000"),
            (2.5, "1", "2.5"),
            (6542.0, "Hz", "6.54 kHz"),
            (1e-21, "J", "0.00100 aJ"),
            (1e-320, "J", "1.00e-320 J"),
            (-2.5e17, "W", "-2.50e+17 W"),
            (9e14, "J", "900,000 GJ"),
            (1e60, "1", "1.00e+60"),
            (1e18, "B", "1.00e+18 B"),
        ],
    )
    def test_prefixes(self, value: float, unit: str, text: str) -> None:
        assert with_prefix(value, unit) == text

    @given(value=st.floats(allow_nan=False), unit=st.sampled_from(["1", "s", "J", "W", "B", "J*s"]))
    def test_no_number_is_long(self, value: float, unit: str) -> None:
        assert len(with_prefix(value, unit)) <= 24

    @given(value=st.floats(1e-17, 1e11), unit=st.sampled_from(["s", "J", "W"]))
    def test_a_prefix_keeps_three_digits(self, value: float, unit: str) -> None:
        number, prefixed = with_prefix(value, unit).split(" ")
        factors = {**UNITS[unit], f"a{unit}": 1e-18, f"p{unit}": 1e-12, f"f{unit}": 1e-15,
                   f"n{unit}": 1e-9, f"k{unit}": 1e3, f"M{unit}": 1e6, f"G{unit}": 1e9,
                   f"u{unit}": 1e-6, f"m{unit}": 1e-3}  # fmt: skip
        shown = float(number.replace(",", ""))
        assert math.isclose(shown * factors[prefixed], value, rel_tol=5.1e-3)
        assert 1.0 <= shown < 1000.0

    @given(whole=st.integers(0, 10**6), part=st.integers(0, 999))
    def test_decimals_stay_what_they_are(self, whole: int, part: int) -> None:
        """0.2 us is the float 2e-7, not the one beside it."""
        for unit, exponent in (("ms", -3), ("us", -6), ("ns", -9), ("s", 0)):
            text = f"{whole}.{part:03d}"
            assert to_base(float(text), unit) == float(f"{text}e{exponent}")


class TestVerb:
    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Any:
        monkeypatch.setattr(sys, "argv", ["lnn2loihi", "devices", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code

    def test_lists(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch) == 0
        text = capsys.readouterr().out
        assert all(name in text for name in l2l.device_names())
        assert self.run(monkeypatch, "--json") == 0
        listed = json.loads(capsys.readouterr().out)
        assert [entry["name"] for entry in listed["devices"]] == l2l.device_names()

    @pytest.mark.parametrize("name", l2l.device_names())
    def test_what_is_written_says_all_that_was_read(self, name: str, tmp_path: Path) -> None:
        device = l2l.load_device(name)
        again = l2l.load_device(write(tmp_path, device_text(device), f"{name}.toml"))
        assert replace(again, source_file=device.source_file) == device

    def test_shows_and_writes_one(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        assert self.run(monkeypatch, "loihi2-kapoho-point") == 0
        text = capsys.readouterr().out
        assert "energy_per_instruction" in text and "assumed" in text and "NECOTIS" in text
        target = tmp_path / "mine.toml"
        assert self.run(monkeypatch, "loihi2-kapoho-point", "-o", target, "--json") == 0
        assert json.loads(capsys.readouterr().out)["written"] == str(target)
        assert l2l.load_device(target).count("chips") == 8
        assert self.run(monkeypatch, target) == 0
        assert "8 chips" in capsys.readouterr().out

    def test_complains(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        for arguments, message in (
            (("loihi3",), "is unknown"),
            (("-o", tmp_path / "x.toml"), "name the device"),
            (("loihi1", "--validation"), "give no device"),
            ((tmp_path / "x.toml",), "there is no such file"),
        ):
            assert self.run(monkeypatch, *arguments) == 1
            assert message in capsys.readouterr().err
