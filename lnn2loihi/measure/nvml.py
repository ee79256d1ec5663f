"""Energy of a GPU from NVIDIA's management library, through the package nvidia-ml-py (`pynvml`).

The counter (`nvmlDeviceGetTotalEnergyConsumption`, Volta and newer) is in millijoules and is
refreshed every few tens of milliseconds; A100 and H100 sample their power a quarter of the time
(Yang et al., SC24, arXiv:2312.02741). So windows take seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from lnn2loihi.errors import MeterError
from lnn2loihi.measure.meter import TimeOnly

_JOULES = 1e-3
#: Why clocks are below what was asked for (nvml.h, nvmlClocksEventReason*).
_SLOWED = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}


def visible_gpu(environment: Mapping[str, str] | None = None) -> int | str | None:
    """The GPU that CUDA calls 0: its index, or its UUID; None where none is visible.

    CUDA honours CUDA_VISIBLE_DEVICES, NVML does not.

    Args:
        environment: environment variables; those of the process by default.
    """
    given = (os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return 0
    first = given.split(",")[0].strip()
    if first.isdigit():
        return int(first)
    return first if first.startswith(("GPU-", "MIG-")) else None


@dataclass
class NvmlMeter:
    """Reads one GPU.

    Attributes:
        library: the module `pynvml`, or what a test puts in its place.
        handle: the GPU's handle.
        label: its name in tables.
    """

    library: Any
    handle: Any
    label: str
    name: str = "NVML"
    _first: int = field(default=0, repr=False)
    _hottest: int | None = field(default=None, repr=False)
    _slowed: int = field(default=0, repr=False)

    @property
    def domains(self) -> tuple[str, ...]:
        """The GPU."""
        return (self.label,)

    def _read(self) -> int:
        try:
            return int(self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle))
        except self.library.NVMLError as error:
            raise MeterError(self.label, f"its energy cannot be read ({error})") from error

    def begin(self) -> None:
        """See `EnergyMeter`."""
        self._first = self._read()

    def poll(self) -> None:
        """Notes temperature and throttling."""
        library = self.library
        with suppress(library.NVMLError, AttributeError):
            now = int(library.nvmlDeviceGetTemperature(self.handle, library.NVML_TEMPERATURE_GPU))
            self._hottest = now if self._hottest is None else max(self._hottest, now)
        with suppress(library.NVMLError, AttributeError):
            # The older name; newer libraries keep it.
            self._slowed |= int(library.nvmlDeviceGetCurrentClocksThrottleReasons(self.handle))

    def end(self) -> Mapping[str, float]:
        """See `EnergyMeter`."""
        self.poll()
        passed = self._read() - self._first
        if passed < 0:
            raise MeterError(self.label, "its energy counter fell (was the driver reloaded?)")
        return {self.label: passed * _JOULES}

    def notes(self) -> tuple[str, ...]:
        """Temperature, and what slowed the GPU down."""
        found = [f"{self.label}: up to {self._hottest} degrees Celsius"] * (
            self._hottest is not None
        )
        why = [reason for bit, reason in _SLOWED.items() if self._slowed & bit]
        return (*found, *([f"{self.label}: slowed down by {', '.join(why)}"] * bool(why)))


def _import_pynvml() -> Any:
    """The module pynvml; None where it is not installed."""
    if find_spec("pynvml") is None:
        return None
    import pynvml

    return pynvml


def nvml_meter(
    library: Callable[[], Any] = _import_pynvml, gpu: int | str | None = None
) -> NvmlMeter | TimeOnly:
    """A meter of the GPU that CUDA calls 0, or why there is none.

    Args:
        library: gives the module `pynvml`, or None; tests give their own.
        gpu: index or UUID of the GPU; `visible_gpu()` by default.
    """
    found = library()
    if found is None:
        return TimeOnly("no NVML: pip install nvidia-ml-py")
    chosen = visible_gpu() if gpu is None else gpu
    if chosen is None:
        return TimeOnly("no GPU is visible (CUDA_VISIBLE_DEVICES)")
    if isinstance(chosen, str) and chosen.startswith("MIG-"):
        return TimeOnly(f"{chosen} is a part of a GPU; NVML counts the energy of whole ones")
    try:
        found.nvmlInit()
        by_name = isinstance(chosen, str)
        get = found.nvmlDeviceGetHandleByUUID if by_name else found.nvmlDeviceGetHandleByIndex
        handle = get(chosen)
        meter = NvmlMeter(found, handle, f"GPU {_text(found.nvmlDeviceGetName(handle))}")
        meter.begin()
    except (found.NVMLError, MeterError, OSError) as error:
        return TimeOnly(f"no GPU through NVML: {error}")
    return meter


def _text(name: Any) -> str:
    """A name; older versions of the package give bytes."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
