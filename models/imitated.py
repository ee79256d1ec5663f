"""How a liquid network that imitates a teacher becomes the files of a shipped model.

Trains it, one without memory to compare it with, and the integers with 4-bit weights. Needs PyTorch
and ncps. `cartpole` and `quadrotor` are trained so; one core is used.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

import lnn2loihi as l2l
from lnn2loihi.models import imitation
from lnn2loihi.models.imitation import Array, Course, Plants, imitate
from lnn2loihi.models.training import complaints, save_checkpoint

RECIPE = "w4a8x12"

_DESCRIPTION = """\
[network]
module = "ncps.torch.CfC"
checkpoint = "weights.safetensors"
name = "{name}"
input_size = {inputs}
units = {units}
proj_size = {outputs}
backbone_units = {backbone}
backbone_layers = 1
timespan = 1.0
"""


@dataclass(frozen=True)
class Imitated:
    """A task, and the network that learns it.

    Attributes:
        name: of the network.
        plants: of a count and the seed of the first one.
        inputs, outputs: what a policy sees, and does.
        units, backbone: of the CfC.
        hidden: units of a layer of the network without memory.
        course: how long both learn.
        tuning: plants that the network has moved, from which it learns for the chip.
        tuning_epochs, tuning_rate: passes over them, and the highest learning rate.
    """

    name: str
    plants: Callable[[int, int], Plants]
    inputs: int
    outputs: int
    units: int
    backbone: int
    hidden: int
    course: Course
    tuning: int
    tuning_epochs: int
    tuning_rate: float

    def trained(self, seed: int, console: Console) -> Any:
        """The liquid network, a `ncps.torch.CfC`.

        Args:
            seed: of weights, wiring and data.
            console: where progress is shown.
        """
        import torch
        from ncps.torch import CfC

        from lnn2loihi.models.fast_cfc import FastCfC

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        sizes = (self.inputs, self.units, self.outputs)
        fast = FastCfC(*sizes, backbone_units=self.backbone)
        imitate(fast, self.plants, self.course, seed, console)
        model = CfC(*sizes, backbone_units=self.backbone, backbone_dropout=0)
        model.load_state_dict(fast.state_dict())
        return model

    def taught(self, seed: int, policy: imitation.Policy) -> tuple[Array, Array]:
        """What plants show that a policy moves, and what the teacher does there."""
        return imitation.watched(self.plants(self.tuning, seed), self.course.steps, policy)

    def for_the_chip(self, model: Any, seed: int, console: Console) -> l2l.LoihiProgram:
        """The network with 4-bit weights, after training with the chip's arithmetic."""
        from lnn2loihi import qat

        x, y = self.taught(seed * 1_000_000 + 500_000, imitation.moved_by(model))
        module = qat.prepare(model, RECIPE, calibrate=x[:128])
        imitation.tuned(module, x, y, self.tuning_epochs, self.tuning_rate, console)
        return module.export()

    def write(self, out: Path, seed: int, console: Console) -> None:
        """Trains everything and writes it: `weights.safetensors` and `network.toml`, the liquid
        network; `memoryless.safetensors`; and `w4a8x12.l2l`, the integers.
        """
        model = self.trained(seed, console)
        save_checkpoint(model, out, _DESCRIPTION.format(**vars(self)))
        blind = imitation.memoryless(self.inputs, self.outputs, self.hidden, seed)
        imitate(blind, self.plants, self.course, seed, console)
        imitation.save_memoryless(blind, out / "memoryless.safetensors")
        l2l.save(self.for_the_chip(model, seed, console), out / f"{RECIPE}.l2l")

    def main(self, what: str, arguments: Sequence[str] | None = None) -> None:
        """The command line.

        Args:
            what: what the networks do, for its help.
            arguments: of the command line; those of this process where None.
        """
        parser = argparse.ArgumentParser(description=f"Train the networks that {what}.")
        parser.add_argument("--out", type=Path, required=True, help="folder to write to")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--epochs", type=int, default=self.course.epochs)
        given = parser.parse_args(arguments)
        console = Console()
        with complaints(console):
            task = replace(self, course=replace(self.course, epochs=given.epochs))
            task.write(given.out, given.seed, console)
        console.print(f"written: networks and {RECIPE}.l2l in {given.out}")
