"""The experiment for owners of boards: its cases, and what is read out of logs of known boards."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from experiment_logs import drawn, lines, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lnn2loihi as l2l
from lnn2loihi.cost.experiment.analysis import _world as world_of
from lnn2loihi.cost.experiment.cases import BLOCK, INSTRUCTIONS, SOURCE, cases
from lnn2loihi.cost.experiment.folder import padded_listing, plan
from lnn2loihi.cost.interval import Interval
from lnn2loihi.devices import Device
from lnn2loihi.errors import InputError
from lnn2loihi.neurons.stock import StockNeuron

OHEO = "loihi2-oheo-gulch"
#: Draws of boards; each has some 14 identified figures.
BOARDS = 8
#: A core's words of 64 bits for synapses and in all, and neurons: docs/placement.md.
WORDS, ALL_WORDS, NEURONS = 12_000, 15_000, 4096


@pytest.fixture(scope="module")
def device() -> Device:
    return l2l.load_device(OHEO)


def analysed(device: Device, path: Path, logged: list[dict[str, Any]], **options: Any) -> Any:
    return l2l.analyse_experiment(device, written(path, logged), **options)


class TestCases:
    def test_names_are_unique_and_small_ones_have_the_same(self) -> None:
        names = [case.name for case in cases()]
        assert len(set(names)) == len(names)
        assert [c.name for c in cases(small=True)] == [c.name for c in cases() if not c.is_padded]

    def test_no_two_blocks_share_a_core_and_each_fits_on_one(self) -> None:
        for case in cases():
            if case.name == "floor" or case.is_padded:
                continue
            words = {name: 0 for name, _, _ in case.processes}
            tables = dict(words)
            for wire in case.wires:
                words[wire.target] += wire.count * math.ceil((16 * wire.fan + 32) / 64)
                tables[wire.target] += wire.count
                tables[wire.source] += wire.count
            for name, kind, size in case.processes:
                if kind == SOURCE:
                    continue
                assert size <= NEURONS and words[name] <= WORDS, (case.name, name)
                full = 2 * words[name] > WORDS or 2 * size > NEURONS
                assert full, (case.name, name, words[name])
                # Three words a neuron: state, accumulator, parameters.
                assert words[name] + tables[name] + 3 * size <= ALL_WORDS, (case.name, name)
            assert case.cores <= 120

    def test_rules_of_wires_name_neurons_that_are_there(self) -> None:
        for case in (*cases(), *cases(small=True)):
            size = {name: neurons for name, _, neurons in case.processes}
            for wire in case.wires:
                assert 0 <= wire.first and wire.first + wire.count <= size[wire.source], case.name
                assert 1 <= wire.fan <= size[wire.target], case.name

    def test_counts_are_those_of_workloads(self) -> None:
        for case in cases():
            made = case.workload(case.cores)
            assert made.cores == case.cores
            assert made.per_sample()["neuron_updates"] == pytest.approx(
                sum(size for _, _, size in case.processes)
            )

    @pytest.mark.parametrize("cores", [1, 2, 59, 61, 120])
    def test_other_cores_than_planned_are_counted(self, cores: int) -> None:
        for case in cases():
            assert case.workload(cores).cores == cores

    def test_counts_of_a_ring(self) -> None:
        ring = next(case for case in cases() if case.name == "ring-004")
        assert ring.counts["messages"] == 32 * (4 * 100 + 1)
        assert ring.counts["spikes"] == 32 * 100 + 1
        assert ring.counts["synaptic_operations"] == 32 * (4 * 100 + 100)
        assert ring.counts["busiest_messages_out"] == 400
        assert ring.counts["neuron_updates"] == 32 * BLOCK + 1

    def test_instructions_are_those_that_programs_are_counted_with(self) -> None:
        for kind in ("threshold", "rectifier"):
            assert StockNeuron(kind).program().instruction_count == INSTRUCTIONS[kind]
        assert StockNeuron("product", 1).program().instruction_count == INSTRUCTIONS["product"]

    def test_padded_listings_have_their_length(self) -> None:
        for case in cases():
            if case.is_padded:
                text = [t for t in padded_listing(case).splitlines() if not t.startswith(";")]
                assert len(text) == case.instructions


class TestFolder:
    def test_holds_all_and_equal_ones_are_equal(self, tmp_path: Path) -> None:
        one, other = (l2l.write_experiment(tmp_path / name) for name in ("one", "other"))
        names = ["README.md", "measure.py", "padded-010.txt", "padded-050.txt", "padded-100.txt",
                 "padded.jsonl", "plan.json"]  # fmt: skip
        assert sorted(p.name for p in one.iterdir()) == names
        assert all((one / n).read_bytes() == (other / n).read_bytes() for n in names)
        held = json.loads((one / "plan.json").read_text())
        text = json.dumps([held["cases"], held["small"]], sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == held["sha256"] == plan()["sha256"]

    def test_script_is_short_and_needs_nothing_of_ours(self, tmp_path: Path) -> None:
        text = (l2l.write_experiment(tmp_path / "e") / "measure.py").read_text().splitlines()
        assert len(text) <= 110 and max(map(len, text)) <= 120
        assert not any("lnn2loihi" in line for line in text if "import" in line)

    def test_readme_explains_every_field_and_case_group(self, tmp_path: Path) -> None:
        made = l2l.write_experiment(tmp_path / "e")
        text = (made / "README.md").read_text()
        fields = (
            "plan", "case", "measure", "steps", "cores", "on", "host", "date", "board",
            "partition", "loihi_gen", "avg_time_per_step", "total_power", "static_total_power",
            "messages", "synaptic_operations", "error", "SLURM", "PARTITION", "BOARD",
            "NXSDKHOST", "HOST_BINARY", "NOSLURM", "LOIHI_GEN", "--list", "--log", "--steps",
        )  # fmt: skip
        assert [name for name in fields if f"`{name}" not in text] == []
        known = {case.name for case in cases()}
        named = {w.strip("`") for w in text.split() if w.startswith("`")}
        asked = [w for line in text.splitlines() for w in line.split("--case ")[1:]]
        assert {w.split()[0].strip("`") for w in asked if "N`" not in w} <= known
        assert "floor" in " ".join(named) or "--case floor" in text

    def test_logs_and_other_files_are_kept(self, tmp_path: Path) -> None:
        made = l2l.write_experiment(tmp_path / "e")
        l2l.write_experiment(made)
        (made / "log.jsonl").write_text("mine")
        with pytest.raises(InputError, match="holds log.jsonl, which would be lost"):
            l2l.write_experiment(made)
        assert (made / "log.jsonl").read_text() == "mine"
        (tmp_path / "file").write_text("mine")
        with pytest.raises(InputError, match="is a file, not a folder: give a new folder"):
            l2l.write_experiment(tmp_path / "file")
        with pytest.raises(InputError, match="cannot be written"):
            l2l.write_experiment(tmp_path / "no" / "folder")


class TestRecovery:
    def test_figures_lie_in_their_intervals_as_often_as_they_say(
        self, device: Device, tmp_path: Path
    ) -> None:
        """Over boards that are drawn from the ranges; floor and updates of the linear fit too."""
        inside: list[bool] = []
        each: dict[str, list[bool]] = {}
        for seed in range(BOARDS):
            rng = np.random.default_rng(seed)
            idle = float(rng.uniform(0.10, 0.28))
            truth = drawn(device, rng, static_power_per_chip=idle)
            found = analysed(device, tmp_path / "log.jsonl", lines(truth, rng))
            ends = {c.parameter: (c.after.low, c.after.high) for c in found.calibration.changes}
            for name, (low, high) in ends.items():
                each.setdefault(name, []).append(low <= truth[name] <= high)
            update = truth["energy_per_neuron_update"] + 2 * truth["energy_per_instruction"]
            powers = found.powers
            assert powers is not None
            for name, value, interval in (
                ("floor", 0.0, powers.floor),
                ("core", truth["active_core_power"], powers.core),
                ("update", update, powers.updates["threshold"]),
            ):
                each.setdefault(name, []).append(interval.low <= value <= interval.high)
        inside = [hit for hits in each.values() for hit in hits]
        always = {
            "time_per_step", "time_per_synaptic_operation", "time_per_neuron_update",
            "time_per_instruction", "time_per_message", "time_per_outgoing_message",
            "static_power_per_chip", "active_core_power", "energy_per_synaptic_operation",
            "energy_per_neuron_update", "energy_per_instruction", "energy_per_message",
        }  # fmt: skip
        assert {name for name in always if len(each.get(name, ())) < BOARDS} == set()
        assert len(inside) > 105 and 0.84 <= np.mean(inside) <= 0.96
        # 8 draws of 90 %: fewer than 5 inside has a probability of 1 in 200.
        assert {name: np.mean(each[name]) for name in always if np.mean(each[name]) < 0.6} == {}

    @pytest.mark.parametrize("seed", range(2))
    def test_the_right_world_is_named(self, device: Device, tmp_path: Path, seed: int) -> None:
        rng = np.random.default_rng(seed)
        # (i): cores as the profile has them, the least of updates; (ii): as a published sweep has
        # both, with activity in the regression.
        cores = drawn(
            device, rng, active_core_power=4e-3, energy_per_instruction=3e-12,
            static_power_per_chip=0.23,
        )  # fmt: skip
        found = analysed(device, tmp_path / "log.jsonl", lines(cores, rng))
        assert found.world == "cores" and "World (i)" in found.summary()
        updates = drawn(
            device, rng, active_core_power=1e-4, energy_per_neuron_update=8e-11,
            energy_per_instruction=2.5e-11, static_power_per_chip=0.23,
        )  # fmt: skip
        found = analysed(device, tmp_path / "log.jsonl", lines(updates, rng))
        assert found.world == "updates" and "World (ii)" in found.summary()

    def test_between_both_nothing_is_claimed(self, device: Device, tmp_path: Path) -> None:
        rng = np.random.default_rng(5)
        truth = drawn(device, rng, active_core_power=1e-3, static_power_per_chip=0.23)
        found = analysed(device, tmp_path / "log.jsonl", lines(truth, rng))
        assert found.world == "cannot be told apart"
        assert "holds 1.00 mW" in found.summary()
        few = [line for line in lines(truth, rng) if line["case"] in ("floor", "cores-060")]
        assert analysed(device, tmp_path / "log.jsonl", few).world == "cannot be told apart"

    def test_a_floor_is_found_said_and_taken_off(self, device: Device, tmp_path: Path) -> None:
        rng = np.random.default_rng(6)
        truth = drawn(device, rng, active_core_power=4e-3, static_power_per_chip=0.21)
        found = analysed(device, tmp_path / "log.jsonl", lines(truth, rng, floor=0.25))
        powers = found.powers
        assert powers is not None and powers.floor_seen
        assert powers.floor.low <= 0.25 <= powers.floor.high and powers.floor.low > 0.2
        assert "Floor: there is one" in found.summary()
        assert any("found a floor" in note for note in found.device.notes)
        core = next(
            c.after for c in found.calibration.changes if c.parameter == "active_core_power"
        )
        assert core.low < 4.4e-3 and core.high > 3.6e-3
        # Estimates with the profile say so.
        counts = cases()[0].workload(1)
        assert "found a floor" in " ".join(l2l.estimate(counts, found.device).notes)

    @pytest.mark.parametrize("growing", [{"barrier": 2e-6}, {"growth": 1.0}, {"growth": 0.2}])
    def test_growth_of_the_step_is_taken_off_and_named(
        self, device: Device, tmp_path: Path, growing: dict[str, Any]
    ) -> None:
        """By seconds a core, and by a share of the step: figures are found as without it."""
        rng = np.random.default_rng(7)
        truth = drawn(device, rng, static_power_per_chip=0.23)
        found = analysed(device, tmp_path / "log.jsonl", lines(truth, rng, **growing))
        assert found.growth is not None and found.growth.low > 0.0 and found.growth_cores == 120
        assert found.growth_seen == ("term" if "barrier" in growing else "share")
        assert "It grows with cores" in found.summary()
        assert any("found that a step grows with cores" in note for note in found.device.notes)
        after = {c.parameter: c.after for c in found.calibration.changes}
        inside = [after[name].low <= truth[name] <= after[name].high
                  for name in after if name.startswith("time")]  # fmt: skip
        assert "time_per_step" in after and np.mean(inside) >= 0.6
        for name in after:
            if name.startswith("time"):
                assert after[name].value == pytest.approx(truth[name], rel=0.2), name

    def test_a_step_that_does_not_grow(self, device: Device, tmp_path: Path) -> None:
        rng = np.random.default_rng(7)
        truth = drawn(device, rng, static_power_per_chip=0.23)
        still = analysed(device, tmp_path / "log.jsonl", lines(truth, rng, noise=1e-4))
        assert still.growth is not None and still.growth.low <= 0.0 <= still.growth.high
        assert still.growth_seen == "" and "not seen to grow" in still.summary()
        assert not any("grows with cores" in note for note in still.device.notes)

    def test_a_slow_link_shows(self, device: Device, tmp_path: Path) -> None:
        rng = np.random.default_rng(8)
        truth = drawn(
            device, rng, time_per_link_message=2e-8, time_per_message=1e-9,
            time_per_outgoing_message=5e-10,
        )  # fmt: skip
        found = analysed(device, tmp_path / "log.jsonl", lines(truth, rng))
        # No slope leads there: at first every core takes longer than any link.
        after = {c.parameter: c for c in found.calibration.changes}
        assert after["time_per_link_message"].after.value == pytest.approx(2e-8, rel=0.1)
        assert after["time_per_link_message"].far
        assert "time_per_outgoing_message" not in after

    def test_without_microcode_it_says_what_that_leaves_open(
        self, device: Device, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(9)
        truth = drawn(device, rng, static_power_per_chip=0.23)
        logged = lines(truth, rng, padded=False)
        found = analysed(device, tmp_path / "log.jsonl", logged)
        assert set(found.missing) == {"padded-010", "padded-050", "padded-100"}
        assert "cannot be told from those of an update" in found.summary()
        update = truth["energy_per_neuron_update"] + 2 * truth["energy_per_instruction"]
        after = found.device
        fitted = after.figure("energy_per_neuron_update").value
        fitted += 2 * after.figure("energy_per_instruction").value
        assert fitted == pytest.approx(update, rel=0.15)

    def test_chips_of_a_board_that_idle_are_taken_off(self, device: Device, tmp_path: Path) -> None:
        rng = np.random.default_rng(10)
        truth = drawn(device, rng, static_power_per_chip=0.2, active_core_power=3e-3)
        logged = lines(truth, rng, noise=0.002, idle_chips=7)
        found = analysed(
            l2l.load_device("loihi2-kapoho-point"), tmp_path / "log.jsonl", logged,
            relative_error=0.002,
        )  # fmt: skip
        assert found.static_power is not None
        assert found.static_power.value == pytest.approx(0.2, rel=0.01)
        after = {c.parameter: c.after.value for c in found.calibration.changes}
        assert after["active_core_power"] == pytest.approx(3e-3, rel=0.15)
        assert "7 of which idle" in found.summary()

    def test_time_alone_and_power_alone(self, device: Device, tmp_path: Path) -> None:
        rng = np.random.default_rng(11)
        logged = lines(drawn(device, rng), rng)
        times = analysed(
            device, tmp_path / "a", [line for line in logged if line["measure"] == "time"]
        )
        assert times.static_power is None and times.powers is None
        assert not any(name.startswith("energy") for name in times.identified)
        assert "Static power: not measured" in times.summary()
        powers = analysed(
            device, tmp_path / "b", [line for line in logged if line["measure"] == "energy"]
        )
        assert powers.growth is None and "static_power_per_chip" in powers.identified
        for found in (times, powers):
            assert json.loads(json.dumps(found.to_dict()))["board"] == "ncl-1"

    def test_one_minute_gives_the_idle_power(self, device: Device, tmp_path: Path) -> None:
        rng = np.random.default_rng(12)
        truth = drawn(device, rng, static_power_per_chip=0.12)
        first = [line for line in lines(truth, rng)
                 if (line["case"], line["measure"]) == ("floor", "energy")]  # fmt: skip
        found = analysed(device, tmp_path / "log.jsonl", first)
        assert found.device.figure("static_power_per_chip").value == pytest.approx(0.12, rel=0.06)
        assert found.identified == ("static_power_per_chip",)


@pytest.fixture(scope="module")
def logged(device: Device) -> list[dict[str, Any]]:
    rng = np.random.default_rng(20)
    return lines(drawn(device, rng, static_power_per_chip=0.23), rng)


@pytest.fixture(scope="module")
def found(
    device: Device, tmp_path_factory: pytest.TempPathFactory, logged: list[dict[str, Any]]
) -> Any:
    """What the log tells as it is."""
    return analysed(device, tmp_path_factory.mktemp("log") / "log.jsonl", logged)


def exchanged(
    logged: list[dict[str, Any]], one: str, other: str, field: str
) -> list[dict[str, Any]]:
    """The log with a field of two cases exchanged."""
    value = {line["case"]: line[field] for line in logged if field in line}
    turned = {one: value[other], other: value[one]}
    return [
        {**line, field: turned[line["case"]]} if field in line and line["case"] in turned else line
        for line in logged
    ]


class TestContradictions:
    """Logs that no board has written: named first, and nothing is concluded from them."""

    @pytest.mark.parametrize(
        ("one", "other", "field", "text"),
        [
            ("cores-001", "cores-120", "total_power", "cores-120, on 120 cores, draws"),
            ("cores-060", "stretched-060", "avg_time_per_step", "a step of stretched-060 takes"),
        ],
    )
    def test_exchanged_values(
        self, device: Device, tmp_path: Path, one: str, other: str, field: str, text: str
    ) -> None:
        rng = np.random.default_rng(3)
        truth = drawn(device, rng, active_core_power=4e-3, energy_per_instruction=3e-12,
                      static_power_per_chip=0.23)  # fmt: skip
        logged = exchanged(lines(truth, rng), one, other, field)
        found = analysed(device, tmp_path / "log.jsonl", logged)
        first, *_, last = found.sentences
        assert first.startswith("The log contradicts the model: ")
        assert any(text in words for words in found.contradictions)
        assert found.world == "cannot be told apart" and "contradicts the model" in last
        assert found.powers is not None and not found.powers.floor_seen
        assert not {name for name in found.identified if "energy" in name or "core" in name}
        assert ("time_per_step" in found.identified) == (field == "total_power")
        assert "static_power_per_chip" in found.identified
        assert any("contradicts the model" in note for note in found.device.notes)
        assert json.loads(json.dumps(found.to_dict()))["contradictions"]

    @pytest.mark.parametrize("seed", range(2))
    def test_boards_as_drawn_do_not_contradict_it(
        self, device: Device, tmp_path: Path, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        found = analysed(device, tmp_path / "log.jsonl", lines(drawn(device, rng), rng))
        assert found.contradictions == ()

    def test_the_same_everywhere_but_for_noise(
        self, device: Device, tmp_path: Path, logged: list[dict[str, Any]]
    ) -> None:
        rng = np.random.default_rng(4)
        same = {"avg_time_per_step": 12.5, "total_power": 0.6, "static_total_power": 0.4}
        flat = [
            {**line, **{name: value * np.exp(0.02 * rng.standard_normal())
                        for name, value in same.items() if name in line}}
            for line in logged
        ]  # fmt: skip
        found = analysed(device, tmp_path / "log.jsonl", flat)
        assert found.sentences[0].startswith("The log contradicts the model: a step of ")
        assert found.world == "cannot be told apart" and "there is one" not in found.summary()
        assert found.identified == ("static_power_per_chip",)
        times = [line for line in flat if line["measure"] == "time"]
        with pytest.raises(InputError, match="they contradict the model: a step of"):
            analysed(device, tmp_path / "log.jsonl", times)

    def test_the_same_everywhere(
        self, device: Device, tmp_path: Path, logged: list[dict[str, Any]]
    ) -> None:
        same = {"avg_time_per_step": 12.5, "total_power": 0.6, "static_total_power": 0.4}
        flat = [{**line, **{name: value for name, value in same.items() if name in line}}
                for line in logged]  # fmt: skip
        with pytest.raises(InputError, match=r"(?s)step is 12.5 in all 25.*power is 0.6 in all 21"):
            analysed(device, tmp_path / "log.jsonl", flat)

    @pytest.mark.parametrize(
        ("field", "factor", "text"),
        [
            ("total_power", 1e3, "watts: is it in milliwatts?"),
            ("static_total_power", 1e3, "watts: is it in milliwatts?"),
            ("static_total_power", 1e-3, "expected 0.001 to 10 watts"),
            ("avg_time_per_step", 1e3, "expected microseconds; is it in nanoseconds"),
            ("avg_time_per_step", 1e-3, "microseconds: is it in nanoseconds, milliseconds or"),
        ],
    )
    def test_other_units(
        self, device: Device, tmp_path: Path, logged: list[dict[str, Any]], field: str,
        factor: float, text: str,
    ) -> None:  # fmt: skip
        other = [{**line, field: line[field] * factor} if field in line else line
                 for line in logged]  # fmt: skip
        with pytest.raises(InputError) as raised:
            analysed(device, tmp_path / "log.jsonl", other)
        assert (
            text in str(raised.value)
            and f"line 1: {field}" in str(raised.value)
            or field != ("avg_time_per_step")
        )

    @pytest.mark.parametrize("share", [(0.5, 0.0, 1.0), (0.98, 0.0, 1.0), (0.5, 0.3, 0.7)])
    def test_a_share_that_leaves_both_worlds_open(
        self, found: Any, share: tuple[float, float, float]
    ) -> None:
        powers = found.powers
        assert powers is not None
        for milliwatts in (0.1, 4.0):
            core = Interval(milliwatts * 1e-3, milliwatts * 0.9e-3, milliwatts * 1.1e-3, "W")
            open_ = replace(powers, core=core, share=Interval(*share, "1"))
            assert world_of(open_) == "cannot be told apart"
            if milliwatts < 1.0:
                mostly = replace(open_, share=Interval(0.9, 0.85, 0.95, "1"))
                assert world_of(mostly) == "cannot be told apart"

    def test_one_core_is_one_core(
        self, device: Device, tmp_path: Path, logged: list[dict[str, Any]]
    ) -> None:
        planned = {case.name: case.cores for case in cases()}
        bare = [{**line, "cores": None} for line in logged]
        found = analysed(device, tmp_path / "log.jsonl", bare, cores=planned | {"fan-out-004": 1})
        assert "fan-out-004: the compiler took 1 core, not 5 as planned" in found.summary()


class TestRefusals:
    def test_all_that_is_wrong_is_said_at_once(
        self, device: Device, tmp_path: Path, logged: list[dict[str, Any]]
    ) -> None:
        bad = [
            {**logged[0], "on": "simulator"},
            {**logged[1], "plan": "a" * 64},
            {**logged[2], "case": "cores-999"},
            {**logged[3], "measure": "both"},
            {**logged[4], "avg_time_per_step": -1.0, "total_power": -1.0},
            {**logged[5], "date": "yesterday"},
            {**logged[6], "board": None},
            {**logged[7], "cores": 0},
            {**logged[8], "board": "ncl-2"},
            logged[9],
            logged[9],
        ]
        path = written(tmp_path / "log.jsonl", bad)
        path.write_text(path.read_text() + '{"plan": \n[]\n')
        with pytest.raises(InputError) as raised:
            l2l.analyse_experiment(device, [path, tmp_path / "absent"])
        text = str(raised.value)
        for part in (
            "line 1: was logged in the simulator", "line 2: is of another plan",
            "line 3: there is no case 'cores-999'", "line 4: measure is 'both'", "line 5: ",
            "line 6: date is 'yesterday'", "line 7: names neither a board nor a partition",
            "line 8: cores is 0", "several boards: board is", "line 11: ", "with the same values",
            "those with \"on\": \"simulator\", and keep the others",
            "line 12: is no JSON", "line 13: is no line that measure.py has logged", "absent",
        ):  # fmt: skip
            assert part in text, part

    def test_contradictions(
        self, device: Device, tmp_path: Path, logged: list[dict[str, Any]]
    ) -> None:
        energies = [line for line in logged if line["measure"] == "energy"]
        twice = [energies[0], {**energies[0], "total_power": 0.9}]
        with pytest.raises(InputError, match="with other values: delete one of the lines"):
            analysed(device, tmp_path / "a", twice)
        with pytest.raises(InputError, match="a board that idles draws the same; look at both"):
            analysed(device, tmp_path / "b", [energies[0], {
                **energies[1], "static_total_power": 0.5, "total_power": 0.9}])  # fmt: skip
        with pytest.raises(InputError, match="is below static_total_power"):
            analysed(device, tmp_path / "c", [{**energies[0], "total_power": 0.1}])
        case = logged[2]["case"]
        pair = [line for line in logged if line["case"] == case]
        with pytest.raises(InputError, match=f"cores of {case} is 77, and 1 in its other line"):
            analysed(device, tmp_path / "d", [pair[0], {**pair[1], "cores": 77}])

    def test_cores_are_asked_for_by_name(
        self, device: Device, tmp_path: Path, logged: list[dict[str, Any]]
    ) -> None:
        bare = [{**line, "cores": None} for line in logged]
        with pytest.raises(InputError, match=r"compiler take for floor, cores-001, .*ring-016"):
            analysed(device, tmp_path / "log.jsonl", bare)
        planned = {case.name: case.cores for case in cases()}
        whole = analysed(device, tmp_path / "log.jsonl", bare, cores=planned)
        assert whole.missing == ()
        taken = planned | {"cores-060": 75}
        found = analysed(device, tmp_path / "log.jsonl", bare, cores=taken)
        assert "cores-060: the compiler took 75 cores, not 60" in found.summary()
        with pytest.raises(InputError, match=r"(?s)there is no case 'a'.*1 to 152"):
            analysed(device, tmp_path / "log.jsonl", bare, cores={"a": 1, "floor": 0})

    def test_cases_that_failed_are_named_and_not_refused(
        self, device: Device, tmp_path: Path, logged: list[dict[str, Any]]
    ) -> None:
        broken = [
            {**{k: v for k, v in line.items() if "power" not in k and "time" not in k},
             "error": "RuntimeError('too large')"}
            if line["case"] == "cores-120" else line
            for line in logged
        ]  # fmt: skip
        found = analysed(device, tmp_path / "log.jsonl", broken)
        assert found.missing == ("cores-120",)
        assert "cores-120 failed: RuntimeError('too large')" in found.summary()
        again = analysed(device, tmp_path / "log.jsonl", [
            *broken, *(line for line in logged if line["case"] == "cores-120")
        ])  # fmt: skip
        assert "cores-120" not in again.missing and dict(again.failed) == {}
        everything = [{**line, "error": "x"} for line in logged]
        with pytest.raises(InputError, match="no case was measured"):
            analysed(device, tmp_path / "log.jsonl", everything)

    def test_files_and_arguments(self, device: Device, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("\n")
        with pytest.raises(InputError, match="is empty; give what measure.py has logged"):
            l2l.analyse_experiment(device, tmp_path / "empty")
        with pytest.raises(InputError, match="there is no file"):
            l2l.analyse_experiment(device, [])
        with pytest.raises(InputError, match="an int is no path"):
            l2l.analyse_experiment(device, [3])  # type: ignore[list-item]
        with pytest.raises(InputError, match="expected a share below 1"):
            l2l.analyse_experiment(device, tmp_path / "empty", relative_error=1.5)
        with pytest.raises(l2l.DeviceError, match="Loihi"):
            l2l.analyse_experiment("cpu-epyc-9654", tmp_path / "empty")

    def test_the_lines_to_fill_in_are_refused_as_long_as_they_are_empty(
        self, device: Device, tmp_path: Path
    ) -> None:
        made = l2l.write_experiment(tmp_path / "e")
        with pytest.raises(InputError, match="(?s)avg_time_per_step is None.*total_power is None"):
            l2l.analyse_experiment(device, made / "padded.jsonl")

    @settings(
        max_examples=30, deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )  # fmt: skip
    @given(
        st.dictionaries(
            st.sampled_from(["plan", "case", "measure", "steps", "cores", "on", "date", "board",
                             "loihi_gen", "avg_time_per_step", "total_power", "error"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
            | st.lists(st.integers(), max_size=2) | st.just({}),
            min_size=1,
        )
    )  # fmt: skip
    def test_damaged_lines_are_refused(
        self, device: Device, tmp_path: Path, logged: list[dict[str, Any]], changed: dict[str, Any]
    ) -> None:
        path = written(tmp_path / "log.jsonl", [logged[0] | changed, logged[1]])
        try:
            l2l.analyse_experiment(device, path)
        except InputError as error:
            assert "line 1" in str(error) or "cores" in str(error)


class TestCommandLine:
    def test_write_and_analyse(
        self, run: Run, tmp_path: Path, logged: list[dict[str, Any]]
    ) -> None:
        folder = tmp_path / "two words"
        code, out, err = run("devices", "--experiment", folder)
        assert code == 0, err
        assert f"python '{folder / 'measure.py'}' --sim" in out
        log = written(folder / "log.jsonl", [{**line, "cores": None} if line["case"] == "floor"
                                             else line for line in logged])  # fmt: skip
        given = "devices", OHEO, "--experiment-log", log
        code, _, err = run(*given)
        assert code == 1 and "did the compiler take for floor?" in " ".join(err.split())
        code, out, err = run(*given, "--cores", "floor=1", "-o", tmp_path / "mine.toml")
        assert code == 0, err
        assert "Shortest step" in out and "World (" in out
        mine = l2l.load_device(tmp_path / "mine.toml")
        assert mine.figure("time_per_step").grade == "calibrated"
        assert mine.figure("static_power_per_chip").grade == "measured"
        code, out, err = run(*given, "--cores", "floor=1", "--json")
        assert code == 0 and json.loads(out)["world"] in ("cores", "updates",
                                                          "cannot be told apart")  # fmt: skip

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (("--experiment", "e", OHEO), "goes alone, without a device"),
            (("--experiment", "e", "--validation"), "goes alone, without --validation"),
            (("--experiment-log", "a"), "name the device"),
            ((OHEO, "--cores", "floor=1"), "says what --experiment-log leaves open"),
            ((OHEO, "--experiment-log", "a", "--cores", "floor"), "expected CASE=N"),
            ((OHEO, "--experiment-log", "a", "--cores", "floor=x"), "expected CASE=N"),
            ((OHEO, "--experiment-log", "a", "--cores", "floor=1", "--cores", "floor=2"), "twice"),
            ((OHEO, "--experiment-log", "a", "--calibrate", "b"), "are two ways"),
        ],
    )
    def test_options_that_do_not_go_together(
        self, run: Run, tmp_path: Path, arguments: tuple[str, ...], text: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.chdir(tmp_path)
        code, _, err = run("devices", *arguments)
        assert code == 1 and text in " ".join(err.split())
        assert list(tmp_path.iterdir()) == []


def test_results_are_frozen(found: Any) -> None:
    assert replace(found, world="cores").world == "cores"
