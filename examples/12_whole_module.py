"""A whole module: what runs on the chip, what stays on the host, and both together.

    python examples/12_whole_module.py           # less than a minute of a processor
    python examples/12_whole_module.py --quick   # trained for a moment only

A convolution over a spectrum, a CfC, and two heads, one of them with a softmax: a tone rises,
falls or stays, in noise, and the module says which, and how loud it is. It is trained on tones
that a seed makes, converted by one call, quantized, compared, saved, and loaded again. Two rules
stand beside it: one hears the same spectra without their order, and one fits a line through the
places where they have their peak. Needs PyTorch, ncps and onnxruntime.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
from common import needs, options, run, say

import lnn2loihi as l2l

if TYPE_CHECKING:
    import torch

KINDS = ("rises", "falls", "stays")
#: Steps of a tone, bands of a spectrum, standard deviation of the noise in a band.
TIME, BANDS, NOISE = 20, 16, 0.4
BATCH, STEPS, RATE = 64, 600, 0.02
TRAINING_SEED, CALIBRATION_SEED, TEST_SEED = 1_000_000, 3_000_000, 4_000_000


def tones(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra of tones.

    Returns:
        x, float32 (count, TIME, BANDS); kind, int64 (count,); level, float32 (count, 1).
    """
    generator = np.random.default_rng(seed)
    kind = generator.integers(0, len(KINDS), count)
    level = generator.uniform(0.5, 1.5, (count, 1))
    begin, way = generator.uniform(0.0, 4.0, (2, count, 1))
    along = np.linspace(0.0, 1.0, TIME)
    # A tone that falls is one that rises, backwards: their spectra differ by nothing but order.
    place = begin + 4.0 + (way + 3.0) * np.where(kind[:, None] == 2, 0.5, along)
    place = np.where(kind[:, None] == 1, place[:, ::-1], place)
    x = level[..., None] * np.exp(-0.5 * (np.arange(BANDS) - place[..., None]) ** 2)
    x = x + generator.normal(0.0, NOISE, x.shape)
    return x.astype(np.float32), kind, level.astype(np.float32)


def listener() -> torch.nn.Module:
    """The module, before it is trained."""
    import torch
    from ncps.torch import CfC
    from torch import nn

    class Listener(nn.Module):
        """Says what it hears, and how loud it is."""

        def __init__(self) -> None:
            super().__init__()
            self.front = nn.Conv1d(1, 6, kernel_size=4, stride=4)
            self.rnn = CfC(24, 16, backbone_layers=0)
            self.kind, self.level = nn.Linear(16, len(KINDS)), nn.Linear(16, 1)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            """Spectra (batch, time, 16) to probabilities and levels of the last one."""
            batch, time, _ = x.shape
            heard = self.front(x.reshape(batch * time, 1, 16)).reshape(batch, time, 24)
            last = self.rnn(heard)[0][:, -1]
            return {"kind": torch.softmax(self.kind(last), dim=-1), "level": self.level(last)}

    return Listener()


def train(module: Any, steps: int) -> None:
    """Trains on fresh tones in every step."""
    import torch

    torch.set_num_threads(1)
    optimizer = torch.optim.Adam(module.parameters())
    falling = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    for step in range(steps):
        x, kind, level = map(torch.from_numpy, tones(BATCH, TRAINING_SEED + step))
        answer = module(x)
        chosen = answer["kind"].gather(1, kind[:, None]).clamp_min(1e-6)
        loss = -chosen.log().mean() + torch.nn.functional.mse_loss(answer["level"], level)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        falling.step()


def slopes(x: np.ndarray) -> np.ndarray:
    """How fast the peak of a spectrum moves, in bands a step, by a line through all, (count,)."""
    steps = np.arange(TIME) - (TIME - 1) / 2.0
    return (x.argmax(axis=2) @ steps) / (steps @ steps)


def rules(count: int) -> str:
    """How many of the test tones are named by two rules, as a sentence."""
    x, kind, _ = tones(4_000, TRAINING_SEED)
    heard, truth, _ = tones(count, TEST_SEED)
    means = np.stack([np.sort(x[kind == k], axis=1).mean(axis=0) for k in range(len(KINDS))])
    apart = ((np.sort(heard, axis=1)[:, None] - means) ** 2).sum(axis=(2, 3))
    unordered = (apart.argmin(axis=1) == truth).mean()

    def by_slope(values: np.ndarray, least: float) -> np.ndarray:
        return np.where(values > least, 0, np.where(values < -least, 1, 2))

    known = slopes(x)
    least = max(np.linspace(0.0, 0.4, 81), key=lambda edge: (by_slope(known, edge) == kind).sum())
    sloped = (by_slope(slopes(heard), least) == truth).mean()
    return (
        "Rules that are fitted to 4,000 tones: the nearest mean of the spectra without their order "
        f"names {unordered:.1%} rightly, and the slope of a line through the peaks {sloped:.1%}."
    )


def scores(name: str, answer: Any, kind: np.ndarray, level: np.ndarray) -> str:
    """How good an answer is, as a sentence."""
    right = int((np.asarray(answer["kind"]).argmax(axis=1) == kind).sum())
    off = float(np.sqrt(np.mean((np.asarray(answer["level"]) - level) ** 2)))
    return (
        f"{name}: {right:,} of {len(kind):,} tones are named rightly ({right / len(kind):.1%}), "
        f"and the level is {off:.3f} off (root mean square)."
    )


def parsed() -> argparse.Namespace:
    """The options."""
    parser = options(__doc__, __file__)
    parser.add_argument("--recipe", default="w8a12", help="of the chip's part")
    parser.add_argument("--seed", type=int, default=1, help="of the weights before training")
    return parser.parse_args()


def main() -> None:
    """Trains, converts, quantizes, compares, saves, loads again."""
    given = parsed()
    needs("torch", "ncps", "onnxruntime", command="pip install torch ncps onnxruntime")
    import torch

    given.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(given.seed)
    module = listener()
    steps = 20 if given.quick else STEPS
    say(f"The module is trained with {steps} batches of {BATCH} tones.")
    train(module, steps)
    module.eval()

    calibration = torch.from_numpy(tones(256, CALIBRATION_SEED)[0])
    converted: Any = l2l.convert(module, calibration)
    quantized = converted.quantize(given.recipe, calibrate=calibration)
    say(quantized)
    count = 200 if given.quick else 2_000
    heard, kind, level = tones(count, TEST_SEED)
    x = torch.from_numpy(heard)
    say(quantized.compare(x[:100]))
    with torch.no_grad():
        in_float = module(x)
    answer = quantized.predict(x)
    say(scores("The module in float", in_float, kind, level))
    say(scores(f"Its chip part as integers ({given.recipe})", answer, kind, level))
    say(rules(count))

    path = quantized.save(given.out / "listener.l2m")
    again = l2l.load(path).predict(x)
    for name, value in answer.items():
        off = float(np.abs(np.asarray(value) - np.asarray(again[name])).max())
        say(f"Loaded again, without the module, its answers of {name} differ by {off:.1e} at most.")
    say(f"Written: {path}")


if __name__ == "__main__":
    run(main)
