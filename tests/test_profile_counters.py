"""Joules from the files of the kernel and from NVML's counter, through `profile` to its rows.

No machine with either was at hand: the tree has the form that Linux shows (zones, parts in their
zones, counters that wrap around), and the library stands in for NVML.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from measuring import Backend, Machine, runner
from profile_rows import X, example_program

import lnn2loihi as l2l
from lnn2loihi.measure import EnergyCounters, measuring
from lnn2loihi.measure.nvml import NvmlMeter, nvml_meter
from lnn2loihi.measure.powercap import PowercapMeter, powercap_meter
from lnn2loihi.profiling.answer import answer

RUN = importlib.import_module("lnn2loihi.profiling.run")
PROGRAM = example_program()
#: Microjoules after which a counter begins again: more than an idle machine draws between two
#: looks, much less than it draws in a window.
RANGE = 10_000_000
#: Zones, and the share of the CPU's joules that each shows. What is counted: package and memory of
#: each socket; not the cores, which are in the package, nor the platform, which holds all.
ZONES: Mapping[str, tuple[str, float]] = {
    "intel-rapl:0": ("package-0", 0.5), "intel-rapl:0/intel-rapl:0:0": ("core", 0.4),
    "intel-rapl:0/intel-rapl:0:1": ("dram", 0.1), "intel-rapl:1": ("package-1", 0.3),
    "intel-rapl:1/intel-rapl:1:0": ("dram", 0.1), "intel-rapl:2": ("psys", 1.7),
}  # fmt: skip


@dataclass
class Tree:
    """The power caps of a machine, as files."""

    machine: Machine
    root: Path
    lost_at: float = float("inf")

    def write(self) -> None:
        for place, (name, share) in ZONES.items():
            folder = self.root / place
            if not folder.is_dir():
                folder.mkdir(parents=True)
                (folder / "name").write_text(f"{name}\n")
                (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
            energy = int(self.machine.joules["cpu"] * share * 1e6) % RANGE
            gone = self.machine.time >= self.lost_at
            (folder / "energy_uj").write_text("\n" if gone else f"{energy}\n")

    def meter(self) -> Any:
        self.write()
        found = powercap_meter(self.root)
        assert isinstance(found, PowercapMeter)
        return UpToDate(found, self)


@dataclass
class UpToDate:
    """A meter whose files are written before each look."""

    meter: PowercapMeter
    tree: Tree

    def __getattr__(self, name: str) -> Any:
        if name in ("begin", "poll", "end"):
            self.tree.write()
        return getattr(self.meter, name)


@dataclass
class Nvml:
    """The module pynvml with the counter of a machine, in millijoules."""

    machine: Machine
    NVMLError: type[Exception] = RuntimeError
    NVML_TEMPERATURE_GPU: int = 0
    asked: list[int] = field(default_factory=list)

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return "NVIDIA X1"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        self.asked.append(int(self.machine.joules["cuda"] * 1e3))
        return self.asked[-1]

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return 55

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:
        return 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Its time is that of the session, and two backends run on it."""
    made = Machine()
    backends = [
        runner(Backend(made, watts={"cpu": 5.0}), "engine", sequences=True, loop="C"),
        runner(Backend(made, watts={"cpu": 1.0, "cuda": 60.0}), "on GPU", "cuda"),
    ]
    monkeypatch.setattr(RUN, "runners", lambda *_, **__: backends)
    monkeypatch.setattr(measuring, "Clock", lambda: made.clock)
    return made


def profiled(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, tree: Tree
) -> tuple[l2l.ProfileResult, Nvml]:
    library = Nvml(machine)
    gpu = nvml_meter(lambda: library, gpu=0)
    assert isinstance(gpu, NvmlMeter)
    counters = EnergyCounters({"cpu": tree.meter(), "cuda": gpu})
    monkeypatch.setattr(measuring, "find_counters", lambda: counters)
    return l2l.profile(
        PROGRAM, X, against=("cpu", "cuda"), frontier=False, rate=100.0, quick=True, batches=[2]
    ), library


def test_joules_of_counters_reach_the_rows(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, tmp_path: Path
) -> None:
    result, library = profiled(monkeypatch, machine, Tree(machine, tmp_path / "powercap"))
    assert machine.joules["cpu"] * 0.5e6 > 5 * RANGE  # it did wrap around, again and again
    assert len(library.asked) > 20
    # 10 W idle and 5 W more for 1 ms; of the GPU 50 W idle in all and 61 W more.
    for name, idle, above in (("engine", 10.0, 5.0), ("on GPU", 50.0, 61.0)):
        full = result.row(name, mode="streaming", rate=None)
        assert full.energy_tier == "MEASURED" and full.status == "complete"
        assert full.total_energy is not None and full.dynamic_energy is not None
        assert full.total_energy.middle == pytest.approx((idle + above) * 1e-3, rel=1e-3)
        assert full.dynamic_energy.middle == pytest.approx(above * 1e-3, rel=1e-2)
        assert full.static_energy is not None
        assert full.static_energy.middle == pytest.approx(idle * 1e-3, rel=1e-3)
        assert full.energy_delay_product is not None
        paced = result.row(name, mode="streaming", rate=100.0)
        assert paced.energy_tier == "CALIBRATED-ESTIMATE" and paced.total_energy is not None
        assert paced.total_energy.middle == pytest.approx((10 * idle + above) * 1e-3, rel=1e-3)
    sources = {row.backend: row.source for row in result.rows if row.energy_tier == "MEASURED"}
    assert "RAPL" in sources["engine"] and "NVML" in sources["on GPU"]
    # A sample in a loop takes next to nothing, and its energy is read all the same.
    looped = result.row("engine", mode="sequence", rate=None)
    assert looped.energy_tier == "MEASURED" and looped.total_energy is not None
    assert looped.total_energy.middle < 1e-3
    assert "energy a sample, competitor" in [f.what.lower() for f in answer(result).figures]
    assert "No energy of a CPU or GPU was measured" not in str(answer(result))
    assert l2l.load_profile(result.save(tmp_path / "x.profile.json")).rows == result.rows


def test_a_counter_that_is_lost_leaves_what_was_read(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, tmp_path: Path
) -> None:
    tree = Tree(machine, tmp_path / "powercap", lost_at=12.0)
    result, _ = profiled(monkeypatch, machine, tree)
    rows = [row for row in result.rows if row.backend == "engine" and row.rate is None]
    assert rows and all(row.latency is not None for row in rows)
    texts = [text for _, text in result.remarks()]
    assert any("repeats were left out" in text or "energy:" in text for text in texts)
    for row in rows:
        assert row.energy_tier in ("MEASURED", "ESTIMATED")
        assert (row.energy_tier == "ESTIMATED") == (row.dynamic_energy is None)
