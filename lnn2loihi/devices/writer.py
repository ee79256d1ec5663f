"""Writes profiles that load again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.devices.device import Device
from lnn2loihi.devices.packages import SUFFIX
from lnn2loihi.errors import DeviceError
from lnn2loihi.files import write_atomically


@checks_kinds(DeviceError)
def save_device(device: Device, path: str | os.PathLike[str]) -> Path:
    """Writes a profile, whole or not at all; `load_device` reads the same figures again.

    Args:
        device: the device; its name becomes the file's.
        path: a `.toml` file in a folder that exists.

    Raises:
        DeviceError: the path has another suffix, is the file that the device was read from, or
            cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != SUFFIX:
        raise DeviceError(str(path), f"a profile is written as {SUFFIX}")
    if os.path.isfile(device.source_file) and target.exists():
        if os.path.samefile(device.source_file, target):
            raise DeviceError(
                str(path), "is the profile that the device was read from: its comments and its "
                "sources of other units would be lost; give another file"
            )  # fmt: skip
    try:
        return write_atomically(target, device_text(device).encode())
    except OSError as error:
        raise DeviceError(str(path), f"cannot be written: {error.strerror or error}") from error


def device_text(device: Device) -> str:
    """A device as the text of a profile, in SI units."""
    lines = [f"title = {_quoted(device.title)}", f"kind = {_quoted(device.kind)}"]
    if device.core:
        lines.append(f"core = {_quoted(device.core)}")
    if device.notes:
        lines += ["notes = [", *(f"    {_quoted(note)}," for note in device.notes), "]"]
    if device.not_public:
        lines += ["", "[not_public]"]
        lines += [f"{_quoted(key)} = {_quoted(text)}" for key, text in device.not_public.items()]
    for name, figure in device.figures.items():
        lines += ["", f"[figures.{name}]"]
        lines += [f"{key} = {getattr(figure, key)!r}" for key in ("value", "low", "high")]
        lines += [f"{key} = {_quoted(getattr(figure, key))}" for key in ("unit", "grade", "source")]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML string: the escapes of JSON are a part of TOML's."""
    return json.dumps(text, ensure_ascii=False)
