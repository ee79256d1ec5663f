"""Devices: limits and costs of chips, boards and computers, one TOML profile each.

What a device may be and what its figures mean are tables, which packages extend: `DevicePackage`.
"""

from lnn2loihi.devices.device import Device, Figure
from lnn2loihi.devices.figures import (
    COST_PARAMETERS,
    CPU,
    DEFINITIONS,
    GPU,
    GRADES,
    LOIHI,
    MICROCONTROLLER,
    Definition,
    DeviceKind,
)
from lnn2loihi.devices.packages import DEVICES, DevicePackage, DeviceTables, device_tables
from lnn2loihi.devices.reader import device_names, known_devices, load_device
from lnn2loihi.devices.units import rate_text, with_prefix
from lnn2loihi.devices.writer import save_device

__all__ = [
    "COST_PARAMETERS",
    "CPU",
    "DEFINITIONS",
    "DEVICES",
    "GPU",
    "GRADES",
    "LOIHI",
    "MICROCONTROLLER",
    "Definition",
    "Device",
    "DeviceKind",
    "DevicePackage",
    "Figure",
    "DeviceTables",
    "device_names",
    "device_tables",
    "known_devices",
    "load_device",
    "save_device",
    "rate_text",
    "with_prefix",
]
