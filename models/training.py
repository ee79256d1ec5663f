"""The training loop that the scripts of this folder and of examples/ share. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from lnn2loihi.files import write_atomically

Batches = Iterable[tuple[Any, Any]]


def fit(
    model: Any,
    batches: Callable[[int], Batches],
    loss: Callable[[Any, Any], Any],
    *,
    epochs: int,
    steps_per_epoch: int,
    learning_rate: float,
    console: Console,
) -> None:
    """Trains with Adam; the rate rises for a tenth of the steps and falls as a half cosine.

    Args:
        model: an `ncps.torch.CfC`.
        batches: for an epoch's number its pairs of inputs and targets (batch, time, channels).
        loss: of predictions and targets.
        epochs: number of epochs.
        steps_per_epoch: number of batches of an epoch.
        learning_rate: the highest one.
        console: where progress is shown, if it is a terminal.
    """
    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=learning_rate, total_steps=epochs * steps_per_epoch, pct_start=0.1
    )
    value = torch.tensor(0.0)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=epochs)
        for epoch in range(epochs):
            for inputs, targets in batches(epoch):
                value = loss(model(inputs)[0], targets)
                optimizer.zero_grad()
                value.backward()
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                schedule.step()
            progress.update(task, advance=1, description=f"training, loss {value.item():.5f}")


def shuffled_batches(x: Any, y: Any, size: int, seed: int) -> Callable[[int], Batches]:
    """Batches of float32 tensors in an order that seed and epoch determine.

    Args:
        x: (sequences, time, inputs).
        y: (sequences, time, outputs).
        size: sequences of a batch.
        seed: seed of the order.
    """
    import torch

    inputs = torch.as_tensor(x, dtype=torch.float32)
    targets = torch.as_tensor(y, dtype=torch.float32)

    def of_epoch(epoch: int) -> Batches:
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        order = torch.randperm(len(inputs), generator=generator)
        return [(inputs[index], targets[index]) for index in order.split(size)]

    return of_epoch


def description(name: str, inputs: int, units: int, motor_units: int, outputs: int) -> str:
    """The TOML of a CfC with an AutoNCP wiring and a readout, for `save_checkpoint`.

    Args:
        name: name of the network.
        inputs: input channels.
        units: all units of the wiring.
        motor_units: units of its last layer.
        outputs: outputs of the readout.
    """
    return f"""\
[network]
module = "ncps.torch.CfC"
checkpoint = "weights.safetensors"
name = "{name}"
input_size = {inputs}
units = {units}
output_size = {motor_units}
proj_size = {outputs}
timespan = 1.0
"""


def save_checkpoint(model: Any, folder: Path, toml: str) -> Path:
    """Writes `weights.safetensors` and `network.toml`, each whole or not at all.

    Returns:
        The path of the description.
    """
    from safetensors.numpy import save as safetensors_bytes

    folder.mkdir(parents=True, exist_ok=True)
    # ncps stores its masks transposed, and safetensors writes the memory of an array as it lies.
    arrays = {k: v.detach().contiguous().numpy() for k, v in model.state_dict().items()}
    write_atomically(folder / "weights.safetensors", safetensors_bytes(arrays))
    return write_atomically(folder / "network.toml", toml.encode())
