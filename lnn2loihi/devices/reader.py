"""Reads profiles: those that are shipped, by name, and a user's own, by path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.devices.device import Device
from lnn2loihi.devices.schema import (
    contradictions,
    entries,
    figure_problems,
    read_figure,
    structure_problems,
    whole_problems,
)
from lnn2loihi.errors import DeviceError, Problems
from lnn2loihi.files import parse_toml, read_text

SUFFIX = ".toml"
FOLDER = "hardware_profiles"
#: Files of the folder that are no devices.
OTHERS = ("validation",)


def device_names() -> list[str]:
    """Names of the devices whose profiles are shipped."""
    found = [Path(entry.name) for entry in (files("lnn2loihi") / FOLDER).iterdir()]
    stems = [path.stem for path in found if path.suffix == SUFFIX]
    return sorted(stem for stem in stems if stem not in OTHERS)


def shipped_text(name: str) -> str:
    """The text of a file of the folder with the profiles."""
    return (files("lnn2loihi") / FOLDER / (name + SUFFIX)).read_text("utf-8")


@checks_kinds(DeviceError)
def load_device(device: str | os.PathLike[str] | Device) -> Device:
    """A device, with its profile checked.

    Args:
        device: name of a shipped profile (see `device_names`), path of a profile of one's own
            (`.toml`), or a Device, which is checked and handed back. A profile that says
            `extends = "<name>"` takes what it does not give itself from a shipped one, or from
            a file beside it.

    Raises:
        DeviceError: the device is unknown, or lists everything that is wrong with its profile.
    """
    if isinstance(device, Device):
        return _settled(device)
    name = os.fspath(device)
    if _is_path(name):
        content = _read_file(Path(name))
        return _build(Path(name).stem, content, _base(content, Path(name)), name)
    return _shipped(name)


def _settled(device: Device) -> Device:
    """A device whose figures are as they could stand in a file."""
    problems = Problems(DeviceError, f"device {device.name!r:.60}")
    for name, figure in device.figures.items():
        problems.extend(figure_problems(name, vars(figure)))
    problems.raise_if_any()
    return device


@cache
def _shipped(name: str) -> Device:
    """A shipped device; its file does not change while we run."""
    content = _read_shipped(name)
    return _build(name, content, _base(content, None), f"{FOLDER}/{name}{SUFFIX}")


def _is_path(name: str) -> bool:
    return name.lower().endswith(SUFFIX) or os.sep in name or "/" in name


def _read_file(path: Path) -> dict[str, Any]:
    return _checked(parse_toml(read_text(path, DeviceError), str(path), DeviceError), str(path))


def _read_shipped(name: str) -> dict[str, Any]:
    known = device_names()
    if name not in known:
        near = get_close_matches(name[:60], known, n=1)
        hint = f"do you mean {near[0]!r}? " if near else ""
        raise DeviceError(
            f"device {name!r:.60}",
            f"is unknown; {hint}there are {', '.join(known)}, or give a {SUFFIX} file of your own",
        )
    subject = f"{FOLDER}/{name}{SUFFIX}"
    return _checked(parse_toml(shipped_text(name), subject, DeviceError), subject)


def _checked(content: dict[str, Any], subject: str) -> dict[str, Any]:
    """A profile whose own entries are well formed; it may still lack some."""
    problems = Problems(DeviceError, subject)
    problems.extend(structure_problems(content))
    figures = entries(content, "figures", dict)
    for name, entry in figures.items():
        problems.extend(figure_problems(name, entry))
    if "extends" not in content:
        problems.extend(whole_problems(content))
    if not problems:
        read = {name: read_figure(entry) for name, entry in figures.items()}
        problems.extend(contradictions(read))
    problems.raise_if_any()
    return content


def _base(content: Mapping[str, Any], path: Path | None) -> dict[str, Any]:
    """The profile that this one extends; nothing where it extends none."""
    if "extends" not in content:
        return {}
    name = content["extends"]
    if not _is_path(name):
        base = _read_shipped(name)
    elif path is not None and Path(name).name == name:
        base = _read_file(path.parent / name)
    else:
        raise DeviceError(
            f"extends = {name!r:.60}", "give the name of a shipped profile, or a file beside this"
        )
    if "extends" in base:
        raise DeviceError(
            f"extends = {name!r:.60}",
            f"that profile extends another one, {base['extends']!r:.60}; one level is allowed",
        )
    return base


def _build(name: str, own: Mapping[str, Any], base: Mapping[str, Any], source_file: str) -> Device:
    """Joins a profile with the one that it extends; what it says itself holds."""
    given, unknown = own.get("figures", {}), own.get("not_public", {})
    figures = {k: v for k, v in base.get("figures", {}).items() if k not in unknown} | given
    not_public = {k: v for k, v in base.get("not_public", {}).items() if k not in given}
    joined = {**base, **own, "figures": figures, "not_public": not_public | unknown}
    problems = Problems(DeviceError, source_file)
    problems.extend(whole_problems(joined))
    problems.raise_if_any()
    read = {key: read_figure(entry) for key, entry in figures.items()}
    problems.extend(contradictions(read))
    problems.raise_if_any()
    return Device(
        name=name,
        title=joined["title"],
        kind=joined["kind"],
        figures=read,
        not_public=joined["not_public"],
        notes=(*base.get("notes", ()), *own.get("notes", ())),
        source_file=source_file,
    )
