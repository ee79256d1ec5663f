"""Weights of 4 bits: what rounding alone loses, and what training for the chip wins back.

    python examples/03_training_to_4_bits.py            # three seeds, about two minutes
    python examples/03_training_to_4_bits.py --quick    # one seed, trained for seconds

A CfC learns to foretell the Mackey-Glass equation, a chaotic oscillation, from noisy values.
Rounded to weights of 4 bits it is worse; `lnn2loihi.qat.prepare` makes a module of it that computes
with the chip's rounding, is trained for some more epochs, and becomes the integers that it was
trained as. The float network is trained for as many epochs more, so that nothing is won by training
alone. Needs PyTorch and ncps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import console, needs, options, run, say
from rich.progress import track

import lnn2loihi as l2l
from lnn2loihi.tables import text_table

#: Values of a sequence, those at its beginning that do not count, and how far to look ahead.
STEPS, SETTLING, AHEAD = 60, 20, 6
NOISE = 0.02
UNITS, BACKBONE, RECIPE = 24, 32, "w4a8x12"
#: Values that the linear baseline sees.
WINDOW = 20


def series(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy values (count, STEPS, 1), and the clean ones AHEAD of them, of Mackey-Glass.

    x' = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x, in parts of 0.1, a value each 1.0, with the
    mean 0.93 taken away; each sequence begins with a history of its own.
    """
    g = np.random.default_rng(seed)
    lag, parts, settle = 170, 10, 100
    history = np.repeat(g.uniform(0.4, 1.3, (1, count)), lag + 1, axis=0)
    values = np.empty((settle + STEPS + AHEAD, count))
    past, now = list(history), history[-1]
    for k in range(len(values) * parts):
        delayed = past[-lag - 1]
        now = now + 0.1 * (0.2 * delayed / (1.0 + delayed**10) - 0.1 * now)
        past.append(now)
        if k % parts == parts - 1:
            values[k // parts] = now - 0.93
    clean = values[settle:].T[..., None]
    noisy = clean[:, :STEPS] + g.normal(0.0, NOISE, (count, STEPS, 1))
    return noisy.astype(np.float32), clean[:, AHEAD:].astype(np.float32)


def train(model: Any, x: np.ndarray, y: np.ndarray, epochs: int, rate: float, what: str) -> Any:
    """A training loop like any other: `model` is a float module or one of `qat.prepare`."""
    import torch

    given, wanted = torch.from_numpy(x), torch.from_numpy(y)
    model.train()
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, total_steps=epochs * (len(x) // 64)
    )
    for _ in track(range(epochs), what, console=console, disable=not console.is_terminal):
        for chosen in torch.randperm(len(x))[: len(x) // 64 * 64].reshape(-1, 64):
            answers = model(given[chosen])[0]
            loss = ((answers - wanted[chosen])[:, SETTLING:] ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model.eval()


def as_ncps(fast: Any) -> Any:
    """The CfC of ncps with the weights of one that trains faster (`models/fast_cfc.py`)."""
    from ncps.torch import CfC

    module = CfC(
        1, UNITS, 1, backbone_units=BACKBONE, backbone_layers=1, backbone_dropout=0
    )  # fmt: skip
    module.load_state_dict(fast.state_dict())
    return module.eval()


def linear(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """The baseline: least squares on the last WINDOW values, from SETTLING on."""

    def seen(values: np.ndarray) -> np.ndarray:
        tail = values[:, SETTLING - WINDOW + 1 :, 0].astype(np.float64)
        found = np.lib.stride_tricks.sliding_window_view(tail, WINDOW, axis=1)
        return np.concatenate([found, np.ones_like(found[..., :1])], axis=-1)

    flat = seen(x).reshape(-1, WINDOW + 1)
    return seen(x_test) @ np.linalg.lstsq(flat, y[:, SETTLING:].reshape(-1, 1), rcond=None)[0]


def error(answers: np.ndarray, y: np.ndarray) -> float:
    """Root mean square error, without the beginning."""
    return float(np.sqrt(((answers[:, SETTLING - STEPS :] - y[:, SETTLING:]) ** 2).mean()))


def of_seed(seed: int, quick: bool, keep: Any) -> dict[str, float]:
    """Errors of everything that is made of one seed; the program goes to the file `keep`."""
    import torch

    from lnn2loihi import qat
    from lnn2loihi.models.fast_cfc import FastCfC

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    x, y = series(128 if quick else 1024, 2 * seed)
    x_test, y_test = series(64 if quick else 512, 2 * seed + 1)
    epochs, more = (4, 1) if quick else (60, 8)
    fast = train(FastCfC(1, UNITS, 1, backbone_units=BACKBONE), x, y, epochs, 1e-2, "float")
    module = as_ncps(fast)
    prepared = qat.prepare(as_ncps(fast), RECIPE, calibrate=x[:256])
    train(prepared, x, y, more, 2e-3, "for the chip")
    program: Any = prepared.export()
    l2l.save(program, keep)
    longer = as_ncps(train(fast, x, y, more, 2e-3, "float, longer"))
    found = {"the last value": error(x_test, y_test)}
    found[f"linear, of the last {WINDOW} values"] = error(linear(x, y, x_test), y_test)
    for name, one in (("float", module), (f"float, {more} epochs more", longer)):
        network = l2l.import_network(one)
        found[name] = error(network.evaluate(x_test).outputs, y_test)
        for recipe in ("w8a12", RECIPE):
            rounded = l2l.quantize(network, calibrate=x[:256], recipe=recipe)
            answers = l2l.simulate(rounded, x_test).outputs
            found[f"{recipe}, rounded from {name}"] = error(answers, y_test)
    trained = l2l.simulate(program, x_test).outputs
    found[f"{RECIPE}, trained for the chip, {more} epochs"] = error(trained, y_test)
    check = l2l.verify(program, x_test[:2], ("reference", "blas"))
    if not check.bit_exact:
        say(check.summary())
        raise SystemExit(2)
    return found


def main() -> None:
    """Trains with some seeds, and compares."""
    parser = options(__doc__, __file__)
    parser.add_argument("--seeds", type=int, nargs="+", help="of data and weights (default: 1 2 3)")
    given = parser.parse_args()
    needs("torch", "ncps", command="pip install torch ncps")
    given.out.mkdir(parents=True, exist_ok=True)
    seeds = given.seeds or ([1] if given.quick else [1, 2, 3])
    every = [of_seed(seed, given.quick, given.out / f"seed_{seed}.l2l") for seed in seeds]
    reference = f"float, {1 if given.quick else 8} epochs more"
    rows = []
    for name in every[0]:
        values = [found[name] for found in every]
        ratio = [100.0 * (found[name] / found[reference] - 1.0) for found in every]
        spread = f"{np.mean(ratio):+.1f} % ({min(ratio):+.1f} to {max(ratio):+.1f} %)"
        rows.append((name, *(f"{value:.5f}" for value in values), spread))
    headers = (
        f"RMS error, {AHEAD} values ahead", *(f"seed {seed}" for seed in seeds),
        f"against {reference}: mean (least to most)",
    )  # fmt: skip
    say(text_table(headers, rows))
    say(
        "Every seed has data, weights and an order of its own; the test sequences are new. The "
        f"programs that were trained for the chip are bit exact on two executors. Written to "
        f"{given.out}: one for each seed."
    )


if __name__ == "__main__":
    run(main)
