"""The training loop that scripts here, in benchmarks/ and in examples/ share. Needs PyTorch."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from lnn2loihi.errors import Lnn2LoihiError
from lnn2loihi.files import write_atomically

Batches = Iterable[tuple[Any, ...]]

#: Files of weights and of their description, by the form of tanh that they were trained with, or
#: for a network with a memory beside its state.
FILES = {
    "tanh": ("weights.safetensors", "network.toml"),
    "hard": ("hard.safetensors", "hard.toml"),
    "memory": ("memory.safetensors", "memory.toml"),
}


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training sequences gave.

    Attributes:
        number: from 1.
        training: mean loss over the batches, of the weights as they were at each.
        validation: loss over the validation sequences after the epoch.
        is_best: whether no epoch before had a lower validation loss.
        seconds: duration of the pass, without validation.
    """

    number: int
    training: float
    validation: float
    is_best: bool
    seconds: float


@contextmanager
def complaints(console: Console, *packages: str) -> Iterator[None]:
    """What goes wrong in a training script becomes one message and an exit code.

    Args:
        console: where the message goes.
        packages: what training needs, as pip names it; torch and ncps by default.
    """
    try:
        yield
    except ImportError as error:
        needed = packages or ("torch", "ncps")
        names = " and ".join({"torch": "PyTorch"}.get(name, name) for name in needed)
        console.print(f"training needs {names}: pip install {' '.join(needed)} ({error})")
        raise SystemExit(3) from error
    except Lnn2LoihiError as error:
        console.print(str(error), markup=False)
        raise SystemExit(error.exit_code) from error


def fit(
    model: Any,
    batches: Callable[[int], Batches],
    loss: Callable[[Any, Any], Any],
    *,
    epochs: int,
    steps_per_epoch: int,
    learning_rate: float,
    console: Console,
    weight_decay: float = 0.0,
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
        weight_decay: share of all weights that is taken from them in each step, times the rate.
    """
    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    if weight_decay:
        optimizer = torch.optim.AdamW(trained, weight_decay=weight_decay)
    else:
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
                _descend(optimizer, trained, value)
                schedule.step()
            progress.update(task, advance=1, description=f"training, loss {value.item():.5f}")


def fit_best(
    model: Any,
    batches: Callable[[int], Batches],
    loss: Callable[..., Any],
    validation: Callable[[], float],
    *,
    epochs: int,
    learning_rate: float,
    decay: float | None,
    console: Console,
    constant: float = 0.0,
    rising: float = 0.0,
    report: Callable[[Epoch], None] = lambda epoch: None,
    before_step: Callable[[float], None] = lambda passed: None,
) -> list[Epoch]:
    """Trains with Adam at a rate that falls, and keeps the best epoch.

    Args:
        model: a module of PyTorch; it has the weights of the best epoch afterwards.
        batches: for an epoch's number, from 0, its batches: tuples of tensors.
        loss: of the tensors of a batch.
        validation: the loss over the validation sequences, of `model` as it is.
        epochs: number of epochs.
        learning_rate: that of the first epoch.
        decay: factor of the learning rate from one epoch to the next; None if it falls with every
            step as half a cosine, to zero at the end.
        console: where progress is shown, if it is a terminal.
        constant: without `decay` the share of all steps before the rate begins to fall.
        rising: without `decay` the share of all steps in which it rises evenly, before all that.
        report: is called after each epoch, with the weights of that epoch in `model`.
        before_step: is called before each step of the optimizer with the share of steps done.

    Returns:
        What each epoch gave.

    Raises:
        Lnn2LoihiError: no epoch had a finite validation loss.
    """
    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=learning_rate)
    done: list[Epoch] = []
    lowest, best = float("inf"), None
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=epochs)
        for number in range(epochs):
            began = time.monotonic()
            losses = []
            of_epoch = list(batches(number))
            for place, batch in enumerate(of_epoch):
                passed = (number + place / len(of_epoch)) / epochs
                before_step(passed)
                if decay is None:
                    begins = max(constant, rising)
                    falling = max(0.0, passed - begins) / (1.0 - begins)
                    share = 0.5 * (1.0 + math.cos(math.pi * falling))
                    share *= min(passed / rising, 1.0) if rising else 1.0
                else:
                    share = decay**number
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * share
                value = loss(*batch)
                _descend(optimizer, trained, value)
                losses.append(value.item())
            seconds = time.monotonic() - began
            found = validation()
            is_best = found < lowest
            if is_best:
                lowest, best = found, copy.deepcopy(model.state_dict())
            done.append(Epoch(number + 1, sum(losses) / len(losses), found, is_best, seconds))
            report(done[-1])
            progress.update(task, advance=1, description=f"training, validation {found:.5f}")
    if best is None:
        raise Lnn2LoihiError("training", "no epoch had a finite loss; lower the learning rate")
    model.load_state_dict(best)
    return done


def _descend(optimizer: Any, trained: list[Any], value: Any) -> None:
    """One step of the optimizer down the clipped gradient of a loss."""
    import torch

    optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()


def shuffled_batches(x: Any, y: Any, size: int, seed: int) -> Callable[[int], Batches]:
    """`shuffled` batches of inputs x and targets y, both (sequences, time, ...)."""
    return shuffled((x, y), size, seed)


def shuffled(arrays: Sequence[Any], size: int, seed: int) -> Callable[[int], Batches]:
    """Batches of float32 tensors in an order that seed and epoch determine.

    Args:
        arrays: (sequences, ...) each, for example inputs and targets.
        size: sequences of a batch.
        seed: seed of the order.

    Returns:
        For an epoch's number its batches, tuples of one tensor per array.
    """
    import torch

    tensors = [torch.as_tensor(array, dtype=torch.float32) for array in arrays]

    def of_epoch(epoch: int) -> Batches:
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        order = torch.randperm(len(tensors[0]), generator=generator)
        return [tuple(tensor[index] for tensor in tensors) for index in order.split(size)]

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


def save_checkpoint(
    model: Any, folder: Path, toml: str, files: tuple[str, str] = FILES["tanh"]
) -> Path:
    """Writes weights and description, each whole or not at all.

    Args:
        model: the module.
        folder: where to.
        toml: the description, which names the file of the weights.
        files: names of the weights' file and of the description's.

    Returns:
        The path of the description.
    """
    weights, said = files
    _save_weights(model, folder / weights)
    return write_atomically(folder / said, toml.encode())


def save_network(model: Any, folder: Path, name: str, said: Mapping[str, str | int]) -> Path:
    """Writes `<name>.safetensors` and `<name>.toml`, each whole or not at all.

    Args:
        model: the module.
        folder: where to.
        name: name of the network and of the files.
        said: what the description says beside name and checkpoint.

    Returns:
        The path of the description.
    """
    weights = f"{name}.safetensors"
    _save_weights(model, folder / weights)
    words = {**said, "checkpoint": weights, "name": name}
    lines = [f"{key} = {json.dumps(value)}" for key, value in words.items()]
    text = "\n".join(["[network]", *lines, ""])
    return write_atomically(folder / f"{name}.toml", text.encode())


def _save_weights(model: Any, path: Path) -> None:
    from safetensors.numpy import save as safetensors_bytes

    path.parent.mkdir(parents=True, exist_ok=True)
    # ncps stores its masks transposed, and safetensors writes the memory of an array as it lies.
    arrays = {k: v.detach().contiguous().numpy() for k, v in model.state_dict().items()}
    write_atomically(path, safetensors_bytes(arrays))
