"""Checkpoints as named arrays: nothing in a file is executed, data are read when asked for.

Three formats: `.safetensors`, read here with NumPy alone (`safetensors.numpy` has no bfloat16),
what `torch.save` writes, under whatever suffix people give it (`torch_file`), and `.npz`, what
`np.savez` and MLX write (`npz`). Format of safetensors: an unsigned 64-bit little-endian length, a
JSON header of that length, then the data (https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lnn2loihi.converters.files.tensor import FloatArray, Tensor
from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.files import note_input, why_no_file

#: Longest JSON header of a safetensors file that is parsed: far more than MOST_TENSORS take, and
#: little enough that a hostile header cannot fill the memory.
HEADER_LIMIT = 8 << 20
#: Most tensors of a checkpoint: looking through their keys takes half a millisecond for each.
MOST_TENSORS = 1 << 13

#: Suffixes of files that `torch.save` wrote: PyTorch's own, PyTorch Lightning's, Hugging Face's,
#: and that of archives (.pth.tar).
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".tar")
#: Suffixes of checkpoints.
CHECKPOINTS = (*TORCH_SUFFIXES, ".safetensors", ".npz")

# NumPy types of the safetensors names; bfloat16 is handled apart.
_NUMPY_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|u1",
}


@dataclass(frozen=True)
class Checkpoint:
    """What was read of a file of weights.

    Attributes:
        tensors: by key, in the order of the file.
        notes: what was chosen, computed or passed over, for the network's source.
    """

    tensors: dict[str, Tensor]
    notes: dict[str, str]


def read_checkpoint(path: Path, state: str | None = None) -> Checkpoint:
    """Opens a checkpoint by its suffix.

    Weights that are stored in parts (weight norm, spectral norm, pruning) are put together, and
    `_orig_mod`, which torch.compile puts into keys, is taken out of them.

    Args:
        path: a file with one of the suffixes of CHECKPOINTS.
        state: which of several states in it is meant; None for the only one.

    Raises:
        ImportNetworkError: the file is absent, of another kind, damaged, truncated or hostile.
        BackendMissingError: a `.pt` file, and PyTorch is not installed.
    """
    from lnn2loihi.converters.files.composed import composed
    from lnn2loihi.converters.files.wrappers import without_compiled

    if not path.is_file():
        raise ImportNetworkError(str(path), why_no_file(path))
    note_input(path)
    if path.stat().st_size == 0:
        raise ImportNetworkError(str(path), "the file is empty; save the checkpoint again")
    suffix = path.suffix.lower()
    notes: dict[str, str] = {}
    plain = suffix == ".safetensors" or (suffix in TORCH_SUFFIXES and is_safetensors(path))
    if plain or suffix == ".npz":
        if state is not None:
            raise ImportNetworkError(
                str(path), f"state = {state!r:.80} goes with files of torch.save; leave it out"
            )
        if suffix == ".npz":
            from lnn2loihi.converters.files.npz import read_npz

            tensors, notes = read_npz(path)
        else:
            tensors = read_safetensors(path)
    elif suffix in TORCH_SUFFIXES:
        from lnn2loihi.converters.files.torch_file import read_torch

        found = read_torch(path, state)
        tensors, notes = found.tensors, found.notes
    else:
        raise ImportNetworkError(
            str(path), f"the suffix is {suffix!r}; a checkpoint ends in {', '.join(CHECKPOINTS)}"
        )
    tensors, said = composed(without_compiled(tensors))
    return Checkpoint(tensors, notes | said)


def is_safetensors(path: Path) -> bool:
    """Whether a file of another suffix is one, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Opens a safetensors file without PyTorch; every claim of its header is checked first.

    Raises:
        ImportNetworkError: lists what does not fit, for instance a header that claims more bytes
            than the file holds.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ImportNetworkError(
                str(path),
                f"it is truncated or no safetensors file: its header claims {length} bytes but "
                f"the file holds {max(size - 8, 0)} after the length; save or copy it again",
            )
        if length > HEADER_LIMIT:
            raise ImportNetworkError(
                str(path),
                f"its header has {length} bytes, the limit of lnn2loihi is {HEADER_LIMIT}; save "
                "the state_dict of the liquid network alone",
            )
        header = _parse_header(file.read(length), path)
    if len(header) > MOST_TENSORS + 1:  # and what it says of itself
        raise too_many(path, len(header))
    data_start, data_size = 8 + length, size - 8 - length
    problems = Problems(ImportNetworkError, str(path))
    tensors: dict[str, Tensor] = {}
    ends = [0]
    for key, entry in header.items():
        problem = _entry_problem(entry, data_size)
        if problem:
            problems.add(f"tensor {key!r} {problem}")
            continue
        begin, end = entry["data_offsets"]
        ends.append(end)
        tensors[key] = _stored_tensor(path, data_start + begin, entry["dtype"], entry["shape"])
    if not problems and max(ends) != data_size:
        problems.add(
            f"its tensors end at byte {max(ends)} of the data but the file holds {data_size}; "
            "the file is damaged, save or copy it again"
        )
    problems.raise_if_any()
    return tensors


def _parse_header(text: bytes, path: Path) -> dict[str, Any]:
    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key occurs twice")
        return found

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise ImportNetworkError(
            str(path), f"its header is not JSON ({error}); it is damaged or no safetensors file"
        ) from error
    if not isinstance(header, dict):
        raise ImportNetworkError(str(path), "its header is not a table of tensors")
    header.pop("__metadata__", None)
    return header


def _entry_problem(entry: Any, data_size: int) -> str | None:
    """What is wrong with one entry of the header, or None."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        return "has no dtype, shape and data_offsets in the header; the file is damaged"
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _whole_numbers(shape, 16) or not _whole_numbers(offsets, 2) or len(offsets) != 2:
        return f"has shape {shape!r:.60} at {offsets!r:.60}; expected lists of whole numbers"
    if not isinstance(entry["dtype"], str):
        return "has a dtype that is not a name; the file is damaged"
    begin, end = offsets
    if not begin <= end <= data_size:
        return (
            f"claims bytes {begin} to {end} but the file holds {data_size} bytes of data; "
            "it is truncated or damaged, save or copy it again"
        )
    width = _item_size(entry["dtype"])
    if width is not None and math.prod(shape) * width != end - begin:
        return f"has shape {shape} of {entry['dtype']} but {end - begin} bytes; it is damaged"
    return None


def _whole_numbers(values: Any, at_most: int) -> bool:
    # The limits keep the product of a hostile shape cheap to compute.
    return (
        isinstance(values, list)
        and len(values) <= at_most
        and all(type(value) is int and 0 <= value < 1 << 63 for value in values)
    )


def _item_size(dtype: str) -> int | None:
    if dtype == "BF16":
        return 2
    return np.dtype(_NUMPY_TYPES[dtype]).itemsize if dtype in _NUMPY_TYPES else None


def _stored_tensor(path: Path, offset: int, dtype: str, shape: list[int]) -> Tensor:
    numpy_type = "<u2" if dtype == "BF16" else _NUMPY_TYPES.get(dtype)

    def read() -> FloatArray:
        if numpy_type is None:
            raise ImportNetworkError(str(path), f"elements of type {dtype} cannot be read")
        count = math.prod(shape)
        with path.open("rb") as file:
            file.seek(offset)
            raw = np.fromfile(file, dtype=numpy_type, count=count)
        if raw.size != count:
            raise ImportNetworkError(str(path), "the file became shorter while it was read")
        if dtype == "BF16":
            # bfloat16 is the upper half of a float32.
            raw = (raw.astype("<u4") << 16).view("<f4")
        return raw.reshape(shape).astype(np.float64)

    kind: Literal["float", "integer", "other"] = "other"
    if numpy_type is not None:
        kind = "float" if dtype in ("F64", "F32", "F16", "BF16") else "integer"
    return Tensor(dtype, tuple(shape), kind, read)


def too_many(path: Path, count: int) -> ImportNetworkError:
    """The refusal of a file of too many tensors."""
    return ImportNetworkError(
        str(path),
        f"it holds {count:,} tensors, the limit of lnn2loihi is {MOST_TENSORS:,}; save the "
        "state_dict of the liquid network alone",
    )
