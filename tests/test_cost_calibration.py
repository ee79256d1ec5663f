"""Refitting a profile: known parameters are recovered, and bad logs are refused."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi import cli
from lnn2loihi.cost import ProfilerLog, read_logs, workload_of_totals
from lnn2loihi.cost.fitting import fit
from lnn2loihi.cost.interval import Z95
from lnn2loihi.cost.model import IO_FIGURES
from lnn2loihi.devices import COST_PARAMETERS

OHEO = l2l.load_device("loihi2-oheo-gulch")
# Networks in each of which another figure tells: steps, synapses, updates, instructions, messages
# that arrive, hops, cores, messages that leave, spikes, links.
BENCH: tuple[dict[str, Any], ...] = (
    {"cores": 1, "neuron_updates": 2},
    {"cores": 1, "synaptic_operations": 1e6},
    {"cores": 1, "neuron_updates": 8000},
    {"cores": 1, "neuron_updates": 8000, "instructions_per_update": 200},
    {"cores": 100, "messages": 100_000, "busiest_messages_in": 100_000, "spikes": 1000},
    {"cores": 1, "messages": 100_000, "hops": 10_000_000},
    {"cores": 120, "neuron_updates": 120},
    {"cores": 100, "messages": 100_000, "busiest_messages_out": 100_000, "spikes": 1000},
    {"cores": 100, "messages": 100_000, "spikes": 100_000},
    {"cores": 100, "messages": 100_000, "link_messages": 100_000, "spikes": 1000},
)
FITTED = tuple(name for name in COST_PARAMETERS if name in OHEO.figures and name not in IO_FIGURES)


def chip(**factors: float) -> l2l.Device:
    """A chip whose figures are known exactly, by factors on those of the profile."""
    figures = dict(OHEO.figures)
    for name in FITTED:
        value = figures[name].value * factors.get(name, 1.0)
        figures[name] = replace(figures[name], value=value, low=value, high=value)
    return replace(OHEO, figures=figures)


def record(
    device: l2l.Device, counts: dict[str, Any], name: str = "net", **measured: float
) -> dict[str, Any]:
    """What a profiler without noise would say of a network."""
    found = l2l.estimate(workload_of_totals(name, counts, "made up"), device, draws=100)
    said = {
        "avg_time_per_step": found.step_time.value,
        "dynamic_power": found.power["dynamic"].value,
        "static_total_power": found.power["static_full_chip"].value,
    }
    return {"name": name, "counts": counts, "relative_error": 0.002, "measured": said | measured}


def bench(device: l2l.Device) -> list[dict[str, Any]]:
    return [record(device, counts, f"net {i}") for i, counts in enumerate(BENCH)]


def problems_of(logs: Any) -> tuple[str, ...]:
    with pytest.raises(l2l.InputError) as caught:
        l2l.calibrate_profile(OHEO, logs)
    return caught.value.problems


class TestFit:
    @settings(max_examples=15)
    @given(data=st.data())
    def test_known_parameters_are_recovered(self, data: st.DataObject) -> None:
        factors = {name: data.draw(st.floats(0.5, 2.0), name) for name in FITTED}
        true = chip(**factors)
        found = l2l.calibrate_profile(OHEO, bench(true))
        assert {change.parameter for change in found.changes} == {*FITTED}
        for change in found.changes:
            value = true.value(change.parameter)
            assert change.after.value == pytest.approx(value, rel=0.05), change.parameter
            assert found.device.figures[change.parameter] == change.after
        for residual in found.residuals:
            assert residual.after == pytest.approx(residual.measured, rel=0.02)

    def test_only_what_the_logs_identify_moves(self) -> None:
        true = chip(static_power_per_chip=1.1, time_per_synaptic_operation=1.5, energy_per_hop=2)
        found = l2l.calibrate_profile(OHEO, [record(true, BENCH[1])])
        moved = {change.parameter: change for change in found.changes}
        assert {"static_power_per_chip", "time_per_synaptic_operation"} <= moved.keys()
        for name in ("energy_per_hop", "energy_per_instruction", "time_per_message", "host_power"):
            assert name not in moved and found.device.figures[name] == OHEO.figures[name]
        assert {*found.unchanged} == {*FITTED} - moved.keys()
        static = moved["static_power_per_chip"]
        assert static.after.value == pytest.approx(0.253, rel=1e-3)
        assert not {"time_per_spike", "board_power"} & {*found.unchanged}, "it has none"
        assert static.after.grade == "measured"
        assert (
            static.after.source == "fitted to 1 record of calibration logs; was 230 mW (measured)"
        )
        assert moved["time_per_synaptic_operation"].after.grade == "calibrated"
        narrower = (
            c.after.high / c.after.low < c.before.high / c.before.low for c in found.changes
        )
        assert all(narrower)

    def test_agreeing_logs_change_no_value(self) -> None:
        found = l2l.calibrate_profile(OHEO, bench(chip()))
        for change in found.changes:
            assert change.after.value == pytest.approx(change.before.value, rel=1e-6)
            assert not change.far
        assert found.remarks == ()

    def test_energies_say_the_same_as_powers(self) -> None:
        true = chip(active_core_power=1.4, static_power_per_chip=0.95)
        powers = record(true, BENCH[6])
        time = powers["measured"]["avg_time_per_step"]
        energies = {
            "dynamic_energy": 1000 * time * powers["measured"]["dynamic_power"],
            "static_energy": 1000 * time * powers["measured"]["static_total_power"],
        }
        same = {**powers, "num_steps": 1000, "measured": {"avg_time_per_step": time, **energies}}
        without_time = {**powers, "num_steps": 1000, "measured": {
            **energies, "dynamic_power": powers["measured"]["dynamic_power"]}}  # fmt: skip
        first, *others = (l2l.calibrate_profile(OHEO, [r]) for r in (powers, same, without_time))
        for other in others:
            for left, right in zip(first.changes, other.changes, strict=True):
                assert left.after.value == pytest.approx(right.after.value, rel=1e-9)

    def test_total_and_static_power_give_the_dynamic_one(self) -> None:
        """With the noise of a difference: a small rest of two large values says little."""
        powers = record(chip(), BENCH[1])
        measured = dict(powers["measured"])
        dynamic, static = measured.pop("dynamic_power"), measured["static_total_power"]
        logs = [{**powers, "measured": {**measured, "total_power": static + dynamic}}]
        found = l2l.calibrate_profile(OHEO, logs)
        residual = next(r for r in found.residuals if r.quantity == "dynamic power")
        assert residual.measured == pytest.approx(dynamic)
        direct = l2l.calibrate_profile(OHEO, [powers])
        spread = [
            next(c.after.high / c.after.low for c in calibration.changes
                 if c.parameter == "energy_per_synaptic_operation")
            for calibration in (found, direct)
        ]  # fmt: skip
        assert spread[0] > spread[1]

    def test_energies_alone_use_the_models_time(self) -> None:
        true = chip(energy_per_synaptic_operation=2.0)
        found = l2l.estimate(workload_of_totals("n", BENCH[1], "s"), true, draws=100)
        energy = {"dynamic_energy": found.energy["dynamic"].value}
        refit = l2l.calibrate_profile(OHEO, [{**record(true, BENCH[1]), "measured": energy}])
        (residual,) = refit.residuals
        assert (residual.quantity, residual.unit) == ("dynamic energy", "J")
        assert residual.after == pytest.approx(residual.measured, rel=0.01)

    def test_a_figure_far_outside_its_range_is_remarked_on(self) -> None:
        """The known miss V5b: no static power of the profile explains it."""
        logs = [{
            "name": "V5b", "counts": {"cores": 5, "neuron_updates": 200},
            "measured": {"avg_time_per_step": "1.77 us", "total_power": "470 mW"},
        }]  # fmt: skip
        found = l2l.calibrate_profile(OHEO, logs)
        assert any(c.parameter == "static_power_per_chip" and c.far for c in found.changes)
        assert "static_power_per_chip is far outside its former range" in found.remarks[0]
        assert found.remarks[0] in found.summary()

    def test_what_stays_off_is_remarked_on(self) -> None:
        """Twice the synapses in the same time: no figure makes both true."""
        twice = {"cores": 1, "synaptic_operations": 2e6}
        logs = [record(chip(), BENCH[1], "one"), record(chip(), twice, "two")]
        logs[1]["measured"]["avg_time_per_step"] = logs[0]["measured"]["avg_time_per_step"]
        found = l2l.calibrate_profile(OHEO, [{**log, "relative_error": 0.05} for log in logs])
        assert [remark for remark in found.remarks if "step time is still off by +" in remark]

    def test_the_profile_is_written_and_used(self, tmp_path: Path) -> None:
        true = chip(time_per_synaptic_operation=1.6)
        found = l2l.calibrate_profile("loihi2-oheo-gulch", bench(true))
        assert found.device.name == "loihi2-oheo-gulch-calibrated"
        path = l2l.save_device(found.device, tmp_path / "mine.toml")
        again = l2l.load_device(path)
        assert again.figures == found.device.figures and again.notes == found.device.notes
        workload = workload_of_totals("n", BENCH[1], "s")
        expected = l2l.estimate(workload, true).step_time.value
        assert l2l.estimate(workload, again).step_time.value == pytest.approx(expected, rel=0.01)
        twice = l2l.calibrate_profile(again, bench(true))
        assert sum(note.startswith("Calibrated on") for note in twice.device.notes) == 1
        json.dumps(found.to_dict(), allow_nan=False)

    @given(
        target=st.floats(-3, 3), error=st.floats(0.01, 10), below=st.floats(0.1, 3),
        above=st.floats(0.1, 3),
    )  # fmt: skip
    def test_one_parameter_has_a_closed_form(
        self, target: float, error: float, below: float, above: float
    ) -> None:
        def residuals(shifts: np.ndarray) -> np.ndarray:
            return (shifts[:, :1] - target) / error

        found = fit(residuals, np.array([below, 0.0]), np.array([above, 0.0]))
        prior = below if target < 0 else above
        assert found.shifts[0] == pytest.approx(target * prior**2 / (prior**2 + error**2), abs=1e-6)
        assert found.shifts[1] == 0.0 == found.deviations[1]
        middle = below * above
        assert found.deviations[0] == pytest.approx((middle**-1 + error**-2) ** -0.5, rel=1e-6)

    def test_the_new_range_is_the_interval_of_the_fit(self) -> None:
        logs = [record(chip(), BENCH[1])]
        change = next(c for c in l2l.calibrate_profile(OHEO, logs).changes
                      if c.parameter == "static_power_per_chip")  # fmt: skip
        static = OHEO.figure("static_power_per_chip")
        prior = math.log(static.value / static.low) / Z95
        prior *= math.log(static.high / static.value) / Z95
        spread = (prior**-1 + 0.002**-2) ** -0.5
        assert change.after.high / change.after.value == pytest.approx(
            math.exp(Z95 * spread), rel=1e-3
        )


class TestRefused:
    def test_nothing(self) -> None:
        assert problems_of([]) == ("there is no record in it",)
        assert "the limit is 1,000" in problems_of([1] * 1001)[0]

    def test_everything_that_is_wrong_at_once(self) -> None:
        good = record(chip(), BENCH[0])
        logs: list[Any] = [
            3,
            {"name": "empty"},
            {**good, "name": "both", "workload": workload_of_totals("n", {}, "s")},
            {**good, "name": "counts", "counts": {"axons": 1, "cores": -1}},
            {**good, "name": "fields", "measured": {"power": 1, "total_power": "1.2 J",
                                                    "avg_time_per_step": -1}},
            {**good, "name": "values", "measured": {"total_power": math.nan,
                                                    "avg_time_per_step": True}},
            {**good, "name": "floor", "measured": {"dynamic_power": -0.006}},
            {**good, "name": "nothing used", "measured": {"vdd_power": 0.2}},
            {**good, "name": "steps", "num_steps": 0, "relative_error": 2, "size": 4},
            {**good, "name": "plain", "workload": {"name": "x"}, "counts": None},
        ]  # fmt: skip
        found = problems_of(logs)
        for line in (
            "record 0 is an int, expected a table of fields",
            "record 1 ('empty'): measured holds nothing; give some of avg_time_per_step",
            "record 1 ('empty'): give either counts or a workload",
            "record 2 ('both'): give either counts or a workload",
            "record 3 ('counts'): 'axons' is unknown",
            "record 3 ('counts'): cores is -1",
            "record 4 ('fields'): measured has an unknown field 'power'",
            "record 4 ('fields'): total_power is '1.2 J', expected a number, or text in one of MW",
            "record 4 ('fields'): avg_time_per_step is -1",
            "record 5 ('values'): total_power is nan",
            "record 5 ('values'): avg_time_per_step is True",
            "record 6 ('floor'): dynamic_power is -0.006: it is below the probe's resolution",
            "record 7 ('nothing used'): measured holds nothing of use",
            "record 8 ('steps'): num_steps is 0",
            "record 8 ('steps'): relative_error is 2",
            "record 8 ('steps'): 'size' is unknown",
            "record 9 ('plain'): chips is missing",
        ):
            assert any(line in problem for problem in found), (line, found)

    def test_records_that_contradict_themselves(self) -> None:
        good = record(chip(), BENCH[1])
        measured = good["measured"]
        logs = [
            {**good, "name": "floor",
             "measured": {"static_total_power": 0.23, "total_power": 0.2}},
            {**good, "name": "sum", "relative_error": 0.05,
             "measured": {"total_power": 1.0, "static_total_power": 0.3, "dynamic_power": 0.5}},
            {**good, "name": "product", "measured": {**measured, "dynamic_energy": 1.0}},
        ]  # fmt: skip
        floor, sums, product = problems_of(logs)
        assert "total_power (0.2) is not above static_total_power (0.23)" in floor
        assert "below the probe's resolution" in floor
        assert "static_total_power and dynamic_power add up to 0.8, total_power is 1" in sums
        assert "dynamic_power times avg_time_per_step is" in product

    def test_records_that_contradict_each_other(self) -> None:
        one, two = record(chip(), BENCH[1], "one"), record(chip(), BENCH[1], "two")
        two["measured"] = {**two["measured"], "avg_time_per_step": 3e-3}
        (found,) = problems_of([one, record(chip(), BENCH[2]), two])
        assert "'one' and 'two' have the same workload, but avg_time_per_step is" in found
        l2l.calibrate_profile(OHEO, [one, {**one, "name": "again"}])

    def test_devices(self) -> None:
        logs = [record(chip(), BENCH[3])]
        with pytest.raises(l2l.DeviceError, match="is a cpu"):
            l2l.calibrate_profile("cpu-epyc-9654", logs)
        with pytest.raises(l2l.DeviceError, match="it needs energy_per_instruction"):
            l2l.calibrate_profile("loihi1", logs)

    def test_what_the_device_has_no_figure_for(self) -> None:
        empty = {"name": "idle", "counts": {"cores": 1}, "measured": {"dynamic_power": 0.01}}
        with pytest.raises(l2l.InputError, match="no term for its dynamic power"):
            l2l.calibrate_profile("loihi1", [empty])

    def test_a_range_with_one_side_counts_for_both(self) -> None:
        loihi1 = l2l.load_device("loihi1")
        figure = loihi1.figure("time_per_neuron_update")
        assert figure.value == figure.high
        logs = [{"name": "n", "counts": {"neuron_updates": 1000}, "measured": {
            "avg_time_per_step": 12e-6}}]  # fmt: skip
        found = l2l.calibrate_profile(loihi1, logs).device.value("time_per_neuron_update")
        assert 10e-9 < found < 11.5e-9


class TestFiles:
    def test_json_and_csv_say_the_same(self, tmp_path: Path) -> None:
        logs = bench(chip(time_per_step=0.9))
        as_json = tmp_path / "logs.json"
        as_json.write_text(json.dumps(logs))
        columns = sorted({key for log in logs for key in (*log["counts"], *log["measured"])})
        as_csv = tmp_path / "logs.csv"
        with as_csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["name", "relative_error", *columns])
            writer.writeheader()
            for log in logs:
                row = {"name": log["name"], "relative_error": log["relative_error"]}
                writer.writerow({**row, **log["counts"], **log["measured"]})
        assert read_logs(as_json) == read_logs(as_csv) == read_logs(logs)
        assert read_logs(read_logs(logs)) == read_logs(logs)
        found = l2l.calibrate_profile(OHEO, as_csv)
        assert found.source == f"{len(BENCH)} records of logs.csv"

    def test_a_workload_with_the_counts_of_each_core(self, tmp_path: Path) -> None:
        workload = workload_of_totals("n", BENCH[1], "s")
        path = tmp_path / "logs.json"
        log = {"name": "n", "workload": workload.to_dict(), "measured": {"total_power": 1}}
        path.write_text(json.dumps([log]))
        (found,) = read_logs(path)
        assert found == ProfilerLog("n", workload, {"total_power": 1.0})

    @pytest.mark.parametrize(
        ("name", "content", "what"),
        [
            ("logs.txt", b"", "come as .json, .csv"),
            ("logs.json", b"", "is not valid JSON"),
            ("logs.json", b"[" * 100_000, "is not valid JSON"),
            ("logs.json", b"{}", "holds a dict, expected a list of records"),
            ("logs.json", b"[NaN, [], null]", "record 2 is a NoneType"),
            ("logs.json", b"\xff\xfe", "not a text file in UTF-8"),
            ("logs.csv", b"", "there is no record in it"),
            ("logs.csv", b"name,cores\na,1,2,3\n", "'(cells beyond the header)' is unknown"),
            ("logs.csv", b'name,cores\n"a,1\n', "is not valid CSV"),
            ("logs.csv", b"name," + b"9" * 5000 + b"\na,1\n", "is unknown"),
        ],
    )
    def test_damaged_files(self, tmp_path: Path, name: str, content: bytes, what: str) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(l2l.InputError) as caught:
            read_logs(path)
        assert what in str(caught.value) and str(path) in str(caught.value)

    @settings(max_examples=60)
    @given(data=st.data())
    def test_any_json_is_read_or_refused(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        keys = st.sampled_from(["name", "counts", "workload", "measured", "num_steps", "cores",
                                "total_power", "relative_error", "period"])  # fmt: skip
        leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
        content = data.draw(st.lists(st.recursive(
            leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
            max_leaves=12,
        )))  # fmt: skip
        path = tmp_path_factory.mktemp("json") / "logs.json"
        path.write_text(json.dumps(content))
        try:
            assert read_logs(path)
        except l2l.InputError as error:
            assert error.problems


Run = Callable[..., int]


def test_the_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    logs, target = tmp_path / "logs.json", tmp_path / "mine.toml"
    logs.write_text(json.dumps(bench(chip(time_per_step=0.8))))
    command = ["lnn2loihi", "devices", "loihi2-oheo-gulch", "--calibrate", str(logs)]
    for options in (["-o", str(target)], ["--json"]):
        monkeypatch.setattr(sys, "argv", [*command, *options])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0
        text = capsys.readouterr().out
        assert "time_per_step" in text and "unchanged" in text
    assert l2l.load_device(target).value("time_per_step") == pytest.approx(
        0.8 * OHEO.value("time_per_step"), rel=0.01
    )
    logs.write_text("[]")
    target.unlink()
    monkeypatch.setattr(sys, "argv", [*command, "-o", str(target)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1 and "there is no record in it" in capsys.readouterr().err
    assert not target.exists()
