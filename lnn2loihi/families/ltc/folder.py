"""Imports folders of CSV files that `export_weights` of the original LTC writes (TensorFlow 1).

    network = import_network("weights/")                          # with input_w.csv and input_b.csv
    network = import_network("weights/", input_mapping="none")

`export_weights` leaves out the map of the inputs, which is trained like all else: a folder is
complete only with `input_w.csv` and `input_b.csv` beside the others. Where that map was switched
off, or never trained, `input_mapping="none"` says so.

The files are what `np.savetxt` writes: `w`, `erev`, `mu`, `sigma`, the same with `sensory_` before,
`vleak`, `gleak`, `cm`, and where there is a Dense after the LTC `output_w` and `output_b`.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.files.arrays import ELEMENT_LIMIT, Arrays
from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.converters.provenance import with_source
from lnn2loihi.errors import ImportNetworkError, NetworkError, Problems
from lnn2loihi.families.ltc.original import (
    SOLVER,
    SYNAPSES,
    UNITS,
    original_layer,
    taken,
)
from lnn2loihi.files import note_input, why_no_folder
from lnn2loihi.layers.linear import Linear
from lnn2loihi.network import LiquidNetwork

#: Bytes of the largest file: numbers take up to 25 characters.
LARGEST_FILE = 25 * ELEMENT_LIMIT // 16
#: All files that such a folder may hold, and those by which it is known.
_CELL = (*SYNAPSES, *(f"sensory_{name}" for name in SYNAPSES), *UNITS)
_BESIDE = ("input_w", "input_b", "output_w", "output_b")
_KNOWN = ("sensory_mu", "erev", "gleak")
#: What the files that are left out would be written by.
_LINES = (
    'np.savetxt("input_w.csv", sess.run("rnn/ltc/sensory_mapping/input_w:0")) and the same with '
    "input_b"
)


class LTCFolderImporter:
    """Entry point `ltc_folder` of the group `lnn2loihi.importers`."""

    def recognises(self, source: object) -> bool:
        """Whether it is a folder with files of such an LTC."""
        if not isinstance(source, (str, os.PathLike)):
            return False
        folder = Path(source)
        return folder.is_dir() and all((folder / f"{name}.csv").is_file() for name in _KNOWN)

    @checks_kinds(ImportNetworkError)
    def load(
        self,
        source: object,
        *,
        timespan: float | None = None,
        name: str | None = None,
        input_mapping: Literal["none"] | None = None,
    ) -> LiquidNetwork:
        """Turns a folder into a LiquidNetwork.

        Args:
            source: its path.
            timespan: 1.0, or None: this LTC takes no elapsed time.
            name: name of the network; else the folder's.
            input_mapping: "none" where its inputs were not mapped; else the folder has to hold the
                map.

        Raises:
            ImportNetworkError: lists everything that is absent, damaged or contradictory.
        """
        folder = Path(str(source))
        if not folder.is_dir():
            raise ImportNetworkError(str(source), why_no_folder(folder))
        problems = Problems(ImportNetworkError, str(folder))
        if timespan not in (None, 1.0):
            problems.add(f"timespan is {timespan}, but the original LTC takes no elapsed time")
        held = {one.stem for one in folder.iterdir() if one.suffix == ".csv"}
        state: dict[str, Tensor] = {}
        unread: list[str] = []
        for stem in sorted(held & {*_CELL, *_BESIDE}):
            try:
                state[stem] = _read(folder / f"{stem}.csv", stem)
            except (ValueError, OSError) as error:
                unread.append(f"the key {stem} is missing")
                problems.add(f"{stem}.csv cannot be read as numbers ({error!s:.160})")
        arrays = Arrays(state, "")
        cell = taken(arrays, {})
        inputs, units = cell["sensory_w"].shape
        maps = [np.ones(inputs), np.zeros(inputs)]
        for place, key in enumerate(("input_w", "input_b")):
            if key in held:
                maps[place] = arrays.take(key, inputs, 0)
        problems.extend(_mapping_problems(held, input_mapping))
        readout = None
        if {"output_w", "output_b"} & held:
            kernel = arrays.take("output_w", units, None)
            readout = Linear("readout", kernel.T, arrays.take("output_b", kernel.shape[1], 0))
        problems.extend(
            one.replace("the key ", "the file ").replace(" is missing", ".csv is missing")
            for one in arrays.problems
            if one not in unread
        )
        problems.raise_if_any()
        passed = sorted(held - {*_CELL, *_BESIDE})
        notes = {"passed over": ", ".join(f"{stem}.csv" for stem in passed)} if passed else {}
        if input_mapping is not None:
            notes["input mapping"] = "none, as whoever imported it said"
        try:
            network = LiquidNetwork(
                name or folder.resolve().name, (original_layer(cell, *maps),), readout
            )
        except NetworkError as error:
            raise ImportNetworkError(str(folder), error.problems) from error
        source_of = {"importer": "ltc_folder", "file": folder.resolve().name, "solver": SOLVER}
        return with_source(network, source_of | notes)


def _mapping_problems(held: set[str], said: str | None) -> list[str]:
    """Whether the map of the inputs is there, or said to be none."""
    there = {"input_w", "input_b"} & held
    if said not in (None, "none"):
        return [f"input_mapping is {said!r:.60}; it can only be 'none', or left out"]
    if said == "none":
        return [f"it holds {' and '.join(sorted(there))}, so input_mapping is not 'none'"] * bool(
            there
        )
    missing = sorted({"input_w", "input_b"} - there)
    if not missing:
        return []
    return [
        f"it holds no {' and no '.join(f'{one}.csv' for one in missing)}: export_weights leaves "
        "the map of the inputs out, though it is trained, and without it the network is another "
        "one. "
        f"Write {_LINES} where TensorFlow is; or, if that map stayed 1 and 0, say "
        'input_mapping = "none" (at the command line --option input_mapping=none)'
    ]


def _read(path: Path, stem: str) -> Tensor:
    """The numbers of one file: a matrix, or a vector with one number a line.

    Raises:
        ValueError: they are none, or too many.
    """
    if not path.is_file():
        raise ValueError("it is no regular file")
    note_input(path)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ValueError(f"it has {size} bytes, the limit of lnn2loihi is {LARGEST_FILE}")
    text = path.read_text("utf-8")
    if not text.strip():
        raise ValueError("it is empty")
    commas = "," if "," in text else None
    table: Any = np.loadtxt(io.StringIO(text), delimiter=commas, ndmin=2, comments=None)
    array: FloatArray = table if stem in ("output_w",) or _is_synapse(stem) else table.reshape(-1)
    return Tensor("float64", array.shape, "float", lambda: array)


def _is_synapse(stem: str) -> bool:
    return stem.removeprefix("sensory_") in SYNAPSES
