"""Energy of a sample: windows, intervals, resolution, and what stands in where nothing is read."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring import Backend, Machine, Meter, runner, samples

from lnn2loihi.devices import Device, Figure, device_names, load_device
from lnn2loihi.errors import DeviceError, MeterError
from lnn2loihi.measure import (
    Average,
    Clock,
    EnergyCounters,
    EnergyReading,
    EstimatedEnergy,
    Runner,
    Settings,
    measure,
)
from lnn2loihi.measure.clock import LONGEST_WAIT, Budget
from lnn2loihi.measure.estimated import (
    GENERIC,
    SampleTimes,
    estimated_energy,
    profile_for,
)
from lnn2loihi.measure.intervals import average, deviation, student
from lnn2loihi.measure.meter import Kind
from lnn2loihi.measure.results import ESTIMATED_LABEL, energy_text
from lnn2loihi.measure.windows import Repeat, active_window, idle_window, reading

SETTINGS = Settings(warm_up=0.0, search=0.0, rounds=1, slice=0.0, calls=3)
SAMPLE = 2e-3  # seconds of a call
ABOVE = 5.0  # watts above idle


def repeats(
    machine: Machine,
    counters: EnergyCounters,
    count: int,
    seconds: float = 10.0,
    watts: float = ABOVE,
) -> list[Repeat]:
    """Active windows between idle ones, on a machine whose every call takes SAMPLE seconds."""
    found: list[Repeat] = []
    before = idle_window(counters, machine.clock, seconds)
    for _ in range(count):
        active = active_window(
            counters,
            machine.clock,
            lambda _: machine.work(SAMPLE, {"cpu": watts, "cuda": 10 * watts}),
            cycle([None]),
            seconds=seconds,
            fewest_calls=1000,
            seconds_per_call=SAMPLE,
        )
        after = idle_window(counters, machine.clock, seconds)
        found.append(Repeat(before, active, after))
        before = after
    return found


def read(
    found: Sequence[Repeat], counters: EnergyCounters, kind: Kind = "cpu", quick: bool = False
) -> EnergyReading:
    return reading(found, counters, kind, samples_per_call=4, steps_per_call=2, quick=quick)


def test_total_and_dynamic() -> None:
    """10 W idle and 5 W above it, 4 samples in 2 ms: 7.5 and 2.5 mJ a sample."""
    machine = Machine()
    counters = machine.counters("cpu")
    got = read(repeats(machine, counters, 5), counters)
    assert got.total.mean == pytest.approx(15.0 * SAMPLE / 4)
    assert got.dynamic is not None and got.dynamic.mean == pytest.approx(5.0 * SAMPLE / 4)
    assert (got.idle_power.mean, got.active_power.mean) == pytest.approx((10.0, 15.0))
    assert got.total.unit == "J" and got.total.repeats == 5 and got.total.low is not None
    assert got.domains == {"cpu 0": pytest.approx(got.total.mean)}
    assert got.meter == "meter of cpu" and not got.quick and not got.below_resolution
    assert got.steps >= 5 * 1000 and got.window >= 10.0
    assert "note of cpu" in got.notes


def test_a_gpu_is_charged_with_what_the_cpu_draws_meanwhile() -> None:
    machine = Machine()
    counters = machine.counters("cpu", "cuda")
    found = repeats(machine, counters, 5)
    got = read(found, counters, "cuda")
    assert set(got.domains) == {"cpu 0", "cuda 0"}
    assert got.active_power.mean == pytest.approx(10 + 5 + 40 + 50)
    assert math.fsum(got.domains.values()) == pytest.approx(got.total.mean)
    assert read(found, counters, "cpu").active_power.mean == pytest.approx(15.0)


def test_a_gpu_alone_says_so() -> None:
    machine = Machine()
    counters = machine.counters("cuda")
    assert any(
        "GPU alone" in note for note in read(repeats(machine, counters, 5), counters, "cuda").notes
    )


@pytest.mark.parametrize(("watts", "resolved"), [(0.5, False), (30.0, True)])
def test_below_resolution_is_not_zero(watts: float, resolved: bool) -> None:
    """Idle goes up and down by 2 W from window to window: its standard deviation is about 2 W."""
    machine = Machine(ripple=2.0)
    counters = machine.counters("cpu")
    got = read(repeats(machine, counters, 6, watts=watts), counters)
    assert got.below_resolution == (not resolved)
    assert got.resolution == pytest.approx(3 * 2.0 * SAMPLE / 4, rel=0.2)
    if not resolved:
        assert got.dynamic is None and "below resolution (<" in got.dynamic_text
        assert "below resolution" in energy_text(got)


@pytest.mark.parametrize(
    ("count", "seconds", "kind", "quick"),
    [(5, 10.0, "cpu", False), (4, 10.0, "cpu", True), (5, 9.0, "cpu", True),
     (5, 5.0, "cuda", False), (5, 4.0, "cuda", True)],
)  # fmt: skip
def test_what_may_be_quoted(count: int, seconds: float, kind: Kind, quick: bool) -> None:
    machine = Machine()
    counters = machine.counters("cpu", "cuda")
    assert read(repeats(machine, counters, count, seconds), counters, kind).quick == quick


def test_quick_on_purpose_is_marked() -> None:
    machine = Machine()
    counters = machine.counters("cpu")
    got = read(repeats(machine, counters, 5), counters, quick=True)
    assert got.quick and ", quick)" in energy_text(got)


def test_one_repeat_has_no_interval() -> None:
    machine = Machine()
    counters = machine.counters("cpu")
    got = read(repeats(machine, counters, 1), counters)
    assert got.total.low is None and got.total.high is None and got.quick


def test_repeats_without_a_counter_are_left_out() -> None:
    machine = Machine()
    counters = EnergyCounters({"cpu": Meter(machine, "cpu", lost_at=75.0)})
    got = read(repeats(machine, counters, 5), counters)
    assert 1 < got.total.repeats < 5 and got.quick
    assert any("were left out: meter of cpu: is gone" in note for note in got.notes)


def test_no_repeat_that_could_be_read() -> None:
    machine = Machine()
    counters = EnergyCounters({"cpu": Meter(machine, "cpu", lost_at=5.0)})
    with pytest.raises(MeterError, match="is gone"):
        read(repeats(machine, counters, 2), counters)


def test_counters_that_stand_still() -> None:
    machine = Machine(idle={})
    counters = machine.counters("cpu")
    with pytest.raises(MeterError, match="stood still"):
        read(repeats(machine, counters, 2), counters)


def test_windows_are_long_enough_and_looked_at() -> None:
    machine = Machine()
    looks: list[float] = []

    class Watched(Meter):
        def poll(self) -> None:
            looks.append(self.machine.time)

    counters = EnergyCounters({"cpu": Watched(machine, "cpu")})
    idle = idle_window(counters, machine.clock, 25.0)
    assert idle.seconds == 25.0 and idle.calls == 0
    assert machine.waits == [LONGEST_WAIT, LONGEST_WAIT, 5.0] and len(looks) == 3
    looks.clear()
    active = active_window(
        counters, machine.clock, lambda _: machine.work(0.3, {}), cycle([None]),
        seconds=1.0, fewest_calls=20, seconds_per_call=0.3,
    )  # fmt: skip
    assert active.calls == 20 and active.seconds == pytest.approx(6.0) and len(looks) >= 4


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_intervals_hold_the_mean(values: list[float]) -> None:
    found = average(values, "W")
    assert found.low is not None and found.high is not None
    assert found.low <= found.mean <= found.high and found.repeats == len(values)
    assert found.mean == pytest.approx(math.fsum(values) / len(values), abs=1e-6)
    assert found.scaled(2.0, "J") == Average(
        2 * found.mean, 2 * found.low, 2 * found.high, len(values), "J"
    )


def test_an_interval_by_hand() -> None:
    """1, 2, 3: deviation 1, t(2) = 4.3027, so 2 -+ 4.3027 / sqrt(3)."""
    found = average([1.0, 2.0, 3.0], "s")
    assert deviation([1.0, 2.0, 3.0]) == 1.0
    assert (found.low, found.high) == pytest.approx((2 - 2.48416, 2 + 2.48416), abs=1e-4)


@pytest.mark.parametrize(
    ("freedom", "t"),
    [(1, 12.7062), (4, 2.7764), (10, 2.2281), (11, 2.2010), (20, 2.0860), (120, 1.9799)],
)
def test_students_t(freedom: int, t: float) -> None:
    assert student(freedom) == pytest.approx(t, abs=1e-4)


def test_budget() -> None:
    machine = Machine()
    endless, short = Budget(machine.clock, None), Budget(machine.clock, 3.0)
    machine.wait(2.0)
    assert short.left == pytest.approx(1.0) and not short.over and endless.left == math.inf
    machine.wait(1.0)
    assert short.over and not endless.over


def test_the_real_clock() -> None:
    clock = Clock()
    assert clock.now() <= clock.now() and clock.overhead(8) >= 0.0
    clock.sleep(0.0)


# Where nothing can be read


def cpu(idle: float | None = 20.0, **more: float) -> Device:
    figures = {"thermal_design_power": 100.0, "threads": 8.0, "idle_power": idle, **more}
    return Device(
        "cpu-test", "a CPU", "cpu",
        {n: Figure(v, v, v, "W", "data sheet", "vendor") for n, v in figures.items()
         if v is not None},
    )  # fmt: skip


def gpu() -> Device:
    power = Figure(700.0, 600.0, 700.0, "W", "data sheet", "vendor")
    return Device("gpu-test", "a GPU", "gpu", {"thermal_design_power": power})


def constant(seconds: float) -> SampleTimes:
    return SampleTimes(seconds, seconds)


def test_the_low_end_takes_the_least_time_and_the_high_end_the_mean() -> None:
    got = estimated_energy(cpu(), SampleTimes(1e-3, 5e-3, "fastest call"), 8)
    assert (got.low, got.high) == pytest.approx((20 * 1e-3, 100 * 5e-3))
    assert "low end of the fastest call, high end the mean" in got.source


def test_an_interval_and_never_a_value() -> None:
    got = estimated_energy(cpu(), constant(1e-3), 2)
    assert (got.low, got.high) == pytest.approx((20 * 2 / 8 * 1e-3, 100 * 2 / 8 * 1e-3))
    assert got.share == 0.25 and got.tier == "ESTIMATED" and got.label == ESTIMATED_LABEL
    assert not {"mean", "value", "total", "dynamic"} & set(vars(got))
    assert ESTIMATED_LABEL in energy_text(got)


def test_without_idle_power_the_low_end_is_what_the_profile_allows() -> None:
    assert estimated_energy(cpu(None), constant(1.0), 8).low == 0.0
    generic = load_device(GENERIC)
    got = estimated_energy(generic, constant(1.0), 2)
    low, high = (getattr(generic.figure("thermal_design_power"), end) for end in ("low", "high"))
    assert (got.low, got.high) == (2 * low, 2 * high)


def test_a_gpu_is_charged_as_a_whole() -> None:
    got = estimated_energy(gpu(), constant(2.0), None)
    assert (got.low, got.high, got.share) == (1200.0, 1400.0, 1.0)


def test_a_chip_has_no_such_bound() -> None:
    with pytest.raises(DeviceError, match="profile of a CPU or GPU"):
        estimated_energy(load_device("loihi2-oheo-gulch"), constant(1.0), 1)


@pytest.mark.parametrize(
    ("processor", "profile"),
    [("AMD EPYC 9654 96-Core Processor", "cpu-epyc-9654"),
     ("13th Gen Intel(R) Core(TM) i7-13700K", "cpu-core-i7-13700k"),
     ("AMD EPYC 7B13", GENERIC), ("", GENERIC)],
)  # fmt: skip
def test_the_profile_of_a_processor(processor: str, profile: str) -> None:
    found = profile_for(runner(Backend(Machine()), device=processor))
    assert found is not None and found.name == profile and profile in device_names()


EPYC = "AMD EPYC 9654 96-Core Processor"


def on(device: str, kind: Kind = "cpu") -> Runner:
    return runner(Backend(Machine()), device=device, kind=kind)


def test_profiles_that_are_given_go_first_if_they_are_of_this_processor() -> None:
    own = replace(cpu(), title=EPYC)
    assert profile_for(on(EPYC), [gpu(), cpu(), own]) == own
    assert profile_for(on(EPYC), [load_device(GENERIC)]) == load_device(GENERIC)
    card = replace(gpu(), name="gpu-x1")
    assert profile_for(on("NVIDIA X1", "cuda"), [cpu(), gpu(), card]) == card
    assert profile_for(on("NVIDIA GPU", "cuda")) is None


@pytest.mark.parametrize("name", ["cpu-raspberry-pi-4", "cpu-epyc-9654", "cpu-core-i7-13700k"])
def test_a_profile_of_another_processor_is_never_used(name: str) -> None:
    found = profile_for(on("Some CPU"), [load_device(name)])
    assert found is not None and found.name == GENERIC
    assert profile_for(on("Some GPU", "cuda"), [load_device("gpu-jetson-orin-nano")]) is None


@pytest.mark.parametrize(
    ("profile", "processor"),
    [("cpu-raspberry-pi-4", "Raspberry Pi 4 Model B Rev 1.4"),
     ("gpu-jetson-orin-nano", "Orin (NVIDIA Jetson Orin Nano Developer Kit)")],
)  # fmt: skip
def test_boards_are_known_by_their_device_tree(profile: str, processor: str) -> None:
    device = load_device(profile)
    own = on(processor, "cpu" if device.kind == "cpu" else "cuda")
    found = profile_for(own, [device])
    assert found is not None and found.name == profile


def test_a_profile_that_no_row_uses_is_named() -> None:
    """Another CPU's, a GPU's where none is measured, and one whose energy was read."""
    given = [load_device(n) for n in ("cpu-raspberry-pi-4", "gpu-jetson-orin-nano", GENERIC)]
    given.append(replace(cpu(), title="Test CPU"))
    cases: tuple[tuple[tuple[Kind, ...], str], ...] = (((), "cpu-test"), (("cpu",), ""))
    for kinds, used in cases:
        machine = Machine()
        found = measure(
            runner(Backend(machine)), samples(), profiles=given, clock=machine.clock,
            settings=SETTINGS, counters=machine.counters(*kinds), root=Path("/nowhere"),
        )  # fmt: skip
        texts = {text.split()[1]: text for text in found.unused}
        assert texts.keys() == {device.name for device in given} - {used}
        assert "the CPU that was measured is 'Test CPU'. Mea" in texts["cpu-raspberry-pi-4"]
        assert "no GPU was measured" in texts["gpu-jetson-orin-nano"]
        words = "read from counters" if kinds else "another profile of this CPU"
        assert words in texts[GENERIC]
        assert all(text in found.summary() for text in found.unused)
        assert json.loads(json.dumps(found.to_dict()))["unused"] == list(found.unused)


def test_an_estimate_is_plain_data() -> None:
    got = EstimatedEnergy(1.0, 2.0, 0.5, "cpu-test", "data sheet")
    assert json.loads(json.dumps(vars(got)))["label"] == ESTIMATED_LABEL
