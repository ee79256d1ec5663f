"""The layers of a Keras model in the order in which it runs them, with their arrays.

Arrays stand under the name of the class in lower case, with a number from the second of its kind on
(`lstm`, `lstm_1`), or in files of old under the name of the layer. Source: Keras 3,
keras/src/saving/saving_lib.py (`_name_key`, `to_snake_case`), legacy/saving/legacy_h5_format.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lnn2loihi.converters.keras_read.file import KerasFile
from lnn2loihi.converters.keras_read.layer import KerasLayer, snake_case

#: Models within models, which are the layers that they hold.
_MODELS = ("Sequential", "Functional", "Model")
#: Most layers of a model.
MOST_LAYERS = 1 << 9


class ModelError(ValueError):
    """A configuration is damaged, or its layers are no chain."""


def layers_of(file: KerasFile, config: Mapping[str, Any]) -> list[KerasLayer]:
    """The layers of a model.

    Args:
        file: the arrays.
        config: the configuration.

    Raises:
        ModelError: it is damaged, or its layers do not follow each other one by one.
    """
    try:
        found = list(_layers(file, config, "", 0))
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"its configuration is damaged ({type(error).__name__}: {error})") from (
            error
        )
    left = [
        path
        for path in file.arrays
        if not any(path.startswith(one.place) for one in found) and not _of_chance(path)
    ]
    if left:
        raise ModelError(
            f"no layer of its configuration has the arrays {', '.join(left[:8])}"
            + (f" and {len(left) - 8} more" if len(left) > 8 else "")
        )
    return found


def _of_chance(path: str) -> bool:
    """Whether an array is the state of a generator of random numbers, as dropouts have one."""
    return "seed_generator" in path


def _layers(
    file: KerasFile, config: Mapping[str, Any], before: str, depth: int
) -> Iterator[KerasLayer]:
    kind = str(config["class_name"])
    if kind not in _MODELS:
        raise ModelError(
            f"it is a model of the class {kind:.80}, whose call is in no file; import a Sequential "
            "or Functional model of the same layers, or export it as ONNX"
        )
    given = config["config"]
    listed = given if isinstance(given, list) else given["layers"]
    if len(listed) > MOST_LAYERS or depth > 8:
        raise ModelError(f"it has {len(listed)} layers; at most {MOST_LAYERS} are read")
    ordered = _in_order(listed, given) if isinstance(given, Mapping) else listed
    places = _places(file, listed, before)
    for one in ordered:
        place = places[str(one["config"].get("name"))]
        if one["class_name"] in _MODELS:
            inside = place if file.named else f"{place}layers/"
            yield from _layers(file, one, inside, depth + 1)
        else:
            yield _layer(file, one, place)


def _layer(file: KerasFile, one: Mapping[str, Any], place: str) -> KerasLayer:
    """One layer; what `TimeDistributed` does at each step, as what it does."""
    kind, own, config = str(one["class_name"]), one, dict(one["config"])
    name = str(config.get("name", kind.lower()))
    if kind == "TimeDistributed":
        own = config["layer"]
        kind, config = str(own["class_name"]), dict(own["config"])
        place += "" if file.named else "layer/"
    arrays = {key[len(place) :]: one for key, one in file.arrays.items() if key.startswith(place)}
    package = str(own.get("module") or own.get("registered_name") or "keras")
    package = re.split(r"[.>]", package)[0]
    return KerasLayer(kind.rpartition(">")[2], package, name, config, arrays, place, file.named)


def _places(file: KerasFile, listed: Any, before: str) -> dict[str, str]:
    """What stands before the arrays of each layer, by its name."""
    found: dict[str, str] = {}
    counts: dict[str, int] = {}
    for one in listed:
        kind, name = str(one["class_name"]), str(one["config"].get("name"))
        key = snake_case(kind.rpartition(">")[2])
        number = counts[key] = counts.get(key, -1) + 1
        place = f"{before}{key}{f'_{number}' if number else ''}"
        said = file.names.get(place, name)
        if not file.named and name != "None" and said != name and len(file.names) > 1:
            raise ModelError(f"the arrays {place} are those of {said!r:.80}, not of {name!r:.80}")
        found[name] = f"{name}/" if file.named else f"{place}/"
    return found


def _in_order(listed: Any, config: Mapping[str, Any]) -> list[Any]:
    """The layers of a functional model, each of which hears the one before."""
    heard = {str(one["config"]["name"]): _heard(one.get("inbound_nodes")) for one in listed}
    if not any(heard.values()):
        return list(listed)
    by_name = {str(one["config"]["name"]): one for one in listed}
    for name, names in heard.items():
        if len(names) > 1:
            raise ModelError(
                f"{name} hears {' and '.join(names)}, or is used more than once; only layers that "
                "follow each other one by one are imported from Keras: export the model as ONNX "
                "for others"
            )
    starts = [name for name, names in heard.items() if not names]
    ends = _histories(config.get("output_layers"))
    if len(starts) != 1 or len(ends) != 1:
        raise ModelError(
            f"it has {len(starts)} inputs and {len(ends)} outputs; models of one of each are "
            "imported from Keras: export it as ONNX"
        )
    ordered, at = [ends[0]], ends[0]
    while heard.get(at):
        at = heard[at][0]
        if at in ordered:
            raise ModelError(f"{at} hears itself")
        ordered.append(at)
    unused = [name for name in by_name if name not in ordered]
    if unused:
        raise ModelError(f"its output does not hear {', '.join(unused[:8])}; export it as ONNX")
    return [by_name[name] for name in reversed(ordered)]


def _heard(nodes: Any) -> list[str]:
    return _histories(nodes) if nodes else []


def _histories(value: Any, depth: int = 0) -> list[str]:
    """Names of layers in references to what they answer, of Keras 2 and 3."""
    if depth > 12:
        raise ModelError("its configuration is nested too deeply")
    if isinstance(value, Mapping):
        if "keras_history" in value:
            return [str(value["keras_history"][0])]
        return [name for one in value.values() for name in _histories(one, depth + 1)]
    if isinstance(value, list):
        if (
            len(value) >= 3
            and isinstance(value[0], str)
            and all(type(n) is int for n in value[1:3])
        ):
            return [value[0], *_histories(value[3:], depth + 1)]
        return [name for one in value for name in _histories(one, depth + 1)]
    return []
