"""The description of a `.weights.h5`: its layers, and what their arrays do not say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn2loihi.converters.files.description import IRREGULAR, Timespan
from lnn2loihi.converters.keras_read.chain import NOTHING, KerasChain
from lnn2loihi.converters.keras_read.file import KerasFile
from lnn2loihi.converters.keras_read.layer import snake_case
from lnn2loihi.converters.keras_read.model import ModelError, layers_of
from lnn2loihi.errors import ImportNetworkError, Problems
from lnn2loihi.family import importers
from lnn2loihi.proposal import DescriptionCandidate, DescriptionProposal

#: What `module` may be.
MODULES = ("keras.Sequential", "keras.Model")
#: Classes whose arrays are known by the beginning of their path.
_STATELESS = ("Dense", "TimeDistributed", "BatchNormalization", "Normalization")
#: Classes of ncps, as paths call them.
_NCPS = ("CfC", "LTC")
#: Classes that stand late in a model, rather than early.
_LATE = {"batch_normalization": 1, "dense": 2}
#: Most orders of layers that are tried.
MOST_ORDERS = 1 << 12
#: Most cells of a wired CfC.
MOST_CELLS = 64


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
        kind = str(one["class"])
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
    kinds = _kinds()
    layers: list[dict[str, Any]] = []
    for group in order:
        kind = kinds[_base(group)]
        guesses = _guesses(file, group, kind)
        said = "".join(f", {key} = {_toml(value)}" for key, value in guesses.items())
        lines.append(f'    {{ class = "{kind}"{said} }},')
        layers.append({"class": kind, **guesses})
    lines.append("]")
    if silent := unlisted(file, layers):
        lines.append(f"# The model has layers without arrays, too: {', '.join(silent)}"[:200])
    if any(one["class"] in _NCPS for one in layers):
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
    groups = [place for place in file.names if "/" not in place and _base(place) not in nothing]
    return [place for place in groups if place not in listed]


def _kinds() -> dict[str, str]:
    names = (*_STATELESS, *(kind for _, one in importers() for kind in one.keras))
    return {snake_case(name): name for name in names}


def _base(group: str) -> str:
    return re.sub(r"_[0-9]+$", "", group)


def _orders(file: KerasFile) -> Iterator[list[str]]:
    """Orders of the layers in which each hears as many numbers as the one before answers."""
    kinds = _kinds()
    groups = list(dict.fromkeys(key.partition("/")[0] for key in file.arrays))
    groups = [one for one in groups if _base(one) in kinds]
    sizes = {one: _size(file, one) for one in groups}
    tried = 0

    def follow(order: list[str], answers: int | None) -> Iterator[list[str]]:
        nonlocal tried
        tried += 1
        if len(order) == len(groups):
            yield order
        for one in groups if tried < MOST_ORDERS else ():
            hears, gives = sizes[one]
            # Of layers of one class the first was made first.
            earlier = [g for g in groups if _base(g) == _base(one) and _index(g) < _index(one)]
            if one in order or not set(earlier) <= set(order) or answers not in (None, hears):
                continue
            yield from follow([*order, one], gives)

    if set(file.order) == set(groups):
        yield list(file.order)
    # Where several orders fit, those are likelier that begin with a map or a recurrent layer.
    groups.sort(key=lambda one: (_LATE.get(_base(one), 0), _base(one), _index(one)))
    yield from follow([], None)


def _index(group: str) -> int:
    found = re.search(r"_([0-9]+)$", group)
    return int(found[1]) if found else 0


def _shape(file: KerasFile, path: str) -> tuple[int, ...]:
    found = file.arrays.get(path)
    return () if found is None else found.shape


def _cells(file: KerasFile, group: str) -> list[str]:
    """Paths of the cells of a recurrent layer, several in a wired CfC."""
    wired = [
        f"{group}/cell/_cfc_layers/cf_c_cell{f'_{n}' if n else ''}/vars/" for n in range(MOST_CELLS)
    ]
    return [one for one in wired if _shape(file, f"{one}0")] or [f"{group}/cell/vars/"]


def _size(file: KerasFile, group: str) -> tuple[int, int]:
    """How many numbers a layer hears and answers, by the shapes of its arrays; -1 where unknown."""
    base, cells = _base(group), _cells(file, group)
    first, last = _shape(file, f"{cells[0]}0"), _shape(file, f"{cells[-1]}0")
    if base == "cf_c" and len(first) == len(last) == 2:
        columns = _shape(file, f"{group}/cell/backbone_fn/layers/dense/vars/0") or first
        return columns[0] - first[1], last[1]
    if base == "ltc" and len(sensory := _shape(file, f"{cells[0]}9")) == 2:
        return sensory[0], (_shape(file, f"{cells[0]}13") or sensory[1:])[0]
    own = _shape(file, f"{cells[0]}1")
    if base in ("lstm", "gru") and len(first) == len(own) == 2:
        return first[0], own[0]
    plain = _shape(file, f"{group}/vars/0") or _shape(file, f"{group}/layer/vars/0")
    if base in ("batch_normalization", "normalization") and plain:
        return plain[0], plain[0]
    return (plain[0], plain[1]) if len(plain) == 2 else (-1, -1)


def _guesses(file: KerasFile, group: str, kind: str) -> dict[str, Any]:
    """What else the table of a layer says."""
    cells = _cells(file, group)
    wired = "_cfc_layers" in cells[0]
    found: dict[str, Any] = {}
    biased = {"LSTM": "cell/vars/2", "GRU": "cell/vars/2", "Dense": "vars/1",
              "TimeDistributed": "layer/vars/1"}  # fmt: skip
    if kind in biased and not _shape(file, f"{group}/{biased[kind]}"):
        found["use_bias"] = False
    if kind in ("Dense", "TimeDistributed"):
        found["activation"] = "linear"
    if kind == "CfC":
        gated = _shape(file, f"{cells[0].removesuffix('vars/')}time_a/vars/0")
        found["mode"] = "default" if gated else "pure"
        if any(path.startswith(f"{group}/cell/backbone_fn/") for path in file.arrays):
            found["activation"] = "lecun_tanh"
    if kind == "LTC" or wired:
        vector = "1" if wired else "0"
        units = sum(sum(_shape(file, f"{cell}{vector}")) for cell in cells)
        found["wiring"] = {"class": "AutoNCP", "units": units,
                           "output_size": _size(file, group)[1],
                           "sparsity_level": 0.5, "seed": 22222}  # fmt: skip
    return found


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
