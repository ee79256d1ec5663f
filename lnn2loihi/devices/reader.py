"""Reads profiles: ours and those of packages by name, and a user's own by path."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.devices.device import Device
from lnn2loihi.devices.packages import (
    FOLDER,
    OURS,
    SUFFIX,
    DeviceTables,
    Profile,
    device_tables,
    own_tables,
)
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

_log = logging.getLogger("lnn2loihi")
_said: set[str] = set()


def device_names() -> list[str]:
    """Names of the devices whose profiles are shipped, or brought by packages."""
    return sorted(device_tables().profiles)


def known_devices() -> Iterator[tuple[str, Device]]:
    """Those devices, each with the package whose profile it is. A profile of a package that is no
    good is named in a warning, once, and left out.
    """
    for name, profile in sorted(device_tables().profiles.items()):
        try:
            yield profile.package, load_device(name)
        except DeviceError as error:
            if profile.subject not in _said:
                _said.add(profile.subject)
                _log.warning("a profile of %s is left out: %s", profile.package, error)


def shipped_text(name: str) -> str:
    """The text of a file of our folder with profiles."""
    return (files("lnn2loihi") / FOLDER / (name + SUFFIX)).read_text("utf-8")


@checks_kinds(DeviceError)
def load_device(device: str | os.PathLike[str] | Device) -> Device:
    """A device, with its profile checked.

    Args:
        device: name of a profile (see `device_names`), path of a profile of one's own (`.toml`), or
            a Device, which is checked and handed back. A profile that says `extends = "<name>"`
            takes what it does not give itself from that one, or from a file beside it.

    Raises:
        DeviceError: the device is unknown, or lists everything that is wrong with its profile.
    """
    if isinstance(device, Device):
        return _settled(device)
    name = os.fspath(device)
    if name in own_tables().profiles:
        return _shipped(name)
    if _is_path(name):
        return _loaded(Path(name).stem, Profile("", Path(name), name), device_tables())
    return _loaded(name, _profile(name, device_tables()), device_tables())


def _settled(device: Device) -> Device:
    """A device whose figures are as they could stand in a file."""
    problems = Problems(DeviceError, f"device {device.name!r:.60}")
    for name, figure in device.figures.items():
        problems.extend(figure_problems(name, vars(figure), device_tables()))
    problems.raise_if_any()
    return device


@cache
def _shipped(name: str) -> Device:
    """A device of ours, for which no package is asked; its file does not change while we run."""
    return _loaded(name, own_tables().profiles[name], own_tables())


def _is_path(name: str) -> bool:
    return name.lower().endswith(SUFFIX) or os.sep in name or "/" in name


def _profile(name: str, tables: DeviceTables) -> Profile:
    found = tables.profiles.get(name)
    if found is None:
        near = get_close_matches(name[:60], tables.profiles, n=1)
        hint = f"do you mean {near[0]!r}? " if near else ""
        raise DeviceError(
            f"device {name!r:.60}",
            f"is unknown; {hint}there are {', '.join(sorted(tables.profiles))}, or give a {SUFFIX} "
            "file of your own",
        )
    return found


def _loaded(name: str, profile: Profile, tables: DeviceTables) -> Device:
    content = _read(profile, tables)
    return _build(name, content, _base(content, profile, tables), profile.subject, tables)


def _read(profile: Profile, tables: DeviceTables) -> dict[str, Any]:
    """A profile whose own entries are well formed; it may still lack some."""
    content = parse_toml(_text(profile), profile.subject, DeviceError)
    problems = Problems(DeviceError, profile.subject)
    problems.extend(structure_problems(content))
    figures = entries(content, "figures", dict)
    for name, entry in figures.items():
        problems.extend(figure_problems(name, entry, tables))
    if "extends" not in content:
        problems.extend(whole_problems(content, tables))
    if not problems:
        read = {name: read_figure(entry) for name, entry in figures.items()}
        problems.extend(contradictions(read, tables))
    problems.raise_if_any()
    return content


def _text(profile: Profile) -> str:
    if isinstance(profile.file, Path):
        return read_text(profile.file, DeviceError)
    try:  # in a package that is no folder, such as an archive
        return profile.file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise DeviceError(profile.subject, f"cannot be read: {error}") from error


def _base(content: Mapping[str, Any], profile: Profile, tables: DeviceTables) -> dict[str, Any]:
    """The profile that this one extends; nothing where it extends none."""
    if "extends" not in content:
        return {}
    name = content["extends"]
    if not _is_path(name):
        base = _read(_profile(name, tables), tables)
    elif profile.package != OURS and Path(name).name == name:
        file = profile.file.parent / name
        base = _read(Profile(profile.package, file, str(file)), tables)
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


def _build(
    name: str,
    own: Mapping[str, Any],
    base: Mapping[str, Any],
    source_file: str,
    tables: DeviceTables,
) -> Device:
    """Joins a profile with the one that it extends; what it says itself holds."""
    given, unknown = own.get("figures", {}), own.get("not_public", {})
    figures = {k: v for k, v in base.get("figures", {}).items() if k not in unknown} | given
    not_public = {k: v for k, v in base.get("not_public", {}).items() if k not in given}
    joined = {**base, **own, "figures": figures, "not_public": not_public | unknown}
    problems = Problems(DeviceError, source_file)
    problems.extend(whole_problems(joined, tables))
    problems.raise_if_any()
    read = {key: read_figure(entry) for key, entry in figures.items()}
    problems.extend(contradictions(read, tables))
    problems.raise_if_any()
    return Device(
        name=name,
        title=joined["title"],
        kind=joined["kind"],
        figures=read,
        not_public=joined["not_public"],
        notes=(*base.get("notes", ()), *own.get("notes", ())),
        source_file=source_file,
        core=joined.get("core", ""),
    )
