"""Weights that PyTorch stores in parts: weight norm, spectral norm, pruning.

Only what the arrays say by themselves is put together, as PyTorch does in evaluation; any other
parametrization computes what no file says, and its keys stay, for the importer to refuse by name.

Sources of the equations: PyTorch 2, torch/nn/utils/weight_norm.py, spectral_norm.py, prune.py and
parametrizations.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from lnn2loihi.converters.files.tensor import FloatArray, Tensor

_PARAMETRIZED = re.compile(r"((?:.*\.)?)parametrizations\.([^.]+)\.(.+)")
#: For each way to store a weight: what its parts end in, in the order of the function's arguments.
_OLD = {
    "weight norm": ("_g", "_v"),
    "pruning": ("_orig", "_mask"),
    "spectral norm": ("_orig", "_u", "_v"),
}
_NEW = {
    "weight norm": ("original0", "original1"),
    "spectral norm": ("original", "0._u", "0._v"),
}


def composed(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors with weights in place of their parts, and what was put together, for the
    network's source.
    """
    found = dict(tensors)
    said: dict[str, list[str]] = {}
    for key, how, parts in _stored(tensors):
        made = _made(how, [tensors[part] for part in parts])
        if made is None or key in tensors:
            continue
        for part in parts:
            del found[part]
        found[key] = made
        said.setdefault(how, []).append(key)
    notes = {f"computed from {how}": ", ".join(sorted(keys)[:12]) for how, keys in said.items()}
    return found, notes


def _stored(tensors: Mapping[str, Tensor]) -> list[tuple[str, str, list[str]]]:
    """Keys of weights that are stored in parts, how, and the keys of the parts."""
    found: list[tuple[str, str, list[str]]] = []
    parametrized: dict[tuple[str, str], set[str]] = {}
    for key in tensors:
        if match := _PARAMETRIZED.fullmatch(key):
            parametrized.setdefault((match[1], match[2]), set()).add(match[3])
            continue
        for how, ends in _OLD.items():
            if not key.endswith(ends[0]):
                continue
            base = key[: -len(ends[0])]
            parts = [base + end for end in ends]
            if all(part in tensors for part in parts):
                found.append((base, how, parts))
    for (owner, name), rests in parametrized.items():
        for how, ends in _NEW.items():
            if rests == set(ends):
                parts = [f"{owner}parametrizations.{name}.{end}" for end in ends]
                found.append((owner + name, how, parts))
    return found


def _made(how: str, parts: list[Tensor]) -> Tensor | None:
    """The weight, computed when it is read; None where the shapes are of something else."""
    whole = parts[1] if how == "weight norm" else parts[0]
    shape = whole.shape
    if whole.kind != "float" or any(part.kind == "other" for part in parts):
        return None
    compute: Callable[..., FloatArray]
    if how == "weight norm":
        if (axes := _axes_of(parts[0].shape, shape)) is None:
            return None
        compute = partial(_with_length, axes)
    elif how == "pruning":
        compute = np.multiply  # pyright: ignore[reportAssignmentType]
        if parts[1].shape != shape:
            return None
    else:
        compute = _of_norm_one
        if len(shape) != 2 or [part.shape for part in parts[1:]] != [shape[:1], shape[1:]]:
            return None

    def read() -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):  # what comes of it is refused
            return compute(*(part.read() for part in parts))

    return Tensor(whole.dtype, shape, "float", read)


def _with_length(axes: tuple[int, ...], length: FloatArray, direction: FloatArray) -> FloatArray:
    norm = np.sqrt(np.sum(direction * direction, axis=axes, keepdims=length.ndim > 0))
    return direction * (length / norm)


def _of_norm_one(weight: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    return weight / (u @ weight @ v)


def _axes_of(lengths: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Over which axes of a direction its length was taken; None where it is no length of it."""
    if lengths == ():
        return tuple(range(len(shape)))
    if len(lengths) != len(shape):
        return None
    kept = [n for n, length in enumerate(lengths) if length != 1]
    if len(kept) > 1 or any(lengths[n] != shape[n] for n in kept):
        return None
    # One length for a matrix of one row: the axis does not matter.
    kept = kept or [next((n for n, length in enumerate(shape) if length == 1), -1)]
    return None if kept == [-1] else tuple(n for n in range(len(shape)) if n not in kept)
