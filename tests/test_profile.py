"""From a program to a table: chips, measurements, partial results, and the verbs."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measuring import measure_for_moments
from networks import random_network, random_samples
from profile_rows import NETWORK, X, example_program

import lnn2loihi as l2l
from lnn2loihi import demo
from lnn2loihi.devices import Figure
from lnn2loihi.measure import (
    Average,
    Conditions,
    EnergyReading,
    EstimatedEnergy,
    Latency,
    Measurement,
    Measurements,
)
from lnn2loihi.models import damped_sine
from lnn2loihi.profiling.answer import answer
from lnn2loihi.profiling.row_tables import COLUMNS, row_table
from lnn2loihi.profiling.rows import Accuracy, ProfileRow
from lnn2loihi.tables import percent
from lnn2loihi.tiers import TIERS

RUN = importlib.import_module("lnn2loihi.profiling.run")
PROGRAM = example_program()
DEVICE = "loihi2-oheo-gulch"


def average(value: float, unit: str) -> Average:
    return Average(value, 0.98 * value, 1.02 * value, 5, unit)


def measurement(**changes: Any) -> Measurement:
    """A streaming backend with a power meter: 10 us and 12 W, 7 W of them idle."""
    step = Latency(average(1e-5, "s"), 1e-5, 3e-5, 1000, "one sample")
    reading = EnergyReading(
        total=average(1.2e-4, "J"), dynamic=average(5e-5, "J"), resolution=1e-6,
        domains={"package": 1.2e-4}, idle_power=average(7.0, "W"),
        active_power=average(12.0, "W"), meter="RAPL", window=10.0, steps=10**6, quick=False,
    )  # fmt: skip
    made = Measurement(
        name="onnxruntime on CPU, 1 thread", kind="cpu", device="Example CPU",
        backend="onnxruntime", precision="float32", mode="streaming", batch=1, threads=1,
        status="measured", step_latency=step, sample_latency=step,
        throughput=average(1e5, "1/s"), energy=reading, accuracy={"mse": 0.5},
        versions={"onnxruntime": "1.20"},
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


@pytest.fixture
def with_measurements(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets `measure` answer with these."""

    def prepare(*found: Measurement, stopped: str = "") -> None:
        monkeypatch.setattr(RUN, "runners", lambda *_, **__: [object()])
        monkeypatch.setattr(RUN, "measure", lambda *_, **__: Measurements(found, stopped))

    return prepare


class TestChips:
    def test_every_way_of_running_has_a_row_with_exact_counts(self) -> None:
        result = l2l.profile(PROGRAM, X, against=(), frontier=False, rate=100.0)
        assert [(row.placement, row.mode, row.rate) for row in result.rows] == [
            ("packed", "fall-through", None), ("packed", "pipelined", None),
            ("packed", "fall-through", 100.0), ("packed", "pipelined", 100.0),
            ("", "streaming", None), ("", "streaming", 100.0),
        ]  # fmt: skip
        assert result.complete and {row.tier for row in result.rows} == {"CALIBRATED-ESTIMATE"}
        run = l2l.simulate(PROGRAM, X)
        placement = l2l.place(PROGRAM, objective="packed", counters=run.counters)
        counts = l2l.workload(placement, run.counters)
        expected = l2l.estimate(counts, DEVICE, rate=100.0)
        row = result.row(DEVICE, mode="pipelined", rate=100.0)
        assert row.total_energy is not None and row.static_energy is not None
        assert row.total_energy.value == expected.energy["total_full_chip"].value
        assert row.static_energy.middle / row.total_energy.middle > 0.99
        (chip,) = result.chips
        assert sum(core.neurons for core in chip.cores) == PROGRAM.neurons
        assert sum(core.synapses for core in chip.cores) == PROGRAM.synapses
        assert dict(chip.activity) == dict(counts.per_sample())

    def test_the_rate_curve_falls_to_full_speed(self) -> None:
        chips = l2l.profile(PROGRAM, X, against=(), frontier=False).chips
        assert [chip.objective for chip in chips] == ["packed", "fast"]
        for chip in chips:
            energies = [point.total_energy.middle for point in chip.rate_curve]
            assert energies == sorted(energies, reverse=True) and len(energies) == 16
            for point in chip.rate_curve:
                assert point.total_energy_pro_rata.middle < point.total_energy.middle

    def test_a_network_without_a_pipeline_has_one_way(self) -> None:
        layer = dataclasses.replace(NETWORK, layers=NETWORK.layers[:1], readout=None)
        program = l2l.quantize(layer, calibrate=X)
        assert program.latency_steps == 1
        result = l2l.profile(program, X, DEVICE, against=(), frontier=False, rate=10.0)
        assert [row.mode for row in result.rows if row.kind == "loihi"] == [
            "fall-through",
            "fall-through",
        ]
        assert "pipelined it runs as it does falling through" in result.summary()

    def test_input_and_output_count_where_they_are_asked_for_and_say_so(self) -> None:
        found = {}
        for io in ("none", "on-board", "host"):
            result = l2l.profile(PROGRAM, X, DEVICE, against=(), frontier=False, io=io)
            row = result.rows[0]
            assert row.total_energy is not None and (result.io, row.io) == (io, io)
            assert (f"io {io}" in row.label) == (io != "none")
            words = {"none": "not counted", "on-board": "through the board", "host": "a host"}
            assert words[io] in str(answer(result))
            found[io] = row.total_energy.middle
        assert found["host"] > 100 * found["none"] and found["on-board"] > found["none"]
        with pytest.raises(l2l.InputError, match="io is 'usb'; give one of none, on-board, host"):
            l2l.profile(PROGRAM, X, against=(), io="usb")

    def test_a_device_that_is_too_small_is_a_row_that_says_so(self, tmp_path: Path) -> None:
        device = l2l.load_device(DEVICE)
        tiny = dict(device.figures) | {
            "synaptic_memory_per_core": Figure(64, 64, 64, "B", "test", "assumed"),
            "cores_per_chip": Figure(1, 1, 1, "1", "test", "assumed"),
        }
        small = dataclasses.replace(device, name="tiny", figures=tiny)
        result = l2l.profile(
            PROGRAM, X, devices=(small, DEVICE), against=(), frontier=False, rate=100.0
        )
        failed = result.row("tiny")
        assert failed.status == "failed" and failed.total_energy is None
        assert any("64" in problem for problem in failed.problems)
        assert {chip.device for chip in result.chips} == {DEVICE} and not result.complete
        assert l2l.load_profile(result.save(tmp_path / "x.profile.json")) == result

    def test_a_rate_that_no_device_can_meet_is_an_error_in_words(self) -> None:
        with pytest.raises(
            l2l.RateError, match="a sample needs .* us .*, has 100 ns; .* (takes|take) longest"
        ):
            l2l.profile(PROGRAM, X, against=(), rate=1e7)

    def test_a_rate_that_one_device_cannot_meet_is_a_row(self) -> None:
        device = l2l.load_device(DEVICE)
        figures = dict(device.figures) | {
            "time_per_step": Figure(0.1, 0.1, 0.1, "s", "test", "assumed")
        }
        slow = dataclasses.replace(device, name="slow", figures=figures)
        result = l2l.profile(
            PROGRAM, X, devices=(DEVICE, slow), against=(), frontier=False, rate=100.0
        )
        rows = [row for row in result.rows if row.device == "slow" and row.rate == 100.0]
        assert [row.status for row in rows] == ["failed", "failed"]
        assert (
            "a sample needs 300 ms" in rows[0].problems[0] and "has 10.0 ms" in rows[0].problems[0]
        )
        assert "time_per_step of slow, 100 ms, assumed" in rows[0].problems[0]

    @pytest.mark.parametrize(
        ("devices", "words"),
        [
            (("loihi9", "no-such.toml", DEVICE), "(?s)loihi9.*no-such"),
            ((), "give at least one Loihi"),
            (("cpu-epyc-9654",), "give at least one Loihi to place the program on: loihi1, loihi2"),
        ],
    )
    def test_unknown_devices_are_an_error(self, devices: tuple[str, ...], words: str) -> None:
        with pytest.raises(l2l.DeviceError, match=words):
            l2l.profile(PROGRAM, X, devices=devices, against=())

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("rate", [1e-6, 1e-3])
    def test_a_rate_of_days_gives_numbers(self, rate: float) -> None:
        result = l2l.profile(PROGRAM, X, against=(), frontier=False, rate=rate)
        text = f"{answer(result)}\n{result.summary()}"
        assert not re.search(r"\binf\b|\bnan\b|\d{20}", text)

    @pytest.mark.parametrize(
        "rate", [0, -1.0, 9e-7, 1e-300, 1.1e12, 1e300, float("nan"), float("inf"), "fast", True]
    )
    def test_rates_that_are_none(self, rate: Any) -> None:
        with pytest.raises(l2l.InputError, match="samples per second, from 1e-6 Hz to 1e12 Hz"):
            l2l.profile(PROGRAM, X, against=(), rate=rate)

    @pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf")])
    def test_a_budget_that_is_none_beside_a_rate_that_is_none(self, budget: Any) -> None:
        with pytest.raises(l2l.InputError) as raised:
            l2l.profile(PROGRAM, X, against=(), rate=0, budget_seconds=budget)
        assert raised.value.problems == (
            "rate is 0; give samples per second, from 1e-6 Hz to 1e12 Hz",
            f"budget_seconds is {budget!r}; give seconds for the measurements, from 1e-12 to 1e12",
        )

    def test_bad_samples_and_another_network(self) -> None:
        with pytest.raises(l2l.InputError, match="input channels"):
            l2l.profile(PROGRAM, X[..., :2], against=())
        other = random_network(9, inputs=4, layers=(6, 4), outputs=2, density=0.7)
        with pytest.raises(l2l.InputError, match="made of another network"):
            l2l.profile(PROGRAM, X, against=(), network=other)
        with pytest.raises(l2l.InputError, match="against 'tpu' is unknown"):
            l2l.profile(PROGRAM, X, against=("tpu",))

    @pytest.mark.parametrize("factor", [1.0, 1e6])
    def test_clipped_inputs_are_a_warning_with_count_and_share(
        self, factor: float, tmp_path: Path
    ) -> None:
        result = l2l.profile(PROGRAM, X * factor, against=(), frontier=False)
        clipped, values = result.subject.saturated, result.subject.input_values
        assert values == X.size and bool(clipped) == (factor > 1.0) == bool(result.warnings)
        words = f"{clipped:,} of {values:,} input values ({percent(clipped / values)}) lie outside"
        page = l2l.report(result, PROGRAM, tmp_path / "x.html").read_text()
        for text in (*result.warnings, str(answer(result)), result.summary(), page):
            assert (words in text.replace("\N{NO-BREAK SPACE}", " ")) == bool(clipped)

    def test_encoded_samples_give_the_same(self) -> None:
        encoded = PROGRAM.input.encode(X)[0].astype(np.int32)
        a = l2l.profile(PROGRAM, X, against=(), frontier=False).rows
        b = l2l.profile(PROGRAM, encoded, against=(), frontier=False, encoded=True).rows
        assert a == b


class TestAccuracy:
    def test_against_numbers_classes_and_the_float_network(self) -> None:
        outputs = l2l.simulate(PROGRAM, X).outputs
        right = outputs.argmax(axis=-1)
        wrong = right.copy()
        wrong[0] = 1 - wrong[0]
        cases: tuple[tuple[dict[str, Any], Accuracy | None], ...] = (
            ({"targets": outputs + 0.5}, Accuracy("mse", 0.25)),
            ({"targets": right}, Accuracy("accuracy", 1.0)),
            ({"targets": wrong}, Accuracy("accuracy", 2 / 3)),
            ({"targets": right[:, -1]}, Accuracy("accuracy", 1.0)),
            ({}, None),
        )
        for options, expected in cases:
            found = l2l.profile(PROGRAM, X, against=(), frontier=False, **options).rows[0].accuracy
            assert (
                found == expected
                or found is not None
                and found.value == pytest.approx(expected.value if expected else 0.0)
            )
        agreement = (
            l2l.profile(PROGRAM, X, against=(), frontier=False, network=NETWORK).rows[0].accuracy
        )
        truth = NETWORK.evaluate(X).outputs
        shares = np.sqrt(np.mean((outputs - truth) ** 2, axis=(0, 1))) / truth.std(axis=(0, 1))
        worst = f"output {shares.argmax()} of 2"
        assert agreement is not None and agreement.metric == f"agreement with float, {worst}"
        assert agreement.value == pytest.approx(shares.max())
        assert str(agreement) == f"off by {percent(shares.max())} ({worst})"

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"targets": np.zeros((3, 20, 3))}, "needs numbers of the answers' shape"),
            ({"targets": np.full((3, 20, 2), np.nan)}, "hold NaN"),
            ({"targets": np.zeros((3, 19), int), "metric": "accuracy"}, "a class for each"),
            ({"targets": np.zeros((3, 20)), "metric": "accuracy"}, "needs whole numbers"),
            ({"targets": np.zeros((3, 20, 2)), "metric": "r2"}, "unknown"),
            ({"metric": "mse"}, "needs targets"),
        ],
    )
    def test_targets_that_do_not_fit(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(l2l.InputError, match=words):
            l2l.profile(PROGRAM, X, against=(), **options)


class TestMeasured:
    def test_a_power_meter_gives_totals_and_a_paced_row(
        self, with_measurements: Callable[..., None]
    ) -> None:
        with_measurements(measurement())
        result = l2l.profile(PROGRAM, X, against=("cpu",), frontier=False, rate=100.0)
        full = result.row("onnxruntime on CPU, 1 thread", rate=None)
        paced = result.row("onnxruntime on CPU, 1 thread", rate=100.0)
        assert full.total_energy is not None and paced.total_energy is not None
        assert (full.energy_tier, paced.energy_tier) == ("MEASURED", "CALIBRATED-ESTIMATE")
        assert full.total_energy.value == 1.2e-4
        assert paced.total_energy.value == pytest.approx(1.2e-4 + 7.0 * (1e-2 - 1e-5))
        assert full.energy_delay_product is not None
        assert full.energy_delay_product.value == pytest.approx(1.2e-9)
        assert full.accuracy == Accuracy("mse", 0.5)
        assert "RAPL" in full.source and result.versions["onnxruntime"] == "1.20"
        chip = result.row(DEVICE, rate=100.0)
        assert l2l.ratio(paced, chip).value == pytest.approx(
            paced.total_energy.middle / (chip.total_energy.middle if chip.total_energy else 1)
        )

    def test_the_fastest_rival_says_what_its_time_includes(
        self, with_measurements: Callable[..., None]
    ) -> None:
        loop = Latency(average(2e-7, "s"), 2e-7, None, 15, "one sample of a sequence")
        with_measurements(
            measurement(includes="Python call included"),
            measurement(mode="sequence", includes="no Python call, loop in C",
                        name="integer engine c", step_latency=loop, sample_latency=loop,
                        throughput=average(5e6, "1/s")),
        )  # fmt: skip
        result = l2l.profile(PROGRAM, X, against=("cpu",), frontier=False, rate=100.0)
        rival = "200 ns (integer engine c, sequence, no Python call, loop in C)"
        assert f"the fastest measured here takes {rival}" in str(answer(result))
        said = [str(cell) for row in row_table(result.rows).rows for cell in row]
        assert any("streaming (Python call included)" in cell for cell in said)
        assert any("sequence (no Python call, loop in C)" in cell for cell in said)
        paced = result.row("integer engine c", rate=100.0)
        assert paced.mode == "sequence" and paced.includes == "no Python call, loop in C"

    def test_rows_that_were_measured_under_load_are_named(
        self, with_measurements: Callable[..., None], tmp_path: Path
    ) -> None:
        busy = Conditions("a CPU", 2, load_before=8.25, load_after=9.5, other_processes=1.5)
        with_measurements(measurement(conditions=busy, busy_share=0.25), measurement(name="idle"))
        result = l2l.profile(PROGRAM, X, against=("cpu",), frontier=False, rate=100.0)
        load = (
            "other processes kept 1.5 of 2 CPUs busy (load average 8.25 before, 9.50 after); it "
            "had the CPU for 25 % of the time of its calls"
        )
        assert [row.under_load for row in result.rows if row.kind == "cpu"] == [load] * 2 + [""] * 2
        (warning,) = result.warnings
        assert "was not idle while 1 row of this table was measured (onnxruntime" in warning
        assert load in warning and warning in result.summary()
        assert f"Warning: {warning}." in str(answer(result)) and "[under load]" in result.summary()
        assert result.conditions["other processes"] == "1.50 CPUs busy" and result.complete
        page = l2l.report(result, PROGRAM, tmp_path / "x.html").read_text()
        assert "under load" in page and "The machine was not idle".lower() in page.lower()
        again = l2l.load_profile(result.save(tmp_path / "x.profile.json"))
        assert again.warnings == result.warnings and "under load" in again.summary()

    def test_below_resolution_is_said_and_is_not_zero(
        self, with_measurements: Callable[..., None]
    ) -> None:
        reading = measurement().energy
        assert isinstance(reading, EnergyReading)
        with_measurements(measurement(energy=dataclasses.replace(reading, dynamic=None)))
        row = l2l.profile(PROGRAM, X, against=("cpu",), frontier=False).row(
            "onnxruntime on CPU, 1 thread"
        )
        assert row.dynamic_energy is None
        assert any("below resolution" in note for note in row.notes)

    def test_bounds_have_no_value_and_stay_out_of_ratios(
        self, with_measurements: Callable[..., None]
    ) -> None:
        bound = EstimatedEnergy(2e-5, 9e-5, 1.0, "cpu-generic-thread", "a guess")
        with_measurements(measurement(energy=bound))
        result = l2l.profile(PROGRAM, X, against=("cpu",), frontier=False, rate=100.0)
        for rate in (None, 100.0):
            row = result.row("onnxruntime on CPU, 1 thread", rate=rate)
            assert row.energy_tier == "ESTIMATED" and row.total_energy is not None
            assert row.total_energy.value is None
            with pytest.raises(l2l.InputError, match="nobody measured it"):
                l2l.ratio(row, result.row(DEVICE, rate=rate))
        assert "takes part in no ratio" in str(answer(result))

    @pytest.mark.parametrize("against", ["cpu:engine", ()])
    def test_a_device_that_was_not_measured_is_named_and_in_no_row(
        self, against: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another board's power times this machine's time is the energy of neither."""
        measure_for_moments(monkeypatch)
        others = ("cpu-raspberry-pi-4", "gpu-jetson-orin-nano")
        result = l2l.profile(
            PROGRAM, X, devices=(DEVICE, *others), against=against, frontier=False, quick=True
        )
        for name in others:
            (text,) = (text for text in result.absent if text.startswith(f"profile {name} ("))
            assert "is used in no row" in text and text in result.summary()
            assert not any(name in note for row in result.rows for note in row.notes)
        if against:
            assert "Measure on that device; or, if it is this one" in result.summary()

    def test_a_gpu_that_vanishes_is_marked_and_the_rest_is_kept(
        self, with_measurements: Callable[..., None], tmp_path: Path
    ) -> None:
        with_measurements(
            measurement(),
            measurement(name="PyTorch on GPU", kind="cuda", status="failed", energy=None,
                        reason="RuntimeError: CUDA error: device lost"),
            measurement(name="ncps on GPU", kind="cuda", status="failed", energy=None,
                        throughput=None, step_latency=None, sample_latency=None, reason="lost"),
            measurement(name="onnxruntime on GPU", kind="cuda", status="missing",
                        throughput=None, reason="no GPU: get one"),
            stopped="interrupted",
        )  # fmt: skip
        result = l2l.profile(PROGRAM, X, against=("cpu", "cuda"), frontier=False)
        gpu = result.row("PyTorch on GPU")
        assert gpu.status == "failed" and gpu.kind == "gpu"
        assert gpu.problems == ("RuntimeError: CUDA error: device lost",)
        assert gpu.latency is not None  # what was measured before it failed
        assert result.row("ncps on GPU").latency is None
        assert result.row("onnxruntime on CPU, 1 thread").status == "complete"
        assert result.absent == ("onnxruntime on GPU: no GPU: get one",)
        assert result.problems == ("measuring ended early: interrupted",)
        assert not result.complete and "device lost" in result.summary()
        assert l2l.load_profile(result.save(tmp_path / "x.profile.json")) == result

    def test_backends_are_really_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        measure_for_moments(monkeypatch)
        result = l2l.profile(
            PROGRAM, X, against=("cpu:engine",), frontier=False, quick=True, network=NETWORK
        )
        rows = [row for row in result.rows if row.kind == "cpu"]
        assert rows and all(row.tier == "MEASURED" for row in rows)
        assert result.quick and "processor" in result.conditions


class TestTimeThatIsIrregular:
    def test_timespans_reach_everything(self) -> None:
        network = random_network(5, inputs=3, layers=(5,), outputs=1, timespan=1.0)
        network = dataclasses.replace(network, timespan=None)
        x, spans = random_samples(1, 2, 12, 3), np.random.default_rng(0).uniform(0.5, 2, (2, 12))
        program = l2l.quantize(network, calibrate=x, calibrate_timespans=spans)
        result = l2l.profile(
            program, x, against=(), frontier=False, network=network, timespans=spans
        )
        assert result.complete and len(result.metrics) == 2
        assert result.subject.inputs == 3
        with pytest.raises(l2l.InputError, match="timespans"):
            l2l.profile(program, x, against=())


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a program, samples and targets."""
    x, y = damped_sine.example(4, 20, 1)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    l2l.save(l2l.quantize(damped_sine.load(), calibrate=x), tmp_path / "net.l2l")
    return tmp_path


class TestVerbs:
    NETWORK = damped_sine.FOLDER / "network.toml"

    def test_profile_and_report_in_one_go_and_one_by_one(self, run: Run, files: Path) -> None:
        code, out, err = run(
            "profile", files / "net.l2l", "-i", files / "x.npy", "--against", "none",
            "--rate", "2kHz", "--network", self.NETWORK, "--targets", files / "y.npy",
            "-o", files / "net.profile.json", "--report", files / "one.html",
        )  # fmt: skip
        assert (code, err) == (0, "")
        assert out.startswith(
            "At 2.00 kHz, Loihi 2, Oheo Gulch (1 chip), packed on 1 core, fall-through, is "
            "estimated to take"
        )
        assert "mse" in out and f"written: {files / 'one.html'}" in out
        result = l2l.load_profile(files / "net.profile.json")
        assert result.rate == 2000.0 and "--rate 2kHz" in result.command
        code, out, _ = run(
            "report", files / "net.profile.json", "--program", files / "net.l2l",
            "--network", self.NETWORK, "--input", files / "x.npy", "-o", files / "two.html",
        )  # fmt: skip
        assert code == 0
        assert (files / "one.html").read_bytes() == (files / "two.html").read_bytes()
        code, out, _ = run("report", files / "net.profile.json", "-p", files / "net.l2l",
                           "-o", files / "three.html", "--json")  # fmt: skip
        assert code == 0 and json.loads(out)["written"] == str(files / "three.html")

    def test_clipped_inputs_are_said_by_every_verb(self, run: Run, files: Path) -> None:
        np.save(files / "far.npy", 1e4 * np.load(files / "x.npy"))
        words = "80 of 80 input values (100.00 %) lie outside the range"
        for verb, *more in (
            ("profile", files / "net.l2l", "--against", "none"), ("simulate", files / "net.l2l"),
            ("compare", self.NETWORK, files / "net.l2l"),
        ):  # fmt: skip
            code, out, _ = run(verb, *more, "-i", files / "far.npy")
            assert code == 0 and f"warning: {words}" in " ".join(out.split())
            code, out, _ = run(verb, *more, "-i", files / "far.npy", "--json")
            assert code == 0 and any(words in warning for warning in json.loads(out)["warnings"])

    def test_a_shipped_program_and_its_network_lead_on(self, run: Run, files: Path) -> None:
        """The programs of models/ were trained for the chip after their networks were read."""
        shipped = damped_sine.FOLDER / "w4a8x12.l2l"
        code, _, err = run("profile", shipped, "-i", files / "x.npy", "--against", "none",
                           "--network", self.NETWORK)  # fmt: skip
        message = " ".join(err.split())
        assert code == 1 and "both come from the same weights.safetensors" in message
        assert "trained for the chip after that file was read" in message
        recipe = l2l.load(shipped).recipe
        told = (
            f"lnn2loihi quantize NETWORK --calibrate SAMPLES --recipe {recipe} --output OTHER.l2l"
        )
        assert told in message
        code, *_ = run("quantize", self.NETWORK, "--calibrate", files / "x.npy",
                       "--recipe", recipe, "--output", files / "other.l2l")  # fmt: skip
        assert code == 0
        for program, *network in ((shipped,), (files / "other.l2l", "--network", self.NETWORK)):
            code, *_ = run("profile", program, "-i", files / "x.npy", "--against", "none",
                           "--target", "fused", *network)  # fmt: skip
            assert code == 0

    def test_json_is_one_document(self, run: Run, files: Path) -> None:
        code, out, err = run("profile", files / "net.l2l", "-i", files / "x.npy", "--against",
                             "none", "-d", "loihi1", "-d", DEVICE, "--io", "host",
                             "--json")  # fmt: skip
        found = json.loads(out)
        assert (code, err) == (0, "") and found["io"] == "host"
        there = {row["device"] for row in found["rows"]}
        assert {"loihi1", DEVICE, "mcu-stm32u385"} <= there

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--rate", "fast"), "'fast' is no rate"),
            (("--rate", "0Hz"), "is no rate"),
            (("--rate", "1.2.3"), "is no rate"),
            (("--rate", "100MHz"), "a sample needs"),
            (("--io",), "It takes one of none, on-board, host"),
            (("--io", "--rate", "100Hz"), "--io: '--rate' is none of none, on-board, host"),
            (("--io", "usb"), "'usb' is none of none, on-board, host"),
            (("--placement", "balanced"), "'balanced' is none of auto, fast, packed"),
            (("--placement",), "It takes one of auto, fast, packed"),
            (("--copies", "0"), "copies is 0"),
            (("-d", "loihi9"), "loihi9"),
            (("--against", "tpu"), "against 'tpu' is unknown"),
            (("--targets", "{tmp}/none.npy"), "there is no such file"),
            (("-o", "{tmp}/x.json"), "its name does not end with .profile.json"),
            (("--report", "{tmp}/none/x.html"), "there is no folder"),
        ],
    )
    def test_bad_input_is_one_message(
        self, run: Run, files: Path, options: tuple[str, ...], words: str
    ) -> None:
        before = sorted(files.iterdir())
        arguments = [option.format(tmp=files) for option in options]
        if "--against" not in arguments:
            arguments = ["--against", "none", *arguments]
        code, out, err = run("profile", files / "net.l2l", "-i", files / "x.npy", *arguments)
        assert (code, out) == (1, "")
        assert words in err and "Traceback" not in err
        assert sorted(files.iterdir()) == before

    def test_a_network_without_samples_is_refused(self, run: Run, files: Path) -> None:
        code, _, err = run("report", files / "none.profile.json", "-p", files / "net.l2l",
                           "-o", files / "x.html", "--network", self.NETWORK)  # fmt: skip
        assert code == 1 and "give --network and --input" in err


#: Fields of a row that are no column.
UNLISTED = {"status", "problems", "notes", "source", "energy_parts", "idle_power", "batch_search",
            "static_energy_pro_rata"}  # fmt: skip
DOCUMENT = Path(__file__).parent.parent / "docs" / "profile.md"


class TestDocument:
    def test_the_example_is_what_the_command_prints(self) -> None:
        """To renew it: the two commands that stand above it."""
        network = damped_sine.load()
        calibrate, _ = damped_sine.example(64, demo.TIME, demo.CALIBRATION_SEED)
        x, _ = damped_sine.example(64, demo.TIME, demo.TEST_SEED)
        program = l2l.quantize(network, calibrate)
        result = l2l.profile(program, x, against=(), rate=100.0, network=network)
        shown = DOCUMENT.read_text().partition("```text\n")[2].partition("```")[0]
        assert shown.split() == str(answer(result)).split()

    def test_every_tier_and_column_is_explained(self) -> None:
        text = DOCUMENT.read_text()
        for tier, meaning in TIERS.items():
            assert f"| {tier} | {meaning.split(',')[0].split(';')[0][:40]}" in text
        for field in dataclasses.fields(ProfileRow):
            if field.name not in UNLISTED:
                assert f"`{field.name}`" in text, field.name
        for column in COLUMNS:
            assert f"| {column} |" in text, column
