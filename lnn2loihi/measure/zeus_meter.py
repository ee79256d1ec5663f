"""Energy through Zeus (package `zeus`, Apache-2.0; the extra `energy`).

Each domain is read by itself. `Measurement.total_energy` is a trap: it adds up GPUs only, so that
it is 0 on a machine whose CPU it has measured. A domain that is None is unavailable, not 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lnn2loihi.errors import MeterError
from lnn2loihi.measure.meter import TimeOnly
from lnn2loihi.measure.nvml import NvmlMeter, nvml_meter, visible_gpu
from lnn2loihi.measure.powercap import (
    RAPL_NOTE,
    ROOT,
    domain_of,
    is_package,
    package_zones,
)

#: Makes a ZeusMonitor of GPU indices and CPU indices; None for all that there are.
Monitor = Callable[[list[int] | None, list[int] | None], Any]
_WINDOW = "lnn2loihi"


def zeus_monitor(gpu_indices: list[int] | None, cpu_indices: list[int] | None) -> Any:
    """A ZeusMonitor; None where Zeus is not installed."""
    if find_spec("zeus") is None:
        return None
    from zeus.monitor import ZeusMonitor

    return ZeusMonitor(gpu_indices=gpu_indices, cpu_indices=cpu_indices)


@dataclass
class ZeusMeter:
    """Reads what a ZeusMonitor reads, domain by domain.

    Attributes:
        monitor: the ZeusMonitor.
        name: Zeus and its version.
        watch: what watches the GPU's temperature and throttling, which Zeus does not.
        remarks: what a reader of its figures should know.

    Raises:
        MeterError: not even an empty window can be read.
    """

    monitor: Any
    name: str
    watch: NvmlMeter | None = None
    remarks: tuple[str, ...] = ()
    _domains: tuple[str, ...] = field(default=(), repr=False)
    _open: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self.begin()
        self._domains = tuple(self._end())

    @property
    def domains(self) -> tuple[str, ...]:
        """What was not None in a first, empty window."""
        return self._domains

    def begin(self) -> None:
        """See `EnergyMeter`."""
        if self._open:
            self._end()
        try:
            # The runners wait for their GPU themselves, so Zeus needs no PyTorch for it.
            self.monitor.begin_window(_WINDOW, sync_execution=False)
        except Exception as error:  # what Zeus raises differs from backend to backend
            raise MeterError(self.name, f"{type(error).__name__}: {error}") from error
        self._open = True

    def poll(self) -> None:
        """Watches the GPU. For RAPL counters that wrap around Zeus has a process of its own."""
        if self.watch is not None:
            self.watch.poll()

    def end(self) -> Mapping[str, float]:
        """See `EnergyMeter`."""
        self.poll()
        found = self._end()
        lost = [name for name in self._domains if name not in found]
        if lost:
            raise MeterError(self.name, f"{', '.join(lost)} cannot be read any more")
        return {name: found[name] for name in self._domains}

    def _end(self) -> dict[str, float]:
        self._open = False
        try:
            with warnings.catch_warnings():
                # It warns where a GPU's counter has not moved; that is judged with the rest.
                warnings.simplefilter("ignore")
                return _per_domain(self.monitor.end_window(_WINDOW, sync_execution=False))
        except Exception as error:  # what Zeus raises differs from backend to backend
            raise MeterError(self.name, f"{type(error).__name__}: {error}") from error

    def notes(self) -> tuple[str, ...]:
        """What RAPL does not say, and what was seen of the GPU."""
        return (*self.remarks, *(self.watch.notes() if self.watch else ()))


def _per_domain(measured: Any) -> dict[str, float]:
    """Joules of each domain that is not None. A system on a chip has one, the whole board."""
    total = getattr(getattr(measured, "soc_energy", None), "total_energy_mj", None)
    if total is not None:
        return {"board": float(total) / 1000.0}
    parts = (
        ("CPU package", measured.cpu_energy),
        ("DRAM of package", measured.dram_energy),
        ("GPU", measured.gpu_energy),
    )
    return {
        f"{name} {index}": float(joules)
        for name, found in parts
        for index, joules in (found or {}).items()
        if joules is not None
    }


def zeus_cpu_meter(monitor: Monitor = zeus_monitor, powercap: Path = ROOT) -> ZeusMeter | TimeOnly:
    """A meter of the CPU packages and their memory, or why there is none.

    Zones that are no CPU package are left out: the platform's contains the packages.

    Args:
        monitor: makes a ZeusMonitor, or None; tests make their own.
        powercap: folder of the power caps, for the names of the zones.
    """

    def build() -> ZeusMeter | None:
        seen = monitor([], None)
        if seen is None:
            return None
        zones = package_zones(powercap)
        packages = [i for i, zone in enumerate(zones) if is_package(zone)]
        sockets = [domain_of(zones[i]) for i in packages]
        if len(set(sockets)) < len(sockets):
            raise MeterError(
                _name(), "adds up the zones of all dies of a socket, which may show one counter; "
                f"they are told apart where {powercap} is read directly"
            )  # fmt: skip
        chosen = [i for i in seen.cpu_indices if i in packages] or list(seen.cpu_indices)
        return ZeusMeter(monitor([], chosen), _name(), remarks=(RAPL_NOTE,))

    return _built(build, "no RAPL counters that it can read")


def zeus_gpu_meter(
    monitor: Monitor = zeus_monitor, watch: Callable[[], NvmlMeter | TimeOnly] = nvml_meter
) -> ZeusMeter | TimeOnly:
    """A meter of the GPU that CUDA calls 0, or why there is none.

    Args:
        monitor: makes a ZeusMonitor, or None; tests make their own.
        watch: makes what watches the GPU's temperature.
    """

    def build() -> ZeusMeter | None:
        seen = monitor(None, [])
        if seen is None:
            return None
        if not seen.gpu_indices or visible_gpu() is None:
            raise MeterError(_name(), "finds no GPU")
        watching = watch()
        return ZeusMeter(
            monitor([seen.gpu_indices[0]], []),
            _name(),
            watching if isinstance(watching, NvmlMeter) else None,
        )

    return _built(build, "no GPU")


def _built(build: Callable[[], ZeusMeter | None], nothing: str) -> ZeusMeter | TimeOnly:
    """What is built, or why it is not: nothing that Zeus raises ends a measurement of time."""
    try:
        made = build()
    except MeterError as error:
        return TimeOnly(str(error))
    except Exception as error:  # a broken installation, a driver that is gone: whatever it is
        return TimeOnly(f"Zeus: {type(error).__name__}: {error}")
    if made is None:
        return TimeOnly("Zeus is not installed (pip install 'lnn2loihi[energy]')")
    return made if made.domains else TimeOnly(f"{made.name} finds {nothing}")


def _name() -> str:
    try:
        return f"Zeus {version('zeus')}"
    except PackageNotFoundError:
        return "Zeus"
