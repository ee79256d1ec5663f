"""One layer of a Keras model: what its configuration says, and its arrays by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lnn2loihi.converters.files.arrays import Arrays
from lnn2loihi.converters.files.description import Timespan
from lnn2loihi.converters.files.tensor import Tensor


@dataclass(frozen=True)
class KerasLayer:
    """One layer.

    Attributes:
        kind: its class, such as "LSTM".
        package: first part of the module of its class, such as "keras" or "ncps".
        name: its name in the model.
        config: what its configuration says.
        arrays: its arrays, by their paths below the layer.
        place: what stands before their paths in the file, with a slash at its end.
        named: whether the last part of a path is a name (files of old), and no position.
        timespan: the elapsed time that whoever imports it states, or None.
    """

    kind: str
    package: str
    name: str
    config: Mapping[str, Any]
    arrays: Mapping[str, Tensor]
    place: str = ""
    named: bool = False
    timespan: Timespan | None = None

    def state(self, names: Sequence[str], inside: str = "") -> Arrays:
        """Some of its arrays by their names, to be taken one by one.

        Args:
            names: in the order in which the class makes them.
            inside: path of the part that has them, empty or ending in a slash.
        """
        if self.named:
            found = {
                name: tensor
                for path, tensor in self.arrays.items()
                if (name := path.rpartition("/")[2].partition(":")[0]) in names
            }
        else:
            vars_of = f"{inside}vars/"
            found = {
                names[int(place)]: tensor
                for path, tensor in self.arrays.items()
                if path.startswith(vars_of)
                and (place := path[len(vars_of) :]).isdecimal()
                and int(place) < len(names)
            }
        before, vars_of = f"{self.name}: ", f"{inside}vars/"
        made = Arrays({f"{before}{name}": tensor for name, tensor in found.items()}, before)
        more = [p for p in self.arrays if p.startswith(vars_of) and "/" not in p[len(vars_of) :]]
        if not self.named and len(more) > len(names):
            made.problems.append(
                f"{self.name} holds {len(more)} arrays in {vars_of}, where a {self.kind} has "
                f"{', '.join(names)}"
            )
        return made

    def word(self, key: str, default: Any = None) -> Any:
        """What its configuration says; a function or class by its name."""
        value = self.config.get(key, default)
        if isinstance(value, Mapping) and "class_name" in value:
            inner = value.get("config")
            value = inner if isinstance(inner, str) else value["class_name"]
        if isinstance(value, str):
            return value.rpartition(">")[2]
        return value

    def differing(self, wanted: Mapping[str, Any]) -> list[str]:
        """What its configuration says otherwise than can be imported.

        Args:
            wanted: by key what it has to say; absent keys say it.
        """
        return [
            f"{self.name}: {key} is {self.word(key)!r:.60}, and can only be {value!r}"
            for key, value in wanted.items()
            if self.word(key, value) != value
        ]


def snake_case(name: str) -> str:
    """The name of a class as Keras writes it in paths."""
    text = re.sub(r"\W+", "", name)
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()
