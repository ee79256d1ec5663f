"""The state of the machine, read from a file system that is made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn2loihi.measure.conditions import (
    Conditions,
    Snapshot,
    between,
    load_text,
    read_conditions,
    read_snapshot,
)

CPUS = "sys/devices/system/cpu"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_server(tmp_path: Path) -> None:
    root = write(tmp_path, {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU @ 2.5GHz\nflags\t\t: fpu sse\n",
        "proc/loadavg": "0.25 0.50 0.75 1/95 7890\n",
        "proc/stat": "cpu  10 0 20 60 5 0 1 4 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n",
        f"{CPUS}/cpu0/cpufreq/scaling_governor": "performance\n",
        f"{CPUS}/cpu1/cpufreq/scaling_governor": "powersave\n",
        f"{CPUS}/intel_pstate/no_turbo": "1\n",
        f"{CPUS}/cpu0/thermal_throttle/core_throttle_count": "3\n",
        f"{CPUS}/cpu1/thermal_throttle/package_throttle_count": "4\n",
        "sys/class/thermal/thermal_zone0/type": "iwlwifi\n",
        "sys/class/thermal/thermal_zone0/temp": "99000\n",
        "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp\n",
        "sys/class/thermal/thermal_zone1/temp": "51000\n",
    })  # fmt: skip
    found = read_conditions(root)
    assert found.processor == "Some CPU @ 2.5GHz" and found.virtual is False
    assert found.governor == "performance, powersave" and found.turbo is False
    assert found.logical_cpus >= 1
    # 10 + 0 + 20 ticks of user, nice and system, and 0 + 1 of interrupts; 5 waited for disks.
    assert read_snapshot(root, lambda: 1.5) == Snapshot(0.25, (100, 4), 51.0, 7, 31, 1.5)


def test_a_virtual_machine_and_a_sensor(tmp_path: Path) -> None:
    root = write(tmp_path, {
        "proc/cpuinfo": "flags : fpu hypervisor\n",
        f"{CPUS}/cpufreq/boost": "1\n",
        "sys/class/hwmon/hwmon0/name": "nvme\n",
        "sys/class/hwmon/hwmon0/temp1_input": "30000\n",
        "sys/class/hwmon/hwmon1/name": "k10temp\n",
        "sys/class/hwmon/hwmon1/temp1_input": "47250\n",
    })  # fmt: skip
    found = read_conditions(root)
    assert found.virtual is True and found.turbo is True
    assert read_snapshot(root).temperature == 47.25


def test_what_happened_meanwhile() -> None:
    before, after = Snapshot(0.5, (100, 4), 50.0, 7), Snapshot(1.5, (300, 24), 61.0, 9)
    found = between(Conditions("a CPU", 8), before, after, clock_overhead=5e-8)
    assert (found.load_before, found.load_after, found.stolen) == (0.5, 1.5, 0.1)
    assert (found.temperature_before, found.temperature_after, found.throttled) == (50.0, 61.0, 2)
    assert found.clock_overhead == 5e-8 and found.processor == "a CPU"


SECOND = os.sysconf("SC_CLK_TCK")


def after_ten_seconds(
    busy: float, own: float, load: float = 0.0, stolen: float = 0.0
) -> Conditions:
    """Of two CPUs, after 10 s in which CPUs worked and were stolen for so many seconds."""
    before = Snapshot(load, (0, 0), None, None, 0, 3.0)
    ticks = (20 * SECOND, int(stolen * SECOND))
    after = Snapshot(9.0, ticks, None, None, int(busy * SECOND), 3.0 + own)
    return between(Conditions("a CPU", 2), before, after)


def test_what_other_processes_did() -> None:
    """What all worked less what this process worked; its own load is none."""
    assert after_ten_seconds(10.0, 10.0).other_processes == 0.0
    assert after_ten_seconds(9.9, 10.0).other_processes == 0.0  # ticks are counted, not measured
    found = after_ten_seconds(18.0, 5.0, load=7.25)
    assert found.other_processes == pytest.approx(1.3)
    assert load_text(found, None) == (
        "other processes kept 1.3 of 2 CPUs busy (load average 7.25 before, 9.00 after)"
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [(after_ten_seconds(10.0, 10.0, load=8.0), ""),  # the load of before has ended
     (after_ten_seconds(11.0, 10.0), ""),
     (after_ten_seconds(10.0, 10.0, stolen=1.0), "took 5 % of the CPU time"),
     (Conditions("a CPU", 2, load_before=3.5, load_after=4.0), "was 3.50 before and 4.00 after"),
     (Conditions("a CPU", 2, load_before=0.3, load_after=4.0), ""),
     (Conditions("a CPU", 2), "")],
)  # fmt: skip
def test_what_says_that_a_machine_was_not_idle(found: Conditions, words: str) -> None:
    text = load_text(found, 1.0)
    assert words in text and bool(text) == bool(words)


def test_a_short_session_goes_by_the_load_average() -> None:
    """Ticks of 10 ms say nothing of some milliseconds."""
    before = Snapshot(4.0, (0, 0), None, None, 0, 0.0)
    after = Snapshot(4.0, (SECOND // 2, 0), None, None, SECOND // 2, 0.0)
    found = between(Conditions("a CPU", 2), before, after)
    assert found.other_processes is None and "load average was 4.00" in load_text(found, None)


def test_a_thread_that_had_to_wait() -> None:
    assert load_text(None, 0.99) == "" == load_text(None, None)
    assert "had the CPU for 80 %" in load_text(Conditions("a CPU", 2), 0.8)


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    found = read_conditions(tmp_path)
    assert found.virtual is None and found.governor is None and found.turbo is None
    nothing = read_snapshot(tmp_path)
    assert nothing == Snapshot(None, None, None, None)
    assert between(found, nothing, nothing).stolen is None


@pytest.mark.parametrize("text", ["nan", "inf", "x", ""])
def test_temperatures_that_are_none(tmp_path: Path, text: str) -> None:
    root = write(tmp_path, {
        "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp",
        "sys/class/thermal/thermal_zone0/temp": text,
        f"{CPUS}/cpu0/thermal_throttle/core_throttle_count": text,
    })  # fmt: skip
    found = read_snapshot(root)
    assert found.temperature is None and found.throttles is None


@given(st.dictionaries(
    st.sampled_from([
        "proc/cpuinfo", "proc/loadavg", "proc/stat", f"{CPUS}/cpu0/cpufreq/scaling_governor",
        f"{CPUS}/intel_pstate/no_turbo", "sys/class/thermal/thermal_zone0/type",
        "sys/class/thermal/thermal_zone0/temp", "sys/class/hwmon/hwmon0/name",
    ]),
    st.one_of(st.binary(max_size=60), st.just(b"cpu 1 2 3 4 5 6 7 8\n")),
))  # fmt: skip
def test_any_content_is_survived(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("root")
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    assert between(read_conditions(root), read_snapshot(root), read_snapshot(root)).logical_cpus


def test_this_machine() -> None:
    found = between(read_conditions(), read_snapshot(), read_snapshot())
    assert found.processor and found.logical_cpus >= 1


def test_a_board_says_its_name_in_its_device_tree(tmp_path: Path) -> None:
    """A Raspberry Pi: its CPU has no model name."""
    root = write(tmp_path, {
        "proc/cpuinfo": "processor : 0\nCPU part : 0xd08\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    })  # fmt: skip
    assert read_conditions(root).processor == "Raspberry Pi 4 Model B Rev 1.4"
