"""A whole module that trains: chip parts with the chip's arithmetic, host parts in float."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converted.chip import heard_by, said_by
from lnn2loihi.converted.parts import ConvertedModule
from lnn2loihi.converted.pieces import ChipPart, HostPart, ModuleInput, Part
from lnn2loihi.converted.quantizing import heard_in_calls, prepared_parts
from lnn2loihi.converted.structure import given_leaves, shape_problems, with_tensors
from lnn2loihi.errors import InputError, Problems
from lnn2loihi.kinds import Share
from lnn2loihi.qat.calls import Calls
from lnn2loihi.qat.module import TrainableNetwork
from lnn2loihi.recipe import LayerRecipes, Recipe


class TrainableModule(nn.Module):
    """A drop-in for the module that was converted; see `lnn2loihi.qat.prepare`.

    It takes and answers what that module takes and answers. Chip parts are TrainableNetworks: in
    training mode they compute with the chip's rounded weights, messages and inputs, in evaluation
    mode they answer the integers of `export()`, bit for bit. Host parts are copies of what the
    module has there, and are trained along.

    Args:
        converted: the module, with its float networks and the modules of its host parts.
        networks: for each chip part its trainable network.
    """

    def __init__(self, converted: ConvertedModule, networks: dict[str, TrainableNetwork]) -> None:
        super().__init__()
        self.converted = converted
        self._places = {part.name: place for place, part in enumerate(converted.parts)}
        functions = [p.function for p in converted.host_parts]
        hosts = iter(copy.deepcopy([_module_of(function) for function in functions]))
        self.parts = nn.ModuleList(
            networks[part.name] if isinstance(part, ChipPart) else next(hosts)
            for part in converted.parts
        )
        for number, array in enumerate(converted.constants.values()):
            self.register_buffer(f"constant_{number}", torch.tensor(array))

    @property
    def networks(self) -> dict[str, TrainableNetwork]:
        """The trainable networks of the chip parts, by name."""
        found = {name: self.parts[place] for name, place in self._places.items()}
        return {n: own for n, own in found.items() if isinstance(own, TrainableNetwork)}

    def crowding(self) -> Tensor:
        """The penalty of all chip parts; see `TrainableNetwork.crowding`."""
        return torch.stack([own.crowding() for own in self.networks.values()]).sum()

    @checks_kinds()
    def harden(self, share: Share) -> None:
        """Fixes this share of the weights of all chip parts; see `TrainableNetwork.harden`."""
        for own in self.networks.values():
            own.harden(share)

    @checks_kinds()
    def prune(self, share: float) -> int:
        """Takes the smallest weights of all chip parts away; see `TrainableNetwork.prune`."""
        return sum(own.prune(share) for own in self.networks.values())

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """As the module that this one stands for.

        Args:
            *args: what that module takes, tensors in the structure of its example.
            **keywords: the same by name.

        Raises:
            InputError: lists arguments that do not fit, by name.
            QuantizationError: in evaluation, weights are NaN or infinite, or rows do not fit.
        """
        values, sizes = self._given(args, keywords)
        for part, own in zip(self.converted.parts, self.parts, strict=True):
            if isinstance(part, HostPart):
                answered = own(*(values[name] for name in part.inputs))
                values |= dict(zip(part.outputs, answered, strict=True))
            else:
                assert isinstance(own, TrainableNetwork)
                heard = heard_by(part, values, sizes, _joined)
                outputs, final = own.answered(heard.x, heard.timespans, heard.states)
                values |= said_by(part, outputs, final.__getitem__, _joined)
        return with_tensors(self.converted.answer, values.__getitem__, sizes)

    def _given(
        self, args: Sequence[Any], keywords: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Tensors by the names of values, and the sizes of batch and time."""
        converted = self.converted
        subject = f"module {converted.name!r}"
        values = given_leaves(subject, converted.arguments, args, keywords)
        problems = Problems(InputError, subject)
        sizes: dict[tuple[str, int], tuple[int, str]] = {}
        for one in converted.inputs:
            value = values[one.name]
            if not isinstance(value, Tensor):
                problems.add(f"{one.name} is of type {type(value).__qualname__}; give a tensor")
                continue
            found = shape_problems(one, tuple(value.shape), sizes)
            problems.extend(f"{one.name} {problem}" for problem in found)
            values[one.name] = self._cast(one, value)
        problems.raise_if_any()
        for number, name in enumerate(converted.constants):
            values[name] = self.get_buffer(f"constant_{number}")
        known: dict[str, int] = {}
        for (axis, _), (size, _) in sizes.items():
            known.setdefault(axis, size)
        return values, known

    def _cast(self, one: ModuleInput, value: Tensor) -> Tensor:
        """Floating-point numbers in the precision of the parameters."""
        if not value.is_floating_point():
            return value
        return value.to(next((p.dtype for p in self.parameters()), torch.float32))

    def export(self) -> ConvertedModule:
        """The module with the weights as they are now, chip parts in integers.

        Raises:
            QuantizationError: rows do not fit; the penalty `crowding` keeps them inside.
        """
        parts: list[Part] = []
        with torch.no_grad():
            hosts = [
                own for part, own in zip(self.converted.parts, self.parts, strict=True)
                if isinstance(part, HostPart)
            ]  # fmt: skip
            copies = iter(copy.deepcopy(hosts))
            for part, own in zip(self.converted.parts, self.parts, strict=True):
                if isinstance(part, HostPart):
                    function: Any = type(part.function)
                    made = function(next(copies).eval(), part.inputs, part.outputs)
                    parts.append(dataclasses.replace(part, function=made))
                else:
                    assert isinstance(own, TrainableNetwork)
                    program = own.export()
                    parts.append(
                        dataclasses.replace(
                            part, network=own.network(), program=program,
                            words=own.state_words(program),
                        )
                    )  # fmt: skip
        return dataclasses.replace(self.converted, parts=tuple(parts), module=None)


def prepare_module(
    converted: ConvertedModule,
    recipe: str | Recipe,
    calibrate: Any,
    layers: LayerRecipes | None,
    mask_time_gates: bool,
) -> TrainableModule:
    """See `lnn2loihi.qat.prepare`."""
    problems = Problems(InputError, f"module {converted.name!r}")
    for part in converted.host_parts:
        if not isinstance(getattr(part.function, "module", None), nn.Module):
            problems.add(
                f"host part {part.name!r} is no PyTorch module that could be trained along; "
                "convert the live module"
            )
    problems.raise_if_any()
    settings = prepared_parts(converted, recipe, heard_in_calls(converted, calibrate), layers)
    alone = Calls(returns_state=False)
    networks = {
        part.name: TrainableNetwork(part.float_network(), settings[part.name], alone)
        for part in converted.chip_parts
    }
    if mask_time_gates:
        for own in networks.values():
            own.mask_time_gates()
    return TrainableModule(converted, networks)


def _module_of(function: Any) -> nn.Module:
    return function.module


def _joined(parts: Sequence[Any], axis: int) -> Any:
    return torch.cat(list(parts), dim=axis)
