"""The state of the machine, read from a file system that is made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn2loihi.measure.conditions import (
    Conditions,
    Snapshot,
    between,
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
    assert read_snapshot(root) == Snapshot(0.25, (100, 4), 51.0, 7)


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
