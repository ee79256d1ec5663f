"""The networks of a zoo, as training would leave them, and inputs for them; for zoo.py.

A zoo is a Python file with a dict `Z`: for each name `make`, which gives the module, and either
`example`, a function of the number of sequences and of steps that gives positional arguments and
keywords, or an entry in tests/zoo_examples.py, or `inputs` and `shape`, the sizes of one sample.
`refused` says that it has nothing for the chip.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from lnn2loihi.errors import InputError

if TYPE_CHECKING:
    from lnn2loihi.converted.parts import ConvertedModule

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
#: Deviation of what is added to biases and maps, and by which the scales of norms differ from 1.
NOISE = 0.2
#: Sizes of an example that a zoo does not give.
BATCH, STEPS = 3, 6
#: Input and output maps of LTC cells; untrained they are 1 and 0, which hides faults.
MAPS = ("input_w", "input_b", "output_w", "output_b")


@dataclass(frozen=True)
class Network:
    """A network of a zoo.

    Attributes:
        name, uses: what the zoo says of it.
        make: gives the module; untrained.
        called: what is converted and called: the module, or one of its methods.
        example: positional arguments and keywords as the zoo has them.
        sized: the same for so many sequences and steps; None where the zoo cannot.
        refused: whether it has nothing for the chip.
    """

    name: str
    uses: str
    make: Callable[[], nn.Module]
    called: Callable[[nn.Module], Any]
    example: Callable[[], Arguments]
    sized: Callable[[int, int], Arguments] | None
    refused: bool

    def trained(self, seed: int) -> Any:
        """What is called, in evaluation, as `noisy` leaves it."""
        torch.manual_seed(seed)
        return self.called(noisy(self.make()).eval())


def noisy(module: nn.Module) -> nn.Module:
    """The module with noise where training would have left something: on biases, on the maps of
    LTCs, and on what norms multiply with and have counted.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            last = name.rpartition(".")[2]
            if "bias" in last or last in MAPS:
                parameter += NOISE * torch.randn_like(parameter)
        for part in module.modules():
            if "Norm" not in type(part).__name__:
                continue
            scale = getattr(part, "weight", None)
            if isinstance(scale, torch.Tensor):
                scale += NOISE * torch.randn_like(scale)
            mean, variance = (getattr(part, f"running_{kind}", None) for kind in ("mean", "var"))
            if mean is not None and variance is not None:
                mean += NOISE * torch.randn_like(mean)
                variance *= torch.exp(NOISE * torch.randn_like(variance))
    return module


def networks(path: Path) -> list[Network]:
    """The networks of a zoo's file, which is run."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None and specification.loader is not None, path
    zoo = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = zoo  # dataclasses look their module up there
    specification.loader.exec_module(zoo)
    return [_network(name, entry) for name, entry in zoo.Z.items()]


def _network(name: str, entry: Mapping[str, Any]) -> Network:
    sized, example = _examples(name, entry)
    refused = entry.get("refused", False)
    return Network(name, entry["uses"], entry["make"], _called(name), example, sized, refused)


def _examples(
    name: str, entry: Mapping[str, Any]
) -> tuple[Callable[[int, int], Arguments] | None, Callable[[], Arguments]]:
    """Examples of given sizes, and the one that the zoo has."""
    own = entry.get("example")
    if own is not None:
        chosen = [p for p in inspect.signature(own).parameters.values() if p.default is not p.empty]
        if len(chosen) < 2:
            return None, own
        least = [parameter.default for parameter in chosen[:2]]
        return lambda batch, steps: own(max(batch, least[0]), max(steps, least[1])), own
    written = _written()
    if written is not None and name in written.names():
        return None, lambda: written.example(name)

    def guessed(batch: int, steps: int) -> Arguments:
        widths = entry["inputs"]
        if widths is None:
            shapes = [entry["shape"]]
        else:
            shapes = [(width,) for width in (widths if isinstance(widths, tuple) else (widths,))]
        return tuple(torch.randn(batch, steps, *shape) for shape in shapes), {}

    return guessed, lambda: guessed(BATCH, STEPS)


def _written() -> Any:
    """tests/zoo_examples.py; None where it is not there."""
    if importlib.util.find_spec("zoo_examples") is None:
        return None
    return importlib.import_module("zoo_examples")


def _called(name: str) -> Callable[[nn.Module], Any]:
    """What of a module is called: a method `forward_...` where there is no forward."""

    def called(module: nn.Module) -> Any:
        if type(module).forward is not nn.Module.forward:
            return module
        methods = [one for one in vars(type(module)) if one.startswith("forward_")]
        assert len(methods) == 1, f"{name} has no forward, and {len(methods)} other methods"
        return getattr(module, methods[0])

    return called


def inputs_like(
    network: Network, converted: ConvertedModule, batch: int, steps: int, seed: int
) -> Arguments:
    """Arguments for so many sequences and steps, as far as the module takes other sizes than the
    example's. Where the zoo does not make them, or makes some of a size that is not taken, each
    number is one that the example has in the same place of another sequence or step; times that
    rise do so again.
    """
    from lnn2loihi.converted.running import given_to

    axes = {axis for one in converted.inputs for axis in one.axes}
    torch.manual_seed(seed)
    if network.sized is not None:
        made = network.sized(batch if "batch" in axes else 0, steps if "time" in axes else 0)
        with contextlib.suppress(InputError):
            given_to(converted, *made)
            return made
    rng, sizes = np.random.default_rng(seed), {"batch": batch, "time": steps}
    arrays: dict[str, torch.Tensor] = {}
    for one in converted.inputs:
        array = np.asarray(converted.example[one.name], one.dtype)
        for place, axis in enumerate(one.axes):
            if axis is not None:
                array = _drawn(array, place, sizes[axis], axis == "time", rng)
        arrays[one.name] = torch.from_numpy(np.array(array))
    args, keywords = _filled(converted.arguments, arrays)
    return args, keywords


def _drawn(array: Any, place: int, size: int, in_order: bool, rng: np.random.Generator) -> Any:
    shape = list(array.shape)
    rises = in_order and shape[place] > 2 and (np.diff(array.astype(float), axis=place) >= 0).all()
    shape[place], old = size, shape[place]
    drawn = np.take_along_axis(array, rng.integers(0, old, shape), place)
    return np.sort(drawn, axis=place) if rises else drawn


def _filled(structure: Any, arrays: Mapping[str, torch.Tensor]) -> Any:
    """Tensors in place of their names."""
    from lnn2loihi.converted.structure import with_tensors

    return with_tensors(structure, arrays.__getitem__)


def answered(called: Any, arguments: Arguments) -> dict[str, np.ndarray]:
    """What a copy of a module answers in single precision: arrays by where they are in it."""
    args, keywords = copy.deepcopy(arguments)
    with torch.no_grad():
        return dict(leaves(copy.deepcopy(called)(*args, **keywords), "answer"))


def leaves(value: Any, place: str) -> Iterator[tuple[str, np.ndarray]]:
    """Tensors of an answer, and where they are: "answer[0]", "answer.mean", "answer['y']"."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        yield place, np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{place}[{key!r}]")
    elif isinstance(value, (tuple, list)):
        fields = getattr(value, "_fields", None)
        for number, part in enumerate(value):
            yield from leaves(part, f"{place}.{fields[number]}" if fields else f"{place}[{number}]")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), f"{place}.{field.name}")
