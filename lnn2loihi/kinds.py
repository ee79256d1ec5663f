"""Refuses arguments of the wrong kind at public functions, and says how to make the right one."""

from __future__ import annotations

import os
from types import NoneType

from lnn2loihi.errors import InputError, Lnn2LoihiError, Problems

Types = type | tuple[type, ...]

#: Files, as the functions that read and write them take them.
PATH = (str, os.PathLike)
#: What to give, by name of the kind: this module knows none of them.
_WANTED = {
    "Counters": "the counters of a simulation: simulate(program, x).counters",
    "Device": "a Device: load_device(name) makes one, device_names() lists the names",
    "LiquidNetwork": "a LiquidNetwork: import_network(module_or_checkpoint) makes one",
    "LoihiProgram": "a LoihiProgram: quantize(network, x) makes one, load(path) reads one",
    "PathLike": "an os.PathLike",
    "Placement": "a Placement: place(program) makes one",
    "ProfileResult": "a ProfileResult: profile(program, x) makes one, load_profile(path) reads one",
    "ProfileRow": "a row of a profile: profile(program, x).rows has them",
    "str": "a str",
    "int": "a whole number",
    "integer": "a whole number",
    "Workload": "a Workload: workload(placement, counters) makes one",
}


def check_kinds(
    subject: str,
    *,
    error: type[Lnn2LoihiError] = InputError,
    **arguments: tuple[object, Types],
) -> None:
    """Refuses arguments that are of another kind than a function takes.

    Args:
        subject: name of the function.
        error: what is raised.
        arguments: for each name of an argument what was given, and the type or types it may have.

    Raises:
        error: lists each argument that does not fit: what was given, what is wanted and how to
            make it.
    """
    problems = Problems(error, subject)
    for name, (value, types) in arguments.items():
        if not isinstance(value, types):
            problems.add(f"{name} is {_described(value)}; give {_wanted(types)}")
    problems.raise_if_any()


def _described(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__qualname__}"


def _wanted(types: Types) -> str:
    listed = types if isinstance(types, tuple) else (types,)
    # None is what an option has that was left out; nobody gives it.
    texts = [_WANTED[kind.__name__] for kind in listed if kind is not NoneType]
    return " or ".join(dict.fromkeys(texts))
