"""Your own module, from training to the page: this is the file to copy.

    python examples/01_own_module.py            # half a minute of a processor
    python examples/01_own_module.py --quick    # trains for seconds: worse figures

A module as people write it, with normalisation, an encoder, a CfC of ncps and a head, learns to
tell the level of a tank. It sees the valve (0 to 1), an echo sounder (mm) that is noisy and
sometimes wrong, and the temperature (°C), which the sounder does not make up for. It becomes one
network of integers, which is verified on two executors bit for bit, compared with the float
network, and costed. Needs PyTorch and ncps.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from common import console, needs, options, run, say
from intervals import of_difference
from rich.progress import track

import lnn2loihi as l2l
from lnn2loihi.profiling.answer import answer
from lnn2loihi.tables import text_table

#: Samples of a sequence (10 a second), and those at its beginning that do not count.
STEPS, SETTLING, RATE = 100, 20, 10.0
#: Readings that the linear baseline sees.
WINDOW = 8


def tanks(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Tanks that fill and run out: x (count, STEPS, 3), and levels in mm (count, STEPS, 1)."""
    g = np.random.default_rng(seed)
    level, valve = g.uniform(300, 1500, count), g.uniform(0, 1, count)
    warm, leak = g.uniform(0, 40, count), g.uniform(4, 12, count)
    x, y = np.empty((count, STEPS, 3)), np.empty((count, STEPS, 1))
    for k in range(STEPS):
        valve = np.where(g.random(count) < 0.05, g.uniform(0, 1, count), valve)
        level = np.clip(level + 40.0 * valve - 0.06 * leak * np.sqrt(level), 0.0, 2000.0)
        # The sounder hangs at 2,200 mm and reckons with the speed of sound at 20 °C.
        echo = 2200.0 - (2200.0 - level) * 343.0 / (331.0 + 0.6 * warm)
        wrong = g.random(count) < 0.05
        echo = np.where(wrong, g.uniform(0, 2200, count), echo + g.normal(0, 20, count))
        x[:, k], y[:, k, 0] = np.stack([valve, echo, warm], axis=-1), level
    return x.astype(np.float32), y.astype(np.float32)


def gauge(x: np.ndarray) -> Any:
    """The module: normalisation, encoder, CfC, head. Yours may look otherwise."""
    import torch
    from ncps.torch import CfC
    from torch import nn

    class Gauge(nn.Module):
        mean: torch.Tensor
        deviation: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            flat = torch.from_numpy(x).flatten(0, 1)
            self.register_buffer("mean", flat.mean(0))
            self.register_buffer("deviation", flat.std(0))
            self.encoder = nn.Linear(3, 16)
            self.rnn = CfC(16, 24, backbone_units=32)
            self.head = nn.Linear(24, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Readings (batch, time, 3) to levels in metres (batch, time, 1)."""
            x = torch.tanh(self.encoder((x - self.mean) / self.deviation))
            return self.head(self.rnn(x)[0])

    return Gauge()


def train(module: Any, x: np.ndarray, y: np.ndarray, epochs: int) -> float:
    """Your training loop; processor seconds that it took."""
    import torch

    began = time.process_time()
    torch.set_num_threads(1)
    given, wanted = torch.from_numpy(x), torch.from_numpy(y) / 1000.0
    optimizer = torch.optim.Adam(module.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-2, total_steps=epochs * (len(x) // 64)
    )
    for _ in track(range(epochs), "training", console=console, disable=not console.is_terminal):
        for chosen in torch.randperm(len(x))[: len(x) // 64 * 64].reshape(-1, 64):
            loss = (module(given[chosen])[:, SETTLING:] - wanted[chosen][:, SETTLING:]).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    module.eval()
    return time.process_time() - began


def windows(x: np.ndarray) -> np.ndarray:
    """What the linear baseline sees of each sample: the last WINDOW readings, and a constant."""
    seen = np.lib.stride_tricks.sliding_window_view(x[:, SETTLING - WINDOW + 1 :], WINDOW, axis=1)
    flat = seen.reshape(*seen.shape[:2], -1)
    return np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1).astype(np.float64)


def errors(answers: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean absolute error of each sequence in mm, (sequences,)."""
    return np.abs(answers[:, -(STEPS - SETTLING) :] - y[:, SETTLING:]).mean(axis=(1, 2))


def main() -> None:
    """The whole road."""
    given = options(__doc__, __file__).parse_args()
    needs("torch", "ncps", command="pip install torch ncps")
    import torch

    given.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    x, y = tanks(128 if given.quick else 1024, seed=1)
    x_test, y_test = tanks(32 if given.quick else 256, seed=2)
    module = gauge(x)
    seconds = train(module, x, y, epochs=2 if given.quick else 20)
    say(
        f"Trained on {len(x):,} generated sequences of {STEPS} samples for {seconds:.0f} s of a "
        "processor."
    )

    network = l2l.import_network(module)
    program = l2l.quantize(network, calibrate=x[:256], recipe="w8a12")
    l2l.save(program, given.out / "gauge.l2l")
    say(program)
    check = l2l.verify(program, x_test[:4], ("reference", "blas"))
    say(check.summary())
    if not check.bit_exact:
        raise SystemExit(2)
    say(l2l.compare(network, program, x_test).summary())

    answered = l2l.simulate(program, x_test)
    with torch.no_grad():
        live = 1000.0 * module(torch.from_numpy(x_test)).numpy()
    fitted = np.linalg.lstsq(
        windows(x).reshape(-1, 3 * WINDOW + 1), y[:, SETTLING:].reshape(-1, 1), rcond=None
    )[0]
    found = {
        "the last echo as it is": errors(x_test[..., 1:2], y_test),
        f"linear, of the last {WINDOW} samples": errors(windows(x_test) @ fitted, y_test),
        "your module in PyTorch": errors(live, y_test),
        "integers": errors(1000.0 * answered.outputs, y_test),
    }
    rows = [(name, f"{value.mean():.2f}") for name, value in found.items()]
    say(text_table((f"{len(x_test)} sequences that training did not see", "error (mm)"), rows))
    gap = of_difference(found["integers"] - found["your module in PyTorch"], 3)
    say(
        f"Integers less PyTorch, sequence by sequence: {gap} mm, with an interval of 95 %. "
        f"{answered.saturated_inputs:,} of {x_test.size:,} input values were outside of the "
        "calibrated range."
    )

    costs = l2l.profile(
        program,
        x_test[:16],
        network=network,
        rate=RATE,
        quick=True,
        frontier=not given.quick,
        against=() if given.quick else "cpu:engine",
    )
    say(answer(costs))
    say(costs)
    l2l.report(costs, program, given.out / "gauge.html", network=network, x=x_test[:16])
    say(f"Written to {given.out}: gauge.l2l, the program, and gauge.html, the page to send around.")


if __name__ == "__main__":
    run(main)
