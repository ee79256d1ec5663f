"""Energy counters: the kernel's files, NVIDIA's library and Zeus, all of them made up."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measuring import Machine, Meter

from lnn2loihi.errors import MeterError
from lnn2loihi.measure import EnergyCounters, TimeOnly, find_counters
from lnn2loihi.measure.nvml import NvmlMeter, nvml_meter, visible_gpu
from lnn2loihi.measure.powercap import PowercapMeter, Zone, counted_zones, powercap_meter
from lnn2loihi.measure.zeus_meter import ZeusMeter, zeus_cpu_meter, zeus_gpu_meter, zeus_monitor

RANGE = 262_143_328_850


def zone(folder: Path, name: str, energy: int | str = 0, limit: int | str | None = RANGE) -> Path:
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    if limit is not None:
        (folder / "max_energy_range_uj").write_text(f"{limit}\n")
    return folder


def server(root: Path) -> Path:
    """Two packages with their parts, as Linux shows them: flat, and once more inside the zone."""
    for package in range(2):
        top = zone(root / f"intel-rapl:{package}", f"package-{package}")
        for part, name in enumerate(("core", "dram")):
            zone(top / f"intel-rapl:{package}:{part}", name)
            (root / f"intel-rapl:{package}:{part}").symlink_to(top / f"intel-rapl:{package}:{part}")
    zone(root / "intel-rapl:2", "psys")
    zone(root / "intel-rapl-mmio:0", "package-0")
    (root / "intel-rapl").mkdir()
    return root


def set_energy(root: Path, energy: int | str, *names: str) -> None:
    for name in names:
        (root / name / "energy_uj").write_text(f"{energy}\n")


def reason(found: Any) -> str:
    assert isinstance(found, TimeOnly), found
    return found.reason


def test_nothing_is_counted_twice(tmp_path: Path) -> None:
    names = [found.name for found in counted_zones(server(tmp_path))]
    assert names == ["package-0", "package-0 dram", "package-1", "package-1 dram"]


def test_ten_packages_come_in_order(tmp_path: Path) -> None:
    for package in range(11):
        zone(tmp_path / f"intel-rapl:{package}", f"package-{package}")
    assert [z.name for z in counted_zones(tmp_path)] == [f"package-{n}" for n in range(11)]


#: Zones as machines show them, with their readings at the begin and at the end of a window.
Recorded = dict[str, tuple[str, int, int]]
THREADRIPPER: Recorded = {  # two dies, one counter, read some microseconds later
    "intel-rapl:0": ("package-0-die-0", 5_000_000_123, 5_068_000_123),
    "intel-rapl:0:0": ("core", 1_000, 2_000),
    "intel-rapl:1": ("package-0-die-1", 5_000_000_125, 5_068_000_128),
}
EPYC_PAIR: Recorded = {  # two sockets of two dies; the counter of the second wraps around
    "intel-rapl:0": ("package-0-die-0", 7_000_000, 57_000_000),
    "intel-rapl:1": ("package-0-die-1", 7_000_400, 57_300_000),
    "intel-rapl:2": ("package-1-die-0", RANGE - 200_000, 30_000_000),
    "intel-rapl:3": ("package-1-die-1", 100_000, 30_000_100),
}
CASCADE_LAKE_AP: Recorded = {  # a counter for each die, and memory of each
    "intel-rapl:0": ("package-0-die-0", 91_000_000_000, 91_040_000_000),
    "intel-rapl:0:0": ("dram", 10_000_000, 13_000_000),
    "intel-rapl:1": ("package-0-die-1", 88_500_000_000, 88_541_000_000),
    "intel-rapl:1:0": ("dram", 70_000_000, 74_000_000),
}
JUST_STARTED: Recorded = {  # dies of their own that happen to read the same at the begin
    "intel-rapl:0": ("package-0-die-0", 100_000, 30_100_000),
    "intel-rapl:1": ("package-0-die-1", 100_000, 38_100_000),
}


@pytest.mark.parametrize(
    ("recorded", "expected", "words"),
    [
        (THREADRIPPER, {"package-0": 68.0}, "(intel-rapl:1) show one counter, counted once"),
        (EPYC_PAIR, {"package-0": 50.0, "package-1": 30.2}, "one counter, counted once"),
        (CASCADE_LAKE_AP, {"package-0": 81.0, "package-0 dram": 7.0},
         "count by themselves, and are added up"),
        (JUST_STARTED, {"package-0": 68.0}, "count by themselves, and are added up"),
    ],
)  # fmt: skip
def test_dies_of_a_socket(
    tmp_path: Path, recorded: Recorded, expected: dict[str, float], words: str
) -> None:
    """Zones of several dies may show the one counter of their socket, or one each."""
    for folder, (name, begin, _) in recorded.items():
        zone(tmp_path / folder, name, begin)
    meter = powercap_meter(tmp_path)
    assert isinstance(meter, PowercapMeter) and meter.domains == tuple(expected)
    for _ in range(2):
        for folder, (_, begin, _) in recorded.items():
            set_energy(tmp_path, begin, folder)
        meter.begin()
        for folder, (_, _, end) in recorded.items():
            set_energy(tmp_path, end, folder)
        assert meter.end() == pytest.approx(expected)
        assert any(words in note for note in meter.notes())
    assert "package-0-die-0 (intel-rapl:0), package-0-die-1 (intel-rapl:1)" in meter.notes()[1]


def test_a_reader_that_is_held_up_sees_one_counter(tmp_path: Path) -> None:
    """Seconds between two readings of it are seconds between two of the first zone, too."""
    for number in range(2):
        zone(tmp_path / f"intel-rapl:{number}", f"package-0-die-{number}")
    meter = PowercapMeter(tuple(counted_zones(tmp_path)))
    now = iter(range(0, 10**12, 500_000_000))  # 500 J between any two readings
    for counter in meter._read[0].counters:
        counter.read = lambda: next(now)
    meter.begin()
    assert meter.end() == {"package-0": 1500.0}  # after three other readings
    assert "one counter" in meter.notes()[1]


def test_zeus_is_passed_over_where_it_would_add_dies_up(tmp_path: Path) -> None:
    for folder, (name, begin, _) in THREADRIPPER.items():
        zone(tmp_path / folder, name, begin)
    energies = Energies(cpu_energy={0: 68.0, 1: 68.0})
    text = reason(zeus_cpu_meter(zeus(0, 2, energies), tmp_path))
    assert "may show one counter" in text and "is read directly" in text


def test_platform_stands_in_only_where_there_is_no_package(tmp_path: Path) -> None:
    zone(tmp_path / "intel-rapl:0", "psys")
    assert [found.name for found in counted_zones(tmp_path)] == ["psys"]
    zone(tmp_path / "intel-rapl:1", "package-0")
    assert [found.name for found in counted_zones(tmp_path)] == ["package-0"]


def test_reads_joules(tmp_path: Path) -> None:
    meter = powercap_meter(server(tmp_path))
    assert isinstance(meter, PowercapMeter) and len(meter.domains) == 4
    meter.begin()
    set_energy(tmp_path, 2_500_000, "intel-rapl:0", "intel-rapl:0:0", "intel-rapl:2")
    set_energy(tmp_path, 500_000, "intel-rapl:1:1")
    assert meter.end() == {
        "package-0": 2.5, "package-0 dram": 0.0, "package-1": 0.0, "package-1 dram": 0.5,
    }  # fmt: skip
    assert meter.notes()


@given(
    steps=st.lists(st.integers(0, RANGE - 1), min_size=1, max_size=8), start=st.integers(0, RANGE)
)
def test_a_counter_may_wrap_around_between_any_two_looks(steps: list[int], start: int) -> None:
    """Whatever the counter does, what was added since the begin is what is read."""
    values = iter([start] + [(start + sum(steps[: n + 1])) % RANGE for n in range(len(steps))])
    meter = PowercapMeter((Zone("package-0", Path("nowhere")),))
    (counter,) = meter._read[0].counters
    counter.limit = RANGE
    counter.read = lambda: next(values)
    meter.begin()
    for _ in steps[:-1]:
        meter.poll()
    # A step by a whole number of rounds cannot be seen; there are none here.
    assert meter.end() == {"package-0": sum(steps) * 1e-6}


def test_a_new_window_forgets_the_old_one(tmp_path: Path) -> None:
    zone(tmp_path / "intel-rapl:0", "package-0")
    meter = powercap_meter(tmp_path)
    assert isinstance(meter, PowercapMeter)
    meter.begin()
    set_energy(tmp_path, 7_000_000, "intel-rapl:0")
    meter.begin()
    set_energy(tmp_path, 8_000_000, "intel-rapl:0")
    assert meter.end() == {"package-0": 1.0}


def test_a_fall_without_a_known_range_is_an_error(tmp_path: Path) -> None:
    zone(tmp_path / "intel-rapl:0", "package-0", energy=5_000, limit=None)
    meter = powercap_meter(tmp_path)
    assert isinstance(meter, PowercapMeter)
    meter.begin()
    set_energy(tmp_path, 4_000, "intel-rapl:0")
    with pytest.raises(MeterError, match="wraps around"):
        meter.end()


def test_root_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the kernel are readable by root only; root reads all, so it is made up here."""
    zone(tmp_path / "intel-rapl:0", "package-0")
    plain = Path.read_text

    def read_text(self: Path, *args: Any, **options: Any) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return plain(self, *args, **options)

    monkeypatch.setattr(Path, "read_text", read_text)
    text = reason(powercap_meter(tmp_path))
    assert "root only" in text and "chmod a+r" in text and "zeusd" in text


def test_no_power_caps(tmp_path: Path) -> None:
    assert "is not there" in reason(powercap_meter(tmp_path / "none"))
    assert "holds no zone" in reason(powercap_meter(tmp_path))
    (tmp_path / "intel-rapl:0").mkdir()
    assert "cannot be read" in reason(powercap_meter(tmp_path))


@pytest.mark.parametrize("text", ["", "-1", "1e6", "12 34", "0x10", "nan", "9" * 20, "\udcff"])
def test_what_is_no_number_of_microjoules(tmp_path: Path, text: str) -> None:
    top = zone(tmp_path / "intel-rapl:0", "package-0")
    (top / "energy_uj").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "expected microjoules" in reason(powercap_meter(tmp_path))


def test_a_counter_above_its_range(tmp_path: Path) -> None:
    zone(tmp_path / "intel-rapl:0", "package-0", energy=11, limit=10)
    assert "above its own range" in reason(powercap_meter(tmp_path))


_FILES = st.dictionaries(
    st.sampled_from(["name", "energy_uj", "max_energy_range_uj"]),
    st.one_of(st.binary(max_size=30), st.sampled_from([b"package-0", b"dram", b"psys", b"123\n"])),
)


@given(st.dictionaries(st.from_regex(r"intel-rapl(:[0-9]{1,3}){0,2}", fullmatch=True), _FILES))
def test_any_tree_gives_a_meter_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, dict[str, bytes]]
) -> None:
    root = tmp_path_factory.mktemp("powercap")
    for folder, files in tree.items():
        (root / folder).mkdir()
        for name, content in files.items():
            (root / folder / name).write_bytes(content)
    found = powercap_meter(root)
    if isinstance(found, TimeOnly):
        assert found.reason
        return
    found.begin()
    assert list(found.end()) == list(found.domains) and found.domains


# NVIDIA's library


class NvmlError(Exception):
    pass


@dataclass
class Nvml:
    """The module pynvml, as far as it is used.

    Attributes:
        energies: millijoules of one reading after the other; an error is raised.
        slowed: bits of the reasons why clocks are low.
        device: name of the GPU.
    """

    NVMLError = NvmlError
    NVML_TEMPERATURE_GPU = 0
    energies: list[Any]
    slowed: int = 0
    device: str | bytes = "NVIDIA X1"
    asked: list[Any] = field(default_factory=list)

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        self.asked.append(index)
        if index > 3:
            raise NvmlError("Invalid Argument")
        return "handle"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self.asked.append(uuid)
        return "handle"

    def nvmlDeviceGetName(self, handle: str) -> str | bytes:
        return self.device

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        value = self.energies.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        return 61

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
        return self.slowed


def test_gpu_joules_and_what_was_seen() -> None:
    library = Nvml([0, 1_000, 4_500], slowed=0x21, device=b"NVIDIA X1")
    meter = nvml_meter(lambda: library, gpu=0)
    assert isinstance(meter, NvmlMeter) and meter.domains == ("GPU NVIDIA X1",)
    meter.begin()
    assert meter.end() == {"GPU NVIDIA X1": 3.5}
    assert meter.notes() == (
        "GPU NVIDIA X1: up to 61 degrees Celsius",
        "GPU NVIDIA X1: slowed down by software thermal slowdown",
    )


def test_gpu_that_vanishes() -> None:
    meter = nvml_meter(lambda: Nvml([0, 1_000, NvmlError("GPU is lost")]), gpu=0)
    assert isinstance(meter, NvmlMeter)
    meter.begin()
    with pytest.raises(MeterError, match="GPU is lost"):
        meter.end()


def test_gpu_counter_that_falls() -> None:
    meter = nvml_meter(lambda: Nvml([0, 1_000, 10]), gpu=0)
    assert isinstance(meter, NvmlMeter)
    meter.begin()
    with pytest.raises(MeterError, match="fell"):
        meter.end()


def test_no_gpu() -> None:
    assert "nvidia-ml-py" in reason(nvml_meter(lambda: None))
    assert "Not Supported" in reason(nvml_meter(lambda: Nvml([NvmlError("Not Supported")]), 0))
    assert "Invalid Argument" in reason(nvml_meter(lambda: Nvml([0]), 7))
    assert "whole ones" in reason(nvml_meter(lambda: Nvml([0]), "MIG-1"))


@pytest.mark.parametrize(
    ("given_text", "gpu"),
    [(None, 0), ("3,1", 3), (" 2", 2), ("GPU-8a, 1", "GPU-8a"), ("MIG-7", "MIG-7"), ("", None),
     ("-1", None), ("nonsense", None)],
)  # fmt: skip
def test_the_gpu_that_cuda_calls_zero(
    given_text: str | None, gpu: int | str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {} if given_text is None else {"CUDA_VISIBLE_DEVICES": given_text}
    assert visible_gpu(environment) == gpu
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    library = Nvml([0])
    found = nvml_meter(lambda: library)
    expected = [] if gpu is None or gpu == "MIG-7" else [gpu]
    assert library.asked == expected and isinstance(found, NvmlMeter) == bool(expected)


# Zeus


@dataclass
class Energies:
    """What Zeus measures: its Measurement with the trap."""

    gpu_energy: dict[int, float] = field(default_factory=dict)
    cpu_energy: dict[int, float] | None = None
    dram_energy: dict[int, float] | None = None
    soc_energy: Any = None

    @property
    def total_energy(self) -> float:
        raise AssertionError("total_energy adds up GPUs only")


@dataclass
class Monitor:
    """ZeusMonitor, as far as it is used."""

    gpu_indices: list[int]
    cpu_indices: list[int]
    answers: Callable[[], Energies]
    windows: list[str] = field(default_factory=list)

    def begin_window(self, key: str, sync_execution: bool = True) -> None:
        assert not sync_execution  # it would import PyTorch
        if key in self.windows:
            raise ValueError(f"Measurement window '{key}' already exists")
        self.windows.append(key)

    def end_window(self, key: str, sync_execution: bool = True) -> Energies:
        assert not sync_execution
        self.windows.remove(key)
        return self.answers()


def zeus(gpus: int, zones: int, *answers: Energies) -> Any:
    """Makes monitors of a machine with so many GPUs and RAPL zones."""
    queue = list(answers)

    def monitor(gpu_indices: list[int] | None, cpu_indices: list[int] | None) -> Monitor:
        return Monitor(
            list(range(gpus)) if gpu_indices is None else gpu_indices,
            list(range(zones)) if cpu_indices is None else cpu_indices,
            lambda: queue.pop(0) if len(queue) > 1 else queue[0],
        )

    return monitor


def test_zeus_reads_each_domain_and_leaves_the_platform_out(tmp_path: Path) -> None:
    server(tmp_path)
    energies = Energies(cpu_energy={0: 3.0, 1: 2.0}, dram_energy={0: 0.5})
    meter = zeus_cpu_meter(zeus(0, 3, energies), tmp_path)
    assert isinstance(meter, ZeusMeter)
    assert meter.monitor.cpu_indices == [0, 1] and meter.monitor.gpu_indices == []
    meter.begin()
    assert meter.end() == {"CPU package 0": 3.0, "CPU package 1": 2.0, "DRAM of package 0": 0.5}
    meter.begin()
    meter.begin()  # drops the window that is open
    assert set(meter.end()) == set(meter.domains)


def test_zeus_without_counters_is_no_meter(tmp_path: Path) -> None:
    """What Zeus 0.16.0 answers on a virtual machine: no error, no CPU, and a total of 0."""
    assert "finds no RAPL counters" in reason(zeus_cpu_meter(zeus(0, 0, Energies()), tmp_path))
    assert "finds no GPU" in reason(zeus_gpu_meter(zeus(0, 0, Energies())))


def test_zeus_that_is_not_installed_or_broken(tmp_path: Path) -> None:
    def broken(*_: Any) -> Any:
        raise OSError("libnvidia-ml.so: no such file")

    assert "pip install 'lnn2loihi[energy]'" in reason(zeus_cpu_meter(lambda *_: None, tmp_path))
    assert "no such file" in reason(zeus_cpu_meter(broken, tmp_path))
    assert "no such file" in reason(zeus_gpu_meter(broken))


def test_zeus_domain_that_becomes_unavailable(tmp_path: Path) -> None:
    first, then = Energies(cpu_energy={0: 1.0}), Energies(cpu_energy=None)
    meter = zeus_cpu_meter(zeus(0, 1, first, then), tmp_path)
    assert isinstance(meter, ZeusMeter)
    meter.begin()
    with pytest.raises(MeterError, match="CPU package 0 cannot be read any more"):
        meter.end()


def test_zeus_gpu_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    watch = NvmlMeter(Nvml([], slowed=0x40), "handle", "GPU X1")
    meter = zeus_gpu_meter(zeus(2, 0, Energies(gpu_energy={0: 12.0})), lambda: watch)
    assert isinstance(meter, ZeusMeter) and meter.monitor.gpu_indices == [0]
    meter.begin()
    assert meter.end() == {"GPU 0": 12.0}
    assert any("thermal slowdown" in note for note in meter.notes())


def test_zeus_warns_of_counters_that_stood_still(tmp_path: Path) -> None:
    def warns() -> Energies:
        warnings.warn("measured as zero", stacklevel=1)
        return Energies(gpu_energy={0: 0.0})

    meter = ZeusMeter(Monitor([0], [], warns), "Zeus")
    meter.begin()
    assert meter.end() == {"GPU 0": 0.0}


def test_zeus_on_a_system_on_a_chip(tmp_path: Path) -> None:
    @dataclass
    class Board:
        cpu_energy_mj: float = 100.0
        total_energy_mj: float | None = 2_000.0

    meter = zeus_cpu_meter(zeus(0, 0, Energies(soc_energy=Board())), tmp_path)
    assert isinstance(meter, ZeusMeter)
    meter.begin()
    assert meter.end() == {"board": 2.0}


def test_the_real_zeus_degrades_cleanly(tmp_path: Path) -> None:
    pytest.importorskip("zeus", reason="the extra energy is not installed")
    for found in (zeus_cpu_meter(), zeus_gpu_meter()):
        assert isinstance(found, ZeusMeter) or found.reason
    assert zeus_monitor([], []) is not None


# All of them


def test_the_first_source_of_each_kind() -> None:
    machine = Machine()
    chosen = find_counters({
        "cpu": (lambda: TimeOnly("no a"), lambda: Meter(machine, "cpu")),
        "cuda": (lambda: TimeOnly("no b"), lambda: TimeOnly("no c")),
    })  # fmt: skip
    assert list(chosen.meters) == ["cpu"] and chosen.reasons == {"cuda": "no b; no c"}
    assert chosen.charged("cpu") == ("cpu",) and chosen.charged("cuda") == ()


def test_a_gpu_is_charged_with_the_cpu_too() -> None:
    both = Machine().counters("cpu", "cuda")
    assert both.charged("cuda") == ("cpu", "cuda") and both.charged("cpu") == ("cpu",)
    assert both.name(both.charged("cuda")) == "meter of cpu + meter of cuda"


def test_one_lost_counter_takes_no_other_along() -> None:
    machine = Machine()
    lost = Meter(machine, "cuda", lost_at=1.0)
    counters = EnergyCounters({"cpu": Meter(machine, "cpu"), "cuda": lost})
    counters.begin()
    machine.wait(2.0)
    counters.poll()
    assert counters.end(2.0) == {"cpu": {"cpu 0": 20.0}}
    assert "is gone" in counters.problems["cuda"]


@pytest.mark.parametrize("watts", [-1.0, 1e6])
def test_a_power_that_cannot_be(watts: float) -> None:
    machine = Machine(idle={"cpu": watts})
    counters = machine.counters("cpu")
    counters.begin()
    machine.wait(3.0)
    assert counters.end(3.0) == {} and "wrapped around" in counters.problems["cpu"]


def test_this_machine() -> None:
    """Whatever there is here, it is found without an error."""
    found = find_counters()
    assert set(found.meters) | set(found.reasons) == {"cpu", "cuda"}
    found.begin()
    assert set(found.end(1.0)) | set(found.problems) == set(found.meters)
