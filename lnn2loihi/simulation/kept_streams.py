"""What streams keep from sample to sample, and files of it: JSON, checked when it is read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lnn2loihi.artifact import fingerprint
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.files import read_text, write_atomically
from lnn2loihi.formats import IntegerArray
from lnn2loihi.program import LoihiProgram
from lnn2loihi.simulation.inputs import full_initial_state
from lnn2loihi.simulation.result import SaturationCounts

FORMAT, SCHEMA = "lnn2loihi stream", 1
#: Bytes that a number, or all of the rest, may have in a file: 20 digits and what parts them.
_A_NUMBER, _THE_REST = 32, 1 << 16


@dataclass
class Kept:
    """All that a stream needs to go on: of one sequence, or with the batch as the first axis.

    Attributes:
        state: for each population and state word (neurons,), or (1, neurons).
        saturated: input values out of range, (channels of the port,).
        saturated_words: see `SimulationResult`.
        integers: messages of the last answer, (outputs,).
        steps, missed: samples that were run, and that did not come.
        waiting: elapsed time that the next sample adds to its own.
        last: the last sample, where it may be held; None where there is none.
        encoded: whether samples are encoded messages.
    """

    state: Mapping[str, Mapping[str, npt.NDArray[Any]]]
    saturated: IntegerArray
    saturated_words: SaturationCounts | None
    integers: IntegerArray
    steps: Any = 0
    missed: Any = 0
    waiting: Any = 0.0
    last: npt.NDArray[Any] | None = None
    encoded: bool = False


def write_kept(program: LoihiProgram, kept: Kept, path: str | os.PathLike[str]) -> Path:
    """Writes what a stream keeps.

    Raises:
        InputError: there can be no file of that name, or what stands there is something else.
    """
    document = {
        "format": FORMAT, "schema": SCHEMA, "program": fingerprint(program),
        **{field.name: _plain(getattr(kept, field.name)) for field in fields(Kept)},
    }  # fmt: skip
    try:
        return write_atomically(path, json.dumps(document).encode())
    except OSError as error:
        raise InputError(
            str(path), f"cannot be written: {error.strerror or error}; give another file"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def read_kept(program: LoihiProgram, path: str | os.PathLike[str], like: Kept) -> Kept:
    """Reads what a stream kept.

    Args:
        program: what it has to be of.
        path: the file.
        like: what a stream keeps now that wants to go on from it.

    Raises:
        InputError: the file is missing, too large, no such file, of another program, or does not
            fit the stream; lists what does not.
    """
    name = Path(path).name
    document = _document(path, name, like)
    if document.get("program") != fingerprint(program):
        raise InputError(name, "is of a stream of another program; open a stream of that one")
    if document.get("encoded") is not like.encoded:
        now, then = ("of encoded messages", "of samples")[:: 1 if like.encoded else -1]
        raise InputError(name, f"is of a stream {then}, this is one {now}; open one with encoded=")
    problems = Problems(InputError, name)
    found = {
        field.name: _checked(
            document.get(field.name), getattr(like, field.name), field.name, problems
        )
        for field in fields(Kept)
        if field.name not in ("encoded", "last", "saturated_words")
    }
    last = document.get("last")
    if last is not None:
        shape = (*np.shape(like.steps), program.channels)
        dtype = np.int64 if like.encoded else np.float64
        last = _checked(last, np.zeros(shape, dtype), "last", problems)
    words = document.get("saturated_words")
    if words is not None and like.saturated_words is not None:
        words = _checked(words, like.saturated_words, "saturated_words", problems)
    output, ends = program.output_population, np.iinfo(np.int32)
    _check_ends("integers", found["integers"], output.message_low, output.message_high, problems)
    if last is not None and like.encoded:
        _check_ends("last", last, ends.min, ends.max, problems)
    problems.raise_if_any()
    kept = replace(like, **found, last=last, saturated_words=words)
    full_initial_state(program, max(np.size(like.steps), 1), kept.state)
    return kept


def _check_ends(
    place: str, values: npt.NDArray[Any], low: int, high: int, problems: Problems
) -> None:
    if not ((low <= values) & (values <= high)).all():
        problems.add(f"{place} leaves [{low}, {high}]")


def _document(path: str | os.PathLike[str], name: str, like: Kept) -> dict[str, Any]:
    numbers = sum(map(_count, vars(like).values()))
    text = read_text(path, InputError, _THE_REST + _A_NUMBER * (numbers + np.size(like.integers)))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(name, f"is not valid JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(name, "is no saved stream; stream.save(path) writes one")
    if document.get("schema") != SCHEMA:
        raise InputError(
            name, f"has schema {document.get('schema')!r:.40}, this version reads {SCHEMA}"
        )
    return document


def _count(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_count, value.values()))
    return int(np.size(value))


def _checked(value: Any, like: Any, place: str, problems: Problems) -> Any:
    """A value of the same names, shapes and kinds as what is there now."""
    if isinstance(like, Mapping):
        if not isinstance(value, dict) or value.keys() != like.keys():
            problems.add(f"{place} has other names than {', '.join(like) or 'none'}")
            return like
        return {n: _checked(value[n], part, f"{place}.{n}", problems) for n, part in like.items()}
    wanted = np.asarray(like)
    try:
        found = np.asarray(value)
    except (ValueError, OverflowError):  # ragged, or beyond every type
        found = np.empty(0, object)
    whole = wanted.dtype.kind in "iu"
    if found.shape != wanted.shape or (
        found.size and found.dtype.kind not in ("iu" if whole else "iuf")
    ):
        kind = "whole numbers" if whole else "numbers"
        problems.add(f"{place} is not {kind} of shape {wanted.shape}")
        return like
    counts = place.partition(".")[0] not in ("state", "integers", "last")
    if not np.isfinite(found).all() or (counts and found.size and found.min() < 0):
        problems.add(f"{place} holds values that are no finite numbers, or counts below 0")
        return like
    if whole and found.dtype.kind == "u" and found.size and found.max() > np.iinfo(np.int64).max:
        problems.add(f"{place} holds whole numbers beyond 64 bits")
        return like
    made = found.astype(wanted.dtype)
    return made if isinstance(like, np.ndarray) else type(like)(made)
