"""Ways to damage a file: of bytes, and of what stands in it where a format keeps checksums."""

from __future__ import annotations

import io
import json
import random
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

#: Numbers at which parsers break.
INTEGERS = (
    0, 1, -1, 2, 7, 8, 16, 127, 128, 255, 256, 4096, 65535, 65536, 1 << 20, (1 << 31) - 1, 1 << 31,
    (1 << 32) - 1, 1 << 32, 1 << 40, (1 << 62), (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 31),
    -(1 << 63), 10**30,
)  # fmt: skip
TEXTS = (
    "",
    "\0",
    "a",
    "A" * 5000,
    "../../etc/passwd",
    "nan",
    "é\u202e\n",
    "{}",
    "%s%n",
    "[" * 3000,
)
REALS = (0.0, -0.0, 1e308, -1e308, 1e-320, float("inf"), float("nan"), 0.1)
_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")


def bytes_changed(content: bytes, rng: random.Random) -> bytes:
    """One to four edits of bytes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if not data:
            return bytes(data)
        place = rng.randrange(len(data))
        length = min(len(data) - place, 1 << rng.randrange(0, 10))
        kind = rng.randrange(7)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.randrange(256)
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length]
        elif kind == 4:
            width = rng.choice((2, 4, 8))
            number = rng.choice(INTEGERS) & ((1 << 8 * width) - 1)
            data[place : place + width] = number.to_bytes(width, rng.choice(("little", "big")))
        elif kind == 5:
            del data[place:]
        else:
            data[place:place] = bytes(rng.randrange(256) for _ in range(min(length, 64)))
    return bytes(data)


def text_changed(content: bytes, rng: random.Random) -> bytes:
    """A number, a word or a line of a text replaced, doubled or dropped."""
    kind = rng.randrange(4)
    if kind == 0 and (found := list(_NUMBER.finditer(content))):
        match = rng.choice(found)
        new = str(rng.choice(INTEGERS + REALS)).encode()
        return content[: match.start()] + new + content[match.end() :]
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    if kind == 1:
        lines[place:place] = [lines[rng.randrange(len(lines))]]
    elif kind == 2:
        del lines[place]
    else:
        words = re.split(rb"([=\[\]{},:\"' ]+)", lines[place])
        words[rng.randrange(len(words))] = rng.choice(TEXTS).encode("utf-8", "surrogatepass")
        lines[place] = b"".join(words)
    return b"\n".join(lines)


def value_changed(value: Any, rng: random.Random) -> Any:
    """A value of JSON with one place in it changed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        kind = rng.randrange(8)
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return {**value, rng.choice(TEXTS) if rng.random() < 0.5 else f"{key}_": value[key]}
        return {**value, key: value_changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        kind = rng.randrange(8)
        if kind == 0:
            return value[:place] + value[place + 1 :]
        if kind == 1:
            return value[:place] + value[place:] + value[place : place + 1]
        return [*value[:place], value_changed(value[place], rng), *value[place + 1 :]]
    return rng.choice(
        (rng.choice(INTEGERS), rng.choice(REALS), rng.choice(TEXTS), None, True, [], {}, [value],
         {"a": value}, value)
    )  # fmt: skip


def json_changed(content: bytes, rng: random.Random) -> bytes:
    """A JSON text with one place changed."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return bytes_changed(content, rng)
    return json.dumps(value_changed(value, rng)).encode("utf-8", "surrogatepass")


def safetensors_changed(content: bytes, rng: random.Random) -> bytes:
    """The header of a safetensors file changed, its length right again."""
    end = 8 + int.from_bytes(content[:8], "little")
    if not 8 < end <= len(content):
        return bytes_changed(content, rng)
    header = json_changed(content[8:end], rng)
    return len(header).to_bytes(8, "little") + header + content[end:]


def zip_changed(content: bytes, rng: random.Random) -> bytes:
    """One member of a zip archive changed, its checksums right again."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    except Exception:  # what an earlier mutation left is no archive
        return bytes_changed(content, rng)
    if not members:
        return bytes_changed(content, rng)
    place = rng.randrange(len(members))
    name, inner = members[place]
    kind = rng.randrange(6)
    if kind == 0:
        del members[place]
    elif kind == 1:
        members.append((name, bytes_changed(inner, rng)))
    elif kind == 2:
        members[place] = (rng.choice(TEXTS).replace("\0", "0") or "x", inner)
    else:
        members[place] = (name, bytes_changed(inner, rng))
    target = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w") as archive:
        warnings.simplefilter("ignore")  # a name twice, which is meant
        for name, inner in members:
            try:
                archive.writestr(name, inner)
            except (ValueError, UnicodeError):  # a name that does not fit
                continue
    return target.getvalue()


def message_changed(message: Any, rng: random.Random) -> None:
    """One field of a protobuf message changed, deep inside with high probability."""
    fields = [pair for pair in message.ListFields()]
    if not fields:
        return
    chosen: tuple[Any, Any] = rng.choice(fields)
    field, value = chosen
    if _repeated(value) and len(value):
        place = rng.randrange(len(value))
        kind = rng.randrange(8)
        if kind == 0:
            del value[place]
        elif kind == 1:
            value.append(value[place])
        elif hasattr(value[place], "ListFields"):
            message_changed(value[place], rng)
        else:
            value[place] = _scalar(value[place], rng)
    elif hasattr(value, "ListFields"):
        message_changed(value, rng)
    elif rng.random() < 0.2:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _scalar(value, rng))


def _repeated(value: Any) -> bool:
    return not hasattr(value, "ListFields") and not isinstance(value, (str, bytes, int, float))


def _scalar(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bytes):
        return bytes_changed(value or b"\0", rng)
    if isinstance(value, str):
        return rng.choice(TEXTS)
    return rng.choice(REALS if isinstance(value, float) else INTEGERS)


def onnx_changed(content: bytes, rng: random.Random) -> bytes:
    """One to three fields of an ONNX model changed."""
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception:  # what an earlier mutation left is no model
        return bytes_changed(content, rng)
    for _ in range(rng.randint(1, 3)):
        try:
            message_changed(model, rng)
        except (ValueError, TypeError, OverflowError):  # the field does not take that number
            continue
    try:
        return model.SerializeToString()
    except Exception:  # texts that are no UTF-8
        return bytes_changed(content, rng)


def spliced(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """The beginning of one file and the end of another."""
    other = rng.choice(others)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def hdf5_changed(content: bytes, rng: random.Random) -> bytes:
    """An array or text of an HDF5 file dropped, replaced, reshaped, or changed in one place; the
    file is written anew, so that everything else of it is sound.
    """
    import h5py
    import numpy as np

    from lnn2loihi.converters.files.hdf5 import read_hdf5

    try:
        found = read_hdf5(content, "a file")
        arrays: dict[str, Any] = {
            path: one.read() for path, one in found.arrays.items() if one.kind != "other"
        } | found.words
        path = rng.choice(sorted(arrays))
        value, kind = arrays.pop(path), rng.randrange(5)
        number = float(rng.choice((*INTEGERS, *REALS)))
        if kind == 1:
            arrays[path] = rng.choice((number, *TEXTS[2:]))
        elif kind == 2:
            arrays[path] = np.ravel(np.zeros(2) if isinstance(value, str) else value)[:-1]
        elif kind == 3:
            arrays[path] = np.full(rng.choice(((), (1,), (2, 3), (0,), (3, 2, 2, 2))), number)
        elif kind == 4 and not isinstance(value, str) and value.size:
            value = value.copy()
            value.flat[rng.randrange(value.size)] = number
            arrays[path] = value
        target = io.BytesIO()
        with h5py.File(target, "w") as file:
            for name, one in arrays.items():
                file[name] = one
        return target.getvalue()
    except Exception:  # what an earlier mutation left cannot be written again
        return bytes_changed(content, rng)
