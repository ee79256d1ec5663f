"""Times an epoch of `FastCfC` against that of ncps: python -m lnn2loihi.models.walker2d.speed.

Both train on the training windows of Walker2d, on one core, without a compiler. ncps 1.0.1 cannot
take timespans of a batch, so there its cell is called step by step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from lnn2loihi.models.walker2d import data
from lnn2loihi.models.walker2d.train import UNITS, Settings
from lnn2loihi.tables import text_table


def epoch(parts: list[Any], run: Callable[[Any, Any], Any], model: Any, batch: int) -> float:
    """CPU seconds of one pass with optimisation over x, timespans and y."""
    import torch

    optimizer = torch.optim.Adam(model.parameters())
    began = time.process_time()
    for x, timespans, y in zip(*(part.split(batch) for part in parts), strict=True):
        loss = torch.nn.functional.mse_loss(run(x, timespans), y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return time.process_time() - began


def contenders(settings: Settings) -> dict[str, tuple[Callable[[Any, Any], Any], Any]]:
    """For each name a function of x and timespans, and the model that it runs."""
    import torch
    from ncps.torch import CfC

    from lnn2loihi.models.fast_cfc import FastCfC

    sizes = {"activation": settings.activation, "backbone_units": settings.backbone_units}
    fast = FastCfC(data.CHANNELS, UNITS, data.CHANNELS, **sizes)
    slow = CfC(data.CHANNELS, UNITS, proj_size=data.CHANNELS, **sizes)

    def stepped(x: Any, timespans: Any) -> Any:
        state, outputs = x.new_zeros(len(x), UNITS), []
        for t in range(x.shape[1]):
            output, state = slow.rnn_cell(x[:, t], state, timespans[:, t : t + 1])
            outputs.append(slow.fc(output))
        return torch.stack(outputs, 1)

    return {
        "irregular, FastCfC": (lambda x, timespans: fast(x, timespans=timespans)[0], fast),
        "irregular, ncps step by step": (stepped, slow),
        "constant, FastCfC": (lambda x, timespans: fast(x)[0], fast),
        "constant, ncps": (lambda x, timespans: slow(x)[0], slow),
    }


def main() -> None:
    """The command line."""
    import torch

    parser = argparse.ArgumentParser(description="Time epochs of FastCfC and of ncps.")
    parser.add_argument("--data", type=Path, required=True, help="walker2d.npz")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=Settings().batch)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    part = data.load(arguments.data).train
    parts = [torch.from_numpy(array) for array in (part.x, part.timespans, part.y)]
    seconds: dict[str, list[float]] = {}
    # Round by round, so that other work on the machine meets all of them.
    for _ in range(arguments.rounds):
        for name, (run, model) in contenders(Settings()).items():
            seconds.setdefault(name, []).append(epoch(parts, run, model, arguments.batch))
    middle = {name: sorted(found)[len(found) // 2] for name, found in seconds.items()}
    rows = [(name, f"{value:.2f}") for name, value in middle.items()]
    console = Console()
    console.print(text_table(("one epoch", "CPU seconds, median"), rows), soft_wrap=True)
    first, second, third, fourth = middle.values()
    console.print(f"ratio: irregular {second / first:.2f}, constant {fourth / third:.2f}")


if __name__ == "__main__":
    main()
