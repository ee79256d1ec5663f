"""The description of a `.weights.h5`: its layers, and what their arrays do not say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.converters.files.description import IRREGULAR, Timespan
from lnn2loihi.converters.keras_read.chain import NOTHING, KerasChain, kind_of_cell
from lnn2loihi.converters.keras_read.file import KerasFile
from lnn2loihi.converters.keras_read.guesses import (
    asks_for_time,
    base_of,
    guesses_of,
    index_of,
    kind_of,
    size_of,
)
from lnn2loihi.converters.keras_read.layer import snake_case
from lnn2loihi.converters.keras_read.model import ModelError, layers_of
from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.proposal import DescriptionCandidate, DescriptionProposal

#: What `module` may be.
MODULES = ("keras.Sequential", "keras.Model")
#: Classes of ncps, as paths call them.
_NCPS = ("CfC", "LTC")
#: Classes that stand late in a model, rather than early.
_LATE = {"batch_normalization": 1, "dense": 2}
#: Most orders of layers that are tried.
MOST_ORDERS = 1 << 12


@dataclass(frozen=True)
class KerasDescription:
    """What a description says.

    Attributes:
        layers: the layers in their order, each as in its configuration, with `class`.
        timespan: elapsed time between two samples; None where not stated.
        name: name of the network, or None.
    """

    layers: tuple[Mapping[str, Any], ...]
    timespan: Timespan | None
    name: str | None


def description_of_table(path: Path, table: Mapping[str, Any]) -> KerasDescription:
    """Checks what a file says.

    Raises:
        ImportNetworkError: lists what is unknown or of the wrong kind.
    """
    problems = Problems(ImportNetworkError, str(path))
    known = ("module", "checkpoint", "layers", "timespan", "name")
    problems.extend(
        f"unknown key {key!r:.60}; known are {', '.join(known)}"
        for key in table
        if key not in known
    )
    if table.get("module") not in MODULES:
        problems.add(f"module is {table.get('module')!r:.80}; there are {', '.join(MODULES)}")
    layers = table.get("layers", [])
    if not isinstance(layers, list) or not all(
        isinstance(one, Mapping) and isinstance(one.get("class"), str) for one in layers
    ):
        problems.add('layers has to be a list of tables, such as { class = "LSTM" }')
    timespan, name = table.get("timespan"), table.get("name")
    number = isinstance(timespan, (int, float)) and not isinstance(timespan, bool)
    if not (timespan in (None, IRREGULAR) or number):
        problems.add(f'timespan is {timespan!r:.60}, expected a number or "{IRREGULAR}"')
    if not isinstance(name, (str, type(None))) or name == "":
        problems.add(f"name is {name!r:.60}, expected a string")
    problems.raise_if_any()
    return KerasDescription(tuple(layers), timespan, name)


def described_config(said: KerasDescription | None, file: KerasFile) -> dict[str, Any]:
    """The configuration of a model with the layers that a description lists."""
    listed: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for one in said.layers if said else ():
        kind, one = _known_by_names(file, one)
        key = snake_case(kind)
        number = counts[key] = counts.get(key, -1) + 1
        place = f"{key}{f'_{number}' if number else ''}"
        name = file.names.get(place, place)
        config: dict[str, Any] = {k: v for k, v in one.items() if k != "class"}
        # A layer that answers its last step alone has nothing to say of the steps before.
        config = {"return_sequences": True, "name": name, **config}
        package = "ncps" if kind in _NCPS else "keras"
        if kind == "TimeDistributed":
            config = {"name": name, "layer": {
                "class_name": "Dense", "module": "keras", "config": {**config, "name": f"{name}_d"},
            }}  # fmt: skip
        if kind == "RNN":
            cell = str(config.pop("cell", "CfCCell"))
            config = {"cell": {"class_name": cell, "config": dict(config)}, **config}
        elif kind in _NCPS:
            config = {"cell": {"config": dict(config)}, **config}
        listed.append({"class_name": kind, "module": package, "config": config})
    return {"class_name": "Sequential", "config": {"layers": listed}}


def _known_by_names(file: KerasFile, one: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The class of a layer, and what else its table says. Where arrays are known by names, a layer
    is called by the cell that `RNN` runs.
    """
    kind = str(one["class"])
    if kind != "RNN" or any(base_of(key.partition("/")[0]) == "rnn" for key in file.arrays):
        return kind, one
    cell = str(one.get("cell", "CfCCell"))
    mixed = {"mixed_memory": True} if "Mixed" in cell else {}
    rest = {key: value for key, value in one.items() if key not in ("class", "cell")}
    return kind_of_cell(cell, {}, file.arrays), {**rest, **mixed}


def proposed(path: Path, file: KerasFile) -> DescriptionProposal:
    """The layers that a file holds, in orders in which their sizes fit."""
    keys = tuple(f"{key} {list(tensor.shape)}" for key, tensor in file.arrays.items())
    texts: dict[str, DescriptionCandidate] = {}
    for order in _orders(file):
        candidate = _candidate(path, file, order)
        texts.setdefault(candidate.text, candidate)
        if len(texts) == 8:
            break
    working = [one for one in texts.values() if not one.problems]
    found = tuple(working or list(texts.values())[:1])
    return DescriptionProposal(path, found, path.with_suffix(".toml"), (), keys[:64])


def _candidate(path: Path, file: KerasFile, order: Sequence[str]) -> DescriptionCandidate:
    lines = [
        "[network]", f'module = "{MODULES[0]}"', f"checkpoint = {json.dumps(path.name)}",
        "# The order is a guess, by the sizes; the file does not hold what layers are built with",
        "# beside their arrays: activations, wirings, layers without arrays (leave Dropout out).",
        "layers = [",
    ]  # fmt: skip
    layers: list[dict[str, Any]] = []
    for group in order:
        kind, guesses = kind_of(file, group), guesses_of(file, group)
        said = "".join(f", {key} = {_toml(value)}" for key, value in guesses.items())
        lines.append(f'    {{ class = "{kind}"{said} }},')
        layers.append({"class": kind, **guesses})
    lines.append("]")
    if silent := unlisted(file, layers):
        lines.append(f"# The model has layers without arrays, too: {', '.join(silent)}"[:200])
    if any(one.get("mode") == "default" for one in layers):
        lines.append('# mode = "no_gate" has the same arrays as "default".')
    if any(asks_for_time(file, group) for group in order):
        lines.append(
            'timespan = "?"  # 0.0 where no elapsed time came with the samples (tf_cfc.py takes 0 '
            'behind a memory), or "irregular"'
        )
    elif any(one["class"] in (*_NCPS, "LRC", "RNN") for one in layers):
        lines.append('timespan = 1.0  # a guess; "irregular" if it came with the samples')
    chain = KerasChain()
    problems: list[str] = []
    try:
        config = described_config(KerasDescription(tuple(layers), None, None), file)
        chain.build(layers_of(file, config))
        problems = chain.problems
    except ModelError as error:
        problems = [str(error)]
    sizes = ""
    if chain.layers and not problems:
        outputs = chain.readout.output_size if chain.readout else chain.layers[-1].units
        sizes = f"{chain.layers[0].input_size} inputs, {outputs} outputs"
    module = "keras: " + ", ".join(one["class"] for one in layers)
    text = "\n".join(lines) + "\n"
    return DescriptionCandidate(module, "", sizes, text, (), tuple(problems))


def unlisted(file: KerasFile, layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Layers in a file that are not among those of a description, and may do something."""
    counts: dict[str, int] = {}
    listed: set[str] = set()
    for one in layers:
        key = snake_case(str(one["class"]))
        number = counts[key] = counts.get(key, -1) + 1
        listed.add(f"{key}{f'_{number}' if number else ''}")
    nothing = {snake_case(kind) for kind in NOTHING}
    groups = [place for place in file.names if "/" not in place and base_of(place) not in nothing]
    return [place for place in groups if place not in listed]


def _orders(file: KerasFile) -> Iterator[list[str]]:
    """Orders of the layers in which each hears as many numbers as the one before answers."""
    groups = list(dict.fromkeys(key.partition("/")[0] for key in file.arrays))
    groups = [one for one in groups if kind_of(file, one)]
    sizes = {one: size_of(file, one) for one in groups}
    tried = 0

    def follow(order: list[str], answers: int | None) -> Iterator[list[str]]:
        nonlocal tried
        tried += 1
        if len(order) == len(groups):
            yield order
        for one in groups if tried < MOST_ORDERS else ():
            hears, gives = sizes[one]
            # Of layers of one class the first was made first.
            alike = [other for other in groups if base_of(other) == base_of(one)]
            earlier = [other for other in alike if index_of(other) < index_of(one)]
            if one in order or not set(earlier) <= set(order) or answers not in (None, hears):
                continue
            yield from follow([*order, one], gives)

    if set(file.order) == set(groups):
        yield list(file.order)
    # Where several orders fit, those are likelier that begin with a map or a recurrent layer.
    groups.sort(key=lambda one: (_LATE.get(base_of(one), 0), base_of(one), index_of(one)))
    yield from follow([], None)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
