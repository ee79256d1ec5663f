"""Devices: limits and costs of chips, boards and computers, one TOML profile each."""

from lnn2loihi.devices.device import Device, Figure
from lnn2loihi.devices.figures import COST_PARAMETERS, DEFINITIONS, GRADES, KINDS, Definition
from lnn2loihi.devices.reader import device_names, load_device
from lnn2loihi.devices.units import with_prefix
from lnn2loihi.devices.writer import save_device

__all__ = [
    "COST_PARAMETERS",
    "DEFINITIONS",
    "GRADES",
    "KINDS",
    "Definition",
    "Device",
    "Figure",
    "device_names",
    "load_device",
    "save_device",
    "with_prefix",
]
