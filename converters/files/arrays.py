"""The arrays of a state_dict, asked for by key; everything that is wrong with them is collected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from lnn2loihi.converters.files.tensor import FloatArray, Tensor

#: Most elements of one array that are read: more weights than a whole Loihi 2 chip has room for.
ELEMENT_LIMIT = 1 << 27
#: What to do about keys that are not those of the module.
UNDO = (
    "undo parametrizations and pruning first (torch.nn.utils.parametrize.remove_parametrizations, "
    "torch.nn.utils.prune.remove)"
)


def listing(names: Iterable[str]) -> str:
    """Some names in order, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - 12} more" if len(ordered) > 12 else ""
    return ", ".join(f"{name:.120}" for name in ordered[:12]) + more


def key_problems(
    prefix: str, missing: Iterable[str], extra: Iterable[str], module: str
) -> list[str]:
    """Keys under a prefix that are missing, and those that a module does not have."""
    absent, others = ([prefix + key for key in keys] for keys in (missing, extra))
    found = [f"keys are missing: {listing(absent)}"] if absent else []
    if others:
        found.append(f"keys that an {module} does not have: {listing(others)}; {UNDO}")
    return found


def array_problems(
    key: str, tensor: Tensor, is_mask: bool, arrays: dict[str, FloatArray]
) -> list[str]:
    """Wrong types and values of one array; a readable array is added to `arrays`."""
    if tensor.kind != "float" and not (is_mask and tensor.kind == "integer"):
        return [f"{key} is {tensor.dtype}, expected float64, float32, float16 or bfloat16"]
    if 0 in tensor.shape:
        return [f"{key} is empty (shape {tensor.shape})"]
    elements = int(np.prod([float(length) for length in tensor.shape]))
    if elements > ELEMENT_LIMIT:
        return [f"{key} has {elements} elements, the limit of lnn2loihi is {ELEMENT_LIMIT}"]
    array = arrays[key] = tensor.read()
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        return [
            f"{key} holds {bad} NaN or infinite of {array.size} values; the training diverged "
            "or the file is damaged"
        ]
    return []


class Arrays:
    """The arrays of a state_dict under a prefix, asked for by key; what is wrong is collected.

    Args:
        state: the tensors by key.
        prefix: what stands before the keys.

    Attributes:
        problems: everything that is wrong so far.
    """

    def __init__(self, state: Mapping[str, Tensor], prefix: str) -> None:
        self._own = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
        self._prefix = prefix
        self._taken: set[str] = set()
        self._found: dict[str, FloatArray] = {}
        self.problems: list[str] = []
        #: Whether somebody has asked for the keys that nobody took.
        self.closed = False
        if (made := _MADE.get()) is not None:
            made.append(self)

    @property
    def keys(self) -> list[str]:
        """The keys without their prefix."""
        return list(self._own)

    def take(self, key: str, rows: int | None = None, columns: int | None = None) -> FloatArray:
        """An array of a shape, None being any; one of zeros where something is wrong with it.

        Args:
            key: its key without the prefix.
            rows: its rows, or its elements.
            columns: its columns; 0 for an array of one axis.
        """
        return self.take_shaped(key, *((rows,) if columns == 0 else (rows, columns)))

    def take_shaped(self, key: str, *wanted: int | None) -> FloatArray:
        """The same of an array of any number of axes, the size of each being given."""
        self._taken.add(key)
        blank = np.zeros([1 if n is None else n for n in wanted])
        if key not in self._own:
            self.problems.append(f"the key {self._prefix + key} is missing")
            return blank
        tensor = self._own[key]
        fits = len(tensor.shape) == len(wanted) and all(
            n in (None, m) for n, m in zip(wanted, tensor.shape, strict=True)
        )
        if not fits:
            said = ", ".join("any" if n is None else str(n) for n in wanted)
            self.problems.append(
                f"{self._prefix + key} has shape {tensor.shape}, expected ({said})"
            )
            return blank
        found = array_problems(self._prefix + key, tensor, False, self._found)
        self.problems += found
        return blank if found else self._found[self._prefix + key]

    def shape(self, key: str) -> tuple[int, ...] | None:
        """The shape of an array, which is not read; None where there is no such key."""
        return self._own[key].shape if key in self._own else None

    def skip(self, key: str) -> None:
        """Takes a key whose array means nothing, and is not read."""
        self._taken.add(key)

    def take_whole(self, key: str) -> int:
        """A whole number from 0 on, stored alone; 0 where something is wrong with it."""
        self._taken.add(key)
        tensor = self._own.get(key)
        if tensor is None:
            self.problems.append(f"the key {self._prefix + key} is missing")
            return 0
        if tensor.kind != "integer" or tensor.shape not in ((), (1,)):
            self.problems.append(
                f"{self._prefix + key} is {tensor.dtype} of shape {tensor.shape}, expected one "
                "whole number"
            )
            return 0
        value = int(tensor.read().ravel()[0])
        if value < 0:
            self.problems.append(f"{self._prefix + key} is {value}, expected a number from 0 on")
        return max(value, 0)

    def refuse_others(self, module: str, readout: str | None = None) -> None:
        """Notes keys that were not asked for and do not begin with `readout`."""
        self.closed = True
        self.problems += unknown_keys(self.left, module, readout)

    @property
    def left(self) -> set[str]:
        """Whole keys that were not asked for."""
        return {self._prefix + key for key in self._own if key not in self._taken}

    @property
    def taken(self) -> set[str]:
        """Whole keys that were asked for."""
        return {self._prefix + key for key in self._taken}


_MADE: ContextVar[list[Arrays] | None] = ContextVar("_MADE", default=None)


@contextmanager
def watched() -> Iterator[list[Arrays]]:
    """All that are made inside, so that whoever calls an importer sees what it forgets to say."""
    made: list[Arrays] = []
    before = _MADE.set(made)
    try:
        yield made
    finally:
        _MADE.reset(before)


def forgotten(
    made: Iterable[Arrays], said: Iterable[str], module: str, readout: str | None
) -> list[str]:
    """What is wrong with arrays that were asked for, and was not said; and keys that nobody asked
    for, where nobody has looked for these.
    """
    known = [*said]
    found = [problem for arrays in made for problem in arrays.problems if problem not in known]
    if not any(arrays.closed for arrays in made):
        taken = {key for arrays in made for key in arrays.taken}
        left = {key for arrays in made for key in arrays.left}
        found += unknown_keys(left - taken, module, readout)
    return list(dict.fromkeys(found))


def unknown_keys(keys: Iterable[str], module: str, readout: str | None) -> list[str]:
    """The problem of keys that nobody asked for and that do not begin with `readout`, if any."""
    others = [key for key in keys if not (readout and key.startswith(readout))]
    if not others:
        return []
    return [
        f"keys that a {module} does not have: {listing(others)}; {UNDO}; where other parts of a "
        'larger module are meant, say prefix = "..." and readout = "..."'
    ]
