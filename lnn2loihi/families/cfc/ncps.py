"""What importers of modules of the PyTorch package `ncps` have in common."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lnn2loihi.converters.files.arrays import listing
from lnn2loihi.converters.files.description import Description
from lnn2loihi.converters.files.tensor import FloatArray, Tensor, torch_tensors
from lnn2loihi.converters.provenance import torch_version
from lnn2loihi.converters.recurrent.family import FamilyImporter, FamilyParts
from lnn2loihi.families.lstm.memory import MEMORY_GATES, Memory
from lnn2loihi.layers.linear import Linear

if TYPE_CHECKING:
    from lnn2loihi.measure.torch_blocks import Block

#: Keys of the mixed memory.
INPUT_MAP, RECURRENT_MAP = "lstm.input_map", "lstm.recurrent_map"

#: Parts of its cells and of its mixed memory, by the classes of PyTorch that they are.
FUNCTIONS = {"tanh": "Tanh", "sigmoid": "Sigmoid"}
MEMORY_PARTS = {"input_map": "Linear", "recurrent_map": "Linear", **FUNCTIONS}


class NcpsImporter(FamilyImporter):
    """An importer of modules of ncps, whose arrays stand under `rnn_cell.` and `lstm.`, and of
    their cells alone.
    """

    name: ClassVar[str] = "ncps"
    takes_time: ClassVar[bool] = True

    def read_module(self, source: Any) -> tuple[Description | None, FamilyParts | None, list[str]]:
        """The description and the parts of a live module; of a cell those of a module around it."""
        if not is_cell(source):
            return super().read_module(source)
        description, problems = self.describe(_Around(source))
        if description is None:
            return None, None, problems
        state = {f"rnn_cell.{key}": value for key, value in source.state_dict().items()}
        parts, found = self.read(torch_tensors(state), description)
        return description, parts, [*problems, *found]

    def versions(self) -> dict[str, str]:
        """Versions of ncps, where it is installed, and of torch, where it is imported."""
        found: dict[str, str] = {}
        try:
            # ncps.__version__ says 0.0.2 in release 1.0.1.
            found["ncps"] = version("ncps")
        except PackageNotFoundError:
            pass
        return found | torch_version()

    def calls(self, source: Any) -> Mapping[str, bool]:
        """As ncps calls them: states of all layers stand side by side."""
        if is_cell(source):
            return {"one_step": True, "returns_state": True}
        sequences, time_first = bool(source.return_sequences), not source.batch_first
        return {"sequences": sequences, "time_first": time_first}

    def block(self, source: Any, timespan: float | None) -> Block | None:
        """A copy of the module that runs, unless it is a cell or has overridden `forward`."""
        from lnn2loihi.families.cfc.ncps_block import NcpsBlock

        if is_cell(source):
            return None
        owner = next(kind for kind in type(source).__mro__ if "forward" in vars(kind))
        if f"{owner.__module__}.{owner.__name__}" not in self.classes:
            return None
        return NcpsBlock(copy.deepcopy(source), timespan)


def is_cell(source: Any) -> bool:
    """Whether a live module is a cell of ncps, which computes one step."""
    return any(
        kind.__module__.startswith("ncps.torch.") and kind.__name__.endswith("Cell")
        for kind in type(source).__mro__
    )


class _Around:
    """A cell as ncps holds it in a module, with nothing else in it."""

    proj_size, use_mixed, fc = None, False, None

    def __init__(self, cell: Any) -> None:
        self.rnn_cell = cell
        wired = hasattr(cell, "state_size")
        self.input_size = cell.sensory_size if wired else cell.input_size
        self.state_size = cell.state_size if wired else cell.hidden_size
        self.motor_size = cell.motor_size if wired else cell.hidden_size


def overridden(where: str, owner: Any) -> list[str]:
    """Where a module of ncps has another forward than that of its class there."""
    kinds = (kind for kind in type(owner).__mro__ if kind.__module__.startswith("ncps.torch."))
    original: Any = next(kinds, None)
    if original is None or type(owner).forward is original.forward:
        return []
    return [f"{where} overrides forward; give a plain ncps.torch.{original.__name__}"]


def prefixes(keys: Iterable[str]) -> list[str]:
    """What stands before `rnn_cell.` in the keys, each once; "" for a CfC on its own."""
    found = {key[: key.index("rnn_cell.")] for key in keys if "rnn_cell." in key}
    return sorted(prefix for prefix in found if not prefix or prefix.endswith("."))


def as_module(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a cell on its own by the keys that they have in a module around it; all others
    as they are.
    """
    cell = any(key in own for key in ("ff1.weight", "layer_0.ff1.weight", "gleak"))
    return {f"rnn_cell.{key}": tensor for key, tensor in own.items()} if cell else dict(own)


def under_prefix(
    state: Mapping[str, Tensor], description: Description
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors under the prefix, by the rest of their keys; and what is wrong if none fits."""
    prefix = description.prefix
    own = as_module({key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)})
    if any(key.startswith("rnn_cell.") for key in own):
        return own, []
    others = prefixes(state)
    where = f"no key starts with {prefix + 'rnn_cell.'!r}"
    if others:
        hints = " or ".join(f"prefix = {other!r}" for other in others[:8])
        return own, [f"{where}; write {hints} in {description.origin}"]
    seen = sorted({key.rsplit(".", 1)[0] + "." for key in state if "." in key})
    return own, [
        f"{where}, so it is not the state_dict of an {description.module}; "
        f"prefixes seen: {listing(seen) if seen else 'none'}"
    ]


def changed_parts(where: str, owner: Any, parts: Mapping[str, str]) -> list[str]:
    """Parts of a module that are not what ncps puts there, or nothing."""
    found: list[str] = []
    for part, expected in parts.items():
        actual = type(getattr(owner, part, None)).__name__
        if actual not in (expected, "NoneType", f"Parametrized{expected}"):
            found.append(f"{where}.{part} is a {actual}, expected torch.nn.{expected}")
    return found


def has_memory(own: Mapping[str, Tensor]) -> bool:
    """Whether there are keys of a mixed memory."""
    return any(key.startswith("lstm.") for key in own)


def memory_problems(stated: bool | None, found: bool, origin: str) -> list[str]:
    """Whether a description says otherwise than the keys that there is a mixed memory."""
    if stated in (None, found):
        return []
    return [
        f"mixed_memory is {str(stated).lower()} in {origin}, but its keys have "
        f"{'a' if found else 'no'} mixed memory (lstm.*)"
    ]


def memory_of(arrays: Mapping[str, FloatArray]) -> Memory:
    """The mixed memory: ncps stacks its four sums in the order of MEMORY_GATES."""
    weight = np.hstack([arrays[f"{INPUT_MAP}.weight"], arrays[f"{RECURRENT_MAP}.weight"]])
    weights = np.split(weight, len(MEMORY_GATES))
    biases = np.split(arrays[f"{INPUT_MAP}.bias"], len(MEMORY_GATES))
    return Memory(tuple(map(Linear, MEMORY_GATES, weights, biases)))
