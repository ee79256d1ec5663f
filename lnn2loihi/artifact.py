"""Saves and loads LoihiPrograms: one safetensors file (`.l2l`) with a JSON manifest.

Loading trusts nothing: sizes and the checksum are checked first (`sealed.py`), and the program
proves itself again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.defaults import PROGRAM_SUFFIX
from lnn2loihi.errors import ArtifactError
from lnn2loihi.formats import FixedPoint
from lnn2loihi.graph.precedent import with_precedent
from lnn2loihi.manifest_connections import connection_entry, connection_of
from lnn2loihi.manifest_values import fixed_point, flag, integer, listed, lists, taken, text
from lnn2loihi.neurons.instructions import Bound, Instruction, NeuronProgram, Saturation
from lnn2loihi.program import (
    Convolution,
    InputPort,
    LoihiProgram,
    Population,
    Schedule,
    upgraded,
)
from lnn2loihi.sealed import PROGRAMS, Arrays, checksum

SCHEMA = 5
#: Versions that are read. The first has no scales of units, and fewer columns in its table.
READ = (2, 3, 4, SCHEMA)
#: The version of programs without ports and kernels, and the first ones that have accumulators
#: which take turns on ports, and kernels that neurons share: a program is written as it always was,
#: so that older versions of this library read it if they can run it.
WITHOUT_PORTS, WITH_PORTS, WITH_KERNELS = 3, 4, 5
FORMAT = "lnn2loihi program"
SUFFIX = PROGRAM_SUFFIX

#: Most instructions times neurons of any file, and of larger ones for each byte (PilotNet's
#: network, 158,509 neurons, has 2.2 a byte).
UPDATES_OF_ANY_FILE, UPDATES_OF_A_BYTE = 1 << 22, 16


@checks_kinds()
def save(program: LoihiProgram, path: str | os.PathLike[str]) -> Path:
    """Writes a program; the file is whole or not there.

    Raises:
        ArtifactError: the folder does not exist or cannot be written.
        InputError: an argument is of the wrong kind.
    """
    return PROGRAMS.write(path, to_bytes(program))


def to_bytes(program: LoihiProgram) -> bytes:
    """A program as `save` writes it."""
    arrays: Arrays = {}
    return PROGRAMS.to_bytes(json.dumps(_manifest(program, arrays), sort_keys=True), arrays)


def fingerprint(program: LoihiProgram) -> str:
    """SHA-256 of a program as text: the one that `save` writes into its file."""
    arrays: Arrays = {}
    return checksum(json.dumps(_manifest(program, arrays), sort_keys=True), arrays)


@checks_kinds()
def load(path: str | os.PathLike[str]) -> LoihiProgram:
    """Reads a program.

    Raises:
        ArtifactError: the file is missing, truncated, altered, of an unknown version, or not a
            program at all.
        InputError: the path is none.
    """
    return from_bytes(PROGRAMS.read(Path(path)), Path(path).name)


def from_bytes(content: bytes, name: str) -> LoihiProgram:
    """The program that `to_bytes` has written.

    Args:
        content: its bytes.
        name: of the file, for errors.

    Raises:
        ArtifactError: as `load`.
    """
    manifest, arrays = PROGRAMS.opened(content, name)
    size = len(content)
    del content  # as large as all that is made of it
    with PROGRAMS.interpreting(name):
        return _program(json.loads(manifest), arrays, size, name)


def _check_neurons(manifest: Any, size: int, name: str) -> None:
    """Refuses neurons of which a file says little more than how many they are: kernels reach any
    number of them, and a proof has two words for each instruction of each neuron.
    """
    updates = sum(
        integer(p["size"]) * len(listed(p["program"]["instructions"]))
        for p in listed(manifest["populations"])
    )
    if updates > (limit := max(UPDATES_OF_ANY_FILE, UPDATES_OF_A_BYTE * size)):
        raise ArtifactError(
            name,
            f"its populations have {updates:,} instructions times neurons; the limit of a file of "
            f"{size:,} bytes is {limit:,}",
        )


def _manifest(program: LoihiProgram, arrays: Arrays) -> dict[str, Any]:
    """The manifest; puts the arrays that it refers to into `arrays`."""

    def keep(name: str, array: np.ndarray) -> str:
        arrays[name] = np.asarray(array)
        return name

    def format_of(format: FixedPoint) -> list[int]:
        return [format.bits, format.fraction_bits]

    port = program.input
    return {
        "format": FORMAT,
        "schema": _schema(program),
        "name": program.name,
        "recipe": program.recipe,
        "input": {
            "name": port.name,
            "format": format_of(port.format),
            "low": keep("input.low", port.low),
            "high": keep("input.high", port.high),
            "gain": keep("input.gain", port.gain),
            "offset": keep("input.offset", port.offset),
        },
        "populations": [
            {
                "name": p.name,
                "size": p.size,
                "message": format_of(p.message),
                "message_range": [p.message_low, p.message_high],
                **({"ports": p.ports} if p.ports else {}),
                **(
                    {
                        part: keep(f"populations.{i}.{part}", getattr(p, part))
                        for part in ("scale", "offset")
                    }
                    if p.has_own_scales
                    else {}
                ),
                "program": _neuron_manifest(p.program),
                "parameters": {
                    key: keep(f"populations.{i}.parameters.{key}", value)
                    for key, value in p.parameters.items()
                },
                "initial_state": {
                    key: keep(f"populations.{i}.initial_state.{key}", value)
                    for key, value in p.initial_state.items()
                },
            }
            for i, p in enumerate(program.populations)
        ],
        "connections": [
            connection_entry(c, f"connections.{i}", keep) for i, c in enumerate(program.connections)
        ],
        "output": program.output,
        "schedule": {
            "period": program.schedule.period,
            "first_valid": dict(program.schedule.first_valid),
            "first_input": program.schedule.first_input,
            "interleave": program.schedule.interleave,
        },
        "timed": program.timed,
        # Programs of one update for each sample are written as they always were.
        **({"substeps": program.substeps} if program.substeps > 1 else {}),
        "provenance": dict(program.provenance),
        "warnings": list(with_precedent(program.warnings)),
        "table": [dict(row) for row in program.table],
    }


def _schema(program: LoihiProgram) -> int:
    """The first version that can hold a program."""
    if any(isinstance(c, Convolution) for c in program.connections):
        return WITH_KERNELS
    return WITH_PORTS if any(p.ports for p in program.populations) else WITHOUT_PORTS


def _neuron_manifest(program: NeuronProgram) -> dict[str, Any]:
    return {
        "name": program.name,
        "accumulators": list(program.accumulators),
        "parameters": [list(p) for p in program.parameters],
        "states": [list(s) for s in program.states],
        "instructions": [
            [i.opcode, i.result, list(i.operands), i.shift] for i in program.instructions
        ],
        "bounds": [[b.word, b.low, b.high, b.proof, list(b.of)] for b in program.bounds],
        "message_state": program.message_state,
        # Programs that say nothing are written as they always were.
        **(
            {}
            if program.saturations is None
            else {"saturations": [[s.name, s.free, s.held, s.when] for s in program.saturations]}
        ),
    }


def _program(manifest: Any, unused: Arrays, size: int, name: str) -> LoihiProgram:
    """The program of a manifest, of a file of so many bytes; takes the arrays that it names out of
    `unused`.
    """
    if manifest.get("format") != FORMAT:
        raise ArtifactError(name, f"its format is {manifest.get('format')!r}, not {FORMAT!r}")
    if manifest.get("schema") not in READ or isinstance(manifest["schema"], bool):
        raise ArtifactError(
            name,
            f"schema version {manifest.get('schema')!r} is unknown; this lnn2loihi reads "
            f"versions {READ[0]} to {SCHEMA}. Install the version that wrote it, or quantize again",
        )
    for first, key, place in (
        (WITH_PORTS, "ports", "populations"),
        (WITH_KERNELS, "kernel", "connections"),
    ):
        if manifest["schema"] < first and any(key in part for part in listed(manifest[place])):
            what = key if key.endswith("s") else f"{key}s"
            raise ArtifactError(
                name, f"{what} exist from schema version {first} on; quantize or import again"
            )
    _check_neurons(manifest, size, name)
    port = manifest["input"]
    program = LoihiProgram(
        name=text(manifest["name"]),
        recipe=text(manifest["recipe"]),
        input=InputPort(
            text(port["name"]),
            fixed_point(port["format"]),
            taken(unused, port["low"], np.int32),
            taken(unused, port["high"], np.int32),
            taken(unused, port["gain"], np.float64),
            taken(unused, port["offset"], np.float64),
        ),
        populations=tuple(_population(p, unused) for p in listed(manifest["populations"])),
        connections=tuple(connection_of(c, unused) for c in listed(manifest["connections"])),
        output=text(manifest["output"]),
        schedule=Schedule(
            integer(manifest["schedule"]["period"]),
            {text(k): integer(v) for k, v in manifest["schedule"]["first_valid"].items()},
            integer(manifest["schedule"]["first_input"]),
            integer(manifest["schedule"]["interleave"]),
        ),
        timed=flag(manifest["timed"]),
        substeps=integer(manifest.get("substeps", 1)),
        provenance={text(k): text(v) for k, v in manifest["provenance"].items()},
        warnings=tuple(map(text, listed(manifest["warnings"]))),
        table=tuple(upgraded(dict(row.items())) for row in listed(manifest["table"])),
    )
    if unused:
        raise ArtifactError(name, f"holds arrays that its manifest does not name: {sorted(unused)}")
    return program


def _population(entry: Any, arrays: Arrays) -> Population:
    low, high = listed(entry["message_range"])
    return Population(
        name=text(entry["name"]),
        program=_neuron_program(entry["program"]),
        parameters={
            text(key): taken(arrays, value, np.int32) for key, value in entry["parameters"].items()
        },
        initial_state={
            text(key): taken(arrays, value, np.int32)
            for key, value in entry["initial_state"].items()
        },
        message=fixed_point(entry["message"]),
        message_low=integer(low),
        message_high=integer(high),
        size=integer(entry["size"]),
        ports=integer(entry.get("ports", 0)),
        **{
            part: taken(arrays, entry[part], np.float64)
            for part in ("scale", "offset")
            if part in entry
        },
    )


def _neuron_program(entry: Any) -> NeuronProgram:
    return NeuronProgram(
        name=text(entry["name"]),
        accumulators=tuple(map(text, listed(entry["accumulators"]))),
        parameters=tuple((text(n), integer(b)) for n, b in lists(entry["parameters"])),
        states=tuple((text(n), integer(b)) for n, b in lists(entry["states"])),
        instructions=tuple(
            Instruction(
                text(opcode),
                text(result),
                tuple(o if isinstance(o, str) else integer(o) for o in listed(operands)),
                None if shift is None else integer(shift),
            )
            for opcode, result, operands, shift in lists(entry["instructions"])
        ),
        bounds=tuple(
            Bound(
                text(word),
                None if low is None else integer(low),
                None if high is None else integer(high),
                text(proof),
                tuple(map(text, listed(of))),
            )
            for word, low, high, proof, of in lists(entry["bounds"])
        ),
        message_state=text(entry["message_state"]),
        saturations=tuple(
            Saturation(text(name), text(free), text(held), text(when))
            for name, free, held, when in lists(entry["saturations"])
        )
        if "saturations" in entry
        else None,
    )
