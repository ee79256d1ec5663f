"""A converted module as plain values and arrays, and back, checked as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn2loihi.converted.onnx_host import OnnxFunction
from lnn2loihi.converted.pieces import (
    BATCH,
    FEATURES,
    TIME,
    ChipPart,
    ChipPort,
    HostPart,
    ModuleInput,
    StatePort,
)
from lnn2loihi.converted.structure_file import from_plain, to_plain
from lnn2loihi.manifest_values import listed, text
from lnn2loihi.printable import is_line
from lnn2loihi.program import LoihiProgram
from lnn2loihi.quantization.state_words import StateWord
from lnn2loihi.version import VERSION

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

Arrays = dict[str, np.ndarray]
#: Types that arrays of examples have in files.
_KINDS = "biuf"
#: Floating-point types that answers may have beside float32.
_TYPES = ("float64", "float16", "bfloat16")
_MEANINGS = (BATCH, TIME, FEATURES)
LARGEST_COUNT = 1 << 62


def plain_module(
    converted: ConvertedModule, arrays: Arrays, problems: list[str], with_example: bool
) -> dict[str, Any]:
    """A module, without its programs and host functions.

    Args:
        converted: the module, quantized.
        arrays: takes the arrays that the plain values name.
        problems: takes what cannot be saved, a sentence each.
        with_example: whether the example goes with it.
    """
    for number, one in enumerate(converted.inputs):
        if with_example and one.name in converted.example:
            arrays[f"example.{number}"] = _array_of(converted.example[one.name])
    for number, array in enumerate(converted.constants.values()):
        arrays[f"constants.{number}"] = _array_of(array)
    args, keywords = converted.arguments
    return {
        "name": converted.name,
        "lnn2loihi": VERSION,
        "inputs": [
            {
                "name": i.name,
                "axes": list(i.axes),
                "shape": list(i.shape),
                "dtype": i.dtype,
                "several": list(i.several),
            }
            for i in converted.inputs
        ],
        "arguments": to_plain(args, "arguments", problems),
        "keywords": to_plain(dict(keywords), "keywords", problems),
        "answer": to_plain(converted.answer, "answer", problems),
        "constants": list(converted.constants),
        "notes": list(converted.notes),
        "kept": list(converted.kept),
        "types": dict(converted.types),
        "multiply_adds": converted.multiply_adds,
        "parts": [
            {"host": _plain_host(part)}
            if isinstance(part, HostPart)
            else {"chip": _plain_chip(part, number, arrays)}
            for number, part in enumerate(converted.parts)
        ],
    }


def _array_of(array: np.ndarray) -> np.ndarray:
    return np.array(array, order="C")


def _plain_host(part: HostPart) -> dict[str, Any]:
    return {
        "name": part.name,
        "inputs": list(part.inputs),
        "outputs": list(part.outputs),
        "operators": list(part.operators),
        "reasons": list(part.reasons),
        "multiply_adds": part.multiply_adds,
        "parameters": part.parameters,
    }


def _plain_chip(part: ChipPart, number: int, arrays: Arrays) -> dict[str, Any]:
    words: list[Any] = []
    for place, word in enumerate(part.words):
        arrays[f"parts.{number}.words.{place}"] = np.array(word.step, np.float64)
        words.append([word.population, word.word, word.state])
    return {
        "name": part.name,
        "inputs": [_plain_port(port) for port in part.inputs],
        "outputs": [_plain_port(port) for port in part.outputs],
        "elapsed": None if part.elapsed is None else _plain_port(part.elapsed),
        "initial": [_plain_state(port) for port in part.initial],
        "final": [_plain_state(port) for port in part.final],
        "words": words,
    }


def _plain_port(port: ChipPort) -> dict[str, Any]:
    axes = [list(axis) if isinstance(axis, tuple) else axis for axis in port.axes]
    return {"value": port.value, "axes": axes, "columns": list(map(int, port.columns)),
            "at": port.at}  # fmt: skip


def _plain_state(port: StatePort) -> dict[str, Any]:
    return {
        "value": port.value,
        "shape": list(map(int, port.shape)),
        "batch_axis": port.batch_axis,
        "units": [[name, int(unit)] for name, unit in port.units],
    }


def module_of(
    manifest: Mapping[str, Any],
    arrays: Arrays,
    programs: Mapping[int, LoihiProgram],
    models: Mapping[int, bytes],
) -> ConvertedModule:
    """The module of plain values.

    Args:
        manifest: what `plain_module` has made.
        arrays: those that it names; each is taken once.
        programs: of the chip parts, by their place among the parts.
        models: of the host parts.

    Raises:
        KeyError, TypeError, ValueError: they are not a module's.
        NetworkError: they are, and contradict each other.
    """
    from lnn2loihi.converted.parts import ConvertedModule

    inputs = tuple(_input(entry) for entry in listed(manifest["inputs"]))
    kept = [n for n in range(len(inputs)) if f"example.{n}" in arrays]
    example = {inputs[n].name: _array(arrays, f"example.{n}") for n in kept}
    args = from_plain(manifest["arguments"])
    keywords = from_plain(manifest["keywords"])
    if not isinstance(args, tuple) or not isinstance(keywords, dict):
        raise TypeError("arguments are a tuple, keywords a dict")
    notes = tuple(map(_line, listed(manifest["notes"])))
    if len(kept) < len(inputs):
        notes += ("its example was too large to be saved with it",)
    parts = [
        _part(entry, number, arrays, programs, models)
        for number, entry in enumerate(listed(manifest["parts"]))
    ]
    if len(parts) != len(programs) + len(models):
        raise ValueError("programs and models that belong to no part")
    found = ConvertedModule(
        name=_line(manifest["name"]),
        inputs=inputs,
        arguments=(args, keywords),
        parts=tuple(parts),
        answer=from_plain(manifest["answer"]),
        example=example,
        constants={
            _line(name): _array(arrays, f"constants.{number}")
            for number, name in enumerate(listed(manifest["constants"]))
        },
        notes=notes,
        multiply_adds=_count_or_none(manifest["multiply_adds"]),
        kept=tuple(map(_line, listed(manifest.get("kept", [])))),
        types={
            _line(name): _one_of(kind, _TYPES) for name, kind in manifest.get("types", {}).items()
        },
    )
    if arrays:
        raise ValueError(f"arrays that nothing names: {', '.join(arrays):.60}")
    return found


def _input(entry: Any) -> ModuleInput:
    axes = tuple(None if axis is None else _one_of(axis, (BATCH, TIME)) for axis in entry["axes"])
    dtype = np.dtype(_line(entry["dtype"]))
    if dtype.kind not in _KINDS:
        raise TypeError(f"an input of type {dtype}")
    shape = tuple(map(_count, listed(entry["shape"])))
    # Files of earlier versions do not have it.
    several = tuple(_one_of(axis, (BATCH, TIME)) for axis in listed(entry.get("several", [])))
    return ModuleInput(_line(entry["name"]), axes, shape, dtype.name, several)


def _part(
    entry: Any,
    number: int,
    arrays: Arrays,
    programs: Mapping[int, LoihiProgram],
    models: Mapping[int, bytes],
) -> HostPart | ChipPart:
    ((kind, content),) = entry.items()
    if kind == "host":
        inputs = tuple(map(_line, listed(content["inputs"])))
        outputs = tuple(map(_line, listed(content["outputs"])))
        return HostPart(
            _line(content["name"]),
            inputs,
            outputs,
            OnnxFunction(models[number], inputs, outputs),
            tuple(map(_line, listed(content["operators"]))),
            tuple(map(text, listed(content["reasons"]))),
            _count_or_none(content["multiply_adds"]),
            _count_or_none(content["parameters"]),
        )
    _one_of(kind, ("chip",))
    words: list[StateWord] = []
    for place, word in enumerate(listed(content["words"])):
        population, name, state = map(_line, listed(word))
        step = _array(arrays, f"parts.{number}.words.{place}")
        words.append(StateWord(population, name, state, step))
    elapsed = content["elapsed"]
    return ChipPart(
        name=_line(content["name"]),
        network=None,
        inputs=tuple(map(_port, listed(content["inputs"]))),
        outputs=tuple(map(_port, listed(content["outputs"]))),
        elapsed=None if elapsed is None else _port(elapsed),
        initial=tuple(map(_state, listed(content["initial"]))),
        final=tuple(map(_state, listed(content["final"]))),
        program=programs[number],
        words=tuple(words),
    )


def _port(entry: Any) -> ChipPort:
    def axis(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(_one_of(name, _MEANINGS) for name in value)
        return None if value is None else _one_of(value, _MEANINGS)

    at = entry["at"]
    return ChipPort(
        _line(entry["value"]),
        tuple(map(axis, listed(entry["axes"]))),
        tuple(map(_count, listed(entry["columns"]))),
        None if at is None else _whole(at),
    )


def _state(entry: Any) -> StatePort:
    batch_axis = entry["batch_axis"]
    units = [(_line(name), _count(unit)) for name, unit in map(listed, listed(entry["units"]))]
    return StatePort(
        _line(entry["value"]),
        tuple(map(_count, listed(entry["shape"]))),
        None if batch_axis is None else _whole(batch_axis),
        tuple(units),
    )


def _array(arrays: Arrays, name: str) -> np.ndarray:
    """Takes an array out of those that are left."""
    array = arrays.pop(name)
    if array.dtype.kind not in _KINDS:
        raise TypeError(f"array {name!r} is {array.dtype}")
    return array


def _line(value: Any) -> str:
    if not is_line(value):
        raise TypeError(f"expected one line of printable text, found {value!r:.60}")
    return value


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"expected one of {', '.join(known)}, found {value!r:.60}")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) > LARGEST_COUNT:
        raise TypeError(f"expected a whole number, found {value!r:.60}")
    return value


def _count(value: Any) -> int:
    if _whole(value) < 0:
        raise ValueError(f"expected a count, found {value}")
    return value


def _count_or_none(value: Any) -> int | None:
    return None if value is None else _count(value)
