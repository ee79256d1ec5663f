"""Readings that come when they come: elapsed times, missing samples, and what it is worth to know.

    python examples/02_irregular_time.py            # trains three networks, two minutes at most
    python examples/02_irregular_time.py --quick    # trains for seconds: worse figures

Two sensors say where something is that swings. Each reading may be missing, and samples without any
reading do not exist, so that the time between two samples is anything from 50 ms to some seconds.
A CfC tells how fast the thing moves. It is trained three times: told the elapsed time as its cells
take it (`timespan="irregular"`), told it as one more input, and not told it. All three become
integers, and answer the same test sequences. Needs PyTorch and ncps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from common import console, needs, options, run, say
from intervals import of_difference
from rich.progress import track

import lnn2loihi as l2l
from lnn2loihi.tables import text_table

#: Samples of a sequence, and those at its beginning that do not count.
STEPS, SETTLING = 80, 10
#: Standard deviations of the noise of the sensors, and how often a reading is missing.
NOISE, MISSING = np.array([0.02, 0.05]), np.array([0.4, 0.2])
#: Time between the moments at which the sensors are asked (s): at least, and mean beyond that.
LEAST, BEYOND = 0.05, 0.2
UNITS, BACKBONE = 32, 48


@dataclass(frozen=True)
class Swings:
    """Sequences of samples.

    Attributes:
        x: readings, 0 where missing, and whether they are there, (sequences, STEPS, 4).
        elapsed: seconds since the sample before, (sequences, STEPS).
        speed: what is to be told, (sequences, STEPS, 1).
    """

    x: np.ndarray
    elapsed: np.ndarray
    speed: np.ndarray


def swings(count: int, seed: int) -> Swings:
    """Sums of two oscillations, as the two sensors see them."""
    g = np.random.default_rng(seed)
    asked = LEAST + g.exponential(BEYOND, (count, 4 * STEPS))
    there = g.random((count, 4 * STEPS, 2)) > MISSING
    heard = there.any(axis=-1)
    # The first STEPS moments at which somebody answers: what is between them is elapsed time.
    chosen = np.argsort(~heard, axis=1, kind="stable")[:, :STEPS]
    moments = np.take_along_axis(np.cumsum(asked, axis=1), chosen, axis=1)
    there = np.take_along_axis(there, chosen[..., None], axis=1)
    frequency = g.uniform((0.3, 1.0), (1.0, 3.0), (count, 2))[:, None]
    phase, size = g.uniform(0, 2 * np.pi, (count, 1, 2)), g.uniform(0.2, 1.0, (count, 1, 2))
    angle = frequency * moments[..., None] + phase
    place = (size * np.sin(angle)).sum(axis=-1, keepdims=True)
    speed = (size * frequency * np.cos(angle)).sum(axis=-1, keepdims=True)
    readings = (place + g.normal(0.0, NOISE, there.shape)) * there
    x = np.concatenate([readings, there], axis=-1).astype(np.float32)
    elapsed = np.diff(moments, axis=1, prepend=moments[:, :1] - LEAST)
    return Swings(x, elapsed.astype(np.float32), speed.astype(np.float32))


def train(told: str, drawn: Swings, epochs: int) -> Any:
    """A CfC of ncps, told the time by its cells, as an input, or not at all.

    ncps 1.0.1 mixes up the elapsed times of a batch, so a CfC with the same weights learns in its
    place (`lnn2loihi.models.fast_cfc`), which is right and faster.
    """
    import torch
    from ncps.torch import CfC

    from lnn2loihi.models.fast_cfc import FastCfC

    torch.set_num_threads(1)
    torch.manual_seed(1)
    x = torch.from_numpy(heard(told, drawn))
    elapsed, wanted = torch.from_numpy(drawn.elapsed), torch.from_numpy(drawn.speed)
    model = FastCfC(x.shape[-1], UNITS, 1, backbone_units=BACKBONE)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-2, total_steps=epochs * (len(x) // 64)
    )
    for _ in track(range(epochs), told, console=console, disable=not console.is_terminal):
        for chosen in torch.randperm(len(x))[: len(x) // 64 * 64].reshape(-1, 64):
            times = elapsed[chosen] if told == CELLS else None
            answers = model(x[chosen], timespans=times)[0]
            loss = ((answers - wanted[chosen])[:, SETTLING:] ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    trained = CfC(
        x.shape[-1], UNITS, proj_size=1, backbone_units=BACKBONE, backbone_layers=1,
        backbone_dropout=0,
    )  # fmt: skip
    trained.load_state_dict(model.state_dict())
    return trained.eval()


CELLS, INPUT, UNTOLD = "elapsed time in its cells", "elapsed time as an input", "not told the time"


def heard(told: str, drawn: Swings) -> np.ndarray:
    """The inputs of a network."""
    if told != INPUT:
        return drawn.x
    return np.concatenate([drawn.x, drawn.elapsed[..., None]], axis=-1)


def difference_quotient(drawn: Swings) -> np.ndarray:
    """The baseline: by how much the place changed since the last sample, over the elapsed time.

    A place is the mean of the readings that are there, each weighted by its variance.
    """
    weights = drawn.x[..., 2:] / NOISE**2
    place = (drawn.x[..., :2] * weights).sum(axis=-1) / weights.sum(axis=-1)
    moved = np.diff(place, axis=1, prepend=place[:, :1])
    return (moved / drawn.elapsed)[..., None]


def errors(answers: np.ndarray, drawn: Swings) -> np.ndarray:
    """Root mean square error of each sequence, (sequences,)."""
    squares = (answers - drawn.speed)[:, SETTLING:] ** 2
    return np.sqrt(squares.mean(axis=(1, 2)))


def main() -> None:
    """Trains the three networks, and compares what their integers answer."""
    given = options(__doc__, __file__).parse_args()
    needs("torch", "ncps", command="pip install torch ncps")
    given.out.mkdir(parents=True, exist_ok=True)
    drawn = swings(128 if given.quick else 1024, seed=1)
    test = swings(64 if given.quick else 512, seed=2)
    gaps = test.elapsed[:, 1:]
    say(
        f"Between two samples pass {gaps.min():.2f} to {gaps.max():.2f} s, {gaps.mean():.2f} s on "
        f"average; {100 * (1 - test.x[..., 2:].mean()):.0f} % of the readings of samples that "
        "exist are missing."
    )
    found = {"difference quotient": errors(difference_quotient(test), test)}
    for told in (CELLS, INPUT, UNTOLD):
        module = train(told, drawn, epochs=2 if given.quick else 30)
        irregular = told == CELLS
        network = l2l.import_network(module, timespan="irregular" if irregular else 1.0)
        times: Any = {"timespans": test.elapsed} if irregular else {}
        program = l2l.quantize(
            network, calibrate=heard(told, drawn)[:256],
            calibrate_timespans=drawn.elapsed[:256] if irregular else None,
        )  # fmt: skip
        x = heard(told, test)
        few: Any = {"timespans": test.elapsed[:2]} if irregular else {}
        check = l2l.verify(program, x[:2], ("reference", "blas"), **few)
        if not check.bit_exact:
            say(check.summary())
            raise SystemExit(2)
        answered = l2l.simulate(program, x, **times)
        found[f"float, {told}"] = errors(network.evaluate(x, **times).outputs, test)
        found[f"integers, {told}"] = errors(answered.outputs, test)
        l2l.save(program, given.out / f"{told.replace(' ', '-')}.l2l")
        say(
            f"Integers, {told}: {check.summary().splitlines()[0]}; "
            f"{answered.saturated_inputs:,} input values or elapsed times of the test were "
            "outside of the calibrated range."
        )
    rows = [(name, f"{value.mean():.4f}") for name, value in found.items()]
    say(text_table((f"error of the speed, {len(test.x)} new sequences", "RMS"), rows))
    best = found[f"integers, {CELLS}"]
    for other in (f"float, {CELLS}", f"integers, {INPUT}", f"integers, {UNTOLD}"):
        say(
            f"Integers with {CELLS}, less {other}, sequence by sequence: "
            f"{of_difference(best - found[other], 4)}, with an interval of 95 %."
        )
    say(f"Written to {given.out}: the three programs.")


if __name__ == "__main__":
    run(main)
