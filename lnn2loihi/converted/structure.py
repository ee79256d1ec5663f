"""The arguments and the answer of a module: tuples, dicts and the like with tensors in them."""

from __future__ import annotations

import copy
import dataclasses
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from lnn2loihi.arrays import as_array
from lnn2loihi.converted.pieces import BATCH, TIME, AnyArray, ModuleInput, ValueName
from lnn2loihi.converted.sizes import Size
from lnn2loihi.errors import InputError, Problems

#: What a name of a value begins with: the argument that it is in.
_ROOT = re.compile(r"[^.\[]+")
#: Characters of a value that a message shows.
_SHOWN = 60


@dataclass(frozen=True, eq=False)
class Given:
    """Arguments, checked.

    Attributes:
        values: for each input its array.
        sizes: BATCH and TIME of the inputs, as far as they have them.
        as_tensor: makes of an array a tensor like those that were given, of a type by its name;
            None where none was.
    """

    values: dict[str, AnyArray]
    sizes: dict[str, int]
    as_tensor: Callable[[AnyArray, str | None], Any] | None


def with_tensors(
    structure: Any, tensor: Callable[[str], Any], sizes: Mapping[str, int] = MappingProxyType({})
) -> Any:
    """A structure with something in place of the names of values.

    Args:
        structure: as `ConvertedModule.answer`.
        tensor: gives what stands for a value, by its name.
        sizes: BATCH and TIME of the call, where numbers of the structure follow them.
    """
    if isinstance(structure, ValueName):
        return tensor(structure.name)
    if isinstance(structure, Size):
        return structure.at(sizes)
    if isinstance(structure, tuple):
        parts = [with_tensors(part, tensor, sizes) for part in structure]
        if hasattr(structure, "n_sequence_fields"):  # what torch.max and torch.sort answer with
            return type(structure)(parts)
        return type(structure)(*parts) if hasattr(structure, "_fields") else tuple(parts)
    if isinstance(structure, list):
        return [with_tensors(part, tensor, sizes) for part in structure]
    if dataclasses.is_dataclass(structure) and not isinstance(structure, type):
        names = [field.name for field in dataclasses.fields(structure) if field.init]
        made = {name: with_tensors(getattr(structure, name), tensor, sizes) for name in names}
        return dataclasses.replace(structure, **made)
    if isinstance(structure, Mapping):
        parts = {key: with_tensors(part, tensor, sizes) for key, part in structure.items()}
        if type(structure) is dict or not isinstance(structure, dict):
            return parts
        own = copy.copy(structure)  # of a class of the module's own, which may forbid `update`
        for key, part in parts.items():
            own[key] = part
        return own
    return structure


def places(structure: Any, place: str) -> Iterator[tuple[str, str]]:
    """Where values are in a structure, and their names: ("answer[0]", "y")."""
    if isinstance(structure, ValueName):
        yield place, structure.name
        return
    for inside, part in _parts(structure, place):
        yield from places(part, inside)


def tensors_at(structure: Any, actual: Any, place: str) -> Iterator[tuple[str, Any]]:
    """What an actual answer has in the places of values: ("answer[0]", tensor).

    Raises:
        InputError: it has another structure.
    """
    if isinstance(structure, ValueName):
        yield place, actual
        return
    own, other = list(_parts(structure, place)), list(_parts(actual, place))
    if [inside for inside, _ in own] != [inside for inside, _ in other]:
        raise InputError(
            place,
            f"is {_described(actual)}, and was {_described(structure)} when the module was "
            "converted; convert it again",
        )
    for (inside, part), (_, found) in zip(own, other, strict=True):
        yield from tensors_at(part, found, inside)


def _parts(structure: Any, place: str) -> Iterator[tuple[str, Any]]:
    """What a structure holds, and where."""
    if isinstance(structure, (tuple, list)):
        names = getattr(structure, "_fields", None)
        for number, part in enumerate(structure):
            yield (f"{place}.{names[number]}" if names else f"{place}[{number}]"), part
    elif isinstance(structure, Mapping):
        for key, part in structure.items():
            yield f"{place}[{key!r}]", part
    elif isinstance(structure, Size):
        return
    elif dataclasses.is_dataclass(structure) and not isinstance(structure, type):
        for field in dataclasses.fields(structure):
            if field.init:
                yield f"{place}.{field.name}", getattr(structure, field.name)


def given_arguments(
    subject: str,
    inputs: Sequence[ModuleInput],
    example: tuple[tuple[Any, ...], Mapping[str, Any]],
    args: Sequence[Any],
    keywords: Mapping[str, Any],
) -> Given:
    """The arrays of arguments, which have the structure of the example's.

    Args:
        subject: who takes them, for errors.
        inputs: what the module takes.
        example: positional arguments and keywords of the example, with names of values in them.
        args: what is given by position.
        keywords: what is given by name; what the example gave by position may come so, and what is
            no tensor may be left out.

    Raises:
        InputError: lists arguments that are missing or unknown, of another structure, shape or
            type, and numbers and texts that are not the example's.
    """
    leaves = given_leaves(subject, example, args, keywords)
    problems = Problems(InputError, subject)
    by_name = {one.name: one for one in inputs}
    values: dict[str, AnyArray] = {}
    sizes: dict[tuple[str, int], tuple[int, str]] = {}
    for name, leaf in leaves.items():
        try:
            values[name] = _array(by_name[name], leaf, sizes)
        except InputError as error:
            problems.extend(f"{name} {problem}" for problem in error.problems)
    problems.raise_if_any()
    tensor = next((leaf for leaf in leaves.values() if _is_tensor(leaf)), None)
    known: dict[str, int] = {}
    for (axis, _), (size, _) in sizes.items():
        known.setdefault(axis, size)
    return Given(values, known, None if tensor is None else _like(tensor))


def given_leaves(
    subject: str,
    example: tuple[tuple[Any, ...], Mapping[str, Any]],
    args: Sequence[Any],
    keywords: Mapping[str, Any],
) -> dict[str, Any]:
    """What stands in the places of tensors, by the name of the value, as it was given; arguments
    and errors as of `given_arguments`, but for shapes and types.
    """
    problems = Problems(InputError, subject)
    pairs = _bound(example, args, keywords, problems)
    problems.raise_if_any()
    leaves: dict[str, Any] = {}
    for name, structure, value in pairs:
        _match(structure, value, name, leaves, problems)
    problems.raise_if_any()
    return leaves


def _bound(
    example: tuple[tuple[Any, ...], Mapping[str, Any]],
    args: Sequence[Any],
    keywords: Mapping[str, Any],
    problems: Problems,
) -> list[tuple[str, Any, Any]]:
    """Names of arguments, what the example had there, and what is given."""
    positional, named = example
    names = [_root(part, f"argument {place}") for place, part in enumerate(positional)]
    left = dict(keywords)
    found: list[tuple[str, Any, Any]] = []
    for place, (name, structure) in enumerate(zip(names, positional, strict=True)):
        if place < len(args):
            if name in left:
                problems.add(f"{name} is given twice, by position and by name")
                del left[name]
            found.append((name, structure, args[place]))
        elif name in left:
            found.append((name, structure, left.pop(name)))
        elif any(places(structure, name)):
            problems.add(f"{name} is missing")
    others = {name: part for name, part in named.items() if name not in left}
    more = args[len(positional) :]
    tensors = [name for name, part in others.items() if any(places(part, name))]
    if len(more) == 1 and len(tensors) == 1:  # no doubt which one it is
        found.append((tensors[0], others.pop(tensors[0]), more[0]))
    elif more:
        wanted = f"; give {', '.join(others)} by name" if others else ""
        problems.add(
            f"{len(args)} arguments by position, the example had {len(positional)}{wanted}"
        )
    for name, structure in others.items():
        if any(places(structure, name)):
            problems.add(f"{name} is missing")
    for name, value in left.items():
        if name in named:
            found.append((name, named[name], value))
        else:
            known = ", ".join((*names, *named)) or "none"
            problems.add(f"there is no argument {name!r:.60} in the example that it was converted "
                         f"with; there are {known}")  # fmt: skip
    return found


def _root(structure: Any, otherwise: str) -> str:
    """The name of an argument, which the names of the values in it begin with."""
    for _, name in places(structure, ""):
        root = _ROOT.match(name)
        return root[0] if root else otherwise
    return otherwise


def _match(
    structure: Any, value: Any, place: str, leaves: dict[str, Any], problems: Problems
) -> None:
    """Puts what stands in the places of tensors into `leaves`."""
    if isinstance(structure, ValueName):
        if value is None:
            problems.add(f"{place} is None, the example had an array there")
        leaves[structure.name] = value
        return
    own = list(_parts(structure, place))
    if own or isinstance(structure, (tuple, list, Mapping)):
        order = list(_parts(value, place))
        by_place = dict(order)
        listed = isinstance(structure, (tuple, list))
        alike = isinstance(value, (tuple, list)) == listed and len(order) == len(own)
        if not alike or not (listed or by_place.keys() == dict(own).keys()):
            problems.add(f"{place} is {_described(value)}, expected {_described(structure)}")
            return
        for number, (inside, part) in enumerate(own):
            found = order[number][1] if listed else by_place[inside]
            _match(part, found, inside, leaves, problems)
    elif not _same(structure, value):
        problems.add(
            f"{place} is {value!r:.{_SHOWN}}, and was {structure!r:.{_SHOWN}} when the module was "
            "converted, which may decide what it does; convert it with this one"
        )


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # whatever the == of a stranger raises
        return False


def _described(value: Any) -> str:
    """What a structure is, for people."""
    if isinstance(value, ValueName):
        return "an array"
    if isinstance(value, Mapping):
        keys = ", ".join(repr(key) for key in value)
        return f"a dict of {keys:.{_SHOWN}}" if keys else "an empty dict"
    if isinstance(value, (tuple, list)):
        fields = getattr(value, "_fields", None)
        kind = type(value).__name__ if fields else ("tuple" if isinstance(value, tuple) else "list")
        return f"a {kind} of {len(value)}"
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"an array of shape {tuple(shape)}"
    return f"of type {type(value).__qualname__}"


def shape_problems(
    wanted: ModuleInput, shape: tuple[int, ...], sizes: dict[tuple[str, int], tuple[int, str]]
) -> list[str]:
    """What is wrong with the shape of an input.

    Args:
        wanted: the input.
        shape: of what is given.
        sizes: for each axis that may vary and its size in the example the size that is given, and
            by whom; those of this input are added.
    """
    fits = len(shape) == len(wanted.shape) and all(
        axis is not None or own == size
        for axis, own, size in zip(wanted.axes, shape, wanted.shape, strict=True)
    )
    if not fits:
        expected = [axis or size for axis, size in zip(wanted.axes, wanted.shape, strict=True)]
        text = f"({', '.join(map(str, expected))}{',' * (len(expected) == 1)})"
        return [f"has shape {shape}, expected {text}"]
    if 0 in shape and all(wanted.shape):
        return [f"is empty (shape {shape}); give at least one sample"]
    found: list[str] = []
    for place, axis in enumerate(wanted.axes):
        if axis not in (BATCH, TIME):
            continue
        if axis in wanted.several and shape[place] == 1:
            found.append(
                f"has 1 along {axis}, with which the module does something else than with more; "
                "give at least 2, or convert it with such an example"
            )
        size, other = sizes.setdefault((axis, wanted.shape[place]), (shape[place], wanted.name))
        if size != shape[place]:
            found.append(f"has {shape[place]} along {axis} where {other} has {size}")
    return found


def _array(
    wanted: ModuleInput, value: Any, sizes: dict[tuple[str, int], tuple[int, str]]
) -> AnyArray:
    """The array of an input, in the type that the module computes with: float32, or the example's
    own where it holds integers or truth values.
    """
    array = as_array(value, wanted.name)
    problems = Problems(InputError, wanted.name)
    problems.extend(shape_problems(wanted, array.shape, sizes))
    kind = np.dtype(wanted.dtype).kind
    if kind == "f":
        array = array.astype(np.float32)
    elif array.dtype.kind not in ("b" if kind == "b" else "iub"):
        problems.add(f"is {array.dtype}, expected {wanted.dtype}")
    else:
        cast = array.astype(wanted.dtype)
        if not np.array_equal(cast, array):
            problems.add(f"holds numbers that {wanted.dtype} does not")
        array = cast
    problems.raise_if_any()
    return array


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "device")


def _like(tensor: Any) -> Callable[[AnyArray, str | None], Any]:
    """Makes tensors of PyTorch, which whoever has given one has imported."""
    torch, device = sys.modules["torch"], tensor.device

    def made(array: AnyArray, kind: str | None) -> Any:
        found = torch.from_numpy(np.array(array)).to(device)
        return found if kind is None else found.to(getattr(torch, kind))

    return made
